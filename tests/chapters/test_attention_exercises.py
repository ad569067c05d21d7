"""The exercises about attention masks, written again by loops, by exponentials and with PyTorch's own attention.

What holds for the exercises of every chapter is tested in `test_exercises.py`.
"""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.attention import alternate_masks, cross_attention, may_read_earlier_steps, may_read_real
from groot_teach.chapters import check
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
        ("passing_masks.3", positions_by_loop),
        ("passing_masks.3", lambda m: torch.relu(torch.cumsum(m.long(), 1) - 1)),
        ("passing_masks.3", lambda m: (m.long().cumsum(1) - 1).masked_fill(m.cumsum(1) == 0, 0)),
        ("attention.2", share_by_library),
        ("passing_masks.1", lambda a, n: may_read_real(from_additive_mask(a[:, 0, 0]), n)),
        ("passing_masks.1", lambda a, n: (a[:, 0] > -1).expand(-1, n, -1)),
        ("passing_masks.1", lambda a, n: torch.stack([a.flatten(1) == 0] * n, dim=1)),
        (
            "passing_masks.4",
            lambda real, image, block, every: (
                alternate_masks(real, image).text if block // 2 % every == 0 else alternate_masks(real, image).image
            ),
        ),
        ("passing_masks.4", lambda real, image, block, every: real & (image ^ (block % (2 * every) == 0))),
        ("attention.3", look_back_by_loop),
        ("attention.3", lambda pad: may_read_earlier_steps(~pad)),
        ("passing_masks.2", read_or_zero_by_sdpa),
        ("passing_masks.2", lambda s, v, m: s.masked_fill(~m, -torch.inf).softmax(-1).nan_to_num(0) @ v),
        ("passing_masks.2", lambda s, v, m: (s.masked_fill(~m, -1e9).softmax(-1) * m) @ v),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    assert check(exercise_id, answer).status == "right"
