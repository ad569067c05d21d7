"""What the auditor is told about each of LeRobot's policies.

For each policy one function calls `audit_masks`: what runs, what is real, and where the prediction comes out. These
functions are meant to be copied. How many lines each takes is counted and kept beside its answer.

Some policies draw a weight for each sample or step and multiply the loss by it. There we set the weights to 1 first.
Otherwise the auditor could not know which loss to expect when every entry is off by 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from evidence.released.heads import DIMS, HORIZON, STATE, TOKENS, WIDTH, Bag, draw, head_n1_5, head_n1_7
from evidence.released.policies import EVERY, Policy, seeded_weights
from groot_teach.audit import MaskReport, Padding, audit_masks
from groot_teach.audit.heads import audit_lerobot_head

SIZE = "a chunk has the policy's number of steps and cannot be cut"
WHOLE = "the sampler needs the network that is not here"
PLANNER = "the planner gives one action, which has no padding"
OFF = "`do_mask_loss_for_padding` is off by default"
ENTROPY = "a cross-entropy of the grippers is part of it, and has no error of 1"
CODES = "the codes of a batch are drawn in one row"
NO_INPUT = "actions are no input of the network"
SPREAD = "the times of a batch are spread evenly over its samples"

# ------------------------------------------------------------------------------------------------- one function each


def act(policy: Policy) -> MaskReport:
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    listen = {"module": policy.module, "prediction": "model.action_head"}
    sampler = {"sample": policy.sample, "sample_along": ()}
    return audit_masks(policy.loss, policy.batch, [steps], **listen, **sampler, excused={"prediction, steps": SIZE})


def diffusion(policy: Policy) -> MaskReport:
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    told = {"module": policy.module, "prediction": "diffusion.unet", "excused": {"prediction, steps": SIZE}}
    sampler = {"sample": policy.sample, "sample_along": ()}
    intended = {} if policy.steps else {"loss sum, steps": OFF}
    return audit_masks(policy.loss, policy.batch, [steps], **told, **sampler, intended=intended)


def multi_task_dit(policy: Policy) -> MaskReport:
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    listen = {"module": policy.module, "prediction": "noise_predictor"}
    sampler = {"sample": policy.sample, "sample_along": ()}
    intended = {} if policy.steps else {"loss sum, steps": OFF}
    return audit_masks(policy.loss, policy.batch, [steps], **listen, **sampler, intended=intended)


def tdmpc(policy: Policy) -> MaskReport:
    settings = policy.module.config
    settings.advantage_scaling, settings.temporal_decay_coeff, settings.pi_coeff = 0.0, 1.0, 1.0
    model, laid = policy.module.model, nn.Identity()
    policy.module.laid, pi = laid, model.pi
    model.__dict__["pi"] = lambda latents: laid(pi(latents).transpose(0, 1)).transpose(0, 1)
    masks = {"action_is_pad": 1, "next.reward_is_pad": 1}
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1, "next.reward": 1}, masks)
    listen, excused = {"module": policy.module, "prediction": "laid"}, {"prediction, steps": SIZE, "sampler": PLANNER}
    return audit_masks(policy.loss, policy.batch, [steps], **listen, unit_loss=5, excused=excused)


def vqbet(policy: Policy) -> MaskReport:
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    lay_out(policy, lambda said: folded(said["predicted_action"]), lambda laid, said: said | unfolded(laid))
    listen = {"module": policy.module, "prediction": "laid"}
    sampler = {"sample": policy.sample, "sample_along": ()}
    said = {
        "unit_loss": policy.module.config.offset_loss_weight,
        "excused": {"prediction, steps": NO_INPUT, "compact": CODES},
    }
    return audit_masks(policy.loss, policy.batch, [steps], **listen, **sampler, **said)


def evo1(policy: Policy) -> MaskReport:
    batch = policy.batch | {name: pad(policy.batch[name], (0, 6)) for name in ("action", "action_mask")}
    dims = Padding("dims", batch["action_mask"][:, 0], {"action": 2}, {"action_mask": 2})
    steps = Padding("steps", ~batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1, "action_mask": 1})
    tokens = Padding("tokens", batch["token_mask"], {"tokens": 1}, {"token_mask": 1})
    lay_out(policy, lambda said: said.unflatten(1, (7, 11)), lambda laid, said: laid.flatten(1))
    listen = {"module": policy.module, "prediction": "laid"}
    sampler = {"sample": policy.sample, "sample_along": ("dims", "tokens")}
    return audit_masks(
        policy.loss, batch, [dims, steps, tokens], **listen, **sampler, excused={"prediction, steps": SIZE}
    )


def vla_jepa(policy: Policy) -> MaskReport:
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    listen = {"module": policy.module, "prediction": "action_decoder"}
    return audit_masks(policy.loss, policy.batch, [steps], **listen, sample=policy.sample, sample_along=())


def xvla(policy: Policy) -> MaskReport:
    real = torch.arange(policy.batch["action"].shape[2]) < 5
    dims = Padding("dims", real.expand(3, -1), {"action": 2})
    steps = Padding("steps", ~policy.batch["action_is_pad"], {"action": 1}, {"action_is_pad": 1})
    told = {"module": policy.module, "prediction": "transformer", "intended": {"prediction, samples": SPREAD}}
    sampler = {"sample": policy.sample, "sample_along": ("dims",)}
    excused = {"loss count": ENTROPY} if len(real) == 20 else {}
    return audit_masks(policy.loss, policy.batch, [dims, steps], **told, **sampler, excused=excused)


def fastwam(policy: Policy) -> MaskReport:
    policy.module.train_action_scheduler.training_weight = torch.ones_like
    batch, masks = policy.batch, {"action_is_pad": 1}
    steps = Padding("steps", ~batch["action_is_pad"], {"action": 1, "proprio": 1}, masks)
    tokens = Padding("tokens", batch["context_mask"], {"context": 1}, {"context_mask": 1})
    listen = {"module": policy.module, "prediction": "mot.mixtures.action.head"}
    excused = {"prediction, steps": SIZE, "sampler": WHOLE}
    return audit_masks(policy.loss, batch, [steps, tokens], **listen, excused=excused)


def molmoact2(policy: Policy) -> MaskReport:
    def loss(batch: dict) -> Tensor:
        inputs = {"inputs_embeds": batch["tokens"], "attention_mask": batch["attention_mask"]}
        run = policy.module._compute_flow_matching_loss_joint_per_layer
        return run(batch=batch, model_inputs=inputs, noise=batch["noise"][:, None])[0]

    batch, masks = policy.batch | {"noise": draw(4, 3, 7, 11)}, {"action_horizon_is_pad": 1}
    dims = Padding("dims", ~batch["action_dim_is_pad"], {"action": 2, "noise": 2}, {"action_dim_is_pad": 1})
    steps = Padding("steps", ~batch["action_horizon_is_pad"], {"action": 1, "noise": 1}, masks)
    tokens = Padding("tokens", batch["attention_mask"], {"tokens": 1}, {"attention_mask": 1})
    listen = {"module": policy.module, "prediction": "action_expert.final_layer"}
    return audit_masks(loss, batch, [dims, steps, tokens], **listen, excused={"sampler": WHOLE})


def lingbot_va(policy: Policy) -> MaskReport:
    attend_densely(policy)
    policy.module._ensure_train_schedulers()
    policy.module._train_sched_action.training_weight = torch.ones_like
    batch, masks = policy.batch, {"action_is_pad": 1, "action_mask": 1}
    dims = Padding("dims", batch["action_mask"][:, 0] > 0, {"action": 2}, {"action_mask": 2})
    steps = Padding("steps", ~batch["action_is_pad"], {"action": 1}, masks)
    lay_out(policy, lambda said: said.view(-1, 12, 11), lambda laid, said: laid.view(said.shape))
    listen = {"module": policy.module, "prediction": "laid"}
    excused = {"prediction, steps": SIZE, "sampler": WHOLE}
    return audit_masks(policy.loss, batch, [dims, steps], **listen, excused=excused)


def wall_x(policy: Policy) -> MaskReport:
    batch, masks = policy.batch, {"action_is_pad": 1, "dof_mask": 1}
    dims = Padding("dims", batch["dof_mask"][:, 0] > 0, {"action": 2}, {"dof_mask": 2})
    steps = Padding("steps", ~batch["action_is_pad"], {"action": 1}, masks)
    lay_out(policy, lambda said: said.view(-1, min(7, len(said)), 11), lambda laid, said: laid.flatten(0, 1))
    listen = {"module": policy.module, "prediction": "laid"}
    return audit_masks(policy.loss, batch, [dims, steps], **listen, excused={"sampler": WHOLE})


def groot_n1_5() -> MaskReport:
    steps, dims, vl, action = groot_batch()
    mask = dims[:, None].expand(3, HORIZON, -1)
    with seeded_weights():
        head = head_n1_5()
    return audit_lerobot_head(head, vl, Bag(action, action_mask=mask), step_mask=steps)


def groot_n1_7() -> MaskReport:
    steps, dims, vl, action = groot_batch()
    mask = dims[:, None] & steps[..., None]
    with seeded_weights():
        head = head_n1_7(vl_layers=1)
    return audit_lerobot_head(head, vl, Bag(action, action_mask=mask.double()))


# ---------------------------------------------------------------------------------------- its helpers


def attend_densely(policy: Policy) -> None:
    """Replaces flex attention by torch's plain attention with the same mask, written out.

    On a CPU flex attention runs through torch's compiler, and there the auditor cannot listen. Plain attention also has
    gradients.
    """

    def plain(query: Tensor, key: Tensor, value: Tensor, block_mask, **_) -> Tensor:
        places = torch.zeros((), dtype=torch.long), torch.zeros((), dtype=torch.long)
        rows, columns = torch.arange(query.shape[2])[:, None], torch.arange(key.shape[2])
        may_read = block_mask.mask_mod(*places, rows, columns)
        return scaled_dot_product_attention(query, key, value, may_read)

    attention = next(part for part in policy.module.modules() if type(part).__name__ == "FlexAttnFunc")
    type(attention).flex_attn = staticmethod(plain)


def lay_out(policy: Policy, there: Callable, back: Callable) -> None:
    """Brings the prediction into the layout `batch, step, dim` and back; in between the auditor listens, at `laid`."""
    laid = policy.module.laid = nn.Identity()
    part = policy.module.get_submodule(policy.prediction)
    part.register_forward_hook(lambda module, given, said: back(laid(there(said)), said))


def folded(chunks: Tensor) -> Tensor:
    """From VQ-BeT's tokens, each a chunk of 3 steps, to steps: the mean of the up to three predictions of each step."""

    def spread(values: Tensor) -> Tensor:
        return sum((pad(values[:, :, place], (0, 0, place, 2 - place)) for place in range(3)), torch.zeros(()))

    tokens = chunks.unflatten(-1, (3, -1))
    return spread(tokens) / spread(torch.ones_like(tokens))


def unfolded(steps: Tensor) -> dict[str, Tensor]:
    """The way back: from steps to VQ-BeT's tokens, each a chunk of 3 steps."""
    return {"predicted_action": steps.unfold(1, 3, 1).transpose(2, 3).flatten(2)}


def groot_batch() -> tuple[Tensor, Tensor, Bag, Bag]:
    """Real steps and real dims, the tokens, and the actions of three robots, as LeRobot's GR00T heads take them."""
    steps, dims, tokens = (
        torch.arange(size) < torch.tensor(real)[:, None]
        for size, real in ((HORIZON, [5, 2, 4]), (DIMS, [7, 3, 11]), (TOKENS, [7, 4, 6]))
    )
    images = torch.zeros(3, TOKENS, dtype=torch.bool)
    images[:, 4:6] = True
    vl = Bag(
        backbone_features=draw(3, 3, TOKENS, WIDTH),
        backbone_attention_mask=tokens.flip(1),
        image_mask=images,
    )
    action = Bag(
        action=torch.where(dims[:, None], draw(1, 3, HORIZON, DIMS), 0.0),
        state=draw(2, 3, 1, STATE),
        embodiment_id=torch.tensor([0, 2, 1]),
    )
    return steps, dims, vl, action


# ---------------------------------------------------------------------------------------- all of them


@dataclass(frozen=True)
class Subject:
    """A policy that is audited.

    Attributes:
        row: its row in `book/field_survey.yml`.
        audit: the function that describes it to the auditor, and returns the report.
        make: builds the policy with which `audit` is called; None = `audit` takes no argument and builds its own.
        note: what a reader of the report has to know.
    """

    row: str
    audit: Callable[..., MaskReport]
    make: Callable[[], Policy] | None = None
    note: str = ""


WEIGHTS = "The weights of its loss are set to 1."
AUDIT_OF = {
    "ACT": (act, ""),
    "Diffusion Policy": (diffusion, ""),
    "Multi-task DiT": (multi_task_dit, ""),
    "TD-MPC": (tdmpc, f"Only the loss of its policy is looked at, one of five. {WEIGHTS}"),
    "VQ-BeT": (vqbet, "Where chunks overlap, their predictions of one step are averaged."),
    "EVO1": (evo1, "Its sampler masks the dims that the configuration pads, not those of a robot in the batch."),
    "VLA-JEPA": (vla_jepa, ""),
    "X-VLA": (xvla, ""),
    "FastWAM": (fastwam, WEIGHTS),
    "MolmoAct2": (molmoact2, ""),
    "LingBot-VA": (lingbot_va, f"{WEIGHTS} Its attention is torch's plain one, with the same mask."),
    "Wall-X": (wall_x, "With no network between, no step can read another."),
}


def subjects() -> dict[str, Subject]:
    """Everything that is audited, by name. The name says the release where a policy is audited in two releases."""
    found = {
        "GR00T N1.5 head": Subject("GR00T N1.5 in LeRobot", groot_n1_5),
        "GR00T N1.7 head": Subject("GR00T N1.7 in LeRobot", groot_n1_7),
    }
    for name, make in EVERY.items():
        audit, note = next(known for start, known in AUDIT_OF.items() if name.startswith(start))
        row = next(start for start in AUDIT_OF if name.startswith(start)) + " in LeRobot"
        found[name] = Subject(row, audit, make, note)
    return found
