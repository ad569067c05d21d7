"""Which exercises are done, in one small file on the reader's own machine.

The file is `~/.groot_teach/progress.json`, or what the environment variable `GROOT_TEACH_PROGRESS` names. Nothing else
is kept and nothing is sent. Trouble with the file never stops an exercise: what is done stays known until the kernel
ends, and `progress()` says what is the matter.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path

_done_in_this_session: set[str] = set()


def path() -> Path:
    """Where the file is, or would be."""
    named = os.environ.get("GROOT_TEACH_PROGRESS")
    return Path(named).expanduser() if named else Path.home() / ".groot_teach" / "progress.json"


def remember(exercise_id: str) -> None:
    """Marks an exercise as done. Once done, it stays done."""
    _done_in_this_session.add(exercise_id)
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # done() tries again, and says what went wrong
        _save()


def done() -> tuple[set[str], str]:
    """The ids of the exercises that are done, and what is wrong with the file: "" if nothing is."""
    try:
        return _save(), ""
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


def _save() -> set[str]:
    """Adds what this session has done to the file, and returns all of it. The file is replaced whole, or not at all."""
    file = path()
    kept = _read(file)
    if _done_in_this_session <= kept:
        return kept
    kept |= _done_in_this_session
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".draft")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"done": sorted(kept)}, stream, indent=2)
        os.replace(draft, file)
    except OSError:
        os.unlink(draft)
        raise
    return kept


def _read(file: Path) -> set[str]:
    if not file.exists():
        return set()
    content = json.loads(file.read_text(encoding="utf-8"))
    ids = content.get("done") if isinstance(content, dict) else None
    if not isinstance(ids, list) or not all(isinstance(entry, str) for entry in ids):
        raise ValueError('expected {"done": [exercise ids]}')
    return set(ids)
