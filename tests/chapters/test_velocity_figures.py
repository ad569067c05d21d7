"""The figures of chapter 2: what they draw, and what they refuse."""

import pytest
import torch
from drawn import boxes, ink_of, rows, texts

from groot_teach.chapters.velocity.pictures import (
    fillings_compared,
    how_often,
    moved_by_inputs,
    noise_over_time,
    noise_to_action,
)
from groot_teach.show.drawing import INKS
from groot_teach.show.pictures import over_flow_time


def bars(plot):
    heights = [bar.get_height() for bar in plot.figure.axes[0].patches]
    return [height / sum(heights) for height in heights]


def test_a_histogram_shows_parts_of_the_whole_and_counts_the_last_edge_in():
    values = torch.tensor([0.0, 0.1, 0.5, 1.0], dtype=torch.float64)
    plot = how_often(values, [0.0, 0.5, 1.0], "x")
    assert bars(plot) == pytest.approx([0.5, 0.5])
    assert [text.get_text() for text in plot.figure.axes[0].texts] == ["50 %", "50 %"]
    assert plot.figure.axes[0].get_xlabel() == "x"


def test_a_histogram_shows_where_the_values_are():
    plot = how_often(torch.tensor([0.7, 0.8, 0.2]), [0.0, 0.5, 1.0], "x")
    assert bars(plot) == pytest.approx([1 / 3, 2 / 3])
    assert [text.get_text() for text in plot.figure.axes[0].texts] == ["33 %", "67 %"]


@pytest.mark.parametrize("outside", [-0.1, 1.1, torch.nan])
def test_a_value_outside_the_edges_is_an_error_and_not_left_out(outside):
    with pytest.raises(ValueError, match=r"values: got .*, expected 0 to 1"):
        how_often(torch.tensor([0.5, outside]), [0.0, 1.0], "x")


@pytest.mark.parametrize("edges", [[0.0], [1.0, 0.0], [0.0, 0.0, 1.0]])
def test_edges_have_to_grow(edges):
    with pytest.raises(ValueError, match="edges: got"):
        how_often(torch.tensor([0.5]), edges, "x")


def test_curves_on_the_first_are_blue_and_the_others_orange_and_dashed_each_with_its_name():
    spreads = {"training": [1.0, 0.5], "kept": [1.0, 1.0], "zero": [0.0, 0.0], "on it": [1.0, 0.51]}
    axes = over_flow_time([0.0, 0.5], spreads).figure.axes[0]
    assert [[*line.get_ydata()] for line in axes.lines] == [*spreads.values()]
    assert [line.get_color() for line in axes.lines] == [INKS[kind] for kind in ("real", "leak", "leak", "real")]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "--", "-"]
    names = {text.get_text(): text.get_color() for text in axes.texts}
    inks = [INKS["real-ink"], INKS["leak-ink"], INKS["leak-ink"], INKS["real-ink"]]
    assert names == dict(zip(spreads, inks, strict=True))


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
    assert one.startswith("<svg")


def test_noise_in_padded_dims_fades_to_nothing_and_real_dims_end_at_their_action():
    held = torch.tensor([[2.0, -2.0, 1.0], [1.5, -1.0, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    picture = noise_over_time([0.0, 0.5, 1.0], held, torch.tensor([True, False, False]))
    assert rows(picture) == ["rpp"] * 3
    first, second, third = (boxes(picture)[dim::3] for dim in range(3))
    assert [box.strength for box in first] == pytest.approx([0.6, 0.475, 0.35])
    assert [box.strength for box in second] == [box.strength for box in third] == [1.0, 0.5, 0.0]
    assert [text for text in texts(picture) if "." in text and "t" not in text] == [
        *("2.0", "-2.0", "1.0", "1.5", "-1.0", "0.5", "1.0", "0.0", "0.0")
    ]
    assert {"t = 0", "t = 0.5", "t = 1", "1", "pad"} <= {*texts(picture)}


def test_a_flow_time_for_each_row_is_needed():
    with pytest.raises(ValueError, match="t: got 1 flow times, expected 2"):
        noise_over_time([0.0], torch.zeros(2, 3), torch.ones(3, dtype=torch.bool))


def test_the_line_of_a_real_dim_ends_at_its_action_and_that_of_a_padded_one_at_0():
    axes = noise_to_action([0.0, 0.5, 1.0], [1.0, 0.8, 0.6], [-1.0, -0.5, -0.0]).figure.axes[0]
    padded, real = axes.lines
    assert [*real.get_ydata()] == [1.0, 0.8, 0.6]
    assert [*padded.get_ydata()] == [-1.0, -0.5, 0.0]
    assert [real.get_color(), padded.get_color()] == [INKS["real"], INKS["pad-mark"]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "1"]
    assert {text.get_text(): text.get_color() for text in axes.texts} == {
        "a real dim: its action, 0.6": INKS["real-ink"],
        "a padded dim: 0": INKS["pad-ink"],
    }


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0]])
def test_a_line_needs_a_value_for_each_flow_time(values):
    with pytest.raises(ValueError, match="t: got 2 flow times, expected 2 or more, as many as values"):
        noise_to_action([0.0, 1.0], [0.0, 1.0], values)


def test_a_bar_is_as_long_as_what_its_group_of_inputs_moves_and_orange_on_padding():
    moves = {"few": torch.tensor([0.5, 2.0, 1.0]), "many": torch.tensor([1.0, 0.0, 0.5])}
    picture = moved_by_inputs(moves, {"a": 1, "b": 2}, "b")
    few_and_many = [("real", 30.0), ("real", 60.0), ("leak", 90.0), ("leak", 15.0)]
    assert [(box.kind, box.width) for box in boxes(picture)] == few_and_many
    assert texts(picture) == ["a", "b", "few", "0.50", "1.50", "many", "1.00", "0.25"]
    assert ink_of(picture, "0.50") == "real-ink"
    assert ink_of(picture, "1.50") == ink_of(picture, "b") == "leak-ink"


@pytest.mark.parametrize(("groups", "padding"), [({"a": 1}, "a"), ({"a": 1, "b": 1}, "c")])
def test_groups_have_to_cover_the_inputs_and_to_hold_the_padding(groups, padding):
    with pytest.raises(ValueError, match=r"got .*, expected"):
        moved_by_inputs({"few": torch.tensor([0.5, 2.0])}, groups, padding)


def test_each_filling_has_a_bar_with_its_number_for_each_number_of_examples():
    moved = {"free": [0.75, 0.5], "kept": [0.5, 0.25], "scaled": [0.25, 0.125], "zeros": [0.0, 0.0]}
    plot = fillings_compared({"moved": moved, "off": {name: [1.0, 2.0] for name in moved}}, [100, 1000])
    upper, lower = plot.figure.axes
    assert [bar.get_height() for bar in upper.patches] == [0.75, 0.5, 0.5, 0.25, 0.25, 0.125, 0.0, 0.0]
    assert [text.get_text() for text in upper.texts] == ["0.75", "0.50", "0.50", "0.25", "0.25", "0.12", "0.00", "0.00"]
    assert [bar.get_height() for bar in lower.patches] == [1.0, 2.0] * 4
    assert [tick.get_text() for tick in upper.get_xticklabels()] == ["100", "1,000"]
    assert [text.get_text() for text in upper.get_legend().get_texts()] == [*moved]


@pytest.mark.parametrize(
    "wrong",
    [{"a": [1.0], "b": [1.0], "c": [1.0]}, {"a": [1.0], "b": [1.0], "c": [1.0], "d": [1.0, 2.0]}],
)
def test_four_fillings_are_compared_each_with_a_number_for_each_group(wrong):
    with pytest.raises(ValueError, match="measures: got"):
        fillings_compared({"moved": wrong}, [100])
