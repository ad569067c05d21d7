"""What the widget of chapter 3 says of a loss: answers from paper."""

import pytest
import torch

from groot_teach.chapters.loss.pictures import HEAD_DIM, TOY_DUAL_ARM, weigh_the_entries
from groot_teach.loss import group_velocity_losses, masked_velocity_loss


def weights(of_loss, robot="dual arm", recorded_steps=2):
    shown = weigh_the_entries(of_loss, robot, recorded_steps)
    return torch.tensor(shown["what each entry weighs"].values), shown["the loss, if every error is 1"].value


def test_a_masked_mean_weighs_each_recorded_entry_the_same():
    found, total = weights(masked_velocity_loss, "small arm", 2)
    expected = torch.zeros(3, HEAD_DIM)
    expected[:2, :2] = 0.25
    assert torch.equal(found, expected)
    assert total == 1


def test_a_sum_of_group_means_weighs_the_claw_three_times_an_arm_dim():
    """The toy dual arm: 3 arm dims and 1 claw dim, 2 steps recorded: 1/6 and 1/2."""

    def sum_of_means(pred, target, mask):
        return sum(group_velocity_losses(pred, target, mask, TOY_DUAL_ARM.group_slices).values())

    found, total = weights(sum_of_means)
    torch.testing.assert_close(found[:2, :4], torch.tensor([[0.17, 0.17, 0.17, 0.5]] * 2))
    assert found.sum() == found[:2, :4].sum()
    assert total == 2


def test_a_plain_mean_weighs_padding_too():
    found, total = weights(lambda pred, target, mask: (pred - target).square().mean())
    assert torch.equal(found, torch.full((3, HEAD_DIM), 1 / 24).mul(100).round().div(100))
    assert total == 1


def test_padding_is_marked_where_it_counts_and_its_part_of_the_weight_is_named():
    """Two of three steps and four of eight dims are recorded: a third of the entries."""
    for of_loss, cells, part in (
        (lambda pred, target, mask: (pred - target).square().mean(), ["rrrrllll"] * 2 + ["l" * 8], 0.667),
        (masked_velocity_loss, ["rrrrpppp"] * 2 + ["p" * 8], 0),
    ):
        shown = weigh_the_entries(of_loss, "dual arm", 2)
        assert [*shown["what each entry weighs"].cells] == cells
        assert shown["part of the weight on padding"].value == part


def test_an_unknown_toy_robot_is_refused():
    with pytest.raises(ValueError, match=r"robot: got 'GR1', expected one of 'dual arm'"):
        weigh_the_entries(masked_velocity_loss, "GR1", 2)
