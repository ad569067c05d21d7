"""`explore.js` in a real browser, on a page that holds one widget with every kind of panel and every kind of input."""

from pathlib import Path

import pytest
import torch
from front_ends import classic_script
from reading import assert_shows_what_torch_computed, read_all_states, widget_of

from groot_teach.show import Bars, Column, HeatMap, KindMap, Lines, Number, Table, explore
from groot_teach.show.explorer import STYLES

pytestmark = pytest.mark.pages
WIDGETS = Path(__file__).parents[2] / "groot_teach" / "show"


ROBOTS = {"narrow": 2, "wide": 5, "half": 3, "odd": 1, "six": 6, "i": 2, "j": 3, "k": 4, "l": 5}  # too many for chips


KINDS = {
    "r": ("real", "real"),
    "p": ("padding", "padded"),
    "h": ("hidden", "hidden"),
    "c": ("leak", "leak & more"),
}


def everything(robot, real, masked, softness):
    """What moves when everything moves?"""
    dims = ROBOTS[robot]
    cells = ["r" * dims + "p" * (7 - dims) if step < real else ("h" if masked else "c") * 7 for step in range(4)]
    weights = torch.softmax(torch.arange(6, dtype=torch.float64).reshape(2, 3) * softness, dim=-1)
    return {
        "count": Number(real * dims, digits=0),
        "loss": Number(-real / 3, should_be=-1),
        "map": KindMap(cells, KINDS, rows="step", columns="dim", groups={"first <arm>": 1, "second arm": 3}),
        "bars": Bars(["steps", "dims"], [real, dims], ["real", "leak"], maximum=7, digits=1),
        "weights": HeatMap(weights, rows="query", columns=["fold", "the", "towel"]),
        "errors": HeatMap([[dims] * 7] * 4, "step", "dim", high=6, digits=0, cells=cells, legend=KINDS),
        "curves": Lines([0, 1, 2.5], {"a": [real, -2, 3], "b": [0, 1, dims]}, "step", low=-2, high=6, digits=2),
        "table": Table(
            ["what", "how much", Column("part", "share"), Column("holds", "verdict", wrong=["no"])],
            [["real", real, real / 7, masked], ["masked" if masked else "not <masked>", -0.04, 1, not masked]],
            digits=1,
        ),
    }


def made():
    sizes = {"real": (1, 4), "masked": True, "softness": {"none": 0.0, "some": 0.7}}
    return explore(everything, robot=list(ROBOTS), **sizes)


@pytest.fixture
def page(plain):
    tab = plain()
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    yield tab
    assert tab.errors == []
    tab.close()


def show(page, *explorers, script=True, styles=False):
    style = "".join((WIDGETS / name).read_text(encoding="utf-8") for name in STYLES) if styles else ""
    code = classic_script((WIDGETS / "explore.js").read_text(encoding="utf-8"))
    body = "".join(explorer._html for explorer in explorers)
    body += f"<script>{code}</script>" if script else ""
    page.set_content(f"<!doctype html><style>{style}</style><body>{body}</body>")


def test_every_state_of_every_panel_shows_what_was_computed(page):
    explorer = made()
    show(page, explorer)
    assert assert_shows_what_torch_computed(page.locator(".explore"), widget_of(explorer)) == 9 * 4 * 2 * 2


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
    numbers = page.locator(".explore-number strong").all_inner_texts()
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
    page.locator(".explore-grid").first.locator("tbody td").first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    said = page.locator(".explore-point").inner_text()
    assert said == "second arm, step 1, dim 2: real"
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    assert page.locator(".explore-point").inner_text() == "second arm, step 1, dim 1: real"
    page.keyboard.press("End")
    assert page.locator(".explore-point").inner_text() == "second arm, step 1, dim 7: padded"
    page.keyboard.press("PageDown")
    assert page.locator(".explore-point").inner_text() == "second arm, step 3, dim 7: hidden"
    assert page.locator(".explore-grid").first.locator("td[tabindex='0']").count() == 1


def test_keys_that_belong_to_the_browser_are_left_to_it(page):
    show(page, made())
    page.locator(".explore-grid").first.locator("tbody td").first.focus()
    page.evaluate("addEventListener('keydown', (event) => { window.taken = event.defaultPrevented; })")
    for keys, taken in (("Alt+ArrowDown", False), ("Control+ArrowDown", False), ("ArrowDown", True)):
        page.keyboard.press(keys)
        assert page.evaluate("window.taken") is taken


def test_a_page_with_widgets_is_silent_until_the_reader_points(page):
    show(page, made())
    assert page.locator(".explore-point").get_attribute("aria-live") is None
    page.locator(".explore-grid tbody td").first.hover()
    assert page.locator(".explore-point").get_attribute("aria-live") == "polite"


def test_pointing_at_a_cell_says_what_stands_there(page):
    show(page, made())
    page.locator(".explore-grid").nth(1).locator("tbody td").nth(4).hover()
    assert page.locator(".explore-point").inner_text() == "query 2, the: 0.333"
    page.locator(".explore-grid").nth(2).locator("tbody td").nth(6).hover()
    assert page.locator(".explore-point").inner_text() == "step 1, dim 7: 2, padded"


def test_what_is_said_stands_beside_the_cell_and_inside_the_widget(page):
    show(page, made(), styles=True)
    for cell in (0, 6, 21, 27):
        target = page.locator(".explore-grid").first.locator("tbody td").nth(cell)
        target.hover()
        at, said, whole = (
            place.bounding_box() for place in (target, page.locator(".explore-point"), page.locator(".explore"))
        )
        assert -40 < said["y"] - at["y"] < 40
        assert said["x"] - 1 <= at["x"] <= said["x"] + said["width"] + 1
        assert whole["x"] <= said["x"] <= whole["x"] + whole["width"] - said["width"]


def test_what_is_said_goes_when_the_pointer_leaves_or_the_reader_presses_escape(page):
    show(page, made())
    said = page.locator(".explore-point")
    cell = page.locator(".explore-grid tbody td").first
    cell.hover()
    assert said.is_visible()
    page.locator(".explore-caption").hover()
    assert not said.is_visible()
    cell.focus()
    assert said.is_visible()
    page.keyboard.press("Escape")
    assert not said.is_visible()


def test_pointing_at_a_curve_says_the_values_at_the_nearest_x(page):
    show(page, made())
    picture = page.locator(".explore-lines")
    box = picture.bounding_box()
    picture.hover(position={"x": 0.45 * box["width"], "y": 5}, force=True)
    assert page.locator(".explore-point").inner_text() == "step 1: a -2.00, b 1.00"


def test_what_is_said_of_a_cell_follows_the_controls(page):
    show(page, made())
    page.locator(".explore-grid").first.locator("tbody td").nth(8).hover()
    assert page.locator(".explore-point").inner_text() == "second arm, step 1, dim 2: real"
    page.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    assert page.locator(".explore-point").inner_text() == "second arm, step 1, dim 2: hidden"


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
    assert len(set(said)) == 9 * 4 * 2 * 2
