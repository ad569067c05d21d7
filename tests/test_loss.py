"""The masked loss: answers from paper, then thousands of cases against the same loss with no padding in it.

The **compact** loss takes the real entries out of the batch and averages what is left, so it knows no mask. Padded and
compact must agree in value and gradient, for every shape, dtype and layout, whatever stands in padding.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor, tensor
from torch.autograd import gradcheck

from groot_teach.embodiments import DUAL_ARM
from groot_teach.loss import (
    group_velocity_losses,
    learned_weight_loss,
    loss_divisor,
    masked_velocity_loss,
    sample_weighted_velocity_loss,
    velocity_error_sum,
)

T, F = True, False
INF, NAN = float("inf"), float("nan")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
either_half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def f64(values: list) -> Tensor:
    return tensor(values, dtype=torch.float64)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def parts(width: int) -> dict[str, slice]:
    """Two groups of unequal width, or one where there is no room for two."""
    first = max(1, width // 3)
    return {"first": slice(0, first)} | ({"rest": slice(first, width)} if width > 1 else {})


def sum_of_groups(velocity_pred: Tensor, velocity_target: Tensor, action_mask: Tensor) -> Tensor:
    """The groups' losses, the second one twice, so that exchanged groups are noticed."""
    losses = group_velocity_losses(velocity_pred, velocity_target, action_mask, parts(velocity_pred.shape[2]))
    return losses["first"] + 2 * losses.get("rest", 0)


MEANS = [masked_velocity_loss, sample_weighted_velocity_loss, sum_of_groups]
every_mean = pytest.mark.parametrize("loss_of", MEANS)
every_loss = pytest.mark.parametrize("loss_of", [*MEANS, velocity_error_sum])


# ----------------------------------------------------------------------------------------- answers from paper

PRED = f64([[[1, 2], [3, 4]]])
TARGET = f64([[[0, 9], [5, 1]]])  # errors 1, -7, -2, 3
MASK = tensor([[[T, F], [T, T]]])


def test_the_mean_is_over_real_entries_alone():
    assert masked_velocity_loss(PRED, TARGET, MASK).item() == pytest.approx((1 + 4 + 9) / 3)
    assert masked_velocity_loss(PRED, TARGET, torch.ones_like(MASK)).item() == pytest.approx((1 + 49 + 4 + 9) / 4)


def test_the_error_sum_is_the_loss_before_anybody_divides_it_and_0_if_nothing_is_real():
    assert velocity_error_sum(PRED, TARGET, MASK).item() == 1 + 4 + 9
    assert velocity_error_sum(PRED, TARGET, torch.zeros_like(MASK)).item() == 0
    assert velocity_error_sum(PRED[:0], TARGET[:0], MASK[:0]).item() == 0


def test_the_gradient_is_two_errors_over_the_count_and_0_where_hidden():
    pred, target = PRED.clone().requires_grad_(), TARGET.clone().requires_grad_()
    masked_velocity_loss(pred, target, MASK).backward()
    assert pred.grad.flatten().tolist() == pytest.approx([2 / 3, 0, -4 / 3, 2])
    assert torch.equal(target.grad, -pred.grad)


# errors 1, 2, 3 in the first sample, 5 in the second, 100 where hidden
ERRORS = f64([[[1, 2], [3, 100]], [[5, 100], [100, 100]]])
TWO_SAMPLES = tensor([[[T, T], [T, F]], [[T, F], [F, F]]])


def test_a_sample_with_more_real_entries_weighs_more_in_the_masked_loss():
    loss = masked_velocity_loss(ERRORS, torch.zeros_like(ERRORS), TWO_SAMPLES)
    assert loss.item() == pytest.approx((1 + 4 + 9 + 25) / 4)


def test_every_sample_weighs_the_same_in_the_sample_weighted_loss():
    loss = sample_weighted_velocity_loss(ERRORS, torch.zeros_like(ERRORS), TWO_SAMPLES)
    assert loss.item() == pytest.approx((14 / 3 + 25 / 1) / 2)


def weights(loss_of: Callable, mask: Tensor) -> Tensor:
    """What each entry weighs: the slope of the loss in its squared error, for errors of 1."""
    pred = torch.ones(mask.shape, dtype=torch.float64, requires_grad=True)
    loss_of(pred, torch.zeros_like(pred), mask).backward()
    return pred.grad / 2


def test_each_real_entry_weighs_1_over_the_count_or_1_over_samples_times_the_samples_count():
    fourth, sixth = 1 / 4, 1 / 6
    masked_weights = weights(masked_velocity_loss, TWO_SAMPLES)
    assert masked_weights.tolist() == [[[fourth, fourth], [fourth, 0]], [[fourth, 0], [0, 0]]]
    sample_weights = weights(sample_weighted_velocity_loss, TWO_SAMPLES)
    assert sample_weights.flatten().tolist() == pytest.approx([sixth, sixth, sixth, 0, 0.5, 0, 0, 0])


def test_with_equally_many_real_entries_in_each_sample_the_two_losses_agree():
    pred, target = random(0, 3, 2, 5), random(1, 3, 2, 5)
    mask = (torch.arange(5) < 3).expand(3, 2, 5)
    by_entry, by_sample = (f(pred, target, mask) for f in (masked_velocity_loss, sample_weighted_velocity_loss))
    assert by_entry.item() == pytest.approx(by_sample.item())


def test_each_group_has_a_mean_of_its_own():
    pred = f64([[[1, 2, 3], [4, 5, 6]]])
    mask = tensor([[[T, T, T], [F, T, T]]])
    losses = group_velocity_losses(pred, torch.zeros_like(pred), mask, {"claw": slice(2, 3), "arm": slice(0, 2)})
    assert list(losses) == ["claw", "arm"]
    assert losses["arm"].item() == pytest.approx((1 + 4 + 25) / 3)
    assert losses["claw"].item() == pytest.approx((9 + 36) / 2)


def test_a_group_may_hold_padded_dims_and_padding_may_lie_outside_every_group():
    pred = f64([[[1, 2, 3, 4]]])
    mask = tensor([[[T, F, T, F]]])
    losses = group_velocity_losses(pred, torch.zeros_like(pred), mask, {"a": slice(0, 2), "b": slice(2, 3)})
    assert {name: loss.item() for name, loss in losses.items()} == {"a": 1, "b": 9}


def test_in_a_sum_of_means_a_claw_dim_weighs_a_half_and_an_arm_dim_a_fourteenth():
    def total(pred, target, mask):
        return sum(group_velocity_losses(pred, target, mask, DUAL_ARM.group_slices).values())

    one_step = weights(total, torch.ones(1, 1, 16, dtype=torch.bool)).flatten()
    assert one_step.tolist() == pytest.approx([1 / 14] * 14 + [1 / 2] * 2)
    assert weights(masked_velocity_loss, torch.ones(1, 1, 16, dtype=torch.bool)).tolist() == [[[1 / 16] * 16]]


def test_the_masked_loss_is_the_mean_of_group_losses_weighted_by_their_real_entries():
    pred, target, mask = random(2, 2, 3, 16), random(3, 2, 3, 16), random(4, 2, 3, 16) > 0
    losses = group_velocity_losses(pred, target, mask, DUAL_ARM.group_slices)
    counts = {name: mask[..., dims].sum() for name, dims in DUAL_ARM.group_slices.items()}
    weighted = sum(losses[name] * counts[name] for name in losses) / sum(counts.values())
    assert masked_velocity_loss(pred, target, mask).item() == pytest.approx(weighted.item())


# -------------------------------------------------------------------------------------------- learned weights


def test_learned_weights_are_exp_of_minus_2_s_and_each_s_is_added():
    losses = {"arm": f64(2.0), "claw": f64(0.5)}
    log_scales = {"claw": f64(math.log(2)), "arm": f64(0.0)}  # in another order
    assert learned_weight_loss(losses, log_scales).item() == pytest.approx(2 + 0 + 0.5 / 4 + math.log(2))
    assert learned_weight_loss({"arm": f64(3.0)}, {"arm": f64(0.5)}).item() == pytest.approx(3 / math.e + 0.5)


def test_where_s_has_settled_every_group_contributes_a_half_and_an_easy_group_has_a_large_weight():
    losses = {"arm": f64(0.5), "claw": f64(0.005)}
    log_scales = {name: f64(0.0) for name in losses}
    for _ in range(200):
        leaves = {name: s.detach().requires_grad_() for name, s in log_scales.items()}
        learned_weight_loss(losses, leaves).backward()
        log_scales = {name: s.detach() - 0.1 * s.grad for name, s in leaves.items()}
    learned = {name: torch.exp(-2 * s).item() for name, s in log_scales.items()}
    assert learned == pytest.approx({name: 1 / (2 * loss.item()) for name, loss in losses.items()})  # 1 and 100
    assert [learned[name] * losses[name].item() for name in losses] == pytest.approx([0.5, 0.5])


def test_the_settled_s_is_a_minimum_and_the_total_there_can_be_negative():
    def total(s):
        return learned_weight_loss({"claw": f64(0.005)}, {"claw": f64(s)}).item()

    settled = math.log(2 * 0.005) / 2
    assert total(settled) == pytest.approx(0.5 + settled)  # -1.80
    assert total(settled) < min(total(settled - 0.1), total(settled + 0.1))
    assert total(settled) < 0


def test_learned_weights_send_a_gradient_to_the_losses_and_to_each_s():
    losses = {"arm": f64(2.0).requires_grad_(), "claw": f64(3.0).requires_grad_()}
    log_scales = {"arm": f64(0.0).requires_grad_(), "claw": f64(-0.5).requires_grad_()}
    learned_weight_loss(losses, log_scales).backward()
    assert [loss.grad.item() for loss in losses.values()] == pytest.approx([1, math.e])
    assert [s.grad.item() for s in log_scales.values()] == pytest.approx([1 - 4, 1 - 6 * math.e])


SCALAR = f64(1.0)


@pytest.mark.parametrize(
    ("losses", "log_scales", "message"),
    [
        ({}, {}, "^losses: got none, expected at least one group$"),
        ({}, {"a": SCALAR}, "^losses: got none"),
        ({"a": SCALAR}, {}, r"^log_scales: got \[\], expected the groups of losses, \['a'\]$"),
        ({"a": SCALAR}, {"b": SCALAR}, r"^log_scales: got \['b'\], expected the groups of losses, \['a'\]$"),
        ({"a": SCALAR}, {"a": SCALAR, "b": SCALAR}, r"^log_scales: got \['a', 'b'\], expected"),
        ({"a": SCALAR, "b": SCALAR}, {"a": SCALAR}, r"^log_scales: got \['a'\], expected .*\['a', 'b'\]$"),
        (
            {"a": SCALAR},
            {"a": tensor(1.0)},
            r"^losses\['a'\], log_scales\['a'\]: got dtype .*64, .*32, expected",
        ),
        ({"a": SCALAR, "b": tensor(1.0)}, {"a": SCALAR, "b": SCALAR}, r"got dtype .*64, .*32, .*64, .*64, expected"),
        ({"a": SCALAR}, {"a": SCALAR.to("meta")}, r"^losses\['a'\], log_scales\['a'\]: got device cpu, meta, expected"),
    ],
)
def test_losses_and_log_scales_name_the_same_groups_in_one_dtype_on_one_device(losses, log_scales, message):
    with pytest.raises(ValueError, match=message):
        learned_weight_loss(losses, log_scales)


@pytest.mark.parametrize("argument", ["losses", "log_scales"])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (1.0, "1.0"),
        (f64([1.0]), r"torch.float64\[1\]"),
        (tensor(1), r"torch.int64\[\]"),
        (tensor(1 + 0j), r"torch.complex64\[\]"),
    ],
)
def test_every_loss_and_every_log_scale_is_looked_at_not_the_first_alone(argument, value, got):
    for names in ({"a": value, "b": SCALAR}, {"a": SCALAR, "b": value}):
        arguments = {"losses": {"a": SCALAR, "b": SCALAR}, "log_scales": {"a": SCALAR, "b": SCALAR}, argument: names}
        place = next(name for name, entry in names.items() if entry is value)
        expected = rf"{argument}\['{place}'\]: got {got}, expected Float\[Tensor\] without axes(; .*)?$"
        with pytest.raises(TypeCheckError, match=expected):
            learned_weight_loss(**arguments)


@pytest.mark.parametrize("argument", ["losses", "log_scales"])
def test_losses_and_log_scales_come_as_mappings(argument):
    with pytest.raises(TypeCheckError, match=rf"(?s)parameter '{argument}'.*Mapping\[str, .*Float"):
        learned_weight_loss(**{"losses": {"a": SCALAR}, "log_scales": {"a": SCALAR}, argument: [("a", SCALAR)]})


# --------------------------------------------------------------------------------- the hidden and the visible


@every_loss
@pytest.mark.parametrize("hidden", [1e6, INF, -INF, NAN])
def test_what_is_hidden_moves_nothing_and_what_is_visible_does(loss_of, hidden):
    mask = torch.zeros(2, 3, 5, dtype=torch.bool)
    mask[0, :2, :4], mask[1, :, :3] = True, True

    def value_and_gradients(pred, target):
        pred, target = pred.clone().requires_grad_(), target.clone().requires_grad_()
        loss = loss_of(pred, target, mask)
        loss.backward()
        return torch.cat([loss.detach()[None], pred.grad.flatten(), target.grad.flatten()])

    pred, target = random(5, 2, 3, 5), random(6, 2, 3, 5)
    before = value_and_gradients(pred, target)
    spoiled = [torch.where(mask, given, hidden) for given in (pred, target)]
    assert torch.equal(before, value_and_gradients(*spoiled))
    assert torch.equal(before, value_and_gradients(pred, spoiled[1]))
    assert before[1:31].reshape(2, 3, 5)[mask].ne(0).all()
    assert before[1:31].reshape(2, 3, 5)[~mask].eq(0).all()
    for place in mask.nonzero().tolist():
        other = pred.clone()
        other[tuple(place)] += 1
        assert value_and_gradients(other, target)[0] != before[0]


@every_loss
def test_nan_in_a_real_entry_makes_the_loss_nan(loss_of):
    pred, mask = random(7, 2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool)
    pred[1, 2, 4] = NAN
    assert loss_of(pred, torch.zeros_like(pred), mask).isnan()
    mask[1, 2, 4] = False
    assert loss_of(pred, torch.zeros_like(pred), mask).isfinite()


def test_nan_in_one_group_leaves_the_other_alone():
    pred = f64([[[1, NAN]]])
    losses = group_velocity_losses(
        pred, torch.zeros_like(pred), torch.ones(1, 1, 2).bool(), {"a": slice(0, 1), "b": slice(1, 2)}
    )
    assert losses["a"] == 1
    assert losses["b"].isnan()


@every_loss
def test_the_gradient_is_that_of_finite_differences(loss_of):
    pred, target, mask = random(8, 2, 3, 5), random(9, 2, 3, 5), random(10, 2, 3, 5) > -0.5
    target[~mask] = NAN
    assert gradcheck(lambda pred: loss_of(pred, target, mask), pred.requires_grad_())


def test_the_gradient_of_learned_weights_is_that_of_finite_differences():
    def total(arm, claw, arm_s, claw_s):
        return learned_weight_loss({"arm": arm, "claw": claw}, {"arm": arm_s, "claw": claw_s})

    assert gradcheck(total, [f64(value).requires_grad_() for value in (0.7, 0.1, -0.3, 0.2)])


# ---------------------------------------------------------------------------------------------- half precision


@every_loss
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_loss_is_float32_at_least_and_the_gradient_is_of_the_inputs_dtype(loss_of, dtype):
    pred = torch.ones(2, 3, 5, dtype=dtype, requires_grad=True)
    loss = loss_of(pred, torch.zeros_like(pred), torch.ones(2, 3, 5, dtype=torch.bool))
    loss.backward()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert pred.grad.dtype == dtype


@either_half
def test_the_subtraction_and_the_square_are_not_rounded_to_half_precision(dtype):
    pred, target = torch.full((1, 1, 1), 256.0, dtype=dtype), torch.full((1, 1, 1), -0.5, dtype=dtype)
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    assert masked_velocity_loss(pred, target, mask).item() == 256.5**2 == 65792.25  # float16 ends at 65504


@either_half
@pytest.mark.parametrize("shape", [(1, 1, 257), (257, 17, 16)])
def test_counts_and_sums_beyond_half_precision_are_exact(dtype, shape):
    pred, mask = torch.ones(shape, dtype=dtype), torch.ones(shape, dtype=torch.bool)
    in_half = (pred * mask).sum() / mask.to(dtype).sum()
    mask[0, 0, 0] = False
    entries = mask.sum().item()
    assert entries in (256, 69_903)
    pred[0, 0, 1:3] = 2  # two squares of 4
    assert masked_velocity_loss(pred, torch.zeros_like(pred), mask).item() == pytest.approx(1 + 6 / entries, rel=1e-6)
    assert in_half.isfinite() or shape[0] == 257  # what the library must not do


# -------------------------------------------------------------------------------------------- what is refused


@every_mean
def test_a_mean_over_nothing_is_an_error(loss_of):
    pred = torch.zeros(2, 3, 5)
    with pytest.raises(ValueError, match=r"action_mask.*: got no real entry, expected at least one; a mean over"):
        loss_of(pred, pred, torch.zeros(2, 3, 5, dtype=torch.bool))


@every_mean
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5)])
def test_an_empty_axis_is_a_mean_over_nothing(loss_of, shape):
    pred = torch.zeros(shape)
    with pytest.raises(ValueError, match=r"action_mask.*: got no real entry"):
        loss_of(pred, pred, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("loss_of", [masked_velocity_loss, sample_weighted_velocity_loss])
def test_a_batch_without_dims_is_a_mean_over_nothing(loss_of):
    pred = torch.zeros(2, 3, 0)
    with pytest.raises(ValueError, match="action_mask: got no real entry"):
        loss_of(pred, pred, torch.ones(2, 3, 0, dtype=torch.bool))


def test_a_sample_and_a_group_without_a_real_entry_are_named():
    pred, mask = torch.zeros(2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match=r"^action_mask\[1\]: got no real entry, expected at least one"):
        sample_weighted_velocity_loss(pred, pred, mask)
    assert masked_velocity_loss(pred, pred, mask) == 0  # one mean over all: the other sample has some
    mask[..., 3:] = False
    with pytest.raises(ValueError, match=r"^action_mask of group 'claw': got no real entry, expected at least one"):
        group_velocity_losses(pred, pred, mask, {"arm": slice(0, 3), "claw": slice(3, 5)})


@every_loss
def test_nothing_is_promoted_and_nothing_is_moved(loss_of):
    pred, mask = torch.zeros(2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool)
    for other in (torch.float64, torch.bfloat16):
        match = f"^velocity_pred, velocity_target: got dtype torch.float32, {other}, expected the same; "
        with pytest.raises(ValueError, match=match):
            loss_of(pred, pred.to(other), mask)
    for place, devices in enumerate(("meta, cpu, cpu", "cpu, meta, cpu", "cpu, cpu, meta")):
        arguments = [pred, pred, mask]
        arguments[place] = arguments[place].to("meta")
        match = f"^velocity_pred, velocity_target, action_mask: got device {devices}, expected the same; "
        with pytest.raises(ValueError, match=match):
            loss_of(*arguments)


@every_loss
@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("velocity_pred", torch.zeros(3, 5), r"f32\[3,5\]"),
        ("velocity_pred", torch.zeros(2, 3, 5, 1), r"f32\[2,3,5,1\]"),
        ("velocity_pred", torch.zeros(2, 3, 5, dtype=torch.int64), r"i64\[2,3,5\]"),
        ("velocity_pred", torch.zeros(2, 3, 5, dtype=torch.complex64), r"c64\[2,3,5\]"),
        ("velocity_pred", torch.zeros(2, 3, 5, dtype=torch.bool), r"bool\[2,3,5\]"),
        ("velocity_pred", torch.zeros(2, 3, 5).numpy(), r"f32\[2,3,5\]\(numpy\)"),
        ("velocity_target", torch.zeros(1, 3, 5), r"f32\[1,3,5\]"),
        ("velocity_target", torch.zeros(2, 3, 7), r"f32\[2,3,7\]"),
        ("velocity_target", torch.zeros(()), r"f32\[\]"),
        ("velocity_target", [[[0.0]]], r"\[\[\[0\.0\]\]\]"),
        ("action_mask", torch.ones(2, 3, 5), r"f32\[2,3,5\]"),
        ("action_mask", torch.ones(2, 3, 5, dtype=torch.int64), r"i64\[2,3,5\]"),
        ("action_mask", torch.ones(2, 3, 5, dtype=torch.uint8), r"u8\[2,3,5\]"),
        ("action_mask", torch.ones(2, 3, 5, dtype=torch.bool).tolist(), r"\[True, True"),
        ("action_mask", torch.ones(2, 3, 5, dtype=torch.bool).numpy(), r"bool\[2,3,5\]\(numpy\)"),
        ("action_mask", torch.ones(2, 3, dtype=torch.bool), r"bool\[2,3\]"),
        ("action_mask", torch.ones(3, 5, dtype=torch.bool), r"bool\[3,5\]"),
        ("action_mask", torch.ones(1, 3, 5, dtype=torch.bool), r"bool\[1,3,5\]"),
        ("action_mask", torch.ones(2, 1, 5, dtype=torch.bool), r"bool\[2,1,5\]"),
        ("action_mask", torch.ones(2, 3, 1, dtype=torch.bool), r"bool\[2,3,1\]"),
        ("action_mask", None, "None"),
    ],
)
def test_an_argument_of_another_kind_is_an_error_that_says_what_came_and_what_was_expected(loss_of, name, value, got):
    arguments = {"velocity_pred": torch.zeros(2, 3, 5), "velocity_target": torch.zeros(2, 3, 5)}
    arguments |= {"action_mask": torch.ones(2, 3, 5, dtype=torch.bool), name: value}
    if loss_of is sum_of_groups:
        loss_of = partial(group_velocity_losses, group_slices={"all": slice(0, 5)})
    kind = "Bool" if name == "action_mask" else "Float"
    expected = rf"expected .*{kind}\[Tensor, 'batch action_horizon action_dim'\]"
    with pytest.raises(TypeCheckError, match=rf"(?s)parameter '{name}' of .*got .*{got}.*{expected}"):
        loss_of(**arguments)


@every_loss
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("place", range(3))
def test_no_axis_of_length_1_is_broadcast(loss_of, place, axis):
    arguments = [torch.zeros(2, 3, 5), torch.zeros(2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool)]
    arguments[place] = arguments[place].narrow(axis, 0, 1)
    with pytest.raises(TypeCheckError, match=r"parameter '(velocity_target|action_mask)'"):
        loss_of(*arguments)


LEFT_OUT = "which has real entries, expected each real dim in a group; its error would count in no loss"


@pytest.mark.parametrize(
    ("group_slices", "message"),
    [
        ({}, "^group_slices: got none, expected at least one group$"),
        ({"a": slice(0, 3)}, f"^group_slices: got no group for dim 3, {LEFT_OUT}$"),
        ({"a": slice(1, 5)}, f"^group_slices: got no group for dim 0, {LEFT_OUT}$"),
        (
            {"a": slice(0, 3), "b": slice(2, 5)},
            r"^group_slices\['b'\]: got dim 2, which group 'a' has already; expected each dim in one group only$",
        ),
        ({"a": slice(0, 5), "b": slice(0, 5)}, r"^group_slices\['b'\]: got dim 0, which group 'a' has already;"),
    ],
)
def test_groups_share_no_dim_and_lose_no_dim(group_slices, message):
    pred = torch.zeros(2, 3, 5)
    with pytest.raises(ValueError, match=message):
        group_velocity_losses(pred, pred, torch.ones(2, 3, 5, dtype=torch.bool), group_slices)


def test_a_dim_that_is_real_in_one_step_of_one_sample_belongs_to_a_group_too():
    pred, mask = torch.zeros(2, 3, 5), torch.zeros(2, 3, 5, dtype=torch.bool)
    mask[:, :, :3] = True
    group_velocity_losses(pred, pred, mask, {"a": slice(0, 3)})
    mask[1, 2, 4] = True
    with pytest.raises(ValueError, match="group_slices: got no group for dim 4, which has real entries"):
        group_velocity_losses(pred, pred, mask, {"a": slice(0, 3)})


def test_a_group_is_a_slice_of_whole_numbers_inside_the_last_axis():
    pred, mask = torch.zeros(2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool)
    group_velocity_losses(pred, pred, mask, {"a": slice(0, 2), "b": slice(2, 5, 1)})
    expected = r"expected slice\(start, stop\) with 0 <= start < stop <= 5$"
    with pytest.raises(ValueError, match=rf"^group_slices\['b'\]: got slice\(2, 6, None\), {expected}"):
        group_velocity_losses(pred, pred, mask, {"a": slice(0, 2), "b": slice(2, 6)})


def test_groups_come_as_a_mapping():
    pred = torch.zeros(2, 3, 5)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'group_slices'.*Mapping\[str, slice\]"):
        group_velocity_losses(pred, pred, torch.ones(2, 3, 5, dtype=torch.bool), [slice(0, 5)])


# ------------------------------------------------------------------------------------- thousands of random cases


@dataclass(frozen=True)
class Case:
    """What a random case is made of; the numbers follow from the seed."""

    seed: int
    shape: tuple[int, int, int]
    dtype: torch.dtype
    layouts: tuple[str, str, str]  # of velocity_pred, velocity_target, action_mask
    real_part: float  # 0: an empty mask, 1: a full one
    scale: float  # of predictions and targets
    in_padding: str
    in_real: str
    needs: str  # whose gradient is asked for


EXPANDED = ("expanded batch", "expanded steps", "expanded dims")
LAYOUTS = ("contiguous", "transposed", "rolled", "strided", "offset", *EXPANDED)
SPECIAL = {"none": [], "nan": [NAN], "inf": [INF], "infinities": [INF, -INF], "all": [NAN, INF, -INF, "max", "min"]}

cases = st.builds(
    Case,
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    dtype=st.sampled_from(DTYPES),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    real_part=st.sampled_from([0.5, 0.8, 0.2, 0.05, 1.0, 0.0]),
    scale=st.sampled_from([1.0, 1e-3, 1e4]),
    in_padding=st.sampled_from(list(SPECIAL)),
    in_real=st.sampled_from(["none"] * 6 + list(SPECIAL)[1:]),
    needs=st.sampled_from(["pred", "target", "both", "neither"]),
)


def laid_out(values: Tensor, layout: str) -> Tensor:
    """The same numbers in another kind of memory. An expanded axis repeats its first entry, so those change."""
    if layout == "transposed":
        return values.transpose(0, 2).contiguous().transpose(0, 2)
    if layout == "rolled":
        return values.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    if layout == "strided":
        return values.repeat_interleave(2, dim=2)[:, :, ::2]
    if layout == "offset":
        return torch.cat([torch.ones_like(values[:1]), values])[1:]
    if layout in EXPANDED:
        return values.narrow(EXPANDED.index(layout), 0, 1).expand_as(values)
    return values


def tensors_of(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(case.seed)

    def uniform() -> Tensor:
        return torch.rand(case.shape, generator=generator, dtype=torch.float64)

    mask = laid_out(uniform() < case.real_part, case.layouts[2])
    floats = []
    for layout in case.layouts[:2]:
        values = ((2 * uniform() - 1) * case.scale).to(case.dtype)
        for kind, where, part in ((case.in_padding, ~mask, 0.7), (case.in_real, mask, 0.2)):
            for special in SPECIAL[kind]:
                number = getattr(torch.finfo(case.dtype), special) if isinstance(special, str) else special
                values = torch.where(where & (uniform() < part), number, values)
        floats.append(laid_out(values, layout).detach())
    floats[0].requires_grad_(case.needs in ("pred", "both"))
    floats[1].requires_grad_(case.needs in ("target", "both"))
    return *floats, mask


def compact_squares(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The squared errors of the real entries, one after the other in new memory."""
    wide = torch.float64 if pred.dtype == torch.float64 else torch.float32
    return (pred[mask].to(wide) - target[mask].to(wide)).square()


def compact_sum(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return compact_squares(pred, target, mask).sum()


def compact_mean(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return compact_squares(pred, target, mask).mean()


def compact_by_sample(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return torch.stack([compact_mean(*sample) for sample in zip(pred, target, mask, strict=True)]).mean()


def compact_by_group(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    groups = [[given[..., part] for given in (pred, target, mask)] for part in parts(mask.shape[2]).values()]
    return sum(times * compact_mean(*group) for times, group in zip((1, 2), groups, strict=False))


# Each loss, the compact one, and how many entries every mean that it takes is over.
LOSSES = {
    "sum": (velocity_error_sum, compact_sum, lambda mask: []),
    "masked": (masked_velocity_loss, compact_mean, lambda mask: [mask.sum()]),
    "by sample": (sample_weighted_velocity_loss, compact_by_sample, lambda mask: mask.sum(dim=(1, 2))),
    "by group": (
        sum_of_groups,
        compact_by_group,
        lambda mask: [mask[..., part].sum() for part in parts(mask.shape[2]).values()],
    ),
}


def deviation(got: Tensor, expected: Tensor) -> float:
    """The largest relative deviation; infinite if NaN and infinities do not stand at the same places."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    finite = expected.isfinite()
    if not got[finite].isfinite().all() or not torch.allclose(got[~finite], expected[~finite], equal_nan=True):
        return INF
    got, expected = got[finite].double(), expected[finite].double()
    tiny = torch.finfo(torch.float32).tiny
    return ((got - expected).abs() / expected.abs().clamp(min=tiny)).max().item() if len(got) else 0.0


def outcome(case: Case, loss_of: Callable, compact: Callable, counts_of: Callable) -> tuple[list[str], float, float]:
    """What kind of case it was, and by how much value and gradient deviate from the compact loss."""
    arguments = pred, target, mask = tensors_of(case)
    before = [tensor.detach().clone() for tensor in arguments]
    if 0 in counts_of(mask):
        with pytest.raises(ValueError, match=r"action_mask.*: got no real entry"):
            loss_of(*arguments)
        return ["empty"], 0.0, 0.0
    copies = [old.clone().requires_grad_(new.requires_grad) for old, new in zip(before, arguments, strict=True)]
    loss, expected = loss_of(*arguments), compact(*copies)
    assert loss.requires_grad == expected.requires_grad == (case.needs != "neither")
    of_value, of_gradient = deviation(loss.detach(), expected.detach()), 0.0
    if loss.requires_grad:
        loss.backward()
        expected.backward()
        for ours, compacts in zip((pred, target), copies, strict=False):
            assert (ours.grad is not None) == (compacts.grad is not None) == ours.requires_grad
            if ours.requires_grad:
                of_gradient = max(of_gradient, deviation(ours.grad, compacts.grad))
                assert (ours.grad[~mask] == 0).all()
    for new, old in zip(arguments, before, strict=True):  # arguments are read, never written
        assert torch.equal(new.detach().nan_to_num(7), old.nan_to_num(7))
    kinds = ["finite" if loss.isfinite() else "nan or inf"]
    hidden = torch.cat([before[0][~mask], before[1][~mask]])
    if loss.isfinite() and not hidden.isfinite().all():
        kinds.append("finite, with NaN or infinity in padding")
    return kinds, of_value, of_gradient


# A sum in another order is off by a few roundings. A gradient in half precision is rounded once more, at its end.
VALUE_TOLERANCE = {torch.float64: 1e-14} | dict.fromkeys(DTYPES[1:], 1e-6)
GRADIENT_TOLERANCE = {dtype: 2 * torch.finfo(dtype).eps for dtype in DTYPES}


MANY = [pytest.param(name, 4000, marks=pytest.mark.weekly) for name in LOSSES]


@pytest.mark.parametrize(("name", "number"), [*((name, 400) for name in LOSSES), *MANY])
def test_padded_and_compact_agree_in_value_and_gradient_on_every_case(name, number):
    tried = Counter()

    @settings(max_examples=number, deadline=None, derandomize=True, database=None)
    @given(cases)
    def check(case):
        kinds, of_value, of_gradient = outcome(case, *LOSSES[name])
        tried.update([*kinds, case.dtype])
        assert of_value <= VALUE_TOLERANCE[case.dtype]
        assert of_gradient <= GRADIENT_TOLERANCE[case.dtype]

    check()
    assert tried["finite"] + tried["nan or inf"] + tried["empty"] >= number
    may_be_empty = [] if name == "sum" else ["empty"]
    for kind in ("finite", "nan or inf", *may_be_empty, "finite, with NaN or infinity in padding", *DTYPES):
        assert tried[kind] >= number / 50, kind


def one_more(tensor: Tensor, axis: int) -> Tensor:
    return torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)


# Which argument is spoilt, and how. Most of these would broadcast or be cast somewhere.
SPOILT = {
    "no dims": (2, lambda mask: mask[:, :, 0]),
    "no steps": (2, lambda mask: mask[:, 0]),
    "an axis of length 1": (2, lambda mask: mask[..., None]),
    "one step more": (2, partial(one_more, axis=1)),
    "one sample more": (2, partial(one_more, axis=0)),
    "one dim more": (1, partial(one_more, axis=2)),
    "float": (2, lambda mask: mask.double()),
    "int64": (2, lambda mask: mask.long()),
    "another dtype": (1, lambda target: target.to(DTYPES[DTYPES.index(target.dtype) - 1])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_spoilt_case_is_an_error_that_names_the_argument_and_never_a_number(name):
    tried = Counter()

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(cases, st.sampled_from(list(SPOILT)))
    def check(case, how):
        arguments, (place, spoil) = list(tensors_of(case)), SPOILT[how]
        arguments[place] = spoil(arguments[place].detach())
        named = ("velocity_pred", "velocity_target", "action_mask")[place]
        with pytest.raises((ValueError, TypeCheckError), match=f"{named}('|: got dtype)"):
            LOSSES[name][0](*arguments)
        tried[how] += 1

    check()
    assert min(tried[how] for how in SPOILT) >= 5


# ----------------------------------------------------------------------------------------- the published formulas


def published_n1_5(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    squared = functional.mse_loss(pred, target, reduction="none") * mask
    return squared.sum() / mask.sum()


def published_n1_7(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    mask = mask.to(pred.dtype)
    squared = functional.mse_loss(pred, target, reduction="none") * mask
    return squared.sum() / (mask.sum() + 1e-6)


def test_where_every_square_is_finite_value_and_gradient_are_the_published_ones():
    tried = Counter()

    @settings(max_examples=500, deadline=None, derandomize=True, database=None)
    @given(cases)
    def check(case):
        wide = torch.float64 if case.seed % 2 else torch.float32
        pred, target, mask = tensors_of(replace(case, dtype=wide, in_padding="none", in_real="none", needs="both"))
        if not mask.any():
            assert published_n1_5(pred, target, mask).isnan()
            assert published_n1_7(pred, target, mask) == 0
            tried["empty"] += 1
            return
        tried[wide] += 1
        ours = masked_velocity_loss(pred, target, mask)
        ours.backward()
        tolerance = {torch.float64: 1e-14, torch.float32: 1e-6}[wide]
        for published, epsilon in ((published_n1_5, 0), (published_n1_7, 1e-6)):
            theirs = [our.detach().clone().requires_grad_() for our in (pred, target)]
            expected = published(*theirs, mask)
            expected.backward()
            too_small = 1 + epsilon / mask.sum().item()  # N1.7 divides by that much too much
            assert deviation(ours.detach(), expected.detach() * too_small) <= tolerance
            for our, their in zip((pred, target), theirs, strict=True):
                assert deviation(our.grad, their.grad * too_small) <= tolerance

    check()
    assert tried.total() >= 500
    assert min(tried["empty"], tried[torch.float32], tried[torch.float64]) >= 20


def test_where_padding_holds_nan_the_published_ones_are_nan_and_ours_is_not():
    target = torch.where(MASK, TARGET, NAN)
    assert published_n1_5(PRED, target, MASK).isnan()
    assert published_n1_7(PRED, target, MASK).isnan()
    assert masked_velocity_loss(PRED, target, MASK).item() == pytest.approx(14 / 3)


# -------------------------------------------------------------------------------------------------------- the divisor


def test_each_denominator_divides_by_its_own_number():
    count, entries = f64(3), f64(7)
    assert loss_divisor("valid", count, entries) == 3
    assert loss_divisor("valid_plus_eps", count, entries) == 3.000001
    assert loss_divisor("all", count, entries) == 7


def test_only_a_mean_over_the_summed_entries_needs_one():
    with pytest.raises(ValueError, match=r"^action_mask: got no real entry, expected at least one; a mean over"):
        loss_divisor("valid", f64(0), f64(7))
    with pytest.raises(ValueError, match="entries: got none, expected at least one"):
        loss_divisor("all", f64(0), f64(0))
    assert loss_divisor("valid_plus_eps", f64(0), f64(7)) == 1e-6
    assert loss_divisor("all", f64(0), f64(7)) == 7
