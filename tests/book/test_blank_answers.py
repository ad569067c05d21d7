"""On a page, what `check` says where nobody has answered is left out; notebooks keep it, and pages the rest."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_book import build_small_book

from groot_teach import check, on_paper

CONF = 'extensions = ["myst_nb", "blank_answers"]\nnb_execution_mode = "off"\nproject = "small"\n'


def blank(*arguments):
    return ...


def output_of(card):
    data = {"text/html": card._repr_html_(), "text/plain": repr(card)}
    return new_code_cell("it", outputs=[new_output("execute_result", data, execution_count=1)], execution_count=1)


def test_a_page_leaves_out_the_verdict_on_an_answer_that_is_not_there_and_nothing_else(tmp_path):
    cards = check("padding.1", blank), on_paper("padding.1"), check("padding.1", lambda *arguments: 7)
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), *map(output_of, cards)])
    nbformat.write(notebook, tmp_path / "index.ipynb")
    (tmp_path / "conf.py").write_text(CONF)
    build_small_book(tmp_path)
    page = (tmp_path / "out" / "index.html").read_text()
    shown = [card.headline for card in cards if f"<strong>{card.headline}</strong>" in page]
    assert shown == [cards[1].headline, cards[2].headline]
    assert page.count('class="cell docutils container"') == len(cards)
