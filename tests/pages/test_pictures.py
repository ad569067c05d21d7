"""The pictures of the built pages: in the colours of the theme, with words as large as the text, on a phone as well."""

import json

import pytest
from contents import EACH_CHAPTER, NOTEBOOKS, ROOT, each

pytestmark = pytest.mark.pages

CHAPTER = f"notebooks/{NOTEBOOKS[2]}"


def pictures_of(chapter: str) -> int:
    """How many pictures the outputs of a notebook hold."""
    cells = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    return sum("image/svg+xml" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("page", EACH_CHAPTER)
def test_every_picture_is_a_part_of_its_page_with_a_label_and_ids_of_its_own(opened, page):
    tab = opened(page)
    assert tab.locator("article img[src$='.svg']").count() == 0
    labels = tab.locator("article .drawing > svg[role=img]").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    assert len(labels) == pictures_of(page)
    assert all(len(label) > 40 for label in labels)
    ids = tab.evaluate("() => [...document.querySelectorAll('.drawing [id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    assert tab.evaluate("(ids) => ids.every((id) => document.querySelectorAll(`[id='${id}']`).length === 1)", ids)


@pytest.mark.parametrize("page", each([CHAPTER]))
def test_a_picture_takes_its_colours_and_its_typeface_from_the_page_in_both_themes(opened, page):
    colours = {}
    for theme in ("light", "dark"):
        tab = opened(page, theme=theme)
        colours[theme] = tab.evaluate("""() => {
          const probe = document.body.appendChild(document.createElement("i"));
          const shown = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
          const svg = document.querySelector(".drawing > svg"), box = svg.querySelector("path.real");
          const ours = [getComputedStyle(box).fill, getComputedStyle(svg.querySelector("text")).fill];
          const found = {ours, theirs: [shown("real"), shown("ink")], paper: svg.querySelectorAll(".paper").length};
          probe.remove();
          return found;
        }""")
        assert colours[theme]["ours"] == colours[theme]["theirs"]
        assert colours[theme]["paper"] == 0
    assert colours["light"]["ours"] != colours["dark"]["ours"]
    font = tab.evaluate("() => getComputedStyle(document.querySelector('.drawing text')).fontFamily")
    assert font == tab.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--sans').trim()")


MEASURE = """() => {
  const size = (words) => parseFloat(getComputedStyle(words).fontSize);
  const drawn = ":scope > svg, :scope > .parts > svg"; // a part may hold others: the names of its rows, and its cells
  const shown = (frame) => [...frame.querySelectorAll(drawn)].filter((svg) => svg.getBoundingClientRect().width > 1);
  return [...document.querySelectorAll("article .drawing")].map((frame) => ({
    scale: Math.min(...shown(frame).map((svg) => svg.getScreenCTM().a)),
    shown: shown(frame).length,
    parts: frame.querySelectorAll(".parts > svg").length,
    smallest: Math.min(...[...frame.querySelectorAll("text")].map(size)),
    column: frame.parentElement.clientWidth,
    frame: frame.clientWidth,
    hidden: frame.scrollWidth - frame.clientWidth,
    isStop: frame.tabIndex === 0,
  }));
}"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", EACH_CHAPTER)
def test_words_can_be_read_and_no_picture_widens_the_page(opened, page, width):
    """In a wide column words keep their size; on a phone a picture shows its parts, or it shrinks, and then scrolls."""
    tab = opened(page, width=width)
    pictures = tab.evaluate(MEASURE)
    assert len(pictures) == pictures_of(page)
    for picture in pictures:
        assert picture["scale"] == pytest.approx(1, abs=0.001) or (width < 600 and picture["scale"] < 1)
        assert picture["smallest"] * picture["scale"] >= (12.9 if width > 600 else 9)
        assert picture["frame"] <= picture["column"]
        assert picture["shown"] == (picture["parts"] if width < 600 and picture["parts"] else 1)
        assert width < 600 or picture["hidden"] <= 0
        assert picture["isStop"] == (picture["hidden"] > 0)  # the keyboard can scroll it
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
