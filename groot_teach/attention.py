"""Attention with masks: what a query may read, and what it may not.

`attention_mask` is bool, with a row for each query that reads and a column for each key that is read:

                     key 0   key 1   key 2 (padding)
    query 0           True    True   False
    query 1           True    True   False

True = this query may read this key. A padded key is a column of False. A padded query keeps its row: nothing uses its
output, but the softmax of a row without any True is not defined. (`groot_teach.shapes` explains the signatures.)

Source: in GR00T, NVIDIA's robot policy, a transformer called DiT lets action steps read each other (self-attention) and
vision-language tokens (cross-attention). NVIDIA/Isaac-GR00T at 4e62473d, `gr00t/model/modules/dit.py` has
`may_read_real` in 151-153, from N1.6 on (in N1.5 the argument is commented out), and `alternate_masks` in 322-323
(`AlternateVLDiT`). `may_read_real_steps` is NVIDIA/Isaac-GR00T pull request 741 (open), for the DiT's self-attention;
released versions mask nothing there. `may_read_earlier_steps`: huggingface/lerobot at 7427f318,
`policies/smolvla/modeling_smolvla.py` 682. We differ: theirs does not look at `action_is_pad`, and has no need to while
padding comes last. `cross_attention`: Vaswani et al. 2017, equation 1.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.checks import every_row_reads
from groot_teach.shapes import AttentionMask, PositiveInt, StepMask, TokenMask, checked


@checked
def may_read_real(backbone_attention_mask: TokenMask, query_len: PositiveInt) -> AttentionMask:
    """Every query may read every real key, and no padding: the mask of cross-attention."""
    return backbone_attention_mask[:, None, :].repeat(1, query_len, 1)


@checked
@dataclass(frozen=True, eq=False)
class AlternateMasks:
    """The two masks that the cross-attention blocks of GR00T N1.6 and N1.7 use in turn.

    Attributes:
        image: True = a real token of a camera.
        text: True = a real token of anything else.
    """

    image: TokenMask
    text: TokenMask


@checked
def alternate_masks(backbone_attention_mask: TokenMask, image_mask: TokenMask) -> AlternateMasks:
    """Splits the real tokens into those of cameras and the others. Without a real camera, `image` has no True."""
    return AlternateMasks(image=image_mask & backbone_attention_mask, text=~image_mask & backbone_attention_mask)


@checked
def may_read_real_steps(step_mask: StepMask) -> Bool[Tensor, "batch action_horizon action_horizon"]:
    """Every action step may read every real step, before it and after it. A sample without a real step is refused."""
    every_row_reads("step_mask", step_mask)
    return step_mask[:, None, :].repeat(1, step_mask.shape[1], 1)


@checked
def may_read_earlier_steps(step_mask: StepMask) -> Bool[Tensor, "batch action_horizon action_horizon"]:
    """An action step may read itself and the real steps before it: causal attention. No row is empty.

    is read      step 0   step 1   step 2
    by step 0       yes       no       no
    by step 1       yes      yes       no
    by step 2       yes      yes      yes
    """
    steps = torch.arange(step_mask.shape[1], device=step_mask.device)
    earlier = steps[:, None] >= steps
    itself = steps[:, None] == steps
    return earlier & (step_mask[:, None, :] | itself)


@checked
@dataclass(frozen=True, eq=False)
class Attended:
    """What queries have read.

    Attributes:
        output: for each query the mean of the values, weighted.
        weights: for each query those of the keys: a row sums to 1, and a hidden key has exactly 0.
    """

    output: Float[Tensor, "*batch query_len value_width"]
    weights: Float[Tensor, "*batch query_len key_len"]


@checked(same="dtype device")
def cross_attention(
    query: Float[Tensor, "*batch query_len width"],
    key: Float[Tensor, "*batch key_len width"],
    value: Float[Tensor, "*batch key_len value_width"],
    attention_mask: Bool[Tensor, "*batch query_len key_len"] | None = None,
) -> Attended:
    """`softmax(query @ key.T / sqrt(width)) @ value`, with the weights.

    In `attention_mask` True = this query may read this key; None = every query may read every key.
    A query without a key raises `ValueError`. A NaN in a key that no query may read reaches neither the output nor a
    gradient; in a key that some may read, it reaches all queries. `torch.nn.functional.scaled_dot_product_attention`
    gives the same, except zeros for a query without a key and NaN for a hidden NaN (torch 2.13 on a CPU).
    """
    if not key.shape[-2]:
        raise ValueError("key: got none, expected at least one; a query that may read nothing has no output")
    if attention_mask is not None:
        every_row_reads("attention_mask", attention_mask)
        is_read = attention_mask.any(dim=-2)[..., None]
        key = torch.where(is_read, key, 0.0)
        value = torch.where(is_read, value, 0.0)
    logits = query @ key.mT / sqrt(query.shape[-1])
    if attention_mask is not None:
        logits = logits.masked_fill(~attention_mask, -torch.inf)
    weights = logits.softmax(dim=-1)
    return Attended(output=weights @ value, weights=weights)


@checked
def mass_on_padding(
    weights: Float[Tensor, "batch query_len key_len"], backbone_attention_mask: TokenMask
) -> Float[Tensor, "batch query_len"]:
    """The share of its attention that each query gives to padding, from 0 to 1."""
    return torch.where(backbone_attention_mask[:, None, :], 0.0, weights).sum(dim=-1)
