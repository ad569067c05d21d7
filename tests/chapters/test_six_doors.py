"""What the picture of the doors shows is what torch computes, and each version is the preset of the library."""

import json
import random

import pytest
import torch

from groot_teach.chapters.inside import garbled
from groot_teach.chapters.inside.policy import toy_policy
from groot_teach.chapters.inside.six_doors import CHOICES, MOST, NOTICES, six_doors, six_doors_picture
from groot_teach.masks import GROOT_N1_7, PRESETS, STRICT, open_leaks, with_switches

VERSION = pytest.mark.parametrize("version", CHOICES)


def test_each_version_is_a_preset_of_the_library():
    masking = [masking for _, masking in CHOICES.values()]
    assert masking == [preset for preset in PRESETS if preset.sampler != "renoise"]
    assert [*CHOICES] == ["N1.5", "N1.6", "N1.7", "N1.7 + PR 741", "strict"]
    assert six_doors_picture().state["doors"] == {name: getattr(GROOT_N1_7, name) for name in garbled.SWITCHES}


@VERSION
def test_a_version_shows_what_its_own_policy_does(version):
    parts, masking = CHOICES[version]
    report = six_doors(parts, masking)
    name = version.removeprefix("N1.7 + ")
    policy, counted = toy_policy(name), 428 if version != "N1.5" else 768
    other = garbled.with_all_padding_garbled(policy)
    for number, (output, _) in garbled.DEPENDS.items():
        before, after = (garbled.OUTPUTS[output](one) for one in (policy, other))
        assert getattr(report, number) == pytest.approx(((after - before).norm() / before.norm()).item(), abs=6e-5)
    assert report.leaks == open_leaks(masking)
    assert (report.divisor, report.recorded) == (counted, 428)


def test_the_strict_setting_and_no_other_version_is_safe():
    moved = {version: six_doors(*CHOICES[version])[2:5] for version in CHOICES}
    assert moved.pop("strict") == (0, 0, 0)
    assert min(min(numbers) for numbers in moved.values()) > 0.01
    assert max(max(numbers) for numbers in moved.values()) < MOST


def test_the_stored_numbers_are_what_torch_computes():
    chance, settings = random.Random(0), 0
    for parts in garbled.PARTS:
        for number in garbled.DEPENDS:
            known = garbled.settings(parts, number)
            assert len(known) == len(garbled.stored()[parts][number])
            for place in chance.sample(range(len(known)), 2):
                assert garbled.place_of(parts, known[place], number) == place
                assert garbled.stored()[parts][number][place] == garbled.moved(parts, known[place], number)
                settings += 1
    assert settings == 18


@pytest.mark.weekly
def test_all_stored_numbers_are_made_again(tmp_path):
    garbled.main(["--out", str(tmp_path / "garbled.json")])
    assert json.loads((tmp_path / "garbled.json").read_text()) == garbled.stored()


def test_a_line_is_orange_where_torch_finds_padding_and_nowhere_else():
    lines = {"predicted": "predictions", "sampled": "actions"}
    for parts in garbled.PARTS:
        for line, number in lines.items():
            for masking in garbled.settings(parts, number):
                report = six_doors(parts, masking)
                assert (report.lines[line] == "leak") == (getattr(report, number) > 0), masking


def test_the_tokens_are_mixed_by_the_open_door_alone():
    policy = toy_policy("N1.7")
    other = garbled.with_all_padding_garbled(policy)
    real = policy.observation.vl.backbone_attention_mask
    for position in ("open", "closed"):
        policy.head.masking = with_switches(GROOT_N1_7, vl_self_attention=position)
        before, after = (policy.head.read_tokens(one.observation.vl)[real] for one in (policy, other))
        line = six_doors("N1.7", policy.head.masking).lines["mixed"]
        assert line == ("pad" if torch.equal(before, after) else "leak")


def test_blank_steps_are_read_although_no_garble_shows_it():
    report = six_doors("N1.7", with_switches(STRICT, self_attention="open"))
    assert (report.notice, report.predictions, report.lines["predicted"]) == ("blank", 0, "blank")
    policy = toy_policy("N1.7")
    policy.head.masking = with_switches(STRICT, self_attention="open")
    with_them = policy.velocity()[policy.action_mask]
    policy.head.masking = STRICT
    assert not torch.equal(with_them, policy.velocity()[policy.action_mask])


def test_the_divisor_does_not_change_how_far_the_loss_moves():
    policy = toy_policy("N1.7")
    other, shares = garbled.with_all_padding_garbled(policy), []
    for divisor in ("all", "valid", "valid_plus_eps"):
        policy.head.masking = with_switches(GROOT_N1_7, loss_denominator=divisor)
        shares.append((other.loss() / policy.loss()).item())
    assert max(shares) - min(shares) < 1e-12


@pytest.mark.parametrize(
    ("notice", "parts", "masking"),
    [
        ("none", "N1.7", STRICT),
        ("count", "N1.7", with_switches(STRICT, loss_denominator="all")),
        ("drift", "N1.7", with_switches(STRICT, sampler="free")),
        ("loss", "N1.7", with_switches(STRICT, loss="open")),
        ("training", "N1.7", with_switches(STRICT, encoder_input="open")),
        ("training", "N1.6", with_switches(CHOICES["N1.6"][1], self_attention="closed", sampler="zero")),
        ("mixed", "N1.7", with_switches(STRICT, vl_self_attention="open")),
        ("quiet", "N1.7", GROOT_N1_7),
        ("loud", "N1.5", CHOICES["N1.5"][1]),
        ("blank", "N1.6", with_switches(CHOICES["N1.6"][1], encoder_input="closed", sampler="zero")),
    ],
)
def test_what_is_noticed(notice, parts, masking):
    assert six_doors(parts, masking).notice == notice
    assert notice in NOTICES


def test_only_training_is_moved_where_the_encoder_takes_in_padding_that_a_shut_sampler_keeps_at_0():
    """Steps may be read as well: on the robot the padded ones are blank then."""
    for parts in garbled.PARTS:
        for masking in garbled.settings(parts, "actions"):
            before_the_loss = {*open_leaks(masking)} - {"target leak", "denominator leak"}
            alone = before_the_loss in ({"input leak"}, {"input leak", "step leak"})
            assert (six_doors(parts, masking).notice == "training") == alone, masking


def test_a_setting_that_a_version_cannot_have_is_refused():
    with pytest.raises(ValueError, match="vl_self_attention: got 'open', expected one of 'absent' in N1"):
        six_doors("N1.6", GROOT_N1_7)
    with pytest.raises(ValueError, match="parts: got 'N2', expected one of N1"):
        garbled.positions("N2")
    picture = six_doors_picture()
    with pytest.raises(ValueError, match="sampler"):
        picture.state = picture.state | {"doors": picture.state["doors"] | {"sampler": "renoise"}}


def test_the_picture_can_be_set_and_asked_in_python():
    picture = six_doors_picture()
    parts, masking = CHOICES["N1.7 + PR 741"]
    picture.state = {"parts": parts, "doors": {name: getattr(masking, name) for name in garbled.SWITCHES}}
    assert picture.value == six_doors(parts, masking)
