"""What lies on the disk where a file should be, and whether a path that a file names stays in its folder.

Recordings and checkpoints are copied, cloned and downloaded, and what arrives is not always what was meant.
"""

import re
from pathlib import Path, PurePosixPath


def stand_in(path: Path) -> tuple[str, str] | None:
    """What a file is that only stands in the place of the real one, and what to do about it; None for a real one.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return (
            "a Git LFS pointer, a text of three lines in place of the data",
            "the data itself; `git lfs install` and `git lfs pull`, run in the folder, bring it",
        )
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page in place of the data", "the data itself; download it again, logged in where that is asked"
    if not start:
        return "an empty file", "one with something in it; copy or download it again"
    return None


def no_folder(path: Path, kind: str = "dataset") -> tuple[str, str] | None:
    """What is wrong with a path that should be a folder, and what to do about it; None for a folder.

    Args:
        path: what was handed over.
        kind: what the folder should hold, "dataset" or "model", in the Hub's words.
    """
    if path.is_dir():
        return None
    if path.exists():
        return f"{path}; that is a file", f"the folder that holds the {kind}"
    if re.fullmatch(r"\w[\w.-]*/[\w.-]+", path.as_posix()) and not path.parent.exists():
        of_kind = "" if kind == "model" else f" --repo-type {kind}"
        command = f"hf download {path.as_posix()}{of_kind} --local-dir {path.name}"
        return (
            f"{path.as_posix()}; there is no such folder, and it looks like a name on the Hugging Face Hub",
            f"a folder on this disk; download it with `{command}`, then hand over that folder",
        )
    return f"{path}; there is no such folder", f"the folder that holds the {kind}"


def stays_inside(path: str) -> bool:
    """Whether a path is relative and leads to no place outside of its folder, on any system."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    leads_out = not parts or parts[0] == "/" or ".." in parts or ":" in path
    return not leads_out and path.isprintable() and len(path.encode()) <= 250
