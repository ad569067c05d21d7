"""The recording of whoever reads the book: what the environment asks for, and what had to be left out.

`make book DATA=...` and `make lab` set these variables:

    GROOT_TEACH_DATA         a LeRobot dataset folder; without it there is no recording of the reader
    GROOT_TEACH_EPISODE      the episode; otherwise the first one that can be read
    GROOT_TEACH_GROUPS       the action groups, separated by commas; otherwise all that share no dims
    GROOT_TEACH_PADDED_DIM   to how many dims it is padded; otherwise 32 or 132, or as many as the robot has
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

from groot_teach.recordings.episodes import Episode, dims_in_no_group, read_episode
from groot_teach.recordings.files import DatasetError, wrong
from groot_teach.recordings.lerobot import LeRobotDataset, open_dataset
from groot_teach.shapes import checked

DATA, EPISODE, GROUPS, PADDED_DIM = (f"GROOT_TEACH_{name}" for name in ("DATA", "EPISODE", "GROUPS", "PADDED_DIM"))

WIDTHS = (32, 132)
"""To how many dims GR00T N1.5 and N1.7 pad."""

SHOWN = 3
"""How many episodes that cannot be read are listed with their reasons."""


@dataclass(frozen=True)
class YourRecording:
    """An episode of the reader, or the one that takes its place.

    Attributes:
        episode: the episode.
        padded_dim: to how many dims the reader wants it padded; None = to the width of a published version.
        said: lines about the dataset, and about everything in it that was left out; empty without a dataset.
    """

    episode: Episode
    padded_dim: int | None
    said: tuple[str, ...]


@checked
def your_recording(otherwise: Episode, environment: Mapping[str, str] | None = None) -> YourRecording:
    """The episode that the environment asks for, or `otherwise` if it names no dataset.

    Args:
        otherwise: the episode without a dataset.
        environment: the variables; None = those of this process.

    Raises:
        DatasetError: the folder, the episode or the groups cannot be read; or a variable is no number.
    """
    said = os.environ if environment is None else environment
    padded_dim = _number(said, PADDED_DIM)
    if padded_dim == 0:
        raise wrong(PADDED_DIM, "value", 0, "1 or more")
    if not said.get(DATA):
        return YourRecording(otherwise, padded_dim, ())
    dataset = open_dataset(said[DATA])
    lines = [
        f"{dataset.robot_type or 'a robot'} in LeRobot {dataset.version}",
        f"episodes: {len(dataset.entries)} listed, {len(dataset.episodes_present)} on disk",
    ]
    asked = said.get(GROUPS, "").replace(",", " ").split()
    if asked and (others := [name for name in dataset.groups if name not in asked]):
        lines.append(f"groups left out, because others were asked for: {', '.join(others)}")
    groups = asked or _groups_apart(dataset, lines)
    index = _number(said, EPISODE)
    episode = _read(dataset, index, groups, lines) if index is not None else _first_usable(dataset, groups, lines)
    return YourRecording(episode, padded_dim, tuple(lines))


@checked
def without_groups_of_zeros(episode: Episode) -> Episode:
    """The episode without the groups that are 0 in every step. If all of them are, it is returned as it is."""
    kept, start = [], 0
    for name, size in episode.groups:
        dims = range(start, start + size)
        start += size
        if episode.actions[:, dims.start : dims.stop].any():
            kept.append((name, dims))
    if not kept:
        return episode
    every = [dim for _, dims in kept for dim in dims]
    return replace(
        episode,
        actions=episode.actions[:, every],
        groups=tuple((name, len(dims)) for name, dims in kept),
        dim_names=tuple(episode.dim_names[dim] for dim in every) if episode.dim_names else (),
    )


@checked
def padded_width(action_dim: int, asked: int | None = None) -> int:
    """To how many dims a robot is padded: as asked, or to the first of 32 and 132 that is wide enough, or not at all.

    Raises:
        ValueError: the robot has more dims than `asked`, some of which would be cut off.
    """
    if asked is not None and asked < action_dim:
        raise ValueError(f"asked: got {asked}, expected at least {action_dim}, the dims that the robot has")
    return asked or next((width for width in WIDTHS if action_dim <= width), action_dim)


def _number(said: Mapping[str, str], name: str) -> int | None:
    text = said.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise wrong(name, "value", repr(text), "a whole number, 0 or more")
    return int(text) if text else None


def _groups_apart(dataset: LeRobotDataset, lines: list[str]) -> list[str]:
    """The groups that share no dim with one before them. What is left out is said."""
    taken: set[int] = set()
    groups, shared = [], []
    for name, dims in dataset.groups.items():
        own = set(range(dataset.action_dim)[dims])
        (shared if own & taken else groups).append(name)
        taken |= own if name in groups else set()
    if shared:
        lines.append(f"groups left out, because they share dims with another: {', '.join(shared)}")
    if left_out := dims_in_no_group(dataset):
        lines.append(f"dims left out, because no group names them: {', '.join(dataset.dim_names[d] for d in left_out)}")
    return groups


def _first_usable(dataset: LeRobotDataset, groups: list[str], lines: list[str]) -> Episode:
    """The first episode on disk that can be read. The others before it are said with their reasons."""
    refused = []
    for index in dataset.episodes_present or list(dataset.entries)[:1]:
        try:
            episode = _read(dataset, index, groups, lines)
        except DatasetError as error:
            refused.append((index, error))
            continue
        lines += [f"episode {bad} left out: {error}" for bad, error in refused[:SHOWN]]
        lines += [f"and {len(refused) - SHOWN} more episodes left out"] if len(refused) > SHOWN else []
        return episode
    raise refused[0][1]


def _read(dataset: LeRobotDataset, index: int, groups: list[str], lines: list[str]) -> Episode:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        episode = read_episode(dataset, index, groups)
    lines += [str(warning.message) for warning in warned]
    return episode
