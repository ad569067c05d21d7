"""Which cases `make test` leaves out: of the tests in a list, all but one in some, and never one that is not listed."""

import ast
import subprocess
import sys

import pytest
from contents import ROOT
from many_cases import ONE_OF, left_out, name_of


@pytest.mark.parametrize("file", sorted({name.split("::")[0] for name in ONE_OF}))
def test_each_test_in_the_list_is_there(file):
    defined = {
        node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert {name.split("::")[1] for name in ONE_OF if name.startswith(f"{file}::")} <= defined


def test_the_first_case_is_asked_and_then_one_in_as_many_as_the_list_says():
    often, never, other = (next(name for name, many in ONE_OF.items() if many == want) for want in (7, 0, 5))
    names = [often, never, "tests/test_loss.py::not_listed"] * 9 + [other] * 6
    asked = [place for place in range(len(names)) if place not in left_out(names)]
    assert [place for place in asked if names[place] == often] == [0, 21]
    assert [place for place in asked if names[place] == never] == []
    assert sum(names[place].endswith("not_listed") for place in asked) == 9
    assert [place for place in asked if names[place] == other] == [27, 32]


def test_pytest_asks_all_cases_unless_it_is_told_to_ask_few():
    def collected(*options):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:nbval", "tests/test_loss.py"]
        said = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True).stdout
        return [line for line in said.splitlines() if "::" in line]

    every, few = collected(), collected("--few-cases")
    assert few == [every[place] for place in range(len(every)) if place not in left_out([*map(name_of, every)])]
    assert len(few) < len(every)
