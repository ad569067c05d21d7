"""The visual language of the book's figures, and the figures that more than one chapter shows.

What is *real* is blue, and the stronger the blue, the larger its value. *Padding* is hatched in a warm grey. Padding
that gets through a mask is hatched in orange (*leak*), and so is written every number that it made wrong; nothing else
is orange. What a mask *hides* although it is real is a hollow box. Four forms speak this language:

    sheets.beside(...)    batches as sheets of square cells: rows are steps, columns are dims, each robot is a block
    plot.Plot(...)        a matplotlib figure: curves, dots and bars over axes, with their names beside them
    tokens(...)           a row of boxes with words in them
    bar(...)              a bar made of parts, with a tick where it should end

Each figure is a function that takes tensors and records and returns a `Picture`, or a `Plot` where there are axes. The
figures of a single chapter are in `chapters/<topic>/pictures.py`.
"""

from collections.abc import Sequence
from textwrap import wrap

from groot_teach.checks import all_finite
from groot_teach.masks import LEAKS, Leak, Masking, open_leaks
from groot_teach.shapes import checked
from groot_teach.show.drawing import HALOS, INKS, LINE, ON, Picture, width_of
from groot_teach.show.plot import LINES, Plot, name_ends, styled


def token_width(words: Sequence[str]) -> float:
    """The width of a token box that is wide enough for each of these words."""
    return max(width_of(word) for word in words) + 14


def tokens(picture: Picture, x: float, y: float, words: Sequence[str], kinds: Sequence[str], width: float) -> list:
    """A row of token boxes, 30 pixels high and `width` wide, and the middle of each: where a line can start."""
    middles = []
    for place, (word, kind) in enumerate(zip(words, kinds, strict=True)):
        left = x + place * (width + 6)
        picture.box(left, y, width, 30, kind, 0.12 if kind == "real" else 1.0)
        ink = "ink" if kind == "real" else ON[kind]
        picture.words(left + width / 2, y + 15, word, ink=ink, anchor="middle", halo=HALOS.get(kind, ""))
        middles.append(left + width / 2)
    return middles


def bar(
    picture: Picture,
    x: float,
    y: float,
    width: float,
    parts: Sequence[tuple[str, float]],
    should_be: float | None = None,
) -> None:
    """A bar 14 pixels high: parts of kinds, each a share of `width`, and a tick where the bar should end."""
    picture.line((x + 7, y + 7), (x + width - 7, y + 7), ink="track", width=14)
    for kind, part in parts:
        if part > 0:
            picture.box(x, y, part * width, 14, kind)
            x += part * width
    if should_be is not None:
        start = x - sum(part for _, part in parts) * width
        picture.line((start + should_be * width, y - 5), (start + should_be * width, y + 19), width=2)


@styled
@checked
def over_flow_time(
    t: Sequence[float], spreads: dict[str, Sequence[float]], measure: str = "standard deviation"
) -> Plot:
    """How widely something spreads at each flow time: a curve for each name, the first of which is how it should be.

    The first curve is blue. Others that lie on it are blue as well, and those that do not are orange and dashed.

    Args:
        t: flow times, 0 = noise.
        spreads: for each name a number at each `t`; five names at most.
        measure: what the numbers are.

    Raises:
        ValueError: no name, more than five, or a curve that is not as long as `t` or not finite.
    """
    shapes = ["o", "s", "D", "s", "D"]
    if not 1 <= len(spreads) <= len(shapes):
        raise ValueError(f"spreads: got {len(spreads)} names, expected 1 to {len(shapes)}")
    for name, values in spreads.items():
        if len(values) != len(t):
            raise ValueError(f"spreads: got {len(values)} values for {name!r}, expected {len(t)}, one for each t")
        all_finite(f"spreads[{name!r}]", values)
    right = next(iter(spreads.values()))
    plot = Plot(680, 300)
    axes = plot.figure.subplots()
    ends = []
    for (name, values), shape in zip(spreads.items(), shapes, strict=False):
        is_first = values is right
        is_right = all(abs(value - wanted) < 0.05 for value, wanted in zip(values, right, strict=True))
        kind = "real" if is_right else "leak"
        ground = INKS[kind] if is_first else INKS["paper"]
        width = 5 if is_first else 2
        marks = {"marker": shape, "markersize": 9, "markeredgewidth": 1.5, "markerfacecolor": ground}
        axes.plot(t, values, **LINES[kind], **marks, linewidth=width, clip_on=False)
        ends.append((values[-1], name, kind))
    axes.set(title=measure, xlabel="flow time t (0 = noise)", xticks=t, ylim=(0, None))
    axes.locator_params(axis="y", nbins=4)
    name_ends(axes, ends)
    return plot


@checked
def six_stages(masking: Masking) -> Picture:
    """The path of a batch through the policy: six stages, and whether padding leaks there under `masking`.

    A dashed orange box and a hollow mark show a leak. A solid blue box and a filled mark show that padding stops there.
    """
    picture = Picture(712, 366)
    picture.words(2, 12, masking.name, bold=True, size=17)
    picture.line((290, 34), (506, 34), (506, 358), (290, 358), (290, 34), ink="rule")
    picture.words(398, 50, "diffusion transformer (DiT)", anchor="middle", ink="quiet")
    places = {
        "action encoder": (84, 66),
        "DiT self-attention": (300, 66),
        "VL self-attention": (84, 232),
        "DiT cross-attention": (300, 232),
        "loss": (524, 66),
        "sampler": (524, 246),
    }
    for number, (stage, place) in enumerate(places.items(), start=1):
        _stage_box(picture, *place, f"{number}  {stage}", [leak for leak in LEAKS if leak.stage == stage], masking)
    for middle, lines in ((122, ("actions", "and noise")), (288, ("vision-", "language", "tokens"))):
        for line, text in enumerate(lines):
            picture.words(2, middle + LINE * (line - (len(lines) - 1) / 2), text)
        for start, end in ((69, 83), (276, 299)):
            picture.arrow((start + 4, middle), (end, middle))
    picture.arrow((398, 230), (398, 180))
    picture.arrow((507, 112), (523, 112))
    picture.arrow((507, 286), (523, 286))
    picture.arrow((523, 326), (507, 326))  # in each of its steps the sampler asks the network again
    return picture


def _stage_box(picture: Picture, x: float, y: float, title: str, leaks: Sequence[Leak], masking: Masking) -> None:
    """One stage: its leaks, whether each is open under `masking`, and what happens to the padding."""
    leaking = [leak.name in open_leaks(masking) for leak in leaks]
    ink, dash = ("leak", "7 4") if any(leaking) else ("real", "")
    right, bottom = x + (186 if x > 500 else 196), y + 32 + 80 * len(leaks) - (34 if len(leaks) > 1 else 0)
    picture.line((x, y), (right, y), (right, bottom), (x, bottom), (x, y), ink=ink, dash=dash, width=2)
    picture.words(x + 12, y + 18, title, bold=True)
    if when := {"loss": "in training", "sampler": "in use"}.get(leaks[0].stage):
        picture.words(right - 12, y + 18, when, ink="quiet", anchor="end")
    top = y + 44
    for leak, is_open in zip(leaks, leaking, strict=True):
        picture.dot(x + 17, top, "leak" if is_open else "real", hollow=is_open)
        picture.words(x + 30, top, leak.name, ink="leak-ink" if is_open else "real-ink", bold=True)
        happens = (leak.leaks | leak.holds)[getattr(masking, leak.switch)]
        for text in wrap(happens, 23):
            top += 18
            picture.words(x + 12, top, text, ink="quiet", size=14)
        top += 24
