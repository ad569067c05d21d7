"""The exercises of chapter 4: right answers and mistakes, each written in more than one way."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.attention import alternate_masks, cross_attention, may_read_earlier_steps, may_read_real
from groot_teach.chapters import check
from groot_teach.exercises import chapter_4
from groot_teach.masks import from_additive_mask


def weights_by_loop(scores, real):
    out = torch.zeros_like(scores)
    for sample in range(len(scores)):
        kept = real[sample].nonzero().flatten()
        out[sample][:, kept] = scores[sample][:, kept].softmax(dim=1)
    return out


def weights_by_exponentials(scores, real):
    read = scores.exp() * real[:, None, :]
    return read / read.sum(-1, keepdim=True)


def weights_of_unit_values(scores, real):
    """Attention over the unit vectors gives the weights themselves: query and key are chosen to give the scores."""
    size = scores.shape[-1]
    eye = torch.eye(size, dtype=scores.dtype).expand_as(scores)
    mask = real[:, None, :].expand(-1, size, -1)
    return scaled_dot_product_attention(scores * size**0.5, eye, eye, attn_mask=mask)


def positions_by_loop(real):
    out = torch.zeros(real.shape, dtype=torch.int64)
    for row, sample in enumerate(real.tolist()):
        seen = 0
        for seat, is_real in enumerate(sample):
            seen += is_real
            out[row, seat] = max(seen - 1, 0)
    return out


def share_by_library(query, real_keys, key_bias, zeros):
    keys = torch.cat([real_keys, key_bias.expand(len(query), zeros, -1)], dim=1)
    return cross_attention(query[:, None], keys, keys).weights[:, 0, real_keys.shape[1] :].sum(-1)


def look_back_by_loop(pad):
    batch, steps = pad.shape
    out = torch.zeros(batch, steps, steps, dtype=torch.bool)
    for b in range(batch):
        for row in range(steps):
            for column in range(row + 1):
                out[b, row, column] = row == column or not pad[b, column]
    return out


def read_or_zero_by_sdpa(scores, value, mask):
    keys = scores.shape[-1]
    eye = torch.eye(keys, dtype=scores.dtype).expand(len(scores), -1, -1)
    return scaled_dot_product_attention(scores * keys**0.5, eye, value, attn_mask=mask)


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("attention.1", weights_by_loop),
        ("attention.1", weights_by_exponentials),
        ("attention.1", weights_of_unit_values),
        ("attention.1", lambda s, m: torch.where(m[:, None], s, -torch.inf).softmax(2)),
        ("attention.1", lambda s, m: (s + torch.zeros_like(s).masked_fill(~m[:, None], -torch.inf)).softmax(-1)),
        ("attention.2", positions_by_loop),
        ("attention.2", lambda m: torch.relu(torch.cumsum(m.long(), 1) - 1)),
        ("attention.2", lambda m: (m.long().cumsum(1) - 1).masked_fill(m.cumsum(1) == 0, 0)),
        ("attention.3", share_by_library),
        ("attention.4", lambda a, n: may_read_real(from_additive_mask(a[:, 0, 0]), n)),
        ("attention.4", lambda a, n: (a[:, 0] > -1).expand(-1, n, -1)),
        ("attention.4", lambda a, n: torch.stack([a.flatten(1) == 0] * n, dim=1)),
        (
            "attention.5",
            lambda real, image, block, every: (
                alternate_masks(real, image).text if block // 2 % every == 0 else alternate_masks(real, image).image
            ),
        ),
        ("attention.5", lambda real, image, block, every: real & (image ^ (block % (2 * every) == 0))),
        ("attention.6", look_back_by_loop),
        ("attention.6", lambda pad: may_read_earlier_steps(~pad)),
        ("attention.7", read_or_zero_by_sdpa),
        ("attention.7", lambda s, v, m: s.masked_fill(~m, -torch.inf).softmax(-1).nan_to_num(0) @ v),
        ("attention.7", lambda s, v, m: (s.masked_fill(~m, -1e9).softmax(-1) * m) @ v),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    assert check(exercise_id, answer).status == "right"


def hidden_by(fill):
    return lambda scores, mask: torch.where(mask, scores, torch.full_like(scores, fill)).softmax(-1)


def share_by_exponentials(query, real_keys, key_bias, zeros, scale):
    read = ((real_keys * query[:, None]).sum(-1) * scale).exp().sum(1)
    hidden = zeros * ((query * key_bias).sum(-1) * scale).exp()
    return hidden / (read + hidden)


def turns(text, images, is_text=lambda block, every: block // 2 % every == 0):
    """An answer to 4.5: what the two kinds of blocks read, of `AlternateMasks`, and which is which."""
    return lambda real, image, block, every: (text if is_text(block, every) else images)(real, image)


def text(real, image):
    return alternate_masks(real, image).text


def images(real, image):
    return alternate_masks(real, image).image


def look_back(reads):
    """An answer to 4.6 by loops: `reads(is_pad, row, column)` says whether one step may read another."""

    def answer(action_is_pad):
        steps = range(action_is_pad.shape[1])
        return torch.tensor([[[reads(pad, r, c) for c in steps] for r in steps] for pad in action_is_pad.tolist()])

    return answer


NAMED = [
    ("attention.1", "rows are hidden, not columns", lambda s, m: hidden_by(-torch.inf)(s, m.unsqueeze(-1))),
    ("attention.1", "the mask is upside down", lambda s, m: weights_by_exponentials(s, ~m)),
    ("attention.1", "hidden after the softmax", lambda s, m: torch.where(m[:, None], s.softmax(-1), 0.0)),
    ("attention.1", "a mask of ones and zeros is added", lambda s, m: torch.softmax(s + m[:, None], -1)),
    ("attention.1", "a score of 0 is not hidden", lambda s, m: torch.softmax(s * m[:, None], -1)),
    ("attention.1", "rows and columns are hidden", lambda s, m: hidden_by(-torch.inf)(s, m[:, None] & m[:, :, None])),
    ("attention.2", "seats are numbered", lambda m: torch.arange(m.shape[1]).expand(len(m), -1).clone()),
    ("attention.2", "padding is always 0", lambda m: positions_by_loop(m) * m),
    ("attention.2", "counted from 1", lambda m: m.long().cumsum(dim=1)),
    ("attention.2", "padding before the first token is -1", lambda m: m.int().cumsum(dim=1).sub(1)),
    ("attention.2", "counted from the right", lambda m: positions_by_loop(m.flip(1)).flip(1)),
    ("attention.3", "zeros are not read", lambda q, k, b, n: 0 * share_by_library(q, k, b, n)),
    ("attention.3", "scores are not scaled", lambda q, k, b, n: share_by_exponentials(q, k, b, n, scale=1)),
    (
        "attention.3",
        "padding against real instead of against all",
        lambda q, k, b, n: n / (q[:, None] @ (k - b).mT / q.shape[1] ** 0.5).exp().sum((1, 2)),
    ),
    ("attention.3", "the bias is forgotten", lambda q, k, b, n: share_by_library(q, k, 0 * b, n)),
    ("attention.3", "one padded token for all", lambda q, k, b, n: share_by_library(q, k, b, 1)),
    ("attention.3", "every token counts the same", lambda q, k, b, n: q[:, 0] * 0 + n / (n + k.shape[1])),
    ("attention.4", ".bool() turned it upside down", lambda a, n: (a[:, 0] != 0).expand(-1, n, -1)),
    ("attention.4", "only minus infinity hides", lambda a, n: a[:, 0].isfinite().expand(-1, n, -1)),
    ("attention.4", "one row for all queries", lambda a, n: a[:, 0] == 0),
    ("attention.4", "still a float mask", lambda a, n: torch.cat([a] * n, dim=2)[:, 0]),
    (
        "attention.4",
        "queries and keys have changed places",
        lambda a, n: may_read_real(from_additive_mask(a[:, 0, 0]), n).mT,
    ),
    ("attention.5", "an absent camera is read", turns(text, lambda real, image: image)),
    ("attention.5", "padding is read as text", turns(lambda real, image: ~image, images)),
    ("attention.5", "self-attention blocks are not counted", turns(text, images, lambda b, e: b in range(0, 99, e))),
    ("attention.5", "always every second one", turns(text, images, lambda b, e: b in (0, 4, 8, 12))),
    ("attention.5", "the token mask is not used", lambda r, i, b, e: ~i if b % (2 * e) == 0 else i),
    ("attention.5", "images first", lambda r, i, b, e: r & (i if b % (2 * e) == 0 else ~i)),
    ("attention.6", "causal, and padding is read", lambda pad: look_back_by_loop(torch.zeros_like(pad))),
    ("attention.6", "action_is_pad taken for a step mask", lambda pad: may_read_earlier_steps(pad)),
    ("attention.6", "a padded step has nothing to read", look_back(lambda pad, r, c: c <= r and not pad[c])),
    (
        "attention.6",
        "padded rows are hidden, padded columns read",
        look_back(lambda pad, r, c: c == r or (c < r and not pad[r])),
    ),
    ("attention.6", "steps look ahead", look_back(lambda pad, r, c: c == r or (c > r and not pad[c]))),
    ("attention.6", "nobody reads itself", look_back(lambda pad, r, c: c < r and not pad[c])),
    ("attention.6", "every real step is read", look_back(lambda pad, r, c: c == r or not pad[c])),
    ("attention.7", "an added constant cancels", lambda s, v, m: torch.where(m, s, s - 9000.0).softmax(-1) @ v),
    ("attention.7", "nobody reads anything", lambda s, v, m: s.softmax(-1) @ v * m.all(-1, keepdim=True)),
    ("attention.7", "a softmax over nothing", lambda s, v, m: hidden_by(-torch.inf)(s, m) @ v),
    ("attention.7", "nothing became everything", lambda s, v, m: hidden_by(torch.finfo(torch.float64).min)(s, m) @ v),
    ("attention.7", "hidden after the softmax", lambda s, v, m: torch.where(m, s.softmax(-1), 0.0) @ v),
]


@pytest.mark.parametrize(("exercise_id", "name", "answer"), NAMED)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    verdict = check(exercise_id, answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def test_every_known_mistake_is_written_a_second_time():
    known = {(exercise.id, mistake.name) for exercise in chapter_4.EXERCISES for mistake in exercise.mistakes}
    assert known == {(exercise_id, name) for exercise_id, name, _ in NAMED}


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("attention.1", lambda s, m: s.masked_fill(~m[:, None], -torch.inf).softmax(1)),
        ("attention.1", lambda s, m: s.masked_fill(~m[:, None], -1.0).softmax(-1)),
        ("attention.1", lambda s, m: s.masked_fill(~m[:1, None], -torch.inf).softmax(-1)),
        ("attention.1", lambda s, m: s.masked_fill(~m[:, None], -torch.inf)),
        ("attention.1", lambda s, m: s.softmax(-1)),
        ("attention.2", lambda m: m.sum(1, keepdim=True) - m.flip(1).cumsum(1).flip(1)),
        ("attention.2", lambda m: torch.arange(m.shape[1]) - (~m).sum(1, keepdim=True)),
        ("attention.2", lambda m: (torch.arange(m.shape[1]) - (~m).sum(1, keepdim=True)).clamp(min=0)),
        ("attention.2", lambda m: m.cumsum(0) - 1),
        ("attention.3", lambda q, k, b, n: share_by_library(q, k + b, b, n)),
        ("attention.3", lambda q, k, b, n: 1 - share_by_library(q, k, b, n)),
        ("attention.3", lambda q, k, b, n: share_by_library(q, k, -b, n)),
        ("attention.3", lambda q, k, b, n: share_by_library(q, k, b, n + 1)),
        ("attention.4", lambda a, n: (a[:, 0] < -1e6).logical_not().expand(-1, n, -1)),
        ("attention.4", lambda a, n: (a[:1, 0] == 0).expand(len(a), n, -1)),
        ("attention.4", lambda a, n: torch.ones(len(a), n, a.shape[-1]) == 1),
        ("attention.5", lambda r, i, b, e: r & ~i),
        ("attention.5", lambda r, i, b, e: r & i),
        ("attention.5", lambda r, i, b, e: r),
        ("attention.5", lambda r, i, b, e: r & (~i if b == 0 else i)),
        ("attention.5", lambda r, i, b, e: r & (i if (b + 2) % (2 * e) == 0 else ~i)),
        ("attention.6", lambda pad: look_back_by_loop(pad).mT),
        ("attention.6", lambda pad: look_back_by_loop(pad) & ~torch.eye(pad.shape[1], dtype=torch.bool)),
        ("attention.6", lambda pad: look_back_by_loop(pad) | (~pad)[:, :, None] & (~pad)[:, None, :]),
        ("attention.6", lambda pad: look_back_by_loop(pad[:1]).expand(len(pad), -1, -1)),
        ("attention.7", lambda s, v, m: s.softmax(-1) @ v),
        ("attention.7", lambda s, v, m: torch.zeros(*s.shape[:2], v.shape[-1]).double()),
        ("attention.7", lambda s, v, m: hidden_by(-torch.inf)(s, m).nan_to_num(1.0) @ v),
        ("attention.7", lambda s, v, m: read_or_zero_by_sdpa(s, v, m) * m.all(-1, keepdim=True)),
        ("attention.7", lambda s, v, m: read_or_zero_by_sdpa(s, v, ~m)),
        ("attention.7", lambda s, v, m: (hidden_by(-torch.inf)(s, m) @ v).index_fill(1, torch.tensor(0), 0.0)),
        ("attention.7", lambda s, v, m: torch.where(m.any(0), hidden_by(-torch.inf)(s, m), 0.0) @ v),
    ],
)
def test_another_wrong_answer_does_not_pass(exercise_id, answer):
    assert check(exercise_id, answer).status == "wrong"


def test_the_references_are_the_librarys_own_functions():
    for pad in chapter_4.READ_EARLIER_STEPS.cases():
        assert torch.equal(chapter_4.read_earlier_steps(*pad), may_read_earlier_steps(~pad[0]))
    for scores, real in chapter_4.ATTENTION_WEIGHTS.cases():
        torch.testing.assert_close(chapter_4.attention_weights(scores, real), weights_of_unit_values(scores, real))


def test_real_tokens_and_steps_do_not_come_first_in_the_cases():
    def is_prefix(mask):
        return bool((mask.int().diff(dim=-1) <= 0).all())

    assert any(not is_prefix(real) for _, real in chapter_4.ATTENTION_WEIGHTS.cases())
    assert any(not is_prefix(real) for (real,) in chapter_4.POSITIONS.cases())
    assert any(not is_prefix(~pad) for (pad,) in chapter_4.READ_EARLIER_STEPS.cases())
