"""Exercises of chapter 2: the line from noise to actions, the way along it, and what padded dims hold on the way.

The wrong answers are those of real code where we know of any; `source` says whose.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from groot_teach.exercises.engine import Exercise, Misconception

TITLE = "What is the network asked to predict?"


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _whole(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ------------------------------------------------------------------------------------------------------------- 2.1


def training_pair(actions, noise, t):
    padding = noise.shape[2] - actions.shape[2]
    actions = torch.nn.functional.pad(actions, (0, padding))
    t = t[:, None, None]
    return (1 - t) * noise + t * actions, actions - noise


def _training_pair_cases():
    actions = _whole([[[8, 16], [24, 32]]])
    noise = _whole([[[4, 4, 4], [8, 8, 8]]])
    return (
        (actions, noise, _whole([0.25])),
        (_random(201, 2, 3, 5), _random(202, 2, 3, 7), _whole([0.1234, 0.8765])),
        (_random(203, 3, 1, 2), _random(204, 3, 1, 17), _whole([0.5678, 0.0, 0.9876])),
        (_random(205, 5, 2, 3), _random(206, 5, 2, 5), _whole([1.0, 0.3333, 0.0519, 0.7071, 0.6667])),
        (_random(207, 3, 3, 3), _random(208, 3, 3, 3), _whole([0.2718, 0.3142, 0.5772])),
    )


def _openpi_pair(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, 1 - t)
    return noisy_actions, -velocity_target


def _openpi_sign(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, -velocity_target


def _only_real(values, actions):
    """0 in the padded dims, as if they had been appended last."""
    return values * (torch.arange(values.shape[2]) < actions.shape[2])


def _padded_last(actions, noise, t):
    return tuple(_only_real(values, actions) for values in training_pair(actions, noise, t))


def _target_zero_in_padding(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, _only_real(velocity_target, actions)


def _input_zero_in_padding(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return _only_real(noisy_actions, actions), velocity_target


def _target_cut(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, velocity_target[:, :, : actions.shape[2]]


def _target_is_the_action(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, velocity_target + noise


def _target_from_the_point(actions, noise, t):
    noisy_actions, velocity_target = training_pair(actions, noise, t)
    return noisy_actions, velocity_target + noise - noisy_actions


TRAINING_PAIR = Exercise(
    id="2.1",
    title="Make a training pair",
    task=(
        "Build what GR00T's head is shown and what it is asked for. `actions` (batch, action_horizon, action_dim; "
        "float64) are those of a robot with no more dims than the head; `noise` (batch, action_horizon, padded_dim; "
        "float64) is as wide as the head. Append zeros to the dims of `actions` until they are as wide as `noise`. "
        "`t` (batch; float64) is each sample's own flow time, 0 = noise, 1 = data. Return a tuple `(noisy_actions, "
        "velocity_target)`, both (batch, action_horizon, padded_dim): the point at `t` on the straight line, and the "
        "velocity along it in the direction of growing `t`. No mask is applied here."
    ),
    minutes=6,
    difficulty=1,
    reference=training_pair,
    cases=_training_pair_cases,
    misconceptions=(
        Misconception(
            name="openpi's direction",
            answer=_openpi_pair,
            message=(
                "Your line runs the other way: at `t` = 0 it gives the actions, and the velocity points to the noise. "
                "That is openpi's convention; in GR00T and in this book `t` = 0 is noise and `t` = 1 is data."
            ),
            source="the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 753-755",
        ),
        Misconception(
            name="the velocity has openpi's sign",
            answer=lambda actions, noise, t: (
                training_pair(actions, noise, t)[0],
                -training_pair(actions, noise, t)[1],
            ),
            message=(
                "Your points are right, and your velocity leads from the data back to the noise. A step along it has "
                "to bring you nearer to the actions: look at which of the two you subtract."
            ),
            source="https://github.com/lucidrains/pi-zero-pytorch/issues/14 asks which sign it is: openpi's flow runs "
            "the other way",
        ),
        Misconception(
            name="the line runs backwards, the velocity does not",
            answer=lambda actions, noise, t: (
                training_pair(actions, noise, 1 - t)[0],
                training_pair(actions, noise, t)[1],
            ),
            message=(
                "Your velocity is right, and your points stand at `1 - t`: at `t` = 0 you show the network the "
                "finished actions. Swap the two factors, so that the noise is multiplied by `1 - t`."
            ),
            source="a direction turned round in half of the code, "
            "https://github.com/lucidrains/rectified-flow-pytorch/issues/14",
        ),
        Misconception(
            name="padded last",
            answer=_padded_last,
            message=(
                "You drew the line in the robot's own dims and appended the zeros afterwards, so your padded dims "
                "hold 0. Upstream pads the actions first and noises all dims: there the network sees `(1 - t) * "
                "noise`, and its target is `-noise`."
            ),
            source="a comment in the note's fork says that padded dims are always 0 in training, "
            "KKXiaoKang/humanoid_groot at 4a1a0c81, flow_matching_action_head.py 554-555; EVO1 and MolmoAct2 in "
            "LeRobot do mask noise and actions, on purpose",
        ),
        Misconception(
            name="the padded target is zero",
            answer=_target_zero_in_padding,
            message=(
                "Your points are right, and your target is 0 in the padded dims. The action is 0 there, the noise is "
                "not: action minus noise is `-noise`. To leave that out of the loss is the mask's job."
            ),
            source="a pull request for another policy calls the targets of padded dims near-zero, "
            "https://github.com/open-edge-platform/physical-ai-studio/pull/428",
        ),
        Misconception(
            name="the padded input is zero",
            answer=_input_zero_in_padding,
            message=(
                "Your target is right, and your points are 0 in the padded dims. Only the clean action is 0 there; on "
                "the way the noise is still in it, `(1 - t)` of it, and that is what the action encoder is shown."
            ),
            source="a comment in the note's fork, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 554-555; that the input is not 0 is "
            "https://github.com/NVIDIA/Isaac-GR00T/issues/742",
        ),
        Misconception(
            name="the target is cut to the robot's dims",
            answer=_target_cut,
            message=(
                "Your target has the robot's own dims only. The note's fork cuts it so, because its decoders are that "
                "narrow; here the head is as wide as `noise`, and so is its target."
            ),
            source="the note's section 1.2, step 2; KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 415-467",
        ),
        Misconception(
            name="an action is asked for",
            answer=_target_is_the_action,
            message=(
                "Your target is the padded action itself. GR00T calls the network's answer `pred_actions`, and it is "
                "a velocity all the same: the way from the noise to the action, so the noise has to be subtracted."
            ),
            source="the name in huggingface/lerobot v0.4.4, flow_matching_action_head.py 334-338, where `pred_actions` "
            "is compared with `velocity`",
        ),
        Misconception(
            name="the noise is asked for",
            answer=lambda actions, noise, t: (training_pair(actions, noise, t)[0], noise),
            message=(
                "Your target is the noise. That is what a diffusion policy predicts; a flow asks for the velocity, "
                "which needs the action as well."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, configuration_diffusion.py 143 "
            '(`prediction_type: str = "epsilon"`)',
        ),
        Misconception(
            name="the velocity from here to the end",
            answer=_target_from_the_point,
            message=(
                "You subtracted the noisy actions instead of the noise: that is the way which is left, and it gets "
                "shorter as `t` grows. The velocity is the same everywhere on the line, the whole way in one unit of "
                "`t`."
            ),
            source="proposed in https://github.com/lucidrains/pi-zero-pytorch/issues/13",
        ),
        Misconception(
            name="one flow time for the whole batch",
            answer=lambda actions, noise, t: training_pair(actions, noise, t[:1].expand(len(t))),
            message=(
                "You used the first sample's `t` for all. Each sample has its own; `t[:, None, None]` has the shape "
                "(batch, 1, 1) and broadcasts over steps and dims."
            ),
            source="our own",
        ),
        Misconception(
            name="the line is cut into thousandths",
            answer=lambda actions, noise, t: training_pair(actions, noise, (t * 1000).long() / 1000),
            message=(
                "Your points stand at whole thousandths of `t`. The bucket is only what the network is *told*; the "
                "line itself uses `t` as it is."
            ),
            source="our own; huggingface/lerobot v0.4.4, flow_matching_action_head.py 307-312, has both side by side",
        ),
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


# ------------------------------------------------------------------------------------------------------------- 2.2


def flow_time(s):
    t = (0.999 - s) / 0.999
    return t, (t * 1000).long()


def _flow_time_cases():
    return (
        (_whole([0.0, 0.999, 1.0]),),  # t = 1, 0 and -0.001001...
        (_whole([0.9995, 0.7]),),
        (_whole([0.1237, 0.5431, 0.9993, 1.0, 0.8712]),),
        (torch.rand(11, dtype=torch.float64, generator=torch.Generator().manual_seed(221)) ** (2 / 3),),
        (1 - 0.002 * torch.rand(7, dtype=torch.float64, generator=torch.Generator().manual_seed(222)),),
    )


def _both_clamped(s):
    t = flow_time(s)[0].clamp(min=0)
    return t, (t * 1000).long()


def _as_n1_7(s):
    t = (1 - s) * 0.999
    return t, (t * 1000).long()


def _as_openpi(s):
    t = s * 0.999 + 0.001
    return t, (t * 1000).long()


def _turned_only(s):
    return 1 - s, ((1 - s) * 1000).long()


def _not_turned(s):
    t = s / 0.999
    return t, (t * 1000).long()


FLOW_TIME = Exercise(
    id="2.2",
    title="Draw a flow time as N1.5 does",
    task=(
        "GR00T N1.5 draws `s` (batch; float64, from 0 to 1) and makes the flow time of it by a straight line: `s` = 0 "
        "gives t = 1, `s` = 0.999 gives t = 0, and the line goes on beyond. Return a tuple `(t, bucket)`: `t` (batch; "
        "float64) as the line gives it, and `bucket` (batch; int64), what the network is told: t in thousandths, **cut "
        "towards zero** to a whole number. Nothing is clamped."
    ),
    minutes=5,
    difficulty=1,
    reference=flow_time,
    cases=_flow_time_cases,
    misconceptions=(
        Misconception(
            name="N1.7's formula",
            answer=_as_n1_7,
            message=(
                "You wrote `(1 - s) * 0.999`, which runs from 0.999 down to 0. That is N1.7's flow time; N1.5's is 1 "
                "at `s` = 0 and passes 0 before `s` reaches 1."
            ),
            source="the other version, huggingface/lerobot 0.6.1, groot_n1_7.py 554-560",
        ),
        Misconception(
            name="openpi's flow time",
            answer=_as_openpi,
            message=(
                "Your t grows with `s`, from 0.001 to 1. That is openpi's, where 1 is noise; in GR00T a large `s` "
                "means little flow time, so t has to fall."
            ),
            source="the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 631-634",
        ),
        Misconception(
            name="s is not turned round",
            answer=_not_turned,
            message=(
                "Your t is 0 at `s` = 0 and grows. It should be 1 there and fall: `s` is subtracted from 0.999 before "
                "the division."
            ),
            source="our own",
        ),
        Misconception(
            name="0.999 is left out",
            answer=_turned_only,
            message=(
                "You took `1 - s`, which reaches 0 at `s` = 1. N1.5's line is there already at `s` = 0.999, and "
                "beyond that t is below 0: look at the last entry of the first case."
            ),
            source="our own",
        ),
        Misconception(
            name="the bucket is rounded",
            answer=lambda s: (flow_time(s)[0], (flow_time(s)[0] * 1000).round().long()),
            message=(
                "Your t is right, and your bucket is the *nearest* whole number. Upstream converts to int64, which "
                "cuts off what stands behind the point."
            ),
            source="our own; upstream's cut is in huggingface/lerobot v0.4.4, flow_matching_action_head.py 311",
        ),
        Misconception(
            name="the bucket is rounded down",
            answer=lambda s: (flow_time(s)[0], (flow_time(s)[0] * 1000).floor().long()),
            message=(
                "Above 0 your buckets are right. Below, `floor` goes away from zero: t = -0.0005 gives you -1, and "
                "the conversion to int64 gives 0."
            ),
            source="our own; upstream's cut is in huggingface/lerobot v0.4.4, flow_matching_action_head.py 311",
        ),
        Misconception(
            name="the bucket is clamped",
            answer=lambda s: (flow_time(s)[0], (flow_time(s)[0] * 1000).long().clamp(min=0)),
            message=(
                "Your t is right, and your bucket never falls below 0. Upstream's does: near `s` = 1 it is -1, which "
                "a table of 1000 embeddings could not look up and a sine can."
            ),
            source="our own; upstream clamps nothing, huggingface/lerobot v0.4.4, flow_matching_action_head.py 252-254 "
            "and 311",
        ),
        Misconception(
            name="the bucket is clamped to 0 to 999",
            answer=lambda s: (flow_time(s)[0], (flow_time(s)[0] * 1000).long().clamp(0, 999)),
            message=(
                "Your t is right, and your bucket is kept within 0 to 999, the thousand rows of a table. Upstream has "
                "no table and clamps nothing: `s` = 0 gives 1000, and `s` = 1 gives -1."
            ),
            source="our own; upstream clamps nothing, huggingface/lerobot v0.4.4, flow_matching_action_head.py 252-254 "
            "and 311",
        ),
        Misconception(
            name="t is clamped at 0",
            answer=_both_clamped,
            message=(
                "Your t stops at 0. N1.5's does not: above `s` = 0.999 it is a little below 0, before the noise, and "
                "the line is drawn on from there."
            ),
            source="our own; what t below 0 does is in the chapter, and upstream clamps nothing: huggingface/lerobot "
            "v0.4.4, flow_matching_action_head.py 252-254",
        ),
    ),
    hints=(
        "Two points make a straight line: (`s`, t) = (0, 1) and (0.999, 0). What is t halfway, and what is it at "
        "`s` = 1?",
        "t is the distance from `s` to 0.999, in units of 0.999.",
        "`(0.999 - s) / 0.999`; then times 1000 and `.long()`, which cuts 250.9 to 250 and -0.5 to 0.",
    ),
    lesson="At t below 0 the point is a little noisier than the noise, and no clamp hides it.",
)


# ------------------------------------------------------------------------------------------------------------- 2.3


def both_ends(noisy_actions, velocity_pred, t):
    t = t[:, None, None]
    return noisy_actions - t * velocity_pred, noisy_actions + (1 - t) * velocity_pred


def _both_ends_cases():
    noisy_actions = _whole([[[5, 7, 9], [14, 16, 8]]])
    velocity = _whole([[[4, 12, 20], [16, 24, -8]]])
    return (
        (noisy_actions, velocity, _whole([0.25])),
        (_random(231, 2, 5, 3), _random(232, 2, 5, 3), _whole([0.0, 0.7])),
        (_random(233, 3, 2, 7), _random(234, 3, 2, 7), _whole([0.9, 0.1, 0.6])),
        (_random(235, 5, 1, 11), _random(236, 5, 1, 11), _whole([1.0, 0.35, 0.55, 0.8, 0.05])),
        (_random(237, 3, 3, 3), _random(238, 3, 3, 3), _whole([0.2, 0.4, 0.9])),
    )


BOTH_ENDS = Exercise(
    id="2.3",
    title="Find both ends of the line",
    task=(
        "In the middle of a flow we hold `noisy_actions` (batch, action_horizon, padded_dim; float64), know the flow "
        "time `t` (batch; float64, 0 = noise, 1 = data), and the network has answered `velocity_pred` (as "
        "`noisy_actions`; the velocity in the direction of growing `t`). Suppose it is right and stays the same: where "
        "did the line start, at flow time 0, and where will it end, at 1? Return a tuple `(noise, actions)`, both as "
        "`noisy_actions`."
    ),
    minutes=5,
    difficulty=2,
    reference=both_ends,
    cases=_both_ends_cases,
    misconceptions=(
        Misconception(
            name="the whole way from here",
            answer=lambda noisy_actions, velocity_pred, t: (
                noisy_actions - velocity_pred,
                noisy_actions + velocity_pred,
            ),
            message=(
                "You went a whole unit of flow time in both directions, as if each end were 1 away. From `t` it is "
                "`t` back to the noise and `1 - t` on to the data."
            ),
            source="our own",
        ),
        Misconception(
            name="only the end is one whole step away",
            answer=lambda noisy_actions, velocity_pred, t: (
                both_ends(noisy_actions, velocity_pred, t)[0],
                noisy_actions + velocity_pred,
            ),
            message=(
                "Your noise is right, and your actions stand beyond the end: from `t` only `1 - t` of the way is left. "
                "A whole step is right from the noise, where `t` = 0."
            ),
            source="our own",
        ),
        Misconception(
            name="the two ends are swapped",
            answer=lambda noisy_actions, velocity_pred, t: both_ends(noisy_actions, velocity_pred, t)[::-1],
            message=(
                "Both ends are right, and they stand in the wrong order. If you took `noisy_actions - t * velocity` "
                "for the actions: with openpi's flow time, which is 1 at the noise, it would be; here it is the noise."
            ),
            source="a helper for openpi's convention would be handed GR00T's flow, in a review of "
            "https://github.com/huggingface/lerobot/pull/4075",
        ),
        Misconception(
            name="t and 1 - t are swapped",
            answer=lambda noisy_actions, velocity_pred, t: both_ends(noisy_actions, velocity_pred, 1 - t),
            message=(
                "You went back by `1 - t` and on by `t`. Near the noise, at a small `t`, the way back is short and "
                "the way on is long: swap the two factors."
            ),
            source="our own; flow time counted from the data, as openpi does",
        ),
        Misconception(
            name="the velocity has openpi's sign",
            answer=lambda noisy_actions, velocity_pred, t: both_ends(noisy_actions, -velocity_pred, t),
            message=(
                "You read the velocity as openpi's, which leads from the data to the noise. Here it leads to the data: "
                "subtract to go back to the noise, add to go on."
            ),
            source="the other convention; https://github.com/lucidrains/pi-zero-pytorch/issues/14 asks which sign it "
            "is",
        ),
        Misconception(
            name="the prediction taken for an action",
            answer=lambda noisy_actions, velocity_pred, t: (..., velocity_pred),
            message=(
                "You returned the prediction itself as the actions. GR00T's name for it, `pred_actions`, says so, and "
                "it is a velocity: you have to walk along it, from where you are."
            ),
            source="the name in huggingface/lerobot v0.4.4, flow_matching_action_head.py 334-338",
        ),
        Misconception(
            name="one step of the sampler",
            answer=lambda noisy_actions, velocity_pred, t: (..., noisy_actions + velocity_pred / 4),
            message=(
                "You took one of GR00T's four sampler steps, a quarter of flow time. The end of the line is `1 - t` "
                "away, in one go."
            ),
            source="our own; the sampler's step is in huggingface/lerobot v0.4.4, flow_matching_action_head.py 397",
        ),
        Misconception(
            name="divided instead of multiplied",
            answer=lambda noisy_actions, velocity_pred, t: (
                ...,
                noisy_actions + velocity_pred / (1 - t)[:, None, None],
            ),
            message=(
                "You divided the velocity by `1 - t`. A velocity times a time is a way, so multiply: with no time "
                "left, at `t` = 1, there is nothing left to go, and your actions are infinite there."
            ),
            source="our own",
        ),
        Misconception(
            name="one flow time for the whole batch",
            answer=lambda noisy_actions, velocity_pred, t: both_ends(
                noisy_actions, velocity_pred, t[:1].expand(len(t))
            ),
            message=(
                "You used the first sample's `t` for all. Each sample stands at its own flow time; `t[:, None, None]` "
                "has the shape (batch, 1, 1) and broadcasts over steps and dims."
            ),
            source="our own",
        ),
    ),
    hints=(
        "How much flow time lies between here and the noise? And between here and the data? Try `t` = 0 and `t` = 1.",
        "Way = velocity times time. Back to the noise it is `t`, with a minus; on to the data it is what is left to 1.",
        "`noisy_actions - t * velocity_pred` and `noisy_actions + (1 - t) * velocity_pred`, with `t[:, None, None]` "
        "for `t`.",
    ),
    lesson="A point and the true velocity say where the line began and where it ends, at any flow time.",
)


# ------------------------------------------------------------------------------------------------------------- 2.4


@dataclass(frozen=True)
class _Velocity:
    """Stands in for the network: some numbers in place of weights, the first `dims` dims as its answer."""

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
        terms = {
            "": self.constant,
            " * t": self.times_t,
            " * noisy_actions": self.times_point,
            " * the mean over its dims": self.times_mean,
        }
        formula = " + ".join(f"{factor:g}{of}" for of, factor in terms.items() if factor)
        return f"a function that gives {formula}" + (f", in {self.dims} dims" if self.dims else "")


def sample(noise, velocity, steps):
    noisy_actions = noise
    for step in range(steps):
        t = torch.full((len(noise),), step / steps, dtype=noise.dtype)
        noisy_actions = noisy_actions + velocity(noisy_actions, t) / steps
    return noisy_actions


def _sample_cases():
    return (
        (_whole([[[1, 2, 3], [4, 5, 6]]]), _Velocity(0, 8, 0, 0), 2),  # + 0 / 2, then + 4 / 2
        (_random(241, 2, 3, 5), _Velocity(1, 2, -1, 0), 4),
        (_random(242, 3, 5, 2), _Velocity(-1, 1, 0.5, 2), 3),
        (_random(243, 2, 2, 7), _Velocity(0.5, -3, -2, 1), 7),
        (_random(244, 1, 3, 11), _Velocity(0, 0, 3, -1), 5),
        (_random(245, 5, 2, 3), _Velocity(3, -1, -0.5, 0), 6),
    )


def _walk(noise, velocity, flow_times, length):
    """Euler steps of one length, the velocity asked for at these flow times."""
    noisy_actions = noise
    for t in flow_times:
        noisy_actions = noisy_actions + length * velocity(noisy_actions, noise.new_full((len(noise),), t))
    return noisy_actions


def _walks_down(noise, velocity, steps):
    return _walk(noise, velocity, [1 - step / steps for step in range(steps)], -1 / steps)


def _both_ends_on_the_way(noise, velocity, steps):
    return _walk(noise, velocity, torch.linspace(0, 1, steps, dtype=torch.float64).tolist(), 1 / steps)


def _longer_steps(noise, velocity, steps):
    return _walk(noise, velocity, torch.linspace(0, 1, steps, dtype=torch.float64).tolist(), 1 / (steps - 1))


def _one_step_short(noise, velocity, steps):
    return _walk(noise, velocity, [step / (steps - 1) for step in range(steps - 1)], 1 / (steps - 1))


def _told_thousandths(noise, velocity, steps):
    noisy_actions = noise
    for step in range(steps):
        bucket = torch.full((len(noise),), int(step / steps * 1000))
        noisy_actions = noisy_actions + velocity(noisy_actions, bucket) / steps
    return noisy_actions


def _midpoints(noise, velocity, steps):
    noisy_actions = noise
    for step in range(steps):
        t = noise.new_full((len(noise),), step / steps)
        halfway = noisy_actions + velocity(noisy_actions, t) / (2 * steps)
        noisy_actions = noisy_actions + velocity(halfway, t + 1 / (2 * steps)) / steps
    return noisy_actions


SAMPLE = Exercise(
    id="2.4",
    title="Walk from noise to actions",
    task=(
        "Write GR00T's sampler: Euler steps, all of one length. Start at `noise` (batch, action_horizon, padded_dim; "
        "float64), at flow time 0, and take `steps` steps (an int) to flow time 1. `velocity` is a "
        "function: `velocity(noisy_actions, t)`, with `t` a float64 tensor of shape (batch), gives the velocity in "
        "the direction of growing `t`, as wide as `noise`. Ask it once for every step, at the point and the flow "
        "time where the step *begins*. Return where the last step arrives (as `noise`)."
    ),
    minutes=7,
    difficulty=2,
    reference=sample,
    cases=_sample_cases,
    misconceptions=(
        Misconception(
            name="walks from 1 down to 0",
            answer=_walks_down,
            message=(
                "Your flow time begins at 1 and falls, and you subtract. That is openpi's sampler, where 1 is noise; "
                "here the noise stands at 0, and flow time grows as you add."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, modeling_pi0.py 847-879; turned round by mistake "
            "in https://github.com/lucidrains/rectified-flow-pytorch/issues/14",
        ),
        Misconception(
            name="the velocity where the step ends",
            answer=lambda noise, velocity, steps: _walk(
                noise, velocity, [(step + 1) / steps for step in range(steps)], 1 / steps
            ),
            message=(
                "You tell the network the flow time at which the step ends, and show it the point where it begins. "
                "The first call should have t = 0, the last one should stop short of 1."
            ),
            source="`for t in ts[1:]`, quoted in https://github.com/jmtomczak/intro_dgm/issues/10",
        ),
        Misconception(
            name="flow times from 0 to 1, both included",
            answer=_both_ends_on_the_way,
            message=(
                "Your flow times reach 1 at the last call, so they are too far apart for steps of `1 / steps`. "
                "`torch.linspace(0, 1, steps)` has one interval less than it has points; ask for `steps + 1` points "
                "and leave out the last."
            ),
            source="https://github.com/lucidrains/rectified-flow-pytorch/issues/14, where `linspace` met `1 / steps`; "
            "the same in https://github.com/SWivid/F5-TTS/pull/527",
        ),
        Misconception(
            name="one step too many",
            answer=_longer_steps,
            message=(
                "Your steps have the length `1 / (steps - 1)`, and there are `steps` of them: together they go beyond "
                "1. Steps times length has to be 1."
            ),
            source="proposed in https://github.com/lucidrains/rectified-flow-pytorch/issues/14; the right number for a "
            "loop that has one step less",
        ),
        Misconception(
            name="one step too few",
            answer=_one_step_short,
            message=(
                "You arrive at 1 with `steps - 1` steps: that is what the intervals of `torch.linspace(0, 1, steps)` "
                "give. GR00T takes `steps` of them and calls its network as often."
            ),
            source="a loop of that kind is explained in "
            "https://github.com/facebookresearch/all-atom-diffusion-transformer/issues/17",
        ),
        Misconception(
            name="whole steps",
            answer=lambda noise, velocity, steps: _walk(noise, velocity, [step / steps for step in range(steps)], 1),
            message=(
                "You added the whole velocity at every step, so you go `steps` times too far. A velocity is the way "
                "in one unit of flow time; a step takes only `1 / steps` of it."
            ),
            source="our own",
        ),
        Misconception(
            name="one velocity for all steps",
            answer=lambda noise, velocity, steps: noise + velocity(noise, noise.new_zeros(len(noise))),
            message=(
                "You asked the network once, at the start, and walked straight on. The true velocity is the same all "
                "along the line, a predicted one is not: ask again at every point."
            ),
            source="our own",
        ),
        Misconception(
            name="the flow time stays at 0",
            answer=lambda noise, velocity, steps: _walk(noise, velocity, [0.0] * steps, 1 / steps),
            message=(
                "Your point moves on, and you tell the network t = 0 at every step. Make a new `t` in the loop: the "
                "number of the step, divided by `steps`."
            ),
            source="our own",
        ),
        Misconception(
            name="flow time in thousandths",
            answer=_told_thousandths,
            message=(
                "You told the network the bucket, 0 to 999, as upstream's loop does. Our `velocity` wants the flow "
                "time itself, a number from 0 to 1."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, flow_matching_action_head.py 369-374",
        ),
        Misconception(
            name="not Euler's step",
            answer=_midpoints,
            message=(
                "You asked for the velocity half a step further on: that is the midpoint method, closer to the true "
                "curve and twice as many calls. GR00T takes Euler steps; a policy sampled in another way is another "
                "policy."
            ),
            source="our own; Euler is huggingface/lerobot v0.4.4, flow_matching_action_head.py 397",
        ),
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


# ------------------------------------------------------------------------------------------------------------- 2.5


def refill(noisy_actions, noise, dim_mask, t):
    seen_in_training = (1 - t)[:, None, None] * noise
    return torch.where(dim_mask[:, None, :], noisy_actions, seen_in_training)


def _masks(shape: tuple[int, int], seed: int) -> Tensor:
    """Random dim masks; the first dim is padding and the last one real, so no counting finds them."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[:, 0], mask[:, -1] = False, True
    return mask


def _refill_cases():
    noisy_actions = _whole([[[11, 12, 13, 14], [21, 22, 23, 24]]])
    noise = _whole([[[4, 8, -4, -8], [16, 20, -16, -20]]])
    return (
        (noisy_actions, noise, torch.tensor([[True, True, False, False]]), _whole([0.75])),
        (_random(251, 2, 5, 7), _random(252, 2, 5, 7), _masks((2, 7), 253), _whole([0.0, 0.25])),
        (_random(254, 3, 2, 5), _random(255, 3, 2, 5), _masks((3, 5), 256), _whole([0.5, 0.9, 0.2])),
        (_random(257, 5, 3, 11), _random(258, 5, 3, 11), _masks((5, 11), 259), _whole([1, 0.75, 0.5, 0.25, 0.1])),
        (_random(260, 3, 3, 3), _random(261, 3, 3, 3), _masks((3, 3), 262), _whole([0.3, 0.6, 0.8])),
    )


def _refilled_with(padding):
    """The reference with something else in the padded dims."""
    return lambda noisy_actions, noise, dim_mask, t: torch.where(
        dim_mask[:, None, :], noisy_actions, padding(noisy_actions, noise, t[:, None, None])
    )


def _first_dims(noisy_actions, noise, dim_mask, t):
    return refill(noisy_actions, noise, torch.arange(dim_mask.shape[1]) < dim_mask.sum(dim=1, keepdim=True), t)


REFILL = Exercise(
    id="2.5",
    title="Refill the padded dims",
    task=(
        "At inference nobody says what padded dims hold. Let them hold what training showed there at the same flow "
        "time. `noisy_actions` and `noise` (batch, action_horizon, padded_dim; float64) are the sampler's point and "
        "the noise it started from, `dim_mask` (batch, padded_dim; bool, True = this robot has this dim), `t` (batch; "
        "float64, 0 = noise, 1 = data). Return the point to go on from (as `noisy_actions`): real dims as they are, "
        "and padded dims as training would show them **at `t`, for this `noise` and an action of 0**. Real dims need "
        "not stand together."
    ),
    minutes=6,
    difficulty=2,
    reference=refill,
    cases=_refill_cases,
    misconceptions=(
        Misconception(
            name="the noise is kept as it is",
            answer=_refilled_with(lambda point, noise, t: noise.clone()),
            message=(
                "Your padded dims hold the starting noise, with standard deviation 1 at every `t`. Training showed "
                "that at `t` = 0 only; later the noise is scaled by `1 - t`."
            ),
            source="the note's fork, its first version, KKXiaoKang/humanoid_groot at 4ba45676",
        ),
        Misconception(
            name="zero",
            answer=_refilled_with(lambda point, noise, t: torch.zeros_like(point)),
            message=(
                "Your padded dims hold 0. The clean action is 0 there, and training never showed it clean: on the "
                "line they hold noise until `t` = 1."
            ),
            source='the note\'s fork, its second version, KKXiaoKang/humanoid_groot at 22bf1a12: "same as training"',
        ),
        Misconception(
            name="scaled by t",
            answer=_refilled_with(lambda point, noise, t: t * noise),
            message=(
                "Your padded dims start at 0 and end as pure noise. It is the other way round: at `t` = 0 there is "
                "all of the noise, at `t` = 1 none. With openpi's flow time you would be right."
            ),
            source="the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 754",
        ),
        Misconception(
            name="scaled as in diffusion",
            answer=_refilled_with(lambda point, noise, t: (1 - t).sqrt() * noise),
            message=(
                "You scaled the noise by the square root of `1 - t`, so its *variance* falls in a straight line. "
                "Diffusion does so with its own schedule; on a flow's straight line the noise itself is scaled."
            ),
            source="octo-models/octo at 241fb351, action_heads.py 579-582, right for its diffusion: "
            "`sqrt(1 - alpha_hat) * noise`",
        ),
        Misconception(
            name="noise on top",
            answer=_refilled_with(lambda point, noise, t: point + (1 - t) * noise),
            message=(
                "You added the noise to what the padded dims held. They have drifted to wherever unsupervised "
                "velocities led them; replace that, or it stays."
            ),
            source="our own",
        ),
        Misconception(
            name="what drifted there, damped",
            answer=_refilled_with(lambda point, noise, t: (1 - t) * point),
            message=(
                "You scaled what the sampler has made of the padded dims. Training showed a fresh point of the line: "
                "the noise that it started from, times `1 - t`."
            ),
            source="our own",
        ),
        Misconception(
            name="the padded dims drift",
            answer=lambda noisy_actions, noise, dim_mask, t: noisy_actions.clone(),
            message=(
                "You changed nothing: padded dims go on from wherever the predicted velocity has led them. That is "
                "what GR00T does, and no loss has ever said what this velocity should be."
            ),
            source="huggingface/lerobot v0.4.4, flow_matching_action_head.py 359-397; "
            "https://github.com/NVIDIA/Isaac-GR00T/issues/742",
        ),
        Misconception(
            name="real dims are refilled too",
            answer=lambda noisy_actions, noise, dim_mask, t: (1 - t)[:, None, None] * noise,
            message=(
                "You put noise into all dims, and what the sampler had found in the real ones is lost. Keep "
                "`noisy_actions` where `dim_mask` is True."
            ),
            source="our own",
        ),
        Misconception(
            name="the mask is upside down",
            answer=lambda noisy_actions, noise, dim_mask, t: refill(noisy_actions, noise, ~dim_mask, t),
            message=(
                "You refilled the real dims and kept the padded ones. In `dim_mask` True = this robot has this dim, "
                "and `torch.where` takes its first value where the mask is True."
            ),
            source="a mask read upside down, https://github.com/harvardnlp/annotated-transformer/issues/19",
        ),
        Misconception(
            name="the first n dims taken for the real ones",
            answer=_first_dims,
            message=(
                "You counted the real dims and kept that many at the front. In GR00T the padding stands behind; here "
                "real dims can stand anywhere, and only `dim_mask` knows where."
            ),
            source="a slice with the same effect, KKXiaoKang/humanoid_groot at 4a1a0c81, "
            "flow_matching_action_head.py 601-617",
        ),
        Misconception(
            name="one flow time for the whole batch",
            answer=lambda noisy_actions, noise, dim_mask, t: refill(
                noisy_actions, noise, dim_mask, t[:1].expand(len(t))
            ),
            message=(
                "You used the first sample's `t` for all. In a sampler all samples share one flow time; this function "
                "is asked for each sample's own."
            ),
            source="our own; upstream's loop has one `t` for the batch",
        ),
    ),
    hints=(
        "What does the line from `noise` to an action of 0 look like at `t`? Write it down as in training.",
        "`(1 - t) * noise + t * 0`: of the noise, `1 - t` is left. The mask says where to put it.",
        "`torch.where(dim_mask[:, None, :], ..., ...)`: `noisy_actions` where the dim is real, else the scaled noise, "
        "with `(1 - t)[:, None, None]`.",
    ),
    lesson="The same idea as Octo's: what is hidden holds what it held in training, so nothing is new to the network.",
)


# ------------------------------------------------------------------------------------------------------------- 2.6


def sample_narrow(noise, velocity, steps, action_dim):
    actions, padding = noise[:, :, :action_dim], noise[:, :, action_dim:]
    for step in range(steps):
        t = torch.full((len(noise),), step / steps, dtype=noise.dtype)
        shown = torch.cat([actions, (1 - step / steps) * padding], dim=2)
        actions = actions + velocity(shown, t) / steps
    return actions


def _sample_narrow_cases():
    return (
        (_whole([[[1, 2, 12, -4], [5, 6, 8, 16]]]), _Velocity(0, 0, 0, 8, dims=2), 2, 2),
        (_random(271, 2, 3, 7), _Velocity(1, 2, -1, 5, dims=5), 4, 5),
        (_random(272, 3, 5, 11), _Velocity(-1, 1, 0.5, 7, dims=2), 3, 2),
        (_random(273, 2, 2, 5), _Velocity(0.5, -3, -2, 3, dims=3), 7, 3),
        (_random(274, 1, 3, 13), _Velocity(0, 0, 1, -9, dims=7), 5, 7),
    )


def _narrow_with(padding_at):
    """A sampler whose padded dims hold what `padding_at(padding, step, steps)` says."""

    def answer(noise, velocity, steps, action_dim):
        actions, padding = noise[:, :, :action_dim], noise[:, :, action_dim:]
        for step in range(steps):
            shown = torch.cat([actions, padding_at(padding, step, steps)], dim=2)
            actions = actions + velocity(shown, noise.new_full((len(noise),), step / steps)) / steps
        return actions

    return answer


def _still_wide(noise, velocity, steps, action_dim):
    padding = torch.zeros_like(noise[:, :, action_dim:])
    return torch.cat([sample_narrow(noise, velocity, steps, action_dim), padding], dim=2)


def _narrow_down(noise, velocity, steps, action_dim):
    actions, padding = noise[:, :, :action_dim], noise[:, :, action_dim:]
    for step in range(steps):
        t = 1 - step / steps
        shown = torch.cat([actions, t * padding], dim=2)
        actions = actions - velocity(shown, noise.new_full((len(noise),), t)) / steps
    return actions


SAMPLE_NARROW = Exercise(
    id="2.6",
    title="Sample with a narrow head",
    task=(
        "The note's fork has an encoder for all dims of the batch and decoders for the robot's own. Sample with such a "
        "network, the function `velocity`: `velocity(noisy_actions, t)` is shown all padded_dim dims, with `t` a "
        "float64 tensor of shape (batch), and answers for the first `action_dim` dims only (an int; the robot's dims "
        "come first here). Start at `noise` (batch, action_horizon, padded_dim; float64) and flow time 0, and take "
        "`steps` Euler steps (an int) to 1, as in velocity.4. At every step, the padded dims that you show must hold "
        "**what training showed there at that `t`**, for this `noise` and an action of 0. Return the robot's actions "
        "(batch, action_horizon, action_dim; float64)."
    ),
    minutes=9,
    difficulty=3,
    reference=sample_narrow,
    cases=_sample_narrow_cases,
    misconceptions=(
        Misconception(
            name="the padded dims keep their noise",
            answer=_narrow_with(lambda padding, step, steps: padding),
            message=(
                "Your padded dims hold the starting noise at every step: to append zeros to the velocity leaves them "
                "where they are. Training showed that at `t` = 0 only, and less of it later."
            ),
            source="the note's fork, its first version, KKXiaoKang/humanoid_groot at 4ba45676",
        ),
        Misconception(
            name="the padded dims are zero",
            answer=_narrow_with(lambda padding, step, steps: 0 * padding),
            message=(
                "Your padded dims are 0 from the start. In training the *clean* action is 0 there; the encoder was "
                "shown `(1 - t) * noise`, which is 0 at the very end only."
            ),
            source='the note\'s fork, its second version, KKXiaoKang/humanoid_groot at 22bf1a12: "same as training"',
        ),
        Misconception(
            name="noise at first, then zero",
            answer=_narrow_with(lambda padding, step, steps: padding if step == 0 else 0 * padding),
            message=(
                "Your padded dims hold the noise at the first step and 0 from then on. They do not fall in one step: "
                "at `t` = 0.5 training showed half of the noise."
            ),
            source="our own; half of the fix in KKXiaoKang/humanoid_groot at 22bf1a12, which sets them to 0 at the "
            "start and after each step",
        ),
        Misconception(
            name="refilled for the next step",
            answer=_narrow_with(lambda padding, step, steps: (1 - (step + 1) / steps) * padding),
            message=(
                "Your padded dims are one step ahead: they hold what belongs to the flow time at which the step ends. "
                "What you show must fit the `t` that you tell: at the first step, all of the noise."
            ),
            source="our own",
        ),
        Misconception(
            name="damped again and again",
            answer=_narrow_with(lambda padding, step, steps: (1 - 1 / steps) ** step * padding),
            message=(
                "You take the same *fraction* off at every step, so what is left shrinks ever more slowly and never "
                "reaches 0. On a straight line the same *amount* goes at every step: their velocity is `-noise`, all "
                "along."
            ),
            source="our own",
        ),
        Misconception(
            name="multiplied by 1 - t over and over",
            answer=_narrow_with(
                lambda padding, step, steps: padding * torch.tensor([1 - i / steps for i in range(step + 1)]).prod()
            ),
            message=(
                "You multiply by `1 - t` what you have multiplied before, so the noise dies away too fast. Scale the "
                "noise that you started from, and keep it for the next step."
            ),
            source="our own",
        ),
        Misconception(
            name="padding scaled by t",
            answer=_narrow_with(lambda padding, step, steps: step / steps * padding),
            message=(
                "Your padded dims start at 0 and become pure noise. It is the other way round: at `t` = 0 there is "
                "all of the noise, at `t` = 1 none. With openpi's flow time you would be right."
            ),
            source="the other convention, openpi's; huggingface/lerobot v0.4.4, modeling_pi0.py 754",
        ),
        Misconception(
            name="walks from 1 down to 0",
            answer=_narrow_down,
            message=(
                "Your flow time begins at 1 and falls, and you subtract: openpi's sampler. Here the noise stands at "
                "0, flow time grows, and the velocity is added."
            ),
            source="the other convention, huggingface/lerobot v0.4.4, modeling_pi0.py 847-879",
        ),
        Misconception(
            name="the answer is still padded",
            answer=_still_wide,
            message=(
                "The robot's dims are right, and your actions still have padded dims. The robot has `action_dim` "
                "motors: cut the rest off at the end."
            ),
            source="upstream's head returns all padded dims and its caller cuts them; huggingface/lerobot v0.4.4, "
            "flow_matching_action_head.py 359-398",
        ),
    ),
    hints=(
        "Keep two things apart: the robot's dims, which walk, and the noise of the padded dims, which you need "
        "unchanged at every step.",
        "At step number `step` flow time is `step / steps`, so the padded dims hold `(1 - step / steps)` times their "
        "noise. `torch.cat` along the last axis makes the point that the network is shown.",
        "In the loop: put the point together, ask `velocity` for it, and add the answer, divided by `steps`, to the "
        "robot's dims only.",
    ),
    lesson="Kept noise, zeros, or this: only this is what the network has met in training.",
)


EXERCISES = (TRAINING_PAIR, FLOW_TIME, BOTH_ENDS, SAMPLE, REFILL, SAMPLE_NARROW)
