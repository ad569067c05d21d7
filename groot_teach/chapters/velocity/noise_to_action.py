"""From noise to action in the reader's hands: drag the flow time, and choose what the sampler puts into padded dims.

`interpolate`, `held` and `noise_to_action` are what the picture computes; `noise_to_action.js` has functions of the
same names, which the page uses.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from groot_teach import flow
from groot_teach.embodiments import DUAL_ARM
from groot_teach.padding import action_mask_dims_only, collate_chunks
from groot_teach.recordings import chunk_at, toy_episode
from groot_teach.shapes import checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import chips, fixed, tries

FREE, KEPT, ZEROS, AS_TRAINED = "free", "kept noise", "zeros", "as trained"
SAMPLERS = FREE, KEPT, ZEROS, AS_TRAINED
"""What a sampler can put into padded dims on the way."""

SAMPLES, PADDED_DIM, STEPS = 40, 32, 4
REAL, PADDED = 15, 19
"""The two dims that are drawn, counted from 0: the second claw of the dual arm, and one that the robot lacks."""

PLANE = {"x": 150, "y": 104, "unit": 36}
"""Where the picture on the left has its origin, and how many pixels a unit takes."""

CHART = {"left": 30, "top": 12, "width": 296, "height": 160, "most": 1.15}
"""The plot on the right: where it lies in its picture, and the largest size that it has room for."""

OPENS = {"t": 0.5, "sampler": ZEROS}

NOTICES = {
    FREE: "Outputs that no loss has looked at move this noise; here they have random weights.",
    KEPT: "All of the noise is still there, while in training it fades on the way to the action.",
    ZEROS: "Nothing is there, while training still shows noise.",
    AS_TRAINED: "The padded dim holds what training shows, sample by sample.",
    "start": "Every sampler but zeros starts from noise, as training does.",
    "end": "Training shows 0 here as well, but no sampler asks the network at t = 1.",
}


class FlowReport(NamedTuple):
    """What a padded dim holds at one flow time, over a batch.

    Attributes:
        in_training: the standard deviation of what training shows there.
        in_sampler: that of what the sampler shows.
        apart: how far the two are from each other, as the root mean square over the batch.
    """

    in_training: float
    in_sampler: float
    apart: float


@checked
def interpolate(noise: Float[Tensor, " sample"], actions: Float[Tensor, " sample"], t: float | int) -> Tensor:
    """The points at `t` between noise and actions, in one dim: `groot_teach.flow.interpolate` without its other axes.

    Raises:
        ValueError: `t` is no flow time.
    """
    times = noise.new_full((len(noise),), t)
    return flow.interpolate(actions[:, None, None], noise[:, None, None], times).flatten()


@checked
def held(noise: Float[Tensor, " sample"], drift: Float[Tensor, "point sample"], sampler: str, t: float | int) -> Tensor:
    """What the padded dim holds at flow time `t` in a sampler.

    Args:
        noise: what it starts from.
        drift: the points of a path whose steps have one length, for the sampler that leaves padded dims free.
        sampler: one of `SAMPLERS`.
        t: flow time, 0 = noise, 1 = action.

    Raises:
        ValueError: another sampler, or `t` is not between 0 and 1.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler: got {sampler!r}, expected one of {', '.join(SAMPLERS)}")
    if not 0 <= t <= 1:
        raise ValueError(f"t: got {t}, expected a flow time, from 0 (noise) to 1 (action)")
    if sampler == FREE:
        steps = len(drift) - 1
        step = min(int(t * steps), steps - 1)
        return interpolate(drift[step], drift[step + 1], t * steps - step)
    start = noise[:, None, None]
    padding = torch.zeros_like(start, dtype=torch.bool)
    if sampler == ZEROS:
        return flow.refill_zero(start, padding).flatten()
    if sampler == AS_TRAINED:
        return flow.refill_noise(start, padding, start, noise.new_full((len(noise),), t)).flatten()
    return noise


def noise_to_action(noise: Tensor, drift: Tensor, sampler: str, t: float | int) -> FlowReport:
    """How large a padded dim is at `t`, in training and in a sampler. The arguments are those of `held`."""
    shown = held(noise, drift, sampler, t)
    trained = interpolate(noise, torch.zeros_like(noise), t)
    apart = (shown - trained).square().mean().sqrt().item()
    return FlowReport(_spread(trained), _spread(shown), apart)


def _spread(values: Tensor) -> float:
    return values.std(correction=0).item()


def shown_batch() -> tuple[Tensor, Tensor, Tensor]:
    """The noise and the actions of the two dims, (sample, 2) each, and the padded dim's free path, (point, sample).

    The noise is scaled in both dims to the mean 0 and the standard deviation 1 which many draws would have, so that
    the picture's `1 - t` is exact. On the free path the network makes no error in real dims. What it answers in padded
    dims has random weights, since nothing trains them. All numbers are rounded to four digits, so that they are equal
    on every machine.
    """
    episode = toy_episode(DUAL_ARM, 7 * SAMPLES, torch.Generator().manual_seed(0))
    chunks = [chunk_at(episode, start, 1) for start in range(0, 7 * SAMPLES, 7)]
    batch = collate_chunks(chunks, PADDED_DIM)
    real = action_mask_dims_only(batch.dim_mask, 1)
    noise = _randn(1, *batch.actions.shape)
    drawn = _randn(1395, SAMPLES, 2)
    noise[:, 0, [REAL, PADDED]] = ((drawn - drawn.mean(0)) / drawn.std(0, correction=0)).round(decimals=4)
    first_layer, second_layer = _randn(4, PADDED_DIM, 48) / 6, _randn(5, 48, PADDED_DIM) / 7
    target = flow.velocity_target(batch.actions, noise)

    def velocity(noisy_actions: Tensor, t: Tensor) -> Tensor:
        return torch.where(real, target, torch.tanh(noisy_actions @ first_layer) @ second_layer)

    path = flow.euler_path(velocity, noise, STEPS)[:, :, 0, PADDED]
    dims = [REAL, PADDED]
    return noise[:, 0, dims], batch.actions[:, 0, dims].round(decimals=4), path.round(decimals=4)


def _randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise_to_action_picture() -> LivePicture:
    """The live picture of the chapter. It opens half-way, in the sampler that holds zeros."""
    noise, actions, drift = shown_batch()

    def compute(state: dict) -> FlowReport:
        return noise_to_action(noise[:, 1], drift, state["sampler"], state["t"])

    report = compute(OPENS)
    return LivePicture(
        Path(__file__).with_name("noise_to_action.js"),
        title="From noise to action",
        caption="Drag t and choose a sampler: free is GR00T's, kept noise and zeros are its fork's.",
        body=_body(noise, actions, drift, report),
        said=f"{_said(report)} {NOTICES[OPENS['sampler']]}",
        state=OPENS,
        constants={
            "noise": noise.T.tolist(),
            "actions": actions.T.tolist(),
            "drift": drift.tolist(),
            "plane": PLANE,
            "chart": CHART,
            "names": NAMES,
            "notices": NOTICES,
        },
        compute=compute,
    )


NAMES = {
    FREE: [0.3, 1.05, "this sampler"],
    KEPT: [0.3, 1.05, "this sampler"],
    ZEROS: [0.02, 0.05, "this sampler"],
    AS_TRAINED: [0.02, 0.3, "this sampler: the same"],
}
"""For each sampler the place in the plot, flow time and size, where its curve is named, and the name."""


def _body(noise: Tensor, actions: Tensor, drift: Tensor, report: FlowReport) -> str:
    t, sampler = OPENS["t"], OPENS["sampler"]
    controls = f"""<div class="live-controls">
{chips("sampler", "sampler", SAMPLERS, sampler)}
<fieldset class="flow-time" disabled><label class="slider"><span>flow time t</span>
<input type="range" min="0" max="1" step="0.05" value="{t}" aria-valuetext="{fixed(t, 2)}"> <output>{
        fixed(t, 2)
    }</output></label></fieldset>
</div>"""
    settings = {
        "zeros at the start": {"sampler": ZEROS, "t": 0},
        "zeros at the end": {"sampler": ZEROS, "t": 1},
        "kept noise, near the end": {"sampler": KEPT, "t": 0.75},
    }
    return f"""{controls}
<div class="flow-plots misses unlike">
{_plane(noise, actions, held(noise[:, 1], drift, sampler, t), t)}
{_chart(noise[:, 1], drift, report, t, sampler)}
</div>
<div class="results flow-results">
<p>in training <strong class="trained-size big">{fixed(report.in_training, 2)}</strong></p>
<p>in this sampler <strong class="sampled-size big wrong">{fixed(report.in_sampler, 2)}</strong>
<span class="off wrong">{_compared(report)}</span></p>
<p class="live-readout" aria-hidden="true">{NOTICES[sampler]}</p>
</div>
{tries(settings)}"""


def _compared(report: FlowReport) -> str:
    return "smaller than in training" if report.in_sampler < report.in_training else "larger than in training"


def _plane(noise: Tensor, actions: Tensor, shown: Tensor, t: float) -> str:
    """Each sample's noise and the way to its action; where training has it at `t`, and where the sampler has it."""

    def at(real: float, padded: float) -> tuple[str, str]:
        x, y, unit = PLANE["x"], PLANE["y"], PLANE["unit"]
        return _px(x + unit * real), _px(y - unit * padded)

    starts = [at(*point) for point in noise.tolist()]
    ends = [at(*point) for point in actions.tolist()]
    points = interpolate(noise[:, 0], actions[:, 0], t), interpolate(noise[:, 1], actions[:, 1], t)
    trained = [at(*point) for point in torch.stack(points, dim=1).tolist()]
    sampled = [at(*point) for point in torch.stack([points[0], shown], dim=1).tolist()]
    ways = "".join(f"M{x} {y}L{right} {bottom}" for (x, y), (right, bottom) in zip(starts, ends, strict=True))
    x, y, unit = PLANE["x"], PLANE["y"], PLANE["unit"]
    return f"""<div><p class="plot-name"><span class="trained-ink">\N{BLACK CIRCLE} in training</span>
<span class="sampled-ink">\N{BLACK DIAMOND} in this sampler</span> <span>\N{BULLET} at the start</span></p>
<svg viewBox="0 0 300 212" role="img" aria-label="{SAMPLES} samples of a batch, across their value in a real dim, \
upwards their value in a padded dim">
<path class="axis" d="M6 {y}H294M{x} 6V190"/><path class="ways" d="{ways}"/>
{"".join(f'<circle class="start" cx="{cx}" cy="{cy}" r="2"/>' for cx, cy in starts)}
{
        "".join(
            f'<line class="miss" x1="{cx}" y1="{cy}" x2="{right}" y2="{bottom}"/>'
            for (cx, cy), (right, bottom) in zip(trained, sampled, strict=True)
        )
    }
{"".join(f'<circle class="trained" cx="{cx}" cy="{cy}" r="4"/>' for cx, cy in trained)}
{
        "".join(
            f'<path class="sampled" d="M-4.5 0L0 -4.5L4.5 0L0 4.5Z" transform="translate({cx} {cy})"/>'
            for cx, cy in sampled
        )
    }
<text x="{x + 6}" y="16">a padded dim</text>
<path class="axis" d="M{x - unit} 188v5M{x + unit} 188v5"/>
<text x="{x - unit}" y="207" text-anchor="middle">claw shut</text>
<text x="{x + unit}" y="207" text-anchor="middle">claw open</text>
<text x="298" y="{y - 8}" text-anchor="end">a real dim</text>
</svg></div>"""


def _chart(noise: Tensor, drift: Tensor, report: FlowReport, t: float, sampler: str) -> str:
    """How large the padded dim's numbers are, over the flow time: in training, and in the sampler."""
    trained, sampled = _on_chart(t, report.in_training), _on_chart(t, report.in_sampler)
    times = [step / STEPS for step in range(STEPS + 1)]
    sizes_on_the_way = [noise_to_action(noise, drift, sampler, at).in_sampler for at in times]
    curve = "L".join(" ".join(_on_chart(*point)) for point in zip(times, sizes_on_the_way, strict=True))
    left, bottom = _on_chart(0, 0)
    right, top = _on_chart(1, CHART["most"])
    name_t, name_size, name = NAMES[sampler]
    name_x, name_y = _on_chart(name_t, name_size)
    ticks = "".join(
        f'<text x="{_on_chart(at, 0)[0]}" y="{CHART["top"] + CHART["height"] + 16}" text-anchor="middle">{words}</text>'
        for at, words in ((0, "0"), (0.25, "¼"), (0.5, "½"), (0.75, "¾"), (1, "1"))
    )
    sizes = "".join(
        f'<text x="{CHART["left"] - 7}" y="{_on_chart(0, size - 0.035)[1]}" text-anchor="end">{words}</text>'
        for size, words in ((0, "0"), (0.5, "½"), (1, "1"))
    )
    line = " ".join(_on_chart(0, 1)) + "L" + " ".join(_on_chart(1, 0))
    name_at = _on_chart(0.53, 0.53)
    return f"""<div><p class="plot-name">How large the numbers of the padded dim are</p>
<svg viewBox="0 0 340 212" role="img" aria-label="Standard deviation of what the padded dim holds, over the flow time">
<path class="axis" d="M{left} {top}V{bottom}H{right}"/>{ticks}{sizes}
<text x="{left}" y="207">noise</text><text x="{right}" y="207" text-anchor="end">action</text>
<text x="{_on_chart(0.5, 0)[0]}" y="207" text-anchor="middle">flow time t</text>
<path class="now" d="M{trained[0]} {top}V{bottom}"/>
<path class="trained-curve" d="M{line}"/>
<path class="sampled-curve" d="M{curve}"/>
<line class="miss" x1="{trained[0]}" y1="{trained[1]}" x2="{sampled[0]}" y2="{sampled[1]}"/>
<text class="trained-ink" x="{name_at[0]}" y="{name_at[1]}">in training: 1 − t</text>
<text class="sampled-ink sampler-name" x="{name_x}" y="{name_y}">{name}</text>
<path class="sampled" d="M-7 0L0 -7L7 0L0 7Z" transform="translate({sampled[0]} {sampled[1]})"/>
<circle class="knob" cx="{trained[0]}" cy="{trained[1]}" r="8"/>
<circle class="grip" cx="{trained[0]}" cy="{trained[1]}" r="22"/>
<rect class="frame" x="{left}" y="{top}" width="{CHART["width"]}" height="{CHART["height"]}"/>
</svg></div>"""


def _on_chart(t: float, size: float) -> tuple[str, str]:
    x = CHART["left"] + CHART["width"] * t
    y = CHART["top"] + CHART["height"] * (1 - size / CHART["most"])
    return _px(x), _px(y)


def _px(place: float) -> str:
    return fixed(place, 2).replace("\N{MINUS SIGN}", "-")


def _said(report: FlowReport) -> str:
    return (
        f"At flow time {fixed(OPENS['t'], 2)}, the padded dim holds numbers of size {fixed(report.in_training, 2)} "
        f"in training and {fixed(report.in_sampler, 2)} in this sampler; "
        f"sample by sample, the two are {fixed(report.apart, 2)} apart."
    )
