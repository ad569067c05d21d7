"""A plan that is run in a second, for the tests of the ablation, the exam and the experiments."""

from groot_teach.ablation import Plan

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
