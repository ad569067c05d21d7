"""The chapters: for each topic a folder with `pictures`, what its widgets compute and its figures, and `exercises`.

    check("padding.2", action_mask)   judges your function, and names the mistake where it is a known one
    on_paper("padding.2")             one small case to work out without code, with its answer folded
    hint("padding.2")                 one hint more each time
    hints("padding.2")                all of them at once, for a page without a kernel
    solution("padding.2")             our answer
    progress("padding")               what is done in this chapter; kept on your machine, and only there
    progress()                        the same for all chapters

The exercises of a chapter are in `groot_teach/chapters/TOPIC/exercises.py`, a module with a `TITLE`, the title of the
chapter. They are imported when one of them is asked for.
"""

import copy
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from groot_teach.show.exercises import Card, Exercise, Verdict, grade, progress_file
from groot_teach.show.exercises.cards import BLUE
from groot_teach.show.exercises.compare import show
from groot_teach.show.exercises.grade import called_with

__all__ = ["TOPICS", "Chapter", "chapter", "check", "hint", "hints", "on_paper", "progress", "solution"]

TOPICS = (
    "padding",
    "velocity",
    "loss",
    "broken_losses",
    "attention",
    "passing_masks",
    "inside",
    "dropped",
    "bugs",
    "audit",
)
"""The chapters in their order, by topic."""

_FORMERLY = {"padding": 5, "velocity": 6, "loss": 5, "attention": 7, "inside": 5, "dropped": 6, "bugs": 6, "audit": 6}
OLD_IDS = {
    f"{number}.{place}": f"{topic}.{place}"
    for number, (topic, count) in enumerate(_FORMERLY.items(), start=1)
    for place in range(1, count + 1)
}
OLD_IDS |= {f"{old}.{5 + place}": f"broken_losses.{place}" for old in ("3", "loss") for place in (1, 2)}
_MOVED = {2: "passing_masks.3", 3: "attention.2", 4: "passing_masks.1", 5: "passing_masks.4", 6: "attention.3"}
OLD_IDS |= {f"4.{place}": now for place, now in (_MOVED | {7: "passing_masks.2"}).items()}
"""The ids that exercises once had, by number or in another chapter, for progress files of that time."""

_hints_shown: dict[str, int] = {}


@dataclass(frozen=True)
class Chapter:
    """A chapter's title and its exercises, in the order of the chapter."""

    topic: str
    title: str
    exercises: tuple[Exercise, ...]


@cache
def chapter(topic: str) -> Chapter:
    """The chapter about a topic. Its exercises are imported here.

    Raises:
        ValueError: there is no such chapter.
    """
    if topic not in TOPICS:
        raise ValueError(f"topic: got {topic!r}, expected one of {', '.join(map(repr, TOPICS))}")
    module = import_module(f"groot_teach.chapters.{topic}.exercises")
    found = (value for value in vars(module).values() if isinstance(value, Exercise))
    own = sorted((one for one in found if one.id.startswith(f"{topic}.")), key=lambda one: int(one.id.split(".")[1]))
    return Chapter(topic, module.TITLE, tuple(own))


def check(exercise_id: str, answer: Any) -> Verdict:
    """Judges `answer`, your function, and remembers a right one.

    What the answer raises becomes part of the verdict, `SystemExit` included. Only an interrupt gets through.

    Raises:
        ValueError: there is no such exercise.
    """
    verdict = grade(_find(exercise_id), answer)
    if verdict.status == "right":
        progress_file.remember(exercise_id, OLD_IDS)
    return verdict


def on_paper(exercise_id: str) -> Card:
    """One case of an exercise, small enough for pencil and paper, and its answer, which a page folds.

    Raises:
        ValueError: there is no such exercise.
    """
    exercise = _find(exercise_id)
    arguments = exercise.cases()[0]
    answer = show(exercise(*copy.deepcopy(arguments)))
    message = "Work this one out without code, and then unfold the answer."
    return Card(f"{exercise.heading}: on paper", message, called_with(exercise, arguments), answer, colour=BLUE)


def hint(exercise_id: str, step: int | None = None) -> Card:
    """The next hint, or hint number `step`. After the last hint it is shown again.

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
    """All hints, from a nudge to nearly the whole answer. `hint` goes on where it was.

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
    return Card(f"{exercise.heading}: our solution", exercise.lesson, exercise.solution)


def progress(topic: str | None = None) -> Card:
    """A table of exercises: minutes, difficulty, and what is done. Of one chapter, or of all of them.

    Raises:
        ValueError: there is no chapter with this topic.
    """
    done, problem = progress_file.done(OLD_IDS)
    rows = [("exercise", "title", "minutes", "difficulty", "state")]
    everything: list[Exercise] = []
    for number, each in enumerate(TOPICS, start=1):
        if topic is not None and each != chapter(topic).topic:
            continue
        exercises = chapter(each).exercises
        everything.extend(exercises)
        finished = sum(exercise.id in done for exercise in exercises)
        minutes = sum(exercise.minutes for exercise in exercises)
        state = f"{finished} of {len(exercises)} done"
        rows.append((f"chapter {number}", chapter(each).title, str(minutes), "", state))
        for exercise in exercises:
            state = "done" if exercise.id in done else "not yet"
            rows.append((exercise.id, exercise.title, str(exercise.minutes), f"{exercise.difficulty} of 3", state))
    left = [exercise.minutes for exercise in everything if exercise.id not in done]
    headline = f"{len(everything) - len(left)} of {len(everything)} exercises done"
    if left:
        headline += f", about {sum(left)} minutes to go"
    return Card(headline, problem, rows=tuple(rows), colour=BLUE)


def _find(exercise_id: str) -> Exercise:
    if isinstance(exercise_id, str):
        topic = exercise_id.partition(".")[0]
        for exercise in chapter(topic).exercises if topic in TOPICS else ():
            if exercise.id == exercise_id:
                return exercise
        if exercise_id in OLD_IDS:
            raise ValueError(f"exercise_id: got {exercise_id!r}, which is called {OLD_IDS[exercise_id]!r} now")
    known = (exercise.id for topic in TOPICS for exercise in chapter(topic).exercises)
    raise ValueError(f"exercise_id: got {_got(exercise_id)}, expected one of {', '.join(map(repr, known))}")


def _got(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
