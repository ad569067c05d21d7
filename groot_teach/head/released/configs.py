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
) -> HeadConfig:
    """The sizes of a released head, read from the shapes of its weights. The other arguments cannot be read from them.

    Args:
        weights: upstream's name -> tensor, as `read_action_head` returns them.
        head_width: the width of one attention head of the DiT.
        vl_head_width: the width of one attention head of the VL self-attention. Both defaults are those of the
            released configurations.
        attend_text_every_n_blocks: as in `HeadConfig`: 2 for N1.6 and N1.7, None for N1.5.

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
        attend_text_every_n_blocks=attend_text_every_n_blocks,
        # Keys of self-attention are as wide as its queries. If tokens have that width too, both kinds of block look the
        # same, and we assume that they alternate, as in GR00T.
        interleave=shapes.get("model.transformer_blocks.1.attn1.to_k.weight", (0, width))[1] == width,
        adaptive="model.transformer_blocks.0.norm1.linear.weight" in shapes,
        vl_norm="vlln.weight" in shapes,
        decoders=tuple((name, size(f"action_{name}_decoder.layer2.W", 2)) for name in groups) or None,
    )


@checked
def config_n1_5(config: Mapping[str, Any]) -> HeadConfig:
    """The sizes in the configuration of N1.5's head (`action_head_cfg` in the checkpoint's `config.json`).

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
        attend_text_every_n_blocks=None,
        vl=vl,
        vl_norm=vl is not None,
    )


@checked
def config_n1_7(config: Mapping[str, Any]) -> HeadConfig:
    """The sizes in the configuration of N1.7 (the checkpoint's `config.json`).

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
        attend_text_every_n_blocks=c["attend_text_every_n_blocks"] if c["use_alternate_vl_dit"] else None,
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
    """The part of the sizes that N1.5 and N1.7 name alike. A missing entry means upstream's own default."""
    d = c.within("diffusion_model_cfg")
    d.only({"norm_elementwise_affine": False}, _BLOCKS)
    if d.get("positional_embeddings", "sinusoidal") is not None:
        raise ValueError(
            "diffusion_model_cfg, positional_embeddings: got no such entry, expected null; without it, "
            "upstream adds sinusoidal embeddings, which this head does not have"
        )
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
            raise ValueError(f"diffusion_model_cfg, {name}: got {got}, expected {expected}, as elsewhere in the config")
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
    """A configuration, and its name for error messages."""

    name: str
    entries: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        if key not in self.entries:
            raise ValueError(f"{self.name}: got no {key!r}, expected it beside {listed(sorted(self.entries))}")
        return self.entries[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.entries.get(key, default)

    def within(self, key: str) -> "_Entries":
        """The configuration under `key`."""
        return _Entries(key, self[key])

    def only(self, *supported: Mapping[str, Any]) -> None:
        """Raises an error if an entry has another value than the one that this head supports."""
        for key, value in {key: value for one in supported for key, value in one.items()}.items():
            if self.get(key, value) != value:
                raise ValueError(
                    f"{self.name}, {key}: got {self.get(key)!r}, expected {value!r}, the only value that this head "
                    "supports"
                )


def _heads(name: str, width: int, head_width: int) -> int:
    if head_width < 1 or width % head_width:
        raise ValueError(f"{name}: got {head_width}, expected a divisor of {width}")
    return width // head_width
