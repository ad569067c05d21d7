"""LeRobot's packing step of N1.5, in which actions are padded and the masks are made.

    lerobot 0.4.4, src/lerobot/policies/groot/processor_groot.py, `GrootPackInputsStep`

The file of this step also holds the step of the tokenizer and the pipelines around both, which need packages that are
not installed here. So names that the file only mentions are replaced, as `heads` does; the step itself is the released
code.
"""

import importlib
import sys
from dataclasses import dataclass

import torch

from evidence.released import OLDER
from evidence.released.heads import Bag, packages, stand_in


@dataclass(frozen=True, eq=False)
class Packed:
    """What the step makes of a batch.

    Attributes:
        action: `batch, 16, 32`.
        action_mask: the same shape, bool, True = the step calls this entry real.
        language: the instruction that goes on to the tokenizer.
    """

    action: torch.Tensor
    action_mask: torch.Tensor
    language: str


def pack(action: torch.Tensor, task: list[str], stats: dict | None = None) -> Packed:
    """Packs actions (batch, step, dim) and one instruction a sample. They are normalised if there are `stats`."""
    with packages(OLDER):
        _stand_in_for_pipelines()
        module = importlib.import_module("lerobot.policies.groot.processor_groot")
        key = module.TransitionKey
        given = {key.OBSERVATION: {}, key.ACTION: action, key.COMPLEMENTARY_DATA: {"task": list(task)}}
        step = module.GrootPackInputsStep(normalize_min_max=False)
        # A dataclass upstream; with the stand-ins it keeps its fields all the same.
        step.normalize_min_max, step.stats = stats is not None, {module.ACTION: stats} if stats else None
        done = step(given)
    more = done[key.COMPLEMENTARY_DATA]
    return Packed(done[key.ACTION], more["action_mask"], more["language"])


def _stand_in_for_pipelines() -> None:
    """Gives a name to everything that the file mentions and the step does not use."""
    names = "AddBatchDimensionProcessorStep DeviceProcessorStep RenameObservationsProcessorStep PolicyAction"
    registry = Bag(register=lambda name: lambda step: step)
    for package in ("lerobot.configs", "lerobot.processor"):
        stand_in(package)
        sys.modules[package].__path__ = [str(OLDER.joinpath(*package.split(".")))]
    processor = sys.modules["lerobot.processor"]
    vars(processor).update(dict.fromkeys(names.split(), object))
    vars(processor).update(PolicyProcessorPipeline=dict, ProcessorStep=object, ProcessorStepRegistry=registry)
    stand_in("lerobot.processor.converters", policy_action_to_transition=None, transition_to_policy_action=None)
    vars(sys.modules["lerobot.policies.groot.configuration_groot"]).update(GrootConfig=object)
