"""Starts the browser in which the book is printed, tested and measured."""

import shutil

from playwright.sync_api import Browser, Playwright


def launch(playwright: Playwright, *flags: str) -> Browser:
    """A headless Chromium with these flags: the system's, or else Chrome where its installer puts it.

    Chromium's headless shell comes first: it is the same browser without windows, in a third of the time.

    Raises:
        playwright.sync_api.Error: there is neither.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    # CI runs as root; and there Chromium's own errands to the network are refused, many at a time.
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return playwright.chromium.launch(executable_path=path, channel=None if path else "chrome", args=[*quiet, *flags])
