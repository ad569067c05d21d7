"""A batch with a robot that was really recorded, through every preset: what leaks is what each says of itself.

A toy dual arm, GR1 from NVIDIA's demo recording, and a toy SO-101: 16, 26 and 6 dims; 16, 8 and 7 of 16 steps.
"""

from dataclasses import replace

import pytest
import torch
from real_data import gr1_folder

from groot_teach.chapters.inside.policy import GARBLES, HORIZON, OUTPUTS, PADDED_DIM, moves, toy_policy
from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.head.action_head import Observation
from groot_teach.head.stage_probes import leaks_found
from groot_teach.masks import PRESETS, open_leaks
from groot_teach.padding import ActionBatch, VLBatch, collate_chunks
from groot_teach.recordings import chunk_at, open_dataset, read_episode, toy_episode

SIZES_OF = {"GR00T N1.5": "N1.5", "GR00T N1.6": "N1.6"}  # the others have those of N1.7
EACH_PRESET = pytest.mark.parametrize("masking", PRESETS, ids=lambda masking: masking.name)


@pytest.fixture(scope="module")
def recorded():
    """The end of a real GR1 episode: its last 8 steps, and 8 copies. The numbers are radians, up to 3: made 1 here."""
    episode = read_episode(open_dataset(gr1_folder()), 4, [name for name, _ in GR1.groups])
    return chunk_at(episode.actions / 3, start=320, action_horizon=HORIZON, task=episode.tasks[320])


@pytest.fixture
def policy(recorded, masking):
    toys = [
        chunk_at(toy_episode(robot, 60, torch.Generator().manual_seed(5)), start, HORIZON)
        for robot, start in ((DUAL_ARM, 20), (SO101, 53))
    ]
    policy = toy_policy(SIZES_OF.get(masking.name, "N1.7"))
    policy.head.masking = masking
    return replace(policy, batch=collate_chunks([toys[0], recorded, toys[1]], PADDED_DIM))


@EACH_PRESET
def test_the_batch_is_ragged_and_its_second_robot_was_recorded(policy):
    assert policy.batch.dim_mask.sum(1).tolist() == [16, 26, 6]
    assert policy.batch.step_mask.sum(1).tolist() == [16, 8, 7]
    gr1 = policy.batch.actions[1]
    assert gr1[:8, :14].diff(dim=0).abs().max() > 0
    assert torch.equal(gr1[8:], gr1[7].expand(8, -1))
    assert gr1[:, 14:20].unique(dim=0).mul(3).tolist() == [[-1.5, -1.5, -1.5, -1.5, -3.0, 3.0]]  # the hand that rests


@EACH_PRESET
def test_loss_gradients_and_actions_are_finite(policy):
    loss = policy.loss()
    gradients = torch.autograd.grad(loss, [*policy.head.parameters()], allow_unused=True)
    assert loss.isfinite()
    assert all(grad.isfinite().all() for grad in gradients if grad is not None)
    assert policy.actions().isfinite().all()


@EACH_PRESET
def test_the_probes_find_the_leaks_that_the_preset_names(policy, masking):
    found = leaks_found(policy.head, policy.observation, policy.batch, policy.noise, policy.t)
    assert found == open_leaks(masking)


@EACH_PRESET
@pytest.mark.parametrize("padding", GARBLES)
def test_garbled_padding_moves_what_was_recorded_exactly_where_a_door_is_open(policy, masking, padding):
    """Noise in padded steps has to pass two doors; padded tokens have two ways; for the state there is no door."""
    leaks = open_leaks(masking)
    moving = {
        "padded dims": "input leak" in leaks,
        "padded steps": "input leak" in leaks and "step leak" in leaks,
        "padded tokens": "mixing leak" in leaks or "context leak" in leaks,
        "an absent camera": "mixing leak" in leaks or "context leak" in leaks,
        "padded state": True,
    }
    moved = moves(policy, GARBLES[padding])
    for output in OUTPUTS:
        assert (moved[output] > 1e-6) if moving[padding] else (moved[output] == 0), output


def gr1_without_padded_steps_and_tokens(policy):
    steps, seats = policy.batch.step_mask[1], policy.observation.vl.backbone_attention_mask[1]
    seen, vl = policy.observation, policy.observation.vl
    left = VLBatch(*(x[[1]][:, seats] for x in (vl.tokens, vl.backbone_attention_mask, vl.image_mask)))
    return replace(
        policy,
        observation=Observation(left, seen.state[[1]], seen.embodiment_id[[1]]),
        batch=ActionBatch(policy.batch.actions[[1]][:, steps], policy.batch.dim_mask[[1]], steps[None, steps]),
        noise=policy.noise[[1]][:, steps],
        t=policy.t[[1]],
    )


@EACH_PRESET
def test_gr1_alone_gets_the_same_from_a_strict_head_and_from_no_other(policy, masking):
    alone, real = gr1_without_padded_steps_and_tokens(policy), policy.action_mask[1]
    for output in ("velocity", "actions"):
        inside = getattr(alone, output)()[0][real[policy.batch.step_mask[1]]]
        off = (inside - getattr(policy, output)()[1][real]).abs().max().item()
        assert (off < 1e-12) is (masking.name == "strict"), output
