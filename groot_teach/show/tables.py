"""`Table`: rows of words and numbers, drawn on the page and written as aligned text in a shell.

A cell of a chapter ends with a `Table` where it would otherwise print columns. The same record is a panel of `explore`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from groot_teach.show.numbers import kept, known_digits, listed, rounded, single, texts, written

COLUMN_KINDS = ("text", "number", "share", "verdict")
"""What a column can hold: words, numbers, parts of a whole (drawn as bars), or one of a few words that judge."""

SHORT = 5
"""Tables with more columns than this get a frame that scrolls sideways on a narrow screen."""


@dataclass(frozen=True)
class Column:
    """One column of a `Table`: its heading, what its cells hold, and which of them are wrong.

    Attributes:
        name: the heading.
        kind: one of `COLUMN_KINDS`. A `text` holds words. A `number` holds numbers, and words where there is no number,
            such as `absent`. A `share` holds numbers from 0 to 1, which are drawn as bars and written in per cent. A
            `verdict` holds True and False, written as yes and no, or words of your own, such as `caught` and `missed`.
        digits: how many decimals a number or a percentage has. None means 4 for numbers and 1 for shares.
        wrong: True if every number but 0 is wrong because of padding, or the words of a verdict that are. What is wrong
            is written in orange ink, and nothing else is, so leave False where a number is only large or surprising.

    Raises:
        ValueError: an unknown kind, `digits` that are no whole number from 0 to 15, or words in `wrong` for a column
            that is no verdict.
    """

    name: str
    kind: str = "text"
    digits: int | None = None
    wrong: bool | Sequence[str] = False

    def __post_init__(self) -> None:
        texts("name", [self.name])
        if self.kind not in COLUMN_KINDS:
            raise ValueError(f"kind of {self.name!r}: got {self.kind!r}, expected one of {', '.join(COLUMN_KINDS)}")
        known_digits(self.decimals)
        words = self.wrong if isinstance(self.wrong, bool) else list(self.wrong)
        if isinstance(self.wrong, str) or (not isinstance(words, bool) and self.kind != "verdict"):
            raise ValueError(
                f"wrong of {self.name!r}: got {self.wrong!r}, expected True or False, or for a verdict a list of words"
            )
        kept(self, digits=self.decimals, wrong=words)

    @property
    def decimals(self) -> int:
        return {"number": 4, "share": 1}.get(self.kind, 0) if self.digits is None else self.digits

    def checked(self, cell: Any) -> str | float:
        """The cell as it is stored: words as they are, numbers rounded to what is shown.

        Raises:
            TypeError: the cell is no word and no number.
            ValueError: a number that is not finite, a number in a column of words, or a share outside 0 to 1.
        """
        where = f"rows, column {self.name!r}"
        cell = single(where, cell)
        if isinstance(cell, bool) and self.kind == "verdict":
            return "yes" if cell else "no"
        if isinstance(cell, str) and self.kind != "share":
            return cell
        if self.kind in ("text", "verdict"):
            raise TypeError(f"{where}: got {cell!r}, expected text, since its kind is {self.kind!r}")
        if self.kind == "share":
            return rounded(where, cell, self.decimals + 2, 0, 1)
        return rounded(where, cell, self.decimals)

    def shown(self, cell: str | float) -> str:
        """The cell as a reader sees it."""
        if isinstance(cell, str):
            return cell
        return f"{written(100 * cell, self.decimals)} %" if self.kind == "share" else written(cell, self.decimals)

    def is_wrong(self, cell: str | float) -> bool:
        return self.wrong and cell != 0 if isinstance(self.wrong, bool) else cell in self.wrong


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers under column headings: an HTML table on the page, aligned text in a shell.

    End a cell with it, and both the page and the stored output of the notebook show the table. Say with `Column` what a
    column holds. A plain string is the heading of a column of words, or, if a cell of it is a number, of numbers with
    `digits` decimals. The first column names its row, so it should hold the words by which a reader finds the row.

    Attributes:
        columns: a `Column` or a heading for each column.
        rows: the cells of each row. Tensors with a single number are numbers.
        digits: the decimals of the columns that are given as plain headings.
        caption: what the table says, in a few words, above it; or an empty text.

    Raises:
        TypeError: a cell that is neither text nor a number, or a number in a column of words.
        ValueError: no column, no row, a row with more or fewer cells than there are columns, an empty heading or one
            that occurs twice, a number that is not finite, or a share outside 0 to 1.

    Example:
        >>> Table(
        ...     ["robot", Column("recorded entries", "number", 0), Column("part of the loss", "share")],
        ...     [["dual arm", 256, 0.598], ["SO-101", 42, 0.098]],
        ... )
        robot     recorded entries  part of the loss
        dual arm               256            59.8 %
        SO-101                  42             9.8 %
    """

    columns: Sequence[str | Column]
    rows: Sequence[Sequence[str | float]]
    digits: int = 4
    caption: str = ""

    def __post_init__(self) -> None:
        known_digits(self.digits)
        texts("caption", [self.caption])
        given = listed("columns", self.columns)
        texts("columns", [column for column in given if not isinstance(column, Column)])
        rows = [listed(f"rows[{place}]", row) for place, row in enumerate(listed("rows", self.rows))]
        if not rows:
            raise ValueError("rows: got none, expected at least one")
        if not given:
            raise ValueError("columns: got none, expected at least one")
        for place, row in enumerate(rows):
            if len(row) != len(given):
                headings = [column if isinstance(column, str) else column.name for column in given]
                raise ValueError(f"rows[{place}]: got {len(row)} cells, expected {len(headings)}: {headings}")
        columns = [self._column(column, [row[place] for row in rows]) for place, column in enumerate(given)]
        names = [column.name for column in columns]
        if not all(name.strip() for name in names):  # a screen reader says the heading before each cell
            raise ValueError(f"columns: got {names}, expected a heading for each column")
        if len(set(names)) < len(names):
            raise ValueError(f"columns: got {names}, expected each heading once")
        rows = [[column.checked(cell) for column, cell in zip(columns, row, strict=True)] for row in rows]
        kept(self, columns=columns, rows=rows)

    def _column(self, given: str | Column, cells: Sequence) -> Column:
        if isinstance(given, Column):
            return given
        is_text = all(isinstance(cell, str) for cell in cells)
        return Column(given) if is_text else Column(given, "number", self.digits)

    def fixed(self) -> dict:
        columns = [
            {"name": column.name, "kind": column.kind, "digits": column.digits, "wrong": column.wrong}
            for column in self._columns
        ]
        return {"panel": "table", "columns": columns, "length": len(self.rows)}

    def moving(self) -> Sequence[Sequence[str | float]]:
        return self.rows

    def result(self) -> Sequence[Sequence[str | float]]:
        return self.rows

    def text(self) -> str:
        return "; ".join(" ".join(self._shown(row)) for row in self.rows)

    def html(self) -> str:
        """The table for the page. What `tables.css` does not reach, such as Jupyter, shows it plainly."""
        head = "".join(
            f'<th scope="col"{_look(column, wrong=False)}>{escape(column.name)}</th>' for column in self._columns
        )
        body = "\n".join(
            "<tr>" + "".join(self._cell(place, cell) for place, cell in enumerate(row)) + "</tr>" for row in self.rows
        )
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        table = f'<table class="book-table">{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
        if len(self.columns) <= SHORT:
            return table
        label = escape(self.caption or "table", quote=True)
        return f'<div class="book-table-frame" role="region" aria-label="{label}" tabindex="0">{table}</div>'

    def _cell(self, place: int, cell: str | float) -> str:
        column = self._columns[place]
        look, shown = _look(column, column.is_wrong(cell)), escape(column.shown(cell))
        if column.kind == "share":
            # The bar has its size and a colour here as well, so that it is seen where there is no style sheet.
            bar = (
                f'<i style="display:block;height:.8em;width:{100 * cell:.4g}%;background:var(--bar,currentColor)"></i>'
            )
            shown = f'<span class="track">{bar}</span><span class="part">{shown}</span>'
        return f'<th scope="row"{look}>{shown}</th>' if place == 0 else f"<td{look}>{shown}</td>"

    def _shown(self, row: Sequence[str | float]) -> list[str]:
        return [column.shown(cell) for column, cell in zip(self._columns, row, strict=True)]

    @property
    def _columns(self) -> list[Column]:
        """The columns, each of which is a `Column` since the table was made."""
        return [column for column in self.columns if isinstance(column, Column)]

    def __str__(self) -> str:
        lines = [[column.name for column in self._columns], *map(self._shown, self.rows)]
        widths = [max(map(len, texts_of_column)) for texts_of_column in zip(*lines, strict=True)]
        right = [column.kind in ("number", "share") for column in self._columns]
        aligned = [
            "  ".join(
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.caption] * bool(self.caption) + aligned)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}


def _look(column: Column, wrong: bool) -> str:
    """The class of a cell, and on which side it stands, for Jupyter, which puts everything on the right."""
    side = "right" if column.kind == "number" else "left"
    return f' class="{column.kind}{" wrong" * wrong}" style="text-align:{side}"'
