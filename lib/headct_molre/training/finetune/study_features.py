"""Slice features of the corrected studies: those that are stored, and those that have to be computed from the images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ...data.cache_folder import cache_limit_bytes
from ...data.cohort import Cohort, CohortStudy
from ...data.feature_cache import FEATURE_TYPE, FeatureCache, adapted_backbone_sha256, feature_caches
from ...data.prepared_cache import PreparedCache, cached_prepare
from ...data.store import StudyStore
from ...errors import HeadCTError
from ...findings import finding_keys
from ...imaging.content import content_sha256
from ...models.backbones import backbone_spec
from ...models.backbones.spec import model_input
from ...models.checkpoint import WEIGHTS, load_version
from ...models.classifier import HeadCTClassifier
from ...models.engines.apply import apply_engine
from ...models.lora import merge_lora
from ...models.versions import card_of
from ...models.weights import read_tensors
from ..prepared_cohort import PreparedCohort
from .corrections import Correction

logger = logging.getLogger(__name__)

Found = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Places:
    """Where images and caches lie."""

    store: StudyStore
    studies: Path
    features: Path
    prepared: Path


class StudyFeatures:
    """Features of studies as the backbone of one version gives them; its network is loaded when the first is missing."""

    def __init__(self, version: Path, places: Places, device: str) -> None:
        """Raises ModelUnavailable where the version's files are damaged."""
        self._version, self._places, self._device = version, places, device
        self._prepared_cache = PreparedCache(places.prepared, cache_limit_bytes())
        self.card = card_of(version)
        self.spec = backbone_spec(self.card.backbone)
        self.backbone_sha256 = adapted_backbone_sha256(self.card.backbone_sha256, read_tensors(version / WEIGHTS))
        self._input_px = self.classifier.input_px
        self.contents: dict[str, str] = {}  # of the studies whose features were found
        self._caches = feature_caches(places.features, self.spec, self.backbone_sha256, self._input_px)

    def of(self, corrections: Sequence[Correction], tell: Callable[[int], None]) -> dict[str, Found]:
        """Features (S, d) float16 and mask (S,) of each study whose images were found; `tell` hears how many are done.

        Left out are studies without images, with other images than those that were shown, and those that the gate of images refuses.
        """
        found = {}
        for done, correction in enumerate(corrections, 1):
            features = None if correction.content is None else self._stored(correction.content)
            features = features or self._computed(correction)
            if features is not None:
                found[correction.study] = features
                self.contents.setdefault(correction.study, correction.content or "")
            tell(done)
        return found

    def prepared(self, corrections: Sequence[Correction]) -> PreparedCohort:
        """The images of corrections whose features were found, as training reads them."""
        studies = tuple(CohortStudy(one.study, self.images(one) or Path(), one.patient) for one in corrections)
        states = np.zeros((len(corrections), len(finding_keys())), np.uint8)
        contents = tuple(self.contents[one.study] for one in corrections)
        return PreparedCohort(Cohort(studies, states), contents, self._prepared_cache, self.spec.grid, ())

    def images(self, correction: Correction) -> Path | None:
        """Where the images of a study lie, None where they are gone."""
        images = self._places.store.folder.images(correction.study)
        return None if images is None else self._places.studies / images.path

    def _stored(self, content: str) -> Found | None:
        for cache in self._caches:
            if (found := cache.get(content)) is not None:
                return found[0].to(FEATURE_TYPE), found[1]
        return None

    def _computed(self, correction: Correction) -> Found | None:
        content = correction.content
        try:
            prepared = None if content is None else self._prepared_cache.get(content, self.spec.grid)
            if prepared is None:
                path = self.images(correction)
                if path is None:
                    return None
                there = content_sha256(path)
                if content not in (None, there):
                    return None
                content = there
                self.contents[correction.study] = content
                if (stored := self._stored(content)) is not None:
                    return stored
                prepared = cached_prepare(path, None, self._prepared_cache, content, self.spec.grid)
        except HeadCTError as refusal:
            logger.warning("a corrected study cannot be used: %s", refusal.code)
            return None
        assert content is not None
        self.contents[correction.study] = content
        classifier, cache = self._engine
        slices, mask = model_input(self.spec, prepared.prepared.hu, classifier.input_px)
        with torch.inference_mode():
            features = classifier.features(slices[None].to(self._device), mask[None].to(self._device))[0]
        found = features.to(FEATURE_TYPE).cpu(), mask
        try:
            cache.put(content, *found)
        except OSError as error:
            logger.warning("features cannot be stored: %s", error.strerror)
        return found

    @cached_property
    def classifier(self) -> HeadCTClassifier:
        """The version's network, of which MoLRE, pooling and head stay as they are; the backbone may be put on another engine."""
        return load_version(self._version)[0]

    @cached_property
    def _engine(self) -> tuple[HeadCTClassifier, FeatureCache]:
        """The network on what runs it fastest here, and where its features go."""
        classifier = self.classifier
        merge_lora(classifier.backbone)
        precision = apply_engine(classifier, self.spec, self._device)
        return classifier, FeatureCache(self._places.features, self.spec, self.backbone_sha256, self._input_px, precision)
