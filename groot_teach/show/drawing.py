"""Drawing: `Picture`, a drawing in pixels that a notebook or a page shows as SVG, in the colours of the book.

A picture is a list of marks: boxes, words and lines. Each of them names its colour as `look.css` does, and the SVG
holds both the name and the value in light, `var(--real,#0072b2)`. So one file follows the theme where the page knows
the name, and is a light picture on light paper where nobody does, as in an `<img>`. Nothing in it depends on the clock
or on a random id: it is byte for byte the same on every run, so that stored outputs can be compared.

What the marks mean (real, padding, a leak) is written in `groot_teach.show.pictures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

INKS = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "quiet": "#59616b",
    "rule": "#dfe2e6",
    "track": "#eceef1",
    "real": "#0072b2",
    "real-ink": "#00588c",
    "on-real": "#ffffff",
    "pad": "#edeae3",
    "pad-mark": "#bdb6a8",
    "pad-ink": "#67604f",
    "leak": "#d55e00",
    "leak-ink": "#a84600",
    "leak-soft": "#fdebdc",
    "hidden": "#8a9099",
}
"""The colours of a picture by their names in `look.css`, with their values in light."""

SANS = "'Source Sans Pro','Source Sans 3',system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
SIZE = 15
"""The height of a picture's words in pixels, about that of the text around it."""

Kind = Literal["real", "padding", "leak", "hidden"]
FILLS: dict[str, tuple[str, str]] = {
    "real": ("real", "real"),
    "padding": ("#padding", "pad-mark"),
    "leak": ("#leak", "leak"),
    "hidden": ("none", "hidden"),
}
"""How a box of each kind is filled, and the colour of its edge. What begins with # is a hatch."""
HATCHES = {"padding": ("pad", "pad-mark"), "leak": ("leak-soft", "leak")}
"""The ground of a hatch and the colour of its lines."""
ON = {"real": "on-real", "padding": "pad-ink", "leak": "leak-ink", "hidden": "quiet"}
"""The colour in which one writes on a box of each kind."""
INK = {"real": "real-ink", "padding": "pad-ink", "leak": "leak-ink", "hidden": "quiet"}
"""The colour in which one writes beside a box about it."""
HALOS = {"padding": "pad", "leak": "leak-soft"}
"""The colour of the quiet ground around words on a hatch."""
DIGITS = 13
"""The size of numbers inside cells, in pixels."""
LINE = 20
"""From one line of words to the next, in pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a kind. `strength`, from 0 to 1, is how much of its colour it has."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    strength: float = 1.0

    def style(self) -> str:
        fill, edge = FILLS[self.kind]
        style = f'class="{self.kind}" fill="{colour(fill)}"'
        style += "" if self.strength == 1 else f' fill-opacity="{round(self.strength, 2):g}"'
        if self.is_large or self.kind == "hidden":
            style += f' stroke="{colour(edge)}"'
        return style + (' stroke-dasharray="3 2"' if self.kind == "hidden" else "")

    @property
    def is_large(self) -> bool:
        """Whether the box is large enough for an edge and round corners."""
        return min(self.width, self.height) >= 14

    def outline(self) -> str:
        radius = 3 if self.is_large else 0
        across, down = _short(self.width - 2 * radius), _short(self.height - 2 * radius)
        if not radius:
            return f"M{_short(self.x)} {_short(self.y)}h{across}v{down}h-{across}z"
        corner = f"a{radius} {radius} 0 0 1 "
        return (
            f"M{_short(self.x)} {_short(self.y + radius)}{corner}{radius}-{radius}h{across}{corner}{radius} {radius}"
            f"v{down}{corner}-{radius} {radius}h-{across}{corner}-{radius}-{radius}z"
        )


@dataclass(frozen=True)
class Words:
    """Words at a place: `anchor` says which part of them is at `x`, and `y` is the middle of their height."""

    x: float
    y: float
    text: str
    ink: str = "ink"
    size: float = SIZE
    anchor: str = "start"
    bold: bool = False
    turned: bool = False
    halo: str = ""

    def svg(self) -> str:
        x, y = _short(self.x), _short(self.y)
        place = (
            f'transform="translate({x} {y}) rotate(-90)" dy=".35em"' if self.turned else f'x="{x}" y="{y}" dy=".35em"'
        )
        style = [] if self.ink == "ink" else [f'fill="{colour(self.ink)}"']
        style += [] if self.size == SIZE else [f'font-size="{_short(self.size)}"']
        style += [] if self.anchor == "start" else [f'text-anchor="{self.anchor}"']
        style += ['font-weight="600"'] if self.bold else []
        style += [f'stroke="{colour(self.halo)}" stroke-width="4" paint-order="stroke"'] if self.halo else []
        return " ".join(["<text", place, *style]) + f">{escape(self.text)}</text>"


@dataclass(frozen=True)
class Line:
    """A line through points, or a surface inside them if it has a `fill`."""

    points: Sequence[tuple[float, float]]
    ink: str = "ink"
    width: float = 1.5
    dash: str = ""
    fill: str = "none"
    opacity: float = 1.0
    curved: bool = False
    """Whether four points are the ends and handles of a curve."""

    def svg(self) -> str:
        places = [f"{_short(x)} {_short(y)}" for x, y in self.points]
        path = f"M{places[0]}" + (f"C{' '.join(places[1:])}" if self.curved else "L" + " ".join(places[1:]))
        style = f'fill="{colour(self.fill)}"' + ("" if self.opacity == 1 else f' opacity="{_short(self.opacity)}"')
        if self.width:
            style += f' stroke="{colour(self.ink)}" stroke-width="{_short(self.width)}"'
        style += f' stroke-dasharray="{self.dash}"' if self.dash else ""
        return f'<path {style} d="{path}{"" if self.fill == "none" else "z"}"/>'


Mark = Box | Words | Line


class Picture:
    """A drawing of `width` by `height` pixels.

    Attributes:
        marks: what is drawn, from the back to the front.
        cuts: how far from the left a narrow page may cut the picture, to put what follows below.
        names: how wide the names of the rows are, at the left: each part of a cut picture has them again.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.marks: list[Mark] = []
        self.cuts: list[float] = []
        self.names = 0.0

    def box(self, x: float, y: float, width: float, height: float, kind: str, strength: float = 1.0) -> None:
        self.marks.append(Box(x, y, width, height, kind, strength))

    def words(self, x: float, y: float, text: str, **style) -> None:
        """Words with their middle at the height `y`; `style` as the attributes of `Words`."""
        self.marks.append(Words(x, y, text, **style))

    def line(self, *points: tuple[float, float], **style) -> None:
        """A line through `points`; `style` as the attributes of `Line`."""
        self.marks.append(Line(points, **style))

    def arrow(self, start: tuple[float, float], end: tuple[float, float], ink: str = "quiet") -> None:
        """A straight line with a head at its end."""
        (x0, y0), (x, y) = start, end
        length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        right, down = (x - x0) / length, (y - y0) / length
        self.line(start, (x - 6 * right, y - 6 * down), ink=ink)
        sides = [(x - 9 * right + side * 4.5 * down, y - 9 * down - side * 4.5 * right) for side in (1, -1)]
        self.line(end, *sides, fill=ink, width=0)

    def dot(self, x: float, y: float, ink: str, shape: str = "circle", hollow: bool = False, size: float = 4.5) -> None:
        """A mark at a place: a circle, a square or a diamond, filled, or hollow on the paper's colour."""
        corners = {
            "circle": [(0.383, 0.924), (0.924, 0.383), (0.924, -0.383), (0.383, -0.924)],
            "square": [(0.85, 0.85), (0.85, -0.85)],
            "diamond": [(0, 1.25), (1.25, 0)],
        }[shape]
        around = [*corners, *[(-right, -down) for right, down in corners]]
        points = [(x + size * right, y + size * down) for right, down in around]
        self.line(*points, ink=ink, fill="paper" if hollow else ink)

    def _repr_svg_(self) -> str:
        width, height = _short(self.width), _short(self.height)
        cuts = f' data-cuts="{" ".join(map(_short, self.cuts))}"' if self.cuts else ""
        cuts += f' data-names="{_short(self.names)}"' if self.cuts and self.names else ""
        drawn = "\n".join(_svg(self.marks))
        hatches = [
            f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<path fill="{colour(ground)}" d="M0 0h6v6H0z"/><path fill="{colour(mark)}" d="M0 0h1.3v6H0z"/></pattern>'
            for name, (ground, mark) in HATCHES.items()
            if f"url(#{name})" in drawn
        ]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"{cuts} fill="{colour("ink")}" font-family="var(--sans,{SANS})" '
            f'font-size="{SIZE}" stroke-linejoin="round">\n'
            + "".join(f"<defs>{hatch}</defs>\n" for hatch in hatches)
            + f'<path class="paper" fill="{colour("paper")}" d="M0 0h{width}v{height}H0z"/>\n{drawn}\n</svg>\n'
        )

    def __repr__(self) -> str:
        return f"<Picture of {_short(self.width)} x {_short(self.height)} pixels>"


def write_on(picture: Picture, x: float, y: float, text: str, kind: str, strength: float = 1.0) -> None:
    """A number in the middle of a box. On a hatch it gets a quiet ground, and on a pale blue it is dark."""
    if text:
        ink = "ink" if kind == "real" and strength < 1 else ON[kind]
        bold = kind == "leak"
        picture.words(x, y, text, ink=ink, size=DIGITS, anchor="middle", bold=bold, halo=HALOS.get(kind, ""))


def colour(ink: str) -> str:
    """A colour as SVG writes it: its name in `look.css` and its value in light; a hatch; or none."""
    if ink == "none":
        return "none"
    return f"url({ink})" if ink.startswith("#") else f"var(--{ink},{INKS[ink]})"


def width_of(text: str, size: float = SIZE) -> float:
    """About how wide words will be. The typeface is the reader's, so it is an estimate, and a generous one."""
    return 0.57 * size * len(text)


def _svg(marks: Sequence[Mark]) -> list[str]:
    """The marks as SVG. Boxes that are drawn one after the other and look the same make one path, for a small page."""
    drawn: list[str] = []
    alike: dict[str, list[str]] = {}
    for mark in [*marks, None]:
        if isinstance(mark, Box):
            alike.setdefault(mark.style(), []).append(mark.outline())
            continue
        drawn += [f'<path {style} d="{"".join(outlines)}"/>' for style, outlines in alike.items()]
        alike = {}
        drawn += [mark.svg()] if mark else []
    return drawn


def _short(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"
