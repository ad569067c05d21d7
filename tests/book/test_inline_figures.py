"""Pictures in the pages: without their paper, under ids of their own, with their alt text, and with nothing foreign."""

import re

import pytest
from inline_figures import inline
from small_book import build_small_book
from sphinx.errors import ExtensionError

from groot_teach.show.drawing import Picture
from groot_teach.show.sheets import Block, Sheet, beside

CONF = 'extensions = ["inline_figures"]\nhtml_css_files = []\nproject = "small"\n'


def a_picture() -> str:
    picture = Picture(40, 20)
    picture.box(0, 0, 18, 18, "padding")
    picture.box(20, 0, 18, 18, "real")
    return picture._repr_svg_()


def test_a_picture_in_a_page_has_no_paper_and_its_alt_text_as_label():
    svg = inline(a_picture(), "figure-1-", 'padding, "hatched", & a real entry')
    assert 'class="paper"' in a_picture()
    assert 'class="paper"' not in svg
    assert svg.startswith('<svg role="img" aria-label="padding, &quot;hatched&quot;, &amp; a real entry"')
    assert svg.endswith("</svg>")
    assert svg.count("<path") == a_picture().count("<path") - 1


def test_a_page_knows_the_colours_so_their_values_in_light_are_left_out():
    assert "var(--pad,#" in a_picture()
    svg = inline(a_picture(), "figure-1-", "x")
    assert "var(--pad)" in svg
    assert "var(--sans)" in svg
    assert ",#" not in svg


def test_ids_get_a_prefix_wherever_they_are_used():
    svg = inline(a_picture(), "figure-2-", "x")
    assert svg.count('id="figure-2-padding"') == svg.count("url(#figure-2-padding)") == 1
    assert 'id="padding"' not in svg
    assert "url(#padding)" not in svg


def test_the_marks_of_a_plot_refer_to_the_ids_with_the_prefix():
    svg = inline('<svg><path id="mark"/><use href="#mark"/><use href="#marked"/></svg>', "figure-2-", "x")
    assert '<path id="figure-2-mark"/><use href="#figure-2-mark"/><use href="#marked"/>' in svg


def test_a_picture_that_may_be_cut_has_its_parts_beside_it():
    picture = Picture(40, 20)
    picture.box(0, 0, 18, 18, "real")
    picture.cuts = [19]
    svg = inline(picture._repr_svg_(), "figure-1-", "x")
    whole, parts = svg.split('<div class="parts" aria-hidden="true">')
    assert '<g id="figure-1-whole" fill="var(--ink)" font-family="var(--sans)" font-size="15"' in whole
    assert whole.count("<path") == 1
    seen = [(part[1], part[2]) for part in re.finditer(r'viewBox="([\d. ]+)" style="--width: (\d+)px"', parts)]
    assert seen == [("0 0 19 20", "19"), ("19 0 21 20", "21")]
    assert parts.count('<use href="#figure-1-whole"/>') == 2
    assert "parts" not in inline(a_picture(), "figure-1-", "x")


def test_each_part_of_a_cut_picture_has_the_names_of_the_rows_again():
    maps = [Sheet([Block([["real"], ["padding"]])], rows=names) for names in (["word", "pad"], [])]
    picture = beside(maps)
    [cut] = picture.cuts
    parts = inline(picture._repr_svg_(), "figure-1-", "x").split('<div class="parts" aria-hidden="true">')[1]
    shown = [float(number) for box in re.findall(r'viewBox="([\d.]+) 0 ([\d.]+) ', parts) for number in box]
    names = maps[0].margin - 4
    rest = picture.width - cut
    assert shown == pytest.approx([0, cut, 0, names + rest, 0, names, cut, rest], abs=0.1)
    assert beside(maps[1:] * 2).names == 0  # without names there is nothing to repeat


@pytest.mark.parametrize(
    "foreign",
    [
        "<script>1</script>",
        "<style>p {}</style>",
        '<path onclick="x()"/>',
        '<image href="a.png"/>',
        '<a href="http://a">',
    ],
)
def test_a_picture_that_would_bring_code_styles_or_requests_is_refused(foreign):
    with pytest.raises(ValueError, match="expected a picture of shapes and words alone"):
        inline(a_picture().replace("</svg>", f"{foreign}</svg>"), "", "x")


def test_what_is_no_svg_is_refused():
    with pytest.raises(ValueError, match="from <svg to </svg>"):
        inline("PNG", "", "x")


@pytest.fixture
def book(tmp_path):
    (tmp_path / "conf.py").write_text(CONF)
    (tmp_path / "one.svg").write_text(a_picture())
    return tmp_path


def test_the_pictures_of_a_page_become_parts_of_it_with_ids_of_their_own(book):
    figure = ".. figure:: one.svg\n   :alt: what {} shows\n\n   The caption.\n\n"
    (book / "index.rst").write_text("Title\n=====\n\n" + figure.format("one") + figure.format("two"))
    _, warnings = build_small_book(book)
    page = (book / "out" / "index.html").read_text()
    assert warnings == ""
    assert "<img" not in page
    assert page.count('<svg role="img" aria-label="what one shows"') == 1
    assert page.count('id="figure-1-padding"') == page.count('id="figure-2-padding"') == 1
    assert page.count("The caption.") == 2
    assert not (book / "out" / "_images").exists()


def test_a_picture_without_alt_text_stops_the_build(book):
    (book / "index.rst").write_text("Title\n=====\n\n.. image:: one.svg\n")
    with pytest.raises(ExtensionError, match=r"index: one\.svg has no alt text"):
        build_small_book(book)
