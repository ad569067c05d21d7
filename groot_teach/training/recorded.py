"""The ablation on a real recording: the same heads and conditions, on chunks of a LeRobot folder.

    python -m groot_teach.training.recorded DATASET --groups right_arm --out FILE

Camera images are not read here. A head sees the last action that the robot was given, and one token without meaning. So
nothing is padded along tokens, and the two attention masks of tokens have nothing to hide. Dims are padded, because the
robot has fewer than the head, and steps are padded at the end of an episode.

Of every 64 steps of an episode, heads are trained on chunks from the first 48 and evaluated on chunks from the last 16,
so no step is in both. Two episodes of one task are too few to keep one of them for the evaluation.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.extras import progress_bar
from groot_teach.flow import flow_time_n1_7, sample_beta
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.loss import masked_velocity_loss
from groot_teach.padding import ActionBatch, VLBatch, action_mask_dims_and_steps, collate_chunks
from groot_teach.recordings import chunk_at, normalise, open_dataset, read_episode, statistics_of
from groot_teach.training.ablation import CONDITIONS, Plan, head_for, rounded
from groot_teach.training.evaluate import DEPLOYMENTS, deployed
from groot_teach.training.run import about, write_records
from groot_teach.training.task import ACTION_HORIZON, TOKEN_WIDTH
from groot_teach.training.train import fit

PADDED_DIM = 24


BLOCK, TRAINED = 64, 48
"""Of every `BLOCK` steps the first `TRAINED` are trained on, and the others are kept for the evaluation."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Chunks of recorded episodes: a task to train on.

    Attributes:
        episodes: for each episode its actions, `step, action_dim`, float64, in [-1, 1]: see `normalised`.
        starts: where a chunk may begin, as `(episode, step)`.
        padded_dim: the number of dims to which actions are padded.

    Raises:
        ValueError: no episode or no start, or episodes of different widths or wider than `padded_dim`.
    """

    episodes: tuple[Float[Tensor, "step action_dim"], ...]
    starts: tuple[tuple[int, int], ...]
    padded_dim: int = PADDED_DIM

    def __post_init__(self) -> None:
        widths = sorted({episode.shape[1] for episode in self.episodes})
        if len(widths) != 1 or widths[0] > self.padded_dim:
            raise ValueError(f"episodes: got widths {widths}, expected one, {self.padded_dim} at most")
        if not self.starts:
            raise ValueError("starts: got none, expected at least one; is the recording too short?")

    def draw(self, batch_size: int, generator: torch.Generator) -> tuple[Observation, ActionBatch]:
        """Chunks that begin anywhere in `starts`."""
        drawn = torch.randint(len(self.starts), (batch_size,), generator=generator)
        return self.chunks([self.starts[place] for place in drawn])

    def chunks(self, starts: Sequence[tuple[int, int]]) -> tuple[Observation, ActionBatch]:
        """The chunks that begin at these `(episode, step)`, and what the policy sees before each."""
        chunks = [chunk_at(self.episodes[episode], step, ACTION_HORIZON) for episode, step in starts]
        batch = collate_chunks(chunks, self.padded_dim)
        before = torch.stack([self.episodes[episode][max(step - 1, 0)] for episode, step in starts])
        state = torch.zeros(len(starts), 1, self.padded_dim, dtype=before.dtype)
        state[:, 0, : before.shape[1]] = before
        is_real = torch.ones(len(starts), 1, dtype=torch.bool)
        tokens = VLBatch(torch.ones(len(starts), 1, TOKEN_WIDTH, dtype=before.dtype), is_real, ~is_real)
        return Observation(tokens, state, torch.zeros(len(starts), dtype=torch.int64)), batch


def normalised(episodes: Sequence[Float[Tensor, "step action_dim"]]) -> tuple[Tensor, ...]:
    """The episodes with each dim scaled to -1 to 1 over all of them; a dim that never moves becomes 0, as in N1.5."""
    statistics = statistics_of(torch.cat([*episodes]))
    return tuple(normalise(episode, statistics, "N1.5") for episode in episodes)


def split(episodes: Sequence[Float[Tensor, "step action_dim"]]) -> tuple[Recorded, Recorded]:
    """The chunks to train on, and those to evaluate on.

    Raises:
        ValueError: episodes that are too short to split, of different widths, or wider than `PADDED_DIM`.
    """
    starts = [(e, step) for e, episode in enumerate(episodes) for step in range(len(episode))]
    train = [(e, step) for e, step in starts if step % BLOCK <= TRAINED - ACTION_HORIZON]
    test = [(e, step) for e, step in starts if TRAINED <= step % BLOCK <= BLOCK - ACTION_HORIZON]
    return Recorded(tuple(episodes), tuple(train)), Recorded(tuple(episodes), tuple(test))


def read_recording(folder: Path, groups: Sequence[str] | None = None) -> tuple[Recorded, Recorded]:
    """Reads all episodes of the folder that are on disk, normalises and splits them.

    Raises:
        ValueError: as `split`.
    """
    dataset = open_dataset(folder)
    return split(normalised([read_episode(dataset, index, groups).actions for index in dataset.episodes_present]))


class RecordedEvaluation:
    """Evaluates heads on every chunk of a recorded task, from the same noise for every head."""

    def __init__(self, task: Recorded):
        generator = torch.Generator().manual_seed(0)
        self.observation, self.batch = task.chunks(task.starts)
        self.noise = torch.randn(self.batch.actions.shape, dtype=torch.float64, generator=generator)
        self.t = flow_time_n1_7(sample_beta(len(task.starts), generator))
        self.recorded = action_mask_dims_and_steps(self.batch.dim_mask, self.batch.step_mask)

    def losses(self, head: ActionHead) -> tuple[float, float]:
        """The loss as this head's training reports it, and the mean over recorded entries, of the same predictions."""
        answer = head.loss(self.observation, self.batch, self.noise, self.t)
        real = masked_velocity_loss(answer.velocity_pred, answer.velocity_target, self.recorded)
        return answer.loss.item(), real.item()

    def error(self, head: ActionHead, deployment: str) -> float:
        """The root mean square error of the actions, over recorded entries."""
        with deployed(head, DEPLOYMENTS[deployment]):
            actions = head.sample(self.observation, self.noise, self.batch.dim_mask, self.batch.step_mask)[-1]
        return self._off(actions)

    def error_of_holding_still(self) -> float:
        """The error of a robot that repeats its last action: a head has to be better than this."""
        return self._off(self.observation.state.expand_as(self.batch.actions))

    def _off(self, actions: Tensor) -> float:
        return (actions - self.batch.actions)[self.recorded].square().mean().sqrt().item()


TRIED = ("as trained", "input open", "input shut", "strict", "N1.5", "zero", "renoise")


RECORDED_PLAN = Plan(
    conditions=("strict", "encoder_input=open", "loss=open", "N1.5", "N1.7"), amounts=(), seeds=6, steps=800
)
"""The book's plan for a recording. It pads no token and few steps, so the conditions are those that concern dims."""


def ablate_recording(
    train: Recorded, test: Recorded, plan: Plan, progress: Callable[[Iterable], Iterable] = iter
) -> list[dict]:
    """The records of each condition of `plan` with each of its seeds; the plan's amounts of padding are not used."""
    evaluation, runs = RecordedEvaluation(test), []
    for seed, condition in progress([(seed, name) for seed in range(plan.seeds) for name in plan.conditions]):
        head = head_for(CONDITIONS[condition], train.padded_dim, plan.width, seed)
        history = fit(head, train, plan.recipe(seed), watch=evaluation.losses, every=plan.every)
        reported, real = zip(*history.watched.values(), strict=True)
        curves = {"step": list(history.watched), "reported": reported, "real": real}
        errors = {name: evaluation.error(head, name) for name in TRIED}
        runs.append(rounded({"condition": condition, "seed": seed, **curves, "errors": errors}))
    return runs


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m groot_teach.training.recorded`."""
    parser = argparse.ArgumentParser(
        prog="python -m groot_teach.training.recorded",
        description="Train the tiny heads of chapter 8 on a real recording, with one mask dropped at a time.",
    )
    plan = RECORDED_PLAN
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a LeRobot folder")
    parser.add_argument("--groups", nargs="+", metavar="NAME", help="action groups to take (default: all)")
    parser.add_argument("--seeds", type=int, default=plan.seeds, metavar="N", help=f"seeds of each ({plan.seeds})")
    parser.add_argument("--steps", type=int, default=plan.steps, metavar="N", help=f"steps of each ({plan.steps})")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the records, as JSON")
    options = parser.parse_args(arguments)
    plan = dataclasses.replace(plan, seeds=options.seeds, steps=options.steps)
    train, test = read_recording(options.dataset, options.groups)
    runs = ablate_recording(train, test, plan, lambda trials: progress_bar(trials, unit="trial"))
    said = about(plan) | {
        "command": "python -m groot_teach.training.recorded",
        "dataset": options.dataset.resolve().name,
        "groups": options.groups,
        "holds still": rounded(RecordedEvaluation(test).error_of_holding_still()),
    }
    write_records(options.out, said, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
