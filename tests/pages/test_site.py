"""The built site as readers meet it: from file://, with the network cut, in Chromium, on every page."""

import json
from pathlib import Path
from urllib.parse import urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from contents import NOTEBOOKS, PAGES, ROOT
from playwright.sync_api import Page
from reading import assert_shows_what_torch_computed, stored

from benchmarks.pages import weight

pytestmark = pytest.mark.pages

SITE = ROOT / "_build" / "html"
PAGE_BUDGET = 300_000
"""Bytes on the wire for one page, gzip, everything it loads."""


def address(site: Path, page: str) -> str:
    if page == "search":
        return f"{(site / 'search.html').as_uri()}?q=polarity"
    return (site / f"{page if page in PAGES else f'notebooks/{page}'}.html").as_uri()


@pytest.fixture
def visit(browser, site):
    """Opens a page with the network cut. When the test ends: nothing asked of the network, no error in the console."""
    contexts, requests, complaints = [], [], []

    def complain(request):
        if (
            request.failure != "net::ERR_ABORTED"
        ):  # the page was closed before its icon came; a lost file says otherwise
            complaints.append(f"{request.failure}: {request.url}")

    def open_page(page: str, **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: requests.append(request.url))
        if options.get("java_script_enabled", True):  # else the scripts are refused, as they should be
            tab.on("requestfailed", complain)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.goto(address(site, page))
        tab.wait_for_load_state("load")
        tab.requests = requests
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in requests if urlparse(url).scheme not in ("file", "data", "blob")] == []
    assert complaints == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_offline_weighs_less_than_its_budget_and_never_scrolls_sideways(visit, page):
    tab = visit(page)
    assert tab.locator("article h1").count() == 1
    assert 0 < weight(tab.requests) <= PAGE_BUDGET
    assert not any("searchindex" in url for url in tab.requests)
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    for widget in tab.locator(".explore").all():
        assert widget.evaluate("(el) => el.scrollWidth <= el.clientWidth")


WIDGETS = {notebook: stored(ROOT / "notebooks" / f"{notebook}.ipynb") for notebook in NOTEBOOKS}
WITH_WIDGETS = [notebook for notebook, widgets in WIDGETS.items() if widgets]


def test_most_chapters_have_a_widget_that_pages_show():
    assert len(WITH_WIDGETS) > len(NOTEBOOKS) / 2


@pytest.mark.parametrize("notebook", WITH_WIDGETS)
def test_every_state_of_every_widget_shows_what_torch_computed(visit, notebook):
    """As the notebook stores it, and nbval proves that torch computes the same now."""
    shown = visit(notebook).locator(".explore")
    assert shown.count() == len(WIDGETS[notebook])
    for place, widget in enumerate(WIDGETS[notebook]):
        assert assert_shows_what_torch_computed(shown.nth(place), widget) > 1


@pytest.mark.parametrize("notebook", WITH_WIDGETS)
def test_every_control_on_the_page_is_reached_and_moved_by_keyboard_alone(visit, notebook):
    tab = visit(notebook)
    tab.locator(".explore").first.evaluate("(el) => { el.tabIndex = -1; el.focus(); }")
    # A group of radio buttons is one stop, at the button that is checked.
    stops = tab.locator(".explore-controls > :not(fieldset), .explore-controls > fieldset").count()
    moved = 0
    for _ in range(40 * stops):
        tab.keyboard.press("Tab")
        kind = tab.evaluate("document.activeElement.closest('.explore-controls') && document.activeElement.type")
        if kind:
            widget = tab.locator(".explore:has(:focus)")
            before = widget.locator(".explore-said").inner_text()
            tab.keyboard.press({"checkbox": "Space", "range": "ArrowRight"}.get(kind, "ArrowDown"))
            assert widget.locator(".explore-said").inner_text() != before
            moved += 1
        if moved == stops:
            return
    pytest.fail(f"reached {moved} of {stops} controls")


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_without_javascript_a_widget_shows_its_start_as_figure_and_text(visit, page):
    tab = visit(page, java_script_enabled=False)
    for widget in tab.locator(".explore").all():
        data = json.loads(widget.locator("script").text_content())
        assert widget.locator(".explore-panel").count() == len(data["panels"])
        for control, position in zip(data["controls"], data["start"], strict=True):
            assert f"{control['label']}: {control['shown'][position]}" in widget.locator(".explore-said").inner_text()
        assert widget.locator(".explore-said").bounding_box()["height"] > 10
        assert widget.locator(".explore-grid tbody td, .explore-number, .bar").first.is_visible()
        assert widget.locator("input, select").first.is_disabled()


# What decides whether a text can be read: its colour and size, and all that is painted behind it.
NOTE_LOOKS = """() => {
  for (const element of document.querySelectorAll("article, article *")) {
    const {color, fontSize, fontWeight, textDecorationLine} = getComputedStyle(element);
    element.looks = `${element.looks} ${color} ${fontSize} ${fontWeight} ${textDecorationLine}`;
    for (let behind = element; behind; behind = behind.parentElement) {
      const {backgroundColor, backgroundImage, opacity} = getComputedStyle(behind);
      const painted = backgroundColor !== "rgba(0, 0, 0, 0)" || backgroundImage !== "none" || opacity !== "1";
      if (painted) element.looks += ` ${backgroundColor} ${backgroundImage} ${opacity}`;
    }
  }
}"""
# axe takes seconds for a thousand words of code, all of one look.
EMPTY_ALL_BUT_THE_FIRST_OF_EACH_LOOK = """() => {
  const seen = new Set(), again = [];
  for (const element of document.querySelectorAll("article, article *")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const {width, height} = element.getBoundingClientRect();
    if (!texts.length || width * height < 9 || !element.checkVisibility({visibilityProperty: true})) continue;
    if (seen.has(element.looks)) again.push(...texts);
    seen.add(element.looks);
  }
  for (const text of again) text.data = "";
  return seen.size;
}"""


def faults(tab: Page, rules: dict) -> list[tuple[str, str, str]]:
    # preload fetches stylesheets by XHR, which file:// forbids.
    options = {"preload": False, "resultTypes": ["violations"]} | rules
    found = Axe().run(tab, context="article", options=options).response["violations"]
    return [(fault["id"], node["html"], node["failureSummary"]) for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_fault_in_the_article_in_light_and_in_dark(visit, page):
    """Nothing but the contrast depends on the theme, so only that is asked twice, of one text of each look."""
    tab = visit(page, color_scheme="light", reduced_motion="reduce")
    assert faults(tab, {"rules": {"color-contrast": {"enabled": False}}}) == []
    tab.evaluate(NOTE_LOOKS)
    show_theme(tab, "dark")
    tab.evaluate(NOTE_LOOKS)
    assert tab.evaluate(EMPTY_ALL_BUT_THE_FIRST_OF_EACH_LOOK) > 3
    for theme in ("dark", "light"):
        show_theme(tab, theme)
        assert faults(tab, {"runOnly": ["color-contrast"]}) == []


def show_theme(tab: Page, theme: str):
    tab.emulate_media(color_scheme=theme)
    tab.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)


def test_search_finds_a_word_of_chapter_1_from_a_file(visit):
    tab = visit("search")
    tab.locator("#search-results li a").first.wait_for()
    assert tab.locator("#search-results li a", has_text="Which numbers in this batch are real?").count() >= 1


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_notebook_can_be_downloaded_from_its_page(visit, site, notebook):
    href = visit(notebook).locator("a[href$='.ipynb']").first.get_attribute("href")
    downloaded = (site / "notebooks" / href).resolve()
    assert json.loads(downloaded.read_text(encoding="utf-8"))["nbformat"] == 4


def test_going_back_to_a_page_finds_controls_and_picture_in_the_same_state(visit, site):
    tab = visit(NOTEBOOKS[0])
    widget = tab.locator(".explore:has(input[type=checkbox])").first
    widget.locator("input[type=range]").press("End")
    widget.locator("input[type=checkbox]").uncheck()
    tab.goto(address(site, "index"))
    tab.go_back()
    said = widget.locator(".explore-said").inner_text()
    at = widget.locator("input[type=range]").get_attribute("aria-valuetext")
    value = int(widget.locator("input[type=range]").input_value())
    assert json.loads(widget.locator("script").text_content())["controls"][2]["shown"][value] == at
    assert f"words: {at}." in said
    assert ("second camera: on" in said) is widget.locator("input[type=checkbox]").is_checked()


def test_a_widget_still_works_after_the_theme_was_switched(visit):
    tab = visit(NOTEBOOKS[0])
    background = "(el) => getComputedStyle(el).backgroundColor"
    cell = tab.locator(".explore td.real").first
    before = cell.evaluate(background)
    for _ in ("auto", "light", "dark"):
        if tab.evaluate("document.documentElement.dataset.theme") != "dark":
            tab.locator("button.theme-switch-button:visible").first.click()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert cell.evaluate(background) != before
