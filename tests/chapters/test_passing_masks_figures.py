"""The figures of chapter 6: what is read is blue, and orange where it is a pad or a word that has moved."""

import pytest
import torch
from drawn import ink_of, rows, texts

from groot_teach.chapters.passing_masks.pictures import both_sides, nothing_to_read, taking_turns

VALUES = torch.tensor([10.0, 20.0, 60.0])
LEFT, RIGHT = torch.tensor([False, True, True]), torch.tensor([True, True, False])
SIDES = {"left": LEFT, "right": RIGHT}


def test_a_hidden_key_is_hollow_where_it_is_not_read_and_orange_where_it_is():
    half, nan = torch.tensor([0.5, 0.0, 0.5]), torch.full((3,), torch.nan)
    picture = nothing_to_read({"none": torch.zeros(3), "half": half, "nan": nan}, VALUES, ["nothing", "a mean", "loud"])
    assert rows(picture) == ["hhh", "lhl", "lll"]
    assert texts(picture).count("NaN") == 4  # three weights and what is read
    assert {"key 3", "60", "35.00"} <= {*texts(picture)}
    assert texts(picture)[-5:] == ["NaN", "NaN", "NaN", "NaN", "loud"]  # the name of an answer follows it
    answers = {"0", "35.00", "NaN", "nothing", "a mean", "loud"}
    written = {mark.ink for mark in picture.marks if getattr(mark, "text", "") in answers and mark.anchor == "start"}
    assert written == {"ink"}  # there is no right answer, so none is wrong


@pytest.mark.parametrize(
    ("ways", "complaint"),
    [
        ({}, "ways: got none, expected at least one"),
        ({"bool": torch.zeros(3)}, "said: got 0 names, expected 1, one for the answer of each way"),
    ],
)
def test_no_way_and_answers_without_a_name_are_refused(ways, complaint):
    with pytest.raises(ValueError, match=complaint):
        nothing_to_read(ways, VALUES, [])


def test_a_word_whose_position_depends_on_the_side_is_orange_and_padding_is_not():
    every, real = torch.tensor([5, 6, 7]), [torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])]
    picture = both_sides(["red", "cup"], SIDES, {"real": real})
    assert rows(picture) == ["prr", "rrp"]
    said = "pad red cup left real 0 0 1 red cup pad right real 0 1 1"
    assert texts(picture) == said.split()
    assert "leak-ink" not in {mark.ink for mark in picture.marks if hasattr(mark, "text")}
    moved = both_sides(["red", "cup"], {"left": LEFT}, {"every": [every]})
    assert [ink_of(moved, number) for number in "567"] == ["pad-ink", "leak-ink", "leak-ink"]


@pytest.mark.parametrize(
    ("words", "positions", "complaint"),
    [
        (["red"], {}, r"sides: got \{'left': 2, 'right': 2\}, expected 1 real places"),
        (["red", "cup"], {"every": [torch.arange(3)]}, "positions of 'every': got 1, expected 2, one for each side"),
    ],
)
def test_sides_and_positions_that_do_not_fit_are_refused(words, positions, complaint):
    with pytest.raises(ValueError, match=complaint):
        both_sides(words, SIDES, positions)


def test_a_block_reads_what_is_its_own_and_a_pad_that_it_reads_is_orange():
    real = torch.tensor([False, True, True])
    reads = {"text": torch.tensor([False, False, True]), "images": torch.tensor([True, True, False])}
    picture = taking_turns(["text", "self", "images"], ["pad", "camera", "cup"], real, reads)
    assert rows(picture) == ["phr", "lrh"]
    said = "block 0 text pad camera cup 1 self, reads none of these tokens 2 images pad camera cup"
    assert " ".join(texts(picture)) == said


@pytest.mark.parametrize(
    ("blocks", "words", "complaint"),
    [
        ([], ["pad"], "blocks: got none, expected at least one"),
        (["text"], [], "words: got 0, expected 1, one for each token"),
    ],
)
def test_blocks_and_words_that_do_not_fit_are_refused(blocks, words, complaint):
    with pytest.raises(ValueError, match=complaint):
        taking_turns(blocks, words, torch.tensor([True]), {})
