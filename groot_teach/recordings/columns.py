"""Which columns of a recording are its actions, and what each of their dims is called.

The parquet files of a LeRobot dataset hold one column for each feature. LeRobot calls the one with the actions
`action`; openpi's converters call it `actions`; other recorders write several, such as `action.arm` and
`action.gripper`. What is read here is, in this order of preference:

1. the columns that the caller names;
2. those that the groups of GR00T's `meta/modality.json` name, each in its `original_key`;
3. `action`; or, without a column of that name, all columns of numbers whose names begin with `action`, except those
   that say in their last word that they are a mask.

The actions of a step are the numbers of these columns, one column after the other.
"""

from collections.abc import Sequence
from typing import Any

from groot_teach.recordings.files import count_of, field_of, wrong

INFO, MODALITY = "meta/info.json", "meta/modality.json"


def action_columns(
    features: dict[str, Any], described: dict[str, Any] | None, asked: Sequence[str] | None
) -> dict[str, int]:
    """Column -> its width, in the order in which the columns stand in the actions.

    Args:
        features: `features` of `meta/info.json`.
        described: `action` of `meta/modality.json`, or None without such a file.
        asked: the columns that the caller names, or None.
    """
    if asked is not None:
        if isinstance(asked, str) or not asked or len(set(asked)) < len(asked) or not set(asked) <= set(features):
            raise wrong(INFO, "features", f"columns {asked!r}", f"a list of names out of {list(features)}, each once")
        names = asked
    elif described is None:
        names = _called_action(features)
    else:
        names = dict.fromkeys(_column_of(name, described, features) for name in described)
        if not names:
            raise wrong(MODALITY, "action", "no group", "at least one")
    return {name: _width(features, name) for name in names}


def group_slices(
    features: dict[str, Any], described: dict[str, Any] | None, columns: dict[str, int]
) -> dict[str, slice]:
    """Group -> its dims in the actions. Where no group is described for these columns, each column is a group."""
    starts, start = {}, 0
    for column, width in columns.items():
        starts[column] = start
        start += width
    groups = {}
    for name in described or {}:
        group, where = field_of(f"{MODALITY}: action", described or {}, name, dict), f"{MODALITY}: action.{name}"
        column = _column_of(name, described or {}, features)
        if column not in columns:  # the caller named others
            continue
        begin, end = count_of(where, group, "start", least=0), count_of(where, group, "end", least=1)
        if not begin < end <= columns[column]:
            expected = f"above start {begin}, at most {columns[column]}, the width of {column!r}"
            raise wrong(where, "end", end, expected)
        groups[name] = slice(starts[column] + begin, starts[column] + end)
    return groups or {name: slice(starts[name], starts[name] + width) for name, width in columns.items()}


def dim_names(features: dict[str, Any], columns: dict[str, int]) -> tuple[str, ...]:
    """What each dim of the actions is called: the recorder's name of the joint, or its column and number."""
    return tuple(name for column, width in columns.items() for name in _names_in(features[column], column, width))


def _called_action(features: dict[str, Any]) -> list[str]:
    if "action" in features:
        return ["action"]
    names = [name for name, feature in features.items() if name.startswith("action") and _is_actions(name, feature)]
    if not names:
        hint = f"a column whose name begins with 'action'; or name the columns to read, out of {list(features)}"
        raise wrong(INFO, "features", f"no such key as 'action' among {list(features)}", hint)
    return names


def _is_actions(name: str, feature: Any) -> bool:
    kind = feature.get("dtype", "float") if isinstance(feature, dict) else "float"
    is_number = isinstance(kind, str) and kind.startswith(("float", "int", "uint", "bool"))
    return is_number and not name.endswith(("mask", "is_pad"))


def _column_of(name: str, described: dict[str, Any], features: dict[str, Any]) -> str:
    """The column in which a group of `modality.json` lies. GR00T's default is `action`."""
    group = field_of(f"{MODALITY}: action", described, name, dict)
    if group.get("original_key") is None:
        columns = _called_action(features)
        if len(columns) > 1:
            raise wrong(f"{MODALITY}: action.{name}", "original_key", "nothing", f"one of the columns {columns}")
        return columns[0]
    column = field_of(f"{MODALITY}: action.{name}", group, "original_key", str)
    if column not in features:
        expected = f"a feature of {INFO}: {list(features)}"
        raise wrong(f"{MODALITY}: action.{name}", "original_key", f"{column!r:.60}", expected)
    return column


def _width(features: dict[str, Any], name: str) -> int:
    feature = field_of(f"{INFO}: features", features, name, dict)
    shape = field_of(f"{INFO}: features.{name}", feature, "shape", list)
    if len(shape) != 1 or type(shape[0]) is not int or not 1 <= shape[0] <= 100_000:
        raise wrong(INFO, f"features.{name}.shape", f"{shape!r:.60}", "one number, 1 or more")
    return shape[0]


def _names_in(feature: dict[str, Any], column: str, width: int) -> list[str]:
    """The recorder's names, which LeRobot writes as a list, or as a list in a dict such as `{"motors": [...]}`."""
    names = feature.get("names")
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    is_named = isinstance(names, list) and len(names) == width and all(type(name) is str for name in names)
    return list(names) if is_named and isinstance(names, list) else [f"{column} {dim}" for dim in range(width)]
