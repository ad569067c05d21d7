"""The probes on a prediction, one by one: policies of a few lines, whose answers are plain."""

import re
from dataclasses import replace
from math import inf, nan

import pytest
import torch
from audit_cases import lengths
from probed import WORDS, at, batch, looks, mean_of, own_loss, padding, predicted, real_of, shut
from torch import nn
from torch.nn.functional import cross_entropy

from groot_teach.audit import Answer, Padding, Tap, audit_masks
from groot_teach.audit.measure import other_numbers
from groot_teach.audit.policy import Policy
from groot_teach.audit.probes import NOTHING_MOVES, Probes

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


def test_dims_and_steps_that_a_prediction_does_not_have_need_not_move_it():
    found = looks(lambda b: Answer((b["words"] * b["word_mask"]).sum(1)), axes={})
    for axis in ("dims", "steps"):
        assert at("prediction", axis, "perturb", "lost", found=found) == []


def test_a_prediction_of_one_number_for_each_sample_is_looked_at_too():
    def right(b):
        return Answer((b["words"] * b["word_mask"]).sum(1))

    def wrong(b):
        return Answer(b["words"].sum(1))

    only_words = {"padding": padding()[2:], "axes": {}}
    assert at("prediction", "tokens", found=looks(right, **only_words))[0][0] == 0
    assert at("prediction", "tokens", found=looks(wrong, **only_words))[0][0] > 0
    broken = looks(lambda b: Answer(b["words"].sum(1) * nan), **only_words)
    assert broken[0][:4] == ("prediction", "tokens", "read off", "not finite")


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


# ------------------------------------------------------------------------------------------------ packed documents

DOCUMENTS = torch.tensor([[0, 0, 1], [5, 5, 5]])
"""The first row packs two documents; of the second one, 2 of 3 steps are real."""


def packed(read):
    """What is said of neighbours if each step is predicted from itself and from `read` times the step in front."""

    def run(b):
        in_front = torch.nn.functional.pad(b["x"][:, :-1], (0, 0, 1, 0)) * read(b)
        return Answer((b["x"] + in_front) * real_of(b))

    steps = replace(padding()[1], documents=DOCUMENTS, masks={"step_mask": 1, "documents": 1})
    given = batch() | {"documents": DOCUMENTS}
    return at("prediction", "neighbours", "perturb", "leak", found=looks(run, given, padding=[padding()[0], steps]))


def test_a_document_that_moves_its_neighbour_is_found_with_how_far_it_moves_it():
    ((size, why),) = packed(lambda b: 0.5)
    assert 0.01 < size < 1
    assert why.startswith("what is predicted in one document, once another one of its row is changed, moves by ")
    own = packed(lambda b: torch.nn.functional.pad(b["documents"].diff(dim=1) == 0, (1, 0))[..., None])
    assert [size for size, _ in own] == [0]


def test_a_run_that_fails_when_a_document_changes_says_so():
    def read(b):
        if len(b["x"]) == 2 and not torch.equal(b["x"][0, 2], batch()["x"][0, 2]):
            raise RuntimeError("another document")
        return 0.0

    assert packed(read) == [(None, "RuntimeError: another document")]


@pytest.mark.parametrize("as_number", [False, True])
def test_what_only_the_loss_reads_may_be_a_target_and_nobody_knows(as_number):
    def run(b, of_loss=1.0):
        target = (b["words"] * b["word_mask"]).sum(1)[:, None, None]
        said = 2 * b["x"] * real_of(b)
        loss = lambda said: mean_of(said + of_loss * target, b)  # noqa: E731
        return Answer(said, loss(said) if as_number else loss)

    ((size, why),) = at("prediction", "tokens", "perturb", "lost", found=looks(run))
    assert size is None
    assert why.startswith("nothing real in 'words' moves what is predicted for a real entry; it moves the loss")
    assert why.endswith("`excused={'prediction, tokens': 'a target'}`")
    ((size, _),) = at("prediction", "tokens", "perturb", "lost", found=looks(lambda b: run(b, 0.0)))
    assert size == 1


# ------------------------------------------------------------------------------------------- a value that is the mask

VALUE = "all padding holds one value that no real place has, so the policy may take the value for its mask"


def of_ids(ids, added=lambda b: 0.0, real=WORDS, scale=1.0, dtype=torch.float64):
    """What `perturb` says of words that are ids, if a policy adds them all up, and what stands for padding is 0."""

    def run(b):
        of_words = scale * b["words"].double().sum(1)[:, None, None]
        return Answer((2 * b["x"] * real_of(b) + of_words + added(b)).to(dtype))

    kinds = [*padding()[:2], Padding("tokens", real, {"words": 1})]
    found = looks(run, batch() | {"words": torch.tensor(ids)}, padding=kinds)
    return at("prediction", "tokens", "perturb", "leak", found=found)


def test_padding_of_a_value_of_its_own_may_be_known_by_it_and_cutting_it_off_decides():
    assert of_ids([[1, 3], [2, 0]]) == [(0, f"{VALUE}; without the padding nothing changes")]
    ((size, why),) = of_ids([[1, 3], [2, 0]], lambda b: b["words"].shape[1])
    assert size > 0
    assert why.startswith(f"{ENTRIES} ")


def test_where_padding_of_a_value_of_its_own_cannot_be_cut_off_nobody_knows():
    def added(b):
        if b["words"].shape[1] < 2:
            raise RuntimeError("two words, please")
        return 0.0

    assert of_ids([[1, 3], [2, 0]], added) == [(None, VALUE)]


def test_padding_between_real_places_goes_too_before_a_value_is_taken_for_a_mask():
    ids, real = [[1, 0, 3], [2, 4, 5]], torch.tensor([[True, False, True], [True, True, True]])
    assert of_ids(ids, real=real) == [(0, f"{VALUE}; without the padding nothing changes")]
    read = lambda b: b["words"].shape[1]  # noqa: E731
    ((size, why),) = of_ids(ids, read, real)
    assert size is None
    assert why.startswith(f"{VALUE}; some of it lies between real places and cannot be cut off. ")

    def fails(b):
        if b["words"].shape[1] < 3:
            raise RuntimeError("three words, please")
        return 0.0

    assert of_ids(ids, fails, real) == [(None, why)]


def test_a_value_is_not_taken_for_a_mask_where_half_precision_may_hide_that_it_is_read():
    """Each word that is there adds 0.5 to numbers of up to 40; a difference of 1/32 of them could be rounding."""
    ids = [[1, 3], [2, 0]]
    assert of_ids(ids, scale=0.1, dtype=torch.float16) == [(0, f"{VALUE}; without the padding nothing changes")]
    ((size, why),) = of_ids(ids, lambda b: 0.5 * b["words"].shape[1], scale=0.1, dtype=torch.float16)
    assert size is None
    assert why.startswith(f"{VALUE}; cutting it off moves less than the tolerance")


def test_a_value_that_something_real_has_too_tells_no_padding():
    ((size, why),) = of_ids([[1, 0], [2, 0]])
    assert size > 0
    assert why.startswith(f"{ENTRIES} ")


# ------------------------------------------------------------------------------------------------ axes of your own


@pytest.mark.parametrize(("name", "meant"), [("ticks", "say"), ("stepz", "did you mean 'steps'? Else say")])
def test_an_axis_of_your_own_that_looks_like_one_of_the_prediction_has_to_be_declared(name, meant):
    """Not to know that the prediction is padded there would accuse a right policy of reading its padding."""
    real = lengths(4, 4, 2)
    given = {"x": torch.arange(24, dtype=torch.float64).reshape(2, 4, 3), "real": real}

    def run(b):
        return Answer(
            b["x"] * 2, lambda said: ((said - b["x"]).square() * b["real"][..., None]).sum() / b["real"].sum()
        )

    padding = [Padding(name, real, {"x": 1}, {"real": 1})]
    with pytest.raises(
        ValueError, match=rf"^axes: got no place for '{name}', and 'x' has .* \(2, 4, 3\); {re.escape(meant)}"
    ):
        audit_masks(run, given, padding)
    assert not audit_masks(run, given, padding, axes={name: 1}, unit_loss=3).findings
    audit_masks(run, given, padding, axes={"steps": 1, "dims": 2})  # it is said that it is another axis


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
    """Of the output 1, 3 and 2 + 5 are real, and the padded 5 becomes another number."""
    found = tapped(Tapped(leak=1.0))
    ((size, why),) = at("mixer", found=found)
    assert size == pytest.approx(abs(other_numbers(batch()["words"])[1, 1].item() - 5) / (1 + 9 + 49) ** 0.5)
    assert why.startswith("what leaves mix moves by ")
    assert at("words are read", "tokens", "perturb", found=found) == [(0, f"{ENTRIES} 0 %")]


def test_how_far_a_prediction_moves_does_not_depend_on_a_tap():
    with_tap, without = (
        at("prediction", "tokens", "perturb", "leak", found=found)
        for found in (tapped(Tapped(leak=1.0, scale=0.1)), looks(Tapped(leak=1.0, scale=0.1)))
    )
    assert with_tap == without
    assert 0 < with_tap[0][0] < at("mixer", found=tapped(Tapped(leak=1.0, scale=0.1)))[0][0]


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


PIXELS = torch.zeros(3, 4, 4, dtype=torch.bool)
PIXELS[0], PIXELS[1, 1:3], PIXELS[2, :, :3] = True, True, True
"""Three letterboxed images: one is full, one has bars above and below it, one has a bar on the right."""


class OverImage(nn.Module):
    """Pools what it sees over the real pixels, or over all; `writes` another number into the bars first."""

    def __init__(self, over, writes=None, by_value=False):
        super().__init__()
        self.see, self.over, self.writes, self.by_value = nn.Identity(), over, writes, by_value

    def forward(self, b):
        image = b["image"]
        real = image != 0 if self.by_value else b["pixels"]
        seen = self.see(image if self.writes is None else torch.where(real, image, self.writes))
        counted = real if self.over == "real" else torch.ones_like(real)
        return Answer((seen * counted).sum((1, 2))[:, None] / counted.sum((1, 2))[:, None])


def over_image(over, writes=None, by_value=False, taps=()):
    image = torch.arange(1.0, 49, dtype=torch.float64).reshape(3, 4, 4)
    masks = {} if by_value else {"pixels": 1}
    padding, module = [Padding("pixels", PIXELS, {"image": 1}, masks)], OverImage(over, writes, by_value)
    given = {"image": image * PIXELS} | ({} if by_value else {"pixels": PIXELS})
    found = looks(module, given, padding=padding, axes={}, module=module, taps=taps)
    return [look for look in found if look[0] == "pool" or (look[1] == "pixels" and look[3] == "leak")]


@pytest.mark.parametrize("writes", [None, 7.0])
def test_a_letterbox_that_is_left_out_of_the_mean_moves_nothing_when_it_is_cut_off(writes):
    probes = [look[2:5] for look in over_image("real", writes) if look[0] == "prediction"]
    assert probes[0] == ("perturb", "leak", 0)
    assert probes[-1] == ("compact", "leak", 0)
    assert not any(size for _, _, size in probes)


def test_a_letterbox_that_counts_in_the_mean_is_found():
    assert [look[2] for look in over_image("all") if look[4]] == ["perturb", "gradient", "compact"]


def test_a_letterbox_that_the_policy_fills_and_counts_cannot_be_looked_into_but_by_a_tap():
    """What padding held is gone: without it the mean is another one, as it might be for want of positions."""
    compact = over_image("all", 7.0)[-2]
    assert compact[2:5] == ("compact", "leak", None)
    assert "other numbers in it move nothing: the policy may write its own into padded pixels" in compact[5]
    tap = Tap("see", "pixels", before="eye", behind="pool")
    found = {over: next(look for look in over_image(over, 7.0, taps=[tap]) if look[0] == "pool") for over in OVER}
    assert found["real"][4] == 0
    assert found["all"][4] > 0


OVER = ("real", "all")


def test_a_letterbox_may_be_known_by_its_value():
    sizes = {over: [look[4] for look in over_image(over, by_value=True)] for over in OVER}
    assert not any(sizes["real"])
    assert any(sizes["all"])


FRAMES = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (lambda mask: mask, set()),
        (torch.ones_like, {"leak"}),
        (lambda mask: mask & (torch.arange(mask.shape[1]) < 2), {"lost"}),
    ],
    ids=["right", "all frames", "not the last frame"],
)
def test_frames_of_patches_on_an_axis_of_their_own_may_have_any_name(mask, found):
    """Three frames of five patches of two numbers, of which some were dropped."""

    def run(b):
        seen, real = b["images"].sum((2, 3)), mask(b["frame_mask"])
        said = (seen * real).sum(1) / real.sum(1).clamp(min=1)
        return Answer(said[:, None, None].expand(-1, 4, 1) + torch.arange(4.0)[:, None])

    given = {"images": torch.arange(90.0).reshape(3, 3, 5, 2).sqrt(), "frame_mask": FRAMES}
    looked = looks(run, given, padding=[Padding("frames", FRAMES, {"images": 1}, {"frame_mask": 1})], axes={"steps": 1})
    kinds = {kind for _, axis, probe, kind, size, _ in looked if axis == "frames" and size and probe != "compact"}
    assert kinds == found


# ----------------------------------------------------------------------- entries that happen to be as long as the batch


def with_an_entry(reads, own_loss=None):
    """Three words a sample, three classes, three samples; `reads` is what is done with an entry of three numbers."""
    real = lengths(3, 3, 1, 2)
    given = {
        "words": torch.arange(1.0, 10, dtype=torch.float64).reshape(3, 3).sqrt(),
        "word_mask": real,
        "three": torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64),
        "classes": torch.tensor([0, 2, 1]),
    }

    def run(b):
        mean = (b["words"] * b["word_mask"]).sum(1) / b["word_mask"].sum(1)
        said = reads(mean[:, None] * torch.tensor([1.0, -1.0, 2.0]), b["three"])
        return Answer(said, None if own_loss is None else lambda one: own_loss(one, b["classes"], b["three"]))

    found = looks(run, given, padding=[Padding("tokens", real, {"words": 1}, {"word_mask": 1})], axes={})
    return {look[:4]: look[4:] for look in found if look[2] == "compact"}


def test_weights_of_classes_are_no_weights_of_samples_and_are_not_cut_with_them():
    found = with_an_entry(lambda said, _: said, lambda said, classes, weight: cross_entropy(said, classes, weight))
    assert {size for size, _ in found.values()} == {0}


def test_a_number_of_each_sample_is_cut_with_it():
    found = with_an_entry(lambda said, three: said * three[:, None])
    assert {size for size, _ in found.values()} == {0}


@pytest.mark.parametrize(
    "reads",
    [
        lambda said, three: said - three,
        lambda said, three: said * three.mean(),
        lambda said, three: said * three[0],
    ],
    ids=["a mean of each dim", "the mean of the samples", "the first sample's for all"],
)
def test_a_mean_of_each_dim_cannot_be_told_from_numbers_of_other_samples(reads):
    found = with_an_entry(reads)
    size, why = found["prediction", "samples", "compact", "leak"]
    assert size is None
    assert why.startswith("'three' of the batch is as long as the batch has samples")
    assert found["prediction", "tokens", "compact", "leak"][0] == 0


def test_what_mixes_samples_by_a_declared_entry_is_still_found():
    found = with_an_entry(lambda said, _: said - said.mean(0))
    assert found["prediction", "samples", "compact", "leak"][0] > 0


# --------------------------------------------------------------------------------------------- an earlier batch


class Keeping(nn.Module):
    """Keeps masks from batch to batch, in one of several places, by their shape or by what they hold."""

    def __init__(self, where, by):
        super().__init__()
        self.where, self.by, self.kept, self.held, self.calls = where, by, {}, None, 0

    def forward(self, b):
        return shut({**b, **{name: self.mask(name, b[name]) for name in ("word_mask", "step_mask")}})

    def mask(self, name, mask):
        if self.where == "dict":
            return self.kept.setdefault((name, mask.shape if self.by == "shape" else tuple(mask.flatten())), mask)
        if name == "step_mask":
            return mask
        fits = self.held is not None and self.held.shape == mask.shape
        if not fits or (self.by == "value" and not torch.equal(self.held, mask)):
            self.held = mask
        return self.held


@pytest.mark.parametrize("where", ["dict", "attribute"])
def test_a_mask_that_is_kept_by_its_shape_moves_what_comes_after_another_batch(where):
    def moved(by):
        return {look[:4] for look in looks(Keeping(where, by)) if look[4]}

    assert moved("value") == set()
    stages = ("prediction", "loss sum") if where == "dict" else ("prediction",)
    assert moved("shape") == {(stage, "samples", "perturb", "leak") for stage in stages}


class Counting(Keeping):
    """Its answer is another one at each call; `own` tells whether the batch in front of it matters."""

    def __init__(self, own):
        super().__init__("attribute", "value")
        self.own, self.sum = own, 0.0

    def forward(self, b):
        self.sum = self.sum + (1.0 if self.own else b["words"][0, 0].item())
        return Answer(predicted(b) + self.sum, lambda said: mean_of(said, b))


@pytest.mark.parametrize("own", [True, False])
def test_of_a_policy_that_goes_on_from_call_to_call_only_what_the_batch_changes_is_not_known(own):
    found = [look for look in looks(Counting(own)) if look[:3] == ("prediction", "samples", "perturb")]
    assert [look[4] for look in found] == [0 if own else None]
    assert own or "the policy goes on from call to call" in found[0][5]


def test_how_far_another_batch_moves_the_next_answer_and_what_to_do_about_it():
    class Doubling(Keeping):
        """Gives twice as much after another batch."""

        def forward(self, b):
            factor = 1 if torch.equal(self.mask("word_mask", b["word_mask"]), b["word_mask"]) else 2
            return Answer(factor * predicted(b), lambda said: factor * mean_of(said, b))

    policy = Policy(Doubling("attribute", "shape"), batch(), padding())
    found = [look for step in Probes(policy, 1.0).steps() for look in step() if look.axis == "samples" and look.size]
    after = "once another batch of the same shape has come before it, moves by 100 %"
    assert [(look.stage, look.size, look.why) for look in found] == [
        ("prediction", 1.0, f"what is predicted, {after}"),
        ("loss sum", 1.0, f"the loss of the same prediction, {after}"),
    ]
    assert all(look.hint.startswith("the policy keeps something of a batch and takes it") for look in found)


def test_a_policy_that_fails_after_another_batch_says_so():
    class Failing(Keeping):
        def forward(self, b):
            if not torch.equal(self.mask("word_mask", b["word_mask"]), b["word_mask"]):
                raise RuntimeError("the same batch, please")
            return shut(b)

    found = looks(Failing("attribute", "shape"))
    assert at("prediction", "samples", "perturb", found=found) == [(None, "RuntimeError: the same batch, please")]


def test_a_batch_of_one_sample_is_not_asked_what_a_sample_gets_from_others():
    alone = [replace(kind, real=kind.real[1:]) for kind in padding()]
    found = looks(given={name: value[1:] for name, value in batch().items()}, padding=alone)
    assert at("prediction", "samples", found=found) == []
    assert [size for size, _ in at("prediction", "steps", "compact", found=found)] == [0]


def test_a_policy_that_cannot_be_run_with_a_gradient_says_so_and_is_looked_at_otherwise():
    def run(b):
        if b["x"].requires_grad:
            raise RuntimeError("no gradient, please")
        return shut(b)

    found = looks(run)
    why = "RuntimeError: no gradient, please"
    assert at("prediction", "dims and steps", "gradient", "leak", found=found) == [(None, why)]
    assert at("prediction", "dims", "perturb", "leak", found=found) == [(0, f"{ENTRIES} 0 %")]


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
