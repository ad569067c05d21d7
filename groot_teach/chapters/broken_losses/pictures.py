"""The widget and the figures of the chapter on how a masked loss breaks."""

from collections.abc import Callable, Sequence
from math import isfinite, isnan

import torch
from jaxtyping import Bool
from torch import Tensor

from groot_teach.loss import masked_velocity_loss
from groot_teach.shapes import checked
from groot_teach.show.drawing import INKS, Picture, width_of, write_on
from groot_teach.show.panels import KindMap, Number, Panel
from groot_teach.show.plot import Plot, styled
from groot_teach.show.sheets import Block, Sheet, beside, graded, kinds_of
from groot_teach.show.tables import Column, Table


@checked
def what_survives(groups: dict[str, dict[str, list[Tensor]]], columns: Sequence[str]) -> Picture:
    """Which results of each way to apply a mask are still numbers: the groups of ways below each other.

    Each way is a row with a box for each of its results. One that is not finite throughout is hatched in orange.

    Args:
        groups: for each name of a group its ways, and for each of these its loss, its gradient, or whatever the columns
            say.
        columns: what each result is called.

    Raises:
        ValueError: no group, one without a way, or more or fewer results than columns.
    """
    for group, ways in groups.items() or [("no group", {})]:
        if not ways or any(len(results) != len(columns) for results in ways.values()):
            found = {name: len(results) for name, results in ways.items()}
            expected = f"expected {len(columns)} for each way, and at least one way"
            raise ValueError(f"groups, {group!r}: got {found}, {expected}")
    width, high, top = 76, 32, 58
    left = 12 + max(width_of(way) for ways in groups.values() for way in ways)
    picture, y = Picture(left + width * len(columns), 0), 0
    for group, ways in groups.items():
        picture.words(2, y + 40, group, bold=True)
        for place, name in enumerate(columns):
            picture.words(left + width * (place + 0.5) - 2, y + 40, name, ink="quiet", anchor="middle")
        y += top
        for way, results in ways.items():
            picture.words(left - 12, y + 14, way, anchor="end")
            for place, result in enumerate(results):
                is_finite = bool(result.isfinite().all())
                kind, strength, word = ("real", 0.3, "finite") if is_finite else ("leak", 1.0, "NaN")
                picture.box(left + width * place, y, width - 4, high - 4, kind, strength)
                write_on(picture, left + width * (place + 0.5) - 2, y + 14, word, kind, strength)
            y += high
    picture.height = y
    return picture


@checked
def what_tests_ask(action_mask: Bool[Tensor, "action_horizon action_dim"]) -> Picture:
    """What three tests of a masked loss set or read in each entry of a chunk, and what must come of it.

    Args:
        action_mask: True = a real entry. Each entry is drawn, so it should be small.
    """
    asked = {
        "unit error": ("c", "7c", "set the errors:", "the loss is c\N{SUPERSCRIPT TWO}"),
        "gradient": ("\N{NOT EQUAL TO}0", "0", "look at it:", "0 in padding alone"),
        "perturb": ("", "new", "change padding:", "both results stay"),
    }
    kinds = kinds_of(action_mask, action_mask)
    parts = graded(action_mask.double(), kinds, 2.5)
    sheets = []
    for title, (real, padded, do, must) in asked.items():
        words = [[real if is_real else padded for is_real in row] for row in action_mask.tolist()]
        below = [("quiet", do), ("ink", must)]
        sheets.append(Sheet([Block(kinds, words=words, parts=parts)], title, below=below, cell=32))
    return beside(sheets)


GRADIENTS = {
    "r": ("real", "real, moves the weights"),
    "w": ("real-too", "real, gradient of the wrong size"),
    "z": ("hidden", "real, gradient 0"),
    "p": ("padding", "padding, gradient 0"),
    "l": ("leak", "padding, moves the weights"),
    "n": ("leak", "gradient NaN or infinite"),
}
"""The letters of the map in `what_comes_back`."""


def what_comes_back(
    way: Callable[[Tensor, Tensor, Tensor], Tensor], filler: float, passed: dict[str, bool]
) -> dict[str, Panel]:
    """What a way to apply a mask makes of one chunk of 3 steps and 8 dims, of which 2 steps and 5 dims are recorded.

    Args:
        way: takes `velocity_pred`, `velocity_target` and `action_mask`, and returns a number, the loss.
        filler: what the target holds where nothing was recorded. It may be NaN or infinity.
        passed: for each name of a test whether the way passes it.
    """
    shape, generator = (1, 3, 8), torch.Generator().manual_seed(3)
    pred, target = (torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(2))
    action_mask = torch.zeros(shape, dtype=torch.bool)
    action_mask[:, :2, :5] = True
    pred, target = pred.requires_grad_(), torch.where(action_mask, target, filler)
    losses = [way(pred, target, action_mask), masked_velocity_loss(pred, target, action_mask)]
    gradient, right = (torch.autograd.grad(loss, pred)[0] for loss in losses)
    rows = []
    for name, pair in {"loss": losses, "gradient of a shared bias": (gradient.sum(), right.sum())}.items():
        given, wanted = (_number(value.item()) for value in pair)
        rows.append([name, given, wanted, "right" if given == wanted else "wrong"])
    is_zero, wrong = gradient == 0, ~torch.isclose(gradient, right)
    of_real = torch.where(is_zero, 2, torch.where(wrong, 1, 0))
    kinds = torch.where(action_mask, of_real, torch.where(is_zero, 3, 4))
    kinds = torch.where(gradient.isfinite(), kinds, 5)
    cells = ["".join("rwzpln"[kind] for kind in row) for row in kinds[0].tolist()]
    headings = ["of this chunk", "is", "should be", Column("so it is", "verdict", wrong=["wrong"])]
    found = ["this one", *("passes" if is_passed else "found" for is_passed in passed.values())]
    return {
        "entries with a wrong gradient": Number(int(wrong.sum()), digits=0, should_be=0),
        "the gradient of each entry": KindMap(cells, GRADIENTS, "step", "dim"),
        "what comes out": Table(headings, rows),
        "do the tests, which bring their own padding, find it?": Table(["way to mask", *passed], [found]),
    }


def _number(value: float) -> str:
    if isfinite(value):
        return f"{value:.3f}"
    return "NaN" if isnan(value) else "infinity" if value > 0 else "-infinity"


@styled
@checked
def miscounted(ones: Sequence[int], counted: Sequence[float]) -> Plot:
    """How many ones too many or too few a mask of ones is counted to have: a dot for each number of ones.

    Where `ones` leaves numbers out, a new plot begins beside the one before.

    Args:
        ones: how many ones were counted, in ascending order.
        counted: what came out for each of them, a finite number.

    Raises:
        ValueError: more or fewer counts than `ones`, or a count that is not finite.
    """
    if len(counted) != len(ones) or not all(map(isfinite, counted)):
        raise ValueError(f"counted: got {list(counted)}, expected {len(ones)} finite numbers, one for each of `ones`")
    off = {right: value - right for right, value in zip(ones, counted, strict=True)}
    runs: list[list[int]] = []
    for right in ones:
        if not runs or right != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(right)
    plot = Plot(690, 220)
    for axes, run in zip(plot.figure.subplots(1, len(runs), sharey=True, squeeze=False)[0], runs, strict=True):
        axes.axhline(0, color=INKS["quiet"], linewidth=1)
        axes.vlines(run, 0, [off[right] for right in run], color=INKS["leak"], linewidth=1.5)
        for ink, wrong in (("real", False), ("leak", True)):
            dots = [right for right in run if (off[right] != 0) is wrong]
            axes.plot(dots, [off[right] for right in dots], "D" if wrong else "o", color=INKS[ink], markersize=5)
        axes.set(xlabel="ones in the mask")
        axes.set_yticks([*range(int(min(off.values())), int(max(off.values())) + 1)])
    plot.figure.axes[0].set_title("counted too many or too few")
    return plot
