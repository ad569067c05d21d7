"""The sizes of a released head as a `HeadConfig`: from its weights, or from upstream's own configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from groot_teach.flow import BETA_ALPHA, NOISE_S, TIME_BUCKETS
from groot_teach.head.config import HeadConfig
from groot_teach.head.released.names import listed
from groot_teach.shapes import checked


@checked
def config_from_weights(
    weights: Mapping[str, Tensor],
    head_width: int = 48,
    vl_head_width: int = 64,
    attend_text_every_n_blocks: int | None = None,
    state_history: int = 1,
) -> HeadConfig:
    """The sizes of a released head, read from the shapes of its weights. The other arguments cannot be read from them.

    Args:
        weights: upstream's name -> tensor, as `read_action_head` returns them.
        head_width: the width of one attention head of the DiT.
        vl_head_width: the width of one attention head of the VL self-attention. Both defaults are those of the
            released configurations.
        attend_text_every_n_blocks: as in `HeadConfig`: 2 for N1.6 and N1.7, None for N1.5.
        state_history: how many successive states the head is given; 1 in N1.5, N1.6 and the released N1.7. The weights
            only say how long all of them are together.

    Raises:
        ValueError: a tensor that is needed is missing or has another number of axes, or widths do not fit.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}

    def size(key: str, axis: int) -> int:
        if key not in shapes:
            raise ValueError(
                f"weights: got no {key} among {listed(sorted(shapes))}, expected the weights of a GR00T action head"
            )
        if len(shapes[key]) <= axis:
            raise ValueError(f"weights: {key}: got shape {shapes[key]}, expected more axes")
        return shapes[key][axis]

    def layers(part: str) -> int:
        return 1 + max((int(match[1]) for key in shapes if (match := re.match(rf"{part}\.(\d+)\.", key))), default=-1)

    width, token_width = size("model.proj_out_2.weight", 1), size("model.transformer_blocks.0.attn1.to_k.weight", 1)
    blocks = layers("model.transformer_blocks")
    groups = [match[1] for key in shapes if (match := re.fullmatch(r"action_(\w+)_decoder\.layer2\.W", key))]
    states = size("state_encoder.layer1.W", 1)
    if state_history < 1 or states % state_history:
        raise ValueError(f"state_history: got {state_history}, expected a divisor of {states}, the states together")
    return HeadConfig(
        padded_dim=size("action_encoder.W1.W", 1),
        state_dim=states // state_history,
        state_history=state_history,
        token_width=token_width,
        width=width,
        heads=_heads("head_width", width, head_width),
        hidden=size("model.proj_out_2.weight", 0),
        layers=blocks,
        vl_layers=layers("vl_self_attention.transformer_blocks"),
        vl_heads=_heads("vl_head_width", token_width, vl_head_width),
        embodiments=size("action_encoder.W1.W", 0),
        future_tokens=size("future_tokens.weight", 0) if "future_tokens.weight" in shapes else 0,
        max_steps=size("position_embedding.weight", 0) if "position_embedding.weight" in shapes else None,
        attend_text_every_n_blocks=attend_text_every_n_blocks,
        # Keys of self-attention are as wide as its queries. If tokens have that width too, both kinds of block look the
        # same, and we assume that they alternate, as in GR00T.
        interleave=blocks < 2 or size("model.transformer_blocks.1.attn1.to_k.weight", 1) == width,
        adaptive="model.transformer_blocks.0.norm1.linear.weight" in shapes,
        vl_norm="vlln.weight" in shapes,
        dropped_state_token="mask_token" in shapes,
        decoders=tuple((name, size(f"action_{name}_decoder.layer2.W", 2)) for name in groups) or None,
    )


@checked
def config_n1_5(config: Mapping[str, Any]) -> HeadConfig:
    """The sizes in the configuration of N1.5's head (`action_head_cfg` in the checkpoint's `config.json`).

    A missing entry means upstream's own default, if it has one.

    Raises:
        ValueError: an entry is missing, or asks for something that this head does not have.
    """
    c = _Entries("config", config, N1_5_DEFAULTS)
    c.only({"expand_batch": None}, _FLOW)
    vl = c.within("vl_self_attention_cfg", _BLOCK_DEFAULTS) if c["use_vlln"] else None
    return _config(
        c,
        padded_dim=c["action_dim"],
        future_tokens=c["num_target_vision_tokens"],
        attend_text_every_n_blocks=None,
        vl=vl,
        vl_norm=vl is not None,
    )


@checked
def config_n1_6(config: Mapping[str, Any]) -> HeadConfig:
    """The sizes in the configuration of N1.6 (the checkpoint's `config.json`). It was read, not run.

    Raises:
        ValueError: an entry is missing, or asks for something that this head does not have.

    Source: NVIDIA/Isaac-GR00T at 040fccf8, `gr00t/configs/model/gr00t_n1d6.py` and `gr00t_n1d6.py`.
    """
    c = _Entries("config", config, N1_6_DEFAULTS)
    c.only({"state_additive_noise_scale": 0}, _FLOW)
    return _config(
        c,
        padded_dim=c["max_action_dim"],
        state_dropout=c["state_dropout_prob"],
        dropped_state_token=c["state_dropout_prob"] > 0,
        attend_text_every_n_blocks=c["attend_text_every_n_blocks"] if c["use_alternate_vl_dit"] else None,
        vl=None,
        vl_norm=c["use_vlln"],
    )


@checked
def config_n1_7(config: Mapping[str, Any]) -> HeadConfig:
    """The sizes in the configuration of N1.7 (the checkpoint's `config.json`).

    A missing entry means the default of LeRobot's port.

    Raises:
        ValueError: an entry is missing, or asks for something that this head does not have.
    """
    c = _Entries("config", config, N1_7_DEFAULTS)
    c.only({"exclude_state": False}, _FLOW)
    vl = c.within("vl_self_attention_cfg", _BLOCK_DEFAULTS) if c.get("vl_self_attention_cfg") else None
    return _config(
        c,
        padded_dim=c["max_action_dim"],
        state_history=c["state_history_length"],
        state_dropout=c["state_dropout_prob"],
        attend_text_every_n_blocks=c["attend_text_every_n_blocks"] if c["use_alternate_vl_dit"] else None,
        vl=vl if vl and vl["num_layers"] else None,
        vl_norm=c["use_vlln"],
    )


_COMMON_DEFAULTS = {"add_pos_embed": True, "max_seq_len": 1024, "max_num_embodiments": 32, "use_vlln": True}
N1_5_DEFAULTS = _COMMON_DEFAULTS | {
    "input_embedding_dim": 1536,
    "backbone_embedding_dim": 1536,
    "hidden_size": 1024,
    "num_target_vision_tokens": 32,
}
"""Source: `FlowmatchingActionHeadConfig` in huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 112-155."""

_ALTERNATE_DEFAULTS = _COMMON_DEFAULTS | {
    "input_embedding_dim": 1536,
    "backbone_embedding_dim": 2048,
    "hidden_size": 1024,
    "use_alternate_vl_dit": True,
    "attend_text_every_n_blocks": 2,
    "num_inference_timesteps": 4,
}
N1_6_DEFAULTS = _ALTERNATE_DEFAULTS | {
    "max_action_dim": 29,
    "max_state_dim": 29,
    "action_horizon": 16,
    "state_dropout_prob": 0.0,
}
"""Source: NVIDIA/Isaac-GR00T at 9b37aa1c, `gr00t/configs/model/gr00t_n1d6.py` (read)."""

N1_7_DEFAULTS = _ALTERNATE_DEFAULTS | {
    "max_action_dim": 132,
    "max_state_dim": 132,
    "action_horizon": 40,
    "state_history_length": 1,
    "state_dropout_prob": 0.2,
}
"""Source: `GR00T_N1_7_DEFAULTS` in huggingface/lerobot 0.6.1, `groot_n1_7.py`. NVIDIA's own default of the state
dropout is 0.8 (read); in evaluation there is none."""

_BLOCK_DEFAULTS = {
    "num_attention_heads": 8,
    "attention_head_dim": 64,
    "output_dim": 26,
    "num_layers": 12,
    "dropout": 0.1,
    "final_dropout": True,
    "interleave_self_attention": False,
    "norm_type": "ada_norm",
    "positional_embeddings": "sinusoidal",
}
"""Source: `DiT` and `SelfAttentionTransformer` in `cross_attention_dit.py` of both releases of LeRobot."""

_FLOW = {
    "noise_beta_alpha": BETA_ALPHA,
    "noise_beta_beta": 1.0,
    "noise_s": NOISE_S,
    "num_timestep_buckets": TIME_BUCKETS,
}
_BLOCKS = {
    "positional_embeddings": None,
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "upcast_attention": False,
    "norm_eps": 1e-5,
    "max_num_positional_embeddings": ...,
    "num_embeds_ada_norm": ...,
    "compute_dtype": ...,
}
"""The only value that this head supports of each entry; `...` = the entry changes nothing."""


def _config(c: "_Entries", vl: "_Entries | None", **more: Any) -> HeadConfig:
    """The part of the sizes that all versions name alike."""
    d = c.within("diffusion_model_cfg", _BLOCK_DEFAULTS)
    d.only({"norm_elementwise_affine": False}, _BLOCKS)
    d.knows({"norm_elementwise_affine": False, "cross_attention_dim": None}, _BLOCKS)
    norms = {"ada_norm": True, "layer_norm": False}
    norm = d["norm_type"]
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
            raise ValueError(f"diffusion_model_cfg, {name}: got {got}, expected {expected}, as elsewhere in the config")
    if vl is not None:
        vl.only(_BLOCKS)
        vl.knows(_BLOCKS)
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
        interleave=d["interleave_self_attention"],
        adaptive=norms[norm],
        dropout=d["dropout"],
        final_dropout=d["final_dropout"],
        vl_dropout=vl["dropout"] if vl else 0.0,
        vl_final_dropout=vl["final_dropout"] if vl else False,
        **more,
    )


@dataclass(frozen=True)
class _Entries:
    """A configuration, its name for error messages, and what its missing entries mean."""

    name: str
    entries: Mapping[str, Any]
    defaults: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, self.defaults.get(key))
        if value is None:
            raise ValueError(f"{self.name}: got no {key!r}, expected it beside {listed(sorted(self.entries))}")
        like = self.defaults.get(key, 1)  # what has no default is a size
        kinds = (int, float) if type(like) is float else (type(like),)
        if type(value) not in kinds and not isinstance(like, dict):
            raise ValueError(f"{self.name}, {key}: got {value!r:.60}, expected {kinds[-1].__name__}")
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self.entries.get(key, default)

    def within(self, key: str, defaults: Mapping[str, Any]) -> "_Entries":
        """The configuration under `key`."""
        entries = self.get(key)
        if not isinstance(entries, Mapping):
            raise ValueError(
                f"{self.name}, {key}: got {entries!r:.60}, expected entries beside {listed(sorted(self.entries))}"
            )
        return _Entries(key, entries, defaults)

    def only(self, *supported: Mapping[str, Any]) -> None:
        """Raises an error if an entry has another value than the one that this head supports."""
        for key, value in {key: value for one in supported for key, value in one.items()}.items():
            got = self.get(key, self.defaults.get(key, value))
            if value is not ... and got != value:
                silent = "" if key in self.entries else f", which is what upstream does without the entry {key!r}"
                raise ValueError(
                    f"{self.name}, {key}: got {got!r:.60}{silent}, expected {value!r}, the only value that this head "
                    "supports"
                )

    def knows(self, *supported: Mapping[str, Any]) -> None:
        """Raises an error if there is an entry of which nobody here knows what it does."""
        known = {key for one in (self.defaults, *supported) for key in one}
        if unknown := sorted(set(self.entries) - known):
            raise ValueError(f"{self.name}: got the entries {listed(unknown)}, expected only {listed(sorted(known))}")


def _heads(name: str, width: int, head_width: int) -> int:
    if head_width < 1 or width % head_width:
        raise ValueError(f"{name}: got {head_width}, expected a divisor of {width}")
    return width // head_width
