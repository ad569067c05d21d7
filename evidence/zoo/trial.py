"""The trial itself: what the auditor says of each policy, and which of the checks of `rivals` raise an alarm.

pytest-torch and pangolinn are not a part of this project; `make upstream` installs them. To keep pytest-torch
elsewhere, put it into a folder of its own: pip install --no-deps --target FOLDER pytest-torch==1.1.1. The columns of a
package that is not installed are kept as they are stored.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from evidence.zoo.designs import DESIGNS, Design
from evidence.zoo.mutants import MUTANTS, Mutant
from evidence.zoo.right_heads import RIGHT_HEADS, RightHead
from evidence.zoo.rivals import FOREIGN, OURS, Check, Make, foreign
from groot_teach.audit import MaskReport
from groot_teach.audit.names import ORDER
from groot_teach.extras import progress_bar

Checks = Mapping[str, Check]
Row = dict[str, Any]


def record_of_mutant(mutant: Mutant, checks: Checks) -> Row:
    """What an audit and the other checks say of a mutant; `probes` are those that found it at its place."""
    found = mutant.found_in(mutant.audit())
    about = {name: getattr(mutant, name) for name in ("kind", "polarity", "what", "stage", "axis", "batch", "missed")}
    probes = list(found.probes) if found else []
    return {**about, "right": False, "probes": probes, "rivals": alarms_of(mutant.make, checks)}


def record_of_head(head: RightHead, checks: Checks) -> Row:
    """The same for a head that is right; `untold` is what the audit says if nobody tells it what is wanted."""
    told, untold = head.audit(), head.audit(told=False)
    return {
        "what": head.what,
        "right": True,
        "told": {name: value if name == "unit_loss" else sorted(value) for name, value in head.declared.items()},
        "alarm": head.alarm,
        **false_alarms(told),
        "untold": {
            "findings": [finding.name for finding in untold.unintended],
            "could not look": places_unseen(untold),
        },
        "rivals": alarms_of(head.make, checks),
    }


def record_of_design(design: Design, checks: Checks) -> Row:
    """The same for a design, which is right if no place is named at which something must be found.

    `unused` are declarations of a right one that nothing in it needs.
    """
    report = design.audit()
    row = {"about": design.about, "what": design.what, "right": not design.found}
    if design.found:
        found = design.found_in(report)
        row |= {"found": design.found, "missed": design.missed, "probes": list(found.probes) if found else []}
    else:
        row |= false_alarms(report) | {"unused": list(report.unused)}
    return row | {"rivals": alarms_of(design.make, checks)}


def false_alarms(report: MaskReport) -> Row:
    """What an audit has against a policy that is right, by which probes, and where it could not look."""
    return {
        "alarms": [str(finding) for finding in report.unintended],
        "probes": [probe for probe in ORDER if any(probe in finding.probes for finding in report.unintended)],
        "could not look": places_unseen(report),
    }


def places_unseen(report: MaskReport) -> list[str]:
    return [f"{look.stage}, {look.axis}: {look.probe}" for look in report.unseen]


def alarms_of(make: Make, checks: Checks) -> dict[str, bool | None]:
    return {name: check(make) for name, check in checks.items()}


def store(file: Path, pytest_torch_folder: Path | None = None) -> None:
    """Runs the trial and writes what came of it to `file`.

    Args:
        file: where it is written. The columns of a package that is not installed are kept as they are there.
        pytest_torch_folder: where pytest-torch is; None = where `make upstream` puts it.
    """
    checks = OURS | foreign(pytest_torch_folder)
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    absent = []
    for package, about in FOREIGN.items():
        if not set(about["checks"]) <= set(checks):
            print(f"{package} is not there: its columns stay as they are stored", file=sys.stderr)
            absent += about["checks"]
    kinds = {
        "mutants": {name: partial(record_of_mutant, mutant) for name, mutant in MUTANTS.items()},
        "heads": {name: partial(record_of_head, head) for name, head in RIGHT_HEADS.items()},
        "designs": {name: partial(record_of_design, design) for name, design in DESIGNS.items()},
    }
    zoo: dict[str, dict[str, Row]] = {kind: {} for kind in kinds}
    for kind, records in kinds.items():
        for name, record in progress_bar(records.items(), desc=kind, unit="audit"):
            row = zoo[kind][name] = record(checks)
            kept = before.get(kind, {}).get(name, {}).get("rivals", {})
            row["rivals"] |= {check: kept[check] for check in absent if check in kept}
    methods = count(zoo)
    stored = {"packages": FOREIGN, "methods": methods, **zoo}
    file.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(summary(methods))


def count(zoo: Mapping[str, Mapping[str, Row]]) -> dict[str, Row]:
    """How each method did: the audit, each of its probes, each check of others, and all these checks together.

    A method is asked only about policies in which there is something that it can ask.

    Returns:
        For each method `found` of `wrong`, the policies with a fault about which it was asked, and `accused` of
        `right`, those without one; and for the audit how many of the right ones it `could not look` into.
    """
    rows = [*chain.from_iterable(rows.values() for rows in zoo.values())]
    said = {"audit": [bool(row["alarms"] if row["right"] else row["probes"]) for row in rows]}
    said |= {probe: [probe in row["probes"] for row in rows] for probe in ORDER}
    said |= {check: [row["rivals"].get(check) for row in rows] for check in [*OURS, *foreign_checks()]}
    said["others together"] = [any(row["rivals"].values()) for row in rows]
    counted = {}
    for method, alarms in said.items():
        of_wrong = [alarm for row, alarm in zip(rows, alarms, strict=True) if not row["right"] and alarm is not None]
        of_right = [alarm for row, alarm in zip(rows, alarms, strict=True) if row["right"] and alarm is not None]
        found = {"found": sum(of_wrong), "wrong": len(of_wrong)}
        counted[method] = {**found, "accused": sum(of_right), "right": len(of_right)}
    unseen = sum(bool(row["right"] and not row["alarms"] and row["could not look"]) for row in rows)
    counted["audit"]["could not look"] = unseen
    return counted


def foreign_checks() -> list[str]:
    """The names of all checks that packages of other people bring, whether they are installed or not."""
    return [check for about in FOREIGN.values() for check in about["checks"]]


def summary(methods: Mapping[str, Row]) -> str:
    lines = []
    for method, of in methods.items():
        found, accused = f"{of['found']:>3} of {of['wrong']:>3} wrong", f"{of['accused']:>2} of {of['right']} right"
        lines.append(f"{method:20} found {found}, accused {accused}")
    return "\n".join(lines)
