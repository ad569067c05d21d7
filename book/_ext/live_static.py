"""Put the live pictures on the pages: the engine and every picture's module become one classic script."""

import hashlib
import importlib.util

from sphinx.errors import ExtensionError

STYLE = "live.css"  # what it shares with the other widgets is in look.css, controls.css and sheet.css


def join_modules(app, config):
    library = app.srcdir / "groot_teach"
    spec = importlib.util.spec_from_file_location("es_modules", library / "show" / "es_modules.py")
    es_modules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(es_modules)
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in sorted(library.glob("chapters/*/*.js"))}
    try:
        script = es_modules.as_script((library / "show" / "live.js").read_text(encoding="utf-8"), pictures)
    except ValueError as error:
        raise ExtensionError(f"live pictures: {error}") from error
    app.live_files = {"live.js": script, STYLE: (library / "show" / STYLE).read_text(encoding="utf-8")}
    # Pages name these files with a checksum: a changed picture must rewrite every page.
    config.live_digest = hashlib.sha256("".join(app.live_files.values()).encode()).hexdigest()


def write_files(app):
    if app.builder.format == "html":
        (app.outdir / "_static").mkdir(parents=True, exist_ok=True)
        for name, text in app.live_files.items():
            (app.outdir / "_static" / name).write_text(text, encoding="utf-8")


def setup(app):
    app.add_config_value("live_digest", "", "html")
    app.add_js_file("live.js", defer="defer")
    app.add_css_file(STYLE)
    app.connect("config-inited", join_modules)
    app.connect("builder-inited", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
