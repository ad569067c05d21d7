"""The figures of chapter 4: what is no finite number is marked as a leak, and what is miscounted is drawn to scale."""

import pytest
import torch
from drawn import rows, texts

from groot_teach.chapters.broken_losses.pictures import miscounted, what_survives

FINE, NAN, INF = torch.ones(2), torch.tensor([1.0, torch.nan]), torch.tensor([torch.inf, 1.0])
COLUMNS = [("with NaN", "loss"), ("with NaN", "gradient")]


def test_each_result_is_marked_by_its_worst_entry():
    picture = what_survives({"one": [FINE, NAN], "two": [INF, FINE]}, COLUMNS)
    assert rows(picture) == ["rl", "lr"]
    assert texts(picture).count("with NaN") == 1
    assert texts(picture).count("finite") == texts(picture).count("NaN") == 2


@pytest.mark.parametrize("results", [{}, {"one": [FINE]}])
def test_results_that_do_not_fit_the_columns_are_refused(results):
    with pytest.raises(ValueError, match="expected 2 for each way"):
        what_survives(results, COLUMNS)


def test_a_count_is_drawn_as_far_off_as_it_is_and_infinity_is_refused():
    axes = miscounted([256, 257, 258], [256.0, 256.0, 258.0]).figure.axes[0]
    assert axes.lines[1].get_ydata().tolist() == [0, -1, 0]
    assert axes.get_yticks().tolist() == [-1, 0]
    for wrong in ([256.0], [256.0, torch.inf, 258.0]):
        with pytest.raises(ValueError, match=r"counted: got .*, expected 3 finite numbers"):
            miscounted([256, 257, 258], wrong)
