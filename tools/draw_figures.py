"""Draw the pictures that prose pages and the README show, into book/figures. Notebooks draw their own."""

import argparse
import sys
from pathlib import Path

from groot_teach.masks import GROOT_N1_5
from groot_teach.show.pictures import six_stages

FOLDER = Path(__file__).resolve().parents[1] / "book" / "figures"
PICTURES = {"six_stages.svg": lambda: six_stages(GROOT_N1_5)}


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw()._repr_svg_(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
