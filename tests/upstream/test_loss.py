"""`loss` against the heads as released: same value, same gradients; and what they make of an empty mask."""

import pytest
import torch

from evidence.released.heads import DIMS, HORIZON, Bag, head_n1_5, head_n1_7
from groot_teach.flow import velocity_target
from groot_teach.loss import masked_velocity_loss

EACH = pytest.mark.parametrize("make", [head_n1_5, head_n1_7], ids=["N1.5", "N1.7"])


def both_losses(head, backbone_output, action_input, mask):
    """Upstream's loss, and ours of the same predictions. Both can be differentiated."""
    answers = []
    head.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out[:, -HORIZON:]))
    torch.manual_seed(0)
    theirs = head(Bag(backbone_output), Bag(action_input, action_mask=mask.double()))["loss"]
    torch.manual_seed(0)
    noise = torch.randn(3, HORIZON, DIMS, dtype=torch.float64)
    target = velocity_target(action_input["action"], noise)
    return theirs, answers[0], target


@EACH
def test_the_same_loss_and_the_same_gradients(make, backbone_output, action_input, action_mask):
    """v0.4.4 flow_matching_action_head.py 337-339: sum / count. 0.6.1 groot_n1_7.py 620-622: sum / (count + 1e-6)."""
    head = make()
    theirs, pred, target = both_losses(head, backbone_output, action_input, action_mask)
    ours = masked_velocity_loss(pred, target, action_mask)
    if make is head_n1_7:
        count = action_mask.sum().double()  # in float32, 85 + 1e-6 is 85
        ours = ours * count / (count + 1e-6)
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=0)
    weights = [weight for name, weight in head.named_parameters() if not name.startswith(("model.norm", "vlln"))]
    for mine, other in zip(
        torch.autograd.grad(ours, weights, retain_graph=True, allow_unused=True),
        torch.autograd.grad(theirs, weights, allow_unused=True),
        strict=True,
    ):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-14)


@EACH
def test_the_head_is_as_wide_as_the_batch_so_the_mask_does_something(make, backbone_output, action_input, action_mask):
    """Against the note's fork, whose head is 16 wide: there a mask of ones gives the same loss."""
    head = make()
    masked, pred, _ = both_losses(head, backbone_output, action_input, action_mask)
    everything, _, _ = both_losses(head, backbone_output, action_input, torch.ones_like(action_mask))
    assert pred.shape == (3, HORIZON, DIMS)
    assert masked != everything
    outputs = head.action_decoder.layer2.b
    of_masked, of_everything = (torch.autograd.grad(loss, outputs)[0] for loss in (masked, everything))
    never_real = ~action_mask[0].any(dim=0)  # dims 7 to 10 of the first robot
    assert of_masked[0, never_real].eq(0).all()
    assert of_everything[0, never_real].ne(0).all()


@pytest.mark.parametrize(("make", "shown"), [(head_n1_5, "nan"), (head_n1_7, "0.0")], ids=["N1.5", "N1.7"])
def test_an_empty_mask_is_nan_in_one_version_zero_in_the_other_and_an_error_here(
    make, shown, backbone_output, action_input, action_mask
):
    """v0.4.4 flow_matching_action_head.py 337-339: 0 / 0. 0.6.1 groot_n1_7.py 620-622: 0 / 1e-6."""
    nothing = torch.zeros_like(action_mask)
    theirs, pred, target = both_losses(make(), backbone_output, action_input, nothing)
    assert str(theirs.item()) == shown
    with pytest.raises(ValueError, match="action_mask: got no real entry"):
        masked_velocity_loss(pred, target, nothing)
