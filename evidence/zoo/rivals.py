"""What else one could do to find a wrong mask, on the zoo: checks of other people, each as fair as we could make it.

Each takes how to build a policy, and its batch, and answers True for an alarm. Noise and time are in the batch, so they
are the same in each run; for a policy that draws itself, each run begins at the same seed. An error is an alarm: it is
not silent.

    shapes              the shapes are right, and every number is finite
    loss falls          100 steps of Adam; the mean of the last ten losses is not below 0.9 of the first ten
    flip                physical-ai-studio #919: a real entry is called padding, and the loss must move. #919 flips
                        `action_is_pad` of a whole policy; here a mask feeds attention too, so the loss would always
                        move. We hold the prediction, and flip a step and a dim
    equivalence         as in the tests of Hugging Face's models: padding is appended, and the outputs for what is real
                        stay the same. We append steps and tokens, and compare predictions and the loss. How many
                        dims there may be is fixed in a policy, so none are appended
    mask invariance     pytest-torch's `assert_mask_invariant` and `assert_padding_invariant`, for steps and for tokens.
    padding invariance  They want whole numbers of a vocabulary, so ours are looked up in a table, padding in a row of
                        its own, and they hold a policy's whole output to it, so ours is the loss alone
"""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from evidence.zoo.policy import Batch, Policy
from groot_teach.audit import Answer
from groot_teach.bugs.policy import action_mask

Build = Callable[[], Policy]
PYTEST_TORCH = {"version": "1.1.1", "checks": ["mask invariance", "padding invariance"]}
FOLDER = Path(sys.prefix) / f"pytest-torch-{PYTEST_TORCH['version']}"
"""Where `pip install --no-deps --target` put it. It is kept off the path, for pytest would load it into every run."""


def asked(policy: Policy, b: Batch) -> Answer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return policy.answer(b)


def loss_at(answer: Answer, prediction: Tensor) -> Tensor:
    """The loss of any prediction. Every policy of the zoo gives a function for it."""
    if not callable(answer.loss):
        raise TypeError(f"answer.loss: got {answer.loss!r}, expected a function from a prediction to its loss")
    return answer.loss(prediction)


def loss_of(policy: Policy, b: Batch) -> Tensor:
    answer = asked(policy, b)
    return loss_at(answer, answer.prediction)


def shapes(build: Build, b: Batch) -> bool:
    policy = build()
    with torch.no_grad():
        answer = policy.answer(b)
        loss, sampled = loss_at(answer, answer.prediction), policy.sample(b)
    right = (
        answer.prediction.shape[:2] == b["actions"].shape[:2]
        and loss.shape == ()
        and sampled.shape == b["actions"].shape
    )
    return not (right and all(one.isfinite().all() for one in (answer.prediction, loss, sampled)))


def loss_falls(build: Build, b: Batch, steps: int = 100) -> bool:
    policy = build()
    optimizer, losses = torch.optim.Adam(policy.parameters(), lr=1e-2), []
    for _ in range(steps):
        answer = policy.answer(b)
        loss = loss_at(answer, answer.prediction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return not sum(losses[-10:]) < 0.9 * sum(losses[:10])


@torch.no_grad()
def flip(build: Build, b: Batch) -> bool:
    policy = build()
    prediction = asked(policy, b).prediction
    robot, step = 0, int(b["step_mask"][0].sum()) - 1
    dim = int(b["dim_mask"][0].sum()) - 1
    fewer_steps, fewer_dims = b["step_mask"].clone(), b["dim_mask"].clone()
    fewer_steps[robot, step] = fewer_dims[robot, dim] = False

    def loss(b: Batch) -> Tensor:
        return loss_at(asked(policy, b), prediction)

    changed = ({"step_mask": fewer_steps, "action_is_pad": ~fewer_steps}, {"dim_mask": fewer_dims})
    return any(not different(loss(b), loss(b | change)) for change in changed)


@torch.no_grad()
def equivalence(build: Build, b: Batch, more: int = 2) -> bool:
    policy = build()
    longer = dict(b)
    for name in ("actions", "noise", "tokens"):
        longer[name] = pad(b[name], (0, 0, 0, more))
    for name, value in {"step_mask": False, "token_mask": False, "image": False, "action_is_pad": True}.items():
        longer[name] = pad(b[name], (0, more), value=value)
    try:
        answer, other = asked(policy, b), asked(policy, longer)
        loss, other_loss = loss_at(answer, answer.prediction), loss_at(other, other.prediction)
    except RuntimeError:
        return True
    real = action_mask(b)[..., : answer.prediction.shape[2]]
    before, after = answer.prediction[real], other.prediction[:, : real.shape[1]][real]
    return different(before, after) or different(loss, other_loss)


def different(one: Tensor, other: Tensor) -> bool:
    """By more than half of the digits, or not a number."""
    tolerance = torch.finfo(one.dtype).eps ** 0.5
    return not torch.allclose(one, other, rtol=tolerance, atol=tolerance)


OURS = {"shapes": shapes, "loss falls": loss_falls, "flip": flip, "equivalence": equivalence}


# ------------------------------------------------------------------------------------------------------ pytest-torch


def pytest_torch(folder: Path | None = None) -> dict[str, Callable[[Build, Batch], bool]] | None:
    """Its two assertions as checks of ours; None = it is not installed."""
    folder = FOLDER if folder is None else folder
    spec = PathFinder.find_spec("pytest_torch", [str(folder)])
    if spec is None or spec.loader is None:
        return None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)
    invariance = import_module("pytest_torch.invariance")

    def check(assertion: Callable, **more: int) -> Callable[[Build, Batch], bool]:
        def alarm(build: Build, b: Batch) -> bool:
            return any(fails(assertion, *of_axis(build(), b), **more) for of_axis in (as_steps, as_tokens))

        return alarm

    return {
        "mask invariance": check(invariance.assert_mask_invariant),
        "padding invariance": check(invariance.assert_padding_invariant, extra=2),
    }


def fails(assertion: Callable, model: Callable, inputs: dict[str, Tensor], **more: int) -> bool:
    try:
        assertion(model, inputs, **more)
    except (AssertionError, RuntimeError):
        return True
    return False


def vocabulary(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` (batch, length, width) as ids (batch, length), and the table in which they are looked up."""
    return torch.arange(values[..., 0].numel()).view(values.shape[:2]), values.flatten(0, 1)


def as_steps(policy: Policy, b: Batch) -> tuple[Callable, dict[str, Tensor]]:
    """The chunk as a text: an action is a word. Noise is given, and padded with 0 where steps are appended."""
    ids, table = vocabulary(b["actions"])

    def model(input_ids: Tensor, attention_mask: Tensor, noise: Tensor) -> Tensor:
        real = attention_mask.bool()
        given = {"actions": table[input_ids], "noise": noise, "step_mask": real, "action_is_pad": ~real}
        return loss_of(policy, b | given)

    return model, {"input_ids": ids, "attention_mask": b["step_mask"].long(), "noise": b["noise"]}


def as_tokens(policy: Policy, b: Batch) -> tuple[Callable, dict[str, Tensor]]:
    ids, table = vocabulary(b["tokens"])

    def model(input_ids: Tensor, attention_mask: Tensor, image: Tensor) -> Tensor:
        given = {"tokens": table[input_ids], "token_mask": attention_mask.bool(), "image": image}
        return loss_of(policy, b | given)

    return model, {"input_ids": ids, "attention_mask": b["token_mask"].long(), "image": b["image"]}
