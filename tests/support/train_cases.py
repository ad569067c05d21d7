"""A small head and a lopsided task, for the tests of training in one process and in several."""

from dataclasses import dataclass, replace

import torch

from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.masks import STRICT
from groot_teach.training.task import ACTION_HORIZON, TOKEN_WIDTH, Reaching
from groot_teach.training.train import Recipe

TASK = Reaching(padded_dim=7, cut_short=0.5, most_fillers=3)
CONFIG = HeadConfig(
    padded_dim=7,
    state_dim=7,
    token_width=TOKEN_WIDTH,
    width=10,
    heads=5,
    hidden=11,
    layers=2,
    vl_layers=1,
    vl_heads=2,
    embodiments=3,
    max_steps=ACTION_HORIZON,
)
RECIPE = Recipe(steps=5, batch_size=6, learning_rate=0.01, seed=3)


def small_head(masking=STRICT, seed=0):
    return ActionHead(CONFIG, masking, torch.Generator().manual_seed(seed)).double()


@dataclass(frozen=True)
class Lopsided:
    """A batch in which every second sample is padding from end to end, and the others hold 1, 4 and 8 steps.

    Shared out among two processes, one of them has nothing that counts.
    """

    def draw(self, batch_size, generator):
        observation, batch = TASK.draw(batch_size, generator)
        steps = torch.tensor([1, 0, 4, 0, 8, 0])[:batch_size]
        return observation, replace(batch, step_mask=torch.arange(ACTION_HORIZON) < steps[:, None])
