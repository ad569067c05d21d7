"""How an answer is judged.

An answer is a function. It is called on every case of the exercise and compared with the reference:

    not attempted   every call returns None or `...`, or raises NotImplementedError
    raised          a call stops with an error
    wrong           a result differs, or an input was changed in place
    right           every result equals the reference's, in value, shape and dtype

A wrong answer is compared with the known mistakes of the exercise, and then with the universal ones. If it returns what
a mistake returns, in all cases, the verdict has the name of that mistake.
"""

import copy
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from groot_teach.show.exercises.cards import BLUE, GREY, ORANGE, Card
from groot_teach.show.exercises.compare import SMALL, describe, difference, narrow, one_line, show
from groot_teach.show.exercises.exercise import Exercise
from groot_teach.show.exercises.universal import universal_mistakes

Status = Literal["not attempted", "raised", "wrong", "right"]


@dataclass(frozen=True, repr=False)
class Verdict(Card):
    """What `check` says. It depends on the exercise and the answer, and on nothing else.

    Attributes:
        status: `not attempted`, `raised`, `wrong` or `right`.
        mistake: the name of the known mistake, if it is one.
    """

    status: Status = "not attempted"
    mistake: str | None = None


@dataclass(frozen=True)
class _Call:
    """One call of the answer: its arguments, and what came of it."""

    arguments: tuple[Any, ...]
    result: Any = None
    error: BaseException | None = None
    raised_in: str = ""
    changed: tuple[int, ...] = ()

    @property
    def is_blank(self) -> bool:
        if self.error is None:
            return self.result is None or self.result is ...
        # PyTorch raises NotImplementedError too, for a dtype that an operation does not know: that is an attempt.
        unwritten = not str(self.error) or self.raised_in.startswith("raise ")
        return isinstance(self.error, NotImplementedError) and unwritten


def grade(exercise: Exercise, answer: Any) -> Verdict:
    """Judges an answer. What the answer raises becomes part of the verdict."""
    if answer is None or answer is ...:
        return _verdict(exercise, "not attempted", f'Hand over your function: `check("{exercise.id}", my_function)`.')
    if not callable(answer):
        return _verdict(
            exercise, "wrong", f"Got {describe(answer)}, expected a function. Hand it over uncalled, without brackets."
        )

    calls = [_call(answer, arguments) for arguments in exercise.cases()]
    if all(call.is_blank for call in calls):
        dots = any(call.result is ... for call in calls)
        found = "still gives the dots." if dots else "gives nothing yet. Is a `return` missing?"
        return _verdict(exercise, "not attempted", f'Your function {found} A nudge: `hint("{exercise.id}")`.')

    for call in calls:
        if call.error is not None:
            where = f" in the line `{call.raised_in}`" if call.raised_in else ""
            message = f"Your function stopped with `{_first_line(call.error)}`{where}."
            return _verdict(exercise, "raised", message, code=called_with(exercise, call.arguments))

    for call in calls:
        if call.changed:
            names = " and ".join(f"`{exercise.argument_names[index]}`" for index in call.changed)
            message = (
                f"Your function changes {names} in place, and whoever called it still needs the old values. Make a new "
                "tensor: look for `&=`, `+=`, indexed assignment and methods whose name ends in an underscore."
            )
            return _verdict(exercise, "wrong", message, code=called_with(exercise, call.arguments))

    expected = [_call(exercise.reference, call.arguments).result for call in calls]
    for call, right in zip(calls, expected, strict=True):
        if words := difference(call.result, right):
            break
    else:
        return _verdict(exercise, "right", f"All {len(calls)} cases agree. {exercise.lesson}")

    results = [call.result for call in calls]
    for known in exercise.mistakes:
        if _same(results, [_call(known.answer, call.arguments).result for call in calls]):
            message = f"{known.message}\n\nSource: {known.source}."
            return _verdict(exercise, "wrong", message, mistake=known.name)

    where, yours, right = narrow(call.result, right)
    code = f"{called_with(exercise, call.arguments)}\n\nexpected{where}\n{show(right)}\n\nyours{where}\n{show(yours)}"
    message = f"{words[0].upper()}{words[1:]}."
    for universal in universal_mistakes(exercise, expected):
        if _same(results, universal.results):
            message = f"{universal.message} {message}"
            return _verdict(exercise, "wrong", message, code=code, mistake=universal.name)
    return _verdict(exercise, "wrong", message, code=code)


def _same(results: Sequence[Any], mistaken: Sequence[Any]) -> bool:
    pairs = zip(results, mistaken, strict=True)
    return not any(difference(result, wrong, equal_nan=True) for result, wrong in pairs)


def _call(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> _Call:
    handed_over = copy.deepcopy(arguments)
    try:
        result = answer(*handed_over)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # `exit()` too
        return _Call(arguments, error=error, raised_in=_raised_in(answer, error))
    changed = tuple(i for i, old in enumerate(arguments) if not _unchanged(old, handed_over[i]))
    return _Call(arguments, result, changed=changed)


def _unchanged(old: Any, new: Any) -> bool:
    if isinstance(old, tuple | list):
        return len(old) == len(new) and all(map(_unchanged, old, new))
    if not isinstance(old, Tensor):
        return old == new
    if old.shape != new.shape or old.dtype != new.dtype:
        return False
    return bool(((old == new) | ((old != old) & (new != new))).all())  # unlike an answer, an input may hold NaN


def _raised_in(answer: Callable[..., Any], error: BaseException) -> str:
    """The line of the reader's code that the error came through last, as they wrote it."""
    theirs = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == theirs]
    return one_line(lines[-1] or "") if lines else ""


def _first_line(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {one_line(words[0])}" if words else type(error).__name__


def called_with(exercise: Exercise, arguments: tuple[Any, ...]) -> str:
    """The arguments of one call by their names, small tensors with all their numbers."""
    lines = ["called with"]
    for name, value in zip(exercise.argument_names, arguments, strict=True):
        lines.append(f"  {name}: {describe(value) if isinstance(value, Tensor) else repr(value)}")
        if isinstance(value, Tensor) and value.numel() <= SMALL:
            lines.append(textwrap.indent(show(value), "  "))
    return "\n".join(lines)


def _verdict(
    exercise: Exercise, status: Status, message: str, *, code: str = "", mistake: str | None = None
) -> Verdict:
    headline = f"{exercise.heading}: {status}" + (f" ({mistake})" if mistake else "")
    colour = {"right": BLUE, "not attempted": GREY}.get(status, ORANGE)
    return Verdict(headline, message, code, colour=colour, status=status, mistake=mistake)
