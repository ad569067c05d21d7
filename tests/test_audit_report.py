"""What a report says of looks that are written down by hand."""

import json
from math import inf, nan

import pytest

from groot_teach.audit import Look, MaskReport, MasksLeak

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
        "prediction  25 %  0      lost 12.5 %  <0.01 %",
        "loss sum    NaN   NaN",
        "loss count  ?     ?",
        "sampler                  inf",
    ]


def test_where_one_probe_looked_and_another_could_not_the_cell_says_nothing_moved_and_the_report_is_not_clean():
    report = MaskReport(LOOKS[2:4])
    assert report.cell("prediction", "steps") == "0"
    assert report.unseen == (LOOKS[3],)
    assert not report.is_clean


@pytest.mark.parametrize("name", ["prediction, steps", "prediction", "compact"])
def test_a_look_that_was_not_taken_is_excused_by_name_stage_or_probe(name):
    report = MaskReport(LOOKS[2:4], excused={name: "the network has five steps"})
    assert report.is_clean
    assert report.unseen == ()
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
    assert (
        str(report).splitlines()[0]
        == "clean along dims, steps, tokens: nothing that is padded moves what is real; 1 intended"
    )
    assert "* prediction, dims: it moves (perturb and gradient); intended: as trained" in str(report)
    assert not MaskReport(LOOKS[:3], intended={"prediction, steps": "as trained"}).is_clean


def test_an_intention_that_was_not_found_is_said():
    assert "- sampler, dims: declared as intended, and not found" in str(
        MaskReport(LOOKS[:1], intended={"sampler, dims": "as trained"})
    )


def test_the_assertion_lists_what_is_found_and_what_was_not_looked_at():
    with pytest.raises(MasksLeak) as caught:
        MaskReport(LOOKS[:4]).assert_clean()
    assert str(caught.value).splitlines() == [
        "not clean: 1 found, 1 not looked at",
        "! prediction, dims: it moves (perturb and gradient)",
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


def test_html_has_the_same_cells_and_is_escaped():
    looks = (Look("a<b", "dims", "perturb", 0.5, why="x & y"), Look("a<b", "steps", "perturb", None, why="no"))
    html = MaskReport(looks)._repr_html_()
    assert '<th scope="row">a&lt;b</th>' in html
    assert "x &amp; y" in html
    assert '<td class="found">50 %</td>' in html
    assert '<td class="unseen">?</td>' in html
    assert '<th scope="col">dims</th>' in html
    assert "tokens</th>" not in html


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
    }
