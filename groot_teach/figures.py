"""One function per figure of the book: tensors and records in, a `Picture` out. Nothing else imports matplotlib.

A `Picture` shows itself as SVG, byte for byte the same on every run, so that nbval compares it like any other output.
"""

from collections.abc import Sequence
from io import StringIO
from itertools import pairwise, product
from textwrap import fill

import matplotlib
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # written out at every piece of text, so a short list
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
def mask_and_error(
    action_mask: Bool[Tensor, "batch action_horizon action_dim"],
    error: Float[Tensor, "batch action_horizon action_dim"],
    counted: Float[Tensor, "batch action_horizon action_dim"],
    names: Sequence[str],
) -> Picture:
    """`mask | error | error x mask`, a row of maps for each sample and a number in each cell: for small tensors.

    Padding that is 0 has no number.

    Args:
        action_mask: True = a real entry.
        error: before the mask.
        counted: after the mask, however it was applied. Orange: a padded entry that is not 0 there. Hatched: a real
            entry that the mask has set to 0.
        names: what to write beside each row of maps.

    Raises:
        ValueError: more or fewer names than samples.
    """
    samples, action_horizon, action_dim = error.shape
    if len(names) != samples:
        raise ValueError(f"names: got {len(names)}, expected {samples}, one for each sample")
    drawn, used = picture(7.4, 0.5 + samples * (0.35 + 0.22 * action_horizon)), ""
    maps = drawn.subplots(samples, 3, squeeze=False)
    for axes, title in zip(maps[0], ("mask", "error", "error \N{MULTIPLICATION SIGN} mask"), strict=True):
        axes.set_title(title)
    for axes in maps[-1]:
        axes.set_xlabel("dim")
    lost = action_mask & (error != 0) & (counted == 0)
    for sample, row in enumerate(maps):
        row[0].set_ylabel(f"{names[sample]}\nstep")
        for axes, values in zip(row, (action_mask.double(), error, counted), strict=True):
            letters = [
                "".join(
                    ("h" if lost[place] and axes is row[2] else "r") if action_mask[place] else "pl"[values[place] != 0]
                    for place in product([sample], [step], range(action_dim))
                )
                for step in range(action_horizon)
            ]
            _numbered_map(axes, letters, values[sample].tolist())
            used += "".join(letters)
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for letter, (kind, words) in ERROR_LEGEND.items()
        if letter in used
    ]
    below = (0.5, 0.1 - 0.25 / drawn.get_figheight())
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=below, ncols=len(keys), frameon=False)
    return drawn


ERROR_LEGEND = {
    "r": ("real", "real"),
    "p": ("padding", "padding, 0"),
    "l": ("leak", "padding that counts"),
    "h": ("hidden", "real, but lost"),
}


def _numbered_map(axes: Axes, letters: Sequence[str], values: Sequence[Sequence[float]]) -> None:
    """One map of `mask_and_error`: a letter of `ERROR_LEGEND` and a number for each cell."""
    height, width = len(letters), len(letters[0])
    for top, bottom in _runs(letters):
        for left, right in _runs(letters[top]):
            kind = ERROR_LEGEND[letters[top][left]][0]
            style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0}
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
    axes.vlines(range(1, width), 0, height, color="white", linewidth=0.8)
    axes.hlines(range(1, height), 0, width, color="white", linewidth=0.8)
    for step, dim in product(range(height), range(width)):
        kind = ERROR_LEGEND[letters[step][dim]][0]
        if kind == "padding":
            continue
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": "white" if kind == "real" else "black"}
        boxed = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}} if HATCHES[kind] else {}
        axes.text(dim + 0.5, step + 0.5, f"{values[step][dim]:.3g}", **style, **boxed)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@checked
def over_flow_time(t: Sequence[float], spreads: dict[str, Sequence[float]]) -> Picture:
    """How widely something spreads at each flow time: one curve a name, the first one blue, the others orange.

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
def how_often(values: Float[Tensor, " value"], edges: Sequence[float], x_name: str) -> Picture:
    """A histogram: which part of the values lies between each edge and the next. The parts are written on the bars.

    Args:
        values: what to count.
        edges: where the bars begin and end, from small to large; values outside are an error.
        x_name: what to write below.

    Raises:
        ValueError: fewer than two edges, edges that do not grow, or a value outside.
    """
    if len(edges) < 2 or sorted(set(edges)) != list(edges):
        raise ValueError(f"edges: got {list(edges)}, expected two or more numbers that grow")
    if not ((values >= edges[0]) & (values <= edges[-1])).all():
        low, high = values.min().item(), values.max().item()
        raise ValueError(f"values: got {low:g} to {high:g}, expected {edges[0]:g} to {edges[-1]:g}")
    drawn = picture(6.2, 2.2)
    axes = drawn.add_subplot()
    for place, (left, right) in enumerate(pairwise(edges)):
        is_last = place == len(edges) - 2
        part = ((values >= left) & ((values < right) | (is_last & (values == right)))).double().mean().item()
        axes.bar(left, part, width=right - left, align="edge", color=FILLS["real"], edgecolor="white")
        axes.annotate(f"{part:.0%}", ((left + right) / 2, part), xytext=(0, 2), textcoords="offset points", ha="center")
    axes.set(xlabel=x_name, ylabel="part of the draws", xticks=list(edges))
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


@checked
def attention_maps(
    weights: dict[str, Float[Tensor, "query_len key_len"]], backbone_attention_mask: Bool[Tensor, " key_len"]
) -> Picture:
    """How much each query reads of each key: a map for each name, a row looks, a column is looked at.

    The fuller a cell, the more is read. Padded columns are hatched orange where something is read. NaN is written out.

    Args:
        weights: for each name the weights of one sample; all of one shape.
        backbone_attention_mask: True = a real key.

    Raises:
        ValueError: no map, or a weight below 0 or above 1.
    """
    if not weights:
        raise ValueError("weights: got no map, expected at least one")
    drawn = picture(7.4, 3.0)
    for axes, (name, of_map) in zip(drawn.subplots(1, len(weights), squeeze=False)[0], weights.items(), strict=True):
        for query, row in enumerate(of_map.tolist()):
            for key, weight in enumerate(row):
                if weight < 0 or weight > 1:
                    raise ValueError(f"weights of {name!r}: got {weight:g}, expected 0 to 1")
                kind = "real" if bool(backbone_attention_mask[key]) else "leak"
                if weight > 0:
                    style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0}
                    axes.add_patch(Rectangle((key, query + 1 - weight), 1, weight, **style))
                shown = "NaN" if weight != weight else f"{weight:.2f}"
                axes.text(key + 0.5, query + 0.05, shown, ha="center", va="top", fontsize=7.5)
        height, width = of_map.shape
        axes.set(xlim=(0, width), ylim=(height, 0), title=name, xlabel="key")
        axes.set_xticks([key + 0.5 for key in range(width)], range(width))
        axes.set_yticks([query + 0.5 for query in range(height)], range(height))
        axes.vlines(range(1, width), 0, height, color="#CCCCCC", linewidth=0.6)
        axes.hlines(range(1, height), 0, width, color="#CCCCCC", linewidth=0.6)
    drawn.axes[0].set(ylabel="query")
    keys = [
        Patch(facecolor=FILLS[kind], hatch=HATCHES[kind], edgecolor="#777777", label=words)
        for kind, words in (("real", "a real key is read"), ("leak", "padding is read"))
    ]
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False)
    return drawn


@checked
def seed_ratios(ratios: dict[str, Sequence[float]], x_name: str) -> Picture:
    """How each condition compares with another one, seed by seed: a dot a seed, and a line over the range of the seeds.

    Orange: above 1 with every seed. Blue: below 1 with every seed. Grey: on both sides, or on 1 itself.

    Args:
        ratios: for each name a ratio a seed, all above 0.
        x_name: what to write below.

    Raises:
        ValueError: no name, a name without a ratio, or a ratio that is not above 0.
    """
    if not ratios or not all(len(of_name) and min(of_name) > 0 for of_name in ratios.values()):
        raise ValueError(f"ratios: got {ratios}, expected at least one name, each with ratios above 0")
    drawn = picture(6.2, 0.7 + 0.28 * len(ratios))
    axes = drawn.add_subplot()
    axes.axvline(1, color="#777777", linewidth=1)
    for row, of_name in enumerate(ratios.values()):
        kind = "leak" if min(of_name) > 1 else "real" if max(of_name) < 1 else "padding"
        marker, edge = {"leak": ("D", "#8A3C00"), "real": ("o", "#004F7A"), "padding": ("o", "#777777")}[kind]
        axes.plot([min(of_name), max(of_name)], [row, row], color=FILLS[kind], linewidth=5, solid_capstyle="round")
        places = [row] * len(of_name)
        axes.scatter(
            of_name, places, marker=marker, s=16, facecolors="white", edgecolors=edge, linewidths=0.9, zorder=3
        )
    axes.set_yticks(range(len(ratios)), [*ratios])
    axes.set(xlabel=x_name, xscale="log", ylim=(len(ratios) - 0.4, -0.6))
    low, high = axes.get_xlim()
    marks = [mark for mark in (0.1, 0.2, 0.5, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50) if low <= mark <= high]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


@checked
def curves_beside(
    step: Sequence[int],
    panels: dict[str, tuple[Float[Tensor, "seed point"], Float[Tensor, "seed point"]]],
    names: tuple[str, str],
    y_name: str,
) -> Picture:
    """Two conditions over the steps of training, a panel for each pair: the median of the seeds, and their range.

    Args:
        step: where the points are.
        panels: for each title the first condition, blue, and the second, orange and dashed.
        names: what the two are called.
        y_name: what is drawn.

    Raises:
        ValueError: no panel, or curves of another length than `step`.
    """
    if not panels:
        raise ValueError("panels: got none, expected at least one")
    rows = -(-len(panels) // 4)
    drawn = picture(7.4, 0.5 + 1.6 * rows)
    places = drawn.subplots(rows, min(4, len(panels)), squeeze=False, sharex=True, sharey=True).flatten()
    drawn.subplots_adjust(hspace=0.5)
    for axes, (title, pair) in zip(places, panels.items(), strict=False):
        for curves, kind, line in zip(pair, ("real", "leak"), ("-", "--"), strict=True):
            if curves.shape[1] != len(step):
                raise ValueError(f"panels[{title!r}]: got {curves.shape[1]} points, expected {len(step)} as in step")
            low, high = curves.amin(dim=0).tolist(), curves.amax(dim=0).tolist()
            axes.fill_between(step, low, high, color=FILLS[kind], alpha=0.2, linewidth=0)
            axes.plot(step, curves.median(dim=0).values.tolist(), color=FILLS[kind], linestyle=line, linewidth=1.4)
        axes.set_title(title, fontsize=8.5)
        axes.set(yscale="log", xticks=[step[0], step[-1]])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[len(panels) :]:
        axes.axis("off")
    for place, axes in enumerate(places):
        if place % 4 == 0:
            axes.set_ylabel(y_name)
        if place >= len(panels) - 4:
            axes.set_xlabel("step")
            axes.tick_params(labelbottom=True)
    keys = [
        Line2D([], [], color=FILLS[kind], linestyle=line, label=name)
        for kind, line, name in zip(("real", "leak"), ("-", "--"), names, strict=True)
    ]
    drawn.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, 0.04 - 0.12 / rows), ncols=2, frameon=False)
    return drawn


@checked
def hand_paths(
    paths: dict[str, dict[str, Float[Tensor, "point 2"]]], goals: dict[str, Float[Tensor, " 2"]], names: Sequence[str]
) -> Picture:
    """Where the hand goes: a panel for each robot, a path for each condition; the first is blue, the others orange.

    Args:
        paths: for each robot, for each condition, the places of the hand, the start first.
        goals: for each robot, where the hand shall be.
        names: the conditions, three at most, in the order in which they are drawn.

    Raises:
        ValueError: no robot, more than three conditions, or a path or a goal that is missing.
    """
    styles = [("real", "-", "o"), ("leak", "--", "s"), ("leak", ":", "^")]
    if not paths or not 1 <= len(names) <= len(styles):
        raise ValueError(f"paths: got {len(paths)} robots and {len(names)} conditions, expected 1 or more, and 1 to 3")
    drawn = picture(7.4, 2.9)
    for axes, (robot, of_robot) in zip(drawn.subplots(1, len(paths), squeeze=False)[0], paths.items(), strict=True):
        if robot not in goals or any(name not in of_robot for name in names):
            raise ValueError(f"paths of {robot!r}: got {[*of_robot]}, expected {[*names]} and a goal")
        for name, (kind, line, marker) in zip(names, styles, strict=False):
            x, y = of_robot[name].T.tolist()
            style = {"color": FILLS[kind], "linestyle": line, "marker": marker, "markersize": 3, "linewidth": 1.2}
            axes.plot(x, y, label=name, **style)
        axes.scatter(*goals[robot].tolist(), marker="+", s=110, color="black", linewidths=1.5, zorder=3, label="goal")
        axes.set(title=robot, aspect="equal", xlabel="to the right", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axes.margins(0.15)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("away from us")
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=len(labels), frameon=False)
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


def _runs(items: Sequence[str] | Sequence[bool]) -> list[tuple[int, int]]:
    """Start and end of each run of equal items: `rrp` -> `[(0, 2), (2, 3)]`. Fewer shapes make a smaller page."""
    edges = [i for i in range(1, len(items)) if items[i] != items[i - 1]]
    return list(zip([0, *edges], [*edges, len(items)], strict=True))


@checked
def who_catches(caught: dict[str, dict[str, bool]]) -> Picture:
    """Which check catches which bug: a row for each bug, a column for each check.

    Blue with a full mark: caught. Hatched: missed.

    Args:
        caught: for each bug and each check, True = caught. All bugs have the same checks.

    Raises:
        ValueError: no bug, no check, or bugs whose checks differ.
    """
    checks = [*next(iter(caught.values()))] if caught else []
    if not checks or any([*of_bug] != checks for of_bug in caught.values()):
        raise ValueError(f"caught: got {caught}, expected at least one bug, and the same checks for every bug")
    drawn = picture(0.62 * len(checks), 0.9 + 0.25 * len(caught))
    axes = drawn.add_subplot()
    whole = {"facecolor": FILLS["hidden"], "hatch": HATCHES["hidden"], "edgecolor": "#BBBBBB", "linewidth": 0}
    axes.add_patch(Rectangle((0, 0), len(checks), len(caught), **whole))
    for row, of_bug in enumerate(caught.values()):
        seen = [*of_bug.values()]
        for start, end in _runs(seen):
            if seen[start]:
                axes.add_patch(Rectangle((start, row), end - start, 1, facecolor=FILLS["real"]))
    marks = [(x + 0.5, y + 0.5) for y, one in enumerate(caught.values()) for x, seen in enumerate(one.values()) if seen]
    axes.scatter([x for x, _ in marks], [y for _, y in marks], marker="o", s=22, color="white", zorder=3)
    axes.hlines(range(1, len(caught)), 0, len(checks), color="white", linewidth=2)
    axes.vlines(range(1, len(checks)), 0, len(caught), color="white", linewidth=2)
    axes.set(xlim=(0, len(checks)), ylim=(len(caught), 0))
    axes.set_xticks([x + 0.5 for x in range(len(checks))], checks, rotation=30, ha="left", rotation_mode="anchor")
    axes.set_yticks([y + 0.5 for y in range(len(caught))], [*caught])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    drawn.text(0.5, 0.02, "blue with a mark: caught; hatched: missed", ha="center", fontsize=8)
    return drawn


@checked
def stage_by_axis(cells: dict[str, dict[str, str]]) -> Picture:
    """What an audit found: a row for each stage, a column for each axis, as `MaskReport.cell` says it.

    Orange and hatched: something moved. Blue with a 0: nothing did. Hatched with a question mark: nobody could look.
    White: the batch has no such padding there.

    Args:
        cells: for each stage and each axis what the report says. All stages have the same axes.

    Raises:
        ValueError: no stage, no axis, or stages whose axes differ.
    """
    axes_of = [*next(iter(cells.values()))] if cells else []
    if not axes_of or any([*of_stage] != axes_of for of_stage in cells.values()):
        raise ValueError(f"cells: got {cells}, expected at least one stage, and the same axes for every stage")
    drawn = picture(1.1 * len(axes_of), 0.5 + 0.26 * len(cells))
    axes = drawn.add_subplot()
    for (row, of_stage), (column, axis) in product(enumerate(cells.values()), enumerate(axes_of)):
        said = of_stage[axis]
        if said:
            kind = "real" if said == "0" else "hidden" if said == "-" or said.endswith("?") else "leak"
            style = {"facecolor": FILLS[kind], "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 1}
            axes.add_patch(Rectangle((column, row), 1, 1, **style))
            boxed = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.2}} if kind == "leak" else {}
            colour = "white" if kind == "real" else "black"
            axes.text(column + 0.5, row + 0.5, said, ha="center", va="center", fontsize=8, color=colour, **boxed)
    axes.set(xlim=(0, len(axes_of)), ylim=(len(cells), 0))
    axes.set_xticks([column + 0.5 for column in range(len(axes_of))], axes_of)
    axes.set_yticks([row + 0.5 for row in range(len(cells))], [*cells])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_color("#BBBBBB")
    return drawn
