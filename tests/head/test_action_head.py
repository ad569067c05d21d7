"""The head's stages and switches: with `STRICT` padding counts for nothing, and each switch shuts one door.

That its numbers are a released head's is tested in `tests/upstream/test_action_head.py`.
"""

from dataclasses import replace

import pytest
import torch

from groot_teach.flow import interpolate
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.head.stage_probes import leaks_found
from groot_teach.masks import (
    GROOT_N1_5,
    GROOT_N1_6,
    GROOT_N1_7,
    LEAKS,
    OCTO_RENOISE,
    PR_741,
    STRICT,
    open_leaks,
    with_switches,
)
from groot_teach.padding import ActionBatch, VLBatch

DIMS, STEPS, TOKENS, STATE, TOKEN_WIDTH, WIDTH = 11, 5, 7, 3, 10, 12
SIZES = HeadConfig(
    padded_dim=DIMS,
    state_dim=STATE,
    token_width=TOKEN_WIDTH,
    width=WIDTH,
    heads=3,
    hidden=13,
    layers=4,
    vl_layers=2,
    vl_heads=5,
    embodiments=4,
    max_steps=17,
)
HEADS = {
    "reads all": replace(SIZES, future_tokens=2),
    "turns": replace(SIZES, attend_text_every_n_blocks=2),
    "groups": replace(SIZES, decoders=(("arm", 7), ("claw", 4))),
    "no interleave, plain norms": replace(SIZES, interleave=False, adaptive=False, vl_norm=False, max_steps=None),
}
EACH_HEAD = pytest.mark.parametrize("kind", HEADS)
ALL_OPEN = with_switches(
    STRICT,
    encoder_input="open",
    self_attention="open",
    vl_self_attention="open",
    cross_attention="open",
    loss="dims",
    loss_denominator="all",
    sampler="free",
)
REAL_DIMS = torch.arange(DIMS) < torch.tensor([7, 3, 11])[:, None]
REAL_STEPS = torch.arange(STEPS) < torch.tensor([5, 2, 4])[:, None]
REAL_TOKENS = torch.arange(TOKENS) >= torch.tensor([0, 2, 3])[:, None]
REAL_TOKENS[0, 4] = False  # a hole
IMAGES = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]]).bool()
REAL = REAL_DIMS[:, None] & REAL_STEPS[..., None]


def draw(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def head_of(kind="reads all", masking=STRICT, **changes):
    config = replace(HEADS[kind], **changes)
    return ActionHead(config, masking, torch.Generator().manual_seed(0)).double().eval()


def observation(tokens=None):
    tokens = draw(1, 3, TOKENS, TOKEN_WIDTH) if tokens is None else tokens
    return Observation(VLBatch(tokens, REAL_TOKENS, IMAGES), draw(2, 3, 1, STATE), torch.tensor([2, 0, 3]))


BATCH = ActionBatch(torch.where(REAL_DIMS[:, None], draw(3, 3, STEPS, DIMS), 0.0), REAL_DIMS, REAL_STEPS)
NOISE = draw(4, 3, STEPS, DIMS)
T = torch.tensor([0.125, 0.5, 0.875], dtype=torch.float64)


# ----------------------------------------------------------------------------------------- strict is proven, not said


def alone(head, sample, dims=True, steps=True, tokens=True):
    """One sample with its padding physically taken out, and the head for as many dims as are left."""
    stays = [
        mask[sample].nonzero().flatten() if out else torch.arange(mask.shape[1])
        for mask, out in ((REAL_DIMS, dims), (REAL_STEPS, steps), (REAL_TOKENS, tokens))
    ]
    in_dims, in_steps, in_tokens = stays

    def of(x):
        return x[[sample]][:, in_steps][:, :, in_dims]

    seen = observation()
    vl = VLBatch(*(x[[sample]][:, in_tokens] for x in (seen.vl.tokens, REAL_TOKENS, IMAGES)))
    seen = Observation(vl, seen.state[[sample]], seen.embodiment_id[[sample]])
    batch = ActionBatch(of(BATCH.actions), REAL_DIMS[[sample]][:, in_dims], REAL_STEPS[[sample]][:, in_steps])
    weights = dict(head.state_dict())
    weights["action_encoder.first.weight"] = weights["action_encoder.first.weight"][:, in_dims]
    config = head.config
    if dims:
        names = [name for name, _ in config.groups]
        flat = {
            part: torch.cat([weights.pop(f"decoders.{name}.second.{part}") for name in names], dim=-1)[..., in_dims]
            for part in ("weight", "bias")
        }
        counts, left = [], len(in_dims)
        for name, size in config.groups:
            counts.append((name, min(size, left)))
            left -= counts[-1][1]
        counts = [(name, size) for name, size in counts if size]
        for part, whole in flat.items():
            for (name, _), piece in zip(counts, whole.split([size for _, size in counts], dim=-1), strict=True):
                weights[f"decoders.{name}.second.{part}"] = piece
        kept = tuple(f"decoders.{name}." for name, _ in counts)
        weights = {name: w for name, w in weights.items() if not name.startswith("decoders.") or name.startswith(kept)}
        decoders = tuple(counts) if config.decoders else None
        config = replace(config, padded_dim=len(in_dims), decoders=decoders)
    compact = ActionHead(config, head.masking, torch.Generator()).double().eval()
    compact.load_state_dict(weights)
    return compact, seen, batch, of(NOISE), T[[sample]]


def of_each_weight(loss, head):
    names, weights = zip(*head.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, weights, allow_unused=True)
    return [(n, torch.zeros_like(w) if g is None else g) for n, w, g in zip(names, weights, grads, strict=True)]


@EACH_HEAD
@pytest.mark.parametrize("out", ["dims", "steps", "tokens", "all"])
def test_strict_equals_the_computation_without_padding(kind, out):
    """Velocity, the loss of the ragged batch, its gradients, and the sampled actions."""
    head = head_of(kind)
    axes = {axis: out in (axis, "all") for axis in ("dims", "steps", "tokens")}
    padded = head.loss(observation(), BATCH, NOISE, T)
    sampled = head.sample(observation(), NOISE, REAL_DIMS, REAL_STEPS)[-1]
    total = torch.zeros((), dtype=torch.float64)
    gradients = {name: torch.zeros_like(weight) for name, weight in head.named_parameters()}
    for sample in range(3):
        compact, seen, batch, noise, t = alone(head, sample, **axes)
        one = compact.loss(seen, batch, noise, t)
        real = REAL[sample]
        mine = REAL_DIMS[sample] if axes["dims"] else torch.ones(DIMS, dtype=torch.bool)
        kept = REAL_STEPS[sample] if axes["steps"] else torch.ones(STEPS, dtype=torch.bool)
        inside = real[kept][:, mine]
        torch.testing.assert_close(one.velocity_pred[0][inside], padded.velocity_pred[sample][real], rtol=0, atol=1e-12)
        actions = compact.sample(seen, noise, batch.dim_mask, batch.step_mask)[-1]
        torch.testing.assert_close(actions[0][inside], sampled[sample][real], rtol=0, atol=1e-12)
        part = one.loss * real.sum() / REAL.sum()
        total = total + part.detach()
        for name, grad in of_each_weight(part, compact):
            gradients[name][tuple(slice(size) for size in grad.shape)] += grad  # real dims are the first ones
    torch.testing.assert_close(total, padded.loss, rtol=0, atol=1e-12)
    for name, grad in of_each_weight(padded.loss, head):
        torch.testing.assert_close(gradients[name], grad, rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("masking", [GROOT_N1_5, GROOT_N1_7, PR_741], ids=lambda masking: masking.name)
def test_no_published_version_equals_the_computation_without_padding(masking):
    """So the test above can fail."""
    head = head_of("turns" if masking is not GROOT_N1_5 else "reads all", masking)
    velocity = head.loss(observation(), BATCH, NOISE, T).velocity_pred
    compact, *rest = alone(head, 1)
    off = (compact.loss(*rest).velocity_pred[0].flatten() - velocity[1][REAL[1]]).abs().max()
    assert off > 1e-3


@EACH_HEAD
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_nothing_in_the_padding_reaches_a_strict_head(kind, poison):
    head = head_of(kind)
    clean = head.loss(observation(), BATCH, NOISE, T)
    tokens = torch.where(REAL_TOKENS[..., None], observation().vl.tokens, poison)
    noise = torch.where(REAL, NOISE, poison)
    actions = torch.where(REAL, BATCH.actions, poison)
    dirty = head.loss(observation(tokens), replace(BATCH, actions=actions), noise, T)
    assert torch.equal(dirty.velocity_pred[REAL], clean.velocity_pred[REAL])
    assert torch.equal(dirty.loss, clean.loss)
    weights = [*head.parameters()]
    for one, other in zip(
        torch.autograd.grad(clean.loss, weights, allow_unused=True),
        torch.autograd.grad(dirty.loss, weights, allow_unused=True),
        strict=True,
    ):
        assert one is other is None or torch.equal(one, other)
    sampled = [
        head.sample(observation(given), start, REAL_DIMS, REAL_STEPS)[-1]
        for given, start in ((None, NOISE), (tokens, noise))
    ]
    assert torch.equal(*sampled)
    assert sampled[0][~REAL].eq(0).all()


# --------------------------------------------------------------------------------------------- one switch, one door


def found(head):
    return leaks_found(head, observation(), BATCH, NOISE, T)


@EACH_HEAD
def test_all_doors_open_and_all_doors_shut(kind):
    there_is = [leak.name for leak in LEAKS if HEADS[kind].interleave or leak.name != "step leak"]
    assert found(head_of(kind, ALL_OPEN)) == tuple(there_is)
    assert found(head_of(kind)) == ()


@pytest.mark.parametrize("kind", ["reads all", "turns", "groups"])
@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_each_switch_alone_shuts_its_own_door_and_no_other(kind, leak):
    opened = with_switches(STRICT, **{leak.switch: getattr(ALL_OPEN, leak.switch)})
    assert found(head_of(kind, opened)) == (leak.name,)
    shut = with_switches(ALL_OPEN, **{leak.switch: getattr(STRICT, leak.switch)})
    assert found(head_of(kind, shut)) == tuple(other.name for other in LEAKS if other is not leak)


@pytest.mark.parametrize("masking", [GROOT_N1_5, GROOT_N1_7, PR_741, STRICT, OCTO_RENOISE], ids=lambda m: m.name)
def test_the_probes_find_what_a_preset_says_of_itself(masking):
    assert found(head_of("turns", masking)) == open_leaks(masking)


def test_n1_6_has_no_vl_self_attention_to_leak():
    assert found(head_of("turns", GROOT_N1_6, vl_layers=0)) == open_leaks(GROOT_N1_6)
    with pytest.raises(ValueError, match=r"masking: GR00T N1\.6 has no VL self-attention, this head has 2 layers"):
        head_of("turns", GROOT_N1_6)
    head = head_of("turns")
    with pytest.raises(ValueError, match="no VL self-attention"):
        head.masking = GROOT_N1_6
    assert head.masking is STRICT


def test_the_probes_look_where_somebody_answers_if_not_all_dims_are_decoded():
    clipped = replace(BATCH, dim_mask=REAL_DIMS & (torch.arange(DIMS) < 8))
    for masking, leaks in ((ALL_OPEN, LEAKS), (STRICT, ())):
        head = head_of("reads all", masking, decoders=(("arm", 5), ("claw", 3)))
        assert leaks_found(head, observation(), clipped, NOISE, T) == tuple(leak.name for leak in leaks)


def test_a_probe_that_cannot_look_does_not_say_shut():
    whole = replace(BATCH, step_mask=torch.ones_like(REAL_STEPS))
    with pytest.raises(ValueError, match=r"batch\.step_mask: got no padding"):
        leaks_found(head_of(), observation(), whole, NOISE, T)


def test_the_input_leak_is_found_where_the_noise_has_no_weight():
    """At t = 1 the head is shown the actions alone."""
    opened = with_switches(STRICT, encoder_input="open")
    assert leaks_found(head_of("reads all", opened), observation(), BATCH, NOISE, torch.ones_like(T)) == ("input leak",)


@pytest.mark.parametrize("name", ["batch.actions", "noise", "observation.vl.tokens", "observation.state"])
def test_beside_a_nan_in_a_real_entry_nothing_is_called_a_leak(name):
    seen, actions, noise = observation(), BATCH.actions.clone(), NOISE.clone()
    tokens, state = seen.vl.tokens.clone(), seen.state.clone()
    values = {"batch.actions": actions, "noise": noise, "observation.vl.tokens": tokens, "observation.state": state}
    values[name][0, seen.vl.backbone_attention_mask[0].int().argmax() if "tokens" in name else 0, 0] = torch.nan
    seen = replace(seen, vl=replace(seen.vl, tokens=tokens), state=state)
    with pytest.raises(ValueError, match=f"{name}: got nan in a real entry"):
        leaks_found(head_of(), seen, replace(BATCH, actions=actions), noise, T)


@pytest.mark.parametrize("masking", [STRICT, GROOT_N1_7], ids=lambda masking: masking.name)
@pytest.mark.parametrize("vl_layers", [0, 2])
@pytest.mark.parametrize("given", ["no camera", "no real token", "no token"])
def test_a_batch_without_anything_to_read_gives_a_loss(masking, vl_layers, given):
    """In a batch with others such a sample works; so it does alone. What is not real has no effect in STRICT."""
    head, seen = head_of("turns", masking, vl_layers=vl_layers), observation()
    none = torch.zeros_like(seen.vl.image_mask)
    vl = {
        "no camera": replace(seen.vl, image_mask=none),
        "no real token": replace(seen.vl, backbone_attention_mask=none),
        "no token": VLBatch(seen.vl.tokens[:, :0], none[:, :0], none[:, :0]),
    }[given]
    head.loss(replace(seen, vl=vl), BATCH, NOISE, T).loss.backward()
    assert head.dit.out.weight.grad.isfinite().all()


def test_probing_leaves_the_head_in_the_mode_it_was_in_and_the_global_generator_alone():
    head, state = head_of("reads all", dropout=0.5).train(), torch.get_rng_state()
    assert found(head) == ()
    assert head.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("masking", "leaks"), [(ALL_OPEN, LEAKS), (STRICT, ())], ids=["open", "strict"])
def test_the_probes_find_the_same_in_float32(masking, leaks):
    seen = observation()
    seen = replace(seen, vl=replace(seen.vl, tokens=seen.vl.tokens.float()), state=seen.state.float())
    batch = replace(BATCH, actions=BATCH.actions.float())
    names = leaks_found(head_of("reads all", masking).float(), seen, batch, NOISE.float(), T.float())
    assert names == tuple(leak.name for leak in leaks)


def test_a_sampler_that_forgets_one_padded_entry_leaks():
    head = head_of()
    honest = head.sample

    def forgetful(*arguments):
        path = honest(*arguments)
        path[-1, 1, 0, DIMS - 1] = 0.5
        return path

    head.sample = forgetful
    assert found(head) == ("rollout leak",)


# ------------------------------------------------------------------------------------------------- what it computes


def test_groups_answer_like_one_decoder_with_the_same_weights():
    one, groups = head_of("reads all", future_tokens=0), head_of("groups")
    weights = dict(groups.state_dict())
    names = {f"decoders.action.{part}": part for part in ("first.weight", "first.bias", "second.weight", "second.bias")}
    weights |= {name: weights[f"decoders.arm.{part}"] for name, part in names.items()}
    for part in ("second.weight", "second.bias"):
        arm, claw = weights[f"decoders.arm.{part}"], weights[f"decoders.claw.{part}"]
        weights[f"decoders.action.{part}"] = torch.cat([arm, claw], dim=-1)
    for part in ("first.weight", "first.bias"):
        groups.state_dict()[f"decoders.claw.{part}"].copy_(weights[f"decoders.arm.{part}"])
    one.load_state_dict({name: w for name, w in weights.items() if "arm" not in name and "claw" not in name})
    results = [head.loss(observation(), BATCH, NOISE, T) for head in (one, groups)]
    torch.testing.assert_close(results[0].loss, results[1].loss, rtol=0, atol=1e-14)


def test_dims_that_nobody_decodes_stand_still_and_must_not_be_real():
    head = head_of("reads all", GROOT_N1_5, decoders=(("arm", 2), ("claw", 1)))
    narrow = REAL_DIMS & (torch.arange(DIMS) < 3)
    path = head.sample(observation(), NOISE, narrow)
    assert torch.equal(path[-1][..., 3:], NOISE[..., 3:])
    assert (path[-1][..., :3] != NOISE[..., :3]).all()
    result = head.loss(observation(), replace(BATCH, dim_mask=narrow), NOISE, T)
    assert result.velocity_pred.shape == result.counted.shape == (3, STEPS, 3)
    with pytest.raises(ValueError, match="dim_mask: got real dim 3, expected real dims only among the first 3"):
        head.loss(observation(), BATCH, NOISE, T)
    with pytest.raises(ValueError, match="dim_mask: got real dim 3"):
        head.sample(observation(), NOISE, REAL_DIMS)


@pytest.mark.parametrize(
    ("loss", "denominator", "divisor"),
    [("open", "valid", 165), ("dims", "valid", 105), ("dims_and_steps", "valid", 85), ("dims_and_steps", "all", 165)],
)
def test_what_is_counted_and_what_it_is_divided_by(loss, denominator, divisor):
    """105 = 5 steps of 7, 3 and 11 dims; 85 = 5 of 7, 2 of 3 and 4 of 11; 165 = 3 robots, 5 steps, 11 dims."""
    head = head_of("reads all", with_switches(STRICT, loss=loss, loss_denominator=denominator))
    result = head.loss(observation(), BATCH, NOISE, T)
    squared = (result.velocity_pred - result.velocity_target).square()
    torch.testing.assert_close(result.loss, squared[result.counted].sum() / divisor, rtol=1e-14, atol=0)
    assert result.counted.sum() == {"open": 165, "dims": 105, "dims_and_steps": 85}[loss]


def test_an_empty_mask_is_an_error_unless_something_is_added_to_the_count():
    empty = replace(BATCH, dim_mask=torch.zeros_like(REAL_DIMS))
    with pytest.raises(ValueError, match="action_mask: got no real entry"):
        head_of().loss(observation(), empty, NOISE, T)
    assert head_of("turns", GROOT_N1_7).loss(observation(), empty, NOISE, T).loss == 0


def test_a_sample_that_may_read_nothing_reads_zeros():
    nothing = REAL_TOKENS.clone()
    nothing[1] = False
    seen = observation()
    seen = replace(seen, vl=replace(seen.vl, backbone_attention_mask=nothing))
    head = head_of("turns", GROOT_N1_7)
    velocity = head.loss(seen, BATCH, NOISE, T).velocity_pred
    assert velocity.isfinite().all()
    cross = next(block for block in head.dit.blocks if not block.reads_itself)
    tokens = head.read_tokens(seen.vl)
    memory = head.remember_tokens(tokens, seen.vl)[0]
    answer = cross.attention(draw(9, 3, STEPS, WIDTH), memory)
    assert torch.equal(answer[1], cross.attention.out.bias.expand(STEPS, -1))
    assert not torch.equal(answer[0], cross.attention.out.bias.expand(STEPS, -1))


def test_forward_is_one_look_of_the_sampler_and_the_prediction_of_the_loss():
    head = head_of("turns", GROOT_N1_7)
    shown = interpolate(BATCH.actions, NOISE, T)
    velocity = head(observation(), shown, T, REAL_DIMS, REAL_STEPS)
    assert torch.equal(velocity, head.loss(observation(), BATCH, NOISE, T).velocity_pred)
    path = head.sample(observation(), NOISE, REAL_DIMS, steps=1)
    start = head(observation(), NOISE, torch.zeros(3).double(), REAL_DIMS, torch.ones_like(REAL_STEPS))
    torch.testing.assert_close(path[1], NOISE + start, rtol=0, atol=1e-15)


def test_strength_scales_velocities_and_zero_freezes():
    head = head_of("reads all", GROOT_N1_5)
    strength = torch.tensor([0.0, 0.5, 1.0, 1.0, 1.0]).double()[:, None].expand(3, STEPS, 1)
    path = head.sample(observation(), NOISE, REAL_DIMS, steps=1, strength=strength)
    free = head.sample(observation(), NOISE, REAL_DIMS, steps=1)
    assert torch.equal(path[-1][:, 0], NOISE[:, 0])
    torch.testing.assert_close(path[-1] - NOISE, (free[-1] - NOISE) * strength, rtol=0, atol=1e-14)


def test_the_same_generator_gives_the_same_weights_and_the_global_one_is_not_asked():
    state = torch.get_rng_state()
    one, other = head_of(), head_of()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    norms = ("vl_norm", "norm.weight", "norm.bias")  # they begin with 1 and 0
    assert all(weight.abs().max() > 0 for name, weight in one.named_parameters() if not any(n in name for n in norms))


def test_dropout_acts_in_training_only():
    head = head_of("reads all", dropout=0.5, state_dropout=0.9)
    still = [head.loss(observation(), BATCH, NOISE, T).loss.item() for _ in range(2)]
    head.train()
    moving = [head.loss(observation(), BATCH, NOISE, T).loss.item() for _ in range(2)]
    assert still[0] == still[1]
    assert len({*still, *moving}) == 3


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padded_dim": 0}, "padded_dim: got 0, expected a whole number, 1 or more"),
        ({"vl_layers": -1}, "vl_layers: got -1, expected a whole number, 0 or more"),
        ({"layers": 2.0}, "layers: got 2.0, expected a whole number"),
        ({"embodiments": True}, "embodiments: got True"),
        ({"attend_text_every_n_blocks": 0}, "attend_text_every_n_blocks: got 0"),
        ({"max_steps": 0}, "max_steps: got 0"),
        ({"heads": 5}, "width: got 12, expected an even multiple of heads=5"),
        ({"vl_heads": 3}, "token_width: got 10, expected a multiple of vl_heads=3"),
        ({"attend_text_every_n_blocks": 2, "interleave": False}, "interleave: got False, expected True"),
        ({"dropout": 1.0}, "dropout: got 1.0, expected a number, at least 0 and less than 1"),
        ({"decoders": ()}, r"decoders: got names \[\], expected at least one"),
        ({"decoders": (("arm", 2), ("arm", 3))}, "expected at least one, each of them once"),
        ({"decoders": (("arm", 0),)}, "decoders: 'arm' has 0 dims"),
        ({"interleave": "no"}, "interleave: got 'no', expected True or False"),
        ({"dropout": True}, "dropout: got True, expected a number"),
        ({"decoders": (("arm", 9), ("claw", 3))}, "decoders: got 12 dims, expected at most padded_dim=11"),
    ],
)
def test_sizes_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SIZES, **changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: replace(o, state=o.state[..., :2]), "state, dims: got 2, expected 3, as the config says"),
        (lambda o: replace(o, state=o.state.expand(-1, 2, -1)), "state, history: got 2, expected 1"),
        (lambda o: replace(o, vl=replace(o.vl, tokens=o.vl.tokens[..., :3])), "tokens, width: got 3, expected 10"),
        (
            lambda o: replace(o, vl=replace(o.vl, tokens=o.vl.tokens.float())),
            "got dtype torch.float64, torch.float64, torch.float32",
        ),
        (lambda o: replace(o, embodiment_id=torch.tensor([0, 4, 1])), "embodiment_id: got 4, expected 0 to 3"),
        (lambda o: replace(o, embodiment_id=torch.tensor([0, 1, -1])), "embodiment_id: got -1, expected 0 to 3"),
    ],
)
def test_an_observation_that_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        head_of().loss(change(observation()), BATCH, NOISE, T)
    with pytest.raises(ValueError, match=message):
        head_of().sample(change(observation()), NOISE, REAL_DIMS)


def test_the_loss_sums_the_entries_of_any_mask_that_is_given():
    head, holes = head_of("reads all", GROOT_N1_7), torch.zeros_like(NOISE, dtype=torch.bool)
    holes[0, 1, 2] = holes[2, 0, 3] = True
    answer = head.loss(observation(), BATCH, NOISE, T, holes)
    error = (answer.velocity_pred - answer.velocity_target)[holes].square()
    torch.testing.assert_close(answer.loss, error.sum() / (2 + 1e-6))
    own = head.loss(observation(), BATCH, NOISE, T)
    torch.testing.assert_close(head.loss(observation(), BATCH, NOISE, T, own.counted).loss, own.loss, rtol=0, atol=0)
    clipped = head_of("reads all", decoders=(("arm", 3),))
    narrow = replace(BATCH, dim_mask=REAL_DIMS & (torch.arange(DIMS) < 3))
    with pytest.raises(ValueError, match="action_mask: got True in a dim beyond 3"):
        clipped.loss(observation(), narrow, NOISE, T, holes)


def test_ids_may_be_n1_7s_int32():
    head, seen = head_of(), observation()
    short = replace(seen, embodiment_id=seen.embodiment_id.int())
    assert torch.equal(head.loss(short, BATCH, NOISE, T).loss, head.loss(seen, BATCH, NOISE, T).loss)


def test_dims_and_steps_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"noise, tokens, state: got \[2, 3, 3\] samples"):
        head_of().sample(observation(), NOISE[:2], REAL_DIMS[:2])
    with pytest.raises(ValueError, match="noise, dims: got 4, expected 11"):
        head_of().sample(observation(), NOISE[..., :4], REAL_DIMS[:, :4])
    long = draw(1, 3, 18, DIMS)
    with pytest.raises(ValueError, match="noise: got 18 steps, expected at most max_steps=17"):
        head_of().sample(observation(), long, REAL_DIMS)
    with pytest.raises(ValueError, match="steps: got 0"):
        head_of().sample(observation(), NOISE, REAL_DIMS, steps=0)


def test_the_name_of_a_version_and_a_bare_seed_are_refused_with_what_to_hand_over():
    with pytest.raises(TypeError, match=r"^parameter 'masking' of ActionHead: got 'N1.5', expected .*Masking"):
        ActionHead(SIZES, "N1.5", torch.Generator())
    with pytest.raises(TypeError, match=r"generator.*got 0, .*; make one: torch.Generator\(\).manual_seed\(0\)"):
        ActionHead(SIZES, STRICT, 0)
    head = ActionHead(SIZES, STRICT, torch.Generator())
    with pytest.raises(TypeError, match=r"^masking: got 'N1.5', expected a Masking, such as"):
        head.masking = "N1.5"
    with pytest.raises(TypeError, match=r"^ActionHead: missing a required argument: 'generator'"):
        ActionHead(SIZES, STRICT)


def test_a_seeded_generator_draws_the_noise_that_could_be_handed_over():
    head, seen = head_of(), observation()
    given = torch.randn(NOISE.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    by_hand = head.sample(seen, given, REAL_DIMS, REAL_STEPS)
    drawn = head.sample(seen, None, REAL_DIMS, REAL_STEPS, generator=torch.Generator().manual_seed(5))
    assert torch.equal(drawn, by_hand)
    other = head.sample(seen, None, REAL_DIMS, REAL_STEPS, generator=torch.Generator().manual_seed(6))
    assert not torch.equal(other, by_hand)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": None}, "^noise: got None, expected noise, or a generator"),
        ({"noise": NOISE, "generator": torch.Generator()}, "^generator: got one beside noise"),
        ({"noise": None, "generator": torch.Generator(), "step_mask": None}, "^step_mask: got None"),
        ({"noise": NOISE[:, :0], "step_mask": REAL_STEPS[:, :0]}, "^noise: got 0 steps, expected at least 1"),
        ({"noise": None, "generator": torch.Generator(), "step_mask": REAL_STEPS[:2]}, "batch=3, as in dim_mask"),
    ],
)
def test_what_no_noise_can_be_drawn_from_is_named(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        head_of().sample(observation(), **({"dim_mask": REAL_DIMS, "step_mask": REAL_STEPS} | given))


def test_a_head_whose_blocks_read_all_tokens_needs_no_image_mask():
    seen = observation()
    unknown = replace(seen, vl=replace(seen.vl, image_mask=None))
    head = head_of()
    assert torch.equal(head.loss(unknown, BATCH, NOISE, T).loss, head.loss(seen, BATCH, NOISE, T).loss)
    with pytest.raises(ValueError, match="image_mask: got None, expected a mask"):
        head_of("turns").loss(unknown, BATCH, NOISE, T)
