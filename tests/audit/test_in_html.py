"""A report in HTML: every cell, where it leads, and a page that stands alone."""

import platform
import re
from pathlib import Path
from xml.etree import ElementTree

import torch
from audit_looks import BOTH, LOOKS

from groot_teach.audit import Look, MaskReport, in_html


def body_of(report):
    return ElementTree.fromstring(f"<page>{report._repr_html_().replace('&nbsp;', ' ')}</page>")


def test_html_has_a_row_for_each_stage_and_every_tag_is_closed():
    rows = [["".join(cell.itertext()) for cell in row] for row in body_of(MaskReport(LOOKS)).iter("tr")]
    assert rows[0] == ["stage", "dims", "steps", "tokens", "samples"]
    assert rows[1] == ["prediction", "25 %", "0?", "lost 12.5 %", "<0.01 %"]
    assert [row[0] for row in rows[2:]] == ["loss sum", "loss count", "sampler"]
    assert len([*body_of(MaskReport(LOOKS)).iter("li")]) == 7


def test_each_cell_leads_to_the_line_that_explains_it():
    page = body_of(MaskReport(BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1"}))
    lines = {line.get("id"): "".join(line.itertext()) for line in page.iter("li")}
    told = {link.get("aria-label"): lines[link.get("href").removeprefix("#")] for link in page.iter("a")}
    starts = {label: " ".join(text.split(": ")[1].split()[:3]) for label, text in told.items()}
    assert starts == {
        "prediction, dims: 25 %": "it moves (perturb",
        "prediction, dims: lost 50 %": "half of them",
        "prediction, steps: 0?": "compact could not",
        "prediction, tokens: lost 12.5 %": "1 of 8",
        "prediction, samples: <0.01 %": "hardly (compact)Next",
        "loss sum, dims: NaN": "the gradient is",
        "loss sum, steps: NaN": "the gradient is",
        "loss count, dims: -": "unit error could",
        "loss count, steps: -": "unit error could",
        "sampler, tokens: inf*": "it becomes NaN",
    }


def test_a_cell_looks_like_what_it_says():
    page = body_of(MaskReport(BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1"}))
    looks = {link.get("aria-label"): link.get("class") for link in page.iter("a")}
    assert looks["prediction, dims: 25 %"] == "cell leak"
    assert looks["prediction, dims: lost 50 %"] == "cell lost"
    assert looks["prediction, steps: 0?"] == "cell unseen"
    assert looks["loss sum, dims: NaN"] == "cell broken"
    assert looks["loss count, dims: -"] == "cell quiet"
    assert looks["sampler, tokens: inf*"] == "cell wanted"


def test_two_reports_on_a_page_have_names_of_their_own_and_the_same_report_the_same_ones():
    one, other = MaskReport(LOOKS), MaskReport(LOOKS[:2])
    names = [{line.get("id") for line in body_of(report).iter("li")} for report in (one, other)]
    assert not names[0] & names[1]
    assert one._repr_html_() == MaskReport(LOOKS)._repr_html_()


def test_html_is_escaped_and_what_is_code_is_marked():
    looks = (Look("a<b", "dims", "perturb", 0.5, why="x & `y` move by 5 %"), Look("a<b", "steps", "perturb", 0.0))
    html = MaskReport(looks)._repr_html_()
    assert '<th scope="row">a&lt;b</th>' in html
    assert "x &amp; <code>y</code> move by 5&nbsp;%" in html
    assert '<th scope="col">dims</th>' in html
    assert "tokens</th>" not in html


def test_the_page_needs_no_script_and_no_other_file_and_says_what_was_audited():
    html = MaskReport(LOOKS, runs=37).to_html("mine:<policy>")
    assert "<title>Audit of masks: not clean</title>" in html
    assert "<p>mine:&lt;policy&gt;</p>" in html
    assert "The policy was run 37 times." in html
    assert [sign for sign in ("<script", "<link", "src=", "url(", "@import", "http") if sign in html] == []


def test_the_colours_of_a_report_are_those_of_the_book():
    look = (Path(in_html.__file__).parents[1] / "show" / "look.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in look.split("@media screen"))
    assert {name: light[name] for name in in_html.LIGHT} == in_html.LIGHT
    assert {name: dark[name] for name in in_html.DARK} == in_html.DARK


def test_each_line_says_in_a_word_what_it_is_and_only_what_is_found_stands_out():
    report = MaskReport(BOTH, {"sampler, tokens": "as trained"}, {"unit error": "no error of 1"}, notes=("it writes",))
    lines = [[line.get("class"), *(part.text for part in line.iter("span"))] for line in body_of(report).iter("li")]
    assert [tuple(line) for line in lines] == [
        *[("found", "found")] * 4,
        (None, "declared"),
        ("found", "found"),
        (None, "could not look"),
        (None, "excused"),
        (None, "note"),
    ]
    said = ["".join(line.itertext()) for line in body_of(report).iter("li")]
    assert ["Next: " in text for text in said] == [line[0] == "found" for line in lines]
    assert said[-1] == "noteit writes"
    assert said[0].startswith("foundprediction, dims: it moves")
    strong = [[part.text for part in line.iter("strong")] for line in body_of(report).iter("li")]
    assert strong == [*([str(line.place)] for line in report.lines[:-1]), []]


def test_a_cell_where_nothing_moved_is_text_and_no_link():
    html = MaskReport(LOOKS[2:3])._repr_html_()
    assert '<td><span class="cell quiet">0</span></td>' in html
    assert "<a " not in html
    assert "<ul>" not in html


def test_the_page_does_not_count_runs_that_nobody_counted_and_has_every_colour_in_light_and_dark():
    html = MaskReport(LOOKS[2:3]).to_html()
    assert "times" not in html
    assert "<title>Audit of masks: clean</title>" in html
    used = set(re.findall(r"var\(--a-([a-z-]+)\)", html))
    for colours in (in_html.LIGHT, in_html.DARK):
        assert used <= set(colours)
        assert all(f"--{name}:{colour};" in html for name, colour in colours.items())
    assert "/*" not in html


def test_styles_have_each_colour_in_both_themes_and_hold_nothing_that_only_their_readers_need():
    assert in_html.DARK.keys() == in_html.LIGHT.keys() == {*re.findall(r"--a-([\w-]+):", in_html.STYLE)}
    assert {*re.findall(r"var\(--a-([\w-]+)", in_html.STYLE)} <= in_html.LIGHT.keys()
    for style in (in_html.STYLE, in_html.PAGE_STYLE):
        assert "/*" not in style
        assert "}\n" not in style


def test_styles_hold_every_rule_of_their_files():
    for name, style in (("report.css", in_html.STYLE), ("page.css", in_html.PAGE_STYLE)):
        text = (Path(in_html.__file__).parent / name).read_text(encoding="utf-8")
        rules = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert re.sub(r"\s", "", style).endswith(re.sub(r"\s", "", rules))


def test_the_page_says_by_what_it_was_made():
    made = f"groot_teach, torch {torch.__version__}, Python {platform.python_version()}"
    assert f"<footer>Made by {made}.</footer>" in MaskReport(LOOKS).to_html()
