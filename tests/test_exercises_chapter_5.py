"""The exercises of chapter 5: right answers and mistakes, each written in more than one way."""

import pytest
import torch
from torch.nn.functional import linear, pad, scaled_dot_product_attention

from groot_teach.attention import may_read_real
from groot_teach.chapters import check
from groot_teach.exercises import chapter_5
from groot_teach.head.action_head import EmbodimentLinear
from groot_teach.masks import from_int_mask


def sdpa_mask_by_loop(mask, heads, query_len):
    out = torch.zeros(len(mask), heads, query_len, mask.shape[1], dtype=torch.bool)
    for sample, row in enumerate(mask.tolist()):
        for key, value in enumerate(row):
            out[sample, :, :, key] = value == 1
    return out


def sequence_mask_by_loop(step_mask, before):
    return torch.tensor([[True] * before + row for row in step_mask.tolist()])


def first_layer_by_loop(noisy, mask, weight, bias):
    out = bias.repeat(*noisy.shape[:2], 1)
    for sample, step, dim in mask.nonzero().tolist():
        out[sample, step] += noisy[sample, step, dim] * weight[dim]
    return out


def per_robot_by_loop(x, weight, bias, robot):
    return torch.stack([sample @ weight[r] + bias[r] for sample, r in zip(x, robot, strict=True)])


def per_robot_by_one_hot(x, weight, bias, robot):
    pick = torch.nn.functional.one_hot(robot, len(weight)).to(x.dtype)
    return torch.einsum("br,bti,rio->bto", pick, x, weight) + (pick @ bias)[:, None]


def moved_by_loop(before, after, mask):
    parts = []
    for one, other, real in zip(before, after, mask, strict=True):
        parts.append((other[real] - one[real]).norm() / one[real].norm())
    return torch.stack(parts)


def moved_by_sums(before, after, mask):
    return (((after - before) ** 2 * mask).sum((1, 2)) / (before**2 * mask).sum((1, 2))).sqrt()


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("inside.1", sdpa_mask_by_loop),
        ("inside.1", lambda m, h, q: m.bool()[:, None, None].expand(-1, h, q, -1)),
        ("inside.1", lambda m, h, q: torch.stack([may_read_real(from_int_mask(m), q)] * h, dim=1)),
        ("inside.1", lambda m, h, q: torch.ones(len(m), h, q, 1, dtype=torch.bool) & (m > 0)[:, None, None]),
        ("inside.2", sequence_mask_by_loop),
        ("inside.2", lambda m, n: pad(m, (n, 0), value=True)),
        ("inside.2", lambda m, n: torch.hstack([m.new_ones(len(m), n), m])),
        ("inside.3", first_layer_by_loop),
        ("inside.3", lambda x, m, w, b: linear(x.masked_fill(~m, 0), w.T, b)),
        ("inside.3", lambda x, m, w, b: torch.einsum("btd,do->bto", torch.where(m, x, 0), w).add(b)),
        ("inside.4", per_robot_by_loop),
        ("inside.4", per_robot_by_one_hot),
        ("inside.4", lambda x, w, b, r: torch.bmm(x, w[r]) + b[r][:, None]),
        ("inside.4", lambda x, w, b, r: torch.baddbmm(b[r, None], x, w.index_select(0, r))),
        ("inside.5", moved_by_loop),
        ("inside.5", moved_by_sums),
        ("inside.5", lambda b, a, m: ((a - b) * m).norm(dim=(1, 2)) / (b * m).norm(dim=(1, 2))),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    assert check(exercise_id, answer).status == "right"


@pytest.mark.parametrize(
    ("exercise_id", "name", "answer"),
    [
        ("inside.1", "a float of ones and zeros", lambda m, h, q: sdpa_mask_by_loop(m, h, q).float()),
        ("inside.1", "the integers are handed on", lambda m, h, q: m[:, None, None].expand(-1, h, q, -1)),
        ("inside.1", "True = padding", lambda m, h, q: ~sdpa_mask_by_loop(m, h, q)),
        ("inside.1", "everything may be read", lambda m, h, q: sdpa_mask_by_loop(torch.ones_like(m), h, q)),
        ("inside.2", "the state is hidden", lambda m, n: pad(m, (n, 0))),
        ("inside.2", "the state stands last", lambda m, n: pad(m, (0, n), value=True)),
        ("inside.2", "padded steps are tokens like any other", lambda m, n: sequence_mask_by_loop(m | ~m, n)),
        ("inside.2", "action_is_pad, not step_mask", lambda m, n: sequence_mask_by_loop(~m, n)),
        ("inside.3", "padding arrives as noise", lambda x, m, w, b: linear(x, w.T, b)),
        ("inside.3", "multiplied by the mask", lambda x, m, w, b: linear(x * m.double(), w.T, b)),
        (
            "inside.3",
            "the bias is masked too",
            lambda x, m, w, b: first_layer_by_loop(x, m, w, b) * m.any(-1)[..., None],
        ),
        (
            "inside.4",
            "the first robot speaks for all",
            lambda x, w, b, r: per_robot_by_loop(x, w, b, r[:1].expand(len(x))),
        ),
        (
            "inside.4",
            "the place in the batch is taken for the robot",
            lambda x, w, b, r: per_robot_by_loop(x, w, b, torch.arange(len(x))),
        ),
        ("inside.4", "the bias of robot 0", lambda x, w, b, r: per_robot_by_loop(x, w, b[:1].expand_as(b), r)),
        ("inside.4", "no bias", lambda x, w, b, r: torch.bmm(x, w[r])),
        ("inside.5", "padding is counted too", lambda b, a, m: moved_by_sums(b, a, m | ~m)),
        (
            "inside.5",
            "the whole batch in one number",
            lambda b, a, m: ((a - b)[m].norm() / b[m].norm()).expand(len(b)),
        ),
        ("inside.5", "not as a part of its size", lambda b, a, m: ((a - b) * m).norm(dim=(1, 2))),
        (
            "inside.5",
            "only the size of the change of size",
            lambda b, a, m: ((a * m).norm(dim=(1, 2)) / (b * m).norm(dim=(1, 2)) - 1).abs(),
        ),
    ],
)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    verdict = check(exercise_id, answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("inside.1", lambda m, h, q: sdpa_mask_by_loop(m, h, q).double()),
        ("inside.1", lambda m, h, q: sdpa_mask_by_loop(m, h, q)[:, :1, :1]),
        ("inside.1", lambda m, h, q: sdpa_mask_by_loop(m[:1].expand_as(m), h, q)),
        ("inside.1", lambda m, h, q: sdpa_mask_by_loop(m.flip(1), h, q)),
        ("inside.1", lambda m, h, q: sdpa_mask_by_loop(m.sort(dim=1).values, h, q)),
        ("inside.2", lambda m, n: sequence_mask_by_loop(m[:1].expand_as(m), n)),
        ("inside.2", lambda m, n: sequence_mask_by_loop(m.flip(1), n)),
        ("inside.2", lambda m, n: sequence_mask_by_loop(m.sort(dim=1, descending=True).values, n)),
        ("inside.2", lambda m, n: sequence_mask_by_loop(m & False, n)),
        ("inside.2", lambda m, n: sequence_mask_by_loop(m, n).long()),
        ("inside.3", lambda x, m, w, b: first_layer_by_loop(x, ~m, w, b)),
        ("inside.3", lambda x, m, w, b: torch.where(m.any(-1, keepdim=True), x.nan_to_num(), 0.0) @ w + b),
        ("inside.3", lambda x, m, w, b: torch.where(m.any(1, keepdim=True), x.nan_to_num(), 0.0) @ w + b),
        ("inside.3", lambda x, m, w, b: torch.where(m.all(-1, keepdim=True), x.nan_to_num(), 0.0) @ w + b),
        ("inside.3", lambda x, m, w, b: first_layer_by_loop(x, m[:1].expand_as(m), w, b)),
        ("inside.3", lambda x, m, w, b: first_layer_by_loop(x, m, w, 0 * b)),
        ("inside.4", lambda x, w, b, r: per_robot_by_loop(x, w, b, r.sort().values)),
        ("inside.4", lambda x, w, b, r: per_robot_by_loop(x, w, b, r.flip(0))),
        ("inside.4", lambda x, w, b, r: per_robot_by_loop(x, w[:1].expand_as(w), b, r)),
        ("inside.4", lambda x, w, b, r: torch.bmm(x, w[r]) + b[: len(x), None]),
        ("inside.4", lambda x, w, b, r: torch.bmm(x, w[r]) + b[r[0]]),
        ("inside.5", lambda b, a, m: moved_by_sums(b, a, ~m)),
        ("inside.5", lambda b, a, m: moved_by_sums(b, a, m) ** 2),
        ("inside.5", lambda b, a, m: moved_by_sums(b, a, m[:1].expand_as(m))),
        ("inside.5", lambda b, a, m: ((a - b) * m).norm(dim=(1, 2)) / (a * m).norm(dim=(1, 2))),
        ("inside.5", lambda b, a, m: ((a - b) * m).norm(dim=(1, 2)) / b.norm(dim=(1, 2))),
        ("inside.5", lambda b, a, m: ((a - b) * m).abs().sum((1, 2)) / (b * m).abs().sum((1, 2))),
        ("inside.5", lambda b, a, m: ((a - b) * m).abs().amax((1, 2)) / (b * m).abs().amax((1, 2))),
        ("inside.5", lambda b, a, m: torch.zeros(len(b), dtype=b.dtype)),
    ],
)
def test_another_wrong_answer_does_not_pass(exercise_id, answer):
    assert check(exercise_id, answer).status == "wrong"


def test_masking_behind_the_layer_is_named_as_most_people_write_it():
    """Only the step axis is looked after; infinity in a recorded step has to be silenced first, or it shows."""

    def behind(x, mask, weight, bias):
        token = linear(x.nan_to_num(), weight.T, bias)
        return token * mask.any(dim=-1)[..., None]

    assert check("inside.3", behind).mistake == "masked behind the layer"


def test_the_references_are_the_librarys_own_layers_and_what_torch_needs():
    for x, weight, bias, robot in chapter_5.PER_ROBOT.cases():
        layer = EmbodimentLinear(*weight.shape).double()
        layer.load_state_dict({"weight": weight, "bias": bias})
        torch.testing.assert_close(chapter_5.per_robot(x, weight, bias, robot), layer(x, robot))
    for mask, heads, query_len in chapter_5.SDPA_MASK.cases():
        made = chapter_5.sdpa_mask(mask, heads, query_len)
        looks, tokens = torch.ones(len(mask), heads, query_len, 2), torch.rand(len(mask), heads, mask.shape[1], 2)
        read = scaled_dot_product_attention(looks, tokens, tokens, attn_mask=made)
        tokens[~(mask == 1)[:, None].expand(-1, heads, -1)] = 1e9
        assert torch.equal(read, scaled_dot_product_attention(looks, tokens, tokens, attn_mask=made))


def test_real_entries_do_not_come_first_in_the_cases():
    def is_prefix(mask):
        return bool((mask.int().diff(dim=-1) <= 0).all())

    assert any(not is_prefix(mask) for mask, *_ in chapter_5.SDPA_MASK.cases())
    assert any(not is_prefix(mask) for mask, _ in chapter_5.SEQUENCE_MASK.cases())
    assert any(not is_prefix(mask) for _, mask, *_ in chapter_5.FIRST_LAYER.cases())
    assert any(not is_prefix(mask) for *_, mask in chapter_5.MOVED.cases())


def test_the_cases_hold_what_the_tasks_promise():
    """Infinity in padding, a step of padding alone, a robot that comes twice, and a change in padding alone."""
    layers = chapter_5.FIRST_LAYER.cases()
    assert any(x[~mask].isinf().any() for x, mask, *_ in layers)
    assert all(x[mask].isfinite().all() for x, mask, *_ in layers)
    assert any((~mask.any(-1)).any() for _, mask, *_ in layers)
    robots = [robot.tolist() for *_, robot in chapter_5.PER_ROBOT.cases()]
    assert any(len({*robot}) < len(robot) for robot in robots)
    assert any((moved == 0).all() for moved in map(lambda case: chapter_5.moved(*case), chapter_5.MOVED.cases()))
