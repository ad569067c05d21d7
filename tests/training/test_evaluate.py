"""The evaluation of a trained head: situations that are the same for every head, padded in several ways."""

import dataclasses
from functools import cache

import pytest
import torch
from ablation_cases import TINY

from groot_teach.masks import GROOT_N1_5, STRICT
from groot_teach.training.ablation import AMOUNTS, Trial
from groot_teach.training.evaluate import DEPLOYMENTS, Evaluation
from groot_teach.training.task import STEP_LEFT


@cache
def evaluation(amount="much"):
    return Evaluation(AMOUNTS[amount], tried=24, chunks=3)


@cache
def head(condition="strict", amount="much"):
    return TINY.head(Trial(condition, amount, 0)).eval()


class Faultless:
    """A policy without error. It reads its situations from the evaluation, and remembers where the hand is."""

    masking = STRICT

    def __init__(self, evaluation):
        self.task, self.all = evaluation.task, evaluation.situations

    def sample(self, observation, noise, dim_mask, step_mask=None):
        at = [(self.starts() == state).all(dim=1).nonzero()[0].item() for state in observation.state[:, 0]]
        wanted = self.task.wanted(self.all)[at]
        return wanted[None]

    def starts(self):
        return self.task.joints(self.all.hand, self.all.robot)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_who_does_what_is_wanted_makes_no_error(deployment):
    assert evaluation().errors(Faultless(evaluation()), deployment) == [0, 0, 0]


def test_the_distance_left_by_who_does_what_is_wanted_falls_by_a_fifth_a_step():
    one_chunk = Evaluation(AMOUNTS["much"], tried=24, chunks=1)
    distance = one_chunk.rollout(Faultless(one_chunk))["distance"]
    expected = [STEP_LEFT**step for step in (0, 4, 8)]
    for of_robot in distance:
        assert [part / of_robot[0] for part in of_robot] == pytest.approx(expected)


def test_errors_are_those_of_recorded_entries_alone():
    class Off(Faultless):
        def sample(self, observation, noise, dim_mask, step_mask=None):
            path = super().sample(observation, noise, dim_mask)
            if step_mask is not None:
                path = path + 7.0 * ~step_mask[..., None]
            return path + 0.5 + 9.0 * ~dim_mask[:, None]

    assert evaluation().errors(Off(evaluation()), "as trained") == pytest.approx([0.5, 0.5, 0.5])


def test_a_strict_head_does_not_care_who_is_beside_it_and_an_open_one_does():
    strict = {name: evaluation().errors(head(), name) for name in DEPLOYMENTS}
    assert strict["in a crowd"] == pytest.approx(strict["as trained"], rel=1e-12)
    assert strict["alone"] == pytest.approx(strict["all steps"], rel=1e-12)
    assert strict["free"] == strict["zero"] == strict["alone"]
    opened = {name: evaluation().errors(head("N1.5"), name) for name in DEPLOYMENTS}
    for one, other in (("in a crowd", "as trained"), ("alone", "all steps"), ("free", "zero"), ("zero", "renoise")):
        assert opened[one] != pytest.approx(opened[other], rel=1e-6)


def test_another_masking_is_lent_for_a_deployment_and_given_back():
    lent = head("N1.5")
    as_strict = evaluation().errors(lent, "strict")
    assert lent.masking is GROOT_N1_5
    assert as_strict == evaluation().errors(head("strict"), "as trained")  # the same weights, the same masking
    assert as_strict != evaluation().errors(lent, "as trained")


def test_alone_is_each_sample_in_a_batch_of_its_own():
    task, situations = evaluation().task, evaluation().situations
    together = evaluation()._alone(head("N1.5"), situations, evaluation().noise[0])
    for place in (0, 11):
        one = type(situations)(*(getattr(situations, f.name)[[place]] for f in dataclasses.fields(situations)))
        observation = task.observe(one)
        assert (observation.vl.backbone_attention_mask | observation.vl.image_mask).all()  # no padding before it
        noise, dim_mask = evaluation().noise[0][[place]], evaluation().batch.dim_mask[[place]]
        alone = head("N1.5").sample(observation, noise, dim_mask)[-1]
        torch.testing.assert_close(together[place], alone[0])


def test_the_reported_loss_is_the_heads_own_and_the_real_one_is_of_recorded_entries():
    reported, real = evaluation().losses(head("strict"))
    assert reported == real
    assert evaluation().losses(head("loss=open")) == (pytest.approx(evaluation().losses(head("loss=open"))[0]), real)
    assert evaluation().losses(head("loss=open"))[0] != pytest.approx(real, rel=1e-3)
    everything = evaluation().batch.actions.numel()
    counted = evaluation().recorded.sum().item()
    diluted, _ = evaluation().losses(head("loss_denominator=all"))
    assert diluted == pytest.approx(real * counted / everything)
