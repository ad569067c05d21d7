"""The figure of the chapter on how a masked loss breaks."""

from collections.abc import Sequence

from torch import Tensor

from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of
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
