"""Studies of active_learning.py: phantoms of a site, prepared, as features of the frozen backbone, made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch
from active_learning_site import Site
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from headct_molre.data.cache_folder import cache_limit_bytes
from headct_molre.data.cohort import read_manifest
from headct_molre.data.phantom import LABELS_FILE
from headct_molre.data.phantom.cohort import cohort_seed
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from headct_molre.hashing import file_sha256
from headct_molre.imaging import PREPARATION_VERSION
from headct_molre.imaging.prepare import prepare
from headct_molre.models.backbones.spec import BackboneSpec, model_input
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.training.finetune import Examples
from headct_molre.training.prepared_cohort import prepare_cohort

LABELS = {"present": 1, "absent": 0, "not_assessed": -1}


def load_studies(site: Site, cohort: int, count: int, folder: Path, model: str, workers: int) -> Examples:
    """`count` studies of a site with the cohort's seed; those that are not in the folder yet are made."""
    place = folder / f"{site.name}-{cohort}-{_described(site, model)}"
    place.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(1, count + 1) if not _path(place, number).is_file()]
    if missing:
        with get_context("spawn").Pool(workers) as pool:
            made = pool.imap_unordered(partial(_make, site, cohort, place, model), missing)
            for _ in tqdm(made, total=len(missing), desc=f"{site.name} {cohort}", mininterval=10):
                pass
    found = [load_file(_path(place, number)) for number in range(1, count + 1)]
    labels = torch.stack([one["labels"] for one in found]).float()
    return Examples.of([one["features"] for one in found], labels.where(labels >= 0, torch.nan))


def load_source_test(demo: Path, folder: Path, model: str, workers: int) -> Examples:
    """The demo's own test studies, by the whole imaging, from the work folder of its training; embedded once into the folder.

    Raises InvalidRequest where there is no cohort.
    """
    manifests = sorted(demo.glob(f"cohort-*/{LABELS_FILE}"))
    if len(manifests) != 1:
        message = f"{demo} holds no cohort, or several. It is the --work of python -m headct_molre.training.train_demo."
        raise InvalidRequest("no_cohort", message, field="demo")
    classifier, backbone, spec = _served(model)
    path = folder / f"source-test-{_digest(file_sha256(manifests[0]), PREPARATION_VERSION, backbone)}.safetensors"
    cohort = read_manifest(manifests[0]).part("test")
    if not path.is_file():
        prepared = prepare_cohort(cohort, PreparedCache(demo / "cache" / "prepared", cache_limit_bytes()), spec.grid, workers)
        inputs = (model_input(spec, prepared.hu(row), classifier.input_px) for row in range(len(prepared.cohort)))
        found = [_features(classifier, *one) for one in tqdm(inputs, total=len(prepared.cohort), desc="source test", mininterval=10)]
        lengths = torch.tensor([len(one) for one in found])
        labels = torch.from_numpy(prepared.cohort.labels()).float()
        _save({"features": torch.cat(found), "lengths": lengths, "labels": labels}, path)
    stored = load_file(path)
    return Examples.of(list(stored["features"].split(stored["lengths"].tolist())), stored["labels"])


def _described(site: Site, model: str) -> str:
    """Changes with everything that the features depend on."""
    _, card, _ = _served(model)
    return _digest(json.dumps(asdict(site), sort_keys=True), PREPARATION_VERSION, card)


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


def _path(place: Path, number: int) -> Path:
    return place / f"{number:04d}.safetensors"


def _make(site: Site, cohort: int, place: Path, model: str, number: int) -> None:
    torch.set_num_threads(1)
    classifier, _, spec = _served(model)
    phantom, standard_from_ras = site.study(cohort_seed(cohort, number))
    known = phantom.states
    labels = torch.tensor([LABELS[known.get(key, "not_assessed")] for key in finding_keys()], dtype=torch.int8)
    hu = prepare(phantom.volume, standard_from_ras, spec.grid).hu
    features = _features(classifier, *model_input(spec, hu, classifier.input_px))
    _save({"features": features, "labels": labels}, _path(place, number))


def _features(classifier: HeadCTClassifier, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Features (S, d) of the real slices among inputs (S', C, H, W), rounded to float16 as everywhere."""
    with torch.inference_mode():
        return classifier.features(inputs[None], mask[None])[0][mask].half()


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    partial_file = path.with_suffix(f".{os.getpid()}.partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial_file)
    os.replace(partial_file, path)


@cache
def _served(model: str) -> tuple[HeadCTClassifier, str, BackboneSpec]:
    """The served version, the hash of its backbone's weights, and its spec."""
    classifier, card, spec = load_classifier(model)
    return classifier, card.backbone_sha256, spec
