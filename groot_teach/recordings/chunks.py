"""How a chunk is cut out of an episode.

An episode is a recording of one task from start to end: `step, action_dim`. A policy predicts a short piece of it, a
**chunk** of `action_horizon` steps. A chunk that begins near the end of the episode is longer than what is left of it.
The missing steps are padding: copies of the last step, marked True in `action_is_pad`. Toy episodes and recorded ones
are cut by the same function.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.checks import at_least_1
from groot_teach.padding import ActionChunk
from groot_teach.shapes import checked


@checked
def chunk_at(
    episode_actions: Float[Tensor, "step action_dim"], start: int, action_horizon: int, task: str = ""
) -> ActionChunk:
    """Cuts the chunk that begins at step `start`; past the end of the episode its last step is repeated.

    The first step of a chunk is always a real one, so no chunk consists of padding alone.

    Raises:
        ValueError: `start` is not a step of the episode, or `action_horizon` is less than 1.

    Source: huggingface/lerobot at 7427f318, `src/lerobot/datasets/dataset_reader.py` 247-256, which clamps indices to
    the last frame of the episode and marks the clamped ones in `action_is_pad`. We differ: upstream can also ask for
    steps before the first frame, and clamps those too. Our chunks begin at `start`.
    """
    steps = episode_actions.shape[0]
    if not 0 <= start < steps:
        raise ValueError(f"start: got {start}, expected 0 to {steps - 1}, a step of this episode of {steps} steps")
    at_least_1("action_horizon", action_horizon)
    index = torch.arange(start, start + action_horizon, device=episode_actions.device)
    return ActionChunk(
        actions=episode_actions[index.clamp(max=steps - 1)],
        action_is_pad=index >= steps,
        task=task,
    )
