"""What is drawn once is drawn again."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from groot_teach.audit import Answer, Padding, audit_masks
from groot_teach.audit.draws import (
    SOUND_RANDOM,
    OtherDraws,
    Recorder,
    Replayer,
    Sparingly,
    Unheard,
    decided,
    keep_everything,
)

DRAWS = {
    "normal numbers": lambda: torch.randn(2, 3),
    "like a tensor": lambda: torch.rand_like(torch.zeros(2, 3)),
    "in place": lambda: torch.zeros(2, 3).normal_(),
    "whole numbers": lambda: torch.randint(0, 99, (2, 3)),
    "of a generator": lambda: torch.randn(2, 3, generator=torch.Generator()),
    "of a distribution": lambda: torch.distributions.Beta(torch.tensor(1.5), torch.tensor(1.0)).sample([2]),
    "an order": lambda: torch.randperm(7),
    "one of several, softly": lambda: nn.functional.gumbel_softmax(torch.zeros(2, 3)),
    "dropout": lambda: nn.functional.dropout(torch.ones(4, 5), 0.5),
    "dropout inside attention": lambda: nn.functional.scaled_dot_product_attention(
        *(torch.linspace(-1, 1, 24).reshape(1, 2, 3, 4) for _ in range(3)), dropout_p=0.5
    ),
}


@pytest.mark.parametrize("what", DRAWS)
def test_each_kind_of_draw_is_written_down_and_given_back(what):
    torch.manual_seed(0)
    with Recorder() as recorder:
        first = DRAWS[what]()
    assert len(recorder.drawn) == 1
    torch.manual_seed(1)
    assert what == "of a generator" or not torch.equal(DRAWS[what](), first)
    with Replayer(recorder.drawn) as replayer:
        again = DRAWS[what]()
    replayer.finish()
    assert torch.equal(again, first)


@pytest.mark.parametrize("what", ["dropout", "dropout inside attention"])
def test_in_inference_mode_dropout_is_repeated_for_whatever_it_is_given(what):
    """There PyTorch hands over dropout as a whole: its result must not be taken for a draw."""
    run = {
        "dropout": lambda x: nn.functional.dropout(x, 0.5),
        "dropout inside attention": lambda x: nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    }[what]
    x = torch.linspace(-1, 1, 24).reshape(1, 2, 3, 4)
    with torch.inference_mode():
        with Recorder() as recorder:
            first = run(x)
        with Replayer(recorder.drawn) as replayer:
            assert torch.equal(run(x), first)
        replayer.finish()
        with Replayer(recorder.drawn):
            assert not torch.equal(run(2 * x), first)


def test_dropout_as_one_operation_is_repeated_by_what_it_keeps():
    x = torch.linspace(1, 2, 20)
    with Recorder() as recorder:
        first, kept = torch.native_dropout(x, 0.5, True)
    with Replayer(recorder.drawn):
        again, _ = torch.native_dropout(3 * x, 0.5, True)
    assert torch.equal(recorder.drawn[0], kept)
    assert torch.allclose(again, 3 * first)


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_who_listens_to_dropout_as_one_operation_does_not_change_it(rate):
    x = torch.linspace(1, 2, 20)
    torch.manual_seed(0)
    alone = torch.native_dropout(x, rate, True)
    torch.manual_seed(0)
    with Recorder():
        heard = torch.native_dropout(x, rate, True)
    torch.testing.assert_close(heard, alone)


def test_dropout_as_one_operation_draws_nothing_outside_of_training():
    x = torch.linspace(1, 2, 20)
    with Recorder() as recorder:
        out, _ = torch.native_dropout(x, 0.5, False)
    assert torch.equal(out, x)
    assert recorder.drawn == []


def test_attention_in_inference_mode_draws_nothing_and_keeps_its_scale():
    query = torch.linspace(-1, 1, 8).reshape(1, 1, 4, 2)
    with torch.inference_mode():
        alone = nn.functional.scaled_dot_product_attention(query, query, query, scale=3.0)
        with Recorder() as recorder:
            heard = nn.functional.scaled_dot_product_attention(query, query, query, scale=3.0)
    assert torch.allclose(heard, alone)
    assert recorder.drawn == []


def test_attention_without_dropout_draws_nothing():
    with Recorder() as recorder:
        query = torch.ones(1, 1, 2, 2)
        nn.functional.scaled_dot_product_attention(query, query, query)
    assert recorder.drawn == []


def test_draws_keep_their_order_and_are_not_changed_by_who_uses_them():
    with Recorder() as recorder:
        first, second = torch.rand(2), torch.rand(2)
        first.zero_()
    with Replayer(recorder.drawn):
        again = torch.rand(2)
        assert torch.equal(torch.rand(2), second)
    assert not torch.equal(again, first)


def test_another_shape_one_too_many_and_one_too_few_are_named():
    other = r"draw 0 \(aten.rand.default\) has the shape \(3,\), expected \(2,\)"
    with pytest.raises(OtherDraws, match=other), Replayer([torch.zeros(2)]):
        torch.rand(3)
    with pytest.raises(OtherDraws, match=r"it drew more than 1 times, \(5,\) at last"), Replayer([torch.zeros(2)]):
        torch.rand(2), torch.rand(5)
    with Replayer([torch.zeros(2), torch.zeros(2)]) as replayer:
        torch.rand(2)
    with pytest.raises(OtherDraws, match="it drew 1 times, expected 2"):
        replayer.finish()


@pytest.mark.parametrize("dropout", [nn.functional.dropout, lambda x: torch.native_dropout(x, 0.5, True)])
def test_a_draw_of_dropout_is_called_so(dropout):
    message = r"draw 0 \(dropout(, or bernoulli_)?\) has the shape \(3,\), expected \(2,\)"
    with pytest.raises(OtherDraws, match=message), Replayer([torch.zeros(2)]):
        dropout(torch.ones(3))


# ------------------------------------------------------------------------- draws that are made with a policy's numbers

NORMAL = {
    "around a mean": lambda x: torch.normal(x, 2.0),
    "of spread 1": lambda x: torch.normal(x),
    "of a spread": lambda x: torch.normal(0.0, x),
    "both": lambda x: torch.normal(x, x),
    "into another": lambda x: torch.normal(x, 1.0, out=torch.empty(2, 3)),
    "of a distribution": lambda x: torch.distributions.Normal(x, 2.0).sample(),
}


@pytest.mark.parametrize("what", NORMAL)
def test_normal_numbers_follow_the_mean_and_the_spread_of_each_run(what):
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with Recorder() as recorder:
        first = NORMAL[what](x)
    with Replayer(recorder.drawn):
        assert torch.equal(NORMAL[what](x), first)
    mean, spread = {"around a mean": (1, 0), "of a spread": (0, 1), "both": (1, 1)}.get(what, (1, 0))
    with Replayer(recorder.drawn):
        again = NORMAL[what](x + 1)
    assert torch.allclose(again, first + mean + spread * recorder.drawn[0], atol=1e-5)


def test_normal_numbers_around_a_mean_alone_have_the_spread_of_their_noise():
    x = torch.tensor([1.0, 2.0, 3.0])
    with Recorder() as recorder:
        first = torch.normal(x)
    assert torch.equal(first, x + recorder.drawn[0])
    assert recorder.drawn[0].all()


CHOICES = {
    "bernoulli": torch.bernoulli,
    "into another": lambda p: torch.bernoulli(p, out=torch.empty_like(p)),
    "in place": lambda p: torch.zeros(p.shape, dtype=torch.bool).bernoulli_(p),
    "of a distribution": lambda p: torch.distributions.Bernoulli(p).sample(),
    "one of two": lambda p: torch.multinomial(torch.stack([1 - p, p], -1), 1).flatten(),
    "one of two, many times": lambda p: torch.multinomial(torch.stack([1 - p, p], -1), 3, replacement=True).T,
    "category": lambda p: torch.distributions.Categorical(torch.stack([1 - p, p], -1)).sample(),
    "one hot": lambda p: torch.distributions.OneHotCategorical(torch.stack([1 - p, p], -1)).sample()[:, 1],
}


@pytest.mark.parametrize("what", CHOICES)
def test_a_choice_follows_the_probabilities_of_each_run_and_tips_when_they_move_a_little(what):
    choose, p = CHOICES[what], torch.linspace(0.2, 0.8, 400)
    torch.manual_seed(1)
    with Recorder() as recorder:
        first = choose(p).bool()

    def again(p):
        with Replayer(recorder.drawn):
            return choose(p).bool()

    assert torch.equal(again(p), first)
    assert torch.equal(again(p + 1e-5), first)  # no more than rounding
    assert 0.1 < first[..., p < 0.3].float().mean() < 0.4 < 0.6 < first[..., p > 0.7].float().mean() < 0.9
    assert torch.equal(again(p + 0.01), torch.ones_like(first))
    assert torch.equal(again(p - 0.01), torch.zeros_like(first))
    assert torch.equal(again(torch.ones(400)), torch.ones_like(first))
    assert torch.equal(again(torch.zeros(400)), torch.zeros_like(first))


def test_several_different_classes_follow_their_probabilities():
    p = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    with Recorder() as recorder:
        first = torch.multinomial(p, 2)
    assert (first[:, 0] != first[:, 1]).all()
    with Replayer(recorder.drawn):
        assert torch.equal(torch.multinomial(p, 2), first)
    with Replayer(recorder.drawn):
        again = torch.multinomial(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]), 2)
    assert again.sort().values.tolist() == [[0, 1], [2, 3]]


def test_a_class_between_two_others_tips_to_either_of_them_where_their_chances_grow():
    torch.manual_seed(1)
    p = torch.tensor([0.2, 0.6, 0.2]).repeat(400, 1)
    with Recorder() as recorder:
        first = torch.multinomial(p, 1)
    for way in (1, -1):
        with Replayer(recorder.drawn):
            changed = torch.multinomial(p + 0.05 * way * torch.tensor([1, 0, -1]), 1)[first == 1] - 1
        assert set(changed.tolist()) == {0, -way}
        assert 0.3 < (changed != 0).float().mean() < 0.7


def test_a_class_with_hardly_a_chance_that_was_chosen_is_chosen_again():
    """Its range is narrower than what rounding may move."""
    torch.manual_seed(1)
    p = torch.tensor([0.4995, 0.001, 0.4995]).repeat(8000, 1)
    with Recorder() as recorder:
        first = torch.multinomial(p, 1)
    assert 0 < (first == 1).sum() < 30
    with Replayer(recorder.drawn):
        assert torch.equal(torch.multinomial(p, 1), first)


@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize("count", [2, 5])
def test_a_class_without_a_chance_is_never_chosen(count, rows):
    p = torch.zeros(rows, count)
    p[:, -1] = 1
    with Recorder() as recorder:
        assert (torch.multinomial(p, 1) == count - 1).all()
    with Replayer(recorder.drawn):
        assert (torch.multinomial(p, 1) == count - 1).all()
    with Replayer(recorder.drawn):
        assert (torch.multinomial(p.flip(1), 1) == 0).all()


OTHERS = {
    "gamma": lambda x: torch.distributions.Gamma(x, torch.ones(2)).sample(),
    "beta": lambda x: torch.distributions.Beta(x, torch.ones(2)).sample(),
    "poisson": torch.poisson,
    "binomial": lambda x: torch.binomial(x, torch.full((2,), 0.5)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_made_of_numbers_in_another_way_is_repeated_for_the_same_numbers_alone(what):
    x = torch.tensor([4.0, 7.0])
    with Recorder() as recorder:
        first = OTHERS[what](x)
    with Replayer(recorder.drawn):
        assert torch.equal(OTHERS[what](x * (1 + 1e-6)), first)
    with pytest.raises(OtherDraws, match="draws with other numbers than in the first run"), Replayer(recorder.drawn):
        OTHERS[what](x + 1)


def test_bernoulli_draws_are_taken_for_dropout():
    with Recorder() as recorder:
        torch.bernoulli(torch.full((20,), 0.3)), torch.randn(3)
    chances, noise = keep_everything([recorder.drawn[0][2:4], recorder.drawn[1]])
    with Replayer([chances]):
        assert torch.bernoulli(torch.full((2,), 0.3)).tolist() == [1, 1]
    assert torch.equal(noise, recorder.drawn[1])


LATENTS = {
    "normal": lambda score: torch.normal(score, 0.1),
    "bernoulli": lambda score: torch.bernoulli(score.sigmoid()),
    "category": lambda score: torch.multinomial(score.softmax(-1), 1).expand(-1, 6).float(),
    "gamma": lambda score: torch.distributions.Gamma(score.exp(), 1.0).sample(),
}


@pytest.mark.parametrize("reads_padding", [False, True])
@pytest.mark.parametrize("what", LATENTS)
def test_padding_that_moves_what_a_latent_is_drawn_from_is_seen(what, reads_padding):
    torch.manual_seed(1)
    tokens, real = torch.randn(3, 5, 4), torch.arange(5) < torch.tensor([[5], [3], [2]])
    layer = nn.Linear(4, 6)

    def run(b):
        mask = torch.ones_like(b["mask"]) if reads_padding else b["mask"]
        score = (layer(b["tokens"]) * mask[..., None]).sum(1)
        return Answer(LATENTS[what](score))

    padding = [Padding("tokens", real, {"tokens": 1}, {"mask": 1})]
    report = audit_masks(run, {"tokens": tokens, "mask": real}, padding, axes={}, excused={"sampler": "none"})
    found = {(one.stage, one.axis, one.kind) for one in report.unintended}
    if what == "gamma":  # nothing is found, and nothing is called clean
        assert not found
        assert any("draws with other numbers" in look.why for look in report.unseen)
    else:
        assert (("prediction", "tokens", "leak") in found) == reads_padding


@pytest.mark.parametrize("axes", [{}, {"steps": 1}], ids=["of all", "of each step"])
def test_a_place_that_seems_hidden_from_a_policy_that_makes_a_choice_could_not_be_looked_at(axes):
    """All words but the first shift the chances too little for the choice to follow."""
    torch.manual_seed(1)
    words, weight = torch.randn(2, 4), torch.tensor([1.0, 1e-6, 1e-6, 1e-6])
    real = torch.arange(4) < torch.tensor([[4], [3]])

    def lost(predicted):
        def run(b):
            score = (weight * b["words"] * b["mask"]).sum(1, keepdim=True)
            chances = score.sigmoid() if predicted else torch.full_like(score, 0.3)
            return Answer(torch.bernoulli(chances).expand(-1, 3) + score.round())

        padding = [Padding("words", real, {"words": 1}, {"mask": 1})]
        report = audit_masks(run, {"words": words, "mask": real}, padding, axes=axes, excused={"sampler": "none"})
        return [one for one in report.looks if one.kind == "lost" and one.stage == "prediction"]

    (unseen,) = lost(predicted=True)
    assert unseen.size is None
    assert "but the policy draws a choice from probabilities, and one of the words alone may not tip it" in unseen.why
    (found,) = lost(predicted=False)
    assert found.size == pytest.approx(5 / 7)


@pytest.mark.skipif(not hasattr(TorchDispatchMode, "supports_higher_order_operators"), reason="this torch cannot")
@pytest.mark.parametrize("mode", [Recorder(), Replayer([])], ids=["written down", "repeated"])
def test_operations_that_are_given_functions_run_as_well(mode):
    """`torch.cond` is one, flex attention another."""
    with mode:
        assert torch.cond(torch.tensor(True), torch.sin, torch.cos, (torch.zeros(1),)).item() == 0


# -------------------------------------------------------------------------------------------- dropout keeps everything


def test_dropout_is_made_to_keep_everything_and_other_draws_stay():
    others = torch.tensor([0.0, 0.5, 2.0]), torch.tensor([1, 2, 1]), torch.tensor([3.0])
    scaled, kept = torch.tensor([2.0, 0.0, 2.0, 0.0]), torch.tensor([True, False])
    *same, of_scaled, of_kept = keep_everything([*others, scaled, kept])
    assert all(one is other for one, other in zip(same, others, strict=True))
    assert of_scaled.tolist() == [2, 2, 2, 2]
    assert of_kept.tolist() == [True, True]


def test_where_nothing_is_dropped_there_is_nothing_to_keep():
    assert keep_everything([]) is None
    assert keep_everything([torch.tensor([0.0, 0.5, 2.0]), torch.tensor([2.0, 2.0])]) is None


# --------------------------------------------------------------------------------------------------------- precision

PRODUCTS = {
    "of two matrices": lambda x: x @ x,
    "without a row": lambda x: x[:0] @ x,
    "of a layer": lambda x: nn.functional.linear(x, x, x[0]),
    "of a batch": lambda x: torch.bmm(x[None], x[None]),
    "of a batch, added to another": lambda x: torch.baddbmm(x[None], x[None], x[None]),
    "of a convolution": lambda x: nn.functional.conv1d(x[None], x[None]),
    "of attention": lambda x: nn.functional.scaled_dot_product_attention(*[x[None, None]] * 3),
}


@pytest.mark.parametrize("what", PRODUCTS)
def test_the_precision_of_a_run_is_the_coarsest_of_its_products(what):
    x = torch.ones(2, 2)
    with Recorder() as recorder:
        x @ x, PRODUCTS[what](x.bfloat16()), x @ x
    assert recorder.precision == 1 / 128


def test_only_products_that_are_rounded_have_a_precision():
    with Recorder() as recorder:
        torch.ones(2, dtype=torch.bfloat16) + 1, torch.ones(2, 2, dtype=torch.long) @ torch.ones(2, 2, dtype=torch.long)
    assert recorder.precision == 0


# ------------------------------------------------------------------------------------------------- listening sparingly


@pytest.mark.parametrize("what", DRAWS)
def test_listening_sparingly_hears_each_kind_of_draw(what):
    recorder = Recorder()
    with Sparingly(recorder) as sparingly:
        first = DRAWS[what]().add(1).sub(1)
    sparingly.finish()
    assert len(recorder.drawn) == 1
    replayer = Replayer(recorder.drawn)
    with Sparingly(replayer) as sparingly:
        assert torch.equal(DRAWS[what]().add(1).sub(1), first)
    sparingly.finish()


def test_whatever_takes_a_generator_of_its_own_sounds_random():
    """Its draws change no generator that is watched."""
    takes_one = {
        schema.name
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("aten::")
        and any("Generator" in str(argument.type) for argument in schema.arguments)
        and any("Tensor" in str(given.type) for given in schema.returns)
    }
    assert len(takes_one) > 20
    assert [name for name in sorted(takes_one) if not any(part in name for part in SOUND_RANDOM)] == []


UNHEARD = {
    "within another operation": lambda: nn.functional.fractional_max_pool2d(torch.ones(1, 1, 6, 6), 2, output_size=3),
    "seeded": lambda: torch.manual_seed(0),
}


@pytest.mark.parametrize("what", UNHEARD)
@pytest.mark.parametrize("then", [lambda: None, lambda: torch.rand(2)], ids=["at the end", "before a draw"])
def test_what_is_drawn_elsewhere_is_noticed(what, then):
    def run():
        with Sparingly(Recorder()) as sparingly:
            UNHEARD[what]()
            then()
        sparingly.finish()

    torch.manual_seed(1)  # else the seed 0 might be what an earlier test left, and setting it again would draw nothing
    with pytest.raises(Unheard, match="whose name does not sound random"):
        run()


def test_a_run_that_is_listened_to_sparingly_must_not_draw_less_either():
    with Sparingly(Replayer([torch.zeros(2), torch.zeros(2)])) as sparingly:
        torch.rand(2)
    with pytest.raises(OtherDraws, match="it drew 1 times, expected 2"):
        sparingly.finish()


# ------------------------------------------------------------------------------- conditions that are dropped by chance


def kept_by(how, chance, count):
    """Which samples keep their words, each with a probability of 1 - `chance`."""
    return {
        "rand <": lambda: ~(torch.rand(count) < chance),
        "rand >": lambda: torch.rand(count, 1)[:, 0] > chance,
        "a number of its own": lambda: torch.rand(count) < 1 - torch.full((count,), chance),
        "one for all": lambda: (torch.rand(()) >= chance).expand(count),
        "bernoulli": lambda: torch.bernoulli(torch.full((count,), 1 - chance)).bool(),
        "bernoulli drops": lambda: ~torch.bernoulli(torch.full((count,), chance)).bool(),
    }[how]()


def dropping(how, chance, reads):
    """A flow policy that draws its time by `torch.rand` too, and reads its words by the mask that `reads` makes."""
    words, steps = torch.arange(3) < torch.tensor([3, 1, 2, 3])[:, None], torch.arange(2) < torch.tensor([[2], [1]] * 2)
    given = {"actions": torch.arange(16.0).reshape(4, 2, 2), "words": torch.arange(12.0).reshape(4, 3).sin()}
    padding = [
        Padding("tokens", words, {"words": 1}, {"word_mask": 1}),
        Padding("steps", steps, {"actions": 1}, {"step_mask": 1}),
    ]

    def run(b):
        t = torch.rand(len(b["actions"]))[:, None, None]
        noise, real = torch.randn_like(b["actions"]), b["step_mask"][..., None].expand_as(b["actions"])
        said = (b["words"] * reads(b["word_mask"])).sum(1) * kept_by(how, chance, len(t))
        predicted = (1 - t) * noise + t * b["actions"] + said[:, None, None]
        target = b["actions"] - noise
        return Answer(predicted, lambda one: ((one - target).square() * real).sum() / real.sum())

    masks = {"word_mask": words, "step_mask": steps}
    return audit_masks(run, given | masks, padding, excused={"sampler": "there is none"}, axes={"steps": 1})


READS = {
    "right": lambda mask: mask,
    "leak": torch.ones_like,
    "lost": lambda mask: mask & (torch.arange(mask.shape[1]) > 0),
}
WAYS_TO_DROP = ["rand <", "rand >", "a number of its own", "one for all", "bernoulli", "bernoulli drops"]


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("how", WAYS_TO_DROP)
@pytest.mark.parametrize("chance", [0.1, 0.4])
def test_words_that_are_dropped_by_chance_are_neither_lost_nor_is_their_leak_missed(how, chance, reads):
    report = dropping(how, chance, READS[reads])
    assert not report.unseen
    expected = {"right": [], "leak": ["prediction, tokens, leak"], "lost": ["prediction, tokens, lost"]}[reads]
    assert [finding.full_name for finding in report.findings] == expected


@pytest.mark.parametrize("reads", READS)
def test_of_words_that_are_dropped_in_most_batches_a_leak_is_found_and_what_is_lost_is_not_known(reads):
    report = dropping("rand <", 0.9, READS[reads])
    assert [finding.full_name for finding in report.findings] == ["prediction, tokens, leak"] * (reads == "leak")
    assert any("it does where what is drawn decides otherwise" in look.why for look in report.unseen)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(4),
        lambda: torch.rand_like(torch.zeros(4)),
        lambda: torch.empty(4).uniform_(),
        lambda: torch.nn.init.uniform_(torch.empty(4)),
    ],
    ids=["rand", "rand_like", "uniform_", "init"],
)
def test_what_a_uniform_draw_is_compared_with_is_noted_as_it_is_then(draw):
    chance = torch.tensor(0.3)
    with Recorder() as recorder:
        draw() < chance  # noqa: B015
    chance.fill_(0.9)
    (usual,) = decided(recorder.drawn, usual=True) or recorder.drawn
    (rare,) = decided([usual], usual=False)
    assert (usual > 0.3).all()
    assert (rare < 0.3).all()


def test_normal_numbers_that_are_compared_decide_nothing():
    with Recorder() as recorder:
        torch.randn(40) < 0.3  # noqa: B015
    assert decided(recorder.drawn, usual=True) is decided(recorder.drawn, usual=False) is None


def test_a_part_of_a_draw_that_is_compared_comes_out_as_it_usually_does_and_the_rest_stays():
    with Recorder() as recorder:
        drawn = torch.rand(4, 2)
        drawn[:, 1] < 0.2  # noqa: B015
    (record,) = recorder.drawn
    record[:] = torch.tensor([[0.1, 0.1], [0.1, 0.3], [0.9, 0.15], [0.9, 0.9]])
    (usual,) = decided([record], usual=True)
    torch.testing.assert_close(usual, torch.tensor([[0.1, 0.3], [0.1, 0.3], [0.9, 0.25], [0.9, 0.9]]))
    assert decided([usual], usual=True) is None
    (rare,) = decided([usual], usual=False)
    torch.testing.assert_close(rare, torch.tensor([[0.1, 0.1], [0.1, 0.1], [0.9, 0.15], [0.9, 0.0]]))
