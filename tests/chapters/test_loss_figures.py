"""The figure of chapter 3: the same bytes each time, every number, and a mark for what leaks and for what is lost."""

from xml.etree import ElementTree

import pytest
import torch

from groot_teach.chapters.loss.pictures import ERROR_LEGEND, mask_and_error
from groot_teach.show.pictures import FILLS, HATCHES


def a_case():
    """Two samples of 3 steps and 5 dims; the first has 2 real steps of 1 dim, the second 3 of 2."""
    action_mask = torch.zeros(2, 3, 5, dtype=torch.bool)
    action_mask[0, :2, :1] = True
    action_mask[1, :, :2] = True
    error = torch.arange(1.0, 31.0).reshape(2, 3, 5)
    return action_mask, error


def svg(action_mask, error, counted, names=("one", "two")):
    return mask_and_error(action_mask, error, counted, names)._repr_svg_()


def test_it_is_the_same_bytes_each_time_and_valid_xml():
    action_mask, error = a_case()
    first = svg(action_mask, error, error * action_mask)
    assert first == svg(action_mask, error, error * action_mask)
    ElementTree.fromstring(first)
    assert "<dc:date>" not in first


def test_it_writes_every_error_once_and_again_where_it_counts():
    action_mask, error = a_case()
    drawn = svg(action_mask, error, error * action_mask)
    for place in torch.ones_like(action_mask).nonzero().tolist():
        number = f">{error[tuple(place)]:g}<"
        expected = 1 + bool(action_mask[tuple(place)]) + (number == ">1<") * int(action_mask.sum())
        assert drawn.count(number) == expected, number
    assert drawn.count(">one<") == drawn.count(">two<") == 1


@pytest.mark.parametrize("spoiled", [7.0, torch.nan, -torch.inf])
def test_padding_that_still_counts_after_the_mask_is_marked_and_written(spoiled):
    action_mask, error = a_case()
    error = torch.where(action_mask, error, 0.0)  # so that no other padding is orange
    counted = error.clone()
    assert FILLS["leak"].lower() not in svg(action_mask, error, counted)
    counted[0, 2, 4] = spoiled
    drawn = svg(action_mask, error, counted)
    assert FILLS["leak"].lower() in drawn
    assert drawn.count(f">{spoiled:g}<") == 1 + bool((error == spoiled).any())
    assert ">padding that counts<" in drawn


def test_a_real_entry_that_the_mask_has_lost_is_marked_and_an_error_of_0_is_not():
    action_mask, error = a_case()
    error = torch.where(action_mask, error, 0.0)  # so that nothing else is hatched
    error[0, 0, 0] = 0.0
    assert "url(#h" not in svg(action_mask, error, error)
    counted = error.clone()
    counted[1, 2, 1] = 0.0
    drawn = svg(action_mask, error, counted)
    assert ">real, but lost<" in drawn
    assert drawn.count("url(#h") == 2  # one cell of the third map, and the legend


def test_what_leaks_and_what_is_lost_differ_from_what_is_real_by_more_than_colour():
    hatches = {letter: HATCHES[kind] for letter, (kind, _) in ERROR_LEGEND.items()}
    assert hatches["r"] is None
    assert len({hatches["r"], hatches["l"], hatches["h"]}) == 3


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two", "three")])
def test_it_needs_a_name_for_each_sample(names):
    action_mask, error = a_case()
    with pytest.raises(ValueError, match=f"names: got {len(names)}, expected 2, one for each sample"):
        mask_and_error(action_mask, error, error, names)
