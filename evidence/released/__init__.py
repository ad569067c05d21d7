"""The code that LeRobot released, loaded from its files: the GR00T action heads, a packing step, and other policies.

N1.5 and N1.7 are in two releases of LeRobot, which cannot be installed side by side. So `make upstream` puts each
release into a folder of its own, without the packages that it asks for. The modules here import only the files that
they need, and leave nothing of them behind in `sys.modules`.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

OLDER, NEWER = (Path(sys.prefix) / f"lerobot-{release}" for release in ("0.4.4", "0.6.1"))
"""Where `make upstream` puts the last release with N1.5, and a release with N1.7."""


def release_of(root: Path) -> str:
    """The number of the release in this folder."""
    return root.name.removeprefix("lerobot-")


def missing() -> str | None:
    """What is not installed, and what to do about it; None if everything is there."""
    for name, folder in (("diffusers", None), ("einops", None), ("lerobot", OLDER), ("lerobot", NEWER)):
        if PathFinder.find_spec(name, folder and [str(folder)]) is None:
            return f"{name if folder is None else folder.name} is not installed: run `make upstream`"
    return None
