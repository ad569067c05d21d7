"""NaN and mask are painted by mouse, keyboard and touch; a quiet 0, a loud NaN and an error are told apart."""

import pytest
from live_page import result_of, tab_to

pytestmark = pytest.mark.pages

NAME = "broken_loss"
SQUARE_FIRST, SELECT_FIRST = "square, then select", "select, then square"


def entries(tab, line: str):
    return tab.locator(f'[data-line="{line}"] .cell')


def choose(tab, chip: str) -> None:
    tab.locator(".chips label", has_text=chip).click()


def shown_in(tab) -> list[str]:
    """Loss and gradient, and beside each what is said of it."""
    return [tab.locator(f".{name}").inner_text() for name in ("loss", "should", "of-weight", "should-weight")]


def test_the_opening_state_has_a_right_loss_and_a_lost_gradient_and_only_that_is_orange(shown):
    tab, _ = shown(NAME)
    assert shown_in(tab) == ["1.17", "as it should be", "NaN", "should be 0.20"]
    assert tab.locator(".live .wrong").all_inner_texts() == ["NaN", "should be 0.20"]
    assert tab.locator(".cell.leak").all_inner_texts() == ["NaN"]
    assert entries(tab, "gradient").nth(6).get_attribute("class") == "cell leak nan"


def test_each_way_loses_what_the_chapter_says(shown):
    tab, _ = shown(NAME)
    choose(tab, "then × mask")
    assert shown_in(tab) == ["NaN", "should be 1.17", "NaN", "should be 0.20"]
    assert "loud" in result_of(tab)
    choose(tab, SELECT_FIRST)
    assert shown_in(tab) == ["1.17", "as it should be", "0.20", "as it should be"]
    assert tab.locator(".live :is(.wrong, .leak)").count() == 0


def test_a_click_on_an_error_makes_it_nan_and_a_second_click_a_number_again(shown):
    tab, _ = shown(NAME)
    entries(tab, "error").nth(6).click()
    assert entries(tab, "error").nth(6).inner_text() == "−0.8"
    assert shown_in(tab) == ["1.17", "as it should be", "0.20", "as it should be"]
    entries(tab, "error").nth(0).click()
    assert shown_in(tab) == ["NaN", "as it should be", "NaN", "as it should be"]
    assert "the data are broken" in result_of(tab)
    assert tab.locator(".live :is(.wrong, .leak)").count() == 0  # no padding has got through


def test_the_mask_is_painted_down_to_nothing_which_four_divisors_answer_in_three_ways(shown):
    tab, _ = shown(NAME)
    first, last = (entries(tab, "mask").nth(place).bounding_box() for place in (0, 4))
    tab.mouse.move(first["x"] + 5, first["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(last["x"] + 5, last["y"] + 5, steps=30)
    tab.mouse.up()
    entries(tab, "error").nth(6).click()
    assert entries(tab, "mask").all_inner_texts() == ["0"] * 8
    said = {}
    for chip in ("count (N1.5)", "count + 1e-6", "at least 1", "raise an error"):
        choose(tab, chip)
        said[chip] = [
            *shown_in(tab)[:2],
            tab.locator(".should").get_attribute("class"),
            tab.locator(".sum").inner_text(),
        ]
    assert said == {
        "count (N1.5)": ["NaN", "should be an error", "should wrong", "Σ 0.00 ÷ 0"],
        "count + 1e-6": ["0.00", "should be an error", "should wrong", "Σ 0.00 ÷ 0.000001"],
        "at least 1": ["0.00", "should be an error", "should wrong", "Σ 0.00 ÷ 1"],
        "raise an error": ["error", "as it should be", "should", "Σ 0.00 ÷ 0"],
    }
    assert "got no real entry" in result_of(tab)
    choose(tab, "at least 1")
    assert result_of(tab).endswith("The log shows a perfect loss of 0, and nothing is learned.")


def test_everything_is_done_by_keyboard_alone(shown):
    tab, _ = shown(NAME)

    tab_to(tab, '[data-line="mask"] .cell')
    for key in ("End", "Space", "Shift+ArrowLeft"):
        tab.keyboard.press(key)
    assert entries(tab, "mask").all_inner_texts() == [*"11111011"]
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "dim 7, real"
    tab_to(tab, '[data-line="error"] .cell')
    tab.keyboard.press("Space")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "dim 1, real, error NaN"
    assert entries(tab, "error").nth(0).get_attribute("aria-selected") == "true"


def test_cells_are_painted_by_touch_on_a_phone_which_shows_all_of_them(shown):
    tab, _ = shown(NAME, has_touch=True, viewport={"width": 390, "height": 800})
    entries(tab, "error").nth(5).tap()
    entries(tab, "mask").nth(5).tap()
    assert "the data are broken" in result_of(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [cell.bounding_box() for cell in tab.locator(".lines .cell").all()]
    assert min(min(box["height"], box["width"]) for box in boxes) >= 32
