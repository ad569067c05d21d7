"""The figures of the chapter on how PyTorch is told what to hide."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of, write_on
from groot_teach.show.pictures import token_width, tokens
from groot_teach.show.sheets import kinds_of


@checked
def nothing_to_read(
    ways: dict[str, Float[Tensor, " key_len"]], values: Float[Tensor, " key_len"], said: Sequence[str]
) -> Picture:
    """What one query reads although every key is hidden: a row for each way to hide them, a column for each key.

    A key that is read although it is hidden, or whose weight is NaN, is orange, and one that is not read is hollow. No
    answer is right here, so none is drawn as wrong. At the right of each row is the answer, the weights times the
    values, and what it is called.

    Args:
        ways: for each name the attention weights of the one query.
        values: what each key holds.
        said: what to call the answer of each way.

    Raises:
        ValueError: no way, or another number of names for the answers than of ways.
    """
    if not ways:
        raise ValueError("ways: got none, expected at least one")
    if len(said) != len(ways):
        raise ValueError(f"said: got {len(said)} names, expected {len(ways)}, one for the answer of each way")
    width, high, top, left = 72, 34, 52, 16 + max(map(width_of, ways))
    right = left + (width + 4) * len(values) + 12
    picture = Picture(right + 64 + max(map(width_of, said)), top + high * len(ways))
    picture.words(left - 12, 11, "hidden", bold=True, anchor="end")
    picture.words(left - 12, 34, "its value", ink="quiet", anchor="end")
    for column, value in enumerate(values.tolist()):
        middle = left + (width + 4) * column + width / 2
        picture.words(middle, 11, f"key {column + 1}", bold=True, anchor="middle")
        picture.words(middle, 34, f"{value:g}", ink="quiet", anchor="middle")
    picture.words(right, 11, "what", bold=True)
    picture.words(right, 34, "is read", bold=True)
    for row, ((name, weights), answer) in enumerate(zip(ways.items(), said, strict=True)):
        y = top + high * row
        picture.words(left - 12, y + 15, name, anchor="end")
        for column, weight in enumerate(weights.tolist()):
            kind = "hidden" if weight == 0 else "leak"
            picture.box(left + (width + 4) * column, y, width, high - 5, kind)
            write_on(picture, left + (width + 4) * column + width / 2, y + 15, _number(weight), kind)
        picture.words(right, y + 15, _number((weights @ values).item()), bold=True)
        picture.words(right + 64, y + 15, answer)
    return picture


def _number(value: float) -> str:
    return "NaN" if value != value else f"{value:.2f}" if value else "0"


@checked
def both_sides(
    words: Sequence[str],
    sides: dict[str, Bool[Tensor, " place"]],
    positions: dict[str, Sequence[Int[Tensor, " place"]]],
) -> Picture:
    """One prompt that is padded in several ways, with the position of each place below it, counted in several ways.

    Where a word has another position than in the prompt alone, where the first one is 0, its number is orange.

    Args:
        words: the prompt.
        sides: for each name which places hold a word (True) and which hold padding, as many words in each.
        positions: for each way of counting the positions under each of `sides`, in their order.

    Raises:
        ValueError: no side, one with more or fewer places for words than there are words, or a way with more or fewer
            positions than sides.
    """
    counts = {name: int(real.sum()) for name, real in sides.items()}
    if not sides or {*counts.values()} != {len(words)}:
        raise ValueError(f"sides: got {counts}, expected {len(words)} real places in each, one for each word")
    for name, of_sides in positions.items():
        if len(of_sides) != len(sides):
            raise ValueError(f"positions of {name!r}: got {len(of_sides)}, expected {len(sides)}, one for each side")
    width, left = max(token_width(words), 80), 16 + max(map(width_of, (*sides, *positions)))
    high = 42 + 24 * len(positions) + 20
    picture = Picture(left + (width + 6) * len(next(iter(sides.values()))), high * len(sides) - 20)
    for place, (side, real) in enumerate(sides.items()):
        top, in_order = high * place, iter(words)
        shown = [next(in_order) if is_real else "pad" for is_real in real.tolist()]
        kinds = ["real" if is_real else "padding" for is_real in real.tolist()]
        middles = tokens(picture, left, top + 2, shown, kinds, width)
        picture.words(left - 14, top + 17, side, bold=True, anchor="end")
        for line, (name, of_sides) in enumerate(positions.items()):
            y, alone = top + 46 + 24 * line, iter(range(len(words)))
            picture.words(left - 14, y, name, ink="quiet", anchor="end")
            for middle, number, is_real in zip(middles, of_sides[place].tolist(), real.tolist(), strict=True):
                moved = is_real and next(alone) != number
                ink = "leak-ink" if moved else "ink" if is_real else "pad-ink"
                picture.words(middle, y, str(number), ink=ink, bold=is_real, anchor="middle")
    return picture


@checked
def taking_turns(
    blocks: Sequence[str],
    words: Sequence[str],
    real: Bool[Tensor, " token"],
    reads: dict[str, Bool[Tensor, " token"]],
) -> Picture:
    """Which tokens each block of a network reads: a row for each block, a box for each token.

    A token that is read is blue, one that is real and not read is hollow, and padding is hatched, in orange where it is
    read. A block that reads none of these tokens has a line of words in place of its row.

    Args:
        blocks: the kind of each block, in their order.
        words: what to write into each token.
        real: True = a real token.
        reads: for each kind of block that reads these tokens, which of them it may read. Any other kind reads none.

    Raises:
        ValueError: no block, or another number of words than of tokens.
    """
    if not blocks:
        raise ValueError("blocks: got none, expected at least one")
    if len(words) != len(real):
        raise ValueError(f"words: got {len(words)}, expected {len(real)}, one for each token")
    width, left = token_width(words), 44 + max(map(width_of, reads), default=0)
    row_of = {kind: 38 if kind in reads else 28 for kind in blocks}
    picture = Picture(left + (width + 6) * len(words) - 4, 26 + sum(row_of[kind] for kind in blocks))
    picture.words(2, 10, "block", bold=True)
    y = 26.0
    for number, kind in enumerate(blocks):
        middle = y + 15 if kind in reads else y + 10
        picture.words(12, middle, str(number), bold=True, anchor="middle")
        picture.words(32, middle, kind if kind in reads else f"{kind}, reads none of these tokens", ink="quiet")
        if kind in reads:
            (kinds,) = kinds_of(real[None], reads[kind][None])
            tokens(picture, left, y, words, kinds, width)
        y += row_of[kind]
    return picture
