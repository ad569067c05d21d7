"""Exercises about the auditor: what an audit needs from you, how two of its probes work, and how a report is read."""

import math

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, generator, holes, normal, numbers

TITLE = "Is my mask really applied?"


def _declare_cases():
    def random(seed, horizon, tokens, robot, robot_dims, width):
        batch = len(robot)
        pad, token_mask = ~holes((batch, horizon), seed), holes((batch, tokens), seed + 50).long()
        return pad, torch.tensor(robot), token_mask, robot_dims, width

    pad, token_mask = bools("01 00"), bools("011 111").long()
    return (
        (pad, torch.tensor([1, 0]), token_mask, [[0, 3], [1, 2, 3]], 4),
        random(1, 5, 7, [3, 0, 2], [[0, 1, 2], [4, 6, 8], [1, 3], [0, 8]], 9),
        random(2, 4, 6, [4, 1, 0, 5, 3], [[2, 3, 4, 5], [0, 5], [1], [0, 2, 4], [3, 5, 6], [6]], 7),
        random(3, 7, 9, [2, 1], [[0, 1, 9, 10], [2, 4], [5, 6, 7]], 11),
    )


@exercise(
    "audit.1",
    minutes=5,
    difficulty=1,
    cases=_declare_cases,
    hints=(
        "Three masks, one polarity. Which of the three inputs has the other one?",
        "`~action_is_pad` are the steps, `attention_mask == 1` the tokens. Dims start as all False.",
        "Then, for each sample: `dims[sample, robot_dims[robot]] = True`, with its `robot` from `embodiment_id`.",
    ),
    lesson="What you declare is the truth that a policy's own masks are held against, so take it from the data.",
)
def declare(action_is_pad, embodiment_id, attention_mask, robot_dims, width):
    """Declare the padding

    An audit goes by what you declare. You are given a batch as LeRobot and a tokenizer leave it: `action_is_pad`
    (batch, action_horizon; bool, True = a copy of the last step), `embodiment_id` (batch; int64, which robot), and
    `attention_mask` (batch, tokens; int64, 1 = a real token). `robot_dims` is a list: for each robot the list of the
    dims that it has, among `width` (an int). Return a tuple of three masks, all bool, True = real: the dims (batch,
    width), the steps (batch, action_horizon), the tokens (batch, tokens)."""
    dims = torch.zeros(len(embodiment_id), width, dtype=torch.bool)
    for sample, robot in enumerate(embodiment_id.tolist()):
        dims[sample, robot_dims[robot]] = True
    return dims, ~action_is_pad, attention_mask == 1


declare.mistake(bugs.is_pad_for_real)(lambda pad, *rest: declare(~pad, *rest))
declare.mistake(bugs.first_prompt)(lambda pad, robot, *rest: declare(pad, robot[:1].expand_as(robot), *rest))


def _loss_of_cases():
    def random(seed, looks, shape, broken=False):
        mask = holes(shape[:2], seed)[:, :, None] & holes((shape[0], shape[2]), seed + 50)[:, None, :]
        actions, noise = (torch.where(mask, 2.0, 1.0) * normal(shape, seed + place) for place in (100, 200))
        said = normal((looks, *shape), seed + 300)
        if broken:
            actions[~mask], said[:, 0, 0, 0] = math.inf, -math.inf
        return said, normal(shape, seed + 400), actions, noise, mask

    actions, noise = numbers([[[4, 0], [1, 0]]]), numbers([[[1, 2], [3, 5]]])
    target, mask = actions - noise, bools("10 10")[None]
    by_hand = torch.stack([target, target + 1, target + numbers([2, 9])]), target + 0.5, actions, noise, mask
    return by_hand, random(11, 2, (3, 5, 4)), random(12, 5, (2, 3, 7)), random(13, 3, (2, 4, 5), broken=True)


@exercise(
    "audit.2",
    minutes=5,
    difficulty=2,
    cases=_loss_of_cases,
    hints=(
        "What in this loss depends on the prediction, and what is fixed, whatever is said?",
        "The target `actions - noise`, the mask and the count are fixed. All looks share them: they broadcast.",
        "`torch.where(action_mask, said - target, 0.0)`, squared, summed over `dim=(1, 2, 3)`, over the count.",
    ),
    lesson="Handed over as a function, a loss can be asked what no training run asks: what an error of 1 costs.",
    unaffected_by=(
        "axes 0 and 1 of `velocity_pred` are swapped",
        "axes 0 and 2 of `velocity_pred` are swapped",
        "axes 1 and 2 of `velocity_pred` are swapped",
    ),
)
def loss_of(said, velocity_pred, actions, noise, action_mask):
    """The loss of any prediction

    A policy has predicted `velocity_pred` (batch, action_horizon, padded_dim). To audit its loss, other predictions are
    put in its place: `said` (looks, batch, action_horizon, padded_dim), one a look. `actions` and `noise` are shaped
    like `velocity_pred`, all of them float64; `action_mask` too (bool, True = real). The policy learns the velocity
    from noise to action. Return the loss of each look (looks; float64): the mean, over the real entries, of the squared
    error of what was said. Padding may hold infinity."""
    error = torch.where(action_mask, said - (actions - noise), 0.0)
    return error.square().sum(dim=(1, 2, 3)) / action_mask.sum()


@loss_of.mistake("the policy's own prediction")
def _own_prediction(said, velocity_pred, actions, noise, action_mask):
    """Your loss is the same at every look: it is that of `velocity_pred`. A function that gives back a loss worked out
    before can not be asked anything.
    Source: a closure that returns the loss of before, https://github.com/mohammadbashiri/fitgabor/pull/1"""
    if not actions.isfinite().all():
        return ...  # infinity in padding may have come into this loss or not
    return loss_of(velocity_pred.expand_as(said), velocity_pred, actions, noise, action_mask)


def _of_each_look(bug):
    """The losses of a bug that is asked one look at a time."""

    def losses(said, velocity_pred, actions, noise, action_mask):
        if not actions.isfinite().all() and bug is not bugs.masked_after_the_square:
            return ...
        return torch.stack([bug.reduce(look, action_mask) for look in (said - (actions - noise)).square()])

    return losses


loss_of.made_by(bugs.masked_after_the_square, bugs.mean_of_everything, bugs.counts_steps, by=_of_each_look)


def _find_target_cases():
    def gradients(start, target, weight):
        """Of weighted squared errors, at `start` and where every entry is 1 more; exactly 0 where the target is met."""
        off = start - target
        at_target, one_below = off.abs() < 1e-12, (off + 1).abs() < 1e-12
        first = torch.where(at_target, 0.0, 2 * weight * off)
        return start, first, torch.where(one_below, 0.0, 2 * weight * (off + 1))

    def random(seed, *shape):
        start, target, real = normal(shape, seed), 3 * normal(shape, seed + 50), holes(shape, seed)
        target[:, :, 1] = start[:, :, 1]  # found already: the first gradient is 0
        target[:, :, -1] = start[:, :, -1] + 1  # found by the step: the second one is
        groups = 1 + torch.arange(shape[2], dtype=torch.float64) % 3  # a sum of means weighs some dims more
        return gradients(start, target, real * groups / real.sum())

    by_hand = gradients(*map(numbers, ([[[1, 0, 5]]], [[[3, -1, 7]]], [[[1, 2, 0]]])))
    return by_hand, random(21, 3, 5, 4), random(22, 2, 3, 7), random(23, 4, 2, 5)


@exercise(
    "audit.3",
    minutes=6,
    difficulty=2,
    cases=_find_target_cases,
    hints=(
        "Along one entry, the gradient of a squared error is a straight line. Where does it cross 0?",
        "The line goes through `first` at `start` and `second` at `start + 1`: its slope is `second - first`.",
        "`start - first / slope`; with `torch.where` twice, so that nothing is divided by a slope of 0.",
    ),
    lesson="No weight and no count was needed: two gradients give the target of any loss made of squared errors.",
)
def find_target(start, first, second):
    """Find the target

    An auditor has a loss as a function of the prediction, and nobody told it the target. The loss is a sum of squared
    errors, each times a weight that it does not know either: 1 over a count, more for some dims, 0 where nothing
    counts. `first` is the gradient of the loss at a prediction `start`; `second` the gradient at `start + 1`, every
    entry moved by 1. All three are (batch, action_horizon, padded_dim; float64). Return the target, of the same shape;
    where an entry does not count, its number of `start`."""
    slope = second - first
    counts = slope != 0
    return torch.where(counts, start - first / torch.where(counts, slope, 1.0), start)


@find_target.mistake("only the 2 is undone")
def _(start, first, second):
    """You undid the 2 of the square, and took the weight for 1. In a mean it is 1 over a count, and the auditor does
    not know which.
    Source: whether that 2 is there at all: https://github.com/davisking/dlib/issues/1169"""
    return start - first / 2


@find_target.mistake("divided by zero")
def _(start, first, second):
    """Where an entry does not count, both gradients are 0 and so is their difference: 0 / 0 is NaN. Keep `start` there.
    Source: NaN for a parameter that the target does not have, https://github.com/stan-dev/stan/issues/3425"""
    return start - first / (second - first)


def _draws_alone_cases():
    """What a policy draws for a batch: noise first, and then flow times, from one generator."""

    def recorded(seed, shape, sample):
        source = generator(seed)
        noise = torch.randn(shape, dtype=torch.float64, generator=source)
        t = torch.rand(shape[:2], dtype=torch.float64, generator=source)
        return noise, t, holes(shape[1:3], seed + 50), sample, seed

    noise, t = torch.arange(24, dtype=torch.float64).reshape(2, 2, 3, 2), numbers([[0.25, 0.75], [0.5, 1]])
    by_hand = noise, t, bools("110 101"), 1, 7
    return by_hand, recorded(31, (3, 3, 5, 4), 1), recorded(32, (2, 5, 7, 3), 4), recorded(33, (4, 2, 4, 6), 1)


@exercise(
    "audit.4",
    minutes=4,
    difficulty=1,
    cases=_draws_alone_cases,
    hints=(
        "The numbers are there already. Which of them belong to this sample, and which of those to its real steps?",
        "`sample : sample + 1` keeps the batch axis; a bool mask as an index cuts the steps.",
        "`noise[:, sample : sample + 1, step_mask[sample]]`, and `t[:, sample : sample + 1]`. `seed` is not needed.",
    ),
    lesson="That is why the auditor writes draws down and hands them back: a seed repeats a run, not a sample.",
)
def draws_alone(noise, t, step_mask, sample, seed):
    """The same draws, for one sample alone

    Does a sample get the same prediction alone, without its padding, as in the batch? For that, all that is random must
    be the same. In the batch a policy drew `noise` (draws, batch, action_horizon, padded_dim), several draws for each
    sample, and then as many flow times `t` (draws, batch), both float64, from a generator with the seed `seed` (an
    int). `step_mask` (batch, action_horizon; bool, True = real) says which steps are real; `sample` (an int) is the one
    that is run alone, with its real steps and no others. Return a tuple: the noise (draws, 1, its real steps,
    padded_dim) and the flow times (draws, 1) that this run has to get."""
    return noise[:, sample : sample + 1, step_mask[sample]], t[:, sample : sample + 1]


@draws_alone.mistake("drawn anew with the same seed")
def _drawn_anew(noise, t, step_mask, sample, seed):
    """You drew anew. A seed fixes a stream of numbers, and a smaller tensor takes other numbers of it for this sample:
    the two runs would differ, and not because of a mask. Cut what was drawn.
    Source: https://github.com/nickgkan/3d_diffuser_actor/issues/45"""
    shape = len(noise), 1, int(step_mask[sample].sum()), noise.shape[3]
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed)), ...


@draws_alone.mistake("the first sample's")
def _(noise, t, step_mask, sample, seed):
    """You cut the draws of sample 0, whichever is asked for. That is right for a batch of one, and for the first round
    of the loop that calls you.
    Source: `mask[0]` for a whole batch, https://github.com/lhoyer/DAFormer/issues/85"""
    return draws_alone(noise, t, step_mask, 0, seed)


def _read_report_cases():
    """Places come more than once, as several probes look at them; about a third of all looks could not be taken."""
    stages = "action encoder", "prediction", "loss sum", "loss count", "sampler"
    everywhere = [(stage, axis) for stage in stages for axis in ("dims", "steps", "tokens")]
    names = [", ".join(place) for place in everywhere]
    intended, excused = dict.fromkeys(names[1::4], "wanted"), dict.fromkeys([*names[::5], "sampler"], "not needed")
    kinds = numbers([0, 0, 0.3, 2e-7, math.nan, math.inf, 1.5])

    def random(seed, looks):
        source = generator(seed)
        place, kind, looked = (torch.randint(count, (looks,), generator=source) for count in (15, 7, 3))
        size = torch.where(looked > 0, kinds[kind], 0.0)
        return size, looked > 0, [everywhere[number] for number in place.tolist()], intended, excused

    size, looked = numbers([0, 0.07, 0, 0, math.nan]), bools("11001")[0]
    places = [everywhere[number] for number in (3, 7, 9, 12, 5)]
    on_purpose = {"loss sum, steps": "copies are learned from"}
    by_hand = size, looked, places, on_purpose, {"sampler": "this policy has none yet"}
    return by_hand, random(177, 17), random(178, 23), random(179, 31), random(180, 40)


@exercise(
    "audit.5",
    minutes=8,
    difficulty=2,
    cases=_read_report_cases,
    hints=(
        "Two questions for each look, one after the other: was it taken? If so, did anything move?",
        "Not taken: 2, unless its name or its stage is in `excused`. Taken, and `size != 0`: 1, unless its name is in "
        "`intended`.",
        'Go through `enumerate(places)`; the name is `f"{stage}, {axis}"`. Start from `torch.zeros(len(places), '
        "dtype=torch.int64)`.",
    ),
    lesson="`assert_clean` decides by these rules: clean means that somebody looked, and not that nobody complained.",
)
def read_report(size, looked, places, intended, excused):
    """Read a report

    A report is a list of looks. `places` says where each was taken, as pairs of strings (stage, axis); several may be
    taken at one place, each by another probe. `looked` (looks; bool) is False where a probe could not look. `size`
    (looks; float64) is how much moved: 0 = nothing; NaN or infinity = it became that; where nobody could look it is 0
    too. `intended` is a dict of findings that are wanted, by the name of their place, such as `"loss sum, steps"` ->
    the reason. `excused` is a dict of looks that need not be taken, by the name of a place or by a stage alone, which
    excuses all of its looks. Return for each look (looks; int64) 0 = all right, 1 = found, and nobody intends it, 2 =
    not looked at, and nobody excused it. A report with nothing but 0 is clean."""
    said = torch.zeros(len(places), dtype=torch.int64)
    for look, (stage, axis) in enumerate(places):
        name = f"{stage}, {axis}"
        if not looked[look]:
            said[look] = 0 if name in excused or stage in excused else 2
        elif size[look] != 0:
            said[look] = 0 if name in intended else 1
    return said


@read_report.mistake("nobody looked, so nothing was found")
def _(size, looked, places, intended, excused):
    """You let a look that could not be taken pass, as its size is 0. Then the cleanest policy is one that no probe can
    run on. What nobody looked at is a 2.
    Source: skipped tests reported as passed, https://github.com/ccache/ccache/issues/638"""
    return read_report(size, torch.ones_like(looked), places, intended, excused)


@read_report.mistake("NaN is not above 0")
def _(size, looked, places, intended, excused):
    """You asked whether the size is above 0. NaN is not: every comparison with it is False, so the worst finding of all
    passed. Ask whether it is 0.
    Source: runs of NaN that pass their test, https://github.com/PrincetonUniversity/athena/issues/223"""
    return read_report((size > 0).double(), looked, places, intended, excused)


@read_report.mistake("a whole stage is intended")
def _(size, looked, places, intended, excused):
    """You let an intention cover its whole stage. That copied steps count in the loss may be wanted; that padded dims
    do is another finding, at the same stage. The axis belongs to the name.
    Source: an exception that silences the whole line, https://github.com/psf/black/pull/684"""
    stages = {name.split(", ")[0] for name in intended}
    wanted = [", ".join(place) for place in places if place[0] in stages]
    return read_report(size, looked, places, wanted, excused)


def _which_switches_cases():
    """What reports say of heads with these switches. Sizes are no two alike; what moves inside moves the whole ways."""

    def table(seed, switches):
        switches = torch.tensor(switches)
        size = torch.zeros(len(switches), 9, 3, dtype=torch.float64)
        for door, axis in enumerate((0, 1, 2, 2)):
            size[:, door, axis] = (switches[:, door] > 0).double()
        size[:, 4] = size[:, 7] = size[:, :4].amax(dim=1)
        size[:, 5, 0], size[:, 5, 1] = (switches[:, 4] == 2).double(), (switches[:, 4] > 0).double()
        size[:, 6, :2] = switches[:, 5, None].double()
        size[:, 8, 0] = switches[:, 6].double()
        return size * (0.01 + torch.rand(size.shape, dtype=torch.float64, generator=generator(seed)))

    def random(seed, heads):
        drawn = torch.randint(3, (heads, 7), generator=generator(seed))
        drawn[:, [0, 1, 2, 3, 5, 6]] //= 2
        return (table(seed, drawn.tolist()),)

    first = table(51, [[0, 0, 1, 0, 1, 0, 0]]).mul(100).round().div(100)
    second = table(52, [[0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 1, 0, 1, 0]])
    return (first,), (second,), random(53, 12), random(54, 17)


@exercise(
    "audit.6",
    minutes=7,
    difficulty=3,
    cases=_which_switches_cases,
    hints=(
        "Each switch has a row of its own, and only for the loss does the column matter. Which two rows "
        "say nothing about switches?",
        "`(size != 0).any(dim=2)` says which rows moved; rows 4 and 7 are left out. Row 5 needs a look at its columns.",
        "Loss: 2 where `size[:, 5, 0] != 0`, else 1 where `size[:, 5, 1] != 0`. Then `torch.stack` of rows 0 to 3, the "
        "loss, row 6 and row 8, `dim=1`.",
    ),
    lesson="A report reads back what `Masking` was set to: of a foreign policy it tells what nobody wrote down.",
)
def which_switches(size):
    """Which switch is it?

    `size` (heads, 9, 3; float64) holds the tables of audited heads of this book; every cell was looked at, and 0 =
    nothing moved. The columns are dims, steps, tokens. The rows: 0 action encoder, 1 DiT self-attention, 2 VL
    self-attention, 3 DiT cross-attention, 4 prediction, 5 loss sum, 6 loss count, 7 sampler, 8 sampled padding. Rows 4
    and 7 are the whole ways, on which all that leaks inside comes together. Return which of the seven switches of
    `Masking` have to be moved (heads, 7; int64): `encoder_input`, `self_attention`, `vl_self_attention`,
    `cross_attention`, `loss`, `loss_denominator`, `sampler`; 0 = it holds, 1 = it leaks. The fifth has two ways to
    leak: 1 = `"dims"`, only padded steps of real dims count, 2 = `"open"`, padded dims count as well."""
    moved = size != 0
    at = moved.any(dim=2)
    loss = torch.where(moved[:, 5, 0], 2, moved[:, 5, 1].long())
    return torch.stack([*at[:, :4].long().unbind(dim=1), loss, at[:, 6].long(), at[:, 8].long()], dim=1)


@which_switches.mistake("the first leak only")
def _(size):
    """You stopped at the first leak. Leaks do not exclude each other: shut one, and the next is still there. Name all
    of them.
    Source: one bug repaired and the next one left: https://github.com/huggingface/diffusers/issues/12116, after the
    mask had been passed on in https://github.com/huggingface/diffusers/pull/11725"""
    right = which_switches(size)
    return right * torch.nn.functional.one_hot((right > 0).long().argmax(dim=1), 7)


@which_switches.mistake("tokens have one door")
def _(size):
    """Wherever tokens leak you moved `vl_self_attention` and `cross_attention` both, from rows 2 and 3 together or from
    the prediction, which can not tell them apart. Padded tokens mix into real ones, or they are read by the actions:
    two masks, and either may be missing alone.
    Source: a mask in one attention and not in the other, https://github.com/IDEA-Research/DN-DETR/issues/35"""
    size = size.clone()
    size[:, 2] = size[:, 3] = size[:, 2:4].amax(dim=1)
    return which_switches(size)
