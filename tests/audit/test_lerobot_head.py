"""The auditor of released heads, on a head of a few lines that is called as LeRobot's are.

tests/upstream runs it on LeRobot's own.
"""

from collections import UserDict

import pytest
import torch
from audit_cases import DIM_MASK, DIMS, STEP_MASK, STEPS, TOKEN_MASK, Toy, draw, toy_batch

from groot_teach.audit.heads import audit_lerobot_head


class Features(UserDict):
    """As `BatchFeature` of transformers: a mapping of its own type."""


class Released(Toy):
    """The toy with the names of a released head. It draws its noise itself; its sampler knows no mask of actions."""

    encode = property(lambda self: self.action_encoder)
    read = property(lambda self: self.vl_self_attention)
    decode = property(lambda self: self.action_decoder)

    def __init__(self, *open_at):
        super().__init__(*open_at)
        names = {"encode": "action_encoder", "read": "vl_self_attention", "decode": "action_decoder"}
        for old, new in names.items():
            self.add_module(new, self._modules.pop(old))

    def both(self, backbone_output, action_input):
        assert type(backbone_output) is type(action_input) is Features
        words, mask = backbone_output["backbone_features"], backbone_output["backbone_attention_mask"] > 0
        assert backbone_output["image_mask"].shape == mask.shape == words.shape[:2]
        dim_mask = DIM_MASK[action_input["embodiment_id"]]
        return {"words": words, "word_mask": mask, "dim_mask": dim_mask}

    def forward(self, backbone_output, action_input):
        b = self.both(backbone_output, action_input)
        actions, t = action_input["action"], action_input["state"][..., None]
        b["step_mask"] = (action_input["action_mask"] > 0).any(2)
        noise = torch.randn_like(actions)
        said = self.predict((1 - t) * noise + t * actions, b)
        return Features(loss=self.loss_of(said, actions - noise, b))

    @torch.no_grad()
    def get_action(self, backbone_output, action_input):
        assert set(action_input) == {"state", "embodiment_id"}
        b = self.both(backbone_output, action_input)
        count = len(b["words"])
        b["noise"] = torch.randn(count, STEPS, DIMS, dtype=torch.float64)
        b["step_mask"] = torch.ones(count, STEPS, dtype=torch.bool)
        return Features(action_pred=self.sample(b))


def given(step_mask=STEP_MASK, token_mask=TOKEN_MASK):
    actions = Features(
        action=toy_batch()["actions"],
        action_mask=(DIM_MASK[:, None] & step_mask[..., None]).double(),
        state=draw(5, 3, 1),
        embodiment_id=torch.arange(3),
    )
    words = Features(
        backbone_features=toy_batch()["words"],
        backbone_attention_mask=token_mask.long(),
        image_mask=torch.zeros(3, 3, dtype=torch.bool),
    )
    return words, actions


def test_a_released_head_whose_doors_are_shut_is_clean_from_stage_to_stage():
    report = audit_lerobot_head(Released(), *given())
    assert report.is_clean, str(report)
    assert report.axes == ("dims", "steps", "tokens")
    assert report.stages == (
        "action encoder",
        "DiT self-attention",
        "VL self-attention",
        "DiT cross-attention",
        "prediction",
        "loss sum",
        "loss count",
        "sampler",
        "sampled padding",
    )
    assert {look.axis for look in report.looks if look.stage == "sampler"} == {"dims", "tokens", "samples"}


@pytest.mark.parametrize(
    ("door", "found"),
    [
        ("encoder", {"action encoder, dims", "prediction, dims", "training and sampling, dims"}),  # its sampler holds
        ("steps", {"DiT self-attention, steps", "prediction, steps"}),
        ("words", {"DiT cross-attention, tokens", "prediction, tokens", "sampler, tokens"}),
        ("divisor", {"loss count, dims and steps"}),
        ("sampler", {"sampled padding, dims"}),
    ],
)
def test_an_open_door_of_a_released_head_is_found(door, found):
    report = audit_lerobot_head(Released(door), *given())
    assert {finding.name for finding in report.findings} == found
    assert not report.unseen
    intended = {f"{finding.name}, {finding.kind}": "so be it" for finding in report.findings}
    assert audit_lerobot_head(Released(door), *given(), intended=intended).is_clean


def test_copies_that_the_heads_mask_calls_real_are_seen_if_the_dataset_is_asked():
    copies_count = given(step_mask=torch.ones(3, STEPS, dtype=torch.bool))
    report = audit_lerobot_head(Released(), *copies_count, step_mask=STEP_MASK)
    assert {"loss sum, steps", "prediction, steps"} <= {finding.name for finding in report.findings}
    without = audit_lerobot_head(Released(), *copies_count)
    assert without.axes == ("dims", "tokens")
    assert without.is_clean, str(without)


def test_an_axis_without_padding_is_left_out():
    report = audit_lerobot_head(Released(), *given(token_mask=torch.ones(3, 3, dtype=torch.bool)))
    assert report.axes == ("dims", "steps")
    assert report.is_clean, str(report)
    assert "DiT cross-attention" not in report.stages


@pytest.mark.parametrize(
    "changes",
    [{"head": len}, {"backbone_output": 3}, {"action_input": [1]}, {"step_mask": STEP_MASK.float()},
     {"step_mask": STEP_MASK[0]}],
)  # fmt: skip
def test_arguments_of_another_type_are_refused(changes):
    words, actions = given()
    with pytest.raises(TypeError):
        audit_lerobot_head(**{"head": Released(), "backbone_output": words, "action_input": actions} | changes)
