"""Reads the JSON and parquet files of a recording, and checks each value when it is read.

An error names the file, the field, what was found and what was expected. This module knows nothing about LeRobot's
format; that is the job of `lerobot`.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from groot_teach.extras import needed_for
from groot_teach.on_disk import stand_in, stays_inside

Value = TypeVar("Value")

LARGEST = 2**63 - 1
"""The largest integer that a parquet column holds. A count in a JSON file has to be one that it could hold, too."""


class DatasetError(ValueError):
    """A folder that contradicts itself or its format. The message is `<file>: <field>: got ..., expected ...`.

    Attributes:
        file: the file that is wrong, relative to the folder, and for a row also its place in the file.
        field: what in it is wrong.
    """

    file: str = ""
    field: str = ""


class DatasetWarning(UserWarning):
    """Something in a folder that is not as described, and that was read all the same."""


Report = Callable[[DatasetError], None]
"""What is done with an error: `raise_it`, or the `append` of a list that collects them all."""


def raise_it(error: DatasetError) -> None:
    raise error


def attempt(report: Report, otherwise: Value, function: Callable[..., Value], *arguments: Any) -> Value:
    """`function(*arguments)`; if that raises `DatasetError`, the error is reported and the answer is `otherwise`."""
    try:
        return function(*arguments)
    except DatasetError as error:
        report(error)
        return otherwise


def wrong(file: str, field: str, got: object, expected: object) -> DatasetError:
    """The error for a value, ready to be raised."""
    error = DatasetError(f"{file}: {field}: got {got}, expected {expected}")
    error.file, error.field = file, field
    return error


# ---------------------------------------------------------------------------------------- what lies on the disk


def is_on_disk(folder: Path, file: str) -> bool:
    """Whether the file is there with something in it. A Git LFS pointer stands for a file that is not there."""
    try:
        return (folder / file).is_file() and stand_in(folder / file) is None
    except OSError:  # such as a name that is too long for any file
        return False


def _real_file(folder: Path, file: str, kind: str) -> Path:
    """The path of a file that is there and is no stand-in."""
    path = folder / file
    try:
        if not path.is_file():
            remedy = (
                "this part of the data is not on disk" if (folder / "meta").is_dir() else "is it the dataset's folder?"
            )
            raise wrong(file, "file", f"no such file in {folder}", f"{kind}; {remedy}")
        if (other := stand_in(path)) is not None:
            raise wrong(file, "file", *other)
    except OSError as error:
        raise wrong(file, "file", error, f"{kind} that can be read") from error
    return path


# --------------------------------------------------------------------------------------------------------- parquet


def floats(file: str, field: str, column: Any) -> Tensor:
    """The column as float64, one axis, a bool as 0 or 1. If that would change a number, or if one is missing, it
    raises an error."""
    import pyarrow as pa

    kind = pa.types
    is_number = kind.is_floating(column.type) or kind.is_integer(column.type) or kind.is_boolean(column.type)
    if not is_number or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "a number in each")
    if kind.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        return _tensor(column.cast(pa.float64()))
    except pa.ArrowInvalid as error:
        raise wrong(file, field, error, "integers that float64 holds exactly") from error


def integers(file: str, table: Any, field: str) -> Tensor:
    """A column of integers as int64, one axis, none of them missing."""
    import pyarrow as pa

    column = table[field]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "an integer in each")
    try:
        return _tensor(column.cast(pa.int64()))
    except pa.ArrowInvalid as error:
        raise wrong(file, field, error, f"integers up to {LARGEST}") from error


def _tensor(column: Any) -> Tensor:
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return torch.from_dlpack(array).clone()  # a copy, because the memory of the table is read-only


def read_table(
    folder: Path,
    file: str,
    wanted: Sequence[str],
    optional: Sequence[str] = (),
    only: tuple[str, int] | None = None,
) -> Any:
    """The wanted columns of a parquet file, and those of the optional ones that it has.

    Args:
        folder: the dataset folder.
        file: relative to it.
        wanted: columns without which the file is of no use.
        optional: columns that may be absent.
        only: a column and an integer: parts of the file that cannot hold a row with this integer, as the file itself
            says, are not read.
    """
    with needed_for("reading parquet files"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    path = _real_file(folder, file, "a parquet file")
    try:
        with pq.ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            fields = [*wanted, *(field for field in optional if field in names and field not in wanted)]
            for field in fields:
                if names.count(field) != 1:
                    raise wrong(file, field, f"{names.count(field)} columns of that name among {names}", "one")
            parts = range(parquet.num_row_groups)
            if only is not None and only[0] in names:
                parts = [part for part in parts if _may_hold(parquet.metadata.row_group(part), *only)]
            # A column's name may be the beginning of another's, which pyarrow then reads too.
            return parquet.read_row_groups(list(parts), columns=fields).select(fields)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", f"damage: {error}", "an undamaged parquet file; copy or download it again") from error


def _may_hold(row_group: Any, field: str, number: int) -> bool:
    """Whether a part of a parquet file may hold this number in this column, by its statistics if there are any."""
    for place in range(row_group.num_columns):
        column = row_group.column(place)
        if column.path_in_schema == field:
            known = column.statistics
            if known is None or not known.has_min_max or not type(known.min) is type(known.max) is int:
                return True
            return known.min <= number <= known.max
    return True


def table_rows(
    folder: Path, file: str, wanted: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a parquet file, each with its place for error messages: `<file>: row <number>`."""
    rows = read_table(folder, file, wanted, optional).to_pylist()
    return [(f"{file}: row {number}", row) for number, row in enumerate(rows)]


# ------------------------------------------------------------------------------------------------------------ JSON


def json_lines(folder: Path, file: str, report: Report = raise_it) -> list[tuple[str, dict[str, Any]]]:
    """The objects in a file with one JSON object a line, each with its place: `<file>: line <number>`."""
    text, rows, faults = read_text(folder, file), [], []
    # Not splitlines(), which also splits at U+2028. JSON allows that character inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{file}: line {number}"
        if line.strip() and (row := attempt(faults.append, None, parse_json, where, line)) is not None:
            rows.append((where, row))
    if faults and _is_json(text):
        faults = [
            wrong(file, "JSON", "JSON that is not written with one object a line", "one object a line, without a list")
        ]
        rows = []
    for fault in faults:
        report(fault)
    return rows


def _is_json(text: str) -> bool:
    """Whether the text is JSON values one after the other, however they are spread over lines."""
    decoder, text = json.JSONDecoder(), text.strip()
    try:
        while text:
            _, end = decoder.raw_decode(text)
            text = text[end:].lstrip()
    except (ValueError, RecursionError):
        return False
    return True


def read_text(folder: Path, file: str) -> str:
    """The text of a UTF-8 file that is not empty."""
    path = _real_file(folder, file, "a UTF-8 text")
    try:
        written = path.read_bytes()
        if written.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise wrong(file, "file", "text in UTF-16", "UTF-8; save the file as UTF-8")
        text = written.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", error, "a readable UTF-8 file") from error
    if not text.strip():
        raise wrong(file, "file", "nothing but spaces", "one with something in it; copy or download it again")
    return text


def parse_json(where: str, text: str) -> dict[str, Any]:
    """A JSON object that says each of its keys once. `where` is its place, for the error message."""
    try:
        value = json.loads(text, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise wrong(where, "JSON", error, "an object") from error
    if not isinstance(value, dict):
        raise wrong(where, "JSON", f"{value!r:.60}", "an object")
    if "\\ud" in text.lower() and re.search(r"[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        raise wrong(where, "JSON", "half of a character that is written as two", "characters that are whole")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r:.60} twice in one object")
    return found


# ---------------------------------------------------------------------------------------------------------- values


def field_of(where: str, record: dict[str, Any], field: str, *kinds: type) -> Any:
    """`record[field]`, if it is there and of one of these types. A bool does not count as an int."""
    expected = " or ".join(kind.__name__ for kind in kinds)
    if field not in record:
        raise wrong(where, field, f"no such key among {list(record)}", expected)
    if type(record[field]) not in kinds:
        raise wrong(where, field, f"{record[field]!r:.60}", expected)
    return record[field]


def count_of(where: str, record: dict[str, Any], field: str, *, least: int) -> int:
    """`record[field]`, if it is an integer of at least `least`."""
    number = field_of(where, record, field, int)
    if number < least:
        raise wrong(where, field, number, f"{least} or more")
    if number > LARGEST:
        raise wrong(where, field, f"a number of {number.bit_length()} bits", f"{LARGEST} at most")
    return number


def new_index(where: str, row: dict[str, Any], field: str, seen: dict[int, Any]) -> int:
    """`row[field]`, if it is an integer of at least 0 that is not among the keys of `seen`."""
    index = count_of(where, row, field, least=0)
    if index in seen:
        raise wrong(where, field, f"{index} for the second time", "each number once")
    return index


def inside(where: str, field: str, path: str) -> str:
    """The path, if it is relative and leads to no place outside of the folder."""
    if not stays_inside(path):
        raise wrong(where, field, f"{path!r:.100}", "a path inside the folder")
    return path
