"""The figures that more than one chapter shows, and `Picture`, the class of all figures of the book.

Each figure is a function that takes tensors and records and returns a `Picture`. A notebook shows a `Picture` as SVG,
which is byte for byte the same on every run, so that stored outputs can be compared. The figures of a single chapter
are in `chapters/<topic>/pictures.py`.
"""

from collections.abc import Sequence
from io import StringIO
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from groot_teach.masks import LEAKS, Leak, Masking, open_leaks
from groot_teach.shapes import checked

FILLS = {"real": "#0072B2", "real-too": "#56B4E9", "padding": "#D9D9D9", "leak": "#D55E00", "hidden": "#EEEEEE"}
HATCHES = {"real": None, "real-too": "---", "padding": None, "leak": "xx", "hidden": "////"}
STYLE: dict[Any, Any] = {  # matplotlib's type for a key is a list of all its names
    "svg.hashsalt": "groot_teach",
    "svg.fonttype": "none",
    "font.size": 9,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # short, since it is repeated for every piece of text
    "hatch.linewidth": 0.5,
}


class Picture(Figure):
    """A matplotlib figure that notebooks show as SVG, without a date and with fixed ids."""

    def _repr_svg_(self) -> str:
        text = StringIO()
        with matplotlib.rc_context(STYLE):
            self.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
        return text.getvalue()


def picture(width: float, height: float) -> Picture:
    """An empty `Picture` of `width` by `height` inches in the book's style."""
    with matplotlib.rc_context(STYLE):
        return Picture(figsize=(width, height))


@checked
def over_flow_time(t: Sequence[float], spreads: dict[str, Sequence[float]]) -> Picture:
    """How widely something spreads at each flow time: a curve for each name, the first one blue, the others orange.

    Args:
        t: flow times, 0 = noise.
        spreads: for each name a standard deviation at each `t`; five names at most.

    Raises:
        ValueError: no name, more than five, or a curve that is not as long as `t`.
    """
    markers = ["o", "s", "^", "D", "v"]
    if not 1 <= len(spreads) <= len(markers):
        raise ValueError(f"spreads: got {len(spreads)} names, expected 1 to {len(markers)}")
    drawn = picture(6.2, 2.8)
    axes = drawn.add_subplot()
    for place, ((name, values), marker) in enumerate(zip(spreads.items(), markers, strict=False)):
        if len(values) != len(t):
            raise ValueError(f"spreads: got {len(values)} values for {name!r}, expected {len(t)}, one for each t")
        colour, line, size = (FILLS["real"], "-", 9) if place == 0 else (FILLS["leak"], "--", 5)
        axes.plot(
            t, values, color=colour, linestyle=line, linewidth=size / 3, marker=marker, markersize=size, label=name
        )
    axes.set(xlabel="flow time t (0 = noise, 1 = data)", ylabel="standard deviation", xticks=t, ylim=(-0.05, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return drawn


@checked
def six_stages(masking: Masking) -> Picture:
    """The path of a batch through the policy: six stages, and whether padding leaks there under `masking`.

    A dashed orange box and a hollow mark show a leak. A solid blue box and a filled mark show that padding stops there.
    """
    drawn = picture(8.2, 4.3)
    axes = drawn.add_subplot()
    axes.set(xlim=(0, 101), ylim=(0, 60))
    axes.axis("off")
    axes.add_patch(FancyBboxPatch((41.5, 3), 25, 53, boxstyle="round,pad=0.5", fill=False, edgecolor="#999999"))
    axes.text(54, 57.8, "diffusion transformer (DiT)", ha="center")
    places = {
        "action encoder": (13, 33),
        "DiT self-attention": (42, 33),
        "VL self-attention": (13, 5),
        "DiT cross-attention": (42, 5),
        "loss": (76, 33),
        "sampler": (76, 5),
    }
    for number, (stage, (x, y)) in enumerate(places.items(), start=1):
        _stage_box(axes, x, y, f"{number}  {stage}", [leak for leak in LEAKS if leak.stage == stage], masking)
    for y, text in ((44, "actions\nand noise"), (16, "vision-\nlanguage\ntokens")):
        axes.text(5, y, text, ha="center", va="center")
    arrows = ["10 44 13 44", "37 44 42 44", "10 16 13 16", "37 16 42 16", "54 27 54 33", "66 44 76 44", "66 36 76 24"]
    for x0, y0, x1, y1 in (map(float, arrow.split()) for arrow in arrows):
        axes.add_patch(FancyArrowPatch((x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=9, color="#555555"))
    axes.text(71.5, 45.5, "training", ha="center", fontsize=7.5)
    axes.text(73, 29.3, "inference", fontsize=7.5)
    axes.set_title(masking.name, loc="left")
    return drawn


def _stage_box(axes: Axes, x: float, y: float, title: str, leaks: Sequence[Leak], masking: Masking) -> None:
    """One stage: its leaks, whether each is open under `masking`, and what happens to the padding."""
    leaking = [leak.name in open_leaks(masking) for leak in leaks]
    edge, line = (FILLS["leak"], "--") if any(leaking) else (FILLS["real"], "-")
    axes.add_patch(Rectangle((x, y), 24, 22, facecolor="white", edgecolor=edge, linestyle=line, linewidth=1.8))
    axes.text(x + 1, y + 19, title, va="center", fontweight="bold", fontsize=8.5)
    for leak, is_open, top in zip(leaks, leaking, (y + 14, y + 5.5), strict=False):
        mark = "\N{WHITE CIRCLE}" if is_open else "\N{BLACK CIRCLE}"
        happens = (leak.leaks | leak.holds)[getattr(masking, leak.switch)]
        axes.text(x + 1, top, f"{mark} {leak.name}", va="center", fontsize=8)
        axes.text(x + 1, top - 1.8, fill(happens, 27), va="top", fontsize=7.2, color="#333333", linespacing=1.05)


def _runs(items: Sequence[str] | Sequence[bool]) -> list[tuple[int, int]]:
    """Start and end of each run of equal items: `rrp` -> `[(0, 2), (2, 3)]`. Fewer shapes make a smaller page."""
    edges = [i for i in range(1, len(items)) if items[i] != items[i - 1]]
    return list(zip([0, *edges], [*edges, len(items)], strict=True))
