"""The page of the note's claims as readers meet it: from file://, offline, in Chromium, without a script."""

from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

pytestmark = pytest.mark.pages


@pytest.fixture
def page(visit):
    return partial(visit, "book/claims")


def test_every_claim_is_a_row_with_a_verdict_in_words_and_needs_no_script(page):
    tab = page(java_script_enabled=False)
    assert tab.get_by_role("table", name="Claims").get_by_role("rowheader").count() == 26
    verdicts = tab.locator(".claims-verdict").all_inner_texts()
    assert len(verdicts) == 26
    assert {"Holds", "Wrong", "Missing"} < {*verdicts}


def test_a_number_in_the_counts_leads_to_its_claim(page):
    tab = page()
    tab.locator("a[href='#claim-24']").first.click()
    row = tab.locator("#claim-24")
    assert row.evaluate("(el) => el.matches(':target')")
    assert 0 <= row.bounding_box()["y"] < tab.viewport_size["height"]


def test_every_link_to_a_chapter_leads_to_a_section_that_is_there(page):
    links = page().locator(".claims-table a[href*='notebooks/']").evaluate_all("(all) => all.map((a) => a.href)")
    assert len(links) > 24
    for link in links:
        address = urlparse(link)
        assert f'id="{address.fragment}"' in Path(unquote(address.path)).read_text(encoding="utf-8"), link


def test_on_a_wide_screen_the_table_fits_and_on_a_phone_each_claim_is_a_card(page):
    wide = page(viewport={"width": 1300, "height": 900})
    assert wide.locator(".claims-scroll").evaluate("(el) => el.scrollWidth <= el.clientWidth")
    phone = page(viewport={"width": 360, "height": 740})
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    cell = phone.locator("#claim-1 td").first
    assert cell.evaluate("(el) => getComputedStyle(el, '::before').content") == '"Verdict"'
    assert cell.bounding_box()["width"] > 280
