"""A real Chromium for the page tests. In CI it must be there; elsewhere the tests say what they miss and skip."""

import os
from pathlib import Path

import pytest
from chromium import launch
from live_cases import PICTURES
from live_page import IMPORT, STANDING
from playwright.sync_api import Error, Page, sync_playwright
from visits import Bookmark, Visit, address, show_theme

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
def visit(browser, site):
    """Opens a page with the network cut. When the test ends: nothing asked of the network, no error in the console."""
    visits: list[Visit] = []

    def open_page(page: str, query: str = "", **options) -> Page:
        visits.append(Visit(browser, address(site, page) + query, **options))
        return visits[-1].tab

    yield open_page
    for one in visits:
        one.close()
    for one in visits:
        one.assert_quiet()


@pytest.fixture(scope="session")
def bookmark(browser):
    """The page that `opened` has open, closed before the browser is."""
    mark = Bookmark()
    yield mark
    mark.close()


@pytest.fixture
def opened(browser, site, bookmark):
    """Opens a page as `visit` does, once for all tests of this page that follow one another: to load it takes seconds.

    They may change its size and its theme and move its controls, and so must bear a page whose controls were moved.
    """

    def open_page(page: str, width: int = 1280, theme: str = "light") -> Page:
        if bookmark.page != page:
            bookmark.close()
            size = {"width": 1280, "height": 900}
            bookmark.visit = Visit(
                browser, address(site, page), viewport=size, color_scheme="light", reduced_motion="reduce"
            )
            bookmark.page = page
        tab = bookmark.visit.tab
        if tab.viewport_size != {"width": width, "height": 900}:
            tab.set_viewport_size({"width": width, "height": 900})
        show_theme(tab, theme)
        return tab

    yield open_page
    if bookmark.visit:
        bookmark.visit.assert_quiet()


@pytest.fixture(scope="session")
def plain(browser):
    """Opens empty tabs, all in one context: to make one takes half a second."""
    context = browser.new_context()
    yield context.new_page
    context.close()


@pytest.fixture
def shown(browser, plain):
    """Shows a picture as a page does, and says what stood there before its script ran."""
    opened = []

    def show(name: str, **options):
        if options:
            opened.append(browser.new_context(**options))
            tab = opened[-1].new_page()
        else:
            tab = plain()
            opened.append(tab)
        picture = PICTURES[name]()
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
    for tab_or_context in opened:
        tab_or_context.close()
