"""The batch of a policy as a flat dict of entries, and back again; and a copy of everything for each run.

Entries of a nested batch are named by their path: `batch["observation"]["image"]` is `"observation.image"`. Each run of
the policy is given copies of all tensors in the batch's own nesting, so nothing that it writes into them is seen by the
next run, nor by the caller.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor

Path = tuple[str | int, ...]


class Nesting:
    """How the entries of a batch are nested.

    Args:
        batch: the batch.
        named: the names of entries that somebody refers to. A list is taken apart only if one of them is inside it,
            such as `"views.0"`, because a list may also hold one item for each sample.

    Raises:
        ValueError: two entries that would have the same name.
    """

    def __init__(self, batch: Mapping[str, Any], named: Collection[str]):
        self._named = named
        self._kinds: dict[Path, Any] = {}
        self.flat: dict[str, Any] = {}
        self._paths: dict[str, Path] = {}
        for path, value in self._entries(batch, ()):
            name = ".".join(map(str, path))
            if name in self.flat:
                raise ValueError(f"batch: got two entries that are called {name!r}, expected another name for one")
            self.flat[name], self._paths[name] = value, path

    def nested(self, flat: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The batch with copies of these entries, and those copies that are tensors, by name."""
        root: dict = {}
        handed = {}
        for name, value in flat.items():
            copied = copy_of(value)
            if isinstance(copied, Tensor):
                handed[name] = copied
            *above, last = self._paths.get(name, (name,))
            inside = root
            for key in above:
                inside = inside.setdefault(key, {})
            inside[last] = copied
        for path in sorted(self._kinds, key=len, reverse=True):
            *above, last = path
            inside = root
            for key in above:
                inside = inside.get(key, {})
            if last in inside:
                inside[last] = _as_kind(self._kinds[path], inside[last])
        return root, handed

    def _entries(self, batch: Mapping, above: Path) -> Iterator[tuple[Path, Any]]:
        for key, value in batch.items():
            path = (*above, key)
            prefix = ".".join(map(str, path)) + "."
            if isinstance(value, list | tuple) and any(name.startswith(prefix) for name in self._named):
                self._kinds[path] = type(value)
                yield from self._entries(dict(enumerate(value)), path)
            elif isinstance(value, Mapping):
                self._kinds[path] = type(value)
                yield from self._entries(value, path)
            else:
                yield path, value


def copy_of(value: Any) -> Any:
    """The same value with copies of all tensors and arrays in it. A copy of a tensor keeps its graph."""
    if isinstance(value, Tensor):
        return value.clone()
    if type(value) in (list, tuple):
        return type(value)(copy_of(part) for part in value)
    return value.copy() if type(value).__module__ == "numpy" and hasattr(value, "copy") else value


def _as_kind(kind: type, entries: dict) -> Any:
    if issubclass(kind, list | tuple):
        return kind([entries[place] for place in sorted(entries)])
    try:
        return entries if kind is dict else kind(entries)
    except TypeError:  # such as a record that takes its entries by name
        return kind(**entries)
