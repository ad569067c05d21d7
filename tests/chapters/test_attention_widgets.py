"""What the widget of chapter 5 says, against answers from paper."""

import pytest
import torch

from groot_teach.chapters.attention.pictures import REAL_TOKENS, WIDTH, token_panels
from groot_teach.show import explore

PART = "per cent of the attention on padding"
CHANGE = "per cent by which the output is off"
KINDS, SIDES = ("zeros", "noise"), ("left", "right")
MOST_PADS = 4
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
EVERY_SIDE = pytest.mark.parametrize("side", SIDES)


def read_the_tokens(mask, pads, kind, side):
    draw = torch.Generator().manual_seed(1)
    real, noise = (torch.randn(1, n, WIDTH, dtype=torch.float64, generator=draw) for n in (REAL_TOKENS, MOST_PADS))
    return token_panels(real, noise[:, :pads] * (kind == "noise"), mask, side)


def letters(panels):
    return panels["what each query reads of each token"].cells[0]


def weights(panels):
    return torch.tensor(panels["what each query reads of each token"].values)


@EVERY_KIND
@EVERY_SIDE
@pytest.mark.parametrize("pads", [0, 2, MOST_PADS])
def test_behind_the_mask_padding_is_not_read_and_changes_nothing(kind, side, pads):
    panels = read_the_tokens(True, pads, kind, side)
    assert panels[PART].value == 0
    assert panels[CHANGE].value == 0
    hidden = [seat for seat, letter in enumerate(letters(panels)) if letter != "r"]
    assert weights(panels)[:, hidden].eq(0).all()


@EVERY_KIND
@EVERY_SIDE
def test_without_the_mask_padding_is_read_and_changes_the_answer(kind, side):
    panels = read_the_tokens(False, 4, kind, side)
    assert panels[PART].value > 10
    assert panels[CHANGE].value > 1
    padded = [seat for seat, letter in enumerate(letters(panels)) if letter == "p"]
    assert weights(panels)[:, padded].sum(dim=1).gt(0.05).all()


@EVERY_KIND
def test_the_side_changes_the_picture_and_no_number(kind):
    left, right = (read_the_tokens(False, 3, kind, side) for side in SIDES)
    assert left[PART].value == right[PART].value
    assert left[CHANGE].value == right[CHANGE].value
    assert letters(left) == "p" * 3 + "r" * 8
    assert letters(right) == "r" * 8 + "p" * 3
    assert torch.equal(weights(left)[:, 3:11], weights(right)[:, :8])


@EVERY_KIND
@pytest.mark.parametrize("mask", [True, False])
def test_every_query_reads_one_in_all(kind, mask):
    panels = read_the_tokens(mask, 3, kind, "left")
    assert weights(panels).shape == (3, 11)
    torch.testing.assert_close(weights(panels).sum(dim=1), torch.ones(3), atol=0.06, rtol=0)


def test_the_letters_say_whether_padding_is_hidden():
    assert letters(read_the_tokens(True, 2, "zeros", "right")) == "r" * 8 + "h" * 2
    assert letters(read_the_tokens(False, 2, "zeros", "right")) == "r" * 8 + "p" * 2


def test_more_padding_is_read_more():
    parts = [read_the_tokens(False, pads, "zeros", "left")[PART].value for pads in (0, 1, 2, 4)]
    assert parts[0] == 0
    assert parts == sorted(set(parts))


def test_zeros_only_shrink_the_answer():
    """A zero value adds nothing, so the answer is the one alone times what is left of the attention."""
    real, none = torch.ones(1, 8, 5, dtype=torch.float64), torch.zeros(1, 4, 5, dtype=torch.float64)
    panels = token_panels(real, none, False, "left")
    assert 0 < panels[CHANGE].value <= 100


def test_zeros_and_noise_move_the_answer_by_different_amounts():
    changes = {read_the_tokens(False, 4, kind, "left")[CHANGE].value for kind in KINDS}
    assert len(changes) == len(KINDS)


def test_an_unknown_side_is_refused():
    with pytest.raises(ValueError, match="expected one of"):
        read_the_tokens(True, 2, "zeros", "top")


def test_the_widget_of_the_chapter_can_be_explored():
    def with_four(mask, kind, side):
        return read_the_tokens(mask, 4, kind, side)

    explorer = explore(with_four, mask=False, kind=[*KINDS], side=[*SIDES])
    assert len(explorer._results) == 2 * 2 * 2
