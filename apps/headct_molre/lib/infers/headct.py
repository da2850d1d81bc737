"""MONAI Label's inference task around a Predictor, with the store as cache of its predictions."""

import json
import logging
import threading
import time
from pathlib import Path

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError, ModelUnavailable
from headct_molre.findings import finding_keys
from headct_molre.imaging.content import content_sha256
from headct_molre.models.checkpoint import load_card
from headct_molre.predict import Predictor
from headct_molre.schema import ModelCard, Prediction
from headct_molre.server.pseudonym import pseudonym
from lib.metrics import inference_timed

logger = logging.getLogger("headct_molre.infer")

# One inference at a time, over all models: they share the device, and two at once are slower than one after the other.
_DEVICE = threading.Lock()


class HeadCT(InferTask):
    """75 findings of one study by one model; the weights are loaded at the first inference."""

    def __init__(self, name: str, store: StudyStore, prepared: PreparedCache) -> None:
        super().__init__(
            type=InferType.CLASSIFICATION,
            labels=list(finding_keys()),
            dimension=3,
            description=f"75 findings on non-contrast head CT, model {name} (research software, not a medical device)",
        )
        self.name = name
        self._store = store
        self._prepared = prepared
        self._predictor: Predictor | None = None

    def is_valid(self) -> bool:
        """Always: a model without weights is listed too, with the reason why it cannot be used."""
        return True

    def card(self) -> tuple[ModelCard | None, HeadCTError | None]:
        """The card of the served version, or why there is none."""
        try:
            return load_card(self.name), None
        except ModelUnavailable as error:
            return None, error

    def info(self) -> dict:
        """MONAI Label's description of a task, with the version and provenance of the model."""
        card, error = self.card()
        served = {"available": card is not None, "reason": None if error is None else error.message}
        if card is not None:
            fields = {"version", "demo", "backbone", "adapter", "licence", "weights_sha256", "intended_use", "limitations"}
            served |= card.model_dump(mode="json", include=fields)
            served["description"] = card.description
        return super().info() | served

    def stored(self, path: Path, study: str, listed: bool, series_uid: str | None = None) -> Prediction | None:
        """The prediction that the served version already made on these images. Raises ModelUnavailable.

        `listed`: the datastore lists the study, so that readers submit on what they are shown here.
        """
        return self._stored(content_sha256(path, series_uid), study, listed)

    def predict(self, path: Path, study: str, listed: bool, series_uid: str | None = None) -> Prediction:
        """The prediction, from the store where it is there, else by inference once the device is free."""
        content = content_sha256(path, series_uid)
        with _DEVICE:
            prediction = self._stored(content, study, listed)
            if prediction is None:
                started = time.monotonic()
                with inference_timed(self.name):
                    prediction = self._served_predictor().predict(path, study, series_uid, content)
                self._store.predictions.put(content, prediction)
                if listed:
                    self._store.studies.set_content(study, content)
                seconds = time.monotonic() - started
                logger.info("study %s by %s %s in %.1f s", pseudonym(study), self.name, prediction.model.version, seconds)
        return prediction

    def __call__(self, request: dict) -> tuple[None, dict]:
        """MONAI Label's call: request {image: path, study: id in the datastore} -> no file, and the Prediction as a dictionary."""
        prediction = self.predict(Path(request["image"]), request["study"], listed=True)
        return None, json.loads(prediction.to_json())

    def _stored(self, content: str, study: str, listed: bool) -> Prediction | None:
        prediction = self._store.predictions.get(content, load_card(self.name))
        if prediction is None:
            return None
        if listed:
            self._store.studies.set_content(study, content)
        # The same images may have been read under another id, for instance in a session.
        return prediction if prediction.study == study else prediction.model_copy(update={"study": study})

    def _served_predictor(self) -> Predictor:
        # The whole card, with weights_sha256: in development, a version may be built anew under its name.
        if self._predictor is None or self._predictor.card != load_card(self.name):
            self._predictor = Predictor(self.name, prepared=self._prepared)
        return self._predictor
