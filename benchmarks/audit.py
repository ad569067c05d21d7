"""How long does an audit take? In seconds, and in forward passes of the head that is audited.

Two heads, tiny and mid (width 256), N1.7's masks, float32. Then the tiny one again with one, two and three kinds of
padding: the work grows with their number, by the same piece for each, and not with their product.

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

from groot_teach.audit import Answer, Padding, audit_masks
from groot_teach.audit.heads import audit_action_head
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_7
from groot_teach.padding import ActionBatch, VLBatch

DIMS, STATE, STEPS = 32, 64, 16
SIZES = {"tiny": (64, 4, 12, 4, 4), "mid": (256, 8, 64, 8, 8)}  # width, batch, tokens, heads, robots


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


def with_paddings(count: int) -> Callable[[], object]:
    """An audit of the tiny head's training alone, with so many kinds of padding declared."""
    head, (seen, actions, noise, t) = made("tiny")
    batch = {"actions": actions.actions, "noise": noise, "t": t, "tokens": seen.vl.tokens, "state": seen.state}
    batch |= {"real": seen.vl.backbone_attention_mask, "image": seen.vl.image_mask, "robot": seen.embodiment_id}
    batch |= {"dims": actions.dim_mask, "steps": actions.step_mask}

    def run(b: dict) -> Answer:
        here = Observation(VLBatch(b["tokens"], b["real"], b["image"]), b["state"], b["robot"])
        answer = head.answer(here, ActionBatch(b["actions"], b["dims"], b["steps"]), b["noise"], b["t"])
        return Answer(answer.velocity_pred, lambda said: head.compare(said, answer.velocity_target, answer.counted))

    padding = [
        Padding("tokens", seen.vl.backbone_attention_mask, {"tokens": 1}, {"real": 1, "image": 1}),
        Padding("steps", actions.step_mask, {"actions": 1, "noise": 1}, {"steps": 1}),
        Padding("dims", actions.dim_mask, {"actions": 2, "noise": 2}, {"dims": 1}),
    ]
    return lambda: audit_masks(run, batch, padding[:count])


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
    took = [seconds(with_paddings(count), times) for count in tqdm((1, 2, 3), desc="kinds of padding")]
    first = took[0]
    shown = ", ".join(f"{count}: {one / first:.2f}" for count, one in enumerate(took, start=1))
    lines.append(f"kinds of padding, times as long as one kind: {shown}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", *lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
