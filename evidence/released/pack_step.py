"""LeRobot's packing steps of N1.5 and N1.7, in which actions are padded and the masks are made; and its normalizer.

    N1.5         lerobot 0.4.4, src/lerobot/policies/groot/processor_groot.py, `GrootPackInputsStep`
    N1.7         lerobot 0.6.1, the same file, `GrootN17PackInputsStep`
    normalizer   lerobot 0.6.1, src/lerobot/processor/normalize_processor.py, `NormalizerProcessorStep`

The files of these steps also hold the steps of the tokenizer and the pipelines around all of them, which need packages
that are not installed here. So names that the files only mention are replaced, as `heads` does; the steps themselves
are the released code.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from evidence.released import NEWER, OLDER
from evidence.released.heads import Bag, packages, stand_in

PIPELINE = {
    "ProcessorStep": object,
    "ProcessorStepRegistry": Bag(register=lambda name: lambda step: step),
    "PolicyProcessorPipeline": dict,
}
"""What the steps need of LeRobot's pipelines: a class to inherit from, and a registry that registers nothing."""

VISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.v2", "torchvision.transforms.v2.functional")
STRANGERS = ("cv2", *VISION)
"""Packages that the files import for pictures, which no test here has."""


@dataclass(frozen=True, eq=False)
class Packed:
    """What a packing step makes of a batch.

    Attributes:
        action: `batch, 16, 32` from N1.5; `batch, action_horizon, max_action_dim` from N1.7.
        action_mask: the same shape, True or 1 = the step calls this entry real; bool from N1.5, float from N1.7.
        language: the instruction that goes on to the tokenizer; from N1.7 one for each sample.
    """

    action: torch.Tensor
    action_mask: torch.Tensor
    language: Any


def pack(action: torch.Tensor, task: list[str], stats: dict | None = None) -> Packed:
    """N1.5: packs actions (batch, step, dim) and one instruction a sample. They are normalised if there are `stats`."""
    with _processors(OLDER) as module:
        step = module.GrootPackInputsStep(normalize_min_max=False)
        # A dataclass upstream; with the stand-ins it keeps its fields all the same.
        step.normalize_min_max, step.stats = stats is not None, {module.ACTION: stats} if stats else None
        return _packed(module, step, action, {"task": list(task)})


def pack_n1_7(action: torch.Tensor, action_is_pad: torch.Tensor | None = None, **options: Any) -> Packed:
    """N1.7: packs actions (batch, step, dim), some steps of which may be filled in.

    Args:
        action: in the units of the recording, if `options` hold statistics.
        action_is_pad: `batch, step`, True = filled in; None = the dataset does not say.
        options: fields of the step, such as `valid_action_horizon`, `stats` and `clip_outliers`.
    """
    with _processors(NEWER) as module:
        step = module.GrootN17PackInputsStep(**options)
        more = {} if action_is_pad is None else {f"{module.ACTION}_is_pad": action_is_pad}
        return _packed(module, step, action, more | {"task": ["x"] * len(action)})


def unpack(action: torch.Tensor, stats: dict) -> torch.Tensor:
    """N1.5: sampled actions (batch, dim) in the units of the recording."""
    with _processors(OLDER) as module:
        step = module.GrootActionUnpackUnnormalizeStep()
        step.env_action_dim, step.normalize_min_max, step.stats = 0, True, {module.ACTION: stats}
        return step({module.TransitionKey.ACTION: action})[module.TransitionKey.ACTION]


def unpack_n1_7(action: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """N1.7: sampled actions in the units of the recording; `low` and `high` are what -1 and 1 stand for."""
    with _processors(NEWER) as module:
        return torch.from_numpy(module._unnormalize_min_max(action.numpy(), low.numpy(), high.numpy()))


def normalize(action: torch.Tensor, mode: str, stats: Mapping[str, torch.Tensor], *, inverse: bool = False) -> Any:
    """LeRobot's own normalizer, which its other policies use: `mode` is "MIN_MAX", "MEAN_STD" or "QUANTILES"."""
    with packages(NEWER):
        _stand_in_for_pipelines(NEWER)
        types: Any = importlib.import_module("lerobot.configs.types")
        vars(sys.modules["lerobot.configs"]).update(vars(types))
        stand_in("lerobot.processor.pipeline", **PIPELINE, RobotObservation=dict)
        module: Any = importlib.import_module("lerobot.processor.normalize_processor")
        feature = types.PolicyFeature(type=types.FeatureType.ACTION, shape=action.shape[-1:])
        how = {types.FeatureType.ACTION: types.NormalizationMode[mode]}
        step = module.NormalizerProcessorStep({module.ACTION: feature}, how, {module.ACTION: dict(stats)})
        return step._normalize_action(action, inverse=inverse)


def _packed(module: Any, step: Any, action: torch.Tensor, more: dict) -> Packed:
    key = module.TransitionKey
    done = step({key.OBSERVATION: {}, key.ACTION: action, key.COMPLEMENTARY_DATA: more})
    more = done[key.COMPLEMENTARY_DATA]
    return Packed(done[key.ACTION], more["action_mask"], more["language"])


@contextmanager
def _processors(root: Path) -> Iterator[Any]:
    """The file of a release that holds its packing step."""
    before = {name: sys.modules[name] for name in STRANGERS if name in sys.modules}
    with packages(root):
        _stand_in_for_pipelines(root)
        try:
            for name in STRANGERS:
                sys.modules[name] = _mentioned(name)
                parent, _, child = name.rpartition(".")
                if parent:
                    setattr(sys.modules[parent], child, sys.modules[name])
            yield importlib.import_module("lerobot.policies.groot.processor_groot")
        finally:
            for name in STRANGERS:
                del sys.modules[name]
            sys.modules.update(before)


def _stand_in_for_pipelines(root: Path) -> None:
    """Gives a name to everything that the files mention and the steps do not use."""
    for package in ("lerobot.configs", "lerobot.processor"):
        sys.modules[package] = _mentioned(package)
        sys.modules[package].__path__ = [str(root.joinpath(*package.split(".")))]
    vars(sys.modules["lerobot.processor"]).update(PIPELINE)
    sys.modules["lerobot.policies.groot.configuration_groot"] = _mentioned("lerobot.policies.groot.configuration_groot")
    sys.modules["lerobot.utils.device_utils"] = _mentioned("lerobot.utils.device_utils")
    vars(sys.modules["lerobot.utils.import_utils"]).update(_datasets_available=False)
    if root == OLDER:
        converters = "lerobot.processor.converters"
        stand_in(converters, policy_action_to_transition=None, transition_to_policy_action=None)


def _mentioned(name: str) -> ModuleType:
    """A module in which every name is there, and stands for nothing."""
    module = ModuleType(name)
    vars(module)["__getattr__"] = lambda attribute: object
    vars(module)["__path__"] = []
    return module
