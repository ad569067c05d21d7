"""Exercises about silent mask bugs: the four probes, written by hand, and the batch that they need."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, generator, holes, normal, numbers

TITLE = "Would you have caught it?"


def _perturbed_cases():
    def chunk(seed, batch, action_horizon, padded_dim, filler):
        dim_mask, action_is_pad = holes((batch, padded_dim), seed), ~holes((batch, action_horizon), seed + 10)
        actions, fresh = normal((2, batch, action_horizon, padded_dim), seed + 20)
        return actions.masked_fill(~dim_mask[:, None], filler), fresh, dim_mask, action_is_pad

    by_hand = numbers([[[1, 2, 0], [1, 2, 0]]]), numbers([[[11, 12, 13], [14, 15, 16]]]), bools("110"), bools("01")
    return by_hand, chunk(1, 2, 3, 5, torch.nan), chunk(2, 3, 7, 4, 0.0), chunk(3, 5, 4, 7, torch.nan)


@exercise(
    "bugs.1",
    minutes=4,
    difficulty=1,
    cases=_perturbed_cases,
    hints=(
        "First one mask for what is real, (batch, action_horizon, padded_dim).",
        "`dim_mask[:, None, :] & ~action_is_pad[:, :, None]`.",
        "`torch.where(real, actions, fresh)` takes from `actions` where `real` is True, and makes a new tensor.",
    ),
    lesson="Finite, unlike what was there, and in padding only: if a real answer moves now, padding moved it.",
)
def perturbed(actions, fresh, dim_mask, action_is_pad):
    """Other numbers in padding

    To perturb is to change padding and nothing else. `actions` (batch, action_horizon, padded_dim; float64) is a batch
    whose padding may hold anything, NaN too; `fresh` (the same shape; finite) holds other numbers. `dim_mask` (batch,
    padded_dim; bool, True = the robot has this dim) and `action_is_pad` (batch, action_horizon; bool, LeRobot's
    polarity: True = padding) say what is real: an entry is if its dim *and* its step are. Return a copy of `actions`
    with the fresh number in every padded entry."""
    real = dim_mask[:, None, :] & ~action_is_pad[:, :, None]
    return torch.where(real, actions, fresh)


@perturbed.mistake("zeros are written")
def _(actions, fresh, dim_mask, action_is_pad):
    """You wrote zeros, and padding is often zero already: then nothing changed, and any policy passes. Write the fresh
    numbers, which are unlike what was there.
    Source: a reviewer warns of 0 as padding in a test, https://github.com/apache/cassandra/pull/811"""
    return perturbed(actions, torch.zeros_like(fresh), dim_mask, action_is_pad)


@perturbed.mistake("NaN is written")
def _(actions, fresh, dim_mask, action_is_pad):
    """You wrote NaN. A sound policy that multiplies padding by 0 answers NaN to that, so you would accuse it of a leak:
    ask with finite numbers first, and with NaN as a question of its own.
    Source: NaN times a mask of 0, https://github.com/ecmwf/WeatherGenerator/issues/2723"""
    return perturbed(actions, torch.full_like(fresh, torch.nan), dim_mask, action_is_pad)


perturbed.mistake(bugs.is_pad_for_real)(lambda actions, fresh, dims, pad: perturbed(actions, fresh, dims, ~pad))


def _what_moved_cases():
    def asked(seed, shape, *looks):
        """For each look what its padding adds to the first real predictions, and what the control adds to the last."""
        real, before = holes(shape, seed), normal(shape, seed + 10)
        places = real.flatten().nonzero()[:, 0]
        before.view(-1)[places[1]] = 2000.0
        after = before + 1e-4 * normal((2, len(looks), *shape), seed + 20).clamp(-1, 1)
        after[0, ::2][:, ~real], after[0, 1::2][:, ~real] = torch.nan, 7.0  # a policy may say there what it likes
        for look, (added, control) in enumerate(looks):
            after.view(2, len(looks), -1)[0, look, places[: len(added)]] += numbers(added)
            after.view(2, len(looks), -1)[1, look, places[-1]] += control
        return before, *after, real, 1e-3

    before, up, nan = numbers([[[1, 2], [3, 4]]]), 5e-3, torch.nan
    changes = numbers([[[[0, 9], [0, 9]]], [[[0, 9], [-2, 9]]], [[[0, 9], [0, 9]]]])
    control = numbers([[[[5, 0], [7, 0]]], [[[5, 0], [7, 0]]], [[[0, 0], [0, 0]]]])
    return (
        (before, before + changes, before + control, bools("10 10")[None], 0.5),
        asked(1, (2, 3, 5), ([], 1), ([up], 1), ([-up], -1), ([up, -up], 1), ([], 0), ([up], 0), ([-up] * 4, 1)),
        asked(2, (3, 5, 4), ([0, -up], 1), ([], -1), ([nan], 1), ([], 0), ([up], -1)),
        asked(3, (2, 7, 3), ([nan], 0), ([nan, up], 1), ([-torch.inf], 1), ([-up], 1), ([], 1)),
    )


@exercise(
    "bugs.2",
    minutes=7,
    difficulty=3,
    cases=_what_moved_cases,
    hints=(
        "First for one of the two: which looks have a real prediction that moves? You need that twice.",
        "`(after - before).abs() <= tolerance` is True where nothing moves, and False for NaN. Its opposite, where "
        "`real`, in `any` entry of a look: `flatten(1).any(dim=1)`.",
        "`torch.where(seen, 1, torch.where(could_look, 0, -1))`.",
    ),
    lesson="NaN cannot pass, and what could not be seen is not called clean.",
)
def what_moved(before, padding_changed, real_changed, real, tolerance):
    """Did anything real move?

    A policy was asked several times about the same batch. `before` (batch, action_horizon, padded_dim; float64, finite)
    is what it predicts at first. Each look then asks twice: `padding_changed` (looks, batch, action_horizon,
    padded_dim) is what it predicts once padding holds other numbers, `real_changed` (the same shape) once *real*
    entries do, which is the control. `real` (batch, action_horizon, padded_dim; bool) says which predictions count. One
    of them moves if it differs by more than `tolerance` (a float), either way, or is no number at all: NaN. Return for
    each look (looks; int64) 1 if a real prediction moves with padding; otherwise 0 = nothing moved, if some real
    prediction moves in the control, and -1 = could not look, if none does."""

    def moves(after):
        same = (after - before).abs() <= tolerance  # False for NaN
        return (~same & real).flatten(1).any(dim=1)

    seen, could_look = moves(padding_changed), moves(real_changed)
    return torch.where(seen, 1, torch.where(could_look, 0, -1))


@what_moved.mistake("NaN is not larger than anything")
def _(before, padding_changed, real_changed, real, tolerance):
    """NaN passes your probe: every comparison with NaN is False, `>` as well. Ask the other way round, whether all is
    *within* the tolerance, and let everything else be a movement.
    Source: tests that NaN passed, https://github.com/ralna/RALFit/issues/138"""
    return what_moved(before, padding_changed.where(~padding_changed.isnan(), before), real_changed, real, tolerance)


@what_moved.mistake("the control is not asked")
def _(before, padding_changed, real_changed, real, tolerance):
    """You say *nothing moved* of looks in which nothing could have moved: there the real entries do not reach the
    answer either. That is no acquittal: -1.
    Source: a mask that had no effect, found by trying several, https://github.com/theislab/CellFlow/issues/226"""
    return what_moved(before, padding_changed, real_changed, real, tolerance).clamp(min=0)


@exercise(
    "bugs.3",
    minutes=3,
    difficulty=1,
    cases=lambda: (
        (numbers([[[1], [2], [3]], [[4], [5], [6]]]), bools("011 101")),
        (normal((3, 7, 2), 31), bools("0001111 1110000 0110110")),
        (normal((2, 5, 3), 32), bools("10010 11111")),
        (normal((5, 11, 4), 33), holes((5, 11), 34)),
    ),
    hints=(
        "One sample first: which of its tokens stay?",
        "A bool mask between the brackets takes the places where it is True: `tokens[0][real[0]]`.",
        "The same for each sample, in a tuple: `tuple(... for ... in zip(tokens, real))`.",
    ),
    lesson="A sample alone needs no mask, so none can be wrong: what differs in the batch is the mask's doing.",
)
def each_alone(tokens, real):
    """Each sample alone

    To compact is to ask about each sample alone, without its padding. `tokens` (batch, key_len, width; float64) and
    `real` (batch, key_len; bool, True = a real token) come from a batch that may be padded on the left, on the right,
    or have holes, where a camera is absent; every sample has a real token. Return a tuple with a tensor for each sample
    (its real tokens, width; float64), tokens in the order in which they stand."""
    return tuple(one[here] for one, here in zip(tokens, real, strict=True))


@each_alone.mistake("padding is taken to be on the right")
def _(tokens, real):
    """You counted the real tokens and took so many from the left. Prompts that are padded on the left lose their tokens
    and keep padding: ask the mask where they stand, not how many they are.
    Source: a mask made by stripping what trails, 30 models with left padding,
    https://github.com/NVIDIA-NeMo/Automodel/pull/3704"""
    return tuple(one[: here.sum()] for one, here in zip(tokens, real, strict=True))


@each_alone.mistake("holes stay")
def _(tokens, real):
    """You cut from the first real token to the last, so the holes in between are still there. An absent camera is one.
    Source: padding in the middle, https://github.com/kaistAI/LangBridge/issues/2"""
    after_the_first, before_the_last = real.cumsum(dim=1) > 0, real.flip(1).cumsum(dim=1).flip(1) > 0
    return each_alone(tokens, after_the_first & before_the_last)


each_alone.mistake(bugs.first_prompt)(lambda tokens, real: each_alone(tokens, real[:1].expand_as(real)))


def _read_gradient_cases():
    def random(seed, *shape):
        """A third of the entries is 0, most others tiny or ordinary, some no number; real or padded as it comes."""
        values = normal(shape, seed) * 10.0 ** torch.randint(-9, 1, shape, generator=generator(seed + 10))
        kind, coin = torch.rand((2, *shape), generator=generator(seed + 20))
        values = values.masked_fill(kind < 0.35, 0.0).masked_fill(kind > 0.85, torch.nan)
        return values.masked_fill(kind > 0.92, -torch.inf), coin < 0.5

    gradient = numbers([[[0.5, -0.1, 0], [0, 0.2, 1e-9]], [[torch.nan, 0.1, 0], [0.3, -0.1, 0]]])
    by_hand = gradient, bools("110 110 110 100").view(2, 2, 3)
    return by_hand, random(41, 3, 4, 5), random(42, 2, 7, 3), random(43, 5, 3, 7)


@exercise(
    "bugs.4",
    minutes=5,
    difficulty=2,
    cases=_read_gradient_cases,
    hints=(
        "Three kinds of entries, and each is a mask. Begin with the broken ones: `~gradient.isfinite()`.",
        "What counts has `gradient != 0` and is not broken. Leaked: counts, and is not real. Lost: real, does not "
        "count, is not broken.",
        "Sum each over `dim=(1, 2)` and put the three side by side: `torch.stack([...], dim=1)`.",
    ),
    lesson="One backward pass asks both questions: does padding count, and does everything that is real?",
    unaffected_by=("axes 1 and 2 of all arguments are swapped",),
)
def read_gradient(gradient, action_mask):
    """What the gradient says

    `gradient` (batch, action_horizon, padded_dim; float64) is how the loss of each entry's prediction changes with it,
    taken at a prediction that is wrong in every entry; so an entry has a gradient of exactly 0 if and only if it does
    not count. `action_mask` (the same shape; bool, True = real) says which should. Return for each sample three numbers
    (batch, 3; int64): how many entries *leak*, padding with a gradient; how many are *lost*, real entries without one;
    and how many are *broken*, real or not: NaN or infinite. A broken entry is neither leaked nor lost."""
    broken = ~gradient.isfinite()
    counts = (gradient != 0) & ~broken
    leaked = counts & ~action_mask
    lost = ~counts & ~broken & action_mask
    return torch.stack([kind.sum(dim=(1, 2)) for kind in (leaked, lost, broken)], dim=1)


@read_gradient.mistake("nobody looks for what is lost")
def _(gradient, action_mask):
    """Your second column is 0: you asked whether padding gets in, and not whether what is real does. A mask can hide
    too much, and the loss looks the better for it.
    Source: an official example hid too much, https://github.com/keras-team/keras-io/pull/1046"""
    return read_gradient(gradient, action_mask) * torch.tensor([1, 0, 1])


@read_gradient.mistake("NaN is not 0, so it counts")
def _(gradient, action_mask):
    """Broken entries of padding stand in your first column as well: NaN is not 0, and infinity is not. Sort them out
    before you compare with 0.
    Source: NaN in the gradient of what a mask hides, https://github.com/pytorch/pytorch/issues/64305"""
    leaked = ((gradient != 0) & ~action_mask).sum(dim=(1, 2))
    return torch.stack([leaked, *read_gradient(gradient, action_mask)[:, 1:].unbind(dim=1)], dim=1)


@dataclass(frozen=True)
class Loss:
    """A loss of a batch, to be called with a prediction. Two of one name are the same."""

    name: str
    of: Callable[[torch.Tensor], torch.Tensor] = field(compare=False)

    def __call__(self, prediction: torch.Tensor) -> torch.Tensor:
        return self.of(prediction)

    def __repr__(self) -> str:
        return f"a loss, {self.name}"


def _unit_errors_cases():
    def case(bug, seed, dim_mask, step_mask, penalty=0.0, power=2):
        """A target, its mask, and a loss: that of a bug, or the right one."""
        real = step_mask[:, :, None] & dim_mask[:, None, :]
        target = 2 + normal(real.shape, seed)
        batch = {"dim_mask": dim_mask, "step_mask": step_mask}
        name, reduce = (bug.name, bug.wrong) if bug else ("as it should be", bugs.PARTS["reduce"])
        return target, real, Loss(name, lambda said: reduce((said - target).abs() ** power, batch) + penalty)

    return (
        case(bugs.mean_of_everything, 61, bools("110"), bools("101")),
        case(None, 62, holes((2, 5), 51), holes((2, 3), 52), penalty=0.25),
        case(bugs.counts_steps, 63, holes((3, 4), 53), holes((3, 7), 54)),
        case(bugs.copies_count, 64, bools("1111100 1100000"), holes((2, 4), 56), penalty=0.125),
        case(bugs.steps_masked_dims_not, 65, holes((5, 3), 57), holes((5, 4), 58)),
        case(None, 67, holes((3, 5), 60), holes((3, 3), 61), penalty=2.0, power=1),
    )


@exercise(
    "bugs.5",
    minutes=5,
    difficulty=2,
    cases=_unit_errors_cases,
    hints=(
        "A perfect prediction is the target itself. What does the loss say then? That is not always 0.",
        "`target + action_mask` is off by 1 in the real entries: True counts as 1.",
        "`loss_of(target + where) - loss_of(target)`, with everything, the mask, and `~action_mask` for `where`; "
        "`torch.stack` makes one tensor of three.",
    ),
    lesson="A sound loss says 1, 1, 0. One that leaves real entries out says so too: that is the gradient's question.",
)
def unit_errors(target, action_mask, loss_of):
    """An error of 1

    `loss_of` is a function: from a prediction (batch, action_horizon, padded_dim; float64) to a loss, a tensor without
    axes. It compares with `target` (the same shape); a weight penalty, which does not depend on the prediction, may be
    in it. `action_mask` (the same shape; bool, True = real) says what should count. Return how much each of three
    predictions adds to the loss of a perfect one (3; float64): one that is off by 1 in *every* entry, one that is off
    by 1 in the real entries only, and one in the padded entries only; all of them are perfect elsewhere."""
    without = loss_of(target)
    everywhere = torch.ones_like(action_mask)
    return torch.stack([loss_of(target + where) - without for where in (everywhere, action_mask, ~action_mask)])


@unit_errors.mistake("the penalty stays in")
def _(target, action_mask, loss_of):
    """You did not take off what the loss is without any error, so a weight penalty looks like a wrong denominator. Ask
    at the target too, and subtract.
    Source: an auxiliary loss that was in the number already, https://github.com/microsoft/protein-frame-flow/issues/23
    """
    return unit_errors(target, action_mask, loss_of) + loss_of(target)


@unit_errors.mistake("padding is never wrong")
def _(target, action_mask, loss_of):
    """You made errors in real entries only. A loss that counts padding as well, above the line and below it, then looks
    like one that is too small: the error has to be everywhere.
    Source: an error of 1, but for the padding, https://github.com/keras-team/keras/issues/6825"""
    _, of_real, of_padding = unit_errors(target, action_mask, loss_of)
    return torch.stack([of_real, of_real, 0 * of_padding])


def _can_show_cases():
    batches = (
        ("110 111", "11 10", "0011 0111"),
        ("110 011 101", "11111 11111 11111", "1101 1011 1101"),
        ("1010", "1000", "01"),
        ("11 11 11 11", "10 11 11 11", "111 111 111 110"),
        ("1101 1011 1110", "1111 1110 1100", "000 000 000"),
        ("110 100 110", "11 11 11", "11011 11011 11011"),
        ("10 10 11", "1 1 1", "1111 1111 0000"),
    )
    return tuple(tuple(map(bools, batch)) for batch in batches)


@exercise(
    "bugs.6",
    minutes=8,
    difficulty=3,
    cases=_can_show_cases,
    hints=(
        "Bugs 0, 1 and 2: is there a padded entry of that kind, anywhere?",
        "Bug 3: do two samples' masks differ? Hold all against the first, `token_mask[0]`. Bug 5: is there a row "
        "without any True?",
        "Bug 4: with d dims for everybody, the wrong loss is d times the right one, alone or not. So it shows if the "
        "numbers of dims, `dim_mask.sum(dim=1)`, are not all alike.",
    ),
    lesson="No probe sees what its batch cannot show: padded everywhere, no two samples alike, and one with an empty "
    "prompt.",
    unaffected_by=("axes 0 and 1 of `step_mask` are swapped",),
)
def can_show(dim_mask, step_mask, token_mask):
    """Could this batch show it?

    A probe sees a bug only in a batch in which the bug does something. `dim_mask` (batch, padded_dim), `step_mask`
    (batch, action_horizon) and `token_mask` (batch, key_len), all bool, True = real, describe a batch. Every sample has
    a real dim and a real step; there may be only one sample. Return for six bugs whether this batch can show them (6;
    bool). Numbers 0, 1, 2, 3 and 5 are looked for by perturbing padding. 0: the loss never masks dims. 1: the loss
    never masks steps. 2: cross-attention reads every token. 3: it has two heads or more, and their token masks are
    repeated in the wrong order, so some heads read by another sample's mask. 5: hidden scores are -1e6 and not minus
    infinity, so a sample without any real token reads the mean of its padding. Number 4 is looked for by compacting,
    the batch's loss beside the mean of its samples' losses alone, weighted by their numbers of real entries: the loss
    sums entries and divides by the number of recorded *steps*."""
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


@can_show.mistake("two samples are enough")
def _(dim_mask, step_mask, token_mask):
    """Bug 3: in a batch of one the two orders are the same, that is true. They are as well if all samples have the
    *same* mask: whose it is makes no difference then.
    Source: the same for a batch of one, https://github.com/line/lighthouse/pull/77"""
    shows = can_show(dim_mask, step_mask, token_mask)
    shows[3] = len(token_mask) > 1
    return shows


@can_show.mistake("padded tokens show the fill")
def _(dim_mask, step_mask, token_mask):
    """Bug 5: beside one real token a score of -1e6 is as good as minus infinity. It takes a sample that has *nothing*
    to read.
    Source: zero valid length, https://github.com/d2l-ai/d2l-en/pull/2423"""
    shows = can_show(dim_mask, step_mask, token_mask)
    shows[5] = (~token_mask).any()
    return shows
