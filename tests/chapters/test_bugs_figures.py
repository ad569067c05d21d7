"""The figure of chapter 9 shows which check catches which bug."""

import pytest
from drawn import boxes, rows, texts

from groot_teach.chapters.bugs.pictures import who_catches

GRID = {"one": {"a": True, "b": False, "c": True}, "two": {"a": False, "b": False, "c": True}}


def test_the_grid_marks_what_is_caught():
    picture = who_catches(GRID)
    assert rows(picture) == ["rhr", "hhr"]
    assert texts(picture) == ["a", "b", "c", "one", "\N{CHECK MARK}", "\N{CHECK MARK}", "two", "\N{CHECK MARK}"]
    assert len({box.x for box in boxes(picture)}) == 3


def test_the_grid_is_the_same_bytes_each_time():
    assert who_catches(GRID)._repr_svg_() == who_catches(GRID)._repr_svg_()


@pytest.mark.parametrize("caught", [{}, {"one": {}}, {"one": {"a": True}, "two": {"b": True}}])
def test_a_grid_of_nothing_or_of_different_checks_is_refused(caught):
    with pytest.raises(ValueError, match=r"caught: got .* expected at least one"):
        who_catches(caught)
