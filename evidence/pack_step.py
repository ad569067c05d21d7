"""LeRobot's own packing step of N1.5: where actions are padded and the masks are made.

    lerobot 0.4.4, src/lerobot/policies/groot/processor_groot.py, `GrootPackInputsStep`

Its file also holds the tokenizer's step and the pipelines around both, which ask for much that is not here. So what
the file only mentions is replaced by a name, as `loader` does for the heads; the step itself is the released code.
"""

import importlib
import sys
from dataclasses import dataclass

import torch

from evidence import released_heads as loader
from evidence.released_heads import OLDER, Bag


@dataclass(frozen=True, eq=False)
class Packed:
    """What the step makes of a batch.

    Attributes:
        action: `batch, 16, 32`.
        action_mask: the same, bool, True = real, says the step.
        language: the instruction that goes on to the tokenizer.
    """

    action: torch.Tensor
    action_mask: torch.Tensor
    language: str


def pack(action: torch.Tensor, task: list[str]) -> Packed:
    """Packs actions (batch, step, dim) and one instruction a sample. Nothing is normalised."""
    with loader._packages(OLDER):
        _stand_in_for_pipelines()
        module = importlib.import_module("lerobot.policies.groot.processor_groot")
        key = module.TransitionKey
        given = {key.OBSERVATION: {}, key.ACTION: action, key.COMPLEMENTARY_DATA: {"task": list(task)}}
        done = module.GrootPackInputsStep(normalize_min_max=False)(given)
    more = done[key.COMPLEMENTARY_DATA]
    return Packed(done[key.ACTION], more["action_mask"], more["language"])


def _stand_in_for_pipelines() -> None:
    names = "AddBatchDimensionProcessorStep DeviceProcessorStep RenameObservationsProcessorStep PolicyAction"
    registry = Bag(register=lambda name: lambda step: step)
    for package in ("lerobot.configs", "lerobot.processor"):
        loader._stand_in(package)
        sys.modules[package].__path__ = [str(OLDER.joinpath(*package.split(".")))]
    processor = sys.modules["lerobot.processor"]
    vars(processor).update(dict.fromkeys(names.split(), object))
    vars(processor).update(PolicyProcessorPipeline=dict, ProcessorStep=object, ProcessorStepRegistry=registry)
    loader._stand_in("lerobot.processor.converters", policy_action_to_transition=None, transition_to_policy_action=None)
    vars(sys.modules["lerobot.policies.groot.configuration_groot"]).update(GrootConfig=object)
