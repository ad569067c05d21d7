"""The exercises of chapter 5: masks at their places in a whole head, and how to tell that nothing leaks.

The wrong answers come from public threads and code where there are any; each names its source.
"""

import torch

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Where do the masks go in the real code?"


def _draw(shape, seed):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _real(shape, seed):
    """A mask with holes anywhere, and at least one True and one False in every row."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0], mask[..., -1] = True, False
    return mask


def _ids(seed, batch, robots):
    return torch.randint(robots, (batch,), generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------------------- 5.1


def sdpa_mask(backbone_attention_mask, heads, query_len):
    readable = backbone_attention_mask == 1
    return readable[:, None, None, :].repeat(1, heads, query_len, 1)


def _sdpa_mask_cases():
    return (
        (torch.tensor([[0, 1, 1]]), 2, 4),
        (_real((2, 5), 1).long(), 3, 4),
        (_real((3, 7), 2).long(), 2, 5),
        (_real((5, 11), 3).long(), 1, 2),
    )


SDPA_MASK = Exercise(
    id="5.1",
    title="Bring the line back",
    task=(
        "A tokenizer gives `backbone_attention_mask` (batch, key_len; int64, 1 = a real token). Return the mask that "
        "`scaled_dot_product_attention` needs so that no query of any head reads padding: (batch, heads, query_len, "
        "key_len; bool, True = may be read). `heads` and `query_len` are ints."
    ),
    minutes=4,
    difficulty=1,
    reference=sdpa_mask,
    cases=_sdpa_mask_cases,
    misconceptions=(
        Misconception(
            name="a float of ones and zeros",
            answer=lambda mask, heads, query_len: mask[:, None, None, :].float().repeat(1, heads, query_len, 1),
            message=(
                "You made the mask a float. Attention *adds* a float mask to the scores, so a real token gains 1 and "
                "padding is read all the same. Make it bool."
            ),
            source="what is left after `.float()` has silenced the error; torch 2.13 adds it (run)",
        ),
        Misconception(
            name="the integers are handed on",
            answer=lambda mask, heads, query_len: mask[:, None, None, :].repeat(1, heads, query_len, 1),
            message="Your mask is still int64, which attention refuses with a RuntimeError. Make it bool.",
            source="GR00T N1.5's mask is int64, and N1.6 writes `== 1`: NVIDIA/Isaac-GR00T at 4e62473d, "
            "eagle_backbone.py 113 (read)",
        ),
        Misconception(
            name="True = padding",
            answer=lambda mask, heads, query_len: (mask == 0)[:, None, None, :].repeat(1, heads, query_len, 1),
            message=(
                "Your mask is upside down: it lets padding be read, and nothing else. True = ignore is the convention "
                "of `key_padding_mask`; here True = may be read."
            ),
            source="the two conventions of PyTorch, torch.nn.MultiheadAttention and scaled_dot_product_attention",
        ),
        Misconception(
            name="everything may be read",
            answer=lambda mask, heads, query_len: torch.ones(
                len(mask), heads, query_len, mask.shape[1], dtype=torch.bool
            ),
            message=(
                "Your mask lets every query read everything, padding included: it has the right shape and no effect. "
                "That is what N1.5's blocks get, by way of None."
            ),
            source="https://github.com/NVIDIA/Isaac-GR00T/issues/417",
        ),
    ),
    hints=(
        "One row says which tokens of a sample are real. All heads and all queries share it.",
        "`== 1` makes a bool of it; two axes of length 1 go between batch and key_len.",
        "`(mask == 1)[:, None, None, :]`, then repeat it for heads and queries.",
    ),
    lesson="The name, the dtype, and somebody who hands it over: that is all it takes, and none may be missing.",
)


# ------------------------------------------------------------------------------------------------------------- 5.2


def sequence_mask(step_mask, before):
    state = torch.ones(len(step_mask), before, dtype=torch.bool)
    return torch.cat([state, step_mask], dim=1)


def _sequence_mask_cases():
    return (
        (torch.tensor([[True, False, False]]), 2),
        (_real((2, 5), 11), 1),
        (_real((3, 7), 12), 4),
        (_real((5, 11), 13), 33),
    )


SEQUENCE_MASK = Exercise(
    id="5.2",
    title="Shut the step leak",
    task=(
        "The transformer's sequence begins with `before` tokens (an int) for the state and the future, which are "
        "always real; then comes a token for each action step. `step_mask` (batch, action_horizon; bool, True = "
        "recorded) says which steps are. Return which tokens of the sequence may be read (batch, before + "
        "action_horizon; bool)."
    ),
    minutes=3,
    difficulty=1,
    reference=sequence_mask,
    cases=_sequence_mask_cases,
    misconceptions=(
        Misconception(
            name="the state is hidden",
            answer=lambda step_mask, before: torch.cat(
                [torch.zeros(len(step_mask), before, dtype=torch.bool), step_mask], dim=1
            ),
            message="You hid the state and the future tokens: `pad` fills with False. They are real, always.",
            source="our own: torch.nn.functional.pad fills with 0",
        ),
        Misconception(
            name="the state stands last",
            answer=lambda step_mask, before: torch.cat(
                [step_mask, torch.ones(len(step_mask), before, dtype=torch.bool)], dim=1
            ),
            message=(
                "You put the state behind the actions. In GR00T's sequence it comes first: as it is, recorded steps "
                "are hidden in its place."
            ),
            source="our own; the order is huggingface/lerobot v0.4.4, flow_matching_action_head.py 322",
        ),
        Misconception(
            name="padded steps are tokens like any other",
            answer=lambda step_mask, before: torch.ones(len(step_mask), before + step_mask.shape[1], dtype=torch.bool),
            message=(
                "You let everything be read, padded steps included. That is what GR00T N1.5, N1.6 and N1.7 do: the "
                "step leak."
            ),
            source="https://github.com/NVIDIA/Isaac-GR00T/issues/742",
        ),
        Misconception(
            name="action_is_pad, not step_mask",
            answer=lambda step_mask, before: torch.cat(
                [torch.ones(len(step_mask), before, dtype=torch.bool), ~step_mask], dim=1
            ),
            message=(
                "You hid the recorded steps and left the padded ones. `step_mask` is True where a step was recorded; "
                "LeRobot's `action_is_pad` means the opposite."
            ),
            source="two polarities in one code base: huggingface/lerobot at 7427f318, dataset_reader.py 247-256",
        ),
    ),
    hints=(
        "How long is the sequence, and where do the actions stand in it?",
        "The first `before` columns are True in every row.",
        "`torch.cat` of a block of ones, as bool, and the `step_mask`.",
    ),
    lesson="Pull request 741 proposes it for N1.7, as an option; the released versions hide nothing there.",
)


# ------------------------------------------------------------------------------------------------------------- 5.3


def first_layer(noisy_actions, action_mask, weight, bias):
    return torch.where(action_mask, noisy_actions, 0.0) @ weight + bias


def _first_layer_cases():
    broken, holes = _draw((2, 3, 5), 23), _real((2, 3, 5), 24)
    broken[0, 1, 4] = torch.inf
    ends = _real((2, 4, 3), 47)
    ends[0, 2:] = False
    small = torch.tensor([[[True, True, False], [False, False, False]]])
    return (
        (_draw((1, 2, 3), 21), small, _draw((3, 4), 22), _draw((4,), 9)),
        (_draw((3, 5, 7), 25), _real((3, 5, 7), 26), _draw((7, 2), 27), _draw((2,), 28)),
        (_draw((2, 4, 3), 48), ends, _draw((3, 5), 49), _draw((5,), 50)),
        (broken, holes, _draw((5, 7), 29), _draw((7,), 30)),
    )


FIRST_LAYER = Exercise(
    id="5.3",
    title="Shut the input leak",
    task=(
        "The action encoder's first layer multiplies `noisy_actions` (batch, action_horizon, padded_dim; float) by "
        "`weight` (padded_dim, width) and adds `bias` (width). Return what it gives (batch, action_horizon, width) "
        "when padded entries, False in `action_mask` (like noisy_actions; bool), count as 0. Padding may hold "
        "anything, infinity too; a step that is padding from end to end gives the bias."
    ),
    minutes=4,
    difficulty=2,
    reference=first_layer,
    cases=_first_layer_cases,
    misconceptions=(
        Misconception(
            name="padding arrives as noise",
            answer=lambda noisy, mask, weight, bias: noisy @ weight + bias,
            message=(
                "You handed padding to the layer as it is. The layer is dense: each padded number reaches every number "
                "of the token."
            ),
            source="what GR00T does, reported in https://github.com/NVIDIA/Isaac-GR00T/issues/742",
        ),
        Misconception(
            name="multiplied by the mask",
            answer=lambda noisy, mask, weight, bias: (noisy * mask) @ weight + bias,
            message=(
                "Your answer is right as long as padding is finite. Infinity times 0 is NaN: select with "
                "`torch.where`, do not multiply."
            ),
            source="EVO1 and MolmoAct2 multiply: huggingface/lerobot at 7427f318 (read)",
        ),
        Misconception(
            name="masked behind the layer",
            answer=lambda noisy, mask, weight, bias: torch.where(
                mask.any(-1, keepdim=True), torch.nan_to_num(noisy) @ weight + bias, 0.0
            ),
            message=(
                "You set tokens to 0 *behind* the layer. By then the padded dims of a recorded step are in every "
                "number of its token; and a padded step should give the bias."
            ),
            source="our own: the step axis is looked after, the dim axis is not",
        ),
        Misconception(
            name="the bias is masked too",
            answer=lambda noisy, mask, weight, bias: (
                torch.where(mask, noisy, 0.0) @ weight + bias * mask.any(-1, keepdim=True)
            ),
            message="Your recorded steps are right. A step of padding alone has zeros for input, so it gives the bias.",
            source="our own",
        ),
    ),
    hints=(
        "Where does padding have to stop: before the layer or behind it?",
        "Before. What is 0 times infinity?",
        "`torch.where(action_mask, noisy_actions, 0.0)`, then the layer.",
    ),
    lesson="It must be so in training and at inference; a head that was trained on noise there has not seen zeros.",
)


# ------------------------------------------------------------------------------------------------------------- 5.4


def per_robot(x, weight, bias, embodiment_id):
    return torch.einsum("bti,bio->bto", x, weight[embodiment_id]) + bias[embodiment_id][:, None]


def _per_robot_cases():
    return (
        (_draw((2, 1, 2), 51), _draw((3, 2, 4), 52), _draw((3, 4), 53), torch.tensor([2, 1])),
        (_draw((2, 3, 4), 31), _draw((3, 4, 5), 32), _draw((3, 5), 33), torch.tensor([2, 0])),
        (_draw((3, 2, 5), 34), _draw((4, 5, 7), 35), _draw((4, 7), 36), torch.tensor([3, 0, 3])),
        (_draw((5, 7, 2), 37), _draw((7, 2, 3), 38), _draw((7, 3), 39), _ids(40, 5, 7)),
    )


PER_ROBOT = Exercise(
    id="5.4",
    title="To each robot its own weights",
    task=(
        "Encoder and decoder have weights of their own for each robot: `weight` (embodiments, inputs, outputs; float) "
        "and `bias` (embodiments, outputs). `x` (batch, action_horizon, inputs; float) is a mixed batch and "
        "`embodiment_id` (batch; int64) says which robot each sample is of. Return the layer's answer (batch, "
        "action_horizon, outputs)."
    ),
    minutes=5,
    difficulty=2,
    reference=per_robot,
    cases=_per_robot_cases,
    misconceptions=(
        Misconception(
            name="the first robot speaks for all",
            answer=lambda x, weight, bias, robot: x @ weight[robot[0]] + bias[robot[0]],
            message=(
                "You took the first sample's robot for the whole batch. Each sample has an id of its own. It is the "
                "same slip as `lang[0]`: one prompt for all."
            ),
            source="the shape of `lang = lang[0]` in huggingface/lerobot v0.4.4, processor_groot.py 290-298",
        ),
        Misconception(
            name="the place in the batch is taken for the robot",
            answer=lambda x, weight, bias, robot: (
                torch.einsum("bti,bio->bto", x, weight[: len(x)]) + bias[: len(x), None]
            ),
            message=(
                "You gave sample 0 the weights of robot 0, sample 1 those of robot 1, and so on. Which robot it is "
                "stands in `embodiment_id`."
            ),
            source="our own: right for a test batch that holds each robot once, in order",
        ),
        Misconception(
            name="the bias of robot 0",
            answer=lambda x, weight, bias, robot: torch.einsum("bti,bio->bto", x, weight[robot]) + bias[0],
            message="Your products are right. The bias is each robot's own, too: you added that of robot 0 to all.",
            source="our own",
        ),
        Misconception(
            name="no bias",
            answer=lambda x, weight, bias, robot: torch.einsum("bti,bio->bto", x, weight[robot]),
            message="Your products are right, and the bias is missing.",
            source="our own",
        ),
    ),
    hints=(
        "`weight[embodiment_id]` picks a matrix for each sample: what shape is it?",
        "batch, inputs, outputs: `torch.bmm` multiplies sample by sample.",
        "`torch.bmm(x, weight[embodiment_id]) + bias[embodiment_id][:, None]`.",
    ),
    lesson="So a dim has weights for each robot, and a robot that lacks it leaves its decoder weights untrained.",
)


# ------------------------------------------------------------------------------------------------------------- 5.5


def moved(before, after, action_mask):
    change = torch.where(action_mask, after - before, 0.0).flatten(1).norm(dim=1)
    return change / torch.where(action_mask, before, 0.0).flatten(1).norm(dim=1)


def _moved_cases():
    one, other = torch.tensor([[[3.0, 4.0, 9.0]]]).double(), torch.tensor([[[3.0, 9.0, 1.0]]]).double()
    before, mask = _draw((3, 5, 7), 41), _real((3, 5, 7), 42)
    padding_only = torch.where(mask, before, _draw((3, 5, 7), 43))
    half = torch.where(mask, 1.5 * before, padding_only)
    return (
        (one, other, torch.tensor([[[True, True, False]]])),
        (before, padding_only, mask),
        (before, half, mask),
        (_draw((2, 3, 11), 44), _draw((2, 3, 11), 45), _real((2, 3, 11), 46)),
    )


MOVED = Exercise(
    id="5.5",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
    title="Did anything real move?",
    task=(
        "A head has answered twice, `before` and `after` somebody wrote other numbers into the padding (both batch, "
        "action_horizon, padded_dim; float). Return for each sample how far the *recorded* entries moved, as a part of "
        "their size (batch; float): the norm of the change over the norm of `before`, both over the entries that "
        "`action_mask` (like before; bool) calls real."
    ),
    minutes=5,
    difficulty=2,
    reference=moved,
    cases=_moved_cases,
    misconceptions=(
        Misconception(
            name="padding is counted too",
            answer=lambda before, after, mask: (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1),
            message=(
                "You counted all entries. What a head answers for padding may move as it likes; nobody uses it. Look "
                "at the recorded entries alone."
            ),
            source="our own: a probe like this cries wolf at a correct head",
        ),
        Misconception(
            name="the whole batch in one number",
            answer=lambda before, after, mask: torch.full(
                (len(before),),
                (torch.where(mask, after - before, 0.0).norm() / torch.where(mask, before, 0.0).norm()).item(),
                dtype=before.dtype,
            ),
            message=(
                "You took one norm over the whole batch. A small robot that leaks is drowned by two large ones that do "
                "not; keep the samples apart."
            ),
            source="huggingface/lerobot v0.4.4, flow_matching_action_head.py 339, takes one mean over the whole batch",
        ),
        Misconception(
            name="not as a part of its size",
            answer=lambda before, after, mask: torch.where(mask, after - before, 0.0).flatten(1).norm(dim=1),
            message="Your change is right. Divide it by the size of the recorded entries, so that numbers compare.",
            source="our own",
        ),
        Misconception(
            name="only the size of the change of size",
            answer=lambda before, after, mask: (
                (
                    torch.where(mask, after, 0.0).flatten(1).norm(dim=1)
                    - torch.where(mask, before, 0.0).flatten(1).norm(dim=1)
                ).abs()
                / torch.where(mask, before, 0.0).flatten(1).norm(dim=1)
            ),
            message=(
                "You compared two norms. An answer may turn without growing: take the norm of the difference, not the "
                "difference of the norms."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Two norms: one of a difference, one of `before`. Over which entries?",
        "`torch.where(action_mask, ..., 0.0)` leaves the recorded ones; `flatten(1)` keeps the samples apart.",
        "`.flatten(1).norm(dim=1)` of both, then divide.",
    ),
    lesson="Exactly 0 is the answer of a head that does not leak; and a head that reads nothing gives 0 as well.",
)

EXERCISES = (SDPA_MASK, SEQUENCE_MASK, FIRST_LAYER, PER_ROBOT, MOVED)
