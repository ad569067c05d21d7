"""The decorator that holds every call to its signature, and the names for shapes that recur."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import pytest
import torch
from jaxtyping import Bool, Float, TypeCheckError
from torch import Tensor, nn

from groot_teach import shapes
from groot_teach.checks import at_least_1
from groot_teach.loss import masked_velocity_loss
from groot_teach.masks import from_action_is_pad, from_float_mask, from_int_mask, from_key_padding_mask
from groot_teach.shapes import (
    ActionChunks,
    ActionMask,
    AttentionMask,
    DimMask,
    FlowTimes,
    PositiveInt,
    Scalar,
    StepMask,
    TokenMask,
    Where,
    ZeroToOne,
    checked,
    expect_same,
)

CHUNKS, MASK, TIMES = torch.zeros(2, 3, 5), torch.ones(2, 3, 5, dtype=torch.bool), torch.zeros(2)


# ------------------------------------------------------------------------------------------------ shapes and dtypes


@checked
def first_of(actions: ActionChunks, action_mask: ActionMask) -> ActionChunks:
    """A function to check."""
    return actions


def test_a_call_that_fits_gets_the_functions_own_answer():
    assert first_of(CHUNKS, MASK) is CHUNKS
    assert first_of(action_mask=MASK, actions=CHUNKS) is CHUNKS


@pytest.mark.parametrize("axis", range(3))
def test_an_axis_that_two_arguments_share_has_one_length(axis):
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'action_mask'.*bool\[.*'batch action_horizon action_dim'"):
        first_of(CHUNKS, MASK.narrow(axis, 0, 1))


def test_the_result_is_checked_with_the_same_axes():
    @checked(same="dtype device")
    def shorter(actions: ActionChunks, t: FlowTimes) -> ActionChunks:
        return actions[:, :1]

    with pytest.raises(TypeCheckError, match=r"(?s)return value.*f32\[2,1,5\]"):
        shorter(CHUNKS, TIMES)


@pytest.mark.parametrize(
    ("name", "fits", "others"),
    [
        ("ActionChunks", CHUNKS, [CHUNKS[0], MASK]),
        ("ActionMask", MASK, [MASK[0], CHUNKS]),
        ("DimMask", MASK[:, 0], [MASK, CHUNKS[:, 0]]),
        ("StepMask", MASK[:, :, 0], [MASK, CHUNKS[:, 0]]),
        ("TokenMask", MASK[:, 0], [MASK, CHUNKS[:, 0]]),
        ("AttentionMask", MASK, [MASK[0], CHUNKS]),
        ("FlowTimes", TIMES, [CHUNKS[0], TIMES.long()]),
        ("ZeroToOne", TIMES, [CHUNKS[0], TIMES.long()]),
        ("Scalar", TIMES[0], [TIMES, TIMES[0].long()]),
        ("PositiveInt", 1, [1.0, torch.tensor(1)]),
    ],
)
def test_each_name_stands_for_one_number_of_axes_and_one_kind_of_number(name, fits, others):
    @checked
    def take(value: getattr(shapes, name)) -> None: ...

    take(fits)
    for other in others:
        with pytest.raises(TypeCheckError, match="parameter 'value'"):
            take(other)


@pytest.mark.parametrize(
    ("alias", "axes"),
    [
        (ActionChunks, "batch action_horizon action_dim"),
        (ActionMask, "batch action_horizon action_dim"),
        (DimMask, "batch padded_dim"),
        (StepMask, "batch action_horizon"),
        (TokenMask, "batch key_len"),
        (AttentionMask, "batch query_len key_len"),
        (get_args(FlowTimes)[0], "batch"),
        (get_args(ZeroToOne)[0], "batch"),
        (Scalar, ""),
    ],
)
def test_each_name_has_the_axes_of_the_books_notation(alias, axes):
    assert alias.dim_str.strip() == axes


def test_a_dataclass_is_checked_when_a_record_is_made():
    @checked
    @dataclass
    class Pair:
        actions: ActionChunks
        action_mask: ActionMask

    assert Pair(CHUNKS, MASK).actions is CHUNKS
    with pytest.raises(TypeCheckError, match="parameter 'action_mask'"):
        Pair(CHUNKS, MASK[:1])


@pytest.mark.parametrize("decorate", [checked, checked(same="dtype device")])
def test_a_checked_function_keeps_its_name_docstring_and_signature(decorate):
    def plain(actions: ActionChunks, steps: PositiveInt = 4) -> ActionChunks:
        """What it does."""
        return actions

    function = decorate(plain)
    assert (function.__name__, function.__doc__) == ("plain", "What it does.")
    assert inspect.signature(function) == inspect.signature(plain)


# ------------------------------------------------------------------------------------------- what arguments share


@checked(same="dtype device")
def weigh(actions: ActionChunks, action_mask: ActionMask, scales: Mapping[str, Tensor], bonus: Scalar | None = None):
    return bonus


def test_float_tensors_share_a_dtype_and_masks_take_no_part():
    weigh(CHUNKS, MASK, {"a": CHUNKS})
    bonus = torch.zeros((), dtype=torch.float64)
    assert weigh(CHUNKS.double(), MASK, {"a": CHUNKS.double()}, bonus=bonus) is bonus
    remedy = r"; convert what differs, as in x.to\(torch.float32\)$"
    message = rf"^actions, scales\['a'\]: got dtype torch.float32, torch.float64, expected the same{remedy}"
    with pytest.raises(ValueError, match=message):
        weigh(CHUNKS, MASK, {"a": CHUNKS.double()})
    with pytest.raises(
        ValueError, match=rf"^actions, bonus, scales\['a'\]: got dtype .*float16.*, expected the same{remedy}"
    ):
        weigh(CHUNKS, MASK, {"a": CHUNKS}, bonus=torch.zeros((), dtype=torch.float16))


def test_all_tensors_share_a_device_and_masks_too():
    message = (
        r"^actions, action_mask, scales\['a'\]: got device cpu, {}, expected the same; move them, as in x.to\(.cpu.\)$"
    )
    with pytest.raises(ValueError, match=message.format("meta, cpu")):
        weigh(CHUNKS, MASK.to("meta"), {"a": CHUNKS})
    with pytest.raises(ValueError, match=message.format("cpu, meta")):
        weigh(CHUNKS, MASK, {"a": CHUNKS.to("meta")})


@pytest.mark.parametrize(("same", "refused"), [("dtype", "double"), ("device", "meta")])
def test_only_what_is_asked_for_is_shared(same, refused):
    @checked(same=same)
    def take(one: Tensor, other: Tensor) -> None: ...

    others = {"double": CHUNKS.double(), "meta": CHUNKS.to("meta")}
    with pytest.raises(ValueError, match=f"one, other: got {same} "):
        take(CHUNKS, others.pop(refused))
    take(CHUNKS, *others.values())


def test_a_shape_that_does_not_fit_is_reported_before_a_dtype():
    with pytest.raises(TypeCheckError, match="parameter 'action_mask'"):
        weigh(CHUNKS, MASK[0], {"a": CHUNKS.double()})


def test_methods_are_checked_like_functions():
    class Policy(nn.Module):
        @checked(same="dtype")
        def forward(self, actions: ActionChunks, noise: ActionChunks, steps: PositiveInt = 1) -> ActionChunks:
            return actions

    assert Policy()(CHUNKS, CHUNKS) is CHUNKS
    with pytest.raises(ValueError, match=r"^actions, noise: got dtype"):
        Policy()(CHUNKS, CHUNKS.double())
    with pytest.raises(ValueError, match=r"^steps: got 0"):
        Policy()(CHUNKS, CHUNKS, steps=0)


@pytest.mark.parametrize("same", ["dtypes", "device dtype shape", "cpu"])
def test_another_word_than_dtype_and_device_is_refused(same):
    with pytest.raises(ValueError, match=f"^same: got '{same}', expected one of 'dtype', 'device', 'dtype device'$"):
        checked(same=same)


def test_only_a_function_can_be_asked_for_more_than_shapes():
    @dataclass
    class Pair:
        one: Tensor
        other: Tensor

    @dataclass
    class Steps:
        number: PositiveInt

    with pytest.raises(TypeError, match=r"^Pair: got a class, expected a function"):
        checked(same="dtype")(Pair)
    with pytest.raises(TypeError, match=r"^Steps: got a class, expected a function"):
        checked(Steps)


@pytest.mark.parametrize("trait", ["dtype", "device"])
def test_expect_same_names_the_arguments_and_what_came(trait):
    expect_same(trait)
    expect_same(trait, one=CHUNKS, other=TIMES)
    other = {"dtype": TIMES.double(), "device": TIMES.to("meta")}[trait]
    came = {"dtype": "torch.float32, torch.float64", "device": "cpu, meta"}[trait]
    remedy = {
        "dtype": r"convert what differs, as in x.to\(torch.float32\)",
        "device": r"move them, as in x.to\(.cpu.\)",
    }
    with pytest.raises(ValueError, match=f"^one, other: got {trait} {came}, expected the same; {remedy[trait]}$"):
        expect_same(trait, one=CHUNKS, other=other)


# --------------------------------------------------------------------------------------------------------- values


def test_an_argument_is_held_to_the_values_that_its_name_allows_by_position_and_by_name():
    @checked
    def walk(t: FlowTimes, s: ZeroToOne | None = None, steps: PositiveInt = 1) -> None: ...

    walk(TIMES, TIMES, 1)
    walk(TIMES, steps=1)
    walk(TIMES, None)
    with pytest.raises(ValueError, match=r"^t: got 2 to 2, expected a flow time"):
        walk(TIMES + 2, TIMES, 1)
    with pytest.raises(ValueError, match=r"^s: got -1 to -1, expected 0 to 1$"):
        walk(TIMES, s=TIMES - 1, steps=1)
    with pytest.raises(ValueError, match=r"^steps: got -1, expected 1 or more$"):
        walk(TIMES, TIMES, -1)


def test_dtypes_are_reported_before_values():
    @checked(same="dtype")
    def walk(actions: ActionChunks, t: FlowTimes) -> None: ...

    with pytest.raises(ValueError, match=r"^actions, t: got dtype"):
        walk(CHUNKS, TIMES.double() + 2)


def test_an_error_about_a_type_does_not_show_how_its_values_are_checked():
    @checked
    def take(number: Annotated[int, Where(at_least_1)]) -> None: ...

    with pytest.raises(TypeCheckError, match=r"^parameter 'number' of take: got 1\.5, expected int$"):
        take(1.5)


# ------------------------------------------------------------------------------------------- what an error says


@checked
def draw(
    actions: ActionChunks, names: Sequence[str] = (), parts: Mapping[str, Float[Tensor, "n"]] | None = None
) -> None:
    """Takes a little of everything."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [MASK],
            "got bool[2,3,5], expected Float[Tensor, 'batch action_horizon action_dim']; this is a mask: were "
            "two arguments swapped?",
        ),
        ([CHUNKS.long()], "got i64[2,3,5], expected .*; convert it: x.float()"),
        ([CHUNKS[0]], "got f32[3,5], .*; it has 2 axes in place of 3"),
        ([CHUNKS.tolist()], "got .*, expected .*; convert it: torch.tensor(x)"),
        ([CHUNKS.numpy()], "got f32[2,3,5](numpy), expected .*; convert it: torch.from_numpy(x)"),
        ([CHUNKS.long().tolist()], "got .*, expected .*; convert it: torch.tensor(x, dtype=torch.float32)"),
        ([[[1.0], [2.0, 3.0]]], "got .*, expected .*; convert it: torch.tensor(x)"),
        ([0.5], "got 0.5, expected Float[Tensor, 'batch action_horizon action_dim']"),
    ],
)
def test_an_error_is_one_line_that_says_what_came_what_was_expected_and_what_to_do(arguments, said):
    with pytest.raises(TypeCheckError) as caught:
        draw(*arguments)
    assert re.fullmatch(
        f"parameter 'actions' of draw: {re.escape(said).replace(re.escape('.*'), '.*')}", str(caught.value)
    )


def test_an_error_about_a_length_says_which_arguments_have_the_other():
    with pytest.raises(TypeCheckError, match=r"'action_mask' of first_of: .* with batch=2, .*, as in actions$"):
        first_of(CHUNKS, MASK[:1])


def test_an_error_about_several_axes_at_once_says_so_too():
    @checked
    def select(actions: Float[Tensor, "*batch dim"], real: Bool[Tensor, "*batch"]) -> Tensor:
        return actions[real]

    with pytest.raises(
        TypeCheckError, match=r"'real' of select: .* with batch=\[2, 3\], as in actions; it has 1 axis in place of 2$"
    ):
        select(CHUNKS, MASK[0, 0])


def test_an_error_about_a_mask_of_numbers_names_where_masks_are_converted():
    with pytest.raises(TypeCheckError, match=r"parameter 'action_mask' of first_of: .*groot_teach\.masks"):
        first_of(CHUNKS, MASK.float())


def test_a_remedy_that_is_followed_ends_in_a_call_that_fits():
    @checked
    def step(actions: ActionChunks, t: FlowTimes, scale: Scalar, dims: Sequence[slice] = ()) -> None: ...

    one = torch.ones(())
    for arguments, said, mended in [
        ((CHUNKS, 1, one), "make one for each of batch: torch.full((2,), 1.0)", (CHUNKS, torch.full((2,), 1.0), one)),
        ((CHUNKS, TIMES, 3), "convert it: torch.tensor(3.0)", (CHUNKS, TIMES, torch.tensor(3.0))),
        ((CHUNKS, TIMES, one, slice(0, 3)), "put it in a list: [x]", (CHUNKS, TIMES, one, [slice(0, 3)])),
        ((CHUNKS, TIMES, one, [(0, 3)]), "write slice(0, 3)", (CHUNKS, TIMES, one, [slice(0, 3)])),
    ]:
        with pytest.raises(TypeCheckError, match=rf"; {re.escape(said)}$"):
            step(*arguments)
        step(*mended)


def test_a_remedy_knows_how_many_axes_stand_behind_a_star():
    @checked
    def read(query: Float[Tensor, "*batch width"], mask: Bool[Tensor, "*batch width"]) -> None: ...

    with pytest.raises(TypeCheckError, match=r"; it has 2 axes in place of 3$"):
        read(CHUNKS, MASK[0])
    with pytest.raises(TypeCheckError, match=r"with width=5, batch=\[2, 3\], as in query$"):
        read(CHUNKS, MASK[:, :, :4])


@pytest.mark.parametrize(
    ("convert", "given", "remedy"),
    [
        (from_action_is_pad, torch.zeros(3), "convert it: x.bool(), if 1 means what True means here"),
        (from_key_padding_mask, torch.zeros(2, 3).long(), "convert it: x.bool(), if 1 means what True means here"),
        (from_int_mask, torch.zeros(3).bool(), "a bool mask needs no conversion"),
        (from_float_mask, torch.zeros(3).bool(), "a bool mask needs no conversion"),
        (from_int_mask, torch.zeros(3), "convert it: x.long()"),
    ],
)
def test_no_remedy_of_a_converter_turns_a_mask_over(convert, given, remedy):
    """Another converter would read the mask as it says itself, where 1 may mean the opposite."""
    with pytest.raises(TypeCheckError, match=rf"; {re.escape(remedy)}$"):
        convert(given)


@pytest.mark.parametrize("place", range(9))
def test_every_entry_of_a_sequence_is_checked_every_time(place):
    names = ["arm"] * 9
    names[place] = 3
    with pytest.raises(TypeCheckError, match=rf"^parameter 'names' of draw: names\[{place}\]: got 3, expected str$"):
        draw(CHUNKS, names)


def test_every_entry_of_a_mapping_is_checked_and_each_may_have_a_length_of_its_own():
    draw(CHUNKS, parts={"arm": torch.zeros(2), "hand": torch.zeros(3)})
    with pytest.raises(TypeCheckError, match=r"parts\['leg'\]: got torch.float32\[1, 2\], expected .*Float"):
        draw(CHUNKS, parts={"arm": torch.zeros(2), "leg": torch.zeros(1, 2)})
    with pytest.raises(TypeCheckError, match=r"parts\[5\]: got 5, expected str"):
        draw(CHUNKS, parts={"arm": torch.zeros(2), 5: torch.zeros(2)})


def test_a_bool_is_no_number():
    @checked
    def repeat(times: PositiveInt, more: int | None = None, is_loud: bool = True) -> int:
        return times

    assert repeat(2, is_loud=False) == 2
    with pytest.raises(TypeCheckError, match="parameter 'times' of repeat: got True, expected a number"):
        repeat(True)
    with pytest.raises(TypeCheckError, match="parameter 'more' of repeat: got False, expected a number"):
        repeat(1, False)


def test_the_error_of_a_function_that_is_called_inside_is_passed_on():
    @checked
    def outer(actions: ActionChunks) -> Any:
        return first_of(actions, MASK[:1])

    with pytest.raises(TypeCheckError, match=r"^parameter 'action_mask' of first_of: "):
        outer(CHUNKS)


def test_annotations_of_others_are_left_alone():
    @checked
    def take(number: Annotated[int, "in metres"], weights: Annotated[Float[Tensor, " n"], len]) -> int:
        return number

    assert take(-3, TIMES) == -3


@pytest.mark.parametrize(
    ("given", "function"),
    [
        (MASK.long(), "from_int_mask"),
        (MASK.float(), "from_float_mask, if 1 is real"),
        (torch.zeros(2, 3, 5), "from_additive_mask, if 0 is real"),
        (torch.full((2, 3, 5), -1e9), "from_additive_mask, if 0 is real"),
    ],
)
def test_a_mask_of_another_kind_is_sent_to_the_function_that_converts_it(given, function):
    @checked
    def count(action_mask: ActionMask) -> None: ...

    with pytest.raises(TypeCheckError, match=f"convert the mask once, by groot_teach.masks.{function}$"):
        count(given)


def test_an_argument_that_a_function_does_not_have_is_told_which_there_are():
    known = r"the arguments are velocity_pred, velocity_target, action_mask$"
    given = torch.zeros(1, 1, 1, dtype=torch.float64)
    with pytest.raises(TypeError, match=rf"unexpected keyword argument 'mask'; did you mean 'action_mask'\? {known}"):
        masked_velocity_loss(given, given, given > 0, mask=given > 0)
    with pytest.raises(TypeError, match=rf"unexpected keyword argument 'x'; {known}"):
        masked_velocity_loss(given, given, given > 0, x=1)
    with pytest.raises(TypeError, match=rf"unexpected keyword argument 'mask'; did you mean 'action_mask'\? {known}"):
        masked_velocity_loss(given, given, mask=given > 0)  # one is missing as well
    with pytest.raises(TypeError, match=r"^masked_velocity_loss: got 4 arguments without a name, expected at most 3$"):
        masked_velocity_loss(given, given, given > 0, 1)
