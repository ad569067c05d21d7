"""Did anything move, and how far? And the other numbers that are written into padding.

A NaN or an infinite number counts as infinitely far away, so it cannot pass for *did not move*.
"""

from collections.abc import Mapping, Sequence
from math import inf, sqrt

import torch
from torch import Tensor

from groot_teach.audit.policy import Given, Places, Tap, along
from groot_teach.audit.report import percent


def moved_by(before: Tensor, after: Tensor, where: Tensor) -> float:
    """How far `after` is from `before` where `where` is True, relative to `before`; 0 = it did not move, inf = NaN.

    Only padding was changed, so nothing real may move at all. The tolerance is 100 rounding errors of the dtype, and at
    most 0.001: that is one rounding error in float16, and less than one in bfloat16. If the numbers have several axes,
    it is that of the largest number with the same place along the last one, since dims may have unequal sizes.
    """
    where = where.to(before.device)
    tolerance = min(100 * torch.finfo(before.dtype).eps, 1e-3)
    size = _relative(before[where], after[where], tolerance)
    if size or before.ndim < 2 or not where.any():
        return size
    was, gap = (one.double().where(where, 0.0).flatten(0, -2) for one in (before, after.double() - before.double()))
    moved = gap.abs().amax(dim=0) > tolerance * was.abs().amax(dim=0)
    return (gap.norm(dim=0) / was.norm(dim=0))[moved].amax().item() if moved.any() else 0.0


def apart(one: Tensor, other: Tensor, precision: float = 0.0) -> float:
    """The same for batches of different sizes. Their sums are added in another order, so half of the digits count.

    Args:
        one, other: what is compared.
        precision: the rounding of the policy that made them, if it is coarser than that of their dtype: the distance
            from 1 to the next number. At most 1/32 of a number may be rounded away, whatever the dtype.
    """
    if one.shape != other.shape:
        return inf
    return _relative(one, other, tolerance_of(one.dtype, precision))


def distance(one: Tensor, other: Tensor) -> float:
    """The same without any tolerance: 0 = they are equal."""
    return inf if one.shape != other.shape else _relative(one, other, 0.0)


def tolerance_of(dtype: torch.dtype, precision: float) -> float:
    """How far two results of the same sum may be apart, relative to their size."""
    return min(sqrt(max(precision, torch.finfo(dtype).eps)), 1 / 32)


def _relative(before: Tensor, after: Tensor, tolerance: float) -> float:
    before, after = before.double(), after.double()
    if not before.numel():
        return 0.0
    if not finite(after):
        return inf
    gap = after - before
    if gap.abs().max() <= tolerance * before.abs().max():
        return 0.0
    return (gap.norm() / before.norm()).item() if before.norm() else inf


def samples_with(entries: Tensor) -> Tensor:
    """Of each sample whether it has any of these entries; a sample may be a single one."""
    return entries.reshape(len(entries), -1).any(dim=1)


def moved_in(before: Tensor, after: Tensor, where: Tensor) -> str:
    """In which samples something moved where `where` is True: `in samples 0 and 2`, or an empty text if in all."""
    moved = [sample for sample, rows in enumerate(zip(before, after, where, strict=True)) if moved_by(*rows)]
    return in_samples(moved, len(before))


def taps_moved(before: list[Tensor], after: list[Tensor], tap: Tap, where: Tensor) -> float:
    """The same for all outputs of a tapped module; `where` is `batch, size`, along the tap's axis."""
    if len(before) != len(after) or not before:
        return inf
    entries = (at_end(where, one, tap.place).expand_as(one) for one in before)
    return max(moved_by(one, other, at) for one, other, at in zip(before, after, entries, strict=True))


def same(one: Tensor, other: Tensor) -> bool:
    """Equal to the last bit; NaN in the same place is equal."""
    return torch.equal(one, other) or (one.shape == other.shape and bool(torch.allclose(one, other, 0, 0, True)))


def finite(values: Tensor) -> bool:
    """No NaN and nothing infinite."""
    return bool(torch.isfinite(values).all())


# ---------------------------------------------------------------------------------------------------- other numbers


def changed(given: Given, places: Mapping[str, Places], where: Tensor, way: int = 1) -> Given:
    """The same batch, with other numbers in the entries of `places`, where `where` is True; `way` as below."""
    other = dict(given)
    for name, place in places.items():
        value = given[name]
        at = along(where, value.ndim, place).to(value.device)
        other[name] = torch.where(at, other_numbers(value, way), value)
    return other


def other_numbers(values: Tensor, way: int = 1) -> Tensor:
    """A different number for each entry, of about the same size; a whole number becomes another one that occurs.

    With `way` = -1 each number is moved as far in the other direction.
    """
    if values.dtype == torch.bool:  # such as what dropout draws
        return ~values
    if not values.is_floating_point():
        known = values.unique().contiguous()
        if len(known) < 2:
            known = torch.stack([known[0], known[0] + 1 if known[0] == 0 else known[0] - 1])
        step = 1 + (signs(values).abs() - 1) * (len(known) - 1)
        return known[(torch.searchsorted(known, values.contiguous()) + way * step.long()) % len(known)]
    scale = values.detach()[torch.isfinite(values)].double().square().mean().sqrt().nan_to_num()
    return values.nan_to_num() + (way * (scale if scale > 0 else 1.0) * signs(values)).to(values.dtype)


def signs(like: Tensor) -> Tensor:
    """Numbers between 1 and 2, of both signs, all different. Hashed, not drawn: a draw here would be recorded as one of
    the policy's.
    """
    place = torch.arange(like.numel(), dtype=torch.float64, device=like.device).reshape(like.shape)
    size, sign = (torch.frac(torch.sin(place * rate + 1).abs() * 9973) for rate in (12.9898, 78.233))
    return (1 + size) * torch.where(sign < 0.5, -1.0, 1.0)


def at_end(real: Tensor, output: Tensor, place: int) -> Tensor:
    """`real` as a mask for the end of axis `place` of `output`; what a longer axis has in front is False.

    If `real` has several axes, as that of an image has, they run along `place` and the axes behind it, and the output
    has to be as long along each: on which side of an image more was added is not known.
    """
    if real.ndim > 2:
        places = tuple(range(place, place + real.ndim - 1))
        got, expected = tuple(output.shape[place : place + len(places)]), tuple(real.shape[1:])
        if got != expected:
            raise ValueError(
                f"taps: got {got} entries along axes {places}, expected {expected}; declare padding as it is there, or "
                "tap another module"
            )
        return along(real, output.ndim, places).to(output.device)
    more = output.shape[place] - real.shape[1]
    if more < 0:
        raise ValueError(
            f"taps: got {output.shape[place]} entries along axis {place}, expected {real.shape[1]} or more"
        )
    real = torch.nn.functional.pad(real, (more, 0), value=False)
    return along(real, output.ndim, place).to(output.device)


# --------------------------------------------------------------------------------------------------------- in words


def such_as(where: Tensor, axes: Mapping[str, int]) -> str:
    """The end of a sentence about the entries where `where` is True: `, such as sample 1, step 4`."""
    return f", such as {first_of(where, axes)}" if where.any() else ""


def first_of(where: Tensor, axes: Mapping[str, int]) -> str:
    """The first entry where `where` is True, counted from 0: `sample 1, step 4`."""
    first = where.nonzero()[0]
    named = [f"{axis.strip().removesuffix('s')} {first[place]}" for axis, place in axes.items() if place < len(first)]
    return ", ".join([f"sample {first[0]}", *named])


def percent_of(size: float, what: str) -> str:
    """How far something moved, in a sentence."""
    return f"{what} moves by {percent(size)}" if size < inf else f"{what} becomes NaN or infinite"


def in_samples(samples: Sequence[int], count: int) -> str:
    """Which samples of `count` are meant: `in samples 0 and 2`; an empty text if it is all of them, or none."""
    if len(samples) in (0, count):
        return ""
    if len(samples) > 4:
        return f"in {len(samples)} of {count} samples, such as {samples[0]}"
    *others, last = map(str, samples)
    return f"in samples {', '.join(others)} and {last}" if others else f"in sample {last}"


REMEDIES = {
    "leaf Variable that requires grad": "The policy writes into a parameter of its own: let it write into a copy, "
    "`x = x.clone()`",
    "modified by an inplace operation": "The policy writes into a tensor whose gradient is asked for: let it write "
    "into a copy, `x = x.clone()`, or use `torch.where`",
    "draw ": "Draws that hold padding are declared by their name, `values={..., 'drawn 0': 1}`",
    "dropout": "Dropout is set to 0",
    "draws with other numbers": "If the numbers are predicted, hand the draw over in the batch",
}
"""What to do about an error that says it in torch's words, or in those of a replayed draw."""


def reason(error: Exception) -> str:
    """The error that kept a probe from looking, in one line, with what to do about it where that is known."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    remedies = [f". {todo}" for sign, todo in REMEDIES.items() if sign in said]
    return "".join([f"{type(error).__name__}: {said.removesuffix('.')}", *remedies])
