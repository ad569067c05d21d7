"""The names of `groot_teach` itself: written for Python and for type checkers, and loaded when they are asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import groot_teach


def imports_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(Path(groot_teach.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_python_and_a_type_checker_find_the_same_names_in_the_same_modules():
    assert imports_for_type_checkers() == groot_teach._MODULE_OF
    assert sorted(groot_teach.__all__) == sorted({*groot_teach._MODULE_OF, "__version__"})
    assert set(groot_teach.__all__) <= set(dir(groot_teach))


@pytest.mark.parametrize("name", groot_teach._MODULE_OF)
def test_a_name_is_the_one_of_its_module(name):
    assert getattr(groot_teach, name) is getattr(import_module(groot_teach._MODULE_OF[name]), name)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'groot_teach' has no attribute 'audit_mask'"):
        _ = groot_teach.audit_mask


def test_importing_the_library_does_not_load_torch():
    code = "import sys, groot_teach; print('torch' in sys.modules, len(groot_teach.__all__))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", str(len(groot_teach.__all__))]
