"""The figures of chapter 5: what they draw, and what they refuse."""

from math import log

import pytest
import torch
from drawn import boxes, ink_of, rows, texts

from groot_teach.chapters.attention.pictures import RIBBON, attention_maps, two_token_leaks, zero_keys
from groot_teach.show.drawing import Line

REAL = torch.tensor([True, True, False])


def test_a_cell_is_as_strong_as_its_weight_and_padding_that_is_read_is_a_leak():
    picture = attention_maps({"one": torch.tensor([[0.5, 0.25, 0.25]])}, REAL)
    assert rows(picture) == ["rrl"]
    strong, weak, _ = boxes(picture)
    assert strong.strength == pytest.approx(0.6)
    assert weak.strength == pytest.approx(0.35)
    assert {"0.50", "0.25", "query 1", "1", "2", "pad"} <= {*texts(picture)}


def test_padding_that_is_not_read_is_padding_and_nan_is_a_leak_that_is_written_out():
    picture = attention_maps({"one": torch.tensor([[1.0, 0.0, 0.0], [torch.nan] * 3])}, REAL)
    assert rows(picture) == ["rrp", "lll"]
    assert texts(picture).count("NaN") == 3


def test_what_a_padded_query_reads_does_not_matter():
    half = torch.full((3, 3), 1 / 3)
    half[2, 2] = torch.nan
    picture = attention_maps({"one": half}, REAL, query_is_real=torch.tensor([True, False, False]))
    assert rows(picture) == ["rrl", "ppp", "ppl"]  # a NaN spreads, wherever it is
    assert [text for text in texts(picture) if text.startswith(("query", "pad"))] == ["query 1", "pad", "pad", "pad"]


def test_rows_look_and_columns_are_looked_at():
    picture = attention_maps({"two queries": torch.eye(3)[:2]}, REAL)
    numbers = [text for text in texts(picture) if "." in text]
    assert numbers == ["1.00", "0.00", "0.00", "0.00", "1.00", "0.00"]  # the first query on top
    assert [text for text in texts(picture) if text.startswith("query")] == ["query 1", "query 2"]


def test_each_map_has_its_name_and_all_are_graded_alike():
    picture = attention_maps({"a": torch.eye(3), "b": torch.eye(3) / 2}, REAL)
    assert [text for text in texts(picture) if text in "ab"] == ["a", "b"]
    assert rows(picture)[0] == "rrp rrp"
    assert boxes(picture)[0].strength == pytest.approx(0.6)
    assert boxes(picture)[3].strength == pytest.approx(0.35)


def test_no_map_and_a_weight_that_is_none_are_refused():
    with pytest.raises(ValueError, match="weights: got no map"):
        attention_maps({}, REAL)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"weights of 'a': got {wrong:g}, expected 0 to 1"):
            attention_maps({"a": torch.tensor([[wrong, 0.0, 0.0]])}, REAL)


def test_a_zero_key_has_weight_e_to_0_and_its_share_of_the_attention_is_a_leak():
    scores = torch.tensor([0.0, log(2), log(5)], dtype=torch.float64)
    picture = zero_keys(scores, torch.tensor([False, True, True]), ["[pad]", "red", "cup"])
    bars, tokens = boxes(picture)[:3], boxes(picture)[3:]
    assert sorted((round(bar.height / 110, 6), bar.kind) for bar in bars) == [
        (0.2, "leak"),
        (0.4, "real"),
        (1.0, "real"),
    ]
    assert [token.kind for token in tokens] == ["leak", "real", "real"]  # it is read
    said = texts(picture)
    assert [text for text in said if text in ("1.00", "2.00", "5.00")] == ["1.00", "2.00", "5.00"]
    assert [text for text in said if text.endswith(" %")] == ["12 %", "25 %", "62 %"]
    assert ink_of(picture, "12 % of the attention is on padding") == "leak-ink"
    assert ink_of(picture, "12 %") == "leak-ink"


@pytest.mark.parametrize("score", [6.0, -torch.inf, torch.nan])
def test_a_score_that_cannot_be_drawn_is_refused(score):
    with pytest.raises(ValueError, match=r"scores: got .*, expected finite numbers, 5 at most"):
        zero_keys(torch.tensor([score]), torch.tensor([True]), ["one"])


def ribbons(picture):
    """The curves, without the paper below them: their ink, width, and where they begin and end."""
    return [
        (mark.ink, mark.width, mark.points[0], mark.points[-1])
        for mark in picture.marks
        if isinstance(mark, Line) and mark.curved and mark.ink != "paper"
    ]


def test_padding_reaches_the_action_through_words_or_directly():
    real = torch.tensor([False, True, True])
    closed = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]])
    mixed = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    words = ["[pad]", "red", "cup"]
    through = two_token_leaks(mixed, torch.tensor([0.0, 0.5, 0.5]), real, words)
    directly = two_token_leaks(closed, torch.tensor([0.25, 0.5, 0.25]), real, words)
    leaks = [ribbon for ribbon in ribbons(through) if ribbon[0] == "leak" and ribbon[3][1] == 170]
    (_, wide, (x0, y0), (_, y)), (_, narrow, (x1, _), _) = leaks
    assert (wide, narrow) == (RIBBON * 0.5, RIBBON * 0.25)
    assert x1 - x0 == (wide + narrow) / 2  # side by side, from the pad
    assert (y0, y) == (40, 170)  # to a word
    of_words = [(ink, width) for ink, width, _, (_, y) in ribbons(through) if y == 322]
    half, quarter = RIBBON * 0.5, RIBBON * 0.25
    assert of_words == [  # half of what "red" read was padding, and a quarter of what "cup" read
        ("real", half * 0.5),
        ("real", half * 0.75),
        ("leak", half * 0.5),
        ("leak", half * 0.25),
    ]
    (leak,) = (ribbon for ribbon in ribbons(directly) if ribbon[0] == "leak")
    assert leak[1] == quarter
    assert leak[3][1] == 322  # at the action
    assert ink_of(through, "mixing leak") == ink_of(through, "38 % is read") == "leak-ink"
    assert ink_of(through, "context leak") == ink_of(through, "0 % is read") == "ink"
    assert ink_of(directly, "context leak") == ink_of(directly, "25 % is read") == "leak-ink"
    assert rows(through) == ["lrr", "prr", "r"]  # a pad is orange where it is read
    assert rows(directly) == ["prr", "lrr", "r"]
    assert len(ribbons(through)) == 6 + 4  # what the pad itself reads does not matter


def test_weights_and_words_that_do_not_fit_are_refused():
    real = torch.tensor([True])
    with pytest.raises(ValueError, match="words: got 2, expected 1"):
        two_token_leaks(torch.ones(1, 1), torch.ones(1), real, ["a", "b"])
    with pytest.raises(ValueError, match=r"context: got \[2.0\], expected weights from 0 to 1"):
        two_token_leaks(torch.ones(1, 1), torch.full((1,), 2.0), real, ["a"])
