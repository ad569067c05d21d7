"""Numbers and masks for the cases of exercises, the same ones each time."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def numbers(values: Any) -> Tensor:
    """`values` as float64."""
    return torch.tensor(values, dtype=torch.float64)


def bools(rows: str) -> Tensor:
    """`"110 101"`: a row for each word, True for 1."""
    return torch.tensor([[letter == "1" for letter in word] for word in rows.split()])


def holes(shape: Sequence[int], seed: int) -> Tensor:
    """A mask with holes anywhere. Each row begins with False and ends with True, so what is real never comes first."""
    mask = torch.rand(shape, generator=generator(seed)) < 0.6
    mask[..., 0], mask[..., -1] = False, True
    return mask


def masks(seed: int, *shape: int) -> Tensor:
    """Random masks with padding in front, at the end and between; every sample has a real entry."""
    real = torch.rand(shape, generator=generator(seed)) < 0.6
    real[:, :, 0], real[0, 0], real[-1, -1] = False, False, False
    real[:, 1, -1] = True
    return real


def left_padded(real_tokens: Sequence[int], key_len: int) -> Tensor:
    """A row for each sample, True for a real token. The padding comes first, as in GR00T's prompts."""
    return torch.arange(key_len) >= key_len - torch.tensor(real_tokens)[:, None]
