"""What panels and tables check about the numbers and words that they are given, and how they write a number."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

BIGGEST = 2**53
"""The largest whole number up to which JavaScript can tell each whole number from the next."""


def kept(record: Any, **values: Any) -> None:
    """Stores the checked values, in new lists, so that the caller can go on changing the lists that it passed."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def plain(values: Any) -> Sequence:
    """Tensors and arrays as nested lists; lists and tuples as they are."""
    return values.tolist() if hasattr(values, "tolist") else values


def single(name: str, value: Any) -> Any:
    """The number in a tensor or an array; anything else as it is.

    Raises:
        TypeError: a tensor or an array with more or fewer numbers than one.
    """
    if not hasattr(value, "item"):
        return value
    try:
        return value.item()
    except (RuntimeError, ValueError):
        raise TypeError(f"{name}: got numbers of the shape {tuple(value.shape)}, expected a single one") from None


def listed(name: str, values: Any) -> list:
    """The entries of a list, a tuple, a tensor or an array.

    Raises:
        TypeError: it has no entries in an order, or it is a text.
    """
    values = plain(values)
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"{name}: got {values!r:.60}, expected a list")
    return [*values]


def named(name: str, values: Any) -> dict:
    """The entries of a dict.

    Raises:
        TypeError: it is no dict.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name}: got {values!r:.60}, expected a dict")
    return dict(values)


def finite(name: str, value: Any) -> float:
    """The value as a number of Python.

    Raises:
        TypeError: it is no number, or it is a bool.
        ValueError: it is infinite, NaN, or too large to be told from its neighbours in a browser.
    """
    value = single(name, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: got {value!r:.60}, expected a number")
    if value != value or value in (inf, -inf):
        raise ValueError(f"{name}: got {value}, expected a finite number")
    if abs(value) > BIGGEST:
        raise ValueError(f"{name}: got {value}, expected at most {BIGGEST} either way")
    return value


def rounded(name: str, value: Any, digits: int, low: float = -BIGGEST, high: float = BIGGEST) -> float:
    """`value` rounded to `digits`, if it lies on the scale. A negative zero becomes 0, so that none is shown as -0.

    The rounded value is both drawn and written, so rounding may move it by no more than a hundredth of the scale.

    Raises:
        ValueError: it lies outside the scale, or rounding moves it too far.
    """
    value = finite(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name}: got {value}, expected {low} to {high}")
    near = round(value, digits) + 0.0 if digits else round(value)
    if abs(near - value) > 0.01 * (high - low):
        raise ValueError(f"{name}: got {value}, which {digits} digits make {near} on a scale to {high}; show more")
    return near


def part(value: float, low: float, high: float) -> float:
    """Where `value` lies between `low` and `high`, from 0 to 1. Only rounding can have moved it outside."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def written(value: float, digits: int) -> str:
    """The number as text, with so many decimals."""
    return f"{value:.{digits}f}"


def known_digits(digits: int) -> None:
    """Raises a ValueError unless `digits` is a whole number of decimals from 0 to 15."""
    if type(digits) is not int or not 0 <= digits <= 15:
        raise ValueError(f"digits: got {digits!r}, expected an int from 0 to 15")


def known_scale(low: Any, high: Any, names: tuple[str, str] = ("low", "high")) -> tuple[float, float]:
    """The two ends of a scale as floats; a ValueError unless the second is above the first."""
    low, high = float(finite(names[0], low)), float(finite(names[1], high))
    if not low < high:
        raise ValueError(f"{' and '.join(names)}: got {low:g} to {high:g}, expected two numbers that grow")
    return low, high


def texts(name: str, values: Sequence[Any]) -> None:
    """Raises a TypeError unless all values are text."""
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name}: got {value!r}, expected text")
