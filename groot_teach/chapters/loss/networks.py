"""Three small networks whose errors the picture of the masked loss shows, and the batch that they are asked about.

One is untrained, one was trained with the mask in its loss, and one without it. Their weights are in `networks.json`;
`python -m groot_teach.chapters.loss.networks` trains them again in a minute.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from groot_teach.embodiments import TOY_DUAL_ARM, TOY_SMALL_ARM
from groot_teach.flow import interpolate, velocity_target
from groot_teach.loss import masked_velocity_loss
from groot_teach.padding import ActionBatch, action_mask_dims_and_steps, collate_chunks, pad_steps_with_copies
from groot_teach.recordings import chunk_at, toy_episode

ROBOTS = TOY_DUAL_ARM, TOY_SMALL_ARM
STEPS, DIMS = 3, 6
"""The padded size of a chunk: three action steps of six action dims."""

NETWORKS = "untrained", "trained with the mask", "trained without"
STORED = Path(__file__).with_name("networks.json")

EPISODE_STEPS = 600
_EPISODES = [
    toy_episode(robot, EPISODE_STEPS, torch.Generator().manual_seed(seed)) for seed, robot in enumerate(ROBOTS)
]


def network() -> nn.Sequential:
    """Reads a padded noisy chunk, the flow time and which robot it is; answers with a velocity for every entry."""
    size = STEPS * DIMS
    return nn.Sequential(nn.Linear(size + 1 + len(ROBOTS), 24), nn.Tanh(), nn.Linear(24, size)).double()


def predict(net: nn.Module, noisy: Tensor, t: Tensor, robot: Tensor) -> Tensor:
    which = nn.functional.one_hot(robot, len(ROBOTS)).double()
    return net(torch.cat([noisy.flatten(1), t[:, None], which], dim=1)).view_as(noisy)


def chunks_of(robots: Sequence[int], recorded: Sequence[int], starts: Sequence[int]) -> ActionBatch:
    """A chunk of each robot. Only the first `recorded` steps of it are recorded, copies of the last fill the rest."""
    chunks = [
        pad_steps_with_copies(chunk_at(_EPISODES[robot], start, STEPS).actions[:steps], STEPS)
        for robot, steps, start in zip(robots, recorded, starts, strict=True)
    ]
    return collate_chunks(chunks, DIMS)


def shown_batch() -> tuple[ActionBatch, Tensor]:
    """The batch of the picture, a full chunk of the dual arm and two steps of the small arm, and what is recorded."""
    batch = chunks_of([0, 1], [3, 2], [101, 202])
    return batch, action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)


def shown_errors() -> dict[str, Tensor]:
    """For each network the prediction minus the target in every entry of `shown_batch`, rounded to nine digits.

    The rounding makes them equal on every machine. The noise was chosen, among 6000 draws, so that the mean squared
    errors of all three networks, in recorded entries and in padding, are within 14 % of those over 4000 other batches.
    """
    batch, _ = shown_batch()
    noise = torch.randn(batch.actions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(34))
    t = torch.tensor([0.3, 0.3], dtype=torch.float64)
    noisy = interpolate(batch.actions, noise, t)
    target = velocity_target(batch.actions, noise)
    errors, stored = {}, json.loads(STORED.read_text(encoding="utf-8"))
    for name in NETWORKS:
        net = network()
        net.load_state_dict({key: torch.tensor(value, dtype=torch.float64) for key, value in stored[name].items()})
        with torch.no_grad():
            errors[name] = (predict(net, noisy, t, torch.tensor([0, 1])) - target).round(decimals=9)
    return errors


def train(masked: bool, steps: int) -> nn.Sequential:
    """A network after `steps` steps of training on chunks of both robots, with the mask in the loss or without."""
    draw = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    pool = [*product(range(len(ROBOTS)), range(1, STEPS + 1), range(EPISODE_STEPS - STEPS))]
    every_robot, every_recorded, every_start = zip(*pool, strict=True)
    chunks, robots = chunks_of(every_robot, every_recorded, every_start), torch.tensor(every_robot)
    recorded = action_mask_dims_and_steps(chunks.dim_mask, chunks.step_mask)
    counts = recorded if masked else torch.ones_like(recorded)
    for _ in range(steps):
        picked = torch.randint(len(pool), (64,), generator=draw)
        actions = chunks.actions[picked]
        noise = torch.randn(actions.shape, dtype=torch.float64, generator=draw)
        t = torch.rand(64, dtype=torch.float64, generator=draw)
        pred = predict(net, interpolate(actions, noise, t), t, robots[picked])
        optimizer.zero_grad()
        masked_velocity_loss(pred, velocity_target(actions, noise), counts[picked]).backward()
        optimizer.step()
    return net


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=STORED, help="where to write the weights")
    parser.add_argument("--steps", type=int, default=1500, help="how many training steps")
    options = parser.parse_args(arguments)
    trained = zip(NETWORKS, (train(True, 0), train(True, options.steps), train(False, options.steps)), strict=True)
    weights = {name: {key: _rounded(value) for key, value in net.state_dict().items()} for name, net in trained}
    options.out.write_text(json.dumps(weights, separators=(",", ":")).replace("],", "],\n") + "\n", encoding="utf-8")


def _rounded(weight: Tensor) -> list:
    return weight.round(decimals=5).tolist()


if __name__ == "__main__":
    main()
