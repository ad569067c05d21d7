"""Moves a widget on a page to each of its states and reads what stands there, as a reader would see it.

What should stand there is taken from the panels that torch computed, in Python, and shares no code with `explore.js`.
The panels come from an `Explorer` that was made in the test, or from the output that a notebook stores: nbval, which
runs every notebook, proves that the stored numbers are those that torch computes now.
"""

import json
import re
from itertools import product
from math import prod
from pathlib import Path
from typing import NamedTuple

import pytest

from groot_teach.show import Bars, Column, Explorer, HeatMap, KindMap, Lines, Number, Table

# Sets the inputs as a hand would, one event for each, and reads every panel after each state.
READ_ALL = """(root, {sizes, positions}) => {
  const inputs = [...root.querySelector(".explore-controls").children];
  const set = (field, position) => {
    const select = field.querySelector("select"), range = field.querySelector("input[type=range]");
    const box = field.querySelector("input[type=checkbox]"), radios = field.querySelectorAll("input[type=radio]");
    if (select) { select.selectedIndex = position; select.dispatchEvent(new Event("change", {bubbles: true})); }
    else if (range) { range.value = position; range.dispatchEvent(new Event("input", {bubbles: true})); }
    else if (radios.length) { if (!radios[position].checked) radios[position].click(); }
    else if (box.checked !== Boolean(position)) box.click();
  };
  const read = (panel) => ({
    title: panel.querySelector("figcaption").textContent,
    numbers: [...panel.querySelectorAll(".explore-number > *")].map((el) => el.textContent),
    bars: [...panel.querySelectorAll(".bar i, .track i")].map((el) => el.style.width),
    parts: [...panel.querySelectorAll("td.heat")].map((el) => Number(el.style.getPropertyValue("--part"))),
    kinds: [...panel.querySelectorAll(".explore-grid tbody td")].map((el) => el.className),
    present: [...panel.querySelectorAll(".explore-present li:not([hidden])")].map((el) => el.textContent.trim()),
    points: [...panel.querySelectorAll(".explore-lines polyline")].map((el) => el.getAttribute("points")),
    rows: [...panel.querySelectorAll("tbody tr")].map((row) => (
      [...row.cells].filter((cell) => cell.matches(".explore-grid td, table:not(.explore-grid) *"))
    ).map((cell) => cell.textContent)),
    wrong: [...panel.querySelectorAll(".wrong")].map((el) => el.textContent),
  });
  return positions.map((at) => {
    at.forEach((position, i) => set(inputs[i], position));
    const panels = [...root.querySelectorAll(".explore-panel")].map(read);
    return {said: root.querySelector(".explore-said").textContent, panels};
  });
}"""


class Widget(NamedTuple):
    """How many values each control of a widget has, and the panels of each state, in the order of the controls."""

    sizes: list[int]
    results: list[dict]


def widget_of(explorer: Explorer) -> Widget:
    return Widget([len(control.values) for control in explorer._controls], explorer._results)


def stored(notebook: Path) -> list[Widget]:
    """The widgets whose states are stored in the outputs of a notebook."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pages = ["".join(data.get("text/html", "")) for data in outputs]
    scripts = [data for page in pages for data in re.findall(f"{DATA}(.*?)</script>", page, re.DOTALL)]
    return [_widget(data) for data in map(json.loads, scripts) if "states" in data]  # live pictures have none


DATA = '<script type="application/json">'


def _widget(data: dict) -> Widget:
    results = [
        {fixed["title"]: _panel(fixed, moving) for fixed, moving in zip(data["panels"], state, strict=True)}
        for state in data["states"]
    ]
    sizes = [len(control["shown"]) for control in data["controls"]]
    assert len(results) == prod(sizes)
    return Widget(sizes, results)


def _panel(fixed: dict, moving):
    """The panel whose `fixed()` and `moving()` were stored."""
    same = {name: value for name, value in fixed.items() if name not in ("title", "panel", "length", "names")}
    if same.get("groups"):
        same["groups"] = dict(same["groups"])
    match fixed["panel"]:
        case "number":
            value, should_be, beside = moving  # both are stored as they are shown
            further = 0.1 ** (same["digits"] + 2) if "decimal" in beside else 0.0
            return Number(value + further, should_be=should_be, **same)
        case "bars":
            return Bars(values=moving, **same)
        case "kinds":
            return KindMap(_unpacked(moving), **same)
        case "heat":
            values, *runs = moving
            return HeatMap(values, cells=_unpacked(*runs) if runs else None, **same)
        case "lines":
            return Lines(curves=dict(zip(fixed["names"], moving[0], strict=True)), **same)
        case "table":
            return Table([Column(**column) for column in same["columns"]], moving)
    raise AssertionError(f"no panel of the kind {fixed['panel']!r}")


def _unpacked(runs: list[str]) -> list[str]:
    return ["".join(letter * int(count) for letter, count in re.findall(r"(\D)(\d+)", row)) for row in runs]


def read_all_states(element, widget: Widget) -> list[dict]:
    positions = [list(at) for at in product(*map(range, widget.sizes))]
    return element.evaluate(READ_ALL, {"sizes": widget.sizes, "positions": positions})


def assert_shows_what_torch_computed(element, widget: Widget) -> int:
    """Every panel of every state; returns how many states were seen."""
    shown = read_all_states(element, widget)
    assert len(shown) == len(widget.results)
    for state, panels in zip(shown, widget.results, strict=True):
        for seen, (title, panel) in zip(state["panels"], panels.items(), strict=True):
            assert seen["title"] == title
            _assert_panel(seen, panel)
            if isinstance(panel, Number):
                said = ", ".join(word for word in _in_words(panel) if word)
                assert f"{title} {said}" in state["said"]
    return len(shown)


def _assert_panel(seen: dict, panel) -> None:
    match panel:
        case Number():
            assert seen["numbers"] == list(_in_words(panel))
            assert bool(seen["wrong"]) is seen["numbers"][1].startswith("should be")
        case Bars():
            texts = [f"{value:.{panel.digits}f}" for value in panel.values]
            assert [row[-1] for row in seen["rows"]] == texts
            assert [row[0] for row in seen["rows"]] == list(panel.labels)
            widths = [float(width.removesuffix("%")) for width in seen["bars"]]
            assert widths == _near([100 * value / panel.maximum for value in panel.values])
        case KindMap():
            letters = "".join(panel.cells)
            assert seen["rows"] == [[panel.legend[letter][1] for letter in row] for row in panel.cells]
            assert seen["kinds"] == [panel.legend[letter][0] for letter in letters]
            assert seen["present"] == [
                f"{words} {letters.count(letter)}" for letter, (_, words) in panel.legend.items() if letter in letters
            ]
        case HeatMap():
            assert seen["rows"] == [[f"{value:.{panel.digits}f}" for value in row] for row in panel.values]
            scale = panel.high - panel.low
            if panel.cells:
                assert seen["kinds"] == [f"heat {panel.legend[letter][0]}" for row in panel.cells for letter in row]
            assert seen["parts"] == _near([(value - panel.low) / scale for row in panel.values for value in row])
        case Lines():
            rows = zip(panel.x, *panel.curves.values(), strict=True)
            assert seen["rows"] == [[f"{x:.10g}", *(f"{v:.{panel.digits}f}" for v in values)] for x, *values in rows]
            width, height = panel.x[-1] - panel.x[0], panel.high - panel.low
            for points, values in zip(seen["points"], panel.curves.values(), strict=True):
                lefts, tops = zip(*(map(float, point.split(",")) for point in points.split()), strict=True)
                assert list(lefts) == _near([100 * (x - panel.x[0]) / width for x in panel.x])
                assert list(tops) == _near([50 - 50 * (v - panel.low) / height for v in values])
        case Table():
            assert seen["rows"] == [
                [_cell(cell, column) for cell, column in zip(row, panel.columns, strict=True)] for row in panel.rows
            ]
            shares = [place for place, column in enumerate(panel.columns) if column.kind == "share"]
            widths = [float(width.removesuffix("%")) for width in seen["bars"]]
            assert widths == _near([100 * row[place] for row in panel.rows for place in shares])
            assert seen["wrong"] == [
                _cell(cell, column)
                for row in panel.rows
                for cell, column in zip(row, panel.columns, strict=True)
                if column.wrong is True or (column.wrong and cell in column.wrong)
            ]
        case _:
            raise AssertionError(f"no expectation for a panel of type {type(panel).__name__}")


def _in_words(number: Number) -> tuple[str, str]:
    """A number as it is shown, and what stands beside it."""
    value, right = (None if x is None else f"{x:.{number.digits}f}" for x in (number.value, number.should_be))
    if right is None:
        return value, ""
    if right == value:
        decimals = f"{number.digits} decimal{'s' if number.digits != 1 else ''}"
        return value, "as it should be" if number.is_exact else f"as it should be, to {decimals}"
    percent = 100 * (number.value / number.should_be - 1) if number.should_be else 0
    percent *= 1 if (number.should_be or 0) >= 0 else -1
    sign = "+" if percent > 0 else "\N{MINUS SIGN}"
    return value, f"should be {right}" + (f" ({sign}{abs(percent):.0f} %)" if abs(percent) >= 1 else "")


def _cell(cell: str | float, column: Column) -> str:
    if isinstance(cell, str):
        return cell
    return f"{100 * cell:.{column.digits}f} %" if column.kind == "share" else f"{cell:.{column.digits}f}"


def _near(values: list[float]):
    return pytest.approx(values, rel=1e-3, abs=1e-3)
