"""The small policy on which chapter 7 experiments: a real action head with few parts, and one batch for it.

The weights are random and small. They show what is connected to what, and not how much of it a trained policy keeps.
The batch has three robots that differ in dims, in steps and in tokens, so every kind of padding occurs in it. The
`other_...` functions put other numbers into one kind of padding and leave everything else as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, Masking
from groot_teach.padding import (
    ActionBatch,
    action_mask_dims_and_steps,
    collate_chunks,
    join_tokens,
    pad_tokens_left,
)
from groot_teach.recordings import chunk_at, toy_episode

ROBOTS = (DUAL_ARM, GR1, SO101)
PADDED_DIM, HORIZON, STATE_DIM, WIDTH, TOKENS = 32, 16, 29, 32, 13
STATE_DIMS = {"dual-arm": 16, "GR1": 26, "SO-101": 6}

SIZES = HeadConfig(
    padded_dim=PADDED_DIM,
    state_dim=STATE_DIM,
    token_width=WIDTH,
    width=WIDTH,
    heads=4,
    hidden=24,
    layers=4,
    vl_layers=1,
    vl_heads=4,
    embodiments=len(ROBOTS),
    max_steps=HORIZON,
)
VERSIONS: dict[str, tuple[HeadConfig, Masking]] = {
    "N1.5": (replace(SIZES, future_tokens=3), GROOT_N1_5),
    "N1.6": (replace(SIZES, attend_text_every_n_blocks=2, vl_layers=0), GROOT_N1_6),
    "N1.7": (replace(SIZES, attend_text_every_n_blocks=2), GROOT_N1_7),
    "PR 741": (replace(SIZES, attend_text_every_n_blocks=2), PR_741),
    "strict": (replace(SIZES, attend_text_every_n_blocks=2), STRICT),
}
"""For each version its parts, which are small here, and its masking. PR 741 and strict have the parts of N1.7."""


@dataclass(frozen=True, eq=False)
class Policy:
    """A head, and one batch of three robots for it: everything that a training step needs."""

    head: ActionHead
    observation: Observation
    batch: ActionBatch
    noise: Tensor
    t: Tensor

    @property
    def action_mask(self) -> Tensor:
        """True = a recorded action of a dim that the robot has, whatever the head's own masking counts."""
        return action_mask_dims_and_steps(self.batch.dim_mask, self.batch.step_mask)

    def velocity(self) -> Tensor:
        return self.head.loss(self.observation, self.batch, self.noise, self.t).velocity_pred

    def loss(self) -> Tensor:
        return self.head.loss(self.observation, self.batch, self.noise, self.t).loss

    def actions(self) -> Tensor:
        """The actions after four Euler steps from `noise`."""
        return self.head.sample(self.observation, self.noise, self.batch.dim_mask, self.batch.step_mask)[-1]


def toy_policy(version: str) -> Policy:
    """The version's head with random weights, in float64, and a ragged batch: 16, 26 and 6 dims; 16, 5 and 7 steps.

    N1.5 fills the missing steps with copies, the others with zeros.
    """
    if version not in VERSIONS:
        raise ValueError(f"version: got {version!r}, expected one of {', '.join(map(repr, VERSIONS))}")
    config, masking = VERSIONS[version]
    head = ActionHead(config, masking, _seeded(0)).double().eval()
    with torch.no_grad():
        for weight in head.parameters():
            weight *= 3**0.5  # uniform weights then have the spread at which signals neither fade nor grow
    chunks = [
        chunk_at(toy_episode(robot, 60, _seeded(1)), start, HORIZON)
        for robot, start in zip(ROBOTS, (20, 55, 53), strict=True)
    ]
    batch = collate_chunks(chunks, PADDED_DIM)
    if version != "N1.5":
        batch = replace(batch, actions=torch.where(batch.step_mask[..., None], batch.actions, 0.0))
    camera = [_draw(10 + seed, 3, WIDTH) for seed in range(5)]
    tokens = [
        join_tokens([camera[0], camera[1]], _draw(20, 7, WIDTH)),
        join_tokens([camera[2], None], _draw(21, 4, WIDTH)),
        join_tokens([camera[3], camera[4]], _draw(22, 5, WIDTH)),
    ]
    state = _draw(3, len(ROBOTS), 1, STATE_DIM) * state_mask()
    observation = Observation(pad_tokens_left(tokens, TOKENS), state, torch.arange(len(ROBOTS)))
    t = torch.tensor([0.25, 0.5, 0.125], dtype=torch.float64)
    return Policy(head, observation, batch, _draw(4, *batch.actions.shape), t)


def state_mask() -> Tensor:
    """`3, 1, 29`, bool, True = this robot has this state dim. None of the heads takes such a mask."""
    widths = torch.tensor([STATE_DIMS[robot.name] for robot in ROBOTS])
    return torch.arange(STATE_DIM) < widths[:, None, None]


# ------------------------------------------------------------------------------------------------------ the garble


def other_padded_dims(policy: Policy) -> Policy:
    """Other noise in the dims that a robot lacks, in its recorded steps."""
    where = ~policy.batch.dim_mask[:, None, :] & policy.batch.step_mask[..., None]
    return replace(policy, noise=_other(policy.noise, where, 31))


def other_padded_steps(policy: Policy) -> Policy:
    """Other noise and other actions in the steps that were filled in."""
    where = ~policy.batch.step_mask[..., None].expand_as(policy.noise)
    batch = replace(policy.batch, actions=_other(policy.batch.actions, where & policy.batch.dim_mask[:, None], 32))
    return replace(policy, noise=_other(policy.noise, where, 33), batch=batch)


def other_padded_tokens(policy: Policy) -> Policy:
    """Other numbers in front of the shorter prompts."""
    vl = policy.observation.vl
    return _with_tokens(policy, ~vl.backbone_attention_mask & ~vl.cameras, 34)


def other_absent_camera(policy: Policy) -> Policy:
    """Other numbers in the tokens of a camera that is absent."""
    vl = policy.observation.vl
    return _with_tokens(policy, ~vl.backbone_attention_mask & vl.cameras, 35)


def other_padded_state(policy: Policy) -> Policy:
    """Other numbers in the state dims that a robot lacks."""
    state = _other(policy.observation.state, ~state_mask(), 36)
    return replace(policy, observation=replace(policy.observation, state=state))


GARBLES: dict[str, Callable[[Policy], Policy]] = {
    "padded dims": other_padded_dims,
    "padded steps": other_padded_steps,
    "padded tokens": other_padded_tokens,
    "an absent camera": other_absent_camera,
    "padded state": other_padded_state,
}
OUTPUTS: dict[str, Callable[[Policy], Tensor]] = {
    "velocity, recorded entries": lambda policy: policy.velocity()[policy.action_mask],
    "actions, recorded entries": lambda policy: policy.actions()[policy.action_mask],
    "loss": Policy.loss,
}


def moves(policy: Policy, garble: Callable[[Policy], Policy]) -> dict[str, float]:
    """How far each output moves after `garble`, relative to its size."""
    other = garble(policy)
    return {
        name: ((output(other) - output(policy)).norm() / output(policy).norm()).item()
        for name, output in OUTPUTS.items()
    }


def _with_tokens(policy: Policy, where: Tensor, seed: int) -> Policy:
    vl = policy.observation.vl
    tokens = _other(vl.tokens, where[..., None].expand_as(vl.tokens), seed)
    return replace(policy, observation=replace(policy.observation, vl=replace(vl, tokens=tokens)))


def _other(values: Tensor, where: Tensor, seed: int) -> Tensor:
    return torch.where(where, _draw(seed, *values.shape), values)


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=_seeded(seed))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
