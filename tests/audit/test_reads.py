"""Who reads what, asked of policies that are sums: which step reads which place is written down beside them."""

import pytest
import torch
from audit_cases import lengths
from torch import nn

from groot_teach.audit import Answer, Padding, Tap, audit_masks
from groot_teach.audit.policy import Policy, with_draws
from groot_teach.audit.reads import Reach, _alike, _lost, _mean_where, _one_by_one, lost_places, who_reads_what

STEPS, TOKENS = lengths(3, 3, 2), lengths(4, 4, 2)
"""Two samples: three steps and four words are real in the first one, two and two in the second one."""
ASKED = torch.ones(2, 4, dtype=torch.bool)
ALL_WORDS, OWN_STEP = torch.ones(2, 3, 4), torch.eye(3).expand(2, 3, 3)


def batch():
    count = torch.arange(1.0, 13).reshape(2, 3, 2)
    return {"x": count, "words": torch.arange(1.0, 17).reshape(2, 4, 2)}


def padding():
    return [
        Padding("dims", lengths(2, 2, 1), {"x": 2}),
        Padding("steps", STEPS, {"x": 1}),
        Padding("tokens", TOKENS, {"words": 1}),
    ]


def reading(words=ALL_WORDS, steps=OWN_STEP):
    """`batch, step, place`, above 0 = this step reads that place."""
    return lambda b: Answer(steps @ b["x"] + words @ b["words"])


def seen(run, given=None, real=None, **more):
    given = given or batch()
    policy = Policy(run, given, more.pop("padding", padding()), **more)
    real = STEPS[..., None].expand(2, 3, 2) if real is None else real
    return [
        (look.stage, look.axis, look.probe, look.kind, None if look.size is None else round(look.size, 6), look.why)
        for look in who_reads_what(policy, given, policy.ask(given), real)
    ]


def said(axis, size, pairs, such_as="", stage="prediction", probe="gradient"):
    why = f"in {pairs} pairs a real step does not depend on one of the real {axis}{such_as}"
    return (stage, axis, probe, "lost", round(size, 6), why)


def without(reads, *place):
    less = reads.clone()
    less[place] = 0
    return less


# --------------------------------------------------------------------------------------------------- the prediction


@pytest.mark.parametrize("graph", [True, False])
def test_a_word_that_dropout_has_cut_off_by_chance_is_not_lost(graph):
    def run(b):
        reads = torch.dropout(ALL_WORDS, 0.5, True)
        return reading(reads)(b | {"words": b["words"] if graph else b["words"].detach()})

    policy = Policy(run, batch(), padding())
    first = policy.ask(batch())
    assert not first.drawn[0].all()
    given, real = with_draws(batch(), first.drawn), STEPS[..., None].expand(2, 3, 2)
    looks = list(who_reads_what(policy, given, policy.ask(given), real))
    assert [look.size for look in looks] == [0, 0], looks


def test_every_real_step_reads_every_real_word_and_its_own_step():
    """3 steps x 4 words and 2 x 2; 3 steps and 2."""
    assert seen(reading()) == [said("steps", 0.0, "0 of 5"), said("tokens", 0.0, "0 of 16")]


def test_a_word_that_one_step_does_not_read_is_named():
    steps, tokens = seen(reading(without(ALL_WORDS, 0, 2, 1)))
    assert steps[4] == 0
    assert tokens == said("tokens", 1 / 16, "1 of 16", ", such as sample 0, step 2, token 1")


def test_what_padded_steps_and_padded_words_do_is_not_asked():
    unread = without(without(ALL_WORDS, 1, 2), 1, slice(None), 3)
    assert [look[4] for look in seen(reading(unread))] == [0, 0]


def test_words_that_nobody_reads_are_the_business_of_another_look():
    """Without a gradient to any word there is nothing to compare with: `perturb` says that."""
    assert seen(reading(0 * ALL_WORDS)) == [said("steps", 0.0, "0 of 5")]


def test_steps_that_no_sample_reads_may_be_causal_and_one_that_another_sample_reads_is_lost():
    causal = torch.ones(3, 3).tril().expand(2, 3, 3)
    assert seen(reading(steps=causal))[0] == said("steps", 0.0, "0 of 9")
    cut = without(causal, 1, 1, 0)
    assert seen(reading(steps=cut))[0] == said("steps", 1 / 9, "1 of 9", ", such as sample 1, step 1, step 0")


def long_steps(*lengths_of, first=False):
    """Samples of so many of five steps, and what is asked of a policy that reads some of them: how many are lost."""
    real = lengths(5, *lengths_of)
    real = real.flip(1) if first else real
    given = {"x": torch.arange(1.0, 1 + 10 * len(real)).reshape(-1, 5, 2)}

    def lost(reads):
        run = lambda b: Answer(reads.expand(len(real), 5, 5) @ b["x"])  # noqa: E731
        found = seen(run, given, real[..., None].expand(-1, 5, 2), padding=[Padding("steps", real, {"x": 1})])
        return found[0][5].split(" pairs")[0]

    return lost


@pytest.mark.parametrize("seen_by", [torch.ones(5, 5), torch.ones(5, 5).tril()], ids=["both ways", "causal"])
def test_a_step_that_is_hidden_from_all_others_is_lost_where_others_are_read_from_as_far(seen_by):
    lost = long_steps(5, 3)
    assert lost(seen_by).startswith("in 0 of ")
    first_hidden = torch.where(torch.eye(5) + (torch.arange(5) > 0) > 0, seen_by, 0.0)
    # Those that are 1 and 2 steps behind it, in both samples: at 3 only one other step is read, and at 4 none.
    assert lost(first_hidden).startswith("in 4 of ")
    second_hidden = torch.where(torch.eye(5) + (torch.arange(5) != 1) > 0, seen_by, 0.0)
    assert not lost(second_hidden).startswith("in 0 of ")


@pytest.mark.parametrize(
    "right",
    [
        torch.block_diag(torch.ones(2, 2), torch.ones(2, 2), torch.ones(1, 1)) + torch.ones(5, 5).tril() > 0,
        torch.eye(5) + (torch.arange(5) < 1) > 0,
        torch.eye(5) + torch.eye(5).roll(1, 0).tril() > 0,
        torch.eye(5) > 0,
    ],
    ids=["causal blocks", "a global step", "the step before", "its own"],
)
def test_masks_of_other_designs_hide_no_single_step(right):
    assert long_steps(5, 4)(right.float()).startswith("in 0 of ")


@pytest.mark.parametrize("first", [False, True], ids=["the last real step", "the first real step"])
def test_steps_may_read_one_end_of_their_sample_wherever_it_lies(first):
    """Five, three and two steps, padded behind or in front."""
    ends = torch.zeros(3, 1, 5)
    for sample, end in enumerate([0, 2, 3] if first else [4, 2, 1]):
        ends[sample, 0, end] = 1
    lost, reads = long_steps(5, 3, 2, first=first), (torch.eye(5) + ends > 0).float()
    assert lost(reads).startswith("in 0 of ")
    assert not lost(without(reads, 0, 3, 0 if first else 4)).startswith("in 0 of ")


def test_a_padded_step_that_is_read_does_not_ask_others_to_read_it():
    """The third step of the second sample is padded: that it reads the first one obliges nobody."""
    reads = OWN_STEP.clone()
    reads[1, 2, 0] = 1
    assert seen(reading(steps=reads))[0] == said("steps", 0.0, "0 of 5")


def test_where_two_entries_hold_the_same_words_one_that_is_read_is_enough():
    given = batch() | {"more": torch.ones(2, 4, 2)}
    both = [*padding()[:2], Padding("tokens", TOKENS, {"words": 1, "more": 1})]
    early = without(ALL_WORDS, slice(None), slice(None), 3)
    late = ALL_WORDS - early

    def run(b):
        return Answer(b["x"] + early @ b["words"] + late @ b["more"])

    assert seen(run, given, padding=both) == [said("steps", 0.0, "0 of 5"), said("tokens", 0.0, "0 of 16")]


@pytest.mark.parametrize("unread", [False, True])
def test_words_that_are_whole_numbers_are_moved_one_by_one(unread):
    given = {"x": batch()["x"], "words": batch()["words"].long()}
    words = without(ALL_WORDS, 0, 2, 1) if unread else ALL_WORDS
    found = seen(lambda b: Answer(b["x"] + words @ torch.arange(20.0)[b["words"]]), given)  # as an embedding is read
    share = (1 / 16, "1 of 16", ", such as sample 0, step 2, token 1") if unread else (0.0, "0 of 16")
    assert found == [said("steps", 0.0, "0 of 5"), said("tokens", *share, probe="perturb")]


def test_the_places_of_a_policy_without_a_graph_are_moved_one_by_one():
    found = seen(torch.no_grad()(reading(without(ALL_WORDS, slice(None), slice(None), 0))))
    lost = said("tokens", 5 / 16, "5 of 16", ", such as sample 0, step 0, token 0", probe="perturb")
    assert found == [said("steps", 0.0, "0 of 5", probe="perturb"), lost]


def test_of_many_places_the_first_the_last_and_some_between_are_moved():
    long = torch.arange(80.0).reshape(2, 40, 1)
    padding = [Padding("steps", STEPS, {"x": 1}), Padding("tokens", lengths(40, 40, 10), {"words": 1})]
    last = torch.arange(40) == 39

    def run(b):
        return Answer(b["x"] + (b["words"] * ~last[:, None]).sum((1, 2))[:, None, None])

    _, look = seen(torch.no_grad()(run), {"x": batch()["x"], "words": long}, padding=padding)
    # 16 words of the first sample beside its 3 steps, 10 of the second one beside its 2.
    assert look[5] == said("tokens", 0, "3 of 68", ", such as sample 0, step 0, token 39")[5]


def test_samples_of_many_places_together_leave_out_none_and_it_is_said_how_many_are_moved():
    """16 of 40 words in each of three samples; word 20 is hidden in all of them."""
    rounds = torch.stack([*_one_by_one(torch.ones(3, 40, dtype=torch.bool), 16)])
    assert rounds.sum(dim=(0, 2)).tolist() == [16, 16, 16]
    assert rounds.any(dim=(0, 1)).all()
    assert rounds.any(dim=0)[:, [0, -1]].all()

    given, real = {"x": torch.ones(3, 3, 2), "words": torch.arange(120.0).reshape(3, 40, 1)}, lengths(40, 40, 40, 10)
    kinds = [Padding("steps", lengths(3, 3, 3, 2), {"x": 1}), Padding("tokens", real, {"words": 1})]
    heard = real & (torch.arange(40) != 20)
    run = lambda b: Answer(b["x"] + (b["words"] * heard[..., None]).sum((1, 2))[:, None, None])  # noqa: E731
    report = audit_masks(torch.no_grad()(run), given, kinds)
    (found,) = [finding for finding in report.findings if finding.full_name == "prediction, tokens, lost"]
    assert ", token 20" in found.why
    (note,) = [note for note in report.notes if "moved one by one" in note]
    assert note.startswith("of up to 40 real tokens of a sample only 16 were moved")
    assert not audit_masks(reading(), batch(), padding()[1:]).notes


@pytest.mark.parametrize(
    "frames",
    [torch.ones(3, 4).tril(), torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0]]), torch.ones(3, 4).tril().flip(1)],
    ids=["one more each", "two at a time", "the last ones"],
)
def test_frames_that_steps_read_up_to_a_place_that_grows_may_be_causal(frames):
    run = reading(torch.cat([frames[:2], torch.ones(1, 4)]).expand(2, 3, 4))
    policy = Policy(run, batch(), padding())
    looks = who_reads_what(policy, batch(), policy.ask(batch()), STEPS[..., None].expand(2, 3, 2))
    (look,) = [look for look in looks if look.axis == "tokens"]
    assert look.size
    assert look.size > 0
    assert ("intended={'prediction, tokens, lost': 'causal'}" in look.hint) == bool(frames[0, 0])


def test_steps_that_fall_into_groups_may_be_documents_and_one_that_is_lost_within_a_group_is_none():
    """Five steps; in the second sample every one reads every other one, so all of the first one are expected to."""
    groups = torch.zeros(2, 6, 6)
    groups[0, :5, :5], groups[1] = torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)), 1
    real = lengths(6, 5, 5)

    def hint(reads):
        given = {"x": torch.arange(1.0, 25).reshape(2, 6, 2)}
        policy = Policy(lambda b: Answer(reads @ b["x"]), given, [Padding("steps", real, {"x": 1})])
        looks = who_reads_what(policy, given, policy.ask(given), real[..., None].expand(2, 6, 2))
        return [(look.hint, int(look.why.split()[1])) for look in looks]

    ((documents, lost),) = hint(groups)
    assert (lost, "documents=" in documents) == (2 * 2 * 3, True)
    assert hint(without(groups, 0, 3, 2)) == [("", 1 + 2 * 2 * 3)]


def test_a_place_on_which_a_run_fails_if_it_is_moved_is_read():
    def run(b):
        if not torch.equal(b["words"][0, 1], batch()["words"][0, 1]):
            raise RuntimeError("that word, please")
        return Answer((b["x"] + without(ALL_WORDS, slice(None), slice(None), 1) @ b["words"]).detach())

    assert seen(run)[1] == said("tokens", 0.0, "0 of 16", probe="perturb")


def test_steps_that_are_given_and_no_target_are_compared_with_such_steps_alone():
    """Two steps of the first sample are given, one of the second: a target reads all that is given, and itself."""
    targets = torch.tensor([[False, False, True], [False, True, True]])
    reads = torch.tensor([[[1.0, 1, 0], [1, 1, 0], [1, 1, 1]], [[1, 0, 0], [1, 1, 0], [1, 0, 1]]])
    kinds = [Padding("steps", STEPS, {"x": 1}, targets=targets)]
    real = (STEPS & targets)[..., None].expand(2, 3, 2)
    assert seen(reading(steps=reads), padding=kinds, real=real) == [said("steps", 0.0, "0 of 5")]
    blind = without(reads, 0, 2, 0)
    lost = said("steps", 1 / 5, "1 of 5", ", such as sample 0, step 2, step 0")
    assert seen(reading(steps=blind), padding=kinds, real=real) == [lost]  # no target reads the first given step
    everything = [Padding("steps", STEPS, {"x": 1})]
    assert seen(reading(steps=reads), padding=everything)[0][4] > 0


def test_a_given_step_that_nobody_reads_is_lost_to_the_steps_behind_it():
    """The second one of each sample: in the first sample one step lies behind it, and in the second one none does."""
    targets = torch.tensor([[True, False, True]]).expand(2, 3)
    kinds = [Padding("steps", STEPS, {"x": 1}, targets=targets)]
    real = (STEPS & targets)[..., None].expand(2, 3, 2)
    lost = said("steps", 1 / 4, "1 of 4", ", such as sample 0, step 2, step 1")
    assert seen(reading(), padding=kinds, real=real) == [lost]


def test_steps_of_another_document_need_not_be_read():
    documents = torch.tensor([[0, 1, 1], [0, 0, 0]])
    packed = [Padding("steps", STEPS, {"x": 1}, documents=documents)]
    reads = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 1, 1]], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]])
    assert seen(reading(steps=reads), padding=packed) == [said("steps", 0.0, "0 of 7")]


def test_a_last_step_that_does_not_read_itself_is_lost_if_others_do():
    blind = without(without(OWN_STEP, 0, 2, 2), 1, 1, 1)
    assert seen(reading(steps=blind))[0] == said("steps", 2 / 5, "2 of 5", ", such as sample 0, step 2, step 2")


def test_steps_may_lie_along_any_axis_or_be_missing():
    turned = lambda b: Answer(reading()(b).prediction.mT)  # noqa: E731
    real = STEPS[:, None].expand(2, 2, 3)
    assert seen(turned, real=real, axes={"dims": 1, "steps": 2}) == seen(reading())
    assert seen(reading(), axes={"dims": 2}) == []
    flat = lambda b: Answer(reading()(b).prediction.sum(2))  # noqa: E731
    assert seen(flat, real=STEPS, padding=padding()[1:], axes={"steps": 1}) == seen(reading())
    deep = lambda b: Answer(reading()(b).prediction[..., None])  # noqa: E731
    assert seen(deep, real=STEPS[..., None, None].expand(2, 3, 2, 1)) == seen(reading())


def test_a_step_is_real_if_any_of_its_dims_is():
    real = STEPS[..., None] & lengths(2, 2, 1)[:, None]
    assert seen(reading(), real=real) == seen(reading())
    only_first = lambda b: Answer(reading()(b).prediction * torch.tensor([0.0, 1.0]))  # noqa: E731
    # All that the second sample has real is a dim that reads nothing.
    steps, tokens = seen(only_first, real=real)
    assert (steps[4], tokens[4]) == (2 / 5, 4 / 16)


def test_a_run_that_fails_is_said():
    was = batch()["x"]

    def run(b):
        if b["x"].requires_grad or not torch.equal(b["x"], was):
            raise RuntimeError("not today")
        return Answer(b["x"])

    assert seen(run) == [("prediction", "steps", "gradient", "lost", None, "RuntimeError: not today")]


def test_words_of_which_none_can_be_another_say_so():
    """There are no steps to ask about each word, so they are asked for any effect at all."""

    def run(b):
        if not torch.equal(b["words"], batch()["words"]):
            raise RuntimeError("those words, please")
        return Answer(b["x"].sum(1).detach())

    policy = Policy(run, batch(), padding()[::2], axes={"dims": 1})
    real = lengths(2, 2, 1)
    found = lost_places(policy, batch(), policy.ask(batch()), real, "tokens", torch.zeros(2, 4))
    assert [(look.stage, look.axis, look.probe, look.kind, look.size, look.why) for look in found] == [
        ("prediction", "tokens", "perturb", "lost", None, "RuntimeError: those words, please")
    ]


def test_where_dims_alone_are_padded_nobody_is_asked_what_a_step_reads():
    assert seen(lambda b: Answer(b["x"] * 1), padding=padding()[:1]) == []


def test_what_is_read_behind_a_module_is_not_known_where_no_gradient_can_be_taken():
    def forward(b):
        if b["words"].requires_grad:
            raise RuntimeError("no graph, please")
        return Mixed.forward(module, b)

    module = Mixed()
    looks = seen(forward, module=module, taps=[Tap("mix", "tokens", "mixer", "words are read")])
    behind = ("words are read", "tokens", "gradient", "lost", None, "RuntimeError: no graph, please")
    by_moving = [said("steps", 0.0, "0 of 5", probe="perturb"), said("tokens", 0.0, "0 of 16", probe="perturb")]
    assert looks == [behind, *by_moving]


# ----------------------------------------------------------------------------------------------- sharp attention


def sharp(b):
    """Each step looks at all words, and the last one outweighs all others by so much that their weights are 0."""
    scores = 1000 * (b["words"].sum(2)[:, None] * torch.ones(3, 1)).masked_fill(~TOKENS[:, None], -torch.inf)
    return scores.softmax(-1) @ b["words"]


def test_weights_that_are_rounded_to_0_are_asked_again_among_words_that_are_alike():
    gradient = torch.autograd.functional.jacobian(lambda words: sharp({"words": words})[0, 0], batch()["words"])
    assert not gradient[:, 0, 0].any()
    assert seen(lambda b: Answer(b["x"] + sharp(b))) == [said("steps", 0.0, "0 of 5"), said("tokens", 0.0, "0 of 16")]


def test_of_many_words_that_are_outweighed_none_is_lost():
    """More than are moved one by one."""
    words, real = torch.arange(80.0).reshape(2, 40, 1), lengths(40, 40, 10)

    def run(b):
        scores = (1000 * b["words"]).masked_fill(~real[..., None], -torch.inf)
        return Answer(b["x"] + (scores.softmax(1) * b["words"]).sum(1, keepdim=True))

    kinds = [Padding("steps", STEPS, {"x": 1}), Padding("tokens", real, {"words": 1})]
    found = seen(run, {"x": batch()["x"], "words": words}, padding=kinds)
    assert found[1] == said("tokens", 0.0, "0 of 140")


def test_a_policy_is_asked_a_second_time_only_if_something_seems_lost():
    for words, times in ((ALL_WORDS, 2), (without(ALL_WORDS, 0, 2, 1), 9)):
        calls = []

        def run(b, words=words, calls=calls):
            calls.append(0)
            return reading(words)(b)

        seen(run)
        assert len(calls) == times


def test_a_word_that_is_read_only_as_it_is_is_read():
    """Among words that are alike the difference between them is 0, and so is its gradient."""

    def run(b):
        apart = (b["words"] - b["words"][:, :1]).square().sum((1, 2))[:, None, None]
        sometimes = without(ALL_WORDS, 0, 2, 1) @ b["words"]
        return Answer(b["x"] + sometimes + apart)

    assert seen(run)[1] == said("tokens", 0.0, "0 of 16")


# -------------------------------------------------------------------------------------------------- behind a tap


class Mixed(nn.Module):
    """`mix` lets each word read all others, so the prediction depends on all; behind it a step may read fewer."""

    def __init__(self, reads=ALL_WORDS, front=0, times=1, scale=0.0):
        super().__init__()
        self.mix, self.reads, self.front, self.times, self.scale = nn.Identity(), reads, front, times, scale

    def forward(self, b):
        words = b["words"] + b["words"].sum(1, keepdim=True)
        for _ in range(self.times):
            mixed = self.mix(nn.functional.pad(words, (0, 0, self.front, 0), value=1.0))
        scores = self.scale * mixed[:, None, self.front :].sum(3).masked_fill(~TOKENS[:, None], -torch.inf)
        weights = self.reads * (scores.softmax(-1) if self.scale else 1)
        return Answer(b["x"] + weights @ mixed[:, self.front :])


def tapped(module, place=1):
    return seen(module, module=module, taps=[Tap("mix", "tokens", "mixer", "words are read", place)])


def test_behind_a_layer_that_mixes_words_it_is_asked_again():
    found = tapped(Mixed(without(ALL_WORDS, 0, 2, 1)))
    assert found == [
        said("steps", 0.0, "0 of 5"),
        said("tokens", 0.0, "0 of 16"),
        said("tokens", 1 / 16, "1 of 16", ", such as sample 0, step 2, token 1", "words are read"),
    ]


def test_of_an_output_that_is_longer_than_the_batch_the_end_is_meant():
    assert tapped(Mixed(without(ALL_WORDS, 0, 2, 1), front=2)) == tapped(Mixed(without(ALL_WORDS, 0, 2, 1)))


def test_what_a_tapped_module_gives_is_made_alike_as_well():
    """Behind the mixer attention is sharp, whatever the words are."""

    class Apart(Mixed):
        def forward(self, b):
            return super().forward({"x": b["x"], "words": b["words"] + 100 * torch.arange(4.0)[:, None]})

    assert tapped(Apart(scale=10.0))[-1] == said("tokens", 0.0, "0 of 16", stage="words are read")


def test_a_module_that_is_called_twice_or_gives_no_gradient_is_not_asked():
    assert [look[0] for look in tapped(Mixed(times=2))] == ["prediction"] * 2

    class Blind(Mixed):
        def forward(self, b):
            self.mix(b["words"].detach())
            return reading()(b)

    assert [look[0] for look in tapped(Blind())] == ["prediction"] * 2


def test_behind_a_layer_each_step_is_not_asked_which_dims_it_reads():
    class Encoded(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Identity()

        def forward(self, b):
            return Answer(reading()(b | {"x": self.encode(b["x"])}).prediction)

    module = Encoded()
    taps = [Tap("encode", "dims", "encoder", "steps are read", 2)]
    assert seen(module, module=module, taps=taps) == seen(reading())


# ------------------------------------------------------------------------------------------------------ the parts


def test_a_mean_stands_in_all_places_that_are_kept():
    values, kept = torch.tensor([[[1.0], [3.0], [8.0]]]), torch.tensor([[[True], [True], [False]]])
    assert _mean_where(values, kept, 1).flatten().tolist() == [2, 2, 8]
    assert _mean_where(values, ~kept & kept, 1).flatten().tolist() == [1, 3, 8]
    assert _mean_where(values, ~kept, 1).flatten().tolist() == [1, 3, 8]
    assert _mean_where(values.mT, kept.mT, 2).flatten().tolist() == [2, 2, 8]


def test_an_output_that_is_made_alike_still_sends_its_gradient_to_each_place():
    policy = Policy(reading(), batch(), padding())
    output = batch()["words"].requires_grad_()
    alike = _alike(output, Tap("m", "tokens", "a", "b"), policy)
    assert alike[0].tolist() == [[4, 5]] * 4
    assert alike[1].tolist() == [[10, 11]] * 2 + [[13, 14], [15, 16]]
    (gradient,) = torch.autograd.grad(alike[0, 0].sum(), output)
    assert gradient[0].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    assert not gradient[1].any()


def test_of_words_all_are_expected_of_steps_those_that_somebody_reads():
    policy = Policy(reading(), batch(), padding())
    steps, x = STEPS, batch()["x"]
    reach = torch.zeros(2, 3, 4, dtype=torch.bool)
    lost, expected = _lost(Reach("s", "tokens", reach, ASKED), policy, x, steps)
    assert (lost.sum(), expected.sum()) == (0, 0)
    reach[0, 0, 0] = True
    lost, expected = _lost(Reach("s", "tokens", reach, ASKED), policy, x, steps)
    assert (lost.sum(), expected.sum()) == (15, 16)
    lost, expected = _lost(Reach("s", "steps", reach[:, :, :3], ASKED[:, :3]), policy, x, steps)
    own = [[sample, step, step] for sample, step in STEPS.nonzero().tolist()]
    assert (lost.nonzero().tolist(), expected.nonzero().tolist()) == (own[1:], own)
    with pytest.raises(AttributeError):
        Reach("s", "steps", reach, ASKED).stage = "t"
