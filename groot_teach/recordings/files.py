"""Reads JSON and parquet files of a recording and checks each value it takes: what is there, of which kind, how many.

Every error names the file, the field, what came and what was expected. `lerobot` knows the format; this module knows
only files.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot_teach.extras import needed_for


class DatasetError(ValueError):
    """A folder that contradicts itself or its format: `<file>: <field>: got ..., expected ...`."""


def floats(file: str, field: str, column: Any) -> list[float]:
    """The column as float64, if that changes no number in it."""
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)) or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "a number in each")
    try:
        return column.cast(pa.float64()).to_pylist()
    except pa.ArrowInvalid as error:
        raise wrong(file, field, error, "integers that float64 holds exactly") from error


def integers(file: str, table: Any, field: str) -> list[int]:
    import pyarrow as pa

    column = table[field]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise wrong(file, field, f"{column.type} with {column.null_count} empty entries", "an integer in each")
    return column.to_pylist()


def read_table(folder: Path, file: str, wanted: Sequence[str], optional: Sequence[str] = ()) -> Any:
    """The wanted columns, and those of the optional ones that are there."""
    with needed_for("reading parquet files"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if not (folder / file).is_file():
        raise wrong(file, "file", f"no such file in {folder}", "a parquet file; that part is not on disk")
    try:
        with pq.ParquetFile(folder / file) as parquet:
            names = parquet.schema_arrow.names
            fields = [*wanted, *(field for field in optional if field in names)]
            for field in fields:
                if names.count(field) != 1:
                    raise wrong(file, field, f"{names.count(field)} columns of that name among {names}", "one")
            return parquet.read(columns=fields)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", f"damage: {error}", "a whole parquet file") from error


def table_rows(
    folder: Path, file: str, wanted: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, dict[str, Any]]]:
    rows = read_table(folder, file, wanted, optional).to_pylist()
    return [(f"{file}: row {number}", row) for number, row in enumerate(rows)]


def json_lines(folder: Path, file: str) -> list[tuple[str, dict[str, Any]]]:
    # Not splitlines(): it also cuts at U+2028, which JSON allows inside a text.
    lines = enumerate(read_text(folder, file).split("\n"), start=1)
    return [(f"{file}: line {n}", parse_json(f"{file}: line {n}", line)) for n, line in lines if line.strip()]


def read_text(folder: Path, file: str) -> str:
    try:
        return (folder / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(file, "file", error, "a readable UTF-8 file") from error


def parse_json(where: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise wrong(where, "JSON", error, "an object") from error
    if not isinstance(value, dict):
        raise wrong(where, "JSON", f"{value!r:.60}", "an object")
    return value


def field_of(where: str, record: dict[str, Any], field: str, *kinds: type) -> Any:
    """`record[field]`, if it is there and of one of these kinds. JSON's true is not a number here."""
    expected = " or ".join(kind.__name__ for kind in kinds)
    if field not in record:
        raise wrong(where, field, f"no such key among {list(record)}", expected)
    if type(record[field]) not in kinds:
        raise wrong(where, field, f"{record[field]!r:.60}", expected)
    return record[field]


def count_of(where: str, record: dict[str, Any], field: str, *, least: int) -> int:
    number = field_of(where, record, field, int)
    if number < least:
        raise wrong(where, field, number, f"{least} or more")
    return number


def new_index(where: str, row: dict[str, Any], field: str, seen: dict[int, Any]) -> int:
    index = count_of(where, row, field, least=0)
    if index in seen:
        raise wrong(where, field, f"{index} for the second time", "each number once")
    return index


def wrong(file: str, field: str, got: object, expected: object) -> DatasetError:
    return DatasetError(f"{file}: {field}: got {got}, expected {expected}")
