"""What the live picture of the chapter on attention computes, from paper, and which states it refuses."""

from math import log

import pytest
import torch

from groot_teach.chapters.attention.what_an_action_reads import (
    PROMPT,
    notice_of,
    shown_network,
    what_an_action_reads,
    what_an_action_reads_picture,
)


def test_two_words_and_a_pad_by_hand():
    """Scores 0 and ln 3 and a pad with 0 have the weights 1/5, 3/5, 1/5; without the pad they are 1/4 and 3/4."""
    one = torch.ones(1, dtype=torch.float64)
    key = torch.tensor([[0.0], [log(3)], [0.0]], dtype=torch.float64)
    value = torch.tensor([[4.0], [8.0], [0.0]], dtype=torch.float64)
    real = torch.tensor([True, True, False])
    reading = what_an_action_reads(one, key, value, one[None], 7 * one, torch.ones(3, dtype=torch.bool), real)
    assert reading.weights == pytest.approx([0.2, 0.6, 0.2])
    assert reading.on_padding == pytest.approx(0.2)
    assert reading.off_by == pytest.approx(1 - 5.6 / 7)
    assert (reading.loss, reading.right) == (pytest.approx(1.4**2), pytest.approx(0))
    masked = what_an_action_reads(one, key, value, one[None], 7 * one, real, real)
    assert (masked.loss, masked.unmasked, masked.on_padding) == (pytest.approx(0), pytest.approx(1.4**2), 0)


def test_zeros_shorten_the_answer_by_what_they_are_read():
    picture = what_an_action_reads_picture()
    assert picture.value.off_by == pytest.approx(picture.value.on_padding)
    assert not shown_network().key["zeros"][len(PROMPT) :].any()


def test_pads_that_point_away_hold_the_values_of_noise_and_are_not_read():
    network, picture = shown_network(), what_an_action_reads_picture()
    assert torch.equal(network.value["pointing away"], network.value["noise"])
    picture.state = picture.state | {"pads_are": "pointing away", "pads": 8}
    assert 0 < picture.value.on_padding < 2e-5
    assert picture.value.loss == pytest.approx(picture.value.right, abs=2e-5)


@pytest.mark.parametrize(
    ("mask", "pads", "kind", "notice"),
    [
        ("0" * 15, 4, "zeros", "nothing"),
        ("0" * 7 + "1" * 8, 0, "zeros", "nothing"),
        ("1" * 6 + "0" + "1" * 8, 4, "zeros", "missing"),
        ("1" * 15, 0, "noise", "alone"),
        ("1" * 7 + "0" * 8, 4, "noise", "masked"),
        ("1" * 9 + "0" * 6, 4, "zeros", "zeros"),
        ("1" * 15, 4, "noise", "others"),
        ("1" * 15, 8, "pointing away", "luck"),
    ],
)
def test_a_notice_says_why_the_answer_is_what_it_is(mask, pads, kind, notice):
    picture = what_an_action_reads_picture()
    picture.state = picture.state | {"mask": mask, "pads": pads, "pads_are": kind}
    assert notice_of(picture.state, picture.value) == notice


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"mask": "10"}, "mask: got '10', expected 15 digits"),
        ({"pads": 9}, "pads: got 9, expected an int from 0 to 8"),
        ({"pads_are": "ones"}, "pads_are: got 'ones', expected one of zeros, noise, zeros, normalised, pointing away"),
        ({"side": "top"}, "side: got 'top', expected one of left, right"),
    ],
)
def test_a_state_that_the_picture_does_not_know_is_refused(part, complaint):
    picture = what_an_action_reads_picture()
    with pytest.raises(ValueError, match=complaint):
        picture.state = picture.state | part
