"""Exercises about the masked loss: which errors count, what their sum is divided by, and what each of them weighs.

Every answer has an axis. A loss that is one number would hide which sample or which dim went wrong.
"""

import torch
from torch import Tensor

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import masks, normal, numbers

TITLE = "Which errors should count?"


def _errors(seed: int, *shape: int) -> Tensor:
    """Squared errors: positive, and no two alike."""
    return normal(shape, seed).square() + 0.1


def _loss_of_each_sample_cases():
    error = numbers([[[1, 1, 9], [3, 9, 9]], [[2, 2, 2], [2, 9, 9]]])
    target = torch.arange(12, dtype=torch.float64).reshape(2, 2, 3)
    mask = torch.tensor([[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [1, 0, 0]]]).bool()
    shapes = (301, 2, 5, 7), (304, 5, 3, 11), (307, 3, 7, 5), (310, 3, 3, 3)
    random = ((normal(shape, seed), normal(shape, seed + 1), masks(seed + 2, *shape)) for seed, *shape in shapes)
    return ((target + error, target, mask), *random)


@exercise(
    "loss.1",
    minutes=5,
    difficulty=1,
    cases=_loss_of_each_sample_cases,
    hints=(
        "Two numbers are needed for each sample: a sum over its real entries, and how many there are.",
        "`torch.where(action_mask, velocity_pred - velocity_target, 0.0)` sets what is hidden to 0 before the square. "
        "Sum over steps and dims, `dim=(1, 2)`, and keep the batch.",
        "The count comes from the same mask over the same axes: `action_mask.sum(dim=(1, 2))`.",
    ),
    lesson="Sum and count by the same mask over the same axes, and no padding gets in on either side of the line.",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
)
def loss_of_each_sample(velocity_pred, velocity_target, action_mask):
    """A loss for each sample

    Before the loss of a batch becomes one number, look at its samples. `velocity_pred` and `velocity_target` (batch,
    action_horizon, padded_dim; float64) are what was predicted and what should have been; `action_mask` (the same
    shape; bool, True = real) says which entries are real: any of them may be, and at least one in every sample.
    Return the masked loss of each sample (batch; float64): the mean of the squared error over this sample's real
    entries."""
    error = torch.where(action_mask, velocity_pred - velocity_target, 0.0)
    return error.square().sum(dim=(1, 2)) / action_mask.sum(dim=(1, 2))


def _each_sample_alone(bug):
    """The losses of a bug that is given one sample at a time."""

    def losses(pred, target, action_mask):
        samples = zip((pred - target).square().split(1), action_mask.split(1), strict=True)
        return torch.stack([bug.reduce(*sample) for sample in samples])

    return losses


loss_of_each_sample.made_by(
    bugs.no_mask, bugs.mean_of_everything, bugs.counts_steps, bugs.steps_masked_dims_not, by=_each_sample_alone
)


def _let_in_and_cut_off_cases():
    toy = torch.tensor([[[1, 1, 1, 0, 0]] * 3, [[1, 0, 1, 1, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]]]).bool()
    shapes = (321, 3, 5, 7, 4), (322, 2, 7, 11, 3), (323, 5, 3, 13, 11), (324, 3, 3, 3, 2)
    return ((toy, 3), *((masks(seed, *shape), head_dim) for seed, *shape, head_dim in shapes))


@exercise(
    "loss.2",
    minutes=5,
    difficulty=2,
    cases=_let_in_and_cut_off_cases,
    hints=(
        "The slice divides every step in two: what the loss looks at, and what it does not. Take one half at a time.",
        "In the first half the mask no longer hides anything: which entries were hidden there? In the second half "
        "nothing can be seen: which entries are missed?",
        "`~action_mask[:, :, :head_dim]` and `action_mask[:, :, head_dim:]`, each summed over steps and dims.",
    ),
    lesson="Where the first is 0, the mask is a no-op. Where the second is not, real entries are lost for any mask.",
)
def let_in_and_cut_off(action_mask, head_dim):
    """The slice without the mask

    A head is `head_dim` dims wide (an int), so its loss slices: it looks at the first `head_dim` dims of every step and
    at nothing else. Somebody deletes the mask from that loss. From `action_mask` (batch, action_horizon, padded_dim;
    bool, True = real), padded_dim being larger than `head_dim`, find out what happens. Return a tuple `(let_in,
    cut_off)`, both (batch; int64): how many padded entries each sample's loss now counts, and how many real entries it
    never sees, mask or no mask. Real entries can stand anywhere."""
    let_in = (~action_mask[:, :, :head_dim]).sum(dim=(1, 2))
    cut_off = action_mask[:, :, head_dim:].sum(dim=(1, 2))
    return let_in, cut_off


@let_in_and_cut_off.mistake("padding behind the slice is counted")
def _(action_mask, head_dim):
    """You let in all the padding of the chunk. The loss never looks at what lies behind the slice, with the mask or
    without: the slice hides it.
    Source: the note's section 5.1, which says that the mask is what limits the loss to 16 dims,
    KKXiaoKang/humanoid_groot at 4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md"""
    return (~action_mask).sum(dim=(1, 2)), let_in_and_cut_off(action_mask, head_dim)[1]


@let_in_and_cut_off.mistake("the first n dims taken for the real ones")
def _(action_mask, head_dim):
    """You compared the *number* of real dims with the width of the slice. That is enough where real dims come
    first; a robot with a gap has padding in front of the slice and real dims behind it at once.
    Source: the mask of this book's source is such a prefix, KKXiaoKang/humanoid_groot at 4a1a0c81,
    processor_groot.py 342-352"""
    real_dims = action_mask.sum(dim=2)
    return (head_dim - real_dims).clamp(min=0).sum(dim=1), (real_dims - head_dim).clamp(min=0).sum(dim=1)


@let_in_and_cut_off.mistake("dims are counted, not entries")
def _dims_counted(action_mask, head_dim):
    """You counted dims. An entry is one dim of one step: a padded dim comes back at every step, and a real dim
    holds padding where the step was filled in.
    Source: the note's section 5.3, whose check prints a number of valid dims, KKXiaoKang/humanoid_groot at
    4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md"""
    dim_mask = action_mask.any(dim=1)
    return (~dim_mask[:, :head_dim]).sum(dim=1), dim_mask[:, head_dim:].sum(dim=1)


@let_in_and_cut_off.mistake(bugs.copies_count)
def _(action_mask, head_dim):
    return tuple(action_mask.shape[1] * dims for dims in _dims_counted(action_mask, head_dim))


def _share_of_each_dim_cases():
    return (
        (torch.ones(16, dtype=torch.float64), torch.tensor([14, 2])),
        (numbers([2, 4, 1]), torch.tensor([2, 1])),  # means 3 and 1
        (_errors(331, 26), torch.tensor([7, 7, 6, 6])),
        (_errors(332, 6), torch.tensor([5, 1])),
        (_errors(333, 17), torch.tensor([3, 11, 1, 2])),
    )


@exercise(
    "loss.3",
    minutes=6,
    difficulty=2,
    cases=_share_of_each_dim_cases,
    hints=(
        "What does one dim put into the sum of the groups' means? Its error, divided by something.",
        "`group_dims.repeat_interleave(group_dims)` says of each dim how many dims its group has: 14 fourteen times, "
        "then 2 twice.",
        "Divide the errors by that. The sum of the result is the loss, and each entry divided by it is a share.",
    ),
    lesson="With equal errors a claw dim has 7 times an arm dim's share, and nobody typed a 7.",
)
def share_of_each_dim(squared_error, group_dims):
    """What a claw dim weighs

    The note's step 7 has two means, one over the arm's dims and one over the claw's. Add such means for any groups:
    `squared_error` (action_dim; float64) is the mean squared error of each dim, `group_dims` (group; int64) says how
    many dims each group has, in the order in which they stand. The loss is the sum of the groups' means. Return **each
    dim's share of that loss** (action_dim; float64): the shares of all dims add up to 1."""
    size_of_own_group = group_dims.repeat_interleave(group_dims)
    part = squared_error / size_of_own_group
    return part / part.sum()


@share_of_each_dim.mistake("one mean for all dims")
def _(squared_error, group_dims):
    """In your loss every dim weighs the same, as in one mean over all. With a mean for each group an error is
    divided by the size of its *own* group, so a claw dim weighs more than an arm dim.
    Source: the formula in the note's sections 1.4, 4.1 and 5.1, where its step 7 has two means,
    KKXiaoKang/humanoid_groot at 4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md"""
    return squared_error / squared_error.sum()


@share_of_each_dim.mistake("each group has the same share")
def _(squared_error, group_dims):
    """Each of your groups has the same share, whatever its errors. That is where *learned* weights lead; a sum of
    means leaves a group with small errors a small share.
    Source: what the fork does by default, KKXiaoKang/humanoid_groot at 4a1a0c81, flow_matching_action_head.py 166
    and 486-497"""
    sums = torch.stack([part.sum() for part in squared_error.split(group_dims.tolist())])
    return squared_error / sums.repeat_interleave(group_dims) / len(group_dims)


def _shares_of_samples_cases():
    squared_error = numbers([[[2, 2, 2], [2, 2, 2]], [[6, 9, 9], [9, 9, 9]]])
    mask = torch.tensor([[[1, 1, 1], [1, 1, 1]], [[1, 0, 0], [0, 0, 0]]]).bool()
    shapes = (341, 3, 5, 7), (343, 5, 2, 11), (345, 2, 7, 5), (347, 3, 3, 3)
    random = ((_errors(seed, *shape), masks(seed + 1, *shape)) for seed, *shape in shapes)
    return ((squared_error, mask), *random)  # first: sums 12 and 6, means 2 and 6


@exercise(
    "loss.4",
    minutes=6,
    difficulty=2,
    cases=_shares_of_samples_cases,
    hints=(
        "Two numbers for each sample: the sum of its real errors, and their mean.",
        "Sums and counts over steps and dims, `dim=(1, 2)`, with the mask in both. In one loss the sums are added, in "
        "the other one the means.",
        "`sums / sums.sum()` and `means / means.sum()`: whatever both losses divide by at the end cancels out.",
    ),
    lesson="Neither is a law: one asks what an entry is worth, the other what a robot is worth.",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
)
def shares_of_samples(squared_error, action_mask):
    """Entries or samples

    Several robots in one batch: whose errors does the loss consist of? `squared_error` (batch, action_horizon,
    padded_dim; float64) and `action_mask` (the same shape; bool, True = real, at least one in every sample). Return a
    tuple `(token_weighted, sample_weighted)`, both (batch; float64): each sample's share of the token-weighted loss,
    which is one mean over all real entries of the batch, and its share of the sample-weighted loss, which is the mean
    of the samples' own means. Either adds up to 1 over the batch."""
    sums = torch.where(action_mask, squared_error, 0.0).sum(dim=(1, 2))
    means = sums / action_mask.sum(dim=(1, 2))
    return sums / sums.sum(), means / means.sum()


@shares_of_samples.mistake("both are token-weighted")
def _(squared_error, action_mask):
    """Your second is the same as your first. If you took `.mean(dim=(1, 2))` after masking: that divides every
    sample by the same number, padding included, and leaves the shares as they were; a sample's mean divides by its
    *own* count.
    Source: https://github.com/huggingface/lerobot/issues/3433, where a mean for each sample counted the padding;
    the same in https://github.com/dmlc/gluon-nlp/issues/238"""
    return (shares_of_samples(squared_error, action_mask)[0],) * 2


@shares_of_samples.mistake("both are sample-weighted")
def _(squared_error, action_mask):
    """Your first is the same as your second. One mean over all entries knows nothing of samples: there a sample's
    share is its *sum*, divided by the sum of all.
    Source: the two are easily taken for one, https://github.com/huggingface/transformers/issues/34510"""
    return (shares_of_samples(squared_error, action_mask)[1],) * 2


@shares_of_samples.mistake(bugs.no_mask)
def _(squared_error, action_mask):
    return shares_of_samples(squared_error, torch.ones_like(action_mask))


@shares_of_samples.mistake(bugs.counts_steps)
def _(squared_error, action_mask):
    means = (squared_error * action_mask).sum(dim=(1, 2)) / action_mask.any(dim=2).sum(dim=1)
    return shares_of_samples(squared_error, action_mask)[0], means / means.sum()


def _part_of_last_action_cases():
    def padded_behind(recorded, action_horizon):
        return torch.arange(action_horizon) >= torch.tensor(recorded)[:, None]

    return (
        (torch.ones(1, 16, dtype=torch.float64), padded_behind([8], 16)),
        (numbers([[1, 2, 3, 4], [1, 2, 3, 4]]), padded_behind([2, 4], 4)),
        (_errors(351, 5, 7), padded_behind([1, 7, 3, 6, 2], 7)),
        (_errors(352, 3, 13), padded_behind([5, 11, 2], 13)),
        (_errors(353, 3, 3), padded_behind([2, 1, 3], 3)),
    )


@exercise(
    "loss.5",
    minutes=6,
    difficulty=2,
    cases=_part_of_last_action_cases,
    hints=(
        "Which steps are about the last recorded action? The copies, and one more.",
        "With `n` recorded steps, counted from 0, these are the steps from `n - 1` on. `n` is a sum over "
        "`~action_is_pad`.",
        "`torch.arange(action_horizon) >= n - 1`, with `n` of shape (batch, 1), is a mask of shape (batch, "
        "action_horizon). Sum the errors under it, and divide by the sum of all.",
    ),
    lesson="8 recorded steps of 16 and equal errors: nine sixteenths of the loss ask for one action.",
)
def part_of_last_action(squared_error, action_is_pad):
    """One action, many times

    Chunks that reach beyond the end of their episode are filled up with copies of the last recorded action. GR00T
    N1.5's loss counts copies like recorded steps. `squared_error` (batch, action_horizon; float64) is the error of each
    step; copies have errors of their own, since each is noised anew. `action_is_pad` (batch, action_horizon; bool,
    LeRobot's polarity: True = a copy) is True after the last recorded step, and every chunk has one. Return which part
    of each chunk's loss is about the last recorded action, **the recorded step and its copies together** (batch;
    float64; 1 = all of it)."""
    recorded = (~action_is_pad).sum(dim=1, keepdim=True)
    about_the_last = torch.arange(action_is_pad.shape[1]) >= recorded - 1
    return (squared_error * about_the_last).sum(dim=1) / squared_error.sum(dim=1)


@part_of_last_action.mistake("copies are masked")
def _(squared_error, action_is_pad):
    """You left the copies out, above the line and below. That is N1.7's loss in LeRobot, and an eighth in the first
    case; N1.5 counts them.
    Source: the other convention, huggingface/lerobot at 7427f318, processor_groot.py 1943-1972"""
    last = squared_error.gather(1, (~action_is_pad).sum(dim=1, keepdim=True) - 1)[:, 0]
    return last / (squared_error * ~action_is_pad).sum(dim=1)


@part_of_last_action.mistake("action_is_pad is read upside down")
def _(squared_error, action_is_pad):
    """You summed the recorded steps. In `action_is_pad` True = a copy, and those are the ones that belong to the
    last action, together with the step before them.
    Source: a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19"""
    return (squared_error * ~action_is_pad).sum(dim=1) / squared_error.sum(dim=1)


@part_of_last_action.mistake("steps are counted, errors left out")
def _(squared_error, action_is_pad):
    """You counted steps: right if all errors are the same, as in the first case. A part of the loss is a part of the
    *errors*: sum those."""
    return (action_is_pad.sum(dim=1) + 1.0).to(squared_error.dtype) / action_is_pad.shape[1]
