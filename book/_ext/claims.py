"""Make the page of the note's claims: the table, the verdicts and their counts.

`book/claims.yml` says what is claimed, why the verdict is what it is and where it is shown. `book/claims.json` says
what our checks found, and is written by `python -m evidence claims` alone: for a claim that was run, the verdict is
there and nowhere else. A claim that could only be read has its verdict in the first file, with the lines we read.

The directive `claims` takes one word for what to show: `numbers`, `verdicts` or `table`. A claim that is missing,
unknown or shown nowhere stops the build and is named.
"""

import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from row_table import paragraph_of_links, pinned_links, row_table, status_of, table_cell, table_row
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

CLAIMS = "book/claims.yml"
RESULTS = "book/claims.json"
HOW_MANY = 26

VERDICTS = {
    "holds": "What it says is what we found.",
    "holds in part": "One part of it is what we found and another is not, or one version and not the next.",
    "wrong": "We found something else.",
    "empty": "It is true, and would be as true without the mask; so it says nothing about the mask.",
    "unproven": "Nothing that we ran speaks for it, and a small head cannot rule it out for GR00T.",
    "missing": "The note does not speak of it, and it changes the result.",
}
"""The closed list of verdicts, in the order of the page."""

PLAIN = ("number", "claim", "section", "why", "status", "shown")
READ = ("verdict", "repository", "commit", "files")
COLUMNS = ("Claim", "Verdict", "Why, and what we measured", "Shown in")


# ------------------------------------------------------------------------------------------------- reading the files


def faults_of_claim(claim: dict, results: dict) -> list[str]:
    status, faults = claim.get("status"), []
    if status not in ("run", "read"):
        return [f"status must be run or read, and is {status!r}"]
    wanted = {*PLAIN, *(READ if status == "read" else ())}
    if set(claim) != wanted:
        faults.append(f"has the fields {sorted(set(claim) ^ wanted)} too much or too little")
    for name in ("claim", "section", "why"):
        if not (isinstance(claim.get(name), str) and claim[name].strip()):
            faults.append(f"{name} must be text, and is {claim.get(name)!r}")
    result = results.get(str(claim.get("number")))
    if status == "run":
        faults += ["was run, and has no result"] if result is None else faults_of_result(result)
        if not claim.get("shown"):
            faults.append("must be shown in at least one section of a chapter")
    else:
        if result is not None:
            faults.append("was only read, and has a result")
        if claim.get("verdict") not in VERDICTS:
            faults.append(f"verdict must be one of {', '.join(VERDICTS)}, and is {claim.get('verdict')!r}")
        if not re.fullmatch(r"[0-9a-f]{40}", str(claim.get("commit"))):
            faults.append(f"commit must be 40 hex digits, and is {claim.get('commit')!r}")
        if not claim.get("files"):
            faults.append("files must name at least one file")
    return faults


def faults_of_result(result: dict) -> list[str]:
    faults = []
    for name, verdict in (("verdict", result["verdict"]), ("other verdict", result["otherwise"]["verdict"])):
        if verdict not in VERDICTS:
            faults.append(f"{name} must be one of {', '.join(VERDICTS)}, and is {verdict!r}")
    if result["verdict"] == result["otherwise"]["verdict"]:
        faults.append(f"is {result['verdict']!r} in its other world as well, so its check may be unable to fail")
    if not result["figures"]:
        faults.append("has a verdict without a figure")
    return faults


def check(claims: list[dict], results: dict) -> list[dict]:
    """The claims with their results under `result`; ExtensionError names each one that breaks a rule."""
    numbers = [claim.get("number") for claim in claims]
    faults = [f"claim {number} is missing" for number in range(1, HOW_MANY + 1) if number not in numbers]
    for place, number in enumerate(numbers):
        if number not in range(1, HOW_MANY + 1):
            faults.append(f"claim {number} is unknown: the note's claims have the numbers 1 to {HOW_MANY}")
        elif number in numbers[:place]:
            faults.append(f"claim {number} stands there twice")
    faults += [f"claim {number} has a result and is unknown" for number in results if int(number) not in numbers]
    for claim in claims:
        faults += [f"claim {claim.get('number')} {fault}" for fault in faults_of_claim(claim, results)]
    if faults:
        raise ExtensionError("\n".join([f"{CLAIMS}, {RESULTS}:", *faults]))
    return [{**claim, "result": results.get(str(claim["number"]))} for claim in claims]


def load(root: Path) -> list[dict]:
    claims = yaml.safe_load((root / CLAIMS).read_text(encoding="utf-8"))
    return check(claims, json.loads((root / RESULTS).read_text(encoding="utf-8")))


def verdict_of(claim: dict) -> str:
    return claim["result"]["verdict"] if claim["status"] == "run" else claim["verdict"]


def anchor(claim: dict) -> str:
    return f"claim-{claim['number']}"


# ---------------------------------------------------------------------------------------------------------- the page


class shown_in(nodes.General, nodes.Element):
    """A link to a section, until all chapters have been read. Attributes: `chapter`, `section`, `number`."""


class Claims(SphinxDirective):
    required_arguments = 1

    def run(self):
        root = Path(self.env.srcdir)
        for file in (CLAIMS, RESULTS):
            self.env.note_dependency(str(root / file))
        claims = load(root)
        parts = {"numbers": self.numbers, "verdicts": self.verdicts, "table": self.table}
        if self.arguments[0] not in parts:
            raise self.error(f"claims: expected one of {', '.join(parts)}, got {self.arguments[0]!r}")
        return parts[self.arguments[0]](claims)

    def words(self, markdown: str) -> list:
        found, messages = self.state.inline_text(markdown, self.lineno)
        return [*found, *messages]

    def paragraph(self, markdown: str, *classes: str) -> nodes.paragraph:
        return nodes.paragraph("", "", *self.words(markdown), classes=[*classes])

    def numbers(self, claims):
        """How many claims there are, and for each verdict how many and which."""
        run = sum(claim["status"] == "run" for claim in claims)
        first = nodes.paragraph("", f"{len(claims)} claims: {run} run, {len(claims) - run} only read.")
        items = []
        for verdict in VERDICTS:
            having = [claim for claim in claims if verdict_of(claim) == verdict]
            line = nodes.paragraph("", "", nodes.strong("", f"{verdict.capitalize()}:"), nodes.Text(f" {len(having)}"))
            for place, claim in enumerate(having):
                line += nodes.Text(" (" if place == 0 else ", ")
                line += nodes.reference("", str(claim["number"]), refuri=f"#{anchor(claim)}", internal=True)
            line += nodes.Text(")." if having else ".")
            items.append(nodes.list_item("", line))
        return [first, nodes.bullet_list("", *items, bullet="-")]

    def verdicts(self, claims):
        """What each verdict means."""
        items = [
            nodes.definition_list_item(
                "", nodes.term("", verdict.capitalize()), nodes.definition("", nodes.paragraph("", meaning))
            )
            for verdict, meaning in VERDICTS.items()
        ]
        return [nodes.definition_list("", *items)]

    def table(self, claims):
        table = row_table(name="claims", label="The claims as a table", caption="Claims", columns=COLUMNS)
        for claim in claims:
            for place in claim["shown"]:
                self.env.note_dependency(str(self.env.doc2path(f"notebooks/{place['chapter']}")))
            line = table_row(ids=[anchor(claim)], data={"status": claim["status"], "verdict": verdict_of(claim)})
            for place, content in enumerate(self.cells(claim)):
                said = table_cell(label=COLUMNS[place], first=place == 0)
                said += content
                line += said
            table += line
        return [table]

    def cells(self, claim):
        result = claim["result"]
        yield [
            self.paragraph(f"{claim['number']}. {claim['claim']}", "row-head"),
            self.paragraph(claim["section"], "claims-small"),
        ]
        verdict = verdict_of(claim)
        badge = nodes.inline("", verdict.capitalize(), classes=["claims-verdict"])
        status = nodes.paragraph("", "", status_of(claim["status"]))
        if claim["status"] == "read":
            status += nodes.Text(" not run")
        yield [nodes.paragraph("", "", badge), status]
        why = [self.paragraph(claim["why"])]
        if result:
            why += [self.figures(result["figures"])]
            other = f"With {result['otherwise']['with']}: {result['otherwise']['verdict']}."
            why += [nodes.paragraph("", other, classes=["claims-small"])]
        yield why
        yield self.places(claim)

    def figures(self, figures):
        items = []
        for name, value in figures.items():
            line = nodes.paragraph("", "", nodes.Text(f"{name}: "), nodes.strong("", value))
            items.append(nodes.list_item("", line))
        return nodes.bullet_list("", *items, bullet="-", classes=["claims-figures"])

    def places(self, claim):
        shown = [shown_in(number=claim["number"], **place) for place in claim["shown"]]
        found = [nodes.paragraph("", "", place) for place in shown]
        if claim["result"]:
            name = nodes.literal("", claim["result"]["check"])
            found.append(nodes.paragraph("", "", nodes.Text("Check: "), name, classes=["claims-small"]))
        else:
            found.append(paragraph_of_links(pinned_links(claim["repository"], claim["commit"], claim["files"])))
        return found


def section_id(doctree: nodes.document, title: str) -> str | None:
    for section in doctree.findall(nodes.section):
        if section.next_node(nodes.title).astext().replace("’", "'") == title:
            return section["ids"][0]
    return None


def link_to_chapters(app, doctree, docname):
    """When all pages are read, each `shown_in` becomes a link; a section that is not there stops the build."""
    faults = []
    for place in [*doctree.findall(shown_in)]:
        page, section = f"notebooks/{place['chapter']}", place["section"]
        found = section_id(app.env.get_doctree(page), section) if page in app.env.found_docs else None
        if found is None:
            faults.append(f"claim {place['number']} is shown in {page}, {section!r}: there is no such section")
            continue
        text = f"Chapter {int(place['chapter'][:2])}, {section}"
        address = app.builder.get_relative_uri(docname, page) + f"#{found}"
        place.replace_self(nodes.reference("", text, refuri=address, internal=True))
    if faults:
        raise ExtensionError("\n".join([f"{CLAIMS}:", *faults]))


def add_style(app, pagename, templatename, context, doctree):
    if doctree is not None and any(table["name"] == "claims" for table in doctree.findall(row_table)):
        app.add_css_file("claims.css")


def setup(app):
    app.setup_extension("row_table")
    app.add_node(shown_in)
    app.add_directive("claims", Claims)
    app.connect("doctree-resolved", link_to_chapters)
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
