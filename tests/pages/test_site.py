"""The built site as readers meet it: from file://, with the network cut, in Chromium, on every page."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from contents import EACH_CHAPTER, EACH_PAGE, NOTEBOOKS, ROOT, each
from playwright.sync_api import Page
from reading import assert_shows_what_torch_computed, stored
from visits import address, show_theme

from benchmarks.pages import weight

pytestmark = pytest.mark.pages

PAGE_BUDGET = 300_000
"""Bytes on the wire for one page, gzip, everything it loads."""


@pytest.mark.parametrize("page", EACH_PAGE)
def test_a_page_opens_offline_weighs_less_than_its_budget_and_never_scrolls_sideways(opened, bookmark, page):
    tab = opened(page, width=360)
    assert tab.locator("article h1").count() == 1
    assert 0 < weight(bookmark.visit.requests) <= PAGE_BUDGET
    assert not any("searchindex" in url for url in bookmark.visit.requests)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    for widget in tab.locator(".explore").all():
        assert widget.evaluate("(el) => el.scrollWidth <= el.clientWidth")


WIDGETS = {f"notebooks/{notebook}": stored(ROOT / "notebooks" / f"{notebook}.ipynb") for notebook in NOTEBOOKS}
WITH_WIDGETS = each(page for page, widgets in WIDGETS.items() if widgets)


def test_most_chapters_have_a_widget_that_pages_show():
    assert len(WITH_WIDGETS) > len(NOTEBOOKS) / 2


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_every_state_of_every_widget_shows_what_torch_computed(opened, page):
    """As the notebook stores it, and nbval proves that torch computes the same now."""
    shown = opened(page).locator(".explore")
    assert shown.count() == len(WIDGETS[page])
    for place, widget in enumerate(WIDGETS[page]):
        assert assert_shows_what_torch_computed(shown.nth(place), widget) > 1


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_every_control_on_the_page_is_reached_and_moved_by_keyboard_alone(opened, page):
    tab = opened(page)
    tab.locator(".explore").first.evaluate("(el) => { el.tabIndex = -1; el.focus(); }")
    # A group of radio buttons is one stop, at the button that is checked.
    stops = tab.locator(".explore-controls > :not(fieldset), .explore-controls > fieldset").count()
    moved = 0
    for _ in range(40 * stops):
        tab.keyboard.press("Tab")
        kind = tab.evaluate("document.activeElement.closest('.explore-controls') && document.activeElement.type")
        if kind:
            widget = tab.locator(".explore:has(:focus)")
            if kind in ("range", "select-one"):
                tab.keyboard.press("Home")
            before = widget.locator(".explore-said").inner_text()
            tab.keyboard.press({"checkbox": "Space", "range": "ArrowRight"}.get(kind, "ArrowDown"))
            assert widget.locator(".explore-said").inner_text() != before
            moved += 1
        if moved == stops:
            return
    pytest.fail(f"reached {moved} of {stops} controls")


@pytest.mark.parametrize("page", EACH_CHAPTER)
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
  const painted = new Map([[null, ""]]);
  const behind = (element) => {
    if (!painted.has(element)) {
      const {backgroundColor, backgroundImage, opacity} = getComputedStyle(element);
      const plain = backgroundColor === "rgba(0, 0, 0, 0)" && backgroundImage === "none" && opacity === "1";
      const own = plain ? "" : ` ${backgroundColor} ${backgroundImage} ${opacity}`;
      painted.set(element, own + behind(element.parentElement));
    }
    return painted.get(element);
  };
  for (const element of document.querySelectorAll("article, article *")) {
    const {color, fontSize, fontWeight, textDecorationLine} = getComputedStyle(element);
    element.looks += ` ${color} ${fontSize} ${fontWeight} ${textDecorationLine}${behind(element)}`;
  }
}"""
# axe takes half a minute for some thousand words of code that are all of one look.
MARK_ONE_OF_EACH_LOOK = """() => {
  const seen = new Set();
  for (const element of document.querySelectorAll("article, article *")) {
    const owns = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const {width, height} = element.getBoundingClientRect();
    if (!owns || width * height < 9 || !element.checkVisibility({visibilityProperty: true})) continue;
    element.toggleAttribute("data-first-of-its-look", !seen.has(element.looks));
    seen.add(element.looks);
  }
  return seen.size;
}"""
FIRST = "[data-first-of-its-look]"
# axe's time goes with the number of elements, wherever they are, so most of them wait elsewhere while it runs.
REPLACE = """(pairs) => {
  for (const [element, stand_in] of pairs) element.replaceWith(stand_in);
  window.putBack = () => { for (const [element, stand_in] of pairs) stand_in.replaceWith(element); };
}"""
PUT_BACK = "putBack()"
TAKE_OUT_THE_REST = f"""() => {{
  const blocks = [...document.querySelectorAll("article section > :not(section), article .cell > *")];
  const rest = blocks.filter((block) => !block.matches("{FIRST}, :has({FIRST})"));
  ({REPLACE})(rest.map((block) => [block, document.createComment("taken out")]));
}}"""
UNCOLOUR_CODE = f"""() => ({REPLACE})([...document.querySelectorAll("article .highlight pre")].map((code) => {{
  const plain = code.cloneNode(false);
  plain.textContent = code.textContent;
  return [code, plain];
}}))"""
FIRST_OF_EACH_LOOK = {"include": [[FIRST]], "exclude": [[f"{FIRST} > :not({FIRST})"]]}
# axe has a rule for links, which passes whatever it sees: it takes `outline: none 3px`, every element's, for a mark.
LINKS_THAT_LOOK_LIKE_TEXT = """() => [...document.querySelectorAll("article a[href]")].filter((link) => {
  const around = [...link.parentElement.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const [own, its] = [link, link.parentElement].map((element) => getComputedStyle(element));
  const underlined = own.textDecorationLine.includes("underline");
  return around.some((text) => /\\w/.test(text.data)) && own.color === its.color && !underlined;
}).map((link) => link.outerHTML)"""


def faults(tab: Page, context: str | dict, rules: dict) -> list[tuple[str, str, str]]:
    # preload fetches stylesheets by XHR, which file:// forbids.
    options = {"preload": False, "resultTypes": ["violations"]} | rules
    found = Axe().run(tab, context=context, options=options).response["violations"]
    return [(fault["id"], node["html"], node["failureSummary"]) for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("page", EACH_PAGE)
def test_axe_finds_no_fault_in_the_article_in_light_and_in_dark(opened, page):
    """Nothing but the contrast depends on the theme: it alone is asked twice, of one text of each look."""
    tab = opened(page)
    rules = ("color-contrast", "link-in-text-block")
    tab.evaluate(UNCOLOUR_CODE)
    assert faults(tab, "article", {"rules": {rule: {"enabled": False} for rule in rules}}) == []
    tab.evaluate(PUT_BACK)
    assert tab.evaluate(LINKS_THAT_LOOK_LIKE_TEXT) == []
    for theme in ("dark", "light"):
        show_theme(tab, theme)
        tab.evaluate(NOTE_LOOKS)
    assert tab.evaluate(MARK_ONE_OF_EACH_LOOK) > 3
    tab.evaluate(TAKE_OUT_THE_REST)
    for theme in ("light", "dark"):
        show_theme(tab, theme)
        assert faults(tab, FIRST_OF_EACH_LOOK, {"runOnly": ["color-contrast"]}) == []
    tab.evaluate(PUT_BACK)


def test_a_pale_word_and_a_link_that_looks_like_text_would_be_found(visit):
    tab = visit("index")
    pale, link = "color: #bbb", "color: inherit; text-decoration: none"
    added = f'<p style="{pale}">pale</p><p>see <a href="#x" style="{link}">this</a></p>'
    tab.evaluate("(html) => document.querySelector('article h1').insertAdjacentHTML('afterend', html)", added)
    tab.evaluate(NOTE_LOOKS)
    tab.evaluate(MARK_ONE_OF_EACH_LOOK)
    tab.evaluate(TAKE_OUT_THE_REST)
    found = faults(tab, FIRST_OF_EACH_LOOK, {"runOnly": ["color-contrast"]})
    assert [(rule, html[:2]) for rule, html, _ in found] == [("color-contrast", "<p")]
    assert [link[:11] for link in tab.evaluate(LINKS_THAT_LOOK_LIKE_TEXT)] == ['<a href="#x']


def test_no_folded_cell_is_left_behind_the_aside_that_it_belongs_to(site):
    pages = [(site / "notebooks" / f"{notebook}.html").read_text(encoding="utf-8") for notebook in NOTEBOOKS]
    assert sum(page.count('<details class="aside">') for page in pages) > len(NOTEBOOKS) / 2
    for page in pages:
        assert not re.search(r'</p>\s*</details>\s*<div class="cell tag_hide-cell', page)


def test_search_finds_a_word_of_chapter_1_from_a_file(visit):
    tab = visit("search", "?q=polarity")
    tab.locator("#search-results li a").first.wait_for()
    assert tab.locator("#search-results li a", has_text="Which numbers in this batch are real?").count() >= 1


@pytest.mark.parametrize("page", EACH_CHAPTER)
def test_each_notebook_can_be_downloaded_from_its_page(opened, site, page):
    href = opened(page).locator("a[href$='.ipynb']").first.get_attribute("href")
    downloaded = (site / "notebooks" / href).resolve()
    assert json.loads(downloaded.read_text(encoding="utf-8"))["nbformat"] == 4


def test_going_back_to_a_page_finds_controls_and_picture_in_the_same_state(visit, site):
    tab = visit(f"notebooks/{NOTEBOOKS[0]}")
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
    tab = visit(f"notebooks/{NOTEBOOKS[0]}")
    background = "(el) => getComputedStyle(el).backgroundColor"
    cell = tab.locator(".explore td.real").first
    before = cell.evaluate(background)
    for _ in ("auto", "light", "dark"):
        if tab.evaluate("document.documentElement.dataset.theme") != "dark":
            tab.locator("button.theme-switch-button:visible").first.click()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert cell.evaluate(background) != before
