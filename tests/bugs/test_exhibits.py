"""The museum: every exhibit runs and trains, and is found where the chapter says it is."""

import ast
import inspect
import re
from pathlib import Path

import nbformat
import pytest
import torch

from groot_teach.bugs import (
    BATCHES,
    CHECKS,
    EXHIBITS,
    NO_BUG,
    ToyPolicy,
    audit,
    audited_checks,
    checks_on,
    report_on,
    toy_batch,
    train_a_little,
    unmoved_by_flips,
)
from groot_teach.bugs.checks import AUDITED, everyday_checks
from groot_teach.bugs.exhibits import policy_named

pytestmark = pytest.mark.xdist_group("exhibits")  # one process makes the reports of all tests

ROOT = Path(__file__).parents[2]
CHAPTER = ROOT / "notebooks" / "09_silent_mask_bugs.ipynb"
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


def test_exhibits_are_numbered_in_order_and_named_once():
    assert [*BY_NUMBER] == list(range(1, len(EXHIBITS) + 1))
    assert len({exhibit.title for exhibit in EXHIBITS}) == len(EXHIBITS) == 16


def test_an_exhibit_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="name: got '17 nobody'"):
        policy_named("17 nobody")


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


def missed(batch, numbers):
    return {number for number in numbers if not report_on(BY_NUMBER[number].name, batch).findings}


def test_what_other_batches_do_not_show():
    """Of three bugs that a batch can hide, and one that none hides. Chapter 9 stores all; nbval asks them again."""
    assert missed("ragged", BY_NUMBER) == {13}
    some = (1, 11, 12, 13)
    assert missed("equal robots", some) == {11, 13}
    assert missed("one robot", some) == {11, 12, 13}
    assert missed("empty prompt", some) == set()


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


def test_a_flip_finds_the_masks_that_the_loss_does_not_read():
    unread = {exhibit.number: unmoved_by_flips(exhibit.policy()) for exhibit in EXHIBITS}
    assert {number: names for number, names in unread.items() if names} == {
        1: ["step_mask"],
        3: ["dim_mask"],
        4: ["step_mask"],
        12: ["token_mask"],
    }


# ------------------------------------------------------------------------------------------------------ the chapter


def functions(source):
    """Name -> the function without its decorators, as a tree in words."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            found[node.name] = ast.dump(node)
    return found


def test_the_chapter_writes_out_every_wrong_part_as_the_catalogue_has_it():
    shown = {name: tree for source in cells("code") for name, tree in functions(source).items()}
    for exhibit in EXHIBITS:
        for part in exhibit.parts.values():
            assert {part.__name__: shown[part.__name__]} == functions(inspect.getsource(part))


def test_the_chapter_cites_the_threads_of_every_exhibit_and_numbers_it():
    prose = "\n".join(cells("markdown"))
    bib = (ROOT / "book" / "references.bib").read_text()
    known = dict(re.findall(r"^@\w+\{(\w+),\n(?:.*\n)*?  url = \{(.*)\},$", bib, re.MULTILINE))
    cited = {key for key, address in known.items() if f"[read]({address})" in prose}
    for exhibit in EXHIBITS:
        for bug in exhibit.bugs:
            assert bug.threads
            assert set(bug.threads) <= cited, bug.threads
        assert re.search(rf"^(### .*\b|\*\*){exhibit.number} ", prose, re.MULTILINE), exhibit.name
    rooms = dict.fromkeys(exhibit.room for exhibit in EXHIBITS)
    headings = re.findall(r"^## Room \w+: (.*)$", prose, re.MULTILINE)
    assert [heading.casefold() for heading in headings] == [room.casefold() for room in rooms]
