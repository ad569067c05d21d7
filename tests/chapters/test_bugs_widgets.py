"""What the widget of chapter 9 says: sizes where the auditor found something, and cells that go dark elsewhere."""

import pytest

from groot_teach.audit.names import COLUMNS, PARITY, SAMPLED
from groot_teach.bugs import BATCHES, EXHIBITS, NO_BUG, report_on
from groot_teach.chapters.bugs.pictures import BUGS, PROBES, STAGE_ROWS, pick_a_bug, probes_that_see, seen_by

pytestmark = pytest.mark.xdist_group("exhibits")  # one process makes the reports of all tests

SEES, BY = "what this probe sees", "probes that see this bug"
NAMES = {exhibit.number: exhibit.name for exhibit in EXHIBITS}


def rows(bug, probe="perturb", batch="ragged"):
    return {stage: dict(zip(COLUMNS, cells, strict=True)) for stage, *cells in pick_a_bug(bug, probe, batch)[SEES].rows}


def test_every_bug_and_the_right_policy_can_be_picked():
    assert [*BUGS] == [NO_BUG, *NAMES.values()]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("batch", BATCHES)
def test_nothing_moves_without_a_bug(probe, batch):
    panels = pick_a_bug(NO_BUG, probe, batch)
    assert panels["places that moved"].value == 0
    assert {cell for row in panels[SEES].rows for cell in row[1:]} <= {"", "0"}
    assert panels[BY].values == [0] * len(BATCHES)


def test_a_wrong_key_is_seen_in_the_sum_of_the_loss():
    seen = rows(NAMES[1])
    assert seen["loss sum"]["steps"].endswith(" %")
    assert seen["loss sum"]["dims"] == seen["prediction"]["steps"] == "0"
    assert pick_a_bug(NAMES[1])["places that moved"].value == 1


def test_a_probe_says_nothing_where_it_does_not_look():
    seen = rows(NAMES[5], "unit error")
    assert seen["prediction"] == dict.fromkeys(COLUMNS, "")
    assert seen["loss count"]["steps"] == seen["loss count"]["dims"] != ""


def test_what_is_lost_says_so():
    assert rows(NAMES[16], "gradient")["DiT cross-attention"]["tokens"].startswith("lost ")


def test_cells_go_dark_on_other_batches():
    def seen(number):
        return {batch: set(probes_that_see(NAMES[number], batch)) for batch in BATCHES}

    assert seen(11)["ragged"] >= {"perturb", "compact"}
    assert seen(11)["equal robots"] == seen(11)["one robot"] == set()
    assert seen(6)["ragged"] == seen(6)["equal robots"] == {"unit error"}
    assert seen(12)["one robot"] == set() != seen(12)["equal robots"]
    assert seen(13)["ragged"] == set() != seen(13)["empty prompt"]


def test_the_table_says_what_the_report_says():
    for exhibit in EXHIBITS:
        report = report_on(exhibit.name)
        for finding in report.findings:
            if set(finding.probes) & set(PROBES):
                axis = finding.axis.split(" and ")[0]
                cells = [seen_by(report, probe, finding.stage, axis) for probe in finding.probes if probe in PROBES]
                assert all(cell not in ("", "0", "?") for cell in cells), finding
        assert {finding.stage for finding in report.findings} <= {*STAGE_ROWS, SAMPLED, PARITY}


def test_the_bars_count_the_probes_that_see_a_bug_on_each_batch():
    bars = pick_a_bug(NAMES[12])[BY]
    assert bars.labels == [*BATCHES]
    assert bars.values == [3, 3, 0, 3]


@pytest.mark.parametrize(
    "wrong", [{"bug": "17 nobody"}, {"probe": "flip"}, {"batch": "round"}], ids=lambda wrong: next(iter(wrong))
)
def test_a_word_that_is_unknown_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pick_a_bug(**wrong)
