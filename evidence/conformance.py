"""`ActionHead` beside LeRobot's two released heads, over a grid of configurations.

Both get the same weights, inputs and random numbers, and we look at the largest difference in each quantity. The tests
run the grid again and fail if a stored bound does not hold.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from math import ceil, log10
from pathlib import Path
from typing import Any, Literal

import torch

from evidence.released.heads import Bag, head_n1_5, head_n1_7
from groot_teach.extras import progress_bar
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.released import config_n1_5, config_n1_7, draw_like_upstream, load_upstream, upstream_name
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7, GROOT_N1_7_PLAIN_DIT, Masking
from groot_teach.padding import ActionBatch, VLBatch, action_mask_dims_and_steps, action_mask_dims_only

Version = Literal["N1.5", "N1.7"]
SMALL = {"max_seq_len": 9, "input_embedding_dim": 8, "hidden_size": 6, "backbone_embedding_dim": 12}
ODD = {"input_embedding_dim": 20, "hidden_size": 7, "max_num_embodiments": 1, "max_seq_len": 8}
WIDE = {"input_embedding_dim": 24, "hidden_size": 10, "backbone_embedding_dim": 8, "max_num_embodiments": 5}


@dataclass(frozen=True)
class Case:
    """One head and one batch.

    Attributes:
        version: "N1.5" or "N1.7".
        head: arguments of `head_n1_5` or `head_n1_7`.
        batch: number of samples. Robots are mixed.
        horizon, tokens: number of steps and of tokens in the batch.
        padding: the side on which tokens are padded. A hole among the other tokens is padding, too.
        images: "some" = every sample has image tokens; "none" = one sample has none; "unknown" = our head is given no
            `image_mask`, where all of its blocks read all tokens.
        holes: the action mask is any mask, not one of real dims and steps.
        ids: dtype of `embodiment_id`.
        empty: True = no entry of the action mask is real.
        steps: number of Euler steps.
    """

    version: Version
    head: dict[str, Any] = field(hash=False)
    batch: int = 3
    horizon: int = 5
    tokens: int = 7
    padding: str = "left"
    images: str = "some"
    holes: bool = False
    ids: torch.dtype = torch.int64
    empty: bool = False
    steps: int = 4


def grid() -> Iterator[Case]:
    """Every configuration of each head with every kind of batch, and one case with an empty action mask."""
    versions: tuple[Version, Version] = ("N1.5", "N1.7")
    both = [
        {},
        {"vl_layers": 0},
        {"vl_layers": 2, **WIDE},
        {"use_vlln": False},
        {"add_pos_embed": False, **SMALL},
        {"blocks": {"norm_type": "layer_norm"}},
        {"blocks": {"num_layers": 1}},
        {"blocks": {"num_layers": 3, "num_attention_heads": 4, "attention_head_dim": 4}},
        {"blocks": {"num_layers": 2, "norm_type": "layer_norm"}, **SMALL},
        {"blocks": {"num_layers": 5, "num_attention_heads": 5, "attention_head_dim": 4}, **ODD},
    ]
    plain = [{"blocks": {"interleave_self_attention": False, "num_layers": 3}}]
    only = {
        "N1.5": [{"num_target_vision_tokens": 5}, {"num_target_vision_tokens": 1, "vl_layers": 3}, *plain],
        "N1.7": [
            {"attend_text_every_n_blocks": 1},
            {"attend_text_every_n_blocks": 3, "vl_layers": 1},
            {"state_history_length": 3},
            {"use_alternate_vl_dit": False},
            {"use_alternate_vl_dit": False, "vl_layers": 2, "state_history_length": 2},
            *({"use_alternate_vl_dit": False, **head} for head in plain),
        ],
    }
    batches = [
        {},
        {"batch": 1, "horizon": 1, "tokens": 3, "steps": 1},
        {"batch": 5, "horizon": 8, "tokens": 11, "padding": "right", "steps": 7, "ids": torch.int32},
        {"batch": 2, "horizon": 3, "padding": "none", "steps": 3, "holes": True},
        {"batch": 4, "images": "none", "padding": "right", "steps": 10},
        {"batch": 3, "horizon": 6, "images": "unknown", "holes": True, "ids": torch.int32, "steps": 2},
    ]
    for version in versions:
        for head, batch in product(both + only[version], batches):
            yield Case(version, head, **batch)
    yield Case("N1.7", {}, empty=True)


@dataclass(frozen=True, eq=False)
class Pair:
    """A released head and ours with its weights, and one batch for both."""

    case: Case
    theirs: Any
    ours: ActionHead
    observation: Observation
    batch: ActionBatch
    action_mask: torch.Tensor

    @classmethod
    def of(cls, case: Case, seed: int, dtype: torch.dtype) -> "Pair":
        sizes: dict[str, Any] = case.head | {"action_horizon": case.horizon}
        theirs = (head_n1_5 if case.version == "N1.5" else head_n1_7)(**sizes).to(dtype)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in theirs.parameters():  # upstream's own 0.02 would hide mistakes
                spread = weight.shape[-2] ** -0.5 if weight.ndim > 1 else 0.3
                weight.copy_(spread * torch.randn(weight.shape, generator=draw, dtype=torch.float64))
        config = (config_n1_5 if case.version == "N1.5" else config_n1_7)(vars(theirs.config))
        ours = ActionHead(config, masking_of(case), draw).to(dtype).eval()
        load_upstream(ours, theirs.state_dict())
        observation, batch = _batch(case, config, draw, dtype)
        dims_only = case.version == "N1.5"
        mask = (
            action_mask_dims_only(batch.dim_mask, case.horizon)
            if dims_only
            else action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
        )
        if case.holes:
            mask = torch.rand(mask.shape, generator=draw) < 0.5
            mask[0, 0, 0] = True
        return cls(case, theirs, ours, observation, batch, mask)

    @property
    def seen(self) -> Observation:
        """What our head is given: no `image_mask` where it is not known."""
        if self.case.images != "unknown" or self.ours.config.attend_text_every_n_blocks is not None:
            return self.observation
        return replace(self.observation, vl=replace(self.observation.vl, image_mask=None))

    def backbone_output(self) -> Bag:
        vl = self.observation.vl
        return Bag(
            backbone_features=vl.tokens.clone(),
            backbone_attention_mask=vl.backbone_attention_mask,
            image_mask=vl.image_mask,
        )

    def action_input(self) -> Bag:
        return Bag(
            action=self.batch.actions,
            action_mask=self.action_mask.to(self.batch.actions.dtype),
            state=self.observation.state,
            embodiment_id=self.observation.embodiment_id,
        )

    def differences(self, seed: int) -> dict[str, float]:
        """The largest difference in loss, predictions, gradients and sampled actions.

        Each is divided by the largest number of its kind, or by 1 if that is larger.
        """
        answers = []
        handle = self.theirs.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out))
        torch.manual_seed(seed)
        loss = self.theirs(self.backbone_output(), self.action_input())["loss"]
        handle.remove()
        drawn = draw_like_upstream(seed, self.batch.actions, self.case.version)
        counted = self.action_mask if self.case.holes else None
        result = self.ours.loss(self.seen, self.batch, drawn.noise, drawn.t, counted)
        apart = {
            "loss": _apart(result.loss, loss),
            "predictions": _apart(result.velocity_pred, answers[0][:, -self.case.horizon :]),
        }
        named = dict(self.theirs.named_parameters())
        pairs = [(weight, named[upstream_name(name)]) for name, weight in self.ours.named_parameters()]
        mine = torch.autograd.grad(result.loss, [weight for weight, _ in pairs], allow_unused=True)
        other = torch.autograd.grad(loss, [weight for _, weight in pairs], allow_unused=True)
        assert [grad is None for grad in mine] == [grad is None for grad in other]
        flat = [torch.cat([grad.flatten() for grad in grads if grad is not None]) for grads in (mine, other)]
        apart["gradients"] = _apart(*flat)
        asked = Bag(state=self.observation.state, embodiment_id=self.observation.embodiment_id)
        self.theirs.num_inference_timesteps = self.case.steps
        torch.manual_seed(seed)
        actions = self.theirs.get_action(self.backbone_output(), asked)["action_pred"]
        every_step, draw = torch.ones_like(self.batch.step_mask), torch.Generator().manual_seed(seed)
        path = self.ours.sample(self.seen, None, self.batch.dim_mask, every_step, steps=self.case.steps, generator=draw)
        return apart | {"actions": _apart(path[-1], actions)}


def masking_of(case: Case) -> Masking:
    if case.version == "N1.5":
        return GROOT_N1_5
    return GROOT_N1_7 if case.head.get("use_alternate_vl_dit", True) else GROOT_N1_7_PLAIN_DIT


def store(file: Path) -> None:
    """Runs the grid in both precisions, and writes bounds to `file`.

    A bound is a power of ten that is at least three times the largest difference, so that it also holds on other CPUs.
    """
    stored: dict[str, Any] = {"worst": {}}
    for dtype in (torch.float64, torch.float32):
        name = str(dtype).removeprefix("torch.")
        stored["cases"], worst = run_grid(dtype, progress=partial(progress_bar, desc=name, unit="case"))
        stored["worst"][name] = {quantity: 10.0 ** ceil(log10(3 * apart)) for quantity, apart in worst.items()}
    text = json.dumps(stored, indent=2, sort_keys=True) + "\n"
    file.write_text(text, encoding="utf-8")
    print(text, end="")


Progress = Callable[[Sequence[tuple[int, Case]]], Iterable[tuple[int, Case]]]


def run_grid(
    dtype: torch.dtype, part: slice = slice(None), progress: Progress = lambda cases: cases
) -> tuple[int, dict[str, float]]:
    """The number of cases, and the largest difference in each quantity.

    Args:
        dtype: float32 or float64.
        part: which cases of the grid are run. The default is all of them.
        progress: wraps the cases, for a progress bar.
    """
    worst: dict[str, float] = {}
    cases = [*enumerate(grid())][part]
    for seed, case in progress(cases):
        with contextlib.redirect_stdout(io.StringIO()):  # the head of N1.5 prints its number of parameters
            differences = Pair.of(case, seed, dtype).differences(seed)
        for name, apart in differences.items():
            worst[name] = max(worst.get(name, 0.0), apart)
    return len(cases), worst


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    if not one.isfinite().all() or not other.isfinite().all():
        return float("inf")
    return ((one - other).abs().max() / max(1.0, other.abs().max().item())).item()


def _batch(case: Case, config, draw: torch.Generator, dtype: torch.dtype) -> tuple[Observation, ActionBatch]:
    def random(*shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)

    def some(count, of, at_least=1):
        return at_least + torch.randint(of - at_least + 1, (count,), generator=draw)

    dim_mask = torch.arange(config.padded_dim) < some(case.batch, config.padded_dim)[:, None]
    step_mask = torch.arange(case.horizon) < some(case.batch, case.horizon)[:, None]
    dim_mask[0, 0], step_mask[-1, 0] = False, True  # a hole: real dims need not be the first ones
    dim_mask[0, -1] = True
    if case.empty:
        dim_mask[:] = False
    lengths = some(case.batch, case.tokens, at_least=min(3, case.tokens))[:, None]
    places = torch.arange(case.tokens)
    real = {"left": places >= case.tokens - lengths, "right": places < lengths, "none": places < places + lengths}
    real_mask = real[case.padding].clone()
    image_mask = places < torch.div(case.tokens, 2, rounding_mode="floor")
    image_mask = image_mask.expand(case.batch, -1).clone()
    if case.padding != "none":
        real_mask[0] = True
        real_mask[0, case.tokens // 2] = False  # a hole
    if case.images == "none":
        image_mask[-1] = False
    actions = torch.where(dim_mask[:, None], random(case.batch, case.horizon, config.padded_dim), 0.0)
    observation = Observation(
        VLBatch(random(case.batch, case.tokens, config.token_width), real_mask, image_mask),
        random(case.batch, config.state_history, config.state_dim),
        torch.randint(config.embodiments, (case.batch,), generator=draw).to(case.ids),
    )
    return observation, replace(ActionBatch(actions.to(dtype), dim_mask, step_mask))
