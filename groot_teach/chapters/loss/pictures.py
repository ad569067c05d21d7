"""The widgets and the figure of the chapter on the loss.

A widget's function takes the values of its controls and returns what the widget shows. The sizes are small, so that
every entry can be seen: 3 steps instead of 16, a head of 8 dims instead of 32, a slice to 4 dims instead of 16.
"""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from groot_teach.embodiments import TOY_DUAL_ARM, TOY_HUMANOID, TOY_SMALL_ARM, Embodiment
from groot_teach.loss import masked_velocity_loss
from groot_teach.padding import (
    ActionBatch,
    action_mask_dims_and_steps,
    action_mask_dims_only,
    collate_chunks,
    pad_steps_with_copies,
)
from groot_teach.shapes import checked
from groot_teach.show.panels import Bars, HeatMap, KindMap, Number, Panel, one_of
from groot_teach.show.pictures import FILLS, HATCHES, Picture, _runs, picture

ACTION_HORIZON, HEAD_DIM, SLICE_DIM = 3, 8, 4

ROBOTS = {f"{robot.name}, {robot.action_dim} dims": robot.name for robot in (TOY_DUAL_ARM, TOY_SMALL_ARM, TOY_HUMANOID)}
MASKS = {"none": "none", "dims (N1.5)": "dims", "dims and steps (LeRobot N1.7)": "dims_and_steps"}
DIVISORS = {"all entries": "all", "entries that count": "valid", "steps that count": "steps"}

COUNT_LEGEND = {
    "r": ("real", "recorded, counts"),
    "c": ("leak", "copied, counts all the same"),
    "d": ("leak", "padded dim, counts all the same"),
    "x": ("real-too", "recorded, cut off by the slice"),
    "h": ("hidden", "copied, does not count"),
    "p": ("padding", "padded dim, does not count"),
}

_TOYS = {robot.name: robot for robot in (TOY_DUAL_ARM, TOY_SMALL_ARM, TOY_HUMANOID)}


def count_the_errors(
    action_mask: str, slice_to_4: bool, divide_by: str, copied_steps: int = 0, second_robot: str = "dual arm"
) -> dict[str, Panel]:
    """Two chunks, one loss: which errors count, whose are they, and what is their sum divided by?"""
    batch = two_chunks(second_robot, copied_steps)
    error = toy_error(batch)
    dims = action_mask_dims_only(batch.dim_mask, ACTION_HORIZON)
    recorded = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    masks = {"none": torch.ones_like(dims), "dims": dims, "dims_and_steps": recorded}
    in_slice = torch.arange(HEAD_DIM) < (SLICE_DIM if slice_to_4 else HEAD_DIM)
    counts = one_of("action_mask", action_mask, masks) & in_slice
    divisors = {
        "all": counts.shape[0] * counts.shape[1] * int(in_slice.sum()),
        "valid": int(counts.sum()),
        "steps": int(counts.any(dim=-1).sum()),
    }
    divisor = one_of("divide_by", divide_by, divisors)
    squared = torch.where(counts, error, 0.0).square()
    right = masked_velocity_loss(error, torch.zeros_like(error), recorded)
    return {
        "the loss": Number((squared.sum() / divisor).item(), digits=3),
        "the mean over what was recorded": Number(right.item(), digits=3),
        "entries summed": Number(int(counts.sum()), digits=0),
        "divided by": Number(divisor, digits=0),
        "share of the loss": _shares(two_robots(second_robot), batch, squared),
        "what counts": KindMap(_letters(counts, dims, recorded), COUNT_LEGEND, rows=ROWS, columns="dim"),
        "error": HeatMap(error.flatten(0, 1).tolist(), rows=ROWS, columns="dim", high=3, digits=0),
        "error x mask": HeatMap((error * counts).flatten(0, 1).tolist(), rows=ROWS, columns="dim", high=3, digits=0),
    }


ROWS = "step: three of the first robot, then three of the second"


def two_robots(second_robot: str) -> tuple[Embodiment, Embodiment]:
    """The toy dual arm, and a second robot by its name."""
    return TOY_DUAL_ARM, one_of("second_robot", second_robot, _TOYS)


def two_chunks(second_robot: str, copied_steps: int) -> ActionBatch:
    """A full chunk of the toy dual arm, and one of a second robot whose last `copied_steps` steps are copies.

    Only the masks are of interest: all actions are 0.
    """
    real_steps = ACTION_HORIZON, ACTION_HORIZON - copied_steps
    chunks = [
        pad_steps_with_copies(torch.zeros(steps, robot.action_dim, dtype=torch.float64), ACTION_HORIZON)
        for robot, steps in zip(two_robots(second_robot), real_steps, strict=True)
    ]
    return collate_chunks(chunks, HEAD_DIM)


def toy_error(batch: ActionBatch) -> Tensor:
    """An invented error for each entry, the same in every state: 1 or 2 in the robot's dims, 3 in padded ones."""
    drawn = torch.randint(1, 3, batch.actions.shape, generator=torch.Generator().manual_seed(1)).double()
    return torch.where(batch.dim_mask[:, None, :], drawn, 3.0)


def weigh_the_entries(loss: Callable[[Tensor, Tensor, Tensor], Tensor], robot: str, recorded_steps: int) -> dict:
    """What each entry weighs in `loss`: how fast the loss grows with its squared error, at an error of 1.

    Args:
        loss: takes `velocity_pred`, `velocity_target` and `action_mask`, and returns a number.
        robot: the toy robot whose chunk is the batch.
        recorded_steps: how many steps of the chunk are recorded; the others are copies.
    """
    width = one_of("robot", robot, _TOYS).action_dim
    recorded = torch.zeros(recorded_steps, width, dtype=torch.float64)
    batch = collate_chunks([pad_steps_with_copies(recorded, ACTION_HORIZON)], HEAD_DIM)
    action_mask = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    pred = torch.ones_like(batch.actions, requires_grad=True)
    value = loss(pred, torch.zeros_like(pred), action_mask)
    (gradient,) = torch.autograd.grad(value, pred)
    weights = gradient[0] / 2
    return {
        "the loss, if every error is 1": Number(value.item(), digits=3),
        "what each entry weighs": HeatMap(weights.tolist(), rows="step", columns="dim", digits=3),
    }


def _letters(counts: Tensor, dims: Tensor, recorded: Tensor) -> list[str]:
    """For each entry its letter in `COUNT_LEGEND`: a row for each step, one sample below the other."""
    kinds = {
        "r": recorded & counts,
        "c": dims & ~recorded & counts,
        "d": ~dims & counts,
        "x": recorded & ~counts,
        "h": dims & ~recorded & ~counts,
        "p": ~dims & ~counts,
    }
    cells = [["?"] * counts.shape[-1] for _ in range(counts.shape[0] * counts.shape[1])]
    for letter, where in kinds.items():
        for row, dim in where.flatten(0, 1).nonzero().tolist():
            cells[row][dim] = letter
    return ["".join(row) for row in cells]


def _shares(robots: Sequence[Embodiment], batch: ActionBatch, squared: Tensor) -> Bars:
    """The parts of the sum that come from recorded arms, recorded claws and the like, copies, and padding."""
    is_arm = torch.zeros_like(batch.dim_mask)
    for place, robot in enumerate(robots):
        is_arm[place, robot.group_slices["arm"]] = True
    dims, steps = batch.dim_mask[:, None, :], batch.step_mask[:, :, None]
    parts = {
        "arms": (is_arm[:, None, :] & steps, "real"),
        "claw, gripper, hands": (dims & ~is_arm[:, None, :] & steps, "real-too"),
        "copied steps": (dims & ~steps, "leak"),
        "padded dims": (~dims & torch.ones_like(steps), "leak"),
    }
    return Bars(
        labels=list(parts),
        values=[(squared[part].sum() / squared.sum()).item() for part, _ in parts.values()],
        kinds=[kind for _, kind in parts.values()],
        maximum=1,
        digits=3,
    )


@checked
def mask_and_error(
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    error: Float[Tensor, "batch action_horizon action_dim"],
    counted: Float[Tensor, "batch action_horizon action_dim"],
    names: Sequence[str],
) -> Picture:
    """`mask | error | error x mask`: a row of maps for each sample, with a number in each cell. For small tensors.

    A padded entry that is 0 is left without a number.

    Args:
        action_mask: True = a real entry.
        error: the error before the mask.
        counted: the error after the mask, however it was applied. A padded entry that is not 0 there is orange, and a
            real entry that the mask has set to 0 is hatched.
        names: what to write beside each row of maps.

    Raises:
        ValueError: more or fewer names than samples.
    """
    samples, action_horizon, action_dim = error.shape
    if len(names) != samples:
        raise ValueError(f"names: got {len(names)}, expected {samples}, one for each sample")
    drawn, used = picture(7.4, 0.5 + samples * (0.35 + 0.22 * action_horizon)), ""
    maps = drawn.subplots(samples, 3, squeeze=False)
    for axes, title in zip(maps[0], ("mask", "error", "error \N{MULTIPLICATION SIGN} mask"), strict=True):
        axes.set_title(title)
    for axes in maps[-1]:
        axes.set_xlabel("dim")
    lost = action_mask & (error != 0) & (counted == 0)
    for sample, row in enumerate(maps):
        row[0].set_ylabel(f"{names[sample]}\nstep")
        for axes, values in zip(row, (action_mask.double(), error, counted), strict=True):
            letters = [
                "".join(
                    ("h" if lost[place] and axes is row[2] else "r") if action_mask[place] else "pl"[values[place] != 0]
                    for place in product([sample], [step], range(action_dim))
                )
                for step in range(action_horizon)
            ]
            _numbered_map(axes, letters, values[sample].tolist())
            used += "".join(letters)
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for letter, (kind, words) in ERROR_LEGEND.items()
        if letter in used
    ]
    below = (0.5, 0.1 - 0.25 / drawn.get_figheight())
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=below, ncols=len(keys), frameon=False)
    return drawn


ERROR_LEGEND = {
    "r": ("real", "real"),
    "p": ("padding", "padding, 0"),
    "l": ("leak", "padding that counts"),
    "h": ("hidden", "real, but lost"),
}


def _numbered_map(axes: Axes, letters: Sequence[str], values: Sequence[Sequence[float]]) -> None:
    """One map of `mask_and_error`: a letter of `ERROR_LEGEND` and a number for each cell."""
    height, width = len(letters), len(letters[0])
    for top, bottom in _runs(letters):
        for left, right in _runs(letters[top]):
            kind = ERROR_LEGEND[letters[top][left]][0]
            style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0}
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
    axes.vlines(range(1, width), 0, height, color="white", linewidth=0.8)
    axes.hlines(range(1, height), 0, width, color="white", linewidth=0.8)
    for step, dim in product(range(height), range(width)):
        kind = ERROR_LEGEND[letters[step][dim]][0]
        if kind == "padding":
            continue
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": "white" if kind == "real" else "black"}
        boxed = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}} if HATCHES[kind] else {}
        axes.text(dim + 0.5, step + 0.5, f"{values[step][dim]:.3g}", **style, **boxed)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
