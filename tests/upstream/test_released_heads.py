"""A released head is made of the released files alone, and loading it leaves nothing behind."""

import sys
from types import ModuleType

import pytest

from evidence import released
from evidence.released import NEWER, OLDER, heads, missing
from evidence.released.heads import head_n1_5, head_n1_7


def of_lerobot() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "lerobot"}


@pytest.mark.parametrize(("make", "release"), [(head_n1_5, OLDER), (head_n1_7, NEWER)], ids=["N1.5", "N1.7"])
def test_every_part_of_a_head_is_code_of_its_release_or_of_torch_and_diffusers(make, release):
    head = make()
    homes = {type(part).forward.__globals__["__file__"] for part in head.modules()}
    theirs = {home for home in homes if "lerobot" in home}
    assert {home.removeprefix(f"{release}/lerobot/policies/groot/") for home in theirs} == {
        *(["action_head/action_encoder.py", "action_head/flow_matching_action_head.py"] if release is OLDER else []),
        *(["groot_n1_7.py"] if release is NEWER else []),
        "action_head/cross_attention_dit.py",
    }
    assert all("/torch/" in home or "/diffusers/" in home for home in homes - theirs)


def test_nothing_of_upstream_stays_among_the_modules():
    before = of_lerobot()
    head_n1_5(), head_n1_7()
    assert of_lerobot() == before


def test_a_lerobot_that_was_imported_before_is_put_back(monkeypatch):
    imported_before = ModuleType("lerobot")
    monkeypatch.setitem(sys.modules, "lerobot", imported_before)
    monkeypatch.setattr(heads, "OLDER", OLDER.parent / "nowhere")
    with pytest.raises(ModuleNotFoundError):
        head_n1_5()
    assert of_lerobot() == {"lerobot": imported_before}


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    assert missing() is None
    monkeypatch.setattr(released, "NEWER", tmp_path / NEWER.name)
    assert missing() == "lerobot-0.6.1 is not installed: run `make upstream`"
