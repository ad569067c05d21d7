"""The masked loss: which errors count, and what their sum is divided by.

`action_mask` is True where an entry is real. Three rules hold for every function here:

    select, then square      an error that is hidden is set to 0 before it is squared, so NaN there reaches neither
                             loss nor gradient
    count what you sum       the divisor is the number of the entries that were summed, counted in whole numbers
    nothing is no average    a mean over no entry at all is an error, not 0 and not NaN

What to average over is a choice and no law: over all real entries (`masked_velocity_loss`), over samples
(`sample_weighted_velocity_loss`), or over named groups of dims (`group_velocity_losses`).

Half-precision inputs (bfloat16, float16) are subtracted, squared and summed in float32, and the loss is float32. Their
gradient is half precision again, like everything that PyTorch sends back.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.shapes import checked, expect_same


@checked
def masked_velocity_loss(
    velocity_pred: Float[Tensor, "batch action_horizon action_dim"],
    velocity_target: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
) -> Float[Tensor, ""]:
    """The mean of the squared error over all real entries of the batch. Each of them weighs the same.

    A robot with more real entries therefore weighs more. Hidden entries may hold anything, NaN too. NaN in a real entry
    makes the loss NaN.

    Raises:
        ValueError: no entry is real, predictions and targets of different dtypes, or arguments on different devices.

    Source: `(mse * action_mask).sum() / action_mask.sum()` in huggingface/lerobot v0.4.4,
    `action_head/flow_matching_action_head.py` 337-339. In float32 and float64 the same value and gradient, where every
    square is finite. We differ: NaN in padding does no harm, an empty mask is an error (upstream: NaN in N1.5, 0 in
    N1.7, which divides by the count + 1e-6), and the count is exact in any dtype.
    """
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    return squared.sum() / _count("action_mask", action_mask)


@checked
def velocity_error_sum(
    velocity_pred: Float[Tensor, "batch action_horizon action_dim"],
    velocity_target: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
) -> Float[Tensor, ""]:
    """The sum of the squared error over all real entries: the loss before anybody divides it. 0 if none is real.

    For those who divide by something else than this batch's count.

    Raises:
        ValueError: predictions and targets of different dtypes, or arguments on different devices.
    """
    return _squared_error(velocity_pred, velocity_target, action_mask).sum()


@checked
def sample_weighted_velocity_loss(
    velocity_pred: Float[Tensor, "batch action_horizon action_dim"],
    velocity_target: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
) -> Float[Tensor, ""]:
    """Each sample's own mean, then the mean over samples: each sample weighs the same, however little of it is real.

    Raises:
        ValueError: no sample, or one without a real entry; predictions and targets of different dtypes, or arguments
            on different devices.

    Source: FastWAM in huggingface/lerobot at 7427f318, `modular.py` 1379-1396, reduces in this order. We differ: there
    an empty sample counts as an error of 0, here it is refused.
    """
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    _count("action_mask", action_mask)
    counts = [_count(f"action_mask[{index}]", of_sample) for index, of_sample in enumerate(action_mask)]
    return (squared.sum(dim=(1, 2)) / torch.stack(counts)).mean()


@checked
def group_velocity_losses(
    velocity_pred: Float[Tensor, "batch action_horizon action_dim"],
    velocity_target: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    group_slices: Mapping[str, slice],
) -> dict[str, Float[Tensor, ""]]:
    """The masked mean of each group of dims by itself: `{"arm": ..., "claw": ...}`.

    Beware of adding them up: in a sum of means a dim of a small group weighs more than one of a large group.

    Args:
        velocity_pred: the network's answer.
        velocity_target: what it should be.
        action_mask: True = a real entry.
        group_slices: where each group stands in the last axis, such as `Embodiment.group_slices`. Every dim with a
            real entry belongs to one group.

    Raises:
        ValueError: no group, a group that is no `slice(start, stop)` inside the last axis, two groups that share a dim,
            a real dim in no group, a group without a real entry, predictions and targets of different dtypes, or
            arguments on different devices.

    Source: the note's fork, KKXiaoKang/humanoid_groot at 4a1a0c81, `flow_matching_action_head.py` 415-467, for arm and
    claw.
    """
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    _partition(group_slices, action_mask)
    return {
        name: squared[..., dims].sum() / _count(f"action_mask of group {name!r}", action_mask[..., dims])
        for name, dims in group_slices.items()
    }


@checked
def learned_weight_loss(
    losses: Mapping[str, Float[Tensor, ""]], log_scales: Mapping[str, Float[Tensor, ""]]
) -> Float[Tensor, ""]:
    """`exp(-2 s) * loss + s`, summed over groups; each group's `s` is a parameter that is trained along.

    Where `s` has settled, `exp(-2 s)` is `1 / (2 * loss)`: every group then contributes 0.5 to the weighted sum, an
    easy group through a large weight. The total can be negative.

    Raises:
        TypeError: a loss or an `s` that is no float tensor without axes.
        ValueError: no group, `losses` and `log_scales` that do not name the same groups, or different dtypes or
            devices.

    Source: KKXiaoKang/humanoid_groot at 4a1a0c81, `flow_matching_action_head.py` 486-497; after Kendall, Gal and
    Cipolla 2018.
    """
    if not losses:
        raise ValueError("losses: got none, expected at least one group")
    if set(losses) != set(log_scales):
        raise ValueError(f"log_scales: got {list(log_scales)}, expected the groups of losses, {list(losses)}")
    scalars = {f"losses[{name!r}]": loss for name, loss in losses.items()}
    scalars |= {f"log_scales[{name!r}]": log_scale for name, log_scale in log_scales.items()}
    for name, scalar in scalars.items():  # every one: the annotation looks at the first alone
        if not isinstance(scalar, Float[Tensor, ""]):
            raise TypeError(f"{name}: got {scalar!r}, expected a float tensor without axes")
    expect_same("dtype", **scalars)
    expect_same("device", **scalars)
    return torch.stack([torch.exp(-2 * log_scales[name]) * losses[name] + log_scales[name] for name in losses]).sum()


def _squared_error(velocity_pred: Tensor, velocity_target: Tensor, action_mask: Tensor) -> Tensor:
    """The squared error, exactly 0 where hidden, in float32 at least."""
    expect_same("dtype", velocity_pred=velocity_pred, velocity_target=velocity_target)
    expect_same("device", velocity_pred=velocity_pred, velocity_target=velocity_target, action_mask=action_mask)
    wide = torch.promote_types(velocity_pred.dtype, torch.float32)
    error = velocity_pred.to(wide) - velocity_target.to(wide)
    return torch.where(action_mask, error, 0.0).square()


def _count(name: str, mask: Tensor) -> Tensor:
    count = mask.sum()
    if count == 0:
        raise ValueError(f"{name}: got no real entry, expected at least one; a mean over nothing is not a number")
    return count


def _partition(group_slices: Mapping[str, slice], action_mask: Tensor) -> None:
    action_dim = action_mask.shape[-1]
    if not group_slices:
        raise ValueError("group_slices: got none, expected at least one group")
    owner: dict[int, str] = {}
    for name, dims in group_slices.items():
        if not _is_inside(dims, action_dim):
            expected = f"slice(start, stop) with 0 <= start < stop <= {action_dim}"
            raise ValueError(f"group_slices[{name!r}]: got {dims}, expected {expected}")
        for dim in range(dims.start, dims.stop):
            if dim in owner:
                raise ValueError(f"group_slices[{name!r}]: got dim {dim}, which group {owner[dim]!r} has already")
            owner[dim] = name
    for dim in action_mask.flatten(0, 1).any(dim=0).nonzero().flatten().tolist():
        if dim not in owner:
            raise ValueError(f"group_slices: got no group for dim {dim}, which has real entries; they would be lost")


def _is_inside(dims: object, action_dim: int) -> bool:
    if not isinstance(dims, slice) or type(dims.start) is not int or type(dims.stop) is not int:
        return False
    return 0 <= dims.start < dims.stop <= action_dim and dims.step in (None, 1)
