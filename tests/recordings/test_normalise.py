"""Normalising: answers from paper, and what becomes of padding. `tests/upstream` compares with the released code."""

import pytest
import torch
from jaxtyping import TypeCheckError

from groot_teach.padding import pad_dims
from groot_teach.recordings import denormalise, normalise, statistics_of, what_zero_becomes

ACTIONS = torch.tensor([[0.0, 5.0, 2.0], [4.0, 5.0, -2.0], [8.0, 5.0, 0.0]], dtype=torch.float64)
STATISTICS = statistics_of(ACTIONS)


def test_the_statistics_are_those_of_the_rows():
    assert STATISTICS["min"].tolist() == [0, 5, -2]
    assert STATISTICS["max"].tolist() == [8, 5, 2]
    assert STATISTICS["mean"].tolist() == [4, 5, 0]
    assert STATISTICS["std"].tolist() == pytest.approx([(32 / 3) ** 0.5, 0, (8 / 3) ** 0.5])
    assert STATISTICS["q01"].tolist() == pytest.approx([0.08, 5, -1.96])
    assert STATISTICS["q99"].tolist() == pytest.approx([7.92, 5, 1.96])


def test_quantiles_are_those_of_torch():
    rows = torch.randn(101, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for name, part in (("q01", 0.01), ("q99", 0.99)):
        torch.testing.assert_close(statistics_of(rows)[name], rows.quantile(part, dim=0))


@pytest.mark.parametrize(
    ("convention", "mode", "first", "still"),
    [
        ("N1.5", "min_max", [-1, 0, 1], 0),
        ("N1.7", "min_max", [-1, 0, 1], 0),
        ("N1.7", "quantiles", [-1, 0, 1], 0),
        ("LeRobot", "min_max", [-1, 0, 1], -1),
        ("LeRobot", "quantiles", [-1 - 0.16 / 7.84, 0, 1 + 0.16 / 7.84], -1),
        ("LeRobot", "mean_std", [-((3 / 2) ** 0.5), 0, (3 / 2) ** 0.5], 0),
    ],
)
def test_each_convention_scales_and_treats_a_still_dim_in_its_own_way(convention, mode, first, still):
    scaled = normalise(ACTIONS, STATISTICS, convention, mode)
    assert scaled[:, 0].tolist() == pytest.approx(first, abs=1e-6)
    assert scaled[:, 1].tolist() == [still] * 3
    if (convention, mode) != ("N1.7", "quantiles"):  # which clips
        torch.testing.assert_close(denormalise(scaled, STATISTICS, convention, mode), ACTIONS, rtol=1e-7, atol=1e-7)


def test_outside_the_range_only_n1_7_clips():
    beyond = ACTIONS[:1] + 100
    assert normalise(beyond, STATISTICS, "N1.7")[0].tolist() == [1, 0, 1]
    assert normalise(beyond, STATISTICS, "N1.5")[0, 0].item() == 24
    sampled = torch.tensor([[3.0, 3.0, -3.0]], dtype=torch.float64)
    assert denormalise(sampled, STATISTICS, "N1.7")[0].tolist() == [8, 5, -2]
    assert denormalise(sampled, STATISTICS, "N1.5")[0, 0].item() == 16


def test_a_zero_that_was_padded_before_normalising_is_no_zero_any_more():
    assert what_zero_becomes(STATISTICS, "N1.5").tolist() == [-1, 0, 0]
    counted = statistics_of(pad_dims(ACTIONS, 5))
    assert what_zero_becomes(counted, "LeRobot").tolist()[3:] == [-1, -1]
    assert what_zero_becomes(counted, "N1.5").tolist()[3:] == [0, 0]


def test_statistics_that_counted_padded_steps_are_others():
    padded = torch.cat([ACTIONS, torch.zeros(5, 3, dtype=torch.float64)])
    real = torch.arange(8) < 3
    torch.testing.assert_close(statistics_of(padded, real), STATISTICS)
    assert statistics_of(padded)["min"].tolist() == [0, 0, -2]
    assert statistics_of(padded)["mean"].tolist() == [1.5, 1.875, 0]


@pytest.mark.parametrize(
    ("statistics", "convention", "mode", "error", "message"),
    [
        (STATISTICS, "N1.5", "quantiles", ValueError, "mode: got 'quantiles', expected one that N1.5 has: min_max"),
        ({"min": ACTIONS[0]}, "N1.5", "min_max", ValueError, r"statistics: got \['min'\], expected min and max"),
        (STATISTICS | {"max": ACTIONS[0, :2]}, "N1.5", "min_max", ValueError, "got 2 numbers, expected 3"),
        ({"min": [0.0]}, "N1.5", "min_max", TypeCheckError, r"statistics\['min'\]: got \[0.0\]"),
        ({name: one.float() for name, one in STATISTICS.items()}, "N1.5", "min_max", ValueError, "got dtype"),
        (STATISTICS, "pi0", "min_max", TypeCheckError, "parameter 'convention'"),
    ],
)
def test_statistics_that_do_not_fit_are_named(statistics, convention, mode, error, message):
    with pytest.raises(error, match=message):
        normalise(ACTIONS, statistics, convention, mode)


def test_there_are_no_statistics_of_nothing_or_of_nan():
    with pytest.raises(ValueError, match="actions: got no real step"):
        statistics_of(ACTIONS, torch.zeros(3, dtype=torch.bool))
    spoilt = ACTIONS.clone()
    spoilt[2, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite in a real step"):
        statistics_of(spoilt)
    assert statistics_of(spoilt, torch.tensor([True, True, False]))["max"][0] == 4
