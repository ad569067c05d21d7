"""What the live picture of mask forms computes is what PyTorch's attention does, in the edge states too."""

from math import isnan, log

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.chapters.passing_masks.one_mask_many_forms import (
    FORMS,
    PASSED_TO,
    one_mask_many_forms,
    one_mask_many_forms_picture,
)

BOOL, UPSIDE_DOWN, FLOAT, INTEGER, INFINITE, ADDED, LOWEST = FORMS
FUNCTION, MODULE = PASSED_TO
SCORE = torch.tensor([log(2), log(3), log(5)], dtype=torch.float64)  # of 10 parts 2, 3 and 5
VALUE = torch.tensor([10.0, 20.0, 60.0], dtype=torch.float64)
MAY_READ, NOTHING = torch.tensor([True, True, False]), torch.zeros(3, dtype=torch.bool)
RIGHT, ALL, MEAN = 16.0, 38.0, 30.0  # (20 + 60) / 5, (20 + 60 + 300) / 10, 90 / 3


def called(form: str, passed_to: str, may_read: torch.Tensor, **settings: bool) -> float:
    """PyTorch called as in the chapter, with nothing of the picture's own code."""
    mask = FORMS[form](may_read)[None]
    key, value, query = SCORE[None, :, None], VALUE[None, :, None], torch.ones(1, 1, 1, dtype=torch.float64)
    if passed_to == FUNCTION:
        return scaled_dot_product_attention(query, key, value, mask[None]).item()
    module = torch.nn.MultiheadAttention(1, 1, bias=False, batch_first=True).double()
    for parameter in module.parameters():
        torch.nn.init.ones_(parameter)
    return module(query, key, value, key_padding_mask=mask, **settings)[0].item()


def answer(form: str, passed_to: str, may_read: torch.Tensor) -> float:
    answer = one_mask_many_forms(SCORE, VALUE, may_read, form, passed_to).answer
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("form", "of_function", "of_module"),
    [
        (BOOL, RIGHT, 60),
        (UPSIDE_DOWN, 60, RIGHT),
        (INFINITE, RIGHT, RIGHT),
        (ADDED, RIGHT, RIGHT),
        (LOWEST, RIGHT, RIGHT),
    ],
)
def test_two_words_are_read_and_a_pad_is_hidden(form, of_function, of_module):
    for passed_to, expected in ((FUNCTION, of_function), (MODULE, of_module)):
        assert answer(form, passed_to, MAY_READ) == pytest.approx(expected)
        assert called(form, passed_to, MAY_READ) == pytest.approx(expected)


@pytest.mark.parametrize("passed_to", PASSED_TO)
def test_ones_and_zeros_in_floats_hide_nothing(passed_to):
    e = torch.e
    expected = (20 * e + 60 * e + 300) / (5 * e + 5)
    assert answer(FLOAT, passed_to, MAY_READ) == pytest.approx(expected)
    assert called(FLOAT, passed_to, MAY_READ) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("form", "of_function", "of_module"),
    [
        (BOOL, 0, ALL),
        (UPSIDE_DOWN, ALL, torch.nan),
        (FLOAT, ALL, ALL),
        (INFINITE, 0, torch.nan),
        (ADDED, ALL, ALL),
        (LOWEST, MEAN, MEAN),
    ],
)
def test_with_nothing_to_read_pytorch_gives_four_answers_and_the_library_none(form, of_function, of_module):
    for passed_to, expected in ((FUNCTION, of_function), (MODULE, of_module)):
        assert answer(form, passed_to, NOTHING) == pytest.approx(expected, nan_ok=True)
        assert called(form, passed_to, NOTHING) == pytest.approx(expected, nan_ok=True)
    assert one_mask_many_forms(SCORE, VALUE, NOTHING, form, FUNCTION).right is None


def test_the_module_gives_0_in_place_of_nan_if_it_need_not_give_its_weights():
    assert [called(form, MODULE, NOTHING, need_weights=False) for form in (UPSIDE_DOWN, INFINITE)] == [0, 0]


@pytest.mark.parametrize(
    ("passed_to", "error", "message"),
    [
        (FUNCTION, RuntimeError, "Expected attn_mask dtype to be bool"),
        (MODULE, AssertionError, "only bool and floating"),
    ],
)
def test_integers_are_refused_in_pytorchs_own_words(passed_to, error, message):
    with pytest.raises(error, match=message) as refused:
        called(INTEGER, passed_to, MAY_READ)
    assert one_mask_many_forms(SCORE, VALUE, MAY_READ, INTEGER, passed_to).weights is None
    assert str(refused.value) in one_mask_many_forms_picture()._html.replace("&#x27;", "'")


def test_weights_say_where_the_answer_comes_from():
    made = one_mask_many_forms(SCORE, VALUE, MAY_READ, FLOAT, MODULE)
    assert made.weights is not None
    assert made.right_weights is not None
    assert sum(weight * value for weight, value in zip(made.weights, VALUE.tolist(), strict=True)) == pytest.approx(
        made.answer
    )
    assert made.on_hidden == pytest.approx(made.weights[2])
    assert made.right_weights == pytest.approx([0.4, 0.6, 0])
    assert not isnan(made.on_hidden)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"painted": "10"}, "painted: got '10', expected 5 digits"),
        ({"form": "bool"}, "form: got 'bool', expected one of True = read; True = hide; "),
        ({"passed_to": "conv"}, "passed_to: got 'conv', expected one of scaled_dot_product_attention; Multihead"),
    ],
)
def test_a_state_that_the_picture_does_not_know_is_refused(part, complaint):
    picture = one_mask_many_forms_picture()
    with pytest.raises(ValueError, match=complaint):
        picture.state = picture.state | part
