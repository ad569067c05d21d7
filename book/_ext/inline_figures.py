"""Write the book's SVG pictures into the pages themselves, so that they follow the page's theme and typeface.

A picture in an `<img>` is sealed: it knows neither whether the page is dark nor what its typeface is. Here each image
node with an SVG file, from a notebook or from `book/figures`, becomes an `<svg>` of the page. The picture's own paper
is taken away, its ids get a prefix, since several pictures on a page use the same ones, and its alt text becomes its
label. Pictures and plots of `groot_teach.show` already name their colours as `look.css` does.

A picture that says where it may be cut is there a second time, as the parts between the cuts, for pages on which it is
too wide: `drawing.css` shows the one or the other. The parts show what the whole holds, so it is written only once.
"""

import re
from html import escape
from itertools import pairwise
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform

PAPER = re.compile(r'<path class="paper"[^>]*/>\n?')
IN_LIGHT = re.compile(r"var\((--[\w-]+),[^()]*\)")
"""A name and its value where nobody knows the name; a page does."""


def inline(svg: str, prefix: str, alt: str) -> str:
    """The text of an SVG file as a part of a page. ValueError if it is none, or if it would bring code or a request."""
    start = svg.find("<svg")
    if start < 0 or not svg.rstrip().endswith("</svg>"):
        raise ValueError("expected an SVG picture, from <svg to </svg>")
    if found := re.search(r"<(script|style|foreignObject|image)\b|\son\w+=|href=\"(?!#)", svg):
        raise ValueError(f"expected a picture of shapes and words alone, got {found.group().strip()!r}")
    svg = IN_LIGHT.sub(r"var(\1)", PAPER.sub("", svg[start:].rstrip(), count=1))
    for name in set(re.findall(r'\bid="([^"]+)"', svg)):
        for before, after in (('id="', '"'), ("url(#", ")"), ('href="#', '"')):
            svg = svg.replace(f"{before}{name}{after}", f"{before}{prefix}{name}{after}")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return _in_parts(svg, f"{prefix}whole", float(size[1]), float(size[2])) if size else svg


def _in_parts(svg: str, name: str, width: float, height: float) -> str:
    """The picture, and if it may be cut its parts behind it. `--width` tells drawing.css how wide each of them is."""
    root, inside = svg[: svg.index(">")], svg[svg.index(">") + 1 :].removesuffix("</svg>")
    cuts = re.search(r' data-cuts="([\d. ]+)"', root)
    if not cuts:
        return f'{root} style="--width: {width:g}px">{inside}</svg>'
    names = re.search(r' data-names="([\d.]+)"', root)
    left = float(names[1]) if names else 0.0
    look = " ".join(re.findall(r'(?:fill|font-family|font-size|stroke-linejoin)="[^"]*"', root))
    ends = pairwise([0.0, *map(float, cuts[1].split()), width])
    parts = [_part(name, start, end, left if start else 0.0, height) for start, end in ends]
    whole = f'{root} style="--width: {width:g}px"><g id="{name}" {look}>{inside}</g></svg>'
    return f'{whole}<div class="parts" aria-hidden="true">{"".join(parts)}</div>'


def _part(name: str, start: float, end: float, left: float, height: float) -> str:
    """The picture from `start` to `end`, behind the names of its rows, which are `left` wide."""
    width = left + end - start
    size = f'width="{width:g}" height="{height:g}"'
    if not left:
        shown = f'<svg {size} viewBox="{start:g} 0 {width:g} {height:g}" style="--width: {width:g}px">'
        return f'{shown}<use href="#{name}"/></svg>'
    inner = "".join(
        f'<svg x="{x:g}" width="{wide:g}" height="{height:g}" viewBox="{since:g} 0 {wide:g} {height:g}">'
        f'<use href="#{name}"/></svg>'
        for x, since, wide in ((0, 0, left), (left, start, end - start))
    )
    return f'<svg {size} viewBox="0 0 {width:g} {height:g}" style="--width: {width:g}px">{inner}</svg>'


class InlineFigures(SphinxPostTransform):
    """Runs on each page, behind the transforms that find the file of an image."""

    default_priority = 300
    formats = ("html",)

    def run(self, **kwargs) -> None:
        images = [image for image in self.document.findall(nodes.image) if image["uri"].endswith(".svg")]
        for number, image in enumerate(images, start=1):
            file = Path(self.app.srcdir, image["uri"])
            if not image.get("alt", "").strip():
                raise ExtensionError(f"{self.env.docname}: {image['uri']} has no alt text, expected what it shows")
            try:
                picture = inline(file.read_text(encoding="utf-8"), f"figure-{number}-", image["alt"])
            except ValueError as error:
                raise ExtensionError(f"{self.env.docname}: {image['uri']}: {error}") from error
            image.replace_self(nodes.raw("", f'<div class="drawing">{picture}</div>', format="html"))


def setup(app):
    app.add_post_transform(InlineFigures)
    app.add_css_file("drawing.css")
    app.add_js_file("drawing.js", defer="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
