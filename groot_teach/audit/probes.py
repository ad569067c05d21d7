"""The four probes: four ways to find out what a policy does with padding.

    perturb      other numbers in padding: does anything real move?
    compact      one sample alone, its padding cut off: does it get the same answer as in the batch?
    gradient     which entries of the prediction move the loss, and which entries of the batch the prediction?
    unit error   an error of 1 in every entry: is the loss 1?

No single probe is enough. Perturbing and compacting miss a wrong divisor that is the same for every sample, and real
entries that are left out; the unit error does not show where padding enters.

A NaN never counts as *did not move*. And *padding moves nothing* is reported only where a control run shows that
something could have moved: the same change made to real entries has to move what padding did not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import inf
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit.gradients import ask_with_graph, by_place, find_target, gradient_at, gradients
from groot_teach.audit.measure import (
    apart,
    at_end,
    changed,
    finite,
    moved_by,
    other_numbers,
    percent_of,
    reason,
    same,
    signs,
    such_as,
    taps_moved,
)
from groot_teach.audit.policy import NOT_REPEATABLE, Axis, Given, Heard, Policy, Tap, along, with_draws
from groot_teach.audit.reads import who_reads_what
from groot_teach.audit.report import LOSS_COUNT, LOSS_SUM, OTHER_SAMPLES, PREDICTION, SAMPLER, Look, percent
from groot_teach.audit.sampling import SamplerProbes

NOTHING_MOVES = "nothing in the batch moves a prediction, neither padding nor what is real; is a last layer still zero?"

Looks = Iterator[Look]


class Probes:
    """One audit: a policy, a batch, and the result of the first run.

    Raises:
        ValueError: the policy does not give the same answer to the same batch and the same draws.
    """

    def __init__(self, policy: Policy, batch: Mapping[str, Any], unit_loss: float):
        self.policy, self.unit_loss = policy, unit_loss
        with torch.no_grad():
            self.base, self.given = self._repeatable(dict(batch))
            self.real = policy.real_in(self.base.prediction)
        self.regions = self._regions()
        self.finite_loss = self.base.loss if self.base.loss is not None and finite(self.base.loss) else None
        self.controls = {axis: self._control(axis) for axis in policy.padding}
        self.moving = {  # axes along which what is real moves the prediction of a real entry
            axis
            for axis, heard in self.controls.items()
            if isinstance(heard, Heard) and moved_by(self.base.prediction, heard.prediction, self.real)
        }
        self.alone: dict[int, Tensor] = {}  # what is predicted for a sample alone, with its padding
        self.every_axis = policy.every_axis
        self.fitted: set[str] = set()  # axes along which padding counts in the loss
        self.counted = self.real  # the entries that the loss sums, as soon as the gradient has shown them
        self.counts_right: bool | None = None  # whether the loss has the right divisor; None = not known

    def steps(self) -> list[Callable[[], Iterable[Look]]]:
        """The parts of the audit, as functions. Their number grows with the kinds of padding and with the taps."""
        policy = self.policy
        if not finite(self.base.prediction[self.real]):
            return [self._no_number]
        todo: list[Callable[[], Iterable[Look]]] = [partial(self._perturb, axis) for axis in policy.padding]
        todo += [partial(self._perturb_tap, tap) for tap in policy.taps]
        todo += [self._gradient_of_prediction, partial(who_reads_what, policy, self.given, self.real), self._loss]
        cuts = [axis for axis in policy.padding if axis != "dims"]
        todo += [partial(self._compact, cut) for cut in [None, *cuts]]
        if policy.sample is None:
            return [*todo, lambda: [Look(SAMPLER, self.every_axis, "perturb", None, why="no sampler was handed over")]]
        return [*todo, *SamplerProbes(policy, self.given_batch).steps()]

    # ------------------------------------------------------------------------------------------------- perturb

    @torch.no_grad()
    def _perturb(self, axis: Axis) -> Looks:
        policy, control = self.policy, self.controls[axis]
        places, real = policy.places(axis, self.given), policy.padding[axis].real
        try:
            heard = policy.ask(changed(self.given, places, ~real))
            if isinstance(control, Exception):
                raise control
        except Exception as error:
            yield Look(PREDICTION, axis, "perturb", None, why=reason(error))
            return
        for tap in policy.taps:
            where = policy.padding[tap.axis].real
            before, after, moved = (run.tapped[tap.module] for run in (self.base, heard, control))
            if taps_moved(before, moved, tap, torch.ones_like(where)):
                size = taps_moved(before, after, tap, where)
                yield Look(tap.before, axis, "perturb", size, why=percent_of(size, f"what leaves {tap.module}"))
        size = moved_by(self.base.prediction, heard.prediction, self.real)
        if self.moving or size:
            yield Look(PREDICTION, axis, "perturb", size, why=percent_of(size, "what is predicted for real entries"))
            if axis == "tokens" and axis not in self.moving:
                why = f"nothing real in {' and '.join(map(repr, places))} moves what is predicted for a real entry"
                yield Look(PREDICTION, axis, "perturb", 1.0, "lost", why)
        else:
            yield Look(PREDICTION, axis, "perturb", None, why=NOTHING_MOVES)
        yield from self._perturb_loss(axis, heard, size)

    def _perturb_loss(self, axis: Axis, heard: Heard, prediction_moved: float) -> Looks:
        """The same prediction, other padding: does the loss move?"""
        if self.finite_loss is None:
            return
        if heard.loss_of is not None:
            other = heard.loss_of(self.base.prediction)
        elif prediction_moved:
            yield Look(LOSS_SUM, axis, "perturb", None, why="the prediction moves, and the loss is no function of it")
            return
        else:
            other = heard.loss_or_raise()
        size = moved_by(self.finite_loss[None], other[None], torch.ones(1, dtype=torch.bool))
        yield Look(LOSS_SUM, axis, "perturb", size, why=percent_of(size, "the loss of the same prediction"))

    @torch.no_grad()
    def _perturb_tap(self, tap: Tap) -> Looks:
        real = self.policy.padding[tap.axis].real

        def write(where: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
            return {
                tap.module: lambda output: torch.where(at_end(where, output, tap.place), other_numbers(output), output)
            }

        try:
            heard, control = (self.policy.ask(self.given, write=write(where)) for where in (~real, real))
        except Exception as error:
            yield Look(tap.behind, tap.axis, "perturb", None, why=reason(error))
            return
        size = moved_by(self.base.prediction, heard.prediction, self.real)
        if not moved_by(self.base.prediction, control.prediction, self.real):
            if not self.moving:
                yield Look(tap.behind, tap.axis, "perturb", None, why=NOTHING_MOVES)
                return
            why = f"nothing real in the output of {tap.module} moves what is predicted for a real entry"
            yield Look(tap.behind, tap.axis, "perturb", 1.0, "lost", why)
        yield Look(tap.behind, tap.axis, "perturb", size, why=percent_of(size, "what is predicted for real entries"))

    # ------------------------------------------------------------------------------------------------ gradient

    def _gradient_of_prediction(self) -> Looks:
        """Do predictions of real entries depend on no padding, and on everything that is real?"""
        policy = self.policy
        leaves = policy.leaves(self.given)
        if not leaves:
            return
        try:
            _, asked = ask_with_graph(policy, self.given | leaves, self.real)
            gradient = gradients(asked, leaves)
        except Exception as error:
            yield Look(PREDICTION, self.every_axis, "gradient", None, why=reason(error))
            return
        if not all(finite(one) for one in gradient.values()):
            yield Look(PREDICTION, self.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        for axis, kind in policy.padding.items():
            here = {name: place for name, place in kind.values.items() if name in gradient}
            yield from self._gradient_along(axis, here, gradient)

    def _gradient_along(self, axis: Axis, places: dict[str, int], gradient: dict[str, Tensor]) -> Looks:
        real = self.policy.padding[axis].real
        of_place = sum((by_place(gradient[name], place) for name, place in places.items()), torch.zeros(real.shape))
        if not of_place.any():
            return
        size = (of_place[~real].sum() / of_place.sum()).item()
        why = f"of all entries on which real predictions depend, padding has {percent(size)} of the gradient"
        yield Look(PREDICTION, axis, "gradient", size, why=why)
        if axis == "tokens" and "steps" in self.policy.axes:  # `reads` looks at that, for each step
            return
        unread = real & (of_place == 0)
        size = (unread.sum() / real.sum()).item()
        why = f"{int(unread.sum())} of {int(real.sum())} real {axis} have no effect on any real prediction"
        why += such_as(unread, {axis: 1})
        yield Look(PREDICTION, axis, "gradient", size, "lost", why)

    # ---------------------------------------------------------------------------------------------------- loss

    def _loss(self) -> Looks:
        base = self.base
        if base.loss is None:
            yield Look(LOSS_SUM, self.every_axis, "gradient", None, why="no loss was handed over")
            yield Look(LOSS_COUNT, self.every_axis, "unit error", None, why="no loss was handed over")
            return
        if not finite(base.loss):
            yield Look(LOSS_SUM, self.every_axis, "read off", inf, "not finite", f"the loss is {base.loss.item()}")
            return
        if base.loss_of is None:
            yield from self._gradient_of_given_loss()
            why = "the loss was handed over as a number, not as a function of the prediction"
            yield Look(LOSS_COUNT, self.every_axis, "unit error", None, why=why)
            return
        start = base.prediction.detach()
        yield from self._gradient_of_loss(gradient_at(base.loss_of, start + 1.5 * signs(start).to(start)))
        yield from self._unit_error(base.loss_of, start)

    def _gradient_of_given_loss(self) -> Looks:
        try:
            with torch.enable_grad():
                heard = self.policy.ask(self.given | self.policy.leaves(self.given))
                gradient = torch.autograd.grad(heard.loss_or_raise(), heard.whole)[0][heard.part]
        except Exception as error:
            yield Look(LOSS_SUM, self.every_axis, "gradient", None, why=reason(error))
            return
        yield from self._gradient_of_loss(gradient)

    def _gradient_of_loss(self, gradient: Tensor) -> Looks:
        if not finite(gradient):
            yield Look(LOSS_SUM, self.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        size_of = gradient.abs().double().cpu()
        counts = size_of != 0
        for axis, where in self.regions.items():
            size = (size_of[where].sum() / size_of.sum().clamp(min=1e-300)).item()
            why = f"{int(counts[where].sum())} of {int(where.sum())} padded entries are fitted"
            why += such_as(counts & where, self.policy.axes)
            self.fitted |= set(axis.split(" and ")) if size else set()
            yield Look(LOSS_SUM, axis, "gradient", size, why=why)
        lost = self.real & ~counts
        size = (lost.sum() / self.real.sum()).item()
        why = f"{int(lost.sum())} of {int(self.real.sum())} real entries do not count{such_as(lost, self.policy.axes)}"
        self.counted = counts
        yield Look(LOSS_SUM, self._axis_of(lost), "gradient", size, "lost", why)

    @torch.no_grad()
    def _unit_error(self, loss_of: Callable[[Tensor], Tensor], start: Tensor) -> Looks:
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
            size = 0.0 if abs(part) <= tolerance else part  # NaN is not below it
            yield Look(LOSS_SUM, axis, "unit error", size, why=f"padding makes {percent(size)} of the loss")
        off = abs(whole / self.unit_loss - 1)
        size = 0.0 if off <= tolerance else off
        self.counts_right = not size
        why = f"an error of 1 in every entry gives a loss of {whole:.4g}, expected {self.unit_loss:.4g}"
        yield Look(LOSS_COUNT, self.every_axis, "unit error", size, why=why)

    # ------------------------------------------------------------------------------------------------- compact

    @torch.no_grad()
    def _compact(self, cut: Axis | None) -> Looks:
        """Does each sample alone get the same prediction? With `cut`: alone, and without its padding along `cut`?"""
        policy, column = self.policy, cut or OTHER_SAMPLES
        sizes, losses, weights = [], [], []
        try:
            for sample in policy.with_something_left(cut):
                alone, real = policy.alone(self.given, sample, cut)
                heard = policy.ask(alone, part_of=policy.wanted_for(real))
                predicted = heard.prediction[policy.real_in(heard.prediction, real)]
                in_batch = self.base.prediction[sample][self.real[sample]]
                sizes.append(apart(in_batch if cut is None else self.alone.get(sample, in_batch), predicted))
                if self.finite_loss is not None:
                    losses.append(heard.loss_or_raise())
                weights.append(self._weight(sample, cut))
                if cut is None:
                    self.alone[sample] = predicted
        except Exception as error:
            yield Look(PREDICTION, column, "compact", None, why=reason(error))
            return
        size = max(sizes)
        yield Look(
            PREDICTION,
            column,
            "compact",
            size,
            why=percent_of(size, "what is predicted for a sample, once it is alone,"),
        )
        if cut is not None and cut in policy.axes and self.finite_loss is not None and not size:
            yield from self._compact_loss(cut, self.finite_loss, torch.stack(losses), torch.tensor(weights))

    def _compact_loss(self, cut: Axis, loss: Tensor, losses: Tensor, weights: Tensor) -> Looks:
        """Is the batch's loss the mean of its samples' losses (weighted by counted entries, or plain), or their sum?"""
        if not weights.any():
            return
        whole, weights = loss.double(), weights.to(losses.device)
        ways = ((losses * weights).sum() / weights.sum(), losses.mean(), losses.sum())
        size = min(apart(whole[None], way.double()[None]) for way in ways)
        stage = LOSS_SUM if cut in self.fitted else LOSS_COUNT
        if size and not self.fitted and self.counts_right:
            return  # This is neither padding nor a wrong divisor: the loss has its own weights for samples or groups.
        axis = cut if stage == LOSS_SUM else self.every_axis
        yield Look(stage, axis, "compact", size, why=percent_of(size, "beside the samples alone, the loss"))

    # --------------------------------------------------------------------------------------------------- parts

    @torch.no_grad()
    def _control(self, axis: Axis) -> Heard | Exception:
        """A run with other numbers in what is real. If that moves nothing either, nothing is known about padding."""
        try:
            real = self.policy.padding[axis].real
            return self.policy.ask(changed(self.given, self.policy.places(axis, self.given), real))
        except Exception as error:
            return error

    def _weight(self, sample: int, cut: Axis | None) -> int:
        """How many entries of one sample the loss counts; with `cut`, only those that are real along it."""
        counted = self.counted[sample : sample + 1]
        if cut is not None and cut in self.policy.axes:
            real = self.policy.padding[cut].real[sample : sample + 1]
            counted = counted & along(real, counted.ndim, self.policy.axes[cut])
        return int(counted.sum())

    def _repeatable(self, batch: dict[str, Any]) -> tuple[Heard, Given]:
        self.given_batch = batch
        first = self.policy.ask(batch)
        given = with_draws(batch, first.drawn)
        second = self.policy.ask(given)
        alike = same(first.prediction, second.prediction)
        if not alike or (first.loss is not None and not same(first.loss, second.loss_or_raise())):
            raise ValueError(f"run: {NOT_REPEATABLE}")
        return second, given

    def _no_number(self) -> Looks:
        broken = self.real & ~torch.isfinite(self.base.prediction).cpu()
        why = f"{int(broken.sum())} of {int(self.real.sum())} predictions of real entries are not finite"
        samples, axis = broken.flatten(1).any(dim=1), self.every_axis
        for kind in self.policy.padding.values():
            if samples.equal(kind.real.all(dim=1)):
                why += f", all in samples without padded {kind.axis}: is a mask upside down? It hides everything there"
                axis = kind.axis
            elif samples.equal(~kind.real.any(dim=1)):
                why += f", all in samples without real {kind.axis}: there is nothing left to read"
                axis = kind.axis
        yield Look(PREDICTION, axis, "read off", inf, "not finite", why)
        yield Look(PREDICTION, self.every_axis, "perturb", None, why="there is no number to compare with")

    def _regions(self) -> dict[str, Tensor]:
        """Padded entries of the prediction: along one axis alone, and along several at once."""
        axes: dict[Axis, int] = {
            axis: self.policy.axes[axis] for axis in self.policy.padding if axis in self.policy.axes
        }
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
