"""The probes of the sampler: what a policy does with padding at inference, where there is no loss.

A policy may use its masks in training and not here, or the other way round.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property, partial
from math import inf

import torch
from torch import Tensor

from groot_teach.audit.gradients import by_place, gradients
from groot_teach.audit.measure import (
    apart,
    changed,
    distance,
    finite,
    in_samples,
    moved_by,
    moved_in,
    percent_of,
    reason,
    same,
    samples_with,
    signs,
    such_as,
)
from groot_teach.audit.names import OTHER_SAMPLES, SAMPLED, SAMPLER
from groot_teach.audit.policy import NOT_REPEATABLE, Given, Policy, along, with_draws
from groot_teach.audit.reads import ENDS, moves
from groot_teach.audit.report import Look, Step

Looks = Iterator[Look]

MAY_BE_ROUNDED = (
    "but actions are the same few numbers again and again, or do not move at all: they may be rounded, clipped or the "
    "largest of some scores. Let `sample` return what it has before that"
)

MOST_SAMPLED = 6
"""How many places of a sample are moved one by one at most, because a sampler runs its network many times. Of steps
only the ends are, the first and the last, since nothing else tells their masks apart."""


class SamplerProbes:
    """The audit of one sampler.

    Args:
        policy: the policy.
        moving: the kinds of padding of which something real moves the prediction in training.

    Raises:
        ValueError: it does not give the same actions for the same batch and the same draws.
    """

    @torch.no_grad()
    def __init__(self, policy: Policy, moving: Collection[str]):
        self.policy, self.moving = policy, moving
        actions, drawn = policy.ask_sample(policy.batch)
        self.given = with_draws(policy.batch, drawn)
        actions = policy.ask_sample(self.given)[0] if policy.redrawn else actions
        kinds = policy.sampled()
        self.part = policy.wanted_for(kinds, sampled=True)(actions)
        self.actions = actions[self.part]
        self.real = policy.real_in(self.actions, kinds)
        again, self._gradients = self._with_graph()
        # With a graph PyTorch may take another way to the same numbers, and round them otherwise.
        if (again is None or not same(actions, again)) and not same(actions, policy.ask_sample(self.given)[0]):
            raise ValueError(f"sample: {NOT_REPEATABLE}")
        self.leaked: dict[str, float] = {}  # how far padding moves what is sampled, by kind of padding
        self.unsure: dict[str, Look] = {}  # what padding moved, if its value may be what the policy masks by
        self._moved_by_way: dict[int, Tensor] = {}
        self.alone: dict[int, Tensor] = {}  # the actions sampled for each sample alone, with its padding

    def steps(self) -> list[Step]:
        """The parts of the sampler's audit."""
        policy, every = self.policy, self.policy.every_axis
        if not finite(self.actions[self.real]):
            look = Look(SAMPLER, every, "read off", inf, "not finite", "sampled actions are not finite")
            return [Step(SAMPLER, every, "read off", lambda: [look])]
        kinds = policy.sampled()
        todo = [Step(SAMPLED, "dims", "read off", self._read_off)]
        todo += [Step(SAMPLER, axis, "perturb", partial(self._held_at_zero, axis)) for axis in ("dims", "steps")]
        todo += [Step(SAMPLER, kind.axis, "perturb", partial(self._perturb, label)) for label, kind in kinds.items()]
        cut = [label for label in kinds if policy.can_be_cut(label)]
        rows = [label for label, kind in kinds.items() if kind.can_be_cut]
        todo += [Step(SAMPLER, kinds[label].axis, "perturb", partial(self._lost, label)) for label in rows]
        todo.append(Step(SAMPLER, OTHER_SAMPLES, "compact", partial(self._compact, None)))
        if policy.keeps_something:
            todo.append(Step(SAMPLER, OTHER_SAMPLES, "perturb", self._after_another_batch))
        return [*todo, *(Step(SAMPLER, kinds[label].axis, "compact", partial(self._compact, label)) for label in cut)]

    @torch.no_grad()
    def _perturb(self, label: str) -> Looks:
        """Other numbers in padding: do sampled actions move?"""
        kind = self.policy.padding[label]
        other = changed(self.given, self.policy.places(label, self.given), ~kind.real)
        try:
            actions = self.sampled(other)
        except Exception as error:
            yield Look(SAMPLER, kind.axis, "perturb", None, why=reason(error))
            return
        size = self.leaked[label] = moved_by(self.actions, actions, self.real)
        where = moved_in(self.actions, actions, self.real) if size else ""
        why = percent_of(size, "what is sampled for real entries")
        look = Look(SAMPLER, kind.axis, "perturb", size, why=why, where=where)
        if size and self.policy.value_may_be_the_mask(label, self.given):
            self.unsure[label] = look
        else:
            yield look

    def sampled(self, given: Given) -> Tensor:
        """The actions that are sampled for a batch, those of them that belong to it."""
        return self.policy.ask_sample(given)[0][self.part]

    def _lost(self, label: str) -> Looks:
        """Does every real token, and every real step, move what is sampled for its sample?

        Of steps only those are asked that move something in another sample: whether the others have to is not known.
        """
        policy, kind = self.policy, self.policy.padding[label]
        expected = kind.real & samples_with(self.real)[:, None]
        try:
            of_place = self._gradient(label)
            known = bool(of_place.any())
            suspected = expected & (of_place == 0) if known else expected
            reached, asked = of_place > 0, of_place > 0
            most = MOST_SAMPLED if policy.declared_place_of(label) is None else ENDS
            for again in (False, True):
                left = asked & ~reached if again else suspected
                for where, moved in moves(
                    policy, self.given, self.actions, self.sampled, label, left, again=again, most=most
                ):
                    reached |= where & samples_with(moved & self.real)[:, None]
                    asked |= where
        except Exception as error:
            yield Look(SAMPLER, kind.axis, "perturb", None, "lost", reason(error))
            return
        expected &= asked
        if policy.declared_place_of(label) is not None:
            expected &= (expected & reached).any(dim=0)
        elif not reached.any() and label not in self.moving:
            return  # training does not read them either: the probes of the prediction say that
        lost = expected & ~reached

        def told() -> str:
            return f"{int(lost.sum())} of {int(expected.sum())} real {kind.axis} do not move any sampled action"

        rounded = self._are_rounded(samples_with(lost)) if lost.any() else samples_with(lost)
        if rounded.any():
            yield Look(SAMPLER, kind.axis, "perturb", None, "lost", f"{told()}; {MAY_BE_ROUNDED}")
            expected &= ~rounded[:, None]
            lost &= ~rounded[:, None]
        if expected.any():
            size, why = (lost.sum() / expected.sum()).item(), told()
            yield Look(SAMPLER, kind.axis, "perturb", size, "lost", why + such_as(lost, {kind.axis: 1}))

    def _gradient(self, label: str) -> Tensor:
        """How far sampled actions depend on each place, by gradients; zeros for a sampler that keeps no graph."""
        kind, found = self.policy.padding[label], self._gradients
        parts = [by_place(found[name], place) for name, place in kind.values.items() if name in found]
        return sum(parts, torch.zeros(kind.real.shape)).nan_to_num(1.0)

    def _with_graph(self) -> tuple[Tensor | None, dict[str, Tensor]]:
        """What is sampled once more, and its gradient by each entry of the batch that has one, if there is a graph."""
        leaves, whole = self.policy.leaves(self.given), None
        try:
            with torch.enable_grad():
                whole = self.policy.ask_sample(self.given | leaves)[0]
                actions = whole[self.part]
                asked = (actions * signs(actions).to(actions)).where(self.real.to(actions.device), 0.0)
            return whole.detach(), gradients(asked, leaves) if leaves and asked.requires_grad else {}
        except Exception:  # no gradients: then places are moved
            return whole, {}

    @torch.no_grad()
    def _compact(self, cut: str | None) -> Looks:
        """Does each sample alone get the same actions? With `cut`: alone, and without its padding along `cut`?"""
        policy, sizes, gaps = self.policy, {}, [0.0]
        column = OTHER_SAMPLES if cut is None else policy.padding[cut].axis
        try:
            if cut is None:
                sizes = each_alone(policy, self.given, self._size_alone)
            for sample in policy.with_something_left(cut) if cut else ():
                sampled = self._sampled_alone(sample, cut)
                before = self.alone.get(sample, self.actions[sample][self.real[sample]])
                sizes[sample] = apart(before, sampled, policy.precision)
                gaps.append(distance(before, sampled))
        except Exception as error:
            yield Look(SAMPLER, column, "compact", None, why=reason(error) + policy.not_declared(cut))
            yield from self._decide(cut, None)
            return
        if cut is None and policy.batch_size == 1:
            return  # it is alone already, as a note says
        size = max(sizes.values())
        where = in_samples([sample for sample, moved in sizes.items() if moved], policy.batch_size)
        alone = "is alone" if cut is None else "is alone and its padding is cut off"
        why = percent_of(size, f"what a sample is given, once it {alone},")
        look = Look(SAMPLER, column, "compact", size, why=why, where=where)
        yield look if cut is not None and self.leaked.get(cut) else only_where_it_tells(policy, cut, look)
        yield from self._decide(cut, size, max(gaps))

    def _size_alone(self, sample: int) -> float:
        """How far actions move if their sample is alone."""
        self.alone[sample] = self._sampled_alone(sample, None)
        return apart(self.actions[sample][self.real[sample]], self.alone[sample], self.policy.precision)

    def _sampled_alone(self, sample: int, cut: str | None, *, holes: bool = False) -> Tensor:
        """What is sampled for the real entries of one sample alone, its padding along `cut` cut off."""
        policy = self.policy
        alone, kinds = policy.alone(self.given, sample, cut, holes=holes)
        kinds = policy.sampled(kinds)
        actions = policy.ask_sample(alone)[0]
        actions = actions[policy.wanted_for(kinds, sampled=True)(actions)]
        return actions[policy.real_in(actions, kinds)]

    def _decide(self, cut: str | None, moved: float | None, gap: float = 0.0) -> Looks:
        if cut in self.unsure:
            look, doubt = self.unsure[cut], ""
            if moved == 0:

                def without_holes(sample: int) -> float:
                    return apart(
                        self.alone[sample], self._sampled_alone(sample, cut, holes=True), self.policy.precision
                    )

                doubt = doubt_about_cutting(self.policy, cut, gap, look.size or 0.0, without_holes)
            decided = decided_by_cutting(look, moved, doubt)
            if not decided.size:
                self.leaked.pop(cut, None)
            yield decided

    @torch.no_grad()
    def _after_another_batch(self) -> Looks:
        """Are other actions sampled if the policy keeps what the same samples in another order have left?"""
        policy = self.policy
        try:
            batches = self.given, policy.in_another_order(self.given)
            again, other = (policy.after(one, lambda: self.sampled(self.given), self.sampled) for one in batches)
        except Exception as error:
            yield Look(SAMPLER, OTHER_SAMPLES, "perturb", None, why=reason(error))
            return
        size = moved_by(again, other, self.real)
        look = Look(SAMPLER, OTHER_SAMPLES, "perturb", size, why=percent_of(size, f"what is sampled{AFTER}"))
        yield told_by_what_is_kept(look, same(self.actions, again))

    def _read_off(self) -> Looks:
        """What do the padded dims of the sampled actions hold?"""
        place = self.policy.axes.get("dims")
        if not isinstance(place, int) or "dims" not in self.policy.padding or place >= self.actions.ndim:
            return
        dims = self.policy.padding["dims"].real[:, : self.actions.shape[place]]
        padded = (~along(dims, self.actions.ndim, place)).expand_as(self.actions)
        if padded.any():
            scale = self.actions[self.real].double().square().mean().sqrt()
            held = self.actions[padded].double()
            size = (held.square().mean().sqrt() / scale).item() if finite(held) else inf
            why = f"padded dims of the sampled actions hold {size:.3g} times as much as real ones, expected 0"
            yield Look(SAMPLED, "dims", "read off", size, why=why)

    @torch.no_grad()
    def _held_at_zero(self, axis: str) -> Looks:
        """Are there real dims (or steps) that are 0 in every step (or dim), whatever the noise and all that is real?"""
        other_axis = {"dims": "steps", "steps": "dims"}[axis]
        place = self.policy.axes.get(other_axis)
        known = axis in self.policy.padding and axis in self.policy.sample_along
        if not known or not isinstance(place, int) or place >= self.actions.ndim:
            return
        try:
            moved = self._all_moved != self.actions
        except Exception as error:
            yield Look(SAMPLER, axis, "perturb", None, "lost", reason(error))
            return
        if moved.any():
            still = self._still(moved, place)
            for way in (-1, 10, -10):  # what is rounded or clipped to 0 may need more to move
                if still.any():
                    moved = moved | self._moved_otherwise(way)
                    still = self._still(moved, place)

            def told() -> str:
                return f"{int(still.sum())} of {int(self.real.sum())} real entries are sampled as 0, whatever is given"

            rounded = self._are_rounded(samples_with(still)) if still.any() else samples_with(still)
            if rounded.any():
                yield Look(SAMPLER, axis, "perturb", None, "lost", f"{told()}; {MAY_BE_ROUNDED}")
                still = still & ~along(rounded[:, None], still.ndim, 1)
            if still.any() or not rounded.any():
                yield Look(SAMPLER, axis, "perturb", (still.sum() / self.real.sum()).item(), "lost", told())

    def _still(self, moved: Tensor, place: int) -> Tensor:
        """The real entries that are 0 and not moved, nor is any other along the axis `place`."""
        return ((self.actions == 0) & ~moved | ~self.real).all(dim=place, keepdim=True) & self.real

    @cached_property
    def _all_moved(self) -> Tensor:
        """The actions that are sampled if everything real is moved."""
        return self.sampled(self._everything_moved(1))

    def _everything_moved(self, way: int) -> Given:
        other = self.given
        for label, kind in self.policy.padding.items():
            other = changed(other, self.policy.places(label, other), kind.real, way)
        return other

    def _moved_otherwise(self, way: int) -> Tensor:
        """Which actions move if everything real is moved the other way, or further; none, if that cannot be run."""
        if way not in self._moved_by_way:
            try:
                after = self.sampled(self._everything_moved(way))
                moved = (after != self.actions) & after.isfinite()
            except Exception:
                moved = torch.zeros_like(self.real)
            self._moved_by_way[way] = moved
        return self._moved_by_way[way]

    @torch.no_grad()
    def _are_rounded(self, samples: Tensor) -> Tensor:
        """Of which of these samples all actions may be rounded or clipped, so that a small change need not move any.

        A number that is neither comes back in no other run. A dim that never moves says nothing.
        """
        try:
            after = self._all_moved
        except Exception:
            return torch.zeros_like(samples)
        place = self.policy.axes.get("dims")
        at = place if isinstance(place, int) and 0 < place < after.ndim else after.ndim - 1
        real = self.real.to(after.device)
        moved = real & (after != self.actions)
        again = torch.isin(after, self.actions[real]) | torch.isin(self.actions, after[real])
        exact = torch.zeros_like(samples)
        for of_dim, comes_again in zip(moved.unbind(at), (moved & again).unbind(at), strict=True):
            if not comes_again.any():
                exact |= samples_with(of_dim).cpu()
        return samples & ~exact


def each_alone(policy: Policy, given: Given, size_of: Callable[[int], float]) -> dict[int, float]:
    """How far the answer of each sample moves once it is alone.

    If it moves, or a run fails, entries that only happen to be as long as the batch may have been cut with it.
    """

    def asked() -> dict[int, float]:
        return {sample: size_of(sample) for sample in range(policy.batch_size)}

    def moved() -> float:
        try:
            return max(asked().values())
        except Exception:
            return inf

    error = None
    try:
        sizes = asked()
    except Exception as failed:
        sizes, error = {0: inf}, failed
    if max(sizes.values()) and policy.batch_size > 1 and policy.find_statistics(given, max(sizes.values()), moved):
        return asked()
    if error is not None:
        raise error
    return sizes


VALUE = "all padding holds one value that no real place has, so the policy may take the value for its mask"
HOLES = (
    f"{VALUE}; some of it lies between real places and cannot be cut off. If the policy does not look at the value, "
    "write values of real places into the padding of the batch; if it does, excuse `perturb`"
)
ROUNDED = (
    f"{VALUE}; cutting it off moves less than the tolerance and too much to be sure that nothing was read: audit the "
    "policy in float32"
)

RESIZED = (
    ", and other numbers in it move nothing: the policy may write its own into padded {axis} and count them, as a mean "
    "over the whole image does, or its positions may depend on the size. Divide by the number of real ones; if only "
    "positions move, excuse `{stage}, {axis}`"
)


def doubt_about_cutting(
    policy: Policy, cut: str, gap: float, moved: float, without_holes: Callable[[int], float]
) -> str:
    """Why nothing is known although cutting off padding has moved no more than the tolerance; "" = it is known.

    Args:
        policy: the policy.
        cut: the kind of padding that was cut off.
        gap: how far the answer was moved by that, whatever the tolerance.
        moved: how far other numbers in padding move the answer. Padding that is read moves it about as far once it is
            cut off, and rounding much less.
        without_holes: takes a sample and returns how far its answer moves if padding between real places goes too.
    """
    if moved < 10 * gap:
        return ROUNDED
    if policy.has_holes(cut):
        try:
            if any(without_holes(sample) for sample in policy.with_something_left(cut)):
                return HOLES  # what is behind stands at other places now, and may have moved because of that
        except Exception:
            return HOLES
    return ""


UNCLEAR = (
    "{names} of the batch is as long as the batch has samples. If it holds a number of each, a sample alone gets "
    "another answer; if it holds something else, such as a mean, it does not. Audit a batch of another size, or let "
    "`run` know it from elsewhere than the batch"
)
AFTER = ", once another batch of the same shape has come before it,"
KEPT_BY_SHAPE = (
    "the policy keeps something of a batch and takes it for the next one, such as a mask that is kept by its shape: "
    "make it anew for each batch"
)
MOVES_ON = (
    "but so it does after the batch itself: the policy goes on from call to call. Let `run` and `sample` put it back "
    "first, as a `reset()` does, or audit it in eval mode"
)


def told_by_what_is_kept(look: Look, is_steady: bool) -> Look:
    """What an earlier batch moved. Nothing is known if the batch itself does so too: it is not `is_steady` then."""
    if not look.size:
        return look
    return replace(look, hint=KEPT_BY_SHAPE) if is_steady else replace(look, size=None, why=f"{look.why} {MOVES_ON}")


def only_where_it_tells(policy: Policy, cut: str | None, look: Look) -> Look:
    """What moved once padding was cut off; not looked at, if that may be for another reason than that it was read."""
    if cut is None and policy.unclear:
        return replace(look, size=None, why=UNCLEAR.format(names=" and ".join(map(repr, sorted(policy.unclear)))))
    if cut is None or not look.size or policy.padding[cut].real.ndim == 2:
        return look
    return replace(look, size=None, why=f"{look.why}{RESIZED.format(stage=look.stage, axis=look.axis)}", where="")


def decided_by_cutting(look: Look, moved: object, doubt: str = "") -> Look:
    """What `perturb` saw, if the policy may know its padding by its value.

    Args:
        look: what `perturb` saw.
        moved: whether anything moves if the padding is cut off; None = it could not be cut off.
        doubt: why nothing is known although nothing moved.
    """
    if not look.size or moved:
        return look
    if moved is None or doubt:
        return replace(look, size=None, why=doubt or VALUE, where="")
    return replace(look, size=0.0, why=f"{VALUE}; without the padding nothing changes", where="")
