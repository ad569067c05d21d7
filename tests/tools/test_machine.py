"""The book machine: its Sphinx extensions, the normal form of notebooks, the Makefile and the files beside it."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import build_book
import check_jsonschema
import icons
import nbformat
import offline
import pytest
import yaml
from docutils import nodes
from front_ends import HYDRATE, classic_script
from mathml_static import render, to_mathml
from nbformat.v4 import new_code_cell, new_notebook, new_output
from repository import add_buttons, find_repository
from run_notebooks import WIDGET_VIEW, main, normalise
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[2]
MODULE = "function hydrate(el) { return el; }\nfunction render() {}\n\nexport default { render };\n"


# Formulas


@pytest.mark.parametrize(
    ("tex", "holds"),
    [
        (r"\frac{a}{b}", "<mfrac>"),
        (r"x_t = (1 - t)\,\epsilon + t\,a", "<msub>"),
        (r"\{1, 2\} \setminus \{2\}", "&#x029F5;"),
        (r"\begin{cases} 1 & \text{real} \\ 0 & \text{padding} \end{cases}", "<mtable>"),
        ("a < b", "&#x0003C;"),
    ],
)
def test_a_formula_becomes_mathml(tex, holds):
    assert holds in to_mathml(tex, "inline")
    assert 'display="block"' in to_mathml(tex, "block")


@pytest.mark.parametrize(
    ("tex", "complaint"),
    [
        (r"\nosuchcommand{x}", r"no command \\nosuchcommand"),
        (r"\begin{aligned} a &= b \end{aligned}", "no environment 'aligned'"),
        (r"\frac{1}{2", "braces do not balance"),
    ],
)
def test_what_latex2mathml_would_quietly_get_wrong_is_refused(tex, complaint):
    with pytest.raises(ValueError, match=complaint):
        to_mathml(tex, "inline")


def test_a_formula_that_is_refused_stops_the_build_and_names_its_place():
    formula = nodes.math("", r"\nosuchcommand")
    formula.source, formula.line = "page.md", 7
    with pytest.raises(ExtensionError, match=r"page\.md:7: .*\\nosuchcommand"):
        render(formula, "inline")


# Widgets on the pages


def test_the_front_end_becomes_one_classic_script():
    script = classic_script(MODULE)
    assert HYDRATE in script
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        (MODULE.replace("export default { render };", ""), "found it 0 times"),
        (MODULE + "export default { render };\n", "found it 2 times"),
        ("import * as d3 from 'd3';\n" + MODULE, "cannot hold"),
        (MODULE.replace("hydrate", "draw"), "no function `hydrate`"),
    ],
)
def test_a_front_end_that_would_not_run_on_a_page_stops_the_build(module, complaint):
    with pytest.raises(ExtensionError, match=complaint):
        classic_script(module)


def test_our_own_front_end_can_be_bundled():
    assert classic_script((ROOT / "groot_teach" / "show" / "explore.js").read_text(encoding="utf-8"))


# Icons


def test_only_icons_in_use_keep_their_rule_and_their_character():
    css = r'.a{color:red}.fa-old:before,.fa-bars:before{content:"\f0c9"}.fa-anchor:before{content:"\f13d"}'
    lean = icons.lean_style(css, {"fa-bars"})
    assert lean == r'.a{color:red}.fa-old:before,.fa-bars:before{content:"\f0c9"}'
    assert icons.characters(lean + '--pst-icon-bell:"\uf0f3"') == {0xF0C9, 0xF0F3}


# Where the book lives


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/some-one/padding.book.git",
        "https://github.com/some-one/padding.book",
        "https://token@github.com/some-one/padding.book.git",
        "git@github.com:some-one/padding.book.git",
        "ssh://git@github.com/some-one/padding.book",
    ],
)
def test_the_repository_is_read_from_git(origin):
    assert find_repository({}, origin) == "https://github.com/some-one/padding.book"


@pytest.mark.parametrize("origin", ["", "/srv/book.git", "https://example.org/a/b.git", "https://evilgithub.com/a/b"])
def test_an_address_that_is_not_on_github_is_no_repository(origin):
    assert find_repository({}, origin) == ""


def test_the_environment_comes_before_git():
    origin = "git@github.com:a/b.git"
    action = {"GITHUB_REPOSITORY": "c/d", "GITHUB_SERVER_URL": "https://github.com"}
    assert find_repository(action, origin) == "https://github.com/c/d"
    assert (
        find_repository(action | {"BOOK_REPOSITORY_URL": "https://github.com/e/f/"}, origin) == "https://github.com/e/f"
    )
    assert find_repository(action | {"BOOK_REPOSITORY_URL": ""}, origin) == ""


def test_buttons_are_there_with_an_address_and_only_then(monkeypatch, tmp_path):
    config = SimpleNamespace(html_theme_options={"kept": True})
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "")
    add_buttons(SimpleNamespace(srcdir=tmp_path), config)
    assert config.html_theme_options == {"kept": True}
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://github.com/e/f")
    add_buttons(SimpleNamespace(srcdir=tmp_path), config)
    assert config.html_theme_options["repository_url"] == "https://github.com/e/f"
    assert config.html_theme_options["launch_buttons"]["colab_url"]


# Pages keep to themselves


def test_thebe_is_taken_away_and_nothing_else():
    ours, thebes = (
        SimpleNamespace(handler=classic_script),
        SimpleNamespace(handler=SimpleNamespace(__module__="sphinx_thebe")),
    )
    styles = [("sphinx-thebe.css", {}), ("book.css", {})]
    app = SimpleNamespace(
        events=SimpleNamespace(listeners={"env-before-read-docs": [ours, thebes]}),
        registry=SimpleNamespace(css_files=styles),
    )
    offline.drop_thebe(app, None)
    assert app.events.listeners == {"env-before-read-docs": [ours]}
    assert app.registry.css_files == [("book.css", {})]


# Running notebooks


def untidy_notebook():
    view = new_output("display_data", {WIDGET_VIEW: {"model_id": "a"}})
    both = new_output("display_data", {WIDGET_VIEW: {"model_id": "b"}, "text/html": "<b>2</b>"})
    error = new_output("error", ename="ValueError", evalue="no", traceback=["/home/me/x.py in f()", "ValueError: no"])
    notebook = new_notebook(
        cells=[new_code_cell("1", outputs=[view, both]), new_code_cell("2", outputs=[error])],
        metadata={"widgets": {}, "language_info": {"name": "python", "version": "3.11.7"}, "title": "kept"},
    )
    notebook.cells[0].metadata.update(execution={"iopub.execute_input": "now"}, tags=["a"])
    for cell in notebook.cells:
        cell.id = "same"
    return notebook


def test_normalising_drops_what_depends_on_the_run():
    notebook = normalise(untidy_notebook())
    first, second = notebook.cells
    assert [output.data for output in first.outputs] == [{"text/html": "<b>2</b>"}]
    assert first.metadata == {"tags": ["a"]}
    assert [first.id, second.id] == ["same", "cell-2"]
    assert second.outputs[0].traceback == ["ValueError: no"]
    assert "widgets" not in notebook.metadata
    assert "version" not in notebook.metadata.language_info
    assert notebook.metadata.title == "kept"
    nbformat.validate(notebook)


def test_normalising_twice_changes_nothing():
    once = normalise(untidy_notebook())
    assert normalise(copy.deepcopy(once)) == once


CODE = """import os
own = [name for name in ("DATA", "EPISODE") if f"GROOT_TEACH_{name}" in os.environ]
print(own or None, os.path.exists(os.environ["GROOT_TEACH_PROGRESS"]))"""


def written(folder, *cells):
    path = folder / "n.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def run_tool(*arguments, **environment):
    command = [sys.executable, str(ROOT / "tools" / "run_notebooks.py"), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_running_twice_gives_the_same_bytes_and_keeps_the_reader_out(tmp_path):
    path = written(tmp_path, new_code_cell(CODE), new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}))
    own = {"GROOT_TEACH_DATA": "/somewhere", "GROOT_TEACH_EPISODE": "4", "GROOT_TEACH_PROGRESS": __file__}
    assert run_tool(path, **own).returncode == 0
    once = path.read_bytes()
    install, printed, _ = nbformat.read(path, 4).cells
    assert (install.id, install.outputs, printed.outputs[0].text) == ("install", [], "None False\n")
    assert run_tool(path, "--output", tmp_path / "again", **own).returncode == 0
    assert (tmp_path / "again" / "n.ipynb").read_bytes() == once
    assert path.read_bytes() == once


def test_a_notebook_that_fails_is_left_as_it_was(tmp_path):
    path = written(tmp_path, new_code_cell("1 / 0"))
    before = path.read_bytes()
    result = run_tool(path)
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
    assert path.read_bytes() == before


def test_a_notebook_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["nowhere.ipynb"])
    assert "no such notebook: nowhere.ipynb" in capsys.readouterr().err


# Building


def test_an_edition_of_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="not a LeRobot dataset folder"):
        build_book.build_edition(tmp_path, [])


def test_an_edition_copies_all_that_a_build_reads(tmp_path):
    (tmp_path / "old.md").touch()
    build_book.copy_sources(tmp_path)
    assert not (tmp_path / "old.md").exists()
    for name in ("_config.yml", "book/_toc.yml", "book/_ext/offline.py", "groot_teach/show/explore.js"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_changed_extension_rebuilds_all(tmp_path):
    build_book.copy_sources(tmp_path)
    page = tmp_path / "_build" / "html" / "page.html"
    for change, kept in [("", False), ("", True), ("# changed\n", False)]:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.touch()
        with (tmp_path / "book" / "_ext" / "offline.py").open("a") as extension:
            extension.write(change)
        build_book.forget_old_machine(tmp_path, tmp_path / "_build")
        assert page.exists() == kept


# Files beside it


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target_that_a_reader_may_call():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    shown = re.findall(r"^  make (\w+) ", make("help"), re.MULTILINE)
    assert sorted(targets) == sorted(set(shown))


def test_the_default_book_is_built_without_torch():
    assert not re.search(r"install.* torch", make("-n", "-B", "book", "VENV=/nonexistent"))
    assert re.search(r"install.* torch", make("-n", "-B", "book", "VENV=/nonexistent", "DATA=x"))


EVIDENCE = ROOT / "evidence"


def pins(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9_.-]+==[a-zA-Z0-9.]+", line)] == []
    return {name.replace("_", "-"): version for name, version in (line.split("==") for line in lines)}


def test_constraints_are_pins_that_hold_on_any_machine():
    assert {"torch", "jupyter-book", "nbval", "matplotlib"} <= pins(ROOT / "constraints.txt").keys()


def test_what_upstream_needs_moves_no_pin_of_ours():
    ours, theirs = pins(ROOT / "constraints.txt"), pins(EVIDENCE / "requirements.txt")
    assert {name for name in theirs if ours.get(name, theirs[name]) != theirs[name]} == set()
    assert "diffusers" in ours
    assert "lerobot" not in ours | theirs
    assert "lerobot" not in (ROOT / "pyproject.toml").read_text()


def test_upstream_is_installed_without_what_it_asks_for_and_where_its_tests_look():
    recipe = make("-n", "-B", "upstream", "VENV=/nonexistent")
    assert "install --quiet -c constraints.txt -r evidence/requirements.txt" in recipe
    releases = re.search(r"for release in (.*?);", recipe)[1].split()
    assert "--no-deps --ignore-requires-python --upgrade" in recipe
    assert "--target /nonexistent/lerobot-$release lerobot==$release" in recipe
    loader = (EVIDENCE / "released" / "__init__.py").read_text()
    looked_for = re.search(r'f"lerobot-\{release\}" for release in \((.*?)\)', loader)[1]
    assert releases == re.findall(r"[\d.]+", looked_for)


def test_a_reader_waits_for_no_upstream():
    for target in ("setup", "book", "test"):
        assert "lerobot==" not in make("-n", "-B", target, "VENV=/nonexistent")


@pytest.mark.parametrize("name", [".ci/run", ".github/workflows/tests.yml", ".github/workflows/weekly.yml"])
def test_whoever_demands_that_nothing_skips_installs_upstream_first(name):
    steps = re.findall(r"make (\w+)", (ROOT / name).read_text())
    assert steps[steps.index("test") - 1] == "upstream"


def test_the_contents_list_every_notebook_and_only_files_that_are_there():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    packages = {
        f"api/{path.parent.relative_to(ROOT).as_posix()}/index" for path in ROOT.glob("groot_teach/**/__init__.py")
    }
    assert [name for name in listed if not list(ROOT.glob(f"{name}.*")) and name not in packages] == []
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks == {name for name in listed if name.startswith("notebooks/")}


def schema_problems(schema, *paths):
    return check_jsonschema.main(["--builtin-schema", schema, *map(str, paths)], standalone_mode=False)


def test_workflows_and_citation_obey_their_schemas(tmp_path):
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert schema_problems("vendor.github-workflows", *workflows) == 0
    assert schema_problems("vendor.github-actions", *ROOT.glob(".github/actions/*/action.yml")) == 0
    assert schema_problems("vendor.citation-file-format", ROOT / "CITATION.cff") == 0
    broken = tmp_path / "broken.yml"
    broken.write_text(workflows[0].read_text().replace("runs-on", "run-on"))
    assert schema_problems("vendor.github-workflows", broken) == 1
