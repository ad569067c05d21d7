"""Policies that are right by other designs: no alarm may ring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from evidence.zoo.mutants import additive, fitted
from evidence.zoo.policy import BATCHES, TAPS, Batch, Policy, described, make_batch, replaced
from groot_teach import bugs
from groot_teach.audit import Answer, MaskReport, audit_masks
from groot_teach.bugs.policy import WIDTH, action_mask, key_mask


@dataclass(frozen=True)
class RightHead:
    """A policy that is right, by another design.

    Attributes:
        name: of the design, unique.
        what: what is special about it.
        build: the policy, and the batch that it is given.
        options: what the audit has to be told: `unit_loss`, `intended`, `excused`.
        alarm: why the audit accuses it all the same, or empty.
    """

    name: str
    what: str
    build: Callable[[], tuple[Policy, Batch]]
    options: Mapping[str, Any] = field(default_factory=dict)
    alarm: str = ""

    def make(self, *, told: bool = True) -> dict[str, Any]:
        """The arguments of `audit_masks`; untold = without what the audit has to be told."""
        options = self.options if told else {name: self.options[name] for name in self.options if name == "taps"}
        return described(*self.build(), **options)

    def audit(self, *, told: bool = True) -> MaskReport:
        return audit_masks(**self.make(told=told))

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
        if name in RIGHT_HEADS:
            raise ValueError(f"name: got {name!r} a second time, expected a name that no other head has")

        def build() -> tuple[Policy, Batch]:
            policy = Policy(b)
            return code(policy) or policy, b

        RIGHT_HEADS[name] = RightHead(name, what, build, options, alarm)
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
        return Answer(self.velocity(x, b["t"], b), lambda said: self.loss(said - target, b))

    def velocity(self, x, t, b):
        out = Policy.velocity(self, x, t, b)
        return out if self.training else pad(out, (0, x.shape[2] - out.shape[2]))

    return replaced(policy, answer=answer, velocity=velocity, loss_mask=lambda self, b: action_mask(b)[..., :17])


@right_head("A mean over the arm's dims and one over the claw's, added", unit_loss=2.0)
def arm_and_claw(policy):
    def loss(self, error, b):
        real, squared = action_mask(b), error.square()
        arm, claw = (slice(None, 5), slice(5, None))
        return sum((squared * real)[..., part].sum() / real[..., part].sum() for part in (arm, claw))

    return replaced(policy, loss=loss)


@right_head("A mean for each robot, then a mean over robots")
def every_robot_alike(policy):
    def loss(self, error, b):
        real = action_mask(b)
        return ((error.square() * real).sum(dim=(1, 2)) / real.sum(dim=(1, 2))).mean()

    return replaced(policy, loss=loss)


WEIGHTS = {"weight": torch.tensor([1.0, 0.5, 2.0, 3.0], dtype=torch.float64)}


@right_head("Each robot has a weight, on both sides of the line", RAGGED | WEIGHTS)
def weighted_robots(policy):
    def loss(self, error, b):
        weighted = action_mask(b) * b["weight"][:, None, None]
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


@right_head("Copies of the last action count, as the head is told", intended={"loss sum, steps": HOLD})
def copies_supervised(policy):
    return replaced(policy, loss=fitted(bugs.copies_count, "loss"))


ZERO = "the released code averages over every entry: padded ones are asked to be 0"


@right_head(
    "Everything counts, padding too, as in the released code of pi0",
    intended={f"loss sum, {axis}": ZERO for axis in ("dims", "steps", "dims and steps")},
)
def everything_supervised(policy):
    return replaced(policy, loss=fitted(bugs.no_mask, "loss"))


@right_head("Causal, and no padding mask: from the right end nobody before it reads", RAGGED)
def causal_steps(policy):
    def self_mask(self, b):
        horizon = b["step_mask"].shape[1]
        return torch.ones(horizon, horizon, dtype=torch.bool).tril()[None, None]

    return replaced(policy, self_mask=self_mask)


@right_head("Masks who asks and what is read; blank rows read nothing")
def masked_on_both_axes(policy):
    return replaced(policy, self_mask=lambda self, b: b["step_mask"][:, None, :, None] & key_mask(b["step_mask"]))


@right_head("Padded tokens stand in front", left_padded())
def left_padded_tokens(policy):
    return policy


@right_head("The absolute error")
def absolute_error(policy):
    def loss(self, error, b):
        return (error.abs() * action_mask(b)).sum() / action_mask(b).sum()

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
    return replaced(policy, loss=fitted(bugs.count_plus_epsilon, "loss"))


@right_head("Real entries are picked out, and their mean is taken")
def picked_out(policy):
    return replaced(policy, loss=lambda self, error, b: error[action_mask(b)].square().mean())


@right_head("Every step is told the mean over the real steps")
def mean_over_real_steps(policy):
    def encode(self, x, b, t):
        x = x * self.input_mask(b)
        return self.embed(x + x.sum(dim=1, keepdim=True) / b["step_mask"].sum(dim=1)[:, None, None], t)

    return replaced(policy, encode=encode)


@right_head("An additive mask of minus infinity, where every row may read something")
def minus_infinity_added(policy):
    return replaced(policy, self_mask=lambda self, b: additive(key_mask(b["step_mask"]), hidden=-torch.inf))


@right_head("Dropout on the attention itself, in train mode", excused={"compact": DROPOUT})
def attention_dropout(policy):
    def weights(self, scores, mask):
        weights = Policy.weights(self, scores, mask).flatten(0, 1)  # one axis of samples and heads, as in PyTorch's own
        return nn.functional.dropout(weights, 0.25, self.training).unflatten(0, scores.shape[:2])

    return replaced(policy, weights=weights)


@right_head("A step reads its neighbours alone: a window of five")
def window_of_steps(policy):
    def self_mask(self, b):
        place = torch.arange(b["step_mask"].shape[1])
        return key_mask(b["step_mask"]) & ((place[:, None] - place).abs() <= 2)

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
