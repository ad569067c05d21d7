"""The masked loss: which errors count, and by what their sum is divided.

`action_mask` is True where an entry of the action chunk is real. Three rules hold for every function here:

1. Select, then square. The error of a hidden entry is set to 0 before it is squared, so that a NaN there reaches
   neither the loss nor a gradient. A product with the mask would not stop it: NaN times 0 is NaN.
2. Divide by the number of entries that were summed. It is counted in whole numbers, so it is exact in any dtype.
3. A mean needs a real entry: of the batch, of each sample, or of each group. Otherwise it raises `ValueError`.

Half precision (bfloat16, float16) is subtracted, squared and summed in float32. The loss is then float32, and the
gradient is in half precision again. Tensors of other shapes, dtypes or devices than the signature says raise an error;
`groot_teach.shapes` explains the names there.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from groot_teach.checks import count_real, every_real_dim_in_one_group, the_same_groups
from groot_teach.shapes import ActionChunks, ActionMask, Scalar, checked


@checked(same="dtype device")
def masked_velocity_loss(velocity_pred: ActionChunks, velocity_target: ActionChunks, action_mask: ActionMask) -> Scalar:
    """The mean of the squared error over all real entries (`action_mask` True) of the batch.

    Without a real entry it raises `ValueError`. A robot with more real entries weighs more. Source:
    `(mse * action_mask).sum() / action_mask.sum()` in huggingface/lerobot v0.4.4,
    `action_head/flow_matching_action_head.py` 337-339. In float32 and float64 it gives the same value and gradient as
    theirs, as long as every square is finite. We differ: NaN in padding does no harm, an empty mask raises (GR00T N1.5
    gives NaN; N1.7 gives 0, as it divides by the count + 1e-6), and the count is exact.
    """
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    return squared.sum() / count_real("action_mask", action_mask)


@checked(same="dtype device")
def velocity_error_sum(velocity_pred: ActionChunks, velocity_target: ActionChunks, action_mask: ActionMask) -> Scalar:
    """The sum of the squared error over all real entries, for callers who choose the divisor. 0 if no entry is real."""
    return _squared_error(velocity_pred, velocity_target, action_mask).sum()


@checked(same="dtype device")
def sample_weighted_velocity_loss(
    velocity_pred: ActionChunks, velocity_target: ActionChunks, action_mask: ActionMask
) -> Scalar:
    """The mean of each sample, then the mean over samples: each sample weighs the same, however little of it is real.

    Source: FastWAM in huggingface/lerobot at 7427f318, `modular.py` 1379-1396, reduces in this order. We differ: there
    an empty sample counts as an error of 0, here it is refused.
    """
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    count_real("action_mask", action_mask)
    counts = [count_real(f"action_mask[{index}]", sample) for index, sample in enumerate(action_mask)]
    return (squared.sum(dim=(1, 2)) / torch.stack(counts)).mean()


@checked(same="dtype device")
def group_velocity_losses(
    velocity_pred: ActionChunks,
    velocity_target: ActionChunks,
    action_mask: ActionMask,
    group_slices: Mapping[str, slice],
) -> dict[str, Scalar]:
    """The mean over each named group of dims, such as `Embodiment.group_slices`: `{"arm": ..., "claw": ...}`.

    In a sum of these means, a dim of a small group weighs more than one of a large group. Each real dim has to be
    in exactly one group, and each group needs a real entry; otherwise `ValueError`.
    Source: KKXiaoKang/humanoid_groot at 4a1a0c81, `flow_matching_action_head.py` 415-467 and 477-490, for arm and claw.
    (This fork, a changed copy of GR00T, is described in the note on which this book is based.)
    """
    every_real_dim_in_one_group(group_slices, action_mask)
    squared = _squared_error(velocity_pred, velocity_target, action_mask)
    losses = {}
    for name, dims in group_slices.items():
        count = count_real(f"action_mask of group {name!r}", action_mask[..., dims])
        losses[name] = squared[..., dims].sum() / count
    return losses


@checked(same="dtype device")
def learned_weight_loss(losses: Mapping[str, Scalar], log_scales: Mapping[str, Scalar]) -> Scalar:
    """`exp(-2 s) * loss + s`, summed over groups; the `s` of each group, in `log_scales`, is a trained parameter.

    Once `s` has settled, `exp(-2 s)` is `1 / (2 * loss)`: each group then contributes 0.5 to the weighted sum, so a
    group with a small loss has a large weight. The total can be negative. Source: KKXiaoKang/humanoid_groot at
    4a1a0c81, `flow_matching_action_head.py` 486-497; after Kendall, Gal and Cipolla 2018.
    """
    the_same_groups(losses, log_scales)
    weighted = [torch.exp(-2 * log_scales[name]) * losses[name] + log_scales[name] for name in losses]
    return torch.stack(weighted).sum()


@checked
def loss_divisor(denominator: Literal["all", "valid", "valid_plus_eps"], count: Scalar, entries: Scalar) -> Scalar:
    """What a sum of squared errors is divided by, as `Masking.loss_denominator` says.

    `valid` divides by `count`, the number of entries that were summed, which may not be 0; `valid_plus_eps` divides by
    `count + 1e-6`; `all` divides by `entries`, the number of all entries, padding included, which may not be 0 either.
    """
    if denominator == "all":
        if entries == 0:
            raise ValueError("entries: got none, expected at least one; a mean over nothing is not a number")
        return entries
    if denominator == "valid_plus_eps":
        return count + 1e-6
    if count == 0:
        raise ValueError("action_mask: got no real entry, expected at least one; a mean over nothing is not a number")
    return count


def _squared_error(velocity_pred: Tensor, velocity_target: Tensor, action_mask: Tensor) -> Tensor:
    """The squared error of each entry, exactly 0 where `action_mask` is False; float32, or float64 if given that."""
    wide = torch.promote_types(velocity_pred.dtype, torch.float32)
    error = velocity_pred.to(wide) - velocity_target.to(wide)
    return torch.where(action_mask, error, 0.0).square()
