"""The widgets and the figures of the chapter on padding.

A widget's function takes the values of its controls and returns what the widget shows.
"""

from collections.abc import Sequence
from itertools import product
from math import inf

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.checks import all_finite, known_places
from groot_teach.embodiments import DUAL_ARM, GR1, SO101, Embodiment
from groot_teach.padding import (
    ActionBatch,
    VLBatch,
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
from groot_teach.show.drawing import DIGITS, INK, INKS, ON, Picture, width_of, write_on
from groot_teach.show.panels import KindMap, Number, Panel, Table, one_of
from groot_teach.show.plot import BOXES, LINES, Plot, name_ends, styled
from groot_teach.show.sheets import Block, Sheet, beside, kinds_of, runs, shade

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

WIDEST = 1000
"""A picture of a batch has no more columns."""


def build_the_mask(robot: str, real_steps: int, which_mask: str) -> dict[str, Panel]:
    """Which of the 16 x 32 entries of a chunk does its action_mask count?"""
    recorded = torch.zeros(real_steps, one_of("robot", robot, ROBOTS).action_dim, dtype=torch.float64)
    return chunk_panels(collate_chunks([pad_steps_with_copies(recorded, ACTION_HORIZON)], PADDED_DIM), which_mask)


def chunk_panels(batch: ActionBatch, which_mask: str, dim_names: Sequence[str] = ()) -> dict[str, Panel]:
    """What the entries of the first chunk of a batch are, and which of them count.

    Beside the count is the one of LeRobot's N1.7. No number is marked as wrong: whether copies count is a free choice.

    Args:
        batch: padded chunks, of which the first is shown.
        which_mask: `dims` (GR00T N1.5: copied steps count) or `dims_and_steps` (N1.7: they do not).
        dim_names: what the real dims are called, such as the joints of a robot; none = they are counted.

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
    numbers = range(len(dim_names) + 1, action_mask.shape[1] + 1)
    columns = [*dim_names, *(f"dim {number}" for number in numbers)] if dim_names else "dim"
    cells = [["p"] * action_mask.shape[1] for _ in range(action_mask.shape[0])]
    for letter, where in kinds.items():
        for step, dim in where.nonzero().tolist():
            cells[step][dim] = letter
    return {
        "entries that count": Number(int(action_mask.sum()), digits=0),
        "of these, copies": Number(int((copied & action_mask).sum()), digits=0),
        "LeRobot's N1.7 would count": Number(int(recorded.sum()), digits=0),
        "the chunk": KindMap(["".join(row) for row in cells], MASK_LEGEND, rows="step", columns=columns),
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
    real, image = batch.backbone_attention_mask, batch.cameras
    legend = {
        "i": ("real", "camera token"),
        "t": ("real-too", "text token"),
        "a": ("hidden", "place of an absent camera"),
        "p": ("padding", "padding"),
    }
    letters = {(True, True): "i", (True, False): "t", (False, True): "a", (False, False): "p"}
    rows = zip(real.tolist(), image.tolist(), strict=True)
    places = [row.nonzero().flatten() for row in real]
    return {
        "real tokens": Number(int(real.sum()), digits=0),
        "per cent of the batch that is not real": Number(100 * (~real).double().mean().item(), digits=0),
        "the batch": KindMap(
            ["".join(letters[pair] for pair in zip(*row, strict=True)) for row in rows],
            legend,
            rows=list(samples),
            columns="token",
        ),
        "where the real tokens are": Table(
            ["robot", "real tokens", "first", "last"],
            [[robot, len(at), at[0] + 1, at[-1] + 1] for robot, at in zip(samples, places, strict=True)],
            digits=0,
        ),
    }


@checked
def batch_entries(
    actions: Float[Tensor, "batch action_horizon action_dim"],
    recorded: Bool[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
) -> Picture:
    """Every entry of a small batch: a sheet for each robot, with the number in each cell, and what a mask makes of it.

    Blue: recorded, and the mask counts it. Grey and hatched: padding. Hollow: recorded, and the mask leaves it out.
    Orange and hatched: padding that the mask counts.

    Args:
        actions: the numbers.
        recorded: True = this entry was recorded.
        action_mask: True = the mask counts this entry.
    """
    sheets = []
    for number, (values, real, counts) in enumerate(zip(actions, recorded, action_mask, strict=True), start=1):
        words = [[f"{value:.1f}" if value else "0" for value in row] for row in values.tolist()]
        sheets.append(Sheet([Block(kinds_of(real, counts), words=words)], f"robot {number}", cell=42))
    return beside(sheets)


@checked
def token_rows(batch: VLBatch) -> Picture:
    """A batch of toy tokens of width 1: the number of each token, and below it what both masks say of it.

    Blue: real, and pale if it is a word. Hollow: the place of an absent camera. Grey and hatched: padding.

    Raises:
        ValueError: the tokens are wider than 1, or there is no `image_mask`.
    """
    if batch.tokens.shape[2] != 1:
        raise ValueError(f"batch: got tokens of width {batch.tokens.shape[2]}, expected 1, one number for each token")
    blocks = []
    samples = zip(batch.tokens[:, :, 0], batch.backbone_attention_mask, batch.cameras, strict=True)
    for number, (tokens, real, image) in enumerate(samples, start=1):
        words = {(True, True): "real", (True, False): "real", (False, True): "hidden", (False, False): "padding"}
        kinds = [words[pair] for pair in zip(real.tolist(), image.tolist(), strict=True)]
        numbers = [f"{value:.1f}" if value else "0" for value in tokens.tolist()]
        digits = [[str(int(bit)) for bit in mask.tolist()] for mask in (real, image)]
        strength = [
            0.25 if kind == "real" and not of_camera else 1.0 for kind, of_camera in zip(kinds, image, strict=True)
        ]
        blocks.append(Block([kinds] * 3, f"robot {number}", words=[numbers, *digits], parts=[strength] * 3))
    return beside([Sheet(blocks, rows=["token", "backbone_attention_mask", "image_mask"], cell=38)])


@checked
def action_batch(batch: ActionBatch, names: Sequence[str]) -> Picture:
    """What is real in a batch: a block for each robot, with a row for each step and a column for each dim.

    Blue: recorded. Orange and hatched: a step that was filled in after the end of the episode, which a mask of dims
    alone lets count. Grey and hatched: a padded dim. At the right of each block stands how much of each there is.

    Args:
        batch: the padded actions of several robots.
        names: what to write beside each block, in the order of the batch.

    Raises:
        ValueError: more or fewer names than robots.
    """
    robots, action_horizon, padded_dim = batch.actions.shape
    if len(names) != robots:
        raise ValueError(f"names: got {len(names)}, expected {robots}, one for each robot of the batch")
    blocks = []
    for name, of_robot, recorded in zip(names, batch.dim_mask, batch.step_mask, strict=True):
        every_step = of_robot.expand(action_horizon, -1)
        dims, steps = int(of_robot.sum()), int(recorded.sum())
        notes = [
            ("real", f"recorded: {steps} steps of {dims} dims"),
            ("leak", f"copied: {action_horizon - steps} steps"),
            ("padding", f"padding: {padded_dim - dims} dims"),
        ]
        is_there = {"real": steps and dims, "leak": action_horizon - steps, "padding": padded_dim - dims}
        kinds = kinds_of(every_step & recorded[:, None], every_step)
        blocks.append(Block(kinds, name, notes=[note for note in notes if is_there[note[0]]]))
    columns = [str(dim) if dim in (1, padded_dim) or dim % 8 == 0 else "" for dim in range(1, padded_dim + 1)]
    return beside([Sheet(blocks, columns=columns, below=[("quiet", "a row is a step, a column is a dim")], cell=9)])


@styled
@checked
def episode_end(
    actions: Float[Tensor, "action_horizon action_dim"],
    action_is_pad: Bool[Tensor, " action_horizon"],
    dims: dict[str, int],
) -> Plot:
    """A chunk that runs over the end of its episode: some of its dims over the steps, and below what each step is.

    Filled blue marks are recorded, hollow grey ones are copies of the last recorded step.

    Args:
        actions: one chunk.
        action_is_pad: True = a copied step.
        dims: the dims to draw, four at most, by the name to write beside each.

    Raises:
        ValueError: no dim, more than four, one that the chunk does not have, or one that holds what is not finite.
    """
    shapes = ["o", "s", "D", "o"]
    if not 1 <= len(dims) <= len(shapes):
        raise ValueError(f"dims: got {len(dims)}, expected 1 to {len(shapes)}")
    known_places("dims", dims.values(), actions.shape[1])
    all_finite("actions", actions[:, [*dims.values()]])
    is_pad, steps = action_is_pad.tolist(), [*range(1, len(action_is_pad) + 1)]
    real_steps = is_pad.count(False)
    plot = Plot(680, 310)
    axes, chunk = plot.figure.subplots(2, sharex=True, height_ratios=[6, 1])
    ends = []
    for (name, dim), shape in zip(dims.items(), shapes, strict=False):
        values = actions[:, dim].tolist()
        axes.plot(steps[: real_steps + 1], values[: real_steps + 1], **LINES["padding"])
        for kind, edge, ground in (("real", INKS["real"], INKS["real"]), ("padding", INKS["pad-ink"], INKS["paper"])):
            of_kind = [place for place, copied in enumerate(is_pad) if copied == (kind == "padding")]
            marks = {"marker": shape, "markersize": 8, "markeredgecolor": edge, "markerfacecolor": ground}
            points = [steps[place] for place in of_kind], [values[place] for place in of_kind]
            axes.plot(*points, **LINES[kind], **marks, markeredgewidth=1.5, clip_on=False)
        ends.append((values[-1], name, "padding" if is_pad[-1] else "real"))
    axes.set(title="action")
    axes.tick_params(bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="y", nbins=4)
    axes.margins(y=0.1)
    for start, end in runs(is_pad):
        kind = "padding" if is_pad[start] else "real"
        chunk.bar(steps[start:end], 1, width=0.92, **BOXES[kind])
        for step in steps[start:end]:
            ground = {"facecolor": BOXES[kind]["facecolor"], "edgecolor": "none", "pad": 1}
            chunk.text(step, 0.5, str(step), color=INKS[ON[kind]], size=DIGITS, ha="center", va="center", bbox=ground)
        words = "copies of the last recorded step" if is_pad[start] else "recorded"
        chunk.text(start + 0.54, -0.25, words, color=INKS[INK[kind]], va="top")
    chunk.set(xlim=(0.5, len(steps) + 0.5), ylim=(0, 1), xticks=[], yticks=[0.5], yticklabels=["step"])
    chunk.grid(visible=False)
    chunk.spines["bottom"].set_visible(False)
    if 0 < real_steps < len(steps):
        for part in (axes, chunk):
            part.axvline(real_steps + 0.5, color=INKS["ink"], linestyle=(0, (3, 3)), linewidth=1.5)
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate("the episode has ended", (real_steps + 0.5, 1), (8, 12), **place)
    name_ends(axes, ends)
    return plot


@checked
def robot_to_columns(robots: Sequence[Embodiment], padded_dim: int) -> Picture:
    """Which joint of which robot is in which column of the tensor: a row of `padded_dim` cells for each robot.

    The number in a cell counts the joints of its group, whose name is above its first joint. Two shades of blue keep
    neighbouring groups apart. Columns that a robot does not have are padding.

    Args:
        robots: the robots, from the top.
        padded_dim: the number of columns of the tensor, at least that of the widest robot.

    Raises:
        ValueError: no robot, or one with more dims than `padded_dim`; or more columns than fit on a page.
    """
    if not robots:
        raise ValueError("robots: got none, expected at least one")
    if not 1 <= padded_dim <= WIDEST:
        raise ValueError(f"padded_dim: got {padded_dim}, expected 1 to {WIDEST}")
    pitch, high, left = 18, 78, max(width_of(robot.name) for robot in robots) + 14
    picture = Picture(left + pitch * padded_dim + 4, high * len(robots) + 22)
    for row, robot in enumerate(robots):
        if robot.action_dim > padded_dim:
            raise ValueError(f"robots: got {robot.name!r} of {robot.action_dim} dims, expected {padded_dim} at most")
        top, free = high * row + 38, 0.0
        picture.words(left - 12, top + 12, robot.name, bold=True, anchor="end")
        groups = [(name.replace("_", " "), dims, "real") for name, dims in robot.group_slices.items()]
        groups.append(("padding", slice(robot.action_dim, padded_dim), "padding"))
        for number, (name, dims, kind) in enumerate(groups):
            if dims.start == dims.stop:
                continue
            start = max(left + pitch * dims.start, free)
            picture.words(start, top - 14, name, ink=INK[kind])
            free = start + width_of(name)
            for joint, dim in enumerate(range(dims.start, dims.stop), start=1):
                strength = 1.0 if kind == "padding" else shade(1 - number % 2)
                picture.box(left + pitch * dim, top, pitch - 2, 24, kind, strength)
                joint_number = str(joint) if kind == "real" else ""
                write_on(picture, left + pitch * (dim + 0.5) - 1, top + 12, joint_number, kind, strength)
    for column in range(1, padded_dim + 1):
        if column in (1, padded_dim) or column % 8 == 0:
            place = left + pitch * (column - 0.5) - 1
            picture.words(place, high * len(robots) + 4, str(column), ink="quiet", size=DIGITS, anchor="middle")
    picture.words(left - 12, high * len(robots) + 4, "column", ink="quiet", anchor="end")
    return picture


@checked
def same_mask_in_many_types(masks: dict[str, Tensor], real: Bool[Tensor, "row column"]) -> Picture:
    """One mask as different libraries write it: a little map for each, with the values as they are in the tensor.

    All maps have the same blue and grey cells, since all of them mean the same; only the values differ.

    Args:
        masks: for each title a tensor of the shape of `real`, of any dtype: bool, integers, or floats.
        real: True = a real entry, which gives the cells their kind.

    Raises:
        ValueError: no mask, or one of another shape than `real`.
    """
    if not masks:
        raise ValueError("masks: got none, expected at least one")
    sheets = []
    for title, mask in masks.items():
        if mask.shape != real.shape:
            raise ValueError(f"masks[{title!r}]: got the shape {tuple(mask.shape)}, expected {tuple(real.shape)}")
        words = [[_as_written(value) for value in row] for row in mask.tolist()]
        dtype = str(mask.dtype).removeprefix("torch.")
        sheets.append(Sheet([Block(kinds_of(real, real), words=words)], title, below=[("quiet", dtype)], cell=35))
    return beside(sheets)


def _as_written(value: float) -> str:
    """A value of a mask as short as it can be, but with the point of a float: `True`, `1`, `1.0`, `-1e9`, `-inf`."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e") if 1000 <= abs(value) < inf else str(value)


@checked
def both_masks(
    action_mask: Bool[Tensor, "action_horizon padded_dim"],
    backbone_attention_mask: Bool[Tensor, " key_len"],
    future_tokens: int = 32,
    width: int = 1536,
    token_width: int = 2048,
) -> Picture:
    """The two masks of the note for one sample: what each of them covers, and where in the policy it is applied.

    Above, the tokens of the vision-language model, one cell each; below, the tokens of the DiT (one for the state, then
    future tokens, then one for each step of the chunk), and the chunk that the last of them become.

    Args:
        action_mask: True = a real entry of the chunk.
        backbone_attention_mask: True = a real vision-language token.
        future_tokens: the number of the DiT's learned tokens between the state and the actions.
        width: how wide a token of the DiT is.
        token_width: how wide a vision-language token is.

    Raises:
        ValueError: a negative number of future tokens.
    """
    if future_tokens < 0:
        raise ValueError(f"future_tokens: got {future_tokens}, expected 0 or more")
    steps, dims = action_mask.shape
    tokens_of_dit, key_len = 1 + future_tokens + steps, len(backbone_attention_mask)
    pitch = max(4.0, min(12.0, 640 / max(tokens_of_dit, key_len)))
    picture = Picture(684, 236 + 10 * steps)
    real = int(backbone_attention_mask.sum())
    picture.words(2, 12, "backbone_attention_mask: one bool for each vision-language token", bold=True)
    for key, is_real in enumerate(backbone_attention_mask.tolist()):
        picture.box(2 + pitch * key, 28, pitch - 1, 22, "real" if is_real else "padding")
    shape = f"tokens (B, {key_len}, {token_width})"
    picture.words(2, 66, f"{shape}: {real} are real, {key_len - real} are padding", ink="quiet")
    picture.arrow((2 + pitch * key_len / 2, 80), (2 + pitch * key_len / 2, 116))
    picture.words(2 + pitch * key_len / 2 + 12, 96, "read in cross-attention: here this mask is applied")
    row = tokens_of_dit - steps
    for token in range(tokens_of_dit):
        kind = "real" if token < row or bool(action_mask[token - row].any()) else "padding"
        picture.box(2 + pitch * token, 122, pitch - 1, 22, kind, 0.35 if token < row else 1.0)
    said = f"DiT (B, {tokens_of_dit}, {width}): 1 state, {future_tokens} future tokens, {steps} steps"
    picture.words(2 + pitch * tokens_of_dit + 12, 133, said if pitch * tokens_of_dit < 260 else "", ink="quiet")
    if pitch * tokens_of_dit >= 260:
        picture.words(2, 160, said, ink="quiet")
    chunk = 2 + pitch * row
    picture.arrow((chunk + pitch * steps / 2, 170), (chunk + pitch * steps / 2, 196))
    top = 200
    left = min(chunk, 684 - 10 * dims - 4)
    for (step, dim), counts in zip(product(range(steps), range(dims)), action_mask.flatten().tolist(), strict=True):
        picture.box(left + 10 * dim, top + 10 * step, 9, 9, "real" if counts else "padding")
    picture.words(left - 12, top + 10, "action_mask: one bool", bold=True, anchor="end")
    picture.words(left - 12, top + 30, "for each entry", bold=True, anchor="end")
    picture.words(left - 12, top + 54, f"chunk (B, {steps}, {dims})", ink="quiet", anchor="end")
    picture.words(left - 12, top + 78, "applied in the loss", anchor="end")
    picture.words(left, top + 10 * steps + 14, "a row is a step, a column is a dim", ink="quiet")
    return picture
