"""The four probes: four ways to find out what a policy does with padding.

    perturb      other numbers in padding: does anything real move?
    compact      one sample alone, its padding cut off: does it get the same answer as in the batch?
    gradient     which entries of the prediction move the loss, and which entries of the batch the prediction?
    unit error   an error of 1 in every entry: is the loss 1?

No single probe is enough. Perturbing and compacting miss a wrong divisor that is the same for every sample, and real
entries that are left out; the unit error does not show where padding enters.

A NaN never counts as *did not move*. And *padding moves nothing* is reported only where a control run shows that
something could have moved: the same change made to real entries has to move what padding did not.

Here are the probes of the prediction. Those of the loss are in `losses`, those of the sampler in `sampling`; which real
entries are lost is asked in `reads`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import inf

import torch
from torch import Tensor

from groot_teach.audit.advice import FORGOTTEN_BEGINNINGS
from groot_teach.audit.gradients import ask_with_graph, by_place, gradient_at, gradients
from groot_teach.audit.losses import UPSIDE_DOWN, LossProbes
from groot_teach.audit.measure import (
    apart,
    at_end,
    changed,
    distance,
    finite,
    in_samples,
    moved_by,
    moved_in,
    other_numbers,
    percent_of,
    reason,
    same,
    samples_with,
    signs,
    taps_moved,
)
from groot_teach.audit.names import LOSS_COUNT, LOSS_SUM, NEIGHBOURS, OTHER_SAMPLES, PREDICTION, SAMPLER
from groot_teach.audit.parity import Parity, ParityProbes
from groot_teach.audit.policy import NOT_REPEATABLE, Given, Heard, Places, Policy, Tap, decided_otherwise, with_draws
from groot_teach.audit.reads import lost_places, who_reads_what
from groot_teach.audit.report import Look, Step, percent
from groot_teach.audit.sampling import (
    AFTER,
    VALUE,
    SamplerProbes,
    decided_by_cutting,
    doubt_about_cutting,
    each_alone,
    only_where_it_tells,
    told_by_what_is_kept,
)

NOTHING_MOVES = (
    "nothing in the batch moves a prediction, neither padding nor what is real; is a last layer still "
    "zero, or is `real` upside down?"
)

A_TARGET = (
    "it moves the loss, so these {axis} may be there to be predicted and not to be read. If they are, say so: "
    "`excused={{'prediction, {axis}': 'a target'}}`"
)

DROPPED = (
    "; it does where what is drawn decides otherwise, so the policy drops it in half of the batches or more. Set that "
    "chance to 0 for the audit"
)

WITHOUT_PADDING = "what is predicted for a sample alone, once its padding is cut off,"

Looks = Iterator[Look]


class Probes:
    """One audit: a policy, and the result of its first run.

    Args:
        policy: the policy.
        unit_loss: the loss of an error of 1 in every entry.
        parity: where training and the sampler can be compared, or None.

    Raises:
        ValueError: the policy does not give the same answer to the same batch and the same draws.
    """

    def __init__(self, policy: Policy, unit_loss: float, parity: Parity | None = None):
        self.policy, self.parity = policy, parity
        with torch.no_grad():
            self.base, self.given = self._repeatable()
            self.real = policy.real_in(self.base.prediction)
        self.loss = LossProbes(policy, self.given, self.base, self.real, unit_loss)
        self.controls = {label: self._control(label) for label in policy.padding}
        self.moving = {  # kinds of padding for which what is real moves the prediction of a real entry
            label
            for label, heard in self.controls.items()
            if isinstance(heard, Heard) and moved_by(self.base.prediction, heard.prediction, self.real)
        }
        self.alone: dict[int, tuple[Given, Heard, Tensor]] = {}  # each sample alone, with its padding
        self.leaked: dict[str, float] = {}  # how far padding moves the prediction, by kind of padding
        self.unsure: dict[str, list[Look]] = {}  # what padding moved, if its value may be what the policy masks by

    def steps(self) -> list[Step]:
        """The parts of the audit. Their number grows with the kinds of padding and with the taps."""
        policy, every = self.policy, self.policy.every_axis
        if not finite(self.base.prediction[self.real]):
            return [Step(PREDICTION, every, "read off", self._no_number)]

        def step(axis: str, probe, take: Callable, *arguments, stage: str = PREDICTION) -> Step:
            return Step(stage, axis, probe, partial(take, *arguments))

        axis_of = {label: kind.axis for label, kind in policy.padding.items()}
        todo = [step(axis, "perturb", self._perturb, label) for label, axis in axis_of.items()]
        packed = [label for label, kind in policy.padding.items() if kind.documents is not None]
        todo += [step(NEIGHBOURS, "perturb", self._neighbours, label) for label in packed]
        todo += [step(tap.axis, "perturb", self._perturb_tap, tap, stage=tap.behind) for tap in policy.taps]
        todo.append(step(every, "gradient", self._gradient_of_prediction))
        todo.append(step(every, "gradient", who_reads_what, policy, self.given, self.base, self.real))
        todo += self.loss.steps()
        cuts = [label for label in policy.padding if policy.can_be_cut(label)]
        todo += [step(axis_of.get(cut or "", OTHER_SAMPLES), "compact", self._compact, cut) for cut in [None, *cuts]]
        todo.append(step(every, "compact", self.loss.weights, self.alone, stage=LOSS_COUNT))
        if policy.keeps_something:
            todo.append(step(OTHER_SAMPLES, "perturb", self._after_another_batch))
        if policy.sample is None:
            look = Look(SAMPLER, every, "perturb", None, why="no sampler was handed over")
            return [*todo, Step(SAMPLER, every, "perturb", lambda: [look])]
        sampler = SamplerProbes(policy, self.moving)
        compared = ParityProbes(policy, self.given, self.leaked, sampler, self.parity)
        return [*todo, *sampler.steps(), *compared.steps()]

    # ------------------------------------------------------------------------------------------------- perturb

    @torch.no_grad()
    def _perturb(self, label: str) -> Looks:
        found = [*self._perturbed(label)]
        if any(look.size for look in found) and self.policy.value_may_be_the_mask(label, self.given):
            if not self.policy.can_be_cut(label):
                yield from self._decided_by_what_counts(label, found)
                return
            self.unsure[label] = found
            return
        yield from found

    def _decided_by_what_counts(self, label: str, found: list[Look]) -> Looks:
        """What padding moved, if it cannot be cut off and its value, such as a label of -100, may be the mask.

        It is, if padded entries count in the loss once they hold other numbers, and not before. If they have counted
        before, it is not.
        """
        policy, base, kind = self.policy, self.base, self.policy.padding[label]
        padded, counts = self.loss.regions.get(kind.axis), None
        if base.loss_of is not None and padded is not None:
            other = policy.ask(changed(self.given, policy.places(label, self.given), ~kind.real))
            said = base.prediction + 1.5 * signs(base.prediction).to(base.prediction)
            both = [gradient_at(heard.loss_of, said) for heard in (base, other) if heard.loss_of is not None]
            counts = [bool(one[padded.to(one.device)].any()) for one in both]
        for look in found:
            if counts == [False, True] and look.stage == LOSS_SUM and look.size:
                look = replace(look, size=0.0, why=f"{VALUE}; as it is, none of it counts in the loss", where="")
            elif counts is None or look.stage != LOSS_SUM:
                look = decided_by_cutting(look, None)
            yield look

    def _perturbed(self, label: str) -> Looks:
        policy, control, kind = self.policy, self.controls[label], self.policy.padding[label]
        places, axis = policy.places(label, self.given), kind.axis
        try:
            heard = policy.ask(changed(self.given, places, ~kind.real))
            if isinstance(control, Exception):
                raise control
            size = moved_by(self.base.prediction, heard.prediction, self.real)
            size = size or self._moved_otherwise(places, ~kind.real)
        except Exception as error:
            yield Look(PREDICTION, axis, "perturb", None, why=reason(error))
            return
        for tap in policy.taps:
            where = policy.padding[tap.axis].real
            before, after, moved = (run.tapped[tap.module] for run in (self.base, heard, control))
            if taps_moved(before, moved, tap, torch.ones_like(where)):
                left = taps_moved(before, after, tap, where)
                yield Look(tap.before, axis, "perturb", left, why=percent_of(left, f"what leaves {tap.module}"))
        self.leaked[label] = size
        if self.moving or size:
            why = percent_of(size, "what is predicted for real entries")
            where = moved_in(self.base.prediction, heard.prediction, self.real) if size else ""
            yield Look(PREDICTION, axis, "perturb", size, why=why, where=where)
            if policy.declared_place_of(label) is None and label not in self.moving and self._can_move(label):
                yield self._unread(label, places, control, size)
        else:
            yield Look(PREDICTION, axis, "perturb", None, why=NOTHING_MOVES)
        yield from self.loss.perturbed(axis, heard, self.base.prediction, size)

    def _moved_otherwise(self, places: Mapping[str, Places], where: Tensor) -> float:
        """How far other numbers move a prediction where everything that is drawn decides the other way."""
        otherwise = decided_otherwise(self.given)
        if otherwise is None:
            return 0.0
        before, after = (self.policy.ask(one).prediction for one in (otherwise, changed(otherwise, places, where)))
        return moved_by(before, after, self.real)

    def _unread(self, label: str, places: Mapping[str, Places], control: Heard, size: float) -> Look:
        """What to say if nothing real of a kind moves a prediction, and padding moves it by `size`."""
        kind = self.policy.padding[label]
        axis = kind.axis
        why = f"nothing real in {' and '.join(map(repr, places))} moves what is predicted for a real entry"
        if self._moved_otherwise(places, kind.real):
            return Look(PREDICTION, axis, "perturb", None, "lost", f"{why}{DROPPED}")
        if size:
            why += f", and padding does: {UPSIDE_DOWN.format(axis=axis)}"
        elif any(look.size for look in self.loss.perturbed(axis, control, self.base.prediction, 0.0)):
            return Look(PREDICTION, axis, "perturb", None, "lost", f"{why}; {A_TARGET.format(axis=axis)}")
        return Look(PREDICTION, axis, "perturb", 1.0, "lost", why)

    def _can_move(self, label: str) -> bool:
        """Whether this kind is read at all by a policy that obeys it: dims are read with the steps that hold them."""
        return self.policy.padding[label].axis not in ("dims", "steps")

    @torch.no_grad()
    def _neighbours(self, label: str) -> Looks:
        """Other numbers in one document of each row: does what is predicted in the others move?"""
        kind = self.policy.padding[label]
        documents, places = kind.documents, self.policy.places(label, self.given)
        assert documents is not None
        size = further = 0.0
        begins = torch.nn.functional.pad(documents.diff(dim=1) != 0, (1, 0))
        begun = self.policy.entries_of(label, begins, self.base.prediction)
        for document in documents[kind.real].unique():
            here = kind.real & (documents == document)
            try:
                heard = self.policy.ask(changed(self.given, places, here))
            except Exception as error:
                yield Look(PREDICTION, NEIGHBOURS, "perturb", None, why=reason(error))
                return
            elsewhere = self.real & ~self.policy.entries_of(label, here, self.base.prediction)
            size = max(size, moved_by(self.base.prediction, heard.prediction, elsewhere))
            further = max(further, moved_by(self.base.prediction, heard.prediction, elsewhere & ~begun))
        why = percent_of(size, "what is predicted in one document, once another one of its row is changed,")
        hint = "" if further or kind.targets is not None else FORGOTTEN_BEGINNINGS.format(axis=kind.axis)
        yield Look(PREDICTION, NEIGHBOURS, "perturb", size, why=why, hint=hint if size else "")

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
        gradient: dict[str, Tensor] = {}
        lost_targets: list[Look] = []
        try:
            if leaves:
                heard, asked = ask_with_graph(policy, self.given | leaves, self.real)
                gradient = gradients(asked, leaves) if asked.requires_grad else {}
                lost_targets = [*self.loss.targets(heard, leaves)]
        except Exception as error:
            yield Look(PREDICTION, policy.every_axis, "gradient", None, why=reason(error))
            return
        if not all(finite(one) for one in gradient.values()):
            yield Look(PREDICTION, policy.every_axis, "gradient", inf, "not finite", "the gradient is not finite")
            return
        yield from lost_targets
        for label, kind in policy.padding.items():
            places = {name: place for name, place in policy.places(label, self.given).items() if name in gradient}
            none = torch.zeros(kind.real.shape)
            of_place = sum((by_place(gradient[name], place) for name, place in places.items()), none)
            if of_place.any():
                size = (of_place[~kind.real].sum() / of_place.sum()).item()
                why = f"of all entries on which real predictions depend, padding has {percent(size)} of the gradient"
                yield Look(PREDICTION, kind.axis, "gradient", size, why=why)
            if not policy.is_read_by_steps(label):
                yield from lost_places(policy, self.given, self.base, self.real, label, of_place)

    # ------------------------------------------------------------------------------------------------- compact

    @torch.no_grad()
    def _compact(self, cut: str | None) -> Looks:
        """Does each sample alone get the same prediction? With `cut`: alone, and without its padding along `cut`?"""
        policy = self.policy
        column = OTHER_SAMPLES if cut is None else policy.padding[cut].axis
        sizes, gaps, losses = {}, [0.0], []
        try:
            if cut is None:
                sizes = each_alone(policy, self.given, self._size_alone)
            for sample in policy.with_something_left(cut) if cut else ():
                _, heard, real = self._asked_alone(sample, cut)
                before = self.base.prediction[sample][self.real[sample]]
                if sample in self.alone:
                    _, with_padding, real_then = self.alone[sample]
                    before = with_padding.prediction[real_then]
                    losses.append((sample, with_padding, real_then, heard, real))
                sizes[sample] = apart(before, heard.prediction[real], policy.precision)
                gaps.append(distance(before, heard.prediction[real]))
        except Exception as error:
            why = reason(error) + policy.not_declared(cut)
            yield Look(PREDICTION, column, "compact", None, why=why)
            yield from self._decide(cut, None)
            return
        if cut is None and policy.batch_size == 1:
            return  # it is alone already, as a note says
        size = max(sizes.values())
        where = in_samples([sample for sample, moved in sizes.items() if moved], policy.batch_size)
        alone = "what is predicted for a sample, once it is alone," if cut is None else WITHOUT_PADDING
        look = Look(PREDICTION, column, "compact", size, why=percent_of(size, alone), where=where)
        yield look if cut is not None and self.leaked.get(cut) else only_where_it_tells(policy, cut, look)
        loss_moved = [*self.loss.without_padding(cut, losses, moved=bool(size))] if cut is not None else []
        yield from loss_moved
        yield from self._decide(cut, bool(size) or any(look.size for look in loss_moved), max(gaps))

    def _size_alone(self, sample: int) -> float:
        """How far a prediction moves if its sample is alone."""
        self.alone[sample] = _, heard, real = self._asked_alone(sample, None)
        return apart(self.base.prediction[sample][self.real[sample]], heard.prediction[real], self.policy.precision)

    def _asked_alone(self, sample: int, cut: str | None, *, holes: bool = False) -> tuple[Given, Heard, Tensor]:
        """One sample alone, its padding along `cut` cut off; what is predicted for it, and which entries are real."""
        alone, kinds = self.policy.alone(self.given, sample, cut, holes=holes)
        heard = self.policy.ask(alone, part_of=self.policy.wanted_for(kinds))
        return alone, heard, self.policy.real_in(heard.prediction, kinds)

    # -------------------------------------------------------------------------------------------- an earlier batch

    @torch.no_grad()
    def _after_another_batch(self) -> Looks:
        """Is the answer another one if the policy keeps what the same samples in another order have left?"""
        policy, said = self.policy, self.base.prediction
        everything = torch.ones(1, dtype=torch.bool)

        def asked() -> dict[str, tuple[Tensor, Tensor]]:
            heard = policy.ask(self.given)
            found = {PREDICTION: (heard.prediction, self.real)}
            if self.loss.finite_loss is not None:
                loss = heard.loss_or_raise() if heard.loss_of is None else heard.loss_of(said)
                found[LOSS_SUM] = loss[None], everything
            return found

        try:
            batches = self.given, policy.in_another_order(self.given)
            again, other = (policy.after(one, asked, policy.ask) for one in batches)
            sizes = {stage: moved_by(again[stage][0], *after_another) for stage, after_another in other.items()}
            first = asked() if any(sizes.values()) else again
        except Exception as error:
            yield Look(PREDICTION, OTHER_SAMPLES, "perturb", None, why=reason(error))
            return
        what = {PREDICTION: "what is predicted", LOSS_SUM: "the loss of the same prediction"}
        for stage, size in sizes.items():
            look = Look(stage, OTHER_SAMPLES, "perturb", size, why=percent_of(size, what[stage] + AFTER))
            if stage == PREDICTION or self.base.loss_of is not None or not size:
                yield told_by_what_is_kept(look, same(first[stage][0], again[stage][0]))

    def _decide(self, cut: str | None, moved: bool | None, gap: float = 0.0) -> Looks:
        if cut not in self.unsure:
            return
        doubt = ""
        if moved is False:

            def without_holes(sample: int) -> float:
                _, before, real_then = self.alone[sample]
                _, after, real = self._asked_alone(sample, cut, holes=True)
                return apart(before.prediction[real_then], after.prediction[real], self.policy.precision)

            doubt = doubt_about_cutting(self.policy, cut, gap, self.leaked.get(cut) or inf, without_holes)
        for look in self.unsure.pop(cut):
            decided = decided_by_cutting(look, moved, doubt)
            if decided.size != look.size:
                self.leaked.pop(cut, None)
            yield decided

    # --------------------------------------------------------------------------------------------------- parts

    @torch.no_grad()
    def _control(self, label: str) -> Heard | Exception:
        """A run with other numbers in what is real. If that moves nothing either, nothing is known about padding."""
        try:
            real = self.policy.padding[label].real
            return self.policy.ask(changed(self.given, self.policy.places(label, self.given), real))
        except Exception as error:
            return error

    def _repeatable(self) -> tuple[Heard, Given]:
        first = self.policy.ask(self.policy.batch)
        given = with_draws(self.policy.batch, first.drawn)
        first = self.policy.ask(given) if self.policy.redrawn else first
        second = self.policy.ask(given)
        alike = same(first.prediction, second.prediction)
        if not alike or (first.loss is not None and not same(first.loss, second.loss_or_raise())):
            raise ValueError(f"run: {NOT_REPEATABLE}")
        return second, given

    def _no_number(self) -> Looks:
        broken = self.real & ~torch.isfinite(self.base.prediction).cpu()
        why = f"{int(broken.sum())} of {int(self.real.sum())} predictions of real entries are not finite"
        samples, axis = samples_with(broken), self.policy.every_axis
        read = [kind for kind in self.policy.padding.values() if kind.can_be_cut]  # a row of attention reads them
        for kinds in (read, [*self.policy.padding.values()]):
            full = [kind.axis for kind in kinds if samples.equal(kind.real.flatten(1).all(dim=1))]
            empty = [kind.axis for kind in kinds if samples.equal(~samples_with(kind.real))]
            if full:
                why += f", all in samples without padded {' or '.join(full)}: is a mask upside down? It hides "
                why += "everything there"
            elif empty:
                why += f", all in samples without real {' or '.join(empty)}: there is nothing left to read"
            suspected = full or empty
            if suspected:
                axis = suspected[0] if len(suspected) == 1 else axis
                break
        yield Look(PREDICTION, axis, "read off", inf, "not finite", why)
        yield Look(PREDICTION, self.policy.every_axis, "perturb", None, why="there is no number to compare with")
