"""Normalising: how recorded actions become numbers around 0, and what that does to padding.

A policy is trained on normalised actions, and its answers are brought back to the units of the robot with the same
statistics. Three conventions are in use, and they differ where it matters for padding: in a dim that never moves.

    convention   modes                                dim that never moves   outside the range
    N1.5         min_max                              0                      stays outside
    N1.7         min_max, quantiles                   0                      is clipped to -1 or 1
    LeRobot      min_max, mean_std, quantiles         -1; 0 in mean_std      stays outside

Padding belongs after normalising: then a padded dim holds 0. Before it, a padded 0 becomes something else, which
`what_zero_becomes` says; with LeRobot's convention it is -1 in dims of which the statistics only saw zeros. And
statistics that counted padding describe no robot: `statistics_of` takes a mask.

Source: N1.5: `_min_max_norm` in huggingface/lerobot v0.4.4, `policies/groot/processor_groot.py` 259-272. N1.7: the same
function in 0.6.1, 1811-1825, `use_percentiles`, and `_unnormalize_min_max`, 2241-2242. LeRobot: `_apply_transform` in
0.6.1, `processor/normalize_processor.py` 302-425. We differ: statistics of another length than the action has dims are
an error here. N1.5 and N1.7 fill them with 0 and 1 and cut what is too long, and LeRobot spreads one number over all
dims.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.shapes import checked

Mode = Literal["min_max", "mean_std", "quantiles"]
Convention = Literal["N1.5", "N1.7", "LeRobot"]

MODES: dict[Convention, tuple[Mode, ...]] = {
    "N1.5": ("min_max",),
    "N1.7": ("min_max", "quantiles"),
    "LeRobot": ("min_max", "mean_std", "quantiles"),
}
"""The modes that each convention knows."""

ENDS: dict[Mode, tuple[str, str]] = {
    "min_max": ("min", "max"),
    "quantiles": ("q01", "q99"),
    "mean_std": ("mean", "std"),
}
"""The two statistics that each mode needs."""

EPS = 1e-8
"""What LeRobot divides by where a range is 0, and adds to a standard deviation."""


@checked(same="dtype device")
def normalise(
    actions: Float[Tensor, "*batch action_dim"],
    statistics: Mapping[str, Float[Tensor, " length"]],
    convention: Convention,
    mode: Mode = "min_max",
) -> Float[Tensor, "*batch action_dim"]:
    """Actions in the units of the recording as numbers around 0.

    Args:
        actions: the last axis holds the dims.
        statistics: `min` and `max`, `q01` and `q99`, or `mean` and `std`, one number for each dim.
        convention: whose way of doing it.
        mode: what is mapped to -1 and 1: the extremes, the quantiles; or the mean to 0 and one deviation to 1.

    Raises:
        ValueError: the convention does not have this mode, the statistics lack what it needs, or they are of another
            length than the actions have dims.
    """
    low, high = _ends("actions", actions, statistics, convention, mode)
    if mode == "mean_std":
        return (actions - low) / (high + EPS)
    span = high - low
    if convention == "LeRobot":
        return 2 * (actions - low) / torch.where(span == 0, EPS, span) - 1
    moves = span != 0
    scaled = torch.where(moves, 2 * (actions - low) / torch.where(moves, span, 1.0) - 1, 0.0)
    return scaled.clamp(-1, 1) if convention == "N1.7" else scaled


@checked(same="dtype device")
def denormalise(
    normalised: Float[Tensor, "*batch action_dim"],
    statistics: Mapping[str, Float[Tensor, " length"]],
    convention: Convention,
    mode: Mode = "min_max",
) -> Float[Tensor, "*batch action_dim"]:
    """The inverse of `normalise`, in the units of the recording. A dim that never moves comes back as it was.

    N1.7 clips to -1 and 1 here too, so a sampled action never leaves the range of the statistics, and what `normalise`
    has clipped does not come back.

    Raises:
        ValueError: as `normalise`.
    """
    low, high = _ends("normalised", normalised, statistics, convention, mode)
    if mode == "mean_std":
        return normalised * high + low
    span = high - low
    if convention == "LeRobot":
        span = torch.where(span == 0, EPS, span)
    if convention == "N1.7":
        normalised = normalised.clamp(-1, 1)
    return (normalised + 1) / 2 * span + low


@checked
def what_zero_becomes(
    statistics: Mapping[str, Float[Tensor, " length"]], convention: Convention, mode: Mode = "min_max"
) -> Float[Tensor, " length"]:
    """What a 0 becomes in each dim, such as one that was padded before normalising.

    Raises:
        ValueError: as `normalise`; or no statistics.
    """
    if not statistics:
        raise ValueError("statistics: got none, expected those that the mode needs")
    return normalise(torch.zeros_like(next(iter(statistics.values()))), statistics, convention, mode)


@checked(same="device")
def statistics_of(
    actions: Float[Tensor, "*batch action_dim"], real: Bool[Tensor, "*batch"] | None = None
) -> dict[str, Float[Tensor, " action_dim"]]:
    """The statistics of recorded actions: min, max, mean, std (of the population), q01 and q99 of each dim.

    Args:
        actions: recorded actions.
        real: which steps were recorded, True = real; None = all of them. Copied or zero steps that are counted move
            every one of these numbers.

    Raises:
        ValueError: no real step, or a real number that is not finite.
    """
    rows = actions.reshape(-1, actions.shape[-1]) if real is None else actions[real]
    if not len(rows):
        raise ValueError("actions: got no real step, expected at least one")
    if not rows.isfinite().all():
        raise ValueError("actions: got a number that is not finite in a real step, expected finite numbers")
    ordered = rows.sort(dim=0).values  # torch.quantile refuses more than 16 million numbers
    q01, q99 = (_between(ordered, part * (len(rows) - 1)) for part in (0.01, 0.99))
    mean, std = rows.mean(dim=0), rows.std(dim=0, unbiased=False)
    return {"min": rows.amin(dim=0), "max": rows.amax(dim=0), "mean": mean, "std": std, "q01": q01, "q99": q99}


def _between(ordered: Tensor, place: float) -> Tensor:
    """The row at a place between two rows, as far between their numbers."""
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], place - below)


def _ends(
    name: str, actions: Tensor, statistics: Mapping[str, Tensor], convention: Convention, mode: Mode
) -> tuple[Tensor, Tensor]:
    if mode not in MODES[convention]:
        raise ValueError(f"mode: got {mode!r}, expected one that {convention} has: {', '.join(MODES[convention])}")
    for end in ENDS[mode]:
        if end not in statistics:
            raise ValueError(f"statistics: got {list(statistics)}, expected {' and '.join(ENDS[mode])} for {mode}")
        if statistics[end].shape != actions.shape[-1:]:
            got, dims = len(statistics[end]), actions.shape[-1]
            raise ValueError(f"statistics[{end!r}]: got {got} numbers, expected {dims}, one for each dim of {name}")
    low, high = (statistics[end] for end in ENDS[mode])
    return low, high
