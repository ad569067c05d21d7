"""The page of the audits: its data keep their own rules, and its numbers and its table are made from them."""

import copy
import json
from pathlib import Path

import audits
import pytest
from audits import AUDITS, COLUMNS, check, load, numbers
from docutils import nodes
from small_book import build_small_book
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[2]
STORED = load(ROOT)

TOY = {
    "row": "A",
    "release": "1",
    "alone": "",
    "note": "",
    "lines": 4,
    "lines of helpers": 0,
    "clean": False,
    "cells": {"prediction": {"steps": "0", "samples": "0"}, "loss sum": {"steps": "found"}, "sampler": {"steps": "?"}},
    "findings": [{"stage": "loss sum", "axis": "steps", "kind": "leak", "size": 0.123, "probes": ["perturb"]}],
    "not looked at": [{"stage": "sampler", "axis": "steps", "probe": "perturb", "why": "there is none"}],
}
"""A policy that fits padded steps."""


def toy(**changes):
    return copy.deepcopy(TOY) | changes


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda audit: audit.pop("note"), r"toy has the fields \['note'\]"),
        (lambda audit: audit["cells"]["prediction"].update(steps="1"), "toy prediction, steps: got '1', expected one"),
        (lambda audit: audit["cells"]["prediction"].update(wheels="0"), "toy prediction: wheels is no axis"),
        (lambda audit: audit["cells"]["loss sum"].update(steps="0"), "toy loss sum, steps: the cell says '0'"),
        (lambda audit: audit["cells"]["prediction"].update(steps="found"), "toy prediction, steps: the cell says"),
        (lambda audit: audit.update(clean=True), "toy is clean, and has findings"),
    ],
)
def test_an_audit_that_breaks_a_rule_stops_the_build_and_is_named(change, complaint):
    audit = toy()
    check({"toy": audit})
    change(audit)
    with pytest.raises(ExtensionError, match=complaint):
        check({"toy": audit})


def test_the_numbers_count_policies_findings_and_lines_and_leave_out_where_nobody_looked():
    other = toy(row="B", release="2", alone="a head", lines=7, cells={"prediction": {"steps": "?"}}, findings=[])
    assert numbers({"one": toy(), "two": toy(), "three": other | {"clean": True}}) == [
        "3 audits of 2 policies, from LeRobot 1 and 2; 1 policies are whole, of the others a part runs.",
        "Nothing was found in 1.",
        "Steps past the end move what is predicted for real entries: in 0 of 2.",
        "Padded dims move it: in 0 of 0.",
        "Padded tokens move it: in 0 of 0.",
        "Steps past the end count in the loss: in 2 of 2.",
        "Padded dims count in it: in 0 of 0.",
        "The loss is divided by something else than what it sums: in 0 of 0.",
        "The auditor had to be told 4 to 7 lines a policy.",
    ]


def test_a_size_is_written_as_the_auditor_writes_it():
    sizes = {0.123: "12.3 %", 1.5: "150 %", 0.00001: "<0.01 %", None: "infinite"}
    assert {size: audits.size_of({"size": size, "kind": "leak"}) for size in sizes} == sizes
    assert audits.size_of({"size": 0.5, "kind": "lost"}) == "lost 50 %"


def test_a_size_is_written_as_the_library_writes_it():
    from groot_teach.audit.report import percent

    found = [each for audit in STORED.values() for each in audit["findings"] if each["kind"] == "leak"]
    assert found
    assert all(audits.size_of(each) == percent(each["size"]) for each in found)


@pytest.fixture
def small_book(tmp_path):
    """Builds a book of one page with the directive in it, on the audits that are given."""
    (tmp_path / "book").mkdir()
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "audits"]\n')

    def build(part, found):
        (tmp_path / AUDITS).write_text(json.dumps(found))
        (tmp_path / "index.md").write_text(f"# Audits\n\n```{{audits}} {part}\n```\n")
        app, app.said = build_small_book(tmp_path)
        app.html = (tmp_path / "out" / "index.html").read_text()
        return app

    return build


def test_the_table_has_a_row_for_each_audit_and_a_cell_for_each_column(small_book):
    app = small_book("table", STORED)
    assert not app.said
    rows = [*app.env.get_doctree("index").findall(audits.table_row)]
    assert [row["ids"][0] for row in rows] == [audits.anchor(name) for name in STORED]
    for row in rows:
        assert [cell["label"] for cell in row] == list(COLUMNS)
        assert all(cell.astext().strip() for cell in row)


def test_a_cell_says_what_was_found_what_was_not_and_where_nobody_looked(small_book):
    wanted = toy()
    wanted["cells"]["loss sum"]["steps"] = "intended"
    wanted["findings"][0]["intended"] = "on purpose"
    doctree = small_book("table", {"toy": toy(), "wanted": wanted}).env.get_doctree("index")
    first, second = ([cell.astext() for cell in row] for row in doctree.findall(audits.table_row))
    assert first[1:] == [
        "steps: 0\n\nsamples: 0",
        "steps: 12.3 %",
        "–",
        "steps: ?",
        "–",
        "sampler, steps (perturb): there is none",
    ]
    assert second[2] == "steps: 12.3 %, intended: on purpose"
    assert [bold.astext() for bold in doctree.findall(nodes.strong)] == ["12.3 %"]


def test_a_part_that_is_not_there_is_refused(small_book):
    assert "expected one of numbers, table, got 'tables'" in small_book("tables", STORED).said


def test_the_page_is_made_anew_when_the_data_change(small_book):
    app = small_book("numbers", STORED)
    assert any(str(path).endswith(AUDITS) for path in app.env.dependencies["index"])
