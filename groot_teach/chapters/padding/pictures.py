"""The widgets and the figures of the chapter on padding.

A widget's function takes the values of its controls and returns what the widget shows.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.padding import (
    ActionBatch,
    VLTokens,
    action_mask_dims_and_steps,
    action_mask_dims_only,
    collate_chunks,
    join_tokens,
    pad_steps_with_copies,
    pad_tokens_left,
    pad_tokens_right,
)
from groot_teach.shapes import checked
from groot_teach.show.panels import Bars, KindMap, Number, Panel, Table, one_of
from groot_teach.show.pictures import FILLS, HATCHES, Picture, _runs, picture

ACTION_HORIZON, PADDED_DIM, KEY_LEN = 16, 32, 20
ROBOTS = {robot.name: robot for robot in (DUAL_ARM, GR1, SO101)}
MASKS = {"dims only (N1.5)": "dims", "dims and steps (LeRobot N1.7)": "dims_and_steps"}
SIDES = {"left": pad_tokens_left, "right": pad_tokens_right}
PROMPTS = {
    "dual-arm": "fold the towel",
    "GR1": "pick the pear from the counter and place it in the plate",
    "SO-101": "put the cube in the box",
}
TOKENS_PER_CAMERA = 3

MASK_LEGEND = {
    "r": ("real", "recorded, counts"),
    "c": ("leak", "copied, counts all the same"),
    "h": ("hidden", "copied, does not count"),
    "p": ("padding", "padded dim, does not count"),
}


def build_the_mask(robot: str, real_steps: int, which_mask: str) -> dict[str, Panel]:
    """Which of the 16 x 32 entries of a chunk does its action_mask count?"""
    recorded = torch.zeros(real_steps, one_of("robot", robot, ROBOTS).action_dim, dtype=torch.float64)
    return chunk_panels(collate_chunks([pad_steps_with_copies(recorded, ACTION_HORIZON)], PADDED_DIM), which_mask)


def chunk_panels(batch: ActionBatch, which_mask: str) -> dict[str, Panel]:
    """What the entries of the first chunk of a batch are, and which of them count.

    Args:
        batch: padded chunks, of which the first is shown.
        which_mask: `dims` (GR00T N1.5: copied steps count) or `dims_and_steps` (N1.7: they do not).

    Raises:
        ValueError: `which_mask` is neither.
    """
    every_step = action_mask_dims_only(batch.dim_mask, batch.actions.shape[1])[0]
    recorded = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)[0]
    copied = every_step & ~recorded
    action_mask = one_of("which_mask", which_mask, {"dims": every_step, "dims_and_steps": recorded})
    kinds = {
        "r": recorded & action_mask,
        "c": copied & action_mask,
        "h": copied & ~action_mask,
        "p": ~recorded & ~copied,
    }
    cells = [["p"] * action_mask.shape[1] for _ in range(action_mask.shape[0])]
    for letter, where in kinds.items():
        for step, dim in where.nonzero().tolist():
            cells[step][dim] = letter
    return {
        "entries that count": Number(int(action_mask.sum()), digits=0),
        "of these, copies": Number(int((copied & action_mask).sum()), digits=0),
        "the chunk": KindMap(["".join(row) for row in cells], MASK_LEGEND, rows="step", columns="dim"),
        "how many entries are what": Bars(
            labels=[words for _, words in MASK_LEGEND.values()],
            values=[where.sum().item() for where in kinds.values()],
            kinds=[kind for kind, _ in MASK_LEGEND.values()],
            maximum=action_mask.numel(),
            digits=0,
        ),
    }


def prompt_tokens(words: int, second_camera: bool) -> VLTokens:
    """Toy tokens, all ones: two cameras, of which the second may be absent, then one token for each word."""
    camera = torch.ones(TOKENS_PER_CAMERA, 1, dtype=torch.float64)
    return join_tokens([camera, camera if second_camera else None], torch.ones(words, 1, dtype=torch.float64))


def pad_the_prompts(side: str, second_camera: bool, words: int) -> dict[str, Panel]:
    """Three prompts in one batch, one of them yours: which tokens are real, and where does each begin and end?"""
    samples = {robot: prompt_tokens(len(PROMPTS[robot].split()), second_camera=True) for robot in ("dual-arm", "GR1")}
    samples["SO-101 (yours)"] = prompt_tokens(words, second_camera)
    batch = one_of("side", side, SIDES)(list(samples.values()), KEY_LEN)
    real, image = batch.backbone_attention_mask, batch.image_mask
    legend = {
        "i": ("real", "camera token"),
        "t": ("real-too", "text token"),
        "a": ("hidden", "seat of an absent camera"),
        "p": ("padding", "padding"),
    }
    letters = {(True, True): "i", (True, False): "t", (False, True): "a", (False, False): "p"}
    rows = zip(real.tolist(), image.tolist(), strict=True)
    places = [row.nonzero().flatten() for row in real]
    return {
        "real tokens": Number(int(real.sum()), digits=0),
        "part of the batch that is not real": Number((~real).double().mean().item(), digits=3),
        "the batch": KindMap(
            ["".join(letters[pair] for pair in zip(*row, strict=True)) for row in rows],
            legend,
            rows="sample",
            columns="token",
        ),
        "where the real tokens are": Table(
            ["row", "robot", "real tokens", "first at", "last at"],
            [
                [str(row), robot, len(at), at[0], at[-1]]
                for row, (robot, at) in enumerate(zip(samples, places, strict=True))
            ],
            digits=0,
        ),
    }


@checked
def action_batch(batch: ActionBatch, names: Sequence[str]) -> Picture:
    """What is real in a batch: a map for each robot, with a row for each step and a column for each dim.

    Args:
        batch: the padded actions of several robots.
        names: what to write above each map, in the order of the batch.

    Raises:
        ValueError: more or fewer names than robots.
    """
    robots, action_horizon, padded_dim = batch.actions.shape
    if len(names) != robots:
        raise ValueError(f"names: got {len(names)}, expected {robots}, one for each robot of the batch")
    legend = {"r": ("real", "recorded"), "c": ("leak", "step filled in"), "p": ("padding", "padded dim")}
    drawn = picture(7.4, 0.9 + 0.11 * action_horizon)
    for place, axes in enumerate(drawn.subplots(1, robots, squeeze=False, sharey=True)[0]):
        dims = batch.dim_mask[place].tolist()
        rows = [
            "".join(("r" if step else "c") if dim else "p" for dim in dims) for step in batch.step_mask[place].tolist()
        ]
        for top, bottom in _runs(rows):
            for left, right in _runs(rows[top]):
                kind = legend[rows[top][left]][0]
                style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0.6}
                axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
        axes.set(xlim=(0, padded_dim), ylim=(action_horizon, 0), title=names[place], xlabel="dim")
        axes.set(xticks=range(0, padded_dim + 1, 8), yticks=range(0, action_horizon + 1, 4))
    drawn.axes[0].set(ylabel="step")
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for kind, words in legend.values()
    ]
    below = (0.5, 0.1 - 0.5 / drawn.get_figheight())
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=below, ncols=len(keys), frameon=False)
    return drawn


@checked
def episode_end(
    actions: Float[Tensor, "action_horizon action_dim"],
    action_is_pad: Bool[Tensor, " action_horizon"],
    dims: dict[str, int],
) -> Picture:
    """A chunk that runs over the end of its episode: some of its dims over the steps, with copied steps drawn hollow.

    Args:
        actions: one chunk.
        action_is_pad: True = a copied step.
        dims: the dims to draw, four at most, by the name to write beside each.

    Raises:
        ValueError: no dim, or more than four.
    """
    markers = ["o", "s", "^", "D"]
    if not 1 <= len(dims) <= len(markers):
        raise ValueError(f"dims: got {len(dims)}, expected 1 to {len(markers)}")
    drawn = picture(6.2, 2.4)
    axes = drawn.add_subplot()
    steps = range(actions.shape[0])
    for (name, dim), marker in zip(dims.items(), markers, strict=False):
        values = actions[:, dim].tolist()
        axes.plot(steps, values, color="#999999", linewidth=0.8, zorder=1)
        for copied, inside in ((False, FILLS["real"]), (True, "white")):
            chosen = [step for step in steps if bool(action_is_pad[step]) is copied]
            edge = FILLS["leak"] if copied else FILLS["real"]
            axes.scatter(
                chosen, [values[s] for s in chosen], marker=marker, s=28, facecolors=inside, edgecolors=edge, zorder=2
            )
        axes.annotate(name, (len(values) - 1, values[-1]), xytext=(8, -3), textcoords="offset points")
    if bool(action_is_pad.any()):
        first = int(action_is_pad.int().argmax())
        axes.axvline(first - 0.5, color=FILLS["leak"], linestyle="--", linewidth=1)
        axes.text(first - 0.4, axes.get_ylim()[1], "the episode has ended: copies", va="bottom", color="black")
    axes.set(xlabel="step of the chunk", ylabel="action", xticks=list(steps))
    axes.spines[["top", "right"]].set_visible(False)
    return drawn
