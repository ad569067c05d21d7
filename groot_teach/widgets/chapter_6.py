"""What the widget of chapter 6 computes: a pure function from a state to panels.

Nothing is trained here. The numbers are stored records of `groot_teach.experiments`; what is computed is which to show,
medians over the seeds, and ratios with their range.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import log10
from statistics import median

from groot_teach.ablation import AMOUNTS, compare, error_when
from groot_teach.experiments import stored
from groot_teach.reaching import ACTION_HORIZON, ROBOTS
from groot_teach.widgets.chapter_1 import one_of
from groot_teach.widgets.panels import Bars, Lines, Number, Panel, Table

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
"""What the reader chooses -> the condition of the records."""

ROBOT_NAMES = {robot.name: place for place, robot in enumerate(ROBOTS)}
SEEDS = {"median of all": None, "0": 0, "1": 1}
HOW_DEPLOYED = ("as trained", "in a crowd")
STEPS = (100, 200, 300, 400, 500, 600)
"""Which points of the curves are drawn."""
LOW, HIGH = -3, 0.5
"""The scale of the curves: losses from a thousandth to three."""
FAR = tuple(range(0, 4 * ACTION_HORIZON + 1, ACTION_HORIZON))
"""The robot's steps at the start and after each chunk. A record also holds those half-way."""


def drop_a_mask(leak: str, robot: str, padding: str = "much", seed: str = "median of all") -> dict[str, Panel]:
    """One mask dropped in training, beside a strict head: what training reports, and what the robot does."""
    condition, place = one_of("leak", leak, DROPPED), one_of("robot", robot, ROBOT_NAMES)
    one_of("padding", padding, AMOUNTS)
    chosen = one_of("seed", seed, SEEDS)

    def of(name: str, measure: Callable[[dict], Sequence[float]]) -> list[float]:
        """Each number of `measure`: of the seed that was chosen, or the median over the seeds."""
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
    """A row for each of least, median, most and the verdict; a column for each way to deploy."""
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
    """To the next twentieth."""
    return (int(value * 20) + 1) / 20
