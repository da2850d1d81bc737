"""A manifest as CSV: UTF-8, separated by commas, any line ends, with or without a byte order mark."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...findings import finding_keys
from .cohort import STATES
from .columns import STUDY_COLUMNS, resolve_columns
from .csv_records import read_records
from .problems import Problems
from .state_cells import REMEDY, UNKNOWN, StateCells
from .table import Table


def read_csv(path: Path, patients_are_studies: bool, problems: Problems) -> Table:
    """The table of a CSV file; what cannot be read is noted in `problems` and left out. Raises OSError."""
    header, records = read_records(path, problems)
    if problems.total:
        return Table()
    columns = resolve_columns(header, patients_are_studies, problems)
    return Table() if problems.total else _body(records, columns, problems)


def write_csv(table: Table, path: Path) -> None:
    """Write a table as UTF-8 with commas, a state as its word. Raises OSError."""
    words = np.array(STATES, dtype=object)[table.states]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*STUDY_COLUMNS, *finding_keys()])
        cells = zip(*(table.text[column] for column in STUDY_COLUMNS), strict=True)
        writer.writerows([*own, *states] for own, states in zip(cells, words, strict=True))


def _body(records: Iterator[tuple[int, list[str]]], columns: Sequence[str], problems: Problems) -> Table:
    keys = finding_keys()
    own = [(place, column) for place, column in enumerate(columns) if column in STUDY_COLUMNS]
    findings = [(place, column) for place, column in enumerate(columns) if column not in STUDY_COLUMNS]
    table = Table(text={column: [] for _, column in own})
    state = StateCells().__getitem__
    codes: list[bytes] = []
    for row, cells in records:
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
