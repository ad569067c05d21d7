"""What a search engine, a link preview and a lost reader get from the built site."""

import re
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from contents import PAGES

import groot_teach

pytestmark = pytest.mark.pages


def metadata(site, page: str) -> dict[str, str]:
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    found = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', text)
    assert len([name for name, _ in found if name == "description"]) == 1
    return {name: unescape(content) for name, content in found}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_and_a_description_for_previews_and_no_invented_address(site, page):
    said = metadata(site, page)
    assert said["og:description"] == said["description"]
    assert 40 < len(said["description"]) <= 170
    assert ",," not in said["description"]
    assert said["og:site_name"] == "Where the Padding Goes"
    assert said["og:title"]
    assert not {"og:url", "og:image"} & said.keys()


def test_no_two_pages_have_the_same_description(site):
    assert len({metadata(site, page)["description"] for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_its_version_and_its_day(site, page):
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    version, day = re.findall(r'Version ([\d.]+), <time datetime="(\d{4}-\d\d-\d\d)">\d+ [A-Z]\w+ \d{4}</time>', text)[
        0
    ]
    assert version == groot_teach.__version__
    assert day > "2025"


def test_the_first_page_is_the_introduction_itself(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "http-equiv" not in text.lower()
    assert "<h1>Where the Padding Goes" in text


@pytest.fixture
def served(site):
    """The site on a server that answers with 404.html where nothing is, as hosts of static pages do."""

    class Host(SimpleHTTPRequestHandler):
        def send_error(self, code, message=None, explain=None):
            body = (site / "404.html").read_bytes()
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(site)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_address_that_leads_nowhere_shows_a_page_from_which_one_gets_on(browser, served, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 740})
    tab, answers = context.new_page(), {}
    tab.on("response", lambda response: answers.setdefault(response.url, response.status))
    lost = f"{served}/no/such/page.html"
    tab.goto(lost, wait_until="load")
    assert tab.locator("article h1").inner_text().startswith("This page is not here")
    assert answers.pop(lost) == 404
    assert {status for status in answers.values()} == {200}
    assert all(url.startswith(f"{served}/") for url in answers)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    faults = Axe().run(tab, context="article").response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []
    links = tab.locator("article a[href], nav a[href]").evaluate_all("(all) => all.map((a) => a.href)")
    assert len(links) > len(PAGES)
    assert {tab.request.get(link).status for link in set(links) if link.startswith("http")} == {200}
    tab.locator("article p a").first.click()
    assert tab.locator("article h1").inner_text().startswith("Where the Padding Goes")
    context.close()
