"""The masked loss in the reader's hands: paint the mask, choose whose errors are summed and what divides their sum.

`masked_loss` is what the picture computes. `masked_loss.js` has a function of the same name, which the page uses.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from groot_teach.chapters.loss.networks import DIMS, NETWORKS, ROBOTS, STEPS, shown_batch, shown_errors
from groot_teach.loss import masked_velocity_loss, velocity_error_sum
from groot_teach.padding import action_mask_dims_only
from groot_teach.shapes import ActionChunks, ActionMask, checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import OWN, Cell, chips, fixed, percent, sheet, tries

DIVISORS = {"entries that count": "entries", "all entries": "entries", "steps that count": "steps"}
"""What the sum can be divided by, and the noun of what is counted."""


class LossReport(NamedTuple):
    """What one masked loss is made of. A part is None where nothing counts, so that there is nothing to divide.

    Attributes:
        summed: the sum of the squared errors that count.
        divisor: what it is divided by.
        loss: the quotient.
        right: what it should be, the mean over the recorded entries.
        padded_share: how much of the sum comes from padding, 0 to 1.
        padded_pull: how much of the gradient lies on padded outputs, 0 to 1. It is the sum of its absolute values
            there, divided by the sum everywhere.
    """

    summed: float
    divisor: int
    loss: float | None
    right: float
    padded_share: float | None
    padded_pull: float | None


@checked
def masked_loss(error: ActionChunks, counts: ActionMask, recorded: ActionMask, divide_by: str) -> LossReport:
    """The loss of the entries that count, and what padding has to do with it.

    Args:
        error: prediction minus target.
        counts: True = the entry is summed.
        recorded: True = the entry was recorded; all others are padding.
        divide_by: one of `DIVISORS`.

    Raises:
        ValueError: another `divide_by`, or nothing is recorded.
    """
    if divide_by not in DIVISORS:
        raise ValueError(f"divide_by: got {divide_by!r}, expected one of {', '.join(DIVISORS)}")
    pred, target = error.clone().requires_grad_(), torch.zeros_like(error)
    summed = velocity_error_sum(pred, target, counts)
    (gradient,) = torch.autograd.grad(summed, pred)
    padded, pull = counts & ~recorded, gradient.abs()
    divisor = {
        "entries that count": int(counts.sum()),
        "all entries": counts.numel(),
        "steps that count": int(counts.any(dim=-1).sum()),
    }[divide_by]
    return LossReport(
        summed=summed.item(),
        divisor=divisor,
        loss=summed.item() / divisor if divisor else None,
        right=masked_velocity_loss(error, target, recorded).item(),
        padded_share=_part(error.square()[padded].sum(), summed),
        padded_pull=_part(pull[padded].sum(), pull.sum()),
    )


def _part(of: Tensor, whole: Tensor) -> float | None:
    return (of / whole).item() if whole.item() else None


def masked_loss_picture() -> LivePicture:
    """The live picture of the chapter, which opens without a mask."""
    batch, recorded = shown_batch()
    masks = {
        "none": torch.ones_like(recorded),
        "dims (N1.5)": action_mask_dims_only(batch.dim_mask, STEPS),
        "dims and steps (N1.7)": recorded,
    }
    errors = shown_errors()
    bits = {name: _bits(mask) for name, mask in masks.items()}
    state = {"network": NETWORKS[0], "painted": bits["none"], "divide_by": "entries that count"}

    def compute(state: dict) -> LossReport:
        return masked_loss(errors[state["network"]], _mask(state["painted"]), recorded, state["divide_by"])

    names = [
        f"{robot.name}, step {step}, dim {dim}"
        for robot in ROBOTS
        for step in range(1, STEPS + 1)
        for dim in range(1, DIMS + 1)
    ]
    report, error = compute(state), errors[state["network"]]
    return LivePicture(
        Path(__file__).with_name("masked_loss.js"),
        title="The masked loss, in your hands",
        caption="Click a cell of the mask, or drag over many. The bars say what counts; the loss alone does not.",
        body=_body(state, error, recorded, names, report, [*bits]),
        said=_said(report),
        state=state,
        constants={
            "errors": {name: values.flatten().tolist() for name, values in errors.items()},
            "masks": bits,
            "recorded": recorded.flatten().tolist(),
            "dims": DIMS,
            "names": names,
        },
        compute=compute,
    )


def _bits(mask: Tensor) -> str:
    return "".join("01"[bit] for bit in mask.flatten().tolist())


def _mask(painted: str) -> Tensor:
    entries = len(ROBOTS) * STEPS * DIMS
    if len(painted) != entries or {*painted} - {*"01"}:
        raise ValueError(
            f"painted: got {painted!r}, expected {entries} digits, 1 where an entry counts and 0 elsewhere"
        )
    return torch.tensor([bit == "1" for bit in painted]).reshape(len(ROBOTS), STEPS, DIMS)


def _body(state: dict, error: Tensor, recorded: Tensor, names: list[str], report: LossReport, masks: list[str]) -> str:
    """The opening state, in which every entry counts."""
    kinds = [["real" if real else "leak" for real in row] for row in recorded.flatten(0, 1).tolist()]
    squared = error.square().flatten(0, 1).tolist()

    def cells(text, padding):
        rows = []
        for kind_row, value_row in zip(kinds, squared, strict=True):
            row = []
            for kind, value in zip(kind_row, value_row, strict=True):
                strength = "0.85" if text(value) == "1" else fixed(min(1, value / 2), 2)
                row.append(Cell(kind if kind == "real" else padding, text(value), strength))
            rows.append(row)
        return {robot.name: rows[i * STEPS : (i + 1) * STEPS] for i, robot in enumerate(ROBOTS)}

    def digit(value):
        return fixed(value, 1)

    labels = [
        f"{name}, {'recorded' if real else 'padding'}, counts"
        for name, real in zip(names, recorded.flatten().tolist(), strict=True)
    ]
    scale = _bar_end(report)
    share = (report.loss or 0) * (report.padded_share or 0)
    controls = "\n".join(
        [
            chips("network", "network", NETWORKS, state["network"]),
            chips("mask", "mask", [*masks, OWN], "none"),
            chips("divide_by", "divide by", [*DIVISORS], state["divide_by"]),
        ]
    )
    sheets = '<span class="sign" aria-hidden="true">×</span>'.join(
        [
            sheet("error", "squared error", cells(digit, "pad")),
            sheet("mask", "mask", cells(lambda value: "1", "leak"), labels, [True] * len(labels)),
        ]
    )
    sheets += '<span class="sign" aria-hidden="true">=</span>' + sheet("product", "what counts", cells(digit, "leak"))
    return f"""<div class="live-controls">
{controls}
</div>
<div class="sheets">{sheets}</div>
<p class="live-readout" aria-hidden="true">Point at a cell to read it.</p>
<div class="results masked-loss-results">
<div><p><span class="sum">Σ {fixed(report.summed, 2)} ÷ {report.divisor} {DIVISORS[state["divide_by"]]} =</span>
<strong class="loss big wrong">{fixed(report.loss or 0, 2)}</strong></p>
<p class="should wrong">should be {fixed(report.right, 2)} ({_apart(report)})</p></div>
<div><div class="bar loss-bar"><i style="width: {
        _width(((report.loss or 0) - share) / scale)
    };"></i><i class="leak" style="width: {_width(share / scale)};"></i><b class="tick" style="left: {
        _width(report.right / scale)
    };"></b></div>
<p class="ends"><span><span class="share">{
        percent(report.padded_share or 0)
    }</span> is padding; the line marks the right loss</span> <span>0 to <span class="bar-end">{scale}</span></span></p>
<div class="bar pull-bar"><i class="leak" style="width: {_width(report.padded_pull or 0)};"></i></div>
<p class="ends"><span><span class="pull">{
        percent(report.padded_pull or 0)
    }</span> of the gradient pulls on padding (absolute values)</span></p></div>
</div>
{
        tries(
            {
                "the right mask": {
                    "network": NETWORKS[0],
                    "painted": _bits(recorded),
                    "divide_by": "entries that count",
                },
                "trained without a mask": {
                    "network": NETWORKS[2],
                    "painted": "1" * recorded.numel(),
                    "divide_by": "entries that count",
                },
                "the same, judged with one": {
                    "network": NETWORKS[2],
                    "painted": _bits(recorded),
                    "divide_by": "entries that count",
                },
                "trained with the mask": {
                    "network": NETWORKS[1],
                    "painted": _bits(recorded),
                    "divide_by": "entries that count",
                },
                "ACT's divisor": {
                    "network": NETWORKS[0],
                    "painted": _bits(recorded),
                    "divide_by": "all entries",
                },
            }
        )
    }"""


def _bar_end(report: LossReport) -> int:
    """Where the bar of the loss ends: at 2, so that settings can be compared, or where need be at 4, 8 and so on."""
    most, end = max(report.loss or 0, report.right), 2
    while most > end:
        end *= 2
    return end


def _width(part: float) -> str:
    return f"{fixed(100 * part, 2)}%"


def _apart(report: LossReport) -> str:
    change = (report.loss or 0) / report.right - 1
    return f"{'+' if change > 0 else ''}{fixed(100 * change, 0)}\N{NO-BREAK SPACE}%"


def _said(report: LossReport) -> str:
    return (
        f"The loss is {fixed(report.loss or 0, 2)} and should be {fixed(report.right, 2)}. "
        f"Padding makes {percent(report.padded_share or 0)} of it, "
        f"and {percent(report.padded_pull or 0)} of the gradient pulls on padded outputs."
    )
