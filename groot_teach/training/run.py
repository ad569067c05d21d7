"""Running a plan of `ablation` and storing its records. It uses several processes and can be interrupted and resumed.

    python -m groot_teach.training.run --out FILE

The records are one JSON file with a line for each run. While the plan is run, the folder `FILE.parts` beside it holds
the record of each finished trial and the checkpoint of each unfinished one. A file is never left half written.
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

from groot_teach.extras import progress_bar
from groot_teach.training.ablation import AMOUNTS, CONDITIONS, PLAN, Plan, Trial, run_trial


def stored(name: str = "dropped_masks") -> dict:
    """The records that come with the package: `{"about": ..., "runs": [...]}`.

    Args:
        name: `dropped_masks` for those of `PLAN`, or `gr1_right_arm` for those of a real recording, which
            `groot_teach.training.recorded` made.
    """
    return read_records(resources.files("groot_teach.training").joinpath(f"results/{name}.json"))


def read_records(path: Any) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write_records(path: Path, about: dict, runs: Sequence[dict]) -> None:
    """Writes a line for each run, so that a comparison of two files shows the runs that differ."""
    lines = ",\n".join(json.dumps(run) for run in runs)
    _write(path, f'{{"about": {json.dumps(about)},\n"runs": [\n{lines}\n]}}\n')


def about(plan: Plan) -> dict:
    """What is needed to make the records again: the command, the plan and the versions."""
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

    An interrupted run is continued: finished trials and checkpoints are kept in `<out>.parts` until all is done.

    Args:
        plan: which trials to run, and how.
        out: the file for the records.
        processes: the number of trials that are run at the same time, each on one thread.
        progress: called with the finished trials as they come and with their number, for a progress bar.

    Raises:
        ValueError: `<out>.parts` holds parts of another plan.
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
    # Spawned, not forked: a fork would copy the threads of this process in whatever state they are.
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
    """Ends this worker when its parent ends. It would otherwise go on beside a resumed run, and then wait for ever."""
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
    """Writes a file beside it and then renames that, so that no half-written file is left."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m groot_teach.training.run`."""
    parser = argparse.ArgumentParser(
        prog="python -m groot_teach.training.run",
        description="Train the tiny heads of chapter 8, with one mask dropped at a time, and store what came of it.",
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
