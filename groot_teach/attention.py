"""Attention with masks: who looks, what is looked at, and what a query may not read.

`attention_mask` is bool, a row for each query that looks and a column for each key that is looked at:

                     key 0   key 1   key 2 (padding)
    query 0           True    True   False
    query 1           True    True   False

True = this query may read this key. A padded key is a False *column*. A query that is padding itself keeps a row of
its own: its output is never used, and a row without any True has no answer.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.shapes import checked, expect_same

# ------------------------------------------------------------------------------------------------------- the masks


@checked
def may_read_real(
    backbone_attention_mask: Bool[Tensor, "batch key_len"], query_len: int
) -> Bool[Tensor, "batch query_len key_len"]:
    """Every query may read every real key, and no padding: the mask of cross-attention.

    Raises:
        ValueError: `query_len` is less than 1.

    Source: NVIDIA/Isaac-GR00T at 4e62473d, `gr00t/model/modules/dit.py` 151-153, from N1.6 on. N1.5 has the argument,
    in a comment.
    """
    if query_len < 1:
        raise ValueError(f"query_len: got {query_len}, expected 1 or more")
    return backbone_attention_mask[:, None, :].repeat(1, query_len, 1)


@checked
@dataclass(frozen=True, eq=False)
class AlternateMasks:
    """The two masks between which the cross-attention blocks of GR00T N1.6 and N1.7 alternate.

    Attributes:
        image: `batch, key_len`, bool, True = a real token of a camera.
        text: `batch, key_len`, bool, True = a real token that is none.
    """

    image: Bool[Tensor, "batch key_len"]
    text: Bool[Tensor, "batch key_len"]


@checked
def alternate_masks(
    backbone_attention_mask: Bool[Tensor, "batch key_len"], image_mask: Bool[Tensor, "batch key_len"]
) -> AlternateMasks:
    """Splits the real tokens into those of cameras and the others. No token is in both, no padding is in either.

    A sample without a real image token has an image mask without any True: a fully masked row in every image block.

    Source: NVIDIA/Isaac-GR00T at 4e62473d, `gr00t/model/modules/dit.py` 322-323 (`AlternateVLDiT`).
    """
    return AlternateMasks(image=image_mask & backbone_attention_mask, text=~image_mask & backbone_attention_mask)


@checked
def may_read_real_steps(
    step_mask: Bool[Tensor, "batch action_horizon"],
) -> Bool[Tensor, "batch action_horizon action_horizon"]:
    """Every action step may read every real step, in both directions: self-attention without padded steps.

    Raises:
        ValueError: a sample without a real step.

    Source: NVIDIA/Isaac-GR00T pull request 741 (open), for the DiT's self-attention. Released versions mask nothing
    there.
    """
    _every_row_reads("step_mask", step_mask)
    return step_mask[:, None, :].repeat(1, step_mask.shape[1], 1)


@checked
def may_read_earlier_steps(
    step_mask: Bool[Tensor, "batch action_horizon"],
) -> Bool[Tensor, "batch action_horizon action_horizon"]:
    """An action step may read itself and the real steps before it: causal, as in SmolVLA's action tokens.

        looks \\ at    step 0   step 1   step 2
        step 0           yes       no       no
        step 1           yes      yes       no
        step 2           yes      yes      yes

    A padded step may read itself, so that no row is empty; no real step reads it.

    Source: huggingface/lerobot at 7427f318, `policies/smolvla/modeling_smolvla.py` 682. We differ: theirs does not look
    at `action_is_pad`, and needs not while padding comes last.
    """
    steps = torch.arange(step_mask.shape[1], device=step_mask.device)
    earlier = steps[:, None] >= steps
    itself = steps[:, None] == steps
    return earlier & (step_mask[:, None, :] | itself)


# --------------------------------------------------------------------------------------------------- the attention


@checked
@dataclass(frozen=True, eq=False)
class Attended:
    """What attention gives.

    Attributes:
        output: `*batch, query_len, value_width`: for each query the mean of the values, weighted.
        weights: `*batch, query_len, key_len`: how much of each key a query reads; every row sums to 1, hidden keys have
            exactly 0.
    """

    output: Float[Tensor, "*batch query_len value_width"]
    weights: Float[Tensor, "*batch query_len key_len"]


@checked
def cross_attention(
    query: Float[Tensor, "*batch query_len width"],
    key: Float[Tensor, "*batch key_len width"],
    value: Float[Tensor, "*batch key_len value_width"],
    attention_mask: Bool[Tensor, "*batch query_len key_len"] | None = None,
) -> Attended:
    """`softmax(query @ key.T / sqrt(width)) @ value`, with the weights to look at. None = everything may be read.

    What nobody may read is set to 0 before the arithmetic, so NaN there reaches neither the output nor a gradient. A
    key that some queries may read and others not counts as readable: there, NaN gets through to all.

    Raises:
        ValueError: a query that may read no key: a softmax over nothing has no answer, and others return zeros, the
            mean of all values or NaN; query, key and value of different dtypes; or arguments on different devices.

    Source: Vaswani et al. 2017, equation 1. Same as `torch.nn.functional.scaled_dot_product_attention` with a bool
    mask, apart from those two cases, where it gives zeros (torch 2.13 on a CPU) and NaN.
    """
    expect_same("dtype", query=query, key=key, value=value)
    expect_same("device", query=query, key=key, value=value)
    if attention_mask is not None:
        expect_same("device", query=query, attention_mask=attention_mask)
        _every_row_reads("attention_mask", attention_mask)
        is_read = attention_mask.any(dim=-2)[..., None]
        key, value = torch.where(is_read, key, 0.0), torch.where(is_read, value, 0.0)
    logits = query @ key.mT / sqrt(query.shape[-1])
    if attention_mask is not None:
        logits = logits.masked_fill(~attention_mask, -torch.inf)
    weights = logits.softmax(dim=-1)
    return Attended(output=weights @ value, weights=weights)


@checked
def mass_on_padding(
    weights: Float[Tensor, "batch query_len key_len"], backbone_attention_mask: Bool[Tensor, "batch key_len"]
) -> Float[Tensor, "batch query_len"]:
    """Which part of its attention each query spends on padding, from 0 to 1."""
    return torch.where(backbone_attention_mask[:, None, :], 0.0, weights).sum(dim=-1)


def _every_row_reads(name: str, mask: Tensor) -> None:
    empty = ~mask.any(dim=-1)
    if empty.any():
        where = empty.nonzero()[0].tolist()
        raise ValueError(f"{name}{where}: got a row without any True, expected at least one key that may be read")
