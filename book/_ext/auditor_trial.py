"""Make the page of the auditor's own trial from `book/zoo.json`, which `python -m evidence zoo` writes.

The directive `auditor-trial` takes one word for what to show: `methods`, `failures`, `mutants`, `heads` or `designs`.
"""

import json
from pathlib import Path

from docutils import nodes
from row_table import row_table, table_cell, table_row
from sphinx.util.docutils import SphinxDirective

RESULTS = "book/zoo.json"
METHODS = {
    "audit": "The audit",
    "perturb": "its probe perturb alone",
    "gradient": "its probe gradient alone",
    "compact": "its probe compact alone",
    "unit error": "its probe unit error alone",
    "read off": "its probe read off alone",
    "parity": "its probe parity alone",
    "shapes": "Shapes, and finite numbers",
    "loss falls": "Watching the loss fall",
    "flip": "Flipping a mask",
    "equivalence": "Appending padding",
    "mask invariance": "pytest-torch, mask invariance",
    "padding invariance": "pytest-torch, padding invariance",
    "pangolinn": "pangolinn, padding",
    "others together": "All checks of others together",
}
"""The methods in the order of the page."""
CHECKS = [*METHODS][[*METHODS].index("shapes") : -1]
"""The checks of others."""

COLUMNS = {
    "methods": ("Method", "Faulty policies that it found", "Right policies that it accused"),
    "mutants": ("What is broken", "Kind", "Must be found at", "Seen by the audit", "Alarm of others"),
    "heads": (
        "Right head",
        "What the audit must be told",
        "Alarms of the audit",
        "Without being told",
        "Alarm of others",
    ),
    "designs": ("Design", "What is special", "Must be found at", "Seen by the audit", "Alarm of others"),
}
CAPTIONS = {"methods": "Methods", "mutants": "Mutants", "heads": "Right heads", "designs": "Designs"}


def load(root: Path) -> dict:
    return json.loads((root / RESULTS).read_text(encoding="utf-8"))


class AuditorTrial(SphinxDirective):
    required_arguments = 1

    def run(self):
        root, part = Path(self.env.srcdir), self.arguments[0]
        self.env.note_dependency(str(root / RESULTS))
        known = ["failures", *COLUMNS]
        if part not in known:
            raise self.error(f"auditor-trial: expected one of {', '.join(known)}, got {part!r}")
        found = load(root)
        if part == "failures":
            lines = failures(found)
            return [nodes.bullet_list("", *(nodes.list_item("", paragraph(line)) for line in lines), bullet="-")]
        rows = {name: CELLS[part](name, row) for name, row in ordered(found, part)}
        return [self.table(part, CAPTIONS[part], COLUMNS[part], rows)]

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


def ordered(found: dict, part: str) -> list[tuple[str, dict]]:
    """The rows of a part, methods in the order of the page."""
    return [(name, found[part][name]) for name in (METHODS if part == "methods" else found[part])]


def failures(found: dict) -> list[str]:
    """A line for everything that the audit misses, falsely accuses, or cannot look into, with the reason."""
    rows = [(name, row) for kind in ("mutants", "heads", "designs") for name, row in found[kind].items()]
    missed = [f"Missed: {name}. {row['what']}; {row['missed']}." for name, row in rows if missing(row)]
    alarms = [f"A false alarm: {name}. {row['what']}; {row['alarm']}." for name, row in rows if row.get("alarms")]
    unseen = [
        f"Right, and not called clean: {name}. {row['what']}; the audit says that it could not look at "
        f"{'; '.join(row['could not look'])}."
        for name, row in rows
        if row.get("could not look")
    ]
    return [*(missed or ["Nothing is missed."]), *(alarms or ["There is no false alarm."]), *unseen]


def missing(row: dict) -> bool:
    return not row["right"] and not row["probes"]


def cells_of_method(name: str, row: dict) -> list[list[nodes.Node]]:
    said = [f"{row['found']} of {row['wrong']}", f"{row['accused']} of {row['right']}"]
    if row.get("could not look"):
        said[1] += f"; {row['could not look']} more it could not look into, and says so"
    return [[paragraph(METHODS[name], "row-head")], *([paragraph(one)] for one in said)]


def cells_of_mutant(name: str, row: dict) -> list[list[nodes.Node]]:
    kind = [paragraph(row["kind"]), *([paragraph(row["polarity"])] if row["polarity"] else [])]
    place = [paragraph(f"{row['stage']}, {row['axis']}")]
    return [head_of(name, row), kind, place, [paragraph(seen_by_audit(row))], [alarms_of_others(row)]]


def cells_of_head(name: str, row: dict) -> list[list[nodes.Node]]:
    words = {"unit_loss": "unit loss", "intended": "intended", "excused": "excused"}
    told = [f"{words[key]}: {value if key == 'unit_loss' else '; '.join(value)}" for key, value in row["told"].items()]
    untold = [f"finds {name}" for name in row["untold"]["findings"]]
    untold += [f"could not look at {name}" for name in row["untold"]["could not look"]]
    return [
        head_of(name, row),
        [paragraph("; ".join(told) or "nothing")],
        [paragraph(seen_by_audit(row))],
        [paragraph("; ".join(untold) or "the same")],
        [alarms_of_others(row)],
    ]


def cells_of_design(name: str, row: dict) -> list[list[nodes.Node]]:
    place = "nowhere: it is right" if row["right"] else row["found"]
    about = [[paragraph(row["about"])], [paragraph(place)]]
    return [head_of(name, row), *about, [paragraph(seen_by_audit(row))], [alarms_of_others(row)]]


CELLS = {
    "methods": cells_of_method,
    "mutants": cells_of_mutant,
    "heads": cells_of_head,
    "designs": cells_of_design,
}


def head_of(name: str, row: dict) -> list[nodes.Node]:
    return [paragraph(name, "row-head"), paragraph(f"{row['what']}.")]


def seen_by_audit(row: dict) -> str:
    """The probes that found a fault; of a right policy what the audit says against it."""
    if not row["right"]:
        return ", ".join(row["probes"]) or f"missed: {row['missed']}"
    said = row["alarms"] + ([f"a false alarm: {row['alarm']}"] if row.get("alarm") else [])
    said += [f"could not look at {place}" for place in row["could not look"]]
    return "; ".join(said) or "none"


def alarms_of_others(row: dict) -> nodes.paragraph:
    silent = [METHODS[check] for check in CHECKS if row["rivals"][check] is None]
    said = [METHODS[check] for check in CHECKS if row["rivals"][check]]
    said += [f"nothing to ask for {name}" for name in silent]
    return paragraph("; ".join(said) or "none")


def paragraph(text: str, *classes: str) -> nodes.paragraph:
    return nodes.paragraph("", text, classes=[*classes])


def setup(app):
    app.setup_extension("row_table")
    app.add_directive("auditor-trial", AuditorTrial)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
