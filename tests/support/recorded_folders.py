"""Small LeRobot folders of three episodes, written to disk as LeRobot writes them, to be read or to be spoilt.

Without pyarrow, tests that write folders are skipped.
"""

import json

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FPS, ACTION_DIM = 10, 5
LENGTHS = {0: 3, 1: 7, 2: 2}
TASKS = ["stack", "pour"]
GROUPS = {"arm": (0, 3), "hand": (3, 5)}
V2_FILE = "data/chunk-000/episode_000000.parquet"
V3_LIST = "meta/episodes/chunk-000/file-000.parquet"


# ---- folders on disk, written as LeRobot writes them ----


def entry(episode, step, dim):
    """Tells by itself where it belongs: 21.3 is episode 2, step 1, dim 3."""
    return episode * 10 + step + dim / 10


def frames(episode, first_index, **changes):
    """The columns of one episode; a change replaces a column, None drops it."""
    steps = range(LENGTHS[episode])
    columns = {
        "action": [[entry(episode, step, dim) for dim in range(ACTION_DIM)] for step in steps],
        "timestamp": [step / FPS for step in steps],
        "frame_index": list(steps),
        "episode_index": [episode for _ in steps],
        "index": [first_index + step for step in steps],
        "task_index": [episode % 2 for _ in steps],
    }
    columns.update(changes)
    return {name: values for name, values in columns.items() if values is not None}


def write_table(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_json_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_meta(folder, version, data_path):
    info = {
        "codebase_version": version,
        "robot_type": "toy_arm",
        "total_episodes": 3,
        "total_frames": 12,
        "chunks_size": 2,
        "fps": FPS,
        "data_path": data_path,
        "features": {"action": {"dtype": "float64", "shape": [ACTION_DIM]}},
    }
    write_json(folder / "meta/info.json", info)
    write_modality(folder, GROUPS)


def write_modality(folder, groups):
    action = {name: {"start": start, "end": end} for name, (start, end) in groups.items()}
    write_json(folder / "meta/modality.json", {"action": action})


def write_v2(folder, version="v2.1"):
    """chunks_size 2 puts the third episode into the second folder."""
    write_meta(folder, version, "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet")
    write_json_lines(
        folder / "meta/episodes.jsonl",
        [{"episode_index": n, "tasks": TASKS, "length": length} for n, length in LENGTHS.items()],
    )
    write_json_lines(folder / "meta/tasks.jsonl", [{"task_index": n, "task": text} for n, text in enumerate(TASKS)])
    for episode, first in ((0, 0), (1, 3), (2, 10)):
        file = f"data/chunk-{episode // 2:03d}/episode_{episode:06d}.parquet"
        write_table(folder / file, frames(episode, first))


def episode_list(**changes):
    """Episodes 2 and 0 share the first file, in this order; episode 1 has the second to itself."""
    columns = {
        "episode_index": [2, 0, 1],
        "tasks": [["stack"], ["stack"], ["pour"]],
        "length": [2, 3, 7],
        "data/chunk_index": [0, 0, 0],
        "data/file_index": [0, 0, 1],
        "dataset_from_index": [0, 2, 5],
        "dataset_to_index": [2, 5, 12],
    }
    columns.update(changes)
    return {name: values for name, values in columns.items() if values is not None}


def write_v3(folder, text_column="task"):
    write_meta(folder, "v3.0", "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet")
    write_table(folder / V3_LIST, episode_list())
    write_table(folder / "meta/tasks.parquet", {"task_index": [1, 0], text_column: ["pour", "stack"]})
    shared = pa.concat_tables([pa.table(frames(2, 0)), pa.table(frames(0, 2))])
    write_table(folder / "data/chunk-000/file-000.parquet", shared)
    write_table(folder / "data/chunk-000/file-001.parquet", frames(1, 5))


def edit_info(folder, **changes):
    info = json.loads((folder / "meta/info.json").read_text())
    info.update(changes)
    write_json(folder / "meta/info.json", {key: value for key, value in info.items() if value is not ...})


def rewrite(folder, **changes):
    write_table(folder / V2_FILE, frames(0, 0, **changes))
