"""The figures of chapter 6: the same bytes each time, a mark for what hurts, and errors for what does not fit."""

from xml.etree import ElementTree

import pytest
import torch

from groot_teach.chapters.dropped.pictures import curves_beside, hand_paths, seed_ratios
from groot_teach.show.pictures import FILLS

RATIOS = {"hurts": [1.2, 1.5, 3.0], "helps": [0.5, 0.9, 0.7], "not seen": [0.8, 1.1, 1.3], "the same": [1.0, 1.0, 1.0]}
SHORT = torch.tensor([[1.0, 0.5, 0.2], [2.0, 0.6, 0.1]], dtype=torch.float64)
PATHS = {
    robot: {name: torch.tensor([[0.0, 0.0], [0.1, off], [0.3, 0.2]]) for name, off in (("strict", 0.1), ("other", 0.4))}
    for robot in ("small", "large")
}
GOALS = {robot: torch.tensor([0.3, 0.25]) for robot in PATHS}


@pytest.mark.parametrize(
    "draw",
    [
        lambda: seed_ratios(RATIOS, "ratio"),
        lambda: curves_beside([1, 2, 3], {"one": (SHORT, 2 * SHORT)}, ("strict", "dropped"), "loss"),
        lambda: hand_paths(PATHS, GOALS, ["strict", "other"]),
    ],
)
def test_a_figure_is_the_same_bytes_each_time_and_valid_xml(draw):
    first = draw()._repr_svg_()
    assert first == draw()._repr_svg_()
    ElementTree.fromstring(first)
    assert "<dc:date>" not in first


@pytest.mark.parametrize(
    ("name", "kind"), [("hurts", "leak"), ("helps", "real"), ("not seen", "padding"), ("the same", "padding")]
)
def test_a_row_of_ratios_has_the_colour_of_its_verdict(name, kind):
    drawn = seed_ratios({name: RATIOS[name]}, "ratio")._repr_svg_()
    assert f">{name}<" in drawn
    for other in ("leak", "real", "padding"):
        assert (FILLS[other].lower() in drawn.lower()) == (other == kind)


def test_every_seed_has_its_dot():
    axes = seed_ratios(RATIOS, "times the strict error").axes[0]
    dots = [collection.get_offsets().tolist() for collection in axes.collections]
    assert dots == [[[value, row] for value in of_name] for row, of_name in enumerate(RATIOS.values())]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*RATIOS]
    assert axes.get_xlabel() == "times the strict error"


@pytest.mark.parametrize("ratios", [{}, {"none": []}, {"zero": [1.0, 0.0]}])
def test_ratios_that_cannot_be_drawn_are_refused(ratios):
    with pytest.raises(ValueError, match=r"ratios: got .* expected at least one name, each with ratios above 0"):
        seed_ratios(ratios, "ratio")


def test_curves_show_the_median_and_the_range_of_the_seeds():
    three = torch.tensor([[1.0, 5.0], [2.0, 4.0], [9.0, 6.0]], dtype=torch.float64)
    axes = curves_beside([10, 20], {"one": (three, three)}, ("strict", "dropped"), "loss").axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 5.0]] * 2
    band = axes.collections[0].get_paths()[0].vertices.tolist()
    assert [10.0, 1.0] in band
    assert [10.0, 9.0] in band
    assert [20.0, 6.0] in band


def test_seven_panels_leave_the_eighth_place_empty():
    drawn = curves_beside([1, 2, 3], {str(n): (SHORT, SHORT) for n in range(7)}, ("a", "b"), "loss")
    assert [axes.get_title() for axes in drawn.axes] == [*map(str, range(7)), ""]
    assert [axes.axison for axes in drawn.axes] == [True] * 7 + [False]


@pytest.mark.parametrize(
    ("panels", "message"),
    [({}, "panels: got none"), ({"one": (SHORT[:, :2], SHORT[:, :2])}, r"panels\['one'\]: got 2 points, expected 3")],
)
def test_curves_that_do_not_fit_are_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        curves_beside([1, 2, 3], panels, ("a", "b"), "loss")


def test_each_robot_has_a_panel_with_its_paths_and_its_goal():
    drawn = hand_paths(PATHS, GOALS, ["strict", "other"])
    assert [axes.get_title() for axes in drawn.axes] == ["small", "large"]
    for axes in drawn.axes:
        assert [line.get_label() for line in axes.lines] == ["strict", "other"]
        assert axes.lines[1].get_ydata() == pytest.approx([0.0, 0.4, 0.2])
        assert axes.collections[0].get_offsets()[0].tolist() == pytest.approx([0.3, 0.25])


@pytest.mark.parametrize(
    ("goals", "names", "message"),
    [
        ({"small": GOALS["small"]}, ["strict"], "paths of 'large': got .* expected .* and a goal"),
        (GOALS, ["strict", "third"], "paths of 'small': got .* expected"),
        (GOALS, [], "got 2 robots and 0 conditions, expected 1 or more, and 1 to 3"),
        (GOALS, ["strict"] * 4, "got 2 robots and 4 conditions"),
    ],
)
def test_paths_that_are_missing_are_refused(goals, names, message):
    with pytest.raises(ValueError, match=message):
        hand_paths(PATHS, goals, names)
