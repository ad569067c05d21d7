"""A batch for upstream's tiny heads, and what happens where upstream is not installed."""

import pytest
import torch

from evidence.released import missing
from evidence.released.heads import DIMS, HORIZON, STATE, TOKENS, WIDTH, Bag, draw
from groot_teach.padding import action_mask_dims_and_steps

REAL_DIMS, REAL_STEPS = [7, 3, 11], [5, 2, 4]


@pytest.fixture(autouse=True)
def upstream_is_installed():
    """A missing upstream is a skip that says why. In CI `tests/conftest.py` turns every skip into a failure."""
    if why := missing():
        pytest.skip(why)


@pytest.fixture
def action_mask() -> torch.Tensor:
    """`3, 5, 11`, True = real: three robots that differ in dims and in steps."""
    dim_mask = torch.arange(DIMS) < torch.tensor(REAL_DIMS)[:, None]
    return action_mask_dims_and_steps(dim_mask, torch.arange(HORIZON) < torch.tensor(REAL_STEPS)[:, None])


@pytest.fixture
def action_input(action_mask) -> Bag:
    """What a head is given beside the vision-language tokens. The mask is float, as in N1.7; N1.5 takes it too."""
    return Bag(
        action=torch.where(action_mask, draw(1, 3, HORIZON, DIMS), 0.0),
        action_mask=action_mask.double(),
        state=draw(2, 3, 1, STATE),
        embodiment_id=torch.tensor([0, 1, 2]),
    )


@pytest.fixture
def backbone_output() -> Bag:
    """Seven tokens a sample, padded on the left by 0, 2 and 3, and a hole among the images of the first sample.

    The padding of the third sample is absent images, that of the second is not.
    """
    real = torch.arange(TOKENS) >= torch.tensor([0, 2, 3])[:, None]
    real[0, 1] = False
    return Bag(
        backbone_features=draw(3, 3, TOKENS, WIDTH),
        backbone_attention_mask=real,
        image_mask=torch.tensor([[1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0]]).bool(),
    )
