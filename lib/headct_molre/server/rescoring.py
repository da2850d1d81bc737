"""After a change of the served version, ranks all studies by it within minutes: from the slice features that the server keeps.

Versions that share a backbone differ in what reads its slice features, which takes milliseconds a study. What is written are summaries,
from which studies are chosen, and no predictions: what a reader is shown always comes from the images. What was done is seen from the
summaries themselves, so that a server that is stopped or killed goes on where it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..data.feature_cache import FeatureCache, feature_caches, version_backbone_sha256
from ..data.store import StudyStore
from ..errors import HeadCTError
from ..models.backbones import backbone_spec
from ..models.checkpoint import champion_folder, load_feature_classifier, read_card, version_input_px
from ..schema import ModelCard
from .devices import give_way
from .feature_head import FeatureHead

logger = logging.getLogger("headct_molre.selection")

LOOK_S = 1.0  # how often it is looked which version is served
AGAIN_S = 300.0  # how often an unchanged version is looked after: a study may have been predicted by the one before while it changed
BATCH = 64  # studies of one transaction
REST = 1.0  # after a batch, the thread rests this many times as long: it holds Python's lock for parts of the work
Told = Callable[[str, int, int], None]


class Rescoring:
    """A thread that follows the champions of `models`; `told` hears (model, how many studies were done, how many are left).

    `features` is the server's folder of slice features.
    """

    def __init__(self, store: StudyStore, features: Path, models: Sequence[str], told: Told) -> None:
        self._store, self._features, self._models, self._told = store, features, models, told
        self._stopping = threading.Event()
        self._looked: dict[str, tuple[ModelCard, float]] = {}
        self._thread = threading.Thread(target=self._work, name="rescoring", daemon=True)

    def begin(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """The batch that runs is the last."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Waits for the thread after `stop`."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        give_way()
        while not self._stopping.is_set():
            for model in self._models:
                try:
                    self._look_after(model)
                except HeadCTError as error:
                    # A store that is away, a version that is damaged: others say so to those who ask.
                    logger.debug("studies were not ranked anew by %s: %s", model, error.code)
                except Exception:
                    # Not again every second: nobody waits for this, and the next start tries it.
                    logger.exception("studies could not be ranked anew by %s", model)
                    self._models = [other for other in self._models if other != model]
            self._stopping.wait(LOOK_S)

    def _look_after(self, model: str) -> None:
        """One pass over the studies that the served version has not summarised, where it is time for that."""
        folder = champion_folder(model)
        card = read_card(folder)
        before, when = self._looked.get(model, (None, 0.0))
        if before == card and time.monotonic() - when < AGAIN_S:
            return
        missing = self._store.summaries.missing(card)
        found = _Features(self._features, card, missing) if missing else None
        began = time.monotonic()
        done = 0 if found is None or not found.contents else self._rescore(folder, card, found)
        left = len(missing) - (0 if found is None else len(found.contents))
        if self._stopping.is_set() or champion_folder(model) != folder:
            return
        self._looked[model] = card, time.monotonic()
        if done:
            logger.info("%d studies are ranked by %s %s after %.1f s", done, model, card.version, time.monotonic() - began)
        if left and before != card:
            logger.info(
                "%d studies have no slice features of the backbone of %s %s: POST /batch/infer/%s has them ranked by it",
                *(left, model, card.version, model),
            )

    def _rescore(self, folder: Path, card: ModelCard, found: _Features) -> int:
        """Summaries in batches; to the end, or until the server stops or another version is served."""
        head = FeatureHead(*load_feature_classifier(folder))
        done = 0
        for begin in range(0, len(found.contents), BATCH):
            if self._stopping.is_set() or champion_folder(card.name) != folder:
                break
            started = time.monotonic()
            contents, features, mask = found.read(found.contents[begin : begin + BATCH])
            count = 0
            if contents:
                scored = head.score(features, mask)
                good = np.flatnonzero(scored.finite)
                named = [contents[row] for row in good]
                count = self._store.summaries.add(card, named, scored.probabilities[good], scored.pooled[good])
            done += count
            self._told(card.name, count, max(0, len(found.contents) - begin - BATCH))
            self._stopping.wait(REST * (time.monotonic() - started))
        self._told(card.name, 0, 0)  # what was left out is not waited for
        return done


class _Features:
    """The slice features that a version's backbone left, in whatever precision; `contents` are those among `wanted`, in their order."""

    def __init__(self, folder: Path, card: ModelCard, wanted: Sequence[str]) -> None:
        spec = backbone_spec(card.backbone)
        self._cache: dict[str, FeatureCache] = {}
        for cache in feature_caches(folder, spec, version_backbone_sha256(card), version_input_px(card, spec)):
            for content in cache.contents():
                self._cache.setdefault(content, cache)
        self.contents = [content for content in wanted if content in self._cache]

    def read(self, contents: Sequence[str]) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        """Those of the contents whose files are whole, their features (N, S, d) and masks (N, S), short studies filled up."""
        found = [(content, read) for content in contents if (read := self._cache[content].get(content)) is not None]
        if not found:
            return [], torch.empty(0), torch.empty(0)
        features, masks = (pad_sequence([read[part] for _, read in found], batch_first=True) for part in (0, 1))
        return [content for content, _ in found], features, masks
