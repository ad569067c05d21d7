"""The check of a whole folder: every fault at once, notes, text, JSON and the exit status."""

import json
import re

import pytest
import torch
from real_data import gr1_folder
from recorded_folders import (
    V2_FILE,
    edit_info,
    frames,
    rewrite,
    write_json,
    write_json_lines,
    write_table,
    write_v2,
    write_v3,
)

from groot_teach.recordings.__main__ import main
from groot_teach.recordings.check import check_dataset

pa = pytest.importorskip("pyarrow")


def said(findings):
    return {(finding.file, finding.field, finding.episode) for finding in findings}


@pytest.mark.parametrize("write", [write_v2, write_v3])
def test_a_sound_folder_has_no_faults(tmp_path, write):
    write(tmp_path)
    report = check_dataset(tmp_path)
    assert (report.is_clean, report.episodes, report.checked, report.notes) == (True, 3, 3, ())
    assert str(report) == f"{tmp_path}: no faults; 3 of 3 listed episodes were on disk and checked"


def test_every_fault_is_listed_at_once(tmp_path):
    write_v2(tmp_path)
    edit_info(tmp_path, fps=-1, total_frames=99)
    write_json(tmp_path / "meta/modality.json", {"action": {"arm": {"start": 0, "end": 9}}})
    with (tmp_path / "meta/episodes.jsonl").open("a") as lines:
        lines.write('{"episode_index": 0, "length": 3}\n{broken\n')
    rewrite(tmp_path, action=[[0.0] * 4] * 3, frame_index=[0, 2, 1], index=[7, 7, 7], task_index=[0, 9, 0])
    (tmp_path / "data/chunk-000/episode_000001.parquet").write_text("no parquet")
    report = check_dataset(tmp_path)
    second = "data/chunk-000/episode_000001.parquet"
    assert said(report.faults) == {
        ("meta/info.json", "fps", None),
        ("meta/info.json", "total_frames", None),
        ("meta/modality.json: action.arm", "end", None),
        ("meta/episodes.jsonl: line 4", "episode_index", None),
        ("meta/episodes.jsonl: line 5", "JSON", None),
        (V2_FILE, "action", 0),
        (V2_FILE, "frame_index", 0),
        (V2_FILE, "index", 0),
        (V2_FILE, "task_index", 0),
        (second, "file", None),
    }
    assert all(finding.file in finding.message and "expected" in finding.message for finding in report.faults)


def test_rows_that_no_list_mentions_and_stale_lists_are_faults_of_a_v3_folder(tmp_path):
    write_v3(tmp_path)
    both = pa.concat_tables([pa.table(frames(1, 5)), pa.table(frames(0, 2))])
    write_table(tmp_path / "data/chunk-000/file-001.parquet", both)
    write_table(tmp_path / "data/chunk-000/file-000.parquet", frames(2, 0))
    report = check_dataset(tmp_path)
    assert said(report.faults) == {
        ("data/chunk-000/file-001.parquet", "episode_index", None),
        ("meta/episodes", "data/file_index", None),
    }


STATS = {"min": [0.0, 0.1, 0.2, 0.3, 0.4], "max": [21.0, 21.1, 21.2, 21.3, 21.4]}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"max": [20.0, 21.1, 21.2, 21.3, 21.4]}, "action.max: got 20 for 'action 0', expected 21, as the data say"),
        ({"max": [99.0] * 5}, r"action.max: got 99 for 'action 0', .*\(5 dims differ\)"),
        ({"min": [0.0] * 5}, "action.min: got 0 for 'action 1', expected 0.1"),
        ({"mean": [0.0] * 5}, "action.mean: got 0 for 'action 0', expected 11.25"),
        ({"mean": [11.25, 11.35, 11.45, 11.55, 11.65]}, None),
        ({"std": [1.0] * 4}, "std: got 4 numbers, expected 5, one for each dim"),
        ({"std": [10**400] * 5}, "std: got .*, expected a list of finite numbers"),
        ({"std": [1.0, "2"]}, "std: got .*, expected a list of finite numbers"),
    ],
)
def test_statistics_that_the_data_contradict_are_a_fault(tmp_path, changes, fault):
    write_v2(tmp_path)
    write_json(tmp_path / "meta/stats.json", {"action": STATS | changes})
    messages = [finding.message for finding in check_dataset(tmp_path).faults]
    assert len(messages) == (fault is not None)
    assert fault is None or re.search(fault, messages[0]), messages


def test_where_not_all_is_on_disk_statistics_may_say_more_than_the_data_and_not_less(tmp_path):
    write_v2(tmp_path)
    (tmp_path / "data/chunk-001/episode_000002.parquet").unlink()
    write_json(tmp_path / "meta/stats.json", {"action": STATS})
    report = check_dataset(tmp_path)
    assert (report.is_clean, report.checked) == (True, 2)
    assert "not on disk: 2" in str(report)
    write_json(tmp_path / "meta/stats.json", {"action": STATS | {"max": [15.0] * 5}})
    assert said(check_dataset(tmp_path).faults) == {("meta/stats.json", "action.max", None)}


def test_the_statistics_of_each_episode_are_compared_with_that_episode(tmp_path):
    write_v2(tmp_path)
    low, high = [20.0, 20.1, 20.2, 20.3, 20.4], [21.0, 21.1, 21.2, 21.3, 21.4]
    rows = [{"episode_index": 2, "stats": {"action": {"min": low, "max": low}}}]
    write_json_lines(tmp_path / "meta/episodes_stats.jsonl", rows)
    assert said(check_dataset(tmp_path).faults) == {("meta/episodes_stats.jsonl: episode 2", "action.max", None)}
    rows[0]["stats"]["action"]["max"] = high
    write_json_lines(tmp_path / "meta/episodes_stats.jsonl", rows)
    assert check_dataset(tmp_path).is_clean


def test_joints_that_never_move_held_ends_and_zeros_are_notes_with_their_names(tmp_path):
    write_v2(tmp_path)
    edit_info(
        tmp_path, total_episodes=2, total_frames=45,
        features={"action": {"dtype": "float64", "shape": [5], "names": ["a", "b", "c", "d", "e"]}},
    )  # fmt: skip
    rows = [{"episode_index": 0, "length": 40}, {"episode_index": 1, "length": 5}]
    write_json_lines(tmp_path / "meta/episodes.jsonl", rows)
    moving = torch.arange(40).clamp(max=20)[:, None] * torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    for index, actions in ((0, moving), (1, torch.zeros(5, 5))):
        columns = {"action": actions.tolist(), "task_index": [0] * len(actions)}
        write_table(tmp_path / f"data/chunk-000/episode_00000{index}.parquet", columns)
    notes = [finding.message for finding in check_dataset(tmp_path).notes]
    assert notes == [
        "data: action: episodes in which every action is 0: 1",
        "data: action: one action is repeated for more than a second at the end of 1 episodes, as a recorder does that "
        "went on: 20 steps in episode 0",
        "data: hand: 1 of 2 dims never move: e; they hold 0",
    ]


def test_many_findings_of_one_kind_are_shown_as_a_few(tmp_path):
    write_v2(tmp_path)
    rows = [{"episode_index": n, "length": -n} for n in range(10, 20)]
    write_json_lines(tmp_path / "meta/episodes.jsonl", rows)
    lines = str(check_dataset(tmp_path)).splitlines()
    assert len([line for line in lines if "length: got" in line]) == 3
    assert "! ... and 7 more like this" in lines


def test_the_command_says_it_in_its_exit_status_and_as_json(tmp_path, capsys):
    write_v2(tmp_path / "data set")
    command = ["check", str(tmp_path / "data set"), "--quiet"]
    assert main(command) == 0
    rewrite(tmp_path / "data set", frame_index=[0, 2, 1])
    assert main([*command, "--json", str(tmp_path / "report.json")]) == 1
    text = capsys.readouterr().out
    assert ": 1 fault; " in text
    assert "! data/chunk-000/episode_000000.parquet: frame_index: got 2 at step 1" in text
    stored = (tmp_path / "report.json").read_text()
    assert main([*command, "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out) == json.loads(stored)
    assert json.loads(stored)["faults"][0]["episode"] == 0
    assert main(["check", str(tmp_path / "nowhere"), "--quiet"]) == 2
    assert "nowhere; there is no such folder" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().err.endswith("expected a dataset folder; it has no meta/info.json\n")


def test_a_folder_whose_description_cannot_be_read_has_that_one_fault(tmp_path):
    write_v2(tmp_path)
    (tmp_path / "meta/info.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    report = check_dataset(tmp_path)
    assert (said(report.faults), report.episodes) == ({("meta/info.json", "file", None)}, 0)


def test_the_gr1_demo_is_sound_and_its_left_hand_never_moves():
    report = check_dataset(gr1_folder())
    assert (report.is_clean, report.checked) == (True, 2)
    assert any(note.field == "left_hand" and "6 of 6 dims never move: motor_7" in note.message for note in report.notes)
