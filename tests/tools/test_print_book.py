"""The printed book: its pages in one file, with links that lead to each other and nothing folded."""

import pytest
from print_book import article, leads_to, pages

BOOK = {"index", "notebooks/01_padding", "book/glossary"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#exercises", "#notebooks-01_padding--exercises"),
        ("../book/glossary.html#term-dim", "#book-glossary--term-dim"),
        ("../index.html", "#index"),
        ("https://example.org/x.html#y", "https://example.org/x.html#y"),
        ("../_sources/notebooks/01_padding.ipynb", None),
        ("../search.html", None),
    ],
)
def test_a_link_leads_to_the_same_place_in_the_one_file(address, expected):
    assert leads_to(address, "notebooks/01_padding", BOOK) == expected


def test_an_article_gets_names_of_its_own_and_is_unfolded():
    html = """<article class="bd-article"><h1><span class="section-number">Chapter 1 </span>Which?</h1>
      <script>1</script><details><summary id="a b">s</summary>x</details><img src="../_images/x.png">
      <svg><path fill="url(#hatch)"></path><use href="#mark"></use></svg>
      <a href="../search.html">s</a><label for="c">c</label></article>"""
    found = article(html, "notebooks/01_padding", BOOK)
    assert found["id"] == "notebooks-01_padding"
    assert found.h1.get_text() == "1. Which?"
    assert found.script is None
    assert found.details.has_attr("open")
    assert found.summary["id"] == "notebooks-01_padding--a notebooks-01_padding--b"
    assert found.img["src"] == "html/_images/x.png"
    assert found.path["fill"] == "url(#notebooks-01_padding--hatch)"
    assert found.use["href"] == "#notebooks-01_padding--mark"
    assert not found.a.has_attr("href")
    assert found.label["for"] == "notebooks-01_padding--c"


def test_the_pages_come_in_the_order_of_the_table_of_contents():
    contents = {"root": "index", "parts": [{"chapters": [{"file": "b"}, {"file": "a"}]}, {"chapters": [{"file": "c"}]}]}
    assert pages(contents) == ["index", "b", "a", "c"]
