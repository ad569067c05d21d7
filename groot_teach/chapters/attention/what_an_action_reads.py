"""What an action reads: drag padding into a prompt, switch the mask, and see the loss move with the attention.

`what_an_action_reads` is what the picture computes. `what_an_action_reads.js` has a function of the same name, which
the page uses. All vectors are random and small: they show what can happen, not how much of it happens in a trained
policy.
The seed is one of those under which "cup" and "red" are read more than "the".
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.attention import cross_attention
from groot_teach.checks import every_row_reads
from groot_teach.shapes import checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import OWN, chips, fixed, percent, tries

PROMPT = ("left half of the image", "right half of the image", "pick", "up", "the", "red", "cup")
MOST_PADS, WIDTH, DIMS, SEED = 8, 4, 2, 8582
FULL_LOSS = 0.6
"""The loss at which its bar is full. Where a mask of the reader's own makes it larger, the bar's scale grows."""
AWAY = 12.0
"""The score of a pad that points away is minus this: e to it is a few millionths."""
PADS = ("zeros", "noise", "zeros, normalised", "pointing away")
SIDES = ("left", "right")
GRIPPER = '<path d="M12 0v7M5 15V7h14v8M5 15h4M19 15h-4"/>'
CUP = '<path d="M0 20h24"/><path class="cup" d="M6 8h9v12H6z"/><path d="M15 11h4v5h-4"/>'

NOTICES = {
    "nothing": "Every token is hidden. A softmax over nothing is not defined, so there is no answer and no loss.",
    "missing": "A token of the prompt is hidden, so the answer is not that of the prompt, whatever the pads do.",
    "alone": "There is no padding, so there is nothing for a mask to hide.",
    "masked": "The mask hides all the padding, so answer and loss are those of the prompt alone.",
    "luck": "The action reads next to nothing of these pads, so they do no harm without a mask. That is luck.",
    "zeros": "Zeros give nothing back, so the answer shrinks by the attention that they take.",
    "others": "These pads give back numbers of their own, and so they turn the answer.",
}


class Reading(NamedTuple):
    """What one action makes of its tokens. What depends on a softmax over nothing is None.

    Attributes:
        weights: for each token the share of the attention that it gets. They sum to 1.
        on_padding: the share that goes to padding.
        off_by: how far the attended value is from that of the prompt alone, divided by the length of the latter.
        loss: the flow-matching loss of the velocity that is read out of the attended value.
        right: the loss of the prompt alone, which is what the loss should be.
        unmasked: the loss if every token is read.
    """

    weights: list[float] | None
    on_padding: float | None
    off_by: float | None
    loss: float | None
    right: float
    unmasked: float


@checked(same="dtype device")
def what_an_action_reads(
    query: Float[Tensor, " width"],
    key: Float[Tensor, "token width"],
    value: Float[Tensor, "token width"],
    readout: Float[Tensor, "width dim"],
    velocity_target: Float[Tensor, " dim"],
    may_read: Bool[Tensor, " token"],
    is_real: Bool[Tensor, " token"],
) -> Reading:
    """The attention of one action step, its answer and its loss, beside those of the prompt alone.

    Args:
        query: of the action step.
        key: of each token.
        value: of each token.
        readout: turns the attended value into a velocity.
        velocity_target: what this velocity should be.
        may_read: True = the action may read the token.
        is_real: True = the token belongs to the prompt; all others are padding.

    Raises:
        ValueError: no token is real.
    """
    every_row_reads("is_real", is_real[None])

    def attend(mask: Tensor) -> tuple[Tensor, Tensor]:
        attended = cross_attention(query[None], key, value, mask[None])
        return attended.output[0], attended.weights[0]

    def loss(output: Tensor) -> float:
        return (output @ readout - velocity_target).square().mean().item()

    alone, _ = attend(is_real)
    right, unmasked = loss(alone), loss(attend(torch.ones_like(is_real))[0])
    if not may_read.any():
        return Reading(None, None, None, None, right, unmasked)
    output, weights = attend(may_read)
    length = alone.norm().item()
    return Reading(
        weights=weights.tolist(),
        on_padding=weights[~is_real].sum().item(),
        off_by=(output - alone).norm().item() / length if length else None,
        loss=loss(output),
        right=right,
        unmasked=unmasked,
    )


class Network(NamedTuple):
    """The fixed numbers of the picture. `key` and `value` have a row for each token: the prompt, then the padding."""

    query: Tensor
    key: dict[str, Tensor]
    value: dict[str, Tensor]
    readout: Tensor
    velocity_target: Tensor


def shown_network() -> Network:
    """One attention without biases, for each kind of padding. Every token of the prompt went through a LayerNorm.

    Pads that point away are noise whose keys are turned against the query, so that it reads next to nothing of them.
    """

    def draw(place: int, *shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED + place))

    def rounded(numbers: Tensor) -> Tensor:
        return numbers.round(decimals=2) + 0.0  # no negative zeros

    norm_bias = draw(1, WIDTH) / 3
    prompt = torch.nn.functional.layer_norm(draw(2, len(PROMPT), WIDTH), (WIDTH,), bias=norm_bias)
    padding = {
        "zeros": torch.zeros(MOST_PADS, WIDTH, dtype=torch.float64),
        "noise": draw(8, MOST_PADS, WIDTH),
        "zeros, normalised": norm_bias.repeat(MOST_PADS, 1),  # what a LayerNorm makes of a zero
    }
    to_key, to_value = draw(3, WIDTH, WIDTH) / 2, draw(4, WIDTH, WIDTH) / 2
    tokens = {kind: torch.cat([prompt, pads]) for kind, pads in padding.items()}
    query = rounded(draw(5, WIDTH))
    key = {kind: rounded(rows @ to_key) for kind, rows in tokens.items()}
    value = {kind: rounded(rows @ to_value) for kind, rows in tokens.items()}
    away = -AWAY * query * WIDTH**0.5 / query.square().sum()
    key["pointing away"] = torch.cat([key["noise"][: len(PROMPT)], rounded(away).repeat(MOST_PADS, 1)])
    value["pointing away"] = value["noise"]
    return Network(
        query=query,
        key=key,
        value=value,
        readout=rounded(draw(6, WIDTH, DIMS)),
        velocity_target=torch.tensor([0.0, -0.8], dtype=torch.float64),  # near what is read from the prompt alone
    )


def what_an_action_reads_picture() -> LivePicture:
    """The live picture of the chapter, which opens with four zeros on the left and without a mask."""
    network = shown_network()
    everything = "1" * (len(PROMPT) + MOST_PADS)
    masks = {"off": everything, "on": "1" * len(PROMPT) + "0" * MOST_PADS}
    state = {"mask": masks["off"], "pads_are": "zeros", "side": "left", "pads": 4}

    def compute(state: dict) -> Reading:
        mask, pads, kind = state["mask"], state["pads"], state["pads_are"]
        if len(mask) != len(everything) or {*mask} - {*"01"}:
            raise ValueError(f"mask: got {mask!r}, expected {len(everything)} digits, 1 = may be read and 0 = hidden")
        if pads not in range(MOST_PADS + 1):
            raise ValueError(f"pads: got {pads!r}, expected an int from 0 to {MOST_PADS}")
        for name, choices in (("pads_are", PADS), ("side", SIDES)):
            if state[name] not in choices:
                raise ValueError(f"{name}: got {state[name]!r}, expected one of {', '.join(choices)}")
        count = len(PROMPT) + pads
        return what_an_action_reads(
            network.query,
            network.key[kind][:count],
            network.value[kind][:count],
            network.readout,
            network.velocity_target,
            torch.tensor([bit == "1" for bit in mask[:count]]),
            torch.arange(count) < len(PROMPT),
        )

    faces = [_image(GRIPPER), _image(CUP), *PROMPT[2:], *["<span>pad</span>"] * MOST_PADS]
    reading = compute(state)
    return LivePicture(
        Path(__file__).with_name("what_an_action_reads.js"),
        title="What does an action read?",
        caption="Add pads, switch the mask or click a token to hide it, and watch the answer and its loss.",
        body=_body(state, reading, faces, [*masks]),
        said=_said(state, reading),
        state=state,
        constants={
            "query": network.query.tolist(),
            "key": {kind: rows.tolist() for kind, rows in network.key.items()},
            "value": {kind: rows.tolist() for kind, rows in network.value.items()},
            "readout": network.readout.tolist(),
            "velocity_target": network.velocity_target.tolist(),
            "names": [*PROMPT, *[f"pad {number}" for number in range(1, MOST_PADS + 1)]],
            "faces": faces,
            "real": len(PROMPT),
            "full": FULL_LOSS,
            "masks": masks,
            "notices": NOTICES,
        },
        compute=compute,
    )


def _image(drawing: str) -> str:
    return f'<svg viewBox="0 0 24 24" aria-hidden="true">{drawing}</svg>'


def in_a_row(pads: int, side: str) -> list[int]:
    """The tokens as they come in the row. The prompt has the first numbers, the padding those behind it."""
    prompt, padding = [*range(len(PROMPT))], [*range(len(PROMPT), len(PROMPT) + pads)]
    return padding + prompt if side == "left" else prompt + padding


def ribbons(weights: Sequence[float]) -> list[str]:
    """SVG paths from each token of the row, in a frame of 1000 by 100, to its part of the bar in the middle."""
    slot, paths = 1000 / len(weights), []
    for place, (weight, upto) in enumerate(zip(weights, accumulate(weights), strict=True)):
        middle, half = (place + 0.5) * slot, min(360 * weight, 0.8 * slot) / 2
        x0, x1 = fixed(middle - half, 1), fixed(middle + half, 1)
        b0, b1 = fixed(320 + 360 * (upto - weight), 1), fixed(320 + 360 * upto, 1)
        paths.append(f"M{x0} 0C{x0} 60 {b0} 45 {b0} 100H{b1}C{b1} 45 {x1} 60 {x1} 0Z")
    return paths


def _body(state: dict, reading: Reading, faces: list[str], masks: list[str]) -> str:
    """The opening state, in which every token is read."""
    weights, padded, pads = reading.weights or [], reading.on_padding or 0, state["pads"]
    row = in_a_row(pads, state["side"])
    names = [*PROMPT, *[f"pad {number}" for number in range(1, MOST_PADS + 1)]]
    cells, paths = [], []
    drawn = [*ribbons([weights[token] for token in row]), *[""] * (MOST_PADS - pads)]
    for place, (token, path) in enumerate(zip([*row, *[-1] * (MOST_PADS - pads)], drawn, strict=True)):
        kind = "real" if token < len(PROMPT) else "leak"
        share = percent(weights[token]) if token >= 0 else ""
        label = f"{names[token]}, {'real' if kind == 'real' else 'padding'}, {share} of the attention"
        hidden = "" if token >= 0 else " hidden"
        cells.append(
            f'<div class="cell vl-token {kind if token >= 0 else ""}" role="gridcell"'
            f' tabindex="{0 if place == 0 else -1}" aria-selected="true"'
            f' aria-label="{label if token >= 0 else ""}"{hidden}>'
            f'<span class="share">{share}</span><span class="face">{faces[token] if token >= 0 else ""}</span></div>'
        )
        paths.append(f'<path class="{kind if token >= 0 else ""}" d="{path}"></path>')
    loss, right = reading.loss or 0, reading.right
    scale = max(loss, FULL_LOSS)
    tick = _width(right / scale)
    everything, real = "1" * (len(PROMPT) + MOST_PADS), "1" * len(PROMPT) + "0" * MOST_PADS
    settings = {
        "the mask on": {"mask": real, "pads": 4, "pads_are": "zeros"},
        "eight zeros": {"mask": everything, "pads": 8, "pads_are": "zeros"},
        "one pad of noise": {"mask": everything, "pads": 1, "pads_are": "noise"},
        "harmless by luck": {"mask": everything, "pads": 8, "pads_are": "pointing away"},
        "no pads": {"mask": everything, "pads": 0},
    }
    return f"""<div class="live-controls reads-controls">
{chips("mask", "mask", [*masks, OWN], "off")}
<fieldset class="bare" disabled><label class="slider" data-control="pads"><span>padding</span>
<input type="range" min="0" max="{MOST_PADS}" value="{pads}" aria-valuetext="{_pads(pads)}"
><output>{_pads(pads)}</output></label></fieldset>
{chips("side", "on the", SIDES, state["side"])}
{chips("pads_are", "pads are", PADS, state["pads_are"])}
</div>
<div class="reads">
<div class="vl-tokens" role="grid" aria-label="Tokens. Space hides one or shows it again."
><div class="vl-row" role="row" style="--columns: {len(row)};">{"".join(cells)}</div></div>
<svg class="ribbons" viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">{"".join(paths)}</svg>
<div class="taken"><p class="on-padding wrong"><strong>{percent(padded)}</strong> on padding</p>
<div><div class="bar" aria-hidden="true"><i class="leak" style="width: {_width(padded)};"></i><i style="width: {
        _width(1 - padded)
    };"></i></div><p class="action">action</p></div>
<p class="on-prompt"><strong>{percent(1 - padded)}</strong> on the prompt</p></div>
</div>
<div class="results">
<p>its answer is <strong class="off-by wrong">off by {percent(reading.off_by or 0)}</strong>
<span class="off-should wrong">and should be 0&nbsp;%</span></p>
<div class="bar off-bar" aria-hidden="true"><i class="leak" style="width: {_width(reading.off_by or 0)};"></i></div>
<p>its loss <strong class="loss big wrong">{fixed(loss, 3)}</strong>
<span class="should wrong">should be {fixed(right, 3)} ({_apart(loss, right)})</span></p>
<div><div class="bar loss-bar" aria-hidden="true"><i style="width: {_width(min(loss, right) / scale)};"></i
><i class="leak" style="width: {_width(max(0, loss - right) / scale)};"></i
><b class="tick" style="left: {tick};"></b></div>
<p class="ends"><span class="tick-name" style="margin-left: {tick};">as it should be: <span class="masked-loss">{
        fixed(right, 3)
    }</span></span><span class="mask-off" hidden>mask off: <span class="unmasked-loss">{
        fixed(reading.unmasked, 3)
    }</span></span></p></div>
<p class="live-readout" aria-hidden="true">{NOTICES[notice_of(state, reading)]}</p>
</div>
{tries(settings)}"""


def _width(part: float) -> str:
    return f"{fixed(100 * part, 2)}%"


def _pads(count: int) -> str:
    return f"{count} pad{'' if count == 1 else 's'}"


def _apart(loss: float, right: float) -> str:
    return f"{'+' if loss > right else ''}{fixed(100 * (loss / right - 1), 0)}\N{NO-BREAK SPACE}%"


def notice_of(state: dict, reading: Reading) -> str:
    """Which of `NOTICES` says why answer and loss are what they are."""
    prompt, padding = state["mask"][: len(PROMPT)], state["mask"][len(PROMPT) :][: state["pads"]]
    if reading.on_padding is None:
        return "nothing"
    if "0" in prompt:
        return "missing"
    if "1" not in padding:
        return "masked" if padding else "alone"
    if percent(reading.on_padding) == percent(0):
        return "luck"
    return "zeros" if state["pads_are"] == "zeros" else "others"


def _said(state: dict, reading: Reading) -> str:
    return (
        f"With {_pads(state['pads'])}, {percent(reading.on_padding or 0)} of the attention goes to padding. "
        f"The answer is off by {percent(reading.off_by or 0)}. "
        f"The loss is {fixed(reading.loss or 0, 3)} and should be {fixed(reading.right, 3)}. "
        f"{NOTICES[notice_of(state, reading)]}"
    )
