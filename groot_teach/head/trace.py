"""Traces masks through running code: which functions receive a mask, and which of them read it.

    uses = trace_masks(run, action_mask=action_mask, backbone_attention_mask=backbone_attention_mask)

`run` is called once. In place of each mask it gets a tensor with the same values that behaves the same, but also
records what torch computes from it and which function asked for that. Three things are distinguished:

    handed   the mask is among the arguments of a Python function
    read     a torch operation combines the mask with a tensor that is not a mask, so the mask may have an effect
    left     its values left torch, through `item`, `tolist`, `numpy` or as an index: they may have an effect unseen

An operation on masks alone, such as `~mask` or `mask & image_mask`, makes another mask. That is not a read; the new
mask is recorded too, by the names of the masks it was made of. A mask that is handed on and never read is a dead mask.

This works on any code that runs in Python, on the released GR00T heads as on ours. It does not see a mask that is only
asked for its truth, as in `if mask.any():`, which is how masks are checked.
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

UNNAMED_FILES = (*(package.__path__[0] for package in (torch, jaxtyping, beartype)), __file__, "<")
"""Paths that begin like this are of PyTorch, of the packages that check arguments, of this module, or of no file:
functions defined there are left out of the record."""


@dataclass(frozen=True)
class Use:
    """One thing that happened to a mask.

    Attributes:
        mask: its name; for a mask that was made of two, both of them: `image_mask & backbone_attention_mask`.
        how: `handed` to a function, `read` by it, or `left` torch there.
        function: the function's name, with its class.
        by: the argument's name if the mask was handed, otherwise the torch operation.
        shape: the mask's shape at that moment.
        dtype: the mask's dtype at that moment, such as `bool`.
        file: the file in which the function is defined, and for a read also the line.
        calls: the names of the calling functions, from the one that `run` called down to `function` itself.
    """

    mask: str
    how: Literal["handed", "read", "left"]
    function: str
    by: str
    shape: tuple[int, ...]
    dtype: str
    file: str
    calls: tuple[str, ...]


class Uses(tuple[Use, ...]):
    """What happened to some masks, in order.

    Attributes:
        masks: the names of the masks that were traced, also of those to which nothing happened.
    """

    masks: tuple[str, ...] = ()


LEAVING = {"item", "tolist", "numpy", "__array__", "__int__", "__float__", "__index__"}
"""The operations that give the values of a tensor to Python."""


@checked
def trace_masks(run: Callable[..., Any], **masks: Tensor) -> Uses:
    """Calls `run(**masks)` with recording tensors in place of the masks, and returns what happened to them, in order.

    A use that is repeated exactly, such as in every step of a sampler, is returned once.

    Raises:
        ValueError: no mask is given.
    """
    if not masks:
        raise ValueError("masks: got none, expected at least one, given by its name")
    record = _Record(tuple(masks), {})
    with _recording_calls(record, but_not=getattr(run, "__code__", None)):
        run(**{name: _TracedMask.of(mask, _Trace(record, frozenset([name]))) for name, mask in masks.items()})
    uses = Uses(record.uses)
    uses.masks = tuple(masks)
    return uses


@checked
def readers(uses: Uses, mask: str) -> tuple[str, ...]:
    """The functions that read `mask`, alone or combined with another mask, or in which its values left torch.

    If there are none, the mask is dead.

    Raises:
        ValueError: no mask of this name was traced.
    """
    if mask not in uses.masks:
        raise ValueError(f"mask: got {mask!r}, expected one of those that were traced: {', '.join(uses.masks)}")
    seen = [use for use in uses if use.how != "handed" and mask in use.mask.split(" & ")]
    return tuple(dict.fromkeys(use.function for use in seen))


@dataclass(frozen=True)
class _Record:
    """The uses found so far. `order` is the order in which names are joined for a mask that was made of several."""

    order: tuple[str, ...]
    uses: dict[Use, None]  # a dict keeps the order, and each use once

    def write(self, mask: "_TracedMask", how: Literal["handed", "read", "left"], frame: FrameType, by: str) -> None:
        with torch._C.DisableTorchFunctionSubclass():
            shape, dtype = tuple(mask.shape), str(mask.dtype).removeprefix("torch.")
        name = " & ".join(name for name in self.order if name in mask.groot_teach_trace.made_of)
        file = Path(frame.f_code.co_filename).name + (f" {frame.f_lineno}" if how != "handed" else "")
        calls = tuple(reversed([*_calls(frame)]))
        self.uses[Use(name, how, frame.f_code.co_qualname, by, shape, dtype, file, calls)] = None


@dataclass(frozen=True, eq=False)
class _Trace:
    """What a traced mask knows beside its values: where its uses are recorded, and the masks that it is made of."""

    record: _Record
    made_of: frozenset[str]


class _TracedMask(Tensor):
    """A mask that records what torch computes from it.

    Its state is one attribute with a name that torch has no use for. Under a name such as `log` or `names` it would
    hide the tensor method of that name, or on some versions of torch could not even be set.
    """

    groot_teach_trace: _Trace

    @classmethod
    def of(cls, mask: Tensor, trace: _Trace) -> "_TracedMask":
        traced = mask.as_subclass(cls)
        traced.groot_teach_trace = trace
        return traced

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        """Called by torch in place of `func`, an operation with a traced mask among its arguments."""
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        given = [*_tensors((args, kwargs))]
        masks = [tensor for tensor in given if isinstance(tensor, cls)]
        made = [*_tensors(result)]
        if masks and func.__name__ in LEAVING:
            for mask in masks:
                mask.groot_teach_trace.record.write(mask, "left", _asking(sys._getframe(1)), func.__name__)
        if not masks or not (made or func is Tensor.__setitem__):
            return result
        if len(masks) < len(given):
            for mask in masks:
                mask.groot_teach_trace.record.write(mask, "read", _asking(sys._getframe(1)), func.__name__)
            return result
        traces = [mask.groot_teach_trace for mask in masks]
        trace = _Trace(traces[0].record, frozenset().union(*(trace.made_of for trace in traces)))
        return _traced(result, trace)


def _traced(result: Any, trace: _Trace) -> Any:
    """The result of an operation on masks alone, with each tensor in it traced; `mask.chunk(2)` gives a tuple."""
    if isinstance(result, Tensor):
        return _TracedMask.of(result, trace)
    return type(result)(_traced(item, trace) for item in result) if isinstance(result, list | tuple) else result


@contextmanager
def _recording_calls(record: _Record, but_not: CodeType | None) -> Iterator[None]:
    """Looks at the arguments of each Python function that is called inside, except for `run` itself."""

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code is not but_not and _is_named(frame):
            for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                if isinstance(value := frame.f_locals.get(name), _TracedMask):
                    record.write(value, "handed", frame, name)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _is_named(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(UNNAMED_FILES) and not frame.f_code.co_name.startswith("<")


def _calls(frame: FrameType | None) -> Iterator[str]:
    """The name of the function, then that of its caller, and so on up to what `run` called."""
    while frame is not None and not (frame.f_code.co_filename == __file__ and frame.f_code.co_name == "trace_masks"):
        if _is_named(frame):
            yield frame.f_code.co_qualname
        frame = frame.f_back


def _asking(frame: FrameType) -> FrameType:
    """The innermost function that asked torch for the operation, leaving out torch itself and lambdas."""
    while frame.f_back is not None and not _is_named(frame):
        frame = frame.f_back
    return frame


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors([*value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
