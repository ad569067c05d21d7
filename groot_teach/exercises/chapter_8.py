"""The exercises of chapter 8: what an audit needs from you, how two of its probes work, and how its report is read.

The wrong answers come from public threads and code where there are any; each names its source.
"""

import math

import torch

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Is my mask really applied?"


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _draw(shape, seed):
    return torch.randn(shape, dtype=torch.float64, generator=_generator(seed))


def _real(shape, seed):
    """A mask with holes anywhere; every row begins with False, ends with True, and has one more of each at least."""
    mask = torch.rand(shape, generator=_generator(seed)) < 0.5
    mask[..., 0], mask[..., 1], mask[..., -2], mask[..., -1] = False, True, False, True
    return mask


# ------------------------------------------------------------------------------------------------------------- 8.1


def declare(action_is_pad, embodiment_id, attention_mask, robot_dims, width):
    dims = torch.zeros(len(embodiment_id), width, dtype=torch.bool)
    for sample, robot in enumerate(embodiment_id.tolist()):
        dims[sample, robot_dims[robot]] = True
    return dims, ~action_is_pad, attention_mask == 1


def _declare_cases():
    by_hand = (
        torch.tensor([[False, True], [False, False]]),
        torch.tensor([1, 0]),
        torch.tensor([[0, 1, 1], [1, 1, 1]]),
        [[0, 3], [1, 2, 3]],
        4,
    )
    return (
        by_hand,
        _declared(1, (3, 5, 7), [[0, 1, 2], [4, 6, 8], [1, 3], [0, 8]], 9),
        _declared(2, (5, 4, 6), [[2, 3, 4, 5], [0, 5], [1], [0, 2, 4], [3, 5, 6], [6]], 7),
        _declared(3, (2, 7, 9), [[0, 1, 9, 10], [2, 4], [5, 6, 7]], 11),
    )


def _declared(seed, shape, robot_dims, width):
    """Steps with copies, tokens that are padded on the left or have gaps, and robots in no order."""
    batch, horizon, tokens = shape
    robot = len(robot_dims) - 1 - torch.randperm(len(robot_dims), generator=_generator(seed))[:batch]
    return ~_real((batch, horizon), seed), robot, _real((batch, tokens), seed + 50).long(), robot_dims, width


def _declare_with(dims=None, steps=None, tokens=None):
    """A mistake in one of the three masks, or in several; the others are right."""

    def answer(*given):
        right = declare(*given)
        return tuple(
            mine if wrong is None else wrong(mine, *given)
            for wrong, mine in zip((dims, steps, tokens), right, strict=True)
        )

    return answer


def _upside_down(right, *given):
    return ~right


def _first_ones(right, *given):
    return torch.arange(right.shape[1]) < right.sum(dim=1, keepdim=True)


DECLARE = Exercise(
    id="8.1",
    title="Declare the padding",
    task=(
        "An audit goes by what you declare. You are given a batch as LeRobot and a tokenizer leave it: `action_is_pad` "
        "(batch, action_horizon; bool, True = a copy of the last step), `embodiment_id` (batch; int64, which robot), "
        "and `attention_mask` (batch, tokens; int64, 1 = a real token). `robot_dims` is a list: for each robot the "
        "list of the dims that it has, among `width` (an int). Return a tuple of three masks, all bool, True = "
        "real: the dims (batch, width), the steps (batch, action_horizon), the tokens (batch, tokens)."
    ),
    minutes=5,
    difficulty=1,
    reference=declare,
    cases=_declare_cases,
    misconceptions=(
        Misconception(
            name="action_is_pad as it is",
            answer=_declare_with(steps=_upside_down),
            message=(
                "Dims and tokens are right, and the steps are upside down: you handed `action_is_pad` on. It is True "
                "where a step is a copy, and `Padding` wants True = real."
            ),
            source="two polarities in one code base: huggingface/lerobot at 7427f318, dataset_reader.py 247-256",
        ),
        Misconception(
            name="True = padding",
            answer=_declare_with(dims=_upside_down, steps=_upside_down, tokens=_upside_down),
            message=(
                "All three are upside down: you declared what is padding. An audit would change every real number, see "
                "everything move, and report nothing but leaks."
            ),
            source="a mask inverted for scaled_dot_product_attention, "
            "https://github.com/InseeFrLab/torchTextClassifiers/pull/92",
        ),
        Misconception(
            name="the tokens stay integers",
            answer=_declare_with(tokens=lambda right, pad, robot, mask, *_: mask.clone()),
            message=(
                "The token mask is still int64, as the tokenizer made it. `Padding` refuses it, and rightly: `~1` is "
                "-2, and whoever indexes with integers picks rows instead of asking for each. Make it bool."
            ),
            source="GR00T N1.5's mask is int64, and N1.6 writes `== 1`: NVIDIA/Isaac-GR00T at 4e62473d, "
            "eagle_backbone.py 113 (read)",
        ),
        Misconception(
            name="the first robot speaks for all",
            answer=_declare_with(dims=lambda right, *_: right[:1].expand_as(right).clone()),
            message=(
                "Every sample got the dims of the first one's robot. That is right while a batch holds one robot, and "
                "such a batch is the one to try first. Ask `embodiment_id` for each sample."
            ),
            source="the first prompt of a batch stood for all of them: huggingface/lerobot at 973b2f23, "
            "processor_groot.py (read)",
        ),
        Misconception(
            name="the place in the batch is taken for the robot",
            answer=_declare_with(
                dims=lambda right, pad, robot, mask, robot_dims, width: declare(
                    pad, torch.arange(len(robot)), mask, robot_dims, width
                )[0]
            ),
            message=(
                "Sample 0 got the dims of robot 0, sample 1 those of robot 1, and so on. Which robot a sample is of "
                "says `embodiment_id`."
            ),
            source="our own",
        ),
        Misconception(
            name="the first n dims",
            answer=_declare_with(dims=_first_ones),
            message=(
                "Each robot got as many dims as it has, but the first ones. That is how GR00T packs actions; "
                "`robot_dims` says *which* dims are real, and there may be gaps between them."
            ),
            source="`action_mask[:, :, :d] = True` in huggingface/lerobot at 973b2f23, processor_groot.py (read): "
            "there real dims do come first",
        ),
        Misconception(
            name="copies are declared real",
            answer=_declare_with(steps=lambda right, *_: torch.ones_like(right)),
            message=(
                "You declared every step real, copies included. An audit believes you, and can not find that a policy "
                "learns from copies. If it should learn from them, declare the padding, and the finding as intended."
            ),
            source="copies that reach the loss unmarked, https://github.com/Physical-Intelligence/openpi/issues/681",
        ),
        Misconception(
            name="the first n tokens",
            answer=_declare_with(tokens=_first_ones),
            message=(
                "You counted the real tokens and took the first ones. These prompts are padded on the left, so you "
                "declared padding real, and the end of the instruction padding. The mask itself says where."
            ),
            source="padding looked for on the right of prompts that have it on the left, "
            "https://github.com/NVIDIA-NeMo/Automodel/pull/3704",
        ),
    ),
    hints=(
        "Three masks, one polarity. Which of the three inputs has the other one?",
        "`~action_is_pad` are the steps, `attention_mask == 1` the tokens. Dims start as all False.",
        "Then, for each sample: `dims[sample, robot_dims[robot]] = True`, with its `robot` from `embodiment_id`.",
    ),
    lesson="What you declare is the truth that a policy's own masks are held against, so take it from the data.",
)


# ------------------------------------------------------------------------------------------------------------- 8.2


def loss_of(said, velocity_pred, actions, noise, action_mask):
    error = torch.where(action_mask, said - (actions - noise), 0.0)
    return error.square().sum(dim=(1, 2, 3)) / action_mask.sum()


def _loss_of_cases():
    actions = torch.tensor([[[4.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    noise = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]], dtype=torch.float64)
    target, mask = actions - noise, torch.tensor([[[True, False], [True, False]]])
    said = torch.stack([target, target + 1, target + torch.tensor([2.0, 9.0])])
    return (
        (said, target + 0.5, actions, noise, mask),
        _asked(11, 2, (3, 5, 4)),
        _asked(12, 5, (2, 3, 7)),
        _asked(13, 3, (2, 4, 5), broken=True),
        _asked(14, 3, (4, 4, 4)),
    )


def _asked(seed, looks, shape, broken=False):
    mask = _real(shape[:2], seed)[:, :, None] & _real((shape[0], shape[2]), seed + 50)[:, None, :]
    actions, noise = (torch.where(mask, 2.0, 1.0) * _draw(shape, seed + place) for place in (100, 200))
    said = _draw((looks, *shape), seed + 300)
    if broken:
        actions[~mask], said[:, 0, 0, 0] = math.inf, -math.inf
    return said, _draw(shape, seed + 400), actions, noise, mask


def _loss_by(answer):
    """A mistake that may meet infinity in padding as it will; it is told by the numbers of the other cases."""

    def wrong(said, velocity_pred, actions, noise, action_mask):
        if not (said.isfinite().all() and actions.isfinite().all()):
            return ...
        return answer(said, velocity_pred, actions, noise, action_mask)

    return wrong


LOSS_OF = Exercise(
    id="8.2",
    unaffected_by=(
        "axes 0 and 1 of `velocity_pred` are swapped",
        "axes 0 and 2 of `velocity_pred` are swapped",
        "axes 1 and 2 of `velocity_pred` are swapped",
    ),
    title="The loss of any prediction",
    task=(
        "A policy has predicted `velocity_pred` (batch, action_horizon, padded_dim). To audit its loss, other "
        "predictions are put in its place: `said` (looks, batch, action_horizon, padded_dim), one a look. `actions` "
        "and `noise` are shaped like `velocity_pred`, all of them float64; `action_mask` too (bool, True = real). The "
        "policy learns the velocity from noise to action. Return the loss of each look (looks; float64): the mean, "
        "over the real entries, of the squared error of what was said. Padding may hold infinity."
    ),
    minutes=5,
    difficulty=2,
    reference=loss_of,
    cases=_loss_of_cases,
    misconceptions=(
        Misconception(
            name="the policy's own prediction",
            answer=_loss_by(lambda said, own, *rest: loss_of(own[None].expand_as(said), own, *rest)),
            message=(
                "Your loss is the same at every look: it is that of `velocity_pred`. A function that gives back a loss "
                "worked out before can not be asked anything."
            ),
            source="a closure that returns the loss of before, https://github.com/mohammadbashiri/fitgabor/pull/1",
        ),
        Misconception(
            name="the policy's prediction is the target",
            answer=_loss_by(
                lambda said, own, actions, noise, mask: loss_of(said, own, own, torch.zeros_like(own), mask)
            ),
            message=(
                "You measured how far each look is from what the policy predicted. The loss measures how far it is "
                "from the *target*, and that does not depend on any prediction."
            ),
            source="a model's own answer suspected in the target's place, https://github.com/akanazawa/fpo/issues/2",
        ),
        Misconception(
            name="masked, then the mean over everything",
            answer=_loss_by(lambda *given: loss_of(*given) * given[-1].sum() / given[-1].numel()),
            message=(
                "You hid the padding and then divided by all entries. At an error of 1 in every entry this loss is not "
                "1 but the part that is real: the unit error finds that, and perturbing does not."
            ),
            source="https://github.com/huggingface/lerobot/issues/3353",
        ),
        Misconception(
            name="entries summed, steps counted",
            answer=_loss_by(lambda *given: loss_of(*given) * given[-1].sum() / given[-1].any(dim=2).sum()),
            message=(
                "You summed entries and divided by the number of steps, so the loss is too large by the number of dims "
                "that are real. Count what you sum."
            ),
            source="https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="the velocity has openpi's sign",
            answer=_loss_by(lambda said, own, actions, noise, mask: loss_of(said, own, noise, actions, mask)),
            message=(
                "Your target is `noise - actions`. That is the way from the action to the noise; here a velocity "
                "leads from the noise to the action."
            ),
            source="both signs in one thread: https://github.com/lucidrains/pi-zero-pytorch/issues/14",
        ),
        Misconception(
            name="an action is the target",
            answer=_loss_by(
                lambda said, own, actions, noise, mask: loss_of(said, own, actions, torch.zeros_like(noise), mask)
            ),
            message=(
                "You compared with the actions. What is predicted is a velocity, and `noise` belongs to its target: it "
                "is fixed in the function, as the actions are."
            ),
            source="asked in https://github.com/UMass-Embodied-AGI/TesserAct/issues/16",
        ),
        Misconception(
            name="masked after the arithmetic",
            answer=lambda said, own, actions, noise, mask: (
                ((said - (actions - noise)).square() * mask).sum(dim=(1, 2, 3)) / mask.sum()
            ),
            message=(
                "Your loss becomes NaN where padding holds infinity: 0 times infinity is NaN. Select with "
                "`torch.where`, and then square."
            ),
            source="https://github.com/pytorch/pytorch/issues/101967",
        ),
        Misconception(
            name="one number for all looks",
            answer=_loss_by(lambda said, *rest: loss_of(said, *rest).mean().expand(len(said)).clone()),
            message="You averaged over the looks. Each of them is a question of its own; sum over the last three axes.",
            source="our own",
        ),
    ),
    hints=(
        "What in this loss depends on the prediction, and what is fixed, whatever is said?",
        "The target `actions - noise`, the mask and the count are fixed. All looks share them: they broadcast.",
        "`torch.where(action_mask, said - target, 0.0)`, squared, summed over `dim=(1, 2, 3)`, over the count.",
    ),
    lesson="Handed over as a function, a loss can be asked what no training run asks: what an error of 1 costs.",
)


# ------------------------------------------------------------------------------------------------------------- 8.3


def find_target(start, first, second):
    slope = second - first
    counts = slope != 0
    return torch.where(counts, start - first / torch.where(counts, slope, 1.0), start)


def _find_target_cases():
    start = torch.tensor([[[1.0, 0.0, 5.0]]], dtype=torch.float64)
    target = torch.tensor([[[3.0, -1.0, 7.0]]], dtype=torch.float64)
    by_hand = _gradients(start, target, torch.tensor([[[1.0, 2.0, 0.0]]], dtype=torch.float64))
    cases = [by_hand]
    for seed, shape in enumerate([(3, 5, 4), (2, 3, 7), (4, 2, 5)], start=21):
        start, target = _draw(shape, seed), 3 * _draw(shape, seed + 50)
        real = _real(shape, seed)
        target[:, :, 1] = start[:, :, 1]  # found already: the first gradient is 0
        target[:, :, -1] = start[:, :, -1] + 1  # found by the step: the second one is
        groups = 1 + torch.arange(shape[2], dtype=torch.float64) % 3  # a sum of means weighs some dims more
        cases.append(_gradients(start, target, real * groups / real.sum()))
    return tuple(cases)


def _gradients(start, target, weight):
    """Of a sum of weighted squared errors: at `start`, and where every entry is 1 more. Exactly 0 where they are."""
    off = start - target
    at_target, one_below = off.abs() < 1e-12, (off + 1).abs() < 1e-12
    first = torch.where(at_target, 0.0, 2 * weight * off)
    second = torch.where(one_below, 0.0, 2 * weight * (off + 1))
    return start, first, second


def _counting(start, first, second, target):
    """`target` where an entry counts, and `start` elsewhere, as it should be."""
    return torch.where(second != first, target, start)


FIND_TARGET = Exercise(
    id="8.3",
    title="Find the target",
    task=(
        "An auditor has a loss as a function of the prediction, and nobody told it the target. The loss is a sum of "
        "squared errors, each times a weight that it does not know either: 1 over a count, more for some dims, 0 "
        "where nothing counts. `first` is the gradient of the loss at a prediction `start`; `second` the gradient at "
        "`start + 1`, every entry moved by 1. All three are (batch, action_horizon, padded_dim; float64). Return the "
        "target, of the same shape; where an entry does not count, its number of `start`."
    ),
    minutes=6,
    difficulty=2,
    reference=find_target,
    cases=_find_target_cases,
    misconceptions=(
        Misconception(
            name="the gradient is the error",
            answer=lambda start, first, second: start - first,
            message=(
                "You went one step down the gradient, which is the error times 2 times the weight of its entry. How "
                "steep it is says the second gradient."
            ),
            source="our own",
        ),
        Misconception(
            name="only the 2 is undone",
            answer=lambda start, first, second: start - first / 2,
            message=(
                "You undid the 2 of the square, and took the weight for 1. In a mean it is 1 over a count, and the "
                "auditor does not know which."
            ),
            source="whether that 2 is there at all: https://github.com/davisking/dlib/issues/1169",
        ),
        Misconception(
            name="divided by every entry",
            answer=lambda start, first, second: start - first * first.numel() / 2,
            message=(
                "You took the loss for a mean over all entries. If that were known, there would be nothing to audit: "
                "what it divides by is the question."
            ),
            source="what a mean divides by is not what was thought, https://github.com/pytorch/pytorch/issues/3924",
        ),
        Misconception(
            name="every entry that counts weighs the same",
            answer=lambda start, first, second: start - first * (second != first).sum() / 2,
            message=(
                "You counted the entries that count, and took the loss for their mean. In a sum of means some weigh "
                "more than others; each entry's own slope says how much."
            ),
            source="arm and claw, a mean for each: the note's fork, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 415-467",
        ),
        Misconception(
            name="divided by zero",
            answer=lambda start, first, second: start - first / (second - first),
            message=(
                "Where an entry does not count, both gradients are 0 and so is their difference: 0 / 0 is NaN. Keep "
                "`start` there."
            ),
            source="NaN for a parameter that the target does not have, https://github.com/stan-dev/stan/issues/3425",
        ),
        Misconception(
            name="zero where nothing counts",
            answer=lambda start, first, second: torch.where(
                second != first, start - first / (second - first), torch.zeros_like(start)
            ),
            message=(
                "Where an entry does not count you gave 0, and asked for is its number of `start`. An auditor says the "
                "rest of the prediction as it was: it changes one thing at a time."
            ),
            source="our own",
        ),
        Misconception(
            name="the wrong way",
            answer=lambda start, first, second: _counting(start, first, second, start + first / (second - first)),
            message="You went uphill. The gradient points to where the loss grows; the target lies the other way.",
            source="our own",
        ),
        Misconception(
            name="the step of 1 is forgotten",
            answer=lambda start, first, second: _counting(start, first, second, start - second / (second - first)),
            message=(
                "Your targets are 1 too low. `second` is the gradient at `start + 1`, so from there you have to go "
                "back; from `start` the first one leads."
            ),
            source="our own",
        ),
        Misconception(
            name="a gradient of 0 does not count",
            answer=lambda start, first, second: torch.where(
                (first != 0) & (second != 0), start - first / (second - first), start
            ),
            message=(
                "You took an entry with a gradient of 0 for one that does not count. It may be at its target: here "
                "some are, after the step of 1. What does not count is 0 in *both* places."
            ),
            source="our own",
        ),
    ),
    hints=(
        "Along one entry, the gradient of a squared error is a straight line. Where does it cross 0?",
        "The line goes through `first` at `start` and `second` at `start + 1`: its slope is `second - first`.",
        "`start - first / slope`; with `torch.where` twice, so that nothing is divided by a slope of 0.",
    ),
    lesson="No weight and no count was needed: two gradients give the target of any loss made of squared errors.",
)


# ------------------------------------------------------------------------------------------------------------- 8.4


def draws_alone(noise, t, step_mask, sample, seed):
    return noise[:, sample : sample + 1, step_mask[sample]], t[:, sample : sample + 1]


def _recorded(seed, shape, sample):
    """What a policy draws for a batch: noise first, and then flow times, from one generator."""
    generator = _generator(seed)
    noise = torch.randn(shape, dtype=torch.float64, generator=generator)
    t = torch.rand(shape[:2], dtype=torch.float64, generator=generator)
    return noise, t, _real(shape[1:3], seed + 50), sample, seed


def _draws_alone_cases():
    noise = torch.arange(24, dtype=torch.float64).reshape(2, 2, 3, 2)
    t = torch.tensor([[0.25, 0.75], [0.5, 1.0]], dtype=torch.float64)
    by_hand = (noise, t, torch.tensor([[True, True, False], [True, False, True]]), 1, 7)
    return (by_hand, _recorded(31, (3, 3, 5, 4), 1), _recorded(32, (2, 5, 7, 3), 4), _recorded(33, (4, 2, 4, 6), 1))


def _drawn_anew(noise, length, seed):
    return torch.randn(len(noise), 1, length, noise.shape[3], dtype=torch.float64, generator=_generator(seed))


DRAWS_ALONE = Exercise(
    id="8.4",
    title="The same draws, for one sample alone",
    task=(
        "Does a sample get the same prediction alone, without its padding, as in the batch? For that, all that is "
        "random must be the same. In the batch a policy drew `noise` (draws, batch, action_horizon, padded_dim), "
        "several draws for each sample, and then as many flow times `t` (draws, batch), both float64, from a generator "
        "with the seed `seed` (an int). `step_mask` (batch, action_horizon; bool, True = real) says which steps are "
        "real; `sample` (an int) is the one that is run alone, with its real steps and no others. Return a tuple: the "
        "noise (draws, 1, its real steps, padded_dim) and the flow times (draws, 1) that this run has to get."
    ),
    minutes=4,
    difficulty=1,
    reference=draws_alone,
    cases=_draws_alone_cases,
    misconceptions=(
        Misconception(
            name="drawn anew with the same seed",
            answer=lambda noise, t, step_mask, sample, seed: (
                _drawn_anew(noise, int(step_mask[sample].sum()), seed),
                ...,
            ),
            message=(
                "You drew anew. A seed fixes a stream of numbers, and a smaller tensor takes other numbers of it for "
                "this sample: the two runs would differ, and not because of a mask. Cut what was drawn."
            ),
            source="https://github.com/nickgkan/3d_diffuser_actor/issues/45",
        ),
        Misconception(
            name="drawn anew, then cut",
            answer=lambda noise, t, step_mask, sample, seed: (
                _drawn_anew(noise, noise.shape[2], seed)[:, :, step_mask[sample]],
                ...,
            ),
            message=(
                "You drew a batch of one with the same seed and cut its steps. That begins where the *first* sample "
                "began; yours had its numbers further on. Cut what was drawn for the batch."
            ),
            source="https://github.com/AUTOMATIC1111/stable-diffusion-webui/issues/376",
        ),
        Misconception(
            name="as many steps, the first ones",
            answer=lambda noise, t, step_mask, sample, seed: (
                noise[:, sample : sample + 1, : int(step_mask[sample].sum())],
                t[:, sample : sample + 1],
            ),
            message=(
                "You took as many steps as are real, but the first ones. Here padding stands in between, so real steps "
                "got the noise of padded ones. Index with the mask."
            ),
            source="our own",
        ),
        Misconception(
            name="the first sample's",
            answer=lambda noise, t, step_mask, sample, seed: (noise[:, :1, step_mask[0]], t[:, :1]),
            message=(
                "You cut the draws of sample 0, whichever is asked for. That is right for a batch of one, and for the "
                "first round of the loop that calls you."
            ),
            source="`mask[0]` for a whole batch, https://github.com/lhoyer/DAFormer/issues/85",
        ),
        Misconception(
            name="the batch axis is lost",
            answer=lambda noise, t, step_mask, sample, seed: (noise[:, sample, step_mask[sample]], ...),
            message=(
                "Your noise has no batch axis: an int as an index takes the axis away. A policy expects a batch, of "
                "one sample: `sample : sample + 1` keeps it."
            ),
            source="an axis of length 1 that was squeezed out, https://github.com/open-edge-platform/anomalib/issues/2883",
        ),
        Misconception(
            name="padding is still there",
            answer=lambda noise, t, step_mask, sample, seed: (noise[:, sample : sample + 1], t[:, sample : sample + 1]),
            message=(
                "That is the sample alone *with* its padding. It shows whether other samples reach it, which is worth "
                "asking as well; here its padding has to go."
            ),
            source="our own",
        ),
        Misconception(
            name="set to 0, not cut",
            answer=lambda noise, t, step_mask, sample, seed: (
                torch.where(step_mask[sample, :, None], noise[:, sample : sample + 1], 0.0),
                t[:, sample : sample + 1],
            ),
            message=(
                "You set the noise of padded steps to 0. They are still there: attention reads them and a mean counts "
                "them. Cut them off."
            ),
            source="padded dims held at 0 instead of masked: the note's fork, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 554-555",
        ),
        Misconception(
            name="the padded steps are kept",
            answer=lambda noise, t, step_mask, sample, seed: (
                noise[:, sample : sample + 1, ~step_mask[sample]],
                t[:, sample : sample + 1],
            ),
            message="You kept the padded steps and cut the real ones: `step_mask` is True where a step is real.",
            source="our own",
        ),
        Misconception(
            name="all flow times",
            answer=lambda noise, t, step_mask, sample, seed: (
                noise[:, sample : sample + 1, step_mask[sample]],
                t.clone(),
            ),
            message=(
                "The noise is right. Of the flow times you handed on those of all samples; a batch of one has one a "
                "draw. With several of them it would raise, or broadcast to a batch that nobody asked for."
            ),
            source="our own",
        ),
    ),
    hints=(
        "The numbers are there already. Which of them belong to this sample, and which of those to its real steps?",
        "`sample : sample + 1` keeps the batch axis; a bool mask as an index cuts the steps.",
        "`noise[:, sample : sample + 1, step_mask[sample]]`, and `t[:, sample : sample + 1]`. `seed` is not needed.",
    ),
    lesson="That is why the auditor writes draws down and hands them back: a seed repeats a run, not a sample.",
)


# ------------------------------------------------------------------------------------------------------------- 8.5


def read_report(size, looked, places, intended, excused):
    said = torch.zeros(len(places), dtype=torch.int64)
    for look, (stage, axis) in enumerate(places):
        name = f"{stage}, {axis}"
        if not looked[look]:
            said[look] = 0 if name in excused or stage in excused else 2
        elif size[look] != 0:
            said[look] = 0 if name in intended else 1
    return said


_PLACES = [
    (stage, axis)
    for stage in ("action encoder", "prediction", "loss sum", "loss count", "sampler")
    for axis in ("dims", "steps", "tokens")
]


def _read_report_cases():
    by_hand = (
        torch.tensor([0.0, 0.07, 0.0, 0.0, math.nan], dtype=torch.float64),
        torch.tensor([True, True, False, False, True]),
        [
            ("prediction", "dims"),
            ("loss sum", "steps"),
            ("loss count", "dims"),
            ("sampler", "dims"),
            ("prediction", "tokens"),
        ],
        {"loss sum, steps": "copies are learned from, on purpose"},
        {"sampler": "this policy has none yet"},
    )
    return (by_hand, _report(157, 17), _report(158, 23), _report(159, 31), _report(160, 40))


def _report(seed, looks):
    """Places come more than once, as several probes look at them; about a third of all looks could not be taken."""
    generator = _generator(seed)
    kinds = torch.tensor([0.0, 0.0, 0.3, 2e-7, math.nan, math.inf, 1.5], dtype=torch.float64)
    size = kinds[torch.randint(len(kinds), (looks,), generator=generator)]
    looked = torch.rand(looks, generator=generator) < 0.65
    places = [_PLACES[i] for i in torch.randint(len(_PLACES), (looks,), generator=generator).tolist()]
    order = torch.randperm(len(_PLACES), generator=generator).tolist()
    names = [", ".join(_PLACES[i]) for i in order]
    stage = _PLACES[order[-1]][0]
    intended = {name: "wanted" for name in names[:4]}
    excused = {name: "not needed" for name in [*names[2:6], stage]}
    return torch.where(looked, size, 0.0), looked, places, intended, excused


def _read_by(found=lambda size: size != 0, intends=None, excuses=None, unseen=2):
    """A mistake in one of the rules; the others are right. NaN in `found` counts as what comparisons make of it."""
    intends = intends or (lambda stage, name, intended, excused: name in intended)
    excuses = excuses or (lambda stage, name, intended, excused: name in excused or stage in excused)

    def answer(size, looked, places, intended, excused):
        said = torch.zeros(len(places), dtype=torch.int64)
        for look, (stage, axis) in enumerate(places):
            given = stage, f"{stage}, {axis}", intended, excused
            if not looked[look]:
                said[look] = 0 if excuses(*given) else unseen
            elif found(size[look]):
                said[look] = 0 if intends(*given) else 1
        return said

    return answer


def _nan_is_no_look(size, looked, places, intended, excused):
    return read_report(size.nan_to_num(0.0, posinf=math.inf), looked & ~size.isnan(), places, intended, excused)


def _one_look_is_enough(size, looked, places, intended, excused):
    said = read_report(size, looked, places, intended, excused)
    seen = {place for place, was_taken in zip(places, looked.tolist(), strict=True) if was_taken}
    return torch.where((said == 2) & torch.tensor([place in seen for place in places]), 0, said)


def _all_at_a_place(rule):
    """`rule` asks for names of places, and gets the stages that they lie at."""
    return lambda stage, name, intended, excused: any(one.split(", ")[0] == stage for one in rule(intended, excused))


READ_REPORT = Exercise(
    id="8.5",
    title="Read a report",
    task=(
        "A report is a list of looks. `places` says where each was taken, as pairs of strings (stage, axis); several "
        "may be taken at one place, each by another probe. `looked` (looks; bool) is False where a probe could not "
        "look. `size` (looks; float64) is how much moved: 0 = nothing; NaN or infinity = it became that; where nobody "
        "could look it is 0 too. `intended` is a dict of findings that are wanted, by the name of their place, such as "
        '`"loss sum, steps"` -> the reason. `excused` is a dict of looks that need not be taken, by the name of a '
        "place or by a stage alone, which excuses all of its looks. Return for each look (looks; int64) 0 = all right, "
        "1 = found, and nobody intends it, 2 = not looked at, and nobody excused it. A report with nothing but 0 is "
        "clean."
    ),
    minutes=8,
    difficulty=2,
    reference=read_report,
    cases=_read_report_cases,
    misconceptions=(
        Misconception(
            name="nobody looked, so nothing was found",
            answer=_read_by(unseen=0),
            message=(
                "You let a look that could not be taken pass, as its size is 0. Then the cleanest policy is one that "
                "no probe can run on. What nobody looked at is a 2."
            ),
            source="skipped tests reported as passed, https://github.com/ccache/ccache/issues/638",
        ),
        Misconception(
            name="NaN is not above 0",
            answer=_read_by(found=lambda size: size > 0),
            message=(
                "You asked whether the size is above 0. NaN is not: every comparison with it is False, so the worst "
                "finding of all passed. Ask whether it is 0."
            ),
            source="runs of NaN that pass their test, https://github.com/PrincetonUniversity/athena/issues/223",
        ),
        Misconception(
            name="NaN means that nobody looked",
            answer=_nan_is_no_look,
            message=(
                "You took NaN for a look that was not taken. A probe did look, and what it looked at became NaN: that "
                "is a finding, and no excuse covers it. Whether it looked says `looked`."
            ),
            source="no result and a result of NaN told apart, https://github.com/rcapell/HYPEtools/issues/80",
        ),
        Misconception(
            name="a small one is none",
            answer=_read_by(found=lambda size: size > 0.01),
            message=(
                "You let small sizes pass. What is rounding was taken off before; nothing real may move when padding "
                "does, and a leak that is small in an untrained network need not stay small. The same comparison let "
                "NaN pass too."
            ),
            source="tolerances widened until a test passes, https://github.com/PrimeIntellect-ai/prime-rl/pull/1387",
        ),
        Misconception(
            name="a whole stage is intended",
            answer=_read_by(intends=_all_at_a_place(lambda intended, excused: intended)),
            message=(
                "You let an intention cover its whole stage. That copied steps count in the loss may be wanted; that "
                "padded dims do is another finding, at the same stage. The axis belongs to the name."
            ),
            source="an exception that silences the whole line, https://github.com/psf/black/pull/684",
        ),
        Misconception(
            name="an excuse makes a finding all right",
            answer=_read_by(
                intends=lambda stage, name, intended, excused: name in intended or name in excused or stage in excused
            ),
            message=(
                "You let an excuse cover what was *found*. It says that nobody need look there; if somebody did, and "
                "something moved, only an intention will do."
            ),
            source="our own",
        ),
        Misconception(
            name="an intention makes up for a look",
            answer=_read_by(
                excuses=lambda stage, name, intended, excused: name in intended or name in excused or stage in excused
            ),
            message=(
                "You let an intention cover what nobody looked at. It says what may be found there; whether that is so "
                "is not known. Not looking needs an excuse of its own."
            ),
            source="our own",
        ),
        Misconception(
            name="an excuse has to name the place",
            answer=_read_by(excuses=lambda stage, name, intended, excused: name in excused),
            message=(
                "You honoured excuses for a place, and not those for a stage: a policy without a sampler is excused "
                "once, by `sampler`, and not for every axis."
            ),
            source="our own",
        ),
        Misconception(
            name="one look is enough",
            answer=_one_look_is_enough,
            message=(
                "You let a look that was not taken pass if another was taken at the same place. They are different "
                "probes, and each is blind to something: a mean over everything stands still when padding is "
                "perturbed. Each look counts by itself."
            ),
            source="one pass that hides what failed beside it, https://github.com/nextlyhq/nextly/pull/832",
        ),
        Misconception(
            name="found and not looked at are swapped",
            answer=lambda *given: torch.tensor([0, 2, 1])[read_report(*given)],
            message="Your 1 and 2 are swapped: 1 = found, 2 = not looked at.",
            source="our own",
        ),
    ),
    hints=(
        "Two questions for each look, one after the other: was it taken? If so, did anything move?",
        "Not taken: 2, unless its name or its stage is in `excused`. Taken, and `size != 0`: 1, unless its name is in "
        "`intended`.",
        'Go through `enumerate(places)`; the name is `f"{stage}, {axis}"`. Start from `torch.zeros(len(places), '
        "dtype=torch.int64)`.",
    ),
    lesson="`assert_clean` decides by these rules: clean means that somebody looked, and not that nobody complained.",
)


# ------------------------------------------------------------------------------------------------------------- 8.6


def which_switches(size):
    moved = size != 0
    at = moved.any(dim=2)
    loss = torch.where(moved[:, 5, 0], 2, moved[:, 5, 1].long())
    return torch.stack([*at[:, :4].long().unbind(dim=1), loss, at[:, 6].long(), at[:, 8].long()], dim=1)


_OWN_AXES = ((0,), (1,), (2,), (2,))


def _table(seed, switches):
    """What reports say of heads with these switches. Sizes are no two alike; what moves inside moves the whole ways."""
    switches = torch.tensor(switches)
    size = torch.zeros(len(switches), 9, 3, dtype=torch.float64)
    for door, axes in enumerate(_OWN_AXES):
        size[:, door, list(axes)] = (switches[:, door, None] > 0).double()
    size[:, 4] = size[:, 7] = size[:, :4].amax(dim=1)
    size[:, 5, 0], size[:, 5, 1] = (switches[:, 4] == 2).double(), (switches[:, 4] > 0).double()
    size[:, 6, :2] = switches[:, 5, None].double()
    size[:, 8, 0] = switches[:, 6].double()
    scale = 0.01 + torch.rand(size.shape, dtype=torch.float64, generator=_generator(seed))
    return size * scale


def _random_switches(seed, heads):
    drawn = torch.randint(2, (heads, 7), generator=_generator(seed))
    drawn[:, 4] = torch.randint(3, (heads,), generator=_generator(seed + 50))
    return drawn.tolist()


def _which_switches_cases():
    return (
        (_table(51, [[0, 0, 1, 0, 1, 0, 0]]).mul(100).round().div(100),),
        (_table(52, [[0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 1, 0, 1, 0]]),),
        (_table(53, _random_switches(53, 12)),),
        (_table(54, _random_switches(54, 17)),),
        (_table(55, _random_switches(55, 7)),),
    )


def _with_columns(**columns):
    """The right answer with other columns. Each gets `moved`, which cells of the table are not 0."""
    places = {
        "encoder_input": 0,
        "self_attention": 1,
        "vl_self_attention": 2,
        "cross_attention": 3,
        "loss": 4,
        "loss_denominator": 5,
        "sampler": 6,
    }

    def answer(size):
        out = which_switches(size)
        for name, column in columns.items():
            out[:, places[name]] = column(size != 0).long()
        return out

    return answer


def _only(choose):
    """Of all switches that have to be moved, one: `choose` gets the sizes seen at each."""

    def answer(size):
        right = which_switches(size)
        rows = size.amax(dim=2)[:, [0, 1, 2, 3, 5, 6, 8]]
        keep = torch.nn.functional.one_hot(choose(rows), rows.shape[1])
        return right * keep

    return answer


WHICH_SWITCHES = Exercise(
    id="8.6",
    title="Which switch is it?",
    task=(
        "`size` (heads, 9, 3; float64) holds the tables of audited heads of this book; every cell was looked at, and "
        "0 = nothing moved. The columns are dims, steps, tokens. The rows: 0 action encoder, 1 DiT self-attention, 2 "
        "VL self-attention, 3 DiT cross-attention, 4 prediction, 5 loss sum, 6 loss count, 7 sampler, 8 sampled "
        "padding. Rows 4 and 7 are the whole ways, on which all that leaks inside comes together. Return which of the "
        "seven switches of `Masking` have to be moved (heads, 7; int64): `encoder_input`, `self_attention`, "
        "`vl_self_attention`, `cross_attention`, `loss`, `loss_denominator`, `sampler`; 0 = it holds, 1 = it leaks. "
        'The fifth has two ways to leak: 1 = `"dims"`, only padded steps of real dims count, 2 = `"open"`, padded dims '
        "count as well."
    ),
    minutes=7,
    difficulty=3,
    reference=which_switches,
    cases=_which_switches_cases,
    misconceptions=(
        Misconception(
            name="everybody is blamed for the sampler",
            answer=_with_columns(sampler=lambda moved: moved[:, 7].any(dim=1)),
            message=(
                "You moved `sampler` wherever sampled actions move. Row 7 is a whole way: an open door inside the "
                "network shows there as well. What the switch decides is what padded dims *hold*: row 8."
            ),
            source="our own",
        ),
        Misconception(
            name="either row is the sampler's",
            answer=_with_columns(sampler=lambda moved: moved[:, 7:].any(dim=2).any(dim=1)),
            message=(
                "You moved `sampler` if row 7 or row 8 shows anything. Row 8 is right; row 7 is a whole way, on which "
                "every open door of the network shows."
            ),
            source="our own",
        ),
        Misconception(
            name="the first leak only",
            answer=_only(lambda rows: (rows > 0).long().argmax(dim=1)),
            message=(
                "You stopped at the first leak. Leaks do not exclude each other: shut one, and the next is still "
                "there. Name all of them."
            ),
            source="one bug repaired and the next one left: https://github.com/huggingface/diffusers/issues/12116, "
            "after the mask had been passed on in https://github.com/huggingface/diffusers/pull/11725",
        ),
        Misconception(
            name="the largest leak only",
            answer=_only(lambda rows: rows.argmax(dim=1)),
            message=(
                "You named the largest leak. Sizes of two rows are parts of different things, so they do not rank; "
                "and the others leak too."
            ),
            source="our own",
        ),
        Misconception(
            name="copied steps do no harm",
            answer=_with_columns(loss=lambda moved: 2 * moved[:, 5, 0]),
            message=(
                "You let a loss pass that sums padded steps of real dims. Copies count there, as if the robot had "
                'stood still: that is `"dims"`, a 1.'
            ),
            source="https://github.com/Physical-Intelligence/openpi/issues/681, with an answer that it is small",
        ),
        Misconception(
            name="a loss leaks or it does not",
            answer=_with_columns(loss=lambda moved: moved[:, 5].any(dim=1)),
            message=(
                "You gave 1 for every loss that leaks. If padded dims count as well, it is `open`: 2. Column 0 of row "
                "5 tells them apart."
            ),
            source="padding along steps taken for padding along dims: warned of in "
            "https://github.com/open-edge-platform/physical-ai-studio/pull/873",
        ),
        Misconception(
            name="sum and count are swapped",
            answer=_with_columns(
                loss=lambda moved: torch.where(moved[:, 6, 0], 2, moved[:, 6, 1].long()),
                loss_denominator=lambda moved: moved[:, 5].any(dim=1),
            ),
            message=(
                "You read `loss` off the count and `loss_denominator` off the sum. What is *summed* is row 5; what it "
                "is divided by is row 6."
            ),
            source="our own",
        ),
        Misconception(
            name="who sums too much divides wrongly",
            answer=_with_columns(loss_denominator=lambda moved: moved[:, 5:7].any(dim=2).any(dim=1)),
            message=(
                "You moved the denominator wherever the sum leaks. A loss that sums everything and divides by "
                "everything is consistent: its unit error is 1. The count has a row of its own."
            ),
            source="our own",
        ),
        Misconception(
            name="tokens have one door",
            answer=_with_columns(
                vl_self_attention=lambda moved: moved[:, 2:4].any(dim=2).any(dim=1),
                cross_attention=lambda moved: moved[:, 2:4].any(dim=2).any(dim=1),
            ),
            message=(
                "Wherever tokens leak you moved `vl_self_attention` and `cross_attention` both, from rows 2 and 3 "
                "together or from the prediction, which can not tell them apart. Padded tokens mix into real ones, or "
                "they are read by the actions: two masks, and either may be missing alone."
            ),
            source="a mask in one attention and not in the other, https://github.com/IDEA-Research/DN-DETR/issues/35",
        ),
    ),
    hints=(
        "Each switch has a row of its own, and only for the loss does the column matter. Which two rows "
        "say nothing about switches?",
        "`(size != 0).any(dim=2)` says which rows moved; rows 4 and 7 are left out. Row 5 needs a look at its columns.",
        "Loss: 2 where `size[:, 5, 0] != 0`, else 1 where `size[:, 5, 1] != 0`. Then `torch.stack` of rows 0 to 3, the "
        "loss, row 6 and row 8, `dim=1`.",
    ),
    lesson="A report reads back what `Masking` was set to: of a foreign policy it tells what nobody wrote down.",
)

EXERCISES = (DECLARE, LOSS_OF, FIND_TARGET, DRAWS_ALONE, READ_REPORT, WHICH_SWITCHES)
