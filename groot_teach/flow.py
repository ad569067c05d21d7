"""Flow matching: what the network is shown, what it is asked for, and how an answer becomes an action.

    t = 0                                                              t = 1
    noise ------- noisy_actions = (1 - t) * noise + t * actions ------ actions
                  velocity_target = actions - noise, the same all along the line

In training the network sees `noisy_actions` and `t`, and is asked for the velocity. At inference it starts from noise
and takes a few Euler steps along the velocities that it predicts.

**Padded dims go the same way.** Their action is 0, so on the line they hold `(1 - t) * noise`: noise of standard
deviation `1 - t`, and zero only at t = 1. Their target is `-noise`. At inference nobody says what they should hold;
the three answers are the three positions of `Masking.sampler`.

`t` is flow time. It is never the robot's time, which is the step within the chunk.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from groot_teach.shapes import checked, expect_same

BETA_ALPHA = 1.5
"""GR00T draws `s` from Beta(1.5, 1): `noise_beta_alpha` and `noise_beta_beta` in every version that we read."""

NOISE_S = 0.999
"""GR00T's `noise_s`. What it is for differs between versions: see `flow_time_n1_5` and `flow_time_n1_7`."""

TIME_BUCKETS = 1000
"""GR00T's `num_timestep_buckets`: the network is told the flow time in thousandths."""

EARLIEST = -0.0011
"""No flow time lies before this. N1.5's smallest is -0.001001..."""


# ------------------------------------------------------------------------------------------------- the flow time


@checked
def sample_beta(batch: int, generator: torch.Generator) -> Float[Tensor, " batch"]:
    """Draws `batch` numbers `s` from Beta(1.5, 1), float64: large ones are likelier, the density grows like sqrt(s).

    Raises:
        ValueError: `batch` is less than 1.

    Source: `torch.distributions.Beta` in huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 253.
    We differ: that class takes no generator. For Beta(a, 1) the distribution function is `s ** a`, so we invert it:
    the same distribution, another random stream.
    """
    if batch < 1:
        raise ValueError(f"batch: got {batch}, expected 1 or more")
    uniform = torch.rand(batch, dtype=torch.float64, generator=generator, device=generator.device)
    return uniform ** (1 / BETA_ALPHA)


@checked
def flow_time_n1_5(s: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """GR00T N1.5's flow time, `(0.999 - s) / 0.999`: from 1 down to **-0.001001**, a little before the noise.

    Raises:
        ValueError: an `s` outside [0, 1].

    Source: huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 252-254.
    """
    _between_0_and_1("s", s)
    return (NOISE_S - s) / NOISE_S


@checked
def flow_time_n1_7(s: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """GR00T N1.7's flow time, `(1 - s) * 0.999`: from 0.999 down to 0. N1.6 has the same.

    Raises:
        ValueError: an `s` outside [0, 1].

    Source: huggingface/lerobot 0.6.1, `policies/groot/groot_n1_7.py` 554-560; NVIDIA/Isaac-GR00T,
    `gr00t/model/gr00t_n1d6/gr00t_n1d6.py`, `sample_time`.
    """
    _between_0_and_1("s", s)
    return (1 - s) * NOISE_S


@checked
def time_bucket(t: Float[Tensor, " batch"]) -> Int64[Tensor, " batch"]:
    """The flow time that the network is told: `t` in whole thousandths, **cut towards zero**.

    The line itself uses `t` as it is; only the network's two time embeddings use the bucket. N1.5's smallest `t` of
    -0.001001 gives the bucket -1, which a table of embeddings could not look up and a sine can.

    Raises:
        ValueError: a `t` outside [-0.0011, 1], or in half precision.

    Source: huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 311. We differ: upstream multiplies
    in the dtype of the actions. In half precision the product is rounded, often up, before it is cut; we raise.
    """
    _flow_time("t", t)
    if t.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"t: got {t.dtype}, expected float32 or float64; in half precision t * 1000 is rounded first")
    return (t * TIME_BUCKETS).long()


# ------------------------------------------------------------------------------------- what the network is shown


@checked
def interpolate(
    actions: Float[Tensor, "batch action_horizon action_dim"],
    noise: Float[Tensor, "batch action_horizon action_dim"],
    t: Float[Tensor, " batch"],
) -> Float[Tensor, "batch action_horizon action_dim"]:
    """`noisy_actions`: the point at flow time `t` on the straight line from `noise` (t = 0) to `actions` (t = 1).

    Padded dims, whose action is 0, hold `(1 - t) * noise`. GR00T calls the result `noisy_trajectory`.

    Raises:
        ValueError: arguments of different dtypes or devices, or a `t` outside [-0.0011, 1].

    Source: huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 307. openpi counts `t` the other way
    round: its 0 is the data.
    """
    expect_same("dtype", actions=actions, noise=noise, t=t)
    expect_same("device", actions=actions, noise=noise, t=t)
    _flow_time("t", t)
    t = t[:, None, None]
    return (1 - t) * noise + t * actions


@checked
def velocity_target(
    actions: Float[Tensor, "batch action_horizon action_dim"],
    noise: Float[Tensor, "batch action_horizon action_dim"],
) -> Float[Tensor, "batch action_horizon action_dim"]:
    """What the network should answer: `actions - noise`, the same at every point of the line.

    In padded dims that is `-noise`. GR00T calls it `velocity`, and the network's answer `pred_actions`.

    Raises:
        ValueError: arguments of different dtypes or devices.

    Source: huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 308.
    """
    expect_same("dtype", actions=actions, noise=noise)
    expect_same("device", actions=actions, noise=noise)
    return actions - noise


# ------------------------------------------------------------------------------------------- from noise to action


@checked
def euler_path(
    velocity: Callable[[Tensor, Tensor], Tensor],
    noise: Float[Tensor, "batch action_horizon action_dim"],
    steps: int,
    refill: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Float[Tensor, "steps_and_1 batch action_horizon action_dim"]:
    """Walks from noise to actions in `steps` equal steps, and keeps every point: `path[0]` is the start, `path[-1]`
    the actions.

    Args:
        velocity: called with `noisy_actions` and `t` (batch), gives the velocity there, of the same shape.
        noise: where to start.
        steps: how many Euler steps; GR00T takes 4.
        refill: called with every point, the start included, and its `t`; gives the point to go on from. None: padded
            entries drift freely, which is what GR00T does. Others: `refill_zero`, `refill_noise`.

    Raises:
        ValueError: `steps` is less than 1, or `velocity` or `refill` gives another shape or dtype than it was given.

    Source: huggingface/lerobot v0.4.4, `action_head/flow_matching_action_head.py` 359-397. We differ: upstream tells
    its network the bucket `int(t * 1000)`, here `velocity` is told `t` and may cut it by `time_bucket`.
    """
    if steps < 1:
        raise ValueError(f"steps: got {steps}, expected 1 or more")

    def flow_time(step: int) -> Tensor:
        return noise.new_full((noise.shape[0],), step / steps)

    def refilled(point: Tensor, t: Tensor) -> Tensor:
        return point if refill is None else _same_form("refill", refill(point, t), noise)

    path = [refilled(noise, flow_time(0))]
    for step in range(steps):
        slope = _same_form("velocity", velocity(path[-1], flow_time(step)), noise)
        path.append(refilled(path[-1] + slope / steps, flow_time(step + 1)))
    return torch.stack(path)


@checked
def refill_zero(
    noisy_actions: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
) -> Float[Tensor, "batch action_horizon action_dim"]:
    """Puts 0 where `action_mask` is False: `Masking.sampler` at `zero`.

    Training showed the network `(1 - t) * noise` there, unless it was trained with zeros too.

    Raises:
        ValueError: arguments on different devices.

    Source: EVO1 and MolmoAct2 in huggingface/lerobot at 7427f318 multiply by the mask at every step, in training and
    at inference; the note's fork sets 0 at inference only. We differ: NaN is replaced too, NaN times 0 is NaN.
    """
    expect_same("device", noisy_actions=noisy_actions, action_mask=action_mask)
    return torch.where(action_mask, noisy_actions, 0.0)


@checked
def refill_noise(
    noisy_actions: Float[Tensor, "batch action_horizon action_dim"],
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    noise: Float[Tensor, "batch action_horizon action_dim"],
    t: Float[Tensor, " batch"],
) -> Float[Tensor, "batch action_horizon action_dim"]:
    """Puts `(1 - t) * noise` where `action_mask` is False: what training showed there. `Masking.sampler` at `renoise`.

    Raises:
        ValueError: arguments of different dtypes or devices, or a `t` outside [-0.0011, 1].

    Source: octo-models/octo at 241fb351, `octo/model/components/action_heads.py` 579-582, for diffusion. We differ: on
    a flow's line the noise is scaled by `1 - t`, and the caller says whether to draw it anew.
    """
    expect_same("dtype", noisy_actions=noisy_actions, noise=noise, t=t)
    expect_same("device", noisy_actions=noisy_actions, action_mask=action_mask, noise=noise, t=t)
    return torch.where(action_mask, noisy_actions, interpolate(torch.zeros_like(noise), noise, t))


def _between_0_and_1(name: str, values: Tensor) -> None:
    if not ((values >= 0) & (values <= 1)).all():  # NaN too
        raise ValueError(f"{name}: got {values.min().item():g} to {values.max().item():g}, expected 0 to 1")


def _flow_time(name: str, t: Tensor) -> None:
    if not ((t >= EARLIEST) & (t <= 1)).all():
        hint = "; is it a bucket, or openpi's time?" if bool((t > 1).any()) else ""
        raise ValueError(
            f"{name}: got {t.min().item():g} to {t.max().item():g}, expected a flow time, 0 (noise) to 1 (data){hint}"
        )


def _same_form(name: str, given: Tensor, like: Tensor) -> Tensor:
    if not isinstance(given, Tensor):
        raise TypeError(f"{name}: gave a {type(given).__name__}, expected a tensor")
    if given.shape != like.shape or given.dtype != like.dtype or given.device != like.device:
        raise ValueError(
            f"{name}: gave {given.dtype} of shape {tuple(given.shape)} on {given.device}, expected {like.dtype} of "
            f"shape {tuple(like.shape)} on {like.device}"
        )
    return given
