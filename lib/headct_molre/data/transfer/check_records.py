"""The records of a store one by one: do they parse, and do they say what their columns say."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, Text, and_, cast, or_, select

from ...findings import finding_keys
from ...schema import Prediction, Submission, Unit
from ..store.offers import OFFERED
from ..store.patients import PATIENTS, SECRET_BYTES
from ..store.summaries import probability_bytes
from ..store.tables import LEASES, PREDICTIONS, READING_EVENTS, SECRETS, STUDIES, SUBMISSIONS, SUMMARIES
from .check_report import StoreReport

FETCHED = 500
EVERY_STUDY = "*"  # an event of all studies names none
_KEY = re.compile(r"[0-9a-f]{64}")
_SHOWN = TypeAdapter(dict[str, Unit] | None)


def check_submissions(connection: Connection, report: StoreReport, done: Callable[[int], object]) -> None:
    """Notes submissions that do not parse, that contradict their columns, or whose shown probabilities are none."""
    shown = cast(SUBMISSIONS.c.shown_probabilities, Text).label("shown_probabilities")
    columns = (
        SUBMISSIONS.c.sequence,
        SUBMISSIONS.c.submission_id,
        SUBMISSIONS.c.study,
        SUBMISSIONS.c.reader,
        SUBMISSIONS.c.document,
        shown,
    )
    damaged, contradicting, wrongly_shown = [], [], []
    for row in connection.execute(select(*columns).order_by(SUBMISSIONS.c.sequence).execution_options(yield_per=FETCHED)).mappings():
        try:
            submission = Submission.model_validate_json(row["document"])
        except ValidationError:
            damaged.append(row["sequence"])
        else:
            if (str(submission.submission_id), submission.study, submission.reader) != (row["submission_id"], row["study"], row["reader"]):
                contradicting.append(row["sequence"])
        if not _is_shown(row["shown_probabilities"]):
            wrongly_shown.append(row["sequence"])
        done(1)
    report.note("damaged_submissions", "submissions do not parse; restore a backup (by sequence)", damaged)
    report.note("contradicting_submissions", "submissions contradict their columns; restore a backup (by sequence)", contradicting)
    report.note("damaged_shown", "submissions have shown probabilities that are none (by sequence)", wrongly_shown)


def check_predictions(connection: Connection, report: StoreReport, done: Callable[[int], object]) -> None:
    """Notes predictions that do not parse or contradict their columns; they count as absent and are made again when asked for."""
    unusable = []
    keys = ("content_sha256", "model", "version", "weights_sha256", "preparation")
    same = and_(*(PREDICTIONS.c[key] == SUMMARIES.c[key] for key in keys))
    query = select(PREDICTIONS, SUMMARIES.c.probabilities).outerjoin(SUMMARIES, same)
    for row in connection.execute(query.execution_options(yield_per=50)).mappings():
        if not _is_prediction(row):
            unusable.append(row["content_sha256"][:12])
        done(1)
    _check_summaries(connection, report, same)
    report.note("unusable_predictions", "predictions are not used and made again when asked for (by content)", unusable, harmless=True)


def check_orphans(connection: Connection, report: StoreReport) -> None:
    """Notes leases and events of studies that are not registered."""
    for table, name in ((LEASES, "leases"), (READING_EVENTS, "reading events")):
        orphans = _orphans(connection, table)
        report.note(f"orphan_{table.name}", f"{name} are of studies that are not registered (by study)", orphans)


def check_images(connection: Connection, studies: Path, report: StoreReport) -> None:
    """Notes studies whose images should be in the folder and are not, and paths that lead out of it."""
    missing, outside = [], []
    root = studies.resolve()
    query = select(STUDIES.c.study, STUDIES.c.path).where(STUDIES.c.present).order_by(STUDIES.c.study)
    for study, path in connection.execute(query):
        place = root / (path or "")
        if path is None or not place.resolve().is_relative_to(root):
            outside.append(study)
        elif not place.exists():
            missing.append(study)
    report.note("missing_images", f"studies have no images in {studies}; the server notes it at its next look", missing)
    report.note("outside_images", "studies are registered with images outside the studies folder", outside)


def check_patients(connection: Connection, report: StoreReport) -> None:
    """Notes keys of patients that are none, and keys whose secret is gone: studies that come later would not find their patient."""
    keys = connection.execute(select(STUDIES.c.study, STUDIES.c.patient_key).where(STUDIES.c.patient_key.is_not(None))).all()
    report.note("damaged_patients", "studies have a patient's key that is none", [study for study, key in keys if not _KEY.fullmatch(key)])
    secret = connection.execute(select(SECRETS.c.secret).where(SECRETS.c.name == PATIENTS)).scalar()
    lost = [study for study, _ in keys] if secret is None or len(secret) < SECRET_BYTES else []
    report.note("lost_secret", "studies have a patient's key whose secret is gone; restore a backup", lost)


def check_offers(connection: Connection, report: StoreReport) -> None:
    """Notes offers that do not say whether they were drawn at random."""
    events = READING_EVENTS.c
    neither = or_(events.value.is_(None), events.value.not_in((0, 1)))
    wrong = list(connection.execute(select(events.sequence).where(events.kind == OFFERED, neither).order_by(events.sequence)).scalars())
    report.note("damaged_offers", "offers do not say whether they were drawn at random (by sequence)", wrong)


def _check_summaries(connection: Connection, report: StoreReport, same: ColumnElement[bool]) -> None:
    alone = select(SUMMARIES.c.content_sha256).where(~select(PREDICTIONS.c.model).where(same).exists()).order_by(SUMMARIES.c.sequence)
    found = [content[:12] for content in connection.execute(alone).scalars()]
    report.note("lone_summaries", "summaries have no prediction (by content)", found, harmless=True)


def _is_shown(text: str | None) -> bool:
    try:
        shown = _SHOWN.validate_json(text) if text is not None else None
    except ValidationError:
        return False
    return shown is None or shown.keys() <= set(finding_keys())


def _is_prediction(row: RowMapping) -> bool:
    try:
        prediction = Prediction.model_validate_json(zlib.decompress(row["document"]))
    except (ValidationError, zlib.error):
        return False
    model = prediction.model
    if (model.name, model.version, model.weights_sha256) != (row["model"], row["version"], row["weights_sha256"]):
        return False
    return row["probabilities"] is None or bytes(row["probabilities"]) == probability_bytes(prediction)


def _orphans(connection: Connection, table: Table) -> list[str]:
    known = select(STUDIES.c.study).where(STUDIES.c.study == table.c.study).exists()
    query = select(table.c.study).where(~known, table.c.study != EVERY_STUDY).distinct().order_by(table.c.study)
    return list(connection.execute(query).scalars())
