"""A masked loss that breaks, in the reader's hands: put a NaN into an entry and see what is left of loss and gradient.

`broken_loss` is what the picture computes. `broken_loss.js` has a function of the same name, which the page uses.
"""

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.loss import loss_divisor, masked_velocity_loss
from groot_teach.shapes import checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import Cell, chips, fixed, line, tries

ERROR = (0.9, -1.2, 0.4, -1.1, 1.5, 0.3, -0.8, 0.5)
"""Prediction minus target of one step, an entry for each dim. The robot of the picture has the first five dims."""

Pair = tuple[Tensor, Tensor]
WAYS: dict[str, Callable[[Tensor, Tensor], Pair]] = {
    "square, then × mask": lambda error, counts: (error.square(), error.square() * counts),
    "square, then select": lambda error, counts: (error.square(), torch.where(counts, error.square(), 0.0)),
    "select, then square": lambda error, counts: (
        torch.where(counts, error, 0.0),
        torch.where(counts, error, 0.0).square(),
    ),
}
"""How a loss applies its mask: what its first step gives, and what its second step gives, which is summed."""

STEPS = {
    "square, then × mask": ("squared", "then × mask"),
    "square, then select": ("squared", "then selected"),
    "select, then square": ("selected", "then squared"),
}
"""What the two steps of each way are called."""

DIVISORS: dict[str, Callable[[Tensor], Tensor]] = {
    "count (N1.5)": lambda count: count,
    "count + 1e-6 (N1.7)": lambda count: loss_divisor("valid_plus_eps", count, count),
    "at least 1 (ACT)": lambda count: count.clamp_min(1),
    "raise an error (ours)": lambda count: loss_divisor("valid", count, count),
}
"""What the sum is divided by, from the number of entries that count. The last one raises `ValueError` where it is 0."""


class BrokenLoss(NamedTuple):
    """A masked loss and its gradient, beside what they should be. Any number can be NaN.

    The gradient of one weight is taken as well, which stands for a network: a bias that is added to every prediction,
    so it gets the sum of the gradients of all entries.

    Attributes:
        first: for each entry what the first step of the way gives.
        second: for each entry what its second step gives. The loss is the sum of these, divided.
        summed: the sum of `second`.
        divisor: what it is divided by. None where that raises an error, and then there is no loss and no gradient.
        loss: the quotient.
        gradient: for each entry the gradient of the loss with respect to its prediction.
        of_weight: the gradient that reaches the shared bias.
        right: the loss of the library, `masked_velocity_loss`. None where it raises an error, as nothing counts.
        right_of_weight: the gradient that it sends to the shared bias.
    """

    first: list[float]
    second: list[float]
    summed: float
    divisor: float | None
    loss: float | None
    gradient: list[float] | None
    of_weight: float | None
    right: float | None
    right_of_weight: float | None


@checked(same="dtype device")
def broken_loss(error: Float[Tensor, " entry"], counts: Bool[Tensor, " entry"], way: str, divide_by: str) -> BrokenLoss:
    """The loss of the entries that count, with a mask that is applied in one way, and its gradient.

    Args:
        error: prediction minus target. It may be NaN.
        counts: True = the entry is real and counts, False = padding.
        way: how the mask is applied, one of `WAYS`.
        divide_by: one of `DIVISORS`.

    Raises:
        ValueError: another `way` or `divide_by`.
    """
    for name, got, known in (("way", way, WAYS), ("divide_by", divide_by, DIVISORS)):
        if got not in known:
            raise ValueError(f"{name}: got {got!r}, expected one of {'; '.join(known)}")
    pred = error.clone().requires_grad_()
    right, right_gradient = None, None
    if counts.any():
        right = masked_velocity_loss(pred[None, None], torch.zeros_like(pred)[None, None], counts[None, None])
        (right_gradient,) = torch.autograd.grad(right, pred)
    first, second = WAYS[way](pred, counts)
    summed, divisor, loss, gradient = second.sum(), None, None, None
    try:
        divisor = DIVISORS[divide_by](counts.sum().to(error.dtype))
    except ValueError:
        pass  # the error of the library is the right answer, and the record says so by None
    else:
        loss = summed / divisor
        (gradient,) = torch.autograd.grad(loss, pred)
    return BrokenLoss(
        first=first.tolist(),
        second=second.tolist(),
        summed=summed.item(),
        divisor=_number(divisor),
        loss=_number(loss),
        gradient=None if gradient is None else gradient.tolist(),
        of_weight=None if gradient is None else gradient.sum().item(),
        right=_number(right),
        right_of_weight=None if right_gradient is None else right_gradient.sum().item(),
    )


def _number(tensor: Tensor | None) -> float | None:
    return None if tensor is None else tensor.item()


def broken_loss_picture() -> LivePicture:
    """The live picture of the chapter. It opens with one NaN in the padding, a right loss and a NaN as its gradient."""
    state = {
        "way": "square, then select",
        "divide_by": "count (N1.5)",
        "painted": "11111000",
        "nan": "00000010",
    }
    report = _compute(state)
    return LivePicture(
        Path(__file__).with_name("broken_loss.js"),
        title="Break a masked loss",
        caption="Click an error to make it NaN, or click the mask: a loss can be right while its gradient is lost.",
        body=_body(state, report),
        said=f"The loss is {fixed(report.loss or 0, 2)}, as it should be. The gradient of a shared bias is NaN and "
        f"should be {fixed(report.right_of_weight or 0, 2)}. {VERDICT}",
        state=state,
        constants={"error": [*ERROR], "steps": STEPS, "refusal": _refusal()},
        compute=_compute,
    )


VERDICT = (
    "The log shows a loss that is right. But on the way back 0 × 2 × NaN is NaN, and one step later the weights are "
    "NaN."
)


def _compute(state: dict) -> BrokenLoss:
    counts, nan = _bits("painted", state["painted"]), _bits("nan", state["nan"])
    error = torch.tensor(ERROR, dtype=torch.float64).masked_fill(nan, torch.nan)
    return broken_loss(error, counts, state["way"], state["divide_by"])


def _bits(name: str, digits: str) -> Tensor:
    if len(digits) != len(ERROR) or {*digits} - {*"01"}:
        raise ValueError(f"{name}: got {digits!r}, expected {len(ERROR)} digits, each 0 or 1")
    return torch.tensor([digit == "1" for digit in digits])


def _refusal() -> str:
    """The error of the library where nothing counts."""
    entry = torch.zeros(1, 1, 1, dtype=torch.float64)
    try:
        masked_velocity_loss(entry, entry, torch.zeros(1, 1, 1, dtype=torch.bool))
    except ValueError as error:
        return str(error)
    raise AssertionError("masked_velocity_loss took a mask without a real entry")


def _cell(value: float, counts: bool, stopped: bool, digits: int, full: float) -> Cell:
    """An entry in one line of the picture.

    Args:
        value: its number.
        counts: whether it is real.
        stopped: whether the mask has been applied by then, so that padding should be 0.
        digits: how many to show behind the point.
        full: the number whose blue is the strongest.
    """
    strength = fixed(0.3 if isnan(value) else min(1, abs(value) / full), 2)
    if not counts and stopped and value == 0:
        return Cell("hidden", "0", strength)
    kind = "real" if counts else "leak" if stopped else "pad"
    return Cell(f"{kind} nan", "NaN", strength) if isnan(value) else Cell(kind, fixed(value, digits), strength)


def _body(state: dict, report: BrokenLoss) -> str:
    """The opening state."""
    counts, nan = _bits("painted", state["painted"]).tolist(), _bits("nan", state["nan"]).tolist()
    error = [float("nan") if is_nan else value for value, is_nan in zip(ERROR, nan, strict=True)]

    def numbers(label: str, values: Sequence[float], stopped: bool, digits: int, full: float) -> str:
        row = [_cell(value, is_real, stopped, digits, full) for value, is_real in zip(values, counts, strict=True)]
        return line(f"{label}: {', '.join(cell.text for cell in row)}", row)

    dims = [f"dim {dim}, {'real' if is_real else 'padding'}" for dim, is_real in enumerate(counts, 1)]
    masked = [Cell("real" if is_real else "pad", "01"[is_real], "0.85") for is_real in counts]
    errors = [_cell(value, is_real, False, 1, 2) for value, is_real in zip(error, counts, strict=True)]
    labels = [f"{dim}, error {cell.text}" for dim, cell in zip(dims, errors, strict=True)]
    step, then = STEPS[state["way"]]
    lines = {
        "mask": ("mask", "1 = real", line("mask: space makes a dim real or padding", masked, dims, counts)),
        "error": ("error", "click: NaN", line("error: space makes it NaN or a number again", errors, labels, nan)),
        "first": (step, "", numbers(step, report.first, step == "selected", 2, 2.5)),
        "second": (then, "", numbers(then, report.second, True, 2, 2.5)),
        "gradient": ("gradient", "way back", numbers("gradient", report.gradient or [], True, 2, 1)),
    }
    drawn = "\n".join(
        f'<p class="line-name"><strong>{label}</strong> <span>{hint}</span></p><div data-line="{name}">{row}</div>'
        for name, (label, hint, row) in lines.items()
    )
    summed = f"Σ {fixed(report.summed, 2)} ÷ {fixed(report.divisor or 0, 0)}"
    return f"""<div class="live-controls">
{chips("way", "order", [*WAYS], state["way"])}
{chips("divide_by", "divide by", [*DIVISORS], state["divide_by"])}
</div>
<div class="sheet lines" style="--columns: {len(ERROR)};">
{drawn}
</div>
<div class="results">
<p class="of-loss"><span>loss: <span class="sum">{summed}</span></span>
<strong class="loss big">{fixed(report.loss or 0, 2)}</strong> <span class="should">as it should be</span></p>
<p class="of-loss"><span>gradient of a shared bias: Σ of the last row</span>
<strong class="of-weight big wrong">NaN</strong>
<span class="should-weight wrong">should be {fixed(report.right_of_weight or 0, 2)}</span></p>
</div>
<p class="verdict" aria-hidden="true">{VERDICT}</p>
{tries(_settings(state))}"""


def _settings(opening: dict) -> dict[str, dict]:
    padded_nan = {"painted": opening["painted"], "nan": opening["nan"]}
    return {
        "quiet": opening,
        "loud": padded_nan | {"way": "square, then × mask", "divide_by": "count (N1.5)"},
        "safe": padded_nan | {"way": "select, then square", "divide_by": "raise an error (ours)"},
        "a NaN that counts": opening | {"nan": "00100000", "way": "select, then square"},
        "empty mask": {"painted": "0" * len(ERROR), "nan": "0" * len(ERROR), "divide_by": "at least 1 (ACT)"},
    }
