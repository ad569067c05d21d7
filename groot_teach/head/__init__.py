"""The action head of a GR00T-style policy: the network that turns what a robot sees into a chunk of actions.

    config        the sizes of a head
    action_head   the head, stage by stage, with a switch at each stage where a mask belongs
    dit           its transformer
    released      weights, checkpoints and configurations of the heads that LeRobot and NVIDIA released
    trace         which function receives a mask, and which one reads it
    stage_probes  one probe for each leak, which looks at its stage from inside

`released` is a package: `from groot_teach.head import released`. The names that users need from the other modules can
be imported from here.
"""

from groot_teach.head.action_head import ActionHead, HeadAnswer, HeadLoss, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.head.stage_probes import leaks_found
from groot_teach.head.trace import Use, Uses, readers, trace_masks

__all__ = [
    "ActionHead",
    "HeadAnswer",
    "HeadConfig",
    "HeadLoss",
    "Observation",
    "Use",
    "Uses",
    "leaks_found",
    "readers",
    "trace_masks",
]
