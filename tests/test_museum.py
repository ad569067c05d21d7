"""The museum: every bug runs and trains, breaks its own part only, and is found where the chapter says it is."""

import ast
import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import torch

from groot_teach import museum
from groot_teach.chapters.bugs.pictures import who_catches
from groot_teach.museum import (
    AUDITED,
    BATCHES,
    CHECKS,
    EXHIBITS,
    NO_BUG,
    PARTS,
    ToyPolicy,
    action_mask,
    audit,
    audited_checks,
    checks_on,
    everyday_checks,
    falls,
    policy_named,
    report_on,
    toy_batch,
    train_a_little,
    unmoved_by_flips,
)
from groot_teach.show.pictures import FILLS

ROOT = Path(__file__).parent.parent
CHAPTER = ROOT / "notebooks" / "07_silent_mask_bugs.ipynb"
BY_NUMBER = {exhibit.number: exhibit for exhibit in EXHIBITS}

LOSS_STEPS, LOSS_DIMS = ("loss sum", "steps"), ("loss sum", "dims")
COUNT, CROSS = ("loss count", "dims and steps"), ("DiT cross-attention", "tokens")
PLACES = {
    1: LOSS_STEPS,
    2: LOSS_DIMS,
    3: LOSS_DIMS,
    4: LOSS_STEPS,
    5: COUNT,
    6: COUNT,
    7: CROSS,
    8: CROSS,
    9: CROSS,
    10: ("DiT self-attention", "steps"),
    11: ("prediction", "samples"),
    12: ("prediction", "samples"),
    13: None,
    14: ("action encoder", "dims"),
    15: ("sampler", "dims"),
    16: CROSS,
}
"""Where each bug is, known from how it was made: the stage and the axis; 13 needs another batch."""


def cells(kind):
    return [cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells if cell.cell_type == kind]


# ------------------------------------------------------------------------------------------------ policy and batches


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_has_the_sizes_that_it_is_named_for(name):
    batch = toy_batch(name)
    for mask, sizes in zip(("dim_mask", "step_mask", "token_mask"), BATCHES[name], strict=True):
        assert batch[mask].sum(dim=1).tolist() == [*sizes]
    assert torch.equal(batch["action_is_pad"], ~batch["step_mask"])
    assert batch["actions"][~batch["dim_mask"][:, None].expand(-1, 5, -1)].eq(0).all()


def test_padded_steps_are_copies_of_the_last_action():
    actions = toy_batch()["actions"]
    assert torch.equal(actions[3, 2:], actions[3, 1].expand(3, -1))
    assert not torch.equal(actions[3, 1], actions[3, 0])


def test_another_seed_is_another_batch_of_the_same_sizes():
    one, other = toy_batch(seed=1), toy_batch(seed=2)
    assert not torch.equal(one["actions"], other["actions"])
    assert torch.equal(action_mask(one), action_mask(other))


def test_two_policies_have_the_same_weights_whatever_was_drawn_before():
    before = torch.random.get_rng_state()
    first = ToyPolicy().state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(5)
    again = ToyPolicy(reduce=museum.wrong_key).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_loss_is_the_mean_over_real_entries():
    batch = toy_batch()
    with torch.no_grad():
        predicted = ToyPolicy().answer(batch).prediction
        loss = ToyPolicy().loss(batch)
    error = (predicted - (batch["actions"] - batch["noise"])).square()
    sizes = zip(*BATCHES["ragged"][:2], strict=True)
    by_hand = sum(error[robot, :steps, :dims].sum() for robot, (dims, steps) in enumerate(sizes))
    torch.testing.assert_close(loss, by_hand / (5 * 7 + 3 * 4 + 4 * 2 + 2 * 5))


def test_real_entries_move_a_policy():
    batch = toy_batch()
    for name, mask in (("noise", action_mask(batch)), ("tokens", batch["token_mask"][:, :, None])):
        other = batch | {name: batch[name] + mask}
        with torch.no_grad():
            assert not torch.equal(ToyPolicy().loss(batch), ToyPolicy().loss(other))
            assert not torch.equal(ToyPolicy().sample(batch), ToyPolicy().sample(other))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: toy_batch("round"), "name: got 'round'"),
        (lambda: ToyPolicy(cross_masks=None), "parts: got 'cross_masks'"),
        (lambda: policy_named("17 nobody"), "name: got '17 nobody'"),
    ],
)
def test_what_is_unknown_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --------------------------------------------------------------------------------------------------------- exhibits


def test_exhibits_are_numbered_in_order_and_named_once():
    assert [*BY_NUMBER] == list(range(1, len(EXHIBITS) + 1))
    assert len({exhibit.title for exhibit in EXHIBITS}) == len(EXHIBITS) == 16


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.title)
def test_an_exhibit_replaces_parts_by_others_of_the_same_arguments(exhibit):
    for name, part in exhibit.parts.items():
        assert part is not PARTS[name]
        assert [*inspect.signature(part).parameters] == [*inspect.signature(PARTS[name]).parameters]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.title)
def test_no_exhibit_is_caught_by_its_shapes_or_its_training(exhibit):
    checks = everyday_checks(exhibit.policy())
    assert not checks["shapes"]
    assert not checks["training"]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.title)
def test_a_bug_is_found_where_it_was_made(exhibit):
    found = [(finding.stage, finding.axis) for finding in report_on(exhibit.name).findings]
    place = PLACES[exhibit.number]
    assert found == [] if place is None else place in found


@pytest.mark.parametrize("batch", BATCHES)
def test_the_right_policy_is_clean_on_every_batch(batch):
    assert report_on(NO_BUG, batch).is_clean


def test_the_right_policy_passes_every_check():
    assert checks_on(NO_BUG) == dict.fromkeys(CHECKS, False)


def missed(batch):
    return {exhibit.number for exhibit in EXHIBITS if not report_on(exhibit.name, batch).findings}


def test_what_other_batches_do_not_show():
    assert missed("ragged") == {13}
    assert missed("equal robots") == {11, 13}
    assert missed("one robot") == {11, 12, 13}
    assert missed("empty prompt") == set()


def test_a_wrong_divisor_that_is_the_same_for_all_is_seen_by_the_unit_error_alone():
    caught = audited_checks(report_on(BY_NUMBER[6].name, "equal robots"))
    assert [check for check in AUDITED if caught[check]] == ["unit error"]


def test_two_bugs_may_have_one_loss():
    batch = toy_batch()
    assert torch.equal(BY_NUMBER[1].policy().loss(batch), BY_NUMBER[4].policy().loss(batch))


def test_half_a_repair_trains_like_no_bug():
    assert train_a_little(BY_NUMBER[15].policy()) == train_a_little(ToyPolicy())


def test_too_much_masking_goes_by_an_auditor_that_does_not_listen_inside():
    assert audit(BY_NUMBER[16].policy(), taps=()).findings == ()
    kinds = {finding.kind for finding in report_on(BY_NUMBER[16].name).findings}
    assert kinds == {"lost"}


# ------------------------------------------------------------------------------------------------- everyday checks


def test_a_flip_finds_the_masks_that_the_loss_does_not_read():
    unread = {exhibit.number: unmoved_by_flips(exhibit.policy()) for exhibit in EXHIBITS}
    assert {number: names for number, names in unread.items() if names} == {
        1: ["step_mask"],
        3: ["dim_mask"],
        4: ["step_mask"],
        12: ["token_mask"],
    }


def test_the_everyday_checks_can_fail():
    grows = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: -squared_error.mean().sqrt()))
    assert grows == {"shapes": False, "training": False, "flip": True}  # the loss falls, and for ever
    still = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: 0 * squared_error.sum() + 1))
    assert still["training"]
    wide = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: squared_error.mean(dim=(1, 2))[:1]))
    assert wide["shapes"]


def test_a_loss_falls_if_its_end_is_a_tenth_below_its_start():
    assert falls([2.0] * 8 + [1.7] * 8)
    assert not falls([2.0] * 8 + [1.9] * 8)


# ------------------------------------------------------------------------------------------------------ the chapter


def functions(source):
    """Name -> the function without its docstring and annotations, as a tree in words."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.dump(node)
    return found


def test_the_chapter_writes_out_every_wrong_part_as_the_museum_has_it():
    shown = {name: tree for source in cells("code") for name, tree in functions(source).items()}
    ours = functions(inspect.getsource(museum))
    for exhibit in EXHIBITS:
        for part in exhibit.parts.values():
            assert shown[part.__name__] == ours[part.__name__], part.__name__


def test_the_chapter_cites_the_threads_of_every_exhibit_and_numbers_it():
    prose = "\n".join(cells("markdown"))
    cited = {key for keys in re.findall(r"\{cite\}`([^`]+)`", prose) for key in keys.split(",")}
    known = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE))
    for exhibit in EXHIBITS:
        assert set(exhibit.threads) <= cited & known, exhibit.threads
        assert re.search(rf"^(### .*\b|\*\*){exhibit.number} ", prose, re.MULTILINE), exhibit.name
    rooms = dict.fromkeys(exhibit.room for exhibit in EXHIBITS)
    headings = re.findall(r"^## Room \w+: (.*)$", prose, re.MULTILINE)
    assert [heading.casefold() for heading in headings] == [room.casefold() for room in rooms]


# --------------------------------------------------------------------------------------------------------- the figure

GRID = {"one": {"a": True, "b": False, "c": True}, "two": {"a": False, "b": False, "c": True}}


def test_the_grid_is_the_same_bytes_each_time_and_valid_xml():
    first = who_catches(GRID)._repr_svg_()
    assert first == who_catches(GRID)._repr_svg_()
    ElementTree.fromstring(first)


def test_the_grid_marks_what_is_caught():
    axes = who_catches(GRID).axes[0]
    marks = [collection.get_offsets().tolist() for collection in axes.collections]
    assert [[0.5, 0.5], [2.5, 0.5], [2.5, 1.5]] in marks
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    blue = [patch.get_xy() for patch in axes.patches if patch.get_facecolor()[:3] != (238 / 255,) * 3]
    assert blue == [(0, 0), (2, 0), (2, 1)]
    assert FILLS["real"].lower() in who_catches(GRID)._repr_svg_().lower()


@pytest.mark.parametrize("caught", [{}, {"one": {}}, {"one": {"a": True}, "two": {"b": True}}])
def test_a_grid_of_nothing_or_of_different_checks_is_refused(caught):
    with pytest.raises(ValueError, match="caught"):
        who_catches(caught)
