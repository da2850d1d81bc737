"""From any array on an affine grid to a Volume: axes in the axial order, exact affine, padding, measured facts."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ..errors import StudyRefused
from .volume import Volume

AIR_HU = -1000.0
LOWEST_HU = -1024.0
MAX_BYTES = 2_000_000_000
MAX_EXTENT_MM = 2_500.0
# (slice, row, column) of an axial image as steps in RAS: superior, posterior, patient left.
AXIAL_STEPS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

Facts = dict[str, float | int | str | bool | None]


def check_size(shape: tuple[int, ...], bytes_per_voxel: int = 4) -> None:
    """Refuse a claimed array `shape` whose decoded size passes MAX_BYTES, before any memory is spent on it.

    Raises StudyRefused `too_large` or `damaged_file` (an axis without voxels).
    """
    if any(size < 1 for size in shape):
        raise StudyRefused("damaged_file", f"The header claims an image of {'x'.join(map(str, shape))} voxels; it holds no image.")
    claimed = int(np.prod([int(size) for size in shape], dtype=object)) * max(bytes_per_voxel, 4)
    if claimed > MAX_BYTES:
        raise StudyRefused(
            "too_large",
            f"The header claims {'x'.join(map(str, shape))} voxels ({claimed / 1e9:.1f} GB); at most {MAX_BYTES / 1e9:.0f} GB are read. "
            "Send one series of the head.",
        )


def check_affine(affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse an affine (4, 4) that is not finite, flattens space, or spans an implausible extent in mm.

    Raises StudyRefused `geometry_invalid`.
    """
    steps = affine[:3, :3]
    if not np.isfinite(affine).all():
        raise StudyRefused("geometry_invalid", "The header's geometry holds a number that is not finite.")
    lengths = np.linalg.norm(steps, axis=0)
    if (lengths < 1e-3).any() or abs(np.linalg.det(steps / np.maximum(lengths, 1e-12))) < 0.1:
        raise StudyRefused("geometry_invalid", "The header's voxel axes do not span a volume.")
    if (lengths * np.array(shape) > MAX_EXTENT_MM).any():
        raise StudyRefused("geometry_invalid", f"The header's geometry spans more than {MAX_EXTENT_MM / 1000} m.")


def tilt_degrees(affine: np.ndarray) -> float:
    """Angle in degrees, 0 to 90, between the slice step and the normal of the slice plane (the gantry tilt of a CT)."""
    normal = np.cross(affine[:3, 1], affine[:3, 2])
    cosine = abs(normal @ affine[:3, 0]) / (np.linalg.norm(normal) * np.linalg.norm(affine[:3, 0]))
    return float(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))))


def to_axial(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Permute and flip axes to the nearest axial order, the affine following exactly.

    Slices rise towards superior, rows run towards posterior, columns towards patient left, each as nearly as the axes
    allow. `array` (n0, n1, n2), `affine` (4, 4) from its indices to RAS mm. No voxel value changes.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = AXIAL_STEPS @ directions
    order = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[target, axis]) for target, axis in enumerate(axes)))
    array = array.transpose(order)
    axial = affine.astype(np.float64)[:, (*order, 3)]
    for target, axis in enumerate(order):
        if cosines[target, axis] < 0:
            array = np.flip(array, target)
            axial[:3, 3] += axial[:3, target] * (array.shape[target] - 1)
            axial[:3, target] *= -1
    return array, axial


def make_volume(array: np.ndarray, affine: np.ndarray, facts: Facts) -> Volume:
    """A Volume from HU values on an affine grid: axial order, values below -1024 HU and not-numbers as air, facts measured.

    `array` (n0, n1, n2) HU, `affine` (4, 4) to RAS mm. `facts` given by the caller win over the measured ones.
    Raises StudyRefused `geometry_invalid`, `too_large` or `not_hu` (no finite value).
    """
    check_size(array.shape)
    check_affine(affine, array.shape)
    ordered, axial = to_axial(array, affine)
    hu = np.array(ordered, dtype=np.float32, order="C", copy=True)
    finite = np.isfinite(hu)
    if not finite.any():
        raise StudyRefused("not_hu", "The image holds no finite value.")
    hu[~finite | (hu < LOWEST_HU)] = AIR_HU
    step, row, column = (float(length) for length in np.linalg.norm(axial[:3, :3], axis=0))
    measured: Facts = {
        "slices": hu.shape[0],
        "slice_spacing_mm": step,
        "slice_spacing_min_mm": step,
        "slice_spacing_max_mm": step,
        "coverage_mm": step * (hu.shape[0] - 1),
        "pixel_spacing_mm": float(np.sqrt(row * column)),
        "tilt_degrees": tilt_degrees(axial),
        "missing_slices": 0,
        "modality": None,
        "contrast_tag": None,
        "patient_age_years": None,
        "kernel": None,
        "manufacturer": None,
        "kvp": None,
    }
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in {**measured, **facts}.items()}
    return Volume(hu=hu, affine=axial, facts=rounded)
