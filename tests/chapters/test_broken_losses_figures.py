"""The widget and the figures of chapter 4: what is no finite number, moves the weights or is miscounted is marked."""

import pytest
import torch
from drawn import boxes, rows, texts

from groot_teach.chapters.broken_losses.pictures import miscounted, what_comes_back, what_survives, what_tests_ask
from groot_teach.loss import masked_velocity_loss
from groot_teach.show import explore

FINE, NAN, INF = torch.ones(2), torch.tensor([1.0, torch.nan]), torch.tensor([torch.inf, 1.0])
COLUMNS = ["loss", "gradient"]


def test_each_result_is_marked_by_its_worst_entry_in_groups_below_each_other():
    groups = {"first": {"one": [FINE, NAN], "two": [INF, FINE]}, "second": {"three": [FINE, FINE]}}
    picture = what_survives(groups, COLUMNS)
    assert rows(picture) == ["rl", "lr", "rr"]
    assert [text for text in texts(picture) if text in groups] == ["first", "second"]
    assert texts(picture).count("NaN") == 2
    assert texts(picture).count("finite") == 4
    assert max(box.x + box.width for box in boxes(picture)) <= picture.width


@pytest.mark.parametrize("groups", [{}, {"group": {}}, {"group": {"one": [FINE]}}])
def test_results_that_do_not_fit_the_columns_are_refused(groups):
    with pytest.raises(ValueError, match=r"groups, .*expected 2 for each way, and at least one way"):
        what_survives(groups, COLUMNS)


def test_the_tests_ask_something_else_of_real_entries_than_of_padding():
    picture = what_tests_ask(torch.tensor([[True, False], [True, True]]))
    assert rows(picture) == ["rp rp rp", "rr rr rr"]
    words = [text for text in texts(picture) if len(text) <= 3]
    assert words == ["c", "7c", "c", "c", "\N{NOT EQUAL TO}0", "0", "\N{NOT EQUAL TO}0", "\N{NOT EQUAL TO}0", "new"]


def where_on_square(pred, target, mask):
    return torch.where(mask, (pred - target) ** 2, 0.0).sum() / mask.sum()


def no_mask(pred, target, mask):
    return (pred - target).square().mean()


def what_is(way, filler, **passed):
    panels = what_comes_back(way, filler, passed)
    verdicts = {row[0]: row[-1] for row in panels["what comes out"].rows}
    return panels["entries with a wrong gradient"].value, panels["the gradient of each entry"].cells, verdicts


@pytest.mark.parametrize("filler", [5.0, torch.nan, torch.inf])
def test_the_library_is_right_whatever_the_padding_holds(filler):
    wrong, cells, verdicts = what_is(masked_velocity_loss, filler)
    assert (wrong, cells) == (0, ["rrrrrppp", "rrrrrppp", "pppppppp"])
    assert {*verdicts.values()} == {"right"}


def test_a_mask_after_the_square_keeps_the_loss_and_loses_the_gradient_of_padding():
    assert what_is(where_on_square, 5.0) == what_is(masked_velocity_loss, 5.0)
    wrong, cells, verdicts = what_is(where_on_square, torch.nan)
    assert (wrong, cells) == (14, ["rrrrrnnn", "rrrrrnnn", "nnnnnnnn"])
    assert verdicts == {"loss": "right", "gradient of a shared bias": "wrong"}


def test_padding_that_counts_and_real_entries_that_do_not_are_told_apart():
    _, cells, _ = what_is(no_mask, 5.0)
    assert cells == ["wwwwwlll", "wwwwwlll", "llllllll"]
    wrong, cells, verdicts = what_is(lambda *three: masked_velocity_loss(*(one[:, :1] for one in three)), 5.0)
    assert (wrong, cells) == (10, ["wwwwwppp", "zzzzzppp", "pppppppp"])
    assert {*verdicts.values()} == {"wrong"}


def test_infinity_is_called_so_and_the_widget_says_what_each_test_found():
    panels = what_comes_back(no_mask, torch.inf, {"a": True, "b": False})
    assert [row[1] for row in panels["what comes out"].rows] == ["infinity", "-infinity"]
    *_, tests = panels.values()
    assert tests.rows == [["this one", "passes", "found"]]


def test_the_widget_can_be_explored_over_fillers():
    fillers = {"NaN": torch.nan, "a number": 5.0}
    explorer = explore(lambda filler: what_comes_back(where_on_square, fillers[filler], {"a": True}), filler=[*fillers])
    assert explorer.value["entries with a wrong gradient"] == 14


def test_a_count_is_drawn_as_far_off_as_it_is_each_run_beside_the_other_and_infinity_is_refused():
    first, second = miscounted([256, 257, 258, 600], [256.0, 256.0, 258.0, 602.0]).figure.axes
    assert [dot.get_xydata().tolist() for dot in first.lines[1:]] == [[[256, 0], [258, 0]], [[257, -1]]]
    assert [dot.get_xydata().tolist() for dot in second.lines[1:]] == [[], [[600, 2]]]
    assert first.get_yticks().tolist() == [-1, 0, 1, 2]
    for wrong in ([256.0], [256.0, torch.inf, 258.0]):
        with pytest.raises(ValueError, match=r"counted: got .*, expected 3 finite numbers"):
            miscounted([256, 257, 258], wrong)
