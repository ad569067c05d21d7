"""A plot: a matplotlib figure as small, coloured and steady as a picture, with names that do not overlap."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import pytest
from inline_figures import inline
from IPython.core.formatters import DisplayFormatter

from groot_teach.show.drawing import INKS, SIZE, Picture
from groot_teach.show.plot import BOXES, LINES, SVG, Plot, name_ends, styled


@styled
def one_of_everything(**margins) -> Plot:
    plot = Plot(300, 200)
    axes = plot.figure.subplots()
    for place, look in enumerate(LINES.values()):
        axes.plot([1, 2, 3], [place, 2, 1], **look, marker="o", label="a < b & c")
    for place, look in enumerate(BOXES.values()):
        axes.bar([place], [1], **look)
    axes.fill_between([1, 3], [0, 0], [1, 2], color=INKS["leak"], alpha=0.2)
    axes.set(title="height", xlabel="width", **margins)
    plot.figure.legend(loc="outside upper left")
    return plot


def drawn(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(plot._repr_svg_())


def test_a_plot_is_valid_xml_and_the_same_bytes_each_time_whatever_the_reader_has_set():
    plot = one_of_everything()
    first = plot._repr_svg_()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.hashsalt": "x", "figure.dpi": 50}):
        assert first == plot._repr_svg_() == one_of_everything()._repr_svg_()
    assert drawn(plot).attrib.items() >= {"viewBox": "0 0 300 200", "width": "300", "height": "200"}.items()


def test_every_colour_has_a_name_of_look_css_beside_its_value():
    svg = one_of_everything()._repr_svg_()
    named = re.findall(r"var\(--([\w-]+),(#\w{6})\)", svg)
    assert all(INKS[name] == value for name, value in named)
    assert {"real", "leak", "pad", "pad-mark", "ink", "quiet", "rule", "paper"} <= {name for name, _ in named}
    bare = re.sub(r"var\(--[\w-]+,[^()]*\)|url\(#[\w-]+\)|href=\"#[\w-]+\"", "", svg)
    assert "#" not in bare
    assert not re.search(r"style|metadata|font-family=\"(?!var)|DejaVu", svg)


def test_a_colour_that_would_not_follow_the_theme_is_refused():
    plot = one_of_everything()
    plot.figure.axes[0].axhline(1, color="#123456")
    with pytest.raises(ValueError, match="colour of a plot's stroke: got #123456, expected one of INKS"):
        plot._repr_svg_()


def test_a_plot_is_shown_and_inlined_as_a_picture_is():
    shown = [DisplayFormatter().format(one)[0] for one in (one_of_everything(), Picture(300, 200))]
    assert shown[0].keys() == shown[1].keys() == {"text/plain", "image/svg+xml"}
    assert [one["text/plain"] for one in shown] == ["<Plot of 300 x 200 pixels>", "<Picture of 300 x 200 pixels>"]
    svg = inline(one_of_everything()._repr_svg_(), "figure-3-", "x")
    assert "paper" not in svg
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len({*ids}) > 3
    assert {*re.findall(r'(?:url\(|href=")#([\w-]+)', svg)} == {*ids}
    assert all(name.startswith("figure-3-") for name in ids)


def test_nothing_is_lost_on_the_way_from_matplotlib():
    words = [text.text for text in drawn(one_of_everything()).iter(f"{SVG}text")]
    assert words.count("a < b & c") == 3
    assert {"height", "width"} <= {*words}
    assert all("font-size" not in text.attrib for text in drawn(one_of_everything()).iter(f"{SVG}text"))
    assert drawn(one_of_everything()).get("font-size") == str(SIZE)
    marks = [use.get("fill") for use in drawn(one_of_everything()).iter(f"{SVG}use")]
    assert [marks.count(f"var(--{ink},{INKS[ink]})") for ink in ("real", "leak", "pad-mark")] == [4, 5, 4]
    assert len([*drawn(one_of_everything()).iter(f"{SVG}pattern")]) == 1  # the hatch of padding


def test_what_is_outside_the_axes_is_cut_off():
    clipped = drawn(one_of_everything(xlim=(1.5, 2.5))).findall(f".//{SVG}clipPath")
    assert len(clipped) == 1
    assert f"url(#{clipped[0].get('id')})" in one_of_everything(xlim=(1.5, 2.5))._repr_svg_()


@pytest.mark.parametrize("width", [300, 700])
@styled
def test_names_at_the_ends_of_curves_do_not_overlap_and_stay_in_order(width):
    plot = Plot(width, 200)
    axes = plot.figure.subplots()
    axes.set(ylim=(0, 1))
    name_ends(axes, [(0.02, "low", "real"), (0.03, "middle", "leak"), (0.01, "lowest", "leak"), (1.0, "top", "real")])
    texts = {text.text: text for text in drawn(plot).iter(f"{SVG}text") if text.get("font-weight")}
    assert [*texts] == ["lowest", "low", "middle", "top"]
    assert all(float(below.get("y")) - float(above.get("y")) >= 17.9 for below, above in pairwise(texts.values()))
    inks = [f"var(--{ink},{INKS[ink]})" for ink in ("leak-ink", "real-ink", "leak-ink", "real-ink")]
    assert [text.get("fill") for text in texts.values()] == inks
    assert all(float(text.get("x")) + 20 < width for text in texts.values())


def test_a_curve_of_a_leak_is_dashed_and_a_surface_of_padding_hatched():
    assert {kind: look["linestyle"] == "-" for kind, look in LINES.items()} == {
        "real": True,
        "leak": False,
        "padding": True,
    }
    assert [kind for kind, look in BOXES.items() if "hatch" in look] == ["padding"]
