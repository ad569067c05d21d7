"""`explore.js` in a real browser, on a page that holds one widget with every kind of panel and every kind of input."""

from pathlib import Path

import pytest
import torch
from explorer_static import classic_script
from reading import assert_shows_what_torch_computed, read_all_states, widget_of

from groot_teach.show import Bars, HeatMap, KindMap, Lines, Number, Table, explore

pytestmark = pytest.mark.pages
WIDGETS = Path(__file__).parents[2] / "groot_teach" / "show"


def everything(robot, real, masked, softness):
    """What moves when everything moves?"""
    dims = {"narrow": 2, "wide": 5, "half": 3, "odd": 1, "six": 6}[robot]
    weights = torch.softmax(torch.arange(6, dtype=torch.float64).reshape(2, 3) * softness, dim=-1)
    return {
        "count": Number(real * dims, digits=0),
        "loss": -real / 3,
        "map": KindMap(
            ["r" * dims + "p" * (7 - dims) if step < real else ("h" if masked else "c") * 7 for step in range(4)],
            {
                "r": ("real", "real"),
                "p": ("padding", "padded"),
                "h": ("hidden", "hidden"),
                "c": ("leak", "leak & more"),
            },
            rows="step",
            columns="dim",
        ),
        "bars": Bars(["steps", "dims"], [real, dims], ["real", "leak"], maximum=7, digits=1),
        "weights": HeatMap(weights, rows="query", columns="key"),
        "curves": Lines([0, 1, 2.5], {"a": [real, -2, 3], "b": [0, 1, dims]}, "step", low=-2, high=6, digits=2),
        "table": Table(
            ["what", "how much"], [["real", real], ["masked" if masked else "not <masked>", -0.04]], digits=1
        ),
    }


def made():
    sizes = {"real": (1, 4), "masked": True, "softness": {"none": 0.0, "some": 0.7}}
    return explore(everything, robot=["narrow", "wide", "half", "odd", "six"], **sizes)


@pytest.fixture
def page(browser):
    tab = browser.new_page()
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    yield tab
    assert tab.errors == []
    tab.close()


def show(page, *explorers, script=True):
    code = classic_script((WIDGETS / "explore.js").read_text(encoding="utf-8"))
    body = "".join(explorer._html for explorer in explorers)
    page.set_content(f"<!doctype html><body>{body}{f'<script>{code}</script>' if script else ''}</body>")


def test_every_state_of_every_panel_shows_what_was_computed(page):
    explorer = made()
    show(page, explorer)
    assert assert_shows_what_torch_computed(page.locator(".explore"), widget_of(explorer)) == 5 * 4 * 2 * 2


def test_the_comparison_notices_a_front_end_that_shows_another_state(page):
    explorer = made()
    show(page, explorer)
    explorer._results[0], explorer._results[9] = explorer._results[9], explorer._results[0]
    with pytest.raises(AssertionError):
        assert_shows_what_torch_computed(page.locator(".explore"), widget_of(explorer))


def test_what_python_drew_is_what_the_script_draws_for_the_same_state(page):
    explorer = made()
    show(page, explorer, script=False)
    panels = "els => els.map((el) => el.innerText)"
    drawn = page.locator(".explore-panel").evaluate_all(panels)
    said = page.locator(".explore-said").inner_text()
    show(page, explorer)
    assert page.locator(".explore-panel").evaluate_all(panels) == drawn
    assert page.locator(".explore-said").inner_text() == said


def test_two_widgets_on_a_page_do_not_share_their_radio_buttons(page):
    def choose(x):
        """Two options"""
        return {"n": x}

    show(page, explore(choose, x=[1, 2]), explore(choose, x=[1, 2]))
    page.locator(".explore").nth(1).locator("input").nth(1).check()
    numbers = page.locator(".explore-number").all_inner_texts()
    assert numbers == ["1.0000", "2.0000"]
    assert page.locator(".explore").nth(0).locator("input").nth(0).is_checked()


def test_every_control_moves_by_keyboard_and_says_where_it_stands(page):
    explorer = made()
    show(page, explorer)
    keys = {"select": "ArrowDown", "input[type=range]": "ArrowRight", "input[type=checkbox]": "Space"}
    for selector, key in keys.items():
        control = page.locator(f".explore {selector}")
        before = page.locator(".explore-said").inner_text()
        control.focus()
        page.keyboard.press(key)
        assert page.locator(".explore-said").inner_text() != before
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == "3"
    assert page.locator(".explore-said").get_attribute("role") == "status"


def test_arrow_keys_walk_over_the_cells_and_stop_at_the_edge(page):
    show(page, made())
    page.locator(".explore-grid").first.locator("td").first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    said = page.locator(".explore-point").inner_text()
    assert said == "map: step 1, dim 1: real"
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    assert page.locator(".explore-point").inner_text() == "map: step 1, dim 0: real"
    page.keyboard.press("End")
    assert page.locator(".explore-point").inner_text() == "map: step 1, dim 6: padded"
    page.keyboard.press("PageDown")
    assert page.locator(".explore-point").inner_text() == "map: step 3, dim 6: hidden"
    assert page.locator(".explore-grid").first.locator("td[tabindex='0']").count() == 1


def test_keys_that_belong_to_the_browser_are_left_to_it(page):
    show(page, made())
    page.locator(".explore-grid").first.locator("td").first.focus()
    page.evaluate("addEventListener('keydown', (event) => { window.taken = event.defaultPrevented; })")
    for keys, taken in (("Alt+ArrowDown", False), ("Control+ArrowDown", False), ("ArrowDown", True)):
        page.keyboard.press(keys)
        assert page.evaluate("window.taken") is taken


def test_a_page_with_widgets_is_silent_until_the_reader_points(page):
    show(page, made())
    assert page.locator(".explore-point").get_attribute("aria-live") is None
    page.locator(".explore-grid td").first.hover()
    assert page.locator(".explore-point").get_attribute("aria-live") == "polite"


def test_pointing_at_a_cell_says_what_stands_there(page):
    show(page, made())
    page.locator(".explore-grid").nth(1).locator("td").nth(4).hover()
    assert page.locator(".explore-point").inner_text() == "weights: query 1, key 1: 0.333"


def test_pointing_at_a_curve_says_the_values_at_the_nearest_x(page):
    show(page, made())
    picture = page.locator(".explore-lines")
    box = picture.bounding_box()
    picture.hover(position={"x": 0.45 * box["width"], "y": 5}, force=True)
    assert page.locator(".explore-point").inner_text() == "curves: step 1: a -2.00, b 1.00"


def test_what_is_said_of_a_cell_follows_the_controls(page):
    show(page, made())
    page.locator(".explore-grid").first.locator("td").nth(8).hover()
    assert page.locator(".explore-point").inner_text() == "map: step 1, dim 1: real"
    page.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    assert page.locator(".explore-point").inner_text() == "map: step 1, dim 1: hidden"


@pytest.mark.parametrize("options", [[True, False], {"masked": True, "open": False}, [False, True]])
def test_options_that_happen_to_be_booleans_keep_their_order_and_their_names(page, options):
    explorer = explore(lambda x: {"n": 1 if x else 2}, x=options)
    show(page, explorer)
    assert page.locator("input[type=radio]").count() == 2
    assert page.locator("input[type=radio]").first.is_checked()
    assert_shows_what_torch_computed(page.locator(".explore"), widget_of(explorer))


def test_inputs_are_dead_without_the_script_and_alive_with_it(page):
    show(page, made(), script=False)
    assert page.locator("input[type=range]").is_disabled()
    show(page, made())
    assert page.locator("input[type=range]").is_enabled()


def test_the_reader_of_states_reads_a_state_for_each_combination(page):
    explorer = made()
    show(page, explorer)
    said = [state["said"] for state in read_all_states(page.locator(".explore"), widget_of(explorer))]
    assert len(set(said)) == 80
