"""How the auditor runs a policy: what is padded in its batch, how it is called, and what it returns.

    padding   which entries of the batch are real: declared by you, apart from the masks that the policy is given
    run       the policy: a function that takes the batch and returns a prediction and a loss
    taps      places inside a module, where padding can be followed from stage to stage

This module only runs the policy. `probes` compares runs, and `report` says what was found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from groot_teach.audit.draws import Recorder, Replayer
from groot_teach.shapes import checked

Axis = Literal["dims", "steps", "tokens"]
AXES: tuple[Axis, ...] = ("dims", "steps", "tokens")


@checked
@dataclass(frozen=True, eq=False)
class Padding:
    """One kind of padding in a batch, and where it lies.

    Attributes:
        axis: `dims`, `steps` or `tokens`.
        real: `batch, size`, bool, **True = real**. The audit takes this for the truth, and looks at what the policy
            makes of its own masks.
        values: entries of the batch that hold meaningless numbers where `real` is False -> the axis of the entry along
            which `real` runs. The auditor writes other numbers there. Random numbers that the policy draws itself are
            named `"drawn 0"`, `"drawn 1"`; a draw with the shape of another entry, such as noise, need not be named.
        masks: entries that are as long as `real` and describe it, such as the policy's own mask -> the axis along which
            `real` runs. They are never changed; where padding is cut off, they are cut too.
    """

    axis: Axis
    real: Bool[Tensor, "batch size"]
    values: Mapping[str, int]
    masks: Mapping[str, int] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, int]:
        return {**self.values, **self.masks}


@dataclass(frozen=True)
class Tap:
    """A place inside the policy between two stages: the output of a module.

    Attributes:
        module: the module's path, such as `action_head.action_encoder`. Its output is a tensor, `batch` first.
        axis: the kind of padding that the output has. If the output is longer than `Padding.real`, its last entries
            are those of `real`.
        before: the stage in front of this place. If padding moves real entries of the output, it leaked there.
        behind: the stage after this place. If padded entries of the output move the prediction, they leaked there.
        place: the axis of the output along which the padding lies.
    """

    module: str
    axis: Axis
    before: str
    behind: str
    place: int = 1


@dataclass(frozen=True, eq=False)
class Answer:
    """What a policy returns for one batch.

    Attributes:
        prediction: what the loss compares with its target; the first axis is the sample.
        loss: a function that takes *any* prediction of this shape and returns its loss on this batch; or the loss
            itself, as a tensor with one number, and then two of the four probes cannot look; None = there is no loss.
    """

    prediction: Tensor
    loss: Callable[[Tensor], Tensor] | Tensor | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """What one run of the policy gave.

    Attributes:
        prediction: the part of the prediction that belongs to the steps and dims of the batch.
        whole: the prediction as the policy gives it.
        part: where `prediction` lies in `whole`.
        loss: the loss, or None.
        loss_of: a function that takes another prediction and returns its loss, or None.
        tapped: for each tap the outputs of its module, one for each call.
        drawn: the random draws, in order.
    """

    prediction: Tensor
    whole: Tensor
    part: tuple[slice, ...]
    loss: Tensor | None
    loss_of: Callable[[Tensor], Tensor] | None
    tapped: dict[str, list[Tensor]]
    drawn: tuple[Tensor, ...]

    def loss_or_raise(self) -> Tensor:
        """The loss, where the first run has shown that this policy has one.

        Raises:
            ValueError: this run gave none.
        """
        if self.loss is None:
            raise ValueError("run: got an answer without a loss, expected one, since the first run gave one")
        return self.loss


Given = dict[str, Any]
DRAWN = "drawn {}"
"""The name under which a random draw of the policy is kept beside the batch, to be changed and cut like its entries."""
NOT_REPEATABLE = (
    "got two answers to the same batch and the same draws, expected one. Does it draw outside of PyTorch, or keep a "
    "state from call to call? Hand noise and time over in the batch"
)


NO_DRAWS = "drawn nothing"
"""The name kept beside a batch whose first run drew nothing; it says that no later run may draw either."""


class Policy:
    """A policy that can be run repeatedly with the same random draws, and with other numbers at chosen places.

    The arguments of the constructor are those of `audit_masks`, which explains them.
    """

    def __init__(
        self,
        run: Callable[[Given], Any],
        batch: Mapping[str, Any],
        padding: Sequence[Padding],
        *,
        module: nn.Module | None = None,
        prediction: str | None = None,
        arrange: tuple[Callable[[Any], Tensor], Callable[[Tensor, Any], Any]] | None = None,
        taps: Sequence[Tap] = (),
        sample: Callable[[Given], Tensor] | None = None,
        axes: Mapping[str, int] | None = None,
        sample_along: Sequence[Axis] = AXES,
    ):
        self.run, self.sample, self.module = run, sample, module
        self.sample_along = tuple(sample_along)
        self.padding: dict[Axis, Padding] = {kind.axis: replace(kind, real=kind.real.cpu()) for kind in padding}
        self.taps = tuple(taps)
        self.axes: dict[str, int] = {"steps": 1, "dims": 2} if axes is None else dict(axes)
        self._prediction_path = prediction
        self.arrange = arrange or (lambda output: output, lambda said, output: said)
        self._check(batch, padding, prediction)
        self.batch_size = len(next(iter(self.padding.values())).real)

    # asking

    def ask(
        self,
        given: Given,
        *,
        say: Tensor | None = None,
        write: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        part_of: "Callable[[Tensor], tuple[slice, ...]] | None" = None,
    ) -> Heard:
        """Runs the policy.

        Args:
            given: the batch, and the draws to repeat; without any, the run draws freely and its draws are recorded.
            say: a prediction that replaces the policy's own.
            write: for a tap, a function that replaces its module's output.
            part_of: which part of the prediction is wanted; None = the part of the whole batch's steps and dims.

        Raises:
            OtherDraws: the run does not draw as often, or in the same shapes, as the draws in `given`.
            ValueError: the policy returns something else than `audit_masks` asks for.
        """
        part_of = part_of or self.wanted
        batch, drawn = _without_draws(given)
        hooks = _Hooks(self, write or {}, say, part_of)
        with hooks.open(), _drawing(drawn) as draws:
            answer = self.run(batch)
        if self._prediction_path is not None:
            return self._heard_by_hook(answer, hooks, draws, given, part_of)
        if not isinstance(answer, Answer):
            raise ValueError(f"run: got {_kind(answer)}, expected an Answer, unless `prediction` names a module")
        prediction = answer.prediction
        part = part_of(prediction)

        def loss_of(said: Tensor) -> Tensor:
            assert callable(answer.loss)
            with _drawing(None):
                return _scalar(answer.loss(_put(prediction, part, said)))

        heard = partial(Heard, prediction[part], prediction, part, tapped=hooks.tapped, drawn=tuple(draws))
        if callable(answer.loss):
            return heard(loss_of(prediction[part]), loss_of)
        return heard(None if answer.loss is None else _scalar(answer.loss), None)

    def _heard_by_hook(
        self, loss: Any, hooks: "_Hooks", draws: Sequence[Tensor], given: Given, part_of: Callable
    ) -> Heard:
        if len(hooks.predictions) != 1:
            raise ValueError(
                f"prediction: {self._prediction_path!r} was called {len(hooks.predictions)} times, expected once a run"
            )
        prediction = hooks.predictions[0]
        again = with_draws(given, draws)

        def loss_of(said: Tensor) -> Tensor:
            return self.ask(again, say=said, part_of=part_of).loss_or_raise()

        part = part_of(prediction)
        return Heard(prediction[part], prediction, part, _scalar(loss), loss_of, hooks.tapped, tuple(draws))

    def ask_sample(self, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sampled actions, and what was drawn for them."""
        assert self.sample is not None
        batch, drawn = _without_draws(given)
        with _drawing(drawn) as draws:
            actions = self.sample(batch)
        if not isinstance(actions, Tensor) or not actions.is_floating_point():
            raise ValueError(f"sample: got {_kind(actions)}, expected a float tensor of actions")
        return actions, tuple(draws)

    # what is real

    def wanted(self, prediction: Tensor) -> tuple[slice, ...]:
        """The part of a prediction that belongs to the batch: the last steps and the first dims, if there are more."""
        return self.wanted_for({axis: kind.real for axis, kind in self.padding.items()})(prediction)

    def wanted_for(self, real: Mapping[str, Tensor]) -> Callable[[Tensor], tuple[slice, ...]]:
        """The same for other lengths, such as those of one sample without its padding."""

        def part(prediction: Tensor) -> tuple[slice, ...]:
            slices = [slice(None)] * prediction.ndim
            for axis, place in self.axes.items():
                if axis not in real:
                    continue
                if place >= prediction.ndim:
                    raise ValueError(f"axes: got {axis!r} at {place}, but a prediction has {prediction.ndim} axes")
                length, size = real[axis].shape[1], prediction.shape[place]
                if size > length:
                    slices[place] = slice(size - length, None) if axis == "steps" else slice(length)
                elif size < length and (axis != "dims" or real[axis][:, size:].any()):
                    raise ValueError(
                        f"prediction: got {size} {axis}, expected {length}; real ones would have no prediction. "
                        "If it is laid out otherwise, say so by `axes` or `arrange`"
                    )
            return tuple(slices)

        return part

    def real_in(self, prediction: Tensor, real: Mapping[str, Tensor] | None = None) -> Tensor:
        """Which entries of a prediction (or of actions) are real: bool, of its shape."""
        real = {axis: kind.real for axis, kind in self.padding.items()} if real is None else real
        entries = torch.ones(prediction.shape, dtype=torch.bool)
        for axis, place in self.axes.items():
            if axis in real:
                entries = entries & along(real[axis][:, : prediction.shape[place]], prediction.ndim, place)
        return entries

    def sampled_real(self) -> dict[str, Tensor]:
        """What is real along each axis along which sampled actions are padded."""
        return {axis: kind.real for axis, kind in self.padding.items() if axis in self.sample_along}

    # parts of a batch

    @property
    def every_axis(self) -> str:
        """The axes of a prediction along which something is padded, in a word: `dims and steps`."""
        return " and ".join(axis for axis in self.padding if axis in self.axes) or "tokens"

    def leaves(self, given: Given) -> dict[str, Tensor]:
        """Copies of the float entries of the batch that hold padding; the copies require a gradient."""
        names = dict.fromkeys(name for kind in self.padding.values() for name in kind.values if name in given)
        values = {name: given[name] for name in names if not _is_draw_name(name)}
        return {name: one.detach().clone().requires_grad_() for name, one in values.items() if one.is_floating_point()}

    def with_something_left(self, cut: Axis | None) -> list[int]:
        """The samples that have anything real along `cut`: an empty prompt cannot be cut down to its tokens."""
        if cut is None:
            return [*range(self.batch_size)]
        return self.padding[cut].real.any(dim=1).nonzero().flatten().tolist()

    def places(self, axis: Axis, given: Given) -> dict[str, int]:
        """The entries of the batch, and the draws, that are padded along `axis` -> their axis along which it runs.

        A draw with the shape of a padded entry (axes of length 1 do not count) is taken to be padded like it, as noise
        is padded like the actions. Other draws have to be declared by name, `"drawn 0"`.
        """
        places = {name: place for name, place in self.padding[axis].values.items() if name in given}
        like = {}
        for name, place in places.items():
            kept = _axes_with_extent(given[name])
            like[tuple(given[name].shape[at] for at in kept)] = kept.index(place)
        for name, value in given.items():
            if _is_draw_name(name) and isinstance(value, Tensor) and value.ndim and name not in places:
                kept = _axes_with_extent(value)
                shape = tuple(value.shape[at] for at in kept)
                if shape in like:
                    places[name] = kept[like[shape]]
        return places

    def alone(self, given: Given, sample: int, cut: Axis | None) -> tuple[Given, dict[str, Tensor]]:
        """One sample as a batch of its own, its padding along `cut` cut off; and what is real in that batch."""
        chosen = {
            name: value[sample : sample + 1] if self._is_by_sample(value) else value for name, value in given.items()
        }
        real = {axis: kind.real[sample : sample + 1] for axis, kind in self.padding.items()}
        if cut is not None:
            kept = real[cut][0].nonzero().flatten()
            places = {**self.places(cut, given), **self.padding[cut].masks}
            for name, place in places.items():
                chosen[name] = chosen[name].index_select(place, kept.to(chosen[name].device))
            real[cut] = torch.ones(1, len(kept), dtype=torch.bool)
        return chosen, real

    def _is_by_sample(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            return value.ndim > 0 and value.shape[0] == self.batch_size
        return isinstance(value, list | tuple) and len(value) == self.batch_size

    # what is checked

    def _check(self, batch: Mapping[str, Any], padding: Sequence[Padding], prediction: str | None) -> None:
        if not padding:
            raise ValueError("padding: got none, expected at least one; without it there is nothing to look for")
        if len(self.padding) < len(padding):
            raise ValueError(f"padding: got the axes {[kind.axis for kind in padding]}, expected each of them once")
        for axis in self.axes:
            if axis not in AXES:
                raise ValueError(f"axes: got {axis!r}, expected some of {', '.join(map(repr, AXES))}")
        sizes = {len(kind.real) for kind in padding}
        if len(sizes) > 1:
            raise ValueError(f"padding: got batches of {sorted(sizes)} samples, expected the same number")
        for name in batch:
            if _is_draw_name(name):
                raise ValueError(f"batch: got an entry named {name!r}, a name that is kept for what the policy draws")
        for kind in padding:
            self._check_kind(kind, batch)
        for path in (*(tap.module for tap in self.taps), *([] if prediction is None else [prediction])):
            if self.module is None:
                raise ValueError(f"module: got None, expected the module that has a {path!r}")
            if path not in dict(self.module.named_modules()):
                raise ValueError(f"module: got no {path!r} in {type(self.module).__name__}; see named_modules()")
        for tap in self.taps:
            if tap.axis not in self.padding:
                raise ValueError(f"taps: got {tap.module!r} along {tap.axis}, expected an axis that `padding` declares")

    def _check_kind(self, kind: Padding, batch: Mapping[str, Any]) -> None:
        name = f"padding of {kind.axis}"
        if kind.real.all():
            raise ValueError(f"{name}: got no padding, expected some; without it no probe can see a leak")
        if kind.axis != "tokens" and not kind.real.any(dim=1).all():
            sample = int((~kind.real.any(dim=1)).nonzero()[0])
            raise ValueError(f"{name}: got nothing real in sample {sample}, expected something in every sample")
        if not kind.real.any():
            raise ValueError(f"{name}: got nothing real, expected something in at least one sample")
        if not kind.values:
            raise ValueError(f"{name}: got no values, expected at least one entry of the batch that holds padding")
        for entry, place in kind.places.items():
            if _is_draw_name(entry):  # it is drawn in the first run
                continue
            if not isinstance(batch.get(entry), Tensor):
                raise ValueError(f"{name}: got no tensor {entry!r} in the batch, expected one of {sorted(batch)}")
            shape, expected = tuple(batch[entry].shape), tuple(kind.real.shape)
            if not 0 < place < len(shape) or (shape[0], shape[place]) != expected:
                raise ValueError(
                    f"{name}: {entry!r} has the shape {shape}, expected {expected[0]} at axis 0 and {expected[1]} at "
                    f"axis {place}"
                )
        for entry in set(kind.values) & set(batch):
            if batch[entry].dtype == torch.bool or batch[entry].is_complex():
                raise ValueError(f"{name}: {entry!r} is {batch[entry].dtype}, expected numbers; masks go into `masks`")


# --------------------------------------------------------------------------------------------------- inside a module


class _Hooks:
    """Forward hooks that record the prediction and the outputs at the taps, and replace them where asked to."""

    def __init__(self, policy: Policy, write: Mapping[str, Callable], say: Tensor | None, part_of: Callable):
        self.policy, self.write, self.say, self.part_of = policy, write, say, part_of
        self.tapped: dict[str, list[Tensor]] = {tap.module: [] for tap in policy.taps}
        self.predictions: list[Tensor] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        module, prediction_path = self.policy.module, self.policy._prediction_path
        listeners = [(tap.module, self._at_tap(tap.module)) for tap in self.policy.taps]
        if prediction_path is not None:
            listeners.append((prediction_path, self._at_prediction))
        with ExitStack() as stack:
            for path, listener in listeners:
                assert module is not None  # the constructor has checked it
                stack.callback(module.get_submodule(path).register_forward_hook(listener).remove)
            yield

    def _at_tap(self, path: str) -> Callable:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor:
            if not isinstance(output, Tensor):
                raise ValueError(f"taps: {path!r} gives {_kind(output)}, expected a tensor")
            output = self.write.get(path, lambda same: same)(output)
            self.tapped[path].append(output)
            return output

        return hook

    def _at_prediction(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        there, back = self.policy.arrange
        said = there(output)
        if not isinstance(said, Tensor):
            raise ValueError(f"prediction: got {_kind(said)}, expected a module that gives a tensor, or `arrange`")
        if self.say is not None:
            said = _put(said, self.part_of(said), self.say)
        self.predictions.append(said)
        return back(said, output)


# ------------------------------------------------------------------------------------------------------------ parts


def with_draws(given: Given, drawn: Sequence[Tensor]) -> Given:
    """The batch with these draws beside it, instead of those that it has."""
    beside = {DRAWN.format(place): values for place, values in enumerate(drawn)}
    return _without_draws(given)[0] | (beside or {NO_DRAWS: None})


def along(real: Tensor, ndim: int, place: int) -> Tensor:
    """`real` (batch, size) as a mask for a tensor of `ndim` axes, along its axis `place`."""
    shape = [1] * ndim
    shape[0], shape[place] = real.shape
    return real.reshape(shape)


@contextmanager
def _drawing(drawn: Sequence[Tensor] | None) -> Iterator[list[Tensor]]:
    """Records free draws, always from the same seed, or replays `drawn`. The caller's random state is restored."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if drawn is None:
            with Recorder() as recorder:
                yield recorder.drawn
        else:
            with Replayer(drawn) as replayer:
                yield [*drawn]
            replayer.finish()


def _without_draws(given: Given) -> tuple[Given, list[Tensor] | None]:
    batch = {name: value for name, value in given.items() if not _is_draw_name(name)}
    if len(batch) == len(given):
        return batch, None
    return batch, [given[name] for name in given if _is_draw_name(name) and name != NO_DRAWS]


def _axes_with_extent(value: Tensor) -> list[int]:
    """The axes that are longer than 1, and always the first one, the samples."""
    return [axis for axis, size in enumerate(value.shape) if size > 1 or axis == 0]


def _is_draw_name(name: str) -> bool:
    return name.startswith("drawn ")


def _put(prediction: Tensor, part: tuple[slice, ...], said: Tensor) -> Tensor:
    full = prediction.detach().clone()
    full[part] = said
    return full


def _scalar(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        raise ValueError(f"loss: got {_kind(loss)}, expected a float tensor with one number")
    return loss.reshape(())


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}, {tuple(value.shape)}"
    return f"a {type(value).__name__}"
