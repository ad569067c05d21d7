"""Mistakes that can be made in any exercise, derived from its reference.

A mask is negated, two axes are swapped, the batch is reduced, the dtype is another one. Nobody has to write these down
for each exercise: the reference is called with a changed argument, or its result is changed.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from groot_teach.show.exercises.compare import difference, word
from groot_teach.show.exercises.exercise import Exercise

DTYPES = (torch.bool, torch.int32, torch.int64, torch.float32, torch.float64)


class Universal(NamedTuple):
    """A mistake that is derived from the reference: its name, what to tell, and its results, one a case."""

    name: str
    message: str
    results: tuple[Any, ...]


def universal_mistakes(exercise: Exercise, expected: list[Any]) -> Iterator[Universal]:
    """The universal mistakes that apply to an exercise and differ from the right results in at least one case.

    Args:
        exercise: whose mistakes.
        expected: the right results, one a case.
    """
    for mistake in candidates(exercise, expected):
        if any(difference(wrong, right) for wrong, right in zip(mistake.results, expected, strict=True)):
            yield mistake


def candidates(exercise: Exercise, expected: list[Any]) -> Iterator[Universal]:
    """All universal mistakes that run on every case, those that change nothing included."""
    yield from _changed_results(exercise, expected)
    yield from _changed_arguments(exercise)


def _changed_results(exercise: Exercise, expected: list[Any]) -> Iterator[Universal]:
    batches = [len(first) if isinstance(first, Tensor) and first.ndim else 0 for first, *_ in exercise.cases()]
    count = len(expected[0]) if isinstance(expected[0], tuple) else 1
    for place in range(count):
        parts = [result[place] if isinstance(result, tuple) else result for result in expected]
        if not all(isinstance(part, Tensor) for part in parts):
            continue
        where = f"result {place + 1}" if count > 1 else "the result"
        for name, message, change in _changes_of_a_result(where, parts, batches):
            results = tuple(
                (*right[:place], change(part), *right[place + 1 :]) if isinstance(right, tuple) else change(part)
                for right, part in zip(expected, parts, strict=True)
            )
            yield Universal(name, message, results)


def _changes_of_a_result(
    where: str, parts: list[Tensor], batches: list[int]
) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    right = parts[0].dtype
    for dtype in DTYPES:
        if dtype != right and all(torch.allclose(part.to(dtype).double(), part.double()) for part in parts):
            name = f"{word(dtype)} instead of {word(right)} in {where}"
            yield name, "Your values are right, and their dtype is not.", lambda part, dtype=dtype: part.to(dtype)
    if right == torch.bool:
        name = f"{where} is negated"
        message = (
            "You return True where False is expected, and False where True is. Read in the task what True means in the "
            "result, and what it means in each argument."
        )
        yield name, message, torch.logical_not
    for first, second in combinations(range(min(part.ndim for part in parts)), 2):
        name = f"axes {first} and {second} of {where} are swapped"
        message = (
            f"You return the right values with axes {first} and {second} swapped. Look at where `None` makes a new "
            "axis, and at the order in which the axes are put together."
        )
        yield name, message, lambda part, axes=(first, second): part.transpose(*axes)
    if all(part.ndim and len(part) == batch for part, batch in zip(parts, batches, strict=True)):
        advice = "The task asks for each sample's own result, so reduce over the other axes only."
        if right == torch.bool:
            changes = {
                "reduced by any()": lambda part: part.any(dim=0),
                "reduced by all()": lambda part: part.all(dim=0),
            }
        else:
            changes = {"summed": lambda part: part.sum(dim=0)}
            if right.is_floating_point:
                changes["averaged"] = lambda part: part.mean(dim=0)
                changes["averaged for every sample"] = lambda part: part.mean(dim=0, keepdim=True).expand_as(part)
        for what, change in changes.items():
            yield f"the batch is {what} in {where}", f"You joined the samples of the batch. {advice}", change


def _changed_arguments(exercise: Exercise) -> Iterator[Universal]:
    cases = exercise.cases()
    for place, name in enumerate(exercise.argument_names):
        values = [case[place] for case in cases]
        if not all(isinstance(value, Tensor) for value in values):
            continue
        if all(value.dtype == torch.bool for value in values):
            message = (
                f"You return what would be right for `~{name}`. Read in the task what True means in `{name}`, and look "
                "at each place where you use it."
            )
            yield from _called_with(exercise, f"`{name}` is negated", message, {place: torch.logical_not})
        for axes in combinations(range(min(value.ndim for value in values)), 2):
            yield from _swapped(exercise, f"`{name}`", [place], axes)
    tensors = [place for place in range(len(cases[0])) if all(isinstance(case[place], Tensor) for case in cases)]
    if len(tensors) > 1:
        for axes in combinations(range(min(case[place].ndim for place in tensors for case in cases)), 2):
            yield from _swapped(exercise, "all arguments", tensors, axes)


def _swapped(exercise: Exercise, whose: str, places: list[int], axes: tuple[int, int]) -> Iterator[Universal]:
    name = f"axes {axes[0]} and {axes[1]} of {whose} are swapped"
    message = (
        f"You return what would be right if axes {axes[0]} and {axes[1]} of {whose} were swapped. Look at `dim=` in "
        "sums and means, and at the side on which a new axis is made."
    )
    yield from _called_with(exercise, name, message, dict.fromkeys(places, lambda value: value.transpose(*axes)))


def _called_with(
    exercise: Exercise, name: str, message: str, changes: dict[int, Callable[[Tensor], Tensor]]
) -> Iterator[Universal]:
    """What the reference returns for changed arguments, if it can be called with them in every case."""
    results = []
    for case in exercise.cases():
        arguments = [changes[place](value) if place in changes else value for place, value in enumerate(case)]
        try:
            results.append(exercise.reference(*arguments))
        except Exception:  # such a mistake stops with an error, and the error is what the reader is shown
            return
    yield Universal(name, message, tuple(results))
