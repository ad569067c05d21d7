"""LeRobot's two GR00T action heads, tiny and with random weights.

A head does not need the hundreds of MB that LeRobot asks for. So only the files of the head are imported, one by one:
the packages above them get a path and no `__init__`, and a name that a head only mentions is replaced.

    N1.5   huggingface/lerobot v0.4.4, src/lerobot/policies/groot/action_head/
    N1.7   huggingface/lerobot 0.6.1, src/lerobot/policies/groot/groot_n1_7.py and action_head/
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from evidence.released import NEWER, OLDER

HORIZON, DIMS, WIDTH, TOKENS, STATE = 5, 11, 20, 7, 13
"""Sizes of the tiny heads: action steps, padded action dims, width and number of vision-language tokens, state dims."""


class Bag(dict):
    """A dict whose entries can also be read as attributes. The heads use no more than this of `BatchFeature`."""

    def __init__(self, data: dict | None = None, **more):
        super().__init__(data or {}, **more)

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def draw(seed: int, *shape: int) -> torch.Tensor:
    """Normal numbers in float64. The same seed gives the same numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def head_n1_5(vl_layers: int = 1, blocks: dict | None = None, vl_blocks: dict | None = None, **changes) -> Any:
    """A tiny N1.5 head with random weights, in float64, in eval mode.

    Args:
        vl_layers: number of layers of VL self-attention.
        blocks, vl_blocks: what is changed in the configuration of the DiT and in that of the VL self-attention.
        changes: what is changed elsewhere in the configuration.
    """
    with packages(OLDER):
        module: Any = importlib.import_module("lerobot.policies.groot.action_head.flow_matching_action_head")
        module.BatchFeature = Bag
        config = _config(vl_layers, blocks, vl_blocks, {"action_dim": DIMS, "num_target_vision_tokens": 2} | changes)
        config.diffusion_model_cfg["cross_attention_dim"] = config.backbone_embedding_dim
        return module.FlowmatchingActionHead(config).double().eval()


def head_n1_7(vl_layers: int = 0, blocks: dict | None = None, vl_blocks: dict | None = None, **changes) -> Any:
    """A tiny N1.7 head with random weights, in float64, in eval mode; arguments as of `head_n1_5`."""
    with packages(NEWER):
        module: Any = importlib.import_module("lerobot.policies.groot.groot_n1_7")
        module.BatchFeature = Bag
        own = {
            "max_action_dim": DIMS,
            "state_history_length": 1,
            "use_alternate_vl_dit": True,
            "attend_text_every_n_blocks": 2,
            "state_dropout_prob": 0.0,
            "tune_vlln": True,
        }
        return module.GR00TN17ActionHead(_config(vl_layers, blocks, vl_blocks, own | changes)).double().eval()


def _config(vl_layers: int, blocks: dict | None, vl_blocks: dict | None, changes: dict) -> SimpleNamespace:
    """All that the heads read of their configuration. They only look attributes up, so a namespace is enough."""
    config = {
        "hidden_size": 12,
        "input_embedding_dim": 16,
        "backbone_embedding_dim": WIDTH,
        "max_state_dim": STATE,
        "action_horizon": HORIZON,
        "max_num_embodiments": 3,
        "num_inference_timesteps": 4,
        "num_timestep_buckets": 1000,
        "noise_beta_alpha": 1.5,
        "noise_beta_beta": 1.0,
        "noise_s": 0.999,
        "add_pos_embed": True,
        "max_seq_len": 64,
        "use_vlln": True,
        "tune_projector": True,
        "tune_diffusion_model": True,
        "expand_batch": None,
    } | changes
    one_block = {"num_attention_heads": 2, "dropout": 0.0, "final_dropout": False, "positional_embeddings": None}
    config["diffusion_model_cfg"] = {
        **one_block,
        "num_layers": 8,
        "attention_head_dim": config["input_embedding_dim"] // 2,
        "output_dim": config["hidden_size"],
        "interleave_self_attention": True,
        **(blocks or {}),
    }
    config["vl_self_attention_cfg"] = {
        **one_block,
        "num_layers": vl_layers,
        "attention_head_dim": config["backbone_embedding_dim"] // 2,
        **(vl_blocks or {}),
    }
    return SimpleNamespace(**config)


@contextmanager
def packages(root: Path) -> Iterator[None]:
    """Inside this context, `import lerobot...` finds the release below `root`.

    When the context is left, all of it is taken out of `sys.modules`, and what was there before is put back.
    """
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "lerobot"}
    try:
        for name in ("", ".utils", ".policies", ".policies.groot", ".policies.groot.action_head"):
            package = ModuleType(f"lerobot{name}")
            package.__path__ = [str(root.joinpath("lerobot", *name.split(".")))]
            sys.modules[package.__name__] = package
        stand_in(
            "lerobot.utils.import_utils",
            _transformers_available=False,
            _diffusers_available=True,
            require_package=lambda *names, **more: None,
        )
        stand_in(
            "lerobot.policies.groot.configuration_groot",
            N1_7_DEFAULT_IMAGE_CROP_SIZE=None,
            N1_7_DEFAULT_IMAGE_TARGET_SIZE=None,
        )
        yield
    finally:
        for name in [*sys.modules]:
            if name.split(".")[0] == "lerobot":
                del sys.modules[name]
        sys.modules.update(before)


def stand_in(name: str, **attributes) -> None:
    """Puts a module that has only these attributes into `sys.modules`."""
    module = ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
