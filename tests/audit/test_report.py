"""What a report says of looks that are written down by hand."""

import json
import platform
from dataclasses import FrozenInstanceError
from math import inf, nan

import pytest
import torch
from audit_looks import LOOKS

from groot_teach.audit import Intended, Look, MaskReport, MasksLeak
from groot_teach.audit.advice import what_next
from groot_teach.audit.names import STAGES
from groot_teach.audit.report import LEGEND, Step, _plain, check_names, percent


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
    both = MaskReport(looks, {"loss sum, steps": "copies", f"loss sum, steps, {kind}": "wanted"})
    assert "declares leaks alone" not in str(both)


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


def test_an_excuse_for_what_was_looked_at_is_not_needed_whatever_was_found():
    assert MaskReport(LOOKS[:1], excused={"prediction, dims": "-"}).unused == ("prediction, dims",)
    assert MaskReport(LOOKS[:1], excused={"prediction": "-"}).unused == ("prediction",)


def test_columns_are_the_usual_axes_those_of_the_batch_the_samples_and_the_neighbours():
    order = ("neighbours", "views", "samples", "tokens", "dims")
    report = MaskReport(tuple(Look("prediction", axis, "perturb", 0.0) for axis in order))
    assert [*report.cells()["prediction"]] == ["dims", "tokens", "views", "samples", "neighbours"]


RECORDS = {
    "look": LOOKS[0],
    "step": Step("prediction", "dims", "perturb", lambda: LOOKS[:1]),
    "intention": Intended("as trained"),
    "finding": MaskReport(LOOKS).findings[0],
    "line": MaskReport(LOOKS).lines[0],
    "place": MaskReport(LOOKS).lines[0].place,
    "report": MaskReport(LOOKS),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_what_was_seen_cannot_be_changed_afterwards(record):
    with pytest.raises(FrozenInstanceError):
        setattr(record, next(iter(vars(record))), "another")


def test_a_part_of_an_audit_takes_its_looks_or_says_why_it_is_left_out():
    step = RECORDS["step"]
    assert step() == LOOKS[:1]
    assert step.left_out("no time") == Look("prediction", "dims", "perturb", None, why="no time")


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
        "hint": "",
        "next": what_next("prediction", "dims", "leak"),
    }
    assert said["runs"] == 0


# ------------------------------------------------------------------------------------------- to the last character


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


def test_findings_with_the_same_advice_say_it_once():
    looks = (Look("loss sum", "dims", "perturb", 0.5, why="a"), Look("loss sum", "steps", "perturb", 0.5, why="b"))
    advice, _, _ = what_next("loss sum", "steps", "leak").partition("`")  # the page sets code as code
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
