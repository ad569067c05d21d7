"""A real Chromium for the page tests. In CI it must be there; elsewhere the tests say what they miss and skip."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from benchmarks.pages import launch

SITE = Path(__file__).parents[2] / "_build" / "html"


def missing(what: str):
    """Fails in CI and skips elsewhere, with the reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI this may not be skipped: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        try:
            launched = launch(playwright)
        except Error as error:
            missing(f"no browser, Chromium or Chrome: {error}")
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").is_file():
        missing("no site in _build/html: run `make book`")
    return SITE
