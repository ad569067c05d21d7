"""The exercises about the masked loss: on paper, and against the library.

What holds for the exercises of every chapter is tested in `test_exercises.py`.
"""

import pytest
import torch

from groot_teach import loss
from groot_teach.chapters.broken_losses import exercises as broken
from groot_teach.chapters.loss import exercises
from groot_teach.embodiments import DUAL_ARM


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def mask_of(*values):
    return torch.tensor(values).bool()


# ------------------------------------------------------------------------------------------------------- on paper


def test_a_loss_of_each_sample_on_paper():
    pred, target = tensor([[3.0, 9.0]], [[1.0, 5.0]]), tensor([[1.0, 0.0]], [[0.0, 2.0]])
    losses = exercises.loss_of_each_sample(pred, target, mask_of([[1, 0]], [[1, 1]]))
    assert losses.tolist() == [4, 5]  # 2 * 2; (1 + 9) / 2


def test_what_a_slice_lets_in_and_cuts_off_on_paper():
    """Two steps of dims 0 and 2 of 4, the second step filled in, and a slice to 2 dims."""
    let_in, cut_off = exercises.let_in_and_cut_off(mask_of([[1, 0, 1, 0], [0, 0, 0, 0]]), 2)
    assert (let_in.tolist(), cut_off.tolist()) == ([3], [1])


def test_shares_of_dims_on_paper():
    """Groups of 2 and 1: means (1 + 3) / 2 and 4, together 6."""
    shares = exercises.share_of_each_dim(tensor(1.0, 3.0, 4.0), torch.tensor([2, 1]))
    assert shares.tolist() == pytest.approx([1 / 12, 3 / 12, 8 / 12])


def test_a_claw_dim_has_seven_times_the_share_of_an_arm_dim():
    shares = exercises.share_of_each_dim(torch.ones(16, dtype=torch.float64), torch.tensor([14, 2]))
    assert (shares[15] / shares[0]).item() == pytest.approx(7)
    assert shares[14:].sum().item() == pytest.approx(0.5)


def test_shares_of_samples_on_paper():
    """Sums 4 and 6, so 40 and 60 %; means 2 and 6, so 25 and 75 %."""
    squared, mask = tensor([[1.0, 3.0]], [[6.0, 5.0]]), mask_of([[1, 1]], [[1, 0]])
    by_token, by_sample = exercises.shares_of_samples(squared, mask)
    assert by_token.tolist() == pytest.approx([0.4, 0.6])
    assert by_sample.tolist() == pytest.approx([0.25, 0.75])


def test_the_part_of_the_last_action_on_paper():
    part = exercises.part_of_last_action(torch.ones(1, 16, dtype=torch.float64), torch.arange(16)[None] >= 8)
    assert part.tolist() == [9 / 16]  # the 56 % of the chapter
    part = exercises.part_of_last_action(tensor([1.0, 2.0, 5.0]), mask_of([0, 0, 1]))
    assert part.tolist() == [7 / 8]


def test_a_gradient_on_paper():
    pred, target = tensor([[3.0, 0.0, 1.0]]), tensor([[1.0, torch.inf, 5.0]])
    assert broken.gradient(pred, target, mask_of([[1, 0, 1]])).tolist() == [[[2, 0, -4]]]


def test_a_loss_of_each_dim_on_paper():
    error = torch.arange(1.0, 10).reshape(1, 3, 3)
    losses = broken.loss_of_each_dim(error, torch.zeros_like(error), mask_of([1, 1, 0]))
    assert losses.tolist() == [(1 + 16) / 2, (4 + 25) / 2, (9 + 36) / 2]


# ----------------------------------------------------------------------------------------------- against the library


def test_losses_and_gradients_agree_with_the_library():
    for pred, target, action_mask in exercises.loss_of_each_sample.cases():
        losses = exercises.loss_of_each_sample(pred, target, action_mask)
        assert torch.isclose(losses.mean(), loss.sample_weighted_velocity_loss(pred, target, action_mask))
        for index, of_sample in enumerate(losses):
            one = slice(index, index + 1)
            assert torch.isclose(of_sample, loss.masked_velocity_loss(pred[one], target[one], action_mask[one]))
    for pred, target, action_mask in broken.gradient.cases():
        leaf = pred.clone().requires_grad_()
        loss.masked_velocity_loss(leaf, target, action_mask).backward()
        assert torch.allclose(broken.gradient(pred, target, action_mask), leaf.grad)
    for pred, target, step_mask in broken.loss_of_each_dim.cases():
        for dim, of_dim in enumerate(broken.loss_of_each_dim(pred, target, step_mask)):
            one = slice(dim, dim + 1)
            library = loss.masked_velocity_loss(pred[:, :, one], target[:, :, one], step_mask[:, :, None])
            assert torch.isclose(of_dim, library)


def test_shares_agree_with_what_the_library_weighs():
    for squared, action_mask in exercises.shares_of_samples.cases():
        error = squared.sqrt()
        of_library = loss.masked_velocity_loss, loss.sample_weighted_velocity_loss
        for mine, whole in zip(exercises.shares_of_samples(squared, action_mask), of_library, strict=True):
            leaf = error.clone().requires_grad_()
            value = whole(leaf, torch.zeros_like(leaf), action_mask)
            value.backward()
            parts = (leaf.grad * error / 2).sum(dim=(1, 2))  # a square is half its slope times its side
            assert torch.allclose(mine, parts / value)
    squared = torch.rand(1, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    leaf = squared.sqrt().requires_grad_()
    mask = torch.ones(1, 1, 16, dtype=torch.bool)
    whole = sum(loss.group_velocity_losses(leaf, torch.zeros_like(leaf), mask, DUAL_ARM.group_slices).values())
    whole.backward()
    sizes = torch.tensor([size for _, size in DUAL_ARM.groups])
    shares = exercises.share_of_each_dim(squared.flatten(), sizes)
    assert torch.allclose(shares, (leaf.grad * leaf / 2 / whole).flatten())


# --------------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize(
    "exercise",
    [exercises.loss_of_each_sample, exercises.let_in_and_cut_off, exercises.shares_of_samples, broken.gradient],
    ids=lambda exercise: exercise.id,
)
def test_masks_are_no_prefix_and_no_product_and_leave_no_sample_empty(exercise):
    for arguments in exercise.cases()[1:]:
        (mask,) = [value for value in arguments if isinstance(value, torch.Tensor) and value.dtype == torch.bool]
        assert mask.any(dim=2).any(dim=1).all()
        assert not mask[:, :, 0].any()
        assert not mask[0, 0].any()
        assert (mask.any(dim=1, keepdim=True) & mask.any(dim=2, keepdim=True) & ~mask).any()
        counts = mask.sum(dim=(1, 2))
        assert len(counts.unique()) > 1


def test_padding_holds_infinity_of_both_signs_and_finite_numbers_and_nothing_real_does():
    for pred, target, action_mask in broken.gradient.cases():
        assert pred.isfinite().all()
        assert target[action_mask].isfinite().all()
        for holds in (torch.isposinf, torch.isneginf, torch.isfinite):
            assert holds(target[~action_mask]).any()


def test_axes_are_as_long_as_each_other_where_the_task_says_so():
    for pred, _, step_mask in broken.loss_of_each_dim.cases():
        samples, steps, dims = pred.shape
        assert steps == dims
        assert samples in (1, steps)
        assert (pred * step_mask).shape == pred.shape  # torch does not complain
        assert step_mask.any(dim=1).all()
