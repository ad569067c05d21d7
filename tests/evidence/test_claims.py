"""The note's claims: each is there, its verdict is what its check finds now, and each check can find something else."""

import copy
import json
import re
from pathlib import Path

import claims
import nbformat
import pytest
import yaml
from claims import CLAIMS, RESULTS, VERDICTS, check, load, verdict_of
from docutils import nodes
from small_book import build_small_book
from sphinx.errors import ExtensionError

from evidence.claims import CHECKS, our_head
from evidence.claims.check import claim as check_of

ROOT = Path(__file__).parents[2]
ROWS = load(ROOT)
DATA = yaml.safe_load((ROOT / CLAIMS).read_text())
STORED = json.loads((ROOT / RESULTS).read_text())
ON_OUR_HEAD = {number: one for number, one in CHECKS.items() if one.run.__module__ == our_head.__name__}

# -------------------------------------------------------------------------------------------------- the experiments


@pytest.mark.parametrize("number", ON_OUR_HEAD)
def test_a_check_on_our_head_finds_what_the_page_says(number):
    assert ON_OUR_HEAD[number].record() == STORED[str(number)]


def test_a_claim_cannot_have_two_checks():
    with pytest.raises(ValueError, match="number: claim 5 already has the check the_mask_limits_the_loss"):
        check_of(5, "another")(lambda: None)


# -------------------------------------------------------------------------------------------------------- the data


def test_there_are_26_claims_in_the_notes_order():
    assert [row["number"] for row in ROWS] == list(range(1, 27))


def test_only_what_no_experiment_can_settle_was_read_and_not_run():
    assert [row["number"] for row in ROWS if row["status"] == "read"] == [21, 26]


def test_a_verdict_that_was_run_is_written_by_nobody():
    assert all("verdict" not in row for row in DATA if row["status"] == "run")


@pytest.mark.parametrize("row", ROWS, ids=claims.anchor)
def test_every_section_that_shows_a_claim_is_in_its_chapter(row):
    for place in row["shown"]:
        cells = nbformat.read(ROOT / "notebooks" / f"{place['chapter']}.ipynb", 4).cells
        titles = re.findall(r"^#+ (.*)$", "\n".join(c.source for c in cells if c.cell_type == "markdown"), re.M)
        assert place["section"] in titles


# -------------------------------------------------------------------------------------------- what the rules refuse


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data, found: data.pop(3), "claim 4 is missing"),
        (lambda data, found: data[3].update(number=27), "claim 27 is unknown"),
        (lambda data, found: data.append(dict(data[3])), "claim 4 stands there twice"),
        (lambda data, found: data[3].update(status="ran"), "claim 4 status must be run or read"),
        (lambda data, found: data[3].update(verdict="holds"), r"claim 4 has the fields \['verdict'\]"),
        (lambda data, found: data[3].pop("why"), r"claim 4 has the fields \['why'\]"),
        (lambda data, found: data[3].update(claim=" "), "claim 4 claim must be text"),
        (lambda data, found: data[3].update(shown=[]), "claim 4 must be shown"),
        (lambda data, found: found.pop("4"), "claim 4 was run, and has no result"),
        (lambda data, found: found.update({"27": found["4"]}), "claim 27 has a result and is unknown"),
        (lambda data, found: found["4"].update(verdict="true"), "claim 4 verdict must be one of holds, "),
        (lambda data, found: found["4"].update(figures={}), "claim 4 has a verdict without a figure"),
        (lambda data, found: found["4"]["otherwise"].update(verdict="holds in part"), "claim 4 .* unable to fail"),
        (lambda data, found: found.update({"21": found["4"]}), "claim 21 was only read, and has a result"),
        (lambda data, found: data[20].update(verdict="right"), "claim 21 verdict must be one of"),
        (lambda data, found: data[20].update(commit="main"), "claim 21 commit must be 40 hex digits"),
        (lambda data, found: data[20].update(files={}), "claim 21 files must name at least one"),
    ],
)
def test_a_claim_that_breaks_a_rule_stops_the_build_and_is_named(change, complaint):
    data, found = copy.deepcopy(DATA), copy.deepcopy(STORED)
    change(data, found)
    with pytest.raises(ExtensionError, match=complaint):
        check(data, found)


# --------------------------------------------------------------------------------------------------------- the page

CONF = 'extensions = ["myst_parser", "sphinxcontrib.bibtex", "claims"]\n'
CONF += 'bibtex_bibfiles = ["book/references.bib"]\nexclude_patterns = ["out"]\n'


@pytest.fixture
def small_book(tmp_path):
    """Builds a book of the claims' page and empty chapters that have the chapters' titles, and returns it."""
    for folder in ("book", "notebooks"):
        (tmp_path / folder).mkdir()
    for file in (CLAIMS, RESULTS, "book/references.bib"):
        (tmp_path / file).write_text((ROOT / file).read_text())
    (tmp_path / "conf.py").write_text(CONF)
    (tmp_path / "other.md").write_text("# Other\n\nNo table.\n\n```{bibliography}\n```\n")
    titles = {}
    for row in DATA:
        for place in row["shown"]:
            titles.setdefault(place["chapter"], {})[place["section"]] = None
    for chapter, sections in titles.items():
        text = "\n\n".join([f"# {chapter}", *(f"## {section}" for section in sections)])
        (tmp_path / "notebooks" / f"{chapter}.md").write_text(text)

    def build(part):
        pages = "\n".join(["other", *(f"notebooks/{chapter}" for chapter in titles)])
        page = f"# Claims\n\n```{{claims}} {part}\n```\n\n```{{toctree}}\n{pages}\n```\n"
        (tmp_path / "index.md").write_text(page)
        app, app.said = build_small_book(tmp_path)
        app.html = {n: (tmp_path / "out" / f"{n}.html").read_text() for n in ("index", "other")}
        return app

    build.root = tmp_path
    return build


def test_the_table_has_a_row_for_each_claim_with_its_verdict_and_a_link_to_its_chapter(small_book):
    app = small_book("table")
    rows = [*app.env.get_doctree("index").findall(claims.table_row)]
    assert [row["ids"][0] for row in rows] == [f"claim-{number}" for number in range(1, 27)]
    for row, claim in zip(rows, ROWS, strict=True):
        assert [cell["label"] for cell in row] == list(claims.COLUMNS)
        assert row[1].astext().casefold().startswith(verdict_of(claim))
        assert all(cell.astext().strip() or claim["shown"] for cell in row)
    assert 'href="notebooks/03_masked_loss.html#does-the-note-s-mask-do-anything"' in app.html["index"]
    assert "#L415-L467" in app.html["index"]
    for value in STORED["24"]["figures"].values():
        assert value in rows[23].astext()


def test_the_numbers_count_each_verdict_and_link_to_its_claims(small_book):
    app = small_book("numbers")
    text = [item.astext() for item in app.env.get_doctree("index").findall(nodes.list_item)]
    assert len(text) >= len(VERDICTS)
    for verdict, line in zip(VERDICTS, text, strict=False):
        having = [str(row["number"]) for row in ROWS if verdict_of(row) == verdict]
        assert line == f"{verdict.capitalize()}: {len(having)} ({', '.join(having)})."
    assert 'href="#claim-5"' in app.html["index"]


def test_another_result_is_another_verdict_on_the_page(small_book):
    found = copy.deepcopy(STORED)
    found["5"]["verdict"], found["5"]["otherwise"]["verdict"] = "holds", "wrong"
    (small_book.root / RESULTS).write_text(json.dumps(found))
    row = [*small_book("table").env.get_doctree("index").findall(claims.table_row)][4]
    assert row[1].astext().startswith("Holds")
    assert row["data"]["verdict"] == "holds"


def test_every_verdict_is_explained(small_book):
    terms = [term.astext() for term in small_book("verdicts").env.get_doctree("index").findall(nodes.term)]
    assert terms == [verdict.capitalize() for verdict in VERDICTS]


def test_a_section_that_is_not_in_its_chapter_stops_the_build_and_is_named(small_book):
    text = (small_book.root / CLAIMS).read_text().replace("Which mean is the right one?", "Which one is right?")
    (small_book.root / CLAIMS).write_text(text)
    path = small_book.root / "notebooks" / "03_masked_loss.md"
    assert "Which mean is the right one?" in path.read_text()
    with pytest.raises(ExtensionError, match="claim 8 is shown in notebooks/03_masked_loss, 'Which one is right\\?'"):
        small_book("table")


def test_a_part_that_is_not_there_is_refused(small_book):
    assert "expected one of numbers, verdicts, table, got 'tables'" in small_book("tables").said


def test_only_the_page_with_the_table_loads_its_styles_and_it_is_made_anew_when_something_changes(small_book):
    app = small_book("table")
    for file in ("claims.css", "row_table.css"):
        assert file in app.html["index"]
        assert file not in app.html["other"]
    known = {str(path) for path in app.env.dependencies["index"]}
    for file in (CLAIMS, RESULTS, "notebooks/03_masked_loss.md"):
        assert any(path.endswith(file) for path in known), file
