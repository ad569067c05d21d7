"""The widget of the chapter on the whole head: one kind of padding is changed, and some outputs move."""

from collections.abc import Callable

from torch import Tensor

from groot_teach.chapters.inside.policy import GARBLES, ROBOTS, Policy, moves, state_mask, toy_policy
from groot_teach.show.panels import Bars, KindMap, Panel, one_of

MOST = 150.0
PLACES = {
    "r": ("real", "real"),
    "p": ("padding", "padding"),
    "g": ("leak", "padding, garbled"),
}


def garble_padding(version: str, padding: str) -> dict[str, Panel]:
    """We write other numbers into one kind of padding: which outputs move, and by how much?"""
    return garble_panels(toy_policy(version), one_of("padding", padding, GARBLES))


def garble_panels(policy: Policy, garble: Callable[[Policy], Policy]) -> dict[str, Panel]:
    """Which numbers `garble` changed, and how far each output moved, in percent of its size."""
    other = garble(policy)
    recorded = policy.batch.step_mask[..., None]
    noise = policy.noise != other.noise
    state = policy.observation.state != other.observation.state
    tokens = policy.observation.vl.tokens != other.observation.vl.tokens
    moved = {name: 100 * part for name, part in moves(policy, garble).items()}
    return {
        "moved by, in percent of its size": Bars([*moved], [*moved.values()], ["leak"] * len(moved), MOST, digits=2),
        "dims": _places(policy.batch.dim_mask, (noise & recorded).any(dim=1), "dim"),
        "steps": _places(policy.batch.step_mask, noise.any(dim=2), "step"),
        "tokens": _places(policy.observation.vl.backbone_attention_mask, tokens.any(dim=2), "token"),
        "state": _places(state_mask()[:, 0], state[:, 0], "state dim"),
    }


def _places(real: Tensor, changed: Tensor, columns: str) -> KindMap:
    rows = zip(real.tolist(), changed.tolist(), strict=True)
    cells = ["".join("r" if r else "pg"[c] for r, c in zip(*row, strict=True)) for row in rows]
    return KindMap(cells, PLACES, rows=[robot.name for robot in ROBOTS], columns=columns)
