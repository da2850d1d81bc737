"""What models predicted, found again by the content of the images and the exact version of the model."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, delete, select

from ...imaging import PREPARATION_VERSION
from ...schema import ModelCard, Prediction, PredictionModel, SubmissionModel
from .clock import now
from .database import Database, inserting
from .summaries import summarise
from .tables import PREDICTIONS, STUDIES


class Predictions:
    """Predictions can be made again, so one that an older release wrote otherwise counts as absent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, content_sha256: str, prediction: Prediction, features: np.ndarray | None = None) -> None:
        """Stores a prediction on the images with this hash, and its summary with `features` (d,) of the study. Raises StoreUnavailable.

        The first prediction of a model version on the same images stays: repeated requests get one answer.
        """
        here = _key(content_sha256, prediction.model)
        row = {
            "content_sha256": content_sha256,
            "model": prediction.model.name,
            "version": prediction.model.version,
            "weights_sha256": prediction.model.weights_sha256,
            "preparation": PREPARATION_VERSION,
            "created_at": now(),
            "document": zlib.compress(prediction.to_json().encode()),
        }
        with self._database.writing() as connection:
            first = _first_valid(connection.execute(select(PREDICTIONS.c.document).where(here)).scalars())
            if first is None:
                connection.execute(delete(PREDICTIONS).where(here))
                connection.execute(inserting(connection, PREDICTIONS).values(row).on_conflict_do_nothing())
            summarise(connection, content_sha256, first or prediction, features)

    def get(self, content_sha256: str, model: ModelCard | PredictionModel) -> Prediction | None:
        """The stored prediction of a model version on the images with this hash, as they are prepared today."""
        query = select(PREDICTIONS.c.document).where(_key(content_sha256, model))
        with self._database.reading() as connection:
            return _first_valid(connection.execute(query).scalars())

    def latest(self, study: str) -> Prediction | None:
        """The latest stored prediction, of any model, on the images that a study was shown with; None where there is none."""
        query = (
            select(PREDICTIONS.c.document)
            .join(STUDIES, STUDIES.c.content_sha256 == PREDICTIONS.c.content_sha256)
            .where(STUDIES.c.study == study)
            .order_by(PREDICTIONS.c.created_at.desc())
        )
        with self._database.reading() as connection:
            prediction = _first_valid(connection.execute(query).scalars())
        # The same images may have been read under another id.
        return None if prediction is None else prediction.model_copy(update={"study": study})

    def shown(self, study: str, model: SubmissionModel | None) -> dict[str, float] | None:
        """{key: probability} that a reader of this study had on screen, None where nothing was shown.

        A submission names no weights and no preparation: the latest prediction of the version is what was on screen.
        """
        if model is None:
            return None
        query = (
            select(PREDICTIONS.c.document)
            .join(STUDIES, STUDIES.c.content_sha256 == PREDICTIONS.c.content_sha256)
            .where(STUDIES.c.study == study, PREDICTIONS.c.model == model.name, PREDICTIONS.c.version == model.version)
            .order_by(PREDICTIONS.c.created_at.desc())
        )
        with self._database.reading() as connection:
            prediction = _first_valid(connection.execute(query).scalars())
        return None if prediction is None else {result.key: result.probability for result in prediction.findings}


def _key(content_sha256: str, model: ModelCard | PredictionModel) -> ColumnElement[bool]:
    table = PREDICTIONS.c
    return and_(
        table.content_sha256 == content_sha256,
        table.model == model.name,
        table.version == model.version,
        table.weights_sha256 == model.weights_sha256,
        table.preparation == PREPARATION_VERSION,
    )


def _first_valid(documents: Iterable[bytes]) -> Prediction | None:
    for document in documents:
        try:
            return Prediction.model_validate_json(zlib.decompress(document))
        except (ValidationError, zlib.error):
            continue
    return None
