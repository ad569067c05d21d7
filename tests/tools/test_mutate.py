"""The mutation tester: which changes it makes, and that it tells a missing test from a test."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.mutate import ROOT, mutants, named_tests, part_of

TOOL = Path(__file__).resolve().parents[2] / "tools" / "mutate.py"


@pytest.fixture
def changes(tmp_path):
    def changes_of(source: str) -> list[str]:
        file = tmp_path / "toy.py"
        file.write_text(source)
        found = [mutant.change for mutant in mutants(file)]
        assert file.read_text() == source
        return found

    return changes_of


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a <= b", ["a <= b -> a < b", "a <= b -> a > b"]),
        ("x = a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("x = a & ~b", ["a & ~b -> a | ~b", "a & ~b -> a", "a & ~b -> ~b", "~b -> b"]),
        ("x = a * 3", ["a * 3 -> a / 3", "3 -> 4", "3 -> 2"]),
        ("x = a.b(c, d)", ["a.b(c, d) -> a.b(d, c)", "a.b(c, d) -> a"]),
        ("x = f(a, b=True)", ["f(a, b=True) -> f(a)", "True -> False"]),
        ("x = a[1:]", ["1: -> :", "1 -> 2", "1 -> 0"]),
        ("x = a[None, :]", ["(None, :) -> (:,)", "(None, :) -> (:, None)"]),
        ("x = mask.all", ["mask.all -> mask.any"]),
        ("x = [a, b]", ["[a, b] -> [b]", "[a, b] -> [a]"]),
        ("x = a if b else c", ["a if b else c -> a", "a if b else c -> c"]),
        ("if a:\n    b = c", ["if a: -> if True:", "if a: -> if False:"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("x = a\nx += b", ["x += b -> pass", "x += b -> x -= b"]),
        ("x = a\nx = b", ["x = b -> pass"]),
        ('"""A docstring."""\nx = "prose, as people write it"\ny = f"got {a}"\nz: "batch" = a', []),
        ('x = "key"', ["'key' -> ''"]),
    ],
)
def test_each_kind_of_change_is_made_once_and_the_file_stays_as_it_was(changes, source, expected):
    assert changes(source) == expected


def test_a_signature_checks_one_thing_less_at_a_time(changes):
    found = changes('@checked\ndef f(a: Float[Tensor, "batch dim"], b: Bool[Tensor, "batch"] | None): pass\n')
    assert found == [
        "@checked -> nothing",
        "a: Float[Tensor, 'batch dim'] -> a: object",
        "a: Float[Tensor, 'batch dim'] -> a: Float[Tensor, '...']",
        "a: Float[Tensor, 'batch dim'] -> a: Float[Tensor, '_ dim']",
        "b: Bool[Tensor, 'batch'] | None -> b: object",
        "b: Bool[Tensor, 'batch'] | None -> b: Bool[Tensor, '...'] | None",
        "b: Bool[Tensor, 'batch'] | None -> b: Bool[Tensor, '_'] | None",
    ]


def test_a_decorator_that_is_called_checks_a_signature_too(changes):
    assert changes('@checked(same="dtype device")\ndef f(a: ActionMask): pass\n') == [
        "@checked(same='dtype device') -> nothing",
        "a: ActionMask -> a: object",
        "checked(same='dtype device') -> checked()",
    ]


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("groot_teach/loss.py", "tests/test_loss.py"),
        ("groot_teach/audit/draws.py", "tests/audit/test_draws.py"),
        ("groot_teach/audit/__init__.py", "tests/audit/test_audit.py"),
        ("groot_teach/audit/__main__.py", "tests/audit/test_command.py"),
    ],
)
def test_the_tests_of_a_module_have_its_name_and_are_there(module, tests):
    assert named_tests(ROOT / module) == tests
    assert (ROOT / module).exists()
    assert (ROOT / tests).exists()


def test_every_week_all_of_the_auditor_is_broken_in_parts_that_make_a_whole():
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text(encoding="utf-8"))
    parts = weekly["jobs"]["mutants"]["strategy"]["matrix"]["part"]
    file = ROOT / "groot_teach" / "audit" / "names.py"
    every = [mutant.change for mutant in mutants(file)]
    assert sorted(change for part in parts for change in every[part_of(part)]) == sorted(every)
    dry = subprocess.run(
        ["make", "--dry-run", "mutants", "PART=2/3"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = {str(module.relative_to(ROOT)) for module in (ROOT / "groot_teach" / "audit").glob("*.py")}
    assert modules | {"--part", "2/3"} <= {*dry.stdout.split()}


@pytest.mark.parametrize("wrong", ["2", "0/3", "4/3", "a/b", "1/0"])
def test_a_part_that_is_none_is_refused(wrong):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"got {wrong!r}, expected K/N")):
        part_of(wrong)


def test_a_survivor_fails_the_run_until_it_is_explained_and_an_old_reason_fails_it_too(tmp_path):
    """The whole command, on a project of one line. Its own test does not look at -0.5, another one beside it does."""
    toy, own = "toys/numbers/toy.py", tmp_path / "tests" / "numbers" / "test_toy.py"
    for folder in ("tools", "toys/numbers", "tests/numbers"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(TOOL, tmp_path / "tools")
    (tmp_path / toy).write_text("def is_positive(x):\n    return x > 0\n")
    importing = "from toys.numbers.toy import is_positive\n\n\n"
    own.write_text(
        f"{importing}def test_signs():\n    assert is_positive(1) is True\n    assert is_positive(-1) is False\n"
    )
    more = f"{importing}def test_fractions():\n    assert is_positive(-0.5) is False\n"
    (own.parent / "test_more.py").write_text(more)

    def run(part: str = "1/1") -> tuple[int, str]:
        command = [sys.executable, "-m", "tools.mutate", toy, "--out", "report.json", "--part", part]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    status, said = run()
    assert status == 1
    assert "4 of 5 killed, 80.0%" in said
    report = json.loads((tmp_path / "report.json").read_text())[toy]
    assert [one["change"] for one in report["survivors"]] == ["x > 0 -> x >= 0"]
    assert {one["by"] for one in report["all"] if one["result"] == "killed"} == {"test_signs", "test_fractions"}

    reasons = [one | {"why": "zero is never asked for"} for one in report["survivors"]]
    (tmp_path / "tools" / "survivors.json").write_text(json.dumps({toy: reasons}))
    status, said = run()
    assert (status, said.count("zero is never asked for")) == (0, 1)

    with own.open("a") as file:
        file.write("    assert is_positive(0) is False\n")
    status, said = run()
    assert status == 1
    assert "5 of 5 killed, 100.0%" in said
    assert said.count("remove its reason") == 1

    every = [f"{one['in']}: {one['change']}" for one in json.loads((tmp_path / "report.json").read_text())[toy]["all"]]
    killed_in = 1 + every.index("is_positive: x > 0 -> x >= 0")
    for part in (killed_in, killed_in % 5 + 1):  # the reason is judged by the part that makes its mutant
        status, said = run(f"{part}/5")
        assert (status, said.count("remove its reason")) == (int(part == killed_in), int(part == killed_in))

    own.write_text(f"{importing}def test_no():\n    assert False\n")
    status, said = run()
    assert status == 1
    assert "the tests fail before anything is changed: test_no" in said
