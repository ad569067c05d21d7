"""Plots: curves and dots over two axes, each curve with its name at its end."""

from collections.abc import Mapping, Sequence
from math import log10

from groot_teach.show.drawing import INK, LINE, Picture

DASHES = {"real": "", "leak": "6 4", "padding": "", "hidden": "2 3"}
LINE_INKS = {"real": "real", "leak": "leak", "padding": "pad-mark", "hidden": "hidden"}


class Plot:
    """Axes in a part of a picture. What is drawn in them is given in the units of the data.

    Args:
        picture: where to draw.
        place: left, top, width and height of the inner part, in pixels.
        across: the values of the horizontal axis at its two ends.
        up: those of the vertical axis, below and above.
        log: the axes that are logarithmic: `x`, `y` or both.
    """

    def __init__(
        self,
        picture: Picture,
        place: tuple[float, float, float, float],
        across: tuple[float, float],
        up: tuple[float, float],
        log: str = "",
    ) -> None:
        self.picture, (self.x, self.y, self.width, self.height) = picture, place
        self.log = log
        self.across, self.up = self._scaled("x", *across), self._scaled("y", *up)

    def _scaled(self, axis: str, *values: float) -> list[float]:
        return [log10(value) for value in values] if axis in self.log else [*values]

    def at(self, across: float, up: float) -> tuple[float, float]:
        """The place of a point in the picture."""
        (x,), (y,) = self._scaled("x", across), self._scaled("y", up)
        right = (x - self.across[0]) / (self.across[1] - self.across[0])
        above = (y - self.up[0]) / (self.up[1] - self.up[0])
        return self.x + right * self.width, self.y + (1 - above) * self.height

    def axes(
        self, across: Mapping[float, str], up: Mapping[float, str], across_name: str = "", up_name: str = ""
    ) -> None:
        """The two axes: at each value its mark, and the names, that of the vertical axis above it."""
        bottom, right = self.y + self.height, self.x + self.width
        for value, mark in up.items():
            height = self.at(10 ** self.across[0] if "x" in self.log else self.across[0], value)[1]
            self.picture.line((self.x, height), (right, height), ink="rule", width=1)
            self.picture.words(self.x - 8, height, mark, ink="quiet", anchor="end")
        self.picture.line((self.x, bottom), (right, bottom), ink="quiet", width=1)
        for value, mark in across.items():
            place = self.at(value, 10 ** self.up[0] if "y" in self.log else self.up[0])[0]
            self.picture.line((place, bottom), (place, bottom + 5), ink="quiet", width=1)
            self.picture.words(place, bottom + 16, mark, ink="quiet", anchor="middle")
        if across_name:
            self.picture.words(self.x + self.width / 2, bottom + 38, across_name, anchor="middle")
        if up_name:
            self.picture.words(self.x, self.y - 18, up_name)

    def curve(self, points: Sequence[tuple[float, float]], kind: str, width: float = 2.5) -> None:
        """A line through points, dashed if it shows a leak."""
        places = [self.at(*point) for point in points]
        self.picture.line(*places, ink=LINE_INKS[kind], width=width, dash=DASHES[kind])

    def band(self, across: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> None:
        """The surface between two curves."""
        there = [self.at(*point) for point in zip(across, low, strict=True)]
        back = [self.at(*point) for point in zip(across, high, strict=True)][::-1]
        self.picture.line(*there, *back, fill=LINE_INKS[kind], width=0, opacity=0.2)

    def names(self, ends: Sequence[tuple[float, str, str]]) -> None:
        """Names at the right of the curves, each a height, a text and a kind, moved apart where they would overlap."""
        line = LINE - 2
        heights = sorted(
            (self.at(10 ** self.across[1] if "x" in self.log else self.across[1], up)[1], text, kind)
            for up, text, kind in ends
        )
        placed: list[float] = []
        for height, _, _ in heights:
            placed.append(max(height, placed[-1] + line) if placed else height)
        over = max(0.0, (placed[-1] if placed else 0) - (self.y + self.height))
        for index in reversed(range(len(placed))):
            limit = placed[index + 1] - line if index + 1 < len(placed) else placed[index] - over
            placed[index] = min(placed[index], limit)
        for height, (_, text, kind) in zip(placed, heights, strict=True):
            self.picture.words(self.x + self.width + 12, height, text, ink=INK[kind], bold=True)
