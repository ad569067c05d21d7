"""What a loss depends on, and where it is smallest: losses whose answer is plain."""

import pytest
import torch
from torch import Tensor

from groot_teach.audit import Answer, Padding
from groot_teach.audit.gradients import (
    _is_target,
    ask_with_graph,
    by_place,
    depends_on_more,
    find_target,
    gradient_and_more,
    gradient_at,
    gradients,
    is_compared,
    is_detached,
)
from groot_teach.audit.policy import Policy


def numbers(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


TARGET, COUNTS, START = numbers(1, -2, 3), numbers(1, 2, 0), numbers(0.5, 0.5, 0.5)
EXPECTED = [1, -2, 0.5]
"""The last entry does not count, and keeps the number that it has at the start."""


def squared(said: Tensor) -> Tensor:
    return (COUNTS * (said - TARGET).square()).sum()


def absolute(said: Tensor) -> Tensor:
    return (COUNTS * (said - TARGET).abs()).sum()


# ----------------------------------------------------------------------------------------- where a loss is smallest


def test_the_target_of_a_squared_error_is_found_by_two_gradients_and_entries_that_do_not_count_stay():
    calls = []

    def counted(said: Tensor) -> Tensor:
        calls.append(said)
        return squared(said)

    assert find_target(counted, START).tolist() == pytest.approx(EXPECTED, abs=1e-12)
    assert len(calls) == 2 + 3  # an error of 0, 1 and -1 proves it


def test_gradients_that_are_known_are_not_asked_again():
    calls = []

    def counted(said: Tensor) -> Tensor:
        calls.append(said)
        return squared(said)

    known = [gradient_at(squared, START + beside) for beside in (0, 1)]
    assert find_target(counted, START, *known).tolist() == pytest.approx(EXPECTED, abs=1e-12)
    assert len(calls) == 3


def test_the_target_of_an_absolute_error_is_closed_in_by_halving():
    assert find_target(absolute, START).tolist() == pytest.approx(EXPECTED, abs=1e-12)
    found = find_target(lambda said: absolute(said.double()), START.float())
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(EXPECTED, abs=1e-5)


@pytest.mark.parametrize(
    ("start", "target"), [([0.0], [15.5]), ([1.0], [20.0]), ([-3.0], [50.0]), ([0.0, 10.0], [100.0, 10.0])]
)
def test_a_target_is_looked_for_sixteen_times_as_far_away_as_predictions_are_large(start, target):
    def distance(said: Tensor) -> Tensor:
        return (said - numbers(*target)).abs().sum() / 4

    assert find_target(distance, numbers(*start)).tolist() == pytest.approx(target, abs=1e-10)


def test_a_padded_entry_that_is_predicted_as_nan_does_not_hide_where_the_others_are_smallest():
    start = numbers(0.5, 0.5, torch.nan)
    found = find_target(lambda said: (said - TARGET)[:2].abs().sum(), start)
    assert found[:2].tolist() == pytest.approx([1, -2], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_entry_that_counts_a_thousand_times_less_still_has_its_target(dtype):
    found = find_target(lambda said: (numbers(1, 1e-3) * (said.double() - 2).square()).sum(), numbers(0, 0).to(dtype))
    assert found.tolist() == pytest.approx([2, 2], abs=1e-3)


def test_two_gradients_are_enough_for_a_small_squared_error_as_well():
    calls = []

    def tiny(said: Tensor) -> Tensor:
        calls.append(said)
        return 1e-7 * squared(said)

    assert find_target(tiny, START).tolist() == pytest.approx(EXPECTED, abs=1e-8)
    assert len(calls) == 2 + 3


def test_an_entry_that_counts_ten_million_times_less_counts_as_nothing_and_stays():
    found = find_target(lambda said: (numbers(1, 1e-7, 0) * (said - TARGET).square()).sum(), START)
    assert found.tolist() == pytest.approx([1, 0.5, 0.5])


@pytest.mark.parametrize("side", [1, -1])
def test_an_entry_whose_error_costs_on_one_side_alone_stays(side):
    def hinged(said: Tensor) -> Tensor:
        return (said[0] - 1.2).abs() + 1e-6 * (side * said[1] - 2).relu()

    assert find_target(hinged, numbers(0.5, 0.5)).tolist() == pytest.approx([1.2, 0.5], abs=1e-12)


@pytest.mark.parametrize("place", [0.5, 1.5])
def test_a_gradient_that_is_nan_in_a_single_entry_hides_the_target_though_the_loss_is_a_number(place):
    """The root of an error of exactly 0: at the start, or 1 beside it."""
    rooted = lambda said: (said[0] - 1).square() + (said[1] - place).square().sqrt()  # noqa: E731
    assert find_target(rooted, numbers(0.5, 0.5)) is None


def test_a_loss_that_has_no_smallest_place_has_no_target():
    assert find_target(lambda said: said.sum(), START) is None
    assert find_target(lambda said: -said.square().sum(), START) is None
    assert find_target(lambda said: (said - 1).relu().sum(), START) is None
    assert find_target(lambda said: said.sum() * 0, START) is None


def test_a_gradient_that_is_nan_at_the_start_or_beside_it_has_no_target():
    assert find_target(lambda said: said.sqrt().sum(), numbers(-0.5)) is None
    assert find_target(lambda said: (1.2 - said).sqrt().sum(), numbers(0.5)) is None


def losses(none: float, more: float, less: float):
    """What an error of 0, of 1 and of -1 costs."""
    return lambda said: numbers({0.0: none, 1.0: more, -1.0: less}[said.item()]).squeeze()


def test_a_target_is_where_an_error_costs_the_same_either_way_and_more_than_none():
    zero = numbers(0)
    assert _is_target(losses(0, 1, 1), zero) is True
    assert _is_target(losses(7, 9, 9), zero)
    assert not _is_target(losses(0, 0, 0), zero)
    assert not _is_target(losses(1, 0, 0), zero)
    assert not _is_target(losses(0, 1, 2), zero)
    assert not _is_target(losses(0, 2, 1), zero)


def test_a_target_is_as_sharp_as_its_numbers():
    """A ten thousandth may be missing; in bfloat16, of which a rounding is 1 / 128, sixteen of these: an eighth."""
    assert _is_target(losses(0, 1, 1 - 0.9e-4), numbers(0))
    assert not _is_target(losses(0, 1, 1 - 1.1e-4), numbers(0))
    assert _is_target(losses(0, 100, 100 - 0.9e-2), numbers(0))
    assert not _is_target(losses(7, 8, 8 - 1.1e-4), numbers(0))
    assert _is_target(losses(0, 1, 0.88), numbers(0, dtype=torch.bfloat16))
    assert not _is_target(losses(0, 1, 0.87), numbers(0, dtype=torch.bfloat16))


# -------------------------------------------------------------------------------------------------- its gradient


def test_what_is_asked_depends_on_one_of_two_and_not_on_the_other():
    used, unused = numbers(2, 3).requires_grad_(), numbers(5, 6, 7).requires_grad_()
    asked = used.square().sum()
    for _ in range(2):  # each step is asked of the same graph
        with torch.no_grad():
            found = gradients(asked, {"unused": unused, "used": used})
        assert {name: one.tolist() for name, one in found.items()} == {"unused": [0, 0, 0], "used": [4, 6]}


def test_a_prediction_is_asked_for_all_that_is_real_in_it_and_no_two_entries_can_cancel():
    """Without weights the gradient by the only number that this policy reads would be 1 - 2 + 1 = 0."""
    given = {"x": torch.ones(2, 2, dtype=torch.float64).requires_grad_()}
    real, by_first = torch.tensor([[True, True], [True, False]]), numbers(1, -2, 1, 5).reshape(2, 2)
    policy = Policy(lambda b: Answer(b["x"][0, 0] * by_first), given, [Padding("steps", real, {"x": 1})])
    with torch.no_grad():
        heard, asked = ask_with_graph(policy, given, real)
        found = gradients(asked, given)["x"]
    assert torch.equal(heard.prediction, by_first)
    assert torch.equal(asked != 0, real)
    assert found[0, 0] == pytest.approx(asked.sum().item())
    assert found[0, 0] != 0


def test_the_size_of_a_gradient_is_summed_for_each_place():
    gradient = torch.arange(48.0).reshape(2, 3, 2, 4).requires_grad_()
    for place, others in ((1, (2, 3)), (2, (1, 3)), (3, (1, 2))):
        found = by_place(-gradient, place)
        assert torch.equal(found, gradient.detach().double().sum(dim=others))
    assert not found.requires_grad


def test_sizes_beyond_half_precision_are_summed_in_double():
    assert by_place(torch.full((1, 1, 2), 60000, dtype=torch.float16), 1).tolist() == [[120000]]


def test_the_gradient_at_a_prediction_is_that_of_the_loss_and_may_be_asked_without_a_graph():
    with torch.no_grad():
        assert gradient_at(squared, START).tolist() == [2 * (0.5 - 1), 4 * (0.5 + 2), 0]


def test_a_loss_that_does_not_look_at_the_prediction_has_a_gradient_of_zeros():
    weight = numbers(3).requires_grad_()
    assert gradient_at(lambda said: numbers(3).sum(), START).tolist() == [0, 0, 0]
    assert gradient_at(lambda said: weight.sum(), START).tolist() == [0, 0, 0]


def test_a_loss_is_detached_if_it_moves_with_the_prediction_and_has_no_gradient_by_it():
    weight = numbers(3).requires_grad_()
    with torch.no_grad():
        assert is_detached(lambda said: squared(said.detach()), START) is True
        assert is_detached(squared, START) is False
        assert is_detached(lambda said: numbers(3).sum(), START) is False
        assert is_detached(lambda said: weight.sum(), START) is False


def test_a_target_is_compared_and_what_is_read_meets_its_weights_first():
    layer, bias = torch.nn.Linear(3, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    read, target, both = (numbers(1, 2, 3).requires_grad_() for _ in range(3))
    loss = (layer(read + both) - (target - both) * 2).square().sum() + (layer(read) * read).sum() + bias.sum()
    known = read, target, both
    assert [is_compared(loss, one, known) for one in known] == [True, True, True]  # `layer(read) * read` is one way
    loss = (layer(read + bias + both) - (target - both) * 2).square().sum() + (bias * read).sum()
    assert [is_compared(loss, one, known) for one in known] == [False, True, True]
    assert not is_compared(layer(read).sum(), target, known)


def test_a_loss_depends_on_more_than_the_prediction_if_it_has_a_gradient_by_anything_else():
    weight = numbers(3).requires_grad_()
    for more, loss_of in ((False, squared), (True, lambda said: squared(said) + weight.sum())):
        gradient, depends = gradient_and_more(loss_of, START)
        assert (gradient.tolist(), depends) == (gradient_at(squared, START).tolist(), more)
    one, other = START.clone().requires_grad_(), START.clone().requires_grad_()
    loss = squared(one + other)
    assert not depends_on_more(loss, [one, other])
    assert not depends_on_more(loss, [weight, other, one])
    assert depends_on_more(loss, [one])
    assert depends_on_more(loss, [])
