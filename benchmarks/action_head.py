"""How fast is `ActionHead` beside the released heads? Training steps and sampling, same weights, as ratios.

Both run in one process, in turns, in float32 and without dropout. Below 1, ours is faster. `make upstream` installs the
released heads.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from time import perf_counter

import torch
from tqdm.auto import tqdm

from evidence.released import heads as released
from evidence.released import missing
from groot_teach.flow import flow_time_n1_5, flow_time_n1_7, sample_beta
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.released import config_n1_5, config_n1_7, draw_like_upstream, load_upstream
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7
from groot_teach.padding import (
    ActionBatch,
    VLBatch,
    action_mask_dims_and_steps,
    action_mask_dims_only,
)

DIMS, STATE, STEPS = 32, 64, 16
SIZES = {  # width, batch, tokens, heads, robots, future tokens
    "tiny": (64, 4, 12, 4, 4, 6),
    "mid": (256, 8, 64, 8, 8, 32),
}
VERSIONS = {
    "N1.5": (released.head_n1_5, config_n1_5, GROOT_N1_5, flow_time_n1_5),
    "N1.7": (released.head_n1_7, config_n1_7, GROOT_N1_7, flow_time_n1_7),
}


def pair(version: str, size: str) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """What to time: for each piece of work, LeRobot's and ours. Both have given the same loss once."""
    width, batch, tokens, heads, robots, future_tokens = SIZES[size]
    make, config, masking, flow_time = VERSIONS[version]
    own = {"action_dim": DIMS, "num_target_vision_tokens": future_tokens}
    blocks = {"num_attention_heads": heads, "attention_head_dim": width // heads}
    theirs = make(
        vl_layers=2,
        blocks=blocks | {"num_layers": 4},
        vl_blocks=blocks,
        hidden_size=width,
        input_embedding_dim=width,
        backbone_embedding_dim=width,
        max_state_dim=STATE,
        action_horizon=STEPS,
        max_num_embodiments=robots,
        max_seq_len=1024,
        **(own if version == "N1.5" else {"max_action_dim": DIMS}),
    ).float()
    generator = torch.Generator().manual_seed(0)
    ours = ActionHead(config(vars(theirs.config)), masking, generator).eval()
    load_upstream(ours, theirs.state_dict())

    def random(*shape):
        return torch.randn(shape, generator=generator)

    samples = torch.arange(batch)[:, None]
    dim_mask, step_mask = torch.arange(DIMS) < samples + 9, torch.arange(STEPS) < STEPS - samples
    real, image = torch.arange(tokens) >= samples, (torch.arange(tokens) < tokens // 2).repeat(batch, 1)
    seen = Observation(
        VLBatch(random(batch, tokens, width), real, image), random(batch, 1, STATE), samples[:, 0] % robots
    )
    data = ActionBatch(random(batch, STEPS, DIMS) * dim_mask[:, None], dim_mask, step_mask)
    counts = (
        action_mask_dims_only(dim_mask, STEPS) if version == "N1.5" else action_mask_dims_and_steps(dim_mask, step_mask)
    )

    def backbone() -> released.Bag:
        vl = seen.vl
        return released.Bag(
            backbone_features=vl.tokens, backbone_attention_mask=vl.backbone_attention_mask, image_mask=vl.image_mask
        )

    asked = released.Bag(state=seen.state, embodiment_id=seen.embodiment_id)
    trained_on = released.Bag(asked, action=data.actions, action_mask=counts.float())

    def train_theirs():
        theirs.zero_grad()
        theirs(backbone(), trained_on)["loss"].backward()

    def train_ours():
        ours.zero_grad()
        t = flow_time(sample_beta(batch, generator)).float()
        ours.loss(seen, data, random(batch, STEPS, DIMS), t).loss.backward()

    torch.manual_seed(0)
    drawn = draw_like_upstream(0, data.actions, version)
    torch.manual_seed(0)
    loss = theirs(backbone(), trained_on)["loss"]
    torch.testing.assert_close(ours.loss(seen, data, drawn.noise, drawn.t).loss, loss, rtol=1e-5, atol=1e-6)
    return {
        "forward + backward": (train_theirs, train_ours),
        "sampling, 4 steps": (
            lambda: theirs.get_action(backbone(), asked),
            lambda: ours.sample(seen, random(batch, STEPS, DIMS), dim_mask),
        ),
    }


def ratios(theirs: Callable[[], object], ours: Callable[[], object], rounds: int) -> torch.Tensor:
    """Ours over theirs, pair by pair; who goes first changes."""
    seconds = torch.zeros(rounds, 2, dtype=torch.float64)
    for turn in range(-3, rounds):  # three rounds to warm up
        for which, work in ((0, theirs), (1, ours)) if turn % 2 else ((1, ours), (0, theirs)):
            start = perf_counter()
            work()
            if turn >= 0:
                seconds[turn, which] = perf_counter() - start
    return seconds[:, 1] / seconds[:, 0]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how many pairs of runs for each row (40)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (1 2)")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES], help="which heads (all)")
    asked = parser.parse_args(arguments)
    if why := missing():
        print(why, file=sys.stderr)
        return 1
    rows, before = [], torch.get_num_threads()
    with tqdm(total=len(asked.threads) * len(VERSIONS) * len(asked.sizes) * 2, unit="row") as bar:
        for threads in asked.threads:
            torch.set_num_threads(threads)
            for version in VERSIONS:
                for size in asked.sizes:
                    with contextlib.redirect_stdout(io.StringIO()):  # N1.5 prints its number of parameters
                        work = pair(version, size)
                    for name, (theirs, ours) in work.items():
                        low, middle, high = ratios(theirs, ours, asked.rounds).quantile(
                            torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
                        )
                        rows.append(f"{threads:7}  {version:8}{size:6}{name:20}{middle:6.2f}   {low:.2f} to {high:.2f}")
                        bar.update()
    torch.set_num_threads(before)
    print("threads  head    size  work                 ratio   half of the pairs", *rows, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
