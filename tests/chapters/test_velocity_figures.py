"""The figures of chapter 2: what they draw, and what they refuse."""

import pytest
import torch

from groot_teach.chapters.velocity.pictures import how_often
from groot_teach.show.pictures import over_flow_time


def bars(drawn):
    return [round(patch.get_height(), 6) for patch in drawn.axes[0].patches]


def test_a_histogram_shows_parts_of_the_whole_and_counts_the_last_edge_in():
    values = torch.tensor([0.0, 0.1, 0.5, 1.0], dtype=torch.float64)
    drawn = how_often(values, [0.0, 0.5, 1.0], "x")
    assert bars(drawn) == [0.5, 0.5]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["50%", "50%"]


def test_a_histogram_shows_where_the_values_are():
    assert bars(how_often(torch.tensor([0.7, 0.8, 0.2]), [0.0, 0.5, 1.0], "x")) == [0.333333, 0.666667]


@pytest.mark.parametrize("outside", [-0.1, 1.1, torch.nan])
def test_a_value_outside_the_edges_is_an_error_and_not_left_out(outside):
    with pytest.raises(ValueError, match=r"values: got .*, expected 0 to 1"):
        how_often(torch.tensor([0.5, outside]), [0.0, 1.0], "x")


@pytest.mark.parametrize("edges", [[0.0], [1.0, 0.0], [0.0, 0.0, 1.0]])
def test_edges_have_to_grow(edges):
    with pytest.raises(ValueError, match="edges: got"):
        how_often(torch.tensor([0.5]), edges, "x")


def test_each_spread_is_a_curve_of_its_own_and_the_first_is_unlike_the_others_in_more_than_colour():
    drawn = over_flow_time([0.0, 0.5], {"training": [1.0, 0.5], "kept": [1.0, 1.0], "zero": [0.0, 0.0]})
    lines = drawn.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[1.0, 0.5], [1.0, 1.0], [0.0, 0.0]]
    assert [line.get_label() for line in lines] == ["training", "kept", "zero"]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "--"]
    assert len({line.get_marker() for line in lines}) == 3
    assert lines[0].get_color() != lines[1].get_color() == lines[2].get_color()


def test_a_curve_of_another_length_is_refused():
    with pytest.raises(ValueError, match="got 1 values for 'kept', expected 2"):
        over_flow_time([0.0, 0.5], {"kept": [1.0]})


@pytest.mark.parametrize("count", [0, 6])
def test_no_curve_and_too_many_are_refused(count):
    with pytest.raises(ValueError, match=f"spreads: got {count} names"):
        over_flow_time([0.0, 0.5], {str(i): [1.0, 1.0] for i in range(count)})


def test_both_are_svg_and_the_same_each_time():
    one, other = (how_often(torch.tensor([0.1, 0.9]), [0.0, 0.5, 1.0], "x")._repr_svg_() for _ in range(2))
    assert one == other
    assert one.startswith("<?xml")
