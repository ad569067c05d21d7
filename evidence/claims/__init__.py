"""The claims of the note that this book began with, each as an experiment that can be run.

Claims about the note's own program run on our head (`our_head`), and claims about GR00T run on the code that LeRobot
released (`released_code`). What a check is stands in `check`.
"""

import contextlib
import io
import json
from pathlib import Path

from evidence.claims import our_head, released_code
from evidence.claims.check import CHECKS
from groot_teach.extras import progress_bar

__all__ = ["CHECKS", "our_head", "released_code", "store"]


def store(file: Path) -> None:
    """Runs every check in both of its worlds, and writes what they found to `file`, a dict by number of the claim."""
    found = {}
    for number in progress_bar(sorted(CHECKS), desc="claims", unit="check"):
        with contextlib.redirect_stdout(io.StringIO()):  # the head of N1.5 prints its number of parameters
            found[str(number)] = CHECKS[number].record()
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for number, result in found.items():
        print(f"{number:>2}  {result['verdict']:14} {result['check']}")
