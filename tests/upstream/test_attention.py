"""`attention` against the blocks as released, and the ways in which a mask gets lost in them."""

import logging

import pytest
import torch

from evidence.released.heads import HORIZON, TOKENS, WIDTH, Bag, draw, head_n1_5, head_n1_7
from groot_teach.attention import alternate_masks, cross_attention, may_read_real


@pytest.fixture
def block():
    """The first block's cross-attention of N1.5: diffusers' `Attention`, 2 heads of 8."""
    return head_n1_5().model.transformer_blocks[0].attn1


@pytest.fixture
def query():
    return draw(5, 3, HORIZON, 16)


def heads(x):
    return x.unflatten(-1, (2, 8)).transpose(1, 2)


def ours(block, query, tokens, real):
    """The same with `cross_attention`, a head as one more batch axis."""
    mask = may_read_real(real, query.shape[1])[:, None].expand(-1, 2, -1, -1)
    attended = cross_attention(heads(block.to_q(query)), heads(block.to_k(tokens)), heads(block.to_v(tokens)), mask)
    return block.to_out[0](attended.output.transpose(1, 2).flatten(2))


def test_a_bool_mask_by_the_right_name_is_our_cross_attention(block, query, backbone_output):
    """v0.4.4 cross_attention_dit.py 164-169 calls it so, with the mask in a comment; 0.6.1, 186-190, with the mask."""
    tokens, real = backbone_output["backbone_features"], backbone_output["backbone_attention_mask"]
    theirs = block(query, encoder_hidden_states=tokens, attention_mask=real)
    torch.testing.assert_close(ours(block, query, tokens, real), theirs, rtol=0, atol=1e-14)
    without = block(query, encoder_hidden_states=tokens)
    assert (theirs - without).abs().max() > 1e-3
    for one in range(3):
        kept = block(query[[one]], encoder_hidden_states=tokens[[one]][:, real[one]])
        torch.testing.assert_close(theirs[[one]], kept, rtol=0, atol=1e-14)  # as if padding had never been there


def test_encoder_attention_mask_is_dropped_with_a_warning(block, query, backbone_output, caplog):
    """So to un-comment the line in N1.5 does nothing: v0.4.4 cross_attention_dit.py 168; diffusers 0.35.2,
    models/attention_processor.py, `Attention.forward`."""
    tokens, real = backbone_output["backbone_features"], backbone_output["backbone_attention_mask"]
    diffusers_log = logging.getLogger("diffusers")
    diffusers_log.addHandler(caplog.handler)
    try:
        theirs = block(query, encoder_hidden_states=tokens, encoder_attention_mask=real)
    finally:
        diffusers_log.removeHandler(caplog.handler)
    assert torch.equal(theirs, block(query, encoder_hidden_states=tokens))
    assert "encoder_attention_mask" in caplog.text
    assert "will be ignored" in caplog.text


def test_an_integer_mask_is_refused_and_a_float_one_is_added(block, query, backbone_output):
    """diffusers 0.35.2, models/attention_processor.py, `AttnProcessor2_0`: the mask goes to torch as it is."""
    tokens, real = backbone_output["backbone_features"], backbone_output["backbone_attention_mask"]
    with pytest.raises(RuntimeError, match="attn_mask"):
        block(query, encoder_hidden_states=tokens, attention_mask=real.long())
    added = block(query, encoder_hidden_states=tokens, attention_mask=real.double())
    hidden = block(query, encoder_hidden_states=tokens, attention_mask=real)
    garbage = torch.where(real[:, :, None], tokens, 7.0)
    assert (added - hidden).abs().max() > 1e-3
    logits = heads(block.to_q(query)) @ heads(block.to_k(tokens)).mT / 8**0.5 + real[:, None, None, :].double()
    by_hand = logits.softmax(-1) @ heads(block.to_v(tokens))
    torch.testing.assert_close(added, block.to_out[0](by_hand.transpose(1, 2).flatten(2)), rtol=0, atol=1e-14)
    assert not torch.equal(block(query, encoder_hidden_states=garbage, attention_mask=real.double()), added)
    assert torch.equal(block(query, encoder_hidden_states=garbage, attention_mask=real), hidden)


@pytest.mark.parametrize(("zeros", "mass"), [(4, 4 / 12), (32, 32 / 40), (128, 128 / 136)])
def test_zeros_are_read_like_any_token_that_fits_no_worse(zeros, mass):
    """Eight tokens with value 1 and `zeros` with value 0, a query without preference: the output is what is left."""
    from diffusers.models.attention import Attention

    block = Attention(query_dim=4, cross_attention_dim=4, heads=1, dim_head=4, bias=False, out_bias=False).double()
    for layer in (block.to_v, block.to_out[0]):
        torch.nn.init.eye_(layer.weight)
    tokens = torch.cat([torch.ones(1, 8, 4), torch.zeros(1, zeros, 4)], dim=1).double()
    output = block(torch.zeros(1, 1, 4).double(), encoder_hidden_states=tokens)
    torch.testing.assert_close(1 - output, torch.full((1, 1, 4), mass).double())


def predictions(head, backbone_output, action_input):
    answers = []
    handle = head.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out))
    torch.manual_seed(0)
    head(Bag(backbone_output), Bag(action_input))
    handle.remove()
    return answers[0]


def garbled(backbone_output):
    tokens, real = backbone_output["backbone_features"], backbone_output["backbone_attention_mask"]
    other = torch.where(real[:, :, None], tokens, draw(9, 3, TOKENS, WIDTH))
    return Bag(backbone_output, backbone_features=other)


def test_n1_5_drops_the_mask_whatever_it_says(backbone_output, action_input):
    """v0.4.4 cross_attention_dit.py 276-291: every block is given None."""
    head = head_n1_5()
    real = backbone_output["backbone_attention_mask"]
    answers = [
        predictions(head, Bag(backbone_output, backbone_attention_mask=mask), action_input)
        for mask in (real, torch.zeros_like(real), None)
    ]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
    assert not torch.equal(answers[0], predictions(head, garbled(backbone_output), action_input))


def test_n1_7_hides_padding_until_an_unmasked_self_attention_mixes_it_in(backbone_output, action_input):
    """0.6.1 groot_n1_7.py 562-565, cross_attention_dit.py 439-451: `vl_self_attention` takes no mask."""
    for vl_layers, same in ((0, True), (1, False)):
        head = head_n1_7(vl_layers)
        one, other = (predictions(head, tokens, action_input) for tokens in (backbone_output, garbled(backbone_output)))
        assert torch.equal(one, other) is same
        moved = Bag(backbone_output, backbone_features=backbone_output["backbone_features"] + 1)
        moved["backbone_features"][:, :, 0] += 1
        assert not torch.equal(one, predictions(head, moved, action_input))


@pytest.mark.parametrize(("every", "turns_taken"), [(1, "tttt"), (2, "titi"), (3, "tiit")])
def test_the_cross_blocks_of_n1_7_take_turns_by_our_masks(every, turns_taken, backbone_output, action_input):
    """0.6.1 cross_attention_dit.py 351-379: text if idx % (2 * attend_text_every_n_blocks) is 0, else images."""
    head, seen = head_n1_7(attend_text_every_n_blocks=every), []
    for block in head.model.transformer_blocks:
        block.register_forward_pre_hook(
            lambda module, given, named: seen.append(named["encoder_attention_mask"]), with_kwargs=True
        )
    predictions(head, backbone_output, action_input)
    turns = alternate_masks(backbone_output["backbone_attention_mask"], backbone_output["image_mask"])
    assert [mask is None for mask in seen] == [False, True] * 4
    for taken, mask in zip(turns_taken, seen[::2], strict=True):
        assert torch.equal(mask, turns.text if taken == "t" else turns.image)
    assert turns.text.sum(-1).tolist() == [4, 3, 2]
    assert turns.image.sum(-1).tolist() == [2, 2, 2]


def test_a_sample_without_images_has_rows_with_nothing_to_read_and_stays_finite_on_this_torch(
    backbone_output, action_input
):
    """0.6.1 cross_attention_dit.py 351-379 looks for no such row: scaled_dot_product_attention answers it."""
    no_image = Bag(backbone_output, image_mask=torch.zeros_like(backbone_output["image_mask"]))
    head, read = head_n1_7(), []
    first_image_block = head.model.transformer_blocks[2].attn1
    first_image_block.to_out[0].register_forward_pre_hook(lambda module, given: read.append(given[0]))
    predictions(head, backbone_output, action_input)
    assert predictions(head, no_image, action_input).isfinite().all()
    assert read[0].ne(0).all()
    assert read[1].eq(0).all()
    turns = alternate_masks(no_image["backbone_attention_mask"], no_image["image_mask"])
    with pytest.raises(ValueError, match="without any True"):
        cross_attention(
            draw(5, 3, HORIZON, 4), draw(6, 3, TOKENS, 4), draw(6, 3, TOKENS, 4), may_read_real(turns.image, HORIZON)
        )
