"""`normalise` is what the released processors do: the packing steps of N1.5 and N1.7, and LeRobot's own normalizer."""

import pytest
import torch

from evidence.released.pack_step import normalize, pack, pack_n1_7, unpack, unpack_n1_7
from groot_teach.recordings import denormalise, normalise, statistics_of
from groot_teach.recordings.normalise import ENDS

STILL = 2
"""A dim that never moves."""


def recorded():
    actions = torch.randn(7, 16, 5, generator=torch.Generator().manual_seed(0))
    actions[..., STILL] = 3.0
    return actions


ACTIONS = recorded()
STATISTICS = statistics_of(ACTIONS[:4])
"""Of other episodes, so that some numbers lie outside of the range."""
SHORT = {name: one[:3] for name, one in STATISTICS.items()}
N1_7 = {"action_horizon": 16, "valid_action_horizon": 16, "max_action_dim": 9}


def plain(statistics):
    return {name: one.tolist() for name, one in statistics.items()}


def by_group(statistics):
    """N1.7's own form: statistics of each group of dims, which may be quantiles."""
    config = {"modality_keys": ["arm"], "action_configs": [{"rep": "absolute"}]}
    return {"modality_config": {"action": config}, "raw_stats": {"action": {"arm": plain(statistics)}}}


def test_n1_5s_packing_step_gives_the_same_numbers_and_padded_dims_hold_0():
    """v0.4.4 processor_groot.py 259-272, 321-352."""
    packed = pack(ACTIONS, ["x"] * 7, plain(STATISTICS))
    ours = normalise(ACTIONS, STATISTICS, "N1.5")
    assert torch.equal(packed.action[..., :5], ours)
    assert packed.action[..., 5:].eq(0).all()
    assert ours[..., STILL].eq(0).all()
    assert ours.abs().max() > 1


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("min_max", {"stats": {"action": plain(STATISTICS)}}),
        ("min_max", by_group(STATISTICS)),
        ("quantiles", by_group(STATISTICS) | {"use_percentiles": True}),
    ],
)
def test_n1_7s_packing_step_gives_the_same_numbers_and_clips_them(mode, options):
    """0.6.1 processor_groot.py 1705-1769, 1811-1825."""
    packed = pack_n1_7(ACTIONS, **N1_7, **options)
    ours = normalise(ACTIONS, STATISTICS, "N1.7", mode)
    assert torch.equal(packed.action[..., :5], ours)
    assert packed.action[..., 5:].eq(0).all()
    assert ours[..., STILL].eq(0).all()
    assert (ours.abs() == 1).sum() > 10


@pytest.mark.parametrize("mode", ["min_max", "mean_std", "quantiles"])
def test_lerobots_normalizer_gives_the_same_numbers_there_and_back(mode):
    """0.6.1 normalize_processor.py 302-425; a dim that never moves becomes -1, or 0 by mean and deviation."""
    ours = normalise(ACTIONS, STATISTICS, "LeRobot", mode)
    assert torch.equal(normalize(ACTIONS, mode.upper(), STATISTICS), ours)
    assert ours[..., STILL].eq(0 if mode == "mean_std" else -1).all()
    back = denormalise(ours, STATISTICS, "LeRobot", mode)
    torch.testing.assert_close(normalize(ours, mode.upper(), STATISTICS, inverse=True), back, rtol=0, atol=1e-6)
    torch.testing.assert_close(back, ACTIONS, rtol=0, atol=1e-5)


def test_sampled_actions_come_back_as_n1_5_and_n1_7_bring_them_back():
    """v0.4.4 processor_groot.py 593-615; 0.6.1, 2241-2242, which clips what was sampled outside of -1 to 1."""
    sampled = 1.5 * torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    ours = denormalise(sampled, STATISTICS, "N1.5")
    torch.testing.assert_close(unpack(sampled, plain(STATISTICS)), ours, rtol=0, atol=1e-6)
    assert (ours > STATISTICS["max"]).any()
    for mode in ("min_max", "quantiles"):
        low, high = (STATISTICS[name] for name in ENDS[mode])
        ours = denormalise(sampled, STATISTICS, "N1.7", mode)
        torch.testing.assert_close(unpack_n1_7(sampled, low, high), ours, rtol=0, atol=1e-6)
        assert (ours <= high + 1e-6).all()


def test_statistics_that_are_too_short_are_filled_broadcast_or_an_error_upstream_and_refused_here():
    filled = 2 * ACTIONS[..., 3:] - 1  # as if they went from 0 to 1
    torch.testing.assert_close(pack(ACTIONS, ["x"] * 7, plain(SHORT)).action[..., 3:5], filled)
    packed = pack_n1_7(ACTIONS, **N1_7, stats={"action": plain(SHORT)})
    torch.testing.assert_close(packed.action[..., 3:5], filled.clamp(-1, 1))
    with pytest.raises(RuntimeError, match="must match the size"):
        normalize(ACTIONS, "MIN_MAX", SHORT)
    one = {name: values[:1] for name, values in STATISTICS.items()}
    assert normalize(ACTIONS, "MIN_MAX", one).shape == ACTIONS.shape  # one range for all dims, without a word
    for convention, mode in (("N1.5", "min_max"), ("N1.7", "quantiles"), ("LeRobot", "mean_std")):
        for short, count in ((SHORT, 3), (one, 1)):
            with pytest.raises(ValueError, match=f"got {count} numbers, expected 5"):
                normalise(ACTIONS, short, convention, mode)
