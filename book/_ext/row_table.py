"""Tables with much text in their cells: the frame scrolls by keyboard, and on a phone each row is a card.

Pages that make such a table put a `row_table` into their document, `table_row`s in it, and `table_cell`s in these. Its
style is `book/_static/row_table.css`, which only pages with such a table load. It needs no script.
"""

from docutils import nodes


class row_table(nodes.General, nodes.Element):
    """Attributes: `name` for its CSS classes; `label` of the frame; `caption`; `columns`; maybe `before`, as HTML."""


class table_row(nodes.General, nodes.Element):
    """Attributes: `ids`, with one anchor; `data`, a dict of what scripts and styles may ask for."""


class table_cell(nodes.General, nodes.Element):
    """Attributes: `label`, the name of its column, which a card shows; `first`, True = it names the row."""


def pinned_links(repository: str, commit: str, files: dict) -> list[tuple[str, str]]:
    """Address and text of each place in somebody's code that was read: one link for each range of lines.

    `files` maps a path to its lines, such as "12, 30-34", or to None for the whole file.
    """
    base = f"https://github.com/{repository}/blob/{commit}"
    found = []
    for path, lines in files.items():
        name = path.rsplit("/", 1)[-1]
        if lines is None:
            found.append((f"{base}/{path}", name))
        for place, span in enumerate(str(lines).split(", ") if lines is not None else ()):
            first, _, last = span.partition("-")
            found.append(
                (f"{base}/{path}#L{first}" + (f"-L{last}" if last else ""), f"{name} {span}" if not place else span)
            )
    return found


def paragraph_of_links(links: list[tuple[str, str]]) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "")
    for address, text in links:
        if paragraph.children:
            paragraph += nodes.Text(", ")
        paragraph += nodes.reference("", text, refuri=address, internal=False)
    return paragraph


def status_of(word: str) -> nodes.inline:
    """The badge that says run or read."""
    return nodes.inline("", word, classes=["row-status", f"row-{word}"])


def visit_table(self, node):
    heads = "".join(f'<th role="columnheader" scope="col">{self.encode(column)}</th>' for column in node["columns"])
    name, label, caption = node["name"], self.attval(node["label"]), self.attval(node["caption"])
    self.body.append(f'<div class="{name} full-width">\n{node.get("before", "")}')
    self.body.append(f'<div class="row-scroll {name}-scroll" role="region" aria-label="{label}" tabindex="0">\n')
    self.body.append(f'<table class="row-table {name}-table" role="table" aria-label="{caption}">\n')
    self.body.append(f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n<tbody role="rowgroup">\n')


def depart_table(self, node):
    self.body.append("</tbody></table>\n</div>\n</div>\n")


def visit_row(self, node):
    data = "".join(f' data-{name}="{self.attval(value)}"' for name, value in node["data"].items())
    self.body.append(f'<tr role="row" id="{node["ids"][0]}"{data}>\n')


def depart_row(self, node):
    self.body.append("</tr>\n")


def visit_cell(self, node):
    label = self.attval(node["label"])
    kind = 'th role="rowheader" scope="row"' if node["first"] else 'td role="cell"'
    self.body.append(f'<{kind} data-label="{label}">')


def depart_cell(self, node):
    self.body.append("</th>\n" if node["first"] else "</td>\n")


def add_style(app, pagename, templatename, context, doctree):
    if doctree is not None and any(doctree.findall(row_table)):
        app.add_css_file("row_table.css")


def setup(app):
    app.add_node(row_table, html=(visit_table, depart_table))
    app.add_node(table_row, html=(visit_row, depart_row))
    app.add_node(table_cell, html=(visit_cell, depart_cell))
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
