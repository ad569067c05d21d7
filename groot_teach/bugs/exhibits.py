"""The museum of silent mask bugs: sixteen exhibits in seven rooms, in the order of chapter 9.

    EXHIBITS             the bugs of the catalogue that it shows, each with its title and its room
    report_on(name)      what the auditor says of an exhibit
    checks_on(name)      which check catches it

They re-create what public threads describe, on a policy of our own; none of them is the code of a thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from groot_teach.audit import MaskReport
from groot_teach.bugs.attention import (
    commented_out,
    everybody_reads,
    finite_fill,
    only_the_first,
    upside_down,
    whose_mask,
    wrong_axis,
    zeros_and_ones,
)
from groot_teach.bugs.checks import audit, audited_checks, everyday_checks
from groot_teach.bugs.data import everything_enters, first_prompt
from groot_teach.bugs.losses import (
    copies_count,
    counts_steps,
    mean_of_everything,
    removes_nothing,
    thrown_away,
    wrong_key,
)
from groot_teach.bugs.policy import BATCHES, Part, ToyPolicy, toy_batch
from groot_teach.bugs.record import Bug
from groot_teach.bugs.sampling import training_only


@dataclass(frozen=True)
class Exhibit:
    """One exhibit of the museum.

    Attributes:
        number: its place in the chapter.
        title: a few words.
        room: what kind of bug it is.
        bugs: what is wrong in its policy: one bug, or two that come together.
    """

    number: int
    title: str
    room: str
    bugs: tuple[Bug, ...]

    @property
    def name(self) -> str:
        """`1 the wrong key`."""
        return f"{self.number} {self.title}"

    @property
    def parts(self) -> Mapping[str, Part]:
        """What it replaces in a `ToyPolicy`."""
        return {bug.part: bug.wrong for bug in self.bugs}

    def policy(self) -> ToyPolicy:
        return ToyPolicy(**self.parts)


ROOMS: dict[str, dict[str, tuple[Bug, ...]]] = {
    "The mask that never ran": {
        "the wrong key": (wrong_key,),
        "the result thrown away": (thrown_away,),
        "the slice that removes nothing": (removes_nothing,),
        "copies that count": (copies_count,),
    },
    "Divided by what?": {
        "the mean of everything": (mean_of_everything,),
        "the repair's own divisor": (counts_steps,),
    },
    "The mask that says something else": {
        "upside down": (upside_down,),
        "commented out": (commented_out,),
        "zeros and ones added": (zeros_and_ones,),
        "the wrong axis": (wrong_axis,),
    },
    "The others in the batch": {
        "whose mask is this?": (whose_mask,),
        "one prompt for everybody": (first_prompt,),
    },
    "The edge": {"nothing left to read": (finite_fill,)},
    "Behind a correct loss": {
        "the leak before the loss": (everything_enters, everybody_reads),
        "half a repair": (training_only,),
    },
    "The one that nearly got away": {"too much": (only_the_first,)},
}
"""The rooms in order, and in each the titles of its exhibits and their bugs."""

EXHIBITS = tuple(
    Exhibit(number, title, room, bugs)
    for number, (room, title, bugs) in enumerate(
        ((room, title, bugs) for room, shown in ROOMS.items() for title, bugs in shown.items()), start=1
    )
)
NO_BUG = "no bug"


def policy_named(name: str) -> ToyPolicy:
    """The policy of the exhibit with this `name`, or the right one for `NO_BUG`.

    Raises:
        ValueError: there is no such exhibit.
    """
    if name == NO_BUG:
        return ToyPolicy()
    for exhibit in EXHIBITS:
        if exhibit.name == name:
            return exhibit.policy()
    raise ValueError(f"name: got {name!r}, expected {NO_BUG!r} or one of {[exhibit.name for exhibit in EXHIBITS]}")


@cache
def report_on(name: str, batch: str = "ragged") -> MaskReport:
    """The auditor's report on the exhibit of this name, on one of `BATCHES`; made once.

    Raises:
        ValueError: there is no such exhibit, or no such batch.
    """
    if batch not in BATCHES:
        raise ValueError(f"batch: got {batch!r}, expected one of {[*BATCHES]}")
    return audit(policy_named(name), toy_batch(batch))


def checks_on(name: str) -> dict[str, bool]:
    """Which of `CHECKS` catches the exhibit of this name, on the ragged batch.

    Raises:
        ValueError: there is no such exhibit.
    """
    return everyday_checks(policy_named(name)) | audited_checks(report_on(name))
