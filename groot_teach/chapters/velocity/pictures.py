"""The widget and the figure of the chapter on velocity targets.

A widget's function takes the values of its controls and returns what the widget shows.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.flow import interpolate
from groot_teach.padding import action_mask_dims_only, collate_chunks
from groot_teach.recordings import chunk_at, toy_episode
from groot_teach.shapes import checked
from groot_teach.show.panels import HeatMap, KindMap, Number, Panel, one_of
from groot_teach.show.pictures import FILLS, Picture, picture

ACTION_HORIZON, PADDED_DIM = 16, 32
ROBOTS = {robot.name: robot for robot in (DUAL_ARM, GR1, SO101)}
HOLDS = {
    "noise, as at the start (the fork, first)": "kept",
    "zeros (the fork, second)": "zero",
    "noise, scaled as in training (Octo)": "renoise",
}

HOLDS_LEGEND = {
    "r": ("real", "real dim"),
    "z": ("padding", "padded dim, 0"),
    "n": ("hidden", "padded dim, training's noise"),
    "x": ("leak", "padded dim, what training does not show at this t"),
}


def on_the_way(robot: str, t: float = 0.0, sampler: str = "kept") -> dict[str, Panel]:
    """What do the 32 dims hold on the way from noise to action, in training and in a sampler?"""
    hold = one_of("sampler", sampler, {"kept": as_at_the_start, "zero": nothing, "renoise": on_the_line})
    return line_panels(robot, t, hold)


def as_at_the_start(t: float, noise: Tensor) -> Tensor:
    """The noise of the start, at every flow time."""
    return noise


def nothing(t: float, noise: Tensor) -> Tensor:
    """Zeros, at every flow time."""
    return torch.zeros_like(noise)


def on_the_line(t: float, noise: Tensor) -> Tensor:
    """What padded dims hold in training: the point at `t` between the noise and an action of 0."""
    return (1 - t) * noise


def line_panels(robot: str, t: float, hold: Callable[[float, Tensor], Tensor]) -> dict[str, Panel]:
    """One chunk of a toy robot at flow time `t`, on the line between noise and action as in training, and in a sampler.

    The sampler's real dims are on the line too, as they would be if the network made no error.

    Args:
        robot: the name of one of the three robots.
        t: flow time, 0 = noise, 1 = data.
        hold: takes `t` and the noise of the start, and returns what the sampler's padded dims hold, as a tensor of the
            noise's shape.

    Raises:
        ValueError: an unknown robot.
    """
    embodiment = one_of("robot", robot, ROBOTS)
    episode = toy_episode(embodiment, ACTION_HORIZON, torch.Generator().manual_seed(0))
    batch = collate_chunks([chunk_at(episode, 0, ACTION_HORIZON)], PADDED_DIM)
    real = action_mask_dims_only(batch.dim_mask, ACTION_HORIZON)
    noise = torch.randn(batch.actions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    training = interpolate(batch.actions, noise, noise.new_tensor([t]))
    shown = torch.where(real, training, hold(t, noise))
    return {
        "real dims: how far from the action": Number(_size((training - batch.actions)[real]), digits=3),
        "padded dims: how large in training": Number(_size(training[~real]), digits=3),
        "padded dims: how large in the sampler": Number(_size(shown[~real]), digits=3),
        "padded dims: how far the two are apart": Number(_size((shown - training)[~real]), digits=3),
        "what the 32 dims hold": KindMap(
            [_letters(values[0, 0], real[0, 0], training[0, 0]) for values in (batch.actions, training, shown)],
            HOLDS_LEGEND,
            rows="stage (the action; what training shows; what the sampler shows)",
            columns="dim",
        ),
        "how large the 32 numbers of the first step are": HeatMap(
            torch.stack([training[0, 0], shown[0, 0]]).abs().tolist(),
            rows="stage (what training shows; what the sampler shows)",
            columns="dim",
            high=4,
            digits=2,
        ),
    }


def _letters(values: Tensor, real: Tensor, training: Tensor) -> str:
    """One letter of `HOLDS_LEGEND` for each dim."""
    kinds = zip(values.tolist(), real.tolist(), training.tolist(), strict=True)
    return "".join("r" if is_real else "z" if value == 0 else "nx"[value != usual] for value, is_real, usual in kinds)


def _size(values: Tensor) -> float:
    """The root mean square: how large numbers are, whatever their sign."""
    return values.square().mean().sqrt().item()


@checked
def how_often(values: Float[Tensor, " value"], edges: Sequence[float], x_name: str) -> Picture:
    """A histogram: the part of the values between each edge and the next. The parts are written on the bars.

    Args:
        values: the values.
        edges: where the bars begin and end, from small to large; values outside are an error.
        x_name: what to write below.

    Raises:
        ValueError: fewer than two edges, edges that do not grow, or a value outside.
    """
    if len(edges) < 2 or sorted(set(edges)) != list(edges):
        raise ValueError(f"edges: got {list(edges)}, expected two or more numbers that grow")
    if not ((values >= edges[0]) & (values <= edges[-1])).all():
        low, high = values.min().item(), values.max().item()
        raise ValueError(f"values: got {low:g} to {high:g}, expected {edges[0]:g} to {edges[-1]:g}")
    drawn = picture(6.2, 2.2)
    axes = drawn.add_subplot()
    for place, (left, right) in enumerate(pairwise(edges)):
        is_last = place == len(edges) - 2
        part = ((values >= left) & ((values < right) | (is_last & (values == right)))).double().mean().item()
        axes.bar(left, part, width=right - left, align="edge", color=FILLS["real"], edgecolor="white")
        axes.annotate(f"{part:.0%}", ((left + right) / 2, part), xytext=(0, 2), textcoords="offset points", ha="center")
    axes.set(xlabel=x_name, ylabel="part of the draws", xticks=list(edges))
    axes.spines[["top", "right"]].set_visible(False)
    return drawn
