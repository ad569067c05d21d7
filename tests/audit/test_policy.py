"""How a policy is asked, and what is real in its answer: policies of a line or two."""

from dataclasses import FrozenInstanceError, replace
from typing import get_args

import pytest
import torch
from audit_cases import DIM_MASK, DIMS, STEP_MASK, STEPS, TOKEN_MASK, Toy, lengths, toy_batch, toy_padding
from torch import nn

from groot_teach.audit import Answer, Padding, Tap
from groot_teach.audit.draws import OtherDraws
from groot_teach.audit.policy import (
    AXES,
    Axis,
    Heard,
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


def test_the_axes_along_which_something_is_padded_are_three():
    assert AXES == get_args(Axis) == ("dims", "steps", "tokens")


def test_padding_lies_in_its_values_and_its_masks():
    assert Padding("dims", REAL, {"x": 2}, {"m": 1}).places == {"x": 2, "m": 1}
    assert Padding("dims", REAL, {"x": 2}).places == {"x": 2}


@pytest.mark.parametrize(
    "changes",
    [{"axis": "width"}, {"real": REAL.float()}, {"real": REAL[0]}, {"values": {"x": 1.5}}, {"masks": {"x": "1"}}],
)
def test_padding_of_another_type_is_refused(changes):
    with pytest.raises(TypeError):
        replace(Padding("dims", REAL, {"x": 1}), **changes)


def test_what_is_declared_answered_or_heard_is_itself_and_cannot_be_changed():
    def heard():
        return Heard(numbers(2), numbers(2), (slice(None),), None, None, {}, ())

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


def test_a_loss_may_be_a_number_or_be_left_out():
    heard = small(lambda b: Answer(b["x"], torch.tensor([0.5])))[0].ask({"x": numbers(2, 4, 3)})
    assert heard.loss.shape == ()
    assert heard.loss.item() == 0.5
    assert heard.loss_of is None
    heard = small()[0].ask({"x": numbers(2, 4, 3)})
    assert (heard.loss, heard.loss_of) == (None, None)


def test_of_a_larger_prediction_the_part_that_is_asked_for_is_heard_and_the_rest_stays_when_another_one_is_said():
    policy, given = small(lambda b: Answer(nn.functional.pad(b["x"], (0, 0, 1, 0), value=9), lambda said: said.sum()),
                          axis="steps")  # fmt: skip
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    assert heard.whole.shape == (2, 5, 3)
    assert heard.part == (slice(None), slice(1, None), slice(None))
    assert heard.loss.item() == 300 + 6 * 9
    assert heard.loss_of(torch.zeros(2, 4, 3)).item() == 6 * 9


def test_another_part_may_be_wanted():
    policy, given = small(lambda b: Answer(b["x"], lambda said: said.sum()))
    heard = policy.ask(given, part_of=lambda prediction: (slice(1),))
    assert torch.equal(heard.prediction, given["x"][:1])


def drawing(b):
    return Answer(b["x"] + torch.rand(2, 4, 3), lambda said: torch.rand(()))


def test_free_draws_are_written_down_start_from_one_seed_and_are_repeated():
    policy, given = small(drawing)
    first = policy.ask(given)
    assert torch.equal(first.drawn[0], torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0)))
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
        (Answer(numbers(2, 4, 3), 0.5), "loss: got a float, expected a float tensor with one number"),
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
    return small(module, axis="steps", **arguments)


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


def test_a_prediction_module_has_to_be_called_once():
    class Twice(Doubled):
        def forward(self, b):
            return super().forward(b) + super().forward(b)

    class Never(Doubled):
        def forward(self, b):
            return b["x"].sum()

    for module, times in ((Twice(), 2), (Never(), 0)):
        policy, given = hooked(module, taps=())
        with pytest.raises(ValueError, match=f"prediction: 'last' was called {times} times, expected once a run"):
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
    policy, given = hooked(Pair(), taps=[Tap("last", "steps", "a", "b")], prediction=None)
    with pytest.raises(ValueError, match="taps: 'last' gives a tuple, expected a tensor"):
        policy.ask(given)
    arrange = (lambda output: output[0].mT, lambda said, output: (said.mT, output[1]))
    policy, given = hooked(Pair(), taps=(), arrange=arrange)
    heard = policy.ask(given)
    assert torch.equal(heard.prediction, given["x"])
    assert heard.loss_of(torch.zeros(2, 4, 3)).item() == 0


# ------------------------------------------------------------------------------------------------- what is real


def test_of_too_many_steps_the_last_and_of_too_many_dims_the_first_are_wanted():
    policy = toy_policy()
    assert policy.wanted(torch.zeros(3, STEPS, DIMS)) == (slice(None),) * 3
    assert policy.wanted(torch.zeros(3, STEPS + 2, DIMS + 4)) == (slice(None), slice(2, None), slice(DIMS))
    assert policy.wanted_for({"dims": lengths(2, 2)})(torch.zeros(1, 9, 3)) == (slice(None), slice(None), slice(2))
    tokens = Policy(lambda b: None, toy_batch(), toy_padding()[2:], axes={"tokens": 1})
    assert tokens.wanted(torch.zeros(3, 5, 2)) == (slice(None), slice(3), slice(None))


def test_a_prediction_may_lack_dims_that_no_robot_has_but_no_step_and_no_real_dim():
    wide = {"dims": lengths(7, 4, 3), "steps": lengths(5, 5, 2)}
    policy = toy_policy()
    assert policy.wanted_for(wide)(torch.zeros(2, 5, 4)) == (slice(None),) * 3
    with pytest.raises(ValueError, match="prediction: got 3 dims, expected 7; real ones would have no prediction"):
        policy.wanted_for(wide)(torch.zeros(2, 5, 3))
    with pytest.raises(ValueError, match="prediction: got 4 steps, expected 5"):
        policy.wanted_for({"steps": lengths(5, 4, 2)})(torch.zeros(2, 4, 7))


def test_an_axis_that_a_prediction_lacks_is_named():
    with pytest.raises(ValueError, match="axes: got 'dims' at 2, but a prediction has 2 axes"):
        toy_policy().wanted(torch.zeros(3, STEPS))


def test_real_entries_are_real_along_every_axis():
    policy = toy_policy()
    real = policy.real_in(torch.zeros(3, STEPS, DIMS))
    assert torch.equal(real, DIM_MASK[:, None] & STEP_MASK[:, :, None])
    assert torch.equal(policy.real_in(torch.zeros(3, STEPS, 3)), real[..., :3])
    only_dims = policy.real_in(torch.zeros(3, STEPS, DIMS), {"dims": DIM_MASK})
    assert torch.equal(only_dims, DIM_MASK[:, None].expand(3, STEPS, DIMS))
    assert policy.real_in(torch.zeros(3, STEPS, DIMS), {}).all()


def test_samples_are_padded_along_the_axes_that_are_named():
    assert list(toy_policy().sampled_real()) == ["dims", "steps", "tokens"]
    (axis, real), *more = toy_policy(sample_along=["dims"]).sampled_real().items()
    assert (axis, more) == ("dims", [])
    assert torch.equal(real, DIM_MASK)


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
    assert toy_policy().places("steps", toy_batch()) == {"actions": 1, "noise": 1}
    drawn = {
        "drawn 0": torch.zeros(3, STEPS, DIMS),
        "drawn 1": torch.zeros(3, 1, STEPS, 1, DIMS),
        "drawn 2": torch.zeros(3, STEPS),
        "drawn 3": torch.zeros(()),
        "drawn 4": None,
        "noise too": torch.zeros(3, STEPS, DIMS),
    }
    found = toy_policy().places("dims", toy_batch() | drawn)
    assert found == {"actions": 2, "noise": 2, "drawn 0": 2, "drawn 1": 4}
    found = toy_policy().places("steps", toy_batch() | drawn)
    assert found == {"actions": 1, "noise": 1, "drawn 0": 1, "drawn 1": 2}


def test_a_draw_that_is_declared_lies_where_that_says():
    policy, given = small(padding=[Padding("tokens", REAL, {"x": 1, "drawn 0": 2})])
    assert policy.places("tokens", given) == {"x": 1}
    assert policy.places("tokens", given | {"drawn 0": torch.zeros(2, 4, 3)}) == {"x": 1, "drawn 0": 2}


def test_axes_of_one_place_do_not_tell_shapes_apart_but_that_of_samples_stays():
    assert _axes_with_extent(torch.zeros(1, 5, 1, 2)) == [0, 1, 3]
    assert _axes_with_extent(torch.zeros(3, 1)) == [0]


def test_a_sample_alone_has_its_own_rows_and_along_a_cut_only_what_is_real():
    more = {"labels": ["a", "b"], "pair": ("c", "d"), "name": "xy", "scale": torch.tensor(3.0), "table": numbers(3, 2)}
    padding = [Padding("tokens", REAL, {"x": 1}, {"mask": 1}), Padding("dims", lengths(3, 3, 2), {"x": 2})]
    given = {"x": numbers(2, 4, 3), "mask": REAL, "drawn 0": numbers(2, 1, 4, 3), **more}
    policy = Policy(lambda b: None, {name: one for name, one in given.items() if name != "drawn 0"}, padding)
    alone, real = policy.alone(given, 1, None)
    assert torch.equal(alone["x"], given["x"][1:])
    assert (alone["labels"], alone["pair"], alone["name"]) == (["b"], ("d",), "xy")
    assert alone["scale"] is more["scale"]
    assert alone["table"] is more["table"]
    assert {axis: one.tolist() for axis, one in real.items()} == {
        "tokens": [[True, True, True, False]],
        "dims": [[True, True, False]],
    }
    alone, real = policy.alone(given, 0, "tokens")
    assert torch.equal(alone["x"], given["x"][:1, :2])
    assert torch.equal(alone["drawn 0"], given["drawn 0"][:1, :, :2])
    assert alone["mask"].tolist() == [[True, True]]
    assert {axis: one.tolist() for axis, one in real.items()} == {"tokens": [[True, True]], "dims": [[True] * 3]}
    policy, given = small(padding=[Padding("tokens", REAL.flip(1), {"x": 1})])
    assert torch.equal(policy.alone(given, 0, "tokens")[0]["x"], given["x"][:1, 2:])


# ------------------------------------------------------------------------------------------------ what is checked


def tokens(values, real=REAL, masks=None):
    return [Padding("tokens", real, values, masks or {})]


@pytest.mark.parametrize(
    ("padding", "message"),
    [
        ([], "padding: got none, expected at least one; without it there is nothing to look for"),
        (tokens({"x": 1}) * 2, r"padding: got the axes \['tokens', 'tokens'\], expected each of them once"),
        (
            [*tokens({"x": 1}), Padding("dims", lengths(3, 1), {"x": 2})],
            r"padding: got batches of \[1, 2\] samples, expected the same number",
        ),
        (tokens({"x": 1}, torch.ones(2, 4, dtype=torch.bool)), "padding of tokens: got no padding, expected some"),
        (tokens({}), "padding of tokens: got no values, expected at least one entry"),
        (tokens({"y": 1}), r"padding of tokens: got no tensor 'y' in the batch, expected one of \['flags', 'name', "),
        (tokens({"name": 1}), "got no tensor 'name' in the batch"),
        (tokens({"x": 1}, masks={"y": 1}), "got no tensor 'y' in the batch"),
        (
            tokens({"x": 2}),
            r"padding of tokens: 'x' has the shape \(2, 4, 3\), expected 2 at axis 0 and 4 at axis 2",
        ),
        (tokens({"x": 3}), r"'x' has the shape \(2, 4, 3\), expected 2 at axis 0 and 4 at axis 3"),
        (tokens({"x": -2}), "expected 2 at axis 0 and 4 at axis -2"),
        (tokens({"square": 0}, lengths(2, 1, 2)), "expected 2 at axis 0 and 2 at axis 0"),
        (tokens({"turned": 1}), r"'turned' has the shape \(4, 4\), expected 2 at axis 0 and 4 at axis 1"),
        (tokens({"flags": 1}), "padding of tokens: 'flags' is torch.bool, expected numbers; masks go into `masks`"),
        (tokens({"waves": 1}), "'waves' is torch.complex64, expected numbers"),
        ([Padding("dims", lengths(4, 2, 0), {"x": 1})], "padding of dims: got nothing real in sample 1, expected some"),
        (
            [Padding("steps", lengths(4, 0, 0), {"x": 1})],
            "padding of steps: got nothing real in sample 0, expected some",
        ),
    ],
)
def test_padding_that_does_not_fit_its_batch_is_named(padding, message):
    batch = {"flags": REAL, "square": numbers(2, 2), "turned": numbers(4, 4), "waves": numbers(2, 4) * 1j, "name": "n"}
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
    ("more", "message"),
    [
        (
            {"batch": {"drawn 0": 1}},
            "batch: got an entry named 'drawn 0', a name that is kept for what the policy draws",
        ),
        ({"prediction": "last"}, "module: got None, expected the module that has a 'last'"),
        ({"taps": [Tap("first", "tokens", "a", "b")]}, "module: got None, expected the module that has a 'first'"),
        ({"module": Doubled(), "prediction": "lost"}, r"module: got no 'lost' in Doubled; see named_modules\(\)"),
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
