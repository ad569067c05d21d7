"""The field survey as readers meet it: from file://, offline, in Chromium, with a keyboard."""

from functools import partial

import pytest

pytestmark = pytest.mark.pages


@pytest.fixture
def survey(visit):
    return partial(visit, "book/field_survey")


def shown(tab) -> list[str]:
    return [row.locator("th p").first.inner_text() for row in tab.locator(".survey-table tbody tr:visible").all()]


def said(tab) -> str:
    return tab.get_by_role("status").inner_text()


def test_typing_filters_the_rows_says_how_many_and_clearing_brings_them_back(survey):
    tab = survey()
    everyone = shown(tab)
    assert len(everyone) > 25
    assert said(tab) == f"{len(everyone)} of {len(everyone)} policies shown."
    field = tab.get_by_label("Search the survey")
    field.focus()
    tab.keyboard.type("octo")
    assert shown(tab) == ["Octo"]
    assert said(tab) == f"1 of {len(everyone)} policies shown."
    tab.keyboard.press("Control+A")
    tab.keyboard.press("Delete")
    assert shown(tab) == everyone
    assert said(tab) == f"{len(everyone)} of {len(everyone)} policies shown."


def test_all_words_must_be_there_in_any_order_and_any_case(survey):
    tab = survey()
    field = tab.get_by_label("Search the survey")
    field.fill("LEROBOT act")
    both = shown(tab)
    field.fill("act lerobot")
    assert shown(tab) == both
    assert "ACT in LeRobot" in both
    assert "ACT" not in both
    field.fill("no such policy")
    assert shown(tab) == []
    assert said(tab).startswith("0 of ")


def test_pi_is_found_in_either_spelling(survey):
    tab = survey()
    field = tab.get_by_label("Search the survey")
    field.fill("π0-FAST")
    assert shown(tab) == ["π0-FAST in LeRobot"]
    field.fill("pi0-fast")
    assert "π0-FAST in LeRobot" in shown(tab)


def test_design_and_status_narrow_the_rows_and_the_clear_button_gives_all_back(survey):
    tab = survey()
    everyone = shown(tab)
    tab.get_by_label("Run or read").select_option("run")
    run = shown(tab)
    assert run == [name for name in everyone if name in run]
    assert 0 < len(run) < len(everyone)
    assert tab.locator("tbody tr:visible .row-status").all_inner_texts() == ["run"] * len(run)
    tab.get_by_label("Run or read").select_option("")
    tab.get_by_label("Design").select_option("D")
    assert shown(tab) == ["Octo"]
    tab.get_by_label("Search the survey").fill("evo1")
    assert shown(tab) == []
    tab.get_by_role("button", name="Clear").press("Enter")
    tab.wait_for_function("document.querySelectorAll('.survey-table tbody tr:not([hidden])').length > 1")
    assert shown(tab) == everyone
    assert said(tab).startswith(f"{len(everyone)} of ")
    assert tab.evaluate("document.activeElement.id") == "survey-text"


def test_return_in_the_field_does_not_leave_the_page(survey):
    tab = survey()
    tab.get_by_label("Search the survey").fill("evo1")
    tab.get_by_label("Search the survey").press("Enter")
    assert tab.url.endswith("field_survey.html")
    assert shown(tab) == ["EVO1 in LeRobot"]


def test_the_labels_of_cards_are_not_searched(survey):
    tab = survey()
    tab.get_by_label("Search the survey").fill("past the end")
    assert len(shown(tab)) < 5


def test_without_javascript_the_whole_table_is_there_and_the_form_is_not(survey):
    tab = survey(java_script_enabled=False)
    assert len(shown(tab)) > 25
    assert not tab.locator(".survey-form").is_visible()


def test_the_table_scrolls_by_keyboard_in_its_own_region(survey):
    tab = survey(viewport={"width": 1300, "height": 900})
    region = tab.get_by_role("region", name="The survey as a table")
    assert region.evaluate("(el) => el.scrollWidth > el.clientWidth")
    region.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.querySelector('.survey-scroll').scrollLeft > 0")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_each_policy_is_a_card_with_its_labels_and_still_a_row(survey):
    tab = survey(viewport={"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    cell = tab.locator(".survey-table tbody td").nth(1)
    assert cell.bounding_box()["width"] > 300
    assert cell.evaluate("(el) => getComputedStyle(el, '::before').content") == '"Padded dims"'
    assert tab.get_by_role("row").count() > 25
    assert tab.get_by_role("rowheader").count() > 25
    tab.get_by_label("Search the survey").fill("octo")
    assert shown(tab) == ["Octo"]


def test_a_link_to_a_row_that_is_filtered_away_shows_it_again(survey):
    tab = survey()
    tab.get_by_label("Search the survey").fill("evo1")
    tab.evaluate("location.hash = 'survey-octo'")
    tab.locator("#survey-octo").wait_for(state="visible")
