"""A report in HTML: the table as a map whose cells lead to their findings. It needs no script.

    fragment     what a notebook shows, in the colours of the page around it
    page         a whole page, as `audit-masks ... --html report.html` writes it

A cell says in words what its colour says: padding that gets through is orange, what is lost is hollow and blue.
"""

import platform
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import torch

if TYPE_CHECKING:
    from groot_teach.audit.report import Line, MaskReport

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "quiet": "#59616b",
    "rule": "#dfe2e6",
    "real": "#0072b2",
    "real-ink": "#00588c",
    "real-soft": "#d9ecf8",
    "leak": "#d55e00",
    "leak-ink": "#a84600",
    "leak-soft": "#fdebdc",
    "focus": "#7b3fe4",
}
DARK = {
    "paper": "#14181e",
    "ink": "#e8eaed",
    "quiet": "#a3abb5",
    "rule": "#323942",
    "real": "#4aa3da",
    "real-ink": "#6bb8ea",
    "real-soft": "#16303f",
    "leak": "#f0822e",
    "leak-ink": "#ff9d52",
    "leak-soft": "#3b2413",
    "focus": "#b794ff",
}
"""The book's colours, where its style sheet is not at hand: in a notebook, and in a page of its own."""

MARKS = {"!": "found", "*": "declared", "?": "could not look", "-": "excused"}


def _read(name: str) -> str:
    """A style sheet beside this module, without what only its readers need."""
    css = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"/\*.*?\*/", "", css)).strip()


def _named(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def _or(colours: dict[str, str]) -> str:
    return "".join(f"--a-{name}:var(--{name},{colour});" for name, colour in colours.items())


STYLE = f'.audit{{{_or(LIGHT)}}}body:is([data-jp-theme-light="false"],.vscode-dark) .audit{{{_or(DARK)}}}' + _read(
    "report.css"
)
PAGE_STYLE = (
    f":root{{color-scheme:light dark;{_named(LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_named(DARK)}}}}}" + _read("page.css")
)


def fragment(report: "MaskReport") -> str:
    """The report as a part of a page."""
    name = f"audit-{crc32(str(report).encode()):08x}"
    lines = report.lines
    names = {line: f"{name}-{place}" for place, line in enumerate(lines)}
    cells = report.cells()
    axes = "".join(f'<th scope="col">{escape(axis)}</th>' for axis in next(iter(cells.values()), {}))
    rows = "\n".join(
        f'<tr><th scope="row">{escape(stage)}</th>'
        + "".join(f"<td>{_cell(report, stage, axis, names)}</td>" for axis in of_stage)
        + "</tr>"
        for stage, of_stage in cells.items()
    )
    below = "\n".join(_line(line, names[line]) for line in lines)
    return (
        f'<style>{STYLE}</style><div class="audit"><p class="verdict">{escape(report.headline)}</p>\n'
        '<div class="map" role="group" aria-label="What was found, by stage and axis" tabindex="0">'
        f'<table><thead><tr><th scope="col">stage</th>{axes}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n'
        f'<p class="legend">{escape(report.legend)}</p>\n' + (f"<ul>\n{below}\n</ul>" if lines else "") + "</div>"
    )


def _cell(report: "MaskReport", stage: str, axis: str, names: "dict[Line, str]") -> str:
    """What one cell says, each piece as a link to the line that explains it."""
    said = []
    for text, line in report.pieces(stage, axis):
        look = _look_of(text, line)
        if line is None:
            said.append(f'<span class="cell {look}">{escape(text)}</span>')
        else:
            label = escape(f"{stage}, {axis}: {text}")
            link = f'<a class="cell {look}" href="#{names[line]}" aria-label="{label}">{escape(text)}</a>'
            said.append(link)
    return " ".join(said)


def _look_of(text: str, line: "Line | None") -> str:
    """The CSS class of a piece of a cell."""
    if line is None or line.place is None or text == "-":
        return "quiet"
    if text.endswith("?"):
        return "unseen"
    if text.endswith("*"):
        return "wanted"
    return line.place.kind if line.place.kind in ("leak", "lost") else "broken"


def _line(line: "Line", name: str) -> str:
    place = str(line.place or "")
    text = line.text.removeprefix(f"{place}: ") if place else line.text
    said = f'<span class="mark">{MARKS[line.mark] if line.place else "note"}</span>' + (
        f"<strong>{escape(place)}</strong>: " if place else ""
    )
    further = f'<p class="next">Next: {_words(line.next)}.</p>' if line.next else ""
    look = ' class="found"' if line.mark == "!" else ""
    return f'<li id="{name}" tabindex="-1"{look}><p>{said}{_words(text)}</p>{further}</li>'


def _words(text: str) -> str:
    """A sentence: what stands between backticks is code, and a number keeps its percent sign."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)).replace(" %", "&nbsp;%")


def page(report: "MaskReport", subject: str = "") -> str:
    """The report as a page of its own, without a script or another file.

    Args:
        report: the report.
        subject: what was audited, for the line below the heading.
    """
    title = f"Audit of masks: {'clean' if report.is_clean else 'not clean'}"
    about = f"groot_teach, torch {torch.__version__}, Python {platform.python_version()}"
    runs = f"The policy was run {report.runs} times. " if report.runs else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{PAGE_STYLE}</style>\n</head>\n"
        "<body>\n<main>\n<h1>Audit of masks</h1>\n"
        + (f"<p>{escape(subject)}</p>\n" if subject else "")
        + f"{fragment(report)}\n</main>\n<footer>{runs}Made by {escape(about)}.</footer>\n</body>\n</html>\n"
    )
