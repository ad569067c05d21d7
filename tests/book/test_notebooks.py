"""What nbval cannot see in a stored notebook: one small rule each.

A rule is a function from a notebook to a list of complaints. Every rule is tried on a notebook that breaks it and
on one that keeps it, since a rule that cannot complain proves nothing; then it is applied to every notebook.
"""

import ast
import copy
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from run_notebooks import WIDGET_VIEW, install_cell, normalise, put_install_cell_first

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEMPLATE = ROOT / "book/_template/chapter_template.ipynb"
MOST_LINES = 20
MOST_BYTES = 400_000


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def mime_types(notebook):
    return {mime for output in outputs(notebook) for mime in output.get("data", {})}


def tags(cell):
    return cell.metadata.get("tags", [])


def name(cell):
    return f"cell {cell.get('id')} ({cell.source.strip().splitlines()[0] if cell.source.strip() else 'empty'})"


def code_lines(source):
    """Lines with code on them: not blank, not only a comment."""
    return [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def ran_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook) if cell.source.strip()]
    wanted = list(range(1, len(counts) + 1))
    return [] if counts == wanted else [f"execution counts are {counts}, not 1 to {len(counts)}"]


def figures_are_not_pixels(notebook):
    return sorted(mime_types(notebook) & {"image/png", "image/jpeg", "image/gif"})


def holds_no_live_widget(notebook):
    found = ["metadata.widgets"] if "widgets" in notebook.metadata else []
    return (
        found
        + [WIDGET_VIEW] * (WIDGET_VIEW in mime_types(notebook))
        + re.findall(r"IPY_MODEL_\w+", json.dumps(outputs(notebook)))
    )


def shows_no_memory_address(notebook):
    return re.findall(r"\b0x[0-9a-fA-F]{8,}", json.dumps(outputs(notebook)))


def shows_no_path_of_a_machine(notebook):
    return re.findall(r"(?<![\w./:-])/(?:home|tmp|root|work|Users|usr)/[^\s\"'\\<]*", json.dumps(outputs(notebook)))


def prints_nothing_on_stderr(notebook):
    return [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def ends_no_cell_with_a_semicolon(notebook):
    """nbval runs cells in a way in which a closing `;` hides nothing, so the outputs would differ."""
    return [name(cell) for cell in code_cells(notebook) if cell.source.rstrip().endswith(";")]


def takes_no_cell_out_of_nbval(notebook):
    marks = re.compile(r"#\s*(NBVAL_|PYTEST_VALIDATE_)(IGNORE|SKIP)", re.IGNORECASE)
    return [
        name(cell)
        for cell in code_cells(notebook)
        if marks.search(cell.source) or any("nbval" in tag for tag in tags(cell))
    ]


def shows_announced_exceptions_and_no_others(notebook):
    def raised(cell):
        return any(output.output_type == "error" for output in cell.outputs)

    return [name(cell) for cell in code_cells(notebook) if raised(cell) != ("raises-exception" in tags(cell))]


def leaves_the_verdict_on_a_blank_answer_to_notebooks(notebook):
    """On a page without Python the box "not attempted" would stand between a task and its case on paper."""
    return [
        name(cell)
        for cell in code_cells(notebook)
        if any(": not attempted" in str(output) for output in cell.outputs) != ("remove-output" in tags(cell))
    ]


def describes_every_figure(notebook):
    def figure(cell):
        return any("image/svg+xml" in output.get("data", {}) for output in cell.outputs)

    def alt(cell):
        return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()

    return [
        f"{name(cell)}: no alt text in mystnb.image.alt"
        for cell in code_cells(notebook)
        if figure(cell) and not alt(cell)
    ]


def keeps_cells_short(notebook):
    sizes = {name(cell): len(code_lines(cell.source)) for cell in code_cells(notebook)}
    return [f"{cell}: {size} lines of code, {MOST_LINES} at most" for cell, size in sizes.items() if size > MOST_LINES]


def begins_with_the_install_cell(notebook):
    with_cell = copy.deepcopy(notebook)
    put_install_cell_first(with_cell)
    wanted, found = with_cell.cells[0], notebook.cells[0] if notebook.cells else {}
    parts = ("id", "source", "metadata")
    ours = [found.get(part) for part in parts] == [wanted[part] for part in parts] and found.outputs == []
    return [] if ours else ["the first cell is not the install cell that `make notebooks` writes, or it has an output"]


def starts_with_a_title(notebook):
    """Behind the install cell, which no page shows."""
    first = notebook.cells[1] if len(notebook.cells) > 1 else None
    return (
        []
        if first and first.cell_type == "markdown" and first.source.startswith("# ")
        else ["no title in the second cell"]
    )


def is_valid_python(notebook):
    """No magics, no shell: the code is the same wherever it is pasted."""
    found = []
    for cell in code_cells(notebook):
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            found.append(f"{name(cell)}: {error}")
    return found


def is_in_normal_form(notebook):
    return [] if normalise(copy.deepcopy(notebook)) == notebook else ["not as `make notebooks` would store it"]


def is_small(notebook):
    size = len(nbformat.writes(notebook).encode())
    return [] if size < MOST_BYTES else [f"{size} bytes, fewer than {MOST_BYTES} wanted"]


def stdout(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(mime, data="x"):
    return new_output("display_data", {mime: data})


def error():
    return new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


def cell(source="1 + 1", outputs=(), count=2, **metadata):
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)


def good():
    """A notebook that keeps every rule, with one of everything that a rule looks at."""
    alt = {"mystnb": {"image": {"alt": "Two rows of squares"}}}
    cells = [
        new_markdown_cell("# Which numbers are real?"),
        cell("print('a; b')", [stdout("a; b, at https://host/home/x, 0x1f\n")], count=2),
        cell("show()", [shown("image/svg+xml", "<svg/>"), shown("text/html", "<b>1</b>")], count=3, **alt),
        cell("raise ValueError('no')", [error()], count=4, tags=["raises-exception"]),
        cell("", count=None),
    ]
    notebook = new_notebook(cells=cells)
    put_install_cell_first(notebook)
    notebook.cells[0].execution_count = 1
    return normalise(notebook)


def bad(*cells):
    return new_notebook(cells=[new_markdown_cell("# Title"), *cells])


def untidy():
    notebook = good()
    notebook.cells[2].metadata["ExecuteTime"] = {"start_time": "now"}
    return notebook


def with_first_cell(first):
    notebook = good()
    notebook.cells[0] = first
    return notebook


def talking_install_cell():
    first = good().cells[0]
    first.outputs = [stdout("groot_teach is missing")]
    return first


BREAKS = [
    (ran_from_top_to_bottom, bad(cell(count=2))),
    (ran_from_top_to_bottom, bad(cell(count=None))),
    (ran_from_top_to_bottom, bad(cell(count=2), cell(count=1))),
    (figures_are_not_pixels, bad(cell(outputs=[shown("image/png")]))),
    (figures_are_not_pixels, bad(cell(outputs=[shown("image/jpeg")]))),
    (holds_no_live_widget, bad(cell(outputs=[shown(WIDGET_VIEW, {"model_id": "a1"})]))),
    (holds_no_live_widget, bad(cell(outputs=[shown("text/html", "IPY_MODEL_a1b2")]))),
    (holds_no_live_widget, new_notebook(metadata={"widgets": {}})),
    (shows_no_memory_address, bad(cell(outputs=[shown("text/plain", "<Thing at 0x7f0a12345678>")]))),
    (shows_no_path_of_a_machine, bad(cell(outputs=[stdout("saved in /home/me/book/x.csv\n")]))),
    (shows_no_path_of_a_machine, bad(cell(outputs=[shown("text/plain", "'/tmp/x'")]))),
    (prints_nothing_on_stderr, bad(cell(outputs=[stdout("UserWarning", name="stderr")]))),
    (ends_no_cell_with_a_semicolon, bad(cell("plot();\n"))),
    (takes_no_cell_out_of_nbval, bad(cell("# NBVAL_IGNORE_OUTPUT\n1"))),
    (takes_no_cell_out_of_nbval, bad(cell("#nbval_skip\n1"))),
    (takes_no_cell_out_of_nbval, bad(cell(tags=["nbval-skip"]))),
    (shows_announced_exceptions_and_no_others, bad(cell(tags=["raises-exception"]))),
    (shows_announced_exceptions_and_no_others, bad(cell(outputs=[error()]))),
    (leaves_the_verdict_on_a_blank_answer_to_notebooks, bad(cell(outputs=[stdout("loss.1: not attempted")]))),
    (leaves_the_verdict_on_a_blank_answer_to_notebooks, bad(cell(outputs=[stdout("4")], tags=["remove-output"]))),
    (describes_every_figure, bad(cell(outputs=[shown("image/svg+xml")]))),
    (describes_every_figure, bad(cell(outputs=[shown("image/svg+xml")], mystnb={"image": {"alt": " "}}))),
    (keeps_cells_short, bad(cell("x = 1\n" * (MOST_LINES + 1)))),
    (begins_with_the_install_cell, new_notebook()),
    (begins_with_the_install_cell, bad(cell())),
    (begins_with_the_install_cell, with_first_cell(install_cell("git+https://host/of/somebody"))),
    (begins_with_the_install_cell, with_first_cell(talking_install_cell())),
    (starts_with_a_title, new_notebook()),
    (starts_with_a_title, new_notebook(cells=[install_cell("")])),
    (starts_with_a_title, new_notebook(cells=[install_cell(""), new_markdown_cell("No title")])),
    (starts_with_a_title, new_notebook(cells=[install_cell(""), cell("# not a title")])),
    (is_valid_python, bad(cell("%matplotlib inline"))),
    (is_valid_python, bad(cell("!pip install torch"))),
    (is_in_normal_form, untidy()),
    (is_small, bad(cell(outputs=[stdout("x" * MOST_BYTES)]))),
]
RULES = list(dict.fromkeys(rule for rule, _ in BREAKS))


@pytest.mark.parametrize(("rule", "notebook"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_complains_of_a_notebook_that_breaks_it(rule, notebook):
    assert rule(notebook)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_is_content_with_a_notebook_that_keeps_it(rule):
    assert rule(good()) == []


def test_comments_and_blank_lines_do_not_make_a_cell_long():
    assert keeps_cells_short(bad(cell("# why\n\nx = 1\n" * MOST_LINES))) == []


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_notebook_of_the_book(rule, path):
    assert rule(nbformat.read(path, as_version=4)) == []


def test_the_template_begins_as_every_notebook_does():
    assert begins_with_the_install_cell(nbformat.read(TEMPLATE, as_version=4)) == []


@pytest.mark.parametrize("source", ["", "git+https://host/of/somebody"])
def test_the_install_cell_is_ordinary_python_in_short_lines(source):
    code = install_cell(source).source
    ast.parse(code)
    assert source in code
    assert max(map(len, code.splitlines())) <= 80
