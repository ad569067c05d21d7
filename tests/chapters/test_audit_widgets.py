"""What the widget of chapter 10 says: the audit's own table, and the leaks that presets say of themselves."""

import pytest

from groot_teach.chapters.audit.pictures import AXES, BATCHES, ROWS, VERSIONS, audit_of, what_the_audit_says
from groot_teach.masks import LEAKS, open_leaks

pytestmark = pytest.mark.xdist_group("audits of chapter 10")  # one process makes them all

AXES_OF = {leak.name: {"dims and steps": {"dims", "steps"}}.get(leak.axis, {leak.axis}) for leak in LEAKS}


@pytest.mark.parametrize("version", VERSIONS)
def test_on_a_ragged_batch_an_audit_finds_the_leaks_of_the_version(version):
    assert audit_of(version, "ragged").leaks == open_leaks(VERSIONS[version])
    assert what_the_audit_says(version, "ragged")["leaks by name"].value == len(open_leaks(VERSIONS[version]))


@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_without_padding_along_an_axis_has_no_column_there(batch):
    report = audit_of("N1.7", batch)
    assert set(report.axes) == set(AXES) - set(BATCHES[batch])
    panels = what_the_audit_says("N1.7", batch)
    assert panels["axes with padding"].value == len(report.axes)
    for stage, *cells in panels["what moves"].rows:
        for axis, cell in zip(AXES, cells, strict=True):
            assert cell == report.cell(stage, axis)
            if axis in BATCHES[batch]:
                assert cell == ""


@pytest.mark.parametrize("batch", BATCHES)
def test_what_a_batch_cannot_show_is_not_found(batch):
    for version in VERSIONS:
        found = audit_of(version, batch).leaks
        assert set(found) <= set(open_leaks(VERSIONS[version]))
        for leak in set(open_leaks(VERSIONS[version])) - set(found):
            assert AXES_OF[leak] & set(BATCHES[batch])


def test_the_table_has_the_same_stages_in_every_state():
    for version in ("N1.5", "strict"):
        for batch in BATCHES:
            assert [row[0] for row in what_the_audit_says(version, batch)["what moves"].rows] == [*ROWS]


def test_a_version_or_a_batch_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="version: got 'N2'"):
        audit_of("N2", "ragged")
    with pytest.raises(ValueError, match="batch: got 'flat'"):
        audit_of("N1.7", "flat")
