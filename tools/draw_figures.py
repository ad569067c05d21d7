"""Draw the pictures that prose pages and the README show, into book/figures. Notebooks draw their own."""

import argparse
import sys
from pathlib import Path

from evidence.zoo.picture import trial_svg
from groot_teach.chapters.inside.six_doors import six_doors_picture

BOOK = Path(__file__).resolve().parents[1] / "book"
FOLDER = BOOK / "figures"
PICTURES = {
    "six_doors.html": lambda: f"{six_doors_picture()._html}\n",
    "trial.svg": lambda: trial_svg(BOOK / "zoo.json"),
}
"""For each file what it holds: a live picture is the HTML that a page takes in as it is."""


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
