"""Exercises about attention: which tokens and steps may be read, and what a token of zeros is worth."""

from math import log

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import holes, left_padded, normal

TITLE = "Which tokens may be read?"


def _attention_weights_cases():
    by_hand = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log().repeat(1, 3, 1)
    return (
        (by_hand, torch.tensor([[False, True, True]])),
        (normal((2, 4, 4), 1), torch.tensor([[True, True, True, True], [False, True, False, True]])),
        (normal((3, 7, 7), 2), holes((3, 7), 3)),
        (5 * normal((2, 5, 5), 4), left_padded([2, 4], 5)),
        (normal((5, 11, 11), 5), holes((5, 11), 6)),
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


def _padding_share_cases():
    two = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    keys = torch.tensor([[[log(3), 0, 0, 0], [0.0, 1, 0, 0]]], dtype=torch.float64)
    return (
        (two, keys, torch.tensor([log(2), 0, 0, 0], dtype=torch.float64), 3),
        (normal((3, 5), 21), normal((3, 7, 5), 22), normal((5,), 23), 2),
        (normal((2, 11), 24), normal((2, 3, 11), 25), normal((11,), 26), 13),
        (normal((5, 3), 27), normal((5, 8, 3), 28), normal((3,), 29), 32),
    )


@exercise(
    "attention.2",
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


@exercise(
    "attention.3",
    minutes=6,
    difficulty=3,
    cases=lambda: (
        (torch.tensor([[False, True, False]]),),
        (torch.tensor([[True, False, False, True], [False, True, False, False]]),),
        (holes((2, 5), 51),),
        (holes((3, 7), 52),),
        (holes((5, 13), 53),),
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
    that step, a column): every step, a padded one too, may read itself, so that no row is empty, and the **real** steps
    before it. Padding can stand anywhere."""
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
