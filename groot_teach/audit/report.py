"""What an audit says: every look that was taken, what was found, and where nobody could look.

    looks       a probe at one stage, along one axis: something moved, nothing moved, or it could not look
    findings    what moved, gathered from all probes that saw it
    unseen      where no probe could look, and why

A report is clean only if every look that was planned was taken, or is excused with a reason, and nothing moved but what
is declared as intended, with a reason.
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
"""Stages that every policy has, whatever is inside: the whole way to the prediction, what the loss sums and what it
divides by, the whole way to the sampled actions, and what their padded entries hold."""

OTHER_SAMPLES = "samples"
"""The axis of what one sample gets from another. Padding lies along `dims`, `steps` and `tokens`."""
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
"""The book's name of a leak at a stage. The whole ways, `prediction` and `sampler`, have none: there several meet."""


@dataclass(frozen=True)
class Look:
    """One probe, at one stage, along one axis.

    Attributes:
        stage: where.
        axis: `dims`, `steps`, `tokens`, `samples`, or two of them: `dims and steps`.
        probe: which.
        size: how much moved, as the probe measures it; 0 = nothing; None = it could not look.
        kind: what it would be: a `leak` of padding, real entries that are `lost`, or a number that is `not finite`.
        why: what the size means, or why it could not look.
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
        size: as the first probe that saw it measures it.
        probes: which ones saw it.
        why: what the size means.
        intended: why the caller wants it so, or None.
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
        """`loss sum, steps`: by this name it can be declared as intended."""
        return f"{self.stage}, {self.axis}"

    def __str__(self) -> str:
        seen = f"{self.name}: {self.why} ({' and '.join(self.probes)})"
        return seen if self.intended is None else f"{seen}; intended: {self.intended}"


class MasksLeak(AssertionError):
    """An audit found what nobody intends, or could not look where it should. Raised by `MaskReport.assert_clean`."""


@dataclass(frozen=True, repr=False)
class MaskReport:
    """The result of `audit_masks`. As the last line of a cell it is a table; `print` gives text.

    Attributes:
        looks: everything that was looked at.
        intended: findings that the caller declares as wanted, by name -> the reason.
        excused: probes, stages, or a `stage, axis` that need not be seen -> the reason.
        axes: the axes along which the batch has padding.
    """

    looks: tuple[Look, ...]
    intended: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ("dims", "steps", "tokens")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What moved, in the order of the stages; what is intended is among it."""
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
        """Looks that could not be taken and that nobody excused."""
        return tuple(look for look in self.looks if look.size is None and self._excuse(look) is None)

    @property
    def is_clean(self) -> bool:
        """Something was looked at, nothing moved but what is intended, and every look was taken or excused."""
        return bool(self.looks) and not self.unintended and not self.unseen

    @property
    def leaks(self) -> tuple[str, ...]:
        """The book's names of the leaks that were found; several axes of one stage are one leak."""
        found = [LEAK_OF_STAGE.get(finding.stage) for finding in self.findings if finding.kind == "leak"]
        return tuple(name for name in LEAK_OF_STAGE.values() if name in found)

    def assert_clean(self) -> None:
        """For pytest: fails with a message that names stage, axis and size of everything that is wrong.

        Raises:
            MasksLeak: it is not clean.
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
        """Everything, as JSON: the looks, what was declared, the findings, and who ran it. NaN is written as null."""
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
        """The whole table, for a picture: for each stage and each axis what `cell` says."""
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
    """The class of a cell, by which a style sheet knows it; its words say the same without one."""
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
"""Orange is a leak, as in the book's figures; never colour alone."""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
