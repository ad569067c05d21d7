"""The command `python -m groot_teach.audit`, as a shell runs it."""

import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from groot_teach.audit import LEAK_OF_STAGE
from groot_teach.audit.__main__ import audit_checkpoint, drawn_batch, main
from groot_teach.head import released as upstream
from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, open_leaks

MINE = """
from audit_cases import Toy, toy_batch, toy_padding

def described(*doors):
    toy = Toy(*doors)
    return {"run": toy.answer, "batch": toy_batch(), "padding": toy_padding(), "sample": toy.sample}

def shut():
    return described()

def ajar():
    return described("words")

def ajar_without_a_sampler():
    return described("words") | {"sample": None}

def nothing():
    return {"run": None}

def no_answer():
    return None

number = 3

def with_a_batch(batch, seed=0, *more):
    return described() | {"batch": batch}

def raises():
    return {"run": {}["no such camera"]}

def leaves():
    raise SystemExit(0)

def breaks_as_it_runs():
    return described() | {"run": lambda batch: 1 / 0}

def looks_at_half():
    asked = described()
    return asked | {"sample": None}

def stops():
    raise KeyboardInterrupt
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a module to audit. The command, which runs in this process, finds the module among those loaded."""
    file = tmp_path / "mine_to_audit.py"
    file.write_text(MINE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, file.stem, module)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_a_shell(*arguments):
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests / "support")])}
    command = [sys.executable, "-m", "groot_teach.audit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_runs_in_a_shell_finds_a_module_in_the_folder_and_ends_with_1_if_something_leaks(mine):
    run = in_a_shell("mine_to_audit:ajar")
    assert run.returncode == 1, run.stderr
    assert run.stdout.startswith("not clean: 2 found\n")
    assert "audit: 100%" in run.stderr


def test_a_shell_sees_0_for_a_clean_report_with_a_page_and_a_file_for_ci(mine):
    run = in_a_shell("mine_to_audit:shut", "--quiet", "--html", "report.html", "--junit", "report.xml")
    assert (run.returncode, run.stderr) == (0, "")
    assert "<title>Audit of masks: clean</title>" in (mine / "report.html").read_text(encoding="utf-8")
    suites = ElementTree.parse(mine / "report.xml").getroot()
    assert (suites.get("failures"), suites.get("errors")) == ("0", "0")
    assert suites[0].get("name") == "mine_to_audit:shut"


def test_the_exit_status_is_that_of_the_report_if_nobody_reads_it_to_its_end(mine):
    """As in `audit-masks ... | head -1`, where Python would end with an error of its own."""
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests / "support")])}
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "groot_teach.audit", "mine_to_audit:shut", "--quiet"]
    run = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(writes)
    assert (run.returncode, run.stderr) == (0, "")


def truncated(folder):
    whole = saved(folder).read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    return "checkpoint", folder / "model.safetensors"


def pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    return "checkpoint", folder / "model.safetensors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (truncated, "nothing was audited: "),
        (lambda folder: ("mine_to_audit:breaks_as_it_runs",), "nothing was audited: ZeroDivisionError in mine_to_"),
        (lambda folder: ("mine_to_audit:shut", "--junit", "/dev/full"), "/dev/full was not written: .*No space left"),
    ],
)
def test_a_shell_sees_2_and_never_1_where_something_could_not_be_audited_and_nothing_was_found(
    mine, arguments, message
):
    run = in_a_shell(*arguments(mine), "--quiet")
    assert run.returncode == 2, run.stdout
    assert re.search(message, run.stderr)
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (pointer, "nothing was audited: .*Git LFS"),
        (lambda folder: ("checkpoint", folder / "absent"), "nothing was audited: .*absent"),
        (
            lambda folder: ("mine_to_audit:shut", "--html", folder),
            "nothing was audited: --html: got .*, expected a file",
        ),
        (lambda folder: ("mine_to_audit:looks_at_half",), ""),
    ],
)
def test_what_could_not_be_audited_ends_with_2_if_nothing_was_found(mine, capsys, arguments, message):
    assert main([*map(str, arguments(mine)), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert len(said.splitlines()) == bool(message)


def test_a_clean_report_ends_with_0_and_is_written_as_json(mine, capsys):
    assert main(["mine_to_audit:shut", "--quiet", "--json", "report.json"]) == 0
    assert capsys.readouterr().out.startswith("clean along dims, steps, tokens")
    assert json.loads((mine / "report.json").read_text(encoding="utf-8"))["clean"] is True


def test_what_is_found_ends_with_1_even_if_not_everything_was_looked_at_and_is_written_in_all_forms(mine, capsys):
    files = ("--json", "report.json", "--html", "report.html", "--junit", "report.xml")
    assert main(["mine_to_audit:ajar_without_a_sampler", "--quiet", *files]) == 1
    assert capsys.readouterr().out.startswith("not clean: 1 found, 1 not looked at")
    assert json.loads((mine / "report.json").read_text(encoding="utf-8"))["findings"][0]["next"]
    page = (mine / "report.html").read_text(encoding="utf-8")
    assert "<p>mine_to_audit:ajar_without_a_sampler</p>" in page
    suites = ElementTree.parse(mine / "report.xml").getroot()
    assert (suites.get("failures"), suites.get("errors")) == ("1", "2")


def test_ci_is_told_that_nothing_was_audited(mine, capsys):
    assert main(["mine_to_audit:raises", "--quiet", "--junit", "report.xml"]) == 2
    suites = ElementTree.parse(mine / "report.xml").getroot()
    assert (suites.get("tests"), suites.get("errors"), suites[0].get("name")) == ("1", "1", "mine_to_audit:raises")
    assert "KeyError" in next(suites.iter("error")).get("message")
    capsys.readouterr()


def test_a_file_that_cannot_be_written_after_all_is_said_and_the_others_are_written(mine, capsys):
    assert main(["mine_to_audit:shut", "--quiet", "--json", "/dev/full", "--html", "report.html"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("clean along dims, steps, tokens")
    assert re.fullmatch("/dev/full was not written: .*No space left on device\n", said.err)
    assert "<title>Audit of masks: clean</title>" in (mine / "report.html").read_text(encoding="utf-8")


def test_what_is_printed_goes_nowhere_if_nobody_reads_it_and_the_files_are_written(mine, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return file.fileno()

    with (mine / "printed").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Gone())
        assert main(["mine_to_audit:shut", "--quiet", "--json", "report.json"]) == 0
        assert os.fstat(file.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
    assert json.loads((mine / "report.json").read_text(encoding="utf-8"))["clean"] is True


@pytest.mark.parametrize("option", ["--json", "--html", "--junit"])
def test_a_file_that_cannot_be_written_is_refused_before_the_audit(mine, capsys, option, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert main(["mine_to_audit:shut", "--quiet", option, "report"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"nothing was audited: {option}: got report, expected a file that may be written\n"


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("mine_to_audit:absent", "got no 'absent' in mine_to_audit, expected a function there"),
        ("mine_to_audit:number", "got 'number', a int, in mine_to_audit, expected a function there"),
        ("mine_to_audit:nothing", "gave a dict without batch, padding, expected"),
        ("mine_to_audit:no_answer", "gave None, expected"),
        (
            "mine_to_audit:with_a_batch",
            "with_a_batch: missing a required argument: 'batch', expected a function without arguments",
        ),
        ("mine_to_audit.py:shut", "got the file mine_to_audit.py, expected the module, mine_to_audit:shut"),
        ("mine_to_audit", "expected module:function, or checkpoint and a file"),
        (":shut", "expected module:function, or checkpoint and a file"),
        ("mine_to_audit:", "expected module:function, or checkpoint and a file"),
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("mine_to_audit:raises", "nothing was audited: KeyError in mine_to_audit.py 29: 'no such camera'"),
        ("mine_to_audit:leaves", "nothing was audited: SystemExit in mine_to_audit.py 32: 0"),
        ("mine_to_audit:stops", "nothing was audited: stopped\n"),
        ("builtins:dict", "builtins:dict gave a dict without run, batch, padding, expected"),
    ],
)
def test_what_cannot_be_audited_is_said_and_ends_with_2(mine, capsys, subject, message):
    assert main([subject, "--quiet"]) == 2
    assert message in capsys.readouterr().err


OPTIONS = ["--head-width", "8", "--vl-head-width", "10", "--quiet"]


def saved(tmp_path, dtype=torch.bfloat16, **sizes):
    """A small checkpoint, of N1.7 if nothing else is asked for."""
    from safetensors.torch import save_file

    small = {
        "padded_dim": 11, "state_dim": 13, "token_width": 20, "embodiments": 3, "width": 16, "hidden": 12, "heads": 2,
        "layers": 4, "vl_heads": 2, "vl_layers": 1, "attend_text_every_n_blocks": 2,
    }  # fmt: skip
    head = ActionHead(HeadConfig(**small | sizes), PR_741, torch.Generator().manual_seed(0)).to(dtype)
    named = {f"action_head.{name}": weight.contiguous() for name, weight in upstream.to_upstream(head).items()}
    save_file(named, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


N1_5 = {"future_tokens": 2, "attend_text_every_n_blocks": None}


def test_a_checkpoint_is_audited_as_the_version_that_its_weights_are(tmp_path, capsys):
    checkpoint = saved(tmp_path)
    assert main(["checkpoint", str(checkpoint), *OPTIONS]) == 1
    table = capsys.readouterr().out
    assert "! VL self-attention, tokens" in table
    assert "! DiT cross-attention, tokens" not in table
    assert main(["checkpoint", str(checkpoint), "--version", "strict", *OPTIONS]) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_weights_that_are_audited_are_those_of_the_file_in_single_precision_or_in_double(
    tmp_path, monkeypatch, dtype
):
    from safetensors.torch import load_file

    monkeypatch.setattr(sys.modules[main.__module__], "audit_action_head", lambda *given, **more: given)
    file = saved(tmp_path, dtype)
    head, observation, _, noise, *_ = audit_checkpoint(file, head_width=8, vl_head_width=10)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert {noise.dtype, observation.state.dtype, next(head.parameters()).dtype} == {wide}
    assert not head.training
    stored, audited = load_file(file), upstream.to_upstream(head)
    assert {name.removeprefix("action_head.") for name in stored} == audited.keys()
    assert all(torch.equal(audited[name.removeprefix("action_head.")], one.to(wide)) for name, one in stored.items())


@pytest.mark.parametrize(
    ("version", "masking", "sizes"),
    [
        ("N1.5", GROOT_N1_5, N1_5),
        ("N1.6", GROOT_N1_6, {"vl_layers": 0}),
        ("N1.7", GROOT_N1_7, {}),
        ("PR741", PR_741, {}),
        ("strict", STRICT, N1_5),
    ],
)
def test_each_version_stands_for_its_own_masking(tmp_path, version, masking, sizes):
    told = tmp_path / "report.json"
    checkpoint = str(saved(tmp_path, **sizes))
    main(["checkpoint", checkpoint, "--version", version, *OPTIONS, "--json", str(told)])
    found = {finding["stage"] for finding in json.loads(told.read_text(encoding="utf-8"))["findings"]}
    assert {LEAK_OF_STAGE[stage] for stage in found & set(LEAK_OF_STAGE)} == set(open_leaks(masking))


def test_the_steps_of_a_checkpoint_are_those_that_its_config_says(tmp_path, monkeypatch):
    """A chunk of 3 steps and 2 steps of inference: seen in what the sampler is called with."""
    saved(tmp_path)
    entries = {
        "model_type": "Gr00tN1d7", "max_action_dim": 11, "max_state_dim": 13, "backbone_embedding_dim": 20,
        "input_embedding_dim": 16, "hidden_size": 12, "max_num_embodiments": 3, "action_horizon": 3,
        "num_inference_timesteps": 2,
        "diffusion_model_cfg": {
            "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 4, "output_dim": 12,
            "interleave_self_attention": True, "positional_embeddings": None,
        },
        "vl_self_attention_cfg": {
            "num_attention_heads": 2, "attention_head_dim": 10, "num_layers": 1, "positional_embeddings": None,
        },
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(entries), encoding="utf-8")
    seen, sample = set(), ActionHead.sample

    def watched(head, observation, noise, dim_mask, step_mask, steps):
        seen.add((noise.shape[1], steps))
        return sample(head, observation, noise, dim_mask, step_mask, steps)

    monkeypatch.setattr(ActionHead, "sample", watched)
    assert audit_checkpoint(tmp_path).leaks == open_leaks(GROOT_N1_7)
    assert {steps for _, steps in seen} == {2}
    assert max(horizon for horizon, _ in seen) == 3


@pytest.mark.parametrize(
    ("sizes", "version", "message"),
    [
        (N1_5, "N1.7", "version: got N1.7, and the weights are those of N1.5, which has future tokens"),
        ({}, "N1.5", "version: got N1.5, and the weights are those of N1.7"),
        ({}, "N1.6", "version: got N1.6, and the weights are those of N1.7: they have VL self-attention"),
        ({"vl_layers": 0}, "strict", "version: got none, and there is no config.json"),
    ],
)
def test_a_head_with_the_masks_of_another_version_is_not_audited(tmp_path, capsys, sizes, version, message):
    assert main(["checkpoint", str(saved(tmp_path, **sizes)), "--version", version, *OPTIONS]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nothing was audited: {message}")


def test_a_file_that_is_not_there_is_said(tmp_path, capsys):
    assert main(["checkpoint", str(tmp_path / "absent.safetensors"), "--version", "N1.7", "--quiet"]) == 2
    assert "absent.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint"], "checkpoint: expected a file or a folder behind this word"),
        (["a:b", "x"], "FILE and --version go with the word checkpoint"),
        (["a:b", "--version", "N1.7"], "FILE and --version go with the word checkpoint"),
        (
            ["a:b", "--json", "no/such/folder/report.json"],
            "--json: got no/such/folder/report.json, expected a file in a folder that exists",
        ),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, message, capsys):
    assert main([*arguments]) == 2
    assert capsys.readouterr().err == f"nothing was audited: {message}\n"


def test_progress_is_shown_if_nobody_asks_for_quiet(mine, capsys):
    assert main(["mine_to_audit:shut"]) == 0
    shown = capsys.readouterr().err
    assert "audit: 100%" in shown
    assert "step/s" in shown


def test_help_says_what_it_is_for_with_examples(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "Which padding reaches which output" in said
    assert "audit-masks checkpoint model.safetensors --version N1.6" in said


@pytest.mark.parametrize(("max_steps", "steps"), [(None, 7), (5, 5), (1, 1)])
def test_the_drawn_batch_has_no_more_steps_than_the_head(max_steps, steps):
    config = HeadConfig(
        padded_dim=4, state_dim=3, token_width=4, embodiments=1, width=4, hidden=4, heads=1, layers=1, vl_heads=1,
        vl_layers=0, max_steps=max_steps,
    )  # fmt: skip
    _, batch, noise, _ = drawn_batch(config)
    assert batch.step_mask.shape == noise.shape[:2] == (3, steps)
    assert batch.step_mask.any(dim=1).all()
    assert torch.equal(drawn_batch(config)[2], noise)


def test_the_drawn_batch_is_ragged_on_every_axis_and_lacks_a_camera():
    config = HeadConfig(
        padded_dim=11, state_dim=13, token_width=20, embodiments=2, width=16, hidden=12, heads=2, layers=2, vl_heads=2,
        vl_layers=1, state_history=2,
    )  # fmt: skip
    observation, batch, noise, t = drawn_batch(config)
    assert batch.dim_mask.sum(1).tolist() == [11, 6, 8]
    assert batch.step_mask.sum(1).tolist() == [7, 4, 6]
    assert observation.vl.backbone_attention_mask.sum(1).tolist() == [11, 6, 10]
    assert observation.vl.backbone_attention_mask[1].tolist() == [False] * 3 + [True] + [False] * 2 + [True] * 5
    assert observation.vl.image_mask[0].tolist() == [False] * 4 + [True] * 4 + [False] * 3
    assert observation.state.shape == (3, 2, 13)
    assert observation.embodiment_id.tolist() == [0, 1, 0]
    assert noise.shape == batch.actions.shape
    assert t.dtype == noise.dtype == torch.float32
    assert not batch.actions[~(batch.dim_mask[:, None] & batch.step_mask[..., None])].any()
