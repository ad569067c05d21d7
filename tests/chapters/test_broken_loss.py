"""What the live picture of a broken loss computes: the numbers of the catalogue's wrong losses and of the library."""

from math import isnan

import pytest
import torch

from groot_teach import bugs
from groot_teach.chapters.broken_losses.broken_loss import DIVISORS, WAYS, broken_loss, broken_loss_picture
from groot_teach.loss import masked_velocity_loss

TIMES, SQUARE_FIRST, SELECT_FIRST = WAYS
COUNT, EPSILON, AT_LEAST_1, OURS = DIVISORS
ERROR = torch.tensor([3.0, 1.0, 5.0], dtype=torch.float64)
COUNTS, NONE = torch.tensor([True, True, False]), torch.zeros(3, dtype=torch.bool)
WITH_NAN = torch.tensor([3.0, 1.0, torch.nan], dtype=torch.float64)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("divide_by", [COUNT, AT_LEAST_1, OURS])
def test_with_finite_padding_all_ways_give_the_mean_of_9_and_1(way, divide_by):
    report = broken_loss(ERROR, COUNTS, way, divide_by)
    assert (report.loss, report.gradient, report.of_weight) == (5, [3, 1, 0], 4)
    assert (report.right, report.right_of_weight) == (5, 4)


@pytest.mark.parametrize(
    ("way", "loss", "gradient"), [(TIMES, False, False), (SQUARE_FIRST, True, False), (SELECT_FIRST, True, True)]
)
def test_a_nan_in_the_padding_leaves_loss_and_gradient_as_the_chapter_says(way, loss, gradient):
    report = broken_loss(WITH_NAN, COUNTS, way, COUNT)
    assert (report.loss == report.right == 5, report.of_weight == report.right_of_weight == 4) == (loss, gradient)
    assert report.gradient is not None
    assert report.gradient[:2] == [3, 1]
    assert isnan(report.gradient[2]) is not gradient


@pytest.mark.parametrize(
    ("bug", "way", "divide_by"),
    [(bugs.masked_after_the_square, TIMES, COUNT), (bugs.count_plus_epsilon, TIMES, EPSILON)],
)
@pytest.mark.parametrize("error", [ERROR, WITH_NAN])
@pytest.mark.parametrize("counts", [COUNTS, NONE])
def test_the_wrong_losses_are_those_of_the_catalogue(bug, way, divide_by, error, counts):
    pred = error.clone().requires_grad_()
    loss = bug.reduce(pred.square()[None, None], counts[None, None])
    (gradient,) = torch.autograd.grad(loss, pred)
    report = broken_loss(error, counts, way, divide_by)
    assert torch.tensor(report.loss).double().allclose(loss.detach(), equal_nan=True)
    assert torch.tensor(report.gradient).double().allclose(gradient, equal_nan=True)


def test_where_nothing_counts_the_library_raises_and_the_others_give_a_nan_or_a_quiet_0():
    refused = broken_loss(ERROR, NONE, SELECT_FIRST, OURS)
    assert (refused.divisor, refused.loss, refused.gradient, refused.right) == (None, None, None, None)
    with pytest.raises(ValueError, match="no real entry"):
        masked_velocity_loss(ERROR[None, None], ERROR[None, None], NONE[None, None])
    quiet = [broken_loss(ERROR, NONE, TIMES, divide_by) for divide_by in (EPSILON, AT_LEAST_1)]
    assert [(report.loss, report.of_weight) for report in quiet] == [(0, 0)] * 2
    loud = broken_loss(ERROR, NONE, TIMES, COUNT)
    assert loud.loss is not None
    assert isnan(loud.loss)
    assert loud.of_weight is not None
    assert isnan(loud.of_weight)


def test_a_nan_that_counts_stays_a_nan_in_the_library_too():
    report = broken_loss(WITH_NAN, ~COUNTS, SELECT_FIRST, OURS)
    assert report.right is not None
    assert isnan(report.right)
    assert report.loss is not None
    assert isnan(report.loss)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"painted": "10"}, "painted: got '10', expected 8 digits"),
        ({"nan": "2" * 8}, "nan: got '22222222', expected 8 digits, each 0 or 1"),
        ({"way": "square"}, "way: got 'square', expected one of square, then × mask; "),
        ({"divide_by": "steps"}, r"divide_by: got 'steps', expected one of count \(N1.5\); "),
    ],
)
def test_a_state_that_the_picture_does_not_know_is_refused(part, complaint):
    picture = broken_loss_picture()
    with pytest.raises(ValueError, match=complaint):
        picture.state = picture.state | part
