"""Pages of the site, opened in a tab that asks nothing of the network."""

from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Browser, Page


def address(site: Path, page: str) -> str:
    return (site / f"{page}.html").as_uri()


class Visit:
    """A tab in which the network is cut. It keeps a record of what it asks for and of what goes wrong."""

    def __init__(self, browser: Browser, url: str, **options):
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(offline=True, **options)
        self.tab = self.context.new_page()
        self.tab.on("request", lambda request: self.requests.append(request.url))
        if options.get("java_script_enabled", True):  # else the scripts are refused, as they should be
            self.tab.on("requestfailed", self.complain_of)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.tab.goto(url)
        self.tab.wait_for_load_state("load")

    def complain_of(self, request):
        # The page was closed before its icon came; a lost file says otherwise.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure}: {request.url}")

    def assert_quiet(self):
        assert [url for url in self.requests if urlparse(url).scheme not in ("file", "data", "blob")] == []
        assert self.complaints == []

    def close(self):
        self.context.close()


class Bookmark:
    """The page that is open at the moment."""

    page: str | None = None
    visit: Visit | None = None

    def close(self):
        if self.visit:
            self.visit.close()
        self.page = self.visit = None


def show_theme(tab: Page, theme: str):
    tab.emulate_media(color_scheme=theme, reduced_motion="reduce")
    tab.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)
