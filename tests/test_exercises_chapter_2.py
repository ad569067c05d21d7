"""The exercises of chapter 2: on paper, against the library, and judged right or wrong however they are written.

What holds for exercises of every chapter is tested in `test_exercises.py`.
"""

import itertools

import pytest
import torch
from torch.nn.functional import pad

from groot_teach import flow
from groot_teach.exercises import chapter_2
from groot_teach.show.exercises import grade

EXERCISES = {exercise.id: exercise for exercise in chapter_2.EXERCISES}


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def b11(t):
    """One number a sample, ready to broadcast over steps and dims."""
    return t.reshape(-1, 1, 1)


# ------------------------------------------------------------------------------------------------------- on paper


def test_a_training_pair_on_paper():
    noisy, target = chapter_2.training_pair(tensor([[8.0]]), tensor([[4.0, 8.0]]), tensor(0.25))
    assert noisy.tolist() == [[[5, 6]]]  # 3/4 of 4 and 1/4 of 8; 3/4 of 8
    assert target.tolist() == [[[4, -8]]]


def test_a_flow_time_on_paper():
    t, bucket = chapter_2.flow_time(tensor(0.0, 0.999, 0.24975, 1.0))
    assert t[:3].tolist() == pytest.approx([1, 0, 0.75])
    assert t[3].item() == pytest.approx(-1 / 999)
    assert bucket.tolist()[:2] + bucket.tolist()[3:] == [1000, 0, -1]


def test_both_ends_on_paper():
    """From 5 with a velocity of 4 at t = 1/4: one back to 4, three on to 8, as in the first training pair."""
    noise, actions = chapter_2.both_ends(tensor([[5.0]]), tensor([[4.0]]), tensor(0.25))
    assert (noise.item(), actions.item()) == (4, 8)


def test_a_sampler_on_paper():
    """velocity = 8 t: two steps of a half, with the velocities 0 and 4."""
    assert chapter_2.sample(tensor([[1.0]]), lambda point, t: 8 * b11(t) + 0 * point, 2).item() == 3


def test_a_refill_on_paper():
    point = chapter_2.refill(tensor([[11.0, 12.0]]), tensor([[4.0, 8.0]]), torch.tensor([[True, False]]), tensor(0.75))
    assert point.tolist() == [[[11, 2]]]


def test_a_narrow_sampler_on_paper():
    """The velocity is the padded dim: 12 at the first step and 6 at the second, halved by the step's length."""
    actions = chapter_2.sample_narrow(tensor([[1.0, 12.0]]), lambda shown, t: shown[:, :, 1:], 2, 1)
    assert actions.tolist() == [[[1 + 6 + 3]]]


# ----------------------------------------------------------------------------------------------- against the library


def test_the_references_agree_with_the_library():
    for actions, noise, t in chapter_2.TRAINING_PAIR.cases():
        noisy, target = chapter_2.training_pair(actions, noise, t)
        padded = pad(actions, (0, noise.shape[2] - actions.shape[2]))
        assert torch.equal(noisy, flow.interpolate(padded, noise, t))
        assert torch.equal(target, flow.velocity_target(padded, noise))
        assert torch.equal(noisy[..., actions.shape[2] :], b11(1 - t) * noise[..., actions.shape[2] :])
    for (s,) in chapter_2.FLOW_TIME.cases():
        t, bucket = chapter_2.flow_time(s)
        assert torch.equal(t, flow.flow_time_n1_5(s))
        assert torch.equal(bucket, flow.time_bucket(t))
        assert not torch.isclose(t, flow.flow_time_n1_7(s)).any()
    for noise, velocity, steps in chapter_2.SAMPLE.cases():
        assert torch.allclose(chapter_2.sample(noise, velocity, steps), flow.euler_path(velocity, noise, steps)[-1])
    for noisy_actions, noise, dim_mask, t in chapter_2.REFILL.cases():
        action_mask = dim_mask[:, None, :].expand(noise.shape)
        library = flow.refill_noise(noisy_actions, action_mask, noise, t)
        assert torch.equal(chapter_2.refill(noisy_actions, noise, dim_mask, t), library)


def test_a_training_pair_leads_back_to_both_of_its_ends():
    for actions, noise, t in chapter_2.TRAINING_PAIR.cases():
        start, end = chapter_2.both_ends(*chapter_2.training_pair(actions, noise, t), t)
        assert torch.allclose(start, noise)
        assert torch.allclose(end, pad(actions, (0, noise.shape[2] - actions.shape[2])))


def test_the_narrow_sampler_is_the_librarys_with_refilled_padding():
    for noise, velocity, steps, action_dim in chapter_2.SAMPLE_NARROW.cases():
        action_mask = (torch.arange(noise.shape[2]) < action_dim).expand(noise.shape)

        def wide(point, t, velocity=velocity, noise=noise, action_dim=action_dim):
            return pad(velocity(point, t), (0, noise.shape[2] - action_dim))

        def refill(point, t, noise=noise, action_mask=action_mask):
            return flow.refill_noise(point, action_mask, noise, t)

        library = flow.euler_path(wide, noise, steps, refill)[-1, :, :, :action_dim]
        assert torch.allclose(chapter_2.sample_narrow(noise, velocity, steps, action_dim), library)


# --------------------------------------------------------------------------------------------------------- the cases


def test_every_bucket_is_far_from_the_next_so_that_no_rounding_decides():
    for (s,) in chapter_2.FLOW_TIME.cases():
        inside = s[(s != 0) & (s != 0.999)]  # these two are exact
        thousandths = (0.999 - inside) / 0.999 * 1000
        assert ((thousandths - thousandths.round()).abs() > 1e-6).all()


def test_padding_is_hidden_behind_no_order_and_no_equal_size():
    masks = [dim_mask for _, _, dim_mask, _ in chapter_2.REFILL.cases()][1:]
    assert not any(mask[:, 0].any() or not mask[:, -1].all() for mask in masks)
    assert any(noise.shape[2] == actions.shape[2] for actions, noise, _ in chapter_2.TRAINING_PAIR.cases())
    assert any(len(set(noise.shape)) == 1 for _, noise, _ in chapter_2.TRAINING_PAIR.cases())


def test_the_stand_in_for_a_network_says_what_it_wants():
    velocity = chapter_2.SAMPLE.cases()[1][1]
    noise = torch.zeros(2, 3, 5, dtype=torch.float64)
    assert repr(velocity) == "a function that gives 1 + 2 * t + -1 * noisy_actions"
    for t, got in ((0.0, "a float"), (torch.zeros(2, 1, 1), r"a tensor of shape \(2, 1, 1\)"), (0, "a int")):
        with pytest.raises(ValueError, match=f"one flow time a sample; got {got}$"):
            velocity(noise, t)
    assert (velocity(noise, torch.zeros(2)) == 1).all()


def test_the_network_of_the_narrow_sampler_reads_its_padding():
    for noise, velocity, _, action_dim in chapter_2.SAMPLE_NARROW.cases():
        t, other = torch.zeros(len(noise)), noise.clone()
        other[:, :, action_dim:] += 1
        assert velocity(noise, t).shape[2] == action_dim < noise.shape[2]
        assert not torch.isclose(velocity(noise, t), velocity(other, t)).any()


# -------------------------------------------------------------------------------------- right, however it is written


def pair_with_cat(actions, noise, t):
    zeros = torch.zeros(*noise.shape[:2], noise.shape[2] - actions.shape[2], dtype=noise.dtype)
    actions = torch.cat([actions, zeros], dim=-1)
    velocity = actions - noise
    return noise + b11(t) * velocity, velocity


def pair_by_lerp(actions, noise, t):
    wide = noise.new_zeros(noise.shape)
    wide[..., : actions.shape[-1]] = actions
    return torch.lerp(noise, wide, b11(t)), wide - noise


def pair_by_loops(actions, noise, t):
    noisy, target = torch.empty_like(noise), torch.empty_like(noise)
    for sample, step, dim in itertools.product(*map(range, noise.shape)):
        action = actions[sample, step, dim] if dim < actions.shape[2] else 0.0
        start = noise[sample, step, dim]
        noisy[sample, step, dim] = (1 - t[sample]) * start + t[sample] * action
        target[sample, step, dim] = action - start
    return noisy, target


def pair_by_einsum(actions, noise, t):
    wide = pad(actions, (0, noise.shape[2] - actions.shape[2]))
    return torch.einsum("b,bsd->bsd", 1 - t, noise) + torch.einsum("b,bsd->bsd", t, wide), wide - noise


def sample_with_linspace(noise, velocity, steps):
    times = torch.linspace(0, 1, steps + 1, dtype=noise.dtype)
    point = noise.clone()
    for now, then in itertools.pairwise(times):
        point = point + (then - now) * velocity(point, now.expand(len(noise)))
    return point


def sample_with_growing_t(noise, velocity, steps):
    point, t, dt = noise, torch.zeros(noise.shape[0]), 1.0 / steps
    for _ in range(steps):
        point, t = torch.add(point, velocity(point, t), alpha=dt), t + dt
    return point


def sample_in_place_on_a_copy(noise, velocity, steps):
    point = noise.clone()
    for step in range(steps):
        point += velocity(point, torch.tensor([step / steps] * len(noise))) / steps
    return point


def refill_by_products(noisy_actions, noise, dim_mask, t):
    real = dim_mask[:, None, :].double()
    return real * noisy_actions + (1 - real) * (1 - b11(t)) * noise


def refill_in_place_on_a_copy(noisy_actions, noise, dim_mask, t):
    point, hidden = noisy_actions.clone(), (~dim_mask)[:, None, :].expand(noise.shape)
    point[hidden] = (noise * (1 - b11(t)))[hidden]
    return point


def refill_by_loops(noisy_actions, noise, dim_mask, t):
    point = noisy_actions.clone()
    for sample, dim in itertools.product(*map(range, dim_mask.shape)):
        if not dim_mask[sample, dim]:
            point[sample, :, dim] = (1 - t[sample]) * noise[sample, :, dim]
    return point


def refill_along_the_line(noisy_actions, noise, dim_mask, t):
    return noisy_actions.masked_fill(~dim_mask[:, None], 0) + (noise - b11(t) * noise).masked_fill(dim_mask[:, None], 0)


def narrow_with_the_true_velocity(noise, velocity, steps, action_dim):
    point = noise
    for step in range(steps):
        slope = velocity(point, noise.new_full((len(noise),), step / steps))
        point = point + torch.cat([slope, -noise[..., action_dim:]], dim=-1) / steps
    return point[..., :action_dim]


def narrow_with_refills(noise, velocity, steps, action_dim):
    point, start = noise.clone(), noise.clone()
    for step in range(steps):
        t = torch.full((len(noise),), step / steps)
        point[..., action_dim:] = start[..., action_dim:] * (1 - step / steps)
        point[..., :action_dim] += velocity(point, t) / steps
    return point[..., :action_dim]


def narrow_with_a_padded_velocity(noise, velocity, steps, action_dim):
    point, dim_mask = noise, (torch.arange(noise.shape[2]) < action_dim).expand(len(noise), -1)
    for step in range(steps):
        t = noise.new_full((len(noise),), step / steps)
        point = chapter_2.refill(point, noise, dim_mask, t)
        point = point + pad(velocity(point, t), (0, noise.shape[2] - action_dim)) / steps
    return point[:, :, :action_dim]


RIGHT = [
    ("velocity.1", pair_with_cat),
    ("velocity.1", pair_by_lerp),
    ("velocity.1", pair_by_loops),
    ("velocity.1", pair_by_einsum),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).to(torch.int64))),
    ("velocity.2", lambda s: ((0.999 - s).div(0.999), torch.trunc((0.999 - s) / 0.999 / 0.001).long())),
    ("velocity.2", lambda s: (1 - s / 0.999, torch.tensor([int((0.999 - x) / 0.999 * 1000) for x in s.tolist()]))),
    ("velocity.2", lambda s: ((0.999 - s) / 0.999, ((0.999 - s) / 0.999).mul(1000).type(torch.long))),
    ("velocity.2", lambda s: (1 - s / 0.999, torch.div((0.999 - s) / 0.999, 0.001, rounding_mode="trunc").long())),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, x - b11(t) * v + v)),
    ("velocity.3", lambda x, v, t: (x + (1 - b11(t)) * v - v, x + v - b11(t) * v)),
    ("velocity.3", lambda x, v, t: (x - torch.einsum("b,bsd->bsd", t, v), x + torch.einsum("b,bsd->bsd", 1 - t, v))),
    ("velocity.3", lambda x, v, t: (torch.addcmul(x, b11(t), v, value=-1), torch.addcmul(x, b11(1 - t), v))),
    ("velocity.3", lambda x, v, t: (x - (v.T * t).T, x + (v.T * (1 - t)).T)),
    ("velocity.4", sample_with_linspace),
    ("velocity.4", sample_with_growing_t),
    ("velocity.4", sample_in_place_on_a_copy),
    ("velocity.4", lambda noise, velocity, steps: flow.euler_path(velocity, noise, steps)[-1]),
    ("velocity.5", refill_by_products),
    ("velocity.5", refill_in_place_on_a_copy),
    ("velocity.5", refill_by_loops),
    ("velocity.5", refill_along_the_line),
    ("velocity.5", lambda x, noise, m, t: noise.mul(1 - b11(t)).where(~m.unsqueeze(1), x)),
    ("velocity.6", narrow_with_the_true_velocity),
    ("velocity.6", narrow_with_refills),
    ("velocity.6", narrow_with_a_padded_velocity),
]


@pytest.mark.filterwarnings("ignore:The use of `x.T`")
@pytest.mark.parametrize(("exercise_id", "answer"), RIGHT)
def test_a_right_answer_is_right_however_it_is_written(exercise_id, answer):
    assert grade(EXERCISES[exercise_id], answer).status == "right"


# -------------------------------------------------------------------------------------- wrong, however it is written


def line_between(one, other, share):
    return share * one + (1 - share) * other


def openpi_from_its_own_names(actions, noise, t):
    actions = pad(actions, (0, noise.shape[2] - actions.shape[2]))
    x_t = b11(t) * noise + (1 - b11(t)) * actions
    u_t = noise - actions
    return x_t, u_t


def appended_at_the_end(actions, noise, t):
    width, missing = actions.shape[2], noise.shape[2] - actions.shape[2]
    own = noise[:, :, :width]
    return pad(line_between(actions, own, b11(t)), (0, missing)), pad(actions - own, (0, missing))


def noise_masked_first(actions, noise, t):
    width = actions.shape[2]
    noise = noise * (torch.arange(noise.shape[2]) < width)
    actions = pad(actions, (0, noise.shape[2] - width))
    return line_between(actions, noise, b11(t)), actions - noise


def only_the_real_target(actions, noise, t):
    wide = pad(actions, (0, noise.shape[2] - actions.shape[2]))
    target = torch.zeros_like(noise)
    target[:, :, : actions.shape[2]] = actions - noise[:, :, : actions.shape[2]]
    return line_between(wide, noise, b11(t)), target


def the_notes_slice(actions, noise, t):
    width = actions.shape[2]
    wide = pad(actions, (0, noise.shape[2] - width))
    return line_between(wide, noise, b11(t)), wide[:, :, :width] - noise[:, :, :width]


def target_from(what):
    def answer(actions, noise, t):
        wide = pad(actions, (0, noise.shape[2] - actions.shape[2]))
        noisy = torch.lerp(noise, wide, b11(t))
        return noisy, what(wide, noise, noisy, b11(t))

    return answer


def noise_apart(actions, noise):
    return pad(actions, (0, noise.shape[2] - actions.shape[2])) - noise


def points_at(share):
    """The right velocity, and points at the flow times that `share` makes of `t`."""

    def answer(actions, noise, t):
        return noise + share(t) * noise_apart(actions, noise), noise_apart(actions, noise)

    return answer


def midpoints(noise, velocity, steps):
    point, dt = noise, 1 / steps
    for step in range(steps):
        t = noise.new_full((len(noise),), step * dt)
        point = point + dt * velocity(point + 0.5 * dt * velocity(point, t), t + 0.5 * dt)
    return point


def sampler(times, length):
    def answer(noise, velocity, steps):
        point = noise
        for t in times(steps):
            point = point + length(steps) * velocity(point, noise.new_full((len(noise),), float(t)))
        return point

    return answer


def time_halves_with_the_step(noise, velocity, steps):
    times = torch.linspace(0, 1, steps, dtype=noise.dtype)
    dt, point = times[1] - times[0], noise
    for t in times[:-1]:
        point = point + dt * velocity(point, t.repeat(len(noise)))
    return point


def all_but_the_first(noise, velocity, steps):
    times = torch.linspace(0, 1, steps + 1, dtype=noise.dtype)
    point = noise
    for t in times[1:]:
        point = point + velocity(point, t.repeat(len(noise))) / steps
    return point


def down_from_one(noise, velocity, steps):
    dt, time, point = -1.0 / steps, 1.0, noise
    for _ in range(steps):
        point = point + dt * velocity(point, noise.new_full((len(noise),), time))
        time += dt
    return point


def heun(noise, velocity, steps):
    point = noise
    for step in range(steps):
        t = noise.new_full((len(noise),), step / steps)
        first = velocity(point, t)
        second = velocity(point + first / steps, t + 1 / steps)
        point = point + (first + second) / (2 * steps)
    return point


def straight_on(noise, velocity, steps):
    slope, point = velocity(noise, noise.new_zeros(len(noise))), noise
    for _ in range(steps):
        point = point + slope / steps
    return point


def narrow(start, after):
    """A sampler in the manner of the fork: padded dims are set before the loop and after every step."""

    def answer(noise, velocity, steps, action_dim):
        point, first = noise.clone(), noise[:, :, action_dim:]
        point[:, :, action_dim:] = start(first)
        for step in range(steps):
            slope = velocity(point, noise.new_full((len(noise),), step / steps))
            point = point + pad(slope, (0, noise.shape[2] - action_dim)) / steps
            point[:, :, action_dim:] = after(point[:, :, action_dim:], first, (step + 1) / steps, steps)
        return point[:, :, :action_dim]

    return answer


on_the_line = narrow(lambda first: first, lambda now, first, t, n: (1 - t) * first)
"""Right: what the mistakes below are made of."""


def refilled_after_the_step_number(noise, velocity, steps, action_dim):
    point = noise.clone()
    for step in range(1, steps + 1):
        point[:, :, action_dim:] = (1 - step / steps) * noise[:, :, action_dim:]
        point[:, :, :action_dim] += velocity(point, noise.new_full((len(noise),), (step - 1) / steps)) / steps
    return point[:, :, :action_dim]


NAMED = [
    ("velocity.1", "openpi's direction", openpi_from_its_own_names),
    ("velocity.1", "the velocity has openpi's sign", target_from(lambda actions, noise, noisy, t: noise - actions)),
    ("velocity.1", "padded last", appended_at_the_end),
    ("velocity.1", "padded last", noise_masked_first),
    ("velocity.1", "the padded target is zero", only_the_real_target),
    ("velocity.1", "the target is cut to the robot's dims", the_notes_slice),
    ("velocity.1", "an action is asked for", target_from(lambda actions, noise, noisy, t: actions)),
    ("velocity.1", "the noise is asked for", target_from(lambda actions, noise, noisy, t: noise)),
    ("velocity.1", "the velocity from here to the end", target_from(lambda actions, noise, noisy, t: actions - noisy)),
    (
        "velocity.1",
        "the velocity from here to the end",
        target_from(lambda actions, noise, noisy, t: (1 - t) * (actions - noise)),
    ),
    (
        "velocity.1",
        "the line runs backwards, the velocity does not",
        lambda actions, noise, t: (openpi_from_its_own_names(actions, noise, t)[0], noise_apart(actions, noise)),
    ),
    (
        "velocity.1",
        "the padded input is zero",
        lambda actions, noise, t: (appended_at_the_end(actions, noise, t)[0], noise_apart(actions, noise)),
    ),
    ("velocity.1", "one flow time for the whole batch", points_at(lambda t: t[0])),
    ("velocity.1", "the line is cut into thousandths", points_at(lambda t: b11((1000 * t).floor()) / 1000)),
    ("velocity.2", "N1.7's formula", lambda s: (0.999 * (1 - s), (999 * (1 - s)).long())),
    ("velocity.2", "openpi's flow time", lambda s: (0.999 * s + 0.001, (999 * s + 1).long())),
    ("velocity.2", "s is not turned round", lambda s: (s.div(0.999), s.div(0.999).mul(1000).trunc().long())),
    ("velocity.2", "0.999 is left out", lambda s: (1 - s, torch.trunc(1000 - 1000 * s).long())),
    ("velocity.2", "the bucket is rounded", lambda s: (1 - s / 0.999, torch.round(1000 - s / 0.000999).long())),
    ("velocity.2", "the bucket is rounded down", lambda s: (1 - s / 0.999, torch.floor(1000 - s / 0.000999).long())),
    ("velocity.2", "the bucket is rounded down", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000 // 1).long())),
    ("velocity.2", "the bucket is clamped", lambda s: (1 - s / 0.999, (1000 - s / 0.000999).relu().long())),
    (
        "velocity.2",
        "the bucket is clamped to 0 to 999",
        lambda s: (1 - s / 0.999, (1000 - s / 0.000999).long().clip(0, 999)),
    ),
    ("velocity.2", "t is clamped at 0", lambda s: ((1 - s / 0.999).relu(), ((1 - s / 0.999).relu() * 1000).long())),
    ("velocity.3", "the whole way from here", lambda x, v, t: (x - v, x + v)),
    ("velocity.3", "only the end is one whole step away", lambda x, v, t: (x - b11(t) * v, x + v)),
    ("velocity.3", "the two ends are swapped", lambda x, v, t: (x + (1 - b11(t)) * v, x - b11(t) * v)),
    ("velocity.3", "t and 1 - t are swapped", lambda x, v, t: (x - (1 - b11(t)) * v, x + b11(t) * v)),
    ("velocity.3", "the velocity has openpi's sign", lambda x, v, t: (x + b11(t) * v, x - (1 - b11(t)) * v)),
    ("velocity.3", "the prediction taken for an action", lambda x, v, t: ((x - b11(t) * v) / (1 - b11(t)), v)),
    ("velocity.3", "the prediction taken for an action", lambda x, v, t: (x, v)),
    ("velocity.3", "one step of the sampler", lambda x, v, t: (x, x + 0.25 * v)),
    ("velocity.3", "divided instead of multiplied", lambda x, v, t: (x - v / b11(t), x + v / (1 - b11(t)))),
    ("velocity.3", "one flow time for the whole batch", lambda x, v, t: (x - t[0] * v, x + (1 - t[0]) * v)),
    ("velocity.4", "not Euler's step", midpoints),
    ("velocity.4", "walks from 1 down to 0", down_from_one),
    ("velocity.4", "the velocity where the step ends", all_but_the_first),
    (
        "velocity.4",
        "flow times from 0 to 1, both included",
        sampler(lambda n: torch.linspace(0, 1, n), lambda n: 1 / n),
    ),
    ("velocity.4", "one step too many", sampler(lambda n: torch.linspace(0, 1, n), lambda n: 1 / (n - 1))),
    ("velocity.4", "one step too few", time_halves_with_the_step),
    ("velocity.4", "whole steps", sampler(lambda n: torch.arange(n) / n, lambda n: 1)),
    ("velocity.4", "one velocity for all steps", straight_on),
    ("velocity.4", "the flow time stays at 0", sampler(lambda n: torch.zeros(n), lambda n: 1 / n)),
    ("velocity.4", "flow time in thousandths", sampler(lambda n: [i * 1000 // n for i in range(n)], lambda n: 1 / n)),
    ("velocity.5", "the noise is kept as it is", lambda x, noise, m, t: torch.where(m[:, None], x, noise)),
    ("velocity.5", "zero", lambda x, noise, m, t: x * m[:, None]),
    ("velocity.5", "zero", lambda x, noise, m, t: x.masked_fill(~m[:, None], 0)),
    ("velocity.5", "scaled by t", lambda x, noise, m, t: torch.where(m[:, None], x, noise * b11(t))),
    (
        "velocity.5",
        "scaled as in diffusion",
        lambda x, noise, m, t: torch.where(m[:, None], x, noise * b11(1 - t) ** 0.5),
    ),
    ("velocity.5", "noise on top", lambda x, noise, m, t: x + ~m[:, None] * noise * b11(1 - t)),
    ("velocity.5", "what drifted there, damped", lambda x, noise, m, t: x * torch.where(m[:, None], 1.0, b11(1 - t))),
    ("velocity.5", "the padded dims drift", lambda x, noise, m, t: x),
    ("velocity.5", "real dims are refilled too", lambda x, noise, m, t: noise - b11(t) * noise),
    ("velocity.5", "the mask is upside down", lambda x, noise, m, t: torch.where(m[:, None], b11(1 - t) * noise, x)),
    (
        "velocity.5",
        "the first n dims taken for the real ones",
        lambda x, noise, m, t: torch.stack(
            [
                torch.cat([point[:, :n], (1 - far) * padding[:, n:]], dim=1)
                for point, padding, n, far in zip(x, noise, m.sum(1), t, strict=True)
            ]
        ),
    ),
    (
        "velocity.5",
        "one flow time for the whole batch",
        lambda x, noise, m, t: torch.where(m[:, None], x, noise * (1 - t[0])),
    ),
    (
        "velocity.6",
        "walks from 1 down to 0",
        lambda noise, v, n, d: on_the_line(noise, lambda x, t: -v(x, 1 - t), n, d),
    ),
    (
        "velocity.6",
        "the answer is still padded",
        lambda noise, v, n, d: pad(on_the_line(noise, v, n, d), (0, noise.shape[2] - d)),
    ),
    ("velocity.6", "the padded dims keep their noise", narrow(lambda first: first, lambda now, first, t, n: first)),
    ("velocity.6", "the padded dims keep their noise", narrow(lambda first: first, lambda now, first, t, n: now)),
    ("velocity.6", "the padded dims are zero", narrow(torch.zeros_like, lambda now, first, t, n: 0)),
    ("velocity.6", "noise at first, then zero", narrow(lambda first: first, lambda now, first, t, n: 0)),
    ("velocity.6", "refilled for the next step", refilled_after_the_step_number),
    ("velocity.6", "damped again and again", narrow(lambda first: first, lambda now, first, t, n: now - now / n)),
    (
        "velocity.6",
        "multiplied by 1 - t over and over",
        narrow(lambda first: first, lambda now, first, t, n: now * (1 - t)),
    ),
    ("velocity.6", "padding scaled by t", narrow(torch.zeros_like, lambda now, first, t, n: t * first)),
]


@pytest.mark.parametrize(("exercise_id", "name", "answer"), NAMED)
def test_a_mistake_is_called_by_its_name_however_it_is_written(exercise_id, name, answer):
    verdict = grade(EXERCISES[exercise_id], answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def test_every_known_mistake_is_written_a_second_time():
    known = {(exercise.id, mistake.name) for exercise in EXERCISES.values() for mistake in exercise.mistakes}
    assert known == {(exercise_id, name) for exercise_id, name, _ in NAMED}


ONLY_WRONG = [
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a, noise, t.flip(0))),
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a, noise, t.mean().expand(len(t)))),
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a, noise, t.sqrt())),
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a, noise, t.clamp(max=0.999))),
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a, noise, t)[::-1]),
    ("velocity.1", target_from(lambda actions, noise, noisy, t: t * (actions - noise))),
    ("velocity.1", target_from(lambda actions, noise, noisy, t: noisy - noise)),
    ("velocity.1", target_from(lambda actions, noise, noisy, t: (actions - noisy) / (1 - t))),  # 0 / 0 at t = 1
    ("velocity.1", lambda a, noise, t: (chapter_2.training_pair(a, noise, t)[0] + noise, a.new_zeros(noise.shape))),
    ("velocity.1", lambda a, noise, t: chapter_2.training_pair(a.flip(2), noise, t)),
    ("velocity.1", lambda a, noise, t: tuple(x.flip(2) for x in chapter_2.training_pair(a, noise.flip(2), t))),
    ("velocity.2", lambda s: (0.999 - s, ((0.999 - s) * 1000).long())),
    ("velocity.2", lambda s: (0.999 - s / 0.999, ((0.999 - s / 0.999) * 1000).long())),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 999).long())),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).ceil().long())),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).long().abs())),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).long() % 1000)),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).long().clamp(max=999))),
    ("velocity.2", lambda s: ((1 - s / 0.999).abs(), ((1 - s / 0.999) * 1000).long())),
    ("velocity.2", lambda s: ((1 - s / 0.999).clamp(min=0), ((1 - s / 0.999) * 1000).long())),
    ("velocity.2", lambda s: (((1 - s / 0.999) * 1000).long() / 1000, ((1 - s / 0.999) * 1000).long())),
    ("velocity.2", lambda s: (1 - s / 0.999, (1 - s / 0.999) * 1000)),
    ("velocity.2", lambda s: (1 - s / 0.999, ((1 - s / 0.999) * 1000).int())),
    ("velocity.3", lambda x, v, t: (x, x + b11(1 - t) * v)),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, x)),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, v - (x - b11(t) * v))),
    ("velocity.3", lambda x, v, t: (b11(1 - t) * x, x + b11(1 - t) * v)),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, b11(t) * x + b11(1 - t) * v)),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, x + b11(1 - t) * v.abs())),
    ("velocity.3", lambda x, v, t: chapter_2.both_ends(x, v, t.flip(0))),
    ("velocity.3", lambda x, v, t: chapter_2.both_ends(x, v, t.mean().expand(len(t)))),
    ("velocity.3", lambda x, v, t: (x - b11(t) * v, x + b11(1 - t) * v, v)),
    ("velocity.3", lambda x, v, t: torch.stack(chapter_2.both_ends(x, v, t))),
    ("velocity.4", sampler(lambda n: torch.arange(n) / n, lambda n: 1 / (n + 1))),
    ("velocity.4", sampler(lambda n: torch.arange(n + 1) / n, lambda n: 1 / n)),
    ("velocity.4", sampler(lambda n: torch.arange(n + 1) / (n + 1), lambda n: 1 / (n + 1))),
    ("velocity.4", sampler(lambda n: torch.arange(4) / 4, lambda n: 1 / 4)),
    ("velocity.4", sampler(lambda n: torch.arange(n), lambda n: 1 / n)),
    ("velocity.4", sampler(lambda n: 1 - torch.arange(n) / n, lambda n: 1 / n)),
    ("velocity.4", sampler(lambda n: torch.arange(n) / n, lambda n: -1 / n)),
    ("velocity.4", sampler(lambda n: (torch.arange(n) + 0.5) / n, lambda n: 1 / n)),
    ("velocity.4", sampler(lambda n: torch.full((n,), 0.5), lambda n: 1 / n)),
    ("velocity.4", sampler(lambda n: torch.arange(n) / n * 0.999, lambda n: 1 / n)),
    ("velocity.4", heun),
    ("velocity.4", lambda noise, velocity, steps: flow.euler_path(velocity, noise, steps)),
    ("velocity.4", lambda noise, velocity, steps: flow.euler_path(velocity, noise, steps)[-2]),
    ("velocity.4", lambda noise, velocity, steps: noise + velocity(noise, noise.new_ones(len(noise)))),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11(1 - t) * x + b11(t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11((1 - t) ** 2) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11((1 - t**2).sqrt()) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11(t - 1) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11(1 - t) * noise.std())),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:1, None], x, b11(1 - t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m.any(0), x, b11(1 - t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], b11(t) * x, b11(1 - t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x + b11(1 - t) * noise, b11(1 - t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11(1 - t.mean()) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m.flip(1)[:, None], x, b11(1 - t) * noise)),
    ("velocity.5", lambda x, noise, m, t: torch.where(m[:, None], x, b11((1 - t).round()) * noise)),
    ("velocity.6", narrow(lambda first: first, lambda now, first, t, n: (1 - t) ** 0.5 * first)),
    ("velocity.6", narrow(lambda first: first, lambda now, first, t, n: (1 - t) ** 2 * first)),
    ("velocity.6", narrow(lambda first: first, lambda now, first, t, n: (1 - t + 1 / n) * first)),
    ("velocity.6", narrow(lambda first: first, lambda now, first, t, n: (t - 1) * first)),
    ("velocity.6", narrow(lambda first: 0 * first, lambda now, first, t, n: (1 - t) * first)),
    ("velocity.6", narrow(lambda first: first, lambda now, first, t, n: now - first)),
    ("velocity.6", lambda noise, v, n, d: v(noise, noise.new_zeros(len(noise)))),
    ("velocity.6", lambda noise, v, n, d: noise[:, :, :d] + v(noise, noise.new_zeros(len(noise)))),
    ("velocity.6", lambda noise, v, n, d: chapter_2.sample_narrow(noise, v, n + 1, d)),
    ("velocity.6", lambda noise, v, n, d: chapter_2.sample_narrow(noise, v, 4, d)),
    ("velocity.6", lambda noise, v, n, d: chapter_2.sample_narrow(noise, lambda x, t: v(x, t + 1 / n), n, d)),
    ("velocity.6", lambda noise, v, n, d: chapter_2.sample_narrow(noise, lambda x, t: -v(x, 1 - t), n, d)),
    ("velocity.6", lambda noise, v, n, d: chapter_2.sample_narrow(noise.flip(2), v, n, d)),
]


@pytest.mark.parametrize(("exercise_id", "answer"), ONLY_WRONG)
def test_no_other_plausible_mistake_passes(exercise_id, answer):
    assert grade(EXERCISES[exercise_id], answer).status == "wrong"


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_ten_ways_to_be_wrong_and_three_to_be_right_are_tried_for_each_exercise(exercise_id):
    tried = [entry for entry in (*NAMED, *ONLY_WRONG) if entry[0] == exercise_id]
    assert len(tried) + len(EXERCISES[exercise_id].mistakes) >= 20
    assert len([entry for entry in RIGHT if entry[0] == exercise_id]) >= 3
