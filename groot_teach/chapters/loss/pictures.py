"""The widget and the figures of the chapter on the loss.

The widget's function takes the values of its controls and returns what the widget shows. The sizes are small, so that
every entry can be seen: 3 steps instead of 16, and a head of 8 dims instead of 32.
"""

from collections.abc import Callable, Sequence
from math import ceil, floor, log2

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.checks import all_finite, known_places
from groot_teach.embodiments import TOY_DUAL_ARM, TOY_HUMANOID, TOY_SMALL_ARM
from groot_teach.padding import action_mask_dims_and_steps, collate_chunks, pad_steps_with_copies
from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of
from groot_teach.show.panels import HeatMap, Number, one_of
from groot_teach.show.sheets import Block, Sheet, beside, graded, kinds_of, under

ACTION_HORIZON, HEAD_DIM = 3, 8

SCALE = 150
"""How many pixels a scale of factors is long, from the least to the largest."""

ROBOTS = {f"{robot.name}, {robot.action_dim} dims": robot.name for robot in (TOY_DUAL_ARM, TOY_SMALL_ARM, TOY_HUMANOID)}

_TOYS = {robot.name: robot for robot in (TOY_DUAL_ARM, TOY_SMALL_ARM, TOY_HUMANOID)}


WEIGHT_LEGEND = {
    "r": ("real", "recorded"),
    "l": ("leak", "padding, counts"),
    "p": ("padding", "padding, does not count"),
}


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
    weights, real = gradient[0] / 2, action_mask[0]
    kinds = torch.where(real, 0, torch.where(weights != 0, 1, 2))
    cells = ["".join("rlp"[kind] for kind in row) for row in kinds.tolist()]
    on_padding = weights[~real].sum() / weights.sum()
    return {
        "the loss, if every error is 1": Number(value.item(), digits=3, should_be=1),
        "part of the weight on padding": Number(on_padding.item(), digits=3, should_be=0),
        "what each entry weighs": HeatMap(
            weights.tolist(), rows="step", columns="dim", digits=2, cells=cells, legend=WEIGHT_LEGEND
        ),
    }


@checked
def mask_and_error(
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    error: Float[Tensor, "batch action_horizon action_dim"],
    counted: Float[Tensor, "batch action_horizon action_dim"],
    names: Sequence[str],
    applied: Bool[Tensor, "batch action_horizon action_dim"] | None = None,
    steps: Sequence[str] = (),
    dims: Sequence[str] = (),
) -> Picture:
    """`error x mask = what counts`, as three sheets with a number in each cell. For small tensors.

    Padding is hatched in grey, and in orange where it still counts after the mask. A real entry that the mask has set
    to 0 although its error is not 0 is hollow.

    Args:
        action_mask: True = a real entry.
        error: the error before the mask.
        counted: the error after the mask, however it was applied.
        names: what to write beside each sample; an empty text is no name.
        applied: the mask that the loss applied, where that is another one. None = `action_mask`.
        steps: what to write beside each step of each sheet, or nothing.
        dims: what to write below each dim of each sheet, or nothing.

    Raises:
        ValueError: more or fewer names than samples, or words for more or fewer steps or dims than there are.
    """
    mask = action_mask if applied is None else applied
    if len(names) != len(error):
        raise ValueError(f"names: got {len(names)}, expected {len(error)}, one for each sample")
    for axis, words, size in (("steps", steps, error.shape[1]), ("dims", dims, error.shape[2])):
        if words and len(words) != size:
            raise ValueError(f"{axis}: got {len(words)}, expected none or {size}, one for each of them")
    finite = error[error.isfinite()].abs()
    most = finite.max().item() if finite.any() else 1.0
    lost = action_mask & (error != 0) & (counted == 0)
    shown = {
        "error": (error, action_mask),
        "mask": (mask.double(), mask),
        "what counts": (counted, torch.where(action_mask, ~lost, counted != 0)),
    }
    sheets, cell = [], max([32.0, *(width_of(dim) for dim in dims)])
    for title, (values, counts) in shown.items():
        blocks = []
        for name, real, of_sample, numbers in zip(names, action_mask, counts, values, strict=True):
            kinds = kinds_of(real, of_sample)
            words = [[f"{number:.3g}" for number in row] for row in numbers.tolist()]
            parts = () if title == "mask" else graded(numbers, kinds, most)
            blocks.append(Block(kinds, name if title == "error" else "", words, parts))
        sheets.append(Sheet(blocks, title, rows=steps, columns=dims, cell=cell))
    return beside(sheets, ["\N{MULTIPLICATION SIGN}", "="])


@checked
def slice_against_mask(dim_mask: Bool[Tensor, "robot dim"], slice_dim: int, names: Sequence[str]) -> Picture:
    """What a slice to the first `slice_dim` dims counts, and what a mask counts: a sheet each, a row for each robot.

    A slice has one width for all robots. Where it is too wide, padding counts (orange and hatched); where it is too
    narrow, real dims do not (hollow).

    Args:
        dim_mask: True = this robot has this dim.
        slice_dim: how many dims the slice keeps.
        names: the names of the robots.

    Raises:
        ValueError: more or fewer names than robots, or `slice_dim` is not from 1 to the number of dims.
    """
    robots, dims = dim_mask.shape
    if len(names) != robots:
        raise ValueError(f"names: got {len(names)}, expected {robots}, one for each robot")
    if not 1 <= slice_dim <= dims:
        raise ValueError(f"slice_dim: got {slice_dim}, expected 1 to {dims}")
    in_slice = (torch.arange(dims, device=dim_mask.device) < slice_dim).expand(robots, -1)
    sheets = []
    for title, counts in ((f"slice to {slice_dim} dims", in_slice), ("mask", dim_mask)):
        let_in, lost = int((counts & ~dim_mask).sum()), int((~counts & dim_mask).sum())
        said = f"{let_in} padded dims count, {lost} real dims are lost"
        below = [("leak-ink" if let_in or lost else "ink", said)]
        sheets.append(Sheet([Block(kinds_of(dim_mask, counts))], title, names, below=below, cell=16))
    return under(sheets)


@checked
def entry_weights(
    weights: dict[str, Float[Tensor, "batch action_horizon action_dim"]],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    names: Sequence[str],
) -> Picture:
    """How much each entry of the batch weighs in a loss, a sheet for each reduction, in per cent of all weights.

    The stronger the blue, the more an entry weighs. Padding that weighs something is a leak; a real entry without
    weight is hollow. Below each sheet are the share of the real entries of each robot, and that of padding.

    Args:
        weights: for each reduction the weight of each entry, not negative, with at least one above 0.
        action_mask: True = a real entry.
        names: the names of the robots.

    Raises:
        ValueError: no reduction, a name too many or too few, or weights that are negative, not finite, or all 0.
    """
    if not weights:
        raise ValueError("weights: got no reduction, expected at least one")
    if len(names) != len(action_mask):
        raise ValueError(f"names: got {len(names)}, expected {len(action_mask)}, one for each robot")
    shares = {}
    for title, of_title in weights.items():
        if not (of_title.isfinite() & (of_title >= 0)).all() or not of_title.any():
            raise ValueError(
                f"weights[{title!r}]: got {of_title.flatten().tolist()}, expected 0 or more, and not all 0"
            )
        shares[title] = 100 * of_title / of_title.sum()
    most, sheets = max(share.max().item() for share in shares.values()), []
    for title, share in shares.items():
        blocks, below = [], []
        for name, real, of_robot in zip(names, action_mask, share, strict=True):
            kinds = kinds_of(real, of_robot > 0)
            words = [[f"{value:.1f}" if value else "" for value in row] for row in of_robot.tolist()]
            blocks.append(Block(kinds, name if not sheets else "", words, graded(of_robot, kinds, most)))
            below.append(("ink", f"{name}: {of_robot[real].sum().item():.0f} %"))
        padded = share[~action_mask].sum().item()
        below.append(("leak-ink" if padded else "ink", f"padding: {padded:.0f} %"))
        sheets.append(Sheet(blocks, title, below=below, cell=32))
    return beside(sheets)


@checked
def group_weights(weights: dict[str, Float[Tensor, " action_dim"]], groups: dict[str, list[int]]) -> Picture:
    """How much each dim of one robot weighs in a loss, a row of cells for each reduction, in per cent of all weights.

    Args:
        weights: for each reduction the weight of each dim, above 0.
        groups: for the name of each group its dims. Its share of all weights is written below the row.

    Raises:
        ValueError: no reduction, a weight that is not finite or not above 0, or a dim that has no weight.
    """
    if not weights:
        raise ValueError("weights: got no reduction, expected at least one")
    for title, of_title in weights.items():
        if not len(of_title) or not (of_title.isfinite() & (of_title > 0)).all():
            raise ValueError(f"weights[{title!r}]: got {of_title.tolist()}, expected numbers above 0")
        for name, dims in groups.items():
            known_places(f"groups[{name!r}]", dims, len(of_title))
    shares = {title: 100 * of_title / of_title.sum() for title, of_title in weights.items()}
    most, sheets = max(share.max().item() for share in shares.values()), []
    for title, share in shares.items():
        real = torch.ones(1, len(share), dtype=torch.bool)
        kinds, words = kinds_of(real, real), [[f"{value:.3g}" for value in share.tolist()]]
        below = [("ink", f"{name}: {share[dims].sum().item():.1f} % of the weight") for name, dims in groups.items()]
        sheets.append(Sheet([Block(kinds, "", words, graded(share[None], kinds, most))], title, below=below, cell=38))
    return under(sheets)


@checked
def denominators(error_sum: float, divisors: dict[str, int | float], right: str) -> Picture:
    """One sum of squared errors, divided in several ways: how many times too small or too large each loss is.

    The bars begin at the line of the loss that is right, and lead to the left where a loss is too small and to the
    right where it is too large. Equal lengths are equal factors, so a fourth is as far from the line as four times.

    Args:
        error_sum: the sum of the squared errors, above 0.
        divisors: for each name what the sum is divided by, above 0.
        right: the name whose loss the others should have.

    Raises:
        ValueError: `right` is not among the names, or a number is not finite or not above 0.
    """
    if right not in divisors:
        raise ValueError(f"right: got {right!r}, expected one of {', '.join(map(repr, divisors))}")
    all_finite("error_sum and divisors", [error_sum, *divisors.values()])
    if not error_sum > 0 or not all(divisor > 0 for divisor in divisors.values()):
        raise ValueError(f"error_sum and divisors: got {error_sum} and {divisors}, expected numbers above 0")
    said = {name: f"{error_sum:.3g} / {divisor:g} = " for name, divisor in divisors.items()}
    factors = {name: divisors[right] / divisor for name, divisor in divisors.items()}
    doublings = {name: log2(factor) for name, factor in factors.items()}

    def differs(factor: float) -> bool:
        return abs(factor - 1) > 0.0005

    verdicts = {}
    for name, factor in factors.items():
        wrong = f"{max(factor, 1 / factor):.3g} times too {'large' if factor > 1 else 'small'}"
        verdicts[name] = f"{error_sum / divisors[name]:.3g}, {wrong if differs(factor) else 'as it should be'}"
    least, most = min(doublings.values()), max(doublings.values())
    unit = SCALE / max(most - least, 1.0)
    left = max(map(width_of, divisors)) + 14
    middle = left + max(map(width_of, said.values())) + 8
    line = middle + max(map(width_of, verdicts.values())) + 12 - unit * least
    picture = Picture(line + unit * most + 24, 34 * len(divisors) + 58)
    bottom = 30 + 34 * len(divisors)
    step = ceil((most - least) / 5) or 1
    for power in range(ceil(least / step), floor(most / step) + 1):
        x, times = line + unit * step * power, 2 ** (step * abs(power))
        picture.line((x, 24), (x, bottom), ink="ink" if power == 0 else "rule", width=2 if power == 0 else 1)
        mark = "1" if power == 0 else f"1/{times}" if power < 0 else f"{times}\N{MULTIPLICATION SIGN}"
        picture.words(x, bottom + 12, mark, ink="quiet", anchor="middle")
    picture.words(line, 10, f"should be {error_sum / divisors[right]:.3g}", ink="quiet", anchor="middle")
    for row, (name, factor) in enumerate(factors.items()):
        y = 42 + 34 * row
        picture.words(left - 14, y, name, anchor="end")
        picture.words(middle - 8, y, said[name], anchor="end", ink="quiet")
        picture.words(middle, y, verdicts[name], bold=True, ink="leak-ink" if differs(factor) else "ink")
        if differs(factor):
            start, end = sorted((line, line + unit * doublings[name]))
            picture.box(start, y - 7, end - start, 14, "leak")
        else:
            picture.box(line - 7, y - 7, 14, 14, "real")
    return picture


@checked
def copied_actions(recorded_steps: Sequence[int], action_horizon: int) -> Picture:
    """Chunks at the end of an episode, a row for each: which action every step asks for.

    Recorded steps are blue. Steps that repeat the last action are hatched in orange, since they count all the same.

    Args:
        recorded_steps: how many steps of each chunk are recorded.
        action_horizon: how many steps a chunk has.

    Raises:
        ValueError: no chunk, or a number of recorded steps that is not from 1 to `action_horizon`.
    """
    if not recorded_steps or not all(1 <= steps <= action_horizon for steps in recorded_steps):
        raise ValueError(f"recorded_steps: got {recorded_steps}, expected numbers from 1 to {action_horizon}")
    steps = torch.arange(action_horizon)
    recorded = steps < torch.tensor(recorded_steps)[:, None]
    action = torch.minimum(steps, torch.tensor(recorded_steps)[:, None] - 1) + 1
    words = [[str(number) for number in row] for row in action.tolist()]
    rows = [f"{number} recorded" for number in recorded_steps]
    kinds = kinds_of(recorded, torch.ones_like(recorded))
    return beside([Sheet([Block(kinds, words=words)], "which action each step asks for", rows, cell=30)])
