"""The note's claims about GR00T, run again on LeRobot's released code: the page says what the checks find now."""

import json
from pathlib import Path

import pytest

from evidence import claims_upstream as claim_checks_upstream
from evidence.claims import CHECKS

STORED = json.loads((Path(__file__).parents[2] / "book" / "claims.json").read_text())
UPSTREAM = {number: check for number, check in CHECKS.items() if check.run.__module__ == claim_checks_upstream.__name__}


@pytest.mark.parametrize("number", UPSTREAM)
def test_a_check_on_released_code_finds_what_the_page_says(number):
    assert UPSTREAM[number].record() == STORED[str(number)]


def test_every_result_on_the_page_has_a_check():
    assert {*STORED} == {*map(str, CHECKS)}


def test_the_packing_step_is_the_released_one_and_leaves_nothing_behind():
    import sys

    import torch

    from evidence.pack_step import pack

    packed = pack(torch.ones(2, 3, 5), ["one", "two"])
    assert packed.action.shape == packed.action_mask.shape == (2, 16, 32)
    assert packed.language == "one"
    assert not [name for name in sys.modules if name.split(".")[0] == "lerobot"]
