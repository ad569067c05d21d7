"""A real Chromium for the page tests. In CI it must be there; elsewhere the tests say what they miss and skip."""

import os
from pathlib import Path

import pytest
from chromium import launch
from live_cases import PICTURES
from live_page import IMPORT, STANDING
from playwright.sync_api import Error, sync_playwright

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


@pytest.fixture
def shown(browser):
    """Shows a picture as a page does, and says what stood there before its script ran."""
    contexts = []

    def show(name: str, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab, picture = context.new_page(), PICTURES[name]()
        complaints: list[str] = []
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        style = f"<style>{picture._css}</style>"
        tab.set_content(f"<!doctype html><html lang=en><title>x</title>{style}<main>{picture._html}</main></html>")
        before = tab.evaluate(STANDING)
        render = f"""async (source) => {{
          const {{ start }} = await {IMPORT}; start(document.querySelector("[data-picture]"));
        }}"""
        tab.evaluate(render, picture._esm)
        tab.complaints = complaints
        return tab, before

    yield show
    for context in contexts:
        context.close()
