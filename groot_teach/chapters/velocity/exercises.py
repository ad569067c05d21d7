"""Exercises of the chapter on velocities: the line from noise to actions, the way along it, and its padded dims."""

from dataclasses import dataclass

import torch
from torch import Tensor

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import bools, generator, holes, normal, numbers

TITLE = "What is the network asked to predict?"


@exercise(
    "velocity.1",
    minutes=6,
    difficulty=1,
    cases=lambda: (
        (numbers([[[8, 16], [24, 32]]]), numbers([[[4, 4, 4], [8, 8, 8]]]), numbers([0.25])),
        (normal((2, 3, 5), 201), normal((2, 3, 7), 202), numbers([0.1234, 0.8765])),
        (normal((3, 1, 2), 203), normal((3, 1, 17), 204), numbers([0.5678, 0.0, 0.9876])),
        (normal((5, 2, 3), 205), normal((5, 2, 5), 206), numbers([1.0, 0.3333, 0.0519, 0.7071, 0.6667])),
        (normal((3, 3, 3), 207), normal((3, 3, 3), 208), numbers([0.2718, 0.3142, 0.5772])),
    ),
    hints=(
        "Make `actions` as wide as `noise` first: zeros at the end of the last axis. Everything else happens in full "
        "width.",
        "`torch.nn.functional.pad(actions, (0, n))` appends `n` zeros to the last axis. And `t` needs two more axes, "
        "`t[:, None, None]`, to go with a sample's steps and dims.",
        "At `t` = 0 the point is the noise, at `t` = 1 the action: `(1 - t) * noise + t * actions`. The velocity is "
        "the end minus the start.",
    ),
    lesson="Padded dims are on the line like all others: shown as `(1 - t) * noise`, with `-noise` as their target.",
)
def training_pair(actions, noise, t):
    """Make a training pair

    Build what GR00T's head is shown and what it is asked for. `actions` (batch, action_horizon, action_dim; float64)
    are those of a robot with no more dims than the head; `noise` (batch, action_horizon, padded_dim; float64) is as
    wide as the head. Append zeros to the dims of `actions` until they are as wide as `noise`. Each sample has its own
    flow time `t` (batch; float64), 0 = noise, 1 = data. Return a tuple `(noisy_actions, velocity_target)`, both (batch,
    action_horizon, padded_dim): the point at `t` on the straight line, and the velocity along it in the direction of
    growing `t`. No mask is applied here."""
    padding = noise.shape[2] - actions.shape[2]
    actions = torch.nn.functional.pad(actions, (0, padding))
    t = t[:, None, None]
    return (1 - t) * noise + t * actions, actions - noise


@training_pair.mistake("openpi's direction")
def _(actions, noise, t):
    """Your line runs the other way: at `t` = 0 it gives the actions, and the velocity points to the noise. That is
    openpi's convention; in GR00T and in this book `t` = 0 is noise and `t` = 1 is data.
    Source: the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 753-755"""
    noisy_actions, velocity_target = training_pair(actions, noise, 1 - t)
    return noisy_actions, -velocity_target


@training_pair.mistake("padded last")
def _(actions, noise, t):
    """You drew the line in the robot's own dims and appended the zeros afterwards, so your padded dims hold 0. Upstream
    pads the actions first and noises all dims: there the network sees `(1 - t) * noise`, and its target is `-noise`.
    Source: a comment in the note's fork says that padded dims are always 0 in training, KKXiaoKang/humanoid_groot at
    4a1a0c81, flow_matching_action_head.py 554-555; EVO1 and MolmoAct2 in LeRobot do mask noise and actions
    """
    is_real = torch.arange(noise.shape[2]) < actions.shape[2]
    return tuple(values * is_real for values in training_pair(actions, noise, t))


@training_pair.mistake("the velocity from here to the end")
def _(actions, noise, t):
    """You subtracted the noisy actions instead of the noise: that is the way which is left, and it gets shorter as `t`
    grows. The velocity is the same everywhere on the line, the whole way in one unit of `t`.
    Source: proposed in https://github.com/lucidrains/pi-zero-pytorch/issues/13"""
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, velocity_target + noise - noisy_actions


@exercise(
    "velocity.2",
    minutes=5,
    difficulty=1,
    cases=lambda: (
        (numbers([0.0, 0.999, 1.0]),),  # t = 1, 0 and -0.001001...
        (numbers([0.9995, 0.7]),),
        (numbers([0.1237, 0.5431, 0.9993, 1.0, 0.8712]),),
        (torch.rand(11, dtype=torch.float64, generator=generator(221)) ** (2 / 3),),
        (1 - 0.002 * torch.rand(7, dtype=torch.float64, generator=generator(222)),),
    ),
    hints=(
        "Two points make a straight line: (`s`, t) = (0, 1) and (0.999, 0). What is t halfway, and what is it at "
        "`s` = 1?",
        "t is the distance from `s` to 0.999, in units of 0.999.",
        "`(0.999 - s) / 0.999`; then times 1000 and `.long()`, which cuts 250.9 to 250 and -0.5 to 0.",
    ),
    lesson="At t below 0 the point is a little noisier than the noise, and no clamp hides it.",
)
def flow_time(s):
    """Draw a flow time as N1.5 does

    GR00T N1.5 draws `s` (batch; float64, from 0 to 1) and makes the flow time of it by a straight line: `s` = 0 gives
    t = 1, `s` = 0.999 gives t = 0, and the line goes on beyond. Return a tuple `(t, bucket)`: `t` (batch; float64) as
    the line gives it, and `bucket` (batch; int64), what the network is told: t in thousandths, **cut towards zero** to
    a whole number. Nothing is clamped."""
    t = (0.999 - s) / 0.999
    return t, (t * 1000).long()


def told(t: Tensor) -> tuple[Tensor, Tensor]:
    return t, (t * 1000).long()


@flow_time.mistake("N1.7's formula")
def _(s):
    """You wrote `(1 - s) * 0.999`, which runs from 0.999 down to 0. That is N1.7's flow time; N1.5's is 1 at `s` = 0
    and passes 0 before `s` reaches 1.
    Source: the other version, huggingface/lerobot 0.6.1, groot_n1_7.py 554-560"""
    return told((1 - s) * 0.999)


@flow_time.mistake("openpi's flow time")
def _(s):
    """Your t grows with `s`, from 0.001 to 1. That is openpi's, where 1 is noise; in GR00T a large `s` means little
    flow time, so t has to fall.
    Source: the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 631-634"""
    return told(s * 0.999 + 0.001)


@exercise(
    "velocity.3",
    minutes=5,
    difficulty=2,
    cases=lambda: (
        (numbers([[[5, 7, 9], [14, 16, 8]]]), numbers([[[4, 12, 20], [16, 24, -8]]]), numbers([0.25])),
        (normal((2, 5, 3), 231), normal((2, 5, 3), 232), numbers([0.0, 0.7])),
        (normal((3, 2, 7), 233), normal((3, 2, 7), 234), numbers([0.9, 0.1, 0.6])),
        (normal((5, 1, 11), 235), normal((5, 1, 11), 236), numbers([1.0, 0.35, 0.55, 0.8, 0.05])),
        (normal((3, 3, 3), 237), normal((3, 3, 3), 238), numbers([0.2, 0.4, 0.9])),
    ),
    hints=(
        "How much flow time lies between here and the noise? And between here and the data? Try `t` = 0 and `t` = 1.",
        "Way = velocity times time. Back to the noise it is `t`, with a minus; on to the data it is what is left to 1.",
        "`noisy_actions - t * velocity_pred` and `noisy_actions + (1 - t) * velocity_pred`, with `t[:, None, None]` "
        "for `t`.",
    ),
    lesson="A point and the true velocity say where the line began and where it ends, at any flow time.",
)
def both_ends(noisy_actions, velocity_pred, t):
    """Find both ends of the line

    In the middle of a flow we hold `noisy_actions` (batch, action_horizon, padded_dim; float64), know the flow time `t`
    (batch; float64, 0 = noise, 1 = data), and the network has answered `velocity_pred` (as `noisy_actions`; the
    velocity in the direction of growing `t`). Suppose it is right and stays the same: where did the line start, at flow
    time 0, and where will it end, at 1? Return a tuple `(noise, actions)`, both as `noisy_actions`."""
    t = t[:, None, None]
    return noisy_actions - t * velocity_pred, noisy_actions + (1 - t) * velocity_pred


@both_ends.mistake("the two ends are swapped")
def _(noisy_actions, velocity_pred, t):
    """Both ends are right, and they stand in the wrong order. If you took `noisy_actions - t * velocity` for the
    actions: with openpi's flow time, which is 1 at the noise, it would be; here it is the noise.
    Source: a helper for openpi's convention would be handed GR00T's flow, in a review of
    https://github.com/huggingface/lerobot/pull/4075"""
    return both_ends(noisy_actions, velocity_pred, t)[::-1]


@both_ends.mistake("the velocity has openpi's sign")
def _(noisy_actions, velocity_pred, t):
    """You read the velocity as openpi's, which leads from the data to the noise. Here it leads to the data: subtract to
    go back to the noise, add to go on.
    Source: the other convention; https://github.com/lucidrains/pi-zero-pytorch/issues/14 asks which sign it is"""
    return both_ends(noisy_actions, -velocity_pred, t)


@both_ends.mistake("the prediction taken for an action")
def _(noisy_actions, velocity_pred, t):
    """You returned the prediction itself as the actions. GR00T's name for it, `pred_actions`, says so, and it is a
    velocity: you have to walk along it, from where you are.
    Source: the name in huggingface/lerobot v0.4.4, flow_matching_action_head.py 334-338"""
    return ..., velocity_pred


@dataclass(frozen=True)
class Velocity:
    """In place of a network: a formula with a few numbers. It returns the first `dims` dims, or all of them."""

    constant: float
    times_t: float
    times_point: float
    times_mean: float
    dims: int | None = None

    def __call__(self, noisy_actions: Tensor, t: Tensor) -> Tensor:
        if not isinstance(t, Tensor) or t.shape != noisy_actions.shape[:1]:
            got = f"a tensor of shape {tuple(t.shape)}" if isinstance(t, Tensor) else f"a {type(t).__name__}"
            raise ValueError(f"velocity wants t as a tensor of shape (batch), one flow time a sample; got {got}")
        mean = noisy_actions.mean(dim=-1, keepdim=True)
        given = self.constant + self.times_t * t[:, None, None] + self.times_mean * mean
        return (given + self.times_point * noisy_actions)[..., : self.dims]

    def __repr__(self) -> str:
        terms = {"t": self.times_t, "noisy_actions": self.times_point, "the mean of all dims": self.times_mean}
        told = [f"{factor:g} * {name}" for name, factor in terms.items() if factor]
        told = [f"{self.constant:g}", *told] if self.constant or not told else told
        where = f", in each of {self.dims} dims" if self.dims else ""
        return f"a function that gives {' + '.join(told)}{where}"


@exercise(
    "velocity.4",
    minutes=7,
    difficulty=2,
    cases=lambda: (
        (numbers([[[1, 2, 3], [4, 5, 6]]]), Velocity(0, 8, 0, 0), 2),  # + 0 / 2, then + 4 / 2
        (normal((2, 3, 5), 241), Velocity(1, 2, -1, 0), 4),
        (normal((3, 5, 2), 242), Velocity(-1, 1, 0.5, 2), 3),
        (normal((2, 2, 7), 243), Velocity(0.5, -3, -2, 1), 7),
        (normal((1, 3, 11), 244), Velocity(0, 0, 3, -1), 5),
        (normal((5, 2, 3), 245), Velocity(3, -1, -0.5, 0), 6),
    ),
    hints=(
        "How long is one step, if `steps` of them go from 0 to 1? And at which flow times do they begin, for 4 steps?",
        "A loop over `range(steps)`: step number `step` begins at `step / steps`. `torch.full((len(noise),), ...)` "
        "makes a tensor of it.",
        "In the loop: `noisy_actions = noisy_actions + velocity(noisy_actions, t) / steps`. Not `+=`: that would "
        "change `noise`.",
    ),
    lesson="Padded dims take the same steps as the others, along velocities that no loss has ever looked at.",
)
def sample(noise, velocity, steps):
    """Walk from noise to actions

    Write GR00T's sampler: Euler steps, all of one length. Start at `noise` (batch, action_horizon, padded_dim;
    float64), at flow time 0, and take `steps` steps (an int) to flow time 1. `velocity` is a function:
    `velocity(noisy_actions, t)`, with `t` a float64 tensor of shape (batch), gives the velocity in the direction of
    growing `t`, as wide as `noise`. Ask it once for every step, at the point and the flow time where the step *begins*.
    Return where the last step arrives (as `noise`)."""
    noisy_actions = noise
    for step in range(steps):
        t = torch.full((len(noise),), step / steps, dtype=noise.dtype)
        noisy_actions = noisy_actions + velocity(noisy_actions, t) / steps
    return noisy_actions


def walk(noise, velocity, flow_times, length):
    """Euler steps of one length, the velocity asked for at these flow times."""
    noisy_actions = noise
    for t in flow_times:
        noisy_actions = noisy_actions + length * velocity(noisy_actions, noise.new_full((len(noise),), t))
    return noisy_actions


@sample.mistake("walks from 1 down to 0")
def _(noise, velocity, steps):
    """Your flow time begins at 1 and falls, and you subtract. That is openpi's sampler, where 1 is noise; here the
    noise stands at 0, and flow time grows as you add.
    Source: the other convention, huggingface/lerobot v0.4.4, modeling_pi0.py 847-879; turned round by mistake in
    https://github.com/lucidrains/rectified-flow-pytorch/issues/14"""
    return walk(noise, velocity, [1 - step / steps for step in range(steps)], -1 / steps)


@sample.mistake("the velocity where the step ends")
def _(noise, velocity, steps):
    """You tell the network the flow time at which the step ends, and show it the point where it begins. The first call
    should have t = 0, the last one should stop short of 1.
    Source: `for t in ts[1:]`, quoted in https://github.com/jmtomczak/intro_dgm/issues/10"""
    return walk(noise, velocity, [(step + 1) / steps for step in range(steps)], 1 / steps)


@sample.mistake("flow times from 0 to 1, both included")
def _(noise, velocity, steps):
    """Your flow times reach 1 at the last call, so they are too far apart for steps of `1 / steps`. `torch.linspace(0,
    1, steps)` has one interval less than it has points; ask for `steps + 1` points and leave out the last.
    Source: https://github.com/lucidrains/rectified-flow-pytorch/issues/14, where `linspace` met `1 / steps`; the same
    in https://github.com/SWivid/F5-TTS/pull/527"""
    return walk(noise, velocity, torch.linspace(0, 1, steps, dtype=torch.float64).tolist(), 1 / steps)


@exercise(
    "velocity.5",
    minutes=6,
    difficulty=2,
    cases=lambda: (
        (
            numbers([[[11, 12, 13, 14], [21, 22, 23, 24]]]),
            numbers([[[4, 8, -4, -8], [16, 20, -16, -20]]]),
            bools("1100"),
            numbers([0.75]),
        ),
        (normal((2, 5, 7), 251), normal((2, 5, 7), 252), holes((2, 7), 253), numbers([0.0, 0.25])),
        (normal((3, 2, 5), 254), normal((3, 2, 5), 255), holes((3, 5), 256), numbers([0.5, 0.9, 0.2])),
        (
            normal((5, 3, 11), 257),
            normal((5, 3, 11), 258),
            holes((5, 11), 259),
            numbers([1, 0.75, 0.5, 0.25, 0.1]),
        ),
        (normal((3, 3, 3), 260), normal((3, 3, 3), 261), holes((3, 3), 262), numbers([0.3, 0.6, 0.8])),
    ),
    hints=(
        "What does the line from `noise` to an action of 0 look like at `t`? Write it down as in training.",
        "`(1 - t) * noise + t * 0`: of the noise, `1 - t` is left. The mask says where to put it.",
        "`torch.where(dim_mask[:, None, :], ..., ...)`: `noisy_actions` where the dim is real, else the scaled noise, "
        "with `(1 - t)[:, None, None]`.",
    ),
    lesson="The same idea as Octo's: what is hidden holds what it held in training. That is faithful, but not proven "
    "to be best: in the chapter's experiment zeros came nearer to the right action.",
)
def refill(noisy_actions, noise, dim_mask, t):
    """Refill the padded dims

    At inference nobody says what padded dims hold. Let them hold what training showed there at the same flow time.
    `noisy_actions` and `noise` (batch, action_horizon, padded_dim; float64) are the sampler's point and the noise it
    started from, `dim_mask` (batch, padded_dim; bool, True = this robot has this dim), `t` (batch; float64, 0 = noise,
    1 = data). Return the point to go on from (as `noisy_actions`): real dims as they are, and padded dims as training
    would show them **at `t`, for this `noise` and an action of 0**. Real dims need not stand together."""
    seen_in_training = (1 - t)[:, None, None] * noise
    return torch.where(dim_mask[:, None, :], noisy_actions, seen_in_training)


@refill.mistake("zero")
def _(noisy_actions, noise, dim_mask, t):
    """Your padded dims hold 0. The clean action is 0 there, and training never showed it clean: on the line they hold
    noise until `t` = 1.
    Source: the note's fork, its second version, KKXiaoKang/humanoid_groot at 22bf1a12: "same as training"
    """
    return torch.where(dim_mask[:, None, :], noisy_actions, 0.0)


@refill.mistake("the padded dims drift")
def _(noisy_actions, noise, dim_mask, t):
    """You changed nothing: padded dims go on from wherever the predicted velocity has led them. That is what GR00T
    does, and no loss has ever said what this velocity should be.
    Source: huggingface/lerobot v0.4.4, flow_matching_action_head.py 359-397;
    https://github.com/NVIDIA/Isaac-GR00T/issues/742"""
    return noisy_actions.clone()


@refill.mistake(bugs.first_n)
def _(noisy_actions, noise, dim_mask, t):
    return refill(noisy_actions, noise, torch.arange(dim_mask.shape[1]) < dim_mask.sum(dim=1, keepdim=True), t)


@exercise(
    "velocity.6",
    minutes=9,
    difficulty=3,
    cases=lambda: (
        (numbers([[[1, 2, 12, -4], [5, 6, 8, 16]]]), Velocity(0, 0, 0, 8, dims=2), 2, 2),
        (normal((2, 3, 7), 271), Velocity(1, 2, -1, 5, dims=5), 4, 5),
        (normal((3, 5, 11), 272), Velocity(-1, 1, 0.5, 7, dims=2), 3, 2),
        (normal((2, 2, 5), 273), Velocity(0.5, -3, -2, 3, dims=3), 7, 3),
        (normal((1, 3, 13), 274), Velocity(0, 0, 1, -9, dims=7), 5, 7),
    ),
    hints=(
        "Keep two things apart: the robot's dims, which walk, and the noise of the padded dims, which you need "
        "unchanged at every step.",
        "At step number `step` flow time is `step / steps`, so the padded dims hold `(1 - step / steps)` times their "
        "noise. `torch.cat` along the last axis makes the point that the network is shown.",
        "In the loop: put the point together, ask `velocity` for it, and add the answer, divided by `steps`, to the "
        "robot's dims only.",
    ),
    lesson="Kept noise, zeros, or this: only this is what the network has met in training. Whether it also acts best, "
    "an experiment has to say.",
)
def sample_narrow(noise, velocity, steps, action_dim):
    """Sample with a narrow head

    The note's fork has an encoder for all dims of the batch and decoders for the robot's own. Sample with such a
    network, the function `velocity`: `velocity(noisy_actions, t)` is shown all padded_dim dims, with `t` a float64
    tensor of shape (batch), and answers for the first `action_dim` dims only (an int; the robot's dims come first
    here). Start at `noise` (batch, action_horizon, padded_dim; float64) and flow time 0, and take `steps` Euler steps
    (an int) to 1, as in velocity.4. At every step, the padded dims that you show must hold **what training showed there
    at that `t`**, for this `noise` and an action of 0. Return the robot's actions (batch, action_horizon, action_dim;
    float64)."""
    actions, padding = noise[:, :, :action_dim], noise[:, :, action_dim:]
    for step in range(steps):
        t = torch.full((len(noise),), step / steps, dtype=noise.dtype)
        shown = torch.cat([actions, (1 - step / steps) * padding], dim=2)
        actions = actions + velocity(shown, t) / steps
    return actions


def walk_narrow(noise, velocity, steps, action_dim, share_of_noise):
    """The reference, but its padded dims hold another share of their noise at each step."""
    actions, padding = noise[:, :, :action_dim], noise[:, :, action_dim:]
    for step in range(steps):
        shown = torch.cat([actions, share_of_noise(step / steps) * padding], dim=2)
        actions = actions + velocity(shown, noise.new_full((len(noise),), step / steps)) / steps
    return actions


@sample_narrow.mistake("the padded dims keep their noise")
def _(noise, velocity, steps, action_dim):
    """Your padded dims hold the starting noise at every step: to append zeros to the velocity leaves them where they
    are. Training showed that at `t` = 0 only, and less of it later.
    Source: the note's fork, its first version, KKXiaoKang/humanoid_groot at 4ba45676"""
    return walk_narrow(noise, velocity, steps, action_dim, lambda t: 1)


@sample_narrow.mistake("the padded dims are zero")
def _(noise, velocity, steps, action_dim):
    """Your padded dims are 0 from the start. In training the *clean* action is 0 there; the encoder was shown `(1 - t)
    * noise`, which is 0 at the very end only.
    Source: the note's fork, its second version, KKXiaoKang/humanoid_groot at 22bf1a12: "same as training"
    """
    return walk_narrow(noise, velocity, steps, action_dim, lambda t: 0)
