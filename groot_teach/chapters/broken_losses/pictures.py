"""The figures of the chapter on how a masked loss breaks."""

from collections.abc import Sequence
from math import isfinite

from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import INKS, Picture, width_of, write_on
from groot_teach.show.plot import LINES, Plot, styled


@checked
def what_survives(results: dict[str, list[Tensor]], columns: Sequence[tuple[str, str]]) -> Picture:
    """For each way to apply a mask, which of its results are still numbers: a row for each way.

    What is not a finite number is hatched in orange.

    Args:
        results: for each name of a way its loss, its gradient, or whatever the columns say.
        columns: for each result the group that it belongs to, and what it is called there. Groups stand together.

    Raises:
        ValueError: no way, or more or fewer results than columns.
    """
    if not results or any(len(values) != len(columns) for values in results.values()):
        found = {name: len(values) for name, values in results.items()}
        raise ValueError(f"results: got {found}, expected {len(columns)} for each way, and at least one way")
    width, high, left, top = 104, 30, 14 + max(map(width_of, results)), 62
    picture = Picture(left + width * len(columns) + 2, top + high * len(results))
    for place, (group, name) in enumerate(columns):
        if place == 0 or columns[place - 1][0] != group:
            picture.words(left + width * place, 14, group, bold=True)
        picture.words(left + width * (place + 0.5) - 3, 42, name, ink="quiet", anchor="middle")
    for row, (way, values) in enumerate(results.items()):
        y = top + high * row
        picture.words(left - 14, y + high / 2 - 2, way, anchor="end")
        for column, value in enumerate(values):
            kind, word = ("real", "finite") if bool(value.isfinite().all()) else ("leak", "NaN")
            strength = 0.3 if kind == "real" else 1.0
            picture.box(left + width * column, y, width - 6, high - 5, kind, strength)
            write_on(picture, left + width * (column + 0.5) - 3, y + high / 2 - 2, word, kind, strength)
    return picture


@styled
@checked
def miscounted(ones: Sequence[int], counted: Sequence[float]) -> Plot:
    """How many ones too many or too few a mask of ones is counted to have: a step for each number of ones.

    Args:
        ones: how many ones were counted, in ascending order.
        counted: what came out for each of them, a finite number.

    Raises:
        ValueError: more or fewer counts than `ones`, or a count that is not finite.
    """
    if len(counted) != len(ones) or not all(map(isfinite, counted)):
        raise ValueError(f"counted: got {list(counted)}, expected {len(ones)} finite numbers, one for each of `ones`")
    plot = Plot(690, 220)
    axes = plot.figure.subplots()
    axes.axhline(0, color=INKS["real"], linewidth=1)
    off = [value - right for right, value in zip(ones, counted, strict=True)]
    axes.plot(ones, off, **{**LINES["leak"], "linestyle": "-"}, linewidth=1.2, drawstyle="steps-mid")
    axes.set(title="counted too many or too few", xlabel="ones in the mask", xlim=(ones[0], ones[-1]))
    axes.set_yticks([*range(int(min(off)), int(max(off)) + 1)])
    return plot
