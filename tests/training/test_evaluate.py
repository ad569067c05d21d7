"""The exam of a trained head: situations that are the same for every head, padded in several ways."""

import dataclasses
from functools import cache

import pytest
import torch
from ablation_cases import TINY

from groot_teach.masks import GROOT_N1_5, STRICT
from groot_teach.training.ablation import AMOUNTS, Trial
from groot_teach.training.evaluate import DEPLOYMENTS, Exam
from groot_teach.training.task import STEP_LEFT


@cache
def exam(amount="much"):
    return Exam(AMOUNTS[amount], tried=24, chunks=3)


@cache
def head(condition="strict", amount="much"):
    return TINY.head(Trial(condition, amount, 0)).eval()


class Faultless:
    """A policy that does what is wanted. It reads its situations from the exam, and remembers where the hand is."""

    masking = STRICT

    def __init__(self, exam):
        self.task, self.all = exam.task, exam.situations

    def sample(self, observation, noise, dim_mask, step_mask=None):
        at = [(self.starts() == state).all(dim=1).nonzero()[0].item() for state in observation.state[:, 0]]
        wanted = self.task.wanted(self.all)[at]
        return wanted[None]

    def starts(self):
        return self.task.joints(self.all.hand, self.all.robot)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_who_does_what_is_wanted_makes_no_error(deployment):
    assert exam().errors(Faultless(exam()), deployment) == [0, 0, 0]


def test_the_distance_left_by_who_does_what_is_wanted_falls_by_a_fifth_a_step():
    one_chunk = Exam(AMOUNTS["much"], tried=24, chunks=1)
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

    assert exam().errors(Off(exam()), "as trained") == pytest.approx([0.5, 0.5, 0.5])


def test_a_strict_head_does_not_care_who_is_beside_it_and_an_open_one_does():
    strict = {name: exam().errors(head(), name) for name in DEPLOYMENTS}
    assert strict["in a crowd"] == pytest.approx(strict["as trained"], rel=1e-12)
    assert strict["alone"] == pytest.approx(strict["all steps"], rel=1e-12)
    assert strict["free"] == strict["zero"] == strict["alone"]
    opened = {name: exam().errors(head("N1.5"), name) for name in DEPLOYMENTS}
    for one, other in (("in a crowd", "as trained"), ("alone", "all steps"), ("free", "zero"), ("zero", "renoise")):
        assert opened[one] != pytest.approx(opened[other], rel=1e-6)


def test_another_masking_is_lent_for_a_deployment_and_given_back():
    lent = head("N1.5")
    as_strict = exam().errors(lent, "strict")
    assert lent.masking is GROOT_N1_5
    assert as_strict == exam().errors(head("strict"), "as trained")  # the same weights, the same masking
    assert as_strict != exam().errors(lent, "as trained")


def test_alone_is_each_sample_in_a_batch_of_its_own():
    task, situations = exam().task, exam().situations
    together = exam()._alone(head("N1.5"), situations, exam().noise[0])
    for place in (0, 11):
        one = type(situations)(*(getattr(situations, f.name)[[place]] for f in dataclasses.fields(situations)))
        observation = task.observe(one)
        assert (observation.vl.backbone_attention_mask | observation.vl.image_mask).all()  # no padding before it
        alone = head("N1.5").sample(observation, exam().noise[0][[place]], exam().batch.dim_mask[[place]])[-1]
        torch.testing.assert_close(together[place], alone[0])


def test_the_reported_loss_is_the_heads_own_and_the_real_one_is_of_recorded_entries():
    reported, real = exam().losses(head("strict"))
    assert reported == real
    assert exam().losses(head("loss=open")) == (pytest.approx(exam().losses(head("loss=open"))[0]), real)
    assert exam().losses(head("loss=open"))[0] != pytest.approx(real, rel=1e-3)
    everything = exam().batch.actions.numel()
    counted = exam().recorded.sum().item()
    diluted, _ = exam().losses(head("loss_denominator=all"))
    assert diluted == pytest.approx(real * counted / everything)
