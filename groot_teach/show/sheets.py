"""Sheets: a batch as square cells. Rows are steps, columns are dims, and each robot is a block.

What a cell means is told by its kind, and never by its colour alone: a real entry is blue, and the stronger the blue,
the larger its value; padding is hatched; padding that gets through a mask is hatched in orange; what a mask hides
although it is real is hollow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from jaxtyping import Bool
from torch import Tensor

from groot_teach.show.drawing import DIGITS, LINE, Picture, width_of, write_on

GAP = 22
"""Between sheets that are beside each other, in pixels."""


@dataclass(frozen=True)
class Block:
    """The cells of one robot in a sheet: a row for each step, a column for each dim.

    Attributes:
        kinds: what each cell is: `real`, `padding`, `leak` or `hidden`.
        name: what to write at the side, reading upwards.
        words: what to write into each cell; an empty text is no word.
        parts: how strong each cell is, from 0 to 1. Without them a real cell has its full colour.
        notes: lines to write at the right of the block, each with the kind of which it speaks.
    """

    kinds: Sequence[Sequence[str]]
    name: str = ""
    words: Sequence[Sequence[str]] = ()
    parts: Sequence[Sequence[float]] = ()
    notes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Sheet:
    """A batch as a sheet: blocks of cells below each other.

    Attributes:
        blocks: one for each robot.
        title: what to write above.
        rows: what to write at the left of each row of every block.
        columns: what to write below each column.
        below: lines to write below, each with the name of its ink.
        cell: the width of a cell in pixels.
    """

    blocks: Sequence[Block]
    title: str = ""
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    below: Sequence[tuple[str, str]] = ()
    cell: float = 30

    @property
    def pitch(self) -> float:
        """From one cell to the next."""
        return self.cell + (2 if self.cell >= 14 else 1)

    @property
    def margin(self) -> float:
        """The room at the left for the names of robots and rows."""
        names = 26 if any(block.name for block in self.blocks) else 0
        return names + (max(map(width_of, self.rows)) + 8 if self.rows else 0)

    @property
    def grid(self) -> float:
        """The width of the cells."""
        return self.pitch * len(self.blocks[0].kinds[0]) - (self.pitch - self.cell)

    @property
    def width(self) -> float:
        notes = max((width_of(text) + 42 for block in self.blocks for _, text in block.notes), default=0)
        over = max(width_of(text) for text in (self.title, *(text for _, text in self.below))) - self.grid
        return self.margin + self.grid + max(notes, over, 0)

    @property
    def height(self) -> float:
        rows = sum(len(block.kinds) for block in self.blocks) * self.pitch + 12 * (len(self.blocks) - 1)
        return (26 if self.title else 0) + rows + (LINE if self.columns else 0) + LINE * len(self.below)

    def draw(self, picture: Picture, x: float, y: float) -> float:
        """Draws the sheet with its left upper corner at a place, and returns the height of the middle of its cells."""
        if self.title:
            picture.words(x + self.margin, y + 9, self.title, bold=True)
            y += 26
        top, left = y, x + self.margin
        for block in self.blocks:
            self._draw_block(picture, block, x, y)
            y += len(block.kinds) * self.pitch + 12
        bottom = y - 12
        for column, word in enumerate(self.columns):
            middle = left + column * self.pitch + self.cell / 2
            picture.words(middle, bottom + 11, word, ink="quiet", anchor="middle", size=DIGITS)
        after = bottom + (LINE if self.columns else 0)
        for line, (ink, text) in enumerate(self.below):
            picture.words(left, after + 14 + LINE * line, text, ink=ink)
        return (top + bottom) / 2

    def _draw_block(self, picture: Picture, block: Block, x: float, y: float) -> None:
        left, height = x + self.margin, len(block.kinds) * self.pitch
        cells = [*product(range(len(block.kinds)), range(len(block.kinds[0])))]
        for row, column in cells:
            place = left + column * self.pitch, y + row * self.pitch
            strength = block.parts[row][column] if block.parts else 1.0
            picture.box(*place, self.cell, self.cell, block.kinds[row][column], strength)
        for row, column in cells if block.words else ():
            kind, strength = block.kinds[row][column], block.parts[row][column] if block.parts else 1.0
            middle = left + column * self.pitch + self.cell / 2, y + row * self.pitch + self.cell / 2
            write_on(picture, *middle, block.words[row][column], kind, strength)
        if block.name:
            picture.words(x + 9, y + height / 2, block.name, bold=True, anchor="middle", turned=True)
        for row, name in enumerate(self.rows):
            middle = y + row * self.pitch + self.cell / 2
            picture.words(left - 8, middle, name, ink="quiet", anchor="end")
        for line, (kind, text) in enumerate(block.notes):
            middle = y + 10 + line * (LINE + 4)
            picture.box(left + self.grid + 16, middle - 7, 14, 14, kind)
            picture.words(left + self.grid + 38, middle, text)


def shade(part: float) -> float:
    """The strength of a cell that holds `part`, 0 to 1, of the largest value. Dark words can be read on all of them."""
    return 0.1 + 0.5 * part


def graded(values: Tensor, kinds: Sequence[Sequence[str]], most: float) -> list[list[float]]:
    """The strength of each cell: of real ones by the size of their value, of which `most` is the largest; others 1."""

    def strength(value: float, kind: str) -> float:
        return shade(min(abs(value) / most, 1.0)) if kind == "real" and value == value else 1.0

    rows = zip(values.tolist(), kinds, strict=True)
    return [[*map(strength, of_row, kinds_of_row)] for of_row, kinds_of_row in rows]


def beside(sheets: Sequence[Sheet], between: Sequence[str] = ()) -> Picture:
    """Sheets beside each other, with a sign such as \N{MULTIPLICATION SIGN} between each two of them."""
    signs = [*between, *[""] * (len(sheets) - 1 - len(between))]
    gaps = [GAP + (2 * GAP if sign else 10) for sign in signs]
    height = max(sheet.height for sheet in sheets)
    picture, x = Picture(sum(sheet.width for sheet in sheets) + sum(gaps) + 4, height + 6), 2.0
    for sheet, sign, gap in zip(sheets, [*signs, ""], [*gaps, 0], strict=True):
        middle = sheet.draw(picture, x, 2)
        x += sheet.width + gap
        picture.words(x - gap / 2, middle, sign, ink="quiet", size=24, anchor="middle")
        picture.cuts += [x - 6] if gap else []  # a sign stays with what stands before it
    first, *others = sheets
    picture.names = first.margin - 4 if first.rows and not any(sheet.rows for sheet in others) else 0.0
    return picture


def under(sheets: Sequence[Sheet]) -> Picture:
    """Sheets below each other."""
    picture, y = Picture(max(sheet.width for sheet in sheets) + 4, sum(sheet.height + GAP for sheet in sheets)), 2.0
    for sheet in sheets:
        sheet.draw(picture, 2, y)
        y += sheet.height + GAP
    return picture


def kinds_of(real: Bool[Tensor, "row column"], counts: Bool[Tensor, "row column"]) -> list[list[str]]:
    """What each entry is under a mask that lets `counts` through: `real`, `padding`, `leak`, or `hidden` if real."""
    words = {(True, True): "real", (True, False): "hidden", (False, True): "leak", (False, False): "padding"}
    return [
        [words[pair] for pair in zip(*row, strict=True)] for row in zip(real.tolist(), counts.tolist(), strict=True)
    ]


def runs(items: Sequence) -> list[tuple[int, int]]:
    """Start and end of each run of equal items: `rrp` -> `[(0, 2), (2, 3)]`."""
    edges = [place for place, (left, right) in enumerate(pairwise(items), start=1) if left != right]
    return list(zip([0, *edges], [*edges, len(items)], strict=True))
