"""What a loss or a prediction depends on, and where a loss is smallest. Only gradients are used to find out."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit.measure import finite, signs
from groot_teach.audit.policy import Given, Heard, Places, Policy


def find_target(
    loss_of: Callable[[Tensor], Tensor], start: Tensor, first: Tensor | None = None, second: Tensor | None = None
) -> Tensor | None:
    """The prediction at which the loss is smallest, found from gradients alone; None = it was not found.

    The gradient of a squared error is linear in each entry, and 0 at the target, so two gradients give the target. For
    other errors that grow in both directions, such as the absolute error, the target is bracketed and the bracket is
    halved again and again. Entries that do not count in the loss keep the number that they have in `start`.

    Args:
        loss_of: the loss of a prediction.
        start: a prediction.
        first, second: the gradients at `start` and at `start + 1`, if they are known.
    """
    first = gradient_at(loss_of, start) if first is None else first
    second = gradient_at(loss_of, start + 1) if second is None else second
    if not (finite(first) and finite(second)):
        return None
    slope = second - first
    counts = slope.abs() > 1e-6 * slope.abs().max().clamp(min=1e-300)
    target = torch.where(counts, start - first / torch.where(counts, slope, 1), start)
    if _is_target(loss_of, target):
        return target
    reach = 16 * (1 + start[start.isfinite()].abs().max())  # padding may be predicted as NaN
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
    """Whether errors of +1 and of -1 from this target give the same loss, and a larger one than no error."""
    none, more, less = (loss_of(target + error).detach().double() for error in (0.0, 1.0, -1.0))
    return bool((more > none) & ((more - less).abs() <= max(1e-4, 16 * torch.finfo(target.dtype).eps) * (more - none)))


def ask_with_graph(policy: Policy, given: Given, real: Tensor, **more: Any) -> tuple[Heard, Tensor]:
    """Runs a policy, and weights its prediction for `gradients`: every real entry gets another weight, padding gets 0.

    With unequal weights the gradients of two entries cannot cancel each other by accident.

    Args:
        policy: the policy.
        given: the batch, with tensors in it that require a gradient, and its draws.
        real: which entries of the prediction are real.
        more: is passed on to `Policy.ask`.
    """
    with torch.enable_grad():
        heard = policy.ask(given, **more)
        asked = heard.prediction * signs(heard.prediction).to(heard.prediction)
        return heard, asked.where(real.to(asked.device), 0.0)


def gradients(asked: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the sum of `asked` by each of the tensors; zeros for a tensor on which it does not depend."""
    with torch.enable_grad():
        asked = asked.sum()
    found = torch.autograd.grad(asked, [*tensors.values()], retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if one is None else one
        for (name, tensor), one in zip(tensors.items(), found, strict=True)
    }


def by_place(gradient: Tensor, places: Places) -> Tensor:
    """The summed size of a gradient for each sample and each index along the axes `places`: `batch, size`."""
    places = places if isinstance(places, tuple) else (places,)
    of_place = gradient.detach().abs().double().movedim(places, tuple(range(1, 1 + len(places)))).cpu()
    return of_place.reshape(*of_place.shape[: 1 + len(places)], -1).sum(dim=-1)


def is_detached(loss_of: Callable[[Tensor], Tensor], prediction: Tensor) -> bool:
    """Whether the loss depends on the prediction and has no gradient by it all the same."""
    leaf = prediction.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(leaf)
    if loss.requires_grad:
        return False
    with torch.no_grad():
        return not torch.equal(loss, loss_of(prediction + signs(prediction).to(prediction)))


def gradient_at(loss_of: Callable[[Tensor], Tensor], prediction: Tensor) -> Tensor:
    """The gradient of the loss at a prediction, in the prediction's shape."""
    return gradient_and_more(loss_of, prediction)[0]


def gradient_and_more(loss_of: Callable[[Tensor], Tensor], prediction: Tensor) -> tuple[Tensor, bool]:
    """The same, and whether the loss has a gradient by anything else, such as the parameters of a second head."""
    leaf = prediction.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(leaf)
    if not loss.requires_grad:  # the loss does not depend on the prediction
        return torch.zeros_like(leaf), False
    more = depends_on_more(loss, [leaf])
    found = torch.autograd.grad(loss, leaf, allow_unused=True)[0]
    return torch.zeros_like(leaf) if found is None else found, more


def is_compared(loss: Tensor, leaf: Tensor, entries: Collection[Tensor]) -> bool:
    """Whether a leaf reaches a loss without meeting a weight on some way, as a target does.

    What a network reads meets its weights first: it is multiplied with what comes from parameters alone.

    Args:
        loss: what the leaf moves.
        leaf: the entry of the batch that is asked about.
        entries: all leaves that are entries of the batch; other leaves are parameters.
    """
    of_entries: dict[Any, bool] = {None: True}  # whether an entry, and not only parameters, stands behind a node
    directly: dict[Any, bool] = {None: False}
    todo = [(loss.grad_fn, False)]
    while todo:
        node, is_left = todo.pop()
        if node is None or node in directly:
            continue
        behind = [one for one, _ in node.next_functions]
        if not is_left:
            todo += [(node, True), *((one, False) for one in behind)]
            continue
        variable = getattr(node, "variable", None)
        is_sum = node.name() in ("AddBackward0", "SubBackward0")  # with a bias, or with a penalty on the weights
        meets_a_weight = not is_sum and not all(of_entries[one] for one in behind)
        of_entries[node] = any(variable is one for one in entries) or any(of_entries[one] for one in behind if one)
        directly[node] = variable is leaf or (not meets_a_weight and any(directly[one] for one in behind))
    return directly[loss.grad_fn]


def depends_on_more(loss: Tensor, than: Collection[Tensor]) -> bool:
    """Whether the graph behind a loss has other leaves than these, such as parameters."""
    todo, seen = [loss.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [behind for behind, _ in node.next_functions]
            leaf = getattr(node, "variable", None)
            if leaf is not None and not any(leaf is one for one in than):
                return True
    return False
