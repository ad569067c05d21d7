"""What the probes say of policies of a few lines, one look after the other."""

import torch
from audit_cases import lengths

from groot_teach.audit import Answer, Padding
from groot_teach.audit.policy import Policy
from groot_teach.audit.probes import Probes

DIMS, STEPS, WORDS = lengths(4, 4, 2), lengths(3, 3, 2), lengths(2, 2, 1)
REAL = DIMS[:, None] & STEPS[..., None]
"""Two robots of 4 and 2 dims, with 3 and 2 recorded steps and with 2 and 1 words: 12 + 4 of 24 entries are real.

Of the padded ones 3 x 2 - 2 = 4 are padded dims alone, 1 x 2 padded steps alone, 1 x 2 both.
"""
MASKS = {"dim_mask": DIMS, "step_mask": STEPS, "word_mask": WORDS}


def batch():
    x = torch.arange(1.0, 25, dtype=torch.float64).reshape(2, 3, 4) * DIMS[:, None]
    return {"x": x, "words": torch.tensor([[1.0, 3], [2, 5]], dtype=torch.float64), **MASKS}


def padding():
    return [
        Padding("dims", DIMS, {"x": 2}, {"dim_mask": 1}),
        Padding("steps", STEPS, {"x": 1}, {"step_mask": 1}),
        Padding("tokens", WORDS, {"words": 1}, {"word_mask": 1}),
    ]


def real_of(b):
    return b["dim_mask"][:, None] & b["step_mask"][..., None]


def predicted(b):
    return 2 * b["x"] * real_of(b) + (b["words"] * b["word_mask"]).sum(1)[:, None, None]


def mean_of(said, b, real=None):
    """The squared error of what is real; everything should be 7."""
    real = real_of(b) if real is None else real
    return ((said - 7).square() * real).sum() / real.sum()


def shut(b):
    return Answer(predicted(b), lambda said: mean_of(said, b))


def looks(run=shut, given=None, unit_loss=1.0, **more):
    policy = Policy(run, given or batch(), more.pop("padding", padding()), **more)
    found = [look for step in Probes(policy, unit_loss).steps() for look in step()]
    return [
        (look.stage, look.axis, look.probe, look.kind, None if look.size is None else round(look.size, 9), said(look))
        for look in found
    ]


def said(look):
    return f"{look.why}; {look.where}" if look.where else look.why


def at(stage, axis=None, probe=None, kind=None, **more):
    """The sizes and reasons of some looks."""
    wanted = {0: stage, 1: axis, 2: probe, 3: kind}
    return [look[4:] for look in more.pop("found") if all(one is None or look[at] == one for at, one in wanted.items())]


def own_loss(size):
    return (
        size,
        f"a sample's own loss for the same prediction, once its padding is cut off, moves by {100 * size:.3g} %",
    )
