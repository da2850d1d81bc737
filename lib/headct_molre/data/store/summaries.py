"""Summaries of predictions: the probabilities of a study, and one feature of it as a whole, in rows that are read by the ten thousand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from ...findings import finding_keys
from ...imaging import PREPARATION_VERSION
from ...schema import ModelCard, Prediction, PredictionModel
from .database import SUMMARISING, Database, alone
from .tables import STUDIES, SUMMARIES

FEATURE_TYPE, PROBABILITY_TYPE = np.dtype("<f2"), np.dtype("<f4")


@dataclass(frozen=True)
class SummaryBlock:
    """What a version says of N images: `contents`, their hashes; `probabilities` (N, 75) float32 in taxonomy order.

    `features` (N, d) float16, where `featured` (N,) holds true; 0 elsewhere. `last` is the highest sequence that was looked at.
    """

    last: int
    contents: list[str]
    probabilities: np.ndarray
    features: np.ndarray
    featured: np.ndarray


class Summaries:
    """The part of the store that selection reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_version(self, model: ModelCard | PredictionModel, since: int = 0) -> SummaryBlock:
        """The summaries of a version, in order of arrival; those that arrived after the sequence `since`. Raises StoreUnavailable."""
        table = SUMMARIES.c
        with self._database.reading() as connection:
            last = connection.execute(select(func.coalesce(func.max(table.sequence), 0))).scalar_one()
            query = _SUMMARY.where(*_of(model), table.sequence <= last).order_by(table.sequence)
            rows = connection.execute(query.where(table.sequence > since) if since else query).all() if last > since else []
        return _block(last, rows)

    def of_contents(self, model: ModelCard | PredictionModel, contents: Collection[str]) -> SummaryBlock:
        """The summaries of a version on the images with these hashes, of which there are few. Raises StoreUnavailable."""
        query = _SUMMARY.where(*_of(model), SUMMARIES.c.content_sha256.in_(list(contents)))
        with self._database.reading() as connection:
            return _block(0, connection.execute(query).all() if contents else [])

    def versions(self, model: str) -> list[tuple[str, str, int]]:
        """(version, weights_sha256, number of summaries) of a model, the most first. Raises StoreUnavailable."""
        table = SUMMARIES.c
        grouped = (table.version, table.weights_sha256)
        query = select(*grouped, func.count()).where(table.model == model, table.preparation == PREPARATION_VERSION).group_by(*grouped)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return sorted(((row[0], row[1], int(row[2])) for row in rows), key=lambda row: -row[2])

    def missing(self, model: ModelCard | PredictionModel) -> list[str]:
        """The hashes of the images of studies that a version has no summary of, in order; the hash says nothing of the study.

        Studies whose images went away are left out. Raises StoreUnavailable.
        """
        there = select(SUMMARIES.c.sequence).where(*_of(model), SUMMARIES.c.content_sha256 == STUDIES.c.content_sha256).exists()
        query = select(STUDIES.c.content_sha256).where(STUDIES.c.present, STUDIES.c.content_sha256.is_not(None), ~there).distinct()
        with self._database.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def add(self, model: ModelCard | PredictionModel, contents: Sequence[str], probabilities: np.ndarray, features: np.ndarray) -> int:
        """Stores summaries of a version without predictions, and returns of how many images: what has one keeps it.

        `probabilities` (N, 75) in taxonomy order and `features` (N, d) of the images with these hashes. When the version predicts them for
        a reader, the summary of that prediction takes the place of this one. Raises StoreUnavailable.
        """
        with self._database.writing() as connection:
            alone(connection, SUMMARISING)
            known = select(SUMMARIES.c.content_sha256).where(*_of(model), SUMMARIES.c.content_sha256.in_(contents))
            there = set(connection.execute(known).scalars())
            new = [row for row, content in enumerate(contents) if content not in there]
            first = _next_sequence(connection)
            values = [
                _values(first + place, contents[row], model, np.asarray(probabilities[row], PROBABILITY_TYPE).tobytes(), features[row])
                for place, row in enumerate(new)
            ]
            if values:
                connection.execute(insert(SUMMARIES), values)
        return len(new)

    def has_features(self, content_sha256: str, model: ModelCard | PredictionModel) -> bool:
        """Whether the summary of a version on the images with this hash has features. Raises StoreUnavailable."""
        query = select(func.count()).select_from(SUMMARIES).where(*_here(content_sha256, model), SUMMARIES.c.features.is_not(None))
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar_one())


def summarise(connection: Connection, content_sha256: str, prediction: Prediction, features: np.ndarray | None, *, anew: bool) -> None:
    """Writes the summary of a prediction in a transaction that is `alone`; unless `anew`, only where it is the first or adds features."""
    here = _here(content_sha256, prediction.model)
    known = connection.execute(select(SUMMARIES.c.features).where(*here)).first()
    if known is not None and not anew and (features is None or known.features is not None):
        return
    values = _values(_next_sequence(connection), content_sha256, prediction.model, probability_bytes(prediction), features)
    connection.execute(delete(SUMMARIES).where(*here))
    connection.execute(insert(SUMMARIES).values(values))


def probability_bytes(prediction: Prediction) -> bytes:
    """The probabilities of a prediction as a summary holds them."""
    return np.array([result.probability for result in prediction.findings], PROBABILITY_TYPE).tobytes()


def _next_sequence(connection: Connection) -> int:
    return (connection.execute(select(func.max(SUMMARIES.c.sequence))).scalar() or 0) + 1


def _values(
    sequence: int, content_sha256: str, model: ModelCard | PredictionModel, probabilities: bytes, features: np.ndarray | None
) -> dict[str, object]:
    return {
        "sequence": sequence,
        "content_sha256": content_sha256,
        "model": model.name,
        "version": model.version,
        "weights_sha256": model.weights_sha256,
        "preparation": PREPARATION_VERSION,
        "probabilities": probabilities,
        "features": None if features is None else np.asarray(features, FEATURE_TYPE).tobytes(),
    }


def _here(content_sha256: str, model: ModelCard | PredictionModel) -> tuple[ColumnElement[bool], ...]:
    return (SUMMARIES.c.content_sha256 == content_sha256, *_of(model))


def _of(model: ModelCard | PredictionModel) -> tuple[ColumnElement[bool], ...]:
    table = SUMMARIES.c
    return (
        table.model == model.name,
        table.version == model.version,
        table.weights_sha256 == model.weights_sha256,
        table.preparation == PREPARATION_VERSION,
    )


_SUMMARY = select(SUMMARIES.c.content_sha256, SUMMARIES.c.probabilities, SUMMARIES.c.features)


def _block(last: int, rows: Sequence[Row]) -> SummaryBlock:
    findings = len(finding_keys())
    rows = [row for row in rows if len(row.probabilities) == findings * PROBABILITY_TYPE.itemsize]
    width = max((len(row.features) for row in rows if row.features is not None), default=0)
    has = [row.features is not None and len(row.features) == width for row in rows]
    nothing = bytes(width)
    features = b"".join(row.features if featured else nothing for row, featured in zip(rows, has, strict=True))
    return SummaryBlock(
        last,
        [row.content_sha256 for row in rows],
        np.frombuffer(b"".join(row.probabilities for row in rows), PROBABILITY_TYPE).reshape(len(rows), findings),
        np.frombuffer(features, FEATURE_TYPE).reshape(len(rows), width // FEATURE_TYPE.itemsize),
        np.array(has, bool),
    )
