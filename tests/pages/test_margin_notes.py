"""The margin notes as readers meet them: beside their paragraph on a wide screen, below it on a narrow one."""

from itertools import pairwise

import pytest
from contents import each

pytestmark = pytest.mark.pages

PLACES = """(notes) => notes.map((note) => {
  const rect = (el) => el.getBoundingClientRect();
  const [own, text] = [rect(note), rect(note.closest(".noted").querySelector("p"))];
  return {beside: own.left > text.right, below: own.top >= text.bottom, top: own.top, bottom: own.bottom};
})"""


EACH = pytest.mark.parametrize("page", each(["notebooks/09_silent_mask_bugs"]))


@EACH
def test_on_a_wide_screen_each_note_is_in_the_margin_and_none_covers_another(opened, page):
    places = opened(page).locator(".margin-note").evaluate_all(PLACES)
    assert len(places) > 30
    assert all(place["beside"] for place in places)
    assert all(first["bottom"] <= second["top"] for first, second in pairwise(places))


@EACH
def test_on_a_phone_each_note_is_below_its_paragraph(opened, page):
    places = opened(page, width=390).locator(".margin-note").evaluate_all(PLACES)
    assert all(place["below"] for place in places)


@EACH
def test_a_number_leads_to_its_note_and_the_note_back_to_the_number(opened, page):
    tab = opened(page, width=390)
    tab.get_by_role("link", name="note 3", exact=True).click()
    assert tab.locator("#margin-note-3").evaluate("(el) => el.matches(':target')")
    tab.get_by_role("link", name="back to the text, from note 3", exact=True).click()
    assert tab.locator("#note-ref-3").evaluate("(el) => el.matches(':target')")
