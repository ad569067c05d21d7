"""The first cell of each notebook, run where the library is missing and where it is there."""

import pytest
from built_package import BareEnvironment, applies, metadata
from packaging.requirements import Requirement
from run_notebooks import install_cell

pytestmark = pytest.mark.xdist_group("package")  # one process builds it and installs it

PIP_STAYS_OFFLINE = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_without_an_address_it_says_in_one_line_what_to_do(without_the_library, tmp_path):
    said = without_the_library.python(install_cell("").source, tmp_path)
    assert said == "groot_teach is missing. In a clone of this book, run: make lab\n"


def test_with_an_address_it_installs_the_library_and_nothing_that_is_there_already(wheel, tmp_path):
    """As on Colab, torch and the packages of the two extras are there. pip would fail if it wanted another torch."""
    extras = {"notebooks", "recordings"}
    requirements = [Requirement(one) for one in metadata(wheel).get_all("Requires-Dist")]
    wanted = [str(one).partition(";")[0] for one in requirements if applies(one, extras)]
    machine = BareEnvironment(tmp_path / "machine", wanted)
    cell = install_cell(wheel.as_uri()).source
    before = machine.packages()
    assert machine.python(cell, tmp_path, **PIP_STAYS_OFFLINE) == ""
    assert machine.packages() - before == {"groot_teach", f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"}
    assert before <= machine.packages()
    version = machine.python("import groot_teach; print(groot_teach.__version__)", tmp_path)
    assert version.strip() == metadata(wheel)["Version"]


def test_where_the_library_is_there_it_prints_nothing_and_asks_nobody(bare, tmp_path):
    nowhere = (tmp_path / "nothing.whl").as_uri()
    for source in ("", nowhere):
        assert bare.python(install_cell(source).source, tmp_path, **PIP_STAYS_OFFLINE) == ""
