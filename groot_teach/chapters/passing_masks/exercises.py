"""Exercises about masks on their way into PyTorch: their forms, nothing to read, positions, and masks by block."""

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import generator, holes, left_padded, normal

TITLE = "How do I tell PyTorch what to hide?"


def _additive(real, hidden):
    zeros = torch.zeros(real.shape, dtype=torch.float64)
    return zeros.masked_fill(~real, hidden)[:, None, None, :]


def _attention_mask_cases():
    smallest = torch.finfo(torch.float32).min
    return (
        (_additive(torch.tensor([[False, True, True]]), smallest), 2),
        (_additive(holes((2, 5), 31), -torch.inf), 3),
        (_additive(holes((3, 7), 32), smallest), 2),
        (_additive(holes((2, 11), 33), -1e9), 5),
        (_additive(left_padded([3, 13], 13), -1e4), 7),
    )


@exercise(
    "passing_masks.1",
    minutes=5,
    difficulty=2,
    cases=_attention_mask_cases,
    hints=(
        "Which value means *may be read*? Compare with it, and you need not know how the others hide.",
        "Get rid of the two axes of length 1, and make a new one for queries between batch and keys.",
        "`(additive_mask[:, 0, 0] == 0)[:, None, :].repeat(1, query_len, 1)`.",
    ),
    lesson="From here on True means one thing, and no constant decides who is hidden.",
    unaffected_by=("axes 1 and 2 of `additive_mask` are swapped",),
)
def attention_mask(additive_mask, query_len):
    """Let an additive mask in

    A library hands you its mask in the form that is added to scores: `additive_mask` (batch, 1, 1, key_len; float). 0 =
    may be read; what is hidden holds a large negative number, somebody's favourite: `-inf`, the smallest float32, -1e9
    or -1e4. Return `attention_mask` (batch, query_len, key_len; **bool**, True = this query may read this key) for
    `query_len` queries, an int; all of them may read the same keys."""
    may_be_read = additive_mask[:, 0, 0] == 0
    return may_be_read[:, None, :].repeat(1, query_len, 1)


@attention_mask.mistake(".bool() turned it upside down")
def _(additive_mask, query_len):
    """`.bool()` makes True of everything that is not 0, and in an additive mask 0 means *may be read*: you hide the
    real tokens. Compare with 0 instead.
    Source: the page on mask conventions, the wrong door; our own"""
    return additive_mask[:, 0, 0].bool()[:, None].repeat(1, query_len, 1)


@attention_mask.mistake("only minus infinity hides")
def _(additive_mask, query_len):
    """You looked for `-inf` alone. Others hide with the smallest float, with -1e9 or with -1e4, and there your mask
    lets everything in.
    Source: openpi hides with -2.38e38, d2l with -1e6, the Annotated Transformer with -1e9"""
    return (additive_mask[:, 0, 0] != -torch.inf)[:, None].repeat(1, query_len, 1)


@attention_mask.mistake("one row for all queries")
def _(additive_mask, query_len):
    """Your mask has one row, for one query. It would broadcast in many places; asked for were `query_len` rows, one a
    query."""
    return (additive_mask[:, 0, 0] == 0)[:, None]


def _some_rows_empty(shape, seed):
    """In every sample another query may read nothing; the one before it may read the first key and not the last."""
    mask = torch.rand(shape, generator=generator(seed)) < 0.6
    for sample, rows in enumerate(mask):
        empty = sample % len(rows)
        rows[empty], rows[empty - 1, 0], rows[empty - 1, -1] = False, True, False
    return mask


def _read_or_zero_cases():
    scores = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]], dtype=torch.float64)
    value = torch.tensor([[[10.0], [30.0]]], dtype=torch.float64)
    return (
        (scores, value, torch.tensor([[[False, False], [True, False]]])),
        (normal((2, 3, 5), 61), normal((2, 5, 7), 62), _some_rows_empty((2, 3, 5), 63)),
        (normal((3, 2, 7), 64), normal((3, 7, 2), 65), _some_rows_empty((3, 2, 7), 66)),
        (3 * normal((1, 11, 5), 67), normal((1, 5, 3), 68), _some_rows_empty((1, 11, 5), 69)),
    )


@exercise(
    "passing_masks.2",
    minutes=6,
    difficulty=3,
    cases=_read_or_zero_cases,
    hints=(
        "Ordinary rows first, as in attention.1. What do the empty ones hold then?",
        "`attention_mask.any(dim=-1, keepdim=True)` knows which queries may read something.",
        "`torch.where` chooses between your weights and 0, before they meet the values.",
    ),
    lesson="Zeros are a choice, and now it is yours: PyTorch's own answer depends on release, device and arguments. "
    "The NaN of an empty row does no harm on the way back, since `masked_fill` gives hidden scores a gradient of 0; "
    "the chapter's `read_or_zero` lets no NaN arise at all.",
)
def read_or_zero(scores, value, attention_mask):
    """Nothing to read

    `scores` (batch, query_len, key_len; float), `value` (batch, key_len, width; float) and `attention_mask` (batch,
    query_len, key_len; bool, True = this query may read this key). Some queries may read **nothing**. Return the output
    of attention (batch, query_len, width): for a query that may read something, the weighted mean of the values it may
    read; for one that may read nothing, zeros. All numbers that come in are finite."""
    weights = scores.masked_fill(~attention_mask, -torch.inf).softmax(dim=-1)
    has_something = attention_mask.any(dim=-1, keepdim=True)
    return torch.where(has_something, weights, 0.0) @ value


@read_or_zero.mistake("a softmax over nothing")
def _(scores, value, attention_mask):
    """Your empty rows are NaN: a softmax over minus infinities divides 0 by 0. Ordinary rows are right; say what
    the empty ones should be.
    Source: PyTorch's own attention gave NaN too, https://github.com/pytorch/pytorch/issues/103963"""
    return scores.masked_fill(~attention_mask, -torch.inf).softmax(-1) @ value


@read_or_zero.mistake(bugs.finite_fill)
def _(scores, value, attention_mask):
    return scores.masked_fill(~attention_mask, -1e9).softmax(-1) @ value


@read_or_zero.mistake("an added constant cancels")
def _(scores, value, attention_mask):
    """In an empty row your constant is added to every score, and a softmax does not see what is added to all: the
    query reads as if there were no mask.
    Source: BERT in transformers added -10000, https://github.com/huggingface/transformers/issues/3121"""
    return (scores - 10_000.0 * ~attention_mask).softmax(-1) @ value


@read_or_zero.mistake("hidden after the softmax")
def _(scores, value, attention_mask):
    """Your empty rows are right, and the others are too small: you took the softmax over hidden keys as well, and
    what is left of the weights does not sum to 1.
    Source: as in attention.1, https://github.com/huggingface/transformers/issues/542"""
    return (scores.softmax(-1) * attention_mask) @ value


@exercise(
    "passing_masks.3",
    minutes=4,
    difficulty=1,
    cases=lambda: (
        (torch.tensor([[False, False, True, True], [True, False, True, False]]),),
        (torch.tensor([[True, True, False]]),),
        (left_padded([7, 3, 1], 7),),
        (holes((3, 11), 11),),
        (holes((2, 13), 12),),
    ),
    hints=(
        "How many real tokens are there up to a place, the place included?",
        "`cumsum(dim=1)` counts True along a row. The first real token then has 1.",
        "Subtract 1; padding before the first token falls below 0: `clamp(min=0)`.",
    ),
    lesson="Now a prompt has the same positions on the left, on the right, and in any batch.",
)
def positions(backbone_attention_mask):
    """Number the tokens, not the places

    A sample's tokens get position numbers. From `backbone_attention_mask` (batch, key_len; bool, True = a real token),
    return the positions (batch, key_len; int64): the real tokens of each sample are 0, 1, 2, ... from left to right,
    wherever the padding stands. A padded place gets the number of the last real token before it, or 0 if there is none.
    """
    counted = backbone_attention_mask.cumsum(dim=1) - 1
    return counted.clamp(min=0)


@positions.mistake("places are numbered")
def _(backbone_attention_mask):
    """You numbered the places, padding included. Under left padding a prompt then begins at another number in every
    batch, so the same prompt gets another answer.
    Source: huggingface/transformers tests that left padding changes nothing, test_left_padding_compatibility"""
    return torch.arange(backbone_attention_mask.shape[1]).repeat(len(backbone_attention_mask), 1)


@positions.mistake("padding before the first token is -1")
def _(backbone_attention_mask):
    """Padding in front of the first token has number -1 in your answer. A table of embeddings cannot look it up,
    and an indexed tensor takes its last row without a word.
    Source: our own; chapter 2 has the same trap in N1.5's time bucket"""
    return backbone_attention_mask.cumsum(1) - 1


@positions.mistake("counted from 1")
def _(backbone_attention_mask):
    """Your first real token has number 1. Counting what is real up to here includes the token itself."""
    return backbone_attention_mask.cumsum(1)


def _read_by_block_cases():
    image = torch.tensor([[False, True, True, True, True, False, False]])
    real = torch.tensor([[False, True, True, False, False, True, True]])
    others = holes((3, 11), 41), holes((3, 11), 42)
    return (
        *((real.clone(), image.clone(), block, 2) for block in (4, 0, 2, 6)),
        *((*(mask.clone() for mask in others), block, 3) for block in (0, 2, 4, 6, 8, 10, 12)),
        *((holes((2, 5), 43), holes((2, 5), 44), block, 1) for block in (0, 2, 4)),
    )


@exercise(
    "passing_masks.4",
    minutes=6,
    difficulty=2,
    cases=_read_by_block_cases,
    hints=(
        "First the masks: a text block may read what is real and no image; an image block what is real and an image.",
        "Of the cross-attention blocks 0, 2, 4, ... one reads text, then `every` - 1 read images. How far apart are "
        "those of text?",
        "`block % (2 * every) == 0` is a text block.",
    ),
    lesson="Two masks, made of two: neither alone may be handed to attention.",
)
def read_by_block(backbone_attention_mask, image_mask, block, every):
    """Whose turn is it?

    The blocks of GR00T N1.6 and N1.7 are numbered from 0, and the even ones are cross-attention. One in `every` of
    these, the first among them, reads text, and the others read images. With `every` = 2 (an int), block 0 reads
    text, block 2 images, block 4 text and block 6 images. Text is every token that is no image. Given
    `backbone_attention_mask` (batch, key_len; bool, True = a real token), `image_mask` (batch, key_len; bool, True
    = a token of a camera, there or not) and `block`, an even int, return which tokens this block may read (batch,
    key_len; bool)."""
    if block % (2 * every) == 0:
        return ~image_mask & backbone_attention_mask
    return image_mask & backbone_attention_mask


@read_by_block.mistake("an absent camera is read")
def _(backbone_attention_mask, image_mask, block, every):
    """Your image blocks read every place of a camera, there or not. `image_mask` knows where cameras sit, and only
    `backbone_attention_mask` knows whether there is one: join them with `&`.
    Source: NVIDIA/Isaac-GR00T at 4e62473d, dit.py 322-323, joins the two; chapter 1 reads by one"""
    return ~image_mask & backbone_attention_mask if block % (2 * every) == 0 else image_mask


@read_by_block.mistake("the token mask is not used")
def _(backbone_attention_mask, image_mask, block, every):
    """You sorted the places into images and others, and used `backbone_attention_mask` nowhere: padding and absent
    cameras are read.
    Source: the plain DiT of N1.5 to N1.7 drops that mask; https://github.com/NVIDIA/Isaac-GR00T/issues/417"""
    return ~image_mask if block % (2 * every) == 0 else image_mask


@read_by_block.mistake("self-attention blocks are not counted")
def _(backbone_attention_mask, image_mask, block, every):
    """You took every `every`-th *block*. Every second block is self-attention, so every `every`-th cross-attention
    block comes after twice as many.
    Source: our own; upstream writes idx % (2 * attend_text_every_n_blocks)"""
    return (~image_mask if block % every == 0 else image_mask) & backbone_attention_mask
