"""How the pages look: type, measure, widths, the dark without slabs, the keyboard, paper, and a strict policy."""

import base64
import hashlib
import itertools
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import chapter_label
import header_buttons
import pytest
import typefaces
from contents import EACH_PAGE, NOTEBOOKS, PAGES, ROOT, each
from fontTools.ttLib import TTFont
from markdown_it import MarkdownIt

pytestmark = pytest.mark.pages

FONTS_BUDGET = 90_000
"""Bytes of typefaces that one page may load."""


WIDE = {"width": 1280, "height": 900}
CHAPTER = f"notebooks/{NOTEBOOKS[2]}"
THE_CHAPTER = each([CHAPTER])


@pytest.mark.parametrize("page", THE_CHAPTER)
def test_a_chapter_is_set_in_the_books_own_typefaces(opened, site, page):
    tab = opened(page)
    tab.evaluate("document.fonts.ready")
    loaded = tab.evaluate("""[...document.fonts].filter((face) => face.status === "loaded")
      .map((face) => face.family.replaceAll('"', "") + face.weight)""")
    assert {"Book Serif400", "Book Sans400", "Book Sans600"} <= set(loaded)
    files = list((site / "_static" / "typefaces").glob("*.woff2"))
    assert len(files) == len(typefaces.FACES)
    assert sum(file.stat().st_size for file in files) <= FONTS_BUDGET
    assert tab.locator("article p").first.evaluate("(p) => getComputedStyle(p).fontFamily").startswith('"Book Serif"')


def test_a_typeface_holds_what_pages_and_scripts_can_show():
    assert typefaces.characters(["<p>&pi;0</p>", 'say("\\u2212")']) >= set(map(ord, "~Aπ−"))
    assert ord("√") not in typefaces.characters(["<p>&pi;0</p>"])


WIDTHS = """async ([font, characters]) => {
  await document.fonts.load(font);
  const context = document.createElement("canvas").getContext("2d");
  Object.assign(context, {font, fontKerning: "none"});
  return characters.map((character) => context.measureText(character).width);
}"""


@pytest.mark.parametrize("page", THE_CHAPTER)
@pytest.mark.parametrize("face", typefaces.FACES, ids=lambda face: face.file)
def test_each_character_takes_the_width_that_its_typeface_gives_it(opened, site, page, face):
    font = TTFont(site / "_static" / "typefaces" / face.file)
    characters = font.getBestCmap()
    # As in running text: larger letters are measured without the hints that a browser rounds their widths with.
    size, rounding = 20, 2
    shorthand = f'{face.style} {face.weight} {size}px "{face.family}"'
    widths = opened(page).evaluate(WIDTHS, [shorthand, [*map(chr, characters)]])
    wanted = [size * font["hmtx"][name][0] / font["head"].unitsPerEm for name in characters.values()]
    pairs = zip(map(chr, characters), widths, wanted, strict=True)
    off = {character: (width, right) for character, width, right in pairs if abs(width - right) > rounding}
    assert off == {}


LINES = """(minimum) => {
  const lengths = [], range = document.createRange();
  for (const paragraph of document.querySelectorAll("article section > p")) {
    const lines = new Map(), words = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
    for (let node; (node = words.nextNode()); ) {
      for (let at = 0; at < node.length; at++) {
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        const line = Math.round(range.getBoundingClientRect().bottom / 15);
        lines.set(line, (lines.get(line) ?? 0) + 1);
      }
    }
    if (lines.size >= minimum) lengths.push(...[...lines.values()].slice(0, -1));
  }
  return lengths.sort((a, b) => a - b);
}"""


@pytest.mark.parametrize("page", each(["book/claims"]))
def test_a_line_of_running_text_holds_65_to_75_characters(opened, page):
    lengths = opened(page).evaluate(LINES, 3)
    assert len(lengths) > 10
    assert 65 <= lengths[len(lengths) // 2] <= 75


@pytest.mark.parametrize("page", THE_CHAPTER)
def test_each_level_of_headings_looks_weaker_than_the_one_above(opened, page):
    tab = opened(page)
    size = "(element) => parseFloat(getComputedStyle(element).fontSize)"
    sizes = [tab.locator(f"article {tag}").first.evaluate(size) for tag in ("h1", "h2", "h3", "section > p")]
    assert sizes == sorted(sizes, reverse=True)
    assert min(a / b for a, b in itertools.pairwise(sizes)) > 1.05
    assert tab.locator("h1 .section-number").inner_text().strip().lower() == "chapter 3"


def test_only_a_chapter_gets_its_number_above_the_title():
    assert ">Chapter 3 <" in chapter_label.label('<h1><span class="section-number">3. </span>Which</h1>')
    assert chapter_label.label("<h1>Notation</h1>") == "<h1>Notation</h1>"


TOO_WIDE = """() => [...document.querySelectorAll(
    "article :is(pre, table, .output, div.math, .pst-scrollable-table-container)")]
  .filter((block) => !block.closest(".survey-scroll") && block.checkVisibility())
  .filter((block) => {
    const frame = block.closest(".full-width, .pst-scrollable-table-container:has(> .full-width)");
    const right = (frame ? document.documentElement : document.querySelector("article")).getBoundingClientRect().right;
    const scrolls = getComputedStyle(block).overflowX !== "visible" && block.scrollWidth > block.clientWidth + 1;
    return scrolls || block.getBoundingClientRect().right > right;
  })
  .map((block) => `${block.tagName} ${block.textContent.trim().slice(0, 60)}`)"""


@pytest.mark.parametrize("page", EACH_PAGE)
def test_no_block_scrolls_sideways_at_1280_or_leaves_its_frame(opened, page):
    tab = opened(page)
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


LIGHT_GROUNDS = """() => [...document.querySelectorAll(
    "article :is(pre, div, details, summary, table, th, td, blockquote, aside, p, code)")]
  .filter((element) => !element.closest("[data-picture], .explore, .sheet, .audit, figure"))
  .map((element) => [element, getComputedStyle(element).backgroundColor.match(/[\\d.]+/g).map(Number)])
  .filter(([, [red, green, blue, alpha = 1]]) => alpha > 0.5 && red + green + blue > 240)
  .map(([element]) => element.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("page", each([CHAPTER, "book/claims", "book/audit_your_own", "book/mask_conventions"]))
def test_in_the_dark_no_block_stands_on_a_light_ground(opened, page):
    assert opened(page, theme="dark").evaluate(LIGHT_GROUNDS) == []


def test_copy_buttons_are_for_the_mouse_and_the_keyboard_goes_from_picture_to_picture(visit):
    tab = visit(CHAPTER, viewport=WIDE)
    assert tab.locator("button.copybtn").count() > 10
    assert tab.evaluate("[...document.querySelectorAll('button.copybtn')].every((button) => button.tabIndex === -1)")
    pictures = tab.locator("[data-picture], .explore").count()
    assert pictures > 1
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    first = tab.locator("#to-pictures")
    assert first.evaluate("(link) => link === document.activeElement")
    assert first.bounding_box()["width"] > 40
    for place in [*range(1, pictures + 1), 1]:
        tab.keyboard.press("Enter")
        link = tab.locator(f"#picture-{place}")
        assert link.evaluate("(link) => link === document.activeElement")
        assert link.evaluate("(link) => link.nextElementSibling.matches('[data-picture], .explore')")
        assert 0 <= link.bounding_box()["y"] < 900
    assert first.bounding_box()["width"] <= 1


def test_on_paper_nothing_is_folded_or_cut_off_and_the_dark_theme_stays_away(visit):
    tab = visit(CHAPTER, viewport=WIDE, color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    tab.set_viewport_size({"width": 673, "height": 1000})  # A4 less its margins
    folded = tab.locator("article details:not([open])")
    assert folded.count() > 5
    shown = "(all) => all.every((fold) => fold.lastElementChild.getBoundingClientRect().height > 10)"
    assert folded.evaluate_all(shown)
    cut = "(all) => all.filter((block) => block.scrollWidth > block.clientWidth + 1).map((block) => block.textContent)"
    assert tab.locator("article pre").evaluate_all(cut) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 673
    assert tab.locator("article p").first.evaluate("(p) => getComputedStyle(p).color") == "rgb(27, 31, 36)"
    assert not tab.locator(".bd-sidebar-primary").is_visible()


def test_a_guess_hides_its_answer_until_it_is_opened(visit):
    tab = visit(CHAPTER, viewport=WIDE)
    shown = re.search(
        r"```html\n(<details class=.guess.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
    )
    written = MarkdownIt().render(shown[1])  # as a Markdown cell is read
    tab.evaluate("(html) => document.querySelector('article h1').insertAdjacentHTML('afterend', html)", written)
    guess = tab.locator("details.guess").first
    closed = guess.bounding_box()["height"]
    assert guess.locator("kbd").first.evaluate("(chip) => getComputedStyle(chip).borderRadius") == "16px"
    guess.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert guess.bounding_box()["height"] > closed + 20


def test_a_guess_is_answered_and_what_would_give_it_away_waits(visit):
    tab = visit(f"notebooks/{NOTEBOOKS[4]}", viewport=WIDE)
    guess = tab.locator("div.guess").first
    waits = tab.locator("div.guess:first-of-type ~ .cell > .cell_output.veiled").first
    assert guess.locator("button").all_inner_texts() == ["nothing", "about a fifth", "two fifths"]
    assert not guess.get_by_text("2 parts of 11").is_visible()
    assert not waits.is_visible()
    guess.locator("button").first.press("Enter")
    assert guess.get_by_role("status").inner_text() == "You chose: nothing. The answer is: about a fifth."
    assert guess.get_by_text("2 parts of 11").is_visible()
    assert guess.locator("button[aria-pressed=true]").inner_text() == "nothing"
    guess.locator("button").nth(1).press("Space")
    assert guess.get_by_role("status").inner_text() == "That is right."
    answer = tab.locator("div.guess ~ .cell > .cell_output")
    assert answer.first.is_visible()
    assert tab.locator(".veiled").count() > 0  # another guess is still open
    tab.emulate_media(media="print")
    assert tab.locator(".veiled").first.is_visible()


@pytest.mark.parametrize("page", each([f"notebooks/{NOTEBOOKS[5]}"]))
def test_what_speaks_of_the_next_guess_does_not_wait_for_the_answer_to_this_one(opened, page):
    tab = opened(page)
    assert not tab.locator("p", has_text="Here 15 is right, 60 is").is_visible()
    assert tab.locator("p", has_text="PyTorch also has a module").is_visible()


def test_a_site_without_the_printed_book_offers_none_and_no_button_runs_an_inline_script():
    class App:
        class config:
            book_has_pdf = False

    link = {"type": "link", "text": ".ipynb"}
    group = {"type": "group", "label": "download-buttons", "buttons": [link, {"type": "javascript", "text": ".pdf"}]}
    context = {"header_buttons": [group], "pathto": lambda address, _: f"../{address}"}
    header_buttons.arrange(App, "notebooks/x", "page.html", context, None)
    assert group["buttons"] == [link]
    App.config.book_has_pdf = True
    header_buttons.arrange(App, "notebooks/x", "page.html", context, None)
    assert [button.get("url") for button in group["buttons"]] == [None, "../book.pdf"]


INLINE = re.compile(r"<script(?![^>]*\b(?:src=|type=\"application/json\"))[^>]*>(.*?)</script>", re.DOTALL)


class StrictHandler(SimpleHTTPRequestHandler):
    """Serves the site and lets a page run its own files and the inline scripts that the site's pages hold."""

    policy = ""

    def end_headers(self):
        self.send_header("Content-Security-Policy", self.policy)
        super().end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def strict_site(site):
    """The address of the site, served with a strict policy."""
    scripts = {
        script
        for page in [*PAGES, "search"]
        for script in INLINE.findall((site / f"{page}.html").read_text(encoding="utf-8"))
        if "DOCUMENTATION_OPTIONS.pagename" not in script
    }
    assert 0 < len(scripts) < 12
    paged = {f"DOCUMENTATION_OPTIONS.pagename = '{page}';" for page in [*PAGES, "search"]}
    digests = (hashlib.sha256(script.encode()).digest() for script in sorted(scripts | paged))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    StrictHandler.policy = (
        f"default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:"
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(StrictHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("page", [*PAGES, "search"])
def test_under_a_strict_content_security_policy_no_page_breaks_it(browser, strict_site, page):
    tab = browser.new_page()
    tab.add_init_script(
        "window.broken = []; addEventListener('securitypolicyviolation',"
        " (event) => broken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"
    )
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(f"{strict_site}/{page}.html")
    tab.wait_for_load_state("load")
    tab.evaluate("document.fonts.ready")
    assert tab.evaluate("broken") == []
    assert complaints == []
    tab.close()


def test_the_policy_would_be_broken_by_an_inline_handler(browser, strict_site):
    tab = browser.new_page()
    tab.goto(f"{strict_site}/index.html")
    broken = tab.evaluate("""() => new Promise((resolve) => {
      addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
      document.body.insertAdjacentHTML("beforeend", '<button id="press" onclick="window.ran = true">press</button>');
      document.getElementById("press").click(); // some versions of Chromium read a handler only when it is called
    })""")
    assert tab.evaluate("window.ran") is None
    assert broken == "script-src-attr"
    tab.close()
