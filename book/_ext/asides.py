"""Put a folded cell into the aside that it belongs to, so that a page shows one folded line where it showed two.

An aside is a `<details class="aside">` in Markdown. A cell behind it that is folded as a whole (its tag is `hide-cell`)
computes what the aside says: on the page it is found inside of the aside, at its end. So is a cell with the tag
`in-aside`, whose output is to be seen as soon as the aside is opened.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

OPENS, CLOSES = re.compile(r'<details class="aside">'), re.compile(r"\s*</details>\s*")
MOVED = {"tag_hide-cell", "tag_in-aside"}


def moved_in(section: nodes.Element) -> None:
    """Move the folded cells that follow an aside in front of the end of the aside."""
    end = None
    for node in list(section.children):
        if isinstance(node, nodes.raw) and OPENS.match(node.astext()):
            end = "open"
        elif end == "open" and isinstance(node, nodes.raw) and CLOSES.fullmatch(node.astext()):
            end = node
        elif isinstance(end, nodes.raw) and isinstance(node, nodes.Element) and MOVED & {*node["classes"]}:
            section.remove(node)
            section.insert(section.index(end), node)
        elif end != "open":
            end = None


class Asides(SphinxTransform):
    """Runs when a page is read, behind the parser that made containers of the cells."""

    default_priority = 700

    def apply(self, **kwargs) -> None:
        for section in self.document.findall(nodes.section):
            moved_in(section)


def setup(app):
    app.add_transform(Asides)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
