"""Policies of other designs than the trial's: right ones, and their twins with one wrong line.

The mutants of `mutants` break one policy in many places. Here it is the design that changes: what is padded, what a
loss is made of, how a policy answers, what it reads without learning it. A design that the audit accuses is as bad as a
twin that it misses, so most of these come in pairs.

Each design is a function that returns the arguments of `audit_masks`; its decorator says where the audit must find
something, or that it must not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from groot_teach.audit import Answer, Finding, Intended, MaskReport, Padding, Parity, Tap, audit_masks

SAMPLES, STEPS, DIMS, WORDS, WIDTH = 4, 8, 6, 5, 8
NO_SAMPLER = {"sampler": "this design is about training"}
NO_UNIT = NO_SAMPLER | {"unit error": "an error of 1 has no loss that is known"}


def up_to(size: int, *real: int) -> Tensor:
    """`batch, size`: True for the first so many."""
    return torch.arange(size) < torch.tensor(real)[:, None]


STEP_MASK, DIM_MASK, WORD_MASK = up_to(STEPS, 8, 5, 7, 6), up_to(DIMS, 6, 4, 6, 3), up_to(WORDS, 3, 5, 2, 4)


@dataclass(frozen=True)
class Design:
    """A policy of another design.

    Attributes:
        name: of the design, unique.
        about: what is special about it.
        what: what it does.
        build: returns the arguments of `audit_masks`, with numbers that it draws.
        found: where the audit must find something: stage, axis and kind; empty = it is right, and must be clean.
        unseen: the audit cannot look and must say so; a right design then has no finding, and is not clean.
        missed: why the audit does not see what is wrong, or empty.
    """

    name: str
    about: str
    what: str
    build: Callable[[], dict[str, Any]]
    found: str = ""
    unseen: bool = False
    missed: str = ""

    def make(self) -> dict[str, Any]:
        """The arguments of `audit_masks`, always with the same numbers."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.build()

    def audit(self) -> MaskReport:
        return audit_masks(**self.make())

    def found_in(self, report: MaskReport) -> Finding | None:
        """The finding at the place where it must be, unless it is declared."""
        return next((one for one in report.unintended if one.full_name == self.found), None)


DESIGNS: dict[str, Design] = {}


def right(about: str, what: str, *, unseen: bool = False) -> Callable:
    """The function below describes a design that is right."""
    return _added(about, what, "", unseen, "")


def wrong(about: str, what: str, found: str, *, missed: str = "") -> Callable:
    """The function below describes a design with a fault, which the audit must find at `stage, axis, kind`."""
    return _added(about, what, found, False, missed)


def _added(about: str, what: str, found: str, unseen: bool, missed: str) -> Callable:
    def add(build: Callable[[], dict[str, Any]]) -> Callable:
        name = build.__name__.replace("_", " ")
        if name in DESIGNS:
            raise ValueError(f"name: got {name!r} a second time, expected a name that no other design has")
        DESIGNS[name] = Design(name, about, what, build, found, unseen, missed)
        return build

    return add


# ------------------------------------------------------------------------------------------------- what they share


class Network(nn.Module):
    """Steps read each other and the words, through the masks that it is given: `batch, query, key` or `batch, key`."""

    def __init__(self, dims: int = DIMS, outputs: int = DIMS):
        super().__init__()
        self.first, self.time, self.last = nn.Linear(dims, WIDTH), nn.Linear(1, WIDTH), nn.Linear(WIDTH, outputs)
        self.word, self.mixed = nn.Linear(3, WIDTH), nn.Identity()

    def forward(self, x: Tensor, t: Tensor | None, readable: Tensor, words: Tensor | None = None, heard: Any = None):
        hidden = self.first(x) + (0 if t is None else self.time(t[:, None])[:, None])
        hidden = hidden + attended(hidden, hidden, readable)
        if words is not None:
            hidden = hidden + attended(hidden, self.mixed(self.word(words)), heard)
        return self.last(hidden.tanh())


def attended(asking: Tensor, read: Tensor, mask: Tensor) -> Tensor:
    """Attention. Who may read nothing gets zeros."""
    mask = mask if mask.ndim == 3 else mask[:, None]
    scores = (asking @ read.mT).masked_fill(~mask, torch.finfo(asking.dtype).min)
    return (scores.softmax(dim=-1) * mask) @ read


def flow_batch(**more: Any) -> dict[str, Any]:
    return {
        "action": torch.randn(SAMPLES, STEPS, DIMS) * DIM_MASK[:, None],
        "noise": torch.randn(SAMPLES, STEPS, DIMS),
        "t": torch.tensor([0.2, 0.7, 0.5, 0.9]),
        "dims": DIM_MASK,
        "steps": STEP_MASK,
        "words": torch.randn(SAMPLES, WORDS, 3),
        "heard": WORD_MASK,
        **more,
    }


def flow_padding() -> list[Padding]:
    return [
        Padding("dims", DIM_MASK, {"action": 2, "noise": 2}, {"dims": 1}),
        Padding("steps", STEP_MASK, {"action": 1, "noise": 1}, {"steps": 1}),
        Padding("tokens", WORD_MASK, {"words": 1}, {"heard": 1}),
    ]


def real_of(b: Mapping) -> Tensor:
    return b["dims"][:, None] & b["steps"][..., None]


def velocity_of(network: Network, b: Mapping) -> tuple[Tensor, Tensor]:
    """What is predicted, and the target."""
    t = b["t"][:, None, None]
    noisy = torch.lerp(b["noise"], b["action"], t) * real_of(b)
    return network(noisy, b["t"], b["steps"], b["words"], b["heard"]), b["action"] - b["noise"]


def masked_mean(error: Tensor, real: Tensor) -> Tensor:
    return (error.square() * real).sum() / real.sum()


def flow(loss: Callable[..., Tensor] = masked_mean, **more: Any) -> dict[str, Any]:
    """A flow policy whose loss is `loss(error, real)`, or `loss(error, real, b)` if it takes three arguments."""
    network = Network()
    takes_batch = loss.__code__.co_argcount == 3

    def run(b: dict) -> Answer:
        said, target = velocity_of(network, b)
        beside = (real_of(b), b) if takes_batch else (real_of(b),)
        return Answer(said, lambda other: loss(other - target, *beside))

    described = {"run": run, "batch": flow_batch(), "padding": flow_padding(), "excused": NO_SAMPLER}
    return described | more


# ---------------------------------------------------------------------- 1 a declaration excuses one kind of finding

DECLARED = "a declaration"
HOLD = "copies hold the last pose"


def copied_steps_count(error: Tensor, real: Tensor, b: Mapping) -> Tensor:
    return masked_mean(error, b["dims"][:, None].expand_as(error))


@right(DECLARED, "Copied steps count in the loss, and that is declared")
def copies_are_declared():
    return flow(copied_steps_count, intended={"loss sum, steps": HOLD})


@right(DECLARED, "The same, up to the size that it has")
def copies_up_to_a_size():
    return flow(copied_steps_count, intended={"loss sum, steps, leak": Intended(HOLD, at_most=0.35)})


@wrong(DECLARED, "Copied steps count far more than was declared", "loss sum, steps, leak")
def copies_beyond_the_declared_size():
    return flow(copied_steps_count, intended={"loss sum, steps, leak": Intended(HOLD, at_most=0.02)})


@wrong(DECLARED, "Copies count, as declared, and the first real step does not", "loss sum, steps, lost")
def first_step_lost_beside_declared_copies():
    def loss(error, real, b):
        return masked_mean(error, b["dims"][:, None] & (torch.arange(error.shape[1]) > 0)[:, None])

    return flow(loss, intended={"loss sum, steps": HOLD})


@wrong(DECLARED, "The step mask is upside down, and leaks along steps are declared", "loss sum, dims and steps, lost")
def mask_upside_down_beside_declared_copies():
    def loss(error, real, b):
        return masked_mean(error, b["dims"][:, None] & ~b["steps"][..., None])

    return flow(loss, intended={"loss sum, steps": HOLD})


@right(DECLARED, "A weighted loss, with the unit error excused")
def weights_with_the_unit_error_excused():
    def loss(error, real, b):
        return (error.square() * real / (0.1 + b["t"][:, None, None])).sum() / real.sum()

    return flow(loss, excused=NO_UNIT)


@wrong(
    DECLARED, "A weighted loss with a wrong divisor, with the unit error excused", "loss count, dims and steps, leak"
)
def weights_with_a_wrong_divisor():
    def loss(error, real, b):
        return (error.square() * real / (0.1 + b["t"][:, None, None])).sum() / real.numel()

    return flow(loss, excused=NO_UNIT)


# --------------------------------------------------------------------------------- 2 what is declared is copied

WRITES = "a policy that writes"


@right(WRITES, "Padded actions are set to 0 in place, as many policies do it")
def writes_zeros_into_padding():
    def run(b):
        for name in ("action", "noise"):
            b[name][~real_of(b)] = 0
        return made["run"](b)

    made = flow()
    return made | {"run": run}


@wrong(
    WRITES,
    "The step mask is overwritten by ones in place, and the declaration shares its memory",
    "loss sum, steps, leak",
)
def overwrites_its_mask():
    def run(b):
        b["steps"].fill_(True)
        return made["run"](b)

    made = flow()
    return made | {"run": run}


@wrong(WRITES, "The mask is made longer by one step in place, in the caller's own batch", "loss sum, steps, leak")
def overwrites_the_callers_mask():
    made = flow()
    mine = made["batch"]["steps"].clone()
    padding = [Padding("steps", mine, {"action": 1, "noise": 1}, {"steps": 1})]

    def run(b):
        mine[:, 1:] |= mine[:, :-1].clone()
        longer = b["steps"].clone()
        longer[:, 1:] |= b["steps"][:, :-1]
        return made["run"](b | {"steps": longer, "dims": torch.ones_like(b["dims"])})

    return made | {"run": run, "padding": padding}


@right(WRITES, "Batch norm in train mode over real steps alone: its running statistics change with each call")
def batch_norm_over_real_steps():
    norm = nn.BatchNorm1d(DIMS).train()
    made = flow()
    network = Network()

    def run(b):
        norm((b["action"] * b["dims"][:, None])[b["steps"]])
        t = b["t"][:, None, None]
        x = torch.lerp(b["noise"], b["action"], t) * real_of(b) / (1 + norm.get_buffer("running_var"))
        said, target = network(x, b["t"], b["steps"], b["words"], b["heard"]), b["action"] - b["noise"]
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    return made | {"run": run, "excused": NO_SAMPLER | {"compact": "statistics of a batch"}}


@wrong(WRITES, "Batch norm in train mode, over padded steps too", "prediction, steps, leak")
def batch_norm_over_padded_steps():
    norm = nn.BatchNorm1d(DIMS).train()
    network = Network()

    def run(b):
        t = b["t"][:, None, None]
        x = norm(torch.lerp(b["noise"], b["action"], t).flatten(0, 1)).view_as(b["action"]) * real_of(b)
        said, target = network(x, b["t"], b["steps"], b["words"], b["heard"]), b["action"] - b["noise"]
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    return flow() | {"run": run}


# ---------------------------------------------------------------------- 3 lost entries, where gradients are blind

LOST = "no gradient to look at"
VOCABULARY = 11


def word_batch() -> dict[str, Any]:
    ids = torch.randint(1, VOCABULARY, (SAMPLES, WORDS)) * WORD_MASK
    return flow_batch(ids=ids)


def with_ids(heard_of: Callable[[Mapping], Tensor], **more: Any) -> dict[str, Any]:
    """A flow policy that is given its words as numbers of a vocabulary."""
    network, table = Network(), nn.Embedding(VOCABULARY, 3)

    def read(b: Mapping) -> dict:
        return {**b, "words": table(b["ids"]), "heard": heard_of(b)}

    def run(b: dict) -> Answer:
        said, target = velocity_of(network, read(b))
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    def sample(b: dict) -> Tensor:
        return sampled_by(network, read(b))

    padding = [*flow_padding()[:2], Padding("tokens", WORD_MASK, {"ids": 1}, {"heard": 1})]
    return {"run": run, "sample": sample, "batch": word_batch(), "padding": padding} | more


@torch.no_grad()
def sampled_by(network: Network, b: Mapping, calls: int = 2) -> Tensor:
    x = b["noise"] * real_of(b)
    for step in range(calls):
        t = torch.full_like(b["t"], step / calls)
        x = x + network(x, t, b["steps"], b["words"], b["heard"]) / calls * real_of(b)
    return x


def one_less(real: Tensor) -> Tensor:
    """Without the last real place."""
    return real & torch.nn.functional.pad(real, (-1, 1), value=False)


@right(LOST, "Words are whole numbers, and all of them are read")
def ids_are_read():
    return with_ids(lambda b: b["heard"])


@wrong(LOST, "Words are whole numbers, and the last one is read by nobody", "prediction, tokens, lost")
def last_id_is_hidden():
    return with_ids(lambda b: one_less(b["heard"]))


@wrong(LOST, "Words are whole numbers, and the first one is read by nobody", "prediction, tokens, lost")
def first_id_is_hidden():
    return with_ids(lambda b: b["heard"] & (torch.arange(b["heard"].shape[1]) > 0))


def sampler_hears(heard_of: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    made = flow()
    network = Network()

    def run(b):
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    def sample(b):
        return sampled_by(network, b | {"heard": heard_of(b)})

    return {"run": run, "sample": sample, "batch": made["batch"], "padding": made["padding"]}


@right(LOST, "A sampler without gradients that hears every word")
def sampler_hears_all():
    return sampler_hears(lambda b: b["heard"])


@wrong(LOST, "A sampler without gradients that does not hear the last word", "sampler, tokens, lost")
def sampler_misses_the_last_word():
    return sampler_hears(lambda b: one_less(b["heard"]))


@wrong(LOST, "A sampler that hears no word at all", "sampler, tokens, lost")
def sampler_is_deaf():
    return sampler_hears(lambda b: torch.zeros_like(b["heard"]))


@wrong(LOST, "The words are encoded under no_grad, and the last one is read by nobody", "prediction, tokens, lost")
def detached_words_without_the_last():
    network = Network()

    def run(b):
        b = b | {"heard": one_less(b["heard"]), "words": b["words"].detach()}
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    return flow() | {"run": run}


@right(LOST, "The words are encoded under no_grad, and all are read")
def detached_words():
    network = Network()

    def run(b):
        said, target = velocity_of(network, b | {"words": b["words"].detach()})
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    return flow() | {"run": run}


@wrong(LOST, "The sampler never moves the first step", "sampler, steps, lost")
def sampler_without_the_first_step():
    made = sampler_hears(lambda b: b["heard"])
    sample = made["sample"]
    return made | {"sample": lambda b: sample(b) * (torch.arange(b["action"].shape[1]) > 0)[:, None]}


# ------------------------------------------------------------------------------------------ 4 losses of other kinds

LOSSES = "another loss"


@right(LOSSES, "Summed over the chunk, averaged over the batch")
def summed_over_the_chunk():
    return flow(lambda error, real: (error.square() * real).sum((1, 2)).mean(), excused=NO_UNIT)


@right(LOSSES, "The root of the mean squared error")
def root_of_the_mean():
    return flow(lambda error, real: masked_mean(error, real).sqrt())


@right(LOSSES, "A mean for each sample, then samples are weighted, and the weights add up to 1")
def weights_of_samples():
    def loss(error, real, b):
        weight = torch.tensor([1.0, 2.0, 0.5, 3.0])[: len(error)]
        each = (error.square() * real).sum((1, 2)) / real.sum((1, 2))
        return (each * weight).sum() / weight.sum()

    return flow(loss)


@right(LOSSES, "A Huber loss")
def huber():
    def loss(error, real):
        return (
            torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none") * real
        ).sum() / real.sum()

    return flow(loss, unit_loss=0.5)


def with_term(term: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    def loss(error, real, b):
        return masked_mean(error, real) + 0.1 * term(b)

    return flow(loss)


@right(LOSSES, "A second term, over real steps: a KL divergence of the steps' own code")
def kl_over_real_steps():
    return with_term(
        lambda b: ((b["action"].square() * real_of(b)).sum(2) + 1).mul(b["steps"]).sum() / b["steps"].sum()
    )


@wrong(LOSSES, "The same term, over padded steps too; their actions are 0 there", "loss sum, steps, leak")
def kl_over_padded_steps():
    return with_term(lambda b: ((b["action"] * b["steps"][..., None]).square().sum(2) + 1).sum() / b["steps"].sum())


@right(LOSSES, "Experts are balanced over real words")
def balance_over_real_words():
    def term(b):
        chosen = (b["words"].softmax(-1) * b["heard"][..., None]).sum((0, 1)) / b["heard"].sum()
        return chosen.square().sum() * 3

    return with_term(term)


@wrong(LOSSES, "Experts are balanced over padded words too, which hold zeros", "loss sum, tokens, leak")
def balance_over_padded_words():
    def term(b):
        chosen = (b["words"] * b["heard"][..., None]).softmax(-1).mean((0, 1))
        return chosen.square().sum() * 3

    return with_term(term)


def classes(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], dtype: torch.dtype = torch.float32, outputs: int = VOCABULARY
) -> dict[str, Any]:
    """A policy that chooses one of eleven actions for each step; `loss(logits, labels, real)`."""
    network = Network(VOCABULARY, outputs).to(dtype)
    labels = torch.randint(0, VOCABULARY, (SAMPLES, STEPS))
    x = torch.randn(SAMPLES, STEPS, VOCABULARY).to(dtype)

    def run(b):
        said = network(b["x"] * b["steps"][..., None], None, b["steps"])
        return Answer(said, lambda other: loss(other, b["labels"], b["steps"]))

    padding = [Padding("steps", STEP_MASK, {"x": 1, "labels": 1}, {"steps": 1})]
    batch = {"x": x, "labels": labels, "steps": STEP_MASK}
    return {"run": run, "batch": batch, "padding": padding, "excused": NO_UNIT}


WEIGHT = torch.linspace(0.2, 3, VOCABULARY)


def each_of(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=weight, reduction="none").view(labels.shape)


@right(LOSSES, "A cross entropy, masked and divided by its count")
def cross_entropy_of_real_steps():
    return classes(lambda said, labels, real: (each_of(said, labels) * real).sum() / real.sum())


@right(LOSSES, "A cross entropy with weights of classes, divided by the weights that it used")
def cross_entropy_with_class_weights():
    def loss(said, labels, real):
        weight = WEIGHT.to(said)
        return (each_of(said, labels, weight) * real).sum() / (weight[labels] * real).sum()

    return classes(loss)


@wrong(LOSSES, "Weights of classes, divided by the weights of padded steps too", "loss count, steps, leak")
def class_weights_over_padding():
    def loss(said, labels, real):
        weight = WEIGHT.to(said)
        return (each_of(said, labels, weight) * real).sum() / weight[labels].sum()

    return classes(loss)


@wrong(LOSSES, "A cross entropy that is averaged over padded steps too, as zeros", "loss count, steps, leak")
def cross_entropy_averaged_over_padding():
    return classes(lambda said, labels, real: (each_of(said, labels) * real).mean())


@wrong(LOSSES, "A cross entropy in which the longest sample stands for all", "loss count, steps, leak")
def cross_entropy_over_the_longest():
    def loss(said, labels, real):
        return (each_of(said, labels) * real).sum() / (len(real) * real.sum(1).max())

    return classes(loss)


@right(LOSSES, "A mixture of three Gaussians: its likelihood has no single target")
def mixture():
    def loss(said, labels, real):
        away = (said[..., :3] - labels[..., None]).square() / 2
        likelihood = torch.logsumexp(said[..., 3:6].log_softmax(-1) - away, dim=-1)
        return -(likelihood * real).sum() / real.sum()

    return classes(loss, outputs=6)


# -------------------------------------------------------------------------------------------------- 5 precision

PRECISION = "another precision"


@right(PRECISION, "A cross entropy in bfloat16")
def cross_entropy_in_bfloat16():
    return classes(lambda said, labels, real: (each_of(said, labels) * real).sum() / real.sum(), torch.bfloat16)


@wrong(PRECISION, "In bfloat16 a divisor that is 4.6 % too large", "loss count, dims and steps, leak")
def bfloat16_with_a_wrong_divisor():
    made = flow(lambda error, real: (error.square() * real).sum() / (real.sum() * 1.046))
    return in_dtype(made, torch.bfloat16)


@right(PRECISION, "A flow policy all in bfloat16")
def all_in_bfloat16():
    return in_dtype(flow(), torch.bfloat16)


def in_dtype(made: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    network = next(cell.cell_contents for cell in made["run"].__closure__ if isinstance(cell.cell_contents, nn.Module))
    network.to(dtype)
    floats = {name: value.to(dtype) for name, value in made["batch"].items() if value.is_floating_point()}
    return made | {"batch": made["batch"] | floats}


@right(PRECISION, "Its matrices are float32, its batch and its loss float64")
def float32_inside():
    network = Network()

    def run(b):
        said, target = velocity_of(network, {k: v.float() if v.is_floating_point() else v for k, v in b.items()})
        return Answer(said.double(), lambda other: masked_mean(other - target.double(), real_of(b)))

    made = flow()
    floats = {name: value.double() for name, value in made["batch"].items() if value.is_floating_point()}
    return made | {"run": run, "batch": made["batch"] | floats}


@right(PRECISION, "A loss that is only a number, of a prediction that hits some targets exactly")
def hits_its_target():
    network, made = Network(), flow()
    learnt = made["batch"]["action"]

    def run(b):
        said, target = velocity_of(network, b)
        known = torch.isin(b["action"], learnt[0]) & real_of(b)
        said = torch.where(known, said * 0 + target, said)
        return Answer(said, masked_mean(said - target.detach(), real_of(b)))

    return made | {"run": run, "excused": NO_UNIT}


# ------------------------------------------------------------------------------------------ 6 any shape of padding

SHAPES = "another shape of padding"
ARMS = torch.cat(
    [up_to(STEPS, 8, 5, 3, 6)[..., None].expand(-1, -1, 3), up_to(STEPS, 4, 8, 7, 6)[..., None].expand(-1, -1, 3)], 2
)


def two_arms(loss_mask: Callable[[Mapping], Tensor], input_mask: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network = Network()

    def run(b):
        noisy = torch.lerp(b["noise"], b["action"], b["t"][:, None, None]) * input_mask(b)
        said = network(noisy, b["t"], b["arms"].any(dim=2))
        target = b["action"] - b["noise"]
        return Answer(said, lambda other: masked_mean(other - target, loss_mask(b)))

    batch = {name: value for name, value in flow_batch(arms=ARMS).items() if name in ("action", "noise", "t", "arms")}
    padding = [Padding("steps and dims", ARMS, {"action": 1, "noise": 1}, {"arms": 1})]
    return {"run": run, "batch": batch, "padding": padding, "excused": NO_SAMPLER}


@right(SHAPES, "Two arms, each with a chunk of its own length")
def two_arms_of_unequal_chunks():
    return two_arms(lambda b: b["arms"], lambda b: b["arms"])


@wrong(SHAPES, "Two arms, and the loss counts both as long as the longer one", "loss sum, steps and dims, leak")
def two_arms_as_long_as_the_longer():
    return two_arms(lambda b: b["arms"].any(2, keepdim=True).expand_as(b["arms"]), lambda b: b["arms"])


@wrong(SHAPES, "Two arms, and the network reads both as long as the longer one", "prediction, steps and dims, leak")
def two_arms_read_as_the_longer():
    return two_arms(lambda b: b["arms"], lambda b: b["arms"].any(2, keepdim=True))


@wrong(SHAPES, "Two arms, and the loss counts both as short as the shorter one", "loss sum, steps and dims, lost")
def two_arms_as_short_as_the_shorter():
    return two_arms(lambda b: b["arms"].all(2, keepdim=True).expand_as(b["arms"]), lambda b: b["arms"])


def views(readable: Callable[[Mapping], Tensor], **more: Any) -> dict[str, Any]:
    """Words, and camera views, of which one may be missing; both are called tokens."""
    network, eye = Network(), nn.Linear(4, 3)
    real = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1]]).bool()

    def run(b):
        both = torch.cat([b["words"], eye(b["views"].flatten(2))], dim=1)
        b = b | {"words": both, "heard": torch.cat([b["heard"], readable(b)], dim=1)}
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    batch = flow_batch(views=torch.randn(SAMPLES, 3, 2, 2), seen=real)
    padding = [*flow_padding(), Padding("tokens", real, {"views": 1}, {"seen": 1})]
    return {"run": run, "batch": batch, "padding": padding, "excused": NO_SAMPLER} | more


@right(SHAPES, "Words and views are both padded, with holes, and called by one name")
def words_and_views():
    return views(lambda b: b["seen"])


@wrong(SHAPES, "Words and views are padded, and missing views are seen", "prediction, tokens, leak")
def missing_views_are_seen():
    return views(lambda b: torch.ones_like(b["seen"]))


@wrong(SHAPES, "Words and views are padded, and the last view is seen by nobody", "prediction, tokens, lost")
def last_view_is_not_seen():
    return views(lambda b: one_less(b["seen"]))


@right(SHAPES, "The padded axis is called `views`")
def an_axis_of_its_own_name():
    made = views(lambda b: b["seen"])
    (*others, kind) = made["padding"]
    return made | {"padding": [*others, Padding("views", kind.real, kind.values, kind.masks)]}


def with_an_empty_sample(divisor: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    network = Network()
    steps = STEP_MASK.clone()
    steps[3] = False

    def run(b):
        said, target = velocity_of(network, b)

        def loss(other):
            real = real_of(b)
            return (((other - target).square() * real).sum((1, 2)) / divisor(real.sum((1, 2)))).mean()

        return Answer(said, loss)

    dims, _, words = flow_padding()
    padding = [dims, Padding("steps", steps, {"action": 1, "noise": 1}, {"steps": 1}), words]
    return {"run": run, "batch": flow_batch(steps=steps), "padding": padding, "excused": NO_UNIT}


@right(SHAPES, "One sample is all padding, and counts as 0")
def an_empty_sample():
    return with_an_empty_sample(lambda count: count.clamp(min=1))


@wrong(SHAPES, "One sample is all padding, and its mean is 0 / 0", "loss sum, dims and steps, not finite")
def an_empty_sample_of_nan():
    return with_an_empty_sample(lambda count: count)


def pad_token(
    mask: Callable[[Mapping], Tensor], loss_mask: Callable[[Mapping], Tensor] | None = None
) -> dict[str, Any]:
    """The policy is given no mask: it knows padded words by their value, 0."""
    made = with_ids(mask)
    (dims, steps, words) = made["padding"]
    del made["sample"]
    return made | {"padding": [dims, steps, Padding("tokens", words.real, {"ids": 1})], "excused": NO_SAMPLER}


@right(SHAPES, "Padded words are known by their value alone: ids != 0")
def value_is_the_mask():
    return pad_token(lambda b: b["ids"] != 0)


@right(SHAPES, "The sampler, in inference mode, knows padded words by their value too")
def value_is_the_mask_of_the_sampler():
    made = with_ids(lambda b: b["ids"] != 0)
    (dims, steps, words) = made["padding"]
    sample = torch.inference_mode()(made["sample"])
    return made | {"padding": [dims, steps, Padding("tokens", words.real, {"ids": 1})], "sample": sample}


@wrong(SHAPES, "Padded words are all one value, and are read", "prediction, tokens, leak")
def pad_tokens_are_read():
    return pad_token(lambda b: torch.ones_like(b["ids"], dtype=torch.bool))


@wrong(SHAPES, "Padded words are known by a value that is off by one", "prediction, tokens, leak")
def another_pad_token():
    return pad_token(lambda b: b["ids"] != -1)


def black_views(seen: Callable[[Mapping], Tensor], masks: bool) -> dict[str, Any]:
    """Views that are missing are black, and there are always three of them."""
    made = views(seen)
    *others, kind = made["padding"]
    batch = made["batch"]
    batch["views"] = batch["views"] * kind.real[..., None, None]
    run = made["run"]

    def with_three_views(b):
        if b["views"].shape[1] != 3:
            raise ValueError("three views, please")
        return run(b)

    views_kind = Padding("views", kind.real, {"views": 1}, {"seen": 1} if masks else {})
    return made | {"run": with_three_views, "padding": [*others, views_kind]}


@right(SHAPES, "A missing view is black, and known by that; there are always three of them", unseen=True)
def black_is_the_mask():
    return black_views(lambda b: b["views"].flatten(2).any(2), masks=False)


@wrong(SHAPES, "A missing view is black, and is read", "prediction, views, leak")
def black_views_are_read():
    return black_views(lambda b: torch.ones_like(b["seen"]), masks=True)


@right(SHAPES, "Padding is inside the sentences, and nothing else is padded")
def padded_inside():
    return inside(lambda b: b["heard"])


@wrong(SHAPES, "Padding is inside the sentences, and is read", "prediction, tokens, leak")
def padded_inside_and_read():
    return inside(lambda b: torch.ones_like(b["heard"]))


def inside(heard: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network = Network()
    real = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]]).bool()

    def run(b):
        everything = torch.ones_like(b["steps"])
        b = b | {"heard": heard(b), "steps": everything, "dims": torch.ones_like(b["dims"])}
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    padding = [Padding("tokens", real, {"words": 1}, {"heard": 1})]
    return {"run": run, "batch": flow_batch(heard=real), "padding": padding, "excused": NO_SAMPLER}


@right(SHAPES, "A frame was dropped; the seats of the others stay where they were")
def dropped_frames_with_fixed_seats():
    return seated(lambda b: b["frames"])


@wrong(SHAPES, "A frame was dropped, and its empty seat is read", "prediction, frames, leak")
def empty_seats_are_read():
    return seated(lambda b: torch.ones_like(b["frames"]))


def seated(readable: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network, seats = Network(), torch.randn(WORDS, 3)
    real = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]]).bool()

    def run(b):
        b = b | {"heard": readable(b), "words": b["words"] + seats[: b["words"].shape[1]]}
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    dims, steps, _ = flow_padding()
    padding = [dims, steps, Padding("frames", real, {"words": 1}, {"frames": 1})]
    return {"run": run, "batch": flow_batch(frames=real), "padding": padding, "excused": NO_SAMPLER}


# --------------------------------------------------------------------------------------------- 7 other ways to answer

ANSWERS = "another way to answer"


class Recurrent(nn.Module):
    """Decodes one step after the other; what it remembers of padded steps is dropped."""

    def __init__(self, forgets: bool = True):
        super().__init__()
        self.cell, self.head, self.forgets = nn.GRUCell(DIMS, WIDTH), nn.Linear(WIDTH, DIMS), forgets

    def forward(self, b: Mapping) -> Tensor:
        noisy = torch.lerp(b["noise"], b["action"], b["t"][:, None, None])
        hidden, total = torch.zeros(len(noisy), WIDTH), torch.zeros(())
        for step in range(noisy.shape[1]):
            mask = b["dims"] & b["steps"][:, step, None]
            hidden = self.cell(noisy[:, step] * mask, hidden)
            said = self.head(hidden)
            error = said - (b["action"] - b["noise"])[:, step]
            total = total + (error.square() * (mask if self.forgets else b["dims"])).sum()
        return total / real_of(b).sum()


def recurrent(**more: Any) -> dict[str, Any]:
    module = Recurrent(**more)
    made = flow()
    return made | {"run": module, "padding": made["padding"][:2], "module": module, "prediction": "head"}


@right(ANSWERS, "A recurrent decoder, whose head is called once for each step")
def recurrent_decoder():
    return recurrent()


@wrong(ANSWERS, "A recurrent decoder that learns copied steps", "loss sum, steps, leak")
def recurrent_decoder_with_copies():
    return recurrent(forgets=False)


class Output(dict):
    """As in Hugging Face's library: a dict whose entries are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Encoded(nn.Module):
    """An encoder of words that returns a record, or a tuple."""

    def __init__(self, as_tuple: bool):
        super().__init__()
        self.word, self.as_tuple = nn.Linear(3, 3), as_tuple

    def forward(self, words: Tensor) -> Any:
        found = self.word(words)
        return (found, None) if self.as_tuple else Output(last_hidden_state=found, pooled=None)


def encoded(as_tuple: bool, heard: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network, made = Network(), flow()
    network.add_module("encoder", Encoded(as_tuple))

    def run(b):
        out = network.get_submodule("encoder")(b["words"])
        words = out[0] if as_tuple else out.last_hidden_state
        said, target = velocity_of(network, b | {"words": words, "heard": heard(b)})
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    tap = Tap("encoder", "tokens", before="word encoder", behind="words are read")
    return made | {"run": run, "module": network, "taps": [tap]}


@right(ANSWERS, "A tap on a module that returns a tuple")
def tap_on_a_tuple():
    return encoded(True, lambda b: b["heard"])


@wrong(
    ANSWERS,
    "A tap on a module that returns a record, behind which padded words are read",
    "words are read, tokens, leak",
)
def tap_on_a_record():
    return encoded(False, lambda b: torch.ones_like(b["heard"]))


def nested(loss_mask: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network, made = Network(), flow()
    flat = made["batch"]
    batch = {
        "observation": {"words": flat["words"], "heard": flat["heard"]},
        "chunk": {
            "action": flat["action"],
            "noise": flat["noise"],
            "masks": {"dims": flat["dims"], "steps": flat["steps"]},
        },
        "t": flat["t"],
    }

    def run(b):
        b = {"t": b["t"], **b["observation"], **b["chunk"], **b["chunk"]["masks"]}
        said, target = velocity_of(network, b)
        return Answer(said, lambda other: masked_mean(other - target, loss_mask(b)))

    places = {"dims": ({"chunk.action": 2, "chunk.noise": 2}, {"chunk.masks.dims": 1})}
    padding = [
        Padding("dims", DIM_MASK, *places["dims"]),
        Padding("steps", STEP_MASK, {"chunk.action": 1, "chunk.noise": 1}, {"chunk.masks.steps": 1}),
        Padding("tokens", WORD_MASK, {"observation.words": 1}, {"observation.heard": 1}),
    ]
    return {"run": run, "batch": batch, "padding": padding, "excused": NO_SAMPLER}


@right(ANSWERS, "A nested batch")
def nested_batch():
    return nested(real_of)


@wrong(ANSWERS, "A nested batch, of which padded dims count", "loss sum, dims, leak")
def nested_batch_with_padded_dims():
    return nested(lambda b: b["steps"][..., None].expand_as(b["action"]))


@right(ANSWERS, "Dropout as one operation, as on a GPU", unseen=True)
def dropout_as_one_operation():
    return dropping(lambda b: b["heard"])


@wrong(ANSWERS, "Dropout as one operation, and padded words are read", "prediction, tokens, leak")
def dropout_and_padded_words():
    return dropping(lambda b: torch.ones_like(b["heard"]))


def dropping(heard: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    network = Network()

    def run(b):
        kept, _ = torch.native_dropout(b["words"], 0.3, True)
        said, target = velocity_of(network, b | {"words": kept, "heard": heard(b), "t": b["t"]})
        dropped, _ = torch.native_dropout(torch.ones(len(said), WIDTH), 0.5, True)
        return Answer(said * dropped.mean(1)[:, None, None], lambda other: masked_mean(other - target, real_of(b)))

    def fixed(b):
        if b["words"].shape[1] != WORDS:
            raise ValueError("dropout of another shape")
        return run(b)

    return flow() | {"run": fixed}


@right(ANSWERS, "The steps are stretched onto a finer grid, and it is said which places of it are real", unseen=True)
def finer_grid():
    return stretched(lambda real: real[:, LOW] & real[:, HIGH], "&")


@wrong(ANSWERS, "On a finer grid, a place counts if one of its neighbours is real", "loss sum, steps, leak")
def finer_grid_that_counts_half_real_places():
    return stretched(lambda real: real[:, LOW] & real[:, HIGH], "|")


FINE = torch.linspace(0, STEPS - 1, 22)
LOW, HIGH = FINE.floor().long(), FINE.ceil().long()


def stretched(predicted: Callable[[Tensor], Tensor], how: str) -> dict[str, Any]:
    network, share = Network(), (FINE - LOW)[:, None]

    def run(b):
        action = torch.lerp(b["action"][:, LOW], b["action"][:, HIGH], share)
        both, either = b["steps"][:, LOW] & b["steps"][:, HIGH], b["steps"][:, LOW] | b["steps"][:, HIGH]
        noise, t = torch.randn_like(action), torch.rand(len(action))
        x = torch.lerp(noise, action, t[:, None, None]) * both[..., None]
        said, target = network(x, t, both), action - noise
        counts = (both if how == "&" else either)[..., None].expand_as(said)
        return Answer(said, lambda other: masked_mean(other - target, counts))

    batch = {"action": torch.randn(SAMPLES, STEPS, DIMS), "steps": STEP_MASK}
    padding = [Padding("steps", STEP_MASK, {"action": 1}, {"steps": 1}, predicted=predicted)]
    return {"run": run, "batch": batch, "padding": padding, "excused": NO_SAMPLER}


# ------------------------------------------------------------------------------- 8 what is read and is no target

READS = "what is read and not learnt"
LONG = 9
IDS = up_to(LONG, 9, 6, 7, 8)
PROMPT = up_to(LONG, 3, 2, 4, 1)


def language(
    readable: Callable[[Mapping, Tensor], Tensor],
    counts: Callable[[Mapping], Tensor],
    kind: Padding,
    **more: Any,
) -> dict[str, Any]:
    """Predicts the next token of a row, from all that it may read: `readable(b, causal)`, `batch, query, key`."""
    table, last, network = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY), nn.Linear(WIDTH, WIDTH)

    def run(b):
        ids = b["ids"]
        causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        hidden = table(ids)
        hidden = hidden + attended(network(hidden), hidden, readable(b, causal))
        logits, labels, real = last(hidden)[:, :-1], ids[:, 1:], counts(b)[:, 1:]
        return Answer(logits, lambda said: (each_of(said, labels) * real).sum() / real.sum())

    batch = {
        "ids": torch.randint(1, VOCABULARY, (SAMPLES, LONG)),
        "real": IDS,
        "prompt": PROMPT,
        "document": DOCUMENTS,
        "first": FIRST,
    }
    told = {"axes": {"tokens": 1}, "excused": NO_UNIT}
    return {"run": run, "batch": batch, "padding": [kind]} | told | more


DOCUMENTS = torch.tensor(
    [[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 0, 1, 1, 1, 1, 1, 1, 1], [0] * 9, [0, 0, 0, 0, 1, 1, 1, 1, 1]]
)
FIRST = torch.nn.functional.pad(DOCUMENTS[:, 1:] != DOCUMENTS[:, :-1], (1, 0), value=True)
MASKS = {"real": 1, "prompt": 1, "document": 1, "first": 1}


def next_token(**more: Any) -> Padding:
    return Padding("tokens", IDS, {"ids": 1}, MASKS, predicted=lambda real: real[:, 1:], **more)


@right(READS, "Predicts the next token")
def next_token_policy():
    return language(lambda b, causal: causal & b["real"][:, None], lambda b: b["real"], next_token())


@wrong(READS, "Predicts the next token, and learns one of padding", "loss sum, tokens, leak")
def next_token_of_padding():
    def counts(b):
        return b["real"] | torch.nn.functional.pad(b["real"][:, :-1], (1, 0), value=True)

    return language(lambda b, causal: causal & b["real"][:, None], counts, next_token())


@wrong(READS, "Predicts the next token, and never learns the last one", "loss sum, tokens, lost")
def next_token_without_the_last():
    return language(lambda b, causal: causal & b["real"][:, None], lambda b: one_less(b["real"]), next_token())


@wrong(READS, "Predicts the next token, and one token near the end is read by nobody else", "prediction, tokens, lost")
def next_token_with_a_hole():
    def readable(b, causal):
        shorter = one_less(one_less(b["real"]))
        return causal & (b["real"] & (~shorter | one_less(shorter)))[:, None]

    return language(readable, lambda b: b["real"], next_token())


@right(READS, "A prompt is read in both directions and not learnt, as with labels of -100")
def prompt_is_given():
    return language(both_ways, lambda b: b["real"] & ~b["prompt"], next_token(targets=~PROMPT))


def both_ways(b: Mapping, causal: Tensor) -> Tensor:
    return (causal | b["prompt"][:, None]) & b["real"][:, None]


@wrong(READS, "The prompt is learnt too", "loss sum, tokens, leak")
def prompt_is_learnt():
    return language(both_ways, lambda b: b["real"], next_token(targets=~PROMPT))


@wrong(READS, "The first word of the prompt is read by nobody", "prediction, tokens, lost")
def prompt_without_its_first_word():
    def readable(b, causal):
        return both_ways(b, causal) & (torch.arange(b["ids"].shape[1]) > 0)

    return language(readable, lambda b: b["real"] & ~b["prompt"], next_token(targets=~PROMPT))


def own_document(b: Mapping, causal: Tensor) -> Tensor:
    return causal & b["real"][:, None] & (b["document"][:, None] == b["document"][..., None])


@right(READS, "Documents are packed into rows, and each reads itself alone")
def packed_documents():
    kind = next_token(targets=~FIRST, documents=DOCUMENTS)
    return language(own_document, lambda b: b["real"] & ~b["first"], kind)


@wrong(READS, "Documents are packed into rows, and read what stands in front of them", "prediction, neighbours, leak")
def packed_documents_read_their_neighbours():
    kind = next_token(targets=~FIRST, documents=DOCUMENTS)
    return language(lambda b, causal: causal & b["real"][:, None], lambda b: b["real"] & ~b["first"], kind)


@wrong(READS, "The first word of a document is learnt from the document in front of it", "loss sum, tokens, leak")
def packed_documents_learn_across():
    kind = next_token(targets=~FIRST, documents=DOCUMENTS)
    return language(own_document, lambda b: b["real"], kind)


GIVEN = up_to(STEPS, 2, 1, 3, 0)


def real_time(counts: Callable[[Mapping], Tensor], shown: Callable[[Mapping], Tensor] = lambda b: b["given"]):
    """Steps that were sent to the robot already are given as they are; the others are noise."""
    network = Network()

    def run(b):
        given = shown(b)[..., None]
        noisy = torch.lerp(b["noise"], b["action"], b["t"][:, None, None])
        x = torch.where(given, b["action"], noisy) * real_of(b)
        said, target = network(x, b["t"], b["steps"], b["words"], b["heard"]), b["action"] - b["noise"]
        return Answer(said, lambda other: masked_mean(other - target, real_of(b) & counts(b)[..., None]))

    dims, _, words = flow_padding()
    steps = Padding("steps", STEP_MASK, {"action": 1, "noise": 1}, {"steps": 1, "given": 1}, targets=~GIVEN)
    return {"run": run, "batch": flow_batch(given=GIVEN), "padding": [dims, steps, words], "excused": NO_SAMPLER}


@right(READS, "Real-time chunking: the steps that were sent already are given, and not learnt")
def given_prefix():
    return real_time(lambda b: ~b["given"])


@wrong(READS, "Real-time chunking that learns what it is given", "loss sum, steps, leak")
def given_prefix_is_learnt():
    return real_time(lambda b: torch.ones_like(b["given"]))


@wrong(READS, "Real-time chunking that does not learn the first step behind what is given", "loss sum, steps, lost")
def step_behind_the_prefix_is_not_learnt():
    return real_time(lambda b: ~torch.nn.functional.pad(b["given"][:, :-1], (1, 0), value=True) & ~b["given"])


def blocks(readable: Callable[[Mapping], Tensor]) -> dict[str, Any]:
    """As in π0: words read words, a state reads both, steps read everything; here all of them are one row of keys."""
    network = Network()

    def run(b):
        noisy = torch.lerp(b["noise"], b["action"], b["t"][:, None, None]) * real_of(b)
        words = network.word(b["words"])
        row = torch.cat([words, network.first(noisy)], dim=1)
        count, size = words.shape[1], row.shape[1]
        is_step = torch.arange(size) >= count
        may = readable(b)[:, None] & (is_step[:, None] | ~is_step)
        row = row + attended(row, row, may)
        row = row + attended(row, row, may)
        said, target = network.last(row[:, count:].tanh()), b["action"] - b["noise"]
        return Answer(said, lambda other: masked_mean(other - target, real_of(b)))

    return flow() | {"run": run}


@right(READS, "A joint mask of words and steps, block by block, as in π0")
def joint_mask():
    return blocks(lambda b: torch.cat([b["heard"], b["steps"]], dim=1))


@wrong(READS, "A joint mask that forgets the words' padding", "prediction, tokens, leak")
def joint_mask_without_words():
    return blocks(lambda b: torch.cat([torch.ones_like(b["heard"]), b["steps"]], dim=1))


# -------------------------------------------------------------------------------- 9 training and the sampler agree

AGREE = "training and the sampler"
AS_TRAINED = {
    "prediction, dims": "the released weights were trained so",
    "sampler, dims": "the released weights were trained so",
}


class Shown(nn.Module):
    """A policy whose network is a module of its own; `shown` is what becomes of noisy actions before they reach it."""

    def __init__(self, shown: Callable, mask: Callable, scale: float = 1.0):
        super().__init__()
        self.network, self.shown, self.mask, self.scale = Network(), shown, mask, scale

    def answer(self, b: Mapping) -> Answer:
        noisy = self.shown(torch.lerp(b["noise"], b["action"], b["t"][:, None, None]), b, True)
        words = b["words"]
        said = self.network(noisy, b["t"], b["steps"], words, self.mask(b, True))
        return Answer(said, lambda other: masked_mean(other - (b["action"] - b["noise"]), real_of(b)))

    @torch.no_grad()
    def sample(self, b: Mapping) -> Tensor:
        x = b["noise"] * b["dims"][:, None] if self.scale else b["noise"]
        for step in range(2):
            t = torch.full_like(b["t"], step / 2)
            shown = self.shown(b["noise"] if step == 0 else x, b, False)
            x = x + self.network(shown, t, b["steps"], b["words"] * self.scale, self.mask(b, False)) / 2
            x = x * b["dims"][:, None]
        return x


def agreeing(shown: Callable, mask: Callable = lambda b, training: b["heard"], scale: float = 1.0, **more: Any):
    policy = Shown(shown, mask, scale)
    described = {"run": policy.answer, "sample": policy.sample, "module": policy, "parity": Parity("network", time="t")}
    return described | {"batch": flow_batch(), "padding": flow_padding()} | more


def only_steps(x: Tensor, b: Mapping) -> Tensor:
    return x * b["steps"][..., None]


@right(AGREE, "Both hide padding from the network")
def both_hide_padding():
    return agreeing(lambda x, b, training: x * real_of(b))


@right(AGREE, "Both show noise in padded dims, as released weights were trained, and that is declared")
def both_show_noise():
    return agreeing(lambda x, b, training: only_steps(x, b), intended=AS_TRAINED)


@wrong(AGREE, "Half a fix: the sampler shows 0 where training showed noise", "training and sampling, dims, mismatch")
def zeros_for_noise():
    only = {"prediction, dims": AS_TRAINED["prediction, dims"]}
    return agreeing(lambda x, b, training: only_steps(x, b) if training else x * real_of(b), intended=only)


@wrong(AGREE, "The same, and nobody says where the network is", "training and sampling, dims, mismatch")
def zeros_for_noise_seen_from_outside():
    return zeros_for_noise() | {"parity": None}


@wrong(AGREE, "The sampler forgets a mask that training had", "training and sampling, dims, mismatch")
def noise_for_zeros():
    only = {"sampler, dims": "it is so in the real-time path"}
    return agreeing(lambda x, b, training: x * real_of(b) if training else only_steps(x, b), intended=only)


@wrong(
    AGREE,
    "The mask comes from the data in training, and from the configuration in the sampler",
    "training and sampling, tokens, mismatch",
)
def masks_from_two_places():
    return agreeing(
        lambda x, b, training: x * real_of(b),
        lambda b, training: b["heard"] if training else torch.ones_like(b["heard"]),
        intended={"sampler, tokens": "the robot always has a full prompt"},
    )


@wrong(
    AGREE, "The sampler normalises what is observed in another way", "training and sampling, dims and steps, mismatch"
)
def another_normalisation():
    return agreeing(lambda x, b, training: x * real_of(b), scale=1.5)
