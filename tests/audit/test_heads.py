"""The auditor on this book's heads: it says of each what its preset says of itself."""

from dataclasses import replace

import pytest
import torch
from audit_cases import draw, lengths

from groot_teach.audit.heads import audit_action_head
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, LEAKS, OCTO_RENOISE, PRESETS, STRICT, open_leaks, with_switches
from groot_teach.padding import ActionBatch, VLBatch

SIZES = {"padded_dim": 11, "state_dim": 13, "token_width": 20, "embodiments": 3, "width": 16, "hidden": 12, "heads": 2}
DIM_MASK, STEP_MASK, TOKEN_MASK = lengths(11, 11, 4, 7), lengths(5, 3, 5, 4), lengths(7, 7, 3, 5, left=True)
ALL_OPEN = replace(GROOT_N1_5, loss_denominator="all")
"""Its loss sums copied steps, too. One that sums everything would be divided by the right number."""


def batch(step_mask=STEP_MASK, token_mask=TOKEN_MASK):
    images = torch.zeros(3, 7, dtype=torch.bool)
    images[:, 4:6] = True
    observation = Observation(
        VLBatch(draw(1, 3, 7, 20), token_mask, images), draw(2, 3, 1, 13), torch.tensor([0, 2, 1])
    )
    actions = ActionBatch(draw(3, 3, 5, 11) * DIM_MASK[:, None], DIM_MASK, step_mask)
    return observation, actions, draw(4, 3, 5, 11), torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)


def head_of(masking, **changes):
    vl_layers = 0 if masking.vl_self_attention == "absent" else 1
    sizes = SIZES | {"layers": 4, "vl_heads": 2, "vl_layers": vl_layers, "attend_text_every_n_blocks": 2}
    config = HeadConfig(**sizes | changes)
    return ActionHead(config, masking, torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("masking", PRESETS, ids=lambda masking: masking.name)
def test_the_leaks_of_a_preset_are_found_and_no_others(masking):
    report = audit_action_head(head_of(masking), *batch())
    assert report.leaks == open_leaks(masking), str(report)
    assert not report.unseen
    assert {finding.kind for finding in report.findings} <= {"leak"}


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_one_switch_opens_one_leak_and_shutting_it_shuts_that_one(leak):
    opened = with_switches(STRICT, **{leak.switch: next(iter(leak.leaks))})
    assert audit_action_head(head_of(opened), *batch()).leaks == (leak.name,)
    shut = with_switches(ALL_OPEN, **{leak.switch: next(iter(leak.holds))})
    found = audit_action_head(head_of(shut, attend_text_every_n_blocks=None, future_tokens=2), *batch()).leaks
    assert found == tuple(other.name for other in LEAKS if other != leak)


def test_a_strict_head_is_clean_in_train_mode_in_half_precision_and_with_groups():
    assert audit_action_head(head_of(STRICT).train(), *batch()).is_clean
    grouped = head_of(STRICT, decoders=(("arm", 7), ("claw", 4)))
    assert audit_action_head(grouped, *batch()).is_clean


def test_with_dropout_a_strict_head_cannot_be_compacted_and_that_is_said():
    report = audit_action_head(head_of(STRICT, dropout=0.2).train(), *batch())
    assert not report.findings
    assert {look.probe for look in report.unseen} == {"compact"}


def test_an_axis_without_padding_is_left_out():
    observation, actions, noise, t = batch(token_mask=torch.ones(3, 7, dtype=torch.bool))
    report = audit_action_head(head_of(GROOT_N1_6), observation, actions, noise, t)
    assert report.axes == ("dims", "steps")
    assert "DiT cross-attention" not in report.stages
    assert "clean" in str(audit_action_head(head_of(STRICT), observation, actions, noise, t)).splitlines()[0]


def test_re_noised_dims_leave_the_sampler_as_zeros_and_are_no_rollout_leak():
    report = audit_action_head(head_of(OCTO_RENOISE), *batch())
    assert report.cell("sampled padding", "dims") == "0"
    assert report.cell("sampler", "dims") not in ("", "0")


def test_what_is_said_on_goes_on_to_the_audit():
    names = {finding.name: "so be it" for finding in audit_action_head(head_of(GROOT_N1_6), *batch()).findings}
    assert audit_action_head(head_of(GROOT_N1_6), *batch(), intended=names).is_clean


def test_the_sampler_takes_four_steps_unless_it_is_said(monkeypatch):
    class Sampled(Exception):
        pass

    def sample(head, observation, noise, dim_mask, step_mask, steps):
        raise Sampled(steps)

    monkeypatch.setattr(ActionHead, "sample", sample)
    for said, steps in (((), 4), ((3,), 3)):
        with pytest.raises(Sampled, match=f"^{steps}$"):
            audit_action_head(head_of(STRICT), *batch(), *said)


def test_words_may_come_without_a_mask_of_images():
    observation, *more = batch()
    without = replace(observation, vl=replace(observation.vl, image_mask=None))
    head = head_of(STRICT, attend_text_every_n_blocks=None, future_tokens=2)
    assert audit_action_head(head, without, *more).is_clean
