"""The museum of silent mask bugs: one small policy, one ragged batch, and sixteen wrong parts for the policy.

    ToyPolicy()                        obeys every mask
    ToyPolicy(reduce=wrong_key)        the same weights, one part replaced
    audit(policy)                      what the auditor says of it
    everyday_checks(policy)            what most of us would have looked at
    EXHIBITS                           each bug with its thread, its quiet symptom and its part

A part is a function of the batch, and a policy has seven of them. Every wrong part runs, gives the right shapes, and
trains. They re-create what public threads describe, on a policy of our own; none of them is the code of a thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.audit import Answer, MaskReport, Padding, Tap, audit_masks
from groot_teach.audit.report import SAMPLED, SAMPLER
from groot_teach.flow import interpolate

Batch = dict[str, Tensor]
Part = Callable[..., Any]

PADDED_DIM, HORIZON, KEY_LEN, WIDTH, HEADS = 7, 5, 6, 8, 2
EULER_STEPS = 2

# ----------------------------------------------------------------------------------------------------------- batches

BATCHES: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]] = {
    "ragged": ((7, 4, 2, 5), (5, 3, 4, 2), (6, 4, 3, 2)),
    "equal robots": ((4, 4, 4, 4), (3, 3, 3, 3), (4, 4, 4, 4)),
    "one robot": ((4,), (3,), (4,)),
    "empty prompt": ((7, 4, 2, 5), (5, 3, 4, 2), (6, 4, 3, 0)),
}
"""How many dims, steps and tokens of each robot are real. All are padded to 7 dims, 5 steps and 6 tokens."""


def toy_batch(name: str = "ragged", seed: int = 0) -> Batch:
    """One batch, with everything that a training step needs.

    `actions` and `noise` (batch, action_horizon, padded_dim), `t` (batch), `tokens` (batch, key_len, width), float64;
    `dim_mask`, `step_mask` and `token_mask`, bool, **True = real**; and LeRobot's `action_is_pad`, bool, True =
    padding. Padded dims hold 0, padded steps a copy of the last action, padded tokens numbers like all others.

    Raises:
        ValueError: there is no such batch.
    """
    if name not in BATCHES:
        raise ValueError(f"name: got {name!r}, expected one of {[*BATCHES]}")
    sizes = (torch.tensor(size)[:, None] for size in BATCHES[name])
    dim_mask, step_mask, token_mask = (
        torch.arange(longest) < size for longest, size in zip((PADDED_DIM, HORIZON, KEY_LEN), sizes, strict=True)
    )
    generator = torch.Generator().manual_seed(seed)
    float64 = {"dtype": torch.float64, "generator": generator}
    robots = len(dim_mask)
    actions = torch.randn(robots, HORIZON, PADDED_DIM, **float64) * dim_mask[:, None, :]
    last = step_mask.sum(dim=1) - 1
    copies = actions[torch.arange(robots), last][:, None, :]
    return {
        "actions": torch.where(step_mask[:, :, None], actions, copies),
        "noise": torch.randn(robots, HORIZON, PADDED_DIM, **float64),
        "t": torch.rand(robots, **float64),
        "tokens": torch.randn(robots, KEY_LEN, WIDTH, **float64),
        "dim_mask": dim_mask,
        "step_mask": step_mask,
        "token_mask": token_mask,
        "action_is_pad": ~step_mask,
    }


# -------------------------------------------------------------------------------------------------- the seven parts


def action_mask(batch: Batch) -> Tensor:
    """Batch, action_horizon, padded_dim; True = a real entry."""
    return batch["step_mask"][:, :, None] & batch["dim_mask"][:, None, :]


def key_mask(real: Tensor) -> Tensor:
    """Batch, 1, 1, key_len: every head and every query may read the keys that are real."""
    return real[:, None, None, :]


def prompt(batch: Batch) -> Batch:
    """What is read: the tokens, and which of them are real."""
    return {"tokens": batch["tokens"], "token_mask": batch["token_mask"]}


def token_mask(batch: Batch) -> Tensor:
    """Which tokens a token may read."""
    return key_mask(batch["token_mask"])


def self_mask(batch: Batch) -> Tensor:
    """Which steps a step may read."""
    return key_mask(batch["step_mask"])


def cross_mask(batch: Batch) -> Tensor:
    """Which tokens a step may read."""
    return key_mask(batch["token_mask"])


def reduce(squared_error: Tensor, batch: Batch) -> Tensor:
    """One number from all errors: their mean over real entries."""
    return squared_error[action_mask(batch)].mean()


def sample(policy: "ToyPolicy", batch: Batch) -> Tensor:
    """Actions by Euler steps from `noise`; padded entries are held at 0."""
    actions = torch.where(action_mask(batch), batch["noise"], 0.0)
    for step in range(EULER_STEPS):
        t = torch.full_like(batch["t"], step / EULER_STEPS)
        moved = actions + policy.velocity(actions, t, batch) / EULER_STEPS
        actions = torch.where(action_mask(batch), moved, 0.0)
    return actions


PARTS: dict[str, Part] = {
    "prompt": prompt,
    "token_mask": token_mask,
    "input_mask": action_mask,
    "self_mask": self_mask,
    "cross_mask": cross_mask,
    "reduce": reduce,
    "sample": sample,
}
"""The right parts, in the order in which they are asked."""


# ---------------------------------------------------------------------------------------------------------- the policy


class Attention(nn.Module):
    """Attention of two heads. `mask` is bool, True = may be read; or float, and then it is added; or None."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class ToyPolicy(nn.Module):
    """A flow policy with every stage of GR00T's head, as small as can be, and random weights, always the same.

    Args:
        parts: the parts to replace, by their name in `PARTS`.

    Raises:
        ValueError: there is no such part.
    """

    def __init__(self, **parts: Part) -> None:
        super().__init__()
        for name in parts:
            if name not in PARTS:
                raise ValueError(f"parts: got {name!r}, expected one of {[*PARTS]}")
        self.part = PARTS | parts
        with torch.random.fork_rng(devices=[]):  # the layers draw first weights of their own
            self.mixer, self.self_attention, self.cross_attention = Attention(), Attention(), Attention()
            self.memory = nn.Identity()  # what the steps read; a name, so that an audit can listen there
            self.encoder, self.time = nn.Linear(PADDED_DIM, WIDTH), nn.Linear(1, WIDTH)
            self.decoder = nn.Linear(WIDTH, PADDED_DIM)
        self.place = nn.Parameter(torch.empty(HORIZON, WIDTH))
        self.double()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for weight in self.parameters():
                drawn = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
                weight.copy_(drawn / sqrt(weight.shape[-1]))

    def velocity(self, noisy_actions: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """The predicted velocity (batch, action_horizon, padded_dim)."""
        batch = batch | self.part["prompt"](batch)
        tokens = batch["tokens"]
        tokens = self.memory(tokens + self.mixer(tokens, tokens, self.part["token_mask"](batch)))
        steps = self.encoder(torch.where(self.part["input_mask"](batch), noisy_actions, 0.0))
        steps = steps + self.place[: steps.shape[1]] + self.time(t[:, None])[:, None]
        steps = steps + self.self_attention(steps, steps, self.part["self_mask"](batch))
        steps = steps + self.cross_attention(steps, tokens, self.part["cross_mask"](batch))
        return self.decoder(steps.tanh())

    def answer(self, batch: Batch) -> Answer:
        """What a training step predicts, and how it turns a prediction into a loss."""
        predicted = self.velocity(interpolate(batch["actions"], batch["noise"], batch["t"]), batch["t"], batch)
        target = batch["actions"] - batch["noise"]
        return Answer(predicted, lambda said: self.part["reduce"]((said - target).square(), batch))

    def loss(self, batch: Batch) -> Tensor:
        answer = self.answer(batch)
        return answer.loss(answer.prediction)

    def sample(self, batch: Batch) -> Tensor:
        return self.part["sample"](self, batch)


# ------------------------------------------------------------------------------------------------------- the checks

TAPS = (
    Tap("encoder", axis="steps", before="action encoder", behind="DiT self-attention"),
    Tap("memory", axis="tokens", before="VL self-attention", behind="DiT cross-attention"),
)


def audit(
    policy: ToyPolicy, batch: Batch | None = None, taps: Sequence[Tap] = TAPS, intended: Mapping[str, str] | None = None
) -> MaskReport:
    """The auditor on a policy of the museum; None = the ragged batch. `taps` and `intended` are those of `audit_masks`.

    Raises:
        ValueError: as `audit_masks`.
    """
    batch = toy_batch() if batch is None else batch
    padding = [
        Padding("dims", batch["dim_mask"], {"actions": 2, "noise": 2}, {"dim_mask": 1}),
        Padding("steps", batch["step_mask"], {"actions": 1, "noise": 1}, {"step_mask": 1, "action_is_pad": 1}),
        Padding("tokens", batch["token_mask"], {"tokens": 1}, {"token_mask": 1}),
    ]
    return audit_masks(policy.answer, batch, padding, module=policy, taps=taps, sample=policy.sample, intended=intended)


def train_a_little(policy: ToyPolicy, steps: int = 60) -> list[float]:
    """The losses of a short training on eight ragged batches, with Adam. The policy's weights move."""
    batches = [toy_batch(seed=seed) for seed in range(1, 9)]
    adam = torch.optim.Adam(policy.parameters(), lr=0.01)
    losses = []
    for step in range(steps):
        loss = policy.loss(batches[step % len(batches)])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def falls(losses: Sequence[float]) -> bool:
    """The last eight losses are on average at least a tenth below the first eight."""
    return sum(losses[-8:]) < 0.9 * sum(losses[:8])


FLIPS = {"dim_mask": 3, "step_mask": 2, "token_mask": 3}
"""Robot 2 has 4 dims, 3 steps and 4 tokens: its last one of each."""


@torch.no_grad()
def unmoved_by_flips(policy: ToyPolicy) -> list[str]:
    """The masks that seem not to matter: called padding, a real entry of them moves nothing.

    For dims and steps the prediction is held fast, so that only the loss can move; for tokens the prediction must.
    """
    batch = toy_batch()
    real = action_mask(batch)
    answer = policy.answer(batch)
    unmoved = []
    for name, place in FLIPS.items():
        flipped = batch[name].clone()
        flipped[1, place] = False
        other = batch | {name: flipped}
        other["action_is_pad"] = ~other["step_mask"]
        again = policy.answer(other)
        if name == "token_mask":
            still = torch.equal(again.prediction[real], answer.prediction[real])
        else:
            still = torch.equal(again.loss(answer.prediction), answer.loss(answer.prediction))
        unmoved += [name] if still else []
    return unmoved


EVERYDAY = ("shapes", "training", "flip")
AUDITED = ("perturb", "compact", "gradient", "unit error", "sampler")
CHECKS = (*EVERYDAY, *AUDITED)


def everyday_checks(policy: ToyPolicy) -> dict[str, bool]:
    """What most of us look at; True = it would have made you stop.

    shapes    the prediction and the sampled actions have the shape of the actions, the loss is one finite number
    training  the loss does not fall
    flip      a real entry is called padding, and nothing moves
    """
    batch = toy_batch()
    with torch.no_grad():
        made = policy.answer(batch).prediction, policy.sample(batch)
        loss = policy.loss(batch)
    rightly = all(one.shape == batch["actions"].shape for one in made) and loss.ndim == 0 and bool(loss.isfinite())
    unmoved = unmoved_by_flips(policy)
    return {
        "shapes": not rightly,
        "training": not falls(train_a_little(ToyPolicy(**policy.part))),
        "flip": bool(unmoved),
    }


def audited_checks(report: MaskReport) -> dict[str, bool]:
    """Which probe of an audit found something: the four on the way to the loss, and any of them on the sampler."""
    of_sampler = [finding for finding in report.findings if finding.stage in (SAMPLER, SAMPLED)]
    others = [finding for finding in report.findings if finding not in of_sampler]
    found = {probe for finding in others for probe in finding.probes}
    return {name: bool(of_sampler) if name == "sampler" else name in found for name in AUDITED}


# -------------------------------------------------------------------------------------------------- the wrong parts
# The chapter writes each of them out; a test holds the two against each other.


def wrong_key(squared_error, batch):
    action_is_pad = batch.get("actions_id_pad")
    counts = batch["dim_mask"][:, None, :].expand_as(squared_error)
    if action_is_pad is not None:
        counts = counts & ~action_is_pad[:, :, None]
    return squared_error[counts].mean()


def thrown_away(squared_error, batch):
    counts = action_mask(batch)
    squared_error.masked_fill(~counts, 0.0)
    return squared_error.sum() / counts.sum()


def removes_nothing(squared_error, batch):
    recorded = squared_error[batch["step_mask"]]
    without_padding = recorded[:, :PADDED_DIM]
    return without_padding.mean()


def copies_count(squared_error, batch):
    counts = torch.zeros_like(squared_error, dtype=torch.bool)
    for robot, dims in enumerate(batch["dim_mask"].sum(dim=1)):
        counts[robot, :, :dims] = True
    return squared_error[counts].mean()


def mean_of_everything(squared_error, batch):
    return (squared_error * action_mask(batch)).mean()


def counts_steps(squared_error, batch):
    total = (squared_error * action_mask(batch)).sum()
    return total / batch["step_mask"].sum()


def upside_down(batch):
    return ~key_mask(batch["token_mask"])


def commented_out(batch):
    return None  # key_mask(batch["token_mask"])


def zeros_and_ones(batch):
    return key_mask(batch["token_mask"]).double()


def wrong_axis(batch):
    real = batch["step_mask"][:, None, :, None]
    hidden = torch.zeros_like(real, dtype=torch.float64)
    return hidden.masked_fill(~real, -1e4)


def whose_mask(batch):
    robots, key_len = batch["token_mask"].shape
    for_heads = batch["token_mask"].repeat(HEADS, 1)
    return for_heads.view(robots, HEADS, 1, key_len)


def first_prompt(batch):
    names = "tokens", "token_mask"
    return {name: batch[name][:1].expand_as(batch[name]) for name in names}


def finite_fill(batch):
    real = key_mask(batch["token_mask"])
    hidden = torch.zeros_like(real, dtype=torch.float64)
    return hidden.masked_fill(~real, -1e6)


def everything_enters(batch):
    return torch.ones_like(batch["actions"], dtype=torch.bool)


def everybody_reads(batch):
    return None


def training_only(policy, batch):
    every_dim = torch.ones_like(batch["dim_mask"])
    return sample(policy, batch | {"dim_mask": every_dim})


def only_the_first(batch):
    step = torch.arange(batch["step_mask"].shape[1])[:, None]
    token = torch.arange(batch["token_mask"].shape[1])
    return key_mask(batch["token_mask"]) & (token <= step)


# --------------------------------------------------------------------------------------------------------- the exhibits


@dataclass(frozen=True)
class Exhibit:
    """One bug of the museum.

    Attributes:
        number: its place in the chapter.
        title: a few words.
        room: what kind of bug it is.
        threads: where it was reported or read: keys of `book/references.bib`, the main one first.
        wrong: what was wrong, in one sentence.
        symptom: what was seen of it, as far as the threads say.
        parts: what it replaces in a `ToyPolicy`.
    """

    number: int
    title: str
    room: str
    threads: tuple[str, ...]
    wrong: str
    symptom: str
    parts: Mapping[str, Part]

    @property
    def name(self) -> str:
        """`1 the wrong key`."""
        return f"{self.number} {self.title}"

    def policy(self) -> ToyPolicy:
        return ToyPolicy(**self.parts)


NEVER_RAN, DIVIDED, OTHERWISE, OTHERS, EDGE, BEHIND, AWAY = (
    "The mask that never ran",
    "Divided by what?",
    "The mask that says something else",
    "The others in the batch",
    "The edge",
    "Behind a correct loss",
    "The one that nearly got away",
)

EXHIBITS = (
    Exhibit(
        number=1,
        title="the wrong key",
        room=NEVER_RAN,
        threads=("lerobot_pr_1717", "lerobot_issue_1707", "lerobot_pr_774", "lerobot_pr_1260"),
        wrong="The loss asks the batch for a key that nobody writes, gets None, and goes on without a mask.",
        symptom="None: it does not raise any errors, says the repair.",
        parts={"reduce": wrong_key},
    ),
    Exhibit(
        number=2,
        title="the result thrown away",
        room=NEVER_RAN,
        threads=("espnet_issue_1272", "espnet_pr_1273", "parlai_pr_3068"),
        wrong="`masked_fill` gives a new tensor, and nobody keeps it.",
        symptom="None before, and hardly a difference in the first epochs after the repair.",
        parts={"reduce": thrown_away},
    ),
    Exhibit(
        number=3,
        title="the slice that removes nothing",
        room=NEVER_RAN,
        threads=("lerobot_pr_1260", "lerobot_pr_3133"),
        wrong="Errors are cut down to the width to which they were padded.",
        symptom="None reported.",
        parts={"reduce": removes_nothing},
    ),
    Exhibit(
        number=4,
        title="copies that count",
        room=NEVER_RAN,
        threads=("openpi_pr_894", "openpi_issue_681", "lingbot_issue_19", "code_lerobot_0_4_4"),
        wrong="Steps past the end of an episode are filled with copies, and the mask calls the copies real.",
        symptom="A policy may get stuck where its demonstrations end, says the repair; nobody measured it.",
        parts={"reduce": copies_count},
    ),
    Exhibit(
        number=5,
        title="the mean of everything",
        room=DIVIDED,
        threads=("lerobot_issue_3353", "lerobot_pr_3434", "tfdocs_pr_1460"),
        wrong="Padded errors are set to 0, and then counted.",
        symptom="A loss that is too small.",
        parts={"reduce": mean_of_everything},
    ),
    Exhibit(
        number=6,
        title="the repair's own divisor",
        room=DIVIDED,
        threads=("lerobot_pr_3377", "lerobot_pr_3442"),
        wrong="Errors are summed over steps and dims, and divided by the number of steps.",
        symptom="None: a reviewer saw it before it was merged.",
        parts={"reduce": counts_steps},
    ),
    Exhibit(
        number=7,
        title="upside down",
        room=OTHERWISE,
        threads=("halonet_issue_4", "halonet_pr_6"),
        wrong="True means padding where the layer takes it for real.",
        symptom="None, in more than three years between the report and its repair.",
        parts={"cross_mask": upside_down},
    ),
    Exhibit(
        number=8,
        title="commented out",
        room=OTHERWISE,
        threads=("gr00t_issue_417", "starvla_issue_184", "mistral_inference_pr_218"),
        wrong="The mask is handed to a block that does not hand it on.",
        symptom="None that mattered, or nearly all of the score: two projects, two answers.",
        parts={"cross_mask": commented_out},
    ),
    Exhibit(
        number=9,
        title="zeros and ones added",
        room=OTHERWISE,
        threads=("diffusers_issue_12116", "diffusers_issue_11724", "diffusers_pr_12263"),
        wrong="A mask of 0 and 1 in floats is added to the scores: real tokens get 1 more, padding stays.",
        symptom="Images are bad for short prompts; for a long one the difference is small.",
        parts={"cross_mask": zeros_and_ones},
    ),
    Exhibit(
        number=10,
        title="the wrong axis",
        room=OTHERWISE,
        threads=("hyunwoongko_pr_40", "seq2seq_issue_96"),
        wrong="The mask hides padded queries and not padded keys, and its finite fill keeps that from giving NaN.",
        symptom="None: it worked, and passed smoke tests.",
        parts={"self_mask": wrong_axis},
    ),
    Exhibit(
        number=11,
        title="whose mask is this?",
        room=OTHERS,
        threads=("lighthouse_pr_77", "clip4clip_issue_22"),
        wrong="Masks are tiled where the heads of one sample lie side by side, so heads get another sample's mask.",
        symptom="A sample's output depends on the others in its batch.",
        parts={"cross_mask": whose_mask},
    ),
    Exhibit(
        number=12,
        title="one prompt for everybody",
        room=OTHERS,
        threads=("code_lerobot_0_4_4", "lerobot_issue_2505"),
        wrong="Of a list of prompts the first is taken, for the whole batch.",
        symptom="A policy that does the same whatever it is told; the cause is our guess.",
        parts={"prompt": first_prompt},
    ),
    Exhibit(
        number=13,
        title="nothing left to read",
        room=EDGE,
        threads=("d2l_pr_2423", "transformerlens_issue_318", "pytorch_issue_103963"),
        wrong="A finite number stands for minus infinity, and a prompt without a token reads the mean of its padding.",
        symptom="None in d2l; in TransformerLens the answers differed from those of another library.",
        parts={"cross_mask": finite_fill},
    ),
    Exhibit(
        number=14,
        title="the leak before the loss",
        room=BEHIND,
        threads=("gr00t_issue_742", "gr00t_pr_741"),
        wrong="The loss is masked, but padded dims and steps take part in the prediction.",
        symptom="None on a robot; the thread compares a padded batch with an unpadded one.",
        parts={"input_mask": everything_enters, "self_mask": everybody_reads},
    ),
    Exhibit(
        number=15,
        title="half a repair",
        room=BEHIND,
        threads=("opentau_pr_344", "opentau_issue_345", "starvla_pr_435"),
        wrong="Training obeys a mask, and the sampler does not.",
        symptom="None: it was taken back in review, unmeasured.",
        parts={"sample": training_only},
    ),
    Exhibit(
        number=16,
        title="too much",
        room=AWAY,
        threads=("kerasio_pr_1046", "kerasio_pr_1997"),
        wrong="A mask for another attention is laid over this one, so each step may read the first tokens only.",
        symptom="None that could be told from other faults of the same example.",
        parts={"cross_mask": only_the_first},
    ),
)
NO_BUG = "no bug"


def policy_named(name: str) -> ToyPolicy:
    """The policy of the exhibit with this `name`, or the right one for `NO_BUG`.

    Raises:
        ValueError: there is no such exhibit.
    """
    if name == NO_BUG:
        return ToyPolicy()
    for exhibit in EXHIBITS:
        if exhibit.name == name:
            return exhibit.policy()
    raise ValueError(f"name: got {name!r}, expected {NO_BUG!r} or one of {[exhibit.name for exhibit in EXHIBITS]}")


@cache
def report_on(name: str, batch: str = "ragged") -> MaskReport:
    """The auditor's report on the exhibit of this name, on one of `BATCHES`; made once.

    Raises:
        ValueError: there is no such exhibit, or no such batch.
    """
    return audit(policy_named(name), toy_batch(batch))


def checks_on(name: str) -> dict[str, bool]:
    """Which of `CHECKS` catches the exhibit of this name, on the ragged batch.

    Raises:
        ValueError: there is no such exhibit.
    """
    return everyday_checks(policy_named(name)) | audited_checks(report_on(name))
