"""A CSV of labels: one row is what one reader said of one study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ...errors import NotFound
from ...schema import Submission
from ..cohort import STATES
from ..cohort.columns import STUDY_COLUMNS, known_columns
from ..cohort.csv_records import read_records
from ..cohort.fields import parse_field
from ..cohort.problems import Problems
from ..cohort.state_cells import REMEDY, UNKNOWN, StateCells
from ..store import StudyStore
from ..store.submissions import Shown
from .importing import ImportReport, checked_reader, imported_submission, store_all, why_no_reader

OWN = ("study", "reader", "submitted_at", "comment")
# A manifest of a cohort is a CSV of labels, too; what it says besides the findings has no place in a submission.
LEFT_OUT = tuple(column for column in STUDY_COLUMNS if column not in OWN)
LONGEST_COMMENT = 10_000
CLIENT = "import of a CSV of labels"


@dataclass(frozen=True)
class LabelRow:
    """A row that is right: `codes` has the state of each finding column, positions in `STATES`."""

    row: int
    study: str
    reader: str
    submitted_at: datetime | None
    comment: str
    codes: bytes


def import_csv(
    store: StudyStore,
    path: Path,
    *,
    reader: str | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    done: Callable[[int], object] = lambda _: None,
) -> ImportReport:
    """Store a submission for each row; a row that was imported before is not stored again.

    `reader` is who read where the file has no column reader. Rows with a time come in its order, after those without. `skip_bad` leaves out
    rows that are wrong. Raises InvalidLabels with all problems, NotFound, StoreUnavailable.
    """
    report = ImportReport(dry_run)
    keys, rows = read_labels(path, checked_reader(reader), report)
    report.problems.raise_invalid(path.name, skip_bad)
    report.skipped += Counter(wrong=len(report.problems.rows))
    store_all(store, lambda: _arrivals(keys, rows), report, done)
    return report


def read_labels(path: Path, reader: str | None, report: ImportReport) -> tuple[list[str], list[LabelRow]]:
    """The finding columns and the rows in the order of their times; what is wrong is noted in the report. Raises NotFound, OSError."""
    problems = report.problems
    try:
        header, records = read_records(path, problems)
    except FileNotFoundError:
        raise NotFound("labels_missing", f"There is no file {path}.", field="path") from None
    columns = known_columns(header, (*OWN, *LEFT_OUT), problems) if header else []
    if "study" not in columns and header:
        problems.add(1, "study", None, "is missing; it says which study each row is about")
    if "reader" not in columns and reader is None and header:
        problems.add(1, "reader", None, "is missing; name the one reader of all rows with --reader")
    if problems.total:
        return [], []
    own = {column: place for place, column in enumerate(columns) if column in OWN}
    findings = [(place, column) for place, column in enumerate(columns) if column not in own and column not in LEFT_OUT]
    if not findings:
        problems.add(1, None, None, "no column is the key of a finding, so there is nothing to import")
        return [], []
    if unused := [column for column in columns if column in LEFT_OUT]:
        report.notes.append(f"columns that are no part of a submission were left out: {', '.join(unused)}")
    rows = _without_repeats(_rows(records, own, findings, reader, report), problems)
    rows.sort(key=lambda row: row.submitted_at or datetime.min.replace(tzinfo=UTC))
    return [column for _, column in findings], rows


def _rows(
    records: Iterator[tuple[int, list[str]]],
    own: dict[str, int],
    findings: Sequence[tuple[int, str]],
    reader: str | None,
    report: ImportReport,
) -> Iterator[LabelRow]:
    problems = report.problems
    state = StateCells().__getitem__
    for row, cells in records:
        before = problems.total
        codes = bytes([state(cells[place]) for place, _ in findings])
        if UNKNOWN in codes:
            for (place, column), code in zip(findings, codes, strict=True):
                if code == UNKNOWN:
                    problems.add(row, column, cells[place], REMEDY)
        text = {column: cells[place].strip() for column, place in own.items()}
        study = _study(row, text["study"], problems)
        name = text.get("reader") or reader or ""
        if (reason := why_no_reader(name)) is not None:
            problems.add(row, "reader", name or None, reason)
        submitted_at = _time(row, text.get("submitted_at", ""), problems)
        comment = text.get("comment", "")
        if len(comment) > LONGEST_COMMENT:
            problems.add(row, "comment", None, f"has {len(comment):,} characters; at most {LONGEST_COMMENT:,} are kept")
        if problems.total > before:
            continue
        if any(codes):
            yield LabelRow(row, study, name, submitted_at, comment, codes)
        else:
            report.skipped["nothing_assessed"] += 1


def _study(row: int, text: str, problems: Problems) -> str:
    try:
        return str(parse_field("study", text))
    except ValueError as error:
        problems.add(row, "study", text or None, "is empty; each row needs its study" if not text else str(error))
        return ""


def _time(row: int, text: str, problems: Problems) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        problems.add(row, "submitted_at", text, "is no time; write 2026-05-17, 2026-05-17T14:30 (UTC) or 2026-05-17T14:30+02:00")
        return None


def _without_repeats(rows: Iterable[LabelRow], problems: Problems) -> list[LabelRow]:
    """Notes a second row of one reader on one study that says something else, when nothing says which is the later."""
    first: dict[tuple[str, str, datetime | None], LabelRow] = {}
    for row in rows:
        other = first.setdefault((row.study, row.reader, row.submitted_at), row)
        if (other.codes, other.comment) != (row.codes, row.comment):
            remedy = "give each its own submitted_at, or delete one"
            problems.add(row.row, "study", row.study, f"was read by the same reader in row {other.row}, at the same time; {remedy}")
    return list(first.values())


def _arrivals(keys: Sequence[str], rows: Sequence[LabelRow]) -> Iterator[tuple[Submission, Shown]]:
    for row in rows:
        findings = {key: STATES[code] for key, code in zip(keys, row.codes, strict=True) if code}
        client = CLIENT if row.submitted_at is None else f"{CLIENT}; submitted {row.submitted_at.isoformat()}"
        yield imported_submission(row.study, row.reader, findings, client, row.comment), None  # type: ignore[arg-type]
