"""The figures of chapter 8: the same bytes each time, a mark for what hurts, and errors for what does not fit."""

from xml.etree import ElementTree

import pytest
import torch
from matplotlib.colors import to_hex

from groot_teach.chapters.dropped.pictures import curves_beside, hand_paths, seed_ratios
from groot_teach.show.drawing import INKS
from groot_teach.show.plot import SVG

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


@pytest.mark.parametrize(
    ("name", "ink"), [("hurts", "leak"), ("helps", "real"), ("not seen", "pad-ink"), ("the same", "pad-ink")]
)
def test_a_row_of_ratios_has_the_colour_of_its_verdict_and_a_dot_for_each_seed(name, ink):
    axes = seed_ratios({name: RATIOS[name]}, "times the strict error").figure.axes[0]
    (dots,) = axes.collections
    assert dots.get_offsets().tolist() == [[ratio, 0] for ratio in RATIOS[name]]
    assert to_hex(dots.get_edgecolor()[0]) == INKS[ink]
    at_1, over_all = axes.lines
    assert [*at_1.get_xdata()] == [1, 1]
    assert [*over_all.get_xdata()] == [min(RATIOS[name]), max(RATIOS[name])]
    assert [label.get_text() for label in axes.get_yticklabels()] == [name]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "times the strict error"


@pytest.mark.parametrize("ratios", [[0.95, 1.04], [0.5, 10.0], [3.0, 3.5]])
def test_the_ratio_1_and_all_dots_are_on_the_axis_and_marked_with_plain_numbers(ratios):
    plot = seed_ratios({"one": ratios}, "ratio")
    axes = plot.figure.axes[0]
    low, high = axes.get_xlim()
    assert low < min(*ratios, 1) <= max(*ratios, 1) < high
    words = [text.text for text in ElementTree.fromstring(plot._repr_svg_()).iter(f"{SVG}text")]
    assert "1" in words
    assert len(words) >= 3


@pytest.mark.parametrize("ratios", [{}, {"none": []}, {"zero": [1.0, 0.0]}])
def test_ratios_that_cannot_be_drawn_are_refused(ratios):
    with pytest.raises(ValueError, match=r"ratios: got .* expected at least one name, each with ratios above 0"):
        seed_ratios(ratios, "ratio")


def test_curves_show_the_median_and_the_range_of_the_seeds():
    three = torch.tensor([[1.0, 5.0], [2.0, 4.0], [10.0, 10.0]], dtype=torch.float64)
    axes = curves_beside([10, 20], {"one": (three, 2 * three)}, ("strict", "dropped"), "loss").figure.axes[0]
    assert [[*line.get_ydata()] for line in axes.lines] == [[2, 5], [4, 10]]
    assert [line.get_color() for line in axes.lines] == [INKS["real"], INKS["leak"]]
    bands = [band.get_paths()[0].get_extents() for band in axes.collections]
    assert [(band.y0, band.y1) for band in bands] == [(1, 10), (2, 20)]
    assert axes.get_yscale() == "log"


def test_each_panel_has_its_title_and_its_pair_of_curves():
    plot = curves_beside([1, 2, 3], {f"panel {n}": (SHORT, SHORT) for n in range(7)}, ("a", "b"), "loss")
    assert [axes.get_title(loc="left") for axes in plot.figure.axes] == [f"panel {n}" for n in range(7)]
    assert [len(axes.lines) for axes in plot.figure.axes] == [2] * 7
    assert [axes.get_ylabel() for axes in plot.figure.axes] == ["loss", "", "", "", "loss", "", ""]
    assert len({axes.get_ylim() for axes in plot.figure.axes}) == 1
    assert names_of(plot) == {"a": INKS["real-ink"], "b": INKS["leak-ink"]}


def names_of(plot):
    """What the names above the panels say, and their inks."""
    (legend,) = plot.figure.legends
    return {text.get_text(): text.get_color() for text in legend.get_texts()}


@pytest.mark.parametrize(
    ("panels", "message"),
    [({}, "panels: got none"), ({"one": (SHORT[:, :2], SHORT[:, :2])}, r"panels\['one'\]: got 2 points, expected 3")],
)
def test_curves_that_do_not_fit_are_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        curves_beside([1, 2, 3], panels, ("a", "b"), "loss")


def test_each_robot_has_a_panel_with_its_paths_and_its_goal():
    plot = hand_paths(PATHS, GOALS, ["strict", "other"])
    assert [axes.get_title(loc="left") for axes in plot.figure.axes] == ["small", "large"]
    for axes, robot in zip(plot.figure.axes, PATHS, strict=True):
        *paths, goal = axes.lines
        assert [line.get_xydata() for line in paths] == [pytest.approx(path.numpy()) for path in PATHS[robot].values()]
        assert [line.get_color() for line in paths] == [INKS["real"], INKS["leak"]]
        assert goal.get_xydata()[0] == pytest.approx(GOALS[robot].numpy())
        assert axes.get_aspect() == 1  # a centimetre to the right is as long as one away from us
    inks = {"strict": INKS["real-ink"], "other": INKS["leak-ink"], "goal": INKS["ink"]}
    assert names_of(plot) == inks


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
