"""Studies of active_learning.py: phantoms of a site through the whole imaging into features of the frozen backbone, made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from active_learning_site import Site
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from headct_molre.data.phantom.cohort import cohort_seed
from headct_molre.errors import StudyRefused
from headct_molre.findings import finding_keys
from headct_molre.imaging import PREPARATION_VERSION
from headct_molre.imaging.pipeline import prepare_volume
from headct_molre.models.backbones.spec import BackboneSpec, model_input
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.classifier import HeadCTClassifier

LABELS = {"present": 1, "absent": 0, "not_assessed": -1}


@dataclass(frozen=True)
class Studies:
    """Slice features (N, S, d) float32, padded, with their mask (N, S), and what is true (N, F) int8: 1, 0, and -1 for not known."""

    features: torch.Tensor
    mask: torch.Tensor
    labels: np.ndarray
    refused: int

    def __len__(self) -> int:
        return len(self.labels)


def load_studies(site: Site, cohort: int, count: int, folder: Path, model: str, workers: int) -> Studies:
    """`count` studies of a site with the cohort's seed; those that are not in the folder yet are made. What the gate refused is left out."""
    place = folder / f"{site.name}-{cohort}-{_described(site, model)}"
    place.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(1, count + 1) if not _path(place, number).is_file()]
    if missing:
        with get_context("spawn").Pool(workers) as pool:
            made = pool.imap_unordered(partial(_make, site, cohort, place, model), missing)
            for _ in tqdm(made, total=len(missing), desc=f"{site.name} {cohort}", mininterval=10):
                pass
    found = [load_file(_path(place, number)) for number in range(1, count + 1)]
    kept = [one for one in found if len(one["features"])]
    pad = torch.nn.utils.rnn.pad_sequence
    features = pad([one["features"].float() for one in kept], batch_first=True)
    lengths = torch.tensor([len(one["features"]) for one in kept])
    mask = torch.arange(features.shape[1]) < lengths[:, None]
    return Studies(features, mask, np.stack([one["labels"].numpy() for one in kept]), count - len(kept))


def _described(site: Site, model: str) -> str:
    """Changes with everything that the features depend on."""
    _, card, _ = _served(model)
    parts = (json.dumps(asdict(site), sort_keys=True), PREPARATION_VERSION, card)
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


def _path(place: Path, number: int) -> Path:
    return place / f"{number:04d}.safetensors"


def _make(site: Site, cohort: int, place: Path, model: str, number: int) -> None:
    torch.set_num_threads(1)
    classifier, _, spec = _served(model)
    phantom = site.phantom(cohort_seed(cohort, number))
    known = phantom.states
    labels = torch.tensor([LABELS[known.get(key, "not_assessed")] for key in finding_keys()], dtype=torch.int8)
    try:
        hu = prepare_volume(phantom.volume, spec.grid).prepared.hu
        inputs, mask = model_input(spec, hu, classifier.input_px)
        with torch.inference_mode():
            features = classifier.features(inputs[None], mask[None])[0][mask]
    except StudyRefused:
        features = torch.zeros(0, spec.dimension)
    path = _path(place, number)
    partial_file = path.with_suffix(f".{os.getpid()}.partial")
    save_file({"features": features.half().contiguous(), "labels": labels}, partial_file)
    os.replace(partial_file, path)


@cache
def _served(model: str) -> tuple[HeadCTClassifier, str, BackboneSpec]:
    """The served version, the hash of its backbone's weights, and its spec."""
    classifier, card, spec = load_classifier(model)
    return classifier, card.backbone_sha256, spec
