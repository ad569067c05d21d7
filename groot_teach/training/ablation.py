"""What breaks when a mask is dropped: the same tiny head trained again and again, with one switch moved at a time.

trial      one training: a masking, an amount of padding, a seed. Trials of one seed begin with the same weights and
           see the same batches, noise and flow times; only the masking differs.
record     what came of it, as plain numbers: curves, and what `exam` found.
plan       which trials, and how each is run. `PLAN` is the book's; `groot_teach.training.run` runs it.
verdict    a ratio to the strict head of the same seed, and the range of that ratio over the seeds.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7, LEAKS, STRICT, Masking, with_switches
from groot_teach.training.evaluate import DEPLOYMENTS, Exam
from groot_teach.training.task import ACTION_HORIZON, ROBOTS, TOKEN_WIDTH, Reaching
from groot_teach.training.train import Recipe, fit

# -------------------------------------------------------------------------------------------------------- the trials

SUPERVISED = dataclasses.replace(
    with_switches(
        STRICT, encoder_input="open", self_attention="open", loss="open", loss_denominator="all", sampler="free"
    ),
    name="padding supervised",
    source="the design of Physical-Intelligence/openpi at 15a9616a, src/openpi/models/pi0.py 214: padded dims are part "
    "of the task, and the mask of the tokens is obeyed",
)


def dropped(masking: Masking = STRICT) -> dict[str, Masking]:
    """`masking` with one switch moved to where padding gets through, for each such position of each switch."""
    moved = [(leak.switch, position) for leak in LEAKS for position in leak.leaks]
    return {f"{switch}={position}": with_switches(masking, **{switch: position}) for switch, position in moved}


CONDITIONS = {
    "strict": STRICT,
    **{name: masking for name, masking in dropped().items() if masking.sampler == STRICT.sampler},
    "encoder_input=open and self_attention=open": with_switches(STRICT, encoder_input="open", self_attention="open"),
    "N1.5": GROOT_N1_5,
    "N1.7": GROOT_N1_7,
    "N1.7 and loss=open": with_switches(GROOT_N1_7, loss="open"),
    "supervised": SUPERVISED,
}
"""What heads are trained under. The sampler is not used in training: it is moved when a head is deployed."""

AMOUNTS = {
    "little": Reaching(padded_dim=8, cut_short=0.25, most_fillers=2),
    "much": Reaching(padded_dim=24, cut_short=0.5, most_fillers=6),
}
"""How much padding a batch has: robots of 2, 4 and 6 dims in 8 or in 24; one chunk in four or in two is cut short;
prompts differ by 2 or by 6 words."""


@dataclass(frozen=True)
class Trial:
    """One training: a name of `CONDITIONS`, one of `AMOUNTS`, and a seed.

    Raises:
        ValueError: a name that is not there.
    """

    condition: str
    amount: str
    seed: int

    def __post_init__(self) -> None:
        for name, known in (("condition", CONDITIONS), ("amount", AMOUNTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(known)}")

    @property
    def key(self) -> str:
        return f"{self.condition}, {self.amount}, {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which trials, and how each of them is run.

    Attributes:
        conditions, amounts: names of `CONDITIONS` and `AMOUNTS`.
        seeds: how many seeds, from 0 up.
        steps, batch_size, learning_rate: the recipe of each training.
        every: how many steps lie between two points of a curve, and between two checkpoints.
        width: of the head.
        tried: how many situations a head is tried on; the same for all.
        chunks: how many chunks a rollout executes, one after the other.
    """

    conditions: tuple[str, ...] = tuple(CONDITIONS)
    amounts: tuple[str, ...] = tuple(AMOUNTS)
    seeds: int = 8
    steps: int = 600
    batch_size: int = 48
    learning_rate: float = 0.01
    every: int = 50
    width: int = 32
    tried: int = 96
    chunks: int = 4

    @property
    def trials(self) -> list[Trial]:
        return [
            Trial(condition, amount, seed)
            for seed in range(self.seeds)
            for amount in self.amounts
            for condition in self.conditions
        ]

    def recipe(self, seed: int) -> Recipe:
        return Recipe(steps=self.steps, batch_size=self.batch_size, learning_rate=self.learning_rate, seed=seed)

    def head(self, trial: Trial) -> ActionHead:
        """The trial's head before training: its weights depend on the seed and the amount of padding alone."""
        return head_for(CONDITIONS[trial.condition], AMOUNTS[trial.amount].padded_dim, self.width, trial.seed)


def head_for(masking: Masking, padded_dim: int, width: int, seed: int) -> ActionHead:
    """A tiny head, float64: one block that reads tokens, one that reads the steps, and one VL self-attention."""
    config = HeadConfig(
        padded_dim=padded_dim,
        state_dim=padded_dim,
        token_width=TOKEN_WIDTH,
        width=width,
        heads=2,
        hidden=width,
        layers=2,
        vl_layers=1,
        vl_heads=2,
        embodiments=len(ROBOTS),
        max_steps=ACTION_HORIZON,
    )
    head = ActionHead(config, masking, torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        for weight in head.parameters():
            weight *= 3**0.5  # uniform weights then have the spread at which signals neither fade nor grow
    return head


PLAN = Plan()


def ablate(plan: Plan, progress: Callable[[Iterable[Trial]], Iterable[Trial]] = iter) -> list[dict]:
    """The records of all trials of `plan`, one after the other, in this process."""
    return [run_trial(trial, plan) for trial in progress(plan.trials)]


def run_trial(trial: Trial, plan: Plan, checkpoint: Path | None = None) -> dict:
    """Trains the head of `trial` and tries it out.

    Args:
        trial: which.
        plan: how.
        checkpoint: where the training is stored, and from where it goes on.
    """
    head, exam = plan.head(trial), Exam(AMOUNTS[trial.amount], plan.tried, plan.chunks)
    recipe = plan.recipe(trial.seed)
    history = fit(head, exam.task, recipe, checkpoint=checkpoint, watch=exam.losses, every=plan.every)
    reported, real = zip(*history.watched.values(), strict=True)
    record = {
        "condition": trial.condition,
        "amount": trial.amount,
        "seed": trial.seed,
        "step": list(history.watched),
        "reported": reported,
        "real": real,
        "errors": {name: exam.errors(head, name) for name in DEPLOYMENTS},
        **exam.rollout(head),
    }
    return rounded(record)


def rounded(value: Any) -> Any:
    """Every number in a record at four digits: what is stable from machine to machine."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------------------------------------------ the verdicts


@dataclass(frozen=True)
class Comparison:
    """One condition beside the strict head: for each seed the ratio of two errors, trained alike but for the masking.

    If moving the switch made no difference in the median, each seed's ratio would fall above or below 1 like a coin.
    So the range of `n` ratios covers their median with a probability of `1 - 2 ** (1 - n)`, whatever they are
    distributed like: 99 % for eight seeds.
    """

    ratios: tuple[float, ...]

    @property
    def low(self) -> float:
        return min(self.ratios)

    @property
    def high(self) -> float:
        return max(self.ratios)

    @property
    def median(self) -> float:
        return median(self.ratios)

    @property
    def verdict(self) -> str:
        if self.low == self.high == 1:
            return "the same"
        if self.low > 1:
            return "hurts"
        return "helps" if self.high < 1 else "not seen"


Measure = Callable[[dict], float]
"""A number out of the record of a run."""


def compare(
    runs: Sequence[dict],
    condition: str,
    amount: str,
    measure: Measure,
    base: str = "strict",
    base_measure: Measure | None = None,
) -> Comparison:
    """`measure` of each run of `condition`, divided by that of `base` with the same seed.

    Args:
        runs: the records.
        condition, amount: which of them.
        measure: what to look at.
        base: beside which condition; may be `condition` itself, used in another way.
        base_measure: what to look at there; None = the same.

    Raises:
        ValueError: no run of one of them, or seeds that do not pair up.
    """

    def measured(name: str, of: Measure) -> dict[int, float]:
        return {run["seed"]: of(run) for run in runs if (run["condition"], run["amount"]) == (name, amount)}

    above, below = measured(condition, measure), measured(base, base_measure or measure)
    if not above or above.keys() != below.keys():
        raise ValueError(
            f"runs, {amount} padding: got seeds {sorted(above)} of {condition!r} and {sorted(below)} of {base!r}, "
            "expected the same ones, at least one"
        )
    return Comparison(tuple(above[seed] / value for seed, value in below.items()))


def error_when(deployment: str, robot: int | None = None) -> Measure:
    """A measure: the error in a deployment, of one robot or the mean over the robots."""

    def measure(run: dict) -> float:
        errors = run["errors"][deployment]
        return sum(errors) / len(errors) if robot is None else errors[robot]

    return measure


def distance_left(run: dict) -> float:
    """A measure: how far from its goal the hand is after a rollout, the mean over the robots."""
    return sum(distance[-1] for distance in run["distance"]) / len(run["distance"])
