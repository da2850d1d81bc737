"""Intravenous contrast by the density of the vessels: the superior sagittal sinus, and on thin slices the arteries at the skull base.

Works in the standard frame, because only the place tells a vessel from calcification and blood. The sinus is compared with the
cortex beside it at the same depth below the same bone, so that partial volume with the vault cancels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .hounsfield import AIR_HU
from .volume import Volume

# Rays of the midsagittal plane on which the sinus runs, from above the frontal sinus over the vertex to the torcula.
RAYS_DEGREES = np.arange(30.0, 191.0, 4.0)
ACROSS_MM = np.arange(-36.0, 37.0, 2.0)
RADII_MM = np.arange(40.0, 104.0)
# Bone, and what even a bright vessel does not reach; three millimetres of it in a row are the vault.
VAULT_HU = 500.0
DEPTHS_MM = (2.5, 3.5, 4.5)
SINUS_WITHIN_MM = 9.0
CORTEX_MM = (18.0, 34.0)
# 60 plain phantoms 30 at most, a real scan 11; sinuses at 85 HU (thrombosed) 43 in 15 of 16, at 150 HU 38 to 99, at 200 HU 65 and more.
SINUS_RISE_HU = 43.0
# Only where slices are thin: on thick ones the partial volume of the skull base looks like arteries.
THIN_SLICE_MM = 3.3
ARTERY_HU = 110.0
ARTERY_BONE_HU, FROM_BONE_VOXELS = 450.0, 5
LUMP_VOXELS = 3
# Plain phantoms 0.17 ml on the poorer side and a rise up to 29 HU; arteries at 200 HU 0.4 ml and 36 HU.
ARTERY_ML, ARTERIAL_SINUS_RISE_HU = 0.3, 20.0


@dataclass(frozen=True)
class Vessels:
    """`sinus_rise_hu`: sagittal sinus over cortex, median along its course; `artery_ml`: thin bright tubes at the skull base,
    on the side that has fewer, or None where slices are too thick to tell."""

    sinus_rise_hu: float
    artery_ml: float | None

    @property
    def enhanced(self) -> bool:
        """Whether the vessels hold contrast medium."""
        arterial = self.artery_ml is not None and self.artery_ml >= ARTERY_ML and self.sinus_rise_hu >= ARTERIAL_SINUS_RISE_HU
        return self.sinus_rise_hu >= SINUS_RISE_HU or arterial


def measure_vessels(volume: Volume, standard_from_ras: np.ndarray) -> Vessels | None:
    """The density of the vessels of an aligned head; None where less than half of the sagittal sinus is in view.

    `standard_from_ras` (4, 4) is the rigid matrix of `imaging.align`; 8 mm or 12 degrees of error change little.
    """
    index_from_standard = np.linalg.inv(volume.affine) @ np.linalg.inv(standard_from_ras)
    rise = _sinus_rise(volume, index_from_standard)
    if rise is None:
        return None
    thin = volume.spacing_mm[0] <= THIN_SLICE_MM and not volume.facts.get("resampled")
    return Vessels(rise, _artery_ml(volume, index_from_standard) if thin else None)


def _sinus_rise(volume: Volume, index_from_standard: np.ndarray) -> float | None:
    angle, x, radius = np.meshgrid(np.radians(RAYS_DEGREES), ACROSS_MM, RADII_MM, indexing="ij")
    profile = _sample(volume, index_from_standard, np.stack([x, radius * np.cos(angle), radius * np.sin(angle)], axis=-1))
    dense = profile > VAULT_HU
    vault = dense[..., :-2] & dense[..., 1:-1] & dense[..., 2:]
    inner_table = vault.argmax(axis=-1)
    below = np.zeros(inner_table.shape, dtype=np.float32)
    for depth in DEPTHS_MM:
        place = np.clip(inner_table - depth, 0, len(RADII_MM) - 2)
        lower = np.floor(place).astype(int)[..., None]
        values = np.concatenate([np.take_along_axis(profile, lower + step, axis=-1) for step in (0, 1)], axis=-1)
        share = place - lower[..., 0]
        below += (values[..., 0] * (1 - share) + values[..., 1] * share) / len(DEPTHS_MM)
    known = vault.any(axis=-1) & (inner_table > max(DEPTHS_MM) + 3)
    total = ndimage.uniform_filter(np.where(known, below, 0.0), 3)
    weight = ndimage.uniform_filter(known.astype(np.float64), 3)
    smooth = np.where(weight > 0.6, total / np.maximum(weight, 1e-3), np.nan)
    right = np.abs(ACROSS_MM - np.mean(CORTEX_MM)) <= np.ptp(CORTEX_MM) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a ray without any bone gives not-a-number, as it should
        sinus = np.nanmax(smooth[:, np.abs(ACROSS_MM) <= SINUS_WITHIN_MM], axis=1)
        # The darker side: blood or a calcification under the bone of the other does not hide the sinus.
        cortex = np.fmin(np.nanmax(smooth[:, right], axis=1), np.nanmax(smooth[:, right[::-1]], axis=1))
    rise = (sinus - cortex)[np.isfinite(sinus - cortex)]
    return float(np.median(rise)) if len(rise) >= len(RAYS_DEGREES) / 2 else None


def _artery_ml(volume: Volume, index_from_standard: np.ndarray) -> float:
    """Volume of thin bright structures 5 mm off the bone around the suprasellar cistern, on the poorer side: arteries come in pairs."""
    box = np.meshgrid(np.arange(-52.0, 53.0), np.arange(-18.0, 39.0), np.arange(-44.0, -5.0), indexing="ij")
    hu = _sample(volume, index_from_standard, np.stack(box, axis=-1))
    ball = ndimage.generate_binary_structure(3, 2)
    off_bone = ~ndimage.binary_dilation(hu > ARTERY_BONE_HU, ball, iterations=FROM_BONE_VOXELS)
    bright = (hu > ARTERY_HU) & off_bone
    # Calcified nuclei and aneurysms are lumps.
    bright &= ~ndimage.binary_dilation(ndimage.binary_opening(bright, iterations=LUMP_VOXELS), iterations=LUMP_VOXELS)
    return float(min(bright[box[0] < -2].sum(), bright[box[0] > 2].sum())) / 1000


def _sample(volume: Volume, index_from_standard: np.ndarray, points: np.ndarray) -> np.ndarray:
    """HU at standard-frame points (..., 3) in mm, linear; air outside the scan."""
    index = points @ index_from_standard[:3, :3].T + index_from_standard[:3, 3]
    return np.asarray(
        ndimage.map_coordinates(volume.hu, np.moveaxis(index, -1, 0), order=1, mode="constant", cval=AIR_HU, output=np.float32)
    )
