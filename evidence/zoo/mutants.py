"""The mutants of the trial: the policy with one part wrong, what is wrong, and where an audit must find it.

What is a bug of the catalogue takes its wrong part from there (`known`); the others are written here (`mutant`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from evidence.zoo.policy import BATCHES, READ, TAPS, Policy, described, replaced
from groot_teach import bugs
from groot_teach.audit import LEAK_OF_STAGE, Finding, MaskReport, audit_masks
from groot_teach.bugs.policy import EULER_STEPS, action_mask, key_mask


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
        bug: the bug of the catalogue from which `code` is made, or None.
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
    bug: bugs.Bug | None = None

    def build(self) -> Policy:
        return replaced(Policy(BATCHES[self.batch]), **{self.part: self.code})

    def make(self) -> dict[str, Any]:
        """The arguments of `audit_masks`."""
        return described(self.build(), BATCHES[self.batch])

    def audit(self) -> MaskReport:
        return audit_masks(**self.make())

    def found_in(self, report: MaskReport) -> Finding | None:
        """The finding at the place where it must be, of the kind that it must be."""
        kind = self.kind if self.kind in ("lost", "not finite") else "leak"
        for finding in report.findings:
            if (finding.stage, finding.axis, finding.kind) == (self.stage, self.axis, kind):
                return finding
        return None


MUTANTS: dict[str, Mutant] = {}
IN, OUT, BOTH, NONE = "lets padding in", "shuts real out", "both", ""


def add(mutant: Mutant) -> None:
    """Puts a mutant into the trial."""
    if mutant.name in MUTANTS:
        raise ValueError(f"name: got {mutant.name!r} a second time, expected a name that no other mutant has")
    MUTANTS[mutant.name] = mutant


def mutant(
    part: str,
    stage: str,
    axis: str,
    polarity: str,
    what: str,
    kind: str = "",
    *,
    batch: str = "ragged",
    missed: str = "",
) -> Callable[[Callable], Callable]:
    """The function below replaces a method; its kind is the leak of the stage, unless another is given."""

    def decorated(code: Callable) -> Callable:
        name = code.__name__.replace("_", " ")
        add(Mutant(name, part, code, kind or LEAK_OF_STAGE[stage], polarity, what, stage, axis, batch, missed))
        return code

    return decorated


def known(name: str, bug: bugs.Bug, part: str, stage: str, axis: str, polarity: str, what: str, kind: str = "") -> None:
    """A bug of the catalogue replaces a method; its kind is the leak of the stage, unless another is given."""
    code = fitted(bug, part)
    add(Mutant(name, part, code, kind or LEAK_OF_STAGE[stage], polarity, what, stage, axis, bug=bug))


def fitted(bug: bugs.Bug, part: str) -> Callable:
    """The wrong part of a bug as a method of `Policy`.

    A mask of the toy policy looks at `token_mask`. Where the method masks another attention, this is the mask of what
    that attention should read.
    """
    if bug.part == "reduce":
        return lambda self, error, b: bug.wrong(error.square(), b)
    if bug.part == "sample":
        return lambda self, b: bug.wrong(self.eval(), b)
    if bug.part == "prompt":
        return lambda self, b: b | bug.wrong(b)
    if part in READ:
        return lambda self, b: bug.wrong(b | {"token_mask": READ[part](b)})
    return lambda self, b: bug.wrong(b)


def one_more(real: Tensor) -> Tensor:
    """The mask of lengths that are one too large."""
    return pad(real, (1, -1), value=True)


def one_less(real: Tensor) -> Tensor:
    return real & pad(real, (-1, 1), value=False)


def additive(mask: Tensor, hidden: float, read: float = 0.0) -> Tensor:
    return torch.where(mask, read, hidden).double()


# what the encoder is given

ENCODER, SELF, MIXING, CROSS = TAPS[0].before, TAPS[0].behind, TAPS[1].before, TAPS[1].behind


known(
    "input open",
    bugs.everything_enters,
    "input_mask",
    ENCODER,
    "dims",
    IN,
    "The encoder is given everything, as in GR00T",
)


@mutant("input_mask", ENCODER, "dims", BOTH, "The input mask is upside down")
def input_upside_down(self, b):
    return ~action_mask(b)


@mutant("input_mask", ENCODER, "dims", IN, "The input mask knows steps and forgets dims")
def input_without_dims(self, b):
    return b["step_mask"][:, :, None]


@mutant("input_mask", ENCODER, "dims", IN, "One padded dim too many is read")
def input_one_dim_more(self, b):
    return b["step_mask"][:, :, None] & one_more(b["dim_mask"])[:, None, :]


@mutant("input_mask", "prediction", "dims", OUT, "The last real dim is hidden from the encoder", kind="lost")
def input_one_dim_less(self, b):
    return b["step_mask"][:, :, None] & one_less(b["dim_mask"])[:, None, :]


@mutant("input_mask", "prediction", "steps", OUT, "The last real step is hidden from the encoder", kind="lost")
def input_one_step_less(self, b):
    return one_less(b["step_mask"])[:, :, None] & b["dim_mask"][:, None, :]


@mutant("input_mask", ENCODER, "dims", BOTH, "Each sample gets the input mask of its neighbour")
def input_rolled(self, b):
    return action_mask(b).roll(1, dims=0)


@mutant("input_mask", ENCODER, "dims", IN, "A step mask is laid along robots and dims", batch="square")
def input_wrong_axis(self, b):
    return b["step_mask"]


@mutant("input_mask", ENCODER, "dims", IN, "Half a repair: padding is 0 when it samples, and was noise when it trained")
def input_masked_in_sampling_only(self, b):
    return torch.ones_like(action_mask(b)) if self.training else action_mask(b)


@mutant("encode", ENCODER, "dims", IN, "masked_fill without its underscore: the result is thrown away")
def input_fill_thrown_away(self, x, b, t):
    x.masked_fill(~self.input_mask(b), 0.0)
    return self.embed(x, t)


@mutant("encode", ENCODER, "dims", IN, "The mask comes before the noise: actions are masked, noise is not")
def masked_before_the_noise(self, x, b, t):
    late = (1 - t)[:, None, None] * b["noise"] if self.training else x
    return self.embed(torch.where(action_mask(b), x, late), t)


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


known("self open", bugs.everybody_reads, "self_mask", SELF, "steps", IN, "No mask is handed on")


@mutant("self_mask", SELF, "steps", IN, "The dataset's key has one letter wrong, and .get gives None")
def self_wrong_key(self, b):
    is_pad = b.get("actions_is_pad")
    return None if is_pad is None else key_mask(~is_pad)


known(
    "self upside down",
    bugs.is_pad_for_real,
    "self_mask",
    SELF,
    "steps",
    BOTH,
    "action_is_pad, where True = padding, is taken for a mask of what is real",
)


@mutant("self_mask", SELF, "steps", IN, "The mask marks who asks, not what is read")
def self_query_axis(self, b):
    return b["step_mask"][:, None, :, None]


known(
    "self query axis and large number",
    bugs.wrong_axis,
    "self_mask",
    SELF,
    "steps",
    IN,
    "The mask marks who asks, and -10000 hides it: with -inf it would be NaN",
)


known(
    "self float added",
    bugs.zeros_and_ones,
    "self_mask",
    SELF,
    "steps",
    IN,
    "Steps that may be read get 1 added and the others 0",
)


@mutant("self_mask", SELF, "steps", IN, "-5 is not minus infinity")
def self_minus_five(self, b):
    return additive(key_mask(b["step_mask"]), hidden=-5.0)


@mutant("self_mask", SELF, "steps", BOTH, "Each sample gets the mask of its neighbour")
def self_rolled(self, b):
    return key_mask(b["step_mask"].roll(1, dims=0))


@mutant("self_mask", SELF, "steps", IN, "One step too many is read")
def self_one_step_more(self, b):
    return key_mask(one_more(b["step_mask"]))


@mutant("self_mask", SELF, "steps", OUT, "Nobody reads the last real step", kind="lost")
def self_one_step_less(self, b):
    return key_mask(one_less(b["step_mask"]))


@mutant("self_mask", "prediction", "samples", OUT, "Everybody is cut to the shortest chunk", kind="other samples")
def self_shortest_chunk(self, b):
    return key_mask(b["step_mask"].all(dim=0)[None].expand_as(b["step_mask"]))


@mutant("self_mask", SELF, "steps", IN, "Half a repair: masked when it samples, not when it trains")
def self_masked_in_sampling_only(self, b):
    return None if self.training else key_mask(b["step_mask"])


@mutant("self_mask", "sampler", "steps", IN, "Half a repair: masked when it trains, not when it samples", "step leak")
def self_masked_in_training_only(self, b):
    return key_mask(b["step_mask"]) if self.training else None


@mutant(
    "self_mask", "loss sum", "dims and steps", OUT, "Padded steps may read nothing, and NaN * 0 is NaN", "not finite"
)
def self_empty_rows(self, b):
    return additive(key_mask(b["step_mask"]) & b["step_mask"][:, None, :, None], hidden=-torch.inf)


# mixing of texts and images


known("mixing open", bugs.commented_out, "mixing_mask", MIXING, "tokens", IN, "No mask is handed on")


known("mixing upside down", bugs.upside_down, "mixing_mask", MIXING, "tokens", BOTH, "The mask is upside down")


@mutant("mixing_mask", MIXING, "tokens", IN, "The mask marks who asks, not what is read")
def mixing_query_axis(self, b):
    return b["token_mask"][:, None, :, None]


known(
    "mixing float added",
    bugs.zeros_and_ones,
    "mixing_mask",
    MIXING,
    "tokens",
    IN,
    "Tokens that may be read get 1 added and the others 0",
)


@mutant("mixing_mask", MIXING, "tokens", BOTH, "Each sample gets the mask of its neighbour")
def mixing_rolled(self, b):
    return key_mask(b["token_mask"].roll(1, dims=0))


@mutant("mixing_mask", MIXING, "tokens", IN, "One token too many is read")
def mixing_one_token_more(self, b):
    return key_mask(one_more(b["token_mask"]))


UNMIXED = "the token goes on by the residual and is read by every step; whether tokens read each other is not asked"


@mutant("mixing_mask", MIXING, "tokens", OUT, "Nobody mixes in the last real token", kind="lost", missed=UNMIXED)
def mixing_one_token_less(self, b):
    return key_mask(one_less(b["token_mask"]))


@mutant("mixing_mask", "sampler", "tokens", IN, "The second path, that of the sampler, loses the mask", "mixing leak")
def mixing_lost_in_the_sampler(self, b):
    return key_mask(b["token_mask"]) if self.training else None


# cross-attention


known(
    "text commented out",
    bugs.commented_out,
    "text_mask",
    CROSS,
    "tokens",
    IN,
    "The argument is a comment: everything is read, as in GR00T N1.5",
)


@mutant("text_mask", CROSS, "tokens", IN, "A mask of ones stands in for the real one")
def text_ones(self, b):
    return key_mask(torch.ones_like(b["token_mask"]))


@mutant("text_mask", CROSS, "tokens", IN, "Text is what is no image, and so is padding")
def text_is_what_is_no_image(self, b):
    return key_mask(~b["image"])


known("text upside down", bugs.upside_down, "text_mask", CROSS, "tokens", BOTH, "The mask is upside down")


known(
    "text float added",
    bugs.zeros_and_ones,
    "text_mask",
    CROSS,
    "tokens",
    IN,
    "Tokens that may be read get 1 added and the others 0, as in Chroma",
)


@mutant("text_mask", CROSS, "tokens", IN, "-5 is not minus infinity")
def text_minus_five(self, b):
    return additive(Policy.text_mask(self, b), hidden=-5.0)


known(
    "image finite fill and no camera",
    bugs.finite_fill,
    "image_mask",
    CROSS,
    "tokens",
    IN,
    "A robot without a camera reads all tokens alike: its row is all -1000000",
)


@mutant("image_mask", CROSS, "tokens", IN, "A wrong key: .get gives None, and None is no mask")
def image_wrong_key(self, b):
    mask = b.get("image_mask")
    return None if mask is None else key_mask(mask)


@mutant("text_mask", CROSS, "tokens", BOTH, "Each sample gets the mask of its neighbour")
def text_rolled(self, b):
    return Policy.text_mask(self, b).roll(1, dims=0)


@mutant("text_mask", CROSS, "tokens", IN, "One token too many is read")
def text_one_token_more(self, b):
    return key_mask(one_more(b["token_mask"]) & ~b["image"])


@mutant("text_mask", CROSS, "tokens", OUT, "The last real token is read by nobody", kind="lost")
def text_one_token_less(self, b):
    return key_mask(one_less(b["token_mask"]) & ~b["image"])


known(
    "text cut by a causal mask",
    bugs.only_the_first,
    "text_mask",
    CROSS,
    "tokens",
    OUT,
    "A causal mask cuts the keys too: later tokens go unread",
    kind="lost",
)


@mutant("text_mask", "prediction", "tokens", OUT, "All is hidden: without a camera no word is heard", kind="lost")
def text_all_hidden(self, b):
    return key_mask(torch.zeros_like(b["token_mask"]))


@mutant("text_mask", "prediction", "samples", OUT, "Everybody is cut to the shortest prompt", kind="other samples")
def text_shortest_prompt(self, b):
    return Policy.text_mask(self, b) & b["token_mask"].all(dim=0)


known(
    "heads repeated",
    bugs.whose_mask,
    "text_mask",
    CROSS,
    "tokens",
    BOTH,
    "repeat where repeat_interleave is meant: half of the heads get others' masks",
)


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


known(
    "first sentence for everybody",
    bugs.first_prompt,
    "prompt",
    "prediction",
    "samples",
    NONE,
    "Every robot is given the first one's sentence: lang[0]",
    "other samples",
)


# what the loss counts

SUM, COUNT, WHOLE = "loss sum", "loss count", "dims and steps"


known(
    "loss counts copies",
    bugs.copies_count,
    "loss",
    SUM,
    "steps",
    IN,
    "Copies of the last action count as real, as in the port of N1.5",
)


@mutant("loss_mask", SUM, "dims", IN, "Padded dims count")
def loss_counts_padded_dims(self, b):
    return b["step_mask"][:, :, None].expand_as(b["actions"])


known(
    "loss wrong key",
    bugs.wrong_key,
    "loss",
    SUM,
    "steps",
    IN,
    "actions_id_pad for action_is_pad: the mask never runs, as in SmolVLA",
)


known(
    "loss slice removes nothing",
    bugs.steps_masked_dims_not,
    "loss",
    SUM,
    "dims",
    IN,
    "A slice down to the padded width removes nothing, as in SmolVLA",
)


known(
    "loss fill thrown away",
    bugs.thrown_away,
    "loss",
    SUM,
    WHOLE,
    IN,
    "masked_fill without its underscore: the result is thrown away",
)


@mutant("loss_mask", SUM, WHOLE, BOTH, "The mask is upside down")
def loss_upside_down(self, b):
    return ~action_mask(b)


@mutant("loss_mask", SUM, "steps", BOTH, "action_is_pad, where True = padding, is taken for a mask of what is real")
def loss_is_pad_for_real(self, b):
    return b["action_is_pad"][..., None] & b["dim_mask"][:, None, :]


known("loss or for and", bugs.or_for_and, "loss", SUM, "dims", IN, "Or, where and is meant")


@mutant("loss_mask", SUM, "steps", IN, "One step too many counts")
def loss_one_step_more(self, b):
    return one_more(b["step_mask"])[..., None] & b["dim_mask"][:, None, :]


@mutant("loss_mask", SUM, "dims", IN, "One dim too many counts")
def loss_one_dim_more(self, b):
    return b["step_mask"][..., None] & one_more(b["dim_mask"])[:, None, :]


@mutant("loss_mask", SUM, "steps", OUT, "The last real step does not count", kind="lost")
def loss_one_step_less(self, b):
    return one_less(b["step_mask"])[..., None] & b["dim_mask"][:, None, :]


@mutant("loss_mask", SUM, "dims", OUT, "The last real dim does not count", kind="lost")
def loss_one_dim_less(self, b):
    return b["step_mask"][..., None] & one_less(b["dim_mask"])[:, None, :]


@mutant("loss_mask", SUM, WHOLE, OUT, "What not all robots have does not count", kind="lost")
def loss_shortest_robot(self, b):
    return action_mask(b).all(dim=0).expand_as(b["actions"])


@mutant("loss_mask", SUM, "dims", BOTH, "Each sample gets the mask of its neighbour")
def loss_rolled(self, b):
    return action_mask(b).roll(1, dims=0)


@mutant("loss_mask", SUM, "dims", BOTH, "Everybody gets the mask of the first robot")
def loss_first_mask_for_everybody(self, b):
    return action_mask(b)[:1].expand_as(b["actions"])


@mutant("loss_mask", SUM, "steps", BOTH, "(batch, steps) is laid along steps and dims", batch="square")
def loss_step_mask_broadcast(self, b):
    return b["step_mask"].expand_as(b["actions"])


@mutant("loss_mask", SUM, "dims", BOTH, "(batch, dims) is taken for (steps, dims)", batch="square")
def loss_dim_mask_broadcast(self, b):
    return (b["dim_mask"] & b["step_mask"][:, :, None]).expand_as(b["actions"])


@mutant("loss_mask", SUM, "steps", IN, "Half a repair: dims are masked twice and steps never")
def loss_dims_masked_twice(self, b):
    return action_mask(b | {"step_mask": b["dim_mask"].any(dim=1, keepdim=True).expand_as(b["step_mask"])})


@mutant("scaled", SUM, "steps", NONE, "Actions are scaled by statistics that count the copies")
def target_scaled_with_padding(self, b):
    mean = b["actions"].mean(dim=1, keepdim=True)
    return (b["actions"] - mean) / b["actions"].std(dim=(1, 2), keepdim=True)


@mutant(
    "loss", SUM, WHOLE, NONE, "A root of 0 at every padded entry: the loss is finite, its gradient is not", "not finite"
)
def loss_root_of_zero(self, error, b):
    real = action_mask(b)
    return (error * real).square().sqrt().sum() / real.sum()


@mutant("loss", SUM, WHOLE, NONE, "A mean for each sample and dim: 0/0 where a dim is padded", kind="not finite")
def loss_zero_by_zero(self, error, b):
    real = action_mask(b)
    return ((error.square() * real).sum(dim=1) / real.sum(dim=1)).mean()


# what the loss is divided by


known(
    "divided by everything",
    bugs.mean_of_everything,
    "loss",
    COUNT,
    WHOLE,
    NONE,
    "Masked, then .mean(): padding is 0 above the line and 1 below it",
)


known(
    "divided by steps",
    bugs.counts_steps,
    "loss",
    COUNT,
    WHOLE,
    NONE,
    "The steps are counted, and the sum runs over dims too",
)


@mutant("divisor", COUNT, WHOLE, NONE, "The dims are counted, and the sum runs over steps too")
def divided_by_dims(self, counted, b):
    return b["dim_mask"].sum()


@mutant("divisor", COUNT, WHOLE, NONE, "Real steps times the padded width")
def divided_by_steps_of_full_width(self, counted, b):
    return b["step_mask"].sum() * counted.shape[2]


@mutant("divisor", COUNT, WHOLE, NONE, "Every robot is counted as if it was the first")
def divided_by_the_first(self, counted, b):
    return len(counted) * b["step_mask"][0].sum() * b["dim_mask"][0].sum()


@mutant("divisor", COUNT, WHOLE, NONE, "The count, times the batch size once more")
def divided_by_batch_times_count(self, counted, b):
    return len(counted) * counted.sum()


@mutant("divisor", COUNT, WHOLE, NONE, "The longest chunk and the widest robot stand for all")
def divided_by_the_largest(self, counted, b):
    return len(counted) * b["step_mask"].sum(dim=1).max() * b["dim_mask"].sum(dim=1).max()


known(
    "divided by a bfloat16 count",
    bugs.counted_in_bfloat16,
    "loss",
    COUNT,
    WHOLE,
    NONE,
    "The mask is summed in bfloat16, which has no odd numbers above 256",
)


@mutant("divisor", COUNT, WHOLE, NONE, "1 is added against an empty mask, and stays where it is full")
def divided_by_one_more(self, counted, b):
    return counted.sum() + 1


@mutant("divisor", COUNT, WHOLE, NONE, "Nothing is divided: a larger robot has a larger loss")
def divided_by_nothing(self, counted, b):
    return 1.0


@mutant("loss", COUNT, WHOLE, NONE, "clamp(min=1) hides the dims that nobody has, and .mean() counts them")
def divided_by_clamped_columns(self, error, b):
    real = action_mask(b)
    return ((error.square() * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)).mean()


@mutant("loss", COUNT, WHOLE, NONE, "A mean for each sample, over its padded steps")
def divided_by_padded_length(self, error, b):
    real = action_mask(b)
    each = (error.square() * real).sum(dim=(1, 2)) / (b["dim_mask"].sum(dim=1) * error.shape[1])
    return each.mean()


# what is sampled

SAMPLER, SAMPLED = "sampler", "sampled padding"


@mutant("sampler_mask", SAMPLED, "dims", IN, "Padded dims are free, and go where the network sends them")
def sampler_free(self, b):
    return torch.ones_like(action_mask(b))


@mutant("sample", SAMPLED, "dims", IN, "Padded dims begin as noise and keep it, as in the fork")
def sampler_keeps_noise(self, b):
    x = b["noise"]
    for step in range(EULER_STEPS):
        t = torch.full_like(b["t"], step / EULER_STEPS)
        x = x + self.velocity(x, t, b) / EULER_STEPS * action_mask(b)
    return x


known(
    "sampler shows noise",
    bugs.training_only,
    "sample",
    SAMPLER,
    "dims",
    IN,
    "Half a repair: the sampler gives the network what training hid",
    "input leak",
)


@mutant("sampler_mask", SAMPLED, "dims", IN, "One dim too many is let free")
def sampler_one_dim_more(self, b):
    return b["step_mask"][..., None] & one_more(b["dim_mask"])[:, None, :]


@mutant("sampler_mask", SAMPLER, "dims", OUT, "The last real dim never moves from 0", kind="lost")
def sampler_one_dim_less(self, b):
    return b["step_mask"][..., None] & one_less(b["dim_mask"])[:, None, :]


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "Each robot moves the dims of its neighbour")
def sampler_rolled(self, b):
    return action_mask(b).roll(1, dims=0)


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "Everybody gets the mask of the first robot")
def sampler_first_mask_for_everybody(self, b):
    return action_mask(b)[:1].expand_as(b["actions"])


@mutant("sampler_mask", SAMPLED, "dims", BOTH, "The mask is upside down")
def sampler_upside_down(self, b):
    return ~action_mask(b)


@mutant("sampler_mask", SAMPLER, "samples", OUT, "Only what all robots have is moved", kind="other samples")
def sampler_shortest_robot(self, b):
    return action_mask(b).all(dim=0).expand_as(b["actions"])
