"""Wrong samplers: each takes the policy and the batch, and gives actions."""

import torch

from groot_teach.bugs.policy import sample
from groot_teach.bugs.record import bug


@bug(
    "sample",
    "masked in training only",
    story="Training obeys a mask, and the sampler does not: the network is shown noise that training hid.",
    symptom="none: it was taken back in review, unmeasured",
    threads=("opentau_pr_344", "opentau_issue_345", "starvla_pr_435"),
    source="a mask in training only, taken back in https://github.com/TensorAuto/OpenTau/pull/344",
    seen_by=("sampler",),
    message="You masked what training shows and left the sampler as it is, so the network meets numbers there that it "
    "has never seen. A repair has two halves: training and sampling must show the same.",
)
def training_only(policy, batch):
    every_dim = torch.ones_like(batch["dim_mask"])
    return sample(policy, batch | {"dim_mask": every_dim})
