"""Reads the JSON and parquet files of a recording, and checks each value when it is read.

An error names the file, the field, what was found and what was expected. This module knows nothing about LeRobot's
format; that is the job of `lerobot`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot_teach.extras import needed_for


class DatasetError(ValueError):
    """A folder that contradicts itself or its format. The message is `<file>: <field>: got ..., expected ...`."""


def floats(file: str, field: str, column: Any) -> list[float]:
    """The column as float64. If that would change a number in it, or if one is missing, it raises an error."""
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)) or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "a number in each")
    try:
        return column.cast(pa.float64()).to_pylist()
    except pa.ArrowInvalid as error:
        raise wrong(file, field, error, "integers that float64 holds exactly") from error


def integers(file: str, table: Any, field: str) -> list[int]:
    """A column of integers, none of them missing."""
    import pyarrow as pa

    column = table[field]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "an integer in each")
    return column.to_pylist()


def read_table(folder: Path, file: str, wanted: Sequence[str], optional: Sequence[str] = ()) -> Any:
    """The wanted columns of a parquet file, and those of the optional ones that it has."""
    with needed_for("reading parquet files"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if not (folder / file).is_file():
        raise wrong(file, "file", f"no such file in {folder}", "a parquet file; this part of the data is not on disk")
    try:
        with pq.ParquetFile(folder / file) as parquet:
            names = parquet.schema_arrow.names
            fields = [*wanted, *(field for field in optional if field in names)]
            for field in fields:
                if names.count(field) != 1:
                    raise wrong(file, field, f"{names.count(field)} columns of that name among {names}", "one")
            return parquet.read(columns=fields)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", f"damage: {error}", "an undamaged parquet file") from error


def table_rows(
    folder: Path, file: str, wanted: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a parquet file, each with its place for error messages: `<file>: row <number>`."""
    rows = read_table(folder, file, wanted, optional).to_pylist()
    return [(f"{file}: row {number}", row) for number, row in enumerate(rows)]


def json_lines(folder: Path, file: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects in a file with one JSON object a line, each with its place: `<file>: line <number>`."""
    # Not splitlines(), which also splits at U+2028. JSON allows that character inside a string.
    lines = enumerate(read_text(folder, file).split("\n"), start=1)
    return [(f"{file}: line {n}", parse_json(f"{file}: line {n}", line)) for n, line in lines if line.strip()]


def read_text(folder: Path, file: str) -> str:
    """The text of a UTF-8 file."""
    try:
        return (folder / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", error, "a readable UTF-8 file") from error


def parse_json(where: str, text: str) -> dict[str, Any]:
    """A JSON object. `where` is its place, for the error message."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise wrong(where, "JSON", error, "an object") from error
    if not isinstance(value, dict):
        raise wrong(where, "JSON", f"{value!r:.60}", "an object")
    return value


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
    return number


def new_index(where: str, row: dict[str, Any], field: str, seen: dict[int, Any]) -> int:
    """`row[field]`, if it is an integer of at least 0 that is not among the keys of `seen`."""
    index = count_of(where, row, field, least=0)
    if index in seen:
        raise wrong(where, field, f"{index} for the second time", "each number once")
    return index


def wrong(file: str, field: str, got: object, expected: object) -> DatasetError:
    """The error for a value, ready to be raised."""
    return DatasetError(f"{file}: {field}: got {got}, expected {expected}")
