"""Embodiments: widths and slices typed out by hand, and every robot that cannot exist refused."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groot_teach.embodiments import DUAL_ARM, GR1, SO101, Embodiment

quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def test_the_three_robots_have_the_widths_of_the_book():
    assert (DUAL_ARM.action_dim, GR1.action_dim, SO101.action_dim) == (16, 26, 6)


def test_the_groups_stand_where_the_book_says():
    assert DUAL_ARM.group_slices == {"arm": slice(0, 14), "claw": slice(14, 16)}
    assert GR1.group_slices == {
        "left_arm": slice(0, 7),
        "right_arm": slice(7, 14),
        "left_hand": slice(14, 20),
        "right_hand": slice(20, 26),
    }
    assert SO101.group_slices == {"arm": slice(0, 5), "gripper": slice(5, 6)}


def test_no_two_robots_share_a_name_an_id_or_a_width():
    robots = (DUAL_ARM, GR1, SO101)
    assert [robot.name for robot in robots] == ["dual-arm", "GR1", "SO-101"]
    assert [robot.embodiment_id for robot in robots] == [0, 1, 2]
    assert len({robot.action_dim for robot in robots}) == 3


def test_groups_keep_the_order_in_which_they_were_given():
    robot = Embodiment("three", (("z", 2), ("a", 3), ("m", 5)), embodiment_id=7)
    assert list(robot.group_slices.items()) == [("z", slice(0, 2)), ("a", slice(2, 5)), ("m", slice(5, 10))]


@quick
@given(sizes=st.lists(st.integers(1, 13), min_size=1, max_size=7))
def test_group_slices_cover_each_dim_exactly_once(sizes):
    robot = Embodiment("any", tuple((f"group {i}", size) for i, size in enumerate(sizes)), embodiment_id=0)
    dims = list(range(robot.action_dim))
    assert [dim for group in robot.group_slices.values() for dim in dims[group]] == list(range(sum(sizes)))


def test_groups_may_come_as_anything_that_can_be_walked_and_are_the_robots_own():
    groups = [["arm", 2], ["claw", 1]]
    robots = [Embodiment("any", given, 0) for given in (groups, zip(("arm", "claw"), (2, 1), strict=True))]
    groups[0][1] = 99
    groups.append(["leg", 3])
    assert [robot.groups for robot in robots] == [(("arm", 2), ("claw", 1))] * 2


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("arm", r"groups of 'any': got 'arm', expected \(group name, number of dims\) pairs"),
        (3, "groups of 'any': got 3, expected"),
        ([("arm", 2), "leg"], r"groups of 'any'\[1\]: got 'leg', expected a \(group name"),
        ([("arm", 2, 3)], r"groups of 'any'\[0\]: got \('arm', 2, 3\)"),
        ([(7, 2)], r"groups of 'any'\[0\]: got \(7, 2\)"),
    ],
)
def test_what_are_no_groups_is_named_with_its_place(groups, message):
    with pytest.raises(ValueError, match=message):
        Embodiment("any", groups, 0)


def test_a_robot_cannot_be_changed_but_can_be_a_key():
    with pytest.raises(FrozenInstanceError):
        SO101.embodiment_id = 3
    assert {SO101: "desk"}[Embodiment("SO-101", (("arm", 5), ("gripper", 1)), 2)] == "desk"


def test_a_robot_without_groups_is_refused():
    with pytest.raises(ValueError, match=r"groups of 'rock': got names \[\], expected at least one"):
        Embodiment("rock", (), 0)


def test_a_group_named_twice_is_refused():
    message = r"groups of 'twin': got names \['arm', 'claw', 'arm'\], expected .* each of them once"
    with pytest.raises(ValueError, match=message):
        Embodiment("twin", (("arm", 7), ("claw", 1), ("arm", 7)), 0)


@pytest.mark.parametrize("size", [0, -1])
def test_a_group_without_dims_is_refused(size):
    with pytest.raises(ValueError, match=rf"groups of 'stump': 'hand' has {size} dims, expected .*1 or more"):
        Embodiment("stump", (("arm", 1), ("hand", size)), 0)


def test_a_group_of_one_dim_is_fine():
    assert Embodiment("finger", (("finger", 1),), 0).action_dim == 1


def test_a_negative_id_is_refused():
    with pytest.raises(ValueError, match=r"embodiment_id of 'ghost': got -1, expected .*0 or more"):
        Embodiment("ghost", (("arm", 1),), -1)


@pytest.mark.parametrize(("size", "embodiment_id"), [(1.5, 0), (True, 0), (2, 0.0), (2, True)])
def test_sizes_and_ids_must_be_ints(size, embodiment_id):
    with pytest.raises((TypeError, ValueError), match="odd"):
        Embodiment("odd", (("arm", size),), embodiment_id)
