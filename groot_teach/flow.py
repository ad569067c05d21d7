"""Flow matching: how a policy learns to turn noise into actions.

    t = 0                                                              t = 1
    noise ------- noisy_actions = (1 - t) * noise + t * actions ------ actions
                  velocity_target = actions - noise, the same at every t

In training, the network sees one point of this line and its flow time `t` (not the robot's time, which is the step in
the action chunk), and learns to predict the velocity. At inference it starts from noise and follows its own predictions
in a few Euler steps. A padded dim has the action 0, so in training it holds `(1 - t) * noise` and its target is
`-noise`. Training does not say what it should hold at inference: the sampler may leave it free, or refill it.
A call that does not fit its signature raises an error; `groot_teach.shapes` explains the names there.

Source: GR00T is NVIDIA's robot policy. Its version N1.5, in huggingface/lerobot v0.4.4, has these functions in
`action_head/flow_matching_action_head.py`: 253 (`sample_beta`), 252-254 (`flow_time_n1_5`), 311 (`time_bucket`), 307
(`interpolate`), 308 (`velocity_target`), 359-397 (`euler_path`). `flow_time_n1_7` is in huggingface/lerobot 0.6.1,
`policies/groot/groot_n1_7.py` 554-560, and NVIDIA/Isaac-GR00T, `gr00t/model/gr00t_n1d6/gr00t_n1d6.py`, `sample_time`.
`refill_zero`: EVO1 and MolmoAct2 in huggingface/lerobot at 7427f318 multiply by the mask at every step, in training and
at inference; the note's fork (the changed copy of GR00T that this book's source note describes) sets 0 at inference
only. `refill_noise`: octo-models/octo at 241fb351, `octo/model/components/action_heads.py` 579-582, for diffusion.
openpi, the code of the policy π0, counts `t` the other way: its 0 is the data.

We differ: `torch.distributions.Beta` takes no generator, so `sample_beta` inverts the distribution function, `s ** a`
for Beta(a, 1): the same distribution, another random stream. `time_bucket` refuses half precision, which rounds the
product, often up, before it is cut. `euler_path` gives `velocity` the time `t`, N1.5 the bucket `int(t * 1000)`.
`refill_zero` replaces NaN too: NaN times 0 is NaN. `refill_noise` scales the noise by `1 - t`, as the line does, where
Octo's is one diffusion step stronger than in training, and takes it from its caller, who may draw it anew for each
step, as Octo does.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from groot_teach.checks import answers_like, not_half_precision
from groot_teach.shapes import ActionChunks, ActionMask, FlowFunction, FlowTimes, PositiveInt, ZeroToOne, checked

BETA_ALPHA = 1.5  # GR00T draws `s` from Beta(1.5, 1): noise_beta_alpha, noise_beta_beta in every version that we read
NOISE_S = 0.999  # GR00T's noise_s, which its versions use in two ways: see the two flow times
TIME_BUCKETS = 1000  # GR00T's num_timestep_buckets: the network is given the flow time in thousandths


@checked
def sample_beta(batch: PositiveInt, generator: torch.Generator) -> ZeroToOne:
    """Draws `s`, of which the flow time is made, for so many samples from Beta(1.5, 1), in float64.

    The density of this distribution grows like sqrt(s).
    """
    uniform = torch.rand(batch, dtype=torch.float64, generator=generator, device=generator.device)
    return uniform ** (1 / BETA_ALPHA)


@checked
def flow_time_n1_5(s: ZeroToOne) -> FlowTimes:
    """GR00T N1.5's flow time: from 1 down to **-0.001001**, a little before the noise."""
    return (NOISE_S - s) / NOISE_S


@checked
def flow_time_n1_7(s: ZeroToOne) -> FlowTimes:
    """GR00T N1.6's and N1.7's flow time: from 0.999 down to 0."""
    return (1 - s) * NOISE_S


@checked
def time_bucket(t: FlowTimes) -> Int64[Tensor, " batch"]:
    """The flow time as the network is given it: `t` in whole thousandths, **cut towards zero**; -1 is possible."""
    not_half_precision("t", t)
    return (t * TIME_BUCKETS).long()


@checked(same="dtype device")
def interpolate(actions: ActionChunks, noise: ActionChunks, t: FlowTimes) -> ActionChunks:
    """`noisy_actions` (GR00T: `noisy_trajectory`), the point at `t` on the line. Padded dims hold `(1 - t) * noise`."""
    t = t[:, None, None]
    return (1 - t) * noise + t * actions


@checked(same="dtype device")
def velocity_target(actions: ActionChunks, noise: ActionChunks) -> ActionChunks:
    """What the network should predict (GR00T: `velocity`, predicted `pred_actions`). In padded dims it is `-noise`."""
    return actions - noise


@checked
def euler_path(
    velocity: FlowFunction, noise: ActionChunks, steps: PositiveInt, refill: FlowFunction | None = None
) -> Float[Tensor, "steps_and_1 batch action_horizon action_dim"]:
    """Walks from noise to actions in equal steps (GR00T takes 4). `path[0]` is the start, `path[-1]` the actions.

    Each point, the first included, becomes `refill(noisy_actions, t)`. None leaves padded dims free, as GR00T does.
    """
    velocity = answers_like(noise, "velocity", velocity)
    refill = answers_like(noise, "refill", refill or _leave_free)
    times = [noise.new_full((len(noise),), step / steps) for step in range(steps + 1)]
    path = [refill(noise, times[0])]
    for step in range(steps):
        noisy_actions = path[-1] + velocity(path[-1], times[step]) / steps
        path.append(refill(noisy_actions, times[step + 1]))
    return torch.stack(path)


def _leave_free(noisy_actions: Tensor, t: Tensor) -> Tensor:
    return noisy_actions


@checked(same="device")
def refill_zero(noisy_actions: ActionChunks, action_mask: ActionMask) -> ActionChunks:
    """Sets padding (`action_mask` False) to 0. In training the network saw `(1 - t) * noise` there, or zeros too."""
    return torch.where(action_mask, noisy_actions, 0.0)


@checked(same="dtype device")
def refill_noise(
    noisy_actions: ActionChunks, action_mask: ActionMask, noise: ActionChunks, t: FlowTimes
) -> ActionChunks:
    """Sets padding (`action_mask` False) to `(1 - t) * noise`, which is what the network saw there in training."""
    return torch.where(action_mask, noisy_actions, interpolate(torch.zeros_like(noise), noise, t))
