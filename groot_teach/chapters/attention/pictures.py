"""The figures of the chapter on attention, and its last widget.

The widget's function takes the values of its controls and returns what the widget shows. Three action tokens read eight
real tokens and some padding. All weights are random and small: they show what can happen, not how much of it happens
in a trained policy.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.attention import Attended, cross_attention, mass_on_padding, may_read_real
from groot_teach.shapes import checked
from groot_teach.show.drawing import INK, Picture, write_on
from groot_teach.show.panels import HeatMap, Number, Panel, one_of
from groot_teach.show.pictures import token_width, tokens
from groot_teach.show.sheets import Block, Sheet, beside, graded, kinds_of

QUERIES, REAL_TOKENS, WIDTH = 3, 8, 5
RIBBON = 80
"""The width of a ribbon that stands for all of the attention of a reader, in pixels."""
TOKEN_LEGEND = {
    "r": ("real", "real token"),
    "p": ("leak", "padding, may be read"),
    "h": ("hidden", "padding, hidden"),
}


def token_panels(real: Tensor, padding: Tensor, mask: bool, side: str) -> dict[str, Panel]:
    """What three fixed queries read from a row of tokens.

    Args:
        real: `1, 8, 5`: the real tokens.
        padding: `1, pads, 5`: the padded tokens.
        mask: whether the padding is hidden from the queries.
        side: `left` or `right`: the side on which the padding is.
    """
    is_real = torch.tensor([[True] * REAL_TOKENS])
    is_pad = torch.zeros(1, padding.shape[1], dtype=torch.bool)
    order = one_of("side", side, {"left": (padding, real), "right": (real, padding)})
    masks = (is_pad, is_real) if side == "left" else (is_real, is_pad)
    real_mask = torch.cat(masks, dim=1)
    alone = _attend(real, torch.ones_like(is_real))
    shown = _attend(torch.cat(order, dim=1), real_mask if mask else torch.ones_like(real_mask))
    row = "".join("r" if real else "h" if mask else "p" for real in real_mask[0].tolist())
    change = (shown.output - alone.output).norm() / alone.output.norm()
    on_padding = mass_on_padding(shown.weights, real_mask).mean()
    return {
        "per cent of the attention on padding": Number(100 * on_padding.item(), digits=1, should_be=0),
        "per cent by which the output is off": Number(100 * change.item(), digits=1, should_be=0),
        "what each query reads of each token": HeatMap(
            shown.weights[0].tolist(),
            rows="query",
            columns="token",
            digits=2,
            cells=[row] * QUERIES,
            legend=TOKEN_LEGEND,
        ),
    }


def _attend(tokens: Tensor, backbone_attention_mask: Tensor) -> Attended:
    """Cross-attention with fixed random weights. Keys and values are linear maps of the tokens."""
    query, to_key, to_value = _draw(3, 1, QUERIES, WIDTH), _draw(4, WIDTH, WIDTH), _draw(5, WIDTH, WIDTH)
    return cross_attention(
        query, tokens @ to_key / 2, tokens @ to_value, may_read_real(backbone_attention_mask, QUERIES)
    )


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@checked
def attention_maps(
    weights: dict[str, Float[Tensor, "query_len key_len"]],
    backbone_attention_mask: Bool[Tensor, " key_len"],
    query_is_real: Bool[Tensor, " query_len"] | None = None,
) -> Picture:
    """How much each query reads from each key: a map for each name, a row for each query, a column for each key.

    The stronger the blue of a cell, the more is read. Where padding is read, the cell is hatched orange; where it is
    not, grey. NaN is written as a word, in orange. What else a padded query reads is grey, since nothing uses its
    answer.

    Args:
        weights: for each name the attention weights of one sample, all of the same shape.
        backbone_attention_mask: True = a real key.
        query_is_real: True = a real query. Without it all are.

    Raises:
        ValueError: no map, or a weight below 0 or above 1.
    """
    if not weights:
        raise ValueError("weights: got no map, expected at least one")
    sheets, most = [], max(torch.nan_to_num(of_map).max().item() for of_map in weights.values())
    for name, of_map in weights.items():
        if wrong := [weight for row in of_map.tolist() for weight in row if weight < 0 or weight > 1]:
            raise ValueError(f"weights of {name!r}: got {wrong[0]:g}, expected 0 to 1")
        queries = of_map.shape[0]
        used = torch.ones(queries, dtype=torch.bool) if query_is_real is None else query_is_real
        real, is_nan = backbone_attention_mask.expand(queries, -1), of_map.isnan()
        kinds = kinds_of(
            real & ~is_nan & used[:, None], is_nan | ((of_map != 0) & used[:, None]) | (real & used[:, None])
        )
        words = [["NaN" if weight != weight else f"{weight:.2f}" for weight in row] for row in of_map.tolist()]
        names = [f"query {query}" if is_real else "pad" for query, is_real in enumerate(used.tolist(), 1)]
        rows = names if not sheets else ()
        columns = [str(key) if is_real else "pad" for key, is_real in enumerate(backbone_attention_mask.tolist(), 1)]
        block = Block(kinds, words=words, parts=graded(of_map, kinds, most or 1.0))
        sheets.append(Sheet([block], name, rows, columns, cell=34))
    return beside(sheets)


@checked
def zero_keys(
    scores: Float[Tensor, " key_len"], backbone_attention_mask: Bool[Tensor, " key_len"], words: Sequence[str]
) -> Picture:
    """Why a key of zeros is read: its score is 0, and the softmax gives it e^0 = 1, which is not nothing.

    A column for each token, with its score, e to that power, and its share of the attention. The bars are as high as
    exp(score); the last line is written in orange where it belongs to padding.

    Args:
        scores: the scores of one query, finite and 5 at most, so that the bars can be compared.
        backbone_attention_mask: True = a real token.
        words: what to write into each token's box.

    Raises:
        ValueError: more or fewer words than tokens, or a score that is not finite or above 5.
    """
    if len(words) != len(scores):
        raise ValueError(f"words: got {len(words)}, expected {len(scores)}, one for each token")
    if not (scores.isfinite() & (scores <= 5)).all():
        raise ValueError(f"scores: got {scores.tolist()}, expected finite numbers, 5 at most")
    powers, weights = scores.exp().tolist(), scores.softmax(dim=0).tolist()
    kinds = ["real" if real else "leak" for real in backbone_attention_mask.tolist()]
    width, left, high = max(token_width(words), 60), 122, 110
    picture = Picture(left + (width + 6) * len(words) + 2, high + 168)
    middles = tokens(picture, left, high + 60, words, kinds, width)
    base = high + 48
    for middle, kind, power, score, weight in zip(middles, kinds, powers, scores.tolist(), weights, strict=True):
        length = high * power / max(powers)
        picture.box(middle - 20, base - length, 40, length, kind)
        picture.words(middle, base - length - 12, f"{power:.2f}", ink=INK[kind], bold=True, anchor="middle")
        picture.words(middle, high + 106, f"{score + 0.0:.2f}".replace("-0.00", "0.00"), anchor="middle")
        picture.words(middle, high + 132, f"{100 * weight:.0f} %", ink=INK[kind], bold=True, anchor="middle")
    for y, name in (
        (base - 10, "exp(score)"),
        (high + 75, "token"),
        (high + 106, "score"),
        (high + 132, "attention"),
    ):
        picture.words(left - 14, y, name, ink="quiet", anchor="end")
    on_padding = 100 * sum(weight for weight, kind in zip(weights, kinds, strict=True) if kind == "leak")
    ink = "leak-ink" if on_padding else "ink"
    picture.words(left, high + 156, f"{on_padding:.0f} % of the attention is on padding", ink=ink)
    return picture


@checked
def two_token_leaks(
    mixing: Float[Tensor, "key_len key_len"],
    context: Float[Tensor, " key_len"],
    backbone_attention_mask: Bool[Tensor, " key_len"],
    words: Sequence[str],
) -> Picture:
    """The two ways from padded tokens to an action: through the words that read them before, and directly.

    From above: the tokens, the same tokens behind their self-attention, and one action that reads these. A ribbon is
    as wide as the attention that it stands for. What comes from padding is orange: between the two rows that is the
    mixing leak, below them the context leak. What the action reads of a word is blue and orange in the proportion in
    which the word has read words and padding. Beside each leak is its share of what is read there. A pad that is read
    is orange and hatched, and one that is not is grey.

    Args:
        mixing: how much each token (row) reads from each token (column) in the self-attention of the tokens.
        context: how much the action reads from each token in cross-attention.
        backbone_attention_mask: True = a real token.
        words: what to write into each token's box.

    Raises:
        ValueError: more or fewer words than tokens, or a weight below 0 or above 1.
    """
    if len(words) != len(context):
        raise ValueError(f"words: got {len(words)}, expected {len(context)}, one for each token")
    for name, weights in (("mixing", mixing), ("context", context)):
        if not ((weights >= 0) & (weights <= 1)).all():
            raise ValueError(f"{name}: got {weights.tolist()}, expected weights from 0 to 1")
    real = backbone_attention_mask.tolist()
    left = 120
    width = max(token_width(words), 560 / len(words) - 6)
    picture = Picture(left + (width + 6) * len(words) + 2, 362)
    middles = [left + (width + 6) * place + width / 2 for place in range(len(words))]
    action = sum(middles) / len(middles)
    read_by_words = mixing * backbone_attention_mask[:, None]  # what a pad reads reaches no action
    _ribbons(picture, read_by_words.tolist(), middles, middles, (40, 170), [float(is_real) for is_real in real])
    from_words = (read_by_words * backbone_attention_mask).sum(dim=1)  # nothing of a pad
    _ribbons(picture, [context.tolist()], middles, [action], (200, 322), from_words.tolist())
    is_read = (mixing[backbone_attention_mask] > 0).any(dim=0), context > 0
    for y, by_whom in zip((10, 170), is_read, strict=True):
        pads = ["leak" if read else "padding" for read in by_whom.tolist()]
        kinds = ["real" if is_real else pad for is_real, pad in zip(real, pads, strict=True)]
        tokens(picture, left, y, words, kinds, width)
    picture.box(action - 44, 322, 88, 32, "real")
    write_on(picture, action, 338, "action", "real")
    for y, name in ((25, "tokens"), (185, "mixed tokens")):
        picture.words(left - 14, y, name, ink="quiet", anchor="end")
    readers = mixing[backbone_attention_mask][:, ~backbone_attention_mask].sum(dim=1)
    mixed = readers.mean().item() if len(readers) else 0.0
    direct = context[~backbone_attention_mask].sum().item()
    for y, name, part in ((94, "mixing leak", mixed), (250, "context leak", direct)):
        ink = "leak-ink" if part else "ink"
        picture.words(left - 14, y, name, ink=ink, anchor="end", bold=True)
        picture.words(left - 14, y + 22, f"{100 * part:.0f} % is read", ink=ink, anchor="end")
        picture.words(left - 14, y + 42, "from pads", ink=ink, anchor="end")
    return picture


def _ribbons(
    picture: Picture,
    weights: Sequence[Sequence[float]],
    sources: Sequence[float],
    readers: Sequence[float],
    heights: tuple[float, float],
    real: Sequence[float],
) -> None:
    """Attention as ribbons from what is read to what reads it, the wider the more is read.

    Where ribbons meet, they lie side by side. A ribbon is blue as far as its source is real, and orange for the rest.

    Args:
        weights: for each reader how much it reads from each source.
        sources: where the middle of each source is.
        readers: where the middle of each reader is.
        heights: where ribbons begin and end.
        real: for each source which part of it comes from real tokens, 0 to 1.
    """
    top, bottom = heights
    middle = (top + bottom) / 2
    begin = [x - RIBBON * sum(of_source) / 2 for x, of_source in zip(sources, zip(*weights, strict=True), strict=True)]
    of_padding = []
    for end, row in zip(readers, weights, strict=True):
        end -= RIBBON * sum(row) / 2
        for source, weight in enumerate(row):
            for ink, part in (("real", weight * real[source]), ("leak", weight * (1 - real[source]))):
                width = RIBBON * part
                x0, x1 = begin[source] + width / 2, end + width / 2
                begin[source], end = begin[source] + width, end + width
                curve = (x0, top), (x0, middle), (x1, middle), (x1, bottom)
                if part > 0 and ink == "real":
                    picture.line(*curve, curved=True, width=max(1.0, width), ink=ink, opacity=0.4)
                elif part > 0:
                    of_padding.append((curve, max(1.0, width)))
    for curve, width in of_padding:  # above all others, so that none is mixed with blue
        picture.line(*curve, curved=True, width=width + 2, ink="paper")
        picture.line(*curve, curved=True, width=width, ink="leak")
