"""Sheets, plots, tokens and bars: what is where, and that nothing lies outside of the picture."""

import pytest
import torch
from drawn import boxes, ink_of, lines, rows, texts

from groot_teach.show.drawing import Picture, Words, width_of
from groot_teach.show.pictures import bar, tokens
from groot_teach.show.sheets import Block, Sheet, beside, graded, kinds_of, runs

REAL = torch.tensor([[True, True, False], [True, False, False]])


def test_an_entry_is_one_of_four_kinds():
    counts = torch.tensor([[True, False, True], [True, False, False]])
    assert kinds_of(REAL, counts) == [["real", "hidden", "leak"], ["real", "padding", "padding"]]


def test_a_sheet_has_a_box_for_each_entry_and_a_word_in_it():
    kinds = kinds_of(REAL, REAL)
    picture = beside(
        [Sheet([Block(kinds, "one", [["1", "2", ""], ["3", "", ""]]), Block(kinds, "two")], "title")] * 2, ["="]
    )
    assert rows(picture) == ["rrp rrp", "rpp rpp"] * 2
    assert texts(picture).count("1") == texts(picture).count("=") + 1 == texts(picture).count("two") == 2
    sign = next(mark for mark in picture.marks if isinstance(mark, Words) and mark.text == "=")
    (cut,) = picture.cuts
    assert sign.x + width_of("=", sign.size) / 2 < cut < min(box.x for box in boxes(picture) if box.x > sign.x)
    first, second, third = boxes(picture)[:3]
    assert second.x - first.x == third.x - second.x > first.width
    at = next(mark for mark in picture.marks if isinstance(mark, Words) and mark.text == "2")
    assert (at.x, at.y) == (second.x + second.width / 2, second.y + second.height / 2)


def test_nothing_of_a_sheet_lies_outside_of_its_picture():
    block = Block(kinds_of(REAL, REAL), "robot", notes=[("real", "a long note beside the block")])
    picture = beside([Sheet([block], "a title that is wider", ["step 1", "step 2"], "123", [("quiet", "below it")])])
    for mark in picture.marks:
        if isinstance(mark, Words) and not mark.turned:
            start = {"start": 0, "middle": 0.5, "end": 1}[mark.anchor] * width_of(mark.text, mark.size)
            assert 0 <= mark.x - start <= mark.x - start + width_of(mark.text, mark.size) <= picture.width
            assert mark.size / 2 <= mark.y <= picture.height - mark.size / 2
    assert all(box.x + box.width <= picture.width and box.y + box.height <= picture.height for box in boxes(picture))


def test_only_real_entries_are_graded_and_nan_has_full_colour():
    values = torch.tensor([[0.0, 2.0, 9.0], [torch.nan, 4.0, -4.0]])
    kinds = [["real", "real", "padding"], ["real", "real", "real"]]
    assert graded(values, kinds, 4.0) == [pytest.approx([0.1, 0.35, 1.0]), pytest.approx([1.0, 0.6, 0.6])]


def test_runs_are_the_stretches_of_equal_items():
    assert runs("rrpr") == [(0, 2), (2, 3), (3, 4)]


def test_a_token_is_a_box_with_its_word_in_the_middle():
    picture = Picture(400, 40)
    middles = tokens(picture, 10, 5, ["[pad]", "cup"], ["padding", "real"], 60)
    assert middles == [40, 106]
    assert rows(picture) == ["pr"]
    assert texts(picture) == ["[pad]", "cup"]
    assert ink_of(picture, "[pad]") == "pad-ink"


def test_a_bar_is_as_long_as_its_parts_and_its_tick_is_where_it_should_end():
    picture = Picture(220, 30)
    bar(picture, 10, 8, 200, [("real", 0.5), ("leak", 0.25)], should_be=0.5)
    assert [(box.x, box.width, box.kind) for box in boxes(picture)] == [(10, 100, "real"), (110, 50, "leak")]
    assert lines(picture, "ink") == [[(110, 3), (110, 27)]]
