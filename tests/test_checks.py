"""The checks on values: what each of them lets pass, and what its error says."""

import pytest
import torch
from torch import tensor

from groot_teach.checks import (
    EARLIEST,
    answers_like,
    at_least_1,
    between_0_and_1,
    count_real,
    every_real_dim_in_one_group,
    every_row_reads,
    is_flow_time,
    not_half_precision,
    the_same_groups,
)

NAN = float("nan")


def test_a_count_is_at_least_1():
    at_least_1("steps", 1)
    for number in (0, -3):
        with pytest.raises(ValueError, match=f"^steps: got {number}, expected 1 or more$"):
            at_least_1("steps", number)


def test_0_and_1_are_between_0_and_1_and_nan_is_not():
    between_0_and_1("s", tensor([0.0, 1.0]))
    between_0_and_1("s", tensor([]))
    for values, got in (([0.5, 1.5], "0.5 to 1.5"), ([-0.5, 0.5], "-0.5 to 0.5"), ([NAN, 0.5], "nan to nan")):
        with pytest.raises(ValueError, match=f"^s: got {got}, expected 0 to 1$"):
            between_0_and_1("s", tensor(values))


def test_a_flow_time_may_lie_a_little_before_the_noise_and_not_behind_the_data():
    assert EARLIEST == -0.0011
    is_flow_time("t", tensor([EARLIEST, 1.0], dtype=torch.float64))
    with pytest.raises(ValueError, match=r"^t: got -0.002 to 1, expected a flow time, 0 \(noise\) to 1 \(data\)$"):
        is_flow_time("t", tensor([-0.002, 1.0]))
    for late in (1.5, 250.0):
        with pytest.raises(ValueError, match=rf"^t: got 0.5 to {late:g}, .*; is it a bucket, or openpi's time\?$"):
            is_flow_time("t", tensor([0.5, late]))
    with pytest.raises(ValueError, match=r"^t: got nan to nan, expected a flow time, 0 \(noise\) to 1 \(data\)$"):
        is_flow_time("t", tensor([NAN]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_named(dtype):
    not_half_precision("t", tensor([0.5]))
    not_half_precision("t", tensor([0.5], dtype=torch.float64))
    with pytest.raises(ValueError, match=f"^t: got {dtype}, expected float32 or float64; in half precision t . 1000"):
        not_half_precision("t", tensor([0.5], dtype=dtype))


def test_the_first_row_that_reads_nothing_is_named():
    every_row_reads("attention_mask", tensor([[[True, False], [True, False]]]))  # a column may be empty
    with pytest.raises(ValueError, match=r"^attention_mask\[0, 1\]: got a row without any True, expected at least one"):
        every_row_reads("attention_mask", tensor([[[True, False], [False, False]], [[False, False], [True, True]]]))


def test_the_real_entries_are_counted_and_none_is_an_error():
    count = count_real("action_mask", tensor([[True, False], [True, True]]))
    assert (count.item(), count.dtype) == (3, torch.int64)
    for mask in (tensor([False, False]), torch.ones(0, 2, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"^action_mask: got no real entry, expected at least one; a mean over"):
            count_real("action_mask", mask)


def test_groups_hold_each_real_dim_once_and_may_leave_padding_out():
    action_mask = torch.zeros(2, 7, 5, dtype=torch.bool)
    action_mask[1, 6, :3] = True  # real in one step of one sample alone
    every_real_dim_in_one_group({"arm": slice(0, 2), "claw": slice(2, 3, 1)}, action_mask)
    for groups, got in (
        ({}, "group_slices: got none, expected at least one group$"),
        (
            {"arm": slice(0, 2)},
            "group_slices: got no group for dim 2, which has real entries, expected each real dim in",
        ),
        (
            {"arm": slice(0, 3), "claw": slice(2, 5)},
            r"group_slices\['claw'\]: got dim 2, which group 'arm' has already;",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{got}"):
            every_real_dim_in_one_group(groups, action_mask)


@pytest.mark.parametrize(
    "dims",
    [
        *(slice(2, 6), slice(2, 2), slice(4, 2), slice(-1, 5), slice(2, None), slice(None, 5)),
        *(slice(2, 5, 2), slice(2, 5, -1), slice(2, 5, 0), slice(2.0, 5), slice(2, 5.0), range(2, 5), 3, "claw"),
    ],
)
def test_a_group_is_a_slice_of_whole_numbers_inside_the_last_axis(dims):
    message = r"^group_slices\['claw'\]: got .*, expected slice\(start, stop\) with 0 <= start < stop <= 5$"
    with pytest.raises(ValueError, match=message):
        every_real_dim_in_one_group({"claw": dims}, torch.ones(2, 3, 5, dtype=torch.bool))


def test_losses_and_log_scales_name_the_same_groups():
    with pytest.raises(ValueError, match=r"^losses: got none, expected at least one group$"):
        the_same_groups({}, {})
    message = r"^log_scales: got \['arm'\], expected the groups of losses, \['arm', 'claw'\]$"
    with pytest.raises(ValueError, match=message):
        the_same_groups({"arm": tensor(1.0), "claw": tensor(2.0)}, {"arm": tensor(1.0)})


def test_an_answer_is_handed_on_as_it_is_if_its_form_fits():
    like, answer = torch.zeros(2, 3), torch.ones(2, 3)
    assert answers_like(like, "velocity", lambda point, t: answer)(like, 0) is answer
    expected = r"expected torch.float32 of shape \(2, 3\) on cpu$"
    for other, gave in (
        (like[0], r"torch.float32 of shape \(3,\) on cpu"),
        (like.double(), r"torch.float64 of shape \(2, 3\) on cpu"),
        (like.to("meta"), r"torch.float32 of shape \(2, 3\) on meta"),
    ):
        with pytest.raises(ValueError, match=f"^velocity: gave {gave}, {expected}"):
            answers_like(like, "velocity", torch.clone)(other)
    with pytest.raises(TypeError, match=r"^velocity: gave a float, expected a tensor$"):
        answers_like(like, "velocity", lambda: 0.0)()


def test_a_network_can_be_the_function():
    linear = torch.nn.Linear(3, 3)
    assert answers_like(torch.zeros(2, 3), "velocity", linear)(torch.zeros(2, 3)).shape == (2, 3)
