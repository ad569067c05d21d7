"""`explore`: like `ipywidgets.interact`, but its widgets also work on a published page.

`interact` calls Python whenever a control moves, so it does nothing on a static page. `explore` calls `compute` once
for every state that the controls can reach, and stores all results in its output. With a kernel the output is a live
widget; without one the same `explore.js` updates the same elements from the stored results. The browser computes
nothing: it looks results up and draws them.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from itertools import groupby, product
from math import prod
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from groot_teach.show.controls import MAX_STATES, Control, make_control
from groot_teach.show.panels import Bars, Number, Panel

STYLES = ("look.css", "controls.css", "sheet.css", "tables.css", "explore.css")
"""The style sheets of a widget, all in this folder: the book's look, and then what only `explore` needs."""

MAX_BYTES = 200_000
"""The largest number of bytes that one widget may add to a page, with its numbers and its drawing."""


class ExploreError(ValueError):
    """`explore` cannot show what it was given. The message says which control, state or panel is wrong."""


def explore(compute: Callable[..., Mapping[str, Panel | float]], /, **controls) -> "Explorer":
    """Shows `compute` under controls that move, with a kernel and without one.

    Args:
        compute: a pure function. It takes one argument for each control and returns a dict from titles to panels; a
            plain number is shown as `Number`. The first line of its docstring becomes the caption.
        controls: for each argument of `compute` an abbreviation of `ipywidgets.interact` or an ipywidgets object, with
            a finite list of values. A default in the signature of `compute` says where the control starts.

    Raises:
        ExploreError: a control without a finite list of values, or one that `compute` does not take; more than
            `MAX_STATES` states; a `compute` that raises, or returns a number that is not finite; panels that change
            their form between states; or an output of more than `MAX_BYTES`.

    Example:
        >>> def share(real, padded=4):
        ...     return {"share of padding": padded / (real + padded)}
        >>> explore(share, real=(1, 8), padded=(0, 8))
    """
    name = _name(compute)
    try:
        signature = inspect.signature(compute)
        signature.bind(**controls)
        made = [make_control(key, given, signature.parameters[key].default) for key, given in controls.items()]
    except KeyError as error:
        raise ExploreError(f"controls: {name} takes {error} by **kwargs, expected named arguments") from error
    except Exception as error:  # also what ipywidgets raises for an abbreviation that it cannot use
        raise ExploreError(f"controls of {name}: {error}") from error
    if len({id(control.widget) for control in made}) < len(made):
        raise ExploreError(f"controls of {name}: got one ipywidgets object for two arguments, expected one for each")
    count = prod(len(control.values) for control in made)
    if count > MAX_STATES:
        sizes = " x ".join(f"{len(control.values)} {control.name}" for control in made)
        raise ExploreError(f"controls of {name}: got {count} states ({sizes}), expected at most {MAX_STATES}")
    return Explorer(compute, made)


def _to_json(state: dict[str, Any], explorer: "Explorer") -> dict[str, Any]:
    return {control.name: control.as_json(state[control.name]) for control in explorer._controls}


def _from_json(state: dict[str, Any], explorer: "Explorer") -> dict[str, Any]:
    known = {control.name: control for control in explorer._controls}
    return {name: known[name].from_json(given) if name in known else given for name, given in state.items()}


class _State(traitlets.Dict):
    """A dict of which readers get a copy: changing the copy does not change the widget without its notice."""

    def get(self, obj: traitlets.HasTraits, cls: type | None = None) -> dict[str, Any]:
        return dict(super().get(obj, cls) or {})


class Explorer(anywidget.AnyWidget):
    """What `explore` returns: a widget that can be composed, linked and observed like those of ipywidgets.

    `state`, `positions` and `value` are synced with the front end, so `ipywidgets.jslink` can link them. As `value` is
    the result, `ipywidgets.interactive_output(show, {"found": explorer})` calls `show(found=...)` whenever it changes.

    Attributes:
        state: the current value of each control, by name. You can set, observe and link it.
        positions: the place of each of these values in the list of its control, in the order of the controls, from 0.
            You can set, observe and link it.
        value: the results of the current state, by title: numbers, and the lists and dicts that the `result` of other
            panels gives. It follows from `state`, so you can observe it and not set it.
        controls: the ipywidgets object behind each control, by name. Its `value` belongs to the current state.
        panels: what `compute` returned for the current state, by title.
    """

    _esm = Path(__file__).with_name("explore.js")
    _css = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in STYLES)
    _html = traitlets.Unicode().tag(sync=True)
    positions = traitlets.List(traitlets.Int()).tag(sync=True)
    state = _State().tag(sync=True, to_json=_to_json, from_json=_from_json)
    value = traitlets.Dict().tag(sync=True)

    def __init__(self, compute: Callable, controls: list[Control]) -> None:
        self._compute = compute
        self._controls = controls
        self._follows = False
        names = [control.name for control in controls]
        states = [
            dict(zip(names, values, strict=True)) for values in product(*(control.values for control in controls))
        ]
        self._results = [_panels(compute, state) for state in states]
        _same_form(states, self._results)
        start = [control.position_of(control.widget.value) for control in controls]
        shown = {"positions": start, "state": self._state_at(start), "value": self._value_at(start)}
        super().__init__(_html=self._drawn_at(start), **shown)
        self._follow(True)

    @property
    def controls(self) -> dict:
        return {control.name: control.widget for control in self._controls}

    @property
    def panels(self) -> dict[str, Panel]:
        return self._results[self._index(self.positions)]

    def close(self) -> None:
        """Closes the widget and stops to observe the controls, which may be objects of the caller."""
        self._follow(False)
        super().close()

    def _follow(self, follow: bool) -> None:
        """Starts or stops to observe the controls. Calling it twice does no harm."""
        if follow is self._follows:
            return
        for control in self._controls:
            listen = control.widget.observe if follow else control.widget.unobserve
            listen(self._control_moved, "value")
            listen(self._control_changed)
        self._follows = follow

    @traitlets.validate("positions")
    def _known_positions(self, proposal):
        positions = proposal["value"]
        sizes = [len(control.values) for control in self._controls]
        if len(positions) != len(sizes) or not all(0 <= p < size for p, size in zip(positions, sizes, strict=True)):
            raise traitlets.TraitError(f"positions: got {positions}, expected one below each of {sizes}")
        return positions

    @traitlets.validate("state")
    def _known_state(self, proposal):
        state, names = proposal["value"], [control.name for control in self._controls]
        if sorted(state) != sorted(names):
            raise traitlets.TraitError(f"state: got {sorted(state)}, expected a value for each of {names}")
        try:
            return self._state_at([control.position_of(state[control.name]) for control in self._controls])
        except ValueError as error:
            raise traitlets.TraitError(f"state: {error}") from error

    @traitlets.validate("value")
    def _value_of_this_state(self, proposal):
        if proposal["value"] != (found := self._value_at(self.positions)):
            raise traitlets.TraitError(f"value: got {proposal['value']}, expected {found}; set `state` to change it")
        return found

    @traitlets.observe("positions")
    def _positions_moved(self, _) -> None:
        self.value = self._value_at(self.positions)
        self.state = self._state_at(self.positions)

    @traitlets.observe("state")
    def _state_moved(self, _) -> None:
        self.positions = [control.position_of(self.state[control.name]) for control in self._controls]
        for control in self._controls:
            control.widget.value = self.state[control.name]

    def _control_moved(self, change) -> None:
        positions = list(self.positions)
        for place, control in enumerate(self._controls):
            if control.widget is change.owner:
                positions[place] = control.position_of(change.new)
        self.positions = positions

    def _control_changed(self, change) -> None:
        """Raises an error if a control gets other values afterwards: no results were computed for them."""
        if change.name in ("min", "max", "step", "options"):
            self._follow(False)
            (name,) = [control.name for control in self._controls if control.widget is change.owner]
            raise ExploreError(
                f"{name}: its {change.name} became {change.new!r} after the states were computed; explore again"
            )

    def _state_at(self, positions: list[int]) -> dict:
        return {control.name: control.values[p] for control, p in zip(self._controls, positions, strict=True)}

    def _value_at(self, positions: list[int]) -> dict:
        return {title: panel.result() for title, panel in self._results[self._index(positions)].items()}

    def _index(self, positions: list[int]) -> int:
        index = 0
        for control, position in zip(self._controls, positions, strict=True):
            index = index * len(control.values) + position
        return index

    def _drawn_at(self, positions: list[int]) -> str:
        return _page(self._compute, self._controls, positions, self._results, self._results[self._index(positions)])

    def __repr__(self) -> str:
        lines = [f"{title}: {panel.text()}" for title, panel in self.panels.items()]
        head = f"explore({_name(self._compute)}), {len(self._results)} states; here {self.state}"
        return "\n".join([head, *lines])

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return data | {"text/plain": repr(self), "text/html": self._drawn_at(self.positions)}, metadata


def _written(compute: Callable) -> Callable:
    """The function inside a `functools.partial`, which has the name and the docstring."""
    return compute.func if isinstance(compute, partial) else compute


def _name(compute: Callable) -> str:
    return getattr(_written(compute), "__name__", type(compute).__name__)


def _panels(compute: Callable, state: dict) -> dict[str, Panel]:
    try:
        given = compute(**state)
    except Exception as error:
        raise ExploreError(f"{_name(compute)} raised {type(error).__name__} at {state}: {error}") from error
    if not isinstance(given, Mapping) or not given or not all(isinstance(title, str) for title in given):
        raise ExploreError(f"{_name(compute)} at {state}: got {given!r}, expected panels by title")
    panels = {}
    for title, panel in given.items():
        try:
            panels[title] = panel if isinstance(panel, Panel) else Number(panel)
        except Exception as error:
            raise ExploreError(f"{_name(compute)} at {state}, panel {title!r}: {error}") from error
    return panels


def _same_form(states: list[dict], results: list[dict[str, Panel]]) -> None:
    """Raises an error if a state changes more than numbers: the browser moves elements, but makes no new ones."""
    first = [{"panel title": title, **panel.fixed()} for title, panel in results[0].items()]
    for state, panels in zip(states, results, strict=True):
        forms = [{"panel title": title, **panel.fixed()} for title, panel in panels.items()]
        if len(forms) != len(first):
            raise ExploreError(f"panels at {state}: got {len(forms)}, expected {len(first)} as at {states[0]}")
        for form, expected in zip(forms, first, strict=True):
            for key in [*expected, *form]:
                if form.get(key) != expected.get(key):
                    raise ExploreError(
                        f"panel {expected['panel title']!r} at {state}: got {key} {form.get(key)!r}, expected "
                        f"{expected.get(key)!r} as at {states[0]}; a control moves numbers, not labels or shapes"
                    )


def _page(
    compute: Callable, controls: list[Control], start: list[int], results: list[dict], panels: dict[str, Panel]
) -> str:
    """The HTML output: the results of all states, and the current state drawn so that it needs no script."""
    caption = escape((inspect.getdoc(_written(compute)) or _name(compute)).splitlines()[0])
    inputs = "\n".join(control.html(position) for control, position in zip(controls, start, strict=True))
    drawn = "\n".join(
        '<div class="explore-row">\n' + "\n".join(_figure(*titled) for titled in row) + "\n</div>"
        for _, row in groupby(panels.items(), lambda titled: LOOKS_LIKE[titled[1].fixed()["panel"]])
    )
    html = f"""<div class="explore" role="group" aria-label="{caption}">
<p class="explore-caption">{caption}</p>
<fieldset class="explore-controls" disabled>
{inputs}
</fieldset>
<p class="explore-said" role="status">{escape(_said(controls, start, panels))}</p>
<div class="explore-panels">
{drawn}
</div>
<p class="explore-point" hidden></p>
<script type="application/json">
{_data(controls, start, results)}
</script>
</div>"""
    if (size := len(html.encode())) > MAX_BYTES:
        raise ExploreError(f"{_name(compute)}: got {size:,} bytes for the page, expected at most {MAX_BYTES:,}")
    return html


LOOKS_LIKE = {"number": "number", "kinds": "map", "heat": "map", "lines": "plot", "bars": "list", "table": "list"}
"""Panels that follow each other and look alike are drawn side by side, where there is room."""


def _figure(title: str, panel: Panel) -> str:
    return f'<figure class="explore-panel"><figcaption>{escape(title)}</figcaption>\n{panel.html()}\n</figure>'


def _said(controls: list[Control], positions: list[int], panels: dict[str, Panel]) -> str:
    """The state and its numbers in words, for readers who do not see the picture; if it has no number, its bars."""
    where = ", ".join(f"{control.label}: {control.shown[p]}" for control, p in zip(controls, positions, strict=True))
    numbers = {title: panel for title, panel in panels.items() if isinstance(panel, Number)}
    bars = {title: panel for title, panel in panels.items() if isinstance(panel, Bars)}
    what = "; ".join(f"{title} {panel.text()}" for title, panel in (numbers or bars).items())
    return f"{where}. {what}." if what else f"{where}."


def _data(controls: list[Control], start: list[int], results: list[dict[str, Panel]]) -> str:
    """The results of all states as JSON, a line for each, in the order of `itertools.product` over the controls."""

    def line(value) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")

    fixed = [{"title": title, **panel.fixed()} for title, panel in results[0].items()]
    states = ",\n".join(line([panel.moving() for panel in panels.values()]) for panels in results)
    return (
        f'{{"start":{line(start)},\n"controls":{line([control.fixed() for control in controls])},\n'
        f'"panels":{line(fixed)},\n"states":[\n{states}\n]}}'
    )
