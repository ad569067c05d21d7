"""The widget and the figure of the chapter on mask bugs: what a probe of the auditor sees of a bug, on a batch."""

from matplotlib.patches import Rectangle

from groot_teach.audit import MaskReport
from groot_teach.audit.report import COLUMNS, SAMPLED, STAGES, percent
from groot_teach.bugs import BATCHES, EXHIBITS, NO_BUG, TAPS, report_on
from groot_teach.shapes import checked
from groot_teach.show.panels import Bars, Number, Panel, Table, one_of
from groot_teach.show.pictures import FILLS, HATCHES, Picture, _runs, picture

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

    Blue with a filled mark: caught. Hatched: missed.

    Args:
        caught: for each bug and each check, True = caught. All bugs have the same checks.

    Raises:
        ValueError: no bug, no check, or bugs whose checks differ.
    """
    checks = [*next(iter(caught.values()))] if caught else []
    if not checks or any([*of_bug] != checks for of_bug in caught.values()):
        raise ValueError(f"caught: got {caught}, expected at least one bug, and the same checks for every bug")
    drawn = picture(0.62 * len(checks), 0.9 + 0.25 * len(caught))
    axes = drawn.add_subplot()
    whole = {"facecolor": FILLS["hidden"], "hatch": HATCHES["hidden"], "edgecolor": "#BBBBBB", "linewidth": 0}
    axes.add_patch(Rectangle((0, 0), len(checks), len(caught), **whole))
    for row, of_bug in enumerate(caught.values()):
        seen = [*of_bug.values()]
        for start, end in _runs(seen):
            if seen[start]:
                axes.add_patch(Rectangle((start, row), end - start, 1, facecolor=FILLS["real"]))
    marks = [(x + 0.5, y + 0.5) for y, one in enumerate(caught.values()) for x, seen in enumerate(one.values()) if seen]
    axes.scatter([x for x, _ in marks], [y for _, y in marks], marker="o", s=22, color="white", zorder=3)
    axes.hlines(range(1, len(caught)), 0, len(checks), color="white", linewidth=2)
    axes.vlines(range(1, len(checks)), 0, len(caught), color="white", linewidth=2)
    axes.set(xlim=(0, len(checks)), ylim=(len(caught), 0))
    axes.set_xticks([x + 0.5 for x in range(len(checks))], checks, rotation=30, ha="left", rotation_mode="anchor")
    axes.set_yticks([y + 0.5 for y in range(len(caught))], [*caught])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    drawn.text(0.5, 0.02, "blue with a mark: caught; hatched: missed", ha="center", fontsize=8)
    return drawn
