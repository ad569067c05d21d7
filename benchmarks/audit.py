"""How long does an audit take? In seconds, and in forward passes of the head that is audited.

Two heads, tiny and mid (width 256), N1.7's masks, float32. Then a policy of one layer with 1, 2, 4 and 8 kinds of
padding, whose loss only its module gives, so that each question is a whole run: the runs grow with the number of kinds,
by the same piece for each, and not with their product.

With `--against FOLDER`, a checkout of another commit, both auditors are timed in turns instead, in seconds of
computing. On a busy machine only their ratio means something.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from tqdm.auto import tqdm

from groot_teach.audit import MaskReport, Padding, audit_masks
from groot_teach.audit.heads import audit_action_head
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_7
from groot_teach.padding import ActionBatch, VLBatch

DIMS, STATE, STEPS = 32, 64, 16
SIZES = {"tiny": (64, 4, 12, 4, 4), "mid": (256, 8, 64, 8, 8)}  # width, batch, tokens, heads, robots
KINDS = (1, 2, 4, 8)  # of padding


def made(size: str) -> tuple[ActionHead, tuple[Observation, ActionBatch, torch.Tensor, torch.Tensor]]:
    width, batch, tokens, heads, robots = SIZES[size]
    config = HeadConfig(
        padded_dim=DIMS,
        state_dim=STATE,
        token_width=width,
        width=width,
        heads=heads,
        hidden=width,
        layers=4,
        vl_layers=2,
        vl_heads=heads,
        embodiments=robots,
        attend_text_every_n_blocks=2,
    )
    generator = torch.Generator().manual_seed(0)
    head = ActionHead(config, GROOT_N1_7, generator)
    sample = torch.arange(batch)[:, None]
    dim_mask = torch.arange(DIMS) < DIMS - 3 * sample
    step_mask = torch.arange(STEPS) < STEPS - sample
    token_mask = torch.arange(tokens) >= sample
    images = ((torch.arange(tokens) > tokens // 3) & (torch.arange(tokens) < tokens // 2)).expand(batch, -1).clone()

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    vl = VLBatch(draw(batch, tokens, width), token_mask, images)
    seen = Observation(vl, draw(batch, 1, STATE), torch.arange(batch) % robots)
    actions = ActionBatch(draw(batch, STEPS, DIMS), dim_mask, step_mask)
    return head, (seen, actions, draw(batch, STEPS, DIMS), torch.linspace(0.1, 0.9, batch))


def seconds(run: Callable[[], object], times: int) -> float:
    run()
    took = []
    for _ in range(times):
        start = perf_counter()
        run()
        took.append(perf_counter() - start)
    return min(took)


class OfViews(torch.nn.Module):
    """It adds up what it reads in each of its views, `batch, tokens, width`; training gives its loss alone."""

    def __init__(self) -> None:
        super().__init__()
        self.decode = torch.nn.Linear(4, 4)

    def predict(self, b: dict, actions: torch.Tensor) -> torch.Tensor:
        heard = [(view * real[..., None]).sum(dim=1) for view, real in zip(b["views"], b["real"], strict=True)]
        return self.decode(actions + torch.stack(heard).sum(dim=0)[:, None])

    def forward(self, b: dict) -> torch.Tensor:
        return (self.predict(b, b["actions"]) - b["actions"]).square().mean()

    def sample(self, b: dict) -> torch.Tensor:
        return self.predict(b, torch.zeros_like(b["actions"]))


def with_kinds(count: int) -> Callable[[], MaskReport]:
    """An audit of a policy with so many views, each of which is padded in its own way."""
    generator = torch.Generator().manual_seed(0)
    policy, tokens, length = OfViews().double(), 6, torch.tensor([6, 4, 5])

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    real = [torch.arange(tokens) < length.roll(place)[:, None] for place in range(count)]
    batch = {"actions": draw(3, 5, 4), "views": [draw(3, tokens, 4) for _ in real], "real": real}
    padding = [Padding(f"view {n}", one, {f"views.{n}": 1}, {f"real.{n}": 1}) for n, one in enumerate(real)]
    return lambda: audit_masks(policy, batch, padding, module=policy, prediction="decode", sample=policy.sample)


AUDIT = """
import sys, time
from benchmarks.audit import made
from groot_teach.audit.heads import audit_action_head
head, asked = made(sys.argv[1])
took = []
for _ in range(3):
    start = time.process_time()
    audit_action_head(head, *asked)
    took.append(time.process_time() - start)
print(min(took))
"""
"""What is run in each checkout: all since commit 66fa549 have these two functions."""


def against(folder: Path, times: int) -> str:
    """How much longer our audit takes than that of another checkout: both run in turns, and the shortest counts."""
    here, lines = Path(__file__).resolve().parents[1], []
    for size in SIZES:
        took: dict[Path, list[float]] = {here: [], folder.resolve(): []}
        for root in tqdm([*took] * times, desc=size):
            asked = [sys.executable, "-c", AUDIT, size]
            path = {"PYTHONPATH": str(root)}
            run = subprocess.run(asked, cwd=root, env=os.environ | path, stdout=subprocess.PIPE, check=True)
            took[root].append(float(run.stdout))
        ours, theirs = (min(one) for one in took.values())
        lines.append(f"{size:5} head: {ours:6.2f} s here, {theirs:6.2f} s there, {ours / theirs:.2f} times as long")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, metavar="N", help="how often each is timed (5)")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="compare with the auditor of this checkout")
    options = parser.parse_args()
    times, lines = options.times, []
    if options.against:
        print(against(options.against, times))
        return 0
    for size in tqdm(SIZES, desc="sizes"):
        head, asked = made(size)
        with torch.no_grad():
            once = seconds(lambda head=head, asked=asked: head.loss(*asked), 5 * times)
        whole = seconds(lambda head=head, asked=asked: audit_action_head(head, *asked), times)
        lines.append(f"{size:5} head: {whole:6.2f} s, {whole / once:5.0f} forward passes of {1000 * once:.1f} ms")
    before = 0, 0
    for count in tqdm(KINDS, desc="kinds of padding"):
        audit = with_kinds(count)
        runs, took = audit().runs, seconds(audit, times)
        each = (runs - before[1]) / (count - before[0])
        lines.append(f"{count} kinds of padding: {runs:4} runs, {took:5.2f} s; {each:.0f} runs for each further kind")
        before = count, runs
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", *lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
