"""The toy policy: its batches have the sizes that they are named for, its weights are the same, its loss is right."""

import pytest
import torch

from groot_teach import bugs
from groot_teach.bugs import BATCHES, ToyPolicy, toy_batch
from groot_teach.bugs.policy import action_mask


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_has_the_sizes_that_it_is_named_for(name):
    batch = toy_batch(name)
    for mask, sizes in zip(("dim_mask", "step_mask", "token_mask"), BATCHES[name], strict=True):
        assert batch[mask].sum(dim=1).tolist() == [*sizes]
    assert torch.equal(batch["action_is_pad"], ~batch["step_mask"])
    assert batch["actions"][~batch["dim_mask"][:, None].expand(-1, 5, -1)].eq(0).all()


def test_padded_steps_are_copies_of_the_last_action():
    actions = toy_batch()["actions"]
    assert torch.equal(actions[3, 2:], actions[3, 1].expand(3, -1))
    assert not torch.equal(actions[3, 1], actions[3, 0])


def test_another_seed_is_another_batch_of_the_same_sizes():
    one, other = toy_batch(seed=1), toy_batch(seed=2)
    assert not torch.equal(one["actions"], other["actions"])
    assert torch.equal(action_mask(one), action_mask(other))


def test_two_policies_have_the_same_weights_whatever_was_drawn_before():
    before = torch.random.get_rng_state()
    first = ToyPolicy().state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(5)
    again = ToyPolicy(reduce=bugs.wrong_key.wrong).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_loss_is_the_mean_over_real_entries():
    batch = toy_batch()
    with torch.no_grad():
        predicted = ToyPolicy().answer(batch).prediction
        loss = ToyPolicy().loss(batch)
    error = (predicted - (batch["actions"] - batch["noise"])).square()
    sizes = zip(*BATCHES["ragged"][:2], strict=True)
    by_hand = sum(error[robot, :steps, :dims].sum() for robot, (dims, steps) in enumerate(sizes))
    torch.testing.assert_close(loss, by_hand / (5 * 7 + 3 * 4 + 4 * 2 + 2 * 5))


def test_real_entries_move_a_policy():
    batch = toy_batch()
    for name, mask in (("noise", action_mask(batch)), ("tokens", batch["token_mask"][:, :, None])):
        other = batch | {name: batch[name] + mask}
        with torch.no_grad():
            assert not torch.equal(ToyPolicy().loss(batch), ToyPolicy().loss(other))
            assert not torch.equal(ToyPolicy().sample(batch), ToyPolicy().sample(other))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: toy_batch("round"), "name: got 'round'"),
        (lambda: ToyPolicy(cross_masks=None), "parts: got 'cross_masks'"),
    ],
)
def test_what_is_unknown_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
