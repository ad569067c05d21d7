"""Padding is dragged into the prompt and tokens are hidden by mouse, keyboard and touch; no number is wrong."""

from itertools import pairwise

import pytest
from live_page import result_of, tab_to

from groot_teach.chapters.attention.what_an_action_reads import (
    MOST_PADS,
    NOTICES,
    PROMPT,
    notice_of,
    what_an_action_reads_picture,
)

pytestmark = pytest.mark.pages

NAME = "what_an_action_reads"
EVERYTHING = "1" * (len(PROMPT) + MOST_PADS)
REAL = "1" * len(PROMPT) + "0" * MOST_PADS


def said_by_torch(**state) -> str:
    picture = what_an_action_reads_picture()
    picture.state = picture.state | state
    reading = picture.value
    pads = f"{picture.state['pads']} pads".replace("1 pads", "1 pad")
    return (
        f"With {pads}, {100 * reading.on_padding:.0f} % of the attention goes to padding. "
        f"The answer is off by {100 * reading.off_by:.0f} %. "
        f"The loss is {reading.loss:.3f} and should be {reading.right:.3f}. "
        + NOTICES[notice_of(picture.state, reading)]
    )


def shares(tab) -> list[str]:
    return tab.locator(".vl-token:not([hidden]) .share").all_inner_texts()


def faces(tab) -> list[str]:
    return tab.locator(".vl-token:not([hidden]) .face").all_inner_texts()


def test_the_slider_is_dragged_and_brings_the_pads_on_the_side_that_is_chosen(shown):
    tab, _ = shown(NAME)
    track = tab.locator("[data-control=pads] input").bounding_box()
    middle = track["y"] + track["height"] / 2
    tab.mouse.move(track["x"] + track["width"] / 2, middle)
    tab.mouse.down()
    tab.mouse.move(track["x"] + track["width"] - 1, middle, steps=5)
    tab.mouse.up()
    assert faces(tab) == ["pad"] * MOST_PADS + ["", "", *PROMPT[2:]]
    assert result_of(tab) == said_by_torch(pads=8)
    tab.locator("[data-control=side] label", has_text="right").click()
    assert faces(tab) == ["", "", *PROMPT[2:]] + ["pad"] * MOST_PADS
    assert result_of(tab) == said_by_torch(pads=8)  # attention knows no order
    padding, prompt = (tab.locator(f".taken {part}").bounding_box()["x"] for part in ("i.leak", "i:not(.leak)"))
    assert prompt < padding  # in the bar as in the row: the ribbons end where they belong


def test_a_click_hides_one_token_and_the_mask_is_then_your_own(shown):
    tab, _ = shown(NAME)
    tokens = tab.locator(".vl-token")
    tokens.nth(3).click()
    tokens.nth(10).click()  # "cup", the last word
    assert [shares(tab)[place] for place in (3, 10)] == ["0 %", "0 %"]
    assert tab.locator("[data-control=mask] input:checked").get_attribute("value") == "your own"
    mask = [*EVERYTHING]
    mask[len(PROMPT) + 3] = mask[len(PROMPT) - 1] = "0"
    assert result_of(tab) == said_by_torch(mask="".join(mask))
    assert tokens.nth(10).get_attribute("aria-label") == "cup, real, hidden"
    assert tokens.nth(3).get_attribute("aria-label") == "pad 4, padding, hidden"


def test_hiding_the_pads_one_by_one_is_the_mask(shown):
    tab, _ = shown(NAME)
    for place in range(4):
        tab.locator(".vl-token").nth(place).click()
    assert tab.locator("[data-control=mask] input:checked").get_attribute("value") == "on"
    assert result_of(tab) == said_by_torch(mask=REAL)
    assert tab.locator(".live .wrong").count() == 0


def test_everything_is_done_by_keyboard_alone(shown):
    tab, _ = shown(NAME)

    tab_to(tab, "input[type=range]")
    tab.keyboard.press("ArrowRight")
    assert result_of(tab) == said_by_torch(pads=5)
    tab_to(tab, ".vl-token")
    tab.keyboard.press("End")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("cup, real, ")
    tab.keyboard.press("ArrowRight")  # there is none behind it
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("cup, real, ")
    tab.keyboard.press("Home")
    tab.keyboard.press("Space")
    tab.keyboard.press("Shift+ArrowRight")
    assert [shares(tab)[place] for place in (0, 1)] == ["0 %", "0 %"]
    tab.keyboard.press("Space")
    assert shares(tab)[0] == "0 %" != shares(tab)[1]


def test_the_row_of_tokens_can_be_reached_again_when_the_token_with_the_focus_is_gone(shown):
    tab, _ = shown(NAME)
    tab.locator(".vl-token").nth(10).click()
    tab.locator(".try", has_text="no pads").click()
    assert tab.locator(".vl-token[tabindex='0']:not([hidden])").count() == 1


def test_tokens_are_hidden_by_touch_on_a_phone_which_shows_all_of_them(shown):
    tab, _ = shown(NAME, has_touch=True, viewport={"width": 390, "height": 800})
    tab.locator(".try", has_text="eight zeros").tap()
    tab.locator(".vl-token").nth(14).tap()
    assert shares(tab)[14] == "0 %"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [token.bounding_box() for token in tab.locator(".vl-token .face").all()]
    assert min(box["height"] for box in boxes) >= 44
    assert min(box["width"] for box in boxes) >= 18


def test_with_every_token_hidden_there_is_no_answer_rather_than_a_wrong_one(shown):
    tab, _ = shown(NAME)
    tab.locator(".try", has_text="no pads").click()
    for place in range(len(PROMPT)):
        tab.locator(".vl-token").nth(place).click()
    assert result_of(tab).startswith("Every token is hidden.")
    assert [tab.locator(f".live .{part}").inner_text() for part in ("off-by", "loss")] == ["no answer", "no loss"]
    assert not {"NaN", "Infinity", "undefined", "null"} & {*tab.locator(".live").inner_text().split()}
    assert tab.complaints == []


def test_pads_that_point_away_are_read_without_a_mask_and_change_nothing_that_is_shown(shown):
    tab, _ = shown(NAME)
    tab.locator(".try", has_text="harmless by luck").click()
    assert tab.locator("[data-control=mask] input:checked").get_attribute("value") == "off"
    assert result_of(tab) == said_by_torch(pads_are="pointing away", pads=8)
    assert "0 % of the attention goes to padding. The answer is off by 0 %." in result_of(tab)
    assert tab.locator(".results .wrong").count() == 0


def test_the_tick_of_the_loss_has_its_name_below_it(shown):
    tab, _ = shown(NAME)
    for setting in ("one pad of noise", "eight zeros"):
        tab.locator(".try", has_text=setting).click()
        tick, name = tab.locator(".tick").bounding_box(), tab.locator(".tick-name").bounding_box()
        assert abs(tick["x"] + tick["width"] / 2 - name["x"]) < 2
        assert tick["y"] < name["y"] < tick["y"] + tick["height"] + 20
    assert (
        tab.locator(".tick-name").inner_text() == f"as it should be: {what_an_action_reads_picture().value.right:.3f}"
    )


def test_the_ribbons_end_side_by_side_in_the_bar(shown):
    tab, _ = shown(NAME)
    ends = tab.evaluate(
        """() => [...document.querySelectorAll(".ribbons path")].map((path) => path.getAttribute("d")).filter(Boolean)
             .map((d) => [d.match(/ (\\S+) 100H/)[1], d.match(/100H([^C]+)C/)[1]])"""
    )
    assert len(ends) == 11
    assert ends[0][0] == "320.0"
    assert ends[-1][1] == "680.0"
    assert all(left[1] == right[0] for left, right in pairwise(ends))
