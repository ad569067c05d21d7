"""The two facts about the package that pyproject.toml cannot state, because they depend on the repository's address.

Everything else is in pyproject.toml. The address is the one that the book is built with (book/_ext/repository.py),
unless pyproject.toml itself states it under [project.urls]. Without an address the package has no links and no picture,
rather than dead ones.
"""

import os
import re
import tomllib
from pathlib import Path
from runpy import run_path

from setuptools import setup

ROOT = Path(__file__).parent
# An image or a link whose target is a path in this repository: `![alt](path)`, `[text](path)`.
RELATIVE = re.compile(r"(!?)\[([^\[\]]*)\]\((?!https?:|mailto:|#)([^()\s]+)\)")
CODE_BLOCK = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def repository_address(project: dict) -> str:
    repository = run_path(str(ROOT / "book/_ext/repository.py"))
    known = project.get("urls", {}).get("Source")
    return known or repository["find_repository"](os.environ, repository["git_origin"](ROOT))


def readable_elsewhere(markdown: str, address: str) -> str:
    """The README with whole addresses for links and pictures; without an address, with their words alone."""
    branch = os.environ.get("BOOK_REPOSITORY_BRANCH", "main")

    def whole(link: re.Match) -> str:
        picture, words, path = link.groups()
        view = "raw" if picture else "blob"
        return f"{picture}[{words}]({address}/{view}/{branch}/{path})" if address else words

    # Every second piece is a block of code, where brackets and parentheses are Python.
    pieces = CODE_BLOCK.split(markdown)
    pieces[::2] = [RELATIVE.sub(whole, piece) for piece in pieces[::2]]
    return "".join(pieces)


def links(address: str) -> dict[str, str]:
    branch = os.environ.get("BOOK_REPOSITORY_BRANCH", "main")
    return {
        "Source": address,
        "Changelog": f"{address}/blob/{branch}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = repository_address(project)
    setup(
        long_description=readable_elsewhere((ROOT / "README.md").read_text(encoding="utf-8"), address),
        long_description_content_type="text/markdown",
        project_urls=links(address) if address and "urls" in project["dynamic"] else {},
    )
