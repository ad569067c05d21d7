"""The probes on a sampler, one by one: samplers of a line, whose answers are plain."""

from dataclasses import replace
from math import inf, nan

import pytest
import torch
from audit_cases import lengths
from probed import DIMS, MASKS, STEPS, WORDS, padding
from torch import nn

from groot_teach.audit import Answer, Padding, audit_masks
from groot_teach.audit.policy import Policy
from groot_teach.audit.sampling import SamplerProbes


def batch():
    """Each real dim holds 2, and each padded one 0."""
    x = 2.0 * DIMS[:, None].expand(2, 3, 4)
    return {"x": x, "words": torch.ones(2, 2), **MASKS}


def masked(b):
    said = (b["words"] * b["word_mask"]).sum(1)[:, None, None] - b["word_mask"].sum(1)[:, None, None]
    return (b["x"] + said) * b["dim_mask"][:, None]


def looks(sample=masked, given=None, moving=("dims", "steps", "tokens"), **more):
    policy = Policy(lambda b: None, given or batch(), more.pop("padding", padding()), sample=sample, **more)
    return [look for step in SamplerProbes(policy, moving).steps() for look in step()]


def by_name(sample, **more):
    return {(look.stage, look.axis, look.probe, look.kind): look for look in looks(sample, **more)}


HELD = ("sampled padding", "dims", "read off", "leak")
LOST = ("sampler", "dims", "perturb", "lost")


def perturbed(axis):
    return ("sampler", axis, "perturb", "leak")


def compacted(axis):
    return ("sampler", axis, "compact", "leak")


def test_a_sampler_that_obeys_its_masks_is_looked_at_from_all_sides_and_nothing_moves():
    still = "what is sampled for real entries moves by 0 %"
    alone = "what a sample is given, once it is alone, moves by 0 %"
    cut = "what a sample is given, once it is alone and its padding is cut off, moves by 0 %"
    assert [(look.stage, look.axis, look.probe, look.size, look.kind, look.why) for look in looks()] == [
        (
            "sampled padding",
            "dims",
            "read off",
            0.0,
            "leak",
            "padded dims of the sampled actions hold 0 times as much as real ones, expected 0",
        ),
        *(
            ("sampler", axis, "perturb", 0.0, "lost", "0 of 16 real entries are sampled as 0, whatever is given")
            for axis in ("dims", "steps")
        ),
        *(("sampler", axis, "perturb", 0.0, "leak", still) for axis in ("dims", "steps", "tokens")),
        ("sampler", "steps", "perturb", 0.0, "lost", "0 of 5 real steps do not move any sampled action"),
        ("sampler", "tokens", "perturb", 0.0, "lost", "0 of 3 real tokens do not move any sampled action"),
        ("sampler", "samples", "compact", 0.0, "leak", alone),
        *(("sampler", axis, "compact", 0.0, "leak", cut) for axis in ("steps", "tokens")),
    ]


def test_no_graph_is_kept_of_anything_that_is_sampled():
    graphs = []

    def sample(b):
        graphs.append(torch.is_grad_enabled())
        return masked(b)

    looks(sample)
    assert len(graphs) == 2 + 3 + 1 + 3 * 2
    assert sum(graphs) == 1  # of the words and the steps together: does each of them move anything?


def test_a_sampler_with_two_answers_to_one_question_is_refused():
    calls = []

    def sample(b):
        calls.append(0)
        return masked(b) * len(calls)

    with pytest.raises(ValueError, match="sample: got two answers to the same batch and the same draws"):
        looks(sample)


def test_what_the_sampler_draws_is_drawn_again():
    found = by_name(lambda b: masked(b) + torch.rand_like(b["x"]) * b["dim_mask"][:, None])
    assert all(look.size == 0 for look in found.values())


@pytest.mark.parametrize("by_shape", [True, False])
def test_a_mask_that_a_sampler_keeps_by_its_shape_moves_what_comes_after_another_batch(by_shape):
    class Keeping(nn.Module):
        kept = None

        def forward(self, b):
            fits = self.kept is not None and self.kept.shape == b["word_mask"].shape
            if not fits or not (by_shape or torch.equal(self.kept, b["word_mask"])):
                self.kept = b["word_mask"]
            return masked(b | {"word_mask": self.kept})

    found = by_name(Keeping(), given=batch() | {"words": torch.tensor([[1.0, 3], [2, 5]])})
    assert [key for key, look in found.items() if look.size] == [("sampler", "samples", "perturb", "leak")] * by_shape


AFTER = "what is sampled, once another batch of the same shape has come before it, moves by 100 %"


class Counting(nn.Module):
    """A second call since it was put back gives `same` times as much for the same batch, and `other` for another."""

    def __init__(self, same, other):
        super().__init__()
        self.same, self.other, self.last = same, other, None

    def forward(self, b):
        factor = 1 if self.last is None else self.same if torch.equal(self.last, b["words"]) else self.other
        self.last = b["words"].clone()
        return masked(b) * factor


def test_how_far_another_batch_moves_what_is_sampled_next_and_what_to_do_about_it():
    given = batch() | {"words": torch.tensor([[1.0, 3], [2, 5]])}
    look = by_name(Counting(1, 2), given=given)["sampler", "samples", "perturb", "leak"]
    assert (look.size, look.why) == (1.0, AFTER)
    assert look.hint.startswith("the policy keeps something of a batch and takes it for the next one")


def test_a_sampler_that_goes_on_from_call_to_call_could_not_be_looked_at():
    given = batch() | {"words": torch.tensor([[1.0, 3], [2, 5]])}
    look = by_name(Counting(2, 4), given=given)["sampler", "samples", "perturb", "leak"]
    assert look.size is None
    assert look.why.startswith(f"{AFTER} but so it does after the batch itself: the policy goes on from call to call.")
    assert look.hint == ""


def test_a_sampler_that_fails_after_another_batch_says_so():
    class Failing(Counting):
        def forward(self, b):
            if self.last is not None and not torch.equal(self.last, b["words"]):
                raise RuntimeError("the same batch, please")
            return super().forward(b)

    given = batch() | {"words": torch.tensor([[1.0, 3], [2, 5]])}
    look = by_name(Failing(1, 1), given=given)["sampler", "samples", "perturb", "leak"]
    assert (look.size, look.why) == (None, "RuntimeError: the same batch, please")


def test_no_graph_is_kept_of_what_is_sampled_after_another_batch():
    graphs = []

    class Noting(Counting):
        def forward(self, b):
            graphs.append(torch.is_grad_enabled())
            return super().forward(b)

    looks(Noting(1, 1))
    assert sum(graphs) == 1


PLANS = lengths(4, 4, 2)


@pytest.mark.parametrize("axes", [{"steps": 1, "dims": 2, "plans": 3}, {"steps": 1, "plans": 3}])
@pytest.mark.parametrize("leaks", [True, False])
def test_an_axis_that_only_the_sampler_has_may_have_any_name(leaks, axes):
    """Four plans for the first robot and two for the second; each is told their mean."""

    def sample(b):
        counted = torch.ones_like(b["plan_mask"]) if leaks else b["plan_mask"]
        mean = (b["plans"] * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True)
        return masked(b)[..., None] + (b["plans"] + mean)[:, None, None]

    given = batch() | {"plans": torch.arange(8.0).reshape(2, 4), "plan_mask": PLANS}
    plans = Padding("plans", PLANS, {"plans": 1}, {"plan_mask": 1})
    report = audit_masks(
        lambda b: Answer(masked(b)), given, [*padding()[1:], plans], sample=sample, axes=axes, excused=NO_LOSS
    )
    assert [finding.full_name for finding in report.findings] == ["sampler, plans, leak"] * leaks
    assert not report.unseen


NO_LOSS = {"loss sum": "there is none", "loss count": "there is none"}


@pytest.mark.parametrize(
    ("adds", "size"),
    [(lambda two: two[:, None, None], 0), (lambda two: two.repeat(2), 0), (lambda two: two[-1], None)],
    ids=["a number of each sample", "two numbers for four dims", "the last sample's, or a number of its own"],
)
def test_an_entry_that_is_as_long_as_the_batch_need_not_be_cut_with_the_samples_of_a_sampler(adds, size):
    given = batch() | {"two": torch.tensor([1.0, 2.0])}
    found = by_name(lambda b: masked(b) + adds(b["two"]), given=given)
    assert found[compacted("samples")].size == size


def test_an_entry_that_may_be_a_number_of_each_sample_is_named():
    given = batch() | {"two": torch.tensor([1.0, 2.0])}
    look = by_name(lambda b: masked(b) + b["two"][-1], given=given)[compacted("samples")]
    assert look.why.startswith("'two' of the batch is as long as the batch has samples. If it holds a number of each,")


PIXELS = lengths(3, 3, 2)[:, :, None] & lengths(4, 4, 3)[:, None]
"""Two images of 3 x 4 pixels, of which the second one has 2 x 3."""


@pytest.mark.parametrize("divides", [True, False])
def test_an_image_that_moves_what_is_sampled_only_by_its_size_is_no_finding(divides):
    """It writes 0 into padded pixels, and divides by the number of the real ones or of all."""

    def sample(b):
        counted = b["pixel_mask"].sum((1, 2)) if divides else b["image"][0].numel()
        return masked(b) + ((b["image"] * b["pixel_mask"]).sum((1, 2)) / counted)[:, None, None]

    image = Padding("rows and columns", PIXELS, {"image": 1}, {"pixel_mask": 1})
    given = batch() | {"image": torch.arange(1.0, 25).reshape(2, 3, 4), "pixel_mask": PIXELS}
    along = ["dims", "steps", "tokens", "rows and columns"]
    found = by_name(sample, given=given, padding=[*padding(), image], sample_along=along)
    assert found[perturbed("rows and columns")].size == 0
    look = found[compacted("rows and columns")]
    assert look.size == (0 if divides else None)
    assert ("the policy may write its own into padded rows and columns and count them" in look.why) is not divides
    assert ("excuse `sampler, rows and columns`" in look.why) is not divides


# ------------------------------------------------------------------------------------------------------- perturb


@pytest.mark.parametrize("axis", ["dims", "steps", "tokens"])
def test_how_far_padding_moves_what_is_sampled_is_counted_in_parts_of_what_it_was(axis):
    name, real = {"dims": ("x", DIMS[:, None]), "steps": ("x", STEPS[..., None]), "tokens": ("words", WORDS)}[axis]
    was = (batch()[name] * ~real)[1]

    def sample(b):
        as_it_was = len(b["x"]) == 1 or torch.equal((b[name] * ~real)[1], was)
        return masked(b) * (1 if as_it_was else 2)

    found = by_name(sample)
    look = found[perturbed(axis)]
    assert (look.size, look.why) == (1.0, "what is sampled for real entries moves by 100 %")
    others = {"dims", "steps", "tokens"} - {axis}
    if axis == "tokens":
        assert all(found[perturbed(other)].size == 0 for other in others)


def test_an_axis_along_which_samples_are_not_padded_is_not_looked_at():
    found = by_name(masked, sample_along=["dims", "tokens"])
    unheard = ("sampler", "tokens", "perturb", "lost")
    expected = {HELD, LOST, unheard, *map(perturbed, ("dims", "tokens")), *map(compacted, ("samples", "tokens"))}
    assert set(found) == expected
    # All 3 steps of the second robot count now: 12 + 6.
    assert found[LOST].why == "0 of 18 real entries are sampled as 0, whatever is given"


def test_a_sampler_that_fails_when_padding_changes_says_so():
    was = batch()["words"]

    def sample(b):
        if len(b["words"]) == 2 and not torch.equal(b["words"], was):
            raise RuntimeError("other words")
        return masked(b)

    found = by_name(sample)
    for look in (found[perturbed("tokens")], found[LOST]):
        assert (look.size, look.why) == (None, "RuntimeError: other words")
    assert found[perturbed("steps")].size == 0


# ---------------------------------------------------------------------------------------------------------- lost


def unheard(how, heard, moving=("dims", "steps", "tokens")):
    """What is said of the words, if a sampler hears those in the mask `heard`, with or without gradients."""
    sample = lambda b: masked(b | {"word_mask": heard[: len(b["words"])]})  # noqa: E731
    found = [look for look in looks(how(sample), moving=moving) if look.kind == "lost" and look.axis == "tokens"]
    return [(look.size, look.why) for look in found]


@pytest.mark.parametrize("how", [torch.no_grad(), torch.enable_grad()], ids=["without gradients", "with gradients"])
def test_words_that_the_sampler_does_not_hear_are_named(how):
    last_hidden = torch.tensor([[True, False], [True, False]])
    why = "1 of 3 real tokens do not move any sampled action, such as sample 0, token 1"
    assert unheard(how, last_hidden) == [(pytest.approx(1 / 3), why)]
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    why = "3 of 3 real tokens do not move any sampled action, such as sample 0, token 0"
    assert unheard(how, nothing) == [(1.0, why)]
    assert unheard(how, nothing, moving=("dims", "steps")) == []  # training does not hear them either


@torch.no_grad()
def refuses_other_words(b):
    was = (batch()["words"] * WORDS)[-len(b["words"]) :]
    if b["words"].shape == was.shape and not torch.equal(b["words"] * b["word_mask"], was):
        raise RuntimeError("no other words, please")
    return masked(b | {"words": torch.ones_like(b["words"])})


def test_words_of_which_none_can_be_another_say_so():
    found = by_name(refuses_other_words)
    look = found["sampler", "tokens", "perturb", "lost"]
    assert (look.size, look.why) == (None, "RuntimeError: no other words, please")
    assert found[perturbed("tokens")].size == 0


def test_a_step_is_lost_if_it_moves_something_in_another_sample():
    """The first and the last step of both samples are moved; the first of the second one is replaced by 2."""

    def sample(b):
        hidden = torch.zeros_like(b["x"], dtype=torch.bool)
        hidden[-1, 0] = len(b["x"]) == 2
        return masked(b | {"x": torch.where(hidden, 2.0, b["x"])})

    steps = next(look for look in looks(torch.no_grad()(sample)) if "real steps" in look.why)
    assert steps.size == 1 / 4
    assert steps.why == "1 of 4 real steps do not move any sampled action, such as sample 1, step 0"


# ------------------------------------------------------------------------------------------------------- compact


def test_what_samples_get_from_each_other_is_not_counted_again_where_padding_is_cut():
    """Twice as much in a batch of two: alone each sample has half of it, with its padding or without."""
    found = by_name(lambda b: masked(b) * len(b["x"]))
    look = found[compacted("samples")]
    assert (look.size, look.why) == (0.5, "what a sample is given, once it is alone, moves by 50 %")
    assert found[compacted("steps")].size == found[compacted("tokens")].size == 0


def test_the_sample_that_moves_furthest_without_its_padding_is_the_one_that_counts():
    """The first robot has all of its 3 steps; of the second one 2 of 3 are left."""
    found = by_name(lambda b: masked(b) * b["x"].shape[1])
    assert found[compacted("steps")].size == pytest.approx(1 / 3)
    assert found[compacted("samples")].size == 0
    assert found[compacted("tokens")].size == 0


def test_a_sampler_that_cannot_run_without_padding_says_so():
    def sample(b):
        if b["words"].shape[1] < 2:
            raise RuntimeError("two words, please")
        return masked(b)

    found = by_name(sample)
    look = found[compacted("tokens")]
    assert (look.size, look.why) == (None, "RuntimeError: two words, please")
    assert found[compacted("steps")].size == 0


def test_a_sampler_that_gives_more_steps_and_dims_than_are_asked_for_is_cut():
    """A state in front of the steps, and dims that nobody has behind the dims."""
    longer = [replace(kind, predicted=how) for kind, how in zip(padding(), ("first", "last", None), strict=True)]
    sample = lambda b: torch.nn.functional.pad(masked(b), (0, 3, 1, 0), value=9.0)  # noqa: E731
    assert all(look.size == 0 for look in looks(sample, padding=longer))
    with pytest.raises(ValueError, match="sample: got actions with 4 steps, expected 3, as many as the batch has"):
        looks(sample)


# ------------------------------------------------------------------------------------- what padded dims hold


def test_what_padded_dims_hold_is_counted_in_parts_of_what_real_ones_hold():
    found = by_name(lambda b: torch.where(b["dim_mask"][:, None], b["x"], 0.5))
    assert found[HELD].size == 0.25
    assert "hold 0.25 times as much" in found[HELD].why
    mixed = torch.where(DIMS[:, None], torch.tensor([3.0, 4.0, 3.0, 4.0]), torch.tensor([0.0, 0.0, 5.0, 0.0]))
    found = by_name(lambda b: mixed.expand(2, 3, 4)[: len(b["x"])])
    # Real ones: eight threes and eight fours, a mean square of 12.5; padded ones: 25 and 0.
    assert found[HELD].size == pytest.approx(1.0)


def test_padded_dims_of_half_precision_are_measured_in_double():
    """The squares of 300 and of 600 end beyond 65504."""
    given = batch() | {"x": (150 * batch()["x"]).half()}
    found = by_name(lambda b: torch.where(b["dim_mask"][:, None], b["x"], 600).half(), given=given)
    assert found[HELD].size == 2.0


def test_padded_dims_that_are_nan_hold_infinitely_much():
    assert by_name(lambda b: torch.where(b["dim_mask"][:, None], b["x"], nan))[HELD].size == inf


def test_where_no_dims_are_padded_none_are_read_off():
    without = by_name(masked, padding=padding()[1:])
    assert HELD not in without
    assert LOST not in without
    assert HELD not in by_name(masked, axes={"steps": 1})
    same_dims = batch() | {"dim_mask": lengths(4, 2, 2), "x": 2.0 * lengths(4, 2, 2)[:, None].expand(2, 3, 4)}
    narrow = [Padding("dims", same_dims["dim_mask"], {"x": 2}, {"dim_mask": 1}), *padding()[1:]]
    found = by_name(lambda b: b["x"][..., :2], given=same_dims, padding=narrow)
    assert HELD not in found  # of the four dims only the two real ones are sampled
    assert found[LOST].size == 0


# ------------------------------------------------------------------------------------------- what is held at zero


def test_real_dims_that_are_0_whatever_is_given_are_lost():
    """The first dim of both robots: 3 + 2 of 16 entries."""
    found = by_name(lambda b: masked(b) * (torch.arange(4) > 0))
    assert found[LOST].size == 5 / 16
    assert found[LOST].why == "5 of 16 real entries are sampled as 0, whatever is given"


def test_dims_that_are_0_in_some_steps_or_in_some_samples_are_told_apart():
    some_steps = by_name(lambda b: masked(b) * (torch.arange(b["x"].shape[1]) > 0)[:, None])
    assert some_steps[LOST].size == 0
    one_robot = by_name(lambda b: masked(b) * ((b["dim_mask"].sum(1) > 2)[:, None, None] | (torch.arange(4) > 0)))
    assert one_robot[LOST].size == 2 / 16


def test_dims_that_are_0_now_and_move_or_that_stay_at_another_number_are_not_lost():
    first = torch.arange(4) == 0
    now_0 = by_name(lambda b: torch.where(first, b["x"] - 2, masked(b)))
    assert now_0[LOST].size == 0
    at_7 = by_name(lambda b: torch.where(first, 7.0, masked(b)))
    assert at_7[LOST].size == 0


def test_a_sampler_that_nothing_moves_cannot_be_asked_what_it_loses():
    assert LOST not in by_name(lambda b: 0 * masked(b) + 1)


def test_steps_are_needed_to_see_what_is_held_at_zero():
    assert LOST not in by_name(masked, axes={"dims": 2})
    one_step = [Padding("dims", DIMS, {"x": 1}, {"dim_mask": 1})]
    given = {"x": 2.0 * DIMS, "dim_mask": DIMS}
    policy = {"given": given, "padding": one_step, "axes": {"dims": 1, "steps": 2}}
    found = by_name(lambda b: b["x"] * b["dim_mask"], **policy)
    assert set(found) == {HELD, perturbed("dims"), compacted("samples")}


def of_words(b, places):
    """A sampler in which the words at these places move every action, before anything is rounded."""
    return masked(b | {"word_mask": b["word_mask"] & (torch.arange(b["words"].shape[1]) < places)})


@pytest.mark.parametrize("places", [1, 2])
def test_a_sampler_that_rounds_need_not_move_and_one_that_does_not_round_has_to(places):
    rounded = lambda b: torch.where(of_words(b, places) > 100, 1.0, -1.0) * b["dim_mask"][:, None]  # noqa: E731
    look = by_name(rounded)["sampler", "tokens", "perturb", "lost"]
    assert look.size is None
    assert look.why.startswith("3 of 3 real tokens do not move any sampled action; but actions are the same few")
    look = by_name(lambda b: of_words(b, places))["sampler", "tokens", "perturb", "lost"]
    assert look.size == {1: pytest.approx(1 / 3), 2: 0}[places]


def test_where_one_dim_is_not_rounded_a_word_that_moves_nothing_is_lost():
    def sample(b):
        x = of_words(b, 1)
        return torch.cat([x[..., :1], torch.where(x[..., 1:] > 100, 1.0, -1.0)], dim=-1)

    lost = by_name(sample)["sampler", "tokens", "perturb", "lost"]
    assert (lost.size, lost.why[:11]) == (pytest.approx(1 / 3), "1 of 3 real")


def test_where_one_sample_is_rounded_a_word_that_moves_nothing_in_another_one_is_lost():
    """The second robot has two dims, and is given one of two numbers."""

    def sample(b):
        said = of_words(b, 1)
        return torch.where(b["dim_mask"].sum(1)[:, None, None] == 2, torch.where(said > 2, 1.0, -1.0), said)

    lost = by_name(sample)["sampler", "tokens", "perturb", "lost"]
    assert (lost.size, lost.why[:11]) == (pytest.approx(1 / 3), "1 of 3 real")


def test_a_dim_that_is_clipped_at_0_is_moved_further_before_it_is_called_lost():
    """Only if everything is moved by ten times as much is a dim above 12."""
    clipped = by_name(lambda b: torch.where(torch.arange(4) > 0, masked(b), (b["x"] - 12).clamp(0)))
    assert clipped[LOST].size == 0
    hidden = by_name(lambda b: torch.where(torch.arange(4) > 0, masked(b), 0 * (b["x"] - 12).clamp(0)))
    assert hidden[LOST].size == 5 / 16


def test_a_dim_of_rounded_actions_that_stays_at_0_may_be_one_of_their_values():
    def sample(b):
        steps = torch.where(b["x"] + b["words"].sum(1)[:, None, None] > 4, 1.0, -1.0)
        return torch.where(torch.arange(4) > 0, steps, 0.0) * b["dim_mask"][:, None]

    look = by_name(sample)[LOST]
    assert look.size is None
    assert look.why.startswith("5 of 16 real entries are sampled as 0, whatever is given; but actions are the same few")


def test_a_word_is_lost_if_a_sampler_cannot_be_run_with_everything_else():
    """Whether its actions are rounded cannot be seen then."""
    was = batch()["x"]

    def sample(b):
        if len(b["x"]) == 2 and not torch.equal(b["x"] * b["dim_mask"][:, None], was) and (b["words"] != 1).any():
            raise RuntimeError("not everything at once, please")
        return of_words(b, 1)

    found = by_name(sample)
    assert found["sampler", "tokens", "perturb", "lost"].size == pytest.approx(1 / 3)
    assert (found[LOST].size, found[LOST].why) == (None, "RuntimeError: not everything at once, please")


def test_a_dim_is_lost_though_a_sampler_cannot_be_run_with_ten_times_as_much():
    def sample(b):
        if (b["x"].abs() > 12).any():
            raise RuntimeError("smaller numbers, please")
        return masked(b) * (torch.arange(4) > 0)

    assert by_name(sample)[LOST].size == 5 / 16


# ---------------------------------------------------------------------------------------------------- not a number


def test_actions_that_are_nan_are_found_and_nothing_else_is_asked():
    (look,) = looks(lambda b: masked(b) * nan)
    assert (look.stage, look.axis, look.probe, look.size, look.kind, look.why) == (
        "sampler",
        "dims and steps",
        "read off",
        inf,
        "not finite",
        "sampled actions are not finite",
    )
    (look,) = looks(lambda b: b["words"] * nan, padding=padding()[2:], axes={})
    assert look.axis == "tokens"
    (look,) = looks(lambda b: b["words"] * nan, padding=padding()[2:], axes={"tokens": 1})
    assert look.axis == "tokens"


def test_nan_in_padding_alone_is_no_reason_not_to_look():
    nowhere_real = ~(DIMS[:, None] & STEPS[..., None])
    found = by_name(lambda b: torch.where(nowhere_real, nan, masked(b)) if len(b["x"]) == 2 else masked(b))
    assert found[perturbed("tokens")].size == 0


# -------------------------------------------------------------------------------------------------- the second run


def test_a_sampler_that_rounds_otherwise_or_fails_where_a_graph_is_kept_is_asked_without_one():
    def rounded(b):
        return masked(b) + (1e-7 if torch.is_grad_enabled() else 0)

    def refused(b):
        if torch.is_grad_enabled():
            raise RuntimeError("no graph, please")
        return masked(b)

    for sample in (rounded, refused):
        assert [(look.stage, look.axis, look.size) for look in looks(sample)] == [
            (look.stage, look.axis, look.size) for look in looks()
        ]


# ------------------------------------------------------------------------------------------- a value that is the mask


def of_ids(added, ids=((1, 3), (2, 0)), real=WORDS):
    """What is said of words that are ids, if a sampler adds them all up, and what stands for padding is 0."""

    def sample(b):
        return (b["x"] + b["words"].double().sum(1)[:, None, None] + added(b)) * b["dim_mask"][:, None]

    kinds = [*padding()[:2], Padding("tokens", real, {"words": 1})]
    return by_name(sample, given=batch() | {"words": torch.tensor(ids)}, padding=kinds)


def test_a_sampler_may_know_padding_by_its_value_and_cutting_it_off_decides():
    look = of_ids(lambda b: 0)[perturbed("tokens")]
    assert (look.size, look.where) == (0, "")
    assert look.why.endswith("may take the value for its mask; without the padding nothing changes")
    look = of_ids(lambda b: b["words"].shape[1])[perturbed("tokens")]
    assert look.size > 0
    assert look.why.startswith("what is sampled for real entries moves by")

    def added(b):
        if b["words"].shape[1] < 2:
            raise RuntimeError("two words, please")
        return 0

    look = of_ids(added)[perturbed("tokens")]
    assert (look.size, look.where) == (None, "")
    assert look.why.endswith("so the policy may take the value for its mask")


def test_padding_between_real_tokens_goes_too_before_its_value_is_taken_for_a_mask():
    ids, real = [[1, 0, 3], [2, 4, 5]], torch.tensor([[True, False, True], [True, True, True]])
    assert of_ids(lambda b: 0, ids, real)[perturbed("tokens")].size == 0
    look = of_ids(lambda b: b["words"].shape[1], ids, real)[perturbed("tokens")]
    assert look.size is None
    assert "some of it lies between real places" in look.why


# ------------------------------------------------------------------------------------------------------ which samples


def test_the_samples_are_named_in_which_padding_moves_what_is_sampled():
    look = by_name(lambda b: masked(b | {"word_mask": torch.ones_like(b["word_mask"])}))[perturbed("tokens")]
    assert look.size > 0
    assert look.where == "in sample 1"


def test_a_batch_of_one_sample_is_not_asked_what_a_sample_gets_from_others():
    alone = [replace(kind, real=kind.real[1:]) for kind in padding()]
    found = by_name(masked, given={name: value[1:] for name, value in batch().items()}, padding=alone)
    assert compacted("samples") not in found
    assert compacted("steps") in found


def test_words_that_move_nothing_but_padded_dims_are_lost():
    def sample(b):
        return torch.where(b["dim_mask"][:, None], b["x"], (b["words"] * b["word_mask"]).sum(1)[:, None, None])

    lost = by_name(sample)["sampler", "tokens", "perturb", "lost"]
    assert lost.size == 1
    assert lost.why.startswith("3 of 3 real tokens do not move any sampled action")
