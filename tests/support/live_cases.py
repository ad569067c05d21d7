"""The live pictures, and for each function that they compute torch's function of the same name and random states."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from groot_teach.chapters.loss import masked_loss
from groot_teach.show.es_modules import as_module
from groot_teach.show.live import LivePicture

CHAPTERS = Path(masked_loss.__file__).parents[1]
ENGINE = CHAPTERS.parent / "show" / "live.js"


def source_of(module: Path) -> str:
    """The ES module of a picture, as anywidget loads it."""
    return as_module(ENGINE.read_text(encoding="utf-8"), module.read_text(encoding="utf-8"))


class Twin(NamedTuple):
    """One function of the page: its picture, torch's function of the same name, and how random states are drawn."""

    module: Path
    torch: Callable[[dict[str, Any]], Any]
    draw: Callable[[random.Random], dict[str, Any]]


def draw_masked_loss(chance: random.Random) -> dict[str, Any]:
    """Mostly random bits, at times nothing or everything; errors from huge to tiny."""
    scale, density = 10 ** chance.uniform(-3, 3), chance.choice([0, 0.1, 0.5, 0.9, 1])
    recorded = [chance.random() < 0.6 for _ in range(36)]
    recorded[chance.randrange(36)] = True
    return {
        "error": [scale * chance.gauss(0, 1) for _ in range(36)],
        "counts": [chance.random() < density for _ in range(36)],
        "recorded": recorded,
        "dims": 6,
        "divide_by": chance.choice([*masked_loss.DIVISORS]),
    }


def by_torch_masked_loss(state: dict[str, Any]) -> dict[str, Any]:
    shape = (2, 3, state["dims"])
    error = torch.tensor(state["error"], dtype=torch.float64).reshape(shape)
    counts, recorded = (torch.tensor(state[name]).reshape(shape) for name in ("counts", "recorded"))
    return masked_loss.masked_loss(error, counts, recorded, state["divide_by"])._asdict()


TWINS = {
    "masked_loss": Twin(CHAPTERS / "loss" / "masked_loss.js", by_torch_masked_loss, draw_masked_loss),
}
PICTURES: dict[str, Callable[[], LivePicture]] = {"masked_loss": masked_loss.masked_loss_picture}
