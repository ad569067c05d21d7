"""The margin notes as readers meet them: beside their paragraph on a wide screen, below it on a narrow one."""

from itertools import pairwise

import pytest

pytestmark = pytest.mark.pages

PLACES = """(notes) => notes.map((note) => {
  const rect = (el) => el.getBoundingClientRect();
  const [own, text] = [rect(note), rect(note.closest(".noted").querySelector("p"))];
  return {beside: own.left > text.right, below: own.top >= text.bottom, top: own.top, bottom: own.bottom};
})"""


@pytest.fixture
def notes(browser, site):
    contexts = []

    def found(width):
        contexts.append(browser.new_context(offline=True, viewport={"width": width, "height": 900}))
        tab = contexts[-1].new_page()
        tab.goto((site / "notebooks" / "09_silent_mask_bugs.html").as_uri())
        return tab, tab.locator(".margin-note")

    yield found
    for context in contexts:
        context.close()


def test_on_a_wide_screen_each_note_is_in_the_margin_and_none_covers_another(notes):
    places = notes(1280)[1].evaluate_all(PLACES)
    assert len(places) > 30
    assert all(place["beside"] for place in places)
    assert all(first["bottom"] <= second["top"] for first, second in pairwise(places))


def test_on_a_phone_each_note_is_below_its_paragraph(notes):
    assert all(place["below"] for place in notes(390)[1].evaluate_all(PLACES))


def test_a_number_leads_to_its_note_and_the_note_back_to_the_number(notes):
    tab, _ = notes(390)
    tab.get_by_role("link", name="note 3", exact=True).click()
    assert tab.locator("#margin-note-3").evaluate("(el) => el.matches(':target')")
    tab.get_by_role("link", name="back to the text, from note 3", exact=True).click()
    assert tab.locator("#note-ref-3").evaluate("(el) => el.matches(':target')")
