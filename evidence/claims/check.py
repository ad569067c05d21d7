"""What a check of a claim is: a function that builds a small world, measures in it, and says a verdict and its figures.

The arguments of a check describe the world, and their defaults are the world of the note. Each check also names one
other world, in which the verdict has to come out differently: this shows that the check can fail. The words that a
verdict may be are defined in `book/_ext/claims.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Found:
    """What a check found: the verdict, which is one word, and by name the rounded figures from which it follows."""

    verdict: str
    figures: dict[str, str]


@dataclass(frozen=True)
class Check:
    """A check, and another world in which its verdict is another one.

    Attributes:
        run: the check. Called without arguments, it measures in the world of the note.
        otherwise: the other world in words, which follow the word "with" on the page.
        world: the other world as arguments of `run`.
    """

    run: Callable[..., Found]
    otherwise: str
    world: dict

    def record(self) -> dict:
        """What the check finds in both worlds, in the form in which `book/claims.json` stores it."""
        found, other = self.run(), self.run(**self.world)
        return {
            "check": self.run.__name__,
            "verdict": found.verdict,
            "figures": found.figures,
            "otherwise": {"with": self.otherwise, "verdict": other.verdict},
        }


CHECKS: dict[int, Check] = {}
"""Every check by the number of its claim. `claim` fills this in when the modules with the checks are imported."""


def claim(number: int, otherwise: str, **world) -> Callable:
    """Decorates the function that is the check of this claim.

    Args:
        number: of the claim, as in `book/claims.yml`.
        otherwise: the other world in words, which follow the word "with" on the page.
        world: the other world, as arguments of the check.
    """

    def register(run: Callable[..., Found]) -> Callable[..., Found]:
        if number in CHECKS:
            raise ValueError(f"number: claim {number} already has the check {CHECKS[number].run.__name__}")
        CHECKS[number] = Check(run, otherwise, world)
        return run

    return register


def percent(part: float | Tensor) -> str:
    """A part of 1 in percent with one decimal; an exact zero is written as "0"."""
    return f"{100 * float(part):.1f}%" if part else "0"


def apart(one: Tensor, other: Tensor) -> float:
    """The norm of the difference, divided by the norm of `other`. It is 0 only if both are equal to the last bit."""
    return ((one - other).norm() / other.norm()).item()
