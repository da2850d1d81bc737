"""A manifest as Parquet: text, booleans, numbers, categories and nulls, as pandas, polars and Arrow write them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pyarrow.types as types

from ...findings import finding_keys
from .cohort import NOT_ASSESSED, STATES
from .columns import STUDY_COLUMNS, resolve_columns
from .fields import parse_field
from .problems import Problems
from .state_cells import REMEDY, UNKNOWN, StateCells
from .table import FIRST_ROW, Table

# A few bytes of Parquet may claim any number of rows.
MOST_ROWS = 10_000_000
# Above it, a float does not tell neighbouring whole numbers apart.
LARGEST_EXACT = 2**53
NUMBERS = {"age_years": pyarrow.float64(), "slice_thickness_mm": pyarrow.float64(), "readers": pyarrow.int64()}


def read_parquet(path: Path, patients_are_studies: bool, problems: Problems) -> Table:
    """The table of a Parquet file; what cannot be read is noted in `problems`. Null and NaN are empty cells. Raises OSError."""
    with path.open("rb") as handle:
        try:
            file = pyarrow.parquet.ParquetFile(handle)
            if file.metadata.num_rows > MOST_ROWS:
                problems.add(None, None, None, f"the file has {file.metadata.num_rows} rows; at most {MOST_ROWS} are read")
                return Table()
            columns = resolve_columns(file.schema_arrow.names, patients_are_studies, problems)
            if problems.total:
                return Table()
            data = file.read()
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            problems.add(None, None, None, f"the file is not whole Parquet ({reason}); write it again")
            return Table()
    keys = finding_keys()
    table = Table(list(range(FIRST_ROW, FIRST_ROW + data.num_rows)), states=np.zeros((data.num_rows, len(keys)), np.uint8))
    for column, values in zip(columns, data.columns, strict=True):
        plain = _plain(values)
        if plain is None or (types.is_boolean(plain.type) and column in STUDY_COLUMNS and column != "synthetic"):
            problems.add(1, column, None, f"has type {values.type}; write text" + (" or numbers" if column in NUMBERS else ""))
        elif column in STUDY_COLUMNS:
            table.text[column] = [_text(value).strip() for value in plain.to_pylist()]
        else:
            table.states[:, keys.index(column)] = _states(plain, column, problems)
    return table


def write_parquet(table: Table, path: Path) -> None:
    """Write a table with typed columns; a state as the category of its word. Raises OSError."""
    columns = {column: _typed(column, table.text[column]) for column in STUDY_COLUMNS}
    for place, key in enumerate(finding_keys()):
        codes = pyarrow.array(np.ascontiguousarray(table.states[:, place]).astype(np.int8))
        columns[key] = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(STATES))
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="zstd")


def _typed(column: str, cells: list[str]) -> pyarrow.Array:
    if column in NUMBERS:
        return pyarrow.array([parse_field(column, cell) if cell else None for cell in cells], NUMBERS[column])
    if column == "synthetic":
        return pyarrow.array([parse_field(column, cell) if cell else False for cell in cells], pyarrow.bool_())
    return pyarrow.array([cell or None for cell in cells], pyarrow.string())


def _plain(values: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray | None:
    """The column without its dictionary; None for a type that is no cell, such as a list, a date or bytes."""
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return values if text or number or types.is_boolean(kind) or types.is_null(kind) else None


def _text(value: Any) -> str:
    """The cell that CSV would hold. A column of whole numbers with gaps is one of floats: 7.0 there is 7."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (float, Decimal)) and -LARGEST_EXACT < value < LARGEST_EXACT and value == int(value):
        return str(int(value))
    return str(value)


def _states(values: pyarrow.ChunkedArray, column: str, problems: Problems) -> np.ndarray:
    """States (N,) uint8; UNKNOWN, and a problem for each, where a value is no state."""
    if types.is_null(values.type) or len(values) == 0:
        return np.full(len(values), NOT_ASSESSED, np.uint8)
    coded = values.combine_chunks().dictionary_encode()
    cells = [_text(value) for value in coded.dictionary.to_pylist()]
    known = StateCells()
    meaning = np.array([known[cell] for cell in cells] + [NOT_ASSESSED], np.uint8)
    codes = meaning[coded.indices.fill_null(len(cells)).to_numpy(zero_copy_only=False)]
    if UNKNOWN in meaning:
        for row in np.flatnonzero(codes == UNKNOWN):
            problems.add(int(row) + FIRST_ROW, column, _text(values[int(row)].as_py()), REMEDY)
    return np.asarray(codes)
