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
from dataclasses import asdict, dataclass, field
from html import escape
from math import inf, isfinite
from typing import Any, Literal, get_args

import torch

Probe = Literal["perturb", "compact", "gradient", "unit error", "read off", "parity"]
ORDER: tuple[Probe, ...] = ("read off", "perturb", "gradient", "unit error", "compact", "parity")
"""In which order the probes of a stage are named. The first that found something gives the size."""
Kind = Literal["leak", "lost", "not finite", "mismatch"]

STAGES = PREDICTION, LOSS_SUM, LOSS_COUNT, SAMPLER, SAMPLED = (
    "prediction",
    "loss sum",
    "loss count",
    "sampler",
    "sampled padding",
)
"""Stages that every policy has, whatever is inside: the whole way to the prediction, what the loss sums, what it
divides by, the whole way to the sampled actions, and what the padded entries of the sampled actions hold."""
PARITY = "training and sampling"
"""The stage of a comparison: does the sampler show the network what training has shown it?"""

OTHER_SAMPLES = "samples"
"""The column for what one sample gets from the others. Padding lies along `dims`, `steps` and `tokens`."""
NEIGHBOURS = "neighbours"
"""The column for what a document gets from the others that are packed into the same row."""
COLUMNS = ("dims", "steps", "tokens", OTHER_SAMPLES)

LEAK_OF_STAGE = {
    "action encoder": "input leak",
    "DiT self-attention": "step leak",
    "VL self-attention": "mixing leak",
    "DiT cross-attention": "context leak",
    LOSS_SUM: "target leak",
    LOSS_COUNT: "denominator leak",
    SAMPLED: "rollout leak",
}
"""The book's name of the leak at a stage. `prediction` and `sampler` have none: several leaks meet there."""


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
    """

    stage: str
    axis: str
    probe: Probe
    size: float | None
    kind: Kind = "leak"
    why: str = ""


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

    def left_out(self) -> Look:
        why = "`progress` did not give this part of the audit on; it has to give all that it gets"
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
    """

    stage: str
    axis: str
    kind: Kind
    size: float
    probes: tuple[Probe, ...]
    why: str
    intended: str | None = None

    @property
    def name(self) -> str:
        """Where it is, such as `loss sum, steps`. A leak can be declared as intended under this name."""
        return f"{self.stage}, {self.axis}"

    @property
    def full_name(self) -> str:
        """The name under which exactly this finding can be declared as intended, such as `loss sum, steps, lost`."""
        return f"{self.name}, {self.kind}"

    def __str__(self) -> str:
        seen = f"{self.name}: {self.why} ({' and '.join(self.probes)})"
        return seen if self.intended is None else f"{seen}; intended: {self.intended}"


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
    """

    looks: tuple[Look, ...]
    intended: Mapping[str, str | Intended] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ("dims", "steps", "tokens")
    notes: tuple[str, ...] = ()

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
        return Finding(first.stage, first.axis, first.kind, first.size or 0.0, probes, why, reason)

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
            raise MasksLeak("\n".join([self._headline(), *self._sentences()]))

    # for people

    def __str__(self) -> str:
        table = self._table()
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([self._headline(), "", *(line.rstrip() for line in lines), "", LEGEND, *self._sentences()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._table()
        columns = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        rows = "\n".join(
            f'<tr><th scope="row">{escape(stage)}</th>'
            + "".join(f'<td class="{_look_of(cell)}">{escape(cell)}</td>' for cell in cells)
            + "</tr>"
            for stage, *cells in body
        )
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in self._sentences())
        return (
            f'{STYLE}<div class="audit"><p><strong>{escape(self._headline())}</strong></p>\n'
            f"<table><thead><tr>{columns}</tr></thead><tbody>\n{rows}\n</tbody></table>\n"
            f"<p>{escape(LEGEND)}</p><ul>{said}</ul></div>"
        )

    # for machines

    def to_json(self) -> str:
        """The whole report as JSON, with the versions of torch and Python. A number that is not finite becomes null."""
        findings = [_plain(asdict(finding)) for finding in self.findings]
        about = {"torch": torch.__version__, "python": platform.python_version()}
        looks = [_plain(asdict(look)) for look in self.looks]
        intended = {name: asdict(one) if isinstance(one, Intended) else one for name, one in self.intended.items()}
        said = {"intended": intended, "excused": dict(self.excused), "axes": list(self.axes), "notes": list(self.notes)}
        return json.dumps({"clean": self.is_clean, "findings": findings, "looks": looks, **said, **about}, indent=1)

    # parts

    def cell(self, stage: str, axis: str) -> str:
        """One cell of the table, as the legend explains it."""
        here = [look for look in self.looks if look.stage == stage and axis in look.axis.split(" and ")]
        looks = [look for look in here if not (look.size and look.probe in self.excused)]
        said: dict[Kind, str] = {}
        for look in looks:
            if look.size and look.kind not in said:
                wanted = "*" if self._is_intended(look) else ""
                size = percent(look.size)
                words = {"leak": size, "lost": f"lost {size}", "not finite": "NaN", "mismatch": f"mismatch {size}"}
                said[look.kind] = words[look.kind] + wanted
        if said:
            return ", ".join(said[kind] for kind in get_args(Kind) if kind in said)
        if not looks:
            return "-" if here else ""
        open_questions = any(look.size is None and self._excuse(look) is None for look in looks)
        if any(look.size == 0 for look in looks):
            return "0?" if open_questions else "0"
        return "?" if open_questions else "-"

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

    def _table(self) -> list[list[str]]:
        cells = self.cells()
        columns = [*next(iter(cells.values()))] if cells else []
        return [["stage", *columns], *([stage, *of_stage.values()] for stage, of_stage in cells.items())]

    def _headline(self) -> str:
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

    def _sentences(self) -> list[str]:
        said = []
        for finding in self.findings:
            covered = finding.intended is None and finding.name in self.intended and finding.kind != "leak"
            hint = f'; "{finding.name}" declares leaks alone: declare "{finding.full_name}" if you want this too'
            said.append(f"{'*' if finding.intended else '!'} {finding}{hint if covered else ''}")
        for look in self.looks:
            if look.size is None:
                excuse = self._excuse(look)
                mark, reason = ("?", "") if excuse is None else ("-", f"; excused: {excuse}")
                said.append(f"{mark} {look.stage}, {look.axis}: {look.probe} could not look: {look.why}{reason}")
            elif look.size and look.probe in self.excused:
                what = f"{look.probe} is excused, and says: {look.why}"
                said.append(f"- {look.stage}, {look.axis}: {what}; excused: {self.excused[look.probe]}")
        for name in self.unused:
            what = "declared as intended, and not found" if name in self.intended else "excused, and there was no need"
            said.append(f"- {name}: {what}")
        return [*said, *(f"- {note}" for note in self.notes)]

    def _excuse(self, look: Look) -> str | None:
        return next((self.excused[name] for name in _excuses(look) if name in self.excused), None)


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
    "0 = nothing moved; ? = somebody could not look; - = nobody looked, which is excused; * = intended; "
    "lost = real entries without effect"
)


def percent(size: float) -> str:
    """A size in a table or a sentence: `12.3 %`."""
    if not isfinite(size):
        return "inf"
    return "<0.01 %" if 0 < size < 1e-4 else f"{100 * size:.3g} %"


def _look_of(cell: str) -> str:
    """The CSS class of a cell. Its text says the same to readers without the style sheet."""
    if cell in ("", "0", "-"):
        return "quiet"
    if cell.endswith("?"):
        return "unseen"
    return "wanted" if all(part.endswith("*") for part in cell.split(", ")) else "found"


STYLE = (
    "<style>.audit .found{background:#D55E00;color:#000}.audit .wanted{outline:2px dashed #D55E00}"
    ".audit .unseen{outline:2px dotted #767676}.audit :is(td,thead th){text-align:right;white-space:nowrap}"
    ".audit table{border-collapse:separate;border-spacing:2px}.audit :is(td,th){padding:.2em .4em}"
    ".audit p{margin:.6em 0}"
    ".audit ul{list-style:none;padding-left:0}</style>"
)
"""A leak is orange, as in the book's figures; the cell's text says it too."""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
