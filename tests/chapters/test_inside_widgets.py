"""What the widget of chapter 7 says: which door is open in which version, known from reading the versions."""

from dataclasses import replace

import pytest
import torch

from groot_teach.chapters.inside.pictures import garble_padding, garble_panels
from groot_teach.chapters.inside.policy import GARBLES, OUTPUTS, VERSIONS, moves, toy_policy

SHUT = {
    "N1.5": set(),
    "N1.6": {"padded tokens", "an absent camera"},
    "N1.7": set(),
    "PR 741": {"padded dims", "padded steps"},
    "strict": {"padded dims", "padded steps", "padded tokens", "an absent camera"},
}
MOVED = "moved by, in percent of its size"
PLACES = {"padded dims": "dims", "padded steps": "steps", "padded tokens": "tokens", "an absent camera": "tokens"}
PLACES["padded state"] = "state"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("padding", GARBLES)
def test_all_outputs_move_behind_an_open_door_and_none_behind_a_shut_one(version, padding):
    moved = moves(toy_policy(version), GARBLES[padding])
    assert [*moved] == [*OUTPUTS]
    if padding in SHUT[version]:
        assert [*moved.values()] == [0, 0, 0]
    else:
        assert min(moved.values()) > 1e-4


@pytest.mark.parametrize("padding", GARBLES)
def test_a_garble_changes_padding_of_its_kind_and_nothing_that_is_real(padding):
    panels = garble_padding("N1.5", padding)
    for place in ("dims", "steps", "tokens", "state"):
        letters = "".join(panels[place].cells)
        assert ("g" in letters) == (PLACES[padding] == place)
    policy = toy_policy("N1.5")
    other = GARBLES[padding](policy)
    real = policy.action_mask
    assert torch.equal(policy.noise[real], other.noise[real])
    assert torch.equal(policy.batch.actions[real], other.batch.actions[real])
    seen = policy.observation.vl.backbone_attention_mask
    assert torch.equal(policy.observation.vl.tokens[seen], other.observation.vl.tokens[seen])


def test_the_maps_show_the_ragged_batch():
    panels = garble_padding("strict", "padded state")
    for place, real in (("dims", [16, 26, 6]), ("steps", [16, 5, 7]), ("tokens", [13, 7, 11]), ("state", [16, 26, 6])):
        assert [row.count("r") for row in panels[place].cells] == real
    assert [len(panels[place].cells[0]) for place in ("dims", "steps", "tokens", "state")] == [32, 16, 13, 29]


def test_n1_5_fills_steps_with_copies_and_the_others_with_zeros():
    for version in VERSIONS:
        batch = toy_policy(version).batch
        filled = batch.actions[1, 5:, :26]
        assert torch.equal(filled, batch.actions[1, 4, :26].expand(11, -1)) == (version == "N1.5")
        assert filled.eq(0).all() == (version != "N1.5")


def test_the_bars_are_percents():
    bars = garble_padding("N1.5", "padded dims")[MOVED]
    parts = moves(toy_policy("N1.5"), GARBLES["padded dims"])
    assert bars.values == [round(100 * part, 2) for part in parts.values()]


def test_a_real_entry_moves_every_version():
    def real(policy):
        return replace(policy, noise=policy.noise + policy.action_mask)

    for version in VERSIONS:
        assert min(garble_panels(toy_policy(version), real)[MOVED].values) > 0


def test_a_policy_is_the_same_each_time():
    assert toy_policy("N1.7").loss() == toy_policy("N1.7").loss()


def test_a_word_that_is_unknown_is_refused():
    with pytest.raises(ValueError, match="padding"):
        garble_padding("N1.5", "padded toes")
    with pytest.raises(ValueError, match="version"):
        garble_padding("N2", "padded dims")
