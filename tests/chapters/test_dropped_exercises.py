"""The exercises about dropped masks: on paper, and beside the real thing: gradients, heads, and the ablation."""

import itertools

import pytest
import torch
from train_cases import TASK, small_head

from groot_teach.chapters.dropped import exercises
from groot_teach.loss import masked_velocity_loss, velocity_error_sum
from groot_teach.masks import STRICT, with_switches
from groot_teach.padding import action_mask_dims_and_steps
from groot_teach.show.exercises.draws import generator, normal, numbers
from groot_teach.training.ablation import compare


def test_the_references_give_what_paper_gives():
    error, count = numbers([[64, 240]]), torch.tensor([[16, 240]])
    assert exercises.whole_batch_loss(error, count).tolist() == [304 / 256]
    assert exercises.how_heavy(torch.tensor([[1, 3]])).tolist() == [[2.0, 2 / 3]]
    assert exercises.local_losses(error.T, count.T).tolist() == [[0.5], [1.875]]
    assert exercises.verdicts(*exercises.verdicts.cases()[0]).tolist() == [1, 0]
    strict, n1_7, all_else, input_is_zero = exercises.sees_else(*exercises.sees_else.cases()[0]).tolist()
    assert strict == [False] * 4
    assert n1_7 == [True, False, False, False]  # the free sampler
    assert all_else == input_is_zero == [True, True, True, False]
    reported, recorded = exercises.two_losses(*exercises.two_losses.cases()[0])
    assert reported.tolist() == [4.0, 16 / 6]  # it falls
    assert recorded.tolist() == [4.0, 6.0]  # and this rises


def test_pieces_add_up_to_the_loss_and_the_gradient_of_the_library():
    """Two processes with three pieces each; the second one's are padding. Gradients are added up, then averaged."""
    (pred, target), coins = normal((2, 12, 5, 7), 5), torch.rand(12, 5, 7, generator=generator(5))
    real = coins < torch.linspace(0.1, 0.9, 12)[:, None, None]
    real[6:] = False
    pred.requires_grad_()
    loss = masked_velocity_loss(pred, target, real)
    cut = slice(0, 1), slice(1, 4), slice(4, 6), slice(6, 8), slice(8, 9), slice(9, 12)
    error = torch.stack([velocity_error_sum(pred[piece], target[piece], real[piece]) for piece in cut])
    count = torch.stack([real[piece].sum() for piece in cut])
    torch.testing.assert_close(exercises.whole_batch_loss(error[None], count[None])[0], loss)
    of_processes = exercises.local_losses(error.view(2, 3), count.view(2, 3)).sum(dim=1)
    gradients = [torch.autograd.grad(one, pred, retain_graph=True)[0] for one in (of_processes.mean(), loss)]
    torch.testing.assert_close(*gradients)


def test_an_entry_weighs_in_a_gradient_what_the_exercise_says():
    error = torch.ones(256, dtype=torch.float64, requires_grad=True)
    (in_means,) = torch.autograd.grad((error[:16].mean() + error[16:].mean()) / 2, error)
    ((of_small, of_large),) = exercises.how_heavy(torch.tensor([[16, 240]]))
    assert torch.allclose(in_means * 256, torch.cat([of_small.expand(16), of_large.expand(240)]))


def test_verdicts_are_those_of_the_ablation():
    words = {"hurts": 1, "helps": -1, "not seen": 0, "the same": 0}
    seen = set()
    for case in exercises.verdicts.cases():
        error, seed, strict_error, strict_seed = (part.tolist() for part in case)
        pairs = {"strict": zip(strict_error, strict_seed, strict=True)}
        pairs |= {row: zip(error[row], seed[row], strict=True) for row in range(len(error))}
        runs = [
            {"condition": condition, "amount": "some", "seed": seed, "error": error}
            for condition, of_condition in pairs.items()
            for error, seed in of_condition
        ]
        said = [compare(runs, row, "some", lambda run: run["error"]).verdict for row in range(len(error))]
        assert exercises.verdicts(*case).tolist() == [words[verdict] for verdict in said]
        seen |= {*said}
    assert seen == words.keys()


@torch.no_grad()
def test_a_real_encoder_gets_something_else_where_door_0_is_said_to_differ_and_nowhere_else():
    """What comes in at the action encoder for padded dims, at the sampler's four flow times."""
    head, (observation, batch) = small_head(), TASK.draw(24, generator(1))
    noise, padded = normal(batch.actions.shape, 2), ~batch.dim_mask[:, None] & batch.step_mask[:, :, None]
    arrived = []
    head.action_encoder.register_forward_pre_hook(lambda _, inputs: arrived.append(inputs[0][padded]))

    def arrives(is_open, sampler=None):
        head.masking = with_switches(STRICT, encoder_input="open" if is_open else "closed", sampler=sampler or "zero")
        arrived.clear()
        if sampler:
            head.sample(observation, noise, batch.dim_mask, batch.step_mask)
        else:
            for step in range(4):
                head.loss(observation, batch, noise, torch.full((24,), step / 4, dtype=torch.float64))
        return torch.stack(arrived)

    samplers = "free", "zero", "renoise"
    for trained, deployed, sampler in itertools.product((False, True), (False, True), range(3)):
        doors = (torch.tensor([[is_open, False, False, False]]) for is_open in (trained, deployed))
        said = exercises.sees_else(*doors, torch.tensor([sampler]), torch.tensor([False]))[0, 0]
        same = torch.allclose(arrives(trained), arrives(deployed, samplers[sampler]), rtol=0, atol=1e-12)
        assert same == (not said), (trained, deployed, sampler)


@pytest.mark.parametrize("loss", ["open", "dims", "dims_and_steps"])
@pytest.mark.parametrize("denominator", ["all", "valid"])
def test_a_real_head_reports_what_the_exercise_says(loss, denominator):
    head, (observation, batch) = small_head(), TASK.draw(24, generator(1))
    head.masking = with_switches(STRICT, loss=loss, loss_denominator=denominator)
    t = torch.full((24,), 0.3, dtype=torch.float64)
    answer = head.loss(observation, batch, normal(batch.actions.shape, 2), t)
    squared = (answer.velocity_pred - answer.velocity_target).square()
    reported, recorded = exercises.two_losses(squared[None], batch.dim_mask, batch.step_mask, loss, denominator)
    torch.testing.assert_close(reported[0], answer.loss)
    real = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    torch.testing.assert_close(recorded[0], masked_velocity_loss(answer.velocity_pred, answer.velocity_target, real))


def test_the_cases_show_every_way_to_train_and_to_deploy():
    trained, deployed, sampler, alone = (torch.cat(parts) for parts in zip(*exercises.sees_else.cases(), strict=True))
    assert len({*zip(trained[:, 0].tolist(), deployed[:, 0].tolist(), sampler.tolist(), strict=True)}) == 12
    for door in (1, 2, 3):
        assert len({*zip(trained[:, door].tolist(), deployed[:, door].tolist(), alone.tolist(), strict=True)}) == 8
    assert len({case[3:] for case in exercises.two_losses.cases()}) == 6
