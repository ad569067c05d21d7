"""The figure of chapter 7 shows which check catches which bug."""

from xml.etree import ElementTree

import pytest

from groot_teach.chapters.bugs.pictures import who_catches
from groot_teach.show.pictures import FILLS

GRID = {"one": {"a": True, "b": False, "c": True}, "two": {"a": False, "b": False, "c": True}}


def test_the_grid_is_the_same_bytes_each_time_and_valid_xml():
    first = who_catches(GRID)._repr_svg_()
    assert first == who_catches(GRID)._repr_svg_()
    ElementTree.fromstring(first)


def test_the_grid_marks_what_is_caught():
    axes = who_catches(GRID).axes[0]
    marks = [collection.get_offsets().tolist() for collection in axes.collections]
    assert [[0.5, 0.5], [2.5, 0.5], [2.5, 1.5]] in marks
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    blue = [patch.get_xy() for patch in axes.patches if patch.get_facecolor()[:3] != (238 / 255,) * 3]
    assert blue == [(0, 0), (2, 0), (2, 1)]
    assert FILLS["real"].lower() in who_catches(GRID)._repr_svg_().lower()


@pytest.mark.parametrize("caught", [{}, {"one": {}}, {"one": {"a": True}, "two": {"b": True}}])
def test_a_grid_of_nothing_or_of_different_checks_is_refused(caught):
    with pytest.raises(ValueError, match="caught"):
        who_catches(caught)
