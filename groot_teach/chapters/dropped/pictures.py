"""The widget and the figures of the chapter on dropped masks.

The widget's function takes the values of its controls and returns what the widget shows. Nothing is trained here: the
numbers are the stored records of `groot_teach.training.run`. Only medians over the seeds, and ratios with their range,
are computed.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import log10
from statistics import median

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from groot_teach.checks import all_finite
from groot_teach.shapes import checked
from groot_teach.show.drawing import INK, INKS
from groot_teach.show.panels import Bars, Lines, Number, Panel, Table, one_of
from groot_teach.show.plot import LINES, Plot, styled
from groot_teach.training.ablation import AMOUNTS, compare, error_when
from groot_teach.training.run import stored
from groot_teach.training.task import ACTION_HORIZON, ROBOTS

DROPPED = {
    "input leak": "encoder_input=open",
    "step leak": "self_attention=open",
    "mixing leak": "vl_self_attention=open",
    "context leak": "cross_attention=open",
    "target leak, steps": "loss=dims",
    "target leak, all": "loss=open",
    "denominator leak": "loss_denominator=all",
    "N1.5, all of them": "N1.5",
}
"""The name that the reader chooses -> the condition in the records."""

ROBOT_NAMES = {robot.name: place for place, robot in enumerate(ROBOTS)}
SEEDS = {"median of all": None, "0": 0, "1": 1}
HOW_DEPLOYED = ("as trained", "in a crowd")
STEPS = (100, 200, 300, 400, 500, 600)
"""The steps of training at which the curves are drawn."""
LOW, HIGH = -3, 0.5
"""The scale of the curves, as powers of ten: losses from 0.001 to about 3."""
FAR = tuple(range(0, 4 * ACTION_HORIZON + 1, ACTION_HORIZON))
"""The robot's steps at the start and after each chunk. A record also has the distance after each half chunk."""


def drop_a_mask(leak: str, robot: str, padding: str = "much", seed: str = "median of all") -> dict[str, Panel]:
    """One mask dropped in training, beside a strict head: what training reports, and what the robot does."""
    condition, place = one_of("leak", leak, DROPPED), one_of("robot", robot, ROBOT_NAMES)
    one_of("padding", padding, AMOUNTS)
    chosen = one_of("seed", seed, SEEDS)

    def of(name: str, measure: Callable[[dict], Sequence[float]]) -> list[float]:
        """Each number of `measure`, for the chosen seed or as the median over all seeds."""
        of_seeds = [measure(run) for run in _runs(name, padding) if chosen is None or run["seed"] == chosen]
        return [median(numbers) for numbers in zip(*of_seeds, strict=True)]

    def pair(measure: Callable[[dict], Sequence[float]]) -> dict[str, list[float]]:
        return {"strict": of("strict", measure), "dropped": of(condition, measure)}

    errors = pair(lambda run: [run["errors"][way][place] for way in HOW_DEPLOYED])
    return {
        "error, times the strict head's": Number(errors["dropped"][0] / errors["strict"][0], digits=2),
        "what training reports, log10": Lines(
            STEPS, pair(lambda run: _log_curve(run, "reported")), "step of training", LOW, HIGH, digits=2
        ),
        "loss of recorded entries, log10": Lines(
            STEPS, pair(lambda run: _log_curve(run, "real")), "step of training", LOW, HIGH, digits=2
        ),
        "error of the actions": Bars(
            labels=[f"{name}{where}" for where in ("", ", in a crowd") for name in errors],
            values=[of_name[way] for way in (0, 1) for of_name in errors.values()],
            kinds=["real", "leak"] * 2,
            maximum=_worst(),
            digits=3,
        ),
        "distance of the hand from its goal": Lines(
            FAR, pair(lambda run: run["distance"][place][::2]), "step of the robot", 0, _farthest(), digits=3
        ),
        "the same in all seeds": Table(["seeds", "trained", "crowd"], _ratios(condition, padding, place), digits=2),
    }


def _ratios(condition: str, padding: str, place: int) -> list[list[str | float]]:
    """A row each for the least ratio, the median, the largest and the verdict; a column for each way to deploy."""
    found = [compare(stored_runs(), condition, padding, error_when(way, place)) for way in HOW_DEPLOYED]
    rows = {"least": "low", "median": "median", "most": "high", "verdict": "verdict"}
    return [[name, *(getattr(of_way, value) for of_way in found)] for name, value in rows.items()]


@cache
def stored_runs() -> tuple[dict, ...]:
    """The records of the book's plan, read once."""
    return tuple(stored()["runs"])


@cache
def _runs(condition: str, padding: str) -> tuple[dict, ...]:
    return tuple(run for run in stored_runs() if (run["condition"], run["amount"]) == (condition, padding))


def _shown() -> list[dict]:
    return [run for run in stored_runs() if run["condition"] in ("strict", *DROPPED.values())]


def _log_curve(run: dict, curve: str) -> list[float]:
    return [log10(run[curve][run["step"].index(step)]) for step in STEPS]


@cache
def _worst() -> float:
    return _round_up(max(value for run in _shown() for way in HOW_DEPLOYED for value in run["errors"][way]))


@cache
def _farthest() -> float:
    return _round_up(max(value for run in _shown() for of_robot in run["distance"] for value in of_robot))


def _round_up(value: float) -> float:
    """Rounds up to a multiple of 0.05."""
    return (int(value * 20) + 1) / 20


@styled
@checked
def seed_ratios(ratios: dict[str, Sequence[float]], x_name: str) -> Plot:
    """How each condition compares with another one: a dot for each seed, and a line over the range of the seeds.

    Orange diamonds: above 1 with every seed. Blue dots: below 1 with every seed. Grey dots: on both sides, or on 1.

    Args:
        ratios: for each name the ratios of the seeds, all above 0.
        x_name: what to write below.

    Raises:
        ValueError: no name, a name without a ratio, or a ratio that is not finite or not above 0.
    """
    for name, of_name in ratios.items():
        all_finite(f"ratios[{name!r}]", of_name)
    if not ratios or not all(len(of_name) and min(of_name) > 0 for of_name in ratios.values()):
        raise ValueError(f"ratios: got {ratios}, expected at least one name, each with ratios above 0")
    plot = Plot(680, 76 + 34 * len(ratios))
    axes = plot.figure.subplots()
    axes.axvline(1, color=INKS["quiet"], linewidth=1)
    for row, of_name in enumerate(ratios.values()):
        kind = "leak" if min(of_name) > 1 else "real" if max(of_name) < 1 else "padding"
        ink, shape = {"leak": ("leak", "D"), "real": ("real", "o"), "padding": ("pad-ink", "o")}[kind]
        axes.plot([min(of_name), max(of_name)], [row, row], color=INKS[ink])
        dots = {"marker": shape, "facecolor": INKS["paper"], "edgecolor": INKS[ink], "linewidth": 1.5}
        axes.scatter(of_name, [row] * len(of_name), s=70, zorder=3, **dots)
    axes.set(xscale="log", xlabel=x_name, ylim=(len(ratios) - 0.5, -0.5), yticks=range(len(ratios)))
    axes.set_yticklabels([*ratios], color=INKS["ink"])
    axes.grid(visible=False)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, 1.1))
    marks = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if high / low > 4 else (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    return plot


@styled
@checked
def curves_beside(
    step: Sequence[int],
    panels: dict[str, tuple[Float[Tensor, "seed point"], Float[Tensor, "seed point"]]],
    names: tuple[str, str],
    y_name: str,
) -> Plot:
    """Two conditions over the steps of training, a panel for each pair: the median over the seeds, and their range.

    Args:
        step: the steps of training at which the curves have points.
        panels: for each title the first condition, blue, and the second, orange and dashed.
        names: the names of the two conditions, written above the panels, each with its line.
        y_name: what to write beside the vertical axis.

    Raises:
        ValueError: no panel, curves of another length than `step`, or numbers that are not finite and above 0.
    """
    if not panels:
        raise ValueError("panels: got none, expected at least one")
    for title, pair in panels.items():
        for curves in pair:
            if curves.shape[1] != len(step):
                raise ValueError(f"panels[{title!r}]: got {curves.shape[1]} points, expected {len(step)} as in step")
            all_finite(f"panels[{title!r}]", curves)
            if not (curves > 0).all():
                raise ValueError(f"panels[{title!r}]: got {curves.min():g}, expected numbers above 0, for a log scale")
    across = min(4, len(panels))
    rows = -(-len(panels) // across)
    plot = Plot(712, 40 + 200 * rows)
    grid = plot.figure.subplots(rows, across, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.2})
    for (title, pair), axes in zip(panels.items(), grid.flat, strict=False):
        for curves, kind, name in zip(pair, ("real", "leak"), names, strict=True):
            low, high = curves.amin(dim=0).tolist(), curves.amax(dim=0).tolist()
            axes.fill_between(step, low, high, color=LINES[kind]["color"], alpha=0.2, linewidth=0)
            axes.plot(step, curves.median(dim=0).values.tolist(), **LINES[kind], label=name)
        axes.set_title(title, fontweight="bold")
        axes.set(xlabel="step", xticks=[step[0], step[-1]], yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel(y_name)
    _name_lines(plot, grid[0, 0], ("real", "leak"))
    return plot


@styled
@checked
def hand_paths(
    paths: dict[str, dict[str, Float[Tensor, "point 2"]]], goals: dict[str, Float[Tensor, " 2"]], names: Sequence[str]
) -> Plot:
    """Where the hand goes: a panel for each robot, a path for each condition; the first is blue, the others orange.

    Args:
        paths: for each robot and each condition the places of the hand, beginning with the start.
        goals: for each robot the place to which the hand has to go.
        names: the conditions, three at most, in the order in which they are drawn, written above with their lines.

    Raises:
        ValueError: no robot, more than three conditions, a path or a goal that is missing, or a place that is not
            finite.
    """
    styles = [("real", "o"), ("leak", "s"), ("leak", "D")]
    if not paths or not 1 <= len(names) <= len(styles):
        raise ValueError(f"paths: got {len(paths)} robots and {len(names)} conditions, expected 1 or more, and 1 to 3")
    for robot, of_robot in paths.items():
        if robot not in goals or any(name not in of_robot for name in names):
            raise ValueError(f"paths of {robot!r}: got {[*of_robot]}, expected {[*names]} and a goal")
        all_finite(f"goals[{robot!r}]", goals[robot])
        for name in names:
            all_finite(f"paths[{robot!r}][{name!r}]", of_robot[name])
    plot = Plot(680, 310)
    panels = plot.figure.subplots(1, len(paths), squeeze=False)
    for axes, (robot, of_robot) in zip(panels.flat, paths.items(), strict=True):
        for name, (kind, shape) in zip(names, styles, strict=False):
            right, away = of_robot[name].T.tolist()
            axes.plot(right, away, **LINES[kind], marker=shape, markersize=5, label=name)
        right, away = goals[robot].tolist()
        axes.plot(right, away, "+", color=INKS["ink"], markersize=18, markeredgewidth=2, label="goal")
        axes.set_title(robot, fontweight="bold")
        axes.set(box_aspect=1, xticks=[], yticks=[])
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.1)
        axes.spines[:].set(visible=True, color=INKS["rule"])
    _name_lines(plot, panels[0, 0], [*(kind for kind, _ in styles[: len(names)]), "ink"])
    plot.figure.supxlabel("seen from above: up in the picture is away from us", x=0.01, ha="left", color=INKS["quiet"])
    return plot


def _name_lines(plot: Plot, axes: Axes, kinds: Sequence[str]) -> None:
    """Writes above all panels what each line in them shows, in the inks of their kinds."""
    lines, names = axes.get_legend_handles_labels()
    legend = plot.figure.legend(
        lines, names, loc="outside upper left", ncols=len(names), handlelength=2.4, borderpad=0.8
    )
    for text, kind in zip(legend.get_texts(), kinds, strict=True):
        text.set(color=INKS[INK.get(kind, kind)], fontweight="bold")
