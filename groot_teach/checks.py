"""Checks on values, each with a name: what a shape cannot say about an argument.

A check is given the argument's name and its value. It raises an error that says what came and what was expected, or
does nothing. `groot_teach.shapes` attaches the most frequent ones to a type, such as `FlowTimes`; the others are called
where they are needed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

EARLIEST = -0.0011
"""No flow time is smaller than this. The smallest one of GR00T N1.5 is -0.001001..."""


# ------------------------------------------------------------------------------------------------------- numbers


MOST = 1_000_000
"""No count is larger: of steps, dims, tokens or samples. One that is would fill the memory before it fails."""


def whole_number(name: str, value: object, least: int = 1) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name}: got {value!r:.60}, expected a whole number, {least} or more")


def at_least_1(name: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{name}: got {number}, expected 1 or more")
    not_too_many(name, number)


def not_too_many(name: str, number: int) -> None:
    if number > MOST:
        raise ValueError(f"{name}: got {number}, expected {MOST} at most")


def between_0_and_1(name: str, values: Tensor) -> None:
    if not ((values >= 0) & (values <= 1)).all():  # a NaN is refused too
        raise ValueError(f"{name}: got {values.min():g} to {values.max():g}, expected 0 to 1")


def all_finite(name: str, numbers: Tensor | Sequence[float]) -> None:
    values = torch.as_tensor(numbers, dtype=torch.float64)
    if not values.isfinite().all():
        raise ValueError(f"{name}: got {values[~values.isfinite()][0]:g}, expected finite numbers")


def known_places(name: str, places: Iterable[int], count: int) -> None:
    """Each is the place of one of so many, counted from 0. A negative one would count from the end."""
    for place in places:
        if not 0 <= place < count:
            raise ValueError(f"{name}: got {place}, expected 0 to {count - 1}")


def is_flow_time(name: str, t: Tensor) -> None:
    """A flow time runs from 0 (noise) to 1 (data); N1.5's may be as small as `EARLIEST`."""
    if not ((t >= EARLIEST) & (t <= 1)).all():
        hint = "; is it a bucket, or openpi's time?" if (t > 1).any() else ""
        raise ValueError(f"{name}: got {t.min():g} to {t.max():g}, expected a flow time, 0 (noise) to 1 (data){hint}")


def not_half_precision(name: str, t: Tensor) -> None:
    if t.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"{name}: got {t.dtype}, expected float32 or float64; in half precision t * 1000 is rounded first"
        )


# --------------------------------------------------------------------------------------------------------- masks


def every_row_reads(name: str, mask: Tensor) -> None:
    """Each row of the mask, along its last axis, has a True. The softmax of a row without one is not defined."""
    empty = ~mask.any(dim=-1)
    if empty.any():
        where = empty.nonzero()[0].tolist()
        raise ValueError(f"{name}{where}: got a row without any True, expected at least one key that may be read")


def count_real(name: str, mask: Tensor) -> Tensor:
    """The number of real entries, as a divisor: it is never 0."""
    count = mask.sum()
    if count == 0:
        raise ValueError(f"{name}: got no real entry, expected at least one; a mean over nothing is not a number")
    return count


# -------------------------------------------------------------------------------------------------------- groups


def every_real_dim_in_one_group(group_slices: Mapping[str, slice], action_mask: Tensor) -> None:
    """Each group is a `slice(start, stop)` of dims, no two share a dim, and no dim with a real entry is left out."""
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
                raise ValueError(
                    f"group_slices[{name!r}]: got dim {dim}, which group {owner[dim]!r} has already; "
                    "expected each dim in one group only"
                )
            owner[dim] = name
    for dim in action_mask.flatten(0, 1).any(dim=0).nonzero().flatten().tolist():
        if dim not in owner:
            raise ValueError(
                f"group_slices: got no group for dim {dim}, which has real entries, expected each real dim in a group; "
                "its error would count in no loss"
            )


def the_same_groups(losses: Mapping[str, Tensor], log_scales: Mapping[str, Tensor]) -> None:
    """Both name the same groups, at least one."""
    if not losses:
        raise ValueError("losses: got none, expected at least one group")
    if set(losses) != set(log_scales):
        raise ValueError(f"log_scales: got {list(log_scales)}, expected the groups of losses, {list(losses)}")


def _is_inside(dims: object, action_dim: int) -> bool:
    if not isinstance(dims, slice) or type(dims.start) is not int or type(dims.stop) is not int:
        return False
    return 0 <= dims.start < dims.stop <= action_dim and dims.step in (None, 1)


# ----------------------------------------------------------------------------------------- functions as arguments


def answers_like(like: Tensor, name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The same function, but an answer whose shape, dtype or device is not that of `like` is an error."""

    def with_checked_answer(*arguments: Any) -> Tensor:
        answer = function(*arguments)
        if not isinstance(answer, Tensor):
            raise TypeError(f"{name}: gave a {type(answer).__name__}, expected a tensor")
        if answer.shape != like.shape or answer.dtype != like.dtype or answer.device != like.device:
            raise ValueError(f"{name}: gave {_form(answer)}, expected {_form(like)}")
        return answer

    return with_checked_answer


def _form(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)} on {tensor.device}"
