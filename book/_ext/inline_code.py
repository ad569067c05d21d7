"""Say where code in a sentence may break: a short piece nowhere, and a file name behind a slash or an underscore."""

import re

from docutils import nodes

SHORT = 16
"""Up to so many characters, a piece of code stays on one line."""


def parts_of(code: str) -> list[str]:
    """The parts of a name between which a line may break, each with the slashes or underscores that end it."""
    return re.findall(r"[^/_]*[/_]+|[^/_]+", code)


def break_well(app, doctree):
    for literal in [*doctree.findall(nodes.literal)]:
        code = literal.astext()
        if len(code) <= SHORT:
            literal["classes"].append("unbroken")
        # The title of a page is also a name in lists, where it has no tags.
        elif " " not in code and not isinstance(literal.parent, nodes.title) and len(parts := parts_of(code)) > 1:
            literal.clear()
            literal += nodes.Text(parts[0])
            for part in parts[1:]:
                literal += [nodes.raw("", "<wbr>", format="html"), nodes.Text(part)]


def setup(app):
    app.connect("doctree-read", break_well, priority=900)  # behind those that make code, as `margin_notes` does
    return {"parallel_read_safe": True, "parallel_write_safe": True}
