"""The predictors that a server holds in memory: one for each model and device, loaded when it is first needed."""

from __future__ import annotations

import threading

from ..data.prepared_cache import PreparedCache
from ..models.checkpoint import load_card
from ..predict import Predictor
from .collection import leave_out_what_is_loaded


class LoadedModels:
    """Predictors of the champions. One whose model got a new champion is replaced when it is asked for next."""

    def __init__(self, prepared: PreparedCache | None = None) -> None:
        self.prepared = prepared
        self._lock = threading.Lock()
        self._predictors: dict[tuple[str, str], Predictor] = {}

    def get(self, model: str, device: str) -> Predictor:
        """The predictor of a model's champion on a device. Raises NotFound, ModelUnavailable."""
        card = load_card(model)
        with self._lock:
            predictor = self._predictors.get((model, device))
            # The whole card, with weights_sha256: in development, a version may be built anew under its name.
            if predictor is None or predictor.card != card:
                predictor = self._predictors[model, device] = Predictor(model, device, prepared=self.prepared)
                leave_out_what_is_loaded()
            return predictor

    def free(self, device: str) -> None:
        """Forgets every predictor on a device; those in use end first."""
        with self._lock:
            for key in [key for key in self._predictors if key[1] == device]:
                del self._predictors[key]
