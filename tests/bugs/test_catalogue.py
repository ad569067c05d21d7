"""The catalogue: every bug runs quietly, is seen by the probes that its record names, and is written once."""

import inspect
import re
from pathlib import Path

import pytest
import torch

from groot_teach import bugs
from groot_teach.bugs import CATALOGUE, audit, audited_checks, toy_batch
from groot_teach.bugs.checks import everyday_checks
from groot_teach.bugs.policy import PARTS
from groot_teach.bugs.record import bug

ROOT = Path(__file__).parents[2]
KNOWN = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE))
every_bug = pytest.mark.parametrize("key", CATALOGUE)


def test_every_bug_of_the_catalogue_is_exported_by_its_name():
    exported = {name: getattr(bugs, name) for name in bugs.__all__}
    assert {name for name, value in exported.items() if isinstance(value, bugs.Bug)} == {*CATALOGUE}
    assert all(exported[key] is record for key, record in CATALOGUE.items())


def test_no_two_bugs_have_one_name_or_one_wrong_part():
    for what in ("name", "message", "story"):
        assert len({getattr(record, what) for record in CATALOGUE.values()}) == len(CATALOGUE)
    parts = {
        (record.part, inspect.getsource(record.wrong).split("\ndef ", 1)[1].split("\n", 1)[1])
        for record in CATALOGUE.values()
    }
    assert len(parts) == len(CATALOGUE)


@every_bug
def test_a_wrong_part_is_defined_in_one_place(key):
    sources = [path.read_text() for folder in ("groot_teach", "evidence") for path in (ROOT / folder).rglob("*.py")]
    assert sum(len(re.findall(rf"^ *def {key}\(", source, re.MULTILINE)) for source in sources) == 1


@every_bug
def test_a_wrong_part_takes_what_the_right_one_takes(key):
    record = CATALOGUE[key]
    assert record.wrong is not PARTS[record.part]
    assert [*inspect.signature(record.wrong).parameters] == [*inspect.signature(PARTS[record.part]).parameters]


@every_bug
def test_a_bug_is_quiet(key):
    checks = everyday_checks(CATALOGUE[key].policy())
    assert not checks["shapes"]
    assert not checks["training"]


@every_bug
def test_a_bug_is_seen_by_the_probes_that_its_record_names_and_by_no_others(key):
    record = CATALOGUE[key]
    caught = audited_checks(audit(record.policy(), toy_batch(record.batch)))
    assert tuple(probe for probe, seen in caught.items() if seen) == record.seen_by


@every_bug
def test_a_record_is_told_in_sentences_and_names_its_threads(key):
    record = CATALOGUE[key]
    assert set(record.threads) <= KNOWN
    assert record.story.endswith(".")
    assert record.message.endswith(".")
    assert not record.symptom.endswith(".")
    assert not record.source.endswith(".")  # an exercise puts a full stop behind it
    assert "on purpose" not in record.story + record.source + record.message


def test_a_count_above_256_shows_what_the_toy_batch_is_too_small_for():
    ones = torch.ones(1, 37, 7, dtype=torch.float64)
    assert bugs.counted_in_bfloat16.reduce(ones, ones.bool()).item() == pytest.approx(259 / 260)


def test_the_first_n_are_not_the_real_ones_where_there_is_a_gap():
    real = torch.tensor([[[True, False, True]]])
    assert bugs.first_n.wrong(bugs.batch_of(real)).tolist() == [[[True, True, False]]]


def test_after_the_square_a_mask_lets_infinity_through():
    squared = torch.tensor([[[1.0, torch.inf]]])
    mask = torch.tensor([[[True, False]]])
    assert bugs.masked_after_the_square.reduce(squared, mask).isnan()


@pytest.mark.parametrize(
    ("part", "batch", "function", "message"),
    [
        ("reduces", "ragged", "fresh", "part: got 'reduces', expected one of"),
        ("reduce", "round", "fresh", "batch: got 'round', expected one of"),
        ("reduce", "ragged", "no_mask", "wrong: got a second function 'no_mask'"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(part, batch, function, message):
    def wrong(squared_error, batch):
        return squared_error.mean()

    wrong.__name__ = function
    with pytest.raises(ValueError, match=message):
        bug(part, "a name", story="", symptom="", source="", message="", batch=batch)(wrong)
    assert "fresh" not in CATALOGUE
