"""What each tensor of a head is called upstream.

    LeRobot or NVIDIA                               here
    action_encoder.W1.W                             action_encoder.first.weight
    model.transformer_blocks.0.attn1.to_q.weight    dit.blocks.0.attention.query.weight
    vlln.weight                                     vl_norm.weight

One map serves N1.5, N1.6 and N1.7, because the versions differ in their masks and hardly in their weights. Only N1.5
has `future_tokens`. Only N1.6 has a `mask_token`, and only with state dropout: it takes the place of a dropped state
(read in NVIDIA/Isaac-GR00T at 040fccf8 and 55879c29, `gr00t_n1d6.py`).
"""

import re

from groot_teach.shapes import checked

PARTS = (
    (r"^dit\.time_encoder\.first\.", "model.timestep_encoder.timestep_embedder.linear_1."),
    (r"^dit\.time_encoder\.second\.", "model.timestep_encoder.timestep_embedder.linear_2."),
    (r"^dit\.last_norm\.modulation\.", "model.proj_out_1."),
    (r"^dit\.out\.", "model.proj_out_2."),
    (r"^dit\.blocks\.", "model.transformer_blocks."),
    (r"^vl_blocks\.", "vl_self_attention.transformer_blocks."),
    (r"\.attention_norm\.modulation\.", ".norm1.linear."),
    (r"\.attention_norm\.", ".norm1."),
    (r"\.attention\.(query|key|value)\.", lambda match: f".attn1.to_{match[1][0]}."),
    (r"\.attention\.out\.", ".attn1.to_out.0."),
    (r"\.feed_forward_norm\.", ".norm3."),
    (r"\.widen\.", ".ff.net.0.proj."),
    (r"\.narrow\.", ".ff.net.2."),
    (r"^vl_norm\.", "vlln."),
    (r"^(future_tokens)$", r"\1.weight"),
    (r"^step_embedding$", "position_embedding.weight"),
    (r"^dropped_state_token$", "mask_token"),
    (r"^decoders\.action\.", "action_decoder."),
    (r"^decoders\.(\w+)\.", r"action_\1_decoder."),
    (r"^(state_encoder|action\w*_decoder)\.first\.", r"\1.layer1."),
    (r"^(state_encoder|action\w*_decoder)\.second\.", r"\1.layer2."),
    (r"^action_encoder\.first\.", "action_encoder.W1."),
    (r"^action_encoder\.second\.", "action_encoder.W2."),
    (r"^action_encoder\.third\.", "action_encoder.W3."),
    (r"^((state|action)_\w+\.\w+)\.weight$", r"\1.W"),
    (r"^((state|action)_\w+\.\w+)\.bias$", r"\1.b"),
)
"""Pattern and replacement for each part of one of our names, applied from first to last. Decoders of groups are named
as in the note's fork, `action_arm_decoder` and `action_claw_decoder`."""


@checked
def upstream_name(name: str) -> str:
    """What a tensor of our `ActionHead.state_dict()` is called in a GR00T checkpoint."""
    for ours, theirs in PARTS:
        name = re.sub(ours, theirs, name)
    return name


def listed(names: list[str]) -> str:
    """Names for an error message: the first five, and how many more there are."""
    if not names:
        return "none"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
