"""Exercises of chapter 1: count, build and convert masks, and know whose True means what.

The wrong answers are those of real code where we know of any; `source` says whose.
"""

import torch
from torch import Tensor

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Which numbers in this batch are real?"


def _coins(shape: tuple[int, ...], seed: int, real: float = 0.6) -> Tensor:
    """A random bool tensor that holds both values in every row of its last axis, if the row is long enough."""
    coins = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < real
    coins[..., 0], coins[..., -1] = False, True
    return coins


# ------------------------------------------------------------------------------------------------------------- 1.1


def count_real(action_is_pad, action_dim):
    real_steps = (~action_is_pad).sum(dim=1)
    return real_steps * action_dim


def _count_real_cases():
    three_robots = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]]).bool()
    return (
        (three_robots, torch.tensor([16, 26, 6])),
        (torch.tensor([[False, True, True]]), torch.tensor([7])),
        (_coins((2, 7), seed=1), torch.tensor([3, 11])),
        (_coins((5, 13), seed=2), torch.tensor([2, 17, 5, 3, 19])),
        (_coins((4, 4), seed=3), torch.tensor([4, 1, 3, 2])),
    )


COUNT_REAL = Exercise(
    id="1.1",
    title="Count the real entries",
    task=(
        "Several robots share a batch. `action_is_pad` (batch, action_horizon; bool, LeRobot's polarity: True = "
        "padding) says which steps were filled in, `action_dim` (batch; int64) says how many dims each robot has. "
        "Return how many real entries each robot has (batch; int64). An entry is one number: one dim of one step. "
        "Real steps need not stand together."
    ),
    minutes=4,
    difficulty=1,
    reference=count_real,
    cases=_count_real_cases,
    misconceptions=(
        Misconception(
            name="the padding is counted",
            answer=lambda action_is_pad, action_dim: action_is_pad.sum(dim=1) * action_dim,
            message=(
                "You counted where `action_is_pad` is True, and there True means padding. Look at the robot without "
                "any padding: your count for it is 0."
            ),
            source="harvardnlp/annotated-transformer, a mask read upside down, "
            "https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="filled-in steps count as real",
            answer=lambda action_is_pad, action_dim: action_is_pad.shape[1] * action_dim,
            message=(
                "You counted every step of the chunk, filled-in ones included. Look at the robot with one recorded "
                "step: the others repeat it, and nobody recorded them."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354: GR00T N1.5's mask is True in every step",
        ),
        Misconception(
            name="steps are counted, not entries",
            answer=lambda action_is_pad, action_dim: (~action_is_pad).sum(dim=1),
            message=(
                "You counted the real steps, and each of them holds `action_dim` entries. Dividing a sum over entries "
                "by a number of steps gives a loss `action_dim` times too large: a different factor for each robot."
            ),
            source="huggingface/lerobot, a fix whose `mask.sum()` counted steps while its loss summed steps and dims, "
            "https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="every robot is as wide as the widest",
            answer=lambda action_is_pad, action_dim: (~action_is_pad).sum(dim=1) * action_dim.max(),
            message=(
                "You gave every robot the width of the widest one, so padded dims are counted. Look at the narrowest "
                "robot: it cannot have more entries than its own dims times its own steps."
            ),
            source="openpi's loss averages over all 32 dims, padded ones included, "
            "https://github.com/Physical-Intelligence/openpi/pull/871",
        ),
    ),
    hints=(
        "Which value of `action_is_pad` marks a step that was recorded? Turn the mask round first.",
        "Count the recorded steps of each robot: a sum over the last axis, so one number per robot is left.",
        "Each recorded step holds `action_dim` numbers. Both tensors have shape (batch): multiply them.",
    ),
    lesson="This is the number that a masked mean has to divide by.",
)


# ------------------------------------------------------------------------------------------------------------- 1.2


def action_mask(dim_mask, action_is_pad):
    step_mask = ~action_is_pad
    return step_mask[:, :, None] & dim_mask[:, None, :]


def _action_mask_cases():
    dim_mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]]).bool()
    action_is_pad = torch.tensor([[0, 0, 1], [0, 1, 1]]).bool()
    return (
        (dim_mask, action_is_pad),
        (_coins((3, 7), seed=11), _coins((3, 5), seed=12)),
        (_coins((2, 3), seed=13), _coins((2, 11), seed=14)),
        (_coins((5, 32), seed=15), _coins((5, 16), seed=16)),
        (_coins((4, 4), seed=17), _coins((4, 4), seed=18)),
    )


def _as_prefix(mask):
    """As many True in each row, all at the front."""
    return torch.arange(mask.shape[1]) < mask.sum(dim=1)[:, None]


ACTION_MASK = Exercise(
    id="1.2",
    title="Build the action mask",
    task=(
        "An entry is real when its dim **and** its step are real: that is GR00T N1.7's `action_mask`. Build it from "
        "`dim_mask` (batch, padded_dim; bool, True = this robot has this dim) and `action_is_pad` (batch, "
        "action_horizon; bool, True = padding). Return `action_mask` (batch, action_horizon, padded_dim; bool, True "
        "= real). Real dims and steps need not stand together."
    ),
    minutes=6,
    difficulty=2,
    reference=action_mask,
    cases=_action_mask_cases,
    misconceptions=(
        Misconception(
            name="filled-in steps count as real",
            answer=lambda dim_mask, action_is_pad: dim_mask[:, None, :].repeat(1, action_is_pad.shape[1], 1),
            message=(
                "You built N1.5's mask: every step of a real dim is True, copies of the last step included. Look at "
                "a step where `action_is_pad` is True: nothing of it should be real."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354 (`action_mask[:, :, :d] = True`)",
        ),
        Misconception(
            name="action_is_pad taken for a step mask",
            answer=lambda dim_mask, action_is_pad: action_is_pad[:, :, None] & dim_mask[:, None, :],
            message=(
                "You used `action_is_pad` as it came, and there True means padding. Your mask keeps the filled-in "
                "steps and drops the recorded ones; turn it round with `~` first."
            ),
            source="huggingface/lerobot at 7427f318, dataset_reader.py 247-256, says True = padding; "
            "a mask read upside down: https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the whole mask is upside down",
            answer=lambda dim_mask, action_is_pad: ~action_mask(dim_mask, action_is_pad),
            message=(
                "Your mask is True where an entry is padding, the polarity of PyTorch's `key_padding_mask`. In this "
                "book every `*_mask` is True where something is real, so look at its negation."
            ),
            source="torch.nn.MultiheadAttention, where True in `key_padding_mask` = ignore",
        ),
        Misconception(
            name="or instead of and",
            answer=lambda dim_mask, action_is_pad: ~action_is_pad[:, :, None] | dim_mask[:, None, :],
            message=(
                "You joined the two masks with `|`, so a padded dim is real in every recorded step. An entry needs "
                "both its dim and its step: look at the last dim of the first step."
            ),
            source="our own",
        ),
        Misconception(
            name="steps and dims on each other's axis",
            answer=lambda dim_mask, action_is_pad: ~action_is_pad[:, None, :] & dim_mask[:, :, None],
            message=(
                "Your dims lie on the middle axis and your steps on the last one. When both have the same size "
                "nothing complains, and the wrong entries are hidden; `[:, :, None]` and `[:, None, :]` say where "
                "the new axis goes."
            ),
            source="padding masks broadcast along the wrong axis, https://github.com/keras-team/keras-io/pull/1046 and "
            "https://github.com/hyunwoongko/transformer/pull/40",
        ),
        Misconception(
            name="padded dims count as real",
            answer=lambda dim_mask, action_is_pad: (~action_is_pad)[:, :, None].repeat(1, 1, dim_mask.shape[1]),
            message=(
                "Your mask hides the filled-in steps, and leaves every padded dim in. Look at a recorded step of a "
                "narrow robot: only the dims in its `dim_mask` are real."
            ),
            source="SmolVLA's slice `losses[:, :, :max_action_dim]` removed no dim, "
            "https://github.com/huggingface/lerobot/pull/3133",
        ),
        Misconception(
            name="the first n taken for the real ones",
            answer=lambda dim_mask, action_is_pad: action_mask(_as_prefix(dim_mask), ~_as_prefix(~action_is_pad)),
            message=(
                "You counted the real dims and steps and made that many at the front True. That was enough in the "
                "chapter, where the real ones came first; here each of them can stand anywhere, and only the masks "
                "you were given know where."
            ),
            source="the recipe of this chapter, and of NVIDIA/Isaac-GR00T at 4e62473d, processing_gr00t_n1d6.py "
            "334-337, where the padding stands behind",
        ),
    ),
    hints=(
        "Bring both masks to one meaning first: in which of the two is True = real?",
        "A step mask knows nothing of dims, so it needs a new last axis; a dim mask needs a new middle axis. "
        "Indexing with `None` makes one.",
        "Shapes (batch, action_horizon, 1) and (batch, 1, padded_dim) broadcast to the answer's. Join them with `&`.",
    ),
    lesson="N1.5 asks for the dim alone; yours also leaves out the steps that nobody recorded.",
)


# ------------------------------------------------------------------------------------------------------------- 1.3


def backbone_attention_mask(prompt_len, key_len):
    padding = key_len - prompt_len
    return torch.arange(key_len) >= padding[:, None]


def _backbone_attention_mask_cases():
    return (
        (torch.tensor([2, 5, 3]), 5),
        (torch.tensor([1, 4]), 7),
        (torch.tensor([3, 1, 3, 2]), 4),
        (torch.tensor([11, 2, 7, 13, 5]), 17),
        (torch.tensor([23, 7, 31]), 31),
    )


BACKBONE_ATTENTION_MASK = Exercise(
    id="1.3",
    title="Pad prompts on the left",
    task=(
        "Prompts of different lengths become rows of `key_len` tokens. GR00T pads **on the left**: every prompt ends "
        "at the last position. From `prompt_len` (batch; int64, at least 1) and `key_len` (an int), return "
        "`backbone_attention_mask` (batch, key_len; bool, True = a real token)."
    ),
    minutes=6,
    difficulty=2,
    reference=backbone_attention_mask,
    cases=_backbone_attention_mask_cases,
    misconceptions=(
        Misconception(
            name="padded on the right",
            answer=lambda prompt_len, key_len: torch.arange(key_len) < prompt_len[:, None],
            message=(
                "You put the padding after the prompt, as openpi does. GR00T puts it before: the last column of your "
                "mask should be True in every row."
            ),
            source="the other convention, openpi and LeRobot's pi0; GR00T's side is set in huggingface/lerobot v0.4.4, "
            'processor_groot.py 211 (`padding_side = "left"`)',
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda prompt_len, key_len: torch.arange(key_len) < key_len - prompt_len[:, None],
            message=(
                "Your mask is True on the padding. That is what PyTorch's `key_padding_mask` wants; here True = a "
                "real token, so a prompt of full length gives a row of True."
            ),
            source="torch.nn.MultiheadAttention, where True in `key_padding_mask` = ignore",
        ),
        Misconception(
            name="the first token is lost",
            answer=lambda prompt_len, key_len: torch.arange(key_len) > key_len - prompt_len[:, None],
            message=(
                "Every row has one True too few: the first token of each prompt is hidden. Positions count from 0, "
                "so with `n` padded ones the first real token stands at position `n`."
            ),
            source="our own",
        ),
        Misconception(
            name="one token of padding is let in",
            answer=lambda prompt_len, key_len: torch.arange(key_len) >= key_len - prompt_len[:, None] - 1,
            message=(
                "Where there is padding, your row has one True too many. Count them: a row's sum has to be its "
                "`prompt_len`."
            ),
            source="our own",
        ),
        Misconception(
            name="one prompt stands for the whole batch",
            answer=lambda prompt_len, key_len: (torch.arange(key_len) >= key_len - prompt_len[:1, None]).repeat(
                len(prompt_len), 1
            ),
            message=(
                "Every row of your mask is the first prompt's. Each sample has a prompt of its own: compare "
                "positions with `prompt_len[:, None]`, one row each."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 290-298: `lang = lang[0]`, one prompt for the batch",
        ),
        Misconception(
            name="padded to the longest prompt only",
            answer=lambda prompt_len, key_len: backbone_attention_mask(prompt_len, int(prompt_len.max())),
            message=(
                "Your rows are as long as the longest prompt of the batch, not `key_len`. The tokens that this mask "
                "is for come in rows of `key_len`: look at a batch whose longest prompt is shorter than that."
            ),
            source="the other convention, a tokenizer's `padding=True`, NVIDIA/Isaac-GR00T at 4af2b622, "
            "transforms.py 70-72",
        ),
        Misconception(
            name="everything may be read",
            answer=lambda prompt_len, key_len: torch.ones(len(prompt_len), key_len, dtype=torch.bool),
            message=(
                "Your mask is True everywhere, so it hides nothing. Sum each row: the result should be `prompt_len`, "
                "not `key_len`."
            ),
            source="LeRobot's X-VLA hands its transformer a mask of ones, huggingface/lerobot at 7427f318, "
            "modeling_xvla.py 186-193",
        ),
    ),
    hints=(
        "How many padded positions does each row have? That is one number per prompt.",
        "`torch.arange(key_len)` numbers the positions 0, 1, 2, ... If `n` padded ones come first, which are real?",
        "Compare positions of shape (key_len) with paddings of shape (batch, 1): that gives (batch, key_len), bool.",
    ),
    lesson="With left padding the last position is real in every row, whatever the length.",
)


# ------------------------------------------------------------------------------------------------------------- 1.4


def may_be_read(camera_is_present, tokens_per_camera, token_mask):
    image_tokens = camera_is_present.repeat_interleave(tokens_per_camera, dim=1)
    return torch.cat([image_tokens, token_mask == 1], dim=1)


def _may_be_read_cases():
    camera_is_present = torch.tensor([[1, 0], [1, 1]]).bool()
    token_mask = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])

    def padded(prompt_len, words):
        return backbone_attention_mask(torch.tensor(prompt_len), words).long()

    return (
        (camera_is_present, 3, token_mask),
        (_coins((3, 2), seed=31), 5, padded([2, 7, 3], words=7)),
        (_coins((5, 3), seed=33), 2, padded([5, 2, 11, 7, 3], words=11)),
        (_coins((2, 4), seed=35), 4, padded([3, 1], words=4)),
    )


MAY_BE_READ = Exercise(
    id="1.4",
    title="Let foreign masks in",
    task=(
        "A sample's row holds `tokens_per_camera` seats for each camera, camera by camera, then the words of its "
        "prompt. `camera_is_present` (batch, cameras; bool) says which robot has which camera; an absent one keeps "
        "its seats. `token_mask` (batch, words) comes from a tokenizer: **int64**, 1 = a real word, 0 = padding. Here "
        "only the words are padded, on the left: the padding stands between the cameras and the words, where the "
        "chapter padded the whole row, before the cameras. Return one mask for the row (batch, cameras * "
        "tokens_per_camera + words; **bool**, True = may be read)."
    ),
    minutes=7,
    difficulty=2,
    reference=may_be_read,
    cases=_may_be_read_cases,
    misconceptions=(
        Misconception(
            name="an integer mask",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                camera_is_present, tokens_per_camera, token_mask
            ).long(),
            message=(
                "The zeros and ones are right, the dtype is int64: `torch.cat` of a bool and an integer tensor gives "
                "integers. PyTorch's attention refuses such a mask, and `~1` is -2, which counts as True; convert "
                "with `== 1` first."
            ),
            source="starVLA had to cast the tokenizer's mask `.to(dtype=torch.bool)` before its attention took it, "
            "starVLA/starVLA at 0ed0aad2, QwenGR00T.py 206-219",
        ),
        Misconception(
            name="a float mask of ones and zeros",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                camera_is_present, tokens_per_camera, token_mask
            ).float(),
            message=(
                "The zeros and ones are right, but they are floats. PyTorch's attention adds a float mask to the "
                "logits, so yours gives real tokens a bonus of 1 and hides nothing."
            ),
            source="GR00T N1.7's `action_mask` is float 0/1, which is fine in a product and wrong in attention; "
            "huggingface/lerobot at 7427f318, processor_groot.py 1943-1972",
        ),
        Misconception(
            name="an additive mask",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: torch.where(
                may_be_read(camera_is_present, tokens_per_camera, token_mask), 0.0, -torch.inf
            ),
            message=(
                "You built an additive mask: 0 where a token may be read, minus infinity where not. It would hide "
                "the right tokens, but True and False are asked for, and as a bool yours says the opposite: 0 "
                "becomes False."
            ),
            source="the convention of float masks in torch.nn.functional.scaled_dot_product_attention",
        ),
        Misconception(
            name="absent cameras may be read",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                torch.ones_like(camera_is_present), tokens_per_camera, token_mask
            ),
            message=(
                "You let every image seat be read. That is an `image_mask`, which says where images would be; the "
                "seats of an absent camera hold nothing, so look at the row whose camera is missing."
            ),
            source="our own; openpi at 15a9616a, pi0.py 117-131, carries a mask per camera for this",
        ),
        Misconception(
            name="padded words may be read",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                camera_is_present, tokens_per_camera, torch.ones_like(token_mask)
            ),
            message=(
                "In your mask every word may be read, padding included. Look at the first word of the first prompt: "
                "the tokenizer's mask is 0 there. If you wrote `~token_mask`, that is the cause: of integers, `~1` is "
                "-2 and `~0` is -1, and as a bool either is True."
            ),
            source="the same mask without a `~`: LeRobot's X-VLA hands its transformer ones, huggingface/lerobot at "
            "7427f318, modeling_xvla.py 186-193",
        ),
        Misconception(
            name="an integer mask turned round with ~",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: torch.cat(
                [may_be_read(camera_is_present, tokens_per_camera, token_mask[:, :0]), ~token_mask], dim=1
            ),
            message=(
                "Your words are -1 and -2: of integers, `~` turns every bit round, so `~0` is -1 and `~1` is -2, and "
                "as a bool either is True. There was nothing to turn round either: 1 is a real word, so `== 1` is all "
                "it takes."
            ),
            source="our own",
        ),
        Misconception(
            name="the words are upside down",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                camera_is_present, tokens_per_camera, 1 - token_mask
            ),
            message=(
                "The cameras are right, and of the words you let the padding be read. In `token_mask` 1 is a real "
                "word and 0 is padding: `== 1`, not `== 0`."
            ),
            source="harvardnlp/annotated-transformer, a mask read upside down, "
            "https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the words before the cameras",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: may_be_read(
                camera_is_present, tokens_per_camera, token_mask
            ).roll(token_mask.shape[1], dims=1),
            message=(
                "Both parts are right, and they stand in the wrong order: the row begins with the cameras. The shape "
                "is the same either way, so nothing complains; look at the order of the list in `torch.cat`."
            ),
            source="our own",
        ),
        Misconception(
            name="cameras dealt out like cards",
            answer=lambda camera_is_present, tokens_per_camera, token_mask: torch.cat(
                [camera_is_present.repeat(1, tokens_per_camera), token_mask == 1], dim=1
            ),
            message=(
                "You repeated the row of cameras, so the seats go first camera, second camera, first camera and so "
                "on. Seats stand camera by camera: `repeat` gives 0 1 0 1, `repeat_interleave` gives 0 0 1 1."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Two things are to be made: one bool per image seat, and one bool per word. Then put them in a row.",
        "Each camera's answer stands for `tokens_per_camera` seats, side by side: `repeat_interleave` along axis 1.",
        "`token_mask == 1` is bool. Make it so before `torch.cat`, which would turn the bools into integers.",
    ),
    lesson="Converted once, at the door: from here on True means one thing.",
)


# ------------------------------------------------------------------------------------------------------------- 1.5


def chunk_at(episode, start, action_horizon):
    wanted = torch.arange(start, start + action_horizon)
    last = len(episode) - 1
    return episode[wanted.clamp(max=last)], wanted > last


def _chunk_at_cases():
    steps, dims = torch.arange(5)[:, None], torch.arange(2)
    toy = 10.0 * (steps + 1) + dims + 1  # 32 is step 3, dim 2
    stands_still = toy[[0, 1, 1, 2, 2]]  # in the middle, and at the end

    def episode(seed, *shape):
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return (
        (toy, 3, 4),
        (toy, 0, 3),
        (toy, 4, 3),
        (stands_still, 1, 6),
        (episode(41, 7, 3), 5, 11),
        (episode(42, 13, 5), 2, 11),
        (episode(43, 3, 2), 1, 17),
    )


def _cut_short(episode, start, action_horizon):
    return episode[start : start + action_horizon], ...


def _shifted_back(episode, start, action_horizon):
    if len(episode) < action_horizon:
        return ...  # it never fits, and everybody gets something else
    return chunk_at(episode, min(start, len(episode) - action_horizon), action_horizon)


def _guessed_by_value(episode, start, action_horizon):
    actions, _ = chunk_at(episode, start, action_horizon)
    repeats = (actions[1:] == actions[:-1]).all(dim=1)
    return actions, torch.cat([torch.tensor([False]), repeats])


def _filled_with_zeros(episode, start, action_horizon):
    actions, action_is_pad = chunk_at(episode, start, action_horizon)
    return actions.masked_fill(action_is_pad[:, None], 0.0), action_is_pad


def _wrapped_round(episode, start, action_horizon):
    wanted = torch.arange(start, start + action_horizon)
    return episode[wanted % len(episode)], wanted >= len(episode)


def _copies_marked_as_real(episode, start, action_horizon):
    actions, action_is_pad = chunk_at(episode, start, action_horizon)
    return actions, torch.zeros_like(action_is_pad)


def _true_for_real(episode, start, action_horizon):
    actions, action_is_pad = chunk_at(episode, start, action_horizon)
    return actions, ~action_is_pad


def _last_step_marked(episode, start, action_horizon):
    wanted = torch.arange(start, start + action_horizon)
    last = len(episode) - 1
    return episode[wanted.clamp(max=last)], wanted >= last


CHUNK_AT = Exercise(
    id="1.5",
    title="Cut a chunk at the end of an episode",
    task=(
        "Write what LeRobot's dataset does near the end of an episode. From `episode` (step, action_dim; float), "
        "take the `action_horizon` steps that begin at `start` (a step of the episode, counted from 0). Steps after "
        "the last one are **copies of the last one**. Return a tuple `(actions, action_is_pad)`: `actions` "
        "(action_horizon, action_dim) and `action_is_pad` (action_horizon; bool, LeRobot's polarity: True = a copy)."
    ),
    minutes=8,
    difficulty=3,
    reference=chunk_at,
    cases=_chunk_at_cases,
    misconceptions=(
        Misconception(
            name="the chunk is cut short",
            answer=_cut_short,
            message=(
                "Near the end your chunk has fewer than `action_horizon` steps: a slice past the end stops without a "
                "word. A batch needs chunks of one length, so the missing steps are filled in and marked."
            ),
            source="our own",
        ),
        Misconception(
            name="filled with zeros",
            answer=_filled_with_zeros,
            message=(
                "You filled the missing steps with zeros, as GR00T N1.6 and N1.7 do; LeRobot's dataset repeats the "
                "last step. Your `action_is_pad` is right; look at what `actions` holds where it is True."
            ),
            source="the other convention, NVIDIA/Isaac-GR00T at 4e62473d, processing_gr00t_n1d6.py 322-332",
        ),
        Misconception(
            name="wrapped round to the start",
            answer=_wrapped_round,
            message=(
                "After the last step your chunk goes on with the first one, as if the episode were a loop. An index "
                "past the end has to stay at the end: `clamp`, not `%`."
            ),
            source="our own",
        ),
        Misconception(
            name="copies marked as real",
            answer=_copies_marked_as_real,
            message=(
                "Your actions are right, and nothing says which of them are copies. A loss that counts them teaches "
                "the robot to stand still: users report policies that freeze at the end pose."
            ),
            source="openpi loses `action_is_pad` on the way, "
            "https://github.com/Physical-Intelligence/openpi/issues/681 and "
            "https://github.com/Physical-Intelligence/openpi/pull/894",
        ),
        Misconception(
            name="action_is_pad is upside down",
            answer=_true_for_real,
            message=(
                "Your flags are True for recorded steps. The name says what True means, is pad: a chunk from the "
                "middle of an episode has no True at all."
            ),
            source="huggingface/lerobot at 7427f318, dataset_reader.py 247-256, says True = padding; "
            "a mask read upside down: https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the last recorded step is marked as a copy",
            answer=_last_step_marked,
            message=(
                "You marked one step too many: the last recorded step is real, and only what comes after it is a "
                "copy. Look at the chunk that begins at the last step: its first flag should be False."
            ),
            source="our own",
        ),
        Misconception(
            name="padding guessed by value",
            answer=_guessed_by_value,
            message=(
                "You marked every step that equals the one before it. Look at an episode in which the robot stands "
                "still: its steps are equal, and they were recorded. The number of a step says whether it is a copy; "
                "its value cannot."
            ),
            source="our own",
        ),
        Misconception(
            name="the window is shifted back, nothing is marked",
            answer=_shifted_back,
            message=(
                "Near the end your chunk begins before `start`, so that it fits. What you return first is then not "
                "what the robot did at `start`; begin there, and fill in and mark what the episode does not have."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Which step numbers are wanted? Write them down with `torch.arange`, whether the episode has them or not.",
        "A number past the end becomes the last one: `clamp(max=...)`. Then index `episode` with the result.",
        "`action_is_pad` compares the wanted numbers, before the clamp, with the number of the last step.",
    ),
    lesson="A copy looks like any recorded step; `action_is_pad` is all that tells them apart.",
)


EXERCISES = (COUNT_REAL, ACTION_MASK, BACKBONE_ATTENTION_MASK, MAY_BE_READ, CHUNK_AT)
