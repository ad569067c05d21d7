"""The arrows of the house: what each room may import. They are read from the source, inside functions as well.

    notebooks -> chapters -> show, bugs, training
    bugs -> audit -> head -> ideas -> torch
    training -> head, recordings         recordings -> ideas         show -> ideas
    recordings, head -> extras, on_disk
    evidence -> all of the library       benchmarks, tools -> the library and evidence

Whoever may import a room may import everything that this room may import. So a chapter may also read `head` or
`recordings` itself: its pictures draw what the head computes and what a robot recorded. Chapters do not import each
other, or one could not be split or moved alone. `groot_teach/__init__.py` is the front door and may import everything
in the library; inside the library, only the version is taken from it. The pages in `book` are built without torch, so
their extensions import nothing of ours. Only tests import tests.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IDEAS = {"embodiments", "padding", "masks", "flow", "loss", "attention", "checks", "shapes", "complaints"}
ARROWS = {
    "ideas": [],
    "command": [],  # starts `python -m groot_teach.audit`
    "extras": [],  # which extra brings which package: for the error where a package is missing
    "on_disk": [],  # what lies where a file should be
    "recordings": ["ideas", "extras", "on_disk"],
    "head": ["ideas", "extras", "on_disk"],
    "audit": ["head"],
    "bugs": ["audit"],
    "training": ["head", "recordings"],
    "show": ["ideas"],
    "chapters": ["show", "bugs", "training"],
    "front door": ["chapters"],
    "evidence": ["front door"],
    "benchmarks": ["evidence", "tools"],
    "tools": ["evidence"],
    "notebooks": ["front door"],
    "book": [],
}
"""From each room to those that it may import."""

SHOWN_WITH = {"IPython", "anywidget", "ipywidgets", "matplotlib", "traitlets"}
SHOWING = {"show", "chapters", "notebooks", "benchmarks", "tools", "book"}
"""The packages that show something, and the rooms that may import them."""


def reachable(room: str) -> set[str]:
    """The room and all rooms that it may import, directly or through others."""
    return {room}.union(*(reachable(other) for other in ARROWS[room]))


# ---------------------------------------------------------------------------------------------------- the source


def sources(root: Path) -> Iterator[tuple[Path, str, ast.Module]]:
    """Each Python file and each notebook's cell: the path below `root`, the place in words, and its syntax tree."""
    for top in ("groot_teach", "evidence", "tests", "tools", "benchmarks", "book", "notebooks", "binder"):
        for file in sorted((root / top).rglob("*.py")):
            path = file.relative_to(root)
            yield path, str(path), ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted((root / top).rglob("*.ipynb")):
            path = file.relative_to(root)
            cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
            for number, cell in enumerate(cells):
                if cell["cell_type"] == "code":
                    lines = "".join(cell["source"]).splitlines()
                    code = "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)
                    yield path, f"{path}, cell {number}", ast.parse(code)


def imported(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each module that is imported, with its line. `from a import b` names `a.b`, which may be a module."""
    package = [*path.parts[:-1]]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package[: len(package) - level + 1] if level else []
                start = ".".join([*above, *([module] if module else [])])
                yield from ((node.lineno, f"{start}.{name.name}") for name in names)
            case ast.Call(func=called, args=[ast.Constant(value=str(module)), *_]):
                if ast.unparse(called).split(".")[-1] in ("import_module", "__import__"):
                    yield node.lineno, module


def room_of(parts: list[str], by_stem: dict[str, str]) -> str | None:
    """The room of a module or of a path, by its parts; None for a package of others."""
    match parts:
        case ["groot_teach", name, *_] if name in IDEAS:
            return "ideas"
        case ["groot_teach", "chapters", chapter, _, *_]:
            return f"chapters/{chapter}"
        case ["groot_teach", name, *_] if name in ARROWS:
            return name
        case ["groot_teach", *_]:
            return "front door"
        case [("evidence" | "tests" | "tools" | "benchmarks" | "notebooks" | "book") as top, *_]:
            return top
        case [name, *_]:
            return by_stem.get(name)
    return None


def modules_by_stem(root: Path) -> dict[str, str]:
    """The rooms of the modules that pytest's `pythonpath` makes importable without their folder."""
    folders = {"tests/support": "tests", "tools": "tools", "book/_ext": "book", "benchmarks": "benchmarks"}
    return {file.stem: room for folder, room in folders.items() for file in (root / folder).glob("*.py")}


def wrong_imports(root: Path) -> list[str]:
    """Each import against the arrows, in words."""
    found, by_stem = [], modules_by_stem(root)
    for path, place, tree in sources(root):
        here = "notebooks" if path.suffix == ".ipynb" else room_of([*path.with_suffix("").parts], by_stem)
        if here in (None, "tests"):
            continue
        kind = here.split("/")[0]
        for line, module in imported(path, tree):
            there = room_of(module.split("."), by_stem)
            if there is None:
                wrong = module.split(".")[0] in SHOWN_WITH and kind not in SHOWING
            else:
                other_chapter = "/" in here and "/" in there and here != there
                wrong = there.split("/")[0] not in reachable(kind) or other_chapter
            if wrong and module != "groot_teach.__version__":
                found.append(f"{place}, line {line}: {here} imports {module}")
    return found


def uses_of_sys_path(root: Path) -> list[str]:
    """Each place that reads or changes the list of folders in which Python looks for modules."""
    found = []
    for _, place, tree in sources(root):
        for node in ast.walk(tree):
            match node:
                case (
                    ast.Attribute(value=ast.Name(id="sys"), attr="path")
                    | ast.Attribute(attr="syspath_prepend" | "addsitedir")
                    | ast.ImportFrom(module="sys", names=[ast.alias(name="path")])
                ):
                    found.append(f"{place}, line {node.lineno}")
    return found


# ----------------------------------------------------------------------------------------------------- the house


def test_no_import_goes_against_an_arrow():
    assert wrong_imports(ROOT) == []


def test_the_path_of_modules_is_left_to_pytests_configuration():
    assert uses_of_sys_path(ROOT) == []


def test_every_part_of_the_library_is_an_idea_or_has_arrows():
    parts = {path.stem for path in (ROOT / "groot_teach").iterdir() if path.suffix in ("", ".py")}
    assert parts - {"__init__", "__pycache__"} <= IDEAS | {*ARROWS}


# -------------------------------------------------------------------------------------------- what the test refuses


@pytest.fixture
def house(tmp_path):
    """Writes files into an empty tree. One tool and one support module of the tests are there."""

    def build(**files: str) -> Path:
        for name, source in files.items() | {("tools/mend", ""), ("tests/support/cases", "")}:
            file = tmp_path / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        return tmp_path

    return build


@pytest.mark.parametrize(
    ("file", "source", "module"),
    [
        ("groot_teach/loss", "from groot_teach.show import explore", "groot_teach.show.explore"),
        ("groot_teach/head/dit", "def f():\n    from groot_teach import training", "groot_teach.training"),
        ("groot_teach/recordings/files", "import groot_teach.head.dit", "groot_teach.head.dit"),
        ("groot_teach/training/run", "from ..bugs import record", "groot_teach.bugs.record"),
        ("groot_teach/audit/measure", "from groot_teach import audit_masks", "groot_teach.audit_masks"),
        ("groot_teach/audit/report", "if True:\n    import matplotlib.pyplot", "matplotlib.pyplot"),
        ("groot_teach/bugs/data", "import importlib\nimportlib.import_module('groot_teach.show')", "groot_teach.show"),
        ("groot_teach/show/panels", "from groot_teach.head import dit", "groot_teach.head.dit"),
        (
            "groot_teach/chapters/loss/pictures",
            "import groot_teach.chapters.bugs.x",
            "groot_teach.chapters.bugs.x",
        ),
        ("groot_teach/__init__", "import evidence.zoo", "evidence.zoo"),
        ("evidence/zoo", "from tests.support import cases", "tests.support.cases"),
        ("evidence/audits", "import cases", "cases"),
        ("evidence/claims", "import mend", "mend"),
        ("tools/build", "from tests import conftest", "tests.conftest"),
        ("tools/build", "import benchmarks.pages", "benchmarks.pages"),
        ("book/_ext/claims", "import groot_teach.masks", "groot_teach.masks"),
    ],
)
def test_an_import_against_an_arrow_is_found(house, file, source, module):
    (found,) = wrong_imports(house(**{file: source}))
    assert found.startswith(f"{file}.py, line ")
    assert found.endswith(f" imports {module}")


def test_what_the_arrows_allow_is_not_found(house):
    files = {
        "groot_teach/__init__": "def f():\n    from groot_teach.chapters.loss import pictures",
        "groot_teach/loss": "import torch\nfrom groot_teach.shapes import checked",
        "groot_teach/bugs/data": "from groot_teach.head import dit\nfrom groot_teach import loss",
        "groot_teach/training/run": "from groot_teach import __version__\nfrom . import task",
        "groot_teach/chapters/loss/pictures": "import matplotlib\nfrom groot_teach.recordings import files\n"
        "from groot_teach.chapters.loss import exercises\nfrom groot_teach.chapters import check",
        "evidence/zoo": "from groot_teach import audit_masks\nfrom evidence.released import heads",
        "tools/draw": "import mend\nfrom evidence import zoo",
        "tests/test_loss": "import cases\nfrom tools.mend import f\nfrom groot_teach.show import panels",
    }
    assert wrong_imports(house(**files)) == []


def test_a_notebook_is_read_cell_by_cell(house):
    root, cells = house(), [["%matplotlib inline\n", "import torch"], ["import evidence\n", "import sys; sys.path"]]
    (root / "notebooks").mkdir()
    notebook = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    (root / "notebooks" / "01.ipynb").write_text(json.dumps(notebook))
    assert wrong_imports(root) == ["notebooks/01.ipynb, cell 1, line 1: notebooks imports evidence"]
    assert uses_of_sys_path(root) == ["notebooks/01.ipynb, cell 1, line 2"]


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.path.insert(0, 'tests')",
        "import sys\ndef f():\n    sys.path += ['tests']",
        "from sys import path",
        "def test(monkeypatch):\n    monkeypatch.syspath_prepend('tests')",
        "import site\nsite.addsitedir('tests')",
    ],
)
def test_a_change_of_the_path_of_modules_is_found(house, source):
    (found,) = uses_of_sys_path(house(**{"tests/test_loss": source}))
    assert found.startswith("tests/test_loss.py, line ")


def test_finders_and_paths_of_files_are_not_the_path_of_modules(house):
    assert uses_of_sys_path(house(**{"tools/mutate": "import os, sys\nsys.meta_path.clear()\nos.path.join('a')"})) == []
