"""Rows of the store's tables as lines of JSON, the same from SQLite and from PostgreSQL.

A line holds the columns that are not NULL; so a JSON null that is stored differs from a column that holds nothing. Times are ISO 8601 in
UTC without a zone, as they are stored; bytes are base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    cast,
    event,
    inspect,
    select,
)

from ..store.tables import METADATA

FETCHED = 500  # rows held at once


def stored_tables(connection: Connection) -> dict[str, Table]:
    """The store's tables as this database has them, whatever its revision, by name."""
    metadata = MetaData()

    @event.listens_for(metadata, "column_reflect")
    def _null(_: Any, __: Any, column: dict[str, Any]) -> None:
        if isinstance(column["type"], JSON):
            column["type"] = JSON(none_as_null=True)

    names = set(inspect(connection).get_table_names()) & set(METADATA.tables)
    metadata.reflect(connection, only=sorted(names))
    return {name: metadata.tables[name] for name in sorted(names)}


def lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """The rows of a table in the order of its key."""
    columns = [cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column for column in table.columns]
    query = select(*columns).order_by(*table.primary_key.columns)
    for row in connection.execute(query.execution_options(yield_per=FETCHED)).mappings():
        yield _line(table, row)


def row_of(table: Table, line: bytes) -> dict[str, Any]:
    """The values of a line, one for each column. Raises ValueError for a line that is no row of this table."""
    values = json.loads(line)
    if not isinstance(values, dict) or values.keys() - table.columns.keys():
        raise ValueError("a line has other columns than the table")
    row = {}
    for column in table.columns:
        if column.name in values:
            row[column.name] = _value(column, values[column.name])
        elif column.nullable:
            row[column.name] = None
        else:
            raise ValueError(f"column {column.name} is missing")
    return row


def _line(table: Table, row: RowMapping) -> bytes:
    values = {column.name: _plain(column, row[column.name]) for column in table.columns if row[column.name] is not None}
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _plain(column: Column[Any], value: Any) -> Any:
    if isinstance(column.type, JSON):
        return json.loads(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode()
    return value


def _value(column: Column[Any], value: Any) -> Any:
    kind = column.type
    if isinstance(kind, JSON):
        return JSON.NULL if value is None else value
    if isinstance(kind, DateTime) and isinstance(value, str) and (time := datetime.fromisoformat(value)).tzinfo is None:
        return time
    if isinstance(kind, LargeBinary) and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if isinstance(kind, Boolean) and isinstance(value, bool):
        return value
    if isinstance(kind, Integer) and type(value) is int and -(2**63) <= value < 2**63:
        return value
    if isinstance(kind, Float) and type(value) in (int, float):
        return float(value)
    if isinstance(kind, String) and isinstance(value, str) and len(value) <= (kind.length or len(value)):
        value.encode()  # half of a surrogate pair is no text
        return value
    raise ValueError(f"column {column.name} holds what is none of its values")
