"""The widget and the figure of the chapter on velocity targets.

A widget's function takes the values of its controls and returns what the widget shows.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.checks import all_finite
from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.flow import interpolate
from groot_teach.padding import action_mask_dims_only, collate_chunks
from groot_teach.recordings import chunk_at, toy_episode
from groot_teach.shapes import checked
from groot_teach.show.drawing import DIGITS, INKS, Picture, width_of
from groot_teach.show.panels import HeatMap, Number, Panel, one_of
from groot_teach.show.plot import BOXES, LINES, Plot, name_ends, styled
from groot_teach.show.sheets import Block, Sheet, beside, kinds_of, shade

ACTION_HORIZON, PADDED_DIM = 16, 32
CHUNKS = 1000
"""How many chunks a filling is judged by: of 256,000 numbers drawn anew, the size is right to two decimals."""
ROBOTS = {robot.name: robot for robot in (DUAL_ARM, GR1, SO101)}
SIZES = "how large the 32 numbers of the first step are (orange: the padding as a whole is not as large as in training)"
HOLDS_LEGEND = {
    "r": ("real", "real, or padded and together as large as in training"),
    "x": ("leak", "padded, and together larger or smaller than in training"),
}


def line_panels(robot: str, t: float, hold: Callable[[float, Tensor], Tensor]) -> dict[str, Panel]:
    """A chunk of a toy robot at flow time `t`, on the line between noise and action as in training, and in a sampler.

    The sampler's real dims are on the line too, as they would be if the network made no error. What its padded dims
    hold is judged by their size over `CHUNKS` draws of the noise, so that a filling with the distribution of training
    counts as right even where each number is another one. The noise is scaled so that its size in the padded dims of
    all draws is 1: the size in training is then `1 - t`. The map shows the first step of the first draw.

    Args:
        robot: the name of one of the three robots.
        t: flow time, 0 = noise, 1 = data.
        hold: takes `t` and the noise of the start (draw, step, dim), and returns what the sampler's padded dims hold,
            as a tensor of the noise's shape.

    Raises:
        ValueError: an unknown robot.
    """
    embodiment = one_of("robot", robot, ROBOTS)
    episode = toy_episode(embodiment, ACTION_HORIZON, torch.Generator().manual_seed(0))
    batch = collate_chunks([chunk_at(episode, 0, ACTION_HORIZON)], PADDED_DIM)
    actions = batch.actions.expand(CHUNKS, -1, -1)
    real = action_mask_dims_only(batch.dim_mask, ACTION_HORIZON).expand_as(actions)
    noise = torch.randn(actions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise = noise / _size(noise[~real])
    training = interpolate(actions, noise, noise.new_full((CHUNKS,), t))
    shown = torch.where(real, training, hold(t, noise))
    in_training = _size(training[~real])
    in_sampler = Number(_size(shown[~real]), digits=2)
    padded = "r" if in_sampler.value == Number(in_training, digits=2).value else "x"
    real_dims = embodiment.action_dim
    dims = [f"dim {dim} ({'real' if dim <= real_dims else 'padded'})" for dim in range(1, PADDED_DIM + 1)]
    return {
        "padded dims: how large in training": Number(in_training, digits=2),
        "padded dims: how large in the sampler": in_sampler,
        SIZES: HeatMap(
            torch.stack([training[0, 0], shown[0, 0]]).abs().tolist(),
            rows=["training shows", "the sampler shows"],
            columns=dims,
            high=4,
            digits=2,
            cells=["r" * PADDED_DIM, "r" * real_dims + padded * (PADDED_DIM - real_dims)],
            legend=HOLDS_LEGEND,
        ),
    }


def _size(values: Tensor) -> float:
    """The root mean square: how large numbers are, whatever their sign."""
    return values.square().mean().sqrt().item()


@styled
@checked
def how_often(values: Float[Tensor, " value"], edges: Sequence[float], x_name: str) -> Plot:
    """A histogram: the part of the values between each edge and the next. The parts are written on the bars.

    Args:
        values: the values.
        edges: where the bars begin and end, from small to large; values outside are an error.
        x_name: what to write below.

    Raises:
        ValueError: no value, fewer than two edges, edges that do not grow, or a value outside.
    """
    if not len(values):
        raise ValueError("values: got none, expected at least one")
    if len(edges) < 2 or sorted(set(edges)) != list(edges):
        raise ValueError(f"edges: got {list(edges)}, expected two or more numbers that grow")
    if not ((values >= edges[0]) & (values <= edges[-1])).all():
        low, high = values.min().item(), values.max().item()
        raise ValueError(f"values: got {low:g} to {high:g}, expected {edges[0]:g} to {edges[-1]:g}")
    plot = Plot(680, 262)
    axes = plot.figure.subplots()
    counts, *_ = axes.hist(values.tolist(), [*edges], color=INKS["real"], rwidth=0.96)
    for (left, right), count in zip(pairwise(edges), counts, strict=True):
        place = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
        axes.annotate(f"{100 * count / len(values):.0f} %", ((left + right) / 2, count), **place)
    axes.margins(y=0.12)
    axes.set(title="part of the draws", xlabel=x_name, xticks=[*edges], yticks=[], xlim=(edges[0], edges[-1]))
    return plot


@checked
def noise_over_time(
    t: Sequence[float], noisy_actions: Float[Tensor, "time dim"], dim_mask: Bool[Tensor, " dim"]
) -> Picture:
    """What the dims of one step hold on the line from noise to action: a row for each flow time, a column for each dim.

    In padded dims the action is 0, so they hold `(1 - t) * noise`: their hatch fades from row to row and is gone at
    t = 1. In real dims the blue ends at the size of the action.

    Args:
        t: the flow times, 0 = noise, from the top.
        noisy_actions: what the dims hold at each of them.
        dim_mask: True = a real dim.

    Raises:
        ValueError: not as many flow times as rows, or a dim that holds what is not finite.
    """
    if len(t) != len(noisy_actions):
        raise ValueError(f"t: got {len(t)} flow times, expected {len(noisy_actions)}, one for each row")
    all_finite("noisy_actions", noisy_actions)
    most = noisy_actions.abs().max().item() or 1.0
    real = dim_mask.expand(len(t), -1)
    parts = [[shade(abs(value) / most) if value else 0.0 for value in row] for row in noisy_actions.tolist()]
    kinds = kinds_of(real, real)
    for at, row, of_row in zip(t, kinds, parts, strict=True):
        for dim, kind in enumerate(row):
            of_row[dim] = min(1.0, max(0.0, 1 - at)) if kind == "padding" else of_row[dim]
    words = [[f"{value + 0.0:.1f}".replace("-0.0", "0.0") for value in row] for row in noisy_actions.tolist()]
    rows = [f"t = {at:g}" for at in t]
    columns = ["pad" if not is_real else str(dim) for dim, is_real in enumerate(dim_mask.tolist(), start=1)]
    return beside([Sheet([Block(kinds, words=words, parts=parts)], rows=rows, columns=columns, cell=36)])


@styled
@checked
def noise_to_action(t: Sequence[float], real: Sequence[float], padded: Sequence[float]) -> Plot:
    """The line from noise to action of two dims: a real one ends at its action, and a padded one ends at 0.

    Args:
        t: flow times that grow, 0 = noise, 1 = data.
        real: what the real dim holds at each of them.
        padded: what the padded dim holds at each of them.

    Raises:
        ValueError: fewer than two flow times, flow times that do not grow, not as many values, or values that are not
            finite.
    """
    if len(t) < 2 or not len(t) == len(real) == len(padded):
        raise ValueError(
            f"t: got {len(t)} flow times, expected 2 or more, as many as values: {len(real)}, {len(padded)}"
        )
    if sorted(set(t)) != list(t):
        raise ValueError(f"t: got {list(t)}, expected flow times that grow")
    all_finite("real", real)
    all_finite("padded", padded)
    low, high = min(*real, *padded, 0.0), max(*real, *padded, 0.0)
    ends = {"real": f"a real dim: its action, {real[-1] + 0.0:.2g}", "padding": f"a padded dim: {padded[-1] + 0.0:.2g}"}
    plot = Plot(680, 270)
    axes = plot.figure.subplots()
    looks = {"padding": ("s", INKS["pad-ink"], INKS["paper"]), "real": ("o", INKS["real"], INKS["real"])}
    for values, (kind, (shape, edge, ground)) in zip((padded, real), looks.items(), strict=True):
        marks = {"marker": shape, "markersize": 9, "markeredgecolor": edge, "markerfacecolor": ground}
        axes.plot(t, values, **LINES[kind], **marks, markeredgewidth=1.5, clip_on=False)
    axes.set(title="what the dim holds", xlabel="flow time t (0 = noise, 1 = data)", ylim=(low, high))
    axes.set(xticks=[t[0], t[-1]], yticks=[0, real[0]])
    axes.set_yticklabels(["0", f"{real[0]:.3g}"])
    name_ends(axes, [(real[-1], ends["real"], "real"), (padded[-1], ends["padding"], "padding")])
    return plot


@checked
def moved_by_inputs(moves: dict[str, Float[Tensor, " input"]], groups: dict[str, int], padding: str) -> Picture:
    """How much the inputs move what a fitted network answers: a row for each group of inputs, a column for each fit.

    A bar is as long as the mean over its group, which is written beside it. The group that is padding is orange, since
    it should move nothing.

    Args:
        moves: for each fit a size, 0 or more, for each input: its weight times how large the input is.
        groups: for each group of inputs that are beside each other how many they are, in their order.
        padding: the name of the group that is padding.

    Raises:
        ValueError: no fit, a size that is not finite or negative, groups that do not add up to the inputs of each fit,
            or `padding` that is none of them.
    """
    if not moves:
        raise ValueError("moves: got no fit, expected at least one")
    inputs = len(next(iter(moves.values())))
    for name, sizes in moves.items():
        all_finite(f"moves[{name!r}]", sizes)
        if len(sizes) != inputs or not (sizes >= 0).all():
            raise ValueError(f"moves[{name!r}]: got {sizes.tolist()}, expected {inputs} sizes, 0 or more")
    if wrong := {name: size for name, size in groups.items() if size < 1}:
        raise ValueError(f"groups: got {wrong}, expected 1 or more inputs in each")
    if sum(groups.values()) != inputs:
        raise ValueError(f"groups: got {sum(groups.values())} inputs in all, expected {inputs}, one for each size")
    if padding not in groups:
        raise ValueError(f"padding: got {padding!r}, expected one of {', '.join(map(repr, groups))}")
    means = {
        fit: [of_group.mean().item() for of_group in sizes.split([*groups.values()])] for fit, sizes in moves.items()
    }
    most = max(max(of_fit) for of_fit in means.values()) or 1.0
    left, wide, longest, high, head = max(map(width_of, groups)) + 12, 148, 90, 26, 28
    picture = Picture(left + wide * len(moves), head + high * len(groups))
    for row, name in enumerate(groups):
        ink = "leak-ink" if name == padding else "ink"
        picture.words(left - 12, head + high * (row + 0.5), name, anchor="end", ink=ink, bold=name == padding)
    for column, (fit, of_fit) in enumerate(means.items()):
        x = left + wide * column
        picture.words(x, 10, fit, bold=True)
        for row, (name, mean) in enumerate(zip(groups, of_fit, strict=True)):
            kind, ink = ("leak", "leak-ink") if name == padding else ("real", "real-ink")
            length = longest * mean / most
            picture.box(x, head + high * row + 4, length, high - 8, kind)
            picture.words(x + length + 6, head + high * (row + 0.5), f"{mean:.2f}", ink=ink, bold=True)
    return picture


@styled
@checked
def fillings_compared(measures: dict[str, dict[str, Sequence[float]]], examples: Sequence[int]) -> Plot:
    """What the noise in padded dims does to the action: a plot for each measure, in it a bar for each filling.

    The bars stand in groups, one for each number of examples from which the network was fitted. All plots have one
    scale.

    Args:
        measures: for each title what was measured: for each filling a number, 0 or more, for each group. The fillings
            are the same four in all of them: outlined in orange, orange, blue, and grey and hatched.
        examples: the numbers of examples.

    Raises:
        ValueError: no measure, not four fillings, other ones in another measure, not as many numbers as groups, or
            numbers that are not finite.
    """
    if not measures:
        raise ValueError("measures: got none, expected at least one")
    fillings = [*next(iter(measures.values()))]
    leak = {"facecolor": INKS["leak"], "edgecolor": INKS["leak"]}
    looks = [{**leak, "facecolor": INKS["paper"]}, leak, BOXES["real"], BOXES["padding"]]
    plot = Plot(700, 230 * len(measures))
    plots = plot.figure.subplots(len(measures), 1, squeeze=False)[:, 0]
    highest = max(
        (height for values in measures.values() for heights in values.values() for height in heights), default=1
    )
    for axes, (title, values) in zip(plots, measures.items(), strict=True):
        if [*values] != fillings or len(fillings) != len(looks):
            raise ValueError(f"measures: got the fillings {[*values]} for {title!r}, expected the same four in each")
        for place, ((filling, heights), look) in enumerate(zip(values.items(), looks, strict=True)):
            if len(heights) != len(examples):
                raise ValueError(f"measures: got {len(heights)} numbers for {filling!r}, expected {len(examples)}")
            all_finite(f"measures[{title!r}][{filling!r}]", heights)
            across = [group + 0.21 * (place - 1.5) for group in range(len(examples))]
            axes.bar(across, heights, width=0.18, linewidth=1.5, label=filling, **look)
            for x, height in zip(across, heights, strict=True):
                near = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center"}
                axes.annotate(f"{height:.2f}", (x, height), size=DIGITS, **near)
        axes.set(title=title, xticks=[*range(len(examples))], yticks=[])
        axes.set_xticklabels([f"{count:,}" for count in examples])
        axes.set_ylim(0, 1.15 * highest)
    plots[0].legend()
    plots[-1].set_xlabel("examples")
    return plot
