"""What no figure can show is refused: a NaN would be drawn as if it were not there, a negative dim as the last one."""

import pytest
import torch

from groot_teach.chapters.dropped.pictures import curves_beside, hand_paths, seed_ratios
from groot_teach.chapters.loss.pictures import denominators, group_weights
from groot_teach.chapters.padding.pictures import both_masks, episode_end
from groot_teach.chapters.velocity.pictures import (
    fillings_compared,
    how_often,
    moved_by_inputs,
    noise_over_time,
    noise_to_action,
)
from groot_teach.show.pictures import over_flow_time
from groot_teach.training.ablation import Comparison, Plan, error_when

NAN = float("nan")
ONES = torch.ones(2, 3)
HOLED = torch.tensor([[1.0, 1.0, NAN], [1.0, 1.0, 1.0]])
YES = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: seed_ratios({"strict": [2.0, NAN, 3.0]}, "x"), r"ratios\['strict'\]: got nan, expected finite"),
        (lambda: Comparison((2.0, NAN, 3.0)), "ratios: got nan, expected finite"),
        (lambda: curves_beside([1, 2, 3], {"a": (ONES, HOLED)}, ("x", "y"), "y"), "panels.*: got nan"),
        (lambda: curves_beside([1, 2, 3], {"a": (ONES, 0 * ONES)}, ("x", "y"), "y"), "panels.*: got 0, .* log scale"),
        (lambda: hand_paths({"r": {"a": HOLED[:, 1:]}}, {"r": torch.ones(2)}, ["a"]), "paths.*: got nan"),
        (lambda: hand_paths({"r": {"a": ONES[:, 1:]}}, {"r": HOLED[0, 1:]}, ["a"]), "goals.*: got nan"),
        (lambda: over_flow_time([0.0, 1.0], {"a": [1.0, NAN]}), "spreads.*: got nan"),
        (lambda: episode_end(ONES, YES[:2], {"last": -1}), "dims: got -1, expected 0 to 2"),
        (lambda: episode_end(HOLED, YES[:2], {"last": 2}), "actions: got nan"),
        (lambda: both_masks(ONES.bool(), YES, future_tokens=-1), "future_tokens: got -1"),
        (lambda: group_weights({"sum": ONES[0]}, {"claw": [-1]}), "groups.*: got -1, expected 0 to 2"),
        (lambda: denominators(float("inf"), {"valid": 1, "all": 2}, "valid"), "error_sum and divisors: got inf"),
        (lambda: noise_over_time([0.0, 1.0], HOLED, YES), "noisy_actions: got nan"),
        (lambda: noise_to_action([0.0, 1.0], [1.0, NAN], [1.0, 0.0]), "real: got nan"),
        (lambda: noise_to_action([1.0, 0.0], [1.0, 1.0], [1.0, 0.0]), "t: got .* expected flow times that grow"),
        (lambda: moved_by_inputs({"fit": HOLED[0]}, {"x": 1, "y": 2}, "y"), "moves.*: got nan"),
        (lambda: moved_by_inputs({"fit": -ONES[0]}, {"x": 1, "y": 2}, "y"), "moves.*: got .* expected 3 sizes"),
        (lambda: moved_by_inputs({"fit": ONES[0]}, {"x": 4, "y": -1}, "y"), "groups: got .* expected 1 or more"),
        (lambda: moved_by_inputs({}, {"x": 1}, "x"), "moves: got no fit"),
        (lambda: how_often(torch.zeros(0), [0.0, 1.0], "x"), "values: got none"),
        (lambda: fillings_compared({}, [3]), "measures: got none"),
        (lambda: fillings_compared({"m": {"a": [NAN], **{name: [1.0] for name in "bcd"}}}, [3]), "measures.*: got nan"),
        (lambda: error_when("in a dream"), "deployment: got 'in a dream', expected one of"),
        (lambda: error_when("as trained", -1), "robot: got -1, expected 0 to 2"),
        (lambda: Plan(chunks=0), "chunks: got 0"),
        (lambda: Plan(seeds=True), "seeds: got True"),
        (lambda: Plan(conditions=()), "conditions: got none"),
        (lambda: Plan(learning_rate=NAN), "learning_rate: got nan"),
    ],
)
def test_what_no_figure_can_show_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
