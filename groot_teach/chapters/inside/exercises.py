"""Exercises about a whole head: masks at their places, and how to tell that nothing leaks."""

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, holes, normal, numbers

TITLE = "Where do the masks go in the real code?"


@exercise(
    "inside.1",
    minutes=4,
    difficulty=1,
    cases=lambda: (
        (torch.tensor([[0, 1, 1]]), 2, 4),
        (holes((2, 5), 1).long(), 3, 4),
        (holes((3, 7), 2).long(), 2, 5),
        (holes((5, 11), 3).long(), 1, 2),
    ),
    hints=(
        "One row says which tokens of a sample are real. All heads and all queries share it.",
        "`== 1` makes a bool of it; two axes of length 1 go between batch and key_len.",
        "`(mask == 1)[:, None, None, :]`, then repeat it for heads and queries.",
    ),
    lesson="The name, the dtype, and somebody who hands it over: that is all it takes, and none may be missing.",
)
def sdpa_mask(backbone_attention_mask, heads, query_len):
    """Bring the line back

    A tokenizer gives `backbone_attention_mask` (batch, key_len; int64, 1 = a real token). Return the mask that
    `scaled_dot_product_attention` needs so that no query of any head reads padding: (batch, heads, query_len, key_len;
    bool, True = may be read). `heads` and `query_len` are ints."""
    readable = backbone_attention_mask == 1
    return readable[:, None, None, :].repeat(1, heads, query_len, 1)


sdpa_mask.mistake(bugs.zeros_and_ones)(lambda *given: sdpa_mask(*given).float())
sdpa_mask.mistake(bugs.commented_out)(lambda *given: torch.ones_like(sdpa_mask(*given)))
sdpa_mask.mistake(bugs.upside_down)(lambda *given: ~sdpa_mask(*given))


@exercise(
    "inside.2",
    minutes=3,
    difficulty=1,
    cases=lambda: ((bools("100"), 2), (holes((2, 5), 11), 1), (holes((3, 7), 12), 4), (holes((5, 11), 13), 33)),
    hints=(
        "How long is the sequence, and where do the actions stand in it?",
        "The first `before` columns are True in every row.",
        "`torch.cat` of a block of ones, as bool, and the `step_mask`.",
    ),
    lesson="Pull request 741 proposes it for N1.7, as an option; the released versions hide nothing there.",
)
def sequence_mask(step_mask, before):
    """Shut the step leak

    The transformer's sequence begins with `before` tokens (an int) for the state and the future, which are always real;
    then comes a token for each action step. `step_mask` (batch, action_horizon; bool, True = recorded) says which steps
    are. Return which tokens of the sequence may be read (batch, before + action_horizon; bool)."""
    state = torch.ones(len(step_mask), before, dtype=torch.bool)
    return torch.cat([state, step_mask], dim=1)


sequence_mask.mistake(bugs.everybody_reads)(lambda *given: torch.ones_like(sequence_mask(*given)))


@sequence_mask.mistake("the state stands last")
def _(step_mask, before):
    """You put the state behind the actions. In GR00T's sequence it comes first: as it is, recorded steps are hidden in
    its place.
    Source: our own; the order is huggingface/lerobot v0.4.4, flow_matching_action_head.py 322"""
    return sequence_mask(step_mask, before).roll(-before, dims=1)


def _first_layer_cases():
    def layer(seed, batch, horizon, padded_dim, width):
        noisy_actions, mask = normal((batch, horizon, padded_dim), seed), holes((batch, horizon, padded_dim), seed)
        return noisy_actions, mask, normal((padded_dim, width), seed + 1), normal((width,), seed + 2)

    actions, _, *weights = layer(21, 1, 2, 3, 4)
    of_nothing, broken = layer(24, 2, 4, 3, 5), layer(27, 2, 3, 5, 7)
    of_nothing[1][0, 2:], broken[0][0, 1, 0] = False, torch.inf
    return (actions, bools("110 000")[None], *weights), layer(30, 3, 5, 7, 2), of_nothing, broken


@exercise(
    "inside.3",
    minutes=4,
    difficulty=2,
    cases=_first_layer_cases,
    hints=(
        "Where does padding have to stop: before the layer or behind it?",
        "Before. What is 0 times infinity?",
        "`torch.where(action_mask, noisy_actions, 0.0)`, then the layer.",
    ),
    lesson="It must be so in training and at inference; a head that was trained on noise there has not seen zeros.",
)
def first_layer(noisy_actions, action_mask, weight, bias):
    """Shut the input leak

    The action encoder's first layer multiplies `noisy_actions` (batch, action_horizon, padded_dim; float) by `weight`
    (padded_dim, width) and adds `bias` (width). Return what it gives (batch, action_horizon, width) when padded
    entries, False in `action_mask` (like noisy_actions; bool), count as 0. Padding may hold anything, infinity too; a
    step that is padding from end to end gives the bias."""
    return torch.where(action_mask, noisy_actions, 0.0) @ weight + bias


first_layer.mistake(bugs.everything_enters)(lambda noisy, mask, weight, bias: noisy @ weight + bias)


@first_layer.mistake("multiplied by the mask")
def _(noisy_actions, action_mask, weight, bias):
    """Your answer is right as long as padding is finite. Infinity times 0 is NaN: select with `torch.where`, do not
    multiply.
    Source: EVO1 and MolmoAct2 multiply: huggingface/lerobot at 7427f318 (read)"""
    return (noisy_actions * action_mask) @ weight + bias


def _per_robot_cases():
    def mixed(seed, robots, steps, inputs, outputs, embodiments):
        weight, bias = normal((embodiments, inputs, outputs), seed + 1), normal((embodiments, outputs), seed + 2)
        return normal((len(robots), steps, inputs), seed), weight, bias, torch.tensor(robots)

    by_hand, repeated = mixed(51, [2, 1], 1, 2, 4, 3), mixed(37, [6, 0, 2, 6, 1], 7, 2, 3, 7)
    return by_hand, mixed(31, [2, 0], 3, 4, 5, 3), mixed(34, [3, 0, 3], 2, 5, 7, 4), repeated


@exercise(
    "inside.4",
    minutes=5,
    difficulty=2,
    cases=_per_robot_cases,
    hints=(
        "`weight[embodiment_id]` picks a matrix for each sample: what shape is it?",
        "batch, inputs, outputs: `torch.bmm` multiplies sample by sample.",
        "`torch.bmm(x, weight[embodiment_id]) + bias[embodiment_id][:, None]`.",
    ),
    lesson="So a dim has weights for each robot, and a robot that lacks it leaves its decoder weights untrained.",
)
def per_robot(x, weight, bias, embodiment_id):
    """To each robot its own weights

    Encoder and decoder have weights of their own for each robot: `weight` (embodiments, inputs, outputs; float) and
    `bias` (embodiments, outputs). `x` (batch, action_horizon, inputs; float) is a mixed batch and `embodiment_id`
    (batch; int64) says which robot each sample is of. Return the layer's answer (batch, action_horizon, outputs)."""
    return torch.einsum("bti,bio->bto", x, weight[embodiment_id]) + bias[embodiment_id][:, None]


per_robot.mistake(bugs.first_prompt)(lambda *given: per_robot(*given[:3], given[3][:1].expand_as(given[3])))


@per_robot.mistake("the place in the batch is taken for the robot")
def _(x, weight, bias, embodiment_id):
    """You gave sample 0 the weights of robot 0, sample 1 those of robot 1, and so on. Which robot it is stands in
    `embodiment_id`.
    Source: our own: right for a test batch that holds each robot once, in order"""
    return per_robot(x, weight, bias, torch.arange(len(x)))


def _moved_cases():
    before, mask = normal((3, 5, 7), 41), holes((3, 5, 7), 42)
    padding_only = torch.where(mask, before, normal((3, 5, 7), 43))
    by_hand = numbers([[[3, 4, 9]]]), numbers([[[3, 9, 1]]]), bools("110")[None]
    random = *normal((2, 2, 3, 11), 44), holes((2, 3, 11), 46)
    return by_hand, (before, padding_only, mask), (before, 1.5 * padding_only, mask), random


@exercise(
    "inside.5",
    minutes=5,
    difficulty=2,
    cases=_moved_cases,
    hints=(
        "Two norms: one of a difference, one of `before`. Over which entries?",
        "`torch.where(action_mask, ..., 0.0)` leaves the recorded ones; `flatten(1)` keeps the samples apart.",
        "`.flatten(1).norm(dim=1)` of both, then divide.",
    ),
    lesson="Exactly 0 is the answer of a head that does not leak; and a head that reads nothing gives 0 as well.",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
)
def moved(before, after, action_mask):
    """Did anything real move?

    A head has answered twice, `before` and `after` somebody wrote other numbers into the padding (both batch,
    action_horizon, padded_dim; float). Return for each sample how far the *recorded* entries moved, as a part of their
    size (batch; float): the norm of the change over the norm of `before`, both over the entries that `action_mask`
    (like before; bool) calls real."""
    change = torch.where(action_mask, after - before, 0.0).flatten(1).norm(dim=1)
    return change / torch.where(action_mask, before, 0.0).flatten(1).norm(dim=1)


@moved.mistake("padding is counted too")
def _(before, after, action_mask):
    """You counted all entries. What a head answers for padding may move as it likes; nobody uses it. Look at the
    recorded entries alone.
    Source: our own: a probe like this cries wolf at a correct head"""
    return moved(before, after, torch.ones_like(action_mask))


@moved.mistake("the whole batch in one number")
def _(before, after, action_mask):
    """You took one norm over the whole batch. A small robot that leaks is drowned by two large ones that do not; keep
    the samples apart.
    Source: huggingface/lerobot v0.4.4, flow_matching_action_head.py 339, takes one mean over the whole batch"""
    (part,) = moved(*(value.flatten()[None] for value in (before, after, action_mask)))
    return part.expand(len(before))
