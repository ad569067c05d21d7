"""Seven probes, one for each leak, which look at the stages of the head one by one.

    leaks_found(head, observation, batch, noise, t)   ->   ("input leak", "step leak", ...)

A leak is a way in which padding has an effect on real entries; `groot_teach.masks` lists them. Most probes write other
numbers into the padding at the input of a stage, and check whether anything real changes at its output. Two of them
check a value instead. So each stage is judged by itself: a leak before it cannot be mistaken for its own, and a mask
after it cannot hide its leak.

The probes call the methods of this head, and read every point of its sampler's path. `groot_teach.audit` finds leaks in
any policy, from outside. For this head both have to find the same leaks.
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

    The head is probed in eval mode, so without dropout, and is put back into its own mode afterwards. All random
    numbers are seeded.

    Raises:
        ValueError: a batch without padded dims, steps or tokens, because a probe that has nothing to change would
            report that there is no leak; or a real number that is NaN or infinite, because nothing can be compared
            with that.
    """
    for name, mask in (
        ("batch.dim_mask", batch.dim_mask),
        ("batch.step_mask", batch.step_mask),
        ("observation.vl.backbone_attention_mask", observation.vl.backbone_attention_mask),
    ):
        if mask.all():
            raise ValueError(f"{name}: got no padding, expected some; a probe changes padding to see whether it leaks")
    real = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    if noise.shape != batch.actions.shape:
        raise ValueError(f"noise: got shape {[*noise.shape]}, expected {[*batch.actions.shape]}, as batch.actions")
    for name, values in (
        ("batch.actions", batch.actions[real]),
        ("noise", noise[real]),
        ("t", t),
        ("observation.vl.tokens", observation.vl.tokens[observation.vl.backbone_attention_mask]),
        ("observation.state", observation.state),
    ):
        if not values.isfinite().all():
            got = values[~values.isfinite()][0].item()
            raise ValueError(
                f"{name}: got {got} in a real entry, expected finite numbers; beside it no leak is visible"
            )
    was_training = head.training
    head.eval()
    try:
        step = _Step(head, observation, batch, noise, t)
        return tuple(leak.name for leak in LEAKS if _PROBES[leak.name](step))
    finally:
        head.train(was_training)


@dataclass(frozen=True, eq=False)
class _Step:
    """The arguments of one training step, and its first stages with other numbers in the padding."""

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

    @property
    def noisy_actions(self) -> Tensor:
        return interpolate(self.batch.actions, self.noise, self.t)

    def encoded(self, noisy_actions: Tensor) -> Tensor:
        """The action tokens for these noisy actions."""
        return self.head.encode_actions(noisy_actions, self.bucket, self.observation.embodiment_id, self.action_mask)

    def denoised(self, action_tokens: Tensor, tokens: Tensor) -> Tensor:
        """The transformer's output for the recorded steps, from these action tokens and vision-language tokens."""
        caches = self.head.remember_tokens(tokens, self.observation.vl)
        state = self.head.encode_state(self.observation.state, self.observation.embodiment_id)
        answers = self.head.denoise(state, action_tokens, caches, self.bucket, self.batch.step_mask)
        return answers[self.batch.step_mask]


def _input(step: _Step) -> bool:
    """With other noisy actions in padded entries, do the action tokens change? At t = 1 other noise would be none."""
    shown = step.noisy_actions
    return _differ(step.encoded(shown), step.encoded(_other(shown, ~step.action_mask)))


def _steps(step: _Step) -> bool:
    """With other action tokens for padded steps, does the output for recorded steps change?"""
    actions, tokens = step.encoded(step.noisy_actions), step.head.read_tokens(step.observation.vl)
    other = _other(actions, ~step.batch.step_mask[..., None])
    return _differ(step.denoised(actions, tokens), step.denoised(other, tokens))


def _mixing(step: _Step) -> bool:
    """With other padded tokens, do the real tokens change in the VL self-attention?"""
    vl = step.observation.vl
    real = vl.backbone_attention_mask
    other = replace(vl, tokens=_other(vl.tokens, ~real[..., None]))
    return _differ(step.head.read_tokens(vl)[real], step.head.read_tokens(other)[real])


def _context(step: _Step) -> bool:
    """With other padded tokens after the VL self-attention, does the transformer's output change?"""
    actions, tokens = step.encoded(step.noisy_actions), step.head.read_tokens(step.observation.vl)
    other = _other(tokens, ~step.observation.vl.backbone_attention_mask[..., None])
    return _differ(step.denoised(actions, tokens), step.denoised(actions, other))


def _target(step: _Step) -> bool:
    """With other targets in padded entries, does the loss change?"""
    target = velocity_target(step.batch.actions, step.noise)[..., : step.head.config.decoded_dim]
    padded = ~step.action_mask[..., : step.head.config.decoded_dim]
    counted, pred = step.head.counted(step.batch), torch.zeros_like(target)
    return _differ(step.head.compare(pred, target, counted), step.head.compare(pred, _other(target, padded), counted))


def _denominator(step: _Step) -> bool:
    """With an error of 2 in every counted entry, is the loss anything but 4? The 1e-6 that GR00T adds is tolerated."""
    counted = step.head.counted(step.batch)
    error = torch.where(counted, 2.0, 0.0).to(step.noise.dtype)
    loss = step.head.compare(torch.zeros_like(error), error, counted)
    return not torch.isclose(loss, torch.tensor(4.0, dtype=loss.dtype, device=loss.device), rtol=1e-5)


def _rollout(step: _Step) -> bool:
    """On the sampler's path, do padded entries hold anything but 0 or the noise that training shows there?"""
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
    """The same values, but random numbers around 1 where `where` is True."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(values.shape, dtype=torch.float64, generator=generator)
    return torch.where(where, 1 + drawn.to(values), values)


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
