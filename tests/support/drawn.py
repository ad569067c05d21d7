"""Reads what a `Picture` shows, for tests of figures."""

from groot_teach.show.drawing import Box, Picture, Words


def boxes(picture: Picture) -> list[Box]:
    """The boxes, row by row from the top, each row from the left."""
    found = [mark for mark in picture.marks if isinstance(mark, Box)]
    return sorted(found, key=lambda box: (round(box.y, 3), box.x))


def rows(picture: Picture) -> list[str]:
    """The first letter of each box's kind, a text for each row, with a space where boxes are far apart: `rrp rrp`."""
    written: dict[float, str] = {}
    ends: dict[float, float] = {}
    for box in boxes(picture):
        row = round(box.y, 3)
        apart = row in ends and box.x > ends[row] + 8
        written[row] = written.get(row, "") + (" " if apart else "") + box.kind[0]
        ends[row] = box.x + box.width
    return [*written.values()]


def texts(picture: Picture) -> list[str]:
    """The words, in the order in which they are drawn."""
    return [mark.text for mark in picture.marks if isinstance(mark, Words) and mark.text]


def ink_of(picture: Picture, text: str) -> str:
    """The ink of the only piece of words with this text."""
    (mark,) = (mark for mark in picture.marks if isinstance(mark, Words) and mark.text == text)
    return mark.ink


def lines(picture: Picture, ink: str) -> list[list[tuple[float, float]]]:
    """The points of each open line with an ink, from the back to the front."""
    return [
        [*mark.points]
        for mark in picture.marks
        if not isinstance(mark, Box | Words) and mark.fill == "none" and mark.ink == ink
    ]
