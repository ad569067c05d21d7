"""Version, day and address: what the book's extension makes of the environment it is built in."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from publication import day_of, site_url, version_of

import groot_teach

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
ADDRESS = "https://example.org/padding"


@pytest.mark.parametrize(
    ("environ", "address"),
    [({}, ""), ({"BOOK_SITE_URL": ""}, ""), *(({"BOOK_SITE_URL": ADDRESS + end}, f"{ADDRESS}/") for end in ("", "/"))],
)
def test_the_address_comes_from_the_environment_or_is_unknown(environ, address):
    assert site_url(environ) == address


def test_the_day_is_that_of_the_last_commit_unless_the_environment_says_another(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    commit = [*git, "commit", "-q", "--allow-empty", "-m", "first", "--date=2026-01-01T12:00:00Z"]
    subprocess.run(commit, check=True, env={"GIT_COMMITTER_DATE": "2026-02-03T12:00:00Z"})
    environ = {}
    assert time.strftime("%Y-%m-%d", day_of(environ, tmp_path)) == "2026-02-03"
    assert environ["SOURCE_DATE_EPOCH"] == "1770120000"  # for whatever else writes a time
    assert time.strftime("%Y-%m-%d", day_of({"SOURCE_DATE_EPOCH": "86400"}, tmp_path)) == "1970-01-02"


def test_outside_of_a_repository_it_is_today(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert abs(time.mktime(day_of({}, tmp_path)) - time.mktime(time.gmtime())) < 60


def test_the_version_is_the_librarys_read_without_an_import():
    assert version_of(ROOT) == groot_teach.__version__


def built(tmp_path, address: str):
    """A site of one page, from sources that have nothing but what the extension needs."""
    source, site = tmp_path / "source", tmp_path / "site"
    (source / "groot_teach").mkdir(parents=True)
    (source / "groot_teach" / "__init__.py").write_text('"""A library."""\n\n__version__ = "1.2.3"\n')
    (source / "index.rst").write_text(
        "Padding\n=======\n\nWhich entries of a batch are real, and which only fill it?\n"
    )
    settings = ["extensions = ['publication']", "html_theme = 'basic'", "ogp_social_cards = {'enable': False}"]
    (source / "conf.py").write_text("\n".join(settings))
    environ = os.environ | {"BOOK_SITE_URL": address, "SOURCE_DATE_EPOCH": "86400"}
    environ["PYTHONPATH"] = os.pathsep.join([str(EXTENSIONS), environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-m", "sphinx", "-q", str(source), str(site)], check=True, env=environ)
    return site


def test_with_an_address_there_are_canonical_links_and_a_sitemap(tmp_path):
    site = built(tmp_path, ADDRESS)
    assert f"<loc>{ADDRESS}/index.html</loc>" in (site / "sitemap.xml").read_text()
    page = (site / "index.html").read_text()
    assert f'<link rel="canonical" href="{ADDRESS}/index.html" />' in page
    assert f'<meta property="og:url" content="{ADDRESS}/index.html" />' in page
    lost = (site / "404.html").read_text()
    assert 'href="/padding/search.html"' in lost
    assert 'href="/padding/_static/' in lost


def test_without_an_address_none_is_invented(tmp_path):
    site = built(tmp_path, "")
    assert not (site / "sitemap.xml").exists()
    page = (site / "index.html").read_text()
    assert "canonical" not in page
    assert "og:url" not in page
    assert '<meta name="description" content="Which entries of a batch are real, and which only fill it?" />' in page
    lost = (site / "404.html").read_text()
    assert 'href="/search.html"' in lost
    assert not re.search(r'(?:href|src)="(?!/|#|"|https?:)', lost)
