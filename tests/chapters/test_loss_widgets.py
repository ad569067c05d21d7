"""What the widgets of chapter 3 compute: answers from paper, and what must and must not move."""

import itertools

import pytest
import torch

from groot_teach.chapters.loss.pictures import (
    DIVISORS,
    HEAD_DIM,
    MASKS,
    ROBOTS,
    SLICE_DIM,
    TOY_DUAL_ARM,
    count_the_errors,
    toy_error,
    two_chunks,
    weigh_the_entries,
)
from groot_teach.loss import group_velocity_losses, masked_velocity_loss
from groot_teach.padding import action_mask_dims_and_steps, action_mask_dims_only
from groot_teach.show import explore

COPIES = range(3)
STATES = [
    dict(zip(("action_mask", "slice_to_4", "divide_by", "copied_steps", "second_robot"), values, strict=True))
    for values in itertools.product(MASKS.values(), (False, True), DIVISORS.values(), COPIES, ROBOTS.values())
]


def panels(**moved):
    state = {"action_mask": "none", "slice_to_4": True, "divide_by": "all", "copied_steps": 0}
    return count_the_errors(**state | {"second_robot": "dual arm"} | moved)


def value(title, **moved):
    return panels(**moved)[title].value


def loss(**moved):
    return value("the loss", **moved)


def shares(**moved):
    bars = panels(**moved)["share of the loss"]
    return dict(zip(bars.labels, bars.values, strict=True))


# ------------------------------------------------------------------------------------------- answers from paper


def test_the_counts_and_divisors_from_paper():
    """Two dual arms: 2 x 3 x 4 entries in the slice, 2 x 3 x 8 without, 6 steps."""
    for slice_to_4, entries in ((True, 24), (False, 48)):
        assert value("entries summed", slice_to_4=slice_to_4) == entries
        assert value("divided by", slice_to_4=slice_to_4) == entries
        assert value("divided by", slice_to_4=slice_to_4, divide_by="steps") == 6
    assert value("entries summed", slice_to_4=False, action_mask="dims") == 24
    assert value("divided by", slice_to_4=False, action_mask="dims") == 48
    assert value("divided by", slice_to_4=False, action_mask="dims", divide_by="valid") == 24


def test_copies_are_counted_or_not_as_the_mask_says():
    """The small arm with 1 of 3 steps recorded: 12 entries of the dual arm, then 2 x 3, or 2 x 1."""
    state = {"second_robot": "small arm", "copied_steps": 2, "divide_by": "steps"}
    assert value("entries summed", action_mask="dims", **state) == 12 + 6
    assert value("entries summed", action_mask="dims_and_steps", **state) == 12 + 2
    assert value("divided by", action_mask="dims", **state) == 6
    assert value("divided by", action_mask="dims_and_steps", **state) == 4


def test_what_each_entry_is_from_paper():
    state = {"second_robot": "small arm", "copied_steps": 1}

    def cells(**moved):
        return panels(**state | moved)["what counts"].cells

    full, recorded, copied = "rrrrpppp", "rrpppppp", "hhpppppp"
    assert cells(action_mask="dims_and_steps") == [full] * 3 + [recorded] * 2 + [copied]
    assert cells(action_mask="dims")[5] == "ccpppppp"
    assert cells(action_mask="none") == [full] * 3 + ["rrddpppp"] * 2 + ["ccddpppp"]
    assert cells(action_mask="none", slice_to_4=False)[5] == "ccdddddd"
    assert cells(second_robot="humanoid", action_mask="dims")[5] == "cccchhpp"
    assert cells(second_robot="humanoid", action_mask="dims")[3] == "rrrrxxpp"
    assert cells(second_robot="humanoid", action_mask="dims", slice_to_4=False)[3] == "rrrrrrpp"


def test_errors_are_1_or_2_in_real_dims_and_3_in_padded_ones():
    for robot in ROBOTS.values():
        batch = two_chunks(robot, 1)
        error = toy_error(batch)
        dims = action_mask_dims_only(batch.dim_mask, 3)
        assert set(error[dims].tolist()) == {1.0, 2.0}
        assert set(error[~dims].tolist()) == {3.0}


def test_a_share_from_paper():
    """Small arm, one step recorded, no mask: two copied steps of two dims, and 3 x 2 padded entries of 9 each."""
    state = {"second_robot": "small arm", "copied_steps": 2}
    error = toy_error(two_chunks(**state))
    total = error[:, :, :4].square().sum().item()
    found = shares(action_mask="none", **state)
    assert found["padded dims"] == round(6 * 9 / total, 3)
    assert found["copied steps"] == round(error[1, 1:, :2].square().sum().item() / total, 3)


# ---------------------------------------------------------------------------------------------- all the states


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_loss_is_the_last_map_squared_over_the_divisor(state):
    shown = count_the_errors(**state)
    kept = torch.tensor(shown["error x mask"].values)
    divisor = shown["divided by"].value
    assert shown["the loss"].value == round(kept.square().sum().item() / divisor, 3)
    letters = "".join(shown["what counts"].cells)
    assert sum(map(letters.count, "rcd")) == shown["entries summed"].value == (kept != 0).sum()
    assert abs(sum(shown["share of the loss"].values) - 1) <= 0.002


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_last_map_is_the_gradient_as_the_text_says(state):
    """Autograd on the same loss, written another way: entries that do not count are taken out before the square."""
    shown = count_the_errors(**state)
    error = torch.tensor(shown["error"].values, dtype=torch.float64, requires_grad=True)
    letters = [list(row) for row in shown["what counts"].cells]
    counts = torch.tensor([[letter in "rcd" for letter in row] for row in letters])
    divisor = shown["divided by"].value
    (error[counts].square().sum() / divisor).backward()
    expected = 2 * torch.tensor(shown["error x mask"].values, dtype=torch.float64) / divisor
    torch.testing.assert_close(error.grad, expected)


@pytest.mark.parametrize("robot", ROBOTS.values())
@pytest.mark.parametrize("copied_steps", COPIES)
def test_without_a_slice_the_full_mask_and_its_own_count_give_the_loss_of_the_library(robot, copied_steps):
    batch = two_chunks(robot, copied_steps)
    error = toy_error(batch)
    mask = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    expected = round(masked_velocity_loss(error, torch.zeros_like(error), mask).item(), 3)
    state = {"action_mask": "dims_and_steps", "divide_by": "valid", "copied_steps": copied_steps}
    shown = panels(second_robot=robot, slice_to_4=False, **state)
    assert shown["the loss"].value == shown["the loss"].should_be == expected


# ------------------------------------------------------------------------------------------ invariants in pairs


def test_behind_the_slice_the_mask_is_a_no_op_for_two_dual_arms_and_not_for_the_small_arm():
    def losses(robot, divide_by):
        return {loss(action_mask=mask, second_robot=robot, divide_by=divide_by) for mask in MASKS.values()}

    for divide_by in DIVISORS.values():
        assert len(losses("dual arm", divide_by)) == 1
        assert len(losses("small arm", divide_by)) == 2  # no copies: the two masks agree


def test_without_the_slice_the_mask_does_everything():
    assert loss(slice_to_4=False) > loss(slice_to_4=False, action_mask="dims", divide_by="valid") == loss()


def test_copies_move_the_loss_only_where_steps_are_masked():
    for mask, number in (("none", 1), ("dims", 1), ("dims_and_steps", 3)):
        found = {loss(action_mask=mask, divide_by="valid", copied_steps=copies) for copies in COPIES}
        assert len(found) == number, mask


def test_a_divisor_moves_the_loss_and_no_share():
    state = {"second_robot": "small arm", "action_mask": "dims_and_steps", "copied_steps": 1}
    assert len({loss(divide_by=divisor, **state) for divisor in DIVISORS.values()}) == 3
    found = [shares(divide_by=divisor, **state) for divisor in DIVISORS.values()]
    assert found[0] == found[1] == found[2]


def test_the_slice_cuts_the_hands_off_the_humanoid_and_nothing_off_the_others():
    for robot in ROBOTS.values():
        letters = "".join(panels(second_robot=robot, action_mask="dims_and_steps")["what counts"].cells)
        assert ("x" in letters) is (robot == "humanoid")


def test_the_sizes_of_the_toy_are_all_different():
    assert len({2, two_chunks("dual arm", 0).actions.shape[1], HEAD_DIM, SLICE_DIM}) == 4
    assert TOY_DUAL_ARM.action_dim == SLICE_DIM


@pytest.mark.parametrize(
    ("argument", "wrong"), [("action_mask", "both"), ("divide_by", "mean"), ("second_robot", "GR1")]
)
def test_an_unknown_word_is_refused_with_the_known_ones(argument, wrong):
    with pytest.raises(ValueError, match=rf"{argument}: got '{wrong}', expected one of '"):
        panels(**{argument: wrong})


@pytest.mark.parametrize("copied_steps", [-1, 3])
def test_a_chunk_without_a_real_step_or_with_too_many_is_refused(copied_steps):
    with pytest.raises(ValueError, match="actions: got"):
        panels(copied_steps=copied_steps)


# ----------------------------------------------------------------------------------------- what an entry weighs


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
    torch.testing.assert_close(found[:2, :4], torch.tensor([[0.167, 0.167, 0.167, 0.5]] * 2))
    assert found.sum() == found[:2, :4].sum()
    assert total == 2


def test_a_plain_mean_weighs_padding_too():
    found, total = weights(lambda pred, target, mask: (pred - target).square().mean())
    assert torch.equal(found, torch.full((3, HEAD_DIM), 1 / 24).mul(1000).round().div(1000))
    assert total == 1


def test_an_unknown_toy_robot_is_refused():
    with pytest.raises(ValueError, match=r"robot: got 'GR1', expected one of 'dual arm'"):
        weigh_the_entries(masked_velocity_loss, "GR1", 2)


# ----------------------------------------------------------------------------------------------------- the page


def test_the_widget_fits_the_page():
    explorer = explore(
        count_the_errors,
        action_mask=MASKS,
        slice_to_4=True,
        divide_by=DIVISORS,
        copied_steps=(0, 2),
        second_robot=ROBOTS,
    )
    html = explorer._repr_mimebundle_()[0]["text/html"]
    assert len(html.encode()) < 100_000
    assert html.count("<td") < 300
    assert explorer.state["copied_steps"] == 0
