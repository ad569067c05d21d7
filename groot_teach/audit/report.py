"""The result of an audit: every look that was taken, what was found, and where the audit could not look.

    looks       one probe at one stage, along one axis: something moved, nothing moved, or the probe could not look
    findings    what moved, collected from all probes that saw it
    unseen      where a probe could not look, and why

A report is clean if nothing moved except what is declared as intended, and if every look was taken or is excused. Both
declarations need a reason.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from math import isfinite
from typing import Any, Literal

import torch

Probe = Literal["perturb", "compact", "gradient", "unit error", "read off"]
Kind = Literal["leak", "lost", "not finite"]

STAGES = PREDICTION, LOSS_SUM, LOSS_COUNT, SAMPLER, SAMPLED = (
    "prediction",
    "loss sum",
    "loss count",
    "sampler",
    "sampled padding",
)
"""Stages that every policy has, whatever is inside: the whole way to the prediction, what the loss sums, what it
divides by, the whole way to the sampled actions, and what the padded entries of the sampled actions hold."""

OTHER_SAMPLES = "samples"
"""The column for what one sample gets from the others. Padding lies along `dims`, `steps` and `tokens`."""
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
        kind: what is looked for: a `leak` of padding, real entries that are `lost`, or a number that is `not finite`.
        why: what the size means, or why the probe could not look.
    """

    stage: str
    axis: str
    probe: Probe
    size: float | None
    kind: Kind = "leak"
    why: str = ""


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
        """The name under which the finding can be declared as intended, such as `loss sum, steps`."""
        return f"{self.stage}, {self.axis}"

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
        intended: findings that the caller declares as wanted, by name -> the reason.
        excused: a probe, a stage, or a `stage, axis` that need not be looked at -> the reason.
        axes: the axes along which the batch has padding.
    """

    looks: tuple[Look, ...]
    intended: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ("dims", "steps", "tokens")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that moved, in the order of the stages, including what is intended."""
        seen: dict[tuple[str, str, Kind], list[Look]] = {}
        for look in self.looks:
            if look.size:
                seen.setdefault((look.stage, look.axis, look.kind), []).append(look)
        return tuple(
            Finding(
                stage,
                axis,
                kind,
                looks[0].size or 0.0,
                tuple(dict.fromkeys(look.probe for look in looks)),
                looks[0].why,
                self.intended.get(f"{stage}, {axis}"),
            )
            for (stage, axis, kind), looks in seen.items()
        )

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
        return bool(self.looks) and not self.unintended and not self.unseen

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
        said = {"intended": dict(self.intended), "excused": dict(self.excused), "axes": list(self.axes)}
        return json.dumps({"clean": self.is_clean, "findings": findings, "looks": looks, **said, **about}, indent=1)

    # parts

    def cell(self, stage: str, axis: str) -> str:
        """One cell of the table, as the legend explains it."""
        looks = [look for look in self.looks if look.stage == stage and axis in look.axis.split(" and ")]
        for look in looks:
            if look.size:
                wanted = "*" if f"{stage}, {look.axis}" in self.intended else ""
                said = {"leak": percent(look.size), "lost": f"lost {percent(look.size)}", "not finite": "NaN"}
                return f"{said[look.kind]}{wanted}"
        if not looks:
            return ""
        open_questions = any(look.size is None and self._excuse(look) is None for look in looks)
        if any(look.size == 0 for look in looks):
            return "0?" if open_questions else "0"
        return "?" if open_questions else "-"

    def cells(self) -> dict[str, dict[str, str]]:
        """The whole table: for each stage and each axis what `cell` says."""
        columns = [axis for axis in COLUMNS if any(axis in look.axis.split(" and ") for look in self.looks)]
        return {stage: {axis: self.cell(stage, axis) for axis in columns} for stage in self.stages}

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(look.stage for look in self.looks))

    def _table(self) -> list[list[str]]:
        cells = self.cells()
        columns = [*next(iter(cells.values()))] if cells else []
        return [["stage", *columns], *([stage, *of_stage.values()] for stage, of_stage in cells.items())]

    def _headline(self) -> str:
        if self.is_clean:
            wanted = f"; {len(self.findings)} intended" if self.findings else ""
            return f"clean along {', '.join(self.axes)}: nothing that is padded moves what is real{wanted}"
        parts = []
        if self.unintended:
            parts.append(f"{len(self.unintended)} found")
        if self.unseen:
            parts.append(f"{len(self.unseen)} not looked at")
        return f"not clean: {', '.join(parts) or 'nothing was looked at'}"

    def _sentences(self) -> list[str]:
        said = [f"{'*' if finding.intended else '!'} {finding}" for finding in self.findings]
        for look in self.looks:
            if look.size is None:
                excuse = self._excuse(look)
                mark, reason = ("?", "") if excuse is None else ("-", f"; excused: {excuse}")
                said.append(f"{mark} {look.stage}, {look.axis}: {look.probe} could not look: {look.why}{reason}")
        found = {finding.name for finding in self.findings}
        said += [f"- {name}: declared as intended, and not found" for name in self.intended if name not in found]
        return said

    def _excuse(self, look: Look) -> str | None:
        for name in (f"{look.stage}, {look.axis}", look.stage, look.probe):
            if name in self.excused:
                return self.excused[name]
        return None


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
    return "unseen" if cell.endswith("?") else "wanted" if cell.endswith("*") else "found"


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
