"""Attention with masks: answers from paper, torch's own functions, and what hidden tokens may not do."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.attention import (
    AlternateMasks,
    Attended,
    alternate_masks,
    cross_attention,
    mass_on_padding,
    may_read_earlier_steps,
    may_read_real,
    may_read_real_steps,
)
from groot_teach.masks import from_key_padding_mask, from_mha_attn_mask

BATCH, QUERIES, KEYS, WIDTH, VALUE_WIDTH = 2, 3, 5, 7, 11


def draw(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def inputs():
    return draw(1, BATCH, QUERIES, WIDTH), draw(2, BATCH, KEYS, WIDTH), draw(3, BATCH, KEYS, VALUE_WIDTH)


def mask_with_holes(*shape, seed=4):
    """At least one True in every row, at least one False in all."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., 1] = True
    mask[..., 0, 0] = False
    return mask


def bools(*rows):
    return torch.tensor([[int(letter) for letter in row] for row in rows]).bool()


# ------------------------------------------------------------------------------------------------------- the masks


def test_every_query_may_read_every_real_key():
    mask = may_read_real(bools("110", "010"), query_len=2)
    assert mask.int().tolist() == [[[1, 1, 0], [1, 1, 0]], [[0, 1, 0], [0, 1, 0]]]


def test_one_query_is_enough():
    assert may_read_real(bools("10"), 1).tolist() == [[[True, False]]]


def test_the_mask_is_a_tensor_of_its_own():
    real = bools("110")
    mask = may_read_real(real, 2)
    mask[0, 0] = False
    assert mask[0, 1].tolist() == [True, True, False]
    assert real.tolist() == [[True, True, False]]


@pytest.mark.parametrize("query_len", [0, -1])
def test_there_is_at_least_one_query(query_len):
    with pytest.raises(ValueError, match=f"query_len: got {query_len}, expected 1 or more"):
        may_read_real(bools("110"), query_len)


def test_images_and_text_share_no_token_and_neither_has_padding():
    real, image = bools("0111011"), bools("0011110")
    turns = alternate_masks(real, image)
    assert turns.image.int().tolist() == [[0, 0, 1, 1, 0, 1, 0]]
    assert turns.text.int().tolist() == [[0, 1, 0, 0, 0, 0, 1]]
    assert torch.equal(turns.image | turns.text, real)
    assert not (turns.image & turns.text).any()


def test_every_step_may_read_the_real_steps_in_both_directions():
    assert may_read_real_steps(bools("101")).int().tolist() == [[[1, 0, 1]] * 3]


def test_each_sample_reads_its_own_steps():
    steps = bools("101", "110")
    assert may_read_real_steps(steps).int().tolist() == [[[1, 0, 1]] * 3, [[1, 1, 0]] * 3]
    assert may_read_earlier_steps(steps).int().tolist() == [
        [[1, 0, 0], [1, 1, 0], [1, 0, 1]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    ]


def test_masks_are_made_where_the_data_is():
    """The meta device computes nothing, but it says where a tensor would be: a GPU is not needed."""
    elsewhere = torch.ones(2, 3, dtype=torch.bool, device="meta")
    assert may_read_earlier_steps(elsewhere).is_meta
    assert may_read_real(elsewhere, 2).is_meta


def test_a_sample_without_a_real_step_is_refused_and_named():
    with pytest.raises(ValueError, match=r"step_mask\[1\]: got a row without any True, expected at least one key"):
        may_read_real_steps(bools("10", "00"))


def test_a_step_may_read_itself_and_real_steps_before_it():
    assert may_read_earlier_steps(bools("1101"))[0].int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],  # the padded step reads itself
        [1, 1, 0, 1],  # and no other step reads it
    ]


@pytest.mark.parametrize("steps", ["1111", "0000", "0101", "1000"])
def test_looking_back_leaves_no_row_empty_and_never_looks_ahead(steps):
    mask = may_read_earlier_steps(bools(steps))[0]
    assert mask.any(dim=1).all()
    assert not mask.triu(1).any()


@pytest.mark.parametrize(
    "build",
    [
        lambda mask: may_read_real(mask, 2),
        may_read_real_steps,
        may_read_earlier_steps,
        lambda mask: alternate_masks(mask, bools("110", "100")),
        lambda mask: alternate_masks(bools("110", "100"), mask),
    ],
)
@pytest.mark.parametrize("wrong", [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64), torch.ones(3) == 1])
def test_a_mask_that_is_not_bool_or_not_of_two_axes_is_refused(build, wrong):
    with pytest.raises(TypeCheckError):
        build(wrong)


@pytest.mark.parametrize("other", [bools("110"), bools("11", "10")], ids=["one sample for all", "another length"])
def test_images_are_not_broadcast_over_other_tokens(other):
    mask = bools("110", "100")
    for real, image in ((mask, other), (other, mask)):
        with pytest.raises(TypeCheckError, match="parameter 'image_mask'"):
            alternate_masks(real, image)


def test_the_number_of_queries_must_be_an_int():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'query_len'.*2\.0.*int"):
        may_read_real(bools("110"), 2.0)


# --------------------------------------------------------------------------------------------------- from paper


def test_weights_from_paper():
    """Scores log 2, log 3 and log 4 over a width of 1, then the last key hidden: 2/9, 3/9, 4/9 and 2/5, 3/5, 0."""
    query = torch.ones(1, 1, 1, dtype=torch.float64)
    key = torch.tensor([[[2.0], [3.0], [4.0]]], dtype=torch.float64).log()
    value = torch.tensor([[[9.0], [0.0], [18.0]]], dtype=torch.float64)
    everything = cross_attention(query, key, value)
    torch.testing.assert_close(everything.weights, torch.tensor([[[2 / 9, 3 / 9, 4 / 9]]], dtype=torch.float64))
    torch.testing.assert_close(everything.output, torch.tensor([[[10.0]]], dtype=torch.float64))
    two = cross_attention(query, key, value, torch.tensor([[[True, True, False]]]))
    torch.testing.assert_close(two.weights, torch.tensor([[[0.4, 0.6, 0.0]]], dtype=torch.float64))
    torch.testing.assert_close(two.output, torch.tensor([[[3.6]]], dtype=torch.float64))


def test_scores_are_divided_by_the_root_of_the_width():
    query = torch.full((1, 1, 4), 2.0, dtype=torch.float64)
    key = torch.tensor([[[1.0] * 4, [0.0] * 4]], dtype=torch.float64)  # scores 8 and 0, over 2
    weights = cross_attention(query, key, key).weights[0, 0]
    torch.testing.assert_close(weights[0] / weights[1], torch.tensor(4.0, dtype=torch.float64).exp())


def test_the_mass_on_padding_is_what_stands_in_its_columns():
    weights = torch.tensor([[[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], [[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]]]).double()
    mass = mass_on_padding(weights, bools("110", "001"))
    torch.testing.assert_close(mass, torch.tensor([[0.25, 0.0], [0.3, 1.0]]).double())


def test_a_nan_on_a_real_key_is_not_mistaken_for_mass_on_padding():
    weights = torch.tensor([[[torch.nan, 0.5]]]).double()
    assert mass_on_padding(weights, bools("10")).tolist() == [[0.5]]
    assert mass_on_padding(weights, bools("01")).isnan().all()


@pytest.mark.parametrize("real", [bools("110"), torch.ones(2, 3), torch.ones(2, 4) == 1, torch.ones(3) == 1])
def test_mass_on_padding_does_not_broadcast_or_cast(real):
    with pytest.raises(TypeCheckError, match="parameter 'backbone_attention_mask'"):
        mass_on_padding(torch.full((2, 4, 3), 1 / 3).double(), real)


@pytest.mark.parametrize(("zeros", "part"), [(4, 1 / 3), (32, 0.8), (128, 128 / 136)])
def test_zeros_get_their_part_of_a_query_without_preference(zeros, part):
    tokens = torch.cat([draw(5, 1, 8, WIDTH), torch.zeros(1, zeros, WIDTH)], dim=1)
    weights = cross_attention(torch.zeros(1, 1, WIDTH).double(), tokens, tokens).weights
    mass = mass_on_padding(weights, torch.arange(8 + zeros)[None] < 8)
    torch.testing.assert_close(mass, torch.tensor([[part]]).double())


# ----------------------------------------------------------------------------------------- torch's own functions


def gradients(function, tensors):
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output = function(*leaves)
    weights = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).cos()
    return output, torch.autograd.grad((output * weights).sum(), leaves)


def assert_same(ours, theirs, tensors, **tolerance):
    one, one_gradients = gradients(ours, tensors)
    other, other_gradients = gradients(theirs, tensors)
    torch.testing.assert_close(one, other, **tolerance)
    for mine, torchs in zip(one_gradients, other_gradients, strict=True):
        torch.testing.assert_close(mine, torchs, **tolerance)


@given(
    sizes=st.tuples(*(st.integers(1, 6) for _ in range(5))),
    heads=st.sampled_from([(), (2,), (2, 3)]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_value_and_gradients_are_those_of_scaled_dot_product_attention(sizes, heads, dtype, masked, seed):
    batch, queries, keys, width, value_width = sizes
    tensors = [
        draw(seed, batch, *heads, queries, width),
        draw(seed + 1, batch, *heads, keys, width),
        draw(seed + 2, batch, *heads, keys, value_width),
    ]
    tensors = [tensor.to(dtype) for tensor in tensors]
    mask = None
    if masked:
        mask = torch.rand(batch, *heads, queries, keys, generator=torch.Generator().manual_seed(seed)) < 0.5
        mask[..., seed % keys] = True
    assert_same(
        lambda q, k, v: cross_attention(q, k, v, mask).output,
        lambda q, k, v: scaled_dot_product_attention(q, k, v, mask),
        tensors,
    )


def test_tensors_need_not_be_contiguous():
    query, key, value = inputs()
    mask = mask_with_holes(BATCH, QUERIES, KEYS)
    wanted = cross_attention(query, key, value, mask).output
    apart = [tensor.mT.contiguous().mT for tensor in (query, key, value)]
    assert not apart[0].is_contiguous()
    torch.testing.assert_close(cross_attention(*apart, mask.mT.contiguous().mT).output, wanted)


def test_both_masks_of_multihead_attention_come_in_by_their_own_door():
    query, key, _ = inputs()
    module = torch.nn.MultiheadAttention(WIDTH, 1, bias=False, batch_first=True).double()
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(WIDTH).repeat(3, 1))
        module.out_proj.weight.copy_(torch.eye(WIDTH))
    ignore = torch.tensor([[False, True, False, False, True], [True, False, False, False, False]])
    theirs, weights = module(query, key, key, key_padding_mask=ignore)
    ours = cross_attention(query, key, key, may_read_real(from_key_padding_mask(ignore), QUERIES))
    torch.testing.assert_close(ours.output, theirs)
    torch.testing.assert_close(ours.weights, weights)

    pairs = ~mask_with_holes(QUERIES, KEYS)
    theirs, _ = module(query, key, key, attn_mask=pairs)
    ours = cross_attention(query, key, key, from_mha_attn_mask(pairs).repeat(BATCH, 1, 1))
    torch.testing.assert_close(ours.output, theirs)


# ------------------------------------------------------------------------------------------------ what is hidden


REAL = bools("11010", "01101")


def hidden_changed(tensor, value):
    return torch.where(REAL[:, :, None], tensor, value)


def test_what_is_hidden_does_not_matter_to_the_last_bit_and_what_is_visible_does():
    query, key, value = inputs()
    mask = may_read_real(REAL, QUERIES)

    def all_of_it(k, v):
        output, slopes = gradients(lambda *given: cross_attention(*given, mask).output, [query, k, v])
        return [output, *slopes]

    before = all_of_it(key, value)
    for one, other in zip(before, all_of_it(hidden_changed(key, 9.0), hidden_changed(value, -7.0)), strict=True):
        assert torch.equal(one, other)
    visible = 1 * (torch.arange(KEYS) == 1)[:, None]
    for moved in ((key + visible, value), (key, value + visible)):
        output, query_slope, *_ = all_of_it(*moved)
        assert not torch.equal(before[0], output)
        assert not torch.equal(before[1], query_slope)


@pytest.mark.parametrize("filler", [torch.nan, torch.inf, -torch.inf])
def test_hidden_numbers_that_are_not_finite_reach_neither_output_nor_gradient(filler):
    query, key, value = inputs()
    mask = may_read_real(REAL, QUERIES)

    def each_with_its_padding_cut_out(query, key, value):
        samples = [
            cross_attention(query[[sample]], key[[sample]][:, real], value[[sample]][:, real])
            for sample, real in enumerate(REAL)
        ]
        return torch.cat([sample.output for sample in samples])

    output, slopes = gradients(
        lambda *given: cross_attention(*given, mask).output,
        [query, hidden_changed(key, filler), hidden_changed(value, filler)],
    )
    wanted, wanted_slopes = gradients(each_with_its_padding_cut_out, [query, key, value])
    torch.testing.assert_close(output, wanted)
    for slope, wanted_slope in zip(slopes, wanted_slopes, strict=True):
        torch.testing.assert_close(slope, wanted_slope)
    assert slopes[1][~REAL].eq(0).all()
    assert slopes[2][~REAL].eq(0).all()


@pytest.mark.parametrize("place", ["key", "value"])
def test_a_number_that_somebody_may_read_is_not_hidden_from_him(place):
    query, key, value = inputs()
    {"key": key, "value": value}[place][:, 0, 0] = torch.nan
    mask = torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool)
    mask[:, 0, 0] = False
    assert cross_attention(query, key, value, mask).output[:, 1, 0].isnan().all()


def test_every_row_sums_to_one_and_hidden_weights_are_exactly_zero():
    mask = mask_with_holes(BATCH, QUERIES, KEYS)
    weights = cross_attention(*inputs(), mask).weights
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(BATCH, QUERIES).double())
    assert weights[~mask].eq(0).all()
    assert weights[mask].gt(0).all()


def test_padding_stays_hidden_however_badly_the_real_keys_fit():
    """A constant in place of minus infinity, -1e4 or the smallest float32, would now be the best score of all."""
    query = torch.full((1, 1, 1), 1e20, dtype=torch.float64)
    key = torch.tensor([[[-1e20], [-1e20], [0.0]]], dtype=torch.float64)
    weights = cross_attention(query, key, key, torch.tensor([[[True, True, False]]])).weights
    assert weights.tolist() == [[[0.5, 0.5, 0.0]]]


def test_the_side_of_the_padding_does_not_matter():
    query, key, value = inputs()
    left = [torch.nn.functional.pad(tensor, (0, 0, 2, 0), value=5.0) for tensor in (key, value)]
    right = [torch.nn.functional.pad(tensor, (0, 0, 0, 2), value=5.0) for tensor in (key, value)]
    real = torch.ones(BATCH, KEYS, dtype=torch.bool)
    masks = [torch.nn.functional.pad(real, sides) for sides in ((2, 0), (0, 2))]
    one, other = (
        cross_attention(query, *tokens, may_read_real(mask, QUERIES)).output
        for tokens, mask in zip((left, right), masks, strict=True)
    )
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one, cross_attention(query, key, value).output)


def test_inputs_are_left_as_they_were():
    tensors = inputs()
    copies = [tensor.clone() for tensor in tensors]
    cross_attention(*tensors, may_read_real(REAL, QUERIES))
    assert all(map(torch.equal, tensors, copies))


# ---------------------------------------------------------------------------------------------- what is refused


def test_a_query_that_may_read_nothing_is_refused_and_named():
    mask = torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool)
    mask[1, 1:] = False
    with pytest.raises(ValueError, match=r"attention_mask\[1, 1\]: got a row without any True, expected at least one"):
        cross_attention(*inputs(), mask)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.ones(BATCH, QUERIES, KEYS),
        torch.ones(BATCH, QUERIES, KEYS, dtype=torch.int64),
        torch.ones(BATCH, 1, KEYS) == 1,
        torch.ones(BATCH, QUERIES, 1) == 1,
        torch.ones(1, QUERIES, KEYS) == 1,
        torch.ones(BATCH, KEYS) == 1,
        torch.ones(BATCH, KEYS, QUERIES) == 1,
    ],
    ids=[
        "float",
        "int64",
        "one row for all",
        "one key for all",
        "one sample for all",
        "no axis of queries",
        "the wrong way round",
    ],
)
def test_no_mask_is_cast_or_broadcast(wrong):
    with pytest.raises(TypeCheckError, match="parameter 'attention_mask'"):
        cross_attention(*inputs(), wrong)


@pytest.mark.parametrize("place", range(3))
def test_tensors_of_different_dtypes_are_refused(place):
    tensors = list(inputs())
    tensors[place] = tensors[place].float()
    with pytest.raises(ValueError, match=r"query, key, value: got dtype .*float32.*, expected the same"):
        cross_attention(*tensors)


def test_tensors_on_different_devices_are_refused():
    query, key, value = inputs()
    with pytest.raises(ValueError, match="query, key, value: got device cpu, meta, cpu, expected the same"):
        cross_attention(query, key.to("meta"), value)
    mask = torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool, device="meta")
    with pytest.raises(ValueError, match="query, key, value, attention_mask: got device cpu, cpu, cpu, meta, expected"):
        cross_attention(query, key, value, mask)


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("key", lambda query, key, value: (query[..., 1:], key, value)),
        ("key", lambda query, key, value: (query, key[..., 1:], value)),
        ("key", lambda query, key, value: (query[:1], key, value)),
        ("key", lambda query, key, value: (query, key[0], value)),
        ("value", lambda query, key, value: (query, key, value[:, 1:])),
        ("value", lambda query, key, value: (query, key, value[:1])),
        ("query", lambda query, key, value: (query.long(), key, value)),
    ],
    ids=["width", "width", "one query for all", "no batch", "fewer values than keys", "one value for all", "int64"],
)
def test_shapes_have_to_fit_and_the_first_argument_that_does_not_is_named(named, change):
    with pytest.raises(TypeCheckError, match=f"parameter '{named}'"):
        cross_attention(*change(*inputs()))


RECORDS = [
    AlternateMasks(image=bools("110", "100"), text=bools("001", "011")),
    Attended(output=draw(6, BATCH, QUERIES, VALUE_WIDTH), weights=draw(7, BATCH, QUERIES, KEYS)),
]
# The last axes of output and weights: values and keys may differ in number.
FREE_AXES = [("output", 2), ("weights", 2)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_the_parts_of_a_record_share_their_axes(record):
    for name, part in vars(record).items():
        for axis in range(part.ndim):
            longer = torch.cat([part, part.narrow(axis, 0, 1)], axis)
            if (name, axis) in FREE_AXES:
                assert vars(replace(record, **{name: longer}))[name] is longer
                continue
            with pytest.raises(TypeCheckError):
                replace(record, **{name: longer})


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_refuses_a_part_of_another_kind(record):
    for name, part in vars(record).items():
        for wrong in (part.long(), part[0, 0], part[0, 0, 0] if part.ndim == 3 else part[0], 7):
            with pytest.raises(TypeCheckError, match=f"parameter '{name}'"):
                replace(record, **{name: wrong})


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_cannot_be_changed_and_is_equal_to_itself_alone(record):
    """Tensors have no single answer to `==`, so neither have records of tensors."""
    with pytest.raises(FrozenInstanceError):
        setattr(record, next(iter(vars(record))), None)
    assert record != replace(record)


@pytest.mark.parametrize("attention_mask", [None, torch.zeros(2, 3, 0, dtype=torch.bool)])
def test_a_query_needs_a_key(attention_mask):
    with pytest.raises(ValueError, match="key: got none, expected at least one"):
        cross_attention(torch.zeros(2, 3, 5), torch.zeros(2, 0, 5), torch.zeros(2, 0, 7), attention_mask)
