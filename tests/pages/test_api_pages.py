"""The pages of the API: everything public that has a docstring is there, and the chapters' code leads to it."""

import ast
import re
from html import unescape

import pytest
from contents import CONTENTS, NOTEBOOKS, PAGES, ROOT

pytestmark = pytest.mark.pages

API = [page for page in PAGES if page.startswith("api/")]
LIBRARY = ROOT / "groot_teach"
IN_A_CHAPTER = ("groot_teach", "chapters")
"""What lies below this package belongs to one chapter and has no page here."""


def text_of(site, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


def documented() -> dict[str, set[str]]:
    """Each page -> the full names of what must be on it: public functions and classes with a docstring."""
    names = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if (parts[:2] == IN_A_CHAPTER and len(parts) > 3) or parts[-1] == "__main__":
            continue
        module = [part for part in parts if part != "__init__"]
        page = f"api/{path.parent.relative_to(ROOT).as_posix()}/index"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(page, set())
                if ast.get_docstring(node):
                    names[page].add(".".join([*module, node.name]))
    return names


def test_every_package_of_the_library_has_a_page():
    packages = {path.parent.relative_to(ROOT) for path in LIBRARY.rglob("__init__.py")}
    shown = [one for one in packages if one.parts[:2] != IN_A_CHAPTER or len(one.parts) == 2]
    assert set(API) == {f"api/{one.as_posix()}/index" for one in shown}


@pytest.mark.parametrize("page", API)
def test_everything_public_with_a_docstring_is_on_the_page_of_its_package(site, page):
    anchors = set(re.findall(r'id="(groot_teach[\w.]*)"', text_of(site, page)))
    assert documented()[page] - anchors == set()


def test_the_ideas_come_in_the_order_in_which_they_are_read(site):
    modules = re.findall(r"<h2>(\w+)<", text_of(site, API[0]))
    assert modules[:6] == ["embodiments", "padding", "masks", "flow", "loss", "attention"]


def test_a_signature_reads_as_it_is_written(site):
    text = unescape(re.sub(r"<[^>]+>", "", text_of(site, API[0])))
    signature = re.search(r"^masked_velocity_loss\((.*?)#", text, re.MULTILINE | re.DOTALL)[1]
    assert "action_mask: " in signature
    assert "jaxtyping." not in signature
    assert "torch." not in signature


def test_code_and_tables_in_docstrings_are_shown_as_they_are(site):
    text = text_of(site, API[0])
    assert "<em>nothing</em>" not in text
    assert "`" not in re.sub(r"<pre>.*?</pre>|<script.*?</script>", "", text, flags=re.DOTALL)
    docstring = ast.get_docstring(ast.parse((LIBRARY / "padding.py").read_text(encoding="utf-8")))
    table = [re.sub(r"\s+|`", "", line) for line in docstring.splitlines() if line.startswith("    ")]
    shown = [
        re.sub(r"\s+", "", unescape(re.sub(r"<[^>]+>", "", block)))
        for block in re.findall(r"<(?:pre|table)\b.*?</(?:pre|table)>", text, re.DOTALL)
    ]
    assert len(table) > 2
    assert any(all(line in block for line in table) for block in shown)


def test_each_bug_of_the_catalogue_is_there_with_its_story(site):
    from groot_teach.bugs import CATALOGUE

    text = unescape(re.sub(r"<[^>]+>", "", text_of(site, "api/groot_teach/bugs/index")))
    text = re.sub(r"\s+", " ", text).replace("’", "'")
    for key, bug in CATALOGUE.items():
        assert f"{key}.wrong(" in text
        assert bug.story.replace("`", "") in text, key


def test_what_readers_need_stands_before_what_is_inside(site):
    text = text_of(site, "api/groot_teach/audit/index")
    inside = text.index("how this package works inside")
    assert text.index('id="groot_teach.audit.policy.Padding"') < inside < text.index('id="groot_teach.audit.draws.')
    assert "Initialize self" not in text
    assert "Create and return a new object" not in text


def imports(cells: str) -> set[tuple[str, str]]:
    """What a page's code imports from the library: pairs of a module and a name."""
    found = set()
    for block in re.findall(r'<div class="highlight"><pre>(.*?)</pre>', cells, re.DOTALL):
        code = unescape(re.sub(r"<[^>]+>", "", block))
        for module, many, one in re.findall(
            r"^from (groot_teach[\w.]*) import (?:\(([^)]*)\)|(.*))", code, re.MULTILINE
        ):
            found |= {(module, name) for name in re.findall(r"(\w+)(?: as \w+)?", many or one)}
    return {(module, name) for module, name in found if ".chapters." not in module}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_name_that_a_chapter_imports_leads_to_its_docstring(site, notebook):
    text = text_of(site, f"notebooks/{notebook}")
    links = re.findall(r'<a class="api-link" href="\.\./([^"#]+)\.html#([^"]+)"><span class="n">(\w+)</span></a>', text)
    assert {name for _, name in imports(text)} - {name for *_, name in links} == set()
    assert len(links) > 3
    for page, anchor, name in links:
        assert anchor.rpartition(".")[2] == name or anchor.startswith("module-groot_teach.")
        assert f'id="{anchor}"' in text_of(site, page)


def test_the_library_is_a_part_of_the_contents():
    assert [part["caption"] for part in CONTENTS["parts"]] == ["Chapters", "Reference", "The library"]
