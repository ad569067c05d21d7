"""The widgets and the figure of the chapter on attention.

A widget's function takes the values of its controls and returns what the widget shows. Three action tokens read eight
real tokens and some padding. All weights are random and small: they show what can happen, not how much of it happens
in a trained policy.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from groot_teach.attention import cross_attention, mass_on_padding, may_read_real
from groot_teach.shapes import checked
from groot_teach.show.panels import HeatMap, KindMap, Number, Panel, one_of
from groot_teach.show.pictures import FILLS, HATCHES, Picture, picture

QUERIES, REAL_TOKENS, MOST_PADS, WIDTH = 3, 8, 12, 5
SEATS = REAL_TOKENS + MOST_PADS
PADS = {
    "zeros": "zeros",
    "noise": "noise",
    "zeros, then a LayerNorm": "layer_norm",
    "zeros; keys and values have a bias": "bias",
}
SIDES = {"left": "left", "right": "right"}
TOKEN_LEGEND = {
    "r": ("real", "real token"),
    "p": ("leak", "padding, may be read"),
    "h": ("hidden", "padding, hidden"),
    "n": ("padding", "no token here"),
}


def read_the_tokens(mask: bool, pads: int, kind: str, side: str) -> dict[str, Panel]:
    """Three queries, eight real tokens, some padding: what is read, and how far does the answer move?"""
    one_of("kind", kind, {word: word for word in PADS.values()})
    real = _draw(1, 1, REAL_TOKENS, WIDTH)
    padding = _draw(2, 1, MOST_PADS, WIDTH)[:, :pads] * (kind == "noise")
    return token_panels(real, padding, mask, side, layer_norm=kind == "layer_norm", bias=kind == "bias")


def token_panels(
    real: Tensor, padding: Tensor, mask: bool, side: str, layer_norm: bool = False, bias: bool = False
) -> dict[str, Panel]:
    """What three fixed queries read from a row of tokens.

    Args:
        real: `1, 8, 5`: the real tokens.
        padding: `1, pads, 5`: the padded tokens, 12 at most.
        mask: whether the padding is hidden from the queries.
        side: `left` or `right`: the side on which the padding is.
        layer_norm: whether the tokens first go through a LayerNorm, which has a bias.
        bias: whether keys and values have a bias.
    """
    is_real = torch.tensor([[True] * REAL_TOKENS])
    is_pad = torch.zeros(1, padding.shape[1], dtype=torch.bool)
    order = one_of("side", side, {"left": (padding, real), "right": (real, padding)})
    masks = (is_pad, is_real) if side == "left" else (is_real, is_pad)
    real_mask = torch.cat(masks, dim=1)
    attend = _attention(layer_norm, bias)
    alone = attend(real, torch.ones_like(is_real))
    shown = attend(torch.cat(order, dim=1), real_mask if mask else torch.ones_like(real_mask))
    letters = ["r" if real else ("h" if mask else "p") for real in real_mask[0].tolist()]
    nobody = SEATS - len(letters)
    weights = torch.nn.functional.pad(shown.weights[0], (0, nobody))
    change = (shown.output - alone.output).norm() / alone.output.norm()
    return {
        "attention on padding": Number(mass_on_padding(shown.weights, real_mask).mean().item(), digits=3),
        "change of the output, next to the sample alone": Number(change.item(), digits=3),
        "the row": KindMap(["".join(letters) + "n" * nobody], TOKEN_LEGEND, rows="sample", columns="token"),
        "attention": HeatMap(weights.tolist(), rows="query", columns="token", digits=3),
    }


def _attention(layer_norm: bool, bias: bool) -> Callable:
    """Cross-attention with fixed random weights. Keys and values are linear maps of the tokens."""
    query, to_key, to_value = _draw(3, 1, QUERIES, WIDTH), _draw(4, WIDTH, WIDTH), _draw(5, WIDTH, WIDTH)
    norm_bias, key_bias, value_bias = _draw(6, WIDTH), _draw(7, WIDTH) * bias, _draw(8, WIDTH) * bias

    def attend(tokens: Tensor, backbone_attention_mask: Tensor):
        if layer_norm:
            tokens = torch.nn.functional.layer_norm(tokens, (WIDTH,), bias=norm_bias)
        key, value = tokens @ to_key / 2 + key_bias, tokens @ to_value + value_bias
        return cross_attention(query, key, value, may_read_real(backbone_attention_mask, QUERIES))

    return attend


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@checked
def attention_maps(
    weights: dict[str, Float[Tensor, "query_len key_len"]], backbone_attention_mask: Bool[Tensor, " key_len"]
) -> Picture:
    """How much each query reads from each key: a map for each name, a row for each query, a column for each key.

    The fuller a cell, the more is read. Where padding is read, the cell is hatched orange. NaN is written as a word.

    Args:
        weights: for each name the attention weights of one sample, all of the same shape.
        backbone_attention_mask: True = a real key.

    Raises:
        ValueError: no map, or a weight below 0 or above 1.
    """
    if not weights:
        raise ValueError("weights: got no map, expected at least one")
    drawn = picture(7.4, 3.0)
    for axes, (name, of_map) in zip(drawn.subplots(1, len(weights), squeeze=False)[0], weights.items(), strict=True):
        for query, row in enumerate(of_map.tolist()):
            for key, weight in enumerate(row):
                if weight < 0 or weight > 1:
                    raise ValueError(f"weights of {name!r}: got {weight:g}, expected 0 to 1")
                kind = "real" if bool(backbone_attention_mask[key]) else "leak"
                if weight > 0:
                    style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0}
                    axes.add_patch(Rectangle((key, query + 1 - weight), 1, weight, **style))
                shown = "NaN" if weight != weight else f"{weight:.2f}"
                axes.text(key + 0.5, query + 0.05, shown, ha="center", va="top", fontsize=7.5)
        height, width = of_map.shape
        axes.set(xlim=(0, width), ylim=(height, 0), title=name, xlabel="key")
        axes.set_xticks([key + 0.5 for key in range(width)], range(width))
        axes.set_yticks([query + 0.5 for query in range(height)], range(height))
        axes.vlines(range(1, width), 0, height, color="#CCCCCC", linewidth=0.6)
        axes.hlines(range(1, height), 0, width, color="#CCCCCC", linewidth=0.6)
    drawn.axes[0].set(ylabel="query")
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for kind, words in (("real", "a real key is read"), ("leak", "padding is read"))
    ]
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False)
    return drawn
