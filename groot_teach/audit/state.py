"""What a policy keeps from one call to the next, and how it is put back.

A policy in train mode changes more than it returns: BatchNorm updates its running statistics, a generator of its own
goes on, a sampler switches to `eval()`. Each run of an audit has to start from the same state, and the caller's policy
has to be as it was when the audit is over.
"""

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

MOST = 20_000
"""How many objects are looked through at most, so that a function which refers to half of a program costs no time."""


class State:
    """The buffers, modes and generators of everything that can be reached from a policy's functions and modules."""

    def __init__(self, *roots: Any):
        reached = [*_reached(roots)]
        self.modules = [one for one in reached if isinstance(one, nn.Module)]
        self._generators = [(one, one.get_state()) for one in reached if isinstance(one, torch.Generator)]
        inside = dict.fromkeys(part for module in self.modules for part in _parts(module))
        self._modes = [(part, part.training) for part in inside]
        buffers = {id(one): (one, part) for part in inside for one in part.buffers(recurse=False)}
        self._buffers = [(one, one.detach().clone(), isinstance(part, _NormBase)) for one, part in buffers.values()]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts everything back to what it was when this record was made."""
        for buffer, kept, is_statistic in self._buffers:
            if _written(buffer, kept):
                # No gradient reads the running statistics that a run has written, but PyTorch would refuse to take one
                # if it saw that they are another number by then.
                (buffer.data if is_statistic else buffer).copy_(kept)
        for part, mode in self._modes:
            part.training = mode
        for generator, kept in self._generators:
            generator.set_state(kept)


@contextmanager
def foreign_draws_kept() -> Iterator[None]:
    """Puts the global generators of Python and of NumPy back afterwards. Those of PyTorch are kept in each run."""
    numpy = sys.modules.get("numpy")
    kept, kept_by_numpy = random.getstate(), numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        random.setstate(kept)
        if numpy and kept_by_numpy is not None:
            numpy.random.set_state(kept_by_numpy)


def _parts(module: nn.Module) -> Iterable[nn.Module]:
    return [part for part in module.modules() if isinstance(getattr(part, "training", None), bool)]


def _written(buffer: Tensor, kept: Tensor) -> bool:
    return not torch.equal(buffer, kept) and buffer.shape == kept.shape


def _reached(roots: Iterable[Any]) -> Iterator[Any]:
    """The objects that functions, methods, partials, containers and plain objects refer to, each once."""
    todo, seen = [*roots], set()
    while todo and len(seen) < MOST:
        one = todo.pop()
        if id(one) in seen or isinstance(one, str | int | float | Tensor | ModuleType | type):
            continue
        seen.add(id(one))
        yield one
        todo += _next_to(one)


def _next_to(one: Any) -> Iterable[Any]:
    if isinstance(one, FunctionType):
        cells = [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]
        used = [one.__globals__[name] for name in _names(one.__code__) if name in one.__globals__]
        return [*cells, *used, *(one.__defaults__ or ()), *vars(one).values()]
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, Mapping):
        return [*one.values()]
    if isinstance(one, list | tuple | set | frozenset):
        return [*one]
    return [*getattr(one, "__dict__", {}).values()]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that its function has not given a value yet
        return False


def _names(code: CodeType) -> Iterator[str]:
    """The global names that a function uses, and those of the functions that are written inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
