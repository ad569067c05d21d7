"""The exercises of chapter 7: right answers and mistakes, each written in more than one way, and the probes at work.

They ask heads, losses and their gradients, and the six bugs of 7.6, written out and run.
"""

import re

import pytest
import torch
from train_cases import TASK, small_head

from groot_teach.exercises import chapter_7
from groot_teach.loss import masked_velocity_loss
from groot_teach.masks import STRICT, with_switches
from groot_teach.padding import VLTokens, action_mask_dims_and_steps, pad_tokens_left
from groot_teach.show.exercises import grade

EXERCISES = {exercise.id: exercise for exercise in chapter_7.EXERCISES}


def check(exercise_id, answer):
    return grade(EXERCISES[exercise_id], answer)


# --------------------------------------------------------------------------------- the same answer in other words


def perturbed_by_index(actions, fresh, dims, pad):
    out = actions.clone()
    padded = pad[:, :, None] | ~dims[:, None]
    out[padded] = fresh[padded]
    return out


def perturbed_by_loop(actions, fresh, dims, pad):
    out = fresh.clone()
    for b, t, d in (~pad[:, :, None] & dims[:, None]).nonzero().tolist():
        out[b, t, d] = actions[b, t, d]
    return out


def looks_by_loop(before, padding_changed, real_changed, real, tol):
    def moves(after):
        pairs = zip(before[real].tolist(), after[real].tolist(), strict=True)
        return any(not abs(new - old) <= tol for old, new in pairs)

    out = []
    for padding, control in zip(padding_changed, real_changed, strict=True):
        out.append(1 if moves(padding) else 0 if moves(control) else -1)
    return torch.tensor(out)


def looks_by_maximum(before, padding_changed, real_changed, real, tol):
    """With NaN written as infinity, which is above any tolerance."""

    def moves(after):
        return (after - before)[:, real].abs().nan_to_num(torch.inf).amax(1) > tol

    return moves(padding_changed).long() - (~moves(padding_changed) & ~moves(real_changed)).long()


def looks_by_isclose(before, padding_changed, real_changed, real, tol):
    def still(after):
        return torch.isclose(after, before.expand_as(after), rtol=0, atol=tol).logical_or(~real).flatten(1).all(1)

    return torch.where(~still(padding_changed), 1, -still(real_changed).long())


def alone_by_loop(tokens, real):
    out = []
    for sample in range(len(tokens)):
        places = [place for place in range(real.shape[1]) if real[sample, place]]
        out.append(tokens[sample, places])
    return tuple(out)


def gradient_by_loop(gradient, mask):
    out = torch.zeros(len(gradient), 3, dtype=torch.int64)
    for b, t, d in torch.ones_like(mask).nonzero().tolist():
        value, real = gradient[b, t, d].item(), mask[b, t, d].item()
        if value != value or abs(value) == torch.inf:
            out[b, 2] += 1
        elif value != 0 and not real:
            out[b, 0] += 1
        elif value == 0 and real:
            out[b, 1] += 1
    return out


def gradient_by_difference(gradient, mask):
    broken = gradient.isnan() | gradient.isinf()
    kinds = (gradient != 0) & ~mask & ~broken, (gradient == 0) & mask, broken
    return torch.stack([kind.flatten(1).sum(1) for kind in kinds]).T.contiguous()


def errors_one_by_one(target, mask, loss_of):
    off = [torch.where(where, target + 1, target) for where in (mask | True, mask, ~mask)]
    return torch.tensor([(loss_of(one) - loss_of(target)).item() for one in off], dtype=torch.float64)


def errors_by_parts(target, mask, loss_of):
    none, whole, real = loss_of(target), loss_of(target - 1), loss_of(target + mask.double())
    return torch.stack([whole - none, real - none, whole - real])


def shows_by_sets(dims, steps, tokens):
    sizes, prompts = {sum(row) for row in dims.tolist()}, {tuple(row) for row in tokens.tolist()}
    found = [not dims.all(), not steps.all(), not tokens.all(), len(prompts) > 1, len(sizes) > 1]
    return torch.tensor([*found, any(not any(row) for row in prompts)])


def shows_by_neighbours(dims, steps, tokens):
    out = torch.zeros(6, dtype=torch.bool)
    for place, mask in enumerate((dims, steps, tokens)):
        out[place] = mask.sum() < mask.numel()
    out[3] = (tokens[1:] ^ tokens[:-1]).any()
    out[4] = dims.sum(1).amax() > dims.sum(1).amin()
    out[5] = tokens.sum(1).amin() == 0
    return out


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        *((exercise.id, exercise.reference) for exercise in chapter_7.EXERCISES),
        ("bugs.1", perturbed_by_index),
        ("bugs.1", perturbed_by_loop),
        ("bugs.2", looks_by_loop),
        ("bugs.2", looks_by_maximum),
        ("bugs.2", looks_by_isclose),
        ("bugs.3", alone_by_loop),
        ("bugs.3", lambda tokens, real: tokens[real].split(real.sum(1).tolist())),
        ("bugs.4", gradient_by_loop),
        ("bugs.4", gradient_by_difference),
        ("bugs.5", errors_one_by_one),
        ("bugs.5", errors_by_parts),
        ("bugs.6", shows_by_sets),
        ("bugs.6", shows_by_neighbours),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    verdict = check(exercise_id, answer)
    assert verdict.status == "right"
    assert EXERCISES[exercise_id].lesson in verdict.message


# ---------------------------------------------------------------------------------------------- and other mistakes


def padded(dims, pad):
    return pad[:, :, None] | ~dims[:, None]


def looks(moves):
    """An answer to 7.2 by what `moves(before, after, real, tol)` says of one look."""

    def answer(before, padding_changed, real_changed, real, tol):
        pairs = zip(padding_changed, real_changed, strict=True)
        asked = [[bool(moves(before, after, real, tol)) for after in pair] for pair in pairs]
        return torch.tensor([1 if seen else 0 if control else -1 for seen, control in asked])

    return answer


def kinds(*answers):
    """An answer to 7.4 by three masks."""
    return lambda gradient, mask: torch.stack([one(gradient, mask).sum((1, 2)) for one in answers], dim=1)


def leaked(gradient, mask):
    return gradient.isfinite() & (gradient != 0) & ~mask


def lost(gradient, mask):
    return (gradient == 0) & mask


def broken(gradient, mask):
    return ~gradient.isfinite()


def shows(columns):
    def answer(*masks):
        right = shows_by_sets(*masks).tolist()
        return torch.tensor([bool(columns[i](*masks)) if i in columns else one for i, one in enumerate(right)])

    return answer


MISTAKES = [
    ("bugs.1", "zeros are written", lambda a, f, d, p: a.masked_fill(padded(d, p), 0)),
    ("bugs.1", "NaN is written", lambda a, f, d, p: a.masked_fill(padded(d, p), torch.nan)),
    ("bugs.1", "nothing changes", lambda a, f, d, p: a),
    ("bugs.1", "everything changes", lambda a, f, d, p: f),
    ("bugs.1", "upside down", lambda a, f, d, p: perturbed_by_loop(f, a, d, p)),
    ("bugs.1", "action_is_pad taken for a step mask", lambda a, f, d, p: perturbed_by_index(a, f, d, ~p)),
    ("bugs.1", "only padded dims", lambda a, f, d, p: perturbed_by_index(a, f, d, p & False)),
    ("bugs.1", "only padded steps", lambda a, f, d, p: perturbed_by_index(a, f, d | True, p)),
    ("bugs.1", "only where both are padded", lambda a, f, d, p: torch.where(p[:, :, None] & ~d[:, None], f, a)),
    ("bugs.1", "multiplied and added", lambda a, f, d, p: a * (~padded(d, p)).double() + f * padded(d, p).double()),
    ("bugs.2", "NaN is not larger than anything", looks(lambda b, a, r, tol: ((a - b)[r].abs() > tol).any())),
    ("bugs.2", "one NaN hides the others", looks(lambda b, a, r, tol: (a - b)[r].abs().max() > tol)),
    ("bugs.2", "only upwards", looks(lambda b, a, r, tol: (a - b)[r].max() > tol)),
    ("bugs.2", "only upwards", looks(lambda b, a, r, tol: not ((a - b)[r] <= tol).all())),
    ("bugs.2", "the mean of the changes", looks(lambda b, a, r, tol: (a - b)[r].abs().mean() > tol)),
    ("bugs.2", "up and down cancel", looks(lambda b, a, r, tol: abs((a[r] - b[r]).sum()) > tol)),
    ("bugs.2", "every entry has to move", looks(lambda b, a, r, tol: (a - b)[r].abs().min() > tol)),
    ("bugs.2", "padding is compared too", looks(lambda b, a, r, tol: not ((a - b).abs() <= tol).all())),
    ("bugs.2", "padding times 0", looks(lambda b, a, r, tol: not ((a * r - b * r).abs() <= tol).all())),
    (
        "bugs.2",
        "a tolerance that grows with the number",
        looks(lambda b, a, r, tol: not torch.allclose(a[r], b[r], atol=tol)),
    ),
    ("bugs.2", "the control is not asked", lambda *arguments: looks_by_loop(*arguments).clamp(min=0)),
    (
        "bugs.2",
        "the control has the last word",
        lambda b, p, c, r, tol: torch.where(looks_by_loop(b, c, c, r, tol) < 1, -1, looks_by_loop(b, p, c, r, tol)),
    ),
    ("bugs.3", "padding is taken to be on the right", lambda x, r: tuple(x[i, :n] for i, n in enumerate(r.sum(1)))),
    (
        "bugs.3",
        "padding is taken to be on the left",
        lambda x, r: tuple(x[i, -int(n) :] for i, n in enumerate(r.sum(1))),
    ),
    (
        "bugs.3",
        "holes stay",
        lambda x, r: tuple(x[i][m.cummax(0)[0] & m.flip(0).cummax(0)[0].flip(0)] for i, m in rows(r)),
    ),
    ("bugs.3", "cut like the first sample", lambda x, r: (*x[:, r[0]],)),
    ("bugs.3", "as short as the shortest", lambda x, r: tuple(x[i][m][: int(r.sum(1).amin())] for i, m in rows(r))),
    ("bugs.3", "only the padding that all share", lambda x, r: (*x[:, r.sum(0) > 0],)),
    ("bugs.3", "zeros, not cut", lambda x, r: tuple(x.masked_fill(~r[..., None], 0))),
    ("bugs.3", "all in one row", lambda x, r: torch.cat(alone_by_loop(x, r))),
    ("bugs.3", "still a batch of one", lambda x, r: tuple(x[i : i + 1, m] for i, m in rows(r))),
    ("bugs.3", "the padding is kept", lambda x, r: alone_by_loop(x, ~r)),
    ("bugs.4", "nobody looks for what is lost", kinds(leaked, lambda g, m: m & ~m, broken)),
    ("bugs.4", "padding without a gradient is lost", kinds(leaked, lambda g, m: g == 0, broken)),
    ("bugs.4", "only upwards", lambda g, m: gradient_by_loop(torch.where(g.isfinite(), g.clamp(min=0), g), m)),
    (
        "bugs.4",
        "small is taken for none",
        lambda g, m: gradient_by_loop(torch.where(torch.isclose(g, torch.zeros_like(g)), 0, g), m),
    ),
    ("bugs.4", "NaN is not 0, so it counts", kinds(lambda g, m: (g != 0) & ~m, lost, broken)),
    ("bugs.4", "NaN is not above 0, so it is lost", kinds(leaked, lambda g, m: ~(g.abs() > 0) & m, broken)),
    ("bugs.4", "infinity is a number", kinds(lambda g, m: (g != 0) & ~g.isnan() & ~m, lost, lambda g, m: g.isnan())),
    ("bugs.4", "broken padding does no harm", kinds(leaked, lost, lambda g, m: broken(g, m) & m)),
    ("bugs.4", "upside down", lambda g, m: gradient_by_loop(g, ~m)),
    ("bugs.5", "the penalty stays in", lambda y, m, f: errors_one_by_one(y, m, f) + f(y)),
    ("bugs.5", "off by 1 from zero", lambda y, m, f: torch.stack([f(w.double()) for w in (m | True, m, ~m)]) - f(y)),
    ("bugs.5", "compared with a prediction of zero", lambda y, m, f: errors_one_by_one(y, m, f) + f(y) - f(y * 0)),
    (
        "bugs.5",
        "zero elsewhere",
        lambda y, m, f: torch.stack([f((y + 1) * where) - f(y) for where in (m | True, m, ~m)]),
    ),
    (
        "bugs.5",
        "padding is never wrong",
        lambda y, m, f: errors_one_by_one(y, m, f)[[1, 1, 2]] * torch.tensor([1, 1, 0]),
    ),
    ("bugs.5", "real and padded swapped", lambda y, m, f: errors_one_by_one(y, m, f)[[0, 2, 1]]),
    ("bugs.5", "parts of the whole", lambda y, m, f: errors_one_by_one(y, m, f) / errors_by_parts(y, m, f)[0]),
    ("bugs.5", "what it should be", lambda y, m, f: torch.tensor([1.0, 1, 0]).double()),
    (
        "bugs.6",
        "any padding shows anything",
        shows({i: lambda d, s, t: not (d.all() and s.all() and t.all()) for i in range(3)}),
    ),
    (
        "bugs.6",
        "every sample needs padding",
        shows({i: lambda *masks, i=i: not masks[i].all(1).any() for i in range(3)}),
    ),
    ("bugs.6", "what is real shows it", shows({i: lambda *masks, i=i: masks[i].sum() for i in range(3)})),
    ("bugs.6", "two samples are enough", shows({3: lambda d, s, t: d.shape[0] >= 2})),
    ("bugs.6", "padded tokens are enough", shows({3: lambda d, s, t: not t.all()})),
    ("bugs.6", "lengths are compared", shows({3: lambda d, s, t: t.sum(1).unique().numel() > 1})),
    ("bugs.6", "padded dims are enough", shows({4: lambda d, s, t: not d.all()})),
    ("bugs.6", "masks are compared, not numbers", shows({4: lambda d, s, t: len({*map(tuple, d.tolist())}) > 1})),
    ("bugs.6", "it takes other steps", shows({4: lambda d, s, t: s.sum(1).unique().numel() > 1})),
    ("bugs.6", "padded tokens show the fill", shows({5: lambda d, s, t: not t.all()})),
    ("bugs.6", "all prompts have to be empty", shows({5: lambda d, s, t: not t.any()})),
]


def rows(mask):
    return enumerate(mask)


@pytest.mark.parametrize(("exercise_id", "name", "answer"), MISTAKES)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    (known,) = [known for known in EXERCISES[exercise_id].mistakes if known.name == name]
    for wrong in (answer, known.answer):
        verdict = check(exercise_id, wrong)
        assert (verdict.status, verdict.mistake) == ("wrong", name)
        assert known.message in verdict.message
        assert known.source in verdict.message


def test_every_mistake_of_the_chapter_is_made_above_once_more():
    known = {(exercise.id, known.name) for exercise in chapter_7.EXERCISES for known in exercise.mistakes}
    assert {(exercise_id, name) for exercise_id, name, _ in MISTAKES} == known


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("bugs.1", lambda a, f, d, p: torch.where(padded(d, p), a + f, a)),
        ("bugs.1", lambda a, f, d, p: perturbed_by_index(a, f, d[:1].expand_as(d), p)),
        ("bugs.1", lambda a, f, d, p: perturbed_by_index(a, f, d, p[:1].expand_as(p))),
        ("bugs.1", lambda a, f, d, p: perturbed_by_index(a, f, torch.arange(d.shape[1]) < d.sum(1)[:, None], p)),
        ("bugs.1", lambda a, f, d, p: perturbed_by_index(a, f, d, torch.arange(p.shape[1]) >= (~p).sum(1)[:, None])),
        ("bugs.1", lambda a, f, d, p: perturbed_by_index(a.nan_to_num(), f, d, p).float()),
        ("bugs.1", lambda a, f, d, p: torch.where(a == 0, f, a)),
        ("bugs.1", lambda a, f, d, p: torch.where(padded(d, p), f[:1], a)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, p, c, ~r, tol)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, c, p, r, tol)),
        ("bugs.2", lambda b, p, c, r, tol: -looks_by_loop(b, p, c, r, tol)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, p, c, r, 0)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, p, c, r, 10 * tol)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, p.nan_to_num(), c, r, tol)[:1].expand(len(p))),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, torch.where(p.isinf(), b, p), c, r, tol)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, torch.where(p.isnan(), b, p), c, r, tol)),
        ("bugs.2", lambda b, p, c, r, tol: looks_by_loop(b, p, c, r, tol).int()),
        ("bugs.3", lambda x, r: alone_by_loop(x, r.flip(1))),
        ("bugs.3", lambda x, r: tuple(one.flip(0) for one in alone_by_loop(x, r))),
        ("bugs.3", lambda x, r: alone_by_loop(x, r)[::-1]),
        ("bugs.3", lambda x, r: [*alone_by_loop(x, r)]),
        ("bugs.3", lambda x, r: alone_by_loop(x.clone().fill_(1), r)),
        ("bugs.3", lambda x, r: tuple(x[i, m.nonzero()[0, 0] :] for i, m in rows(r))),
        ("bugs.4", lambda g, m: gradient_by_loop(g, m)[:, [1, 0, 2]]),
        ("bugs.4", lambda g, m: gradient_by_loop(g.nan_to_num(), m)),
        ("bugs.4", lambda g, m: gradient_by_loop(g, m[:1].expand_as(m))),
        ("bugs.4", lambda g, m: gradient_by_loop(g, m).clamp(max=1)),
        ("bugs.4", lambda g, m: gradient_by_loop(g, m).sum(0, keepdim=True).expand(len(g), 3)),
        ("bugs.4", lambda g, m: gradient_by_loop(g, m).double()),
        ("bugs.4", lambda g, m: gradient_by_loop(-g.clamp(max=0), m)),
        ("bugs.5", lambda y, m, f: errors_one_by_one(y, m, f) / errors_one_by_one(y, m, f).sum()),
        ("bugs.5", lambda y, m, f: errors_one_by_one(y, m[:1].expand_as(m), f)),
        ("bugs.5", lambda y, m, f: torch.stack([f(y + 2 * w) - f(y) for w in (m | True, m, ~m)])),
        ("bugs.5", lambda y, m, f: errors_one_by_one(y, m, f).round()),
        ("bugs.5", lambda y, m, f: errors_one_by_one(y, m, f) * m.numel() / m.sum()),
        ("bugs.5", lambda y, m, f: errors_one_by_one(y, m, f).clamp(max=1)),
        ("bugs.6", lambda d, s, t: shows_by_sets(s, d, t)),
        ("bugs.6", lambda d, s, t: shows_by_sets(d, s, ~t)),
        ("bugs.6", lambda d, s, t: ~shows_by_sets(d, s, t)),
        ("bugs.6", lambda d, s, t: shows_by_sets(d, s, t).int()),
        ("bugs.6", lambda d, s, t: shows_by_sets(d[:1], s, t)),
        ("bugs.6", lambda d, s, t: shows_by_sets(d, s[:1], t)),
        ("bugs.6", lambda d, s, t: shows_by_sets(d, s, t[:1])),
        ("bugs.6", lambda d, s, t: shows_by_sets(d[:2], s[:2], t[:2])),
        ("bugs.6", lambda d, s, t: shows_by_sets(d[-2:], s[-2:], t[-2:])),
        ("bugs.6", shows({3: lambda d, s, t: (t[0] != t[-1]).any()})),
        ("bugs.6", shows({4: lambda d, s, t: d.sum(1)[0] != d.sum(1)[-1]})),
        ("bugs.6", shows({4: lambda d, s, t: len({*(d.sum(1) * s.sum(1)).tolist()}) > 1})),
        ("bugs.6", shows({5: lambda d, s, t: not t[0].any()})),
        ("bugs.6", shows({5: lambda d, s, t: not t.any(0).all()})),
    ],
)
def test_another_wrong_answer_does_not_pass(exercise_id, answer):
    assert check(exercise_id, answer).status == "wrong"


# ------------------------------------------------------------------------------------------------- perturb: 7.1, 7.2


@torch.no_grad()
@pytest.mark.parametrize(
    ("masking", "verdict"),
    [
        (STRICT, 0),
        (with_switches(STRICT, encoder_input="open"), 1),
        (with_switches(STRICT, self_attention="open"), 0),  # the shut door before it lets nothing through to leak
        (with_switches(STRICT, encoder_input="open", self_attention="open"), 1),
    ],
    ids=["strict", "encoder open", "self-attention open behind a shut encoder", "both open"],
)
def test_a_real_head_is_acquitted_or_accused_by_the_two_answers_together(masking, verdict):
    generator = torch.Generator().manual_seed(1)
    observation, batch = TASK.draw(12, generator)
    noise, fresh = torch.randn(2, *batch.actions.shape, dtype=torch.float64, generator=generator)
    head, t = small_head(masking), torch.full((12,), 0.3, dtype=torch.float64)
    real = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)

    def predict(noise):
        return head.loss(observation, batch, noise, t).velocity_pred

    padding_changed = chapter_7.perturbed(noise, fresh, batch.dim_mask, ~batch.step_mask)
    assert torch.equal(padding_changed[real], noise[real])
    assert (padding_changed != noise)[~real].all()
    looked = predict(padding_changed), predict(torch.where(real, fresh, noise))
    said = chapter_7.what_moved(predict(noise), *(one[None] for one in looked), real, 1e-9)
    assert said.tolist() == [verdict]
    deaf = chapter_7.what_moved(predict(noise), predict(noise)[None], predict(noise)[None], real, 1e-9)
    assert deaf.tolist() == [-1]


# ------------------------------------------------------------------------------------------------------- compact: 7.3


def attend(query, tokens, may_read):
    """One query a sample, tokens for keys and values; heads side by side: `may_read` (batch, heads, key_len)."""
    scores = torch.einsum("bhw,bsw->bhs", query, tokens)
    weights = scores.masked_fill(~may_read, -torch.inf).softmax(-1)
    return torch.where(may_read.any(-1, keepdim=True), weights, 0.0) @ tokens


def a_query(batch, heads, width, seed=0):
    return torch.randn(batch, heads, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_sample_alone_gets_the_batchs_answer_if_the_mask_is_right_and_another_if_it_is_dropped():
    for tokens, real in chapter_7.EACH_ALONE.cases():
        query = a_query(len(tokens), 1, tokens.shape[-1])
        alone = torch.cat(
            [
                attend(query[i : i + 1], one[None], torch.ones(1, 1, len(one)).bool())
                for i, one in enumerate(chapter_7.each_alone(tokens, real))
            ]
        )
        torch.testing.assert_close(attend(query, tokens, real[:, None]), alone)
        dropped = attend(query, tokens, real[:, None] | True)
        differs = ~torch.isclose(dropped, alone).flatten(1).all(1)
        assert torch.equal(differs, ~real.all(1))


def test_what_the_library_pads_comes_back_as_it_was():
    for tokens, real in chapter_7.EACH_ALONE.cases():
        alone = chapter_7.each_alone(tokens, real)
        masks = [torch.ones(len(one), dtype=torch.bool) for one in alone]
        batch = pad_tokens_left([VLTokens(one, ~m, m) for one, m in zip(alone, masks, strict=True)], 13)
        again = chapter_7.each_alone(batch.tokens, batch.backbone_attention_mask)
        assert all(torch.equal(one, other) for one, other in zip(again, alone, strict=True))


# ------------------------------------------------------------------------------------ gradient and unit error: 7.4, 7.5


def what_probes_say(case):
    """Of a loss: how many entries leak, are lost and broken in the whole batch, and the three unit errors."""
    target, real, loss_of = case
    prediction = (target + 1.5).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(prediction), prediction)
    said = chapter_7.read_gradient(gradient, real).sum(0).tolist()
    return said, chapter_7.unit_errors(target, real, loss_of)


def test_gradient_and_unit_error_together_see_every_unsound_loss_of_the_cases_and_accuse_no_sound_one():
    seen = {}
    for case in chapter_7.UNIT_ERRORS.cases():
        (leaks, losses, broken), units = what_probes_say(case)
        by_unit = not torch.allclose(units, torch.tensor([1.0, 1, 0]).double())
        assert broken == 0
        seen[case[2].name] = leaks > 0, losses > 0, by_unit
    assert seen == {
        "as it should be": (False, False, False),
        "masked, then the mean over all entries": (False, False, True),
        "steps counted, entries summed": (False, False, True),
        "copies count as real": (True, False, True),
        "a slice that removes nothing": (True, False, True),
        "all robots cut to the shortest": (False, True, False),  # the unit error acquits it
    }


def test_the_librarys_loss_is_sound():
    for target, real, _ in chapter_7.UNIT_ERRORS.cases():
        counts, units = what_probes_say((target, real, lambda said, y=target, m=real: masked_velocity_loss(said, y, m)))
        assert counts == [0, 0, 0]
        assert units.tolist() == pytest.approx([1, 1, 0])


def test_a_mask_behind_the_square_breaks_as_many_entries_as_are_nan_and_the_loss_is_finite():
    (target, real, _), *_ = chapter_7.UNIT_ERRORS.cases()
    target = target.masked_fill(~real, torch.nan)

    def loss_of(prediction):
        return torch.where(real, (prediction - target).square(), 0).sum() / real.sum()

    prediction = torch.zeros_like(target, requires_grad=True)
    loss = loss_of(prediction)
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert loss.isfinite()
    assert chapter_7.read_gradient(gradient, real).sum(0).tolist() == [0, 0, int((~real).sum())]


# ---------------------------------------------------------------------------------------- the six bugs, run: 7.6


def draw(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moves_with_padding(answer, values, fresh, real):
    """Whether other numbers in padding move `answer(values)`."""
    before, after = answer(values), answer(torch.where(real, values, fresh))
    assert before.isfinite().all()
    return not torch.allclose(after, before, rtol=1e-9, atol=1e-12)


def loss_bugs(dims, steps):
    """Bugs 0, 1 and 4: what perturbing says of two losses, and compacting of the third."""
    real = steps[:, :, None] & dims[:, None]
    target, fresh = draw(1, *real.shape), draw(2, *real.shape)

    def over(where, divisor):
        return lambda target: (target.square() * where).sum() / divisor

    all_dims, all_steps = steps[:, :, None].expand_as(real), dims[:, None].expand_as(real)
    without_dims = moves_with_padding(over(all_dims, all_dims.sum()), target, fresh, real)
    without_steps = moves_with_padding(over(all_steps, all_steps.sum()), target, fresh, real)
    in_batch = over(real, steps.sum())(target)
    alone = torch.stack([over(one, step.sum())(y) for y, one, step in zip(target, real, steps, strict=True)])
    entries = real.sum((1, 2))
    return without_dims, without_steps, not torch.allclose(in_batch, (alone * entries).sum() / entries.sum())


def attention_bugs(real, heads):
    """Bugs 2, 3 and 5, and no bug: does the output move with the padded tokens?"""
    batch, size = real.shape
    tokens, fresh, query = draw(3, batch, size, 4), draw(4, batch, size, 4), a_query(batch, heads, 4)
    own = real[:, None].expand(batch, heads, size)
    of_another = real[:, None].repeat(heads, 1, 1).view(batch, heads, size)

    def filled(tokens):
        scores = torch.einsum("bhw,bsw->bhs", query, tokens)
        return scores.masked_fill(~own, -1e6).softmax(-1) @ tokens

    answers = (
        lambda tokens: attend(query, tokens, own | True),
        lambda tokens: attend(query, tokens, of_another),
        filled,
        lambda tokens: attend(query, tokens, own),
    )
    return [moves_with_padding(answer, tokens, fresh, real[..., None]) for answer in answers]


@pytest.mark.parametrize("heads", [2, 3, 4, 6])
def test_a_batch_shows_the_bugs_that_the_exercise_says_and_no_others(heads):
    for dims, steps, tokens in chapter_7.CAN_SHOW.cases():
        bug_0, bug_1, bug_4 = loss_bugs(dims, steps)
        bug_2, bug_3, bug_5, no_bug = attention_bugs(tokens, heads)
        assert not no_bug
        assert chapter_7.can_show(dims, steps, tokens).tolist() == [bug_0, bug_1, bug_2, bug_3, bug_4, bug_5]


# -------------------------------------------------------------------------------- on paper, and what the cases hold


def test_chapter_7_references_give_what_paper_gives():
    actions, fresh = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[5.0, 6.0], [7.0, 8.0]]])
    new = chapter_7.perturbed(actions, fresh, torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    assert new.tolist() == [[[1, 6], [7, 8]]]
    before = torch.zeros(1, 1, 2)
    padding = torch.tensor([[[[0.0, 9.0]]], [[[-3.0, 0.0]]], [[[torch.nan, 0.0]]], [[[0.0, 0.0]]]])
    control = torch.tensor([[[[5.0, 0.0]]], [[[5.0, 0.0]]], [[[0.0, 0.0]]], [[[0.0, 5.0]]]])
    real = torch.tensor([[[True, False]]])
    assert chapter_7.what_moved(before, padding, control, real, 1.0).tolist() == [0, 1, 1, -1]
    tokens = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    alone = chapter_7.each_alone(tokens, torch.tensor([[True, False, True], [False, False, True]]))
    assert [one.tolist() for one in alone] == [[[1], [3]], [[6]]]
    gradient = torch.tensor([[[0.1, 0.0, torch.nan], [-0.1, 0.0, 0.0]]])
    mask = torch.tensor([[[True, True, False], [False, False, True]]])
    assert chapter_7.read_gradient(gradient, mask).tolist() == [[1, 2, 1]]
    target = torch.tensor([[[3.0, 5.0]]])
    units = chapter_7.unit_errors(target, real, lambda said: 7 + ((said - target) ** 2 * real).sum() / 2)
    assert units.tolist() == [0.5, 0.5, 0]
    shown = chapter_7.can_show(mask[0, :, :2], torch.tensor([[True], [True]]), torch.tensor([[True], [False]]))
    assert shown.tolist() == [True, False, True, True, True, True]


def test_a_loss_says_its_name_and_no_address_and_is_the_same_each_time():
    for (_, _, one), (_, _, other) in zip(*(chapter_7.UNIT_ERRORS.cases() for _ in range(2)), strict=True):
        assert one == other
        assert repr(one) == f"a loss, {one.name}"
    assert len({loss for _, _, loss in chapter_7.UNIT_ERRORS.cases()}) == 6  # the sound one is there twice
    verdict = check("bugs.5", lambda *arguments: torch.zeros(3, dtype=torch.float64))
    assert "loss_of: a loss, masked, then the mean over all entries" in verdict.code
    assert not re.search("0x[0-9a-f]", repr(verdict))


def test_the_cases_hold_what_tells_mistakes_apart():
    filled = [actions[padded(dims, pad)] for actions, _, dims, pad in chapter_7.PERTURBED.cases()]
    assert any(values.isnan().any() for values in filled)
    assert all(fresh.isfinite().all() for _, fresh, _, _ in chapter_7.PERTURBED.cases())
    assert {*torch.cat([chapter_7.what_moved(*case) for case in chapter_7.WHAT_MOVED.cases()]).tolist()} == {-1, 0, 1}
    for before, *_, real, _ in chapter_7.WHAT_MOVED.cases():
        assert before.isfinite().all()
        assert real.any()
        assert not real.all()
    assert all(real.any(1).all() for _, real in chapter_7.EACH_ALONE.cases())
    columns = torch.stack([chapter_7.can_show(*case) for case in chapter_7.CAN_SHOW.cases()])
    assert columns.any(0).all()
    assert not columns.all(0).any()
    for dims, steps, _ in chapter_7.CAN_SHOW.cases():
        assert dims.any(1).all()
        assert steps.any(1).all()
