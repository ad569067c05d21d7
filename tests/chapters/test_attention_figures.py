"""The figure of chapter 4: what it draws, and what it refuses."""

import pytest
import torch

from groot_teach.chapters.attention.pictures import attention_maps
from groot_teach.show.pictures import FILLS, HATCHES

REAL = torch.tensor([True, True, False])


def drawn_rectangles(axes):
    return [(p.get_x(), round(p.get_height(), 6), p.get_hatch()) for p in axes.patches]


def test_a_cell_is_as_full_as_its_weight_and_padding_is_hatched():
    drawn = attention_maps({"one": torch.tensor([[0.5, 0.25, 0.25]])}, REAL)
    assert drawn_rectangles(drawn.axes[0]) == [
        (0, 0.5, HATCHES["real"]),
        (1, 0.25, HATCHES["real"]),
        (2, 0.25, HATCHES["leak"]),
    ]
    assert HATCHES["real"] != HATCHES["leak"]
    assert FILLS["real"] != FILLS["leak"]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["0.50", "0.25", "0.25"]


def test_what_is_not_read_is_an_empty_cell_and_nan_is_written_out():
    drawn = attention_maps({"one": torch.tensor([[1.0, 0.0, 0.0], [torch.nan] * 3])}, REAL)
    assert len(drawn_rectangles(drawn.axes[0])) == 1
    assert [text.get_text() for text in drawn.axes[0].texts][3:] == ["NaN"] * 3


def test_rows_look_and_columns_are_looked_at():
    axes = attention_maps({"two queries": torch.eye(3)[:2]}, REAL).axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.get_title()) == ("query", "key", "two queries")
    assert len(axes.get_yticks()) == 2
    assert len(axes.get_xticks()) == 3
    assert [patch.get_y() for patch in axes.patches] == [0, 1]  # the first query on top


def test_each_map_has_its_name():
    drawn = attention_maps({"a": torch.eye(3), "b": torch.eye(3)}, REAL)
    assert [axes.get_title() for axes in drawn.axes] == ["a", "b"]


def test_no_map_and_a_weight_that_is_none_are_refused():
    with pytest.raises(ValueError, match="weights: got no map"):
        attention_maps({}, REAL)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"weights of 'a': got {wrong:g}, expected 0 to 1"):
            attention_maps({"a": torch.tensor([[wrong, 0.0, 0.0]])}, REAL)
