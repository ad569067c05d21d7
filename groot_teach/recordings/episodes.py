"""Reads the recorded actions of one episode, and checks them against the description of the dataset."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.embodiments import Embodiment
from groot_teach.recordings.columns import MODALITY
from groot_teach.recordings.files import DatasetWarning, floats, integers, read_table, wrong
from groot_teach.recordings.lerobot import EpisodeEntry, LeRobotDataset, files_with_rows
from groot_teach.shapes import checked

WAY_OUT = "with timestamp_tolerance=None the timestamps are not looked at"
"""What whoever trusts the order of the rows can do about timestamps."""

FRAME_COLUMNS = ("task_index", "episode_index", "frame_index", "index", "timestamp")
"""What the recording says about a frame beside its actions. Each of these columns may be absent."""


@checked
@dataclass(frozen=True)
class Episode:
    """One complete recorded episode.

    Attributes:
        actions: `step, action_dim`, float64, in the units of the recording: **not** normalised. A bool is 0 or 1.
        tasks: one text for each step, because the task may change within an episode; "" if the recording says none.
        episode_index: its number in the dataset.
        groups: `(group name, number of dims)` in the order of the last axis of `actions`, as `Embodiment` takes them.
        dim_names: what each dim of `actions` is called.
    """

    actions: Float[Tensor, "step action_dim"]
    tasks: tuple[str, ...]
    episode_index: int
    groups: tuple[tuple[str, int], ...]
    dim_names: tuple[str, ...] = ()

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
def read_episode(
    dataset: LeRobotDataset,
    episode_index: int,
    groups: Sequence[str] | None = None,
    *,
    timestamp_tolerance: float | int | None = 0.5,
) -> Episode:
    """Reads all actions of one episode, and checks them against the description of the dataset.

    Args:
        dataset: what `open_dataset` returned.
        episode_index: a listed episode whose file is on disk.
        groups: the action groups to read, in this order. None reads all groups, and raises an error if a dim is in none
            of them.
        timestamp_tolerance: by how much of a step two timestamps may be too near or too far from each other without a
            word. None = timestamps are not looked at.

    The numbers are converted to float64 if that changes none of them: floats of any kind, integers up to 2^53, bools.
    Parquet files as pyarrow writes them have no checksums, so a bit that was flipped inside a number goes unnoticed.

    Warns:
        DatasetWarning: single steps are longer or shorter than the tolerance allows, as when a camera dropped a frame;
            or the rows lie in another file than the list of episodes says. The episode is read all the same.

    Raises:
        DatasetError: the episode is not listed or not on disk, its file is damaged, or its content is not as described:
            the number of rows, the width, the order of the frames, timestamps that do not rise or that belong to
            another `fps`, the tasks, or a number that is missing or infinite.
        ImportError: pyarrow is not installed.
    """
    if timestamp_tolerance is not None and not 0 < timestamp_tolerance < float("inf"):
        raise ValueError(f"timestamp_tolerance: got {timestamp_tolerance}, expected more than 0, or None")
    chosen = chosen_groups(dataset, groups)
    file, table = episode_rows(dataset, episode_index)
    for field, first in order_fields(dataset.entries[episode_index], table).items():
        check_order(file, field, integers(file, table, field), first)
    if timestamp_tolerance is not None:
        irregular = check_timestamps(file, table, dataset.fps, timestamp_tolerance)
        if irregular:
            warnings.warn(f"episode {episode_index}: {irregular}; {WAY_OUT}", DatasetWarning, stacklevel=5)
    actions = recorded_actions(file, table, dataset)
    return Episode(
        actions=torch.cat([actions[:, dims] for dims in chosen.values()], dim=1),
        tasks=recorded_tasks(file, table, dataset, episode_index),
        episode_index=episode_index,
        groups=_sizes(chosen),
        dim_names=tuple(name for dims in chosen.values() for name in dataset.dim_names[dims]),
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
    return Embodiment(name, _sizes(chosen_groups(dataset, groups)), embodiment_id)


def chosen_groups(dataset: LeRobotDataset, groups: Sequence[str] | None) -> dict[str, slice]:
    """The dims of the groups to read, in the order asked for."""
    names = list(dataset.groups if groups is None else groups)
    if isinstance(groups, str) or not names or not set(names) <= set(dataset.groups):
        raise wrong(MODALITY, "action", f"groups {groups!r}", f"a list of names out of {list(dataset.groups)}")
    dims = sorted(dim for name in names for dim in range(dataset.action_dim)[dataset.groups[name]])
    if len(set(dims)) < len(dims):
        raise wrong(MODALITY, "action", f"groups {names}, which share dims", "each dim in one group at most")
    if groups is None and (left_out := dims_in_no_group(dataset)):
        expected = f"a group for each dim; or name the groups to read: groups={list(dataset.groups)}"
        raise wrong(MODALITY, "action", f"no group for dims {left_out}", expected)
    return {name: dataset.groups[name] for name in names}


def dims_in_no_group(dataset: LeRobotDataset) -> list[int]:
    """The dims of the actions that no group names."""
    every = range(dataset.action_dim)
    return sorted(set(every) - {dim for dims in dataset.groups.values() for dim in every[dims]})


def _sizes(groups: dict[str, slice]) -> tuple[tuple[str, int], ...]:
    return tuple((name, dims.stop - dims.start) for name, dims in groups.items())


# ------------------------------------------------------------------------------------------------- the rows of one


def episode_rows(dataset: LeRobotDataset, episode_index: int) -> tuple[str, Any]:
    """The file with the rows of an episode, and a table of them. It is found by its `episode_index` where it lies."""
    if episode_index not in dataset.entries:
        raise wrong("meta/episodes", "episode_index", episode_index, f"a listed one: {list(dataset.entries)}")
    entry = dataset.entries[episode_index]
    table = rows_of(dataset, entry.file, episode_index)
    if len(table) == entry.length:
        return entry.file, table
    expected = f"{entry.length}, the listed length of episode {episode_index}"
    elsewhere = {}
    if dataset.version == "v3.0" and not len(table):
        elsewhere = files_with_rows(dataset.folder, episode_index)
    if list(elsewhere.values()) == [entry.length]:
        file = next(iter(elsewhere))
        warnings.warn(
            f"meta/episodes: data/file_index: episode {episode_index} is listed in {entry.file}, and its rows lie in "
            f"{file}, where they are read; the list is stale",
            DatasetWarning,
            stacklevel=6,
        )
        return file, rows_of(dataset, file, episode_index)
    if elsewhere:
        expected += f"; rows of it lie in {elsewhere}"
    raise wrong(entry.file, "rows", len(table), expected)


def rows_of(dataset: LeRobotDataset, file: str, episode_index: int) -> Any:
    """The rows of an episode in a file, with all columns that are read of it."""
    only = ("episode_index", episode_index) if dataset.version == "v3.0" else None
    table = read_table(dataset.folder, file, list(dataset.columns), FRAME_COLUMNS, only)
    return select_rows(file, table, dataset, episode_index)


def select_rows(file: str, table: Any, dataset: LeRobotDataset, episode_index: int) -> Any:
    """The rows of an episode. In v2, where each has a file of its own, the file need not say whose rows they are."""
    is_alone = dataset.version != "v3.0"
    if "episode_index" not in table.column_names:
        if is_alone:
            return table
        raise wrong(file, "episode_index", f"0 columns of that name among {table.column_names}", "one")
    owners = integers(file, table, "episode_index")
    if is_alone and (owners != episode_index).any():
        raise wrong(file, "episode_index", owners.unique().tolist(), f"{episode_index} in every row")
    if is_alone:
        return table
    places = (owners == episode_index).nonzero().flatten()
    if not len(places) or places[-1] - places[0] == len(places) - 1:  # rows that follow each other need no copy
        return table.slice(int(places[0]) if len(places) else 0, len(places))
    import pyarrow as pa

    return table.take(pa.array(places.tolist(), pa.int64()))


def order_fields(entry: EpisodeEntry, table: Any) -> dict[str, int | None]:
    """The columns that number the frames, as far as the recording has them -> the number of the first, if known."""
    firsts = {"frame_index": 0, "index": entry.first_index}
    return {field: first for field, first in firsts.items() if field in table.column_names}


def check_order(file: str, field: str, frames: Tensor, first: int | None) -> None:
    """Checks that no frame is lost, doubled or out of order, by a column that numbers them."""
    first = int(frames[0]) if first is None else first
    off = (frames != first + torch.arange(len(frames))).nonzero()
    if len(off):
        step = int(off[0])
        raise wrong(file, field, f"{frames[step].item()} at step {step}", first + step)


def check_timestamps(file: str, table: Any, fps: float, tolerance: float) -> str:
    """What is irregular about the timestamps, with the place of the first; "" if nothing is.

    Rows may be in order although a camera dropped a frame, so a step that is too long or too short is not an error.
    Timestamps that do not rise are one, and so are those that do not belong to `fps` at all.
    """
    if "timestamp" not in table.column_names:
        return ""
    column, step = table["timestamp"], 1 / fps
    seconds = floats(file, "timestamp", column)
    if not seconds.isfinite().all():
        place = int((~seconds.isfinite()).nonzero()[0])
        raise wrong(file, "timestamp", f"{seconds[place].item()} at step {place}", f"a finite number; {WAY_OUT}")
    largest = seconds.abs().max().item()
    exact_to = largest * torch.finfo(_float_type(column)).eps
    if exact_to > step / 2:
        since = "seconds since 1970" if 1e9 < largest < 5e9 else f"{largest:g} s"
        got = f"{since} as {column.type}, which is exact to about {exact_to:.2g} s there"
        raise wrong(file, "timestamp", got, f"seconds since the episode began, or float64; {WAY_OUT}")
    steps = seconds.diff() * fps
    is_off = ~((steps - 1).abs() < tolerance)
    if not is_off.any():
        return ""
    place = int((is_off if (steps > 0).all() else steps <= 0).nonzero()[0]) + 1
    said = f"{seconds[place - 1].item():g} s, then {seconds[place].item():g} s at step {place}"
    if not (steps > 0).all():
        raise wrong(file, "timestamp", said, f"timestamps that rise, by {step:g} s each time; {WAY_OUT}")
    if is_off.sum() > len(steps) / 2:
        typical = steps.median().item() * step
        expected = f"{step:g} s between, as fps {fps:g} says; most steps last {typical:g} s{_unit(typical / step)}"
        raise wrong(file, "timestamp", said, f"{expected}; {WAY_OUT}")
    count = int(is_off.sum())
    return f"{file}: timestamp: {said}, where {step:g} s were expected; {count} of {len(steps)} steps are irregular"


def _float_type(column: Any) -> torch.dtype:
    """The float type that the numbers were rounded to; integers were not rounded."""
    return {"halffloat": torch.float16, "float": torch.float32}.get(str(column.type), torch.float64)


def _unit(ratio: float) -> str:
    for factor, name in ((1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")):
        if abs(ratio / factor - 1) < 0.5:
            return f"; are they {name}"
    return ""


def recorded_actions(file: str, table: Any, dataset: LeRobotDataset) -> Float[Tensor, "step action_dim"]:
    """The numbers in the columns of the actions, each of them checked."""
    columns = [column_numbers(file, name, table[name], width) for name, width in dataset.columns.items()]
    return torch.cat(columns, dim=1)


def column_numbers(file: str, name: str, column: Any, width: int) -> Float[Tensor, "step width"]:
    """The numbers of one column.

    Source: `get_hf_features_from_features` in `src/lerobot/datasets/utils.py` at 00448aa1: a feature of shape (1,) is a
    column of plain numbers, any other a column of lists.
    """
    column = column.combine_chunks()
    if hasattr(column, "value_lengths"):
        widths = set(column.value_lengths().unique().to_pylist())
        column = column.flatten()
    else:
        widths = {1}
    if widths != {width}:
        raise wrong(file, name, f"rows of width {sorted(map(str, widths))}", f"{width}, as in meta/info.json")
    numbers = floats(file, name, column).reshape(-1, width)
    if not numbers.isfinite().all():
        step, dim = (~numbers.isfinite()).nonzero()[0].tolist()
        raise wrong(file, name, f"{numbers[step, dim].item()} at step {step}, dim {dim}", "finite numbers")
    return numbers


def recorded_tasks(file: str, table: Any, dataset: LeRobotDataset, episode_index: int) -> tuple[str, ...]:
    """The text of each step. Without a column that says it, the one text that the list of episodes has."""
    if "task_index" not in table.column_names:
        listed = dataset.entries[episode_index].tasks
        if len(listed) > 1:
            got = f"no column of that name, and {len(listed)} tasks in the list of episodes"
            raise wrong(file, "task_index", got, "a column that says which step has which task")
        return (listed or ("",)) * len(table)
    indices = integers(file, table, "task_index")
    if unknown := set(indices.unique().tolist()) - set(dataset.tasks):
        raise wrong(file, "task_index", sorted(unknown), f"numbers listed in meta/tasks: {sorted(dataset.tasks)}")
    return tuple(dataset.tasks[index] for index in indices.tolist())
