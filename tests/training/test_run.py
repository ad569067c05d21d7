"""Running a plan: the same file in one process and in two, and after being killed several times; the stored records."""

import dataclasses
import json
import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch
from ablation_cases import ENDS_ALIKE, TINY, assert_it_begins_the_same, assert_the_same_training

from groot_teach.training import run as experiments
from groot_teach.training.ablation import AMOUNTS, PLAN, Trial, ablate, run_trial
from groot_teach.training.evaluate import DEPLOYMENTS, Evaluation
from groot_teach.training.run import about, run_plan, stored
from groot_teach.training.task import ROBOTS

# --------------------------------------------------------------------------------------------------------- the files


def test_a_plan_run_to_a_file_gives_the_records_of_its_trials(tmp_path):
    out = tmp_path / "records.json"
    shown = []

    def bar(done, total):
        shown.append(total)
        return done

    found = run_plan(TINY, out, progress=bar)
    assert found == ablate(TINY)
    written = experiments.read_records(out)
    assert written == {"about": json.loads(json.dumps(about(TINY))), "runs": found}
    assert shown == [4]
    assert [file.name for file in tmp_path.iterdir()] == ["records.json"]
    assert len(out.read_text().splitlines()) == 2 + 4 + 1


def test_two_processes_write_the_same_file(tmp_path):
    for processes in (1, 2):
        run_plan(TINY, tmp_path / f"{processes}.json", processes=processes)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_parts_of_another_plan_are_refused(tmp_path):
    out = tmp_path / "records.json"
    with pytest.raises(ZeroDivisionError):
        run_plan(TINY, out, progress=lambda done, total: 1 / 0)
    with pytest.raises(
        ValueError, match=r"records\.json\.parts: got parts of a run with plan .* to begin anew, remove"
    ):
        run_plan(dataclasses.replace(TINY, steps=7), out)
    assert len(run_plan(TINY, out)) == 4


LONGER = dataclasses.replace(TINY, steps=12, seeds=2)


def _grid(out, processes):
    torch.set_num_threads(1)
    run_plan(LONGER, out, processes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "whole.json"
    run_plan(LONGER, out)
    return out


OFTEN = [pytest.param(1, 10, marks=pytest.mark.weekly), pytest.param(2, 4, marks=pytest.mark.weekly)]


@pytest.mark.xdist_group("killed")  # one process makes the whole one
@pytest.mark.parametrize(("processes", "times"), [(1, 2), (2, 1), *OFTEN])
def test_a_grid_that_is_killed_many_times_gives_the_same_file(tmp_path, whole, processes, times):
    """SIGKILL at random moments, wherever it is: in a step, in a checkpoint, between two files."""
    broken, chance = tmp_path / "broken.json", random.Random(processes)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["groot_teach.training.run", "torch._dynamo"])  # the optimizer loads it, in seconds
    killed, workers = 0, set()
    while killed < times:
        grid = context.Process(target=_grid, args=(broken, processes))
        grid.start()
        grid.join(timeout=chance.uniform(0.1, 1.0) * (1 if processes == 1 else 6))
        if not grid.is_alive():
            assert grid.exitcode == 0
            assert broken.read_bytes() == whole.read_bytes()
            broken.unlink()  # it was quicker than we: once more from the start, until enough are dead
            continue
        workers |= children_of(grid.pid)
        grid.kill()
        grid.join()
        killed += 1
    last = context.Process(target=_grid, args=(broken, 1))
    last.start()
    last.join()
    assert last.exitcode == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert bool(workers) == (processes > 1)
    wait_until_gone(workers)


def children_of(parent):
    """The processes that `parent` started, as Linux lists them."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    return set(map(int, listed.read_text().split()))


def wait_until_gone(workers, patience=30):
    """A worker whose parent was killed ends by itself."""
    end = time.monotonic() + patience
    while time.monotonic() < end and any(map(is_running, workers)):
        time.sleep(0.1)
    assert not [worker for worker in workers if is_running(worker)]


def is_running(process):
    try:  # a number may be given to somebody else, so we look at what runs under it
        return "spawn_main" in Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return False


def test_the_command_says_what_it_can_do(capsys):
    with pytest.raises(SystemExit, match="0"):
        experiments.main(["--help"])
    said = capsys.readouterr().out
    for word in ("--out FILE", "--processes", "--seeds", "--steps", "--conditions"):
        assert word in said


def test_the_command_runs_what_it_is_told(tmp_path):
    out = tmp_path / "records.json"
    arguments = ["--out", str(out), "--processes", "1", "--seeds", "1", "--steps", "2", "--conditions", "strict"]
    assert experiments.main(arguments) == 0
    runs = experiments.read_records(out)["runs"]
    assert [(run["condition"], run["amount"], run["seed"], run["step"]) for run in runs] == [
        ("strict", "little", 0, [2]),
        ("strict", "much", 0, [2]),
    ]


# ------------------------------------------------------------------------------------------------ the stored records


def test_the_stored_records_are_those_of_the_books_plan():
    about_them, records = stored()["about"], stored()["runs"]
    assert about_them["plan"] == json.loads(json.dumps(dataclasses.asdict(PLAN)))
    assert about_them["versions"].keys() == {"groot_teach", "torch"}
    assert [(run["condition"], run["amount"], run["seed"]) for run in records] == [
        dataclasses.astuple(trial) for trial in PLAN.trials
    ]
    for run in records:
        assert len(run["reported"]) == len(run["real"]) == len(run["step"]) == PLAN.steps // PLAN.every
        assert run["errors"].keys() == DEPLOYMENTS.keys()
        assert len(run["distance"]) == len(run["path"]) == len(ROBOTS)
        assert {len(path) for path in run["path"]} == {1 + 2 * PLAN.chunks}


TRIED_AGAIN = [Trial("strict", "little", 0), Trial("N1.7", "much", 5)]


def stored_record(trial):
    (record,) = [
        run for run in stored()["runs"] if (run["condition"], run["amount"], run["seed"]) == dataclasses.astuple(trial)
    ]
    return record


@pytest.mark.parametrize("trial", TRIED_AGAIN, ids=lambda trial: trial.key)
def test_a_stored_training_begins_the_same_when_it_is_made_again(trial):
    """The weekly test trains the same ones to the end."""
    evaluation = Evaluation(AMOUNTS[trial.amount], PLAN.tried, PLAN.chunks)
    assert_it_begins_the_same(
        PLAN.head(trial), evaluation.task, PLAN.recipe(trial.seed), evaluation, PLAN, stored_record(trial)
    )


@pytest.mark.weekly
@pytest.mark.parametrize("trial", TRIED_AGAIN, ids=lambda trial: trial.key)
def test_a_stored_training_made_again_is_the_same_to_its_end(trial):
    theirs = stored_record(trial)
    mine = json.loads(json.dumps(run_trial(trial, PLAN)))
    assert mine.keys() == theirs.keys()
    assert_the_same_training(mine, theirs)
    for deployment, errors in theirs["errors"].items():
        assert mine["errors"][deployment] == pytest.approx(errors, rel=ENDS_ALIKE)
    for mine_of_robot, of_robot in zip(mine["distance"], theirs["distance"], strict=True):
        assert mine_of_robot[0] == of_robot[0]
        assert mine_of_robot[-1] == pytest.approx(of_robot[-1], rel=2 * ENDS_ALIKE)
