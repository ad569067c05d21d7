"""What pages the site has, as its table of contents lists them."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONTENTS = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [CONTENTS["root"], *(chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"])]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def each(pages):
    """The pages one by one, for `parametrize`. One process runs all tests of a page, which it opens once: `opened`."""
    return [pytest.param(page, id=page, marks=pytest.mark.xdist_group(page)) for page in pages]


EACH_PAGE = each(PAGES)
EACH_CHAPTER = each(f"notebooks/{notebook}" for notebook in NOTEBOOKS)
