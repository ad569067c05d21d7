"""What finds a bug of the toy policy: the checks that most of us make, and the probes of the auditor."""

from collections.abc import Mapping, Sequence

import torch

from groot_teach.audit import MaskReport, Padding, Tap, audit_masks
from groot_teach.audit.names import SAMPLED, SAMPLER
from groot_teach.bugs.policy import Batch, ToyPolicy, action_mask, toy_batch

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
    prediction = policy.answer(batch).prediction
    unmoved = []
    for name, place in FLIPS.items():
        flipped = batch[name].clone()
        flipped[1, place] = False
        other = batch | {name: flipped}
        other["action_is_pad"] = ~other["step_mask"]
        if name == "token_mask":
            still = torch.equal(policy.answer(other).prediction[real], prediction[real])
        else:
            still = torch.equal(policy.loss_of(prediction, other), policy.loss_of(prediction, batch))
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
