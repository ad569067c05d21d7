"""The exercises of chapter 7: the four probes, written by hand, and the batch that they need.

The wrong answers come from public threads and code where there are any; each names its source.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "Would you have caught it?"


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _draw(shape, seed):
    return torch.randn(shape, dtype=torch.float64, generator=_generator(seed))


def _float64(values):
    return torch.tensor(values, dtype=torch.float64)


def _bools(rows):
    """`"110 101"`: a row for each word, True for 1."""
    return torch.tensor([[letter == "1" for letter in word] for word in rows.split()])


def _holes(shape, seed):
    """A mask with holes anywhere: in each row True at the second place, and False at the last but one."""
    mask = torch.rand(shape, generator=_generator(seed)) < 0.6
    mask[..., 1], mask[..., -2] = True, False
    return mask


def _joined(dim_mask, step_mask):
    return step_mask[:, :, None] & dim_mask[:, None, :]


# ------------------------------------------------------------------------------------------------------------- 7.1


def perturbed(actions, fresh, dim_mask, action_is_pad):
    real = dim_mask[:, None, :] & ~action_is_pad[:, :, None]
    return torch.where(real, actions, fresh)


def _perturbed_cases():
    by_hand = (
        _float64([[[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]]),
        _float64([[[11.0, 12.0, 13.0], [14.0, 15.0, 16.0]]]),
        torch.tensor([[True, True, False]]),
        torch.tensor([[False, True]]),
    )
    return (
        by_hand,
        _filled_chunk(1, 2, 3, 5, torch.nan),
        _filled_chunk(2, 3, 7, 4, 0.0),
        _filled_chunk(3, 5, 4, 7, torch.nan),
    )


def _filled_chunk(seed, batch, action_horizon, padded_dim, filler):
    """Actions whose padded dims hold `filler`, and fresh numbers."""
    dim_mask, action_is_pad = _holes((batch, padded_dim), seed), ~_holes((batch, action_horizon), seed + 10)
    actions, fresh = _draw((2, batch, action_horizon, padded_dim), seed + 20)
    return actions.masked_fill(~dim_mask[:, None], filler), fresh, dim_mask, action_is_pad


PERTURBED = Exercise(
    id="7.1",
    title="Other numbers in padding",
    task=(
        "To perturb is to change padding and nothing else. `actions` (batch, action_horizon, padded_dim; float64) is "
        "a batch whose padding may hold anything, NaN too; `fresh` (the same shape; finite) holds other numbers. "
        "`dim_mask` (batch, padded_dim; bool, True = the robot has this dim) and `action_is_pad` (batch, "
        "action_horizon; bool, LeRobot's polarity: True = padding) say what is real: an entry is if its dim *and* its "
        "step are. Return a copy of `actions` with the fresh number in every padded entry."
    ),
    minutes=4,
    difficulty=1,
    reference=perturbed,
    cases=_perturbed_cases,
    misconceptions=(
        Misconception(
            name="zeros are written",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(_joined(dim_mask, ~pad), actions, 0.0),
            message=(
                "You wrote zeros, and padding is often zero already: then nothing changed, and any policy passes. "
                "Write the fresh numbers, which are unlike what was there."
            ),
            source="a reviewer warns of 0 as padding in a test, https://github.com/apache/cassandra/pull/811",
        ),
        Misconception(
            name="NaN is written",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(_joined(dim_mask, ~pad), actions, torch.nan),
            message=(
                "You wrote NaN. A sound policy that multiplies padding by 0 answers NaN to that, so you would accuse "
                "it of a leak: ask with finite numbers first, and with NaN as a question of its own."
            ),
            source="NaN times a mask of 0, https://github.com/ecmwf/WeatherGenerator/issues/2723",
        ),
        Misconception(
            name="nothing changes",
            answer=lambda actions, fresh, dim_mask, pad: actions.clone(),
            message=(
                "You gave the same batch back. A probe that compares a run with itself passes every policy: somebody "
                "has shipped that test."
            ),
            source="the same text encoded twice, https://github.com/rohitg00/ai-engineering-from-scratch/pull/211",
        ),
        Misconception(
            name="everything changes",
            answer=lambda actions, fresh, dim_mask, pad: fresh.clone(),
            message=(
                "You changed real entries as well. Then the answer has to move, and a sound policy looks like one that "
                "leaks."
            ),
            source="our own",
        ),
        Misconception(
            name="upside down",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(_joined(dim_mask, ~pad), fresh, actions),
            message=(
                "You wrote into the real entries and kept the padding. `torch.where` takes its second argument where "
                "the first is True."
            ),
            source="the real ones filled in place of the others, https://github.com/lucidrains/halonet-pytorch/issues/4",
        ),
        Misconception(
            name="action_is_pad taken for a step mask",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(_joined(dim_mask, pad), actions, fresh),
            message=(
                "You used `action_is_pad` as if True meant real: your fresh numbers stand in the recorded steps. Turn "
                "it round with `~`."
            ),
            source="huggingface/lerobot at 7427f318, dataset_reader.py 247-256, says True = padding",
        ),
        Misconception(
            name="only padded dims",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(dim_mask[:, None], actions, fresh),
            message=(
                "You left the padded steps alone. They hold copies of the last action, and a policy that takes those "
                "for real would pass your probe."
            ),
            source="huggingface/lerobot v0.4.4, processor_groot.py 353-354: N1.5's mask is True in every step",
        ),
        Misconception(
            name="only padded steps",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(~pad[:, :, None], actions, fresh),
            message=(
                "You left the padded dims alone, so a loss that sums them passes your probe. An entry is padding if "
                "its dim is, or its step."
            ),
            source="SmolVLA's slice removed no padded dims, https://github.com/huggingface/lerobot/pull/3133",
        ),
        Misconception(
            name="only where both are padded",
            answer=lambda actions, fresh, dim_mask, pad: torch.where(
                dim_mask[:, None] | ~pad[:, :, None], actions, fresh
            ),
            message=(
                "You joined the two with `|`, so an entry of a padded dim in a recorded step stays. Real is what has a "
                "real dim *and* a real step."
            ),
            source="our own",
        ),
        Misconception(
            name="multiplied and added",
            answer=lambda actions, fresh, dim_mask, pad: (
                actions * _joined(dim_mask, ~pad) + fresh * ~_joined(dim_mask, ~pad)
            ),
            message=(
                "You took the old numbers times 0. Padding may hold NaN, and NaN times 0 is NaN: choose with "
                "`torch.where`."
            ),
            source="losses that multiply instead of choosing, https://github.com/chemprop/chemprop/issues/960",
        ),
    ),
    hints=(
        "First one mask for what is real, (batch, action_horizon, padded_dim).",
        "`dim_mask[:, None, :] & ~action_is_pad[:, :, None]`.",
        "`torch.where(real, actions, fresh)` takes from `actions` where `real` is True, and makes a new tensor.",
    ),
    lesson="Finite, unlike what was there, and in padding only: if a real answer moves now, padding moved it.",
)


# ------------------------------------------------------------------------------------------------------------- 7.2


def what_moved(before, padding_changed, real_changed, real, tolerance):
    def moves(after):
        same = (after - before).abs() <= tolerance  # False for NaN
        return (~same & real).flatten(1).any(dim=1)

    seen, could_look = moves(padding_changed), moves(real_changed)
    return torch.where(seen, 1, torch.where(could_look, 0, -1))


_STEP = 5e-3
"""How far an entry of the cases moves if it moves: five times the tolerance. What is still moves by a tenth of it."""


def _what_moved_cases():
    before, real = _float64([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[True, False], [True, False]]])
    changes = [[[0, 9], [0, 9]], [[0, 9], [-2, 9]], [[0, 9], [0, 9]]]
    control = [[[5, 0], [7, 0]], [[5, 0], [7, 0]], [[0, 0], [0, 0]]]
    by_hand = (before, before + _float64(changes)[:, None], before + _float64(control)[:, None], real, 0.5)
    return (
        by_hand,
        _asked(1, (2, 3, 5), ["still", "up", "down", "cancel", "deaf", "deaf and up", "everywhere"]),
        _asked(2, (3, 5, 4), ["large", "still", "NaN", "deaf", "up"]),
        _asked(3, (2, 7, 3), ["NaN", "NaN and up", "infinite", "down", "still"]),
        _asked(4, (5, 2, 7), ["deaf and up", "cancel", "deaf", "large", "still", "down"]),
    )


def _asked(seed, shape, looks):
    """What a policy predicts, at first and after each look; the looks are named by what its padding does."""
    real = _holes(shape, seed)
    before = _draw(shape, seed + 10)
    places = real.flatten().nonzero()[:, 0].tolist()
    large, first, second = places[0], places[3], places[-2]
    before.view(-1)[large] = 2000.0
    changed, control = [], []
    for look, name in enumerate(looks):
        rounding = _draw((2, *shape), seed + 20 + look).clamp(-1, 1) * _STEP / 50
        here, there = (before + one for one in rounding)
        here = torch.where(real, here, _draw(shape, seed + 40 + look))  # of padding a policy may say what it likes
        if look % 2:
            here[~real] = torch.nan if "NaN" in looks else 7.0
        entries = here.view(-1)
        if name in ("up", "deaf and up", "NaN and up", "cancel"):
            entries[first] = before.view(-1)[first] + _STEP
        if name in ("down", "cancel"):
            entries[second] = before.view(-1)[second] - _STEP
        if name == "large":
            entries[large] -= _STEP
        if name == "everywhere":
            here[real] = before[real] - _STEP
        if "NaN" in name:
            entries[second] = torch.nan
        if name == "infinite":
            entries[second] = -torch.inf
        if "deaf" not in name:
            there.view(-1)[first] -= 100 * _STEP
        changed.append(here)
        control.append(there)
    return before, torch.stack(changed), torch.stack(control), real, _STEP / 5


def _by(moves, says=lambda seen, could_look: torch.where(seen, 1, torch.where(could_look, 0, -1)), finite_only=False):
    """A wrong answer: `moves(change, before, after, real, tolerance)` for each look, and what it says of both."""

    def answer(before, padding_changed, real_changed, real, tolerance):
        if finite_only and not padding_changed[:, real].isfinite().all():
            return ...  # what happens there depends on how the mistake is written
        looked = (moves(after - before, before, after, real, tolerance) for after in (padding_changed, real_changed))
        return says(*looked)

    return answer


def _rightly(change, before, after, real, tolerance):
    return (~(change.abs() <= tolerance) & real).flatten(1).any(dim=1)


WHAT_MOVED = Exercise(
    id="7.2",
    title="Did anything real move?",
    task=(
        "A policy was asked several times about the same batch. `before` (batch, action_horizon, padded_dim; float64, "
        "finite) is what it predicts at first. Each look then asks twice: `padding_changed` (looks, batch, "
        "action_horizon, padded_dim) is what it predicts once padding holds other numbers, `real_changed` (the same "
        "shape) once *real* entries do, which is the control. `real` (batch, action_horizon, padded_dim; bool) says "
        "which predictions count. One of them moves if it differs by more than `tolerance` (a float), either way, or "
        "is no number at all: NaN. Return for each look (looks; int64) 1 if a real prediction moves with padding; "
        "otherwise 0 = nothing moved, if some real prediction moves in the control, and -1 = could not look, if none "
        "does."
    ),
    minutes=7,
    difficulty=3,
    reference=what_moved,
    cases=_what_moved_cases,
    misconceptions=(
        Misconception(
            name="NaN is not larger than anything",
            answer=_by(lambda change, before, after, real, tol: ((change.abs() > tol) & real).flatten(1).any(1)),
            message=(
                "NaN passes your probe: every comparison with NaN is False, `>` as well. Ask the other way round, "
                "whether all is *within* the tolerance, and let everything else be a movement."
            ),
            source="tests that NaN passed, https://github.com/ralna/RALFit/issues/138",
        ),
        Misconception(
            name="one NaN hides the others",
            answer=_by(lambda change, before, after, real, tol: change.abs()[:, real].amax(1) > tol),
            message=(
                "You took the largest change, and beside a NaN the largest *is* NaN. It is not above the tolerance, "
                "and it hides the entries that moved as well."
            ),
            source="a norm that may be NaN, held against a tolerance, https://github.com/OpenFAST/openfast/issues/1156",
        ),
        Misconception(
            name="only upwards",
            answer=_by(
                lambda change, before, after, real, tol: ((change > tol) & real).flatten(1).any(1), finite_only=True
            ),
            message=(
                "You look at changes upwards only: a prediction that falls passes. Take `abs()` before you compare."
            ),
            source="Horovod's tests had no absolute value, https://github.com/horovod/horovod/issues/2055",
        ),
        Misconception(
            name="the mean of the changes",
            answer=_by(lambda change, before, after, real, tol: change.abs()[:, real].mean(1) > tol, finite_only=True),
            message=(
                "You compared a mean with the tolerance, and one entry that moves drowns among all that stand still. "
                "A leak may reach one dim of one robot: look at the largest change."
            ),
            source="a mean that became a maximum, https://github.com/meta-pytorch/BackendBench/pull/132",
        ),
        Misconception(
            name="up and down cancel",
            answer=_by(lambda change, before, after, real, tol: change[:, real].sum(1).abs() > tol, finite_only=True),
            message=(
                "You added the changes up before you took `abs()`: what rises makes up for what falls. Entry by entry, "
                "please."
            ),
            source="our own",
        ),
        Misconception(
            name="every entry has to move",
            answer=_by(lambda change, before, after, real, tol: (change.abs() > tol)[:, real].all(1), finite_only=True),
            message="You call it a movement only if *all* real predictions move. One is enough: `any`, not `all`.",
            source="our own",
        ),
        Misconception(
            name="padding is compared too",
            answer=_by(lambda change, before, after, real, tol: (~(change.abs() <= tol)).flatten(1).any(1)),
            message=(
                "You compared what is predicted for padding as well. Nobody reads that, and a sound policy may say "
                "there what it likes."
            ),
            source="a difference that was all in padding, https://github.com/RVC-Boss/GPT-SoVITS/pull/2034",
        ),
        Misconception(
            name="padding times 0",
            answer=_by(lambda change, before, after, real, tol: (~((change * real).abs() <= tol)).flatten(1).any(1)),
            message=(
                "You multiplied the changes by the mask. Where the prediction for padding is NaN that gives NaN, not "
                "0, and you accuse a sound policy: choose with `&`, or with `torch.where`."
            ),
            source="NaN times a mask of 0, https://github.com/ecmwf/WeatherGenerator/issues/2723",
        ),
        Misconception(
            name="a tolerance that grows with the number",
            answer=_by(
                lambda change, before, after, real, tol: (
                    (~torch.isclose(after, before.expand_as(after), atol=tol) & real).flatten(1).any(1)
                )
            ),
            message=(
                "`torch.isclose` and `torch.allclose` bring a second tolerance of their own, `rtol`, a part of the "
                "number itself: a large one may move further. Set `rtol=0`."
            ),
            source="a wrong kernel passed by such a tolerance, https://github.com/InfiniTensor/InfiniCore/pull/220",
        ),
        Misconception(
            name="the control is not asked",
            answer=_by(_rightly, lambda seen, could_look: seen.long()),
            message=(
                "You say *nothing moved* of looks in which nothing could have moved: there the real entries do not "
                "reach the answer either. That is no acquittal: -1."
            ),
            source="a mask that had no effect, found by trying several, https://github.com/theislab/CellFlow/issues/226",
        ),
        Misconception(
            name="the control has the last word",
            answer=_by(_rightly, lambda seen, could_look: torch.where(could_look, seen.long(), -1)),
            message=(
                "You say *could not look* where padding did move the answer and what is real did not. That is the "
                "worst leak of all, a mask upside down: 1, whatever the control says."
            ),
            source="padding is read, and nothing else, https://github.com/lucidrains/halonet-pytorch/issues/4",
        ),
    ),
    hints=(
        "First for one of the two: which looks have a real prediction that moves? You need that twice.",
        "`(after - before).abs() <= tolerance` is True where nothing moves, and False for NaN. Its opposite, where "
        "`real`, in `any` entry of a look: `flatten(1).any(dim=1)`.",
        "`torch.where(seen, 1, torch.where(could_look, 0, -1))`.",
    ),
    lesson="NaN cannot pass, and what could not be seen is not called clean.",
)


# ------------------------------------------------------------------------------------------------------------- 7.3


def each_alone(tokens, real):
    return tuple(one[here] for one, here in zip(tokens, real, strict=True))


def _each_alone_cases():
    return (
        (_float64([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]]), _bools("011 101")),
        (_draw((3, 7, 2), 31), _bools("0001111 1110000 0110110")),
        (_draw((2, 5, 3), 32), _bools("10010 11111")),
        (_draw((5, 11, 4), 33), _holes((5, 11), 34)),
        (_draw((4, 6, 3), 35), _bools("000011 001111 000110 010101")),
    )


def _of_each(cut):
    """A wrong answer: what is left of each sample, `cut(tokens of one, its mask, all masks)`."""
    return lambda tokens, real: tuple(cut(one, here, real) for one, here in zip(tokens, real, strict=True))


def _first_to_last(one, here, real):
    places = here.nonzero()[:, 0]
    return one[places[0] : places[-1] + 1]


EACH_ALONE = Exercise(
    id="7.3",
    title="Each sample alone",
    task=(
        "To compact is to ask about each sample alone, without its padding. `tokens` (batch, key_len, width; float64) "
        "and `real` (batch, key_len; bool, True = a real token) come from a batch that may be padded on the left, on "
        "the right, or have holes, where a camera is absent; every sample has a real token. Return a tuple with a "
        "tensor for each sample (its real tokens, width; float64), tokens in the order in which they stand."
    ),
    minutes=3,
    difficulty=1,
    reference=each_alone,
    cases=_each_alone_cases,
    misconceptions=(
        Misconception(
            name="padding is taken to be on the right",
            answer=_of_each(lambda one, here, real: one[: here.sum()]),
            message=(
                "You counted the real tokens and took so many from the left. Prompts that are padded on the left lose "
                "their tokens and keep padding: ask the mask where they stand, not how many they are."
            ),
            source="a mask made by stripping what trails, 30 models with left padding, "
            "https://github.com/NVIDIA-NeMo/Automodel/pull/3704",
        ),
        Misconception(
            name="padding is taken to be on the left",
            answer=_of_each(lambda one, here, real: one[len(here) - here.sum() :]),
            message=(
                "You counted the real tokens and took so many from the right. That is right while all padding stands "
                "on the left, and an absent camera is a hole."
            ),
            source="our own",
        ),
        Misconception(
            name="holes stay",
            answer=_of_each(_first_to_last),
            message=(
                "You cut from the first real token to the last, so the holes in between are still there. An absent "
                "camera is one."
            ),
            source="padding in the middle, https://github.com/kaistAI/LangBridge/issues/2",
        ),
        Misconception(
            name="cut like the first sample",
            answer=_of_each(lambda one, here, real: one[real[0]]),
            message=("You cut all samples by the first one's mask. Each has its own, `real[sample]`."),
            source="the first image's size for all, https://github.com/liusida/ComfyUI-AutoCropFaces/issues/9",
        ),
        Misconception(
            name="as short as the shortest",
            answer=_of_each(lambda one, here, real: one[here][: real.sum(1).min()]),
            message=(
                "You cut all samples to the length of the shortest, and threw real tokens away. They need not be of "
                "one length: they are asked one by one."
            ),
            source="training on the shortest length of each batch, https://github.com/yl4579/StyleTTS2/issues/290",
        ),
        Misconception(
            name="only the padding that all share",
            answer=_of_each(lambda one, here, real: one[real.any(0)]),
            message=(
                "You cut the columns in which nobody has a token. That saves work in a batch; a sample that is shorter "
                "than the longest keeps its padding."
            ),
            source="what a batch may drop, https://github.com/sb-ai-lab/RePlay/pull/98",
        ),
        Misconception(
            name="zeros, not cut",
            answer=_of_each(lambda one, here, real: one * here[:, None]),
            message=(
                "You wrote zeros into padding, and it is still there. A zero token is read like any other (chapter 4): "
                "take it out."
            ),
            source="the guess of the note this book began with, that padding may be zero already",
        ),
        Misconception(
            name="all in one row",
            answer=lambda tokens, real: tokens[real],
            message=(
                "You gave the real tokens of all samples in one row. A policy would let them read each other; each "
                "sample is a tensor of its own."
            ),
            source="images in one sequence without a mask between them, "
            "https://github.com/mistralai/mistral-inference/pull/218",
        ),
        Misconception(
            name="still a batch of one",
            answer=_of_each(lambda one, here, real: one[here][None]),
            message="You kept an axis for the batch. A policy may want it; here a sample is (its real tokens, width).",
            source="our own",
        ),
        Misconception(
            name="the padding is kept",
            answer=_of_each(lambda one, here, real: one[~here]),
            message="You kept the padding and took the tokens out: True means real. Leave the `~` away.",
            source="our own",
        ),
    ),
    hints=(
        "One sample first: which of its tokens stay?",
        "A bool mask between the brackets takes the places where it is True: `tokens[0][real[0]]`.",
        "The same for each sample, in a tuple: `tuple(... for ... in zip(tokens, real))`.",
    ),
    lesson="A sample alone needs no mask, so none can be wrong: what differs in the batch is the mask's doing.",
)


# ------------------------------------------------------------------------------------------------------------- 7.4


def read_gradient(gradient, action_mask):
    broken = ~gradient.isfinite()
    counts = (gradient != 0) & ~broken
    leaked = counts & ~action_mask
    lost = ~counts & ~broken & action_mask
    return torch.stack([kind.sum(dim=(1, 2)) for kind in (leaked, lost, broken)], dim=1)


def _read_gradient_cases():
    by_hand = (
        _float64([[[0.5, -0.1, 0.0], [0.0, 0.2, 1e-9]], [[torch.nan, 0.1, 0.0], [0.3, -0.1, 0.0]]]),
        torch.tensor([[[True, True, False], [True, True, False]], [[True, True, False], [True, False, False]]]),
    )
    return (by_hand, _gradients(41, 3, 4, 5), _gradients(42, 2, 7, 3), _gradients(43, 5, 3, 7))


def _gradients(seed, batch, action_horizon, padded_dim):
    """A third of the entries is 0, most others tiny or ordinary, some no number; real or padded as it comes."""
    shape = (batch, action_horizon, padded_dim)
    values = _draw(shape, seed) * 10.0 ** torch.randint(-9, 1, shape, generator=_generator(seed + 10))
    kind = torch.rand(shape, generator=_generator(seed + 20))
    values = values.masked_fill(kind < 0.35, 0.0).masked_fill(kind > 0.85, torch.nan)
    values = values.masked_fill(kind > 0.92, -torch.inf)
    return values, torch.rand(shape, generator=_generator(seed + 30)) < 0.5


def _three(answer):
    """A wrong answer that sorts entries: `answer(gradient, action_mask)` gives three masks."""
    return lambda gradient, action_mask: torch.stack(
        [kind.sum(dim=(1, 2)) for kind in answer(gradient, action_mask)], dim=1
    )


def _sorted_by(counts, broken, action_mask):
    counts = counts & ~broken
    return counts & ~action_mask, ~counts & ~broken & action_mask, broken


READ_GRADIENT = Exercise(
    id="7.4",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
    title="What the gradient says",
    task=(
        "`gradient` (batch, action_horizon, padded_dim; float64) is how the loss of each entry's prediction changes "
        "with it, taken at a prediction that is wrong in every entry; so an entry has a gradient of exactly 0 if and "
        "only if it does not count. `action_mask` (the same shape; bool, True = real) says which should. Return for "
        "each sample three numbers (batch, 3; int64): how many entries *leak*, padding with a gradient; how many are "
        "*lost*, real entries without one; and how many are *broken*, real or not: NaN or infinite. A broken entry is "
        "neither leaked nor lost."
    ),
    minutes=5,
    difficulty=2,
    reference=read_gradient,
    cases=_read_gradient_cases,
    misconceptions=(
        Misconception(
            name="nobody looks for what is lost",
            answer=_three(
                lambda gradient, mask: (
                    (gradient != 0) & gradient.isfinite() & ~mask,
                    mask & False,
                    ~gradient.isfinite(),
                )
            ),
            message=(
                "Your second column is 0: you asked whether padding gets in, and not whether what is real does. A mask "
                "can hide too much, and the loss looks the better for it."
            ),
            source="an official example hid too much, https://github.com/keras-team/keras-io/pull/1046",
        ),
        Misconception(
            name="padding without a gradient is lost",
            answer=_three(
                lambda gradient, mask: (
                    (gradient != 0) & gradient.isfinite() & ~mask,
                    gradient == 0,
                    ~gradient.isfinite(),
                )
            ),
            message="You count padding among what is lost. It should have none: only *real* entries can be lost.",
            source="our own",
        ),
        Misconception(
            name="only upwards",
            answer=_three(lambda gradient, mask: _sorted_by(gradient > 0, ~gradient.isfinite(), mask)),
            message=(
                "You took a negative gradient for none. The sign says which way the prediction should go; an entry "
                "counts if its gradient is not 0."
            ),
            source="a test without an absolute value, https://github.com/horovod/horovod/issues/2055",
        ),
        Misconception(
            name="small is taken for none",
            answer=_three(lambda gradient, mask: _sorted_by(gradient.abs() > 1e-8, ~gradient.isfinite(), mask)),
            message=(
                "You set a threshold, as `torch.isclose` does too. A gradient is divided by the number of entries and "
                "may be as small as you like; what does not count has exactly 0."
            ),
            source="our own; 1e-8 is the `atol` of `torch.isclose`",
        ),
        Misconception(
            name="NaN is not 0, so it counts",
            answer=_three(
                lambda gradient, mask: ((gradient != 0) & ~mask, (gradient == 0) & mask, ~gradient.isfinite())
            ),
            message=(
                "Broken entries of padding stand in your first column as well: NaN is not 0, and infinity is not. Sort "
                "them out before you compare with 0."
            ),
            source="NaN in the gradient of what a mask hides, https://github.com/pytorch/pytorch/issues/64305",
        ),
        Misconception(
            name="NaN is not above 0, so it is lost",
            answer=_three(
                lambda gradient, mask: (
                    (gradient.abs() > 0) & gradient.isfinite() & ~mask,
                    ~(gradient.abs() > 0) & mask,
                    ~gradient.isfinite(),
                )
            ),
            message=(
                "NaN of a real entry stands in your second column as well: it is not above 0, as it is not above "
                "anything. Sort it out first."
            ),
            source="every comparison with NaN is False, https://github.com/ralna/RALFit/issues/138",
        ),
        Misconception(
            name="infinity is a number",
            answer=_three(lambda gradient, mask: _sorted_by(gradient != 0, gradient.isnan(), mask)),
            message="You looked for NaN only. Infinity is broken too: `isfinite` is False for both.",
            source="our own",
        ),
        Misconception(
            name="broken padding does no harm",
            answer=_three(
                lambda gradient, mask: (
                    (gradient != 0) & gradient.isfinite() & ~mask,
                    (gradient == 0) & mask,
                    ~gradient.isfinite() & mask,
                )
            ),
            message=(
                "You let NaN pass in padding. The gradients of all entries meet in the same weights, and one NaN makes "
                "all of them NaN, while the loss may be finite."
            ),
            source="a finite loss with a gradient of NaN, https://github.com/pytorch/pytorch/issues/64305",
        ),
        Misconception(
            name="upside down",
            answer=lambda gradient, mask: read_gradient(gradient, ~mask),
            message="You took padding for real: your leaks are the real entries that count. True means real.",
            source="a mask read the wrong way, https://github.com/lucidrains/halonet-pytorch/issues/4",
        ),
    ),
    hints=(
        "Three kinds of entries, and each is a mask. Begin with the broken ones: `~gradient.isfinite()`.",
        "What counts has `gradient != 0` and is not broken. Leaked: counts, and is not real. Lost: real, does not "
        "count, is not broken.",
        "Sum each over `dim=(1, 2)` and put the three side by side: `torch.stack([...], dim=1)`.",
    ),
    lesson="One backward pass asks both questions: does padding count, and does everything that is real?",
)


# ------------------------------------------------------------------------------------------------------------- 7.5


@dataclass(frozen=True)
class Loss:
    """A loss of a batch, to be called with a prediction. Two of one name are the same."""

    name: str
    of: Callable[[Tensor], Tensor] = field(compare=False)

    def __call__(self, prediction: Tensor) -> Tensor:
        return self.of(prediction)

    def __repr__(self) -> str:
        return f"a loss, {self.name}"


def unit_errors(target, action_mask, loss_of):
    without = loss_of(target)
    everywhere = torch.ones_like(action_mask)
    return torch.stack([loss_of(target + where) - without for where in (everywhere, action_mask, ~action_mask)])


def _unit_errors_cases():
    return (
        _bound("masked, then the mean over all entries", 1, _bools("110"), _bools("101")),
        _bound("as it should be", 2, _holes((2, 5), 51), _holes((2, 3), 52), penalty=0.25),
        _bound("steps counted, entries summed", 3, _holes((3, 4), 53), _holes((3, 7), 54)),
        _bound("copies count as real", 4, _holes((2, 7), 55), _holes((2, 4), 56), penalty=0.125),
        _bound("a slice that removes nothing", 5, _holes((5, 3), 57), _holes((5, 4), 58)),
        _bound("all robots cut to the shortest", 6, _bools("1100 1111 1010"), _holes((3, 5), 59), penalty=2.0),
        _bound("as it should be", 7, _holes((3, 5), 60), _holes((3, 3), 61), power=1),
    )


def _mean_over(where):
    return where, where.sum()


_SUMS_AND_DIVISORS = {
    "as it should be": lambda real, dims, steps: _mean_over(real),
    "masked, then the mean over all entries": lambda real, dims, steps: (real, real.numel()),
    "steps counted, entries summed": lambda real, dims, steps: (real, steps.sum()),
    "copies count as real": lambda real, dims, steps: _mean_over(dims[:, None].expand_as(real)),
    "a slice that removes nothing": lambda real, dims, steps: _mean_over(steps[:, :, None].expand_as(real)),
    "all robots cut to the shortest": lambda real, dims, steps: _mean_over(real & dims.all(0)),
}


def _bound(name, seed, dim_mask, step_mask, penalty=0.0, power=2):
    """A case: a target, its mask, and the loss of that name."""
    real = _joined(dim_mask, step_mask)
    target = 2 + _draw(real.shape, seed + 60)
    summed, divisor = _SUMS_AND_DIVISORS[name](real, dim_mask, step_mask)

    def of(prediction):
        return ((prediction - target).abs() ** power * summed).sum() / divisor + penalty

    return target, real, Loss(name, of)


UNIT_ERRORS = Exercise(
    id="7.5",
    title="An error of 1",
    task=(
        "`loss_of` is a function: from a prediction (batch, action_horizon, padded_dim; float64) to a loss, a tensor "
        "without axes. It compares with `target` (the same shape); a weight penalty, which does not depend on the "
        "prediction, may be in it. `action_mask` (the same shape; bool, True = real) says what should count. Return "
        "how much each of three predictions adds to the loss of a perfect one (3; float64): one that is off by 1 in "
        "*every* entry, one that is off by 1 in the real entries only, and one in the padded entries only; all of "
        "them are perfect elsewhere."
    ),
    minutes=5,
    difficulty=2,
    reference=unit_errors,
    cases=_unit_errors_cases,
    misconceptions=(
        Misconception(
            name="the penalty stays in",
            answer=lambda target, mask, loss_of: torch.stack(
                [loss_of(target + where) for where in (torch.ones_like(mask), mask, ~mask)]
            ),
            message=(
                "You did not take off what the loss is without any error, so a weight penalty looks like a wrong "
                "denominator. Ask at the target too, and subtract."
            ),
            source="an auxiliary loss that was in the number already, "
            "https://github.com/microsoft/protein-frame-flow/issues/23",
        ),
        Misconception(
            name="off by 1 from zero",
            answer=lambda target, mask, loss_of: torch.stack(
                [loss_of(where.double()) - loss_of(target) for where in (torch.ones_like(mask), mask, ~mask)]
            ),
            message=(
                "You predicted ones. The error is the *difference* from the target: predict the target, and 1 more."
            ),
            source="our own",
        ),
        Misconception(
            name="compared with a prediction of zero",
            answer=lambda target, mask, loss_of: torch.stack(
                [
                    loss_of(target + where) - loss_of(torch.zeros_like(target))
                    for where in (torch.ones_like(mask), mask, ~mask)
                ]
            ),
            message="You took off the loss of a prediction of zeros. The perfect prediction is the target.",
            source="our own",
        ),
        Misconception(
            name="zero elsewhere",
            answer=lambda target, mask, loss_of: torch.stack(
                [
                    loss_of(torch.where(where, target + 1, 0.0)) - loss_of(target)
                    for where in (torch.ones_like(mask), mask, ~mask)
                ]
            ),
            message=(
                "Where there should be no error you predicted 0, and the target is not 0 there: that is an error. "
                "Predict the target."
            ),
            source="our own",
        ),
        Misconception(
            name="padding is never wrong",
            answer=lambda target, mask, loss_of: torch.stack(
                [loss_of(target + where) - loss_of(target) for where in (mask, mask, mask & False)]
            ),
            message=(
                "You made errors in real entries only. A loss that counts padding as well, above the line and below "
                "it, then looks like one that is too small: the error has to be everywhere."
            ),
            source="an error of 1, but for the padding, https://github.com/keras-team/keras/issues/6825",
        ),
        Misconception(
            name="real and padded swapped",
            answer=lambda target, mask, loss_of: unit_errors(target, ~mask, loss_of),
            message="Your last two numbers are the wrong way round: True means real.",
            source="our own",
        ),
        Misconception(
            name="parts of the whole",
            answer=lambda target, mask, loss_of: (
                unit_errors(target, mask, loss_of) / unit_errors(target, mask, loss_of)[0]
            ),
            message=(
                "You divided by the first number. What part of it padding makes is a good question; here we want "
                "the numbers themselves."
            ),
            source="our own; the auditor reports the part",
        ),
        Misconception(
            name="what it should be",
            answer=lambda target, mask, loss_of: _float64([1.0, 1.0, 0.0]),
            message=(
                "That is what a sound loss gives, whatever the loss. Ask the one that you were handed: some of these "
                "are not sound."
            ),
            source="a test plan that any larger loss would have passed, "
            "https://github.com/huggingface/lerobot/pull/3377",
        ),
    ),
    hints=(
        "A perfect prediction is the target itself. What does the loss say then? That is not always 0.",
        "`target + action_mask` is off by 1 in the real entries: True counts as 1.",
        "`loss_of(target + where) - loss_of(target)`, with everything, the mask, and `~action_mask` for `where`; "
        "`torch.stack` makes one tensor of three.",
    ),
    lesson="A sound loss says 1, 1, 0. One that leaves real entries out says so too: that is the gradient's question.",
)


# ------------------------------------------------------------------------------------------------------------- 7.6


def can_show(dim_mask, step_mask, token_mask):
    dims = dim_mask.sum(dim=1)
    return torch.stack(
        [
            (~dim_mask).any(),
            (~step_mask).any(),
            (~token_mask).any(),
            (token_mask != token_mask[0]).any(),
            (dims != dims[0]).any(),
            (~token_mask).all(dim=1).any(),
        ]
    )


def _can_show_cases():
    batches = (
        ("110 111", "11 10", "0011 0111"),
        ("111 111", "1110 1100", "011 011"),
        ("110 011 101", "11111 11111 11111", "1101 1011 1101"),
        ("11100 11111", "111 111", "1111 1111"),
        ("1100 1100", "110 111", "00000 00111"),
        ("1010", "1000", "01"),
        ("1111", "111", "111111"),
        ("11 11 11 11", "10 11 11 11", "111 111 111 110"),
        ("1101 1011 1110", "1111 1110 1100", "000 000 000"),
        ("110 100 110", "11 11 11", "11011 11011 11011"),
        ("10 10 11", "1 1 1", "1111 1111 0000"),
    )
    return tuple(tuple(map(_bools, batch)) for batch in batches)


def _but(columns):
    """A wrong answer: the right one, but for some columns."""

    def answer(dim_mask, step_mask, token_mask):
        shows = can_show(dim_mask, step_mask, token_mask)
        for number, column in columns.items():
            shows[number] = column(dim_mask, step_mask, token_mask)
        return shows

    return answer


def _somewhere(dim_mask, step_mask, token_mask):
    return any((~mask).any() for mask in (dim_mask, step_mask, token_mask))


CAN_SHOW = Exercise(
    id="7.6",
    unaffected_by=("axes 0 and 1 of `step_mask` are swapped",),
    title="Could this batch show it?",
    task=(
        "A probe sees a bug only in a batch in which the bug does something. `dim_mask` (batch, padded_dim), "
        "`step_mask` (batch, action_horizon) and `token_mask` (batch, key_len), all bool, True = real, describe a "
        "batch. Every sample has a real dim and a real step; there may be only one sample. Return for six bugs whether "
        "this batch can show them (6; bool). Numbers 0, 1, 2, 3 and 5 are looked for by perturbing padding. 0: the "
        "loss never masks dims. 1: the loss never masks steps. 2: cross-attention reads every token. 3: it has two "
        "heads or more, and their token masks are repeated in the wrong order, so some heads read by another sample's "
        "mask. 5: hidden scores are -1e6 and not minus infinity, so a sample without any real token reads the mean of "
        "its padding. Number 4 is looked for by compacting, the batch's loss beside the mean of its samples' losses "
        "alone, weighted by their numbers of real entries: the loss sums entries and divides by the number of "
        "recorded *steps*."
    ),
    minutes=8,
    difficulty=3,
    reference=can_show,
    cases=_can_show_cases,
    misconceptions=(
        Misconception(
            name="any padding shows anything",
            answer=_but({0: _somewhere, 1: _somewhere, 2: _somewhere}),
            message=(
                "You let padding of any kind show the first three bugs. A loss that forgets dims is right in a batch "
                "without padded dims, whatever its steps: each bug needs its own kind."
            ),
            source="a slice that does nothing, and harm only where dims are padded, "
            "https://github.com/huggingface/lerobot/pull/3133",
        ),
        Misconception(
            name="every sample needs padding",
            answer=_but(
                {
                    0: lambda dims, steps, tokens: (~dims).any(1).all(),
                    1: lambda dims, steps, tokens: (~steps).any(1).all(),
                    2: lambda dims, steps, tokens: (~tokens).any(1).all(),
                }
            ),
            message=(
                "You want padding in *every* sample. One padded entry anywhere is enough for a probe that looks at the "
                "largest change."
            ),
            source="our own",
        ),
        Misconception(
            name="what is real shows it",
            answer=_but(
                {
                    0: lambda dims, steps, tokens: dims.any(),
                    1: lambda dims, steps, tokens: steps.any(),
                    2: lambda dims, steps, tokens: tokens.any(),
                }
            ),
            message=(
                "You asked whether anything is real. The first three bugs need *padding*, and True means real: turn "
                "the masks round."
            ),
            source="a mask read the wrong way, https://github.com/lucidrains/halonet-pytorch/issues/4",
        ),
        Misconception(
            name="two samples are enough",
            answer=_but({3: lambda dims, steps, tokens: len(tokens) > 1}),
            message=(
                "Bug 3: in a batch of one the two orders are the same, that is true. They are as well if all samples "
                "have the *same* mask: whose it is makes no difference then."
            ),
            source="the same for a batch of one, https://github.com/line/lighthouse/pull/77",
        ),
        Misconception(
            name="padded tokens are enough",
            answer=_but({3: lambda dims, steps, tokens: (~tokens).any()}),
            message=(
                "Bug 3 shows if a head reads a token that *its own* sample does not have. If all are padded alike, the "
                "other sample's mask hides the same tokens."
            ),
            source="a mask that fits all heads while the batch is one sample, "
            "https://github.com/lucidrains/graph-transformer-pytorch/pull/2",
        ),
        Misconception(
            name="lengths are compared",
            answer=_but({3: lambda dims, steps, tokens: (tokens.sum(1) != tokens[0].sum()).any()}),
            message=(
                "Bug 3: you compared how many tokens the samples have. Two samples may have as many, in other places: "
                "one misses its first camera, another its second."
            ),
            source="our own",
        ),
        Misconception(
            name="padded dims are enough",
            answer=_but({4: lambda dims, steps, tokens: (~dims).any()}),
            message=(
                "Bug 4: if all robots have equally many dims, the loss is too large by one factor everywhere, alone "
                "and in the batch, and compacting finds no difference. That is what the unit error is for."
            ),
            source="our own; the bug is that of https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="masks are compared, not numbers",
            answer=_but({4: lambda dims, steps, tokens: (dims != dims[0]).any()}),
            message=(
                "Bug 4 divides wrongly by the *number* of dims. Two robots with other dims, but equally many, do not "
                "show it."
            ),
            source="our own",
        ),
        Misconception(
            name="it takes other steps",
            answer=_but({4: lambda dims, steps, tokens: (steps.sum(1) != steps[0].sum()).any()}),
            message=(
                "Bug 4 counts steps, and counts them rightly. What it forgets is the number of *dims* of each step, so "
                "robots with more and with fewer have to meet."
            ),
            source="`mask.sum()` counts steps, and the sum runs over dims, "
            "https://github.com/huggingface/lerobot/pull/3377",
        ),
        Misconception(
            name="padded tokens show the fill",
            answer=_but({5: lambda dims, steps, tokens: (~tokens).any()}),
            message=(
                "Bug 5: beside one real token a score of -1e6 is as good as minus infinity. It takes a sample that has "
                "*nothing* to read."
            ),
            source="zero valid length, https://github.com/d2l-ai/d2l-en/pull/2423",
        ),
        Misconception(
            name="all prompts have to be empty",
            answer=_but({5: lambda dims, steps, tokens: (~tokens).all()}),
            message="Bug 5: you want every sample without tokens. One is enough: `all` along a row, `any` over rows.",
            source="our own",
        ),
    ),
    hints=(
        "Bugs 0, 1 and 2: is there a padded entry of that kind, anywhere?",
        "Bug 3: do two samples' masks differ? Hold all against the first, `token_mask[0]`. Bug 5: is there a row "
        "without any True?",
        "Bug 4: with d dims for everybody, the wrong loss is d times the right one, alone or not. So it shows if the "
        "numbers of dims, `dim_mask.sum(dim=1)`, are not all alike.",
    ),
    lesson="No probe sees what its batch cannot show: padded everywhere, no two samples alike, and one with an empty "
    "prompt.",
)

EXERCISES = (PERTURBED, WHAT_MOVED, EACH_ALONE, READ_GRADIENT, UNIT_ERRORS, CAN_SHOW)
