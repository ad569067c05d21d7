"""Does each predicted step depend on every real step and token?

A mask that hides too much passes every test for leaks. It shows here: a real step does not depend on a real token, or
on another real step.

Gradients say for all places at once on what a prediction depends. Where they cannot look, because the entries are whole
numbers or a part of the policy is detached, one real place after the other is moved, and so is each place that seems to
be lost, before it is called so.

A layer in which tokens read each other makes every step depend on every token. So the question is asked once more for
the output of such a layer, at a tap behind it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from groot_teach.audit.advice import FORGOTTEN_DOCUMENTS, FORGOTTEN_TARGETS, MAY_BE_CAUSAL
from groot_teach.audit.gradients import ask_with_graph, by_place, gradients
from groot_teach.audit.measure import at_end, changed, reason, samples_with, such_as
from groot_teach.audit.names import PREDICTION, Probe
from groot_teach.audit.policy import Given, Heard, Places, Policy, Tap, along, decided_otherwise, nothing_dropped
from groot_teach.audit.report import Look

MOST = 16
"""How many places of a sample are moved one by one at most: the first one, the last one, and some between, which are
others in each sample. A note says how many are left out."""
ENDS = 2
"""The first place and the last one: nothing is left out if no more than these are asked for."""

A_CHOICE = (
    "; but the policy draws a choice from probabilities, and one of the {axis} alone may not tip it. Audit it once "
    "with the probabilities in place of the choice, as a straight-through gradient has them"
)
"""Why a place that seems to be lost may be read all the same."""

Moved = tuple[Tensor, Tensor]
"""Which places were moved (`batch, *size`, at most one in each sample), and which entries of an answer moved then."""


@dataclass(frozen=True, eq=False)
class Reach:
    """On what the predictions depend, at one stage.

    Attributes:
        stage: the stage.
        label: the kind of padding that the places have, on which a predicted step may depend.
        reach: `batch, step, size`, bool, True = this predicted step depends on that place.
        asked: `batch, size`, bool, True = it is known of this place who depends on it.
        probe: how that was found.
    """

    stage: str
    label: str
    reach: Tensor
    asked: Tensor
    probe: Probe = "gradient"


def who_reads_what(policy: Policy, given: Given, base: Heard, real: Tensor) -> Iterator[Look]:
    """A look for each stage: which real steps do not depend on a real step or token, though they should?

    Every step should read every token. If one step reads another in any sample, it should read it in every sample that
    has both, unless all samples are alike once places are counted from the first or the last real one, and all steps
    read that one. If it reads it in no sample, the mask may be causal, and that is not reported; but a place that no
    other step reads should be read by steps as far away as those that read all other places. If any step reads its own
    place, all should. Steps that are only given to be read, and are no target, are compared with such steps alone, and
    each of them should be read by some step behind it.

    Args:
        policy: the policy.
        given: the batch and its draws.
        base: what the policy predicts for them.
        real: which entries of the prediction are real and fitted.
    """
    place = policy.main
    if place is None or place >= real.ndim:
        return
    steps = real.movedim(place, 1).flatten(2).any(dim=2) if real.ndim > 2 else real
    try:
        try:
            found = _by_gradient(policy, given, real, steps)
        except Exception as error:  # no gradients: then places are moved, but nothing behind a tap is
            for tap in policy.taps:
                yield Look(tap.behind, tap.axis, "gradient", None, "lost", reason(error))
            found = []
        seen = {one.label for one in found if one.stage == PREDICTION and one.reach.any()}
        unseen = [label for label in policy.padding if policy.is_read_by_steps(label) and label not in seen]
        found = [one for one in found if one.stage != PREDICTION or one.label in seen]
        found += [_by_moving(policy, given, base, real, label, policy.padding[label].real) for label in unseen]
    except Exception as error:
        yield Look(PREDICTION, policy.main_axis, "gradient", None, "lost", reason(error))
        return
    for one in found:
        lost, expected = _lost(one, policy, base.prediction, steps)
        for again in (False, True):
            if one.stage != PREDICTION or not lost.any() or (one.probe == "perturb" and not again):
                continue
            moved = _by_moving(policy, given, base, real, one.label, lost.any(dim=1), again=again)
            one = replace(one, reach=one.reach | moved.reach)
            lost, expected = _lost(one, policy, base.prediction, steps)
        if expected.any():
            axis = policy.padding[one.label].axis
            size = (lost.sum() / expected.sum()).item()
            pairs = f"{int(lost.sum())} of {int(expected.sum())} pairs"
            single = policy.main_axis.removesuffix("s")
            why = f"in {pairs} a real {single} does not depend on one of the real {axis}"
            where = such_as(lost, {policy.main_axis: 1, f"{axis} ": 2})
            if size and policy.chooses:
                yield Look(one.stage, axis, one.probe, None, "lost", why + where + A_CHOICE.format(axis=axis))
                continue
            hint = _forgotten(one, lost, policy).format(axis=axis, main=policy.main_axis, stage=one.stage)
            yield Look(one.stage, axis, one.probe, size, "lost", why + where, hint=hint)


def lost_places(
    policy: Policy, given: Given, base: Heard, real: Tensor, label: str, of_place: Tensor
) -> Iterator[Look]:
    """Which real places have no effect on any real prediction of their sample?

    Args:
        policy, given, base, real: as in `who_reads_what`.
        label: the kind of padding that the places have.
        of_place: the gradient of the predictions by each place, as `gradients.by_place` gives it; 0 = unknown.
    """
    kind, known = policy.padding[label], bool(of_place.any())
    with_targets = samples_with(real).reshape(-1, *[1] * (kind.real.ndim - 1))
    expected = kind.real & with_targets
    suspected = expected & (of_place == 0)
    expected &= ~suspected | _chosen(suspected)  # of those that seem lost, some are moved
    reached = torch.zeros_like(expected)
    try:
        for again in (False, True):
            for where, moved in moves(
                policy, given, base.prediction, _predict(policy), label, suspected & ~reached, again=again
            ):
                in_sample = samples_with(moved & real)
                reached |= where & in_sample.reshape(-1, *[1] * (where.ndim - 1))
    except Exception as error:
        yield Look(PREDICTION, kind.axis, "perturb", None, "lost", reason(error))
        return
    if not known and not reached.any():
        return  # nothing at all is read: `perturb` says that
    unread = expected & (of_place == 0) & ~reached
    size = (unread.sum() / expected.sum().clamp(min=1)).item()
    why = f"{int(unread.sum())} of {int(expected.sum())} real {kind.axis} have no effect on any real prediction"
    why += such_as(unread, dict(zip(kind.axis.split(" and "), range(1, kind.real.ndim), strict=False)))
    may_be_read = bool(size) and policy.chooses
    why += A_CHOICE.format(axis=kind.axis) if may_be_read else ""
    yield Look(PREDICTION, kind.axis, "gradient" if known else "perturb", None if may_be_read else size, "lost", why)


def moves(
    policy: Policy,
    given: Given,
    before: Tensor,
    ask: Callable[[Given], Tensor],
    label: str,
    asked: Tensor,
    *,
    again: bool = False,
    most: int = MOST,
) -> Iterator[Moved]:
    """Moves one of the `asked` places of each sample at a time, and says which entries of the answer move with it.

    A run that fails because of the other number depends on it, so everything in it counts as moved.

    Args:
        policy: the policy.
        given: the batch and its draws.
        before: the answer to them.
        ask: takes such a batch, and returns the answer.
        label: the kind of padding that the places have.
        asked: `batch, *size`, True = this place is moved.
        again: the places have been moved once. They are moved the other way, and both ways among places that are all
            alike and of which none is dropped: sharp attention can round a small weight to 0, and among places that are
            alike no weight is small. And they are moved where everything that is drawn decides the other way.
        most: how many places of a sample are moved: the first one, the last one, and some between.

    Raises:
        Exception: all of these runs fail.
    """
    ways = [(given, 1)]
    if again:
        alike = _all_alike(policy, nothing_dropped(given), label)
        ways = [(given, -1), (alike, 1), (alike, -1)]
        otherwise = decided_otherwise(given)
        ways += [] if otherwise is None else [(otherwise, 1)]
    places, errors, rounds = policy.places(label, given), [], 0
    if (several := int(asked.flatten(1).sum(dim=1).max())) > most > ENDS:
        policy.left_unmoved.setdefault((policy.padding[label].axis, most), several)
    with torch.no_grad():
        for start, way in ways if asked.any() else []:
            first = before if start is given else ask(start)
            for where in _one_by_one(asked, most):
                rounds += 1
                try:
                    after = ask(changed(start, places, where, way))
                    moved = after != first if after.shape == first.shape else torch.ones_like(first, dtype=torch.bool)
                except Exception as error:
                    errors.append(error)
                    moved = torch.ones_like(first, dtype=torch.bool)
                yield where, moved.cpu()
    if errors and len(errors) == rounds:
        raise errors[0]


def _all_alike(policy: Policy, given: Given, label: str) -> Given:
    """The batch with all real places of a kind replaced by their mean, where they are numbers with a mean."""
    other, kind = dict(given), policy.padding[label]
    for name, place in policy.places(label, given).items():
        if given[name].is_floating_point() and kind.real.ndim == 2:
            kept = along(kind.real, given[name].ndim, place).to(given[name].device)
            other[name] = _mean_where(given[name], kept, place)
    return other


def _predict(policy: Policy) -> Callable[[Given], Tensor]:
    return lambda given: policy.ask(given).prediction


def _one_by_one(asked: Tensor, most: int = MOST) -> Iterator[Tensor]:
    """For each round a mask like `asked`, with one place of each sample, until all chosen places have been there."""
    flat = asked.flatten(1)
    several = [row.nonzero().flatten().tolist() for row in flat]
    longer = [sample for sample, places in enumerate(several) if len(places) > most]
    chosen = several.copy()
    for rank, sample in enumerate(longer):
        chosen[sample] = _some_of(several[sample], most, rank / len(longer))
    for turn in range(max(map(len, chosen), default=0)):
        where = torch.zeros_like(flat)
        for sample, places in enumerate(chosen):
            if turn < len(places):
                where[sample, places[turn]] = True
        yield where.view_as(asked)


def _some_of(places: list[int], most: int, shift: float) -> list[int]:
    """The first place, the last one, and some between; `shift` = 0.5 takes those half way to the next.

    What a mask hides often lies at the same place in each sample. So the samples together leave out as few as they can.
    """
    first, *between, last = places
    more = most - ENDS
    return [first, *(between[int(len(between) * (at + shift) / more)] for at in range(more)), last]


def _chosen(asked: Tensor) -> Tensor:
    """The places that `_one_by_one` visits."""
    return torch.stack([*_one_by_one(asked)]).any(dim=0) if asked.any() else asked


def _lost(found: Reach, policy: Policy, prediction: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a step and a place should depend and do not, and which should."""
    kind = policy.padding[found.label]
    pairs = steps[:, :, None] & (kind.real & found.asked)[:, None] & policy.same_document(found.label, prediction)
    if policy.place_of(found.label) != (policy.main,):
        expected = pairs & found.reach.any()
        return expected & ~found.reach, expected
    expected = torch.zeros_like(pairs)
    for read_only in (kind.real & ~kind.fitted, kind.fitted):
        alike = pairs & read_only[:, None]
        wanted = alike & (alike & found.reach).any(dim=0) | _hidden_from_all(alike, found.reach)
        lost = bool((wanted & ~found.reach).any())
        expected |= alike & found.reach if lost and _is_told_by_an_end(alike, found.reach) else wanted
    given = pairs & (kind.real & ~kind.fitted)[:, None]
    behind = given & torch.ones(pairs.shape[1:], dtype=torch.bool).tril()
    expected |= behind & ~(given & found.reach).any(dim=1, keepdim=True)
    if pairs.shape[1] == pairs.shape[2]:
        own = pairs & torch.eye(pairs.shape[1], dtype=torch.bool)
        expected |= own & (own & found.reach).any()
    return expected & ~found.reach, expected


def _hidden_from_all(pairs: Tensor, reach: Tensor) -> Tensor:
    """Pairs of a place that no other step reads, though steps as far away read each of the places that somebody reads.

    A mask that is causal, a window or made of blocks hides some distances, or none from its first place on. It hides no
    single place from steps at a distance at which all others are read. Two of those at least have to show that, and
    most places have to be read: what is read by all, such as a global token, tells nothing of the rest.
    """
    step, place = (torch.arange(size) for size in pairs.shape[1:])
    distance = step[:, None] - place
    asked = pairs.any(dim=0) & (distance != 0)
    read = (pairs & reach).any(dim=0) & asked
    could = asked & torch.isin(distance, distance[read])
    hidden = could.any(dim=0) & ~read.any(dim=0)
    expected = torch.zeros_like(could)
    if 2 * hidden.sum() < asked.any(dim=0).sum():
        for far in distance[could].unique():
            others = could & ~hidden & (distance == far)
            if others.sum() > 1 and read[others].all():
                expected |= could & hidden & (distance == far)
    return pairs & expected


def _is_told_by_an_end(pairs: Tensor, reach: Tensor) -> bool:
    """Whether steps read the first real place of each sample, or its last one, and otherwise the same everywhere.

    Counted from that end nothing is lost, such as of a policy that is given its goal by the last real state. Counted
    from the first place something would be, since the end lies elsewhere in each sample.
    """
    if pairs.shape[1] != pairs.shape[2]:
        return False
    there = pairs.any(dim=1) & pairs.any(dim=2)
    for last in (False, True):
        ends = [int(rows.nonzero()[-1 if last else 0]) if rows.any() else 0 for rows in there]
        if len({end for end, rows in zip(ends, there, strict=True) if rows.any()}) < 2:
            continue  # counted from an end that is the same in all samples, as much is lost as counted from the first
        asked, read = (
            torch.stack([one.roll((-end, -end), (0, 1)) for one, end in zip(entries, ends, strict=True)])
            for entries in (pairs, pairs & reach)
        )
        if not (asked & read.any(dim=0) & ~read).any() and (read | ~asked)[:, :, 0].all() and asked.any():
            return True
    return False


def _forgotten(found: Reach, lost: Tensor, policy: Policy) -> str:
    """What the lost pairs look like, if it is not the policy that is wrong: a declaration that is not there."""
    kind = policy.padding[found.label]
    if policy.place_of(found.label) != (policy.main,):
        return MAY_BE_CAUSAL if _end_later_and_later(lost, found.reach) else ""
    if kind.documents is None and _lie_between_groups(lost, found.reach):
        return FORGOTTEN_DOCUMENTS
    looks_ahead = torch.ones(lost.shape[1:], dtype=torch.bool).triu(1)  # as a prompt does, in front of what is learnt
    return FORGOTTEN_TARGETS if kind.targets is None and not (lost & ~looks_ahead).any() else ""


def _end_later_and_later(lost: Tensor, reach: Tensor) -> bool:
    """Whether each step reads all places up to one and none behind it, further than the steps in front of it."""
    last = (torch.arange(1, reach.shape[2] + 1) * reach).amax(dim=2)
    no_gap = not (lost & (torch.arange(reach.shape[2]) < last[..., None])).any()
    by_step = last.amax(dim=0)
    same = ~lost.any(dim=2) | (last == by_step)
    return no_gap and bool(same.all()) and bool((by_step.diff() >= 0).all())


def _lie_between_groups(lost: Tensor, reach: Tensor) -> bool:
    """Whether rows fall into groups of neighbours, none of which reads another, and lost pairs are of two groups."""
    for missing, reached in zip(lost, reach, strict=True):
        low, high = reached.nonzero().sort(dim=1).values.unbind(1)
        size = 1 + max(reached.shape)
        crossing = (low + 1).bincount(minlength=size) - (high + 1).bincount(minlength=size)  # begun and ended so far
        group = (crossing.cumsum(0) == 0).cumsum(0)
        step, place = missing.nonzero().unbind(1)
        if (group[step] == group[place]).any():
            return False
    return True


def _by_moving(
    policy: Policy, given: Given, base: Heard, real: Tensor, label: str, asked: Tensor, *, again: bool = False
) -> Reach:
    """What each step depends on, found by moving one place at a time."""
    place = policy.main
    assert place is not None
    count = base.prediction.shape[place]
    reach = torch.zeros(len(asked), count, asked.shape[1], dtype=torch.bool)
    chosen = torch.zeros_like(asked)
    for where, moved in moves(policy, given, base.prediction, _predict(policy), label, asked, again=again):
        moved = (moved & real).movedim(place, 1)
        of_step = moved.flatten(2).any(dim=2) if moved.ndim > 2 else moved
        reach |= of_step[:, :, None] & where[:, None]
        chosen |= where
    return Reach(PREDICTION, label, reach, chosen, "perturb")


def _by_gradient(policy: Policy, given: Given, real: Tensor, steps: Tensor) -> list[Reach]:
    first = _reaches(policy, given, real, alike=False)
    if not any(_lost(one, policy, real, steps)[0].any() for one in first):
        return first
    # Sharp attention can round a small weight to 0, and dropout cuts pairs by chance. Among tokens that are all alike,
    # no weight is small.
    second = _reaches(policy, nothing_dropped(given), real, alike=True)
    return [replace(one, reach=one.reach | other.reach) for one, other in zip(first, second, strict=True)]


def _reaches(policy: Policy, given: Given, real: Tensor, alike: bool) -> list[Reach]:
    """What each step depends on, by gradients. `alike`: after each real step or token is replaced by their mean."""
    places: dict[str, Mapping[str, Places]] = {
        label: policy.padding[label].values for label in policy.padding if policy.is_read_by_steps(label)
    }
    leaves = policy.leaves(given)
    if alike:
        for label, values in places.items():
            for name in values.keys() & leaves.keys():
                kept = along(policy.padding[label].real, leaves[name].ndim, values[name]).to(leaves[name].device)
                leaves[name] = _mean_where(leaves[name].detach(), kept, values[name]).requires_grad_()
    write = {tap.module: lambda output, tap=tap: _alike(output, tap, policy) for tap in policy.taps} if alike else {}
    if not leaves:
        return []
    heard, asked = ask_with_graph(policy, given | leaves, real, write=write)
    if not asked.requires_grad:
        return []
    sources: dict[tuple[str, str], dict[str, tuple[Tensor, Places]]] = {
        (PREDICTION, label): {name: (leaves[name], at) for name, at in values.items() if name in leaves}
        for label, values in places.items()
    }
    for tap in policy.taps:
        outputs = heard.tapped[tap.module]
        if policy.is_read_by_steps(tap.axis) and len(outputs) == 1 and outputs[0].requires_grad:
            sources[tap.behind, tap.axis] = {tap.module: (outputs[0], tap.place)}
    sources = {where: parts for where, parts in sources.items() if parts}
    tensors = {name: tensor for parts in sources.values() for name, (tensor, _) in parts.items()}
    if not tensors:
        return []
    with torch.enable_grad():
        by_step = asked.unbind(policy.main or 0)
    of_steps = [gradients(step, tensors) for step in by_step]
    found = []
    for (stage, label), parts in sources.items():
        kind = policy.padding[label]
        size, none = kind.real.shape[1], torch.zeros(())
        sizes = [sum((by_place(of_step[name], at) for name, (_, at) in parts.items()), none) for of_step in of_steps]
        reach = torch.stack(sizes, dim=1)[:, :, -size:]
        found.append(Reach(stage, label, (reach > 0) | ~reach.isfinite(), torch.ones_like(kind.real)))
    return found


def _alike(output: Tensor, tap: Tap, policy: Policy) -> Tensor:
    """The output with all real values replaced by their mean; the gradient still reaches each of them."""
    real = policy.padding[tap.axis].real
    kept, places = at_end(real, output, tap.place), tuple(range(tap.place, tap.place + real.ndim - 1))
    return output + (_mean_where(output.detach(), kept, places) - output.detach())


def _mean_where(values: Tensor, kept: Tensor, place: Places) -> Tensor:
    count = kept.sum(dim=place, keepdim=True).clamp(min=1)
    mean = values.where(kept, 0).sum(dim=place, keepdim=True) / count
    return torch.where(kept, mean, values)
