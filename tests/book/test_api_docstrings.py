"""Docstrings on their way to the API's pages: what the book's extension makes of them."""

import ast
from io import StringIO
from pathlib import Path
from textwrap import dedent

import pytest
from api_pages import first_sentence, parameters, setting, signature, story_of, to_rest
from docutils.core import publish_doctree
from docutils.nodes import block_quote, entry, literal, literal_block, strong
from docutils.nodes import row as row_of_a_table
from sphinx.util.docstrings import prepare_docstring

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for path in (ROOT / "groot_teach").rglob("*.py") if "chapters" not in path.parts)


def rendered(docstring: str):
    complaints = StringIO()
    settings = {"warning_stream": complaints, "report_level": 2}
    document = publish_doctree("\n".join(to_rest(prepare_docstring(docstring))), settings_overrides=settings)
    return document, complaints.getvalue()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "groot_teach").as_posix())
def test_every_docstring_of_the_library_can_be_rendered(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            document, complaints = rendered(ast.get_docstring(node, clean=False))
            complaints = [
                line for line in complaints.splitlines() if line and "interpreted text" not in line.casefold()
            ]
            assert complaints == [], getattr(node, "name", "the module")
            assert not list(document.findall(block_quote)), getattr(node, "name", "the module")


def test_code_is_code_and_columns_become_a_table():
    document, complaints = rendered(
        """The `loss` of **real** entries.

        Two rules:

            select     `where`, then square
            by hand    what you sum

        And a drawing:

            noise ----- actions
              0   t        1

        Args:
            loss: what `exp(-2 s)` weighs.

                Twice.
        """
    )
    assert complaints == ""
    assert [node.astext() for node in document.findall(literal)] == ["loss", "select", "where", "exp(-2 s)"]
    assert next(document.findall(strong)).astext() == "real"
    cells = [[cell.astext() for cell in row.findall(entry)] for row in document.findall(row_of_a_table)]
    assert cells == [["select", "where, then square"], ["by hand", "what you sum"]]
    assert [node.astext() for node in document.findall(literal_block)] == ["noise ----- actions\n  0   t        1"]


def test_a_bug_is_shown_by_the_words_of_its_record():
    code = """
    @bug("reduce", "no mask at all", story="All entries count.", symptom="none", source="ours", message="Use it.")
    def no_mask(squared_error, batch):
        return squared_error.mean()
    """
    bug, other = ast.parse(dedent(code)).body[0], ast.parse("def f(): ...").body[0]
    said = story_of(bug)
    assert said.startswith("No mask at all. All entries count.\n")
    parts = ("`no_mask.wrong(squared_error, batch)`", "`reduce`", "Symptom: none.", "Use it.", "Source: ours.")
    assert all(words in said for words in parts)
    assert story_of(other) == ""


def test_a_preset_shows_its_switches_and_nothing_else_of_a_module_does():
    code = (
        'A = Masking(loss="open", name="a", source="b")\nB = replace(A, loss="dims", name="b")\nC = dict(loss="open")\n'
    )
    assert setting(code, "A") == ["Masking(", "    loss='open',", ")"]
    assert setting(code, "B") == ["replace(", "    A,", "    loss='dims',", ")"]
    assert setting(code, "C") == setting(code, "D") == []


def test_parameters_are_told_by_their_shapes_where_the_docstring_does_not():
    code = 'def f(x: Chunks, y: Bool[Tensor, "a b"] | None, n: int, s: Float[Tensor, ""]) -> int: ...'
    function, shapes = ast.parse(code).body[0], {"Chunks": "Float, a number for each entry. And more."}
    assert parameters(function, "Adds.", shapes).splitlines() == [
        ":param x: Float, a number for each entry.",
        ":param y: Bool, ``a b``; or None.",
        ":param s: Float, a single number.",
    ]
    assert parameters(function, "Adds.\n\n:param x: it.", shapes) == ""
    assert parameters(ast.parse("def f(n: int): ...").body[0], "Adds.", shapes) == ""


def test_a_docstring_that_cannot_be_rendered_is_noticed():
    assert "WARNING" in rendered("A **bold word that never ends.")[1]


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("One sentence over\ntwo lines. And another.\n\nMore.", "One sentence over two lines."),
        ("Two rules:\n\n    a table", "Two rules"),
        ("At version 0.6 it is so.", "At version 0.6 it is so."),
    ],
)
def test_a_summary_is_the_first_sentence(docstring, sentence):
    assert first_sentence(docstring) == sentence


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (
            'def f(x: Float[Tensor, "batch dim"], *, n: int = 2) -> Tensor: ...',
            "(x: Float[Tensor, 'batch dim'], *, n: int=2) -> Tensor",
        ),
        ("class A:\n    def __init__(self, x): ...", "(x)"),
        ("class A:\n    def __init__(self): ...", "()"),
        ("@dataclass(frozen=True)\nclass A:\n    x: int\n    y: str = ''\n    z = 3", "(x: int, y: str = '')"),
        ("@dataclass(kw_only=True)\nclass A:\n    x: int\n    y: int = 1", "(*, x: int, y: int = 1)"),
        ("@dataclass\nclass A:\n    x: str = field(default='a', compare=False)", "(x: str = 'a')"),
        ("@dataclass\nclass A:\n    x: dict = field(default_factory=dict)", "(x: dict = {})"),
        ("class A(Exception): ...", ""),
    ],
)
def test_a_signature_is_taken_from_the_source(code, shown):
    assert signature(ast.parse(code).body[0]) == shown


def test_a_record_has_the_fields_of_its_base_and_none_that_nobody_can_give():
    code = "@dataclass\nclass A:\n    x: int\n\n@dataclass\nclass B(A):\n    y: int = field(init=False)\n    z: int\n"
    base, record = ast.parse(code).body
    assert signature(record, {"A": base}) == "(x: int, z: int)"
    assert signature(record) == ""  # whatever the base asks for is not known
