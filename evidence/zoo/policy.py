"""The policy of the trial, its batches, and how it is audited.

It is richer than `bugs.ToyPolicy`, because the trial breaks more places than the museum does: it reads images and text
by two attentions, as GR00T does, each step of its work is a method that a mutant can replace, `train()` and `eval()`
can differ, its attention is written out so that a mutant can reach the weights, and its batches may be of any width.
Almost every method is another than the toy's, so it is no subclass. But its batch has the toy's keys and its masks have
the toy's axes, and therefore the wrong parts of the catalogue fit here as well.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from groot_teach.audit import Answer, MaskReport, Padding, Tap, audit_masks
from groot_teach.bugs.policy import EULER_STEPS, HEADS, WIDTH, action_mask, key_mask

Batch = dict[str, Any]
LONGEST = 27  # chunks may grow: rivals append padding, or hand over longer chunks


def first(lengths: list[int], size: int) -> Tensor:
    """`batch, size`: True for the first so many."""
    return torch.arange(size) < torch.tensor(lengths)[:, None]


def make_batch(
    steps: tuple[list[int], int] = ([11, 7, 5, 2], 11),
    dims: tuple[list[int], int] = ([17, 3, 13, 7], 19),
    tokens: tuple[list[int], int] = ([13, 7, 11, 5], 13),
) -> Batch:
    """Four robots that differ in everything; the third one has no camera, so no image tokens.

    Padded dims hold 0 and padded steps copies of the last action, as datasets do it; padded tokens hold anything.
    """
    generator = torch.Generator().manual_seed(1)
    (step_lengths, horizon), width, length = steps, dims[1], tokens[1]
    step_mask, dim_mask, token_mask = first(*steps), first(*dims), first(*tokens)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    actions = normal(4, horizon, width) * dim_mask[:, None]
    for robot, real in enumerate(step_lengths):
        actions[robot, real:] = actions[robot, real - 1]
    camera = torch.tensor([True, True, False, True])[:, None]
    return {
        "actions": actions,
        "noise": normal(4, horizon, width),
        "t": torch.tensor([0.2, 0.7, 0.5, 0.9], dtype=torch.float64),
        "dim_mask": dim_mask,
        "step_mask": step_mask,
        "action_is_pad": ~step_mask,
        "tokens": normal(4, length, WIDTH),
        "token_mask": token_mask,
        "image": camera & (torch.arange(length) < 3),
    }


BATCHES = {
    "ragged": make_batch(),
    # As many robots as steps as dims: here wrong axes go through without an error.
    "square": make_batch(steps=([4, 3, 2, 1], 4), dims=([4, 2, 1, 3], 4)),
}

READ: dict[str, Callable[[Batch], Tensor]] = {
    "self_mask": lambda b: b["step_mask"],
    "mixing_mask": lambda b: b["token_mask"],
    "image_mask": lambda b: b["token_mask"] & b["image"],
    "text_mask": lambda b: b["token_mask"] & ~b["image"],
}
"""What each attention should read, `batch, keys`."""


class Policy(nn.Module):
    """A right one. Text and images are mixed; steps read each other, then the images, then the text."""

    def __init__(self, batch: Batch):
        super().__init__()
        width = batch["actions"].shape[2]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder, self.time, self.decoder = (
                nn.Linear(width, WIDTH),
                nn.Linear(1, WIDTH),
                nn.Linear(WIDTH, width),
            )
            self.position = nn.Parameter(torch.randn(LONGEST, WIDTH))
            stages = ("mixing", "self", "image", "text")
            self.asks = nn.ModuleDict({stage: nn.Linear(WIDTH, WIDTH) for stage in stages})
            self.reads = nn.ModuleDict({stage: nn.Linear(WIDTH, 2 * WIDTH) for stage in stages})
        self.encoded, self.mixed = nn.Identity(), nn.Identity()  # here the audit listens
        self.double()

    # the masks: of entries (batch, steps, dims), and of attention (batch, heads, queries, keys)

    def input_mask(self, b: Batch) -> Tensor:
        return action_mask(b)

    def self_mask(self, b: Batch) -> Tensor:
        return key_mask(READ["self_mask"](b))

    def mixing_mask(self, b: Batch) -> Tensor:
        return key_mask(READ["mixing_mask"](b))

    def image_mask(self, b: Batch) -> Tensor:
        return key_mask(READ["image_mask"](b))

    def text_mask(self, b: Batch) -> Tensor:
        return key_mask(READ["text_mask"](b))

    def loss_mask(self, b: Batch) -> Tensor:
        return action_mask(b)

    def sampler_mask(self, b: Batch) -> Tensor:
        return action_mask(b)

    # what is done with them

    def prompt(self, b: Batch) -> Batch:
        return b

    def scaled(self, b: Batch) -> Tensor:
        return b["actions"]

    def drawn(self, b: Batch) -> tuple[Tensor, Tensor]:
        return b["noise"], b["t"]

    def noised(self, actions: Tensor, noise: Tensor, t: Tensor, b: Batch) -> Tensor:
        return (1 - t) * noise + t * actions

    def encode(self, x: Tensor, b: Batch, t: Tensor) -> Tensor:
        return self.embed(x * self.input_mask(b), t)

    def embed(self, x: Tensor, t: Tensor) -> Tensor:
        return self.encoder(x) + self.position[: x.shape[1]] + self.time(t[:, None])[:, None]

    def attend(self, stage: str, asking: Tensor, read: Tensor, mask: Tensor | None) -> Tensor:
        query = self.by_head(self.asks[stage](asking))
        key, value = (self.by_head(part) for part in self.reads[stage](read).chunk(2, dim=-1))
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        return (self.weights(scores, mask) @ value).transpose(1, 2).flatten(2)

    def by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (HEADS, -1)).transpose(1, 2)

    def weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return scores.softmax(dim=-1)
        if mask.dtype != torch.bool:
            return (scores + mask).softmax(dim=-1)
        hidden = torch.finfo(scores.dtype).min
        return scores.masked_fill(~mask, hidden).softmax(dim=-1) * mask  # who may read nothing reads nothing

    def velocity(self, x: Tensor, t: Tensor, b: Batch) -> Tensor:
        b = self.prompt(b)
        read = self.mixed(b["tokens"] + self.attend("mixing", b["tokens"], b["tokens"], self.mixing_mask(b)))
        hidden = self.encoded(self.encode(x, b, t))
        hidden = hidden + self.attend("self", hidden, hidden, self.self_mask(b))
        hidden = hidden + self.attend("image", hidden, read, self.image_mask(b))
        hidden = hidden + self.attend("text", hidden, read, self.text_mask(b))
        return self.decoder(hidden.tanh())

    def divisor(self, counted: Tensor, b: Batch) -> Tensor | float:
        return counted.sum()

    def loss(self, error: Tensor, b: Batch) -> Tensor:
        counted = self.loss_mask(b)
        return (error.square() * counted).sum() / self.divisor(counted, b)

    # what it is asked

    def answer(self, b: Batch) -> Answer:
        self.train()
        actions, (noise, t) = self.scaled(b), self.drawn(b)
        x = self.noised(actions, noise, t[:, None, None], b)
        return Answer(self.velocity(x, t, b), lambda said: self.loss(said - (actions - noise), b))

    def sample(self, b: Batch) -> Tensor:
        self.eval()
        x = b["noise"] * self.sampler_mask(b)
        for step in range(EULER_STEPS):
            t = torch.full_like(b["t"], step / EULER_STEPS)
            x = x + self.velocity(x, t, b) / EULER_STEPS * self.sampler_mask(b)
        return x


def replaced(policy: Policy, **parts: Callable) -> Policy:
    """The policy with these methods in place of its own."""
    for part, code in parts.items():
        if not callable(getattr(policy, part, None)):
            raise ValueError(f"parts: got {part!r}, expected the name of a method of Policy")
        setattr(policy, part, MethodType(code, policy))
    return policy


TAPS = (
    Tap("encoded", "steps", before="action encoder", behind="DiT self-attention"),
    Tap("mixed", "tokens", before="VL self-attention", behind="DiT cross-attention"),
)


def described(policy: Policy, b: Batch, **options: Any) -> dict[str, Any]:
    """The arguments of `audit_masks` for a policy of the trial; `options` are further ones."""
    padding = [
        Padding("dims", b["dim_mask"], {"actions": 2, "noise": 2}, {"dim_mask": 1}),
        Padding("steps", b["step_mask"], {"actions": 1, "noise": 1}, {"step_mask": 1, "action_is_pad": 1}),
        Padding("tokens", b["token_mask"], {"tokens": 1}, {"token_mask": 1, "image": 1}),
    ]
    asked = {"run": policy.answer, "batch": b, "padding": padding, "module": policy, "sample": policy.sample}
    return {**asked, "taps": TAPS, **options}


def audit(policy: Policy, b: Batch, **options: Any) -> MaskReport:
    """The auditor on a policy of the trial, with the options of `audit_masks`."""
    return audit_masks(**described(policy, b, **options))
