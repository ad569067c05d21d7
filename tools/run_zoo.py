"""Run the auditor's own trial, and store what came of it.

Writes book/zoo.json: for each mutant of tests/zoo.py whether the audit found it at its place and by which probes, and
which of the other checks of tests/zoo_rivals.py raised an alarm; the same for policies that are right. The page
book/auditor_trial.md is made from it. `make test` runs the trial again and fails if anything else comes of it.

pytest-torch is no part of this project. To run its two columns again, put it into a folder of its own:
pip install --no-deps --target FOLDER pytest-torch==1.1.1. Without it the columns are kept as they are stored.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "book" / "zoo.json"

Checks = Mapping[str, Callable]


def record_of_mutant(mutant, checks: Checks) -> dict:
    """What an audit and the other checks say of a mutant."""
    from evidence.zoo import BATCHES

    found = mutant.found_in(mutant.audit())
    about = {name: getattr(mutant, name) for name in ("kind", "polarity", "what", "stage", "axis", "batch", "missed")}
    rivals = {name: check(mutant.build, BATCHES[mutant.batch]) for name, check in checks.items()}
    return {**about, "probes": list(found.probes) if found else [], "rivals": rivals}


def record_of_head(head, checks: Checks) -> dict:
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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytest-torch", type=Path, metavar="FOLDER", help="where it is, if not in the environment")
    given = parser.parse_args(arguments)
    from tqdm.auto import tqdm

    from evidence.rivals import OURS, PYTEST_TORCH, pytest_torch
    from evidence.zoo import MUTANTS, RIGHT_HEADS

    foreign = pytest_torch(given.pytest_torch)
    before = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if foreign is None:
        print("pytest-torch is not there: its columns stay as they are stored", file=sys.stderr)
    found: dict = {"pytest-torch": PYTEST_TORCH}
    kinds = (("mutants", MUTANTS, record_of_mutant), ("heads", RIGHT_HEADS, record_of_head))
    for kind, animals, record in kinds:
        found[kind] = {}
        for name, animal in tqdm(animals.items(), desc=kind, unit="audit"):
            row = found[kind][name] = record(animal, OURS | (foreign or {}))
            if foreign is None:
                kept = before.get(kind, {}).get(name, {}).get("rivals", {})
                row["rivals"] |= {check: kept[check] for check in PYTEST_TORCH["checks"] if check in kept}
    STORED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(summary(found))
    return 0


def summary(found: Mapping) -> str:
    mutants, heads = found["mutants"].values(), found["heads"].values()
    caught = sum(bool(row["probes"]) for row in mutants)
    alarms = sum(bool(row["alarms"] or row["could not look"]) for row in heads)
    lines = [f"{'audit':20} {caught:>3} of {len(mutants)} mutants, {alarms} false alarms on {len(heads)} heads"]
    for check in next(iter(mutants))["rivals"]:
        caught, alarms = (sum(row["rivals"].get(check, False) for row in rows) for rows in (mutants, heads))
        lines.append(f"{check:20} {caught:>3} of {len(mutants)} mutants, {alarms} false alarms on {len(heads)} heads")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
