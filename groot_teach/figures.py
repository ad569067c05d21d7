"""One function per figure of the book: tensors and records in, a `Picture` out. Nothing else imports matplotlib.

A `Picture` shows itself as SVG, byte for byte the same on every run, so that nbval compares it like any other output.
"""

from collections.abc import Sequence
from io import StringIO
from textwrap import fill

import matplotlib
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from torch import Tensor

from groot_teach.masks import LEAKS, Leak, Masking, open_leaks
from groot_teach.padding import ActionBatch
from groot_teach.shapes import checked

FILLS = {"real": "#0072B2", "real-too": "#56B4E9", "padding": "#D9D9D9", "leak": "#D55E00", "hidden": "#EEEEEE"}
HATCHES = {"real": None, "real-too": "---", "padding": None, "leak": "xx", "hidden": "////"}
STYLE = {
    "svg.hashsalt": "groot_teach",
    "svg.fonttype": "none",
    "font.size": 9,
    "hatch.linewidth": 0.5,
}


class Picture(Figure):
    """A closed matplotlib figure that notebooks show as SVG, without a date and with fixed ids."""

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
def action_batch(batch: ActionBatch, names: Sequence[str]) -> Picture:
    """What is real in a batch: one map a robot, a row for each step and a column for each dim.

    Args:
        batch: the padded actions of several robots.
        names: what to write above each map, in the order of the batch.

    Raises:
        ValueError: more or fewer names than robots.
    """
    robots, action_horizon, padded_dim = batch.actions.shape
    if len(names) != robots:
        raise ValueError(f"names: got {len(names)}, expected {robots}, one for each robot of the batch")
    legend = {"r": ("real", "recorded"), "c": ("leak", "step filled in"), "p": ("padding", "padded dim")}
    drawn = picture(7.4, 0.9 + 0.11 * action_horizon)
    for place, axes in enumerate(drawn.subplots(1, robots, squeeze=False, sharey=True)[0]):
        dims = batch.dim_mask[place].tolist()
        rows = [
            "".join(("r" if step else "c") if dim else "p" for dim in dims) for step in batch.step_mask[place].tolist()
        ]
        for top, bottom in _runs(rows):
            for left, right in _runs(rows[top]):
                kind = legend[rows[top][left]][0]
                style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0.6}
                axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
        axes.set(xlim=(0, padded_dim), ylim=(action_horizon, 0), title=names[place], xlabel="dim")
        axes.set(xticks=range(0, padded_dim + 1, 8), yticks=range(0, action_horizon + 1, 4))
    drawn.axes[0].set(ylabel="step")
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for kind, words in legend.values()
    ]
    below = (0.5, 0.1 - 0.5 / drawn.get_figheight())
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=below, ncols=len(keys), frameon=False)
    return drawn


@checked
def episode_end(
    actions: Float[Tensor, "action_horizon action_dim"],
    action_is_pad: Bool[Tensor, " action_horizon"],
    dims: dict[str, int],
) -> Picture:
    """A chunk that runs over the end of its episode: some of its dims over the steps, copied steps hollow.

    Args:
        actions: one chunk.
        action_is_pad: True = a copied step.
        dims: which dims to draw, four at most, by the name to write beside each.

    Raises:
        ValueError: no dim, or more than four.
    """
    markers = ["o", "s", "^", "D"]
    if not 1 <= len(dims) <= len(markers):
        raise ValueError(f"dims: got {len(dims)}, expected 1 to {len(markers)}")
    drawn = picture(6.2, 2.4)
    axes = drawn.add_subplot()
    steps = range(actions.shape[0])
    for (name, dim), marker in zip(dims.items(), markers, strict=False):
        values = actions[:, dim].tolist()
        axes.plot(steps, values, color="#999999", linewidth=0.8, zorder=1)
        for copied, inside in ((False, FILLS["real"]), (True, "white")):
            chosen = [step for step in steps if bool(action_is_pad[step]) is copied]
            edge = FILLS["leak"] if copied else FILLS["real"]
            axes.scatter(
                chosen, [values[s] for s in chosen], marker=marker, s=28, facecolors=inside, edgecolors=edge, zorder=2
            )
        axes.annotate(name, (len(values) - 1, values[-1]), xytext=(8, -3), textcoords="offset points")
    if bool(action_is_pad.any()):
        first = int(action_is_pad.int().argmax())
        axes.axvline(first - 0.5, color=FILLS["leak"], linestyle="--", linewidth=1)
        axes.text(first - 0.4, axes.get_ylim()[1], "the episode has ended: copies", va="bottom", color="black")
    axes.set(xlabel="step of the chunk", ylabel="action", xticks=list(steps))
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


@checked
def six_stages(masking: Masking) -> Picture:
    """The path of a batch through the policy: six stages, and for each whether padding gets through under `masking`.

    A dashed orange box and a hollow mark: this leaks. A solid blue box and a full mark: the padding stops here.
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


def _runs(items: Sequence[str]) -> list[tuple[int, int]]:
    """Start and end of each run of equal items: `rrp` -> `[(0, 2), (2, 3)]`. Fewer shapes make a smaller page."""
    edges = [i for i in range(1, len(items)) if items[i] != items[i - 1]]
    return list(zip([0, *edges], [*edges, len(items)], strict=True))
