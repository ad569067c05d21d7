"""Wrong losses: each takes `(squared_error, batch)` and gives one number. **To look at, never to use.**

Each name, such as `wrong_key`, is the record of a bug: `wrong_key.wrong(squared_error, batch)` calls the function, and
`wrong_key.reduce(squared_error, action_mask)` calls it with a mask in place of a batch. The right way to reduce,
`loss.masked_velocity_loss`, has another signature, because to pass the *squared* error is already the first mistake: an
error that is NaN in padding gets the gradient NaN there, whatever mask comes after the square.
"""

import torch

from groot_teach.bugs.policy import PADDED_DIM, action_mask
from groot_teach.bugs.record import bug

# ------------------------------------------------------------------------------------------- the mask that never ran


@bug(
    "reduce",
    "no mask at all",
    story="The loss is the mean over all entries, padding included.",
    symptom="padded dims are fitted as well; the loss falls all the same",
    threads=("openpi_pr_871",),
    source="a user's patch that adds the mask, https://github.com/Physical-Intelligence/openpi/pull/871; openpi's "
    "released code averages over all 32 dims",
    seen_by=("perturb", "compact", "gradient", "unit error"),
    message="Every entry counts in your loss, padding included. Use the mask twice: to leave padding out of the sum, "
    "and to count what you divide by.",
)
def no_mask(squared_error, batch):
    return squared_error.mean()


@bug(
    "reduce",
    "a misspelt key",
    story="The loss asks the batch for a key that nobody writes, gets None, and goes on without a mask.",
    symptom="none: it does not raise any errors, says the repair",
    threads=("lerobot_pr_1717", "lerobot_issue_1707", "lerobot_pr_774", "lerobot_pr_1260"),
    source="SmolVLA asked for `actions_id_pad`, https://github.com/huggingface/lerobot/pull/1717",
    seen_by=("perturb", "compact", "gradient", "unit error"),
    message="You asked for a key that the batch does not hold, and `.get` answered None: your mask was never applied. "
    "Ask with brackets, `batch[...]`, so that a misspelt key raises.",
)
def wrong_key(squared_error, batch):
    action_is_pad = batch.get("actions_id_pad")
    counts = batch["dim_mask"][:, None, :].expand_as(squared_error)
    if action_is_pad is not None:
        counts = counts & ~action_is_pad[:, :, None]
    return squared_error[counts].mean()


@bug(
    "reduce",
    "the result of masked_fill is thrown away",
    story="`masked_fill` gives a new tensor, and nobody keeps it.",
    symptom="none before, and hardly a difference in the first epochs after the repair",
    threads=("espnet_issue_1272", "espnet_pr_1273", "parlai_pr_3068"),
    source="https://github.com/espnet/espnet/issues/1272",
    seen_by=("perturb", "compact", "gradient", "unit error"),
    message="You called `masked_fill` and went on with the old tensor. It returns a new one; assign that, or call "
    "`masked_fill_`, with an underscore.",
)
def thrown_away(squared_error, batch):
    counts = action_mask(batch)
    squared_error.masked_fill(~counts, 0.0)
    return squared_error.sum() / counts.sum()


@bug(
    "reduce",
    "a slice that removes nothing",
    story="Errors are cut down to the width to which they were padded, so no padded dim is removed.",
    symptom="none reported",
    threads=("lerobot_pr_1260", "lerobot_pr_3133"),
    source="SmolVLA's slice `losses[:, :, :max_action_dim]`, https://github.com/huggingface/lerobot/pull/3133",
    seen_by=("perturb", "gradient", "unit error"),
    message="You cut the errors to the width to which they were padded, and that removes nothing. Which dims a robot "
    "has is in its mask; a slice that is the same for all robots cannot know it.",
)
def removes_nothing(squared_error, batch):
    recorded = squared_error[batch["step_mask"]]
    without_padding = recorded[:, :PADDED_DIM]
    return without_padding.mean()


@bug(
    "reduce",
    "steps masked, dims not",
    story="Padded steps are left out, and every dim of a recorded step counts. `removes_nothing` comes to this, "
    "whatever the width of the batch.",
    symptom="padded dims are fitted, wherever the head is wider than the robot",
    threads=("lerobot_pr_3133", "lerobot_pr_1260"),
    source="SmolVLA's slice that removed no dim, https://github.com/huggingface/lerobot/pull/3133",
    seen_by=("perturb", "gradient", "unit error"),
    message="You dropped the steps without a real entry and kept all dims of the others. The padded dims of a recorded "
    "step are padding too: use the whole `action_mask`.",
)
def steps_masked_dims_not(squared_error, batch):
    steps = batch["step_mask"][:, :, None]
    return (squared_error * steps).sum() / (steps.sum() * squared_error.shape[-1])


@bug(
    "reduce",
    "filled-in steps count as real",
    story="Steps past the end of an episode are filled with copies of the last action, and the mask calls them real.",
    symptom="a policy may get stuck where its demonstrations end, says a repair; nobody measured it",
    threads=("openpi_pr_894", "openpi_issue_681", "lingbot_issue_19"),
    source="GR00T N1.5's mask is True in every step: huggingface/lerobot v0.4.4, processor_groot.py 353-354 "
    "(`action_mask[:, :, :d] = True`)",
    seen_by=("perturb", "compact", "gradient", "unit error"),
    message="You looked at dims alone, so every step counts, copies of the last recorded step included. Leave out the "
    "steps where `action_is_pad` is True.",
)
def copies_count(squared_error, batch):
    counts = torch.zeros_like(squared_error, dtype=torch.bool)
    for robot, dims in enumerate(batch["dim_mask"].sum(dim=1)):
        counts[robot, :, :dims] = True
    return squared_error[counts].mean()


@bug(
    "reduce",
    "or instead of and",
    story="The masks of steps and dims are joined by `|`, so an entry counts if either is real.",
    symptom="padded dims of recorded steps are fitted, and copies of the last step are",
    source="our own",
    seen_by=("perturb", "compact", "gradient", "unit error"),
    message="You joined the two masks with `|`, so a padded dim is real in every recorded step. An entry needs both, "
    "its dim and its step: join them with `&`.",
)
def or_for_and(squared_error, batch):
    counts = batch["step_mask"][:, :, None] | batch["dim_mask"][:, None, :]
    return squared_error[counts].mean()


# --------------------------------------------------------------------------------------------------- divided by what?


@bug(
    "reduce",
    "masked, then the mean over everything",
    story="Padded errors are set to 0, and then they are counted.",
    symptom="the loss is too small by the real part of the batch, a factor that changes from batch to batch",
    threads=("lerobot_issue_3353", "lerobot_pr_3434", "tfdocs_pr_1460"),
    source="huggingface/lerobot issue 3353 (ACT, Diffusion, MultiTaskDiT), "
    "https://github.com/huggingface/lerobot/issues/3353",
    seen_by=("compact", "unit error"),
    message="Padding adds nothing to your sum, but `.mean()` divides by all entries, padded ones too. Divide by the "
    "number of the entries that you summed.",
)
def mean_of_everything(squared_error, batch):
    return (squared_error * action_mask(batch)).mean()


@bug(
    "reduce",
    "entries summed, steps counted",
    story="Errors are summed over steps and dims, and divided by the number of steps.",
    symptom="the loss is too large by the number of real dims",
    threads=("lerobot_pr_3377", "lerobot_pr_3442"),
    source="the first fix of the mean over everything, found in review, "
    "https://github.com/huggingface/lerobot/pull/3377",
    seen_by=("unit error",),
    message="You summed entries and divided by a number of steps, so your loss is too large by the number of dims in a "
    "step. An entry is one dim of one step: count those.",
)
def counts_steps(squared_error, batch):
    total = (squared_error * action_mask(batch)).sum()
    return total / batch["step_mask"].sum()


@bug(
    "reduce",
    "counted in bfloat16",
    story="The mask is cast with the batch, and counted in bfloat16, which has no odd number above 256.",
    symptom="right for small batches; above 256 entries the count is rounded",
    source="our own; a mask that was cast with the batch",
    message="You counted in bfloat16, which holds 8 bits: above 256 a count is rounded. Count a bool mask, or cast it "
    "to int64 first.",
)
def counted_in_bfloat16(squared_error, batch):
    counts = action_mask(batch)
    return (squared_error * counts).sum() / counts.to(torch.bfloat16).sum()


@bug(
    "reduce",
    "the count + 1e-6",
    story="A small number is added to the count, so that it is never 0.",
    symptom="an empty mask gives 0 instead of an error, and nothing is learned",
    source="huggingface/lerobot 0.6.1, policies/groot/groot_n1_7.py 621-622: a choice of upstream's",
    message="You added a small number to the count, so a batch without a real entry has a loss of 0 and nobody learns "
    "that it was empty. Divide by the count alone, and raise an error where it is 0.",
)
def count_plus_epsilon(squared_error, batch):
    counts = action_mask(batch)
    return (squared_error * counts).sum() / (counts.sum() + 1e-6)


@bug(
    "reduce",
    "masked after the square",
    story="The squared error is multiplied by the mask, and 0 times NaN or infinity is NaN.",
    symptom="none while padding holds finite numbers; then the loss or its gradient is NaN",
    threads=("pytorch_issue_101967",),
    source="https://github.com/pytorch/pytorch/issues/101967",
    message="You masked after the arithmetic: where padding holds infinity or NaN, 0 times that is NaN, and on the way "
    "back `torch.where` on the squares does not help. Set the error to 0 with `torch.where` before you square it.",
)
def masked_after_the_square(squared_error, batch):
    counts = action_mask(batch)
    return (squared_error * counts).sum() / counts.sum()


WRONG_LOSSES = (
    no_mask,
    mean_of_everything,
    counts_steps,
    steps_masked_dims_not,
    counted_in_bfloat16,
    count_plus_epsilon,
)
"""The six that chapter 3 lays side by side, in its order."""
