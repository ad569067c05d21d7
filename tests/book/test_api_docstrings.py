"""Docstrings on their way to the API's pages: what the book's extension makes of them."""

import ast
from io import StringIO
from pathlib import Path

import pytest
from api_pages import first_sentence, signature, to_rest
from docutils.core import publish_doctree
from docutils.nodes import block_quote, literal, literal_block, strong
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


def test_code_is_code_and_a_table_stays_as_it_stands():
    document, complaints = rendered(
        """The `loss` of **real** entries.

        Two rules:

            select     `where`, then square
            count      what you sum

        Args:
            loss: what `exp(-2 s)` weighs.

                Twice.
        """
    )
    assert complaints == ""
    assert [node.astext() for node in document.findall(literal)] == ["loss", "exp(-2 s)"]
    assert next(document.findall(strong)).astext() == "real"
    assert [node.astext() for node in document.findall(literal_block)] == [
        "select     `where`, then square\ncount      what you sum"
    ]


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
        ("class A(Exception): ...", ""),
    ],
)
def test_a_signature_is_taken_from_the_source(code, shown):
    assert signature(ast.parse(code).body[0]) == shown
