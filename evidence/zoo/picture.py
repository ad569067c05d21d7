"""The picture of the trial: for each method how many faulty policies it found, and how many right ones it accused."""

import json
from collections.abc import Mapping
from pathlib import Path

from groot_teach.show.drawing import Picture
from groot_teach.show.pictures import bar

NAMES = {
    "audit": "The audit",
    "perturb": "perturb",
    "gradient": "gradient",
    "compact": "compact",
    "unit error": "unit error",
    "read off": "read off",
    "parity": "parity",
    "others together": "All of these together",
    "equivalence": "Appending padding",
    "padding invariance": "pytest-torch, padding",
    "mask invariance": "pytest-torch, masks",
    "pangolinn": "pangolinn, padding",
    "flip": "Flipping a mask",
    "shapes": "Shapes, finite numbers",
    "loss falls": "The loss falls",
}
"""The methods, in the order of the picture, with their names in it."""
GROUPS = {"audit": "", "perturb": "One probe of it alone", "others together": "Checks of others"}
"""What is written above the methods that begin with this one."""
NAME, FOUND, NUMBER, ACCUSED, ROW = 174, 230, 92, 92, 28
"""The widths of the columns, and the height of a row."""


def trial_picture(methods: Mapping[str, Mapping[str, int]]) -> Picture:
    """A row for each method: a blue bar for what it found, and a grey one for what it accused.

    Each bar is a share of the policies about which the method could be asked. A tick stands where the bar should end.

    Args:
        methods: for each of `NAMES` how many policies it `found` of `wrong`, and how many it `accused` of `right`.
    """
    height = 44 + ROW * len(NAMES) + 34 * (len(GROUPS) - 1)
    picture = Picture(NAME + FOUND + NUMBER + ACCUSED + 68, height)
    second = NAME + FOUND + NUMBER
    wrong, right = methods["audit"]["wrong"], methods["audit"]["right"]
    picture.words(NAME, 12, f"found of {wrong} faulty policies", bold=True)
    picture.words(second, 12, f"accused of {right} right ones", bold=True)
    y = 36
    for method, name in NAMES.items():
        if heading := GROUPS.get(method):
            y += 8
            picture.words(0, y + 7, heading, ink="quiet")
            y += 26
        of = methods[method]
        picture.words(0, y + 7, name, bold=method == "audit")
        bar(picture, NAME, y, FOUND, [("real", of["found"] / of["wrong"])], should_be=1)
        picture.words(NAME + FOUND + 8, y + 7, _of(of["found"], of["wrong"], wrong), bold=method == "audit")
        bar(picture, second, y, ACCUSED, [], should_be=0)
        if of["accused"]:
            end = second + ACCUSED * of["accused"] / of["right"]
            picture.line((second, y + 7), (end, y + 7), ink="quiet", width=14)
        picture.words(second + ACCUSED + 8, y + 7, _of(of["accused"], of["right"], right), bold=method == "audit")
        y += ROW
    return picture


def _of(count: int, asked: int, everything: int) -> str:
    """The number, and out of how many if the method could not be asked about all of them."""
    return f"{count}" if asked == everything else f"{count} of {asked}"


def trial_svg(file: Path) -> str:
    """The picture of the trial that is stored in `file`."""
    return trial_picture(json.loads(file.read_text(encoding="utf-8"))["methods"])._repr_svg_()
