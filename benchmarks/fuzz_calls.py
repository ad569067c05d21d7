"""Calls the public functions with one argument replaced by something else, and looks at what they make of it.

    python -m benchmarks.fuzz_calls --cases 4000

One case in four only puts the argument into another guise, such as a tuple in place of a list or a tensor that is not
contiguous: then the answer is known. Each case has a seed. Its outcome is one of

    named     an error that names the argument
    answered  an answer without a NaN that was not put in; to another guise, the answer that the argument had before
    unnamed   an error that does not name the argument, or one of a kind that no library should let through
    wrong     a NaN in the answer, although every number that went in was finite; or another answer to another guise
    hangs     no answer within `LIMIT` seconds

The command ends with 1 if there is a wrong or hanging case, or if fewer than 98 in 100 are named or answered. It prints
the seeds of the cases that are not; `--only SEED` runs one of them again and shows its traceback.
"""

import argparse
import random
import sys
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from benchmarks.fuzz_files import Hangs, limited
from groot_teach import attention, embodiments, flow, loss, masks, padding
from groot_teach.audit import Padding
from groot_teach.chapters.dropped.pictures import curves_beside, hand_paths, seed_ratios
from groot_teach.chapters.loss.pictures import copied_actions, denominators, group_weights, slice_against_mask
from groot_teach.chapters.padding.pictures import action_batch, episode_end, robot_to_columns, token_rows
from groot_teach.chapters.velocity.pictures import how_often, moved_by_inputs, noise_over_time, noise_to_action
from groot_teach.extras import progress_bar
from groot_teach.head import ActionHead, HeadConfig, Observation, leaks_found
from groot_teach.head.released import config_from_weights, draw_like_upstream, real_time_chunk, to_upstream
from groot_teach.recordings import (
    Episode,
    chunk_at,
    denormalise,
    normalise,
    padded_width,
    statistics_of,
    toy_episode,
    what_zero_becomes,
    without_groups_of_zeros,
)
from groot_teach.show import Bars, HeatMap, KindMap, Lines, Number, Table
from groot_teach.show.pictures import over_flow_time, six_stages
from groot_teach.training import ablation, train

BATCH, STEPS, DIMS, TOKENS = 2, 3, 5, 4
CONFIG = {
    "padded_dim": DIMS, "state_dim": 3, "token_width": 8, "width": 8, "heads": 2, "hidden": 4, "layers": 2,
    "vl_layers": 1, "vl_heads": 2, "embodiments": 2,
}  # fmt: skip


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded())


def some(*shape: int) -> Tensor:
    """A bool tensor that holds both, with True in each row."""
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., -1] = False
    return mask


CHUNKS, TIMES = numbers(BATCH, STEPS, DIMS), torch.tensor([0.25, 0.5])
DIM_MASK, STEP_MASK, TOKEN_MASK = some(BATCH, DIMS), some(BATCH, STEPS), some(BATCH, TOKENS)
HEAD = ActionHead(HeadConfig(**CONFIG), masks.STRICT, seeded())
VL = padding.VLBatch(numbers(BATCH, TOKENS, 8), TOKEN_MASK, some(BATCH, TOKENS))
SEEN = Observation(VL, numbers(BATCH, 1, 3), torch.tensor([0, 1]))
BATCHED = padding.ActionBatch(CHUNKS, DIM_MASK, STEP_MASK)
CHUNK = padding.ActionChunk(numbers(STEPS, DIMS), torch.tensor([False, False, True]))
STATISTICS = {"min": torch.zeros(DIMS), "max": torch.ones(DIMS)}
MAY_READ = some(2, 3, 4)
CURVES = numbers(2, 3).exp()
EPISODE = Episode(CHUNKS[0].double(), ("pour",) * STEPS, 0, (("arm", 3), ("claw", 2)))
LEGEND = {"a": ("real", "recorded"), "b": ("padding", "padding")}
LOSS = {"velocity_pred": CHUNKS, "velocity_target": -CHUNKS, "action_mask": some(BATCH, STEPS, DIMS)}
ONE = {"arm": torch.tensor(1.0), "claw": torch.tensor(2.0)}
TOKENS_OF_ONE = padding.VLTokens(numbers(TOKENS, 8), some(TOKENS), some(TOKENS))

CALLS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (padding.pad_dims, {"actions": CHUNKS, "padded_dim": 7}),
    (padding.pad_steps_with_copies, {"actions": CHUNKS[0], "action_horizon": 4}),
    (padding.pad_steps_with_zeros, {"actions": CHUNKS[0], "action_horizon": 4}),
    (padding.collate_chunks, {"chunks": [CHUNK, CHUNK], "padded_dim": 6}),
    (
        padding.collate_chunks_with_zeros,
        {"chunks": [CHUNK, CHUNK], "padded_dim": 6, "action_horizon": 4, "valid_action_horizon": 2},
    ),
    (padding.action_mask_dims_only, {"dim_mask": DIM_MASK, "action_horizon": 3}),
    (padding.action_mask_dims_and_steps, {"dim_mask": DIM_MASK, "step_mask": STEP_MASK}),
    (padding.join_tokens, {"cameras": [numbers(2, 8), None], "text": numbers(3, 8)}),
    (padding.pad_tokens_left, {"samples": [TOKENS_OF_ONE], "key_len": 6}),
    (padding.pad_tokens_right, {"samples": [TOKENS_OF_ONE], "key_len": 6}),
    (padding.ActionBatch, {"actions": CHUNKS, "dim_mask": DIM_MASK, "step_mask": STEP_MASK}),
    (padding.ActionChunk, {"actions": CHUNKS[0], "action_is_pad": STEP_MASK[0], "task": "pour"}),
    (padding.VLBatch, {"tokens": VL.tokens, "backbone_attention_mask": TOKEN_MASK, "image_mask": TOKEN_MASK}),
    (masks.from_action_is_pad, {"action_is_pad": STEP_MASK}),
    (masks.from_key_padding_mask, {"key_padding_mask": TOKEN_MASK}),
    (masks.from_float_mask, {"values": STEP_MASK.float()}),
    (masks.from_int_mask, {"values": STEP_MASK.long()}),
    (masks.from_additive_mask, {"values": torch.zeros(2, 3).masked_fill(~STEP_MASK, -1e9)}),
    (masks.with_switches, {"masking": masks.STRICT, "sampler": "free"}),
    (masks.open_leaks, {"masking": masks.STRICT}),
    (embodiments.Embodiment, {"name": "arm", "groups": (("arm", 3), ("claw", 1)), "embodiment_id": 0}),
    (flow.sample_beta, {"batch": 3, "generator": seeded()}),
    (flow.flow_time_n1_5, {"s": TIMES}),
    (flow.flow_time_n1_7, {"s": TIMES}),
    (flow.time_bucket, {"t": TIMES}),
    (flow.interpolate, {"actions": CHUNKS, "noise": -CHUNKS, "t": TIMES}),
    (flow.velocity_target, {"actions": CHUNKS, "noise": -CHUNKS}),
    (flow.euler_path, {"velocity": lambda x, t: -x, "noise": CHUNKS, "steps": 3}),
    (flow.refill_zero, {"noisy_actions": CHUNKS, "action_mask": LOSS["action_mask"]}),
    (flow.refill_noise, {"noisy_actions": CHUNKS, "action_mask": LOSS["action_mask"], "noise": CHUNKS, "t": TIMES}),
    (loss.masked_velocity_loss, LOSS),
    (loss.velocity_error_sum, LOSS),
    (loss.sample_weighted_velocity_loss, LOSS),
    (loss.group_velocity_losses, LOSS | {"group_slices": {"arm": slice(0, 3), "claw": slice(3, 5)}}),
    (loss.learned_weight_loss, {"losses": ONE, "log_scales": dict(ONE)}),
    (loss.loss_divisor, {"denominator": "valid", "count": torch.tensor(3.0), "entries": torch.tensor(4.0)}),
    (attention.may_read_real, {"backbone_attention_mask": TOKEN_MASK, "query_len": 3}),
    (attention.alternate_masks, {"backbone_attention_mask": TOKEN_MASK, "image_mask": TOKEN_MASK}),
    (attention.may_read_real_steps, {"step_mask": STEP_MASK}),
    (attention.may_read_earlier_steps, {"step_mask": STEP_MASK}),
    (
        attention.cross_attention,
        {
            "query": numbers(2, 3, 4),
            "key": numbers(2, 4, 4),
            "value": numbers(2, 4, 6),
            "attention_mask": MAY_READ,
        },
    ),
    (attention.mass_on_padding, {"weights": numbers(2, 3, 4).softmax(-1), "backbone_attention_mask": TOKEN_MASK}),
    (HeadConfig, CONFIG),
    (HEAD.loss, {"observation": SEEN, "batch": BATCHED, "noise": CHUNKS, "t": TIMES}),
    (ActionHead, {"config": HEAD.config, "masking": masks.GROOT_N1_5, "generator": seeded()}),
    (HEAD, {"observation": SEEN, "noisy_actions": CHUNKS, "t": TIMES, "dim_mask": DIM_MASK, "step_mask": STEP_MASK}),
    (HEAD.answer, {"observation": SEEN, "batch": BATCHED, "noise": CHUNKS, "t": TIMES}),
    (
        HEAD.sample,
        {"observation": SEEN, "noise": None, "dim_mask": DIM_MASK, "step_mask": STEP_MASK, "generator": seeded()},
    ),
    (HEAD.sample, {"observation": SEEN, "noise": CHUNKS, "dim_mask": DIM_MASK, "step_mask": STEP_MASK, "steps": 2}),
    (leaks_found, {"head": HEAD, "observation": SEEN, "batch": BATCHED, "noise": CHUNKS, "t": TIMES}),
    (Observation, {"vl": VL, "state": SEEN.state, "embodiment_id": SEEN.embodiment_id}),
    (config_from_weights, {"weights": to_upstream(HEAD), "head_width": 4, "vl_head_width": 4}),
    (draw_like_upstream, {"seed": 3, "actions": CHUNKS, "version": "N1.5"}),
    (real_time_chunk, {"noise": CHUNKS, "previous": CHUNKS, "overlap": 2, "frozen": 1, "ramp_rate": 6.0}),
    (chunk_at, {"episode_actions": CHUNKS[0], "start": 1, "action_horizon": 4, "task": "pour"}),
    (toy_episode, {"embodiment": embodiments.SO101, "steps": 5, "generator": seeded()}),
    (padded_width, {"action_dim": 6, "asked": 8}),
    (statistics_of, {"actions": CHUNKS, "real": STEP_MASK}),
    (normalise, {"actions": CHUNKS, "statistics": STATISTICS, "convention": "N1.5", "mode": "min_max"}),
    (denormalise, {"normalised": CHUNKS, "statistics": STATISTICS, "convention": "N1.7", "mode": "min_max"}),
    (what_zero_becomes, {"statistics": STATISTICS, "convention": "LeRobot", "mode": "min_max"}),
    (without_groups_of_zeros, {"episode": EPISODE}),
    (Padding, {"axis": "dims", "real": DIM_MASK, "values": {"actions": 2}, "masks": {"dim_mask": 1}}),
    (train.Recipe, {"steps": 3, "batch_size": 2, "learning_rate": 0.1, "seed": 0, "micro_batches": 1}),
    (ablation.Plan, {"seeds": 2, "steps": 3, "every": 1, "width": 8, "tried": 4, "chunks": 2, "learning_rate": 0.1}),
    (ablation.Trial, {"condition": "strict", "amount": "much", "seed": 0}),
    (ablation.Comparison, {"ratios": (1.5, 2.0)}),
    (ablation.error_when, {"deployment": "as trained", "robot": 1}),
    (seed_ratios, {"ratios": {"arm": [1.5, 2.0], "claw": [0.5]}, "x_name": "ratio"}),
    (curves_beside, {"step": [1, 2, 3], "panels": {"arm": (CURVES, CURVES)}, "names": ("a", "b"), "y_name": "loss"}),
    (hand_paths, {"paths": {"arm": {"strict": numbers(3, 2)}}, "goals": {"arm": numbers(2)}, "names": ["strict"]}),
    (over_flow_time, {"t": [0.0, 0.5, 1.0], "spreads": {"real": [1.0, 0.5, 0.2], "padding": [1.0, 1.0, 1.0]}}),
    (six_stages, {"masking": masks.STRICT}),
    (episode_end, {"actions": CHUNKS[0], "action_is_pad": CHUNK.action_is_pad, "dims": {"first": 0, "last": 4}}),
    (robot_to_columns, {"robots": [embodiments.SO101], "padded_dim": 8}),
    (action_batch, {"batch": BATCHED, "names": ["arm", "claw"]}),
    (token_rows, {"batch": padding.VLBatch(numbers(BATCH, TOKENS, 1), TOKEN_MASK, TOKEN_MASK)}),
    (slice_against_mask, {"dim_mask": DIM_MASK, "slice_dim": 3, "names": ["arm", "claw"]}),
    (group_weights, {"weights": {"sum": torch.ones(DIMS)}, "groups": {"arm": [0, 1, 2], "claw": [3, 4]}}),
    (denominators, {"error_sum": 3.0, "divisors": {"valid": 2, "all": 4}, "right": "valid"}),
    (copied_actions, {"recorded_steps": [1, 3], "action_horizon": 4}),
    (how_often, {"values": torch.rand(9, generator=seeded()), "edges": [0.0, 0.5, 1.0], "x_name": "t"}),
    (noise_over_time, {"t": [0.0, 1.0], "noisy_actions": numbers(2, DIMS), "dim_mask": DIM_MASK[0]}),
    (noise_to_action, {"t": [0.0, 0.5, 1.0], "real": [1.0, 0.5, 0.2], "padded": [0.5, 0.2, 0.0]}),
    (moved_by_inputs, {"moves": {"fit": torch.ones(DIMS)}, "groups": {"arm": 3, "claw": 2}, "padding": "claw"}),
    (Number, {"value": 0.5, "digits": 2, "should_be": 0.25}),
    (Bars, {"labels": ["a", "b"], "values": [0.5, 1.0], "kinds": ["real", "leak"], "maximum": 2.0, "digits": 2}),
    (KindMap, {"cells": ["ab", "ba"], "legend": LEGEND, "rows": "step", "columns": ["first", "last"]}),
    (HeatMap, {"values": [[0.5, 1.0]], "rows": "step", "columns": "dim", "low": 0.0, "high": 1.0, "digits": 2}),
    (Lines, {"x": [0, 1], "curves": {"a": [0.5, 1.0]}, "x_name": "step", "low": 0.0, "high": 1.0, "digits": 2}),
    (Table, {"columns": ["name", "value"], "rows": [["a", 0.5], ["b", 1.0]], "digits": 2}),
]
"""Each public function with arguments that are right."""

OTHERS: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 10**9, 0.5, 1.0, float("nan"), float("inf"), "", "no", "arm", [], [None], (), {},
    {"arm": 1}, {"arm": slice(0, 3)}, [1, "a"], object(), numbers(2), numbers(2, 3), numbers(2, 3, 5).double(),
    numbers(2, 3, 5).half(), numbers(2, 3, 5).bfloat16(), torch.zeros(0), torch.tensor(1.0), torch.tensor(3),
    torch.zeros(2, 3, 5, dtype=torch.int64), torch.zeros(2, 3, 5, dtype=torch.bool), torch.zeros(2, dtype=torch.int32),
    torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 4, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool),
    torch.full((2, 3, 5), float("nan")), torch.full((2,), 2.0), slice(0, 3), len, SEEN,
    BATCHED, VL, HEAD, masks.GROOT_N1_5, embodiments.GR1, [CHUNK, 3], [CHUNK, None], CHUNKS.numpy(), CHUNKS.tolist(),
]  # fmt: skip


def spoilt(value: Any, draw: random.Random) -> Any:
    """Another value, or the same one with a little of it changed."""
    if isinstance(value, Tensor) and value.ndim and draw.random() < 0.6:
        changes: list[Callable[[Tensor], Tensor]] = [
            lambda x: x[..., :1], lambda x: x[:1], lambda x: x[None], lambda x: x.transpose(0, -1),
            lambda x: x.double(), lambda x: x.long(), lambda x: x.bool(), lambda x: x.half(), lambda x: x[:0],
            lambda x: torch.zeros_like(x), lambda x: torch.ones_like(x), lambda x: x.flatten(),
            lambda x: x[..., :0], lambda x: x.clone().requires_grad_() if x.is_floating_point() else x,
        ]  # fmt: skip
        return draw.choice(changes)(value)
    if isinstance(value, dict) and value and draw.random() < 0.6:
        key = draw.choice(list(value))
        changed = {key: spoilt(value[key], draw)} if draw.random() < 0.7 else {draw.choice(OTHERS[:12]): 1}
        return {**value, **changed}
    if isinstance(value, list | tuple) and value and draw.random() < 0.6:
        place = draw.randrange(len(value))
        return type(value)([*value[:place], spoilt(value[place], draw), *value[place + 1 :]])
    return draw.choice(OTHERS)


def disguised(value: Any, draw: random.Random) -> Any:
    """The same value in another guise, all the way in."""
    if isinstance(value, Tensor):
        guises: list[Callable[[Tensor], Tensor]] = [
            lambda x: x.clone(),
            lambda x: torch.stack([x, x], dim=-1)[..., 0],  # not contiguous
            lambda x: x.clone().requires_grad_() if x.is_floating_point() else x.clone(),
        ]
        return draw.choice(guises)(value)
    if isinstance(value, list | tuple):
        return draw.choice([list, tuple])(disguised(entry, draw) for entry in value)
    if isinstance(value, dict):
        return draw.choice([dict, OrderedDict, MappingProxyType])(
            {key: disguised(entry, draw) for key, entry in value.items()}
        )
    if is_dataclass(value) and any(isinstance(getattr(value, field.name), Tensor) for field in fields(value)):
        inside = {field.name: getattr(value, field.name) for field in fields(value)}
        changed = {name: disguised(part, draw) for name, part in inside.items() if isinstance(part, Tensor)}
        if "embodiment_id" in changed:
            changed["embodiment_id"] = changed["embodiment_id"].to(draw.choice([torch.int32, torch.int64]))
        return replace(value, **changed)  # pyright: ignore[reportArgumentType]
    return value


@dataclass(frozen=True)
class Case:
    """A call with one argument that was replaced; `is_same` says that only its guise is another."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    name: str
    is_same: bool

    @classmethod
    def of(cls, seed: int) -> "Case":
        draw = random.Random(seed)
        function, arguments = CALLS[seed % len(CALLS)]
        name = draw.choice(list(arguments))
        is_same = draw.random() < 0.25
        other = (disguised if is_same else spoilt)(arguments[name], draw)
        return cls(function, arguments | {name: other}, name, is_same)

    def answer(self) -> Any:
        return _called(self.function, self.arguments)

    def known(self) -> Any:
        """The answer to the argument that was replaced."""
        return _called(self.function, next(given for function, given in CALLS if self._is_of(function, given)))

    def _is_of(self, function: Callable[..., Any], given: dict[str, Any]) -> bool:
        others = given.keys() - {self.name}
        return function == self.function and all(given[name] is self.arguments.get(name) for name in others)

    def __str__(self) -> str:
        value = self.arguments[self.name]
        form = f"{value.dtype}{list(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.60}"
        return f"{getattr(self.function, '__qualname__', self.function)}({self.name}={' '.join(form.split())})"


def _called(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    for value in arguments.values():
        if isinstance(value, torch.Generator):
            value.manual_seed(0)
    return function(**arguments)


def is_same_answer(one: Any, other: Any) -> bool:
    if hasattr(one, "_repr_svg_"):
        return one._repr_svg_() == other._repr_svg_()
    if hasattr(one, "moving"):
        return (one.fixed(), one.moving()) == (other.fixed(), other.moving())
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True) for a, b in pairs)


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, torch.nn.Module):
        return list(value.state_dict().values())
    if is_dataclass(value) and not isinstance(value, type):
        return [tensor for field in fields(value) for tensor in tensors(getattr(value, field.name))]
    if isinstance(value, dict):
        return tensors(list(value.values()))
    return [tensor for item in value for tensor in tensors(item)] if isinstance(value, list | tuple) else []


def is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return value - value == 0
    real = [tensor for tensor in tensors(value) if tensor.device.type != "meta"]
    return all(bool(tensor.isfinite().all()) for tensor in real)


def outcome_of(case: Case) -> tuple[str, str]:
    """What the call ended in, and what it said."""
    parts = {case.name, *case.name.split("_")} - {"of", "is"}
    try:
        with warnings.catch_warnings(), limited():
            warnings.simplefilter("ignore")
            answer = case.answer()
            is_known = not case.is_same or is_same_answer(case.known(), answer)
    except Hangs:
        return "hangs", ""
    except (ValueError, TypeError) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return ("named" if any(part in said for part in parts) else "unnamed"), said
    except Exception as error:
        return "unnamed", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if is_finite(list(case.arguments.values())) and not is_finite(answer):
        return "wrong", "NaN or infinity in the answer"
    if not is_known:
        return "wrong", "another answer to the same value in another guise"
    return "answered", ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4000, metavar="N", help="how many (4000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first case (0)")
    parser.add_argument("--only", type=int, metavar="SEED", help="run this one case, and show its traceback")
    options = parser.parse_args()
    if options.only is not None:
        case = Case.of(options.only)
        print(case)
        print(case.answer())
        return 0
    counts: Counter[str] = Counter()
    bad, began = [], time.perf_counter()
    seeds = range(options.seed, options.seed + options.cases)
    for seed in partial(progress_bar, unit="call")(seeds):
        case = Case.of(seed)
        outcome, said = outcome_of(case)
        counts[outcome] += 1
        if outcome not in ("named", "answered"):
            bad.append(f"{outcome} seed {seed}: {case}: {said}")
    clear = 100 * (counts["named"] + counts["answered"]) / options.cases
    print(f"{options.cases} calls in {time.perf_counter() - began:.0f} s: {dict(counts)}; {clear:.1f} % clear")
    print(*bad, sep="\n")
    return 1 if counts["wrong"] or counts["hangs"] or clear < 98 else 0


if __name__ == "__main__":
    sys.exit(main())
