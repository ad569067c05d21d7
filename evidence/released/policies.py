"""Other policies of LeRobot, tiny and with random weights: real code for the auditor to look at.

The files are the released ones, imported one by one. LeRobot's own packages get a path and no `__init__`. Of packages
that are not installed here only names exist, and calling such a name is an error that says so. So everything that
computes is the released code, torch, diffusers or einops. Some policies begin with a network whose weights are only on
a hub, such as a vision-language model. There `Policy.alone` says what we put in its place.

Each function builds one policy. Every call of `loss` and of `sample` starts from the same seed, so that two calls can
only differ by what is in their batch.
"""

import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from evidence.released import NEWER, OLDER, release_of
from evidence.released.heads import draw

BATCH, HORIZON, DIMS, PADDED_DIMS, STATE, ENV, WIDTH, TOKENS = 3, 7, 5, 11, 3, 13, 16, 17
"""Samples; action steps; action dims, and to how many they are padded; state; environment; token width; tokens."""

REAL_STEPS, REAL_DIMS, REAL_TOKENS = [7, 2, 5], [5, 2, 3], [17, 11, 13]
"""How many steps, dims and tokens of each sample are real."""

SEED = 0


@dataclass(frozen=True, eq=False)
class Policy:
    """A policy, a batch for it, and how to run it.

    Attributes:
        name: its name in `book/field_survey.yml`.
        release: the release of LeRobot.
        file: the file with its loss, below `lerobot/policies`.
        module: the policy, in the mode in which `loss` is meant to run, and in float64 where its code allows that.
        batch: three samples, padded to one size. Padding holds copies of the last action, or zeros in padded dims.
        loss: from a batch to a scalar. It does not change the batch.
        prediction: the path below `module` of the part whose output the loss compares. "" = the output of `forward`.
        target: what that output is compared with.
        draws: the random numbers that a call of `loss` draws, in this order.
        arrange: from that output to `batch, step, dim`; of VQ-BeT, to `batch, token, step of its chunk, dim`.
        sample: from a batch to actions; None where we did not make the sampler run.
        steps: the entry of `batch` with padded steps (True = padding), if the policy reads one.
        dims: the entry with padded dims or with a mask of them, if it reads one.
        tokens: the same for tokens.
        alone: what is not the released policy here; "" = the policy is whole.
    """

    name: str
    release: str
    file: str
    module: Any
    batch: dict[str, Any]
    loss: Callable[[dict], Tensor]
    prediction: str
    target: str
    draws: str
    arrange: Callable[[Any], Tensor] = lambda output: output
    sample: Callable[[dict], Tensor] | None = None
    steps: str = ""
    dims: str = ""
    tokens: str = ""
    alone: str = ""


def padded_steps(horizon: int = HORIZON) -> Tensor:
    """`batch, horizon`, bool, True = padding."""
    return torch.arange(horizon) >= torch.tensor(REAL_STEPS)[:, None]


def real_dims(width: int = PADDED_DIMS) -> Tensor:
    """`batch, width`, bool, True = real."""
    return torch.arange(width) < torch.tensor(REAL_DIMS)[:, None]


def real_tokens() -> Tensor:
    """`batch, token`, bool, True = real; padding is on the right."""
    return torch.arange(TOKENS) < torch.tensor(REAL_TOKENS)[:, None]


def actions(horizon: int = HORIZON, dims: int = DIMS) -> Tensor:
    """`batch, horizon, dims`: padded steps hold copies of the last real action, as LeRobot's datasets do."""
    last = torch.tensor(REAL_STEPS)[:, None] - 1
    index = torch.minimum(torch.arange(horizon)[None], last)
    return draw(1, BATCH, horizon, dims).gather(1, index[..., None].expand(-1, -1, dims))


# ------------------------------------------------------------------------------------------------------ whole policies
def act(root: Path = NEWER) -> Policy:
    """ACT, with an environment state in place of cameras. In train mode, where its VAE reads the actions."""
    policy = _policy(
        root,
        "act",
        "ACT",
        chunk_size=HORIZON,
        n_action_steps=HORIZON,
        dim_model=WIDTH,
        n_heads=2,
        dim_feedforward=2 * WIDTH,
        n_encoder_layers=2,
        n_decoder_layers=1,
        n_vae_encoder_layers=2,
        latent_dim=4,
        dropout=0.0,
    ).train()

    def sample(batch: dict) -> Tensor:
        # At inference the latent is zeros in float32.
        return deepcopy(policy).float().predict_action_chunk(_float32(batch))

    batch = {
        "observation.state": draw(2, BATCH, STATE),
        "observation.environment_state": draw(3, BATCH, ENV),
        "action": actions(),
        "action_is_pad": padded_steps(),
    }
    return Policy(
        name="ACT in LeRobot",
        release=release_of(root),
        file="act/modeling_act.py",
        module=policy,
        batch=batch,
        loss=_seeded(lambda batch: policy(batch)[0]),
        sample=_seeded(sample),
        prediction="model.action_head",
        target="the actions; L1. Beside it a KL term of the VAE",
        draws="normal noise for the latent of the VAE (batch, 4); none in eval mode, where the VAE is not run",
        steps="action_is_pad",
    )


def diffusion(root: Path = NEWER, masked: bool = False) -> Policy:
    """Diffusion Policy with its U-Net, with an environment state in place of cameras.

    Args:
        root: the release.
        masked: turns `do_mask_loss_for_padding` on, which is off by default.
    """
    horizon = 14
    policy = _policy(
        root,
        "diffusion",
        "Diffusion",
        n_obs_steps=2,
        horizon=horizon,
        n_action_steps=horizon - 1,
        down_dims=(8,),
        n_groups=4,
        kernel_size=3,
        diffusion_step_embed_dim=8,
        num_train_timesteps=100,
        num_inference_steps=3,
        do_mask_loss_for_padding=masked,
    ).eval()
    batch = {
        "observation.state": draw(2, BATCH, 2, STATE),
        "observation.environment_state": draw(3, BATCH, 2, ENV),
        "action": actions(horizon),
        "action_is_pad": padded_steps(horizon),
    }
    return Policy(
        name="Diffusion Policy in LeRobot",
        release=release_of(root),
        file="diffusion/modeling_diffusion.py",
        module=policy,
        batch=batch,
        loss=_seeded(lambda batch: policy(batch)[0]),
        sample=_seeded(lambda batch: policy.diffusion.generate_actions(batch).detach()),
        prediction="diffusion.unet",
        target="the noise (`prediction_type` epsilon), which is not in the batch; MSE",
        draws="normal noise like the actions, in float32; then one integer timestep a sample",
        steps="action_is_pad" if masked else "",
    )


def tdmpc() -> Policy:
    """TD-MPC, whole, with an environment state in place of a camera."""
    policy = _policy(
        NEWER,
        "tdmpc",
        "TDMPC",
        horizon=HORIZON,
        n_action_steps=1,
        latent_dim=8,
        mlp_dim=WIDTH,
        q_ensemble_size=2,
        state_encoder_hidden_dim=WIDTH,
        n_gaussian_samples=8,
        n_pi_samples=3,
        cem_iterations=2,
        n_elites=4,
    ).eval()
    states = torch.arange(HORIZON + 1) >= torch.tensor(REAL_STEPS)[:, None] + 1
    batch = {
        "index": torch.arange(BATCH),
        "observation.state": draw(2, BATCH, HORIZON + 1, STATE),
        "observation.environment_state": draw(3, BATCH, HORIZON + 1, ENV),
        "action": actions().clamp(-1, 1),
        "next.reward": draw(4, BATCH, HORIZON),
        "action_is_pad": padded_steps(),
        "next.reward_is_pad": padded_steps(),
        "observation.state_is_pad": states,
    }

    def sample(batch: dict) -> Tensor:
        now = {key: value[:, 0] for key, value in batch.items() if key in policy.config.input_features}
        policy.reset()
        return policy.plan(policy.model.encode(now))

    return Policy(
        name="TD-MPC in LeRobot",
        release="0.6.1",
        file="tdmpc/modeling_tdmpc.py",
        module=policy,
        batch=batch,
        loss=_seeded(lambda batch: policy(batch)[0]),
        sample=_seeded(sample),
        prediction="model._pi",
        arrange=lambda output: output.transpose(0, 1),
        target="the actions (`pi_loss`), one of five terms; the others compare latents, rewards and values",
        draws="nothing",
        steps="action_is_pad",
    )


# ----------------------------------------------------------------------------- whole but for a vision-language network
def multi_task_dit(objective: str = "diffusion", masked: bool = False) -> Policy:
    """The noise predictor and the objective of the multi-task DiT, for a given conditioning vector.

    Args:
        objective: "diffusion", its default, or "flow_matching".
        masked: turns `do_mask_loss_for_padding` on, which is off by default.
    """
    with released(NEWER):
        module: Any = importlib.import_module("lerobot.policies.multi_task_dit.modeling_multi_task_dit")
        config = _config(
            "multi_task_dit",
            "MultiTaskDiT",
            n_obs_steps=2,
            horizon=HORIZON,
            n_action_steps=HORIZON - 1,
            objective=objective,
            hidden_dim=WIDTH,
            num_layers=2,
            num_heads=2,
            dropout=0.0,
            timestep_embed_dim=8,
            num_train_timesteps=100,
            num_inference_steps=3,
            num_integration_steps=3,
            do_mask_loss_for_padding=masked,
        )
        kind = module.DiffusionObjective if objective == "diffusion" else module.FlowMatchingObjective
        with seeded_weights():
            network = module.DiffusionTransformer(config, conditioning_dim=ENV)
        process = kind(config, action_dim=DIMS, horizon=HORIZON, do_mask_loss_for_padding=masked)
    parts = _ready(nn.ModuleDict({"noise_predictor": network, "objective": process}))
    batch = {"conditioning": draw(3, BATCH, ENV), "action": actions(), "action_is_pad": padded_steps()}

    return Policy(
        name="Multi-task DiT in LeRobot",
        release="0.6.1",
        file="multi_task_dit/modeling_multi_task_dit.py",
        module=parts,
        batch=batch,
        loss=_seeded(lambda batch: process.compute_loss(network, batch, batch["conditioning"])),
        sample=_seeded(
            lambda batch: process.conditional_sample(
                network, len(batch["conditioning"]), batch["conditioning"]
            ).detach()
        ),
        prediction="noise_predictor",
        target="the noise; MSE" if objective == "diffusion" else "action - (1 - sigma_min) * noise; MSE",
        draws="normal noise like the actions; then one timestep a sample, an integer or in [0, 1)",
        steps="action_is_pad" if masked else "",
        alone="`DiffusionTransformer` and the objective alone: a given vector stands for the CLIP encoders' output",
    )


def vqbet() -> Policy:
    """VQ-BeT in its second phase, where the codes of actions are fixed and the GPT learns them."""
    chunk, seen, ahead = 3, 2, 4
    horizon = seen + ahead + chunk - 2
    image = "observation.image"
    policy = _policy(
        NEWER,
        "vqbet",
        "VQBeT",
        stand_ins={"VQBeTRgbEncoder": _FlatCamera},
        n_obs_steps=seen,
        n_action_pred_token=ahead,
        action_chunk_size=chunk,
        crop_shape=None,
        pretrained_backbone_weights=None,
        vqvae_n_embed=4,
        vqvae_embedding_dim=8,
        vqvae_enc_hidden_dim=8,
        gpt_block_size=64,
        gpt_input_dim=WIDTH,
        gpt_output_dim=WIDTH,
        gpt_hidden_dim=WIDTH,
        gpt_n_layer=2,
        gpt_n_head=2,
        dropout=0.0,
        inputs={"observation.state": ("STATE", (STATE,)), image: ("VISUAL", (3, 2, 2))},
    ).float()
    codes = policy.vqbet.action_head.vqvae_model
    codes.discretized.fill_(True)
    codes.vq_layer.freeze_codebook = torch.tensor(True)
    for layer in codes.vq_layer.layers:
        layer._codebook.initted.fill_(True)
        layer._codebook.embed.copy_(draw(6, *layer._codebook.embed.shape))
    batch = {
        "observation.state": draw(2, BATCH, seen, STATE),
        image: draw(3, BATCH, seen, 3, 2, 2),
        "action": actions(horizon),
        "action_is_pad": padded_steps(horizon),
    }

    def sample(batch: dict) -> Tensor:
        return policy.vqbet(batch | {"observation.images": batch[image][:, :, None]}, rollout=True).detach()

    return Policy(
        name="VQ-BeT in LeRobot",
        release="0.6.1",
        file="vqbet/modeling_vqbet.py",
        module=policy,
        batch=_float32(batch),
        loss=_seeded(lambda batch: policy(batch)[0], torch.float32),
        sample=_seeded(sample, torch.float32),
        prediction="vqbet.action_head",
        arrange=lambda output: output["predicted_action"].unflatten(-1, (chunk, DIMS)),
        target="the actions, in chunks that overlap: L1 of code plus offset; beside it a focal loss of the codes",
        draws="a code for each token, drawn from the predicted probabilities",
        alone="the ResNet is a flattened image: torchvision is not here. The codes are drawn, not trained",
    )


def evo1() -> Policy:
    """EVO1 with given tokens in place of InternVL3."""
    policy = _policy(
        NEWER,
        "evo1",
        "Evo1",
        stand_ins={"evo1_model.InternVL3Embedder": _Evo1Tokens},
        chunk_size=HORIZON,
        n_action_steps=HORIZON,
        max_state_dim=STATE,
        max_action_dim=PADDED_DIMS,
        embed_dim=WIDTH,
        hidden_dim=WIDTH,
        state_hidden_dim=WIDTH,
        num_heads=2,
        num_layers=2,
        num_inference_timesteps=3,
        dropout=0.0,
        inputs={"observation.state": ("STATE", (STATE,)), "observation.images.front": ("VISUAL", (3, 4, 4))},
    ).eval()
    given = policy.model.embedder
    real = real_dims(DIMS)
    batch = {
        "observation.state": draw(2, BATCH, STATE),
        "observation.images.front": torch.zeros(BATCH, 3, 4, 4),
        "task": ["take", "put it", "press"],
        "tokens": draw(3, BATCH, TOKENS, WIDTH),
        "token_mask": real_tokens(),
        "action": torch.where(real[:, None], actions(), 0.0),
        "action_mask": real[:, None].expand(BATCH, HORIZON, DIMS).clone(),
        "action_is_pad": padded_steps(),
    }

    def loss(batch: dict) -> Tensor:
        given.tokens, given.mask = batch["tokens"], batch["token_mask"]
        return policy(batch)[0]

    def sample(batch: dict) -> Tensor:
        given.tokens, given.mask = batch["tokens"], batch["token_mask"]
        return policy.predict_action_chunk(batch)

    return Policy(
        name="EVO1 in LeRobot",
        release="0.6.1",
        file="evo1/modeling_evo1.py",
        module=policy,
        batch=batch,
        loss=_seeded(loss),
        sample=_seeded(sample),
        prediction="model.action_head.mlp_head",
        arrange=lambda output: output.view(BATCH, HORIZON, PADDED_DIMS),
        target="action - noise, both times the mask; MSE in float32",
        draws="one time a sample, Beta(2, 2); then noise like the padded actions, uniform in [-1, 1)",
        steps="action_is_pad",
        dims="action_mask",
        tokens="token_mask",
        alone="given tokens and their mask stand for InternVL3",
    )


def vla_jepa() -> Policy:
    """VLA-JEPA's action head, for given conditioning tokens."""
    with released(NEWER):
        module: Any = importlib.import_module("lerobot.policies.vla_jepa.action_head")
        config = SimpleNamespace(
            action_model_type="DiT-test",
            action_num_heads=None,
            action_attention_head_dim=None,
            chunk_size=HORIZON,
            num_inference_timesteps=3,
            action_hidden_size=WIDTH,
            action_num_layers=4,
            action_dropout=0.0,
            action_dim=DIMS,
            state_dim=STATE,
            num_embodied_action_tokens_per_instruction=2,
            num_action_tokens_per_timestep=2,
            action_noise_beta_alpha=1.5,
            action_noise_beta_beta=1.0,
            action_noise_s=0.999,
            action_num_timestep_buckets=1000,
        )
        with seeded_weights():
            head = module.VLAJEPAActionHead(config, cross_attention_dim=WIDTH)
    _ready(head)
    batch = {
        "tokens": draw(3, BATCH, TOKENS, WIDTH),
        "observation.state": draw(2, BATCH, STATE),
        "action": actions(),
        "action_is_pad": padded_steps(),
    }
    return Policy(
        name="VLA-JEPA in LeRobot",
        release="0.6.1",
        file="vla_jepa/action_head.py",
        module=head,
        batch=batch,
        loss=_seeded(
            lambda batch: head(batch["tokens"], batch["action"], batch["observation.state"], batch["action_is_pad"])
        ),
        sample=_seeded(lambda batch: head.predict_action(batch["tokens"], batch["observation.state"])),
        prediction="action_decoder",
        target="action - noise; MSE",
        draws="normal noise like the actions; then one time a sample, of Beta(1.5, 1)",
        steps="action_is_pad",
        alone="`VLAJEPAActionHead` alone: given tokens stand for Qwen3-VL, and there is no world model",
    )


def xvla(action_mode: str = "auto") -> Policy:
    """X-VLA with given features in place of Florence-2.

    Args:
        action_mode: its layout of actions; "auto" cuts the loss to the real dims, "ee6d" has 20 and supervises all.
    """
    dims = DIMS if action_mode == "auto" else 20
    with released(NEWER):
        module: Any = importlib.import_module("lerobot.policies.xvla.modeling_xvla")
        module.Florence2Model = lambda config: SimpleNamespace(language_model=SimpleNamespace(decoder=None))
        config = SimpleNamespace(
            dtype="float32",
            chunk_size=HORIZON,
            use_proprio=True,
            action_mode=action_mode,
            action_feature=SimpleNamespace(shape=(dims,)),
            max_action_dim=PADDED_DIMS,
            hidden_size=WIDTH,
            depth=2,
            num_heads=2,
            mlp_ratio=2.0,
            num_domains=3,
            len_soft_prompts=2,
            dim_time=8,
            max_len_seq=64,
            use_hetero_proj=False,
            freeze_vision_encoder=False,
            freeze_language_encoder=False,
            train_policy_transformer=True,
            train_soft_prompts=True,
        )
        vision = SimpleNamespace(vision_config=SimpleNamespace(projection_dim=WIDTH))
        proprio = 20 if action_mode == "ee6d" else STATE
        with seeded_weights():
            model = module.XVLAModel(config, vision, proprio_dim=proprio)
    _ready(model)
    model._get_target_dtype = lambda: torch.float64
    model.forward_vlm = lambda ids, features, mask: {"vlm_features": features, "aux_visual_inputs": features[:, :0]}
    state = torch.zeros(BATCH, proprio, dtype=torch.float64)
    state[:, :STATE] = draw(2, BATCH, STATE)
    real = min(DIMS, dims)
    batch = {
        "tokens": draw(3, BATCH, TOKENS, WIDTH),
        "observation.state": state,
        "domain": torch.tensor([0, 1, 2]),
        "action": nn.functional.pad(actions(dims=real), (0, model.dim_action - real)),
        "action_is_pad": padded_steps(),
    }

    def inputs(batch: dict) -> dict:
        return {
            "input_ids": torch.zeros(len(batch["domain"]), 1, dtype=torch.long),
            "image_input": batch["tokens"],
            "image_mask": torch.ones(len(batch["domain"]), 1),
            "domain_id": batch["domain"],
            "proprio": batch["observation.state"],
        }

    return Policy(
        name="X-VLA in LeRobot",
        release="0.6.1",
        file="xvla/modeling_xvla.py",
        module=model,
        batch=batch,
        loss=_seeded(lambda batch: sum(model(**inputs(batch), action=batch["action"]).values(), torch.zeros(()))),
        sample=_seeded(lambda batch: model.generate_actions(**inputs(batch), steps=3)),
        prediction="transformer",
        target="the actions, in groups of dims (`action_hub.py`)",
        draws="one number for the times, spread evenly over the samples; then normal noise like the padded actions",
        alone="`XVLAModel` in float64, without `XVLAPolicy` around it: given features stand for Florence-2's",
    )


def fastwam() -> Policy:
    """FastWAM: the video expert and the action expert in one attention, for given latents and text."""
    with released(NEWER):
        module: Any = importlib.import_module("lerobot.policies.fastwam.wan.modular")
        video: Any = importlib.import_module("lerobot.policies.fastwam.wan.video_dit")
        sizes = {
            "hidden_dim": WIDTH,
            "ffn_dim": WIDTH,
            "text_dim": WIDTH,
            "freq_dim": 8,
            "eps": 1e-6,
            "num_heads": 2,
            "attn_head_dim": WIDTH // 2,
            "num_layers": 2,
            "fp32_attention": False,
        }
        with seeded_weights():
            experts = {
                "video": video.WanVideoDiT(in_dim=4, out_dim=4, patch_size=(1, 1, 1), **sizes, seperated_timestep=True),
                "action": module.ActionDiT(action_dim=DIMS, **sizes),
            }
            mot = module.MoT(experts, mot_checkpoint_mixed_attn=False)
            model = module.FastWAM(
                experts["video"],
                experts["action"],
                mot,
                _GivenLatents(),
                text_dim=WIDTH,
                proprio_dim=STATE,
                torch_dtype=torch.float32,
            )
    _ready(model, torch.float32)
    horizon = 8
    batch = {
        "video": draw(3, BATCH, 3, 5, 16, 16),
        "context": draw(4, BATCH, TOKENS, WIDTH),
        "context_mask": real_tokens(),
        "proprio": draw(2, BATCH, horizon, STATE),
        "action": actions(horizon),
        "action_is_pad": padded_steps(horizon),
        "image_is_pad": torch.zeros(BATCH, 5, dtype=torch.bool),
    }

    def loss(batch: dict) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "CUDA is not available")
            return model.training_loss(batch)[0]

    return Policy(
        name="FastWAM in LeRobot",
        release="0.6.1",
        file="fastwam/wan/modular.py",
        module=model,
        batch=_float32(batch),
        loss=_seeded(loss, torch.float32),
        prediction="mot.mixtures.action.head",
        target="noise - action; MSE in float32. Beside it the same of video latents",
        draws="normal noise like the latents, their times, normal noise like the actions, their times",
        steps="action_is_pad",
        tokens="context_mask",
        alone="`FastWAM` without its policy: four numbers a frame patch stand for the video VAE, given text for T5",
    )


def molmoact2() -> Policy:
    """MolmoAct2's flow matching. In place of its language model, given tokens are the keys and the values."""
    with released(NEWER):
        hf = importlib.import_module("lerobot.policies.molmoact2.molmoact2_hf_model.modeling_molmoact2")
        module: Any = importlib.import_module("lerobot.policies.molmoact2.modeling_molmoact2")
        sizes = SimpleNamespace(
            num_layers=2,
            hidden_size=WIDTH,
            num_heads=2,
            max_action_dim=PADDED_DIMS,
            max_action_horizon=HORIZON,
            timestep_embed_dim=8,
            context_layer_norm=True,
            mlp_ratio=2.0,
            ffn_multiple_of=4,
            attn_dropout=0.0,
            dropout=0.0,
            qk_norm=True,
            qk_norm_eps=1e-6,
            rope=True,
            causal_attn=False,
        )
        with seeded_weights():
            expert = hf.ActionExpert(sizes, llm_dim=WIDTH, llm_kv_dim=WIDTH, llm_num_layers=2)
        config = SimpleNamespace(
            num_flow_timesteps=1,
            flow_matching_cutoff=1.0,
            flow_matching_time_offset=0.001,
            flow_matching_time_scale=0.999,
            flow_matching_beta_alpha=1.0,
            flow_matching_beta_beta=1.5,
            mask_action_dim_padding=True,
            enable_knowledge_insulation=False,
            gradient_checkpointing=False,
        )
        policy = module.MolmoAct2Policy.__new__(module.MolmoAct2Policy)
    nn.Module.__init__(policy)
    policy.config = config
    policy.action_expert = _ready(expert)
    backbone = _GivenKeysAndValues(expert)
    policy._backbone = lambda: backbone
    policy._encoder_attention_mask_for_action_expert = lambda input_ids, attention_mask: attention_mask
    policy.eval()
    batch = {
        "tokens": draw(3, BATCH, TOKENS, WIDTH),
        "attention_mask": real_tokens(),
        "action": torch.where(real_dims()[:, None], actions(dims=PADDED_DIMS), 0.0),
        "action_dim_is_pad": ~real_dims(),
        "action_horizon_is_pad": padded_steps(),
    }

    def loss(batch: dict) -> Tensor:
        inputs = {"inputs_embeds": batch["tokens"], "attention_mask": batch["attention_mask"]}
        return policy._compute_flow_matching_loss_joint_per_layer(batch=batch, model_inputs=inputs)[0]

    return Policy(
        name="MolmoAct2 in LeRobot",
        release="0.6.1",
        file="molmoact2/modeling_molmoact2.py",
        module=policy,
        batch=batch,
        loss=_seeded(loss),
        prediction="action_expert.final_layer",
        target="action - noise, padded dims of both set to 0; MSE",
        draws="one time a sample, of a Beta (upstream: several); then normal noise like the padded actions",
        steps="action_horizon_is_pad",
        dims="action_dim_is_pad",
        tokens="attention_mask",
        alone="`ActionExpert` and the policy's loss: given tokens are the keys and values at each layer",
    )


def lingbot_va() -> Policy:
    """LingBot-VA's network and its two losses, for given video latents and text, in bfloat16, which its code requires.

    On a CPU torch's flex attention has no gradients, so neither have the weights here; the prediction may be given one.
    """
    frames, steps = 2, 6
    policy = _policy(
        NEWER,
        "lingbot_va",
        "LingBotVA",
        patch_size=(1, 1, 1),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        action_dim=PADDED_DIMS,
        text_dim=WIDTH,
        freq_dim=8,
        ffn_dim=WIDTH,
        num_layers=2,
        attn_mode="flex",
        action_per_frame=steps,
        frame_chunk_size=frames,
        inputs={"observation.images.image": ("VISUAL", (3, 4, 4))},
        before=_attention_without_compiler,
    ).bfloat16()
    policy.requires_grad_(False)

    def channels(entries: Tensor) -> Tensor:
        """From `batch, step, dim` to `batch, dim, frame, step, 1`."""
        return entries.unflatten(1, (frames, steps)).permute(0, 3, 1, 2)[..., None]

    def loss(batch: dict) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
            return policy.training_loss_from_streams(
                batch["latents"], channels(batch["action"]), channels(batch["action_mask"]), batch["text"]
            )[0]

    real = real_dims()[:, None].expand(-1, frames * steps, -1)
    batch = {
        "latents": draw(3, BATCH, 4, frames, 2, 2),
        "text": draw(4, BATCH, 512, WIDTH).bfloat16(),
        "action": torch.where(real, actions(frames * steps, PADDED_DIMS), 0.0),
        "action_mask": real.double(),
        "action_is_pad": padded_steps(frames * steps),
    }
    return Policy(
        name="LingBot-VA in LeRobot",
        release="0.6.1",
        file="lingbot_va/modeling_lingbot_va.py",
        module=policy,
        batch=batch | {"latents": batch["latents"].float(), "action": batch["action"].float()},
        loss=_seeded(loss, torch.float32),
        prediction="transformer.action_proj_out",
        arrange=lambda output: output.view(BATCH, frames * steps, PADDED_DIMS),
        target="noise - action, times the mask; MSE in float32. Beside it the same of video latents",
        draws="for latents, then for actions: one time a frame, normal noise, and whether the past is noisy too",
        dims="action_mask",
        alone="given latents stand for the video VAE, given text for T5; attention is eager, not compiled",
    )


def wall_x() -> Policy:
    """Wall-X's action head alone. There is no network between its input and its output, so no step reads another."""
    with released(NEWER):
        module: Any = importlib.import_module("lerobot.policies.wall_x.modeling_wall_x")
        config = SimpleNamespace(dof_config={"arm": PADDED_DIMS}, agent_pos_config={"arm": STATE}, hidden_size=WIDTH)
        with seeded_weights():
            head = _ready(module.ActionHead(config), torch.float32)
    batch = {
        "action": torch.where(real_dims()[:, None], actions(dims=PADDED_DIMS), 0.0),
        "dof_mask": real_dims()[:, None].expand(BATCH, HORIZON, PADDED_DIMS).double(),
        "action_is_pad": padded_steps(),
    }

    def loss(batch: dict) -> Tensor:
        embedded, flow = head(batch["action"], batch["dof_mask"])
        return head.flow_loss(embedded.flatten(0, 1), flow.flatten(0, 1), batch["dof_mask"]).mean()

    return Policy(
        name="Wall-X in LeRobot",
        release="0.6.1",
        file="wall_x/modeling_wall_x.py",
        module=head,
        batch=_float32(batch),
        loss=_seeded(loss, torch.float32),
        prediction="action_proj_back",
        arrange=lambda output: output.view(BATCH, HORIZON, PADDED_DIMS),
        target="action - noise; MSE",
        draws="one time a sample, of Beta(1.5, 1); then normal noise like the padded actions",
        dims="dof_mask",
        alone="`ActionHead` alone; the mean over its loss, which the released model takes too, is ours",
    )


EVERY = {
    "ACT": act,
    "ACT 0.4.4": lambda: act(OLDER),
    "Diffusion Policy": diffusion,
    "Diffusion Policy 0.4.4": lambda: diffusion(OLDER),
    "Diffusion Policy, mask on": lambda: diffusion(masked=True),
    "Diffusion Policy 0.4.4, mask on": lambda: diffusion(OLDER, masked=True),
    "Multi-task DiT": multi_task_dit,
    "Multi-task DiT, mask on": lambda: multi_task_dit(masked=True),
    "Multi-task DiT, flow": lambda: multi_task_dit("flow_matching"),
    "Multi-task DiT, flow, mask on": lambda: multi_task_dit("flow_matching", masked=True),
    "TD-MPC": tdmpc,
    "VQ-BeT": vqbet,
    "EVO1": evo1,
    "VLA-JEPA": vla_jepa,
    "X-VLA auto": xvla,
    "X-VLA ee6d": lambda: xvla("ee6d"),
    "FastWAM": fastwam,
    "MolmoAct2": molmoact2,
    "LingBot-VA": lingbot_va,
    "Wall-X": wall_x,
}
"""Every policy that is built here, by name."""


# ---------------------------------------------------------------------------------------------------------- stand-ins
class _FlatCamera(nn.Module):
    """Replaces a ResNet: its features are the pixels of the image."""

    def __init__(self, config):
        super().__init__()
        self.feature_dim = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class _Evo1Tokens(nn.Module):
    """Replaces InternVL3: it returns the tokens and the mask that were set."""

    def __init__(self, **_):
        super().__init__()
        self.model = nn.ModuleDict({name: nn.Identity() for name in ("language_model", "vision_tower")})
        self.model["multi_modal_projector"] = nn.Identity()

    def get_fused_image_text_embedding_batched(self, **_):
        return self.tokens, self.mask


class _GivenLatents(nn.Module):
    """Replaces the video VAE: each frame becomes a 2 by 2 picture, with its first channel repeated as a fourth one."""

    temporal_downsample_factor = 4

    def encode(self, video: Tensor, **_) -> Tensor:
        small = nn.functional.adaptive_avg_pool3d(video, (2, 2, 2))
        return torch.cat([small, small[:, :1]], 1)


def _attention_without_compiler(module: Any) -> None:
    """Runs LingBot-VA's flex attention without compiling it, and skips its check that the package with T5 is there."""
    module.require_package = lambda *names, **more: None
    flex: Any = importlib.import_module("torch.nn.attention.flex_attention")
    attention = sys.modules[module.WanTransformer3DModel.__module__].FlexAttnFunc
    attention.flex_attn = staticmethod(flex.flex_attention)
    attention.compiled_create_block_mask = staticmethod(
        lambda *args, _compile, **more: flex.create_block_mask(*args, **more)
    )


class _GivenKeysAndValues(nn.Module):
    """Replaces MolmoAct2's language model: in every layer, the given tokens are the keys and the values."""

    def __init__(self, expert: Any):
        super().__init__()
        layers = len(expert.blocks)
        self.transformer = SimpleNamespace(
            config=SimpleNamespace(num_hidden_layers=layers, rope_scaling_layers=None),
            rotary_emb=lambda hidden, positions: None,
            blocks=[lambda hidden, **_: (hidden, hidden, hidden)] * layers,
            ln_f=nn.Identity(),
        )
        self._require_action_expert = lambda: expert

    def _build_native_attention_bias(self, attention_mask: Tensor, **_) -> Tensor:
        return attention_mask

    def _cache_to_sequence(self, states: Tensor) -> Tensor:
        return states


# ------------------------------------------------------------------------------------------------------------- making
def _policy(
    root: Path,
    folder: str,
    name: str,
    inputs: dict | None = None,
    stand_ins: dict | None = None,
    before: Callable[[Any], None] | None = None,
    **sizes,
) -> Any:
    """Builds a whole policy with a configuration of its own class.

    `stand_ins` replace classes in its files, and `before` may change its module first.
    """
    with released(root):
        module: Any = importlib.import_module(f"lerobot.policies.{folder}.modeling_{folder}")
        for path, stand_in in (stand_ins or {}).items():
            *where, what = path.split(".")
            home = importlib.import_module(f"lerobot.policies.{folder}.{where[0]}") if where else module
            assert hasattr(home, what)
            setattr(home, what, stand_in)
        if before:
            before(module)
        config = _config(folder, name, inputs, **sizes)
        with seeded_weights():
            return _ready(getattr(module, f"{name}Policy")(config))


def _config(folder: str, name: str, inputs: dict | None = None, **sizes):
    """The configuration of a policy, of its released class. To be called inside `released`."""
    types = importlib.import_module("lerobot.configs.types")
    module = importlib.import_module(f"lerobot.policies.{folder}.configuration_{folder}")
    inputs = inputs or {"observation.state": ("STATE", (STATE,)), "observation.environment_state": ("ENV", (ENV,))}
    feature = {
        key: types.PolicyFeature(type=types.FeatureType[kind], shape=shape) for key, (kind, shape) in inputs.items()
    }
    action = {"action": types.PolicyFeature(type=types.FeatureType.ACTION, shape=(DIMS,))}
    return getattr(module, f"{name}Config")(device="cpu", input_features=feature, output_features=action, **sizes)


def _ready(module: Any, dtype: torch.dtype = torch.float64) -> Any:
    """Sets dtype and eval mode, and draws weights that are all zero: such a layer would hide what reaches it."""
    module.to(dtype).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.is_floating_point() and not weight.any():
                weight.copy_(0.2 * torch.randn(weight.shape, dtype=weight.dtype, generator=generator))
    return module


@contextmanager
def seeded_weights() -> Iterator[None]:
    """Inside this context random numbers start from one seed. Afterwards the global generator is as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield


def _seeded(run: Callable[[dict], Tensor], dtype: torch.dtype = torch.float64) -> Callable[[dict], Tensor]:
    """The same function, but each call starts from the same seed and gets a copy of the dict.

    The copy is needed since several policies change their batch. Several also make tensors without naming a dtype, so
    `dtype` is torch's default during the call.
    """

    def seeded(batch: dict) -> Tensor:
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with seeded_weights():
                return run(dict(batch))
        finally:
            torch.set_default_dtype(before)

    return seeded


def _float32(batch: dict) -> dict:
    """The same batch in float32, for code that computes some of its numbers in float32 whatever it is given."""
    return {
        key: value.float() if torch.is_tensor(value) and value.is_floating_point() else value
        for key, value in batch.items()
    }


# ------------------------------------------------------------------------------------------------------------ loading
ABSENT = ("accelerate", "datasets", "draccus", "peft", "torchvision", "transformers")
"""Packages that are not installed here. The files mention names of them that nothing here calls."""


@contextmanager
def released(root: Path) -> Iterator[None]:
    """Inside this context, `import lerobot...` finds the release below `root`, and absent packages have names."""
    ours = ("lerobot", *ABSENT)
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] in ours}
    finder = _Files(root)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [*sys.modules]:
            if name.split(".")[0] in ours:
                del sys.modules[name]
        sys.modules.update(before)


class Unreachable(type):
    """The type of a name from an absent package: it can be mentioned and inherited from, and calling it is an error."""

    def __call__(cls, *args, **more):
        raise NotImplementedError(f"{cls.__module__}.{cls.__name__} is not installed here, and was called")

    def __getattr__(cls, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return _named(f"{cls.__name__}.{name}", cls.__module__)

    def __getitem__(cls, item):
        return cls


def _named(name: str, module: str) -> type:
    return Unreachable(name, (), {"__module__": module})


class Registered:
    """Replaces the base classes of transformers, which register a class in a list while a file is imported."""

    @classmethod
    def register_for_auto_class(cls, *_):
        pass


AT_IMPORT = {
    ("transformers", "PretrainedConfig"): Registered,
    ("transformers.modeling_utils", "PreTrainedModel"): Registered,
    ("transformers.utils", "logging"): SimpleNamespace(get_logger=logging.getLogger),
    ("transformers.utils", "can_return_tuple"): lambda function: function,
    ("transformers.modeling_rope_utils", "dynamic_rope_update"): lambda function: function,
}
"""What the files call while they are imported: a logger, lists of classes, and decorators of code that never runs."""


class ChoiceRegistry:
    """All that the configurations use of draccus: a decorator that registers names for a command line."""

    @classmethod
    def register_subclass(cls, name: str, **_):
        return lambda subclass: subclass


class _Files(MetaPathFinder, Loader):
    """Finds LeRobot's files below a root, and stand-ins for everything that is absent."""

    def __init__(self, root: Path):
        self.root = root

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        top = name.split(".")[0]
        if top in ABSENT or _only_mentioned(name):
            return ModuleSpec(name, self, is_package=True)
        if top != "lerobot":
            return None
        folder = self.root.joinpath(*name.split("."))
        if folder.is_dir():
            spec = ModuleSpec(name, self, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        return PathFinder.find_spec(name, path)

    def exec_module(self, module: ModuleType) -> None:
        name, put = module.__name__, vars(module)
        if name.split(".")[0] == "draccus":
            put["ChoiceRegistry"] = ChoiceRegistry
        if name.split(".")[0] in ABSENT or _only_mentioned(name):
            put["__getattr__"] = lambda wanted: _mention(name, wanted)
        elif name == "lerobot.configs":
            put["__getattr__"] = lambda wanted: _look_up(name, ("types", "policies"), wanted)


def _only_mentioned(name: str) -> bool:
    """True for the files of LeRobot around a policy: data sets, processors, optimizers, the settings of a run."""
    return name == "lerobot.configs.train" or name.split(".")[:2] in [
        ["lerobot", part] for part in ("datasets", "optim", "processor")
    ]


def _mention(module: str, wanted: str):
    if wanted.startswith("__"):
        raise AttributeError(wanted)
    if (module, wanted) in AT_IMPORT:
        return AT_IMPORT[module, wanted]
    return _named(wanted, module)


def _look_up(package: str, homes: tuple[str, ...], wanted: str):
    for home in homes if not wanted.startswith("__") else ():
        module: Any = importlib.import_module(f"{package}.{home}")
        if hasattr(module, wanted):
            return getattr(module, wanted)
    raise AttributeError(wanted)
