"""The witness of `trace` in the released heads: which mask is read, and in which line."""

import pytest
import torch

from evidence.released.heads import Bag, head_n1_5, head_n1_7
from groot_teach.head.trace import readers, trace_masks

TRAINED = {
    "N1.5": (head_n1_5, "FlowmatchingActionHead.forward", "flow_matching_action_head.py", (338, 339)),
    "N1.7": (head_n1_7, "GR00TN17ActionHead.forward", "groot_n1_7.py", (621, 622)),
}


def traced(head, backbone_output, action_input, method="__call__"):
    def run(action_mask, backbone_attention_mask, image_mask):
        seen = Bag(backbone_output, backbone_attention_mask=backbone_attention_mask, image_mask=image_mask)
        torch.manual_seed(0)
        getattr(head, method)(seen, Bag(action_input, action_mask=action_mask))

    return trace_masks(
        run,
        action_mask=action_input["action_mask"],
        backbone_attention_mask=backbone_output["backbone_attention_mask"],
        image_mask=backbone_output["image_mask"],
    )


@pytest.mark.parametrize("version", TRAINED)
def test_the_action_mask_is_read_in_two_lines_of_the_loss(version, backbone_output, action_input):
    make, function, file, lines = TRAINED[version]
    uses = traced(make(), backbone_output, action_input)
    read = [use for use in uses if use.mask == "action_mask" and use.how == "read"]
    assert [(use.function, use.by, use.file) for use in read] == [
        (function, by, f"{file} {line}") for by, line in zip(("mul", "div"), lines, strict=True)
    ]


def test_n1_5_hands_the_token_mask_on_and_nobody_reads_it(backbone_output, action_input):
    """v0.4.4 flow_matching_action_head.py 324-329, cross_attention_dit.py 276-291."""
    uses = traced(head_n1_5(), backbone_output, action_input)
    assert [(use.how, use.function, use.by) for use in uses if use.mask == "backbone_attention_mask"] == [
        ("handed", "DiT.forward", "encoder_attention_mask")
    ]
    assert readers(uses, "backbone_attention_mask") == readers(uses, "image_mask") == ()


def test_n1_7_reads_both_token_masks_in_its_attention(backbone_output, action_input):
    """0.6.1 cross_attention_dit.py 351-379."""
    uses = traced(head_n1_7(vl_layers=1), backbone_output, action_input)
    for mask in ("backbone_attention_mask", "image_mask"):
        assert readers(uses, mask) == ("AttnProcessor2_0.__call__",)
    assert {use.by for use in uses if use.how == "read"} == {"scaled_dot_product_attention", "mul", "div"}
    assert not any("SelfAttentionTransformer" in call for use in uses for call in use.calls)


@pytest.mark.parametrize(("make", "read"), [(head_n1_5, False), (head_n1_7, True)], ids=["N1.5", "N1.7"])
def test_the_sampler_reads_no_action_mask_and_the_token_masks_from_n1_7_on(make, read, backbone_output, action_input):
    """v0.4.4 flow_matching_action_head.py 387-391; 0.6.1 groot_n1_7.py 693-700."""
    action_input = {name: value for name, value in action_input.items() if name != "action"}
    uses = traced(make(), backbone_output, Bag(action_input), method="get_action")
    assert readers(uses, "action_mask") == ()
    assert bool(readers(uses, "backbone_attention_mask")) is read
