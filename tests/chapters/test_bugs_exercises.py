"""The exercises about silent mask bugs: on paper, and the probes at work on policies and losses of the catalogue."""

import re

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from groot_teach import bugs
from groot_teach.bugs.policy import HEADS, action_mask
from groot_teach.chapters import check
from groot_teach.chapters.bugs import exercises
from groot_teach.loss import masked_velocity_loss
from groot_teach.padding import VLTokens, pad_tokens_left
from groot_teach.show.exercises.draws import bools, normal, numbers


def test_the_references_give_what_paper_gives():
    new = exercises.perturbed(numbers([[[1, 2], [3, 4]]]), numbers([[[5, 6], [7, 8]]]), bools("10"), bools("01"))
    assert new.tolist() == [[[1, 6], [7, 8]]]
    padding = numbers([[[[0, 9]]], [[[-3, 0]]], [[[torch.nan, 0]]], [[[0, 0]]]])
    control = numbers([[[[5, 0]]], [[[5, 0]]], [[[0, 0]]], [[[0, 5]]]])
    before, real = numbers([[[0, 0]]]), bools("10")[None]
    assert exercises.what_moved(before, padding, control, real, 1.0).tolist() == [0, 1, 1, -1]
    alone = exercises.each_alone(numbers([[[1], [2], [3]], [[4], [5], [6]]]), bools("101 001"))
    assert [one.tolist() for one in alone] == [[[1], [3]], [[6]]]
    gradient = numbers([[[0.1, 0, torch.nan], [-0.1, 0, 0]]])
    assert exercises.read_gradient(gradient, bools("110 001")[None]).tolist() == [[1, 2, 1]]
    target = numbers([[[3, 5]]])
    units = exercises.unit_errors(target, real, lambda said: 7 + ((said - target) ** 2 * real).sum() / 2)
    assert units.tolist() == [0.5, 0.5, 0]
    assert exercises.can_show(bools("11 00"), bools("1 1"), bools("1 0")).tolist() == [1, 0, 1, 1, 1, 1]


@torch.no_grad()
@pytest.mark.parametrize(("parts", "verdict"), [({}, 0), ({"input_mask": bugs.everything_enters.wrong}, 1)])
def test_the_first_two_answers_together_acquit_a_sound_policy_and_accuse_one_that_leaks(parts, verdict):
    policy, batch = bugs.ToyPolicy(**parts), bugs.toy_batch()
    real, actions, fresh = action_mask(batch), batch["actions"], normal(batch["actions"].shape, 1)
    perturbed = exercises.perturbed(actions, fresh, batch["dim_mask"], batch["action_is_pad"])
    assert torch.equal(perturbed == actions, real)
    before, padding_changed, real_changed = (
        policy.answer(batch | {"actions": given}).prediction
        for given in (actions, perturbed, torch.where(real, fresh, actions))
    )
    assert exercises.what_moved(before, padding_changed[None], real_changed[None], real, 1e-9).tolist() == [verdict]
    assert exercises.what_moved(before, before[None], before[None], real, 1e-9).tolist() == [-1]


def test_what_the_library_pads_comes_back_as_it_was():
    for tokens, real in exercises.each_alone.cases():
        alone = exercises.each_alone(tokens, real)
        masks = [torch.ones(len(one), dtype=torch.bool) for one in alone]
        batch = pad_tokens_left([VLTokens(one, ~m, m) for one, m in zip(alone, masks, strict=True)], 13)
        again = exercises.each_alone(batch.tokens, batch.backbone_attention_mask)
        assert all(torch.equal(one, other) for one, other in zip(again, alone, strict=True))


def test_gradient_and_unit_error_see_every_unsound_loss_of_the_cases_and_accuse_no_sound_one():
    for target, real, loss_of in exercises.unit_errors.cases():
        for loss in (loss_of, lambda said, target=target, real=real: masked_velocity_loss(said, target, real)):
            prediction = (target + 1.5).requires_grad_()
            (gradient,) = torch.autograd.grad(loss(prediction), prediction)
            leaks, lost, broken = exercises.read_gradient(gradient, real).sum(dim=0).tolist()
            sound = torch.allclose(exercises.unit_errors(target, real, loss), numbers([1, 1, 0]))
            assert sound == (loss is not loss_of or loss.name == "as it should be")
            assert (lost, broken) == (0, 0)
            assert not (leaks and sound)


def test_a_loss_says_its_name_and_no_address():
    verdict = check("bugs.5", lambda *arguments: torch.zeros(3, dtype=torch.float64))
    assert "loss_of: a loss, masked, then the mean over everything" in verdict.code
    assert not re.search("0x[0-9a-f]", repr(verdict))


def moves(answer, real, seed=1):
    """Whether `answer` moves with what stands in padding."""
    values, fresh = normal((2, *real.shape), seed)
    before, after = answer(values), answer(torch.where(real, values, fresh))
    return not torch.allclose(after, before, rtol=1e-9, atol=1e-12)


def test_a_batch_shows_the_bugs_that_the_exercise_says_and_no_others():
    for dim_mask, step_mask, token_mask in exercises.can_show.cases():
        real = step_mask[:, :, None] & dim_mask[:, None, :]
        width = token_mask[:, :, None].expand(-1, -1, 4)
        query = normal((len(real), HEADS, 3, 2), 3)

        def reads(bug, token_mask=token_mask, query=query):
            def read(tokens):
                heads = tokens.unflatten(-1, (HEADS, -1)).transpose(1, 2)
                return scaled_dot_product_attention(query, heads, heads, bug.wrong({"token_mask": token_mask}))

            return read

        def ignores_dims(values, real=real):
            return bugs.steps_masked_dims_not.reduce(values.square(), real)

        def ignores_steps(values, real=real):
            return bugs.steps_masked_dims_not.reduce(values.square().mT, real.mT)

        squared, entries = normal(real.shape, 2).square(), real.sum(dim=(1, 2))
        alone = torch.stack(
            [bugs.counts_steps.reduce(*one) for one in zip(squared.split(1), real.split(1), strict=True)]
        )
        in_batch = bugs.counts_steps.reduce(squared, real)
        assert exercises.can_show(dim_mask, step_mask, token_mask).tolist() == [
            moves(ignores_dims, real),
            moves(ignores_steps, real),
            moves(reads(bugs.commented_out), width),
            moves(reads(bugs.whose_mask), width),
            not torch.allclose(in_batch, (alone * entries).sum() / entries.sum()),
            moves(reads(bugs.finite_fill), width),
        ]
