"""Make the page of the auditor's own trial from `book/zoo.json`, which `python -m evidence zoo` writes.

The directive `auditor-trial` takes one word for what to show: `totals`, `mutants` or `heads`.
"""

import json
from pathlib import Path

from docutils import nodes
from row_table import row_table, table_cell, table_row
from sphinx.util.docutils import SphinxDirective

RESULTS = "book/zoo.json"
CHECKS = {
    "shapes": "Shapes, and finite numbers",
    "loss falls": "Watching the loss fall",
    "flip": "Flipping a mask",
    "equivalence": "Appending padding",
    "mask invariance": "pytest-torch, mask invariance",
    "padding invariance": "pytest-torch, padding invariance",
}
"""The checks of others, in the order of the page."""

MUTANTS = ("What is broken", "Kind", "Must be found at", "Seen by the audit", "Alarm of others")
HEADS = ("Right head", "What the audit must be told", "Alarms of the audit", "Without being told", "Alarm of others")


def load(root: Path) -> dict:
    return json.loads((root / RESULTS).read_text(encoding="utf-8"))


def totals(found: dict) -> list[str]:
    """A line for each check: how many mutants it caught, and how often it was wrong about a right head."""
    mutants, heads = found["mutants"].values(), found["heads"].values()

    def line(name: str, caught: list, alarms: list) -> str:
        caught_of, alarms_on = f"{sum(caught)} of {len(mutants)} mutants", f"{sum(alarms)} of {len(heads)} right heads"
        return f"{name}: {caught_of}; false alarms on {alarms_on}."

    ours = [bool(row["probes"]) for row in mutants], [bool(row["alarms"] or row["could not look"]) for row in heads]
    others = {
        name: [[row["rivals"][check] for row in rows] for rows in (mutants, heads)] for check, name in CHECKS.items()
    }
    untold = sum(bool(row["untold"]["findings"] or row["untold"]["could not look"]) for row in heads)
    lines = [
        line("The audit, told what each head intends and where it cannot look", *ours),
        f"Told nothing, it calls {untold} of {len(heads)} right heads not clean; the others cannot be told.",
        *(line(name, *of_both) for name, of_both in others.items()),
    ]
    either = [[any(row["rivals"].values()) for row in rows] for rows in (mutants, heads)]
    return [*lines, line("All six others together", *either)]


class AuditorTrial(SphinxDirective):
    required_arguments = 1

    def run(self):
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / RESULTS))
        parts = {"totals": self.totals, "mutants": self.mutants, "heads": self.heads}
        if self.arguments[0] not in parts:
            raise self.error(f"auditor-trial: expected one of {', '.join(parts)}, got {self.arguments[0]!r}")
        return parts[self.arguments[0]](load(root))

    def totals(self, found):
        return [nodes.bullet_list("", *(nodes.list_item("", paragraph(line)) for line in totals(found)), bullet="-")]

    def mutants(self, found):
        rows = {name: cells_of_mutant(name, row) for name, row in found["mutants"].items()}
        return [self.table("mutants", "Mutants", MUTANTS, rows)]

    def heads(self, found):
        rows = {name: cells_of_head(name, row) for name, row in found["heads"].items()}
        return [self.table("heads", "Right heads", HEADS, rows)]

    def table(self, kind, caption, columns, rows):
        table = row_table(name=f"trial-{kind}", label=f"{caption}, as a table", caption=caption, columns=columns)
        for name, cells in rows.items():
            line = table_row(ids=[f"{kind}-{name.replace(' ', '-')}"], data={})
            for place, cell in enumerate(cells):
                said = table_cell(label=columns[place], first=place == 0)
                said += cell
                line += said
            table += line
        return table


def cells_of_mutant(name: str, row: dict) -> list[list[nodes.Node]]:
    seen = ", ".join(row["probes"]) or f"missed: {row['missed']}"
    kind = [paragraph(row["kind"]), *([paragraph(row["polarity"])] if row["polarity"] else [])]
    head = [paragraph(name, "row-head"), paragraph(f"{row['what']}.")]
    return [head, kind, [paragraph(f"{row['stage']}, {row['axis']}")], [paragraph(seen)], [alarms_of_others(row)]]


def cells_of_head(name: str, row: dict) -> list[list[nodes.Node]]:
    words = {"unit_loss": "unit loss", "intended": "intended", "excused": "excused"}
    told = [f"{words[key]}: {value if key == 'unit_loss' else '; '.join(value)}" for key, value in row["told"].items()]
    untold = [f"finds {name}" for name in row["untold"]["findings"]]
    untold += [f"could not look at {name}" for name in row["untold"]["could not look"]]
    alarms = row["alarms"] + ([f"a false alarm: {row['alarm']}"] if row["alarm"] else [])
    alarms += [f"could not look {row['could not look']} times"] if row["could not look"] else []
    return [
        [paragraph(name, "row-head"), paragraph(f"{row['what']}.")],
        [paragraph("; ".join(told) or "nothing")],
        [paragraph("; ".join(alarms) or "none")],
        [paragraph("; ".join(untold) or "the same")],
        [alarms_of_others(row)],
    ]


def alarms_of_others(row: dict) -> nodes.paragraph:
    return paragraph("; ".join(name for check, name in CHECKS.items() if row["rivals"][check]) or "none")


def paragraph(text: str, *classes: str) -> nodes.paragraph:
    return nodes.paragraph("", text, classes=[*classes])


def setup(app):
    app.setup_extension("row_table")
    app.add_directive("auditor-trial", AuditorTrial)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
