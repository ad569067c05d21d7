"""Embodiments: the robots of this book, how many action dimensions each has, and what each dimension moves.

An *embodiment* is the body of a robot. One policy can serve several, and they differ in the number of their action
dimensions ("dims"), such as one for each joint. The book uses three robots of different widths, because a batch that
holds all three has to be padded, and padding is what masks are for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def as_groups(name: str, groups: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    """Checks groups of dims, and gives them as a tuple of `(group name, number of dims)` pairs.

    Args:
        name: the argument that an error names.
        groups: such pairs, in any kind of sequence.

    Raises:
        ValueError: something else than such pairs.
    """
    try:
        given = None if isinstance(groups, str) else [*groups]
    except TypeError:  # such as a number, or a tensor without axes
        given = None
    if given is None:
        raise ValueError(f"{name}: got {groups!r:.60}, expected (group name, number of dims) pairs")
    pairs = []
    for place, pair in enumerate(given):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"{name}[{place}]: got {pair!r:.60}, expected a (group name, number of dims) pair")
        if type(pair[1]) is not int or pair[1] < 1:
            raise ValueError(f"{name}: {pair[0]!r} has {pair[1]!r} dims, expected an int, 1 or more")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


@dataclass(frozen=True)
class Embodiment:
    """A robot's body: its action dimensions in order, in named groups.

    Attributes:
        name: the robot's name in tables and figures.
        groups: `(group name, number of dims)` pairs, in the order of the dims in `actions`.
        embodiment_id: an integer that tells robots apart. A policy that serves several has an action encoder and a
            decoder for each of them, and selects them by this number.

    Raises:
        ValueError: there is no group, a group has no dims or the name of another, or `embodiment_id` is negative.
    """

    name: str
    groups: tuple[tuple[str, int], ...]
    embodiment_id: int

    def __post_init__(self) -> None:
        # A copy of its own, in which nobody can change anything, and for which an iterator is walked only once.
        object.__setattr__(self, "groups", as_groups(f"groups of {self.name!r}", self.groups))
        names = [name for name, _ in self.groups]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"groups of {self.name!r}: got names {names}, expected at least one, each of them once")
        if type(self.embodiment_id) is not int or self.embodiment_id < 0:
            got = repr(self.embodiment_id)
            raise ValueError(f"embodiment_id of {self.name!r}: got {got}, expected an int, 0 or more")

    @property
    def action_dim(self) -> int:
        """The number of action dimensions that this robot has, without padding."""
        return sum(size for _, size in self.groups)

    @property
    def group_slices(self) -> dict[str, slice]:
        """The dims of each group in the last axis of `actions`: `{"arm": slice(0, 14), "claw": slice(14, 16)}`."""
        slices, start = {}, 0
        for name, size in self.groups:
            slices[name] = slice(start, start + size)
            start += size
        return slices


DUAL_ARM = Embodiment("dual-arm", (("arm", 14), ("claw", 2)), embodiment_id=0)
"""Two arms of seven joints with one claw each: the robot of the note on which this book is based.

Source: the note's `action_arm_dim` 14 and claw 2, KKXiaoKang/humanoid_groot at 4a1a0c81,
`docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md`.
"""

GR1 = Embodiment("GR1", (("left_arm", 7), ("right_arm", 7), ("left_hand", 6), ("right_hand", 6)), embodiment_id=1)
"""The upper body of Fourier's GR1 humanoid. Its recordings hold 44 dims, of which legs, neck and waist are always 0.

Source: the groups and sizes in `meta/modality.json` of Isaac-GR00T's GR1 demo data. In the two of its episodes that we
read, the left hand is commanded and never moves: 19 of the 26 dims change. The order is ours, arms first; among the 44
columns of the recording the groups are in other places, so `recordings.read_episode` collects them by name.
"""

SO101 = Embodiment("SO-101", (("arm", 5), ("gripper", 1)), embodiment_id=2)
"""A desktop arm with five joints and a gripper, the usual first robot of LeRobot's users."""

TOY_DUAL_ARM = Embodiment("dual arm", (("arm", 3), ("claw", 1)), embodiment_id=0)
"""A toy robot of 4 dims, for pictures that show every entry and for policies that train in seconds."""

TOY_SMALL_ARM = Embodiment("small arm", (("arm", 1), ("gripper", 1)), embodiment_id=1)
"""A toy robot of 2 dims."""

TOY_HUMANOID = Embodiment("humanoid", (("arm", 4), ("hand", 2)), embodiment_id=2)
"""A toy robot of 6 dims."""
