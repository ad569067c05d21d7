"""What a loss depends on, and where it is smallest: asked of its gradient alone."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit.measure import finite, signs
from groot_teach.audit.policy import Given, Heard, Policy


def find_target(loss_of: Callable[[Tensor], Tensor], start: Tensor) -> Tensor | None:
    """The prediction at which the loss is smallest, found from its gradient alone; None = it was not found.

    The gradient of a squared error is a straight line in each entry, and crosses 0 at the target: two gradients are
    enough. For other errors that grow either way, such as the absolute one, the crossing is closed in by halving.
    Entries that do not count keep their number.
    """
    first, second = gradient_at(loss_of, start), gradient_at(loss_of, start + 1)
    if not (finite(first) and finite(second)):
        return None
    slope = second - first
    counts = slope.abs() > 1e-6 * slope.abs().max().clamp(min=1e-300)
    target = torch.where(counts, start - first / torch.where(counts, slope, 1), start)
    if _is_target(loss_of, target):
        return target
    reach = 16 * (1 + start.abs().max())
    low, high = start - reach, start + reach
    at_low, at_high = gradient_at(loss_of, low), gradient_at(loss_of, high)
    counts = (at_low < 0) & (at_high > 0)
    for _ in range(60 if start.dtype == torch.float64 else 30):
        middle = (low + high) / 2
        too_low = gradient_at(loss_of, middle) < 0
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    target = torch.where(counts, (low + high) / 2, start)
    return target if _is_target(loss_of, target) else None


def _is_target(loss_of: Callable[[Tensor], Tensor], target: Tensor) -> bool:
    """An error of 1 either way costs the same, and more than none."""
    none, more, less = (loss_of(target + error).detach().double() for error in (0.0, 1.0, -1.0))
    return bool((more > none) & ((more - less).abs() <= max(1e-4, 16 * torch.finfo(target.dtype).eps) * (more - none)))


def ask_with_graph(policy: Policy, given: Given, real: Tensor, **more: Any) -> tuple[Heard, Tensor]:
    """Runs a policy, and gives its prediction for `gradients`: no two real entries weigh alike, padded ones are 0.

    Args:
        policy: whom to ask.
        given: the batch, with leaves in it, and its draws.
        real: which entries of the prediction are real.
        more: goes on to `Policy.ask`.
    """
    with torch.enable_grad():
        heard = policy.ask(given, **more)
        asked = heard.prediction * signs(heard.prediction).to(heard.prediction)
        return heard, asked.where(real.to(asked.device), 0.0)


def gradients(asked: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the sum of `asked` depends on: zeros where it does not."""
    with torch.enable_grad():
        asked = asked.sum()
    found = torch.autograd.grad(asked, [*tensors.values()], retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if one is None else one
        for (name, tensor), one in zip(tensors.items(), found, strict=True)
    }


def by_place(gradient: Tensor, place: int) -> Tensor:
    """The size of a gradient for each sample and place: `batch, size`."""
    of_place = gradient.detach().abs().double().movedim(place, 1).cpu()
    return of_place.reshape(*of_place.shape[:2], -1).sum(dim=-1)


def gradient_at(loss_of: Callable[[Tensor], Tensor], prediction: Tensor) -> Tensor:
    """The gradient of the loss at a prediction, in the prediction's shape."""
    leaf = prediction.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(leaf)
    if not loss.requires_grad:  # it does not look at what it is given
        return torch.zeros_like(leaf)
    found = torch.autograd.grad(loss, leaf, allow_unused=True)[0]
    return torch.zeros_like(leaf) if found is None else found
