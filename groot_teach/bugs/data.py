"""Wrong inputs: which prompt is read, and which entries of the actions reach the encoder. Each takes the batch."""

import torch

from groot_teach.bugs.policy import action_mask
from groot_teach.bugs.record import bug


@bug(
    "prompt",
    "the first sample speaks for all",
    story="Of a list of prompts the first is taken, for the whole batch.",
    symptom="a policy that does the same whatever it is told; that this is the cause is our guess",
    threads=("lerobot_pr_2320", "lerobot_issue_2505"),
    source="`lang = lang[0]` in huggingface/lerobot v0.4.4, processor_groot.py 290-298",
    seen_by=("perturb", "compact", "gradient", "sampler"),
    message="You took the first sample's for the whole batch. That is right for a batch of one, and the batch that one "
    "tries first is often such a one; each sample has its own.",
)
def first_prompt(batch):
    names = "tokens", "token_mask"
    return {name: batch[name][:1].expand_as(batch[name]) for name in names}


@bug(
    "input_mask",
    "padding enters the encoder",
    story="Padded entries reach the action encoder with the noise that was drawn for them.",
    symptom="none on a robot; the thread compares a padded batch with an unpadded one",
    threads=("gr00t_issue_742", "gr00t_pr_741"),
    source="what GR00T does, https://github.com/NVIDIA/Isaac-GR00T/issues/742",
    seen_by=("perturb", "gradient"),
    message="You passed padding to the layer as it is. The layer is dense, so each padded number reaches every real "
    "one: set padding to 0 with `torch.where` before the layer.",
)
def everything_enters(batch):
    return torch.ones_like(batch["actions"], dtype=torch.bool)


@bug(
    "input_mask",
    "the first n taken for the real ones",
    story="Real dims and steps are counted, and that many at the front are called real.",
    symptom="none while the padding is behind; a robot with a gap loses a real dim and keeps a padded one",
    source="NVIDIA/Isaac-GR00T at 4e62473d, processing_gr00t_n1d6.py 334-337, where the padding is behind",
    message="You counted what is real and took that many at the front. Here real entries can be anywhere, and only the "
    "mask knows where.",
)
def first_n(batch):
    real = action_mask(batch)
    steps, dims = real.any(dim=2), real.any(dim=1)
    first_steps = torch.arange(steps.shape[1]) < steps.sum(dim=1, keepdim=True)
    first_dims = torch.arange(dims.shape[1]) < dims.sum(dim=1, keepdim=True)
    return first_steps[:, :, None] & first_dims[:, None, :]
