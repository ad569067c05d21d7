"""`explore` and what it can show, without a browser: the browser's half is proven in `tests/pages`."""

import json
import re
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise

import ipywidgets
import pytest
import torch
import traitlets

from groot_teach.chapters.padding.pictures import build_the_mask, pad_the_prompts
from groot_teach.show import Bars, ExploreError, Explorer, HeatMap, KindMap, Lines, Number, Table, explore
from groot_teach.show.controls import MAX_STATES
from groot_teach.show.panels import GAP

LEGEND = {"r": ("real", "recorded"), "p": ("padding", "padded")}


def share(real, padded=3):
    """Which part is padding?"""
    return {"part": padded / (real + padded)}


def data_of(explorer):
    return json.loads(explorer._html.split('<script type="application/json">')[1].split("</script>")[0])


class TestPanels:
    def test_a_number_is_rounded_to_its_digits_and_zero_has_no_sign(self):
        assert Number(1.23456, digits=2).result() == 1.23
        assert str(Number(torch.tensor(-0.00001), digits=3).result()) == "0.0"
        assert "<strong>7</strong>" in Number(torch.tensor(7), digits=0).html()

    def test_a_number_says_what_it_should_be_and_by_how_much_it_is_off(self):
        assert Number(1.09, digits=2, should_be=1.27).text() == "1.09, should be 1.27 (\N{MINUS SIGN}14 %)"
        assert Number(3, digits=0, should_be=-2).text() == "3, should be -2 (+250 %)"
        assert Number(0.351, digits=3, should_be=0).text() == "0.351, should be 0.000"
        assert Number(1.004, digits=3, should_be=1).text() == "1.004, should be 1.000"
        assert Number(1.00004, digits=3, should_be=torch.tensor(1)).text() == "1.000, as it should be, to 3 decimals"
        assert Number(0.04, digits=1, should_be=0).text() == "0.0, as it should be, to 1 decimal"
        assert Number(0.1 + 0.2, digits=1, should_be=0.3).text() == "0.3, as it should be"
        assert "wrong" in Number(2, should_be=1).html()
        assert "wrong" not in Number(2, should_be=2).html()
        assert Number(2).text() == "2.0000"
        with pytest.raises(ValueError, match="should_be: got nan, expected a finite number"):
            Number(2, should_be=float("nan"))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor(float("-inf"))])
    def test_a_number_must_be_finite(self, value):
        with pytest.raises(ValueError, match="expected a finite number"):
            Number(value)

    @pytest.mark.parametrize("ends", [(0, 1 / 3), (1 / 7, 2 / 3), (0, 2e-9)])
    def test_a_scale_may_end_at_any_two_numbers_that_grow(self, ends):
        heat = HeatMap(
            [list(ends)], "query", "key", low=ends[0], high=torch.tensor(ends[1], dtype=torch.float64), digits=15
        )
        assert heat.fixed()["low"] == ends[0]

    @pytest.mark.parametrize("value", [True, "3", None, 1j])
    def test_a_number_must_be_a_number(self, value):
        with pytest.raises(TypeError, match=r"value: got .*, expected a number"):
            Number(value)

    def test_bars_keep_labels_values_and_kinds_together(self):
        bars = Bars(["arm", "claw"], torch.tensor([14.0, 2.0]), ["real", "leak"], maximum=16, digits=0)
        assert bars.moving() == [14, 2]
        assert 'class="leak" style="width:12.5%"' in bars.html()
        with pytest.raises(ValueError, match="got 2 labels, 1 values and 2 kinds"):
            Bars(["arm", "claw"], [1.0], ["real", "real"], maximum=1)

    def test_a_bar_that_would_leave_its_scale_is_refused_not_clamped(self):
        with pytest.raises(ValueError, match=r"values: got 1.5, expected 0 to 1"):
            Bars(["arm"], [1.5], ["real"], maximum=1)
        with pytest.raises(ValueError, match=r"values: got -0.5, expected 0 to 1"):
            Bars(["arm"], [-0.5], ["real"], maximum=1)

    @pytest.mark.parametrize("digits", [-1, 1.0, True, 16])
    def test_digits_are_a_small_whole_number(self, digits):
        with pytest.raises(ValueError, match=r"digits: got .*, expected an int from 0 to 15"):
            Number(1.0, digits=digits)

    @pytest.mark.parametrize("value", [2.0**53 + 2, 10**400, -(10**20)])
    def test_a_number_that_javascript_would_write_otherwise_is_refused(self, value):
        with pytest.raises(ValueError, match="expected at most 9007199254740992 either way"):
            Number(value)

    def test_a_scale_may_end_where_the_values_end_whatever_rounding_does(self):
        weights = torch.tensor([[1 / 3, 2 / 3]], dtype=torch.float64)
        heat = HeatMap(weights, "query", "key", high=weights.max(), digits=3)
        assert heat.result() == [[0.333, 0.667]]
        assert 'class="heat real" style="--part:1">0.667</td>' in heat.html()
        assert type(heat.fixed()["high"]) is float

    def test_a_panel_keeps_its_own_copy_of_what_it_was_given(self):
        rows, labels, kinds = ["rp"], ["arm"], ["real"]
        panels = [KindMap(rows, LEGEND, "step", "dim"), Bars(labels, [1.0], kinds, maximum=1), Table(labels, [rows])]
        before = [(panel.fixed(), panel.html()) for panel in panels]
        rows[0], labels[0], kinds[0] = "pp", "claw", "leak"
        assert [(panel.fixed(), panel.html()) for panel in panels] == before

    def test_a_scale_has_an_extent(self):
        for draw in (
            lambda: Bars(["arm"], [0.0], ["real"], maximum=0),
            lambda: HeatMap([[1.0]], "query", "key", low=1, high=1),
            lambda: Lines([0, 1], {"loss": [1.0, 1.0]}, "step", low=2, high=1),
            lambda: HeatMap([[1.0]], "query", "key", low=0, high=float("inf")),
        ):
            with pytest.raises(
                ValueError, match=r"(low|high|maximum): got .*, expected (two numbers that grow|a finite number)"
            ):
                draw()

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(ValueError, match="got 'blue', expected one of real, real-too, padding, leak, hidden"):
            Bars(["arm"], [1.0], ["blue"], maximum=1)

    def test_a_map_sends_runs_and_draws_words(self):
        kinds = KindMap(["rrp", "ppp"], LEGEND, rows="step", columns="dim")
        assert kinds.moving() == ["r2p1", "p3"]
        assert kinds.html().count('<td class="padding">padded</td>') == 4
        assert '<i class="padding"></i> padded <b>4</b>' in kinds.html()
        assert kinds.text() == "2 x 3 cells: recorded: 2; padded: 4"
        assert kinds.result()[0] == ["recorded", "recorded", "padded"]

    def test_rows_and_columns_have_names_and_are_counted_from_1_in_each_group(self):
        groups = {"dual arm": 2, "small arm": 1}
        kinds = KindMap(["rrp", "ppp", "rpp"], LEGEND, rows="step", columns=["a", "b", "c"], groups=groups)
        assert kinds.fixed()["rows"] == ["step 1", "step 2", "step 1"]
        assert kinds.fixed()["columns"] == ["a", "b", "c"]
        assert '<th scope="rowgroup" rowspan="2"><span>dual arm</span></th>' in kinds.html()
        assert kinds.html().count("<tbody>") == 2

    def test_of_names_that_only_count_the_eye_sees_the_first_and_the_last(self):
        html = KindMap(["rrrr"], LEGEND, rows=["fold the towel"], columns="token").html()
        assert html.count("unseen") == 2
        assert "<span>token 1</span>" in html
        assert '<span class="unseen">token 2</span>' in html
        assert "<span>fold the towel</span>" in html

    def test_names_and_groups_that_do_not_fit_the_map_are_refused(self):
        with pytest.raises(ValueError, match="columns: got 2 names, expected 3, one for each"):
            KindMap(["rrp"], LEGEND, "step", ["a", "b"])
        with pytest.raises(ValueError, match=r"groups: got {'a': 3}, expected 2 rows in all, and at least 1 in each"):
            KindMap(["rrp", "ppp"], LEGEND, "step", "dim", groups={"a": 3})
        with pytest.raises(ValueError, match=r"groups: got {'a': 2, 'b': 0}, expected 2 rows in all"):
            HeatMap([[0.1], [0.2]], "step", "dim", groups={"a": 2, "b": 0})
        with pytest.raises(TypeError, match="rows: got 3, expected text, or a list with a text for each"):
            HeatMap([[0.1], [0.2]], 3, "dim")

    def test_a_map_refuses_ragged_rows_unknown_letters_and_digits(self):
        with pytest.raises(ValueError, match=r"rows of lengths \[3, 2\]"):
            KindMap(["rrp", "rr"], LEGEND, "step", "dim")
        with pytest.raises(ValueError, match="got the letter 'x'"):
            KindMap(["rrx"], LEGEND, "step", "dim")
        for letter in ("3", "rr", "", "\N{LARGE BLUE SQUARE}"):
            with pytest.raises(ValueError, match=r"legend: got '.*', expected one letter, a to z or A to Z"):
                KindMap(["r"], {"r": ("real", "real"), letter: ("real", "three")}, "step", "dim")
        with pytest.raises(ValueError, match=r"rows of lengths \[\]"):
            KindMap([], LEGEND, "step", "dim")

    def test_a_heat_map_places_each_value_on_its_scale(self):
        heat = HeatMap(torch.tensor([[0.0, 5.0]]), "query", "key", low=0, high=10, digits=1)
        assert 'style="--part:0.5">5.0</td>' in heat.html()
        with pytest.raises(ValueError, match=r"got 11\.0, expected 0.0 to 10.0"):
            HeatMap([[11.0]], "query", "key", low=0, high=10)

    def test_a_heat_map_knows_what_its_entries_are(self):
        heat = HeatMap([[1, 0.5]], "step", "dim", digits=1, cells=["rp"], legend=LEGEND)
        assert '<td class="heat padding" style="--part:0.5">0.5</td>' in heat.html()
        assert heat.moving() == [[[1.0, 0.5]], ["r1p1"]]
        with pytest.raises(ValueError, match="cells and legend: got one of them, expected both or neither"):
            HeatMap([[1, 0.5]], "step", "dim", cells=["rp"])
        with pytest.raises(ValueError, match=r"cells: got rows of lengths \[1\], expected the 1 x 2 of the values"):
            HeatMap([[1, 0.5]], "step", "dim", cells=["r"], legend=LEGEND)

    @pytest.mark.parametrize(("wide", "shown"), [(3, ["elbow"] * 3), (13, ["elbow"] * 2)])
    def test_a_wide_map_shows_the_names_of_its_first_and_last_columns(self, wide, shown):
        head = HeatMap([[0.5] * wide], "step", ["elbow"] * wide).html().split("</thead>")[0]
        assert re.findall("<span>(.*?)</span>", head) == shown
        assert head.count("elbow") == wide

    def test_only_a_small_heat_map_has_room_for_its_numbers(self):
        assert "narrow numbers" in HeatMap([[0.5] * 8], "step", "dim").html()
        assert "numbers" not in HeatMap([[1] * 13], "step", "dim", digits=0).html()
        assert "numbers" not in HeatMap([[0.5] * 12], "step", "dim", digits=6).html()

    @pytest.mark.parametrize("ends", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.02), (0.5, 0.45, 0.9), (0.0, 1.0, 0.5)])
    def test_the_names_of_curves_never_overlap_and_stay_in_the_picture(self, ends):
        curves = {name: [0.0, end] for name, end in zip("abc", ends, strict=True)}
        tops = Lines([0, 1], curves, "step", 0, 1, digits=2).moving()[1]
        places = sorted(tops)
        assert all(after - before >= GAP - 0.02 for before, after in pairwise(places))
        assert places[0] >= 0
        assert places[-1] <= 100
        assert sorted(range(3), key=lambda i: (-ends[i], i)) == sorted(range(3), key=tops.__getitem__)

    def test_lines_need_growing_x_and_as_many_points_as_x(self):
        lines = Lines([0, 1], {"loss": [2.0, 1.0]}, "step", low=0, high=2, digits=1)
        assert 'points="0,0 100,25"' in lines.html()
        assert ">2.0</td>" in lines.html()
        with pytest.raises(ValueError, match=r"curves\['loss'\]: got 1 points, expected 2"):
            Lines([0, 1], {"loss": [2.0]}, "step", 0, 2)
        with pytest.raises(ValueError, match="expected two or more values that grow"):
            Lines([1, 0], {"loss": [2.0, 1.0]}, "step", 0, 2)
        with pytest.raises(ValueError, match=r"curves\['loss'\]: got 3\.0, expected 0.0 to 2.0"):
            Lines([0, 1], {"loss": [3.0, 1.0]}, "step", 0, 2)

    def test_lines_round_their_values_and_never_their_x(self):
        lines = Lines([0, 1.4, 2], {"loss": [50.2, 100.4, 149.8]}, "step", low=0, high=200, digits=0)
        assert 'points="0,37.5 70,25 100,12.5"' in lines.html()
        assert '>1.4</th><td class="number" style="text-align:right">100</td>' in lines.html()

    def test_what_is_drawn_is_what_is_said_or_an_error(self):
        for draw in (
            lambda: HeatMap([[0.0004, 0.0001]], "query", "key", high=0.0005),
            lambda: Bars(["a"], [0.00004], ["real"], maximum=0.0001),
            lambda: Lines([0, 1], {"a": [0.00001, 0.00004]}, "step", low=0, high=0.0001),
        ):
            with pytest.raises(ValueError, match=r"got .*, which \d digits make .* on a scale to .*; show more"):
                draw()

    def test_labels_are_texts(self):
        for draw in (
            lambda: Bars([0], [1.0], ["real"], maximum=1),
            lambda: Table(["robot", 1], [["GR1", 2]]),
            lambda: Lines([0, 1], {0: [0.0, 1.0]}, "step", 0, 1),
            lambda: HeatMap([[1.0]], [0], "key"),
            lambda: KindMap(["r"], LEGEND, "step", [1]),
        ):
            with pytest.raises(TypeError, match=r"got [01], expected text"):
                draw()

    def test_there_is_a_kind_for_each_curve_or_an_error(self):
        with pytest.raises(ValueError, match="curves: got 5, expected 1 to 4"):
            Lines([0, 1], {name: [0.0, 1.0] for name in "abcde"}, "step", 0, 1)

    def test_a_table_keeps_words_and_rounds_numbers(self):
        table = Table(["robot", "dims"], [["GR1 <26>", 26.04]], digits=1)
        assert table.moving() == [["GR1 <26>", 26.0]]
        assert "GR1 &lt;26&gt;</th>" in table.html()
        assert table.text() == "GR1 <26> 26.0"
        with pytest.raises(ValueError, match="got 1 cells, expected 2"):
            Table(["robot", "dims"], [["GR1"]])


class TestControls:
    @pytest.mark.parametrize(
        ("given", "values", "start"),
        [
            (True, (False, True), True),
            ((1, 4), (1, 2, 3, 4), 2),
            ((0, 10, 5), (0, 5, 10), 5),
            ((0.0, 0.3, 0.1), (0.0, 0.1, 0.2, 0.3), 0.1),
            (["a", "b"], ("a", "b"), "a"),
            ({"none": 0, "all": 7}, (0, 7), 0),
            (ipywidgets.IntSlider(value=3, min=2, max=5), (2, 3, 4, 5), 3),
            (ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.25), (0.0, 0.25, 0.5, 0.75, 1.0), 0.5),
            (ipywidgets.ToggleButton(value=False), (False, True), False),
            (ipywidgets.SelectionSlider(options=[("few", 1), ("many", 9)], value=9), (1, 9), 9),
        ],
    )
    def test_abbreviations_and_objects_become_the_values_of_ipywidgets(self, given, values, start):
        control = explore(lambda x: {"n": 1}, x=given)._controls[0]
        assert control.values == values
        assert control.values[control.position_of(control.widget.value)] == pytest.approx(start)

    @pytest.mark.parametrize(
        "given", ["text", ipywidgets.FloatText(1.0), ipywidgets.Text("a"), None, object(), 1.5 + 1j]
    )
    def test_a_control_without_an_end_is_refused(self, given):
        with pytest.raises(ExploreError, match=r"x: got .*, expected a control with a finite list of values"):
            explore(lambda x: {"n": 1}, x=given)

    @pytest.mark.parametrize("given", [[1, True], [1, 1.0], ["a", "a"], {"one": 1, "uno": 1}])
    def test_values_that_python_cannot_tell_apart_are_refused(self, given):
        with pytest.raises(ExploreError, match=r"x: got the values .*, expected each of them once"):
            explore(lambda x: {"n": 1}, x=given)

    def test_a_selection_without_a_selected_value_is_refused(self):
        with pytest.raises(ExploreError, match="expected a control that starts with a value"):
            explore(lambda x: {"n": 1}, x=ipywidgets.Dropdown(options=["a", "b"], value=None))

    def test_the_default_in_the_signature_says_where_it_starts(self):
        assert explore(share, real=(1, 5), padded=(0, 5)).state == {"real": 3, "padded": 3}

    def test_a_start_that_the_control_does_not_have_is_an_error_not_a_neighbour(self):
        with pytest.raises(ExploreError, match="padded: got 3, expected one of 0, 1, 2"):
            explore(share, real=(1, 5), padded=(0, 2))
        with pytest.raises(ExploreError, match="x: got 'z', expected one of a, b"):
            explore(lambda x="z": {"n": 1}, x=["a", "b"])
        slider = ipywidgets.IntSlider(value=2, min=1, max=5, step=2)
        with pytest.raises(ExploreError, match="x: got 2, expected one of 1, 3, 5"):
            explore(lambda x: {"n": x}, x=slider)

    @pytest.mark.parametrize("given", [(0, 10**9), (0.0, 1.0, 1e-9), ipywidgets.IntSlider(min=0, max=20_000)])
    def test_a_control_with_too_many_values_is_refused_without_writing_them_down(self, given):
        with pytest.raises(ExploreError, match=rf"x: got \d+ values, expected at most {MAX_STATES} states"):
            explore(lambda x: {"n": 1}, x=given)

    def test_a_tiny_step_and_a_large_offset_keep_their_values_apart(self):
        tiny = ipywidgets.FloatSlider(value=4e-10, min=0, max=1e-9, step=2e-10)
        assert explore(lambda x: {"n": 1}, x=tiny).state == {"x": 4e-10}
        far = explore(lambda x: {"n": 1}, x=ipywidgets.FloatSlider(value=1000001, min=1e6, max=1000003, step=1))
        assert far._controls[0].shown == ("1000000", "1000001", "1000002", "1000003")

    def test_options_of_different_types_and_equal_labels(self):
        mixed = explore(lambda x: {"n": 1}, x=[1.5, "a"])
        mixed.state = {"x": "a"}
        assert mixed.positions == [1]
        with pytest.raises(ExploreError, match=r"x: got the labels \('a', 'a'\), expected each of them once"):
            explore(lambda x: {"n": 1}, x=[("a", 1), ("a", 2)])

    def test_a_value_between_the_steps_of_a_slider_is_an_error_not_a_neighbour(self):
        slider = ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.25)
        explore(lambda x: {"n": x}, x=slider)
        with pytest.raises(ValueError, match=r"x: got 0.55, expected one of 0, 0.25, 0.5, 0.75, 1"):
            slider.value = 0.55


class TestRefusals:
    def test_controls_must_be_the_arguments_of_compute(self):
        with pytest.raises(ExploreError, match=r"controls of share: .*'fake'"):
            explore(share, real=(1, 4), fake=True)
        with pytest.raises(ExploreError, match="controls of share: missing a required argument: 'real'"):
            explore(share, padded=(1, 4))
        with pytest.raises(ExploreError, match=r"takes 'real' by \*\*kwargs, expected named arguments"):
            explore(lambda **given: {"n": 1}, real=(1, 4))

    def test_one_widget_cannot_be_two_controls(self):
        slider = ipywidgets.IntSlider(value=1, min=1, max=3)
        with pytest.raises(ExploreError, match="got one ipywidgets object for two arguments"):
            explore(share, real=slider, padded=slider)

    @pytest.mark.parametrize("compute", [3, None, "words"])
    def test_what_is_no_function_is_refused(self, compute):
        with pytest.raises(ExploreError, match=f"controls of {type(compute).__name__}: "):
            explore(compute, real=(1, 3))

    def test_a_partial_function_and_an_object_that_can_be_called_are_functions(self):
        shared = explore(partial(share, 2), padded=(1, 3))
        assert "explore(share)" in repr(shared)
        assert '<p class="explore-caption">Which part is padding?</p>' in shared._html

        class Share:
            def __call__(self, real):
                return share(real)

        assert "explore(Share)" in repr(explore(Share(), real=(1, 3)))

    @pytest.mark.parametrize("panel", [torch.ones(2), 10**400, "words", [1, 2]])
    def test_what_is_no_panel_is_named_with_its_state_and_title(self, panel):
        with pytest.raises(ExploreError, match=r"at {'x': False}, panel 'mine': "):
            explore(lambda x: {"mine": panel}, x=True)

    def test_a_title_is_a_text(self):
        with pytest.raises(ExploreError, match="expected panels by title"):
            explore(lambda x: {1: 2}, x=True)

    def test_too_many_states_are_refused_before_anything_is_computed(self):
        def never(x, y):
            pytest.fail("computed a state of a grid that is too large")

        with pytest.raises(ExploreError, match=rf"got 3000 states \(1500 x x 2 y\), expected at most {MAX_STATES}"):
            explore(never, x=(1, 1500), y=True)

    def test_bytes_are_counted_as_they_travel_and_the_drawing_with_them(self):
        with pytest.raises(ExploreError, match="bytes for the page"):
            explore(lambda x: {"t": Table(["a"], [["\N{CJK UNIFIED IDEOGRAPH-4E00}" * 50_000]])}, x=True)
        with pytest.raises(ExploreError, match="bytes for the page"):
            explore(lambda x: {"m": KindMap(["r" * 200] * 100, LEGEND, "step", "dim")}, x=True)

    def test_too_many_bytes_are_refused(self):
        with pytest.raises(ExploreError, match="bytes for the page, expected at most 200,000"):
            explore(lambda x: {"m": HeatMap([[0.1] * 100] * 100, "q", "k")}, x=(1, 10))

    def test_a_compute_that_raises_is_named_with_its_state(self):
        def fragile(x):
            return {"n": 1 / (x - 2)}

        with pytest.raises(ExploreError, match=r"fragile raised ZeroDivisionError at {'x': 2}"):
            explore(fragile, x=(1, 3))

    def test_a_number_that_is_not_finite_in_one_state_is_named_with_its_state(self):
        def holes(x):
            return {"loss": float("nan") if x == 3 else 1.0}

        with pytest.raises(ExploreError, match=r"holes at {'x': 3}, panel 'loss': value: got nan"):
            explore(holes, x=(1, 3))

    @pytest.mark.parametrize("given", [None, {}, 3.0, [Number(1)]])
    def test_a_compute_that_returns_no_panels_is_refused(self, given):
        with pytest.raises(ExploreError, match="expected panels by title"):
            explore(lambda x: given, x=True)

    def test_panels_may_not_change_their_form_between_states(self):
        def growing(x):
            return {"bars": Bars(["arm"] * x, [1.0] * x, ["real"] * x, maximum=1)}

        with pytest.raises(
            ExploreError, match=r"panel 'bars' at {'x': 2}: got labels \['arm', 'arm'\], expected \['arm'\]"
        ):
            explore(growing, x=(1, 2))
        with pytest.raises(ExploreError, match=r"panels at {'x': True}: got 2, expected 1"):
            explore(lambda x: {"n": 1} | ({"m": 2} if x else {}), x=False)

    def test_panels_may_not_change_places_between_states(self):
        with pytest.raises(ExploreError, match="got panel title 'b', expected 'a'"):
            explore(lambda x: {"b": 1, "a": 2} if x else {"a": 1, "b": 2}, x=False)


class TestOutput:
    def test_the_data_hold_every_state_in_the_order_of_the_controls(self):
        data = data_of(explore(share, real=(1, 2), padded=(2, 4)))
        assert [state[0][0] for state in data["states"]] == [0.6667, 0.75, 0.8, 0.5, 0.6, 0.6667]
        assert [control["shown"] for control in data["controls"]] == [["1", "2"], ["2", "3", "4"]]

    def test_the_text_form_says_the_state_and_its_numbers(self):
        assert repr(explore(share, real=(1, 3))) == "explore(share), 3 states; here {'real': 2}\npart: 0.6000"

    def test_the_output_is_the_same_each_time(self):
        outputs = [explore(share, real=(1, 3))._repr_mimebundle_()[0] for _ in range(2)]
        for kind in ("text/plain", "text/html"):
            assert outputs[0][kind] == outputs[1][kind]

    def test_without_a_script_the_output_shows_its_start_and_disables_what_would_not_move(self):
        html = explore(share, real=(1, 3))._html
        assert '<fieldset class="explore-controls" disabled>' in html
        assert "<strong>0.6000</strong>" in html
        assert "real: 2. part 0.6000." in html

    def test_what_a_reader_writes_cannot_end_the_script_or_become_markup(self):
        def sly(x):
            """A <b>bold</b> caption"""
            return {"</script><i>": Table(["a", "b"], [["</script>", x]])}

        html = explore(sly, x=["</script>", "<b>"])._html
        assert html.count("</script>") == 1
        assert "<b>" not in html
        assert "<i>" not in html
        assert data_of(explore(sly, x=["</script>", "<b>"]))["states"][0] == [[["</script>", "</script>"]]]

    @pytest.mark.parametrize(
        "given", [True, (1, 3), ["a", "b"], list("abcdefghi")], ids=["check box", "slider", "radio buttons", "list"]
    )
    def test_every_input_stands_inside_a_label(self, given):
        class Inputs(HTMLParser):
            inside, bare, seen = 0, [], 0

            def handle_starttag(self, tag, attrs):
                self.inside += tag == "label"
                if tag in ("input", "select"):
                    self.seen += 1
                    self.bare += [] if self.inside else [tag]

            def handle_endtag(self, tag):
                self.inside -= tag == "label"

        inputs = Inputs()
        inputs.feed(explore(lambda x: {"n": 1}, x=given)._html)
        assert inputs.seen
        assert inputs.bare == []


class TestLive:
    def test_state_positions_controls_and_panels_move_together(self):
        explorer = explore(share, real=(1, 3), padded=(0, 3))
        explorer.state = {"real": 1, "padded": 3}
        assert explorer.controls["real"].value == 1
        assert explorer.panels["part"].value == 0.75
        explorer.positions = [2, 0]  # what the front end sends
        assert explorer.state == {"real": 3, "padded": 0}
        assert explorer.controls["padded"].value == 0
        explorer.controls["padded"].value = 3
        assert explorer.state == {"real": 3, "padded": 3}
        assert explorer.panels["part"].value == 0.5

    def test_it_observes_and_links_like_any_widget(self):
        explorer, seen = explore(share, real=(1, 3)), []
        explorer.observe(lambda change: seen.append(change.new["real"]), "state")
        other = ipywidgets.IntSlider(min=1, max=3)
        traitlets.link((explorer.controls["real"], "value"), (other, "value"))
        other.value = 3
        assert seen == [3]
        assert isinstance(ipywidgets.VBox([explorer, other]).children[0], Explorer)

    def test_its_value_is_the_results_of_the_state_and_cannot_be_set(self):
        explorer = explore(share, real=(1, 3), padded=(0, 3))
        assert explorer.value == {"part": 0.6}
        explorer.state = {"real": 1, "padded": 3}
        assert explorer.value == {"part": 0.75}
        with pytest.raises(traitlets.TraitError, match=r"value: got {'part': 1}, expected {'part': 0.75}; set `state`"):
            explorer.value = {"part": 1}
        assert explorer.value == {"part": 0.75}

    def test_interactive_output_follows_it_as_it_follows_a_slider(self):
        explorer, seen = explore(share, real=(1, 3)), []
        ipywidgets.interactive_output(lambda found: seen.append(found["part"]), {"found": explorer})
        explorer.controls["real"].value = 1
        assert seen == [0.6, 0.75]

    def test_state_positions_and_value_are_synced_as_json_so_the_front_end_can_link_them(self):
        explorer = explore(lambda f: {"n": f(2)}, f={"twice": lambda x: 2 * x, "half": lambda x: x / 2})
        sent = explorer.get_state(["state", "positions", "value"])
        assert json.loads(json.dumps(sent)) == {"state": {"f": "twice"}, "positions": [0], "value": {"n": 4}}
        for trait in ("state", "positions", "value"):
            ipywidgets.jslink((explorer, trait), (explore(share, real=(1, 3)), trait))
        explorer.set_state({"state": {"f": "half"}})  # what a front end sends that has linked the state
        assert explorer.positions == [1]
        assert explorer.value == {"n": 1}

    def test_a_linked_state_moves_both(self):
        one, other = explore(share, real=(1, 3)), explore(share, real=(1, 3))
        traitlets.link((one, "state"), (other, "state"))
        one.controls["real"].value = 3
        assert other.value == {"part": 0.5}

    def test_the_readers_own_widget_stays_theirs(self):
        slider = ipywidgets.IntSlider(value=2, min=1, max=3)
        explorer = explore(share, real=slider)
        assert explorer.controls["real"] is slider
        slider.value = 3
        assert explorer.state == {"real": 3}

    def test_a_control_that_changes_its_values_afterwards_is_an_error(self):
        slider, choice = ipywidgets.IntSlider(value=2, min=1, max=3), ipywidgets.Dropdown(options=["a", "b"])
        explore(lambda x, y: {"n": x}, x=slider, y=choice)
        with pytest.raises(ExploreError, match="x: its max became 10 after the states were computed; explore again"):
            slider.max = 10
        explore(lambda x, y: {"n": x}, x=ipywidgets.IntSlider(min=1, max=3, value=1), y=choice)
        with pytest.raises(ExploreError, match=r"y: its options became .* after the states were computed"):
            choice.options = ["a", "b", "c"]

    def test_exploring_again_after_that_works_and_the_old_one_stays_quiet(self):
        slider = ipywidgets.IntSlider(value=2, min=1, max=3)
        for _ in range(3):
            old = explore(share, real=slider)
        with pytest.raises(ExploreError, match="explore again"):
            slider.max = 9
        for _ in range(2):  # each of the earlier ones says so once
            with pytest.raises(ExploreError, match="explore again"):
                slider.max += 1
        new = explore(share, real=slider)
        slider.value = 7
        assert new.state == {"real": 7}
        assert old.state == {"real": 2}

    def test_a_slider_that_can_stand_between_its_steps_is_refused(self):
        with pytest.raises(ExploreError, match="real: got 1 to 4 in steps of 2, expected whole steps to the end"):
            explore(share, real=ipywidgets.IntSlider(value=1, min=1, max=4, step=2))
        with pytest.raises(ExploreError, match=r"x: got 0 to 1 in steps of 0.3, expected whole steps to the end"):
            explore(lambda x: {"n": x}, x=(0.0, 1.0, 0.3))

    def test_the_output_shows_the_present_state_in_each_of_its_forms(self):
        explorer = explore(share, real=(1, 5))
        explorer.state = {"real": 1}
        output = explorer._repr_mimebundle_()[0]
        assert "here {'real': 1}\npart: 0.7500" in output["text/plain"]
        assert "real: 1. part 0.7500." in output["text/html"]
        assert '"start":[0]' in output["text/html"]
        assert 'value="0"' in output["text/html"]

    def test_a_state_is_a_copy_and_can_be_changed_and_given_back(self):
        explorer = explore(share, real=(1, 5))
        state = explorer.state
        state["real"] = 1
        assert explorer.state == {"real": 3}
        explorer.state = state
        assert explorer.panels["part"].value == 0.75
        assert explorer.controls["real"].value == 1

    def test_closing_twice_is_closing_once(self):
        explorer = explore(share, real=(1, 3))
        explorer.close()
        explorer.close()

    def test_a_closed_explorer_lets_go_of_the_readers_widget(self):
        slider = ipywidgets.IntSlider(value=2, min=1, max=3)
        explorer = explore(share, real=slider)
        explorer.close()
        slider.value = 3
        slider.max = 9
        assert explorer.state == {"real": 2}

    def test_a_state_set_by_a_sum_of_floats_lands_on_the_grid(self):
        explorer = explore(lambda x: {"n": x}, x=(0.0, 1.0, 0.1))
        explorer.state = {"x": 0.1 + 0.2}
        assert explorer.state == {"x": 0.3}
        whole = explore(share, real=(1, 3))
        with pytest.raises(traitlets.TraitError, match=r"real: got 2\.0, expected one of 1, 2, 3"):
            whole.state = {"real": 2.0}

    @pytest.mark.parametrize("positions", [[9], [-1], [], [0, 0]])
    def test_positions_from_a_front_end_gone_astray_are_refused(self, positions):
        explorer = explore(share, real=(1, 3))
        with pytest.raises(traitlets.TraitError, match=r"expected one below each of \[3\]"):
            explorer.positions = positions
        assert explorer.state == {"real": 2}

    def test_a_state_that_does_not_exist_is_refused(self):
        explorer = explore(share, real=(1, 3))
        with pytest.raises(traitlets.TraitError, match="state: real: got 7, expected one of 1, 2, 3"):
            explorer.state = {"real": 7}
        with pytest.raises(traitlets.TraitError, match="expected a value for each of"):
            explorer.state = {}


class TestChapter1:
    def test_a_word_that_no_control_offers_is_refused_and_not_taken_for_another(self):
        with pytest.raises(ValueError, match="which_mask: got 'dim', expected one of 'dims', 'dims_and_steps'"):
            build_the_mask("GR1", 5, "dim")
        with pytest.raises(ValueError, match="robot: got 'GR2', expected one of 'dual-arm', 'GR1', 'SO-101'"):
            build_the_mask("GR2", 5, "dims")
        with pytest.raises(ValueError, match="side: got 'Left', expected one of 'left', 'right'"):
            pad_the_prompts("Left", True, 4)

    def test_gr1_with_five_real_steps_counts_416_or_130_entries(self):
        dims = build_the_mask("GR1", 5, "dims")
        both = build_the_mask("GR1", 5, "dims_and_steps")
        assert (dims["entries that count"].value, dims["of these, copies"].value) == (16 * 26, 11 * 26)
        assert (both["entries that count"].value, both["of these, copies"].value) == (5 * 26, 0)
        assert dims["LeRobot's N1.7 would count"] == both["LeRobot's N1.7 would count"] == both["entries that count"]
        assert dims["the chunk"].cells[4:6] == ["r" * 26 + "p" * 6, "c" * 26 + "p" * 6]
        assert both["the chunk"].cells[4:6] == ["r" * 26 + "p" * 6, "h" * 26 + "p" * 6]

    def test_an_absent_camera_leaves_a_hole_in_the_middle_of_the_row(self):
        left, right = (pad_the_prompts(side, second_camera=False, words=4)["the batch"] for side in ("left", "right"))
        assert left.cells[2] == "p" * 10 + "iii" + "aaa" + "tttt"
        assert right.cells[2] == "iii" + "aaa" + "tttt" + "p" * 10

    def test_the_side_moves_tokens_and_never_their_number(self):
        left, right = (pad_the_prompts(side, second_camera=True, words=13) for side in ("left", "right"))
        assert left["real tokens"] == right["real tokens"]
        assert [row[-1] for row in left["where the real tokens are"].rows] == [20, 20, 20]
        assert [row[-2] for row in right["where the real tokens are"].rows] == [1, 1, 1]
