"""The exercises of chapter 4: attention masks, what they hide, and what happens where there is nothing to read.

The wrong answers come from public threads and code where there are any; each names its source.
"""

import torch

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Which tokens may be read?"


def _draw(shape, seed):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _real(shape, seed):
    """A mask with holes anywhere, and at least one True and one False in every row."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 1], mask[..., -2] = True, False
    return mask


def _left_padded(real_tokens, key_len):
    return torch.arange(key_len) >= key_len - torch.tensor(real_tokens)[:, None]


# ------------------------------------------------------------------------------------------------------------- 4.1


def attention_weights(scores, backbone_attention_mask):
    hidden = ~backbone_attention_mask[:, None, :]
    return scores.masked_fill(hidden, -torch.inf).softmax(dim=-1)


def _attention_weights_cases():
    by_hand = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log().repeat(1, 3, 1)
    return (
        (by_hand, torch.tensor([[False, True, True]])),
        (_draw((2, 4, 4), 1), torch.tensor([[True, True, True, True], [False, True, False, True]])),
        (_draw((3, 7, 7), 2), _real((3, 7), 3)),
        (5 * _draw((2, 5, 5), 4), _left_padded([2, 4], 5)),
        (_draw((5, 11, 11), 5), _real((5, 11), 6)),
    )


ATTENTION_WEIGHTS = Exercise(
    id="4.1",
    title="Hide the padding",
    task=(
        "Tokens read each other. `scores` (batch, key_len, key_len; float) holds a row for each token that looks and a "
        "column for each token that is looked at. `backbone_attention_mask` (batch, key_len; bool, True = a real "
        "token) says which tokens are padding; every sample has a real one. Return the attention weights (batch, "
        "key_len, key_len): a softmax over the real tokens of each row, and exactly 0 for padding. Rows of padded "
        "tokens are no exception: they look at the real ones."
    ),
    minutes=4,
    difficulty=1,
    reference=attention_weights,
    cases=_attention_weights_cases,
    misconceptions=(
        Misconception(
            name="rows are hidden, not columns",
            answer=lambda scores, real: scores.masked_fill(~real[:, :, None], -torch.inf).softmax(-1),
            message=(
                "You hid the rows of the padded tokens, so the real ones go on reading padding, and the padded rows "
                "have nothing left to read. Who must not be *looked at* is a column: the last axis."
            ),
            source="a reader's correction of the Annotated Transformer, "
            "https://github.com/harvardnlp/annotated-transformer/issues/137",
        ),
        Misconception(
            name="rows and columns are hidden",
            answer=lambda scores, real: scores.masked_fill(~(real[:, :, None] & real[:, None, :]), -torch.inf).softmax(
                -1
            ),
            message=(
                "Your columns are right, and you hid the rows of the padded tokens as well: those have nothing to read "
                "and become NaN. Nobody reads their answer, so let them look at the real tokens."
            ),
            source="hyunwoongko/transformer masked rows as well, https://github.com/hyunwoongko/transformer/pull/1",
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda scores, real: scores.masked_fill(real[:, None, :], -torch.inf).softmax(-1),
            message=(
                "You hid the real tokens and read the padding: `masked_fill` fills where its mask is True, and here "
                "True means real. Turn the mask round with `~`."
            ),
            source="harvardnlp/annotated-transformer, a mask read upside down, "
            "https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="hidden after the softmax",
            answer=lambda scores, real: scores.softmax(-1) * real[:, None, :],
            message=(
                "You took the softmax over all tokens and set the weights of padding to 0 afterwards, so your rows do "
                "not sum to 1. What is hidden must not stand in the denominator: hide before the softmax."
            ),
            source="asked, and answered, in https://github.com/huggingface/transformers/issues/542",
        ),
        Misconception(
            name="a mask of ones and zeros is added",
            answer=lambda scores, real: (scores + real[:, None, :].to(scores.dtype)).softmax(-1),
            message=(
                "You added the mask to the scores: real tokens gain 1 and padding is read all the same. That is what "
                "PyTorch's attention does with a float mask of ones and zeros; what is added has to be 0 and `-inf`."
            ),
            source="diffusers 0.35.2 and torch 2.13 add a float mask (run); readers stumble on it, "
            "https://github.com/huggingface/transformers/issues/24897",
        ),
        Misconception(
            name="a score of 0 is not hidden",
            answer=lambda scores, real: scores.masked_fill(~real[:, None, :], 0.0).softmax(-1),
            message=(
                "You gave padding a score of 0, and the exponential of 0 is 1: it is read like a token that fits. "
                "Only minus infinity makes a weight of 0."
            ),
            source="-1e-12 put in for minus infinity, https://github.com/hyunwoongko/transformer/issues/10",
        ),
    ),
    hints=(
        "A softmax gives 0 to a score of minus infinity. Where should that score stand?",
        "The mask speaks of tokens that are looked at: the last axis of `scores`. It needs a new axis for those that "
        "look: `backbone_attention_mask[:, None, :]`.",
        "`masked_fill(where, value)` fills where its mask is True, so hand it the mask turned round.",
    ),
    lesson="Hide columns, before the softmax: every row then sums to 1 over what is real.",
)


# ------------------------------------------------------------------------------------------------------------- 4.2


def positions(backbone_attention_mask):
    counted = backbone_attention_mask.cumsum(dim=1) - 1
    return counted.clamp(min=0)


def _positions_cases():
    return (
        (_left_padded([2, 4], 5),),
        (torch.tensor([[True, True, False]]),),
        (_left_padded([7, 3, 1], 7),),
        (_real((3, 11), 11),),
        (_real((2, 13), 12),),
    )


POSITIONS = Exercise(
    id="4.2",
    title="Number the tokens, not the seats",
    task=(
        "A sample's tokens get position numbers. From `backbone_attention_mask` (batch, key_len; bool, True = a real "
        "token), return the positions (batch, key_len; int64): the real tokens of each sample are 0, 1, 2, ... from "
        "left to right, wherever the padding stands. A padded seat gets the number of the last real token before it, "
        "or 0 if there is none."
    ),
    minutes=4,
    difficulty=1,
    reference=positions,
    cases=_positions_cases,
    misconceptions=(
        Misconception(
            name="seats are numbered",
            answer=lambda real: torch.arange(real.shape[1]).repeat(len(real), 1),
            message=(
                "You numbered the seats, padding included. Under left padding a prompt then begins at another number "
                "in every batch, so the same prompt gets another answer."
            ),
            source="huggingface/transformers tests that left padding changes nothing, test_left_padding_compatibility",
        ),
        Misconception(
            name="counted from 1",
            answer=lambda real: real.cumsum(1),
            message="Your first real token has number 1. Counting what is real up to here includes the token itself.",
            source="our own",
        ),
        Misconception(
            name="padding before the first token is -1",
            answer=lambda real: real.cumsum(1) - 1,
            message=(
                "Padding in front of the first token has number -1 in your answer. A table of embeddings cannot look "
                "it up, and an indexed tensor takes its last row without a word."
            ),
            source="our own; chapter 2 has the same trap in N1.5's time bucket",
        ),
        Misconception(
            name="padding is always 0",
            answer=lambda real: (real.cumsum(1) - 1) * real,
            message=(
                "Your real tokens are right. A padded seat *behind* a real token keeps the number of the last one; "
                "yours begins again at 0."
            ),
            source="our own; a common convention, and harmless where padding is hidden",
        ),
        Misconception(
            name="counted from the right",
            answer=lambda real: (real.flip(1).cumsum(1) - 1).clamp(min=0).flip(1),
            message="You counted from right to left. The first real token from the left is number 0.",
            source="our own",
        ),
    ),
    hints=(
        "How many real tokens are there up to a seat, the seat included?",
        "`cumsum(dim=1)` counts True along a row. The first real token then has 1.",
        "Subtract 1; padding before the first token falls below 0: `clamp(min=0)`.",
    ),
    lesson="Now a prompt has the same positions on the left, on the right, and in any batch.",
)


# ------------------------------------------------------------------------------------------------------------- 4.3


def padding_share(query, real_keys, key_bias, zeros):
    width = query.shape[-1]
    real = torch.einsum("bw,btw->bt", query, real_keys) / width**0.5
    padded = (query @ key_bias) / width**0.5
    on_padding = zeros * padded.exp()
    return on_padding / (real.exp().sum(dim=1) + on_padding)


def _padding_share_cases():
    two = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    keys = torch.tensor([[[2.0, 0, 0, 0], [0.0, 1, 0, 0]]], dtype=torch.float64)
    return (
        (two, keys, torch.tensor([-1.0, 0, 0, 0], dtype=torch.float64), 3),
        (_draw((3, 5), 21), _draw((3, 7, 5), 22), _draw((5,), 23), 2),
        (_draw((2, 11), 24), _draw((2, 3, 11), 25), _draw((11,), 26), 13),
        (_draw((5, 3), 27), _draw((5, 8, 3), 28), _draw((3,), 29), 32),
    )


PADDING_SHARE = Exercise(
    id="4.3",
    title="What zeros are worth",
    task=(
        "One query a sample, `query` (batch, width; float), reads `real_keys` (batch, token, width; float) and `zeros` "
        "padded tokens, an int. The padded tokens are zero vectors; every key is made by a layer whose bias is "
        "`key_bias` (width; float), so **the key of a zero token is the bias** (`real_keys` contain it already: do "
        "not add it again). There is no mask. Scores are divided by the square root of the width. Return the part of "
        "its attention that each query spends on padding (batch; float, 0 to 1)."
    ),
    minutes=7,
    difficulty=2,
    reference=padding_share,
    cases=_padding_share_cases,
    misconceptions=(
        Misconception(
            name="zeros are not read",
            answer=lambda query, real_keys, key_bias, zeros: torch.zeros_like(query[:, 0]),
            message=(
                "You say that zero vectors get no attention. A softmax gives every score a weight: only a score of "
                "minus infinity gets none."
            ),
            source="the guess of the note this book began with, that padding may be zero already",
        ),
        Misconception(
            name="every token counts the same",
            answer=lambda query, real_keys, key_bias, zeros: torch.full_like(
                query[:, 0], zeros / (zeros + real_keys.shape[1])
            ),
            message=(
                "You counted tokens: that is right for a query without preference only. This one has scores; take "
                "their exponentials."
            ),
            source="our own",
        ),
        Misconception(
            name="the bias is forgotten",
            answer=lambda query, real_keys, key_bias, zeros: padding_share(
                query, real_keys, torch.zeros_like(key_bias), zeros
            ),
            message=(
                "You gave padding a score of 0. The layer that makes keys has a bias, so the key of a zero token is "
                "the bias, and the query compares itself with it. Or you added the bias to the real keys once more: it "
                "moves their scores away from the padding's, which comes to the same."
            ),
            source="GR00T's DiT has attention_bias=True, huggingface/lerobot v0.4.4, cross_attention_dit.py 198",
        ),
        Misconception(
            name="scores are not scaled",
            answer=lambda query, real_keys, key_bias, zeros: padding_share(
                query * query.shape[-1] ** 0.5, real_keys, key_bias, zeros
            ),
            message="Your scores are not divided by the square root of the width, so your softmax is too sharp.",
            source="our own",
        ),
        Misconception(
            name="one padded token for all",
            answer=lambda query, real_keys, key_bias, zeros: padding_share(query, real_keys, key_bias, 1),
            message="You counted one padded token. There are `zeros` of them, all alike, and each is read.",
            source="our own",
        ),
        Misconception(
            name="padding against real instead of against all",
            answer=lambda query, real_keys, key_bias, zeros: (
                1 / (1 / padding_share(query, real_keys, key_bias, zeros) - 1)
            ),
            message=(
                "You divided what padding gets by what real tokens get. A part of the whole has both in its "
                "denominator, and never exceeds 1."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Write down one score for each token: a real one's is its key times the query, a padded one's the bias times "
        "the query; both over the square root of the width.",
        "All padded tokens have the same score. What do `zeros` equal terms add to the sum of exponentials?",
        "`zeros * exp(padded score)`, divided by that plus the sum of `exp(real scores)`.",
    ),
    lesson="The bias adds the same number to the score of every key, real or zero, and a softmax does not see that: no "
    "key bias hides a zero.",
)


# ------------------------------------------------------------------------------------------------------------- 4.4


def attention_mask(additive_mask, query_len):
    may_be_read = additive_mask[:, 0, 0] == 0
    return may_be_read[:, None, :].repeat(1, query_len, 1)


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


ATTENTION_MASK = Exercise(
    id="4.4",
    unaffected_by=("axes 1 and 2 of `additive_mask` are swapped",),
    title="Let an additive mask in",
    task=(
        "A library hands you its mask in the form that is added to scores: `additive_mask` (batch, 1, 1, key_len; "
        "float). 0 = may be read; what is hidden holds a large negative number, somebody's favourite: `-inf`, the "
        "smallest float32, -1e9 or -1e4. Return `attention_mask` (batch, query_len, key_len; **bool**, True = this "
        "query may read this key) for `query_len` queries, an int; all of them may read the same keys."
    ),
    minutes=5,
    difficulty=2,
    reference=attention_mask,
    cases=_attention_mask_cases,
    misconceptions=(
        Misconception(
            name=".bool() turned it upside down",
            answer=lambda additive_mask, query_len: additive_mask[:, 0, 0].bool()[:, None].repeat(1, query_len, 1),
            message=(
                "`.bool()` makes True of everything that is not 0, and in an additive mask 0 means *may be read*: you "
                "hide the real tokens. Compare with 0 instead."
            ),
            source="the page on mask conventions, the wrong door; our own",
        ),
        Misconception(
            name="only minus infinity hides",
            answer=lambda additive_mask, query_len: (additive_mask[:, 0, 0] != -torch.inf)[:, None].repeat(
                1, query_len, 1
            ),
            message=(
                "You looked for `-inf` alone. Others hide with the smallest float, with -1e9 or with -1e4, and there "
                "your mask lets everything in."
            ),
            source="openpi hides with -2.38e38, d2l with -1e6, the Annotated Transformer with -1e9",
        ),
        Misconception(
            name="still a float mask",
            answer=lambda additive_mask, query_len: additive_mask[:, 0].repeat(1, query_len, 1),
            message=(
                "Your mask still holds numbers. That is a fine additive mask, and no bool one: the next reader who "
                "multiplies with it, or negates it, gets something else."
            ),
            source="our own",
        ),
        Misconception(
            name="queries and keys have changed places",
            answer=lambda additive_mask, query_len: (additive_mask[:, 0, 0] == 0)[:, :, None].repeat(1, 1, query_len),
            message=(
                "Your keys lie on the middle axis and your queries on the last one. With as many queries as keys "
                "nobody would notice: rows would be hidden, and columns read."
            ),
            source="https://github.com/hyunwoongko/transformer/pull/40 and "
            "https://github.com/harvardnlp/annotated-transformer/issues/137",
        ),
        Misconception(
            name="one row for all queries",
            answer=lambda additive_mask, query_len: (additive_mask[:, 0, 0] == 0)[:, None],
            message=(
                "Your mask has one row, for one query. It would broadcast in many places; asked for were `query_len` "
                "rows, one a query."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Which value means *may be read*? Compare with it, and you need not know how the others hide.",
        "Get rid of the two axes of length 1, and make a new one for queries between batch and keys.",
        "`(additive_mask[:, 0, 0] == 0)[:, None, :].repeat(1, query_len, 1)`.",
    ),
    lesson="From here on True means one thing, and no constant decides who is hidden.",
)


# ------------------------------------------------------------------------------------------------------------- 4.5


def read_by_block(backbone_attention_mask, image_mask, block, every):
    if block % (2 * every) == 0:
        return ~image_mask & backbone_attention_mask
    return image_mask & backbone_attention_mask


def _read_by_block_cases():
    image = torch.tensor([[False, True, True, True, True, False, False]])
    real = torch.tensor([[False, True, True, False, False, True, True]])
    others = _real((3, 11), 41), _real((3, 11), 42)
    return (
        *((real.clone(), image.clone(), block, 2) for block in (0, 2, 4, 6)),
        *((*(mask.clone() for mask in others), block, 3) for block in (0, 2, 4, 6, 8, 10, 12)),
        *((_real((2, 5), 43), _real((2, 5), 44), block, 1) for block in (0, 2, 4)),
    )


def _turns(text, images, is_text=lambda block, every: block % (2 * every) == 0):
    """An answer to 4.5: what a text block reads, what an image block reads, and which is which."""
    return lambda real, image, block, every: (text if is_text(block, every) else images)(real, image)


def _text(real, image):
    return ~image & real


def _images(real, image):
    return image & real


READ_BY_BLOCK = Exercise(
    id="4.5",
    title="Whose turn is it?",
    task=(
        "The blocks of GR00T N1.6 and N1.7 are numbered from 0. Odd ones are self-attention. Even ones are "
        "cross-attention and read in turns: with `every` = 2 (an int), block 0 reads the tokens that are no image, "
        "block 2 images, block 4 no image, block 6 images; in general every `every`-th cross-attention block, the "
        "first included, reads what is no image, and all the others images. Given `backbone_attention_mask` (batch, "
        "key_len; bool, True = a real token), `image_mask` (batch, key_len; bool, True = a token of a camera, there or "
        "not) and `block`, an even int, return which tokens this block may read (batch, key_len; bool)."
    ),
    minutes=6,
    difficulty=2,
    reference=read_by_block,
    cases=_read_by_block_cases,
    misconceptions=(
        Misconception(
            name="an absent camera is read",
            answer=_turns(_text, lambda real, image: image),
            message=(
                "Your image blocks read every seat of a camera, there or not. `image_mask` knows where cameras sit, "
                "and only `backbone_attention_mask` knows whether somebody sits there: join them with `&`."
            ),
            source="NVIDIA/Isaac-GR00T at 4e62473d, dit.py 322-323, joins the two; chapter 1 reads by one",
        ),
        Misconception(
            name="padding is read as text",
            answer=_turns(lambda real, image: ~image, _images),
            message=(
                "Your text blocks read everything that is no image, padding included. What is no image need not be a "
                "token at all: join with `backbone_attention_mask`."
            ),
            source="our own",
        ),
        Misconception(
            name="the token mask is not used",
            answer=_turns(lambda real, image: ~image, lambda real, image: image),
            message=(
                "You sorted the seats into images and others, and used `backbone_attention_mask` nowhere: padding and "
                "absent cameras are read."
            ),
            source="the plain DiT of N1.5 to N1.7 drops that mask; https://github.com/NVIDIA/Isaac-GR00T/issues/417",
        ),
        Misconception(
            name="images first",
            answer=_turns(_images, _text),
            message="Your turns are the wrong way round: block 0 reads what is no image.",
            source="our own",
        ),
        Misconception(
            name="self-attention blocks are not counted",
            answer=_turns(_text, _images, lambda block, every: block % every == 0),
            message=(
                "You took every `every`-th *block*. Every second block is self-attention, so every `every`-th "
                "cross-attention block comes after twice as many."
            ),
            source="our own; upstream writes idx % (2 * attend_text_every_n_blocks)",
        ),
        Misconception(
            name="always every second one",
            answer=_turns(_text, _images, lambda block, every: block % 4 == 0),
            message="You turn at every second cross-attention block, whatever `every` says. Look at a case with 3.",
            source="our own; 2 is upstream's default",
        ),
    ),
    hints=(
        "First the masks: a text block may read what is real and no image; an image block what is real and an image.",
        "Of the cross-attention blocks 0, 2, 4, ... every `every`-th reads text. How far apart are these?",
        "`block % (2 * every) == 0` is a text block.",
    ),
    lesson="Two masks, made of two: neither alone may be handed to attention.",
)


# ------------------------------------------------------------------------------------------------------------- 4.6


def read_earlier_steps(action_is_pad):
    steps = torch.arange(action_is_pad.shape[1])
    earlier, itself = steps[:, None] > steps, steps[:, None] == steps
    return earlier & ~action_is_pad[:, None, :] | itself


def _read_earlier_steps_cases():
    return (
        (torch.tensor([[False, False, True]]),),
        (torch.tensor([[True, False, False, True], [False, True, False, False]]),),
        (_real((2, 5), 51),),
        (_real((3, 7), 52),),
        (_real((5, 13), 53),),
    )


def _lower(action_is_pad, diagonal=0):
    size = action_is_pad.shape[1]
    return torch.ones(size, size, dtype=torch.bool).tril(diagonal).repeat(len(action_is_pad), 1, 1)


READ_EARLIER_STEPS = Exercise(
    id="4.6",
    title="Steps that look back",
    task=(
        "Action steps read each other. From `action_is_pad` (batch, action_horizon; bool, LeRobot's polarity: True = "
        "padding), return an attention mask (batch, action_horizon, action_horizon; bool, True = this step, a row, may "
        "read that step, a column): every step may read itself and the **real** steps before it. A padded step may "
        "read itself too, so that no row is empty. Padding can stand anywhere."
    ),
    minutes=6,
    difficulty=3,
    reference=read_earlier_steps,
    cases=_read_earlier_steps_cases,
    misconceptions=(
        Misconception(
            name="causal, and padding is read",
            answer=_lower,
            message=(
                "Your mask is causal and does not look at `action_is_pad`. That suffices while padding comes last; "
                "here a padded step in the middle is read by all that follow."
            ),
            source="SmolVLA in huggingface/lerobot at 7427f318, modeling_smolvla.py 682, where padding comes last",
        ),
        Misconception(
            name="a padded step has nothing to read",
            answer=lambda pad: _lower(pad) & ~pad[:, None, :],
            message=(
                "A padded step must not be read, and you forbade it to read itself as well: where no real step comes "
                "before it, its row is empty, and a softmax over nothing is NaN, or 0, or the mean of everything."
            ),
            source="left-padded rows that attend to nothing, https://github.com/unslothai/unsloth/pull/9848",
        ),
        Misconception(
            name="padded rows are hidden, padded columns read",
            answer=lambda pad: _lower(pad, -1) & ~pad[:, :, None] | _lower(pad) & ~_lower(pad, -1),
            message=(
                "You kept the padded steps from reading; they must not *be read*. Who is looked at is the last axis: "
                "`action_is_pad[:, None, :]`."
            ),
            source="rows hidden instead of columns, https://github.com/harvardnlp/annotated-transformer/issues/137",
        ),
        Misconception(
            name="action_is_pad taken for a step mask",
            answer=lambda pad: read_earlier_steps(~pad),
            message=(
                "You used `action_is_pad` as if True meant real: your steps read the padding before them, and no "
                "recorded step. Turn it round first."
            ),
            source="huggingface/lerobot at 7427f318, dataset_reader.py 247-256, says True = padding",
        ),
        Misconception(
            name="steps look ahead",
            answer=lambda pad: read_earlier_steps(pad.flip(1)).flip((1, 2)),
            message=(
                "Your steps read those that come *after* them. A row looks, and may look at columns to its left: its "
                "own number is larger than theirs."
            ),
            source="our own",
        ),
        Misconception(
            name="nobody reads itself",
            answer=lambda pad: _lower(pad, -1) & ~pad[:, None, :],
            message="Your diagonal is False: the first step then has nothing to read. Every step may read itself.",
            source="our own",
        ),
        Misconception(
            name="every real step is read",
            answer=lambda pad: ~pad[:, None, :] | torch.eye(pad.shape[1]).bool(),
            message=(
                "You hide padding, and let steps look ahead. That is what NVIDIA's pull request 741 proposes; asked "
                "for were the steps *before*."
            ),
            source="the other design, https://github.com/NVIDIA/Isaac-GR00T/pull/741",
        ),
    ),
    hints=(
        "Two rules and an exception: before me, real, or myself. Write each as a square of booleans.",
        "`steps[:, None] > steps`: rows look, columns are looked at. Real is a matter of columns: "
        "`~action_is_pad[:, None, :]`.",
        "Join the two rules with `&`, then the diagonal with `|`.",
    ),
    lesson="No real step reads padding, wherever it stands, and no row is empty.",
)


# ------------------------------------------------------------------------------------------------------------- 4.7


def read_or_zero(scores, value, attention_mask):
    weights = scores.masked_fill(~attention_mask, -torch.inf).softmax(dim=-1)
    has_something = attention_mask.any(dim=-1, keepdim=True)
    return torch.where(has_something, weights, 0.0) @ value


def _some_rows_empty(shape, seed):
    """In every sample another query may read nothing; the one before it may read the first key and not the last."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    for sample, rows in enumerate(mask):
        empty = sample % len(rows)
        rows[empty], rows[empty - 1, 0], rows[empty - 1, -1] = False, True, False
    return mask


def _read_or_zero_cases():
    scores = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]], dtype=torch.float64)
    value = torch.tensor([[[10.0], [30.0]]], dtype=torch.float64)
    return (
        (scores, value, torch.tensor([[[False, False], [True, False]]])),
        (_draw((2, 3, 5), 61), _draw((2, 5, 7), 62), _some_rows_empty((2, 3, 5), 63)),
        (_draw((3, 2, 7), 64), _draw((3, 7, 2), 65), _some_rows_empty((3, 2, 7), 66)),
        (3 * _draw((1, 11, 5), 67), _draw((1, 5, 3), 68), _some_rows_empty((1, 11, 5), 69)),
    )


def _filled(fill):
    return lambda scores, value, mask: scores.masked_fill(~mask, fill).softmax(-1) @ value


READ_OR_ZERO = Exercise(
    id="4.7",
    title="Nothing to read",
    task=(
        "`scores` (batch, query_len, key_len; float), `value` (batch, key_len, width; float) and `attention_mask` "
        "(batch, query_len, key_len; bool, True = this query may read this key). Some queries may read **nothing**. "
        "Return the output of attention (batch, query_len, width): for a query that may read something, the weighted "
        "mean of the values it may read; for one that may read nothing, zeros. All numbers that come in are finite."
    ),
    minutes=6,
    difficulty=3,
    reference=read_or_zero,
    cases=_read_or_zero_cases,
    misconceptions=(
        Misconception(
            name="a softmax over nothing",
            answer=_filled(-torch.inf),
            message=(
                "Your empty rows are NaN: a softmax over minus infinities divides 0 by 0. Ordinary rows are right; "
                "say what the empty ones should be."
            ),
            source="PyTorch's own attention gave NaN too, https://github.com/pytorch/pytorch/issues/103963",
        ),
        Misconception(
            name="nothing became everything",
            answer=_filled(-1e9),
            message=(
                "A query that may read nothing reads everything: with a large negative number in place of minus "
                "infinity all its scores are equal, and the answer is the mean of all values, hidden ones included."
            ),
            source="d2l puts in -1e6, https://github.com/d2l-ai/d2l-en/pull/2423; the Annotated Transformer -1e9",
        ),
        Misconception(
            name="an added constant cancels",
            answer=lambda scores, value, mask: (scores - 10_000.0 * ~mask).softmax(-1) @ value,
            message=(
                "In an empty row your constant is added to every score, and a softmax does not see what is added to "
                "all: the query reads as if there were no mask."
            ),
            source="BERT in transformers added -10000, https://github.com/huggingface/transformers/issues/3121",
        ),
        Misconception(
            name="hidden after the softmax",
            answer=lambda scores, value, mask: (scores.softmax(-1) * mask) @ value,
            message=(
                "Your empty rows are right, and the others are too small: you took the softmax over hidden keys as "
                "well, and what is left of the weights does not sum to 1."
            ),
            source="as in attention.1, https://github.com/huggingface/transformers/issues/542",
        ),
        Misconception(
            name="nobody reads anything",
            answer=lambda scores, value, mask: (
                torch.where(mask.all(-1, keepdim=True), scores.softmax(-1), torch.zeros_like(scores)) @ value
            ),
            message=(
                "You wrote zeros wherever *some* key is hidden. A query is empty when *all* of its keys are: "
                "`any` where you have `all`."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Ordinary rows first, as in attention.1. What do the empty ones hold then?",
        "`attention_mask.any(dim=-1, keepdim=True)` knows which queries may read something.",
        "`torch.where` chooses between your weights and 0, before they meet the values.",
    ),
    lesson="Zeros are a choice, and now it is yours: PyTorch's own answer depends on release, device and arguments.",
)

EXERCISES = (
    ATTENTION_WEIGHTS,
    POSITIONS,
    PADDING_SHARE,
    ATTENTION_MASK,
    READ_BY_BLOCK,
    READ_EARLIER_STEPS,
    READ_OR_ZERO,
)
