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
    remedy = (
        _remedy(values[name], annotations[name], function, axes) if {name} <= values.keys() & annotations.keys() else ""
    )
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
    expected = _plain(str(kind) if get_args(kind) else getattr(kind, "__name__", str(kind)))
    return f"{where}: got {got}, expected {expected}{_remedy(entry, kind)}"


def _after(label: str, said: str) -> str:
    """What stands behind a label, up to the next line that begins with a label of its own."""
    found = re.search(rf"{re.escape(label)}(.*?)(?:\n(?:Expected type: |-{{5,}})|\Z)", said, re.DOTALL)
    return _plain(found[1]) if found else "a value"


def _plain(text: str) -> str:
    text = re.sub(r"<class '(.*?)'>", r"\1", " ".join(text.split())).replace("(torch)", "")
    text = text.replace("[Tensor, '']", "[Tensor] without axes").replace("torch._C.Generator", "torch.Generator")
    text = re.sub(
        r"\b(?:typing|collections\.abc|jaxtyping)\.", "", re.sub(r"typing\.Annotated\[(.*), \w+\]", r"\1", text)
    )
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _conversion(mask: Tensor) -> str:
    """The function of `groot_teach.masks` for a mask that is no bool, by its numbers."""
    if not mask.dtype.is_floating_point:
        return "from_int_mask"
    one_and_zero = bool(((mask == 0) | (mask == 1)).all()) and bool((mask == 1).any())
    return "from_float_mask, if 1 is real" if one_and_zero else "from_additive_mask, if 0 is real"


def _remedy(value: Any, annotation: Any, function: str = "", lengths: Sequence[str] = ()) -> str:
    """What to do where something of another kind came; "" where nothing general can be said.

    Args:
        value: what came.
        annotation: what was expected.
        function: who was called. The converters of `groot_teach.masks` begin with `from_`: to name another one of them
            could turn the mask over.
        lengths: the known lengths of axes, as in `batch=2` and `axes=[2, 3]`.
    """
    options = _options(annotation)
    types_wanted = [option for option in options if isinstance(option, type)]
    if torch.Generator in types_wanted and type(value) is int:
        return f"; make one: torch.Generator().manual_seed({value})"
    if slice in types_wanted and isinstance(value, tuple | list) and len(value) == 2:
        return f"; write slice({value[0]}, {value[1]})"
    if not isinstance(value, Sequence) and any(get_origin(option) in (Sequence, list) for option in options):
        return "; put it in a list: [x]"
    wanted = [option for option in types_wanted if issubclass(option, AbstractArray)]
    if not wanted:
        return ""
    kinds = [str(kind) for kind in wanted[0].dtypes]
    wants = next((name for name in ("float", "int", "bool") if any(kind.startswith(name) for kind in kinds)), "")
    axes, known = wanted[0].dim_str.split(), dict(length.split("=", 1) for length in lengths)
    if not wants:
        return ""
    if not isinstance(value, Tensor):
        if type(value).__module__ == "numpy":
            return "; convert it: torch.from_numpy(x)"
        return _made(value, wants, axes, known)
    if str(value.dtype).removeprefix("torch.") not in kinds:
        is_converter = function.startswith("from_")
        if wants == "bool":
            if is_converter:
                return "; convert it: x.bool(), if 1 means what True means here"
            return f"; convert the mask once, by groot_teach.masks.{_conversion(value)}"
        if value.dtype == torch.bool:
            return (
                "; a bool mask needs no conversion" if is_converter else "; this is a mask: were two arguments swapped?"
            )
        return f"; convert it: x.{'long' if wants == 'int' else 'float'}()"
    count = sum(_axes_in(axis, known) for axis in axes)
    if count != count or count == value.ndim:
        return ""
    return f"; it has {value.ndim} {'axis' if value.ndim == 1 else 'axes'} in place of {count:g}"


def _axes_in(axis: str, lengths: Mapping[str, str]) -> float:
    """For how many axes a word of a shape stands; NaN for `*axes` of an unknown number."""
    if not axis.startswith(("*", "...")):
        return 1
    known = lengths.get(axis.removeprefix("*"))
    return len(re.findall(r"\d+", known)) if known else float("nan")


def _made(value: Any, wants: str, axes: Sequence[str], lengths: Mapping[str, str]) -> str:
    """How to make the tensor that is wanted out of a number, or of a list of them."""
    if isinstance(value, list | tuple):
        dtype = {"float": torch.float32, "int": torch.int64, "bool": torch.bool}[wants]
        more = "" if _dtype_of(value) in (dtype, None) else f", dtype={dtype}"
        return f"; convert it: torch.tensor(x{more})"
    if type(value) not in (int, float) or len(axes) > 1:
        return ""
    number = float(value) if wants == "float" else value
    if not axes:
        return f"; convert it: torch.tensor({number})"
    return f"; make one for each of {axes[0]}: torch.full(({lengths.get(axes[0], axes[0])},), {number})"


def _dtype_of(value: Any) -> torch.dtype | None:
    """That of the tensor which `torch.tensor` makes of a list; None if it makes none."""
    try:
        return torch.tensor(value).dtype
    except (ValueError, TypeError, RuntimeError):
        return None
