"""Seven probes, one for each leak: each looks at its own stage of the head, whatever the other stages do.

    leaks_found(head, observation, batch, noise, t)   ->   ("input leak", "step leak", ...)

A probe writes other numbers into padding where it enters the stage, and looks whether anything real moves where the
stage ends; two of them ask for a value instead. So a door is found open or shut for what it is: nothing that a door
before it lets through, or a door behind it holds back, can be mistaken for it.

These know the head from inside, its methods and every point of its sampler's path. `audit` knows no head, and asks any
policy from outside; for this one both have to say the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach.flow import interpolate, time_bucket, velocity_target
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.masks import LEAKS
from groot_teach.padding import ActionBatch, action_mask_dims_and_steps
from groot_teach.shapes import checked


@checked
@torch.no_grad()
def leaks_found(
    head: ActionHead,
    observation: Observation,
    batch: ActionBatch,
    noise: Float[Tensor, "batch action_horizon padded_dim"],
    t: Float[Tensor, " batch"],
) -> tuple[str, ...]:
    """The names of the leaks that the probes find in `head`, in the order of `LEAKS`.

    The head is asked in eval mode, without dropout, and left as it was. All randomness is seeded.

    Raises:
        ValueError: a batch without padded dims, steps or tokens: there a probe cannot look, so it does not say `shut`.
    """
    for name, mask in (
        ("batch.dim_mask", batch.dim_mask),
        ("batch.step_mask", batch.step_mask),
        ("observation.vl.backbone_attention_mask", observation.vl.backbone_attention_mask),
    ):
        if mask.all():
            raise ValueError(f"{name}: got no padding, expected some; without it no probe can see a leak")
    was_training = head.training
    head.eval()
    try:
        step = _Step(head, observation, batch, noise, t)
        return tuple(leak.name for leak in LEAKS if _PROBES[leak.name](step))
    finally:
        head.train(was_training)


@dataclass(frozen=True, eq=False)
class _Step:
    """One training step, for the probes to change."""

    head: ActionHead
    observation: Observation
    batch: ActionBatch
    noise: Tensor
    t: Tensor

    @property
    def action_mask(self) -> Tensor:
        return action_mask_dims_and_steps(self.batch.dim_mask, self.batch.step_mask)

    @property
    def bucket(self) -> Tensor:
        return time_bucket(self.t)

    def encoded(self, noise: Tensor) -> Tensor:
        noisy_actions = interpolate(self.batch.actions, noise, self.t)
        return self.head.encode_actions(noisy_actions, self.bucket, self.observation.embodiment_id, self.action_mask)

    def denoised(self, action_tokens: Tensor, tokens: Tensor) -> Tensor:
        """What the transformer makes of the recorded steps."""
        memories = self.head.remember_tokens(tokens, self.observation.vl)
        state = self.head.encode_state(self.observation.state, self.observation.embodiment_id)
        answers = self.head.denoise(state, action_tokens, memories, self.bucket, self.batch.step_mask)
        return answers[self.batch.step_mask]


def _input(step: _Step) -> bool:
    """Other noise in padded entries: do the action tokens move?"""
    return _differ(step.encoded(step.noise), step.encoded(_other(step.noise, ~step.action_mask)))


def _steps(step: _Step) -> bool:
    """Other tokens in the place of padded steps: do the answers for recorded ones move?"""
    actions, tokens = step.encoded(step.noise), step.head.read_tokens(step.observation.vl)
    other = _other(actions, ~step.batch.step_mask[..., None])
    return _differ(step.denoised(actions, tokens), step.denoised(other, tokens))


def _mixing(step: _Step) -> bool:
    """Other padded tokens: do the real ones move by reading each other?"""
    vl = step.observation.vl
    real = vl.backbone_attention_mask
    other = replace(vl, tokens=_other(vl.tokens, ~real[..., None]))
    return _differ(step.head.read_tokens(vl)[real], step.head.read_tokens(other)[real])


def _context(step: _Step) -> bool:
    """Other padded tokens, after they have read each other: do the answers move?"""
    actions, tokens = step.encoded(step.noise), step.head.read_tokens(step.observation.vl)
    other = _other(tokens, ~step.observation.vl.backbone_attention_mask[..., None])
    return _differ(step.denoised(actions, tokens), step.denoised(actions, other))


def _target(step: _Step) -> bool:
    """Other targets in padded entries: does the loss move?"""
    target = velocity_target(step.batch.actions, step.noise)[..., : step.head.config.decoded_dim]
    padded = ~step.action_mask[..., : step.head.config.decoded_dim]
    counted, pred = step.head.counted(step.batch), torch.zeros_like(target)
    return _differ(step.head.compare(pred, target, counted), step.head.compare(pred, _other(target, padded), counted))


def _denominator(step: _Step) -> bool:
    """An error of 2 in every entry that counts: is the loss anything but 4? GR00T's 1e-6 is let pass."""
    counted = step.head.counted(step.batch)
    error = torch.where(counted, 2.0, 0.0).to(step.noise.dtype)
    loss = step.head.compare(torch.zeros_like(error), error, counted)
    return not torch.isclose(loss, torch.tensor(4.0, dtype=loss.dtype, device=loss.device), rtol=1e-5)


def _rollout(step: _Step) -> bool:
    """Do padded entries of the sampler hold anything but 0, or what training showed there?"""
    path = step.head.sample(step.observation, step.noise, step.batch.dim_mask, step.batch.step_mask)
    at = torch.linspace(0, 1, len(path), dtype=path.dtype, device=path.device)[:, None, None, None]
    held, shown = path[:, ~step.action_mask], ((1 - at) * step.noise)[:, ~step.action_mask]
    return not (held.eq(0).all() or torch.allclose(held, shown))


_PROBES: dict[str, Callable[[_Step], bool]] = {
    "input leak": _input,
    "step leak": _steps,
    "mixing leak": _mixing,
    "context leak": _context,
    "target leak": _target,
    "denominator leak": _denominator,
    "rollout leak": _rollout,
}


def _other(values: Tensor, where: Tensor) -> Tensor:
    """Other numbers of the same size where `where` is True."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(values.shape, dtype=torch.float64, generator=generator)
    return torch.where(where, 1 + drawn.to(values), values)


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(one, other)
