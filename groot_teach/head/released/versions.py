"""Which version of GR00T a checkpoint is, and everything that follows from that: sizes, masks, steps of inference.

Two things say the version: `config.json`, if it lies beside the weights, and the weights themselves, because only N1.5
has future tokens, and N1.6 has no VL self-attention. Where the two disagree, with each other or with what the caller
says, there is an error: a head with the masks of another version is a head that nobody has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from groot_teach.head.config import HeadConfig
from groot_teach.head.released.checkpoint import checkpoint_folder, read_action_head, read_json
from groot_teach.head.released.configs import (
    N1_6_DEFAULTS,
    N1_7_DEFAULTS,
    config_from_weights,
    config_n1_5,
    config_n1_6,
    config_n1_7,
)
from groot_teach.masks import (
    GROOT_N1_5,
    GROOT_N1_6,
    GROOT_N1_6_PLAIN_DIT,
    GROOT_N1_7,
    GROOT_N1_7_PLAIN_DIT,
    PR_741,
    Masking,
)
from groot_teach.shapes import checked

Version = Literal["N1.5", "N1.6", "N1.7"]
MODEL_TYPES: dict[str, Version] = {"gr00t_n1_5": "N1.5", "Gr00tN1d6": "N1.6", "Gr00tN1d7": "N1.7"}
"""`model_type` in the `config.json` of a checkpoint."""

SIZES = (
    "padded_dim", "state_dim", "token_width", "width", "hidden", "layers", "vl_layers", "embodiments", "future_tokens",
    "max_steps", "adaptive", "vl_norm", "dropped_state_token",
)  # fmt: skip
"""What both `config.json` and the shapes of the weights say."""

STEPS = 4
"""Euler steps at inference in every released checkpoint, where none says otherwise."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The action head of a checkpoint, before it is built.

    Attributes:
        version: of GR00T.
        config: the sizes of the head.
        masking: the stages at which this version obeys its masks.
        weights: upstream's name -> tensor, as `load_upstream` takes them.
        inference_steps: how many Euler steps the sampler takes.
        action_horizon: how many steps its action chunks have; None if the checkpoint does not say.
    """

    version: Version
    config: HeadConfig
    masking: Masking
    weights: dict[str, Tensor]
    inference_steps: int
    action_horizon: int | None


@checked
def read_checkpoint(
    path: str | Path,
    version: Version | None = None,
    head_width: int | None = None,
    vl_head_width: int | None = None,
    state_history: int | None = None,
) -> Checkpoint:
    """Reads the action head of a checkpoint, and what its `config.json` says about it.

    Args:
        path: as in `read_action_head`.
        version: the version, if neither `config.json` nor the weights can say it.
        head_width, vl_head_width: how wide one attention head of the DiT and of the VL self-attention is, if
            `config.json` does not say it; None = 48 and 64, as in the released checkpoints.
        state_history: how many states the head is given, if `config.json` does not say it; None = 1.

    Raises:
        FileNotFoundError, ImportError, ValueError: as `read_action_head`.
        ValueError: nothing tells N1.6 from N1.7; the caller, `config.json` and the weights disagree about the version
            or about a size; or the head has something that this book's head does not have.
    """
    weights = read_action_head(path)
    entries = _read_config(checkpoint_folder(Path(path)))
    found, said = _version_in(entries), _versions_of(weights)
    if found is not None and version not in (None, found):
        raise ValueError(f"version: got {version}, and config.json says {found}, expected the same")
    version = version or found or (said[0] if len(said) == 1 else None)
    if version is None:
        raise ValueError(
            "version: got none, and there is no config.json beside the weights that says it, expected one of "
            f"{', '.join(said)}, which have such weights"
        )
    if version not in said:
        raise ValueError(f"version: got {version}, and the weights are those of {_why(said)}")
    given = {"head_width": head_width, "vl_head_width": vl_head_width, "state_history": state_history}
    if not entries:
        config = config_from_weights(
            weights,
            head_width=head_width or 48,
            vl_head_width=vl_head_width or 64,
            attend_text_every_n_blocks=None if version == "N1.5" else 2,
            state_history=state_history or 1,
        )
        masking = {"N1.5": GROOT_N1_5, "N1.6": GROOT_N1_6, "N1.7": GROOT_N1_7}[version]
        return Checkpoint(version, config, masking, weights, STEPS, None)
    config = {"N1.5": config_n1_5, "N1.6": config_n1_6, "N1.7": config_n1_7}[version](entries)
    says = {
        "head_width": config.width // config.heads,
        "vl_head_width": config.token_width // config.vl_heads,
        "state_history": config.state_history,
    }
    for name, value in given.items():
        if value is not None and value != says[name]:
            raise ValueError(f"{name}: got {value}, and config.json says {says[name]}, expected the same")
    _agree(config, config_from_weights(weights, **says, attend_text_every_n_blocks=config.attend_text_every_n_blocks))
    defaults: Mapping[str, Any] = {"N1.5": {}, "N1.6": N1_6_DEFAULTS, "N1.7": N1_7_DEFAULTS}[version]
    steps = _count(entries, "num_inference_timesteps", STEPS)
    horizon = _count(entries, "action_horizon", defaults.get("action_horizon"))
    return Checkpoint(version, config, _masking(version, entries), weights, steps, horizon)


def _agree(config: HeadConfig, of_weights: HeadConfig) -> None:
    """Compares the sizes before a head is built: one that config.json makes too large would fill the memory."""
    for name in SIZES:
        got, expected = getattr(config, name), getattr(of_weights, name)
        if got != expected:
            raise ValueError(
                f"config.json: {name}, as this book calls it: got {got!r:.60}, expected {expected}, as in the weights"
            )


def _read_config(path: Path) -> dict[str, Any]:
    """What `config.json` says about the head; empty without such a file, or where it says nothing about heads."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file():
        return {}
    config = read_json(file)
    if "action_head_cfg" in config:
        head = config["action_head_cfg"]
        if not isinstance(head, dict):
            raise ValueError(f"config.json: action_head_cfg: got {head!r:.60}, expected an object")
        return head | {"model_type": config.get("model_type", "gr00t_n1_5")}
    if config.get("type") == "groot":  # LeRobot's own file has no sizes of the head
        return {}
    return config


def _version_in(entries: Mapping[str, Any]) -> Version | None:
    if not entries:
        return None
    model_type = entries.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        raise ValueError(f"config.json: model_type: got {model_type!r:.60}, expected one of {', '.join(MODEL_TYPES)}")
    return MODEL_TYPES[model_type]


def _versions_of(weights: Mapping[str, Tensor]) -> tuple[Version, ...]:
    """The versions that have such weights. N1.7 may do without VL self-attention, but has none of N1.6's tokens."""
    if "future_tokens.weight" in weights:
        return ("N1.5",)
    if any(name.startswith("vl_self_attention.") for name in weights):
        return ("N1.7",)
    return ("N1.6",) if "mask_token" in weights else ("N1.6", "N1.7")


def _why(said: tuple[Version, ...]) -> str:
    return {
        ("N1.5",): "N1.5, which has future tokens; no other version has them",
        ("N1.7",): "N1.7: they have VL self-attention, unlike N1.6, and no future tokens, unlike N1.5",
        ("N1.6",): "N1.6: they have a token for dropped states, which no other version has",
        ("N1.6", "N1.7"): "N1.6, or of N1.7 without VL self-attention: they have no future tokens, unlike N1.5",
    }[said]


def _masking(version: Version, entries: Mapping[str, Any]) -> Masking:
    if version == "N1.5":
        return GROOT_N1_5
    if entries.get("strict_action_padding_mask"):
        if version == "N1.6" or not entries.get("use_alternate_vl_dit", True):
            raise ValueError("config.json: strict_action_padding_mask: got true, expected it with N1.7's alternate DiT")
        return PR_741
    plain = not entries.get("use_alternate_vl_dit", True)
    if version == "N1.6":
        return GROOT_N1_6_PLAIN_DIT if plain else GROOT_N1_6
    return GROOT_N1_7_PLAIN_DIT if plain else GROOT_N1_7


def _count(entries: Mapping[str, Any], key: str, default: int | None) -> Any:
    value = entries.get(key)
    if value is None:
        return default
    if type(value) is not int or not 1 <= value <= 1000:
        raise ValueError(f"config.json: {key}: got {value!r:.60}, expected a whole number, 1 to 1000")
    return value
