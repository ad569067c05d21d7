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
from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import INK, Picture, width_of
from groot_teach.show.panels import Bars, Lines, Number, Panel, Table, one_of
from groot_teach.show.plot import DASHES, LINE_INKS, Plot
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

    Orange diamonds: above 1 with every seed. Blue dots: below 1 with every seed. Grey dots: on both sides, or on 1.

    Args:
        ratios: for each name the ratios of the seeds, all above 0.
        x_name: what to write below.

    Raises:
        ValueError: no name, a name without a ratio, or a ratio that is not above 0.
    """
    if not ratios or not all(len(of_name) and min(of_name) > 0 for of_name in ratios.values()):
        raise ValueError(f"ratios: got {ratios}, expected at least one name, each with ratios above 0")
    left, width, pitch = max(map(width_of, ratios)) + 16, 400, 34
    everything = [ratio for of_name in ratios.values() for ratio in of_name]
    low, high = min(*everything, 0.9) / 1.1, max(*everything, 1.1) * 1.1
    picture = Picture(left + width + 16, 16 + pitch * len(ratios) + 56)
    plot = Plot(picture, (left, 8, width, pitch * len(ratios)), (low, high), (len(ratios) - 0.5, -0.5), log="x")
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if high / low > 4 else (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)
    plot.axes({mark: f"{mark:g}" for mark in steps if low <= mark <= high}, {}, x_name)
    picture.line(plot.at(1, -0.5), plot.at(1, len(ratios) - 0.5), ink="quiet", width=1)
    for row, (name, of_name) in enumerate(ratios.items()):
        kind = "leak" if min(of_name) > 1 else "real" if max(of_name) < 1 else "padding"
        ink, shape = {"leak": ("leak", "diamond"), "real": ("real", "circle"), "padding": ("pad-ink", "circle")}[kind]
        picture.words(left - 16, plot.at(1, row)[1], name, anchor="end")
        picture.line(plot.at(min(of_name), row), plot.at(max(of_name), row), ink=ink, width=2)
        for ratio in of_name:
            picture.dot(*plot.at(ratio, row), ink=ink, shape=shape, hollow=True)
    return picture


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
        names: the names of the two conditions, written above the panels, each with its line.
        y_name: what to write beside the vertical axis.

    Raises:
        ValueError: no panel, or curves of another length than `step`.
    """
    if not panels:
        raise ValueError("panels: got none, expected at least one")
    for title, pair in panels.items():
        for curves in pair:
            if curves.shape[1] != len(step):
                raise ValueError(f"panels[{title!r}]: got {curves.shape[1]} points, expected {len(step)} as in step")
    everything = [value for pair in panels.values() for curves in pair for value in curves.flatten().tolist()]
    low, high = min(everything), max(everything)
    powers = [10.0**power for power in range(-6, 7) if low <= 10.0**power <= high]
    across = min(4, len(panels))
    picture = Picture(30 + 158 * across, 54 + 186 * -(-len(panels) // across))
    x = 46.0
    for name, kind in zip(names, ("real", "leak"), strict=True):
        picture.line((x, 10), (x + 30, 10), ink=LINE_INKS[kind], dash=DASHES[kind], width=2.5)
        picture.words(x + 38, 10, name, ink=INK[kind], bold=True)
        x += 68 + width_of(name)
    for place, (title, pair) in enumerate(panels.items()):
        left, top = 46 + 158 * (place % across), 72 + 186 * (place // across)
        plot = Plot(picture, (left, top, 118, 100), (step[0], step[-1]), (low / 1.1, high * 1.1), log="y")
        marks = {power: f"{power:g}" for power in powers} if place % across == 0 else dict.fromkeys(powers, "")
        if place % across == 0:
            picture.words(left - 8, top - 14, y_name, ink="quiet", anchor="end")
        plot.axes({step[0]: str(step[0]), step[-1]: str(step[-1])}, marks)
        for line, text in enumerate(title.split("\n")[::-1]):
            picture.words(left, top - 14 - 18 * line, text, bold=True)
        for curves, kind in zip(pair, ("real", "leak"), strict=True):
            plot.band(step, curves.amin(dim=0).tolist(), curves.amax(dim=0).tolist(), kind)
            plot.curve([*zip(step, curves.median(dim=0).values.tolist(), strict=True)], kind, width=2)
        picture.words(left + 59, top + 116, "step", ink="quiet", anchor="middle")
    return picture


@checked
def hand_paths(
    paths: dict[str, dict[str, Float[Tensor, "point 2"]]], goals: dict[str, Float[Tensor, " 2"]], names: Sequence[str]
) -> Picture:
    """Where the hand goes: a panel for each robot, a path for each condition; the first is blue, the others orange.

    Args:
        paths: for each robot and each condition the places of the hand, beginning with the start.
        goals: for each robot the place to which the hand has to go.
        names: the conditions, three at most, in the order in which they are drawn, written above with their lines.

    Raises:
        ValueError: no robot, more than three conditions, or a path or a goal that is missing.
    """
    styles = [("real", "circle"), ("leak", "square"), ("leak", "diamond")]
    if not paths or not 1 <= len(names) <= len(styles):
        raise ValueError(f"paths: got {len(paths)} robots and {len(names)} conditions, expected 1 or more, and 1 to 3")
    for robot, of_robot in paths.items():
        if robot not in goals or any(name not in of_robot for name in names):
            raise ValueError(f"paths of {robot!r}: got {[*of_robot]}, expected {[*names]} and a goal")
    side, shown = 206, {robot: {name: of_robot[name].tolist() for name in names} for robot, of_robot in paths.items()}
    picture, x = Picture((side + 22) * len(paths) - 16, side + 92), 20.0
    for name, (kind, shape) in zip(names, styles, strict=False):
        picture.dot(x, 10, ink=LINE_INKS[kind], shape=shape)
        picture.words(x + 14, 10, name, ink=INK[kind], bold=True)
        x += 44 + width_of(name)
    picture.words(x, 10, "+ goal")
    for place, (robot, of_robot) in enumerate(shown.items()):
        points = [goals[robot].tolist(), *(point for path in of_robot.values() for point in path)]
        middles = [(min(axis) + max(axis)) / 2 for axis in zip(*points, strict=True)]
        half = 0.6 * max(max(axis) - min(axis) for axis in zip(*points, strict=True)) or 1.0
        (low, high), (below, above) = ((middle - half, middle + half) for middle in middles)
        plot = Plot(picture, (2 + (side + 22) * place, 62, side, side), (low, high), (below, above))
        corners = [(plot.x, plot.y), (plot.x + side, plot.y), (plot.x + side, 62 + side), (plot.x, 62 + side)]
        picture.line(*corners, corners[0], ink="rule")
        picture.words(plot.x, 44, robot, bold=True)
        for name, (kind, shape) in zip(names, styles, strict=False):
            plot.curve([(right, away) for right, away in of_robot[name]], kind, width=2)
            for point in of_robot[name]:
                picture.dot(*plot.at(*point), ink=LINE_INKS[kind], shape=shape, size=3)
        x, y = plot.at(*goals[robot].tolist())
        picture.line((x - 9, y), (x + 9, y), width=2)
        picture.line((x, y - 9), (x, y + 9), width=2)
    picture.words(4, side + 78, "seen from above: up in the picture is away from us", ink="quiet")
    return picture
