"""A plan that is run in a second, for the tests of the ablation, the evaluation and the runs."""

from itertools import islice

import pytest

from groot_teach.training.ablation import Plan
from groot_teach.training.train import fit

TINY = Plan(
    conditions=("strict", "cross_attention=open"),
    amounts=("little",),
    seeds=2,
    steps=6,
    batch_size=6,
    every=2,
    width=8,
    tried=24,
    chunks=2,
)

BEGINS_ALIKE, ENDS_ALIKE = 3e-3, 0.35
"""How far a training that was made again may be off, as a part of each number: over its first hundred steps, and at its
end. On a processor of the same kind it is not off at all, whatever the number of threads. One of another kind rounds in
another way; that was seen to grow to 0.0006 after a hundred steps and to a tenth after six hundred."""


def assert_it_begins_the_same(head, task, recipe, evaluation, plan, theirs):
    """The first point of both curves. Another masking, seed, batch or recipe is off from there on."""
    begun = fit(
        head, task, recipe, watch=evaluation.losses, every=plan.every, progress=lambda steps: islice(steps, plan.every)
    )
    assert [*begun.watched] == theirs["step"][:1] == [plan.every]
    first_point = theirs["reported"][0], theirs["real"][0]
    assert begun.watched[plan.every] == pytest.approx(first_point, rel=BEGINS_ALIKE)


def assert_the_same_training(mine, theirs):
    """Beginning and end of both curves. Another masking, seed or batch is off from the first point."""
    assert mine["step"] == theirs["step"]
    for curve in ("reported", "real"):
        assert mine[curve][:2] == pytest.approx(theirs[curve][:2], rel=BEGINS_ALIKE)
        assert mine[curve][-1] == pytest.approx(theirs[curve][-1], rel=2 * ENDS_ALIKE)
