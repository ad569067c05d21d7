"""A report as CI systems read it."""

from xml.etree import ElementTree

from audit_looks import BOTH, LOOKS

from groot_teach.audit import Look, MaskReport
from groot_teach.audit.in_junit import junit_of_nothing


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


def test_in_junit_what_could_not_be_looked_at_is_an_error_unless_something_was_found_there_and_what_is_clean_passes():
    tokens = [
        Look("prediction", "tokens", "compact", None, why="it cannot be cut"),
        Look("prediction", "tokens", "gradient", 0.5, "lost", "words are lost"),
        Look("prediction", "tokens", "perturb", 0.25, why="words leak"),
    ]
    _, cases = cases_of(MaskReport((*LOOKS[2:4], Look("prediction", "dims", "perturb", 0.0), *tokens)))
    (error,) = cases["audit-masks.prediction", "steps"]
    assert (error.tag, error.get("type")) == ("error", "could not look")
    assert len(cases["audit-masks.prediction", "dims"]) == 0
    (failure,) = cases["audit-masks.prediction", "tokens"]
    assert (failure.tag, failure.get("type")) == ("failure", "lost")
    assert [line.split(": ")[1] for line in failure.text.split("\n") if not line.startswith("  next")] == [
        "words are lost (gradient)", "words leak (perturb)", "compact could not look"
    ]  # fmt: skip


def test_what_is_excused_or_intended_is_told_in_junit_line_by_line():
    looks = [Look("sampler", "dims", "perturb", None, why=why) for why in ("none is given", "none is there")]
    moved = [Look("prediction", "dims", "perturb", 0.5, why="it moves"), Look("prediction", "dims", "gradient", None)]
    report = MaskReport((*looks, *moved), {"prediction, dims": "as trained"}, {"sampler": "none", "gradient": "ids"})
    _, cases = cases_of(report)
    assert cases["audit-masks.sampler", "dims"][0].get("message").endswith("none is given; excused: none")
    first, second = cases["audit-masks.prediction", "dims"][0].text.split("\n")
    assert first == "* prediction, dims: it moves (perturb); intended: as trained"
    assert second.startswith("- prediction, dims: gradient could not look")


def test_where_nothing_was_audited_ci_reads_one_error_that_says_why():
    assert (
        junit_of_nothing("no such file", "mine:policy")
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="audit-masks" tests="1" failures="0" errors="1">
  <testsuite name="mine:policy" tests="1" failures="0" errors="1" skipped="0">
    <testcase classname="audit-masks" name="audit">
      <error type="nothing was audited" message="no such file">no such file</error>
    </testcase>
  </testsuite>
</testsuites>
"""
    )
    assert ElementTree.fromstring(MaskReport(LOOKS).to_junit())[0].get("name") == "audit-masks"
    suites = ElementTree.fromstring(MaskReport(()).to_junit())
    assert suites[0].get("name") == "audit-masks"
    assert suites[0][0][0].get("message") == "not clean: nothing was looked at"


def test_junit_leaves_out_what_xml_forbids():
    look = Look("prediction", "dims", "perturb", None, why="\x1b[31mRuntimeError\x00: <size> & shape")
    _, cases = cases_of(MaskReport((look,)))
    assert "[31mRuntimeError: <size> & shape" in cases["audit-masks.prediction", "dims"][0].get("message")
