"""Predictions on disk, found again by the content of the study and the exact version of the model."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from .. import __version__
from ..imaging import PREPARATION_VERSION
from ..schema import ModelCard, Prediction

logger = logging.getLogger(__name__)


class PredictionCache:
    """A folder of Prediction documents. Safe under several writers: a file appears complete or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, content_sha256: str, card: ModelCard) -> Prediction | None:
        """The stored prediction of this content by this version, or None; a damaged file counts as absent."""
        try:
            return Prediction.model_validate_json(self._path(content_sha256, card.name, card.version, card.weights_sha256).read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, content_sha256: str, prediction: Prediction) -> None:
        """Store a prediction. The study id is stored as a placeholder: a cache must not remember names.

        A folder that cannot be written costs time and no prediction: it is logged.
        """
        model = prediction.model
        path = self._path(content_sha256, model.name, model.version, model.weights_sha256)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(prediction.model_copy(update={"study": "cached"}).to_json(), encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            logger.warning("the prediction was not cached: %s", error.strerror)

    def _path(self, content_sha256: str, *version: str) -> Path:
        key = hashlib.sha256("\n".join((content_sha256, *version, __version__, PREPARATION_VERSION)).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.json"
