"""The exercises on velocities: on paper, against the library, and what their cases take care of."""

import pytest
import torch
from torch.nn.functional import pad

from groot_teach import flow
from groot_teach.chapters.velocity import exercises


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_references_return_what_paper_does():
    noisy, target = exercises.training_pair(tensor([[8.0]]), tensor([[4.0, 8.0]]), tensor(0.25))
    assert noisy.tolist() == [[[5, 6]]]  # 3/4 of 4 and 1/4 of 8; 3/4 of 8
    assert target.tolist() == [[[4, -8]]]
    t, bucket = exercises.flow_time(tensor(0.0, 0.999, 0.24975, 1.0))
    assert t.tolist() == pytest.approx([1, 0, 0.75, -1 / 999])
    assert bucket.tolist()[:2] + bucket.tolist()[3:] == [1000, 0, -1]
    noise, actions = exercises.both_ends(tensor([[5.0]]), tensor([[4.0]]), tensor(0.25))
    assert (noise.item(), actions.item()) == (4, 8)  # one quarter back, three quarters on
    walked = exercises.sample(tensor([[1.0]]), lambda point, t: 8 * t[:, None, None] + 0 * point, 2)
    assert walked.item() == 3  # two steps of a half, with the velocities 0 and 4
    mask = torch.tensor([[True, False]])
    assert exercises.refill(tensor([[11.0, 12.0]]), tensor([[4.0, 8.0]]), mask, tensor(0.75)).tolist() == [[[11, 2]]]
    narrow = exercises.sample_narrow(tensor([[1.0, 12.0]]), lambda shown, t: shown[:, :, 1:], 2, 1)
    assert narrow.tolist() == [[[1 + 6 + 3]]]  # the velocity is the padded dim, 12 and then 6


def test_the_references_agree_with_the_library():
    for actions, noise, t in exercises.training_pair.cases():
        noisy, target = exercises.training_pair(actions, noise, t)
        padded = pad(actions, (0, noise.shape[2] - actions.shape[2]))
        assert torch.equal(noisy, flow.interpolate(padded, noise, t))
        assert torch.equal(target, flow.velocity_target(padded, noise))
        start, end = exercises.both_ends(noisy, target, t)
        assert torch.allclose(start, noise)
        assert torch.allclose(end, padded)
    for (s,) in exercises.flow_time.cases():
        t, bucket = exercises.flow_time(s)
        assert torch.equal(t, flow.flow_time_n1_5(s))
        assert torch.equal(bucket, flow.time_bucket(t))
        assert not torch.isclose(t, flow.flow_time_n1_7(s)).any()
    for noise, velocity, steps in exercises.sample.cases():
        assert torch.allclose(exercises.sample(noise, velocity, steps), flow.euler_path(velocity, noise, steps)[-1])
    for noisy_actions, noise, dim_mask, t in exercises.refill.cases():
        library = flow.refill_noise(noisy_actions, dim_mask[:, None, :].expand(noise.shape), noise, t)
        assert torch.equal(exercises.refill(noisy_actions, noise, dim_mask, t), library)
    for noise, velocity, steps, action_dim in exercises.sample_narrow.cases():
        action_mask = (torch.arange(noise.shape[2]) < action_dim).expand(noise.shape)

        def wide(point, t, velocity=velocity, noise=noise, action_dim=action_dim):
            return pad(velocity(point, t), (0, noise.shape[2] - action_dim))

        def refill(point, t, noise=noise, action_mask=action_mask):
            return flow.refill_noise(point, action_mask, noise, t)

        library = flow.euler_path(wide, noise, steps, refill)[-1, :, :, :action_dim]
        assert torch.allclose(exercises.sample_narrow(noise, velocity, steps, action_dim), library)


def test_every_bucket_is_far_from_the_next_so_that_no_rounding_decides():
    for (s,) in exercises.flow_time.cases():
        inside = s[(s != 0) & (s != 0.999)]  # these two are exact
        thousandths = (0.999 - inside) / 0.999 * 1000
        assert ((thousandths - thousandths.round()).abs() > 1e-6).all()


def test_the_formula_in_place_of_a_network_says_what_it_wants_and_reads_its_padding():
    velocity = exercises.sample.cases()[1][1]
    noise = torch.zeros(2, 3, 5, dtype=torch.float64)
    assert repr(velocity) == "a function that gives 1 + 2 * t + -1 * noisy_actions"
    for t, got in ((0.0, "a float"), (torch.zeros(2, 1, 1), r"a tensor of shape \(2, 1, 1\)"), (0, "a int")):
        with pytest.raises(ValueError, match=f"one flow time a sample; got {got}$"):
            velocity(noise, t)
    for noise, velocity, _, action_dim in exercises.sample_narrow.cases():
        t, other = torch.zeros(len(noise)), noise.clone()
        other[:, :, action_dim:] += 1
        assert velocity(noise, t).shape[2] == action_dim < noise.shape[2]
        assert not torch.isclose(velocity(noise, t), velocity(other, t)).any()
