"""Run notebooks from top to bottom in a fresh kernel and store them in one normal form.

Running twice leaves every file as it was, byte for byte: what is stored depends on the code alone, not on the
clock, the machine, the order in which a front end wrote its keys, or the reader's own data and solved exercises.

Each notebook begins with the same cell, which is written here. Where the library is missing, as on Colab, that cell
installs it from the address that pyproject.toml states under [project.urls]; without an address it says what to do.
"""

import argparse
import os
import sys
import tempfile
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parents[1]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# pip leaves a torch that is there as it is, if it is new enough.
INSTALLS = """\
# Installs the library where it is missing, as on Colab.
import subprocess
import sys
from importlib.util import find_spec

if find_spec("groot_teach") is None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    what = "groot_teach[notebooks,recordings]"
    where = "{source}"
    subprocess.run([*pip, f"{{what}} @ {{where}}"], check=True)"""
SAYS_WHAT_TO_DO = """\
# Says what to do where the library is missing.
from importlib.util import find_spec

if find_spec("groot_teach") is None:
    print("groot_teach is missing. In a clone of this book, run: make lab")"""


def repository_address() -> str:
    """The address of the repository as pyproject.toml states it, or "" if it states none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Source", "")


def install_cell(source: str) -> nbformat.NotebookNode:
    """The first cell of each notebook. The pages leave it out, and Jupyter folds it.

    Args:
        source: from where pip shall install the library, such as `git+https://...`; or "".
    """
    code = INSTALLS.format(source=source) if source else SAYS_WHAT_TO_DO
    cell = nbformat.v4.new_code_cell(code, id="install")
    cell.metadata.update(jupyter={"source_hidden": True}, tags=["remove-cell"])
    return cell


def put_install_cell_first(notebook: nbformat.NotebookNode) -> None:
    address = repository_address()
    others = [cell for cell in notebook.cells if cell.get("id") != "install"]
    notebook.cells = [install_cell(f"git+{address}" if address else ""), *others]


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Takes away, in place, what says when, where and by which program the notebook was run; twice is as once."""
    notebook.metadata.pop("widgets", None)  # a live kernel's widget state: useless later, and named at random
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken = set()
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.get("id") in taken or not cell.get("id"):
            cell.id = f"cell-{number}"
        taken.add(cell.id)
        for key in ("execution", "ExecuteTime", "collapsed", "scrolled", "trusted"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(normal_output, cell.outputs) if output]
    return notebook


def normal_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    if output.output_type == "error":
        # The frames above the message are folders of this machine; what the reader should learn from is the message.
        output.traceback = [f"{output.ename}: {output.evalue}"]
    elif "data" in output:
        output.data.pop(WIDGET_VIEW, None)  # a random id, of use only while the kernel lives
        if not output.data:
            return None
    return output


def run(notebook: nbformat.NotebookNode, folder: Path, timeout: int, progress=lambda: None) -> None:
    """Runs all cells in place; stops at the first exception, unless the cell's tag `raises-exception` announces it."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",  # of the environment that runs this script
        timeout=timeout,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # ipykernel warns of how every kernel on this machine talks
        coalesce_streams=True,  # how the prints of one cell are chopped up depends on the clock
        resources={"metadata": {"path": str(folder)}},
        on_cell_complete=lambda **_: progress(),
    )
    client.execute()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: every chapter, and the template"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="store the results there, not in place")
    parser.add_argument("--data", type=Path, metavar="DIR", help="let chapters read this LeRobot dataset folder")
    parser.add_argument("--episode", metavar="N", help="which episode of it (the first one that can be read)")
    parser.add_argument("--groups", metavar="NAMES", help="which action groups, separated by commas (all)")
    parser.add_argument("--padded-dim", metavar="N", help="to how many dims to pad (32 or 132, or what the robot has)")
    parser.add_argument("--timeout", type=int, default=300, metavar="SECONDS", help="limit for one cell (300)")
    options = parser.parse_args(arguments)
    everything = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book" / "_template").glob("*.ipynb")]
    paths = options.notebooks or sorted(everything)
    if missing := [str(path) for path in paths if not path.is_file()]:
        parser.error(f"no such notebook: {', '.join(missing)}")
    if not paths:
        parser.error(f"no notebooks in {ROOT / 'notebooks'}")

    for name in ("data", "episode", "groups", "padded_dim"):
        value = getattr(options, name)
        os.environ.pop(f"GROOT_TEACH_{name.upper()}", None)
        if value is not None:
            os.environ[f"GROOT_TEACH_{name.upper()}"] = str(value.resolve() if name == "data" else value)

    notebooks = [nbformat.read(path, as_version=4) for path in paths]
    for notebook in notebooks:
        put_install_cell_first(notebook)
    cells = sum(cell.cell_type == "code" and bool(cell.source.strip()) for one in notebooks for cell in one.cells)
    with tempfile.TemporaryDirectory() as fresh, tqdm(total=cells, unit="cell") as bar:
        for path, notebook in zip(paths, notebooks, strict=True):
            bar.set_description(path.stem)
            # Exercises solved by whoever runs this must not show in an output.
            os.environ["GROOT_TEACH_PROGRESS"] = str(Path(fresh, f"{path.stem}.json"))
            try:
                run(notebook, path.resolve().parent, options.timeout, bar.update)
            except (CellExecutionError, TimeoutError) as error:
                bar.close()
                print(f"{path}: stopped, nothing stored.\n{error}", file=sys.stderr)
                return 1
            target = (options.output / path.name) if options.output else path
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(normalise(notebook), target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
