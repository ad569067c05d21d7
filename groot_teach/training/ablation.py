"""What breaks when a mask is dropped: the same tiny head is trained many times, with one switch changed at a time.

This module speaks of four things:

    trial      one training: a masking, an amount of padding, a seed. Trials of one seed begin with the same weights and
               see the same batches, noise and flow times; only the masking differs.
    record     the result of a trial as plain numbers: curves of the losses, and what `evaluate` measured.
    plan       which trials there are, and how each is run. `PLAN` is the book's; `groot_teach.training.run` runs it.
    verdict    the ratio to the strict head of the same seed, and the range of that ratio over the seeds.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from groot_teach.checks import all_finite, known_places, whole_number
from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7, LEAKS, STRICT, Masking, with_switches
from groot_teach.shapes import checked
from groot_teach.training.evaluate import DEPLOYMENTS, Evaluation
from groot_teach.training.task import ACTION_HORIZON, ROBOTS, TOKEN_WIDTH, Reaching
from groot_teach.training.train import Recipe, fit

# -------------------------------------------------------------------------------------------------------- the trials

SUPERVISED = dataclasses.replace(
    with_switches(
        STRICT, encoder_input="open", self_attention="open", loss="open", loss_denominator="all", sampler="free"
    ),
    name="padding supervised",
    source="as in Physical-Intelligence/openpi at 15a9616a, src/openpi/models/pi0.py 214: the loss averages over all "
    "dims, padded ones included, and the mask of the tokens is obeyed",
)


def dropped(masking: Masking = STRICT) -> dict[str, Masking]:
    """`masking` with one switch changed so that padding leaks, for each such setting of each switch."""
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
"""The maskings under which heads are trained. Training does not use the sampler; `evaluate.DEPLOYMENTS` change it."""

AMOUNTS = {
    "little": Reaching(padded_dim=8, cut_short=0.25, most_fillers=2),
    "much": Reaching(padded_dim=24, cut_short=0.5, most_fillers=6),
}
"""How much padding a batch has: robots of 2, 4 and 6 dims are padded to 8 or to 24 dims, one chunk in four or in two is
cut short, and prompts differ by up to 2 or up to 6 words."""


@checked
@dataclass(frozen=True)
class Trial:
    """One training: a name of `CONDITIONS`, one of `AMOUNTS`, and a seed.

    Raises:
        ValueError: an unknown condition or amount.
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
        seeds: the number of seeds: 0, 1, 2 and so on.
        steps, batch_size, learning_rate: the recipe of each training.
        every: the number of steps between two points of a curve, and between two checkpoints.
        width: the width of the head.
        tried: the number of situations on which a head is evaluated; the same situations for all heads.
        chunks: the number of chunks that a rollout executes, one after the other.

    Raises:
        ValueError: a number that is out of range, or no condition.
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

    def __post_init__(self) -> None:
        for name in ("seeds", "every", "width", "tried", "chunks"):
            whole_number(name, getattr(self, name))
        if not self.conditions:
            raise ValueError(f"conditions: got none, expected one or more of {', '.join(CONDITIONS)}")
        self.recipe(seed=0)  # which checks the other numbers

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
        """The trial's head before training. Its weights depend only on the seed and the amount of padding."""
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
    """Trains the head of `trial` and evaluates it.

    Args:
        trial: the trial.
        plan: how it is run.
        checkpoint: a file in which the training is stored; if it exists, the training continues from it.
    """
    head, evaluation = plan.head(trial), Evaluation(AMOUNTS[trial.amount], plan.tried, plan.chunks)
    recipe = plan.recipe(trial.seed)
    history = fit(head, evaluation.task, recipe, checkpoint=checkpoint, watch=evaluation.losses, every=plan.every)
    reported, real = zip(*history.watched.values(), strict=True)
    record = {
        "condition": trial.condition,
        "amount": trial.amount,
        "seed": trial.seed,
        "step": list(history.watched),
        "reported": reported,
        "real": real,
        "errors": {name: evaluation.errors(head, name) for name in DEPLOYMENTS},
        **evaluation.rollout(head),
    }
    return rounded(record)


def rounded(value: Any) -> Any:
    """A record with every number rounded to four digits, which are the same on every machine."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------------------------------------------ the verdicts


@checked
@dataclass(frozen=True)
class Comparison:
    """One condition compared with the strict head: for each seed the ratio of the errors of two heads.

    The two heads of a seed differ in their masking alone. If the switch made no difference in the median, each ratio
    would be above or below 1 with equal chances. So the range of `n` ratios covers their median with a probability of
    `1 - 2 ** (1 - n)`, whatever their distribution: 99 % for eight seeds.

    Raises:
        ValueError: a ratio that is not finite, as after a training that diverged: it belongs to no range.
    """

    ratios: tuple[float, ...]

    def __post_init__(self) -> None:
        all_finite("ratios", self.ratios)

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
"""A function that takes the record of a run and returns one number."""


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
        condition: the condition to compare.
        amount: the amount of padding.
        measure: the number to compare.
        base: the condition to compare with; may be `condition` itself, if `base_measure` is another number.
        base_measure: the number of `base`; None = `measure`.

    Raises:
        ValueError: no run of one of the conditions, the two do not have the same seeds, a number of `base` that is 0,
            or one that is not finite.
    """

    def measured(name: str, of: Measure) -> dict[int, float]:
        return {run["seed"]: of(run) for run in runs if (run["condition"], run["amount"]) == (name, amount)}

    above, below = measured(condition, measure), measured(base, base_measure or measure)
    if not above or above.keys() != below.keys():
        raise ValueError(
            f"runs, {amount} padding: got seeds {sorted(above)} of {condition!r} and {sorted(below)} of {base!r}, "
            "expected the same ones, at least one"
        )
    if 0 in below.values():
        raise ValueError(f"runs, {amount} padding: got 0 for {base!r}, expected a number to divide by")
    return Comparison(tuple(above[seed] / value for seed, value in below.items()))


@checked
def error_when(deployment: str, robot: int | None = None) -> Measure:
    """A measure: the error in one of `DEPLOYMENTS`, of one robot or the mean over the robots.

    Raises:
        ValueError: another deployment, or a robot that there is not.
    """
    if deployment not in DEPLOYMENTS:
        raise ValueError(f"deployment: got {deployment!r}, expected one of {', '.join(map(repr, DEPLOYMENTS))}")
    if robot is not None:
        known_places("robot", [robot], len(ROBOTS))

    def measure(run: dict) -> float:
        errors = run["errors"][deployment]
        return sum(errors) / len(errors) if robot is None else errors[robot]

    return measure


def distance_left(run: dict) -> float:
    """A measure: the distance of the hand from its goal after a rollout, the mean over the robots."""
    return sum(distance[-1] for distance in run["distance"]) / len(run["distance"])
