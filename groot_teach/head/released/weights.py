"""Weights from a released head into ours, and back."""

from collections.abc import Mapping

import torch
from torch import Tensor

from groot_teach.head.action_head import ActionHead
from groot_teach.head.released.names import listed, upstream_name
from groot_teach.shapes import checked


@checked
def load_upstream(head: ActionHead, weights: Mapping[str, Tensor]) -> None:
    """Puts the weights of a released head into `head`: all of them, or none if there is an error.

    Args:
        head: a head of the same sizes and dtype.
        weights: upstream's name -> tensor, as `read_action_head` returns them.

    Raises:
        ValueError: names that are missing or that the head does not have, tensors of another shape or dtype, or a
            number that is NaN or infinite. The message names them, and says so if the weights are those of another
            version.
    """
    own = head.state_dict()
    names = {upstream_name(name): name for name in own}
    missing, extra = sorted(names.keys() - weights.keys()), sorted(weights.keys() - names.keys())
    if missing or extra:
        version = ""
        if "future_tokens.weight" in extra:
            version = "these are weights of N1.5, which has future tokens; this head's config has none. "
        elif "future_tokens.weight" in missing:
            version = "these are weights of N1.6 or N1.7, without future tokens; this head's config has some. "
        raise ValueError(f"weights: {version}missing: {listed(missing)}; not in this head: {listed(extra)}")
    for trait in ("shape", "dtype"):
        wrong = [
            f"{key} {_written(getattr(weights[key], trait))} and not {_written(getattr(own[name], trait))}"
            for key, name in names.items()
            if getattr(weights[key], trait) != getattr(own[name], trait)
        ]
        if wrong:
            remedy = "" if trait == "shape" else "; convert either: weights[name].float(), or head.bfloat16()"
            raise ValueError(f"weights: got another {trait} than this head has: {listed(wrong)}{remedy}")
    if spoilt := [key for key in names if not weights[key].isfinite().all()]:
        first = weights[spoilt[0]]
        place = (~first.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"weights: got {first[tuple(place)].item()} in {spoilt[0]}{place}, expected finite numbers; training "
            f"diverged, or the file was damaged; tensors that are not finite: {listed(spoilt)}"
        )
    head.load_state_dict({name: weights[key] for key, name in names.items()})


@checked
def to_upstream(head: ActionHead) -> dict[str, Tensor]:
    """The head's weights by upstream's names, as a released head loads them."""
    return {upstream_name(name): tensor for name, tensor in head.state_dict().items()}


def _written(trait: object) -> str:
    return str(tuple(trait)) if isinstance(trait, torch.Size) else str(trait)
