"""Exercises about dropped masks: one loss for a batch in pieces, a verdict from seeds, and what a deployment shows."""

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, generator, holes, normal, numbers

TITLE = "What breaks when a mask is dropped?"


def _pieces(seed, shape, empty=()):
    """Sums of squared errors and counts of real entries, no two alike; nothing in the pieces of `empty`."""
    count = torch.randint(3, 300, shape, generator=generator(seed))
    error = count * (0.1 + normal(shape, seed).square())
    for place in empty:
        count[place], error[place] = 0, 0.0
    return error, count


@exercise(
    "dropped.1",
    minutes=3,
    difficulty=1,
    cases=lambda: (
        (numbers([[64, 240], [30, 6]]), torch.tensor([[16, 240], [10, 2]])),
        _pieces(1, (3, 5)),
        _pieces(2, (5, 3), empty=[(0, 0), (2, 1), (4, 1), (4, 2)]),
        _pieces(3, (2, 7)),
    ),
    hints=(
        "What would you divide by, if nobody had cut the batch?",
        "By the number of all its real entries: the counts of its pieces add up to it. So do the errors.",
        "Two sums along the pieces, `dim=1`, and one division.",
    ),
    lesson="Sums and counts add up, means do not: so a batch may be cut anywhere.",
)
def whole_batch_loss(error_sum, count):
    """One batch in pieces

    Each row is one batch, cut into pieces. `error_sum` (batches, pieces; float64) is the sum of the squared errors over
    a piece's real entries, `count` (batches, pieces; int64) the number of those entries. A piece may be padding
    altogether: its sum is 0 and its count is 0. No batch is. Return the loss of each whole batch (batches; float64):
    the mean of the squared error over all its real entries."""
    return error_sum.sum(dim=1) / count.sum(dim=1)


@whole_batch_loss.mistake("a mean of means")
def _(error_sum, count):
    """You took a mean for each piece, and then the mean of those. An entry then weighs more, the fewer others its piece
    has. Add up first, divide once.
    Source: LeRobot divides by the local count and averages, huggingface/lerobot at 7427f318, lerobot_train.py 193 and
    221; reported for language models in https://github.com/huggingface/transformers/issues/24725"""
    means = error_sum / count
    return ... if (count == 0).any() else means.mean(dim=1)  # who averages means has to choose what 0 / 0 is


@whole_batch_loss.mistake("an empty piece counts as one entry")
def _(error_sum, count):
    """You clamped the count of every piece to 1, so each piece of padding adds an entry that does not exist. Clamp
    nothing: the *whole* batch has entries.
    Source: 4 tokens divided by 5, https://github.com/radixark/miles/pull/2796"""
    return whole_batch_loss(error_sum, count.clamp(min=1))


@exercise(
    "dropped.2",
    minutes=5,
    difficulty=2,
    cases=lambda: (
        (torch.tensor([[16, 240], [5, 5]]),),
        *(_pieces(seed, shape)[1:] for seed, shape in ((11, (3, 5)), (12, (2, 7)), (13, (5, 3)))),
    ),
    hints=(
        "In a mean over all N entries each weighs 1/N. What does it weigh in the mean of its piece, which has n?",
        "1/n; and the mean over P pieces gives each of those means 1/P.",
        "So 1/(P n) against 1/N: N/(P n). `count.sum(dim=1, keepdim=True)` is N; take `count.double()`, for float64.",
    ),
    lesson="Beside 240 entries each of 16 counts 8 times, each of the 240 little more than half: 15 times lie between.",
)
def how_heavy(count):
    """How heavy is an entry?

    Somebody averages the means of the pieces. `count` (batches, pieces; int64, at least 1) says how many real entries
    each piece has; each row is one batch. For an entry of each piece: how many times as heavy is it in this mean of
    means as in the mean over all entries of its batch (batches, pieces; float64)? 1 = as heavy as it should be."""
    count = count.double()
    return count.mean(dim=1, keepdim=True) / count


@how_heavy.mistake("one piece beside another")
def _(count):
    """You compared each piece with the largest one: that is where the 15 comes from, 240 entries against 16. Asked for
    is each piece beside the *right* mean: one is too heavy, and the other too light.
    Source: 5 tokens against 1, https://github.com/PrimeIntellect-ai/prime-rl/pull/1957"""
    return count.amax(dim=1, keepdim=True) / count.double()


@exercise(
    "dropped.3",
    minutes=6,
    difficulty=3,
    cases=lambda: (
        (numbers([[64], [240]]), torch.tensor([[16], [240]])),
        _pieces(21, (3, 2)),
        _pieces(22, (2, 5), empty=[(1, slice(None)), (0, 2)]),
        _pieces(23, (5, 3), empty=[(0, 1), (3, slice(None))]),
    ),
    hints=(
        "First without processes: by what does every sum of errors have to be divided?",
        "By the count of the whole batch, `count.sum()`. What does the average over processes do to that?",
        "It divides by their number, so multiply by it: `len(error_sum)`.",
    ),
    lesson="One sum over processes, that of the counts, has to be known before anybody calls backward.",
    unaffected_by=("axes 0 and 1 of `count` are swapped",),
)
def local_losses(error_sum, count):
    """What each process calls backward on

    Training runs in several processes, and each cuts its share of the batch into micro-batches. `error_sum` and `count`
    (both processes, micro_batches; float64 and int64) are the sum of squared errors and the number of real entries of
    each. A process calls backward on a loss for each of its micro-batches: their gradients *add up*. Then
    `DistributedDataParallel` *averages* the gradients over the processes. Return the losses (processes, micro_batches;
    float64) whose gradients, so added and averaged, are those of one mean over all real entries. A whole process may
    have nothing but padding: 0 and 0."""
    processes = len(error_sum)
    return error_sum * processes / count.sum()


@local_losses.mistake("the average is forgotten")
def _(error_sum, count):
    """Your losses add up to the right one. But the gradients are *averaged* over the processes afterwards, so they come
    out too small by their number. Multiply by it beforehand.
    Source: asked for in https://github.com/facebookresearch/fairseq/issues/494"""
    return error_sum / count.sum()


@local_losses.mistake("each micro-batch by its own count")
def _(error_sum, count):
    """That is the usual way: the mean of each micro-batch, divided by how many there are, averaged over processes. It
    is a mean of means, and right only while all counts are alike.
    Source: huggingface/lerobot at 7427f318, lerobot_train.py 193 and 221; mended elsewhere in
    https://github.com/pytorch/torchtitan/pull/2206"""
    return ... if (count == 0).any() else error_sum / count / count.shape[1]


@local_losses.mistake("micro-batches are averaged as well")
def _(error_sum, count):
    """You undid an average over micro-batches that nobody takes: here their gradients add up. Where a library divides
    the loss by their number, as Accelerate does, your answer is the right one.
    Source: https://github.com/huggingface/accelerate/issues/3661"""
    return local_losses(error_sum, count) * count.shape[1]


def _verdicts_cases():
    def runs(seed, *changes):
        """Errors of each condition, in an order of its own; the last one's is the strict head's, as if by chance."""
        source, conditions, count = generator(seed), len(changes), len(changes[0])
        seeds = 3 * torch.randperm(4 * count, generator=source)[:count] + 2
        strict = 5 + 2 * torch.randperm(count, generator=source).double()
        order = torch.stack([torch.randperm(count, generator=source) for _ in range(conditions)])
        return (strict + numbers(changes)).gather(1, order), seeds[order], strict[order[-1]], seeds[order[-1]]

    error, seed = numbers([[21, 11, 2], [1, 9, 25]]), torch.tensor([[7, 5, 3], [3, 5, 7]])
    one_bad_run, better = [-0.1, -0.2, -0.3, -0.1, 9, -0.4, -0.2], [-0.5, -0.4, -0.1, -0.3, -0.2, -0.6, -0.7]
    a_tie, nothing, far_worse = [0.2, 0.1, 0, 0.4, 0.3, 0.2, 0.1], [0.0] * 7, [40, 41, 42, 43, 44, 45, 46]
    return (
        (error, seed, numbers([1, 10, 20]), seed[1]),
        runs(31, [0.3, 0.2, -0.1, 0.4, 0.5], [-0.1, -0.2, -0.3, -0.1, -0.4], [0.5, 0.1, 0.3, 0.2, 0.4]),
        runs(32, one_bad_run, better, a_tie, nothing, far_worse),
        runs(33, [0.5, 0.25, 0.5], [-0.5, -0.25, 0], [-4.5, -4.25, -4], [0.1, -0.1, 0.2]),
    )


@exercise(
    "dropped.4",
    minutes=6,
    difficulty=2,
    cases=_verdicts_cases,
    hints=(
        "Which run of the strict head does a run belong to? What has to be done before the two can be subtracted?",
        "`seed.argsort(dim=1)` is the order by seed; `error.gather(1, order)` puts each row into it.",
        "Then `(change > 0).all(dim=1)` is what hurts and `(change < 0).all(dim=1)` what helps; one minus the other.",
    ),
    lesson="If the mask did nothing, all n seeds would still agree once in 2 ** (n - 1) times: with 8, once in 128.",
)
def verdicts(error, seed, strict_error, strict_seed):
    """A verdict from seeds

    Every condition was trained with the same seeds. `error` (conditions, runs; float64) holds what came of it, `seed`
    (conditions, runs; int64) which run had which seed; each row stands in the order in which its runs were done.
    `strict_error` and `strict_seed` (both runs) are the same for the strict head. Runs of one seed belong together.
    Return for each condition (conditions; int64) 1 = hurts, if the error is above the strict head's in *every* seed, -1
    = helps, if it is below in every seed, and 0 = not seen."""
    by_seed = error.gather(1, seed.argsort(dim=1))
    change = by_seed - strict_error[strict_seed.argsort()]
    return (change > 0).all(dim=1).long() - (change < 0).all(dim=1).long()


@verdicts.mistake("paired by place")
def _(error, seed, strict_error, strict_seed):
    """You compared the first run with the first, and so on. They stand in the order in which they were done, so sort
    both by seed before you subtract.
    Source: tests of pairs that were none, https://github.com/SlopDotCash/asi/issues/24"""
    return verdicts(error, strict_seed.expand_as(seed), strict_error, strict_seed)


@verdicts.mistake("means are compared")
def _(error, seed, strict_error, strict_seed):
    """You compared two means, and one of them is always the larger: that is a verdict for every condition, one bad run
    included. Ask whether all seeds agree.
    Source: the best mean wins, https://github.com/SlopDotCash/asi/issues/445"""
    return (error.mean(dim=1) - strict_error.mean()).sign().long()


def _sees_else_cases():
    def heads(seed, count):
        trained, deployed, same = torch.rand((3, count, 4), generator=generator(seed)) < 0.5
        sampler = torch.randint(3, (count,), generator=generator(seed + 50))
        alone = torch.rand(count, generator=generator(seed + 100)) < 0.4
        return trained, torch.where(same, trained, deployed), sampler, alone

    trained, deployed = bools("0000 1110 1110 0000"), bools("0000 1110 0000 1110")
    by_hand = trained, deployed, torch.tensor([1, 0, 1, 0]), bools("1000")[0]
    return by_hand, heads(80, 5), heads(81, 11), heads(82, 13)


@exercise(
    "dropped.5",
    minutes=10,
    difficulty=3,
    cases=_sees_else_cases,
    hints=(
        "Doors 1 to 3 first: where is padding read in training, where at inference? Compare the two.",
        "Training: where the door is open. Inference: where it is open *and* there is padding, so not `alone`.",
        "Door 0: what do padded dims show? In training 2 (noise) if open, 1 (zero) if shut; at inference `sampler` if "
        "open, 1 if shut. `torch.where` makes both, `!=` compares them.",
    ),
    lesson="A mask is a contract between training and deployment: obeyed by one of the two it can be worse than none.",
)
def sees_else(trained_open, deployed_open, sampler, alone):
    """Does it see what training showed?

    Heads are deployed under another masking than they were trained under. `trained_open` and `deployed_open` (both
    heads, 4; bool, True = open) have a column for each door: 0 `encoder_input`, 1 `self_attention`, 2
    `vl_self_attention`, 3 `cross_attention`. Training had padding of every kind; so has the deployment, unless `alone`
    (heads; bool) is True: then only dims are padded. Through doors 1 to 3 padded steps and tokens are read. Through
    door 0 the encoder gets what padded dims hold: in training `(1 - t) * noise`; at inference what `sampler` (heads;
    int64) leaves: 0 = whatever comes of velocities that nobody trained (free), never the noise of training; 1 = zero, 2
    = `(1 - t) * noise` (renoise). If door 0 is shut, it gets zero instead. Return (heads, 4; bool), True = training and
    deployment differ behind this door: in column 0 the encoder gets something else for padded dims, in the others one
    of the two reads padding and the other does not."""
    differs = trained_open != (deployed_open & ~alone[:, None])
    shown = torch.where(trained_open[:, 0], 2, 1)  # noise, or zero
    held = torch.where(deployed_open[:, 0], sampler, 1)
    differs[:, 0] = held != shown
    return differs


@sees_else.mistake("the sampler is not asked")
def _(trained_open, deployed_open, sampler, alone):
    """Doors 1 to 3 are right. For door 0 you compared two switches; but an open door shows what *is* there: noise in
    training, and at inference whatever the sampler leaves. With a free one the same door shows two things; with zeros
    an open door shows what a shut one does.
    Source: open in both, and a free sampler: huggingface/lerobot v0.4.4, flow_matching_action_head.py 303-307 and
    359-397"""
    return sees_else(trained_open, deployed_open, torch.full_like(sampler, 2), alone)


@sees_else.mistake("to shut a door does no harm")
def _(trained_open, deployed_open, sampler, alone):
    """You found the doors that were shut in training and are not now. A door that was *open* in training and is shut
    now differs as much: the weights have grown around what came through it.
    Source: trained without a mask, asked with one, and worse for it: https://github.com/mosaicml/diffusion/pull/147"""
    return sees_else(trained_open, deployed_open, sampler, alone) & ~trained_open


sees_else.mistake(bugs.training_only)(lambda trained, *rest: sees_else(trained, *rest) & trained)


def _two_losses_cases():
    def looks(seed, count, batch, action_horizon, padded_dim, *switches):
        squared = normal((count, batch, action_horizon, padded_dim), seed).square()
        return squared, holes((batch, padded_dim), seed), holes((batch, action_horizon), seed + 50), *switches

    falls = numbers([[[[4, 4, 4], [4, 4, 4]]], [[[5, 7, 1], [1, 2, 0]]]])
    return (
        (falls, bools("110"), bools("10"), "open", "all"),
        looks(61, 3, 2, 5, 7, "dims", "valid"),
        looks(62, 2, 3, 7, 5, "dims_and_steps", "all"),
        looks(63, 5, 2, 3, 11, "dims", "all"),
        looks(64, 2, 5, 3, 7, "dims_and_steps", "valid"),
        looks(65, 3, 3, 5, 5, "open", "valid"),
    )


@exercise(
    "dropped.6",
    minutes=7,
    difficulty=2,
    cases=_two_losses_cases,
    hints=(
        "Two masks: what the training sums, and what was recorded. Both (batch, action_horizon, padded_dim).",
        "Recorded: `step_mask[:, :, None] & dim_mask[:, None, :]`. Summed, by `loss`: that, dims alone, or everything.",
        "Sum over `dim=(1, 2, 3)`. The report is divided by `summed.sum()` or `summed.numel()`, the other number "
        "always by `recorded.sum()`.",
    ),
    lesson="Two trainings whose switches differ report two different things: lay their second numbers side by side.",
)
def two_losses(squared_error, dim_mask, step_mask, loss, loss_denominator):
    """Reported, and real

    Somebody looked at a training several times, each time at the same batch. `squared_error` (looks, batch,
    action_horizon, padded_dim; float64, finite) is what they saw; `dim_mask` (batch, padded_dim; bool, True = the robot
    has this dim) and `step_mask` (batch, action_horizon; bool, True = recorded) say what is real. The training sums
    what its switch `loss` says: `"open"` = every entry, `"dims"` = those of real dims, in all steps, `"dims_and_steps"`
    = the recorded ones. It divides by what `loss_denominator` says: `"all"` = the number of all entries, `"valid"` = of
    those that it sums. Return a tuple of two tensors (looks; float64): the loss that training reports, and the mean of
    the squared error over the recorded entries."""
    recorded = step_mask[:, :, None] & dim_mask[:, None, :]
    summed = {
        "open": torch.ones_like(recorded),
        "dims": dim_mask[:, None, :].expand_as(recorded),
        "dims_and_steps": recorded,
    }[loss]
    divisor = summed.sum() if loss_denominator == "valid" else summed.numel()

    def total(where):
        return (squared_error * where).sum(dim=(1, 2, 3))

    return total(summed) / divisor, total(recorded) / recorded.sum()


@two_losses.mistake("the report is taken for the truth")
def _(squared_error, dim_mask, step_mask, loss, loss_denominator):
    """You gave the report twice. In the first case it falls, and the error on the recorded entries rises: the second
    number must not depend on the switches.
    Source: a loss that stayed larger while the samples got better, https://github.com/Shark-NLP/DiffuSeq/issues/50"""
    return (two_losses(squared_error, dim_mask, step_mask, loss, loss_denominator)[0],) * 2


@two_losses.mistake("copies count as recorded")
def _(squared_error, dim_mask, step_mask, loss, loss_denominator):
    """Your report is right. Your second number has the copies behind the end of the recording in it: an entry is
    recorded if its dim *and* its step are.
    Source: huggingface/lerobot v0.4.4, processor_groot.py 353-354: N1.5's mask is True in every step"""
    copies_too = two_losses(squared_error, dim_mask, torch.ones_like(step_mask), loss, loss_denominator)[1]
    return two_losses(squared_error, dim_mask, step_mask, loss, loss_denominator)[0], copies_too


@two_losses.mistake(bugs.counts_steps)
def _(squared_error, dim_mask, step_mask, loss, loss_denominator):
    reported, real = two_losses(squared_error, dim_mask, step_mask, loss, loss_denominator)
    return reported, real * (step_mask.sum(dim=1) * dim_mask.sum(dim=1)).sum() / step_mask.sum()
