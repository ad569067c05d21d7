"""The masked loss of the live picture, on paper, and the networks whose errors it shows."""

import json

import pytest
import torch

from groot_teach.chapters.loss import networks
from groot_teach.chapters.loss.masked_loss import masked_loss, masked_loss_picture

ERROR = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]], dtype=torch.float64)  # one robot, two steps of two dims
RECORDED = torch.tensor([[[True, True], [True, False]]])  # squares 1, 4, 9, so the mean is 14 / 3
ALL, NONE = torch.ones_like(RECORDED), torch.zeros_like(RECORDED)


@pytest.mark.parametrize(
    ("divide_by", "divisor"), [("entries that count", 4), ("all entries", 4), ("steps that count", 2)]
)
def test_without_a_mask_the_padded_entry_is_summed_and_pulls(divide_by, divisor):
    report = masked_loss(ERROR, ALL, RECORDED, divide_by)
    assert (report.summed, report.divisor, report.loss) == (30, divisor, 30 / divisor)
    assert report.right == pytest.approx(14 / 3)
    assert report.padded_share == pytest.approx(16 / 30)
    assert report.padded_pull == pytest.approx(4 / 10)


def test_with_the_right_mask_the_loss_is_what_it_should_be():
    report = masked_loss(ERROR, RECORDED, RECORDED, "entries that count")
    assert report.loss == report.right
    assert (report.padded_share, report.padded_pull) == (0, 0)


def test_where_nothing_counts_there_is_no_loss():
    report = masked_loss(ERROR, NONE, RECORDED, "entries that count")
    assert (report.loss, report.padded_share, report.padded_pull) == (None, None, None)


def test_an_unknown_divisor_and_a_batch_without_a_recorded_entry_are_refused():
    with pytest.raises(ValueError, match="divide_by: got 'batch', expected one of entries that count"):
        masked_loss(ERROR, ALL, RECORDED, "batch")
    with pytest.raises(ValueError, match="no real entry"):
        masked_loss(ERROR, ALL, NONE, "all entries")


@pytest.mark.parametrize("painted", ["", "1" * 35, "2" * 36])
def test_a_state_that_is_no_mask_is_refused_and_the_old_one_stays(painted):
    picture = masked_loss_picture()
    before = picture.value
    with pytest.raises(ValueError, match="expected 36 digits"):
        picture.state = picture.state | {"painted": painted}
    assert picture.value == before


def test_the_shown_batch_makes_the_points_of_the_chapter():
    picture = masked_loss_picture()
    untrained = picture.value
    assert untrained.loss < untrained.right  # without its mask the loss falls
    picture.state = picture.state | {"network": "trained without"}
    assert picture.value.loss < 2 / 3 * picture.value.right


def test_the_command_begins_with_the_stored_untrained_network_and_trains_two(tmp_path):
    networks.main(["--steps", "1", "--out", str(tmp_path / "networks.json")])
    made, stored = json.loads((tmp_path / "networks.json").read_text()), json.loads(networks.STORED.read_text())
    assert made.keys() == stored.keys() == {*networks.NETWORKS}
    assert made["untrained"] == stored["untrained"]
    assert len({json.dumps(weights) for weights in made.values()}) == 3
