"""The exercises of chapter 6: right answers and mistakes, each written in more than one way, and both beside the real
thing: gradients, processes, heads, and the verdicts of the ablation."""

import itertools

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from train_cases import TASK, small_head

from groot_teach.chapters import check
from groot_teach.exercises import chapter_6
from groot_teach.flow import interpolate
from groot_teach.head.action_head import Observation
from groot_teach.loss import masked_velocity_loss, velocity_error_sum
from groot_teach.masks import STRICT, with_switches
from groot_teach.padding import VLBatch, action_mask_dims_and_steps
from groot_teach.training.ablation import compare

# --------------------------------------------------------------------------------- the same answer in other words


def whole_batch_by_loop(error, count):
    return torch.stack([sum(errors) / sum(counts) for errors, counts in zip(error, count, strict=True)])


def whole_batch_by_weights(error, count):
    means = torch.where(count > 0, error / count, 0.0)
    return (means * count / count.sum(1, keepdim=True)).sum(1)


def heavy_by_loop(count):
    rows = []
    for row in count.tolist():
        rows.append([(1 / (len(row) * n)) / (1 / sum(row)) for n in row])
    return torch.tensor(rows, dtype=torch.float64)


def losses_by_loop(error, count):
    out = torch.zeros_like(error)
    for process, micro_batch in itertools.product(*map(range, error.shape)):
        out[process, micro_batch] = error[process, micro_batch] / count.sum() * error.shape[0]
    return out


def verdicts_by_dict(error, seed, strict_error, strict_seed):
    strict = dict(zip(strict_seed.tolist(), strict_error.tolist(), strict=True))
    out = []
    for errors, seeds in zip(error.tolist(), seed.tolist(), strict=True):
        above = [e > strict[s] for e, s in zip(errors, seeds, strict=True)]
        below = [e < strict[s] for e, s in zip(errors, seeds, strict=True)]
        out.append(1 if all(above) else -1 if all(below) else 0)
    return torch.tensor(out)


def verdicts_by_range(error, seed, strict_error, strict_seed):
    ratio = torch.empty_like(error)
    for row, (errors, seeds) in enumerate(zip(error, seed, strict=True)):
        mine = (seeds[:, None] == strict_seed).int().argmax(dim=1)
        ratio[row] = errors / strict_error[mine]
    return torch.where(ratio.amin(1) > 1, 1, torch.where(ratio.amax(1) < 1, -1, 0))


def sees_by_loop(trained, deployed, sampler, alone):
    out = []
    for was, is_open, kind, single in zip(*(x.tolist() for x in (trained, deployed, sampler, alone)), strict=True):
        inside = ("drift", "zero", "noise")[kind] if is_open[0] else "zero"
        row = [inside != ("noise" if was[0] else "zero")]
        row += [was[door] != (is_open[door] and not single) for door in (1, 2, 3)]
        out.append(row)
    return torch.tensor(out)


def sees_by_logic(trained, deployed, sampler, alone):
    zero, noise = ~deployed[:, 0] | (sampler == 1), deployed[:, 0] & (sampler == 2)
    door_0 = torch.where(trained[:, 0], ~noise, ~zero)
    return torch.hstack([door_0[:, None], trained[:, 1:] ^ (deployed[:, 1:] & ~alone[:, None])])


def reported_by_selection(squared, dims, steps, loss, denominator):
    recorded = steps[:, :, None] & dims[:, None, :]
    where = {"open": recorded | True, "dims": dims[:, None, :] | (recorded & False), "dims_and_steps": recorded}[loss]
    divisor = {"all": recorded.numel(), "valid": int(where.sum())}[denominator]
    report = torch.stack([look[where].sum() / divisor for look in squared])
    return report, torch.stack([look[recorded].mean() for look in squared])


def reported_by_einsum(squared, dims, steps, loss, denominator):
    dims, steps = dims.double(), steps.double()
    recorded = torch.einsum("lbtd,bd,bt->l", squared, dims, steps) / torch.einsum("bd,bt->", dims, steps)
    if loss != "dims_and_steps":
        steps = torch.ones_like(steps)
    if loss == "open":
        dims = torch.ones_like(dims)
    counted = torch.einsum("bd,bt->", dims, steps)
    divisor = counted if denominator == "valid" else squared[0].numel()
    return torch.einsum("lbtd,bd,bt->l", squared, dims, steps) / divisor, recorded


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("dropped.1", whole_batch_by_loop),
        ("dropped.1", whole_batch_by_weights),
        ("dropped.1", lambda e, n: e.mean(1) / n.double().mean(1)),
        ("dropped.2", heavy_by_loop),
        ("dropped.2", lambda n: n.sum(1, keepdim=True) / (n.double() * n.shape[1])),
        ("dropped.2", lambda n: (1 / n.shape[1]) / (n.double() / n.sum(1, keepdim=True))),
        ("dropped.3", losses_by_loop),
        ("dropped.3", lambda e, n: e / (n.sum() / len(n))),
        ("dropped.3", lambda e, n: e / n.sum(1).double().mean()),
        ("dropped.4", verdicts_by_dict),
        ("dropped.4", verdicts_by_range),
        ("dropped.5", sees_by_loop),
        ("dropped.5", sees_by_logic),
        ("dropped.6", reported_by_selection),
        ("dropped.6", reported_by_einsum),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    assert check(exercise_id, answer).status == "right"


# ---------------------------------------------------------------------------------------------- and other mistakes


def mean_of_means(empty):
    """A mean of means, with what somebody does about an empty piece."""

    def answer(error, count):
        return empty(torch.where(count > 0, error / count.clamp(min=1), torch.nan))

    return answer


def per_micro_batch(eps):
    return lambda error, count: error / (count + eps) / count.shape[1]


def sees(input_differs, reads):
    """An answer in two parts: door 0, and doors 1 to 3 by who reads padding in training and at inference."""

    def answer(trained, deployed, sampler, alone):
        was, is_read = reads(trained, deployed, alone[:, None])
        out = was ^ is_read
        out[:, 0] = input_differs(trained[:, 0], deployed[:, 0], sampler)
        return out

    return answer


def right_reads(trained, deployed, alone):
    return trained, deployed & ~alone


def right_input(trained, deployed, sampler):
    return torch.where(deployed, sampler, 1) != torch.where(trained, 2, 1)


def means(error, seed, strict_error, strict_seed):
    return torch.where(error.mean(1) > strict_error.mean(), 1, torch.where(error.mean(1) < strict_error.mean(), -1, 0))


def votes(error, seed, strict_error, strict_seed):
    change = torch.stack([e[s.argsort()] for e, s in zip(error, seed, strict=True)])
    change = change - strict_error[strict_seed.argsort()]
    worse, better = (change > 0).sum(1), (change < 0).sum(1)
    return (worse > better).long() - (worse < better).long()


def not_below_is_worse(*arguments):
    right, other = verdicts_by_dict(*arguments), [*arguments]
    other[0] = arguments[0] + 1e-9
    return torch.where(right == -1, -1, verdicts_by_dict(*other).clamp(min=0))


@pytest.mark.parametrize(
    ("exercise_id", "name", "answer"),
    [
        ("dropped.1", "a mean of means", mean_of_means(lambda means: means.mean(1))),
        ("dropped.1", "a mean of means", mean_of_means(lambda means: means.nan_to_num(0.0).mean(1))),
        ("dropped.1", "a mean of means", mean_of_means(lambda means: means.nanmean(1))),
        ("dropped.1", "the means are added up", mean_of_means(lambda means: means.nansum(1))),
        ("dropped.1", "a piece without entries is NaN", lambda e, n: (e / n * (n.double() / n.sum(1)[:, None])).sum(1)),
        (
            "dropped.1",
            "an empty piece counts as one entry",
            lambda e, n: whole_batch_by_loop(e, torch.where(n == 0, 1, n)),
        ),
        ("dropped.1", "divided by the number of pieces", lambda e, n: e.sum(1) / n.shape[1]),
        ("dropped.1", "every piece as large as the first", lambda e, n: whole_batch_by_loop(e, n[:, :1].expand_as(n))),
        ("dropped.2", "one piece beside another", lambda n: n.max(1, keepdim=True).values / n.double()),
        ("dropped.2", "upside down", lambda n: 1 / heavy_by_loop(n)),
        ("dropped.2", "the means are added up", lambda n: heavy_by_loop(n) * n.shape[1]),
        ("dropped.2", "its weight, not how many times", lambda n: 1 / n.double() / n.shape[1]),
        ("dropped.2", "the weight of a piece", lambda n: n / n.double() / n.shape[1]),
        ("dropped.2", "the weight that a piece should have", lambda n: n.double() / n.sum(1)[:, None]),
        ("dropped.3", "the average is forgotten", lambda e, n: losses_by_loop(e, n) / len(n)),
        ("dropped.3", "divided by the processes twice", lambda e, n: losses_by_loop(e, n) / len(n) ** 2),
        ("dropped.3", "each process by its own count", lambda e, n: e / n.sum(1)[:, None]),
        ("dropped.3", "each process by its own count", lambda e, n: e / (n.sum(1)[:, None] + 1e-6).round()),
        ("dropped.3", "each micro-batch by its own count", per_micro_batch(0)),
        ("dropped.3", "each micro-batch by its own count", per_micro_batch(1e-9)),
        ("dropped.3", "micro-batches are averaged as well", lambda e, n: losses_by_loop(e, n) * n.shape[1]),
        ("dropped.3", "processes and micro-batches swapped", lambda e, n: losses_by_loop(e.T, n.T).T),
        ("dropped.3", "only processes with entries are counted", lambda e, n: e * n.any(1).sum() / n.sum()),
        ("dropped.4", "paired by place", lambda e, s, f, r: verdicts_by_dict(e, r.expand_as(s), f, r)),
        ("dropped.4", "not paired at all", lambda e, s, f, r: apart(e, f)),
        ("dropped.4", "means are compared", means),
        ("dropped.4", "the majority decides", votes),
        (
            "dropped.4",
            "the best seed of each",
            lambda e, s, f, r: means(e.sort(1).values[:, :1], s, f.sort().values[:1], r),
        ),
        ("dropped.4", "a tie counts as worse", not_below_is_worse),
        ("dropped.4", "hurts and helps swapped", lambda e, s, f, r: verdicts_by_dict(-e, s, -f, r)),
        ("dropped.5", "the sampler is not asked", sees(lambda was, is_open, kind: was ^ is_open, right_reads)),
        ("dropped.5", "a shut door hides nothing", sees(lambda was, _, kind: kind != 1 + was.long(), right_reads)),
        (
            "dropped.5",
            "free is taken for training's noise",
            sees(lambda was, is_open, kind: was ^ (is_open & (kind != 1)), right_reads),
        ),
        (
            "dropped.5",
            "zeros are what training showed",
            sees(lambda was, is_open, kind: is_open & (kind != 1), right_reads),
        ),
        ("dropped.5", "alone or not, all the same", sees(right_input, lambda was, is_open, alone: (was, is_open))),
        (
            "dropped.5",
            "no padding, no difference",
            sees(right_input, lambda was, is_open, alone: (was & ~alone, is_open & ~alone)),
        ),
        (
            "dropped.5",
            "to shut a door does no harm",
            sees(
                lambda was, is_open, kind: ~was & is_open & (kind != 1),
                lambda was, is_open, alone: (was, was | is_open & ~alone),
            ),
        ),
        (
            "dropped.5",
            "shut in training is enough",
            sees(
                lambda was, is_open, kind: was & ~(is_open & (kind == 2)),
                lambda was, is_open, alone: (was, was & is_open & ~alone),
            ),
        ),
        ("dropped.5", "open doors are listed", lambda was, is_open, kind, alone: is_open & True),
        ("dropped.6", "the report is taken for the truth", lambda *a: (reported_by_einsum(*a)[0],) * 2),
        (
            "dropped.6",
            "the report is masked as it should be",
            lambda *a: reported_by_einsum(*a[:3], "dims_and_steps", "valid"),
        ),
        ("dropped.6", "the two are swapped", lambda *a: reported_by_einsum(*a)[::-1]),
        (
            "dropped.6",
            "copies count as recorded",
            lambda q, d, s, *a: (reported_by_einsum(q, d, s, *a)[0], reported_by_einsum(q, d, s | True, *a)[1]),
        ),
        (
            "dropped.6",
            "the denominator's switch is not asked",
            lambda q, d, s, loss, _: reported_by_einsum(q, d, s, loss, "valid"),
        ),
        (
            "dropped.6",
            "steps are counted, not entries",
            lambda q, d, s, *a: (
                reported_by_einsum(q, d, s, *a)[0],
                torch.einsum("lbtd,bd,bt->l", q, d.double(), s.double()) / s.sum(),
            ),
        ),
    ],
)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    verdict = check(exercise_id, answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def apart(error, strict_error):
    """1 and -1 where two ranges do not meet."""
    worse = [int(min(row) > max(strict_error.tolist())) for row in error.tolist()]
    better = [int(max(row) < min(strict_error.tolist())) for row in error.tolist()]
    return torch.tensor(worse) - torch.tensor(better)


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("dropped.1", lambda e, n: (e.sum() / n.sum()).expand(len(n))),
        ("dropped.1", lambda e, n: e.sum(1) / (n.amax(1) * n.shape[1])),
        ("dropped.1", lambda e, n: e.sum(1) / (n.sum(1) + 1)),
        ("dropped.1", lambda e, n: (e.sum(1) / n.sum(1)).float()),
        ("dropped.1", lambda e, n: e.sum(1) / (n > 0).sum(1)),
        ("dropped.1", lambda e, n: e.sum(1).sqrt() / n.sum(1)),
        ("dropped.1", lambda e, n: e[:, :-1].sum(1) / n[:, :-1].sum(1)),
        ("dropped.2", lambda n: n.sum(1, keepdim=True) / (n * n.shape[1])),  # float32, as int64 by int64 gives
        ("dropped.2", lambda n: n.double().mean() / n),
        ("dropped.2", lambda n: n.double().mean(0) / n),
        ("dropped.2", lambda n: heavy_by_loop(n) * n.shape[1] / len(n)),
        ("dropped.2", lambda n: n.double().amin(1, keepdim=True) / n),
        ("dropped.2", lambda n: n.double().median(1, keepdim=True).values / n),
        ("dropped.3", lambda e, n: e * 2 / n.sum()),
        ("dropped.3", lambda e, n: e * len(n) / n.clamp(min=1).sum()),
        ("dropped.3", lambda e, n: e / n.sum(0) * len(n)),
        ("dropped.3", lambda e, n: e * len(n) / (n > 0).sum()),
        ("dropped.3", lambda e, n: (e.sum() * len(n) / n.sum()).expand_as(e)),
        ("dropped.3", lambda e, n: e.sum(1, keepdim=True).expand_as(e) * len(n) / n.sum()),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s.sort(1).values, f, r)),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s, f, r.sort().values)),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s[:1].expand_as(s), f, r)),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e.sort(1).values, s, f.sort().values, s[0])),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s, f, r).abs()),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s, f, r).clamp(min=0)),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e, s, f, r).double()),
        ("dropped.4", lambda e, s, f, r: verdicts_by_dict(e - 1e-9, s, f, r)),
        ("dropped.4", lambda e, s, f, r: torch.zeros(len(e), dtype=torch.long)),
        ("dropped.5", lambda was, is_open, kind, alone: was ^ is_open),
        ("dropped.5", lambda was, is_open, kind, alone: was & ~is_open),
        ("dropped.5", lambda was, is_open, kind, alone: ~sees_by_loop(was, is_open, kind, alone)),
        ("dropped.5", lambda was, is_open, kind, alone: sees_by_loop(was, is_open, kind, ~alone)),
        ("dropped.5", lambda was, is_open, kind, alone: sees_by_loop(is_open, was, kind, alone)),
        (
            "dropped.5",
            lambda was, is_open, kind, alone: sees_by_loop(was.flip(1), is_open.flip(1), kind, alone).flip(1),
        ),
        ("dropped.5", lambda was, is_open, kind, alone: sees_by_loop(was, is_open, (kind + 1) % 3, alone)),
        ("dropped.5", lambda was, is_open, kind, alone: sees_by_loop(was, is_open & ~alone[:, None], kind, alone)),
        ("dropped.5", lambda was, is_open, kind, alone: sees_by_loop(was, is_open, kind, alone).int()),
        ("dropped.6", lambda *a: reported_by_einsum(*a[:4], "all")),
        ("dropped.6", lambda *a: reported_by_einsum(*a[:3], "open", a[4])),
        ("dropped.6", lambda *a: reported_by_einsum(*a[:3], "dims", a[4])),
        ("dropped.6", lambda q, d, s, *a: reported_by_einsum(q, d, ~s, *a)),
        ("dropped.6", lambda q, d, s, *a: reported_by_einsum(q, ~d, s, *a)),
        ("dropped.6", lambda q, d, s, *a: reported_by_einsum(q, d, s[:1].expand_as(s), *a)),
        ("dropped.6", lambda q, d, s, *a: reported_by_einsum(q, d[:1].expand_as(d), s, *a)),
        ("dropped.6", lambda q, d, s, *a: reported_by_einsum(q.sqrt(), d, s, *a)),
        (
            "dropped.6",
            lambda q, d, s, *a: tuple(part.mean().expand(len(q)) for part in reported_by_einsum(q, d, s, *a)),
        ),
        ("dropped.6", lambda q, d, s, *a: (reported_by_einsum(q, d, s, *a)[0], means_of_samples(q, d, s))),
    ],
)
def test_another_wrong_answer_does_not_pass(exercise_id, answer):
    assert check(exercise_id, answer).status == "wrong"


def means_of_samples(squared, dims, steps):
    recorded = (steps[:, :, None] & dims[:, None, :]).double()
    return ((squared * recorded).sum((2, 3)) / recorded.sum((1, 2))).mean(1)


# -------------------------------------------------------------------------------------------------- the real thing


def entries(seed=0, batch=12):
    generator = torch.Generator().manual_seed(seed)
    pred, target = torch.randn(2, batch, 5, 7, dtype=torch.float64, generator=generator)
    real = torch.rand(batch, 5, 7, generator=generator) < torch.rand(batch, 1, 1, generator=generator)
    real[6:8] = False  # of four pieces the third is padding altogether
    return pred, target, real


def test_pieces_add_up_to_the_loss_of_the_library():
    pred, target, real = entries()
    pieces = [(pred[cut], target[cut], real[cut]) for cut in (slice(0, 1), slice(1, 6), slice(6, 8), slice(8, 12))]
    error = torch.stack([velocity_error_sum(*piece) for piece in pieces])
    count = torch.stack([real.sum() for _, _, real in pieces])
    assert count[2] == 0
    loss = chapter_6.whole_batch_loss(error[None], count[None])
    torch.testing.assert_close(loss[0], masked_velocity_loss(pred, target, real))


def test_an_entry_weighs_in_a_gradient_what_the_exercise_says():
    """16 entries and 240: autograd's weights of each of them in both means, one divided by the other."""
    error = torch.rand(256, dtype=torch.float64, requires_grad=True)
    small, large = error[:16], error[16:]
    (in_means,) = torch.autograd.grad((small.mean() + large.mean()) / 2, error)
    (in_all,) = torch.autograd.grad(error.mean(), error)
    ((of_small, of_large),) = chapter_6.how_heavy(torch.tensor([[16, 240]])).tolist()
    assert (of_small, of_large) == pytest.approx((8, 256 / 480))
    assert of_small / of_large == pytest.approx(15)
    expected = torch.tensor([of_small] * 16 + [of_large] * 240, dtype=torch.float64)
    torch.testing.assert_close(in_means / in_all, expected)


ANSWERS = {"right": chapter_6.local_losses} | {known.name: known.answer for known in chapter_6.LOCAL_LOSSES.mistakes}


def share_out():
    """For two processes with three micro-batches each: inputs, targets, and what is real. One process is all padding
    in the second share."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(2, 2, 3, 5, 4, dtype=torch.float64, generator=generator)
    y = torch.randn(2, 2, 3, 5, dtype=torch.float64, generator=generator)
    real = torch.rand(2, 2, 3, 5, generator=generator) < torch.tensor([[0.2], [0.9]])[:, :, None]
    real[..., 0] = True
    real[1, 1] = False
    return list(zip(x, y, real, strict=True))


def a_layer(outputs):
    """A linear layer, all of whose outputs are alike."""
    layer = nn.Linear(4, outputs).double()
    with torch.no_grad():
        layer.weight.copy_(torch.arange(4))
        layer.bias.fill_(0.5)
    return layer


def gradient(layer):
    """One row for each output."""
    return torch.cat([layer.weight.grad, layer.bias.grad[:, None]], dim=1)


def factors(count):
    """What each answer multiplies an error by: answer, process, micro-batch. NaN from those that leave it open."""
    given = [answer(torch.ones(count.shape, dtype=torch.float64), count) for answer in ANSWERS.values()]
    return torch.stack([torch.full(count.shape, torch.nan).double() if one is ... else one for one in given])


def one_process(rank, folder):
    """Trains a copy of the same layer for each answer at once: its outputs do not know of each other."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    gradients = []
    for x, y, real in share_out():
        layer = a_layer(len(ANSWERS))
        model, factor = DistributedDataParallel(layer), factors(real.sum(dim=-1))
        for piece in range(3):
            error = (model(x[rank, piece]) - y[rank, piece][:, None]).square() * real[rank, piece][:, None]
            (error.sum(dim=0) * factor[:, rank, piece]).sum().backward()
        gradients.append(gradient(layer))
    torch.save(gradients, f"{folder}/rank-{rank}.pt")
    distributed.destroy_process_group()


def test_in_real_processes_the_reference_gives_the_gradient_of_one_mean_and_no_mistake_does(tmp_path):
    """`DistributedDataParallel` over gloo, in two processes, micro-batches added up by backward."""
    torch.multiprocessing.spawn(one_process, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    right = []
    for gradients, (x, y, real) in zip(first, share_out(), strict=True):
        layer = a_layer(1)
        (((layer(x)[..., 0] - y).square() * real).sum() / real.sum()).backward()
        right.append(
            {name for name, row in zip(ANSWERS, gradients, strict=True) if torch.allclose(row, gradient(layer))}
        )
    assert right[0] == {"right", "only processes with entries are counted"}  # there all of them have some
    assert right[1] == {"right"}
    assert first[0].isfinite().all()  # so none of them was refused for leaving something open


def test_verdicts_are_those_of_the_ablation():
    words = {"hurts": 1, "helps": -1, "not seen": 0, "the same": 0}
    seen = set()
    for case in chapter_6.VERDICTS.cases():
        error, seed, strict_error, strict_seed = (part.tolist() for part in case)
        groups = {"strict": zip(strict_error, strict_seed, strict=True)}
        groups |= {row: zip(error[row], seed[row], strict=True) for row in range(len(error))}
        runs = [
            {"condition": condition, "amount": "some", "seed": seed, "error": error}
            for condition, pairs in groups.items()
            for error, seed in pairs
        ]
        said = [compare(runs, row, "some", lambda run: run["error"]).verdict for row in range(len(error))]
        assert chapter_6.verdicts(*case).tolist() == [words[verdict] for verdict in said]
        seen |= {*said}
    assert seen == words.keys()


def a_padded_sample():
    """A head, and one training step in which some sample has padded dims, steps and tokens, and both cameras."""
    generator = torch.Generator().manual_seed(1)
    observation, batch = TASK.draw(24, generator)
    noise = torch.randn(batch.actions.shape, dtype=torch.float64, generator=generator)
    real = observation.vl.backbone_attention_mask
    padded = ~batch.step_mask.all(1) & ~real[:, :2].any(1) & (real.int().diff(dim=1) >= 0).all(1)
    return small_head(), observation, batch, noise, int(padded.nonzero()[0])


DOORS = ("encoder_input", "self_attention", "vl_self_attention", "cross_attention")


def masking(is_open, sampler="zero"):
    """STRICT, with these doors open."""
    positions = {door: "open" if opened else "closed" for door, opened in zip(DOORS, is_open, strict=True)}
    return with_switches(STRICT, sampler=sampler, **positions)


@torch.no_grad()
def velocity(is_open, alone):
    """What a real head answers for the recorded entries of one sample: in its batch, or alone without padding."""
    head, observation, batch, noise, sample = a_padded_sample()
    head.masking = masking(is_open)
    actions, dim_mask, step_mask = batch.actions, batch.dim_mask, batch.step_mask
    recorded = action_mask_dims_and_steps(dim_mask, step_mask)[sample]
    if alone:
        one, vl = slice(sample, sample + 1), observation.vl
        steps, real = int(step_mask[sample].sum()), vl.backbone_attention_mask[sample]
        tokens = VLBatch(*(part[one][:, real] for part in (vl.tokens, vl.backbone_attention_mask, vl.image_mask)))
        observation = Observation(tokens, observation.state[one], observation.embodiment_id[one])
        actions, noise, dim_mask = actions[one, :steps], noise[one, :steps], dim_mask[one]
        step_mask, recorded, sample = step_mask[one, :steps], recorded[:steps], 0
        assert tokens.backbone_attention_mask.all()
        assert step_mask.all()
    t = torch.full((len(actions),), 0.3, dtype=torch.float64)
    answer = head(observation, interpolate(actions, noise, t), t, dim_mask, step_mask)
    return answer[sample][recorded]


def test_a_real_head_answers_otherwise_where_doors_1_to_3_are_said_to_differ_and_nowhere_else():
    """All 128 ways to train and to deploy, one sample: the same answer if and only if nothing differs."""
    doors = [(False, *rest) for rest in itertools.product((False, True), repeat=3)]
    answers = {(door, alone): velocity(door, alone) for door in doors for alone in (False, True)}
    for trained, deployed, alone in itertools.product(doors, doors, (False, True)):
        said = chapter_6.sees_else(*map(torch.tensor, ([trained], [deployed], [1], [alone])))
        same = torch.allclose(answers[trained, False], answers[deployed, alone], rtol=0, atol=1e-12)
        assert same == (not said.any()), (trained, deployed, alone)


def test_a_real_encoder_gets_something_else_where_door_0_is_said_to_differ_and_nowhere_else():
    """What comes in at the action encoder for padded dims, at the sampler's four flow times."""
    head, observation, batch, noise, _ = a_padded_sample()
    seen = []
    head.action_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    padded = (~batch.dim_mask[:, None] & batch.step_mask[..., None]).expand_as(noise)
    arrived = {}
    for trained in (False, True):
        head.masking = masking((trained, False, False, False))
        for step in range(4):
            head.loss(observation, batch, noise, torch.full((24,), step / 4, dtype=torch.float64))
        arrived[trained] = torch.stack(seen)[:, padded]
        seen.clear()
    samplers = ("free", "zero", "renoise")
    for trained, deployed, sampler in itertools.product((False, True), (False, True), range(3)):
        head.masking = masking((deployed, False, False, False), samplers[sampler])
        head.sample(observation, noise, batch.dim_mask, batch.step_mask)
        here = torch.stack(seen)[:, padded]
        seen.clear()
        was, is_open = ([[opened, False, False, False]] for opened in (trained, deployed))
        said = chapter_6.sees_else(*map(torch.tensor, (was, is_open, [sampler], [False])))[0, 0]
        assert torch.allclose(here, arrived[trained], rtol=0, atol=1e-12) == (not said), (trained, deployed, sampler)


@pytest.mark.parametrize("loss", ["open", "dims", "dims_and_steps"])
@pytest.mark.parametrize("denominator", ["all", "valid"])
def test_a_real_head_reports_what_the_exercise_says(loss, denominator):
    head, observation, batch, noise, _ = a_padded_sample()
    head.masking = with_switches(STRICT, loss=loss, loss_denominator=denominator)
    answer = head.loss(observation, batch, noise, torch.full((24,), 0.3, dtype=torch.float64))
    squared = (answer.velocity_pred - answer.velocity_target).square().detach()
    reported, recorded = chapter_6.two_losses(squared[None], batch.dim_mask, batch.step_mask, loss, denominator)
    torch.testing.assert_close(reported[0], answer.loss.detach())
    real = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    on_real = masked_velocity_loss(answer.velocity_pred, answer.velocity_target, real)
    torch.testing.assert_close(recorded[0], on_real.detach())


# -------------------------------------------------------------------------------- on paper, and what the cases hold


def test_chapter_6_references_give_what_paper_gives():
    error, count = torch.tensor([[64.0, 240.0]], dtype=torch.float64), torch.tensor([[16, 240]])
    assert chapter_6.whole_batch_loss(error, count).tolist() == [304 / 256]
    assert chapter_6.how_heavy(torch.tensor([[1, 3]])).tolist() == [[2.0, 2 / 3]]
    assert chapter_6.local_losses(error.T, count.T).tolist() == [[0.5], [1.875]]
    first, *_ = chapter_6.VERDICTS.cases()
    assert chapter_6.verdicts(*first).tolist() == [1, 0]
    strict, n1_7, all_else, input_is_zero = chapter_6.sees_else(*chapter_6.SEES_ELSE.cases()[0]).tolist()
    assert strict == [False] * 4
    assert n1_7 == [True, False, False, False]  # the free sampler
    assert all_else == [True, True, True, False]
    assert input_is_zero == [True, True, True, False]
    reported, recorded = chapter_6.two_losses(*chapter_6.TWO_LOSSES.cases()[0])
    assert reported.tolist() == [4.0, 16 / 6]  # it falls
    assert recorded.tolist() == [4.0, 6.0]  # and this rises


def test_the_cases_hold_what_the_tasks_promise():
    for exercise in (chapter_6.WHOLE_BATCH_LOSS, chapter_6.LOCAL_LOSSES):
        for error, count in exercise.cases():
            assert torch.equal(count == 0, error == 0)
    assert all(count.sum(1).all() for _, count in chapter_6.WHOLE_BATCH_LOSS.cases())
    assert any((count == 0).any() for _, count in chapter_6.WHOLE_BATCH_LOSS.cases())
    assert any((count.sum(1) == 0).any() for _, count in chapter_6.LOCAL_LOSSES.cases())
    assert all((count >= 1).all() for (count,) in chapter_6.HOW_HEAVY.cases())
    for _, seed, _, strict_seed in chapter_6.VERDICTS.cases():
        assert all(row.sort().values.equal(strict_seed.sort().values) for row in seed)
        assert len(strict_seed.unique()) == len(strict_seed)
        assert any(not row.equal(strict_seed) for row in seed)
    trained, deployed, sampler, alone = (torch.cat(parts) for parts in zip(*chapter_6.SEES_ELSE.cases(), strict=True))
    at_the_input = zip(trained[:, 0].tolist(), deployed[:, 0].tolist(), sampler.tolist(), strict=True)
    assert len({*at_the_input}) == 12
    for door in (1, 2, 3):
        behind = zip(trained[:, door].tolist(), deployed[:, door].tolist(), alone.tolist(), strict=True)
        assert len({*behind}) == 8
    positions = [case[3:] for case in chapter_6.TWO_LOSSES.cases()]
    assert {*positions} == {*itertools.product(("open", "dims", "dims_and_steps"), ("all", "valid"))}


def test_real_entries_do_not_come_first_in_the_cases():
    def is_prefix(mask):
        return bool((mask.int().diff(dim=-1) <= 0).all())

    for _, dim_mask, step_mask, *_ in chapter_6.TWO_LOSSES.cases()[1:]:
        assert not is_prefix(dim_mask)
        assert not is_prefix(step_mask)
