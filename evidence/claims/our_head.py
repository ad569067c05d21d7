"""The note's claims about its own program, each as an experiment on our head."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from evidence.claims.check import Found, apart, claim, percent
from groot_teach.chapters.inside.policy import (
    HORIZON,
    PADDED_DIM,
    Policy,
    other_padded_dims,
    other_padded_tokens,
    toy_policy,
)
from groot_teach.embodiments import DUAL_ARM, SO101, Embodiment
from groot_teach.flow import interpolate
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.loss import group_velocity_losses
from groot_teach.masks import GROOT_N1_5, Masking, with_switches
from groot_teach.padding import VLBatch, collate_chunks
from groot_teach.recordings import chunk_at, toy_episode

# ------------------------------------------------------------------------------------------------ the note's program

ARM_AND_CLAW = (("arm", 14), ("claw", 2))
ONE_OF_32 = None
WIDE = Embodiment("wide", (("arm", PADDED_DIM),), embodiment_id=0)


def note_policy(masking=GROOT_N1_5, decoders=ARM_AND_CLAW, robots=(DUAL_ARM,) * 3) -> Policy:
    """N1.5 as the note has it: one robot with 16 dims in a batch of 32, and two decoders, arm 14 and claw 2.

    Weights are random. Padded tokens are zeros, and the third chunk runs over the end of its episode.
    """
    toy = toy_policy("N1.5")
    head = ActionHead(replace(toy.head.config, decoders=decoders), masking, torch.Generator().manual_seed(0))
    starts = (0, 20, 53)  # of 60 steps: seven are left for the third
    episodes = [toy_episode(robot, 60, torch.Generator().manual_seed(1)) for robot in robots]
    chunks = [chunk_at(episode, start, HORIZON) for episode, start in zip(episodes, starts, strict=True)]
    return replace(toy, head=head.double().eval(), batch=collate_chunks(chunks, PADDED_DIM))


def with_masking(policy: Policy, **positions: str) -> Policy:
    """The same weights, some switches moved."""
    head = ActionHead(policy.head.config, with_switches(policy.head.masking, **positions), torch.Generator())
    head.double().eval().load_state_dict(policy.head.state_dict())
    return replace(policy, head=head)


def of_real_entries(policy: Policy) -> Tensor:
    """The velocities that the robots use."""
    velocity = policy.velocity()
    return velocity[policy.action_mask[..., : velocity.shape[-1]]]


def gradient(loss: Tensor, policy: Policy) -> Tensor:
    """All gradients in one row; 0 where the loss does not reach."""
    weights = [*policy.head.parameters()]
    grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    pairs = zip(grads, weights, strict=True)
    return torch.cat([(torch.zeros_like(w) if grad is None else grad).flatten() for grad, w in pairs])


# ------------------------------------------------------------------------------------------------- the action mask


@claim(4, "padded entries set to 0 in front of the encoder", masking=with_switches(GROOT_N1_5, encoder_input="closed"))
def padding_is_zero(masking: Masking = GROOT_N1_5) -> Found:
    """Is padding 0 in the batch, and is it 0 where the network sees it?"""
    policy = note_policy(masking)
    padded, shown = ~policy.batch.dim_mask[:, None].expand_as(policy.noise), []
    handle = policy.head.action_encoder.register_forward_pre_hook(lambda module, given: shown.append(given[0]))
    policy.velocity()
    handle.remove()
    in_batch, in_encoder = (x[padded].abs().max().item() for x in (policy.batch.actions, shown[0]))
    verdict = {(True, True): "holds", (False, False): "wrong"}.get((in_batch == 0, in_encoder == 0), "holds in part")
    figures = {"largest in the batch": f"{in_batch:.2f}", "largest at the encoder": f"{in_encoder:.2f}"}
    return Found(verdict, figures)


@claim(5, "one decoder of 32 in place of the two", decoders=ONE_OF_32)
def the_mask_limits_the_loss(decoders=ARM_AND_CLAW) -> Found:
    """We delete the mask: does the loss or a gradient move?"""
    with_mask = note_policy(decoders=decoders)
    without = with_masking(with_mask, loss="open")
    losses = [policy.loss() for policy in (with_mask, without)]
    grads = [gradient(loss, policy) for loss, policy in zip(losses, (with_mask, without), strict=True)]
    moved = not (torch.equal(*losses) and torch.equal(*grads))
    figures = {
        "loss with the mask": f"{losses[0]:.4f}",
        "without it": f"{losses[1]:.4f}",
        "gradients moved by": percent(apart(grads[1], grads[0])),
    }
    return Found("holds" if moved else "wrong", figures)


@claim(6, "an SO-101 with 6 dims in the batch", robots=(DUAL_ARM, DUAL_ARM, SO101))
def padding_in_the_loss_becomes_zero(robots=(DUAL_ARM,) * 3) -> Found:
    """How much padding is left for the mask to hide, after the slice to 16 dims?"""
    policy = note_policy(robots=robots)
    result = policy.head.loss(policy.observation, policy.batch, policy.noise, policy.t)
    hidden = ~result.counted
    loss = (result.velocity_pred - result.velocity_target).square() * result.counted
    figures = {"entries": str(hidden.numel()), "of these False in the mask": str(hidden.sum().item())}
    if not hidden.any():
        return Found("empty", figures)
    return Found("holds" if loss[hidden].eq(0).all() else "wrong", figures)


@claim(8, "two groups of 8 dims", groups=(("arm", 8), ("claw", 8)))
def one_sum_over_one_count(groups=ARM_AND_CLAW) -> Found:
    """Do two means, added, train like the one sum over one count? They do if their gradients point the same way."""
    policy = note_policy(decoders=groups)
    result = policy.head.loss(policy.observation, policy.batch, policy.noise, policy.t)
    (_, first), _ = groups
    slices = {"arm": slice(0, first), "claw": slice(first, 16)}
    means = group_velocity_losses(result.velocity_pred, result.velocity_target, result.counted, slices)
    one, two = result.loss, means["arm"] + means["claw"]
    grads = [gradient(loss, policy) for loss in (one, two)]
    cosine = torch.cosine_similarity(*grads, dim=0)
    figures = {
        "one sum over one count": f"{one:.4f}",
        "arm mean + claw mean": f"{two:.4f}",
        "cosine of their gradients": f"{cosine:.4f}",
    }
    return Found("holds" if cosine > 1 - 1e-9 else "wrong", figures)


@claim(9, "pretrained weights that are 16 wide", pretrained=16)
def the_width_is_the_weights_width(pretrained: int = PADDED_DIM) -> Found:
    """Which width of the action encoder takes the pretrained weights: the padded 32, or the robot's 16?"""

    def encoder(width: int):
        config = replace(toy_policy("N1.5").head.config, padded_dim=width)
        return ActionHead(config, GROOT_N1_5, torch.Generator()).action_encoder

    weights, fits = encoder(pretrained).state_dict(), {}
    for width in (PADDED_DIM, DUAL_ARM.action_dim):
        try:
            encoder(width).load_state_dict(weights)
            fits[width] = True
        except RuntimeError:  # a shape that does not fit
            fits[width] = False
    said = {True: "takes the weights", False: "refuses them"}
    figures = {f"an encoder {width} wide": said[fit] for width, fit in fits.items()}
    return Found("holds" if [*fits.values()] == [True, False] else "wrong", figures)


@claim(10, "padded entries set to 0 in front of the encoder", masking=with_switches(GROOT_N1_5, encoder_input="closed"))
def only_real_dims_are_learned(masking: Masking = GROOT_N1_5) -> Found:
    """Which weights of padded dims get a gradient: those that answer for them, those that read them?"""
    policy = note_policy(masking, decoders=ONE_OF_32)
    policy.loss().backward()
    encoder: Any = policy.head.action_encoder
    decoder: Any = policy.head.decoders["action"]
    read, answer = encoder.first.weight.grad.norm(dim=2), decoder.second.weight.grad.norm(dim=1)
    parts = [(grad[:, 16:].norm() / grad[:, :16].norm()).item() for grad in (answer, read)]
    figures = {
        "gradient of padded dims next to real ones, in the decoder": percent(parts[0]),
        "in the encoder": percent(parts[1]),
    }
    verdict = {(True, True): "holds", (True, False): "holds in part"}.get((parts[0] == 0, parts[1] == 0), "wrong")
    return Found(verdict, figures)


@claim(11, "a robot of 32 dims, so that none is padded", robot=WIDE, decoders=ONE_OF_32)
def the_loss_is_the_place_for_the_mask(robot: Embodiment = DUAL_ARM, decoders=ARM_AND_CLAW) -> Found:
    """The mask touches nothing before the loss. Does padding touch nothing there either?"""
    policy = note_policy(decoders=decoders, robots=(robot,) * 3)
    batch, noisy_actions = policy.batch, interpolate(policy.batch.actions, policy.noise, policy.t)
    upright, turned = (
        policy.head(policy.observation, noisy_actions, policy.t, dim_mask, batch.step_mask)
        for dim_mask in (batch.dim_mask, ~batch.dim_mask)
    )
    by_mask = not torch.equal(upright, turned)
    by_padding = apart(of_real_entries(other_padded_dims(policy)), of_real_entries(policy))
    figures = {
        "velocity moved by turning the mask round": "some" if by_mask else "0",
        "velocity of real dims moved by other noise in padded ones": percent(by_padding),
    }
    if by_mask:
        return Found("wrong", figures)
    return Found("holds in part" if by_padding else "holds", figures)


@claim(20, "a check that flips one entry of the mask and looks whether the loss moves", proof="flip")
def sixteen_everywhere_proves_the_mask(proof: str = "count") -> Found:
    """Does the proof tell a program whose loss obeys the mask from one whose loss has lost it?"""
    programs = {"obeys": note_policy(), "lost it": with_masking(note_policy(), loss="open")}
    flipped = programs["obeys"].batch.dim_mask.clone()
    flipped[:, 3] = False

    def passes(policy: Policy) -> bool:
        if proof == "count":
            return bool(policy.batch.dim_mask.sum(dim=-1).eq(16).all())
        other = replace(policy, batch=replace(policy.batch, dim_mask=flipped))
        return not torch.equal(policy.loss(), other.loss())

    passed = {name: passes(policy) for name, policy in programs.items()}
    figures = {f"a loss that {name}": "passes" if ok else "fails" for name, ok in passed.items()}
    verdicts = {(True, False): "holds", (True, True): "empty"}
    return Found(verdicts.get((passed["obeys"], passed["lost it"]), "wrong"), figures)


# ----------------------------------------------------------------------------------------- the mask of the tokens


def off_by_padding(policy: Policy, robot: int = 1) -> float:
    """How far the robot's velocity is from the one without its padded tokens."""
    o, vl = policy.observation, policy.observation.vl
    real, one = vl.backbone_attention_mask[robot], slice(robot, robot + 1)
    tokens = VLBatch(vl.tokens[one, real], vl.backbone_attention_mask[one, real], vl.cameras[one, real])
    alone = replace(
        policy,
        observation=Observation(tokens, o.state[one], o.embodiment_id[one]),
        batch=replace(policy.batch, **{name: value[one] for name, value in vars(policy.batch).items()}),
        noise=policy.noise[one],
        t=policy.t[one],
    )
    off = apart(policy.velocity()[one], alone.velocity())
    return 0.0 if off < 1e-12 else off  # sums of another length are rounded otherwise


BOTH_CLOSED = {"vl_self_attention": "closed", "cross_attention": "closed"}


@claim(15, "both attentions masked", masking=with_switches(GROOT_N1_5, **BOTH_CLOSED))
def training_teaches_to_ignore_padding(masking: Masking = GROOT_N1_5) -> Found:
    """We train the head of chapter 7 on its batch, 200 steps: is it misled by less than 1% then?"""
    policy = toy_policy("N1.5")
    policy.head.masking = masking
    before = off_by_padding(policy)
    optimizer = torch.optim.Adam(policy.head.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        noise = torch.randn(policy.noise.shape, generator=generator, dtype=torch.float64)
        t = torch.rand(len(noise), generator=generator, dtype=torch.float64)
        optimizer.zero_grad()
        replace(policy, noise=noise, t=t).loss().backward()
        optimizer.step()
    after = off_by_padding(policy)
    figures = {"misled by padding before": percent(before), "after 200 steps": percent(after)}
    return Found("holds" if after < 0.01 else "unproven", figures)


# ------------------------------------------------------------------------------------------------ what it leaves out


@claim(23, "a sampler that puts training's noise there", samplers=("renoise",))
def padded_dims_at_inference(samplers: tuple[str, ...] = ("free", "zero")) -> Found:
    """What do padded dims hold in the last of four Euler steps, next to what training showed at that time?"""
    figures, fits = {"spread in training at t = 0.75": "0.25"}, []
    for sampler in samplers:
        policy = note_policy(with_switches(GROOT_N1_5, sampler=sampler))
        path = policy.head.sample(policy.observation, policy.noise, policy.batch.dim_mask)
        spread = (path[3] / policy.noise)[..., 16:].abs().mean().item()
        figures[{"free": "in the fork's first version", "zero": "in its second", "renoise": "renoised"}[sampler]] = (
            f"{spread:.2f}"
        )
        fits.append(abs(spread - 0.25) < 1e-9)
    return Found("holds" if all(fits) else "missing", figures)


@claim(24, "two groups of 8 dims", groups=(("arm", 8), ("claw", 8)))
def what_a_claw_dim_weighs(groups=ARM_AND_CLAW) -> Found:
    """Every entry is off by 1: how much of the loss is the claw's, and how much more does one of its dims weigh?"""
    (_, arm), (_, claw) = groups
    pred = torch.ones(3, HORIZON, arm + claw, dtype=torch.float64, requires_grad=True)
    everything = torch.ones_like(pred, dtype=torch.bool)
    slices = {"arm": slice(0, arm), "claw": slice(arm, arm + claw)}
    means = group_velocity_losses(pred, torch.zeros_like(pred), everything, slices)
    total = means["arm"] + means["claw"]
    (gradients,) = torch.autograd.grad(total, pred)
    of_dim = gradients.sum(dim=(0, 1))
    times = (of_dim[-1] / of_dim[0]).item()
    share = (means["claw"] / total).item()
    figures = {
        "one claw dim weighs": f"{times:.1f} times an arm dim",
        "the claw's part of the loss": percent(share),
        "its part of the dims": percent(claw / (arm + claw)),
    }
    return Found("holds" if abs(times - 1) < 1e-9 else "missing", figures)


@claim(25, "the strict head", version="strict")
def the_two_never_meet(version: str = "N1.5") -> Found:
    """We garble padded dims, padded tokens, and both. Without a meeting, both move what each alone moves, added up."""
    policy = toy_policy(version)
    dims, tokens = other_padded_dims(policy), other_padded_tokens(policy)
    nothing, by_dims, by_tokens, by_both = (
        of_real_entries(one) for one in (policy, dims, tokens, other_padded_tokens(dims))
    )
    moved, met = by_both - nothing, by_both - by_dims - by_tokens + nothing
    met = 0.0 if met.abs().max() < 1e-12 else (met.norm() / moved.norm()).item()
    figures = {
        "velocity moved by both": percent(apart(by_both, nothing)),
        "part of it that neither moves alone": percent(met),
    }
    return Found("holds in part" if met else "holds", figures)
