"""What is in the two distributions, and what a reader of their metadata sees."""

import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from built_package import ROOT, build, copy_of_the_sources, metadata
from markdown_it import MarkdownIt
from packaging.version import Version

import groot_teach

ADDRESS = "https://github.com/somebody/somewhere"


@pytest.fixture(scope="module")
def with_address(tmp_path_factory):
    """The wheel's metadata, built where the address is known."""
    folder = tmp_path_factory.mktemp("address")
    source = copy_of_the_sources(folder / "sources")
    build("prepare_metadata_for_build_wheel", source, folder, ADDRESS)
    (wheel,) = folder.glob("*.dist-info")
    return wheel / "METADATA"


def targets(description: str) -> list[str]:
    """Where the links and pictures of a text point."""
    html = MarkdownIt().render(description)
    return re.findall(r'(?:href|src)="([^"]*)"', html)


def test_tests_run_from_the_source_distribution(unpacked):
    template = "tests/book/test_notebooks.py::test_the_template_begins_as_every_notebook_does"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_embodiments.py", template]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=unpacked, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_source_distribution_is_the_repository(unpacked):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git repository here, so nothing says which files belong to it")
    kept = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    assert [name for name in kept if not (unpacked / name).exists()] == []


def test_the_wheel_holds_the_library_with_all_its_files_and_nothing_else(wheel):
    names = set(ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "groot_teach").rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == ours


def test_the_version_is_written_in_one_place(wheel):
    version = metadata(wheel)["Version"]
    assert version == groot_teach.__version__ == str(Version(version))
    places = [ROOT / "pyproject.toml", ROOT / "setup.py", ROOT / "CITATION.cff"]
    assert [place.name for place in places if version in place.read_text(encoding="utf-8")] == []
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_without_an_address_the_metadata_has_no_link_into_the_repository(wheel):
    said = metadata(wheel)
    assert said.get_all("Project-URL") is None
    assert [target for target in targets(said.get_payload()) if not target.startswith("https://")] == []


def test_with_an_address_each_link_and_picture_is_whole(with_address):
    text = with_address.read_text(encoding="utf-8")
    assert f"Project-URL: Source, {ADDRESS}\n" in text
    description = text.partition("\n\n")[2]
    assert [target for target in targets(description) if not target.startswith("https://")] == []
    ours = re.compile(re.escape(ADDRESS) + r"/(blob|raw)/main/([^#]*)")
    inside = [ours.fullmatch(target) for target in targets(description) if target.startswith(ADDRESS)]
    assert inside
    assert [found[2] for found in inside if not Path(ROOT, found[2]).exists()] == []
    assert any(found[1] == "raw" and found[2].endswith(".png") for found in inside)


def test_code_in_the_description_is_left_as_it_is(with_address):
    blocks = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    readme = blocks.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert readme
    assert blocks.findall(with_address.read_text(encoding="utf-8")) == readme
