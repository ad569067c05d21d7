"""A progress bar for the long runs, where tqdm is installed."""

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], name: str, unit: str) -> Iterable[Item]:
    """The same items, with tqdm's bar around them if tqdm is installed.

    Args:
        items: what is worked on, one after the other.
        name: of the whole work, written in front of the bar.
        unit: what one item is called.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=name, unit=unit)
