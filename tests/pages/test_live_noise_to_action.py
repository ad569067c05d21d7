"""Noise to action is moved by mouse, keyboard and touch, and says of every sampler whether it is as training was."""

import pytest
from live_page import result_of
from playwright.sync_api import expect

from groot_teach.chapters.velocity.noise_to_action import NOTICES, PLANE

pytestmark = pytest.mark.pages

ZEROS, KEPT, FREE, TRAINED = "zeros", "kept noise", "free", "as trained"


def place_of(tab, selector: str) -> tuple[float, float]:
    box = tab.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def choose(tab, sampler: str):
    tab.locator(".chips label", has_text=sampler).click()


def test_the_handle_drags_the_flow_time_to_both_ends_and_no_further(shown):
    tab, _ = shown("noise_to_action")
    frame = tab.locator(".frame").bounding_box()
    tab.mouse.move(*place_of(tab, ".grip"))
    tab.mouse.down()
    for x, t, size in ((frame["x"] + 0.25 * frame["width"], "0.25", "0.75"), (frame["x"] - 90, "0.00", "1.00")):
        tab.mouse.move(x, frame["y"] + 20, steps=4)
        assert f"At flow time {t}, the padded dim holds numbers of size {size} in training" in result_of(tab)
    tab.mouse.move(frame["x"] + frame["width"] + 90, frame["y"], steps=4)
    tab.mouse.up()
    tab.mouse.move(frame["x"], frame["y"])
    assert tab.locator(".slider output").inner_text() == "1.00"
    assert tab.locator(".slider input").get_attribute("aria-valuetext") == "1.00"
    assert place_of(tab, ".knob")[0] == pytest.approx(frame["x"] + frame["width"], abs=1)


def test_keys_move_the_flow_time_and_choose_the_sampler(shown):
    tab, _ = shown("noise_to_action")
    tab.locator(".slider input").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
        tab.keyboard.press(key)
    assert "flow time 0.45" in result_of(tab)
    tab.keyboard.press("End")
    assert result_of(tab).endswith(f"in this sampler; the two are the same. {NOTICES['end']}")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".chips input:checked").get_attribute("value") == KEPT
    assert "0.00 in training and 1.00 in this sampler; sample by sample, the two are 1.00 apart" in result_of(tab)


def test_a_finger_on_the_handle_drags_and_one_beside_it_does_not(shown):
    tab, _ = shown("noise_to_action", has_touch=True, viewport={"width": 390, "height": 1100})
    touch = tab.context.new_cdp_session(tab)

    def drag(x, y, across, down):
        places = [{"x": x + across * part / 5, "y": y + down * part / 5} for part in range(6)]
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
        for place in places[1:]:
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
            tab.evaluate("new Promise(requestAnimationFrame)")  # a finger is no faster than the screen
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    frame = tab.locator(".frame").bounding_box()
    x, y = place_of(tab, ".grip")
    drag(frame["x"] + 0.2 * frame["width"], frame["y"] + 0.9 * frame["height"], 60, 0)
    assert "flow time 0.50" in result_of(tab)
    drag(x, y, 0.3 * frame["width"], 30)
    expect(tab.locator(".live-said")).to_contain_text("flow time 0.80")


def test_only_one_sampler_is_as_in_training_at_every_flow_time_that_it_asks_about(shown):
    tab, _ = shown("noise_to_action")
    right = {sampler: [] for sampler in (FREE, KEPT, ZEROS, TRAINED)}
    for sampler, times in right.items():
        choose(tab, sampler)
        tab.locator(".slider input").focus()
        tab.keyboard.press("Home")
        for t in (0, 0.25, 0.5, 0.75, 1):
            if "the two are the same." in result_of(tab):
                times.append(t)
                assert result_of(tab).endswith(NOTICES[TRAINED if sampler == TRAINED else "end" if t else "start"])
                assert tab.locator(".flow-plots.misses, .off.wrong").count() == 0
            else:
                assert result_of(tab).endswith(NOTICES[sampler])
                assert tab.locator(".flow-plots.misses, .off.wrong").count() == 2
            assert tab.locator(".flow-plots.unlike").count() == (sampler != TRAINED)
            for _ in range(5):
                tab.keyboard.press("ArrowRight")
    assert right == {FREE: [0], KEPT: [0], ZEROS: [1], TRAINED: [0, 0.25, 0.5, 0.75, 1]}
    assert "NaN" not in tab.locator(".live").inner_text()


def test_points_travel_on_straight_lines_from_noise_to_action(shown):
    tab, _ = shown("noise_to_action")
    slider = tab.locator(".slider input")

    def places(kind: str, x="cx", y="cy"):
        return [(float(dot.get_attribute(x)), float(dot.get_attribute(y))) for dot in tab.locator(kind).all()]

    starts = places(".start")
    slider.press("Home")
    assert places("circle.trained") == starts
    slider.press("End")
    ends = places("circle.trained")
    assert {round(y, 2) for _, y in ends} == {PLANE["y"]}  # the axis: a padded action is 0
    for _ in range(15):
        slider.press("ArrowLeft")
    for start, end, there in zip(starts, ends, places("circle.trained"), strict=True):
        assert there == pytest.approx([0.75 * a + 0.25 * b for a, b in zip(start, end, strict=True)], abs=0.02)
