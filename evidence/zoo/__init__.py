"""The auditor's own trial: one small flow policy that is right, and many that are wrong in one place.

    policy        the right one, its batches, and its audit; each part that a mask goes through is a method of its own
    mutants       `MUTANTS` replace one of these parts each: what is wrong, and where an audit must find it
    right_heads   `RIGHT_HEADS` are right by other designs: no alarm may ring
    designs       `DESIGNS` pad, answer, read or count in other ways; most come in pairs of a right one and a wrong one
    rivals        what else one could do to find a wrong mask
    trial         `store` asks the auditor and its rivals about all of them
    picture       bars of what each of them found and accused

In every mask True = real. A float mask is added to the scores, as PyTorch does it.
"""

from evidence.zoo.designs import DESIGNS, Design
from evidence.zoo.mutants import MUTANTS, Mutant
from evidence.zoo.policy import BATCHES, Batch, Policy, audit
from evidence.zoo.right_heads import RIGHT_HEADS, RightHead
from evidence.zoo.trial import store

__all__ = [
    "BATCHES",
    "DESIGNS",
    "MUTANTS",
    "RIGHT_HEADS",
    "Batch",
    "Design",
    "Mutant",
    "Policy",
    "RightHead",
    "audit",
    "store",
]
