"""Real-time chunking: while a robot still carries out an action chunk, the next one begins with the end of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.shapes import checked, expect_same


@checked
@dataclass(frozen=True, eq=False)
class Overlap:
    """Where the sampler of a new chunk starts, and how freely it may move each step.

    Attributes:
        start: `batch, action_horizon, padded_dim`: noise, except for the steps that overlap with the previous chunk,
            which are copied from it.
        strength: `batch, action_horizon, 1`: what velocities are multiplied by: 0 = frozen, 1 = free.
    """

    start: Float[Tensor, "batch action_horizon padded_dim"]
    strength: Float[Tensor, "batch action_horizon 1"]


@checked
def real_time_chunk(
    noise: Float[Tensor, "batch action_horizon padded_dim"],
    previous: Float[Tensor, "batch previous_horizon padded_dim"],
    overlap: int,
    frozen: int,
    ramp_rate: float = 6.0,
    previous_horizon: int | None = None,
) -> Overlap:
    """N1.7's real-time chunking: the new chunk begins with the last `overlap` steps of `previous`.

    `previous_horizon` says how many steps of `previous` count, if those behind them are padding: upstream's option
    `action_horizon`. None = all of them.

    The first `frozen` of them stay as they are. Over the others of the overlap the strength rises from 0 to 1 along an
    exponential, the more steeply the larger `ramp_rate` is.

    Raises:
        ValueError: not `0 <= frozen <= overlap <=` the steps of both chunks, a `ramp_rate` that is not positive, or
            different dtypes or devices.

    Source: huggingface/lerobot 0.6.1, `groot_n1_7.py` 662-679.
    """
    expect_same("dtype", noise=noise, previous=previous)
    expect_same("device", noise=noise, previous=previous)
    if previous_horizon is not None:
        if not 1 <= previous_horizon <= previous.shape[1]:
            got = f"got {previous_horizon}, expected 1 to {previous.shape[1]}, the steps of previous"
            raise ValueError(f"previous_horizon: {got}")
        previous = previous[:, :previous_horizon]
    longest = min(noise.shape[1], previous.shape[1])
    if not 0 <= frozen <= overlap <= longest:
        raise ValueError(f"frozen, overlap: got {frozen}, {overlap}, expected 0 <= frozen <= overlap <= {longest}")
    if not ramp_rate > 0:
        raise ValueError(f"ramp_rate: got {ramp_rate}, expected more than 0")
    start, strength = noise.clone(), torch.ones_like(noise[..., :1])
    start[:, :overlap] = previous[:, previous.shape[1] - overlap :]
    strength[:, :frozen] = 0
    ramp = 1 - torch.exp(-ramp_rate * torch.linspace(0, 1, overlap - frozen + 2, device=noise.device))
    strength[:, frozen:overlap] = (ramp / ramp[-1])[1:-1, None].to(noise.dtype)
    return Overlap(start, strength)
