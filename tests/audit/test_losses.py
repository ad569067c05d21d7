"""The probes on a loss, one by one: policies of a few lines, whose answers are plain."""

from dataclasses import replace
from math import inf, nan

import pytest
import torch
from audit_cases import draw, lengths
from probed import REAL, at, batch, looks, mean_of, own_loss, padding, predicted, real_of, shut
from torch import nn

from groot_teach.audit import Answer, Padding, audit_masks
from groot_teach.audit.losses import DETACHED, DROPS
from groot_teach.audit.policy import Policy
from groot_teach.audit.probes import Probes

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


def test_real_entries_that_are_no_target_and_are_fitted_all_the_same_are_named_with_their_part_of_the_gradient():
    """The first step is given to be read: 4 + 2 of 16 entries, and the loss is as steep in each of them."""
    kinds = [padding()[0], replace(padding()[1], targets=torch.tensor([[False, True, True]]).expand(2, 3))]
    run = lambda b: Answer(predicted(b), lambda said: 1e-3 * (said * real_of(b)).mean())  # noqa: E731
    why = "6 of 6 entries that are no target are fitted, such as sample 0, step 0, dim 0"
    assert (6 / 16, why) in at("loss sum", "steps", "gradient", "leak", found=looks(run, padding=kinds))


def of_number(b):
    prediction = torch.ones(1, dtype=torch.float64, requires_grad=True) * predicted(b)
    return Answer(prediction, mean_of(prediction, b))


def test_gradients_are_taken_where_the_caller_keeps_none():
    for run in (shut, of_number):
        with torch.no_grad():
            found = looks(run)
        assert found == looks(run)


def test_a_loss_that_is_a_number_is_asked_for_its_gradient_once_if_all_that_is_real_counts():
    def runs(real):
        policy = Policy(lambda b: of_number(b | {"step_mask": b["step_mask"] & real}), batch(), padding())
        probes = Probes(policy, 1.0).loss
        before = policy.runs
        (lost,) = [look for step in probes.steps() for look in step() if look.kind == "lost"]
        return policy.runs - before, bool(lost.size)

    assert runs(torch.ones(3, dtype=torch.bool)) == (1, False)
    assert runs(torch.tensor([False, True, True])) == (1 + 3, True)


def test_a_gradient_of_the_loss_that_is_nan_is_found():
    found = looks(lambda b: Answer(predicted(b), lambda said: mean_of(said, b) + ((said * 0).square()).sqrt().sum()))
    assert at("loss sum", "dims and steps", "gradient", found=found) == [(inf, "the gradient is not finite")]


def counted_as(each, mask=real_of, said=predicted):
    """What is said of real entries that are lost, where `each` is the loss of an entry and `mask` says which count."""
    loss = lambda b: lambda said: (each(said) * mask(b)).sum() / mask(b).sum()  # noqa: E731
    return at("loss sum", None, "gradient", "lost", found=looks(lambda b: Answer(said(b), loss(b))))


def test_where_a_single_entry_is_real_and_lost_all_of_them_are():
    kinds = [
        Padding("dims", lengths(4, 1), {"x": 2}, {"dim_mask": 1}),
        Padding("steps", lengths(3, 1), {"x": 1}, {"step_mask": 1}),
    ]
    given = {"x": torch.ones(1, 3, 4, dtype=torch.float64), "dim_mask": lengths(4, 1), "step_mask": lengths(3, 1)}
    run = lambda b: Answer(2 * b["x"], lambda said: mean_of(said, b, ~real_of(b)))  # noqa: E731
    ((size, why),) = at("loss sum", None, "gradient", "lost", found=looks(run, given, padding=kinds))
    assert size == 1
    assert why.startswith("1 of 1 real entries do not count, such as sample 0, step 0, dim 0, and all that are padded")


def asked_at(mask):
    """The numbers that fill a whole prediction, at which a loss that counts what is in `mask` is asked."""
    said = []

    def run(b):
        def loss(one):
            said.append(one.detach())
            return mean_of(one, b, mask(b))

        return Answer(predicted(b), loss)

    policy = Policy(run, batch(), padding())
    for step in Probes(policy, 1.0).loss.steps():
        [*step()]
    return {one.unique().item() for one in said if len(one.unique()) == 1}


def test_a_loss_in_which_all_that_is_real_counts_is_asked_at_no_predictions_further_away():
    assert not asked_at(real_of)
    assert asked_at(first_step_left_out) >= {0, 3, -3, 10, -10}


def test_of_a_loss_that_is_detached_neither_its_gradient_nor_its_divisor_is_known():
    found = looks(lambda b: Answer(predicted(b), lambda said: mean_of(said.detach(), b)))
    assert at("loss sum", "dims and steps", "gradient", found=found) == [(None, DETACHED)]
    assert at("loss count", "dims and steps", "unit error", found=found) == [(None, DETACHED)]


def test_of_a_loss_behind_dropout_the_divisor_is_not_known_if_something_real_is_dropped():
    """The second one drops padded entries alone, and counts what is left of them."""
    dropped = lambda said: torch.dropout(said, 0.5, True)  # noqa: E731
    found = looks(lambda b: Answer(predicted(b), lambda said: mean_of(dropped(said), b)))
    assert at("loss sum", None, "gradient", "lost", found=found) == [(0, "0 of 16 real entries do not count")]
    assert at("loss count", "dims and steps", "unit error", found=found) == [(None, DROPS)]

    def padding_dropped(said, b):
        return mean_of(said, b) + 0.01 * (dropped(said).square() * ~real_of(b)).sum()

    found = looks(lambda b: Answer(predicted(b), lambda said: padding_dropped(said, b)))
    ((size, _),) = at("loss count", "dims and steps", "unit error", found=found)
    assert size > 0


def first_step_left_out(b):
    return real_of(b) & (torch.arange(b["step_mask"].shape[1]) > 0)[:, None]


def test_a_mask_is_upside_down_if_all_that_is_padded_along_its_axis_counts_and_nothing_real_does():
    def lost(mask):
        ((size, why),) = counted_as(torch.square, mask)
        assert size == 1
        return why.removeprefix("16 of 16 real entries do not count, such as sample 0, step 0, dim 0")

    asked = "is a mask of dims upside down, or the `real` that you declared? True has to mean real"
    assert lost(lambda b: ~b["dim_mask"][:, None] & b["step_mask"][..., None]).endswith(f"along dims do: {asked}")
    asked = asked.replace("dims", "dims and steps")
    assert lost(lambda b: ~real_of(b)) == f", and all that are padded along dims and steps do: {asked}"
    some = lambda b: ~b["dim_mask"][:, None] & (torch.arange(b["x"].shape[1]) < 1)[:, None]  # noqa: E731
    assert lost(some) == ""


@pytest.mark.parametrize(
    ("counted", "axis", "may_be_no_target"),
    [
        (first_step_left_out, "steps", True),
        (lambda b: real_of(b) & (torch.arange(4) > 0), "dims", False),
        (lambda b: ~real_of(b), "dims and steps", False),
    ],
    ids=["the first step", "the first dim", "all"],
)
def test_lost_steps_may_be_no_targets_and_lost_dims_or_all_that_is_real_may_not(counted, axis, may_be_no_target):
    policy = Policy(lambda b: Answer(predicted(b), lambda said: mean_of(said, b, counted(b))), batch(), padding())
    (lost,) = [look for step in Probes(policy, 1.0).loss.steps() for look in step() if look.kind == "lost"]
    assert lost.axis == axis
    assert lost.hint.startswith(f"if these {axis} are given to be read and are not learnt" if may_be_no_target else "")
    assert bool(lost.hint) is may_be_no_target


TRAINED = {  # flat all around 40
    "cross entropy": lambda said: torch.nn.functional.softplus(-said.float()),
    "hinge": lambda said: (1 - said).relu(),
    "truncated": lambda said: said.square().clamp(max=9),
    "refuses": lambda said: said.square().clamp(max=25) if said.any() else 1 / 0,
    "nan": lambda said: torch.where(said < 5, nan, said) * (said < 16),
}


@pytest.mark.parametrize("each", TRAINED.values(), ids=TRAINED)
def test_a_loss_that_is_flat_where_the_policy_is_trained_counts_what_it_counts_elsewhere(each):
    at_40 = lambda b: 40 + 0 * predicted(b)  # noqa: E731
    assert counted_as(each, said=at_40) == [(0, "0 of 16 real entries do not count")]
    lost = "6 of 16 real entries do not count, such as sample 0, step 0, dim 0"
    assert counted_as(each, first_step_left_out, said=at_40) == [(6 / 16, lost)]


def test_a_loss_that_chooses_by_value_could_not_be_looked_at_and_is_not_accused():
    """Only what is within 1 of its target counts, and no prediction that is asked is near the targets of most dims."""

    def truncated(said, b):
        away = said - torch.tensor([0.5, 10.5, 1e6, 1e6])
        return (away.square().clamp(max=1) * real_of(b)).sum()

    found = looks(lambda b: Answer(predicted(b), lambda said: truncated(said, b)))
    ((size, why),) = at("loss sum", "dims", "gradient", "lost", found=found)
    assert size is None
    assert why.startswith("6 of 16 real entries count at none of 12 predictions, such as sample 0, step 0, dim 2;")


def test_a_winner_that_takes_all_counts_what_wins_at_some_prediction():
    def best_dim(said, b):
        return (said - 7).square().masked_fill(~real_of(b), inf).amin(2)[b["step_mask"]].mean()

    found = looks(lambda b: Answer(predicted(b), lambda said: best_dim(said, b)))
    assert at("loss sum", None, "gradient", "lost", found=found) == [(0, "0 of 16 real entries do not count")]


def test_a_loss_that_is_a_number_and_flat_everywhere_could_not_be_looked_at():
    def run(b):
        prediction = 40 + torch.zeros(1, dtype=torch.float64, requires_grad=True) * predicted(b)
        return Answer(prediction, ((1 - prediction).relu() * real_of(b)).sum())

    ((size, why),) = at("loss sum", None, "gradient", "lost", found=looks(run))
    assert size is None
    assert why.startswith("the loss has no slope in any entry at the predictions that the policy gives; hand it over")


class UsesItsNetworkTwice(torch.nn.Module):
    """Its loss is that of the second call alone; `first` says what the first one makes for it."""

    def __init__(self, first, counted=real_of):
        super().__init__()
        self.head, self.first, self.counted = torch.nn.Linear(4, 4, dtype=torch.float64), first, counted
        with torch.no_grad():
            self.head.weight.copy_(torch.arange(16).view(4, 4).sin())

    def forward(self, b):
        x = b["x"] * real_of(b) / 9
        said, target = self.first(self.head, x, b)
        return mean_of(said - target, b, self.counted(b))


def conditioned_on_itself(head, x, b):
    with torch.no_grad():
        said = head(x)
    return head(x + said * real_of(b)), 0


def conditioned_on_padding(head, x, b):
    with torch.no_grad():
        said = head(b["x"])
    return head(x + said * real_of(b)), 0


def compared_with_itself(head, x, b):
    said = head(x)
    with torch.no_grad():
        return said, head(said * real_of(b))


def differentiated(head, x, b, along=lambda x, b: x):
    said, slope = torch.func.jvp(lambda x: head(x).sin(), (x,), (along(x, b),))
    return said, slope.detach()


def differentiated_along_padding(head, x, b):
    return differentiated(head, x, b, lambda x, b: b["x"])


def found_in(policy):
    report = looks(policy, module=policy, prediction="head", padding=padding()[:2])
    return {look[:1] + look[1:2] + look[3:4] for look in report if look[4] and look[2] != "unit error"}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp uses it
@pytest.mark.parametrize("first", [conditioned_on_itself, compared_with_itself, differentiated])
def test_a_network_that_is_used_twice_or_differentiated_is_asked_where_it_is_trained(first):
    assert found_in(UsesItsNetworkTwice(first)) == set()
    assert found_in(UsesItsNetworkTwice(first, first_step_left_out)) == {("loss sum", "steps", "lost")}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_padding_that_the_first_use_of_a_network_reads_is_seen():
    assert ("prediction", "dims", "leak") in found_in(UsesItsNetworkTwice(conditioned_on_padding))
    assert found_in(UsesItsNetworkTwice(differentiated_along_padding)) == {("loss sum", "dims", "leak")}


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


def of_eights(loss, outside=7.0):
    """A policy that says 8 where something is real, so that its error is 1 there."""
    return lambda b: Answer(torch.where(real_of(b), 8.0, outside) + 0 * predicted(b), lambda said: loss(said, b))


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


def padded_steps_counted(said, b):
    return ((said - 7).square() * real_of(b)).sum() / said.shape[1] / len(said)


def test_a_divisor_that_counts_padded_steps_is_seen_in_the_losses_that_the_runs_gave():
    found = looks(lambda b: Answer(predicted(b), padded_steps_counted(predicted(b), b)))
    assert at("loss count", "dims and steps", "compact", found=found) == [own_loss(0.5)]
    policy = WithALoss(padded_steps_counted)
    found = looks(policy, module=policy, prediction="head")
    assert at("loss count", "dims and steps", "compact", found=found)[0] == own_loss(0.5)


def test_a_loss_that_is_a_number_says_nothing_where_other_predictions_are_made_without_padding():
    """Its own predictions grow with the number of words, padded ones too."""
    said = lambda b: predicted(b) * b["words"].shape[1]  # noqa: E731
    found = looks(lambda b: Answer(said(b), mean_of(said(b), b)))
    assert at("prediction", "tokens", "compact", found=found)[0][0] == 0.5
    assert at("loss sum", "tokens", "compact", found=found) == []
    found = looks(lambda b: Answer(said(b), lambda one: mean_of(one, b)))
    assert at("loss sum", "tokens", "compact", found=found) == [own_loss(0)]


def test_where_each_loss_is_a_run_no_more_are_asked_of_samples_whose_loss_stays():
    """Of each of the two samples one run alone, and one without its padding."""
    module = WithALoss(lambda said, b: mean_of(said, b))
    policy = Policy(module, batch(), padding(), module=module, prediction="head")
    runs = {}
    for step in Probes(policy, 1.0).steps():
        before = policy.runs
        [*step()]
        runs[step.axis, step.probe] = policy.runs - before
    assert [runs[axis, "compact"] for axis in ("samples", "steps", "tokens")] == [2, 2, 2]


def test_padded_steps_that_the_loss_sums_are_seen_by_a_sample_alone():
    def loss(said, b):
        return mean_of(said, b, b["dim_mask"][:, None].expand_as(said))

    ((size, _),) = at("loss sum", "steps", "compact", found=looks(of_eights(loss, outside=9.0)))
    assert size > 0


def test_padded_dims_that_count_are_not_counted_again_where_steps_are_cut_off():
    """Each step predicts something else there if it is cut off."""

    def run(b):
        said = torch.where(b["dim_mask"][:, None], predicted(b), b["x"].shape[1] ** 2)
        counted = b["step_mask"][..., None].expand_as(said)
        return Answer(said, lambda one: mean_of(one, b, counted))

    found = looks(run)
    assert at("loss sum", "dims", "gradient", "leak", found=found)[0][0] > 0
    assert at("loss sum", "steps", "compact", found=found) == [own_loss(0)]


def test_padded_words_that_a_term_of_the_loss_counts_are_seen_by_a_sample_alone():
    """Each word adds 3 to the loss, real or not, and nothing else does: of 2 words one is left."""
    found = looks(lambda b: Answer(predicted(b), lambda said: 0 * said.sum() + 3.0 * b["words"].shape[1]))
    assert at("loss sum", "tokens", "compact", found=found) == [own_loss(0.5)]


@pytest.mark.parametrize("term", [1e-2, 1e-4])
def test_a_small_term_that_counts_padding_is_seen_where_the_loss_is_smallest(term):
    """Beside an error in single precision it would be rounded away. Of 3 steps 2 are real in the second sample."""

    def own_losses(counted):
        def run(b):
            loss = lambda said: mean_of(said, b) + term * counted(b)  # noqa: E731
            return Answer(predicted(b).float(), loss)

        return at("loss sum", "steps", "compact", found=looks(run))

    assert own_losses(lambda b: b["step_mask"].sum() / 3) == [own_loss(0)]
    ((size, _),) = own_losses(lambda b: b["step_mask"].shape[1] / 3)
    assert size == pytest.approx(1 / 3, rel=1e-3)


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


def by_the_largest_sample(said, b):
    return ((said - 7).square() * real_of(b)).sum() / len(said) / real_of(b).sum((1, 2)).max()


class WithALoss(torch.nn.Module):
    """Gives the loss alone, as most policies do."""

    def __init__(self, loss):
        super().__init__()
        self.head, self.loss = torch.nn.Identity(), loss

    def forward(self, b):
        return self.loss(self.head(predicted(b)), b)


def test_samples_whose_weights_add_up_to_something_else_have_a_wrong_divisor():
    """The largest sample stands for both: 12 and 4 of 24 entries, of which 12 and 4 are the samples' own count."""
    run = lambda b: Answer(predicted(b), lambda said: by_the_largest_sample(said, b))  # noqa: E731
    assert at("loss count", None, "compact", found=looks(run)) == [weights(16 / 24)]
    policy = WithALoss(by_the_largest_sample)
    assert at("loss count", None, "compact", found=looks(policy, module=policy, prediction="head")) == [
        weights(16 / 24)
    ]
    right = WithALoss(lambda said, b: mean_of(said - 7, b))
    assert at("loss count", None, "compact", found=looks(right, module=right, prediction="head")) == []


@pytest.mark.parametrize(
    ("of_each", "size"),
    [
        ((0.5, 0.5), 0),
        ((1, 1), 0),
        ((0.9, 0.1), 0),
        ((1, 0.5), 0.5),
        ((0.25, 0.5), 0.25),
        ((2, 2), 3),
        ((1, 1.01), 1.01),
    ],
)
def test_the_weights_of_samples_are_those_of_a_mean_or_those_of_a_sum(of_each, size):
    def loss(said, b):
        each = ((said - 7).square() * real_of(b)).sum((1, 2)) / real_of(b).sum((1, 2))
        return (each * torch.tensor(of_each)).sum() if len(said) == 2 else each.sum()

    found = looks(lambda b: Answer(predicted(b), lambda said: loss(said, b)), unit_loss=9)
    ((got, why),) = at("loss count", None, "compact", found=found)
    assert got == pytest.approx(size, abs=1e-6)
    assert why.startswith(f"the weights of the samples in the loss add up to {sum(of_each):.4g}, expected 1 for a mean")


def test_a_loss_that_is_a_mean_of_each_dim_has_no_weights_of_samples():
    """The second robot has no third and no fourth dim, so there the first one counts more than in the other two."""

    def loss(said, b):
        real = real_of(b)
        of_dim = ((said - 7).square() * real).sum((0, 1)) / real.sum((0, 1)).clamp(min=1)
        return 3 * of_dim.sum() / real.any(1).any(0).sum()

    found = looks(lambda b: Answer(7 + 0 * predicted(b), lambda said: loss(said, b)))
    assert at("loss count", None, "unit error", found=found)[0][0] == 2
    assert at("loss count", None, "compact", found=found) == []


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("what", ["root", "zero", "mixed"])
def test_weights_that_depend_on_the_prediction_are_not_known(what, scale):
    def loss(said, b):
        mean = mean_of(said, b)
        coupled = mean + (said.sum((1, 2))[:1] * said.sum((1, 2))).sum()
        return {"root": mean.sqrt(), "zero": torch.ones(()), "mixed": coupled}[what]

    found = looks(lambda b: Answer(predicted(b), lambda said: scale * loss(said, b)), unit_loss=9)
    assert at("loss count", None, "compact", found=found) == []


# ------------------------------------------------------------------------------------- labels of -100 along the dims


def labelled(labels, as_number=False):
    """Classes of three dims, of which one robot has two and one has one; `labels` is what the loss makes of them."""
    real = lengths(3, 3, 2, 1)
    given = {"labels": torch.arange(18).reshape(3, 2, 3).remainder(4).masked_fill(~real[:, None], -100)}
    given["x"] = draw(1, 3, 2, 12)

    def run(b):
        said = b["x"].unflatten(-1, (3, 4))

        def loss(one):
            counted = labels(b["labels"])
            entropy = nn.functional.cross_entropy(one.flatten(0, 2), counted.flatten(), reduction="none")
            return entropy.sum() / (counted != -100).sum()

        return Answer(said, loss(said) if as_number else loss)

    padding = [Padding("dims", real, {"labels": 2})]
    policy = Policy(run, given, padding, axes={"dims": 2})
    found = [look for step in Probes(policy, 1.0).steps() for look in step() if look.stage == "loss sum"]
    return {(look.probe, look.kind): look for look in found if look.axis == "dims"}


def test_labels_of_minus_100_along_the_dims_are_known_by_their_value():
    look = labelled(lambda labels: labels)["perturb", "leak"]
    assert look.size == 0
    assert look.why.endswith("; as it is, none of it counts in the loss")


def test_labels_of_minus_100_that_are_fitted_all_the_same_are_found():
    found = labelled(lambda labels: labels.clamp(min=0))
    assert found["perturb", "leak"].size
    assert found["gradient", "leak"].size


def test_labels_of_minus_100_for_a_real_dim_are_found():
    lost = torch.arange(3) == 0
    found = labelled(lambda labels: labels.masked_fill(lost, -100))
    assert not found["perturb", "leak"].size
    assert found["gradient", "lost"].why == "24 of 48 real entries do not count, such as sample 0, dim 0"


def test_of_labels_of_minus_100_nothing_is_known_where_the_loss_is_a_number():
    look = labelled(lambda labels: labels, as_number=True)["perturb", "leak"]
    assert look.size is None
    assert look.why.startswith("all padding holds one value that no real place has")


# ------------------------------------------------------------------------------------------------------ two heads


class TwoHeads(nn.Module):
    """Predicts arm and grip from words; the grip leaves out its first step, and reads itself, if so asked."""

    def __init__(self, drops, reads):
        super().__init__()
        self.drops, self.reads = drops, reads
        self.arm, self.grip = (nn.Linear(2, size, dtype=torch.float64) for size in (2, 1))

    def forward(self, b, predicted="arm"):
        seen = b["words"].mean(1)[:, None] + torch.arange(b["arm"].shape[1])[:, None]
        said = {"arm": self.arm(seen), "grip": self.grip(seen) + self.reads * b["grip"]}
        real = dict.fromkeys(said, b["step_mask"][..., None])
        if self.drops:
            real["grip"] = real["arm"] & (torch.arange(b["arm"].shape[1]) > 0)[:, None]

        def loss(one):
            terms = {**said, predicted: one}
            return sum(((terms[name] - b[name]).square() * real[name]).sum() / real[name].sum() for name in terms)

        return Answer(said[predicted], loss)


def two_heads(drops, reads, by_module):
    module, steps = TwoHeads(drops, reads), lengths(4, 4, 2)
    given = {"arm": draw(1, 2, 4, 2), "grip": draw(2, 2, 4, 1), "words": draw(3, 2, 3, 2), "step_mask": steps}
    padding = [Padding("steps", steps, {"arm": 1, "grip": 1}, {"step_mask": 1})]

    def loss_alone(b):
        answer = module(b)
        return answer.loss(answer.prediction)

    how = {"module": module, "prediction": "arm"} if by_module else {}
    return audit_masks(loss_alone if by_module else module, given, padding, axes={"steps": 1}, **how)


@pytest.mark.parametrize("by_module", [True, False])
@pytest.mark.parametrize("reads", [0.0, 0.5])
@pytest.mark.parametrize("drops", [True, False])
def test_a_step_that_a_second_head_leaves_out_of_its_loss_is_found_and_a_note_says_that_there_is_one(
    drops, reads, by_module
):
    report = two_heads(drops, reads, by_module)
    found = [finding.why for finding in report.findings if finding.full_name == "loss sum, steps, lost"]
    assert found == ["2 of 6 real entries of 'grip' do not move the loss"] * drops
    assert any("a part that does not come from this prediction" in note for note in report.notes)


def test_a_step_that_a_second_head_leaves_out_is_found_where_no_gradients_are_kept():
    module, steps = TwoHeads(True, 0.0), lengths(4, 4, 2)
    given = {"arm": draw(1, 2, 4, 2), "grip": draw(2, 2, 4, 1), "words": draw(3, 2, 3, 2), "step_mask": steps}
    padding = [Padding("steps", steps, {"arm": 1, "grip": 1}, {"step_mask": 1})]
    with torch.no_grad():
        found = looks(module, given, padding=padding, axes={"steps": 1})
    said = [why for _, why in at("loss sum", "steps", "gradient", "lost", found=found)]
    assert "2 of 6 real entries of 'grip' do not move the loss" in said


def test_a_head_that_is_audited_by_itself_has_its_own_entries_counted():
    module, steps = TwoHeads(True, 0.0), lengths(4, 4, 2)
    given = {"arm": draw(1, 2, 4, 2), "grip": draw(2, 2, 4, 1), "words": draw(3, 2, 3, 2), "step_mask": steps}
    padding = [Padding("steps", steps, {"arm": 1, "grip": 1}, {"step_mask": 1})]
    report = audit_masks(lambda b: module(b, "grip"), given, padding, axes={"steps": 1})
    lost = [look.why for look in report.looks if look.kind == "lost" and look.stage == "loss sum" and look.size]
    assert "2 of 6 real entries do not count, such as sample 0, step 0" in lost


@pytest.mark.parametrize("drops", [True, False])
def test_what_a_second_head_reads_in_part_is_no_target_that_it_leaves_out(drops):
    """It reads the first of several states, as many policies do; its own target is another entry."""

    class ReadsTheFirst(TwoHeads):
        def forward(self, b, predicted="arm"):
            first = self.state(b["state"][:, :1]).expand(-1, b["arm"].shape[1], -1)
            return super().forward(b | {"words": b["words"] + first.mean(1, keepdim=True)}, predicted)

    module, steps = ReadsTheFirst(drops, 0.5), lengths(4, 4, 2)
    module.state = nn.Linear(3, 2, dtype=torch.float64)
    given = {"arm": draw(1, 2, 4, 2), "grip": draw(2, 2, 4, 1), "words": draw(3, 2, 3, 2), "step_mask": steps}
    padding = [Padding("steps", steps, {"arm": 1, "grip": 1, "state": 1}, {"step_mask": 1})]
    report = audit_masks(module, given | {"state": draw(4, 2, 4, 3)}, padding, axes={"steps": 1})
    found = [finding.why for finding in report.findings if finding.full_name == "loss sum, steps, lost"]
    assert found == ["2 of 6 real entries of 'grip' do not move the loss"] * drops


def test_an_entry_that_seems_lost_at_one_number_alone_is_not_lost():
    """The grip's error is 0 in the first step, so it has no slope there."""
    module, steps = TwoHeads(False, 0.0), lengths(4, 4, 2)
    given = {"arm": draw(1, 2, 4, 2), "grip": draw(2, 2, 4, 1), "words": draw(3, 2, 3, 2), "step_mask": steps}
    given["grip"][:, :1] = module.grip(given["words"].mean(1)[:, None]).detach()
    padding = [Padding("steps", steps, {"arm": 1, "grip": 1}, {"step_mask": 1})]
    assert not audit_masks(module, given, padding, axes={"steps": 1}, unit_loss=2).findings
