"""What an exercise is, and how an answer is judged.

An answer is a function. It is called on every case of the exercise and compared with the reference:

    not attempted   every call gives None or `...`, or raises NotImplementedError
    raised          a call stops with an error
    wrong           a result differs, or an input was changed in place; known mistakes are called by their name
    right           every result equals the reference's, in value, shape and dtype

A **known mistake** is a function too. An answer that gives what it gives, on all cases, has made that mistake; where
it gives `...`, any answer will do.
"""

import copy
import inspect
import re
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from groot_teach.exercises.cards import BLUE, GREY, ORANGE, Card

Status = Literal["not attempted", "raised", "wrong", "right"]
SMALL = 60
"""Tensors of up to this many entries are printed, larger ones are described."""


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer.

    Attributes:
        name: what the mistake is called, in a few words.
        answer: a function that makes it. `...` as its result, or in its place, stands for anything: those who make
            the mistake differ there.
        message: two sentences: what was thought, and where to look.
        source: the thread or file in which it was made, or "our own" where we know of none.
    """

    name: str
    answer: Callable[..., Any]
    message: str
    source: str


@dataclass(frozen=True)
class Exercise:
    """A function to write, with everything that it takes to judge one.

    Attributes:
        id: chapter and number, `"1.2"`.
        title: what the function does, in a few words.
        task: what to write, for the reader: shapes, and what True means.
        minutes: how long it takes a reader of the chapter.
        difficulty: 1, 2 or 3.
        reference: our answer, plain enough to be shown by `solution`.
        cases: gives the arguments of every call, the same ones each time. The first are small enough to work out by
            hand; the others are random and of other sizes, so that an answer made for the small ones is found out.
        misconceptions: the known wrong answers, each unlike the others.
        hints: from a nudge to nearly all of it.
        lesson: one sentence for a right answer: what it was good for.
    """

    id: str
    title: str
    task: str
    minutes: int
    difficulty: Literal[1, 2, 3]
    reference: Callable[..., Any]
    cases: Callable[[], tuple[tuple[Any, ...], ...]]
    misconceptions: tuple[Misconception, ...]
    hints: tuple[str, ...]
    lesson: str

    @property
    def heading(self) -> str:
        """`1.2 Build the action mask`."""
        return f"{self.id} {self.title}"

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of what the function is called with."""
        return tuple(inspect.signature(self.reference).parameters)


@dataclass(frozen=True, repr=False)
class Verdict(Card):
    """What `check` says. It depends on the exercise and the answer, and on nothing else.

    Attributes:
        status: `not attempted`, `raised`, `wrong` or `right`.
        misconception: the name of the known mistake, if it is one.
    """

    status: Status = "not attempted"
    misconception: str | None = None


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
            return _verdict(exercise, "raised", message, code=_called_with(exercise, call.arguments))

    for call in calls:
        if call.changed:
            names = " and ".join(f"`{exercise.argument_names[index]}`" for index in call.changed)
            message = (
                f"Your function changes {names} in place, and whoever called it still needs the old values. Make a new "
                "tensor: look for `&=`, `+=`, indexed assignment and methods whose name ends in an underscore."
            )
            return _verdict(exercise, "wrong", message, code=_called_with(exercise, call.arguments))

    expected = [_call(exercise.reference, call.arguments).result for call in calls]
    for call, right in zip(calls, expected, strict=True):
        if words := difference(call.result, right):
            break
    else:
        return _verdict(exercise, "right", f"All {len(calls)} cases agree. {exercise.lesson}")

    for known in exercise.misconceptions:
        mistaken = [_call(known.answer, call.arguments).result for call in calls]
        if not any(difference(c.result, m, equal_nan=True) for c, m in zip(calls, mistaken, strict=True)):
            message = f"{known.message}\n\nSource: {known.source}."
            return _verdict(exercise, "wrong", message, misconception=known.name)

    where, yours, right = _narrow(call.result, right)
    code = f"{_called_with(exercise, call.arguments)}\n\nexpected{where}\n{show(right)}\n\nyours{where}\n{show(yours)}"
    return _verdict(exercise, "wrong", f"{words[0].upper()}{words[1:]}.", code=code)


def difference(got: Any, expected: Any, equal_nan: bool = False) -> str | None:
    """Says how `got` differs from `expected`; None if it does not. Nothing is cast.

    NaN differs from everything, so it is never right. `equal_nan` is for two answers that make the same mistake.
    Nothing differs from an expected `...`.
    """
    if expected is ...:
        return None
    if isinstance(expected, tuple):
        if not isinstance(got, tuple) or len(got) != len(expected):
            return f"got {describe(got)}, expected {describe(expected)}"
        for index, pair in enumerate(zip(got, expected, strict=True), start=1):
            if words := difference(*pair, equal_nan):
                return f"result {index} of {len(expected)}: {words}"
        return None
    if not isinstance(expected, Tensor):
        if type(got) is not type(expected):
            return f"got {describe(got)}, expected {describe(expected)}"
        if isinstance(expected, float):
            return difference(*torch.tensor([[got], [expected]], dtype=torch.float64), equal_nan)
        return None if got == expected else f"got {got!r}, expected {expected!r}"
    if not isinstance(got, Tensor):
        return f"got {describe(got)}, expected {describe(expected)}"
    if got.dtype != expected.dtype:
        return f"got {describe(got)}, expected {_word(expected.dtype)}{_why_bool(got, expected)}"
    if describe(got) != describe(expected):  # shape, device and layout
        return f"got {describe(got)}, expected {describe(expected)}"

    off = _off(got, expected, equal_nan)
    if not off.any():
        return None
    first = tuple(off.nonzero()[0].tolist())
    values = f"yours is {got[first].item()}, expected {expected[first].item()}"
    if off.numel() == 1:
        return values
    return f"{int(off.sum())} of {off.numel()} entries differ; at {list(first)}, {values}"


def _off(got: Tensor, expected: Tensor, equal_nan: bool = False) -> Tensor:
    """True where two tensors of one dtype and shape differ."""
    is_real = expected.is_floating_point() or expected.is_complex()
    return ~torch.isclose(got, expected, equal_nan=equal_nan) if is_real else got != expected


def _narrow(got: Any, expected: Any) -> tuple[str, Any, Any]:
    """Cuts two large tensors that differ in some values down to the first slice that does, and says where it is."""
    if not isinstance(expected, Tensor) or describe(got) != describe(expected):
        return "", got, expected
    where = []
    while expected.numel() > SMALL and expected.ndim > 1:
        where.append(int(_off(got, expected).nonzero()[0, 0]))
        got, expected = got[where[-1]], expected[where[-1]]
    return f" at {where}" if where else "", got, expected


def describe(value: Any) -> str:
    """What something is, without its values: `a bool tensor of shape (2, 3)`."""
    if isinstance(value, Tensor):
        article = "an" if _word(value.dtype).startswith("i") else "a"
        kind = "" if value.layout == torch.strided else f"{_word(value.layout)} "
        where = "" if value.device.type == "cpu" else f" on {value.device}"
        return f"{article} {_word(value.dtype)} {kind}tensor of shape {tuple(value.shape)}{where}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)} ({', '.join(map(describe, value[:3]))})"
    return "None (is a `return` missing?)" if value is None else f"a value of type {type(value).__name__}"


def show(value: Any) -> str:
    """A value for the reader's eye, indented: small tensors in full, the others in words."""
    if isinstance(value, tuple | list):
        return "\n".join(map(show, value))
    if not isinstance(value, Tensor):
        return f"  {_one_line(repr(value))}"
    return textwrap.indent(repr(value.detach()) if value.numel() <= SMALL else describe(value), "  ")


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
    return _one_line(lines[-1] or "") if lines else ""


def _first_line(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {_one_line(words[0])}" if words else type(error).__name__


def _one_line(text: str) -> str:
    """Short, and without memory addresses: the same in every run."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", textwrap.shorten(text, 240, placeholder=" ..."))


def _called_with(exercise: Exercise, arguments: tuple[Any, ...]) -> str:
    lines = ["called with"]
    for name, value in zip(exercise.argument_names, arguments, strict=True):
        lines.append(f"  {name}: {describe(value) if isinstance(value, Tensor) else repr(value)}")
        if isinstance(value, Tensor) and value.numel() <= SMALL:
            lines.append(textwrap.indent(show(value), "  "))
    return "\n".join(lines)


def _word(torch_name: torch.dtype | torch.layout) -> str:
    return str(torch_name).removeprefix("torch.")


def _why_bool(got: Tensor, expected: Tensor) -> str:
    if expected.dtype != torch.bool:
        return ""
    if got.is_floating_point():
        return "; PyTorch's attention adds a float mask to the logits instead of hiding with it"
    return "; PyTorch's attention refuses an integer mask, and `~1` is -2, which counts as True"


def _verdict(
    exercise: Exercise, status: Status, message: str, *, code: str = "", misconception: str | None = None
) -> Verdict:
    headline = f"{exercise.heading}: {status}" + (f" ({misconception})" if misconception else "")
    colour = {"right": BLUE, "not attempted": GREY}.get(status, ORANGE)
    return Verdict(headline, message, code, colour=colour, status=status, misconception=misconception)
