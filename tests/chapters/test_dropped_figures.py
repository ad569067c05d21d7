"""The figures of chapter 7: the same bytes each time, a mark for what hurts, and errors for what does not fit."""

from math import log10
from xml.etree import ElementTree

import pytest
import torch
from drawn import lines, texts

from groot_teach.chapters.dropped.pictures import curves_beside, hand_paths, seed_ratios
from groot_teach.show.drawing import Line

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
    picture = seed_ratios({name: RATIOS[name]}, "times the strict error")
    assert {name, "times the strict error", "1"} <= {*texts(picture)}
    dots = [mark for mark in picture.marks if isinstance(mark, Line) and mark.fill == "paper"]
    assert [dot.ink for dot in dots] == [ink] * 3
    places = [sum(x for x, _ in dot.points) / len(dot.points) for dot in dots]
    ((one, _), _) = lines(picture, "quiet")[-1]
    assert [place > one + 1e-6 for place in places] == [ratio > 1 for ratio in RATIOS[name]]
    assert sorted(places) == [place for _, place in sorted(zip(RATIOS[name], places, strict=True))]


@pytest.mark.parametrize("ratios", [{}, {"none": []}, {"zero": [1.0, 0.0]}])
def test_ratios_that_cannot_be_drawn_are_refused(ratios):
    with pytest.raises(ValueError, match=r"ratios: got .* expected at least one name, each with ratios above 0"):
        seed_ratios(ratios, "ratio")


def test_curves_show_the_median_and_the_range_of_the_seeds():
    three = torch.tensor([[1.0, 5.0], [2.0, 4.0], [10.0, 10.0]], dtype=torch.float64)
    picture = curves_beside([10, 20], {"one": (three, three)}, ("strict", "dropped"), "loss")
    (_, first), (_, second) = lines(picture, "real")[-1]
    band = [y for _, y in next(mark for mark in picture.marks if isinstance(mark, Line) and mark.opacity < 1).points]
    lowest, from_4, to_10, highest = band
    assert to_10 == highest < second < first < lowest  # y grows downwards; the medians are 2 and 5
    assert (lowest - first) / (lowest - highest) == pytest.approx(log10(2))
    assert (lowest - from_4) / (lowest - highest) == pytest.approx(log10(4))


def test_each_panel_has_its_title_and_its_pair_of_curves():
    picture = curves_beside([1, 2, 3], {f"panel {n}": (SHORT, SHORT) for n in range(7)}, ("a", "b"), "loss")
    assert [text for text in texts(picture) if text.startswith("panel")] == [f"panel {n}" for n in range(7)]
    assert len(lines(picture, "real")) == len(lines(picture, "leak")) == 7 + 1  # and one beside each name
    assert {"a", "b", "loss"} <= {*texts(picture)}


@pytest.mark.parametrize(
    ("panels", "message"),
    [({}, "panels: got none"), ({"one": (SHORT[:, :2], SHORT[:, :2])}, r"panels\['one'\]: got 2 points, expected 3")],
)
def test_curves_that_do_not_fit_are_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        curves_beside([1, 2, 3], panels, ("a", "b"), "loss")


def test_each_robot_has_a_panel_with_its_paths_and_its_goal():
    picture = hand_paths(PATHS, GOALS, ["strict", "other"])
    assert {"small", "large", "strict", "other", "+ goal"} <= {*texts(picture)}
    for panel in range(2):
        (strict,), (other,) = lines(picture, "real")[panel : panel + 1], lines(picture, "leak")[panel : panel + 1]
        across, up = lines(picture, "ink")[2 * panel : 2 * panel + 2]
        goal = (across[0][0] + across[1][0]) / 2, (up[0][1] + up[1][1]) / 2
        assert strict[0] == other[0]  # both begin at the start
        assert strict[1][1] > other[1][1]  # 0.1 and 0.4 away from us
        assert strict[2][0] == pytest.approx(goal[0])  # both 0.3 to the right
        assert strict[2][1] > goal[1]  # the goal is a little farther away


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
