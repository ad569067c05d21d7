"""Make the page of the audits: what `groot_teach.audit` found in LeRobot's policies.

`book/audits.json` is written by `python -m evidence audits` alone, and holds what the auditor said. The directive
`audits` takes one word for what to show: `numbers` or `table`. Nothing on the page is typed.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from row_table import row_table, table_cell, table_row
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

AUDITS = "book/audits.json"
FIELDS = {"row", "release", "alone", "note", "lines", "lines of helpers", "clean", "cells", "findings", "not looked at"}
SIGNS = {"", "0", "?", "found", "intended"}
AXES = ("dims", "steps", "tokens", "samples")
STAGES = {
    "Prediction": ("prediction",),
    "Loss: what it sums": ("loss sum",),
    "Loss: what it divides by": ("loss count",),
    "Sampled actions": ("sampler", "sampled padding"),
}
"""The columns of the table, and the auditor's stages in each. What is none of these lies inside the network."""
INSIDE = "Inside"
COLUMNS = ("Policy", *STAGES, INSIDE, "Not looked at")


def faults_of(audit: dict) -> list[str]:
    if set(audit) != FIELDS:
        return [f"has the fields {sorted(set(audit) ^ FIELDS)} too much or too little"]
    faults = []
    found = {(each["stage"], axis) for each in audit["findings"] for axis in each["axis"].split(" and ")}
    for stage, cells in audit["cells"].items():
        faults += [f"{stage}: {axis} is no axis" for axis in cells if axis not in AXES]
        for axis, sign in cells.items():
            if sign not in SIGNS:
                faults.append(f"{stage}, {axis}: got {sign!r}, expected one of {sorted(SIGNS)}")
            elif (sign in ("found", "intended")) != ((stage, axis) in found):
                faults.append(f"{stage}, {axis}: the cell says {sign!r}, its findings say otherwise")
    if audit["clean"] and any("intended" not in each for each in audit["findings"]):
        faults.append("is clean, and has findings")
    return faults


def check(audits: dict) -> dict:
    """The audits as they came; ExtensionError names each one that breaks a rule."""
    faults = [f"{name} {fault}" for name, audit in audits.items() for fault in faults_of(audit)]
    if faults:
        raise ExtensionError("\n".join([f"{AUDITS}:", *faults]))
    return audits


def load(root: Path) -> dict:
    return check(json.loads((root / AUDITS).read_text(encoding="utf-8")))


def anchor(name: str) -> str:
    return "audit-" + re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def what_ran(audit: dict) -> str:
    return f"In part: {audit['alone']}" if audit["alone"] else "The whole policy"


def size_of(finding: dict) -> str:
    """`12.3 %`, as the auditor writes it."""
    size = finding["size"]
    if size is None:
        return "infinite"
    percent = "<0.01 %" if 0 < size < 1e-4 else f"{100 * size:.3g} %"
    return percent if finding["kind"] == "leak" else f"{finding['kind']} {percent}"


def finding_of(audit: dict, stage: str, axis: str) -> dict:
    """The one whose size stands in a cell: the first of its stage that has the axis in its name."""
    return next(each for each in audit["findings"] if each["stage"] == stage and axis in each["axis"].split(" and "))


# ------------------------------------------------------------------------------------------------------- the numbers


def numbers(audits: dict) -> list[str]:
    """What the table says, counted."""

    def tally(stage: str, axis: str, what: str) -> str:
        signs = [audit["cells"].get(stage, {}).get(axis, "") for audit in audits.values()]
        looked = [sign for sign in signs if sign not in ("", "?")]
        return f"{what}: in {sum(sign != '0' for sign in looked)} of {len(looked)}."

    policies = {audit["row"] for audit in audits.values()}
    whole = {audit["row"] for audit in audits.values() if not audit["alone"]}
    releases = sorted({audit["release"] for audit in audits.values()})
    lines = [audit["lines"] for audit in audits.values()]
    return [
        f"{len(audits)} audits of {len(policies)} policies, from LeRobot {' and '.join(releases)}; "
        f"{len(whole)} policies are whole, of the others a part runs.",
        f"Nothing was found in {sum(audit['clean'] for audit in audits.values())}.",
        tally("prediction", "steps", "Steps past the end move what is predicted for real entries"),
        tally("prediction", "dims", "Padded dims move it"),
        tally("prediction", "tokens", "Padded tokens move it"),
        tally("loss sum", "steps", "Steps past the end count in the loss"),
        tally("loss sum", "dims", "Padded dims count in it"),
        tally("loss count", "steps", "The loss is divided by something else than what it sums"),
        f"The auditor had to be told {min(lines)} to {max(lines)} lines a policy.",
    ]


# --------------------------------------------------------------------------------------------------------- the page


class Audits(SphinxDirective):
    required_arguments = 1

    def run(self):
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / AUDITS))
        parts = {"numbers": self.numbers, "table": self.table}
        if self.arguments[0] not in parts:
            raise self.error(f"audits: expected one of {', '.join(parts)}, got {self.arguments[0]!r}")
        return parts[self.arguments[0]](load(root))

    def paragraph(self, markdown: str, *classes: str) -> nodes.paragraph:
        found, messages = self.state.inline_text(markdown, self.lineno)
        return nodes.paragraph("", "", *found, *messages, classes=[*classes])

    def numbers(self, audits):
        items = [nodes.list_item("", self.paragraph(line)) for line in numbers(audits)]
        return [nodes.bullet_list("", *items, bullet="-")]

    def table(self, audits):
        table = row_table(name="audits", label="The audits as a table", caption="Audits", columns=COLUMNS)
        for name, audit in audits.items():
            line = table_row(ids=[anchor(name)], data={"clean": "yes" if audit["clean"] else "no"})
            for place, content in enumerate(self.cells(name, audit)):
                said = table_cell(label=COLUMNS[place], first=place == 0)
                said += content
                line += said
            table += line
        return [table]

    def cells(self, name, audit):
        helped = f", and {audit['lines of helpers']} of helpers" if audit["lines of helpers"] else ""
        yield [
            self.paragraph(name, "row-head"),
            self.paragraph(f"Release {audit['release']}. {what_ran(audit)}."),
            *([self.paragraph(audit["note"])] if audit["note"] else []),
            self.paragraph(f"{audit['lines']} lines{helped}"),
        ]
        known = [stage for stages in STAGES.values() for stage in stages]
        inside = tuple(stage for stage in audit["cells"] if stage not in known)
        for column, stages in {**STAGES, INSIDE: inside}.items():
            yield self.looks(audit, stages, named=column == INSIDE)
        yield self.unseen(audit)

    def looks(self, audit, stages, named):
        """What was found at these stages, a line for each axis."""
        lines = []
        for stage in stages:
            for axis, sign in audit["cells"].get(stage, {}).items():
                if not sign:
                    continue
                where = f"{stage}, {axis}" if named else axis
                where = f"{where}, held in padding" if stage == "sampled padding" else where
                line = nodes.paragraph("", f"{where}: ")
                line += self.sign(audit, stage, axis, sign)
                lines.append(line)
        return lines or [nodes.paragraph("", "–")]

    def sign(self, audit, stage, axis, sign):
        if sign in ("0", "?"):
            return [nodes.Text(sign)]
        finding = finding_of(audit, stage, axis)
        if sign == "intended":
            return [nodes.Text(f"{size_of(finding)}, intended: "), *self.paragraph(finding["intended"]).children]
        return [nodes.strong("", size_of(finding))]

    def unseen(self, audit):
        """Where a probe could not look, and why; probes with the same reason share a line."""
        reasons: dict[str, list[str]] = {}
        for look in audit["not looked at"]:
            reasons.setdefault(look["why"], []).append(f"{look['stage']}, {look['axis']} ({look['probe']})")
        return [self.paragraph(f"{'; '.join(where)}: {why}") for why, where in reasons.items()] or [
            nodes.paragraph("", "–")
        ]


def setup(app):
    app.setup_extension("row_table")
    app.add_directive("audits", Audits)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
