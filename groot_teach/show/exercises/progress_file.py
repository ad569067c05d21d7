"""Which exercises are done, in one small file on the reader's own machine.

The file is `~/.groot_teach/progress.json`, or what the environment variable `GROOT_TEACH_PROGRESS` names. Nothing else
is kept and nothing is sent. Trouble with the file never stops an exercise: what is done stays known until the kernel
ends, and `progress()` says what the trouble is.

Several notebooks may write at once. Each one locks the file, reads it again, adds its own ids and replaces it.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_done_in_this_session: set[str] = set()


def path() -> Path:
    """Where the file is, or would be."""
    named = os.environ.get("GROOT_TEACH_PROGRESS")
    return Path(named).expanduser() if named else Path.home() / ".groot_teach" / "progress.json"


def remember(exercise_id: str, renamed: Mapping[str, str]) -> None:
    """Marks an exercise as done. Once done, it stays done.

    Args:
        exercise_id: which exercise.
        renamed: what old ids in the file are called now. The file is then written with the new ones.
    """
    _done_in_this_session.add(exercise_id)
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # done() tries again, and says what went wrong
        _save(renamed)


def done(renamed: Mapping[str, str]) -> tuple[set[str], str]:
    """The ids of the exercises that are done, and what is wrong with the file: "" if nothing is."""
    try:
        return _save(renamed), ""
    except OSError as error:
        problem = f"Progress is not kept: `{path()}` cannot be used ({error.strerror or type(error).__name__})."
    except ValueError as error:
        problem = (
            f"Progress is not kept: `{path()}` is damaged, or is not a progress file ({error}). "
            "Rename or delete it to start anew."
        )
    except RuntimeError:  # no home folder
        problem = "Progress is not kept: there is no home folder. Set `GROOT_TEACH_PROGRESS` to a file."
    return set(_done_in_this_session), problem


def _save(renamed: Mapping[str, str]) -> set[str]:
    """Adds what this session has done to the file, and returns all ids in it. The file is replaced as a whole."""
    file = path()
    if _is_up_to_date(content := _read(file), renamed):
        return set(content["done"])
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        content = _read(file)  # another notebook may have written since
        if not _is_up_to_date(content, renamed):
            kept = {renamed.get(exercise_id, exercise_id) for exercise_id in content["done"]}
            content["done"] = sorted(kept | _done_in_this_session)
            _replace(file, content)
    return set(content["done"])


def _is_up_to_date(content: dict[str, Any], renamed: Mapping[str, str]) -> bool:
    in_file = set(content["done"])
    return in_file >= _done_in_this_session and not in_file & renamed.keys()


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"done": []}
    content = json.loads(file.read_text(encoding="utf-8"))
    ids = content.get("done") if isinstance(content, dict) else None
    if not isinstance(ids, list) or not all(isinstance(entry, str) for entry in ids):
        raise ValueError('expected {"done": [exercise ids]}')
    return content


def _replace(file: Path, content: dict[str, Any]) -> None:
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".draft")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2)
        os.replace(draft, file)
    except OSError:
        os.unlink(draft)
        raise


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Waits until no other process writes the file. The lock is on a file beside it and ends with the process."""
    with open(file.with_name(f"{file.name}.lock"), "wb") as stream:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
