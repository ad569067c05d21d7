"""The command `audit-masks`, which is also `python -m groot_teach.audit`.

    audit-masks checkpoint FILE --version N1.7      a GR00T head out of a LeRobot checkpoint
    audit-masks my_module:my_function               a policy of yours, described by a function

The function takes no arguments and returns those of `audit_masks`, as a dict. The command's exit status is 0 if the
report is clean, 1 if it is not, and 2 if nothing could be audited.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from groot_teach.audit import MaskReport, audit_masks
from groot_teach.audit.heads import audit_action_head
from groot_teach.extras import progress_bar
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.head.released import config_from_weights, load_upstream, read_action_head
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, Masking
from groot_teach.padding import ActionBatch, VLBatch

VERSIONS: dict[str, Masking] = {
    "N1.5": GROOT_N1_5,
    "N1.6": GROOT_N1_6,
    "N1.7": GROOT_N1_7,
    "PR741": PR_741,
    "strict": STRICT,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="audit-masks",
        description="Which padding reaches which output of a policy, at which stage, and how strongly.",
    )
    parser.add_argument(
        "subject",
        metavar="SUBJECT",
        help="module:function, a function without arguments that returns the arguments of audit_masks as a dict; or "
        "the word checkpoint, followed by a safetensors file or its folder",
    )
    parser.add_argument("path", metavar="FILE", nargs="?", type=Path, help="after the word checkpoint")
    parser.add_argument("--version", choices=VERSIONS, help="whose masking the checkpoint's head obeys")
    parser.add_argument("--head-width", type=int, default=48, metavar="N", help="of the checkpoint's DiT (48)")
    parser.add_argument("--vl-head-width", type=int, default=64, metavar="N", help="of its VL self-attention (64)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the whole report there as well")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    try:
        progress = iter if options.quiet else partial(progress_bar, unit="step", desc="audit")
        if options.subject == "checkpoint":
            if options.path is None or options.version is None:
                parser.error("checkpoint: expected a FILE and --version")
            widths = options.head_width, options.vl_head_width
            report = audit_checkpoint(options.path, VERSIONS[options.version], *widths, progress=progress)
        else:
            if options.path is not None or options.version is not None:
                parser.error("FILE and --version go with the word checkpoint")
            report = audit_function(options.subject, progress)
    except (ValueError, OSError, ImportError) as error:
        print(f"nothing was audited: {error}", file=sys.stderr)
        return 2
    print(report)
    if options.json is not None:
        options.json.write_text(report.to_json() + "\n", encoding="utf-8")
    return 0 if report.is_clean else 1


def audit_function(name: str, progress: Callable[[Iterable], Iterable] = iter) -> MaskReport:
    """Audits the policy that a function of yours describes, named as `module:function`; the module is imported.

    Raises:
        ValueError: no such function, or one that does not return the arguments of `audit_masks`.
        ImportError: no such module.
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"subject: got {name!r}, expected module:function, or checkpoint and a file")
    function = getattr(importlib.import_module(module_name), function_name, None)
    if not callable(function):
        raise ValueError(f"subject: got no function {function_name!r} in {module_name}")
    described = function()
    if not isinstance(described, Mapping) or not {"run", "batch", "padding"} <= set(described):
        raise ValueError(f"subject: {name} gave no dict with run, batch and padding, expected what audit_masks takes")
    return audit_masks(**{"progress": progress, **described})


def audit_checkpoint(
    path: Path,
    masking: Masking,
    head_width: int = 48,
    vl_head_width: int = 64,
    progress: Callable[[Iterable], Iterable] = iter,
) -> MaskReport:
    """Audits the action head of a LeRobot checkpoint: its weights, loaded into this book's head.

    A checkpoint does not say which masks its code obeys, so `masking` says it. The batch is drawn at random from a
    fixed seed: three robots of unequal dims, steps and tokens, in float32.

    Args:
        path: a safetensors file, or a folder of them.
        masking: the masking of the released version that the checkpoint belongs to.
        head_width, vl_head_width: how wide one attention head is; the weights do not say that either.
        progress: wraps the list of steps, for a progress bar.

    Raises:
        ValueError: the file holds no such head, or one of another version.
        OSError: there is no such file.
    """
    weights = {name: weight.float() for name, weight in read_action_head(path).items()}
    every = None if masking is GROOT_N1_5 else 2
    config = config_from_weights(weights, head_width, vl_head_width, attend_text_every_n_blocks=every)
    if masking.vl_self_attention == "absent" and config.vl_layers:
        raise ValueError(f"masking: {masking.name} has no VL self-attention, this head has {config.vl_layers} layers")
    head = ActionHead(config, masking, torch.Generator().manual_seed(0))
    load_upstream(head, weights)
    observation, batch, noise, t = drawn_batch(config)
    return audit_action_head(head.eval(), observation, batch, noise, t, progress=progress)


def drawn_batch(config: HeadConfig) -> tuple[Observation, ActionBatch, Tensor, Tensor]:
    """Three robots with unequal dims, steps and tokens, as wide as the head, drawn from a seed. Tokens are padded left.

    The first camera of the second robot is absent.
    """
    generator = torch.Generator().manual_seed(0)
    steps, tokens, robots = min(config.max_steps or 7, 7), 11, 3
    dim_mask = torch.arange(config.padded_dim) < torch.tensor([[1.0], [0.5], [0.7]]) * config.padded_dim
    step_mask = torch.arange(steps) < torch.tensor([[steps], [max(steps - 3, 1)], [max(steps - 1, 1)]])
    token_mask = torch.arange(tokens) >= torch.tensor([[0], [3], [1]])
    image_mask = (torch.arange(tokens) >= 4) & (torch.arange(tokens) < 8)
    token_mask[1, 4:6] = False

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    actions = draw(robots, steps, config.padded_dim) * (dim_mask[:, None] & step_mask[:, :, None])
    vl = VLBatch(draw(robots, tokens, config.token_width), token_mask, image_mask.expand(robots, -1).clone())
    state = draw(robots, config.state_history, config.state_dim)
    embodiment_id = torch.arange(robots) % config.embodiments
    t = torch.tensor([0.2, 0.5, 0.8])
    return Observation(vl, state, embodiment_id), ActionBatch(actions, dim_mask, step_mask), draw(*actions.shape), t


if __name__ == "__main__":
    sys.exit(main())
