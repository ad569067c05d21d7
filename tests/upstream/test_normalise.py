"""`normalise` is what the released processors do: N1.5's packing step, and LeRobot's own normalizer."""

import pytest
import torch

from evidence.released.pack_step import pack
from groot_teach.recordings import normalise, statistics_of


def recorded():
    actions = torch.randn(7, 16, 5, generator=torch.Generator().manual_seed(0))
    actions[..., 2] = 3.0  # a dim that never moves
    return actions


def test_n1_5s_packing_step_gives_the_same_numbers_and_padded_dims_hold_0():
    """v0.4.4 processor_groot.py 259-272, 321-352."""
    actions = recorded()
    statistics = statistics_of(actions[:4])  # of other episodes, so that some numbers lie outside
    packed = pack(actions, ["x"] * 7, {name: one.tolist() for name, one in statistics.items()})
    ours = normalise(actions, statistics, "N1.5")
    torch.testing.assert_close(packed.action[..., :5], ours, rtol=0, atol=0)
    assert packed.action[..., 5:].eq(0).all()
    assert packed.action[..., 2].eq(0).all()
    assert ours.abs().max() > 1


def test_n1_5_fills_statistics_that_are_too_short_and_we_refuse_them():
    actions = recorded()
    short = {name: one[:3] for name, one in statistics_of(actions).items()}
    packed = pack(actions, ["x"] * 7, {name: one.tolist() for name, one in short.items()})
    torch.testing.assert_close(packed.action[..., 3:5], 2 * actions[..., 3:] - 1)  # as if they went from 0 to 1
    with pytest.raises(ValueError, match="got 3 numbers, expected 5"):
        normalise(actions, short, "N1.5")
