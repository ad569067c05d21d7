"""Is my mask really used? An audit of any policy: which padding reaches which output, where, and how strongly.

    report = audit_masks(run, batch, padding)  asks the policy, in a few dozen runs
    report                                     a table: a row for each stage, a column for each axis of padding
    report.assert_clean()                      for pytest: raises an error if it is not clean

`run` is your policy: it takes the batch and returns a prediction and a loss. `padding` says which entries of the batch
are real. It is declared apart from the masks that the policy gets, because the audit asks what the policy does with
those masks. Four probes do the asking; `probes` describes them, and `policy` describes what you hand over.

The audit does not decide whether a leak is a fault: one that you want is declared as intended, with your reason. Where
the audit could not look, it says so, and then the report is not clean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from groot_teach.audit.names import LEAK_OF_STAGE, ORDER, PARITY, STAGES
from groot_teach.audit.parity import Parity
from groot_teach.audit.policy import Answer, OutOfRuns, Padding, Places, Policy, Tap
from groot_teach.audit.probes import Probes
from groot_teach.audit.report import Finding, Intended, Look, MaskReport, MasksLeak, Step, check_names
from groot_teach.audit.state import foreign_draws_kept
from groot_teach.shapes import PositiveInt, checked

__all__ = [
    "LEAK_OF_STAGE",
    "Answer",
    "Finding",
    "Intended",
    "Look",
    "MaskReport",
    "MasksLeak",
    "Padding",
    "Parity",
    "Tap",
    "audit_masks",
]


@foreign_draws_kept()  # outside, because the check of types draws as well
@torch.inference_mode(False)  # a caller's inference mode would take all gradients away
@checked
def audit_masks(
    run: Callable[[dict[str, Any]], Any],
    batch: Mapping[str, Any],
    padding: Sequence[Any],
    *,
    module: nn.Module | None = None,
    prediction: str | None = None,
    arrange: tuple[Callable[[Any], Tensor], Callable[[Tensor, Any], Any]] | None = None,
    taps: Sequence[Tap] = (),
    sample: Callable[[dict[str, Any]], Tensor] | None = None,
    axes: Mapping[str, Places] | None = None,
    sample_along: Sequence[str] | None = None,
    unit_loss: float | int = 1,
    intended: Mapping[str, str | Intended] | None = None,
    excused: Mapping[str, str] | None = None,
    parity: Parity | None = None,
    most_runs: PositiveInt | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> MaskReport:
    """Asks a policy what it does with the padding of one batch.

    The audit does not switch the policy's mode: in train mode dropout stays on, and is repeated exactly. Noise may be
    an entry of the batch or may be drawn inside the policy. Every random number that the first run draws is recorded
    and replayed in all later runs. The first run is repeated once, and the two must give the same result.

    Each run is given copies of the batch, so it may write into them; the report says which entries it writes into. When
    the audit is over, the batch, the parameters, buffers, attributes and modes of the policy's modules, its
    generators, and all random streams are as they were.

    Args:
        run: takes the batch and returns an `Answer`; or the loss alone, if `prediction` names a module.
        batch: everything that the policy is given, by name. The first axis of its tensors is the sample. It may be
            nested; then its entries are named by their path, such as `"observation.image"`.
        padding: `Padding` records: which entries are real, for each axis along which something is padded.
        module: the policy as a module; needed for `prediction` and `taps`.
        prediction: the path of the module whose output the loss compares with its target, such as `"action_decoder"`.
            The audit reads this output, and replaces it by others to see what the loss makes of them. If the module is
            called once for each step, its outputs are put together along the steps; calls without a gradient are left
            out.
        arrange: needed if that output has another layout than batch, steps, dims. Two functions: the first brings the
            output into this layout; the second gets a prediction in this layout and the old output, and makes an output
            of the old kind again.
        taps: places inside `module` between two stages. With them the audit tells at which stage a leak is.
        sample: takes the batch and returns sampled actions; None = the sampler is not audited, and the report says so.
        axes: which axis of a prediction and of actions holds `dims`, `steps`, `tokens`, or whatever axes your padding
            has. None = the usual layout, `{"steps": 1, "dims": 2}`. An axis that only sampled actions have lies behind
            those of a prediction, such as `{"steps": 1, "dims": 2, "plans": 3}`.
        sample_along: the axes along which sampled actions are padded; None = all. Leave `steps` out if your sampler
            always gives all of its steps.
        unit_loss: the loss of an error of 1 in every entry: 1 for a squared and an absolute error, 0.5 for half of it,
            2 for a sum of two means.
        intended: findings that you want, by stage, axis and kind, such as `"loss sum, steps, lost"` -> the reason, or
            an `Intended` with a reason and a largest size. Kinds are `leak`, `lost`, `not finite` and `mismatch`; a
            name without a kind, `"loss sum, steps"`, means leaks alone.
        excused: looks that need not be taken -> the reason. A key is a stage such as `"sampler"`, or a stage and an
            axis such as `"loss sum, steps"`: what is found there all the same is still a finding. Or it is a probe such
            as `"unit error"`, if that probe means nothing for this policy: then what it says is no finding.
        parity: where the network is, in training and in the sampler, and what holds the flow time: then the audit
            compares what the network is given in both. None = only what padding does in them is compared.
        most_runs: how many times the policy and its sampler may be run in all; None = as often as the audit asks. What
            is left out then is reported as not looked at, so a report that was cut short is never clean.
        progress: wraps the list of steps, for a progress bar such as `tqdm.auto.tqdm`. It has to give all of them on.

    Returns:
        What each probe found, at which stage and along which axis, and where none could look.

    Raises:
        ValueError: padding that the batch does not have or that pads nothing, a module without the paths, a policy that
            gives two different answers to the same batch, an answer of another kind than described here, a prediction
            with another number of steps than the batch, a `unit_loss` that is not above 0, or a name in `axes`,
            `intended` or `excused` that nothing has.
        TypeError: an argument of another type than its annotation, for example a mask that is not bool, or something in
            `padding` that is no `Padding`.
    """
    if not 0 < unit_loss < inf:  # a NaN is refused too
        raise ValueError(f"unit_loss: got {unit_loss}, expected a finite number above 0")
    policy = Policy(
        run,
        batch,
        padding,
        module=module,
        prediction=prediction,
        arrange=arrange,
        taps=taps,
        sample=sample,
        axes=axes,
        sample_along=sample_along,
        most_runs=most_runs,
    )
    inside = [stage for tap in taps for stage in (tap.before, tap.behind)]
    stages = [*inside, *STAGES, PARITY]
    axes_known = [kind.axis for kind in policy.padding.values()]
    check_names(intended or {}, excused or {}, stages, axes_known)
    try:
        steps = Probes(policy, unit_loss, parity).steps()
    except OutOfRuns:
        raise ValueError(
            f"most_runs: got {most_runs}, expected more, since an audit begins with more runs than that; most take "
            "dozens, and `report.runs` says how many"
        ) from None
    looks = _take(steps, progress)
    looks.sort(key=lambda look: (stages.index(look.stage), ORDER.index(look.probe)))
    return MaskReport(
        tuple(looks),
        dict(intended or {}),
        dict(excused or {}),
        tuple(dict.fromkeys(axes_known)),
        _notes(policy),
        policy.runs,
    )


def _take(steps: list[Step], progress: Callable[[Iterable], Iterable]) -> list[Look]:
    """The looks of all steps, and for each step that `progress` does not give on, that it was left out."""
    looks, left = [], {id(step): step for step in steps}
    for step in progress(steps):
        if left.pop(id(step), None) is not None:
            try:
                for look in step():
                    looks.append(look)
            except OutOfRuns as end:
                looks.append(step.left_out(str(end)))
    why = "`progress` did not give this part of the audit on; it has to give all that it gets"
    return [*looks, *(step.left_out(why) for step in left.values())]


def _notes(policy: Policy) -> tuple[str, ...]:
    notes = []
    if policy.edited:
        names = ", ".join(map(repr, sorted(policy.edited)))
        notes.append(
            f"the policy writes into {names} of the batch that it is given; each run of the audit had its own copy"
        )
    for name, axis in sorted(policy.not_along):
        notes.append(
            f"{name!r} is declared along {axis}, and training or the sampler draws something under this name that is "
            "not as long; there it was not taken for padded"
        )
    if policy.sample is not None:
        for axis in sorted({kind.axis for kind in policy.padding.values()} - policy.sample_along):
            notes.append(f"`sample_along` leaves {axis} out: what padding does there in the sampler was not asked")
    if policy.batch_size == 1:
        notes.append(
            "the batch has one sample, so what a sample gets from others cannot be seen; hand over two or more, "
            "padded by different amounts"
        )
    for name in sorted(policy.statistics - policy.unclear):
        notes.append(
            f"{name!r} is as long as the batch has samples and was taken for something else, such as weights of "
            "classes: the policy cannot be run with a part of it"
        )
    if policy.has_other_losses:
        notes.append(
            "the loss has a part that does not come from this prediction, such as that of a second head or a KL term; "
            "what is lost there is seen only in part. Audit each head once, with it as the prediction"
        )
    for label, kind in policy.padding.items():
        if kind.axis == "dims":
            continue
        if not policy.can_be_cut(label):
            left = f"padding of {kind.axis} is declared entry by entry"
        elif policy.has_holes(label):
            between = "between real entries" if kind.real.ndim == 2 else "in front of real entries or between them"
            left = f"some padding of {kind.axis} lies {between}"
        else:
            continue
        notes.append(f"{left} and could not be cut off; there the audit only wrote other numbers")
    for (axis, most), several in policy.left_unmoved.items():
        notes.append(
            f"of up to {several} real {axis} of a sample only {most} were moved one by one, others in each sample, to "
            "see whether they have an effect; of a batch of shorter samples none is left out"
        )
    return tuple(notes)
