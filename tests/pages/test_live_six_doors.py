"""The doors are opened and shut by mouse, keyboard and touch, and the picture always says what torch computed."""

import pytest
from live_page import result_of

from groot_teach.chapters.inside.six_doors import CHOICES, six_doors
from groot_teach.masks import GROOT_N1_7, open_leaks, with_switches

pytestmark = pytest.mark.pages


def version(tab) -> str:
    return tab.locator('[data-control="version"] input:checked').get_attribute("value")


def door(tab, leak: str):
    return tab.get_by_role("checkbox", name=leak)


def orange(tab) -> set[str]:
    return set(tab.locator(".pipe:has(i.leak)").evaluate_all("(all) => all.map((pipe) => pipe.dataset.line)"))


def shown_numbers(tab) -> list[str]:
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in tab.locator(".moved").all_inner_texts()]


@pytest.mark.parametrize("name", CHOICES)
def test_each_version_shows_its_doors_and_its_numbers(shown, name):
    tab, _ = shown("six_doors")
    tab.locator(".chips label", has=tab.locator(f'input[value="{name}"]')).click()
    parts, masking = CHOICES[name]
    report = six_doors(parts, masking)
    opened = [one.inner_text() for one in tab.locator(".door label").all() if one.locator("input").is_checked()]
    assert tuple(opened) == open_leaks(masking)
    numbers = (report.predictions, report.loss, report.actions)
    assert shown_numbers(tab) == [f"{100 * number:.1f} %" if number else "0 %" for number in numbers]
    assert result_of(tab).startswith(f"{name}: ")
    assert orange(tab) == {line for line, kind in report.lines.items() if kind == "leak"}
    assert tab.complaints == []


def test_a_door_is_shut_by_mouse_and_the_setting_is_called_your_own(shown):
    tab, _ = shown("six_doors")
    tab.locator(".door label", has_text="mixing leak").click()
    assert version(tab) == "your own"
    report = six_doors("N1.7", with_switches(GROOT_N1_7, vl_self_attention="closed"))
    assert shown_numbers(tab)[0] == f"{100 * report.predictions:.1f} %"
    assert "read" not in orange(tab)


def test_pull_request_741_is_recognised_when_its_three_doors_are_shut_by_keyboard(shown):
    tab, _ = shown("six_doors")
    for leak in ("input leak", "step leak", "rollout leak"):
        while not door(tab, leak).evaluate("(box) => box === document.activeElement"):
            tab.keyboard.press("Tab")
        tab.keyboard.press("Space")
    assert version(tab) == "N1.7 + PR 741"
    assert "comes along in real tokens" in result_of(tab)
    assert orange(tab) == {"mixed", "read", "predicted", "sampled"}


def test_a_door_is_shut_by_touch_on_a_phone(shown):
    tab, _ = shown("six_doors", has_touch=True, viewport={"width": 390, "height": 800})
    tab.locator(".door label", has_text="step leak").tap()
    assert not door(tab, "step leak").is_checked()
    assert version(tab) == "your own"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("leak", open_leaks(CHOICES["N1.5"][1]))
def test_a_door_that_is_shut_and_opened_again_is_where_the_version_had_it(shown, leak):
    tab, _ = shown("six_doors")
    tab.locator(".chips label", has_text="N1.5").click()
    before = result_of(tab)
    for _ in range(2):
        assert version(tab) == "N1.5"
        door(tab, leak).click()
        assert version(tab) == "your own"
        door(tab, leak).click()
    assert result_of(tab) == before


def test_where_n1_6_has_no_layer_there_is_no_door(shown):
    tab, _ = shown("six_doors")
    tab.locator(".chips label", has_text="N1.6").click()
    assert door(tab, "mixing leak").is_disabled()
    assert tab.locator(".vl-self-attention .does").inner_text() == "there is no such layer"
    assert tab.locator(".vl-self-attention em").text_content() == "absent"
    tab.locator(".chips label", has_text="N1.5").click()
    assert door(tab, "mixing leak").is_enabled()


def test_a_loss_that_divides_by_padding_says_so(shown):
    tab, _ = shown("six_doors")
    tab.locator(".chips label", has_text="strict").click()
    door(tab, "denominator leak").click()
    assert shown_numbers(tab) == ["0 %", "0 %", "0 %"]
    assert tab.locator(".divisor").inner_text() == "\N{DIVISION SIGN} 1,536, not 428"
    assert "only 428 of them are recorded" in result_of(tab)
    door(tab, "denominator leak").click()
    assert tab.locator(".divisor").inner_text() == ""
    assert version(tab) == "strict"


def test_your_own_is_what_the_reader_makes_and_no_choice(shown):
    tab, _ = shown("six_doors")
    assert tab.locator(".chips label", has_text="your own").locator("input").is_disabled()


@pytest.mark.parametrize(("wish", "moves"), [("reduce", "none"), ("no-preference", "travel")])
def test_padding_travels_only_before_readers_who_allow_motion(shown, wish, moves):
    tab, _ = shown("six_doors", reduced_motion=wish)
    names = tab.locator(".pipe > i.leak").evaluate_all("(all) => all.map((one) => getComputedStyle(one).animationName)")
    assert set(names) == {moves}
