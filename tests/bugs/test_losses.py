"""The wrong losses: each is wrong in the way that its symptom says, by a factor from paper, and none of them raises."""

import pytest
import torch
from torch import Tensor, tensor

from groot_teach.bugs import WRONG_LOSSES, Bug, batch_of, removes_nothing, steps_masked_dims_not, upside_down
from groot_teach.bugs.policy import PADDED_DIM
from groot_teach.loss import masked_velocity_loss

T, F = True, False
NAN = float("nan")
EXHIBITS = {exhibit.name: exhibit for exhibit in WRONG_LOSSES}
every_exhibit = pytest.mark.parametrize("exhibit", WRONG_LOSSES, ids=lambda exhibit: exhibit.name)

# one sample, 2 steps, 3 dims; the second step and the last dim are padding
SQUARED = tensor([[[1, 4, 9], [16, 25, 36]]], dtype=torch.float64)
MASK = tensor([[[T, T, F], [F, F, F]]])
RIGHT = 5 / 2


def reduce(name: str, squared_error: Tensor, mask: Tensor) -> Tensor:
    return EXHIBITS[name].reduce(squared_error, mask)


def right(squared_error: Tensor, mask: Tensor) -> float:
    error = squared_error.sqrt()
    return masked_velocity_loss(error, torch.zeros_like(error), mask).item()


def rectangle(steps: int, dims: int, shape: tuple[int, int, int] = (1, 5, 7)) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[:, :steps, :dims] = True
    return mask


def weights(name: str, mask: Tensor) -> Tensor:
    """What each entry weighs in the loss."""
    squared_error = torch.ones(mask.shape, dtype=torch.float64, requires_grad=True)
    reduce(name, squared_error, mask).backward()
    return squared_error.grad


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("no mask at all", 91 / 6),
        ("masked, then the mean over everything", 5 / 6),
        ("entries summed, steps counted", 5 / 1),
        ("steps masked, dims not", 14 / 3),
        ("counted in bfloat16", RIGHT),
        ("the count + 1e-6", 5 / 2.000001),
    ],
)
def test_the_exhibits_reduce_one_small_batch_to_these_numbers(name, loss):
    assert reduce(name, SQUARED, MASK).item() == pytest.approx(loss, rel=1e-7)  # a float32 holds 2.000001
    assert right(SQUARED, MASK) == pytest.approx(RIGHT)


def test_the_exhibits_are_six_with_names_of_their_own():
    assert len(EXHIBITS) == len(WRONG_LOSSES) == 6


def test_a_slice_to_the_padded_width_is_a_mask_of_steps_alone():
    squared = torch.rand(2, 5, PADDED_DIM, generator=torch.Generator().manual_seed(0)).double()
    mask = torch.cat([rectangle(2, 3), rectangle(4, 6)])
    torch.testing.assert_close(removes_nothing.reduce(squared, mask), steps_masked_dims_not.reduce(squared, mask))


def test_a_mask_alone_says_which_steps_and_dims_hold_something_real():
    batch = batch_of(MASK)
    assert batch["step_mask"].tolist() == [[T, F]]
    assert batch["action_is_pad"].tolist() == [[F, T]]
    assert batch["dim_mask"].tolist() == [[T, T, F]]
    corner = tensor([[[T, T, F], [T, F, F]]])  # no product of steps and dims
    assert EXHIBITS["masked, then the mean over everything"].reduce(SQUARED, corner).item() == pytest.approx(21 / 6)


def test_a_bug_of_attention_is_no_loss():
    with pytest.raises(ValueError, match="replaces 'cross_mask'; expected a wrong loss"):
        upside_down.reduce(SQUARED, MASK)


# ------------------------------------------------------------------------------------------------ the symptoms


def test_without_a_mask_padding_is_fitted_and_the_loss_falls_all_the_same():
    exhibit = EXHIBITS["no mask at all"]
    assert exhibit.symptom == "padded dims are fitted as well; the loss falls all the same"
    assert (weights(exhibit.name, MASK) == 1 / 6).all()
    pred, target = torch.ones(1, 2, 3).double(), torch.zeros(1, 2, 3).double()
    losses, real_losses = [], []
    for _ in range(5):  # gradient descent
        pred = pred.detach().requires_grad_()
        loss = exhibit.reduce((pred - target).square(), MASK)
        loss.backward()
        losses.append(loss.item())
        real_losses.append(masked_velocity_loss(pred.detach(), target, MASK).item())
        pred = pred - pred.grad
    assert losses == sorted(losses, reverse=True)
    assert real_losses == sorted(real_losses, reverse=True)
    assert (pred[~MASK] < 0.5).all()  # padding came along


def test_the_mean_over_everything_is_too_small_by_the_real_part_of_the_batch():
    exhibit = EXHIBITS["masked, then the mean over everything"]
    assert exhibit.symptom.startswith("the loss is too small by the real part of the batch, a factor that changes from")
    for steps, dims in ((5, 7), (2, 7), (5, 3), (2, 3)):
        mask = rectangle(steps, dims)
        squared = torch.arange(1.0, 36, dtype=torch.float64).reshape(1, 5, 7)
        factor = exhibit.reduce(squared, mask).item() / right(squared, mask)
        assert factor == pytest.approx(steps * dims / 35)


def test_with_steps_counted_the_loss_is_too_large_by_the_number_of_real_dims():
    exhibit = EXHIBITS["entries summed, steps counted"]
    assert exhibit.symptom == "the loss is too large by the number of real dims"
    for steps, dims in ((5, 7), (2, 7), (5, 3), (2, 3)):
        mask = rectangle(steps, dims)
        squared = torch.arange(1.0, 36, dtype=torch.float64).reshape(1, 5, 7)
        assert exhibit.reduce(squared, mask).item() / right(squared, mask) == pytest.approx(dims)
    ragged = torch.cat([rectangle(2, 3), rectangle(4, 6)])  # 2 steps of 3 dims, 4 of 6: 5 on average
    assert exhibit.reduce(torch.ones(2, 5, 7), ragged).item() == pytest.approx(5)


def test_with_steps_masked_alone_padded_dims_are_fitted_wherever_the_head_is_wider():
    exhibit = EXHIBITS["steps masked, dims not"]
    assert exhibit.symptom == "padded dims are fitted, wherever the head is wider than the robot"
    wider = weights(exhibit.name, rectangle(2, 3))
    assert (wider[:, :2] == 1 / 14).all()  # all 7 dims of the 2 real steps
    assert (wider[:, 2:] == 0).all()
    squared, full_width = torch.rand(1, 5, 7, generator=torch.Generator().manual_seed(0)).double(), rectangle(2, 7)
    assert exhibit.reduce(squared, full_width).item() == pytest.approx(right(squared, full_width))


def test_a_count_in_bfloat16_is_right_up_to_256_and_rounded_above():
    exhibit = EXHIBITS["counted in bfloat16"]
    assert exhibit.symptom == "right for small batches; above 256 entries the count is rounded"
    for entries in range(1, 257):
        ones = torch.ones(1, 1, entries)
        assert exhibit.reduce(ones, ones.bool()) == 1
    counted = {257: 256, 258: 258, 259: 260, 509: 508, 514: 512, 1025: 1024}
    for entries, count in counted.items():
        ones = torch.ones(1, 1, entries, dtype=torch.float64)
        assert exhibit.reduce(ones, ones.bool()).item() == pytest.approx(entries / count, rel=1e-12)
        assert right(ones, ones.bool()) == pytest.approx(1)


def test_with_epsilon_an_empty_mask_gives_0_and_nothing_is_learned():
    exhibit = EXHIBITS["the count + 1e-6"]
    assert exhibit.symptom == "an empty mask gives 0 instead of an error, and nothing is learned"
    empty = torch.zeros_like(MASK)
    assert exhibit.reduce(SQUARED, empty) == 0
    assert (weights(exhibit.name, empty) == 0).all()
    with pytest.raises(ValueError, match="got no real entry"):
        right(SQUARED, empty)


# -------------------------------------------------------------------------------------------- true of every one


@every_exhibit
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_none_of_them_raises_and_each_gives_one_number(exhibit, dtype):
    squared = SQUARED.to(dtype)
    for mask in (MASK, ~MASK, torch.zeros_like(MASK), torch.ones_like(MASK)):
        for given in (squared, torch.full_like(squared, NAN)):
            loss = exhibit.reduce(given, mask)
            assert loss.shape == ()
            assert loss.is_floating_point()


@every_exhibit
def test_after_the_square_no_mask_can_save_the_gradient_of_an_error_that_is_nan_in_padding(exhibit):
    def gradient(loss_of):
        error = torch.where(MASK, torch.ones(1, 2, 3), NAN).requires_grad_()
        loss_of(error).backward()
        return error.grad

    by_product = gradient(lambda error: exhibit.reduce(error.square(), MASK))
    by_selection = gradient(lambda error: exhibit.reduce(torch.where(MASK, error.square(), 0.0), MASK))
    assert by_product[~MASK].isnan().any()
    assert by_selection[~MASK].isnan().all()
    ours = gradient(lambda error: masked_velocity_loss(error, torch.zeros_like(error), MASK))
    assert ours.isfinite().all()
    assert (ours[~MASK] == 0).all()


@every_exhibit
def test_each_one_looks_right_from_outside_it_is_a_positive_number_that_falls_with_the_error(exhibit):
    losses = [exhibit.reduce(SQUARED * scale, MASK).item() for scale in (4, 2, 1, 0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] > 0
    assert losses[3] == 0


@every_exhibit
def test_each_one_says_where_it_was_found(exhibit):
    assert isinstance(exhibit, Bug)
    threads = ("https://github.com/huggingface/lerobot/", "https://github.com/Physical-Intelligence/openpi/")
    others = ("huggingface/lerobot 0.6.1, policies/groot/groot_n1_7.py", "our own")
    assert any(place in exhibit.source for place in (*threads, *others))
    assert exhibit.symptom[0].islower()
    assert not exhibit.symptom.endswith(".")
