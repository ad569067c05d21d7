"""A real JupyterLab with a real kernel: the same front end, now in step with Python."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.pages, pytest.mark.lab, pytest.mark.xdist_group("lab")]  # one JupyterLab for all

CELLS = [
    """import ipywidgets

from groot_teach.show import explore
from groot_teach.chapters.padding.pictures import ROBOTS, build_the_mask

mine = ipywidgets.IntSlider(value=5, min=1, max=16, description="my slider")
masks = {"dims": "dims", "both": "dims_and_steps"}
explorer = explore(build_the_mask, robot=list(ROBOTS), real_steps=mine, which_mask=masks)
python = ipywidgets.Label()


def follow(_=None):
    python.value = f"python: {explorer.state} {explorer.panels['entries that count'].value}"


explorer.observe(follow, "state")
follow()
ipywidgets.VBox([mine, explorer, python])""",
    """explore(build_the_mask, robot=list(ROBOTS), real_steps=(1, 16), which_mask=masks)""",
    """def double(x):
    return {"twice": 2 * x}


one, other = explore(double, x=(1, 3)), explore(double, x=(1, 3))
ipywidgets.jslink((one, "state"), (other, "state"))
told = ipywidgets.interactive_output(lambda found: print("twice is", found["twice"]), {"found": other})
ipywidgets.VBox([one, other, told])""",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a running JupyterLab that holds one notebook, not run yet."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "live.ipynb")
    # Its own settings and data folders: a reader's workspace neither helps nor hinders.
    private = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "work",
    }
    environment = os.environ | {name: str(folder / below) for name, below in private.items()}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
    runtime = folder / "runtime"
    with open(folder / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            command, env=environment | {"JUPYTER_RUNTIME_DIR": str(runtime)}, stdout=log, stderr=log
        )
        try:
            yield wait_for_address(runtime, server, folder / "log")
        finally:
            server.terminate()
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for_address(runtime, server, log) -> str:
    for _ in range(240):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = json.loads(file.read_text(encoding="utf-8"))["url"]
                with urllib.request.urlopen(f"{url}api", timeout=5):
                    return url
            except (OSError, ValueError):  # not listening yet, or the file half written
                continue
        time.sleep(0.5)
    pytest.fail("JupyterLab did not start within two minutes: " + log.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def live(browser, lab):
    """The notebook, opened and run, with the widget on the screen."""
    context = browser.new_context(viewport={"width": 1300, "height": 1400})
    tab = context.new_page()
    outside = []
    inside = (lab, lab.replace("http", "ws"), "data:", "blob:")
    tab.on("request", lambda request: None if request.url.startswith(inside) else outside.append(request.url))
    tab.goto(f"{lab}lab/tree/live.ipynb")
    tab.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=120_000)
    tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=120_000)  # a cell run before that is lost
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    tab.locator(".explore-live").nth(1).wait_for(timeout=120_000)
    yield tab
    context.close()
    assert outside == []


@pytest.fixture
def first(live):
    """The first widget, put back to where it starts."""
    widget = live.locator(".explore").first
    widget.locator("input[type=radio]").nth(0).check()
    widget.locator("input[type=radio]").nth(3).check()
    widget.locator("input[type=range]").fill("4")
    says(live, "python: {'robot': 'dual-arm', 'real_steps': 5, 'which_mask': 'dims'} 256")
    return widget


def says(tab, text: str) -> None:
    tab.get_by_text(text, exact=True).wait_for(timeout=30_000)


def test_the_widget_starts_where_the_readers_own_slider_stands(live):
    says(live, "python: {'robot': 'dual-arm', 'real_steps': 5, 'which_mask': 'dims'} 256")
    assert live.locator(".explore input[type=range]").first.input_value() == "4"


def test_a_control_moved_in_the_browser_moves_python_and_the_linked_slider(live, first):
    first.locator("input[type=radio]").nth(1).check()
    says(live, "python: {'robot': 'GR1', 'real_steps': 5, 'which_mask': 'dims'} 416")
    first.locator("input[type=range]").focus()
    live.keyboard.press("ArrowRight")
    says(live, "python: {'robot': 'GR1', 'real_steps': 6, 'which_mask': 'dims'} 416")
    live.locator(".widget-slider .widget-readout", has_text="6").wait_for()


def test_the_readers_own_slider_moves_the_picture(live, first):
    first.locator("input[type=radio]").nth(4).check()
    live.locator(".widget-slider .noUi-handle").focus()
    live.keyboard.press("ArrowRight")
    says(live, "python: {'robot': 'dual-arm', 'real_steps': 6, 'which_mask': 'dims_and_steps'} 96")
    assert first.locator(".explore-number strong").first.inner_text() == "96"
    assert first.locator(".explore-controls output").inner_text() == "6"
    assert first.locator("td.real").count() == 6 * 16


def test_two_live_widgets_do_not_share_their_radio_buttons(live, first):
    second = live.locator(".explore").nth(1)
    second.locator("input[type=radio]").nth(2).check()
    for widget, chosen in ((first, [True, False, False]), (second, [False, False, True])):
        assert [widget.locator("input[type=radio]").nth(i).is_checked() for i in range(3)] == chosen
    assert second.locator(".explore-number strong").first.inner_text() == "96"


def test_a_state_that_is_linked_in_the_browser_moves_the_other_widget_and_what_follows_its_value(live):
    one, other = live.locator(".explore").nth(2), live.locator(".explore").nth(3)
    one.locator("input[type=range]").press("End")
    says(live, "twice is 6.0")
    other.locator(".explore-number strong", has_text="6.0000").wait_for()
    other.locator("input[type=range]").press("Home")
    says(live, "twice is 2.0")
    one.locator(".explore-number strong", has_text="2.0000").wait_for()
