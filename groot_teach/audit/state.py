"""What a policy keeps from one call to the next, and how it is put back.

A policy in train mode changes more than it returns: BatchNorm updates its running statistics, a teacher follows by a
moving average, a counter or a generator of its own goes on, a sampler switches to `eval()`. Each run of an audit has to
start from the same state, and the caller's policy has to be as it was when the audit is over.

What modules hold is remembered name by name, and buffers are copied. Parameters are too large for that: a copy is made
only of those that a first run writes into, just before it does.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import partial
from operator import is_not
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

MOST = 20_000
"""How many objects are looked through at most, so that a function which refers to half of a program costs no time."""


class State:
    """What everything holds that can be reached from a policy's functions and modules.

    These are the parameters, buffers, attributes and modes of modules, the lists, dicts, sets and queues among their
    attributes with the tensors in them, and generators. What is not put back: what other objects hold, what is kept by
    `functools.cache`, and what containers hold beyond their first `MOST` entries.

    Attributes:
        keeps: whether a run has left something in an attribute or in a container. Statistics in buffers do not count.
    """

    def __init__(self, *roots: Any):
        reached = [*_reached(roots)]
        self.modules = [one for one in reached if isinstance(one, nn.Module)]
        self._generators = [(one, one.get_state()) for one in reached if isinstance(one, torch.Generator)]
        inside = dict.fromkeys(part for module in self.modules for part in _parts(module))
        owned = [one for part in inside for one in part.parameters(recurse=False) if not is_lazy(one)]
        self._held = [(names, dict(names)) for part in inside for names in _names_of(part)]
        contained = [*_contained(one for part in inside for one in _attributes_of(part))]
        self._containers = [(one, copy(one)) for one in contained if isinstance(one, CONTAINERS)]
        self.keeps = self._carries = False
        self._storages = {storage: (one, one.detach()) for one in owned if (storage := _storage_of(one))}
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._without_gradient = [one for one in owned if one.grad is None]
        self._modes = [(part, part.training) for part in inside]
        buffers = {id(one): (one, part) for part in inside for one in part.buffers(recurse=False)}
        self._buffers = [(one, one.detach().clone(), isinstance(part, _NormBase)) for one, part in buffers.values()]
        known = {*buffers, *map(id, owned)}
        inside_containers = [one for one in contained if isinstance(one, Tensor) and id(one) not in known]
        self._buffers += [(one, one.detach().clone(), False) for one in inside_containers]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts everything back to what it was when this record was made."""
        if self._carries:
            return
        for names, kept in [*self._held, *self._containers]:
            if _differ(names, kept):
                self.keeps = True
                _refill(names, kept)
        for one, kept in self._storages.values():
            if one.data_ptr() != kept.data_ptr():
                one.data = kept
        for one, kept in self._copies:
            if not torch.equal(one, kept):
                one.copy_(kept)
        for one in self._without_gradient:
            one.grad = None
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
    def carried_on(self) -> Iterator[None]:
        """Inside it nothing is put back, so that a run meets what the run before it has left."""
        self._carries = True
        try:
            yield
        finally:
            self._carries = False
            self.restore()

    def watching(self) -> TorchDispatchMode:
        """Inside it, a copy of each parameter is kept before it is written into. It costs time at each operation."""
        return _Watching(self._keep)

    def saved_apart(self) -> AbstractContextManager:
        """Inside it, what is saved for gradients is apart from what is put back, if a run writes into parameters."""
        if not self._copies:
            return nullcontext()
        put_back = {_storage_of(one) for one, *_ in [*self._copies, *self._buffers]}
        return saved_tensors_hooks(lambda one: one.clone() if _storage_of(one) in put_back else one, lambda one: one)

    def _keep(self, written: Tensor) -> None:
        found = self._storages.get(_storage_of(written))
        if found is not None and not any(found[0] is one for one, _ in self._copies):
            self._copies.append((found[0], found[1].clone()))


class _Watching(TorchDispatchMode):
    supports_higher_order_operators = True

    def __init__(self, keep: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.keep = keep

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        schema = getattr(func, "_schema", None)  # what is given functions has none
        if schema is not None and schema.is_mutable:
            for place, argument in enumerate(schema.arguments):
                if argument.is_write:
                    given = args[place] if place < len(args) else kwargs.get(argument.name)
                    for one in given if isinstance(given, list | tuple) else [given]:
                        if isinstance(one, Tensor):
                            self.keep(one)
        return func(*args, **kwargs)


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


def _names_of(part: nn.Module) -> list[dict[str, Any]]:
    """What a module holds by name: its attributes, parameters, buffers and parts. A lazy one becomes another module."""
    if isinstance(part, LazyModuleMixin):
        return []
    own = vars(part)
    inside = [own.get(kind) for kind in ("_parameters", "_buffers", "_modules")]
    return [own, *(names for names in inside if isinstance(names, dict))]  # TorchScript has others


CONTAINERS = (list, dict, set, deque)
_OWN_NAMES = frozenset(vars(nn.Module()))
"""What each module holds by itself, such as its parameters and hooks."""


def _attributes_of(part: nn.Module) -> list[Any]:
    return [one for name, one in vars(part).items() if name not in _OWN_NAMES]


def _contained(attributes: Iterable[Any]) -> Iterator[Any]:
    """The containers among attributes, and the containers and tensors inside them, each once."""
    todo, seen = [one for one in attributes if isinstance(one, (*CONTAINERS, tuple))], set()
    while todo and len(seen) < MOST:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inside = one.values() if isinstance(one, dict) else one if isinstance(one, (*CONTAINERS, tuple)) else ()
            todo += [part for part in inside if isinstance(part, (*CONTAINERS, tuple, Tensor))]


def _differ(one: Any, kept: Any) -> bool:
    """Whether a container holds other things than it did; of a dict its names count as well."""
    if isinstance(one, set):
        return one != kept
    if len(one) != len(kept):
        return True
    if not isinstance(one, dict):
        return any(map(is_not, one, kept))
    return any(map(is_not, one.values(), kept.values())) or [*one] != [*kept]


def _refill(one: Any, kept: Any) -> None:
    one.clear()
    (one.update if isinstance(one, dict | set) else one.extend)(kept)


def _storage_of(tensor: Tensor) -> int:
    """Where its numbers lie; 0 = nowhere, as for a tensor without numbers or one inside `torch.func`."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0


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
