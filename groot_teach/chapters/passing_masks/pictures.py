"""The figures of the chapter on how PyTorch is told what to hide."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of, write_on
from groot_teach.show.pictures import token_width, tokens


@checked
def nothing_to_read(ways: dict[str, Float[Tensor, " key_len"]], values: Float[Tensor, " key_len"]) -> Picture:
    """What one query reads although every key is hidden: a row for each way to hide them, a column for each key.

    A key that is read is blue, the more so the more it is read. One that is not, or whose weight is NaN, is hollow.
    No answer is right here, so none is drawn as wrong. At the right of each row is the answer, the weights times the
    values.

    Args:
        ways: for each name the attention weights of the one query.
        values: what each key holds.

    Raises:
        ValueError: no way.
    """
    if not ways:
        raise ValueError("ways: got none, expected at least one")
    width, high, top, left = 52, 34, 52, 16 + max(map(width_of, ways))
    right = left + (width + 4) * len(values) + 12
    picture = Picture(right + width_of("is read"), top + high * len(ways))
    picture.words(left - 12, 11, "hidden", bold=True, anchor="end")
    picture.words(left - 12, 34, "its value", ink="quiet", anchor="end")
    for column, value in enumerate(values.tolist()):
        middle = left + (width + 4) * column + width / 2
        picture.words(middle, 11, f"key {column + 1}", bold=True, anchor="middle")
        picture.words(middle, 34, f"{value:g}", ink="quiet", anchor="middle")
    picture.words(right, 11, "what", bold=True)
    picture.words(right, 34, "is read", bold=True)
    for row, (name, weights) in enumerate(ways.items()):
        y = top + high * row
        picture.words(left - 12, y + 15, name, anchor="end")
        for column, weight in enumerate(weights.tolist()):
            kind, strength = ("real", 0.1 + 0.5 * weight) if weight > 0 else ("hidden", 1.0)
            picture.box(left + (width + 4) * column, y, width, high - 5, kind, strength)
            write_on(picture, left + (width + 4) * column + width / 2, y + 15, _number(weight), kind, strength)
        picture.words(right, y + 15, _number((weights @ values).item()), bold=True)
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
    width, left = max(token_width(words), 52), 16 + max(map(width_of, (*sides, *positions)))
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
