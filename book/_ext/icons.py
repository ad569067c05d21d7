"""Ship the icons that the book shows, and no others.

The theme brings Font Awesome whole: 1,400 style rules and 300 kB of fonts, which is more than all the rest of a
page, for some twenty icons. After the build this leaves the rules of icons named in a page or a script, and cuts
the fonts down to the characters that the style sheets still mention.
"""

import re

from fontTools import subset
from sphinx.util import logging

ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\\w+ ?"\}')
CHARACTER = re.compile(r'"\\u?([ef][0-9a-f]{3})"')


def lean_style(css: str, used: set[str]) -> str:
    """The style sheet without the rules for icons that are not in `used`."""
    return ICON_RULE.sub(lambda rule: rule[0] if used & set(re.findall(r"\.(fa-[\w-]+)", rule[1])) else "", css)


def characters(css: str) -> set[int]:
    return {int(code, 16) for code in CHARACTER.findall(css)} | {
        ord(char) for char in css if "\ue000" <= char <= "\uf8ff"
    }


def lean_font(path, wanted: set[int]) -> None:
    options = subset.Options(flavor="woff2", notdef_outline=True)
    font = subset.load_font(str(path), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=wanted)
    cutter.subset(font)
    subset.save_font(font, str(path), options)


def make_lean(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    named = [*app.outdir.rglob("*.html"), *(app.outdir / "_static").rglob("*.js")]
    used = {name for path in named for name in re.findall(r"fa-[\w-]+", path.read_text(encoding="utf-8"))}
    wanted = set()
    for path in (app.outdir / "_static").rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        if (lean := lean_style(style, used)) != style:
            path.write_text(lean, encoding="utf-8")
        wanted |= characters(lean)
    for path in (app.outdir / "_static").rglob("fa-*.woff2"):
        lean_font(path, wanted)


def setup(app):
    logging.getLogger("fontTools").logger.setLevel("ERROR")
    app.connect("build-finished", make_lean)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
