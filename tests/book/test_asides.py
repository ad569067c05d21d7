"""A folded cell behind an aside is put inside of it, and nothing else is moved."""

import pytest
from asides import moved_in
from docutils import nodes


def html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def cell(name: str, tag: str) -> nodes.container:
    return nodes.container("", nodes.Text(name), classes=["cell", f"tag_{tag}"])


def folded(kind: str) -> list[nodes.Node]:
    return [html(f'<details class="{kind}"><summary>more</summary>'), text("said"), html("</details>\n")]


def text(said: str) -> nodes.paragraph:
    return nodes.paragraph("", said)


def order(*parts: nodes.Node) -> list[str]:
    """The parts of a section as they are said, after the move and without the opening tags."""
    section = nodes.section("", *parts)
    moved_in(section)
    return [node.astext().strip() for node in section.children if not node.astext().startswith("<details")]


def test_the_folded_cells_behind_an_aside_are_in_it_in_their_order():
    cells = cell("first", "hide-cell"), cell("second", "hide-cell")
    assert order(*folded("aside"), *cells, text("on")) == ["said", "first", "second", "</details>", "on"]


def test_a_cell_that_asks_for_it_is_in_the_aside_with_its_output_open():
    cells = cell("table", "hide-input"), cell("first", "hide-cell")
    cells[0]["classes"].append("tag_in-aside")
    assert order(*folded("aside"), *cells) == ["said", "table", "first", "</details>"]


def test_of_two_asides_each_gets_its_own():
    parts = [*folded("aside"), cell("first", "hide-cell"), *folded("aside"), cell("second", "hide-cell")]
    assert order(*parts) == ["said", "first", "</details>", "said", "second", "</details>"]


@pytest.mark.parametrize("between", [text("on"), cell("open", "hide-input")])
def test_text_and_open_cells_end_what_belongs_to_an_aside(between):
    parts = *folded("aside"), between, cell("first", "hide-cell")
    assert order(*parts) == ["said", "</details>", between.astext(), "first"]


def test_a_cell_behind_a_guess_stays():
    assert order(*folded("guess"), cell("first", "hide-cell")) == ["said", "</details>", "first"]
