"""The ablation: paired trials, and verdicts with intervals."""

import dataclasses

import pytest
import torch
from ablation_cases import TINY

from groot_teach.masks import LEAKS, open_leaks
from groot_teach.training.ablation import (
    AMOUNTS,
    CONDITIONS,
    PLAN,
    SUPERVISED,
    Comparison,
    Trial,
    ablate,
    compare,
    distance_left,
    dropped,
    error_when,
)


def head(condition):
    return TINY.head(Trial(condition, "much", 0))


# -------------------------------------------------------------------------------------------------------- the trials


def test_one_switch_is_dropped_at_a_time_and_opens_its_own_leak():
    found = {condition: open_leaks(masking) for condition, masking in dropped().items()}
    assert found == {f"{leak.switch}={position}": (leak.name,) for leak in LEAKS for position in leak.leaks}
    assert len(found) == 8
    assert {leak for leaks in found.values() for leak in leaks} == {leak.name for leak in LEAKS}
    assert set(found) - set(CONDITIONS) == {"sampler=free"}  # which training does not use: see DEPLOYMENTS


def test_supervised_padding_is_in_input_loss_and_sampler_and_its_tokens_are_masked():
    assert open_leaks(SUPERVISED) == ("input leak", "step leak", "target leak", "denominator leak", "rollout leak")
    assert SUPERVISED.cross_attention == SUPERVISED.vl_self_attention == "closed"


def test_a_plan_runs_every_condition_with_every_seed():
    assert len(TINY.trials) == len(set(TINY.trials)) == 2 * 2
    assert len(PLAN.trials) == len(CONDITIONS) * len(AMOUNTS) * PLAN.seeds
    assert PLAN.seeds >= 5


def test_trials_of_one_seed_begin_alike_and_see_the_same_batches():
    strict, other = (dict(head(condition).state_dict()) for condition in ("strict", "N1.5"))
    torch.testing.assert_close(strict, other, rtol=0, atol=0)
    another = TINY.head(Trial("strict", "much", 1)).state_dict()
    assert not torch.equal(strict["dit.out.weight"], another["dit.out.weight"])
    assert TINY.recipe(1) == TINY.recipe(1) != TINY.recipe(0)
    same = [ablate(dataclasses.replace(TINY, conditions=("strict",), seeds=1))[0] for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (("strickt", "much", 0), "condition: got 'strickt', expected one of strict, encoder_input=open"),
        (("strict", "lots", 0), "amount: got 'lots', expected one of little, much"),
    ],
)
def test_a_trial_of_something_unknown_is_refused(trial, message):
    with pytest.raises(ValueError, match=message):
        Trial(*trial)


# ------------------------------------------------------------------------------------------------------ the verdicts


def runs(strict, other):
    return [
        {"condition": name, "amount": "much", "seed": seed, "x": value}
        for name, values in (("strict", strict), ("loss=open", other))
        for seed, value in values.items()
    ]


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({0: 2.2, 1: 4.4, 2: 9.0}, "hurts"),
        ({0: 1.8, 1: 3.6, 2: 7.0}, "helps"),
        ({0: 1.8, 1: 4.4, 2: 9.0}, "not seen"),
        ({0: 2.0, 1: 4.4, 2: 9.0}, "not seen"),
        ({0: 2.0, 1: 4.0, 2: 8.0}, "the same"),
    ],
)
def test_a_verdict_needs_all_seeds_on_one_side(other, verdict):
    found = compare(runs({2: 8.0, 0: 2.0, 1: 4.0}, other), "loss=open", "much", lambda run: run["x"])
    assert found.verdict == verdict


def test_seeds_are_paired_by_their_number_not_by_their_place():
    found = compare(runs({0: 2.0, 1: 4.0}, {1: 6.0, 0: 2.5}), "loss=open", "much", lambda run: run["x"])
    assert found == Comparison((1.25, 1.5))
    assert (found.low, found.median, found.high) == (1.25, 1.375, 1.5)


def test_the_range_of_n_ratios_misses_their_median_once_in_two_to_the_n_less_one():
    """Counted over all ways in which 4 seeds can fall above or below the median."""
    ways = [[(way >> seed) & 1 for seed in range(4)] for way in range(2**4)]
    missed = sum(len(set(way)) == 1 for way in ways) / len(ways)
    assert missed == 2 ** (1 - 4)


@pytest.mark.parametrize(("strict", "other"), [({0: 1.0}, {1: 1.0}), ({}, {0: 1.0}), ({0: 1.0}, {})])
def test_seeds_that_do_not_pair_up_are_refused(strict, other):
    with pytest.raises(ValueError, match=r"runs, much padding: got seeds .* expected the same ones, at least one"):
        compare(runs(strict, other), "loss=open", "much", lambda run: run["x"])


def test_measures_take_one_robot_or_the_mean_over_all():
    run = {"errors": {"alone": [1.0, 2.0, 6.0]}, "distance": [[9.0, 1.0], [9.0, 2.0], [9.0, 0.0]]}
    assert error_when("alone")(run) == 3
    assert error_when("alone", robot=2)(run) == 6
    assert distance_left(run) == 1
