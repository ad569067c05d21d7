"""A zoo for the auditor's own trial: one small flow policy that is right, and many that are wrong in one place.

    Policy      right: each of its parts that a mask goes through is a method of its own
    MUTANTS     each replaces one of these parts: what is wrong, and where an audit must find it
    RIGHT_HEADS policies of other designs that are right too: no alarm may ring

In every mask True = real. A float mask is added to the scores, as PyTorch does it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from groot_teach.audit import LEAK_OF_STAGE, Answer, Finding, MaskReport, Padding, Tap, audit_masks

Batch = dict[str, Any]
WIDTH, HEADS_OF_ATTENTION, EULER_STEPS = 8, 2, 2
LONGEST = 17  # chunks may grow: one rival appends padding


# --------------------------------------------------------------------------------------------------------- the batch


def first(lengths: list[int], size: int) -> Tensor:
    """`batch, size`: True for the first so many."""
    return torch.arange(size) < torch.tensor(lengths)[:, None]


def make_batch(
    steps: tuple[list[int], int] = ([11, 7, 5, 2], 11),
    dims: tuple[list[int], int] = ([17, 3, 13, 7], 19),
    tokens: tuple[list[int], int] = ([13, 7, 11, 5], 13),
) -> Batch:
    """Four robots that differ in everything; the third one has no camera, so no image tokens.

    Padded dims hold 0 and padded steps copies of the last action, as datasets do it; padded tokens hold anything.
    """
    generator = torch.Generator().manual_seed(1)
    (step_lengths, horizon), width, length = steps, dims[1], tokens[1]
    step_mask, dim_mask, token_mask = first(*steps), first(*dims), first(*tokens)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    actions = normal(4, horizon, width) * dim_mask[:, None]
    for robot, real in enumerate(step_lengths):
        actions[robot, real:] = actions[robot, real - 1]
    camera = torch.tensor([True, True, False, True])[:, None]
    return {
        "actions": actions,
        "noise": normal(4, horizon, width),
        "t": torch.tensor([0.2, 0.7, 0.5, 0.9], dtype=torch.float64),
        "dims": dim_mask,
        "steps": step_mask,
        "action_is_pad": ~step_mask,
        "tokens": normal(4, length, WIDTH),
        "token_mask": token_mask,
        "image": camera & (torch.arange(length) < 3),
    }


BATCHES = {
    "ragged": make_batch(),
    # As many robots as steps as dims: here wrong axes go through without an error.
    "square": make_batch(steps=([4, 3, 2, 1], 4), dims=([4, 2, 1, 3], 4)),
}


def entries(b: Batch) -> Tensor:
    """`batch, steps, dims`: the real entries."""
    return b["steps"][:, :, None] & b["dims"][:, None, :]


# -------------------------------------------------------------------------------------------------------- the policy


class Policy(nn.Module):
    """A right one. Text and images are mixed; steps read each other, then the images, then the text."""

    def __init__(self, batch: Batch):
        super().__init__()
        width = batch["actions"].shape[2]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder, self.time, self.decoder = (
                nn.Linear(width, WIDTH),
                nn.Linear(1, WIDTH),
                nn.Linear(WIDTH, width),
            )
            self.position = nn.Parameter(torch.randn(LONGEST, WIDTH))
            stages = ("mixing", "self", "image", "text")
            self.asks = nn.ModuleDict({stage: nn.Linear(WIDTH, WIDTH) for stage in stages})
            self.reads = nn.ModuleDict({stage: nn.Linear(WIDTH, 2 * WIDTH) for stage in stages})
        self.encoded, self.mixed = nn.Identity(), nn.Identity()  # here the audit listens
        self.double()

    # the masks

    def input_mask(self, b: Batch) -> Tensor:
        return entries(b)

    def self_mask(self, b: Batch) -> Tensor | None:
        return b["steps"][:, None, :]

    def mixing_mask(self, b: Batch) -> Tensor | None:
        return b["token_mask"][:, None, :]

    def image_mask(self, b: Batch) -> Tensor | None:
        return (b["token_mask"] & b["image"])[:, None, :]

    def text_mask(self, b: Batch) -> Tensor | None:
        return (b["token_mask"] & ~b["image"])[:, None, :]

    def loss_mask(self, b: Batch) -> Tensor:
        return entries(b)

    def sampler_mask(self, b: Batch) -> Tensor:
        return entries(b)

    # what is done with them

    def prompt(self, b: Batch) -> Batch:
        return b

    def scaled(self, b: Batch) -> Tensor:
        return b["actions"]

    def drawn(self, b: Batch) -> tuple[Tensor, Tensor]:
        return b["noise"], b["t"]

    def noised(self, actions: Tensor, noise: Tensor, t: Tensor, b: Batch) -> Tensor:
        return (1 - t) * noise + t * actions

    def encode(self, x: Tensor, b: Batch, t: Tensor) -> Tensor:
        return self.embed(x * self.input_mask(b), t)

    def embed(self, x: Tensor, t: Tensor) -> Tensor:
        return self.encoder(x) + self.position[: x.shape[1]] + self.time(t[:, None])[:, None]

    def attend(self, stage: str, asking: Tensor, read: Tensor, mask: Tensor | None) -> Tensor:
        query = self.by_head(self.asks[stage](asking))
        key, value = (self.by_head(part) for part in self.reads[stage](read).chunk(2, dim=-1))
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        mixed = self.weights(scores, None if mask is None else self.mask_by_head(mask)) @ value
        return mixed.unflatten(0, (-1, HEADS_OF_ATTENTION)).transpose(1, 2).flatten(2)

    def by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (HEADS_OF_ATTENTION, -1)).transpose(1, 2).flatten(0, 1)

    def mask_by_head(self, mask: Tensor) -> Tensor:
        return mask.repeat_interleave(HEADS_OF_ATTENTION, dim=0)

    def weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return scores.softmax(dim=-1)
        if mask.dtype != torch.bool:
            return (scores + mask).softmax(dim=-1)
        hidden = torch.finfo(scores.dtype).min
        return scores.masked_fill(~mask, hidden).softmax(dim=-1) * mask  # who may read nothing reads nothing

    def velocity(self, x: Tensor, b: Batch, t: Tensor) -> Tensor:
        b = self.prompt(b)
        read = self.mixed(b["tokens"] + self.attend("mixing", b["tokens"], b["tokens"], self.mixing_mask(b)))
        hidden = self.encoded(self.encode(x, b, t))
        hidden = hidden + self.attend("self", hidden, hidden, self.self_mask(b))
        hidden = hidden + self.attend("image", hidden, read, self.image_mask(b))
        hidden = hidden + self.attend("text", hidden, read, self.text_mask(b))
        return self.decoder(hidden.tanh())

    def divisor(self, counted: Tensor, b: Batch) -> Tensor | float:
        return counted.sum()

    def loss(self, error: Tensor, b: Batch) -> Tensor:
        counted = self.loss_mask(b)
        return (error.square() * counted).sum() / self.divisor(counted, b)

    # what it is asked

    def answer(self, b: Batch) -> Answer:
        self.train()
        actions, (noise, t) = self.scaled(b), self.drawn(b)
        x = self.noised(actions, noise, t[:, None, None], b)
        return Answer(self.velocity(x, b, t), lambda said: self.loss(said - (actions - noise), b))

    def sample(self, b: Batch) -> Tensor:
        self.eval()
        x = b["noise"] * self.sampler_mask(b)
        for step in range(EULER_STEPS):
            t = torch.full_like(b["t"], step / EULER_STEPS)
            x = x + self.velocity(x, b, t) / EULER_STEPS * self.sampler_mask(b)
        return x


TAPS = (
    Tap("encoded", "steps", before="action encoder", behind="DiT self-attention"),
    Tap("mixed", "tokens", before="VL self-attention", behind="DiT cross-attention"),
)


def audit(policy: Policy, b: Batch, **options: Any) -> MaskReport:
    padding = [
        Padding("dims", b["dims"], {"actions": 2, "noise": 2}, {"dims": 1}),
        Padding("steps", b["steps"], {"actions": 1, "noise": 1}, {"steps": 1, "action_is_pad": 1}),
        Padding("tokens", b["token_mask"], {"tokens": 1}, {"token_mask": 1, "image": 1}),
    ]
    options = {"taps": TAPS} | options
    return audit_masks(policy.answer, b, padding, module=policy, sample=policy.sample, **options)


# ------------------------------------------------------------------------------------------------------- the mutants


@dataclass(frozen=True)
class Mutant:
    """A policy with one wrong part.

    Attributes:
        name: of the mutant, unique.
        part: the method of `Policy` that is replaced, by `code`.
        kind: one of the seven leaks of the book, `lost`, `not finite` or `other samples`.
        polarity: what the mask does wrong: it lets padding in, shuts real entries out, or both. Empty = no mask is
            wrong.
        what: what is broken, in a sentence.
        stage, axis: where it must be found.
        batch: the batch on which it shows.
        missed: why the auditor cannot see it, or empty.
    """

    name: str
    part: str
    code: Callable
    kind: str
    polarity: str
    what: str
    stage: str
    axis: str
    batch: str = "ragged"
    missed: str = ""

    def build(self) -> Policy:
        return replaced(Policy(BATCHES[self.batch]), **{self.part: self.code})

    def audit(self) -> MaskReport:
        return audit(self.build(), BATCHES[self.batch])

    def found_in(self, report: MaskReport) -> Finding | None:
        """The finding at the place where it must be, of the kind that it must be."""
        kind = self.kind if self.kind in ("lost", "not finite") else "leak"
        for finding in report.findings:
            if (finding.stage, finding.axis, finding.kind) == (self.stage, self.axis, kind):
                return finding
        return None


def replaced(policy: Policy, **parts: Callable) -> Policy:
    for part, code in parts.items():
        assert callable(getattr(policy, part)), part
        setattr(policy, part, MethodType(code, policy))
    return policy


MUTANTS: dict[str, Mutant] = {}
IN, OUT, BOTH, NONE = "lets padding in", "shuts real out", "both", ""


def mutant(part: str, stage: str, axis: str, polarity: str, what: str, kind: str = "", **more: str) -> Callable:
    """The code below is a mutant; its kind is the leak of the stage, unless it is said."""

    def add(code: Callable) -> Callable:
        name = code.__name__.replace("_", " ")
        assert name not in MUTANTS, name
        MUTANTS[name] = Mutant(name, part, code, kind or LEAK_OF_STAGE[stage], polarity, what, stage, axis, **more)
        return code

    return add


def one_more(real: Tensor) -> Tensor:
    """The mask of lengths that are one too large."""
    return pad(real, (1, -1), value=True)


def one_less(real: Tensor) -> Tensor:
    return real & pad(real, (-1, 1), value=False)


def additive(mask: Tensor, hidden: float, read: float = 0.0) -> Tensor:
    return torch.where(mask, read, hidden).double()


# what the encoder is given

ENCODER, SELF, MIXING, CROSS = TAPS[0].before, TAPS[0].behind, TAPS[1].before, TAPS[1].behind


@mutant("input_mask", ENCODER, "dims", IN, "The encoder is given everything, as in GR00T")
def input_open(self, b):
    return torch.ones_like(entries(b))


@mutant("input_mask", ENCODER, "dims", BOTH, "The input mask is upside down")
def input_upside_down(self, b):
    return ~entries(b)


@mutant("input_mask", ENCODER, "dims", IN, "The input mask knows steps and forgets dims")
def input_without_dims(self, b):
    return b["steps"][:, :, None]


@mutant("input_mask", ENCODER, "dims", IN, "One padded dim too many is read")
def input_one_dim_more(self, b):
    return b["steps"][:, :, None] & one_more(b["dims"])[:, None, :]


@mutant("input_mask", "prediction", "dims", OUT, "The last real dim is hidden from the encoder", kind="lost")
def input_one_dim_less(self, b):
    return b["steps"][:, :, None] & one_less(b["dims"])[:, None, :]


@mutant("input_mask", "prediction", "steps", OUT, "The last real step is hidden from the encoder", kind="lost")
def input_one_step_less(self, b):
    return one_less(b["steps"])[:, :, None] & b["dims"][:, None, :]


@mutant("input_mask", ENCODER, "dims", BOTH, "Each sample gets the input mask of its neighbour")
def input_rolled(self, b):
    return entries(b).roll(1, dims=0)


@mutant("input_mask", ENCODER, "dims", IN, "A step mask is laid along robots and dims", batch="square")
def input_wrong_axis(self, b):
    return b["steps"]


@mutant("input_mask", ENCODER, "dims", IN, "Half a repair: padding is 0 when it samples, and was noise when it trained")
def input_masked_in_sampling_only(self, b):
    return torch.ones_like(entries(b)) if self.training else entries(b)


@mutant("encode", ENCODER, "dims", IN, "masked_fill without its underscore: the result is thrown away")
def input_fill_thrown_away(self, x, b, t):
    x.masked_fill(~self.input_mask(b), 0.0)
    return self.embed(x, t)


@mutant("encode", ENCODER, "dims", IN, "The mask comes before the noise: actions are masked, noise is not")
def masked_before_the_noise(self, x, b, t):
    late = (1 - t)[:, None, None] * b["noise"] if self.training else x
    return self.embed(torch.where(entries(b), x, late), t)


@mutant("encode", ENCODER, "dims", IN, "The input is scaled by its size, padding included, and masked then")
def input_scaled_with_padding(self, x, b, t):
    size = x.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return self.embed(x / size * self.input_mask(b), t)


@mutant("encode", ENCODER, "steps", IN, "Every step is told the mean over all steps, copies included")
def input_mean_over_padding(self, x, b, t):
    return self.embed((x + x.mean(dim=1, keepdim=True)) * self.input_mask(b), t)


@mutant("embed", "prediction", "samples", NONE, "BatchNorm takes its statistics from padded steps too", "other samples")
def batch_norm_across_padding(self, x, t):
    hidden = Policy.embed(self, x, t)
    return nn.functional.batch_norm(hidden.flatten(0, 1), None, None, training=True).view_as(hidden)


@mutant("embed", "prediction", "steps", IN, "A mean over all tokens of the chunk, the blank ones included", "step leak")
def chunk_mean_over_blanks(self, x, t):
    hidden = Policy.embed(self, x, t)
    return hidden + hidden.mean(dim=1, keepdim=True)


# self-attention of the steps


@mutant("self_mask", SELF, "steps", IN, "No mask is handed on")
def self_open(self, b):
    return None


@mutant("self_mask", SELF, "steps", IN, "The dataset's key has one letter wrong, and .get gives None")
def self_wrong_key(self, b):
    is_pad = b.get("actions_is_pad")
    return None if is_pad is None else ~is_pad[:, None, :]


@mutant("self_mask", SELF, "steps", BOTH, "action_is_pad, where True = padding, is taken for a mask of what is real")
def self_upside_down(self, b):
    return b["action_is_pad"][:, None, :]


@mutant("self_mask", SELF, "steps", IN, "The mask marks who asks, not what is read")
def self_query_axis(self, b):
    return b["steps"][:, :, None]


@mutant("self_mask", SELF, "steps", IN, "The mask marks who asks, and -10000 hides it: with -inf it would be NaN")
def self_query_axis_and_large_number(self, b):
    return additive(b["steps"][:, :, None], hidden=-1e4)


@mutant("self_mask", SELF, "steps", IN, "Steps that may be read get 1 added and the others 0")
def self_float_added(self, b):
    return b["steps"][:, None, :].double()


@mutant("self_mask", SELF, "steps", IN, "-5 is not minus infinity")
def self_minus_five(self, b):
    return additive(b["steps"][:, None, :], hidden=-5.0)


@mutant("self_mask", SELF, "steps", BOTH, "Each sample gets the mask of its neighbour")
def self_rolled(self, b):
    return b["steps"].roll(1, dims=0)[:, None, :]


@mutant("self_mask", SELF, "steps", IN, "One step too many is read")
def self_one_step_more(self, b):
    return one_more(b["steps"])[:, None, :]


@mutant("self_mask", SELF, "steps", OUT, "Nobody reads the last real step", kind="lost")
def self_one_step_less(self, b):
    return one_less(b["steps"])[:, None, :]


@mutant("self_mask", "prediction", "samples", OUT, "Everybody is cut to the shortest chunk", kind="other samples")
def self_shortest_chunk(self, b):
    return b["steps"].all(dim=0)[None, None, :].expand(len(b["steps"]), -1, -1)


@mutant("self_mask", SELF, "steps", IN, "Half a repair: masked when it samples, not when it trains")
def self_masked_in_sampling_only(self, b):
    return None if self.training else b["steps"][:, None, :]


@mutant("self_mask", "sampler", "steps", IN, "Half a repair: masked when it trains, not when it samples", "step leak")
def self_masked_in_training_only(self, b):
    return b["steps"][:, None, :] if self.training else None


@mutant(
    "self_mask", "loss sum", "dims and steps", OUT, "Padded steps may read nothing, and NaN * 0 is NaN", "not finite"
)
def self_empty_rows(self, b):
    return additive(b["steps"][:, None, :] & b["steps"][:, :, None], hidden=-torch.inf)


# mixing of texts and images


@mutant("mixing_mask", MIXING, "tokens", IN, "No mask is handed on")
def mixing_open(self, b):
    return None


@mutant("mixing_mask", MIXING, "tokens", BOTH, "The mask is upside down")
def mixing_upside_down(self, b):
    return ~b["token_mask"][:, None, :]


@mutant("mixing_mask", MIXING, "tokens", IN, "The mask marks who asks, not what is read")
def mixing_query_axis(self, b):
    return b["token_mask"][:, :, None]


@mutant("mixing_mask", MIXING, "tokens", IN, "Tokens that may be read get 1 added and the others 0")
def mixing_float_added(self, b):
    return b["token_mask"][:, None, :].double()


@mutant("mixing_mask", MIXING, "tokens", BOTH, "Each sample gets the mask of its neighbour")
def mixing_rolled(self, b):
    return b["token_mask"].roll(1, dims=0)[:, None, :]


@mutant("mixing_mask", MIXING, "tokens", IN, "One token too many is read")
def mixing_one_token_more(self, b):
    return one_more(b["token_mask"])[:, None, :]


UNMIXED = "the token goes on by the residual and is read by every step; whether tokens read each other is not asked"


@mutant("mixing_mask", MIXING, "tokens", OUT, "Nobody mixes in the last real token", kind="lost", missed=UNMIXED)
def mixing_one_token_less(self, b):
    return one_less(b["token_mask"])[:, None, :]


@mutant("mixing_mask", "sampler", "tokens", IN, "The second path, that of the sampler, loses the mask", "mixing leak")
def mixing_lost_in_the_sampler(self, b):
    return b["token_mask"][:, None, :] if self.training else None


# cross-attention


@mutant("text_mask", CROSS, "tokens", IN, "The argument is a comment: everything is read, as in GR00T N1.5")
def text_commented_out(self, b):
    return None


@mutant("text_mask", CROSS, "tokens", IN, "A mask of ones stands in for the real one")
def text_ones(self, b):
    return torch.ones_like(b["token_mask"])[:, None, :]


@mutant("text_mask", CROSS, "tokens", IN, "Text is what is no image, and so is padding")
def text_is_what_is_no_image(self, b):
    return ~b["image"][:, None, :]


@mutant("text_mask", CROSS, "tokens", BOTH, "The mask is upside down")
def text_upside_down(self, b):
    return ~b["token_mask"][:, None, :]


@mutant("text_mask", CROSS, "tokens", IN, "Tokens that may be read get 1 added and the others 0, as in Chroma")
def text_float_added(self, b):
    return Policy.text_mask(self, b).double()


@mutant("text_mask", CROSS, "tokens", IN, "-5 is not minus infinity")
def text_minus_five(self, b):
    return additive(Policy.text_mask(self, b), hidden=-5.0)


@mutant("image_mask", CROSS, "tokens", IN, "A robot without a camera reads all tokens alike: its row is all -1000000")
def image_finite_fill_and_no_camera(self, b):
    return additive(Policy.image_mask(self, b), hidden=-1e6)


@mutant("image_mask", CROSS, "tokens", IN, "A wrong key: .get gives None, and None is no mask")
def image_wrong_key(self, b):
    mask = b.get("image_mask")
    return None if mask is None else mask[:, None, :]


@mutant("text_mask", CROSS, "tokens", BOTH, "Each sample gets the mask of its neighbour")
def text_rolled(self, b):
    return Policy.text_mask(self, b).roll(1, dims=0)


@mutant("text_mask", CROSS, "tokens", IN, "One token too many is read")
def text_one_token_more(self, b):
    return (one_more(b["token_mask"]) & ~b["image"])[:, None, :]


@mutant("text_mask", CROSS, "tokens", OUT, "The last real token is read by nobody", kind="lost")
def text_one_token_less(self, b):
    return (one_less(b["token_mask"]) & ~b["image"])[:, None, :]


@mutant("text_mask", CROSS, "tokens", OUT, "A causal mask cuts the keys too: later tokens go unread", kind="lost")
def text_cut_by_a_causal_mask(self, b):
    mask = Policy.text_mask(self, b)
    return mask & torch.ones(b["steps"].shape[1], mask.shape[2], dtype=torch.bool).tril()


@mutant("text_mask", "prediction", "tokens", OUT, "All is hidden: without a camera no word is heard", kind="lost")
def text_all_hidden(self, b):
    return torch.zeros_like(b["token_mask"])[:, None, :]


@mutant("text_mask", "prediction", "samples", OUT, "Everybody is cut to the shortest prompt", kind="other samples")
def text_shortest_prompt(self, b):
    return Policy.text_mask(self, b) & b["token_mask"].all(dim=0)


@mutant(
    "mask_by_head",
    CROSS,
    "tokens",
    BOTH,
    "repeat where repeat_interleave is meant: half of the heads get others' masks",
)
def heads_repeated(self, mask):
    return mask.repeat(HEADS_OF_ATTENTION, 1, 1)


@mutant("text_mask", CROSS, "tokens", IN, "Half a repair: masked when it samples, not when it trains")
def text_masked_in_sampling_only(self, b):
    return None if self.training else Policy.text_mask(self, b)


@mutant(
    "text_mask", "sampler", "tokens", IN, "Half a repair: masked when it trains, not when it samples", "context leak"
)
def text_masked_in_training_only(self, b):
    return Policy.text_mask(self, b) if self.training else None


@mutant("weights", CROSS, "tokens", BOTH, "The scores are large, and -100000 is larger than they are")
def fill_above_the_scores(self, scores, mask):
    return (scores - 110_000).masked_fill(~mask, -100_000).softmax(dim=-1)


@mutant("weights", "prediction", "dims and steps", OUT, "A softmax by hand, and a robot without a camera", "not finite")
def nan_without_a_camera(self, scores, mask):
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


@mutant(
    "prompt", "prediction", "samples", NONE, "Every robot is given the first one's sentence: lang[0]", "other samples"
)
def first_sentence_for_everybody(self, b):
    return b | {name: b[name][:1].expand_as(b[name]) for name in ("tokens", "token_mask", "image")}


# what the loss counts

SUM, COUNT, WHOLE = "loss sum", "loss count", "dims and steps"


@mutant("loss_mask", SUM, "steps", IN, "Copies of the last action count as real, as in the port of N1.5")
def loss_counts_copies(self, b):
    return b["dims"][:, None, :].expand_as(b["actions"])


@mutant("loss_mask", SUM, "dims", IN, "Padded dims count")
def loss_counts_padded_dims(self, b):
    return b["steps"][:, :, None].expand_as(b["actions"])


@mutant("loss_mask", SUM, "steps", IN, "actions_id_pad for action_is_pad: the mask never runs, as in SmolVLA")
def loss_wrong_key(self, b):
    is_pad = b.get("actions_id_pad")
    mask = b["dims"][:, None, :].expand_as(b["actions"])
    return mask if is_pad is None else mask & ~is_pad[..., None]


@mutant("loss", SUM, "dims", IN, "A slice down to the padded width removes nothing, as in SmolVLA")
def loss_slice_removes_nothing(self, error, b):
    width = error.shape[2]
    losses = (error.square() * b["steps"][..., None])[:, :, :width]
    return losses.sum() / (b["steps"].sum() * width)


@mutant("loss", SUM, WHOLE, IN, "masked_fill without its underscore: the result is thrown away")
def loss_fill_thrown_away(self, error, b):
    squared, real = error.square(), entries(b)
    squared.masked_fill(~real, 0.0)
    return squared.sum() / real.sum()


@mutant("loss_mask", SUM, WHOLE, BOTH, "The mask is upside down")
def loss_upside_down(self, b):
    return ~entries(b)


@mutant("loss_mask", SUM, "steps", BOTH, "action_is_pad, where True = padding, is taken for a mask of what is real")
def loss_is_pad_for_real(self, b):
    return b["action_is_pad"][..., None] & b["dims"][:, None, :]


@mutant("loss_mask", SUM, "dims", IN, "Or, where and is meant")
def loss_or_for_and(self, b):
    return b["steps"][:, :, None] | b["dims"][:, None, :]


@mutant("loss_mask", SUM, "steps", IN, "One step too many counts")
def loss_one_step_more(self, b):
    return one_more(b["steps"])[..., None] & b["dims"][:, None, :]


@mutant("loss_mask", SUM, "dims", IN, "One dim too many counts")
def loss_one_dim_more(self, b):
    return b["steps"][..., None] & one_more(b["dims"])[:, None, :]


@mutant("loss_mask", SUM, "steps", OUT, "The last real step does not count", kind="lost")
def loss_one_step_less(self, b):
    return one_less(b["steps"])[..., None] & b["dims"][:, None, :]


@mutant("loss_mask", SUM, "dims", OUT, "The last real dim does not count", kind="lost")
def loss_one_dim_less(self, b):
    return b["steps"][..., None] & one_less(b["dims"])[:, None, :]


@mutant("loss_mask", SUM, WHOLE, OUT, "What not all robots have does not count", kind="lost")
def loss_shortest_robot(self, b):
    return entries(b).all(dim=0).expand_as(b["actions"])


@mutant("loss_mask", SUM, "dims", BOTH, "Each sample gets the mask of its neighbour")
def loss_rolled(self, b):
    return entries(b).roll(1, dims=0)


@mutant("loss_mask", SUM, "dims", BOTH, "Everybody gets the mask of the first robot")
def loss_first_mask_for_everybody(self, b):
    return entries(b)[:1].expand_as(b["actions"])


@mutant("loss_mask", SUM, "steps", BOTH, "(batch, steps) is laid along steps and dims", batch="square")
def loss_step_mask_broadcast(self, b):
    return b["steps"].expand_as(b["actions"])


@mutant("loss_mask", SUM, "dims", BOTH, "(batch, dims) is taken for (steps, dims)", batch="square")
def loss_dim_mask_broadcast(self, b):
    return (b["dims"] & b["steps"][:, :, None]).expand_as(b["actions"])


@mutant("loss_mask", SUM, "steps", IN, "Half a repair: dims are masked twice and steps never")
def loss_dims_masked_twice(self, b):
    return entries(b | {"steps": b["dims"].any(dim=1, keepdim=True).expand_as(b["steps"])})


@mutant("scaled", SUM, "steps", NONE, "Actions are scaled by statistics that count the copies")
def target_scaled_with_padding(self, b):
    mean = b["actions"].mean(dim=1, keepdim=True)
    return (b["actions"] - mean) / b["actions"].std(dim=(1, 2), keepdim=True)


@mutant(
    "loss", SUM, WHOLE, NONE, "A root of 0 at every padded entry: the loss is finite, its gradient is not", "not finite"
)
def loss_root_of_zero(self, error, b):
    real = entries(b)
    return (error * real).square().sqrt().sum() / real.sum()


@mutant("loss", SUM, WHOLE, NONE, "A mean for each sample and dim: 0/0 where a dim is padded", kind="not finite")
def loss_zero_by_zero(self, error, b):
    real = entries(b)
    return ((error.square() * real).sum(dim=1) / real.sum(dim=1)).mean()


# what the loss is divided by


@mutant("divisor", COUNT, WHOLE, NONE, "Masked, then .mean(): padding is 0 above the line and 1 below it")
def divided_by_everything(self, counted, b):
    return counted.numel()


@mutant("divisor", COUNT, WHOLE, NONE, "The steps are counted, and the sum runs over dims too")
def divided_by_steps(self, counted, b):
    return b["steps"].sum().clamp(min=1)


@mutant("divisor", COUNT, WHOLE, NONE, "The dims are counted, and the sum runs over steps too")
def divided_by_dims(self, counted, b):
    return b["dims"].sum()


@mutant("divisor", COUNT, WHOLE, NONE, "Real steps times the padded width")
def divided_by_steps_of_full_width(self, counted, b):
    return b["steps"].sum() * counted.shape[2]


@mutant("divisor", COUNT, WHOLE, NONE, "Every robot is counted as if it was the first")
def divided_by_the_first(self, counted, b):
    return len(counted) * b["steps"][0].sum() * b["dims"][0].sum()


@mutant("divisor", COUNT, WHOLE, NONE, "The count, times the batch size once more")
def divided_by_batch_times_count(self, counted, b):
    return len(counted) * counted.sum()


@mutant("divisor", COUNT, WHOLE, NONE, "The longest chunk and the widest robot stand for all")
def divided_by_the_largest(self, counted, b):
    return len(counted) * b["steps"].sum(dim=1).max() * b["dims"].sum(dim=1).max()


@mutant("divisor", COUNT, WHOLE, NONE, "The mask is summed in bfloat16, which has no odd numbers above 256")
def divided_by_a_bfloat16_count(self, counted, b):
    return counted.to(torch.bfloat16).sum()


@mutant("divisor", COUNT, WHOLE, NONE, "1 is added against an empty mask, and stays where it is full")
def divided_by_one_more(self, counted, b):
    return counted.sum() + 1


@mutant("divisor", COUNT, WHOLE, NONE, "Nothing is divided: a larger robot has a larger loss")
def divided_by_nothing(self, counted, b):
    return 1.0


@mutant("loss", COUNT, WHOLE, NONE, "clamp(min=1) hides the dims that nobody has, and .mean() counts them")
def divided_by_clamped_columns(self, error, b):
    real = entries(b)
    return ((error.square() * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)).mean()


@mutant("loss", COUNT, WHOLE, NONE, "A mean for each sample, over its padded steps")
def divided_by_padded_length(self, error, b):
    real = entries(b)
    each = (error.square() * real).sum(dim=(1, 2)) / (b["dims"].sum(dim=1) * error.shape[1])
    return each.mean()


# what is sampled

SAMPLER, SAMPLED = "sampler", "sampled padding"


@mutant("sampler_mask", SAMPLED, "dims", IN, "Padded dims are free, and go where the network sends them")
def sampler_free(self, b):
    return torch.ones_like(entries(b))


@mutant("sample", SAMPLED, "dims", IN, "Padded dims begin as noise and keep it, as in the fork")
def sampler_keeps_noise(self, b):
    x = b["noise"]
    for step in range(EULER_STEPS):
        t = torch.full_like(b["t"], step / EULER_STEPS)
        x = x + self.velocity(x, b, t) / EULER_STEPS * entries(b)
    return x


@mutant("sample", SAMPLER, "dims", IN, "Half a repair: the sampler gives the network what training hid", "input leak")
def sampler_shows_noise(self, b):
    x = b["noise"]
    for step in range(EULER_STEPS):
        t = torch.full_like(b["t"], step / EULER_STEPS)
        x = x + self.velocity(x, b | {"dims": torch.ones_like(b["dims"])}, t) / EULER_STEPS
    return x * entries(b)


@mutant("sampler_mask", SAMPLED, "dims", IN, "One dim too many is let free")
def sampler_one_dim_more(self, b):
    return b["steps"][..., None] & one_more(b["dims"])[:, None, :]


@mutant("sampler_mask", SAMPLER, "dims", OUT, "The last real dim never moves from 0", kind="lost")
def sampler_one_dim_less(self, b):
    return b["steps"][..., None] & one_less(b["dims"])[:, None, :]


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "Each robot moves the dims of its neighbour")
def sampler_rolled(self, b):
    return entries(b).roll(1, dims=0)


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "Everybody gets the mask of the first robot")
def sampler_first_mask_for_everybody(self, b):
    return entries(b)[:1].expand_as(b["actions"])


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "The mask is upside down")
def sampler_upside_down(self, b):
    return ~entries(b)


@mutant("sampler_mask", SAMPLER, "samples", OUT, "Only what all robots have is moved", kind="other samples")
def sampler_shortest_robot(self, b):
    return entries(b).all(dim=0).expand_as(b["actions"])


# --------------------------------------------------------------------------------------------- heads that are right


@dataclass(frozen=True)
class RightHead:
    """A policy that is right, by another design.

    Attributes:
        name: of the design, unique.
        what: what is special about it.
        make: the policy, and the batch that it is given.
        options: what the audit has to be told: `unit_loss`, `intended`, `excused`.
        alarm: why the audit accuses it all the same, or empty.
    """

    name: str
    what: str
    make: Callable[[], tuple[Policy, Batch]]
    options: Mapping[str, Any] = field(default_factory=dict)
    alarm: str = ""

    def audit(self, *, told: bool = True) -> MaskReport:
        policy, b = self.make()
        options = self.options if told else {name: self.options[name] for name in self.options if name == "taps"}
        return audit(policy, b, **options)

    @property
    def declared(self) -> dict[str, Any]:
        """What the caller has to say about the policy, apart from where to listen."""
        return {name: value for name, value in self.options.items() if name != "taps"}


RIGHT_HEADS: dict[str, RightHead] = {}
RAGGED = BATCHES["ragged"]


def right_head(what: str, b: Batch = RAGGED, *, alarm: str = "", **options: Any) -> Callable:
    """The policy that the code below makes of `Policy(b)` is right."""

    def add(code: Callable[[Policy], Policy | None]) -> Callable:
        name = code.__name__.replace("_", " ")
        assert name not in RIGHT_HEADS, name

        def make() -> tuple[Policy, Batch]:
            policy = Policy(b)
            return code(policy) or policy, b

        RIGHT_HEADS[name] = RightHead(name, what, make, options, alarm)
        return code

    return add


def cast(dtype: torch.dtype) -> Batch:
    return {
        name: value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in RAGGED.items()
    }


def left_padded() -> Batch:
    flipped = {name: RAGGED[name].flip(1) for name in ("tokens", "token_mask", "image")}
    return RAGGED | flipped


@right_head("Masks at every stage; noise and time are in the batch")
def strict(policy):
    return policy


@right_head("Actions in a place for 32 dims, as wide as GR00T's", make_batch(dims=([17, 3, 13, 7], 32)))
def strict_32_wide(policy):
    return policy


@right_head("Predicts the 17 dims that any robot here has, and not the 19 of the batch")
def sliced(policy):
    policy.decoder = nn.Linear(WIDTH, 17).double()

    def answer(self, b):
        self.train()
        x = self.noised(b["actions"], b["noise"], b["t"][:, None, None], b)
        target = (b["actions"] - b["noise"])[..., :17]
        return Answer(self.velocity(x, b, b["t"]), lambda said: self.loss(said - target, b))

    def velocity(self, x, b, t):
        out = Policy.velocity(self, x, b, t)
        return out if self.training else pad(out, (0, x.shape[2] - out.shape[2]))

    return replaced(policy, answer=answer, velocity=velocity, loss_mask=lambda self, b: entries(b)[..., :17])


@right_head("A mean over the arm's dims and one over the claw's, added", unit_loss=2.0)
def arm_and_claw(policy):
    def loss(self, error, b):
        real, squared = entries(b), error.square()
        arm, claw = (slice(None, 5), slice(5, None))
        return sum((squared * real)[..., part].sum() / real[..., part].sum() for part in (arm, claw))

    return replaced(policy, loss=loss)


@right_head("A mean for each robot, then a mean over robots")
def every_robot_alike(policy):
    def loss(self, error, b):
        real = entries(b)
        return ((error.square() * real).sum(dim=(1, 2)) / real.sum(dim=(1, 2))).mean()

    return replaced(policy, loss=loss)


WEIGHTS = {"weight": torch.tensor([1.0, 0.5, 2.0, 3.0], dtype=torch.float64)}


@right_head("Each robot has a weight, on both sides of the line", RAGGED | WEIGHTS)
def weighted_robots(policy):
    def loss(self, error, b):
        weighted = entries(b) * b["weight"][:, None, None]
        return (error.square() * weighted).sum() / weighted.sum()

    return replaced(policy, loss=loss)


@right_head("Draws its noise and its times itself, as PyTorch gives them")
def draws_its_noise(policy):
    def drawn(self, b):
        return torch.randn_like(b["actions"]), torch.rand(len(b["t"]), dtype=torch.float64)

    return replaced(policy, drawn=drawn)


@right_head("Draws by a generator of its own, which goes on from call to call")
def draws_by_a_generator(policy):
    generator = torch.Generator().manual_seed(3)

    def drawn(self, b):
        return torch.randn(b["actions"].shape, dtype=torch.float64, generator=generator), b["t"]

    return replaced(policy, drawn=drawn)


@right_head("Draws its times from a Beta distribution, as GR00T")
def draws_beta_times(policy):
    beta = torch.distributions.Beta(torch.tensor(1.5).double(), torch.tensor(1.0).double())

    def drawn(self, b):
        return b["noise"], 1 - beta.sample((len(b["t"]),))

    return replaced(policy, drawn=drawn)


DROPOUT = "dropout draws a number for each step, so a shorter chunk draws other ones"


@right_head("Dropout, in train mode", excused={"compact": DROPOUT})
def dropout(policy):
    def embed(self, x, t):
        return nn.functional.dropout(Policy.embed(self, x, t), 0.25, self.training)

    return replaced(policy, embed=embed)


@right_head("float32", cast(torch.float32))
def single_precision(policy):
    return policy.float()


@right_head("bfloat16", cast(torch.bfloat16))
def bfloat16(policy):
    def loss(self, error, b):
        return Policy.loss(self, error.float(), b)

    return replaced(policy.bfloat16(), loss=loss)


HOLD = "after the end of an episode the robot shall hold its pose"


@right_head("Copies of the last action count on purpose", intended={"loss sum, steps": HOLD})
def copies_supervised(policy):
    return replaced(policy, loss_mask=lambda self, b: b["dims"][:, None, :].expand_as(b["actions"]))


ZERO = "released weights were trained so: padded entries are asked to be 0"


@right_head(
    "Everything counts on purpose, as in pi0",
    intended={f"loss sum, {axis}": ZERO for axis in ("dims", "steps", "dims and steps")},
)
def everything_supervised(policy):
    return replaced(policy, loss_mask=lambda self, b: torch.ones_like(entries(b)))


@right_head("Causal, and no padding mask: from the right end nobody before it reads", RAGGED)
def causal_steps(policy):
    def self_mask(self, b):
        horizon = b["steps"].shape[1]
        return torch.ones(horizon, horizon, dtype=torch.bool).tril().expand(len(b["steps"]), -1, -1)

    return replaced(policy, self_mask=self_mask)


@right_head("Masks who asks and what is read; blank rows read nothing")
def masked_on_both_axes(policy):
    return replaced(policy, self_mask=lambda self, b: b["steps"][:, :, None] & b["steps"][:, None, :])


@right_head("Padded tokens stand in front", left_padded())
def left_padded_tokens(policy):
    return policy


@right_head("The absolute error")
def absolute_error(policy):
    def loss(self, error, b):
        return (error.abs() * entries(b)).sum() / entries(b).sum()

    return replaced(policy, loss=loss)


@right_head("Half of the squared error", unit_loss=0.5)
def half_of_the_square(policy):
    return replaced(policy, loss=lambda self, error, b: Policy.loss(self, error, b) / 2)


@right_head("A loss of another kind is added, as the KL divergence in ACT")
def something_added(policy):
    def loss(self, error, b):
        kl = (b["tokens"] * b["token_mask"][..., None]).square().sum() / b["token_mask"].sum()
        return Policy.loss(self, error, b) + 0.1 * kl

    return replaced(policy, loss=loss)


@right_head("0.000001 is added to the divisor")
def small_number_in_the_divisor(policy):
    return replaced(policy, divisor=lambda self, counted, b: counted.sum() + 1e-6)


@right_head("Real entries are picked out, and their mean is taken")
def picked_out(policy):
    return replaced(policy, loss=lambda self, error, b: error[entries(b)].square().mean())


@right_head("Every step is told the mean over the real steps")
def mean_over_real_steps(policy):
    def encode(self, x, b, t):
        x = x * self.input_mask(b)
        return self.embed(x + x.sum(dim=1, keepdim=True) / b["steps"].sum(dim=1)[:, None, None], t)

    return replaced(policy, encode=encode)


@right_head("An additive mask of minus infinity, where every row may read something")
def minus_infinity_added(policy):
    return replaced(policy, self_mask=lambda self, b: additive(b["steps"][:, None, :], hidden=-torch.inf))


@right_head("Dropout on the attention itself, in train mode", excused={"compact": DROPOUT})
def attention_dropout(policy):
    def weights(self, scores, mask):
        return nn.functional.dropout(Policy.weights(self, scores, mask), 0.25, self.training)

    return replaced(policy, weights=weights)


@right_head("A step reads its neighbours alone: a window of five")
def window_of_steps(policy):
    def self_mask(self, b):
        place = torch.arange(b["steps"].shape[1])
        return b["steps"][:, None, :] & ((place[:, None] - place).abs() <= 2)

    return replaced(policy, self_mask=self_mask)


@right_head("The prompt is one vector, the largest of its real tokens in each channel, beside what attention reads")
def largest_token(policy):
    def prompt(self, b):
        largest = b["tokens"].masked_fill(~b["token_mask"][..., None], -torch.inf).amax(dim=1, keepdim=True)
        return b | {"tokens": b["tokens"] + largest}

    return replaced(policy, prompt=prompt)


@right_head("Reads the prompt as one mean of its real tokens", taps=TAPS[:1])
def mean_of_the_prompt(policy):
    def prompt(self, b):
        real = b["token_mask"][..., None]
        mean = (b["tokens"] * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True)
        one = torch.ones(len(mean), 1, dtype=torch.bool)
        return b | {"tokens": mean, "token_mask": one, "image": ~one}

    return replaced(policy, prompt=prompt)


@right_head("Attention so sharp that most weights are 0 in float32", cast(torch.float32))
def sharp_attention(policy):
    def weights(self, scores, mask):
        return Policy.weights(self, 300 * scores, mask)

    return replaced(policy.float(), weights=weights)
