"""Invented episodes: random motion of a robot that has the right number of joints. `lerobot` reads recorded ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.checks import at_least_1
from groot_teach.embodiments import Embodiment
from groot_teach.shapes import checked

GRIPPER_WORDS = ("claw", "gripper", "hand")
"""A group whose name contains one of these opens and closes; every other group moves like an arm."""

RAMP_STEPS = 4
"""How many steps a toy gripper takes to open or to close."""


@checked
def toy_episode(embodiment: Embodiment, steps: int, generator: torch.Generator) -> Float[Tensor, "step action_dim"]:
    """An invented episode that looks like robot motion: float64, every entry in [-1, 1].

    Arms move smoothly from one random waypoint to the next, all joints of a group together. Grippers stay fully open
    (1) or fully closed (-1), with ramps of four steps in between. The fingers of a hand close together, while each claw
    or gripper of a group closes by itself. The same state of the generator gives the same episode.

    Raises:
        ValueError: `steps` is less than 1.
    """
    at_least_1("steps", steps)
    return torch.cat([_toy_group(name, size, steps, generator) for name, size in embodiment.groups], dim=1)


def _toy_group(name: str, size: int, steps: int, generator: torch.Generator) -> Float[Tensor, "step size"]:
    if not any(word in name.lower() for word in GRIPPER_WORDS):
        return _arm_path(size, steps, generator)
    if "hand" in name.lower():
        return _gripper_path(steps, generator).expand(-1, size)
    return torch.cat([_gripper_path(steps, generator) for _ in range(size)], dim=1)


def _arm_path(size: int, steps: int, generator: torch.Generator) -> Float[Tensor, "step size"]:
    """Moves between random waypoints in [-1, 1], each 10 to 24 steps long."""
    here = _random_waypoint(size, generator)
    pieces = [here[None]]
    while sum(map(len, pieces)) < steps:
        there = _random_waypoint(size, generator)
        pieces.append(_move(here, there, _random_int(10, 24, generator)))
        here = there
    return torch.cat(pieces)[:steps]


def _gripper_path(steps: int, generator: torch.Generator) -> Float[Tensor, "step 1"]:
    """Open and closed alternately, each for 12 to 30 steps. Which of them comes first is random."""
    here = torch.tensor([2.0 * _random_int(0, 1, generator) - 1.0], dtype=torch.float64)
    pieces = []
    while sum(map(len, pieces)) < steps:
        pieces.append(here.expand(_random_int(12, 30, generator), 1))
        pieces.append(_move(here, -here, RAMP_STEPS))
        here = -here
    return torch.cat(pieces)[:steps]


def _move(here: Float[Tensor, " size"], there: Float[Tensor, " size"], steps: int) -> Float[Tensor, "steps size"]:
    """A minimum-jerk move, which starts and ends at rest. It does not include `here`; its last step is `there`.

    Source: Flash and Hogan 1985, "The coordination of arm movements", equation 10 t^3 - 15 t^4 + 6 t^5.
    """
    done = torch.arange(1, steps + 1, dtype=torch.float64)[:, None] / steps
    return here + (there - here) * (10 * done**3 - 15 * done**4 + 6 * done**5)


def _random_waypoint(size: int, generator: torch.Generator) -> Float[Tensor, " size"]:
    return 2 * torch.rand(size, dtype=torch.float64, generator=generator) - 1


def _random_int(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=generator))
