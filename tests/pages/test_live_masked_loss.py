"""The masked loss is painted by mouse, keyboard and touch, and never shows a number that is not one."""

import json
from typing import Any

import pytest
from live_cases import by_torch_masked_loss
from live_page import result_of

from groot_teach.chapters.loss import masked_loss

pytestmark = pytest.mark.pages


def test_the_mask_is_painted_by_mouse_and_the_other_mask_is_called_your_own(shown):
    tab, _ = shown("masked_loss")
    cells = tab.locator('[data-sheet="mask"] .cell')
    start, end = (cells.nth(place).bounding_box() for place in (4, 5))
    tab.mouse.move(start["x"] + 8, start["y"] + 8)
    tab.mouse.down()
    tab.mouse.move(end["x"] + 8, end["y"] + 8, steps=5)
    tab.mouse.up()
    assert [cells.nth(place).get_attribute("aria-selected") for place in (3, 4, 5)] == ["true", "false", "false"]
    assert tab.locator('[data-control="mask"] input:checked').get_attribute("value") == "your own"
    report = by_torch_masked_loss(state_of("untrained", "1111" + "00" + "1" * 30))
    assert f"The loss is {report['loss']:.2f} and should be {report['right']:.2f}." in result_of(tab)


def state_of(network: str, painted: str) -> dict[str, Any]:
    constants = json.loads(masked_loss.masked_loss_picture()._html.split('application/json">')[1].split("</script>")[0])
    constants = constants["constants"]
    return {
        "error": constants["errors"][network],
        "counts": [bit == "1" for bit in painted],
        "recorded": constants["recorded"],
        "dims": constants["dims"],
        "divide_by": "entries that count",
    }


def test_the_mask_is_painted_by_keyboard_alone(shown):
    tab, _ = shown("masked_loss")
    cells = tab.locator('[data-sheet="mask"] .cell')
    while not tab.evaluate("document.activeElement.matches('.cell')"):
        tab.keyboard.press("Tab")
    for key in (
        "ArrowRight",
        "ArrowDown",
        "Space",
        "Shift+ArrowRight",
        "End",
        "Home",
        "ArrowLeft",
        "ArrowUp",
        "ArrowUp",
    ):
        tab.keyboard.press(key)
    off = [place for place in range(36) if cells.nth(place).get_attribute("aria-selected") == "false"]
    assert off == [7, 8]
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("dual arm, step 1, dim 1,")


def test_the_mask_is_painted_by_touch(shown):
    tab, _ = shown("masked_loss", has_touch=True, viewport={"width": 390, "height": 800})
    tab.locator('[data-sheet="mask"] .cell').nth(35).tap()
    assert tab.locator('[data-sheet="mask"] .cell').nth(35).get_attribute("aria-selected") == "false"
    assert tab.locator('[data-control="mask"] input:checked').get_attribute("value") == "your own"


def test_a_mask_that_counts_nothing_gives_no_loss_rather_than_a_wrong_one(shown):
    tab, _ = shown("masked_loss")
    cells = tab.locator('[data-sheet="mask"] .cell')
    first, last = cells.first.bounding_box(), cells.nth(35).bounding_box()
    tab.mouse.move(first["x"] + 5, first["y"] + 5)
    tab.mouse.down()
    for row in range(6):
        top = cells.nth(6 * row).bounding_box()["y"] + 5
        tab.mouse.move(first["x"] + 5, top)
        tab.mouse.move(last["x"] + 5, top, steps=20)
    tab.mouse.up()
    assert result_of(tab) == "No entry counts, so there is no loss."
    assert tab.locator(".loss").inner_text() == "no loss"
    assert "NaN" not in tab.locator(".live").inner_text()
