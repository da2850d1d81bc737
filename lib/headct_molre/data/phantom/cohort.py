"""Writes phantom studies to disk, with their labels."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import nibabel
import numpy as np
from tqdm import trange

from ...errors import InvalidRequest
from ...findings import finding_keys
from ...imaging.volume import Volume
from .scanner import Phantom, make_phantom

LABELS_FILE = "phantom_labels.csv"
FIRST_COHORT_SEED = 10**12


def write_study(phantom: Phantom, path: Path) -> None:
    """Write the volume as NIfTI (int16 HU). Appears under its name only when it is complete."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    nibabel.save(_nifti(phantom.volume), partial)
    os.replace(partial, path)


def cohort_seed(seed: int, number: int) -> int:
    """Seed of study `number` of a cohort; far from the seeds of the demo model's own training, validation and test phantoms."""
    return FIRST_COHORT_SEED + seed * 1_000_000 + number


def write_cohort(folder: Path, count: int, seed: int = 0, matrix: int = 256) -> list[Path]:
    """Write `count` studies `phantom-0001.nii.gz` ... and `phantom_labels.csv` with one state for each of the 75 findings.

    The same seed writes the same studies; none of them was used to train or test the demo model. Every file says in its
    header that it is synthetic. The labels come last, so a folder without them is not complete. Raises InvalidRequest
    for a folder that has labels already, and for a count, seed or matrix out of range.
    """
    if not 1 <= count <= 999_999 or not 0 <= seed <= 1_000_000 or not 64 <= matrix <= 1024:
        raise InvalidRequest("invalid_argument", "count is 1 to 999999, seed 0 to 1000000, matrix 64 to 1024 pixels.")
    if (folder / LABELS_FILE).exists():
        raise InvalidRequest("folder_not_empty", f"{folder} holds a cohort of phantoms already. Choose another folder.", field="folder")
    folder.mkdir(parents=True, exist_ok=True)
    paths, rows = [], []
    for number in trange(1, count + 1, desc="phantoms", disable=None):
        phantom = make_phantom(cohort_seed(seed, number), matrix)
        path = folder / f"phantom-{number:04d}.nii.gz"
        write_study(phantom, path)
        known = phantom.states
        rows.append({"study": path.name.removesuffix(".nii.gz"), **{key: known.get(key, "not_assessed") for key in finding_keys()}})
        paths.append(path)
    partial = folder / f".partial-{os.getpid()}-{LABELS_FILE}"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["study", *finding_keys()], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, folder / LABELS_FILE)
    return paths


def _nifti(volume: Volume) -> nibabel.Nifti1Image:
    """NIfTI wants (column, row, slice); a sheared affine is written as it is, in the sform."""
    affine = volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.round(volume.hu).astype(np.int16).transpose(2, 1, 0), affine)
    image.header["descrip"] = b"synthetic head CT phantom, not a patient"
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    return image
