"""Shapes in signatures: names for the shapes that recur, and the decorator that holds every call to them.

A public function of this library says in its signature what it takes:

    @checked(same="dtype device")
    def interpolate(actions: ActionChunks, noise: ActionChunks, t: FlowTimes) -> ActionChunks: ...

Each call is then checked, in this order:

1. **Shapes and dtypes.** `Float[Tensor, "batch action_dim"]`, in the notation of the package jaxtyping, is a float
   tensor with two axes. Axes of the same name have the same length in all arguments and in the result. A call that does
   not fit raises `jaxtyping.TypeCheckError`, which names the argument, what came, what was expected and what to do.
   Of a sequence or a mapping each entry is checked, and a bool is no number.
2. **What arguments share.** With `same="dtype device"`, all float tensors have one dtype and all tensors are on one
   device. Otherwise `ValueError`.
3. **Values.** Some of the names below also say which values are allowed, such as `FlowTimes` and `PositiveInt`.
   Otherwise `ValueError`. The checks themselves are in `groot_teach.checks`.

Nothing is ever cast, broadcast or moved to another device to make a call fit.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial, wraps
from typing import Annotated, Any, Literal, TypeVar, get_args, overload

from beartype import beartype
from jaxtyping import Bool, Float, TypeCheckError, jaxtyped
from torch import Tensor

from groot_teach.checks import at_least_1, between_0_and_1, is_flow_time
from groot_teach.complaints import complaint, has_entries, in_short, takes_numbers


@dataclass(frozen=True)
class Where:
    """Attaches a check on values to a type: `Annotated[int, Where(at_least_1)]` is an int that is at least 1."""

    check: Callable[[str, Any], None]

    def __repr__(self) -> str:
        return self.check.__name__


# -------------------------------------------------------------------------------------------- shapes that recur

ActionChunks = Float[Tensor, "batch action_horizon action_dim"]
"""Float, `batch action_horizon action_dim`: a number for each entry of action chunks: actions, noise or velocities.
An action chunk is a few future actions, one for each step."""

ActionMask = Bool[Tensor, "batch action_horizon action_dim"]
"""Bool, `batch action_horizon action_dim`: True = a real entry of the action chunk, False = padding."""

DimMask = Bool[Tensor, "batch padded_dim"]
"""Bool, `batch padded_dim`: True = this robot has this action dim. `padded_dim` is the last axis of a padded batch."""

StepMask = Bool[Tensor, "batch action_horizon"]
"""Bool, `batch action_horizon`: True = this step of the chunk was recorded, False = it was filled in."""

TokenMask = Bool[Tensor, "batch key_len"]
"""Bool, `batch key_len`, for each vision-language token of each sample: in `backbone_attention_mask` True = a real
token, in `image_mask` True = a token of a camera."""

AttentionMask = Bool[Tensor, "batch query_len key_len"]
"""Bool, `batch query_len key_len`: True = this query may read this key."""

FlowTimes = Annotated[Float[Tensor, " batch"], Where(is_flow_time)]
"""Float, `batch`: one flow time for each sample, 0 = noise, 1 = data. N1.5 also draws times a little below 0."""

ZeroToOne = Annotated[Float[Tensor, " batch"], Where(between_0_and_1)]
"""Float, `batch`: one number between 0 and 1 for each sample."""

Scalar = Float[Tensor, ""]
"""A single number: a float tensor without axes."""

FlowFunction = Callable[[Tensor, Tensor], Tensor]
"""Called with `noisy_actions` and `t` (batch), gives a tensor of the shape of `noisy_actions`."""

PositiveInt = Annotated[int, Where(at_least_1)]
"""A whole number from 1 to a million."""


# ---------------------------------------------------------------------------------------------------- the check

Checked = TypeVar("Checked", bound=Callable[..., Any])
Same = Literal["dtype", "device", "dtype device"]


@overload
def checked(function: Checked, /) -> Checked: ...
@overload
def checked(*, same: Same) -> Callable[[Checked], Checked]: ...
def checked(function: Callable[..., Any] | None = None, /, *, same: str = "") -> Any:
    """Checks each call of a function against its signature. A dataclass is checked when a record is made.

    Args:
        function: what follows the decorator, `@checked`.
        same: what the arguments share: `@checked(same="dtype")`, `"device"` or `"dtype device"`. Every tensor counts,
            on its own or as a value of a mapping. A bool or integer tensor takes no part in `dtype`.

    Raises:
        ValueError: `same` holds another word.
        TypeError: a class whose arguments should be the `same`, or with a check on values: only functions have those.
    """
    if same not in ("", *get_args(Same)):
        raise ValueError(f"same: got {same!r}, expected one of {', '.join(map(repr, get_args(Same)))}")
    return _checked(same.split(), function) if function else partial(_checked, same.split())


def expect_same(trait: Literal["dtype", "device"], **tensors: Tensor) -> None:
    """Checks that tensors share a dtype, or a device, which their annotations cannot say.

    Raises:
        ValueError: they do not. The message names them and what came.
    """
    values = [str(getattr(tensor, trait)) for tensor in tensors.values()]
    if len(set(values)) > 1:
        remedy = (
            f"convert what differs, as in x.to({values[0]})"
            if trait == "dtype"
            else f'move them, as in x.to("{values[0]}")'
        )
        raise ValueError(f"{', '.join(tensors)}: got {trait} {', '.join(values)}, expected the same; {remedy}")


def _checked(traits: list[Any], function: Callable[..., Any]) -> Any:
    signature = inspect.signature(function)
    rules = [(name, rule) for name, part in signature.parameters.items() for rule in _rules(part.annotation)]
    if not traits and not rules:
        return _in_short(jaxtyped(function, typechecker=beartype), signature)
    if isinstance(function, type):
        raise TypeError(f"{function.__name__}: got a class, expected a function: only its arguments have more checks")

    @wraps(function)
    def with_checks(*args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(*args, **kwargs).arguments
        for trait in traits:
            expect_same(trait, **_tensors(arguments, floats_only=trait == "dtype"))
        for name, rule in rules:
            if arguments.get(name) is not None:
                rule.check(name, arguments[name])
        return function(*args, **kwargs)

    # Shapes and dtypes are checked first, so they are outside.
    return _in_short(jaxtyped(with_checks, typechecker=beartype), signature)


def _in_short(function: Any, signature: inspect.Signature) -> Any:
    """The same function, or dataclass; but each entry of a container is checked, and an error is one line."""
    if isinstance(function, type):
        parameters = inspect.signature(function.__init__).parameters
        function.__init__ = _with_one_line(function.__init__, parameters, function.__name__)
        return function
    return _with_one_line(function, signature.parameters, function.__qualname__)


def _with_one_line(function: Any, parameters: Mapping[str, inspect.Parameter], title: str) -> Any:
    annotations = {name: parameter.annotation for name, parameter in parameters.items()}
    of_interest = {name: kind for name, kind in annotations.items() if has_entries(kind) or takes_numbers(kind)}
    signature, title = (
        inspect.Signature(list(parameters.values())),
        title.split(".<locals>.")[-1].removesuffix(".__init__"),
    )

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if of_interest:
            values = _bound(signature, args, kwargs)
            for name in (name for name in of_interest if name in values):
                if said := complaint(name, values[name], of_interest[name]):
                    raise TypeCheckError(f"parameter '{name}' of {title}: {said.removeprefix(f'{name}: ')}")
        try:
            return function(*args, **kwargs)
        except TypeCheckError as error:
            said = in_short(str(error), title, annotations, _bound(signature, args, kwargs))
            if said is None:
                raise
            raise TypeCheckError(said) from None
        except TypeError:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as misfit:  # such as a missing argument
                raise TypeError(f"{title}: {_misfit(signature, args, kwargs) or misfit}") from None
            raise

    return call


def _misfit(signature: inspect.Signature, args: Any, kwargs: Mapping[str, Any]) -> str:
    """For an argument that a function does not have: which one may be meant, and which there are; "" if it has all."""
    parameters = signature.parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    names = [name for name in parameters if name != "self"]
    unknown = [name for name in kwargs if name not in names]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        close = get_close_matches(unknown[0], names, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return f"got an unexpected keyword argument {unknown[0]!r}; {meant}the arguments are {', '.join(names)}"
    named_only = [name for name in names if parameters[name].kind == inspect.Parameter.KEYWORD_ONLY]
    most = len(parameters) - len(named_only)
    if len(args) > most and inspect.Parameter.VAR_POSITIONAL not in kinds:
        own = len(parameters) - len(names)  # `self`
        by_name = f"; by name: {', '.join(named_only)}" if named_only else ""
        return f"got {len(args) - own} arguments without a name, expected at most {most - own}{by_name}"
    return ""


def _bound(signature: inspect.Signature, args: Any, kwargs: Any) -> Mapping[str, Any]:
    """The arguments by their names; none if they do not fit, which the call itself then says."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError:
        return {}


def _rules(annotation: Any) -> list[Where]:
    """The checks on values of `Annotated[...]`, also in `Annotated[...] | None`."""
    parts = (annotation, *get_args(annotation))
    return [rule for part in parts for rule in getattr(part, "__metadata__", ()) if isinstance(rule, Where)]


def _tensors(arguments: Mapping[str, Any], floats_only: bool) -> dict[str, Tensor]:
    named = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            named |= {f"{name}[{key!r}]": item for key, item in value.items()}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() or not floats_only}
