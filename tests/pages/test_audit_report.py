"""The auditor's report as a page of its own, in a browser: it can be read, and walked through, without a script."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from groot_teach.audit import Look, MaskReport

pytestmark = pytest.mark.pages

REPORT = MaskReport(
    (
        Look("prediction", "dims", "perturb", 0.25, why="what is predicted moves by 25 %", where="in samples 0 and 2"),
        Look("prediction", "dims", "gradient", 1.0, "lost", "11 of 11 real dims have no effect"),
        Look("prediction", "steps", "perturb", 0.0),
        Look("prediction", "steps", "compact", None, why="RuntimeError: The size of tensor a (2) must match 3"),
        Look("prediction", "tokens", "perturb", 0.125, why="what is predicted moves by 12.5 %"),
        Look("prediction", "samples", "compact", 0.0),
        Look("prediction", "neighbours", "perturb", 0.0),
        Look("loss sum", "dims and steps", "gradient", float("inf"), "not finite", "the gradient is not finite"),
        Look("loss count", "dims and steps", "unit error", None, why="no prediction was found"),
        Look("training and sampling", "dims", "parity", 0.5, "mismatch", "another input"),
    ),
    {"prediction, tokens": "as trained"},
    {"unit error": "a cross entropy has no error of 1"},
    runs=37,
)


@pytest.fixture(params=[("light", 1100), ("dark", 1100), ("light", 390), ("dark", 390)], ids=str)
def tab(browser, tmp_path, request):
    scheme, width = request.param
    file = tmp_path / "report.html"
    file.write_text(REPORT.to_html("my_module:policy"), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 700})
    tab = context.new_page()
    tab.goto(file.as_uri())
    yield tab
    context.close()


def test_axe_finds_no_fault_and_nothing_is_wider_than_the_window(tab):
    faults = Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(fault["id"], node["html"]) for fault in faults for node in fault["nodes"]] == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_leads_from_a_cell_to_its_finding(tab):
    cell = tab.get_by_role("link", name="prediction, dims: lost 100 %")
    for _ in range(10):
        tab.keyboard.press("Tab")
        if cell.evaluate("cell => cell === document.activeElement"):
            break
    tab.keyboard.press("Enter")
    finding = tab.locator("li:target")
    assert "11 of 11 real dims have no effect" in finding.inner_text()
    box = finding.bounding_box()
    assert 0 <= box["y"] < 700
    look = "one => [one, one.parentElement].map((here) => getComputedStyle(here).backgroundColor)"
    colours = finding.evaluate(look)
    assert colours[0] != colours[1]


def test_each_kind_of_cell_has_a_look_of_its_own(tab):
    """Colour is not alone: the words differ as well, and so does the outline."""
    looks = tab.locator(".cell").evaluate_all(
        """cells => cells.map((cell) => {
          const {border, background} = getComputedStyle(cell);
          return [cell.className, border + background];
        })"""
    )
    of_kind = dict(looks)
    assert len(of_kind) == len(set(of_kind.values())) == 6


def test_a_strict_policy_about_content_changes_nothing(browser, tmp_path, tab):
    html = REPORT.to_html("my_module:policy")
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    strict = browser.new_context(java_script_enabled=False, viewport=tab.viewport_size).new_page()
    complaints = []
    strict.on("console", lambda message: complaints.append(message.text))
    strict.set_content(html.replace("<head>", f"<head>{policy}"))
    assert strict.locator("tbody tr").count() == 4
    assert complaints == []
    strict.context.close()
