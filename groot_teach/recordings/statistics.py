"""The statistics of a dataset: what the folder says about the range of each dim, and whether the data agree.

Policies are fed numbers that were scaled with these statistics, so wrong ones teach a robot wrong movements without
any error.

    v2.0, v3.0    meta/stats.json            over all episodes: column -> min, max, mean, std, ...
    v2.1          meta/episodes_stats.jsonl  the same for each episode
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.recordings.files import DatasetError, count_of, field_of, json_lines, parse_json, read_text, wrong
from groot_teach.recordings.lerobot import LeRobotDataset

STATS, EPISODES_STATS = "meta/stats.json", "meta/episodes_stats.jsonl"


class Seen:
    """The range of each dim over the episodes that were added, and of each episode.

    The ranges of the episodes have one place from the beginning. Kept one by one, between the actions that are read and
    given back, they would keep the memory of all actions from being used again.
    """

    def __init__(self, action_dim: int, episodes: Sequence[int]):
        self.low = torch.full((action_dim,), torch.inf, dtype=torch.float64)
        self.high = torch.full((action_dim,), -torch.inf, dtype=torch.float64)
        self.sum = torch.zeros(action_dim, dtype=torch.float64)
        self.count = 0
        self.ranges = torch.empty(len(episodes), 2, action_dim, dtype=torch.float64)
        self.rows = {index: row for row, index in enumerate(episodes)}
        self.added: set[int] = set()

    def range_of(self, episode_index: int) -> tuple[Tensor, Tensor]:
        """The least and the largest number of each dim in an episode that was added."""
        low, high = self.ranges[self.rows[episode_index]]
        return low, high

    def add(self, episode_index: int, actions: Float[Tensor, "step action_dim"]) -> None:
        low, high = actions.amin(dim=0), actions.amax(dim=0)
        self.ranges[self.rows[episode_index]] = torch.stack([low, high])
        self.added.add(episode_index)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.sum += actions.sum(dim=0)
        self.count += len(actions)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Stored statistics of the actions.

    Attributes:
        whole: min, max, mean, ... -> `action_dim`, float64, over all episodes; empty if the folder has none.
        of_episode: the same for each episode.
    """

    whole: dict[str, Tensor]
    of_episode: dict[int, dict[str, Tensor]]


def stored_statistics(dataset: LeRobotDataset) -> Statistics | None:
    """What the folder says about its actions; None if it says nothing.

    Raises:
        DatasetError: a statistic that is no list of finite numbers, or one whose length is not the width of its column.
    """
    whole, of_episode = {}, {}
    if (dataset.folder / STATS).is_file():
        whole = _of_actions(STATS, parse_json(STATS, read_text(dataset.folder, STATS)), dataset)
    if (dataset.folder / EPISODES_STATS).is_file():
        for where, row in json_lines(dataset.folder, EPISODES_STATS):
            index = count_of(where, row, "episode_index", least=0)
            of_episode[index] = _of_actions(where, field_of(where, row, "stats", dict), dataset)
    return Statistics(whole, of_episode) if whole or of_episode else None


def _of_actions(where: str, stats: dict[str, Any], dataset: LeRobotDataset) -> dict[str, Tensor]:
    """The statistics of the columns of the actions, one after the other; only those that all columns have."""
    columns = [(name, width) for name, width in dataset.columns.items() if name in stats]
    if len(columns) < len(dataset.columns):
        return {}
    found: list[dict[str, Tensor]] = []
    for name, width in columns:
        entries = field_of(where, stats, name, dict)
        known = [key for key in ("min", "max", "mean", "std", "q01", "q99") if key in entries]
        found.append({key: _numbers(f"{where}: {name}", key, entries[key], width) for key in known})
    shared = [key for key in found[0] if all(key in one for one in found)]
    return {key: torch.cat([one[key] for one in found]) for key in shared}


def _numbers(where: str, key: str, value: Any, width: int) -> Tensor:
    is_list = isinstance(value, list) and all(type(number) in (int, float) and abs(number) < 1e300 for number in value)
    if not is_list or not (numbers := torch.tensor(value, dtype=torch.float64)).isfinite().all():
        raise wrong(where, key, f"{value!r:.60}", "a list of finite numbers")
    if len(numbers) != width:
        raise wrong(where, key, f"{len(numbers)} numbers", f"{width}, one for each dim of the column")
    return numbers


def compare_with_statistics(dataset: LeRobotDataset, seen: Seen, stored: Statistics) -> Iterator[DatasetError]:
    """A fault for each statistic that the data contradict. What was not read can prove nothing."""
    is_whole = not dataset.episodes_missing and len(seen.added) == len(dataset.entries)
    yield from _range_faults(STATS, dataset, stored.whole, seen.low, seen.high, is_whole)
    if is_whole and "mean" in stored.whole:
        mean = seen.sum / seen.count
        apart = (stored.whole["mean"] - mean).abs() > 1e-3 * (seen.high - seen.low) + 1e-6
        yield from _faults(STATS, "mean", dataset, apart, stored.whole["mean"], mean)
    for index in sorted(seen.added & stored.of_episode.keys()):
        where = f"{EPISODES_STATS}: episode {index}"
        yield from _range_faults(where, dataset, stored.of_episode[index], *seen.range_of(index), True)


def _range_faults(
    where: str, dataset: LeRobotDataset, stored: dict[str, Tensor], low: Tensor, high: Tensor, is_whole: bool
) -> Iterator[DatasetError]:
    """The data may not go beyond min and max, and if all of them were read, they reach both."""
    close = 1e-5 * torch.maximum(low.abs(), high.abs()) + 1e-6  # statistics are stored in float32
    if "min" in stored:
        off = stored["min"] - low
        yield from _faults(where, "min", dataset, (off.abs() if is_whole else off) > close, stored["min"], low)
    if "max" in stored:
        off = high - stored["max"]
        yield from _faults(where, "max", dataset, (off.abs() if is_whole else off) > close, stored["max"], high)


def _faults(
    where: str, key: str, dataset: LeRobotDataset, apart: Tensor, stored: Tensor, found: Tensor
) -> Iterator[DatasetError]:
    if apart.any():
        dims = apart.nonzero().flatten().tolist()
        got = f"{stored[dims[0]].item():g} for {dataset.dim_names[dims[0]]!r}"
        expected = f"{found[dims[0]].item():g}, as the data say ({len(dims)} dims differ); compute the statistics again"
        yield wrong(where, f"action.{key}", got, expected)
