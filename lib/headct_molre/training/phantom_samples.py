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
from ..data.phantom.lesions import DRAWABLE, LESION_ID
from ..imaging.grid import SLICE_GRID
from ..imaging.prepare import prepare, resample, windows
from ..models.backbones.demo import PATCH_PX, SPEC
from ..models.backbones.spec import to_input

CLASSES = len(TISSUES) + len(DRAWABLE)
# A patch covers 256 mm2 and shows a class from 6 mm2 on; a slice from 20 mm2 on.
PATCH_AREA_MM2, SLICE_AREA_MM2 = 6, 20
# Findings that change the whole brain have no lesion of their own; a slice shows them where it shows ventricles.
WHOLE_BRAIN = ("midline_shift", "cerebral_atrophy", "ventricular_enlargement", "hydrocephalus")


@dataclass(frozen=True)
class Sample:
    """One phantom on the demo backbone's input.

    slices (S, 3, 112, 96) uint8; patches (S, P, C) and shows (S, C) bool: what each patch and slice shows; planted (F,)
    bool in the order of `DRAWABLE`.
    """

    slices: np.ndarray
    patches: np.ndarray
    shows: np.ndarray
    planted: np.ndarray


def make_sample(seed: int) -> Sample:
    """Scan a phantom and prepare it with its true pose, disturbed by 3 degrees and 3 mm (standard deviation) for each axis.

    That covers what the automatic alignment does differently: its error, and the vertex that it puts at one height.
    """
    phantom = make_phantom(seed)
    rng = np.random.default_rng([seed, 5])
    error = np.eye(4)
    error[:3, :3] = Rotation.from_rotvec(rng.normal(0, 3.0, 3), degrees=True).as_matrix()
    error[:3, 3] = rng.normal(0, 3.0, 3)
    standard_from_ras = error @ np.linalg.inv(phantom.pose)
    prepared = prepare(phantom.volume, standard_from_ras)
    index_from_model = np.linalg.inv(phantom.volume.affine) @ np.linalg.inv(standard_from_ras) @ SLICE_GRID.standard_from_index
    first = round(float(np.linalg.solve(SLICE_GRID.standard_from_index, standard_from_ras @ prepared.model_to_ras)[0, 3]))
    tissue = resample(phantom.tissue, index_from_model, range(first, first + len(prepared.hu)), order=0, outside=0.0)

    slices = to_input(SPEC, torch.from_numpy(windows(prepared.hu)))
    patches, shows = _what_is_shown(tissue)
    for key in WHOLE_BRAIN:
        shows[:, LESION_ID[key]] = shows[:, VENTRICLE] if key in phantom.planted else False
    planted = np.array([key in phantom.planted for key in DRAWABLE])
    return Sample((slices * 255).round().to(torch.uint8).numpy(), patches, shows, planted)


def load_samples(seeds: Sequence[int], cache: Path, workers: int) -> list[Sample]:
    """Samples of these seeds, made in parallel where the cache folder does not hold them yet."""
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(seed, cache) for seed in seeds]
    with get_context("spawn").Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(_ensure, jobs, chunksize=4), total=len(jobs), desc="phantoms", mininterval=5):
            pass
    return [_load(seed, cache) for seed in seeds]


def _what_is_shown(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tissue ids (S, 256, 256) -> classes in each patch (S, P, C) and in each slice (S, C)."""
    (height, width), (rows, columns) = SPEC.field_mm, (SPEC.input_px[0] // PATCH_PX, SPEC.input_px[1] // PATCH_PX)
    top, left = (tissue.shape[1] - height) // 2, (tissue.shape[2] - width) // 2
    crop = tissue[:, top : top + height, left : left + width]
    patch = np.arange(rows).repeat(height // rows)[:, None] * columns + np.arange(columns).repeat(width // columns)
    patch = patch + (np.arange(len(tissue)) * rows * columns)[:, None, None]
    count = np.bincount((patch * CLASSES + crop).ravel(), minlength=len(tissue) * rows * columns * CLASSES)
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
    np.savez(partial, slices=sample.slices, patches=np.packbits(sample.patches), shows=sample.shows, planted=sample.planted)
    os.replace(partial, path)


def _load(seed: int, cache: Path) -> Sample:
    with np.load(cache / f"{seed}.npz", allow_pickle=False) as arrays:
        slices, shows = arrays["slices"], arrays["shows"]
        shape = (len(slices), (SPEC.input_px[0] // PATCH_PX) * (SPEC.input_px[1] // PATCH_PX), CLASSES)
        patches = np.unpackbits(arrays["patches"], count=int(np.prod(shape))).reshape(shape).astype(bool)
        return Sample(slices, patches, shows, arrays["planted"])
