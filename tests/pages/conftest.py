"""A real Chromium for the page tests. In CI it must be there; elsewhere the tests say what they miss and skip."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing(what: str):
    """Fails in CI and skips elsewhere, with the reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI this may not be skipped: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing(f"no browser: install one of {', '.join(BROWSERS)}")
    # The flags: CI runs as root, and Chromium's own errands to the network are refused there, many at a time.
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=quiet)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").is_file():
        missing("no site in _build/html: run `make book`")
    return SITE
