"""Reads the description of a LeRobot dataset folder, version 2.0, 2.1 or 3.0.

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
differ only in their statistics.
"""

import re
import string
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from groot_teach.on_disk import no_folder
from groot_teach.recordings.columns import INFO, MODALITY, action_columns, dim_names, group_slices
from groot_teach.recordings.files import (
    DatasetWarning,
    Report,
    attempt,
    count_of,
    field_of,
    inside,
    integers,
    is_on_disk,
    json_lines,
    new_index,
    parse_json,
    raise_it,
    read_table,
    read_text,
    table_rows,
    wrong,
)
from groot_teach.shapes import checked

VERSIONS = ("v2.0", "v2.1", "v3.0")

V2_LIST, V3_LISTS = "meta/episodes.jsonl", "meta/episodes/*/*.parquet"
"""Where the list of episodes lies."""


@dataclass(frozen=True)
class EpisodeEntry:
    """What the folder's list of episodes says about one of them.

    Attributes:
        length: the number of steps.
        file: the parquet file that holds them, relative to the folder. In v3.0 it may hold other episodes too.
        first_index: the number of its first frame in the whole dataset, v3.0's `dataset_from_index`; None in v2.
        tasks: the texts of its tasks, as far as the list says them.
    """

    length: int
    file: str
    first_index: int | None
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeRobotDataset:
    """The description of a dataset. Its actions have not been read yet.

    Attributes:
        folder: the dataset folder.
        version: `codebase_version`, such as "v2.1".
        fps: steps per second.
        robot_type: as the recorder wrote it, or None.
        columns: the columns that hold the actions -> their widths; the actions of a step are their numbers, one column
            after the other.
        dim_names: what each dim of the actions is called: the name of the joint, or its column and number.
        groups: name -> dims of each action group, in the order of `modality.json`. Without that file each column is a
            group.
        tasks: task_index -> text.
        entries: episode_index -> what the folder's list says about it.
        episodes_present: the listed episodes whose file is on disk. A Git LFS pointer is no file.
        episodes_missing: the listed episodes whose file is not.
    """

    folder: Path
    version: str
    fps: float
    robot_type: str | None
    columns: dict[str, int]
    dim_names: tuple[str, ...]
    groups: dict[str, slice]
    tasks: dict[int, str]
    entries: dict[int, EpisodeEntry]
    episodes_present: tuple[int, ...]
    episodes_missing: tuple[int, ...]

    @property
    def action_dim(self) -> int:
        """The width of the actions, all columns together."""
        return sum(self.columns.values())

    @property
    def episode_lengths(self) -> dict[int, int]:
        """episode_index -> number of steps, for all listed episodes, also those whose file is missing."""
        return {index: entry.length for index, entry in self.entries.items()}


@checked
def open_dataset(folder: Path | str, columns: Sequence[str] | None = None) -> LeRobotDataset:
    """Reads and checks the files in `meta`, and finds out which episodes are on disk.

    Args:
        folder: the dataset folder.
        columns: the columns that hold the actions. None = those that `modality.json` names, or `action`, or all whose
            names begin with that word.

    Warns:
        DatasetWarning: the list of episodes names files that do not exist, and their rows were found in others.

    Raises:
        DatasetError: there is no such folder, a file or a key is missing, a value is of the wrong type, or two values
            contradict each other.
        ImportError: the folder is v3.0, and pyarrow is not installed.
    """
    return describe(Path(folder), columns, raise_it)


def describe(folder: Path, columns: Sequence[str] | None, report: Report) -> LeRobotDataset:
    """The description of a dataset, with `report` called for each fault.

    With a `report` that does not raise, what cannot be read is left empty in the description, except for the version,
    without which nothing can be read.
    """
    if (other := no_folder(folder)) is not None:
        raise wrong("folder", "path", *other)
    info = parse_json(INFO, read_text(folder, INFO))
    version = _version(folder, info)
    features = attempt(report, {}, field_of, INFO, info, "features", dict)
    described = attempt(report, None, _described_groups, folder)
    widths = attempt(report, {}, action_columns, features, described, columns) if features else {}
    whole = {name: slice(0, width) for name, width in widths.items()} if len(widths) == 1 else {}
    entries = (_episodes_v3 if version == "v3.0" else _episodes_v2)(folder, info, report)
    attempt(report, None, _check_totals, info, entries)
    if version == "v3.0":
        entries = attempt(report, entries, _with_files_that_exist, folder, entries)
    there = cache(lambda file: is_on_disk(folder, file))
    present = tuple(index for index, entry in entries.items() if there(entry.file))
    return LeRobotDataset(
        folder=folder,
        version=version,
        fps=attempt(report, float("nan"), _fps, info),
        robot_type=attempt(report, None, _robot_type, info),
        columns=widths,
        dim_names=dim_names(features, widths),
        groups=attempt(report, whole, group_slices, features, described, widths),
        tasks=attempt(report, {}, _tasks, folder, version, report),
        entries=entries,
        episodes_present=present,
        episodes_missing=tuple(sorted(entries.keys() - set(present))),
    )


# ------------------------------------------------------------------------------------------------ meta/info.json


def _version(folder: Path, info: dict) -> str:
    """`codebase_version`, if the folder is laid out as that version says."""
    version = field_of(INFO, info, "codebase_version", str)
    if version not in VERSIONS:
        raise wrong(INFO, "codebase_version", f"{version!r:.60}", f"one of {VERSIONS}; LeRobot converts older folders")
    has_v2, has_v3 = (folder / V2_LIST).exists(), any(folder.glob(V3_LISTS))
    if version == "v3.0" and has_v2 and not has_v3:
        got, remedy = f"'v3.0', but the folder has a {V2_LIST}, as v2.1 has it, and no {V3_LISTS}", "'v2.1'"
    elif version != "v3.0" and has_v3 and not has_v2:
        got, remedy = f"{version!r}, but the folder has {V3_LISTS}, as v3.0 has it, and no {V2_LIST}", "'v3.0'"
    else:
        return version
    raise wrong(INFO, "codebase_version", got, f"{remedy}, if a conversion was not finished: then convert it again")


def _fps(info: dict) -> float:
    fps = field_of(INFO, info, "fps", int, float)
    if not 0 < fps < 1e9:  # a NaN is refused too
        raise wrong(INFO, "fps", f"{fps!r:.60}", "a finite number above 0")
    return float(fps)


def _robot_type(info: dict) -> str | None:
    return None if info.get("robot_type") is None else field_of(INFO, info, "robot_type", str)


def _check_totals(info: dict, entries: dict[int, EpisodeEntry]) -> None:
    frames = sum(entry.length for entry in entries.values())
    for field, listed in {"total_episodes": len(entries), "total_frames": frames}.items():
        if (total := count_of(INFO, info, field, least=1)) != listed:
            raise wrong(INFO, field, total, f"{listed}, as the list of episodes says")


def _described_groups(folder: Path) -> dict[str, Any] | None:
    """`action` of GR00T's `modality.json`, or None without that file."""
    if not (folder / MODALITY).exists():
        return None
    return field_of(MODALITY, parse_json(MODALITY, read_text(folder, MODALITY)), "action", dict)


def data_path(info: dict, **numbers: int) -> str:
    """The path of a data file: `data_path` of `info.json`, a format string, with these numbers in it.

    A format string can write any text, a slash too. So the path is checked after formatting, and the string may ask
    for nothing but whole numbers, filled up with zeros.
    """
    template = field_of(INFO, info, "data_path", str)
    try:
        fields = [(name, spec, how) for _, name, spec, how in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise wrong(INFO, "data_path", f"{template!r:.100}", f"a template of {sorted(numbers)}") from error
    for name, spec, how in fields:
        if name not in numbers or how is not None or not re.fullmatch(r"(0?[1-9]\d?)?d?", spec or ""):
            expected = f"a template of {sorted(numbers)}, such as {{{min(numbers)}:03d}}"
            raise wrong(INFO, "data_path", f"{template!r:.100}", expected)
    return inside(INFO, "data_path", template.format(**numbers))


# ---------------------------------------------------------------------------------------------- lists in meta


def _episodes_v2(folder: Path, info: dict, report: Report) -> dict[int, EpisodeEntry]:
    chunks_size = attempt(report, 0, lambda: count_of(INFO, info, "chunks_size", least=1))
    entries: dict[int, EpisodeEntry] = {}

    def add(where: str, row: dict) -> None:
        index = new_index(where, row, "episode_index", entries)
        length = count_of(where, row, "length", least=1)
        file = data_path(info, episode_chunk=index // chunks_size, episode_index=index) if chunks_size else ""
        entries[index] = EpisodeEntry(length, file, None, _texts(row))

    for where, row in attempt(report, [], json_lines, folder, V2_LIST, report):
        attempt(report, None, add, where, row)
    return entries


def _episodes_v3(folder: Path, info: dict, report: Report) -> dict[int, EpisodeEntry]:
    lists = sorted(path.relative_to(folder).as_posix() for path in folder.glob(V3_LISTS))
    if not lists:
        report(wrong("meta/episodes", "chunk-*/file-*.parquet", "no such file", "at least one"))
    places = ["data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index"]
    wanted = ["episode_index", "length", *places]
    entries: dict[int, EpisodeEntry] = {}

    def add(where: str, row: dict) -> None:
        index, length = new_index(where, row, "episode_index", entries), count_of(where, row, "length", least=1)
        chunk_index, file_index, first, end = (count_of(where, row, place, least=0) for place in places)
        if end - first != length:
            raise wrong(where, "length", length, f"{end - first}: dataset_from_index {first}, dataset_to_index {end}")
        file = data_path(info, chunk_index=chunk_index, file_index=file_index)
        entries[index] = EpisodeEntry(length, file, first, _texts(row))

    for file in lists:
        for where, row in attempt(report, [], table_rows, folder, file, wanted, ["tasks"]):
            attempt(report, None, add, where, row)
    return entries


def _texts(row: dict) -> tuple[str, ...]:
    """The texts under `tasks`. They are needed only where the frames have no `task_index`."""
    texts = row.get("tasks")
    texts = [texts] if isinstance(texts, str) else texts
    return tuple(texts) if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else ()


def _tasks(folder: Path, version: str, report: Report) -> dict[int, str]:
    """task_index -> text. In v3.0 the text is a pandas index: nameless in older folders, "task" in newer ones.

    Source: `convert_tasks` in huggingface/lerobot, `src/lerobot/datasets/v30/convert_dataset_v21_to_v30.py` at 00af1832
    (nameless).
    """
    if version == "v3.0":
        rows = table_rows(folder, "meta/tasks.parquet", ["task_index"], ["task", "__index_level_0__"])
    else:
        rows = json_lines(folder, "meta/tasks.jsonl", report)
    tasks: dict[int, str] = {}

    def add(where: str, row: dict) -> None:
        text = "task" if "task" in row or "__index_level_0__" not in row else "__index_level_0__"
        tasks[new_index(where, row, "task_index", tasks)] = field_of(where, row, text, str)

    for where, row in rows:
        attempt(report, None, add, where, row)
    return tasks


# ------------------------------------------------------------------------------------ where the rows really lie


def files_with_rows(folder: Path, episode_index: int) -> dict[str, int]:
    """Data file -> how many rows of this episode it holds, for the files that hold some and can be read."""
    counts = {}
    for file in _data_files(folder):
        number = attempt(lambda _: None, 0, _count_rows, folder, file, episode_index)
        counts |= {file: number} if number else {}
    return counts


def _data_files(folder: Path) -> list[str]:
    """Every parquet file of the folder outside `meta`."""
    files = (path.relative_to(folder) for path in folder.rglob("*.parquet"))
    return sorted(file.as_posix() for file in files if file.parts[0] != "meta" and is_on_disk(folder, str(file)))


def _count_rows(folder: Path, file: str, episode_index: int) -> int:
    table = read_table(folder, file, ["episode_index"], only=("episode_index", episode_index))
    return int((integers(file, table, "episode_index") == episode_index).sum())


def _with_files_that_exist(folder: Path, entries: dict[int, EpisodeEntry]) -> dict[int, EpisodeEntry]:
    """The same entries. Where one names a file that does not exist, it gets the one file that holds all its rows.

    Folders that were merged from several sometimes name a file that never was.
    """
    absent = {file for file in {entry.file for entry in entries.values()} if not (folder / file).exists()}
    lost = [index for index, entry in entries.items() if entry.file in absent]
    if not lost or not (files := _data_files(folder)):
        return entries
    found: dict[int, dict[str, int]] = {index: {} for index in lost}
    for file in files:
        table = attempt(lambda _: None, None, read_table, folder, file, ["episode_index"])
        if table is not None:
            rows, counts = integers(file, table, "episode_index").unique(return_counts=True)
            for index, count in zip(rows.tolist(), counts.tolist(), strict=True):
                if index in found:
                    found[index][file] = count
    moved = {}
    for index, counts in found.items():
        if list(counts.values()) == [entries[index].length]:
            moved[index] = replace(entries[index], file=next(iter(counts)))
    if moved:
        one = next(iter(moved))
        warnings.warn(
            f"meta/episodes: data/file_index: {len(moved)} episodes are listed in files that do not exist; they are "
            f"read from where their rows lie: episode {one} is listed in {entries[one].file} and lies in "
            f"{moved[one].file}",
            DatasetWarning,
            stacklevel=8,
        )
    return entries | moved
