"""The DiT, or diffusion transformer, inside a GR00T head.

Its sequence is the state and the actions, one token for each action step. The blocks alternate between two kinds:

    block 0   the sequence reads the vision-language tokens (cross-attention)
    block 1   the sequence reads itself (self-attention)
    block 2   the sequence reads the vision-language tokens
    ...

Each block learns the flow time through its first layer norm.

An argument `readable` says which tokens may be read; None means all of them. It is the same for every query, so it has
no query axis, unlike the masks of `groot_teach.attention`. `ActionHead` checks the arguments before it calls these
modules, so they are not checked again here.
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
        tokens: `key_len`, bool, True = at least one sample of the batch may read this token. The other tokens are left
            out, and no layer makes keys and values for them.
        real: `batch, kept`, bool, True = may be read. It has one column for each token that is kept.
        attention_mask: `batch, 1, 1, kept`: `real`, with axes for head and query. A sample that may read nothing has
            True everywhere instead, because a softmax over nothing is not defined.
        reads: `batch, 1, 1, 1`, bool, False = this sample may read nothing. None = every sample may read something.
    """

    tokens: Tensor
    real: Tensor
    attention_mask: Tensor
    reads: Tensor | None

    @classmethod
    def where(cls, mask: Tensor) -> "Readable":
        """Prepares a mask `batch, key_len`, bool, True = may be read."""
        tokens = mask.any(dim=0)
        real = mask[:, tokens]
        reads = real.any(dim=1)[:, None, None, None]
        if reads.all():
            return cls(tokens, real, real[:, None, None], None)
        return cls(tokens, real, real[:, None, None] | ~reads, reads)

    def select(self, context: Tensor) -> Tensor:
        """The tokens that are kept, set to 0 where a sample may not read them, so that NaN there does no harm."""
        return torch.where(self.real[..., None], context[:, self.tokens], 0.0)


@dataclass(frozen=True, eq=False)
class KeyValueCache:
    """The keys and values that one attention layer reads. The sampler makes them once and reads them at every step.

    Attributes:
        key, value: `batch, head, key_len, head_width`.
        readable: which of them may be read; None = all.
    """

    key: Tensor
    value: Tensor
    readable: Readable | None


class Attention(nn.Module):
    """`attention.cross_attention` with several heads, and the layers that make queries, keys and values.

    A sample that may read nothing gets zeros before the last layer adds its bias. The released heads get the same from
    PyTorch on a CPU; here it does not depend on the device.

    Source: `diffusers.models.attention.Attention`, as huggingface/lerobot v0.4.4 `cross_attention_dit.py` 114-123 uses
    it. We differ: NaN in a token that may not be read gives NaN there, and has no effect here.
    """

    def __init__(self, width: int, context_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.out = nn.Linear(width, width)

    def remember(self, context: Tensor, readable: Readable | None) -> KeyValueCache:
        """Makes keys and values of `context` (batch, key_len, context_width), as `readable.select` returns it."""
        return KeyValueCache(self._split(self.key(context)), self._split(self.value(context)), readable)

    def forward(self, x: Tensor, cache: KeyValueCache) -> Tensor:
        readable = cache.readable
        attention_mask = None if readable is None else readable.attention_mask
        read = scaled_dot_product_attention(self._split(self.query(x)), cache.key, cache.value, attention_mask)
        if readable is not None and readable.reads is not None:
            read = torch.where(readable.reads, read, 0.0)
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)


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
    """The norm after the last block. It has another epsilon, and its shift comes before its scale.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 250-252, 295-298.
    """

    def __init__(self, width: int):
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.modulation(time)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, layer_norm(x, x.shape[-1:], eps=self.eps), 1 + scale)


class Block(nn.Module):
    """Attention, then a feed-forward network, each added to its input.

    Args:
        width: of the tokens that read (the queries).
        heads: how many attention heads share that width.
        context_width: of the tokens that are read (keys and values); None = the tokens read each other.
        adaptive: the scale and shift of the first norm depend on the flow time.
        affine: the other norms have a learned scale and shift.
        dropout: in training, the part of the numbers that is set to 0.
        final_dropout: attention and feed-forward network each end with one more dropout.

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
        self,
        x: Tensor,
        time: Tensor | None = None,
        readable: Readable | None = None,
        cache: KeyValueCache | None = None,
        last: int | None = None,
    ) -> Tensor:
        """A block that reads itself takes `readable`; one that reads other tokens takes their `cache`.

        With `last`, only that many last tokens of `x` are queries and are returned. All tokens may still be read.
        """
        normed = self.attention_norm(x) if time is None else self.attention_norm(x, time)
        if self.reads_itself:
            context = normed if readable is None else readable.select(normed)
            cache = self.attention.remember(context, readable)
        if last is not None:
            x, normed = x[:, -last:], normed[:, -last:]
        x = x + self._drop(self.attention(normed, cache), times=1 + self.final_dropout)
        wide = gelu(self.widen(self.feed_forward_norm(x)), approximate="tanh")
        return x + self._drop(self.narrow(self._drop(wide, times=1)), times=int(self.final_dropout))

    def _drop(self, x: Tensor, times: int) -> Tensor:
        for _ in range(times if self.training else 0):
            x = dropout(x, self.dropout)
        return x


# -------------------------------------------------------------------------------------------------- the flow time


def sinusoidal_embedding(bucket: Tensor, rates: Tensor) -> Tensor:
    """Sines, then cosines of the time bucket times each rate: `batch, 2 * rates`. Float32 in heads of any dtype."""
    angle = bucket.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TimeEncoder(nn.Module):
    """The embedding of the flow time that the adaptive norms of the blocks read.

    Source: huggingface/lerobot v0.4.4, `cross_attention_dit.py` 30-43; `diffusers.models.embeddings.Timesteps`.
    """

    EMBEDDING_WIDTH = 256

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Linear(self.EMBEDDING_WIDTH, width)
        self.second = nn.Linear(width, width)

    def forward(self, bucket: Tensor) -> Tensor:
        half = self.EMBEDDING_WIDTH // 2
        index = torch.arange(half, dtype=torch.float32, device=bucket.device)
        rates = torch.exp(-log(10_000) * index / (half - 1))
        sines, cosines = sinusoidal_embedding(bucket, rates).split(half, dim=-1)
        embedding = torch.cat([cosines, sines], dim=-1).to(self.first.weight.dtype)
        return silu(self.second(silu(self.first(embedding))))  # upstream applies the outer silu in each norm


# ------------------------------------------------------------------------------------------------- the transformer


class DiT(nn.Module):
    """The diffusion transformer: turns a sequence of tokens into one vector for each action step.

    Args:
        width: of the tokens in the sequence.
        token_width: of the vision-language tokens.
        output_width: of the vectors that are returned.
        heads: attention heads of each block.
        layers: how many blocks.
        interleave: odd blocks are self-attention; otherwise all blocks are cross-attention.
        attend_text_every_n_blocks: which tokens the cross-attention blocks read. None = all of them, as in N1.5. A
            number n = one of these blocks in n reads the text tokens, beginning with the first, and the others read
            the image tokens, as in N1.6 and N1.7.
        adaptive, dropout, final_dropout: of the blocks.

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
        attend_text_every_n_blocks: int | None,
        adaptive: bool,
        dropout: float,
        final_dropout: bool,
    ):
        super().__init__()
        self.attend_text_every_n_blocks = attend_text_every_n_blocks
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

    def remember(self, tokens: Tensor, real: Tensor | None, image: Tensor | None) -> list[KeyValueCache | None]:
        """Keys and values of the vision-language tokens for each block; None for a block of self-attention.

        `real` and `image` are `batch, key_len`, bool. In `real`, True = a real token; without it, padding may be read
        as well. In `image`, True = a token of a camera; None if all blocks read all tokens.
        """
        if self.attend_text_every_n_blocks is None or image is None:
            masks = {"all": real}
        else:
            masks = {"text": ~image, "images": image}
            masks = {kind: mask if real is None else mask & real for kind, mask in masks.items()}
        readable = {kind: None if mask is None else Readable.where(mask) for kind, mask in masks.items()}
        context = {kind: tokens if may is None else may.select(tokens) for kind, may in readable.items()}
        caches: list[KeyValueCache | None] = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            kind = self._kind(index)
            caches.append(None if block.reads_itself else block.attention.remember(context[kind], readable[kind]))
        return caches

    def _kind(self, index: int) -> str:
        """Which tokens the block of this index reads, if it is cross-attention."""
        if self.attend_text_every_n_blocks is None:
            return "all"
        return "text" if index % (2 * self.attend_text_every_n_blocks) == 0 else "images"

    def forward(
        self, sequence: Tensor, caches: list[KeyValueCache | None], bucket: Tensor, readable: Readable | None, last: int
    ) -> Tensor:
        """One vector for each of the `last` tokens of the sequence: `batch, last, output_width`.

        `readable` says which tokens of the sequence itself may be read, in the blocks of self-attention.
        """
        time = self.time_encoder(bucket)
        for index, (block, cache) in enumerate(zip(self.blocks, caches, strict=True), start=1):
            # The last block computes only the tokens that are returned. With dropout it computes all of them, so that
            # the same seed drops the same numbers as upstream.
            wanted = last if index == len(self.blocks) and not (self.training and self.dropout) else None
            time_of_norm = time if self.adaptive else None
            sequence = block(sequence, time=time_of_norm, readable=readable, cache=cache, last=wanted)
        return self.out(self.last_norm(sequence[:, -last:], time))
