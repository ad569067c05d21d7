"""A picture: the same bytes each time, the colours of look.css, and words that can be read on every box."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from groot_teach.show.drawing import FILLS, HATCHES, INK, INKS, ON, Picture, write_on
from groot_teach.show.sheets import shade

LOOK = (Path(__file__).parents[2] / "groot_teach" / "show" / "look.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in LOOK.split("html[data-theme", 1))
SVG = "{http://www.w3.org/2000/svg}"


def one_of_everything() -> Picture:
    picture = Picture(200, 100)
    for place, kind in enumerate(FILLS):
        picture.box(20 * place, 10, 18, 18, kind)
        write_on(picture, 20 * place + 9, 19, "7", kind)
    picture.words(0, 50, 'a < b & "c"', bold=True, turned=True, size=11, anchor="end")
    picture.line((0, 60), (10.04, 60), dash="3 2", ink="leak")
    picture.line((0, 60), (5, 70), (10, 70), (20, 80), curved=True)
    picture.arrow((0, 90), (30, 90))
    picture.dot(50, 90, "real", hollow=True)
    return picture


def drawn(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(picture._repr_svg_())


def test_a_picture_is_valid_xml_and_the_same_bytes_each_time():
    assert one_of_everything()._repr_svg_() == one_of_everything()._repr_svg_()
    assert drawn(one_of_everything()).get("viewBox") == "0 0 200 100"
    assert [text.text for text in drawn(one_of_everything()).iter(f"{SVG}text")][-1] == 'a < b & "c"'


def test_every_colour_is_that_of_look_css_in_light():
    assert {name: LIGHT[name] for name in INKS} == INKS
    colours = re.findall(r"var\(--([\w-]+),(#\w+)\)", one_of_everything()._repr_svg_())
    assert len(colours) > 10
    assert all(LIGHT[name] == value for name, value in colours)
    bare = re.sub(r"var\(--[\w-]+,[^()]*\)|url\(#\w+\)", "", one_of_everything()._repr_svg_())
    assert "#" not in bare


def test_every_kind_of_box_differs_by_more_than_colour_and_has_inks():
    assert FILLS.keys() == ON.keys() == INK.keys()
    forms = {
        kind: "hatch" if fill.startswith("#") else "dashes" if fill == "none" else "full"
        for kind, (fill, _) in FILLS.items()
    }
    assert forms == {"real": "full", "padding": "hatch", "leak": "hatch", "hidden": "dashes"}
    assert {fill[1:] for fill, _ in FILLS.values() if fill.startswith("#")} == HATCHES.keys()


def luminance(colour: list[float]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def rgb(value: str) -> list[float]:
    return [int(value[place : place + 2], 16) / 255 for place in (1, 3, 5)]


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
def test_words_on_boxes_and_beside_them_can_be_read_in_both_themes(theme):
    paper, real = rgb(theme["paper"]), rgb(theme["real"])
    for part in (0, 0.25, 0.5, 0.75, 1):
        mixed = [shade(part) * blue + (1 - shade(part)) * white for blue, white in zip(real, paper, strict=True)]
        assert contrast(mixed, rgb(theme["ink"])) >= 4.5
    assert contrast(real, rgb(theme[ON["real"]])) >= 4.5
    for kind, (ground, _) in HATCHES.items():
        assert contrast(rgb(theme[ground]), rgb(theme[ON[kind]])) >= 4.5
    for ink in (*INK.values(), "ink", "quiet"):
        assert contrast(paper, rgb(theme[ink])) >= 4.5


def test_boxes_that_look_the_same_are_one_path_and_none_is_lost():
    picture = Picture(100, 20)
    for place in range(10):
        picture.box(10 * place, 0, 9, 9, "leak" if place == 4 else "real", 0.5 if place == 7 else 1)
    paths = [path for path in drawn(picture).iter(f"{SVG}path") if path.get("class") in FILLS]
    assert [(path.get("class"), path.get("fill-opacity"), path.get("d").count("z")) for path in paths] == [
        ("real", None, 8),
        ("leak", None, 1),
        ("real", "0.5", 1),
    ]
    assert paths[1].get("d") == "M40 0h9v9h-9z"


def test_a_hatch_is_defined_once_where_it_is_used_and_nowhere_else():
    ids = [pattern.get("id") for pattern in drawn(one_of_everything()).iter(f"{SVG}pattern")]
    assert ids == ["padding", "leak"]
    assert [*drawn(Picture(10, 10)).iter(f"{SVG}pattern")] == []
