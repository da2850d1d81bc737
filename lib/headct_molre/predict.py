"""Study in, Prediction out: the one way in which the server, the command line and the tests classify a head CT.

Importing this module does not load torch; the first prediction that is not in the cache does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .data.cache import PredictionCache
from .data.prepared_cache import PreparedCache, cached_prepare
from .errors import HeadCTError, InvalidRequest
from .findings import finding_keys, positions
from .imaging.content import content_sha256
from .imaging.formats import study_suffix
from .models.backbones import backbone_spec
from .models.checkpoint import load_card
from .schema import FindingResult, Frame, ModelCard, Prediction, PredictionModel, Quality, SliceResult

if TYPE_CHECKING:
    import torch

    from .data.feature_cache import FeatureCache
    from .imaging.pipeline import PreparedStudy
    from .imaging.prepare import Prepared
    from .models.backbones.spec import BackboneSpec
    from .models.classifier import HeadCTClassifier


@dataclass(frozen=True)
class Inference:
    """A prediction, and what the same pass through the network left: the study's `pooled` feature (d,), float32, and its slice features.

    `features` (S, d), or parts (D, d) of a volume, and which slices are real (S,): tensors as `FeatureCache.put` takes them.
    """

    prediction: Prediction
    pooled: np.ndarray
    features: torch.Tensor
    mask: torch.Tensor


class Predictor:
    """One model's champion version on one device; weights are loaded at the first prediction that needs them.

    Raises NotFound for an unknown model and ModelUnavailable where no trained version is installed. A lock guards the network: one
    study at a time. `cache` spares a repeat of the whole, `prepared` a repeat of the imaging. `engine` overrides the
    rule that chooses what runs the backbone (docs/engines.md), and what another engine computed is then not taken from the cache.
    """

    def __init__(
        self,
        name: str,
        device: str | None = None,
        cache: PredictionCache | None = None,
        prepared: PreparedCache | None = None,
        engine: str | None = None,
    ) -> None:
        self.card = load_card(name)
        self.device = device
        self.engine = engine
        self.cache = cache
        self.prepared = prepared
        self._lock = threading.Lock()
        self._loaded: tuple[HeadCTClassifier, BackboneSpec, str] | None = None
        self._feature_caches: dict[Path, FeatureCache] = {}

    def predict(self, path: Path, study: str, series_uid: str | None = None, content: str | None = None) -> Prediction:
        """Classify the study at `path`, whatever `read_study` reads; `series_uid` picks one of its DICOM series.

        `content` is `content_sha256(path, series_uid)` where the caller has it already. Raises what `read_study` raises, and
        StudyRefused where the gate refuses the study.
        """
        started = time.perf_counter()
        content = content_sha256(path, series_uid) if content is None else content
        cached = None if self.cache is None else self.cache.get(content, self.card)
        if cached is not None and self.engine in (None, cached.engine):
            milliseconds = _milliseconds(started)
            return cached.model_copy(update={"study": study, "timing_ms": {"cache": milliseconds, "total": milliseconds}})
        self._checked_device()
        prediction = self.classify(self.prepare(path, series_uid, content), study, started)
        if self.cache is not None:
            self.cache.put(content, prediction)
        return prediction

    def prepare(self, path: Path, series_uid: str | None = None, content: str | None = None) -> PreparedStudy:
        """The first step of `predict`: the study on the model's grid, from the cache of prepared studies where it is there."""
        return cached_prepare(path, series_uid, self.prepared, content, backbone_spec(self.card.backbone).grid)

    def classify(self, prepared: PreparedStudy, study: str, started: float | None = None) -> Prediction:
        """The second step: the network on a prepared study, one at a time; `started` (time.perf_counter) is where the total begins."""
        return self.infer(prepared, study, started).prediction

    def infer(self, prepared: PreparedStudy, study: str, started: float | None = None) -> Inference:
        """`classify`, with the features that the prediction was made from."""
        begun = time.perf_counter() if started is None else started
        timing = dict(prepared.timing_ms)
        with self._lock:
            device = self._checked_device()
            mark = time.perf_counter()
            classifier, spec, engine = self._load(device)
            timing["load"] = _milliseconds(mark)
            mark = time.perf_counter()
            raw = run(classifier, spec, prepared.prepared, device)
            timing["model"] = _milliseconds(mark)
            timing["total"] = _milliseconds(begun)
            prediction = build_prediction(self.card, study, raw.scores, prepared.prepared, prepared.quality, device, engine, timing)
            return Inference(prediction, raw.pooled, raw.features, raw.mask)

    def feature_cache(self, folder: Path) -> FeatureCache:
        """The cache, below `folder`, for what this predictor's `infer` gives; the weights are loaded for it where they were not."""
        from .data.feature_cache import FeatureCache, version_backbone_sha256

        with self._lock:
            classifier, spec, engine = self._load(self._checked_device())
            if folder not in self._feature_caches:
                sha256 = version_backbone_sha256(self.card)
                self._feature_caches[folder] = FeatureCache(folder, spec, sha256, classifier.input_px, engine)
            return self._feature_caches[folder]

    def _checked_device(self) -> str:
        """The device to use. Raises InvalidRequest, before any work, for a device or an engine that this machine does not have."""
        import torch

        from .models.engines import choose_engine

        try:
            device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        except RuntimeError:
            raise InvalidRequest("no_such_device", f"{self.device!r} is not a device. Use cpu, cuda or cuda:0.", field="device") from None
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise InvalidRequest("no_such_device", f"This machine has no usable GPU for device {device}. Use cpu.", field="device")
        choose_engine(0, str(device), self.engine)  # one that is asked for and cannot run is refused here
        return str(device)

    def _load(self, device: str) -> tuple[HeadCTClassifier, BackboneSpec, str]:
        import torch

        from .models.checkpoint import load_classifier
        from .models.engines.apply import apply_engine

        if self._loaded is None:
            classifier, self.card, spec = load_classifier(self.card.name, device)
            slope, intercept = (torch.from_numpy(values) for values in _calibration(self.card, self.card.findings))
            engine = apply_engine(classifier, spec, device, self.engine, lambda logits: slope * logits + intercept)
            self._loaded = classifier, spec, engine
        return self._loaded


class Raw(NamedTuple):
    """The network's raw output: `scores` as float64 arrays, bias (F,), evidence (F, S), attention (S,), router (S, K); see Inference."""

    scores: dict[str, np.ndarray]
    pooled: np.ndarray
    features: torch.Tensor
    mask: torch.Tensor


def run(classifier: HeadCTClassifier, spec: BackboneSpec, prepared: Prepared, device: str) -> Raw:
    """One pass of the network over a study. Raises HeadCTError `not_finite`."""
    import torch

    from .models.backbones.spec import model_input

    slices, mask = (tensor.to(device) for tensor in model_input(spec, prepared.hu, classifier.input_px))
    with torch.inference_mode():
        features = classifier.features(slices[None], mask[None])
        output = classifier.classify(features, mask[None])
    real = mask.nonzero()[:, 0]
    arrays = {
        "bias": output.bias[0],
        "evidence": output.evidence[0][:, real],
        "attention": output.attention[0][real],
        "router": output.router[0][real],
    }
    scores = {name: tensor.cpu().double().numpy() for name, tensor in arrays.items()}
    if not all(np.isfinite(array).all() for array in scores.values()):
        raise HeadCTError("not_finite", "The model's output is not finite for this study; nothing is shown.", status=500)
    return Raw(scores, output.pooled[0].cpu().numpy(), features[0].cpu(), mask.cpu())


def build_prediction(
    card: ModelCard,
    study: str,
    scores: dict[str, np.ndarray],
    prepared: Prepared,
    quality: Quality,
    device: str,
    engine: str,
    timing_ms: dict[str, float],
) -> Prediction:
    """Put raw scores in taxonomy order, calibrate them, and write the contract.

    Calibration is linear in the logit, so it is applied to evidence and bias alike and the sum stays exact.
    """
    spec = backbone_spec(card.backbone)
    order = positions(finding_keys(), within=card.findings)
    slope, intercept = _calibration(card, finding_keys())
    evidence = scores["evidence"][order] * slope[:, None]
    bias = scores["bias"][order] * slope + intercept
    logits = evidence.sum(1) + bias
    probabilities = 1 / (1 + np.exp(-logits))
    attention = scores["attention"] / (scores["attention"].sum() or 1.0)  # all 0 where a volume's whole feature is
    router = scores["router"]
    router = router / router.sum(1, keepdims=True) if router.shape[1] else router
    centres = prepared.slice_centres_ras
    return Prediction(
        study=study,
        model=PredictionModel(**card.model_dump(include={"name", "version", "backbone", "adapter", "demo", "weights_sha256"})),
        device=device,
        engine=engine,
        findings=[_finding(card, key, probabilities[i], logits[i], bias[i]) for i, key in enumerate(finding_keys())],
        router_level=spec.level if router.shape[1] else None,
        slices=[
            SliceResult(index=s, center_ras=tuple(centres[s].tolist()), attention=float(attention[s]), router=router[s].tolist())
            for s in range(len(centres))
        ],
        evidence=evidence.tolist(),
        frame=Frame(
            model_to_ras=prepared.model_to_ras.tolist(),
            shape=prepared.hu.shape,
            spacing_mm=tuple(np.linalg.norm(prepared.model_to_ras[:3, :3], axis=0).tolist()),
        ),
        quality=quality,
        timing_ms=timing_ms,
    )


def study_id(path: Path) -> str:
    """A study id from a file or folder name, with what an id may not hold replaced."""
    name = path.resolve().name
    name = name[: -len(study_suffix(name) or "") or None]
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip("._-")[:128]
    return cleaned or "study"


def _calibration(card: ModelCard, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of each finding's Platt scaling; 1 and 0 where the version has none."""
    scales = [card.calibration.get(key) for key in keys]
    slope = [1.0 if scale is None else scale.slope for scale in scales]
    return np.array(slope), np.array([0.0 if scale is None else scale.intercept for scale in scales])


def _finding(card: ModelCard, key: str, probability: float, logit: float, bias: float) -> FindingResult:
    point = card.operating_points.get(key)
    return FindingResult(
        key=key,
        probability=float(probability),
        logit=float(logit),
        bias=float(bias),
        operating_point=point,
        positive=None if point is None else bool(probability >= point),
        estimable=point is not None,
    )


def _milliseconds(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 3)
