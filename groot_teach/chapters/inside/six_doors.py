"""Six stages and seven doors: the reader opens and shuts the leaks of a policy and sees how far padding travels.

`six_doors` is what the picture shows for one setting of the doors. `six_doors.js` has a function of the same name,
which the page uses. How far the numbers move was computed by torch for every setting, in `garbled`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from groot_teach.chapters.inside.garbled import DEPENDS, PARTS, counted_entries, place_of, positions, stored
from groot_teach.chapters.inside.policy import VERSIONS
from groot_teach.masks import LEAKS, SWITCHES, Leak, Masking, open_leaks
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import OWN, chips, fixed, tries

CHOICES: dict[str, tuple[str, Masking]] = {
    "N1.7 + PR 741" if name == "PR 741" else name: (name if name in PARTS else "N1.7", masking)
    for name, (_, masking) in VERSIONS.items()
}
"""The settings that have a name: the version whose parts the head has, and its masking."""

NOTICES = {
    "none": "Every door is shut, so padding reaches none of the three numbers.",
    "blank": "Padded steps are read through the step door, but blank: garbling cannot show this leak.",
    "count": "Nothing moves, but the loss is too small, because padding is counted in what it is divided by.",
    "drift": "Padded dims drift while actions are sampled, but every door to a reader of them is shut.",
    "loss": "Predictions and actions hold, but the loss compares padded entries as well.",
    "training": "Padding gets in while training; on the robot the sampler keeps it at 0, so no action moves.",
    "mixed": "The context door is shut, but padding comes along in real tokens, into which it was mixed before.",
    "quiet": "The predictions move a lot and the loss only a little, so the loss alone would hardly show it.",
    "loud": "Padding reaches every number that comes after an open door.",
}
NUMBERS = {"predictions": "predictions in training by", "loss": "the loss by", "actions": "actions on the robot by"}
MOST = 1.0
"""The share at which a bar is full."""


class DoorsReport(NamedTuple):
    """What one setting of the doors does.

    Attributes:
        leaks: the names of the leaks that are open.
        lines: for each line of the picture what its padding is there: `pad` = padding that nothing has read yet,
            `blank` = padding that was set to 0, `leak` = padding that got through a door, `none` = no padding.
        predictions: how far predicted velocities of recorded entries move when all padding is garbled, as a share.
        loss: how far the loss moves.
        actions: how far the sampled actions of recorded entries move.
        divisor: by how many entries the loss divides.
        recorded: by how many it should divide.
        notice: which of `NOTICES` holds.
    """

    leaks: tuple[str, ...]
    lines: dict[str, str]
    predictions: float
    loss: float
    actions: float
    divisor: int
    recorded: int
    notice: str


def six_doors(parts: str, masking: Masking) -> DoorsReport:
    """What happens to padding in a head with the parts of a version (one of `PARTS`) that is masked like this.

    Raises:
        ValueError: other parts, or a setting that such a head cannot have.
    """
    predictions, loss, actions = (stored()[parts][number][place_of(parts, masking, number)] for number in DEPENDS)
    leaks, counts = open_leaks(masking), _counts()[parts]
    encoder, step, mixing, context = (
        leak in leaks for leak in ("input leak", "step leak", "mixing leak", "context leak")
    )
    read = mixing or context
    rollout, count = "rollout leak" in leaks, "denominator leak" in leaks
    lines = {
        "actions": "pad",
        "encoded": "leak" if encoder else "blank",
        "tokens": "pad",
        "mixed": "leak" if mixing else "pad",
        "read": "leak" if read else "none",
        "predicted": "leak" if encoder or read else "blank",
        # At inference a shut sampler keeps padding at 0, so the encoder has nothing to let in.
        "sampled": "leak" if (encoder and rollout) or read else "blank",
    }
    if not predictions and not loss and not actions:
        notice = "blank" if step else "count" if count else "drift" if rollout else "none"
    elif not predictions:
        notice = "loss"
    elif not actions:
        notice = "training"
    elif mixing and not context and not encoder:
        notice = "mixed"
    else:
        notice = "quiet" if 4 * loss < predictions else "loud"
    return DoorsReport(
        leaks=leaks,
        lines=lines,
        predictions=predictions,
        loss=loss,
        actions=actions,
        divisor=counts["all" if masking.loss_denominator == "all" else masking.loss],
        recorded=counts["dims_and_steps"],
        notice=notice,
    )


@cache
def _counts() -> dict[str, dict[str, int]]:
    return {parts: counted_entries(parts) for parts in PARTS}


def six_doors_picture() -> LivePicture:
    """The live picture, which opens on N1.7."""
    state = _state("N1.7")
    report = six_doors(*_read(state))
    return LivePicture(
        Path(__file__).with_name("six_doors.js"),
        title="Six stages, seven doors",
        caption="At each door a mask could stop padding. Grey: not in yet; orange: got in; hollow: set to 0.",
        body=_body(state, report),
        said=_said("N1.7", report),
        state=state,
        constants=constants(),
        compute=lambda state: six_doors(*_read(state)),
    )


def constants() -> dict[str, Any]:
    """What the page needs beside the state."""
    return {
        "leaks": [{name: getattr(leak, name) for name in ("name", "switch", "leaks", "holds")} for leak in LEAKS],
        "choices": {name: _state(name) for name in CHOICES},
        "positions": {parts: positions(parts) for parts in PARTS},
        "depends": {number: switches for number, (_, switches) in DEPENDS.items()},
        "moved": stored(),
        "counts": _counts(),
        "notices": NOTICES,
        "most": MOST,
    }


def _state(choice: str, **doors: str) -> dict[str, Any]:
    parts, masking = CHOICES[choice]
    return {"parts": parts, "doors": {switch: asdict(masking)[switch] for switch in SWITCHES} | doors}


def _read(state: Mapping[str, Any]) -> tuple[str, Masking]:
    return state["parts"], Masking(**state["doors"])


# ------------------------------------------------------------------------------------------- the opening state

PIPES = ("actions", "encoded", "tokens", "mixed", "read", "predicted", "sampled")


def _body(state: dict[str, Any], report: DoorsReport) -> str:
    doors = state["doors"]
    stages: dict[str, list[Leak]] = {}
    for leak in LEAKS:
        stages.setdefault(leak.stage, []).append(leak)
    boxes = "\n".join(
        _stage(number, stage, leaks, doors, report) for number, (stage, leaks) in enumerate(stages.items(), 1)
    )
    pipes = "".join(
        f'<div class="pipe" data-line="{name}" aria-hidden="true"><i></i><i class="{report.lines[name]}"></i></div>'
        for name in PIPES
    )
    numbers = "\n".join(_number(number, words, report) for number, words in NUMBERS.items())
    worth_trying = {
        "input leak alone": _state("strict", encoder_input="open"),
        "N1.5, context leak shut": _state("N1.5", cross_attention="closed"),
        "half a fix": _state("N1.7", encoder_input="closed"),
        "target leak alone": _state("strict", loss="open"),
    }
    return f"""<div class="live-controls">
{chips("version", "version", [*CHOICES, OWN], "N1.7")}
</div>
{tries(worth_trying)}
<div class="results doors-results">
<p>Garbled padding moves</p>
{numbers}
<p class="live-readout" aria-hidden="true">{NOTICES[report.notice]}</p>
</div>
<fieldset class="doors" disabled><legend>Doors</legend>
<div class="stages">
<p class="source actions">actions <span>+ noise</span></p>
<p class="source tokens">images <span>+ words</span></p>
<p class="dit" aria-hidden="true">transformer (DiT)</p>
{pipes}
{boxes}
</div></fieldset>"""


def _stage(number: int, stage: str, leaks: list[Leak], doors: Mapping[str, str], report: DoorsReport) -> str:
    rows = "".join(_door(leak, doors[leak.switch], leak.name in report.leaks) for leak in leaks)
    kind = "leaks" if any(leak.name in report.leaks for leak in leaks) else "holds"
    word = "open" if kind == "leaks" else "shut"
    name = stage.lower().replace(" ", "-")
    return (
        f'<div class="stage {name} {kind}" role="group" aria-label="stage {number}, {stage}">'
        f'<p class="stage-name" aria-hidden="true"><span>{number} {stage}</span> <em>{word}</em></p>{rows}</div>'
    )


def _door(leak: Leak, position: str, is_open: bool) -> str:
    does = (leak.leaks | leak.holds)[position]
    return (
        f'<div class="door" data-switch="{leak.switch}"><label class="switch"><input type="checkbox"'
        f"{' checked' if is_open else ''}><span>{leak.name}</span></label>"
        f'<p class="does{" wrong" if is_open else ""}">{does}</p></div>'
    )


def _number(number: str, words: str, report: DoorsReport) -> str:
    share = getattr(report, number)
    divisor = f' <span class="divisor">{_short_divisor(report)}</span>' if number == "loss" else ""
    return (
        f'<div data-number="{number}"><p>{words}{divisor}</p>'
        f'<p><strong class="moved wrong">{_share(share)}</strong> <span class="should wrong">should be {_share(0)}'
        f'</span></p><div class="bar"><i class="leak" style="width: {fixed(100 * share / MOST, 2)}%;"></i></div></div>'
    )


def _share(share: float) -> str:
    return f"{fixed(100 * share, 1)}\N{NO-BREAK SPACE}%" if share else "0\N{NO-BREAK SPACE}%"


def _short_divisor(report: DoorsReport) -> str:
    """What stands in the picture where the loss divides by something else than the number of entries that count."""
    is_open = "denominator leak" in report.leaks
    return f"\N{DIVISION SIGN} {report.divisor:,}, not {report.recorded}" if is_open else ""


def _divided(report: DoorsReport) -> str:
    if report.divisor == report.recorded:
        return f"The loss divides by the {report.recorded} recorded entries."
    return f"The loss divides by {report.divisor:,} entries, and only {report.recorded} of them are recorded."


def _said(name: str, report: DoorsReport) -> str:
    return (
        f"{name}: {_opened(report.leaks)} Garbling the padding moves the predictions by {_share(report.predictions)}, "
        f"the loss by {_share(report.loss)} and the robot's actions by {_share(report.actions)}; all should be "
        f"0\N{NO-BREAK SPACE}%. {NOTICES[report.notice]} {_divided(report)}"
    )


def _opened(leaks: tuple[str, ...]) -> str:
    if not leaks:
        return "no door is open."
    count = f"{len(leaks)} of 7 doors {'is' if len(leaks) == 1 else 'are'} open"
    return f"{count}, {', '.join(leaks)}."
