"""Masks: each conversion against the code that reads the foreign mask, and the presets against the book's table."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import tensor

from groot_teach.masks import (
    ADDITIVE_HIDDEN,
    GROOT_N1_5,
    GROOT_N1_6,
    GROOT_N1_7,
    LEAKS,
    OCTO_RENOISE,
    PR_741,
    PRESETS,
    STRICT,
    SWITCHES,
    Masking,
    from_action_is_pad,
    from_additive_mask,
    from_float_mask,
    from_int_mask,
    from_key_padding_mask,
    from_mha_attn_mask,
    open_leaks,
    with_switches,
)

T, F = True, False
INF = float("inf")
quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
rectangles = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=5)
)
every_float = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])


def attention_weights(attn_mask: torch.Tensor) -> torch.Tensor:
    """What `scaled_dot_product_attention` gives each key when all logits are equal: the values are the unit vectors."""
    keys = attn_mask.shape[-1]
    dtype = attn_mask.dtype if attn_mask.is_floating_point() else torch.float64
    query, key, value = torch.zeros(1, 2, dtype=dtype), torch.zeros(keys, 2, dtype=dtype), torch.eye(keys, dtype=dtype)
    batch = [tensor[None] for tensor in (query, key, value, attn_mask[None])]
    return functional.scaled_dot_product_attention(*batch)[0, 0]


# ----------------------------------------------------------------------------------------- answers from paper


def test_action_is_pad_is_turned_round():
    assert from_action_is_pad(tensor([[F, F, T], [F, T, T]])).tolist() == [[T, T, F], [T, F, F]]


def test_key_padding_mask_is_turned_round():
    assert from_key_padding_mask(tensor([[F, F, T], [T, F, F]])).tolist() == [[T, T, F], [F, T, T]]


def test_the_attn_mask_of_multihead_attention_is_turned_round_with_any_number_of_axes():
    assert from_mha_attn_mask(tensor([[F, T], [F, F]])).tolist() == [[T, F], [T, T]]
    assert from_mha_attn_mask(tensor([[[F, T]], [[T, T]]])).tolist() == [[[T, F]], [[F, F]]]


@pytest.mark.parametrize("wrong", [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64), tensor([T])])
def test_an_attn_mask_that_is_not_bool_or_has_one_axis_is_refused(wrong):
    with pytest.raises(TypeCheckError, match="parameter 'attn_mask'"):
        from_mha_attn_mask(wrong)


@every_float
def test_a_float_one_is_real_and_a_float_zero_is_padding(dtype):
    assert from_float_mask(tensor([[1.0, 0.0], [1.0, 1.0]], dtype=dtype)).tolist() == [[T, F], [T, T]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_an_int_one_is_real_and_an_int_zero_is_padding(dtype):
    assert from_int_mask(tensor([[0, 1], [1, 1]], dtype=dtype)).tolist() == [[F, T], [T, T]]


@every_float
@pytest.mark.parametrize("hidden", ["-1e4", "finfo.min", "-inf"])
def test_an_additive_zero_may_be_read_and_a_huge_negative_may_not(dtype, hidden):
    value = {"-1e4": -1e4, "finfo.min": torch.finfo(dtype).min, "-inf": -INF}[hidden]
    assert from_additive_mask(tensor([[0.0, value], [-0.0, 0.0]], dtype=dtype)).tolist() == [[T, F], [T, T]]


def test_every_conversion_takes_any_axes_and_returns_bool_of_the_same_shape():
    shape = (2, 3, 5)
    for converted in (
        from_action_is_pad(torch.zeros(shape, dtype=torch.bool)),
        from_float_mask(torch.zeros(shape)),
        from_int_mask(torch.zeros(shape, dtype=torch.int64)),
        from_additive_mask(torch.zeros(shape)),
    ):
        assert (converted.shape, converted.dtype) == (shape, torch.bool)


def test_conversions_leave_the_foreign_mask_alone():
    is_pad, floats = tensor([[F, T]]), tensor([[1.0, 0.0]])
    for converted in (from_action_is_pad(is_pad), from_key_padding_mask(is_pad), from_float_mask(floats)):
        converted.fill_(True)
    assert is_pad.tolist() == [[F, T]]
    assert floats.tolist() == [[1, 0]]


@quick
@given(rectangles)
def test_a_mask_survives_the_way_out_and_back(rows):
    mask = tensor(rows)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert torch.equal(from_float_mask(mask.to(dtype)), mask)
        additive = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
        assert torch.equal(from_additive_mask(additive), mask)
        assert torch.equal(from_additive_mask(additive.T), mask.T)
    assert torch.equal(from_int_mask(mask.long()), mask)
    assert torch.equal(from_key_padding_mask(~mask), mask)
    assert torch.equal(from_action_is_pad(from_action_is_pad(mask)), mask)


# ------------------------------------------------------------- the code that reads the foreign mask, run for real


def test_multihead_attention_gives_weight_exactly_to_the_keys_we_say_may_be_read():
    key_padding_mask = tensor([[F, F, T], [T, F, F]])
    layer = torch.nn.MultiheadAttention(embed_dim=2, num_heads=1, batch_first=True, dtype=torch.float64)
    tokens = torch.arange(12.0, dtype=torch.float64).reshape(2, 3, 2) / 10
    _, weights = layer(tokens, tokens, tokens, key_padding_mask=key_padding_mask)
    for query in range(3):
        assert torch.equal(weights[:, query] > 0, from_key_padding_mask(key_padding_mask))


def test_a_bool_mask_means_may_be_read_to_scaled_dot_product_attention():
    assert attention_weights(tensor([T, F, T])).tolist() == [0.5, 0, 0.5]


def test_an_unconverted_key_padding_mask_makes_sdpa_read_the_padding_and_nothing_else():
    key_padding_mask = tensor([[F, F, T]])
    assert attention_weights(key_padding_mask[0]).tolist() == [0, 0, 1]
    assert attention_weights(from_key_padding_mask(key_padding_mask)[0]).tolist() == [0.5, 0.5, 0]


@every_float
@pytest.mark.parametrize("hidden", ["-1e4", "finfo.min", "-inf"])
def test_sdpa_gives_no_weight_to_what_an_additive_mask_hides(dtype, hidden):
    value = {"-1e4": -1e4, "finfo.min": torch.finfo(dtype).min, "-inf": -INF}[hidden]
    additive = tensor([0.0, value, 0.0], dtype=dtype)
    weights = attention_weights(additive)
    assert weights.tolist() == [0.5, 0, 0.5]
    assert torch.equal(weights > 0, from_additive_mask(additive))
    assert torch.equal(weights, attention_weights(from_additive_mask(additive)).to(dtype))


def test_sdpa_does_give_weight_to_a_key_under_a_mere_bias_so_no_bool_mask_can_stand_for_it():
    bias = tensor([0.0, -2.0], dtype=torch.float64)
    assert attention_weights(bias)[1] > 0.1
    with pytest.raises(ValueError, match="values: got -2, expected 0"):
        from_additive_mask(bias)


def test_sdpa_adds_a_float_mask_of_ones_and_zeros_to_the_logits_and_hides_nothing():
    floats = tensor([1.0, 0.0], dtype=torch.float64)
    e = torch.e
    torch.testing.assert_close(attention_weights(floats), tensor([e / (e + 1), 1 / (e + 1)], dtype=torch.float64))
    assert attention_weights(from_float_mask(floats)).tolist() == [1, 0]


def test_sdpa_refuses_a_tokenizers_int_mask_until_it_is_converted():
    ints = tensor([1, 0])
    with pytest.raises(RuntimeError, match="attn_mask dtype"):
        attention_weights(ints)
    assert attention_weights(from_int_mask(ints)).tolist() == [1, 0]


# ------------------------------------------------------------------------------------- values nobody can read


@pytest.mark.parametrize(
    ("value", "got"), [(0.5, "0.5"), (2.0, "2"), (-1e9, r"-1e\+09"), (-INF, "-inf"), (float("nan"), "nan")]
)
def test_a_float_mask_may_hold_zeros_and_ones_only(value, got):
    with pytest.raises(ValueError, match=rf"values: got {got}, expected only 0 \(padding\) and 1 \(real\)"):
        from_float_mask(tensor([[1.0, 0.0], [value, 1.0]]))


@pytest.mark.parametrize("value", [2, -1, 255])
def test_an_int_mask_may_hold_zeros_and_ones_only(value):
    with pytest.raises(ValueError, match=rf"values: got {value}, expected only 0 \(padding\) and 1 \(real\)"):
        from_int_mask(tensor([[1, 0], [value, 1]]))


@pytest.mark.parametrize(
    ("value", "got"),
    [(1.0, "1"), (1e-9, "1e-09"), (-1.0, "-1"), (-9000.0, "-9000"), (INF, "inf"), (float("nan"), "nan")],
)
def test_an_additive_mask_may_hold_zeros_and_huge_negatives_only(value, got):
    message = rf"values: got {got}, expected 0 \(may be read\) or at most -9984 \(hidden\)"
    with pytest.raises(ValueError, match=message):
        from_additive_mask(tensor([[0.0, -INF], [value, 0.0]]))


@pytest.mark.parametrize("convert", [from_float_mask, from_additive_mask])
def test_of_several_values_that_nobody_can_read_the_first_is_named(convert):
    with pytest.raises(ValueError, match=r"^values: got 0\.5, expected"):
        convert(tensor([0.0, 0.5, 0.25]))


def test_the_additive_constant_itself_hides():
    assert ADDITIVE_HIDDEN == -9984
    assert from_additive_mask(tensor([-1e4, -10001.0])).tolist() == [F, F]


def test_the_mildest_constant_survives_a_detour_through_bfloat16():
    assert from_additive_mask(tensor([0.0, -1e4]).bfloat16().float()).tolist() == [T, F]


@pytest.mark.parametrize(
    ("convert", "name", "foreign"),
    [
        (from_action_is_pad, "action_is_pad", tensor([[1, 0]])),
        (from_action_is_pad, "action_is_pad", tensor([[1.0, 0.0]])),
        (from_key_padding_mask, "key_padding_mask", tensor([[-INF, 0.0]])),
        (from_key_padding_mask, "key_padding_mask", tensor([T, F])),
        (from_float_mask, "values", tensor([[1, 0]])),
        (from_float_mask, "values", tensor([[T, F]])),
        (from_int_mask, "values", tensor([[1.0, 0.0]])),
        (from_int_mask, "values", tensor([[T, F]])),
        (from_additive_mask, "values", tensor([[T, F]])),
        (from_additive_mask, "values", tensor([[0, -10000]])),
        (from_additive_mask, "values", [[0.0, -1e9]]),
    ],
)
def test_a_conversion_refuses_masks_of_another_kind(convert, name, foreign):
    kinds = r"(Bool|Float|Integer)\[Tensor, "
    with pytest.raises(TypeCheckError, match=rf"(?s)parameter '{name}' of .*got .*, expected .*{kinds}"):
        convert(foreign)


# ---------------------------------------------------------------------------------------- Masking and its presets


def test_what_is_no_masking_is_named_and_so_is_no_position():
    for call in (open_leaks, lambda masking: with_switches(masking, sampler="free")):
        with pytest.raises(TypeCheckError, match=r"parameter 'masking' of .*: got 'strict', expected"):
            call("strict")
    with pytest.raises(TypeCheckError, match="parameter 'positions' of with_switches"):
        with_switches(STRICT, sampler=[1])


#             encoder_input self_attn vl_self_attn cross_attn loss              denominator       sampler
TABLE = {
    "GR00T N1.5": ("open", "open", "open", "open", "dims", "valid", "free"),
    "GR00T N1.6": ("open", "open", "absent", "closed", "dims_and_steps", "valid_plus_eps", "free"),
    "GR00T N1.7": ("open", "open", "open", "closed", "dims_and_steps", "valid_plus_eps", "free"),
    "PR #741": ("closed", "closed", "open", "closed", "dims_and_steps", "valid_plus_eps", "zero"),
    "strict": ("closed", "closed", "closed", "closed", "dims_and_steps", "valid", "zero"),
    "Octo's re-noising": ("open", "open", "open", "closed", "dims_and_steps", "valid", "renoise"),
}
EVERYTHING_OPEN = Masking(**dict(zip(SWITCHES, ("open", "open", "open", "open", "open", "all", "free"), strict=True)))
# For each switch: its leak, and its positions, the ones that leave the leak open first.
POSITIONS = {
    "encoder_input": ("input leak", ["open"], ["closed"]),
    "self_attention": ("step leak", ["open"], ["closed"]),
    "vl_self_attention": ("mixing leak", ["open"], ["closed", "absent"]),
    "cross_attention": ("context leak", ["open"], ["closed"]),
    "loss": ("target leak", ["open", "dims"], ["dims_and_steps"]),
    "loss_denominator": ("denominator leak", ["all"], ["valid", "valid_plus_eps"]),
    "sampler": ("rollout leak", ["free"], ["zero", "renoise"]),
}
each_switch = pytest.mark.parametrize("switch", list(POSITIONS))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_each_preset_is_its_row_of_the_books_table(preset):
    assert preset == Masking(**dict(zip(SWITCHES, TABLE[preset.name], strict=True)))
    assert tuple(getattr(preset, switch) for switch in SWITCHES) == TABLE[preset.name]


def test_the_presets_are_the_rows_of_the_books_table_in_order():
    assert [preset.name for preset in PRESETS] == list(TABLE)
    in_order = (GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, OCTO_RENOISE)
    assert in_order == PRESETS


def test_each_preset_says_where_it_comes_from():
    for preset, place in zip(PRESETS, ["v0.4.4", "4e62473d", "626af89d", "741", "this book", "241fb351"], strict=True):
        assert place in preset.source


@pytest.mark.parametrize(
    ("preset", "leaks"),
    [
        (GROOT_N1_5, ["input leak", "step leak", "mixing leak", "context leak", "target leak", "rollout leak"]),
        (GROOT_N1_6, ["input leak", "step leak", "rollout leak"]),
        (GROOT_N1_7, ["input leak", "step leak", "mixing leak", "rollout leak"]),
        (PR_741, ["mixing leak"]),
        (STRICT, []),
        (OCTO_RENOISE, ["input leak", "step leak", "mixing leak"]),
        (EVERYTHING_OPEN, [leak.name for leak in LEAKS]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_leaks_of_each_preset_are_these(preset, leaks):
    assert open_leaks(preset) == tuple(leaks)


def test_there_are_seven_leaks_at_six_stages_and_each_has_a_switch():
    assert [(leak.name, leak.stage, leak.switch, leak.axis) for leak in LEAKS] == [
        ("input leak", "action encoder", "encoder_input", "dims and steps"),
        ("step leak", "DiT self-attention", "self_attention", "steps"),
        ("mixing leak", "VL self-attention", "vl_self_attention", "tokens"),
        ("context leak", "DiT cross-attention", "cross_attention", "tokens"),
        ("target leak", "loss", "loss", "dims and steps"),
        ("denominator leak", "loss", "loss_denominator", "dims and steps"),
        ("rollout leak", "sampler", "sampler", "dims"),
    ]
    assert len({leak.stage for leak in LEAKS}) == 6
    assert list(SWITCHES) == list(POSITIONS)


@each_switch
def test_closing_one_switch_closes_its_leak_and_opening_it_opens_no_other(switch):
    leak, open_positions, closed_positions = POSITIONS[switch]
    for position in closed_positions:
        closed = open_leaks(replace(EVERYTHING_OPEN, **{switch: position}))
        assert set(open_leaks(EVERYTHING_OPEN)) - set(closed) == {leak}
        assert open_leaks(replace(STRICT, **{switch: position})) == ()
    for position in open_positions:
        assert open_leaks(replace(STRICT, **{switch: position})) == (leak,)


@each_switch
@pytest.mark.parametrize("position", ["Open", "open ", "", True, None, 0, ["open"]])
def test_a_switch_refuses_a_position_that_it_does_not_have(switch, position):
    _, open_positions, closed_positions = POSITIONS[switch]
    with pytest.raises(ValueError, match=rf"^{switch}: got ") as error:
        replace(EVERYTHING_OPEN, **{switch: position})
    assert repr(position) in str(error.value)
    for known in open_positions + closed_positions:
        assert repr(known) in str(error.value)


@pytest.mark.parametrize("switch", ["encoder_input", "self_attention", "cross_attention"])
def test_only_the_vl_self_attention_can_be_absent(switch):
    with pytest.raises(ValueError, match=f"{switch}: got 'absent', expected one of 'open', 'closed'"):
        replace(EVERYTHING_OPEN, **{switch: "absent"})


def test_maskings_are_equal_when_their_switches_are():
    strict = dict(zip(SWITCHES, TABLE["strict"], strict=True))
    assert Masking(**strict, name="mine") == STRICT
    assert hash(Masking(**strict)) == hash(STRICT)
    assert replace(STRICT, sampler="free") != STRICT
    assert Masking(**strict).name == "custom"


def test_a_masking_with_a_switch_moved_does_not_carry_the_name_of_the_version():
    opened = with_switches(GROOT_N1_7, cross_attention="open", sampler="zero")
    assert (opened.cross_attention, opened.sampler) == ("open", "zero")
    assert opened == replace(GROOT_N1_7, cross_attention="open", sampler="zero")
    assert opened.name == "GR00T N1.7 with cross_attention=open, sampler=zero"
    assert opened.source == ""
    assert with_switches(GROOT_N1_7) is GROOT_N1_7


def test_only_switches_that_exist_can_be_moved_and_only_to_their_positions():
    with pytest.raises(ValueError, match="name: no such switch, expected one of encoder_input, "):
        with_switches(STRICT, name="mine", source="here")
    with pytest.raises(ValueError, match="sampler: got 'open', expected one of 'free', 'zero', 'renoise'"):
        with_switches(STRICT, sampler="open")


def test_switches_are_set_by_name_only():
    with pytest.raises(TypeError, match="positional"):
        Masking("open", "open", "open", "open", "open", "all", "free")


def test_a_masking_and_a_leak_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        STRICT.loss = "open"
    with pytest.raises(FrozenInstanceError):
        LEAKS[0].switch = "sampler"
