"""The manifest of a cohort: a CSV or Parquet file with one study in a row (docs/cohort.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ...errors import InvalidRequest, NotFound
from ...output import replacing
from ...predict import study_id
from .cohort import Cohort, CohortStudy
from .columns import STUDY_COLUMNS
from .consistency import check_consistency, check_paths
from .csv_file import read_csv, write_csv
from .fields import field_text, is_formula, parse_field
from .parquet_file import read_parquet, write_parquet
from .problems import Problems
from .table import FIRST_ROW, Table

READERS = {".csv": read_csv, ".parquet": read_parquet}
WRITERS = {".csv": write_csv, ".parquet": write_parquet}
REQUIRED = {"path": "is empty; it says where the study's images are", "patient": "is empty; each study needs its patient"}


def read_manifest(path: Path, *, patients_are_studies: bool = False, check_files: bool = True) -> Cohort:
    """The cohort of a manifest, in the order of its rows.

    Relative paths start at the manifest's folder. `patients_are_studies` makes each study a patient of its own where there is no column
    patient. `check_files` wants the images to be there; they are not opened. Raises InvalidManifest with all problems, NotFound for a
    missing manifest, InvalidRequest for one that is neither .csv nor .parquet.
    """
    path = Path(path)
    reader = READERS[_suffix(path)]
    problems = Problems()
    try:
        table = reader(path, patients_are_studies, problems)
    except FileNotFoundError:
        raise NotFound("manifest_missing", f"There is no manifest {path}.", field="manifest") from None
    if not table.rows and not problems.total:
        problems.add(None, None, None, "there are no studies below the names of the columns")
    studies, rows = _studies(table, path.parent.absolute(), problems)
    check_paths(studies, rows, problems, check_files)
    problems.raise_if_any(path.name)
    return Cohort(tuple(studies), table.states)


def write_manifest(cohort: Cohort, path: Path) -> None:
    """Write a cohort as CSV or Parquet; it appears complete or not at all.

    Paths inside the manifest's folder are written relative to it, others absolute. Raises InvalidManifest for what would not be read back
    as it is, InvalidRequest for a name that is neither .csv nor .parquet.
    """
    path = Path(path)
    writer = WRITERS[_suffix(path)]
    folder = path.parent.absolute()
    located = [replace(study, path=study.path.absolute()) for study in cohort.studies]
    table = Table(list(range(FIRST_ROW, FIRST_ROW + len(cohort))), _cells(located, folder), cohort.states)
    problems = Problems()
    if not located:
        problems.add(None, None, None, "there are no studies to write")
    back, rows = _studies(table, folder, problems)
    check_paths(back, rows, problems, files=False)
    if not problems.total:
        _compare(located, back, problems)
    problems.raise_if_any(path.name)
    with replacing(path) as partial:
        writer(table, partial)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InvalidRequest("invalid_argument", f"A manifest is a .csv or a .parquet file, not {path.name}.", field="manifest")
    return suffix


def _studies(table: Table, folder: Path, problems: Problems) -> tuple[list[CohortStudy], list[int]]:
    """The studies of a table with their rows, without rows that lack their path or patient; problems with any of them are noted."""
    values = {column: _column(column, cells, table.rows, problems) for column, cells in table.text.items()}
    studies, rows, derived = [], [], []
    for place, row in enumerate(table.rows):
        cells = {column: of_column[place] for column, of_column in values.items()}
        if cells.get("path") is None or ("patient" in cells and cells["patient"] is None):
            continue
        path = folder / cells["path"]
        if cells.get("study") is None:
            derived.append(row)
            cells["study"] = study_id(path)
        patient = cells.get("patient", cells["study"])
        studies.append(CohortStudy(**{**cells, "path": path, "patient": patient, "synthetic": bool(cells.get("synthetic"))}))
        rows.append(row)
    check_consistency(studies, rows, problems, frozenset(derived))
    return studies, rows


def _column(column: str, cells: Sequence[str], rows: Sequence[int], problems: Problems) -> list[Any]:
    """Values of a column; None for an empty cell and for one that is wrong, which is noted."""
    parsed: dict[str, Any] = {"": None}
    wrong: dict[str, str] = {"": REQUIRED[column]} if column in REQUIRED else {}
    for cell, row in zip(cells, rows, strict=True):
        if cell not in parsed:
            try:
                parsed[cell] = parse_field(column, cell)
            except ValueError as error:
                parsed[cell], wrong[cell] = None, str(error)
        if cell in wrong:
            problems.add(row, column, cell or None, wrong[cell])
    return [parsed[cell] for cell in cells]


def _cells(studies: Sequence[CohortStudy], folder: Path) -> dict[str, list[str]]:
    """The cells of a manifest, as its reader takes them: without the spaces at their ends."""
    cells = {column: [field_text(getattr(study, column)).strip() for study in studies] for column in STUDY_COLUMNS}
    cells["path"] = [path_cell(study.path, folder).strip() for study in studies]
    return cells


def path_cell(path: Path, folder: Path) -> str:
    """A path as a manifest in this folder holds it: relative to the folder where it is inside."""
    cell = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
    return f"./{cell}" if is_formula(cell) else cell


def _compare(studies: Sequence[CohortStudy], back: Sequence[CohortStudy], problems: Problems) -> None:
    for row, (study, same) in enumerate(zip(studies, back, strict=True), FIRST_ROW):
        if study != same:
            for column in (field.name for field in fields(CohortStudy)):
                if (value := getattr(study, column)) != getattr(same, column):
                    problems.add(row, column, str(value), "would be read back otherwise; take off spaces at its ends, normalise it (NFC)")
