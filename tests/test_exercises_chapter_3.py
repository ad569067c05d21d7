"""The exercises of chapter 3: on paper, against the library, and judged right or wrong however they are written.

What holds for exercises of every chapter is tested in `test_exercises.py`.
"""

import itertools

import pytest
import torch
from torch.nn.functional import mse_loss

from groot_teach import loss
from groot_teach.bugs import WRONG_LOSSES
from groot_teach.embodiments import DUAL_ARM
from groot_teach.exercises import chapter_3
from groot_teach.show.exercises import grade

EXERCISES = {exercise.id: exercise for exercise in chapter_3.EXERCISES}
STEPS_AND_DIMS = (1, 2)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def mask_of(*values):
    return torch.tensor(values).bool()


# ------------------------------------------------------------------------------------------------------- on paper


def test_a_loss_of_each_sample_on_paper():
    pred, target = tensor([[3.0, 9.0]], [[1.0, 5.0]]), tensor([[1.0, 0.0]], [[0.0, 2.0]])
    losses = chapter_3.loss_of_each_sample(pred, target, mask_of([[1, 0]], [[1, 1]]))
    assert losses.tolist() == [4, 5]  # 2 * 2; (1 + 9) / 2


def test_what_a_slice_lets_in_and_cuts_off_on_paper():
    """Two steps of dims 0 and 2 of 4, the second step filled in, and a slice to 2 dims."""
    let_in, cut_off = chapter_3.let_in_and_cut_off(mask_of([[1, 0, 1, 0], [0, 0, 0, 0]]), 2)
    assert (let_in.tolist(), cut_off.tolist()) == ([3], [1])


def test_shares_of_dims_on_paper():
    """Groups of 2 and 1: means (1 + 3) / 2 and 4, together 6."""
    shares = chapter_3.share_of_each_dim(tensor(1.0, 3.0, 4.0), torch.tensor([2, 1]))
    assert shares.tolist() == pytest.approx([1 / 12, 3 / 12, 8 / 12])


def test_a_claw_dim_has_seven_times_the_share_of_an_arm_dim():
    shares = chapter_3.share_of_each_dim(torch.ones(16, dtype=torch.float64), torch.tensor([14, 2]))
    assert (shares[15] / shares[0]).item() == pytest.approx(7)
    assert shares[14:].sum().item() == pytest.approx(0.5)


def test_shares_of_samples_on_paper():
    """Sums 4 and 6, so 40 and 60 %; means 2 and 6, so 25 and 75 %."""
    squared, mask = tensor([[1.0, 3.0]], [[6.0, 5.0]]), mask_of([[1, 1]], [[1, 0]])
    by_token, by_sample = chapter_3.shares_of_samples(squared, mask)
    assert by_token.tolist() == pytest.approx([0.4, 0.6])
    assert by_sample.tolist() == pytest.approx([0.25, 0.75])


def test_the_part_of_the_last_action_on_paper():
    part = chapter_3.part_of_last_action(torch.ones(1, 16, dtype=torch.float64), torch.arange(16)[None] >= 8)
    assert part.tolist() == [9 / 16]  # the 56 % of the chapter
    part = chapter_3.part_of_last_action(tensor([1.0, 2.0, 5.0]), mask_of([0, 0, 1]))
    assert part.tolist() == [7 / 8]


def test_a_gradient_on_paper():
    pred, target = tensor([[3.0, 0.0, 1.0]]), tensor([[1.0, torch.inf, 5.0]])
    assert chapter_3.gradient(pred, target, mask_of([[1, 0, 1]])).tolist() == [[[2, 0, -4]]]


def test_a_loss_of_each_dim_on_paper():
    error = torch.arange(1.0, 10).reshape(1, 3, 3)
    losses = chapter_3.loss_of_each_dim(error, torch.zeros_like(error), mask_of([1, 1, 0]))
    assert losses.tolist() == [(1 + 16) / 2, (4 + 25) / 2, (9 + 36) / 2]


# ----------------------------------------------------------------------------------------------- against the library


def test_losses_and_gradients_agree_with_the_library():
    for pred, target, action_mask in chapter_3.LOSS_OF_EACH_SAMPLE.cases():
        losses = chapter_3.loss_of_each_sample(pred, target, action_mask)
        assert torch.isclose(losses.mean(), loss.sample_weighted_velocity_loss(pred, target, action_mask))
        for index, of_sample in enumerate(losses):
            one = slice(index, index + 1)
            assert torch.isclose(of_sample, loss.masked_velocity_loss(pred[one], target[one], action_mask[one]))
    for pred, target, action_mask in chapter_3.GRADIENT.cases():
        leaf = pred.clone().requires_grad_()
        loss.masked_velocity_loss(leaf, target, action_mask).backward()
        assert torch.allclose(chapter_3.gradient(pred, target, action_mask), leaf.grad)
    for pred, target, step_mask in chapter_3.LOSS_OF_EACH_DIM.cases():
        for dim, of_dim in enumerate(chapter_3.loss_of_each_dim(pred, target, step_mask)):
            one = slice(dim, dim + 1)
            library = loss.masked_velocity_loss(pred[:, :, one], target[:, :, one], step_mask[:, :, None])
            assert torch.isclose(of_dim, library)


def test_shares_agree_with_what_the_library_weighs():
    for squared, action_mask in chapter_3.SHARES_OF_SAMPLES.cases():
        error = squared.sqrt()
        of_library = loss.masked_velocity_loss, loss.sample_weighted_velocity_loss
        for mine, whole in zip(chapter_3.shares_of_samples(squared, action_mask), of_library, strict=True):
            leaf = error.clone().requires_grad_()
            value = whole(leaf, torch.zeros_like(leaf), action_mask)
            value.backward()
            parts = (leaf.grad * error / 2).sum(dim=(1, 2))  # a square is half its slope times its side
            assert torch.allclose(mine, parts / value)
    squared = torch.rand(1, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    leaf = squared.sqrt().requires_grad_()
    mask = torch.ones(1, 1, 16, dtype=torch.bool)
    whole = sum(loss.group_velocity_losses(leaf, torch.zeros_like(leaf), mask, DUAL_ARM.group_slices).values())
    whole.backward()
    sizes = torch.tensor([size for _, size in DUAL_ARM.groups])
    shares = chapter_3.share_of_each_dim(squared.flatten(), sizes)
    assert torch.allclose(shares, (leaf.grad * leaf / 2 / whole).flatten())


def test_the_exhibits_of_the_library_are_called_by_the_same_names_where_each_sample_is_a_batch():
    """The last two are not wrong here: bfloat16 counts up to 256 without a mistake, and 1e-6 is nothing."""
    for wrong in WRONG_LOSSES[:4]:

        def answer(pred, target, action_mask, wrong=wrong):
            squared = (pred - target).square()
            pairs = zip(squared.split(1), action_mask.split(1), strict=True)
            return torch.stack([wrong.reduce(*pair) for pair in pairs])

        assert grade(EXERCISES["loss.1"], answer).mistake == wrong.name


# --------------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize("exercise_id", ["loss.1", "loss.2", "loss.4", "loss.6"])
def test_masks_are_no_prefix_and_no_product_and_leave_no_sample_empty(exercise_id):
    for arguments in EXERCISES[exercise_id].cases()[1:]:
        (mask,) = [value for value in arguments if isinstance(value, torch.Tensor) and value.dtype == torch.bool]
        assert mask.any(dim=2).any(dim=1).all()
        assert not mask[:, :, 0].any()
        assert not mask[0, 0].any()
        assert (mask.any(dim=1, keepdim=True) & mask.any(dim=2, keepdim=True) & ~mask).any()
        counts = mask.sum(dim=(1, 2))
        assert len(counts.unique()) > 1


def test_padding_holds_infinity_of_both_signs_and_finite_numbers_and_nothing_real_does():
    for pred, target, action_mask in chapter_3.GRADIENT.cases():
        assert pred.isfinite().all()
        assert target[action_mask].isfinite().all()
        for holds in (torch.isposinf, torch.isneginf, torch.isfinite):
            assert holds(target[~action_mask]).any()


def test_axes_are_as_long_as_each_other_where_the_task_says_so():
    for pred, _, step_mask in chapter_3.LOSS_OF_EACH_DIM.cases():
        samples, steps, dims = pred.shape
        assert steps == dims
        assert samples in (1, steps)
        assert (pred * step_mask).shape == pred.shape  # torch does not complain
        assert step_mask.any(dim=1).all()


# -------------------------------------------------------------------------------------- right, however it is written


def sample_losses_by_loops(pred, target, action_mask):
    losses = []
    for sample in range(len(pred)):
        total, count = 0.0, 0
        for step, dim in itertools.product(range(pred.shape[1]), range(pred.shape[2])):
            if action_mask[sample, step, dim]:
                total += (pred[sample, step, dim] - target[sample, step, dim]) ** 2
                count += 1
        losses.append(total / count)
    return torch.stack(losses)


def sample_losses_by_indexing(pred, target, action_mask):
    rows = zip(pred, target, action_mask, strict=True)
    return torch.stack([mse_loss(one[mask], other[mask]) for one, other, mask in rows])


def sample_losses_by_einsum(pred, target, action_mask):
    mask = action_mask.double()
    total = torch.einsum("bsd,bsd,bsd->b", pred - target, pred - target, mask)
    return total / torch.einsum("bsd->b", mask)


def sample_losses_of_nanmean(pred, target, action_mask):
    return (pred - target).square().masked_fill(~action_mask, torch.nan).flatten(1).nanmean(dim=1)


def sample_losses_with_upstreams_epsilon(pred, target, action_mask):
    squared = mse_loss(pred, target, reduction="none") * action_mask
    return squared.sum(STEPS_AND_DIMS) / (action_mask.sum(STEPS_AND_DIMS) + 1e-6)


def slices_by_loops(action_mask, head_dim):
    let_in = [sum(int(not real) for step in sample for real in step[:head_dim]) for sample in action_mask.tolist()]
    cut_off = [sum(int(real) for step in sample for real in step[head_dim:]) for sample in action_mask.tolist()]
    return torch.tensor(let_in), torch.tensor(cut_off)


def slices_by_a_dim_mask(action_mask, head_dim):
    seen = torch.arange(action_mask.shape[-1]) < head_dim
    return (seen & ~action_mask).flatten(1).sum(1), (~seen & action_mask).flatten(1).sum(1)


def slices_by_subtraction(action_mask, head_dim):
    seen = action_mask[..., :head_dim].long().sum((-2, -1))
    return action_mask.shape[1] * head_dim - seen, action_mask.long().sum((-2, -1)) - seen


def shares_by_split(squared, group_dims):
    means = [group.mean() for group in squared.split(group_dims.tolist())]
    parts = [group / len(group) for group in squared.split(group_dims.tolist())]
    return torch.cat(parts) / sum(means)


def shares_by_loops(squared, group_dims):
    parts, start = [], 0
    for size in group_dims.tolist():
        parts += [error / size for error in squared[start : start + size].tolist()]
        start += size
    return torch.tensor([part / sum(parts) for part in parts], dtype=squared.dtype)


def shares_by_membership(squared, group_dims):
    ends = group_dims.cumsum(0)
    group = (torch.arange(len(squared))[:, None] >= ends).sum(1)
    weight = 1 / group_dims.double()[group]
    return weight * squared / torch.dot(weight, squared)


def shares_by_gradient(squared, group_dims):
    errors = squared.clone().requires_grad_()
    whole = sum(group.mean() for group in errors.split(group_dims.tolist()))
    (weight,) = torch.autograd.grad(whole, errors)
    return weight * squared / whole.detach()


def sample_shares_by_loops(squared, action_mask):
    sums = [errors[mask].sum().item() for errors, mask in zip(squared, action_mask, strict=True)]
    means = [errors[mask].mean().item() for errors, mask in zip(squared, action_mask, strict=True)]
    return tensor(*(x / sum(sums) for x in sums)), tensor(*(x / sum(means) for x in means))


def sample_shares_of_contributions(squared, action_mask):
    mask = action_mask.to(squared)
    by_token = (squared * mask).sum(STEPS_AND_DIMS) / mask.sum()
    by_sample = (squared * mask).sum(STEPS_AND_DIMS) / mask.sum(STEPS_AND_DIMS) / len(mask)
    return by_token / by_token.sum(), by_sample / by_sample.sum()


def sample_shares_by_einsum(squared, action_mask):
    sums = torch.einsum("bsd,bsd->b", squared, action_mask.double())
    means = sums / action_mask.flatten(1).count_nonzero(dim=1)
    return torch.nn.functional.normalize(sums, p=1, dim=0), torch.nn.functional.normalize(means, p=1, dim=0)


def last_action_by_loops(squared, action_is_pad):
    parts = []
    for errors, pad in zip(squared.tolist(), action_is_pad.tolist(), strict=True):
        last = pad.count(False) - 1
        parts.append(sum(errors[last:]) / sum(errors))
    return torch.tensor(parts, dtype=torch.float64)


def last_action_by_shifting(squared, action_is_pad):
    end = torch.ones(len(squared), 1, dtype=torch.bool)
    next_is_pad = torch.cat([action_is_pad[:, 1:], end], dim=1)
    return (squared * (action_is_pad | next_is_pad)).sum(1) / squared.sum(1)


def last_action_as_the_rest(squared, action_is_pad):
    before = torch.arange(squared.shape[1]) + 1 < (~action_is_pad).sum(1, keepdim=True)
    return 1 - torch.where(before, squared, 0).sum(1) / squared.sum(1)


def last_action_by_scatter(squared, action_is_pad):
    recorded = (~action_is_pad).sum(1)
    wanted = torch.arange(squared.shape[1]).clamp(max=(recorded - 1)[:, None])
    by_action = torch.zeros_like(squared).scatter_add(1, wanted, squared)
    return by_action.gather(1, (recorded - 1)[:, None]).squeeze(1) / by_action.sum(1)


def gradient_by_autograd(pred, target, action_mask):
    pred = pred.clone().requires_grad_()
    error = torch.where(action_mask, pred - target, 0)
    (slope,) = torch.autograd.grad((error**2).sum() / action_mask.sum(), pred)
    return slope


def gradient_of_the_selected(pred, target, action_mask):
    pred.requires_grad_()
    mse_loss(pred[action_mask], target[action_mask]).backward()
    return pred.grad


def gradient_of_a_clean_target(pred, target, action_mask):
    leaf = pred.detach().clone().requires_grad_()
    squared = mse_loss(leaf, target.nan_to_num(posinf=0, neginf=0), reduction="none") * action_mask
    (squared.sum() / action_mask.sum()).backward()
    return leaf.grad


def gradient_written_entry_by_entry(pred, target, action_mask):
    slope = torch.zeros_like(pred)
    slope[action_mask] = 2 * (pred[action_mask] - target[action_mask]) / action_mask.sum()
    return slope


def gradient_by_the_library(pred, target, action_mask):
    pred = pred.clone().requires_grad_()
    return torch.autograd.grad(loss.masked_velocity_loss(pred, target, action_mask), pred)[0]


def gradient_with_padding_copied(pred, target, action_mask):
    target = torch.where(action_mask, target, pred)
    return (pred - target) * 2.0 / action_mask.count_nonzero()


def gradient_of_a_loss_that_is_off_by_a_constant(pred, target, action_mask):
    """A wrong loss with the right gradient: padded targets are in the sum, and no prediction is."""
    leaf = pred.clone().requires_grad_()
    squared = (leaf * action_mask - target.nan_to_num(posinf=0, neginf=0)).square()
    return torch.autograd.grad(squared.sum() / action_mask.sum(), leaf)[0]


def dim_losses_by_indexing(pred, target, step_mask):
    return ((pred[step_mask] - target[step_mask]) ** 2).mean(0)


def dim_losses_by_einsum(pred, target, step_mask):
    return torch.einsum("bsd,bs->d", (pred - target) ** 2, step_mask.double()) / step_mask.sum()


def dim_losses_by_transposing(pred, target, step_mask):
    squared = (pred - target).square().transpose(1, 2) * step_mask[:, None, :]
    return squared.sum((0, 2)) / step_mask.count_nonzero()


def dim_losses_by_loops(pred, target, step_mask):
    kept = [
        (pred[sample, step] - target[sample, step]).square()
        for sample, step in itertools.product(*map(range, step_mask.shape))
        if step_mask[sample, step]
    ]
    return torch.stack(kept).mean(dim=0)


def dim_losses_by_expanding(pred, target, step_mask):
    mask = step_mask.unsqueeze(-1).expand_as(pred).to(pred.dtype)
    return (mse_loss(pred, target, reduction="none") * mask).sum((0, 1)) / mask.sum((0, 1))


RIGHT = [
    ("loss.1", sample_losses_by_loops),
    ("loss.1", sample_losses_by_indexing),
    ("loss.1", sample_losses_by_einsum),
    ("loss.1", sample_losses_of_nanmean),
    ("loss.1", lambda pred, target, m: ((pred - target) ** 2 * m.float()).sum((1, 2)) / m.float().sum((1, 2))),
    ("loss.1", lambda pred, target, m: ((pred - target) ** 2 * m).mean((1, 2)) / m.double().mean((1, 2))),
    ("loss.1", sample_losses_with_upstreams_epsilon),
    ("loss.2", slices_by_loops),
    ("loss.2", slices_by_a_dim_mask),
    ("loss.2", slices_by_subtraction),
    ("loss.2", lambda m, head: ((m[..., :head] == 0).sum((1, 2)), (m[..., head:] == 1).sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m).sum(1)[:, :head].sum(1), m.sum(1)[:, head:].sum(1))),
    ("loss.3", shares_by_split),
    ("loss.3", shares_by_loops),
    ("loss.3", shares_by_membership),
    ("loss.3", shares_by_gradient),
    ("loss.4", sample_shares_by_loops),
    ("loss.4", sample_shares_of_contributions),
    ("loss.4", sample_shares_by_einsum),
    ("loss.5", last_action_by_loops),
    ("loss.5", last_action_by_shifting),
    ("loss.5", last_action_as_the_rest),
    ("loss.5", last_action_by_scatter),
    ("loss.6", gradient_by_autograd),
    ("loss.6", gradient_of_the_selected),
    ("loss.6", gradient_of_a_clean_target),
    ("loss.6", gradient_written_entry_by_entry),
    ("loss.6", gradient_by_the_library),
    ("loss.6", gradient_with_padding_copied),
    ("loss.6", gradient_of_a_loss_that_is_off_by_a_constant),
    ("loss.7", dim_losses_by_indexing),
    ("loss.7", dim_losses_by_einsum),
    ("loss.7", dim_losses_by_transposing),
    ("loss.7", dim_losses_by_loops),
    ("loss.7", dim_losses_by_expanding),
]


@pytest.mark.parametrize(("exercise_id", "answer"), RIGHT)
def test_a_right_answer_is_right_however_it_is_written(exercise_id, answer):
    assert grade(EXERCISES[exercise_id], answer).status == "right"


# -------------------------------------------------------------------------------------- wrong, however it is written


def square(pred, target):
    return mse_loss(pred, target, reduction="none")


def by_autograd(reduce):
    def answer(pred, target, action_mask):
        pred = pred.clone().requires_grad_()
        return torch.autograd.grad(reduce(pred, target, action_mask), pred)[0]

    return answer


def looped_to_the_last_step(squared, action_is_pad):
    parts = []
    for errors, pad in zip(squared.tolist(), action_is_pad.tolist(), strict=True):
        copies = pad.count(True)
        parts.append(sum(errors[len(errors) - copies :]) / sum(errors))
    return torch.tensor(parts, dtype=torch.float64)


def sample_by_sample(of_one):
    """From the squared errors and the mask of one sample to an answer to 3.1."""

    def answer(pred, target, action_mask):
        return torch.stack([of_one(*sample) for sample in zip(square(pred, target), action_mask, strict=True)])

    return answer


def slip_by_einsum(pred, target, step_mask):
    return torch.einsum("bsd,bd->d", square(pred, target), step_mask.double()) / step_mask.sum()


def by_counted_steps(squared, action_mask):
    parts = [errors[mask].sum() / mask.any(1).sum() for errors, mask in zip(squared, action_mask, strict=True)]
    return sample_shares_by_loops(squared, action_mask)[0], torch.stack(parts) / sum(parts)


def slip_with_an_axis_in_front(pred, target, step_mask):
    return (square(pred, target) * step_mask[:, None, :]).sum((0, 1)) / step_mask.sum()


NAMED = [
    ("loss.1", "no mask at all", lambda p, t, m: square(p, t).flatten(1).mean(1)),
    ("loss.1", "masked, then the mean over everything", lambda p, t, m: (square(p, t) * m).flatten(1).mean(1)),
    ("loss.1", "masked, then the mean over everything", lambda p, t, m: square(p * m, t * m).mean((1, 2))),
    (
        "loss.1",
        "entries summed, steps counted",
        lambda p, t, m: (square(p, t) * m).sum((1, 2)) / m.any(-1, keepdim=True).sum((1, 2)),
    ),
    ("loss.1", "steps masked, dims not", sample_by_sample(lambda e, m: e[m.any(1)].mean())),
    ("loss.1", "dims masked, steps not", sample_by_sample(lambda e, m: e[:, m.any(0)].mean())),
    (
        "loss.1",
        "the mean of the steps' means",
        sample_by_sample(lambda e, m: torch.stack([x[k].mean() for x, k in zip(e, m, strict=True) if k.any()]).mean()),
    ),
    (
        "loss.1",
        "the batch's number below the line",
        lambda p, t, m: torch.where(m, square(p, t) / m.sum(), 0).sum((1, 2)),
    ),
    ("loss.1", "one number for the whole batch", lambda p, t, m: square(p, t)[m].mean()),
    ("loss.1", "one number for the whole batch", loss.masked_velocity_loss),
    (
        "loss.1",
        "the mask is upside down",
        lambda p, t, m: square(p, t).masked_fill(m, 0).sum((1, 2)) / (~m).sum((1, 2)),
    ),
    ("loss.1", "the sum is not divided", lambda p, t, m: square(p * m, t * m).sum((1, 2))),
    ("loss.1", "the absolute error", lambda p, t, m: ((p - t).square().sqrt() * m).sum((1, 2)) / m.sum((1, 2))),
    (
        "loss.2",
        "padding behind the slice is counted",
        lambda m, head: ((m == 0).flatten(1).sum(1), m[:, :, head:].flatten(1).sum(1)),
    ),
    (
        "loss.2",
        "all that stands behind the slice is cut off",
        lambda m, head: ((~m[..., :head]).sum((1, 2)), torch.ones_like(m)[..., head:].sum((1, 2))),
    ),
    (
        "loss.2",
        "the slice goes through the steps",
        lambda m, head: tuple(half.flatten(1).sum(1) for half in ((~m)[:, :head, :], m[:, head:, :])),
    ),
    ("loss.2", "the two are swapped", lambda m, head: (m[..., head:].sum((1, 2)), (~m[..., :head]).sum((1, 2)))),
    (
        "loss.2",
        "real and padded are confused",
        lambda m, head: (m[..., :head].sum((1, 2)), (~m[..., head:]).sum((1, 2))),
    ),
    (
        "loss.2",
        "the first n dims taken for the real ones",
        lambda m, head: (
            torch.tensor([sum(max(head - sum(step), 0) for step in sample) for sample in m.tolist()]),
            torch.tensor([sum(max(sum(step) - head, 0) for step in sample) for sample in m.tolist()]),
        ),
    ),
    (
        "loss.2",
        "dims are counted, not entries",
        lambda m, head: ((m.sum(1) == 0)[:, :head].sum(1), (m.sum(1) > 0)[:, head:].sum(1)),
    ),
    (
        "loss.2",
        "filled-in steps count as real",
        lambda m, head: (
            (~m.any(1, True).expand(m.shape))[..., :head].sum((1, 2)),
            m.any(1, True).expand(m.shape)[..., head:].sum((1, 2)),
        ),
    ),
    ("loss.2", "one number for the whole batch", lambda m, head: ((~m[..., :head]).sum(), m[..., head:].sum())),
    ("loss.3", "one mean for all dims", lambda e, n: e / (len(e) * e.mean())),
    ("loss.3", "one mean for all dims", lambda e, n: torch.nn.functional.normalize(e, p=1, dim=0)),
    ("loss.3", "parts, not shares", lambda e, n: torch.cat([group / len(group) for group in e.split(n.tolist())])),
    (
        "loss.3",
        "each group is a whole of its own",
        lambda e, n: torch.cat([group / group.sum() for group in e.split(n.tolist())]),
    ),
    (
        "loss.3",
        "each group has the same share",
        lambda e, n: torch.cat([group / group.mean() / len(group) / len(n) for group in e.split(n.tolist())]),
    ),
    (
        "loss.3",
        "weights without errors",
        lambda e, n: torch.cat([torch.full_like(group, 1 / len(group) / len(n)) for group in e.split(n.tolist())]),
    ),
    (
        "loss.3",
        "larger groups weigh more",
        lambda e, n: (
            torch.cat([group * len(group) for group in e.split(n.tolist())])
            / sum(group.sum() * len(group) for group in e.split(n.tolist()))
        ),
    ),
    (
        "loss.3",
        "the group's share, given to each of its dims",
        lambda e, n: (
            torch.cat([group.mean().repeat(len(group)) for group in e.split(n.tolist())])
            / sum(group.mean() for group in e.split(n.tolist()))
        ),
    ),
    ("loss.4", "the samples' steps are counted", by_counted_steps),
    ("loss.4", "the mask is upside down", lambda e, m: sample_shares_by_loops(e, m.logical_not())),
    (
        "loss.4",
        "both are token-weighted",
        lambda e, m: (
            (e * m).sum((1, 2)) / (e * m).sum(),
            (e * m).mean((1, 2)) / (e * m).mean((1, 2)).sum(),
        ),
    ),
    ("loss.4", "both are sample-weighted", lambda e, m: (sample_shares_by_loops(e, m)[1],) * 2),
    ("loss.4", "the two are swapped", lambda e, m: sample_shares_by_loops(e, m)[::-1]),
    (
        "loss.4",
        "parts, not shares",
        lambda e, m: (
            torch.stack([x[y].sum() for x, y in zip(e, m, strict=True)]) / m.sum(),
            torch.stack([x[y].mean() for x, y in zip(e, m, strict=True)]) / len(e),
        ),
    ),
    ("loss.4", "padding counts", lambda e, m: (e.sum((1, 2)) / e.sum(), e.mean((1, 2)) / e.mean((1, 2)).sum())),
    (
        "loss.4",
        "weights without errors",
        lambda e, m: (m.sum((1, 2)).double() / m.sum(), e.new_ones(len(e)) / len(e)),
    ),
    (
        "loss.5",
        "copies are masked",
        lambda e, pad: (e * (~pad & torch.cat([pad[:, 1:], pad.new_ones(len(pad), 1)], 1))).sum(1) / (e * ~pad).sum(1),
    ),
    ("loss.5", "the copies alone", looped_to_the_last_step),
    ("loss.5", "the copies alone", lambda e, pad: torch.where(pad, e, 0).sum(1) / e.sum(1)),
    (
        "loss.5",
        "the recorded step alone",
        lambda e, pad: e[torch.arange(len(e)), (~pad).sum(1) - 1] / e.sum(1),
    ),
    ("loss.5", "the end of the chunk", lambda e, pad: (e / e.sum(1, keepdim=True))[:, -1]),
    (
        "loss.5",
        "steps are counted, errors left out",
        lambda e, pad: (1 + pad.double().sum(1)) / e.shape[1],
    ),
    (
        "loss.5",
        "steps are counted, errors left out",
        lambda e, pad: (pad.shape[1] - (~pad).sum(1).double() + 1) / pad.shape[1],
    ),
    ("loss.5", "action_is_pad is read upside down", lambda e, pad: 1 - (e * pad).sum(1) / e.sum(1)),
    (
        "loss.5",
        "measured by the recorded steps",
        lambda e, pad: last_action_by_shifting(e, pad) / (1 - (e * pad).sum(1) / e.sum(1)),
    ),
    ("loss.5", "the sum is not a part", lambda e, pad: last_action_by_shifting(e, pad) * e.sum(1)),
    ("loss.5", "part of the whole batch", lambda e, pad: last_action_by_shifting(e, pad) * e.sum(1) / e.sum()),
    ("loss.6", "masked after the arithmetic", by_autograd(lambda p, t, m: (square(p, t) * m).sum() / m.sum())),
    ("loss.6", "masked after the arithmetic", by_autograd(lambda p, t, m: ((p - t) ** 2)[m].mean())),
    (
        "loss.6",
        "masked after the arithmetic",
        by_autograd(lambda p, t, m: torch.where(m, (p - t) ** 2, 0.0).sum() / m.sum()),
    ),
    (
        "loss.6",
        "masked after the arithmetic",
        by_autograd(lambda p, t, m: (p - t).square().masked_fill(~m, 0).sum() / m.sum()),
    ),
    (
        "loss.6",
        "masked after the arithmetic",
        by_autograd(lambda p, t, m: (p - t).square().nan_to_num(posinf=0).mul(m).sum() / m.sum()),
    ),
    ("loss.6", "masked after the arithmetic", lambda p, t, m: 2 / m.sum() * m.double() * (p - t)),
    (
        "loss.6",
        "what is finite taken for the mask",
        by_autograd(lambda p, t, m: square(p[t.isfinite()], t[t.isfinite()]).mean()),
    ),
    (
        "loss.6",
        "infinity replaced, padding counted",
        by_autograd(lambda p, t, m: mse_loss(p, t.nan_to_num(0, 0, 0))),
    ),
    ("loss.6", "divided by every entry", by_autograd(lambda p, t, m: torch.where(m, p - t, 0).square().mean())),
    (
        "loss.6",
        "divided by the steps",
        by_autograd(lambda p, t, m: torch.where(m, p - t, 0).square().sum() / m.any(-1).sum()),
    ),
    ("loss.6", "each sample has its own mean", by_autograd(loss.sample_weighted_velocity_loss)),
    ("loss.6", "not divided", by_autograd(lambda p, t, m: torch.where(m, p - t, 0).square().sum())),
    ("loss.6", "the 2 is lost", lambda p, t, m: torch.where(m, p - t, 0) / m.sum()),
    ("loss.6", "the sign is turned round", lambda p, t, m: torch.where(m, t - p, 0) * 2 / m.sum()),
    ("loss.6", "the absolute error", by_autograd(lambda p, t, m: (p[m] - t[m]).abs().mean())),
    ("loss.7", "the step mask lies on the dims", lambda p, t, m: (square(p, t) * m).sum((0, 1)) / m.sum()),
    ("loss.7", "the step mask lies on the dims", slip_by_einsum),
    ("loss.7", "the step mask lies on the dims", slip_with_an_axis_in_front),
    ("loss.7", "masked, then the mean over everything", lambda p, t, m: (square(p, t) * m[..., None]).mean((0, 1))),
    (
        "loss.7",
        "entries are counted",
        lambda p, t, m: (square(p, t) * m[..., None]).sum((0, 1)) / m[..., None].expand(p.shape).sum(),
    ),
    ("loss.7", "one loss for each step", lambda p, t, m: torch.einsum("bsd,bs->s", square(p, t), m.double()) / m.sum()),
    ("loss.7", "filled-in steps count", lambda p, t, m: square(p, t).flatten(0, 1).mean(0)),
    (
        "loss.7",
        "the mean of the samples' means",
        lambda p, t, m: torch.stack([square(x[k], y[k]).mean(0) for x, y, k in zip(p, t, m, strict=True)]).mean(0),
    ),
    ("loss.7", "the mask is upside down", lambda p, t, m: square(p[~m], t[~m]).mean(0)),
    ("loss.7", "one number for all dims", lambda p, t, m: square(p[m], t[m]).mean()),
    ("loss.7", "the absolute error", lambda p, t, m: (p[m] - t[m]).abs().mean(0)),
]


@pytest.mark.parametrize(("exercise_id", "name", "answer"), NAMED)
def test_a_mistake_is_called_by_its_name_however_it_is_written(exercise_id, name, answer):
    verdict = grade(EXERCISES[exercise_id], answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def test_every_known_mistake_is_written_a_second_time():
    known = {(exercise.id, mistake.name) for exercise in EXERCISES.values() for mistake in exercise.mistakes}
    assert known == {(exercise_id, name) for exercise_id, name, _ in NAMED}


def masked_sum(p, t, m, dim=STEPS_AND_DIMS):
    return (square(p, t) * m).sum(dim)


def part_from(first):
    """The part of the steps from the last recorded one plus `first` on."""
    return lambda e, pad: (e * (torch.arange(e.shape[1]) >= (~pad).sum(1, keepdim=True) - 1 + first)).sum(1) / e.sum(1)


ONLY_WRONG = [
    ("loss.1", lambda p, t, m: masked_sum(p, t, m).sqrt() / m.sum((1, 2))),
    ("loss.1", lambda p, t, m: (masked_sum(p, t, m) / m.sum((1, 2))).sqrt()),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / m.any(1).sum(1)),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / m.sum((1, 2)).max()),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / m.sum((1, 2)) / 2),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / m.sum((1, 2)) / len(p)),
    ("loss.1", lambda p, t, m: square(p, t).sum((1, 2)) / m.sum((1, 2))),
    ("loss.1", lambda p, t, m: square(p * m, t).sum((1, 2)) / m.sum((1, 2))),
    ("loss.1", lambda p, t, m: ((p - t) * m).sum((1, 2)).square() / m.sum((1, 2))),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / (m.sum((1, 2)) - 1)),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m) / m.to(torch.bfloat16).sum((1, 2)).add(1)),
    ("loss.1", lambda p, t, m: masked_sum(p, t, m, (0, 1)) / m.sum((0, 1)).clamp(min=1)),
    ("loss.2", lambda m, head: ((~m[..., : head - 1]).sum((1, 2)), m[..., head - 1 :].sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., : head + 1]).sum((1, 2)), m[..., head + 1 :].sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., -head:]).sum((1, 2)), m[..., :-head].sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., :head]).sum((1, 2)), m.sum((1, 2)) * 0)),
    ("loss.2", lambda m, head: (m.sum((1, 2)) * 0, m[..., head:].sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., :head]).sum((1, 2)), m.sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., :head]).sum((1, 2)), (~m[..., head:]).sum((1, 2)))),
    ("loss.2", lambda m, head: (m[..., :head].sum((1, 2)), m[..., head:].sum((1, 2)))),
    ("loss.2", lambda m, head: ((~m[..., :head]).sum((0, 2)), m[..., head:].sum((0, 2)))),
    ("loss.2", lambda m, head: ((~m[..., :head]).any(-1).sum(1), m[..., head:].any(-1).sum(1))),
    ("loss.2", lambda m, head: ((~m.all(1))[:, :head].sum(1) * m.shape[1], m.all(1)[:, head:].sum(1) * m.shape[1])),
    ("loss.2", lambda m, head: ((~m[..., :head]).float().sum((1, 2)), m[..., head:].float().sum((1, 2)))),
    ("loss.3", lambda e, n: e / n.sum()),
    ("loss.3", lambda e, n: e / e.sum() * len(n)),
    ("loss.3", lambda e, n: e / n.repeat_interleave(n).double().square() / (e / n.repeat_interleave(n) ** 2).sum()),
    ("loss.3", lambda e, n: e / n.repeat_interleave(n) / len(n)),
    ("loss.3", lambda e, n: e / n.repeat_interleave(n) / e.sum()),
    ("loss.3", lambda e, n: (e / n.repeat_interleave(n)).softmax(0)),
    ("loss.3", lambda e, n: e.sqrt() / n.repeat_interleave(n) / (e.sqrt() / n.repeat_interleave(n)).sum()),
    ("loss.3", lambda e, n: shares_by_split(e.flip(0), n)),
    ("loss.3", lambda e, n: shares_by_split(e, n.flip(0))),
    ("loss.3", lambda e, n: shares_by_split(e, n).flip(0)),
    ("loss.3", lambda e, n: torch.stack([group.mean() for group in e.split(n.tolist())])),
    ("loss.3", lambda e, n: torch.ones_like(e) / len(e)),
    ("loss.4", lambda e, m: ((e * m).sum((1, 2)), (e * m).sum((1, 2)) / m.sum((1, 2)))),
    ("loss.4", lambda e, m: (sample_shares_by_loops(e, m)[0], e.new_full((len(e),), 1 / len(e)))),
    ("loss.4", lambda e, m: (m.sum((1, 2)).double() / m.sum(), sample_shares_by_loops(e, m)[1])),
    ("loss.4", lambda e, m: (sample_shares_by_loops(e, m)[0], e.mean((1, 2)) / e.mean((1, 2)).sum())),
    ("loss.4", lambda e, m: ((e * m).sum((1, 2)) / e.sum(), sample_shares_by_loops(e, m)[1])),
    ("loss.4", lambda e, m: (sample_shares_by_loops(e, m)[0], (e * m).sum((1, 2)) * m.sum((1, 2)) / (e * m).sum())),
    ("loss.4", lambda e, m: (sample_shares_by_loops(e, m)[0], (e * m).sum((1, 2)) / m.sum((1, 2)) / (e * m).sum())),
    ("loss.4", lambda e, m: tuple(x.softmax(0) for x in sample_shares_by_loops(e, m))),
    ("loss.4", lambda e, m: tuple(x * len(x) for x in sample_shares_by_loops(e, m))),
    ("loss.4", lambda e, m: sample_shares_by_loops(e.sqrt(), m)),
    ("loss.4", lambda e, m: sample_shares_by_loops(e, m.any(2, True).expand(m.shape))),
    ("loss.4", lambda e, m: sample_shares_by_loops(e, m.any(1, True).expand(m.shape))),
    ("loss.4", lambda e, m: torch.stack(sample_shares_by_loops(e, m))),
    ("loss.5", part_from(-1)),
    ("loss.5", part_from(2)),
    ("loss.5", lambda e, pad: e.max(1).values / e.sum(1)),
    ("loss.5", lambda e, pad: pad.double().mean(1)),
    ("loss.5", lambda e, pad: 1 / (~pad).sum(1).double()),
    ("loss.5", lambda e, pad: e[:, -1] * (1 + pad.sum(1)) / e.sum(1)),
    ("loss.5", lambda e, pad: (e * pad).sum(1) / (e * ~pad).sum(1)),
    ("loss.5", lambda e, pad: (e * pad).mean(1) / e.mean()),
    ("loss.5", lambda e, pad: part_from(0)(e, pad).mean(0, keepdim=True).expand(len(e))),
    ("loss.5", lambda e, pad: part_from(0)(e, pad) * 100),
    ("loss.5", lambda e, pad: part_from(0)(e, ~pad)),
    ("loss.5", lambda e, pad: part_from(0)(e.flip(1), pad)),
    ("loss.5", lambda e, pad: 1 - part_from(0)(e, pad)),
    ("loss.6", by_autograd(lambda p, t, m: (p[m] - t[m]).square().mean().sqrt())),
    ("loss.6", by_autograd(lambda p, t, m: (p[m] - t[m]).mean())),
    ("loss.6", by_autograd(lambda p, t, m: (p[m] - t[m]).pow(4).mean())),
    ("loss.6", by_autograd(lambda p, t, m: torch.nn.functional.smooth_l1_loss(p[m], t[m]))),
    ("loss.6", by_autograd(lambda p, t, m: (p[m] - t[m]).square().mean() / len(p))),
    ("loss.6", by_autograd(lambda p, t, m: (p[m] - t[m]).square().sum() / m.any(1).sum())),
    ("loss.6", by_autograd(lambda p, t, m: (p - t.nan_to_num(0, 0, 0)).square().sum() / m.sum())),
    ("loss.6", by_autograd(lambda p, t, m: (p - t).square().mean())),
    ("loss.6", lambda p, t, m: torch.where(m, p - t, torch.nan) * 2 / m.sum()),
    ("loss.6", lambda p, t, m: (p[m] - t[m]) * 2 / m.sum()),
    ("loss.6", lambda p, t, m: torch.where(m, p, 0) * 2 / m.sum()),
    ("loss.6", lambda p, t, m: torch.where(m, p - t, 0).clamp(-1, 1) * 2 / m.sum()),
    ("loss.6", lambda p, t, m: torch.nn.functional.normalize(torch.where(m, p - t, 0).flatten(), dim=0).view(p.shape)),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[..., None], (0, 1))),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[..., None], (0, 1)) / m.any(0).sum()),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[..., None], (0, 1)) / m.sum() / len(p) / 2),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[..., None], 1) / m.sum(1, keepdim=True)),
    ("loss.7", lambda p, t, m: (masked_sum(p, t, m[..., None], (0, 1)) / m.sum()).sqrt()),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[..., None], (0, 1)) / m.sum(0).clamp(min=1)),
    ("loss.7", lambda p, t, m: square(p, t).sum((0, 1)) / m.sum()),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m.flip(1)[..., None], (0, 1)) / m.sum()),
    ("loss.7", lambda p, t, m: masked_sum(p, t, m[0, :, None], (0, 1)) / (m[0].sum() * len(p))),
    ("loss.7", lambda p, t, m: (square(p, t) * m.any(0)[:, None]).sum((0, 1)) / m.any(0).sum() / len(p)),
    ("loss.7", lambda p, t, m: masked_sum(p.mT, t.mT, m[..., None], (0, 1)) / m.sum()),
]


@pytest.mark.parametrize(("exercise_id", "answer"), ONLY_WRONG)
def test_no_other_plausible_mistake_passes(exercise_id, answer):
    assert grade(EXERCISES[exercise_id], answer).status == "wrong"


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_ten_ways_to_be_wrong_and_three_to_be_right_are_tried_for_each_exercise(exercise_id):
    tried = [entry for entry in (*NAMED, *ONLY_WRONG) if entry[0] == exercise_id]
    assert len(tried) + len(EXERCISES[exercise_id].mistakes) >= 20
    assert len([entry for entry in RIGHT if entry[0] == exercise_id]) >= 3
