"""Reads the recorded actions of a LeRobot dataset folder, version 2.0, 2.1 or 3.0. Cameras and states are not read.

    what                      v2.0 and v2.1                       v3.0
    description of the data   meta/info.json                      meta/info.json
    list of episodes          meta/episodes.jsonl                 meta/episodes/chunk-*/file-*.parquet
    texts of the tasks        meta/tasks.jsonl                    meta/tasks.parquet
    frames                    a parquet file for each episode     many episodes in one parquet file
    groups of dims            meta/modality.json, GR00T's own     the same

A recording that disagrees with its own description raises an error that names the file and the field. Nothing is cut,
filled in, or read in part. Only the file of an episode may be absent, because people share parts of datasets. Such an
episode is listed in `episodes_missing`, and reading it raises an error.

Source: huggingface/lerobot. v3.0: `src/lerobot/datasets/utils.py` at 00448aa1 (paths, `load_episodes`) and
`dataset_metadata.py` at 000c716d (`get_data_file_path`). v2.1: `lerobot/common/datasets/utils.py` at 000e447c. v2.0 and
`modality.json`: NVIDIA/Isaac-GR00T at 16d0dae3, `getting_started/LeRobot_compatible_data_schema.md`. v2.0 and v2.1
differ only in their statistics, which we do not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.embodiments import Embodiment
from groot_teach.recordings.files import (
    DatasetError,
    count_of,
    field_of,
    floats,
    integers,
    json_lines,
    new_index,
    parse_json,
    read_table,
    read_text,
    table_rows,
    wrong,
)
from groot_teach.shapes import checked

__all__ = [
    "VERSIONS",
    "DatasetError",
    "Episode",
    "EpisodeEntry",
    "LeRobotDataset",
    "dataset_embodiment",
    "open_dataset",
    "read_episode",
]

VERSIONS = ("v2.0", "v2.1", "v3.0")


@dataclass(frozen=True)
class EpisodeEntry:
    """What the folder's list of episodes says about one of them.

    Attributes:
        length: the number of steps.
        file: the parquet file that holds them, relative to the folder. In v3.0 it may hold other episodes too.
        first_index: the number of its first frame in the whole dataset, v3.0's `dataset_from_index`; None in v2.
    """

    length: int
    file: str
    first_index: int | None


@dataclass(frozen=True)
class LeRobotDataset:
    """The description of a dataset. Its actions have not been read yet.

    Attributes:
        folder: the dataset folder.
        version: `codebase_version`, such as "v2.1".
        fps: steps per second.
        robot_type: as the recorder wrote it, or None.
        action_dim: the width of the `action` column.
        groups: name -> dims of each action group, in the order of `modality.json`. Without that file there is one
            group, "action".
        tasks: task_index -> text.
        entries: episode_index -> what the folder's list says about it.
        episodes_present: the listed episodes whose file is on disk.
        episodes_missing: the listed episodes whose file is not.
    """

    folder: Path
    version: str
    fps: float
    robot_type: str | None
    action_dim: int
    groups: dict[str, slice]
    tasks: dict[int, str]
    entries: dict[int, EpisodeEntry]
    episodes_present: tuple[int, ...]
    episodes_missing: tuple[int, ...]

    @property
    def episode_lengths(self) -> dict[int, int]:
        """episode_index -> number of steps, for all listed episodes, also those whose file is missing."""
        return {index: entry.length for index, entry in self.entries.items()}


@dataclass(frozen=True)
class Episode:
    """One complete recorded episode.

    Attributes:
        actions: `step, action_dim`, float64, in the units of the recording: **not** normalised.
        tasks: one text for each step, because the task may change within an episode.
        episode_index: its number in the dataset.
        groups: `(group name, number of dims)` in the order of the last axis of `actions`, as `Embodiment` takes them.
    """

    actions: Float[Tensor, "step action_dim"]
    tasks: tuple[str, ...]
    episode_index: int
    groups: tuple[tuple[str, int], ...]

    @property
    def task(self) -> str:
        """The text of the task, if it is the same in all steps.

        Raises:
            ValueError: the episode has several texts. Then use `tasks[start]`, as LeRobot does.
        """
        texts = sorted(set(self.tasks))
        if len(texts) > 1:
            raise ValueError(f"task of episode {self.episode_index}: got {texts}, expected one text; use tasks[start]")
        return texts[0]


@checked
def open_dataset(folder: Path | str) -> LeRobotDataset:
    """Reads and checks the files in `meta`, and finds out which episodes are on disk.

    Raises:
        DatasetError: a file or a key is missing, a value is of the wrong type, or two values contradict each other.
        ImportError: the folder is v3.0, and pyarrow is not installed.
    """
    folder, file = Path(folder), "meta/info.json"
    info = parse_json(file, read_text(folder, file))
    version = field_of(file, info, "codebase_version", str)
    if version not in VERSIONS:
        raise wrong(file, "codebase_version", repr(version), f"one of {VERSIONS}")
    fps = field_of(file, info, "fps", int, float)
    if not 0 < fps < float("inf"):
        raise wrong(file, "fps", fps, "a finite number above 0")
    robot_type = None if info.get("robot_type") is None else field_of(file, info, "robot_type", str)
    action = field_of(f"{file}: features", field_of(file, info, "features", dict), "action", dict)
    shape = field_of(f"{file}: features.action", action, "shape", list)
    if len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise wrong(file, "features.action.shape", shape, "one number, 1 or more")
    entries = _episodes_v3(folder, info) if version == "v3.0" else _episodes_v2(folder, info)
    frames = sum(entry.length for entry in entries.values())
    for field, listed in {"total_episodes": len(entries), "total_frames": frames}.items():
        if (total := count_of(file, info, field, least=1)) != listed:
            raise wrong(file, field, total, f"{listed}, as the list of episodes says")
    present = tuple(index for index, entry in entries.items() if (folder / entry.file).is_file())
    return LeRobotDataset(
        folder=folder,
        version=version,
        fps=float(fps),
        robot_type=robot_type,
        action_dim=shape[0],
        groups=_groups(folder, shape[0]),
        tasks=_tasks(folder, version),
        entries=entries,
        episodes_present=present,
        episodes_missing=tuple(sorted(entries.keys() - set(present))),
    )


@checked
def read_episode(dataset: LeRobotDataset, episode_index: int, groups: Sequence[str] | None = None) -> Episode:
    """Reads all actions of one episode, and checks them against the description of the dataset.

    Args:
        dataset: what `open_dataset` returned.
        episode_index: a listed episode whose file is on disk.
        groups: the action groups to read, in this order. None reads all groups, and raises an error if a dim is in none
            of them.

    The numbers are converted to float64 if that changes none of them: floats of any kind, and integers up to 2^53.
    Parquet files as pyarrow writes them have no checksums, so a bit that was flipped inside a number goes unnoticed.

    Raises:
        DatasetError: the episode is not listed or not on disk, its file is damaged, or its content is not as described:
            the number of rows, the width, the order of the frames, the tasks, or a number that is missing or infinite.
        ImportError: pyarrow is not installed.
    """
    chosen = _chosen(dataset, groups)
    if episode_index not in dataset.entries:
        raise wrong("meta/episodes", "episode_index", episode_index, f"a listed one: {list(dataset.entries)}")
    entry = dataset.entries[episode_index]
    file = entry.file
    wanted, optional = ["action", "task_index", "episode_index"], ["frame_index", "index", "timestamp"]
    table = read_table(dataset.folder, file, wanted, optional)
    owners = integers(file, table, "episode_index")
    if entry.first_index is None and not set(owners) <= {episode_index}:
        raise wrong(file, "episode_index", sorted(set(owners)), f"{episode_index} in every row")
    rows = [row for row, owner in enumerate(owners) if owner == episode_index]
    if len(rows) != entry.length:
        raise wrong(file, "rows", len(rows), f"{entry.length}, the listed length of episode {episode_index}")
    table = table.take(rows)
    _check_order(entry, table, dataset.fps)
    actions = _actions(file, table, dataset.action_dim)
    task_indices = integers(file, table, "task_index")
    if unknown := set(task_indices) - set(dataset.tasks):
        raise wrong(file, "task_index", sorted(unknown), f"numbers listed in meta/tasks: {sorted(dataset.tasks)}")
    return Episode(
        actions=torch.cat([actions[:, dims] for dims in chosen.values()], dim=1),
        tasks=tuple(dataset.tasks[index] for index in task_indices),
        episode_index=episode_index,
        groups=_sizes(chosen),
    )


@checked
def dataset_embodiment(
    dataset: LeRobotDataset, groups: Sequence[str] | None = None, *, embodiment_id: int
) -> Embodiment:
    """The robot of a dataset, with the same action groups as `read_episode` returns for the same `groups`.

    Raises:
        DatasetError: as `read_episode` does for its `groups`.
        ValueError: a negative `embodiment_id`.
    """
    name = dataset.robot_type or dataset.folder.resolve().name
    return Embodiment(name, _sizes(_chosen(dataset, groups)), embodiment_id)


def _chosen(dataset: LeRobotDataset, groups: Sequence[str] | None) -> dict[str, slice]:
    """The dims of the groups to read, in the order asked for."""
    file = "meta/modality.json"
    names = list(dataset.groups if groups is None else groups)
    if isinstance(groups, str) or not names or not set(names) <= set(dataset.groups):
        raise wrong(file, "action", f"groups {groups!r}", f"a list of names out of {list(dataset.groups)}")
    dims = sorted(dim for name in names for dim in range(dataset.action_dim)[dataset.groups[name]])
    if len(set(dims)) < len(dims):
        raise wrong(file, "action", f"groups {names}, which share dims", "each dim in one group at most")
    if groups is None and len(dims) < dataset.action_dim:
        left_out = sorted(set(range(dataset.action_dim)) - set(dims))
        raise wrong(file, "action", f"no group for dims {left_out}", "a group for each dim; or name the groups to read")
    return {name: dataset.groups[name] for name in names}


def _sizes(groups: dict[str, slice]) -> tuple[tuple[str, int], ...]:
    return tuple((name, dims.stop - dims.start) for name, dims in groups.items())


def _groups(folder: Path, action_dim: int) -> dict[str, slice]:
    """The groups that GR00T's `modality.json` names. Without that file, all dims are one group."""
    file = "meta/modality.json"
    if not (folder / file).exists():
        return {"action": slice(0, action_dim)}
    described = field_of(file, parse_json(file, read_text(folder, file)), "action", dict)
    groups = {}
    for name in described:
        group, where = field_of(f"{file}: action", described, name, dict), f"{file}: action.{name}"
        start, end = count_of(where, group, "start", least=0), count_of(where, group, "end", least=1)
        if not start < end <= action_dim:
            raise wrong(where, "end", end, f"above start {start}, at most action_dim {action_dim}")
        if group.get("original_key", "action") != "action":
            raise wrong(where, "original_key", repr(group["original_key"]), "'action', the only column that is read")
        groups[name] = slice(start, end)
    if not groups:
        raise wrong(file, "action", "no group", "at least one")
    return groups


def _episodes_v2(folder: Path, info: dict) -> dict[int, EpisodeEntry]:
    chunks_size = count_of("meta/info.json", info, "chunks_size", least=1)
    entries = {}
    for where, row in json_lines(folder, "meta/episodes.jsonl"):
        index = new_index(where, row, "episode_index", entries)
        file = _data_path(info, episode_chunk=index // chunks_size, episode_index=index)
        entries[index] = EpisodeEntry(count_of(where, row, "length", least=1), file, first_index=None)
    return entries


def _episodes_v3(folder: Path, info: dict) -> dict[int, EpisodeEntry]:
    lists = sorted(path.relative_to(folder).as_posix() for path in folder.glob("meta/episodes/*/*.parquet"))
    if not lists:
        raise wrong("meta/episodes", "chunk-*/file-*.parquet", "no such file", "at least one")
    places = ["data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index"]
    rows = [row for file in lists for row in table_rows(folder, file, ["episode_index", "length", *places])]
    entries = {}
    for where, row in rows:
        index, length = new_index(where, row, "episode_index", entries), count_of(where, row, "length", least=1)
        chunk_index, file_index, first, end = (count_of(where, row, place, least=0) for place in places)
        if end - first != length:
            raise wrong(where, "length", length, f"{end - first}: dataset_from_index {first}, dataset_to_index {end}")
        file = _data_path(info, chunk_index=chunk_index, file_index=file_index)
        entries[index] = EpisodeEntry(length, file, first_index=first)
    return entries


def _data_path(info: dict, **numbers: int) -> str:
    template = field_of("meta/info.json", info, "data_path", str)
    if Path(template).is_absolute() or ".." in Path(template).parts:
        raise wrong("meta/info.json", "data_path", repr(template), "a path inside the folder")
    try:
        return template.format(**numbers)
    except (LookupError, ValueError, AttributeError) as error:
        raise wrong("meta/info.json", "data_path", repr(template), f"a template of {sorted(numbers)}") from error


def _tasks(folder: Path, version: str) -> dict[int, str]:
    """task_index -> text. In v3.0 the text is a pandas index: nameless in older folders, "task" in newer ones.

    Source: `convert_tasks` in huggingface/lerobot, `src/lerobot/datasets/v30/convert_dataset_v21_to_v30.py` at 00af1832
    (nameless).
    """
    if version == "v3.0":
        rows = table_rows(folder, "meta/tasks.parquet", ["task_index"], ["task", "__index_level_0__"])
    else:
        rows = json_lines(folder, "meta/tasks.jsonl")
    tasks = {}
    for where, row in rows:
        text = "task" if "task" in row or "__index_level_0__" not in row else "__index_level_0__"
        tasks[new_index(where, row, "task_index", tasks)] = field_of(where, row, text, str)
    return tasks


def _check_order(entry: EpisodeEntry, table: Any, fps: float) -> None:
    """Checks that no frame is lost, doubled or out of order, by those columns that the recording has."""
    file, firsts = entry.file, {"frame_index": 0, "index": entry.first_index}
    for field in [name for name in firsts if name in table.column_names]:
        frames = integers(file, table, field)
        first = frames[0] if firsts[field] is None else firsts[field]
        for step, frame in enumerate(frames):
            if frame != first + step:
                raise wrong(file, field, f"{frame} at step {step}", first + step)
    if "timestamp" in table.column_names:
        for step, (before, after) in enumerate(pairwise(floats(file, "timestamp", table["timestamp"])), start=1):
            # A lost or doubled frame is off by a whole step. Less than half a step is the jitter of a clock.
            if not abs((after - before) * fps - 1) < 0.5:
                raise wrong(file, "timestamp", f"{before} s, then {after} s at step {step}", f"{1 / fps} s between")


def _actions(file: str, table: Any, action_dim: int) -> Float[Tensor, "step action_dim"]:
    """The numbers in the `action` column, each of them checked.

    Source: `get_hf_features_from_features` in `src/lerobot/datasets/utils.py` at 00448aa1: a feature of shape (1,) is a
    column of plain numbers, any other a column of lists.
    """
    column = table["action"].combine_chunks()
    if hasattr(column, "value_lengths"):
        widths = set(column.value_lengths().to_pylist())
        column = column.flatten()
    else:
        widths = {1}
    if widths != {action_dim}:
        raise wrong(file, "action", f"rows of width {sorted(map(str, widths))}", f"{action_dim}, as in meta/info.json")
    actions = torch.tensor(floats(file, "action", column), dtype=torch.float64).reshape(-1, action_dim)
    if not actions.isfinite().all():
        step, dim = (~actions.isfinite()).nonzero()[0].tolist()
        raise wrong(file, "action", f"{actions[step, dim].item()} at step {step}, dim {dim}", "finite numbers")
    return actions
