"""Words are hidden by mouse, keyboard and touch, and every form of the mask shows what PyTorch makes of it."""

import pytest
from live_page import result_of

pytestmark = pytest.mark.pages

NAME = "one_mask_many_forms"


def line(tab, name: str) -> list[str]:
    return tab.locator(f'[data-line="{name}"] .cell').all_inner_texts()


def choose(tab, chip: str) -> None:
    tab.locator(".chips label", has=tab.get_by_text(chip, exact=True)).click()


def shown_in(tab) -> list[str]:
    """Hidden attention and answer, and beside each what is said of it."""
    names = ("on-hidden", "should-hidden", "answer", "should-answer")
    return [tab.locator(f".{name}").inner_text() for name in names]


def shares(tab) -> list[str]:
    return tab.locator(".reach .share").all_inner_texts()


def test_the_opening_mask_of_ones_and_zeros_hides_nothing_and_the_reading_of_pads_is_orange(shown):
    tab, _ = shown(NAME)
    assert shown_in(tab) == ["27 %", "should be 0 %", "31.8", "should be 21.6"]
    assert line(tab, "mask") == ["1.0", "1.0", "1.0", "0.0", "0.0"]
    assert tab.locator('[data-line="words"] .leak').all_inner_texts() == ["pad: 60", "pad: 60"]
    assert tab.locator(".reach i.leak").count() == 2


@pytest.mark.parametrize(
    ("form", "mask", "of_function", "of_module"),
    [
        ("True = read", ["True", "True", "True", "False", "False"], "21.6", "60.0"),
        ("True = hide", ["False", "False", "False", "True", "True"], "60.0", "21.6"),
        ("0 and −inf", ["0", "0", "0", "−inf", "−inf"], "21.6", "21.6"),
        ("0 and −10000", ["0", "0", "0", "−10000", "−10000"], "21.6", "21.6"),
        ("0 and finfo.min", ["0", "0", "0", "−1.8e308", "−1.8e308"], "21.6", "21.6"),
    ],
)
def test_each_form_says_what_is_passed_and_what_is_read(shown, form, mask, of_function, of_module):
    tab, _ = shown(NAME)
    choose(tab, form)
    assert line(tab, "mask") == mask
    for passed_to, answer in (("scaled_dot_product_attention", of_function), ("MultiheadAttention", of_module)):
        choose(tab, passed_to)
        assert shown_in(tab)[2] == answer
        assert (tab.locator(".live .wrong").count() == 0) is (answer == "21.6")


def test_integers_are_refused_with_pytorchs_message_and_nothing_is_read(shown):
    tab, _ = shown(NAME)
    choose(tab, "1 and 0, integers")
    assert shown_in(tab) == ["–", "nothing is read", "an error", "for its dtype"]
    assert "Expected attn_mask dtype to be bool" in result_of(tab)
    assert shares(tab) == ["–"] * 5
    assert tab.locator(".live :is(.wrong, .leak)").count() == 0  # nothing has got through
    choose(tab, "MultiheadAttention")
    assert "only bool and floating types of key_padding_mask are supported" in result_of(tab)


def test_with_every_word_hidden_pytorch_answers_in_four_ways_and_what_is_right_is_for_the_reader_to_decide(shown):
    tab, _ = shown(NAME)
    choose(tab, "True = read")
    first, last = (tab.locator('[data-line="words"] .cell').nth(place).bounding_box() for place in (0, 2))
    tab.mouse.move(first["x"] + 5, first["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(last["x"] + 5, last["y"] + 5, steps=20)
    tab.mouse.up()
    answers = {}
    for form in ("True = read", "0 and −10000", "0 and finfo.min"):
        choose(tab, form)
        answers[form] = shown_in(tab)[2]
        is_zero = form == "True = read"
        assert shown_in(tab)[3] == "there is no right answer"
        assert result_of(tab).endswith(" What should come out, 0 or an error, is for you to decide.")
        assert shown_in(tab)[:2] == (["0 %", ""] if is_zero else ["100 %", "should be 0 %"])
        assert (tab.locator(".live .wrong").count() == 0) is is_zero
    choose(tab, "MultiheadAttention")
    choose(tab, "0 and −inf")
    assert [*answers.values(), shown_in(tab)[2]] == ["0.0", "40.6", "36.0", "NaN"]
    assert shares(tab) == ["NaN"] * 5
    assert "NaN" in result_of(tab)
    assert tab.complaints == []


def test_words_are_hidden_by_keyboard_alone(shown):
    tab, _ = shown(NAME)
    choose(tab, "True = read")
    while not tab.evaluate("document.activeElement.matches('.cell')"):
        tab.keyboard.press("Tab")
    for key in ("ArrowRight", "Space", "Shift+ArrowRight", "End", "Space"):
        tab.keyboard.press(key)
    assert line(tab, "mask") == ["True", "False", "False", "False", "True"]
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("pad, may be read, ")


def test_words_are_hidden_by_touch_on_a_phone_which_shows_all_of_it(shown):
    tab, _ = shown(NAME, has_touch=True, viewport={"width": 390, "height": 800})
    tab.locator('[data-line="words"] .cell').nth(0).tap()
    assert line(tab, "mask") == ["0.0", "1.0", "1.0", "0.0", "0.0"]
    choose(tab, "0 and finfo.min")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    cut = "(cells) => cells.filter((cell) => cell.firstElementChild.offsetWidth > cell.clientWidth).length"
    assert tab.locator('[data-line="mask"] .cell').evaluate_all(cut) == 0
