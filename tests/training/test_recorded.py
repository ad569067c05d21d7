"""A real recording as a task: what a head sees of it, and that a run on it can be made again."""

import dataclasses
import json

import pytest
import torch
from ablation_cases import ENDS_ALIKE, assert_it_begins_the_same, assert_the_same_training
from real_data import gr1_folder

from groot_teach.training.ablation import CONDITIONS, head_for
from groot_teach.training.recorded import (
    PADDED_DIM,
    RECORDED_PLAN,
    TRIED,
    Recorded,
    RecordedEvaluation,
    ablate_recording,
    main,
    normalised,
    read_recording,
    split,
)
from groot_teach.training.run import read_records, stored
from groot_teach.training.task import ACTION_HORIZON

# Two episodes of 3 and 10 steps with 2 dims: entry 12.1 is episode 1, step 2, dim 1.
EPISODES = tuple(
    torch.arange(steps, dtype=torch.float64)[:, None] + 10 * episode + torch.tensor([0.0, 0.1], dtype=torch.float64)
    for episode, steps in enumerate((3, 10))
)
STARTS = tuple((episode, step) for episode, steps in enumerate((3, 10)) for step in range(steps))
TASK = Recorded(EPISODES, STARTS, padded_dim=3)


def test_a_chunk_goes_on_from_the_last_order_and_is_filled_with_copies():
    observation, batch = TASK.chunks([(0, 1), (1, 0), (1, 2)])
    assert observation.state[:, 0].tolist() == [[0, 0.1, 0], [10, 10.1, 0], [11, 11.1, 0]]
    assert batch.actions[0, :, 0].tolist() == [1, 2, 2, 2, 2, 2, 2, 2]
    assert batch.actions[2, :, 0].tolist() == [12, 13, 14, 15, 16, 17, 18, 19]
    assert batch.step_mask.sum(dim=1).tolist() == [2, 8, 8]
    assert batch.dim_mask.tolist() == [[True, True, False]] * 3
    assert observation.vl.backbone_attention_mask.all()


def test_every_start_is_drawn_and_no_other():
    _, batch = TASK.draw(300, torch.Generator().manual_seed(0))
    starts = batch.actions[:, 0, 0]
    assert sorted(starts.unique().tolist()) == [0, 1, 2, *range(10, 20)]
    assert (starts < 10).double().mean() == pytest.approx(3 / 13, abs=0.06)


def test_normalised_is_from_minus_one_to_one_over_all_episodes_and_still_dims_are_0():
    still = [torch.cat([episode, torch.full((len(episode), 1), 7.0).double()], dim=1) for episode in EPISODES]
    first, second = normalised(still)
    assert first[0].tolist() == [-1, -1, 0]
    assert second[-1].tolist() == [1, 1, 0]
    assert first[1].tolist() == pytest.approx([2 / 19 - 1, 2 / 19 - 1, 0])


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ((), r"episodes: got widths \[\], expected one, 3 at most"),
        ((EPISODES[0], EPISODES[1][:, :1]), r"episodes: got widths \[1, 2\]"),
        ((torch.zeros(2, 4).double(),), r"episodes: got widths \[4\]"),
    ],
)
def test_episodes_that_do_not_fit_are_refused(episodes, message):
    with pytest.raises(ValueError, match=message):
        Recorded(episodes, STARTS, padded_dim=3)


def test_a_task_without_a_start_is_refused():
    with pytest.raises(ValueError, match="starts: got none, expected at least one"):
        Recorded(EPISODES, (), padded_dim=3)
    with pytest.raises(ValueError, match="starts: got none"):
        split(EPISODES)  # too short to keep anything for the evaluation


def test_no_step_is_trained_on_and_examined():
    episodes = [torch.zeros(steps, 2).double() for steps in (130, 64)]
    train, test = split(episodes)

    def steps_of(task):
        return {
            (e, s) for e, start in task.starts for s in range(start, start + ACTION_HORIZON) if s < len(episodes[e])
        }

    assert not steps_of(train) & steps_of(test)
    assert steps_of(test) == {(0, s) for s in [*range(48, 64), *range(112, 128)]} | {(1, s) for s in range(48, 64)}
    assert steps_of(train) == {(0, s) for s in [*range(48), *range(64, 112), 128, 129]} | {(1, s) for s in range(48)}


def test_the_error_of_holding_still_is_how_far_the_robot_goes():
    evaluation = RecordedEvaluation(Recorded((EPISODES[1],), ((0, 0), (0, 8)), padded_dim=3))
    # Two chunks: from step 0, where the state is the first action itself, and from step 8, cut short after two.
    squares = [step**2 for step in range(8)] + [1, 4]
    assert evaluation.error_of_holding_still() == pytest.approx((sum(squares) / len(squares)) ** 0.5)


# ------------------------------------------------------------------------------------------------- the real recording


@pytest.fixture(scope="module")
def gr1():
    return gr1_folder()


def test_all_episodes_on_disk_are_read_and_normalised_together(gr1):
    train, test = read_recording(gr1, ["right_arm"])
    assert train.episodes == test.episodes
    assert [episode.shape for episode in train.episodes] == [(416, 7), (328, 7)]
    both = torch.cat([*train.episodes])
    assert both.amin(dim=0).tolist() == [-1] * 7
    assert both.amax(dim=0).tolist() == [1] * 7
    # 41 of each whole block of 64, of which there are 6 and 5; then 32 and 8 steps that begin another one
    assert len(train.starts) == 11 * 41 + 32 + 8
    assert len(test.starts) == 11 * 9
    with pytest.raises(ValueError, match=r"episodes: got widths \[44\], expected one, 24 at most"):
        read_recording(gr1)


def test_the_command_runs_and_says_on_what(gr1, tmp_path):
    out = tmp_path / "records.json"
    assert main([str(gr1), "--groups", "right_arm", "--seeds", "1", "--steps", "2", "--out", str(out)]) == 0
    records = read_records(out)
    assert records["about"]["dataset"] == gr1.name
    assert records["about"]["groups"] == ["right_arm"]
    assert 0 < records["about"]["holds still"] < 1
    assert [run["condition"] for run in records["runs"]] == [*RECORDED_PLAN.conditions]
    assert all(run["errors"].keys() == {*TRIED} for run in records["runs"])


def test_a_strict_head_on_a_recording_does_not_see_its_padding_and_an_open_one_does(gr1):
    train, test = read_recording(gr1, ["right_arm"])
    plan = dataclasses.replace(RECORDED_PLAN, conditions=("strict", "N1.7"), seeds=1, steps=6, width=8, batch_size=6)
    strict, opened = ablate_recording(train, test, plan)
    assert strict["errors"]["zero"] == strict["errors"]["renoise"] == strict["errors"]["as trained"]
    assert opened["errors"]["zero"] != opened["errors"]["renoise"]
    assert json.loads(json.dumps(strict))["real"] == strict["reported"]
    assert PADDED_DIM > 7
    assert ACTION_HORIZON == 8


def test_the_stored_records_are_those_of_the_plan_and_a_training_begins_the_same_when_it_is_made_again(gr1):
    records = stored("gr1_right_arm")
    assert records["about"]["plan"] == json.loads(json.dumps(dataclasses.asdict(RECORDED_PLAN)))
    assert [(run["seed"], run["condition"]) for run in records["runs"]] == [
        (seed, condition) for seed in range(RECORDED_PLAN.seeds) for condition in RECORDED_PLAN.conditions
    ]
    train, test = read_recording(gr1, records["about"]["groups"])
    assert records["about"]["holds still"] == pytest.approx(RecordedEvaluation(test).error_of_holding_still(), rel=1e-3)
    head = head_for(CONDITIONS["N1.7"], train.padded_dim, RECORDED_PLAN.width, seed=0)
    evaluation, theirs = RecordedEvaluation(test), first_of(records, "N1.7")
    assert_it_begins_the_same(head, train, RECORDED_PLAN.recipe(0), evaluation, RECORDED_PLAN, theirs)


def first_of(records, condition):
    """The stored run of the first seed."""
    return next(run for run in records["runs"] if run["condition"] == condition and run["seed"] == 0)


@pytest.mark.weekly
def test_a_stored_training_made_again_is_the_same_to_its_end(gr1):
    theirs = first_of(records := stored("gr1_right_arm"), "N1.7")
    train, test = read_recording(gr1, records["about"]["groups"])
    (mine,) = ablate_recording(train, test, dataclasses.replace(RECORDED_PLAN, conditions=("N1.7",), seeds=1))
    assert_the_same_training(mine, theirs)
    assert mine["errors"] == pytest.approx(theirs["errors"], rel=ENDS_ALIKE)
