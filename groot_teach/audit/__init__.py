"""Is my mask really used? An audit of any policy: which padding reaches which output, where, and how strongly.

    report = audit_masks(run, batch, padding)
    report                       a table: a row for each stage, a column for each axis of padding
    report.assert_clean()        for pytest

`run` is your policy: it takes the batch and returns a prediction and a loss. `padding` says which entries of the batch
are real. It is declared apart from the masks that the policy gets, because the audit asks what the policy does with
those masks. Four probes do the asking; `probes` describes them, and `policy` describes what you hand over.

The audit does not decide whether a leak is a fault: one that you want is declared as intended, with your reason. Where
the audit could not look, it says so, and then the report is not clean.
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

    The audit does not switch the policy's mode: in train mode dropout stays on, and is repeated exactly. Noise may be
    an entry of the batch or may be drawn inside the policy. Every random number that the first run draws is recorded
    and replayed in all later runs. The first run is repeated once, and the two must give the same result.

    Args:
        run: takes the batch and returns an `Answer`; or the loss alone, if `prediction` names a module.
        batch: everything that the policy is given, by name. The first axis of its tensors is the sample.
        padding: which entries are real, for each axis along which something is padded.
        module: the policy as a module; needed for `prediction` and `taps`.
        prediction: the path of the module whose output the loss compares with its target, such as `"action_decoder"`.
            The audit reads this output, and replaces it by others to see what the loss makes of them.
        arrange: needed if that output has another layout than batch, steps, dims. Two functions: the first brings the
            output into this layout; the second gets a prediction in this layout and the old output, and makes an output
            of the old kind again.
        taps: places inside `module` between two stages. With them the audit tells at which stage a leak is.
        sample: takes the batch and returns sampled actions; None = the sampler is not audited, and the report says so.
        axes: which axis of a prediction and of actions holds `dims`, `steps` or `tokens`. None = the usual layout,
            `{"steps": 1, "dims": 2}`.
        sample_along: the axes along which sampled actions are padded. Leave `steps` out if your sampler always gives
            all of its steps.
        unit_loss: the loss of an error of 1 in every entry: 1 for a squared and an absolute error, 0.5 for half of it,
            2 for a sum of two means.
        intended: findings that you want, by their name, such as `"loss sum, steps"` -> the reason.
        excused: looks that need not be taken -> the reason. A key is a probe such as `"unit error"`, a stage such as
            `"sampler"`, or a stage and an axis such as `"loss sum, steps"`.
        progress: wraps the list of steps, for a progress bar such as `tqdm.auto.tqdm`.

    Returns:
        What each probe found, at which stage and along which axis, and where none could look.

    Raises:
        ValueError: padding that the batch does not have or that pads nothing, a module without the paths, a policy that
            gives two different answers to the same batch, or an answer of another kind than described here.
        TypeError: an argument of another type than its annotation, for example a mask that is not bool.
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
