"""Figures: the same bytes each time, the right words and marks, and stored pictures and tables that cannot drift."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from draw_figures import FOLDER, PICTURES
from drawn import boxes, ink_of, rows, texts
from matplotlib.colors import to_hex

from groot_teach.chapters.padding.pictures import (
    action_batch,
    batch_entries,
    both_masks,
    episode_end,
    robot_to_columns,
    same_mask_in_many_types,
    token_rows,
)
from groot_teach.embodiments import DUAL_ARM, GR1, SO101
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, LEAKS, PR_741, PRESETS, STRICT, open_leaks
from groot_teach.padding import collate_chunks, join_tokens, pad_steps_with_copies, pad_tokens_left
from groot_teach.show.drawing import INKS, Line
from groot_teach.show.pictures import six_stages

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


@pytest.mark.parametrize("name", every_picture())
def test_a_picture_is_the_same_bytes_each_time_and_valid_xml(name):
    draw = every_picture()[name]
    picture = draw()
    first = picture._repr_svg_()
    assert first == picture._repr_svg_() == draw()._repr_svg_()
    ElementTree.fromstring(first)


def test_the_batch_map_shows_what_is_recorded_filled_in_and_padded():
    picture = action_batch(a_batch(), ["dual-arm", "SO-101"])
    cells = [row for row in rows(picture) if len(row) >= 19]
    dual_arm, so101 = ["r" * 16 + "p" * 3] * 7, ["r" * 6 + "p" * 13] * 3 + ["l" * 6 + "p" * 13] * 4
    assert [row.split()[0] for row in cells] == [*dual_arm, *so101]
    said = [*("recorded: 7 steps of 16 dims", "padding: 3 dims"), "recorded: 3 steps of 6 dims", "copied: 4 steps"]
    assert [text for text in texts(picture) if ":" in text] == [*said, "padding: 13 dims"]


def test_every_entry_shows_its_number_and_what_the_mask_makes_of_it():
    actions = torch.tensor([[[11.1, 0.0, 0.0], [12.1, 12.2, 0.0]], [[0.0, 0.0, 0.0], [22.1, 22.2, 22.3]]])
    recorded = torch.tensor([[[1, 0, 0], [1, 1, 0]], [[1, 0, 0], [1, 1, 1]]]) == 1
    counts = torch.tensor([[[1, 0, 1], [1, 1, 0]], [[0, 0, 0], [1, 1, 1]]]) == 1
    picture = batch_entries(actions, recorded, counts)
    assert rows(picture) == ["rpl hpp", "rrp rrr"]
    assert texts(picture)[:7] == ["robot 1", "11.1", "0", "0", "12.1", "12.2", "0"]


def test_token_rows_tell_a_real_token_from_an_absent_camera_and_from_padding():
    camera, words = torch.tensor([[11.1]]), torch.tensor([[12.1], [12.2]])
    vl = pad_tokens_left([join_tokens([camera, None], words), join_tokens([camera, camera], words[:1])], key_len=5)
    picture = token_rows(vl)
    assert rows(picture) == ["prhrr"] * 3 + ["pprrr"] * 3
    assert (
        "".join(word for word in texts(picture) if word in ("0", "1"))
        == "00" + "01011" + "01100" + "00" + "00111" + "00110"
    )
    with pytest.raises(ValueError, match="got tokens of width 2, expected 1"):
        token_rows(pad_tokens_left([join_tokens([camera.expand(1, 2)], torch.ones(2, 2))], key_len=3))


def test_a_picture_needs_a_name_for_each_robot():
    with pytest.raises(ValueError, match="names: got 1, expected 2, one for each"):
        action_batch(a_batch(), ["only one"])


def test_two_robots_of_the_same_name_are_both_drawn():
    assert texts(action_batch(a_batch(), ["twin", "twin"])).count("twin") == 2


def test_an_episode_end_draws_all_the_dims_it_is_asked_for_or_none():
    actions, nothing_padded = torch.zeros(3, 7), torch.zeros(3, dtype=torch.bool)
    with pytest.raises(ValueError, match="dims: got 5, expected 1 to 4"):
        episode_end(actions, nothing_padded, {f"joint {dim}": dim for dim in range(5)})


def test_an_episode_end_draws_recorded_steps_filled_and_copied_ones_hollow():
    chunk = pad_steps_with_copies(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64), 5)
    plot = episode_end(chunk.actions, chunk.action_is_pad, {"joint": 0})
    recorded, copied = (line for line in plot.figure.axes[0].lines if line.get_marker() == "o")
    assert ([*recorded.get_xdata()], [*recorded.get_ydata()]) == ([1, 2, 3], [0, 1, 3])
    assert ([*copied.get_xdata()], [*copied.get_ydata()]) == ([4, 5], [3, 3])
    assert [line.get_markerfacecolor() for line in (recorded, copied)] == [INKS["real"], INKS["paper"]]
    assert steps_of(plot) == ["real"] * 3 + ["padding"] * 2
    assert {"joint", "recorded", "copies of the last recorded step", "the episode has ended"} <= words_of(plot)


def test_an_episode_that_does_not_end_has_no_end():
    nothing_padded = torch.zeros(5, dtype=torch.bool)
    plot = episode_end(torch.arange(5.0)[:, None], nothing_padded, {"joint": 0})
    assert steps_of(plot) == ["real"] * 5
    assert not {"the episode has ended", "copies of the last recorded step"} & words_of(plot)


def steps_of(plot):
    """What the box of each step is, from the left."""
    kinds = {(INKS["real"], None): "real", (INKS["pad"], "//"): "padding"}
    boxes_of_steps = sorted(plot.figure.axes[1].patches, key=lambda box: box.get_x())
    return [kinds[to_hex(box.get_facecolor()), box.get_hatch()] for box in boxes_of_steps]


def words_of(plot):
    return {text.get_text() for axes in plot.figure.axes for text in axes.texts}


def test_the_six_stages_mark_what_leaks_and_only_that():
    for masking in PRESETS:
        picture = six_stages(masking)
        inks = [ink_of(picture, leak.name) for leak in LEAKS]
        assert inks == ["leak-ink" if leak.name in open_leaks(masking) else "real-ink" for leak in LEAKS]
        hollow = [
            mark.fill == "paper" for mark in picture.marks if isinstance(mark, Line) and mark.fill in ("paper", "real")
        ]
        assert sum(hollow) == len(open_leaks(masking))
        assert len(hollow) == len(LEAKS)
    assert "leak" not in six_stages(STRICT)._repr_svg_().replace(" leak<", "")


@pytest.mark.parametrize("name", PICTURES)
def test_the_stored_pictures_are_what_the_code_draws(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PICTURES[name](), "run `make notebooks`"


def test_the_table_of_the_intro_is_what_the_presets_say():
    versions = (GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741)
    for leak in LEAKS:
        cells = []
        for masking in versions:
            position = getattr(masking, leak.switch)
            doors = {"dims": "**open for steps**", "absent": "no such layer"}
            cells.append(doors.get(position, "**open**" if leak.name in open_leaks(masking) else "shut"))
        row = f"| {leak.name} | {' | '.join(cells)} |"
        assert row in (ROOT / "index.md").read_text(encoding="utf-8")


def test_each_joint_is_in_its_column_and_the_groups_are_named():
    picture = robot_to_columns([SO101, DUAL_ARM], 19)
    assert rows(picture) == ["r" * 6 + "p" * 13, "r" * 16 + "p" * 3]
    so101 = boxes(picture)[:19]
    assert len({box.strength for box in so101[:5]}) == 1
    assert so101[5].strength != so101[4].strength  # the gripper is not the arm
    said = texts(picture)
    assert said[: said.index("dual-arm")] == ["SO-101", "arm", "1", "2", "3", "4", "5", "gripper", "1", "padding"]
    claw = said[said.index("claw") : said.index("claw") + 3]
    assert claw == ["claw", "1", "2"]
    assert said[-4:] == ["8", "16", "19", "column"]


def test_a_robot_that_fills_the_tensor_has_no_padding_and_a_wider_one_is_refused():
    assert "padding" not in texts(robot_to_columns([DUAL_ARM], 16))
    with pytest.raises(ValueError, match="robots: got 'GR1' of 26 dims, expected 16 at most"):
        robot_to_columns([DUAL_ARM, GR1], 16)
    with pytest.raises(ValueError, match="robots: got none"):
        robot_to_columns([], 16)


def test_one_mask_in_many_types_has_the_same_cells_and_the_values_of_each():
    real = torch.tensor([[True, False, True], [False, False, True]])
    additive = torch.zeros(2, 3).masked_fill(~real, -torch.inf)
    masks = {"ours": real, "added": additive, "counted": real.long(), "large": additive.clamp(min=-1e9)}
    picture = same_mask_in_many_types(masks, real)
    assert rows(picture) == ["rpr rpr rpr rpr", "ppr ppr ppr ppr"]
    assert texts(picture)[:8] == ["ours", "True", "False", "True", "False", "False", "True", "bool"]
    assert texts(picture)[8:16] == ["added", "0.0", "-inf", "0.0", "-inf", "-inf", "0.0", "float32"]
    assert texts(picture)[16:24] == ["counted", "1", "0", "1", "0", "0", "1", "int64"]
    assert texts(picture)[24:27] == ["large", "0.0", "-1e9"]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"masks\['one'\]: got the shape \(2,\), expected \(1, 2\)"):
        same_mask_in_many_types({"one": torch.ones(2)}, torch.ones(1, 2, dtype=torch.bool))


def test_both_masks_show_each_token_and_each_entry():
    action_mask = torch.zeros(3, 5, dtype=torch.bool)
    action_mask[:2, :4] = True
    picture = both_masks(action_mask, torch.tensor([False, True, True]), future_tokens=2, width=7, token_width=11)
    assert rows(picture) == ["prr", "rrrrrp", "rrrrp", "rrrrp", "ppppp"]
    assert [text for text in texts(picture) if "(B" in text] == [
        "tokens (B, 3, 11): 2 are real, 1 are padding",
        "DiT (B, 6, 7): 1 state, 2 future tokens, 3 steps",
        "chunk (B, 3, 5)",
    ]
