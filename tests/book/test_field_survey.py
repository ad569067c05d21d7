"""The field survey: its data keep their own rules, and the page's numbers and table are counted and made from them."""

import copy
import re
from pathlib import Path

import audits
import field_survey
import pytest
from docutils import nodes
from field_survey import NOT_TRACED, WORDS, check, links, load, numbers
from small_book import build_small_book
from sphinx.errors import ExtensionError

from evidence.released import NEWER, OLDER, release_of

ROOT = Path(__file__).parents[2]
SURVEY = load(ROOT / field_survey.DATA)
ROWS = SURVEY["policies"]
BIB = dict(re.findall(r"^@misc\{(\w+),\n(.*?)^\}$", (ROOT / "book/references.bib").read_text(), re.M | re.S))
SUPERVISED = {"supervised", "off by default", "depends"}
MASKED = {"masked", "depends"}


def by_name(row):
    return row["policy"]


# ---------------------------------------------------------------------------------------------------- the real data


def test_the_page_may_say_about_thirty():
    assert 27 <= len(ROWS) <= 33


def test_no_policy_stands_there_twice():
    names = [row["policy"].casefold() for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_row_names_repository_version_and_files(row):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row["repository"])
    assert re.fullmatch(r"[0-9a-f]{40}", row["commit"])
    assert row["version"]
    assert row["files"]
    assert row["status"] in {"run", "read"}


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_link_leads_to_lines_of_a_pinned_commit(row):
    for address, text in links(row):
        assert re.fullmatch(
            r"https://github\.com/[\w.-]+/[\w.-]+/blob/[0-9a-f]{40}/[\w./-]+\.py(#L\d+(-L\d+)?)?", address
        )
        assert text
        first, last = re.search(r"#L(\d+)(?:-L(\d+))?$", address).groups() if "#" in address else (1, 1)
        assert int(first) <= int(last or first)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_the_source_that_a_row_cites_is_its_own_repository_and_commit(row):
    assert f"github.com/{row['repository']}/tree/{row['commit']}" in BIB[row["cite"]]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_the_designs_of_a_row_agree_with_its_other_cells(row):
    designs, loss = set(row["designs"]), {row["dims"]["loss"], row["steps"]["loss"]}
    assert ("B" in designs) == bool(loss & SUPERVISED)
    assert bool(designs & {"A", "C", "D"}) == bool(loss & MASKED or "avoided" in loss)
    assert ("D" in designs) == (row["inference"]["padded_dims"] == "renoised")
    assert ("E" in designs) == ("as input" in row["mask"])
    assert "C" not in designs or row["inference"]["padded_dims"] == "masked"


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_dims_that_are_not_padded_hold_nothing_at_inference(row):
    assert (row["dims"]["loss"] == "no padding") == (row["inference"]["padded_dims"] == "no padding")


def test_each_release_that_the_upstream_tests_run_has_a_row_that_says_run():
    run = [row["version"] for row in ROWS if row["status"] == "run"]
    for release in map(release_of, (OLDER, NEWER)):
        assert any(release in version for version in run), release


# -------------------------------------------------------------------------------------------- what the rules refuse


def broken(change):
    survey = copy.deepcopy(SURVEY)
    change(survey["policies"])
    return survey


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rows: rows[4].update(status="ran"), "GR00T N1.6: status must be one of"),
        (lambda rows: rows[4].pop("files"), r"GR00T N1.6: has the fields \['files'\]"),
        (lambda rows: rows[4].update(files={}), "GR00T N1.6: files must name at least one"),
        (lambda rows: rows[4].update(files={"a b.py": 3}), "'a b.py' is no path"),
        (lambda rows: rows[4].update(files={"a.py": "3 to 5"}), "lines of a.py must look like"),
        (lambda rows: rows[4].update(commit="main"), "commit must be 40 hex digits"),
        (lambda rows: rows[4].update(repository="groot"), "repository must be owner/name"),
        (lambda rows: rows[4].update(version=1.6), "version must be text"),
        (lambda rows: rows[4].update(designs=["F"]), "designs must be some of A, B, C, D, E"),
        (lambda rows: rows[4]["steps"].update(loss="hidden"), "steps: loss must be one of"),
        (lambda rows: rows[4]["tokens"].pop("side"), "tokens must hold"),
        (lambda rows: rows[4]["tokens"].update(how=" "), "tokens: how must be text"),
        (lambda rows: rows.append(dict(rows[4])), "GR00T N1.6: stands there twice"),
        (lambda rows: rows.append(dict(rows[4], policy="gr00t n1 6")), "gr00t n1 6: stands there twice"),
    ],
)
def test_a_row_that_breaks_a_rule_stops_the_build_and_is_named(change, complaint):
    with pytest.raises(ExtensionError, match=complaint):
        check(broken(change))


# --------------------------------------------------------------------------------------------------------- numbers


def toy(**answers):
    """A row in which all is masked, hidden or padded, but for the answers given."""
    row = {
        "repository": "a/a",
        "status": "read",
        "dims": {"loss": "masked"},
        "steps": {"loss": "masked"},
        "normalisation": {"by": "entries"},
        "tokens": {"attention": "hidden", "side": "left"},
        "inference": {"padded_dims": "free"},
    }
    for group, answer in answers.items():
        key = next((key for of, key in WORDS if of == group), None)
        row[group] = dict(row[group], **{key: answer}) if key else answer
    return row


def test_the_numbers_count_words_and_leave_out_who_has_no_such_padding():
    rows = [
        toy(),
        toy(steps="supervised", repository="a/b", status="run"),
        toy(steps="supervised", dims="no padding", inference="no padding"),
        toy(steps="avoided", tokens="partly", normalisation="diluted"),
        toy(steps=NOT_TRACED, tokens="no padding", inference="masked"),
    ]
    assert numbers({"policies": rows}) == [
        "5 policies from 2 repositories: 1 run, 4 only read.",
        "Steps past the end (5 policies): left out of the loss in 1; avoided (no such chunk is drawn) in 1; "
        "supervised unless a switch is set in 0; supervised in 2; not traced in 1.",
        "Padded dims (4 policies): left out of the loss in 4; left out or not (the robot's layout decides) in 0; "
        "supervised unless a switch is set in 0; supervised in 0.",
        "Padded text and camera tokens (4 policies): hidden wherever we looked in 3; "
        "hidden in one place and read in another in 1; read in 0. "
        "They stand on the left in 5 and on the right in 0.",
        "The loss is divided (5 policies): by the entries in the sum in 4; by hidden entries as well in 1; "
        "for each sample or frame apart in 0; by another rule in 0.",
        "Padded dims at inference (4 policies): running free in 3; held at 0 in 1; "
        "given the noise that they had in training in 0.",
    ]


def test_every_answer_of_a_question_is_counted_in_its_line():
    questions = list(WORDS)
    order = [("steps", "loss"), ("dims", "loss"), ("tokens", "attention"), ("normalisation", "by")]
    for (group, key), line in zip([*order, questions[-1]], numbers(SURVEY)[1:], strict=True):
        concerned = sum(row[group][key] != "no padding" for row in ROWS)
        counts = [int(number) for number in re.findall(r" in (\d+)", line.split(" They stand")[0])]
        assert f"({concerned} policies)" in line
        assert sum(counts) == concerned


def test_read_becomes_run_by_one_word():
    text = (ROOT / field_survey.DATA).read_text()
    before = sum(row["status"] == "run" for row in ROWS)
    changed = field_survey.yaml.safe_load(text.replace("    status: read\n", "    status: run\n", 1))
    assert f"{before + 1} run," in numbers(check(changed))[0]
    assert f"{before} run," in numbers(SURVEY)[0]


# ------------------------------------------------------------------------------------------------------- directive

CONF = (
    'extensions = ["myst_parser", "sphinxcontrib.bibtex", "field_survey"]\nbibtex_bibfiles = ["book/references.bib"]\n'
)


@pytest.fixture
def small_book(tmp_path):
    """Builds a book of one page with the directive in it, on the first three rows, and returns its HTML and doctree."""
    (tmp_path / "book").mkdir()
    (tmp_path / "conf.py").write_text(CONF)
    for file in ("book/references.bib", audits.AUDITS):
        (tmp_path / file).write_text((ROOT / file).read_text())
    data = field_survey.yaml.safe_load((ROOT / field_survey.DATA).read_text())
    data["policies"] = data["policies"][:3]
    (tmp_path / field_survey.DATA).write_text(field_survey.yaml.safe_dump(data, allow_unicode=True))
    (tmp_path / "other.md").write_text("# Other\n\nNo table.\n")

    def build(page):
        (tmp_path / "index.md").write_text(
            f"# Survey\n\n{page}\n\n```{{bibliography}}\n```\n\n```{{toctree}}\nother\n```\n"
        )
        app, app.said = build_small_book(tmp_path)
        html = {name: (tmp_path / "out" / f"{name}.html").read_text() for name in ("index", "other")}
        return html, app.env.get_doctree("index"), app

    return build


def directive(part):
    return f"```{{field-survey}} {part}\n```"


def test_the_table_has_a_row_for_each_policy_and_a_cell_for_each_column(small_book):
    html, doctree, _ = small_book(directive("table"))
    rows = list(doctree.findall(field_survey.table_row))
    assert [row["ids"][0] for row in rows] == ["survey-gr00t-n1", "survey-gr00t-n1-5", "survey-gr00t-n1-5-in-lerobot"]
    for row in rows:
        assert [cell["label"] for cell in row] == list(field_survey.COLUMNS)
        assert all(cell.astext().strip() for cell in row)
    assert html["index"].count('<tr role="row" id="survey-') == 3
    assert html["index"].count('role="columnheader"') == len(field_survey.COLUMNS)
    assert "<code" in html["index"]  # Markdown in a cell is read as Markdown


def test_a_cell_starts_with_the_word_that_the_numbers_count(small_book):
    _, doctree, _ = small_book(directive("table"))
    row = list(doctree.findall(field_survey.table_row))[2]
    heads = {cell["label"]: cell[0].astext() for cell in row}
    assert heads["Padded dims"] == "Not in the loss"
    assert heads["Steps past the end"] == "In the loss"
    assert heads["Padded text and camera tokens"] == "Hidden in part"
    assert "run" in row[0].astext()


def test_a_row_that_was_audited_says_what_ran_and_leads_to_what_was_found(small_book):
    html, doctree, _ = small_book(directive("table"))
    cells = [row[0].astext() for row in doctree.findall(field_survey.table_row)]
    assert "Audited: GR00T N1.5 head. In part: the action head alone" in cells[2]
    assert not any("Audited" in cell for cell in cells[:2])
    assert 'href="book/audits.html#audit-gr00t-n1-5-head"' in html["index"]


def test_every_audited_policy_has_a_row():
    assert {audit["row"] for audit in audits.load(ROOT).values()} <= {row["policy"] for row in ROWS}


def test_only_the_page_with_the_table_loads_its_script_and_its_style(small_book):
    html, _, _ = small_book(directive("table"))
    for file in ("field_survey.js", "field_survey.css"):
        assert file in html["index"]
        assert file not in html["other"]


def test_the_numbers_and_the_designs_are_made_from_the_same_rows(small_book):
    _, doctree, _ = small_book(directive("numbers") + "\n\n" + directive("designs"))
    items = [item.astext() for item in doctree.findall(nodes.list_item)]
    assert items[0] == "3 policies from 2 repositories: 1 run, 2 only read."
    assert next(item for item in items if item.startswith("A.")).endswith("(3 policies)")
    assert next(item for item in items if item.startswith("D.")).endswith("(0 policies)")


def test_the_page_is_made_anew_when_the_data_change(small_book):
    _, _, app = small_book(directive("numbers"))
    assert any(str(path).endswith(field_survey.DATA) for path in app.env.dependencies["index"])


def test_a_part_that_is_not_there_is_refused(small_book):
    _, _, app = small_book(directive("tables"))
    assert "expected one of numbers, designs, table, got 'tables'" in app.said


def test_every_word_of_the_data_has_words_for_a_reader():
    for (group, _), words in WORDS.items():
        for word in words:
            assert (group, word) in field_survey.SAYS or word == NOT_TRACED
