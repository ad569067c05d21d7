"""Wrong ways to reduce a masked loss, each found in somebody's code. **For showing, never for use.**

They share one signature, `(squared_error, mask)`, so that they can be laid side by side; the right way,
`loss.masked_velocity_loss`, does not, because to hand over the *squared* error is already the first mistake: an error
that is NaN in padding gets the gradient NaN there, whatever mask comes after the square.

Each says what it looks like from outside: none of them raises.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WrongLoss:
    """One exhibit.

    Attributes:
        name: what it does, in a few words.
        reduce: from `squared_error` (batch, action_horizon, action_dim) and a mask of the same shape, True = real, to a
            loss.
        symptom: what is seen from outside.
        source: where it was found, or "our own".
    """

    name: str
    reduce: Callable[[Tensor, Tensor], Tensor]
    symptom: str
    source: str


def _no_mask(squared_error: Tensor, mask: Tensor) -> Tensor:
    return squared_error.mean()


def _mean_over_everything(squared_error: Tensor, mask: Tensor) -> Tensor:
    return (squared_error * mask).mean()


def _divided_by_steps(squared_error: Tensor, mask: Tensor) -> Tensor:
    return (squared_error * mask).sum() / mask.any(dim=-1).sum()


def _steps_then_all_dims(squared_error: Tensor, mask: Tensor) -> Tensor:
    step_mask = mask.any(dim=-1, keepdim=True)
    return (squared_error * step_mask).sum() / (step_mask.sum() * squared_error.shape[-1])


def _counted_in_bfloat16(squared_error: Tensor, mask: Tensor) -> Tensor:
    return (squared_error * mask).sum() / mask.to(torch.bfloat16).sum()


def _counted_plus_epsilon(squared_error: Tensor, mask: Tensor) -> Tensor:
    return (squared_error * mask).sum() / (mask.sum() + 1e-6)


WRONG_LOSSES = (
    WrongLoss(
        "no mask at all",
        _no_mask,
        "padded dims are fitted as well; the loss falls all the same",
        "a user's patch that adds the mask, https://github.com/Physical-Intelligence/openpi/pull/871; openpi itself "
        "supervises padding on purpose",
    ),
    WrongLoss(
        "masked, then the mean over everything",
        _mean_over_everything,
        "the loss is too small by the real part of the batch, a factor that changes from batch to batch",
        "huggingface/lerobot issue 3353 (ACT, Diffusion, MultiTaskDiT), https://github.com/huggingface/lerobot/issues/3353",
    ),
    WrongLoss(
        "entries summed, steps counted",
        _divided_by_steps,
        "the loss is too large by the number of real dims",
        "the first fix of that, found in review, https://github.com/huggingface/lerobot/pull/3377",
    ),
    WrongLoss(
        "steps masked, dims not",
        _steps_then_all_dims,
        "padded dims are fitted, wherever the head is wider than the robot",
        "SmolVLA's slice that removed no dim, https://github.com/huggingface/lerobot/pull/3133",
    ),
    WrongLoss(
        "counted in bfloat16",
        _counted_in_bfloat16,
        "right for small batches; above 256 entries the count is rounded",
        "our own; a mask that was cast with the batch",
    ),
    WrongLoss(
        "the count + 1e-6",
        _counted_plus_epsilon,
        "an empty mask gives 0 instead of an error, and nothing is learned",
        "huggingface/lerobot 0.6.1, policies/groot/groot_n1_7.py 621-622: a choice of upstream's",
    ),
)
