"""What the auditor says where something is in its way: the reason, and what to do about it."""

import pytest
import torch
from audit_cases import DIM_MASK, STEP_MASK, TAPS, TOKEN_MASK, Toy, toy_batch, toy_padding
from torch import nn

from benchmarks.audit import KINDS, with_kinds
from groot_teach.audit import Answer, Padding, audit_masks
from groot_teach.audit.measure import in_samples, moved_in

UNSAMPLED = {"sampler": "not asked here"}


def audited(run, batch=None, padding=None, **more):
    return audit_masks(run, batch or toy_batch(), padding or toy_padding(), excused=UNSAMPLED, **more)


# ------------------------------------------------------------------------------------------------- a detached loss


def as_a_function(toy, b, detach):
    answer = toy.answer(b)
    return Answer(answer.prediction, lambda said: detach(answer.loss(said)))


def as_a_number(toy, b, detach):
    answer = toy.answer(b)
    return Answer(answer.prediction, detach(answer.loss(answer.prediction)))


def of_a_module(toy, b, detach):
    return detach(toy.training_loss(b))


@pytest.mark.parametrize("give", [as_a_function, as_a_number, of_a_module])
@pytest.mark.parametrize("detach", [torch.Tensor.detach, lambda loss: torch.tensor(loss.item(), dtype=loss.dtype)])
def test_a_detached_loss_is_no_finding_and_the_report_says_that_it_is_detached(give, detach):
    toy = Toy()
    more = {"module": toy, "prediction": "decode"} if give is of_a_module else {}
    report = audited(lambda b: give(toy, b, detach), **more)
    assert report.findings == ()
    assert not report.is_clean
    (gradient,) = [look.why for look in report.unseen if look.probe == "gradient"]
    assert gradient.startswith("the loss is detached from the prediction")
    assert "`torch.no_grad()`" in gradient


def test_a_loss_that_does_not_depend_on_the_prediction_is_lost_and_not_detached():
    toy = Toy()
    report = audited(lambda b: Answer(toy.answer(b).prediction, lambda said: torch.ones((), dtype=torch.float64)))
    assert [(one.full_name, one.size) for one in report.findings] == [("loss sum, dims and steps, lost", 1.0)]


# --------------------------------------------------------------------------------------------------- upside down


def declared(**other):
    """The padding of the toy batch, with another `real` for some axes."""
    return [Padding(kind.axis, other.get(kind.axis, kind.real), kind.values, kind.masks) for kind in toy_padding()]


@pytest.mark.parametrize(
    ("other", "axis"),
    [({"steps": ~STEP_MASK}, "steps"), ({"dims": ~DIM_MASK, "steps": ~STEP_MASK}, "dims and steps")],
)
def test_a_real_that_is_upside_down_is_named_where_all_that_is_real_is_lost_and_all_padding_is_fitted(other, axis):
    report = audited(Toy().answer, padding=declared(**other))
    (lost,) = [one for one in report.findings if one.full_name == "loss sum, dims and steps, lost"]
    assert lost.size == 1
    assert f"and all that are padded along {axis} do: is a mask of {axis} upside down" in lost.why
    assert "or the `real` that you declared? True has to mean real" in lost.why


def test_tokens_declared_upside_down_are_named_too():
    report = audited(Toy().answer, padding=declared(tokens=~TOKEN_MASK))
    (lost,) = [one for one in report.findings if one.full_name == "prediction, tokens, lost" and one.size == 1]
    assert "and padding does: is a mask of tokens upside down, or the `real` that you declared?" in str(lost)


def test_a_loss_that_leaves_out_everything_and_fits_no_padding_is_not_called_upside_down():
    toy = Toy()

    def run(b):
        answer = toy.answer(b)
        return Answer(answer.prediction, lambda said: answer.loss(said) * 0)

    (lost,) = audited(run).findings
    assert lost.size == 1
    assert "upside down" not in lost.why


def test_where_every_sample_that_broke_lacks_padding_along_two_axes_neither_is_blamed():
    """The first robot has neither padded words nor padded steps, and its mask of words hides all of them."""
    steps = STEP_MASK.flip(0)  # 4, 5 and 2 steps: of three, so that the second one lacks none
    steps[0] = True
    steps[1, -1] = False
    toy, batch = Toy(), toy_batch() | {"word_mask": ~TOKEN_MASK, "step_mask": steps}
    finding = audited(toy.answer, batch, declared(steps=steps)).findings[0]
    assert finding.name == "prediction, dims and steps"
    assert "all in samples without padded steps or tokens: is a mask upside down?" in finding.why


def test_a_mask_that_is_upside_down_shows_what_leaks_and_what_is_lost_in_one_cell():
    def run(b):
        return Toy().answer(b | {"dim_mask": ~b["dim_mask"]})

    report = audited(run)
    assert report.cell("loss sum", "dims").split(", lost ")[1] == "100 %"
    assert report.cell("loss sum", "dims")[0].isdigit()
    for axis in ("dims", "steps"):  # everything is lost: no axis is blamed for it alone
        assert report.cell("loss sum", axis).endswith("lost 100 %")


# ------------------------------------------------------------------------------------------------ what was forgotten


def test_noise_that_no_padding_names_is_named_where_a_run_without_padding_fails():
    padding = [Padding(kind.axis, kind.real, {"actions": kind.values["actions"]}) for kind in toy_padding()[:2]]
    report = audited(Toy().answer, padding=padding)
    (unseen,) = [look for look in report.unseen if look.axis == "steps"]
    assert unseen.why.startswith("RuntimeError: The size of tensor a")
    assert "as many as steps: 'noise', 'step_mask'. If they hold padding, declare them in `values`" in unseen.why
    assert "'t'" not in unseen.why


def test_a_policy_that_writes_into_a_parameter_is_told_to_write_into_a_copy():
    def run(b):
        weight = nn.Parameter(torch.ones(7, dtype=torch.float64))
        weight *= 2
        return Toy().answer(b)

    whys = {look.why for look in audited(run).unseen}
    assert len(whys) == 1
    assert "a leaf Variable that requires grad" in (why := whys.pop())
    assert why.endswith("let it write into a copy, `x = x.clone()`")


def test_draws_that_cannot_be_repeated_say_how_they_are_declared():
    def run(b):
        flat = torch.randn(len(b["actions"]), b["actions"].shape[1] * 7, dtype=torch.float64)
        return Toy().answer(b | {"noise": flat.view(b["actions"].shape)})

    (unseen,) = audited(run).unseen
    assert "OtherDraws: draw 0 (aten.randn.default) has the shape (1, 14), expected (1, 35). Draws" in unseen.why
    assert "`values={..., 'drawn 0': 1}`" in unseen.why


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("words", "got no tensor 'words' in the batch, expected one of .*is named by its path, such as 'seen.words'"),
        ("seen", "got no tensor 'seen' in the batch, .*is named by its path, such as 'seen.words'"),
        ("listed", "'listed' is a list: name its parts, such as 'listed.0'"),
        ("number", "'number' is a float: hand over a tensor"),
        ("absent", r"got no tensor 'absent' in the batch, expected one of \['actions', .*\]$"),
    ],
)
def test_an_entry_that_is_no_tensor_says_how_to_name_what_is_meant(entry, message):
    batch = toy_batch()
    batch["seen"] = {"words": batch.pop("words")}
    batch |= {"listed": [torch.zeros(3, 3)], "number": 0.5}
    with pytest.raises(ValueError, match=message):
        audited(Toy().answer, batch, [Padding("tokens", TOKEN_MASK, {entry: 1})])


# ------------------------------------------------------------------------------------------------------ how many runs


def counted(**more):
    toy, asked = Toy(), []

    def run(b):
        asked.append("run")
        return toy.training_loss(b)

    def sample(b):
        asked.append("sample")
        return toy.sample(b)

    report = audit_masks(run, toy_batch(), toy_padding(), module=toy, prediction="decode", sample=sample, **more)
    return report, asked


def test_a_report_says_how_many_times_the_policy_and_its_sampler_were_run():
    report, asked = counted()
    assert report.is_clean
    assert report.runs == len(asked)
    assert asked.count("sample") > 2


def test_each_further_kind_of_padding_takes_the_same_number_of_runs():
    one, two, four, eight = (with_kinds(count)() for count in KINDS)
    assert eight.is_clean
    assert eight.runs - four.runs == 2 * (four.runs - two.runs) == 4 * (two.runs - one.runs) > 0


def test_an_audit_that_is_cut_short_runs_no_more_often_and_is_never_clean():
    everything, asked = counted()
    for most in (everything.runs - 1, 30, 9):
        report, asked = counted(most_runs=most)
        assert len(asked) == report.runs == most
        assert report.findings == ()
        assert not report.is_clean
        assert all(f"the policy was run {most} times, which `most_runs` allows" in look.why for look in report.unseen)
    assert counted(most_runs=everything.runs)[0].is_clean


def test_what_was_found_before_the_end_is_reported():
    report = audit_masks(Toy("loss").answer, toy_batch(), toy_padding(), excused=UNSAMPLED, most_runs=9)
    assert "loss sum, dims" in {one.name for one in report.findings}
    assert report.unseen


def test_fewer_runs_than_an_audit_begins_with_are_refused():
    with pytest.raises(ValueError, match="most_runs: got 3, expected more, since an audit begins with more runs"):
        counted(most_runs=3)


# ------------------------------------------------------------------------------------------------------ which samples


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], ""),
        ([1], "in sample 1"),
        ([0, 2], "in samples 0 and 2"),
        ([0, 2, 3], "in samples 0, 2 and 3"),
        ([0, 1, 2, 3, 5], "in 5 of 6 samples, such as 0"),
        ([0, 1, 2, 3, 4, 5], ""),
    ],
)
def test_samples_are_named_unless_all_are_meant(samples, said):
    assert in_samples(samples, 6) == said


def test_only_samples_whose_real_entries_moved_are_named():
    before = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    after = before + torch.tensor([[0.5, 0.0], [0.0, 0.5], [1e-9, 0.0]])
    everything = torch.ones_like(before, dtype=torch.bool)
    assert moved_in(before, after, everything) == "in samples 0 and 1"
    everything[1, 1] = False
    assert moved_in(before, after, everything) == "in sample 0"
    after[2, 0] = torch.nan
    assert moved_in(before, after, everything) == "in samples 0 and 2"


# -------------------------------------------------------------------------------------------- a declaration that lacks

REAL = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]]).bool()
PROMPT = torch.tensor([[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]).bool()
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
FIRST = torch.nn.functional.pad(DOCUMENTS.diff(dim=1) != 0, (1, 0), value=True)
NONE = torch.zeros_like(REAL)
TARGETS, PACKED = "if these tokens are given to be read", "if these rows pack several documents"
BEGINNINGS = "if the first of a document's tokens is not learnt"


def of_words(readable, unlearnt, *, ahead=False, **declared):
    """What is said about a policy of words, and what to look at next.

    `readable` takes the batch and says which word may read which; `unlearnt` are words that the loss leaves out;
    `ahead` = each word predicts the next one, and the last one nothing.
    """

    def run(b):
        scores = (b["x"] @ b["x"].mT).masked_fill(~(readable(b) & b["real"][:, None]), -1e9)
        said, learnt, target = scores.softmax(dim=-1) @ b["x"] + b["x"], b["real"] & ~b["unlearnt"], b["x"]
        if ahead:
            said, learnt, target = said[:, :-1], learnt[:, 1:], target[:, 1:]
        return Answer(said, lambda other: (other - target).square()[learnt].sum() / max(4 * int(learnt.sum()), 1))

    batch = {"real": REAL, "unlearnt": unlearnt, "prompt": PROMPT, "documents": DOCUMENTS}
    masks = dict.fromkeys(batch, 1)
    batch["x"] = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shifted = {"predicted": lambda real: real[:, 1:]} if ahead else {}
    words = Padding("tokens", REAL, {"x": 1}, masks, **shifted, **declared)
    return {one.full_name: one.next for one in audited(run, batch, [words], axes={"tokens": 1}).findings}


def causal(b):
    return torch.ones(b["x"].shape[1], b["x"].shape[1]).tril().bool()[None]


def own_document(b):
    return b["documents"][:, :, None] == b["documents"][:, None]


def prompt_both_ways(b):
    return causal(b) | (b["prompt"][:, :, None] & b["prompt"][:, None])


def none_read_the_second_word_of_a_prompt_of_two(b):
    hidden = b["prompt"] & (b["prompt"].sum(dim=1, keepdim=True) == 2) & (torch.arange(b["x"].shape[1]) == 1)
    return ~hidden[:, None] | torch.eye(b["x"].shape[1]).bool()


@pytest.mark.parametrize(
    ("readable", "unlearnt", "forgotten", "place", "first"),
    [
        (causal, PROMPT, {"targets": ~PROMPT}, "loss sum, tokens, lost", TARGETS),
        (prompt_both_ways, PROMPT, {"targets": ~PROMPT}, "prediction, tokens, lost", TARGETS),
        (own_document, NONE, {"documents": DOCUMENTS}, "prediction, tokens, lost", PACKED),
    ],
)
def test_a_declaration_that_a_right_policy_lacks_is_the_first_thing_to_look_at(
    readable, unlearnt, forgotten, place, first
):
    assert of_words(readable, unlearnt, **forgotten) == {}
    advice = of_words(readable, unlearnt)[place]
    assert advice.startswith(first)
    assert "; otherwise print the mask" in advice


def test_the_first_words_of_documents_are_suspected_if_they_alone_depend_on_the_document_in_front():
    def readable(b):
        return causal(b) & own_document(b)

    assert of_words(readable, FIRST, ahead=True, targets=~FIRST, documents=DOCUMENTS) == {}
    said = of_words(readable, FIRST, ahead=True, documents=DOCUMENTS)
    assert said["prediction, neighbours, leak"].startswith(BEGINNINGS)
    assert said["loss sum, tokens, lost"].startswith(TARGETS)
    for declared in ({}, {"targets": ~FIRST}):
        said = of_words(causal, FIRST, ahead=True, documents=DOCUMENTS, **declared)
        assert said["prediction, neighbours, leak"].startswith("let a place read its own document alone")


def test_no_declaration_is_suspected_where_it_would_not_make_the_policy_right():
    said = of_words(none_read_the_second_word_of_a_prompt_of_two, NONE)
    assert said["prediction, tokens, lost"].startswith("print the mask")  # words before it and behind it miss it
    said = of_words(causal, REAL)
    assert said["loss sum, tokens, lost"].startswith("print the mask")  # nothing at all is learnt
    said = of_words(causal, PROMPT | PROMPT.roll(1, 1), targets=~PROMPT)
    assert said["loss sum, tokens, lost"].startswith("print the mask")  # it is declared, and more is left out
    said = of_words(own_document, NONE, documents=DOCUMENTS.clamp(max=0))  # declared, and read otherwise
    assert said["prediction, tokens, lost"].startswith("print the mask")


def test_dims_and_single_entries_that_the_loss_leaves_out_are_no_forgotten_targets():
    toy = Toy()

    def without(dim, step):
        left_out = (torch.arange(7) == dim) & (torch.arange(5) <= step)[:, None]

        def run(b):
            answer = toy.answer(b)
            return Answer(answer.prediction, lambda said: answer.loss(said.where(~left_out[: said.shape[1]], 0.0)))

        return [(one.name, one.next) for one in audited(run).findings if one.kind == "lost"]

    for step, name in ((4, "loss sum, dims"), (0, "loss sum, dims and steps")):
        ((where, advice),) = without(0, step)
        assert where == name
        assert advice.startswith("print the mask")


# ----------------------------------------------------------------------------------------- dropout and batch statistics


class Dropping(Toy):
    """It drops half of what it has predicted, in front of the loss."""

    def loss_of(self, said, target, b):
        return super().loss_of(torch.nn.functional.dropout(said, 0.5), target, b)


def as_one_function(toy):
    return audited(toy.answer)


def at_its_decoder(toy):
    return audited(toy.training_loss, module=toy, prediction="decode")


@pytest.mark.parametrize("ask", [as_one_function, at_its_decoder])
def test_dropout_behind_the_prediction_accuses_nobody_and_hides_no_leak(ask):
    report = ask(Dropping())
    assert report.findings == ()
    (unseen,) = report.unseen
    assert unseen.stage == "loss count"
    assert unseen.why.startswith("dropout stands behind the prediction")
    assert {one.name for one in ask(Dropping("loss")).findings} >= {"loss sum, dims", "loss sum, steps"}


@pytest.mark.parametrize("ask", [as_one_function, at_its_decoder])
def test_a_step_that_the_loss_leaves_out_is_seen_behind_dropout(ask):
    class Forgetful(Dropping):
        def loss_of(self, said, target, b):
            return super().loss_of(said, target, b | {"step_mask": b["step_mask"] & (torch.arange(said.shape[1]) > 0)})

    assert [one.full_name for one in ask(Forgetful()).findings] == ["loss sum, steps, lost"]


@pytest.mark.parametrize("ask", [as_one_function, at_its_decoder])
def test_dropout_in_front_of_the_prediction_keeps_no_probe_of_the_loss_from_looking(ask):
    class Inside(Toy):
        def predict(self, noisy, b):
            return super().predict(torch.nn.functional.dropout(noisy, 0.5), b)

        def loss_of(self, said, target, b):
            return super().loss_of(said, target, b | {"step_mask": b["step_mask"] & (torch.arange(said.shape[1]) > 0)})

    report = ask(Inside())
    assert [one.full_name for one in report.findings if one.stage != "prediction"] == ["loss sum, steps, lost"]
    assert not [look for look in report.unseen if look.stage == "loss count"]


def test_a_policy_with_batch_statistics_is_asked_by_gradients_in_train_mode_too():
    class Normed(Toy):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(7).double()

        def predict(self, noisy, b):
            return super().predict(self.norm(noisy.flatten(0, 1)).view_as(noisy), b)

    toy = Normed().train()
    report = audited(toy.answer)
    assert report.unseen == ()
    (steps,) = [one for one in report.findings if one.name == "prediction, steps"]
    assert steps.probes == ("perturb", "gradient", "compact")
    assert not toy.norm.get_buffer("running_mean").any()


class WritesWhereGradientsLook(Toy):
    def predict(self, noisy, b):
        said = super().predict(noisy, b)
        scale = torch.ones_like(said)
        scaled = said * scale
        scale += 1
        return scaled


def test_where_no_gradient_can_be_taken_it_is_said_once_and_real_places_are_moved():
    toy = WritesWhereGradientsLook()
    report = audited(toy.answer)
    assert report.findings == ()
    assert [(look.stage, look.probe) for look in report.unseen] == [("prediction", "gradient")]
    assert "modified by an inplace operation" in report.unseen[0].why

    def without_its_first_word(b):
        return toy.answer(b | {"word_mask": b["word_mask"] & (torch.arange(b["word_mask"].shape[1]) > 0)})

    assert "prediction, tokens, lost" in {one.full_name for one in audited(without_its_first_word).findings}


def test_behind_a_tap_nobody_looks_without_gradients_and_that_is_said():
    toy = WritesWhereGradientsLook()
    unseen = audited(toy.answer, module=toy, taps=TAPS).unseen
    assert [(look.stage, look.axis) for look in unseen] == [
        ("steps read each other", "steps"),
        ("words are read", "tokens"),
        ("prediction", "dims and steps"),
    ]


# ----------------------------------------------------------------------------------------------- what has another shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.flatten(1), "sample: got actions with 2 axes, expected more, since dims are at axis 2"),
        (
            lambda said: said[:, 1:],
            "sample: got actions with 4 steps, expected 5, .* `sample_along` .* without 'steps'",
        ),
        (lambda said: said.repeat(1, 2, 1), "sample: got actions with 10 steps, expected 5, as many as the batch has"),
        (lambda said: said.mT, "sample: got actions with 5 dims, expected 7, as many as the batch has"),
        (lambda said: said[:1], "sample: got 1 samples, expected 3, as many as it was given"),
    ],
)
def test_a_sampler_whose_actions_have_another_shape_is_named(change, message):
    toy = Toy()
    with pytest.raises(ValueError, match=message):
        audit_masks(toy.answer, toy_batch(), toy_padding(), sample=lambda b: change(toy.sample(b)))


def test_a_prediction_of_another_number_of_samples_is_refused():
    with pytest.raises(ValueError, match="prediction: got 2 samples, expected 3, as many as it was given"):
        audited(lambda b: Answer(Toy().answer(b).prediction[:2]))
