"""Give each page a description for search engines and link previews: its first paragraph of some length, cut at a word.

A page that writes its own (`html_meta` in its front matter) keeps it.
"""

import html
import textwrap

from docutils import nodes

SHORTEST = 60  # "You will be able to:" describes no page


def first_paragraph(doctree) -> str:
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) >= SHORTEST and isinstance(paragraph.parent, nodes.section):
            return textwrap.shorten(text, 160, placeholder=" …")
    return ""


def add_description(app, pagename, templatename, context, doctree):
    metatags = context.get("metatags", "")
    if doctree is not None and 'name="description"' not in metatags and (text := first_paragraph(doctree)):
        context["metatags"] = f'{metatags}<meta name="description" content="{html.escape(text)}" />\n'


def setup(app):
    app.connect("html-page-context", add_description)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
