"""HTML of what live pictures share: chips, buttons, a sheet of cells. `controls.css` and `sheet.css` dress it."""

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    """One entry of a sheet: its kind (`real`, `pad`, `leak` or `hidden`), its text, and the strength of its blue."""

    kind: str
    text: str
    strength: str = "0.85"


def fixed(value: float, digits: int) -> str:
    """The number with so many digits behind the point, halves away from zero, as `live.js` writes it."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded:f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    return f"{fixed(100 * share, 0)} %"


OWN = "your own"
"""The choice that a picture makes when the reader has set something that is none of the others."""


def chips(control: str, label: str, choices: Sequence[str], chosen: str) -> str:
    """One of several choices. The page connects it by `control`. `OWN` cannot be chosen: it says that none fits."""
    made = "".join(
        f'<label><input type="radio" value="{escape(choice)}"{" checked" if choice == chosen else ""}'
        f"{' disabled' if choice == OWN else ''}>"
        f"<span>{escape(choice)}</span></label>"
        for choice in choices
    )
    return (
        f'<fieldset class="chips" data-control="{control}" disabled><legend>{escape(label)}</legend>'
        f"<div>{made}</div></fieldset>"
    )


def tries(settings: Mapping[str, Mapping]) -> str:
    """Buttons with settings worth trying: a text for each, and the part of the state that it sets."""
    buttons = " ".join(
        f'<button type="button" class="try" data-state="{escape(json.dumps(state))}" disabled>{escape(text)}</button>'
        for text, state in settings.items()
    )
    return f'<p class="tries">Try: {buttons}</p>'


def sheet(
    name: str,
    title: str,
    blocks: Mapping[str, Sequence[Sequence[Cell]]],
    labels: Sequence[str] | None = None,
    chosen: Sequence[bool] = (),
) -> str:
    """A sheet of cells: a block for each robot, in it a row for each step, in that a cell for each dim.

    Args:
        name: the page finds the sheet by it.
        title: stands above the sheet.
        blocks: for each robot its rows of cells.
        labels: what a screen reader says of each cell. With labels the sheet is a grid that is painted.
        chosen: with labels, which cells are painted.
    """
    columns = len(next(iter(blocks.values()))[0])
    place, drawn = 0, []
    for robot, rows in blocks.items():
        lines = []
        for row in rows:
            spans = []
            for cell in row:
                label, on = (None, False) if labels is None else (labels[place], chosen[place])
                spans.append(_span(cell, place, label, on))
                place += 1
            lines.append(f'<div class="row"{" role=row" if labels is not None else ""}>{"".join(spans)}</div>')
        named = "" if labels is None else f' role="rowgroup" aria-label="{escape(robot)}"'
        hidden = "" if labels is None else ' aria-hidden="true"'
        drawn.append(
            f'<div class="block"{named}><span class="name"{hidden}>{escape(robot)}</span>'
            f'<div class="cells"{" role=presentation" if labels is not None else ""}>{"".join(lines)}</div></div>'
        )
    role = (
        f'role="grid" aria-label="{escape(title)}"'
        if labels is not None
        else f'role="img" aria-label="{escape(title)}"'
    )
    return (
        f'<div class="sheet-frame"><p class="sheet-title" aria-hidden="true">{escape(title)}</p>'
        f'<div class="sheet" data-sheet="{name}" style="--columns: {columns}" {role}>{"".join(drawn)}</div></div>'
    )


def line(label: str, cells: Sequence[Cell], labels: Sequence[str] = (), chosen: Sequence[bool] = ()) -> str:
    """One row of cells that fills its place, as `lines` in `live.css` dresses it.

    Args:
        label: what a screen reader says of the row.
        cells: from left to right.
        labels: what a screen reader says of each cell. With labels the row is a grid that is painted.
        chosen: with labels, which cells are painted.
    """
    if not labels:
        spans = "".join(_span(cell, place) for place, cell in enumerate(cells))
        return f'<div class="cells" role="img" aria-label="{escape(label)}">{spans}</div>'
    told = enumerate(zip(cells, labels, chosen, strict=True))
    spans = "".join(_span(cell, place, named, on) for place, (cell, named, on) in told)
    return (
        f'<div class="cells" role="grid" aria-label="{escape(label)}"><div class="row" role="row">{spans}</div></div>'
    )


def _span(cell: Cell, place: int, label: str | None = None, chosen: bool = False) -> str:
    """One cell. With a label it can be painted, and the first of its sheet is the one that the tab key reaches."""
    grid = ""
    if label is not None:
        grid = (
            f' role="gridcell" tabindex="{0 if place == 0 else -1}" aria-selected="{str(bool(chosen)).lower()}"'
            f' aria-label="{escape(label)}"'
        )
    return (
        f'<span class="cell {cell.kind}" style="--strength: {cell.strength};"{grid}>'
        f"<span>{escape(cell.text)}</span></span>"
    )
