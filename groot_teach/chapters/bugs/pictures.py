"""The widget and the figure of the chapter on mask bugs: what a probe of the auditor sees of a bug, on a batch."""

from groot_teach.audit import MaskReport
from groot_teach.audit.names import COLUMNS, SAMPLED, STAGES
from groot_teach.audit.report import percent
from groot_teach.bugs import BATCHES, EXHIBITS, NO_BUG, TAPS, report_on
from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of, write_on
from groot_teach.show.panels import Bars, Number, Panel, Table, one_of

BUGS = (NO_BUG, *(exhibit.name for exhibit in EXHIBITS))
PROBES = {
    "perturb": "other numbers in padding",
    "compact": "each robot alone",
    "gradient": "what depends on what",
    "unit error": "an error of 1 everywhere",
}
"""Each probe, and what it does."""

INSIDE = tuple(stage for tap in TAPS for stage in (tap.before, tap.behind))
STAGE_ROWS = (*INSIDE, *(stage for stage in STAGES if stage != SAMPLED))
"""All stages at which these probes look, in the order in which a batch passes them."""

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
    """What one probe reports for one stage along one axis: a size, `0`, `?` if it could not look, or an empty text."""
    looks = [
        look for look in report.looks if (look.probe, look.stage) == (probe, stage) and axis in look.axis.split(" and ")
    ]
    for look in looks:
        if look.size:
            return f"{WORDS[look.kind]}{percent(look.size)}"
    if not looks:
        return ""
    return "0" if any(look.size == 0 for look in looks) else "?"


def probes_that_see(bug: str, batch: str) -> list[str]:
    """The probes that find something of a bug on a batch, at any stage and along any axis."""
    return [probe for probe in PROBES if any(look.size for look in report_on(bug, batch).looks if look.probe == probe)]


@checked
def who_catches(caught: dict[str, dict[str, bool]]) -> Picture:
    """Which check catches which bug: a row for each bug, a column for each check.

    Blue with a tick: caught. Hollow: missed.

    Args:
        caught: for each bug and each check, True = caught. All bugs have the same checks.

    Raises:
        ValueError: no bug, no check, or bugs whose checks differ.
    """
    checks = [*next(iter(caught.values()))] if caught else []
    if not checks or any([*of_bug] != checks for of_bug in caught.values()):
        raise ValueError(f"caught: got {caught}, expected at least one bug, and the same checks for every bug")
    left, top, pitch = max(map(width_of, caught)) + 12, max(map(width_of, checks)) + 12, 30
    picture = Picture(left + pitch * len(checks) + 4, top + pitch * len(caught) + 4)
    for column, check in enumerate(checks):
        picture.words(left + pitch * (column + 0.5), top - 8, check, turned=True)
    for row, (bug, of_bug) in enumerate(caught.items()):
        middle = top + pitch * (row + 0.5)
        picture.words(left - 12, middle, bug, anchor="end")
        for column, seen in enumerate(of_bug.values()):
            kind = "real" if seen else "hidden"
            picture.box(left + pitch * column + 1, middle - pitch / 2 + 1, pitch - 2, pitch - 2, kind)
            write_on(picture, left + pitch * (column + 0.5), middle, "\N{CHECK MARK}" if seen else "", kind)
    return picture
