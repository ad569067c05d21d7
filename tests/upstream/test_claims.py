"""The note's claims about GR00T, run again on LeRobot's released code: the page says what the checks find now."""

import json
import sys
from pathlib import Path

import pytest
import torch

from evidence.__main__ import main
from evidence.claims import CHECKS, released_code
from evidence.released.pack_step import pack

STORED = json.loads((Path(__file__).parents[2] / "book" / "claims.json").read_text())
ON_RELEASED_CODE = {number: one for number, one in CHECKS.items() if one.run.__module__ == released_code.__name__}


@pytest.mark.parametrize("number", ON_RELEASED_CODE)
def test_a_check_on_released_code_finds_what_the_page_says(number):
    assert ON_RELEASED_CODE[number].record() == STORED[str(number)]


def test_every_result_on_the_page_has_a_check():
    assert {*STORED} == {*map(str, CHECKS)}


def test_the_packing_step_is_the_released_one_and_leaves_nothing_behind():
    packed = pack(torch.ones(2, 3, 5), ["one", "two"])
    assert packed.action.shape == packed.action_mask.shape == (2, 16, 32)
    assert packed.language == "one"
    assert not [name for name in sys.modules if name.split(".")[0] == "lerobot"]


def test_the_command_stores_what_its_checks_find_in_the_form_of_the_page(tmp_path, monkeypatch, capsys):
    file = tmp_path / "claims.json"
    monkeypatch.setattr("evidence.claims.CHECKS", {number: CHECKS[number] for number in (20, 3)})
    assert main(["claims", "--out", str(file)]) == 0
    assert json.loads(file.read_text()) == {number: STORED[number] for number in ("3", "20")}
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["3", "20"]
