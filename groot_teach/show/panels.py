"""The panels that a widget can show: a number, bars, a map of kinds, a heat map, lines, and a `Table`.

A `compute` for `explore` returns panels by title: `{"entries that count": Number(80), "action_mask": KindMap(...)}`.
Each panel checks its numbers, which may be given as tensors, and has five methods:

    fixed()   what is the same in every state: labels, scales, names
    moving()  what differs from state to state, as plain JSON, from which `explore.js` updates the panel
    html()    the panel in this state, complete without JavaScript, with the elements that `explore.js` updates
    text()    the panel in one line
    result()  the panel's numbers as a reader's own code wants them: a number, a list or a dict

Maps and bars are HTML tables that CSS draws as pictures, so a reader who cannot see the picture can read the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from math import isclose
from typing import Any

from groot_teach.show.numbers import (
    finite,
    kept,
    known_digits,
    known_scale,
    listed,
    named,
    part,
    rounded,
    texts,
    written,
)
from groot_teach.show.tables import Table

KINDS = ("real", "real-too", "padding", "leak", "hidden")
"""How an entry is drawn: blue, light blue, a grey hatch, an orange hatch, hollow. `explore.css` draws these five."""

NARROW = 12
"""A map with at most this many columns has large cells, and stands beside another one where there is room."""

FEW = 4
"""A map with at most this many rows says the name of each, even where the names only count."""

ROOM_FOR_NUMBERS = 60
"""A heat map writes its numbers into the cells if a row of them has at most this many characters."""

GAP = 12.0
"""How far apart the names of two curves are at least, in per cent of the height of the picture."""


@dataclass(frozen=True)
class Number:
    """One number in large type, such as a loss, and beside it what it should be.

    Attributes:
        value: the number.
        digits: how many decimals are shown, and tested.
        should_be: what the number would be if padding had no effect on it, or None if no such number is known. Where
            the two differ as they are shown, the number is orange, and the difference stands beside it in per cent.
            Where they differ in later decimals alone, that is said.
    """

    value: float
    digits: int = 4
    should_be: float | None = None
    is_exact: bool = field(init=False, repr=False, compare=False)
    """Whether the number is what it should be in all of its decimals, or, if that is not 0, up to rounding."""

    def __post_init__(self) -> None:
        known_digits(self.digits)
        right = None if self.should_be is None else rounded("should_be", self.should_be, self.digits)
        is_exact = right is None or isclose(finite("value", self.value), finite("should_be", self.should_be))
        kept(self, value=rounded("value", self.value, self.digits), should_be=right, is_exact=is_exact)

    def fixed(self) -> dict:
        return {"panel": "number", "digits": self.digits}

    def moving(self) -> list:
        """The number, what it should be, and how the reader is told."""
        return [self.value, self.should_be, self._beside()]

    def html(self) -> str:
        wrong = self.should_be not in (None, self.value)
        return (
            f'<p class="explore-number{" wrong" * wrong}"><strong>{written(self.value, self.digits)}</strong> '
            f"<span>{escape(self._beside())}</span></p>"
        )

    def text(self) -> str:
        shown = written(self.value, self.digits)
        return shown if self.should_be is None else f"{shown}, {self._beside()}"

    def result(self) -> float:
        return self.value

    def _beside(self) -> str:
        right = self.should_be
        if right is None:
            return ""
        if right == self.value:
            decimals = f"{self.digits} decimal{'s' if self.digits != 1 else ''}"
            return "as it should be" if self.is_exact else f"as it should be, to {decimals}"
        off = 100 * (self.value - right) / abs(right) if right else 0
        apart = f" ({off:+.0f} %)".replace("-", "\N{MINUS SIGN}") if abs(off) >= 1 else ""
        return f"should be {written(right, self.digits)}{apart}"


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
        known_digits(self.digits)
        labels, kinds = listed("labels", self.labels), listed("kinds", self.kinds)
        _known_kinds(kinds)
        texts("labels", labels)
        _, maximum = known_scale(0, self.maximum, ("0", "maximum"))
        values = [rounded("values", value, self.digits, 0, maximum) for value in listed("values", self.values)]
        if not len(labels) == len(values) == len(kinds):
            raise ValueError(
                f"Bars: got {len(labels)} labels, {len(values)} values and {len(kinds)} kinds, "
                "expected the same number of each"
            )
        kept(self, labels=labels, values=values, kinds=kinds, maximum=maximum)

    def fixed(self) -> dict:
        scale = {"maximum": self.maximum, "digits": self.digits}
        return {"panel": "bars", "labels": self.labels, "kinds": self.kinds, **scale}

    def moving(self) -> Sequence[float]:
        return self.values

    def html(self) -> str:
        rows = "\n".join(
            f'<tr><th scope="row">{escape(label)}</th><td><span class="bar"><i class="{kind}" '
            f'style="width:{100 * part(value, 0, self.maximum):.4g}%"></i></span></td>'
            f"<td>{written(value, self.digits)}</td></tr>"
            for label, value, kind in zip(self.labels, self.values, self.kinds, strict=True)
        )
        return f'<table class="explore-bars"><tbody>\n{rows}\n</tbody></table>'

    def text(self) -> str:
        shown = (written(value, self.digits) for value in self.values)
        return ", ".join(f"{label} {value}" for label, value in zip(self.labels, shown, strict=True))

    def result(self) -> dict[str, float]:
        return dict(zip(self.labels, self.values, strict=True))


@dataclass(frozen=True)
class KindMap:
    """A grid of cells that says *what* each entry is, such as a mask.

    A letter for each kind of cell keeps the rows short where the map is made and stored. No reader sees it: a cell is
    drawn as its kind, the words of each kind that occurs are listed below the map with their number, and a cell says
    its words when it is pointed at.

    Attributes:
        cells: a string for each row, with a letter for each cell.
        legend: a letter, a to z or A to Z -> (one of `KINDS`, the meaning of such a cell in words).
        rows, columns: what a row and a column are. A noun such as `step` is counted from 1; a list gives each row or
            column a name of its own.
        groups: the name of each group of rows and how many rows it has, such as `{"dual arm": 3, "small arm": 3}`.
            Rows are counted anew in each group.

    Raises:
        ValueError: no cell, rows of different lengths, a letter that the legend lacks, an unknown kind, names that are
            more or fewer than rows or columns, or groups that have more or fewer rows than the map.
    """

    cells: Sequence[str]
    legend: Mapping[str, tuple[str, str]]
    rows: str | Sequence[str]
    columns: str | Sequence[str]
    groups: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        cells = listed("cells", self.cells)
        texts("cells", cells)
        _grid_shape("cells", cells)
        axes = _Axes.of(cells, self.rows, self.columns, self.groups)
        legend = _known_legend(cells, self.legend)
        kept(self, cells=cells, legend=legend, rows=axes.rows, columns=axes.columns, groups=axes.groups)

    def fixed(self) -> dict:
        return {"panel": "kinds", **self._axes().fixed(), "legend": _plain_legend(self.legend)}

    def moving(self) -> list[str]:
        return _runs(self.cells)

    def html(self) -> str:
        cells = [
            [f'<td class="{kind}">{escape(words)}</td>' for kind, words in map(self.legend.__getitem__, row)]
            for row in self.cells
        ]
        return _grid(self._axes(), cells) + _present(self.cells, self.legend)

    def text(self) -> str:
        counts = "; ".join(f"{words}: {count}" for _, words, count in _counts(self.cells, self.legend) if count)
        return f"{len(self.cells)} x {len(self.cells[0])} cells: {counts}"

    def result(self) -> list[list[str]]:
        """The words of each cell."""
        return [[self.legend[letter][1] for letter in row] for row in self.cells]

    def _axes(self) -> "_Axes":
        return _Axes(self.rows, self.columns, self.groups)


@dataclass(frozen=True)
class HeatMap:
    """A grid of cells that says *how much*, such as attention weights, on a fixed scale from `low` to `high`.

    Attributes:
        values: the numbers.
        rows, columns, groups: as in `KindMap`.
        low, high: the ends of the scale; the stronger the colour, the larger the number.
        digits: how many decimals a number has.
        cells, legend: what each entry is, as in `KindMap`: the number of a padded entry that counts is orange, and a
            hidden one is hollow. Without them all entries are real.

    Raises:
        ValueError: no cell, rows of different lengths, a value outside the scale, a scale without extent, or `cells`
            of another shape than `values`; and what a `KindMap` refuses.
    """

    values: Sequence[Sequence[float]]
    rows: str | Sequence[str]
    columns: str | Sequence[str]
    low: float = 0.0
    high: float = 1.0
    digits: int = 3
    groups: Mapping[str, int] | None = None
    cells: Sequence[str] | None = None
    legend: Mapping[str, tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        known_digits(self.digits)
        low, high = known_scale(self.low, self.high)
        rows = [listed("values", row) for row in listed("values", self.values)]
        values = [[rounded("values", value, self.digits, low, high) for value in row] for row in rows]
        _grid_shape("values", values)
        axes = _Axes.of(values, self.rows, self.columns, self.groups)
        if (self.cells is None) != (self.legend is None):
            raise ValueError("cells and legend: got one of them, expected both or neither")
        cells = None if self.cells is None else listed("cells", self.cells)
        texts("cells", cells or [])
        if cells is not None and [len(row) for row in cells] != [len(row) for row in values]:
            raise ValueError(
                f"cells: got rows of lengths {[len(row) for row in cells]}, expected the {len(values)} x "
                f"{len(values[0])} of the values"
            )
        legend = None if self.legend is None or cells is None else _known_legend(cells, self.legend)
        kept(self, values=values, low=low, high=high, cells=cells, legend=legend)
        kept(self, rows=axes.rows, columns=axes.columns, groups=axes.groups)

    def fixed(self) -> dict:
        scale = {"low": self.low, "high": self.high, "digits": self.digits}
        legend = None if self.legend is None else _plain_legend(self.legend)
        return {"panel": "heat", **self._axes().fixed(), **scale, "legend": legend}

    def moving(self) -> Sequence:
        """The rows of numbers; and, if there are kinds, the runs of letters as well."""
        return [self.values, _runs(self.cells)] if self.cells else [self.values]

    def html(self) -> str:
        def cell(row: int, column: int) -> str:
            value = self.values[row][column]
            kind = self.legend[self.cells[row][column]][0] if self.legend and self.cells else "real"
            strength = part(value, self.low, self.high)
            return f'<td class="heat {kind}" style="--part:{strength:.4g}">{written(value, self.digits)}</td>'

        height, width = len(self.values), len(self.values[0])
        cells = [[cell(row, column) for column in range(width)] for row in range(height)]
        characters = max(len(written(end, self.digits)) for end in (self.low, self.high))
        fits = width <= NARROW and characters * width <= ROOM_FOR_NUMBERS
        return _grid(self._axes(), cells, fits)

    def text(self) -> str:
        biggest = max(value for row in self.values for value in row)
        return f"{len(self.values)} x {len(self.values[0])} cells, largest {written(biggest, self.digits)}"

    def result(self) -> Sequence[Sequence[float]]:
        return self.values

    def _axes(self) -> "_Axes":
        return _Axes(self.rows, self.columns, self.groups)


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
        known_digits(self.digits)
        kinds, given = listed("kinds", self.kinds), named("curves", self.curves)
        _known_kinds(kinds)
        texts("x_name", [self.x_name])
        texts("curves", [*given])
        low, high = known_scale(self.low, self.high)
        x = [rounded("x", value, digits=12) for value in listed("x", self.x)]
        if len(x) < 2 or sorted(set(x)) != x:
            raise ValueError(f"x: got {x}, expected two or more values that grow")
        if not 1 <= len(given) <= len(kinds):
            raise ValueError(f"curves: got {len(given)}, expected 1 to {len(kinds)}, as many as kinds")
        curves: dict[str, list[float]] = {}
        for name, values in given.items():
            where = f"curves[{name!r}]"
            curves[name] = [rounded(where, value, self.digits, low, high) for value in listed(where, values)]
            if len(curves[name]) != len(x):
                raise ValueError(f"{where}: got {len(curves[name])} points, expected {len(x)} as in x")
        kept(self, x=x, curves=curves, kinds=kinds, low=low, high=high)

    def fixed(self) -> dict:
        scale = {"low": self.low, "high": self.high, "digits": self.digits}
        names = {"x_name": self.x_name, "names": list(self.curves), "kinds": self.kinds}
        return {"panel": "lines", "x": self.x, **names, **scale}

    def moving(self) -> list:
        """The curves, and how far from the top the name of each stands at its end, in per cent."""
        ends = [100 - 100 * part(values[-1], self.low, self.high) for values in self.curves.values()]
        return [list(self.curves.values()), _apart(ends)]

    def html(self) -> str:
        curves, tops = self.moving()
        drawn = "\n".join(
            f'<polyline class="{kind}" points="{self._points(values)}"/>'
            for kind, values in zip(self.kinds, curves, strict=False)
        )
        names = "".join(
            f'<span class="{kind}" style="top:{top:.4g}%">{escape(name)}</span>'
            for kind, name, top in zip(self.kinds, self.curves, tops, strict=False)
        )
        rows = [[f"{x:.10g}", *row] for x, *row in zip(self.x, *curves, strict=True)]
        table = Table([self.x_name, *self.curves], rows, self.digits)
        return (
            '<div class="explore-plot" aria-hidden="true">\n'
            f'<div class="explore-y"><span>{self.high:g}</span><span>{self.low:g}</span></div>\n'
            f'<svg class="explore-lines" viewBox="0 0 100 50" preserveAspectRatio="none">\n{drawn}\n</svg>\n'
            f'<div class="explore-names">{names}</div>\n'
            f'<div class="explore-x"><span>{self.x[0]:.10g}</span><span>{escape(self.x_name)}</span>'
            f"<span>{self.x[-1]:.10g}</span></div>\n</div>\n"
            f"<details><summary>The same as a table</summary>{table.html()}</details>"
        )

    def text(self) -> str:
        ends = ((name, written(values[-1], self.digits)) for name, values in self.curves.items())
        return ", ".join(f"{name} ends at {end}" for name, end in ends)

    def result(self) -> dict[str, Sequence[float]]:
        return dict(self.curves)

    def _points(self, values: Sequence[float]) -> str:
        return " ".join(
            f"{100 * part(x, self.x[0], self.x[-1]):.5g},{50 - 50 * part(value, self.low, self.high):.5g}"
            for x, value in zip(self.x, values, strict=True)
        )


Panel = Number | Bars | KindMap | HeatMap | Lines | Table


@dataclass(frozen=True)
class _Axes:
    """What the rows and columns of a map are called."""

    rows: Sequence[str]
    columns: Sequence[str]
    groups: Mapping[str, int] | None

    @classmethod
    def of(cls, cells: Sequence[Sequence], rows: Any, columns: Any, groups: Mapping[str, int] | None) -> "_Axes":
        """The axes of a map with such cells; a noun becomes a name for each row or column, counted from 1."""
        height, width = len(cells), len(cells[0])
        sizes = [height]
        if groups is not None:
            texts("groups", [*groups])
            sizes = list(groups.values())
            if any(type(size) is not int or size < 1 for size in sizes) or sum(sizes) != height:
                raise ValueError(f"groups: got {dict(groups)}, expected {height} rows in all, and at least 1 in each")
        if isinstance(rows, str):
            rows = [f"{rows} {place}" for size in sizes for place in range(1, size + 1)]
        if isinstance(columns, str):
            columns = [f"{columns} {place}" for place in range(1, width + 1)]
        for name, given, expected in (("rows", rows, height), ("columns", columns, width)):
            if not isinstance(given, list | tuple):
                raise TypeError(f"{name}: got {given!r}, expected text, or a list with a text for each")
            texts(name, given)
            if len(given) != expected:
                raise ValueError(f"{name}: got {len(given)} names, expected {expected}, one for each")
        return cls(list(rows), list(columns), None if groups is None else dict(groups))

    def fixed(self) -> dict:
        groups = None if self.groups is None else [list(group) for group in self.groups.items()]
        return {"rows": self.rows, "columns": self.columns, "groups": groups}


def _apart(tops: Sequence[float]) -> list[float]:
    """The heights at which names can stand beside the ends of curves without overlapping, as near as may be."""
    order = sorted(range(len(tops)), key=tops.__getitem__)
    placed, above = list(tops), -GAP
    for place in order:
        above = placed[place] = max(tops[place], above + GAP)
    below = 100 + GAP
    for place in reversed(order):
        below = placed[place] = min(placed[place], below - GAP)
    return [round(top, 2) for top in placed]


def _runs(cells: Sequence[str]) -> list[str]:
    """Each row as its runs of the same letter: `rrrp` becomes `r3p1`. A typical mask takes a fifth of the bytes."""
    return ["".join(f"{letter}{len(list(run))}" for letter, run in groupby(row)) for row in cells]


def _known_kinds(kinds: Sequence[str], name: str = "kinds") -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"{name}: got {kind!r}, expected one of {', '.join(KINDS)}")


def _known_legend(cells: Sequence[str], legend: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    meanings = [listed("legend", meaning) for meaning in named("legend", legend).values()]
    for meaning in meanings:
        if len(meaning) != 2:
            raise ValueError(f"legend: got {meaning!r:.60}, expected a kind and its meaning in words")
    texts("legend", [words for _, words in meanings])
    _known_kinds([kind for kind, _ in meanings], "legend")
    texts("legend", [*legend])
    for letter in legend:
        if not (len(letter) == 1 and letter.isascii() and letter.isalpha()):
            raise ValueError(f"legend: got {letter!r}, expected one letter, a to z or A to Z")
    unknown = sorted(set("".join(cells)) - set(legend))
    if unknown:
        raise ValueError(f"cells: got the letter {unknown[0]!r}, expected one of the legend's {sorted(legend)}")
    return dict(legend)


def _plain_legend(legend: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    return {letter: list(meaning) for letter, meaning in legend.items()}


def _grid_shape(name: str, rows: Sequence[Sequence]) -> None:
    lengths = [len(row) for row in rows]
    if not lengths or not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(f"{name}: got rows of lengths {lengths}, expected one or more rows, all of the same length")


def _counts(cells: Sequence[str], legend: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, int]]:
    letters = "".join(cells)
    return [(kind, words, letters.count(letter)) for letter, (kind, words) in legend.items()]


def _present(cells: Sequence[str], legend: Mapping[str, tuple[str, str]]) -> str:
    """The kinds of cells that occur, in words, with their number."""
    items = "\n".join(
        f'<li{" hidden" * (not count)}><i class="{kind}"></i> {escape(words)} <b>{count}</b></li>'
        for kind, words, count in _counts(cells, legend)
    )
    return f'<ul class="explore-present">\n{items}\n</ul>'


def _seen(names: Sequence[str], room: int | None = None) -> list[bool]:
    """Which names of rows or columns are shown to the eye: of names that only count, or for which there is no room, the
    first and the last. A cell that is pointed at says all its names. A few rows are named one by one."""
    if room is None and len(names) <= FEW:
        return [True] * len(names)
    counts = (room is not None and len(names) > room) or all(name.rsplit(" ", 1)[-1].isdigit() for name in names)
    return [not counts or place in (0, len(names) - 1) for place in range(len(names))]


def _grid(axes: _Axes, cells: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """The table of a map. Its headings name every row and column; `explore.css` shows some of them to the eye."""
    width, groups = len(axes.columns), axes.groups or {"": len(axes.rows)}
    rows_seen = [False] * len(axes.rows) if axes.groups else _seen(axes.rows)
    columns = zip(axes.columns, _seen(axes.columns, NARROW), strict=True)
    head = "".join(f'<th scope="col">{_name(*column)}</th>' for column in columns)
    lines = [
        f'<tr><th scope="row">{_name(row, is_seen)}</th>{"".join(line)}</tr>'
        for row, is_seen, line in zip(axes.rows, rows_seen, cells, strict=True)
    ]
    bodies, start = [], 0
    for name, size in groups.items():
        body = "\n".join(lines[start : start + size])
        if axes.groups:
            beside = f'<th scope="rowgroup" rowspan="{size}"><span>{escape(name)}</span></th>'
            body = body.replace("<tr>", f"<tr>{beside}", 1)
        bodies.append(body)
        start += size
    look = f"explore-grid {'narrow' if width <= NARROW else 'wide'}{' numbers' * numbers}"
    room = 3 if axes.groups else max(len(row) * is_seen for row, is_seen in zip(axes.rows, rows_seen, strict=True))
    corner = f"<td colspan={2 if axes.groups else 1}></td>"
    body = "\n</tbody><tbody>\n".join(bodies)
    return (
        f'<table class="{look}" style="--columns:{width};--beside:{0.47 * room:.4g}rem">\n'
        f"<thead><tr>{corner}{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"
    )


def _name(text: str, is_seen: bool) -> str:
    """The name of a row or column. One that the eye does not see is there for screen readers."""
    return f"<span>{escape(text)}</span>" if is_seen else f'<span class="unseen">{escape(text)}</span>'


def one_of(name: str, given: str, known: dict):
    """The entry `given` of the dict `known`.

    Raises:
        ValueError: there is no such entry; the message lists those that there are.
    """
    if given not in known:
        raise ValueError(f"{name}: got {given!r}, expected one of {', '.join(map(repr, known))}")
    return known[given]
