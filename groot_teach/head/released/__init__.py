"""The released GR00T heads: their weights, checkpoint files, configurations, and random numbers.

*Upstream* is the code in which a GR00T head was released, by LeRobot or NVIDIA. A head of ours computes what the
released head of the same sizes computes, once it has its weights:

    found = read_checkpoint("my_checkpoint")                weights by upstream's names, and what config.json says
    head = ActionHead(found.config, found.masking, torch.Generator())
    load_upstream(head, found.weights)

    versions     which version a checkpoint is, with its sizes and its masks
    names        what each tensor is called upstream
    weights      weights from upstream into a head, and back
    checkpoint   the tensors of the head out of a checkpoint, without its backbone
    lora         adapters in a checkpoint, added to their layers or refused
    configs      a `HeadConfig` from weights, or from upstream's own configuration
    draws        the noise and the flow time that a released head draws in training
    real_time    real-time chunking: a new action chunk begins with the end of the previous one

Source: `FlowmatchingActionHead` in huggingface/lerobot v0.4.4, `policies/groot/action_head/`; `GR00TN17ActionHead` in
0.6.1, `policies/groot/groot_n1_7.py`. NVIDIA's files use the same names (read).
"""

from groot_teach.head.released.checkpoint import read_action_head
from groot_teach.head.released.configs import config_from_weights, config_n1_5, config_n1_6, config_n1_7
from groot_teach.head.released.draws import Draw, draw_like_upstream
from groot_teach.head.released.names import PARTS, upstream_name
from groot_teach.head.released.real_time import Overlap, real_time_chunk
from groot_teach.head.released.versions import Checkpoint, read_checkpoint
from groot_teach.head.released.weights import load_upstream, to_upstream

__all__ = [
    "PARTS",
    "Checkpoint",
    "Draw",
    "Overlap",
    "config_from_weights",
    "config_n1_5",
    "config_n1_6",
    "config_n1_7",
    "draw_like_upstream",
    "load_upstream",
    "read_action_head",
    "read_checkpoint",
    "real_time_chunk",
    "to_upstream",
    "upstream_name",
]
