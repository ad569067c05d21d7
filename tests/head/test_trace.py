"""`trace`: which functions receive a mask and which read it, in toy functions where both can be seen in the code."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss, scaled_dot_product_attention

from groot_teach.head.trace import readers, trace_masks

DATA = torch.arange(6.0).view(2, 3)
REAL = torch.tensor([[True, True, False], [True, False, False]])


def told(uses):
    return [(use.mask, use.how, use.function, use.by) for use in uses]


def hide(data, mask):
    return torch.where(mask, data, 0.0)


def ignore(data, mask):
    return data


def test_a_mask_that_meets_data_is_read_and_one_that_does_not_is_only_handed():
    uses = trace_masks(lambda a, b: (hide(DATA, a), ignore(DATA, b)), a=REAL, b=REAL)
    assert told(uses) == [
        ("a", "handed", "hide", "mask"),
        ("a", "read", "hide", "where"),
        ("b", "handed", "ignore", "mask"),
    ]
    assert readers(uses, "a") == ("hide",)
    assert readers(uses, "b") == ()


def test_the_result_is_the_one_without_witnesses_and_no_witness_gets_out():
    results = []
    trace_masks(lambda mask: results.append(hide(DATA, mask)), mask=REAL)
    assert torch.equal(results[0], hide(DATA, REAL))
    assert type(results[0]) is torch.Tensor
    assert type(REAL) is torch.Tensor


def test_a_mask_made_of_masks_is_watched_in_their_place():
    def both(first, second):
        joined = ~first & (second == 1)
        hide(DATA, joined[:, None].squeeze(1).float().bool())

    uses = trace_masks(both, second=REAL.long(), first=REAL)
    assert told(uses) == [("second & first", "handed", "hide", "mask"), ("second & first", "read", "hide", "where")]
    assert readers(uses, "first") == readers(uses, "second") == ("hide",)


def test_a_mask_may_be_read_as_an_index_a_factor_or_an_argument_by_name():
    def three_ways(mask):
        return (
            DATA[mask],
            DATA * mask,
            scaled_dot_product_attention(DATA[None], DATA[None], DATA[None], attn_mask=mask[:, :2]),
        )

    results = []
    uses = trace_masks(lambda mask: results.extend(three_ways(mask)), mask=REAL)
    assert [use.by for use in uses if use.how == "read"] == ["__getitem__", "mul", "scaled_dot_product_attention"]
    for one, other in zip(results, three_ways(REAL), strict=True):
        assert torch.equal(one, other)


def test_a_mask_is_watched_when_it_is_turned_around():
    uses = trace_masks(lambda mask: (DATA.T * mask.T, DATA.mT + mask.data.mT), mask=REAL)
    assert [(use.how, use.by, use.shape) for use in uses] == [("read", "mul", (3, 2)), ("read", "add", (3, 2))]


def test_shape_dtype_line_and_calls_are_those_of_the_moment():
    def outer(mask):
        inner(mask[:, :, None])

    def inner(mask):
        return DATA[:, :, None] * mask

    handed, read = trace_masks(outer, mask=REAL)
    assert (handed.how, handed.file) == ("handed", "test_trace.py")
    assert (read.shape, read.dtype) == ((2, 3, 1), "bool")
    assert read.file == f"test_trace.py {inner.__code__.co_firstlineno + 1}"
    assert [call.split(".")[-1] for call in read.calls] == ["outer", "inner"]


def test_asking_for_its_shape_is_not_reading_it():
    def look(mask):
        assert (mask.shape, mask.ndim, len(mask), mask.dtype) == ((2, 3), 2, 2, torch.bool)
        assert mask.any()
        return DATA

    assert trace_masks(look, mask=REAL) == ()


def test_what_happens_again_is_said_once():
    uses = trace_masks(lambda mask: [hide(DATA, mask) for _ in range(4)], mask=REAL)
    assert len(uses) == 2


def test_methods_have_the_name_of_their_class_and_modules_are_looked_into():
    class Layer(nn.Module):
        def forward(self, data, *, mask=None):
            return data if mask is None else data * mask

    uses = trace_masks(lambda mask: nn.Sequential(Layer())[0](DATA, mask=mask), mask=REAL)
    assert [use.function.split(".<locals>.")[-1] for use in uses] == ["Layer.forward", "Layer.forward"]
    assert [use.by for use in uses] == ["mask", "mul"]


def test_an_error_of_the_code_comes_through_and_nobody_watches_afterwards():
    def fails(mask):
        raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        trace_masks(fails, mask=REAL)
    import sys

    assert sys.getprofile() is None


def test_without_a_mask_there_is_nothing_to_trace():
    with pytest.raises(ValueError, match="masks: got none"):
        trace_masks(lambda: None)


def test_gradients_flow_as_they_did():
    weight = torch.ones(3, requires_grad=True)
    trace_masks(lambda mask: hide(DATA * weight, mask).sum().backward(), mask=REAL)
    assert weight.grad.tolist() == [3, 1, 0]  # 0 + 3, 1, nothing


def test_a_mask_is_not_taken_for_another_whose_name_holds_its_own():
    uses = trace_masks(lambda mask, image_mask: hide(DATA, image_mask), mask=REAL, image_mask=REAL)
    assert readers(uses, "image_mask") == ("hide",)
    assert readers(uses, "mask") == ()


def test_handed_is_what_a_function_was_given_and_not_what_it_made_of_it():
    def rebinds(mask, other):
        mask = mask & other
        return DATA

    uses = trace_masks(lambda a, b: rebinds(a, b), a=REAL, b=REAL)
    assert [(use.mask, use.how, use.by) for use in uses] == [("a", "handed", "mask"), ("b", "handed", "other")]


def test_it_is_the_code_that_asked_torch_that_reads_and_not_torch_itself_nor_a_lambda():
    def asks(mask):
        hidden = lambda mask: DATA * mask  # noqa: E731
        return hidden(mask), mse_loss(DATA, mask.float())

    uses = trace_masks(asks, mask=REAL)
    assert [(use.how, use.function.split(".")[-1], use.by) for use in uses] == [
        ("read", "asks", "mul"),
        ("read", "asks", "mse_loss"),
    ]
    assert {use.file.split()[0] for use in uses} == {"test_trace.py"}


def test_a_traced_mask_keeps_every_attribute_and_method_of_a_tensor():
    """`log` and `names` once held the state of the trace, so `mask.float().log()` raised an error."""

    def look(mask):
        assert vars(mask)
        assert set(vars(mask)).isdisjoint(dir(torch.Tensor))
        assert getattr(mask, "names", None) == getattr(REAL, "names", None)  # torch 2.13 has no `names` any more
        assert torch.equal(mask.float().log(), REAL.float().log())

    assert trace_masks(look, mask=REAL) == ()


def test_the_logarithm_of_a_mask_is_watched_like_the_mask():
    def adds_a_logarithm(mask):
        return DATA + mask.float().log()

    results = []
    uses = trace_masks(lambda mask: results.append(adds_a_logarithm(mask)), mask=REAL)
    assert [(use.how, use.by, use.dtype) for use in uses] == [("handed", "mask", "bool"), ("read", "add", "float32")]
    assert torch.equal(results[0], DATA + REAL.float().log())


def test_a_mask_by_which_numbers_are_overwritten_in_place_is_read():
    def overwrites(scores, mask):
        scores[~mask] = -1.0
        scores.mul_(mask[:1])

    scores = DATA.clone()
    uses = trace_masks(lambda mask: overwrites(scores, mask), mask=REAL)
    assert [(use.how, use.by) for use in uses] == [("handed", "mask"), ("read", "__setitem__"), ("read", "mul_")]
    assert scores.tolist() == [[0, 1, 0], [3, -1, 0]]


def test_parts_of_a_mask_are_watched_like_the_whole():
    def in_parts(mask):
        first, second = mask.chunk(2)
        values, _ = mask.int().max(dim=1)
        return [DATA[:1] * first, DATA[1:] + second, DATA.T - values, *(DATA[0] / row for row in mask)]

    uses = trace_masks(in_parts, mask=REAL)
    assert [use.by for use in uses if use.how == "read"] == ["mul", "add", "sub", "div"]


@pytest.mark.parametrize(
    "leave",
    [
        lambda mask: DATA[:, : mask.sum()],
        lambda mask: DATA * mask.sum().item(),
        lambda mask: DATA[mask[0].tolist().index(True)],
        lambda mask: DATA.numpy() * mask.numpy(),
        lambda mask: DATA[int(mask.sum()) :],
    ],
)
def test_a_mask_whose_values_leave_torch_is_not_called_dead(leave):
    def uses_numbers(mask, other):
        return leave(mask)

    uses = trace_masks(uses_numbers, mask=REAL, other=REAL)
    assert [use.how for use in uses if use.how != "handed"] == ["left"]
    assert len(readers(uses, "mask")) == 1
    assert readers(uses, "other") == ()


def test_a_mask_that_was_not_traced_is_not_called_dead():
    with pytest.raises(ValueError, match="mask: got 'musk', expected one of those that were traced: mask"):
        readers(trace_masks(lambda mask: DATA * mask, mask=REAL), "musk")
