"""Shapes in signatures, checked at every public door.

`@checked` reads the jaxtyping annotations of a function, such as `Float[Tensor, "batch action_horizon action_dim"]`,
and checks each call against them: the number of axes, the axes that share a name, and the dtype.
A call that does not fit raises `jaxtyping.TypeCheckError`, which names the argument, what came and what was expected.
It never casts and never broadcasts.
"""

from typing import Literal

from beartype import beartype
from jaxtyping import jaxtyped
from torch import Tensor

checked = jaxtyped(typechecker=beartype)


def expect_same(trait: Literal["dtype", "device"], **tensors: Tensor) -> None:
    """What a signature cannot say: that arguments share a dtype, or a device.

    Raises:
        ValueError: they do not. The message names them and what came.
    """
    values = [str(getattr(tensor, trait)) for tensor in tensors.values()]
    if len(set(values)) > 1:
        raise ValueError(f"{', '.join(tensors)}: got {trait} {', '.join(values)}, expected the same")
