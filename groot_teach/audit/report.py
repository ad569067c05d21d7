"""The result of an audit: every look that was taken, what was found, and where the audit could not look.

    looks       one probe at one stage, along one axis: something moved, nothing moved, or the probe could not look
    findings    what moved, collected from all probes that saw it
    unseen      where a probe could not look, and why

A report is clean if nothing moved except what is declared as intended, and if every look was taken or is excused. Both
declarations need a reason, and each of them covers one thing only:

    intended    one kind of finding at one stage along one axis, such as `"loss sum, steps, lost"`
    excused     a probe whose answer means nothing for this policy, or a stage where the audit need not look

An intention may have a largest size, and without a kind, as in `"loss sum, steps"`, it means leaks alone. What an
excused probe says is no finding, whatever it is. What the audit finds at an excused stage all the same is still one.
"""

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf, isfinite
from typing import Any, Literal, get_args

import torch

from groot_teach.audit.advice import what_next
from groot_teach.audit.in_html import fragment, page
from groot_teach.audit.in_junit import junit
from groot_teach.audit.names import COLUMNS, LEAK_OF_STAGE, NEIGHBOURS, OTHER_SAMPLES, Kind, Probe


@dataclass(frozen=True)
class Look:
    """One probe, at one stage, along one axis.

    Attributes:
        stage: the stage.
        axis: `dims`, `steps`, `tokens`, `samples`, or two of them: `dims and steps`.
        probe: the probe.
        size: how much moved, as the probe measures it; 0 = nothing; None = the probe could not look.
        kind: what is looked for: a `leak` of padding, real entries that are `lost`, a number that is `not finite`, or a
            `mismatch` between training and sampling.
        why: what the size means, or why the probe could not look.
        where: which entries are meant, such as `for example sample 1, step 2`.
        hint: what to look at first, where the probe has a suspicion, such as a declaration that was forgotten.
    """

    stage: str
    axis: str
    probe: Probe
    size: float | None
    kind: Kind = "leak"
    why: str = ""
    where: str = ""
    hint: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """A part of an audit that is still to be done: a probe at one stage, along one axis.

    Calling it takes its looks. `audit_masks` counts these parts, and notices if one of them is left out.
    """

    stage: str
    axis: str
    probe: Probe
    take: Callable[[], Iterable[Look]]

    def __call__(self) -> Iterable[Look]:
        return self.take()

    def left_out(self, why: str) -> Look:
        return Look(self.stage, self.axis, self.probe, None, why=why)


@dataclass(frozen=True)
class Intended:
    """A declaration that a finding is wanted, up to a size.

    Attributes:
        why: the reason.
        at_most: how large it may be, as the probe measures it: 0.05 for 5 %. None = any size.
    """

    why: str
    at_most: float | None = None


@dataclass(frozen=True)
class Finding:
    """What moved at one stage along one axis.

    Attributes:
        stage, axis, kind: as in `Look`.
        size: as measured by the first probe that saw it.
        probes: the probes that saw it.
        why: what the size means.
        intended: the caller's reason for wanting it, or None.
        where: which entries are meant, as the first probe says that names any.
        hint: what to look at first, if a probe has a suspicion.
    """

    stage: str
    axis: str
    kind: Kind
    size: float
    probes: tuple[Probe, ...]
    why: str
    intended: str | None = None
    where: str = ""
    hint: str = ""

    @property
    def next(self) -> str:
        """What to look at next."""
        usual = what_next(self.stage, self.axis, self.kind)
        return f"{self.hint}; otherwise {usual}" if self.hint else usual

    @property
    def name(self) -> str:
        """Where it is, such as `loss sum, steps`. A leak can be declared as intended under this name."""
        return f"{self.stage}, {self.axis}"

    @property
    def full_name(self) -> str:
        """The name under which exactly this finding can be declared as intended, such as `loss sum, steps, lost`."""
        return f"{self.name}, {self.kind}"

    def __str__(self) -> str:
        *others, last = self.probes
        probes = f"{', '.join(others)} and {last}" if others else last
        seen = f"{self.name}: {'; '.join(filter(None, (self.why, self.where)))} ({probes})"
        return seen if self.intended is None else f"{seen}; intended: {self.intended}"


@dataclass(frozen=True)
class Place:
    """What a line below the table is about: a kind of finding at one stage, along one axis."""

    stage: str
    axis: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.stage}, {self.axis}"


@dataclass(frozen=True)
class Line:
    """A line below the table of a report.

    Attributes:
        mark: `!` = found, `*` = found and intended, `?` = could not look, `-` = excused, or a note.
        text: what was found, or why nobody looked.
        next: what to look at next; empty where nothing is to be done.
        place: what the line is about; None for a note.
    """

    mark: Literal["!", "*", "?", "-"]
    text: str
    next: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        said = f"{self.mark} {self.text}"
        return f"{said}\n  next: {self.next}" if self.next else said

    def is_of(self, stage: str, axis: str) -> bool:
        """Whether the line belongs to this cell of the table."""
        return self.place is not None and self.place.stage == stage and axis in self.place.axis.split(" and ")


class MasksLeak(AssertionError):
    """Raised by `MaskReport.assert_clean`: something was found that is not declared as intended, or not looked at."""


@dataclass(frozen=True, repr=False)
class MaskReport:
    """The result of `audit_masks`. A notebook shows it as a table; `print` gives text.

    Attributes:
        looks: every look, also those that could not be taken.
        intended: findings that the caller declares as wanted, by `stage, axis` (a leak) or by `stage, axis, kind` ->
            the reason, or an `Intended` with a reason and a largest size.
        excused: a probe, a stage, or a `stage, axis` that need not be looked at -> the reason.
        axes: the axes along which the batch has padding.
        notes: what the audit noticed and does not judge, such as entries of the batch that the policy writes into.
        runs: how many times the policy was run, and its sampler; 0 = it is not known.
    """

    looks: tuple[Look, ...]
    intended: Mapping[str, str | Intended] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ("dims", "steps", "tokens")
    notes: tuple[str, ...] = ()
    runs: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that moved, in the order of the stages, including what is intended."""
        seen: dict[tuple[str, str, Kind], list[Look]] = {}
        for look in self.looks:
            if look.size and look.probe not in self.excused:
                seen.setdefault((look.stage, look.axis, look.kind), []).append(look)
        return tuple(self._finding(looks) for looks in seen.values())

    def _finding(self, looks: Sequence[Look]) -> Finding:
        """What several probes saw at one place. The first of them gives the size; a ceiling holds for all of them."""
        first = looks[0]
        intended, why = self._intention(first), first.why
        if intended is not None and intended.at_most is not None:
            largest = max((look.size or 0.0 for look in looks), key=lambda size: size if isfinite(size) else inf)
            if not largest <= intended.at_most:
                why += f", and {percent(intended.at_most)} at most is declared; the largest is {percent(largest)}"
                intended = None
        probes: tuple[Probe, ...] = tuple(dict.fromkeys(look.probe for look in looks))
        reason = None if intended is None else intended.why
        where = next((look.where for look in looks if look.size and look.where), "")
        hint = next((look.hint for look in looks if look.size and look.hint), "")
        return Finding(first.stage, first.axis, first.kind, first.size or 0.0, probes, why, reason, where, hint)

    def _intention(self, look: Look) -> Intended | None:
        """The declaration that covers what a look found, apart from its size."""
        names = [f"{look.stage}, {look.axis}, {look.kind}"]
        names += [f"{look.stage}, {look.axis}"] if look.kind == "leak" else []
        for name in names:
            if name in self.intended:
                said = self.intended[name]
                return said if isinstance(said, Intended) else Intended(said)
        return None

    @property
    def unintended(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.intended is None)

    @property
    def unseen(self) -> tuple[Look, ...]:
        """Looks that could not be taken and are not excused."""
        return tuple(look for look in self.looks if look.size is None and self._excuse(look) is None)

    @property
    def is_clean(self) -> bool:
        """Something was looked at, nothing moved except what is intended, and every look was taken or excused."""
        counting = [look for look in self.looks if not (look.size and look.probe in self.excused)]
        return bool(counting) and not self.unintended and not self.unseen

    @property
    def declared(self) -> tuple[Finding, ...]:
        """What was found and is declared as intended."""
        return tuple(finding for finding in self.findings if finding.intended is not None)

    @property
    def unused(self) -> tuple[str, ...]:
        """The names in `intended` and `excused` for which nothing was found, or nothing had to be excused."""
        found = {name for finding in self.findings for name in (finding.full_name, *_bare(finding))}
        missed = [look for look in self.looks if look.size is None or (look.size and look.probe in self.excused)]
        needed = {name for look in missed for name in _excuses(look)}
        return (*_without(self.intended, found), *_without(self.excused, needed))

    @property
    def leaks(self) -> tuple[str, ...]:
        """The book's names of the leaks that were found. A stage that leaks along several axes is one leak."""
        found = [LEAK_OF_STAGE.get(finding.stage) for finding in self.findings if finding.kind == "leak"]
        return tuple(name for name in LEAK_OF_STAGE.values() if name in found)

    def assert_clean(self) -> None:
        """For pytest: raises an error that names the stage, axis and size of everything that is wrong.

        Raises:
            MasksLeak: the report is not clean.
        """
        if not self.is_clean:
            raise MasksLeak("\n".join([self.headline, *self._told()]))

    # for people

    def __str__(self) -> str:
        cells = self.cells()
        columns = [*next(iter(cells.values()))] if cells else []
        table = [["stage", *columns], *([stage, *of_stage.values()] for stage, of_stage in cells.items())]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        below = ["", *self._told()] if self.lines else []
        return "\n".join([self.headline, "", *(row.rstrip() for row in rows), "", LEGEND, *below])

    __repr__ = __str__

    def _told(self) -> list[str]:
        """The lines as text. What to look at next is said once for all findings that share it."""
        told, said = [], set()
        for line in self.lines:
            told.append(str(replace(line, next="") if line.next in said else line))
            said.add(line.next)
        return told

    def _repr_html_(self) -> str:
        return fragment(self)

    def to_html(self, subject: str = "") -> str:
        """The report as an HTML page that needs no other file and no script; `subject` says what was audited."""
        return page(self, subject)

    # for machines

    def to_json(self) -> str:
        """The whole report as JSON, with the versions of torch and Python. A number that is not finite becomes null."""
        findings = [_plain({**asdict(finding), "next": finding.next}) for finding in self.findings]
        about = {"runs": self.runs, "torch": torch.__version__, "python": platform.python_version()}
        looks = [_plain(asdict(look)) for look in self.looks]
        intended = {name: asdict(one) if isinstance(one, Intended) else one for name, one in self.intended.items()}
        said = {"intended": intended, "excused": dict(self.excused), "axes": list(self.axes), "notes": list(self.notes)}
        return json.dumps({"clean": self.is_clean, "findings": findings, "looks": looks, **said, **about}, indent=1)

    def to_junit(self, subject: str = "") -> str:
        """The report as JUnit-style XML, a test case for each stage and axis; `subject` says what was audited."""
        return junit(self, subject)

    # parts

    def cell(self, stage: str, axis: str) -> str:
        """One cell of the table, as the legend explains it."""
        return ", ".join(text for text, _ in self.pieces(stage, axis))

    def pieces(self, stage: str, axis: str) -> list[tuple[str, Line | None]]:
        """The same in pieces, one for each kind of finding, and with each piece the line that explains it."""
        here = [look for look in self.looks if look.stage == stage and axis in look.axis.split(" and ")]
        looks = [look for look in here if not (look.size and look.probe in self.excused)]
        lines = [line for line in self.lines if line.is_of(stage, axis)]
        said: dict[Kind, str] = {}
        for look in looks:
            if look.size and look.kind not in said:
                wanted = "*" if self._is_intended(look) else ""
                size = percent(look.size)
                words = {"leak": size, "lost": f"lost {size}", "not finite": "NaN", "mismatch": f"mismatch {size}"}
                said[look.kind] = words[look.kind] + wanted
        if said:
            of_kind = {line.place.kind: line for line in reversed(lines) if line.place}  # findings come first
            return [(said[kind], of_kind.get(kind)) for kind in get_args(Kind) if kind in said]
        if not here:
            return []
        first = next((line for mark in "?-" for line in lines if line.mark == mark), None)
        open_questions = any(look.size is None and self._excuse(look) is None for look in looks)
        if any(look.size == 0 for look in looks):
            return [("0?", first) if open_questions else ("0", None)]
        return [("?" if open_questions else "-", first)]

    def _is_intended(self, look: Look) -> bool:
        place = (look.stage, look.axis, look.kind)
        return any((one.stage, one.axis, one.kind) == place for one in self.declared)

    def cells(self) -> dict[str, dict[str, str]]:
        """The whole table: for each stage and each axis what `cell` says."""
        named = dict.fromkeys(axis for look in self.looks for axis in look.axis.split(" and "))
        of_others = (OTHER_SAMPLES, NEIGHBOURS)
        usual = [axis for axis in COLUMNS if axis in named and axis not in of_others]
        own = [axis for axis in named if axis not in COLUMNS and axis not in of_others]
        columns = [*usual, *own, *(axis for axis in of_others if axis in named)]
        return {stage: {axis: self.cell(stage, axis) for axis in columns} for stage in self.stages}

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(look.stage for look in self.looks))

    @property
    def legend(self) -> str:
        """What the cells of the table mean."""
        return LEGEND

    @property
    def headline(self) -> str:
        """Whether the report is clean, in a sentence."""
        declared = f", with {len(self.declared)} declared" if self.declared else ""
        if self.is_clean:
            along = f"clean along {', '.join(self.axes)}{declared}"
            return f"{along}: nothing that is padded moves what is real{', except what is declared' * bool(declared)}"
        parts = []
        if self.unintended:
            parts.append(f"{len(self.unintended)} found")
        if self.unseen:
            parts.append(f"{len(self.unseen)} not looked at")
        return f"not clean: {', '.join(parts) or 'nothing was looked at'}{declared}"

    @property
    def lines(self) -> tuple[Line, ...]:
        """What stands below the table: findings, what could not be looked at, declarations without need, and notes."""
        said = []
        for finding in self.findings:
            place, wanted = Place(finding.stage, finding.axis, finding.kind), finding.intended is not None
            covered = not wanted and finding.name in self.intended and finding.kind != "leak"
            hint = f'; "{finding.name}" declares leaks alone: declare "{finding.full_name}" if you want this too'
            text = f"{finding}{hint if covered else ''}"
            said.append(Line("*", text, place=place) if wanted else Line("!", text, finding.next, place))
        for look in self.looks:
            place = Place(look.stage, look.axis, look.kind)
            if look.size is None:
                excuse = self._excuse(look)
                why = f"{place}: {look.probe} could not look: {look.why}"
                said.append(Line("?", why, place=place) if excuse is None else _excused(why, excuse, place))
            elif look.size and look.probe in self.excused:
                why = f"{place}: {look.probe} is excused, and says: {look.why}"
                said.append(_excused(why, self.excused[look.probe], place))
        for name in self.unused:
            what = "declared as intended, and not found" if name in self.intended else "excused, and there was no need"
            said.append(Line("-", f"{name}: {what}"))
        return tuple(dict.fromkeys([*said, *(Line("-", note) for note in self.notes)]))

    def _excuse(self, look: Look) -> str | None:
        return next((self.excused[name] for name in _excuses(look) if name in self.excused), None)


def _excused(why: str, excuse: str, place: Place) -> Line:
    return Line("-", f"{why}; excused: {excuse}", place=place)


def _excuses(look: Look) -> tuple[str, ...]:
    """The names under which a look can be excused, the most exact one first."""
    return f"{look.stage}, {look.axis}", look.stage, look.probe


def _bare(finding: Finding) -> list[str]:
    return [finding.name] if finding.kind == "leak" else []


def _without(names: Iterable[str], used: set[str]) -> list[str]:
    return [name for name in names if name not in used]


def check_names(intended: Iterable[str], excused: Iterable[str], stages: Iterable[str], axes: Iterable[str]) -> None:
    """Refuses declarations that no finding and no look can have, such as one with a typing mistake.

    Raises:
        ValueError: a name with an unknown probe, stage, axis or kind.
    """
    stages, probes, kinds = tuple(dict.fromkeys(stages)), get_args(Probe), get_args(Kind)
    known = dict.fromkeys([*COLUMNS, NEIGHBOURS, *axes])
    for name in intended:
        stage, *rest = name.split(", ")
        axis, kind = (*rest, "leak")[:2] if rest else ("", "leak")
        if stage not in stages or len(rest) not in (1, 2) or not _is_axis(axis, known) or kind not in kinds:
            raise ValueError(
                f"intended: got {name!r}, expected a stage and an axis such as 'loss sum, steps', which means a leak, "
                f"or with a kind 'loss sum, steps, lost'. {_names(stages, known)}. Kinds: {', '.join(kinds)}"
            )
    for name in excused:
        stage, *rest = name.split(", ")
        if not (name in probes or (stage in stages and (not rest or (len(rest) == 1 and _is_axis(rest[0], known))))):
            raise ValueError(
                f"excused: got {name!r}, expected a probe, a stage, or a stage and an axis such as 'loss sum, steps'. "
                f"Probes: {', '.join(probes)}. {_names(stages, known)}"
            )


def _is_axis(axis: str, known: Iterable[str]) -> bool:
    return axis in known or all(one in known for one in axis.split(" and "))


def _names(stages: Iterable[str], axes: Iterable[str]) -> str:
    return f"Stages: {', '.join(stages)}. Axes: {', '.join(axes)}"


LEGEND = (
    "0 = nothing moved; ? = a probe could not look; - = not looked at, which is excused; * = intended; "
    "lost = real entries without effect"
)


def percent(size: float) -> str:
    """A size in a table or a sentence: `12.3 %`."""
    if not isfinite(size):
        return "inf"
    return "<0.01 %" if 0 < size < 1e-4 else f"{100 * size:.3g} %"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
