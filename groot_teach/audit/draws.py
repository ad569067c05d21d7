"""What a policy draws at random: written down once, and handed to it again.

Two runs of a policy can only be compared if both draw the same random numbers. A seed does not ensure that: once a run
draws one number more, or draws for a batch of another size, all its later numbers differ. So the auditor does not rely
on seeds. It records every draw of a first run, in order, and replaces the draws of later runs by the recorded numbers.

Draws are caught where PyTorch dispatches its operations (`TorchDispatchMode`), so it does not matter whether the policy
calls `torch.randn`, a distribution, a generator of its own, or dropout.

Some draws are made with numbers of the policy: normal numbers around a predicted mean, or a token from predicted
probabilities. To give such a result back would hide how those numbers came about. So what is recorded is the noise
behind it, from which each run makes its own result. Where no such noise is known, as for a gamma distribution, the
numbers are recorded with the result, and a run in which they differ cannot be repeated.

A choice, such as a token or a Bernoulli draw, shows a small change of its probabilities only where its noise lies at
the brink of another choice. So the noise is put there, where it gives the same result.

Uniform numbers that are compared with a number decide something as well: `torch.rand(batch) < 0.1` drops a condition.
What such a draw hid would be found lost, or its leak be missed, by chance. So it is noted what they are compared with,
and the audit goes on with numbers that come out as most of them do: a condition is kept.

To listen to every operation doubles the time of a small policy. `Sparingly` listens to those alone whose names sound
random. That is enough as long as the state of PyTorch's own generator does not change elsewhere, for what draws within
other operations uses that generator. Where it does change, or where draws are missing, the run is repeated and all of
it is listened to.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from operator import is_
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
        chances: the probabilities of each choice, such as that of a token.
    """

    supports_higher_order_operators = True  # such as flex attention

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []
        self.precision = 0.0
        self.chances: list[Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kind = _kind_of(func)
        if kind == "composite":  # as in inference mode: its parts draw, and what it returns is more than its draws
            with self:
                return func.decompose(*args, **(kwargs or {}))
        out = func(*args, **kwargs) if kwargs else func(*args)
        if not kind:
            return out
        if kind == "comparison":
            self._compare(*args[:2])
            return out
        if kind == "product":
            said = out[0] if isinstance(out, tuple) else out  # attention returns what its backward needs as well
            if said.is_floating_point():
                self.precision = max(self.precision, torch.finfo(said.dtype).eps)
            return out
        if "native_dropout" in str(func) and args[2] is not False:  # False = not in training, when nothing is dropped
            return self._dropped(args[0], args[1], *out)
        if not isinstance(out, Tensor):
            return out
        noise, made_of = _behind(str(func), args, out, self.precision)
        if str(func).startswith((*BERNOULLI, MULTINOMIAL)):
            self.chances.append(next(one for one in reversed(args) if isinstance(one, Tensor)).detach().clone())
        drawn = self._draw(func, noise)
        return drawn if made_of is None else out.copy_(made_of(drawn))

    def _dropped(self, values: Tensor, rate: float, out: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Dropout as one operation: only which entries were kept is drawn."""
        kept = self._draw("dropout", kept)
        return torch.where(kept, values / (1 - rate), 0), kept

    def _draw(self, func: object, out: Tensor) -> Tensor:
        raise NotImplementedError

    def _compare(self, one: Any, other: Any) -> None:
        """Notes that two things are compared."""

    def finish(self) -> None:
        """Ends a run."""


UNIFORM = ("aten.rand.", "aten.rand_like.", "aten.uniform_.", "aten.uniform.")
COMPARISONS = ("aten.lt.", "aten.le.", "aten.gt.", "aten.ge.")

PRODUCTS = ("aten.mm.", "aten.addmm.", "aten.bmm.", "aten.baddbmm.", "aten.convolution.", "aten._scaled_dot_product")
"""The operations that multiply matrices."""


BERNOULLI = ("aten.bernoulli.default", "aten.bernoulli.out", "aten.bernoulli.Tensor", "aten.bernoulli_.T")
MULTINOMIAL = "aten.multinomial."
"""The operations that choose with probabilities that a policy may have predicted."""


@cache
def _kind_of(func: Any) -> Literal["", "product", "draw", "composite", "comparison"]:
    """What an operation does: `composite` is tagged as random and made of others, such as attention or dropout."""
    random = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
    if random and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return "composite"
    if str(func).startswith(PRODUCTS):
        return "product"
    if str(func).startswith(COMPARISONS):
        return "comparison"
    return "draw" if random else ""


class Chances(Tensor):
    """Uniform numbers that a Bernoulli draw compares with its probabilities: below it is 1. A slice is of this kind."""


def _behind(
    name: str, args: Sequence[Any], out: Tensor, precision: float
) -> tuple[Tensor, Callable[[Tensor], Tensor] | None]:
    """The noise behind a draw that is made with numbers of the policy, and how the result is made of it.

    Args:
        name: the operation.
        args: what it was given.
        out: what it drew; for all other operations, that is the noise itself, and None is made of it.
        precision: the rounding of the policy, as the distance from 1 to the next number.
    """
    if name.startswith(("aten.normal.Tensor", "aten.normal.float_Tensor")):
        mean, std = args if len(args) == 2 else (args[0], 1)
        return torch.randn_like(out), lambda noise: noise * std + mean
    if name.startswith(BERNOULLI):
        chance = args[-1]
        margin = _margin(chance, precision)
        at_brink = torch.where(out.bool(), chance - margin, chance + margin).to(_exact(chance))
        drawn = at_brink.as_subclass(Chances)
        _note(drawn, at_brink, chance)
        return drawn, lambda noise: noise.as_subclass(Tensor) < chance
    if name.startswith(MULTINOMIAL):
        chances, count = args[:2]
        if count > 1 and not any(args[2:]):  # each class at most once
            waited = torch.empty_like(chances, dtype=_exact(chances)).exponential_()
            return waited, lambda noise: (chances / noise).topk(count).indices
        up_to = chances.to(_exact(chances)).cumsum(dim=-1)
        up_to = up_to / up_to[..., -1:]
        return _at_brink(up_to, out, _margin(chances, precision)), partial(_class_at, up_to)
    if name.startswith(("aten._standard_gamma.", "aten._sample_dirichlet.", "aten.poisson.", "aten.binomial.")):
        numbers = [one for one in args if isinstance(one, Tensor)]
        return torch.stack([out, *numbers], dim=-1), partial(_of_the_same, name, numbers)
    return out, None


def _exact(chances: Tensor) -> torch.dtype:
    return torch.promote_types(chances.dtype, torch.float32)


def _margin(chances: Tensor, precision: float) -> float:
    """How far noise is from the brink: as far as a policy's rounding can move its probabilities."""
    return 2 * max(precision, torch.finfo(chances.dtype).eps) ** 0.5


def _at_brink(up_to: Tensor, chosen: Tensor, margin: float) -> Tensor:
    """A number within the range of each chosen class, at an end where another class begins."""
    high = up_to.gather(-1, chosen)
    low = high - up_to.diff(dim=-1, prepend=torch.zeros_like(up_to[..., :1])).gather(-1, chosen)
    at_low = (low > 0) & (torch.rand_like(low) < 0.5) | (high >= 1)
    inside = torch.where(at_low, low + margin, high - margin)
    return torch.where(high - low > 2 * margin, inside, (low + high) / 2)


def _class_at(up_to: Tensor, noise: Tensor) -> Tensor:
    """The first class at which the chances add up to more than the noise."""
    return torch.searchsorted(up_to, noise.contiguous(), right=True).clamp(max=up_to.shape[-1] - 1)


def _of_the_same(name: str, numbers: Sequence[Tensor], drawn: Tensor) -> Tensor:
    """What was drawn, if it was drawn with the same numbers: up to half of the digits, as sums are rounded."""
    result, *before = drawn.unbind(dim=-1)
    for one, other in zip(numbers, before, strict=True):
        if not torch.allclose(one, other, rtol=torch.finfo(one.dtype).eps ** 0.5, atol=0):
            raise OtherDraws(f"{name} draws with other numbers than in the first run, so it cannot be repeated")
    return result


def _brinks_of(drawn: Tensor) -> list[tuple[Any, Tensor]]:
    """What was noted beside a record: which parts of it are compared, and with what."""
    return vars(drawn).get("brinks", [])


def _note(record: Tensor, drawn: Tensor, brink: Any) -> None:
    """Notes beside a record which part of it is compared, and with what."""
    brink = torch.as_tensor(brink, device=drawn.device).detach().clone()
    if torch.broadcast_shapes(brink.shape, drawn.shape) == drawn.shape:
        place = drawn.shape, drawn.stride(), drawn.storage_offset()
        vars(record)["brinks"] = [*_brinks_of(record), (place, brink)]


def decided(drawn: Sequence[Tensor], *, usual: bool) -> list[Tensor] | None:
    """The same draws, with all comparisons as they usually come out, or with all of them the other way.

    Numbers that come out otherwise are mirrored at what they are compared with. None = there is nothing to change.
    """
    other = [*drawn]
    for at, one in enumerate(drawn):
        for place, brink in _brinks_of(one):
            part = other[at].as_strided(*place)
            wrong = (part > brink) != ((brink <= 0.5) == usual)
            if wrong.any():
                changed = other[at].clone()
                changed.as_strided(*place).copy_(torch.where(wrong, (2 * brink - part).clamp(0, 1 - 1e-4), part))
                vars(changed)["brinks"] = _brinks_of(one)
                other[at] = changed
    return None if all(map(is_, other, drawn)) else other


def keep_everything(drawn: Sequence[Tensor]) -> list[Tensor] | None:
    """The same draws, with dropout that keeps everything; None = nothing in them is dropped.

    A draw of zeros and one other number is taken for dropout, and so is each Bernoulli draw with its own probabilities.
    """
    kept = [_kept(one) for one in drawn]
    if all(one is None for one in kept):
        return None
    return [one if keep is None else keep for one, keep in zip(drawn, kept, strict=True)]


def _kept(one: Tensor) -> Tensor | None:
    if isinstance(one, Chances):
        return torch.zeros_like(one)
    drops = len(one.unique()) == 2 and bool(one.eq(0).any())
    return torch.full_like(one, one.max().item()) if drops else None


class Recorder(_Listening):
    """Inside `with Recorder() as recorder`, every draw is recorded in `recorder.drawn`, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._uniform: list[tuple[Tensor, Tensor]] = []  # what was drawn, and its record

    def _draw(self, func: object, out: Tensor) -> Tensor:
        self.drawn.append(out.clone())
        vars(self.drawn[-1])["brinks"] = _brinks_of(out)
        if str(func).startswith(UNIFORM):
            self._uniform.append((out, self.drawn[-1]))
        return out

    def _compare(self, one: Any, other: Any) -> None:
        for drawn, brink in ((one, other), (other, one)):
            for out, record in self._uniform:
                if isinstance(drawn, Tensor) and drawn.untyped_storage().data_ptr() == out.untyped_storage().data_ptr():
                    _note(record, drawn, brink)


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
            by = "dropout, or bernoulli_" if "bernoulli_.float" in str(func) else str(func)
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
