"""Give the site its own typefaces, cut down to the characters that it shows.

Two pinned packages bring Source Sans and Source Serif whole, some 290 kB a face. After the build each face keeps the
characters that pages, scripts and style sheets hold and is written as WOFF2, 8 to 13 kB. Their licence, the SIL Open
Font License 1.1, allows this on two conditions: the licence goes along, and a face that was changed does not bear the
name "Source". On our pages they are therefore called Book Sans and Book Serif; look.css names them first.
"""

import html
import re
from importlib.resources import files
from typing import NamedTuple

from fontTools import subset

ESCAPED = re.compile(r"\\u?([0-9a-fA-F]{4})\b")
USE_MY_METRICS = 0x200
"""The flag by which a glyph that is made of others takes the width of one of these."""
FEATURES = ["ccmp", "kern", "liga", "locl", "mark", "mkmk", "tnum"]
# The first screen needs these: they are asked for before the style sheets are read. A browser refuses it for file://.
ASK_EARLY = """if (location.protocol !== "file:") for (const face of ["serif-400", "sans-400", "sans-600"]) {
  const link = document.createElement("link");
  Object.assign(link, {rel: "preload", as: "font", type: "font/woff2", crossOrigin: ""});
  link.href = new URL(`typefaces/${face}.woff2`, document.querySelector("link[href*='/typefaces.css']").href);
  document.head.append(link);
}"""


class Face(NamedTuple):
    family: str
    weight: int
    style: str
    package: str
    source: str

    @property
    def file(self) -> str:
        return f"{self.family.split()[1].lower()}-{self.weight}{'-italic' * (self.style == 'italic')}.woff2"


FACES = [
    Face("Book Sans", 400, "normal", "font_source_sans_pro", "SourceSansPro-Regular.ttf"),
    Face("Book Sans", 400, "italic", "font_source_sans_pro", "SourceSansPro-It.ttf"),
    Face("Book Sans", 600, "normal", "font_source_sans_pro", "SourceSansPro-Semibold.ttf"),
    Face("Book Serif", 400, "normal", "font_source_serif_pro", "SourceSerifPro-Regular.ttf"),
    Face("Book Serif", 400, "italic", "font_source_serif_pro", "SourceSerifPro-It.ttf"),
    Face("Book Serif", 600, "normal", "font_source_serif_pro", "SourceSerifPro-Semibold.ttf"),
]


def style_sheet() -> str:
    rule = (
        '@font-face {{ font-family: "{0.family}"; font-weight: {0.weight}; font-style: {0.style}; font-display: swap;'
        ' src: url("typefaces/{0.file}") format("woff2"); }}\n'
    )
    return "".join(rule.format(face) for face in FACES)


def characters(texts) -> set[int]:
    """The characters that a reader can meet in these pages, scripts and style sheets, and all that a keyboard has."""
    found = set(range(0x20, 0x7F))
    for text in texts:
        found |= set(map(ord, html.unescape(text))) | {int(code, 16) for code in ESCAPED.findall(text)}
    return found


def keep_own_widths(font) -> None:
    """Lets each glyph keep the width that the table of widths gives it.

    In Source Serif the percent sign would take the width of its stroke, a seventh of its own, and cover what follows;
    quotation marks, ellipses and digits are wrong in the same way. The hints, which are left out, would correct that.
    """
    for name in font.getGlyphOrder():
        for part in getattr(font["glyf"][name], "components", []):
            part.flags &= ~USE_MY_METRICS


def cut(face: Face, wanted: set[int], path) -> None:
    """Writes the face with only the wanted characters, under its new name."""
    options = subset.Options(flavor="woff2", hinting=False, layout_features=FEATURES, name_IDs=[0, 1, 2, 4, 6, 13, 14])
    font = subset.load_font(str(files(face.package) / "files" / face.source), options)
    keep_own_widths(font)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=wanted)
    cutter.subset(font)
    for number, name in {1: face.family, 4: face.file, 6: face.file.removesuffix(".woff2")}.items():
        font["name"].setName(name, number, 3, 1, 0x409)
    subset.save_font(font, str(path), options)


def write_style_sheet(app):
    if app.builder.format == "html":
        (app.outdir / "_static").mkdir(parents=True, exist_ok=True)
        (app.outdir / "_static" / "typefaces.css").write_text(style_sheet(), encoding="utf-8")


def write_typefaces(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    static = app.outdir / "_static"
    folder = static / "typefaces"
    folder.mkdir(exist_ok=True)
    shown = [*app.outdir.rglob("*.html"), *static.rglob("*.js"), *static.glob("*.css")]
    wanted = characters(path.read_text(encoding="utf-8") for path in shown)
    for face in FACES:
        cut(face, wanted, folder / face.file)
        licence = (files(face.package) / "files" / "LICENSE.txt").read_bytes()
        (folder / f"LICENSE-{face.file.split('-')[0]}.txt").write_bytes(licence)


def setup(app):
    app.add_css_file("typefaces.css")
    app.add_js_file(None, body=ASK_EARLY, priority=100)
    app.connect("builder-inited", write_style_sheet)
    app.connect("build-finished", write_typefaces)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
