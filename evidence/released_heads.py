"""LeRobot's two GR00T action heads, loaded from the released files and nothing else.

LeRobot asks for hundreds of MB that a head does not need, and N1.5 and N1.7 are in releases that cannot be installed
side by side. So `make upstream` puts each into a folder of its own, without dependencies, and here their files are
imported one by one: packages get a path and no `__init__`, what a head only mentions is replaced by a name, and
afterwards nothing of it is left in `sys.modules`.

    N1.5   huggingface/lerobot v0.4.4, src/lerobot/policies/groot/action_head/
    N1.7   huggingface/lerobot 0.6.1, src/lerobot/policies/groot/groot_n1_7.py and action_head/
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import nn

OLDER, NEWER = (Path(sys.prefix) / f"lerobot-{release}" for release in ("0.4.4", "0.6.1"))
"""Where `make upstream` puts the last release with N1.5, and one with N1.7."""

HORIZON, DIMS, WIDTH, TOKENS, STATE = 5, 11, 20, 7, 13
"""The sizes of the tiny heads: action steps, padded action dims, width and number of vision-language tokens, state."""


class Bag(dict):
    """A dict whose entries are attributes too: all that the heads use of transformers' `BatchFeature`."""

    def __init__(self, data: dict | None = None, **more):
        super().__init__(data or {}, **more)

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def draw(seed: int, *shape: int) -> torch.Tensor:
    """Normal numbers in float64, the same for the same seed."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def missing() -> str | None:
    """Why upstream cannot be loaded, or None."""
    for name, folder in (("diffusers", None), ("einops", None), ("lerobot", OLDER), ("lerobot", NEWER)):
        if PathFinder.find_spec(name, folder and [str(folder)]) is None:
            return f"{name if folder is None else folder.name} is not installed: run `make upstream`"
    return None


def head_n1_5(vl_layers: int = 1, blocks: dict | None = None, vl_blocks: dict | None = None, **changes) -> nn.Module:
    """A tiny N1.5 head with random weights, in float64, in eval mode.

    Args:
        vl_layers: of VL self-attention.
        blocks, vl_blocks: what to change in the configuration of the DiT and of the VL self-attention.
        changes: what to change elsewhere in the configuration.
    """
    with _packages(OLDER):
        module = importlib.import_module("lerobot.policies.groot.action_head.flow_matching_action_head")
        module.BatchFeature = Bag
        config = _config(vl_layers, blocks, vl_blocks, {"action_dim": DIMS, "num_target_vision_tokens": 2} | changes)
        config.diffusion_model_cfg["cross_attention_dim"] = config.backbone_embedding_dim
        return module.FlowmatchingActionHead(config).double().eval()


def head_n1_7(vl_layers: int = 0, blocks: dict | None = None, vl_blocks: dict | None = None, **changes) -> nn.Module:
    """A tiny N1.7 head with random weights, in float64, in eval mode; arguments as of `head_n1_5`."""
    with _packages(NEWER):
        module = importlib.import_module("lerobot.policies.groot.groot_n1_7")
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
    """What both heads read of their configuration. Heads only look attributes up, so a namespace will do."""
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
def _packages(root: Path) -> Iterator[None]:
    """While this is open, `lerobot` is the release below `root`."""
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "lerobot"}
    try:
        for name in ("", ".utils", ".policies", ".policies.groot", ".policies.groot.action_head"):
            package = ModuleType(f"lerobot{name}")
            package.__path__ = [str(root.joinpath("lerobot", *name.split(".")))]
            sys.modules[package.__name__] = package
        _stand_in(
            "lerobot.utils.import_utils",
            _transformers_available=False,
            _diffusers_available=True,
            require_package=lambda *names, **more: None,
        )
        _stand_in(
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


def _stand_in(name: str, **attributes) -> None:
    module = ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
