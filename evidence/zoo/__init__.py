"""The auditor's own trial: one small flow policy that is right, and many that are wrong in one place.

    policy        the right one, its batches, and its audit; each part that a mask goes through is a method of its own
    mutants       `MUTANTS` replace one of these parts each: what is wrong, and where an audit must find it
    right_heads   `RIGHT_HEADS` are right by other designs: no alarm may ring
    rivals        what else one could do to find a wrong mask
    trial         `store` asks the auditor and its rivals about all of them

In every mask True = real. A float mask is added to the scores, as PyTorch does it.
"""

from evidence.zoo.mutants import MUTANTS, Mutant
from evidence.zoo.policy import BATCHES, Batch, Policy, audit
from evidence.zoo.right_heads import RIGHT_HEADS, RightHead
from evidence.zoo.trial import store

__all__ = ["BATCHES", "MUTANTS", "RIGHT_HEADS", "Batch", "Mutant", "Policy", "RightHead", "audit", "store"]
