"""The figures of chapters 7 and 8: the same bytes each time, all cells in words, errors for what does not fit."""

import re

import pytest

from groot_teach.chapters.audit.pictures import stage_by_axis
from groot_teach.chapters.bugs.pictures import who_catches
from groot_teach.show.pictures import FILLS

CELLS = {
    "action encoder": {"dims": "12.3 %", "steps": "0", "tokens": ""},
    "sampler": {"dims": "?", "steps": "lost 4 %", "tokens": "0?"},
    "loss": {"dims": "-", "steps": "NaN", "tokens": "7 %*"},
}
CAUGHT = {"first bug": {"shapes": False, "perturb": True}, "second bug": {"shapes": False, "perturb": False}}


def texts(picture):
    return [text for text in re.findall(r">([^<>\n]+)</text>", picture._repr_svg_())]


def fills(picture):
    return [patch.get_facecolor() for patch in picture.axes[0].patches]


def test_every_cell_is_written_and_only_what_was_seen_is_drawn():
    drawn = stage_by_axis(CELLS)
    assert {"12.3 %", "0", "?", "lost 4 %", "0?", "-", "NaN", "7 %*", "dims", "sampler"} <= set(texts(drawn))
    assert len(drawn.axes[0].patches) == 8


def test_orange_is_what_moved_blue_what_did_not_and_the_rest_nobody_saw():
    from matplotlib.colors import to_rgba

    drawn = stage_by_axis({"one": {"a": "0"}, "two": {"a": "3 %"}, "three": {"a": "0?"}, "four": {"a": "-"}})
    kinds = ["real", "leak", "hidden", "hidden"]
    assert fills(drawn) == [to_rgba(FILLS[kind]) for kind in kinds]


def test_a_row_of_marks_says_who_caught_it():
    drawn = who_catches(CAUGHT)
    marks = drawn.axes[0].collections[0].get_offsets().tolist()
    assert marks == [[1.5, 0.5]]
    assert {"first bug", "second bug", "shapes", "perturb"} <= set(texts(drawn))


@pytest.mark.parametrize(("draw", "given"), [(stage_by_axis, CELLS), (who_catches, CAUGHT)])
def test_it_is_the_same_picture_each_time(draw, given):
    assert draw(given)._repr_svg_() == draw(given)._repr_svg_()


@pytest.mark.parametrize(
    ("draw", "given"),
    [
        (stage_by_axis, {}),
        (stage_by_axis, {"one": {}}),
        (stage_by_axis, {"one": {"dims": "0"}, "two": {"steps": "0"}}),
        (who_catches, {}),
        (who_catches, {"one": {}}),
        (who_catches, {"one": {"shapes": True}, "two": {"flip": True}}),
    ],
)
def test_what_is_no_table_is_named(draw, given):
    with pytest.raises(ValueError, match="expected at least one"):
        draw(given)
