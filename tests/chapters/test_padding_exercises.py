"""The exercises on padding: on paper, against the library, and what no value can tell."""

import pytest
import torch

from groot_teach.chapters import check
from groot_teach.chapters.padding import exercises
from groot_teach.padding import (
    VLTokens,
    action_mask_dims_and_steps,
    join_tokens,
    pad_steps_with_copies,
    pad_tokens_left,
)


def test_the_references_return_what_paper_does():
    pad = torch.tensor([[False, True]])
    assert exercises.count_real(pad, torch.tensor([3])).tolist() == [3]
    mask = exercises.action_mask(torch.tensor([[True, True, False]]), pad)
    assert mask.tolist() == [[[True, True, False], [False, False, False]]]
    assert exercises.backbone_attention_mask(torch.tensor([1, 3]), 3).tolist() == [[False, False, True], [True] * 3]
    row = exercises.may_be_read(torch.tensor([[True, False]]), 2, torch.tensor([[0, 1]]))
    assert row.tolist() == [[True, True, False, False, False, True]]
    actions, action_is_pad = exercises.chunk_at(torch.tensor([[1.0], [2.0], [3.0]]), 1, 3)
    assert actions.tolist() == [[2.0], [3.0], [3.0]]
    assert action_is_pad.tolist() == [False, False, True]


def test_the_references_agree_with_the_library():
    for dim_mask, action_is_pad in exercises.action_mask.cases():
        library = action_mask_dims_and_steps(dim_mask, ~action_is_pad)
        assert torch.equal(exercises.action_mask(dim_mask, action_is_pad), library)
        assert torch.equal(exercises.count_real(action_is_pad, dim_mask.sum(dim=1)), library.sum(dim=(1, 2)))
    for prompt_len, key_len in exercises.backbone_attention_mask.cases():
        prompts = [torch.ones(length, dtype=torch.bool) for length in prompt_len.tolist()]
        library = pad_tokens_left([VLTokens(torch.zeros(len(p), 2), ~p, p) for p in prompts], key_len)
        mine = exercises.backbone_attention_mask(prompt_len, key_len)
        assert torch.equal(mine, library.backbone_attention_mask)
    for camera_is_present, seats, token_mask in exercises.may_be_read.cases():
        mine = exercises.may_be_read(camera_is_present, seats, token_mask)
        for sample, present in enumerate(camera_is_present):
            cameras = [torch.ones(seats, 2) if here else None for here in present]
            library = join_tokens(cameras, torch.ones(token_mask.shape[1], 2))
            image_seats = library.image_mask.sum()
            assert torch.equal(mine[sample, :image_seats], library.real_mask[:image_seats])
    for episode, start, action_horizon in exercises.chunk_at.cases():
        actions, action_is_pad = exercises.chunk_at(episode, start, action_horizon)
        library = pad_steps_with_copies(episode[start : start + action_horizon], action_horizon)
        assert torch.equal(actions, library.actions)
        assert torch.equal(action_is_pad, library.action_is_pad)


def marks_the_tail_that_repeats(repeats, episode, start):
    return repeats.flip(0).int().cumprod(0).flip(0).bool()


def marks_repeats_near_the_end_only(repeats, episode, start):
    return repeats & (start + len(repeats) > len(episode))


@pytest.mark.parametrize("mark", [marks_the_tail_that_repeats, marks_repeats_near_the_end_only])
def test_no_value_tells_a_copy_from_a_recorded_step(mark):
    """What the chapter warns of: each of these is right until the robot stands still."""

    def answer(episode, start, action_horizon):
        actions, _ = exercises.chunk_at(episode, start, action_horizon)
        repeats = torch.cat([torch.tensor([False]), (actions[1:] == actions[:-1]).all(1)])
        return actions, mark(repeats, episode, start)

    assert check("padding.5", answer).status == "wrong"
