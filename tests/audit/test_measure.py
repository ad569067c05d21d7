"""Did anything move, how far, and what padding is changed to: numbers small enough for paper."""

from math import inf, nan, sin

import pytest
import torch
from torch import Tensor

from groot_teach.audit import Tap
from groot_teach.audit.draws import Recorder, Replayer
from groot_teach.audit.measure import (
    apart,
    at_end,
    changed,
    distance,
    finite,
    in_samples,
    moved_by,
    moved_in,
    other_numbers,
    percent_of,
    reason,
    same,
    samples_with,
    signs,
    such_as,
    taps_moved,
)

EPS = torch.finfo(torch.float64).eps


def numbers(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def everywhere(tensor: Tensor) -> Tensor:
    return torch.ones_like(tensor, dtype=torch.bool)


def moved(before: Tensor, after: Tensor) -> float:
    return moved_by(before, after, everywhere(before))


# ------------------------------------------------------------------------------------------------------- how far


def test_how_far_something_moved_is_counted_in_parts_of_what_it_was():
    """(3, 4) is 5 long, and 0.5 aside is a tenth of it."""
    size = moved(numbers(3, 4), numbers(3, 3.5))
    assert size == pytest.approx(0.1)
    assert type(size) is float
    assert moved(numbers(3, 4), numbers(-3, -4)) == pytest.approx(2)


def test_what_lies_elsewhere_may_move():
    where = torch.tensor([True, False])
    assert moved_by(numbers(3, 4), numbers(3, nan), where) == 0
    assert moved_by(numbers(3, 4), numbers(6, 4), where) == 1
    assert moved_by(numbers(3, 4), numbers(6, nan), ~everywhere(where)) == 0


def test_what_becomes_nan_or_infinite_moved_infinitely_far():
    assert moved(numbers(3, 4), numbers(3, nan)) == inf
    assert moved(numbers(3, 4), numbers(inf, 4)) == inf


def test_what_was_0_and_is_not_moved_infinitely_far():
    assert moved(numbers(0, 0), numbers(0, 1e-30)) == inf
    assert moved(numbers(0, 0), numbers(0, 0)) == 0


def test_a_hundred_roundings_of_the_largest_number_are_let_pass_and_one_more_is_not():
    assert moved(numbers(1, 0), numbers(1 + 100 * EPS, 0)) == 0
    assert moved(numbers(-1, 0), numbers(-1 - 50 * EPS, 0)) == 0
    assert moved(numbers(1, 0), numbers(1 + 101 * EPS, 0)) == pytest.approx(101 * EPS, abs=0)


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_each_dim_has_a_tolerance_of_its_own(dtype, way):
    """The first dim counts ticks, and the second one opens a gripper by half; 0.5 is all that moves."""
    before = torch.tensor([[[6e4, 1.0], [-6e4, 1.0]]], dtype=dtype) * (1e12 if dtype == torch.float64 else 1)
    before[..., 1] = 1
    after = before.clone()
    after[0, 1, 1] = 1 + 0.5 * way
    assert moved(before, after) == pytest.approx(0.5 / 2**0.5)
    assert moved(before, before.clone()) == 0
    assert moved_by(before, after, torch.tensor([True, False])[:, None].expand(1, 2, 2)) == 0
    after[0, 1, 1] = 1 + min(50 * torch.finfo(dtype).eps, 1e-4)
    assert moved(before, after) == 0


def test_a_dim_of_zeros_moves_infinitely_far_and_nan_elsewhere_is_not_compared():
    before, after = numbers(1, 0, 1, nan).view(2, 2), numbers(1, 1e-30, 1, 7).view(2, 2)
    assert moved_by(before, after, before == before) == inf
    assert moved_by(before, before, before == before) == 0


def test_in_half_precision_a_single_rounding_counts():
    def half(*values: float) -> Tensor:
        return numbers(*values, dtype=torch.bfloat16)

    assert moved(half(1.0, 0.001), half(1.0078125, 0.001)) == pytest.approx(0.0078125)
    assert moved(half(1.0, 0.001), half(1.0, 0.0015)) == 0


def test_numbers_near_the_end_of_half_precision_are_measured_in_double():
    """84853 is the length of (60000, 60000), and half precision ends at 65504."""
    large = numbers(60000, 60000, dtype=torch.float16)
    assert moved(large, -large) == pytest.approx(2)


def test_sums_that_are_added_in_another_order_agree_in_half_of_their_digits():
    assert apart(numbers(1, 0), numbers(1 + 1.4e-8, 0)) == 0
    assert apart(numbers(1, 0), numbers(1 + 1.6e-8, 0)) == pytest.approx(1.6e-8)
    assert apart(numbers(3, 4), numbers(3, 3.5)) == pytest.approx(0.1)


def test_the_rounding_of_a_policy_is_let_pass_where_it_is_coarser_than_that_of_its_dtype_up_to_a_32nd():
    assert apart(numbers(1), numbers(1.0009), precision=1e-6) == 0
    assert apart(numbers(1), numbers(1.0011), precision=1e-6) == pytest.approx(0.0011)
    assert apart(numbers(1), numbers(1.0312), precision=1 / 128) == 0
    assert apart(numbers(1), numbers(1.0313), precision=1 / 128) == pytest.approx(0.0313)


def test_what_has_another_shape_is_infinitely_far_away():
    for how_far in (apart, distance):
        assert how_far(numbers(1, 1), numbers(1)) == how_far(numbers(1), numbers(1, 1)) == inf


def test_a_distance_lets_no_rounding_pass():
    assert distance(numbers(3, 4), numbers(3, 3.5)) == pytest.approx(0.1)
    assert distance(numbers(1), numbers(1 + EPS)) == pytest.approx(EPS)
    assert distance(numbers(1), numbers(1)) == 0


def test_a_tapped_module_moved_as_far_as_the_output_that_moved_furthest():
    tap = Tap("m", "tokens", "before", "behind")
    where = torch.tensor([[True, False]])
    still, far = torch.ones(1, 2, 3), torch.tensor([[[1.0, 1, 1], [9, 9, 9]]])
    assert taps_moved([still, still], [still, far], tap, where) == 0
    assert taps_moved([still, still], [still, far], tap, ~where) == pytest.approx(8)
    assert taps_moved([still, still], [far, still], tap, ~where) == pytest.approx(8)


def test_a_tapped_module_that_is_called_more_often_or_never_cannot_be_compared():
    tap, where, output = Tap("m", "tokens", "before", "behind"), torch.tensor([[True]]), torch.ones(1, 1, 1)
    assert taps_moved([output], [output, output], tap, where) == inf
    assert taps_moved([output], [], tap, where) == inf
    assert taps_moved([], [], tap, where) == inf


def test_a_sample_has_entries_wherever_they_lie_in_it():
    entries = torch.zeros(3, 2, 2, dtype=torch.bool)
    entries[0, 1, 0] = entries[2, 0, 1] = True
    assert samples_with(entries).tolist() == [True, False, True]
    assert samples_with(torch.tensor([True, False])).tolist() == [True, False]


def test_the_same_is_the_same_to_the_last_bit_and_nan_is_nan():
    assert same(numbers(1, nan), numbers(1, nan))
    assert same(numbers(1, 2), numbers(1, 2))
    assert not same(numbers(1, nan), numbers(1 + EPS, nan))
    assert not same(numbers(1, 2), numbers(1.5, 2))
    assert not same(numbers(1), torch.tensor([[1.0]], dtype=torch.float64))
    assert not same(numbers(nan), numbers(1))


def test_finite_is_neither_nan_nor_infinite_in_any_place():
    assert finite(numbers(1, 2)) is True
    assert finite(numbers(1, nan)) is False
    assert finite(numbers(1, -inf)) is False


# ------------------------------------------------------------------------------------------------- other numbers


def test_other_numbers_are_written_where_they_are_asked_for_and_nowhere_else():
    given = {"x": torch.ones(2, 2, 3), "y": torch.ones(2, 3), "mask": torch.ones(2, 3), "name": "n"}
    where = torch.tensor([[True, False, False], [False, True, True]])
    other = changed(given, {"x": 2, "y": 1}, where)
    assert torch.equal(other["y"] != 1, where)
    assert torch.equal(other["x"] != 1, where[:, None].expand(2, 2, 3))
    assert other["mask"] is given["mask"]
    assert other["name"] == "n"
    assert bool((given["x"] == 1).all())


def test_other_numbers_are_as_large_as_those_in_whose_place_they_stand():
    """The mean of 1 and 49 is 25: 5 is added, once or twice as much, either way."""
    values = torch.tensor([[1.0, 7.0]])
    assert torch.allclose(other_numbers(values), values + 5 * signs(values).float())
    assert other_numbers(values).dtype == torch.float32
    small = numbers(0.1, 0.1)
    assert torch.allclose(other_numbers(small), small + 0.1 * signs(small))


def test_zeros_are_changed_by_1_or_2_and_what_is_not_finite_like_zeros():
    zeros = torch.zeros(4, dtype=torch.float64)
    assert torch.equal(other_numbers(zeros), signs(zeros))
    assert torch.equal(other_numbers(zeros * nan), signs(zeros))
    beside_nan = other_numbers(numbers(1, 7, nan))
    assert torch.allclose(beside_nan, numbers(1, 7, 0) + 5 * signs(beside_nan))


def test_squares_beyond_half_precision_do_not_make_other_numbers_infinite():
    values = torch.full((4,), 300.0, dtype=torch.float16)
    assert torch.allclose(other_numbers(values), values + (300 * signs(values)).half())


def test_whole_numbers_become_others_that_occur_and_never_stay():
    values = torch.arange(4000) % 7 * 10
    other = other_numbers(values)
    assert bool((other != values).all())
    assert set(other.tolist()) == {0, 10, 20, 30, 40, 50, 60}
    assert {other[place].item() for place in range(0, 4000, 7)} == {10, 20, 30, 40, 50, 60}


def test_of_two_whole_numbers_each_becomes_the_other_one():
    assert other_numbers(torch.tensor([3, 5, 5, 3])).tolist() == [5, 3, 3, 5]


def test_a_whole_number_that_stands_alone_becomes_its_neighbour_nearer_to_0_and_0_becomes_1():
    assert other_numbers(torch.zeros(3, dtype=torch.long)).tolist() == [1, 1, 1]
    assert other_numbers(torch.full((3,), 5)).tolist() == [4, 4, 4]


def test_what_dropout_keeps_becomes_what_it_drops():
    assert other_numbers(torch.tensor([True, False])).tolist() == [False, True]


def test_signs_lie_between_1_and_2_either_way_and_no_two_are_alike():
    drawn = signs(torch.zeros(40, 50))
    assert drawn.shape == (40, 50)
    assert bool(((drawn.abs() >= 1) & (drawn.abs() < 2)).all())
    assert 800 < (drawn > 0).sum() < 1200
    assert len(drawn.unique()) == 2000


def test_signs_are_the_hash_with_which_the_stored_audits_were_made():
    def expected(place: int) -> float:
        size, sign = (abs(sin(place * rate + 1)) * 9973 % 1 for rate in (12.9898, 78.233))
        return (1 + size) * (-1 if sign < 0.5 else 1)

    assert signs(torch.zeros(5)).tolist() == pytest.approx([expected(place) for place in range(5)], abs=1e-9)


def test_an_output_that_is_longer_than_the_batch_is_padded_at_its_end_alone():
    real = torch.tensor([[True, False]])
    assert at_end(real, torch.zeros(1, 2, 3), 1).tolist() == [[[True], [False]]]
    assert at_end(real, torch.zeros(1, 3, 4), 2).tolist() == [[[False, False, True, False]]]
    with pytest.raises(ValueError, match="taps: got 1 entries along axis 1, expected 2 or more"):
        at_end(real, torch.zeros(1, 1), 1)
    image = real[:, None].expand(1, 3, 2)
    assert at_end(image, torch.zeros(1, 5, 3, 2), 2).tolist() == [[[[True, False]] * 3]]
    with pytest.raises(ValueError, match=r"taps: got \(3, 4\) entries along axes \(2, 3\), expected \(3, 2\)"):
        at_end(image, torch.zeros(1, 5, 3, 4), 2)


# ------------------------------------------------------------------------------------------------------ in words


def test_the_first_entry_that_is_meant_is_named_by_its_axes():
    where = torch.zeros(2, 3, 4, dtype=torch.bool)
    assert such_as(where, {"steps": 1}) == ""
    where[1, 2, 3] = where[1, 2, 1] = True
    assert such_as(where, {"steps": 1, "dims": 2}) == ", such as sample 1, step 2, dim 1"
    assert such_as(where, {"steps": 1, "steps ": 2}) == ", such as sample 1, step 2, step 1"
    assert such_as(where.any(dim=2), {"steps": 1, "dims": 2}) == ", such as sample 1, step 2"


def test_samples_are_named_one_by_one_up_to_four():
    assert in_samples([1], 9) == "in sample 1"
    assert in_samples([0, 2], 9) == "in samples 0 and 2"
    assert in_samples([0, 2, 3, 8], 9) == "in samples 0, 2, 3 and 8"
    assert in_samples([1, 2, 3, 4, 8], 9) == "in 5 of 9 samples, such as 1"


def test_no_sample_and_all_samples_need_no_name():
    assert in_samples([], 2) == ""
    assert in_samples([0, 1], 2) == ""
    assert in_samples([0], 2) == "in sample 0"
    assert in_samples([0], 1) == ""


def test_the_samples_are_named_in_which_something_moved_where_it_should_not():
    before, after = torch.ones(3, 2), torch.tensor([[1.0, 5], [1, 1], [5, 1]])
    assert moved_in(before, after, torch.tensor([[True, False]] * 3)) == "in sample 2"
    assert moved_in(before, after, torch.ones(3, 2, dtype=torch.bool)) == "in samples 0 and 2"


def test_how_far_it_moved_is_a_sentence():
    assert percent_of(0.5, "it") == "it moves by 50 %"
    assert percent_of(inf, "it") == "it becomes NaN or infinite"
    assert percent_of(nan, "it") == "it becomes NaN or infinite"


def test_the_reason_of_an_error_is_the_first_line_of_its_message():
    assert reason(ValueError("\n one\ntwo\nthree\n")) == "ValueError: one"
    assert reason(KeyError()) == "KeyError: no message"
    assert reason(RuntimeError("  ")) == "RuntimeError: no message"


def writes_into_a_parameter():
    torch.ones(1, requires_grad=True).add_(1)


def writes_where_a_gradient_looks():
    said = torch.ones(1, requires_grad=True).exp()
    said.add_(1).sum().backward()


def draws_for_a_larger_batch():
    with Replayer([torch.zeros(2)]):
        torch.rand(3)


def drops_of_a_larger_batch():
    with Replayer([torch.zeros(2)]):
        torch.dropout(torch.ones(3), 0.5, True)


def draws_with_other_numbers():
    with Recorder() as recorder:
        torch.poisson(torch.ones(2))
    with Replayer(recorder.drawn):
        torch.poisson(torch.full((2,), 5.0))


@pytest.mark.parametrize(
    ("fail", "todo"),
    [
        (writes_into_a_parameter, "let it write into a copy"),
        (writes_where_a_gradient_looks, "or use `torch.where`"),
        (draws_for_a_larger_batch, "`values={..., 'drawn 0': 1}`"),
        (drops_of_a_larger_batch, ". Dropout is set to 0"),
        (draws_with_other_numbers, ". If the numbers are predicted, hand the draw over in the batch"),
    ],
)
def test_an_error_that_is_known_comes_with_what_to_do_about_it(fail, todo):
    with pytest.raises(RuntimeError) as raised:
        fail()
    assert todo in reason(raised.value)
