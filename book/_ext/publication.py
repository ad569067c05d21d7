"""Say on each page which version of the book it is and of which day, and where the book is published, if that is known.

The site's address is written nowhere in the book. It comes from BOOK_SITE_URL, which the workflow that publishes sets.
With an address there are canonical links and a sitemap; without one, no page says an address and there is no sitemap.
The page for addresses that lead nowhere asks for its files from the root of the host, for it is shown at any depth.

The day is that of the last commit, so that one commit gives the same bytes whenever it is built. SOURCE_DATE_EPOCH
comes before it, and where there is neither it is today.
"""

import os
import re
import subprocess
import time
from urllib.parse import urlparse

LOST = """<h1>This page is not here</h1>
<p>The address may have a letter wrong, or the page has moved.
<a href="{root}">The book begins here</a>, and <a href="{root}search.html">the search</a> looks through all of it.</p>
"""
OWN_ADDRESS = re.compile(r'<meta property="og:url"[^>]*>\n?')


def site_url(environ) -> str:
    """The address under which the site is published, with a slash at its end, or "" if that is unknown."""
    address = environ.get("BOOK_SITE_URL", "").rstrip("/")
    return f"{address}/" if address else ""


def day_of(environ, folder) -> time.struct_time:
    if "SOURCE_DATE_EPOCH" not in environ:
        command = ["git", "-C", str(folder), "log", "-1", "--format=%ct"]
        try:
            seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return time.gmtime()
        environ["SOURCE_DATE_EPOCH"] = seconds  # Sphinx and fontTools write times into what they make, too
    return time.gmtime(int(environ["SOURCE_DATE_EPOCH"]))


def version_of(folder) -> str:
    """The library's version, read without importing it."""
    source = (folder / "groot_teach" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]


def configure(app, config):
    version, day, address = version_of(app.srcdir), day_of(os.environ, app.srcdir), site_url(os.environ)
    config.project, config.version, config.release = config.html_title, version, version
    words = f"{day.tm_mday} {time.strftime('%B %Y', day)}"
    config.html_theme_options["extra_footer"] = (
        f'<p>Version {version}, <time datetime="{time.strftime("%Y-%m-%d", day)}">{words}</time></p>'
    )
    config.html_baseurl = config.ogp_site_url = address
    if address:
        config.sitemap_url_scheme, config.sitemap_excludes = "{link}", ["404.html", "search.html"]
    root = urlparse(address).path or "/"
    config.notfound_urls_prefix = root
    config.notfound_context = {"title": "Page not found", "body": LOST.format(root=root)}


def tidy_tags(app, pagename, templatename, context, doctree):
    """What sphinxext-opengraph gets wrong: half an address where the site's is unknown, and two commas after a list."""
    if doctree is not None:
        tags = context["metatags"].replace(",,", ",")
        context["metatags"] = tags if app.config.ogp_site_url else OWN_ADDRESS.sub("", tags)


def setup(app):
    app.setup_extension("sphinxext.opengraph")
    app.setup_extension("notfound.extension")
    if site_url(os.environ):
        app.setup_extension("sphinx_sitemap")  # without an address it would warn
    app.connect("config-inited", configure, priority=400)  # notfound checks its settings at 500
    app.connect("html-page-context", tidy_tags, priority=600)  # after sphinxext-opengraph
    return {"parallel_read_safe": True, "parallel_write_safe": True}
