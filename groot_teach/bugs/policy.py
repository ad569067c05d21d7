"""The one toy policy of the catalogue, its batches, and its seven parts.

    toy_batch()                        four robots that differ in everything, with all that a training step needs
    ToyPolicy()                        a flow policy that obeys every mask
    ToyPolicy(reduce=wrong_key)        the same weights, with one part replaced by another function
    PARTS                              the right parts by their names

A part is a plain function of the batch. Bugs are wrong parts: they run, give the right shapes, and train.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.audit import Answer
from groot_teach.flow import interpolate

Batch = dict[str, Tensor]
Part = Callable[..., Any]

PADDED_DIM, HORIZON, KEY_LEN, WIDTH, HEADS = 7, 5, 6, 8, 2
EULER_STEPS = 2

BATCHES: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]] = {
    "ragged": ((7, 4, 2, 5), (5, 3, 4, 2), (6, 4, 3, 2)),
    "equal robots": ((4, 4, 4, 4), (3, 3, 3, 3), (4, 4, 4, 4)),
    "one robot": ((4,), (3,), (4,)),
    "empty prompt": ((7, 4, 2, 5), (5, 3, 4, 2), (6, 4, 3, 0)),
}
"""How many dims, steps and tokens of each robot are real. All are padded to 7 dims, 5 steps and 6 tokens."""


def toy_batch(name: str = "ragged", seed: int = 0) -> Batch:
    """One batch, with everything that a training step needs.

    `actions` and `noise` (batch, action_horizon, padded_dim), `t` (batch), `tokens` (batch, key_len, width), float64;
    `dim_mask`, `step_mask` and `token_mask`, bool, **True = real**; and LeRobot's `action_is_pad`, bool, True =
    padding. Padded dims hold 0, padded steps a copy of the last action, padded tokens numbers like all others.

    Raises:
        ValueError: there is no such batch.
    """
    if name not in BATCHES:
        raise ValueError(f"name: got {name!r}, expected one of {[*BATCHES]}")
    sizes = (torch.tensor(size)[:, None] for size in BATCHES[name])
    dim_mask, step_mask, token_mask = (
        torch.arange(longest) < size for longest, size in zip((PADDED_DIM, HORIZON, KEY_LEN), sizes, strict=True)
    )
    generator = torch.Generator().manual_seed(seed)
    float64 = {"dtype": torch.float64, "generator": generator}
    robots = len(dim_mask)
    actions = torch.randn(robots, HORIZON, PADDED_DIM, **float64) * dim_mask[:, None, :]
    last = step_mask.sum(dim=1) - 1
    copies = actions[torch.arange(robots), last][:, None, :]
    return {
        "actions": torch.where(step_mask[:, :, None], actions, copies),
        "noise": torch.randn(robots, HORIZON, PADDED_DIM, **float64),
        "t": torch.rand(robots, **float64),
        "tokens": torch.randn(robots, KEY_LEN, WIDTH, **float64),
        "dim_mask": dim_mask,
        "step_mask": step_mask,
        "token_mask": token_mask,
        "action_is_pad": ~step_mask,
    }


def action_mask(batch: Batch) -> Tensor:
    """Batch, action_horizon, padded_dim; True = a real entry.

    An entry is real if its step and its dim are. A batch that brings an `action_mask` of its own, as GR00T N1.7's does,
    is taken at its word: that mask need not be a product of steps and dims.
    """
    if "action_mask" in batch:
        return batch["action_mask"]
    return batch["step_mask"][:, :, None] & batch["dim_mask"][:, None, :]


def key_mask(real: Tensor) -> Tensor:
    """Batch, 1, 1, key_len: every head and every query may read the keys that are real."""
    return real[:, None, None, :]


def prompt(batch: Batch) -> Batch:
    """What is read: the tokens, and which of them are real."""
    return {"tokens": batch["tokens"], "token_mask": batch["token_mask"]}


def token_mask(batch: Batch) -> Tensor:
    """Which tokens a token may read."""
    return key_mask(batch["token_mask"])


def self_mask(batch: Batch) -> Tensor:
    """Which steps a step may read."""
    return key_mask(batch["step_mask"])


def cross_mask(batch: Batch) -> Tensor:
    """Which tokens a step may read."""
    return key_mask(batch["token_mask"])


def reduce(squared_error: Tensor, batch: Batch) -> Tensor:
    """One number from all errors: their mean over real entries."""
    return squared_error[action_mask(batch)].mean()


def sample(policy: "ToyPolicy", batch: Batch) -> Tensor:
    """Actions by Euler steps from `noise`; padded entries are held at 0."""
    actions = torch.where(action_mask(batch), batch["noise"], 0.0)
    for step in range(EULER_STEPS):
        t = torch.full_like(batch["t"], step / EULER_STEPS)
        moved = actions + policy.velocity(actions, t, batch) / EULER_STEPS
        actions = torch.where(action_mask(batch), moved, 0.0)
    return actions


PARTS: dict[str, Part] = {
    "prompt": prompt,
    "token_mask": token_mask,
    "input_mask": action_mask,
    "self_mask": self_mask,
    "cross_mask": cross_mask,
    "reduce": reduce,
    "sample": sample,
}
"""The right parts, in the order in which they are asked."""


class Attention(nn.Module):
    """Attention of two heads. `mask` is bool, True = may be read; or float, and then it is added; or None."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class ToyPolicy(nn.Module):
    """A flow policy with every stage of GR00T's head, as small as can be, and random weights, always the same.

    Args:
        parts: the parts to replace, by their name in `PARTS`.

    Raises:
        ValueError: there is no such part.
    """

    def __init__(self, **parts: Part) -> None:
        super().__init__()
        for name in parts:
            if name not in PARTS:
                raise ValueError(f"parts: got {name!r}, expected one of {[*PARTS]}")
        self.part = PARTS | parts
        with torch.random.fork_rng(devices=[]):  # the layers draw first weights of their own
            self.mixer, self.self_attention, self.cross_attention = Attention(), Attention(), Attention()
            self.memory = nn.Identity()  # what the steps read; a name, so that an audit can listen there
            self.encoder, self.time = nn.Linear(PADDED_DIM, WIDTH), nn.Linear(1, WIDTH)
            self.decoder = nn.Linear(WIDTH, PADDED_DIM)
        self.place = nn.Parameter(torch.empty(HORIZON, WIDTH))
        self.double()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for weight in self.parameters():
                drawn = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
                weight.copy_(drawn / sqrt(weight.shape[-1]))

    def velocity(self, noisy_actions: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """The predicted velocity (batch, action_horizon, padded_dim)."""
        batch = batch | self.part["prompt"](batch)
        tokens = batch["tokens"]
        tokens = self.memory(tokens + self.mixer(tokens, tokens, self.part["token_mask"](batch)))
        steps = self.encoder(torch.where(self.part["input_mask"](batch), noisy_actions, 0.0))
        steps = steps + self.place[: steps.shape[1]] + self.time(t[:, None])[:, None]
        steps = steps + self.self_attention(steps, steps, self.part["self_mask"](batch))
        steps = steps + self.cross_attention(steps, tokens, self.part["cross_mask"](batch))
        return self.decoder(steps.tanh())

    def answer(self, batch: Batch) -> Answer:
        """What a training step predicts, and how it turns a prediction into a loss."""
        predicted = self.velocity(interpolate(batch["actions"], batch["noise"], batch["t"]), batch["t"], batch)
        return Answer(predicted, lambda other: self.loss_of(other, batch))

    def loss_of(self, prediction: Tensor, batch: Batch) -> Tensor:
        """The loss of any prediction (batch, action_horizon, padded_dim) on this batch."""
        target = batch["actions"] - batch["noise"]
        return self.part["reduce"]((prediction - target).square(), batch)

    def loss(self, batch: Batch) -> Tensor:
        """The loss of this policy's own prediction."""
        return self.loss_of(self.answer(batch).prediction, batch)

    def sample(self, batch: Batch) -> Tensor:
        return self.part["sample"](self, batch)
