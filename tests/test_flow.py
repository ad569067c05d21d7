"""Flow matching: the line from noise to actions, its slope, the flow time, and the way along it.

Answers are typed out, or follow from Beta(1.5, 1), whose distribution function is `s ** 1.5`. Sizes are distinct
primes.
"""

import inspect
import math
from typing import get_args, get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import tensor

from groot_teach.checks import EARLIEST
from groot_teach.flow import (
    BETA_ALPHA,
    NOISE_S,
    TIME_BUCKETS,
    euler_path,
    flow_time_n1_5,
    flow_time_n1_7,
    interpolate,
    refill_noise,
    refill_zero,
    sample_beta,
    time_bucket,
    velocity_target,
)
from groot_teach.masks import Masking

T, F = True, False
NAN = float("nan")
quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
every_float = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
either_half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
either_version = pytest.mark.parametrize("flow_time", [flow_time_n1_5, flow_time_n1_7])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def f64(values: list) -> torch.Tensor:
    return tensor(values, dtype=torch.float64)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=seeded(seed))


def farthest(values: torch.Tensor, distribution) -> float:
    """Kolmogorov and Smirnov's distance between draws and a distribution function."""
    values = values.sort().values
    steps = torch.arange(len(values) + 1, dtype=torch.float64) / len(values)
    expected = distribution(values)
    return max((steps[1:] - expected).max().item(), (expected - steps[:-1]).max().item())


# ------------------------------------------------------------------------------------------------------- Beta


def test_the_constants_are_gr00ts():
    assert (BETA_ALPHA, NOISE_S, TIME_BUCKETS, EARLIEST) == (1.5, 0.999, 1000, -0.0011)


def test_the_distribution_function_that_is_inverted_is_that_of_torchs_beta():
    s = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    density = torch.distributions.Beta(*f64([1.5, 1.0])).log_prob(s).exp()
    assert torch.allclose(torch.cumulative_trapezoid(density, s), s[1:] ** 1.5, atol=1e-6)
    assert torch.allclose(density, 1.5 * s.sqrt())  # it grows like sqrt(s)


def test_draws_follow_the_distribution_function():
    s = sample_beta(50_000, seeded(0))
    assert farthest(s, lambda s: s**1.5) < 1.63 / math.sqrt(50_000)  # passed by 99 of 100 seeds
    assert farthest(s, lambda s: s**1.45) > 1.63 / math.sqrt(50_000)


def test_draws_have_the_moments_of_torchs_beta():
    s, beta = sample_beta(50_000, seeded(1)), torch.distributions.Beta(1.5, 1.0)
    assert beta.mean.item() == pytest.approx(0.6)
    assert beta.variance.item() == pytest.approx(0.0685714)
    assert s.mean().item() == pytest.approx(0.6, abs=4 * math.sqrt(0.0686 / 50_000))
    assert s.var().item() == pytest.approx(0.0685714, rel=0.03)


def test_torchs_beta_takes_no_generator_and_gives_the_same_distribution_from_another_stream():
    beta = torch.distributions.Beta(1.5, 1.0)
    assert list(inspect.signature(beta.sample).parameters) == ["sample_shape"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = beta.sample([20_000]).double()
    ours = sample_beta(20_000, seeded(0))
    assert not torch.allclose(ours, theirs, atol=0.1)
    order = ours.sort().values
    assert farthest(theirs, lambda s: torch.searchsorted(order, s, right=True) / 20_000) < 1.63 / math.sqrt(10_000)


def test_large_draws_are_likelier():
    s = sample_beta(20_000, seeded(2))
    assert (s > 0.5).double().mean().item() == pytest.approx(1 - 0.5**1.5, abs=0.014)  # 0.65
    tenths = torch.histc(s, bins=10, min=0, max=1)
    assert (tenths[1:] > tenths[:-1]).all()


def test_draws_are_float64_and_between_0_and_1():
    s = sample_beta(10_007, seeded(3))
    assert s.shape == (10_007,)
    assert s.dtype == torch.float64
    assert ((s >= 0) & (s <= 1)).all()


def test_the_same_generator_state_gives_the_same_draws_and_the_state_moves_on():
    generator = seeded(4)
    first, second = sample_beta(7, generator), sample_beta(7, generator)
    assert torch.equal(first, sample_beta(7, seeded(4)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, sample_beta(7, seeded(5)))


def test_torchs_global_generator_is_left_alone():
    before = torch.get_rng_state()
    sample_beta(7, seeded(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_draw_is_the_first_of_many():
    assert torch.equal(sample_beta(1, seeded(4)), sample_beta(7, seeded(4))[:1])


@pytest.mark.parametrize("batch", [0, -1])
def test_no_draw_is_an_error(batch):
    with pytest.raises(ValueError, match=f"batch: got {batch}, expected 1 or more"):
        sample_beta(batch, seeded(0))


@pytest.mark.parametrize(("batch", "generator", "name"), [(3.0, seeded(0), "batch"), (3, None, "generator")])
def test_a_draw_needs_a_whole_number_and_a_generator(batch, generator, name):
    with pytest.raises(TypeCheckError, match=f"parameter '{name}'"):
        sample_beta(batch, generator)


# -------------------------------------------------------------------------------------------------- flow time


def test_n1_5s_flow_time_runs_from_1_to_a_little_before_the_noise():
    ends = f64([0.0, 0.999, 1.0])
    assert flow_time_n1_5(ends).tolist() == pytest.approx([1, 0, -0.001001001], abs=1e-9)
    assert flow_time_n1_5(ends)[0] == 1
    assert flow_time_n1_5(f64([0.4995])).item() == pytest.approx(0.5)


def test_n1_7s_flow_time_runs_from_a_little_before_the_actions_to_the_noise():
    assert flow_time_n1_7(f64([0.0, 0.5, 1.0])).tolist() == pytest.approx([0.999, 0.4995, 0])
    assert flow_time_n1_7(f64([1.0])).item() == 0


def test_fifteen_of_ten_thousand_n1_5_draws_lie_before_the_noise_and_none_of_n1_7():
    s = sample_beta(200_000, seeded(0))
    before_the_noise = 1 - 0.999**1.5
    assert before_the_noise == pytest.approx(0.0015, abs=1e-6)
    assert (flow_time_n1_5(s) < 0).double().mean().item() == pytest.approx(before_the_noise, abs=0.00035)
    assert (flow_time_n1_7(s) >= 0).all()


def test_the_mean_flow_time_is_two_fifths_in_both_versions():
    s = sample_beta(50_000, seeded(6))
    assert flow_time_n1_5(s).mean().item() == pytest.approx((0.999 - 0.6) / 0.999, abs=0.005)
    assert flow_time_n1_7(s).mean().item() == pytest.approx(0.4 * 0.999, abs=0.005)


@given(st.floats(0, 1))
@quick
def test_the_two_versions_differ_by_a_thousandth_at_most_and_both_are_flow_times(s):
    s = tensor([s], dtype=torch.float64)
    assert (flow_time_n1_5(s) - flow_time_n1_7(s)).abs().item() <= 0.001001002
    for t in (flow_time_n1_5(s), flow_time_n1_7(s)):
        assert EARLIEST <= t.item() <= 1
        time_bucket(t)


@either_version
@every_float
def test_every_s_of_a_dtype_gives_a_flow_time_of_that_dtype(flow_time, dtype):
    s = torch.linspace(0, 1, 1009, dtype=dtype)
    t = flow_time(s)
    assert t.dtype == dtype
    assert ((t >= EARLIEST) & (t <= 1)).all()
    interpolate(torch.zeros(1009, 1, 1, dtype=dtype), torch.zeros(1009, 1, 1, dtype=dtype), t)


@either_version
@pytest.mark.parametrize(
    ("s", "got"), [([0.5, 1.25], "0.5 to 1.25"), ([-0.25, 0.5], "-0.25 to 0.5"), ([0.5, NAN], "nan to nan")]
)
def test_an_s_outside_0_to_1_is_an_error(flow_time, s, got):
    with pytest.raises(ValueError, match=f"^s: got {got}, expected 0 to 1$"):
        flow_time(tensor(s))


# -------------------------------------------------------------------------------------------------- the bucket


def test_the_bucket_is_the_flow_time_in_thousandths_cut_towards_zero():
    t = f64([-0.001001, -0.0009, -0.0005, 0, 0.0004, 0.0019, 0.2499, 0.25, 0.5, 0.75, 0.9996, 1])
    assert time_bucket(t).tolist() == [-1, 0, 0, 0, 0, 1, 249, 250, 500, 750, 999, 1000]
    assert time_bucket(t).dtype == torch.int64


def test_n1_5s_smallest_flow_time_gives_bucket_minus_1_which_a_sine_can_take_and_a_table_cannot():
    for dtype in (torch.float32, torch.float64):
        bucket = time_bucket(flow_time_n1_5(torch.ones(1, dtype=dtype)))
        assert bucket.item() == -1
    assert torch.sin(bucket).isfinite()
    with pytest.raises(IndexError):
        torch.nn.Embedding(TIME_BUCKETS, 2)(bucket)


@given(st.floats(-0.0011, 1), st.sampled_from([torch.float32, torch.float64]))
@quick
def test_the_bucket_is_never_later_than_its_flow_time_unless_that_is_negative(t, dtype):
    t = tensor([t], dtype=dtype).clamp(min=EARLIEST)
    bucket = time_bucket(t).item()
    assert bucket in (0, -1) if t < 0 else 0 <= bucket <= TIME_BUCKETS
    assert abs(t.item() * 1000 - bucket) < 1 + 1e-4


@either_half
def test_half_precision_would_round_a_bucket_up_so_it_is_refused(dtype):
    t = tensor([0.89453125 if dtype == torch.bfloat16 else 0.89990234375], dtype=dtype)
    assert int(t.item() * 1000) < int((t * 1000).item())  # 894 and 896, 899 and 900
    with pytest.raises(ValueError, match=f"^t: got {dtype}, expected float32 or float64; in half precision"):
        time_bucket(t)
    assert time_bucket(t.float()).item() == int(t.item() * 1000)


# -------------------------------------------------------------------------------------- the line and its slope

ACTIONS = tensor([[[8.0, 16.0], [24.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]])
NOISE = tensor([[[4.0, -4.0], [8.0, 8.0]], [[5.0, 6.0], [7.0, 8.0]], [[5.0, 6.0], [7.0, 8.0]]])


def test_each_sample_is_mixed_at_its_own_flow_time():
    noisy_actions = interpolate(ACTIONS, NOISE, tensor([0.25, 0.0, 1.0]))
    assert noisy_actions.tolist() == [[[5, 1], [12, 6]], [[5, 6], [7, 8]], [[1, 2], [3, 4]]]


def test_the_target_is_the_way_from_noise_to_actions():
    assert velocity_target(ACTIONS, NOISE)[:2].tolist() == [[[4, 20], [16, -8]], [[-4, -4], [-4, -4]]]


def test_the_slope_is_the_target_all_along_the_line():
    actions, noise = random(0, 2, 3, 5), random(1, 2, 3, 5)
    points = [interpolate(actions, noise, f64([t] * 2)) for t in (0, 0.125, 0.5, 1)]
    for t, point in zip((0.125, 0.5, 1), points[1:], strict=True):
        assert torch.allclose((point - points[0]) / t, velocity_target(actions, noise), atol=1e-14)


def test_padded_dims_hold_1_minus_t_times_the_noise_and_are_asked_for_minus_the_noise():
    actions, noise, t = random(2, 2, 3, 5), random(3, 2, 3, 5), f64([0.3, 0.9])
    actions[..., 2:] = 0
    padding = interpolate(actions, noise, t)[..., 2:]
    assert torch.equal(padding, (1 - t)[:, None, None] * noise[..., 2:])
    assert torch.equal(velocity_target(actions, noise)[..., 2:], -noise[..., 2:])
    assert (padding != 0).all()
    at_the_data = interpolate(actions, noise, torch.ones(2).double())
    assert (at_the_data[..., 2:] == 0).all()


def test_padding_has_the_standard_deviation_1_minus_t():
    noise, zeros = random(4, 3, 101, 103), torch.zeros(3, 101, 103).double()
    padding = interpolate(zeros, noise, f64([0.0, 0.25, 0.75]))
    assert padding.std(dim=(1, 2)).tolist() == pytest.approx([1, 0.75, 0.25], rel=0.03)


def test_openpis_line_is_ours_with_the_time_turned_round():
    actions, noise, time = random(5, 2, 3, 5), random(6, 2, 3, 5), f64([0.25, 0.875])
    theirs = time[:, None, None] * noise + (1 - time[:, None, None]) * actions
    assert torch.allclose(interpolate(actions, noise, 1 - time), theirs)
    assert not torch.allclose(interpolate(actions, noise, time), theirs)


def test_the_gradient_of_the_line_is_t_for_actions_and_1_minus_t_for_noise():
    actions, noise = ACTIONS.clone().requires_grad_(), NOISE.clone().requires_grad_()
    t = tensor([0.25, 0.5, 1.0], requires_grad=True)
    interpolate(actions, noise, t).sum().backward()
    assert actions.grad[:, 0, 0].tolist() == [0.25, 0.5, 1]
    assert noise.grad[:, 1, 1].tolist() == [0.75, 0.5, 0]
    assert t.grad.tolist() == [32, -16, -16]  # the sum of actions - noise


def test_the_gradient_of_the_target_is_plus_1_and_minus_1():
    actions, noise = ACTIONS.clone().requires_grad_(), NOISE.clone().requires_grad_()
    velocity_target(actions, noise).sum().backward()
    assert (actions.grad == 1).all()
    assert (noise.grad == -1).all()


@every_float
def test_the_line_and_the_target_keep_the_dtype_and_their_arguments(dtype):
    actions, noise, t = ACTIONS.to(dtype), NOISE.to(dtype), tensor([0.25, 0.0, 1.0], dtype=dtype)
    assert interpolate(actions, noise, t).dtype == dtype
    assert velocity_target(actions, noise).dtype == dtype
    assert torch.equal(actions, ACTIONS.to(dtype))
    assert torch.equal(noise, NOISE.to(dtype))
    assert t.tolist() == [0.25, 0, 1]


def test_inputs_that_are_not_contiguous_are_mixed_by_value():
    actions, noise, t = random(7, 5, 2, 3).permute(1, 2, 0), random(8, 2, 3, 10)[..., ::2], random(9, 1).expand(2)
    t = t.abs().clamp(max=1)
    expected = interpolate(actions.contiguous(), noise.contiguous(), t.contiguous())
    assert torch.equal(interpolate(actions, noise, t), expected)
    assert torch.equal(velocity_target(actions, noise), actions.contiguous() - noise.contiguous())


def test_an_empty_batch_stays_empty():
    empty, t = torch.zeros(0, 3, 5), torch.zeros(0)
    mask = torch.zeros(0, 3, 5, dtype=torch.bool)
    assert interpolate(empty, empty, t).shape == (0, 3, 5)
    assert velocity_target(empty, empty).shape == (0, 3, 5)
    assert refill_noise(empty, mask, empty, t).shape == refill_zero(empty, mask).shape == (0, 3, 5)
    assert euler_path(lambda noisy_actions, t: noisy_actions, empty, 7).shape == (8, 0, 3, 5)
    assert time_bucket(t).shape == flow_time_n1_5(t).shape == flow_time_n1_7(t).shape == (0,)


# --------------------------------------------------------------------------------------------------- the path


@given(st.integers(1, 60), st.integers(0, 2**20))
@quick
def test_along_the_true_velocity_any_number_of_steps_arrives(steps, seed):
    actions, noise = random(seed, 2, 3, 5), random(seed + 1, 2, 3, 5)
    path = euler_path(lambda noisy_actions, t: velocity_target(actions, noise), noise, steps)
    assert path.shape == (steps + 1, 2, 3, 5)
    assert torch.equal(path[0], noise)
    assert (path[-1] - actions).abs().max() < 1e-12
    for step in (0, steps // 2, steps):
        on_the_line = interpolate(actions, noise, f64([step / steps] * 2))
        assert (path[step] - on_the_line).abs().max() < 1e-12


def test_a_velocity_that_is_the_point_itself_grows_by_half_in_each_of_two_steps():
    path = euler_path(lambda noisy_actions, t: noisy_actions, tensor([[[4.0, -8.0]]]), 2)
    assert path.flatten(1).tolist() == [[4, -8], [6, -12], [9, -18]]


def test_a_velocity_that_is_the_time_is_asked_at_the_start_of_each_step():
    path = euler_path(lambda noisy_actions, t: torch.ones(2, 1, 1) * t[:, None, None], torch.zeros(2, 1, 1), 4)
    assert path.flatten(1).tolist() == [[0, 0], [0, 0], [0.0625, 0.0625], [0.1875, 0.1875], [0.375, 0.375]]


@every_float
def test_velocity_and_refill_are_told_the_point_and_its_flow_time(dtype):
    asked, filled = [], []

    def velocity(noisy_actions, t):
        asked.append((noisy_actions, t))
        return torch.ones_like(noisy_actions)

    def refill(noisy_actions, t):
        filled.append((noisy_actions, t))
        return noisy_actions + 1

    path = euler_path(velocity, torch.zeros(2, 3, 5, dtype=dtype), 4, refill)
    assert [t.tolist() for _, t in asked] == [[0, 0], [0.25, 0.25], [0.5, 0.5], [0.75, 0.75]]
    assert [t.tolist() for _, t in filled] == [[0, 0], [0.25, 0.25], [0.5, 0.5], [0.75, 0.75], [1, 1]]
    assert all(t.dtype == path.dtype == dtype for _, t in asked + filled)
    assert path[:, 0, 0, 0].tolist() == [1, 2.25, 3.5, 4.75, 6]  # 1 from each refill, 1/4 from each step
    assert torch.equal(torch.stack([point for point, _ in asked]), path[:-1])
    assert torch.equal(torch.stack([point for point, _ in filled]), path - 1)


def test_the_path_is_a_copy_and_leads_the_gradient_back_to_the_noise():
    noise = torch.ones(2, 3, 5, dtype=torch.float64, requires_grad=True)
    path = euler_path(lambda noisy_actions, t: noisy_actions, noise, 2)
    path[-1].sum().backward()
    assert (noise.grad == 2.25).all()
    path.detach().zero_()
    assert (noise == 1).all()


@pytest.mark.parametrize("steps", [0, -1])
def test_no_step_is_an_error(steps):
    with pytest.raises(ValueError, match=f"^steps: got {steps}, expected 1 or more$"):
        euler_path(lambda noisy_actions, t: noisy_actions, torch.zeros(2, 3, 5), steps)


WRONG_FORMS = [
    (lambda noisy_actions: noisy_actions[..., :2], r"float32 of shape \(2, 3, 2\) on cpu"),
    (lambda noisy_actions: noisy_actions[:1], r"float32 of shape \(1, 3, 5\) on cpu"),
    (lambda noisy_actions: noisy_actions[0], r"float32 of shape \(3, 5\) on cpu"),
    (lambda noisy_actions: noisy_actions.sum(), r"float32 of shape \(\) on cpu"),
    (lambda noisy_actions: noisy_actions.double(), r"float64 of shape \(2, 3, 5\) on cpu"),
    (lambda noisy_actions: noisy_actions.to("meta"), r"float32 of shape \(2, 3, 5\) on meta"),
]


@pytest.mark.parametrize(("answer", "got"), WRONG_FORMS)
def test_a_velocity_or_a_refill_of_another_form_is_an_error_and_is_neither_filled_up_nor_cast(answer, got):
    noise, like = torch.zeros(2, 3, 5), r"torch.float32 of shape \(2, 3, 5\) on cpu"
    with pytest.raises(ValueError, match=f"^velocity: gave torch.{got}, expected {like}$"):
        euler_path(lambda noisy_actions, t: answer(noisy_actions), noise, 2)
    with pytest.raises(ValueError, match=f"^refill: gave torch.{got}, expected {like}$"):
        euler_path(lambda noisy_actions, t: noisy_actions, noise, 2, lambda noisy_actions, t: answer(noisy_actions))


def test_an_answer_that_is_no_tensor_is_an_error():
    noise = torch.zeros(2, 3, 5)
    with pytest.raises(TypeError, match=r"^velocity: gave a NoneType, expected a tensor$"):
        euler_path(lambda noisy_actions, t: None, noise, 2)
    with pytest.raises(TypeError, match=r"^refill: gave a float, expected a tensor$"):
        euler_path(lambda noisy_actions, t: noisy_actions, noise, 2, lambda noisy_actions, t: 0.0)


def test_the_last_refill_is_looked_at_too():
    def refill(noisy_actions, t):
        return noisy_actions if t[0] < 1 else noisy_actions[..., :2]

    with pytest.raises(ValueError, match="refill: gave"):
        euler_path(lambda noisy_actions, t: noisy_actions, torch.zeros(2, 3, 5), 3, refill)


# ----------------------------------------------------------------------------------------------------- refills

POINT = tensor([[[10.0, 20.0], [30.0, 40.0]]])
REAL = tensor([[[T, F], [F, T]]])


def test_refilling_with_zero_writes_0_where_nothing_is_real():
    assert refill_zero(POINT, REAL).tolist() == [[[10, 0], [0, 40]]]


def test_refilling_with_noise_writes_1_minus_t_times_the_noise_where_nothing_is_real():
    noise = tensor([[[4.0, 8.0], [-4.0, 12.0]]])
    assert refill_noise(POINT, REAL, noise, tensor([0.25])).tolist() == [[[10, 6], [-3, 40]]]
    assert refill_noise(POINT, REAL, noise, tensor([1.0])).tolist() == [[[10, 0], [0, 40]]]


def test_refilling_with_noise_puts_back_exactly_what_training_showed():
    actions, noise, t = random(10, 2, 3, 5), random(11, 2, 3, 5), f64([0.3, 0.7])
    action_mask = torch.rand(2, 3, 5, generator=seeded(12)) < 0.5
    actions[~action_mask] = 0
    shown = interpolate(actions, noise, t)
    spoiled = torch.where(action_mask, shown, 99.0)
    assert torch.equal(refill_noise(spoiled, action_mask, noise, t), shown)


def test_the_samplers_positions_are_no_refill_and_the_two_refills():
    assert get_args(get_type_hints(Masking)["sampler"]) == ("free", "zero", "renoise")


@every_float
def test_refills_keep_the_dtype_their_arguments_and_nan_out(dtype):
    point = tensor([[[10.0, NAN], [float("inf"), 40.0]]], dtype=dtype)
    noise, t = torch.ones_like(point), torch.zeros(1, dtype=dtype)
    for refilled, expected in (
        (refill_zero(point, REAL), [[[10, 0], [0, 40]]]),
        (refill_noise(point, REAL, noise, t), [[[10, 1], [1, 40]]]),
    ):
        assert refilled.dtype == dtype
        assert refilled.tolist() == expected
        refilled.zero_()
    assert point[0, 0, 0] == 10
    assert point[0, 0, 1].isnan()
    assert refill_zero(point, ~REAL)[0, 0, 1].isnan()  # a real NaN is not hidden


def test_the_gradient_passes_a_refill_where_entries_are_real_alone():
    point = tensor([[[10.0, NAN], [30.0, 40.0]]], requires_grad=True)
    noise = torch.ones(1, 2, 2, requires_grad=True)
    (refill_zero(point, REAL).sum() + refill_noise(point, REAL, noise, tensor([0.25])).sum()).backward()
    assert point.grad.tolist() == [[[2, 0], [0, 2]]]
    assert noise.grad.tolist() == [[[0, 0.75], [0.75, 0]]]


def refilled_actions(name: str, start: torch.Tensor, action_mask: torch.Tensor) -> torch.Tensor:
    """The real entries after 4 steps of a network that mixes all dims."""
    mix = random(13, 5, 5)
    refill = {
        "free": None,
        "zero": lambda noisy_actions, t: refill_zero(noisy_actions, action_mask),
        "renoise": lambda noisy_actions, t: refill_noise(noisy_actions, action_mask, start, t),
    }[name]
    return euler_path(lambda noisy_actions, t: noisy_actions @ mix, start, 4, refill)[-1][action_mask]


@pytest.mark.parametrize(("name", "moves"), [("free", True), ("zero", False), ("renoise", True)])
def test_noise_in_padding_reaches_the_action_unless_it_is_set_to_zero(name, moves):
    start = random(14, 2, 3, 5)
    action_mask = torch.zeros(2, 3, 5, dtype=torch.bool)
    action_mask[0, :, :2], action_mask[1, :, :3] = True, True
    before = refilled_actions(name, start, action_mask)
    hidden = torch.where(action_mask, start, start + 1)
    assert torch.equal(before, refilled_actions(name, hidden, action_mask)) != moves
    visible = torch.where(action_mask, start + 1, start)
    assert not torch.equal(before, refilled_actions(name, visible, action_mask))


# ------------------------------------------------------------------------------------------- what is refused

LINE = (torch.zeros(2, 3, 5), torch.zeros(2, 3, 5), torch.zeros(2))
ALL = torch.ones(2, 3, 5, dtype=torch.bool)


def takers_of_t(t):
    """Everything that takes a flow time, called with this one."""
    actions, noise = LINE[0].to(t.dtype), LINE[1].to(t.dtype)
    return (
        lambda: interpolate(actions, noise, t),
        lambda: refill_noise(actions, ALL, noise, t),
        lambda: time_bucket(t),
    )


@pytest.mark.parametrize(
    ("t", "got"),
    [
        ([250, 500], "250 to 500, expected a flow time, 0 .noise. to 1 .data.; is it a bucket, or openpi's time.$"),
        ([0.5, 1.25], "0.5 to 1.25, expected a flow time, .*; is it a bucket, or openpi's time.$"),
        ([-0.5, 0.5], "-0.5 to 0.5, expected a flow time, 0 .noise. to 1 .data.$"),
        ([-0.00111, 0.5], "-0.00111 to 0.5, expected a flow time, 0 .noise. to 1 .data.$"),
        ([0.5, NAN], "nan to nan, expected a flow time, 0 .noise. to 1 .data.$"),
    ],
)
def test_a_time_that_is_no_flow_time_is_an_error(t, got):
    for take in takers_of_t(tensor(t, dtype=torch.float64)):
        with pytest.raises(ValueError, match=f"^t: got {got}"):
            take()


def test_the_ends_of_the_flow_time_are_taken():
    for take in takers_of_t(tensor([EARLIEST, 1.0], dtype=torch.float64)):
        take()


def test_tensors_of_different_dtypes_are_an_error_and_not_promoted():
    actions, noise, t = LINE
    f32, f64 = "torch.float32", "torch.float64"
    with pytest.raises(ValueError, match=f"^actions, noise, t: got dtype {f32}, {f32}, {f64}, expected the same; "):
        interpolate(actions, noise, t.double())
    with pytest.raises(ValueError, match=f"^actions, noise, t: got dtype {f64}, {f32}, {f32}, expected the same; "):
        interpolate(actions.double(), noise, t)
    with pytest.raises(ValueError, match=f"^actions, noise: got dtype {f32}, {f64}, expected the same; "):
        velocity_target(actions, noise.double())
    for arguments in ((actions.double(), noise, t), (actions, noise.double(), t), (actions, noise, t.double())):
        with pytest.raises(ValueError, match=r"^noisy_actions, noise, t: got dtype .*, expected the same; "):
            refill_noise(arguments[0], ALL, *arguments[1:])


def test_tensors_on_different_devices_are_an_error():
    actions, noise, t = LINE
    with pytest.raises(ValueError, match=r"^actions, noise, t: got device cpu, meta, cpu, expected the same; "):
        interpolate(actions, noise.to("meta"), t)
    with pytest.raises(ValueError, match=r"^actions, noise: got device meta, cpu, expected the same; "):
        velocity_target(actions.to("meta"), noise)
    with pytest.raises(ValueError, match=r"^noisy_actions, action_mask: got device cpu, meta, expected the same; "):
        refill_zero(actions, ALL.to("meta"))
    for place in range(4):
        arguments = [actions, ALL, noise, t]
        arguments[place] = arguments[place].to("meta")
        with pytest.raises(
            ValueError, match=r"^noisy_actions, action_mask, noise, t: got device .*, expected the same; "
        ):
            refill_noise(*arguments)


def functions_of(**changed):
    """Every function with good arguments, but for those named."""
    good = {"actions": LINE[0], "noise": LINE[1], "t": LINE[2], "noisy_actions": LINE[0], "action_mask": ALL}
    good |= {"s": LINE[2], "steps": 2, "velocity": lambda noisy_actions, t: noisy_actions}
    functions = (interpolate, velocity_target, refill_zero, refill_noise, flow_time_n1_5, flow_time_n1_7, time_bucket)
    for function in (*functions, euler_path):
        names = [name for name in inspect.signature(function).parameters if name in good]
        if changed.keys() & set(names):
            yield function, {name: changed.get(name, good[name]) for name in names}


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("actions", torch.zeros(2, 3), r"f32\[2,3\]"),
        ("actions", torch.zeros(2, 3, 5, dtype=torch.int64), r"i64\[2,3,5\]"),
        ("actions", torch.zeros(2, 3, 5, dtype=torch.complex64), r"c64\[2,3,5\]"),
        ("actions", [[[0.0] * 5] * 3] * 2, r"\[0.0, 0.0, 0.0, 0.0, 0.0\]"),
        ("noise", torch.zeros(3, 5), r"f32\[3,5\]"),
        ("noise", None, "None"),
        ("t", torch.zeros(2, 1, 1), r"f32\[2,1,1\]"),
        ("t", tensor(0.5), r"f32\[\]"),
        ("t", 0.5, "0.5"),
        ("t", torch.zeros(2, dtype=torch.int64), r"i64\[2\]"),
        ("s", torch.zeros(2, 1), r"f32\[2,1\]"),
        ("s", [0.5, 0.5], r"\[0.5, 0.5\]"),
        ("noisy_actions", torch.zeros(2, 3, 5).numpy(), r"f32\[2,3,5\]\(numpy\)"),
        ("action_mask", torch.ones(2, 3, 5), r"f32\[2,3,5\]"),
        ("action_mask", torch.ones(2, 3, 5, dtype=torch.int64), r"i64\[2,3,5\]"),
        ("action_mask", torch.ones(2, 3, dtype=torch.bool), r"bool\[2,3\]"),
        ("steps", 2.0, r"2\.0"),
        ("velocity", torch.zeros(2, 3, 5), r"f32\[2,3,5\]"),
    ],
)
def test_an_argument_of_another_kind_is_an_error_that_names_it(name, value, got):
    calls = list(functions_of(**{name: value}))
    assert calls
    for function, arguments in calls:
        with pytest.raises(TypeCheckError, match=rf"(?s)parameter '{name}' of .*got .*{got}.*expected"):
            function(**arguments)


@pytest.mark.parametrize(
    ("name", "value", "functions"),
    [
        ("noise", torch.zeros(1, 3, 5), {interpolate, velocity_target, refill_noise}),
        ("noise", torch.zeros(2, 1, 5), {interpolate, velocity_target, refill_noise}),
        ("noise", torch.zeros(2, 3, 1), {interpolate, velocity_target, refill_noise}),
        ("t", torch.zeros(1), {interpolate, refill_noise}),
        ("t", torch.zeros(5), {interpolate, refill_noise}),
        ("action_mask", torch.ones(2, 3, 1, dtype=torch.bool), {refill_zero, refill_noise}),
        ("action_mask", torch.ones(1, 3, 5, dtype=torch.bool), {refill_zero, refill_noise}),
    ],
)
def test_nothing_is_broadcast(name, value, functions):
    calls = [(function, arguments) for function, arguments in functions_of(**{name: value}) if function in functions]
    assert len(calls) == len(functions)
    for function, arguments in calls:
        with pytest.raises(TypeCheckError, match=r"(?s)parameter '(noise|t|action_mask)'.*batch=2"):
            function(**arguments)
