"""The wheel alone, on torch, jaxtyping and beartype: what works there, and what an error says where it does not."""

import json
import re
import textwrap

import pytest
from built_package import ROOT, applies, metadata, needed
from packaging.requirements import Requirement
from reports import without_sizes

from groot_teach.extras import EXTRA_OF

pytestmark = pytest.mark.xdist_group("package")  # one process builds it and installs it

README = (ROOT / "README.md").read_text(encoding="utf-8")
# The policy that README audits, and how.
TOY, EXAMPLE = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
DESCRIBED = """
from groot_teach import Padding


def what_to_audit():
    policy = Policy(masked=False)
    return {
        "run": lambda batch: policy(batch)["loss"],
        "batch": batch,
        "padding": [Padding("steps", ~is_pad, values={"action": 1}, masks={"action_is_pad": 1})],
        "module": policy,
        "prediction": "model.action_out",
        "excused": {"sampler": "this toy has none"},
    }
"""


def readme_report() -> str:
    (report,) = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return report


def test_the_optional_packages_are_absent(bare, tmp_path):
    """Without this the tests below would prove nothing."""
    absent = [*EXTRA_OF, "numpy", "tqdm", "diffusers", "jupyterlab", "pytest"]
    code = f"from importlib.util import find_spec; print([name for name in {absent} if find_spec(name)])"
    assert bare.python(code, tmp_path) == "[]\n"


def test_each_public_name_and_each_reader_is_there_or_names_its_extra(bare, tmp_path):
    code = """
import json
from functools import partial
from pathlib import Path

import groot_teach
from groot_teach.head.released import read_action_head
from groot_teach.recordings.files import read_table

asked = {name: partial(getattr, groot_teach, name) for name in groot_teach.__all__}
Path("model.safetensors").touch()
asked["checkpoint"] = partial(read_action_head, "model.safetensors")
asked["recording"] = partial(read_table, Path(), "frames.parquet", [])
refused = {}
for name, ask in asked.items():
    try:
        ask()
    except ImportError as error:
        refused[name] = str(error)
print(json.dumps(refused))
"""
    refused = json.loads(bare.python(code, tmp_path))
    needs = '{} needs the package {}, which is not installed; in a clone of the book: pip install ".[{}]"'
    shown = ("check", "explore", "hint", "hints", "on_paper", "progress", "solution")
    assert refused == {
        **{name: needs.format(f"groot_teach.{name}", "anywidget", "notebooks") for name in shown},
        "checkpoint": needs.format("reading a checkpoint", "safetensors", "checkpoints"),
        "recording": needs.format("reading parquet files", "pyarrow", "recordings"),
    }


def test_the_example_of_the_readme_runs_and_fails_for_a_policy_that_leaks(bare, tmp_path):
    example = f"""
policy = Policy(masked=True)
{EXAMPLE}

policy = Policy(masked=False)
try:
{textwrap.indent(EXAMPLE, "    ")}
except MasksLeak as leak:
    print("found:", leak)
"""
    (tmp_path / "example.py").write_text(f"{TOY}\nfrom groot_teach.audit import MasksLeak\n{example}")
    result = bare.run("python", "example.py", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    clean, leaking, found = re.split(r"^(?=not clean)|^found:", result.stdout, flags=re.MULTILINE)
    assert clean.startswith("clean along steps")
    assert without_sizes(leaking) == without_sizes(readme_report())
    assert "loss sum" in found


def test_the_command_audits_a_function_in_the_current_folder(bare, tmp_path):
    (tmp_path / "mine.py").write_text(TOY + DESCRIBED)
    result = bare.run("audit-masks", "mine:what_to_audit", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    assert "loss sum" in result.stdout


def test_the_command_is_also_a_module(bare, tmp_path):
    result = bare.run("python", "-m", "groot_teach.audit", "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: audit-masks")


def test_each_error_names_an_extra_that_brings_the_package(wheel):
    requirements = [Requirement(one) for one in metadata(wheel).get_all("Requires-Dist")]
    for package, extra in EXTRA_OF.items():
        direct = [str(one).partition(";")[0] for one in requirements if one.marker and applies(one, {extra})]
        assert package in needed(direct), f"{extra} does not bring {package}"
