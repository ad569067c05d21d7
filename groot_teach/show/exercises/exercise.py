'''What an exercise is: a reference function, the cases that it is called with, and the mistakes that people make.

    @exercise("padding.1", minutes=4, difficulty=1, cases=count_real_cases, hints=("...", "..."), lesson="...")
    def count_real(action_is_pad, action_dim):
        """Count the real entries

        The task, for the reader: shapes, and what True means.
        """
        return (~action_is_pad).sum(dim=1) * action_dim


    @count_real.mistake("the padding is counted")
    def _(action_is_pad, action_dim):
        """You counted where `action_is_pad` is True, and there True means padding.
        Source: https://..."""
        return action_is_pad.sum(dim=1) * action_dim


    @count_real.mistake(bugs.copies_count)
    def _(action_is_pad, action_dim):
        return action_is_pad.shape[1] * action_dim

The last one has its name, message and source from the catalogue `groot_teach.bugs`. Where the wrong part of a record
fits, it is the answer too: `loss_of_each_sample.made_by(bugs.no_mask, bugs.counts_steps, by=adapter)`.
'''

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

Difficulty = Literal[1, 2, 3]


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer.

    Attributes:
        name: what the mistake is called, in a few words.
        answer: a function that makes it. Where it returns `...`, alone or as part of a tuple, any value will do: people
            who make this mistake return different things there.
        message: two sentences: what the reader thought, and where to look.
        source: the thread or file in which the mistake was made, or "our own" where we know of none.
    """

    name: str
    answer: Callable[..., Any]
    message: str
    source: str


class Bug(Protocol):
    """What an exercise reads of a record in `groot_teach.bugs`."""

    @property
    def name(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def source(self) -> str: ...


SomeBug = TypeVar("SomeBug", bound=Bug)


@dataclass(frozen=True, eq=False)
class Exercise:
    """A function to write, with everything that it takes to judge one. Calling it calls the reference.

    Attributes:
        id: the topic of the chapter and a number, `"padding.2"`.
        title: what the function does, in a few words.
        task: what to write, for the reader: shapes, and what True means.
        minutes: how long it takes a reader of the chapter.
        difficulty: 1, 2 or 3.
        reference: our answer, short enough to be shown as the solution.
        cases: returns the arguments of every call, the same ones each time. The first are small enough to work out by
            hand. The others are random and of other sizes, so that an answer that was made for the small ones fails.
        hints: from a nudge to nearly the whole answer.
        lesson: one sentence for a right answer: what it was good for.
        unaffected_by: names of the universal mistakes (see `universal`) that change no result of this function.
        mistakes: the known wrong answers, each unlike the others.
    """

    id: str
    title: str
    task: str
    minutes: int
    difficulty: Difficulty
    reference: Callable[..., Any]
    cases: Callable[[], tuple[tuple[Any, ...], ...]]
    hints: tuple[str, ...]
    lesson: str
    unaffected_by: tuple[str, ...] = ()
    mistakes: list[Mistake] = field(default_factory=list)

    def __call__(self, *arguments: Any) -> Any:
        """What the reference returns."""
        return self.reference(*arguments)

    @property
    def heading(self) -> str:
        """`padding.2 Build the action mask`."""
        return f"{self.id} {self.title}"

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of the arguments that the function is called with."""
        return tuple(inspect.signature(self.reference).parameters)

    @property
    def solution(self) -> str:
        """The code of the reference, without its decorator and docstring."""
        return source_without_docstring(self.reference)

    def mistake(self, which: str | Bug) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Adds the decorated function as a known mistake.

        Args:
            which: the name of the mistake. The docstring of the function is then its message; its last line may begin
                with "Source:". Or a record of `groot_teach.bugs`, which has a name, a message and a source.
        """

        def add(answer: Callable[..., Any]) -> Callable[..., Any]:
            if isinstance(which, str):
                message, _, source = _paragraphs(answer).partition(" Source: ")
                self.mistakes.append(Mistake(which, answer, message, source or "our own"))
            else:
                self.mistakes.append(Mistake(which.name, answer, which.message, which.source))
            return answer

        return add

    def made_by(self, *bugs: SomeBug, by: Callable[[SomeBug], Callable[..., Any]]) -> None:
        """Adds bugs of the catalogue as known mistakes, with their names, messages and sources.

        Args:
            bugs: records of `groot_teach.bugs`.
            by: makes an answer of a record, a function with the arguments of this exercise that calls its wrong part.
        """
        self.mistakes.extend(Mistake(bug.name, by(bug), bug.message, bug.source) for bug in bugs)


def exercise(
    id: str,
    *,
    minutes: int,
    difficulty: Difficulty,
    cases: Callable[[], tuple[tuple[Any, ...], ...]],
    hints: tuple[str, ...],
    lesson: str,
    unaffected_by: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Exercise]:
    """Makes an exercise of the decorated function, which is its reference. See `Exercise` for the arguments.

    The first line of the function's docstring is the title. What follows after an empty line is the task.
    """

    def make(reference: Callable[..., Any]) -> Exercise:
        title, _, task = _paragraphs(reference).partition("\n\n")
        return Exercise(id, title, task, minutes, difficulty, reference, cases, hints, lesson, unaffected_by)

    return make


def source_without_docstring(function: Callable[..., Any]) -> str:
    """The code of a function as it is written, without its decorators and its docstring."""
    code = textwrap.dedent(inspect.getsource(function))
    lines, definition = code.splitlines(), ast.parse(code).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"function: got {function!r}, expected a function that is written with `def`")
    first = definition.body[0]
    if ast.get_docstring(definition) is not None:
        del lines[first.lineno - 1 : first.end_lineno]
        if not lines[first.lineno - 1]:  # the formatter leaves an empty line before a function inside
            del lines[first.lineno - 1]
    return "\n".join(lines[definition.lineno - 1 :])


def _paragraphs(function: Callable[..., Any]) -> str:
    """The docstring of a function, each paragraph on one line.

    Raises:
        ValueError: there is none. The reader's task or message would be empty.
    """
    words = inspect.getdoc(function)
    if not words:
        name = getattr(function, "__name__", repr(function))
        raise ValueError(f"{name}: got no docstring, expected one that says to the reader what this is")
    return re.sub(r"(?<!\n)\n(?!\n)", " ", words)
