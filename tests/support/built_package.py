"""Building the package as pip would, and environments with little else in them. Nothing is downloaded."""

import os
import shutil
import subprocess
import sys
import venv
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# What lies beside the sources in a working copy and is no part of them.
NOT_SOURCE = shutil.ignore_patterns(".venv*", ".git", "_build", "build", "dist", "*.egg-info", "__pycache__", ".*cache")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(what: str, source: Path, target: Path, address: str = "") -> Path:
    """Lets setuptools make one thing, such as `build_wheel`, and returns where it is.

    Args:
        what: the name of a function of `setuptools.build_meta`.
        source: the folder with pyproject.toml. Building writes into it.
        target: where the thing is put.
        address: of the repository, for the links; "" = unknown.
    """
    command = [sys.executable, "-c", BUILD, what, str(target)]
    environment = os.environ | {"BOOK_REPOSITORY_URL": address}
    result = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return target / result.stdout.splitlines()[-1]


def copy_of_the_sources(target: Path) -> Path:
    return Path(shutil.copytree(ROOT, target, ignore=NOT_SOURCE))


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a requirement is one without any extra, or with one of these extras."""
    return not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras})


def needed(requirements: list[str]) -> dict[str, Distribution]:
    """The distributions that the requirements ask for without any extra of ours, and all that these ask for."""
    found, waiting = {}, [(Requirement(one), set()) for one in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        if applies(requirement, extras) and requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            waiting += [(Requirement(one), requirement.extras) for one in found[requirement.name].requires or []]
    return found


class BareEnvironment:
    """A Python of its own, with pip and what some requirements need, as links into the environment of the tests.

    Every other package is absent, and so are this repository and whatever PYTHONPATH names.
    """

    def __init__(self, folder: Path, requirements: list[str]):
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        (self.folder,) = folder.glob("lib/python*/site-packages")
        for dist in [*needed(requirements).values(), distribution("pip")]:
            for name in {file.parts[0] for file in dist.files} - {"..", "__pycache__"}:
                target = Path(dist.locate_file(name))
                if target.exists() and not (self.folder / name).exists():
                    (self.folder / name).symlink_to(target)

    def packages(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def run(self, command: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GROOT_"))}
        # torch itself says so on `import torch`. Every other warning is seen.
        inherited["PYTHONWARNINGS"] = "ignore:Failed to initialize NumPy"
        return subprocess.run(
            [str(self.bin / command), *arguments],
            cwd=cwd,
            env=inherited | environment,
            capture_output=True,
            text=True,
        )

    def python(self, code: str, cwd: Path, **environment: str) -> str:
        """What the code prints. It must succeed and write nothing to stderr."""
        result = self.run("python", "-c", code, cwd=cwd, **environment)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
        return result.stdout
