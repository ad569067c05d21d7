"""Exercises that check themselves.

    check("1.2", action_mask)   judges your function, and names the mistake where it is a known one
    hint("1.2")                 one hint more each time
    hints("1.2")                all of them at once, for a page without a kernel
    solution("1.2")             our answer
    progress()                  what is done; kept on your machine, and only there

A chapter's exercises are a module with a `TITLE` and a tuple `EXERCISES`, and one entry in `CHAPTERS`.
"""

import inspect
from typing import Any

from groot_teach.exercises import (
    chapter_1,
    chapter_2,
    chapter_3,
    chapter_4,
    chapter_5,
    chapter_6,
    chapter_7,
    chapter_8,
    progress_file,
)
from groot_teach.exercises.cards import BLUE, Card
from groot_teach.exercises.engine import Exercise, Verdict, grade

__all__ = ["CHAPTERS", "check", "hint", "hints", "progress", "solution"]

CHAPTERS = (chapter_1, chapter_2, chapter_3, chapter_4, chapter_5, chapter_6, chapter_7, chapter_8)

_BY_ID = {exercise.id: exercise for chapter in CHAPTERS for exercise in chapter.EXERCISES}
_hints_shown: dict[str, int] = {}


def check(exercise_id: str, answer: Any) -> Verdict:
    """Judges `answer`, your function, and remembers a right one.

    Raises:
        ValueError: there is no such exercise. What the answer raises becomes part of the verdict, `SystemExit`
            included; only an interrupt of yours gets through.
    """
    verdict = grade(_find(exercise_id), answer)
    if verdict.status == "right":
        progress_file.remember(exercise_id)
    return verdict


def hint(exercise_id: str, step: int | None = None) -> Card:
    """The next hint, or hint number `step`. After the last one, the last one again.

    Raises:
        ValueError: there is no such exercise, or no such hint.
    """
    exercise = _find(exercise_id)
    count = len(exercise.hints)
    if step is None:
        step = _hints_shown[exercise_id] = min(_hints_shown.get(exercise_id, 0) + 1, count)
    if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= count:
        raise ValueError(f"step: got {_got(step)}, expected a whole number from 1 to {count}")
    after = f'{"hint" if step < count else "solution"}("{exercise_id}")'
    return Card(f"{exercise.heading}: hint {step} of {count}", f"{exercise.hints[step - 1]}\n\nNext: `{after}`.")


def hints(exercise_id: str) -> Card:
    """All hints, from a nudge to nearly all of it. `hint` goes on where it was.

    Raises:
        ValueError: there is no such exercise.
    """
    exercise = _find(exercise_id)
    numbered = (f"{step}. {words}" for step, words in enumerate(exercise.hints, start=1))
    return Card(f"{exercise.heading}: all {len(exercise.hints)} hints", "\n\n".join(numbered))


def solution(exercise_id: str) -> Card:
    """Our answer, as code.

    Raises:
        ValueError: there is no such exercise.
    """
    exercise = _find(exercise_id)
    code = inspect.getsource(exercise.reference).strip()
    return Card(f"{exercise.heading}: our solution", exercise.lesson, code)


def progress() -> Card:
    """A table of chapters and their exercises: minutes, difficulty, and what is done."""
    done, problem = progress_file.done()
    rows = [("exercise", "title", "minutes", "difficulty", "state")]
    for number, chapter in enumerate(CHAPTERS, start=1):
        finished = sum(exercise.id in done for exercise in chapter.EXERCISES)
        minutes = sum(exercise.minutes for exercise in chapter.EXERCISES)
        state = f"{finished} of {len(chapter.EXERCISES)} done"
        rows.append((f"chapter {number}", chapter.TITLE, str(minutes), "", state))
        for exercise in chapter.EXERCISES:
            state = "done" if exercise.id in done else "not yet"
            rows.append((exercise.id, exercise.title, str(exercise.minutes), f"{exercise.difficulty} of 3", state))
    left = [exercise.minutes for exercise in _BY_ID.values() if exercise.id not in done]
    headline = f"{len(_BY_ID) - len(left)} of {len(_BY_ID)} exercises done"
    if left:
        headline += f", about {sum(left)} minutes to go"
    return Card(headline, problem, rows=tuple(rows), colour=BLUE)


def _find(exercise_id: str) -> Exercise:
    if isinstance(exercise_id, str) and exercise_id in _BY_ID:
        return _BY_ID[exercise_id]
    raise ValueError(f"exercise_id: got {_got(exercise_id)}, expected one of {', '.join(map(repr, _BY_ID))}")


def _got(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
