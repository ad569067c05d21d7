"""The auditor on LeRobot's released heads: the leaks that this book says they have, found by asking them."""

import torch

from evidence.released.heads import DIMS, HORIZON, STATE, TOKENS, WIDTH, Bag, draw, head_n1_5, head_n1_7
from groot_teach.audit.heads import audit_lerobot_head
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7, open_leaks

DIM_MASK = torch.arange(DIMS) < torch.tensor([[11], [4], [7]])
STEP_MASK = torch.arange(HORIZON) < torch.tensor([[3], [5], [4]])
TOKEN_MASK = torch.arange(TOKENS) >= torch.tensor([[0], [4], [2]])
IMAGES = torch.arange(TOKENS).expand(3, -1).sub(4).abs() <= 1


def given(version):
    real = DIM_MASK[:, None].expand(-1, HORIZON, -1)
    vl = Bag(backbone_features=draw(1, 3, TOKENS, WIDTH), backbone_attention_mask=TOKEN_MASK.long())
    if version == "N1.7":
        real = (real & STEP_MASK[:, :, None]).double()
        vl |= Bag(backbone_attention_mask=TOKEN_MASK, image_mask=IMAGES)
    return Bag(vl), Bag(
        action=draw(2, 3, HORIZON, DIMS) * DIM_MASK[:, None],
        action_mask=real,
        state=draw(3, 3, 1, STATE),
        embodiment_id=torch.tensor([0, 2, 1]),
    )


def test_n1_5_has_the_leaks_of_its_preset():
    report = audit_lerobot_head(head_n1_5(), *given("N1.5"), step_mask=STEP_MASK)
    assert report.leaks == open_leaks(GROOT_N1_5), str(report)
    assert not report.unseen


def test_n1_5_is_believed_about_its_steps_if_nobody_says_more():
    """Its action mask calls copies real, so along steps there is no padding to look for, and the report has no row."""
    report = audit_lerobot_head(head_n1_5(), *given("N1.5"))
    assert report.axes == ("dims", "tokens")


def test_n1_7_has_the_leaks_of_its_preset():
    report = audit_lerobot_head(head_n1_7(vl_layers=1), *given("N1.7"))
    assert report.leaks == open_leaks(GROOT_N1_7), str(report)
    assert not report.unseen


def test_without_its_vl_self_attention_n1_7_hides_padded_tokens():
    report = audit_lerobot_head(head_n1_7(vl_layers=0), *given("N1.7"))
    assert report.leaks == tuple(name for name in open_leaks(GROOT_N1_7) if name != "mixing leak")
    assert report.cell("prediction", "tokens") == "0"


def test_the_plain_dit_of_n1_7_drops_the_mask():
    report = audit_lerobot_head(head_n1_7(vl_layers=0, use_alternate_vl_dit=False), *given("N1.7"))
    assert "context leak" in report.leaks


def test_n1_7_in_train_mode_with_state_dropout_is_audited_with_the_same_draws():
    head = head_n1_7(vl_layers=1, state_dropout_prob=0.5).train()
    assert audit_lerobot_head(head, *given("N1.7")).leaks == open_leaks(GROOT_N1_7)
