"""`flow` against the heads as released: what they draw, what their encoder is shown, how they sample."""

from types import SimpleNamespace

import pytest
import torch

from evidence.released.heads import DIMS, HORIZON, Bag, head_n1_5, head_n1_7
from groot_teach.flow import (
    euler_path,
    flow_time_n1_5,
    flow_time_n1_7,
    interpolate,
    time_bucket,
)

HEADS = {"N1.5": (head_n1_5, flow_time_n1_5), "N1.7": (head_n1_7, flow_time_n1_7)}
EACH = pytest.mark.parametrize("version", HEADS)


def watched(head) -> list:
    """Every call of the action encoder, as `(noisy_actions, bucket)`."""
    calls = []
    head.action_encoder.register_forward_pre_hook(lambda module, given: calls.append((given[0].clone(), given[1])))
    return calls


def drawn_again(head, seed: int, batch: int):
    """The noise and the Beta numbers that a training step draws after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    noise = torch.randn(batch, HORIZON, DIMS, dtype=torch.float64)
    beta = getattr(head, "beta_dist", None) or head._beta_dist
    return noise, beta.sample([batch]).double()


def train(head, backbone_output, action_input, seed=0):
    torch.manual_seed(seed)
    return head(Bag(backbone_output), Bag(action_input))["loss"]


@EACH
def test_the_flow_time_of_the_same_draws_is_the_same(version):
    """v0.4.4 flow_matching_action_head.py 252-254; 0.6.1 groot_n1_7.py 554-560."""
    make, flow_time = HEADS[version]
    head = make()
    torch.manual_seed(0)
    theirs = head.sample_time(1000, "cpu", torch.float64)
    torch.manual_seed(0)
    s = (getattr(head, "beta_dist", None) or head._beta_dist).sample([1000]).double()
    assert torch.equal(flow_time(s), theirs)
    assert theirs.min() < 0.01 < 0.9 < theirs.max()


@EACH
def test_the_encoder_is_shown_our_noisy_actions_and_our_bucket(version, backbone_output, action_input, action_mask):
    """v0.4.4 flow_matching_action_head.py 303-312; 0.6.1 groot_n1_7.py 585-592."""
    make, flow_time = HEADS[version]
    head = make()
    calls = watched(head)
    train(head, backbone_output, action_input)
    (shown, bucket) = calls[0]
    noise, s = drawn_again(head, 0, 3)
    t = flow_time(s)
    assert torch.equal(interpolate(action_input["action"], noise, t), shown)
    assert torch.equal(time_bucket(t), bucket)
    padded = (1 - t)[:, None, None] * noise
    assert torch.equal(shown[~action_mask], padded[~action_mask])
    assert shown[~action_mask].abs().min() > 0  # not the zeros that the batch held there


def test_n1_5_draws_a_time_before_the_noise_once_in_some_hundred_samples(backbone_output, action_input):
    """v0.4.4 flow_matching_action_head.py 252-254, 311: t < 0 where s > 0.999, and its bucket is cut to 0."""
    head = head_n1_5()
    seed = next(seed for seed in range(10_000) if (flow_time_n1_5(drawn_again(head, seed, 3)[1]) < 0).any())
    calls = watched(head)
    assert train(head, backbone_output, action_input, seed).isfinite()
    noise, s = drawn_again(head, seed, 3)
    t = flow_time_n1_5(s)
    assert torch.equal(interpolate(action_input["action"], noise, t), calls[0][0])
    assert torch.equal(time_bucket(t), calls[0][1])
    assert calls[0][1][t < 0].eq(0).all()  # rounded down it would be -1


def test_the_earliest_time_of_n1_5_has_a_bucket_before_the_first(backbone_output, action_input):
    """v0.4.4 flow_matching_action_head.py 252-254, 311. s = 1 is drawn too rarely to wait for, so here it is given."""
    head = head_n1_5()
    head.beta_dist = SimpleNamespace(sample=lambda shape: torch.ones(shape))
    calls = watched(head)
    assert train(head, backbone_output, action_input).isfinite()
    torch.manual_seed(0)
    noise = torch.randn(3, HORIZON, DIMS, dtype=torch.float64)
    t = flow_time_n1_5(torch.ones(3, dtype=torch.float64))
    assert (t < 0).all()
    assert torch.equal(interpolate(action_input["action"], noise, t), calls[0][0])
    assert calls[0][1].tolist() == time_bucket(t).tolist() == [-1, -1, -1]


def test_in_bfloat16_n1_5_draws_no_time_before_the_noise_and_some_with_a_bucket_behind_the_last():
    """v0.4.4 flow_matching_action_head.py 252-254, 311: in bfloat16, in which it trains by default, 0.999 is 1."""
    head, times = head_n1_5(), {}
    for dtype in (torch.float64, torch.bfloat16):
        torch.manual_seed(0)
        times[dtype] = head.sample_time(100_000, "cpu", dtype)
    assert (times[torch.float64] < 0).any()
    assert (times[torch.bfloat16] >= 0).all()
    assert 0 < (times[torch.bfloat16] == 1).sum() < 100
    assert (times[torch.bfloat16] * head.num_timestep_buckets).long().max() == 1000


@EACH
def test_sampling_is_our_euler_path_and_padded_dims_drift_freely(version, backbone_output, action_input, action_mask):
    """v0.4.4 flow_matching_action_head.py 359-397; 0.6.1 groot_n1_7.py 645-708."""
    head = HEADS[version][0]()
    calls, answers = watched(head), []
    head.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out[:, -HORIZON:]))
    asked = Bag({name: value for name, value in action_input.items() if name not in ("action", "action_mask")})
    torch.manual_seed(3)
    theirs = head.get_action(Bag(backbone_output), asked)["action_pred"]
    torch.manual_seed(3)
    noise = torch.randn(3, HORIZON, DIMS, dtype=torch.float64)

    told = iter(answers)
    times = []

    def velocity(noisy_actions, t):
        times.append(t)
        return next(told)

    path = euler_path(velocity, noise, steps=4)
    torch.testing.assert_close(path[-1], theirs, rtol=0, atol=1e-14)
    for ours, (shown, bucket), t in zip(path[:-1], calls, times, strict=True):
        torch.testing.assert_close(ours, shown, rtol=0, atol=1e-14)
        assert torch.equal(time_bucket(t), bucket)
    assert [int(bucket[0]) for _, bucket in calls] == [0, 250, 500, 750]
    assert (theirs != noise)[~action_mask].all()  # padded entries were moved like any other
