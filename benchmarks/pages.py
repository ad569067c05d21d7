"""What a reader of the built site waits for: the bytes of each page, and the time from a moved control to its frame.

Run it after `make book`, as `make bench` does. Bytes are those on the wire with gzip, everything the page loads.
Times are of this machine's headless Chromium; nothing asserts them. They are taken twice: with frames drawn as soon as
there is something to draw, which is what the widget itself costs, and on the clock of a 60 Hz screen, where a change
waits for the next frame, up to 16.7 ms, whatever it costs.
"""

import argparse
import gzip
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlparse

from playwright.sync_api import Browser, Locator, Page, sync_playwright
from tqdm.auto import tqdm

from tools.chromium import launch

SITE = Path(__file__).resolve().parents[1] / "_build" / "html"

# From the event's own time stamp to the first task after the frame that shows it has been handed to the compositor.
WATCH = """() => {
  window.waits = [];
  addEventListener("input", (event) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => waits.push(performance.now() - event.timeStamp);
    requestAnimationFrame(() => channel.port2.postMessage(0));
  }, {capture: true});
}"""

# How often a key moves a control from its first value to its last.
STEPS = """(control) => {
  if (control.type === "range") return Number(control.max);
  if (control.type === "checkbox") return 1;
  return (control.options ?? control.closest("fieldset").querySelectorAll("input")).length - 1;
}"""


def weight(urls: Iterable[str]) -> int:
    """Bytes on the wire of these files, with gzip; fonts and pictures are compressed already."""
    files = {Path(unquote(urlparse(url).path)) for url in urls if url.startswith("file:")}
    packed = {".woff2", ".png"}
    return sum(len(f.read_bytes() if f.suffix in packed else gzip.compress(f.read_bytes())) for f in files)


def moved_to_painted(tab: Page, widget: Locator, changes: int) -> list[float]:
    """Milliseconds for each of `changes` key presses on the widget's first slider, list or row of buttons.

    A widget that has none of these has boxes to tick: there, on the first of them.
    """
    control, keys = widget.locator("input[type=range], select, input[type=radio]:checked"), ("ArrowRight", "ArrowLeft")
    if not control.count():
        control, keys = widget.locator("input[type=checkbox]"), ("Space", "Space")
    control = control.first
    steps = control.evaluate(STEPS)
    control.focus()
    control.press("Home")
    tab.evaluate(WATCH)
    for change in tqdm(range(changes), desc="changes", leave=False):
        tab.keyboard.press(keys[change // steps % 2])
        tab.wait_for_timeout(20 + change % 17)  # at any moment of a frame, as readers do
    return sorted(tab.evaluate("waits"))


def print_waits(browser: Browser, pages: list[Path], changes: int) -> None:
    print(f"{'widget':52} {'changes':>7} {'median':>7} {'95 %':>7} {'worst':>7}   ms, moved to painted")
    for page in pages:
        tab = browser.new_page()
        tab.goto(page.as_uri())
        for widget in tab.locator(".explore").all():
            tab.reload()
            waits = moved_to_painted(tab, widget, changes)
            name = widget.locator(".explore-caption").inner_text()
            middle, late = statistics.median(waits), waits[int(0.95 * len(waits))]
            print(f"{name[:52]:52} {len(waits):7} {middle:7.1f} {late:7.1f} {waits[-1]:7.1f}")
        tab.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=200, help="key presses for each widget (200)")
    options = parser.parse_args(arguments)
    if not (SITE / "index.html").is_file():
        parser.error("no site in _build/html: run `make book` first")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        print(f"{'page':34} {'bytes, gzip':>12} {'other hosts':>12}")
        own = {"404.html", "search.html"}  # pages of the machine; the first is made to be served, not opened
        pages = sorted(path for path in SITE.rglob("*.html") if path.name not in own and "_static" not in path.parts)
        for page in pages:
            tab, urls = browser.new_page(), set()
            tab.on("request", lambda request, urls=urls: urls.add(request.url))
            tab.goto(page.as_uri())
            tab.wait_for_load_state("networkidle")
            others = sum(urlparse(url).scheme in ("http", "https", "ws", "wss") for url in urls)
            print(f"{page.relative_to(SITE).with_suffix('')!s:34} {weight(urls):12,} {others:12}")
            tab.close()
        print("\non the clock of a 60 Hz screen")
        print_waits(browser, pages, options.changes)
        browser.close()
        browser = launch(playwright, "--disable-frame-rate-limit", "--disable-gpu-vsync")
        print("\nwith each frame drawn at once")
        print_waits(browser, pages, options.changes)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
