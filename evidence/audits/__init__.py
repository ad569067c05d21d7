"""What the auditor finds in LeRobot's policies, and what the book keeps of it.

What the auditor is told about each policy is in `descriptions`.
"""

import contextlib
import inspect
import io
import json
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

from evidence.audits.descriptions import Subject, attend_densely, folded, groot_n1_5, lay_out, subjects, unfolded
from evidence.released import NEWER, OLDER, release_of
from groot_teach.audit import MaskReport
from groot_teach.audit.names import COLUMNS
from groot_teach.audit.report import Look
from groot_teach.extras import progress_bar

HEAD = "the action head alone: given tokens stand for the vision-language model"


class UnknownPolicyError(ValueError):
    """A name that no audited policy has."""


def store(file: Path, only: Sequence[str] = ()) -> None:
    """Audits every policy and writes what was found to `file`, a dict by the name of the policy.

    Args:
        file: where it is written.
        only: names of policies. If there are any, these alone are audited and printed, and nothing is written.

    Raises:
        UnknownPolicyError: a name is not known.
    """
    known = subjects()
    if unknown := sorted({*only} - {*known}):
        names = (", ".join(f'"{name}"' for name in some) for some in (unknown, known))
        raise UnknownPolicyError("only: got {}, expected some of {}".format(*names))
    found = {name: record(known[name]) for name in progress_bar([*(only or known)], desc="audits", unit="policy")}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if only:
        print(text, end="")
        return
    file.write_text(text, encoding="utf-8")
    for name, audit in found.items():
        seen = ", ".join(f"{finding['stage']} ({finding['axis']})" for finding in audit["findings"])
        print(f"{name:32} {audit['lines']:>2} lines  {seen or 'clean'}")


def record(subject: Subject) -> dict:
    """Audits one policy, and returns what the page needs of the report.

    Sizes are rounded to three digits, since they differ a little from CPU to CPU.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # the heads print their number of parameters
        policy = subject.make() if subject.make else None
        report = subject.audit(policy) if policy else subject.audit()
    older = subject.audit is groot_n1_5
    columns = [column for column in COLUMNS if any(column in look.axis.split(" and ") for look in report.looks)]
    return {
        "row": subject.row,
        "release": policy.release if policy else release_of(OLDER if older else NEWER),
        "alone": policy.alone if policy else HEAD,
        "note": subject.note,
        "lines": lines_of(subject.audit),
        "lines of helpers": lines_of_helpers(subject.audit),
        "clean": report.is_clean,
        "cells": {stage: {axis: cell_of(report, stage, axis) for axis in columns} for stage in report.stages},
        "findings": [
            {
                "stage": found.stage,
                "axis": found.axis,
                "kind": found.kind,
                "size": rounded(found.size),
                "probes": list(found.probes),
                **({"intended": found.intended} if found.intended else {}),
            }
            for found in report.findings
        ],
        "not looked at": [
            {"stage": look.stage, "axis": look.axis, "probe": look.probe, "why": why_not(report, look)}
            for look in report.looks
            if look.size is None
        ],
    }


def cell_of(report: MaskReport, stage: str, axis: str) -> str:
    """What the page says in this cell: `0`, `?`, `found`, `intended`, or nothing."""
    cell = report.cell(stage, axis)
    if cell in ("-", "0?"):  # "-": the missing look is excused; "0?": one of several probes could not look
        return "?" if cell == "-" else "0"
    return cell if cell in ("", "0", "?") else "intended" if cell.endswith("*") else "found"


def rounded(size: float) -> float | None:
    """Three digits; None for a size that is infinite, for which JSON has no number."""
    return float(f"{size:.3g}") if isfinite(size) else None


def why_not(report: MaskReport, look: Look) -> str:
    """Why the auditor could not look: the excuse that the description gives, or else the auditor's own reason."""
    names = (f"{look.stage}, {look.axis}", look.stage, look.probe)
    return next((report.excused[name] for name in names if name in report.excused), look.why)


def lines_of(function: Callable) -> int:
    """The number of lines of a function, without its name, its docstring and empty lines."""
    body = inspect.getsource(function).replace(f'"""{function.__doc__}"""', "")
    return sum(bool(line.strip()) for line in body.splitlines()[1:])


def lines_of_helpers(audit: Callable) -> int:
    """The number of lines of the helpers that a description calls, for example to change the layout of a prediction."""
    helpers = (attend_densely, folded, lay_out, unfolded)
    return sum(lines_of(helper) for helper in helpers if f"{helper.__name__}(" in inspect.getsource(audit))
