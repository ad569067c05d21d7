"""How two results differ, in words: what was returned, what was expected, and where they are not the same."""

import re
import textwrap
from typing import Any

import torch
from torch import Tensor

SMALL = 60
"""Tensors of up to this many entries are printed, larger ones are described."""


def difference(got: Any, expected: Any, equal_nan: bool = False) -> str | None:
    """Says how `got` differs from `expected`; None if it does not. Nothing is cast.

    NaN differs from everything, so it is never right. `equal_nan` is for two answers that make the same mistake.
    Nothing differs from an expected `...`.
    """
    if expected is ...:
        return None
    if isinstance(expected, tuple):
        if not isinstance(got, tuple) or len(got) != len(expected):
            return f"got {describe(got)}, expected {describe(expected)}"
        for index, pair in enumerate(zip(got, expected, strict=True), start=1):
            if words := difference(*pair, equal_nan):
                return f"result {index} of {len(expected)}: {words}"
        return None
    if not isinstance(expected, Tensor):
        if type(got) is not type(expected):
            return f"got {describe(got)}, expected {describe(expected)}"
        if isinstance(expected, float):
            return difference(_as_tensor(got), _as_tensor(expected), equal_nan)
        return None if got == expected else f"got {got!r}, expected {expected!r}"
    if not isinstance(got, Tensor):
        return f"got {describe(got)}, expected {describe(expected)}"
    if got.dtype != expected.dtype:
        return f"got {describe(got)}, expected {word(expected.dtype)}{_why_bool(got, expected)}"
    if describe(got) != describe(expected):  # shape, device and layout
        return f"got {describe(got)}, expected {describe(expected)}"

    off = _off(got, expected, equal_nan)
    if not off.any():
        return None
    first = tuple(off.nonzero()[0].tolist())
    values = f"yours is {got[first].item()}, expected {expected[first].item()}"
    if off.numel() == 1:
        return values
    return f"{int(off.sum())} of {off.numel()} entries differ; at {list(first)}, {values}"


def _as_tensor(number: float) -> Tensor:
    return torch.tensor([number], dtype=torch.float64)


def _off(got: Tensor, expected: Tensor, equal_nan: bool = False) -> Tensor:
    """True where two tensors of one dtype and shape differ."""
    is_real = expected.is_floating_point() or expected.is_complex()
    return ~torch.isclose(got, expected, equal_nan=equal_nan) if is_real else got != expected


def narrow(got: Any, expected: Any) -> tuple[str, Any, Any]:
    """Cuts two large tensors that differ in some values down to the first slice that does, and says where it is."""
    if not isinstance(expected, Tensor) or describe(got) != describe(expected):
        return "", got, expected
    where = []
    while expected.numel() > SMALL and expected.ndim > 1:
        where.append(int(_off(got, expected).nonzero()[0, 0]))
        got, expected = got[where[-1]], expected[where[-1]]
    return f" at {where}" if where else "", got, expected


def describe(value: Any) -> str:
    """What something is, without its values: `a bool tensor of shape (2, 3)`."""
    if isinstance(value, Tensor):
        article = "an" if word(value.dtype).startswith("i") else "a"
        kind = "" if value.layout == torch.strided else f"{word(value.layout)} "
        where = "" if value.device.type == "cpu" else f" on {value.device}"
        return f"{article} {word(value.dtype)} {kind}tensor of shape {tuple(value.shape)}{where}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)} ({', '.join(map(describe, value[:3]))})"
    return "None (is a `return` missing?)" if value is None else f"a value of type {type(value).__name__}"


def show(value: Any) -> str:
    """A value as a reader sees it, indented: small tensors in full, the others in words."""
    if isinstance(value, tuple | list):
        return "\n".join(map(show, value))
    if not isinstance(value, Tensor):
        return f"  {one_line(repr(value))}"
    return textwrap.indent(repr(value.detach()) if value.numel() <= SMALL else describe(value), "  ")


def one_line(text: str) -> str:
    """Short, and without memory addresses: the same in every run."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", textwrap.shorten(text, 240, placeholder=" ..."))


def word(torch_name: torch.dtype | torch.layout) -> str:
    return str(torch_name).removeprefix("torch.")


def _why_bool(got: Tensor, expected: Tensor) -> str:
    if expected.dtype != torch.bool:
        return ""
    if got.is_floating_point():
        return "; PyTorch's attention adds a float mask to the logits instead of hiding with it"
    return "; PyTorch's attention refuses an integer mask, and `~1` is -2, which counts as True"
