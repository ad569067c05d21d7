"""The pictures of the built pages: in the colours of the theme, with words as large as the text, on a phone as well."""

import pytest
from contents import NOTEBOOKS, PAGES

pytestmark = pytest.mark.pages

CHAPTER = "03_masked_loss"


@pytest.fixture
def visit(browser, site):
    contexts = []

    def open_page(page, **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.goto((site / f"{page if page in PAGES else f'notebooks/{page}'}.html").as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()


def test_every_picture_is_a_part_of_its_page_with_a_label_and_ids_of_its_own(visit):
    pictures = 0
    for page in ("index", *NOTEBOOKS):
        tab = visit(page)
        assert tab.locator("article img[src$='.svg']").count() == 0
        labels = tab.locator("article .drawing > svg[role=img]").evaluate_all(
            "(all) => all.map((one) => one.ariaLabel)"
        )
        assert all(len(label) > 40 for label in labels)
        ids = tab.evaluate("() => [...document.querySelectorAll('.drawing [id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids))
        assert tab.evaluate("(ids) => ids.every((id) => document.querySelectorAll(`[id='${id}']`).length === 1)", ids)
        pictures += len(labels)
    assert pictures >= 14


def test_a_picture_takes_its_colours_and_its_typeface_from_the_page_in_both_themes(visit):
    tab = visit(CHAPTER, color_scheme="light")
    colours = {}
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)
        colours[theme] = tab.evaluate("""() => {
          const probe = document.body.appendChild(document.createElement("i"));
          const shown = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
          const svg = document.querySelector(".drawing > svg"), box = svg.querySelector("path.real");
          const ours = [getComputedStyle(box).fill, getComputedStyle(svg.querySelector("text")).fill];
          return {ours, theirs: [shown("real"), shown("ink")], paper: svg.querySelectorAll(".paper").length};
        }""")
        assert colours[theme]["ours"] == colours[theme]["theirs"]
        assert colours[theme]["paper"] == 0
    assert colours["light"]["ours"] != colours["dark"]["ours"]
    font = tab.evaluate("() => getComputedStyle(document.querySelector('.drawing text')).fontFamily")
    assert font == tab.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--sans').trim()")


@pytest.mark.parametrize("width", [1280, 390])
def test_words_can_be_read_and_no_picture_widens_the_page(visit, width):
    """In a wide column words keep their size; on a phone a picture shrinks first, not too far, and then scrolls."""
    measure = """() => {
      const size = (words) => parseFloat(getComputedStyle(words).fontSize);
      return [...document.querySelectorAll("article .drawing")].map((frame) => ({
        scale: frame.firstElementChild.getScreenCTM().a,
        smallest: Math.min(...[...frame.querySelectorAll("text")].map(size)),
        column: frame.parentElement.clientWidth,
        frame: frame.clientWidth,
        hidden: frame.scrollWidth - frame.clientWidth,
        isStop: frame.tabIndex === 0,
      }));
    }"""
    frames = 0
    for page in ("index", *NOTEBOOKS):
        tab = visit(page, viewport={"width": width, "height": 900})
        for picture in tab.evaluate(measure):
            assert picture["scale"] == pytest.approx(1, abs=0.001) or (width < 600 and picture["scale"] < 1)
            assert picture["smallest"] * picture["scale"] >= (12.9 if width > 600 else 9)
            assert picture["frame"] <= picture["column"]
            assert width < 600 or picture["hidden"] <= 0, page
            assert picture["isStop"] == (picture["hidden"] > 0)  # the keyboard can scroll it
            frames += 1
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert frames >= 14
