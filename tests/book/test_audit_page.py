"""The page "Audit your own policy": its code runs as it stands, in one session, and gives what the page says."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from reports import without_sizes

from groot_teach.audit import Padding, audit_masks
from groot_teach.audit.names import ORDER, PARITY, STAGES

PAGE = (Path(__file__).parents[2] / "book" / "audit_your_own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def session():
    told: list[str] = []
    names = {"__name__": "page", "print": lambda *values: told.append(" ".join(map(str, values)))}
    with torch.random.fork_rng():
        for block in BLOCKS:
            exec(compile(block, "audit_your_own.md", "exec"), names)
    return names | {"told": told}


def test_every_block_runs_and_the_last_report_is_clean_for_the_reasons_given(session):
    assert len(BLOCKS) == 7
    assert session["report"].is_clean
    session["test_padding_reaches_nothing_that_is_real"]()


def test_the_first_recipe_finds_what_the_page_says(session):
    first, _, stages = session["told"]
    assert [line.split(":")[0] for line in first.splitlines() if line.startswith("!")] == [
        "! prediction, dims",
        "! loss sum, steps",
    ]
    assert without_sizes(f"```text\n{first}\n```") in without_sizes(PAGE)
    assert stages == "('first layer', 'nothing more', 'prediction', 'loss sum', 'loss count', 'sampler')"


def test_the_packed_policy_has_the_report_that_the_page_shows(session):
    assert f"```text\n{session['told'][1]}\n```" in PAGE


def forgetful(session, line):
    """The report on the packed policy without one of its lines."""
    block = next(block for block in BLOCKS if block.startswith("ids ="))
    names = dict(session)
    assert line in block
    exec(block.replace(line, "").replace("report.assert_clean()", ""), names)
    return {finding.name for finding in names["report"].findings}


def test_the_packed_policy_is_found_out_where_it_forgets_a_mask_as_the_page_says(session):
    of_documents = '    may_read = may_read & (b["documents"][:, None] == b["documents"][..., None])\n'
    assert "prediction, neighbours" in forgetful(session, of_documents)
    assert forgetful(session, ' & ~b["first"]') == {"loss sum, tokens"}


def test_each_recipe_is_ten_lines_or_fewer():
    for start in ("network =", "class Policy"):
        block = next(block for block in BLOCKS if block.startswith(start))
        of_the_audit = block.split("\npolicy = Policy()\n")[-1]  # in recipe 2 the policy is there already
        lines = [line for line in of_the_audit.splitlines() if line.strip() and not line.startswith("print")]
        assert len(lines) <= 10


def test_the_page_names_every_stage_and_probe_and_each_argument_exists():
    for name in (*STAGES, PARITY, *ORDER):
        assert f"| `{name}` |" in PAGE
    used = set(re.findall(r"`(\w+)=", PAGE))
    assert used <= {*inspect.signature(audit_masks).parameters, *inspect.signature(Padding).parameters}


MESSAGES = (
    "got no padding, expected some",
    "two answers to the same batch",
    " could not look: ",
    "has the shape ",
    "draws with other numbers than in the first run",
    "real ones would have no prediction",
    "Say how they belong together",
    "all padding holds one value that no real place has",
    " times, expected once a run",
    "no prediction was found at which the loss is smallest",
    "nothing in the batch moves a prediction",
    "so the loss chooses by value",
    "the loss is detached from the prediction",
    "upside down, or the `real` that you declared?",
    "that no Padding names",
    "there to be predicted and not to be read",
    "they may be rounded, clipped or the",
    "is named by its path",
)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_last_table_is_one_of_the_auditors(message):
    folder = Path(__file__).parents[2] / "groot_teach" / "audit"
    assert any(message in path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    table = PAGE.split("## When it does not work")[1]
    assert message.removesuffix(", expected once a run").replace("`", "").strip() in table
    assert len(re.findall(r"^\| `", table, flags=re.MULTILINE)) == len(MESSAGES) + 1  # two for draws
