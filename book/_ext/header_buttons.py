"""The buttons above a page: they need no inline script, and one leads to the whole book as a PDF, where there is one.

The theme's own "PDF" button calls `window.print()` from an attribute, which a strict Content-Security-Policy refuses;
the browser prints without it. `make pdf` writes _build/book.pdf, and a build that finds it there puts it on the site.
"""

import shutil

PDF = "book.pdf"


def look_for_pdf(app, config):
    config.book_has_pdf = (app.srcdir / "_build" / PDF).is_file()


def arrange(app, pagename, templatename, context, doctree):
    for group in context.get("header_buttons", []):
        if group["type"] != "group":
            continue
        group["buttons"] = [button for button in group["buttons"] if button["type"] != "javascript"]
        if group["label"] == "download-buttons" and app.config.book_has_pdf:
            address, tooltip = context["pathto"](PDF, 1), "Download the whole book"
            link = {"type": "link", "url": address, "text": "whole book, .pdf", "tooltip": tooltip}
            group["buttons"].append({**link, "icon": "fas fa-file-pdf", "label": "download-book-button"})


def copy_pdf(app, exception):
    if exception is None and app.builder.format == "html" and app.config.book_has_pdf:
        shutil.copy2(app.srcdir / "_build" / PDF, app.outdir / PDF)


def setup(app):
    app.add_config_value("book_has_pdf", False, "html")
    app.connect("config-inited", look_for_pdf)
    app.connect("html-page-context", arrange, priority=900)  # after the theme's
    app.connect("build-finished", copy_pdf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
