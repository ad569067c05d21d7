"""The everyday checks can fail, and each for its own reason."""

from groot_teach.bugs import ToyPolicy
from groot_teach.bugs.checks import everyday_checks, falls


def test_the_everyday_checks_can_fail():
    grows = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: -squared_error.mean().sqrt()))
    assert grows == {"shapes": False, "training": False, "flip": True}  # the loss falls, and for ever
    still = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: 0 * squared_error.sum() + 1))
    assert still["training"]
    wide = everyday_checks(ToyPolicy(reduce=lambda squared_error, batch: squared_error.mean(dim=(1, 2))[:1]))
    assert wide["shapes"]


def test_a_loss_falls_if_its_end_is_a_tenth_below_its_start():
    assert falls([2.0] * 8 + [1.7] * 8)
    assert not falls([2.0] * 8 + [1.9] * 8)
