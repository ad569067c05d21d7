"""The marks *ran* and *read*: what a page says of a file or a thread is what `book/sources.yml` says."""

import json
import re
import shutil
from pathlib import Path

import audits
import field_survey
import nbformat
import pytest
import sources
import yaml
from claims import CLAIMS
from small_book import build_small_book
from sources import REFERENCES, SOURCES, SourceError, fault, load, ranges_of
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[2]
KNOWN = load(ROOT)
LISTED = yaml.safe_load((ROOT / SOURCES).read_text(encoding="utf-8"))
LINK = re.compile(r"\[(ran|read)\]\((https?://[^)\s]+)\)")
OLD_STYLE = re.compile(r"[(;,] ?(?:both |all )?(?:read|run|read, not run)\)")
"""A mark in brackets in the sentence, as the book had it before its margin notes."""

HEAD = "src/lerobot/policies/groot/action_head/flow_matching_action_head.py"
OF_0_4_4 = f"https://github.com/huggingface/lerobot/blob/v0.4.4/{HEAD}"
ISSUE = "https://github.com/huggingface/lerobot/issues/1707"


def text_of(page: Path) -> str:
    if page.suffix != ".ipynb":
        return page.read_text(encoding="utf-8")
    cells = nbformat.read(page, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def prose_of(page: Path) -> str:
    return re.sub(r"`[^`\n]+`", "", text_of(page))


PAGES = sorted([ROOT / "index.md", *(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")])
DATA = [ROOT / CLAIMS, ROOT / field_survey.DATA]


# ------------------------------------------------------------------------------------------- pages and data files agree


@pytest.mark.parametrize("page", [*PAGES, *DATA], ids=lambda page: page.name)
def test_every_mark_of_a_page_is_the_one_that_the_sources_have(page):
    faults = [fault(KNOWN, mark, address) for mark, address in LINK.findall(prose_of(page))]
    assert [found for found in faults if found] == []


def test_there_are_marks_to_compare():
    marks = [mark for page in PAGES for mark, _ in LINK.findall(prose_of(page))]
    assert marks.count("ran") > 20
    assert marks.count("read") > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_marks_in_one_way(page):
    prose = prose_of(page)
    if LINK.search(prose):
        assert OLD_STYLE.findall(prose) == []


def test_the_old_way_would_be_noticed():
    for old in ("(v0.4.4, line 3; run)", "(the fork; read)", "(both read)", "(v0.4.4; read, not run)", "(open, read)"):
        assert OLD_STYLE.search(old), old
    assert not OLD_STYLE.search("which we ran (and read) in 2025")


def marks_of(repository: str, version: str, files: dict) -> set[str]:
    """The marks of these lines, as the data files write them: a path, and its lines or None."""
    found = set()
    for path, lines in files.items():
        source = KNOWN.get(f"https://github.com/{repository}/blob/{version}/{path}")
        assert source, f"{SOURCES} lacks {path}, which {repository} at {version} is cited for"
        parts = ranges_of(str(lines)) if lines else ()
        found |= {source.mark(f"L{first}-L{last}") for first, last in parts} or {source.mark()}
    return found


@pytest.mark.parametrize("row", field_survey.load(ROOT / field_survey.DATA)["policies"], ids=lambda row: row["policy"])
def test_a_row_of_the_survey_was_run_if_a_file_of_it_was(row):
    marks = marks_of(row["repository"], row["commit"], row["files"])
    assert (row["status"] == "run") == ("ran" in marks)


@pytest.mark.parametrize(
    "claim",
    [claim for claim in yaml.safe_load((ROOT / CLAIMS).read_text()) if claim["status"] == "read"],
    ids=lambda claim: str(claim["number"]),
)
def test_the_files_of_a_claim_that_was_read_were_not_run(claim):
    assert marks_of(claim["repository"], claim["commit"], claim["files"]) == {"read"}


def test_every_policy_that_was_audited_has_a_row_that_says_run():
    rows = {row["policy"]: row["status"] for row in field_survey.load(ROOT / field_survey.DATA)["policies"]}
    audited = {audit["row"] for audit in json.loads((ROOT / audits.AUDITS).read_text()).values()}
    assert {rows[policy] for policy in audited} == {"run"}


def test_a_file_that_ran_belongs_to_a_release_that_our_tests_run():
    releases = {audit["release"] for audit in json.loads((ROOT / audits.AUDITS).read_text()).values()}
    for repository, versions in LISTED.items():
        for version in versions:
            if any(entry["how"] == "ran" for entry in version["files"].values()):
                assert repository == "huggingface/lerobot"
                assert any(one in version.get("ran_as", version["version"]) for one in releases), version["name"]


# ------------------------------------------------------------------------------------------------ what would be noticed


@pytest.mark.parametrize(
    ("mark", "address", "complaint"),
    [
        ("read", f"{OF_0_4_4}#L303-L339", "says read, and book/sources.yml says ran of these lines. Write .ran. here"),
        ("ran", ISSUE, "says ran, and book/sources.yml says read"),
        ("ran", OF_0_4_4.replace("head.py", "hat.py"), "does not have. Add `src/.*_hat.py: {how: ran}` there, under "),
        ("ran", OF_0_4_4.replace("v0.4.4", "main"), "under huggingface/lerobot, version main"),
        ("read", ISSUE.replace("1707", "1"), "leads to a thread or a paper that book/references.bib does not have"),
        ("ran", f"{OF_0_4_4}#303", "expected the lines as #L12 or #L12-L34, got #303"),
    ],
)
def test_a_mark_that_disagrees_or_a_source_that_is_missing_is_named_with_what_to_do(mark, address, complaint):
    assert re.search(complaint, fault(KNOWN, mark, address))


def test_a_mark_that_agrees_is_left_alone():
    assert fault(KNOWN, "ran", f"{OF_0_4_4}#L303-L339") is None
    assert fault(KNOWN, "read", ISSUE) is None


def test_a_tag_and_its_commit_are_one_source():
    commit = next(v["commit"] for v in LISTED["huggingface/lerobot"] if v["version"] == "v0.4.4")
    assert KNOWN[OF_0_4_4] == KNOWN[OF_0_4_4.replace("v0.4.4", commit)]


def test_of_a_file_of_which_a_part_ran_the_other_lines_were_read():
    packs = KNOWN[OF_0_4_4.replace("action_head/flow_matching_action_head.py", "processor_groot.py")]
    assert [packs.mark(lines) for lines in ("", "L290-L298", "L438", "L438-L439", "L457-L486")] == [
        *("ran", "ran", "ran", "read", "read")
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda version: version["files"].update({"a.py": {"how": "run"}}), "a.py has {'how': 'run'}, expected"),
        (lambda version: version["files"].update({"a.py": {"how": "read", "was": 1}}), "a.py has .*'was'"),
        (lambda version: version.update(tag="v1"), r"version v0.4.4: got the fields \['tag'\], which nothing reads"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(change, complaint):
    version = next(v for v in yaml.safe_load((ROOT / SOURCES).read_text())["huggingface/lerobot"])
    change(version)
    with pytest.raises(SourceError, match=complaint):
        sources.files_of("huggingface/lerobot", version)


# ------------------------------------------------------------------------------------------------------------ the notes


@pytest.fixture
def build(tmp_path):
    """Builds a book of one page and gives its HTML without line breaks, its application, and what the build said."""
    (tmp_path / "book").mkdir()
    for file in (SOURCES, REFERENCES):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "margin_notes"]\n')

    def built(page):
        (tmp_path / "index.md").write_text(f"# Page\n\n{page}\n")
        app, said = build_small_book(tmp_path)
        html = (tmp_path / "out" / "index.html").read_text()
        return html[html.index("<h1>") :].replace("\n", ""), app, said

    return built


def test_a_citation_is_a_number_in_the_sentence_and_a_note_behind_the_paragraph(build):
    html, _, said = build(f"The loss is masked. [ran]({OF_0_4_4}#L303-L339)\nSo it is said.")
    assert said == ""
    number = '<sup class="note-ref" id="note-ref-1"><a href="#margin-note-1" aria-label="note 1">1</a></sup>'
    assert f'<div class="noted"><p>The loss is masked.{number}So it is said.</p><aside class="margin-note' in html
    note = html[html.index("<aside") : html.index("</aside>")]
    assert 'role="note" id="margin-note-1"' in note
    assert '<span class="mark ran" title="we ran this code">ran' in note
    assert '<span class="visually-hidden">: we ran this code</span>' in note
    assert "GR00T N1.5 in LeRobot 0.4.4, " in note
    assert f'href="{OF_0_4_4}#L303-L339"' in note
    assert "flow_matching_action_head.py" in note
    assert "303–339" in note


def test_citations_that_follow_each_other_share_a_number_and_others_count_on(build):
    html, _, _ = build(f"One [ran]({OF_0_4_4}#L1) [read]({ISSUE}), and two. [read]({ISSUE})")
    assert re.findall(r'id="(note-ref-\d)"', html) == ["note-ref-1", "note-ref-2"]
    first, second = re.findall(r"<aside.*?</aside>", html)
    assert (first.count('class="note-source"'), second.count('class="note-source"')) == (2, 1)
    assert "One<sup" in html
    assert "</sup>, and two.<sup" in html
    assert "LeRobot issue 1707</a>: SmolVLA policy uses wrong action pad key" in second
    assert "we read this thread" in second


def test_what_ran_as_another_version_says_so(build):
    versions = LISTED["huggingface/lerobot"]
    version = next(v for v in versions if "ran_as" in v)
    path = next(path for path, entry in version["files"].items() if entry["how"] == "ran" and "lines" not in entry)
    html, _, _ = build(f"So. [ran](https://github.com/huggingface/lerobot/blob/{version['version']}/{path})")
    assert 'title="we ran this code, as release 0.6.1"' in html


def test_in_a_table_the_note_is_written_out_in_its_cell(build):
    html, _, _ = build(f"| where |\n|---|\n| here: [ran]({OF_0_4_4}#L1) |\n| [read]({ISSUE}) [read]({ISSUE}) |\n")
    assert "<aside" not in html
    assert "<sup" not in html
    cells = re.findall(r"<td.*?</td>", html)
    assert 'here: <span class="note-source"><span class="mark ran"' in cells[0]
    assert cells[1].count("note-of-several") == 2


def test_other_links_are_left_alone(build):
    html, _, _ = build(f"[read on](index.md), [an issue]({ISSUE}) and [read](index.md).")
    assert html.count(f'href="{ISSUE}"') == 1
    assert not re.search("note-ref|margin-note|note-source", html)


@pytest.mark.parametrize("page", [f"A claim. [read]({OF_0_4_4})", f"# [ran]({OF_0_4_4})"])
def test_a_wrong_mark_stops_the_build_and_names_the_page(build, page):
    with pytest.raises(ExtensionError, match=r"index: \[(read|ran)\]\(https"):
        build(page)


def test_the_page_is_made_anew_when_the_sources_change(build):
    _, app, _ = build(f"So. [ran]({OF_0_4_4})")
    known = {str(path) for path in app.env.dependencies["index"]}
    assert all(any(path.endswith(file) for path in known) for file in (SOURCES, REFERENCES))


def test_only_a_page_with_notes_loads_their_style(build):
    for page, loads in (("No note.", False), (f"So. [ran]({OF_0_4_4})", True)):
        _, app, _ = build(page)
        assert ("margin_notes.css" in (Path(app.outdir) / "index.html").read_text()) == loads
