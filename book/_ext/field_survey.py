"""Make the page of the field survey from its data: the table, the five designs and every number.

`book/field_survey.yml` is the only place where a row stands. The directive `field-survey` takes one word for what to
show: `numbers`, `designs` or `table`. A row that breaks the rules below stops the build and is named.
"""

import re
from collections import Counter
from pathlib import Path

import audits
import yaml
from docutils import nodes
from row_table import paragraph_of_links, pinned_links, row_table, status_of, table_cell, table_row
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

DATA = "book/field_survey.yml"
NOT_TRACED = "not traced"

STATUS = ("run", "read")
WORDS = {
    ("dims", "loss"): ("masked", "supervised", "depends", "off by default", "no padding", NOT_TRACED),
    ("steps", "loss"): ("masked", "supervised", "avoided", "off by default", "no padding", NOT_TRACED),
    ("normalisation", "by"): ("entries", "diluted", "sample", "other", NOT_TRACED),
    ("tokens", "attention"): ("hidden", "partly", "read", "no padding", NOT_TRACED),
    ("inference", "padded_dims"): ("free", "masked", "renoised", "no padding", NOT_TRACED),
}
"""The closed questions of a row and their answers. What counts rows counts these words, never the prose beside them."""

PROSE = {
    "dims": ("fill",),
    "steps": ("fill",),
    "normalisation": ("how",),
    "tokens": ("how", "side"),
    "inference": ("how",),
}
PLAIN = ("policy", "repository", "version", "commit", "cite", "files", "status", "designs", "mask")

COLUMNS = (
    "Policy",
    "Design",
    "Padded dims",
    "Steps past the end",
    "Mask, and where it works",
    "Loss is divided by",
    "Padded text and camera tokens",
    "Padded dims at inference",
    "Read in",
)
SAYS = {
    ("dims", "masked"): "Not in the loss",
    ("dims", "supervised"): "In the loss",
    ("dims", "depends"): "In the loss, or not",
    ("dims", "off by default"): "In the loss by default",
    ("dims", "no padding"): "No padding",
    ("steps", "masked"): "Not in the loss",
    ("steps", "supervised"): "In the loss",
    ("steps", "avoided"): "Avoided",
    ("steps", "off by default"): "In the loss by default",
    ("steps", "no padding"): "No padding",
    ("normalisation", "entries"): "What it sums",
    ("normalisation", "diluted"): "More than it sums",
    ("normalisation", "sample"): "Each part apart",
    ("normalisation", "other"): "Another rule",
    ("tokens", "hidden"): "Hidden",
    ("tokens", "partly"): "Hidden in part",
    ("tokens", "read"): "Read",
    ("tokens", "no padding"): "No padding",
    ("inference", "free"): "Run free",
    ("inference", "masked"): "Held at 0",
    ("inference", "renoised"): "Noise as in training",
    ("inference", "no padding"): "No padding",
}
"""How a word of the data is said to a reader, at the head of its cell."""


# ------------------------------------------------------------------------------------------------- reading the data


def faults_of_row(row: dict, designs: dict) -> list[str]:
    wanted = {*PLAIN, *PROSE}
    if set(row) != wanted:
        return [f"has the fields {sorted(set(row) ^ wanted)} too much or too little"]
    faults = []
    for name in ("policy", "repository", "version", "commit", "cite", "mask"):
        if not (isinstance(row[name], str) and row[name].strip()):
            faults.append(f"{name} must be text, and is {row[name]!r}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(row["repository"])):
        faults.append(f"repository must be owner/name, and is {row['repository']!r}")
    if not re.fullmatch(r"[0-9a-f]{40}", str(row["commit"])):
        faults.append(f"commit must be 40 hex digits, and is {row['commit']!r}")
    if row["status"] not in STATUS:
        faults.append(f"status must be one of {STATUS}, and is {row['status']!r}")
    if not isinstance(row["files"], dict) or not row["files"]:
        faults.append("files must name at least one file")
    else:
        for path, lines in row["files"].items():
            if not re.fullmatch(r"[\w./-]+\.\w+", path) or path.startswith("/"):
                faults.append(f"{path!r} is no path of a file")
            if lines is not None and not re.fullmatch(r"\d+(-\d+)?(, \d+(-\d+)?)*", str(lines)):
                faults.append(f"lines of {path} must look like 12, 30-34, and are {lines!r}")
    if not row["designs"] or not set(row["designs"]) <= set(designs):
        faults.append(f"designs must be some of {', '.join(designs)}, and are {row['designs']!r}")
    for group, texts in PROSE.items():
        keys = {*texts, *(key for of, key in WORDS if of == group)}
        if set(row[group]) != keys:
            faults.append(f"{group} must hold {sorted(keys)}, and holds {sorted(row[group])}")
            continue
        for key in texts:
            if not (isinstance(row[group][key], str) and row[group][key].strip()):
                faults.append(f"{group}: {key} must be text, and is {row[group][key]!r}")
    for (group, key), words in WORDS.items():
        if row[group].get(key) not in words:
            faults.append(f"{group}: {key} must be one of {words}, and is {row[group].get(key)!r}")
    return faults


def check(survey: dict) -> dict:
    """The survey as it came; ExtensionError names each row that breaks a rule."""
    faults, seen = [], set()
    for row in survey["policies"]:
        name = row.get("policy", "a row without a name")
        faults += [f"{name}: {fault}" for fault in faults_of_row(row, survey["designs"])]
        if anchor(row) in seen:
            faults.append(f"{name}: stands there twice")
        seen.add(anchor(row))
    if faults:
        raise ExtensionError("\n".join([f"{DATA}:", *faults]))
    return survey


def load(path: Path) -> dict:
    return check(yaml.safe_load(path.read_text(encoding="utf-8")))


def anchor(row: dict) -> str:
    name = str(row.get("policy", "")).casefold().replace("π", "pi")
    return "survey-" + re.sub(r"[^a-z0-9]+", "-", name).strip("-")


def links(row: dict) -> list[tuple[str, str]]:
    """Address and text of each place in the code that a row was read from."""
    return pinned_links(row["repository"], row["commit"], row["files"])


# ------------------------------------------------------------------------------------------------------- the numbers


def numbers(survey: dict) -> list[str]:
    """What the table says, counted: one line for each question."""
    rows = survey["policies"]

    def tally(group, key, title, *answers):
        """A title, how many policies have such padding, and how many of them give each answer."""
        given = Counter(row[group][key] for row in rows)
        concerned = len(rows) - given["no padding"]
        parts = [f"{words} in {given[word]}" for word, words in answers]
        parts += [f"not traced in {given[NOT_TRACED]}"] if given[NOT_TRACED] else []
        return f"{title} ({concerned} policies): {'; '.join(parts)}."

    repositories = {row["repository"] for row in rows}
    run = sum(row["status"] == "run" for row in rows)
    side = Counter(row["tokens"]["side"] for row in rows)
    return [
        f"{len(rows)} policies from {len(repositories)} repositories: {run} run, {len(rows) - run} only read.",
        tally(
            *("steps", "loss", "Steps past the end"),
            ("masked", "left out of the loss"),
            ("avoided", "avoided (no such chunk is drawn)"),
            ("off by default", "supervised unless a switch is set"),
            ("supervised", "supervised"),
        ),
        tally(
            *("dims", "loss", "Padded dims"),
            ("masked", "left out of the loss"),
            ("depends", "left out or not (the robot's layout decides)"),
            ("off by default", "supervised unless a switch is set"),
            ("supervised", "supervised"),
        ),
        tally(
            *("tokens", "attention", "Padded text and camera tokens"),
            ("hidden", "hidden wherever we looked"),
            ("partly", "hidden in one place and read in another"),
            ("read", "read"),
        )
        + f" They stand on the left in {side['left']} and on the right in {side['right']}.",
        tally(
            *("normalisation", "by", "The loss is divided"),
            ("entries", "by the entries in the sum"),
            ("diluted", "by hidden entries as well"),
            ("sample", "for each sample or frame apart"),
            ("other", "by another rule"),
        ),
        tally(
            *("inference", "padded_dims", "Padded dims at inference"),
            ("free", "running free"),
            ("masked", "held at 0"),
            ("renoised", "given the noise that they had in training"),
        ),
    ]


# --------------------------------------------------------------------------------------------------------- the page


class FieldSurvey(SphinxDirective):
    required_arguments = 1

    def run(self):
        path = Path(self.env.srcdir) / DATA
        self.env.note_dependency(str(path))
        survey = load(path)
        parts = {"numbers": self.numbers, "designs": self.designs, "table": self.table}
        if self.arguments[0] not in parts:
            raise self.error(f"field-survey: expected one of {', '.join(parts)}, got {self.arguments[0]!r}")
        return parts[self.arguments[0]](survey)

    def words(self, markdown: str) -> list:
        found, messages = self.state.inline_text(markdown, self.lineno)
        return [*found, *messages]

    def numbers(self, survey):
        items = [nodes.list_item("", nodes.paragraph("", "", *self.words(line))) for line in numbers(survey)]
        return [nodes.bullet_list("", *items, bullet="-")]

    def designs(self, survey):
        items = []
        for letter, meaning in survey["designs"].items():
            members = sum(letter in row["designs"] for row in survey["policies"])
            text = f" {meaning} ({members} {'policy' if members == 1 else 'policies'})"
            lead = nodes.strong("", f"{letter}.")
            items.append(nodes.list_item("", nodes.paragraph("", "", lead, *self.words(text))))
        return [nodes.bullet_list("", *items, bullet="-")]

    def table(self, survey):
        designs = "".join(f'<option value="{letter}">{letter}</option>' for letter in survey["designs"])
        table = row_table(
            name="survey",
            label="The survey as a table",
            caption="Policies",
            columns=COLUMNS,
            before=FORM.format(designs=designs, total=len(survey["policies"])),
        )
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / audits.AUDITS))
        self.audited = audits.load(root)
        for policy in survey["policies"]:
            line = table_row(
                ids=[anchor(policy)], data={"status": policy["status"], "designs": " ".join(policy["designs"])}
            )
            for place, (head, text) in enumerate(self.cells(policy)):
                said = table_cell(label=COLUMNS[place], first=place == 0)
                if head:
                    said += nodes.paragraph("", head, classes=["row-head"])
                said += text
                line += said
            table += line
        return [table]

    def cells(self, row):
        def said(group, key, text):
            word = row[group][key]
            how = row[group][text]
            empty = how in ("none", word)
            return SAYS.get((group, word), word.capitalize()), [] if empty else [self.paragraph(how)]

        yield row["policy"], self.origin(row)
        yield ", ".join(row["designs"]), []
        yield said("dims", "loss", "fill")
        yield said("steps", "loss", "fill")
        yield None, [self.paragraph(row["mask"])]
        yield said("normalisation", "by", "how")
        head, how = said("tokens", "attention", "how")
        yield head, [*how, self.paragraph(f"Side: {row['tokens']['side']}")]
        yield said("inference", "padded_dims", "how")
        yield None, [paragraph_of_links(links(row))]

    def paragraph(self, markdown):
        return nodes.paragraph("", "", *self.words(markdown))

    def origin(self, row):
        """Run or read, whose, and which version."""
        words = self.words(f"{{cite}}`{row['cite']}`")
        return [
            nodes.paragraph(
                "", "", status_of(row["status"]), nodes.Text(f" {row['repository']}, {row['version']} "), *words
            ),
            *self.audits_of(row),
        ]

    def audits_of(self, row):
        """What of it ran in an audit, and links to what was found."""
        found = {name: audit for name, audit in self.audited.items() if audit["row"] == row["policy"]}
        if not found:
            return []
        page = self.env.app.builder.get_relative_uri(self.env.docname, "book/audits")
        line = nodes.paragraph("", "Audited: ")
        for place, name in enumerate(found):
            line += [nodes.Text(", ")] if place else []
            line += nodes.reference("", name, refuri=f"{page}#{audits.anchor(name)}", internal=True)
        line += self.words(f". {audits.what_ran(next(iter(found.values())))}.")
        return [line]


FORM = """<form class="survey-form" role="search" aria-label="The survey" hidden>
<div><label for="survey-text">Search the survey</label>
<input id="survey-text" type="search" autocomplete="off" spellcheck="false" aria-describedby="survey-hint"></div>
<div><label for="survey-design">Design</label>
<select id="survey-design"><option value="">all</option>{designs}</select></div>
<div><label for="survey-status">Run or read</label>
<select id="survey-status"><option value="">both</option><option>run</option><option>read</option></select></div>
<button type="reset">Clear</button>
<p id="survey-hint" class="survey-hint">A row is shown if it holds all your words, such as <em>lerobot copies</em>.</p>
<p class="survey-said" role="status">{total} of {total} policies shown.</p>
</form>
"""


def add_front_end(app, pagename, templatename, context, doctree):
    """Only the page with the table loads its script and its style."""
    if doctree is not None and any(table["name"] == "survey" for table in doctree.findall(row_table)):
        app.add_js_file("field_survey.js", defer="defer")
        app.add_css_file("field_survey.css")


def setup(app):
    app.setup_extension("row_table")
    app.add_directive("field-survey", FieldSurvey)
    app.connect("html-page-context", add_front_end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
