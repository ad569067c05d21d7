"""Plots: matplotlib figures in the colours of the book, for curves, dots and bars over axes.

A figure function opens with `@styled`, makes a `Plot` and draws with matplotlib into the axes of its `figure`:

    @styled
    def falling(loss: list[float]) -> Plot:
        plot = Plot(680, 300)
        axes = plot.figure.subplots()
        axes.plot(loss, **LINES["real"])
        axes.set(title="loss", xlabel="step of training")
        return plot

A notebook or a page shows a `Plot` as it shows a `groot_teach.show.drawing.Picture`: as SVG whose colours have the
names of `look.css`, which is byte for byte the same on every run.
"""

import re
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, cast
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from groot_teach.show.drawing import INK, INKS, LINE, SANS, SIZE, colour

STYLE: dict[Any, Any] = {  # matplotlib's type for a key is a list of all its names
    "svg.fonttype": "none",  # words stay words, in the typeface of the page
    "svg.hashsalt": "groot_teach",
    "font.family": "DejaVu Sans",  # comes with matplotlib: words are measured alike on every machine
    "font.size": SIZE,
    "text.color": INKS["ink"],
    "figure.facecolor": "none",
    "figure.labelsize": SIZE,
    "legend.fontsize": SIZE,
    "legend.frameon": False,
    "axes.facecolor": "none",
    "axes.edgecolor": INKS["quiet"],
    "axes.labelcolor": INKS["ink"],
    "axes.labelpad": 8,
    "axes.labelsize": SIZE,
    "axes.titlesize": SIZE,
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": INKS["rule"],
    "grid.linewidth": 1,
    "xtick.color": INKS["quiet"],
    "xtick.labelsize": SIZE,
    "xtick.major.size": 5,
    "ytick.color": INKS["quiet"],
    "ytick.labelsize": SIZE,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "hatch.linewidth": 1.3,
    "lines.linewidth": 2,
}
"""How matplotlib draws for this book. A point of matplotlib is a pixel of the page."""

styled = rc_context(STYLE)
"""The decorator of every function that draws a plot: matplotlib reads its settings while it draws."""

LINES: dict[str, dict[str, Any]] = {
    "real": {"color": INKS["real"], "linestyle": "-"},
    "leak": {"color": INKS["leak"], "linestyle": (0, (3, 2))},
    "padding": {"color": INKS["pad-mark"], "linestyle": "-"},
}
"""How a curve about each kind looks: not by its colour alone."""
BOXES: dict[str, dict[str, Any]] = {
    "real": {"facecolor": INKS["real"], "edgecolor": INKS["real"]},
    "padding": {"facecolor": INKS["pad"], "edgecolor": INKS["pad-mark"], "hatch": "//"},
}
"""How a surface of each kind looks."""

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"(?:url\()?#([\w.-]+)\)?")
NAMES = {value: name for name, value in reversed(INKS.items())}
"""From each colour in light to its name; white is the paper, since a plot writes nothing on blue."""


class Plot:
    """A matplotlib figure of `width` by `height` pixels; what is drawn belongs into the attribute `figure`."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")

    @styled
    def _repr_svg_(self) -> str:
        self.figure.draw_without_rendering()  # makes the layout,
        self.figure.set_layout_engine("none")  # which a second run would move by a hair
        text = StringIO()
        self.figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        width, height = f"{self.width:g}", f"{self.height:g}"
        root = ElementTree.Element("svg", xmlns=SVG[1:-1], width=width, height=height, viewBox=f"0 0 {width} {height}")
        root.attrib |= {"fill": colour("ink"), "font-family": f"var(--sans,{SANS})", "font-size": str(SIZE)}
        root.set("stroke-linejoin", "round")
        paper = {"class": "paper", "fill": colour("paper"), "d": f"M0 0h{width}v{height}H0z"}
        root.append(ElementTree.Element("path", paper))
        root.extend([*_in_our_words(ElementTree.fromstring(text.getvalue()))])
        _number_ids(root)
        ElementTree.indent(root, "")
        return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>") + "\n"

    def __repr__(self) -> str:
        return f"<Plot of {self.width:g} x {self.height:g} pixels>"


def name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Writes names at the right of the curves, and moves them apart where they would overlap. Call it last.

    Args:
        axes: where the curves are.
        ends: for each name the height at which its curve ends, the text, and the kind.
    """
    names = [
        axes.annotate(
            *(text, (1, up), (14, 0)),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            verticalalignment="center",
            color=INKS[INK[kind]],
            fontweight="bold",
        )
        for up, text, kind in sorted(ends)
    ]
    cast(Figure, axes.figure).draw_without_rendering()  # now matplotlib knows how high each end is
    free = float("-inf")
    for name in names:
        height = axes.transData.transform((0, name.xy[1]))[1]
        free = max(height, free)
        name.xyann = (14, free - height)
        free += LINE - 2


def _in_our_words(parent: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The shapes and words of matplotlib's SVG without what a page has no use for.

    Styles become attributes, as in a `Picture`; colours get their names; groups that say nothing are dissolved; numbers
    get two decimals, with which they are the same on every machine.
    """
    for element in parent:
        name = element.tag.removeprefix(SVG)
        children = [*_in_our_words(element)]
        found = ElementTree.Element(name, _attributes(element, name))
        found.text = element.text if name == "text" else None
        found.extend(children)
        if name in ("style", "metadata") or (name == "defs" and not children):
            continue
        if name == "path" and found.get("fill") == "none" and "stroke" not in found.attrib and "id" not in found.attrib:
            continue  # the ground of the figure and of axes
        if name == "g" and not found.attrib.keys() - {"id"}:
            yield from children
        else:
            yield found


def _attributes(element: ElementTree.Element, name: str) -> dict[str, str]:
    given = {("href" if key == LINK else key): value for key, value in element.attrib.items() if key != "style"}
    styles = dict(part.strip().split(": ", 1) for part in element.get("style", "").split(";") if part.strip())
    styles.pop("font-family", None)
    if styles.get("font-size") == f"{SIZE}px":
        del styles["font-size"]
    if given.get("transform", "").startswith("rotate(-0 "):
        del given["transform"]
    for key, value in (given | styles).items():
        if key in ("d", "x", "y", "width", "height", "transform"):
            value = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 2) + 0.0:g}", value)
            value = re.sub(r"\s*([A-Za-z])\s+", r"\1", value).strip() if key == "d" else value
        if value.startswith("#") and key != "href":
            if value not in NAMES:
                expected = f"expected one of INKS ({', '.join(INKS)}), in a function that is @styled"
                raise ValueError(f"colour of a plot's {key}: got {value}, {expected}")
            value = f"var(--{NAMES[value]},{value})"
        given[key] = value
    return given


def _number_ids(root: ElementTree.Element) -> None:
    """Gives the elements to which others refer ids that count, and takes those of all others away."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = {found[1] for value in values if (found := REFERENCE.fullmatch(value))}
    with_id = [element for element in root.iter() if element.get("id") in used]
    numbers = {element.attrib["id"]: f"part-{number}" for number, element in enumerate(with_id, start=1)}
    for element in root.iter():
        if (name := element.attrib.pop("id", None)) in numbers:
            element.set("id", numbers[name])
        for key, value in element.attrib.items():
            if found := REFERENCE.fullmatch(value):
                element.set(key, value.replace(found[1], numbers[found[1]]))
