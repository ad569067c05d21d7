"""A flow policy of a few lines for the auditor to look at, with every door open or shut as one likes."""

import torch
from torch import Tensor, nn

from groot_teach.audit import Answer, Padding, Tap

DIMS, STEPS, TOKENS, WIDTH = 7, 5, 3, 2


def lengths(size: int, *real: int, left: bool = False) -> Tensor:
    """`batch, size`, True in the first (or last) so many."""
    counted = torch.arange(size).flip(0) if left else torch.arange(size)
    return counted < torch.tensor(real)[:, None]


DIM_MASK, STEP_MASK = lengths(DIMS, 7, 3, 5), lengths(STEPS, 2, 5, 4)
TOKEN_MASK = lengths(TOKENS, 3, 1, 2, left=True)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def toy_batch(dtype: torch.dtype = torch.float64) -> dict:
    """Three robots of 7, 3 and 5 dims, with 2, 5 and 4 recorded steps, and 3, 1 and 2 words, padded left."""
    return {
        "actions": (draw(1, 3, STEPS, DIMS) * DIM_MASK[:, None]).to(dtype),
        "noise": draw(2, 3, STEPS, DIMS).to(dtype),
        "t": torch.tensor([0.25, 0.5, 0.75], dtype=dtype),
        "words": draw(3, 3, TOKENS, WIDTH).to(dtype),
        "dim_mask": DIM_MASK,
        "step_mask": STEP_MASK,
        "word_mask": TOKEN_MASK,
    }


def toy_padding() -> list[Padding]:
    return [
        Padding("dims", DIM_MASK, {"actions": 2, "noise": 2}, {"dim_mask": 1}),
        Padding("steps", STEP_MASK, {"actions": 1, "noise": 1}, {"step_mask": 1}),
        Padding("tokens", TOKEN_MASK, {"words": 1}, {"word_mask": 1}),
    ]


class Toy(nn.Module):
    """Actions are encoded step by step, look at each other, look at the words, and are decoded.

    `open_at` names the doors at which no mask is obeyed: `encoder`, `steps`, `words`, `loss`, `divisor`, `sampler`.
    """

    def __init__(self, *open_at: str, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.open_at, self.sharpness = open_at, 1.0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encode, self.read, self.decode = nn.Linear(DIMS, 6), nn.Linear(WIDTH, 6), nn.Linear(6, DIMS)
        self.to(dtype)

    def predict(self, noisy: Tensor, b: dict) -> Tensor:
        real = b["dim_mask"][:, None] & b["step_mask"][:, :, None]
        tokens = self.encode(noisy if "encoder" in self.open_at else noisy * real)
        for door, keys, key_mask in (("steps", tokens, "step_mask"), ("words", self.read(b["words"]), "word_mask")):
            scores = self.sharpness * tokens @ keys.transpose(1, 2)
            if door not in self.open_at:
                scores = scores.masked_fill(~b[key_mask][:, None], -torch.inf)
            tokens = tokens + scores.softmax(dim=-1) @ keys
        return self.decode(tokens.tanh())

    def loss_of(self, said: Tensor, target: Tensor, b: dict) -> Tensor:
        real = b["dim_mask"][:, None] & b["step_mask"][:, :, None]
        counted = torch.ones_like(real) if "loss" in self.open_at else real
        squared = torch.where(counted, said - target, 0.0).square()
        return squared.sum() / (counted.numel() if "divisor" in self.open_at else counted.sum())

    def answer(self, b: dict) -> Answer:
        t = b["t"][:, None, None]
        noisy, target = (1 - t) * b["noise"] + t * b["actions"], b["actions"] - b["noise"]
        return Answer(self.predict(noisy, b), lambda said: self.loss_of(said, target, b))

    def training_loss(self, b: dict) -> Tensor:
        """As most policies have it: the loss alone, the prediction inside."""
        answer = self.answer(b)
        return answer.loss(answer.prediction)

    def sample(self, b: dict, steps: int = 3) -> Tensor:
        actions = b["noise"]
        for _ in range(steps):
            if "sampler" not in self.open_at:
                actions = actions * b["dim_mask"][:, None]
            actions = actions + self.predict(actions, b) / steps
        return actions if "sampler" in self.open_at else actions * b["dim_mask"][:, None]


TAPS = (
    Tap("encode", "steps", before="encoder", behind="steps read each other"),
    Tap("read", "tokens", before="word encoder", behind="words are read"),
)
