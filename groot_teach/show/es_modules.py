"""The engine of the live pictures and their own modules, joined without a bundler.

A live notebook takes one ES module for each picture. A published page takes all of them as one classic script, since
browsers load no ES module from file://. This file needs nothing but Python, so that the book's build can read it
without the rest of the library.
"""

import re
from collections.abc import Mapping

EXPORT = re.compile(r"^export (?=const |function )", re.MULTILINE)
IMPORT = re.compile(r'^import \{[^}]*\} from "[./]*show/live\.js";\n', re.MULTILINE)
PICTURE = re.compile(r"^export const picture =", re.MULTILINE)


def as_module(engine: str, picture: str) -> str:
    """One ES module for anywidget: its default export renders `picture`."""
    own = _own(picture, "const picture =")
    return (
        f"{EXPORT.sub('', engine)}\n{own}\n"
        "export default { render: (context) => render(picture, context) };\n"
        "export const { twins } = picture;\nexport const start = (root) => hydrate(root, picture);\n"
    )


def as_script(engine: str, pictures: Mapping[str, str]) -> str:
    """One classic script for all pictures, by the names that stand in `data-picture`. It starts those of the page."""
    parts = [f"(() => {{\n{_own(text, f'pictures.{name} =')}}})();" for name, text in pictures.items()]
    return "\n".join(
        [
            '(() => {\n"use strict";',
            EXPORT.sub("", engine),
            "const pictures = {};",
            *parts,
            'for (const root of document.querySelectorAll("[data-picture]"))',
            "  hydrate(root, pictures[root.dataset.picture]);",
            "})();\n",
        ]
    )


def _own(text: str, becomes: str) -> str:
    """The picture's own code, with its import of the engine gone and its export turned into an assignment."""
    text, imports = IMPORT.subn("", text)
    text, exports = PICTURE.subn(becomes, text)
    if imports != 1 or exports != 1 or re.search(r"^(import|export)\b", text, re.MULTILINE):
        raise ValueError(
            "a live picture: expected one import, from show/live.js, and one export, `picture`; "
            f"found {imports} and {exports}, or others beside them"
        )
    return text
