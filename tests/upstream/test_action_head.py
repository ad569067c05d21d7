"""`ActionHead` is the released head, weight for weight: loss, predictions, gradients and sampled actions."""

import json
from pathlib import Path

import pytest
import torch

from evidence.conformance import Case, Pair, masking_of, run_grid
from evidence.released.heads import Bag, head_n1_5, head_n1_7
from evidence.released.pack_step import pack_n1_7
from groot_teach.head.action_head import ActionHead
from groot_teach.head.released import (
    config_from_weights,
    config_n1_5,
    config_n1_7,
    draw_like_upstream,
    load_upstream,
    real_time_chunk,
    to_upstream,
)
from groot_teach.padding import ActionChunk, action_mask_dims_and_steps, collate_chunks_with_zeros

STORED = Path(__file__).parents[2] / "book" / "conformance.json"
PRECISIONS = {"float64": (torch.float64, 1e-12), "float32": (torch.float32, 1e-4)}
VERSIONS = {"N1.5": (head_n1_5, config_n1_5), "N1.7": (head_n1_7, config_n1_7)}
EACH = pytest.mark.parametrize("version", VERSIONS)


@pytest.mark.parametrize(
    ("precision", "part"),
    [
        *(pytest.param("float64", slice(first, None, 4), id=f"float64, part {first + 1} of 4") for first in range(4)),
        pytest.param("float32", slice(None, None, 10), id="float32, every tenth case"),
        pytest.param("float32", slice(None), id="float32", marks=pytest.mark.weekly),
    ],
)
def test_loss_predictions_gradients_and_actions_agree_over_the_grid(precision, part):
    """v0.4.4 flow_matching_action_head.py 266-398; 0.6.1 groot_n1_7.py 567-717. The page shows the stored bounds."""
    dtype, bound = PRECISIONS[precision]
    cases, worst = run_grid(dtype, part)
    stored = json.loads(STORED.read_text())
    assert cases == len(range(stored["cases"])[part])
    assert {*worst} == {*stored["worst"][precision]} == {"loss", "predictions", "gradients", "actions"}
    for quantity, apart in worst.items():
        assert apart <= stored["worst"][precision][quantity] <= bound, quantity


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_seed_draws_the_same_noise_and_time(version, dtype):
    """What upstream's encoder is shown, from our draw; the global generator is left as it was."""
    pair, shown = Pair.of(Case(version, {}), 3, dtype), []
    pair.theirs.action_encoder.register_forward_hook(lambda module, given, out: shown.append(given))
    torch.manual_seed(11)
    pair.theirs(pair.backbone_output(), pair.action_input())
    before = torch.get_rng_state()
    drawn = draw_like_upstream(11, pair.batch.actions, version)
    assert torch.equal(before, torch.get_rng_state())
    t = drawn.t[:, None, None]
    assert torch.equal((1 - t) * drawn.noise + t * pair.batch.actions, shown[0][0])
    assert torch.equal((drawn.t * 1000).long(), shown[0][1])


@EACH
@pytest.mark.parametrize("final", [False, True])
def test_with_dropout_the_same_stream_gives_the_same_loss(version, final):
    """In training upstream draws: VL dropout, N1.7's state dropout, noise, time, then the dropout of the DiT."""
    dropping = {
        "blocks": {"dropout": 0.3, "final_dropout": final},
        "vl_blocks": {"dropout": 0.2, "final_dropout": final},
    }
    if version == "N1.7":
        dropping["state_dropout_prob"] = 0.5
    pair = Pair.of(Case(version, {"vl_layers": 1} | dropping, batch=5), 5, torch.float64)
    pair.theirs.train()
    head, seen, batch = pair.ours.train(), pair.observation, pair.batch
    torch.manual_seed(7)
    loss = pair.theirs(pair.backbone_output(), pair.action_input())["loss"]

    torch.manual_seed(7)
    tokens = head.read_tokens(seen.vl)
    state = head.encode_state(seen.state, seen.embodiment_id)
    noise = torch.randn(batch.actions.shape, dtype=torch.float64)
    s = torch.distributions.Beta(1.5, 1.0).sample([5]).double()
    t = (0.999 - s) / 0.999 if version == "N1.5" else (1 - s) * 0.999
    shown = (1 - t[:, None, None]) * noise + t[:, None, None] * batch.actions
    bucket = (t * 1000).long()
    actions = head.encode_actions(shown, bucket, seen.embodiment_id, pair.action_mask)
    answers = head.denoise(state, actions, head.remember_tokens(tokens, seen.vl), bucket, batch.step_mask)
    velocity = head.decode(answers, seen.embodiment_id)
    ours = head.compare(velocity, batch.actions - noise, head.counted(batch))
    torch.testing.assert_close(ours, loss, rtol=1e-13, atol=0)
    still = pair.ours.eval().loss(seen, batch, noise, t).loss
    assert (still - ours).abs() > 1e-3


def test_an_empty_mask_is_nan_in_n1_5_and_an_error_here():
    pair = Pair.of(Case("N1.5", {}, empty=True), 0, torch.float64)
    assert pair.theirs(pair.backbone_output(), pair.action_input())["loss"].isnan()
    drawn = draw_like_upstream(0, pair.batch.actions, "N1.5")
    with pytest.raises(ValueError, match="action_mask: got no real entry"):
        pair.ours.loss(pair.observation, pair.batch, drawn.noise, drawn.t)


def test_nan_behind_a_mask_poisons_the_released_head_and_not_ours():
    """Where we differ on purpose; `dit.Attention` says so."""
    pair = Pair.of(Case("N1.7", {}), 0, torch.float64)
    hidden = ~pair.observation.vl.backbone_attention_mask[..., None]
    poisoned = torch.where(hidden, torch.nan, pair.observation.vl.tokens)
    seen = Bag(pair.backbone_output(), backbone_features=poisoned)
    assert pair.theirs(seen, pair.action_input())["loss"].isnan()
    pair.observation.vl.tokens.copy_(poisoned)
    drawn = draw_like_upstream(0, pair.batch.actions, "N1.7")
    assert pair.ours.loss(pair.observation, pair.batch, drawn.noise, drawn.t).loss.isfinite()


@pytest.mark.parametrize(("overlap", "frozen"), [(4, 2), (3, 0), (2, 2), (5, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_real_time_chunking_is_n1_7s(overlap, frozen, dtype):
    """0.6.1 groot_n1_7.py 662-679, 702-708."""
    pair = Pair.of(Case("N1.7", {}), 1, dtype)
    previous = torch.randn(pair.batch.actions.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
    options = {
        "action_horizon": 5,
        "rtc_overlap_steps": overlap,
        "rtc_frozen_steps": frozen,
        "rtc_ramp_rate": 6.0,
    }
    asked = Bag(state=pair.observation.state, embodiment_id=pair.observation.embodiment_id, action=previous)
    torch.manual_seed(4)
    actions = pair.theirs.get_action(pair.backbone_output(), asked, options)["action_pred"]
    torch.manual_seed(4)
    start = real_time_chunk(torch.randn(previous.shape, dtype=dtype), previous, overlap, frozen)
    path = pair.ours.sample(pair.observation, start.start, pair.batch.dim_mask, strength=start.strength)
    bound = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(path[-1], actions, rtol=0, atol=bound)
    assert torch.equal(path[-1][:, :frozen], previous[:, 5 - overlap :][:, :frozen])


@EACH
def test_a_seeded_generator_samples_what_the_released_head_samples_with_that_seed(version):
    """v0.4.4 flow_matching_action_head.py 357-361; 0.6.1 groot_n1_7.py 656-661: the noise of all samples at once."""
    pair = Pair.of(Case(version, {}), 6, torch.float64)
    asked = Bag(state=pair.observation.state, embodiment_id=pair.observation.embodiment_id)
    torch.manual_seed(9)
    theirs = pair.theirs.get_action(pair.backbone_output(), asked)["action_pred"]
    every_step, generator = torch.ones_like(pair.batch.step_mask), torch.Generator().manual_seed(9)
    ours = pair.ours.sample(pair.observation, None, pair.batch.dim_mask, every_step, generator=generator)
    torch.testing.assert_close(ours[-1], theirs, rtol=0, atol=1e-12)


def test_n1_7s_packing_step_makes_the_batch_of_collate_chunks_with_zeros():
    """0.6.1 processor_groot.py 1926-1972: copied steps and those behind the valid horizon become zeros."""
    actions = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(3))
    is_pad = torch.arange(5) >= torch.tensor([5, 2, 4])[:, None]
    packed = pack_n1_7(actions, is_pad, action_horizon=7, valid_action_horizon=4, max_action_dim=6)
    chunks = [ActionChunk(*pair) for pair in zip(actions, is_pad, strict=True)]
    batch = collate_chunks_with_zeros(chunks, 6, 7, valid_action_horizon=4)
    assert torch.equal(batch.actions, packed.action)
    assert torch.equal(action_mask_dims_and_steps(batch.dim_mask, batch.step_mask), packed.action_mask.bool())


@EACH
def test_our_weights_go_back_by_the_same_names(version):
    pair = Pair.of(Case(version, {"vl_layers": 2}), 2, torch.float64)
    back = VERSIONS[version][0](vl_layers=2)
    assert back.load_state_dict(to_upstream(pair.ours), strict=True)
    torch.manual_seed(0)
    one = back(pair.backbone_output(), pair.action_input())["loss"]
    torch.manual_seed(0)
    assert one == pair.theirs(pair.backbone_output(), pair.action_input())["loss"]


@EACH
def test_sizes_can_be_read_off_the_weights(version):
    pair = Pair.of(Case(version, {"vl_layers": 2}), 2, torch.float64)
    every = None if version == "N1.5" else 2
    assert config_from_weights(pair.theirs.state_dict(), 8, 10, every) == pair.ours.config


@EACH
def test_another_versions_checkpoint_is_named(version):
    other = "N1.7" if version == "N1.5" else "N1.5"
    weights = VERSIONS[other][0]().state_dict()
    make, config = VERSIONS[version]
    head = ActionHead(config(vars(make().config)), masking_of(Case(version, {})), torch.Generator()).double()
    before = head.state_dict()["vl_norm.weight"].clone()
    with pytest.raises(ValueError, match="these are weights of " + ("N1.6 or N1.7" if version == "N1.5" else "N1.5")):
        load_upstream(head, weights)
    assert torch.equal(before, head.state_dict()["vl_norm.weight"])
