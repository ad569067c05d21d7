"""Is my mask really used? An audit of any policy: which padding reaches which output, where, and how strongly.

    report = audit_masks(run, batch, padding)
    report                       a table: a row for each stage, a column for each axis of padding
    report.assert_clean()        for pytest

`run` is called with the batch and answers with a prediction and a loss. `padding` says what is real, apart from the
masks that the policy is given. Four probes then ask: `probes` tells how, `policy` what is needed from you.

It reports and does not preach: a leak that you want is declared, with its reason. Where it could not look it says so,
and such a report is not clean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from groot_teach.audit.policy import AXES, Answer, Axis, Padding, Policy, Tap
from groot_teach.audit.probes import Probes
from groot_teach.audit.report import LEAK_OF_STAGE, STAGES, Finding, Look, MaskReport, MasksLeak
from groot_teach.shapes import checked

__all__ = ["LEAK_OF_STAGE", "Answer", "Finding", "Look", "MaskReport", "MasksLeak", "Padding", "Tap", "audit_masks"]


@checked
def audit_masks(
    run: Callable[[dict[str, Any]], Any],
    batch: Mapping[str, Any],
    padding: Sequence[Padding],
    *,
    module: nn.Module | None = None,
    prediction: str | None = None,
    arrange: tuple[Callable[[Any], Tensor], Callable[[Tensor, Any], Any]] | None = None,
    taps: Sequence[Tap] = (),
    sample: Callable[[dict[str, Any]], Tensor] | None = None,
    axes: Mapping[str, int] | None = None,
    sample_along: Sequence[Axis] = AXES,
    unit_loss: float | int = 1,
    intended: Mapping[str, str] | None = None,
    excused: Mapping[str, str] | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> MaskReport:
    """Asks a policy what it does with the padding of one batch.

    The policy is left as it is: in train mode dropout is kept, and repeated exactly. Noise may be an entry of the batch
    or be drawn inside; what is drawn is written down in a first run and handed back in all others. The same run is made
    twice at the beginning, and must give the same.

    Args:
        run: from the batch to an `Answer`; or, if `prediction` names a module, to the loss alone.
        batch: everything that the policy is given, by name. The first axis of its tensors is the sample.
        padding: what is real, for each axis along which something is padded.
        module: the policy as a module, for `prediction` and `taps`.
        prediction: the path of the module whose output the loss compares, such as `"action_decoder"`. The audit listens
            there, and makes it say other things.
        arrange: if that output is laid out otherwise: a function that makes `batch` first, then steps and dims of it,
            and one that makes the output again, given the arranged prediction and the old output.
        taps: places inside `module` between two stages; with them a leak is found at its stage.
        sample: from the batch to sampled actions; None = the sampler is not looked at, and the report says so.
        axes: where `dims`, `steps` or `tokens` run in a prediction and in actions: `{"steps": 1, "dims": 2}`.
        sample_along: the axes along which sampled actions are padded. Leave `steps` out if your sampler always gives
            all of its steps.
        unit_loss: the loss of an error of 1 in every entry: 1 for a squared and an absolute error, 0.5 for half of it,
            2 for a sum of two means.
        intended: findings that are wanted, by their name, such as `"loss sum, steps"` -> the reason.
        excused: looks that need not be taken, by probe, by stage or by name -> the reason.
        progress: wraps the list of what there is to do, such as `tqdm.auto.tqdm`.

    Raises:
        ValueError: padding that the batch does not have or that pads nothing, a module without the paths, a policy that
            gives two answers to the same question or not what it promises.
        TypeError: an annotation is not met, for example a mask that is no bool.
    """
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
    )
    probes = Probes(policy, batch, unit_loss)
    looks = [look for step in progress(probes.steps()) for look in step()]
    inside = [stage for tap in taps for stage in (tap.before, tap.behind)]
    looks.sort(key=lambda look: [*inside, *STAGES].index(look.stage))
    return MaskReport(tuple(looks), dict(intended or {}), dict(excused or {}), tuple(policy.padding))
