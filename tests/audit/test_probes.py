"""The probes on a prediction and a loss, one by one: policies of a few lines, whose answers are plain."""

from math import inf, nan

import pytest
import torch
from audit_cases import lengths
from torch import nn

from groot_teach.audit import Answer, Padding, Tap
from groot_teach.audit.policy import Policy
from groot_teach.audit.probes import NOTHING_MOVES, Probes

DIMS, STEPS, WORDS = lengths(4, 4, 2), lengths(3, 3, 2), lengths(2, 2, 1)
REAL = DIMS[:, None] & STEPS[..., None]
"""Two robots of 4 and 2 dims, with 3 and 2 recorded steps and with 2 and 1 words: 12 + 4 of 24 entries are real.

Of the padded ones 3 x 2 - 2 = 4 are padded dims alone, 1 x 2 padded steps alone, 1 x 2 both.
"""
MASKS = {"dim_mask": DIMS, "step_mask": STEPS, "word_mask": WORDS}


def batch():
    x = torch.arange(1.0, 25, dtype=torch.float64).reshape(2, 3, 4) * DIMS[:, None]
    return {"x": x, "words": torch.tensor([[1.0, 3], [2, 5]], dtype=torch.float64), **MASKS}


def padding():
    return [
        Padding("dims", DIMS, {"x": 2}, {"dim_mask": 1}),
        Padding("steps", STEPS, {"x": 1}, {"step_mask": 1}),
        Padding("tokens", WORDS, {"words": 1}, {"word_mask": 1}),
    ]


def real_of(b):
    return b["dim_mask"][:, None] & b["step_mask"][..., None]


def predicted(b):
    return 2 * b["x"] * real_of(b) + (b["words"] * b["word_mask"]).sum(1)[:, None, None]


def mean_of(said, b, real=None):
    """The squared error of what is real; everything should be 7."""
    real = real_of(b) if real is None else real
    return ((said - 7).square() * real).sum() / real.sum()


def shut(b):
    return Answer(predicted(b), lambda said: mean_of(said, b))


def looks(run=shut, given=None, unit_loss=1.0, **more):
    policy = Policy(run, given or batch(), more.pop("padding", padding()), **more)
    found = [look for step in Probes(policy, unit_loss).steps() for look in step()]
    return [
        (look.stage, look.axis, look.probe, look.kind, None if look.size is None else round(look.size, 9), said(look))
        for look in found
    ]


def said(look):
    return f"{look.why}; {look.where}" if look.where else look.why


def at(stage, axis=None, probe=None, kind=None, **more):
    """The sizes and reasons of some looks."""
    wanted = {0: stage, 1: axis, 2: probe, 3: kind}
    return [look[4:] for look in more.pop("found") if all(one is None or look[at] == one for at, one in wanted.items())]


ENTRIES = "what is predicted for real entries moves by"
UNLOOKED = ("sampler", "dims and steps", "perturb", "leak", None, "no sampler was handed over")


def test_a_policy_that_obeys_its_masks_is_looked_at_from_all_sides_and_nothing_moves():
    alone = "what is predicted for a sample, once it is alone, moves by 0 %"
    cut = "what is predicted for a sample alone, once its padding is cut off, moves by 0 %"
    gradient = "of all entries on which real predictions depend, padding has 0 % of the gradient"
    assert looks() == [
        *(
            (stage, axis, "perturb", "leak", 0, why)
            for axis in ("dims", "steps", "tokens")
            for stage, why in (
                ("prediction", f"{ENTRIES} 0 %"),
                ("loss sum", "the loss of the same prediction moves by 0 %"),
            )
        ),
        ("prediction", "dims", "gradient", "leak", 0, gradient),
        ("prediction", "dims", "gradient", "lost", 0, "0 of 6 real dims have no effect on any real prediction"),
        ("prediction", "steps", "gradient", "leak", 0, gradient),
        ("prediction", "tokens", "gradient", "leak", 0, gradient),
        (
            "prediction",
            "steps",
            "gradient",
            "lost",
            0,
            "in 0 of 5 pairs a real step does not depend on one of the real steps",
        ),
        (
            "prediction",
            "tokens",
            "gradient",
            "lost",
            0,
            "in 0 of 8 pairs a real step does not depend on one of the real tokens",
        ),
        ("loss sum", "dims", "gradient", "leak", 0, "0 of 4 padded entries are fitted"),
        ("loss sum", "steps", "gradient", "leak", 0, "0 of 2 padded entries are fitted"),
        ("loss sum", "dims and steps", "gradient", "leak", 0, "0 of 2 padded entries are fitted"),
        ("loss sum", "dims and steps", "gradient", "lost", 0, "0 of 16 real entries do not count"),
        *(
            ("loss sum", axis, "unit error", "leak", 0, "padding makes 0 % of the loss")
            for axis in ("dims", "steps", "dims and steps")
        ),
        (
            "loss count",
            "dims and steps",
            "unit error",
            "leak",
            0,
            "an error of 1 in every entry gives a loss of 1, expected 1",
        ),
        ("prediction", "samples", "compact", "leak", 0, alone),
        ("prediction", "steps", "compact", "leak", 0, cut),
        ("loss sum", "steps", "compact", "leak", *own_loss(0)),
        ("prediction", "tokens", "compact", "leak", 0, cut),
        ("loss sum", "tokens", "compact", "leak", *own_loss(0)),
        UNLOOKED,
    ]


def test_the_sampler_is_asked_last():
    found = looks(sample=predicted)
    assert UNLOOKED not in found
    assert [look[0] for look in found].index("sampled padding") == len(looks()) - 1


# ------------------------------------------------------------------------------------------------------- perturb


def was_changed(b, name, real):
    """Whether the padding of the whole batch holds other numbers than at first."""
    return len(b[name]) == 2 and not torch.equal(b[name] * ~real, batch()[name] * ~real)


def test_how_far_padding_moves_a_prediction_and_the_loss_of_the_old_one_is_counted_in_parts_of_them():
    def run(b):
        factor = 2.0 if was_changed(b, "words", WORDS) else 1.0
        return Answer(predicted(b) * factor, lambda said: mean_of(said, b) * (3 if factor == 2 else 1))

    found = looks(run)
    assert at("prediction", "tokens", "perturb", found=found) == [(1, f"{ENTRIES} 100 %")]
    assert at("loss sum", "tokens", "perturb", found=found) == [(2, "the loss of the same prediction moves by 200 %")]
    assert at("prediction", "dims", "perturb", found=found)[0][0] == 0


def test_a_loss_that_is_a_number_cannot_be_asked_of_the_old_prediction_once_that_moves():
    def run(b, factor=2.0, of_loss=1.0):
        other = was_changed(b, "words", WORDS)
        return Answer(predicted(b) * (factor if other else 1), mean_of(predicted(b), b) * (of_loss if other else 1))

    why = "the prediction moves, and the loss is no function of it"
    assert at("loss sum", "tokens", "perturb", found=looks(run)) == [(None, why)]
    still = looks(lambda b: run(b, 1.0, 3.0))
    assert at("loss sum", "tokens", "perturb", found=still) == [(2, "the loss of the same prediction moves by 200 %")]


def test_a_run_that_fails_when_padding_changes_says_so():
    def run(b):
        if was_changed(b, "words", WORDS):
            raise RuntimeError("other words")
        return shut(b)

    found = looks(run)
    assert at("prediction", "tokens", "perturb", found=found) == [(None, "RuntimeError: other words")]
    assert at("loss sum", "tokens", "perturb", found=found) == []


def test_a_run_that_fails_when_what_is_real_changes_has_no_control_and_says_so():
    def run(b):
        if len(b["words"]) == 2 and not torch.equal(b["words"] * WORDS, batch()["words"] * WORDS):
            raise RuntimeError("other real words")
        return shut(b)

    assert at("prediction", "tokens", "perturb", found=looks(run)) == [(None, "RuntimeError: other real words")]


def test_words_that_do_not_move_a_prediction_are_lost_and_dims_that_do_not_are_left_to_the_gradient():
    def deaf(b):
        return Answer(2 * b["x"] * real_of(b), lambda said: mean_of(said, b))

    found = looks(deaf)
    assert at("prediction", "tokens", "perturb", found=found) == [
        (0, f"{ENTRIES} 0 %"),
        (1, "nothing real in 'words' moves what is predicted for a real entry"),
    ]
    assert at("prediction", "tokens", "perturb", "lost", found=found) != []

    def blind(b):
        return Answer((b["words"] * b["word_mask"]).sum(1)[:, None, None].expand(b["x"].shape) * 1.0, shut(b).loss)

    assert at("prediction", "dims", "perturb", "lost", found=looks(blind)) == []


def test_several_entries_of_words_are_named():
    given = batch() | {"more": torch.ones(2, 2)}
    both = [*padding()[:2], Padding("tokens", WORDS, {"words": 1, "more": 1}, {"word_mask": 1})]
    found = looks(lambda b: Answer(2 * b["x"] * real_of(b)), given, padding=both)
    (lost,) = at("prediction", "tokens", "perturb", "lost", found=found)
    assert lost == (1, "nothing real in 'words' and 'more' moves what is predicted for a real entry")


def test_a_prediction_that_nothing_moves_was_not_seen():
    found = looks(lambda b: Answer(torch.ones(b["x"].shape), lambda said: mean_of(said, b)))
    for axis in ("dims", "steps", "tokens"):
        assert at("prediction", axis, "perturb", found=found) == [(None, NOTHING_MOVES)]


def test_padding_that_moves_a_prediction_is_found_though_nothing_real_does():
    def run(b):
        return Answer(torch.ones(b["x"].shape) * (3.0 if was_changed(b, "words", WORDS) else 1.0))

    found = looks(run)
    assert at("prediction", "tokens", "perturb", "leak", found=found) == [(2, f"{ENTRIES} 200 %")]


# ----------------------------------------------------------------------------------------------------- at a tap


class Tapped(nn.Module):
    """`mix` stands between the words and the prediction, which reads of its output what `read` says."""

    def __init__(self, read=WORDS, leak=0.0, fails=False, scale=1.0, x=1.0):
        super().__init__()
        self.mix, self.read, self.leak, self.fails, self.scale, self.x = nn.Identity(), read, leak, fails, scale, x

    def forward(self, b):
        count = b["words"].shape[1]
        read = (self.read if len(b["words"]) == 2 else b["word_mask"]).double()[..., :count]
        mixed = self.mix(b["words"] * b["word_mask"] + self.leak * (b["words"] * ~b["word_mask"]).sum(1, keepdim=True))
        if self.fails and (mixed != mixed.clone().fill_(0)).all() and not torch.equal(mixed * WORDS, mixed):
            raise RuntimeError("other output")
        of_words = self.scale * (mixed * read).sum(1)[:, None, None]
        return Answer(self.x * b["x"] * real_of(b) + of_words, lambda said: mean_of(said, b))


def tapped(module, **more):
    tap = Tap("mix", "tokens", before="mixer", behind="words are read")
    return looks(module, module=module, taps=[tap], **more)


def test_in_front_of_a_tap_it_is_asked_along_each_axis_that_reaches_it_and_behind_it_along_its_own():
    found = tapped(Tapped())
    assert at("mixer", found=found) == [(0, "what leaves mix moves by 0 %")]
    assert at("mixer", "tokens", "perturb", "leak", found=found) != []
    assert at("words are read", "tokens", "perturb", "leak", found=found) == [(0, f"{ENTRIES} 0 %")]


def test_what_reaches_the_real_part_of_an_output_leaks_in_front_of_the_tap():
    found = tapped(Tapped(leak=1.0))
    ((size, why),) = at("mixer", found=found)
    assert size > 0
    assert why.startswith("what leaves mix moves by ")
    assert at("words are read", "tokens", "perturb", found=found) == [(0, f"{ENTRIES} 0 %")]


def test_what_the_padded_part_of_an_output_moves_leaks_behind_the_tap():
    found = tapped(Tapped(read=torch.ones(2, 2)))
    assert at("mixer", found=found) == [(0, "what leaves mix moves by 0 %")]
    ((size, why),) = at("words are read", "tokens", "perturb", "leak", found=found)
    assert size > 0
    assert why.startswith(ENTRIES)


def test_an_output_of_which_nothing_real_is_read_is_lost_or_was_not_seen():
    found = tapped(Tapped(scale=0.0))
    assert at("words are read", "tokens", "perturb", found=found) == [
        (1, "nothing real in the output of mix moves what is predicted for a real entry"),
        (0, f"{ENTRIES} 0 %"),
    ]
    assert at("words are read", "tokens", "perturb", "lost", found=found)[0][0] == 1
    assert at("words are read", found=tapped(Tapped(scale=0.0, x=0.0)))[0] == (None, NOTHING_MOVES)
    assert len(at("words are read", "tokens", "perturb", found=tapped(Tapped(scale=0.0, x=0.0)))) == 1


def test_a_run_that_fails_when_an_output_is_written_says_so():
    found = tapped(Tapped(fails=True))
    assert at("words are read", "tokens", "perturb", found=found) == [(None, "RuntimeError: other output")]


# ------------------------------------------------------------------------------------------------------ gradient


def test_the_part_of_the_gradient_that_padding_has_is_counted():
    """A single dim is predicted, of one step alone, from two dims: three quarters from a padded one."""

    def run(b):
        moved = b["x"] @ torch.tensor([[1.0], [0], [3], [0]], dtype=torch.float64)
        return Answer((moved * real_of(b)[..., :1])[..., 0])

    given, only = batch(), torch.tensor([[True, True, False, False]] * 2)
    found = looks(run, given, padding=[Padding("dims", only, {"x": 2}), padding()[1]], axes={"steps": 1})
    leak, lost = (at("prediction", "dims", "gradient", kind, found=found) for kind in ("leak", "lost"))
    assert leak == [(0.75, "of all entries on which real predictions depend, padding has 75 % of the gradient")]
    why = "2 of 4 real dims have no effect on any real prediction, such as sample 0, dim 1"
    assert lost == [(0.5, why)]


def test_tokens_that_have_no_effect_are_named_here_where_there_are_no_steps():
    run = lambda b: Answer(b["words"] * torch.tensor([1.0, 0]))  # noqa: E731
    found = looks(run, padding=padding()[2:], axes={})
    (lost,) = at("prediction", "tokens", "gradient", "lost", found=found)
    why = "1 of 3 real tokens have no effect on any real prediction, such as sample 0, token 1"
    assert lost == (round(torch.tensor(1 / 3).item(), 9), why)


def test_gradients_that_are_nan_are_found():
    def rooted(b):
        return Answer(predicted(b) + (b["words"] - batch()["words"][:, :1]).square().sqrt()[:, :1, None].detach() * 0 +
                      (b["words"] * 0).square().sqrt().sum())  # fmt: skip

    found = looks(rooted)
    assert at("prediction", "dims and steps", "gradient", "not finite", found=found) == [
        (inf, "the gradient is not finite")
    ]


def test_a_policy_without_gradients_is_asked_by_moving_one_place_at_a_time():
    found = looks(torch.no_grad()(lambda b: Answer(predicted(b) - 2 * b["x"] * (torch.arange(4) == 1), None)))
    assert at("prediction", None, "gradient", found=found) == []
    why = "2 of 6 real dims have no effect on any real prediction, such as sample 0, dim 1"
    assert at("prediction", "dims", "perturb", "lost", found=found) == [(pytest.approx(1 / 3), why)]
    assert [size > 0 for size, _ in at("prediction", None, "perturb", "lost", found=found)] == [True, False, False]


def test_whole_numbers_have_no_gradient_and_are_not_asked():
    given = batch() | {"x": batch()["x"].long(), "words": batch()["words"].long()}
    found = looks(lambda b: Answer(predicted(b).double()), given)
    assert at("prediction", None, "gradient", found=found) == []
    half = batch() | {"words": batch()["words"].long()}
    assert at("prediction", "tokens", "gradient", found=looks(shut, half)) == []
    assert len(at("prediction", "dims", "gradient", found=looks(shut, half))) == 2


# ---------------------------------------------------------------------------------------------------------- loss


def test_a_policy_without_a_loss_says_so():
    found = looks(lambda b: Answer(predicted(b)))
    why = "no loss was handed over"
    assert [look for look in found if look[0].startswith("loss")] == [
        ("loss sum", "dims and steps", "gradient", "leak", None, why),
        ("loss count", "dims and steps", "unit error", "leak", None, why),
    ]


def test_a_loss_that_is_nan_is_found_and_nothing_else_is_asked_of_it():
    found = looks(lambda b: Answer(predicted(b), torch.tensor(nan)))
    assert [look for look in found if look[0].startswith("loss")] == [
        ("loss sum", "dims and steps", "read off", "not finite", inf, "the loss is nan")
    ]


def test_a_loss_that_is_a_number_is_asked_for_its_gradient():
    found = looks(lambda b: Answer(predicted(b), mean_of(predicted(b), b)))
    why = "the loss was handed over as a number, not as a function of the prediction"
    assert at("loss count", "dims and steps", "unit error", found=found) == [(None, why)]
    (look,) = at("loss sum", "dims and steps", "gradient", "leak", found=found)
    assert look[0] is None  # this loss was made of another prediction than the one that was handed over

    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def one(b):
        prediction = weight * predicted(b)
        return Answer(prediction, mean_of(prediction, b))

    assert at("loss sum", None, "gradient", "leak", found=looks(one)) == [
        (0, f"0 of {count} padded entries are fitted") for count in (4, 2, 2)
    ]


def test_padding_that_is_fitted_is_named_with_its_part_of_the_gradient():
    """At 1.5 beside a prediction of 7 in every entry; half of the squared error is as steep as that is far."""

    def run(b):
        everything = torch.ones_like(real_of(b))
        return Answer(torch.where(real_of(b), predicted(b), 7), lambda said: said.sum() / everything.sum())

    found = looks(run)
    assert at("loss sum", None, "gradient", "leak", found=found) == [
        (round(4 / 24, 9), "4 of 4 padded entries are fitted; for example sample 1, step 0, dim 2"),
        (round(2 / 24, 9), "2 of 2 padded entries are fitted; for example sample 1, step 2, dim 0"),
        (round(2 / 24, 9), "2 of 2 padded entries are fitted; for example sample 1, step 2, dim 2"),
    ]
    why = "no prediction was found at which the loss is smallest; hand over one that is zero there"
    assert at("loss count", "dims and steps", "unit error", found=found) == [(None, why)]


@pytest.mark.parametrize(
    ("left_out", "axis", "count", "such_as"),
    [
        ((slice(None), 0), "steps", 6, "sample 0, step 0, dim 0"),
        ((slice(None), slice(None), 1), "dims", 5, "sample 0, step 0, dim 1"),
        ((0, 1, 2), "dims and steps", 1, "sample 0, step 1, dim 2"),
    ],
)
def test_real_entries_that_do_not_count_are_named_along_the_axis_that_they_fill(left_out, axis, count, such_as):
    counted = REAL.clone()
    counted[left_out] = False

    def run(b):
        return Answer(predicted(b), lambda said: mean_of(said, b, counted if len(said) == 2 else None))

    found = looks(run)
    why = f"{count} of 16 real entries do not count, such as {such_as}"
    assert at("loss sum", axis, "gradient", "lost", found=found) == [(round(torch.tensor(count / 16).item(), 9), why)]


def test_a_gradient_of_the_loss_that_is_nan_is_found():
    found = looks(lambda b: Answer(predicted(b), lambda said: mean_of(said, b) + ((said * 0).square()).sqrt().sum()))
    assert at("loss sum", "dims and steps", "gradient", found=found) == [(inf, "the gradient is not finite")]


# ---------------------------------------------------------------------------------------------------- unit error


def test_an_error_of_1_everywhere_shows_what_padding_adds_and_what_the_loss_is_divided_by():
    """All 24 entries are summed, and divided by the 16 real ones: 1.5."""
    found = looks(lambda b: Answer(predicted(b), lambda said: (said - 7).square().sum() / real_of(b).sum()))
    assert [size for size, _ in at("loss sum", None, "unit error", found=found)] == [
        round(count / 24, 9) for count in (4, 2, 2)
    ]
    assert at("loss sum", "dims", "unit error", found=found)[0][1] == "padding makes 16.7 % of the loss"
    assert at("loss count", None, "unit error", found=found) == [
        (0.5, "an error of 1 in every entry gives a loss of 1.5, expected 1")
    ]


@pytest.mark.parametrize(("factor", "size"), [(1 + 0.9e-5, 0), (1 + 1.1e-5, 1.1e-5), (1 - 1.1e-5, 1.1e-5), (0.5, 0.5)])
def test_a_loss_of_another_size_is_off_by_so_much(factor, size):
    run = lambda b: Answer(predicted(b), lambda said: factor * mean_of(said, b))  # noqa: E731
    assert at("loss count", None, "unit error", found=looks(run))[0][0] == pytest.approx(size, abs=1e-9)
    assert at("loss count", None, "unit error", found=looks(run, unit_loss=factor))[0][0] == 0


def test_a_loss_has_its_smallest_value_and_need_not_be_0_there():
    run = lambda b: Answer(predicted(b), lambda said: mean_of(said, b) + 5)  # noqa: E731
    assert at("loss count", None, "unit error", found=looks(run))[0][0] == 0


# ------------------------------------------------------------------------------------------------------- compact


def test_what_samples_get_from_each_other_is_not_counted_again_where_padding_is_cut():
    found = looks(lambda b: Answer(predicted(b) * len(b["x"])))
    assert at("prediction", "samples", "compact", found=found) == [
        (0.5, "what is predicted for a sample, once it is alone, moves by 50 %")
    ]
    assert at("prediction", "steps", "compact", found=found)[0][0] == 0


def test_the_sample_that_moves_furthest_without_its_padding_is_the_one_that_counts():
    """Of the second robot 2 of 3 steps are left."""
    found = looks(lambda b: Answer(predicted(b) * b["x"].shape[1], lambda said: mean_of(said, b)))
    assert at("prediction", "steps", "compact", found=found)[0][0] == round(1 / 3, 9)
    assert at("loss count", "dims and steps", "compact", found=found) == []  # the loss moves with it


def test_a_run_that_fails_without_padding_says_so():
    def run(b):
        if b["words"].shape[1] < 2:
            raise RuntimeError("two words, please")
        return shut(b)

    found = looks(run)
    assert at("prediction", "tokens", "compact", found=found) == [(None, "RuntimeError: two words, please")]


def of_eights(loss, outside=7.0):
    """A policy that says 8 where something is real, so that its error is 1 there."""
    return lambda b: Answer(torch.where(real_of(b), 8.0, outside) + 0 * predicted(b), lambda said: loss(said, b))


def own_loss(size):
    return (
        size,
        f"a sample's own loss for the same prediction, once its padding is cut off, moves by {100 * size:.3g} %",
    )


def weights(total):
    why = f"the weights of the samples in the loss add up to {total:.4g}, expected 1 for a mean, or 1 each for a sum"
    return (round(abs(total - 1), 9), why)


def test_a_divisor_that_counts_padded_steps_is_seen_by_a_sample_alone():
    """Of the second sample 2 of 3 steps are real: without the third one the divisor is 2 and not 3."""
    run = of_eights(lambda said, b: ((said - 7).square() * real_of(b)).sum() / said.shape[1] / len(said))
    assert at("loss count", None, "compact", found=looks(run)) == [own_loss(0.5), (0, weights(1)[1])]
    # An error of 1 may cost 16 / 6: then it is no divisor that is wrong, and padded steps count in some other way.
    found = looks(run, unit_loss=16 / 6)
    assert at("loss count", None, "compact", found=found) == []
    assert at("loss sum", "steps", "compact", found=found) == [own_loss(0.5)]


def test_padded_steps_that_the_loss_sums_are_seen_by_a_sample_alone():
    def loss(said, b):
        return mean_of(said, b, b["dim_mask"][:, None].expand_as(said))

    ((size, _),) = at("loss sum", "steps", "compact", found=looks(of_eights(loss, outside=9.0)))
    assert size > 0


def test_padded_words_that_a_term_of_the_loss_counts_are_seen_by_a_sample_alone():
    """Each word adds 3 to the loss, real or not, and nothing else does: of 2 words one is left."""
    found = looks(lambda b: Answer(predicted(b), lambda said: 0 * said.sum() + 3.0 * b["words"].shape[1]))
    assert at("loss sum", "tokens", "compact", found=found) == [own_loss(0.5)]


@pytest.mark.parametrize("together", ["mean", "sum", "weighted"])
def test_how_a_loss_weighs_its_samples_need_not_be_known(together):
    def by_sample(said, b):
        squared = (said - 7).square() * real_of(b)
        each = squared.sum((1, 2)) / real_of(b).sum((1, 2))
        weight = torch.tensor([1.0, 3.0], dtype=torch.float64)[: len(each)]
        return (each * weight).sum() / weight.sum() if together == "weighted" else getattr(each, together)()

    found = looks(lambda b: Answer(predicted(b), lambda said: by_sample(said, b)), unit_loss=9)
    assert [size for size, _ in at("loss sum", None, "compact", found=found)] == [0, 0]
    assert [size for size, _ in at("loss count", None, "compact", found=found)] == [0]


def test_samples_whose_weights_add_up_to_something_else_have_a_wrong_divisor():
    """The largest sample stands for both: 12 and 4 of 24 entries, of which 12 and 4 are the samples' own count."""
    run = lambda b: Answer(  # noqa: E731
        predicted(b),
        lambda said: ((said - 7).square() * real_of(b)).sum() / len(said) / real_of(b).sum((1, 2)).max(),
    )
    assert at("loss count", None, "compact", found=looks(run)) == [weights(16 / 24)]


@pytest.mark.parametrize("what", ["root", "zero", "mixed"])
def test_weights_that_depend_on_the_prediction_are_not_known(what):
    def loss(said, b):
        mean = mean_of(said, b)
        coupled = mean + (said.sum((1, 2))[:1] * said.sum((1, 2))).sum()
        return {"root": mean.sqrt(), "zero": torch.ones(()), "mixed": coupled}[what]

    found = looks(lambda b: Answer(predicted(b), lambda said: loss(said, b)), unit_loss=9)
    assert at("loss count", None, "compact", found=found) == []


# ------------------------------------------------------------------------------------------------- not a number


def test_predictions_that_are_nan_are_found_and_nothing_else_is_asked():
    broken = torch.zeros(2, 3, 4, dtype=torch.bool)
    broken[:, 1, 0] = True
    found = looks(lambda b: Answer(torch.where(broken[: len(b["x"])], nan, predicted(b))))
    why = "2 of 16 predictions of real entries are not finite"
    assert found == [
        ("prediction", "dims and steps", "read off", "not finite", inf, why),
        ("prediction", "dims and steps", "perturb", "leak", None, "there is no number to compare with"),
    ]


def test_nan_in_all_samples_without_padded_or_without_real_words_points_there():
    first = torch.tensor([True, False])[:, None, None]
    found = looks(lambda b: Answer(torch.where(first, nan, predicted(b))), padding=padding()[2:])
    why = "12 of 24 predictions of real entries are not finite"
    without = f"{why}, all in samples without padded tokens: is a mask upside down? It hides everything there"
    assert found[0] == ("prediction", "tokens", "read off", "not finite", inf, without)
    empty = [Padding("tokens", lengths(2, 0, 1), {"words": 1})]
    found = looks(lambda b: Answer(torch.where(first, nan, predicted(b))), padding=empty)
    nothing = f"{why}, all in samples without real tokens: there is nothing left to read"
    assert found[0] == ("prediction", "tokens", "read off", "not finite", inf, nothing)


def test_a_policy_with_two_answers_or_two_losses_is_refused():
    for what in (0, 1):
        calls = []

        def run(b, calls=calls, what=what):
            calls.append(0)
            factor = [1, 1]
            factor[what] = len(calls)
            return Answer(predicted(b) * factor[0], torch.tensor(1.0 * factor[1]))

        with pytest.raises(ValueError, match="run: got two answers to the same batch and the same draws"):
            looks(run)
