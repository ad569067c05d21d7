"""The trial itself: what the auditor says of each policy, and which of the checks of `rivals` raise an alarm.

pytest-torch is not a part of this project. To run its two columns again, put it into a folder of its own:
pip install --no-deps --target FOLDER pytest-torch==1.1.1. Without it these columns are kept as they are stored.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from evidence.zoo.mutants import MUTANTS, Mutant
from evidence.zoo.policy import BATCHES
from evidence.zoo.right_heads import RIGHT_HEADS, RightHead
from evidence.zoo.rivals import OURS, PYTEST_TORCH, pytest_torch
from groot_teach.extras import progress_bar

Checks = Mapping[str, Callable]


def record_of_mutant(mutant: Mutant, checks: Checks) -> dict:
    """What an audit and the other checks say of a mutant."""
    found = mutant.found_in(mutant.audit())
    about = {name: getattr(mutant, name) for name in ("kind", "polarity", "what", "stage", "axis", "batch", "missed")}
    rivals = {name: check(mutant.build, BATCHES[mutant.batch]) for name, check in checks.items()}
    return {**about, "probes": list(found.probes) if found else [], "rivals": rivals}


def record_of_head(head: RightHead, checks: Checks) -> dict:
    """The same for a head that is right; `untold` is what the audit says if nobody tells it what is wanted."""
    told, untold = head.audit(), head.audit(told=False)
    _, b = head.make()
    return {
        "what": head.what,
        "told": {name: value if name == "unit_loss" else sorted(value) for name, value in head.declared.items()},
        "alarm": head.alarm,
        "alarms": [str(finding) for finding in told.unintended],
        "could not look": len(told.unseen),
        "untold": {
            "findings": [finding.name for finding in untold.unintended],
            "could not look": [f"{look.stage}, {look.axis}: {look.probe}" for look in untold.unseen],
        },
        "rivals": {name: check(lambda: head.make()[0], b) for name, check in checks.items()},
    }


def store(file: Path, pytest_torch_folder: Path | None = None) -> None:
    """Runs the trial and writes what came of it to `file`.

    Args:
        file: where it is written. Without pytest-torch, its columns are kept as they are there.
        pytest_torch_folder: where pytest-torch is; None = where `make upstream` puts it.
    """
    foreign = pytest_torch(pytest_torch_folder)
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if foreign is None:
        print("pytest-torch is not there: its columns stay as they are stored", file=sys.stderr)
    found: dict = {"pytest-torch": PYTEST_TORCH}
    kinds = {
        "mutants": {name: partial(record_of_mutant, mutant) for name, mutant in MUTANTS.items()},
        "heads": {name: partial(record_of_head, head) for name, head in RIGHT_HEADS.items()},
    }
    for kind, records in kinds.items():
        found[kind] = {}
        for name, record in progress_bar(records.items(), desc=kind, unit="audit"):
            row = found[kind][name] = record(OURS | (foreign or {}))
            if foreign is None:
                kept = before.get(kind, {}).get(name, {}).get("rivals", {})
                row["rivals"] |= {check: kept[check] for check in PYTEST_TORCH["checks"] if check in kept}
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(summary(found))


def summary(found: Mapping) -> str:
    mutants, heads = found["mutants"].values(), found["heads"].values()
    caught = sum(bool(row["probes"]) for row in mutants)
    alarms = sum(bool(row["alarms"] or row["could not look"]) for row in heads)
    lines = [f"{'audit':20} {caught:>3} of {len(mutants)} mutants, {alarms} false alarms on {len(heads)} heads"]
    for check in next(iter(mutants))["rivals"]:
        caught, alarms = (sum(row["rivals"].get(check, False) for row in rows) for rows in (mutants, heads))
        lines.append(f"{check:20} {caught:>3} of {len(mutants)} mutants, {alarms} false alarms on {len(heads)} heads")
    return "\n".join(lines)
