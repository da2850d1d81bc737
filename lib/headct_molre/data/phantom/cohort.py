"""Writes phantom studies to disk, with a manifest of what was planted."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import nibabel
import numpy as np
from tqdm import tqdm

from ...errors import InvalidRequest
from ...findings import finding_keys
from ...imaging.volume import Volume
from ..cohort import STATES, Cohort, CohortStudy, split_cohort, write_manifest
from .scanner import Phantom, make_phantom

LABELS_FILE = "cohort.csv"
SITE = "phantom"
FIRST_COHORT_SEED = 10**12


def write_study(phantom: Phantom, path: Path) -> None:
    """Write the volume as NIfTI (int16 HU). Appears under its name only when it is complete."""
    unfinished = path.with_name(f".partial-{os.getpid()}-{path.name}")
    nibabel.save(_nifti(phantom.volume), unfinished)
    os.replace(unfinished, path)


def cohort_seed(seed: int, number: int) -> int:
    """Seed of study `number` of a cohort; far from the seeds of the demo model's own training, validation and test phantoms."""
    return FIRST_COHORT_SEED + seed * 1_000_000 + number


def write_cohort(
    folder: Path,
    count: int,
    seed: int = 0,
    matrix: int = 256,
    split: bool = False,
    workers: int = 1,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> list[Path]:
    """Write `count` studies `phantom-0001.nii.gz` ... and `cohort.csv`, a manifest with one state for each of the 75 findings.

    Each phantom is a patient of its own; `split` shares them out between train, validation and test. The same seed writes the same
    studies, however many processes work; none of them was used to train or test the demo model, but for the seed that it names. Every file
    says in its header that it is synthetic. The manifest comes last, so a folder without it is not complete. Raises InvalidRequest for a
    folder that has one already, and for a count, seed, matrix or number of workers out of range.
    """
    if not 1 <= count <= 999_999 or not 0 <= seed <= 1_000_000 or not 64 <= matrix <= 1024 or workers < 1:
        raise InvalidRequest("invalid_argument", "count is 1 to 999999, seed 0 to 1000000, matrix 64 to 1024 pixels, workers 1 or more.")
    if (folder / LABELS_FILE).exists():
        raise InvalidRequest("folder_not_empty", f"{folder} holds a cohort of phantoms already. Choose another folder.", field="folder")
    folder.mkdir(parents=True, exist_ok=True)
    write = partial(_write_numbered, folder, seed, matrix)
    with ExitStack() as stack:
        numbers = range(1, count + 1)
        made = map(write, numbers) if workers == 1 else stack.enter_context(get_context("spawn").Pool(workers)).imap(write, numbers)
        studies, codes = zip(*tqdm(made, total=count, desc="phantoms", disable=None), strict=True)
    cohort = Cohort(tuple(studies), np.stack(codes))
    write_manifest(split_cohort(cohort, fractions, seed) if split else cohort, folder / LABELS_FILE)
    return [study.path for study in studies]


def _write_numbered(folder: Path, seed: int, matrix: int, number: int) -> tuple[CohortStudy, np.ndarray]:
    phantom = make_phantom(cohort_seed(seed, number), matrix)
    path = folder / f"phantom-{number:04d}.nii.gz"
    write_study(phantom, path)
    known = phantom.states
    return _cohort_study(path, phantom.volume), np.array([STATES.index(known.get(key, "not_assessed")) for key in finding_keys()], np.uint8)


def _cohort_study(path: Path, volume: Volume) -> CohortStudy:
    study = path.name.removesuffix(".nii.gz")
    return CohortStudy(study, path, patient=study, site=SITE, slice_thickness_mm=round(_slice_mm(volume), 3), synthetic=True)


def _slice_mm(volume: Volume) -> float:
    """Distance of neighbouring slices in mm, at right angles to them."""
    step, row, column = volume.affine[:3, :3].T
    normal = np.cross(row, column)
    return abs(float(step @ normal / np.linalg.norm(normal)))


def _nifti(volume: Volume) -> nibabel.Nifti1Image:
    """NIfTI wants (column, row, slice); a sheared affine is written as it is, in the sform."""
    affine = volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.round(volume.hu).astype(np.int16).transpose(2, 1, 0), affine)
    image.header["descrip"] = b"synthetic head CT phantom, not a patient"
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    return image
