"""Photograph the live picture of the first page for the README. Run it after `make book` when the picture changes."""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.pages import SITE, launch

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "book" / "figures" / "six_doors.png"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PHOTOGRAPH, help="where to write the PNG")
    options = parser.parse_args(arguments)
    if not (SITE / "index.html").is_file():
        parser.error("no site in _build/html: run `make book` first")
    with sync_playwright() as playwright:
        browser = launch(playwright, "--font-render-hinting=none")  # else letters stand unevenly
        tab = browser.new_page(
            viewport={"width": 1280, "height": 900},
            device_scale_factor=1.75,
            color_scheme="light",
            reduced_motion="reduce",
        )
        tab.goto((SITE / "index.html").as_uri())
        tab.evaluate("document.fonts.ready")
        tab.locator('[data-picture="six_doors"]').screenshot(path=options.out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
