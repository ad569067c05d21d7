"""`released` without a released head: names, sizes and checkpoints, and the errors when they do not fit.

That the numbers are those of the released heads is tested in `tests/upstream/test_action_head.py`.
"""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.head.released import (
    config_from_weights,
    config_n1_5,
    config_n1_7,
    draw_like_upstream,
    load_upstream,
    read_action_head,
    real_time_chunk,
    to_upstream,
    upstream_name,
)
from groot_teach.masks import GROOT_N1_5

SIZES = HeadConfig(
    padded_dim=11,
    state_dim=3,
    token_width=10,
    width=12,
    heads=3,
    hidden=13,
    layers=3,
    vl_layers=2,
    vl_heads=5,
    embodiments=4,
    future_tokens=2,
    max_steps=17,
)
HEADS = {
    "N1.5": SIZES,
    "N1.7": replace(SIZES, future_tokens=0),
    "the fork": replace(SIZES, decoders=(("arm", 7), ("claw", 2))),
    "plain norms": replace(SIZES, adaptive=False, vl_norm=False, vl_layers=0, vl_heads=1, max_steps=None),
}


def head_of(kind="N1.5", **changes):
    return ActionHead(replace(HEADS[kind], **changes), GROOT_N1_5, torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------- names and weights


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("state_encoder.first.weight", "state_encoder.layer1.W"),
        ("state_encoder.second.bias", "state_encoder.layer2.b"),
        ("action_encoder.third.weight", "action_encoder.W3.W"),
        ("decoders.action.first.bias", "action_decoder.layer1.b"),
        ("decoders.claw.second.weight", "action_claw_decoder.layer2.W"),
        ("future_tokens", "future_tokens.weight"),
        ("step_embedding", "position_embedding.weight"),
        ("vl_norm.bias", "vlln.bias"),
        ("vl_blocks.1.attention_norm.weight", "vl_self_attention.transformer_blocks.1.norm1.weight"),
        ("dit.blocks.12.attention_norm.modulation.bias", "model.transformer_blocks.12.norm1.linear.bias"),
        ("dit.blocks.0.attention.value.weight", "model.transformer_blocks.0.attn1.to_v.weight"),
        ("dit.blocks.0.attention.out.bias", "model.transformer_blocks.0.attn1.to_out.0.bias"),
        ("vl_blocks.0.feed_forward_norm.bias", "vl_self_attention.transformer_blocks.0.norm3.bias"),
        ("dit.blocks.2.widen.weight", "model.transformer_blocks.2.ff.net.0.proj.weight"),
        ("dit.blocks.2.narrow.bias", "model.transformer_blocks.2.ff.net.2.bias"),
        ("dit.time_encoder.first.weight", "model.timestep_encoder.timestep_embedder.linear_1.weight"),
        ("dit.last_norm.modulation.weight", "model.proj_out_1.weight"),
        ("dit.out.bias", "model.proj_out_2.bias"),
    ],
)
def test_each_kind_of_tensor_has_its_name_upstream(ours, theirs):
    assert upstream_name(ours) == theirs


@pytest.mark.parametrize("kind", HEADS)
def test_weights_go_out_and_come_back_and_say_their_sizes(kind):
    head = head_of(kind)
    weights = to_upstream(head)
    assert len(weights) == len(head.state_dict())
    other = ActionHead(head.config, GROOT_N1_5, torch.Generator().manual_seed(1))
    assert not torch.equal(other.dit.out.weight, head.dit.out.weight)
    load_upstream(other, weights)
    for name, tensor in head.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert config_from_weights(weights, head_width=4, vl_head_width=2 if head.config.vl_layers else 10) == head.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("vlln.bias"), r"weights: missing: vlln\.bias; not in this head: none"),
        (lambda w: w.update(other=torch.zeros(1)), "weights: missing: none; not in this head: other"),
        (
            lambda w: w.update({"vlln.bias": torch.zeros(3)}),
            r"another shape than this head has: vlln\.bias \(3,\) and not \(10,\)",
        ),
        (lambda w: w.update({"vlln.bias": torch.zeros(10).double()}), r"another dtype .*: vlln\.bias torch\.float64"),
        (lambda w: w.pop("future_tokens.weight"), r"these are weights of N1\.6 or N1\.7, without future tokens"),
        (lambda w: [w.pop(name) for name in [*w][:7]], "and 2 more; not in this head"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_none_is_taken(change, message):
    head = head_of()
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    weights = {name: torch.zeros_like(tensor) for name, tensor in to_upstream(head).items()}
    change(weights)
    with pytest.raises(ValueError, match=message):
        load_upstream(head, weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())


def test_n1_5s_weights_are_named_in_a_head_without_future_tokens():
    with pytest.raises(ValueError, match=r"these are weights of N1\.5, which has future tokens"):
        load_upstream(head_of("N1.7"), to_upstream(head_of("N1.5")))


def test_sizes_need_an_action_heads_weights_and_head_widths_that_divide():
    with pytest.raises(ValueError, match=r"weights: got no model\.proj_out_2\.weight, expected an action head's"):
        config_from_weights({"a": torch.zeros(1)})
    with pytest.raises(ValueError, match="head_width: got 5, expected a divisor of 12"):
        config_from_weights(to_upstream(head_of()), head_width=5, vl_head_width=2)


# ---------------------------------------------------------------------------------------------------- the checkpoint


def saved(path, prefix="action_head.", **others):
    weights = to_upstream(head_of())
    save_file({prefix + name: tensor for name, tensor in weights.items()} | others, path)
    return weights


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("prefix", ["action_head.", "_groot_model.action_head.", "model.action_head."])
def test_the_head_is_taken_out_of_a_file_whatever_stands_before_its_name(tmp_path, prefix):
    backbone = {"backbone.embed.weight": torch.zeros(1000, 3)}
    weights = saved(tmp_path / "model.safetensors", prefix, **backbone)
    assert same(read_action_head(tmp_path / "model.safetensors"), weights)
    assert same(read_action_head(str(tmp_path)), weights)


def test_shards_without_the_head_are_not_opened(tmp_path):
    """The backbone's shard is not even there."""
    weights = to_upstream(head_of())
    names = sorted(weights)
    halves = {"model-2.safetensors": names[: len(names) // 2], "model-3.safetensors": names[len(names) // 2 :]}
    for file, part in halves.items():
        save_file({f"action_head.{name}": weights[name] for name in part}, tmp_path / file)
    index = {f"action_head.{name}": file for file, part in halves.items() for name in part}
    index["backbone.embed.weight"] = "model-1.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert same(read_action_head(tmp_path), weights)
    (tmp_path / "model-3.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"index\.json names model-3\.safetensors"):
        read_action_head(tmp_path)


def test_a_checkpoint_without_a_head_or_with_two_is_named(tmp_path):
    save_file({"backbone.a": torch.zeros(1), "lm_head.b": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"no tensor named .* only parts of backbone, lm_head"):
        read_action_head(tmp_path / "none.safetensors")
    two = {f"{name}.action_head.vlln.bias": torch.zeros(1) for name in ("student", "teacher")}
    save_file(two, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match=r"several action heads .* begin with student\., teacher\., expected one"):
        read_action_head(tmp_path / "two.safetensors")


def test_a_file_that_is_not_there_or_broken_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file or a folder"):
        read_action_head(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="got no safetensors file"):
        read_action_head(tmp_path)
    saved(tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match=r"(?i)incomplete|invalid|header"):
        read_action_head(tmp_path / "model.safetensors")


# --------------------------------------------------------------------------------------------------- configurations

BLOCK = {"num_attention_heads": 3, "attention_head_dim": 4, "positional_embeddings": None, "dropout": 0.2}
COMMON = {
    "backbone_embedding_dim": 10,
    "hidden_size": 13,
    "input_embedding_dim": 12,
    "max_num_embodiments": 4,
    "max_seq_len": 17,
    "max_state_dim": 3,
    "add_pos_embed": True,
    "use_vlln": True,
    "diffusion_model_cfg": BLOCK | {"num_layers": 3, "output_dim": 13, "interleave_self_attention": True},
    "vl_self_attention_cfg": BLOCK | {"num_layers": 2, "num_attention_heads": 5, "attention_head_dim": 2},
}
N1_5 = COMMON | {"action_dim": 11, "num_target_vision_tokens": 2}
N1_7 = COMMON | {
    "max_action_dim": 11,
    "state_history_length": 2,
    "state_dropout_prob": 0.3,
    "use_alternate_vl_dit": True,
    "attend_text_every_n_blocks": 2,
}
DROPPED = {"dropout": 0.2, "vl_dropout": 0.2, "final_dropout": True, "vl_final_dropout": True}


def test_a_configuration_becomes_sizes():
    assert config_n1_5(N1_5) == replace(SIZES, **DROPPED)
    n1_7 = replace(SIZES, **DROPPED, future_tokens=0, attend_text_every_n_blocks=2, state_history=2, state_dropout=0.3)
    assert config_n1_7(N1_7) == n1_7
    assert config_n1_7(N1_7 | {"use_alternate_vl_dit": False}).attend_text_every_n_blocks is None
    assert config_n1_7(N1_7 | {"vl_self_attention_cfg": None}).vl_layers == 0
    assert config_n1_7(N1_7 | {"use_vlln": False}) == replace(n1_7, vl_norm=False)  # the layers stay
    assert config_n1_5(N1_5 | {"use_vlln": False}).vl_layers == 0  # they go with the norm
    assert config_n1_5(N1_5 | {"add_pos_embed": False}).max_steps is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expand_batch": 2}, "config, expand_batch: got 2, expected None"),
        ({"noise_s": 1.0}, r"config, noise_s: got 1\.0, expected 0\.999"),
        ({"num_timestep_buckets": 100}, "num_timestep_buckets: got 100, expected 1000"),
        ({"hidden_size": 7}, "diffusion_model_cfg, output_dim: got 13, expected 7"),
        ({"input_embedding_dim": 16}, r"num_attention_heads \* attention_head_dim: got 12, expected 16"),
        ({"backbone_embedding_dim": 20}, "vl_self_attention_cfg, .* got 10, expected 20, the backbone's width"),
    ],
)
def test_a_configuration_that_this_head_has_not_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        config_n1_5(N1_5 | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_type": "ada_norm_zero"}, "norm_type: got 'ada_norm_zero', expected one of ada_norm, layer_norm"),
        ({"positional_embeddings": "sinusoidal"}, "positional_embeddings: got 'sinusoidal', expected None"),
        ({"activation_fn": "geglu"}, "activation_fn: got 'geglu', expected 'gelu-approximate'"),
        ({"cross_attention_dim": 9}, "cross_attention_dim: got 9, expected 10"),
    ],
)
def test_so_is_one_of_the_blocks(change, message):
    with pytest.raises(ValueError, match=message):
        config_n1_5(N1_5 | {"diffusion_model_cfg": COMMON["diffusion_model_cfg"] | change})


def test_an_entry_that_is_missing_is_named_and_silence_about_positions_is_no_null():
    with pytest.raises(ValueError, match="config: got no 'action_dim', expected it beside"):
        config_n1_5(COMMON)
    blocks = {key: value for key, value in COMMON["diffusion_model_cfg"].items() if key != "positional_embeddings"}
    with pytest.raises(ValueError, match="positional_embeddings: got no such entry, expected null"):
        config_n1_5(N1_5 | {"diffusion_model_cfg": blocks})


# ---------------------------------------------------------------------------------------------------- random numbers


def test_a_draw_leaves_the_global_generator_alone_and_depends_on_the_seed():
    actions, state = torch.zeros(3, 5, 7), torch.get_rng_state()
    one, same_seed, other = (draw_like_upstream(seed, actions, "N1.5") for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.noise, same_seed.noise)
    assert torch.equal(one.t, same_seed.t)
    assert not torch.equal(one.noise, other.noise)


def test_a_new_chunk_begins_with_the_end_of_the_old_one():
    noise, previous = torch.zeros(1, 5, 1), torch.arange(4.0)[None, :, None] + 1
    overlap = real_time_chunk(noise, previous, overlap=3, frozen=1, ramp_rate=6.0)
    assert overlap.start.flatten().tolist() == [2, 3, 4, 0, 0]
    first, *ramp, free, last = overlap.strength.flatten().tolist()
    assert (first, free, last) == (0, 1, 1)
    assert 0 < ramp[0] < ramp[1] < 1
    assert noise.eq(0).all()


@pytest.mark.parametrize(("overlap", "frozen"), [(5, 0), (2, 3), (1, -1)])
def test_an_overlap_that_does_not_fit_is_named(overlap, frozen):
    with pytest.raises(ValueError, match="frozen, overlap: got"):
        real_time_chunk(torch.zeros(1, 5, 1), torch.zeros(1, 4, 1), overlap, frozen)
    with pytest.raises(ValueError, match="ramp_rate: got 0"):
        real_time_chunk(torch.zeros(1, 5, 1), torch.zeros(1, 4, 1), 2, 1, ramp_rate=0.0)
