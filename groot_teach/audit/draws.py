"""What a policy draws at random: written down once, and handed to it again.

Two runs of a policy can only be compared if both draw the same random numbers. A seed does not ensure that: once a run
draws one number more, or draws for a batch of another size, all its later numbers differ. So the auditor does not rely
on seeds. It records every draw of a first run, in order, and replaces the draws of later runs by the recorded numbers.

Draws are caught where PyTorch dispatches its operations (`TorchDispatchMode`), so it does not matter whether the policy
calls `torch.randn`, a distribution, a generator of its own, or dropout.

To listen to every operation doubles the time of a small policy. `Sparingly` listens to those alone whose names sound
random. That is enough as long as the state of PyTorch's own generator does not change elsewhere, for what draws within
other operations uses that generator. Where it does change, or where draws are missing, the run is repeated and all of
it is listened to.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class OtherDraws(RuntimeError):
    """A run drew other numbers, or more or fewer, than the run whose draws it should repeat. The message says which."""


class Unheard(RuntimeError):
    """A run drew where nobody listened: it has to be repeated, and all of it listened to."""


class _Listening(TorchDispatchMode):
    """Listens to every operation of a run.

    Attributes:
        drawn: what was drawn, in order.
        precision: the coarsest rounding of all matrix products: the distance from 1 to the next number. A policy whose
            batch and loss are float64 may well multiply its matrices in bfloat16.
    """

    supports_higher_order_operators = True  # such as flex attention

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []
        self.precision = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kind = _kind_of(func)
        if kind == "composite":  # as in inference mode: its parts draw, and what it returns is more than its draws
            with self:
                return func.decompose(*args, **(kwargs or {}))
        out = func(*args, **kwargs) if kwargs else func(*args)
        if not kind:
            return out
        if kind == "product":
            said = out[0] if isinstance(out, tuple) else out  # attention returns what its backward needs as well
            if said.is_floating_point():
                self.precision = max(self.precision, torch.finfo(said.dtype).eps)
            return out
        if "native_dropout" in str(func) and args[2] is not False:  # False = not in training, when nothing is dropped
            return self._dropped(args[0], args[1], *out)
        return self._draw(func, out) if isinstance(out, Tensor) else out

    def _dropped(self, values: Tensor, rate: float, out: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Dropout as one operation: only which entries were kept is drawn."""
        kept = self._draw("dropout", kept)
        return torch.where(kept, values / (1 - rate), 0), kept

    def _draw(self, func: object, out: Tensor) -> Tensor:
        raise NotImplementedError

    def finish(self) -> None:
        """Ends a run."""


PRODUCTS = ("aten.mm.", "aten.addmm.", "aten.bmm.", "aten.baddbmm.", "aten.convolution.", "aten._scaled_dot_product")
"""The operations that multiply matrices."""


@cache
def _kind_of(func: Any) -> Literal["", "product", "draw", "composite"]:
    """What an operation does: `composite` is tagged as random and made of others, such as attention or dropout."""
    random = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
    if random and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return "composite"
    if str(func).startswith(PRODUCTS):
        return "product"
    return "draw" if random else ""


def keep_everything(drawn: Sequence[Tensor]) -> list[Tensor] | None:
    """The same draws, with dropout that keeps everything; None = nothing in them is dropped.

    A draw of zeros and one other number is taken for dropout.
    """
    drops = [len(one.unique()) == 2 and bool(one.eq(0).any()) for one in drawn]
    if not any(drops):
        return None
    return [torch.full_like(one, one.max().item()) if drop else one for one, drop in zip(drawn, drops, strict=True)]


class Recorder(_Listening):
    """Inside `with Recorder() as recorder`, every draw is recorded in `recorder.drawn`, in order."""

    def _draw(self, func: object, out: Tensor) -> Tensor:
        self.drawn.append(out.clone())
        return out


class Replayer(_Listening):
    """Inside `with Replayer(drawn)`, each draw gives the next tensor of `drawn`.

    Raises:
        OtherDraws: a draw has another shape, or there are more draws than `drawn` has; `finish` raises it for fewer.
    """

    def __init__(self, drawn: Sequence[Tensor]) -> None:
        super().__init__()
        self.drawn = [*drawn]
        self.place = 0

    def _draw(self, func: object, out: Tensor) -> Tensor:
        if self.place == len(self.drawn):
            raise OtherDraws(f"it drew more than {len(self.drawn)} times, {tuple(out.shape)} at last")
        given = self.drawn[self.place]
        if given.shape != out.shape:
            by = "dropout" if "bernoulli" in str(func) else str(func)
            expected = f"expected {tuple(given.shape)}"
            raise OtherDraws(f"draw {self.place} ({by}) has the shape {tuple(out.shape)}, {expected}")
        self.place += 1
        return out.copy_(given)

    def finish(self) -> None:
        if self.place < len(self.drawn):
            raise OtherDraws(f"it drew {self.place} times, expected {len(self.drawn)}")


SOUND_RANDOM = {
    "rand",
    "normal",
    "uniform",
    "bernoulli",
    "binomial",
    "multinomial",
    "exponential",
    "poisson",
    "cauchy",
    "gamma",
    "geometric",
    "dirichlet",
    "gumbel",
    "drop",
    "rrelu",
    "attention",
}
"""Parts of the names of functions that may draw. All that can be given a generator of the caller's must be among them:
what they drew would not be noticed. Any other name that is missing costs a repeated run, and nothing else."""


class Sparingly(TorchFunctionMode):
    """Inside `with Sparingly(listener)`, the listener hears only the functions whose names sound random.

    Of PyTorch's own generators it watches that of the CPU, so it is not for machines with an accelerator.

    Raises:
        Unheard: another function drew as well; `finish` raises it too.
    """

    def __init__(self, listener: Recorder | Replayer) -> None:
        super().__init__()
        self.listener = listener
        self.state = torch.default_generator.get_state()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if not _sounds_random(getattr(func, "__name__", "")):
            return func(*args, **kwargs) if kwargs else func(*args)
        self._check_that_nothing_was_drawn()
        with self.listener:
            out = func(*args, **(kwargs or {}))
        self.state = torch.default_generator.get_state()
        return out

    def finish(self) -> None:
        self._check_that_nothing_was_drawn()
        self.listener.finish()

    def _check_that_nothing_was_drawn(self) -> None:
        if not torch.equal(self.state, torch.default_generator.get_state()):
            raise Unheard("something drew whose name does not sound random, or it set the state of the generator")


@cache
def _sounds_random(name: str) -> bool:
    return any(part in name for part in SOUND_RANDOM)
