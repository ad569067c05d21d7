"""What a policy draws at random: written down once, and handed to it again.

Two runs of a policy can only be compared if both draw the same random numbers. A seed does not ensure that: once a run
draws one number more, or draws for a batch of another size, all its later numbers differ. So the auditor does not rely
on seeds. It records every draw of a first run, in order, and replaces the draws of later runs by the recorded numbers.

Draws are caught where PyTorch dispatches its operations (`TorchDispatchMode`), so it does not matter whether the policy
calls `torch.randn`, a distribution, a generator of its own, or dropout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class OtherDraws(RuntimeError):
    """A run drew other numbers, or more or fewer, than the run whose draws it should repeat. The message says which."""


class Recorder(TorchDispatchMode):
    """Inside `with Recorder() as recorder`, every draw is recorded in `recorder.drawn`, in order."""

    supports_higher_order_operators = True  # such as flex attention

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if _is_draw(func, out):
            self.drawn.append(out.detach().clone())
        return out


class Replayer(TorchDispatchMode):
    """Inside `with Replayer(drawn)`, each draw gives the next tensor of `drawn`.

    Raises:
        OtherDraws: a draw has another shape, or there are more draws than `drawn` has; `finish` raises it for fewer.
    """

    supports_higher_order_operators = True

    def __init__(self, drawn: Sequence[Tensor]) -> None:
        super().__init__()
        self.drawn = drawn
        self.place = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not _is_draw(func, out):
            return out
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


def _is_draw(func, out: object) -> bool:
    """Whether an operation draws. Fused attention is tagged as random for its dropout; on a CPU it draws nothing."""
    return torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()) and isinstance(out, Tensor)
