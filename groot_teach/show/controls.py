"""The controls of `explore`, made from ipywidgets abbreviations or objects, each with a finite list of values."""

import inspect
from dataclasses import dataclass
from html import escape
from itertools import combinations
from math import floor
from typing import Any

import ipywidgets
from ipywidgets.widgets.interaction import interactive
from ipywidgets.widgets.widget_selection import _Selection

MAX_STATES = 2_000
"""The largest number of states of one widget."""

FEW = 8
"""Up to this number of options are shown side by side as chips; more are shown as a drop-down list."""

PLAIN = str | bool | int | float
"""The types of values that go to the browser as they are."""

FRESH = 'autocomplete="off"'
"""Going back to a page, a browser restores its inputs, but not our picture. This attribute keeps it from doing so."""

BOXES = ipywidgets.Checkbox | ipywidgets.ToggleButton
WHOLE = ipywidgets.IntSlider | ipywidgets.BoundedIntText
REAL = ipywidgets.FloatSlider | ipywidgets.BoundedFloatText


@dataclass(frozen=True)
class Control:
    """One control: the ipywidgets object behind it, and all values that it can take.

    Attributes:
        name: the argument of `compute` that it moves.
        label: what the reader sees beside it.
        widget: the ipywidgets object. Its `value` always belongs to the state that is shown, so you can link, observe
            and set it.
        values: all values, in order.
        shown: each value as the reader sees it.
    """

    name: str
    label: str
    widget: ipywidgets.ValueWidget
    values: tuple[Any, ...]
    shown: tuple[str, ...]

    def position_of(self, value: Any) -> int:
        """The index of `value` in `values`. A float may differ from the listed one by a rounding error.

        Raises:
            ValueError: the value is not one of them, such as 0.55 on a slider that moves in steps of 0.1.
        """
        rounding = 1e-6 * (self.widget.step or 0) if isinstance(self.widget, REAL) else 0
        for position, known in enumerate(self.values):
            if type(known) is float and type(value) in (int, float):
                if abs(known - value) <= rounding:
                    return position
            elif type(known) is type(value) and known == value:
                return position
        raise ValueError(f"{self.name}: got {value!r}, expected one of {', '.join(self.shown)}")

    def fixed(self) -> dict:
        """What `explore.js` needs to know: the label and the values as text."""
        return {"label": self.label, "shown": list(self.shown)}

    def html(self, start: int) -> str:
        """Native, labelled inputs, which `controls.css` draws as chips, as a switch or as a slider.

        They and their field set are `disabled` until `explore.js` has been loaded.
        """
        label = escape(self.label)
        if isinstance(self.widget, BOXES):
            checked = " checked" if start else ""
            return f'<label class="switch"><input type="checkbox"{checked} {FRESH}><span>{label}</span></label>'
        if not isinstance(self.widget, _Selection):
            return (
                f'<label class="slider"><span>{label}</span> <input type="range" min="0" max="{len(self.values) - 1}" '
                f'value="{start}" {FRESH} aria-valuetext="{escape(self.shown[start])}"> '
                f"<output>{escape(self.shown[start])}</output></label>"
            )
        if len(self.values) <= FEW:
            buttons = "".join(
                f'<label><input type="radio" {FRESH}{" checked" if i == start else ""}><span>{escape(shown)}</span>'
                "</label>"
                for i, shown in enumerate(self.shown)
            )
            return f'<fieldset class="chips"><legend>{label}</legend><div>{buttons}</div></fieldset>'
        options = "".join(
            f'<option value="{i}"{" selected" if i == start else ""}>{escape(shown)}</option>'
            for i, shown in enumerate(self.shown)
        )
        return f'<label class="list"><span>{label}</span> <select {FRESH}>{options}</select></label>'

    def as_json(self, value: Any) -> Any:
        """What stands for `value` in a message to the front end: itself, or its label if JSON has no such value."""
        return value if isinstance(value, PLAIN) else self.shown[self.position_of(value)]

    def from_json(self, given: Any) -> Any:
        """The value of this control for which `given` stands in a message."""
        plain = {self.shown[i]: value for i, value in enumerate(self.values) if not isinstance(value, PLAIN)}
        return plain.get(given, given) if isinstance(given, str) else given


def make_control(name: str, abbreviation: Any, default: Any = inspect.Parameter.empty) -> Control:
    """A control from what `ipywidgets.interact` takes: `True`, `(1, 12)`, `(0.0, 1.0, 0.1)`, a list, a dict, a widget.

    Args:
        name: the argument of `compute`.
        abbreviation: an abbreviation, or an ipywidgets object, which is used as it is.
        default: the default of that argument in the signature of `compute`: the value with which the control starts.

    Raises:
        ValueError: the control has no finite list of values, such as a text field, or too many values, or the same
            value twice, or it cannot start at `default`.
    """
    widget = _widget_of(abbreviation, default)
    values, shown = _values_of(name, abbreviation, widget)
    # Values and labels identify a state, so each must occur once. To Python 1, 1.0 and True are the same value.
    for kind, items in (("values", values), ("labels", shown)):
        if any(one == other for one, other in combinations(items, 2)):
            raise ValueError(f"{name}: got the {kind} {items}, expected each of them once")
    control = Control(name, getattr(widget, "description", "") or name.replace("_", " "), widget, values, shown)
    if widget.value is None:
        raise ValueError(f"{name}: got {abbreviation!r}, expected a control that starts with a value")
    start = control.position_of(widget.value)
    is_sequence = isinstance(abbreviation, list | tuple | dict)  # other abbreviations say themselves where they start
    if default is not inspect.Parameter.empty and is_sequence and control.position_of(default) != start:
        raise ValueError(f"{name}: got the default {default!r}, but the control starts at {shown[start]}")
    return control


def _widget_of(abbreviation: Any, default: Any) -> Any:
    """The ipywidgets object of an abbreviation, or None: it is checked by `_values_of`."""
    if isinstance(abbreviation, ipywidgets.Widget):
        return abbreviation
    return interactive.widget_from_abbrev(abbreviation, default)


def _values_of(name: str, abbreviation: Any, widget: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """All values of a control, and their labels. They are counted before the list is made, which could be huge."""
    if isinstance(widget, BOXES):
        return (False, True), ("off", "on")
    if isinstance(widget, _Selection) and widget._options_full:
        _few_enough(name, len(widget._options_full))
        return tuple(value for _, value in widget._options_full), tuple(str(label) for label, _ in widget._options_full)
    if isinstance(widget, WHOLE) and widget.step > 0:
        whole = range(widget.min, widget.max + 1, widget.step)
        _few_enough(name, len(whole))
        _whole_steps(name, widget, (widget.max - widget.min) % widget.step == 0)
        return tuple(whole), tuple(map(str, whole))
    if isinstance(widget, REAL) and widget.step and widget.step > 0:
        steps = floor((widget.max - widget.min) / widget.step + 1e-6)
        _few_enough(name, steps + 1)
        _whole_steps(name, widget, abs(widget.min + steps * widget.step - widget.max) <= 1e-6 * widget.step)
        real = tuple(float(f"{widget.min + step * widget.step:.12g}") for step in range(steps + 1))
        return real, tuple(f"{value:.10g}" for value in real)
    raise ValueError(
        f"{name}: got {abbreviation!r}, expected a control with a finite list of values: True or False, (1, 12), "
        "(0.0, 1.0, 0.1), a list or dict of options, or an ipywidgets check box, slider or selection"
    )


def _few_enough(name: str, count: int) -> None:
    if count > MAX_STATES:
        raise ValueError(f"{name}: got {count} values, expected at most {MAX_STATES} states; use larger steps")


def _whole_steps(name: str, widget: Any, fits: bool) -> None:
    """Raises an error if whole steps do not reach the end of a slider: a reader could move it there all the same."""
    if not fits:
        raise ValueError(
            f"{name}: got {widget.min:g} to {widget.max:g} in steps of {widget.step:g}, expected whole steps to the end"
        )
