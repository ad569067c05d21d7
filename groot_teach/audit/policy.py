"""How the auditor runs a policy: what is padded in its batch, how it is called, and what it returns.

    padding   which entries of the batch are real: declared by you, apart from the masks that the policy is given
    run       the policy: a function that takes the batch and returns a prediction and a loss
    taps      places inside a module, where padding can be followed from stage to stage

This module only runs the policy. `probes` compares runs, and `report` says what was found.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import inf, prod
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from groot_teach.audit.batch import Nesting, copy_of
from groot_teach.audit.draws import OtherDraws, Recorder, Replayer, Sparingly, Unheard, decided, keep_everything
from groot_teach.audit.state import State
from groot_teach.shapes import checked

AXES = ("dims", "steps", "tokens")
"""The usual names of the axes along which something is padded. You may use others."""

Said = TypeVar("Said")

Places = int | tuple[int, ...]
"""Along which axis of a tensor something runs, or along which axes."""


@checked
@dataclass(frozen=True, eq=False)
class Padding:
    """One kind of padding in a batch, and where it lies.

    Attributes:
        axis: what is padded: `dims`, `steps`, `tokens`, or a name of your own such as `views`. Several kinds of padding
            may have the same name. If `real` is no product of two axes, name both: `steps and dims`.
        real: `batch, size`, or `batch, size, size` if two axes are named; bool, **True = real**. The audit takes this
            for the truth, and looks at what the policy makes of its own masks.
        values: entries of the batch that hold meaningless numbers where `real` is False -> the axis of the entry along
            which `real` runs (for several axes a tuple, or the first of them if they follow each other). The auditor
            writes other numbers there. Random numbers that the policy draws itself are named `"drawn 0"`, `"drawn 1"`;
            a draw with the shape of another entry, such as noise, need not be named. An entry of a nested batch is
            named by its path: `"observation.image"`.
        masks: entries that are as long as `real` and describe it, such as the policy's own mask -> the axis along which
            `real` runs. They are never changed; where padding is cut off, they are cut too.
        targets: like `real`, True = what is predicted at this place is fitted by the loss. A real place that is no
            target is given to the policy to be read, such as a prompt whose labels are -100, or the steps that a
            real-time policy has already sent to the robot. None = everything that is real is a target.
        predicted: how the places of the prediction belong to those of the batch, if the prediction has another number
            of them: `"first"` or `"last"` = the first or the last of its places are those of the batch; a function
            takes `real & targets` (`batch, size`) and returns which places of the prediction are fitted
            (`batch, places`), for example `lambda real: real[:, 1:]` for a policy that predicts the next token; a
            mask says the same for the whole batch alone.
        documents: for a row that packs several documents: `batch, size`, int, the number of the document to which a
            place belongs. Places of one document must not move what is predicted in another one.
    """

    axis: str
    real: Bool[Tensor, "batch *size"]
    values: Mapping[str, Places]
    masks: Mapping[str, Places] = field(default_factory=dict)
    targets: Bool[Tensor, "batch *size"] | None = None
    predicted: Literal["first", "last"] | Bool[Tensor, "batch places"] | Callable[[Tensor], Tensor] | None = None
    documents: Int[Tensor, "batch size"] | None = None

    @property
    def places(self) -> dict[str, Places]:
        return {**self.values, **self.masks}

    @property
    def fitted(self) -> Tensor:
        """`real & targets`: the places whose prediction the loss fits."""
        return self.real if self.targets is None else self.real & self.targets

    @property
    def can_be_cut(self) -> bool:
        """Whether padding can be cut off. Dims cannot, because a network has a fixed number of them."""
        return self.axis != "dims" and self.real.ndim == 2

    @property
    def has_a_usual_axis(self) -> bool:
        """Whether it is one of `AXES` that is padded, or several of which one is."""
        return not {*AXES}.isdisjoint(self.axis.split(" and "))

    def of_sample(self, sample: int) -> "Padding":
        """The same for one sample alone."""
        return self._each(lambda rows: rows[sample : sample + 1])

    def cut_to(self, kept: Sequence[Tensor]) -> "Padding":
        """The same for the places `kept` along each axis of `real`, if everything else is cut off."""
        if isinstance(self.predicted, Tensor):
            raise ValueError(
                f"padding of {self.axis}: `predicted` is a mask for the whole batch, and says nothing of a sample "
                "without its padding; a function of `real` does"
            )
        return self._each(lambda rows: rows[:, *torch.meshgrid(*kept, indexing="ij")])

    def copied(self) -> "Padding":
        """The same with copies of all masks, so that no policy can write into them."""
        return self._each(lambda rows: rows.detach().cpu().clone())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Padding":
        names = ("real", "targets", "predicted", "documents")
        masks = {name: getattr(self, name) for name in names if isinstance(getattr(self, name), Tensor)}
        return replace(self, **{name: change(mask) for name, mask in masks.items()})


@checked
@dataclass(frozen=True)
class Tap:
    """A place inside the policy between two stages: the output of a module.

    Attributes:
        module: the module's path, such as `action_head.action_encoder`. Its output is a tensor, `batch` first, or a
            tuple or a dict, of which the first tensor is meant.
        axis: the kind of padding that the output has. If the output is longer than `Padding.real`, its last entries
            are those of `real`.
        before: the stage in front of this place. If padding moves real entries of the output, it leaked there.
        behind: the stage after this place. If padded entries of the output move the prediction, they leaked there.
        place: the axis of the output along which the padding lies; of several, as in an image, the first.
        arrange: needed if another part of the output is meant: two functions, as in `audit_masks`. The first takes the
            output and returns a tensor; the second takes another tensor and the old output, and returns an output of
            the old kind.
    """

    module: str
    axis: str
    before: str
    behind: str
    place: int = 1
    arrange: tuple[Callable[[Any], Tensor], Callable[[Tensor, Any], Any]] | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a policy returns for one batch.

    Attributes:
        prediction: what the loss compares with its target; the first axis is the sample. A policy with several heads is
            audited once for each of them: of the others only what padding does is seen, and not what is lost.
        loss: a function that takes *any* prediction of this shape and returns its loss on this batch; or the loss
            itself, as a tensor with one number, and then two of the four probes cannot look; None = there is no loss.
    """

    prediction: Tensor
    loss: Callable[[Tensor], Tensor] | Tensor | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """What one run of the policy gave.

    Attributes:
        prediction: the part of the prediction that belongs to the places of the batch.
        whole: the prediction as the policy gives it.
        part: where `prediction` lies in `whole`.
        loss: the loss, or None.
        loss_of: a function that takes another prediction and returns its loss, or None.
        kept_loss_of: the same with dropout that keeps everything; None = nothing was dropped.
        tapped: for each tap the outputs of its module, one for each call.
        drawn: the random draws, in order.
    """

    prediction: Tensor
    whole: Tensor
    part: tuple[slice, ...]
    loss: Tensor | None
    loss_of: Callable[[Tensor], Tensor] | None
    kept_loss_of: Callable[[Tensor], Tensor] | None
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
Kinds = Mapping[str, Padding]
"""Kinds of padding by a label: the name of their axis, with a number behind it if an axis has several."""

DRAWN = "drawn {}"
"""The name under which a random draw of the policy is kept beside the batch, to be changed and cut like its entries."""
NOT_REPEATABLE = (
    "got two answers to the same batch and the same draws, expected one. Does it draw outside of PyTorch, or keep a "
    "state from call to call? Hand noise and time over in the batch"
)
NO_DRAWS = "drawn nothing"
"""The name kept beside a batch whose first run drew nothing; it says that no later run may draw either."""


class OutOfRuns(BaseException):
    """A policy has been run as often as it may be. It is no `Exception`, since probes take those for answers."""


class Policy:
    """A policy that can be run repeatedly with the same random draws, and with other numbers at chosen places.

    The arguments of the constructor are those of `audit_masks`, which explains them. Every run is given copies of the
    batch's tensors and starts from the same buffers, modes and generators.

    Attributes:
        batch: the entries of the batch, those of a nested one by their path.
        padding: the kinds of padding, by label, with copies of their masks.
        edited: the entries of the batch that a run has written into.
        not_along: draws that are declared along an axis, and that some run draws without this axis.
        precision: the coarsest rounding among the predictions and the matrix products of all runs so far, as the
            distance from 1 to the next number.
        chooses: whether runs choose something, such as a token, with probabilities that move with the batch.
        redrawn: whether the last run that drew freely gave back other draws than its own: those that drop nothing.
        dear: whether each question about the loss is a whole run of the policy.
        has_other_losses: whether the loss has a part that does not come from the prediction.
        statistics: entries that are as long as the batch, and are taken to hold nothing of its samples.
        unclear: those of them that may be of its samples all the same.
        runs: how many times the policy and its sampler have been run.
        left_unmoved: where not all places of a kind were moved one by one: the axis and how many of a sample were -> of
            how many.
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
        axes: Mapping[str, Places] | None = None,
        sample_along: Sequence[str] | None = None,
        most_runs: int | None = None,
    ):
        for place, kind in enumerate(padding):
            if not isinstance(kind, Padding):
                got = f"the class {kind.__name__}" if isinstance(kind, type) else _kind(kind)
                raise TypeError(f"padding: got {got} at place {place}, expected a sequence of Padding records")
        self.run, self.sample, self.module = run, sample, getattr(module, "_orig_mod", module)
        self.padding: dict[str, Padding] = _labelled([kind.copied() for kind in padding])
        self.taps = tuple(taps)
        self.axes: dict[str, Places] = {"steps": 1, "dims": 2} if axes is None else dict(axes)
        self._has_usual_axes = axes is None
        self.arrange = arrange or (lambda output: output, lambda said, output: said)
        self.dear = prediction is not None
        self.edited: set[str] = set()
        self.not_along: set[tuple[str, str]] = set()
        self.precision = 0.0
        self.chooses = False
        self.statistics: set[str] = set()
        self.unclear: set[str] = set()
        self.has_other_losses = self.redrawn = False
        self._chances: Sequence[Tensor] | None = None  # with which the first run chose
        self.runs, self.most_runs = 0, most_runs
        self.left_unmoved: dict[tuple[str, int], int] = {}
        self._prediction_path = prediction
        self._predicted_ndim: int | None = None
        self._called_by_steps = False  # a chunk of one step has one call as well: a longer one tells
        self._own_calls: list[bool] | None = None  # of each call of the module in a run, whether it is the prediction
        self._nesting = Nesting(batch, {name for kind in padding for name in kind.places})
        self.batch: Given = {name: copy_of(value) for name, value in self._nesting.flat.items()}
        self._check(self.batch, prediction)
        named = {kind.axis for kind in self.padding.values()}
        self.sample_along = named if sample_along is None else set(sample_along)
        self._check_names(named)
        self.batch_size = len(next(iter(self.padding.values())).real)
        self._state = State(run, sample, self.module)
        self._sparing = not torch.accelerator.is_available()
        self._takes_gradients = False

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
            say: a whole prediction that replaces the policy's own.
            write: for a tap, a function that replaces its module's output.
            part_of: which part of the prediction is wanted; None = the part of the whole batch's places.

        Raises:
            OtherDraws: the run does not draw as often, or in the same shapes, as the draws in `given`.
            OutOfRuns: the policy has been run as often as it may be.
            ValueError: the policy returns something else than `audit_masks` asks for.
        """
        part_of = part_of or self.wanted
        hooks = _Hooks(self, write or {}, say)
        answer, draws = self._run(self.run, given, hooks)
        if self._prediction_path is not None:
            return self._heard_by_hook(answer, hooks, draws, given, part_of)
        if not isinstance(answer, Answer):
            raise ValueError(f"run: got {_kind(answer)}, expected an Answer, unless `prediction` names a module")
        prediction = answer.prediction
        self._round_off(prediction)
        part, loss = part_of(prediction), answer.loss

        def loss_of(said: Tensor, drawn: Sequence[Tensor] | None = None) -> tuple[Tensor, Sequence[Tensor]]:
            def once() -> Tensor:
                assert callable(loss)
                return _scalar(loss(_put(prediction, part, said)))

            value, listener = self._with_gradients(lambda: self._heard(once, drawn))
            return value if torch.is_grad_enabled() else value.detach(), listener.drawn

        own, free, kept = None if loss is None or callable(loss) else _scalar(loss), None, None
        if callable(loss):
            own, drawn_by_loss = loss_of(prediction[part])
            free, kept = (lambda said: loss_of(said)[0]), keep_everything(drawn_by_loss)
        kept_loss_of = None if kept is None else lambda said: loss_of(said, kept)[0]
        return Heard(prediction[part], prediction, part, own, free, kept_loss_of, hooks.tapped, tuple(draws))

    def _heard_by_hook(
        self, loss: Any, hooks: "_Hooks", draws: Sequence[Tensor], given: Given, part_of: Callable
    ) -> Heard:
        if self._own_calls is None and len(hooks.predictions) > 1:
            self._own_calls = self._calls_with_gradient(with_draws(given, draws))
            hooks.predictions = [said for number, said in enumerate(hooks.predictions) if self._is_own(number)]
        prediction = self._stacked(hooks.predictions)
        self._round_off(prediction)
        again, kept = with_draws(given, draws), keep_everything(draws)
        part = part_of(prediction)

        def loss_of(said: Tensor, repeated: Given = again) -> Tensor:
            return self.ask(repeated, say=_put(prediction, part, said), part_of=part_of).loss_or_raise()

        kept_loss_of = None if kept is None else lambda said: loss_of(said, with_draws(given, kept))
        return Heard(
            prediction[part], prediction, part, _scalar(loss), loss_of, kept_loss_of, hooks.tapped, tuple(draws)
        )

    def ask_sample(self, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sampled actions, and what was drawn for them."""
        assert self.sample is not None
        actions, drawn = self._run(self.sample, given)
        if not isinstance(actions, Tensor) or not actions.is_floating_point():
            raise ValueError(f"sample: got {_kind(actions)}, expected a float tensor of actions")
        return actions, tuple(drawn)

    @property
    def keeps_something(self) -> bool:
        """Whether a run has left something in an attribute of a module, or in a container there."""
        return self._state.keeps

    def after(self, before: Given, then: Callable[[], Said], ask: Callable[[Given], Any]) -> Said:
        """What `then` returns if the batch `before` was asked in front of it, and nothing was put back between them."""
        with self._state.carried_on():
            ask(before)
            return then()

    def in_another_order(self, given: Given) -> Given:
        """The batch with each sample at the place of the next one."""
        return {name: _rolled(one) if self._is_by_sample(name, one) else one for name, one in given.items()}

    def _count_a_run(self) -> None:
        if self.runs == self.most_runs:
            raise OutOfRuns(f"the policy was run {self.runs} times, which `most_runs` allows and no more")
        self.runs += 1

    def _run(
        self, code: Callable[[Any], Said], given: Given, hooks: "_Hooks | None" = None
    ) -> tuple[Said, Sequence[Tensor]]:
        """What the function returns for the batch, and what it drew."""
        flat, drawn = _without_draws(given)

        def once() -> Said:
            self._count_a_run()
            batch, handed = self._nesting.nested(flat)
            with hooks.open() if hooks else nullcontext():
                said = code(batch)
            self.edited |= {name for name, tensor in handed.items() if not tensor.is_inference() and tensor._version}
            return said

        # A first run is heard in full, which also tells how precise its products are.
        said, listener = self._with_gradients(lambda: self._heard(once, drawn, in_full=drawn is None))
        self.precision = max(self.precision, listener.precision)
        if code is self.run:
            self._note_choices(listener.chances)
        if not torch.is_grad_enabled():
            said = _without_graph(said)
            if hooks:
                hooks.without_graph()
        usual = decided(listener.drawn, usual=True) if drawn is None else None
        self.redrawn = usual is not None
        return said, usual or listener.drawn

    def _note_choices(self, chances: Sequence[Tensor]) -> None:
        """Probabilities that move with the batch are predicted; a rate of dropout, or a drawn one, stays."""
        if self._chances is None:
            self._chances = chances
        pairs = zip(self._chances, chances, strict=False)
        self.chooses |= any(one.shape == other.shape and not torch.allclose(one, other) for one, other in pairs)

    def _with_gradients(self, heard: Callable[[], Said]) -> Said:
        """What it returns. Most runs need no gradients; a policy that takes some itself is allowed to.

        The first run that fails for want of them tells. Guidance takes such gradients, and so does a gradient penalty.
        """
        if self._takes_gradients or torch.is_grad_enabled():
            with torch.enable_grad():
                return heard()
        try:
            return heard()
        except RuntimeError as error:
            if "require grad" not in str(error):
                raise
        with torch.enable_grad():
            said = heard()
        self._takes_gradients = True
        return said

    def _heard(
        self, once: Callable[[], Said], drawn: Sequence[Tensor] | None, in_full: bool = False
    ) -> "tuple[Said, Recorder | Replayer]":
        """What it returns, and who listened. If a draw was unheard, it is run again, and all later runs in full.

        An unheard draw is also missing among those that are repeated, so `OtherDraws` may mean one. If the run draws
        otherwise even when it is heard in full, none was.
        """
        if self._sparing and not in_full:
            try:
                return self._listening(once, drawn, sparing=True)
            except (Unheard, OtherDraws):
                heard = self._listening(once, drawn, sparing=False)
                self._sparing = False
                return heard
        return self._listening(once, drawn, sparing=False)

    def _listening(
        self, once: Callable[[], Said], drawn: Sequence[Tensor] | None, sparing: bool
    ) -> "tuple[Said, Recorder | Replayer]":
        """Draws are recorded or repeated, and whatever the policy keeps is put back afterwards."""
        with ExitStack() as stack:
            stack.callback(self._state.restore)
            if "torch._dynamo" in sys.modules:  # what is compiled runs as it is written, so that it can be heard
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            listener = stack.enter_context(_drawing(drawn, sparing))
            if drawn is None and not sparing:
                stack.enter_context(self._state.watching())
            stack.enter_context(self._state.saved_apart())
            return once(), listener

    def _round_off(self, prediction: Any) -> None:
        if not isinstance(prediction, Tensor):
            raise ValueError(f"run: got {_kind(prediction)} as a prediction, expected a tensor")
        if self._predicted_ndim is None:
            self._expect_places_in(prediction)
        self._predicted_ndim = prediction.ndim
        if prediction.is_floating_point():
            self.precision = max(self.precision, torch.finfo(prediction.dtype).eps)

    # a head that is called several times: once for each step, or first without a gradient, as self-conditioning does

    def _calls_with_gradient(self, given: Given) -> list[bool]:
        """Of each call of the module in a run, whether it is trained: the others are no predictions of the loss.

        Most runs of an audit keep no gradient at all, so one is made that does.
        """
        hooks = _Hooks(self, {}, None)
        try:
            with torch.enable_grad():
                self._run(self.run, given, hooks)
        except Exception:  # a policy that cannot be run with a gradient: then nothing is known
            return []
        trained = [said.requires_grad for said in hooks.predictions]
        return trained if any(trained) else []

    def _is_own(self, number: int) -> bool:
        """Whether this call of the module, counted from 0, is the prediction or a part of it."""
        known = self._own_calls or []
        return number >= len(known) or known[number]

    def _stacked(self, calls: Sequence[Tensor]) -> Tensor:
        """The predictions of all calls of the module as one: along the steps if each call gives one of them."""
        if not calls:
            raise ValueError(
                f"prediction: {self._prediction_path!r} was called 0 times, expected once a run. A part of a "
                "TorchScript module cannot be listened to: hand over the module as it was before `torch.jit`, or a "
                "`run` that returns an Answer"
            )
        self._called_by_steps |= len(calls) > 1
        if not self._called_by_steps:
            return calls[0]
        if len({call.shape for call in calls}) > 1:
            shapes = sorted({tuple(call.shape) for call in calls})
            raise ValueError(f"prediction: {self._prediction_path!r} gave outputs of the shapes {shapes}, expected one")
        place, one_each = self._place_of_calls(calls[0])
        return torch.cat([*calls], dim=place) if one_each else torch.stack([*calls], dim=place)

    def _place_of_calls(self, call: Tensor) -> tuple[int, bool]:
        """Along which axis the calls are put together, and whether they already have this axis, of length 1."""
        steps = self.axes.get("steps")
        if isinstance(steps, int):
            if call.ndim == self._ndim - 1:
                return steps, False
            if call.shape[steps] == 1:
                return steps, True
        return call.ndim, False

    @property
    def _ndim(self) -> int:
        """How many axes a prediction has at least."""
        return 1 + max(max(_as_tuple(place)) for place in self.axes.values())

    def _call_of(self, whole: Tensor, call: Tensor, number: int) -> Tensor:
        """What one call of the module has to give, so that all calls together give `whole`."""
        if call.shape == whole.shape:
            return whole
        place, one_each = self._place_of_calls(call)
        return whole.narrow(place, number, 1) if one_each else whole.select(place, number)

    # what is real

    def wanted(self, prediction: Tensor) -> tuple[slice, ...]:
        """The part of a prediction that belongs to the batch.

        Raises:
            ValueError: it has another number of places than the batch, or than what `predicted` returns.
        """
        for kind, places in self._laid(self.padding, prediction.ndim):
            if callable(kind.predicted):
                size, said = tuple(prediction.shape[place] for place in places), kind.predicted(kind.fitted)
                if tuple(said.shape[1:]) != size:
                    raise ValueError(_of_another_mask(kind, said, (len(prediction), *size)))
        return self.wanted_for(self.padding)(prediction)

    def wanted_for(self, kinds: Kinds, *, sampled: bool = False) -> Callable[[Tensor], tuple[slice, ...]]:
        """The same for other lengths, such as those of one sample without its padding; or of `sampled` actions."""

        def part(prediction: Tensor) -> tuple[slice, ...]:
            slices = [slice(None)] * prediction.ndim
            for kind, places in self._laid(kinds, prediction.ndim, sampled):
                if len(prediction) != len(kind.real):
                    got = f"{'sample' if sampled else 'prediction'}: got {len(prediction)} samples"
                    raise ValueError(f"{got}, expected {len(kind.real)}, as many as it was given")
                if kind.predicted is not None and not isinstance(kind.predicted, str):
                    continue
                for place, length in zip(places, kind.real.shape[1:], strict=True):
                    size = prediction.shape[place]
                    if size > length and kind.predicted:
                        slices[place] = slice(size - length, None) if kind.predicted == "last" else slice(length)
                    elif size != length and not self._may_be_short(kind, size):
                        raise ValueError((_of_another_sample if sampled else _of_another_size)(kind, size, length))
            return tuple(slices)

        return part

    def real_in(self, prediction: Tensor, kinds: Kinds | None = None) -> Tensor:
        """Which entries of a prediction (or of actions) are real and fitted by the loss: bool, of its shape."""
        entries = torch.ones(prediction.shape, dtype=torch.bool)
        for kind, places in self._laid(self.padding if kinds is None else kinds, prediction.ndim):
            entries = entries & self._in_prediction(kind, kind.fitted, places, prediction)
        return entries

    def padded_in(self, prediction: Tensor) -> dict[str, Tensor]:
        """For each axis along which a prediction is padded: which of its entries are padding along it."""
        found: dict[str, Tensor] = {}
        for kind, places in self._laid(self.padding, prediction.ndim):
            padded = ~self._in_prediction(kind, kind.real, places, prediction)
            found[kind.axis] = found[kind.axis] | padded if kind.axis in found else padded
        return found

    def read_only_in(self, prediction: Tensor) -> dict[str, Tensor]:
        """For each axis with places that are real and no target: the entries of a prediction that belong to them."""
        found: dict[str, Tensor] = {}
        for kind, places in self._laid(self.padding, prediction.ndim):
            if kind.targets is None:
                continue
            present = self._in_prediction(kind, kind.real, places, prediction)
            here = present & ~self._in_prediction(kind, kind.fitted, places, prediction)
            found[kind.axis] = found[kind.axis] | here if kind.axis in found else here
        padded = torch.stack([*self.padded_in(prediction).values()]).any(dim=0) if found else None
        only = {axis: where if padded is None else where & ~padded for axis, where in found.items()}
        return {axis: where for axis, where in only.items() if where.any()}

    def entries_of(self, label: str, mask: Tensor, prediction: Tensor) -> Tensor:
        """The entries of a prediction that belong to these places (`batch, size`) of a kind of padding."""
        kind, places = self.padding[label], self.place_of(label)
        assert places is not None
        return self._in_prediction(kind, mask & kind.fitted, places, prediction)

    def same_document(self, label: str, prediction: Tensor) -> Tensor:
        """`batch, step, size` or `1, 1, 1`: whether a predicted step and a place are of the same document."""
        kind = self.padding[label]
        if kind.documents is None:
            return torch.ones(1, 1, 1, dtype=torch.bool)
        found = torch.zeros((), dtype=torch.bool)
        for document in kind.documents[kind.real].unique():
            here = kind.documents == document
            entries = self.entries_of(label, here, prediction).movedim(self.main or 1, 1)
            step = entries.flatten(2).any(dim=2) if entries.ndim > 2 else entries
            found = found | (step[:, :, None] & here[:, None])
        return found

    def _in_prediction(self, kind: Padding, mask: Tensor, places: tuple[int, ...], prediction: Tensor) -> Tensor:
        expected = tuple(prediction.shape[place] for place in places)
        said = mask
        if isinstance(kind.predicted, Tensor):
            said = kind.predicted
        elif callable(kind.predicted):
            said = kind.predicted(mask)
        else:
            said = mask[(slice(None), *(slice(size) for size in expected))]
        if tuple(said.shape[1:]) != expected == tuple(mask.shape[1:]):  # such as sampled actions
            said = mask
        if tuple(said.shape[1:]) != expected or len(said) != len(prediction):
            raise ValueError(_of_another_mask(kind, said, (len(prediction), *expected)))
        mask = said
        return along(mask, prediction.ndim, places).expand(prediction.shape)

    def _laid(self, kinds: Kinds, ndim: int, sampled: bool = False) -> Iterator[tuple[Padding, tuple[int, ...]]]:
        """The kinds of padding that a prediction has, each with the axes of the prediction along which it runs."""
        for label, kind in kinds.items():
            places = self.declared_place_of(label)
            if places is None:
                continue
            if max(places) >= ndim:
                if not sampled and self._may_be_sampled_alone(kind):
                    continue
                if sampled:
                    raise ValueError(
                        f"sample: got actions with {ndim} axes, expected more, since {kind.axis} are at axis "
                        f"{max(places)} of a prediction; let `sample` return actions that are laid out like it"
                    )
                raise ValueError(f"axes: got {kind.axis!r} at {max(places)}, but a prediction has {ndim} axes")
            yield kind, places

    def place_of(self, label: str) -> tuple[int, ...] | None:
        """The axes of a prediction along which a kind of padding runs; None = a prediction has no such axis.

        An axis behind all those of a prediction is one that only sampled actions have.
        """
        places = self.declared_place_of(label)
        if places is None or self._predicted_ndim is None or max(places) < self._predicted_ndim:
            return places
        return None

    def _may_be_sampled_alone(self, kind: Padding) -> bool:
        """Whether it may be that only sampled actions have this axis. Steps and dims are those of a prediction too."""
        return self.sample is not None and not kind.has_a_usual_axis

    def declared_place_of(self, label: str) -> tuple[int, ...] | None:
        """The axes of a prediction, or of actions, along which a kind of padding runs; None = they have no such axis.

        If several kinds have the name of one axis, the prediction has the first of them, and those of the same size.
        """
        kind = self.padding[label]
        first = next(one for one in self.padding.values() if one.axis == kind.axis)
        if kind.real.shape != first.real.shape:
            return None
        place = self.axes.get(kind.axis)
        if place is not None:
            return axes_of(kind, place)
        if kind.real.ndim == 2:
            return None
        several = [self.axes.get(axis) for axis in kind.axis.split(" and ")]
        found = tuple(one for one in several if isinstance(one, int))
        return found if len(found) == len(several) == kind.real.ndim - 1 else None

    def _may_be_short(self, kind: Padding, size: int) -> bool:
        """A prediction may leave out dims that no sample has, and all steps behind the last one that any sample has.

        One step less can mean that the next one is predicted. Of a sample alone it cannot, if the batch had them all.
        """
        if kind.real.ndim != 2 or kind.real[:, size:].any():
            return False
        trimmed = size + 1 < kind.real.shape[1] or len(kind.real) == 1 < self.batch_size
        return kind.axis == "dims" or (trimmed and bool(kind.real[:, size - 1 : size].any()))

    def sampled(self, kinds: Kinds | None = None) -> dict[str, Padding]:
        """The kinds of padding along which sampled actions are padded. Everything that is real is sampled."""
        kinds = self.padding if kinds is None else kinds
        return {label: replace(kind, targets=None) for label, kind in kinds.items() if kind.axis in self.sample_along}

    # parts of a batch

    @property
    def every_axis(self) -> str:
        """The axes of a prediction along which something is padded, in a word: `dims and steps`."""
        inside = [kind.axis for label, kind in self.padding.items() if self.place_of(label) is not None]
        return " and ".join(dict.fromkeys(inside or [next(iter(self.padding.values())).axis]))

    @property
    def main_axis(self) -> str:
        """The axis of a prediction along which it is asked who reads what: `steps`, or the first one but `dims`."""
        others = [axis for axis, place in self.axes.items() if axis != "dims" and isinstance(place, int)]
        return "steps" if "steps" in others or not others else others[0]

    @property
    def main(self) -> int | None:
        """Where this axis is in a prediction; None = there is none."""
        place = self.axes.get(self.main_axis)
        return place if isinstance(place, int) else None

    @property
    def named_places(self) -> dict[str, int]:
        """The axes of a prediction that are single ones, by name."""
        return {axis: place for axis, place in self.axes.items() if isinstance(place, int)}

    def is_read_by_steps(self, label: str) -> bool:
        """Whether each predicted step is asked on which places of this kind it depends. Dims are asked all at once."""
        return self.main is not None and self.padding[label].can_be_cut

    def value_may_be_the_mask(self, label: str, given: Given) -> bool:
        """Whether a policy could know its padding by its value: one that no real place has, such as a pad token.

        Then other numbers in padding make it real, and what moves says nothing. Cutting it off decides. Where masks are
        declared, or nothing can be cut off, only whole numbers are doubted: zeros are often written into padding that a
        mask hides.
        """
        kind = self.padding[label]
        whole_numbers_alone = bool(kind.masks) or not self.can_be_cut(label)
        for name, place in kind.values.items():
            value = given.get(name)
            if not isinstance(value, Tensor) or is_draw_name(name):
                continue
            if whole_numbers_alone and value.is_floating_point():
                return False
            by_place = _by_place(value, axes_of(kind, place))
            real, padded = by_place[kind.real.to(value.device)], by_place[~kind.real.to(value.device)]
            if not _equal(padded, padded[0, 0]).all() or _equal(real, padded[0, 0]).all(dim=1).any():
                return False
        return True

    def has_holes(self, cut: str) -> bool:
        """Whether there is padding that stays when a kind is cut, such as padding between two real places."""
        rows = [self.padding[cut].real[sample] for sample in self.with_something_left(cut)]
        several = [self.kept(cut, sample) for sample in self.with_something_left(cut)]
        return any(prod(map(len, kept)) > int(row.sum()) for kept, row in zip(several, rows, strict=True))

    def can_be_cut(self, label: str) -> bool:
        """Whether padding can be cut off. Padding entry by entry can where only the network's input has it.

        An image, say, is then cut to the rectangle that holds all its real pixels.
        """
        kind = self.padding[label]
        is_input = self.place_of(label) is None and "dims" not in kind.axis.split(" and ")
        return kind.can_be_cut or is_input

    def leaves(self, given: Given) -> dict[str, Tensor]:
        """Copies of the float entries of the batch that hold padding; the copies require a gradient."""
        names = dict.fromkeys(name for kind in self.padding.values() for name in kind.values if name in given)
        values = {name: given[name] for name in names if not is_draw_name(name)}
        return {name: one.detach().clone().requires_grad_() for name, one in values.items() if one.is_floating_point()}

    def real_entries(self, name: str, value: Tensor) -> Tensor:
        """Which entries of an entry of the batch are real and fitted, along all kinds of padding that name it."""
        real = torch.ones(value.shape, dtype=torch.bool)
        for kind in self.padding.values():
            if name in kind.values:
                real = real & along(kind.fitted, value.ndim, axes_of(kind, kind.values[name]))
        return real

    def whole_places(self, name: str, lost: Tensor) -> tuple[str, Tensor] | None:
        """The axis along which whole places of an entry are lost, and these entries; None = none are, or all are."""
        real = self.real_entries(name, lost)
        for kind in self.padding.values():
            if name in kind.values:
                axes = axes_of(kind, kind.values[name])
                lost_there, real_there = (_by_place(one, axes).sum(-1) for one in (lost & real, real))
                whole = (lost_there == real_there) & (real_there > 0)
                if whole.any() and not whole.equal(real_there > 0):
                    return kind.axis, along(whole, lost.ndim, axes) & real
        return None

    def with_something_left(self, cut: str | None) -> list[int]:
        """The samples that have anything real along `cut`: an empty prompt cannot be cut down to its tokens."""
        if cut is None:
            return [*range(self.batch_size)]
        return self.padding[cut].real.flatten(1).any(dim=1).nonzero().flatten().tolist()

    def places(self, label: str, given: Given) -> dict[str, tuple[int, ...]]:
        """The entries of the batch, and the draws, that hold padding of this kind -> their axes along which it runs.

        A draw with the shape of a padded entry (axes of length 1 do not count) is taken to be padded like it, as noise
        is padded like the actions. Other draws have to be declared by name, `"drawn 0"`.
        """
        kind = self.padding[label]
        found = {name: axes_of(kind, place) for name, place in kind.values.items() if name in given}
        for name in [name for name in found if is_draw_name(name)]:
            # Training and the sampler may give one name to two different draws.
            if tuple(given[name].shape[at] for at in found[name] if at < given[name].ndim) != kind.real.shape[1:]:
                self.not_along.add((name, kind.axis))
                del found[name]
        like = {}
        for name, places in found.items():
            kept = _axes_with_extent(given[name])
            if all(place in kept for place in places):
                like[tuple(given[name].shape[at] for at in kept)] = [kept.index(place) for place in places]
        for name, value in given.items():
            if is_draw_name(name) and isinstance(value, Tensor) and value.ndim and name not in found:
                kept = _axes_with_extent(value)
                shape = tuple(value.shape[at] for at in kept)
                if shape in like:
                    found[name] = tuple(kept[at] for at in like[shape])
        return found

    def alone(
        self, given: Given, sample: int, cut: str | None, *, holes: bool = False
    ) -> tuple[Given, dict[str, Padding]]:
        """One sample as a batch of its own, the padding at both ends along `cut` cut off; and its kinds of padding.

        Padding between two real places stays: without it, those behind would stand at other places. With `holes` it
        goes too.
        """
        chosen = {
            name: value[sample : sample + 1] if self._is_by_sample(name, value) else value
            for name, value in given.items()
        }
        kinds = {label: kind.of_sample(sample) for label, kind in self.padding.items()}
        if cut is not None:
            kept = self.kept(cut, sample, holes=holes)
            masks = {name: axes_of(kinds[cut], place) for name, place in kinds[cut].masks.items()}
            for name, places in {**self.places(cut, given), **masks}.items():
                for place, along_it in zip(places, kept, strict=True):
                    chosen[name] = chosen[name].index_select(place, along_it.to(chosen[name].device))
            kinds[cut] = kinds[cut].cut_to(kept)
        return chosen, kinds

    def not_declared(self, cut: str | None) -> str:
        """For an error in a run without padding: entries as long as it that no `Padding` names, and so were not cut."""
        if cut is None:
            return ""
        kind = self.padding[cut]
        size, named = kind.real.shape[1], {name for one in self.padding.values() for name in one.places}
        undeclared = [
            repr(name)
            for name, value in self.batch.items()
            if isinstance(value, Tensor) and name not in named and size in value.shape[1:]
        ]
        if not undeclared:
            return ""
        return (
            f". Entries of the batch that no Padding names and that have {size} places too, as many as {kind.axis}: "
            f"{', '.join(undeclared)}. If they hold padding, declare them in `values`, or in `masks` if they are masks"
        )

    def kept(self, cut: str, sample: int, *, holes: bool = False) -> list[Tensor]:
        """The places of a sample from its first real one to its last, along each axis; those with `holes` go too.

        Of an image what is in front of the first real one stays, if anything is behind the last: so no pixel moves.
        """
        real = self.padding[cut].real[sample]
        along_each = [places.unique() for places in real.nonzero().unbind(1)]
        if holes:
            return along_each
        behind = real.ndim > 1 and any(
            int(places[-1]) + 1 < size for places, size in zip(along_each, real.shape, strict=True)
        )
        return [torch.arange(0 if behind else int(places[0]), int(places[-1]) + 1) for places in along_each]

    def find_statistics(self, given: Given, size: float, moved: Callable[[], float]) -> bool:
        """Looks for entries that only happen to be as long as the batch, such as weights of classes or a mean.

        If a sample alone gets another answer, each entry that no `Padding` names is kept whole once. It stays so if a
        run no longer fails because of that, or if nothing moves in the end. The second proves little: a policy that
        gives all samples the mean of an entry, or its first number, does the same.

        Args:
            given: the batch and its draws.
            size: how far the answers for samples alone have moved; inf = a run has failed.
            moved: asks them again.

        Returns:
            Whether such entries were found.
        """
        declared, before = {name for kind in self.padding.values() for name in kind.places}, {*self.statistics}
        for name, value in given.items():
            if not size or name in declared or not isinstance(value, Tensor) or not self._is_by_sample(name, value):
                continue
            self.statistics.add(name)
            less = moved()
            if less >= size:
                self.statistics.remove(name)
            elif size < inf:
                self.unclear.add(name)
            size = min(size, less)
        if size:
            self.statistics -= self.unclear
            self.unclear.clear()
        return self.statistics != before

    def _is_by_sample(self, name: str, value: Any) -> bool:
        if name in self.statistics:
            return False
        if isinstance(value, Tensor):
            return value.ndim > 0 and value.shape[0] == self.batch_size
        return isinstance(value, list | tuple) and len(value) == self.batch_size

    # what is checked

    def _check(self, batch: Given, prediction: str | None) -> None:
        if not self.padding:
            raise ValueError("padding: got none, expected at least one; without it there is nothing to look for")
        sizes = {len(kind.real) for kind in self.padding.values()}
        if len(sizes) > 1:
            raise ValueError(f"padding: got batches of {sorted(sizes)} samples, expected the same number")
        for name in batch:
            if is_draw_name(name):
                raise ValueError(f"batch: got an entry named {name!r}, a name that is kept for what the policy draws")
        for kind in self.padding.values():
            _check_kind(kind, batch)
        for path in (*(tap.module for tap in self.taps), *([] if prediction is None else [prediction])):
            if isinstance(self.module, torch.jit.ScriptModule):
                raise ValueError(
                    f"module: got a TorchScript module, to whose part {path!r} nobody can listen, expected the module "
                    "as it was before `torch.jit`. Or return an Answer from `run`, and name no `prediction` and no taps"
                )
            if self.module is None:
                raise ValueError(f"module: got None, expected the module that has a {path!r}")
            names = [name for name, _ in self.module.named_modules()]
            if path not in names:
                close = get_close_matches(path, names, n=1)
                meant = f"did you mean {close[0]!r}? See" if close else "see"
                raise ValueError(f"module: got no {path!r} in {type(self.module).__name__}; {meant} named_modules()")
        for label, kind in self.padding.items():
            if kind.documents is not None and self.place_of(label) is None:
                raise ValueError(
                    f"padding of {kind.axis}: got documents, expected a prediction that has this axis; say by `axes` "
                    f"where it is: axes={{{kind.axis!r}: 1}}"
                )
        for tap in self.taps:
            if tap.axis not in self.padding:
                raise ValueError(f"taps: got {tap.module!r} along {tap.axis}, expected an axis that `padding` declares")

    def _expect_places_in(self, prediction: Tensor) -> None:
        """ValueError for an axis of your own name that looks like one of the prediction, if nothing says that it is."""
        taken = {place for label in self.padding for place in self.declared_place_of(label) or ()}
        own = [kind for kind in self.padding.values() if self._has_usual_axes and not kind.has_a_usual_axis]
        for kind in own:
            for name, place in kind.values.items():
                value, places = self.batch.get(name), axes_of(kind, place)
                if isinstance(value, Tensor) and value.shape == prediction.shape and taken.isdisjoint(places):
                    close = get_close_matches(kind.axis, AXES, n=1, cutoff=0.8)
                    meant = f"did you mean {close[0]!r}? Else say" if close else "say"
                    at = places[0] if len(places) == 1 else places
                    raise ValueError(
                        f"axes: got no place for {kind.axis!r}, and {name!r} has the shape of the prediction, "
                        f"{tuple(prediction.shape)}; {meant} axes={{{kind.axis!r}: {at}}} if the prediction is padded "
                        "there as well, and if it is not, say which axes it has, such as axes={'steps': 1, 'dims': 2}"
                    )

    def _check_names(self, named: set[str]) -> None:
        known = list(dict.fromkeys([*AXES, *named]))
        for argument, names in (("axes", self.axes), ("sample_along", self.sample_along)):
            for name in names:
                if name not in known:
                    raise ValueError(f"{argument}: got {name!r}, expected some of {', '.join(map(repr, known))}")


def _check_kind(kind: Padding, batch: Given) -> None:
    name = f"padding of {kind.axis}"
    if kind.real.ndim < 2:
        raise ValueError(f"{name}: `real` has the shape {tuple(kind.real.shape)}, expected batch, size")
    if not len(kind.real):
        raise ValueError(f"{name}: got a batch without any sample, expected at least two, padded by different amounts")
    if kind.real.all():
        raise ValueError(f"{name}: got no padding, expected some; without it no probe can see a leak")
    if not kind.real.any():
        raise ValueError(f"{name}: got nothing real, expected something in at least one sample")
    if not kind.values:
        raise ValueError(f"{name}: got no values, expected at least one entry of the batch that holds padding")
    if kind.documents is not None and kind.real.ndim != 2:
        raise ValueError(f"{name}: got documents, expected them only where `real` is batch, size")
    if kind.targets is not None and not kind.fitted.any():
        raise ValueError(f"{name}: got no target that is real, expected at least one place whose prediction is fitted")
    for entry, place in kind.places.items():
        if is_draw_name(entry):  # it is drawn in the first run
            continue
        if not isinstance(batch.get(entry), Tensor):
            raise ValueError(f"{name}: {_no_tensor(entry, batch)}")
        shape, expected, places = tuple(batch[entry].shape), tuple(kind.real.shape), axes_of(kind, place)
        fits = len(places) == len(expected) - 1 and all(0 < at < len(shape) for at in places)
        if 0 in places:
            raise ValueError(
                f"{name}: {entry!r} got axis 0, which is that of the samples, expected the axis of {kind.axis}"
            )
        if not fits or (shape[0], *(shape[at] for at in places)) != expected:
            along_them = " and ".join(f"{size} at axis {at}" for size, at in zip(expected[1:], places, strict=False))
            raise ValueError(
                f"{name}: `real` has the shape {expected} and {entry!r} has the shape {shape}, expected "
                f"{expected[0]} at axis 0 and {along_them}"
            )
    for entry in set(kind.values) & set(batch):
        if batch[entry].dtype == torch.bool or batch[entry].is_complex():
            raise ValueError(f"{name}: {entry!r} is {batch[entry].dtype}, expected numbers; masks go into `masks`")


def _no_tensor(entry: str, batch: Given) -> str:
    """What to do if the batch has no tensor of this name."""
    tensors = sorted(name for name, value in batch.items() if isinstance(value, Tensor))
    inside = [name for name in tensors if name.startswith(f"{entry}.")]
    nested = inside or [name for name in tensors if name.endswith(f".{entry}")]
    found = f"got no tensor {entry!r} in the batch, expected one of {tensors}"
    if nested:
        return f"{found}; an entry of a nested batch is named by its path, such as {nested[0]!r}"
    value = batch.get(entry)
    if isinstance(value, list | tuple):
        return f"{found}; {entry!r} is a {type(value).__name__}: name its parts, such as {entry + '.0'!r}"
    return f"{found}; {entry!r} is {_kind(value)}: hand over a tensor" if entry in batch else found


def _of_another_mask(kind: Padding, said: Tensor, expected: tuple[int, ...]) -> str:
    """What to do if `predicted` returns another number of places than the prediction has."""
    return (
        f"padding of {kind.axis}: `predicted` gives a mask of the shape {tuple(said.shape)}, expected {expected}, one "
        "for each place of the prediction. If the policy predicts behind the last place too, and its loss leaves that "
        "out: predicted=lambda real: torch.nn.functional.pad(real[:, 1:], (0, 1))"
    )


def _of_another_size(kind: Padding, size: int, length: int) -> str:
    """What to do if a prediction has another number of places than the batch."""
    found = f"prediction: got {size} {kind.axis}, expected {length}, as many as the batch has"
    if size < length:
        return (
            f"{found}; real ones would have no prediction. If it is laid out otherwise, say so by `axes` or `arrange`; "
            "if it predicts the next place, say which of its places are fitted: "
            "Padding(..., predicted=lambda real: real[:, 1:])"
        )
    return (
        f"{found}. Say how they belong together: Padding(..., predicted='last') or 'first' if some of them are those "
        "of the batch; or a function that takes `real` and returns which places of the prediction are real"
    )


def _of_another_sample(kind: Padding, size: int, length: int) -> str:
    """What to do if sampled actions have another number of places than the batch."""
    return (
        f"sample: got actions with {size} {kind.axis}, expected {length}, as many as the batch has. Let `sample` "
        "return those of the batch alone, laid out like a prediction; if it always gives another number of them, say "
        f"by `sample_along` along which axes its actions are padded, without {kind.axis!r}"
    )


# --------------------------------------------------------------------------------------------------- inside a module


class _Hooks:
    """Forward hooks that record the prediction and the outputs at the taps, and replace them where asked to."""

    def __init__(self, policy: Policy, write: Mapping[str, Callable], say: Tensor | None):
        self.policy, self.write, self.say = policy, write, say
        self.tapped: dict[str, list[Tensor]] = {tap.module: [] for tap in policy.taps}
        self.predictions: list[Tensor] = []
        self.calls = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside it is listened to one run, from the start."""
        self.calls = 0
        self.predictions.clear()
        for calls in self.tapped.values():
            calls.clear()
        module, prediction_path = self.policy.module, self.policy._prediction_path
        listeners = [(tap.module, self._at_tap(tap)) for tap in self.policy.taps]
        if prediction_path is not None:
            listeners.append((prediction_path, self._at_prediction))
        with ExitStack() as stack:
            for path, listener in listeners:
                assert module is not None  # the constructor has checked it
                stack.callback(module.get_submodule(path).register_forward_hook(listener).remove)
            yield

    def without_graph(self) -> None:
        """Keeps the numbers of what was heard alone."""
        self.predictions = [one.detach() for one in self.predictions]
        for calls in self.tapped.values():
            calls[:] = [one.detach() for one in calls]

    def _at_tap(self, tap: Tap) -> Callable:
        there, back = tap.arrange or (_first_tensor, _with_first_tensor)

        def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
            found = there(output)
            if not isinstance(found, Tensor):
                raise ValueError(f"taps: {tap.module!r} gives {_kind(output)}, expected a tensor, or `arrange`")
            written = self.write.get(tap.module, lambda same: same)(found)
            self.tapped[tap.module].append(written)
            return back(written, output)

        return hook

    def _at_prediction(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        there, back = self.policy.arrange
        said = there(output)
        if not isinstance(said, Tensor):
            raise ValueError(f"prediction: got {_kind(said)}, expected a module that gives a tensor, or `arrange`")
        self.calls += 1
        if not self.policy._is_own(self.calls - 1):
            return output
        if self.say is not None:
            own, said = said, self.policy._call_of(self.say, said, len(self.predictions))
            if self.policy._takes_gradients:  # those of its own prediction; the numbers stay
                said = said + (own - own.detach()).nan_to_num()
        self.predictions.append(said)
        return back(said, output)


def _first_tensor(output: Any) -> Any:
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else [output]
    return next((part for part in parts if isinstance(part, Tensor)), output)


def _with_first_tensor(tensor: Tensor, output: Any) -> Any:
    """The output with another tensor in the place of its first one; an output of the same kind."""
    first = _first_tensor(output)
    if isinstance(output, Mapping):
        parts = {name: tensor if part is first else part for name, part in output.items()}
        return parts if type(output) is dict else type(output)(**parts)
    if isinstance(output, tuple | list):
        parts = [tensor if part is first else part for part in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return tensor


# ------------------------------------------------------------------------------------------------------------ parts


def with_draws(given: Given, drawn: Sequence[Tensor]) -> Given:
    """The batch with these draws beside it, instead of those that it has."""
    beside = {DRAWN.format(place): values for place, values in enumerate(drawn)}
    return _without_draws(given)[0] | (beside or {NO_DRAWS: None})


def nothing_dropped(given: Given) -> Given:
    """The batch, with draws in which dropout keeps everything."""
    kept = keep_everything(_without_draws(given)[1] or [])
    return given if kept is None else with_draws(given, kept)


def _rolled(rows: Any) -> Any:
    return rows.roll(1, 0) if isinstance(rows, Tensor) else type(rows)((*rows[-1:], *rows[:-1]))


def decided_otherwise(given: Given) -> Given | None:
    """The batch, with draws that decide everything the other way; None = they decide nothing."""
    other = decided(_without_draws(given)[1] or [], usual=False)
    return None if other is None else with_draws(given, other)


def _by_place(value: Tensor, axes: tuple[int, ...]) -> Tensor:
    """An entry of the batch as `batch, *size, rest`: the axes along which padding runs, and all others as one."""
    return value[..., None].movedim(axes, tuple(range(1, 1 + len(axes)))).flatten(1 + len(axes))


def along(mask: Tensor, ndim: int, places: Places) -> Tensor:
    """A mask (batch, one axis or several) as one for a tensor of `ndim` axes, along its axes `places`."""
    places = _as_tuple(places)
    order = sorted(range(len(places)), key=places.__getitem__)
    shape = [1] * ndim
    shape[0] = len(mask)
    for at in order:
        shape[places[at]] = mask.shape[1 + at]
    return mask.permute(0, *(1 + at for at in order)).reshape(shape)


def axes_of(kind: Padding, place: Places) -> tuple[int, ...]:
    """The axes of an entry along which `real` runs; a single number is the first of axes that follow each other."""
    return place if isinstance(place, tuple) else tuple(range(place, place + kind.real.ndim - 1))


def _as_tuple(place: Places) -> tuple[int, ...]:
    return place if isinstance(place, tuple) else (place,)


def _labelled(padding: Sequence[Padding]) -> dict[str, Padding]:
    labelled: dict[str, Padding] = {}
    for kind in padding:
        count = sum(kind.axis == other.axis for other in labelled.values())
        labelled[f"{kind.axis} {count + 1}" if count else kind.axis] = kind
    return labelled


SEED = 20_261_127
"""Where the draws of a policy begin. It must be a seed that nobody chooses: a batch that was drawn from the same one is
equal to the policy's noise, so that a target of `action - noise` is 0 everywhere, whatever padding holds."""


@contextmanager
def _drawing(drawn: Sequence[Tensor] | None, sparing: bool) -> Iterator[Recorder | Replayer]:
    """Records free draws, always from the same seed, or replays `drawn`. The caller's random state is restored."""
    with torch.random.fork_rng():
        if torch.accelerator.is_available():
            torch.manual_seed(SEED)
        else:  # torch.manual_seed would also note, for each accelerator that is not there, where it was called: slow
            torch.default_generator.manual_seed(SEED)
        listener = Recorder() if drawn is None else Replayer(drawn)
        mode = Sparingly(listener) if sparing else listener
        with mode:
            yield listener
        mode.finish()


def _without_draws(given: Given) -> tuple[Given, list[Tensor] | None]:
    batch = {name: value for name, value in given.items() if not is_draw_name(name)}
    if len(batch) == len(given):
        return batch, None
    return batch, [given[name] for name in given if is_draw_name(name) and name != NO_DRAWS]


def _equal(values: Tensor, one: Tensor) -> Tensor:
    """Which values are this number. NaN is taken for a number as any other."""
    return (values == one) | (values.isnan() & one.isnan())


def _axes_with_extent(value: Tensor) -> list[int]:
    """The axes that are longer than 1, and always the first one, the samples."""
    return [axis for axis, size in enumerate(value.shape) if size > 1 or axis == 0]


def is_draw_name(name: str) -> bool:
    return name.startswith("drawn ")


def _without_graph(said: Any) -> Any:
    """The same answer, or tensor, without what is needed for gradients by it."""
    if isinstance(said, Answer) and isinstance(said.prediction, Tensor):
        loss = said.loss.detach() if isinstance(said.loss, Tensor) else said.loss
        return replace(said, prediction=said.prediction.detach(), loss=loss)
    return said.detach() if isinstance(said, Tensor) else said


def _put(prediction: Tensor, part: tuple[slice, ...], said: Tensor) -> Tensor:
    full = prediction.detach().clone()
    full[part] = said
    return full


def _scalar(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        why = "; hand over the tensor as it is before `.item()`" if isinstance(loss, float) else ""
        if isinstance(loss, Mapping | tuple):
            key = "0" if isinstance(loss, tuple) else repr(next((name for name in loss if "loss" in str(name)), "loss"))
            why = f"; let `run` return the loss out of it, as in `run=lambda batch: policy(batch)[{key}]`"
        raise ValueError(f"loss: got {_kind(loss)}, expected a float tensor with one number{why}")
    return loss.reshape(())


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}, {tuple(value.shape)}"
    return f"a {type(value).__name__}"
