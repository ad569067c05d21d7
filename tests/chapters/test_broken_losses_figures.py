"""The figure of chapter 4: what is no finite number is marked as a leak, in whatever entry it hides."""

import pytest
import torch
from drawn import rows, texts

from groot_teach.chapters.broken_losses.pictures import what_survives

FINE, NAN, INF = torch.ones(2), torch.tensor([1.0, torch.nan]), torch.tensor([torch.inf, 1.0])


def test_each_result_is_marked_by_its_worst_entry():
    picture = what_survives({"one": [FINE, NAN], "two": [INF, FINE]}, ["loss", "gradient"])
    assert rows(picture) == ["rl", "lr"]
    assert texts(picture).count("finite") == texts(picture).count("NaN") == 2


@pytest.mark.parametrize("results", [{}, {"one": [FINE]}])
def test_results_that_do_not_fit_the_columns_are_refused(results):
    with pytest.raises(ValueError, match="expected 2 for each way"):
        what_survives(results, ["loss", "gradient"])
