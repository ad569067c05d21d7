"""What a policy draws at random: written down once, and handed to it again.

Two runs of a policy can only be compared if both draw the same numbers. A seed does not promise that: a run that draws
one number more, or the same numbers for a batch of another size, goes on with other ones. So the auditor does not lean
on seeds. It writes down every draw of a first run, in order, and puts those numbers in place of what is drawn later.

It is done where PyTorch hands its operations to the machine, so it does not matter whether the policy calls
`torch.randn`, a distribution, a generator of its own, or dropout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class OtherDraws(RuntimeError):
    """A run drew something else than the one whose draws it was to repeat. The message says what."""


class Recorder(TorchDispatchMode):
    """While it is open, every draw is written down: `drawn`, in order."""

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
    """While it is open, each draw gives the next of `drawn`.

    Raises:
        OtherDraws: a draw of another shape, or one too many; `finish` raises it for draws that are left over.
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
    """Fused attention is marked as random too, for the sake of its dropout; on a CPU it draws by itself nothing."""
    return torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()) and isinstance(out, Tensor)
