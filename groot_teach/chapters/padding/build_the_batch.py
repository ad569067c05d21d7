"""A batch in the reader's hands: drag how much each robot recorded, and choose how the loss reads the mask.

`build_the_batch` makes the masks, `count_the_batch` counts what they say. The page uses the functions of the same names
in `build_the_batch.js`.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from groot_teach.embodiments import TOY_DUAL_ARM, TOY_HUMANOID, TOY_SMALL_ARM
from groot_teach.masks import from_action_is_pad
from groot_teach.padding import (
    VLTokens,
    action_mask_dims_and_steps,
    collate_chunks,
    pad_steps_with_zeros,
    pad_tokens_left,
)
from groot_teach.shapes import ActionMask, StepMask, TokenMask, checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import Cell, chips, fixed, percent, sheet, tries

PROMPTS = {
    TOY_DUAL_ARM: "fold the towel on the table",
    TOY_SMALL_ARM: "put the cube in the box",
    TOY_HUMANOID: "wave to the man in red",
}
"""Three robots, and the longest prompt that the picture can give each of them."""

STEPS, DIMS, WORDS = 4, 6, 6
"""The size of the batch: action steps, action dims, and tokens of a prompt, one for each word."""

MASKS = {"action_mask": "real", "action_is_pad": "padding"}
"""The masks that the loss can be given, and what True means in each."""

ONE_IS = {meaning: f"1 = {meaning}".replace(" ", "\N{NO-BREAK SPACE}") for meaning in MASKS.values()}


class BuiltBatch(NamedTuple):
    """The masks of one batch, each with the meaning that its name has in published code.

    Attributes:
        action_mask: `batch, step, dim`, bool, True = a recorded entry.
        action_is_pad: `batch, step`, bool, **True = padding**: nothing was recorded in this step.
        backbone_attention_mask: `batch, token`, bool, True = a word of the prompt.
    """

    action_mask: ActionMask
    action_is_pad: StepMask
    backbone_attention_mask: TokenMask


class BatchCount(NamedTuple):
    """How much of a batch is padding, and how much of that a loss counts.

    Attributes:
        counts: `batch, step, dim`, bool, True = the loss counts this entry.
        counted: how many entries it counts.
        padding_counted: how many of these are padding.
        recorded_left_out: how many recorded entries it does not count.
        padded_entries: how many action entries are padding, whatever the loss does.
        padded_share: the same as a part of all entries, 0 to 1.
        padded_tokens: how many tokens are padding.
    """

    counts: ActionMask
    counted: int
    padding_counted: int
    recorded_left_out: int
    padded_entries: int
    padded_share: float
    padded_tokens: int


@checked
def build_the_batch(
    steps: Sequence[int],
    dims: Sequence[int],
    words: Sequence[int],
    painted: Bool[Tensor, "batch action_horizon padded_dim"],
    key_len: int,
) -> BuiltBatch:
    """The masks of a batch of robots.

    Args:
        steps: how many steps each robot recorded.
        dims: how many dims each robot has.
        words: how many words each robot's prompt has. It is padded on the left, as in GR00T.
        painted: True = this entry is the opposite of what `steps` and `dims` say.
        key_len: the number of tokens in a row of the batch.

    Raises:
        ValueError: the three sequences do not have one number for each robot, or a number does not fit into the batch.
    """
    robots, action_horizon, padded_dim = painted.shape
    for name, numbers in (("steps", steps), ("dims", dims), ("words", words)):
        if len(numbers) != robots:
            raise ValueError(f"{name}: got {len(numbers)} numbers, expected {robots}, one for each robot of `painted`")
        if min(numbers) < 1:
            raise ValueError(f"{name}: got {min(numbers)}, expected at least 1 for each robot")
    chunks = [
        pad_steps_with_zeros(torch.zeros(step, dim, dtype=torch.float64), action_horizon)
        for step, dim in zip(steps, dims, strict=True)
    ]
    batch = collate_chunks(chunks, padded_dim)
    action_mask = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask) ^ painted
    prompts = [
        VLTokens(
            torch.ones(count, 1, dtype=torch.float64),
            image_mask=torch.zeros(count, dtype=torch.bool),
            real_mask=torch.ones(count, dtype=torch.bool),
        )
        for count in words
    ]
    return BuiltBatch(
        action_mask=action_mask,
        action_is_pad=~action_mask.any(dim=-1),
        backbone_attention_mask=pad_tokens_left(prompts, key_len).backbone_attention_mask,
    )


@checked
def count_the_batch(batch: BuiltBatch, mask: str, true_means: str) -> BatchCount:
    """What a loss counts that is given one of the masks, and takes True in it for one of two things.

    Args:
        batch: the masks.
        mask: which one the loss is given, one of `MASKS`. `action_is_pad` knows nothing of dims.
        true_means: what the loss takes True for, `real` or `padding`.

    Raises:
        ValueError: another `mask` or `true_means`.
    """
    if mask not in MASKS:
        raise ValueError(f"mask: got {mask!r}, expected one of {', '.join(MASKS)}")
    if true_means not in MASKS.values():
        raise ValueError(f"true_means: got {true_means!r}, expected one of {', '.join(MASKS.values())}")
    recorded = batch.action_mask
    is_pad = batch.action_is_pad[:, :, None].expand_as(recorded)
    declared = recorded if mask == "action_mask" else is_pad
    counts = declared if true_means == "real" else from_action_is_pad(declared)
    padded = int((~recorded).sum())
    return BatchCount(
        counts=counts,
        counted=int(counts.sum()),
        padding_counted=int((counts & ~recorded).sum()),
        recorded_left_out=int((recorded & ~counts).sum()),
        padded_entries=padded,
        padded_share=padded / recorded.numel(),
        padded_tokens=int((~batch.backbone_attention_mask).sum()),
    )


def build_the_batch_picture() -> LivePicture:
    """The live picture of the chapter on padding. It opens with a batch of which half is padding, and with a loss that
    counts just that half."""
    state = {
        "steps": [4, 1, 3],
        "dims": [robot.action_dim for robot in PROMPTS],
        "words": [3, 6, 4],
        "painted": "0" * (len(PROMPTS) * STEPS * DIMS),
        "mask": "action_mask",
        "true_means": "padding",
    }

    def build(state: dict) -> BuiltBatch:
        return build_the_batch(state["steps"], state["dims"], state["words"], _bits(state["painted"]), WORDS)

    def compute(state: dict) -> BatchCount:
        return count_the_batch(build(state), state["mask"], state["true_means"])

    names = [robot.name for robot in PROMPTS]
    return LivePicture(
        Path(__file__).with_name("build_the_batch.js"),
        title="Build the batch",
        caption="Drag the edges of what each robot recorded, or paint single entries. Blue: recorded, and the loss "
        "counts it. Hollow: recorded, and left out. Hatched: padding, orange where the loss counts it.",
        body=_body(state, build(state), compute(state)),
        said=_said(compute(state)),
        state=state,
        constants={
            "robots": names,
            "prompts": [prompt.split() for prompt in PROMPTS.values()],
            "action_horizon": STEPS,
            "padded_dim": DIMS,
            "key_len": WORDS,
            "means": MASKS,
        },
        compute=compute,
    )


def _bits(painted: str) -> Tensor:
    entries = len(PROMPTS) * STEPS * DIMS
    if len(painted) != entries or {*painted} - {*"01"}:
        raise ValueError(
            f"painted: got {painted!r}, expected {entries} digits, 1 where an entry is the opposite of its block"
        )
    return torch.tensor([bit == "1" for bit in painted]).reshape(len(PROMPTS), STEPS, DIMS)


def _body(state: dict, batch: BuiltBatch, count: BatchCount) -> str:
    """The opening state, in which the loss reads `action_mask` upside down."""
    real, is_pad = batch.action_mask.tolist(), batch.action_is_pad.tolist()
    names = [robot.name for robot in PROMPTS]
    entries = {
        name: [[Cell("hidden", "1") if bit else Cell("leak", "0") for bit in row] for row in rows]
        for name, rows in zip(names, real, strict=True)
    }
    flags = {
        name: [[Cell("pad" if bit else "real", str(int(bit)), "0.1")] for bit in row]
        for name, row in zip(names, is_pad, strict=True)
    }
    labels = [
        f"{name}, step {step + 1}, dim {dim + 1}, {'recorded, does not count' if bit else 'padding, counts'}"
        for name, rows in zip(names, real, strict=True)
        for step, row in enumerate(rows)
        for dim, bit in enumerate(row)
    ]
    blocks = "".join(
        f'<div class="block" style="--steps: {steps}; --dims: {dims};"><div class="cells">'
        f"{_handle('dims', f'{name}, recorded dims', dims, DIMS)}"
        f"{_handle('steps', f'{name}, recorded steps', steps, STEPS)}</div></div>"
        for name, steps, dims in zip(names, state["steps"], state["dims"], strict=True)
    )
    prompts = "".join(_prompt(*row) for row in zip(names, PROMPTS.values(), state["words"], strict=True))
    whole, tokens = batch.action_mask.numel(), batch.backbone_attention_mask.numel()
    share = f"{fixed(100 * (1 - count.padded_share), 2)}%", f"{fixed(100 * count.padded_share, 2)}%"
    opening = {name: state[name] for name in ("steps", "dims", "words", "painted")}
    settings = {
        "read as it is meant": {**opening, "mask": "action_mask", "true_means": "real"},
        "action_is_pad alone": {**opening, "mask": "action_is_pad", "true_means": "padding"},
        "upside down, without padding": {**state, "steps": [STEPS] * 3, "dims": [DIMS] * 3, "words": [WORDS] * 3},
    }
    return f"""<div class="live-controls batch-controls">
{chips("mask", "give the loss", [*MASKS], state["mask"])}
{chips("true_means", "it takes 1 for", [*MASKS.values()], state["true_means"])}
</div>
<div class="batch">
<div class="sheets"><div class="batch-actions">{
        sheet("entries", f"action_mask: {ONE_IS['real']}", entries, labels, batch.action_mask.flatten().tolist())
    }
<div class="sheet handles">{blocks}</div></div>
{sheet("flags", f"action_is_pad: {ONE_IS['padding']}", flags)}</div>
<div class="batch-beside">
<p class="sheet-title">backbone_attention_mask: {ONE_IS["real"]}</p>
<div class="prompts">{prompts}</div>
<p class="share"><strong class="big">{percent(count.padded_share)}</strong> <span>of the actions are padding</span></p>
<div class="bar share-bar"><i style="width: {share[0]};"></i><i class="pad" style="width: {share[1]};"></i></div>
<p class="ends"><span class="recorded">{whole - count.padded_entries} recorded</span><span class="made">{
        count.padded_entries
    } of {whole} made by us</span></p>
<p class="made-tokens">{count.padded_tokens} of {tokens} tokens are padding</p>
<p class="counted wrong">The loss counts {count.counted} entries, of them <strong>{count.padding_counted}</strong>{
        _verdict(count)
    }</p>
<p class="live-readout" aria-hidden="true">Point at an entry to read it.</p>
</div>
</div>
{tries(settings)}"""


def _handle(edge: str, label: str, value: int, most: int) -> str:
    return (
        f'<span class="handle {edge}" role="slider" tabindex="0" aria-label="{label}" aria-valuemin="1" '
        f'aria-valuemax="{most}" aria-valuenow="{value}" aria-orientation="'
        f'{"vertical" if edge == "steps" else "horizontal"}"></span>'
    )


def _prompt(name: str, prompt: str, count: int) -> str:
    """One row of tokens, its padding on the left, with a digit of the mask below each token."""
    words = [""] * (WORDS - count) + prompt.split()[:count]
    tokens = "".join(
        f'<span class="token {"real" if word else "pad"}"><b>{escape(word)}</b><i>{int(bool(word))}</i></span>'
        for word in words
    )
    said = f"prompt of the {name}: {' '.join(prompt.split()[:count])}"
    return (
        f'<div class="prompt" style="--words: {count};"><span class="name" aria-hidden="true">{name}</span>'
        f'<div class="tokens"><div class="token-row" role="img" aria-label="{escape(said)}">{tokens}</div>'
        f"{_handle('words', f'{name}, words of the prompt', count, WORDS)}</div></div>"
    )


def _said(count: BatchCount) -> str:
    return (
        f"{count.padded_entries} of {count.counts.numel()} action entries are padding, "
        f"and {count.padded_tokens} of {len(PROMPTS) * WORDS} tokens. "
        f"The loss counts {count.counted} entries, of them {count.padding_counted}{_verdict(count)}"
    )


def _verdict(count: BatchCount) -> str:
    return (
        f" padding, should be 0. It leaves out {count.recorded_left_out} recorded ones. It reads the mask upside down."
    )
