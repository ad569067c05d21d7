"""Write the number of a chapter above its title, as "Chapter 3", and not as "3." before its first word."""

import re

NUMBER = re.compile(r'(<h1><span class="section-number">)(\d+)\. (</span>)')


def label(body: str) -> str:
    return NUMBER.sub(r"\1Chapter \2 \3", body)


def label_page(app, pagename, templatename, context, doctree):
    if doctree is not None:
        context["body"] = label(context["body"])


def setup(app):
    app.connect("html-page-context", label_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
