"""The exercises about the auditor: on paper, and beside the auditor itself."""

import pytest
import torch

from groot_teach.audit import Answer, Look, MaskReport, Padding, audit_masks, gradients
from groot_teach.audit.policy import Policy
from groot_teach.chapters.audit import exercises, pictures
from groot_teach.masks import LEAKS


def test_the_first_case_of_each_gives_what_paper_gives():
    dims, steps, tokens = first(exercises.declare)
    assert dims.tolist() == [[False, True, True, True], [True, False, False, True]]
    assert steps.tolist() == [[True, False], [True, True]]
    assert tokens.tolist() == [[False, True, True], [True, True, True]]
    assert first(exercises.loss_of).tolist() == [0, 1, 4]
    assert first(exercises.find_target).tolist() == [[[3, -1, 5]]]
    noise, t = first(exercises.draws_alone)
    assert (noise.tolist(), t.tolist()) == ([[[[6, 7], [10, 11]]], [[[18, 19], [22, 23]]]], [[0.75], [1]])
    assert first(exercises.read_report).tolist() == [0, 0, 2, 0, 1]
    assert first(exercises.which_switches).tolist() == [[0, 0, 1, 0, 1, 0, 0]]


def first(exercise):
    return exercise(*exercise.cases()[0])


def a_policy(given):
    """It masks what it reads, and its loss is what an answer to audit.2 makes of it."""
    real = given["steps"][:, :, None] & given["dims"][:, None, :]
    actions, noise = (torch.where(real, given[name], 0.0) for name in ("actions", "noise"))
    velocity_pred = torch.cumsum(actions + 2 * noise, dim=2)
    return Answer(velocity_pred, lambda said: given["loss"](said[None], velocity_pred, actions, noise, real)[0])


def audit_of(loss):
    """An audit of that policy; what is padding is what audit.1 declares."""
    dims, steps, tokens = exercises.declare(*exercises.declare.cases()[1])
    assert Padding("tokens", tokens, {"tokens": 1}).axis == "tokens"
    noise = torch.randn(2, *steps.shape, dims.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    given = {"actions": noise[0], "noise": noise[1], "dims": dims, "steps": steps, "loss": loss}
    padding = [Padding("dims", dims, {"actions": 2, "noise": 2}, {"dims": 1})]
    padding.append(Padding("steps", steps, {"actions": 1, "noise": 1}, {"steps": 1}))
    return audit_masks(a_policy, given, padding, excused={"sampler": "it has none"})


def test_an_audit_of_the_reference_is_clean_and_of_the_mistakes_is_not():
    assert audit_of(exercises.loss_of).is_clean
    own, _, *wrong_counts = (known.answer for known in exercises.loss_of.mistakes)
    for answer in wrong_counts:
        assert {finding.stage for finding in audit_of(answer).unintended} == {"loss count"}
    report = audit_of(own)
    assert any(finding.kind == "lost" for finding in report.findings)
    assert any(look.probe == "unit error" for look in report.unseen)


def test_the_target_of_real_losses_is_found_as_the_auditor_finds_it():
    target, start = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    counts = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(2)) < 0.6
    weights = counts / counts.sum(), counts * torch.tensor([1, 1, 1, 1, 7, 7]) / 9, counts / 2
    for weight in weights:

        def loss(said, weight=weight):
            return ((said - target).square() * weight).sum()

        leaves = [(start + step).requires_grad_() for step in (0, 1)]
        found = exercises.find_target(start, *(torch.autograd.grad(loss(leaf), leaf)[0] for leaf in leaves))
        torch.testing.assert_close(found, torch.where(counts, target, start))
        torch.testing.assert_close(found, gradients.find_target(loss, start))


def test_the_auditor_hands_back_the_draws_that_the_reference_cuts():
    for all_noise, _, step_mask, sample, seed in exercises.draws_alone.cases()[1:]:
        step_mask = step_mask.sort(
            dim=1, descending=True
        ).values  # the auditor keeps padding that is between real steps
        given = {"actions": torch.ones_like(all_noise[0]), "steps": step_mask}

        def run(given, seed=seed):
            generator = torch.Generator().manual_seed(seed)
            drawn = torch.randn(given["actions"].shape, dtype=torch.float64, generator=generator)
            time = torch.rand(len(drawn), dtype=torch.float64, generator=generator)
            return Answer(drawn + 10 * time[:, None, None])

        policy = Policy(run, given, [Padding("steps", step_mask, {"actions": 1}, {"steps": 1})])
        noise, t = policy.ask(given).drawn
        alone, _ = policy.alone(given | {"drawn 0": noise, "drawn 1": t}, sample, "steps")
        mine = exercises.draws_alone(noise[None], t[None], step_mask, sample, seed)
        assert torch.equal(alone["drawn 0"], mine[0][0])
        assert torch.equal(alone["drawn 1"], mine[1][0])


def test_the_reference_reads_a_report_as_the_report_reads_itself():
    for size, looked, places, intended, excused in exercises.read_report.cases():
        codes = exercises.read_report(size, looked, places, intended, excused).tolist()
        assert {0, 1, 2} <= {*codes}
        for moved, seen, place, code in zip(size.tolist(), looked.tolist(), places, codes, strict=True):
            report = MaskReport((Look(*place, "perturb", moved if seen else None),), intended, excused)
            assert (bool(report.unintended), bool(report.unseen)) == (code == 1, code == 2)
            assert report.is_clean == (code == 0)


@pytest.mark.xdist_group("audits of chapter 10")
@pytest.mark.parametrize("version", ["N1.5", "PR 741"])
def test_the_reference_reads_the_switches_off_the_reports_of_the_chapter(version):
    masking = pictures.VERSIONS[version]
    size = torch.zeros(1, 9, 3, dtype=torch.float64)
    for look in pictures.audit_of(version, "ragged").looks:
        for axis in look.axis.split(" and ") if look.axis != "samples" else ():
            place = 0, pictures.ROWS.index(look.stage), pictures.AXES.index(axis)
            size[place] = max(size[place].item(), look.size)
    loss = {"dims_and_steps": 0, "dims": 1, "open": 2}[masking.loss]
    codes = [loss if leak.switch == "loss" else int(getattr(masking, leak.switch) in leak.leaks) for leak in LEAKS]
    assert exercises.which_switches(size).tolist() == [codes]
    assert ", ".join(f"`{leak.switch}`" for leak in LEAKS) in exercises.which_switches.task
