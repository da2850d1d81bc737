"""Summaries of predictions: the probabilities of a study, and one feature of it as a whole, in rows that are read by the ten thousand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

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
        query = (
            select(table.sequence, table.content_sha256, table.probabilities, table.features).where(*_of(model)).order_by(table.sequence)
        )
        if since:
            query = query.where(table.sequence > since)
        with self._database.reading() as connection:
            last = connection.execute(select(func.max(table.sequence))).scalar() or 0
            rows = connection.execute(query.where(table.sequence <= last)).all() if last > since else []
        return _block(last, [(content, probabilities, features) for _, content, probabilities, features in rows])

    def has_features(self, content_sha256: str, model: ModelCard | PredictionModel) -> bool:
        """Whether the summary of a version on the images with this hash has features. Raises StoreUnavailable."""
        query = select(func.count()).select_from(SUMMARIES).where(*_here(content_sha256, model), SUMMARIES.c.features.is_not(None))
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar_one())

    def studies(self, contents: Iterable[str]) -> list[tuple[str, str, bool]]:
        """(study, content, whether it can be offered) of the studies that were shown with images of these hashes."""
        query = select(STUDIES.c.study, STUDIES.c.content_sha256, STUDIES.c.present & STUDIES.c.is_open)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(STUDIES.c.content_sha256.in_(list(contents)))).all()
        return [(row[0], row[1], bool(row[2])) for row in rows]


def summarise(connection: Connection, content_sha256: str, prediction: Prediction, features: np.ndarray | None) -> None:
    """Writes the summary of a prediction, unless there is one that says as much; inside the caller's transaction."""
    alone(connection, SUMMARISING)  # so that none appears after one with a higher sequence was seen
    here = _here(content_sha256, prediction.model)
    known = connection.execute(select(SUMMARIES.c.features).where(*here)).first()
    if known is not None and (features is None or known.features is not None):
        return
    values = {
        "sequence": (connection.execute(select(func.max(SUMMARIES.c.sequence))).scalar() or 0) + 1,
        "content_sha256": content_sha256,
        "model": prediction.model.name,
        "version": prediction.model.version,
        "weights_sha256": prediction.model.weights_sha256,
        "preparation": PREPARATION_VERSION,
        "probabilities": probability_bytes(prediction),
        "features": None if features is None else np.asarray(features, FEATURE_TYPE).tobytes(),
    }
    connection.execute(delete(SUMMARIES).where(*here))
    connection.execute(insert(SUMMARIES).values(values))


def probability_bytes(prediction: Prediction) -> bytes:
    """The probabilities of a prediction as a summary holds them."""
    return np.array([result.probability for result in prediction.findings], PROBABILITY_TYPE).tobytes()


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


def _block(last: int, rows: list[tuple[str, bytes, bytes | None]]) -> SummaryBlock:
    findings = len(finding_keys())
    rows = [row for row in rows if len(row[1]) == findings * PROBABILITY_TYPE.itemsize]
    width = max((len(features) for _, _, features in rows if features is not None), default=0)
    featured = np.array([features is not None and len(features) == width for _, _, features in rows], bool)
    nothing = bytes(width)
    kept = b"".join(features if features is not None and len(features) == width else nothing for _, _, features in rows)
    return SummaryBlock(
        last,
        [content for content, _, _ in rows],
        np.frombuffer(b"".join(probabilities for _, probabilities, _ in rows), PROBABILITY_TYPE).reshape(len(rows), findings),
        np.frombuffer(kept, FEATURE_TYPE).reshape(len(rows), width // FEATURE_TYPE.itemsize),
        featured,
    )
