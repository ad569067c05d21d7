"""What a report says of looks that are written down by hand."""

import json
import platform
import re
from dataclasses import FrozenInstanceError
from math import inf, nan
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest
import torch

from groot_teach.audit import LEAK_OF_STAGE, Intended, Look, MaskReport, MasksLeak, in_html
from groot_teach.audit.advice import NEXT, what_next
from groot_teach.audit.names import PARITY, STAGES, Kind, Probe
from groot_teach.audit.report import LEGEND, _plain, check_names, percent
from groot_teach.masks import LEAKS

LOOKS = (
    Look("prediction", "dims", "perturb", 0.25, why="it moves"),
    Look("prediction", "dims", "gradient", 0.5, why="so does its gradient"),
    Look("prediction", "steps", "perturb", 0.0),
    Look("prediction", "steps", "compact", None, why="it cannot be cut"),
    Look("prediction", "tokens", "gradient", 0.125, "lost", "1 of 8 words have no effect"),
    Look("prediction", "samples", "compact", 1e-6, why="hardly"),
    Look("loss sum", "dims and steps", "gradient", inf, "not finite", "the gradient is not finite"),
    Look("loss count", "dims and steps", "unit error", None, why="no function"),
    Look("sampler", "tokens", "perturb", inf, why="it becomes NaN"),
)


def test_looks_at_the_same_place_are_one_finding_with_the_first_ones_size():
    report = MaskReport(LOOKS)
    first = report.findings[0]
    assert (first.name, first.size, first.probes, first.why) == (
        "prediction, dims",
        0.25,
        ("perturb", "gradient"),
        "it moves",
    )
    assert [finding.name for finding in report.findings] == [
        "prediction, dims",
        "prediction, tokens",
        "prediction, samples",
        "loss sum, dims and steps",
        "sampler, tokens",
    ]


def test_the_table_says_for_each_stage_and_axis_what_was_seen():
    assert str(MaskReport(LOOKS)).splitlines()[2:7] == [
        "stage       dims  steps  tokens       samples",
        "prediction  25 %  0?     lost 12.5 %  <0.01 %",
        "loss sum    NaN   NaN",
        "loss count  ?     ?",
        "sampler                  inf",
    ]


def test_where_one_probe_looked_and_another_could_not_the_cell_says_both_and_the_report_is_not_clean():
    report = MaskReport(LOOKS[2:4])
    assert report.cell("prediction", "steps") == "0?"
    assert report.unseen == (LOOKS[3],)
    assert not report.is_clean


@pytest.mark.parametrize("name", ["prediction, steps", "prediction", "compact"])
def test_a_look_that_was_not_taken_is_excused_by_name_stage_or_probe(name):
    report = MaskReport(LOOKS[2:4], excused={name: "the network has five steps"})
    assert report.is_clean
    assert report.unseen == ()
    assert report.cell("prediction", "steps") == "0"
    assert MaskReport(LOOKS[3:4], excused={name: "-"}).cell("prediction", "steps") == "-"
    assert "prediction, steps: compact could not look: it cannot be cut; excused: the network has five steps" in str(
        report
    )


def test_an_excuse_for_another_stage_does_not_help_and_none_excuses_a_finding():
    assert not MaskReport(LOOKS[2:4], excused={"sampler": "-", "prediction, dims": "-", "perturb": "-"}).is_clean
    assert not MaskReport(LOOKS[:1], excused={"prediction, dims": "-", "prediction": "-", "perturb": "-"}).is_clean


def test_an_intention_covers_its_stage_and_axis_only():
    report = MaskReport(LOOKS[:3], intended={"prediction, dims": "as trained"})
    assert report.is_clean
    assert report.unintended == ()
    assert report.cell("prediction", "dims") == "25 %*"
    headline = "clean along dims, steps, tokens, with 1 declared: nothing that is padded moves what is real"
    assert str(report).splitlines()[0] == f"{headline}, except what is declared"
    assert "* prediction, dims: it moves (perturb and gradient); intended: as trained" in str(report)
    assert not MaskReport(LOOKS[:3], intended={"prediction, steps": "as trained"}).is_clean


@pytest.mark.parametrize("kind", ["lost", "not finite", "mismatch"])
def test_a_name_without_a_kind_declares_leaks_alone_and_the_report_says_so(kind):
    looks = (LOOKS[2], Look("loss sum", "steps", "gradient", 0.5, kind, "half of them"))
    bare = MaskReport(looks, {"loss sum, steps": "copies"})
    assert not bare.is_clean
    hint = f'"loss sum, steps" declares leaks alone: declare "loss sum, steps, {kind}" if you want this too'
    assert f"! loss sum, steps: half of them (gradient); {hint}" in str(bare)
    assert bare.unused == ("loss sum, steps",)
    assert MaskReport(looks, {f"loss sum, steps, {kind}": "wanted"}).is_clean
    assert not MaskReport(looks, {"loss sum, steps, leak": "wanted"}).is_clean


@pytest.mark.parametrize(("at_most", "clean"), [(0.5, True), (0.49, False), (None, True), (nan, False)])
def test_a_declaration_may_have_a_largest_size_which_holds_for_every_probe(at_most, clean):
    """Perturb measured 25 %, the gradient 50 %."""
    report = MaskReport(LOOKS[:2], {"prediction, dims": Intended("as trained", at_most)})
    assert report.is_clean is clean
    assert ("is declared; the largest is 50 %" in str(report)) is not clean
    assert json.loads(report.to_json())["intended"]["prediction, dims"]["why"] == "as trained"


def test_nothing_infinite_is_below_a_largest_size():
    look = Look("loss sum", "dims", "unit error", nan)
    assert not MaskReport((look,), {"loss sum, dims": Intended("-", at_most=9.0)}).is_clean


def test_what_an_excused_probe_says_is_no_finding_and_is_told():
    report = MaskReport(LOOKS[1:3], excused={"gradient": "it is clipped"})
    assert report.is_clean
    assert report.findings == ()
    assert report.cell("prediction", "dims") == "-"
    assert "- prediction, dims: gradient is excused, and says: so does its gradient; excused: it is clipped" in str(
        report
    )
    assert report.unused == ()
    assert not MaskReport(LOOKS[1:2], excused={"gradient": "-"}).is_clean  # nothing else was looked at


def test_a_declaration_and_an_excuse_that_nothing_needs_are_said():
    report = MaskReport(LOOKS[:1], {"sampler, dims": "as trained"}, {"compact": "dropout"})
    assert report.unused == ("sampler, dims", "compact")
    assert "- sampler, dims: declared as intended, and not found" in str(report)
    assert "- compact: excused, and there was no need" in str(report)


def test_notes_are_said_and_judge_nothing():
    report = MaskReport(LOOKS[2:3], notes=("it writes into 'x'",))
    assert report.is_clean
    assert str(report).splitlines()[-1] == "- it writes into 'x'"
    assert json.loads(report.to_json())["notes"] == ["it writes into 'x'"]


@pytest.mark.parametrize(
    ("intended", "excused", "message"),
    [
        (
            "loss summ, steps",
            "",
            "intended: got 'loss summ, steps', expected a stage and an axis .* Stages: prediction, los",
        ),
        ("loss sum", "", "intended: got 'loss sum', expected"),
        ("loss sum, wheels", "", "Axes: dims, steps, tokens, samples, neighbours, views"),
        ("loss sum, steps, gone", "", "Kinds: leak, lost, not finite, mismatch"),
        (
            "",
            "unit eror",
            "excused: got 'unit eror', expected a probe, .* Probes: perturb, compact, gradient, unit error",
        ),
        ("", "sampler, wheels", "excused: got 'sampler, wheels'"),
        ("", "prediction, steps, lost", "excused: got 'prediction, steps, lost'"),
    ],
)
def test_a_declaration_that_nothing_can_have_is_refused_with_the_names_that_there_are(intended, excused, message):
    names = ([intended] if intended else [], [excused] if excused else [])
    with pytest.raises(ValueError, match=message):
        check_names(*names, STAGES, ["views"])


def test_declarations_that_something_can_have_are_taken():
    check_names(
        ["loss sum, dims and steps", "prediction, views, lost", "sampler, samples"],
        ["compact", "loss count", "prediction, steps"],
        STAGES,
        ["views"],
    )


def test_the_assertion_lists_what_is_found_and_what_was_not_looked_at():
    with pytest.raises(MasksLeak) as caught:
        MaskReport(LOOKS[:4]).assert_clean()
    assert str(caught.value).splitlines() == [
        "not clean: 1 found, 1 not looked at",
        "! prediction, dims: it moves (perturb and gradient)",
        f"  next: {what_next('prediction', 'dims', 'leak')}",
        "? prediction, steps: compact could not look: it cannot be cut",
    ]
    MaskReport(LOOKS[2:3]).assert_clean()


def test_a_report_without_looks_has_nothing_to_be_clean_of():
    assert MaskReport(()).is_clean is False


def test_a_size_that_is_nan_is_a_finding():
    report = MaskReport((Look("loss sum", "dims", "unit error", nan, why="?"),))
    assert not report.is_clean
    assert report.cell("loss sum", "dims") == "inf"


def test_the_books_names_of_the_leaks_come_from_stages_and_only_from_leaks():
    looks = (
        Look("DiT cross-attention", "tokens", "perturb", 0.1),
        Look("action encoder", "dims", "perturb", 0.2),
        Look("action encoder", "steps", "perturb", 0.2),
        Look("loss sum", "dims", "gradient", 0.2, "lost"),
        Look("loss count", "dims and steps", "unit error", 0.0),
        Look("prediction", "dims", "perturb", 0.2),
        Look("sampled padding", "dims", "read off", 0.2),
    )
    assert MaskReport(looks).leaks == ("input leak", "context leak", "rollout leak")


def test_json_writes_what_is_not_finite_as_null():
    said = json.loads(MaskReport(LOOKS, {"prediction, dims": "x"}, {"compact": "y"}, ("dims",)).to_json())
    assert said["clean"] is False
    assert (said["intended"], said["excused"], said["axes"]) == ({"prediction, dims": "x"}, {"compact": "y"}, ["dims"])
    assert [look["size"] for look in said["looks"]] == [0.25, 0.5, 0.0, None, 0.125, 1e-6, None, None, None]
    assert said["findings"][0] == {
        "stage": "prediction",
        "axis": "dims",
        "kind": "leak",
        "size": 0.25,
        "probes": ["perturb", "gradient"],
        "why": "it moves",
        "intended": "x",
        "where": "",
        "next": what_next("prediction", "dims", "leak"),
    }
    assert said["runs"] == 0


# ------------------------------------------------------------------------------------------- to the last character


def test_the_words_that_users_write_down_in_their_tests_stay_what_they_are():
    assert get_args(Probe) == ("perturb", "compact", "gradient", "unit error", "read off", "parity")
    assert get_args(Kind) == ("leak", "lost", "not finite", "mismatch")
    assert STAGES == ("prediction", "loss sum", "loss count", "sampler", "sampled padding")


def test_each_leak_of_the_book_has_its_stage():
    assert set(LEAK_OF_STAGE.values()) == {leak.name for leak in LEAKS}
    for stage, name in LEAK_OF_STAGE.items():
        assert MaskReport((Look(stage, "dims", "perturb", 0.5),)).leaks == (name,)


def test_a_report_is_printed_line_by_line():
    report = MaskReport(LOOKS[:4], excused={"prediction, steps": "it has five"})
    assert str(report).splitlines() == [
        "not clean: 1 found",
        "",
        "stage       dims  steps",
        "prediction  25 %  0",
        "",
        LEGEND,
        "",
        "! prediction, dims: it moves (perturb and gradient)",
        f"  next: {what_next('prediction', 'dims', 'leak')}",
        "- prediction, steps: compact could not look: it cannot be cut; excused: it has five",
    ]
    assert repr(report) == str(report)


def test_a_report_without_looks_can_be_printed():
    assert str(MaskReport(())).splitlines()[2] == "stage"


def test_the_headline_counts_only_what_there_is():
    def headline(*looks, **more):
        return str(MaskReport(looks, **more)).splitlines()[0]

    assert headline(LOOKS[0]) == "not clean: 1 found"
    assert headline(LOOKS[3]) == "not clean: 1 not looked at"
    assert headline(LOOKS[2], axes=("steps",)) == "clean along steps: nothing that is padded moves what is real"


def test_an_intention_that_was_found_is_not_called_missing():
    said = str(MaskReport(LOOKS[:1], intended={"prediction, dims": "as trained"}))
    assert "not found" not in said


def test_of_several_excuses_the_most_exact_one_is_given():
    excused = {"compact": "by probe", "prediction": "by stage", "prediction, steps": "by name"}
    for name in ("by name", "by stage", "by probe"):
        assert f"; excused: {name}" in str(MaskReport(LOOKS[3:4], excused=excused))
        excused = {kind: reason for kind, reason in excused.items() if reason != name}


def test_of_several_findings_in_a_cell_one_of_each_kind_is_shown():
    looks = (LOOKS[0], Look("prediction", "dims and steps", "gradient", 0.5, "lost"))
    assert MaskReport(looks).cell("prediction", "dims") == "25 %, lost 50 %"
    assert MaskReport(looks, {"prediction, dims": "-"}).cell("prediction", "dims") == "25 %*, lost 50 %"
    both = {"prediction, dims": "-", "prediction, dims and steps, lost": "-"}
    assert MaskReport(looks, both).cell("prediction", "dims") == "25 %*, lost 50 %*"
    assert MaskReport((LOOKS[0], LOOKS[1])).cell("prediction", "dims") == "25 %"
    nan_first = (LOOKS[6], Look("loss sum", "dims", "perturb", 0.5))
    assert MaskReport(nan_first).cell("loss sum", "dims") == "50 %, NaN"
    assert MaskReport(nan_first, {"loss sum, dims and steps, not finite": "-"}).cell("loss sum", "dims") == "50 %, NaN*"


@pytest.mark.parametrize(
    ("size", "said"),
    [(0.0, "0 %"), (5e-5, "<0.01 %"), (1e-4, "0.01 %"), (0.123456, "12.3 %"), (-0.25, "-25 %"), (inf, "inf")],
)
def test_a_size_is_said_in_three_digits(size, said):
    assert percent(size) == said


# ----------------------------------------------------------------------------------------------- what to look at next


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("stage", [*STAGES, PARITY, "a stage of one's own"])
def test_each_finding_says_what_to_look_at_next(stage, kind):
    if kind != "mismatch" or stage == PARITY:
        advice = MaskReport((Look(stage, "views", "perturb", 0.5, kind),)).findings[0].next
        assert len(advice) > 30
        assert advice in str(MaskReport((Look(stage, "views", "perturb", 0.5, kind),)))


def test_every_advice_is_given_somewhere():
    places = [(stage, axis, kind) for stage in (*STAGES, PARITY, "encoder") for axis in AXES for kind in get_args(Kind)]
    assert {what_next(*place) for place in places} - {""} == {advice for *_, advice in NEXT}


AXES = ("dims", "steps", "tokens", "samples", "neighbours")


def test_advice_is_for_the_stage_the_axis_and_the_kind():
    assert "number of entries that were summed" in what_next("loss count", "dims and steps", "leak")
    assert "its own document alone" in what_next("prediction", "neighbours", "leak")
    assert "batch normalisation" in what_next("sampler", "samples", "leak")
    assert what_next("loss sum", "steps", "leak") != what_next("loss sum", "steps", "lost")


def test_findings_with_the_same_advice_say_it_once():
    looks = (Look("loss sum", "dims", "perturb", 0.5, why="a"), Look("loss sum", "steps", "perturb", 0.5, why="b"))
    advice = what_next("loss sum", "steps", "leak")
    assert str(MaskReport(looks)).count(advice) == 1
    assert MaskReport(looks)._repr_html_().count(advice) == 2  # a link leads to one of them


def test_what_is_intended_needs_no_advice():
    assert "next:" not in str(MaskReport(LOOKS[:1], intended={"prediction, dims": "as trained"}))


def test_a_finding_says_which_entries_are_meant_as_the_first_probe_that_knows():
    looks = (
        Look("loss sum", "steps", "perturb", 0.5, why="it moves"),
        Look("loss sum", "steps", "gradient", 0.25, why="they are fitted", where="for example sample 1, step 2"),
        Look("loss sum", "steps", "unit error", 0.25, why="they count", where="for example sample 3"),
    )
    finding = MaskReport(looks).findings[0]
    assert (finding.size, finding.where) == (0.5, "for example sample 1, step 2")
    assert str(finding) == "loss sum, steps: it moves; for example sample 1, step 2 (perturb, gradient and unit error)"


# ------------------------------------------------------------------------------------------------------------- HTML


def body_of(report):
    return ElementTree.fromstring(f"<page>{report._repr_html_().replace('&nbsp;', ' ')}</page>")


def test_html_has_a_row_for_each_stage_and_every_tag_is_closed():
    rows = [["".join(cell.itertext()) for cell in row] for row in body_of(MaskReport(LOOKS)).iter("tr")]
    assert rows[0] == ["stage", "dims", "steps", "tokens", "samples"]
    assert rows[1] == ["prediction", "25 %", "0?", "lost 12.5 %", "<0.01 %"]
    assert [row[0] for row in rows[2:]] == ["loss sum", "loss count", "sampler"]
    assert len([*body_of(MaskReport(LOOKS)).iter("li")]) == 7


BOTH = (*LOOKS, Look("prediction", "dims", "gradient", 0.5, "lost", "half of them"))


def test_each_cell_leads_to_the_line_that_explains_it():
    page = body_of(MaskReport(BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1"}))
    lines = {line.get("id"): "".join(line.itertext()) for line in page.iter("li")}
    told = {link.get("aria-label"): lines[link.get("href").removeprefix("#")] for link in page.iter("a")}
    starts = {label: " ".join(text.split(": ")[1].split()[:3]) for label, text in told.items()}
    assert starts == {
        "prediction, dims: 25 %": "it moves (perturb",
        "prediction, dims: lost 50 %": "half of them",
        "prediction, steps: 0?": "compact could not",
        "prediction, tokens: lost 12.5 %": "1 of 8",
        "prediction, samples: <0.01 %": "hardly (compact)Next",
        "loss sum, dims: NaN": "the gradient is",
        "loss sum, steps: NaN": "the gradient is",
        "loss count, dims: -": "unit error could",
        "loss count, steps: -": "unit error could",
        "sampler, tokens: inf*": "it becomes NaN",
    }


def test_a_cell_looks_like_what_it_says():
    page = body_of(MaskReport(BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1"}))
    looks = {link.get("aria-label"): link.get("class") for link in page.iter("a")}
    assert looks["prediction, dims: 25 %"] == "cell leak"
    assert looks["prediction, dims: lost 50 %"] == "cell lost"
    assert looks["prediction, steps: 0?"] == "cell unseen"
    assert looks["loss sum, dims: NaN"] == "cell broken"
    assert looks["loss count, dims: -"] == "cell quiet"
    assert looks["sampler, tokens: inf*"] == "cell wanted"


def test_two_reports_on_a_page_have_names_of_their_own_and_the_same_report_the_same_ones():
    one, other = MaskReport(LOOKS), MaskReport(LOOKS[:2])
    names = [{line.get("id") for line in body_of(report).iter("li")} for report in (one, other)]
    assert not names[0] & names[1]
    assert one._repr_html_() == MaskReport(LOOKS)._repr_html_()


def test_html_is_escaped_and_what_is_code_is_marked():
    looks = (Look("a<b", "dims", "perturb", 0.5, why="x & `y` move by 5 %"), Look("a<b", "steps", "perturb", 0.0))
    html = MaskReport(looks)._repr_html_()
    assert '<th scope="row">a&lt;b</th>' in html
    assert "x &amp; <code>y</code> move by 5&nbsp;%" in html
    assert '<th scope="col">dims</th>' in html
    assert "tokens</th>" not in html


def test_the_page_needs_no_script_and_no_other_file_and_says_what_was_audited():
    html = MaskReport(LOOKS, runs=37).to_html("mine:<policy>")
    assert "<title>Audit of masks: not clean</title>" in html
    assert "<p>mine:&lt;policy&gt;</p>" in html
    assert "The policy was run 37 times." in html
    assert [sign for sign in ("<script", "<link", "src=", "url(", "@import", "http") if sign in html] == []


def test_the_colours_of_a_report_are_those_of_the_book():
    look = (Path(in_html.__file__).parents[1] / "show" / "look.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in look.split("@media screen"))
    assert {name: light[name] for name in in_html.LIGHT} == in_html.LIGHT
    assert {name: dark[name] for name in in_html.DARK} == in_html.DARK


# ------------------------------------------------------------------------------------------------------------ JUnit


def cases_of(report):
    suites = ElementTree.fromstring(report.to_junit("mine:policy"))
    return suites, {(case.get("classname"), case.get("name")): case for case in suites.iter("testcase")}


def test_junit_has_a_case_for_each_stage_and_axis_with_what_was_found_there():
    report = MaskReport(
        BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1", "prediction, steps": "it has five"}
    )
    suites, cases = cases_of(report)
    outcomes = {place: [part.tag for part in case] for place, case in cases.items()}
    assert outcomes == {
        ("audit-masks.prediction", "dims"): ["failure"],
        ("audit-masks.prediction", "steps"): ["system-out"],
        ("audit-masks.prediction", "tokens"): ["failure"],
        ("audit-masks.prediction", "samples"): ["failure"],
        ("audit-masks.loss sum", "dims"): ["failure"],
        ("audit-masks.loss sum", "steps"): ["failure"],
        ("audit-masks.loss count", "dims"): ["skipped"],
        ("audit-masks.loss count", "steps"): ["skipped"],
        ("audit-masks.sampler", "tokens"): ["system-out"],
    }
    failure = cases["audit-masks.prediction", "dims"][0]
    assert failure.get("type") == "leak"
    assert failure.get("message") == "prediction, dims: it moves (perturb and gradient)"
    assert "! prediction, dims: half of them (gradient)" in failure.text
    assert "no error of 1" in cases["audit-masks.loss count", "dims"][0].get("message")
    counts = {"tests": "9", "failures": "5", "errors": "0"}
    assert suites.attrib == {"name": "audit-masks", **counts}
    assert suites[0].attrib == {"name": "mine:policy", **counts, "skipped": "2"}


ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": ({"name", "time", "tests", "failures", "errors", "skipped"}, {"testcase"}),
    "testcase": ({"name", "time", "classname"}, {"skipped", "error", "failure", "system-out"}),
    **dict.fromkeys(("skipped", "error", "failure"), ({"type", "message"}, set())),
    "system-out": (set(), set()),
}
"""For each element its attributes and what may stand in it, in the stricter of the schemas that CI systems use.

Source: Jenkins' xUnit plugin, `junit-10.xsd`.
"""


def test_junit_has_nothing_that_the_schema_of_jenkins_does_not_know():
    excused = {"unit error": "no error of 1", "prediction, steps": "it has five"}
    suites, _ = cases_of(MaskReport((*BOTH, LOOKS[3]), {"sampler, tokens": "as trained"}, excused))
    for element in suites.iter():
        attributes, inside = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert {part.tag for part in element} <= inside
    assert {element.tag for element in suites.iter()} == {*ALLOWED} - {"error"}


def test_in_junit_what_could_not_be_looked_at_is_an_error_and_what_is_clean_passes():
    _, cases = cases_of(MaskReport((*LOOKS[2:4], Look("prediction", "dims", "perturb", 0.0))))
    assert [part.tag for part in cases["audit-masks.prediction", "steps"]] == ["error"]
    assert len(cases["audit-masks.prediction", "dims"]) == 0


def test_a_report_without_looks_is_an_error_in_junit():
    suites, cases = cases_of(MaskReport(()))
    assert suites.get("errors") == suites.get("tests") == "1"
    assert [part.tag for case in cases.values() for part in case] == ["error"]


def test_junit_leaves_out_what_xml_forbids():
    look = Look("prediction", "dims", "perturb", None, why="\x1b[31mRuntimeError\x00: <size> & shape")
    _, cases = cases_of(MaskReport((look,)))
    assert "[31mRuntimeError: <size> & shape" in cases["audit-masks.prediction", "dims"][0].get("message")


def test_json_says_who_ran_it_and_has_a_line_for_each_entry():
    text = MaskReport(LOOKS[:1]).to_json()
    said = json.loads(text)
    assert (said["torch"], said["python"]) == (torch.__version__, platform.python_version())
    assert text.splitlines()[1] == ' "clean": false,'
    assert _plain({"sizes": (0.5, nan)}) == {"sizes": [0.5, None]}


def test_what_was_looked_at_cannot_be_changed_afterwards():
    report = MaskReport(LOOKS)
    for one in (report, report.looks[0], report.findings[0]):
        with pytest.raises(FrozenInstanceError):
            one.size = 0.0
