"""Shapes in signatures, checked at every public door.

`@checked` reads the jaxtyping annotations of a function, such as `Float[Tensor, "batch action_horizon action_dim"]`,
and checks each call against them: the number of axes, the axes that share a name, and the dtype.
A call that does not fit raises `jaxtyping.TypeCheckError`, which names the argument, what came and what was expected.
It never casts and never broadcasts.
"""

from beartype import beartype
from jaxtyping import jaxtyped

checked = jaxtyped(typechecker=beartype)
