"""`released` without a released head: names, sizes and checkpoints, and the errors when they do not fit.

That the numbers are those of the released heads is tested in `tests/upstream/test_action_head.py`.
"""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from groot_teach.head.action_head import ActionHead
from groot_teach.head.config import HeadConfig
from groot_teach.head.released import (
    config_from_weights,
    config_n1_5,
    config_n1_6,
    config_n1_7,
    draw_like_upstream,
    load_upstream,
    read_action_head,
    read_checkpoint,
    real_time_chunk,
    to_upstream,
    upstream_name,
)
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6_PLAIN_DIT, GROOT_N1_7, GROOT_N1_7_PLAIN_DIT, PR_741

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
    "N1.6": replace(SIZES, future_tokens=0, vl_layers=0, vl_heads=1, dropped_state_token=True),
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
        ("dropped_state_token", "mask_token"),
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
        (
            lambda w: w.update({"vlln.bias": torch.zeros(10).double()}),
            r"another dtype .*: vlln\.bias torch\.float64.*\.float\(\)",
        ),
        (
            lambda w: w["vlln.bias"][3:5].fill_(torch.nan),
            r"weights: got nan in vlln\.bias\[3\], .*not finite: vlln\.bias$",
        ),
        (lambda w: w["vlln.bias"][0].fill_(torch.inf), r"weights: got inf in vlln\.bias\[0\]"),
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
    with pytest.raises(ValueError, match=r"weights: got no model\.proj_out_2\.weight among a, expected the"):
        config_from_weights({"a": torch.zeros(1)})
    with pytest.raises(ValueError, match="head_width: got 5, expected a divisor of 12"):
        config_from_weights(to_upstream(head_of()), head_width=5, vl_head_width=2)
    for name in ("action_encoder.W1.W", "model.transformer_blocks.1.attn1.to_k.weight"):
        flat = to_upstream(head_of()) | {name: torch.zeros(4)}
        with pytest.raises(ValueError, match=rf"weights: {re.escape(name)}: got shape \(4,\), expected more axes"):
            config_from_weights(flat, head_width=4, vl_head_width=2)


def test_how_many_states_a_head_is_given_is_for_the_caller_to_say():
    weights = to_upstream(head_of("N1.7", state_history=2))
    assert config_from_weights(weights, 4, 2).state_dim == 6
    config = config_from_weights(weights, 4, 2, state_history=2)
    assert (config.state_history, config.state_dim) == (2, 3)
    with pytest.raises(ValueError, match="state_history: got 4, expected a divisor of 6"):
        config_from_weights(weights, 4, 2, state_history=4)


def test_a_dropped_state_becomes_n1_6s_token_and_otherwise_0():
    state, who = torch.ones(200, 1, 3), torch.zeros(200, dtype=torch.int64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learned = head_of("N1.6", state_dropout=0.5).encode_state(state, who)
        plain = head_of("N1.7", state_dropout=0.5).encode_state(state, who)
    token = head_of("N1.6").dropped_state_token[0]
    is_dropped = (learned == token).all(dim=(1, 2))
    assert 70 < is_dropped.sum() < 130
    assert 70 < (plain == 0).all(dim=(1, 2)).sum() < 130
    kept = head_of("N1.6", state_dropout=0.5).eval().encode_state(state, who)
    assert torch.equal(learned[~is_dropped], kept[~is_dropped])


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
    with pytest.raises(ValueError, match=r"no tensor named .* in none\.safetensors, only parts of backbone, lm_head"):
        read_action_head(tmp_path / "none.safetensors")
    two = {f"{name}.action_head.vlln.bias": torch.zeros(1) for name in ("student", "teacher")}
    save_file(two, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match=r"several action heads, .* begin with student\., teacher\., expected one"):
        read_action_head(tmp_path / "two.safetensors")


def test_a_file_that_is_not_there_or_broken_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="there is no such folder, expected the folder that holds the model, or a file"
    ):
        read_action_head(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="got no safetensors file"):
        read_action_head(tmp_path)


DAMAGES = {
    "cut off": (lambda whole: whole[: len(whole) // 2], "incomplete or no safetensors file"),
    "no header": (lambda whole: whole[:4], "incomplete or no safetensors file"),
    "noise": (lambda whole: b"\xff" * 100, "incomplete or no safetensors file"),
    "empty": (lambda whole: b"", "got an empty file"),
    "a pointer": (lambda whole: b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, .*git lfs pull"),
    "pickled": (lambda whole: b"PK\x03\x04" + whole, "a file of torch.save, expected safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_whole_is_named_with_what_it_is(tmp_path, damage):
    change, message = DAMAGES[damage]
    saved(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(change((tmp_path / "model.safetensors").read_bytes()))
    with pytest.raises(ValueError, match=f"path: model.safetensors: .*{message}"):
        read_action_head(tmp_path)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda name: name.replace("model.", "model._orig_mod.", 1),
        lambda name: f"module.{name}",
        lambda name: f"_fsdp_wrapped_module.{name.replace('.attn1.', '._checkpoint_wrapped_module.attn1.')}",
    ],
)
def test_the_words_of_wrappers_are_left_out_wherever_they_stand(tmp_path, wrapped):
    weights = to_upstream(head_of())
    save_file({f"action_head.{wrapped(name)}": tensor for name, tensor in weights.items()}, tmp_path / "a.safetensors")
    assert same(read_action_head(tmp_path), weights)
    save_file({wrapped(name): tensor for name, tensor in weights.items()}, tmp_path / "a.safetensors")
    assert same(read_action_head(tmp_path), weights)  # the head alone, without the word before its names


def test_a_tensor_that_is_there_twice_is_named(tmp_path):
    saved(tmp_path / "a.safetensors")
    save_file({"module.action_head.vlln.bias": torch.zeros(10)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"tensor vlln\.bias .* twice: as .* in a\.safetensors and as .* in b\.safe"):
        read_action_head(tmp_path)


def test_the_last_checkpoint_of_a_training_run_is_read_from_the_folders_above_it(tmp_path):
    folder = tmp_path / "checkpoints" / "last" / "pretrained_model"
    folder.mkdir(parents=True)
    weights = saved(folder / "model.safetensors")
    save_file({"action.mean": torch.zeros(1)}, folder / "policy_preprocessor_step_5.safetensors")
    for above in (folder, folder.parent, folder.parents[1], folder.parents[2]):
        assert same(read_action_head(above), weights)
    folder.parent.rename(tmp_path / "checkpoints" / "000100")
    with pytest.raises(FileNotFoundError, match=r"expected one of its checkpoints/000100/pretrained_model"):
        read_action_head(tmp_path)


def test_a_shard_that_is_missing_is_named_without_an_index_too(tmp_path):
    weights = saved(tmp_path / "model-1-of-2.safetensors")
    with pytest.raises(FileNotFoundError, match=r"got no model-2-of-2\.safetensors in .*, expected all 2 shards"):
        read_action_head(tmp_path)
    save_file({"backbone.embed": torch.zeros(1)}, tmp_path / "model-2-of-2.safetensors")
    assert same(read_action_head(tmp_path), weights)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": ', "index.json: got .*, expected JSON"),
        ("[]", r"index.json: got \[\], expected a JSON object"),
        ('{"weight_map": {"a": 3}}', "weight_map: got .*, expected tensor -> file"),
        (
            '{"weight_map": {"a": "../b.safetensors"}}',
            "weight_map: got '../b.safetensors', expected a file in the same",
        ),
    ],
)
def test_an_index_that_is_wrong_is_named(tmp_path, index, message):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=message):
        read_action_head(tmp_path)


def test_a_folder_in_the_place_of_the_file_is_no_file(tmp_path):
    """Seed 155 of `benchmarks.fuzz_files checkpoints`."""
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(FileNotFoundError, match="got no safetensors file"):
        read_action_head(tmp_path)


def test_weights_that_are_quantised_are_named(tmp_path):
    weights = to_upstream(head_of()) | {"vlln.bias": torch.zeros(10, dtype=torch.int8)}
    save_file({f"action_head.{name}": tensor for name, tensor in weights.items()}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"not floats of 16 bits or more .*: vlln\.bias int8"):
        read_action_head(tmp_path)


# ------------------------------------------------------------------------------------------------------------- LoRA

ADAPTED = "model.transformer_blocks.0.attn1.to_q"
A, B = (
    torch.tensor([[1.0] + [0.0] * 11, [0.0, 2.0] + [0.0] * 10]),
    torch.zeros(12, 2).index_fill_(0, torch.tensor(5), 3.0),
)


def with_adapters(folder, *, settings=None, beside=False, base="base_layer.", **more):
    """A model with an adapter that adds 3 to entry (5, 0) and 6 to entry (5, 1) of one weight, times its scale."""
    weights = to_upstream(head_of())
    pairs = {f"base_model.model.action_head.{ADAPTED}.lora_A.weight": A}
    pairs |= {f"base_model.model.action_head.{ADAPTED}.lora_B.weight": B}
    pairs |= {f"base_model.model.action_head.{name}": tensor for name, tensor in more.items()}
    inner = "" if beside else base
    own = {name.replace(f"{ADAPTED}.", f"{ADAPTED}.{inner}"): tensor for name, tensor in weights.items()}
    own = {f"action_head.{name}": tensor.contiguous() for name, tensor in own.items()}
    if beside:
        save_file(own, folder / "model.safetensors")
        save_file(pairs, folder / "adapter_model.safetensors")
    else:
        save_file(own | pairs, folder / "model.safetensors")
    if settings is not None:
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    expected = weights[f"{ADAPTED}.weight"].clone()
    expected[5, :2] += torch.tensor([3.0, 6.0]) * 4
    return weights | {f"{ADAPTED}.weight": expected}


@pytest.mark.parametrize("how", [{"beside": True}, {}, {"base": ""}])
def test_adapters_are_added_with_the_weight_that_their_settings_say(tmp_path, how):
    expected = with_adapters(tmp_path, settings={"r": 2, "lora_alpha": 8}, **how)
    found = read_action_head(tmp_path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_layers_that_were_trained_whole_beside_an_adapter_take_the_place_of_the_models(tmp_path):
    with_adapters(tmp_path, settings={"r": 2, "lora_alpha": 8}, beside=True, **{"vlln.bias": torch.full((10,), 7.0)})
    assert read_action_head(tmp_path)["vlln.bias"].eq(7).all()


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        (None, {}, "no adapter_config.json beside them that says how strong"),
        ({"r": 3, "lora_alpha": 8}, {}, r"r: got 3, expected \[2\]"),
        ({"r": 2}, {}, "lora_alpha: got None"),
        ({"r": 2, "lora_alpha": 8, "use_dora": True}, {}, "use_dora: got True"),
        ({"r": 2, "lora_alpha": 8, "alpha_pattern": {"to_q": 4}}, {}, "alpha_pattern: got"),
        ({"r": 2, "lora_alpha": 8}, {f"{ADAPTED}.lora_magnitude_vector": torch.ones(12)}, "lora_magnitude_vector"),
        ({"r": 2, "lora_alpha": 8}, {"vlln.lora_A.weight": torch.ones(2, 10)}, "lora_A or lora_B alone for vlln"),
        ({"r": 2, "lora_alpha": 8}, {"vlln.modules_to_save.default.bias": torch.ones(10)}, "a layer in two forms"),
    ],
)
def test_adapters_that_cannot_be_added_are_refused_with_what_to_do(tmp_path, settings, more, message):
    with_adapters(tmp_path, settings=settings, **more)
    with pytest.raises(ValueError, match=f"{message}.*; merge the adapters into the model first.*merge_and_unload"):
        read_action_head(tmp_path)


def test_an_adapter_without_its_model_is_named(tmp_path):
    with_adapters(tmp_path, beside=True)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"only the adapter adapter_model\.safetensors .*merge_and_unload"):
        read_action_head(tmp_path)


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
    n1_6 = {key: value for key, value in N1_7.items() if key != "state_history_length"}
    no_vl = {"future_tokens": 0, "vl_layers": 0, "vl_heads": 1, "attend_text_every_n_blocks": 2}
    dropped = {"dropout": 0.2, "final_dropout": True, "state_dropout": 0.3, "dropped_state_token": True}
    assert config_n1_6(n1_6) == replace(SIZES, **no_vl, **dropped)
    assert not config_n1_6(n1_6 | {"state_dropout_prob": 0.0}).dropped_state_token


def test_what_a_configuration_leaves_out_is_upstreams_own_default():
    """Released checkpoints leave out such entries."""
    left_out = ("max_num_embodiments", "max_seq_len", "use_vlln", "add_pos_embed")
    found = config_n1_5({key: value for key, value in N1_5.items() if key not in left_out})
    assert (found.embodiments, found.max_steps, found.vl_norm) == (32, 1024, True)
    left_out = (*left_out, "state_dropout_prob", "state_history_length", "use_alternate_vl_dit", "max_action_dim")
    found = config_n1_7({key: value for key, value in N1_7.items() if key not in left_out})
    assert (found.state_dropout, found.state_history, found.padded_dim) == (0.2, 1, 132)
    assert found.attend_text_every_n_blocks == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expand_batch": 2}, "config, expand_batch: got 2, expected None"),
        ({"noise_s": 1.0}, r"config, noise_s: got 1\.0, expected 0\.999"),
        ({"num_timestep_buckets": 100}, "num_timestep_buckets: got 100, expected 1000"),
        ({"max_num_embodiments": "4"}, "config, max_num_embodiments: got '4', expected int"),
        ({"use_vlln": "no"}, "config, use_vlln: got 'no', expected bool"),
        ({"diffusion_model_cfg": 3}, "config, diffusion_model_cfg: got 3, expected entries beside"),
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
        ({"norm_eps": 1e-6}, "norm_eps: got 1e-06, expected 1e-05"),
        ({"ff_inner_dim": 9}, "got the entries ff_inner_dim, expected only"),
    ],
)
def test_so_is_one_of_the_blocks(change, message):
    with pytest.raises(ValueError, match=message):
        config_n1_5(N1_5 | {"diffusion_model_cfg": COMMON["diffusion_model_cfg"] | change})


def test_an_entry_that_is_missing_is_named_and_silence_about_positions_is_no_null():
    with pytest.raises(ValueError, match="config: got no 'action_dim', expected it beside"):
        config_n1_5(COMMON)
    blocks = {key: value for key, value in COMMON["diffusion_model_cfg"].items() if key != "positional_embeddings"}
    silent = "positional_embeddings: got 'sinusoidal', which is what upstream does without the entry"
    with pytest.raises(ValueError, match=f"diffusion_model_cfg, {silent}"):
        config_n1_5(N1_5 | {"diffusion_model_cfg": blocks})
    vl = {key: value for key, value in COMMON["vl_self_attention_cfg"].items() if key != "positional_embeddings"}
    with pytest.raises(ValueError, match=f"vl_self_attention_cfg, {silent}"):
        config_n1_7(N1_7 | {"vl_self_attention_cfg": vl})


# --------------------------------------------------------------------------------------------- versions and config.json


def checkpoint(folder, kind, config=None):
    weights = to_upstream(head_of(kind))
    save_file({f"action_head.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return weights


NVIDIA_N1_5 = {
    "model_type": "gr00t_n1_5",
    "action_head_cfg": N1_5 | {"num_inference_timesteps": 8, "action_horizon": 16},
}
NVIDIA_N1_7 = N1_7 | {"model_type": "Gr00tN1d7", "state_history_length": 1, "vl_self_attention_cfg": None}
NVIDIA_N1_6 = NVIDIA_N1_7 | {"model_type": "Gr00tN1d6"}


def test_a_checkpoint_says_its_version_sizes_steps_and_horizon(tmp_path):
    weights = checkpoint(tmp_path, "N1.5", NVIDIA_N1_5)
    found = read_checkpoint(tmp_path)
    assert (found.version, found.masking, found.inference_steps, found.action_horizon) == ("N1.5", GROOT_N1_5, 8, 16)
    assert found.config == config_n1_5(N1_5)
    assert same(found.weights, weights)
    load_upstream(ActionHead(found.config, found.masking, torch.Generator()), found.weights)


def test_without_a_config_the_weights_say_what_they_can(tmp_path):
    checkpoint(tmp_path, "N1.7", {"type": "groot", "chunk_size": 50})  # LeRobot's own, which says nothing of the head
    found = read_checkpoint(tmp_path, head_width=4, vl_head_width=2)
    assert (found.version, found.masking, found.inference_steps, found.action_horizon) == ("N1.7", GROOT_N1_7, 4, None)
    assert found.config == replace(HEADS["N1.7"], attend_text_every_n_blocks=2)


@pytest.mark.parametrize(
    ("config", "changes", "masking"),
    [
        (NVIDIA_N1_7, {"use_alternate_vl_dit": False}, GROOT_N1_7_PLAIN_DIT),
        (NVIDIA_N1_6, {"use_alternate_vl_dit": False, "state_dropout_prob": 0.0}, GROOT_N1_6_PLAIN_DIT),
        (NVIDIA_N1_7, {"strict_action_padding_mask": True}, PR_741),
    ],
)
def test_the_masks_follow_from_the_config(tmp_path, config, changes, masking):
    kind = "N1.7"
    weights = {name: tensor for name, tensor in to_upstream(head_of(kind)).items() if "vl_self_attention" not in name}
    save_file({f"action_head.{name}": tensor for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    found = read_checkpoint(tmp_path)
    assert found.masking is masking
    load_upstream(ActionHead(found.config, found.masking, torch.Generator()), found.weights)


@pytest.mark.parametrize(
    ("kind", "config", "arguments", "message"),
    [
        ("N1.5", None, {"version": "N1.7"}, "version: got N1.7, and the weights are those of N1.5, which has future"),
        ("N1.7", None, {"version": "N1.5"}, "version: got N1.5, and the weights are those of N1.7"),
        ("N1.6", None, {"version": "N1.7"}, "the weights are those of N1.6: they have a token for dropped states"),
        ("N1.7", NVIDIA_N1_5, {}, "version: got N1.5, and the weights are those of N1.7"),
        ("N1.5", NVIDIA_N1_5, {"version": "N1.7"}, "version: got N1.7, and config.json says N1.5"),
        ("N1.5", NVIDIA_N1_5, {"head_width": 6}, "head_width: got 6, and config.json says 4"),
        ("N1.5", {"model_type": "llama"}, {}, "config.json: model_type: got 'llama', expected one of gr00t_n1_5"),
        ("N1.5", {"model_type": {}}, {}, r"config.json: model_type: got \{\}, expected one of"),
        (
            "N1.5",
            {**NVIDIA_N1_5, "action_head_cfg": N1_5 | {"max_num_embodiments": 2**40}},
            {},
            "embodiments, .* got 10995",
        ),
        ("N1.5", {"action_head_cfg": 3}, {}, "config.json: action_head_cfg: got 3, expected an object"),
        ("N1.5", {"action_head_cfg": N1_5 | {"action_horizon": -1}}, {}, "config.json: action_horizon: got -1"),
    ],
)
def test_what_contradicts_itself_about_a_version_is_named(tmp_path, kind, config, arguments, message):
    checkpoint(tmp_path, kind, config)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path, **arguments)


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


def test_padding_behind_the_old_chunk_is_no_part_of_its_end():
    """0.6.1 groot_n1_7.py 664-668: `action[:, action_horizon - overlap : action_horizon]`."""
    previous = torch.tensor([1.0, 2.0, 3.0, 0.0])[None, :, None]
    overlap = real_time_chunk(torch.zeros(1, 5, 1), previous, overlap=2, frozen=1, previous_horizon=3)
    assert overlap.start.flatten().tolist() == [2, 3, 0, 0, 0]
    with pytest.raises(ValueError, match="previous_horizon: got 5, expected 1 to 4"):
        real_time_chunk(torch.zeros(1, 5, 1), previous, overlap=2, frozen=1, previous_horizon=5)


@pytest.mark.parametrize(("overlap", "frozen"), [(5, 0), (2, 3), (1, -1)])
def test_an_overlap_that_does_not_fit_is_named(overlap, frozen):
    with pytest.raises(ValueError, match="frozen, overlap: got"):
        real_time_chunk(torch.zeros(1, 5, 1), torch.zeros(1, 4, 1), overlap, frozen)
    with pytest.raises(ValueError, match="ramp_rate: got 0"):
        real_time_chunk(torch.zeros(1, 5, 1), torch.zeros(1, 4, 1), 2, 1, ramp_rate=0.0)
