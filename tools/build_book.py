"""Build the site, with every warning an error, and say where to open it.

With --data, chapter 1 is first run on that LeRobot dataset folder, in a copy of the sources below _build/edition/;
the committed notebooks and the default site stay as they are.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# All that a build reads, relative to the root.
SOURCES = (
    "_config.yml",
    "index.md",
    "book/**/*",
    "notebooks/*.ipynb",
    "groot_teach/**/*.py",
    "groot_teach/**/*.js",
    "groot_teach/**/*.css",
)


def build(source: Path) -> Path:
    """Builds the book whose root is `source` into its _build/html and returns that folder."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--toc", str(source / "book" / "_toc.yml"), "-W", "--keep-going", "-n", "-q"]
    built = source / "_build"
    print("Building the book (about 20 seconds) ...", flush=True)
    forget_old_machine(source, built)
    # Warnings and errors come on stderr; stdout only repeats where the pages are.
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        # Sphinx reads an unchanged page only once: without this, the next build would pass over the warning.
        shutil.rmtree(built / ".doctrees", ignore_errors=True)
        sys.exit("The book was not built: see the messages above.")
    return built / "html"


def forget_old_machine(source: Path, built: Path) -> None:
    """Sphinx rewrites a page when its text changes, not when an extension or a style sheet does: then we start anew."""
    parts = [source / "_config.yml", source / "book" / "_toc.yml", ROOT / "constraints.txt"]
    folders = [source / "book" / name for name in ("_ext", "_api", "_static")]
    parts += sorted(path for folder in folders for path in folder.rglob("*.*") if path.suffix != ".pyc")
    machine, stamp = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest(), built / ".machine"
    if not stamp.is_file() or stamp.read_text() != machine:
        for folder in (built / "html", built / ".doctrees"):
            shutil.rmtree(folder, ignore_errors=True)
        built.mkdir(parents=True, exist_ok=True)
        stamp.write_text(machine)


def copy_sources(target: Path) -> None:
    for kept in target.glob("*"):  # an edition that was built before leaves its _build, for speed, and nothing else
        if kept.name != "_build":
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    for path in (path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def build_edition(data: Path, more: list[str]) -> Path:
    """Builds the edition of a recording. `more`: options of run_notebooks, such as `--episode 4`."""
    data = data.expanduser().resolve()
    if not (data / "meta" / "info.json").is_file():
        sys.exit(f"{data} is not a LeRobot dataset folder: there is no meta/info.json in it.")
    # The folder's name names the edition; what a path or an address could trip over becomes a "_".
    edition = ROOT / "_build" / "edition" / re.sub(r"[^\w.-]+", "_", data.name)
    copy_sources(edition)
    print(f"Running chapter 1 on {data} ...", flush=True)
    run = [sys.executable, str(ROOT / "tools" / "run_notebooks.py"), "--data", str(data), *more]
    chapters = sorted(str(path) for path in (edition / "notebooks").glob("01_*.ipynb"))
    if subprocess.run([*run, *chapters]).returncode:
        sys.exit("The edition was not built: chapter 1 did not run on this dataset.")
    os.environ["BOOK_REPOSITORY_URL"] = ""  # launch buttons would open the default notebooks, not these
    return build(edition)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a LeRobot dataset folder")
    parser.add_argument("--episode", metavar="N", help="which episode of it (the first one that can be read)")
    parser.add_argument("--groups", metavar="NAMES", help="which action groups, separated by commas (all)")
    parser.add_argument("--padded-dim", metavar="N", help="to how many dims to pad (32 or 132, or what the robot has)")
    options = vars(parser.parse_args())
    data = options.pop("data")
    more = [part for name, value in options.items() if value for part in (f"--{name.replace('_', '-')}", value)]
    if more and not data:
        parser.error(f"{more[0]} goes with --data")
    site = build_edition(data, more) if data else build(ROOT)
    print(f"Open {(site / 'index.html').as_uri()}")


if __name__ == "__main__":
    main()
