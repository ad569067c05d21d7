"""The batch that readers build, against masks that were written down by hand."""

import pytest
import torch

from groot_teach.chapters.padding.build_the_batch import build_the_batch, build_the_batch_picture, count_the_batch

NOTHING_PAINTED = torch.zeros(2, 2, 3, dtype=torch.bool)


def by_hand(painted=NOTHING_PAINTED):
    return build_the_batch([2, 1], [1, 3], [4, 2], painted, key_len=5)


def test_the_masks_of_two_robots_by_hand():
    batch = by_hand()
    assert batch.action_mask.int().tolist() == [[[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]]
    assert batch.action_is_pad.int().tolist() == [[0, 0], [0, 1]]
    assert batch.backbone_attention_mask.int().tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 1, 1]]


def test_a_painted_entry_is_the_opposite_and_a_step_without_entries_is_padding():
    painted = NOTHING_PAINTED.clone()
    painted[0, 0, 0] = painted[1, 1, 2] = True
    batch = by_hand(painted)
    assert batch.action_mask.int().tolist() == [[[0, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 1]]]
    assert batch.action_is_pad.int().tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("mask", "true_means", "counted", "padding", "left_out"),
    [
        ("action_mask", "real", 5, 0, 0),
        ("action_mask", "padding", 7, 7, 5),
        ("action_is_pad", "padding", 9, 4, 0),
        ("action_is_pad", "real", 3, 3, 5),
    ],
)
def test_what_a_loss_counts_of_them(mask, true_means, counted, padding, left_out):
    count = count_the_batch(by_hand(), mask, true_means)
    assert (count.counted, count.padding_counted, count.recorded_left_out) == (counted, padding, left_out)
    assert (count.padded_entries, count.padded_share, count.padded_tokens) == (7, 7 / 12, 4)


@pytest.mark.parametrize(
    ("steps", "dims", "words", "says"),
    [
        ([2], [1, 3], [4, 2], "steps: got 1 numbers, expected 2"),
        ([2, 1], [0, 3], [4, 2], "dims: got 0, expected at least 1"),
        ([2, 1], [4, 3], [4, 2], "got 4 dims, expected at most padded_dim=3"),
        ([3, 1], [1, 3], [4, 2], "got 3 steps, expected 1 to action_horizon=2"),
        ([2, 1], [1, 3], [6, 2], "got 6 tokens, expected at most key_len=5"),
    ],
)
def test_what_does_not_fit_is_an_error(steps, dims, words, says):
    with pytest.raises(ValueError, match=says):
        build_the_batch(steps, dims, words, NOTHING_PAINTED, key_len=5)


def test_an_unknown_way_to_read_a_mask_is_an_error():
    with pytest.raises(ValueError, match="mask: got 'mask', expected one of action_mask, action_is_pad"):
        count_the_batch(by_hand(), "mask", "real")
    with pytest.raises(ValueError, match="true_means: got 'yes', expected one of real, padding"):
        count_the_batch(by_hand(), "action_mask", "yes")


def test_the_picture_refuses_a_state_that_it_cannot_show():
    picture = build_the_batch_picture()
    assert picture.value.padded_entries == 36
    with pytest.raises(ValueError, match="painted: got '01', expected 72 digits"):
        picture.state = {**picture.state, "painted": "01"}
