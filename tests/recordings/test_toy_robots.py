import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from groot_teach.embodiments import DUAL_ARM, GR1, SO101, Embodiment
from groot_teach.padding import collate_chunks, pad_steps_with_copies
from groot_teach.recordings.chunks import chunk_at
from groot_teach.recordings.toy_robots import RAMP_STEPS, toy_episode

# Entry 21.3 is robot 2, step 1, dim 3.
EPISODE = torch.tensor([[20.0, 20.1], [21.0, 21.1], [22.0, 22.1]], dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_a_chunk_inside_the_episode_is_a_plain_slice_and_all_real():
    chunk = chunk_at(EPISODE, start=1, action_horizon=2, task="pour")
    assert chunk.actions.tolist() == [[21.0, 21.1], [22.0, 22.1]]
    assert chunk.action_is_pad.tolist() == [False, False]
    assert chunk.task == "pour"


def test_a_chunk_past_the_end_repeats_the_last_step_and_marks_the_copies_true():
    chunk = chunk_at(EPISODE, start=1, action_horizon=5)
    assert chunk.actions.tolist() == [[21.0, 21.1], [22.0, 22.1], [22.0, 22.1], [22.0, 22.1], [22.0, 22.1]]
    assert chunk.action_is_pad.tolist() == [False, False, True, True, True]
    assert chunk.task == ""


def test_the_last_step_starts_a_chunk_with_one_real_step():
    chunk = chunk_at(EPISODE, start=2, action_horizon=3)
    assert chunk.actions.tolist() == [[22.0, 22.1]] * 3
    assert chunk.action_is_pad.tolist() == [False, True, True]


def test_a_last_step_that_was_really_recorded_is_not_marked_as_padding():
    still = torch.ones(3, 2)
    assert not chunk_at(still, start=0, action_horizon=3).action_is_pad.any()


@pytest.mark.parametrize("start", [-1, 3, 7])
def test_a_start_outside_the_episode_is_refused_with_what_came_and_what_was_expected(start):
    with pytest.raises(ValueError, match=rf"start: got {start}, expected 0 to 2"):
        chunk_at(EPISODE, start=start, action_horizon=2)


def test_an_episode_without_steps_has_no_start():
    with pytest.raises(ValueError, match=r"start: got 0.*0 steps"):
        chunk_at(torch.zeros(0, 2), start=0, action_horizon=2)


@pytest.mark.parametrize("horizon", [0, -2])
def test_a_chunk_without_steps_is_refused(horizon):
    with pytest.raises(ValueError, match=f"action_horizon: got {horizon}, expected 1 or more"):
        chunk_at(EPISODE, start=0, action_horizon=horizon)


def test_a_chunk_does_not_share_memory_with_its_episode():
    episode = EPISODE.clone()
    chunk = chunk_at(episode, start=0, action_horizon=2)
    chunk.actions[0, 0] = -1
    assert episode[0, 0] == 20.0


def test_an_episode_must_be_two_dimensional_floats():
    with pytest.raises(TypeCheckError):
        chunk_at(torch.zeros(3), start=0, action_horizon=2)
    with pytest.raises(TypeCheckError):
        chunk_at(torch.zeros(3, 2, dtype=torch.int64), start=0, action_horizon=2)


@given(steps=st.integers(1, 13), horizon=st.integers(1, 17), data=st.data())
def test_clamped_indices_are_the_same_as_cutting_first_and_copying_after(steps, horizon, data):
    start = data.draw(st.integers(0, steps - 1))
    episode = torch.arange(steps * 3, dtype=torch.float64).reshape(steps, 3)
    chunk = chunk_at(episode, start, horizon)
    padded = pad_steps_with_copies(episode[start : start + horizon], horizon)
    assert torch.equal(chunk.actions, padded.actions)
    assert torch.equal(chunk.action_is_pad, padded.action_is_pad)
    assert not chunk.action_is_pad[0]
    assert int((~chunk.action_is_pad).sum()) == min(horizon, steps - start)


def test_chunks_of_three_robots_collate_into_one_batch():
    robots = (DUAL_ARM, GR1, SO101)
    episodes = [toy_episode(robot, steps=11, generator=seeded(0)) for robot in robots]
    chunks = [chunk_at(actions, start, action_horizon=7) for actions, start in zip(episodes, (0, 5, 10), strict=True)]
    batch = collate_chunks(chunks, padded_dim=32)
    assert batch.actions.shape == (3, 7, 32)
    assert batch.dim_mask.sum(dim=1).tolist() == [16, 26, 6]
    assert batch.step_mask.sum(dim=1).tolist() == [7, 6, 1]


@pytest.mark.parametrize("robot", [DUAL_ARM, GR1, SO101], ids=lambda robot: robot.name)
def test_a_toy_episode_has_the_robots_shape_and_stays_in_range(robot):
    actions = toy_episode(robot, steps=211, generator=seeded(3))
    assert actions.shape == (211, robot.action_dim)
    assert actions.dtype == torch.float64
    assert actions.abs().max() <= 1
    # Every dim moves, or a chapter that looks at it would look at nothing.
    assert (actions.amax(0) - actions.amin(0)).min() > 0.5


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.sampled_from(["arm", "left_claw", "Gripper", "right_hand", "neck"]), st.integers(1, 7)),
        min_size=1,
        unique_by=lambda group: group[0],
    ),
    steps=st.integers(1, 67),
    seed=st.integers(0, 2**31),
)
def test_any_robot_gets_an_episode_of_any_length_inside_the_range(sizes, steps, seed):
    robot = Embodiment("any", tuple(sizes), embodiment_id=0)
    actions = toy_episode(robot, steps, seeded(seed))
    assert actions.shape == (steps, robot.action_dim)
    assert actions.isfinite().all()
    assert actions.abs().max() <= 1


def test_the_same_seed_gives_the_same_episode_and_another_seed_another():
    first, again, other = (toy_episode(DUAL_ARM, 31, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_generator_gives_new_episodes_as_it_goes():
    generator = seeded(5)
    assert not torch.equal(toy_episode(SO101, 31, generator), toy_episode(SO101, 31, generator))


def test_toy_episodes_leave_the_global_seed_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    toy_episode(GR1, 31, seeded(1))
    assert torch.equal(torch.rand(3), expected)


def test_neither_arms_nor_grippers_ever_jump():
    # A minimum-jerk move is fastest in its middle: 15/8 of its mean speed. The farthest move is 2, in 10 steps or in 4.
    actions = toy_episode(DUAL_ARM, 499, seeded(2))
    step = (actions[1:] - actions[:-1]).abs()
    assert step[:, :14].max() <= 15 / 8 * 2 / 10
    assert step[:, 14:].max() <= 15 / 8 * 2 / RAMP_STEPS


def test_grippers_are_open_or_closed_most_of_the_time_and_ramp_between():
    claw = toy_episode(DUAL_ARM, 499, seeded(2))[:, 14:]
    assert (claw.abs() == 1).double().mean() > 0.75
    for side in claw.T:
        moving = (side.abs() < 1).tolist()
        ramps = "".join("m" if step else " " for step in moving).split()
        # A ramp has RAMP_STEPS moves, of which the last one arrives.
        assert set(map(len, ramps)) <= set(range(1, RAMP_STEPS))
        assert {-1.0, 1.0} <= set(side.tolist())


def test_claws_move_on_their_own_and_the_fingers_of_a_hand_together():
    claw = toy_episode(DUAL_ARM, 211, seeded(2))[:, 14:]
    assert not torch.equal(claw[:, 0], claw[:, 1])
    hands = toy_episode(GR1, 211, seeded(2))
    left, right = hands[:, 14:20], hands[:, 20:26]
    assert torch.equal(left, left[:, :1].expand(-1, 6))
    assert not torch.equal(left, right)


@pytest.mark.parametrize("steps", [0, -3])
def test_an_episode_without_steps_is_refused(steps):
    with pytest.raises(ValueError, match=f"steps: got {steps}, expected 1 or more"):
        toy_episode(SO101, steps, seeded(0))
