"""Exercises about attention masks: what they hide, and what happens where there is nothing to read."""

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import generator, normal

TITLE = "Which tokens may be read?"


def _real(shape, seed):
    """A mask with holes anywhere, and at least one True and one False in every row."""
    mask = torch.rand(shape, generator=generator(seed)) < 0.6
    mask[..., 1], mask[..., -2] = True, False
    return mask


def _left_padded(real_tokens, key_len):
    return torch.arange(key_len) >= key_len - torch.tensor(real_tokens)[:, None]


def _attention_weights_cases():
    by_hand = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log().repeat(1, 3, 1)
    return (
        (by_hand, torch.tensor([[False, True, True]])),
        (normal((2, 4, 4), 1), torch.tensor([[True, True, True, True], [False, True, False, True]])),
        (normal((3, 7, 7), 2), _real((3, 7), 3)),
        (5 * normal((2, 5, 5), 4), _left_padded([2, 4], 5)),
        (normal((5, 11, 11), 5), _real((5, 11), 6)),
    )


@exercise(
    "attention.1",
    minutes=4,
    difficulty=1,
    cases=_attention_weights_cases,
    hints=(
        "A softmax gives 0 to a score of minus infinity. Where should that score stand?",
        "The mask speaks of tokens that are looked at: the last axis of `scores`. It needs a new axis for those that "
        "look: `backbone_attention_mask[:, None, :]`.",
        "`masked_fill(where, value)` fills where its mask is True, so hand it the mask turned round.",
    ),
    lesson="Hide columns, before the softmax: every row then sums to 1 over what is real.",
)
def attention_weights(scores, backbone_attention_mask):
    """Hide the padding

    Tokens read each other. `scores` (batch, key_len, key_len; float) holds a row for each token that looks and a column
    for each token that is looked at. `backbone_attention_mask` (batch, key_len; bool, True = a real token) says which
    tokens are padding; every sample has a real one. Return the attention weights (batch, key_len, key_len): a softmax
    over the real tokens of each row, and exactly 0 for padding. Rows of padded tokens are no exception: they look at
    the real ones."""
    hidden = ~backbone_attention_mask[:, None, :]
    return scores.masked_fill(hidden, -torch.inf).softmax(dim=-1)


def _masked_by(bug):
    """The weights under the attention mask that a bug makes of the token mask."""

    def weights(scores, real):
        mask = bug.wrong({"token_mask": real})[:, 0]
        hidden = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return hidden.softmax(dim=-1)

    return weights


attention_weights.made_by(bugs.upside_down, bugs.zeros_and_ones, by=_masked_by)


@attention_weights.mistake(bugs.wrong_axis)
def _(scores, backbone_attention_mask):
    return scores.masked_fill(~backbone_attention_mask[:, :, None], -torch.inf).softmax(-1)


@attention_weights.mistake("hidden after the softmax")
def _(scores, backbone_attention_mask):
    """You took the softmax over all tokens and set the weights of padding to 0 afterwards, so your rows do not sum
    to 1. What is hidden must not stand in the denominator: hide before the softmax.
    Source: asked, and answered, in https://github.com/huggingface/transformers/issues/542"""
    return scores.softmax(-1) * backbone_attention_mask[:, None, :]


@attention_weights.mistake("a score of 0 is not hidden")
def _(scores, backbone_attention_mask):
    """You gave padding a score of 0, and the exponential of 0 is 1: it is read like a token that fits. Only minus
    infinity makes a weight of 0.
    Source: -1e-12 put in for minus infinity, https://github.com/hyunwoongko/transformer/issues/10"""
    return scores.masked_fill(~backbone_attention_mask[:, None, :], 0.0).softmax(-1)


@exercise(
    "attention.2",
    minutes=4,
    difficulty=1,
    cases=lambda: (
        (_left_padded([2, 4], 5),),
        (torch.tensor([[True, True, False]]),),
        (_left_padded([7, 3, 1], 7),),
        (_real((3, 11), 11),),
        (_real((2, 13), 12),),
    ),
    hints=(
        "How many real tokens are there up to a seat, the seat included?",
        "`cumsum(dim=1)` counts True along a row. The first real token then has 1.",
        "Subtract 1; padding before the first token falls below 0: `clamp(min=0)`.",
    ),
    lesson="Now a prompt has the same positions on the left, on the right, and in any batch.",
)
def positions(backbone_attention_mask):
    """Number the tokens, not the seats

    A sample's tokens get position numbers. From `backbone_attention_mask` (batch, key_len; bool, True = a real token),
    return the positions (batch, key_len; int64): the real tokens of each sample are 0, 1, 2, ... from left to right,
    wherever the padding stands. A padded seat gets the number of the last real token before it, or 0 if there is none.
    """
    counted = backbone_attention_mask.cumsum(dim=1) - 1
    return counted.clamp(min=0)


@positions.mistake("seats are numbered")
def _(backbone_attention_mask):
    """You numbered the seats, padding included. Under left padding a prompt then begins at another number in every
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


def _padding_share_cases():
    two = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    keys = torch.tensor([[[2.0, 0, 0, 0], [0.0, 1, 0, 0]]], dtype=torch.float64)
    return (
        (two, keys, torch.tensor([-1.0, 0, 0, 0], dtype=torch.float64), 3),
        (normal((3, 5), 21), normal((3, 7, 5), 22), normal((5,), 23), 2),
        (normal((2, 11), 24), normal((2, 3, 11), 25), normal((11,), 26), 13),
        (normal((5, 3), 27), normal((5, 8, 3), 28), normal((3,), 29), 32),
    )


@exercise(
    "attention.3",
    minutes=7,
    difficulty=2,
    cases=_padding_share_cases,
    hints=(
        "Write down one score for each token: a real one's is its key times the query, a padded one's the bias times "
        "the query; both over the square root of the width.",
        "All padded tokens have the same score. What do `zeros` equal terms add to the sum of exponentials?",
        "`zeros * exp(padded score)`, divided by that plus the sum of `exp(real scores)`.",
    ),
    lesson="The bias adds the same number to the score of every key, real or zero, and a softmax does not see that: no "
    "key bias hides a zero.",
)
def padding_share(query, real_keys, key_bias, zeros):
    """What zeros are worth

    One query a sample, `query` (batch, width; float), reads `real_keys` (batch, token, width; float) and `zeros` padded
    tokens, an int. The padded tokens are zero vectors; every key is made by a layer whose bias is `key_bias` (width;
    float), so **the key of a zero token is the bias** (`real_keys` contain it already: do not add it again). There is
    no mask. Scores are divided by the square root of the width. Return the part of its attention that each query
    spends on padding (batch; float, 0 to 1)."""
    width = query.shape[-1]
    real = torch.einsum("bw,btw->bt", query, real_keys) / width**0.5
    padded = (query @ key_bias) / width**0.5
    on_padding = zeros * padded.exp()
    return on_padding / (real.exp().sum(dim=1) + on_padding)


@padding_share.mistake("zeros are not read")
def _(query, real_keys, key_bias, zeros):
    """You say that zero vectors get no attention. A softmax gives every score a weight: only a score of minus
    infinity gets none.
    Source: the guess of the note this book began with, that padding may be zero already"""
    return torch.zeros_like(query[:, 0])


@padding_share.mistake("the bias is forgotten")
def _(query, real_keys, key_bias, zeros):
    """You gave padding a score of 0. The layer that makes keys has a bias, so the key of a zero token is the bias,
    and the query compares itself with it. Or you added the bias to the real keys once more: it moves their scores
    away from the padding's, which comes to the same.
    Source: GR00T's DiT has attention_bias=True, huggingface/lerobot v0.4.4, cross_attention_dit.py 198"""
    return padding_share(query, real_keys, torch.zeros_like(key_bias), zeros)


@padding_share.mistake("every token counts the same")
def _(query, real_keys, key_bias, zeros):
    """You counted tokens: that is right for a query without preference only. This one has scores; take their
    exponentials."""
    return torch.full_like(query[:, 0], zeros / (zeros + real_keys.shape[1]))


def _additive(real, hidden):
    zeros = torch.zeros(real.shape, dtype=torch.float64)
    return zeros.masked_fill(~real, hidden)[:, None, None, :]


def _attention_mask_cases():
    smallest = torch.finfo(torch.float32).min
    return (
        (_additive(torch.tensor([[False, True, True]]), smallest), 2),
        (_additive(_real((2, 5), 31), -torch.inf), 3),
        (_additive(_real((3, 7), 32), smallest), 2),
        (_additive(_real((2, 11), 33), -1e9), 5),
        (_additive(_left_padded([3, 13], 13), -1e4), 7),
    )


@exercise(
    "attention.4",
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


def _read_by_block_cases():
    image = torch.tensor([[False, True, True, True, True, False, False]])
    real = torch.tensor([[False, True, True, False, False, True, True]])
    others = _real((3, 11), 41), _real((3, 11), 42)
    return (
        *((real.clone(), image.clone(), block, 2) for block in (0, 2, 4, 6)),
        *((*(mask.clone() for mask in others), block, 3) for block in (0, 2, 4, 6, 8, 10, 12)),
        *((_real((2, 5), 43), _real((2, 5), 44), block, 1) for block in (0, 2, 4)),
    )


@exercise(
    "attention.5",
    minutes=6,
    difficulty=2,
    cases=_read_by_block_cases,
    hints=(
        "First the masks: a text block may read what is real and no image; an image block what is real and an image.",
        "Of the cross-attention blocks 0, 2, 4, ... every `every`-th reads text. How far apart are these?",
        "`block % (2 * every) == 0` is a text block.",
    ),
    lesson="Two masks, made of two: neither alone may be handed to attention.",
)
def read_by_block(backbone_attention_mask, image_mask, block, every):
    """Whose turn is it?

    The blocks of GR00T N1.6 and N1.7 are numbered from 0. Odd ones are self-attention. Even ones are cross-attention
    and read in turns: with `every` = 2 (an int), block 0 reads the tokens that are no image, block 2 images, block 4 no
    image, block 6 images; in general every `every`-th cross-attention block, the first included, reads what is no
    image, and all the others images. Given `backbone_attention_mask` (batch, key_len; bool, True = a real token),
    `image_mask` (batch, key_len; bool, True = a token of a camera, there or not) and `block`, an even int, return which
    tokens this block may read (batch, key_len; bool)."""
    if block % (2 * every) == 0:
        return ~image_mask & backbone_attention_mask
    return image_mask & backbone_attention_mask


@read_by_block.mistake("an absent camera is read")
def _(backbone_attention_mask, image_mask, block, every):
    """Your image blocks read every seat of a camera, there or not. `image_mask` knows where cameras sit, and only
    `backbone_attention_mask` knows whether there is one: join them with `&`.
    Source: NVIDIA/Isaac-GR00T at 4e62473d, dit.py 322-323, joins the two; chapter 1 reads by one"""
    return ~image_mask & backbone_attention_mask if block % (2 * every) == 0 else image_mask


@read_by_block.mistake("the token mask is not used")
def _(backbone_attention_mask, image_mask, block, every):
    """You sorted the seats into images and others, and used `backbone_attention_mask` nowhere: padding and absent
    cameras are read.
    Source: the plain DiT of N1.5 to N1.7 drops that mask; https://github.com/NVIDIA/Isaac-GR00T/issues/417"""
    return ~image_mask if block % (2 * every) == 0 else image_mask


@read_by_block.mistake("self-attention blocks are not counted")
def _(backbone_attention_mask, image_mask, block, every):
    """You took every `every`-th *block*. Every second block is self-attention, so every `every`-th cross-attention
    block comes after twice as many.
    Source: our own; upstream writes idx % (2 * attend_text_every_n_blocks)"""
    return (~image_mask if block % every == 0 else image_mask) & backbone_attention_mask


@exercise(
    "attention.6",
    minutes=6,
    difficulty=3,
    cases=lambda: (
        (torch.tensor([[False, False, True]]),),
        (torch.tensor([[True, False, False, True], [False, True, False, False]]),),
        (_real((2, 5), 51),),
        (_real((3, 7), 52),),
        (_real((5, 13), 53),),
    ),
    hints=(
        "Two rules and an exception: before me, real, or myself. Write each as a square of booleans.",
        "`steps[:, None] > steps`: rows look, columns are looked at. Real is a matter of columns: "
        "`~action_is_pad[:, None, :]`.",
        "Join the two rules with `&`, then the diagonal with `|`.",
    ),
    lesson="No real step reads padding, wherever it stands, and no row is empty.",
)
def read_earlier_steps(action_is_pad):
    """Steps that look back

    Action steps read each other. From `action_is_pad` (batch, action_horizon; bool, LeRobot's polarity: True =
    padding), return an attention mask (batch, action_horizon, action_horizon; bool, True = this step, a row, may read
    that step, a column): every step may read itself and the **real** steps before it. A padded step may read itself
    too, so that no row is empty. Padding can stand anywhere."""
    steps = torch.arange(action_is_pad.shape[1])
    earlier, itself = steps[:, None] > steps, steps[:, None] == steps
    return earlier & ~action_is_pad[:, None, :] | itself


def _lower(action_is_pad):
    size = action_is_pad.shape[1]
    return torch.ones(size, size, dtype=torch.bool).tril().repeat(len(action_is_pad), 1, 1)


@read_earlier_steps.mistake("causal, and padding is read")
def _(action_is_pad):
    """Your mask is causal and does not look at `action_is_pad`. That suffices while padding comes last; here a
    padded step in the middle is read by all that follow.
    Source: SmolVLA in huggingface/lerobot at 7427f318, modeling_smolvla.py 682, where padding comes last"""
    return _lower(action_is_pad)


@read_earlier_steps.mistake("a padded step has nothing to read")
def _(action_is_pad):
    """A padded step must not be read, and you forbade it to read itself as well: where no real step comes before
    it, its row is empty, and a softmax over nothing is NaN, or 0, or the mean of everything.
    Source: left-padded rows that attend to nothing, https://github.com/unslothai/unsloth/pull/9848"""
    return _lower(action_is_pad) & ~action_is_pad[:, None, :]


@read_earlier_steps.mistake(bugs.is_pad_for_real)
def _(action_is_pad):
    return read_earlier_steps(~action_is_pad)


@read_earlier_steps.mistake("every real step is read")
def _(action_is_pad):
    """You hide padding, and let steps look ahead. That is what NVIDIA's pull request 741 proposes; asked for were
    the steps *before*.
    Source: the other design, https://github.com/NVIDIA/Isaac-GR00T/pull/741"""
    return ~action_is_pad[:, None, :] | torch.eye(action_is_pad.shape[1]).bool()


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
    "attention.7",
    minutes=6,
    difficulty=3,
    cases=_read_or_zero_cases,
    hints=(
        "Ordinary rows first, as in attention.1. What do the empty ones hold then?",
        "`attention_mask.any(dim=-1, keepdim=True)` knows which queries may read something.",
        "`torch.where` chooses between your weights and 0, before they meet the values.",
    ),
    lesson="Zeros are a choice, and now it is yours: PyTorch's own answer depends on release, device and arguments.",
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
