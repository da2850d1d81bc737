"""A manifest as CSV: UTF-8, separated by commas, any line ends, with or without a byte order mark."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...findings import finding_keys
from .cohort import STATES
from .columns import STUDY_COLUMNS, resolve_columns
from .problems import Problems
from .state_cells import REMEDY, UNKNOWN, StateCells
from .table import Table

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(path: Path, patients_are_studies: bool, problems: Problems) -> Table:
    """The table of a CSV file; what cannot be read is noted in `problems` and left out. Raises OSError."""
    text = _decoded(path.read_bytes(), problems)
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    if problems.total:
        return Table()
    numbered = _numbered(records, problems)
    _, header = next(numbered, (1, []))
    if not any(header):
        problems.add(1, None, None, "the file is empty or its first row is; that row holds the names of the columns")
        return Table()
    first = text[: text.find("\n")] if "\n" in text else text
    for separator, name in SEPARATORS.items():
        if first.count(separator) > first.count(","):
            problems.add(1, None, None, f"the cells are separated by {name}; save the file as CSV with commas")
            return Table()
    columns = resolve_columns(header, patients_are_studies, problems)
    return Table() if problems.total else _body(numbered, columns, problems)


def write_csv(table: Table, path: Path) -> None:
    """Write a table as UTF-8 with commas, a state as its word. Raises OSError."""
    words = np.array(STATES, dtype=object)[table.states]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*STUDY_COLUMNS, *finding_keys()])
        cells = zip(*(table.text[column] for column in STUDY_COLUMNS), strict=True)
        writer.writerows([*own, *states] for own, states in zip(cells, words, strict=True))


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
        problems.add(row + 1, None, None, f"cannot be read ({error}); look for a quotation mark that is not closed, or a huge cell")


def _body(records: Iterator[tuple[int, list[str]]], columns: Sequence[str], problems: Problems) -> Table:
    keys = finding_keys()
    own = [(place, column) for place, column in enumerate(columns) if column in STUDY_COLUMNS]
    findings = [(place, column) for place, column in enumerate(columns) if column not in STUDY_COLUMNS]
    table = Table(text={column: [] for _, column in own})
    state = StateCells().__getitem__
    codes: list[bytes] = []
    empty: list[int] = []
    for row, cells in records:
        if not any(cells):
            empty.append(row)
            continue
        while empty:  # empty rows at the end are no harm; between studies they may be a lost one
            problems.add(empty.pop(0), None, None, "is empty, with studies below it; delete it")
        if len(cells) != len(columns):
            problems.add(row, None, None, f"has {len(cells)} cells, the first row {len(columns)}; look for a comma too many or too few")
            continue
        known = bytes([state(cells[place]) for place, _ in findings])
        if UNKNOWN in known:
            for (place, column), code in zip(findings, known, strict=True):
                if code == UNKNOWN:
                    problems.add(row, column, cells[place], REMEDY)
        codes.append(known)
        table.rows.append(row)
        for place, column in own:
            table.text[column].append(cells[place].strip())
    table.states = np.zeros((len(codes), len(keys)), np.uint8)
    if findings:
        places = [keys.index(column) for _, column in findings]
        table.states[:, places] = np.frombuffer(b"".join(codes), np.uint8).reshape(len(codes), len(findings))
    return table
