"""Put the front ends of widgets and live pictures on the pages, so that they work there without a kernel.

`explore.js`, `live.js` and the module of each live picture are ES modules, as anywidget wants them. Browsers load no ES
module from file://, so the site gets the same sources as two classic scripts. The library is not imported: the book is
built without it.
"""

import hashlib
import importlib.util
import re

from sphinx.errors import ExtensionError

STYLES = ("look.css", "controls.css", "sheet.css", "tables.css", "explore.css", "live.css")
SCRIPTS = ("explore.js", "live.js")
EXPORT = re.compile(r"^export default \{ render \};[^\S\n]*$", re.MULTILINE)
HYDRATE = 'for (const el of document.querySelectorAll(".explore")) hydrate(el);'


def classic_script(module: str) -> str:
    """`explore.js` as a script without imports or exports, which starts each widget of the page.

    Raises:
        ExtensionError: its export line is not there once, or other imports or exports are.
    """
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


def live_script(library) -> str:
    """The engine of the live pictures and all of their modules as one script.

    Raises:
        ExtensionError: a module has other imports or exports than a live picture has.
    """
    spec = importlib.util.spec_from_file_location("es_modules", library / "show" / "es_modules.py")
    es_modules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(es_modules)
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in sorted(library.glob("chapters/*/*.js"))}
    try:
        return es_modules.as_script((library / "show" / "live.js").read_text(encoding="utf-8"), pictures)
    except ValueError as error:
        raise ExtensionError(f"live pictures: {error}") from error


def read_front_ends(app, config):
    library = app.srcdir / "groot_teach"
    app.front_ends = {name: (library / "show" / name).read_text(encoding="utf-8") for name in STYLES}
    app.front_ends["explore.js"] = classic_script((library / "show" / "explore.js").read_text(encoding="utf-8"))
    app.front_ends["live.js"] = live_script(library)
    # Pages name these files with a checksum: a changed front end must rewrite every page.
    config.front_ends_digest = hashlib.sha256("".join(app.front_ends.values()).encode()).hexdigest()


def write_front_ends(app):
    if app.builder.format == "html":
        (app.outdir / "_static").mkdir(parents=True, exist_ok=True)
        for name, text in app.front_ends.items():
            (app.outdir / "_static" / name).write_text(text, encoding="utf-8")


def setup(app):
    app.add_config_value("front_ends_digest", "", "html")
    for name in SCRIPTS:
        app.add_js_file(name, defer="defer")
    for name in STYLES:
        app.add_css_file(name)
    app.connect("config-inited", read_front_ends)
    app.connect("builder-inited", write_front_ends)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
