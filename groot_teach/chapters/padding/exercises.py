"""Exercises of the chapter on padding: count, build and convert masks, and know what True means in each of them."""

import torch
from torch import Tensor

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, generator, holes

TITLE = "Which numbers in this batch are real?"


@exercise(
    "padding.1",
    minutes=4,
    difficulty=1,
    cases=lambda: (
        (bools("00011 00000 01111"), torch.tensor([16, 26, 6])),
        (bools("011"), torch.tensor([7])),
        (holes((2, 7), 1), torch.tensor([3, 11])),
        (holes((5, 13), 2), torch.tensor([2, 17, 5, 3, 19])),
        (holes((4, 4), 3), torch.tensor([4, 1, 3, 2])),
    ),
    hints=(
        "Which value of `action_is_pad` marks a step that was recorded? Turn the mask round first.",
        "Count the recorded steps of each robot: a sum over the last axis, so one number per robot is left.",
        "Each recorded step holds `action_dim` numbers. Both tensors have shape (batch): multiply them.",
    ),
    lesson="This is the number that a masked mean has to divide by.",
)
def count_real(action_is_pad, action_dim):
    """Count the real entries

    Several robots share a batch. `action_is_pad` (batch, action_horizon; bool, LeRobot's polarity: True = padding) says
    which steps were filled in, `action_dim` (batch; int64) says how many dims each robot has. Return how many real
    entries each robot has (batch; int64). An entry is one number: one dim of one step. Real steps need not be
    contiguous."""
    real_steps = (~action_is_pad).sum(dim=1)
    return real_steps * action_dim


@count_real.mistake(bugs.copies_count)
def _(action_is_pad, action_dim):
    return action_is_pad.shape[1] * action_dim


@count_real.mistake("steps are counted, not entries")
def _(action_is_pad, action_dim):
    """You counted the real steps, and each of them holds `action_dim` entries. Dividing a sum over entries by a number
    of steps gives a loss `action_dim` times too large: a different factor for each robot.
    Source: huggingface/lerobot, a fix whose `mask.sum()` counted steps while its loss summed steps and dims,
    https://github.com/huggingface/lerobot/pull/3377"""
    return (~action_is_pad).sum(dim=1)


@count_real.mistake("every robot is as wide as the widest")
def _(action_is_pad, action_dim):
    """You gave every robot the width of the widest one, so padded dims are counted. Look at the narrowest robot: it
    cannot have more entries than its own dims times its own steps.
    Source: openpi's loss averages over all 32 dims, padded ones included,
    https://github.com/Physical-Intelligence/openpi/pull/871"""
    return (~action_is_pad).sum(dim=1) * action_dim.max()


@exercise(
    "padding.2",
    minutes=6,
    difficulty=2,
    cases=lambda: (
        (bools("11000 11110"), bools("001 011")),
        (holes((3, 7), 11), holes((3, 5), 12)),
        (holes((2, 3), 13), holes((2, 11), 14)),
        (holes((5, 32), 15), holes((5, 16), 16)),
        (holes((4, 4), 17), holes((4, 4), 18)),
    ),
    hints=(
        "Bring both masks to one meaning first: in which of the two is True = real?",
        "A step mask knows nothing of dims, so it needs a new last axis; a dim mask needs a new middle axis. "
        "Indexing with `None` makes one.",
        "Shapes (batch, action_horizon, 1) and (batch, 1, padded_dim) broadcast to the answer's. Join them with `&`.",
    ),
    lesson="N1.5 asks for the dim alone; yours also leaves out the steps that nobody recorded.",
)
def action_mask(dim_mask, action_is_pad):
    """Build the action mask

    An entry is real when its dim **and** its step are real: that is `action_mask` in LeRobot's N1.7. Build it from
    `dim_mask` (batch, padded_dim; bool, True = this robot has this dim) and `action_is_pad` (batch, action_horizon;
    bool, True = padding). Return `action_mask` (batch, action_horizon, padded_dim; bool, True = real). Real dims and
    steps need not stand together."""
    step_mask = ~action_is_pad
    return step_mask[:, :, None] & dim_mask[:, None, :]


@action_mask.mistake(bugs.copies_count)
def _(dim_mask, action_is_pad):
    return dim_mask[:, None, :].repeat(1, action_is_pad.shape[1], 1)


@action_mask.mistake("padded dims count as real")
def _(dim_mask, action_is_pad):
    """Your mask hides the filled-in steps, and leaves every padded dim in. Look at a recorded step of a narrow robot:
    only the dims in its `dim_mask` are real.
    Source: SmolVLA's slice `losses[:, :, :max_action_dim]` removed no dim,
    https://github.com/huggingface/lerobot/pull/3133"""
    return (~action_is_pad)[:, :, None].repeat(1, 1, dim_mask.shape[1])


@action_mask.mistake(bugs.or_for_and)
def _(dim_mask, action_is_pad):
    return ~action_is_pad[:, :, None] | dim_mask[:, None, :]


@action_mask.mistake(bugs.first_n)
def _(dim_mask, action_is_pad):
    def as_many_at_the_front(mask):
        return torch.arange(mask.shape[1]) < mask.sum(dim=1)[:, None]

    return action_mask(as_many_at_the_front(dim_mask), ~as_many_at_the_front(~action_is_pad))


@exercise(
    "padding.3",
    minutes=6,
    difficulty=2,
    cases=lambda: (
        (torch.tensor([2, 5, 3]), 5),
        (torch.tensor([1, 4]), 7),
        (torch.tensor([3, 1, 3, 2]), 4),
        (torch.tensor([11, 2, 7, 13, 5]), 17),
        (torch.tensor([23, 7, 31]), 31),
    ),
    hints=(
        "How many padded positions does each row have? That is one number per prompt.",
        "`torch.arange(key_len)` numbers the positions 0, 1, 2, ... If `n` padded ones come first, which are real?",
        "Compare positions of shape (key_len) with paddings of shape (batch, 1): that gives (batch, key_len), bool.",
    ),
    lesson="With left padding the last position is real in every row, whatever the length.",
)
def backbone_attention_mask(prompt_len, key_len):
    """Pad prompts on the left

    Prompts of different lengths become rows of `key_len` tokens. GR00T pads **on the left**: every prompt ends at the
    last position. From `prompt_len` (batch; int64, at least 1) and `key_len` (an int), return
    `backbone_attention_mask` (batch, key_len; bool, True = a real token)."""
    padding = key_len - prompt_len
    return torch.arange(key_len) >= padding[:, None]


@backbone_attention_mask.mistake("padded on the right")
def _(prompt_len, key_len):
    """You put the padding after the prompt, as openpi does. GR00T puts it before: the last column of your mask should
    be True in every row.
    Source: the other convention, openpi and LeRobot's pi0; GR00T's side is set in huggingface/lerobot v0.4.4,
    processor_groot.py 211 (`padding_side = "left"`)"""
    return torch.arange(key_len) < prompt_len[:, None]


@backbone_attention_mask.mistake(bugs.first_prompt)
def _(prompt_len, key_len):
    return backbone_attention_mask(prompt_len[:1].expand_as(prompt_len), key_len)


@backbone_attention_mask.mistake(bugs.commented_out)
def _(prompt_len, key_len):
    return torch.ones(len(prompt_len), key_len, dtype=torch.bool)


def padded_words(*lengths: int, words: int) -> Tensor:
    return backbone_attention_mask(torch.tensor(lengths), words).long()


@exercise(
    "padding.4",
    minutes=7,
    difficulty=2,
    cases=lambda: (
        (bools("10 11"), 3, torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])),
        (holes((3, 2), 31), 5, padded_words(2, 7, 3, words=7)),
        (holes((5, 3), 33), 2, padded_words(5, 2, 11, 7, 3, words=11)),
        (holes((2, 4), 35), 4, padded_words(3, 1, words=4)),
    ),
    hints=(
        "Two things are to be made: one bool per image place, and one bool per word. Then put them in a row.",
        "Each camera's answer stands for `tokens_per_camera` places, side by side: `repeat_interleave` along axis 1.",
        "`token_mask == 1` is bool. Make it so before `torch.cat`, which would turn the bools into integers.",
    ),
    lesson="Converted once, at the door: from here on True means one thing.",
)
def may_be_read(camera_is_present, tokens_per_camera, token_mask):
    """Let foreign masks in

    A sample's row holds `tokens_per_camera` places for each camera, camera by camera, then the words of its prompt.
    `camera_is_present` (batch, cameras; bool) says which robot has which camera; an absent one keeps its places.
    `token_mask` (batch, words) comes from a tokenizer: **int64**, 1 = a real word, 0 = padding. Unlike in the chapter,
    where a whole row was padded in front, only the words are padded here, on their left, so the padding stands between
    the cameras and the words. Return one mask for the row (batch, cameras * tokens_per_camera + words; **bool**, True =
    may be read)."""
    image_tokens = camera_is_present.repeat_interleave(tokens_per_camera, dim=1)
    return torch.cat([image_tokens, token_mask == 1], dim=1)


@may_be_read.mistake("padded words may be read")
def _(camera_is_present, tokens_per_camera, token_mask):
    """In your mask every word may be read, padding included. Look at the first word of the first prompt: the
    tokenizer's mask is 0 there. If you wrote `~token_mask`, that is the cause: of integers, `~1` is -2 and `~0` is -1,
    and as a bool either is True.
    Source: the same mask without a `~`: LeRobot's X-VLA hands its transformer ones, huggingface/lerobot at 7427f318,
    modeling_xvla.py 186-193"""
    return may_be_read(camera_is_present, tokens_per_camera, torch.ones_like(token_mask))


@may_be_read.mistake("the words are upside down")
def _(camera_is_present, tokens_per_camera, token_mask):
    """The cameras are right, and of the words you let the padding be read. In `token_mask` 1 is a real word and 0 is
    padding: `== 1`, not `== 0`.
    Source: harvardnlp/annotated-transformer, a mask read upside down,
    https://github.com/harvardnlp/annotated-transformer/issues/19"""
    return may_be_read(camera_is_present, tokens_per_camera, 1 - token_mask)


@may_be_read.mistake("cameras dealt out like cards")
def _(camera_is_present, tokens_per_camera, token_mask):
    """You repeated the row of cameras, so the places go first camera, second camera, first camera and so on. Places
    stand camera by camera: `repeat` gives 0 1 0 1, `repeat_interleave` gives 0 0 1 1."""
    return torch.cat([camera_is_present.repeat(1, tokens_per_camera), token_mask == 1], dim=1)


def chunk_at_cases():
    toy = 10.0 * torch.arange(1, 6)[:, None] + torch.arange(1, 3)  # 32 is step 3, dim 2
    stands_still = toy[[0, 1, 1, 2, 2]]  # in the middle, and at the end

    def episode(seed, *shape):
        return torch.randn(shape, generator=generator(seed))

    return (
        (toy, 3, 4),
        (toy, 0, 3),
        (toy, 4, 3),
        (stands_still, 1, 6),
        (episode(41, 7, 3), 5, 11),
        (episode(42, 13, 5), 2, 11),
        (episode(43, 3, 2), 1, 17),
    )


@exercise(
    "padding.5",
    minutes=8,
    difficulty=3,
    cases=chunk_at_cases,
    hints=(
        "Which step numbers are wanted? Write them down with `torch.arange`, whether the episode has them or not.",
        "A number past the end becomes the last one: `clamp(max=...)`. Then index `episode` with the result.",
        "`action_is_pad` compares the wanted numbers, before the clamp, with the number of the last step.",
    ),
    lesson="A copy looks like any recorded step; `action_is_pad` is all that tells them apart.",
)
def chunk_at(episode, start, action_horizon):
    """Cut a chunk at the end of an episode

    Write what LeRobot's dataset does near the end of an episode. From `episode` (step, action_dim; float), take the
    `action_horizon` steps that begin at `start` (a step of the episode, counted from 0). Steps after the last one are
    **copies of the last one**. Return a tuple `(actions, action_is_pad)`: `actions` (action_horizon, action_dim) and
    `action_is_pad` (action_horizon; bool, LeRobot's polarity: True = a copy)."""
    wanted = torch.arange(start, start + action_horizon)
    last = len(episode) - 1
    return episode[wanted.clamp(max=last)], wanted > last


@chunk_at.mistake("filled with zeros")
def _(episode, start, action_horizon):
    """You filled the missing steps with zeros, as GR00T N1.6 and N1.7 do; LeRobot's dataset repeats the last step. Your
    `action_is_pad` is right; look at what `actions` holds where it is True.
    Source: the other convention, NVIDIA/Isaac-GR00T at 4e62473d, processing_gr00t_n1d6.py 322-332"""
    actions, action_is_pad = chunk_at(episode, start, action_horizon)
    return actions.masked_fill(action_is_pad[:, None], 0.0), action_is_pad


@chunk_at.mistake("copies marked as real")
def _(episode, start, action_horizon):
    """Your actions are right, and nothing says which of them are copies. A loss that counts them teaches the robot to
    stand still: users report policies that freeze at the end pose.
    Source: openpi loses `action_is_pad` on the way, https://github.com/Physical-Intelligence/openpi/issues/681 and
    https://github.com/Physical-Intelligence/openpi/pull/894"""
    actions, action_is_pad = chunk_at(episode, start, action_horizon)
    return actions, torch.zeros_like(action_is_pad)


@chunk_at.mistake("padding guessed by value")
def _(episode, start, action_horizon):
    """You marked every step that equals the one before it. Look at an episode in which the robot stands still: its
    steps are equal, and they were recorded. The number of a step says whether it is a copy; its value cannot."""
    actions, _ = chunk_at(episode, start, action_horizon)
    return actions, torch.cat([torch.tensor([False]), (actions[1:] == actions[:-1]).all(dim=1)])
