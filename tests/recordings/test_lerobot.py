import json
import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import gr1_folder
from recorded_folders import (
    LENGTHS,
    TASKS,
    V2_FILE,
    V3_LIST,
    edit_info,
    entry,
    episode_list,
    frames,
    rewrite,
    write_json,
    write_json_lines,
    write_modality,
    write_table,
    write_v2,
    write_v3,
)

from groot_teach.embodiments import Embodiment
from groot_teach.recordings import (
    DatasetError,
    DatasetWarning,
    chunk_at,
    dataset_embodiment,
    open_dataset,
    read_episode,
)

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def v2(tmp_path):
    write_v2(tmp_path)
    return tmp_path


@pytest.fixture
def v3(tmp_path):
    write_v3(tmp_path)
    return tmp_path


def refuses(match, call, *args, **kwargs):
    with pytest.raises(DatasetError, match=match):
        call(*args, **kwargs)


# ---- what comes out ----


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_a_v2_folder_opens_with_its_description(tmp_path, version):
    write_v2(tmp_path, version)
    dataset = open_dataset(tmp_path)
    assert (dataset.version, dataset.fps, dataset.robot_type, dataset.action_dim) == (version, 10.0, "toy_arm", 5)
    assert dataset.groups == {"arm": slice(0, 3), "hand": slice(3, 5)}
    assert dataset.episode_lengths == {0: 3, 1: 7, 2: 2}
    assert dataset.tasks == {0: "stack", 1: "pour"}
    assert dataset.episodes_present == (0, 1, 2)
    assert dataset.episodes_missing == ()


@pytest.mark.parametrize("text_column", ["task", "__index_level_0__"])
def test_a_v3_folder_opens_with_its_description(tmp_path, text_column):
    write_v3(tmp_path, text_column)
    dataset = open_dataset(str(tmp_path))
    assert dataset.version == "v3.0"
    assert dataset.episode_lengths == {2: 2, 0: 3, 1: 7}
    assert dataset.tasks == {0: "stack", 1: "pour"}
    assert dataset.episodes_present == (2, 0, 1)


@pytest.mark.parametrize("write", [write_v2, write_v3])
def test_every_episode_comes_back_number_for_number(tmp_path, write):
    write(tmp_path)
    dataset = open_dataset(tmp_path)
    for index, length in LENGTHS.items():
        episode = read_episode(dataset, index)
        expected = [[entry(index, step, dim) for dim in range(5)] for step in range(length)]
        assert episode.actions.tolist() == expected
        assert episode.actions.dtype == torch.float64
        assert episode.episode_index == index
        assert episode.groups == (("arm", 3), ("hand", 2))
        assert episode.task == ["stack", "pour", "stack"][index]


def test_an_episode_list_may_itself_be_spread_over_files(v3):
    rows = pa.table(episode_list())
    write_table(v3 / V3_LIST, rows.slice(0, 2))
    write_table(v3 / "meta/episodes/chunk-000/file-001.parquet", rows.slice(2))
    assert open_dataset(v3).episode_lengths == {2: 2, 0: 3, 1: 7}


def test_groups_come_in_the_order_that_was_asked_for(v2):
    episode = read_episode(open_dataset(v2), 1, groups=["hand", "arm"])
    assert episode.actions[6].tolist() == [16.3, 16.4, 16.0, 16.1, 16.2]
    assert episode.groups == (("hand", 2), ("arm", 3))


def test_one_group_alone_has_its_own_width(v3):
    episode = read_episode(open_dataset(v3), 0, groups=["hand"])
    assert episode.actions.tolist() == [[0.3, 0.4], [1.3, 1.4], [2.3, 2.4]]


def test_without_modality_json_all_dims_are_one_group(v2):
    (v2 / "meta/modality.json").unlink()
    dataset = open_dataset(v2)
    assert dataset.groups == {"action": slice(0, 5)}
    assert read_episode(dataset, 0).groups == (("action", 5),)


def test_the_embodiment_has_the_groups_that_the_episode_has(v2):
    dataset = open_dataset(v2)
    robot = dataset_embodiment(dataset, ["hand", "arm"], embodiment_id=3)
    assert robot == Embodiment("toy_arm", (("hand", 2), ("arm", 3)), embodiment_id=3)
    assert robot.action_dim == read_episode(dataset, 0, ["hand", "arm"]).actions.shape[1]


def test_an_embodiment_without_a_robot_type_is_named_after_its_folder(v2):
    edit_info(v2, robot_type=None)
    dataset = open_dataset(v2)
    assert dataset.robot_type is None
    assert dataset_embodiment(dataset, embodiment_id=0).name == v2.name


def test_a_task_that_changes_inside_an_episode_is_kept_step_by_step(v2):
    rewrite(v2, task_index=[0, 0, 1])
    episode = read_episode(open_dataset(v2), 0)
    assert episode.tasks == ("stack", "stack", "pour")
    with pytest.raises(ValueError, match=r"task of episode 0: got \['pour', 'stack'\], expected one text"):
        _ = episode.task


def test_a_missing_episode_file_is_said_and_refused_only_when_it_is_read(v2):
    (v2 / "data/chunk-000/episode_000001.parquet").unlink()
    dataset = open_dataset(v2)
    assert dataset.episodes_present == (0, 2)
    assert dataset.episodes_missing == (1,)
    assert dataset.episode_lengths[1] == 7
    refuses(r"^data/chunk-000/episode_000001.parquet: file: got no such file", read_episode, dataset, 1)


def test_a_missing_v3_file_takes_all_its_episodes_along(v3):
    (v3 / "data/chunk-000/file-000.parquet").unlink()
    dataset = open_dataset(v3)
    assert dataset.episodes_present == (1,)
    assert dataset.episodes_missing == (0, 2)


def test_a_robot_of_one_dim_may_be_a_column_of_plain_numbers(v2):
    (v2 / "meta/modality.json").unlink()
    edit_info(v2, features={"action": {"shape": [1]}})
    rewrite(v2, action=[0.5, 1.5, 2.5])
    assert read_episode(open_dataset(v2), 0).actions.tolist() == [[0.5], [1.5], [2.5]]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "uint16", "int64"])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed-width", "free-width"])
def test_every_number_type_becomes_float64_without_changing(v2, kind, fixed):
    rows = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 127]]
    value_type = pa.type_for_alias(kind)
    flat = pa.array([number for row in rows for number in row], pa.int64()).cast(value_type)
    offsets = pa.array([0, 5, 10, 15], pa.int32())
    column = pa.FixedSizeListArray.from_arrays(flat, 5) if fixed else pa.ListArray.from_arrays(offsets, flat)
    rewrite(v2, action=column)
    assert read_episode(open_dataset(v2), 0).actions.tolist() == rows


def test_float32_is_read_as_the_float32_it_is_and_not_as_the_decimal_it_was(v2):
    rewrite(v2, action=pa.array([[0.1] * 5] * 3, pa.list_(pa.float32(), 5)))
    actions = read_episode(open_dataset(v2), 0).actions
    assert actions[0, 0] == torch.tensor(0.1, dtype=torch.float32).double()
    assert actions[0, 0] != 0.1


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, max_size=5), min_size=3, max_size=3
    )
)
def test_any_finite_float64_comes_back_bit_for_bit(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    write_v2(folder)
    rewrite(folder, action=rows)
    assert torch.equal(read_episode(open_dataset(folder), 0).actions, torch.tensor(rows, dtype=torch.float64))


def test_recorders_that_leave_out_the_order_columns_are_read(v2):
    rewrite(v2, frame_index=None, index=None, timestamp=None)
    assert read_episode(open_dataset(v2), 0).actions.shape == (3, 5)


def test_a_clock_that_jitters_by_a_third_of_a_step_is_read(v2):
    rewrite(v2, timestamp=[7.0, 7.133, 7.2])
    assert read_episode(open_dataset(v2), 0).actions.shape == (3, 5)


def test_a_line_separator_inside_a_task_does_not_cut_the_line(v2):
    lines = ['{"task_index": 0, "task": "a\u2028b"}', "", '{"task_index": 1, "task": "c"}']
    (v2 / "meta/tasks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert open_dataset(v2).tasks == {0: "a\u2028b", 1: "c"}


# ---- what is refused: the file, the field, what came, what was expected ----


@pytest.mark.parametrize("key", ["codebase_version", "fps", "features", "data_path", "total_episodes", "total_frames"])
@pytest.mark.parametrize("write", [write_v2, write_v3])
def test_a_missing_info_key_is_named(tmp_path, write, key):
    write(tmp_path)
    edit_info(tmp_path, **{key: ...})
    refuses(rf"^meta/info.json: {key}: got no such key", open_dataset, tmp_path)


def test_v2_needs_the_chunks_size_and_v3_does_not(tmp_path):
    write_v2(tmp_path / "two")
    edit_info(tmp_path / "two", chunks_size=...)
    refuses("^meta/info.json: chunks_size: got no such key", open_dataset, tmp_path / "two")
    write_v3(tmp_path / "three")
    edit_info(tmp_path / "three", chunks_size=...)
    assert open_dataset(tmp_path / "three").action_dim == 5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"codebase_version": "v1.6"},
            r"codebase_version: got 'v1.6', expected one of \('v2.0', 'v2.1', 'v3.0'\); LeRo",
        ),
        ({"codebase_version": 2.1}, "codebase_version: got 2.1, expected str"),
        ({"fps": 0}, "fps: got 0, expected a finite number above 0"),
        ({"fps": "10"}, "fps: got '10', expected int or float"),
        ({"fps": math.inf}, "fps: got inf"),
        ({"fps": math.nan}, "fps: got nan"),
        ({"robot_type": 7}, "robot_type: got 7, expected str"),
        ({"features": []}, r"features: got \[\], expected dict"),
        ({"features": {}}, "features: got no such key as 'action' among"),
        ({"features": {"action": {}}}, "features.action: shape: got no such key"),
        ({"features": {"action": 5}}, "features: action: got 5, expected dict"),
        ({"fps": 10**400}, "fps: got 1000"),
        ({"chunks_size": 2**63}, "chunks_size: got a number of 64 bits, expected"),
        ({"features": {"action": {"shape": [2, 3]}}}, r"features.action.shape: got \[2, 3\], expected one number"),
        ({"features": {"action": {"shape": [0]}}}, r"features.action.shape: got \[0\], expected one number"),
        ({"features": {"action": {"shape": [5.0]}}}, r"features.action.shape: got \[5.0\], expected one number"),
        ({"chunks_size": 0}, "chunks_size: got 0, expected 1 or more"),
        ({"total_episodes": 4}, "total_episodes: got 4, expected 3"),
        ({"total_episodes": True}, "total_episodes: got True, expected int"),
        ({"total_frames": 13}, "total_frames: got 13, expected 12"),
        ({"data_path": "data/{nobody}.parquet"}, "data_path: got .*nobody.*, expected a template"),
        ({"data_path": "data/{.parquet"}, "data_path: got .*expected a template"),
        (
            {"data_path": "../../secret/{episode_index}.parquet"},
            "data_path: got .*secret.*, expected a path inside the folder",
        ),
        (
            {"data_path": "/secret/{episode_index}.parquet"},
            "data_path: got .*secret.*, expected a path inside the folder",
        ),
        ({"data_path": "..\\secret\\{episode_index}"}, "data_path: got .*secret.*, expected a path inside the folder"),
        ({"data_path": "C:{episode_index}"}, "data_path: got .*C:0.*, expected a path inside the folder"),
        ({"data_path": "{episode_index}" + "a" * 300}, "data_path: got .*, expected a path inside the folder"),
        ({"data_path": "data/{episode_index:0999999999d}"}, "data_path: got .*, expected a template of"),
        ({"data_path": "data/{episode_index!r}"}, "data_path: got .*, expected a template of"),
        ({"data_path": "data/{episode_index.real}"}, "data_path: got .*, expected a template of"),
    ],
)
def test_a_wrong_info_value_is_named(v2, changes, match):
    edit_info(v2, **changes)
    refuses(f"^meta/info.json: {match}", open_dataset, v2)


def test_no_format_of_the_path_leads_out_of_the_folder(v2):
    """`c` writes the character of a number: 47 is a slash, and 46 a dot."""
    edit_info(v2, chunks_size=1, data_path="{episode_chunk:c}etc{episode_chunk:c}passwd")
    write_json_lines(v2 / "meta/episodes.jsonl", [{"episode_index": 47, "tasks": [], "length": 12}])
    refuses("^meta/info.json: data_path: got .*, expected a template of", open_dataset, v2)


def test_a_folder_without_info_is_refused(tmp_path):
    refuses("^meta/info.json: file: got no such file in", open_dataset, tmp_path)


def test_what_is_no_folder_is_said_with_the_way_out(v2, monkeypatch):
    refuses("^folder: path: got .*nowhere; there is no such folder", open_dataset, v2 / "nowhere")
    refuses("^folder: path: got .*info.json; that is a file, expected the folder", open_dataset, v2 / "meta/info.json")
    command = "`hf download lerobot/pusht --repo-type dataset --local-dir pusht`"
    refuses(f"looks like a name on the Hugging Face Hub.*{command}", open_dataset, "lerobot/pusht")
    monkeypatch.chdir(v2)
    refuses("^folder: path: got meta/nowhere; there is no such folder, expected the", open_dataset, "meta/nowhere")


@pytest.mark.parametrize("text", ["{", "[1]", "null", "[" * 100_000, '{"a": 1, "a": 2}', '{"a": "\\ud800"}'])
@pytest.mark.parametrize("file", ["meta/info.json", "meta/modality.json"])
def test_malformed_json_is_refused(v2, file, text):
    (v2 / file).write_text(text)
    refuses(f"^{file}: JSON: got .*expected (an object|characters that are whole)", open_dataset, v2)


def test_bytes_that_are_not_text_are_refused(v2):
    (v2 / "meta/tasks.jsonl").write_bytes(b"\xc3\x28")
    refuses("^meta/tasks.jsonl: file: got .*expected a readable UTF-8 file", open_dataset, v2)
    (v2 / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "stack"}', encoding="utf-16")
    refuses("^meta/tasks.jsonl: file: got text in UTF-16, expected UTF-8", open_dataset, v2)


def test_a_text_that_begins_with_a_byte_order_mark_is_read(v2):
    text = (v2 / "meta/tasks.jsonl").read_text()
    (v2 / "meta/tasks.jsonl").write_text(text, encoding="utf-8-sig")
    assert open_dataset(v2).tasks == {0: "stack", 1: "pour"}


@pytest.mark.parametrize("file", ["meta/episodes.jsonl", "meta/tasks.jsonl"])
def test_a_broken_line_is_refused_by_its_number(v2, file):
    first = (v2 / file).read_text().split("\n")[0]
    (v2 / file).write_text(first + "\n{broken\n")
    refuses(f"^{file}: line 2: JSON: got", open_dataset, v2)


@pytest.mark.parametrize(
    ("file", "row", "match"),
    [
        ("meta/episodes.jsonl", {"episode_index": 3}, "length: got no such key"),
        ("meta/episodes.jsonl", {"length": 3}, "episode_index: got no such key"),
        ("meta/episodes.jsonl", {"episode_index": 3, "length": 0}, "length: got 0, expected 1 or more"),
        ("meta/episodes.jsonl", {"episode_index": 3, "length": 2.0}, "length: got 2.0, expected int"),
        ("meta/episodes.jsonl", {"episode_index": -1, "length": 2}, "episode_index: got -1, expected 0 or more"),
        ("meta/episodes.jsonl", {"episode_index": 0, "length": 2}, "episode_index: got 0 for the second time"),
        ("meta/tasks.jsonl", {"task_index": 2}, "task: got no such key"),
        ("meta/tasks.jsonl", {"task_index": 2, "task": None}, "task: got None, expected str"),
        ("meta/tasks.jsonl", {"task_index": 0, "task": "x"}, "task_index: got 0 for the second time"),
        ("meta/tasks.jsonl", {"task": "x"}, "task_index: got no such key"),
    ],
)
def test_a_wrong_row_of_a_list_is_named(v2, file, row, match):
    with (v2 / file).open("a") as lines:
        lines.write(json.dumps(row))
    number = {"meta/episodes.jsonl": 4, "meta/tasks.jsonl": 3}[file]
    refuses(f"^{file}: line {number}: {match}", open_dataset, v2)


@pytest.mark.parametrize(
    ("action", "match"),
    [
        ({}, "action: got no group"),
        ({"arm": {"start": 0}}, "action.arm: end: got no such key"),
        ({"arm": 3}, "action: arm: got 3, expected dict"),
        ({"arm": {"start": -1, "end": 3}}, "action.arm: start: got -1, expected 0 or more"),
        ({"arm": {"start": 3, "end": 3}}, "action.arm: end: got 3, expected above start 3"),
        ({"arm": {"start": 0, "end": 6}}, "action.arm: end: got 6, .*at most 5, the width of 'action'"),
        ({"arm": {"start": 0, "end": 3.0}}, "action.arm: end: got 3.0, expected int"),
        (
            {"arm": {"start": 0, "end": 3, "original_key": "eef"}},
            "action.arm: original_key: got 'eef', expected a feature",
        ),
    ],
)
def test_a_wrong_group_is_named(v2, action, match):
    write_json(v2 / "meta/modality.json", {"action": action})
    refuses(f"^meta/modality.json: {match}", open_dataset, v2)


def test_a_modality_file_without_actions_is_refused(v2):
    write_json(v2 / "meta/modality.json", {"state": {}})
    refuses("^meta/modality.json: action: got no such key", open_dataset, v2)


@pytest.mark.parametrize("groups", [["leg"], ["arm", "leg"], [], "arm"])
def test_an_unknown_group_is_refused_with_the_names_there_are(v2, groups):
    match = r"^meta/modality.json: action: got groups .*out of \['arm', 'hand'\]"
    refuses(match, read_episode, open_dataset(v2), 0, groups)
    refuses(match, dataset_embodiment, open_dataset(v2), groups, embodiment_id=0)


def test_groups_that_share_a_dim_are_refused_together_and_read_alone(v2):
    write_modality(v2, {"arm": (0, 3), "wrist": (2, 5)})
    dataset = open_dataset(v2)
    refuses("^meta/modality.json: action: got groups .*share dims", read_episode, dataset, 0)
    refuses("share dims", read_episode, dataset, 0, ["arm", "arm"])
    assert read_episode(dataset, 0, ["wrist"]).actions[0].tolist() == [0.2, 0.3, 0.4]


def test_dims_in_no_group_are_not_dropped_without_a_word(v2):
    write_modality(v2, {"arm": (0, 2), "hand": (3, 4)})
    dataset = open_dataset(v2)
    refuses(r"^meta/modality.json: action: got no group for dims \[2, 4\]", read_episode, dataset, 0)
    assert read_episode(dataset, 0, ["arm", "hand"]).actions[0].tolist() == [0.0, 0.1, 0.3]


def test_an_episode_that_is_not_listed_is_refused(v2):
    refuses(
        r"^meta/episodes: episode_index: got 3, expected a listed one: \[0, 1, 2\]", read_episode, open_dataset(v2), 3
    )


def test_a_missing_column_is_named(v2):
    rewrite(v2, action=None)
    refuses(f"^{V2_FILE}: action: got 0 columns", read_episode, open_dataset(v2), 0)


def test_a_v3_file_that_does_not_say_whose_rows_it_holds_is_refused(tmp_path):
    write_v3(tmp_path)
    write_table(tmp_path / "data/chunk-000/file-001.parquet", frames(1, 5, episode_index=None))
    match = "^data/chunk-000/file-001.parquet: episode_index: got 0 columns"
    refuses(match, read_episode, open_dataset(tmp_path), 1)


def test_a_v2_file_need_not_say_whose_rows_it_holds_and_what_its_one_task_is(v2):
    rewrite(v2, episode_index=None, task_index=None)
    rows = [{"episode_index": n, "tasks": ["stack"], "length": length} for n, length in LENGTHS.items()]
    write_json_lines(v2 / "meta/episodes.jsonl", rows)
    episode = read_episode(open_dataset(v2), 0)
    assert (episode.tasks, episode.actions.shape) == (("stack",) * 3, (3, 5))
    write_json_lines(v2 / "meta/episodes.jsonl", [row | {"tasks": TASKS} for row in rows])
    refuses("task_index: got no column of that name, and 2 tasks", read_episode, open_dataset(v2), 0)
    write_json_lines(v2 / "meta/episodes.jsonl", [row | {"tasks": None} for row in rows])
    assert read_episode(open_dataset(v2), 0).task == ""


def features(**widths):
    return {name: {"dtype": "float32", "shape": [width]} for name, width in widths.items()}


def test_a_column_whose_name_only_begins_with_action_holds_the_actions(v2):
    edit_info(v2, features=features(actions=5, action_is_pad=1, state=5))
    rewrite(v2, action=None, actions=[[1.0, 2.0, 3.0, 4.0, 5.0]] * 3)
    dataset = open_dataset(v2)
    assert (dataset.columns, dataset.dim_names) == ({"actions": 5}, tuple(f"actions {dim}" for dim in range(5)))
    assert read_episode(dataset, 0, ["hand"]).actions[0].tolist() == [4.0, 5.0]


def test_actions_in_several_columns_stand_beside_each_other_a_bool_as_0_or_1(v2):
    (v2 / "meta/modality.json").unlink()
    edit_info(v2, features=features(state=4, **{"action.arm": 2, "action.open": 1}))
    rewrite(v2, action=None, **{"action.open": [True, False, True], "action.arm": [[1, 2], [3, 4], [5, 6]]})
    episode = read_episode(open_dataset(v2), 0)
    assert episode.groups == (("action.arm", 2), ("action.open", 1))
    assert episode.actions.tolist() == [[1, 2, 1], [3, 4, 0], [5, 6, 1]]


def test_groups_may_lie_in_columns_of_other_names(v2):
    edit_info(v2, features=features(action=5, **{"teleop.pose": 3}))
    described = {
        "hand": {"start": 1, "end": 3, "original_key": "teleop.pose"},
        "arm": {"start": 0, "end": 5},
        "head": {"start": 0, "end": 1, "original_key": "teleop.pose"},
    }
    write_json(v2 / "meta/modality.json", {"action": described})
    rewrite(v2, **{"teleop.pose": [[70.0, 71.0, 72.0]] * 3})
    dataset = open_dataset(v2)
    assert (dataset.columns, dataset.action_dim) == ({"teleop.pose": 3, "action": 5}, 8)
    assert read_episode(dataset, 0).actions[1].tolist() == [71.0, 72.0, 1.0, 1.1, 1.2, 1.3, 1.4, 70.0]
    own = open_dataset(v2, columns=["teleop.pose"])
    assert own.groups == {"hand": slice(1, 3), "head": slice(0, 1)}
    refuses("features: got columns .*nothing.*, expected a list of names", open_dataset, v2, columns=["nothing"])


def test_a_group_has_to_say_its_column_where_there_are_several(v2):
    edit_info(v2, features=features(**{"action.arm": 5, "action.open": 1}))
    refuses(r"action.arm: original_key: got nothing, expected one of the columns \['action.arm'", open_dataset, v2)


@pytest.mark.parametrize("wrap", [list, lambda names: {"motors": names}, lambda names: [names]])
def test_dims_are_called_as_the_recorder_called_the_joints(v2, wrap):
    edit_info(v2, features={"action": {"shape": [5], "names": wrap(["a", "b", "c", "d", "e"])}})
    dataset = open_dataset(v2)
    assert dataset.dim_names == ("a", "b", "c", "d", "e")
    assert read_episode(dataset, 0, ["hand", "arm"]).dim_names == ("d", "e", "a", "b", "c")


def test_a_frame_that_a_camera_dropped_costs_a_word_with_its_place_and_not_the_episode(v2):
    rewrite(v2, timestamp=[0.0, 0.1, 0.3])
    dataset = open_dataset(v2)
    place = "episode 0: .*000000.parquet: timestamp: 0.1 s, then 0.3 s at step 2, .* 1 of 2 steps are irregular"
    with pytest.warns(DatasetWarning, match=place):
        assert read_episode(dataset, 0).actions.shape == (3, 5)
    assert read_episode(dataset, 0, timestamp_tolerance=1.5).actions.shape == (3, 5)
    rewrite(v2, timestamp=["not", "looked", "at"])
    assert read_episode(dataset, 0, timestamp_tolerance=None).actions.shape == (3, 5)
    with pytest.raises(ValueError, match=r"timestamp_tolerance: got 0\.0, expected more"):
        read_episode(dataset, 0, timestamp_tolerance=0.0)


def test_two_columns_of_one_name_are_refused(v2):
    table = pa.table(frames(0, 0))
    write_table(v2 / V2_FILE, table.append_column("action", table["action"]))
    refuses(f"^{V2_FILE}: action: got 2 columns", read_episode, open_dataset(v2), 0)


ROW = [0.0] * 5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"action": [[0.0] * 3] * 3}, r"action: got rows of width \['3'\], expected 5"),
        ({"action": [ROW, [0.0] * 4, [0.0] * 6]}, r"action: got rows of width \['4', '5', '6'\], expected 5"),
        ({"action": [ROW, None, ROW]}, r"action: got rows of width \['5', 'None'\]"),
        ({"action": [0.0, 1.0, 2.0]}, r"action: got rows of width \['1'\]"),
        ({"action": [ROW, ROW, [0.0, None, 0.0, 0.0, 0.0]]}, "action: got double with 1 empty entries"),
        ({"action": [ROW, ROW, [0.0, 0.0, math.nan, 0.0, 0.0]]}, "action: got nan at step 2, dim 2"),
        ({"action": [ROW, [0.0, 0.0, 0.0, 0.0, -math.inf], ROW]}, "action: got -inf at step 1, dim 4"),
        ({"action": [["a"] * 5] * 3}, "action: got string with"),
        ({"action": [[[0.0]] * 5] * 3}, "action: got list<"),
        ({"action": [[2**53 + 1, 0, 0, 0, 0]] * 3}, "action: got .*expected integers that float64 holds exactly"),
        ({"task_index": [0, 9, 0]}, r"task_index: got \[9\], expected numbers listed in meta/tasks: \[0, 1\]"),
        ({"task_index": [0, None, 0]}, "task_index: got int64 with 1 empty entries"),
        ({"task_index": [0.0, 0.0, 0.0]}, "task_index: got double"),
        ({"episode_index": [0, 0, 1]}, r"episode_index: got \[0, 1\], expected 0 in every row"),
        ({"episode_index": [1, 1, 1]}, r"episode_index: got \[1\], expected 0 in every row"),
        ({"frame_index": [0, 2, 1]}, "frame_index: got 2 at step 1, expected 1"),
        ({"frame_index": [1, 2, 3]}, "frame_index: got 1 at step 0, expected 0"),
        ({"index": [4, 5, 7]}, "index: got 7 at step 2, expected 6"),
        (
            {"timestamp": [0.0, 1.0, 2.0]},
            "timestamp: got 0 s, then 1 s at step 1, .*as fps 10 says; most steps last 1 s",
        ),
        ({"timestamp": [0, 100, 200]}, "timestamp: got 0 s, then 100 s .*are they milliseconds"),
        (
            {"timestamp": pa.array([1.7e9, 1.7e9, 1.7e9], pa.float32())},
            "timestamp: got seconds since 1970 as float, which is exact to about 2e.02 s there, expected .*=None",
        ),
        ({"timestamp": [0.0, 0.1, 0.1]}, "timestamp: got 0.1 s, then 0.1 s at step 2, expected timestamps that rise"),
        ({"timestamp": [0.2, 0.1, 0.0]}, "timestamp: got 0.2 s, then 0.1 s at step 1"),
        ({"timestamp": [0.0, math.nan, 0.2]}, "timestamp: got nan at step 1, expected a finite number; .*=None"),
        ({"timestamp": [0.0, None, 0.2]}, "timestamp: got double with 1 empty entries"),
        ({"timestamp": ["0", "1", "2"]}, "timestamp: got string"),
    ],
)
def test_a_wrong_column_is_named(v2, changes, match):
    rewrite(v2, **changes)
    refuses(f"^{V2_FILE}: {match}", read_episode, open_dataset(v2), 0)


def test_the_largest_exact_integer_is_still_read(v2):
    rewrite(v2, action=[[2**53, 0, 0, 0, 0]] * 3)
    assert read_episode(open_dataset(v2), 0).actions[0, 0].item() == 2.0**53


@pytest.mark.parametrize("kept", [0, 2])
def test_fewer_rows_than_listed_are_refused(v2, kept):
    write_table(v2 / V2_FILE, pa.table(frames(0, 0)).slice(0, kept))
    refuses(f"^{V2_FILE}: rows: got {kept}, expected 3", read_episode, open_dataset(v2), 0)


def test_more_rows_than_listed_are_refused(v2):
    doubled = pa.concat_tables([pa.table(frames(0, 0))] * 2)
    write_table(v2 / V2_FILE, doubled)
    refuses(f"^{V2_FILE}: rows: got 6, expected 3, the listed length of episode 0", read_episode, open_dataset(v2), 0)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_parquet_file_cut_anywhere_is_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cut")
    write_v2(folder)
    whole = (folder / V2_FILE).read_bytes()
    (folder / V2_FILE).write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refuses(f"^{V2_FILE}: file: got (damage|an empty file)", read_episode, open_dataset(folder), 0)


def test_a_damaged_byte_is_refused_or_changes_a_number_but_never_escapes_as_another_error(v2):
    dataset = open_dataset(v2)
    whole = (v2 / V2_FILE).read_bytes()
    refused, places = [], range(0, len(whole), 3)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (v2 / V2_FILE).write_bytes(damaged)
        try:
            read_episode(dataset, 0)
        except DatasetError as error:
            refused.append(str(error))
    assert len(refused) > 0.5 * len(places)
    assert all(message.startswith(f"{V2_FILE}: ") for message in refused)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 140159\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POINTER, "a Git LFS pointer, .*git lfs pull"),
        ("", "an empty file"),
        ("<!DOCTYPE html><title>Log in</title>", "a web page"),
    ],
)
def test_a_file_that_stands_in_for_another_is_named_and_is_no_episode_on_disk(v3, text, said):
    for file in ("data/chunk-000/file-001.parquet", V3_LIST, "meta/info.json"):
        (v3 / file).write_text(text)
        if file.startswith("data"):
            dataset = open_dataset(v3)
            assert (dataset.episodes_present, dataset.episodes_missing) == ((2, 0), (1,))
            refuses(f"^{file}: file: got {said}", read_episode, dataset, 1)
        else:
            refuses(f"^{file}: file: got {said}", open_dataset, v3)


@pytest.mark.parametrize("wrap", ["{}", "[{}]"])
def test_json_that_is_spread_over_lines_is_told_from_a_broken_line(v2, wrap):
    (v2 / "meta/tasks.jsonl").write_text(wrap.format(json.dumps({"task_index": 0, "task": "stack"}, indent=2)))
    refuses("^meta/tasks.jsonl: JSON: got JSON that is not .*, expected one object a line", open_dataset, v2)


def test_a_version_that_the_layout_contradicts_is_named_with_both(tmp_path):
    write_v2(tmp_path / "two")
    edit_info(tmp_path / "two", codebase_version="v3.0")
    refuses(r"codebase_version: got 'v3.0', but .*episodes.jsonl, .*expected 'v2.1'", open_dataset, tmp_path / "two")
    write_v3(tmp_path / "three")
    edit_info(tmp_path / "three", codebase_version="v2.1")
    refuses(r"codebase_version: got 'v2.1', but .*parquet, .*expected 'v3.0'", open_dataset, tmp_path / "three")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"length": None}, "length: got 0 columns"),
        ({"data/file_index": None}, "data/file_index: got 0 columns"),
        ({"length": [2, 4, 7]}, "row 1: length: got 4, expected 3: dataset_from_index 2, dataset_to_index 5"),
        ({"length": [2, None, 7]}, "row 1: length: got None, expected int"),
        ({"episode_index": [2, 0, 2]}, "row 2: episode_index: got 2 for the second time"),
        ({"data/chunk_index": [0, -1, 0]}, "row 1: data/chunk_index: got -1, expected 0 or more"),
    ],
)
def test_a_wrong_v3_episode_list_is_named(v3, changes, match):
    write_table(v3 / V3_LIST, episode_list(**changes))
    refuses(f"^{V3_LIST}: {match}", open_dataset, v3)


def test_a_v3_folder_without_an_episode_list_is_refused(v3):
    (v3 / V3_LIST).unlink()
    refuses("^meta/episodes: chunk-.*: got no such file", open_dataset, v3)


def test_a_v3_folder_without_tasks_is_refused(v3):
    (v3 / "meta/tasks.parquet").unlink()
    refuses("^meta/tasks.parquet: file: got no such file", open_dataset, v3)


def test_v3_tasks_without_a_text_are_refused(v3):
    write_table(v3 / "meta/tasks.parquet", {"task_index": [0, 1]})
    refuses("^meta/tasks.parquet: row 0: task: got no such key", open_dataset, v3)


def test_rows_that_lie_in_another_file_than_listed_are_read_there_with_a_word(v3):
    write_table(v3 / V3_LIST, episode_list(**{"data/file_index": [0, 1, 1]}))
    with pytest.warns(DatasetWarning, match=r"episode 0 is listed in .*file-001.parquet, .* lie in .*file-000.parquet"):
        episode = read_episode(open_dataset(v3), 0)
    assert episode.actions[2].tolist() == [2.0, 2.1, 2.2, 2.3, 2.4]


def test_files_that_never_were_are_replaced_by_those_that_hold_the_rows(v3):
    write_table(v3 / V3_LIST, episode_list(**{"data/file_index": [0, 7, 7]}))
    with pytest.warns(DatasetWarning, match=r"2 episodes are listed in files that do not exist; .* episode 0 is"):
        dataset = open_dataset(v3)
    assert (dataset.episodes_present, dataset.episodes_missing) == ((2, 0, 1), ())
    assert read_episode(dataset, 1).actions[6, 4].item() == 16.4


def test_rows_that_are_not_all_there_are_refused_with_the_places_where_some_lie(v3):
    write_table(v3 / V3_LIST, episode_list(**{"data/file_index": [0, 1, 1]}))
    write_table(v3 / "data/chunk-000/file-000.parquet", pa.table(frames(0, 2)).slice(0, 1))
    match = r"^data/chunk-000/file-001.parquet: rows: got 0, expected 3, .*; rows of it lie in .*file-000.parquet': 1}"
    refuses(match, read_episode, open_dataset(v3), 0)


def test_a_v3_episode_that_does_not_start_where_the_list_says_is_refused(v3):
    write_table(v3 / "data/chunk-000/file-001.parquet", frames(1, 6))
    refuses("file-001.parquet: index: got 6 at step 0, expected 5", read_episode, open_dataset(v3), 1)


def test_nothing_hides_behind_a_good_neighbour_in_a_v3_file(v3):
    broken = frames(0, 2, action=[ROW, ROW, [math.nan] * 5])
    write_table(v3 / "data/chunk-000/file-000.parquet", pa.concat_tables([pa.table(frames(2, 0)), pa.table(broken)]))
    dataset = open_dataset(v3)
    assert read_episode(dataset, 2).actions[1].tolist() == [21.0, 21.1, 21.2, 21.3, 21.4]
    refuses("file-000.parquet: action: got nan at step 2, dim 0", read_episode, dataset, 0)


def test_without_pyarrow_the_error_names_the_extra(v2, monkeypatch):
    dataset = open_dataset(v2)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[recordings\]"'):
        read_episode(dataset, 0)


# ---- the real recording: GR1 picks and places, two of five episodes on disk ----


@pytest.fixture(scope="module")
def gr1():
    return open_dataset(gr1_folder())


def test_the_gr1_demo_is_v2_0_with_44_dims_and_two_of_its_five_episodes(gr1):
    assert (gr1.version, gr1.fps, gr1.robot_type, gr1.action_dim) == ("v2.0", 20.0, "GR1ArmsOnly", 44)
    assert gr1.episode_lengths == {0: 416, 1: 470, 2: 470, 3: 412, 4: 328}
    assert gr1.episodes_present == (0, 4)
    assert gr1.episodes_missing == (1, 2, 3)


def test_gr1s_first_numbers_are_those_of_nvidias_own_example(gr1):
    # LeRobot_compatible_data_schema.md prints the first and the last action of this recording.
    first = read_episode(gr1, 0).actions[0]
    assert first[0].item() == -0.010770668025204974
    assert first[-1].item() == 0.0


def test_gr1_episodes_say_what_the_robot_was_told(gr1):
    assert read_episode(gr1, 0).task == "pick the pear from the counter and place it in the plate"
    assert read_episode(gr1, 4).task == "pick the cupcake from the counter and place it in the plate"


def test_of_gr1s_44_dims_19_move_and_the_left_hand_is_not_among_them(gr1):
    moving = {name: set() for name in gr1.groups}
    for index in gr1.episodes_present:
        for name in gr1.groups:
            actions = read_episode(gr1, index, [name]).actions
            moving[name] |= set((actions != actions[0]).any(dim=0).nonzero().flatten().tolist())
    assert moving == {
        "left_arm": {0, 1, 2, 3, 4, 5, 6},
        "left_hand": set(),
        "left_leg": set(),
        "neck": set(),
        "right_arm": {0, 1, 2, 3, 4, 5, 6},
        "right_hand": {0, 1, 2, 3, 4},
        "right_leg": set(),
        "waist": set(),
    }


def test_the_18_dims_outside_gr1s_arms_and_hands_are_zero_throughout(gr1):
    for index in gr1.episodes_present:
        rest = read_episode(gr1, index, ["left_leg", "neck", "right_leg", "waist"]).actions
        assert rest.shape[1] == 18
        assert (rest == 0).all()
        hands = read_episode(gr1, index, ["left_hand", "right_hand"]).actions
        assert hands[0, :6].tolist() == [-1.5, -1.5, -1.5, -1.5, -3.0, 3.0]
        assert (hands[:, 11] == 3.0).all()


def test_a_chunk_at_the_end_of_a_gr1_episode_is_mostly_copies(gr1):
    episode = read_episode(gr1, 4, ["left_arm", "right_arm", "left_hand", "right_hand"])
    chunk = chunk_at(episode.actions, start=320, action_horizon=16, task=episode.tasks[320])
    assert chunk.actions.shape == (16, 26)
    assert chunk.action_is_pad.tolist() == [False] * 8 + [True] * 8
    assert torch.equal(chunk.actions[8:], episode.actions[-1:].expand(8, -1))
