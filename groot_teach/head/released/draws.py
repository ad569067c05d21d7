"""The random numbers of one training step, as a released head draws them."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Beta

from groot_teach.flow import BETA_ALPHA, flow_time_n1_5, flow_time_n1_7
from groot_teach.shapes import checked


@checked
@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of one training step.

    Attributes:
        noise: `batch, action_horizon, padded_dim`.
        t: `batch`: flow time.
    """

    noise: Float[Tensor, "batch action_horizon padded_dim"]
    t: Float[Tensor, " batch"]


@checked
def draw_like_upstream(
    seed: int, actions: Float[Tensor, "batch action_horizon padded_dim"], version: Literal["N1.5", "N1.7"]
) -> Draw:
    """What a released head draws after `torch.manual_seed(seed)`, in eval mode or without dropout, on the CPU.

    Upstream draws from PyTorch's global random generator. Here its state is restored afterwards. N1.6 draws like N1.7
    (read).

    Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 252-254, 302-305; 0.6.1, `groot_n1_7.py` 554-560,
    586-588.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        noise = torch.randn(actions.shape, dtype=actions.dtype)
        s = Beta(torch.tensor(BETA_ALPHA), torch.tensor(1.0)).sample([len(actions)]).to(actions.dtype)
    flow_time = {"N1.5": flow_time_n1_5, "N1.7": flow_time_n1_7}[version]
    return Draw(noise.to(actions.device), flow_time(s).to(actions.device))
