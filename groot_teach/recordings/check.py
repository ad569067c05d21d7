"""Checks a whole dataset folder, and lists everything that is wrong with it at once.

Each file is read once, and one after the other, so a folder needs no more memory than its largest file. What is wrong
is a *fault*. What is worth knowing and may be as it should be, such as joints that never move, is a *note*.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groot_teach.on_disk import no_folder
from groot_teach.recordings.columns import INFO
from groot_teach.recordings.episodes import (
    FRAME_COLUMNS,
    check_order,
    check_timestamps,
    column_numbers,
    dims_in_no_group,
    episode_rows,
    order_fields,
    recorded_tasks,
    select_rows,
)
from groot_teach.recordings.files import DatasetError, attempt, integers, read_table, wrong
from groot_teach.recordings.lerobot import LeRobotDataset, describe
from groot_teach.recordings.statistics import Seen, compare_with_statistics, stored_statistics
from groot_teach.shapes import checked

SHOWN = 3
"""How many findings of one kind the text lists; JSON has them all."""


@dataclass(frozen=True)
class Finding:
    """One thing about a folder.

    Attributes:
        file: where, relative to the folder, and for a row also its place in the file.
        field: what in it.
        episode: the episode that it is about, or None.
        message: what came, what was expected, and what to do.
    """

    file: str
    field: str
    episode: int | None
    message: str


@dataclass(frozen=True)
class FolderReport:
    """What a check of a folder found.

    Attributes:
        folder: the folder, as it was given.
        episodes: how many are listed.
        checked: how many of them were on disk and were read.
        faults: what is wrong.
        notes: what is worth knowing.
    """

    folder: str
    episodes: int
    checked: int
    faults: tuple[Finding, ...]
    notes: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong; there may be notes."""
        return not self.faults

    def to_json(self) -> str:
        return json.dumps({"clean": self.is_clean} | asdict(self), indent=1)

    def __str__(self) -> str:
        count = len(self.faults)
        said = f"{count} fault{'s' if count > 1 else ''}" if count else "no faults"
        head = f"{self.folder}: {said}; {self.checked} of {self.episodes} listed episodes were on disk and checked"
        return "\n".join([head, *_lines("!", self.faults), *_lines("-", self.notes)])


@dataclass
class _Findings:
    """What was found so far, and the episode that is looked at."""

    faults: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    episode: int | None = None

    def fault(self, error: DatasetError) -> None:
        self.faults.append(Finding(error.file, error.field, self.episode, str(error)))

    def note(self, file: str, about: str, message: str) -> None:
        self.notes.append(Finding(file, about, self.episode, f"{file}: {about}: {message}"))


@checked
def check_dataset(
    folder: Path | str, columns: list[str] | None = None, *, progress: Callable[[Iterable], Iterable] = iter
) -> FolderReport:
    """Reads the whole folder, and reports every fault in it.

    Args:
        folder: the dataset folder.
        columns: the columns that hold the actions; None = as `open_dataset` finds them.
        progress: wraps the list of data files, for a progress bar.

    Raises:
        FileNotFoundError: there is no such folder; or no `meta/info.json` in it, so this is no dataset folder.
        ImportError: pyarrow is not installed.
    """
    if (other := no_folder(Path(folder))) is not None:
        raise FileNotFoundError(f"folder: got {other[0]}, expected {other[1]}")
    if not (Path(folder) / INFO).is_file():
        raise FileNotFoundError(f"folder: got {folder}, expected a dataset folder; it has no {INFO}")
    found = _Findings()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            dataset = describe(Path(folder), columns, found.fault)
        except DatasetError as error:
            found.fault(error)
            return FolderReport(str(folder), 0, 0, tuple(found.faults), ())
        seen = _check_data(dataset, found, progress) if dataset.columns else None
    for warning in warned:
        file, _, said = str(warning.message).partition(": ")
        found.faults.append(Finding(file, said.split(": ")[0], None, str(warning.message)))
    if dataset.episodes_missing:
        found.note("data", "files", f"episodes that are listed and not on disk: {_few(dataset.episodes_missing)}")
    if left_out := dims_in_no_group(dataset):
        names = [dataset.dim_names[dim] for dim in left_out]
        found.note("meta/modality.json", "action", f"dims that no group names: {_few(names)}")
    if seen is not None and seen.count:
        _note_still_dims(dataset, seen, found)
        stored = attempt(found.fault, None, stored_statistics, dataset)
        for error in compare_with_statistics(dataset, seen, stored) if stored else ():
            found.fault(error)
    count = len(dataset.episodes_present)
    return FolderReport(str(folder), len(dataset.entries), count, tuple(found.faults), tuple(found.notes))


def _check_data(dataset: LeRobotDataset, found: _Findings, progress: Callable[[Iterable], Iterable]) -> Seen:
    """Checks every episode that is on disk, file by file."""
    episodes_in: dict[str, list[int]] = {}
    for index in dataset.episodes_present:
        episodes_in.setdefault(dataset.entries[index].file, []).append(index)
    seen, held, zero = Seen(dataset.action_dim, dataset.episodes_present), {}, []
    for file in progress(list(episodes_in)):
        read = (dataset.folder, file, list(dataset.columns), FRAME_COLUMNS)
        table = attempt(found.fault, None, read_table, *read)
        if table is None:
            continue
        attempt(found.fault, None, _check_owners, dataset, file, table, episodes_in[file])
        for index in episodes_in[file]:
            found.episode = index
            actions = attempt(found.fault, None, _check_episode, dataset, file, table, index, found)
            found.episode = None
            if actions is not None:
                seen.add(index, actions)
                same = (actions == actions[-1]).all(dim=1).flip(0).int().cumprod(0).sum().item()
                if same > max(dataset.fps, 5) and same < len(actions):
                    held[index] = same
                zero += [] if actions.any() else [index]
    if zero:
        found.note("data", "action", f"episodes in which every action is 0: {_few(zero)}")
    if held:
        first = next(iter(held))
        said = f"one action is repeated for more than a second at the end of {len(held)} episodes"
        found.note("data", "action", f"{said}, as a recorder does that went on: {held[first]} steps in episode {first}")
    return seen


def _check_owners(dataset: LeRobotDataset, file: str, table: Any, listed: list[int]) -> None:
    """A v3 file holds no rows of episodes that are listed elsewhere, or nowhere."""
    if dataset.version == "v3.0" and "episode_index" in table.column_names:
        others = set(integers(file, table, "episode_index").unique().tolist()) - set(listed)
        if others:
            got = f"rows of episodes {_few(sorted(others))}"
            raise wrong(file, "episode_index", got, f"rows of {_few(listed)} only, as meta/episodes lists them")


def _check_episode(dataset: LeRobotDataset, file: str, table: Any, index: int, found: _Findings) -> Tensor | None:
    """Every fault of one episode; and its actions, if they can be read."""
    entry, rows = dataset.entries[index], select_rows(file, table, dataset, index)
    if len(rows) != entry.length:
        file, rows = episode_rows(dataset, index)  # it may lie elsewhere; if not, this says so
    for name, first in order_fields(entry, rows).items():
        frames = attempt(found.fault, None, integers, file, rows, name)
        if frames is not None:
            attempt(found.fault, None, check_order, file, name, frames, first)
    if dataset.fps > 0 and (said := attempt(found.fault, "", check_timestamps, file, rows, dataset.fps, 0.5)):
        found.faults.append(Finding(file, "timestamp", index, said))
    attempt(found.fault, None, recorded_tasks, file, rows, dataset, index)
    read = [
        attempt(found.fault, None, column_numbers, file, name, rows[name], width)
        for name, width in dataset.columns.items()
    ]
    numbers = [part for part in read if part is not None]
    return torch.cat(numbers, dim=1) if len(numbers) == len(read) else None


def _note_still_dims(dataset: LeRobotDataset, seen: Seen, found: _Findings) -> None:
    for name, dims in dataset.groups.items():
        still = [dim for dim in range(dataset.action_dim)[dims] if seen.low[dim] == seen.high[dim]]
        if still:
            values = sorted({seen.low[dim].item() for dim in still})
            names = _few([dataset.dim_names[dim] for dim in still])
            message = f"{len(still)} of {dims.stop - dims.start} dims never move: {names}; they hold {_few(values)}"
            found.note("data", name, message)


def _few(items: Iterable[Any]) -> str:
    """Items for a message: the first five, and how many more there are."""
    said = [f"{item:g}" if isinstance(item, float) else str(item) for item in items]
    return ", ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")


def _lines(mark: str, findings: tuple[Finding, ...]) -> list[str]:
    """A line for each finding. Of those that differ in their numbers alone, only the first few are listed."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(re.sub(r"-?\d[\d.e+-]*", "#", finding.message), []).append(finding)
    lines = []
    for alike in kinds.values():
        for finding in alike[:SHOWN]:
            about = "" if finding.episode is None else f" (episode {finding.episode})"
            lines.append(f"{mark} {finding.message}{about}")
        if len(alike) > SHOWN:
            lines.append(f"{mark} ... and {len(alike) - SHOWN} more like this")
    return lines
