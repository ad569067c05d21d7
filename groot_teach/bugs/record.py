"""The record of one mask bug, and the decorator that makes it of a wrong part."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from groot_teach.bugs.policy import BATCHES, PARTS, Batch, Part, ToyPolicy
from groot_teach.shapes import ActionChunks, ActionMask, checked


@dataclass(frozen=True)
class Bug:
    """One mask bug: what goes wrong, who met it, and a part of the toy policy that does it.

    Attributes:
        name: the mistake in a few words, as an exercise calls it.
        part: which part of `ToyPolicy` is wrong, a key of `PARTS`.
        wrong: what replaces that part, a function of the same arguments.
        story: what goes wrong, in one or two sentences.
        symptom: what is seen from outside, in a clause. None of the bugs raises.
        threads: where it was reported or read: keys of `book/references.bib`, the main one first. Empty for a bug that
            no thread reports.
        source: the same in words, with addresses or files and lines, or "our own".
        batch: the one of `BATCHES` on which it shows.
        seen_by: the probes of the auditor that find it on that batch, out of `checks.AUDITED`. Empty for a bug that
            the small and finite batches of the toy policy cannot show.
        message: for somebody who made this mistake in an exercise: what they did, and where to look.
    """

    name: str
    part: str
    wrong: Part
    story: str
    symptom: str
    threads: tuple[str, ...]
    source: str
    batch: str
    seen_by: tuple[str, ...]
    message: str

    def policy(self) -> ToyPolicy:
        """The toy policy with this bug, and with no other."""
        return ToyPolicy(**{self.part: self.wrong})

    @checked
    def reduce(self, squared_error: ActionChunks, action_mask: ActionMask) -> Tensor:
        """A wrong loss, asked with a mask in place of a batch.

        Raises:
            ValueError: this bug is no loss.
        """
        if self.part != "reduce":
            raise ValueError(f"reduce: got the bug {self.name!r}, which replaces {self.part!r}; expected a wrong loss")
        return self.wrong(squared_error, batch_of(action_mask))


def batch_of(action_mask: Tensor) -> Batch:
    """The masks of a batch with these real entries: a step or a dim is real if it holds a real entry."""
    step_mask = action_mask.any(dim=2)
    return {
        "action_mask": action_mask,
        "dim_mask": action_mask.any(dim=1),
        "step_mask": step_mask,
        "action_is_pad": ~step_mask,
    }


CATALOGUE: dict[str, Bug] = {}
"""Every bug, by the name of the function that is its wrong part."""


def bug(
    part: str,
    name: str,
    *,
    story: str,
    symptom: str,
    source: str,
    message: str,
    threads: tuple[str, ...] = (),
    batch: str = "ragged",
    seen_by: tuple[str, ...] = (),
) -> Callable[[Part], Bug]:
    """The function below is a wrong `part`; its name becomes the name of the record.

    Raises:
        ValueError: the toy policy has no such part, there is no such batch, or the catalogue has a bug of this name.
    """
    if part not in PARTS:
        raise ValueError(f"part: got {part!r}, expected one of {[*PARTS]}")
    if batch not in BATCHES:
        raise ValueError(f"batch: got {batch!r}, expected one of {[*BATCHES]}")

    def record(wrong: Part) -> Bug:
        key = wrong.__name__
        if key in CATALOGUE:
            raise ValueError(f"wrong: got a second function {key!r}, expected a name that no other bug has")
        CATALOGUE[key] = Bug(name, part, wrong, story, symptom, threads, source, batch, seen_by, message)
        return CATALOGUE[key]

    return record
