"""MONAI Label's inference task on the queue, with the store as cache of its predictions."""

import contextvars
import json
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from headct_molre.data.feature_cache import has_features
from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError, ModelUnavailable
from headct_molre.findings import finding_keys
from headct_molre.imaging.pipeline import PreparedStudy
from headct_molre.models.checkpoint import load_card
from headct_molre.predict import Inference, Predictor
from headct_molre.schema import ModelCard, Prediction
from headct_molre.server.devices import freed_when_out_of_memory
from headct_molre.server.loaded import LoadedModels
from headct_molre.server.pseudonym import pseudonym
from headct_molre.server.queue import InferenceQueue
from lib.metrics import inference_timed

logger = logging.getLogger("headct_molre.infer")


@dataclass(frozen=True)
class Images:
    """What is asked about: where the images lie, and the id under which they are predicted.

    `listed`: the datastore lists the study, so that readers submit on what they are shown here.
    """

    path: Path
    study: str
    listed: bool
    series_uid: str | None = None


@dataclass(frozen=True)
class Serving:
    """What the tasks of all models share; `content` gives the hash of images, `features` is the folder of slice features."""

    store: StudyStore
    queue: InferenceQueue
    loaded: LoadedModels
    content: Callable[[Images], str]
    features: Path


class HeadCT(InferTask):
    """75 findings of one study by one model."""

    def __init__(self, name: str, serving: Serving) -> None:
        super().__init__(
            type=InferType.CLASSIFICATION,
            labels=list(finding_keys()),
            dimension=3,
            description=f"75 findings on non-contrast head CT, model {name} (research software, not a medical device)",
        )
        self.name = name
        self._store, self._queue = serving.store, serving.queue
        self._loaded, self._content, self._features = serving.loaded, serving.content, serving.features

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

    def content(self, images: Images) -> str:
        """The hash of the images."""
        return self._content(images)

    def stored(self, images: Images, content: str) -> Prediction | None:
        """The prediction that the served version already made on images of this content. Raises ModelUnavailable."""
        prediction = self.known(content)
        return None if prediction is None else self.shown(images, content, prediction)

    def known(self, content: str) -> Prediction | None:
        """The prediction that the served version already made on this content, shown to nobody. Raises ModelUnavailable."""
        return self._store.predictions.get(content, load_card(self.name))

    def complete(self, content: str) -> bool:
        """Whether prediction, summary and slice features of the served version are all there: what a batch skips.

        Raises ModelUnavailable, StoreUnavailable.
        """
        card = load_card(self.name)
        return (
            self._store.summaries.has_features(content, card)
            and has_features(self._features, card, content)
            and self.known(content) is not None
        )

    def submit(
        self,
        images: Images,
        content: str,
        *,
        request_id: str,
        reader: str = "",
        batch: bool = False,
        prepared: PreparedStudy | None = None,
    ) -> Future[Prediction]:
        """Queues the inference; `prepared` spares the imaging. The same images by the same version are computed once.

        Raises QueueRefused, ModelUnavailable.
        """
        context = contextvars.copy_context()  # with the id of the request, for the log

        def work(device: str, boundary: Callable[[], None]) -> Prediction:
            return context.run(self._infer, images, content, prepared, device, boundary, batch)

        # The version is part of the key: what still runs on an old champion does not answer those who ask after a new one came.
        # What is uploaded or kept for a session may go with its own client: nobody else waits for its file to be read.
        own = None if images.listed else images.path
        key = content, self.name, load_card(self.name).weights_sha256, own
        return self._queue.submit(key, self.name, work, request_id=request_id, reader=reader, batch=batch)

    def shown(self, images: Images, content: str, prediction: Prediction) -> Prediction:
        """A prediction on this content as the answer for `images`, noted in the store as what its reader sees."""
        if images.listed:
            self._store.studies.set_content(images.study, content)
        # The same images may have been read under another id, for instance in a session.
        return prediction if prediction.study == images.study else prediction.model_copy(update={"study": images.study})

    def __call__(self, request: dict) -> tuple[None, dict]:
        """MONAI Label's call: request {image: path, study: id in the datastore} -> no file, and the Prediction as a dictionary."""
        images = Images(Path(request["image"]), request["study"], listed=True)
        content = self.content(images)
        prediction = self.stored(images, content)
        if prediction is None:
            inference = self.submit(images, content, request_id=uuid.uuid4().hex)
            prediction = self.shown(images, content, inference.result())
        return None, json.loads(prediction.to_json())

    def _infer(
        self, images: Images, content: str, prepared: PreparedStudy | None, device: str, boundary: Callable[[], None], batch: bool
    ) -> Prediction:
        """The work of a device's thread: preparation, a boundary at which it may end, the network, features and prediction stored."""
        found = self.known(content)
        # Made while this request waited, under another key. A batch goes on where features are not there yet.
        if found is not None and (not batch or self.complete(content)):
            return found
        started = time.monotonic()
        with inference_timed(self.name), freed_when_out_of_memory(device, lambda: self._loaded.free(device)):
            predictor = self._loaded.get(self.name, device)
            study = prepared or predictor.prepare(images.path, images.series_uid, content)
            boundary()
            inference = predictor.infer(study, images.study)
        # First the features: who finds the prediction finds them too.
        self._keep_features(predictor, content, inference)
        prediction = inference.prediction
        self._store.predictions.put(content, prediction, inference.pooled)
        seconds = time.monotonic() - started
        logger.info("study %s by %s %s in %.1f s", pseudonym(images.study), self.name, prediction.model.version, seconds)
        return prediction

    def _keep_features(self, predictor: Predictor, content: str, inference: Inference) -> None:
        """A disk that takes no features costs a later training time, and nobody a prediction."""
        try:
            predictor.feature_cache(self._features).put(content, inference.features, inference.mask)
        except OSError as error:
            logger.warning("slice features were not kept: %s", error.strerror)
