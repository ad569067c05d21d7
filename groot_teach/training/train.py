"""Training an `ActionHead`: the same gradient however the batch is cut into pieces, and runs that can be interrupted.

    fit(head, task, recipe)                        on one CPU
    fit(head.to("cuda"), task, recipe)             on a GPU
    torchrun --nproc-per-node 2 my_script.py       the same call in several processes

**One gradient.** A batch may be cut into micro-batches and shared among processes. The loss is a sum of errors divided
by a count. So the sums of all pieces are added, the counts are added, and the division is done once, at the end.
Dividing each piece by its own count and averaging the quotients would be another loss: a mean of means, in which an
entry weighs more if its piece has fewer of them.

**One random stream.** Step 17 draws from a generator that is seeded with the recipe's seed and 17, on the CPU and the
same in every process. So a run that continues at step 17 needs no stored state of a generator.

Source of the mean of means: huggingface/lerobot at 7427f318 and all PyTorch code of our survey divide by the local
count, then average (`lerobot_train.py` 193, 221; read).
"""

import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed

from groot_teach.checks import whole_number
from groot_teach.flow import flow_time_n1_7, sample_beta
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.loss import loss_divisor, velocity_error_sum
from groot_teach.padding import ActionBatch

WARM_UP = 20
"""The number of steps in which the learning rate rises to its full size."""

COOL_DOWN = 0.4
"""The last part of the steps, in which the learning rate falls to 0."""


class Task(Protocol):
    """Where batches come from: the invented task `task.Reaching`, or recorded episodes, `recorded.Recorded`."""

    def draw(self, batch_size: int, generator: torch.Generator) -> tuple[Observation, ActionBatch]:
        """A batch, float64, on the CPU. The same state of the generator gives the same batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a head is trained.

    Attributes:
        steps: the number of steps of the optimizer, Adam.
        batch_size: the number of samples in a step, over all processes and micro-batches.
        learning_rate: the largest learning rate of the run.
        seed: the seed of everything that is drawn: batches, noise and flow times.
        micro_batches: the number of pieces into which each process cuts its share of a batch.

    Raises:
        ValueError: a number that is out of range.
    """

    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    micro_batches: int = 1

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("seed", 0), ("micro_batches", 1)):
            whole_number(name, getattr(self, name), least)
        if type(self.learning_rate) not in (int, float) or not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate: got {self.learning_rate!r:.60}, expected a number between 0 and 1")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: it rises over `WARM_UP` steps and falls to 0 over the last part, `COOL_DOWN`."""
        rising, falling = (step + 1) / WARM_UP, (self.steps - step) / (COOL_DOWN * self.steps)
        return self.learning_rate * min(1.0, rising, falling)

    def generator_at(self, step: int) -> torch.Generator:
        """The generator from which step `step` draws. Runs of less than a million steps never share one."""
        return torch.Generator().manual_seed(self.seed * 1_000_000 + step)


@dataclass
class History:
    """What a training run reported on its way.

    Attributes:
        losses: for each step the loss that training reported.
        watched: for each step at which `watch` was called, what it returned.
    """

    losses: list[float] = field(default_factory=list)
    watched: dict[int, Any] = field(default_factory=dict)


def fit(
    head: ActionHead,
    task: Task,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    watch: Callable[[ActionHead], Any] | None = None,
    every: int = 50,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> History:
    """Trains `head` in place.

    Args:
        head: the head, with the weights to begin from and the masking to train under.
        task: where the batches come from.
        recipe: how to train.
        checkpoint: a file in which the run is stored; if it exists, the run continues from it and gives the same
            numbers as without the interruption. One process writes it, all read it.
        watch: called with the head after every `every` steps and at the end; what it returns is kept in the history,
            and in the checkpoint.
        every: the number of steps between two calls of `watch`, and between two checkpoints.
        progress: wraps the steps, for a progress bar such as `tqdm.auto.tqdm`.

    Raises:
        ValueError: a checkpoint of another run, a batch in which nothing counts, or fewer samples than pieces.
    """
    rank, processes = rank_and_processes()
    whole_number("every", every)
    if recipe.batch_size < processes * recipe.micro_batches:
        raise ValueError(
            f"batch_size: got {recipe.batch_size}, expected {processes * recipe.micro_batches} or more, a sample for "
            f"each of {recipe.micro_batches} micro-batches in {processes} processes"
        )
    optimizer = torch.optim.Adam(head.parameters(), lr=recipe.learning_rate, fused=True)
    history = History()
    if checkpoint is not None and checkpoint.exists():
        history = _restore(checkpoint, head, optimizer, _identity(head, task, recipe))
    head.train()
    for step in progress(range(len(history.losses), recipe.steps)):
        optimizer.param_groups[0]["lr"] = recipe.rate_at(step)
        pieces = _pieces(head, task, recipe, step, rank, processes)
        history.losses.append(backward_once(head, pieces).item())
        optimizer.step()
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            if watch is not None:
                history.watched[step + 1] = _watched(head, watch)
            if checkpoint is not None and rank == 0:
                _store(checkpoint, head, optimizer, _identity(head, task, recipe), history)
    head.eval()
    return history


def backward_once(head: ActionHead, pieces: Iterable[tuple[Observation, ActionBatch, Tensor, Tensor]]) -> Tensor:
    """The loss of a batch that is given in pieces; puts the gradients of the whole batch into `.grad`.

    Args:
        head: the head; its masking says what counts, and what the sum is divided by.
        pieces: observation, batch, noise and t of each micro-batch of this process. A piece may hold nothing but
            padding.

    Raises:
        ValueError: nothing counts in any piece of any process, unless the masking divides by something else.
    """
    head.zero_grad()
    error, count, entries = torch.zeros(3, dtype=torch.float64, device=head.dit.out.weight.device)
    for observation, batch, noise, t in pieces:
        answer = head.answer(observation, batch, noise, t)
        of_piece = velocity_error_sum(answer.velocity_pred, answer.velocity_target, answer.counted)
        of_piece.backward()
        error += of_piece.detach()
        count += answer.counted.sum()
        entries += answer.counted.numel()
    error, count, entries = sum_over_processes(torch.stack([error, count, entries]))
    divisor = loss_divisor(head.masking.loss_denominator, count, entries)
    for weight in head.parameters():
        # A weight that this process did not need has no gradient here, and may have one elsewhere.
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        weight.grad = sum_over_processes(gradient) / divisor.to(weight.dtype)
    return error / divisor


def _pieces(
    head: ActionHead, task: Task, recipe: Recipe, step: int, rank: int, processes: int
) -> list[tuple[Observation, ActionBatch, Tensor, Tensor]]:
    """This process's share of the step's batch, cut into micro-batches. Every process draws the whole batch."""
    generator = recipe.generator_at(step)
    observation, batch = task.draw(recipe.batch_size, generator)
    noise = torch.randn(batch.actions.shape, dtype=torch.float64, generator=generator)
    t = flow_time_n1_7(sample_beta(recipe.batch_size, generator))
    whole, like = (observation, batch, noise, t), head.dit.out.weight
    shares = [
        slice(rank + processes * piece, None, processes * recipe.micro_batches) for piece in range(recipe.micro_batches)
    ]
    return [tuple(moved(part, share, like) for part in whole) for share in shares]


def moved(record: Any, share: slice, like: Tensor) -> Any:
    """The samples `share` of a record of tensors, on the device of `like`; float tensors also get its dtype."""
    if isinstance(record, Tensor):
        dtype = like.dtype if record.is_floating_point() else record.dtype
        return record[share].to(like.device, dtype)
    parts = {part.name: moved(getattr(record, part.name), share, like) for part in dataclasses.fields(record)}
    return type(record)(**parts)


# ------------------------------------------------------------------------------------------------- several processes
# With one process, or where no process group was started, there is nothing to add up. So the same code runs alone and
# under `torchrun`.


def rank_and_processes() -> tuple[int, int]:
    """The number of this process, and how many there are: `(0, 1)` for a process that runs alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of this tensor over all processes. All of them have to call it, in the same order."""
    _, processes = rank_and_processes()
    if processes == 1:
        return tensor
    total = tensor.clone()
    distributed.all_reduce(total)
    return total


# ------------------------------------------------------------------------------------------------ looks and checkpoints


def _watched(head: ActionHead, watch: Callable[[ActionHead], Any]) -> Any:
    head.eval()
    with torch.no_grad():
        seen = watch(head)
    head.train()
    return seen


def _identity(head: ActionHead, task: Task, recipe: Recipe) -> dict[str, Any]:
    """What has to be the same when a run is continued. A task is known by the first sample that it draws."""
    _, sample = task.draw(1, recipe.generator_at(0))
    drawn = {"task": type(task).__qualname__, "first sample": sample.actions.double().flatten().tolist()}
    masking = {switch: position for switch, position in dataclasses.asdict(head.masking).items() if switch != "source"}
    return {
        "recipe": dataclasses.asdict(recipe),
        "masking": masking,
        "config": dataclasses.asdict(head.config),
        "weights": {"dtype": str(head.dit.out.weight.dtype)},
        "drawn": drawn,
    }


def _store(path: Path, head: ActionHead, optimizer: torch.optim.Optimizer, identity: dict, history: History) -> None:
    """Writes a file beside it and then renames that, so that an interruption leaves the old checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    state = {
        "identity": identity,
        "head": head.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": dataclasses.asdict(history),
    }
    torch.save(state, beside)
    beside.replace(path)


def _restore(path: Path, head: ActionHead, optimizer: torch.optim.Optimizer, identity: dict) -> History:
    try:
        state = torch.load(path, weights_only=True, map_location=head.dit.out.weight.device)
        known = dict(state["identity"])
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"checkpoint {path.name}: got a file that cannot be read ({type(error).__name__}), expected one that this "
            "training wrote; to begin anew, remove the file"
        ) from error
    for name, value in identity.items():
        theirs = known.get(name, {})
        for key in value:
            if theirs.get(key) != value[key]:
                raise ValueError(
                    f"checkpoint {path.name}: got {name} with {key}={theirs.get(key)!r}, expected {value[key]!r}, as "
                    "in this run; to begin anew, remove the file"
                )
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    return History(**state["history"])
