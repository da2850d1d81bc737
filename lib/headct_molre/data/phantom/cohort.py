"""Writes phantom studies to disk, with their labels."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import nibabel
import numpy as np

from ...findings import finding_keys
from ...imaging.volume import Volume
from .scanner import Phantom, make_phantom, states

LABELS_FILE = "phantom_labels.csv"


def write_study(phantom: Phantom, path: Path) -> None:
    """Write the volume as NIfTI (int16 HU). Appears under its name only when it is complete."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    nibabel.save(_nifti(phantom.volume), partial)
    os.replace(partial, path)


def write_cohort(folder: Path, count: int, seed: int = 0, matrix: int = 256) -> list[Path]:
    """Write `count` studies `phantom-0001.nii.gz` ... and `phantom_labels.csv` with one state for each of the 75 findings.

    The same seed writes the same studies. Every file says in its header that it is synthetic.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, rows = [], []
    for number in range(1, count + 1):
        phantom = make_phantom(seed * 1_000_000 + number, matrix)
        path = folder / f"phantom-{number:04d}.nii.gz"
        write_study(phantom, path)
        known = states(phantom.planted)
        rows.append({"study": path.name.removesuffix(".nii.gz"), **{key: known.get(key, "not_assessed") for key in finding_keys()}})
        paths.append(path)
    with (folder / LABELS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["study", *finding_keys()], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return paths


def _nifti(volume: Volume) -> nibabel.Nifti1Image:
    """NIfTI wants (column, row, slice); a sheared affine is written as it is, in the sform."""
    affine = volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.round(volume.hu).astype(np.int16).transpose(2, 1, 0), affine)
    image.header["descrip"] = b"synthetic head CT phantom, not a patient"
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    return image
