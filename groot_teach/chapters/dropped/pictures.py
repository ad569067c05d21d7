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
from matplotlib.lines import Line2D
from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.panels import Bars, Lines, Number, Panel, Table, one_of
from groot_teach.show.pictures import FILLS, Picture, picture
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


@checked
def seed_ratios(ratios: dict[str, Sequence[float]], x_name: str) -> Picture:
    """How each condition compares with another one: a dot for each seed, and a line over the range of the seeds.

    Orange: above 1 with every seed. Blue: below 1 with every seed. Grey: on both sides, or on 1 itself.

    Args:
        ratios: for each name the ratios of the seeds, all above 0.
        x_name: what to write below.

    Raises:
        ValueError: no name, a name without a ratio, or a ratio that is not above 0.
    """
    if not ratios or not all(len(of_name) and min(of_name) > 0 for of_name in ratios.values()):
        raise ValueError(f"ratios: got {ratios}, expected at least one name, each with ratios above 0")
    drawn = picture(6.2, 0.7 + 0.28 * len(ratios))
    axes = drawn.add_subplot()
    axes.axvline(1, color="#777777", linewidth=1)
    for row, of_name in enumerate(ratios.values()):
        kind = "leak" if min(of_name) > 1 else "real" if max(of_name) < 1 else "padding"
        marker, edge = {"leak": ("D", "#8A3C00"), "real": ("o", "#004F7A"), "padding": ("o", "#777777")}[kind]
        axes.plot([min(of_name), max(of_name)], [row, row], color=FILLS[kind], linewidth=5, solid_capstyle="round")
        places = [row] * len(of_name)
        axes.scatter(
            of_name, places, marker=marker, s=16, facecolors="white", edgecolors=edge, linewidths=0.9, zorder=3
        )
    axes.set_yticks(range(len(ratios)), [*ratios])
    axes.set(xlabel=x_name, xscale="log", ylim=(len(ratios) - 0.4, -0.6))
    low, high = axes.get_xlim()
    marks = [mark for mark in (0.1, 0.2, 0.5, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50) if low <= mark <= high]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


@checked
def curves_beside(
    step: Sequence[int],
    panels: dict[str, tuple[Float[Tensor, "seed point"], Float[Tensor, "seed point"]]],
    names: tuple[str, str],
    y_name: str,
) -> Picture:
    """Two conditions over the steps of training, a panel for each pair: the median over the seeds, and their range.

    Args:
        step: the steps of training at which the curves have points.
        panels: for each title the first condition, blue, and the second, orange and dashed.
        names: the names of the two conditions.
        y_name: what to write beside the vertical axis.

    Raises:
        ValueError: no panel, or curves of another length than `step`.
    """
    if not panels:
        raise ValueError("panels: got none, expected at least one")
    rows = -(-len(panels) // 4)
    drawn = picture(7.4, 0.5 + 1.6 * rows)
    places = drawn.subplots(rows, min(4, len(panels)), squeeze=False, sharex=True, sharey=True).flatten()
    drawn.subplots_adjust(hspace=0.5)
    for axes, (title, pair) in zip(places, panels.items(), strict=False):
        for curves, kind, line in zip(pair, ("real", "leak"), ("-", "--"), strict=True):
            if curves.shape[1] != len(step):
                raise ValueError(f"panels[{title!r}]: got {curves.shape[1]} points, expected {len(step)} as in step")
            low, high = curves.amin(dim=0).tolist(), curves.amax(dim=0).tolist()
            axes.fill_between(step, low, high, color=FILLS[kind], alpha=0.2, linewidth=0)
            axes.plot(step, curves.median(dim=0).values.tolist(), color=FILLS[kind], linestyle=line, linewidth=1.4)
        axes.set_title(title, fontsize=8.5)
        axes.set(yscale="log", xticks=[step[0], step[-1]])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[len(panels) :]:
        axes.axis("off")
    for place, axes in enumerate(places):
        if place % 4 == 0:
            axes.set_ylabel(y_name)
        if place >= len(panels) - 4:
            axes.set_xlabel("step")
            axes.tick_params(labelbottom=True)
    keys = [
        Line2D([], [], color=FILLS[kind], linestyle=line, label=name)
        for kind, line, name in zip(("real", "leak"), ("-", "--"), names, strict=True)
    ]
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, 0.04 - 0.12 / rows), ncols=2, frameon=False)
    return drawn


@checked
def hand_paths(
    paths: dict[str, dict[str, Float[Tensor, "point 2"]]], goals: dict[str, Float[Tensor, " 2"]], names: Sequence[str]
) -> Picture:
    """Where the hand goes: a panel for each robot, a path for each condition; the first is blue, the others orange.

    Args:
        paths: for each robot and each condition the places of the hand, beginning with the start.
        goals: for each robot the place to which the hand has to go.
        names: the conditions, three at most, in the order in which they are drawn.

    Raises:
        ValueError: no robot, more than three conditions, or a path or a goal that is missing.
    """
    styles = [("real", "-", "o"), ("leak", "--", "s"), ("leak", ":", "^")]
    if not paths or not 1 <= len(names) <= len(styles):
        raise ValueError(f"paths: got {len(paths)} robots and {len(names)} conditions, expected 1 or more, and 1 to 3")
    drawn = picture(7.4, 2.9)
    for axes, (robot, of_robot) in zip(drawn.subplots(1, len(paths), squeeze=False)[0], paths.items(), strict=True):
        if robot not in goals or any(name not in of_robot for name in names):
            raise ValueError(f"paths of {robot!r}: got {[*of_robot]}, expected {[*names]} and a goal")
        for name, (kind, line, marker) in zip(names, styles, strict=False):
            x, y = of_robot[name].T.tolist()
            style = {"color": FILLS[kind], "linestyle": line, "marker": marker, "markersize": 3, "linewidth": 1.2}
            axes.plot(x, y, label=name, **style)
        axes.scatter(*goals[robot].tolist(), marker="+", s=110, color="black", linewidths=1.5, zorder=3, label="goal")
        axes.set(title=robot, aspect="equal", xlabel="to the right", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axes.margins(0.15)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("away from us")
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=len(labels), frameon=False)
    return drawn
