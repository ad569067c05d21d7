"""Figures: the same bytes each time, the right words and marks, and stored pictures and tables that cannot drift."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from draw_figures import FOLDER, PICTURES

from groot_teach.chapters.padding.pictures import action_batch, episode_end
from groot_teach.embodiments import DUAL_ARM, SO101
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, LEAKS, PR_741, PRESETS, STRICT, open_leaks
from groot_teach.padding import collate_chunks, pad_steps_with_copies
from groot_teach.show.panels import KINDS
from groot_teach.show.pictures import FILLS, six_stages

ROOT = Path(__file__).parents[2]


def a_batch():
    chunks = [pad_steps_with_copies(torch.zeros(n, robot.action_dim), 7) for n, robot in ((7, DUAL_ARM), (3, SO101))]
    return collate_chunks(chunks, padded_dim=19)


def every_picture():
    chunk = pad_steps_with_copies(torch.arange(6.0).reshape(3, 2), 7)
    return {
        "action_batch": lambda: action_batch(a_batch(), ["dual-arm", "SO-101"]),
        "episode_end": lambda: episode_end(chunk.actions, chunk.action_is_pad, {"joint": 0, "claw": 1}),
        "six_stages": lambda: six_stages(GROOT_N1_5),
    }


def colours(picture):
    return [colour for colour in FILLS.values() if colour.lower() in picture._repr_svg_()]


@pytest.mark.parametrize("name", every_picture())
def test_a_picture_is_the_same_bytes_each_time_and_valid_xml(name):
    draw = every_picture()[name]
    picture = draw()
    first = picture._repr_svg_()
    assert first == picture._repr_svg_() == draw()._repr_svg_()
    ElementTree.fromstring(first)
    assert "<dc:date>" not in first


def test_the_batch_map_colours_what_is_recorded_filled_in_and_padded():
    assert colours(action_batch(a_batch(), ["a", "b"])) == [FILLS["real"], FILLS["padding"], FILLS["leak"]]
    full = collate_chunks([pad_steps_with_copies(torch.zeros(7, 19), 7)], padded_dim=19)
    path = action_batch(full, ["a"])._repr_svg_().split('id="legend_1"')[0]
    assert FILLS["padding"].lower() not in path


def test_a_picture_needs_a_name_for_each_robot():
    with pytest.raises(ValueError, match="names: got 1, expected 2, one for each"):
        action_batch(a_batch(), ["only one"])


def test_two_robots_of_the_same_name_are_both_drawn():
    assert action_batch(a_batch(), ["twin", "twin"])._repr_svg_().count(">twin<") == 2


def test_an_episode_end_draws_all_the_dims_it_is_asked_for_or_none():
    actions, nothing_padded = torch.zeros(3, 7), torch.zeros(3, dtype=torch.bool)
    with pytest.raises(ValueError, match="dims: got 5, expected 1 to 4"):
        episode_end(actions, nothing_padded, {f"joint {dim}": dim for dim in range(5)})


def test_the_six_stages_mark_what_leaks_and_only_that():
    for masking in PRESETS:
        svg = six_stages(masking)._repr_svg_()
        assert svg.count("\N{WHITE CIRCLE}") == len(open_leaks(masking))
        assert svg.count("\N{BLACK CIRCLE}") == len(LEAKS) - len(open_leaks(masking))
    assert FILLS["leak"].lower() not in six_stages(STRICT)._repr_svg_()


def test_figures_and_widgets_know_the_same_kinds():
    assert set(FILLS) == set(KINDS)
    css = (ROOT / "groot_teach" / "show" / "explore.css").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"--{kind}: {FILLS[kind].lower()};" in css


@pytest.mark.parametrize("name", PICTURES)
def test_the_stored_pictures_are_what_the_code_draws(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PICTURES[name]()._repr_svg_(), "run `make notebooks`"


def test_the_table_of_the_intro_is_what_the_presets_say():
    versions = (GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741)
    for leak in LEAKS:
        cells = []
        for masking in versions:
            position = getattr(masking, leak.switch)
            doors = {"dims": "**open for steps**", "absent": "no such layer"}
            cells.append(doors.get(position, "**open**" if leak.name in open_leaks(masking) else "closed"))
        row = f"| {leak.stage} | {leak.name} | {' | '.join(cells)} |"
        assert row in (ROOT / "index.md").read_text(encoding="utf-8")
