"""The panels that a widget can show: a number, bars, a map of kinds, a heat map, lines, a table.

A `compute` for `explore` returns panels by title: `{"entries that count": Number(80), "action_mask": KindMap(...)}`.
Each panel checks its numbers, which may be given as tensors, and has four methods:

    fixed()   what is the same in every state: labels, scales, legends
    moving()  what differs from state to state, as plain JSON, from which `explore.js` updates the panel
    html()    the panel in this state, complete without JavaScript, with the elements that `explore.js` updates
    text()    the panel in one line

Maps and bars are HTML tables that CSS draws as pictures, so a reader who cannot see the picture can read the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import inf
from typing import Any

KINDS = ("real", "real-too", "padding", "leak", "hidden")
"""How an entry is drawn: blue, striped blue, grey, orange, hatched. `explore.css` and `pictures` use the same five."""

BIGGEST = 2**53
"""The largest whole number up to which JavaScript can tell each whole number from the next."""


@dataclass(frozen=True)
class Number:
    """One number in large type, such as a loss. `digits` is the number of decimals that are shown, and tested."""

    value: float
    digits: int = 4

    def __post_init__(self) -> None:
        _known_digits(self.digits)
        _keep(self, value=_number("value", self.value, self.digits))

    def fixed(self) -> dict:
        return {"panel": "number", "digits": self.digits}

    def moving(self) -> float:
        return self.value

    def html(self) -> str:
        return f'<strong class="explore-number">{self.text()}</strong>'

    def text(self) -> str:
        return _show(self.value, self.digits)


@dataclass(frozen=True)
class Bars:
    """Labelled bars from 0 to `maximum`, each drawn as one of `KINDS`.

    Raises:
        ValueError: labels, values and kinds that differ in number, an unknown kind, a value outside 0 to `maximum`, or
            a `maximum` that is not above 0.
    """

    labels: Sequence[str]
    values: Sequence[float]
    kinds: Sequence[str]
    maximum: float
    digits: int = 4

    def __post_init__(self) -> None:
        _known_digits(self.digits)
        _known_kinds(self.kinds)
        _texts("labels", self.labels)
        _, maximum = _known_scale(0, self.maximum)
        values = [_number("values", value, self.digits, 0, maximum) for value in _plain(self.values)]
        if not len(self.labels) == len(values) == len(self.kinds):
            raise ValueError(
                f"Bars: got {len(self.labels)} labels, {len(values)} values and {len(self.kinds)} kinds, "
                "expected the same number of each"
            )
        _keep(self, labels=list(self.labels), values=values, kinds=list(self.kinds), maximum=maximum)

    def fixed(self) -> dict:
        scale = {"maximum": self.maximum, "digits": self.digits}
        return {"panel": "bars", "labels": self.labels, "kinds": self.kinds, **scale}

    def moving(self) -> Sequence[float]:
        return self.values

    def html(self) -> str:
        rows = "\n".join(
            f'<tr><th scope="row">{escape(label)}</th><td class="explore-bar"><span class="{kind}" '
            f'style="width:{100 * _part(value, 0, self.maximum):.4g}%"></span></td>'
            f"<td>{_show(value, self.digits)}</td></tr>"
            for label, value, kind in zip(self.labels, self.values, self.kinds, strict=True)
        )
        return f"<table><tbody>\n{rows}\n</tbody></table>"

    def text(self) -> str:
        shown = (_show(value, self.digits) for value in self.values)
        return ", ".join(f"{label} {value}" for label, value in zip(self.labels, shown, strict=True))


@dataclass(frozen=True)
class KindMap:
    """A grid of cells that says *what* each entry is, such as a mask.

    Each cell holds its letter, so that the map can be read by a screen reader and without a style sheet.

    Attributes:
        cells: a string for each row, with a letter for each cell.
        legend: a letter, a to z or A to Z -> (one of `KINDS`, the meaning of such a cell in words).
        rows, columns: what a row and a column are, such as `step` and `dim`.

    Raises:
        ValueError: no cell, rows of different lengths, a letter that the legend lacks, or an unknown kind.
    """

    cells: Sequence[str]
    legend: Mapping[str, tuple[str, str]]
    rows: str
    columns: str

    def __post_init__(self) -> None:
        _grid_shape("cells", self.cells)
        _texts("rows, columns and legend", [self.rows, self.columns, *(words for _, words in self.legend.values())])
        _known_kinds([kind for kind, _ in self.legend.values()])
        for letter in self.legend:
            if not (len(letter) == 1 and letter.isascii() and letter.isalpha()):
                raise ValueError(f"legend: got {letter!r}, expected one letter, a to z or A to Z")
        unknown = sorted(set("".join(self.cells)) - set(self.legend))
        if unknown:
            raise ValueError(
                f"cells: got the letter {unknown[0]!r}, expected one of the legend's {sorted(self.legend)}"
            )
        _keep(self, cells=list(self.cells), legend=dict(self.legend))

    def fixed(self) -> dict:
        shape = [len(self.cells), len(self.cells[0])]
        legend = {letter: list(meaning) for letter, meaning in self.legend.items()}
        return {"panel": "kinds", "rows": self.rows, "columns": self.columns, "shape": shape, "legend": legend}

    def moving(self) -> list[str]:
        """Each row as its runs of the same letter: `rrrp` becomes `r3p1`. A typical mask takes a fifth of the bytes."""
        return ["".join(f"{letter}{len(list(run))}" for letter, run in groupby(row)) for row in self.cells]

    def html(self) -> str:
        keys = "\n".join(
            f'<li><i class="{kind}"></i> {letter}: {escape(words)}</li>'
            for letter, (kind, words) in self.legend.items()
        )
        body = "\n".join(
            "<tr>" + "".join(f'<td class="{self.legend[letter][0]}">{letter}</td>' for letter in row) + "</tr>"
            for row in self.cells
        )
        return f'{_axes(self.rows, self.columns)}{_grid(body)}<ul class="explore-legend">\n{keys}\n</ul>'

    def text(self) -> str:
        letters = "".join(self.cells)
        counts = ", ".join(f"{letters.count(letter)} {words}" for letter, (_, words) in self.legend.items())
        return f"{len(self.cells)} x {len(self.cells[0])} cells: {counts}"


@dataclass(frozen=True)
class HeatMap:
    """A grid of cells that says *how much*, such as attention weights, on a fixed scale from `low` to `high`.

    Raises:
        ValueError: no cell, rows of different lengths, a value outside the scale, or a scale without extent.
    """

    values: Sequence[Sequence[float]]
    rows: str
    columns: str
    low: float = 0.0
    high: float = 1.0
    digits: int = 3

    def __post_init__(self) -> None:
        _known_digits(self.digits)
        _texts("rows, columns", [self.rows, self.columns])
        low, high = _known_scale(self.low, self.high)
        values = [[_number("values", value, self.digits, low, high) for value in row] for row in _plain(self.values)]
        _grid_shape("values", values)
        _keep(self, values=values, low=low, high=high)

    def fixed(self) -> dict:
        scale = {"low": self.low, "high": self.high, "digits": self.digits}
        shape = [len(self.values), len(self.values[0])]
        return {"panel": "heat", "rows": self.rows, "columns": self.columns, "shape": shape, **scale}

    def moving(self) -> Sequence[Sequence[float]]:
        return self.values

    def html(self) -> str:
        def cell(value: float) -> str:
            part = _part(value, self.low, self.high)
            return f'<td class="heat" style="--part:{part:.4g}">{_show(value, self.digits)}</td>'

        body = "\n".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in self.values)
        key = f'<p class="explore-axes">from {self.low:g} (empty) to {self.high:g} (full)</p>'
        return f"{_axes(self.rows, self.columns)}{_grid(body)}{key}"

    def text(self) -> str:
        biggest = max(value for row in self.values for value in row)
        return f"{len(self.values)} x {len(self.values[0])} cells, largest {_show(biggest, self.digits)}"


@dataclass(frozen=True)
class Lines:
    """Curves over the same `x`, on a fixed scale from `low` to `high`. `x_name` says what runs along the bottom.

    Raises:
        ValueError: a curve with more or fewer points than `x`, fewer than two points, a value outside the scale, or
            more curves than `kinds`.
    """

    x: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    x_name: str
    low: float
    high: float
    digits: int = 4
    kinds: Sequence[str] = ("real", "leak", "padding", "hidden")

    def __post_init__(self) -> None:
        _known_digits(self.digits)
        _known_kinds(self.kinds)
        _texts("x_name and names", [self.x_name, *self.curves])
        low, high = _known_scale(self.low, self.high)
        x = [_number("x", value, digits=12) for value in _plain(self.x)]
        if len(x) < 2 or sorted(set(x)) != x:
            raise ValueError(f"x: got {x}, expected two or more values that grow")
        if not 1 <= len(self.curves) <= len(self.kinds):
            raise ValueError(f"curves: got {len(self.curves)}, expected 1 to {len(self.kinds)}, as many as kinds")
        curves = {
            name: [_number(name, value, self.digits, low, high) for value in _plain(values)]
            for name, values in self.curves.items()
        }
        for name, values in curves.items():
            if len(values) != len(x):
                raise ValueError(f"{name}: got {len(values)} points, expected {len(x)} as in x")
        _keep(self, x=x, curves=curves, kinds=list(self.kinds), low=low, high=high)

    def fixed(self) -> dict:
        scale = {"low": self.low, "high": self.high, "digits": self.digits}
        names = {"x_name": self.x_name, "names": list(self.curves), "kinds": self.kinds}
        return {"panel": "lines", "x": self.x, **names, **scale}

    def moving(self) -> Sequence[Sequence[float]]:
        return list(self.curves.values())

    def html(self) -> str:
        keys = "\n".join(
            f'<li><svg class="explore-key" viewBox="0 0 30 6" aria-hidden="true"><polyline class="{kind}" '
            f'points="0,3 30,3"/></svg> {escape(name)}</li>'
            for kind, name in zip(self.kinds, self.curves, strict=False)
        )
        drawn = "\n".join(
            f'<polyline class="{kind}" points="{self._points(values)}"/>'
            for kind, values in zip(self.kinds, self.curves.values(), strict=False)
        )
        rows = [[f"{x:.10g}", *row] for x, *row in zip(self.x, *self.curves.values(), strict=True)]
        table = Table([self.x_name, *self.curves], rows, self.digits)
        return (
            f'<p class="explore-axes">from {self.low:g} (bottom) to {self.high:g} (top)</p>\n'
            f'<svg class="explore-lines" viewBox="0 0 100 50" preserveAspectRatio="none" aria-hidden="true">\n{drawn}\n'
            f'</svg>\n<p class="explore-ends"><span>{self.x[0]:.10g}</span><span>{escape(self.x_name)}</span>'
            f'<span>{self.x[-1]:.10g}</span></p><ul class="explore-legend">\n{keys}\n</ul>\n'
            f"<details><summary>The same as a table</summary>{table.html()}</details>"
        )

    def text(self) -> str:
        return ", ".join(f"{name} ends at {_show(values[-1], self.digits)}" for name, values in self.curves.items())

    def _points(self, values: Sequence[float]) -> str:
        return " ".join(
            f"{100 * _part(x, self.x[0], self.x[-1]):.5g},{50 - 50 * _part(value, self.low, self.high):.5g}"
            for x, value in zip(self.x, values, strict=True)
        )


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers under column headings. The first column heads its row.

    Raises:
        ValueError: no row, or one with more or fewer cells than there are columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    digits: int = 4

    def __post_init__(self) -> None:
        _known_digits(self.digits)
        _texts("columns", self.columns)
        rows = [
            [cell if isinstance(cell, str) else _number("rows", cell, self.digits) for cell in _plain(row)]
            for row in self.rows
        ]
        if not rows:
            raise ValueError("rows: got none, expected at least one")
        for row in rows:
            if len(row) != len(self.columns):
                raise ValueError(f"rows: got {len(row)} cells, expected {len(self.columns)}: {list(self.columns)}")
        _keep(self, columns=list(self.columns), rows=rows)

    def fixed(self) -> dict:
        return {"panel": "table", "columns": self.columns, "length": len(self.rows), "digits": self.digits}

    def moving(self) -> Sequence[Sequence[str | float]]:
        return self.rows

    def html(self) -> str:
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in self.columns)
        body = "\n".join(
            f'<tr><th scope="row">{escape(self._shown(first))}</th>'
            + "".join(f"<td>{escape(self._shown(cell))}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"

    def text(self) -> str:
        return "; ".join(" ".join(map(self._shown, row)) for row in self.rows)

    def _shown(self, cell: str | float) -> str:
        return cell if isinstance(cell, str) else _show(cell, self.digits)


Panel = Number | Bars | KindMap | HeatMap | Lines | Table


def _keep(panel: Any, **checked: Any) -> None:
    """Stores the checked values, in new lists, so that the caller can go on changing the lists that it passed."""
    for name, value in checked.items():
        object.__setattr__(panel, name, value)


def _plain(values: Any) -> Sequence:
    """Tensors and arrays as nested lists; lists and tuples as they are."""
    return values.tolist() if hasattr(values, "tolist") else values


def _finite(name: str, value: Any) -> float:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: got {value!r}, expected a number")
    if value != value or value in (inf, -inf):
        raise ValueError(f"{name}: got {value}, expected a finite number")
    if abs(value) > BIGGEST:
        raise ValueError(f"{name}: got {value}, expected at most {BIGGEST} either way")
    return value


def _number(name: str, value: Any, digits: int, low: float = -BIGGEST, high: float = BIGGEST) -> float:
    """`value` rounded to `digits`, if it lies on the scale. A negative zero becomes 0, so that none is shown as -0.

    The rounded value is both drawn and written, so rounding may move it by no more than a hundredth of the scale.
    """
    value = _finite(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name}: got {value}, expected {low} to {high}")
    rounded = round(value, digits) + 0.0 if digits else round(value)
    if abs(rounded - value) > 0.01 * (high - low):
        raise ValueError(f"{name}: got {value}, which {digits} digits make {rounded} on a scale to {high}; show more")
    return rounded


def _part(value: float, low: float, high: float) -> float:
    """Where `value` lies between `low` and `high`, from 0 to 1. Only rounding can have moved it outside."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _show(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _known_digits(digits: int) -> None:
    if type(digits) is not int or not 0 <= digits <= 15:
        raise ValueError(f"digits: got {digits!r}, expected an int from 0 to 15")


def _known_scale(low: Any, high: Any) -> tuple[float, float]:
    low, high = float(_finite("scale", low)), float(_finite("scale", high))
    if not low < high:
        raise ValueError(f"scale: got {low:g} to {high:g}, expected two numbers that grow")
    return low, high


def _texts(name: str, values: Sequence[Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name}: got {value!r}, expected text")


def _known_kinds(kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kinds: got {kind!r}, expected one of {', '.join(KINDS)}")


def _grid_shape(name: str, rows: Sequence[Sequence]) -> None:
    lengths = [len(row) for row in rows]
    if not lengths or not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(f"{name}: got rows of lengths {lengths}, expected one or more rows, all of the same length")


def _axes(rows: str, columns: str) -> str:
    return f'<p class="explore-axes">a row is a {escape(rows)}, a column is a {escape(columns)}</p>\n'


def _grid(body: str) -> str:
    return f'<table class="explore-grid"><tbody>\n{body}\n</tbody></table>\n'


def one_of(name: str, given: str, known: dict):
    """The entry `given` of the dict `known`.

    Raises:
        ValueError: there is no such entry; the message lists those that there are.
    """
    if given not in known:
        raise ValueError(f"{name}: got {given!r}, expected one of {', '.join(map(repr, known))}")
    return known[given]
