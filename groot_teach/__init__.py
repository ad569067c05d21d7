"""Masks and padding in GR00T-style robot policies: an auditor for any policy, and the code behind the book.

The names below are what most users import. Each of them is loaded when it is first asked for, so `import groot_teach`
is quick, and a name that needs an optional package says so only to those who use it.

The rest is in modules with one topic each: first the ideas, `embodiments`, `padding`, `masks`, `flow`, `loss` and
`attention`; then `recordings`, `head`, `audit`, `bugs` and `training`; `show` and `chapters` draw and teach.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from groot_teach.extras import needed_for

if TYPE_CHECKING:
    from groot_teach.attention import cross_attention
    from groot_teach.audit import Answer, MaskReport, Padding, Tap, audit_masks
    from groot_teach.chapters import check, hint, hints, on_paper, progress, solution
    from groot_teach.embodiments import Embodiment
    from groot_teach.flow import interpolate, velocity_target
    from groot_teach.head.action_head import ActionHead
    from groot_teach.head.config import HeadConfig
    from groot_teach.loss import masked_velocity_loss
    from groot_teach.masks import (
        GROOT_N1_5,
        GROOT_N1_6,
        GROOT_N1_7,
        PRESETS,
        STRICT,
        Masking,
        from_action_is_pad,
    )
    from groot_teach.padding import action_mask_dims_and_steps, collate_chunks
    from groot_teach.recordings import open_dataset, read_episode
    from groot_teach.show import explore

__version__ = "0.2.0"

__all__ = [
    "GROOT_N1_5",
    "GROOT_N1_6",
    "GROOT_N1_7",
    "PRESETS",
    "STRICT",
    "ActionHead",
    "Answer",
    "Embodiment",
    "HeadConfig",
    "MaskReport",
    "Masking",
    "Padding",
    "Tap",
    "__version__",
    "action_mask_dims_and_steps",
    "audit_masks",
    "check",
    "collate_chunks",
    "cross_attention",
    "explore",
    "from_action_is_pad",
    "hint",
    "hints",
    "interpolate",
    "masked_velocity_loss",
    "on_paper",
    "open_dataset",
    "progress",
    "read_episode",
    "solution",
    "velocity_target",
]

# Where each of these names is defined. A type checker reads the imports above instead; a test holds the two together.
_NAMES_IN = {
    "attention": "cross_attention",
    "audit": "Answer MaskReport Padding Tap audit_masks",
    "chapters": "check hint hints on_paper progress solution",
    "embodiments": "Embodiment",
    "flow": "interpolate velocity_target",
    "head.action_head": "ActionHead",
    "head.config": "HeadConfig",
    "loss": "masked_velocity_loss",
    "masks": "GROOT_N1_5 GROOT_N1_6 GROOT_N1_7 PRESETS STRICT Masking from_action_is_pad",
    "padding": "action_mask_dims_and_steps collate_chunks",
    "recordings": "open_dataset read_episode",
    "show": "explore",
}
_MODULE_OF = {name: f"groot_teach.{module}" for module, names in _NAMES_IN.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'groot_teach' has no attribute {name!r}")
    with needed_for(f"groot_teach.{name}"):
        value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
