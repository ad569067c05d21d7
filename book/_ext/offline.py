"""Keep every page to itself: no request to a third party, no console error, from a server and from file://.

Jupyter Book always loads sphinx-thebe, which writes a CDN address into every page (twice, as a `const`, so
that the second one throws). We do not offer thebe, so all that it hooked up is taken away again.
The search page shows summaries by fetching the pages it found, which a browser refuses for file://; there
the results are shown without summaries.
The theme loads the search index on every page, for a search while one types that we do not offer: 57 KB of each page.
Only the search page keeps it.
"""

import re
from pathlib import Path

SEARCH_ON_DISK = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'


def drop_thebe(app, config):
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [(name, how) for name, how in app.registry.css_files if "thebe" not in name]


SEARCH_TOOLS = re.compile(r'\s*<script src="[^"]*\b(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')


def leave_the_index_to_the_search_page(app, exception):
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if page.name != "search.html" and SEARCH_TOOLS.search(text):
            page.write_text(SEARCH_TOOLS.sub("", text), encoding="utf-8")


def setup(app):
    app.add_js_file(None, body=SEARCH_ON_DISK)
    app.connect("config-inited", drop_thebe)
    app.connect("build-finished", leave_the_index_to_the_search_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
