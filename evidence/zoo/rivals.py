"""What else one could do to find a wrong mask, on the zoo: checks of other people, each as fair as we could make it.

Each takes a function that describes a policy as `audit_masks` wants it, and answers True for an alarm, False for none,
and None if there is nothing in this policy that it could ask about. Noise and time are in most batches, so they are the
same in each run; for a policy that draws itself, each run begins at the same seed. An error is an alarm: it is not
silent.

    shapes              the shapes are right, and every number is finite
    loss falls          100 steps of Adam; the mean of the last ten losses is not below 0.9 of the first ten
    flip                physical-ai-studio #919: a real entry is called padding, and the loss must move. #919 flips
                        `action_is_pad` of a whole policy; here a mask feeds attention too, so the loss would always
                        move. We hold the prediction, and flip one place along each axis that the prediction has
    equivalence         as in the tests of Hugging Face's models: padding is appended, and the outputs for what is real
                        stay the same. We append two places to everything but dims, of which a network has a fixed
                        number, and compare predictions and the loss
    mask invariance     pytest-torch's `assert_mask_invariant` and `assert_padding_invariant`, for each kind of padding
    padding invariance  but dims. They want whole numbers of a vocabulary, so ours are looked up in a table, padding in
                        rows of its own, and they hold a policy's whole output to it, so ours is the loss alone
    pangolinn           its `EncoderPaddingTestCase`: each chunk of a batch alone, without its padding, gives the same
                        prediction. It makes its own batches, of 24 and 27 places, so everything but the chunk is that
                        of the first sample. Its other test, that the output is 0 in padding, is not run: no policy of
                        the zoo promises that, since a loss masks it. Nor is its tester of causality
"""

import sys
import unittest
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groot_teach.audit import Answer, Padding
from groot_teach.audit.policy import Heard, Policy, along, axes_of
from groot_teach.audit.state import State

Make = Callable[[], dict[str, Any]]
"""Describes a policy: returns the arguments of `audit_masks`."""
Check = Callable[[Make], bool | None]
Given = dict[str, Any]

FOREIGN = {
    "pytest-torch": {"version": "1.1.1", "checks": ["mask invariance", "padding invariance"]},
    "pangolinn": {"version": "0.0.1", "checks": ["pangolinn"]},
}
"""The checks that packages of other people bring, with the version that is tried."""
FOLDER = Path(sys.prefix) / f"pytest-torch-{FOREIGN['pytest-torch']['version']}"
"""Where `pip install --no-deps --target` put it. It is kept off the path, for pytest would load it into every run."""
MORE = 2
"""How many places of padding are appended."""


def runner(described: Mapping[str, Any]) -> Policy:
    """The policy as the auditor runs it: each run begins at the same seed, with copies of the same batch."""
    about_the_audit = ("taps", "unit_loss", "intended", "excused", "parity")
    return Policy(**{name: value for name, value in described.items() if name not in about_the_audit})


def everything(prediction: Tensor) -> tuple[slice, ...]:
    return (slice(None),) * prediction.ndim


def loss_at(heard: Heard) -> Tensor:
    return heard.loss_or_raise().detach()


def in_padding(value: Tensor, kind: Padding, places: tuple[int, ...]) -> Tensor:
    """What an entry holds at the first place of padding, such as a mask's word for it."""
    by_place = value.movedim(places, tuple(range(1, 1 + len(places))))
    return by_place[~kind.real.to(value.device)][0]


def longer(value: Tensor, place: int, filler: Tensor | float, more: int = MORE) -> Tensor:
    """An entry with `more` places behind its end, which hold `filler`."""
    by_place = value.movedim(place, 1)
    added = torch.zeros_like(by_place[:, :1]).repeat_interleave(more, dim=1)
    added[:] = filler
    return torch.cat([by_place, added], dim=1).movedim(1, place)


def masks_of(policy: Policy, kind: Padding) -> dict[str, tuple[Tensor, tuple[int, ...]]]:
    """The masks of a kind of padding, each with the axes along which it runs."""
    return {name: (policy.batch[name], axes_of(kind, place)) for name, place in kind.masks.items()}


def different(policy: Policy, one: Tensor, other: Tensor) -> bool:
    """By more than half of the digits with which the policy calculates, or not a number."""
    tolerance = max(torch.finfo(one.dtype).eps, policy.precision) ** 0.5
    return not torch.allclose(one, other, rtol=tolerance, atol=tolerance)


def errors_are_alarms(check: Check) -> Check:
    @wraps(check)
    def alarm(make: Make) -> bool | None:
        try:
            return check(make)
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError):
            return True

    return alarm


# -------------------------------------------------------------------------------------------------- checks by hand


@errors_are_alarms
@torch.no_grad()
def shapes(make: Make) -> bool:
    policy = runner(make())
    heard = policy.ask(policy.batch)
    policy.real_in(heard.prediction)  # an error if the prediction has another shape
    said = [heard.whole, heard.loss_or_raise()]
    if policy.sample is not None:
        actions, _ = policy.ask_sample(policy.batch)
        policy.real_in(actions, policy.sampled())
        said.append(actions)
    return not all(one.isfinite().all() for one in said)


@errors_are_alarms
def loss_falls(make: Make) -> bool:
    described = make()
    modules = State(described["run"], described.get("module")).modules
    parameters = dict.fromkeys(one for module in modules for one in module.parameters())
    optimizer, losses = torch.optim.Adam(parameters, lr=1e-2), []
    for _ in range(100):
        loss = loss_of(described["run"](deepcopy(described["batch"])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return not sum(losses[-10:]) < 0.9 * sum(losses[:10])


def loss_of(said: Any) -> Tensor:
    """The loss of what a policy returns: an `Answer`, or the loss alone."""
    if not isinstance(said, Answer):
        return said
    if said.loss is None:
        raise ValueError("run: got an answer without a loss, expected one")
    return said.loss(said.prediction) if callable(said.loss) else said.loss


@errors_are_alarms
@torch.no_grad()
def flip(make: Make) -> bool | None:
    policy = runner(make())
    heard = policy.ask(policy.batch)
    flipped = [kind for label, kind in policy.padding.items() if policy.place_of(label) is not None and kind.masks]
    if heard.loss_of is None or not flipped:
        return None

    def moves(kind: Padding) -> bool:
        loss_of = policy.ask(policy.batch | without_a_place(policy, kind)).loss_of
        return loss_of is not None and not torch.equal(loss_at(heard), loss_of(heard.prediction).detach())

    return not all(moves(kind) for kind in flipped)


def without_a_place(policy: Policy, kind: Padding) -> Given:
    """The masks of a kind of padding that call the last real place of the first sample padding."""
    sample, *where = kind.real.nonzero()[kind.real[0].sum() - 1].tolist()
    here = torch.zeros_like(kind.real)
    here[(sample, *where)] = True
    return {
        name: torch.where(along(here, mask.ndim, places), in_padding(mask, kind, places), mask)
        for name, (mask, places) in masks_of(policy, kind).items()
    }


@errors_are_alarms
@torch.no_grad()
def equivalence(make: Make) -> bool | None:
    policy = runner(make())
    grown = [kind for kind in policy.padding.values() if kind.can_be_cut]
    if not grown:
        return None
    batch = dict(policy.batch)
    for kind in grown:
        for name, place in kind.values.items():
            if name in batch:
                batch[name] = longer(batch[name], axes_of(kind, place)[0], 0)
        for name, (mask, (place,)) in masks_of(policy, kind).items():
            batch[name] = longer(mask, place, in_padding(mask, kind, (place,)))
    heard, other = policy.ask(policy.batch), policy.ask(batch, part_of=everything)
    as_before = other.whole[tuple(slice(size) for size in heard.whole.shape)][heard.part]
    real = policy.real_in(heard.prediction)
    pairs = [(heard.prediction[real], as_before[real]), (loss_at(heard), loss_at(other))]
    return any(different(policy, one, other) for one, other in pairs)


OURS: dict[str, Check] = {"shapes": shapes, "loss falls": loss_falls, "flip": flip, "equivalence": equivalence}


# ------------------------------------------------------------------------------------------------------ pytest-torch


def pytest_torch(folder: Path | None = None) -> dict[str, Check] | None:
    """Its two assertions as checks of ours; None = it is not installed."""
    folder = FOLDER if folder is None else folder
    spec = PathFinder.find_spec("pytest_torch", [str(folder)])
    if spec is None or spec.loader is None:
        return None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)
    invariance = import_module("pytest_torch.invariance")

    def check(assertion: Callable, **more: int) -> Check:
        @errors_are_alarms
        def alarm(make: Make) -> bool | None:
            policy = runner(make())
            kinds = [kind for kind in policy.padding.values() if kind.can_be_cut]
            for kind in kinds:
                assertion(*as_text(policy, kind), **more)
            return False if kinds else None

        return alarm

    return {
        "mask invariance": check(invariance.assert_mask_invariant),
        "padding invariance": check(invariance.assert_padding_invariant, extra=MORE),
    }


def as_text(policy: Policy, kind: Padding) -> tuple[Callable, dict[str, Tensor]]:
    """The padded places of a batch as words of a text, and the policy as a model of it that returns its loss.

    Words of a vocabulary stay as they are. Of anything else each place becomes a word of its own.
    """
    entries = {name: (policy.batch[name], axes_of(kind, place)[0]) for name, place in kind.values.items()}
    (first, *others) = entries
    ids = policy.batch[first]
    tables = {}
    if others or ids.is_floating_point() or ids.ndim != 2:
        ids = torch.arange(kind.real.numel()).view(kind.real.shape)
        tables = {name: value.movedim(place, 1).flatten(0, 1) for name, (value, place) in entries.items()}

    def model(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        given = {name: table[input_ids].movedim(1, entries[name][1]) for name, table in tables.items()}
        more = attention_mask.shape[1] - kind.real.shape[1]
        masks = {
            name: longer(mask, place, in_padding(mask, kind, (place,)), more)
            for name, (mask, (place,)) in masks_of(policy, kind).items()
        }
        return loss_at(policy.ask(policy.batch | (given or {first: input_ids}) | masks, part_of=everything))

    return model, {"input_ids": ids, "attention_mask": kind.real.long()}


# --------------------------------------------------------------------------------------------------------- pangolinn


def pangolinn() -> dict[str, Check] | None:
    """Its test of padding as a check of ours; None = it is not installed."""
    if find_spec("pangolinn") is None:
        return None
    seq2seq = import_module("pangolinn.seq2seq")

    def alarm(make: Make) -> bool | None:
        policy = runner(without_loss(make()))
        for label, kind in policy.padding.items():
            model = chunk_model(policy, label) if kind.can_be_cut and policy.place_of(label) == (1,) else None
            if model is not None:
                wrapper = wrapper_of(seq2seq.PangolinnSeq2SeqModuleWrapper, model)
                tester = type("Padded", (seq2seq.EncoderPaddingTestCase,), {"module_wrapper_class": wrapper})
                result = unittest.TestResult()
                with torch.no_grad(), torch.random.fork_rng():
                    torch.manual_seed(0)
                    tester("test_batch_size_does_not_matter").run(result)
                return not result.wasSuccessful()
        return None

    return {"pangolinn": alarm}


def without_loss(described: Mapping[str, Any]) -> dict[str, Any]:
    """The policy without its loss, which need not fit a batch of another size."""

    def run(b: Given) -> Any:
        said = described["run"](b)
        return Answer(said.prediction) if isinstance(said, Answer) else said

    return {**described, "run": run}


class ChunkModel:
    """A policy as a model from chunks (`batch, place, channel`) and their lengths to predictions.

    All that is no chunk is that of the batch's first sample. What belongs to the places of a chunk beside it, such as
    noise, is repeated from that sample's places.
    """

    def __init__(self, policy: Policy, kind: Padding, chunk: str):
        self.policy, self.kind, self.chunk = policy, kind, chunk
        value = policy.batch[chunk]
        self.dtype, self.channels = value.dtype, value.shape[2] if value.ndim == 3 else 1

    def __call__(self, chunks: Tensor, lengths: Tensor) -> Tensor:
        kind, count, size = self.kind, *chunks.shape[:2]
        real = torch.arange(size) < lengths[:, None]
        given = {
            name: value[:1].repeat_interleave(count, dim=0)
            if isinstance(value, Tensor) and value.ndim and len(value) == self.policy.batch_size
            else value
            for name, value in self.policy.batch.items()
        }
        for name, place in kind.values.items():
            place = axes_of(kind, place)[0]
            given[name] = given[name].index_select(place, torch.arange(size) % kind.real.shape[1])
        for name, (mask, (place,)) in masks_of(self.policy, kind).items():
            of_real = mask.movedim(place, 1)[kind.real][0]
            here = along(real, mask.ndim, place)
            given[name] = torch.where(here, of_real, in_padding(mask, kind, (place,)))
        given[self.chunk] = chunks.reshape(count, size, *self.policy.batch[self.chunk].shape[2:])
        return self.policy.ask(given, part_of=everything).whole


def chunk_model(policy: Policy, label: str) -> ChunkModel | None:
    """The model of a policy's chunks; None if it takes no chunks of any length."""
    kind = policy.padding[label]
    for name, place in kind.values.items():
        value = policy.batch[name]
        if place == 1 and ((value.ndim == 3 and value.is_floating_point()) or value.ndim == 2):
            model = ChunkModel(policy, kind, name)
            try:
                for size in (27, 1):
                    model(torch.zeros(1, size, model.channels, dtype=model.dtype), torch.tensor([size]))
            except Exception:
                return None
            return model
    return None


def wrapper_of(base: type, model: ChunkModel) -> type:
    """The class that pangolinn wants: how to build the model, and what it takes and gives."""
    shown = model(torch.zeros(1, 2, model.channels, dtype=model.dtype), torch.tensor([2]))
    fewer, outputs = 2 - shown.shape[1], shown.shape[2]
    parts = {
        "build_module": lambda self: nn.Identity(),
        "forward": lambda self, chunks, lengths: model(chunks, lengths),
        "num_input_channels": model.channels,
        "num_output_channels": outputs,
        "input_dtype": model.dtype,
        "output_sequence_length": lambda self, size: size - fewer,
    }
    return type("Chunks", (base,), parts)


def foreign(pytest_torch_folder: Path | None = None) -> dict[str, Check]:
    """The checks of other people's packages, as far as these are installed."""
    return (pytest_torch(pytest_torch_folder) or {}) | (pangolinn() or {})
