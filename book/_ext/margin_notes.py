"""Turn a citation into a number in the sentence and a note beside the paragraph.

In Markdown a citation is a link whose text is only what we did with the source: `[ran](https://...)` or
`[read](https://...)`. In a notebook that is a small link. On the page each becomes a number; the note says what was run
or read, and stands in the right margin, or below the paragraph where the screen is narrow. Citations that follow each
other share a number. In a table there is no margin, so there the note is written out in the cell.

What a note says comes from `sources`; a mark that differs from it, or a source that it does not have, stops the build.
"""

from collections.abc import Iterator

from docutils import nodes
from row_table import table_cell
from sources import MARKS, REFERENCES, SOURCES, Source, SourceError, fault, lines_of, load
from sphinx.errors import ExtensionError


class noted(nodes.General, nodes.Element):
    """A paragraph with the notes to it."""


class margin_note(nodes.General, nodes.Element):
    """A note. Attribute: `number`."""


class note_ref(nodes.Inline, nodes.Element):
    """The number in the sentence. Attribute: `number`."""


class source_mark(nodes.Inline, nodes.Element):
    """The word ran or read. Attributes: `mark`, and `means`, the same in words."""


def is_citation(node: nodes.Node) -> bool:
    return isinstance(node, nodes.reference) and node.astext() in MARKS and "://" in node.get("refuri", "")


def groups_of(parent: nodes.Element) -> Iterator[list[nodes.reference]]:
    """The citations among the children; those that only white space divides are one group."""
    group: list[nodes.reference] = []
    for child in [*parent.children]:
        if is_citation(child):
            group.append(child)
        elif group and not (isinstance(child, nodes.Text) and not child.strip()):
            yield group
            group = []
    if group:
        yield group


def written_out(citation: nodes.reference, source: Source, *, titled: bool) -> nodes.inline:
    """Mark, name and link, and the title of a thread or a paper where there is room: what a note says of one source."""
    mark = citation.astext()
    line = nodes.inline("", "", source_mark(mark=mark, means=source.means(mark)), classes=["note-source"])
    link = nodes.reference("", "", refuri=citation["refuri"], internal=False)
    if source.file:
        lines = lines_of(citation["refuri"])
        line += nodes.Text(f"{source.name}, ")
        link += nodes.literal("", source.file)
        link += [nodes.Text(" "), nodes.inline("", lines, classes=["note-lines"])] if lines else []
    else:
        link += nodes.Text(source.name)
    line += link
    if source.title and titled:
        line += nodes.Text(f": {source.title}")
    return line


def cut_space_before(node: nodes.Node) -> None:
    """The number follows the word or the full stop without a space."""
    before = node.parent.children[node.parent.index(node) - 1] if node.parent.index(node) else None
    if isinstance(before, nodes.Text):
        node.parent.replace(before, nodes.Text(before.rstrip()))


def put_beside(group: list[nodes.reference], lines: list[nodes.inline], number: int) -> None:
    paragraph = group[0].parent
    while not isinstance(paragraph, nodes.paragraph):
        paragraph = paragraph.parent
    cut_space_before(group[0])
    for citation in group[1:]:
        cut_space_before(citation)
        citation.parent.remove(citation)
    group[0].replace_self(note_ref(number=number))
    if not isinstance(paragraph.parent, noted):
        frame = noted()
        paragraph.replace_self(frame)
        frame += paragraph
    note = margin_note(number=number)
    note += lines
    paragraph.parent += note


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while node := node.parent:
        yield node


def make_notes(app, doctree) -> None:
    page, faults, number = app.env.docname, [], 0
    parents = dict.fromkeys(citation.parent for citation in doctree.findall(is_citation))
    for group in [group for parent in parents for group in groups_of(parent)]:
        marks = [(citation.astext(), citation["refuri"]) for citation in group]
        wrong = [found for mark, address in marks if (found := fault(app.cited_sources, mark, address))]
        around = [*ancestors(group[0])]
        in_table = any(isinstance(node, (nodes.entry, table_cell)) for node in around)
        if not in_table and not any(isinstance(node, nodes.paragraph) for node in around):
            wrong.append(f"[{marks[0][0]}]({marks[0][1]}) stands in no paragraph, expected one or the cell of a table")
        faults += wrong
        if wrong:
            continue
        sources = [app.cited_sources[citation["refuri"].partition("#")[0]] for citation in group]
        lines = [
            written_out(citation, source, titled=not in_table) for citation, source in zip(group, sources, strict=True)
        ]
        if in_table:
            for citation, line in zip(group, lines, strict=True):
                line["classes"] += ["note-of-several"] if len(group) > 1 else []
                citation.replace_self(line)
        else:
            number += 1
            put_beside(group, lines, number)
    if faults:
        raise ExtensionError("\n".join(f"{page}: {found}" for found in faults))


def read_sources(app, env, docnames) -> None:
    try:
        app.cited_sources = load(env.srcdir)
    except SourceError as error:
        raise ExtensionError(str(error)) from error


def note_dependencies(app, docname, source) -> None:
    """A page is made anew when what it cites changes."""
    if any(f"[{mark}](" in source[0] for mark in MARKS):
        for file in (SOURCES, REFERENCES):
            app.env.note_dependency(str(app.env.srcdir / file))


# ---------------------------------------------------------------------------------------------------------------- HTML


def visit_noted(self, node):
    self.body.append('<div class="noted">\n')


def depart_noted(self, node):
    self.body.append("</div>\n")


def visit_note(self, node):
    number = node["number"]
    # The theme moves its contents out of the way of everything with the class `margin`.
    self.body.append(f'<aside class="margin-note margin" role="note" id="margin-note-{number}">')
    label = f"back to the text, from note {number}"
    self.body.append(f'<a class="note-number" href="#note-ref-{number}" aria-label="{label}">{number}</a> ')


def depart_note(self, node):
    self.body.append("</aside>\n")


def visit_ref(self, node):
    number = node["number"]
    self.body.append(f'<sup class="note-ref" id="note-ref-{number}">')
    self.body.append(f'<a href="#margin-note-{number}" aria-label="note {number}">{number}</a></sup>')


def visit_mark(self, node):
    mark, means = node["mark"], self.attval(node["means"])
    hidden = f'<span class="visually-hidden">: {means}</span>'
    self.body.append(f'<span class="mark {mark}" title="{means}">{mark}{hidden}</span> ')


def nothing(self, node):
    pass


def add_style(app, pagename, templatename, context, doctree):
    if doctree is not None and any(doctree.findall(source_mark)):
        app.add_css_file("margin_notes.css")


def setup(app):
    app.setup_extension("row_table")
    app.add_node(noted, html=(visit_noted, depart_noted))
    app.add_node(margin_note, html=(visit_note, depart_note))
    app.add_node(note_ref, html=(visit_ref, nothing))
    app.add_node(source_mark, html=(visit_mark, nothing))
    app.connect("env-before-read-docs", read_sources)
    app.connect("source-read", note_dependencies)
    app.connect("doctree-read", make_notes)
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
