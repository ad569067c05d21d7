"""Keep every page to itself: no request to a third party, no console error, from a server and from file://.

Jupyter Book always loads sphinx-thebe, which writes a CDN address into every page (twice, as a `const`, so
that the second one throws). We do not offer thebe, so all that it hooked up is taken away again.
The search page shows summaries by fetching the pages it found, which a browser refuses for file://; there
the results are shown without summaries.
"""

SEARCH_ON_DISK = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'


def drop_thebe(app, config):
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [(name, how) for name, how in app.registry.css_files if "thebe" not in name]


def setup(app):
    app.add_js_file(None, body=SEARCH_ON_DISK)
    app.connect("config-inited", drop_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
