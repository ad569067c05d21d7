"""The audits of LeRobot's policies: the page says what they find now, and they can find something else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evidence.__main__ import main
from evidence.audits import descriptions, record
from evidence.audits.descriptions import subjects
from evidence.released import NEWER, OLDER
from evidence.released.policies import EVERY, act, diffusion

BOOK = Path(__file__).parents[2] / "book"
STORED = json.loads((BOOK / "audits.json").read_text())


@pytest.mark.parametrize("name", STORED)
def test_a_policy_is_found_to_be_what_the_page_says(name):
    said, found = STORED[name], record(subjects()[name])
    for now, then in zip(found["findings"], said["findings"], strict=True):
        assert now.pop("size") == pytest.approx(then["size"], rel=0.02), then
    without_sizes = [{key: part for key, part in each.items() if key != "size"} for each in said["findings"]]
    assert found == said | {"findings": without_sizes}


def test_every_policy_that_runs_here_is_on_the_page_with_both_heads():
    assert {*STORED} == {*subjects()} == {*EVERY, "GR00T N1.5 head", "GR00T N1.7 head"}


def test_a_policy_takes_ten_lines_at_most():
    assert max(audit["lines"] for audit in STORED.values()) <= 10


def test_a_row_of_the_field_survey_says_run_for_each_and_for_no_other_policy():
    rows = re.split(r"\n  - policy: ", (BOOK / "field_survey.yml").read_text())[1:]
    run = {row.splitlines()[0] for row in rows if "\n    status: run\n" in row}
    assert run == {audit["row"] for audit in STORED.values()}


def test_the_clean_policy_is_not_clean_once_its_padding_counts_as_real():
    policy = act()
    assert descriptions.act(policy).is_clean
    everything = torch.zeros_like(policy.batch["action_is_pad"])
    broken = replace(policy, loss=lambda batch: policy.loss(batch | {"action_is_pad": everything}))
    found = {finding.name for finding in descriptions.act(broken).findings}
    assert found == {"prediction, steps", "loss sum, steps"}


def test_the_clean_policy_is_not_clean_once_real_steps_are_left_out():
    policy = act()

    def without_the_first(batch):
        is_pad = batch["action_is_pad"].clone()
        is_pad[:, 0] = True
        return policy.loss(batch | {"action_is_pad": is_pad})

    found = {
        (finding.name, finding.kind) for finding in descriptions.act(replace(policy, loss=without_the_first)).findings
    }
    assert ("loss sum, steps", "lost") in found
    assert ("prediction, steps", "lost") in found


def test_a_mean_over_everything_is_told_from_one_over_what_is_real():
    diluted, whole = (descriptions.diffusion(diffusion(root, masked=True)) for root in (OLDER, NEWER))
    assert [found.name for found in diluted.findings] == [
        *(found.name for found in whole.findings),
        "loss count, steps",
    ]
    assert diluted.findings[-1].size == pytest.approx(2 / 3)  # 14 of 42 steps are real


def test_a_layout_of_its_own_leaves_the_loss_as_it_was():
    for name in ("EVO1", "Wall-X", "LingBot-VA"):
        policy = EVERY[name]()
        loss = policy.loss(policy.batch)
        there, back = lambda said: said.flatten(), lambda laid, said: laid.view(said.shape)
        descriptions.lay_out(policy, there, back)
        assert torch.equal(policy.loss(policy.batch), loss)


def test_plain_attention_with_the_same_mask_is_what_flex_attention_was():
    policy = EVERY["LingBot-VA"]()
    loss = policy.loss(policy.batch)
    descriptions.attend_densely(policy)
    torch.testing.assert_close(policy.loss(policy.batch), loss, rtol=2e-3, atol=0)  # bfloat16


def test_chunks_that_agree_are_the_same_after_a_way_over_steps():
    steps = torch.arange(3 * 7 * 5.0).view(3, 7, 5)
    chunks = descriptions.unfolded(steps)["predicted_action"]
    assert chunks.shape == (3, 5, 15)
    assert torch.equal(chunks[:, 2].view(3, 3, 5), steps[:, 2:5])
    torch.testing.assert_close(descriptions.folded(chunks), steps)


def test_the_command_prints_the_policies_that_are_named_and_stores_nothing(tmp_path, capsys):
    file = tmp_path / "audits.json"
    assert main(["audits", "--out", str(file), "--only", "ACT"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [*printed] == ["ACT"]
    assert printed["ACT"]["clean"]
    assert not file.exists()


def test_the_command_stores_what_it_found_in_the_form_of_the_page(tmp_path, monkeypatch, capsys):
    file, name = tmp_path / "audits.json", "Diffusion Policy"
    monkeypatch.setattr("evidence.audits.subjects", lambda: {name: subjects()[name]})
    assert main(["audits", "--out", str(file)]) == 0
    assert json.loads(file.read_text())[name]["cells"] == STORED[name]["cells"]
    assert file.read_text().startswith('{\n "Diffusion Policy": {\n  "row"')
    assert "Diffusion Policy" in capsys.readouterr().out


def test_a_policy_that_is_not_known_is_refused_with_the_names_that_are(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["audits", "--only", "ACT", "AKT"])
    assert caught.value.code == 2
    assert 'only: got "AKT", expected some of "GR00T N1.5 head", ' in capsys.readouterr().err
