"""Synthetic DICOM series and a synthetic head, small enough for every test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from headct_molre.imaging.volume import Volume
from imaging_files import ct_slice

SliceWriter = Callable[..., None]


@pytest.fixture
def write_slice(tmp_path: Path) -> SliceWriter:
    """Writes one CT slice to tmp_path/series: `write_slice(name, position, hu=..., tilt=..., **tags)`."""

    def write(name: str, position: tuple[float, float, float], hu: np.ndarray | float = 0.0, tilt: float = 0.0, **tags: object) -> None:
        pixels = np.broadcast_to(np.asarray(hu, dtype=np.int16), (16, 20)).copy() if np.ndim(hu) == 0 else np.asarray(hu, dtype=np.int16)
        angle = np.radians(tilt)
        own = {
            "SOPInstanceUID": generate_uid(entropy_srcs=[name]),
            "ImageOrientationPatient": [1, 0, 0, 0, round(float(np.cos(angle)), 7), round(float(-np.sin(angle)), 7)],
            "ImagePositionPatient": [float(value) for value in position],
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "PixelData": pixels.tobytes(),
        }
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        ct_slice(position, **(own | tags)).save_as(folder / name, enforce_file_format=True)

    return write


@pytest.fixture
def head() -> Volume:
    """A plain synthetic head, 2.5 x 2.5 x 5 mm: scalp, 7 mm skull, brain with ventricles, neck below; 30 slices."""
    return synthetic_head()


def synthetic_head() -> Volume:
    """As the fixture `head`, for tests that need several."""
    index = np.stack(np.meshgrid(np.arange(34), np.arange(96), np.arange(80), indexing="ij"), axis=-1).astype(float)
    affine = np.array([[0, 0, -2.5, 98.75], [0, -2.5, 0, 118.75], [5, 0, 0, -80], [0, 0, 0, 1]])
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    radius = np.sqrt((x / 70) ** 2 + (y / 88) ** 2 + (z / 70) ** 2)
    hu = np.full(radius.shape, -1000.0)
    hu[(x / 50) ** 2 + (y / 60) ** 2 < 1] = np.where(z < -20, 40.0, -1000.0)[(x / 50) ** 2 + (y / 60) ** 2 < 1]
    hu[radius < 1.18] = 40.0
    hu[radius < 1.11] = 900.0
    hu[radius < 1.0] = 32.0
    hu[np.sqrt(((np.abs(x) - 10) / 7) ** 2 + (y / 30) ** 2 + (z / 12) ** 2) < 1] = 6.0
    hu += np.random.default_rng(0).normal(0, 4, hu.shape)
    return Volume(hu=hu.astype(np.float32), affine=affine, facts={"slices": 34, "slice_spacing_mm": 5.0, "coverage_mm": 165.0})
