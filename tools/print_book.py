"""Print the whole book to _build/book.pdf, and build the site once more so that its pages offer it.

The articles of all pages are put behind each other in the order of the table of contents, in one HTML file, which
Chromium prints: so a link from one chapter to another works in the PDF, and its outline is that of the headings.
What is folded on the site is open here.
"""

import argparse
import posixpath
import re
from pathlib import Path
from urllib.parse import urlparse

import yaml
from bs4 import BeautifulSoup, Tag
from build_book import ROOT, build
from chromium import launch
from playwright.sync_api import sync_playwright
from tqdm.auto import tqdm

PDF = ROOT / "_build" / "book.pdf"
NAMES = ("id", "for", "aria-labelledby", "aria-describedby", "aria-controls", "headers")  # attributes that hold ids
FOOTER = (
    '<p style="font: 8px sans-serif; width: 100%; margin: 0 16mm; display: flex; justify-content: space-between">'
    '<span class="title"></span><span class="pageNumber"></span></p>'
)
PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>
{styles}
<style>
.bd-article + .bd-article {{ break-before: page; }}
.bd-article h1 .section-number {{ display: inline; color: inherit; font: inherit; text-transform: none; }}
</style></head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{articles}
</div></div></main></body></html>
"""


def pages(contents: dict) -> list[str]:
    """The pages in the order of the table of contents, without their endings."""
    return [contents["root"], *(chapter["file"] for part in contents["parts"] for chapter in part["chapters"])]


def place(page: str) -> str:
    """The page's own name inside the one file."""
    return page.replace("/", "-")


def leads_to(address: str, page: str, book: set[str]) -> str | None:
    """Where a link of a page leads in the one file; None for a file that only the site has."""
    target = urlparse(address)
    if target.scheme or target.netloc:
        return address
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target.path)) if target.path else f"{page}.html"
    name = path.removesuffix(".html")
    if not path.endswith(".html") or name not in book:
        return None
    return f"#{place(name)}" + (f"--{target.fragment}" if target.fragment else "")


def article(html: str, page: str, book: set[str]) -> Tag:
    """The page's article with names that no other page has, and with everything unfolded."""
    found = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    for needless in found.select("script, a.headerlink"):
        needless.decompose()
    for number in found.select("h1 .section-number"):  # in one line with the title, for the outline
        number.string = f"{number.get_text().removeprefix('Chapter ').strip()}. "
    for tag in found.find_all(True):
        for name in NAMES:
            if names := tag.get(name):
                words = names if isinstance(names, list) else names.split()
                tag[name] = " ".join(f"{place(page)}--{word}" for word in words)
        for name, value in tag.attrs.items():  # the hatches of pictures
            if isinstance(value, str) and "url(#" in value:
                tag[name] = value.replace("url(#", f"url(#{place(page)}--")
        if tag.name == "use":  # the marks of plots
            tag["href"] = f"#{place(page)}--{tag['href'].removeprefix('#')}"
        if tag.name == "a" and tag.get("href"):
            if target := leads_to(tag["href"], page, book):
                tag["href"] = target
            else:
                del tag["href"]
        elif tag.get("src") and not urlparse(tag["src"]).scheme:
            tag["src"] = "html/" + posixpath.normpath(posixpath.join(posixpath.dirname(page), tag["src"]))
        if tag.name == "details":
            tag["open"] = ""
    found["id"] = place(page)
    return found


def one_file(site: Path) -> str:
    """The whole book as one HTML file that lies beside the site's folder."""
    order = pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")))
    articles, styles = [], {}
    for page in tqdm(order, desc="pages", leave=False):
        html = (site / f"{page}.html").read_text(encoding="utf-8")
        for link in re.findall(r'<link [^>]*rel="stylesheet"[^>]*>', html):
            address = re.search(r'href="([^"]+)"', link)[1]
            styles[posixpath.normpath(posixpath.join(posixpath.dirname(page), address))] = None
        articles.append(str(article(html, page, set(order))))
    title = BeautifulSoup(articles[0], "html.parser").h1.get_text()
    links = "\n".join(f'<link rel="stylesheet" href="html/{address}">' for address in styles)
    return PAGE.format(title=title, styles=links, articles="\n".join(articles))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    site = build(ROOT)
    source = ROOT / "_build" / "print.html"
    source.write_text(one_file(site), encoding="utf-8")
    print("Printing (about a minute) ...", flush=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        tab = browser.new_page()
        tab.set_default_timeout(300_000)
        tab.goto(source.as_uri())
        tab.evaluate("document.fonts.ready")
        paper = {"prefer_css_page_size": True, "print_background": True, "outline": True, "tagged": True}
        tab.pdf(path=PDF, display_header_footer=True, header_template="<p></p>", footer_template=FOOTER, **paper)
        browser.close()
    source.unlink()
    build(ROOT)
    print(f"Open {PDF.as_uri()}")


if __name__ == "__main__":
    main()
