"""Exercises of chapter 3: which errors count, what their sum is divided by, and what each of them weighs.

The wrong answers are those of real code where we know of any; `source` says whose.

Every answer has an axis, no loss is a bare number: one number would hide which sample or which dim went wrong.
"""

import torch
from torch import Tensor

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Which errors should count?"


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _errors(seed: int, *shape: int) -> Tensor:
    """Squared errors: positive, and no two alike."""
    return _random(seed, *shape).square() + 0.1


def _whole(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _masks(seed: int, *shape: int) -> Tensor:
    """Random masks in which nothing can be counted from the front: dims 0 and some others are padding, steps too.

    They are no product of steps and dims, and every sample has a real entry.
    """
    real = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    real[:, :, 0], real[0, 0], real[-1, -1] = False, False, False
    real[:, 1, -1] = True
    return real


# ------------------------------------------------------------------------------------------------------------- 3.1


def loss_of_each_sample(velocity_pred, velocity_target, action_mask):
    error = torch.where(action_mask, velocity_pred - velocity_target, 0.0)
    return error.square().sum(dim=(1, 2)) / action_mask.sum(dim=(1, 2))


def _loss_of_each_sample_cases():
    error = _whole([[[1, 1, 9], [3, 9, 9]], [[2, 2, 2], [2, 9, 9]]])
    target = torch.arange(12, dtype=torch.float64).reshape(2, 2, 3)
    mask = torch.tensor([[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [1, 0, 0]]]).bool()
    return (
        (target + error, target, mask),
        (_random(301, 2, 5, 7), _random(302, 2, 5, 7), _masks(303, 2, 5, 7)),
        (_random(304, 5, 3, 11), _random(305, 5, 3, 11), _masks(306, 5, 3, 11)),
        (_random(307, 3, 7, 5), _random(308, 3, 7, 5), _masks(309, 3, 7, 5)),
        (_random(310, 3, 3, 3), _random(311, 3, 3, 3), _masks(312, 3, 3, 3)),
    )


def _reduced(reduce):
    """A loss of squared errors and a mask, in the form of the exercise."""
    return lambda pred, target, action_mask: reduce((pred - target).square(), action_mask)


def _steps_masked_dims_not(squared, action_mask):
    steps = action_mask.any(dim=2, keepdim=True).expand(squared.shape)
    return (squared * steps).sum(dim=(1, 2)) / steps.sum(dim=(1, 2))


def _dims_masked_steps_not(squared, action_mask):
    dims = action_mask.any(dim=1, keepdim=True).expand(squared.shape)
    return (squared * dims).sum(dim=(1, 2)) / dims.sum(dim=(1, 2))


def _mean_of_step_means(squared, action_mask):
    step_means = (squared * action_mask).sum(dim=2) / action_mask.sum(dim=2).clamp(min=1)
    return step_means.sum(dim=1) / action_mask.any(dim=2).sum(dim=1)


LOSS_OF_EACH_SAMPLE = Exercise(
    id="3.1",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
    title="A loss for each sample",
    task=(
        "Before the loss of a batch becomes one number, look at its samples. `velocity_pred` and `velocity_target` "
        "(batch, action_horizon, padded_dim; float64) are what was predicted and what should have been; `action_mask` "
        "(the same shape; bool, True = real) says which entries are real: any of them may be, and at least one in "
        "every sample. Return the masked loss of each sample (batch; float64): the mean of the squared error over "
        "this sample's real entries."
    ),
    minutes=5,
    difficulty=1,
    reference=loss_of_each_sample,
    cases=_loss_of_each_sample_cases,
    misconceptions=(
        Misconception(
            name="no mask at all",
            answer=_reduced(lambda squared, action_mask: squared.mean(dim=(1, 2))),
            message=(
                "Every entry counts in your loss, padding included. In the first case padded entries are off by 9 and "
                "real ones by 3 at most, so no mean over real entries can be as large as yours."
            ),
            source="openpi's loss takes all 32 dims, which a user's pull request would change, "
            "https://github.com/Physical-Intelligence/openpi/pull/871",
        ),
        Misconception(
            name="masked, then the mean over everything",
            answer=_reduced(lambda squared, action_mask: (squared * action_mask).mean(dim=(1, 2))),
            message=(
                "The padding adds nothing to your sum, and it is still counted below the line: `.mean()` divides by "
                "all entries. Divide by the number of the entries that you summed."
            ),
            source="https://github.com/huggingface/lerobot/issues/3353 (ACT, Diffusion, MultiTaskDiT) and "
            "https://github.com/huggingface/lerobot/issues/3433 (SmolVLA)",
        ),
        Misconception(
            name="entries summed, steps counted",
            answer=_reduced(
                lambda squared, action_mask: (squared * action_mask).sum(dim=(1, 2)) / action_mask.any(dim=2).sum(dim=1)
            ),
            message=(
                "You summed entries and divided by a number of steps, so your loss is too large by the number of dims "
                "in a step. An entry is one dim of one step: count those."
            ),
            source="the first fix of the mean over everything, found in review, "
            "https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="steps masked, dims not",
            answer=_reduced(_steps_masked_dims_not),
            message=(
                "You dropped the steps without a real entry and kept all dims of the others. Padded dims of a "
                "recorded step are padding too: use the whole `action_mask`."
            ),
            source="SmolVLA masked the steps, and its slice of the dims removed none, "
            "https://github.com/huggingface/lerobot/pull/3133",
        ),
        Misconception(
            name="dims masked, steps not",
            answer=_reduced(_dims_masked_steps_not),
            message=(
                "You dropped the dims without a real entry and kept all steps of the others, as if each step had been "
                "recorded. That is N1.5's mask; here `action_mask` says more, so use all of it."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354 (`action_mask[:, :, :d] = True`)",
        ),
        Misconception(
            name="the batch's number below the line",
            answer=_reduced(lambda squared, action_mask: (squared * action_mask).sum(dim=(1, 2)) / action_mask.sum()),
            message=(
                "You divided each sample's sum by the number of real entries in the whole batch. The sum of your "
                "losses is the batch's loss; a sample's own mean needs its own count."
            ),
            source="our own; GR00T N1.5 counts so for the batch, huggingface/lerobot v0.4.4, "
            "flow_matching_action_head.py 339",
        ),
        Misconception(
            name="the mean of the steps' means",
            answer=_reduced(_mean_of_step_means),
            message=(
                "You took the mean of each step first and then the mean of those. A step with one real entry then "
                "weighs as much as a full one; sum all real entries of the sample before you divide."
            ),
            source="our own",
        ),
        Misconception(
            name="one number for the whole batch",
            answer=_reduced(lambda squared, action_mask: (squared * action_mask).sum() / action_mask.sum()),
            message=(
                "That is the loss of the batch, and it is right. Asked for is one of each sample: leave the first "
                "axis alone, in the sum and in the count."
            ),
            source="huggingface/lerobot v0.4.4, flow_matching_action_head.py 338-339",
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda pred, target, action_mask: loss_of_each_sample(pred, target, ~action_mask),
            message=(
                "Your loss is the mean over the padding. In `action_mask` True = real, so those are the entries to "
                "keep."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the sum is not divided",
            answer=_reduced(lambda squared, action_mask: (squared * action_mask).sum(dim=(1, 2))),
            message=(
                "You summed the right entries, and a mean is asked for. A sum grows with every real entry, so samples "
                "of different robots cannot be compared by it."
            ),
            source="our own",
        ),
        Misconception(
            name="the absolute error",
            answer=lambda pred, target, action_mask: (
                ((pred - target).abs() * action_mask).sum(dim=(1, 2)) / action_mask.sum(dim=(1, 2))
            ),
            message=(
                "Your mask and your count are right, and you averaged the absolute error. ACT's loss does; a flow's "
                "loss squares it."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, modeling_act.py 144-146 (`l1_loss`)",
        ),
    ),
    hints=(
        "Two numbers are needed for each sample: a sum over its real entries, and how many there are.",
        "`torch.where(action_mask, velocity_pred - velocity_target, 0.0)` sets what is hidden to 0 before the square. "
        "Sum over steps and dims, `dim=(1, 2)`, and keep the batch.",
        "The count comes from the same mask over the same axes: `action_mask.sum(dim=(1, 2))`.",
    ),
    lesson="Sum and count by the same mask over the same axes, and no padding gets in on either side of the line.",
)


# ------------------------------------------------------------------------------------------------------------- 3.2


def let_in_and_cut_off(action_mask, head_dim):
    let_in = (~action_mask[:, :, :head_dim]).sum(dim=(1, 2))
    cut_off = action_mask[:, :, head_dim:].sum(dim=(1, 2))
    return let_in, cut_off


def _let_in_and_cut_off_cases():
    toy = torch.tensor([[[1, 1, 1, 0, 0]] * 3, [[1, 0, 1, 1, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]]]).bool()
    return (
        (toy, 3),
        (_masks(321, 3, 5, 7), 4),
        (_masks(322, 2, 7, 11), 3),
        (_masks(323, 5, 3, 13), 11),
        (_masks(324, 3, 3, 3), 2),
    )


def _prefix_counted(action_mask, head_dim):
    real_dims = action_mask.sum(dim=2)
    return (head_dim - real_dims).clamp(min=0).sum(dim=1), (real_dims - head_dim).clamp(min=0).sum(dim=1)


def _dims_counted(action_mask, head_dim):
    dim_mask = action_mask.any(dim=1)
    return (~dim_mask[:, :head_dim]).sum(dim=1), dim_mask[:, head_dim:].sum(dim=1)


def _steps_all_real(action_mask, head_dim):
    return tuple(action_mask.shape[1] * dims for dims in _dims_counted(action_mask, head_dim))


LET_IN_AND_CUT_OFF = Exercise(
    id="3.2",
    title="The slice without the mask",
    task=(
        "A head is `head_dim` dims wide (an int), so its loss slices: it looks at the first `head_dim` dims of every "
        "step and at nothing else. Somebody deletes the mask from that loss. From `action_mask` (batch, "
        "action_horizon, padded_dim; bool, True = real), padded_dim being larger than `head_dim`, find out what "
        "happens. Return a tuple `(let_in, cut_off)`, both (batch; int64): how many padded entries each sample's loss "
        "now counts, and how many real entries it never sees, mask or no mask. Real entries can stand anywhere."
    ),
    minutes=5,
    difficulty=2,
    reference=let_in_and_cut_off,
    cases=_let_in_and_cut_off_cases,
    misconceptions=(
        Misconception(
            name="padding behind the slice is counted",
            answer=lambda action_mask, head_dim: (
                (~action_mask).sum(dim=(1, 2)),
                let_in_and_cut_off(action_mask, head_dim)[1],
            ),
            message=(
                "You let in all the padding of the chunk. What stands behind the slice the loss does not look at, "
                "with the mask or without: the slice hides it."
            ),
            source="the note's section 5.1, which says that the mask is what limits the loss to 16 dims, "
            "KKXiaoKang/humanoid_groot at 4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md",
        ),
        Misconception(
            name="all that stands behind the slice is cut off",
            answer=lambda action_mask, head_dim: (
                let_in_and_cut_off(action_mask, head_dim)[0],
                torch.full((len(action_mask),), action_mask[0, :, head_dim:].numel()),
            ),
            message=(
                "`let_in` is right, and you cut off padding too. To lose padding is what a slice is for; it is a loss "
                "only where a *real* entry stands behind it."
            ),
            source="our own",
        ),
        Misconception(
            name="the two are swapped",
            answer=lambda action_mask, head_dim: let_in_and_cut_off(action_mask, head_dim)[::-1],
            message=(
                "Both numbers are right, and they stand in the wrong order. First the padding that gets in, then the "
                "real entries that are lost."
            ),
            source="our own",
        ),
        Misconception(
            name="real and padded are confused",
            answer=lambda action_mask, head_dim: let_in_and_cut_off(~action_mask, head_dim),
            message=(
                "You counted real entries in front of the slice and padding behind it. In `action_mask` True = real, "
                "so what gets in is where it is False."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the first n dims taken for the real ones",
            answer=_prefix_counted,
            message=(
                "You compared the *number* of real dims with the width of the slice. That is enough where real dims "
                "come first; a robot with a gap has padding in front of the slice and real dims behind it at once."
            ),
            source="the mask of this book's source is such a prefix, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "processor_groot.py 342-352",
        ),
        Misconception(
            name="dims are counted, not entries",
            answer=_dims_counted,
            message=(
                "You counted dims. An entry is one dim of one step: a padded dim comes back at every step, and a real "
                "dim holds padding where the step was filled in."
            ),
            source="the note's section 5.3, whose check prints a number of valid dims, KKXiaoKang/humanoid_groot at "
            "4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md",
        ),
        Misconception(
            name="filled-in steps count as real",
            answer=_steps_all_real,
            message=(
                "You found out which dims are real and multiplied by all steps. In a step that was filled in every "
                "entry is padding, and those are let in as well: look at the second sample's last step."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354: GR00T N1.5's mask is True in every step",
        ),
        Misconception(
            name="the slice goes through the steps",
            answer=lambda action_mask, head_dim: (
                (~action_mask[:, :head_dim]).sum(dim=(1, 2)),
                action_mask[:, head_dim:].sum(dim=(1, 2)),
            ),
            message=(
                "You sliced the middle axis: that cuts steps. The head is narrow in *dims*, the last axis: "
                "`action_mask[:, :, :head_dim]`."
            ),
            source="two kinds of padding that are easily taken for one, says "
            "https://github.com/open-edge-platform/physical-ai-studio/pull/873 of pi0's slice",
        ),
        Misconception(
            name="one number for the whole batch",
            answer=lambda action_mask, head_dim: tuple(
                count.sum() for count in let_in_and_cut_off(action_mask, head_dim)
            ),
            message=(
                "Your totals are right for the batch. Asked for is each sample's own: sum over steps and dims, "
                "`dim=(1, 2)`, and leave the first axis alone."
            ),
            source="our own",
        ),
    ),
    hints=(
        "The slice divides every step in two: what the loss looks at, and what it does not. Take one half at a time.",
        "In the first half the mask no longer hides anything: which entries were hidden there? In the second half "
        "nothing can be seen: which entries are missed?",
        "`~action_mask[:, :, :head_dim]` and `action_mask[:, :, head_dim:]`, each summed over steps and dims.",
    ),
    lesson="Where both are 0, the mask is a no-op. Where the second is not 0, no mask can help.",
)


# ------------------------------------------------------------------------------------------------------------- 3.3


def share_of_each_dim(squared_error, group_dims):
    size_of_own_group = group_dims.repeat_interleave(group_dims)
    part = squared_error / size_of_own_group
    return part / part.sum()


def _share_of_each_dim_cases():
    return (
        (torch.ones(16, dtype=torch.float64), torch.tensor([14, 2])),
        (_whole([2, 4, 1]), torch.tensor([2, 1])),  # means 3 and 1
        (_errors(331, 26), torch.tensor([7, 7, 6, 6])),
        (_errors(332, 6), torch.tensor([5, 1])),
        (_errors(333, 17), torch.tensor([3, 11, 1, 2])),
    )


def _own_group_sum(squared_error, group_dims):
    sums = torch.stack([part.sum() for part in squared_error.split(group_dims.tolist())])
    return sums.repeat_interleave(group_dims)


def _larger_groups_weigh_more(squared_error, group_dims):
    part = squared_error * group_dims.repeat_interleave(group_dims)
    return part / part.sum()


def _group_share_for_each_dim(squared_error, group_dims):
    means = _own_group_sum(squared_error, group_dims) / group_dims.repeat_interleave(group_dims)
    return means / (squared_error / group_dims.repeat_interleave(group_dims)).sum()


SHARE_OF_EACH_DIM = Exercise(
    id="3.3",
    title="What a claw dim weighs",
    task=(
        "The note's step 7 has two means, one over the arm's dims and one over the claw's. Add such means for any "
        "groups: `squared_error` (action_dim; float64) is the mean squared error of each dim, `group_dims` (group; "
        "int64) says how many dims each group has, in the order in which they stand. The loss is the sum of the "
        "groups' means. Return **each dim's share of that loss** (action_dim; float64): the shares of all dims add up "
        "to 1."
    ),
    minutes=6,
    difficulty=2,
    reference=share_of_each_dim,
    cases=_share_of_each_dim_cases,
    misconceptions=(
        Misconception(
            name="one mean for all dims",
            answer=lambda squared_error, group_dims: squared_error / squared_error.sum(),
            message=(
                "In your loss every dim weighs the same, as in one mean over all. With a mean for each group an error "
                "is divided by the size of its *own* group, so a claw dim weighs more than an arm dim."
            ),
            source="the formula in the note's sections 1.4, 4.1 and 5.1, where its step 7 has two means, "
            "KKXiaoKang/humanoid_groot at 4a1a0c81, docs/ACTION_MASK_VS_VL_ATTENTION_MASK.md",
        ),
        Misconception(
            name="parts, not shares",
            answer=lambda squared_error, group_dims: squared_error / group_dims.repeat_interleave(group_dims),
            message=(
                "Your parts are right, and their sum is the loss. A share is a part of the whole: divide by the loss, "
                "and they add up to 1."
            ),
            source="our own",
        ),
        Misconception(
            name="each group is a whole of its own",
            answer=lambda squared_error, group_dims: squared_error / _own_group_sum(squared_error, group_dims),
            message=(
                "Your shares add up to 1 in every group, so to the number of groups in all. Asked for is a dim's "
                "share of the *whole* loss."
            ),
            source="our own",
        ),
        Misconception(
            name="each group has the same share",
            answer=lambda squared_error, group_dims: (
                squared_error / _own_group_sum(squared_error, group_dims) / len(group_dims)
            ),
            message=(
                "Each of your groups has the same share, whatever its errors. That is where *learned* weights lead; a "
                "sum of means leaves a group with small errors a small share."
            ),
            source="what the fork does by default, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 166 and 486-497",
        ),
        Misconception(
            name="weights without errors",
            answer=lambda squared_error, group_dims: (
                torch.ones_like(squared_error) / group_dims.repeat_interleave(group_dims) / len(group_dims)
            ),
            message=(
                "You returned what each dim *weighs*, right as long as all errors are the same. A share of the loss "
                "is weight times error: a dim without an error has none."
            ),
            source="our own",
        ),
        Misconception(
            name="larger groups weigh more",
            answer=_larger_groups_weigh_more,
            message=(
                "You multiplied by the size of the group. A mean divides by it: the more dims share a mean, the less "
                "each of them weighs."
            ),
            source="our own",
        ),
        Misconception(
            name="the group's share, given to each of its dims",
            answer=_group_share_for_each_dim,
            message=(
                "You gave each dim the share of its whole group, so your shares add up to more than 1. Divide it "
                "among the dims, by their errors."
            ),
            source="our own",
        ),
    ),
    hints=(
        "What does one dim put into the sum of the groups' means? Its error, divided by something.",
        "`group_dims.repeat_interleave(group_dims)` says of each dim how many dims its group has: 14 fourteen times, "
        "then 2 twice.",
        "Divide the errors by that. The sum of the result is the loss, and each entry divided by it is a share.",
    ),
    lesson="With equal errors a claw dim has 7 times an arm dim's share, and nobody typed a 7.",
)


# ------------------------------------------------------------------------------------------------------------- 3.4


def shares_of_samples(squared_error, action_mask):
    sums = torch.where(action_mask, squared_error, 0.0).sum(dim=(1, 2))
    means = sums / action_mask.sum(dim=(1, 2))
    return sums / sums.sum(), means / means.sum()


def _shares_of_samples_cases():
    squared_error = _whole([[[2, 2, 2], [2, 2, 2]], [[6, 9, 9], [9, 9, 9]]])
    mask = torch.tensor([[[1, 1, 1], [1, 1, 1]], [[1, 0, 0], [0, 0, 0]]]).bool()
    return (
        (squared_error, mask),  # sums 12 and 6, means 2 and 6
        (_errors(341, 3, 5, 7), _masks(342, 3, 5, 7)),
        (_errors(343, 5, 2, 11), _masks(344, 5, 2, 11)),
        (_errors(345, 2, 7, 5), _masks(346, 2, 7, 5)),
        (_errors(347, 3, 3, 3), _masks(348, 3, 3, 3)),
    )


def _contributions(squared_error, action_mask):
    sums, counts = (squared_error * action_mask).sum(dim=(1, 2)), action_mask.sum(dim=(1, 2))
    return sums / counts.sum(), sums / counts / len(sums)


def _weights_of_samples(squared_error, action_mask):
    counts = action_mask.sum(dim=(1, 2)).to(squared_error.dtype)
    return counts / counts.sum(), torch.full_like(counts, 1 / len(counts))


def _steps_counted(squared_error, action_mask):
    means = (squared_error * action_mask).sum(dim=(1, 2)) / action_mask.any(dim=2).sum(dim=1)
    return shares_of_samples(squared_error, action_mask)[0], means / means.sum()


SHARES_OF_SAMPLES = Exercise(
    id="3.4",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
    title="Entries or samples",
    task=(
        "Several robots in one batch: whose errors does the loss consist of? `squared_error` (batch, action_horizon, "
        "padded_dim; float64) and `action_mask` (the same shape; bool, True = real, at least one in every sample). "
        "Return a tuple `(token_weighted, sample_weighted)`, both (batch; float64): each sample's share of the "
        "token-weighted loss, which is one mean over all real entries of the batch, and its share of the "
        "sample-weighted loss, which is the mean of the samples' own means. Either adds up to 1 over the batch."
    ),
    minutes=6,
    difficulty=2,
    reference=shares_of_samples,
    cases=_shares_of_samples_cases,
    misconceptions=(
        Misconception(
            name="the two are swapped",
            answer=lambda squared_error, action_mask: shares_of_samples(squared_error, action_mask)[::-1],
            message=(
                "Both are right, and they stand in the wrong order. Token-weighted counts entries, so there a sample "
                "with many real ones has the larger share."
            ),
            source="our own",
        ),
        Misconception(
            name="both are token-weighted",
            answer=lambda squared_error, action_mask: (shares_of_samples(squared_error, action_mask)[0],) * 2,
            message=(
                "Your second is the same as your first. If you took `.mean(dim=(1, 2))` after masking: that divides "
                "every sample by the same number, padding included, and leaves the shares as they were; a sample's "
                "mean divides by its *own* count."
            ),
            source="https://github.com/huggingface/lerobot/issues/3433, where a mean for each sample counted the "
            "padding; the same in https://github.com/dmlc/gluon-nlp/issues/238",
        ),
        Misconception(
            name="both are sample-weighted",
            answer=lambda squared_error, action_mask: (shares_of_samples(squared_error, action_mask)[1],) * 2,
            message=(
                "Your first is the same as your second. One mean over all entries knows nothing of samples: there a "
                "sample's share is its *sum*, divided by the sum of all."
            ),
            source="the two are easily taken for one, https://github.com/huggingface/transformers/issues/34510",
        ),
        Misconception(
            name="parts, not shares",
            answer=_contributions,
            message=(
                "Your parts are right, and they add up to the loss. A share is a part of the whole: divide by the "
                "loss, and they add up to 1."
            ),
            source="our own",
        ),
        Misconception(
            name="weights without errors",
            answer=_weights_of_samples,
            message=(
                "You counted entries and samples, and left the errors out: that is each sample's share if all errors "
                "are the same. A sample that predicts well has a smaller part of the loss."
            ),
            source="our own",
        ),
        Misconception(
            name="padding counts",
            answer=lambda squared_error, action_mask: shares_of_samples(squared_error, torch.ones_like(action_mask)),
            message=(
                "You summed all entries, padding included. If both of your results are the same, that is why: without "
                "a mask every sample has as many entries as any other."
            ),
            source="openpi's loss takes all 32 dims, which a user's pull request would change, "
            "https://github.com/Physical-Intelligence/openpi/pull/871",
        ),
        Misconception(
            name="the samples' steps are counted",
            answer=_steps_counted,
            message=(
                "Your first is right. In your second a sample's sum is divided by its number of *steps*, so a robot "
                "with many dims has too large a share: divide by its number of entries."
            ),
            source="the first fix of LeRobot's denominators, https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda squared_error, action_mask: shares_of_samples(squared_error, ~action_mask),
            message=(
                "Your shares are those of the padding. In `action_mask` True = real, and only those entries belong to "
                "the loss."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
    ),
    hints=(
        "Two numbers for each sample: the sum of its real errors, and their mean.",
        "Sums and counts over steps and dims, `dim=(1, 2)`, with the mask in both. In one loss the sums are added, in "
        "the other one the means.",
        "`sums / sums.sum()` and `means / means.sum()`: whatever both losses divide by at the end cancels out.",
    ),
    lesson="Neither is a law: one asks what an entry is worth, the other what a robot is worth.",
)


# ------------------------------------------------------------------------------------------------------------- 3.5


def part_of_last_action(squared_error, action_is_pad):
    recorded = (~action_is_pad).sum(dim=1, keepdim=True)
    about_the_last = torch.arange(action_is_pad.shape[1]) >= recorded - 1
    return (squared_error * about_the_last).sum(dim=1) / squared_error.sum(dim=1)


def _padded_behind(recorded: list[int], action_horizon: int) -> Tensor:
    return torch.arange(action_horizon) >= torch.tensor(recorded)[:, None]


def _part_of_last_action_cases():
    return (
        (torch.ones(1, 16, dtype=torch.float64), _padded_behind([8], 16)),
        (_whole([[1, 2, 3, 4], [1, 2, 3, 4]]), _padded_behind([2, 4], 4)),
        (_errors(351, 5, 7), _padded_behind([1, 7, 3, 6, 2], 7)),
        (_errors(352, 3, 13), _padded_behind([5, 11, 2], 13)),
        (_errors(353, 3, 3), _padded_behind([2, 1, 3], 3)),
    )


def _the_last_recorded(squared_error, action_is_pad):
    return squared_error.gather(1, (~action_is_pad).sum(dim=1, keepdim=True) - 1)[:, 0]


PART_OF_LAST_ACTION = Exercise(
    id="3.5",
    title="One action, many times",
    task=(
        "Chunks that reach beyond the end of their episode are filled up with copies of the last recorded action. "
        "GR00T N1.5's loss counts copies like recorded steps. `squared_error` (batch, action_horizon; float64) is the "
        "error of each step; copies have errors of their own, since each is noised anew. `action_is_pad` (batch, "
        "action_horizon; bool, LeRobot's polarity: True = a copy) is True after the last recorded step, and every "
        "chunk has one. Return which part of each chunk's loss is about the last recorded action, **the recorded step "
        "and its copies together** (batch; float64; 1 = all of it)."
    ),
    minutes=6,
    difficulty=2,
    reference=part_of_last_action,
    cases=_part_of_last_action_cases,
    misconceptions=(
        Misconception(
            name="copies are masked",
            answer=lambda squared_error, action_is_pad: (
                _the_last_recorded(squared_error, action_is_pad) / (squared_error * ~action_is_pad).sum(dim=1)
            ),
            message=(
                "You left the copies out, above the line and below. That is N1.7's loss in LeRobot, and an eighth in "
                "the first case; N1.5 counts them."
            ),
            source="the other convention, huggingface/lerobot at 7427f318, processor_groot.py 1943-1972",
        ),
        Misconception(
            name="the copies alone",
            answer=lambda squared_error, action_is_pad: (
                (squared_error * action_is_pad).sum(dim=1) / squared_error.sum(dim=1)
            ),
            message=(
                "You summed the copies only: a half in the first case. The last recorded step is the same action, "
                "recorded: it belongs to them."
            ),
            source="our own",
        ),
        Misconception(
            name="the recorded step alone",
            answer=lambda squared_error, action_is_pad: (
                _the_last_recorded(squared_error, action_is_pad) / squared_error.sum(dim=1)
            ),
            message=(
                "You took the last recorded step and left its copies to nobody. Each of them asks for the same action: "
                "they belong to it."
            ),
            source="our own",
        ),
        Misconception(
            name="the end of the chunk",
            answer=lambda squared_error, action_is_pad: squared_error[:, -1] / squared_error.sum(dim=1),
            message=(
                "You took the last step of the chunk, which is one of the copies. Where the recording ended is not in "
                "the shape: `action_is_pad` says it."
            ),
            source="our own",
        ),
        Misconception(
            name="steps are counted, errors left out",
            answer=lambda squared_error, action_is_pad: (
                (action_is_pad.sum(dim=1) + 1.0).to(squared_error.dtype) / action_is_pad.shape[1]
            ),
            message=(
                "You counted steps: right if all errors are the same, as in the first case. A part of the loss is a "
                "part of the *errors*: sum those."
            ),
            source="our own",
        ),
        Misconception(
            name="measured by the recorded steps",
            answer=lambda squared_error, action_is_pad: (
                part_of_last_action(squared_error, action_is_pad)
                * squared_error.sum(dim=1)
                / (squared_error * ~action_is_pad).sum(dim=1)
            ),
            message=(
                "You divided by the errors of the recorded steps, and the copies stand above the line: your part can "
                "be larger than 1. N1.5's sum has all steps, so divide by all."
            ),
            source="our own; numerator and denominator that do not belong together, as in "
            "https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="action_is_pad is read upside down",
            answer=lambda squared_error, action_is_pad: (
                (squared_error * ~action_is_pad).sum(dim=1) / squared_error.sum(dim=1)
            ),
            message=(
                "You summed the recorded steps. In `action_is_pad` True = a copy, and those are the ones that belong "
                "to the last action, together with the step before them."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the sum is not a part",
            answer=lambda squared_error, action_is_pad: (
                part_of_last_action(squared_error, action_is_pad) * squared_error.sum(dim=1)
            ),
            message=(
                "You summed the right errors. Asked for is their part of the chunk's loss: divide by the sum over all "
                "steps."
            ),
            source="our own",
        ),
        Misconception(
            name="part of the whole batch",
            answer=lambda squared_error, action_is_pad: (
                part_of_last_action(squared_error, action_is_pad) * squared_error.sum(dim=1) / squared_error.sum()
            ),
            message=(
                "You divided by the errors of all chunks. Asked for is the part of each chunk's own loss: sum over "
                "its steps only, `dim=1`."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Which steps are about the last recorded action? The copies, and one more.",
        "With `n` recorded steps, counted from 0, these are the steps from `n - 1` on. `n` is a sum over "
        "`~action_is_pad`.",
        "`torch.arange(action_horizon) >= n - 1`, with `n` of shape (batch, 1), is a mask of shape (batch, "
        "action_horizon). Sum the errors under it, and divide by the sum of all.",
    ),
    lesson="8 recorded steps of 16 and equal errors: nine sixteenths of the loss ask for one action.",
)


# ------------------------------------------------------------------------------------------------------------- 3.6


def gradient(velocity_pred, velocity_target, action_mask):
    error = torch.where(action_mask, velocity_pred - velocity_target, 0.0)
    return 2 * error / action_mask.sum()


def _gradient_cases():
    pred = _whole([[[5, 1, 0], [3, 0, 0]], [[15, 4, 6], [0, 0, 0]]])
    target = _whole([[[10, 3, torch.inf], [13, 6, 6]], [[5, 24, 1], [torch.inf, -torch.inf, 2]]])
    mask = torch.tensor([[[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]]).bool()

    def random(seed, *shape):
        mask = _masks(seed, *shape)
        target, coins = _random(seed + 1, *shape), _random(seed + 2, *shape)
        target = torch.where(~mask & (coins < -0.3), -torch.inf, target)
        return _random(seed + 3, *shape), torch.where(~mask & (coins > 0.5), torch.inf, target), mask

    return (
        (pred, target, mask),
        random(361, 2, 5, 7),
        random(365, 5, 3, 11),
        random(369, 3, 7, 5),
        random(373, 3, 3, 3),
    )


def _no_infinity(values):
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _wrong_divisor(divisor):
    """The right gradient, divided by another number."""
    return lambda pred, target, action_mask: (
        gradient(pred, target, action_mask) * action_mask.sum() / divisor(action_mask)
    )


GRADIENT = Exercise(
    id="3.6",
    title="The gradient, with infinity in the padding",
    task=(
        "A finite loss can send a NaN back into the network, so check the gradient. `velocity_pred` and "
        "`velocity_target` (batch, action_horizon, padded_dim; float64), `action_mask` (the same shape; bool, True = "
        "real). **Where the mask is False, the target may hold anything, infinity too**; where it is True, all is "
        "finite. The loss is the mean of the squared error over all real entries of the batch. Return its gradient "
        "with respect to `velocity_pred` (the same shape; float64), 0 where nothing is real. Let autograd find it, or "
        "write down the derivative."
    ),
    minutes=8,
    difficulty=3,
    reference=gradient,
    cases=_gradient_cases,
    misconceptions=(
        Misconception(
            name="masked after the arithmetic",
            answer=lambda pred, target, action_mask: 2 * (pred - target) * action_mask / action_mask.sum(),
            message=(
                "Your gradient is NaN where the target is infinite: 0 times infinity. If autograd found it, the mask "
                "came after the square, and `torch.where`, `masked_fill` or `[action_mask]` on the squares does not "
                "help on the way back; apply the mask to the error, before it is squared or multiplied."
            ),
            source="https://github.com/pytorch/pytorch/issues/89543 and "
            "https://github.com/pytorch/pytorch/issues/68425",
        ),
        Misconception(
            name="what is finite taken for the mask",
            answer=lambda pred, target, action_mask: gradient(pred, target, target.isfinite()),
            message=(
                "You kept every finite entry. Padding may be finite too: look at an entry where the target is a "
                "number and `action_mask` is False."
            ),
            source="Wall-X makes its mask of what is not NaN, huggingface/lerobot at 7427f318, modeling_wall_x.py 1952",
        ),
        Misconception(
            name="infinity replaced, padding counted",
            answer=lambda pred, target, action_mask: 2 * (pred - _no_infinity(target)) / target.numel(),
            message=(
                "You put 0 in place of infinity, and then all entries counted. A target of 0 is a target like any "
                "other; padding has to be left out of the sum and of the count."
            ),
            source="our own",
        ),
        Misconception(
            name="divided by every entry",
            answer=_wrong_divisor(torch.numel),
            message=(
                "Your gradient is right up to a factor: you divided by the number of all entries. That is "
                "`.mean()` after masking; count the real ones."
            ),
            source="https://github.com/huggingface/lerobot/issues/3353",
        ),
        Misconception(
            name="divided by the steps",
            answer=_wrong_divisor(lambda action_mask: action_mask.any(dim=2).sum()),
            message=(
                "Your gradient is too large by the number of dims in a step: you divided a sum over entries by a "
                "number of steps. Count entries."
            ),
            source="https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="each sample has its own mean",
            answer=_wrong_divisor(lambda action_mask: action_mask.sum(dim=(1, 2), keepdim=True) * action_mask.shape[0]),
            message=(
                "You divided by each sample's own count and by the batch: the gradient of the sample-weighted loss. "
                "Asked for is one mean over all real entries, so one count for all."
            ),
            source="the other convention, FastWAM; huggingface/lerobot 0.6.1, fastwam/wan/modular.py 1383-1396",
        ),
        Misconception(
            name="not divided",
            answer=_wrong_divisor(lambda action_mask: 1),
            message=(
                "That is the gradient of the sum. A mean divides it by the number of real entries, which is why a "
                "batch with few of them moves each entry more."
            ),
            source="our own",
        ),
        Misconception(
            name="the 2 is lost",
            answer=_wrong_divisor(lambda action_mask: 2 * action_mask.sum()),
            message=(
                "Your gradient is half of what it should be. The derivative of a square is *twice* the error; half of "
                "it belongs to a loss with a factor of a half, which GR00T's has not."
            ),
            source="our own; upstream's is the plain `F.mse_loss`, huggingface/lerobot v0.4.4, "
            "flow_matching_action_head.py 338",
        ),
        Misconception(
            name="the sign is turned round",
            answer=lambda pred, target, action_mask: -gradient(pred, target, action_mask),
            message=(
                "That is the direction of the step, or the gradient with respect to the target. Where the prediction "
                "is too large the loss grows with it, so there its gradient is positive."
            ),
            source="our own",
        ),
        Misconception(
            name="the absolute error",
            answer=lambda pred, target, action_mask: gradient(pred, target, action_mask).sign() / action_mask.sum(),
            message=(
                "Your gradient has the same size at every real entry: that of an absolute error. A squared one pulls "
                "harder the larger the error is."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, modeling_act.py 144-146 (`l1_loss`)",
        ),
    ),
    hints=(
        "Where does the infinity come in first, in the error or in its square? Hide it there, before anything is "
        "multiplied.",
        "`torch.where(action_mask, velocity_pred - velocity_target, 0.0)`: on the way back, too, nothing infinite is "
        "multiplied any more.",
        "Each real entry's derivative is twice its error, divided by the number of real entries in the batch. Or make "
        "a copy of `velocity_pred` that requires a gradient and call `torch.autograd.grad`.",
    ),
    lesson="Select, then square. With NaN in the padding instead of infinity the same line would have saved you.",
)


# ------------------------------------------------------------------------------------------------------------- 3.7


def loss_of_each_dim(velocity_pred, velocity_target, step_mask):
    error = torch.where(step_mask[:, :, None], velocity_pred - velocity_target, 0.0)
    return error.square().sum(dim=(0, 1)) / step_mask.sum()


def _loss_of_each_dim_cases():
    """Axes of one length, against the rule of this book: elsewhere a mask on the wrong axis is an error, and loud."""
    error = torch.arange(1.0, 10, dtype=torch.float64).reshape(1, 3, 3)

    def random(seed, samples, steps):
        mask = torch.rand((samples, steps), generator=torch.Generator().manual_seed(seed)) < 0.6
        mask[:, 0], mask[:, -1] = False, True
        return _random(seed + 1, samples, steps, steps), _random(seed + 2, samples, steps, steps), mask

    return (
        (error, torch.zeros_like(error), torch.tensor([[True, True, False]])),
        random(381, 1, 5),
        random(385, 3, 3),
        random(389, 7, 7),
        random(392, 1, 11),
    )


def _on_the_dims(velocity_pred, velocity_target, step_mask):
    if len(step_mask) > 1:
        return ...  # where it lands there depends on how it is written
    squared = (velocity_pred - velocity_target).square()
    return (squared * step_mask).sum(dim=(0, 1)) / step_mask.sum()


def _masked(reduce):
    """A reduction of masked squared errors (batch, step, dim) and the step mask, in the form of the exercise."""
    return lambda pred, target, step_mask: reduce((pred - target).square() * step_mask[:, :, None], step_mask)


LOSS_OF_EACH_DIM = Exercise(
    id="3.7",
    unaffected_by=("axes 0 and 1 of all arguments are swapped",),
    title="A loss for each dim, where torch will not help",
    task=(
        "Which joint is learned worst? `velocity_pred` and `velocity_target` (batch, action_horizon, action_dim; "
        "float64) of one kind of robot, so all dims are real; `step_mask` (batch, action_horizon; bool, True = the "
        "step was recorded, and at least one was in every sample). Return the loss of each dim (action_dim; float64): "
        "the mean of its squared error over all recorded steps of the batch. **In our cases there are as many steps as "
        "dims**, and one sample or just as many: torch will not complain about a mask on the wrong axis. Recorded "
        "steps need not stand together."
    ),
    minutes=7,
    difficulty=3,
    reference=loss_of_each_dim,
    cases=_loss_of_each_dim_cases,
    misconceptions=(
        Misconception(
            name="the step mask lies on the dims",
            answer=_on_the_dims,
            message=(
                "Your mask hides dims. `squared * step_mask` lines up the *last* axes, so steps meet dims and samples "
                "meet steps, and only equal lengths keep it from being an error; `step_mask[:, :, None]` gives the "
                "dims an axis of their own."
            ),
            source="padding masks broadcast along the wrong axis, https://github.com/keras-team/keras-io/pull/1046 and "
            "https://github.com/hyunwoongko/transformer/pull/40",
        ),
        Misconception(
            name="masked, then the mean over everything",
            answer=_masked(lambda squared, step_mask: squared.mean(dim=(0, 1))),
            message=(
                "Steps that were not recorded add nothing to your sum, and `.mean()` counts them below the line. "
                "Divide by the number of recorded steps."
            ),
            source="https://github.com/huggingface/lerobot/issues/3353",
        ),
        Misconception(
            name="entries are counted",
            answer=_masked(lambda squared, step_mask: squared.sum(dim=(0, 1)) / step_mask.sum() / squared.shape[2]),
            message=(
                "You divided by steps times dims: right for a sum over steps and dims. For one dim you summed "
                "recorded steps only, so count those; it is the usual mistake the other way round."
            ),
            source="right for one loss of all dims, https://github.com/huggingface/lerobot/pull/3442",
        ),
        Misconception(
            name="one loss for each step",
            answer=_masked(lambda squared, step_mask: squared.sum(dim=(0, 2)) / step_mask.sum()),
            message=(
                "You summed over the dims and kept the steps; there are as many of them, so the shape does not tell. "
                "The axes are batch, step, dim: sum over the first two."
            ),
            source="our own",
        ),
        Misconception(
            name="filled-in steps count",
            answer=lambda pred, target, step_mask: (pred - target).square().mean(dim=(0, 1)),
            message=(
                "Every step counts in your loss, whether it was recorded or not. Use `step_mask`, in the sum and in "
                "the count."
            ),
            source="openpi loses LeRobot's flag on the way, https://github.com/Physical-Intelligence/openpi/pull/894",
        ),
        Misconception(
            name="the mean of the samples' means",
            answer=_masked(
                lambda squared, step_mask: (squared.sum(dim=1) / step_mask.sum(dim=1, keepdim=True)).mean(dim=0)
            ),
            message=(
                "You took each sample's mean first, so a sample with one recorded step weighs as much as a full one. "
                "Asked for is one mean over all recorded steps."
            ),
            source="the other convention, FastWAM; huggingface/lerobot 0.6.1, fastwam/wan/modular.py 1383-1396",
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda pred, target, step_mask: loss_of_each_dim(pred, target, ~step_mask),
            message=(
                "You kept the steps that were *not* recorded. This is a `step_mask`, where True = recorded, and not "
                "LeRobot's `action_is_pad`, which says the opposite."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="one number for all dims",
            answer=_masked(lambda squared, step_mask: squared.sum() / (step_mask.sum() * squared.shape[2])),
            message=(
                "That is the loss of the batch, and it is right. Asked for is one of each dim: leave the last axis "
                "alone, and count steps."
            ),
            source="https://github.com/huggingface/lerobot/pull/3442",
        ),
        Misconception(
            name="the absolute error",
            answer=lambda pred, target, step_mask: (
                ((pred - target).abs() * step_mask[:, :, None]).sum(dim=(0, 1)) / step_mask.sum()
            ),
            message=(
                "Your mask and your count are right, and you averaged the absolute error. ACT's loss does; a flow's "
                "loss squares it."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, modeling_act.py 144-146 (`l1_loss`)",
        ),
    ),
    hints=(
        "Write the three axes of the errors down, and below them the two of the mask. Which axis has the mask not got?",
        "`step_mask[:, :, None]` has the shape (batch, action_horizon, 1). The sum goes over batch and steps, "
        "`dim=(0, 1)`.",
        "For one dim you have summed one entry for each recorded step of the batch, so `step_mask.sum()` is the number "
        "to divide by.",
    ),
    lesson="Count what you sum: here the number of steps is right, where it was the bug before.",
)


EXERCISES = (
    LOSS_OF_EACH_SAMPLE,
    LET_IN_AND_CUT_OFF,
    SHARE_OF_EACH_DIM,
    SHARES_OF_SAMPLES,
    PART_OF_LAST_ACTION,
    GRADIENT,
    LOSS_OF_EACH_DIM,
)
