"""The figures of the chapter on how a masked loss breaks."""

from collections.abc import Sequence
from math import isfinite

from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import INKS, Picture, width_of
from groot_teach.show.plot import LINES, Plot, styled
from groot_teach.show.sheets import Block, Sheet, beside


@checked
def what_survives(results: dict[str, list[Tensor]], columns: Sequence[str]) -> Picture:
    """For each way to apply a mask, which of its results are still numbers: a row for each way.

    What is not a finite number is hatched in orange.

    Args:
        results: for each name of a way its loss, its gradient, or whatever the columns say.
        columns: what the results are called.

    Raises:
        ValueError: no way, or more or fewer results than columns.
    """
    if not results or any(len(values) != len(columns) for values in results.values()):
        found = {name: len(values) for name, values in results.items()}
        raise ValueError(f"results: got {found}, expected {len(columns)} for each way, and at least one way")
    finite = [[bool(value.isfinite().all()) for value in values] for values in results.values()]
    kinds = [["real" if ok else "leak" for ok in row] for row in finite]
    words = [["finite" if ok else "NaN" for ok in row] for row in finite]
    cell = max(70, 6 + max(map(width_of, columns)))
    return beside([Sheet([Block(kinds, words=words)], rows=[*results], columns=columns, cell=cell)])


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
