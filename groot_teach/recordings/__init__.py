"""Where action chunks come from: recorded LeRobot episodes, and invented episodes of toy robots.

    lerobot      the description of a LeRobot dataset folder
    columns      which columns of it are the actions
    episodes     the recorded actions of one episode
    check        everything that is wrong with a folder; `python -m groot_teach.recordings check FOLDER`
    normalise    what normalising makes of actions, and of padding, by three published conventions
    statistics   the stored range of each dim, compared with the data
    yours        the recording that `make book DATA=...` names
    files        its JSON and parquet files, each value checked when it is read
    toy_robots   invented episodes
    chunks       cuts a chunk out of an episode of either kind

Toy robots need nothing but torch. Parquet files are read with the package pyarrow.
"""

from groot_teach.recordings.chunks import chunk_at
from groot_teach.recordings.episodes import Episode, dataset_embodiment, read_episode
from groot_teach.recordings.files import DatasetError, DatasetWarning
from groot_teach.recordings.lerobot import EpisodeEntry, LeRobotDataset, open_dataset
from groot_teach.recordings.normalise import denormalise, normalise, statistics_of, what_zero_becomes
from groot_teach.recordings.toy_robots import toy_episode
from groot_teach.recordings.yours import YourRecording, padded_width, without_groups_of_zeros, your_recording

__all__ = [
    "DatasetError",
    "DatasetWarning",
    "Episode",
    "EpisodeEntry",
    "LeRobotDataset",
    "YourRecording",
    "chunk_at",
    "dataset_embodiment",
    "denormalise",
    "normalise",
    "open_dataset",
    "padded_width",
    "read_episode",
    "statistics_of",
    "toy_episode",
    "what_zero_becomes",
    "without_groups_of_zeros",
    "your_recording",
]
