"""The figure of chapter 10: the same bytes each time, all cells in words, errors for what does not fit."""

import pytest
from drawn import boxes, texts

from groot_teach.chapters.audit.pictures import stage_by_axis

CELLS = {
    "action encoder": {"dims": "12.3 %", "steps": "0", "tokens": ""},
    "sampler": {"dims": "?", "steps": "lost 4 %", "tokens": "0?"},
    "loss": {"dims": "-", "steps": "NaN", "tokens": "7 %*"},
}


def test_every_cell_is_written_and_only_what_was_seen_is_drawn():
    picture = stage_by_axis(CELLS)
    assert {"12.3 %", "0", "?", "lost 4 %", "0?", "-", "NaN", "7 %*", "dims", "sampler"} <= {*texts(picture)}
    assert [box.kind for box in boxes(picture)] == [
        "leak",
        "real",
        "hidden",
        "leak",
        "hidden",
        "hidden",
        "leak",
        "leak",
    ]
    assert boxes(picture)[3].x == boxes(picture)[1].x  # in the column of the steps


def test_it_is_the_same_picture_each_time():
    assert stage_by_axis(CELLS)._repr_svg_() == stage_by_axis(CELLS)._repr_svg_()


@pytest.mark.parametrize("cells", [{}, {"one": {}}, {"one": {"dims": "0"}, "two": {"steps": "0"}}])
def test_what_is_no_table_is_named(cells):
    with pytest.raises(ValueError, match=r"cells: got .* expected at least one"):
        stage_by_axis(cells)
