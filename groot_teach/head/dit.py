"""The transformer inside a GR00T head: blocks that read tokens, or each other, told the flow time by their norms.

    block 0   reads vision-language tokens (cross-attention)
    block 1   action tokens read each other (self-attention)
    block 2   reads vision-language tokens
    ...

What may be read is an argument everywhere: `readable`, one entry for each token that is looked at, None = everything.
It is the same for all queries, so chapter 4's mask needs no query axis here.

The modules are plain parts, called by `ActionHead` with arguments that it has checked.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, layer_norm, scaled_dot_product_attention, silu

# ------------------------------------------------------------------------------------------------------ attention


@dataclass(frozen=True, eq=False)
class Readable:
    """Which tokens may be read, prepared once for all the layers that read them.

    Attributes:
        tokens: `key_len`, bool, True = some sample of the batch may read this token. The others are left out: for them
            no layer makes keys and values.
        real: `batch, kept`, bool, True = may be read: a column for each token that is kept.
        attention_mask: `batch, 1, 1, kept`: the same for every head and query; but a sample that may read nothing has
            True everywhere, because a softmax over nothing has no answer.
        reads: `batch, 1, 1, 1`, bool, False = this sample may read nothing; None = every sample may read something.
    """

    tokens: Tensor
    real: Tensor
    attention_mask: Tensor
    reads: Tensor | None

    @classmethod
    def where(cls, mask: Tensor) -> "Readable":
        """From `batch, key_len`, bool, True = may be read."""
        tokens = mask.any(dim=0)
        real = mask[:, tokens]
        reads = real.any(dim=1)[:, None, None, None]
        if reads.all():
            return cls(tokens, real, real[:, None, None], None)
        return cls(tokens, real, real[:, None, None] | ~reads, reads)

    def select(self, context: Tensor) -> Tensor:
        """The tokens that are kept, 0 where a sample may not read them: NaN there does no harm."""
        return torch.where(self.real[..., None], context[:, self.tokens], 0.0)


@dataclass(frozen=True, eq=False)
class Memory:
    """What one attention layer reads, made once and read as often as one likes.

    Attributes:
        key, value: `batch, head, key_len, head_width`.
        readable: which of them; None = all.
    """

    key: Tensor
    value: Tensor
    readable: Readable | None


class Attention(nn.Module):
    """`attention.cross_attention` with several heads, and the layers that make queries, keys and values.

    A sample that may read nothing gets zeros, before the last layer adds its bias: that is what the released heads get
    from PyTorch on a CPU, made certain.

    Source: `diffusers.models.attention.Attention`, as huggingface/lerobot v0.4.4 `cross_attention_dit.py` 114-123 uses
    it. We differ: NaN in a token that may not be read gives NaN there, and nothing here.
    """

    def __init__(self, width: int, context_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.out = nn.Linear(width, width)

    def remember(self, context: Tensor, readable: Readable | None) -> Memory:
        """Makes keys and values of `context` (batch, key_len, context_width), already selected."""
        return Memory(self._split(self.key(context)), self._split(self.value(context)), readable)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        readable = memory.readable
        attention_mask = None if readable is None else readable.attention_mask
        read = scaled_dot_product_attention(self._split(self.query(x)), memory.key, memory.value, attention_mask)
        if readable is not None and readable.reads is not None:
            read = torch.where(readable.reads, read, 0.0)
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


# ---------------------------------------------------------------------------------------------------------- blocks


class AdaptiveNorm(nn.Module):
    """A layer norm whose scale and shift depend on the flow time.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 46-68.
    """

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.modulation = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.modulation(time)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, layer_norm(x, x.shape[-1:], eps=self.eps), 1 + scale)


class LastNorm(AdaptiveNorm):
    """The norm behind the last block: another epsilon, and shift and scale change places.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 250-252, 295-298.
    """

    def __init__(self, width: int):
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.modulation(time)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, layer_norm(x, x.shape[-1:], eps=self.eps), 1 + scale)


class Block(nn.Module):
    """Attention, then a feed-forward network, each added to what came in.

    Args of the constructor:
        width: of the tokens that look.
        context_width: of the tokens that are looked at; None = they look at each other.
        adaptive: the first norm is told the flow time.
        affine: plain norms have a scale and a shift of their own.
        final_dropout: one more dropout behind both parts.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 71-185.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        context_width: int | None = None,
        adaptive: bool = False,
        affine: bool = False,
        dropout: float = 0.0,
        final_dropout: bool = False,
    ):
        super().__init__()
        self.reads_itself = context_width is None
        self.attention_norm = AdaptiveNorm(width) if adaptive else nn.LayerNorm(width, elementwise_affine=affine)
        self.attention = Attention(width, context_width or width, heads)
        self.feed_forward_norm = nn.LayerNorm(width, elementwise_affine=affine)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = dropout
        self.final_dropout = final_dropout

    def forward(
        self, x: Tensor, time: Tensor | None, readable: Readable | None, memory: Memory | None, last: int | None = None
    ) -> Tensor:
        """`readable` is for a block that reads itself, `memory` for one that reads something else.

        All tokens are looked at; only the `last` ones look, and come back. None = all.
        """
        normed = self.attention_norm(x) if time is None else self.attention_norm(x, time)
        if self.reads_itself:
            context = normed if readable is None else readable.select(normed)
            memory = self.attention.remember(context, readable)
        if last is not None:
            x, normed = x[:, -last:], normed[:, -last:]
        x = x + self._drop(self.attention(normed, memory), times=1 + self.final_dropout)
        wide = gelu(self.widen(self.feed_forward_norm(x)), approximate="tanh")
        return x + self._drop(self.narrow(self._drop(wide, times=1)), times=int(self.final_dropout))

    def _drop(self, x: Tensor, times: int) -> Tensor:
        for _ in range(times if self.training else 0):
            x = dropout(x, self.dropout)
        return x


# -------------------------------------------------------------------------------------------------- the flow time


def waves(bucket: Tensor, rates: Tensor) -> Tensor:
    """Sines, then cosines of the time bucket at each rate: `batch, 2 * rates`. Float32, whatever the head's dtype."""
    angle = bucket.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TimeEncoder(nn.Module):
    """What the blocks are told of the flow time.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 30-43; `diffusers.models.embeddings.Timesteps`.
    """

    WAVES = 256

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Linear(self.WAVES, width)
        self.second = nn.Linear(width, width)

    def forward(self, bucket: Tensor) -> Tensor:
        half = self.WAVES // 2
        index = torch.arange(half, dtype=torch.float32, device=bucket.device)
        sines, cosines = waves(bucket, torch.exp(-log(10_000) * index / (half - 1))).split(half, dim=-1)
        seen = torch.cat([cosines, sines], dim=-1).to(self.first.weight.dtype)
        return silu(self.second(silu(self.first(seen))))  # every reader begins with the second silu


# ------------------------------------------------------------------------------------------------- the transformer


class DiT(nn.Module):
    """The diffusion transformer: reads tokens and its own sequence in turns, and gives one vector for each action step.

    Args of the constructor:
        width: of the sequence.
        token_width: of the vision-language tokens.
        output_width: of what comes out.
        interleave: odd blocks are self-attention; else all of them read tokens.
        turns: None = each reading block reads all tokens (N1.5). A number n = the first of every n reads text, the
            others images (N1.6 and N1.7, there `attend_text_every_n_blocks`).

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 188-302 (`DiT`); 0.6.1, 322-392 (`AlternateVLDiT`).
    """

    def __init__(
        self,
        width: int,
        token_width: int,
        output_width: int,
        heads: int,
        layers: int,
        interleave: bool,
        turns: int | None,
        adaptive: bool,
        dropout: float,
        final_dropout: bool,
    ):
        super().__init__()
        self.turns = turns
        self.adaptive = adaptive
        self.dropout = dropout
        self.time_encoder = TimeEncoder(width)
        self.blocks = nn.ModuleList(
            Block(
                width,
                heads,
                context_width=None if interleave and index % 2 else token_width,
                adaptive=adaptive,
                dropout=dropout,
                final_dropout=final_dropout,
            )
            for index in range(layers)
        )
        self.last_norm = LastNorm(width)
        self.out = nn.Linear(width, output_width)

    def remember(self, tokens: Tensor, real: Tensor | None, image: Tensor) -> list[Memory | None]:
        """Keys and values of the tokens for each block; None for a block that does not read them.

        `real` and `image` are `batch, key_len`, bool: True = a real token, True = a token of a camera. `real` None =
        padding may be read like the rest.
        """
        if self.turns is None:
            masks = {"all": real}
        else:
            masks = {"text": ~image, "images": image}
            masks = {kind: mask if real is None else mask & real for kind, mask in masks.items()}
        readable = {kind: None if mask is None else Readable.where(mask) for kind, mask in masks.items()}
        context = {kind: tokens if may is None else may.select(tokens) for kind, may in readable.items()}
        kinds = [None if block.reads_itself else self._kind(index) for index, block in enumerate(self.blocks)]
        return [
            block.attention.remember(context[kind], readable[kind]) if kind else None
            for kind, block in zip(kinds, self.blocks, strict=True)
        ]

    def _kind(self, index: int) -> str:
        if self.turns is None:
            return "all"
        return "text" if index % (2 * self.turns) == 0 else "images"

    def forward(
        self, sequence: Tensor, memories: list[Memory | None], bucket: Tensor, readable: Readable | None, last: int
    ) -> Tensor:
        """What the `last` tokens of the sequence become: `batch, last, output_width`.

        `readable` says which tokens of the sequence itself may be read.
        """
        time = self.time_encoder(bucket)
        for index, (block, memory) in enumerate(zip(self.blocks, memories, strict=True), start=1):
            # Of the last block only the last tokens are wanted. With dropout it computes all of them, so that the same
            # seed drops the same numbers as upstream.
            wanted = last if index == len(self.blocks) and not (self.training and self.dropout) else None
            sequence = block(sequence, time if self.adaptive else None, readable, memory, wanted)
        return self.out(self.last_norm(sequence[:, -last:], time))
