"""The released GR00T heads: their weights in and out, their sizes, and their random numbers.

    LeRobot or NVIDIA                               here
    action_encoder.W1.W                             action_encoder.first.weight
    model.transformer_blocks.0.attn1.to_q.weight    dit.blocks.0.attention.query.weight
    vlln.weight                                     vl_norm.weight

`PARTS` is the whole map. It serves N1.5, N1.6 and N1.7: from version to version masks changed, and hardly a weight.
Only `future_tokens` came and went; N1.5 alone has it.

A fine-tuned checkpoint holds the backbone too, gigabytes of it. `read_action_head` takes the head's tensors out of the
safetensors files and leaves the rest on the disk.

Source: `FlowmatchingActionHead` in huggingface/lerobot v0.4.4, `policies/groot/action_head/`; `GR00TN17ActionHead` in
0.6.1, `policies/groot/groot_n1_7.py`. NVIDIA's files use the same names (read).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Beta

from groot_teach.extras import needed_for
from groot_teach.flow import BETA_ALPHA, NOISE_S, TIME_BUCKETS, flow_time_n1_5, flow_time_n1_7
from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.shapes import checked, expect_same

# ------------------------------------------------------------------------------------------------------- the names

PARTS = (
    (r"^dit\.time_encoder\.first\.", "model.timestep_encoder.timestep_embedder.linear_1."),
    (r"^dit\.time_encoder\.second\.", "model.timestep_encoder.timestep_embedder.linear_2."),
    (r"^dit\.last_norm\.modulation\.", "model.proj_out_1."),
    (r"^dit\.out\.", "model.proj_out_2."),
    (r"^dit\.blocks\.", "model.transformer_blocks."),
    (r"^vl_blocks\.", "vl_self_attention.transformer_blocks."),
    (r"\.attention_norm\.modulation\.", ".norm1.linear."),
    (r"\.attention_norm\.", ".norm1."),
    (r"\.attention\.(query|key|value)\.", lambda match: f".attn1.to_{match[1][0]}."),
    (r"\.attention\.out\.", ".attn1.to_out.0."),
    (r"\.feed_forward_norm\.", ".norm3."),
    (r"\.widen\.", ".ff.net.0.proj."),
    (r"\.narrow\.", ".ff.net.2."),
    (r"^vl_norm\.", "vlln."),
    (r"^(future_tokens)$", r"\1.weight"),
    (r"^step_embedding$", "position_embedding.weight"),
    (r"^decoders\.action\.", "action_decoder."),
    (r"^decoders\.(\w+)\.", r"action_\1_decoder."),
    (r"^(state_encoder|action\w*_decoder)\.first\.", r"\1.layer1."),
    (r"^(state_encoder|action\w*_decoder)\.second\.", r"\1.layer2."),
    (r"^action_encoder\.first\.", "action_encoder.W1."),
    (r"^action_encoder\.second\.", "action_encoder.W2."),
    (r"^action_encoder\.third\.", "action_encoder.W3."),
    (r"^((state|action)_\w+\.\w+)\.weight$", r"\1.W"),
    (r"^((state|action)_\w+\.\w+)\.bias$", r"\1.b"),
)
"""What each part of one of our names is upstream, applied from first to last. Decoders of groups are named as in the
note's fork, `action_arm_decoder` and `action_claw_decoder`."""


@checked
def upstream_name(name: str) -> str:
    """What a tensor of our `ActionHead.state_dict()` is called in a GR00T checkpoint."""
    for ours, theirs in PARTS:
        name = re.sub(ours, theirs, name)
    return name


@checked
def load_upstream(head: ActionHead, weights: Mapping[str, Tensor]) -> None:
    """Puts a released head's weights into `head`, all of them, or none of them and an error.

    Args:
        head: of the same sizes and dtype.
        weights: upstream's name -> tensor, the head's own names, as `read_action_head` gives them.

    Raises:
        ValueError: names that are missing or left over, shapes or dtypes that differ; the message names them, and says
            so if it is another version's checkpoint.
    """
    own = head.state_dict()
    names = {upstream_name(name): name for name in own}
    missing, extra = sorted(names.keys() - weights.keys()), sorted(weights.keys() - names.keys())
    if missing or extra:
        version = ""
        if "future_tokens.weight" in extra:
            version = "these are weights of N1.5, which has future tokens; this head's config has none. "
        elif "future_tokens.weight" in missing:
            version = "these are weights of N1.6 or N1.7, without future tokens; this head's config has some. "
        raise ValueError(f"weights: {version}missing: {_some(missing)}; expected by nobody: {_some(extra)}")
    for trait in ("shape", "dtype"):
        wrong = [
            f"{key} {_said(getattr(weights[key], trait))} and not {_said(getattr(own[name], trait))}"
            for key, name in names.items()
            if getattr(weights[key], trait) != getattr(own[name], trait)
        ]
        if wrong:
            raise ValueError(f"weights: got another {trait} than this head has: {_some(wrong)}")
    head.load_state_dict({name: weights[key] for key, name in names.items()})


@checked
def to_upstream(head: ActionHead) -> dict[str, Tensor]:
    """The head's weights by upstream's names, for a released head to load."""
    return {upstream_name(name): tensor for name, tensor in head.state_dict().items()}


# -------------------------------------------------------------------------------------------------- the checkpoint


@checked
def read_action_head(path: str | Path) -> dict[str, Tensor]:
    """The tensors of the action head in a checkpoint, and no others: upstream's name -> tensor, on the CPU.

    Args:
        path: a safetensors file, one shard of a checkpoint, or a folder with such files. Names may begin with anything
            that ends in `action_head.`, as in `_groot_model.action_head.vlln.weight`.

    Raises:
        FileNotFoundError: there is no such file, or no safetensors file in the folder; or the folder's index names a
            file that is not there.
        ImportError: the package safetensors is not installed, which the extra `checkpoints` brings.
        ValueError: no tensor of an action head, or tensors of several heads.
    """
    with needed_for("reading a checkpoint"):
        from safetensors import safe_open
    weights, prefixes, others = {}, set(), set()
    for file in _shards(Path(path)):
        with safe_open(file, framework="pt", device="cpu") as shard:
            for key in shard.keys():  # noqa: SIM118  (a shard is no mapping)
                prefix, dot, name = key.rpartition("action_head.")
                if dot:
                    prefixes.add(prefix)
                    weights[name] = shard.get_tensor(key)
                else:
                    others.add(key.split(".")[0])
    if not weights:
        raise ValueError(
            f"path: got no tensor named '...action_head...' in {path}, only parts of {_some(sorted(others))}"
        )
    if len(prefixes) > 1:
        raise ValueError(f"path: got several action heads in {path}, below {_some(sorted(prefixes))}, expected one")
    return weights


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"path: there is no file or folder {path}")
    indices = sorted(path.glob("*.safetensors.index.json"))
    if not indices:
        files = sorted(path.glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"path: got no safetensors file in {path}")
        return files
    files = json.loads(indices[0].read_text())["weight_map"]
    shards = sorted({path / file for key, file in files.items() if "action_head." in key})
    for shard in shards:
        if not shard.is_file():
            raise FileNotFoundError(f"path: {indices[0].name} names {shard.name}, and {path} has no such file")
    return shards or [path / file for file in sorted(set(files.values()))]


# ------------------------------------------------------------------------------------------------------- the sizes


@checked
def config_from_weights(
    weights: Mapping[str, Tensor], head_width: int = 48, vl_head_width: int = 64, turns: int | None = None
) -> HeadConfig:
    """The sizes of a released head, read off its weights. What weights do not say has to be said.

    Args:
        weights: as `read_action_head` gives them.
        head_width: how wide an attention head of the DiT is.
        vl_head_width: how wide one of the VL self-attention is. The defaults are those of the released configurations.
        turns: 2 for N1.6 and N1.7, None for N1.5, whose blocks read all tokens.

    Raises:
        ValueError: a tensor that is needed is missing, or widths do not fit.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}

    def size(key: str, axis: int) -> int:
        if key not in shapes:
            raise ValueError(f"weights: got no {key}, expected an action head's weights")
        return shapes[key][axis]

    def layers(part: str) -> int:
        return 1 + max((int(match[1]) for key in shapes if (match := re.match(rf"{part}\.(\d+)\.", key))), default=-1)

    width, token_width = size("model.proj_out_2.weight", 1), size("model.transformer_blocks.0.attn1.to_k.weight", 1)
    groups = [match[1] for key in shapes if (match := re.fullmatch(r"action_(\w+)_decoder\.layer2\.W", key))]
    return HeadConfig(
        padded_dim=size("action_encoder.W1.W", 1),
        state_dim=size("state_encoder.layer1.W", 1),
        token_width=token_width,
        width=width,
        heads=_heads("head_width", width, head_width),
        hidden=size("model.proj_out_2.weight", 0),
        layers=layers("model.transformer_blocks"),
        vl_layers=layers("vl_self_attention.transformer_blocks"),
        vl_heads=_heads("vl_head_width", token_width, vl_head_width),
        embodiments=size("action_encoder.W1.W", 0),
        future_tokens=size("future_tokens.weight", 0) if "future_tokens.weight" in shapes else 0,
        max_steps=size("position_embedding.weight", 0) if "position_embedding.weight" in shapes else None,
        turns=turns,
        # A block that reads itself has keys as wide as its queries; where widths coincide, GR00T's plan is assumed.
        interleave=shapes.get("model.transformer_blocks.1.attn1.to_k.weight", (0, width))[1] == width,
        adaptive="model.transformer_blocks.0.norm1.linear.weight" in shapes,
        vl_norm="vlln.weight" in shapes,
        decoders=tuple((name, size(f"action_{name}_decoder.layer2.W", 2)) for name in groups) or None,
    )


@checked
def config_n1_5(config: Mapping[str, Any]) -> HeadConfig:
    """From the configuration of N1.5's head (`action_head_cfg` in the checkpoint's `config.json`).

    Raises:
        ValueError: an entry is missing, or asks for something that this head does not have.
    """
    c = _Entries("config", config)
    c.only({"expand_batch": None}, _FLOW)
    vl = c.within("vl_self_attention_cfg") if c.get("use_vlln", True) else None
    return _config(
        c,
        padded_dim=c["action_dim"],
        future_tokens=c["num_target_vision_tokens"],
        turns=None,
        vl=vl,
        vl_norm=vl is not None,
    )


@checked
def config_n1_7(config: Mapping[str, Any]) -> HeadConfig:
    """From the configuration of N1.7 (the checkpoint's `config.json`).

    Raises:
        ValueError: an entry is missing, or asks for something that this head does not have.
    """
    c = _Entries("config", config)
    c.only({}, _FLOW)
    vl = c.within("vl_self_attention_cfg") if c.get("vl_self_attention_cfg") else None
    return _config(
        c,
        padded_dim=c["max_action_dim"],
        state_history=c["state_history_length"],
        state_dropout=c["state_dropout_prob"],
        turns=c["attend_text_every_n_blocks"] if c["use_alternate_vl_dit"] else None,
        vl=vl if vl and vl["num_layers"] else None,
        vl_norm=c["use_vlln"],
    )


_FLOW = {
    "noise_beta_alpha": BETA_ALPHA,
    "noise_beta_beta": 1.0,
    "noise_s": NOISE_S,
    "num_timestep_buckets": TIME_BUCKETS,
}
_BLOCKS = {"positional_embeddings": None, "activation_fn": "gelu-approximate", "attention_bias": True}


def _config(c: "_Entries", vl: "_Entries | None", **more: Any) -> HeadConfig:
    """What both versions call alike. Where an entry is missing, upstream's own default stands."""
    d = c.within("diffusion_model_cfg")
    d.only({"norm_elementwise_affine": False}, _BLOCKS)
    if d.get("positional_embeddings", "sinusoidal") is not None:
        raise ValueError("diffusion_model_cfg, positional_embeddings: got none said, expected null in so many words")
    norms = {"ada_norm": True, "layer_norm": False}
    norm = d.get("norm_type", "ada_norm")
    if norm not in norms:
        raise ValueError(f"diffusion_model_cfg, norm_type: got {norm!r}, expected one of {', '.join(norms)}")
    for name, got in (
        ("num_attention_heads * attention_head_dim", d["num_attention_heads"] * d["attention_head_dim"]),
        ("output_dim", d["output_dim"]),
        ("cross_attention_dim", d.get("cross_attention_dim", c["backbone_embedding_dim"])),
    ):
        like = {"output_dim": "hidden_size", "cross_attention_dim": "backbone_embedding_dim"}
        expected = c[like.get(name, "input_embedding_dim")]
        if got != expected:
            raise ValueError(f"diffusion_model_cfg, {name}: got {got}, expected {expected} as elsewhere in the config")
    if vl is not None:
        vl.only(_BLOCKS)
        if vl["num_attention_heads"] * vl["attention_head_dim"] != c["backbone_embedding_dim"]:
            got = vl["num_attention_heads"] * vl["attention_head_dim"]
            raise ValueError(
                f"vl_self_attention_cfg, num_attention_heads * attention_head_dim: got {got}, expected "
                f"{c['backbone_embedding_dim']}, the backbone's width"
            )
    return HeadConfig(
        state_dim=c["max_state_dim"],
        token_width=c["backbone_embedding_dim"],
        width=c["input_embedding_dim"],
        heads=d["num_attention_heads"],
        hidden=c["hidden_size"],
        layers=d["num_layers"],
        vl_layers=vl["num_layers"] if vl else 0,
        vl_heads=vl["num_attention_heads"] if vl else 1,
        embodiments=c["max_num_embodiments"],
        max_steps=c["max_seq_len"] if c["add_pos_embed"] else None,
        interleave=d.get("interleave_self_attention", False),
        adaptive=norms[norm],
        dropout=d.get("dropout", 0.1),
        final_dropout=d.get("final_dropout", True),
        vl_dropout=vl.get("dropout", 0.1) if vl else 0.0,
        vl_final_dropout=vl.get("final_dropout", True) if vl else False,
        **more,
    )


@dataclass(frozen=True)
class _Entries:
    """A configuration that says which entry it lacks."""

    name: str
    entries: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        if key not in self.entries:
            raise ValueError(f"{self.name}: got no {key!r}, expected it beside {_some(sorted(self.entries))}")
        return self.entries[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.entries.get(key, default)

    def within(self, key: str) -> "_Entries":
        return _Entries(key, self[key])

    def only(self, *supported: Mapping[str, Any]) -> None:
        for key, value in {key: value for one in supported for key, value in one.items()}.items():
            if self.get(key, value) != value:
                raise ValueError(
                    f"{self.name}, {key}: got {self.get(key)!r}, expected {value!r}; this head has no other"
                )


def _heads(name: str, width: int, head_width: int) -> int:
    if head_width < 1 or width % head_width:
        raise ValueError(f"{name}: got {head_width}, expected a divisor of {width}")
    return width // head_width


# ----------------------------------------------------------------------------------------------- the random numbers


@checked
@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of one training step.

    Attributes:
        noise: `batch, action_horizon, padded_dim`.
        t: `batch`: flow time.
    """

    noise: Float[Tensor, "batch action_horizon padded_dim"]
    t: Float[Tensor, " batch"]


@checked
def draw_like_upstream(
    seed: int, actions: Float[Tensor, "batch action_horizon padded_dim"], version: Literal["N1.5", "N1.7"]
) -> Draw:
    """What a released head draws after `torch.manual_seed(seed)`, in eval mode or without dropout, on the CPU.

    Upstream draws from the global generator; its state is put back here. N1.6 draws like N1.7 (read).

    Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 252-254, 302-305; 0.6.1, `groot_n1_7.py` 554-560,
    586-588.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        noise = torch.randn(actions.shape, dtype=actions.dtype)
        s = Beta(torch.tensor(BETA_ALPHA), torch.tensor(1.0)).sample([len(actions)]).to(actions.dtype)
    flow_time = {"N1.5": flow_time_n1_5, "N1.7": flow_time_n1_7}[version]
    return Draw(noise.to(actions.device), flow_time(s).to(actions.device))


@checked
@dataclass(frozen=True, eq=False)
class Overlap:
    """How a new chunk begins where an old one is still being carried out.

    Attributes:
        start: `batch, action_horizon, padded_dim`: noise, and the old chunk's steps where the two overlap.
        strength: `batch, action_horizon, 1`: what velocities are multiplied by: 0 = frozen, 1 = free.
    """

    start: Float[Tensor, "batch action_horizon padded_dim"]
    strength: Float[Tensor, "batch action_horizon 1"]


@checked
def real_time_chunk(
    noise: Float[Tensor, "batch action_horizon padded_dim"],
    previous: Float[Tensor, "batch previous_horizon padded_dim"],
    overlap: int,
    frozen: int,
    ramp_rate: float = 6.0,
) -> Overlap:
    """N1.7's real-time chunking: the last `overlap` steps of `previous` open the new chunk, `frozen` of them for good.

    Between frozen and free the strength rises from 0 to 1, along an exponential.

    Raises:
        ValueError: not `0 <= frozen <= overlap <=` the steps of both chunks, a `ramp_rate` that is not positive, or
            different dtypes or devices.

    Source: huggingface/lerobot 0.6.1, `groot_n1_7.py` 662-679.
    """
    expect_same("dtype", noise=noise, previous=previous)
    expect_same("device", noise=noise, previous=previous)
    longest = min(noise.shape[1], previous.shape[1])
    if not 0 <= frozen <= overlap <= longest:
        raise ValueError(f"frozen, overlap: got {frozen}, {overlap}, expected 0 <= frozen <= overlap <= {longest}")
    if not ramp_rate > 0:
        raise ValueError(f"ramp_rate: got {ramp_rate}, expected more than 0")
    start, strength = noise.clone(), torch.ones_like(noise[..., :1])
    start[:, :overlap] = previous[:, previous.shape[1] - overlap :]
    strength[:, :frozen] = 0
    ramp = 1 - torch.exp(-ramp_rate * torch.linspace(0, 1, overlap - frozen + 2, device=noise.device))
    strength[:, frozen:overlap] = (ramp / ramp[-1])[1:-1, None].to(noise.dtype)
    return Overlap(start, strength)


# -------------------------------------------------------------------------------------------------------- messages


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _said(trait: object) -> str:
    return str(tuple(trait)) if isinstance(trait, torch.Size) else str(trait)
