"""The exercises of chapter 6: one loss for a batch in pieces, a verdict from seeds, and what a deployment shows.

The wrong answers come from public threads and code where there are any; each names its source.
"""

import torch

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "What breaks when a mask is dropped?"


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _float64(values):
    return torch.tensor(values, dtype=torch.float64)


def _pieces(seed, shape, empty=()):
    """Sums of squared errors and counts of real entries, no two alike; nothing in the pieces of `empty`."""
    generator = _generator(seed)
    count = torch.randint(3, 300, shape, generator=generator)
    error = count * (0.1 + torch.rand(shape, dtype=torch.float64, generator=generator).square())
    for place in empty:
        count[place], error[place] = 0, 0.0
    return error, count


# ------------------------------------------------------------------------------------------------------------- 6.1


def whole_batch_loss(error_sum, count):
    return error_sum.sum(dim=1) / count.sum(dim=1)


def _whole_batch_loss_cases():
    return (
        (_float64([[64.0, 240.0], [30.0, 6.0]]), torch.tensor([[16, 240], [10, 2]])),
        _pieces(1, (3, 5)),
        _pieces(2, (5, 3), empty=[(0, 0), (2, 1), (4, 1), (4, 2)]),
        _pieces(3, (2, 7)),
        _pieces(4, (3, 3), empty=[(1, 2)]),
    )


WHOLE_BATCH_LOSS = Exercise(
    id="6.1",
    title="One batch in pieces",
    task=(
        "Each row is one batch, cut into pieces. `error_sum` (batches, pieces; float64) is the sum of the squared "
        "errors over a piece's real entries, `count` (batches, pieces; int64) the number of those entries. A piece may "
        "be padding altogether: its sum is 0 and its count is 0. No batch is. Return the loss of each whole batch "
        "(batches; float64): the mean of the squared error over all its real entries."
    ),
    minutes=3,
    difficulty=1,
    reference=whole_batch_loss,
    cases=_whole_batch_loss_cases,
    misconceptions=(
        Misconception(
            name="a mean of means",
            # With an empty piece: NaN, 0, or one piece less. Whoever averages means has to choose.
            answer=lambda error, count: ... if (count == 0).any() else (error / count).mean(dim=1),
            message=(
                "You took a mean for each piece, and then the mean of those. An entry then weighs more, the fewer "
                "others its piece has. Add up first, divide once."
            ),
            source="LeRobot divides by the local count and averages, huggingface/lerobot at 7427f318, lerobot_train.py "
            "193 and 221; reported for language models in https://github.com/huggingface/transformers/issues/24725",
        ),
        Misconception(
            name="the means are added up",
            answer=lambda error, count: ... if (count == 0).any() else (error / count).sum(dim=1),
            message=(
                "You added up the means of the pieces: cut a batch into more pieces and its loss grows. Add up errors "
                "and counts instead, then divide once."
            ),
            source="a loss that grew with the number of pieces, https://github.com/agokrani/distillKitPlus/issues/5",
        ),
        Misconception(
            name="a piece without entries is NaN",
            answer=lambda error, count: (error / count * count).sum(dim=1) / count.sum(dim=1),
            message=(
                "You weighted the pieces' means by their counts, which is right, but for a piece of padding you "
                "divided 0 by 0, and NaN times 0 is NaN. The sums that you were given need no division before the end."
            ),
            source="a process whose labels are all ignored, https://github.com/allenai/OLMo-core/pull/657",
        ),
        Misconception(
            name="an empty piece counts as one entry",
            answer=lambda error, count: error.sum(dim=1) / count.clamp(min=1).sum(dim=1),
            message=(
                "You clamped the count of every piece to 1, so each piece of padding adds an entry that does not "
                "exist. Clamp nothing: the *whole* batch has entries."
            ),
            source="4 tokens divided by 5, https://github.com/radixark/miles/pull/2796",
        ),
        Misconception(
            name="divided by the number of pieces",
            answer=lambda error, count: error.mean(dim=1),
            message=(
                "You divided by how many pieces there are. What was summed are entries, so divide by how many "
                "*entries* there are, in all pieces together."
            ),
            source="our own",
        ),
        Misconception(
            name="every piece as large as the first",
            answer=lambda error, count: error.sum(dim=1) / (count[:, 0] * count.shape[1]),
            message=(
                "You took the first piece's count for all of them. That is right while each sample has as many real "
                "entries as the next, and wrong as soon as a recording ends."
            ),
            source="our own; in the note's fork every count is alike, 16 dims in all steps",
        ),
    ),
    hints=(
        "What would you divide by, if nobody had cut the batch?",
        "By the number of all its real entries: the counts of its pieces add up to it. So do the errors.",
        "Two sums along the pieces, `dim=1`, and one division.",
    ),
    lesson="Sums and counts add up, means do not: so a batch may be cut anywhere.",
)


# ------------------------------------------------------------------------------------------------------------- 6.2


def how_heavy(count):
    count = count.double()
    return count.mean(dim=1, keepdim=True) / count


def _how_heavy_cases():
    return (
        (torch.tensor([[16, 240], [5, 5]]),),
        (_pieces(11, (3, 5))[1],),
        (_pieces(12, (2, 7))[1],),
        (_pieces(13, (5, 3))[1],),
    )


HOW_HEAVY = Exercise(
    id="6.2",
    title="How heavy is an entry?",
    task=(
        "Somebody averages the means of the pieces. `count` (batches, pieces; int64, at least 1) says how many real "
        "entries each piece has; each row is one batch. For an entry of each piece: how many times as heavy is it in "
        "this mean of means as in the mean over all entries of its batch (batches, pieces; float64)? 1 = as heavy as "
        "it should be."
    ),
    minutes=5,
    difficulty=2,
    reference=how_heavy,
    cases=_how_heavy_cases,
    misconceptions=(
        Misconception(
            name="one piece beside another",
            answer=lambda count: count.amax(dim=1, keepdim=True) / count.double(),
            message=(
                "You compared each piece with the largest one: that is where the 15 comes from, 240 entries against "
                "16. Asked for is each piece beside the *right* mean: one is too heavy, and the other too light."
            ),
            source="5 tokens against 1, https://github.com/PrimeIntellect-ai/prime-rl/pull/1957",
        ),
        Misconception(
            name="upside down",
            answer=lambda count: count / count.double().mean(dim=1, keepdim=True),
            message="Yours is 1 over the answer: an entry of a *small* piece is the heavy one.",
            source="our own",
        ),
        Misconception(
            name="the means are added up",
            answer=lambda count: count.sum(dim=1, keepdim=True) / count.double(),
            message=(
                "Your proportions are right, and all of it is too large by the number of pieces: you added the means "
                "up, and they are averaged."
            ),
            source="a trainer that adds up the means, https://github.com/agokrani/distillKitPlus/issues/5",
        ),
        Misconception(
            name="its weight, not how many times",
            answer=lambda count: 1 / (count.double() * count.shape[1]),
            message=(
                "That is the weight of an entry in the mean of means. In the mean over all entries it weighs 1 over "
                "all of them; divide one by the other."
            ),
            source="our own",
        ),
        Misconception(
            name="the weight of a piece",
            answer=lambda count: torch.full(count.shape, 1 / count.shape[1], dtype=torch.float64),
            message=(
                "That is what each *piece* weighs, and all pieces alike: that they do is the trouble. Share it among "
                "the piece's entries, and compare."
            ),
            source="pieces weigh alike where their means are averaged, https://github.com/inclusionAI/AReno/issues/75",
        ),
        Misconception(
            name="the weight that a piece should have",
            answer=lambda count: count / count.double().sum(dim=1, keepdim=True),
            message=(
                "That is the part of the batch's entries that a piece has, and so the weight which it *should* have. "
                "Compare the weight that it does have, and for one entry, not for the piece."
            ),
            source="our own",
        ),
    ),
    hints=(
        "In a mean over all N entries each weighs 1/N. What does it weigh in the mean of its piece, which has n?",
        "1/n; and the mean over P pieces gives each of those means 1/P.",
        "So 1/(P n) against 1/N: N/(P n). `count.sum(dim=1, keepdim=True)` is N; take `count.double()`, for float64.",
    ),
    lesson="Beside 240 entries each of 16 counts 8 times, each of the 240 little more than half: 15 times lie between.",
)


# ------------------------------------------------------------------------------------------------------------- 6.3


def local_losses(error_sum, count):
    processes = len(error_sum)
    return error_sum * processes / count.sum()


def _local_losses_cases():
    return (
        (_float64([[64.0], [240.0]]), torch.tensor([[16], [240]])),
        _pieces(21, (3, 2)),
        _pieces(22, (2, 5), empty=[(1, slice(None)), (0, 2)]),
        _pieces(23, (5, 3), empty=[(0, 1), (3, slice(None))]),
        _pieces(24, (3, 7)),
    )


def _unless_empty(count, answer):
    """What those who divide by a local count do where it is 0 (NaN, 0, 1e-6) is up to them."""
    return ... if (count == 0).any() else answer


LOCAL_LOSSES = Exercise(
    id="6.3",
    unaffected_by=("axes 0 and 1 of `count` are swapped",),
    title="What each process calls backward on",
    task=(
        "Training runs in several processes, and each cuts its share of the batch into micro-batches. `error_sum` and "
        "`count` (both processes, micro_batches; float64 and int64) are the sum of squared errors and the number of "
        "real entries of each. A process calls backward on a loss for each of its micro-batches: their gradients *add "
        "up*. Then `DistributedDataParallel` *averages* the gradients over the processes. Return the losses "
        "(processes, micro_batches; float64) whose gradients, so added and averaged, are those of one mean over all "
        "real entries. A whole process may have nothing but padding: 0 and 0."
    ),
    minutes=6,
    difficulty=3,
    reference=local_losses,
    cases=_local_losses_cases,
    misconceptions=(
        Misconception(
            name="the average is forgotten",
            answer=lambda error, count: error / count.sum(),
            message=(
                "Your losses add up to the right one. But the gradients are *averaged* over the processes afterwards, "
                "so they come out too small by their number. Multiply by it beforehand."
            ),
            source="asked for in https://github.com/facebookresearch/fairseq/issues/494",
        ),
        Misconception(
            name="divided by the processes twice",
            answer=lambda error, count: error / (count.sum() * len(error)),
            message=(
                "You divided by the number of processes, and the average does so again. Multiply by it: that undoes "
                "the average."
            ),
            source="asked in https://github.com/NVIDIA/apex/issues/696; the answer is no",
        ),
        Misconception(
            name="each process by its own count",
            answer=lambda error, count: _unless_empty(
                count.sum(dim=1), error / count.sum(dim=1, keepdim=True).clamp(min=1)
            ),
            message=(
                "Inside a process your entries weigh alike, between processes they do not: each divides by its own "
                "count. All of them have to divide by the count of the whole batch."
            ),
            source="https://github.com/huggingface/transformers/issues/34242, where micro-batches were mended first",
        ),
        Misconception(
            name="each micro-batch by its own count",
            answer=lambda error, count: _unless_empty(count, error / (count * count.shape[1]).clamp(min=1)),
            message=(
                "That is the usual way: the mean of each micro-batch, divided by how many there are, averaged over "
                "processes. It is a mean of means, and right only while all counts are alike."
            ),
            source="huggingface/lerobot at 7427f318, lerobot_train.py 193 and 221; mended elsewhere in "
            "https://github.com/pytorch/torchtitan/pull/2206",
        ),
        Misconception(
            name="micro-batches are averaged as well",
            answer=lambda error, count: error * count.numel() / count.sum(),
            message=(
                "You undid an average over micro-batches that nobody takes: here their gradients add up. Where a "
                "library divides the loss by their number, as Accelerate does, your answer is the right one."
            ),
            source="https://github.com/huggingface/accelerate/issues/3661",
        ),
        Misconception(
            name="processes and micro-batches swapped",
            answer=lambda error, count: error * error.shape[1] / count.sum(),
            message=(
                "You multiplied by the number of micro-batches. Those add up; it is the *processes* that are averaged, "
                "the first axis."
            ),
            source="our own",
        ),
        Misconception(
            name="only processes with entries are counted",
            answer=lambda error, count: error * (count.sum(dim=1) > 0).sum() / count.sum(),
            message=(
                "You counted the processes that have a real entry. `DistributedDataParallel` divides by all of them, "
                "the one without as well."
            ),
            source="valid pieces counted instead of all, https://github.com/NVIDIA-NeMo/RL/issues/212",
        ),
    ),
    hints=(
        "First without processes: by what does every sum of errors have to be divided?",
        "By the count of the whole batch, `count.sum()`. What does the average over processes do to that?",
        "It divides by their number, so multiply by it: `len(error_sum)`.",
    ),
    lesson="One sum over processes, that of the counts, has to be known before anybody calls backward.",
)


# ------------------------------------------------------------------------------------------------------------- 6.4


def verdicts(error, seed, strict_error, strict_seed):
    by_seed = error.gather(1, seed.argsort(dim=1))
    change = by_seed - strict_error[strict_seed.argsort()]
    return (change > 0).all(dim=1).long() - (change < 0).all(dim=1).long()


def _runs(seed, changes):
    """Errors that differ from the strict head's of the same seed by `changes`, each condition in an order of its own.

    The last one stands in the strict head's order, as if by chance. Between seeds the errors lie far apart, so that
    the verdict shows in pairs alone.
    """
    generator = _generator(seed)
    conditions, runs = len(changes), len(changes[0])
    seeds = 3 * torch.randperm(4 * runs, generator=generator)[:runs] + 2
    strict = 5 + 2 * torch.randperm(runs, generator=generator).double()
    order = torch.stack([torch.randperm(runs, generator=generator) for _ in range(conditions)])
    strict_order = order[-1]
    errors = (strict + _float64(changes)).gather(1, order)
    return errors, seeds[order], strict[strict_order], seeds[strict_order]


def _verdicts_cases():
    by_hand = (
        _float64([[21.0, 11.0, 2.0], [1.0, 9.0, 25.0]]),
        torch.tensor([[7, 5, 3], [3, 5, 7]]),
        _float64([1.0, 10.0, 20.0]),
        torch.tensor([3, 5, 7]),
    )
    return (
        by_hand,
        _runs(31, [[0.3, 0.2, -0.1, 0.4, 0.5], [-0.1, -0.2, -0.3, -0.1, -0.4], [0.5, 0.1, 0.3, 0.2, 0.4]]),
        _runs(
            32,
            [
                [-0.1, -0.2, -0.3, -0.1, 9.0, -0.4, -0.2],
                [-0.5, -0.4, -0.1, -0.3, -0.2, -0.6, -0.7],
                [0.2, 0.1, 0.0, 0.4, 0.3, 0.2, 0.1],
                [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                [40.0, 41.0, 42.0, 43.0, 44.0, 45.0, 46.0],
            ],
        ),
        _runs(33, [[0.5, 0.25, 0.5], [-0.5, -0.25, 0.0], [-4.5, -4.25, -4.0], [0.1, -0.1, 0.2]]),
    )


def _by_seed(error, seed, strict_error, strict_seed):
    return error.gather(1, seed.argsort(dim=1)) - strict_error[strict_seed.argsort()]


def _all_above_less_all_below(change):
    return (change > 0).all(dim=1).long() - (change < 0).all(dim=1).long()


VERDICTS = Exercise(
    id="6.4",
    title="A verdict from seeds",
    task=(
        "Every condition was trained with the same seeds. `error` (conditions, runs; float64) holds what came of it, "
        "`seed` (conditions, runs; int64) which run had which seed; each row stands in the order in which its runs "
        "were done. `strict_error` and `strict_seed` (both runs) are the same for the strict head. Runs of one seed "
        "belong together. Return for each condition (conditions; int64) 1 = hurts, if the error is above the strict "
        "head's in *every* seed, -1 = helps, if it is below in every seed, and 0 = not seen."
    ),
    minutes=6,
    difficulty=2,
    reference=verdicts,
    cases=_verdicts_cases,
    misconceptions=(
        Misconception(
            name="paired by place",
            answer=lambda error, seed, strict_error, strict_seed: _all_above_less_all_below(error - strict_error),
            message=(
                "You compared the first run with the first, and so on. They stand in the order in which they were "
                "done, so sort both by seed before you subtract."
            ),
            source="tests of pairs that were none, https://github.com/SlopDotCash/asi/issues/24",
        ),
        Misconception(
            name="not paired at all",
            answer=lambda error, seed, strict_error, strict_seed: (
                (error.amin(dim=1) > strict_error.amax()).long() - (error.amax(dim=1) < strict_error.amin()).long()
            ),
            message=(
                "You asked whether the two ranges lie apart. Seeds differ more from each other than a mask makes of "
                "them; the strict head of the *same* seed shows what is left."
            ),
            source="all of one beside all of the other, as in https://github.com/ScrollPrize/villa/pull/1780",
        ),
        Misconception(
            name="means are compared",
            answer=lambda error, seed, strict_error, strict_seed: (
                (_by_seed(error, seed, strict_error, strict_seed).mean(dim=1)).sign().long()
            ),
            message=(
                "You compared two means, and one of them is always the larger: that is a verdict for every condition, "
                "one bad run included. Ask whether all seeds agree."
            ),
            source="the best mean wins, https://github.com/SlopDotCash/asi/issues/445",
        ),
        Misconception(
            name="the majority decides",
            answer=lambda error, seed, strict_error, strict_seed: (
                _by_seed(error, seed, strict_error, strict_seed).sign().sum(dim=1).sign().long()
            ),
            message=(
                "You let the seeds vote. Of three coins two or more always fall alike; that *all* do is rare, and "
                "rarer the more there are."
            ),
            source="our own",
        ),
        Misconception(
            name="the best seed of each",
            answer=lambda error, seed, strict_error, strict_seed: (
                (error.amin(dim=1) - strict_error.amin()).sign().long()
            ),
            message=(
                "You compared the best run of one with the best run of the other. That is how luck wins: two seeds of "
                "one method can differ more than two methods."
            ),
            source="0.7 with one seed and 0.4 with the other, "
            "https://github.com/YanjieZe/3D-Diffusion-Policy/issues/166",
        ),
        Misconception(
            name="a tie counts as worse",
            answer=lambda error, seed, strict_error, strict_seed: (
                (_by_seed(error, seed, strict_error, strict_seed) >= 0).all(dim=1).long()
                - (_by_seed(error, seed, strict_error, strict_seed) < 0).all(dim=1).long()
            ),
            message=(
                "A condition that changes nothing hurts, by your rule: you wrote `>=`. Above is above; with a tie in "
                "one seed the seeds do not agree."
            ),
            source="our own",
        ),
        Misconception(
            name="hurts and helps swapped",
            answer=lambda error, seed, strict_error, strict_seed: -verdicts(error, seed, strict_error, strict_seed),
            message="Your signs are turned round. These are errors: more is worse, and worse is 1.",
            source="our own",
        ),
    ),
    hints=(
        "Which run of the strict head does a run belong to? What has to be done before the two can be subtracted?",
        "`seed.argsort(dim=1)` is the order by seed; `error.gather(1, order)` puts each row into it.",
        "Then `(change > 0).all(dim=1)` is what hurts and `(change < 0).all(dim=1)` what helps; one minus the other.",
    ),
    lesson="If the mask did nothing, all n seeds would still agree once in 2 ** (n - 1) times: with 8, once in 128.",
)


# ------------------------------------------------------------------------------------------------------------- 6.5


def sees_else(trained_open, deployed_open, sampler, alone):
    differs = trained_open != (deployed_open & ~alone[:, None])
    shown = torch.where(trained_open[:, 0], 2, 1)  # noise, or zero
    held = torch.where(deployed_open[:, 0], sampler, 1)
    differs[:, 0] = held != shown
    return differs


def _heads(seed, heads):
    generator = _generator(seed)
    trained, deployed = torch.rand(2, heads, 4, generator=generator) < 0.5
    deployed = torch.where(torch.rand(heads, 4, generator=generator) < 0.4, trained, deployed)
    sampler = torch.randint(3, (heads,), generator=generator)
    return trained, deployed, sampler, torch.rand(heads, generator=generator) < 0.4


def _sees_else_cases():
    strict, n1_7 = [False] * 4, [True, True, True, False]
    by_hand = (
        torch.tensor([strict, n1_7, n1_7, strict]),
        torch.tensor([strict, n1_7, strict, n1_7]),
        torch.tensor([1, 0, 1, 0]),
        torch.tensor([True, False, False, False]),
    )
    return (by_hand, _heads(41, 5), _heads(42, 11), _heads(43, 13))


def _input_differs(held, shown, others):
    """An answer whose column 0 is `held != shown`."""
    return torch.cat([(held != shown)[:, None], others[:, 1:]], dim=1)


SEES_ELSE = Exercise(
    id="6.5",
    title="Does it see what training showed?",
    task=(
        "Heads are deployed under another masking than they were trained under. `trained_open` and `deployed_open` "
        "(both heads, 4; bool, True = open) have a column for each door: 0 `encoder_input`, 1 `self_attention`, 2 "
        "`vl_self_attention`, 3 `cross_attention`. Training had padding of every kind; so has the deployment, unless "
        "`alone` (heads; bool) is True: then only dims are padded. Through doors 1 to 3 "
        "padded steps and tokens are read. Through door 0 the encoder gets what padded dims hold: in training "
        "`(1 - t) * noise`; at inference what `sampler` (heads; int64) leaves: 0 = whatever comes of velocities that "
        "nobody trained (free), never the noise of training; 1 = zero, 2 = `(1 - t) * noise` (renoise). If door 0 is "
        "shut, it gets zero instead. "
        "Return (heads, 4; bool), True = training and deployment differ behind this door: in column 0 the encoder gets "
        "something else for padded dims, in the others one of the two reads padding and the other does not."
    ),
    minutes=10,
    difficulty=3,
    reference=sees_else,
    cases=_sees_else_cases,
    misconceptions=(
        Misconception(
            name="the sampler is not asked",
            answer=lambda trained, deployed, sampler, alone: _input_differs(
                deployed[:, 0], trained[:, 0], trained != (deployed & ~alone[:, None])
            ),
            message=(
                "Doors 1 to 3 are right. For door 0 you compared two switches; but an open door shows what *is* there: "
                "noise in training, and at inference whatever the sampler leaves. With a free one the same door shows "
                "two things; with zeros an open door shows what a shut one does."
            ),
            source="open in both, and a free sampler: huggingface/lerobot v0.4.4, flow_matching_action_head.py 303-307 "
            "and 359-397",
        ),
        Misconception(
            name="a shut door hides nothing",
            answer=lambda trained, deployed, sampler, alone: _input_differs(
                sampler, torch.where(trained[:, 0], 2, 1), trained != (deployed & ~alone[:, None])
            ),
            message=(
                "Doors 1 to 3 are right. For door 0 you looked at the sampler alone: behind a shut door its padding is "
                "0, whatever it holds."
            ),
            source="our own",
        ),
        Misconception(
            name="free is taken for training's noise",
            answer=lambda trained, deployed, sampler, alone: _input_differs(
                torch.where(deployed[:, 0], torch.where(sampler == 0, 2, sampler), 1),
                torch.where(trained[:, 0], 2, 1),
                trained != (deployed & ~alone[:, None]),
            ),
            message=(
                "You let the free sampler show what training showed. It begins with the same noise, and then goes "
                "where velocities lead that nobody trained. A head whose loss looks at padding learns to shrink it."
            ),
            source="the design of pi0, which supervises padding: Physical-Intelligence/openpi at 15a9616a, pi0.py 214",
        ),
        Misconception(
            name="zeros are what training showed",
            answer=lambda trained, deployed, sampler, alone: _input_differs(
                torch.where(deployed[:, 0], sampler, 1),
                torch.ones_like(sampler),
                trained != (deployed & ~alone[:, None]),
            ),
            message=(
                "You took it that padded dims are 0 in training. The clean *action* is; what the encoder gets through "
                "an open door is `(1 - t) * noise`."
            ),
            source="a comment in the note's fork, KKXiaoKang/humanoid_groot at 4a1a0c81, flow_matching_action_head.py "
            "554-555",
        ),
        Misconception(
            name="alone or not, all the same",
            answer=lambda trained, deployed, sampler, alone: sees_else(trained, deployed, sampler, alone & False),
            message=(
                "You did not look at `alone`. Where nothing is padded, an open door has nothing to show: a head that "
                "learned to live with padding gets none, though no switch was moved."
            ),
            source="padding depends on the batch, https://github.com/castorini/castor/issues/176",
        ),
        Misconception(
            name="no padding, no difference",
            answer=lambda trained, deployed, sampler, alone: torch.cat(
                [
                    sees_else(trained, deployed, sampler, alone)[:, :1],
                    ((trained != deployed) & ~alone[:, None])[:, 1:],
                ],
                dim=1,
            ),
            message=(
                "You let no door count for a head that is deployed alone. It is the other way round: training read "
                "padding through an open door, and here there is none to read."
            ),
            source="our own; https://github.com/akanyaani/gpt-2-tensorflow2.0/issues/35 sees that danger",
        ),
        Misconception(
            name="to shut a door does no harm",
            answer=lambda trained, deployed, sampler, alone: sees_else(trained, deployed, sampler, alone) & ~trained,
            message=(
                "You found the doors that were shut in training and are not now. A door that was *open* in training "
                "and is shut now differs as much: the weights have grown around what came through it."
            ),
            source="trained without a mask, asked with one, and worse for it: "
            "https://github.com/mosaicml/diffusion/pull/147",
        ),
        Misconception(
            name="shut in training is enough",
            answer=lambda trained, deployed, sampler, alone: sees_else(trained, deployed, sampler, alone) & trained,
            message=(
                "You let every door pass that was shut in training. If it is open at inference, the network gets what "
                "it never saw: the partial fix that is worse than none."
            ),
            source="a mask in training only, taken back in https://github.com/TensorAuto/OpenTau/pull/344",
        ),
        Misconception(
            name="open doors are listed",
            answer=lambda trained, deployed, sampler, alone: deployed.clone(),
            message=(
                "You listed the doors that are open. A leak that training had as well is no surprise to the network; "
                "asked for is what is *different*."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Doors 1 to 3 first: where is padding read in training, where at inference? Compare the two.",
        "Training: where the door is open. Inference: where it is open *and* there is padding, so not `alone`.",
        "Door 0: what do padded dims show? In training 2 (noise) if open, 1 (zero) if shut; at inference `sampler` if "
        "open, 1 if shut. `torch.where` makes both, `!=` compares them.",
    ),
    lesson="A mask is a contract between training and deployment: obeyed by one of the two it can be worse than none.",
)


# ------------------------------------------------------------------------------------------------------------- 6.6


def two_losses(squared_error, dim_mask, step_mask, loss, loss_denominator):
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


def _two_losses_cases():
    falls = _float64([[[[4, 4, 4], [4, 4, 4]]], [[[5, 7, 1], [1, 2, 0]]]])
    return (
        (falls, torch.tensor([[True, True, False]]), torch.tensor([[True, False]]), "open", "all"),
        (*_looks(61, 3, 2, 5, 7), "dims", "valid"),
        (*_looks(62, 2, 3, 7, 5), "dims_and_steps", "all"),
        (*_looks(63, 5, 2, 3, 11), "dims", "all"),
        (*_looks(64, 2, 5, 3, 7), "dims_and_steps", "valid"),
        (*_looks(65, 3, 3, 5, 5), "open", "valid"),
    )


def _looks(seed, looks, batch, action_horizon, padded_dim):
    """Errors, and masks with holes; in every sample something is real and something is not, along both axes."""
    generator = _generator(seed)
    squared = torch.randn(looks, batch, action_horizon, padded_dim, dtype=torch.float64, generator=generator).square()
    dim_mask = torch.rand(batch, padded_dim, generator=generator) < 0.6
    step_mask = torch.rand(batch, action_horizon, generator=generator) < 0.6
    for mask in (dim_mask, step_mask):
        mask[:, 0], mask[:, -1] = False, True
    return squared, dim_mask, step_mask


def _from_sums(answer):
    """A mistake, told by sums and counts: for each position of `loss` what it sums, and how many entries that are."""

    def mistaken(squared_error, dim_mask, step_mask, loss, loss_denominator):
        recorded = step_mask[:, :, None] & dim_mask[:, None, :]
        summed = {
            "open": torch.ones_like(recorded),
            "dims": dim_mask[:, None, :].expand_as(recorded),
            "recorded": recorded,
        }
        sums = {name: (squared_error * where).sum(dim=(1, 2, 3)) for name, where in summed.items()}
        counts = {name: where.sum() for name, where in summed.items()} | {"steps": step_mask.sum()}
        loss = "recorded" if loss == "dims_and_steps" else loss
        return answer(sums, counts, loss, counts["open" if loss_denominator == "all" else loss], loss_denominator)

    return mistaken


TWO_LOSSES = Exercise(
    id="6.6",
    title="Reported, and real",
    task=(
        "Somebody looked at a training several times, each time at the same batch. `squared_error` (looks, batch, "
        "action_horizon, padded_dim; float64, finite) is what they saw; `dim_mask` (batch, padded_dim; bool, True = "
        "the robot has this dim) and `step_mask` (batch, action_horizon; bool, True = recorded) say what is real. The "
        'training sums what its switch `loss` says: `"open"` = every entry, `"dims"` = those of real dims, in all '
        'steps, `"dims_and_steps"` = the recorded ones. It divides by what `loss_denominator` says: `"all"` = the '
        'number of all entries, `"valid"` = of those that it sums. Return a tuple of two tensors (looks; float64): the '
        "loss that training reports, and the mean of the squared error over the recorded entries."
    ),
    minutes=7,
    difficulty=2,
    reference=two_losses,
    cases=_two_losses_cases,
    misconceptions=(
        Misconception(
            name="the report is taken for the truth",
            answer=_from_sums(lambda sums, counts, loss, divisor, _: 2 * (sums[loss] / divisor,)),
            message=(
                "You gave the report twice. In the first case it falls, and the error on the recorded entries rises: "
                "the second number must not depend on the switches."
            ),
            source="a loss that stayed larger while the samples got better, "
            "https://github.com/Shark-NLP/DiffuSeq/issues/50",
        ),
        Misconception(
            name="the report is masked as it should be",
            answer=_from_sums(lambda sums, counts, *_: 2 * (sums["recorded"] / counts["recorded"],)),
            message=(
                "Your second number is right, and you gave it twice. A training reports what it *does* sum, and "
                "divides as it does: by its two switches."
            ),
            source="our own",
        ),
        Misconception(
            name="the two are swapped",
            answer=_from_sums(
                lambda sums, counts, loss, divisor, _: (
                    sums["recorded"] / counts["recorded"],
                    sums[loss] / divisor,
                )
            ),
            message="Both numbers are right. The report comes first.",
            source="our own",
        ),
        Misconception(
            name="copies count as recorded",
            answer=_from_sums(
                lambda sums, counts, loss, divisor, _: (sums[loss] / divisor, sums["dims"] / counts["dims"])
            ),
            message=(
                "Your report is right. Your second number has the copies behind the end of the recording in it: an "
                "entry is recorded if its dim *and* its step are."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354: N1.5's mask is True in every step",
        ),
        Misconception(
            name="the recorded sum is divided like the report",
            answer=_from_sums(
                lambda sums, counts, loss, divisor, _: (sums[loss] / divisor, sums["recorded"] / divisor)
            ),
            message=(
                "Your report is right. For the second number you summed the recorded entries and divided by the "
                "report's number: it is too small by as much as there is padding."
            ),
            source="https://github.com/huggingface/lerobot/issues/3353",
        ),
        Misconception(
            name="divided by what is not summed",
            answer=_from_sums(
                lambda sums, counts, loss, divisor, denominator: (
                    sums[loss] / counts["open" if denominator == "all" else "recorded"],
                    sums["recorded"] / counts["recorded"],
                )
            ),
            message=(
                'Your second number is right. In the report `"valid"` means the entries that are *summed*; you always '
                "counted the recorded ones, and a sum over more than is counted is no mean."
            ),
            source="a sum and a count that did not belong together, https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="the denominator's switch is not asked",
            answer=_from_sums(
                lambda sums, counts, loss, *_: (
                    sums[loss] / counts[loss],
                    sums["recorded"] / counts["recorded"],
                )
            ),
            message=(
                'Your second number is right. In the report you divided by what is summed in every case; with `"all"` '
                "the training divides by the number of all entries."
            ),
            source="how it should be, https://github.com/huggingface/lerobot/pull/3442; here we want what is",
        ),
        Misconception(
            name="steps are counted, not entries",
            answer=_from_sums(
                lambda sums, counts, loss, divisor, _: (sums[loss] / divisor, sums["recorded"] / counts["steps"])
            ),
            message=(
                "Your report is right. In the second number you summed entries and counted steps: it is too large by "
                "the number of real dims."
            ),
            source="https://github.com/huggingface/lerobot/pull/3377",
        ),
    ),
    hints=(
        "Two masks: what the training sums, and what was recorded. Both (batch, action_horizon, padded_dim).",
        "Recorded: `step_mask[:, :, None] & dim_mask[:, None, :]`. Summed, by `loss`: that, dims alone, or everything.",
        "Sum over `dim=(1, 2, 3)`. The report is divided by `summed.sum()` or `summed.numel()`, the other number "
        "always by `recorded.sum()`.",
    ),
    lesson="Two trainings whose switches differ report two different things: lay their second numbers side by side.",
)

EXERCISES = (WHOLE_BATCH_LOSS, HOW_HEAVY, LOCAL_LOSSES, VERDICTS, SEES_ELSE, TWO_LOSSES)
