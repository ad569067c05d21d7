"""Arguments of panels and records that `benchmarks.fuzz_calls` found to end in an error that named nothing."""

import pytest
import torch

from groot_teach.chapters.loss.pictures import group_weights
from groot_teach.chapters.padding.pictures import robot_to_columns
from groot_teach.embodiments import SO101, Embodiment
from groot_teach.recordings import Episode, denormalise
from groot_teach.show import Bars, HeatMap, KindMap, Lines, Number, Table
from groot_teach.training.ablation import Comparison, Trial, error_when
from groot_teach.training.train import Recipe

LEGEND = {"a": ("real", "recorded")}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Number(0.5, should_be=torch.zeros(2, 3)), r"should_be: got numbers of the shape \(2, 3\)"),
        (lambda: Bars(slice(3), [1.0], ["real"], 2.0), "labels: got slice.*, expected a list"),
        (lambda: Bars("a", [1.0], ["real"], 2.0), "labels: got 'a', expected a list"),
        (lambda: Bars(["a"], [1.0], ["real"], "no"), "maximum: got 'no', expected a number"),
        (lambda: KindMap(len, LEGEND, "step", "dim"), "cells: got .*, expected a list"),
        (lambda: KindMap(["a", 1], LEGEND, "step", "dim"), "cells: got 1, expected text"),
        (lambda: KindMap(["a"], -1, "step", "dim"), "legend: got -1, expected a dict"),
        (lambda: KindMap(["a"], {"a": 1}, "step", "dim"), "legend: got 1, expected a list"),
        (lambda: KindMap(["a"], {"a": ("real",)}, "step", "dim"), "legend: got .*, expected a kind and its meaning"),
        (lambda: KindMap(["a"], {"a": (7, "recorded")}, "step", "dim"), "legend: got 7, expected one of real"),
        (lambda: HeatMap([[0.5]], "step", "dim", low={}), "low: got {}, expected a number"),
        (lambda: HeatMap([0.5], "step", "dim"), "values: got 0.5, expected a list"),
        (lambda: Lines([0, 1], [1.0, 2.0], "step", 0, 1), "curves: got .*, expected a dict"),
        (lambda: Lines([0, 1], {"a": [0.5, []]}, "step", 0, 1), r"curves\['a'\]: got \[\], expected a number"),
        (lambda: Lines([0, 1], {7: [0.5, 1.0]}, "step", 0, 1), "curves: got 7, expected text"),
        (lambda: Table(["a"], torch.tensor(3)), "rows: got 3, expected a list"),
        (lambda: Table(float("nan"), [["x"]]), "columns: got nan, expected a list"),
        (lambda: Table(["a", "b"], [["x", torch.zeros(2)]]), r"rows, column 'b': got numbers of the shape \(2,\)"),
        (lambda: Embodiment("arm", torch.tensor(3), 0), "groups of 'arm': got tensor.*, expected .* pairs"),
        (lambda: robot_to_columns([SO101], 10**9), "padded_dim: got 1000000000, expected 1 to 1000"),
        (lambda: group_weights({"sum": torch.zeros(0)}, {"arm": [0]}), r"weights\['sum'\]: got \[\]"),
        (lambda: denormalise(torch.zeros(2), {"min": torch.zeros(3), "max": torch.ones(3)}, "N1.5"), "of normalised"),
        (lambda: Trial("strict", [1], 0), "parameter 'amount' of Trial"),
        (lambda: Comparison((torch.zeros(0), 2.0)), "parameter 'ratios' of Comparison"),
        (lambda: error_when({}), "parameter 'deployment' of error_when"),
        (lambda: error_when("as trained", torch.zeros(2)), "parameter 'robot' of error_when"),
        (lambda: Recipe(steps=1, batch_size=1, learning_rate=[], seed=0), r"learning_rate: got \[\]"),
        (
            lambda: Episode(torch.zeros(2, 1), ("pour", 3), 0, (("arm", 1),)),
            r"parameter 'tasks' of Episode: tasks\[1\]",
        ),
    ],
)
def test_what_no_panel_and_no_record_can_hold_is_named(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()
