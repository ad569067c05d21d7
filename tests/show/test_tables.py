"""`Table`: what it draws on the page, what it writes in a shell, and what it refuses."""

import subprocess
import sys

import pytest
import torch

from groot_teach.show import Column, Table, explore

SHARES = Table(
    ["robot", Column("recorded entries", "number", 0), Column("part of the loss", "share")],
    [["dual arm", 256, 0.598], ["SO-101", torch.tensor(42), 0.098]],
)


def test_a_shell_sees_aligned_text_without_spaces_at_the_ends():
    assert str(SHARES) == (
        "robot     recorded entries  part of the loss\n"
        "dual arm               256            59.8 %\n"
        "SO-101                  42             9.8 %"
    )
    assert repr(SHARES) == str(SHARES)
    verdicts = Table(
        ["bug", Column("found", "verdict")], [["a", "no"], ["long name", torch.tensor(True)]], caption="Who sees it?"
    )
    assert str(verdicts) == "Who sees it?\nbug        found\na          no\nlong name  yes"


def test_a_notebook_stores_both_the_text_and_the_table():
    bundle = SHARES._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(SHARES)
    assert '<th scope="row" class="text" style="text-align:left">dual arm</th>' in bundle["text/html"]
    assert '<td class="number" style="text-align:right">256</td>' in bundle["text/html"]


def test_a_share_is_a_bar_of_its_length_and_a_percentage():
    html = SHARES.html()
    assert "width:59.8%" in html
    assert '<span class="part">59.8 %</span>' in html
    assert "width:9.8%" in html


def test_a_plain_heading_is_a_column_of_words_or_of_numbers():
    table = Table(["robot", "dims"], [["GR1", 26.04], ["other", "none"]], digits=1)
    assert [column.kind for column in table.columns] == ["text", "number"]
    assert str(table) == "robot  dims\nGR1    26.0\nother  none"


@pytest.mark.parametrize(
    ("column", "cells", "wrong"),
    [
        (Column("loss", "number", 2, wrong=True), [1.0, 2.0], 2),
        (Column("loss", "number", 2), [1.0, 2.0], 0),
        (Column("found", "verdict", wrong=["missed"]), ["caught", "missed"], 1),
        (Column("holds", "verdict", wrong=["no"]), [False, True], 1),
        (Column("part", "share", wrong=True), [0.5, 0.25], 2),
        (Column("part", "share", wrong=True), [0.5, 0.0], 1),
    ],
)
def test_only_what_is_wrong_is_marked(column, cells, wrong):
    html = Table(["name", column], [["a", cells[0]], ["b", cells[1]]]).html()
    assert html.count(" wrong") == wrong


def test_words_of_a_reader_never_become_markup():
    html = Table(["<i>", "b"], [["<b>", "&"]], caption="<u>").html()
    assert "<i>" not in html
    assert "<b>" not in html
    assert "<u>" not in html
    assert "&lt;b&gt;" in html


def test_a_wide_table_gets_a_frame_that_scrolls_and_that_the_keyboard_reaches():
    wide = Table([f"c{i}" for i in range(6)], [["x"] * 6], caption="six columns")
    assert '<div class="book-table-frame" role="region" aria-label="six columns" tabindex="0">' in wide.html()
    assert "book-table-frame" not in SHARES.html()


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (["a", "b"], [["x", "y"], ["x"]], r"rows\[1\]: got 1 cells, expected 2: \['a', 'b'\]"),
        (["a"], [], "rows: got none, expected at least one"),
        ([], [[]], "columns: got none, expected at least one"),
        (["a", "a"], [["x", "y"]], r"columns: got \['a', 'a'\], expected each heading once"),
        (["a", " "], [["x", "y"]], r"columns: got \['a', ' '\], expected a heading for each column"),
        (["a", "b"], [["x", float("nan")]], "column 'b': got nan, expected a finite number"),
        (["a", Column("b", "number")], [["x", float("inf")]], "column 'b': got inf, expected a finite number"),
        (["a", Column("b", "share")], [["x", 59.8]], "column 'b': got 59.8, expected 0 to 1"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(columns, rows, message):
    with pytest.raises(ValueError, match=message):
        Table(columns, rows)


def test_a_number_in_a_column_of_words_and_a_word_in_a_share_are_refused():
    with pytest.raises(TypeError, match="column 'b': got 1, expected text, since its kind is 'text'"):
        Table(["a", Column("b")], [["x", 1]])
    with pytest.raises(TypeError, match="column 'b': got 'much', expected a number"):
        Table(["a", Column("b", "share")], [["x", "much"]])
    with pytest.raises(TypeError, match="column 'b': got None, expected a number"):
        Table(["a", "b"], [["x", None]])


def test_an_unknown_kind_and_words_that_are_wrong_outside_a_verdict_are_refused():
    with pytest.raises(ValueError, match="kind of 'a': got 'bar', expected one of text, number, share, verdict"):
        Column("a", "bar")
    with pytest.raises(ValueError, match=r"wrong of 'a': got \['no'\], expected True or False"):
        Column("a", "number", wrong=["no"])
    with pytest.raises(ValueError, match="wrong of 'a': got 'no', expected True or False, or for a verdict a list"):
        Column("a", "verdict", wrong="no")
    with pytest.raises(ValueError, match="digits: got -1, expected an int from 0 to 15"):
        Column("a", "number", -1)


def test_a_table_is_a_panel_too_and_its_numbers_are_a_result():
    explorer = explore(lambda x: {"t": Table(["a", "b"], [["x", x]], digits=0)}, x=(1, 3))
    assert explorer.value == {"t": [["x", 2]]}


def test_the_plain_shell_of_python_shows_the_text():
    code = "import sys; from groot_teach.show import Table; sys.displayhook(Table(['a', 'b'], [['x', 1]], digits=0))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "a  b\nx  1\n"
