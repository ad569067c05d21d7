"""What is said about a call that does not fit the signature of its function: in one line, with what to do.

jaxtyping and beartype, which check the calls, write down the whole call and all annotations. Of a list or a dict they
check one entry, drawn at random. Here each entry is looked at, and the error names the one that is wrong.
"""

import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import torch
from beartype.door import is_bearable
from jaxtyping import AbstractArray, jaxtyped
from torch import Tensor

LONG = 200
"""An error quotes no more characters of what came than this."""


def has_entries(annotation: Any) -> bool:
    """Whether an argument may be a sequence or a mapping whose entries have a type."""
    return any(get_origin(option) in _CONTAINERS and get_args(option) for option in _options(annotation))


def takes_numbers(annotation: Any) -> bool:
    """Whether an argument may be a whole number, and no bool. For Python a bool is an int; for a reader it is not."""
    options = _options(annotation)
    return int in options and bool not in options


def complaint(place: str, value: Any, annotation: Any) -> str | None:
    """What is wrong with the entries of a value, or with a bool in the place of a number; None if nothing is."""
    if isinstance(value, bool) and takes_numbers(annotation):
        return f"{place}: got {value}, expected a number"
    for option in _options(annotation):
        origin, kinds = get_origin(option), get_args(option)
        if origin not in _CONTAINERS or not kinds or not isinstance(value, origin) or isinstance(value, str):
            continue
        entries = _entries(value, origin, kinds)
        return next((said for said in (_about_entry(place, *entry) for entry in entries) if said), None)
    return None


def in_short(said: str, function: str, annotations: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """jaxtyping's report about a call in one line; None if `said` is something else.

    Args:
        said: the text of the error.
        function: the name of the function.
        annotations: the annotation of each parameter.
        values: the arguments of the call.
    """
    head = re.match(r"Type-check error whilst checking the (parameters|return value) of \S+\n", said)
    if head is None:
        return None
    place = re.search(r"parameter '(\w+)'", said)
    got, expected = _after("Actual value: ", said), _after("Expected type: ", said).rstrip(".")
    lines = [re.sub(r"torch\.Size\((.*)\)", r"\1", line) for line in said.splitlines()]
    axes = [line for line in lines if re.fullmatch(r"\w+=[\d(\[][\d, )\]]*", line)]
    known = [axis for axis in axes if re.search(rf"\b{axis.split('=')[0]}\b", expected)]
    before = list(values)[: list(values).index(place[1])] if place and place[1] in values else []
    before = [name for name in before if values[name] is not None]
    owners = [name for name in before if any(_has_axis(annotations.get(name), axis.split("=")[0]) for axis in known)]
    where = f"parameter '{place[1]}' of {function}" if place else f"the return value of {function}"
    if place is None and head[1] == "parameters":
        return f"{function}: got a call that does not fit: {_plain(said.splitlines()[1])}"
    lengths = f" with {', '.join(known)}" + (f", as in {owners[0]}" if owners else "") if known else ""
    line = f"{where}: got {got}, expected {expected}{lengths}"
    name = place[1] if place else ""
    remedy = _remedy(values[name], annotations[name]) if name in values and name in annotations else ""
    return line + remedy


_CONTAINERS = (Sequence, list, tuple, Mapping, dict)


def _has_axis(annotation: Any, axis: str) -> bool:
    """Whether an argument has this axis, on its own or as a part of a record."""
    return re.search(rf"\b{axis}\b", str(annotation)) is not None


def _options(annotation: Any) -> tuple[Any, ...]:
    """The types of which an annotation allows one: `A | B`, and what `Annotated[...]` is about."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(option for part in get_args(annotation) for option in _options(part))
    return (annotation,)


def _entries(value: Any, origin: Any, kinds: tuple[Any, ...]) -> list[tuple[Any, Any, Any]]:
    """The place, the entry and its type for each entry of a container."""
    if origin in (Mapping, dict):
        keys = [(key, key, kinds[0]) for key in value]
        return keys + [(key, entry, kinds[1]) for key, entry in value.items()]
    if origin is tuple and kinds[-1] is not ...:
        return list(zip(range(len(value)), value, kinds, strict=False))
    return [(index, entry, kinds[0]) for index, entry in enumerate(value)]


def _about_entry(place: str, key: Any, entry: Any, kind: Any) -> str | None:
    with jaxtyped("context"):  # the axes of one entry say nothing about those of another
        fits = is_bearable(entry, kind)
    where = f"{place}[{key!r:.60}]"
    inner = complaint(where, entry, kind)
    if fits or inner:
        return inner
    got = f"{entry.dtype}{list(entry.shape)}" if isinstance(entry, Tensor) else f"{entry!r:.60}"
    return (
        f"{where}: got {got}, expected {_plain(str(kind) if get_args(kind) else getattr(kind, '__name__', str(kind)))}"
    )


def _after(label: str, said: str) -> str:
    """What stands behind a label, up to the next line that begins with a label of its own."""
    found = re.search(rf"{re.escape(label)}(.*?)(?:\n(?:Expected type: |-{{5,}})|\Z)", said, re.DOTALL)
    return _plain(found[1]) if found else "a value"


def _plain(text: str) -> str:
    text = re.sub(r"<class '(.*?)'>", r"\1", " ".join(text.split())).replace("(torch)", "")
    text = text.replace("[Tensor, '']", "[Tensor] without axes").replace("torch._C.Generator", "torch.Generator")
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _conversion(mask: Tensor) -> str:
    """The function of `groot_teach.masks` for a mask that is no bool, by its numbers."""
    if not mask.dtype.is_floating_point:
        return "from_int_mask"
    one_and_zero = bool(((mask == 0) | (mask == 1)).all()) and bool((mask == 1).any())
    return "from_float_mask, if 1 is real" if one_and_zero else "from_additive_mask, if 0 is real"


def _remedy(value: Any, annotation: Any) -> str:
    """What to do where a tensor of another kind came, or none at all; "" where nothing general can be said."""
    types_wanted = [option for option in _options(annotation) if isinstance(option, type)]
    if torch.Generator in types_wanted and type(value) is int:
        return f"; make one: torch.Generator().manual_seed({value})"
    wanted = [option for option in types_wanted if issubclass(option, AbstractArray)]
    if not wanted:
        return ""
    kinds = [str(kind) for kind in wanted[0].dtypes]
    if not isinstance(value, Tensor):
        if type(value).__module__ == "numpy":
            return "; convert it: torch.from_numpy(x)"
        return "; convert it: torch.tensor(x)" if isinstance(value, list | tuple | int | float) else ""
    if str(value.dtype).removeprefix("torch.") not in kinds:
        if kinds[0].startswith("bool"):
            return f"; convert the mask once, by groot_teach.masks.{_conversion(value)}"
        if value.dtype == torch.bool and kinds[0].startswith("float"):
            return "; this is a mask: were two arguments swapped?"
        return f"; convert it: x.{'long' if kinds[0].startswith('int') else 'float'}()"
    axes = wanted[0].dim_str.split()
    if not any(axis.startswith(("*", "...")) for axis in axes) and len(axes) != value.ndim:
        return f"; it has {value.ndim} axes in place of {len(axes)}"
    return ""
