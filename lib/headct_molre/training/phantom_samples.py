"""Phantoms as training samples of the demo model: windowed slices, what each patch and slice shows, study states."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from ..data.phantom import make_phantom
from ..data.phantom.anatomy import TISSUES, VENTRICLE
from ..data.phantom.lesions import DRAWABLE, LESION_ID, WITHOUT_LESION
from ..imaging.grid import SLICE_GRID
from ..imaging.prepare import prepare, resample
from ..imaging.storage import as_stored
from ..models.backbones.demo import INPUT_PX, PATCH_PX

CLASSES = len(TISSUES) + len(DRAWABLE)
# A patch covers 256 mm2 and shows a class from 6 mm2 on; a slice from 20 mm2 on.
PATCH_AREA_MM2, SLICE_AREA_MM2 = 6, 20
GRID = (INPUT_PX[0] // PATCH_PX, INPUT_PX[1] // PATCH_PX)
LABEL_OF_STATE = {"present": 1.0, "absent": 0.0, "not_assessed": np.nan}


@dataclass(frozen=True)
class Sample:
    """One phantom on the demo backbone's field.

    hu (S, 224, 192) float16; patches (S, P, C) and shows (S, C) bool: what each patch and slice shows; labels (F,) of 1, 0 and NaN in the
    order of `DRAWABLE`.
    """

    hu: np.ndarray
    patches: np.ndarray
    shows: np.ndarray
    labels: np.ndarray


def make_sample(seed: int) -> Sample:
    """Scan a phantom and prepare it with its true pose, disturbed."""
    phantom = make_phantom(seed)
    standard_from_ras = disturbed(phantom.pose, seed)
    prepared = prepare(phantom.volume, standard_from_ras)
    index_from_model = np.linalg.inv(phantom.volume.affine) @ np.linalg.inv(standard_from_ras) @ SLICE_GRID.standard_from_index
    first = round(float(np.linalg.solve(SLICE_GRID.standard_from_index, standard_from_ras @ prepared.model_to_ras)[0, 3]))
    tissue = resample(phantom.tissue, index_from_model, range(first, first + len(prepared.hu)), order=0, outside=0.0)

    patches, shows = _what_is_shown(_field(tissue))
    for key in WITHOUT_LESION:  # a slice shows them where it shows ventricles
        shows[:, LESION_ID[key]] = shows[:, VENTRICLE] if key in phantom.planted else False
    known = phantom.states
    labels = np.array([LABEL_OF_STATE[known[key]] for key in DRAWABLE], np.float32)
    return Sample(as_stored(_field(prepared.hu)), patches, shows, labels)


def disturbed(pose: np.ndarray, seed: int) -> np.ndarray:
    """Standard frame from RAS (4, 4) by a true pose, disturbed by 3 degrees and 3 mm (standard deviation) for each axis.

    That covers what the automatic alignment does differently: its error, and the vertex that it puts at one height.
    """
    rng = np.random.default_rng([seed, 5])
    error = np.eye(4)
    error[:3, :3] = Rotation.from_rotvec(rng.normal(0, 3.0, 3), degrees=True).as_matrix()
    error[:3, 3] = rng.normal(0, 3.0, 3)
    return np.asarray(error @ np.linalg.inv(pose))


def load_samples(seeds: Sequence[int], cache: Path, workers: int) -> list[Sample]:
    """Samples of these seeds, made in parallel where the cache folder does not hold them yet."""
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(seed, cache) for seed in seeds]
    with get_context("spawn").Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(_ensure, jobs, chunksize=4), total=len(jobs), desc="phantoms", mininterval=5):
            pass
    return [_load(seed, cache) for seed in seeds]


def _field(array: np.ndarray) -> np.ndarray:
    """The demo's field (S, 224, 192) of slices on the 1 mm grid."""
    top, left = ((have - want) // 2 for have, want in zip(array.shape[1:], INPUT_PX, strict=True))
    return array[:, top : top + INPUT_PX[0], left : left + INPUT_PX[1]]


def _what_is_shown(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tissue ids (S, 224, 192) -> classes in each patch (S, P, C) and in each slice (S, C)."""
    rows, columns = GRID
    patch = np.arange(rows).repeat(PATCH_PX)[:, None] * columns + np.arange(columns).repeat(PATCH_PX)
    patch = patch + (np.arange(len(tissue)) * rows * columns)[:, None, None]
    count = np.bincount((patch * CLASSES + tissue).ravel(), minlength=len(tissue) * rows * columns * CLASSES)
    area = count.reshape(len(tissue), rows * columns, CLASSES)
    return area >= PATCH_AREA_MM2, area.sum(1) >= SLICE_AREA_MM2


def _ensure(job: tuple[int, Path]) -> None:
    seed, cache = job
    path = cache / f"{seed}.npz"
    if path.exists():
        return
    torch.set_num_threads(1)
    sample = make_sample(seed)
    partial = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, hu=sample.hu, patches=np.packbits(sample.patches), shows=sample.shows, labels=sample.labels)
    os.replace(partial, path)


def _load(seed: int, cache: Path) -> Sample:
    with np.load(cache / f"{seed}.npz", allow_pickle=False) as arrays:
        hu, shows = arrays["hu"], arrays["shows"]
        shape = (len(hu), GRID[0] * GRID[1], CLASSES)
        patches = np.unpackbits(arrays["patches"], count=int(np.prod(shape))).reshape(shape).astype(bool)
        return Sample(hu, patches, shows, arrays["labels"])
