"""A task that a tiny head learns in seconds: bring the hand to one side of a cup.

    two cameras   show where the cup is
    the text      up to `most_fillers` words without meaning, then the side: left, right, behind or before
    the state     the joints, which tell where the hand is
    the actions   the joints again: each step goes a fifth of the remaining way

The observation determines the actions, so a perfect head would make no error. The only difficulty is padding, of every
kind in this book: robots of 2, 4 and 6 dims, the smallest of them without a second camera; chunks in which the
recording stops and is filled up with copies; prompts of different lengths.

The recording stops at a random step, not where the task ends, and nothing in the observation tells the head when.
"""

from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from groot_teach.embodiments import TOY_DUAL_ARM, TOY_HUMANOID, TOY_SMALL_ARM
from groot_teach.head.action_head import Observation
from groot_teach.padding import ActionBatch, VLBatch
from groot_teach.shapes import checked

ROBOTS = (TOY_DUAL_ARM, TOY_SMALL_ARM, TOY_HUMANOID)
ONE_CAMERA = 1
"""The robot without a second camera."""

ACTION_HORIZON = 8
TOKEN_WIDTH = 16
CAMERAS = 2

SIDES = {"left": (-0.4, 0.0), "right": (0.4, 0.0), "behind": (0.0, 0.4), "before": (0.0, -0.4)}
FILLERS = 6
"""The number of different words without meaning."""

STEP_LEFT = 0.8
"""The part of the way that remains after a step."""


@checked
@dataclass(frozen=True, eq=False)
class Situations:
    """A batch of situations, before anything is padded.

    Attributes:
        robot: `batch`, int64: which of `ROBOTS`.
        hand: `batch, 2`: where the hand is.
        cup: `batch, 2`: where the cup is.
        side: `batch`, int64: to which side of the cup the hand has to go, as an index into `SIDES`.
        fillers: `batch, most_fillers`, int64: words without meaning.
        words_said: `batch`, int64: how many of these words are in the prompt.
        recorded: `batch`, int64: how many steps of the chunk were recorded, 1 to `ACTION_HORIZON`.
    """

    robot: Int64[Tensor, " batch"]
    hand: Float[Tensor, "batch 2"]
    cup: Float[Tensor, "batch 2"]
    side: Int64[Tensor, " batch"]
    fillers: Int64[Tensor, "batch most_fillers"]
    words_said: Int64[Tensor, " batch"]
    recorded: Int64[Tensor, " batch"]

    @property
    def goal(self) -> Float[Tensor, "batch 2"]:
        """Where the hand has to go."""
        return self.cup + torch.tensor([*SIDES.values()], dtype=self.cup.dtype)[self.side]


@dataclass(frozen=True, kw_only=True)
class Reaching:
    """The task, and how much padding there is in its batches.

    Attributes:
        padded_dim: the number of dims to which actions are padded; the widest robot has 6.
        cut_short: the part of the chunks that reach over the end of their recording.
        most_fillers: the largest number of words without meaning in a prompt.

    Raises:
        ValueError: a `padded_dim` below 6, a `cut_short` outside 0 to 1, or a `most_fillers` below 0.
    """

    padded_dim: int
    cut_short: float
    most_fillers: int

    def __post_init__(self) -> None:
        widest = max(robot.action_dim for robot in ROBOTS)
        if self.padded_dim < widest:
            raise ValueError(f"padded_dim: got {self.padded_dim}, expected {widest} or more, the widest robot's")
        if not 0 <= self.cut_short <= 1:
            raise ValueError(f"cut_short: got {self.cut_short}, expected a part, 0 to 1")
        if self.most_fillers < 0:
            raise ValueError(f"most_fillers: got {self.most_fillers}, expected 0 or more")

    def draw(self, batch_size: int, generator: torch.Generator) -> tuple[Observation, ActionBatch]:
        """A batch to train on, padded to its longest prompt, in float64."""
        situations = self.situations(batch_size, generator)
        return self.observe(situations), self.actions(situations)

    def situations(self, batch_size: int, generator: torch.Generator) -> Situations:
        """Draws situations. The cup lies within 0.6 of the middle, the hand within 1, along both axes."""

        def places(reach: float) -> Tensor:
            return reach * (2 * torch.rand(batch_size, 2, dtype=torch.float64, generator=generator) - 1)

        def numbers(low: int, high: int, *more: int) -> Tensor:
            return torch.randint(low, high + 1, (batch_size, *more), generator=generator)

        is_short = torch.rand(batch_size, generator=generator) < self.cut_short
        return Situations(
            robot=numbers(0, len(ROBOTS) - 1),
            hand=places(1.0),
            cup=places(0.6),
            side=numbers(0, len(SIDES) - 1),
            fillers=numbers(0, FILLERS - 1, self.most_fillers),
            words_said=numbers(0, self.most_fillers),
            recorded=torch.where(is_short, numbers(1, ACTION_HORIZON - 1), ACTION_HORIZON),
        )

    def observe(self, situations: Situations, key_len: int | None = None) -> Observation:
        """What the policy sees, with tokens padded on the left to `key_len`; None = to the longest prompt.

        Raises:
            ValueError: a prompt that is longer than `key_len`.
        """
        joints = self.joints(situations.hand, situations.robot)
        tokens = _tokens(situations, key_len)
        return Observation(tokens, joints[:, None], situations.robot)

    def actions(self, situations: Situations) -> ActionBatch:
        """The recorded steps, filled up with copies of the last one."""
        step = torch.arange(ACTION_HORIZON)
        wanted = self.wanted(situations)
        copied = torch.minimum(step, situations.recorded[:, None] - 1)
        return ActionBatch(
            actions=wanted.gather(1, copied[..., None].expand_as(wanted)),
            dim_mask=joint_map(self.padded_dim)[0][situations.robot],
            step_mask=step < situations.recorded[:, None],
        )

    def wanted(self, situations: Situations) -> Float[Tensor, "batch action_horizon padded_dim"]:
        """The actions of a perfect policy, in all steps, recorded or not."""
        left = STEP_LEFT ** torch.arange(1, ACTION_HORIZON + 1, dtype=torch.float64)[:, None]
        goal, hand = situations.goal[:, None], situations.hand[:, None]
        return self.joints(goal + left * (hand - goal), situations.robot)

    def joints(self, hand: Float[Tensor, "batch *steps 2"], robot: Tensor) -> Float[Tensor, "batch *steps padded_dim"]:
        """The joints that bring each robot's hand to these places; 0 in padded dims."""
        return torch.einsum("b...p,bpd->b...d", hand, joint_map(self.padded_dim)[1][robot])

    def hand(self, joints: Float[Tensor, "batch *steps padded_dim"], robot: Tensor) -> Float[Tensor, "batch *steps 2"]:
        """The place to which these joints bring the hand; padded dims have no effect."""
        widths = torch.tensor([robot.action_dim for robot in ROBOTS])[robot]
        back = joint_map(self.padded_dim)[1][robot] * (2 / widths)[:, None, None]
        return torch.einsum("b...d,bpd->b...p", joints, back)


def joint_map(padded_dim: int) -> tuple[Bool[Tensor, "robot padded_dim"], Float[Tensor, "robot 2 padded_dim"]]:
    """For each robot the dims that it has, and the map from its hand to its joints: a direction for each joint.

    The directions have equal angles between them, so the transposed map, times 2 and divided by the number of joints,
    is the way back.
    """
    is_real = torch.zeros(len(ROBOTS), padded_dim, dtype=torch.bool)
    follow = torch.zeros(len(ROBOTS), 2, padded_dim, dtype=torch.float64)
    for place, robot in enumerate(ROBOTS):
        width = robot.action_dim
        angle = pi * torch.arange(width, dtype=torch.float64) / width
        is_real[place, :width] = True
        follow[place, :, :width] = torch.stack([angle.cos(), angle.sin()])
    return is_real, follow


def _tokens(situations: Situations, key_len: int | None) -> VLBatch:
    """The token vectors of each sample: padding, two cameras, the words without meaning, the side."""
    see, words = _vocabulary()
    batch, most = situations.fillers.shape
    place = torch.cat([situations.cup, torch.ones_like(situations.cup[:, :1])], dim=1)
    cameras = torch.einsum("bp,cpw->bcw", place, see)
    text = torch.cat([words[len(SIDES) + situations.fillers], words[situations.side][:, None]], dim=1)
    # Of the words without meaning the last ones are used, so that they end where the side begins.
    said = torch.arange(most + 1) >= (most - situations.words_said)[:, None]
    length = CAMERAS + situations.words_said + 1
    key_len = int(length.max()) if key_len is None else key_len
    if key_len < length.max():
        raise ValueError(f"key_len: got {key_len}, expected {int(length.max())} or more, the longest prompt's length")
    missing = (key_len - length)[:, None]
    tokens = torch.zeros(batch, key_len, TOKEN_WIDTH, dtype=torch.float64)
    slot = torch.arange(key_len)
    is_image = (slot >= missing) & (slot < missing + CAMERAS)
    is_text = slot >= missing + CAMERAS
    tokens[is_image] = cameras.flatten(0, 1)
    tokens[is_text] = text[said]
    absent = (slot == missing + 1) & (situations.robot == ONE_CAMERA)[:, None]
    tokens[absent] = 0.0
    return VLBatch(tokens, (is_image | is_text) & ~absent, is_image)


def _vocabulary() -> tuple[Float[Tensor, "camera 3 width"], Float[Tensor, "word width"]]:
    """A map from a place to each camera's token, and a vector for each word, always drawn from the same seed.

    The vectors of the four sides are similar to each other, and so are those of the words without meaning, as the
    vectors of similar words are in a language model.
    """
    generator = torch.Generator().manual_seed(0)

    def vectors(*shape: int) -> Tensor:
        return torch.randn(*shape, TOKEN_WIDTH, dtype=torch.float64, generator=generator)

    see = vectors(CAMERAS, 3)
    sides, fillers = (vectors(1) + vectors(kinds) for kinds in (len(SIDES), FILLERS))
    return see, torch.cat([sides, fillers])
