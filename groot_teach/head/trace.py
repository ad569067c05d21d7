"""Where a mask goes: a witness takes its place, and writes down who is handed it and who reads it.

    uses = trace_masks(run, action_mask=action_mask, backbone_attention_mask=...)

`run` is called with a witness for each mask: a tensor that holds the same values and behaves the same. Whatever torch
computes from it is written down, with the function that asked for it. Two things are told apart:

    handed   a function has the mask among its arguments
    read     an operation mixes the mask with a tensor that is no mask: it has an effect, or might have one

A mask that is made into another mask, as in `~mask` or `mask & image_mask`, is not read yet; the new one is watched in
its place. A mask that is handed on and never read is a dead mask. It works on any code that runs in Python: nothing has
to be told about the head, and released heads can be traced like ours.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

import beartype
import jaxtyping
import torch
from torch import Tensor

from groot_teach.shapes import checked

BY_THE_WAY = (*(str(Path(package.__file__).parent) for package in (torch, jaxtyping, beartype)), __file__, "<")
"""Files whose functions are not named: PyTorch, what checks our arguments, and this one."""


@dataclass(frozen=True)
class Use:
    """One thing that happened to a mask.

    Attributes:
        mask: its name; of a mask that was made of two, both: `image_mask & backbone_attention_mask`.
        how: `handed` to a function, or `read` by it.
        function: the function's name, with its class.
        by: the argument's name, or the torch operation.
        shape: of the mask, as it was handed or read.
        dtype: the same, such as `bool`.
        file: the function's file and, if it reads, the line.
        calls: who called whom, from `run` to the function.
    """

    mask: str
    how: Literal["handed", "read"]
    function: str
    by: str
    shape: tuple[int, ...]
    dtype: str
    file: str
    calls: tuple[str, ...]


@checked
def trace_masks(run: Callable[..., Any], **masks: Tensor) -> tuple[Use, ...]:
    """Calls `run(**masks)` with witnesses in the masks' places, and says what happened to them, in order.

    What happens again, such as in every step of a sampler, is said once.

    Raises:
        ValueError: no mask.
    """
    if not masks:
        raise ValueError("masks: got none, expected at least one, by its name")
    log = _Log(tuple(masks), {})
    with _watching_calls(log, but_not=getattr(run, "__code__", None)):
        run(**{name: _Witness.of(mask, {name}, log) for name, mask in masks.items()})
    return tuple(log.uses)


@checked
def readers(uses: tuple[Use, ...], mask: str) -> tuple[str, ...]:
    """The functions that read `mask`, alone or joined with another one; none = it is dead."""
    return tuple(dict.fromkeys(use.function for use in uses if use.how == "read" and mask in use.mask.split(" & ")))


@dataclass(frozen=True)
class _Log:
    order: tuple[str, ...]
    uses: dict[Use, None]

    def write(self, witness: "_Witness", how: Literal["handed", "read"], frame: FrameType, by: str) -> None:
        with torch._C.DisableTorchFunctionSubclass():
            shape, dtype = tuple(witness.shape), str(witness.dtype).removeprefix("torch.")
        name = " & ".join(name for name in self.order if name in witness.names)
        file = Path(frame.f_code.co_filename).name + (f" {frame.f_lineno}" if how == "read" else "")
        calls = tuple(reversed([*_calls(frame)]))
        self.uses[Use(name, how, frame.f_code.co_qualname, by, shape, dtype, file, calls)] = None


class _Witness(Tensor):
    """A mask that tells."""

    names: set[str]
    log: _Log

    @classmethod
    def of(cls, mask: Tensor, names: set[str], log: _Log) -> "_Witness":
        witness = mask.as_subclass(cls)
        witness.names, witness.log = names, log
        return witness

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        given = [*_tensors((args, kwargs))]
        witnesses = [tensor for tensor in given if isinstance(tensor, cls)]
        if not witnesses or not isinstance(result, Tensor):
            return result
        if len(witnesses) == len(given):
            return cls.of(result, set().union(*(witness.names for witness in witnesses)), witnesses[0].log)
        for witness in witnesses:
            witness.log.write(witness, "read", _who_asked(sys._getframe(1)), func.__name__)
        return result


@contextmanager
def _watching_calls(log: _Log, but_not: CodeType | None) -> Iterator[None]:
    """Looks at the arguments of each Python function that is called, but for `run` itself."""

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code is not but_not and _is_named(frame):
            for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                if isinstance(value := frame.f_locals.get(name), _Witness):
                    log.write(value, "handed", frame, name)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _is_named(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(BY_THE_WAY) and not frame.f_code.co_name.startswith("<")


def _calls(frame: FrameType | None) -> Iterator[str]:
    """The function and who called it, and so on, up to `run`."""
    while frame is not None and not (frame.f_code.co_filename == __file__ and frame.f_code.co_name == "trace_masks"):
        if _is_named(frame):
            yield frame.f_code.co_qualname
        frame = frame.f_back


def _who_asked(frame: FrameType) -> FrameType:
    """The innermost function that has a name here."""
    while frame.f_back is not None and not _is_named(frame):
        frame = frame.f_back
    return frame


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors([*value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
