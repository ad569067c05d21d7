"""The probes of the sampler: what a policy does with padding at inference, where there is no loss.

A policy may use its masks in training and not here, or the other way round.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import inf
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit.measure import apart, changed, finite, moved_by, percent_of, reason, same
from groot_teach.audit.policy import NOT_REPEATABLE, Axis, Policy, along, with_draws
from groot_teach.audit.report import OTHER_SAMPLES, SAMPLED, SAMPLER, Look

Looks = Iterator[Look]


class SamplerProbes:
    """The audit of one sampler.

    Raises:
        ValueError: it does not give the same actions for the same batch and the same draws.
    """

    @torch.no_grad()
    def __init__(self, policy: Policy, batch: Mapping[str, Any]):
        self.policy = policy
        actions, drawn = policy.ask_sample(dict(batch))
        self.given = with_draws(dict(batch), drawn)
        if not same(actions, policy.ask_sample(self.given)[0]):
            raise ValueError(f"sample: {NOT_REPEATABLE}")
        real = policy.sampled_real()
        self.part = policy.wanted_for(real)(actions)
        self.actions = actions[self.part]
        self.real = policy.real_in(self.actions, real)
        self.alone: dict[int, Tensor] = {}  # the actions sampled for each sample alone, with its padding

    def steps(self) -> list[Callable[[], Iterable[Look]]]:
        """The parts of the sampler's audit, as functions."""
        if not finite(self.actions[self.real]):
            look = Look(
                SAMPLER, self.policy.every_axis, "read off", inf, "not finite", "sampled actions are not finite"
            )
            return [lambda: [look]]
        axes: list[Axis] = [axis for axis in self.policy.padding if axis in self.policy.sample_along]
        cuts = [None, *(axis for axis in axes if axis != "dims")]
        todo: list[Callable[[], Iterable[Look]]] = [partial(self._perturb, axis) for axis in axes]
        return [self._read_off, self._held_at_zero, *todo, *(partial(self._compact, cut) for cut in cuts)]

    @torch.no_grad()
    def _perturb(self, axis: Axis) -> Looks:
        """Other numbers in padding: do sampled actions move?"""
        other = changed(self.given, self.policy.places(axis, self.given), ~self.policy.padding[axis].real)
        try:
            actions = self.policy.ask_sample(other)[0][self.part]
        except Exception as error:
            yield Look(SAMPLER, axis, "perturb", None, why=reason(error))
            return
        size = moved_by(self.actions, actions, self.real)
        yield Look(SAMPLER, axis, "perturb", size, why=percent_of(size, "what is sampled for real entries"))

    @torch.no_grad()
    def _compact(self, cut: Axis | None) -> Looks:
        """Does each sample alone get the same actions? With `cut`: alone, and without its padding along `cut`?"""
        policy, column, sizes = self.policy, cut or OTHER_SAMPLES, []
        try:
            for sample in policy.with_something_left(cut):
                alone, real = policy.alone(self.given, sample, cut)
                real = {axis: of_axis for axis, of_axis in real.items() if axis in policy.sample_along}
                actions = policy.ask_sample(alone)[0]
                actions = actions[policy.wanted_for(real)(actions)]
                sampled = actions[policy.real_in(actions, real)]
                in_batch = self.actions[sample][self.real[sample]]
                sizes.append(apart(in_batch if cut is None else self.alone.get(sample, in_batch), sampled))
                if cut is None:
                    self.alone[sample] = sampled
        except Exception as error:
            yield Look(SAMPLER, column, "compact", None, why=reason(error))
            return
        size = max(sizes)
        yield Look(SAMPLER, column, "compact", size, why=percent_of(size, "what a sample is given, once it is alone,"))

    def _read_off(self) -> Looks:
        """What do the padded dims of the sampled actions hold?"""
        place = self.policy.axes.get("dims")
        if place is None or "dims" not in self.policy.padding:
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
    def _held_at_zero(self) -> Looks:
        """Are there real dims that are 0 in every step, whatever the noise and everything else that is real?"""
        steps, other = self.policy.axes.get("steps"), self.given
        if "dims" not in self.policy.padding or steps is None or steps >= self.actions.ndim:
            return
        for axis, kind in self.policy.padding.items():
            other = changed(other, self.policy.places(axis, other), kind.real)
        try:
            moved = self.policy.ask_sample(other)[0][self.part] != self.actions
        except Exception as error:
            yield Look(SAMPLER, "dims", "perturb", None, "lost", reason(error))
            return
        if moved.any():
            still = ((self.actions == 0) & ~moved | ~self.real).all(dim=steps, keepdim=True) & self.real
            size = (still.sum() / self.real.sum()).item()
            why = f"{int(still.sum())} of {int(self.real.sum())} real entries are sampled as 0, whatever is given"
            yield Look(SAMPLER, "dims", "perturb", size, "lost", why)
