"""The batch is dragged and painted by mouse, keyboard and touch, and says when a loss reads its mask upside down."""

import pytest
from live_page import result_of

pytestmark = pytest.mark.pages


def recorded(tab) -> list[int]:
    """How many entries of each robot are recorded."""
    cells = tab.locator('[data-sheet="entries"] .cell').evaluate_all(
        "cells => cells.map((cell) => cell.getAttribute('aria-selected') === 'true')"
    )
    return [sum(cells[start : start + 24]) for start in (0, 24, 48)]


def handle(tab, name: str):
    return tab.get_by_role("slider", name=name)


def drag(tab, name: str, right: float, down: float) -> None:
    box = handle(tab, name).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + right, y + down, steps=6)
    tab.mouse.up()


def test_the_opening_batch_is_half_padding_and_the_loss_counts_that_half(shown):
    tab, _ = shown("build_the_batch")
    assert recorded(tab) == [16, 2, 18]
    made = "36 of 72 action entries are padding, and 5 of 18 tokens. The loss counts 36 entries, of them "
    assert result_of(tab) == (
        made + "36 padding, should be 0. It leaves out 36 recorded ones. It reads the mask upside down."
    )
    tab.get_by_role("button", name="read as it is meant").click()
    assert recorded(tab) == [16, 2, 18]
    assert result_of(tab) == made + "0 padding, as it should be."


def test_each_edge_follows_the_mouse_and_stays_inside_the_batch(shown):
    tab, _ = shown("build_the_batch")
    cell = tab.locator('[data-sheet="entries"] .cell').first.bounding_box()["width"] + 2
    drag(tab, "dual arm, recorded dims", -2 * cell, 0)
    assert recorded(tab) == [8, 2, 18]
    drag(tab, "small arm, recorded steps", 0, 2 * cell)
    assert recorded(tab) == [8, 6, 18]
    assert handle(tab, "small arm, recorded steps").get_attribute("aria-valuenow") == "3"
    drag(tab, "humanoid, recorded dims", 500, 0)
    drag(tab, "humanoid, recorded steps", 0, -500)
    assert recorded(tab) == [8, 6, 6]
    drag(tab, "dual arm, words of the prompt", -500, 0)
    assert tab.locator(".token-row").first.get_attribute("aria-label") == (
        "prompt of the dual arm: fold the towel on the table"
    )
    assert "2 of 18 tokens." in result_of(tab)
    assert tab.complaints == []


def test_each_edge_moves_by_the_arrow_keys(shown):
    tab, _ = shown("build_the_batch")
    dims = handle(tab, "dual arm, recorded dims")
    dims.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        tab.keyboard.press(key)
    assert dims.get_attribute("aria-valuenow") == "5"
    tab.keyboard.press("Home")
    assert recorded(tab) == [4, 2, 18]
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "dual arm, recorded steps"
    tab.keyboard.press("ArrowUp")
    assert recorded(tab) == [3, 2, 18]
    words = handle(tab, "small arm, words of the prompt")
    words.focus()
    tab.keyboard.press("ArrowRight")  # toward the end of the row: one word less
    assert words.get_attribute("aria-valuenow") == "5"


def test_entries_are_painted_and_a_dragged_block_is_whole_again(shown):
    tab, _ = shown("build_the_batch")
    cells = tab.locator('[data-sheet="entries"] .cell')
    cells.nth(21).click()  # the claw in the last step
    cells.nth(24).focus()
    for key in ("Space", "ArrowRight", "Space"):
        tab.keyboard.press(key)
    assert recorded(tab) == [15, 0, 18]
    assert tab.locator('[data-sheet="flags"] .cell').nth(4).inner_text() == "1"  # nothing is left of this step
    drag(tab, "small arm, recorded steps", 0, 26)
    assert recorded(tab) == [15, 4, 18]


def test_a_finger_on_an_edge_drags_and_on_the_cells_paints(shown):
    tab, _ = shown("build_the_batch", has_touch=True, viewport={"width": 390, "height": 1200})
    assert handle(tab, "dual arm, recorded dims").evaluate("el => getComputedStyle(el).touchAction") == "none"
    box = handle(tab, "dual arm, recorded dims").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    phone = tab.context.new_cdp_session(tab)
    for kind, points in (("touchStart", [x]), ("touchMove", [x - 30]), ("touchMove", [x - 60]), ("touchEnd", [])):
        phone.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at, "y": y} for at in points]})
    assert recorded(tab) == [8, 2, 18]
    tab.locator('[data-sheet="entries"] .cell').nth(23).tap()
    assert recorded(tab) == [9, 2, 18]


@pytest.mark.parametrize(
    ("mask", "true_means", "said"),
    [
        (
            "action_mask",
            "padding",
            "The loss counts 36 entries, of them 36 padding, should be 0. "
            "It leaves out 36 recorded ones. It reads the mask upside down.",
        ),
        (
            "action_is_pad",
            "real",
            "The loss counts 24 entries, of them 24 padding, should be 0. "
            "It leaves out 36 recorded ones. It reads the mask upside down.",
        ),
        (
            "action_is_pad",
            "padding",
            "The loss counts 48 entries, of them 12 padding, should be 0. This mask knows nothing of dims.",
        ),
    ],
)
def test_a_mask_that_is_read_otherwise_than_it_was_meant_is_said_in_orange(shown, mask, true_means, said):
    tab, _ = shown("build_the_batch")
    tab.get_by_role("radio", name=mask).check()
    tab.get_by_role("radio", name=true_means).check()
    assert result_of(tab).endswith(f" {said}")
    assert tab.locator(".counted").inner_text() == said
    assert "wrong" in tab.locator(".counted").get_attribute("class")


def test_a_mask_upside_down_finds_nothing_where_nothing_is_padded(shown):
    tab, _ = shown("build_the_batch")
    tab.get_by_role("button", name="upside down, without padding").click()
    said = "0 of 72 action entries are padding, and 0 of 18 tokens. The loss counts no entry, so there is no loss."
    assert result_of(tab) == said
    tab.get_by_role("radio", name="real").check()
    assert result_of(tab).endswith("The loss counts 72 entries, of them 0 padding, as it should be.")


def test_the_place_under_the_pointer_is_read_out(shown):
    tab, _ = shown("build_the_batch")
    tab.locator('[data-sheet="entries"] .cell').nth(34).hover()
    assert tab.locator(".live-readout").inner_text() == "small arm, step 2, dim 5: padding, counts"
    tab.get_by_role("button", name="read as it is meant").focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".live-readout").inner_text() == "small arm, step 2, dim 5: padding, does not count"
