"""Live pictures: figures that the reader touches, computed in the page.

Python draws the opening state. `live.js` and the picture's own module then move the elements that are there, in a live
notebook by anywidget and on the published page by the same source. What they compute has a function of the same name in
Python, computed by torch, and a test holds the two against each other.
"""

import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from groot_teach.show.es_modules import as_module

SHOW = Path(__file__).parent
STYLES = ("look.css", "controls.css", "sheet.css", "live.css")
"""The style sheets of a live picture, all in this folder."""


class LivePicture(anywidget.AnyWidget):
    """A picture in the reader's hands. It can be shown, observed and linked like every ipywidget.

    Attributes:
        state: what the reader has set, such as `{"network": "untrained"}`. You can set it, observe it and link it.
        value: what the picture computes in this state, by torch.
    """

    _html = traitlets.Unicode().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        module: Path,
        *,
        title: str,
        caption: str,
        body: str,
        said: str,
        state: Mapping[str, Any],
        constants: Mapping[str, Any],
        compute: Callable[[dict[str, Any]], Any],
    ) -> None:
        """Makes a picture from its opening state.

        Args:
            module: the picture's ES module; its name without `.js` is the name of the picture.
            title: what the picture shows.
            caption: a verb and what the reader will see.
            body: HTML of the opening state, which the module moves.
            said: the opening state in words, for readers who do not see the picture.
            state: what the reader can move, in values that JSON has.
            constants: what the module needs and nobody moves.
            compute: from a state to what the picture shows, by torch.
        """
        self._compute, self._title, self._said = compute, title, said
        data = json.dumps({"state": state, "constants": constants}, separators=(",", ":"), allow_nan=False)
        html = (
            f'<figure class="live" data-picture="{module.stem}" aria-label="{escape(title)}">\n'
            f"<figcaption><strong>{escape(title)}</strong> <span>{escape(caption)}</span></figcaption>\n{body}\n"
            f'<p class="live-said" role="status">{escape(said)}</p>\n'
            f'<script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>\n</figure>'
        )
        self._esm = as_module(_read(SHOW / "live.js"), _read(module))
        self._css = "".join(_read(SHOW / name) for name in STYLES)
        super().__init__(_html=html, state=dict(state))

    @traitlets.validate("state")
    def _known_state(self, proposal: dict[str, Any]) -> dict[str, Any]:
        state = proposal["value"]
        self._compute(state)  # raises an error that says what is wrong with it
        return state

    @property
    def value(self) -> Any:
        return self._compute(self.state)

    def __repr__(self) -> str:
        return f"{self._title}: {self.state}\n{self.value}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return data | {"text/plain": f"{self._title}. {self._said}", "text/html": self._html}, metadata


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
