"""Builds a small book in a folder, with Sphinx itself, in this process."""

from io import StringIO
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace


def build_small_book(root: Path) -> tuple[Sphinx, str]:
    """Builds the book of `root`, whose `conf.py` stands there, to HTML in `root / "out"`.

    Sphinx registers its nodes with docutils for the whole process. Here they are taken out again, so that the next
    book does not warn of nodes that are registered already. Sphinx also adds the file types of an extension to the
    default value of `source_suffix`, which all later applications share: here each is given a value of its own.

    Returns:
        The application, and what it warned of.
    """
    warnings = StringIO()
    with docutils_namespace():
        own = {"source_suffix": {".rst": "restructuredtext"}}
        app = Sphinx(root, root, root / "out", root / "doctrees", "html", own, status=None, warning=warnings)
        app.build()
    return app, warnings.getvalue()
