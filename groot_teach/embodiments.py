"""Which robot: how many action dimensions it has, and what each of them moves.

Three robots run through the whole book. They differ in width on purpose: a batch that holds all three is ragged, and a
ragged batch is where masks earn their keep.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Embodiment:
    """A robot body: its action dimensions in order, as named groups.

    Attributes:
        name: what the robot is called in tables and figures.
        groups: `(group name, number of dims)` pairs, in the order in which the dims stand in `actions`.
        embodiment_id: the int64 id that picks this robot's encoder and decoder in a head that serves many robots.

    Raises:
        ValueError: no group, a group without dims, a group named twice, or a negative `embodiment_id`.
    """

    name: str
    groups: tuple[tuple[str, int], ...]
    embodiment_id: int

    def __post_init__(self) -> None:
        names = [name for name, _ in self.groups]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"groups of {self.name!r}: got names {names}, expected at least one, each of them once")
        for name, size in self.groups:
            if type(size) is not int or size < 1:
                raise ValueError(f"groups of {self.name!r}: {name!r} has {size!r} dims, expected an int, 1 or more")
        if type(self.embodiment_id) is not int or self.embodiment_id < 0:
            got = repr(self.embodiment_id)
            raise ValueError(f"embodiment_id of {self.name!r}: got {got}, expected an int, 0 or more")

    @property
    def action_dim(self) -> int:
        """The number of real action dimensions, padding not counted."""
        return sum(size for _, size in self.groups)

    @property
    def group_slices(self) -> dict[str, slice]:
        """Where each group stands in the last axis of `actions`: `{"arm": slice(0, 14), "claw": slice(14, 16)}`."""
        slices, start = {}, 0
        for name, size in self.groups:
            slices[name] = slice(start, start + size)
            start += size
        return slices


DUAL_ARM = Embodiment("dual-arm", (("arm", 14), ("claw", 2)), embodiment_id=0)
"""Two 7-joint arms with one claw each: the robot of the note that this book grew from.

Source: the note's `action_arm_dim` 14 and claw 2, KKXiaoKang/humanoid_groot at 4a1a0c81,
`docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md`.
"""

GR1 = Embodiment("GR1", (("left_arm", 7), ("right_arm", 7), ("left_hand", 6), ("right_hand", 6)), embodiment_id=1)
"""The upper body of Fourier's GR1 humanoid. Its recordings hold 44 dims; legs, neck and waist are 0 in every step.

Source: the groups and sizes in `meta/modality.json` of Isaac-GR00T's GR1 demo data. In the two of its episodes that we
read, the left hand is commanded and never moves: 19 of the 26 dims change. The order is ours, arms first; in the
recording's 44 columns the groups stand elsewhere, so `lerobot.read_episode` gathers them by name.
"""

SO101 = Embodiment("SO-101", (("arm", 5), ("gripper", 1)), embodiment_id=2)
"""A desk-top arm with five joints and a gripper, the usual first robot of LeRobot's users."""

TOY_DUAL_ARM = Embodiment("dual arm", (("arm", 3), ("claw", 1)), embodiment_id=0)
TOY_SMALL_ARM = Embodiment("small arm", (("arm", 1), ("gripper", 1)), embodiment_id=1)
TOY_HUMANOID = Embodiment("humanoid", (("arm", 4), ("hand", 2)), embodiment_id=2)
"""Three robots of 4, 2 and 6 dims, as different in width as the real ones: for pictures of every entry, and for heads
that are trained in seconds."""
