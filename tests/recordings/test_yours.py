"""The recording of the reader: what the environment asks for, and what is said about everything that was left out."""

import pytest
import torch
from recorded_folders import edit_info, rewrite, write_modality, write_v2

from groot_teach.recordings import DatasetError, Episode, padded_width, without_groups_of_zeros, your_recording

TOY = Episode(torch.ones(4, 2, dtype=torch.float64), ("wave",) * 4, 0, (("arm", 2),))


@pytest.fixture
def folder(tmp_path):
    write_v2(tmp_path)
    return tmp_path


def yours(folder, **more):
    return your_recording(TOY, {"GROOT_TEACH_DATA": str(folder)} | {f"GROOT_TEACH_{k}": v for k, v in more.items()})


def test_without_a_dataset_the_other_episode_takes_its_place():
    found = your_recording(TOY, {"GROOT_TEACH_PADDED_DIM": "5"})
    assert (found.episode, found.padded_dim, found.said) == (TOY, 5, ())


def test_the_episode_the_groups_and_the_width_are_those_that_are_asked_for(folder):
    found = yours(folder, EPISODE="1", GROUPS="hand, arm", PADDED_DIM="64")
    assert (found.episode.episode_index, found.episode.groups, found.padded_dim) == (1, (("hand", 2), ("arm", 3)), 64)
    assert found.said == ("toy_arm in LeRobot v2.1", "episodes: 3 listed, 3 on disk")


def test_the_first_episode_that_can_be_read_is_taken_and_the_others_are_said(folder):
    rewrite(folder, action=[[0.0] * 14] * 3)
    found = yours(folder)
    assert found.episode.episode_index == 1
    assert found.said[2].startswith(
        "episode 0 left out: data/chunk-000/episode_000000.parquet: action: got rows of width"
    )
    with pytest.raises(DatasetError, match="action: got rows of width"):
        yours(folder, EPISODE="0")


def test_if_no_episode_can_be_read_the_reason_of_the_first_is_given(folder):
    for file in folder.glob("data/*/*.parquet"):
        file.write_text("no parquet")
    with pytest.raises(DatasetError, match="file: got damage"):
        yours(folder)


def test_dims_without_a_group_groups_that_share_dims_and_warnings_are_said(folder):
    write_modality(folder, {"arm": (0, 2), "wrist": (1, 3), "hand": (3, 4)})
    edit_info(folder, features={"action": {"shape": [5], "names": ["a", "b", "c", "d", "thumb"]}})
    rewrite(folder, timestamp=[0.0, 0.1, 0.3])
    found = yours(folder)
    assert found.episode.groups == (("arm", 2), ("hand", 1))
    assert found.said[2:4] == (
        "groups left out, because they share dims with another: wrist",
        "dims left out, because no group names them: thumb",
    )
    assert "0.1 s, then 0.3 s at step 2" in found.said[4]


@pytest.mark.parametrize(("name", "value"), [("EPISODE", "first"), ("PADDED_DIM", "-1"), ("PADDED_DIM", "0")])
def test_what_is_no_number_is_named_with_its_variable(folder, name, value):
    with pytest.raises(DatasetError, match=f"GROOT_TEACH_{name}: value: got"):
        yours(folder, **{name: value})


def test_groups_of_zeros_are_left_out_unless_there_is_nothing_else():
    actions = torch.tensor([[0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 3.0]])
    episode = Episode(actions, ("", ""), 0, (("leg", 1), ("arm", 1), ("neck", 1), ("hand", 1)), ("a", "b", "c", "d"))
    used = without_groups_of_zeros(episode)
    assert (used.groups, used.dim_names) == ((("arm", 1), ("hand", 1)), ("b", "d"))
    assert used.actions.tolist() == [[1.0, 2.0], [0.0, 3.0]]
    still = Episode(torch.zeros(2, 1), ("", ""), 0, (("arm", 1),))
    assert without_groups_of_zeros(still) is still


@pytest.mark.parametrize(("dims", "width"), [(6, 32), (32, 32), (33, 132), (132, 132), (150, 150)])
def test_a_robot_is_padded_to_the_width_of_a_version_or_is_wider_than_any(dims, width):
    assert padded_width(dims) == width
    assert padded_width(dims, asked=200) == 200
    with pytest.raises(ValueError, match=f"asked: got {dims - 1}, expected at least {dims}"):
        padded_width(dims, asked=dims - 1)


def test_groups_that_nobody_asked_for_are_said(tmp_path):
    write_v2(tmp_path)
    assert "groups left out, because others were asked for: hand" in yours(tmp_path, GROUPS="arm").said
    assert not any("others were asked for" in line for line in yours(tmp_path).said)
