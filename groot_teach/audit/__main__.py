"""The command `audit-masks`, which is also `python -m groot_teach.audit`.

    audit-masks checkpoint FOLDER                   a GR00T head out of a LeRobot or NVIDIA checkpoint
    audit-masks my_module:my_function               a policy of yours, described by a function

The function takes no arguments and returns those of `audit_masks`, as a dict. The command's exit status is 0 if the
report is clean, 1 if something was found, and 2 if nothing was found and not everything could be audited.
"""

import argparse
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groot_teach.audit import MaskReport, audit_masks
from groot_teach.audit.heads import audit_action_head
from groot_teach.audit.in_junit import junit_of_nothing
from groot_teach.extras import progress_bar
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.head.released import load_upstream, read_checkpoint
from groot_teach.head.released.versions import Version
from groot_teach.masks import PR_741, STRICT, Masking
from groot_teach.padding import ActionBatch, VLBatch

VERSIONS: dict[str, tuple[Version | None, Masking | None]] = {
    "N1.5": ("N1.5", None),
    "N1.6": ("N1.6", None),
    "N1.7": ("N1.7", None),
    "PR741": ("N1.7", PR_741),
    "strict": (None, STRICT),
}
"""What `--version` stands for: the version of the weights, and the masking if it is not that of the version."""

EXAMPLES = """\
examples:
  audit-masks checkpoint outputs/train/my_run              the last checkpoint of a training run of LeRobot
  audit-masks checkpoint model.safetensors --version N1.6  weights that no config.json explains
  audit-masks checkpoint my_checkpoint --version strict    the same head, if it obeyed every mask
  audit-masks my_module:my_function --html report.html     a policy of yours, the report as a page too
  audit-masks my_module:my_function --junit report.xml     the report as a CI system reads it

exit status: 0 the report is clean, 1 something was found, 2 something could not be audited, and nothing was found
"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    subject = " ".join(str(part) for part in (options.subject, options.path) if part is not None)
    try:
        for name in ("--json", "--html", "--junit"):
            _check_can_be_written(name, getattr(options, name.strip("-")))
        progress = iter if options.quiet else partial(progress_bar, unit="step", desc="audit")
        if options.subject == "checkpoint":
            if options.path is None:
                raise ValueError("checkpoint: expected a file or a folder behind this word")
            report = audit_checkpoint(
                options.path,
                *VERSIONS.get(options.version, (None, None)),
                options.head_width,
                options.vl_head_width,
                options.state_history,
                progress=progress,
            )
        else:
            if options.path is not None or options.version is not None:
                raise ValueError("FILE and --version go with the word checkpoint")
            report = audit_function(options.subject, progress)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # also what a policy of others raises, whatever it is
        why = "stopped" if isinstance(error, KeyboardInterrupt) else _in_one_line(error)
        print(f"nothing was audited: {why}", file=sys.stderr)
        _written(options.junit, lambda: junit_of_nothing(why, subject))
        return 2
    try:
        print(report, flush=True)
    except BrokenPipeError:  # such as `audit-masks ... | head`: nobody reads on, and the exit status still counts
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    made = [
        _written(options.json, lambda: report.to_json() + "\n"),
        _written(options.html, lambda: report.to_html(subject)),
        _written(options.junit, lambda: report.to_junit(subject)),
    ]
    if not all(made):
        return 2
    return 0 if report.is_clean else 1 if report.unintended else 2


def _check_can_be_written(option: str, file: Path | None) -> None:
    if file is None:
        return
    folder = file.absolute().parent
    if file.is_dir() or not folder.is_dir():
        raise ValueError(f"{option}: got {file}, expected a file in a folder that exists")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise ValueError(f"{option}: got {file}, expected a file that may be written")


def _written(file: Path | None, text: Callable[[], str]) -> bool:
    """Writes a file, if it is asked for; False = it could not be written, which has been said."""
    if file is not None:
        try:
            file.write_text(text(), encoding="utf-8")
        except OSError as error:
            print(f"{file} was not written: {error}", file=sys.stderr)
            return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audit-masks",
        description="Which padding reaches which output of a policy, at which stage, and how strongly.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "subject",
        metavar="SUBJECT",
        help="module:function, a function without arguments that returns the arguments of audit_masks as a dict; or "
        "the word checkpoint, followed by a safetensors file or its folder",
    )
    parser.add_argument("path", metavar="FILE", nargs="?", type=Path, help="after the word checkpoint")
    parser.add_argument("--version", choices=VERSIONS, help="whose masking the head obeys, if its files do not say it")
    parser.add_argument("--head-width", type=int, metavar="N", help="of the DiT, if no config.json says it (48)")
    parser.add_argument("--vl-head-width", type=int, metavar="N", help="of the VL self-attention, likewise (64)")
    parser.add_argument("--state-history", type=int, metavar="N", help="states given to the head, likewise (1)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the whole report there as JSON as well")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write it there as a page that needs no other file")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write it there as JUnit-style XML, for CI")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _in_one_line(error: BaseException) -> str:
    """What went wrong; for errors that are not made by this library also their kind and the line that raised them."""
    said = " ".join(str(error).split())
    if isinstance(error, (ValueError, OSError, ImportError)) and said:
        return said
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name} {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {said}"


def audit_function(name: str, progress: Callable[[Iterable], Iterable] = iter) -> MaskReport:
    """Audits the policy that a function of yours describes, named as `module:function`; the module is imported.

    Raises:
        ValueError: no such function, or one that does not return the arguments of `audit_masks`.
        ImportError: no such module.
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"subject: got {name!r}, expected module:function, or checkpoint and a file")
    if module_name.endswith(".py"):
        raise ValueError(f"subject: got the file {module_name}, expected the module, {name.replace('.py:', ':')}")
    function = getattr(importlib.import_module(module_name), function_name, None)
    if not callable(function):
        got = f"{function_name!r}, a {type(function).__name__}," if function is not None else f"no {function_name!r}"
        raise ValueError(f"subject: got {got} in {module_name}, expected a function there")
    if misfit := _misfit(function):
        raise ValueError(f"subject: {name}: {misfit}, expected a function without arguments")
    described = function()
    given = described if isinstance(described, Mapping) else {}
    missing = [key for key in ("run", "batch", "padding") if key not in given]
    if missing:
        got = "a dict without " + ", ".join(missing) if isinstance(described, Mapping) else f"{described!r:.60}"
        raise ValueError(f"subject: {name} gave {got}, expected the arguments of audit_masks as a dict")
    return audit_masks(**{"progress": progress, **given})


def _misfit(function: Callable[..., Any]) -> str:
    """Why a function cannot be called without arguments; "" if it can, or, as a builtin, does not say."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        return str(error)
    except ValueError:
        return ""
    return ""


def audit_checkpoint(
    path: Path,
    version: Version | None = None,
    masking: Masking | None = None,
    head_width: int | None = None,
    vl_head_width: int | None = None,
    state_history: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> MaskReport:
    """Audits the action head of a checkpoint: its weights, loaded into this book's head.

    The batch is drawn at random from a fixed seed: three robots of unequal dims, steps and tokens. It is in float32, as
    the weights are then, or in float64 if the checkpoint is.

    Args:
        path, version, head_width, vl_head_width, state_history: as in `released.read_checkpoint`.
        masking: which masks the head obeys; None = those of its version.
        progress: wraps the list of steps, for a progress bar.

    Raises:
        ValueError: the file holds no such head, or one of another version.
        OSError: there is no such file.
    """
    found = read_checkpoint(path, version, head_width, vl_head_width, state_history)
    masking = masking or found.masking
    is_wide = any(weight.dtype == torch.float64 for weight in found.weights.values())
    dtype = torch.float64 if is_wide else torch.float32
    head = ActionHead(found.config, masking, torch.Generator().manual_seed(0)).to(dtype)
    load_upstream(head, {name: weight.to(dtype) for name, weight in found.weights.items()})
    observation, batch, noise, t = drawn_batch(found.config, found.action_horizon, dtype)
    steps = found.inference_steps
    return audit_action_head(head.eval(), observation, batch, noise, t, steps, progress=progress)


def drawn_batch(
    config: HeadConfig, action_horizon: int | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Observation, ActionBatch, Tensor, Tensor]:
    """Three robots with unequal dims, steps and tokens, as wide as the head, drawn from a seed. Tokens are padded left.

    The first camera of the second robot is absent. Chunks have `action_horizon` steps; None = 7, or as many as the head
    can tell apart.
    """
    generator = torch.Generator().manual_seed(0)
    steps, tokens, robots = action_horizon or min(config.max_steps or 7, 7), 11, 3
    dim_mask = torch.arange(config.padded_dim) < torch.tensor([[1.0], [0.5], [0.7]]) * config.padded_dim
    step_mask = torch.arange(steps) < torch.tensor([[steps], [max(steps - 3, 1)], [max(steps - 1, 1)]])
    token_mask = torch.arange(tokens) >= torch.tensor([[0], [3], [1]])
    image_mask = (torch.arange(tokens) >= 4) & (torch.arange(tokens) < 8)
    token_mask[1, 4:6] = False

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    actions = draw(robots, steps, config.padded_dim) * (dim_mask[:, None] & step_mask[:, :, None])
    vl = VLBatch(draw(robots, tokens, config.token_width), token_mask, image_mask.expand(robots, -1).clone())
    state = draw(robots, config.state_history, config.state_dim)
    embodiment_id = torch.arange(robots) % config.embodiments
    t = torch.tensor([0.2, 0.5, 0.8], dtype=dtype)
    return Observation(vl, state, embodiment_id), ActionBatch(actions, dim_mask, step_mask), draw(*actions.shape), t


if __name__ == "__main__":
    sys.exit(main())
