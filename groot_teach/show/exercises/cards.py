"""How an exercise speaks: one card, as plain text in a terminal and as HTML in a notebook.

Both say the same words. Colour only repeats what the headline says. There are no ids, no scripts and no dates, so the
same card is the same bytes in every run.
"""

import re
import textwrap
from dataclasses import dataclass
from html import escape

CELL = 'style="text-align:left"'
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"


@dataclass(frozen=True, repr=False)
class Card:
    """A headline, a few sentences, and what goes with them.

    Attributes:
        headline: one line.
        message: sentences; an empty line starts a new paragraph, `code` stands in backticks, *stressed words* between
            asterisks, addresses become links.
        code: shown as it is, line by line.
        answer: code as well, folded on a page until the reader has had a try.
        rows: a table; the first row names the columns, the first entry of each row names the row.
        colour: of the bar at the left.
    """

    headline: str
    message: str = ""
    code: str = ""
    answer: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    colour: str = GREY

    def __repr__(self) -> str:
        paragraphs = [
            textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)
            for words in self.message.split("\n\n")
        ]
        answer = self.answer and f"answer\n{self.answer}"
        parts = [self.headline, *paragraphs, self.code, answer, _text_table(self.rows)]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{_inline(self.headline)}</strong></p>"]
        parts += [f"<p>{_inline(words)}</p>" for words in self.message.split("\n\n") if words]
        if self.code:
            parts.append(_html_code(self.code))
        if self.answer:
            parts.append(f"<details><summary>Show the answer</summary>{_html_code(self.answer)}</details>")
        if self.rows:
            parts.append(_html_table(self.rows))
        return f'<div style="border-left: 4px solid {self.colour}; padding-left: 12px">{"".join(parts)}</div>'


def _html_code(code: str) -> str:
    return f'<pre style="white-space: pre-wrap"><code>{escape(code)}</code></pre>'


def _inline(words: str) -> str:
    pieces = re.split(r"`([^`]+)`", escape(words, quote=False))  # every second one is code
    pieces[::2] = [re.sub(r"(?<!\w)\*(\w[^*]*)\*(?!\w)", r"<em>\1</em>", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"<code>{code}</code>" for code in pieces[1::2]]
    words = "".join(pieces)
    return re.sub(r"(https://[\w./#-]*[\w/])", r'<a href="\1">\1</a>', words)


def _text_table(rows: tuple[tuple[str, ...], ...]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _html_table(rows: tuple[tuple[str, ...], ...]) -> str:
    head = "".join(f'<th scope="col" {CELL}>{_inline(entry)}</th>' for entry in rows[0])
    body = "".join(
        f'<tr><th scope="row" {CELL}>{_inline(first)}</th>'
        + "".join(f"<td {CELL}>{_inline(entry)}</td>" for entry in rest)
        + "</tr>"
        for first, *rest in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
