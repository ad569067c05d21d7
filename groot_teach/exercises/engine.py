"""The old way to write an exercise, for the chapters that have not moved yet."""

from typing import Any

from groot_teach.chapters import TOPICS
from groot_teach.show.exercises import Exercise as NewExercise
from groot_teach.show.exercises import Mistake as Misconception

__all__ = ["Exercise", "Misconception"]


def Exercise(*, id: str, misconceptions: tuple[Misconception, ...], **fields: Any) -> NewExercise:
    number, _, place = id.partition(".")
    return NewExercise(id=f"{TOPICS[int(number) - 1]}.{place}", mistakes=list(misconceptions), **fields)
