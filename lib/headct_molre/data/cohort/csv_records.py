"""The records of a CSV file with the rows they stand in: UTF-8, separated by commas, any line ends, with or without a byte order mark."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from .problems import Problems

UNREADABLE = "unreadable"  # what is below such a row is not read
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_records(path: Path, problems: Problems) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The first record, and those below it as (row, cells), each as long as the first; all else is noted in `problems`. Raises OSError."""
    text = _decoded(path.read_bytes(), problems)
    if problems.total:
        return [], iter(())
    numbered = _numbered(csv.reader(io.StringIO(text, newline=""), strict=True), problems)
    _, header = next(numbered, (1, []))
    if not any(header):
        problems.add(1, None, None, "the file is empty or its first row is; that row holds the names of the columns")
        return [], iter(())
    first = text[: text.find("\n")] if "\n" in text else text
    for separator, name in SEPARATORS.items():
        if first.count(separator) > first.count(","):
            problems.add(1, None, None, f"the cells are separated by {name}; save the file as CSV with commas")
            return [], iter(())
    return header, _even(numbered, len(header), problems)


def _decoded(data: bytes, problems: Problems) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problems.add(1, None, None, "the file is UTF-16 (Unicode text); save it as CSV UTF-8")
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        problems.add(row, None, None, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as CSV UTF-8")
        return ""


def _numbered(records: Iterator[list[str]], problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Records with the rows they stand in; where the quoting is broken, what follows cannot be told apart and is not read."""
    row = 0
    try:
        for row, cells in enumerate(records, 1):
            yield row, cells
    except csv.Error as error:
        remedy = "look for a quotation mark that is not closed, or a huge cell"
        problems.add(row + 1, None, None, f"cannot be read ({error}); {remedy}", UNREADABLE)


def _even(records: Iterator[tuple[int, list[str]]], columns: int, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    empty: list[int] = []
    for row, cells in records:
        if not any(cells):
            empty.append(row)
            continue
        while empty:  # empty rows at the end are no harm; between others they may be a lost one
            problems.add(empty.pop(0), None, None, "is empty, with studies below it; delete it")
        if len(cells) != columns:
            problems.add(row, None, None, f"has {len(cells)} cells, the first row {columns}; look for a comma too many or too few")
            continue
        yield row, cells
