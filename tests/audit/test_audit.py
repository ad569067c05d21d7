"""The auditor as its users meet it: `audit_masks`."""

import json
import random
from functools import partial

import numpy as np
import pytest
import torch
from audit_cases import DIM_MASK, DIMS, STEP_MASK, STEPS, TAPS, TOKEN_MASK, Toy, draw, lengths, toy_batch, toy_padding
from torch import nn

from groot_teach.audit import Answer, MasksLeak, Padding, Tap, audit_masks


def audited(*open_at, batch=None, padding=None, **more):
    toy = Toy(*open_at)
    given = {"module": toy, "taps": TAPS, "sample": toy.sample} | more
    return audit_masks(toy.answer, batch or toy_batch(), toy_padding() if padding is None else padding, **given)


def names(report):
    return {finding.name for finding in report.findings}


# ------------------------------------------------------------------------------------------- what is found, and where


def test_a_policy_whose_doors_are_all_shut_is_clean():
    report = audited()
    assert report.is_clean
    assert not report.findings
    assert not report.unseen
    report.assert_clean()
    assert {look.probe for look in report.looks} == {"perturb", "compact", "gradient", "unit error", "read off"}


# The toy's sampler shuts the encoder's door for itself: it sets padded dims to 0 before it asks.
INPUT = {"encoder, dims", "prediction, dims", "training and sampling, dims"}
OPEN = {
    "encoder": INPUT,
    "steps": {"steps read each other, steps", "prediction, steps", "sampler, steps"},
    "words": {"words are read, tokens", "prediction, tokens", "sampler, tokens"},
    "loss": {"loss sum, dims", "loss sum, steps", "loss sum, dims and steps"},
    "divisor": {"loss count, dims and steps"},
    "sampler": {"sampled padding, dims"},
}


@pytest.mark.parametrize("door", OPEN)
def test_an_open_door_is_found_at_its_stage_and_along_its_axis_and_nowhere_else(door):
    report = audited(door)
    assert names(report) == OPEN[door]
    kinds = {"training and sampling": "mismatch"}
    assert all(finding.kind == kinds.get(finding.stage, "leak") and finding.size > 0 for finding in report.findings)


def test_two_open_doors_are_both_found():
    both = INPUT - {"training and sampling, dims"} | {"sampler, dims"}  # now the sampler shows noise as well
    assert names(audited("encoder", "sampler")) == both | OPEN["sampler"]


def test_what_lets_padding_in_behind_a_shut_encoder_is_seen_by_the_tap_and_by_compacting_only():
    """Padded steps are 0 there before they are read: other numbers in them change nothing; that they are read does."""
    found = {finding.name: finding.probes for finding in audited("steps").findings}
    assert found["steps read each other, steps"] == ("perturb",)
    assert found["prediction, steps"] == ("compact",)


def test_a_wrong_divisor_is_seen_by_the_unit_error_and_measured_from_paper():
    """14 + 15 + 20 entries of 105 are real, so an error of 1 gives 49 / 105."""
    (finding,) = audited("divisor").findings
    assert finding.probes == ("unit error", "compact")
    assert finding.size == pytest.approx(1 - 49 / 105)
    assert finding.why == "an error of 1 in every entry gives a loss of 0.4667, expected 1"


def test_how_much_of_the_loss_is_padding_is_measured_from_paper():
    """Of 105 entries 7 x 3 are of copied steps alone, 5 x 4 + 4 x 2 of padded dims alone, 1 x 2 of both."""
    report = audited("loss")
    sizes = {look.axis: look.size for look in report.looks if look.stage == "loss sum" and look.probe == "unit error"}
    assert sizes == pytest.approx({"dims": 28 / 105, "steps": 26 / 105, "dims and steps": 2 / 105})


def test_real_entries_that_do_not_count_are_found():
    toy = Toy()

    def run(b):
        target = b["actions"] - b["noise"]
        counted = b["dim_mask"][:, None] & (torch.arange(STEPS) < 2)[:, None]

        def loss(said):
            return torch.where(counted, said - target, 0.0).square().sum() / counted.sum()

        return Answer(toy.answer(b).prediction, loss)

    report = audit_masks(run, toy_batch(), toy_padding(), excused={"sampler": "not asked"})
    (finding,) = report.findings
    assert (finding.name, finding.kind, finding.probes) == ("loss sum, steps", "lost", ("gradient",))
    assert finding.why == "19 of 49 real entries do not count, such as sample 1, step 2, dim 0"


def test_real_words_that_nobody_reads_are_found():
    toy = Toy()

    def run(b):
        return toy.answer(b | {"word_mask": b["word_mask"] & (torch.arange(3) > 0)})

    report = audit_masks(run, toy_batch(), toy_padding(), excused={"sampler": "not asked"})
    (finding,) = report.findings
    assert (finding.name, finding.kind) == ("prediction, tokens", "lost")
    assert (
        finding.why
        == "in 2 of 19 pairs a real step does not depend on one of the real tokens, such as sample 0, step 0, token 0"
    )


def test_a_prompt_that_is_never_read_is_found():
    toy = Toy()

    def run(b):
        return toy.answer(b | {"words": torch.zeros_like(b["words"])})

    report = audit_masks(run, toy_batch(), toy_padding(), excused={"sampler": "not asked"})
    assert [(finding.name, finding.kind, finding.why) for finding in report.findings] == [
        ("prediction, tokens", "lost", "nothing real in 'words' moves what is predicted for a real entry")
    ]


def test_one_prompt_for_the_whole_batch_is_found_as_what_samples_get_from_each_other():
    toy = Toy()

    def run(b):
        first = {"words": b["words"][:1], "word_mask": b["word_mask"][:1]}
        return toy.answer(b | {name: value.expand_as(b[name]) for name, value in first.items()})

    found = {finding.name: finding for finding in audit_masks(run, toy_batch(), toy_padding()).findings}
    assert found["prediction, samples"].probes == ("compact",)
    assert found["prediction, tokens"].kind == "lost"


def test_a_word_that_some_steps_may_not_read_is_found():
    """A causal cut on the wrong axis: each step reads only as many words as there are steps before it."""
    toy = Toy()

    def run(b):
        t = b["t"][:, None, None]
        noisy, target = (1 - t) * b["noise"] + t * b["actions"], b["actions"] - b["noise"]
        tokens, keys = toy.encode(noisy * b["dim_mask"][:, None] * b["step_mask"][..., None]), toy.read(b["words"])
        late = torch.arange(keys.shape[1]) > torch.arange(tokens.shape[1])[:, None] + 1
        hidden = ~b["word_mask"][:, None] | late & (b["word_mask"].sum(1) == 3)[:, None, None]
        read = tokens @ keys.transpose(1, 2)
        tokens = tokens + read.masked_fill(hidden, -torch.inf).softmax(-1) @ keys
        return Answer(toy.decode(tokens.tanh()), lambda said: toy.loss_of(said, target, b))

    found = audit_masks(run, toy_batch(), toy_padding(), module=toy, taps=TAPS[1:], sample=toy.sample).findings
    (at_tap,) = [finding for finding in found if finding.stage == "words are read"]
    assert (at_tap.axis, at_tap.kind, at_tap.probes) == ("tokens", "lost", ("gradient",))
    # Two steps are real beside three words, five beside one, four beside two; step 0 reads two words of three.
    assert (
        at_tap.why
        == "in 1 of 19 pairs a real step does not depend on one of the real tokens, such as sample 0, step 0, token 2"
    )


def test_a_last_recorded_step_that_the_others_may_not_read_is_found_and_a_causal_mask_is_not():
    toy = Toy()

    def run(b, hidden_of):
        t = b["t"][:, None, None]
        noisy, target = (1 - t) * b["noise"] + t * b["actions"], b["actions"] - b["noise"]
        tokens = toy.encode(noisy * b["dim_mask"][:, None] * b["step_mask"][..., None])
        count = tokens.shape[1]
        read = (tokens @ tokens.transpose(1, 2)).masked_fill(hidden_of(b["step_mask"], count), -torch.inf)
        return Answer(
            toy.decode((tokens + read.softmax(-1) @ tokens).tanh()), lambda said: toy.loss_of(said, target, b)
        )

    def off_by_one(step_mask, count):
        return ~(step_mask & step_mask.roll(-1, 1))[:, None] & ~torch.eye(count, dtype=torch.bool)

    def causal(step_mask, count):
        return ~step_mask[:, None] & ~torch.eye(count, dtype=torch.bool) | torch.ones(count, count).triu(1).bool()

    more = {"padding": toy_padding()[:2], "sample": toy.sample, "batch": toy_batch()}
    assert audit_masks(partial(run, hidden_of=causal), **more).is_clean
    lost = [one for one in audit_masks(partial(run, hidden_of=off_by_one), **more).findings if one.kind == "lost"]
    assert [(one.name, one.probes) for one in lost] == [("prediction, steps", ("gradient",))]


def test_attention_so_sharp_that_weights_are_rounded_to_0_hides_nothing():
    toy, batch = Toy(dtype=torch.float32), toy_batch(torch.float32)
    toy.sharpness = 3000.0
    weights = (3000 * toy.encode(batch["noise"]) @ toy.read(batch["words"]).mT).softmax(-1)
    assert (weights == 0).any()
    assert audit_masks(toy.answer, batch, toy_padding(), module=toy, taps=TAPS, sample=toy.sample).is_clean


def test_masks_upside_down_hide_what_is_real_and_read_what_is_not():
    upside_down = ~TOKEN_MASK
    upside_down[0, 0] = True  # all three words of the first robot are real: something has to be left to read
    found = {(one.name, one.kind) for one in audited(batch=toy_batch() | {"word_mask": upside_down}).findings}
    assert {("words are read, tokens", "leak"), ("prediction, tokens", "lost")} <= found


# -------------------------------------------------------------------------------------------------- not a number


def test_a_prediction_that_is_nan_is_found_and_nothing_else_is_called_clean():
    toy = Toy()

    def run(b):
        answer = toy.answer(b)
        return Answer(torch.where(b["word_mask"].sum(1)[:, None, None] == 2, torch.nan, answer.prediction), answer.loss)

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    (finding,) = report.findings
    assert finding.kind == "not finite"
    assert finding.why == "20 of 49 predictions of real entries are not finite"
    assert report.unseen
    assert not report.is_clean


def test_nan_in_samples_without_padding_points_at_a_mask_that_is_upside_down():
    toy, batch = Toy(), toy_batch() | {"word_mask": ~TOKEN_MASK}
    report = audit_masks(toy.answer, batch, toy_padding(), sample=Toy("words").sample)
    finding = report.findings[0]
    assert finding.name == "prediction, tokens"
    assert "all in samples without padded tokens: is a mask upside down? It hides everything there" in finding.why


def test_real_steps_that_see_no_word_are_found_even_if_padded_ones_see_them():
    """As where attention is blanked for queries that a mask calls padded, and the mask is upside down."""
    toy = Toy()

    def run(b):
        t = b["t"][:, None, None]
        noisy, target = (1 - t) * b["noise"] + t * b["actions"], b["actions"] - b["noise"]
        tokens, keys = toy.encode(noisy * b["dim_mask"][:, None] * b["step_mask"][..., None]), toy.read(b["words"])
        read = (tokens @ keys.transpose(1, 2)).masked_fill(~b["word_mask"][:, None], -torch.inf).softmax(-1) @ keys
        tokens = tokens + read * ~b["step_mask"][..., None]
        return Answer(toy.decode(tokens.tanh()), lambda said: toy.loss_of(said, target, b))

    found = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample).findings
    assert [(one.name, one.kind) for one in found] == [("prediction, tokens", "lost")]
    assert found[0].why == "nothing real in 'words' moves what is predicted for a real entry"


def test_nan_that_comes_with_other_padding_counts_as_moved():
    toy, batch = Toy(), toy_batch()

    def run(b):
        answer = toy.answer(b)
        as_it_was = len(b["words"]) == 1 or torch.equal(b["words"][1, 0], batch["words"][1, 0])
        return Answer(answer.prediction if as_it_was else answer.prediction * torch.nan, answer.loss)

    report = audit_masks(run, batch, toy_padding(), sample=toy.sample)
    assert [(finding.name, finding.size, finding.probes) for finding in report.findings] == [
        ("prediction, tokens", torch.inf, ("perturb",)),
        ("training and sampling, tokens", torch.inf, ("parity",)),
    ]


def test_a_gradient_that_is_nan_is_found_where_the_loss_is_a_number():
    toy = Toy()

    def run(b):
        answer = toy.answer(b)
        target = b["actions"] - b["noise"]
        real = b["dim_mask"][:, None] & b["step_mask"][:, :, None]

        def loss(said):
            # The root of an error of exactly 0: what a mask hides before the root has no gradient.
            return ((said - target) * real).square().sqrt().square().sum() / real.sum()

        return Answer(answer.prediction, loss)

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    assert [(finding.name, finding.kind) for finding in report.findings] == [("loss sum, dims and steps", "not finite")]
    assert any(look.stage == "loss count" for look in report.unseen)


def test_a_loss_that_is_nan_is_found():
    toy = Toy()
    run = lambda b: Answer(toy.answer(b).prediction, lambda said: said.sum() * torch.nan)  # noqa: E731
    (finding,) = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample).findings
    assert (finding.name, finding.kind, finding.why) == ("loss sum, dims and steps", "not finite", "the loss is nan")


def test_sampled_actions_that_are_nan_are_found():
    toy = Toy()
    report = audit_masks(toy.answer, toy_batch(), toy_padding(), sample=lambda b: toy.sample(b) * torch.nan)
    assert ("sampler, dims and steps", "not finite") in [(finding.name, finding.kind) for finding in report.findings]


# ---------------------------------------------------------------------------------------------- where nobody looked


def test_what_was_not_handed_over_was_not_looked_at_and_that_is_not_clean():
    toy = Toy()
    report = audit_masks(lambda b: Answer(toy.answer(b).prediction), toy_batch(), toy_padding())
    assert not report.findings
    assert not report.is_clean
    assert {look.stage for look in report.unseen} == {"loss sum", "loss count", "sampler"}
    with pytest.raises(MasksLeak, match="sampler, dims and steps: perturb could not look: no sampler was handed over"):
        report.assert_clean()


def test_a_loss_that_is_a_number_is_seen_by_gradient_and_compact_but_not_by_the_unit_error():
    toy = Toy("loss", "divisor")

    def run(b):
        answer = toy.answer(b)
        return Answer(answer.prediction, answer.loss(answer.prediction))

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    found = {finding.name: finding.probes for finding in report.findings}
    assert found["loss sum, dims"] == ("perturb", "gradient")
    assert [(look.stage, look.probe) for look in report.unseen] == [("loss count", "unit error")]


def test_a_wrong_divisor_of_a_loss_that_is_a_number_is_seen_by_compact():
    toy = Toy("divisor")

    def run(b):
        answer = toy.answer(b)
        return Answer(answer.prediction, answer.loss(answer.prediction))

    (finding,) = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample).findings
    assert (finding.name, finding.probes) == ("loss count, dims and steps", ("compact",))


def test_a_policy_that_cannot_run_on_a_shorter_batch_says_so():
    toy = Toy()

    def run(b):
        if b["actions"].shape[1] != STEPS:
            raise RuntimeError("five steps, please")
        return toy.answer(b)

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    (look,) = report.unseen
    assert (look.stage, look.axis, look.probe) == ("prediction", "steps", "compact")
    assert look.why == "RuntimeError: five steps, please"


def test_a_last_layer_of_zeros_hides_everything_and_is_not_clean():
    toy = Toy("words")
    nn.init.zeros_(toy.decode.weight)
    report = audit_masks(toy.answer, toy_batch(), toy_padding(), module=toy, taps=TAPS, sample=toy.sample)
    assert not report.is_clean
    assert {look.stage for look in report.unseen} == {"prediction", "steps read each other", "words are read"}
    assert all("is a last layer still zero, or is `real` upside down?" in look.why for look in report.unseen)
    assert {finding.stage for finding in report.findings} == set()


def test_it_does_not_matter_whether_the_caller_records_gradients():
    toy = Toy("words")
    with torch.no_grad():
        inside = audit_masks(toy.answer, toy_batch(), toy_padding(), module=toy, taps=TAPS, sample=toy.sample)
    assert inside == audited("words")


def test_the_gradient_of_a_frozen_policys_loss_is_found_through_the_batch():
    toy = Toy("loss").requires_grad_(False)

    def run(b):
        answer = toy.answer(b)
        return Answer(answer.prediction, answer.loss(answer.prediction))

    found = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample).findings
    assert "gradient" in next(one.probes for one in found if one.name == "loss sum, dims")


def test_a_policy_without_a_graph_is_audited_by_moving_one_place_at_a_time():
    toy = Toy()
    report = audit_masks(torch.no_grad()(toy.answer), toy_batch(), toy_padding(), sample=toy.sample)
    assert report.is_clean
    assert "gradient" not in {look.probe for look in report.looks if look.stage == "prediction"}


def test_a_loss_that_does_not_look_at_what_it_is_given_counts_nothing():
    toy = Toy()

    def run(b):
        before = toy.training_loss(b).detach()
        return Answer(toy.answer(b).prediction, lambda said: before)

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    (finding,) = report.findings
    assert (finding.kind, finding.why) == (
        "lost",
        "49 of 49 real entries do not count, such as sample 0, step 0, dim 0",
    )
    assert [(look.stage, look.probe) for look in report.unseen] == [("loss count", "unit error")]


def test_a_real_dim_that_the_sampler_never_moves_is_found():
    toy = Toy()

    def sample(b):
        short = b["dim_mask"] & (torch.arange(DIMS) != 2)
        return toy.sample(b) * short[:, None]

    (finding,) = audit_masks(toy.answer, toy_batch(), toy_padding(), sample=sample).findings
    assert (finding.name, finding.kind) == ("sampler, dims", "lost")
    assert finding.why == "11 of 49 real entries are sampled as 0, whatever is given"


# ----------------------------------------------------------------------------------------------------- randomness


def noise_inside(toy, b, generator=None):
    shape, dtype = b["actions"].shape, b["actions"].dtype
    noise = torch.randn(shape, dtype=dtype, generator=generator)
    return {name: value for name, value in b.items() if name != "noise"} | {"noise": noise}


def without_noise():
    batch = {name: value for name, value in toy_batch().items() if name not in ("noise",)}
    dims, steps, tokens = toy_padding()
    dims = Padding("dims", dims.real, {"actions": 2}, dims.masks)
    return batch, [dims, Padding("steps", steps.real, {"actions": 1}, steps.masks), tokens]


@pytest.mark.parametrize("how", ["of the global stream", "of a generator of its own", "of one that goes on"])
def test_a_policy_that_draws_its_own_noise_is_audited_like_one_that_is_given_it(how):
    kept = torch.Generator().manual_seed(5)

    def generator():
        return {"of a generator of its own": torch.Generator().manual_seed(5), "of one that goes on": kept}.get(how)

    for door, toy in (((), Toy()), (("encoder",), Toy("encoder"))):
        batch, padding = without_noise()
        report = audit_masks(
            lambda b, toy=toy: toy.answer(noise_inside(toy, b, generator())),
            batch,
            padding,
            module=toy,
            taps=TAPS,
            sample=lambda b, toy=toy: toy.sample(noise_inside(toy, b, generator())),
        )
        assert names(report) == (OPEN["encoder"] if door else set()), str(report)
        assert not report.unseen


def test_noise_of_another_shape_is_cut_and_changed_where_it_is_declared():
    """Drawn for two candidates of each chunk, of which the first is taken."""
    toy = Toy("encoder")
    batch, padding = without_noise()

    def run(b):
        shape = b["actions"].shape
        return toy.answer(b | {"noise": torch.randn(shape[0], 2, *shape[1:], dtype=torch.float64)[:, 0]})

    sample = lambda b: toy.sample(b | {"noise": torch.zeros_like(b["actions"])})  # noqa: E731
    more = {"module": toy, "taps": TAPS, "sample": sample}
    blind = audit_masks(run, batch, padding, **more)
    assert [(look.axis, look.probe) for look in blind.unseen] == [("steps", "compact")]
    named = [Padding(kind.axis, kind.real, kind.values | places, kind.masks) for kind, places in zip(
        padding, ({"drawn 0": 3}, {"drawn 0": 2}, {}), strict=True)]  # fmt: skip
    seeing = audit_masks(run, batch, named, **more)
    assert not seeing.unseen
    assert seeing.findings[0].size > blind.findings[0].size

    def with_one_axis_more(b):
        shape = b["actions"].shape
        return toy.answer(b | {"noise": torch.randn(shape[0], 1, *shape[1:], dtype=torch.float64)[:, 0]})

    assert not audit_masks(with_one_axis_more, batch, padding, **more).unseen


def test_dropout_is_repeated_exactly_and_cannot_be_compacted():
    toy = Toy()
    toy.decode = nn.Sequential(nn.Dropout(0.3), toy.decode)
    report = audit_masks(toy.train().answer, toy_batch(), toy_padding(), sample=toy.sample)
    assert not report.findings
    assert {(look.stage, look.probe, look.axis) for look in report.unseen} == {
        ("prediction", "compact", "steps"),
        ("sampler", "compact", "steps"),
    }
    assert all("OtherDraws: draw" in look.why for look in report.unseen)
    excused = {"compact": "dropout draws other numbers for another size"}
    assert audit_masks(toy.answer, toy_batch(), toy_padding(), sample=toy.sample, excused=excused).is_clean


def test_the_callers_random_stream_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    batch, padding = without_noise()
    toy = Toy()
    audit_masks(lambda b: toy.answer(noise_inside(toy, b)), batch, padding)
    assert torch.equal(torch.rand(1), expected)


def test_a_policy_with_two_answers_to_the_same_question_is_refused():
    toy, calls = Toy(), []

    def run(b):
        calls.append(0)
        answer = toy.answer(b)
        return Answer(answer.prediction + len(calls), answer.loss)

    with pytest.raises(ValueError, match="run: got two answers to the same batch and the same draws"):
        audit_masks(run, toy_batch(), toy_padding())
    with pytest.raises(ValueError, match="sample: got two answers"):
        audit_masks(
            toy.answer, toy_batch(), toy_padding(), sample=lambda b: toy.sample(b) + len(calls.append(0) or calls)
        )


def test_a_run_that_draws_once_more_when_padding_changes_is_not_called_the_same_stream():
    toy = Toy()
    quiet = toy_batch()["words"]

    def run(b):
        if not torch.equal(b["words"], quiet):
            torch.rand(1)
        return toy.answer(b)

    report = audit_masks(run, toy_batch(), toy_padding(), sample=toy.sample)
    look = next(look for look in report.unseen if look.axis == "tokens" and look.probe == "perturb")
    assert look.why.startswith("OtherDraws: it drew more than 0 times")


# ------------------------------------------------------------------------------------------------------- a module


def test_a_policy_that_returns_only_its_loss_is_heard_at_a_module():
    for open_at in ((), ("encoder", "loss"), ("divisor",)):
        toy = Toy(*open_at)
        by_hook = audit_masks(
            toy.training_loss, toy_batch(), toy_padding(), module=toy, prediction="decode", sample=toy.sample
        )
        by_hand = audit_masks(toy.answer, toy_batch(), toy_padding(), sample=toy.sample)
        assert by_hook.findings == by_hand.findings
        assert by_hook.is_clean == (not open_at)


def test_nothing_stays_hooked_to_the_module():
    toy = Toy()
    audit_masks(toy.training_loss, toy_batch(), toy_padding(), module=toy, prediction="decode", taps=TAPS)
    assert not any(part._forward_hooks for part in toy.modules())


def test_a_prediction_longer_and_narrower_than_the_batch_is_cut_to_what_is_asked_for():
    """A state token in front of the steps, as GR00T's decoder has it, and only the 7 dims that any robot has."""
    wide = toy_batch() | {"dim_mask": nn.functional.pad(DIM_MASK, (0, 4))}
    for name in ("actions", "noise"):
        wide[name] = nn.functional.pad(wide[name], (0, 4), value=0.5)
    dims, steps, tokens = toy_padding()
    dims = Padding("dims", wide["dim_mask"], dims.values, dims.masks)
    steps = Padding("steps", steps.real, steps.values, steps.masks, predicted="last")
    toy = Toy()

    class Longer(nn.Module):
        def __init__(self):
            super().__init__()
            self.toy, self.decode = toy, nn.Identity()

        def forward(self, b):
            cut = b | {name: b[name][..., :DIMS] for name in ("actions", "noise", "dim_mask")}
            answer = toy.answer(cut)
            longer = self.decode(nn.functional.pad(answer.prediction, (0, 0, 1, 0), value=9.0))
            return answer.loss(longer[:, 1:])

    longer = Longer()
    report = audit_masks(
        longer, wide, [dims, steps, tokens], module=longer, prediction="decode", excused={"sampler": "-"}
    )
    assert report.is_clean, str(report)


def test_a_prediction_that_is_laid_out_otherwise_is_arranged():
    toy = Toy("loss", "divisor")

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.decode = nn.Identity()

        def forward(self, b):
            answer = toy.answer(b)
            flat = self.decode({"flat": answer.prediction.flatten(0, 1)})["flat"]
            return answer.loss(flat.reshape(answer.prediction.shape))

    def there(output):
        return output["flat"].unflatten(0, (-1, STEPS)) if len(output["flat"]) % STEPS == 0 else output["flat"][None]

    flat = Flat()
    report = audit_masks(
        flat,
        toy_batch(),
        toy_padding(),
        module=flat,
        prediction="decode",
        arrange=(there, lambda said, output: {"flat": said.flatten(0, 1)}),
        sample=toy.sample,
    )
    assert names(report) == OPEN["loss"]
    with pytest.raises(ValueError, match="prediction: got a dict, expected a module that gives a tensor, or `arrange`"):
        audit_masks(flat, toy_batch(), toy_padding(), module=flat, prediction="decode")


def test_real_dims_without_a_prediction_are_refused():
    toy = Toy()
    run = lambda b: Answer(toy.answer(b).prediction[..., :4], lambda said: said.sum())  # noqa: E731
    with pytest.raises(
        ValueError, match="prediction: got 4 dims, expected 7, as many as the batch has; real ones would have no"
    ):
        audit_masks(run, toy_batch(), toy_padding())


# ----------------------------------------------------------------------------------------- other losses, other shapes


def reduced(toy, how):
    def run(b):
        answer = toy.answer(b)
        target, real = b["actions"] - b["noise"], b["dim_mask"][:, None] & b["step_mask"][:, :, None]
        return Answer(answer.prediction, partial(how, target=target, real=real))

    return run


def absolute(said, target, real):
    return torch.where(real, said - target, 0.0).abs().sum() / real.sum()


def half_squared(said, target, real):
    return torch.where(real, said - target, 0.0).square().sum() / real.sum() / 2


def by_sample(said, target, real):
    squared = torch.where(real, said - target, 0.0).square()
    return (squared.sum((1, 2)) / real.sum((1, 2))).mean()


def by_group(said, target, real):
    squared = torch.where(real, said - target, 0.0).square()
    return sum(squared[..., part].sum() / real[..., part].sum() for part in (slice(2), slice(2, None)))


def with_a_constant(said, target, real):
    return torch.where(real, said - target, 0.0).square().sum() / (real.sum() + 1e-6) + 3.0


@pytest.mark.parametrize(
    ("how", "unit_loss"), [(absolute, 1), (half_squared, 0.5), (by_sample, 1), (by_group, 2), (with_a_constant, 1)]
)
def test_other_ways_to_reduce_a_loss_are_no_leak(how, unit_loss):
    toy = Toy()
    report = audit_masks(reduced(toy, how), toy_batch(), toy_padding(), sample=toy.sample, unit_loss=unit_loss)
    assert report.is_clean, str(report)


@pytest.mark.parametrize("unit_loss", [0, -1.0, float("nan"), float("inf")])
def test_an_error_of_1_gives_a_loss_above_0(unit_loss):
    with pytest.raises(ValueError, match=f"^unit_loss: got {unit_loss}, expected a finite number above 0"):
        audit_masks(Toy().answer, toy_batch(), toy_padding(), unit_loss=unit_loss)


def test_a_sum_of_two_means_is_found_unless_it_is_said():
    toy = Toy()
    (finding,) = audit_masks(reduced(toy, by_group), toy_batch(), toy_padding(), sample=toy.sample).findings
    assert finding.why == "an error of 1 in every entry gives a loss of 2, expected 1"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_neither_a_leak_nor_a_hiding_place(dtype):
    for open_at, expected in (((), set()), (("words",), OPEN["words"]), (("divisor",), OPEN["divisor"])):
        toy = Toy(*open_at, dtype=dtype)
        report = audit_masks(toy.answer, toy_batch(dtype), toy_padding(), module=toy, taps=TAPS, sample=toy.sample)
        assert names(report) == expected, str(report)
        assert not report.unseen


def test_a_network_over_tokens_is_audited_along_its_tokens():
    ids, real = torch.tensor([[4, 2, 7, 7], [5, 1, 3, 2]]), lengths(4, 2, 4)
    table, scores = draw(0, 8, 3), draw(1, 3, 3)

    def run(b, masked):
        x = table[b["ids"]]
        logits = x @ scores @ x.transpose(1, 2)
        logits = logits.masked_fill(~b["real"][:, None], -torch.inf) if masked else logits
        return Answer(logits.softmax(dim=-1) @ x)

    padding, given = [Padding("tokens", real, {"ids": 1}, {"real": 1})], {"ids": ids, "real": real}
    more = {"axes": {"tokens": 1}, "excused": {"loss sum": "-", "loss count": "-", "sampler": "an encoder"}}
    assert audit_masks(partial(run, masked=True), given, padding, **more).is_clean
    (finding,) = audit_masks(partial(run, masked=False), given, padding, **more).findings
    assert (finding.name, finding.probes) == ("prediction, tokens", ("perturb", "compact"))


def test_a_sample_without_any_word_is_looked_at_and_not_cut_down_to_nothing():
    empty = lengths(3, 3, 0, 2, left=True)
    batch = toy_batch() | {"word_mask": empty}
    dims, steps, tokens = toy_padding()
    padding = [dims, steps, Padding("tokens", empty, tokens.values, tokens.masks)]
    toy = Toy()

    def run(b, fill):
        scores_of_nothing = b["word_mask"] | ~b["word_mask"].any(1, keepdim=True) if fill else b["word_mask"]
        return toy.answer(b | {"word_mask": scores_of_nothing})

    found = audit_masks(partial(run, fill=True), batch, padding).findings
    assert [(one.name, one.kind, one.probes) for one in found] == [
        ("prediction, tokens", "leak", ("perturb", "gradient"))
    ]
    (nan, *_) = audit_masks(partial(run, fill=False), batch, padding).findings
    assert nan.kind == "not finite"


def test_lists_of_the_batch_are_cut_to_the_sample_too():
    toy, seen = Toy(), []

    def run(b):
        seen.append(tuple(b["task"]))
        assert b["cameras"] == ["left", "right"]  # not one for each sample
        assert b["scale"].shape == (2,)
        return toy.answer(b)

    more = {"task": ["a", "b", "c"], "cameras": ["left", "right"], "scale": torch.ones(2)}
    report = audit_masks(run, toy_batch() | more, toy_padding(), sample=toy.sample)
    assert not report.unseen
    assert {("a", "b", "c"), ("a",), ("b",), ("c",)} == set(seen)


def test_a_batch_that_is_padded_along_dims_only_is_audited():
    toy = Toy("loss")
    report = audit_masks(toy.answer, toy_batch(), toy_padding()[:1], sample=toy.sample)
    (finding,) = report.findings
    assert (finding.name, finding.probes) == ("loss sum, dims", ("perturb", "gradient", "unit error"))
    assert not report.unseen


def test_steps_that_do_not_count_have_no_name_of_their_own_where_steps_are_not_declared():
    toy = Toy()

    def run(b):
        target = b["actions"] - b["noise"]
        counted = b["dim_mask"][:, None] & (torch.arange(STEPS) < 2)[:, None]
        return Answer(
            toy.answer(b).prediction,
            lambda said: torch.where(counted, said - target, 0.0).square().sum() / counted.sum(),
        )

    batch = toy_batch() | {"step_mask": torch.ones_like(STEP_MASK)}
    (finding,) = audit_masks(run, batch, toy_padding()[:1], sample=toy.sample).findings
    assert (finding.name, finding.kind) == ("loss sum, dims", "lost")


def test_steps_that_the_sampler_never_pads_can_be_left_out():
    toy = Toy("steps")
    report = audit_masks(toy.answer, toy_batch(), toy_padding(), sample=toy.sample, sample_along=("dims", "tokens"))
    assert report.cell("sampler", "steps") == ""
    assert report.cell("sampler", "tokens") == "0"


def test_the_work_grows_with_the_number_of_paddings_and_not_with_their_product():
    counted = []
    for count in (1, 2, 3):  # the first alone has no taps and no steps to be read
        toy, calls = Toy(), []

        def run(b, toy=toy, calls=calls):
            calls.append(0)
            return toy.answer(b)

        audit_masks(run, toy_batch(), toy_padding()[::-1][:count])
        counted.append(len(calls))
    # Twice at first, two gradients, three samples alone; for each padding 2, and 3 if it can be cut.
    assert counted == [7 + 5, 7 + 5 + 5, 7 + 5 + 5 + 2]


def test_progress_is_told_each_piece_of_work():
    pieces = []
    toy = Toy()
    audit_masks(
        toy.answer, toy_batch(), toy_padding(), progress=lambda work: [pieces.append(0) or piece for piece in work]
    )
    # Three paddings, gradient, who reads what, loss, alone, without steps or tokens, weights of samples, sampler.
    assert len(pieces) == 11


@pytest.mark.parametrize("swallow", [lambda work: [], lambda work: list(work)[1:], lambda work: list(work)[:3] * 2])
def test_progress_that_swallows_work_leaves_looks_that_were_not_taken(swallow):
    report = audited(progress=swallow)
    assert not report.is_clean
    assert report.unseen
    assert all("`progress` did not give this part of the audit on" in look.why for look in report.unseen)


def test_of_a_batch_of_one_sample_it_is_noted_that_the_others_are_not_seen():
    """A policy that subtracts the mean of its batch would be clean there."""
    torch.manual_seed(0)
    one = {"action": torch.randn(1, 4, 5, dtype=torch.float64)}
    real = torch.tensor([[True, True, True, False]])
    policy = nn.Linear(5, 5).double()

    def run(b):
        prediction = policy(b["action"] - b["action"].mean(0))
        return Answer(prediction, lambda said: (said - 1)[real.expand(len(said), 4)].square().mean())

    given = {"sample": lambda b: b["action"] - b["action"].mean(0)}
    report = audit_masks(run, one, [Padding("steps", real, values={"action": 1})], **given)
    assert not [look for look in report.looks if look.axis == "samples"]
    assert any("the batch has one sample" in note for note in report.notes)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_noise_that_the_policy_draws_is_not_the_batch_that_a_usual_seed_has_drawn(seed):
    """With the noise equal to the actions, the target is 0, padding moves nothing, and only a gradient could tell."""
    torch.manual_seed(seed)
    batch, real = {"action": torch.randn(3, 4, 5)}, torch.ones(3, 4).cumsum(1) <= torch.tensor([[2], [3], [4]])
    policy = nn.Linear(5, 5)

    def run(b):
        noise = torch.randn_like(b["action"])
        return Answer(policy(noise), lambda said: (said - (b["action"] - noise)).square().mean())

    report = audit_masks(run, batch, [Padding("steps", real, values={"action": 1})])
    (perturbed,) = (look for look in report.looks if (look.stage, look.probe) == ("loss sum", "perturb"))
    assert perturbed.size


@pytest.mark.parametrize(
    ("real", "said"),
    [
        (torch.tensor([[1, 0, 1], [1, 1, 0]]).bool(), "some padding of steps lies between real entries"),
        (torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()[..., None].expand(2, 3, 4), "is declared entry by entry"),
        (torch.tensor([[1, 0, 0], [1, 1, 0]]).bool(), None),
    ],
)
def test_padding_that_cannot_be_cut_off_is_noted(real, said):
    torch.manual_seed(0)
    values = torch.randn(2, 3, 4, dtype=torch.float64)

    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)

    def run(batch):
        counts = real if real.ndim == 3 else real[..., None].expand(2, 3, 4)
        prediction = batch["action"] * weight
        return Answer(prediction, (prediction**2)[counts].mean())

    place = 1 if real.ndim == 2 else (1, 2)
    padding = [Padding("steps", real, values={"action": place})]
    report = audit_masks(run, {"action": values}, padding)
    notes = [note for note in report.notes if "could not be cut off" in note]
    assert [said in note for note in notes] == ([True] if said else []), str(report)


def test_everything_is_as_it_was_when_the_audit_is_over():
    norm, generator, toy = nn.BatchNorm1d(DIMS).double().train(), torch.Generator().manual_seed(3), Toy()
    batch, before, padding = toy_batch(), toy_batch(), toy_padding()

    def run(b):
        norm.eval() if norm.training else norm.train()
        norm.train()(b["actions"].flatten(0, 1))
        b["actions"][~(b["dim_mask"][:, None] & b["step_mask"][..., None])] = 0
        b["step_mask"] &= True
        torch.rand(1, generator=generator), np.random.rand(), random.random()
        return toy.answer(b)

    states = {name: value.clone() for name, value in norm.state_dict().items()}
    streams = (generator.get_state(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    report = audit_masks(run, batch, padding, sample=toy.sample)
    assert report.is_clean, str(report)
    assert "writes into 'actions', 'step_mask' of the batch" in str(report)
    assert all(torch.equal(batch[name], before[name]) for name in before)
    assert all(torch.equal(value, states[name]) for name, value in norm.state_dict().items())
    assert torch.equal(generator.get_state(), streams[0])
    assert torch.equal(torch.get_rng_state(), streams[1])
    assert np.random.get_state()[1].tolist() == streams[2]
    assert random.getstate() == streams[3]


# ---------------------------------------------------------------------------------------------------- declarations


def test_what_is_intended_is_shown_with_its_reason_and_is_clean():
    report = audited("words", intended={name: "as the weights were trained" for name in OPEN["words"]})
    assert report.is_clean
    assert names(report) == OPEN["words"]
    report.assert_clean()
    assert all(finding.intended == "as the weights were trained" for finding in report.findings)
    assert not audited("words", intended={"prediction, tokens": "-"}).is_clean


def test_the_assertion_names_stage_axis_and_size():
    with pytest.raises(MasksLeak) as caught:
        audited("words").assert_clean()
    assert isinstance(caught.value, AssertionError)
    lines = str(caught.value).splitlines()
    assert lines[0] == "not clean: 3 found"
    assert lines[1].startswith("! words are read, tokens: what is predicted for real entries moves by ")
    assert lines[1].endswith(" % (perturb)")


def test_json_holds_everything_and_is_json():
    said = json.loads(audited("divisor", excused={"compact": "-"}).to_json())
    assert said["clean"] is False
    assert said["excused"] == {"compact": "-"}
    assert said["axes"] == ["dims", "steps", "tokens"]
    assert said["findings"][0]["stage"] == "loss count"
    assert said["torch"] == torch.__version__
    assert len(said["looks"]) == len(audited("divisor").looks)


# ---------------------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padding": []}, "padding: got none, expected at least one"),
        ({"padding": [Padding("dims", lengths(DIMS, 3, 4), {"actions": 2})]}, "expected 2 at axis 0 and 7 at axis 2"),
        (
            {"padding": [toy_padding()[0], Padding("tokens", lengths(3, 1, 2), {"words": 1})]},
            r"batches of \[2, 3\] samples",
        ),
        ({"padding": [Padding("dims", torch.ones(3, DIMS, dtype=torch.bool), {"actions": 2})]}, "dims: got no padding"),
        ({"padding": [Padding("tokens", torch.zeros_like(TOKEN_MASK), {"words": 1})]}, "tokens: got nothing real"),
        ({"padding": [Padding("dims", DIM_MASK, {})]}, "dims: got no values"),
        ({"padding": [Padding("dims", DIM_MASK, {"action": 2})]}, "got no tensor 'action' in the batch"),
        (
            {"padding": [Padding("dims", DIM_MASK, {"actions": 1})]},
            r"'actions' has the shape \(3, 5, 7\), expected 3 at",
        ),
        ({"padding": [Padding("dims", DIM_MASK, {"actions": 0})]}, "got axis 0, which is that of the samples"),
        ({"padding": [Padding("dims", DIM_MASK, {"actions": 3})]}, "at axis 3"),
        ({"padding": [Padding("dims", DIM_MASK, {"dim_mask": 1})]}, "'dim_mask' is torch.bool, expected numbers"),
        ({"batch": toy_batch() | {"drawn 0": torch.zeros(3)}}, "an entry named 'drawn 0'"),
        ({"taps": (Tap("nowhere", "steps", "a", "b"),)}, "got no 'nowhere' in Toy"),
        ({"prediction": "nowhere"}, "got no 'nowhere' in Toy"),
        ({"module": None, "prediction": "decode"}, "module: got None, expected the module that has a 'encode'"),
        (
            {"taps": (Tap("encode", "tokens", "a", "b"),), "padding": toy_padding()[:1]},
            "an axis that `padding` declares",
        ),
        ({"axes": {"steps": 1, "dims": 3}}, "got 'dims' at 3, but a prediction has 3 axes"),
        ({"sample": lambda b: "actions"}, "sample: got a str, expected a float tensor"),
        ({"sample": lambda b: b["dim_mask"]}, "sample: got a tensor of torch.bool"),
    ],
)
def test_a_bad_argument_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        audited(**changes)


def test_a_run_that_answers_something_else_is_named():
    for answer, message in (
        (torch.zeros(3), "run: got a tensor of torch.float32"),
        (Answer(draw(0, 3, STEPS, DIMS), torch.zeros(2)), r"loss: got a tensor of torch.float32, \(2,\)"),
        (Answer(draw(0, 3, STEPS, DIMS), "0.5"), "loss: got a str"),
    ):
        with pytest.raises(ValueError, match=message):
            audit_masks(lambda b, answer=answer: answer, toy_batch(), toy_padding())


def test_a_prediction_module_that_is_not_called_is_named():
    toy = Toy()
    with pytest.raises(ValueError, match="'decode' was called 0 times, expected once a run"):
        audit_masks(lambda b: b["actions"].sum(), toy_batch(), toy_padding(), module=toy, prediction="decode")


@pytest.mark.parametrize("door", ["", "loss"])
def test_a_prediction_module_that_is_called_twice_gives_both_predictions(door):
    toy = Toy(door)
    twice = lambda b: (toy.training_loss(b) + toy.training_loss(b)) / 2  # noqa: E731
    report = audit_masks(twice, toy_batch(), toy_padding(), module=toy, prediction="decode", sample=toy.sample)
    assert names(report) == OPEN.get(door, set())
    assert not report.unseen


def test_masks_that_are_no_bools_are_refused_by_type():
    with pytest.raises(TypeError):
        Padding("dims", DIM_MASK.float(), {"actions": 2})
    with pytest.raises(TypeError):
        Padding(3, DIM_MASK, {"actions": 2})


def test_the_padding_of_a_batch_is_read_from_the_declaration_and_not_from_the_policys_masks():
    """The policy's own masks are upside down; the truth is declared apart, so they cannot vouch for themselves."""
    upside_down = toy_batch() | {"dim_mask": ~DIM_MASK, "step_mask": STEP_MASK, "word_mask": TOKEN_MASK}
    upside_down["dim_mask"][0, 0] = True
    found = {(finding.name, finding.kind) for finding in audited(batch=upside_down, sample=None).findings}
    assert ("loss sum, dims", "leak") in found
    assert any(kind == "lost" for _, kind in found)


class ReadsTwice(Toy):
    """The words are encoded once for the first step, and once more for the others."""

    def predict(self, noisy, b):
        real = b["dim_mask"][:, None] & b["step_mask"][:, :, None]
        tokens = self.encode(noisy * real)
        parts = []
        for asking in (tokens[:, :1], tokens[:, 1:]):
            keys = self.read(b["words"])
            scores = (asking @ keys.transpose(1, 2)).masked_fill(~b["word_mask"][:, None], -torch.inf)
            parts.append(asking + scores.softmax(dim=-1) @ keys)
        return self.decode(torch.cat(parts, dim=1).tanh())


def test_a_tap_that_is_called_twice_is_not_taken_for_one_that_some_steps_do_not_read():
    toy = ReadsTwice()
    report = audit_masks(toy.answer, toy_batch(), toy_padding(), module=toy, taps=TAPS[1:], sample=toy.sample)
    assert report.is_clean, str(report)
    assert "gradient" not in {look.probe for look in report.looks if look.stage == "words are read"}


def test_a_lost_step_is_found_where_noise_is_drawn_inside_and_declared_by_its_name():
    toy = Toy()

    def run(b):
        noise = torch.randn(*b["actions"].shape[:1], 2, *b["actions"].shape[1:], dtype=torch.float64)[:, 0]
        t = b["t"][:, None, None]
        noisy, target = (1 - t) * noise + t * b["actions"], b["actions"] - noise
        tokens = toy.encode(noisy * b["dim_mask"][:, None] * b["step_mask"][..., None])
        itself = torch.eye(tokens.shape[1], dtype=torch.bool)
        hidden = ~(b["step_mask"] & b["step_mask"].roll(-1, 1))[:, None] & ~itself
        read = (tokens @ tokens.transpose(1, 2)).masked_fill(hidden, -torch.inf).softmax(-1) @ tokens
        return Answer(toy.decode((tokens + read).tanh()), lambda said: toy.loss_of(said, target, b))

    dims, steps, _ = toy_padding()
    named = [
        Padding("dims", dims.real, {"actions": 2, "drawn 0": 3}, dims.masks),
        Padding("steps", steps.real, {"actions": 1, "drawn 0": 2}, steps.masks),
    ]
    report = audit_masks(run, toy_batch(), named, excused={"sampler": "not asked"})
    assert ("prediction, steps", "lost") in [(finding.name, finding.kind) for finding in report.findings]
    assert not report.unseen, str(report)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 3},
        {"module": "toy"},
        {"arrange": len},
        {"sample": 3},
        {"sample_along": 3},
        {"intended": ["a name"]},
        {"progress": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_argument_of_another_type_is_refused_and_named(changes):
    with pytest.raises(TypeError, match=next(iter(changes))):
        audited(**changes)


def test_everything_that_the_package_offers_is_there():
    import groot_teach.audit as package

    assert all(hasattr(package, name) for name in package.__all__)
    assert {"Answer", "Look", "MasksLeak", "Padding", "Tap", "audit_masks"} <= set(package.__all__)
