"""The live pictures, and for each function that they compute torch's function of the same name and random states."""

import random
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import torch

from groot_teach.chapters.attention import what_an_action_reads
from groot_teach.chapters.broken_losses import broken_loss
from groot_teach.chapters.inside import garbled, six_doors
from groot_teach.chapters.loss import masked_loss
from groot_teach.chapters.padding import build_the_batch as batch
from groot_teach.chapters.passing_masks import one_mask_many_forms
from groot_teach.chapters.velocity import noise_to_action
from groot_teach.masks import Masking
from groot_teach.show.es_modules import as_module
from groot_teach.show.live import LivePicture

CHAPTERS = Path(masked_loss.__file__).parents[1]
FLOW = CHAPTERS / "velocity" / "noise_to_action.js"
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


def draw_broken_loss(chance: random.Random) -> dict[str, Any]:
    """Errors from huge to tiny, often with a NaN or two, at times with nothing or everything that counts."""
    scale, density, broken = 10 ** chance.uniform(-3, 2), chance.choice([0, 0.5, 1]), chance.choice([0, 0, 0.2, 1])
    entries = chance.randint(1, 12)
    return {
        "error": [nan if chance.random() < broken else scale * chance.gauss(0, 1) for _ in range(entries)],
        "counts": [chance.random() < density for _ in range(entries)],
        "way": chance.choice([*broken_loss.WAYS]),
        "divide_by": chance.choice([*broken_loss.DIVISORS]),
    }


def by_torch_broken_loss(state: dict[str, Any]) -> dict[str, Any]:
    error, counts = torch.tensor(state["error"], dtype=torch.float64), torch.tensor(state["counts"])
    return broken_loss.broken_loss(error, counts, state["way"], state["divide_by"])._asdict()


def draw_build_the_batch(chance: random.Random) -> dict[str, Any]:
    """Blocks of every size down to a single entry, painted in few places, in none, or in all."""
    density, sizes = chance.choice([0, 0.05, 0.5, 1]), {"action_horizon": 3, "padded_dim": 5, "key_len": 7}
    names = {"steps": "action_horizon", "dims": "padded_dim", "words": "key_len"}
    blocks = {name: [chance.randint(1, sizes[size]) for _ in range(2)] for name, size in names.items()}
    return blocks | sizes | {"painted": [chance.random() < density for _ in range(30)]}


def by_torch_build_the_batch(state: dict[str, Any]) -> dict[str, Any]:
    painted = torch.tensor(state["painted"]).reshape(2, state["action_horizon"], state["padded_dim"])
    built = batch.build_the_batch(state["steps"], state["dims"], state["words"], painted, state["key_len"])
    return {name: mask.flatten().tolist() for name, mask in built._asdict().items()}


def draw_count_the_batch(chance: random.Random) -> dict[str, Any]:
    """Masks of a batch that was built, at times with nothing recorded or nothing padded, read in every way."""
    built = by_torch_build_the_batch(draw_build_the_batch(chance))
    if everything := chance.choice([None, None, None, [True], [False]]):
        built |= {"action_mask": everything * 30, "action_is_pad": [not everything[0]] * 6}
    ways = {"mask": chance.choice([*batch.MASKS]), "true_means": chance.choice([*batch.MASKS.values()])}
    return {"batch": built, "padded_dim": 5, **ways}


def by_torch_count_the_batch(state: dict[str, Any]) -> dict[str, Any]:
    shapes = {"action_mask": (2, 3, 5), "action_is_pad": (2, 3), "backbone_attention_mask": (2, 7)}
    masks = {name: torch.tensor(state["batch"][name]).reshape(shape) for name, shape in shapes.items()}
    count = batch.count_the_batch(batch.BuiltBatch(**masks), state["mask"], state["true_means"])
    return count._asdict() | {"counts": count.counts.flatten().tolist()}


def draw_flow(chance: random.Random) -> dict[str, Any]:
    """Any sampler, at times at one of the sampler's own flow times or at an end; one sample or many."""
    scale, samples = 10 ** chance.uniform(-3, 3), chance.choice([1, 2, 40])

    def normal():
        return [scale * chance.gauss(0, 1) for _ in range(samples)]

    return {
        "noise": normal(),
        "drift": [normal() for _ in range(chance.choice([2, 5, 8]))],
        "sampler": chance.choice(noise_to_action.SAMPLERS),
        "t": chance.choice([0, 0.25, 0.5, 0.75, 1, chance.random(), chance.random()]),
    }


def draw_line(chance: random.Random) -> dict[str, Any]:
    state = draw_flow(chance)
    return {"noise": state["noise"], "actions": state["drift"][0], "t": state["t"]}


def in_tensors(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value
        for name, value in state.items()
    }


def draw_what_an_action_reads(chance: random.Random) -> dict[str, Any]:
    """From no preference to a nearly hard choice; at times nothing may be read, nothing is padding, or values are 0."""
    tokens, width, dims = chance.randint(1, 15), chance.choice([1, 4]), chance.choice([1, 2])
    sharp, large = chance.choice([0, 0.3, 1, 4]), chance.choice([0, 0.01, 1, 100])
    density = chance.choice([0, 0.5, 1])
    is_real = [chance.random() < chance.choice([0.5, 1]) for _ in range(tokens)]
    is_real[chance.randrange(tokens)] = True

    def normal(scale: float, rows: int, columns: int) -> list[list[float]]:
        return [[scale * chance.gauss(0, 1) for _ in range(columns)] for _ in range(rows)]

    return {
        "query": normal(sharp, 1, width)[0],
        "key": normal(1, tokens, width),
        "value": normal(large, tokens, width),
        "readout": normal(1, width, dims),
        "velocity_target": normal(1, 1, dims)[0],
        "may_read": [chance.random() < density for _ in range(tokens)],
        "is_real": is_real,
    }


def by_torch_what_an_action_reads(state: dict[str, Any]) -> dict[str, Any]:
    kinds = {"may_read": torch.bool, "is_real": torch.bool}
    tensors = {name: torch.tensor(part, dtype=kinds.get(name, torch.float64)) for name, part in state.items()}
    return what_an_action_reads.what_an_action_reads(**tensors)._asdict()


def draw_one_mask_many_forms(chance: random.Random) -> dict[str, Any]:
    """From no preference to a nearly hard choice; at times nothing may be read, or everything."""
    tokens, density, sharp = chance.randint(1, 7), chance.choice([0, 0.5, 1]), chance.choice([0, 1, 4])
    return {
        "score": [sharp * chance.gauss(0, 1) for _ in range(tokens)],
        "value": [10 * chance.gauss(0, 1) for _ in range(tokens)],
        "may_read": [chance.random() < density for _ in range(tokens)],
        "form": chance.choice([*one_mask_many_forms.FORMS]),
        "passed_to": chance.choice([*one_mask_many_forms.PASSED_TO]),
    }


def by_torch_one_mask_many_forms(state: dict[str, Any]) -> dict[str, Any]:
    tensors = {name: torch.tensor(state[name], dtype=torch.float64) for name in ("score", "value")}
    state = state | tensors | {"may_read": torch.tensor(state["may_read"])}
    return one_mask_many_forms.one_mask_many_forms(**state)._asdict()


DOORS = {
    name: constant
    for name, constant in six_doors.constants().items()
    if name in ("leaks", "positions", "depends", "moved", "counts")
}


def draw_six_doors(chance: random.Random) -> dict[str, Any]:
    """Any doors of any version, with as many open as one likes."""
    parts = chance.choice(garbled.PARTS)
    doors = {switch: chance.choice(known) for switch, known in garbled.positions(parts).items()}
    return {"parts": parts, "doors": doors} | DOORS


def by_torch_six_doors(state: dict[str, Any]) -> dict[str, Any]:
    return six_doors.six_doors(state["parts"], Masking(**state["doors"]))._asdict()


TWINS = {
    "broken_loss": Twin(CHAPTERS / "broken_losses" / "broken_loss.js", by_torch_broken_loss, draw_broken_loss),
    "one_mask_many_forms": Twin(
        CHAPTERS / "passing_masks" / "one_mask_many_forms.js", by_torch_one_mask_many_forms, draw_one_mask_many_forms
    ),
    "build_the_batch": Twin(
        CHAPTERS / "padding" / "build_the_batch.js", by_torch_build_the_batch, draw_build_the_batch
    ),
    "count_the_batch": Twin(
        CHAPTERS / "padding" / "build_the_batch.js", by_torch_count_the_batch, draw_count_the_batch
    ),
    "what_an_action_reads": Twin(
        CHAPTERS / "attention" / "what_an_action_reads.js",
        by_torch_what_an_action_reads,
        draw_what_an_action_reads,
    ),
    "masked_loss": Twin(CHAPTERS / "loss" / "masked_loss.js", by_torch_masked_loss, draw_masked_loss),
    "interpolate": Twin(FLOW, lambda state: noise_to_action.interpolate(**in_tensors(state)).tolist(), draw_line),
    "held": Twin(FLOW, lambda state: noise_to_action.held(**in_tensors(state)).tolist(), draw_flow),
    "noise_to_action": Twin(
        FLOW, lambda state: noise_to_action.noise_to_action(**in_tensors(state))._asdict(), draw_flow
    ),
    "six_doors": Twin(CHAPTERS / "inside" / "six_doors.js", by_torch_six_doors, draw_six_doors),
}
PICTURES: dict[str, Callable[[], LivePicture]] = {
    "broken_loss": broken_loss.broken_loss_picture,
    "one_mask_many_forms": one_mask_many_forms.one_mask_many_forms_picture,
    "build_the_batch": batch.build_the_batch_picture,
    "masked_loss": masked_loss.masked_loss_picture,
    "noise_to_action": noise_to_action.noise_to_action_picture,
    "what_an_action_reads": what_an_action_reads.what_an_action_reads_picture,
    "six_doors": six_doors.six_doors_picture,
}
