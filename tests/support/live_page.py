"""What the tests of live pictures read from a page."""

# Imports the ES module whose text is in `source`.
IMPORT = 'import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})))'

# All that a reader could see or hear: text, classes, and the attributes that place things or name them.
STANDING = """() => {
  const names = ["aria-label", "aria-selected", "aria-valuetext", "class", "d", "x", "y", "x1", "y1", "x2", "y2",
    "cx", "cy", "r", "width", "height", "transform", "points", "value"];
  const elements = [...document.querySelectorAll("[data-picture] :not(script)")];
  return elements.map((el) => [
    el.tagName,
    el.children.length ? "" : el.textContent,
    el.style.cssText.replace("touch-action: none;", "").trim(),
    ...names.map((name) => el.getAttribute(name)),
    el.checked ?? null,
  ]);
}"""


def result_of(tab) -> str:
    """What the picture says to those who do not see it."""
    return tab.locator(".live-said").inner_text()


def tab_to(tab, selector: str) -> None:
    """Presses the tab key until the focus is on what the selector names."""
    for _ in range(30):
        tab.keyboard.press("Tab")
        if tab.evaluate(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"no way to {selector} by the tab key")
