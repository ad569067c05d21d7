"""How a policy is asked, and what is real in its answer: policies of a line or two."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from audit_cases import DIM_MASK, DIMS, STEP_MASK, STEPS, TOKEN_MASK, Toy, lengths, toy_batch, toy_padding
from torch import nn

from groot_teach.audit import Answer, Padding, Tap, audit_masks
from groot_teach.audit.draws import OtherDraws
from groot_teach.audit.policy import (
    SEED,
    Heard,
    OutOfRuns,
    Policy,
    _axes_with_extent,
    _kind,
    _put,
    _scalar,
    _without_draws,
    along,
    with_draws,
)

REAL = lengths(4, 2, 3)
"""Two samples; of four places two are real in the first one and three in the second one."""


def numbers(*shape):
    count = torch.Size(shape).numel()
    return torch.arange(1.0, count + 1).reshape(shape)


def small(run=None, axis="tokens", x=None, **more):
    """A policy over `x`, of two samples and four places, that gives back what it is given."""
    x = numbers(2, 4, 3) if x is None else x
    run = run or (lambda b: Answer(b["x"]))
    padding = more.pop("padding", [Padding(axis, REAL, {"x": 1})])
    return Policy(run, {"x": x, **more.pop("batch", {})}, padding, **more), {"x": x}


def toy_policy(**more):
    toy = Toy()
    return Policy(toy.answer, toy_batch(), toy_padding(), **more)


# ------------------------------------------------------------------------------------------------- declarations


def test_padding_lies_in_its_values_and_its_masks():
    assert Padding("dims", REAL, {"x": 2}, {"m": 1}).places == {"x": 2, "m": 1}
    assert Padding("dims", REAL, {"x": 2}).places == {"x": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"axis": 3},
        {"real": REAL.float()},
        {"values": {"x": 1.5}},
        {"masks": {"x": "1"}},
        {"targets": REAL.float()},
        {"targets": REAL[:, :3]},
        {"predicted": "middle"},
        {"documents": REAL},
    ],
)
def test_padding_of_another_type_is_refused(changes):
    with pytest.raises(TypeError):
        replace(Padding("dims", REAL, {"x": 1}), **changes)


def test_what_is_declared_answered_or_heard_is_itself_and_cannot_be_changed():
    def heard():
        return Heard(numbers(2), numbers(2), (slice(None),), None, None, None, {}, ())

    for make in (lambda: Padding("dims", REAL.clone(), {"x": 1}), lambda: Answer(numbers(2)), heard):
        one = make()
        assert one != make()  # a comparison of tensors would have no answer
        assert len({one, make()}) == 2
        with pytest.raises(FrozenInstanceError):
            one.axis = one.prediction = "dims"
    tap = Tap("m", "steps", "a", "b")
    assert tap.place == 1
    with pytest.raises(FrozenInstanceError):
        tap.place = 2


# ------------------------------------------------------------------------------------------------------- asking


def test_an_answer_is_heard_with_its_loss_as_a_function():
    policy, given = small(lambda b: Answer(b["x"], lambda said: said.sum()))
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    assert torch.equal(heard.whole, given["x"])
    assert heard.part == (slice(None),) * 3
    assert heard.loss.item() == 300
    assert heard.loss_of(torch.ones(2, 4, 3)).item() == 24
    assert heard.tapped == {}
    assert heard.drawn == ()


def drawing_unheard():
    """Noise that TorchScript draws, of which only PyTorch's dispatcher knows."""

    def noise(x: torch.Tensor) -> torch.Tensor:
        return torch.randn_like(x)

    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        return torch.jit.script(noise)


def test_a_run_that_draws_unheard_is_repeated_and_all_later_ones_are_heard_in_full():
    noise, drawn = drawing_unheard(), torch.ones(2, 4, 3)
    policy, given = small(lambda b: Answer(b["x"] + noise(b["x"])), sample=lambda b: b["x"] + noise(b["x"]))
    first = policy.ask(given)
    assert torch.equal(first.prediction, given["x"] + first.drawn[0])
    again = with_draws(given, [drawn])
    for runs in (3, 4):  # the second run is made twice, the third once
        assert torch.equal(policy.ask(again).prediction, given["x"] + 1)
        assert policy.runs == runs
    assert torch.equal(policy.ask_sample(again)[0], given["x"] + 1)
    assert policy.runs == 5


def test_what_is_drawn_unheard_and_hidden_by_a_state_that_is_put_back_is_heard_in_full_too():
    noise = drawing_unheard()

    def run(b):
        with torch.random.fork_rng():
            hidden = noise(b["x"])
        return Answer(b["x"] + hidden + torch.rand(2, 4, 3))

    policy, given = small(run)
    ones, twos = torch.ones(2, 4, 3), torch.full((2, 4, 3), 2.0)
    assert len(policy.ask(given).drawn) == 2
    assert torch.equal(policy.ask(with_draws(given, [ones, twos])).prediction, given["x"] + 3)


def test_what_a_repeated_run_gives_at_taps_is_heard_once():
    noise = drawing_unheard()
    module = Doubled()
    tap = Tap("first", "tokens", "a", "b")
    policy, given = small(lambda b: Answer(module.first(b["x"] + noise(b["x"]))), module=module, taps=[tap])
    policy.ask(given)
    heard = policy.ask(with_draws(given, [torch.zeros(2, 4, 3)]))
    assert policy.runs == 3
    assert len(heard.tapped["first"]) == 1


def test_a_loss_may_be_a_number_or_be_left_out():
    heard = small(lambda b: Answer(b["x"], torch.tensor([0.5])))[0].ask({"x": numbers(2, 4, 3)})
    assert heard.loss.shape == ()
    assert heard.loss.item() == 0.5
    assert heard.loss_of is None
    heard = small()[0].ask({"x": numbers(2, 4, 3)})
    assert (heard.loss, heard.loss_of) == (None, None)


def test_of_a_larger_prediction_the_part_that_is_asked_for_is_heard_and_the_rest_stays_when_another_one_is_said():
    policy, given = small(lambda b: Answer(nn.functional.pad(b["x"], (0, 0, 1, 0), value=9), lambda said: said.sum()),
                          padding=[Padding("steps", REAL, {"x": 1}, predicted="last")])  # fmt: skip
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    assert heard.whole.shape == (2, 5, 3)
    assert heard.part == (slice(None), slice(1, None), slice(None))
    assert heard.loss.item() == 300 + 6 * 9
    assert heard.loss_of(torch.zeros(2, 4, 3)).item() == 6 * 9


def test_a_run_without_a_loss_or_a_prediction_is_named():
    policy, given = small()
    with pytest.raises(ValueError, match="run: got an answer without a loss, expected one, since the first run gave"):
        policy.ask(given).loss_or_raise()
    policy, given = small(lambda b: Answer([b["x"]]))
    with pytest.raises(ValueError, match="run: got a list as a prediction, expected a tensor"):
        policy.ask(given)


def test_a_policy_is_run_as_often_as_it_may_be_and_no_more():
    policy, given = small(most_runs=2)
    policy.ask(given), policy.ask(given)
    with pytest.raises(OutOfRuns, match="the policy was run 2 times, which `most_runs` allows and no more"):
        policy.ask(given)
    assert policy.runs == 2


def test_another_part_may_be_wanted():
    policy, given = small(lambda b: Answer(b["x"], lambda said: said.sum()))
    heard = policy.ask(given, part_of=lambda prediction: (slice(1),))
    assert torch.equal(heard.prediction, given["x"][:1])


def drawing(b):
    return Answer(b["x"] + torch.rand(2, 4, 3), lambda said: torch.rand(()))


def test_free_draws_are_written_down_start_from_one_seed_and_are_repeated():
    policy, given = small(drawing)
    first = policy.ask(given)
    assert torch.equal(first.drawn[0], torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(SEED)))
    assert len(first.drawn) == 1
    assert torch.equal(policy.ask(given).prediction, first.prediction)
    zeros = with_draws(given, [torch.zeros(2, 4, 3)])
    again = policy.ask(zeros)
    assert torch.equal(again.prediction, given["x"])
    assert torch.equal(again.drawn[0], torch.zeros(2, 4, 3))


def test_a_loss_that_draws_draws_the_same_each_time_and_leaves_the_callers_stream_alone():
    policy, given = small(drawing)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    heard = policy.ask(given)
    assert heard.loss_of(heard.prediction) == heard.loss
    assert torch.equal(torch.rand(1), expected)


def test_a_draw_too_few_or_one_where_there_was_none_is_an_error():
    policy, given = small(drawing)
    with pytest.raises(OtherDraws, match="it drew 1 times, expected 2"):
        policy.ask(with_draws(given, [torch.zeros(2, 4, 3)] * 2))
    with pytest.raises(OtherDraws, match="it drew more than 0 times"):
        policy.ask(with_draws(given, []))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("words", "run: got a str, expected an Answer, unless `prediction` names a module"),
        (torch.zeros(3), r"run: got a tensor of torch.float32, \(3,\)"),
        (
            Answer(numbers(2, 4, 3), 0.5),
            "loss: got a float, expected a float tensor with one number; hand over the tensor",
        ),
        (
            Answer(numbers(2, 4, 3), {"mse_loss": torch.zeros(())}),
            r"loss: got a dict, .*; let `run` return the loss out of it, as in `run=lambda batch: policy\(batch\)\['m",
        ),
        (Answer(numbers(2, 4, 3), torch.zeros(2)), r"loss: got a tensor of torch.float32, \(2,\)"),
        (Answer(numbers(2, 4, 3), torch.tensor(1)), "loss: got a tensor of torch.int64"),
        (Answer(numbers(2, 4, 3), lambda said: said), r"loss: got a tensor of torch.float32, \(2, 4, 3\)"),
    ],
)
def test_an_answer_of_another_kind_is_named(answer, message):
    policy, given = small(lambda b: answer)
    with pytest.raises(ValueError, match=message):
        policy.ask(given)


def test_what_is_sampled_is_heard_with_its_draws():
    policy, given = small(sample=lambda b: b["x"] + torch.rand(1))
    actions, drawn = policy.ask_sample(given)
    assert torch.equal(actions, given["x"] + drawn[0])
    assert torch.equal(policy.ask_sample(with_draws(given, [torch.ones(1)]))[0], given["x"] + 1)


@pytest.mark.parametrize(("actions", "kind"), [("words", "a str"), (torch.ones(2, 4), "")])
def test_only_float_tensors_are_actions(actions, kind):
    policy, given = small(sample=lambda b: actions)
    if not kind:
        assert torch.equal(policy.ask_sample(given)[0], actions)
        policy, given = small(sample=lambda b: actions.long())
        kind = r"a tensor of torch.int64, \(2, 4\)"
    with pytest.raises(ValueError, match=f"sample: got {kind}, expected a float tensor of actions"):
        policy.ask_sample(given)


# ---------------------------------------------------------------------------------------------- inside a module


class Doubled(nn.Module):
    """`first` gives twice `x`, `last` gives it on; the loss is its sum."""

    def __init__(self, padded=0, said=None):
        super().__init__()
        self.first, self.last, self.padded, self.said = nn.Identity(), nn.Identity(), padded, said

    def forward(self, b):
        hidden = self.first(2 * b["x"])
        longer = nn.functional.pad(hidden, (0, 0, self.padded, 0), value=9)
        return self.last(longer if self.said is None else self.said).sum() + torch.rand(1)


def hooked(module=None, **more):
    module = module or Doubled()
    arguments = {"module": module, "prediction": "last", "taps": [Tap("first", "steps", "a", "b")]} | more
    return small(module, padding=[Padding("steps", REAL, {"x": 1}, predicted="last")], **arguments)


def test_a_prediction_is_heard_at_its_module_and_the_loss_becomes_a_function_of_it():
    policy, given = hooked(Doubled(padded=1))
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, 2 * given["x"])
    assert heard.whole.shape == (2, 5, 3)
    assert heard.part[1] == slice(1, None)
    drawn = heard.drawn[0].item()
    assert heard.loss.shape == ()
    assert heard.loss.item() == pytest.approx(600 + 54 + drawn)
    assert heard.loss_of(torch.zeros(2, 4, 3)).item() == pytest.approx(54 + drawn)
    assert heard.loss_of(heard.prediction).item() == heard.loss.item()
    again = policy.ask(with_draws(given, [torch.ones(1)]))
    assert again.loss_of(torch.zeros(2, 4, 3)).item() == 55
    (output,) = heard.tapped["first"]
    assert torch.equal(output, 2 * given["x"])


def test_the_loss_of_another_part_is_asked_of_that_part():
    policy, given = hooked()
    heard = policy.ask(with_draws(given, [torch.zeros(1)]), part_of=lambda prediction: (slice(1),))
    assert torch.equal(heard.prediction, 2 * given["x"][:1])
    assert heard.loss_of(torch.zeros(1, 4, 3)).item() == 2 * given["x"][1].sum().item()


def test_what_a_tapped_module_gives_can_be_written():
    policy, given = hooked()
    heard = policy.ask(with_draws(given, [torch.zeros(1)]), write={"first": torch.zeros_like})
    assert not heard.prediction.any()
    assert not heard.tapped["first"][0].any()
    assert heard.loss.item() == 0


def test_nothing_stays_hooked_even_if_a_run_fails():
    policy, _ = hooked()
    with pytest.raises(TypeError):
        policy.ask({"x": None})
    assert not any(part._forward_hooks for part in policy.module.modules())


class InTurns(nn.Module):
    """`last` gives one step a call, as a recurrent decoder does; the loss weights the steps by 1, 2, 3 and 4."""

    def __init__(self, keep_axis):
        super().__init__()
        self.last, self.keep_axis = nn.Identity(), keep_axis

    def forward(self, b):
        steps = b["x"].split(1, dim=1) if self.keep_axis else b["x"].unbind(dim=1)
        return sum((1 + place) * self.last(step).sum() for place, step in enumerate(steps))


@pytest.mark.parametrize("keep_axis", [True, False], ids=["a step axis of length 1", "no step axis"])
def test_the_calls_of_a_module_that_gives_one_step_each_are_put_together(keep_axis):
    policy, given = hooked(InTurns(keep_axis), taps=())
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    said = torch.zeros(2, 4, 3)
    said[:, 2] = 1
    assert heard.loss_of(said).item() == 3 * 6


def test_a_chunk_of_one_step_has_one_call_and_keeps_its_axis_of_steps():
    policy, given = hooked(InTurns(keep_axis=False), taps=())
    policy.ask(given)
    one_step = given["x"][:, :1]
    heard = policy.ask({"x": one_step}, part_of=lambda said: (slice(None),) * said.ndim)
    assert torch.equal(heard.prediction, one_step)
    assert heard.loss_of(torch.ones(2, 1, 3)).item() == 6


def test_calls_that_each_give_all_steps_become_an_axis_of_their_own():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Identity()

        def forward(self, b):
            return self.last(b["x"]).sum() + 10 * self.last(2 * b["x"]).sum()

    policy, given = hooked(Twice(), taps=())
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, torch.stack([given["x"], 2 * given["x"]], dim=-1))
    said = torch.zeros(2, 4, 3, 2)
    said[..., 1] = 1
    assert heard.loss_of(said).item() == 10 * 24


def test_a_prediction_module_has_to_be_called_and_with_outputs_of_one_shape():
    class Never(Doubled):
        def forward(self, b):
            return b["x"].sum()

    class Unequal(Doubled):
        def forward(self, b):
            return self.last(b["x"]).sum() + self.last(b["x"][:, 1:]).sum()

    for module, message in (
        (Never(), "prediction: 'last' was called 0 times, expected once a run. A part of a TorchScript module"),
        (Unequal(), r"prediction: 'last' gave outputs of the shapes \[\(2, 3, 3\), \(2, 4, 3\)\], expected one"),
    ):
        policy, given = hooked(module, taps=())
        with pytest.raises(ValueError, match=message):
            policy.ask(given)


def test_outputs_that_are_no_tensors_are_named_and_a_prediction_may_be_arranged():
    class Pair(Doubled):
        def forward(self, b):
            return self.last((b["x"].mT, 7))[0].sum()

    policy, given = hooked(Pair(), taps=())
    with pytest.raises(
        ValueError, match="prediction: got a tuple, expected a module that gives a tensor, or `arrange`"
    ):
        policy.ask(given)
    arrange = (lambda output: output[0].mT, lambda said, output: (said.mT, output[1]))
    policy, given = hooked(Pair(), taps=(), arrange=arrange)
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    assert heard.loss_of(torch.zeros(2, 4, 3)).item() == 0


class Pairs(nn.Module):
    """Gives a tuple, a dict or a list: `first` inside, beside a number."""

    def __init__(self, kind):
        super().__init__()
        self.pair, self.kind = nn.Identity(), kind

    def forward(self, b):
        parts = {"size": 7, "hidden": 2 * b["x"], "more": b["x"]}
        out = self.pair(parts if self.kind is dict else self.kind(parts.values()))
        assert type(out) is self.kind
        size, hidden, more = out.values() if self.kind is dict else out
        return Answer(size * hidden + more)


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_of_an_output_with_several_parts_a_tap_hears_and_writes_the_first_tensor(kind):
    module = Pairs(kind)
    policy, given = small(module, axis="steps", module=module, taps=[Tap("pair", "steps", "a", "b")])
    assert torch.equal(policy.ask(given).tapped["pair"][0], 2 * given["x"])
    assert torch.equal(policy.ask(given, write={"pair": torch.zeros_like}).prediction, given["x"])


def test_a_tap_may_be_told_which_part_of_an_output_is_meant():
    module = Pairs(tuple)
    arrange = (lambda output: output[2], lambda tensor, output: (*output[:2], tensor))
    policy, given = small(module, axis="steps", module=module, taps=[Tap("pair", "steps", "a", "b", arrange=arrange)])
    assert torch.equal(policy.ask(given).tapped["pair"][0], given["x"])
    assert torch.equal(policy.ask(given, write={"pair": torch.zeros_like}).prediction, 14 * given["x"])


def test_a_tap_that_gives_no_tensor_is_named():
    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.text = nn.Identity()

        def forward(self, b):
            self.text("words")

    module = Text()
    policy, given = small(module, axis="steps", module=module, taps=[Tap("text", "steps", "a", "b")])
    with pytest.raises(ValueError, match="taps: 'text' gives a str, expected a tensor, or `arrange`"):
        policy.ask(given)


# ------------------------------------------------------------------------------------------- what a run leaves behind


def test_a_run_that_writes_into_its_batch_writes_into_a_copy_and_is_noticed():
    def run(b):
        b["x"][:, 0] = 0
        return Answer(b["x"])

    x = numbers(2, 4, 3)
    policy, _ = small(run, x=x)
    for _ in range(2):
        assert torch.equal(policy.ask(policy.batch).prediction[:, 1:], x[:, 1:])
    assert policy.edited == {"x"}
    assert torch.equal(x, numbers(2, 4, 3))


def test_a_policy_that_writes_into_a_declared_mask_does_not_change_the_declaration():
    mask = REAL.clone()
    policy, given = small(
        lambda b: Answer(b["x"] * mask.fill_(True)[..., None]), padding=[Padding("steps", mask, {"x": 1})]
    )
    policy.ask(given)
    assert torch.equal(policy.padding["steps"].real, REAL)


def test_buffers_modes_and_generators_are_the_same_in_each_run_and_afterwards():
    norm, generator = nn.BatchNorm1d(3).eval(), torch.Generator().manual_seed(5)
    norm.running_mean += 1
    kept = {name: value.clone() for name, value in norm.state_dict().items()}, generator.get_state()

    def run(b):
        norm.train()
        out = norm(b["x"].flatten(0, 1)).view_as(b["x"]) + norm.running_mean
        return Answer(out + torch.rand(1, generator=generator))

    policy, given = small(run)
    assert torch.equal(policy.ask(given).prediction, policy.ask(given).prediction)
    assert not norm.training
    assert all(torch.equal(value, kept[0][name]) for name, value in norm.state_dict().items())
    assert torch.equal(generator.get_state(), kept[1])


def test_a_nested_batch_is_named_by_its_paths_and_handed_over_as_it_was():
    seen = []

    def run(b):
        seen.append(b)
        return Answer(b["observation"]["x"] + b["views"][1])

    batch = {"observation": {"x": numbers(2, 4, 3), "name": "n"}, "views": [numbers(2, 4, 3), numbers(2, 4, 3)]}
    padding = [Padding("tokens", REAL, {"observation.x": 1, "views.1": 1})]
    policy = Policy(run, batch, padding)
    assert [*policy.batch] == ["observation.x", "observation.name", "views.0", "views.1"]
    assert torch.equal(policy.ask(policy.batch).prediction, 2 * numbers(2, 4, 3))
    assert type(seen[0]["views"]) is list
    assert seen[0]["observation"]["name"] == "n"
    with pytest.raises(ValueError, match=r"is named by its path, such as 'observation.x'"):
        Policy(run, batch, [Padding("tokens", REAL, {"x": 1})])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_precision_of_a_policy_is_that_of_its_coarsest_matrix_product(dtype):
    policy, given = small(lambda b: Answer((b["x"].to(dtype) @ torch.ones(3, 3, dtype=dtype)).double()))
    policy.ask(given)
    assert policy.precision == torch.finfo(dtype).eps


def test_a_policy_whose_second_call_cannot_be_run_with_a_gradient_has_two_predictions():
    """Otherwise the call that is trained is the prediction, and the other one is not."""

    class Unsure(nn.Module):
        def __init__(self, refuses):
            super().__init__()
            self.last, self.refuses = nn.Linear(3, 3), refuses

        def forward(self, b):
            if torch.is_grad_enabled() and self.refuses:
                raise RuntimeError("no gradient, please")
            with torch.no_grad():
                first = self.last(b["x"])
            return self.last(first).sum()

    for refuses, shape in ((False, (2, 4, 3)), (True, (2, 4, 3, 2))):
        policy, given = hooked(Unsure(refuses), taps=())
        with torch.no_grad():
            assert policy.ask(given).prediction.shape == shape


def test_a_module_that_is_called_once_is_run_once():
    policy, given = hooked()
    policy.ask(given)
    assert policy.runs == 1


# ------------------------------------------------------------------------------------------------- what is real


def test_of_too_many_places_those_are_wanted_that_the_padding_says():
    longer = [replace(kind, predicted={"dims": "first", "steps": "last"}.get(kind.axis)) for kind in toy_padding()]
    policy = Policy(Toy().answer, toy_batch(), longer)
    assert policy.wanted(torch.zeros(3, STEPS, DIMS)) == (slice(None),) * 3
    assert policy.wanted(torch.zeros(3, STEPS + 2, DIMS + 4)) == (slice(None), slice(2, None), slice(DIMS))
    with pytest.raises(ValueError, match=r"prediction: got 7 steps, expected 5, as many as the batch has. Say how"):
        toy_policy().wanted(torch.zeros(3, STEPS + 2, DIMS))


def test_a_prediction_may_end_with_the_longest_sample_and_no_earlier_nor_later():
    """As of a policy that trims its batch."""
    policy = toy_policy()
    kinds = {"dims": Padding("dims", lengths(7, 4, 3), {}), "steps": Padding("steps", lengths(5, 3, 2), {})}
    assert policy.wanted_for(kinds)(torch.zeros(2, 3, 7)) == (slice(None),) * 3
    for steps in (2, 4):
        with pytest.raises(ValueError, match=rf"prediction: got {steps} steps, expected 5"):
            policy.wanted_for(kinds)(torch.zeros(2, steps, 7))
    alone = {"steps": Padding("steps", lengths(5, 4), {})}
    assert policy.wanted_for(alone)(torch.zeros(1, 4, 7)) == (slice(None),) * 3


@pytest.mark.parametrize("reads_padding", [False, True])
def test_a_policy_that_trims_its_batch_to_the_longest_sample_is_audited(reads_padding):
    real = lengths(6, 4, 2, 3)

    def run(b):
        mask = b["mask"][:, : int(b["mask"].sum(1).max())]
        x = b["action"][:, : mask.shape[1]]
        read = x if reads_padding else x.where(mask[..., None], 0)
        said = x + read.sum(1, keepdim=True)
        return Answer(said, lambda said: ((said - x)[mask] ** 2).mean())

    batch = {"action": torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(1)), "mask": real}
    report = audit_masks(run, batch, [Padding("steps", real, {"action": 1}, {"mask": 1})], excused={"sampler": "none"})
    assert report.is_clean != reads_padding


def test_a_prediction_may_lack_dims_that_no_robot_has_but_no_step_and_no_real_dim():
    wide = {"dims": Padding("dims", lengths(7, 4, 3), {}), "steps": Padding("steps", lengths(5, 5, 2), {})}
    policy = toy_policy()
    assert policy.wanted_for(wide)(torch.zeros(2, 5, 4)) == (slice(None),) * 3
    with pytest.raises(ValueError, match=r"prediction: got 3 dims, expected 7.*real ones would have no prediction"):
        policy.wanted_for(wide)(torch.zeros(2, 5, 3))
    with pytest.raises(ValueError, match="prediction: got 4 steps, expected 5"):
        policy.wanted_for({"steps": Padding("steps", lengths(5, 4, 2), {})})(torch.zeros(2, 4, 7))


def test_places_that_are_no_target_and_places_of_another_grid_are_told_apart():
    given_first = torch.arange(4) > 0
    kind = Padding("steps", REAL, {"x": 1}, targets=given_first.expand(2, 4))
    policy, _ = small(padding=[kind])
    x = torch.zeros(2, 4, 3)
    assert policy.real_in(x)[:, :, 0].tolist() == [[False, True, False, False], [False, True, True, False]]
    assert policy.read_only_in(x)["steps"][:, :, 0].sum(1).tolist() == [1, 1]
    assert policy.padded_in(x)["steps"][:, :, 0].tolist() == (~REAL).tolist()
    policy, _ = small(padding=[Padding("steps", REAL, {"x": 1}, predicted=lambda real: real[:, 1:])])
    shorter = torch.zeros(2, 3, 3)
    assert policy.wanted(shorter) == (slice(None),) * 3
    assert torch.equal(policy.real_in(shorter)[..., 0], REAL[:, 1:])
    policy, _ = small(padding=[Padding("steps", REAL, {"x": 1}, predicted=lambda real: real[:, 2:])])
    with pytest.raises(ValueError, match="If the policy predicts behind the last place too"):
        policy.wanted(numbers(2, 4, 3))  # as many places as the batch, and two of them were left out
    with pytest.raises(ValueError, match=r"`predicted` gives a mask of the shape \(2, 2\), expected \(2, 3\)"):
        policy.real_in(shorter)


def test_padding_that_is_no_product_lies_along_two_axes():
    real = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0)) > 0.5
    for axis, mask, place in (("steps and dims", real, 1), ("dims and steps", real.mT, (2, 1))):
        policy, given = small(padding=[Padding(axis, mask, {"x": place})])
        assert torch.equal(policy.real_in(given["x"]), real)
        assert policy.every_axis == axis
    policy, given = small(padding=[Padding("arms", real, {"x": 1})], axes={"arms": (1, 2)})
    assert torch.equal(policy.padded_in(given["x"])["arms"], ~real)


def test_several_kinds_along_one_axis_are_kept_apart():
    views = lengths(2, 1, 2)
    padding = [Padding("tokens", REAL, {"x": 1}), Padding("tokens", views, {"views": 1})]
    policy, _ = small(padding=padding, batch={"views": numbers(2, 2)}, axes={"tokens": 1})
    assert [*policy.padding] == ["tokens", "tokens 2"]
    assert (policy.place_of("tokens"), policy.place_of("tokens 2")) == ((1,), None)


def test_an_axis_that_a_prediction_lacks_is_named():
    with pytest.raises(ValueError, match="axes: got 'dims' at 2, but a prediction has 2 axes"):
        toy_policy().wanted(torch.zeros(3, STEPS))


@pytest.mark.parametrize("axis", ["dims", "steps", "tokens"])
def test_an_axis_with_a_usual_name_is_one_of_the_prediction_and_not_of_the_sampler_alone(axis):
    policy, given = small(axis=axis, axes={axis: 3}, sample=lambda b: b["x"][..., None])
    with pytest.raises(ValueError, match=f"axes: got '{axis}' at 3, but a prediction has 3 axes"):
        policy.ask(given)


def test_a_mask_of_another_number_of_places_than_the_prediction_is_named():
    policy, _ = small(padding=[Padding("steps", REAL, {"x": 1}, predicted=lambda real: real[:, 1:])])
    with pytest.raises(ValueError, match=r"`predicted` gives a mask of the shape \(2, 3\), expected \(2, 5\)"):
        policy.wanted(torch.zeros(2, 5, 3))


def test_places_of_two_kinds_along_one_axis_are_read_only_if_those_of_either_are():
    first, second = torch.arange(4) != 0, torch.arange(4) != 1
    kinds = [Padding("steps", REAL, {"x": 1}, targets=one.expand(2, 4)) for one in (first, second)]
    policy, given = small(padding=kinds)
    assert policy.read_only_in(given["x"])["steps"][..., 0].tolist() == [[True, True, False, False]] * 2


def test_real_entries_are_real_along_every_axis():
    policy = toy_policy()
    real = policy.real_in(torch.zeros(3, STEPS, DIMS))
    assert torch.equal(real, DIM_MASK[:, None] & STEP_MASK[:, :, None])
    assert torch.equal(policy.real_in(torch.zeros(3, STEPS, 3)), real[..., :3])
    only_dims = policy.real_in(torch.zeros(3, STEPS, DIMS), {"dims": toy_padding()[0]})
    assert torch.equal(only_dims, DIM_MASK[:, None].expand(3, STEPS, DIMS))
    assert policy.real_in(torch.zeros(3, STEPS, DIMS), {}).all()


def test_samples_are_padded_along_the_axes_that_are_named_and_sampled_wherever_they_are_real():
    assert list(toy_policy().sampled()) == ["dims", "steps", "tokens"]
    assert list(toy_policy(sample_along=["dims"]).sampled()) == ["dims"]
    policy, _ = small(padding=[Padding("tokens", REAL, {"x": 1}, targets=~REAL | (torch.arange(4) > 0))])
    assert torch.equal(policy.sampled()["tokens"].fitted, REAL)
    with pytest.raises(ValueError, match="sample_along: got 'dimz', expected some of 'dims', 'steps', 'tokens'"):
        toy_policy(sample_along=["dimz"])


def test_actions_with_fewer_axes_than_a_prediction_are_named():
    policy, given = small(axis="dims", padding=[Padding("dims", lengths(3, 3, 2), {"x": 2})], sample=lambda b: b["x"])
    message = "sample: got actions with 2 axes, expected more, since dims are at axis 2 of a prediction; let `sample`"
    with pytest.raises(ValueError, match=message):
        policy.wanted_for(policy.padding, sampled=True)(given["x"].flatten(1))


def test_a_mask_may_say_which_places_are_predicted_and_sampled_actions_have_those_of_the_batch():
    """Of four places the next three are predicted, and all four are sampled."""
    for predicted in (REAL[:, 1:], lambda real: real[:, 1:]):
        policy, _ = small(padding=[Padding("steps", REAL, {"x": 1}, predicted=predicted)])
        assert policy.real_in(torch.zeros(2, 3, 3))[..., 0].equal(REAL[:, 1:])
        assert policy.real_in(torch.zeros(2, 4, 3))[..., 0].equal(REAL)
        with pytest.raises(ValueError, match=r"`predicted` gives a mask of the shape \(2, 3\), expected \(2, 2\)"):
            policy.real_in(torch.zeros(2, 2, 3))


@pytest.mark.parametrize(("padded", "may_be"), [((9, 9), True), ((9, 8), False), ((2, 2), False)])
def test_a_value_may_be_a_mask_if_all_padding_has_it_and_nothing_real_whatever_is_drawn(padded, may_be):
    ids = torch.tensor([[1, 2, *padded], [3, 4, 5, padded[0]]])
    policy, _ = small(x=ids, padding=[Padding("tokens", REAL, {"x": 1, "drawn 0": 1})])
    assert policy.value_may_be_the_mask("tokens", {"x": ids, "drawn 0": numbers(2, 4)}) is may_be


def test_a_misspelt_axis_of_the_prediction_is_refused():
    with pytest.raises(ValueError, match="axes: got 'stepz', expected some of 'dims', 'steps', 'tokens'"):
        small(axes={"stepz": 1})


def test_steps_are_axis_1_and_dims_axis_2_unless_it_is_said():
    assert toy_policy().axes == {"steps": 1, "dims": 2}
    assert toy_policy(axes={"dims": 1}).axes == {"dims": 1}
    assert toy_policy(axes={}).axes == {}


# ---------------------------------------------------------------------------------------------- parts of a batch


def test_entries_that_hold_padding_are_leaves_once_and_draws_are_not_among_them():
    given = toy_batch()
    leaves = toy_policy().leaves(given)
    assert [*leaves] == ["actions", "noise", "words"]
    for name, leaf in leaves.items():
        assert leaf.requires_grad
        assert torch.equal(leaf, given[name])
        assert leaf.data_ptr() != given[name].data_ptr()
    policy, batch = small(padding=[Padding("tokens", REAL, {"x": 1, "drawn 0": 1})])
    assert [*policy.leaves(batch | {"drawn 0": torch.zeros(REAL.shape)})] == ["x"]


def test_whole_numbers_have_no_gradient_and_are_no_leaves():
    ids = {"x": torch.ones(REAL.shape, dtype=torch.int64)}
    policy, _ = small(padding=[Padding("tokens", REAL, {"x": 1})])
    assert policy.leaves(ids) == {}


def test_a_sample_without_any_word_is_not_cut_down_to_its_words():
    some = torch.tensor([[True, False], [False, False], [True, True]])
    padding = [Padding("tokens", some, {"x": 1})]
    policy = Policy(lambda b: None, {"x": torch.ones(3, 2)}, padding)
    assert policy.with_something_left("tokens") == [0, 2]
    assert policy.with_something_left(None) == [0, 1, 2]


def test_padding_lies_where_it_is_declared_and_in_draws_of_the_same_shape():
    assert toy_policy().places("steps", toy_batch()) == {"actions": (1,), "noise": (1,)}
    drawn = {
        "drawn 0": torch.zeros(3, STEPS, DIMS),
        "drawn 1": torch.zeros(3, 1, STEPS, 1, DIMS),
        "drawn 2": torch.zeros(3, STEPS),
        "drawn 3": torch.zeros(()),
        "drawn 4": None,
        "noise too": torch.zeros(3, STEPS, DIMS),
    }
    found = toy_policy().places("dims", toy_batch() | drawn)
    assert found == {"actions": (2,), "noise": (2,), "drawn 0": (2,), "drawn 1": (4,)}
    found = toy_policy().places("steps", toy_batch() | drawn)
    assert found == {"actions": (1,), "noise": (1,), "drawn 0": (1,), "drawn 1": (2,)}


def test_a_draw_that_is_declared_lies_where_that_says():
    policy, given = small(padding=[Padding("tokens", REAL, {"x": 1, "drawn 0": 2})])
    assert policy.places("tokens", given) == {"x": (1,)}
    assert policy.places("tokens", given | {"drawn 0": torch.zeros(2, 3, 4)}) == {"x": (1,), "drawn 0": (2,)}


def test_axes_of_one_place_do_not_tell_shapes_apart_but_that_of_samples_stays():
    assert _axes_with_extent(torch.zeros(1, 5, 1, 2)) == [0, 1, 3]
    assert _axes_with_extent(torch.zeros(3, 1)) == [0]


def test_a_sample_alone_has_its_own_rows_and_along_a_cut_only_what_is_real():
    more = {"labels": ["a", "b"], "pair": ("c", "d"), "name": "xy", "scale": torch.tensor(3.0), "table": numbers(3, 2)}
    padding = [Padding("tokens", REAL, {"x": 1}, {"mask": 1}), Padding("dims", lengths(3, 3, 2), {"x": 2})]
    given = {"x": numbers(2, 4, 3), "mask": REAL, "drawn 0": numbers(2, 1, 4, 3), **more}
    policy = Policy(lambda b: None, {name: one for name, one in given.items() if name != "drawn 0"}, padding)
    alone, kinds = policy.alone(given, 1, None)
    assert torch.equal(alone["x"], given["x"][1:])
    assert (alone["labels"], alone["pair"], alone["name"]) == (["b"], ("d",), "xy")
    assert alone["scale"] is more["scale"]
    assert alone["table"] is more["table"]
    assert {axis: one.real.tolist() for axis, one in kinds.items()} == {
        "tokens": [[True, True, True, False]],
        "dims": [[True, True, False]],
    }
    alone, kinds = policy.alone(given, 0, "tokens")
    assert torch.equal(alone["x"], given["x"][:1, :2])
    assert torch.equal(alone["drawn 0"], given["drawn 0"][:1, :, :2])
    assert alone["mask"].tolist() == [[True, True]]
    assert {axis: one.real.tolist() for axis, one in kinds.items()} == {"tokens": [[True, True]], "dims": [[True] * 3]}
    policy, given = small(padding=[Padding("tokens", REAL.flip(1), {"x": 1})])
    assert torch.equal(policy.alone(given, 0, "tokens")[0]["x"], given["x"][:1, 2:])


def test_of_an_image_what_is_in_front_of_it_stays_if_anything_is_behind_it():
    """A single row behind it is enough."""
    real = torch.zeros(2, 4, 4, dtype=torch.bool)
    real[0, 1:3, 1:], real[1, 1:, 1:] = True, True
    policy, _ = small(x=numbers(2, 4, 4), padding=[Padding("rows and columns", real, {"x": 1})], axes={})
    assert policy.can_be_cut("rows and columns")
    assert [one.tolist() for one in policy.kept("rows and columns", 0)] == [[0, 1, 2], [0, 1, 2, 3]]
    assert [one.tolist() for one in policy.kept("rows and columns", 1)] == [[1, 2, 3], [1, 2, 3]]
    assert [one.tolist() for one in policy.kept("rows and columns", 0, holes=True)] == [[1, 2], [1, 2, 3]]


def test_padding_between_two_real_places_is_not_cut_off():
    holes = torch.tensor([[False, True, False, True], [True, True, False, False]])
    policy, given = small(padding=[Padding("tokens", holes, {"x": 1})])
    alone, kinds = policy.alone(given, 0, "tokens")
    assert torch.equal(alone["x"], given["x"][:1, 1:])
    assert kinds["tokens"].real.tolist() == [[True, False, True]]
    assert policy.has_holes("tokens")
    fixed = [Padding("tokens", holes, {"x": 1}, predicted=torch.ones(2, 9, dtype=torch.bool))]
    with pytest.raises(ValueError, match="`predicted` is a mask for the whole batch"):
        small(padding=fixed)[0].alone(given, 0, "tokens")


# ------------------------------------------------------------------------------------------------ what is checked


def tokens(values, real=REAL, masks=None):
    return [Padding("tokens", real, values, masks or {})]


@pytest.mark.parametrize(
    ("padding", "message"),
    [
        ([], "padding: got none, expected at least one; without it there is nothing to look for"),
        (tokens({"x": 1}, REAL[:, 0]), r"padding of tokens: `real` has the shape \(2,\), expected batch, size"),
        ([Padding("tokens", REAL, {"x": 1}, targets=~REAL)], "padding of tokens: got no target that is real"),
        (
            [Padding("tokens", REAL, {"x": 1}, documents=REAL.long())],
            "padding of tokens: got documents, expected a prediction that has this axis; say by `axes` where it is",
        ),
        (
            [*tokens({"x": 1}), Padding("dims", lengths(3, 1), {"x": 2})],
            r"padding: got batches of \[1, 2\] samples, expected the same number",
        ),
        (tokens({"x": 1}, torch.ones(2, 4, dtype=torch.bool)), "padding of tokens: got no padding, expected some"),
        (tokens({"x": 1}, torch.ones(0, 4, dtype=torch.bool)), "padding of tokens: got a batch without any sample"),
        (tokens({}), "padding of tokens: got no values, expected at least one entry"),
        (
            tokens({"y": 1}),
            r"padding of tokens: got no tensor 'y' in the batch, expected one of \['flags', 'inside.deep', 'square",
        ),
        (tokens({"name": 1}), "got no tensor 'name' in the batch.*; 'name' is a str: hand over a tensor"),
        (tokens({"inside": 1}), "named by its path, such as 'inside.deep'"),
        (tokens({"deep": 1}), "named by its path, such as 'inside.deep'"),
        (tokens({"parts": 1}), "'parts' is a list: name its parts, such as 'parts.0'"),
        (
            [Padding("rows and columns", REAL[:, None].expand(2, 3, 4), {"x": 1}, documents=REAL.long())],
            "padding of rows and columns: got documents, expected them only where `real` is batch, size",
        ),
        (tokens({"x": 1}, masks={"y": 1}), "got no tensor 'y' in the batch"),
        (
            tokens({"x": 2}),
            r"padding of tokens: `real` has the shape \(2, 4\) and 'x' has the shape \(2, 4, 3\), expected 2 at axis 0 "
            "and 4 at axis 2",
        ),
        (tokens({"x": 3}), r"'x' has the shape \(2, 4, 3\), expected 2 at axis 0 and 4 at axis 3"),
        (tokens({"x": -2}), "expected 2 at axis 0 and 4 at axis -2"),
        (
            tokens({"square": 0}, lengths(2, 1, 2)),
            "'square' got axis 0, which is that of the samples, expected the axis",
        ),
        (tokens({"turned": 1}), r"'turned' has the shape \(4, 4\), expected 2 at axis 0 and 4 at axis 1"),
        (tokens({"flags": 1}), "padding of tokens: 'flags' is torch.bool, expected numbers; masks go into `masks`"),
        (tokens({"waves": 1}), "'waves' is torch.complex64, expected numbers"),
        (
            [Padding("steps", lengths(4, 0, 0), {"x": 1})],
            "padding of steps: got nothing real, expected something in at",
        ),
    ],
)
def test_padding_that_does_not_fit_its_batch_is_named(padding, message):
    batch = {"flags": REAL, "square": numbers(2, 2), "turned": numbers(4, 4), "waves": numbers(2, 4) * 1j, "name": "n"}
    batch |= {"inside": {"deep": numbers(2, 4)}, "parts": [1, 2]}
    with pytest.raises(ValueError, match=message):
        small(padding=padding, batch=batch)


def test_padding_that_fits_is_taken_with_masks_with_draws_and_with_an_empty_prompt():
    batch = {"flags": REAL, "three": numbers(2, 3)}
    padding = [
        Padding("tokens", lengths(4, 2, 0), {"x": 1, "drawn 0": 7}, {"flags": 1}),
        Padding("steps", lengths(3, 1, 2), {"x": 2, "three": 1}),
    ]
    policy, _ = small(padding=padding, batch=batch)
    assert list(policy.padding) == ["tokens", "steps"]
    assert policy.batch_size == 2
    assert policy.padding["tokens"].values == {"x": 1, "drawn 0": 7}


@pytest.mark.parametrize(
    ("padding", "message"),
    [
        ([Padding, "x"], "padding: got the class Padding at place 0, expected a sequence of Padding records"),
        ([*tokens({"x": 1}), "x"], "padding: got a str at place 1, expected a sequence of Padding records"),
    ],
)
def test_padding_that_is_no_record_is_named(padding, message):
    with pytest.raises(TypeError, match=message):
        small(padding=padding)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"batch": {"drawn 0": 1}},
            "batch: got an entry named 'drawn 0', a name that is kept for what the policy draws",
        ),
        ({"prediction": "last"}, "module: got None, expected the module that has a 'last'"),
        ({"taps": [Tap("first", "tokens", "a", "b")]}, "module: got None, expected the module that has a 'first'"),
        ({"module": Doubled(), "prediction": "x"}, r"module: got no 'x' in Doubled; see named_modules\(\)"),
        ({"module": Doubled(), "prediction": "lost"}, r"got no 'lost' in Doubled; did you mean 'last'\? See named_mod"),
        ({"module": Doubled(), "taps": [Tap("lost", "tokens", "a", "b")]}, "module: got no 'lost' in Doubled"),
        (
            {"module": Doubled(), "taps": [Tap("first", "steps", "a", "b")]},
            "taps: got 'first' along steps, expected an axis that `padding` declares",
        ),
    ],
)
def test_names_that_do_not_fit_are_named(more, message):
    with pytest.raises(ValueError, match=message):
        small(**more)


def test_a_part_of_a_torchscript_module_cannot_be_heard_and_the_error_says_what_to_do():
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        scripted = torch.jit.script(nn.Sequential(nn.Identity()))
    with pytest.raises(
        ValueError, match="TorchScript module, to whose part '0' nobody can listen, expected the module"
    ):
        small(module=scripted, prediction="0")


# -------------------------------------------------------------------------------------------------------- parts


def test_draws_stand_beside_a_batch_and_are_told_apart_from_it():
    zero, one = torch.zeros(1), torch.ones(1)
    given = with_draws({"x": 1}, [zero, one])
    assert given == {"x": 1, "drawn 0": zero, "drawn 1": one}
    assert _without_draws(given) == ({"x": 1}, [zero, one])
    assert with_draws(given, [one]) == {"x": 1, "drawn 0": one}
    assert with_draws({"x": 1}, []) == {"x": 1, "drawn nothing": None}
    assert _without_draws(with_draws({"x": 1}, [])) == ({"x": 1}, [])
    assert _without_draws({"x": 1}) == ({"x": 1}, None)


def test_a_mask_is_laid_along_an_axis():
    assert along(REAL, 4, 2).shape == (2, 1, 4, 1)
    assert along(REAL, 2, 1).tolist() == REAL.tolist()


def test_what_is_said_is_put_into_a_copy():
    prediction = numbers(2, 2).requires_grad_()
    full = _put(prediction, (slice(None), slice(1)), torch.zeros(2, 1))
    assert full.tolist() == [[0, 2], [0, 4]]
    assert prediction.tolist() == [[1, 2], [3, 4]]
    said = torch.zeros(2, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(_put(prediction, (slice(None), slice(1)), said).sum(), said)
    assert gradient.tolist() == [[1], [1]]


def test_a_loss_is_one_number():
    assert _scalar(torch.tensor([[2.0]])).shape == ()
    assert _kind(TOKEN_MASK) == "a tensor of torch.bool, (3, 3)"
    assert _kind(3) == "a int"


# ------------------------------------------------------------------------------ policies that take gradients themselves


def energy(b, reads_padding):
    """The gradient of an energy of the real steps, as some policies predict it."""
    mask = (torch.ones_like(b["mask"]) if reads_padding else b["mask"])[..., None]
    with torch.enable_grad():
        x = b["action"].clone() if b["action"].requires_grad else b["action"].clone().requires_grad_()
        total = ((x * mask).sum(1, keepdim=True).square() * mask + x**3).sum()
        return torch.autograd.grad(total, x, create_graph=True)[0]


def without_enabling(b, reads_padding):
    mask = (torch.ones_like(b["mask"]) if reads_padding else b["mask"])[..., None]
    x = b["action"].clone().requires_grad_()
    total = ((x * mask).sum(1, keepdim=True).square() * mask + x**3).sum()
    return torch.autograd.grad(total, x, create_graph=True)[0]


@pytest.mark.parametrize("reads_padding", [False, True])
@pytest.mark.parametrize("predict", [energy, without_enabling])
def test_a_policy_and_a_sampler_that_take_gradients_themselves_are_audited(predict, reads_padding):
    real = lengths(4, 2, 3)
    batch = {"action": torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)), "mask": real}
    report = audit_masks(
        lambda b: Answer(predict(b, reads_padding), lambda said: (said[b["mask"]] ** 2).mean()),
        batch,
        [Padding("steps", real, {"action": 1}, {"mask": 1})],
        sample=lambda b: predict(b, reads_padding),
    )
    found = {one.name for one in report.findings}
    assert found >= {"prediction, steps", "sampler, steps"} if reads_padding else report.is_clean


class Penalised(nn.Module):
    """A policy whose loss has a penalty on the gradient of its prediction."""

    def __init__(self, counts_padding):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.counts_padding = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)), counts_padding

    def forward(self, b):
        x = b["action"].clone().requires_grad_()
        mask = torch.ones_like(b["mask"]) if self.counts_padding else b["mask"]
        said = self.net(x)
        slope = torch.autograd.grad(said[mask].sum(), x, create_graph=True)[0]
        return ((said - b["action"])[b["mask"]] ** 2).mean() + slope[mask].square().mean()


@pytest.mark.parametrize("counts_padding", [False, True])
def test_a_penalty_on_gradients_is_part_of_the_loss(counts_padding):
    real, policy = lengths(4, 2, 3), Penalised(counts_padding)
    report = audit_masks(
        policy,
        {"action": torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)), "mask": real},
        [Padding("steps", real, {"action": 1}, {"mask": 1})],
        module=policy,
        prediction="net",
        excused={"sampler": "none", "unit error": "a penalty"},
    )
    assert report.is_clean != counts_padding


def test_a_policy_that_takes_gradients_is_run_a_second_time_once_and_never_again():
    mask = REAL[..., None]
    policy, given = small(lambda b: Answer(without_enabling({"action": b["x"], "mask": REAL}, False) * mask))
    with torch.no_grad():
        for runs in (2, 3, 4):
            assert not policy.ask(given).prediction.requires_grad
            assert policy.runs == runs


def test_an_error_that_has_nothing_to_do_with_gradients_is_not_tried_again():
    calls = []

    def run(b):
        calls.append(0)
        raise RuntimeError("no")

    policy, given = small(run)
    with torch.no_grad(), pytest.raises(RuntimeError, match="no"):
        policy.ask(given)
    assert len(calls) == 1


def test_an_audit_inside_inference_mode_is_one_outside_of_it():
    toy = Toy()
    with torch.inference_mode():
        report = audit_masks(toy.answer, toy_batch(), toy_padding(), sample=toy.sample)
    assert report.is_clean


# ----------------------------------------------------------------------------------------- draws with one name, and NaN


@pytest.mark.parametrize("reads_padding", [False, True])
def test_a_draw_that_is_declared_may_be_another_one_in_the_sampler(reads_padding):
    real = lengths(4, 2, 3)

    def read(b, noise):
        return b["action"] + noise.where(b["mask"][:, None, :, None] | reads_padding, 0).sum((1, 2))[:, None]

    def run(b):
        said = read(b, torch.randn(len(b["action"]), 5, b["mask"].shape[1], 3))
        return Answer(said, lambda said: ((said - b["action"])[b["mask"]] ** 2).mean())

    report = audit_masks(
        run,
        {"action": torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)), "mask": real},
        [Padding("steps", real, {"action": 1, "drawn 0": 2}, {"mask": 1})],
        sample=lambda b: b["action"] + torch.rand(len(b["action"]), 1, 1),
    )
    assert report.is_clean != reads_padding
    assert report.notes == (
        "'drawn 0' is declared along steps, and training or the sampler draws something under this name that is not as "
        "long; there it was not taken for padded",
    )


@pytest.mark.parametrize("reads_padding", [False, True])
def test_padding_of_nan_may_be_what_a_policy_knows_it_by(reads_padding):
    real = lengths(4, 2, 3)
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)).where(real[..., None], torch.nan)

    def run(b):
        known = b["x"].isfinite()
        x = b["x"].where(known, 0)
        return Answer(x + x.sum(1, keepdim=True) / (x.shape[1] if reads_padding else known.sum(1, keepdim=True)))

    excused = dict.fromkeys(["sampler", "loss sum", "loss count"], "none")
    report = audit_masks(run, {"x": x}, [Padding("steps", real, {"x": 1})], excused=excused)
    assert report.is_clean != reads_padding
