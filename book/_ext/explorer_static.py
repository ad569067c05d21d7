"""Put the widgets' own front end on the pages, so that `explore` works there without a kernel.

`explore.js` is an ES module, as anywidget wants it. Browsers load no ES module from file://, so the site gets
the same source as one classic script: its export line gives way to a call of `hydrate` for each widget on the page.
"""

import hashlib
import re

from sphinx.errors import ExtensionError

# Of groot_teach/show, which is not imported: the book builds without it.
STYLES = ("look.css", "controls.css", "sheet.css", "tables.css", "explore.css")
EXPORT = re.compile(r"^export default \{ render \};[^\S\n]*$", re.MULTILINE)
HYDRATE = 'for (const el of document.querySelectorAll(".explore")) hydrate(el);'


def classic_script(module: str) -> str:
    """The module's source as a script without imports or exports; ExtensionError if that cannot be."""
    script, found = EXPORT.subn(HYDRATE, module)
    if found != 1:
        raise ExtensionError(
            f"explore.js: expected the line `export default {{ render }};` once, found it {found} times"
        )
    if other := re.search(r"^(import|export)\b.*", script, re.MULTILINE):
        raise ExtensionError(f"explore.js: a classic script cannot hold {other.group()!r}")
    if "function hydrate(" not in script:
        raise ExtensionError("explore.js: no function `hydrate`, which draws a widget on a page without a kernel")
    return f'(() => {{\n"use strict";\n{script}}})();\n'


def read_front_end(app, config):
    source = app.srcdir / "groot_teach" / "show"
    app.front_end = {"explore.js": classic_script((source / "explore.js").read_text(encoding="utf-8"))}
    app.front_end |= {name: (source / name).read_text(encoding="utf-8") for name in STYLES}
    # Pages name these files with a checksum: a changed front end must rewrite every page.
    config.explore_digest = hashlib.sha256("".join(app.front_end.values()).encode()).hexdigest()


def write_front_end(app):
    if app.builder.format == "html":
        (app.outdir / "_static").mkdir(parents=True, exist_ok=True)
        for name, text in app.front_end.items():
            (app.outdir / "_static" / name).write_text(text, encoding="utf-8")


def setup(app):
    app.add_config_value("explore_digest", "", "html")
    app.add_js_file("explore.js", defer="defer")
    for name in STYLES:
        app.add_css_file(name)
    app.connect("config-inited", read_front_end)
    app.connect("builder-inited", write_front_end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
