"""What to look at next, for what an audit finds: a sentence for each stage, axis and kind of finding.

The audit sees what a policy does, and not the line that makes it do so. So these sentences name the places where such a
finding most often comes from.
"""

from collections.abc import Sequence

from groot_teach.audit.names import (
    LOSS_COUNT,
    LOSS_SUM,
    NEIGHBOURS,
    OTHER_SAMPLES,
    PARITY,
    PREDICTION,
    SAMPLED,
    SAMPLER,
    Kind,
)

FORGOTTEN_TARGETS = (
    "if these {axis} are given to be read and are not learnt, such as a prompt whose labels are -100, or the first "
    "place of a packed document, your declaration lacks it: say by `Padding(..., targets=...)` which are learnt"
)
FORGOTTEN_BEGINNINGS = (
    "if the first of a document's {axis} is not learnt, since the document in front would have to predict it, your "
    "declaration lacks it: say by `Padding(..., targets=...)` which are learnt"
)
FORGOTTEN_DOCUMENTS = (
    "if these rows pack several documents that must not read each other, your declaration lacks it: say by "
    "`Padding(..., documents=...)` to which document each place belongs"
)
MAY_BE_CAUSAL = (
    "if the {axis} follow in time as the {main} do, and each of the {main} may read none of its future, declare that: "
    "`intended={{'{stage}, {axis}, lost': 'causal'}}`"
)
"""What to look at first, where a policy is right if its user has forgotten to declare something."""

ANY = ""

NEXT: Sequence[tuple[str, str, Kind, str]] = [
    (
        ANY,
        NEIGHBOURS,
        "leak",
        "let a place read its own document alone: compare the documents of query and key in the attention mask, and "
        "count positions anew in each document",
    ),
    (
        ANY,
        OTHER_SAMPLES,
        "leak",
        "look for what mixes the samples of a batch: batch normalisation in train mode, a mean over the batch, a "
        "length that the longest sample sets",
    ),
    (
        PREDICTION,
        "dims",
        "leak",
        "set the padded dims of what the network is given to 0, after the noise is mixed in; or declare it as "
        "intended, if the weights were trained so",
    ),
    (
        PREDICTION,
        "steps",
        "leak",
        "look at each layer in which steps read each other: its attention mask has to hide padded steps as keys",
    ),
    (
        PREDICTION,
        ANY,
        "leak",
        "follow the mask from the batch to each layer in which places read each other: it has to arrive there, and "
        "True has to mean what that layer takes it to mean; a `Tap` tells which layer it is",
    ),
    (
        PREDICTION,
        ANY,
        "lost",
        "print the mask where the network applies it, beside what you declared as real: it may be upside down, cut at "
        "the wrong end, or that of another axis",
    ),
    (
        LOSS_SUM,
        ANY,
        "leak",
        "leave padded entries out before errors are squared and summed, as in `error[mask]`, or give them the "
        "`ignore_index` of a cross entropy; and check that the mask has the shape of the error",
    ),
    (
        LOSS_SUM,
        ANY,
        "lost",
        "print the mask of the loss beside what you declared as real: it may be upside down, all 0, cut at the wrong "
        "end, or that of another axis",
    ),
    (
        LOSS_COUNT,
        ANY,
        "leak",
        "divide by the number of entries that were summed, `mask.expand_as(error).sum()`: a divisor that counts padded "
        "entries, or steps where entries are summed, gives another loss",
    ),
    (
        SAMPLER,
        ANY,
        "leak",
        "look at what the sampler masks: the noise that it begins with, and the masks that it hands the network in "
        "each of its steps",
    ),
    (
        SAMPLER,
        ANY,
        "lost",
        "look for what the sampler does not pass on to the network, and for a mask that it builds from the "
        "configuration and not from the batch",
    ),
    (
        SAMPLED,
        ANY,
        "leak",
        "set padded dims to 0 after the sampler's last step, and cut them off before they reach a robot",
    ),
    (
        PARITY,
        ANY,
        "mismatch",
        "build masks and inputs of the network in one function that training and the sampler both call",
    ),
    (
        ANY,
        ANY,
        "not finite",
        "look for an attention row that may read nothing, a mean over an empty mask, and a NaN that is multiplied by 0 "
        "where `torch.where` would leave it out",
    ),
    (
        ANY,
        ANY,
        "leak",
        "look at the layers of this stage: one of them reads padding; a further `Tap` narrows it down",
    ),
    (
        ANY,
        ANY,
        "lost",
        "look at the masks of this stage: one of them hides what is real",
    ),
]
"""Stage, axis, kind, and what to look at. The first row that fits is taken; `ANY` fits everything."""


def what_next(stage: str, axis: str, kind: Kind) -> str:
    """What to look at next, if this was found; an empty text if there is no advice."""
    for of_stage, of_axis, of_kind, advice in NEXT:
        if of_kind == kind and of_stage in (stage, ANY) and of_axis in (axis, ANY):
            return advice
    return ""
