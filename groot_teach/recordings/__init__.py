"""Where action chunks come from: recorded LeRobot episodes, and invented episodes of toy robots."""

from groot_teach.recordings.chunks import chunk_at
from groot_teach.recordings.lerobot import (
    DatasetError,
    Episode,
    LeRobotDataset,
    dataset_embodiment,
    open_dataset,
    read_episode,
)
from groot_teach.recordings.toy_robots import toy_episode

__all__ = [
    "DatasetError",
    "Episode",
    "LeRobotDataset",
    "chunk_at",
    "dataset_embodiment",
    "open_dataset",
    "read_episode",
    "toy_episode",
]
