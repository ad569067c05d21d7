"""What the widget of chapter 8 shows: the stored records, picked, paired and nothing else."""

from pathlib import Path
from statistics import median

import pytest

from groot_teach.chapters.dropped.pictures import (
    DROPPED,
    ROBOT_NAMES,
    SEEDS,
    STEPS,
    drop_a_mask,
    stored_runs,
)
from groot_teach.masks import LEAKS
from groot_teach.show import explore
from groot_teach.training.ablation import AMOUNTS, CONDITIONS, PLAN, compare, error_when

ROOT = Path(__file__).resolve().parents[2]


def of(condition, amount, seed=None):
    return [
        run
        for run in stored_runs()
        if (run["condition"], run["amount"]) == (condition, amount) and seed in (None, run["seed"])
    ]


def test_every_leak_of_training_can_be_dropped_and_is_trained_with_every_seed():
    named = {leak for leak in DROPPED if leak.split(",")[0] in {leak.name for leak in LEAKS}}
    assert {leak.split(",")[0] for leak in named} == {leak.name for leak in LEAKS} - {"rollout leak"}
    assert set(DROPPED.values()) < set(CONDITIONS)
    for condition in DROPPED.values():
        for amount in AMOUNTS:
            assert len(of(condition, amount)) == PLAN.seeds


@pytest.mark.parametrize("padding", AMOUNTS)
@pytest.mark.parametrize("seed", [name for name, number in SEEDS.items() if number is not None])
def test_one_seed_is_shown_as_it_was_recorded(padding, seed):
    panels = drop_a_mask("context leak", "humanoid", padding, seed)
    strict, other = (of(name, padding, SEEDS[seed])[0] for name in ("strict", "cross_attention=open"))
    places = [strict["step"].index(step) for step in STEPS]
    for title, curve in (("what training reports, log10", "reported"), ("loss of recorded entries, log10", "real")):
        curves = panels[title].curves
        assert panels[title].x == list(STEPS)
        assert [10**value for value in curves["strict"]] == pytest.approx([strict[curve][p] for p in places], rel=0.02)
        assert [10**value for value in curves["dropped"]] == pytest.approx([other[curve][p] for p in places], rel=0.02)
    bars = dict(zip(panels["error of the actions"].labels, panels["error of the actions"].values, strict=True))
    ratio = other["errors"]["as trained"][2] / strict["errors"]["as trained"][2]
    assert panels["error, times the strict head's"].value == pytest.approx(ratio, abs=6e-3)
    for way, where in (("as trained", ""), ("in a crowd", ", in a crowd")):
        assert bars[f"strict{where}"] == pytest.approx(strict["errors"][way][2], abs=6e-4)
        assert bars[f"dropped{where}"] == pytest.approx(other["errors"][way][2], abs=6e-4)
    far = panels["distance of the hand from its goal"]
    assert far.x == [0, 8, 16, 24, 32]
    assert far.curves["dropped"] == pytest.approx(other["distance"][2][::2], abs=6e-4)


def test_without_a_seed_it_is_the_median_over_all_of_them():
    bars = drop_a_mask("target leak, all", "small arm", "little")["error of the actions"]
    expected = median(run["errors"]["in a crowd"][1] for run in of("loss=open", "little"))
    assert bars.values[bars.labels.index("dropped, in a crowd")] == pytest.approx(expected, abs=6e-4)


def test_the_ratios_are_paired_by_seed_and_do_not_depend_on_the_seed_that_is_shown():
    tables = [drop_a_mask("target leak, steps", "dual arm", "much", seed)["the same in all seeds"] for seed in SEEDS]
    assert all(table.rows == tables[0].rows for table in tables)
    crowd = {row[0]: row[2] for row in tables[0].rows}
    strict = {run["seed"]: run["errors"]["in a crowd"][0] for run in of("strict", "much")}
    ratios = [run["errors"]["in a crowd"][0] / strict[run["seed"]] for run in of("loss=dims", "much")]
    expected = {"least": min(ratios), "median": median(ratios), "most": max(ratios)}
    verdict = crowd.pop("verdict")
    assert verdict == ("hurts" if min(ratios) > 1 else "not seen")
    assert crowd == pytest.approx(expected, abs=5e-3)


def test_chapter_5_says_what_more_pads_do_to_heads_that_were_trained_without_the_mask():
    crowd, trained = error_when("in a crowd"), error_when("as trained")
    runs, name = stored_runs(), "cross_attention=open"
    found = [compare(runs, name, amount, crowd, base=name, base_measure=trained) for amount in AMOUNTS]
    least, most = min(c.low for c in found), max(c.high for c in found)
    chapter = (ROOT / "notebooks" / "05_attention_masking.ipynb").read_text(encoding="utf-8")
    assert f"their errors become {least:.1f} to {most:.1f} times as large" in chapter


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"leak": "rollout leak", "robot": "small arm"}, "leak: got 'rollout leak'"),
        ({"leak": "input leak", "robot": "GR1"}, "robot: got 'GR1'"),
        ({"leak": "input leak", "robot": "small arm", "padding": "lots"}, "padding: got 'lots'"),
        ({"leak": "input leak", "robot": "small arm", "seed": "8"}, "seed: got '8'"),
    ],
)
def test_what_was_not_trained_is_not_shown(state, message):
    with pytest.raises(ValueError, match=message):
        drop_a_mask(**state)


def test_all_states_fit_into_a_page():
    explorer = explore(
        drop_a_mask, leak=list(DROPPED), robot=list(ROBOT_NAMES), padding=list(AMOUNTS), seed=list(SEEDS)
    )
    assert explorer.state == {
        "leak": "input leak",
        "robot": "dual arm",
        "padding": "much",
        "seed": "median of all",
    }
