"""The four probes, each a way of asking a policy what it does with padding.

    perturb      other numbers in padding: does anything real move?
    compact      one sample alone, its padding cut off: does it get the same answer as in the batch?
    gradient     which entries of the prediction move the loss, and which entries of the batch the prediction?
    unit error   an error of 1 in every entry: is the loss 1?

None of them is enough. Perturbing and compacting do not see a wrong divisor that is the same for every sample, nor real
entries that are left out; the unit error does not see where padding enters.

Every comparison is made so that NaN can not pass it, and after every look that finds nothing stands a control that
something could have been found: what is real must move what padding does not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit.policy import Axis, Given, Heard, Policy, along, with_draws
from groot_teach.audit.report import (
    LOSS_COUNT,
    LOSS_SUM,
    OTHER_SAMPLES,
    PREDICTION,
    SAMPLED,
    SAMPLER,
    Look,
    percent,
)

Looks = Iterator[Look]


class Probes:
    """One audit: a policy, a batch, and what came of the first run.

    Raises:
        ValueError: the policy does not give the same answer to the same batch and the same draws.
    """

    def __init__(self, policy: Policy, batch: Mapping[str, Any], unit_loss: float):
        self.policy, self.unit_loss = policy, unit_loss
        with torch.no_grad():
            self.base, self.given = self._repeatable(dict(batch))
            self.real = policy.real_in(self.base.prediction)
        self.regions = self._regions()
        self.loss_is_a_number = self.base.loss is not None and _finite(self.base.loss)
        self.controls = {axis: self._control(axis) for axis in policy.padding}
        self.moving = {  # axes along which what is real moves a prediction
            axis
            for axis, heard in self.controls.items()
            if isinstance(heard, Heard) and moved_by(self.base.prediction, heard.prediction, torch.ones_like(self.real))
        }
        self.alone: dict[int, Tensor] = {}  # what is predicted for a sample alone, with its padding
        self.every_axis = " and ".join(axis for axis in policy.padding if axis in policy.axes) or "tokens"
        self.fitted: set[str] = set()  # axes along which padding counts in the loss
        self.counts_right: bool | None = None  # None = it was not seen

    def steps(self) -> list[Callable[[], Iterable[Look]]]:
        """What there is to do, piece by piece: as many as there are paddings and taps, and no product of them."""
        policy = self.policy
        if not _finite(self.base.prediction[self.real]):
            return [self._no_number]
        todo: list[Callable[[], Iterable[Look]]] = [lambda axis=axis: self._perturb(axis) for axis in policy.padding]
        todo += [lambda tap=tap: self._perturb_tap(tap) for tap in policy.taps]
        todo += [self._gradient_of_prediction, self._loss]
        cuts = [axis for axis in policy.padding if axis != "dims"]
        todo += [lambda cut=cut: self._compact(cut) for cut in [None, *cuts]]
        if policy.sample is None:
            return [*todo, lambda: [Look(SAMPLER, self.every_axis, "perturb", None, why="no `sample` was handed over")]]
        return [*todo, *(lambda step=step: step() for step in self._sampler_steps(cuts))]

    # ------------------------------------------------------------------------------------------------- perturb

    @torch.no_grad()
    def _perturb(self, axis: Axis) -> Looks:
        policy, control = self.policy, self.controls[axis]
        places, real = policy.places(axis, self.given), policy.padding[axis].real
        try:
            heard = policy.ask(_changed(self.given, places, ~real))
            if isinstance(control, Exception):
                raise control
        except Exception as error:
            yield Look(PREDICTION, axis, "perturb", None, why=_reason(error))
            return
        for tap in policy.taps:
            where = policy.padding[tap.axis].real
            before, after, moved = (run.tapped[tap.module] for run in (self.base, heard, control))
            if _taps_moved(before, moved, tap, torch.ones_like(where)):
                size = _taps_moved(before, after, tap, where)
                yield Look(tap.before, axis, "perturb", size, why=_percent_of(size, f"what leaves {tap.module}"))
        size = moved_by(self.base.prediction, heard.prediction, self.real)
        if not (self.moving or size):
            yield Look(PREDICTION, axis, "perturb", None, why=NOTHING_MOVES)
            return
        yield Look(PREDICTION, axis, "perturb", size, why=_percent_of(size, "what is predicted for real entries"))
        if axis == "tokens" and axis not in self.moving:
            why = f"nothing real in {' and '.join(map(repr, places))} moves a prediction"
            yield Look(PREDICTION, axis, "perturb", 1.0, "lost", why)
        yield from self._perturb_loss(axis, heard, size)

    def _perturb_loss(self, axis: Axis, heard: Heard, prediction_moved: float) -> Looks:
        """The same prediction, other padding: does the loss move?"""
        if not self.loss_is_a_number:
            return
        if heard.loss_of is not None:
            other = heard.loss_of(self.base.prediction)
        elif prediction_moved:
            yield Look(LOSS_SUM, axis, "perturb", None, why="the prediction moves, and the loss is no function of it")
            return
        else:
            other = heard.loss
        size = moved_by(self.base.loss[None], other[None], torch.ones(1, dtype=torch.bool))
        yield Look(LOSS_SUM, axis, "perturb", size, why=_percent_of(size, "the loss of the same prediction"))

    @torch.no_grad()
    def _perturb_tap(self, tap) -> Looks:
        real = self.policy.padding[tap.axis].real

        def write(where: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
            return {tap.module: lambda output: torch.where(_at_end(where, output, tap.place), _other(output), output)}

        try:
            heard, control = (self.policy.ask(self.given, write=write(where)) for where in (~real, real))
        except Exception as error:
            yield Look(tap.behind, tap.axis, "perturb", None, why=_reason(error))
            return
        size = moved_by(self.base.prediction, heard.prediction, self.real)
        if not moved_by(self.base.prediction, control.prediction, self.real):
            if not self.moving:
                yield Look(tap.behind, tap.axis, "perturb", None, why=NOTHING_MOVES)
                return
            why = f"nothing real in the output of {tap.module} moves a prediction"
            yield Look(tap.behind, tap.axis, "perturb", 1.0, "lost", why)
        yield Look(tap.behind, tap.axis, "perturb", size, why=_percent_of(size, "what is predicted for real entries"))

    # ------------------------------------------------------------------------------------------------ gradient

    def _gradient_of_prediction(self) -> Looks:
        """Which entries of the batch the predictions of real entries depend on: for padding none, for the rest all."""
        policy = self.policy
        names = [name for name, value in self.given.items() if self._has_gradient(name, value)]
        if not names:
            return
        leaves = {name: self.given[name].detach().clone().requires_grad_() for name in names}
        try:
            with torch.enable_grad():
                heard = policy.ask(self.given | leaves)
                asked = heard.prediction * _signs(heard.prediction).to(heard.prediction)
                asked = asked.where(self.real.to(asked.device), 0.0)
            gradient = _gradients(asked.sum(), leaves)
        except Exception as error:
            yield Look(PREDICTION, self.every_axis, "gradient", None, why=_reason(error))
            return
        if not all(_finite(one) for one in gradient.values()):
            yield Look(PREDICTION, self.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        for axis, kind in policy.padding.items():
            here = {name: place for name, place in kind.values.items() if name in gradient}
            yield from self._gradient_along(axis, here, gradient)
        yield from self._gradient_of_each_step(asked, leaves, heard)

    def _gradient_along(self, axis: Axis, places: dict[str, int], gradient: dict[str, Tensor]) -> Looks:
        real = self.policy.padding[axis].real
        of_place = sum((_by_place(gradient[name], place) for name, place in places.items()), torch.zeros(real.shape))
        if not of_place.any():
            return
        size = (of_place[~real].sum() / of_place.sum()).item()
        yield Look(PREDICTION, axis, "gradient", size, why=f"{percent(size)} of the gradient goes to padding")
        unread = real & (of_place == 0)
        size = (unread.sum() / real.sum()).item()
        why = f"{int(unread.sum())} of {int(real.sum())} real {axis} have no effect on any prediction"
        yield Look(PREDICTION, axis, "gradient", size, "lost", why)

    def _gradient_of_each_step(self, asked: Tensor, leaves: dict[str, Tensor], heard: Heard) -> Looks:
        """Does each predicted step depend on all that is real?

        Where a layer mixes tokens, every step depends on every token through it; so behind a tap this is asked again.
        """
        place = self.policy.axes.get("steps")
        if place is None or place >= asked.ndim:
            return
        sources: dict[tuple[str, Axis], dict[str, tuple[Tensor, int]]] = {}
        for axis, kind in self.policy.padding.items():
            if axis != "dims":
                sources[PREDICTION, axis] = {
                    name: (leaves[name], at) for name, at in kind.values.items() if name in leaves
                }
        for tap in self.policy.taps:
            outputs = heard.tapped[tap.module]
            if len(outputs) == 1 and outputs[0].requires_grad:
                sources[tap.behind, tap.axis] = {tap.module: (outputs[0], tap.place)}
        tensors = {name: tensor for parts in sources.values() for name, (tensor, _) in parts.items()}
        by_step = [_gradients(step.sum(), tensors) for step in asked.unbind(place)]
        for (stage, axis), parts in sources.items():
            if parts:
                yield self._pairs(stage, axis, parts, by_step)

    def _pairs(self, stage: str, axis: Axis, parts: dict, by_step: Sequence[dict[str, Tensor]]) -> Look:
        """Pairs of a real step and a real token, or of two steps, of which the first does not depend on the second.

        Every step reads every token. A step that is read by another one in one sample is read by it in each sample that
        has both; what no sample reads may be causal.
        """
        real = self.policy.padding[axis].real
        reads = [sum(_by_place(of_step[name], at) for name, (_, at) in parts.items()) > 0 for of_step in by_step]
        reach = torch.stack(reads, dim=1)[:, :, -real.shape[1] :]
        pairs = self.real.movedim(self.policy.axes["steps"], 1).flatten(2).any(dim=2)[:, :, None] & real[:, None]
        expected = pairs & (reach.any() if axis == "tokens" else (pairs & reach).any(dim=0))
        lost = expected & ~reach
        size = (lost.sum() / expected.sum().clamp(min=1)).item()
        why = (
            f"in {int(lost.sum())} of {int(expected.sum())} pairs a real step does not depend on one of the real {axis}"
        )
        return Look(stage, axis, "gradient", size, "lost", why)

    def _has_gradient(self, name: str, value: Any) -> bool:
        declared = any(name in kind.values for kind in self.policy.padding.values())
        return declared and isinstance(value, Tensor) and value.is_floating_point()

    # ---------------------------------------------------------------------------------------------------- loss

    def _loss(self) -> Looks:
        base = self.base
        if base.loss is None:
            yield Look(LOSS_SUM, self.every_axis, "gradient", None, why="no loss was handed over")
            yield Look(LOSS_COUNT, self.every_axis, "unit error", None, why="no loss was handed over")
            return
        if not _finite(base.loss):
            yield Look(LOSS_SUM, self.every_axis, "read off", inf, "not finite", f"the loss is {base.loss.item()}")
            return
        if base.loss_of is None:
            yield from self._gradient_of_given_loss()
            why = "the loss was handed over as a number, not as a function of the prediction"
            yield Look(LOSS_COUNT, self.every_axis, "unit error", None, why=why)
            return
        start = base.prediction.detach()
        yield from self._gradient_of_loss(_gradient(base.loss_of, start + 1.5 * _signs(start).to(start)))
        yield from self._unit_error(start)

    def _gradient_of_given_loss(self) -> Looks:
        try:
            with torch.enable_grad():
                heard = self.policy.ask(self.given)
                gradient = torch.autograd.grad(heard.loss, heard.whole)[0][heard.part]
        except Exception as error:
            yield Look(LOSS_SUM, self.every_axis, "gradient", None, why=_reason(error))
            return
        yield from self._gradient_of_loss(gradient)

    def _gradient_of_loss(self, gradient: Tensor) -> Looks:
        if not _finite(gradient):
            yield Look(LOSS_SUM, self.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        size_of = gradient.abs().double().cpu()
        counts = size_of != 0
        for axis, where in self.regions.items():
            size = (size_of[where].sum() / size_of.sum().clamp(min=1e-300)).item()
            why = f"{int(counts[where].sum())} of {int(where.sum())} padded entries are fitted"
            self.fitted |= set(axis.split(" and ")) if size else set()
            yield Look(LOSS_SUM, axis, "gradient", size, why=why)
        lost = self.real & ~counts
        size = (lost.sum() / self.real.sum()).item()
        why = f"{int(lost.sum())} of {int(self.real.sum())} real entries do not count"
        yield Look(LOSS_SUM, self._axis_of(lost), "gradient", size, "lost", why)

    @torch.no_grad()
    def _unit_error(self, start: Tensor) -> Looks:
        loss_of = self.base.loss_of
        target = find_target(loss_of, start)
        if target is None:
            why = "no prediction was found at which the loss is smallest; hand over one that is zero there"
            yield Look(LOSS_COUNT, self.every_axis, "unit error", None, why=why)
            return
        none = loss_of(target)

        def of(where: Tensor) -> float:
            return (loss_of(target + where.to(target)) - none).item()

        whole = of(torch.ones_like(self.real))
        tolerance = max(1e-5, 8 * torch.finfo(target.dtype).eps)
        for axis, where in self.regions.items():
            part = of(where) / whole if whole else inf
            size = part if abs(part) > tolerance or part != part else 0.0
            yield Look(LOSS_SUM, axis, "unit error", size, why=f"padding makes {percent(size)} of the loss")
        off = abs(whole / self.unit_loss - 1)
        size = 0.0 if off <= tolerance else off
        self.counts_right = not size
        why = f"an error of 1 in every entry gives a loss of {whole:.4g}, expected {self.unit_loss:.4g}"
        yield Look(LOSS_COUNT, self.every_axis, "unit error", size, why=why)

    # ------------------------------------------------------------------------------------------------- compact

    @torch.no_grad()
    def _compact(self, cut: Axis | None) -> Looks:
        """Each sample alone; with `cut`, the samples that have padding there, alone and without it."""
        policy, column = self.policy, cut or OTHER_SAMPLES
        sizes, losses, weights = [], [], []
        try:
            for sample in self._with_something_left(cut):
                alone, real = policy.alone(self.given, sample, cut)
                heard = policy.ask(alone, part_of=policy.wanted_for(real))
                predicted = heard.prediction[policy.real_in(heard.prediction, real)]
                in_batch = self.base.prediction[sample][self.real[sample]]
                sizes.append(_apart(in_batch if cut is None else self.alone.get(sample, in_batch), predicted))
                losses.append(heard.loss)
                weights.append(len(in_batch))
                if cut is None:
                    self.alone[sample] = predicted
        except Exception as error:
            yield Look(PREDICTION, column, "compact", None, why=_reason(error))
            return
        size = max(sizes)
        yield Look(
            PREDICTION,
            column,
            "compact",
            size,
            why=_percent_of(size, "what is predicted for a sample, once it is alone,"),
        )
        if cut is not None and cut in policy.axes and self.loss_is_a_number and not size:
            yield from self._compact_loss(cut, torch.stack(losses), torch.tensor(weights))

    def _compact_loss(self, cut: Axis, losses: Tensor, weights: Tensor) -> Looks:
        """The batch's loss beside those of its samples alone, weighted by their real entries, or all alike."""
        whole, weights = self.base.loss.double(), weights.to(losses.device)
        ways = ((losses * weights).sum() / weights.sum(), losses.mean(), losses.sum())
        size = min(_apart(whole[None], way.double()[None]) for way in ways)
        stage = LOSS_SUM if cut in self.fitted else LOSS_COUNT
        if size and not self.fitted and self.counts_right:
            return  # Neither padding nor a wrong divisor: this loss weighs samples or groups in a way of its own.
        axis = cut if stage == LOSS_SUM else self.every_axis
        yield Look(stage, axis, "compact", size, why=_percent_of(size, "beside the samples alone, the loss"))

    # ------------------------------------------------------------------------------------------------- sampler

    def _sampler_steps(self, cuts: Sequence[Axis]) -> list[Callable[[], Iterable[Look]]]:
        first: dict[str, Any] = {}
        alone_of: dict[int, Tensor] = {}

        @torch.no_grad()
        def start() -> Looks:
            actions, drawn = self.policy.ask_sample(self.given_batch)
            given = with_draws(self.given_batch, drawn)
            if not _same(actions, self.policy.ask_sample(given)[0]):
                raise ValueError(f"sample: {NOT_REPEATABLE}")
            part = self.policy.wanted_for(self.policy.sampled_real())(actions)
            real = self.policy.real_in(actions[part], self.policy.sampled_real())
            first.update(actions=actions[part], given=given, part=part, real=real)
            if not _finite(actions[part][real]):
                yield Look(SAMPLER, self.every_axis, "read off", inf, "not finite", "sampled actions are not finite")
                return
            yield from self._read_off(actions[part], real)
            yield from self._held_at_zero(given, actions[part], real, part)

        @torch.no_grad()
        def perturb(axis: Axis) -> Looks:
            given = first["given"]
            changed = _changed(given, self.policy.places(axis, given), ~self.policy.padding[axis].real)
            try:
                other = self.policy.ask_sample(changed)[0][first["part"]]
            except Exception as error:
                yield Look(SAMPLER, axis, "perturb", None, why=_reason(error))
                return
            size = moved_by(first["actions"], other, first["real"])
            yield Look(SAMPLER, axis, "perturb", size, why=_percent_of(size, "what is sampled for real entries"))

        @torch.no_grad()
        def compact(cut: Axis | None) -> Looks:
            sizes = []
            try:
                for sample in self._with_something_left(cut):
                    alone, real = self.policy.alone(first["given"], sample, cut)
                    real = {axis: of_axis for axis, of_axis in real.items() if axis in self.policy.sample_along}
                    actions = self.policy.ask_sample(alone)[0]
                    actions = actions[self.policy.wanted_for(real)(actions)]
                    sampled = actions[self.policy.real_in(actions, real)]
                    in_batch = first["actions"][sample][first["real"][sample]]
                    sizes.append(_apart(in_batch if cut is None else alone_of.get(sample, in_batch), sampled))
                    if cut is None:
                        alone_of[sample] = sampled
            except Exception as error:
                yield Look(SAMPLER, cut or OTHER_SAMPLES, "compact", None, why=_reason(error))
                return
            size = max(sizes)
            why = _percent_of(size, "what is sampled for a sample, once it is alone,")
            yield Look(SAMPLER, cut or OTHER_SAMPLES, "compact", size, why=why)

        axes = [axis for axis in self.policy.padding if axis in self.policy.sample_along]
        later = [lambda axis=axis: perturb(axis) for axis in axes]
        later += [lambda cut=cut: compact(cut) for cut in [None, *cuts] if cut is None or cut in axes]
        return [start, *later]

    def _read_off(self, actions: Tensor, real: Tensor) -> Looks:
        place = self.policy.axes.get("dims")
        if place is None or "dims" not in self.policy.padding:
            return
        dims = self.policy.padding["dims"].real[:, : actions.shape[place]]
        padded = (~along(dims, actions.ndim, place)).expand_as(actions)
        if padded.any():
            scale = actions[real].double().square().mean().sqrt()
            held = actions[padded].double()
            size = inf if not _finite(held) else (held.square().mean().sqrt() / scale).item()
            why = f"padded dims of the sampled actions hold {size:.3g} times as much as real ones, expected 0"
            yield Look(SAMPLED, "dims", "read off", size, why=why)

    def _held_at_zero(self, given: Given, actions: Tensor, real: Tensor, part: tuple[slice, ...]) -> Looks:
        """Real dims that are 0 in every step, whatever the noise and everything else that is real."""
        for axis, kind in self.policy.padding.items():
            given = _changed(given, self.policy.places(axis, given), kind.real)
        try:
            moved = self.policy.ask_sample(given)[0][part] != actions
        except Exception:  # the same entries are changed in `perturb`, which says so
            return
        steps = self.policy.axes.get("steps")
        if "dims" not in self.policy.padding or steps is None or steps >= actions.ndim or not moved.any():
            return
        still = ((actions == 0) & ~moved | ~real).all(dim=steps, keepdim=True) & real
        size = (still.sum() / real.sum()).item()
        why = f"{int(still.sum())} of {int(real.sum())} real entries are sampled as 0, whatever is given"
        yield Look(SAMPLER, "dims", "perturb", size, "lost", why)

    # --------------------------------------------------------------------------------------------------- parts

    @torch.no_grad()
    def _control(self, axis: Axis) -> Heard | Exception:
        """Other numbers in what is real: if that moves nothing, padding cannot be called harmless."""
        try:
            real = self.policy.padding[axis].real
            return self.policy.ask(_changed(self.given, self.policy.places(axis, self.given), real))
        except Exception as error:
            return error

    def _with_something_left(self, cut: Axis | None) -> list[int]:
        """The samples that have anything real along `cut`: an empty prompt can not be cut down to its tokens."""
        if cut is None:
            return [*range(self.policy.batch_size)]
        return self.policy.padding[cut].real.any(dim=1).nonzero().flatten().tolist()

    def _repeatable(self, batch: dict[str, Any]) -> tuple[Heard, Given]:
        self.given_batch = batch
        first = self.policy.ask(batch)
        given = with_draws(batch, first.drawn)
        second = self.policy.ask(given)
        same = _same(first.prediction, second.prediction)
        if not same or (first.loss is not None and not _same(first.loss, second.loss)):
            raise ValueError(f"run: {NOT_REPEATABLE}")
        return second, given

    def _no_number(self) -> Looks:
        count = int((~torch.isfinite(self.base.prediction[self.real])).sum())
        why = f"{count} of {int(self.real.sum())} predictions of real entries are not finite"
        yield Look(PREDICTION, self.every_axis, "read off", inf, "not finite", why)
        yield Look(PREDICTION, self.every_axis, "perturb", None, why="there is no number to compare with")

    def _regions(self) -> dict[str, Tensor]:
        """Padded entries of the prediction: along one axis alone, and along several at once."""
        axes = {axis: self.policy.axes[axis] for axis in self.policy.padding if axis in self.policy.axes}
        of_axis = {}
        for axis, place in axes.items():
            real = self.policy.padding[axis].real[:, : self.real.shape[place]]
            of_axis[axis] = along(real, self.real.ndim, place).expand_as(self.real)
        regions = {}
        for axis in axes:
            others = [real for name, real in of_axis.items() if name != axis]
            regions[axis] = torch.stack([~of_axis[axis], *others]).all(dim=0)
        if len(axes) > 1:
            regions[" and ".join(axes)] = ~torch.stack([self.real, *regions.values()]).any(dim=0)
        return {axis: where for axis, where in regions.items() if where.any()}

    def _axis_of(self, lost: Tensor) -> str:
        """Along which axis real entries were lost: whole steps, whole dims, or neither."""
        for axis, place in self.policy.axes.items():
            if axis not in self.policy.padding or place >= lost.ndim:
                continue
            others = [other for other in range(1, lost.ndim) if other != place]
            lost_there, real_there = lost.sum(dim=others), self.real.sum(dim=others)
            if lost.any() and ((lost_there == 0) | (lost_there == real_there)).all():
                return axis
        return self.every_axis


# ------------------------------------------------------------------------------------------------------ comparisons

NOTHING_MOVES = "nothing in the batch moves a prediction, neither padding nor what is real; is a last layer still zero?"
NOT_REPEATABLE = (
    "got two answers to the same batch and the same draws, expected one. Does it draw outside of PyTorch, or keep a "
    "state from call to call? Hand noise and time over in the batch"
)


def moved_by(before: Tensor, after: Tensor, where: Tensor) -> float:
    """How far `after` is from `before` where `where` is True, in parts of `before`; 0 = it did not move, inf = NaN.

    Padding was changed and nothing else, so nothing real may move at all; what is let pass is 100 roundings, and in
    half precision, where roundings are large, hardly one.
    """
    where = where.to(before.device)
    return _relative(before[where], after[where], min(100 * torch.finfo(before.dtype).eps, 1e-3))


def _apart(one: Tensor, other: Tensor) -> float:
    """The same for two batches of different sizes, whose sums are added in another order: half of the digits count."""
    if one.shape != other.shape:
        return inf
    return _relative(one, other, sqrt(torch.finfo(one.dtype).eps))


def _relative(before: Tensor, after: Tensor, tolerance: float) -> float:
    before, after = before.double(), after.double()
    if not before.numel():
        return 0.0
    if not _finite(after):
        return inf
    gap = after - before
    if gap.abs().max() <= tolerance * before.abs().max():
        return 0.0
    return (gap.norm() / before.norm()).item() if before.norm() else inf


def _taps_moved(before: list[Tensor], after: list[Tensor], tap, where: Tensor) -> float:
    if len(before) != len(after) or not before:
        return inf
    entries = (_at_end(where, one, tap.place).expand_as(one) for one in before)
    return max(moved_by(one, other, at) for one, other, at in zip(before, after, entries, strict=True))


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) or (one.shape == other.shape and bool(torch.allclose(one, other, 0, 0, True)))


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())


# ---------------------------------------------------------------------------------------------------- other numbers


def _changed(given: Given, places: Mapping[str, int], where: Tensor) -> Given:
    """The same batch, with other numbers in the entries of `places`, where `where` is True."""
    changed = dict(given)
    for name, place in places.items():
        value = given[name]
        at = along(where, value.ndim, place).to(value.device)
        changed[name] = torch.where(at, _other(value), value)
    return changed


def _other(values: Tensor) -> Tensor:
    """Other numbers of the same size, each unlike the one in its place; of whole numbers, others that occur."""
    if not values.is_floating_point():
        known = values.unique()
        if len(known) < 2:
            known = torch.stack([known[0], known[0] + 1 if known[0] == 0 else known[0] - 1])
        step = 1 + (_signs(values).abs() - 1) * (len(known) - 1)
        return known[(torch.searchsorted(known, values) + step.long()) % len(known)]
    scale = values.detach()[torch.isfinite(values)].double().square().mean().sqrt().nan_to_num()
    return values.nan_to_num() + ((scale if scale > 0 else 1.0) * _signs(values)).to(values.dtype)


def _signs(like: Tensor) -> Tensor:
    """Between 1 and 2, of either sign, no two alike. A hash of places: a draw here would be taken for a policy's."""
    place = torch.arange(like.numel(), dtype=torch.float64, device=like.device).reshape(like.shape)
    size, sign = (torch.frac(torch.sin(place * rate + 1).abs() * 9973) for rate in (12.9898, 78.233))
    return (1 + size) * torch.where(sign < 0.5, -1.0, 1.0)


def _at_end(real: Tensor, output: Tensor, place: int) -> Tensor:
    """`real` along the axis `place` of `output`; if that is longer, its end is meant, and the rest is nobody's."""
    more = output.shape[place] - real.shape[1]
    if more < 0:
        raise ValueError(
            f"taps: got {output.shape[place]} entries along axis {place}, expected {real.shape[1]} or more"
        )
    real = torch.nn.functional.pad(real, (more, 0), value=False)
    return along(real, output.ndim, place).to(output.device)


# ------------------------------------------------------------------------------------------------------- the target


def find_target(loss_of: Callable[[Tensor], Tensor], start: Tensor) -> Tensor | None:
    """The prediction at which the loss is smallest, found from its gradient alone; None = it was not found.

    The gradient of a squared error is a straight line in each entry, and crosses 0 at the target: two gradients are
    enough. For other errors that grow either way, such as the absolute one, the crossing is closed in by halving.
    Entries that do not count keep their number.
    """
    first, second = _gradient(loss_of, start), _gradient(loss_of, start + 1)
    if not (_finite(first) and _finite(second)):
        return None
    slope = second - first
    counts = slope.abs() > 1e-6 * slope.abs().max().clamp(min=1e-300)
    target = torch.where(counts, start - first / torch.where(counts, slope, 1), start)
    if _is_target(loss_of, target):
        return target
    reach = 16 * (1 + start.abs().max())
    low, high = start - reach, start + reach
    at_low, at_high = _gradient(loss_of, low), _gradient(loss_of, high)
    counts = (at_low < 0) & (at_high > 0)
    for _ in range(60 if start.dtype == torch.float64 else 30):
        middle = (low + high) / 2
        too_low = _gradient(loss_of, middle) < 0
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    target = torch.where(counts, (low + high) / 2, start)
    return target if _is_target(loss_of, target) else None


def _is_target(loss_of: Callable[[Tensor], Tensor], target: Tensor) -> bool:
    """An error of 1 either way costs the same, and more than none."""
    none, more, less = (loss_of(target + error).detach().double() for error in (0.0, 1.0, -1.0))
    return bool((more > none) & ((more - less).abs() <= max(1e-4, 16 * torch.finfo(target.dtype).eps) * (more - none)))


def _gradients(asked: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `asked` depends on: zeros where it does not."""
    found = torch.autograd.grad(asked, [*tensors.values()], retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if one is None else one
        for (name, tensor), one in zip(tensors.items(), found, strict=True)
    }


def _by_place(gradient: Tensor, place: int) -> Tensor:
    """The size of a gradient for each sample and place: `batch, size`."""
    of_place = gradient.detach().abs().double().movedim(place, 1).cpu()
    return of_place.reshape(*of_place.shape[:2], -1).sum(dim=-1)


def _gradient(loss_of: Callable[[Tensor], Tensor], prediction: Tensor) -> Tensor:
    leaf = prediction.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(leaf)
    if not loss.requires_grad:  # it does not look at what it is given
        return torch.zeros_like(leaf)
    found = torch.autograd.grad(loss, leaf, allow_unused=True)[0]
    return torch.zeros_like(leaf) if found is None else found


# --------------------------------------------------------------------------------------------------------- in words


def _percent_of(size: float, what: str) -> str:
    return f"{what} moves by {percent(size)}" if size < inf else f"{what} becomes NaN or infinite"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
