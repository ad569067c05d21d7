"""The controls of `explore`: ipywidgets' abbreviations or objects in, a finite list of values out."""

from dataclasses import dataclass
from html import escape
from math import floor
from typing import Any

import ipywidgets
from ipywidgets.widgets.interaction import interactive
from ipywidgets.widgets.widget_selection import _Selection

FEW = 4
"""Up to so many options stand side by side as radio buttons; more go into a drop-down list."""


@dataclass(frozen=True)
class Control:
    """One control: the ipywidgets object behind it, and all the values that it can take.

    Attributes:
        name: the argument of `compute` that it moves.
        label: what the reader sees beside it.
        widget: the ipywidgets object. Its `value` moves with the picture, so it can be linked, observed and set.
        values: every value, in order.
        shown: each value as the reader sees it.
    """

    name: str
    label: str
    widget: ipywidgets.ValueWidget
    values: tuple[Any, ...]
    shown: tuple[str, ...]

    @property
    def position(self) -> int:
        """Where the widget's present value stands in `values`.

        Raises:
            ValueError: the value is not one of them, such as 0.55 on a slider that moves in steps of 0.1.
        """
        value = self.widget.value
        for position, known in enumerate(self.values):
            same_number = isinstance(known, float) and abs(known - value) < 1e-9
            if same_number or (type(known) is type(value) and known == value):
                return position
        raise ValueError(f"{self.name}: got {value!r}, expected one of {', '.join(self.shown)}")

    def fixed(self) -> dict:
        """What `explore.js` needs to know: the name and the values as text."""
        return {"name": self.name, "label": self.label, "shown": list(self.shown)}

    def html(self) -> str:
        """A native input, complete and labelled. It is `disabled` with its field set until `explore.js` takes over."""
        label, start = escape(self.label), self.position
        if set(self.values) == {False, True} and isinstance(self.widget.value, bool):
            checked = " checked" if self.widget.value else ""
            return f'<label><input type="checkbox"{checked}> {label}</label>'
        if not isinstance(self.widget, _Selection):
            return (
                f'<label>{label} <input type="range" min="0" max="{len(self.values) - 1}" value="{start}" '
                f'aria-valuetext="{escape(self.shown[start])}"> <output>{escape(self.shown[start])}</output></label>'
            )
        if len(self.values) <= FEW:
            buttons = "".join(
                f'<label><input type="radio" value="{i}"{" checked" if i == start else ""}> {escape(shown)}</label>'
                for i, shown in enumerate(self.shown)
            )
            return f'<fieldset class="explore-radio"><legend>{label}</legend>{buttons}</fieldset>'
        options = "".join(
            f'<option value="{i}"{" selected" if i == start else ""}>{escape(shown)}</option>'
            for i, shown in enumerate(self.shown)
        )
        return f"<label>{label} <select>{options}</select></label>"


def make_control(name: str, abbreviation: Any, default: Any) -> Control:
    """A control from what `ipywidgets.interact` takes: `True`, `(1, 12)`, `(0.0, 1.0, 0.1)`, a list, a dict, a widget.

    Args:
        name: the argument of `compute`.
        abbreviation: an abbreviation, or an ipywidgets object, which stays the reader's own.
        default: where it starts, or `inspect.Parameter.empty`.

    Raises:
        ValueError: the control has no finite list of values, such as a text field, or is no control at all.
    """
    if isinstance(abbreviation, ipywidgets.Widget):
        widget = abbreviation
    else:
        widget = interactive.widget_from_abbrev(abbreviation, default)
    label = getattr(widget, "description", "") or name.replace("_", " ")
    if isinstance(widget, ipywidgets.Checkbox | ipywidgets.ToggleButton):
        values, shown = (False, True), ("off", "on")
    elif isinstance(widget, _Selection):
        shown, values = zip(*widget._options_full, strict=True) if widget._options_full else ((), ())
    elif isinstance(widget, ipywidgets.IntSlider | ipywidgets.BoundedIntText):
        values = tuple(range(widget.min, widget.max + 1, widget.step))
        shown = tuple(str(value) for value in values)
    elif isinstance(widget, ipywidgets.FloatSlider | ipywidgets.BoundedFloatText) and widget.step:
        steps = floor((widget.max - widget.min) / widget.step + 1e-9)
        values = tuple(round(widget.min + step * widget.step, 10) for step in range(steps + 1))
        shown = tuple(f"{value:g}" for value in values)
    else:
        raise ValueError(
            f"{name}: got {abbreviation!r}, expected a control with a finite list of values: True or False, (1, 12), "
            "(0.0, 1.0, 0.1), a list or dict of options, or an ipywidgets check box, slider or selection"
        )
    if widget.value is None or not values:
        raise ValueError(f"{name}: got {abbreviation!r}, expected a control that starts with a value")
    # A state is known by its values, and to Python 1, 1.0 and True are the same one.
    if any(values[i] == values[j] for i in range(len(values)) for j in range(i)):
        raise ValueError(f"{name}: got the values {values}, expected each of them once")
    return Control(name, label, widget, tuple(values), tuple(map(str, shown)))
