"""What the widgets of chapter 2 say, against answers from paper."""

import pytest
import torch

from groot_teach.chapters.velocity.pictures import ROBOTS, SIZES, line_panels
from groot_teach.embodiments import DUAL_ARM, GR1, SO101

TRAINING = "padded dims: how large in training"
SAMPLER = "padded dims: how large in the sampler"
SAMPLERS = {
    "kept": lambda t, noise: noise,
    "zero": lambda t, noise: torch.zeros_like(noise),
    "renoise": lambda t, noise: (1 - t) * noise,
}
EMBODIMENTS = [pytest.param(robot, id=robot.name) for robot in (DUAL_ARM, GR1, SO101)]


def on_the_way(robot, t, sampler="kept"):
    return line_panels(robot, t, SAMPLERS[sampler])


@pytest.mark.parametrize("robot", ROBOTS)
def test_in_training_padding_shrinks_from_all_of_the_noise_to_none(robot):
    for t in (0.0, 0.25, 0.5, 0.95, 1.0):
        assert on_the_way(robot, t)[TRAINING].value == pytest.approx(1 - t, abs=0.001)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_each_sampler_holds_what_its_name_says(t):
    start = on_the_way("GR1", 0.0)[TRAINING].value
    assert on_the_way("GR1", t, "kept")[SAMPLER].value == start
    assert on_the_way("GR1", t, "zero")[SAMPLER].value == 0
    assert on_the_way("GR1", t, "renoise")[SAMPLER].value == on_the_way("GR1", t)[TRAINING].value


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.75])
def test_noise_drawn_anew_in_the_size_of_training_is_right_though_each_number_is_another_one(t):
    def fresh(t, noise):
        return (1 - t) * torch.randn(noise.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))

    panels = line_panels("dual-arm", t, fresh)
    assert panels[SAMPLER].text() == panels[TRAINING].text() == f"{1 - t:.2f}"
    assert panels[SIZES].cells[1] == "r" * 32


@pytest.mark.parametrize("robot", EMBODIMENTS)
@pytest.mark.parametrize(("sampler", "t", "letter"), [("kept", 0.3, "x"), ("kept", 0.0, "r"), ("renoise", 0.3, "r")])
def test_the_map_marks_the_padded_dims_in_which_the_sampler_is_unlike_training(robot, sampler, t, letter):
    in_training, by_sampler = on_the_way(robot.name, t, sampler)[SIZES].cells
    assert in_training == "r" * 32
    assert by_sampler == "r" * robot.action_dim + letter * (32 - robot.action_dim)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_real_dims_are_the_same_in_training_and_in_every_sampler_and_padded_ones_are_the_samplers(sampler):
    in_training, by_sampler = on_the_way("dual-arm", 0.6, sampler)[SIZES].values
    assert by_sampler[:16] == in_training[:16]
    assert (by_sampler[16:] == in_training[16:]) is (sampler == "renoise")


def test_a_readers_own_padding_is_drawn_and_real_dims_do_not_take_it():
    panels = line_panels("SO-101", 0.5, lambda t, noise: torch.full_like(noise, 3.0))
    in_training, by_sampler = panels[SIZES].values
    assert panels[SAMPLER].value == 3
    assert by_sampler[6:] == [3] * 26
    assert by_sampler[:6] == in_training[:6]


def test_an_unknown_robot_is_refused():
    with pytest.raises(ValueError, match="expected one of"):
        on_the_way("gr1", 0.5)
