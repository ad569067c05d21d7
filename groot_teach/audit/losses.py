"""The probes of the loss: which entries of a prediction it counts, and what it divides by.

    gradient     which entries of the prediction move the loss?
    unit error   an error of 1 in every entry: is the loss 1?
    compact      each sample's own loss, alone: is it the same without its padding, also where it is smallest?

The gradient is asked at several predictions, because one that hits its target has none, and further away where that is
not enough, because a loss may be flat all around a trained prediction. And since each sample's own loss is compared,
nothing has to be known about how samples are weighted in a batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

import torch
from torch import Tensor

from groot_teach.audit.advice import FORGOTTEN_TARGETS
from groot_teach.audit.gradients import (
    depends_on_more,
    find_target,
    gradient_and_more,
    gradient_at,
    gradients,
    is_compared,
    is_detached,
)
from groot_teach.audit.measure import (
    apart,
    changed,
    finite,
    first_of,
    moved_by,
    percent_of,
    reason,
    signs,
    such_as,
    tolerance_of,
)
from groot_teach.audit.names import LOSS_COUNT, LOSS_SUM
from groot_teach.audit.policy import Given, Heard, Policy
from groot_teach.audit.report import Look, Step, percent

DETACHED = (
    "the loss is detached from the prediction: it moves with it and has no gradient. Return it without `.detach()`, "
    "`.item()`, `torch.tensor`, `torch.no_grad()` or `torch.inference_mode()`"
)
DROPS = (
    "dropout stands behind the prediction, so an error of 1 there is another one where the loss looks; set its rate to "
    "0 for the audit, or hand over the prediction behind it"
)
CHOOSES = (
    "those that count are others at each of them, so the loss chooses by value, as a winner that takes all, a "
    "truncation or the hardest half does; audit it without that choice, or excuse the gradient"
)
FLAT = (
    "the loss has no slope in any entry at the predictions that the policy gives; hand it over as a function of the "
    "prediction, or name the module that predicts, so that it can be asked at others"
)
UPSIDE_DOWN = "is a mask of {axis} upside down, or the `real` that you declared? True has to mean real"

Looks = Iterator[Look]
Alone = tuple[int, Heard, Tensor, Heard, Tensor]
"""A sample, what it gets alone, its real entries; what it gets without its padding, and its real entries there."""


class LossProbes:
    """The audit of one loss.

    Args:
        policy: the policy.
        given: its batch and draws.
        base: what it gave for them.
        real: which entries of its prediction are real and fitted.
        unit_loss: the loss of an error of 1 in every entry.
    """

    def __init__(self, policy: Policy, given: Given, base: Heard, real: Tensor, unit_loss: float):
        self.policy, self.given, self.base, self.real, self.unit_loss = policy, given, base, real, unit_loss
        self.finite_loss = base.loss if base.loss is not None and finite(base.loss) else None
        self.regions = self._regions()
        self.fitted: set[str] = set()  # axes along which padding counts in the loss
        self.counts_right: bool | None = None  # whether the loss has the right divisor; None = not known
        self.target: Tensor | None = None  # the prediction at which the loss is smallest, if it was found
        self.drops = False  # whether dropout behind the prediction hides some of it from the loss

    def steps(self) -> list[Step]:
        every = self.policy.every_axis
        return [Step(LOSS_SUM, every, "gradient", self._loss)]

    # ------------------------------------------------------------------------------------------------- perturb

    def perturbed(self, axis: str, heard: Heard, said: Tensor, prediction_moved: float) -> Looks:
        """The same prediction, other padding: does the loss move?"""
        if self.finite_loss is None:
            return
        if heard.loss_of is not None:
            other = heard.loss_of(said)
        elif prediction_moved:
            yield Look(LOSS_SUM, axis, "perturb", None, why="the prediction moves, and the loss is no function of it")
            return
        else:
            other = heard.loss_or_raise()
        size = self._loss_moved_by(self.finite_loss, other)
        if size and self.policy.dear and self.base.loss_of is not None:
            # A prediction that is put in has no derivative, and a loss may use that of the network: then two losses of
            # predictions that are put in are compared, and two of the network's own, if it predicts the same.
            size = self._loss_moved_by(self.base.loss_of(said), other)
            if not size and not prediction_moved:
                size = self._loss_moved_by(self.finite_loss, heard.loss_or_raise())
        yield Look(LOSS_SUM, axis, "perturb", size, why=percent_of(size, "the loss of the same prediction"))

    @staticmethod
    def _loss_moved_by(before: Tensor, after: Tensor) -> float:
        return moved_by(before[None], after[None], torch.ones(1, dtype=torch.bool))

    # ------------------------------------------------------------------------------------------------ gradient

    def _loss(self) -> Looks:
        base, every = self.base, self.policy.every_axis
        if base.loss is None:
            yield Look(LOSS_SUM, every, "gradient", None, why="no loss was handed over")
            yield Look(LOSS_COUNT, every, "unit error", None, why="no loss was handed over")
            return
        if not finite(base.loss):
            yield Look(LOSS_SUM, every, "read off", inf, "not finite", f"the loss is {base.loss.item()}")
            return
        if base.loss_of is None:
            yield from self._gradient_of_given_loss()
            why = "the loss was handed over as a number, not as a function of the prediction"
            yield Look(LOSS_COUNT, every, "unit error", None, why=why)
            return
        loss_of, start = base.loss_of, base.prediction.detach()
        if is_detached(loss_of, start):
            yield Look(LOSS_SUM, every, "gradient", None, why=DETACHED)
            yield Look(LOSS_COUNT, every, "unit error", None, why=DETACHED)
            return
        near, more = gradient_and_more(loss_of, start)
        self.policy.has_other_losses |= more
        if base.kept_loss_of is not None:
            kept = gradient_at(base.kept_loss_of, start)
            self.drops = bool((self.real.to(near.device) & (near == 0) & (kept != 0)).any())
            near, loss_of = (kept, base.kept_loss_of) if self.drops else (near, loss_of)
        beside = gradient_at(loss_of, start + 1)
        far = gradient_at(loss_of, start + 1.5 * signs(start).to(start))
        found = [far, near, beside]
        yield from self._gradient([*found, *self._elsewhere(loss_of, start, found)])
        if self.drops:
            yield Look(LOSS_COUNT, every, "unit error", None, why=DROPS)
        else:
            yield from self._unit_error(loss_of, start, near, beside)

    def _gradient_of_given_loss(self) -> Looks:
        """At the prediction that the policy gives, and at those that it gives if something real is another."""
        found = []
        try:
            for given in [self.given, *(self._with_other_reals(label) for label in self.policy.padding)]:
                with torch.enable_grad():
                    heard = self.policy.ask(given | self.policy.leaves(given))
                    if not heard.loss_or_raise().requires_grad:
                        yield Look(LOSS_SUM, self.policy.every_axis, "gradient", None, why=DETACHED)
                        return
                    found.append(torch.autograd.grad(heard.loss_or_raise(), heard.whole)[0][heard.part])
                if ((found[0] != 0) >= self.real.to(found[0].device)).all():
                    break  # every real entry counts: there is nothing to ask a second time
        except Exception as error:
            yield Look(LOSS_SUM, self.policy.every_axis, "gradient", None, why=reason(error))
            return
        yield from self._gradient(found)

    def _elsewhere(self, loss_of: Callable[[Tensor], Tensor], start: Tensor, found: Sequence[Tensor]) -> list[Tensor]:
        """More gradients, at predictions that do not begin at the policy's own, until every real entry counts at one.

        Near the logits of a trained policy a cross entropy is flat, and so is a hinge: they have a slope at 0, or on
        the other side of it.
        """
        more: list[Tensor] = []
        far, every_way = 16 * (1 + start[self.real.to(start.device)].abs().max()), signs(start).to(start)
        sizes = (0, 3, -3, 10, -10, far, -far)
        elsewhere = (*(torch.zeros_like(start) + size for size in sizes), -1.5 * every_way, 10 * every_way)
        for said in elsewhere:
            if not finite(found[0]) or not (self.real & ~_counts([*found, *more])).any():
                break
            try:
                more.append(gradient_at(loss_of, said))
            except Exception:  # a loss may refuse a prediction, such as a scale below 0: then the others have to do
                continue
        return more

    def _with_other_reals(self, label: str) -> Given:
        return changed(self.given, self.policy.places(label, self.given), self.policy.padding[label].real)

    def _gradient(self, found: Sequence[Tensor]) -> Looks:
        """Which entries count: those with a gradient at any of the predictions. Sizes are those at the first one."""
        policy = self.policy
        if not finite(found[0]):
            yield Look(LOSS_SUM, policy.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        sizes = [one.abs().double().cpu() for one in found if finite(one)]
        counts = _counts(found)
        for axis, where in self.regions.items():
            shares = [(one[where].sum() / one.sum().clamp(min=1e-300)).item() for one in sizes]
            size = next((share for share in shares if share), 0.0)
            why = f"{int(counts[where].sum())} of {int(where.sum())} padded entries are fitted"
            self.fitted |= set(axis.split(" and ")) if size else set()
            example = f"for example {first_of(counts & where, policy.named_places)}" if size else ""
            yield Look(LOSS_SUM, axis, "gradient", size, why=why, where=example)
        for axis, where in policy.read_only_in(self.base.prediction).items():
            shares = [(one[where].sum() / one.sum().clamp(min=1e-300)).item() for one in sizes]
            size = next((share for share in shares if share), 0.0)
            why = f"{int(counts[where].sum())} of {int(where.sum())} entries that are no target are fitted"
            yield Look(LOSS_SUM, axis, "gradient", size, why=why + such_as(counts & where, policy.named_places))
        lost = self.real & ~counts
        size = (lost.sum() / self.real.sum().clamp(min=1)).item()
        why = f"{int(lost.sum())} of {int(self.real.sum())} real entries do not count"
        example = such_as(lost, policy.named_places)
        why += example
        fitted = [axis for axis, where in self.regions.items() if counts[where].all()]
        if lost.equal(self.real) and fitted:  # the padding that is fitted along all of its axes says the most
            upside_down = max(fitted, key=len)
            why += f", and all that are padded along {upside_down} do: {UPSIDE_DOWN.format(axis=upside_down)}"
        axis = self._axis_of(lost)
        if size and not any(((one != 0) == counts)[self.real].all() for one in sizes):
            why = f"{int(lost.sum())} of {int(self.real.sum())} real entries count at none of {len(sizes)} predictions"
            yield Look(LOSS_SUM, axis, "gradient", None, "lost", f"{why}{example}; {CHOOSES}")
            return
        if self.base.loss_of is None and not counts.any():
            yield Look(LOSS_SUM, axis, "gradient", None, "lost", FLAT)
            return
        yield Look(LOSS_SUM, axis, "gradient", size, "lost", why, hint=self._forgotten(axis, lost))

    # ------------------------------------------------------------------------------------------------- targets

    def targets(self, heard: Heard, leaves: Mapping[str, Tensor]) -> Looks:
        """Is there a real place of a target that moves neither the prediction nor the loss?

        A second head may leave it out, which is not declared as the prediction. What moves the loss although the
        prediction is held, and meets no weight on its way there, is a target.

        Args:
            heard: what a run with gradients gave.
            leaves: the entries of the batch by which they can be taken.
        """
        if heard.loss is None or not heard.loss.requires_grad or heard.loss_of is None:
            return
        real = {name: self.policy.real_entries(name, leaf) for name, leaf in leaves.items()}
        moved = gradients(heard.loss, leaves)
        still = {name: real[name] & (one == 0).cpu() for name, one in moved.items()}
        if self.policy.dear and not any(one.any() for one in still.values()):
            return  # the next question is a whole run
        with torch.enable_grad():
            held = heard.loss_of(heard.prediction.detach())
        self.policy.has_other_losses |= depends_on_more(held, leaves.values())
        by_target = gradients(held, leaves) if held.requires_grad else {}
        compared = [
            name for name, one in by_target.items() if one.any() and is_compared(held, leaves[name], leaves.values())
        ]
        targets = {name: still[name] & (by_target[name] == 0).cpu() for name in compared}
        whole = {name: self.policy.whole_places(name, where) for name, where in targets.items()}
        lost = {name: found for name, found in whole.items() if found is not None}
        if not lost or self._moves_with({name: where for name, (_, where) in lost.items()}):
            return
        for name, (axis, where) in lost.items():
            size = (where.sum() / real[name].sum()).item()
            why = f"{int(where.sum())} of {int(real[name].sum())} real entries of {name!r} do not move the loss"
            yield Look(LOSS_SUM, axis, "gradient", size, "lost", why)

    @torch.no_grad()
    def _moves_with(self, entries: Mapping[str, Tensor]) -> bool:
        """Whether other numbers in these entries move the loss after all: a gradient may be 0 at one number alone."""
        other = self.given
        for name, where in entries.items():
            other = changed(other, {name: tuple(range(1, where.ndim))}, where)
        after = self.policy.ask(other).loss_or_raise()
        return self.finite_loss is None or bool(self._loss_moved_by(self.finite_loss, after))

    # ---------------------------------------------------------------------------------------------- unit error

    @torch.no_grad()
    def _unit_error(self, loss_of: Callable[[Tensor], Tensor], start: Tensor, near: Tensor, beside: Tensor) -> Looks:
        target = find_target(loss_of, start, near, beside)
        if target is None:
            why = "no prediction was found at which the loss is smallest; hand over one that is zero there"
            yield Look(LOSS_COUNT, self.policy.every_axis, "unit error", None, why=why)
            return
        self.target, none = target, loss_of(target).double()

        def of(where: Tensor) -> float:
            return (loss_of(target + where.to(target)).double() - none).item()

        # Errors of +1 and of -1: a target that is a little off makes one of them smaller and the other one larger.
        whole = (of(torch.ones_like(self.real)) + (loss_of(target - 1).double() - none).item()) / 2
        rounding = max(torch.finfo(target.dtype).eps, torch.finfo(loss_of(target).dtype).eps)
        tolerance = max(1e-5, 4 * rounding)
        for axis, where in self.regions.items():
            part = of(where) / whole if whole else inf
            size = 0.0 if abs(part) <= tolerance else part  # NaN is not below it
            yield Look(LOSS_SUM, axis, "unit error", size, why=f"padding makes {percent(size)} of the loss")
        off = abs(whole / self.unit_loss - 1)
        size = 0.0 if off <= tolerance else off
        self.counts_right = not size
        why = f"an error of 1 in every entry gives a loss of {whole:.4g}, expected {self.unit_loss:.4g}"
        yield Look(LOSS_COUNT, self.policy.every_axis, "unit error", size, why=why)

    # ------------------------------------------------------------------------------------------------- compact

    def without_padding(self, cut: str, alone: Sequence[Alone], *, moved: bool) -> Looks:
        """Has each sample alone the same loss with its padding and without it, if the same is predicted for it?"""
        if self.finite_loss is None:
            return
        sizes, gaps, axis = [], [], self.policy.padding[cut].axis
        for one in alone:
            pair = self._losses_of_the_same(cut, one, moved=moved)
            if pair is not None and finite(pair[1]):  # nothing real is left, for example, and the mean is 0 / 0
                sizes.append(apart(pair[0][None], pair[1][None], self.policy.precision))
                gaps.append((_gap(pair), one))
        if not sizes:
            return
        size = max(sizes)
        if not size:
            again = [one for _, one in gaps]
            if self.policy.dear:  # each question is a run: only what moved most is asked again, if it moved at all
                gap, widest = max(gaps, key=lambda found: found[0])
                again = [widest] if gap > 4 * self.policy.precision * widest[1].loss_or_raise().abs() else []
            size = max((self._moved_at_the_target(cut, one) for one in again), default=0.0)
        divided = size and axis not in self.fitted and not self.counts_right and self.policy.place_of(cut) is not None
        stage, axis = (LOSS_COUNT, self.policy.every_axis) if divided else (LOSS_SUM, axis)
        why = percent_of(size, "a sample's own loss for the same prediction, once its padding is cut off,")
        yield Look(stage, axis, "compact", size, why=why)

    def weights(self, alone: Mapping[int, tuple[Given, Heard, Tensor]]) -> Looks:
        """What are the weights of the samples in the batch's loss? Those of a mean add up to 1, those of a sum are 1.

        The gradient of the batch's loss by the prediction of a sample is that of the sample's own loss, times its
        weight. Where it is not, or where the weights depend on the prediction (as those of a root of a mean do), they
        are not known, and nothing is said. If the unit error has found the right divisor, there is nothing to ask.
        """
        if self.base.loss_of is None or self.counts_right or len(alone) < self.policy.batch_size:
            return
        start, found = self.base.prediction.detach(), []
        for factor in (1.5, -1.25):
            weights = self._weights_at(start + factor * signs(start).to(start), alone)
            if weights is None:
                return
            found.append(weights)
        tolerance = tolerance_of(start.dtype, self.policy.precision)
        total, gap = found[0].sum().item(), (found[1] / found[0] - 1).abs().max().item()
        if not gap <= tolerance:
            return
        is_mean, is_sum = abs(total - 1) <= tolerance, bool(((found[0] - 1).abs() <= tolerance).all())
        size = 0.0 if is_mean or is_sum else abs(total - 1)
        why = (
            f"the weights of the samples in the loss add up to {total:.4g}, expected 1 for a mean, or 1 each for a sum"
        )
        yield Look(LOSS_COUNT, self.policy.every_axis, "compact", size, why=why)

    def _weights_at(self, said: Tensor, alone: Mapping[int, tuple[Given, Heard, Tensor]]) -> Tensor | None:
        """The weight of each sample; None = they are not known."""
        in_batch, weights = gradient_at(self._asked(self.base), said), []
        for sample, (_, heard, real) in alone.items():
            if heard.loss_of is None or heard.prediction.shape[1:] != said.shape[1:]:
                return None
            real = real.to(said.device)[0]
            own = gradient_at(self._asked(heard), said[sample : sample + 1])[0][real].double()
            here = in_batch[sample][real].double()
            if not (finite(own) and finite(here)):
                return None
            weight = (own @ here) / (own @ own)  # NaN if the sample's own loss is flat, and then it is not known either
            if not (here - weight * own).norm() <= tolerance_of(said.dtype, self.policy.precision) * here.norm():
                return None
            weights.append(weight)
        return torch.stack(weights)

    # --------------------------------------------------------------------------------------------------- parts

    def _regions(self) -> dict[str, Tensor]:
        """Padded entries of the prediction: along one axis alone, and along several at once."""
        padded = self.policy.padded_in(self.base.prediction)
        regions = {}
        for axis, where in padded.items():
            others = [~other for name, other in padded.items() if name != axis]
            regions[axis] = torch.stack([where, *others]).all(dim=0)
        if len(padded) > 1:
            several = torch.stack([*padded.values()]).any(dim=0) & ~torch.stack([*regions.values()]).any(dim=0)
            regions[" and ".join(padded)] = several
        return {axis: where for axis, where in regions.items() if where.any()}

    def _axis_of(self, lost: Tensor) -> str:
        """Along which axis real entries were lost: whole steps, whole dims, or neither. Where all are lost, neither."""
        every = self.policy.every_axis
        if lost.equal(self.real):
            return every
        return next((axis for axis in self.policy.named_places if self._are_whole(lost, axis)), every)

    def _are_whole(self, lost: Tensor, axis: str) -> bool:
        """Whether real entries were lost, and with one of them always all of its place along this axis."""
        place = self.policy.named_places.get(axis, lost.ndim)
        if axis not in self.policy.padding or place >= lost.ndim or not lost.any():
            return False
        others = [other for other in range(1, lost.ndim) if other != place]
        lost_there, real_there = (one.sum(dim=others) if others else one for one in (lost, self.real))
        return bool(((lost_there == 0) | (lost_there == real_there)).all())

    def _forgotten(self, axis: str, lost: Tensor) -> str:
        """What the lost entries look like, if it is not the loss that is wrong: places that are no targets."""
        named = any(kind.targets is not None for kind in self.policy.padding.values() if kind.axis == axis)
        if axis == "dims" or named or lost.equal(self.real) or not self._are_whole(lost, axis):
            return ""
        return FORGOTTEN_TARGETS.format(axis=axis)

    def _losses_of_the_same(self, cut: str, alone: Alone, *, moved: bool) -> tuple[Tensor, Tensor] | None:
        """A sample's losses with and without its padding, if both times the same is predicted; None = that cannot be.

        Where each question is a whole run of the policy, the losses that these runs have given are taken if they will
        do.
        """
        _, one, _, other, _ = alone
        own = one.loss_or_raise(), other.loss_or_raise()
        if one.loss_of is None or other.loss_of is None:
            return None if moved else own
        if self.policy.dear and not moved and own[0]:
            return own
        return self._losses_at(cut, alone, one.prediction + 1.5 * signs(one.prediction).to(one.prediction))

    def _losses_at(self, cut: str, alone: Alone, said: Tensor) -> tuple[Tensor, Tensor] | None:
        """A sample's losses with and without its padding, if `said` is predicted; None = that cannot be."""
        sample, one, real, other, real_then = alone
        place, then = self.policy.place_of(cut), said
        if place is not None and said.shape[place[0]] == self.policy.padding[cut].real.shape[1]:
            then = said.index_select(place[0], self.policy.kept(cut, sample)[0].to(said.device))
        if then.shape != other.prediction.shape:
            if int(real.sum()) != int(real_then.sum()):
                return None
            then = other.prediction.clone()
            then[real_then.to(then.device)] = said[real.to(said.device)]
        return self._asked(one)(said), self._asked(other)(then)

    def _moved_at_the_target(self, cut: str, alone: Alone) -> float:
        """How far padding moves a sample's own loss where that is smallest: beside an error a small term is unseen."""
        sample, one, real, other, real_then = alone
        if self.target is None or self.target.shape[1:] != one.prediction.shape[1:] or not real.any():
            return 0.0
        target = self.target[sample : sample + 1]
        pair = self._losses_at(cut, alone, target)
        if pair is None:
            return 0.0
        gap, largest = _gap(pair), max(loss.abs().item() for loss in pair)
        # What the loss compares with may be rounded otherwise without padding, about as far as what is predicted.
        said, then = (heard.prediction.detach()[at] for heard, at in ((one, real), (other, real_then)))
        apart_by = (said - then).abs().max().item() if len(said) == len(then) else 0.0
        error = 4 * apart_by + 8 * self.policy.precision * (1 + target[real].abs().mean().item())
        allowed = tolerance_of(target.dtype, self.policy.precision) * largest + error * self.unit_loss
        return gap / largest if gap > allowed else 0.0

    def _asked(self, heard: Heard) -> Callable[[Tensor], Tensor]:
        """The function that says the loss of another prediction; without dropout, if that hides some of it."""
        loss_of = (self.drops and heard.kept_loss_of) or heard.loss_of
        assert loss_of is not None
        return loss_of


def _gap(pair: tuple[Tensor, Tensor]) -> float:
    one, other = (loss.detach().double() for loss in pair)
    return (one - other).abs().item()


def _counts(found: Sequence[Tensor]) -> Tensor:
    """Which entries have a gradient at any of the predictions; one that is not finite says nothing."""
    none = torch.zeros(found[0].shape, dtype=torch.bool)
    return torch.stack([none, *((one != 0).cpu() for one in found if finite(one))]).any(dim=0)
