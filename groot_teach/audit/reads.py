"""Does each predicted step depend on every real step and token?

A mask that hides too much passes every test for leaks. It shows here: a real step does not depend on a real token, or
on another real step.

A layer in which tokens read each other makes every step depend on every token. So the question is asked once more for
the output of such a layer, at a tap behind it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from groot_teach.audit.gradients import ask_with_graph, by_place, gradients
from groot_teach.audit.measure import at_end, reason, such_as
from groot_teach.audit.policy import Axis, Given, Policy, Tap, along
from groot_teach.audit.report import PREDICTION, Look


@dataclass(frozen=True)
class Reach:
    """On what the predictions depend, at one stage.

    Attributes:
        stage: the stage.
        axis: `steps` or `tokens`: what a predicted step may depend on.
        reach: `batch, step, size`, bool, True = this predicted step depends on that step or token.
    """

    stage: str
    axis: Axis
    reach: Tensor


def who_reads_what(policy: Policy, given: Given, real: Tensor) -> Iterator[Look]:
    """A look for each stage: which real steps do not depend on a real step or token, though they should?

    Every step should read every token. If one step reads another in any sample, it should read it in every sample that
    has both. If it reads it in no sample, the mask may be causal, and that is not reported.

    Args:
        policy: the policy.
        given: the batch and its draws.
        real: which entries of the prediction are real.
    """
    place = policy.axes.get("steps")
    if place is None or place >= real.ndim:
        return
    steps = real.movedim(place, 1).flatten(2).any(dim=2) if real.ndim > 2 else real
    try:
        first = _reaches(policy, given, real, alike=False)
        if not any(_lost(one, policy, steps)[0].any() for one in first):
            found = first
        else:  # Sharp attention can round a small weight to 0. Among tokens that are all alike, no weight is small.
            second = _reaches(policy, given, real, alike=True)
            found = [
                Reach(one.stage, one.axis, one.reach | other.reach) for one, other in zip(first, second, strict=True)
            ]
    except Exception as error:
        yield Look(PREDICTION, "steps", "gradient", None, "lost", reason(error))
        return
    for one in found:
        lost, expected = _lost(one, policy, steps)
        if expected.any():
            size = (lost.sum() / expected.sum()).item()
            pairs = f"{int(lost.sum())} of {int(expected.sum())} pairs"
            why = f"in {pairs} a real step does not depend on one of the real {one.axis}"
            yield Look(
                one.stage, one.axis, "gradient", size, "lost", why + such_as(lost, {"steps": 1, f"{one.axis} ": 2})
            )


def _lost(found: Reach, policy: Policy, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a step and a step or token should depend and do not, and which should."""
    pairs = steps[:, :, None] & policy.padding[found.axis].real[:, None]
    in_some_sample = found.reach.any() if found.axis == "tokens" else (pairs & found.reach).any(dim=0)
    expected = pairs & in_some_sample
    return expected & ~found.reach, expected


def _reaches(policy: Policy, given: Given, real: Tensor, alike: bool) -> list[Reach]:
    """What each step depends on, by gradients. `alike`: after each real step or token is replaced by their mean."""
    places: dict[Axis, Mapping[str, int]] = {
        axis: kind.values for axis, kind in policy.padding.items() if axis != "dims"
    }
    leaves = policy.leaves(given)
    if alike:
        for axis, values in places.items():
            for name in values.keys() & leaves.keys():
                kept = along(policy.padding[axis].real, leaves[name].ndim, values[name]).to(leaves[name].device)
                leaves[name] = _mean_where(leaves[name].detach(), kept, values[name]).requires_grad_()
    write = {tap.module: lambda output, tap=tap: _alike(output, tap, policy) for tap in policy.taps} if alike else {}
    heard, asked = ask_with_graph(policy, given | leaves, real, write=write)
    if not asked.requires_grad:  # `Probes._gradient_of_prediction` reports that
        return []
    sources: dict[tuple[str, Axis], dict[str, tuple[Tensor, int]]] = {
        (PREDICTION, axis): {name: (leaves[name], at) for name, at in values.items() if name in leaves}
        for axis, values in places.items()
    }
    for tap in policy.taps:
        outputs = heard.tapped[tap.module]
        if len(outputs) == 1 and outputs[0].requires_grad:
            sources[tap.behind, tap.axis] = {tap.module: (outputs[0], tap.place)}
    sources = {where: parts for where, parts in sources.items() if parts}
    tensors = {name: tensor for parts in sources.values() for name, (tensor, _) in parts.items()}
    if not tensors:
        return []
    with torch.enable_grad():
        by_step = asked.unbind(policy.axes["steps"])
    of_steps = [gradients(step, tensors) for step in by_step]
    found = []
    for (stage, axis), parts in sources.items():
        size = policy.padding[axis].real.shape[1]
        none = torch.zeros(())
        sizes = [sum((by_place(of_step[name], at) for name, (_, at) in parts.items()), none) for of_step in of_steps]
        found.append(Reach(stage, axis, torch.stack(sizes, dim=1)[:, :, -size:] > 0))
    return found


def _alike(output: Tensor, tap: Tap, policy: Policy) -> Tensor:
    """The output with all real values replaced by their mean; the gradient still reaches each of them."""
    kept = at_end(policy.padding[tap.axis].real, output, tap.place)
    return output + (_mean_where(output.detach(), kept, tap.place) - output.detach())


def _mean_where(values: Tensor, kept: Tensor, place: int) -> Tensor:
    count = kept.sum(dim=place, keepdim=True).clamp(min=1)
    mean = values.where(kept, 0).sum(dim=place, keepdim=True) / count
    return torch.where(kept, mean, values)
