"""What the widget of chapter 7 computes: a bug of the museum, a probe of the auditor, a batch; what moves?"""

from groot_teach.audit import MaskReport
from groot_teach.audit.report import COLUMNS, SAMPLED, STAGES, percent
from groot_teach.museum import BATCHES, EXHIBITS, NO_BUG, TAPS, report_on
from groot_teach.widgets.chapter_1 import one_of
from groot_teach.widgets.panels import Bars, Number, Panel, Table

BUGS = (NO_BUG, *(exhibit.name for exhibit in EXHIBITS))
PROBES = {
    "perturb": "other numbers in padding",
    "compact": "each robot alone",
    "gradient": "what depends on what",
    "unit error": "an error of 1 everywhere",
}
"""A probe, and what it does in a few words."""

INSIDE = tuple(stage for tap in TAPS for stage in (tap.before, tap.behind))
STAGE_ROWS = (*INSIDE, *(stage for stage in STAGES if stage != SAMPLED))
"""All places at which these probes look, in the order in which a batch goes through them."""

WORDS = {"leak": "", "lost": "lost ", "not finite": "NaN "}


def pick_a_bug(bug: str = EXHIBITS[0].name, probe: str = "perturb", batch: str = "ragged") -> dict[str, Panel]:
    """One bug, one probe, one batch: what moves, and where? Empty = not looked at, 0 = nothing moved."""
    one_of("bug", bug, dict.fromkeys(BUGS))
    one_of("probe", probe, PROBES)
    one_of("batch", batch, BATCHES)
    report = report_on(bug, batch)
    rows = [[stage, *(seen_by(report, probe, stage, axis) for axis in COLUMNS)] for stage in STAGE_ROWS]
    moved = sum(cell not in ("", "0", "?") for _, *cells in rows for cell in cells)
    seeing = [len(probes_that_see(bug, which)) for which in BATCHES]
    return {
        "places that moved": Number(moved, digits=0),
        "what this probe sees": Table(["stage", *COLUMNS], rows),
        "probes that see this bug": Bars([*BATCHES], seeing, ["real"] * len(BATCHES), len(PROBES), digits=0),
    }


def seen_by(report: MaskReport, probe: str, stage: str, axis: str) -> str:
    """What one probe says of one stage along one axis: a size, `0`, `?` = could not look, or nothing."""
    looks = [
        look for look in report.looks if (look.probe, look.stage) == (probe, stage) and axis in look.axis.split(" and ")
    ]
    found = next((look for look in looks if look.size), None)
    if found is not None:
        return f"{WORDS[found.kind]}{percent(found.size)}"
    if not looks:
        return ""
    return "0" if any(look.size == 0 for look in looks) else "?"


def probes_that_see(bug: str, batch: str) -> list[str]:
    """The probes that find something of a bug on a batch, on any way and at any stage."""
    return [probe for probe in PROBES if any(look.size for look in report_on(bug, batch).looks if look.probe == probe)]
