"""Find out, while building, which repository this book is built from, and link to it.

The address is written nowhere in the book, so that a fork's pages launch the fork's notebooks. It comes from
BOOK_REPOSITORY_URL (set but empty: no repository), or from GitHub's own variables in a workflow, or from git.
Without an address there are no launch, repository or issue buttons: better none than dead ones.
"""

import os
import re
import subprocess

BUTTONS = {
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    },
    "path_to_docs": "",
    "use_repository_button": True,
    "use_issues_button": True,
}
ON_GITHUB = re.compile(r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def git_origin(folder) -> str:
    command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_repository(environ, origin: str) -> str:
    """The https address of the repository, or "" if there is none on GitHub."""
    if "BOOK_REPOSITORY_URL" in environ:
        return environ["BOOK_REPOSITORY_URL"].rstrip("/")
    if environ.get("GITHUB_REPOSITORY"):
        return f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{environ['GITHUB_REPOSITORY']}"
    match = ON_GITHUB.fullmatch(origin)
    return f"https://github.com/{match[1]}" if match else ""


def add_buttons(app, config):
    if url := find_repository(os.environ, git_origin(app.srcdir)):
        branch = os.environ.get("BOOK_REPOSITORY_BRANCH", "main")
        config.html_theme_options.update(BUTTONS, repository_url=url, repository_branch=branch)


def setup(app):
    app.connect("config-inited", add_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
