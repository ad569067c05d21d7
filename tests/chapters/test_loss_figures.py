"""The figures of chapter 3: the same bytes each time, every number, and a mark for what leaks and for what is lost."""

from math import log2

import pytest
import torch
from drawn import boxes, ink_of, lines, rows, texts

from groot_teach.chapters.loss.pictures import (
    copied_actions,
    denominators,
    entry_weights,
    group_weights,
    mask_and_error,
    slice_against_mask,
)
from groot_teach.show.drawing import Words


def a_case():
    """Two samples of 3 steps and 5 dims; the first has 2 real steps of 1 dim, the second 3 of 2."""
    action_mask = torch.zeros(2, 3, 5, dtype=torch.bool)
    action_mask[0, :2, :1] = True
    action_mask[1, :, :2] = True
    error = torch.arange(1.0, 31.0).reshape(2, 3, 5)
    return action_mask, error


def draw(action_mask, error, counted, names=("one", "two")):
    return mask_and_error(action_mask, error, counted, names)


def test_it_is_the_same_bytes_each_time():
    action_mask, error = a_case()
    first = draw(action_mask, error, error * action_mask)._repr_svg_()
    assert first == draw(action_mask, error, error * action_mask)._repr_svg_()


def test_every_entry_has_its_kind_before_the_mask_in_it_and_after_it():
    action_mask, error = a_case()
    picture = draw(action_mask, error, error * action_mask)
    assert rows(picture) == [" ".join([row] * 3) for row in ("rpppp", "rpppp", "ppppp", "rrppp", "rrppp", "rrppp")]
    assert [text for text in texts(picture) if not text.isdigit()] == [
        *("error", "one", "two", "\N{MULTIPLICATION SIGN}", "mask", "=", "what counts")
    ]


def test_it_writes_every_error_once_and_again_where_it_counts():
    action_mask, error = a_case()
    drawn = texts(draw(action_mask, error, error * action_mask))
    for place in torch.ones_like(action_mask).nonzero().tolist():
        number = f"{error[tuple(place)]:g}"
        expected = 1 + bool(action_mask[tuple(place)]) + (number == "1") * int(action_mask.sum())
        assert drawn.count(number) == expected, number
    assert drawn.count("one") == drawn.count("two") == 1


@pytest.mark.parametrize("spoiled", [7.0, torch.nan, -torch.inf])
def test_padding_that_still_counts_after_the_mask_is_marked_and_written(spoiled):
    action_mask, error = a_case()
    counted = error * action_mask
    assert "l" not in "".join(rows(draw(action_mask, error, counted)))
    counted[0, 2, 4] = spoiled
    error[0, 2, 4] = 77
    picture = draw(action_mask, error, counted)
    assert rows(picture)[2] == "ppppp ppppp ppppl"
    assert "".join(rows(picture)).count("l") == 1
    if spoiled != 7:
        assert ink_of(picture, f"{spoiled:g}") == "leak-ink"


def test_a_real_entry_that_the_mask_has_lost_is_marked_and_an_error_of_0_is_not():
    action_mask, error = a_case()
    error[0, 0, 0] = 0.0
    counted = error * action_mask
    assert "h" not in "".join(rows(draw(action_mask, error, counted)))
    counted[1, 2, 1] = 0.0
    assert rows(draw(action_mask, error, counted))[5] == "rrppp rrppp rhppp"


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two", "three")])
def test_it_needs_a_name_for_each_sample(names):
    action_mask, error = a_case()
    with pytest.raises(ValueError, match=f"names: got {len(names)}, expected 2, one for each sample"):
        mask_and_error(action_mask, error, error, names)


def test_steps_and_dims_are_named_beside_and_below_each_sheet_or_refused():
    action_mask, error = a_case()
    steps, dims = ["s1", "s2", "s3"], ["d1", "d2", "d3", "d4", "d5"]
    drawn = texts(mask_and_error(action_mask, error, error, ["", ""], steps=steps, dims=dims))
    assert [drawn.count(word) for word in (*steps, *dims)] == [6] * 3 + [3] * 5
    for axis, wrong in (("steps", ["s1"]), ("dims", ["d1"] * 6)):
        with pytest.raises(ValueError, match=f"{axis}: got {len(wrong)}, expected none or "):
            mask_and_error(action_mask, error, error, ["", ""], **{axis: wrong})


def test_a_slice_lets_padding_in_and_cuts_real_dims_off_and_a_mask_does_neither():
    dim_mask = torch.tensor([[True, True, False, False, False], [True, True, True, True, False]])
    picture = slice_against_mask(dim_mask, 3, ["small", "large"])
    assert rows(picture) == ["rrlpp", "rrrhp", "rrppp", "rrrrp"]
    assert ink_of(picture, "1 padded dims count, 1 real dims are lost") == "leak-ink"
    assert ink_of(picture, "0 padded dims count, 0 real dims are lost") == "ink"
    assert texts(picture).count("small") == texts(picture).count("large") == 2


@pytest.mark.parametrize("slice_dim", [0, 6])
def test_a_slice_that_does_not_fit_is_refused(slice_dim):
    with pytest.raises(ValueError, match=f"slice_dim: got {slice_dim}, expected 1 to 5"):
        slice_against_mask(torch.ones(1, 5, dtype=torch.bool), slice_dim, ["one"])


def test_what_an_entry_weighs_is_its_part_of_all_weights_and_weight_on_padding_is_a_leak():
    action_mask = torch.tensor([[[True, True, False]], [[True, False, False]]])
    fair = action_mask / torch.tensor([2.0, 1.0])[:, None, None]
    picture = entry_weights({"fair": fair, "none": torch.ones(2, 1, 3)}, action_mask, ["two", "one"])
    assert rows(picture) == ["rrp rrl", "rpp rll"]
    said = [text for text in texts(picture) if text not in ("two", "one")]
    assert said[:8] == ["fair", "25.0", "25.0", "50.0", "two: 50 %", "one: 50 %", "padding: 0 %", "none"]
    assert said[8:14] == ["16.7"] * 6
    assert ink_of(picture, "padding: 50 %") == "leak-ink"
    assert boxes(picture)[0].strength == pytest.approx(0.35)  # half of the largest
    action_mask[1] = True
    assert rows(entry_weights({"fair": fair}, action_mask, ["two", "one"])) == ["rrp", "rhh"]


@pytest.mark.parametrize("wrong", [-1.0, torch.nan, 0.0])
def test_weights_that_are_none_are_refused(wrong):
    weights = {"one": torch.full((1, 1, 2), wrong)}
    with pytest.raises(ValueError, match=r"weights\['one'\]: got .*, expected 0 or more, and not all 0"):
        entry_weights(weights, torch.ones(1, 1, 2, dtype=torch.bool), ["one"])


def test_each_divisor_has_its_loss_and_equal_factors_have_bars_of_equal_length_on_both_sides():
    divisors = {"real": 4.0, "all": 8.0, "one": 2.0, "three": 12.0}
    picture = denominators(6.0, divisors, "real")
    assert [box.kind for box in boxes(picture)] == ["real", "leak", "leak", "leak"]
    right, less, more, least = boxes(picture)
    (line,) = {x for points in lines(picture, "ink") for x, _ in points}
    assert right.x + right.width / 2 == less.x + less.width == more.x == least.x + least.width == line
    assert less.width == pytest.approx(more.width)  # half of it, and twice
    assert least.width == pytest.approx(less.width * log2(3))
    assert ink_of(picture, "1.5, as it should be") == "ink"
    wrong = "0.75, 2 times too small", "3, 2 times too large", "0.5, 3 times too small"
    assert {ink_of(picture, words) for words in wrong} == {"leak-ink"}
    assert {"6 / 4 = ", "6 / 8 = ", "6 / 2 = ", "6 / 12 = ", "should be 1.5"} <= {*texts(picture)}


def test_the_scale_of_factors_is_marked_where_a_bar_of_that_factor_ends():
    picture = denominators(1.0, {"right": 1.0, "less": 2.0, "more": 0.25}, "right")
    _, less, more = boxes(picture)
    place = {mark.text: mark.x for mark in picture.marks if isinstance(mark, Words)}
    assert (less.x, more.x + more.width) == pytest.approx((place["1/2"], place["4\N{MULTIPLICATION SIGN}"]))
    assert place["1"] == pytest.approx(more.x)


def test_losses_that_are_all_right_are_drawn_as_right():
    picture = denominators(6.0, {"real": 4.0, "the same": 4.0}, "real")
    assert [box.kind for box in boxes(picture)] == ["real", "real"]


def test_a_divisor_of_0_and_an_unknown_right_one_are_refused():
    with pytest.raises(ValueError, match="right: got 'x', expected one of 'a'"):
        denominators(1.0, {"a": 1.0}, "x")
    with pytest.raises(ValueError, match="expected numbers above 0"):
        denominators(1.0, {"a": 0.0}, "a")


def test_steps_behind_the_recording_repeat_its_last_action_and_leak():
    picture = copied_actions([3, 1], 3)
    assert rows(picture) == ["rrr", "rll"]
    assert [text for text in texts(picture) if text.isdigit()] == ["1", "2", "3", "1", "1", "1"]


@pytest.mark.parametrize("recorded", [[], [0], [4]])
def test_a_chunk_without_a_recorded_step_or_with_too_many_is_refused(recorded):
    with pytest.raises(ValueError, match="expected numbers from 1 to 3"):
        copied_actions(recorded, 3)


SHARES = [("arm", 66.7), ("claw", 33.3), ("arm", 50.0), ("claw", 50.0)]


def test_each_dim_has_its_share_and_each_group_the_sum_of_its_dims():
    weights = {"one mean": torch.ones(3), "two means": torch.tensor([1.0, 1.0, 2.0])}
    picture = group_weights(weights, {"arm": [0, 1], "claw": [2]})
    assert rows(picture) == ["rrr", "rrr"]
    assert boxes(picture)[5].strength > boxes(picture)[0].strength > boxes(picture)[3].strength
    said = [
        "arm: 66.7 % of the weight",
        "claw: 33.3 % of the weight",
        "arm: 50.0 % of the weight",
        "claw: 50.0 % of the weight",
    ]
    assert [text for text in texts(picture) if "of the weight" in text] == said
    with pytest.raises(ValueError, match="weights: got no reduction"):
        group_weights({}, {"arm": [0]})
    with pytest.raises(ValueError, match=r"weights\['one'\]: got \[0.0, 1.0\], expected numbers above 0"):
        group_weights({"one": torch.tensor([0.0, 1.0])}, {"arm": [0, 1]})
