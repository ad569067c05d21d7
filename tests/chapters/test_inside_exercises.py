"""The exercises about a whole head: on paper, beside the library's layers, and what the cases hold."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.chapters.inside import exercises
from groot_teach.head.action_head import EmbodimentLinear
from groot_teach.show.exercises.draws import bools, numbers


def test_the_references_give_what_paper_gives():
    assert exercises.sdpa_mask(torch.tensor([[0, 1]]), 1, 2).tolist() == [[[[False, True]] * 2]]
    assert exercises.sequence_mask(bools("10"), 2).tolist() == [[True, True, True, False]]
    actions, weight = numbers([[[3, torch.inf], [5, 7]]]), numbers([[1, 2], [10, 20]])
    assert exercises.first_layer(actions, bools("10 00")[None], weight, numbers([1, 0])).tolist() == [[[4, 6], [1, 0]]]
    answer = exercises.per_robot(numbers([[[2]]]), numbers([[[3]], [[5]]]), numbers([[1], [4]]), torch.tensor([1]))
    assert answer.tolist() == [[[14]]]
    assert exercises.moved(*exercises.moved.cases()[0]).tolist() == [1]  # by 5, of a 3 and a 4


def test_the_layers_are_those_of_the_library():
    for x, weight, bias, robot in exercises.per_robot.cases():
        layer = EmbodimentLinear(*weight.shape).double()
        layer.load_state_dict({"weight": weight, "bias": bias})
        torch.testing.assert_close(exercises.per_robot(x, weight, bias, robot), layer(x, robot))


def test_attention_under_the_mask_does_not_read_padding():
    for mask, heads, query_len in exercises.sdpa_mask.cases():
        made = exercises.sdpa_mask(mask, heads, query_len)
        looks, tokens = torch.ones(len(mask), heads, query_len, 2), torch.rand(len(mask), heads, mask.shape[1], 2)
        read = scaled_dot_product_attention(looks, tokens, tokens, attn_mask=made)
        tokens[~(mask == 1)[:, None].expand(-1, heads, -1)] = 1e9
        assert torch.equal(read, scaled_dot_product_attention(looks, tokens, tokens, attn_mask=made))


def test_the_cases_hold_what_the_tasks_promise():
    """Infinity in padding, a step of padding alone, a robot that comes twice, and a change in padding alone."""
    layers = exercises.first_layer.cases()
    assert any(actions[~mask].isinf().any() for actions, mask, *_ in layers)
    assert all(actions[mask].isfinite().all() for actions, mask, *_ in layers)
    assert any((~mask.any(dim=-1)).any() for _, mask, *_ in layers)
    robots = [robot.tolist() for *_, robot in exercises.per_robot.cases()]
    assert any(len({*robot}) < len(robot) for robot in robots)
    _, in_padding, by_half, _ = (exercises.moved(*case).tolist() for case in exercises.moved.cases())
    assert in_padding == [0, 0, 0]
    assert by_half == pytest.approx([0.5, 0.5, 0.5])
