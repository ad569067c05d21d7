"""The live pictures in a real Chromium: they compute what torch computes, and they open as Python drew them."""

import json
import random
from collections.abc import Iterator
from math import isfinite
from typing import Any

import pytest
from live_cases import CHAPTERS, PICTURES, TWINS, source_of
from live_page import IMPORT, STANDING, result_of

pytestmark = pytest.mark.pages

STATES = 2000


def numbers(value: Any) -> Iterator[tuple[str, Any]]:
    """Every number in a result, with the way to it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ((f"{key}.{way}", number) for way, number in numbers(part))
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from ((f"{place}.{way}", number) for way, number in numbers(part))
    else:
        yield "", value


def same(here: Any, there: Any) -> bool:
    """Whether two results agree: numbers to 1e-12, NaN with NaN, and all else exactly."""
    if here is None or isinstance(here, str | bool):
        return there == here
    if not isfinite(here):
        return there == json.dumps(here)  # as the page spells it, too
    return abs(there - here) <= 1e-12 * max(1, abs(here))


# The states go there and the results come back as text: Playwright's own way, value by value, takes twice as long.
COMPUTE = """async ([source, name]) => {{
  const twin = (await {IMPORT}).twins[name];
  const spelt = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);
  return JSON.stringify(({states}).map(twin), spelt);
}}"""


def test_every_function_of_every_picture_has_a_twin_that_is_tested(plain):
    named = set()
    for module in sorted(CHAPTERS.glob("*/*.js")):
        tab = plain()
        tab.set_content("<p>")
        named |= set(
            tab.evaluate(f"async (source) => {IMPORT}.then((module) => Object.keys(module.twins))", source_of(module))
        )
        tab.close()
    assert named == {*TWINS}


@pytest.mark.parametrize("name", TWINS)
def test_the_page_computes_what_torch_computes_to_1e_12(plain, name):
    twin, chance = TWINS[name], random.Random(name)
    states = [twin.draw(chance) for _ in range(STATES)]
    tab = plain()
    tab.set_content("<p>")
    compute = COMPUTE.format(IMPORT=IMPORT, states=json.dumps(states))
    shown = json.loads(tab.evaluate(compute, [source_of(twin.module), name]))
    tab.close()
    assert len(shown) == STATES
    for state, there in zip(states, shown, strict=True):
        here = dict(numbers(json.loads(json.dumps(twin.torch(state)))))
        there = dict(numbers(there))
        assert here.keys() == there.keys()
        for way, number in here.items():
            assert same(number, there[way]), (state, way)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_opens_exactly_as_python_drew_it(shown, name):
    tab, before = shown(name)
    assert tab.evaluate(STANDING) == before
    assert tab.complaints == []


@pytest.mark.parametrize("name", PICTURES)
def test_each_control_changes_what_is_said_and_every_try_is_a_setting_of_its_own(shown, name):
    tab, _ = shown(name)
    said = []
    buttons = tab.locator(".try")
    for place in range(buttons.count()):
        buttons.nth(place).click()
        said.append(result_of(tab))
    assert len({*said}) == len(said) >= 3
    for chip in tab.locator(".chips label").all():
        before = tab.evaluate(STANDING)
        if not chip.locator("input").is_checked() and chip.inner_text() != "your own":
            chip.click()
            assert tab.evaluate(STANDING) != before
    assert tab.complaints == []


def test_a_cell_that_was_clicked_shows_its_ring_once_a_key_is_pressed_or_the_keyboard_comes_back(shown):
    tab, _ = shown("one_mask_many_forms")
    cell = tab.locator('[data-line="words"] .cell').first

    def ring():
        return cell.evaluate("(el) => getComputedStyle(el).outlineStyle")

    cell.click()
    assert ring() == "none"
    tab.keyboard.press("Space")
    assert ring() == "solid"
    cell.click()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Shift+Tab")
    assert ring() == "solid"
