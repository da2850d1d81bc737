"""From any array on an affine grid to a Volume: axes in the axial order, exact affine, measured facts."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ..errors import StudyRefused
from .hounsfield import put_hu
from .limits import MAX_AXIS, MAX_EXTENT_MM, MAX_VOLUME_BYTES
from .volume import Volume

# (slice, row, column) of an axial image as steps in RAS: superior, posterior, patient left.
AXIAL_STEPS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

Facts = dict[str, float | int | str | bool | None]


def check_size(shape: tuple[int, ...], bytes_per_voxel: int) -> None:
    """Refuse a claimed array `shape` that passes MAX_VOLUME_BYTES as held, or MAX_AXIS, before any memory is spent on it.

    Raises StudyRefused `too_large` or `damaged_file` (an axis without voxels).
    """
    text = "x".join(map(str, shape))
    if any(size < 1 for size in shape):
        raise StudyRefused("damaged_file", f"The header claims an image of {text} voxels; it holds no image. Export it again.")
    claimed = int(np.prod([int(size) for size in shape], dtype=object)) * bytes_per_voxel
    if claimed > MAX_VOLUME_BYTES or max(shape) > MAX_AXIS:
        raise StudyRefused(
            "too_large",
            f"The header claims {text} voxels ({claimed / 1e9:.3g} GB); at most {MAX_VOLUME_BYTES / 1e6:.0f} MB and {MAX_AXIS} voxels "
            "along an axis are read. Send one series of the head.",
        )


def check_affine(affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse an affine (4, 4) that is not finite, flattens space, or spans an implausible extent in mm.

    Raises StudyRefused `geometry_invalid`.
    """
    steps = affine[:3, :3]
    if not np.isfinite(affine).all() or np.abs(affine).max() > 1e9:
        raise _invalid("The header's geometry holds a number that is not finite or beyond sense.")
    lengths = np.linalg.norm(steps, axis=0)
    if (lengths < 1e-3).any() or abs(np.linalg.det(steps / np.maximum(lengths, 1e-12))) < 0.1:
        raise _invalid("The header's voxel axes do not span a volume.")
    if (lengths * np.array(shape) > MAX_EXTENT_MM).any():
        raise _invalid(f"The header's geometry spans more than {MAX_EXTENT_MM / 1000} m.")


def tilt_degrees(affine: np.ndarray) -> float:
    """Angle in degrees, 0 to 90, between the slice step and the normal of the slice plane (the gantry tilt of a CT)."""
    normal = np.cross(affine[:3, 1], affine[:3, 2])
    cosine = abs(normal @ affine[:3, 0]) / (np.linalg.norm(normal) * np.linalg.norm(affine[:3, 0]))
    return float(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))))


class Canvas:
    """An empty volume in axial order that is filled in the order of its file, so that the voxels are held only once.

    Slices rise towards superior, rows run towards posterior, columns towards patient left, each as nearly as the axes of
    the file allow. `shape` (n0, n1, n2) and `affine` (4, 4) to RAS mm describe the file's axes. Raises StudyRefused
    `geometry_invalid` or `too_large`.
    """

    def __init__(self, shape: tuple[int, int, int], affine: np.ndarray, dtype: np.dtype) -> None:
        check_size(shape, dtype.itemsize)
        check_affine(affine, shape)
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        cosines = AXIAL_STEPS @ directions
        order = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[target, axis]) for target, axis in enumerate(axes)))
        self.hu = np.empty([shape[axis] for axis in order], dtype=dtype)
        self.affine = affine.astype(np.float64)[:, (*order, 3)]
        view = self.hu
        for target, axis in enumerate(order):
            if cosines[target, axis] < 0:
                view = np.flip(view, target)
                self.affine[:3, 3] += self.affine[:3, target] * (shape[axis] - 1)
                self.affine[:3, target] *= -1
        self._as_in_file = view.transpose(np.argsort(order))
        self._known = False

    def put(self, index: int, hu: np.ndarray) -> None:
        """Fill position `index` of the file's first axis with HU values (n1, n2). Raises StudyRefused `not_hu`."""
        self._known |= put_hu(self._as_in_file[index], hu)

    def volume(self, facts: Facts) -> Volume:
        """The filled Volume; `facts` win over the measured ones. Raises StudyRefused `not_hu` (no finite value)."""
        if not self._known:
            raise StudyRefused("not_hu", "The image holds no finite value. Export the original CT.")
        step, row, column = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        measured: Facts = {
            "slices": self.hu.shape[0],
            "slice_spacing_mm": step,
            "slice_spacing_min_mm": step,
            "slice_spacing_max_mm": step,
            "coverage_mm": step * (self.hu.shape[0] - 1),
            "pixel_spacing_mm": float(np.sqrt(row * column)),
            "tilt_degrees": tilt_degrees(self.affine),
            "missing_slices": 0,
            "modality": None,
            "contrast_tag": None,
            "patient_age_years": None,
            "kernel": None,
            "manufacturer": None,
            "kvp": None,
        }
        rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in {**measured, **facts}.items()}
        return Volume(hu=self.hu, affine=self.affine, facts=rounded)


def _invalid(reason: str) -> StudyRefused:
    return StudyRefused("geometry_invalid", f"{reason} Export the study again.")
