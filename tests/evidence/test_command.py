"""The command `python -m evidence`: what it says, and that it writes nothing where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evidence.__main__ import PARTS, main

ROOT = Path(__file__).parents[2]


def test_it_runs_in_a_shell_and_its_help_names_each_part_and_needs_no_torch():
    told = "import sys; sys.modules['torch'] = None; sys.argv = ['evidence', '--help']; "
    told += "import runpy; runpy.run_module('evidence', run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("usage: python -m evidence [-h] PART ...")
    assert all(f"\n    {part}" in run.stdout for part in PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_the_help_of_a_part_says_what_it_stores_and_where(part, capsys):
    with pytest.raises(SystemExit) as caught:
        main([part, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert PARTS[part] in said
    assert f"(book/{part}.json)" in said
    assert (ROOT / "book" / f"{part}.json").exists()


def test_a_part_that_is_not_there_is_refused_with_those_that_are(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["claim"])
    assert caught.value.code == 2
    assert "choose from" in capsys.readouterr().err


@pytest.mark.parametrize("part", [part for part in PARTS if part != "zoo"])
def test_what_is_missing_is_said_and_nothing_is_written(part, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("evidence.released.NEWER", tmp_path / "lerobot-0.6.1")
    monkeypatch.setattr("evidence.released.OLDER", tmp_path / "lerobot-0.4.4")
    file = tmp_path / "stored.json"
    file.write_text("as before")
    assert main([part, "--out", str(file)]) == 1
    assert "run `make upstream`" in capsys.readouterr().err
    assert file.read_text() == "as before"
