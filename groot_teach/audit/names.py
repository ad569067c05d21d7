"""The names that a report uses: its probes and kinds of findings, the stages of a policy, and the axes of padding."""

from typing import Literal

Probe = Literal["perturb", "compact", "gradient", "unit error", "read off", "parity"]
ORDER: tuple[Probe, ...] = ("read off", "perturb", "gradient", "unit error", "compact", "parity")
"""In which order the probes of a stage are named. The first that found something gives the size."""
Kind = Literal["leak", "lost", "not finite", "mismatch"]

STAGES = PREDICTION, LOSS_SUM, LOSS_COUNT, SAMPLER, SAMPLED = (
    "prediction",
    "loss sum",
    "loss count",
    "sampler",
    "sampled padding",
)
"""Stages that every policy has, whatever is inside: the whole way to the prediction, what the loss sums, what it
divides by, the whole way to the sampled actions, and what the padded entries of the sampled actions hold."""
PARITY = "training and sampling"
"""The stage of a comparison: does the sampler show the network what training has shown it?"""

OTHER_SAMPLES = "samples"
"""The column for what one sample gets from the others. Padding lies along `dims`, `steps` and `tokens`."""
NEIGHBOURS = "neighbours"
"""The column for what a document gets from the others that are packed into the same row."""
COLUMNS = ("dims", "steps", "tokens", OTHER_SAMPLES)

LEAK_OF_STAGE = {
    "action encoder": "input leak",
    "DiT self-attention": "step leak",
    "VL self-attention": "mixing leak",
    "DiT cross-attention": "context leak",
    LOSS_SUM: "target leak",
    LOSS_COUNT: "denominator leak",
    SAMPLED: "rollout leak",
}
"""The book's name of the leak at a stage. `prediction` and `sampler` have none: several leaks meet there."""
