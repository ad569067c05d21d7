"""Does the sampler show the network what training has shown it?

A policy may obey its masks in training and in its sampler, each in its own way, and still be wrong: the sampler holds
padded dims at 0, and in training they were noise; the mask comes from the data here, and from the configuration there.
No padding has to leak for that, and no other probe sees it.

    by padding   what padding holds moves the prediction in training and not what is sampled, or the other way round
    by inputs    the network is given something else in training than in the sampler's first call

The first is asked of entries that both of them use, wherever one of them leaks. The second is asked if you name the
network by a `Parity`: with the same noise, and in training at the flow time at which the sampler begins. An input may
be handed over by its place or by its name, and as one number or one for each sample. A sampler with guidance shows the
network two versions of its batch, of which training has one: that is not compared.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from math import inf
from typing import Any, TypeGuard

import torch
from torch import Tensor

from groot_teach.audit.measure import apart, changed, moved_by, percent_of, reason
from groot_teach.audit.names import PARITY
from groot_teach.audit.policy import DRAWN, Given, Policy, along, is_draw_name
from groot_teach.audit.report import Look, Step
from groot_teach.audit.sampling import SamplerProbes
from groot_teach.shapes import checked

Looks = Iterator[Look]
Call = dict[str, Any]
"""The tensors and numbers of one call of a module, by the names of its inputs."""
CALLS = 4
"""How many calls of a run are kept: guidance calls a network two or three times with the same noise."""
GUIDED = (
    "training has no such pair to compare it with. Hand over a `sample` without guidance, and audit guidance without "
    "`parity`"
)
Places = dict[str, tuple[int, ...]]


@checked
@dataclass(frozen=True)
class Parity:
    """Where training and the sampler can be compared.

    Attributes:
        module: the path of the network inside the policy's module: what is called with noisy actions, in training once
            and by the sampler in each of its steps.
        time: the entry of the batch that holds the flow time of training; `"drawn 1"` for the second random draw.
        at: the flow time at which the sampler begins: 0 if actions are noise at 0, 1 if they are noise at 1.
    """

    module: str
    time: str
    at: float | int = 0


class ParityProbes:
    """The comparison of training and sampling.

    Args:
        policy: the policy.
        given: its batch, with the draws of training.
        leaked: how far padding moves the prediction, by kind of padding.
        sampler: the probes of its sampler, and what they have found so far.
        parity: where the network is, or None.

    Raises:
        ValueError: the policy's module or the batch has no such part.
    """

    def __init__(
        self, policy: Policy, given: Given, leaked: Mapping[str, float], sampler: SamplerProbes, parity: Parity | None
    ):
        self.policy, self.given, self.leaked, self.sampler, self.parity = policy, given, leaked, sampler, parity
        if parity is None:
            return
        if policy.module is None or parity.module not in dict(policy.module.named_modules()):
            kind = "None" if policy.module is None else type(policy.module).__name__
            raise ValueError(f"parity: got no module {parity.module!r} in {kind}; see named_modules() of your module")
        if parity.time not in given:
            raise ValueError(f"parity: got no flow time {parity.time!r}, expected one of {', '.join(sorted(given))}")

    def steps(self) -> list[Step]:
        found = [
            Step(PARITY, kind.axis, "parity", partial(self._by_padding, label))
            for label, kind in self.policy.sampled().items()
        ]
        if self.parity is not None:
            found.append(Step(PARITY, self.policy.every_axis, "parity", partial(self._by_inputs, self.parity)))
        return found

    # ------------------------------------------------------------------------------------------------ by padding

    @torch.no_grad()
    def _by_padding(self, label: str) -> Looks:
        training, sampling = self.leaked.get(label), self.sampler.leaked.get(label)
        if training is None or sampling is None or bool(training) == bool(sampling):
            return
        policy, sampler, kind = self.policy, self.sampler, self.policy.padding[label]
        try:
            here = self._used(label, self.given, lambda given: policy.ask(given).prediction)
            there = self._used(label, sampler.given, sampler.sampled)
            both = {name for name in here if name in there or (is_draw_name(name) and any(map(is_draw_name, there)))}
            both |= {name for name in there if is_draw_name(name) and any(map(is_draw_name, here))}
            if not both:
                return
            base = policy.ask(self.given).prediction
            moved = policy.ask(changed(self.given, _only(here, both), ~kind.real)).prediction
            training = moved_by(base, moved, policy.real_in(base))
            moved = sampler.sampled(changed(sampler.given, _only(there, both), ~kind.real))
            sampling = moved_by(sampler.actions, moved, sampler.real)
        except Exception as error:
            yield Look(PARITY, kind.axis, "parity", None, "mismatch", reason(error))
            return
        if bool(training) == bool(sampling):
            return
        entries = " and ".join(map(repr, sorted(both)))
        seen, blind = ("is predicted in training", "sampled") if training else ("is sampled", "predicted in training")
        why = (
            f"{percent_of(training or sampling, f'by what padding holds in {entries}, what {seen}')}, and not what is "
        )
        why += f"{blind}: the network is shown two different things"
        yield Look(PARITY, kind.axis, "parity", training or sampling, "mismatch", why)

    def _used(self, label: str, given: Given, ask: Callable[[Given], Tensor]) -> Places:
        """The padded entries that move anything, if all of their numbers are changed."""
        before, everywhere, used = ask(given), torch.ones_like(self.policy.padding[label].real), {}
        for name, place in self.policy.places(label, given).items():
            after = ask(changed(given, {name: place}, everywhere))
            if after.shape != before.shape or (after != before).any():
                used[name] = place
        return used

    # ------------------------------------------------------------------------------------------------- by inputs

    @torch.no_grad()
    def _by_inputs(self, parity: Parity) -> Looks:
        policy, every = self.policy, self.policy.every_axis
        try:
            time = torch.full_like(self.given[parity.time], parity.at)
            in_training = self._calls(parity.module, lambda: policy.ask(self.given | {parity.time: time}))
            with_noise = self._with_the_noise_of_training(parity.time)
            in_sampling = self._calls(parity.module, lambda: policy.ask_sample(with_noise))
        except Exception as error:
            yield Look(PARITY, every, "parity", None, "mismatch", reason(error))
            return
        looks = self._of_calls(in_training[0] if in_training else {}, in_sampling[0] if in_sampling else {})
        if not looks:
            why = f"{parity.module!r} is not called with a tensor"
            looks = [Look(PARITY, every, "parity", None, "mismatch", why)]
        elif any(look.size for look in looks) and self._is_guided(in_training, in_sampling):
            why = (
                f"the sampler shows {parity.module!r} with its first noise two versions of the batch, as guidance does"
            )
            looks = [Look(PARITY, every, "parity", None, "mismatch", f"{why}; {GUIDED}")]
        yield from looks

    def _of_calls(self, one: Call, other: Call) -> list[Look]:
        """What is said of each input that is a tensor in one of both."""
        names = [
            name
            for name in dict.fromkeys([*one, *other])
            if any(isinstance(call.get(name), Tensor) for call in (one, other))
        ]
        return [self._compared(name, one.get(name), other.get(name)) for name in names]

    def _is_guided(self, in_training: list[Call], in_sampling: list[Call]) -> bool:
        """Whether the sampler's first call has the rows of the batch several times, or a later call is training's."""
        if not (in_training and in_sampling):
            return False
        here, there = in_training[0], in_sampling[0]
        both = [(said, there.get(name)) for name, said in here.items()]
        rows = [(len(one), len(other)) for one, other in both if _has_rows(one) and _has_rows(other)]
        if any(one == self.policy.batch_size and other > one and other % one == 0 for one, other in rows):
            return True
        return any(all(look.size == 0 for look in self._of_calls(here, call)) for call in in_sampling[1:])

    def _compared(self, name: str, one: Any, other: Any) -> Look:
        every, what = self.policy.every_axis, f"input {name} of {self.parity.module!r}" if self.parity else name
        one, other = _alike(one, other)
        if one is None or other is None or one.shape != other.shape:
            shapes = ["none" if said is None else str(tuple(said.shape)) for said in (one, other)]
            why = f"{what} has the shape {shapes[0]} in training and {shapes[1]} in the sampler's first call"
            return Look(PARITY, every, "parity", inf, "mismatch", why)
        one, other = (said.double() if said.dtype == torch.bool else said for said in (one, other))
        size = apart(one.float() if not one.is_floating_point() else one, other.to(one), self.policy.precision)
        axis = self._axis_of((one != other).cpu()) if size else every
        where = "" if axis == every else f"; they differ in padded {axis} alone"
        why = (
            f"{what}, from training at the sampler's first flow time to the sampler's first call, with the same noise,"
        )
        return Look(PARITY, axis, "parity", size, "mismatch", f"{percent_of(size, why)}{where}")

    def _axis_of(self, differs: Tensor) -> str:
        """Along which axis an input differs in padding alone."""
        for label, kind in self.policy.padding.items():
            for places in set(self.policy.places(label, self.given).values()):
                if max(places) >= differs.ndim or len(differs) != len(kind.real):
                    continue
                fits = tuple(differs.shape[place] for place in places) == tuple(kind.real.shape[1:])
                if fits and not (differs & along(kind.real, differs.ndim, places)).any():
                    return kind.axis
        return self.policy.every_axis

    def _with_the_noise_of_training(self, time: str) -> Given:
        """The sampler's batch, with the draws of training in the place of its own draws of the same shape."""
        given = dict(self.sampler.given)
        drawn = [one for name, one in self.given.items() if is_draw_name(name) and name != time]
        for place in range(len(given)):
            name = DRAWN.format(place)
            if isinstance(given.get(name), Tensor):
                same = next((one for one in drawn if one is not None and one.shape == given[name].shape), None)
                given[name] = given[name] if same is None else same
        return given

    def _calls(self, path: str, run: Callable[[], object]) -> list[Call]:
        """What a module is called with, by the names of its inputs: the first calls of a run."""
        found: dict[int, list[Call]] = {}  # by the number of the run: one that drew unheard is run again

        def listen(module: Any, given: tuple, named: dict) -> None:
            calls = found.setdefault(self.policy.runs, [])
            if len(calls) < CALLS:
                known = _by_name(module, given, named)
                calls.append({name: said.clone() if isinstance(said, Tensor) else said for name, said in known.items()})

        assert self.policy.module is not None
        hook = self.policy.module.get_submodule(path).register_forward_pre_hook(listen, with_kwargs=True)
        try:
            run()
        finally:
            hook.remove()
        return found.get(self.policy.runs, [])


def _by_name(module: Any, given: tuple, named: dict) -> Call:
    """The tensors and numbers of a call: an input has one name, whether it is handed over by its place or by it."""
    try:
        parameters = [*signature(module.forward).parameters.values()]
    except (TypeError, ValueError):  # a forward that is no Python
        parameters = []
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    places = (names[place] if place < len(names) else str(place) for place in range(len(given)))
    known = {**dict(zip(places, given, strict=True)), **named}
    return {name: said for name, said in known.items() if isinstance(said, Tensor | float | int)}


def _has_rows(said: Any) -> TypeGuard[Tensor]:
    return isinstance(said, Tensor) and said.ndim > 0


def _alike(one: Any, other: Any) -> tuple[Any, Any]:
    """Two inputs, of which one may be a single number that stands for each sample."""
    like = one if isinstance(one, Tensor) else other
    one, other = (torch.as_tensor(said).to(like.device) if said is not None else None for said in (one, other))
    if one is None or other is None or one.shape == other.shape:
        return one, other
    if other.ndim == 0 or tuple(other.shape) == (1,):
        return one, other.expand(one.shape)
    return (one.expand(other.shape), other) if one.ndim == 0 or tuple(one.shape) == (1,) else (one, other)


def _only(places: Places, names: set[str]) -> Places:
    return {name: place for name, place in places.items() if name in names}
