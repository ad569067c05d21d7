"""The toy task: what is asked for follows from what is seen, and padding lies where it should."""

import dataclasses

import pytest
import torch

from groot_teach.training.task import (
    ACTION_HORIZON,
    ONE_CAMERA,
    ROBOTS,
    SIDES,
    STEP_LEFT,
    TOKEN_WIDTH,
    Reaching,
    Situations,
    joint_map,
)

TASK = Reaching(padded_dim=7, cut_short=0.5, most_fillers=3)
DUAL_ARM, SMALL_ARM, HUMANOID = range(3)


def situations(**changes):
    """Two situations typed out: the dual arm is cut short after 3 steps, the small arm says no filler."""
    typed = Situations(
        robot=torch.tensor([DUAL_ARM, SMALL_ARM]),
        hand=torch.tensor([[1.0, 0.0], [0.5, -0.25]], dtype=torch.float64),
        cup=torch.tensor([[0.0, 0.0], [0.1, 0.2]], dtype=torch.float64),
        side=torch.tensor([0, 2]),
        fillers=torch.tensor([[0, 1, 2], [3, 4, 5]]),
        words_said=torch.tensor([2, 0]),
        recorded=torch.tensor([3, ACTION_HORIZON]),
    )
    return dataclasses.replace(typed, **changes)


def many(seed=0, count=200):
    return TASK.situations(count, torch.Generator().manual_seed(seed))


# ----------------------------------------------------------------------------------------------------- what is asked


def test_the_goal_is_the_cup_and_the_side():
    assert list(SIDES) == ["left", "right", "behind", "before"]
    torch.testing.assert_close(
        situations().goal, torch.tensor([[-0.4, 0.0], [0.1, 0.6]], dtype=torch.float64), rtol=0, atol=1e-15
    )


def test_the_joints_follow_the_hand_each_along_its_own_direction():
    hand = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    small = TASK.joints(hand, torch.tensor([SMALL_ARM]))[0]
    torch.testing.assert_close(small, torch.tensor([2.0, 3, 0, 0, 0, 0, 0], dtype=torch.float64))
    dual = TASK.joints(hand, torch.tensor([DUAL_ARM]))[0]
    root = 0.5**0.5
    torch.testing.assert_close(dual, torch.tensor([2, 5 * root, 3, root, 0, 0, 0], dtype=torch.float64))


@pytest.mark.parametrize("robot", range(len(ROBOTS)))
def test_the_joints_lead_back_to_the_hand(robot):
    which, hand = torch.tensor([robot]), torch.tensor([[[0.3, -0.7], [1.0, 0.2]]], dtype=torch.float64)
    torch.testing.assert_close(TASK.hand(TASK.joints(hand, which), which), hand)
    padded = TASK.joints(hand, which)
    padded[..., ROBOTS[robot].action_dim :] = 9.0
    torch.testing.assert_close(TASK.hand(padded, which), hand)


def test_each_step_goes_a_fifth_of_the_way_that_is_left():
    given = situations()
    hands = TASK.hand(TASK.wanted(given), given.robot)
    way = (hands - given.goal[:, None]).norm(dim=-1) / (given.hand - given.goal).norm(dim=-1, keepdim=True)
    expected = torch.tensor([0.8, 0.64, 0.512], dtype=torch.float64).expand(2, 3)
    torch.testing.assert_close(way[:, :3], expected)
    assert STEP_LEFT == 0.8


def test_steps_that_were_not_recorded_hold_copies_of_the_last_one():
    given = situations()
    batch, wanted = TASK.actions(given), TASK.wanted(given)
    assert batch.step_mask.tolist() == [[True] * 3 + [False] * 5, [True] * 8]
    assert torch.equal(batch.actions[0, :3], wanted[0, :3])
    assert torch.equal(batch.actions[0, 3:], wanted[0, 2].expand(5, -1))
    assert torch.equal(batch.actions[1], wanted[1])
    assert batch.dim_mask.sum(dim=1).tolist() == [4, 2]
    assert (batch.actions[~batch.dim_mask[:, None].expand_as(batch.actions)] == 0).all()


# ------------------------------------------------------------------------------------------------------ what is seen


def test_padding_comes_first_then_cameras_then_words():
    vl = TASK.observe(situations()).vl
    # the dual arm: two cameras, two fillers, the side. The small arm: two seats of padding, a camera, an empty seat.
    assert vl.backbone_attention_mask.int().tolist() == [[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]]
    assert vl.image_mask.int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    assert (vl.tokens[~vl.backbone_attention_mask] == 0).all()
    assert (vl.tokens[vl.backbone_attention_mask] != 0).all()
    assert vl.tokens.shape == (2, 5, TOKEN_WIDTH)


def test_only_the_robot_with_one_camera_has_an_empty_seat():
    given = many()
    vl = TASK.observe(given).vl
    empty = (vl.image_mask & ~vl.backbone_attention_mask).sum(dim=1)
    assert torch.equal(empty, (given.robot == ONE_CAMERA).long())


def moved(change):
    """Where tokens and state differ after a change of the first situation."""
    before, after = TASK.observe(situations()), TASK.observe(situations(**change))
    return (before.vl.tokens != after.vl.tokens).any(dim=-1).int().tolist(), not torch.equal(before.state, after.state)


def test_cameras_see_the_cup_words_say_the_side_and_the_state_knows_the_hand():
    cup, hand = situations().cup + torch.tensor([[0.1], [0]]), situations().hand + torch.tensor([[0.1], [0]])
    nothing = [0, 0, 0, 0, 0]
    assert moved({"cup": cup}) == ([[1, 1, 0, 0, 0], nothing], False)
    assert moved({"side": torch.tensor([3, 2])}) == ([[0, 0, 0, 0, 1], nothing], False)
    assert moved({"hand": hand}) == ([nothing, nothing], True)
    # of three fillers the last two are said
    assert moved({"fillers": torch.tensor([[5, 1, 2], [3, 4, 5]])}) == ([nothing, nothing], False)
    assert moved({"fillers": torch.tensor([[0, 5, 2], [3, 4, 5]])}) == ([[0, 0, 1, 0, 0], nothing], False)
    assert moved({"recorded": torch.tensor([1, 1])}) == ([nothing, nothing], False)


def test_a_longer_row_has_more_padding_and_the_same_tokens():
    short, long = TASK.observe(situations()).vl, TASK.observe(situations(), key_len=9).vl
    assert torch.equal(long.tokens[:, 4:], short.tokens)
    assert not long.backbone_attention_mask[:, :4].any()
    with pytest.raises(ValueError, match="key_len: got 4, expected 5 or more, the longest prompt's length"):
        TASK.observe(situations(), key_len=4)


# ------------------------------------------------------------------------------------------------------ what is drawn


def test_the_same_generator_draws_the_same_and_another_one_does_not():
    def drawn(seed):
        observation, batch = TASK.draw(5, torch.Generator().manual_seed(seed))
        return torch.cat([observation.state.flatten(), batch.actions.flatten()])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_everything_occurs_and_nothing_else():
    given = many(count=400)
    assert sorted(given.robot.unique().tolist()) == [0, 1, 2]
    assert sorted(given.side.unique().tolist()) == [0, 1, 2, 3]
    assert sorted(given.fillers.unique().tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(given.words_said.unique().tolist()) == [0, 1, 2, 3]
    assert sorted(given.recorded.unique().tolist()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert given.hand.abs().max() <= 1
    assert given.hand.abs().max() > 0.9
    assert 0.5 < given.cup.abs().max() <= 0.6
    assert 0.4 < (given.recorded < ACTION_HORIZON).double().mean() < 0.6


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_cut_short_is_the_part_of_the_chunks_that_are(part):
    task = dataclasses.replace(TASK, cut_short=part)
    recorded = task.situations(50, torch.Generator().manual_seed(0)).recorded
    assert ((recorded < ACTION_HORIZON) == bool(part)).all()


def test_each_robot_has_its_dims():
    is_real, follow = joint_map(7)
    assert is_real.sum(dim=1).tolist() == [4, 2, 6]
    assert torch.equal((follow != 0).any(dim=1), is_real)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padded_dim": 5}, "padded_dim: got 5, expected 6 or more"),
        ({"cut_short": 1.5}, r"cut_short: got 1\.5, expected a part, 0 to 1"),
        ({"most_fillers": -1}, "most_fillers: got -1, expected 0 or more"),
    ],
)
def test_impossible_tasks_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASK, **change)
