"""Running a plan of `ablation` and storing its records: in several processes, killed and resumed at any moment.

    python -m groot_teach.training.run --out FILE

The records are one JSON file, a run a line. While the plan is run, each finished trial and the checkpoint of each that
is under way lie beside it, in `FILE.parts`; what is written is put in its place whole.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import resources
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from groot_teach.training.ablation import AMOUNTS, CONDITIONS, PLAN, Plan, Trial, run_trial


def stored(name: str = "dropped_masks") -> dict:
    """Records that come with the package: `{"about": ..., "runs": [...]}`.

    Args:
        name: `dropped_masks`, those of `PLAN`; or `gr1_right_arm`, of a real recording, by
            `groot_teach.training.recorded`.
    """
    return read_records(resources.files("groot_teach.training").joinpath(f"results/{name}.json"))


def read_records(path: Any) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write_records(path: Path, about: dict, runs: Sequence[dict]) -> None:
    """One run a line, so that a change shows as the lines that it changed."""
    lines = ",\n".join(json.dumps(run) for run in runs)
    _write(path, f'{{"about": {json.dumps(about)},\n"runs": [\n{lines}\n]}}\n')


def about(plan: Plan) -> dict:
    """What one has to know to make the records again."""
    from groot_teach import __version__

    return {
        "command": "python -m groot_teach.training.run",
        "plan": dataclasses.asdict(plan),
        "versions": {"groot_teach": __version__, "torch": torch.__version__.split("+")[0]},
    }


def run_plan(
    plan: Plan, out: Path, processes: int = 1, progress: Callable[[Iterable, int], Iterable] = lambda done, total: done
) -> list[dict]:
    """Runs the trials of `plan` and stores their records in `out`.

    A run that was killed goes on where it was: finished trials and checkpoints lie in `<out>.parts` until all is done.

    Args:
        plan: which trials.
        out: the file.
        processes: how many trials are run at the same time, each on one thread.
        progress: wraps the finished trials; it is told how many there will be.

    Raises:
        ValueError: the parts that lie there belong to another plan.
    """
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    _same_plan(parts / "about.json", about(plan))
    files = {trial: parts / f"{trial.key}.json" for trial in plan.trials}
    todo = [(trial, plan, file) for trial, file in files.items() if not file.exists()]
    for _ in progress(_finished(todo, processes), len(todo)):
        pass
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files.values()]
    write_records(out, about(plan), runs)
    shutil.rmtree(parts)
    return runs


def _finished(todo: Sequence[tuple[Trial, Plan, Path]], processes: int) -> Iterable[Trial]:
    if processes == 1:
        yield from (_run_part(*part) for part in todo)
        return
    # Not a fork: it would copy the threads of this process in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin_worker) as pool:
        yield from (done.result() for done in as_completed([pool.submit(_run_part, *part) for part in todo]))


def _run_part(trial: Trial, plan: Plan, file: Path) -> Trial:
    checkpoint = file.with_suffix(".pt")
    record = run_trial(trial, plan, checkpoint)
    _write(file, json.dumps(record))
    checkpoint.unlink()
    return trial


def _begin_worker() -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would train on beside the run that takes its place, then wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _same_plan(file: Path, mine: dict) -> None:
    if not file.exists():
        _write(file, json.dumps(mine))
    theirs, mine = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(mine))
    for name, value in mine.items():
        if theirs[name] != value:
            raise ValueError(
                f"{file.parent.name}: got parts of a run with {name} {theirs[name]}, expected {value}; to begin anew, "
                "remove that folder"
            )


def _write(file: Path, text: str) -> None:
    """Beside the file, then into its place: never half a file."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def progress_bar(items: Iterable, **how: Any) -> Iterable:
    """tqdm's bar where tqdm is installed; elsewhere the items alone."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return items
    return tqdm(items, **how)


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m groot_teach.training.run`."""
    parser = argparse.ArgumentParser(
        prog="python -m groot_teach.training.run",
        description="Train the tiny heads of chapter 6, with one mask dropped at a time, and store what came of it.",
    )
    cores = os.cpu_count() or 1
    for name, default, words in (
        ("--processes", cores, "trials at the same time"),
        ("--seeds", PLAN.seeds, "seeds of each condition"),
        ("--steps", PLAN.steps, "steps of each training"),
    ):
        parser.add_argument(name, type=int, default=default, metavar="N", help=f"{words} ({default})")
    names = ", ".join(CONDITIONS)
    parser.add_argument(
        "--conditions", nargs="+", default=PLAN.conditions, choices=CONDITIONS, metavar="NAME", help=f"some of {names}"
    )
    parser.add_argument(
        "--amounts",
        nargs="+",
        default=PLAN.amounts,
        choices=AMOUNTS,
        metavar="NAME",
        help=f"some of {', '.join(AMOUNTS)}",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the records, as JSON")
    options = parser.parse_args(arguments)

    plan = dataclasses.replace(
        PLAN,
        conditions=tuple(options.conditions),
        amounts=tuple(options.amounts),
        seeds=options.seeds,
        steps=options.steps,
    )
    run_plan(plan, options.out, options.processes, lambda done, total: progress_bar(done, total=total, unit="trial"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
