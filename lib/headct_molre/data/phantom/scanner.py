"""A virtual CT scanner: puts a phantom head on a scanner grid with pose, tilt, slice thickness, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from ...imaging.volume import Volume
from .anatomy import AIR, Head, paint_brain, paint_head, sample_head
from .contrast import Contrast, paint_contrast
from .lesions import (
    DRAWABLE,
    FIRST_LESION_ID,
    HEMORRHAGE_SITES,
    LESION_ID,
    PARENT,
    WITHOUT_LESION,
    implied_findings,
    reshape_head,
    sample_findings,
)
from .painters import paint_brain_findings, paint_head_findings
from .shapes import Canvas
from .surroundings import Surroundings, paint_surroundings

# Less of a lesion than this in the scan is not something to be found.
VISIBLE_MM3 = 50.0


@dataclass(frozen=True)
class Protocol:
    """How a head is scanned: lengths in mm, angles in degrees, noise in HU; `pose` is 4 x 4, head frame to RAS."""

    pose: np.ndarray
    matrix: int
    pixel_mm: float
    slice_mm: float
    tilt_degrees: float
    bottom_mm: float
    noise_hu: float
    blur_px: float
    offset_hu: float


@dataclass(frozen=True)
class Phantom:
    """A scanned phantom: the volume, the map of tissues and lesions on the same grid, the pose and what was planted."""

    volume: Volume
    tissue: np.ndarray
    pose: np.ndarray
    planted: frozenset[str]

    @property
    def hidden(self) -> frozenset[str]:
        """Findings that were planted and are not in the picture: outside the scanned field, or covered by another lesion."""
        voxel_mm3 = abs(float(np.linalg.det(self.volume.affine[:3, :3])))
        volume_mm3 = np.bincount(self.tissue.ravel(), minlength=FIRST_LESION_ID + len(DRAWABLE)) * voxel_mm3
        visible = {key for key in DRAWABLE if volume_mm3[LESION_ID[key]] >= VISIBLE_MM3} | set(WITHOUT_LESION)
        visible |= {PARENT for key in HEMORRHAGE_SITES if key in visible}  # drawn as the lesion of its site
        return frozenset(self.planted - visible)

    @property
    def states(self) -> dict[str, str]:
        """What is known of it: present or absent for what can be drawn; what is hidden, and all other findings, are not assessed."""
        calls = {key: "present" if key in self.planted else "absent" for key in DRAWABLE}
        return calls | dict.fromkeys(self.hidden, "not_assessed")


def sample_protocol(rng: np.random.Generator, matrix: int = 256) -> Protocol:
    """A random but ordinary protocol: pose within 15 degrees and 20 mm, slices of 2.5 to 5 mm, tilt in a third."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", np.clip(rng.normal(0, (6, 4, 5)), -15, 15), degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform(-20, 20, 3)
    return Protocol(
        pose=pose,
        matrix=matrix,
        pixel_mm=float(rng.uniform(0.93, 1.0) * 256 / matrix),
        slice_mm=float(rng.choice([2.5, 3.0, 4.0, 5.0], p=[0.1, 0.2, 0.3, 0.4])),
        tilt_degrees=float(rng.uniform(-20, 20)) if rng.random() < 0.35 else 0.0,
        bottom_mm=float(rng.uniform(-88, -68)),
        noise_hu=float(rng.uniform(2.5, 7)),
        blur_px=float(rng.uniform(0.4, 0.8)),
        offset_hu=float(rng.normal(0, 1.0)),
    )


def scan(
    head: Head,
    planted: set[str],
    protocol: Protocol,
    rng: np.random.Generator,
    surroundings: Surroundings | None = None,
    contrast: Contrast | None = None,
) -> Phantom:
    """Render a head on the scanner's grid. The gantry tilt shears the grid, as in a real tilted series.

    `surroundings` adds neck, table and the like and sets the field of view and how far down the scan reaches; `contrast`
    fills the vessels. Without them a seed gives the same voxels as ever.
    """
    if surroundings is not None:
        protocol = replace(protocol, bottom_mm=-surroundings.below_mm, pixel_mm=surroundings.field_mm / protocol.matrix)
    affine, slices = _grid(head, protocol)
    shape = (slices, protocol.matrix, protocol.matrix)
    head_from_index = np.linalg.inv(protocol.pose) @ affine
    hu = np.full(shape, -1000, np.float32)
    tissue = np.zeros(shape, np.uint8)
    box = _bounding_box(head, head_from_index, shape)
    points = _points(head_from_index, box)

    canvas = paint_head(head, points)
    if surroundings is not None:
        for first in range(0, slices, 8):  # in slabs: a long scan at once would need gigabytes
            slab = (slice(first, min(first + 8, slices)), slice(0, shape[1]), slice(0, shape[2]))
            around = _empty(_points(head_from_index, slab))
            paint_surroundings(surroundings, head, around, protocol.pose[:3, :3])
            hu[slab], tissue[slab] = around.hu.reshape(hu[slab].shape), around.tissue.reshape(hu[slab].shape)
        paint_surroundings(surroundings, head, canvas, protocol.pose[:3, :3])
    paint_head_findings(head, planted, canvas)
    inside = canvas.depth > -0.5
    brain = canvas.take(inside)
    rim = np.clip(brain.depth + np.float32(0.5), 0, 1)
    beneath = brain.hu.copy()
    paint_brain(head, brain)
    paint_brain_findings(head, planted, brain)
    if contrast is not None:
        paint_contrast(contrast, head, brain)
    # A depressed fragment lies inside the cavity: brain does not grow over the bone that was painted there.
    rim = np.where(beneath > 300, 1 - np.clip((beneath - 300) / 300, 0, 1) * (brain.depth > 0), rim) * (rim > 0)
    canvas.hu[inside] = beneath + rim * (brain.hu - beneath)
    covered = np.flatnonzero(inside)[rim > 0.5]
    canvas.tissue[covered] = brain.tissue[rim > 0.5]

    hu[box] = canvas.hu.reshape(hu[box].shape)
    tissue[box] = canvas.tissue.reshape(hu[box].shape)
    noise = gaussian_filter(rng.normal(size=shape).astype(np.float32), (0, 0.6, 0.6))
    hu = gaussian_filter(hu, (0.45, protocol.blur_px, protocol.blur_px)) + noise * (protocol.noise_hu / noise.std()) + protocol.offset_hu
    volume = Volume(np.clip(hu, -1024, 3071).astype(np.float32), affine, {"modality": "CT", "format": "phantom"})
    return Phantom(volume, tissue, protocol.pose, frozenset(planted))


def make_phantom(seed: int, matrix: int = 256, surroundings: Surroundings | None = None, contrast: Contrast | None = None) -> Phantom:
    """The phantom study of a seed: anatomy, findings, protocol and noise all follow from it.

    With `surroundings` or `contrast` it is the same head with the same findings, scanned as they say.
    """
    rng = np.random.default_rng(seed)
    head = sample_head(rng)
    keys = sample_findings(rng)
    head = reshape_head(head, keys, rng)
    planted = keys | implied_findings(head)
    return scan(head, planted, sample_protocol(rng, matrix), rng, surroundings, contrast)


def _points(head_from_index: np.ndarray, box: tuple[slice, slice, slice]) -> np.ndarray:
    """Positions (3, N) in mm in the head frame of the voxels of a box of the scanner's grid."""
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop, dtype=np.float32) for s in box), indexing="ij"))
    points = np.tensordot(head_from_index[:3, :3].astype(np.float32), grid.reshape(3, -1), 1)
    points += head_from_index[:3, 3:4].astype(np.float32)
    return np.asarray(points)


def _empty(points: np.ndarray) -> Canvas:
    count = points.shape[1]
    return Canvas(points, np.full(count, -1000, np.float32), np.full(count, AIR, np.uint8), np.full(count, -1e3, np.float32))


def _grid(head: Head, protocol: Protocol) -> tuple[np.ndarray, int]:
    """Index (slice, row, column) to RAS of the scanner grid, and the number of slices; rows run to posterior."""
    top = head.radii[2] + head.skull_mm + head.scalp_mm + 6
    slices = int(np.ceil((top - protocol.bottom_mm + 20) / protocol.slice_mm))
    half = protocol.pixel_mm * (protocol.matrix - 1) / 2
    shift = np.tan(np.radians(protocol.tilt_degrees)) * protocol.slice_mm
    affine = np.eye(4)
    affine[:3, 0] = (0, shift, protocol.slice_mm)
    affine[:3, 1] = (0, -protocol.pixel_mm, 0)
    affine[:3, 2] = (-protocol.pixel_mm, 0, 0)
    middle = protocol.pose[:3, 3]
    centre = shift * (slices - 1) / 2
    affine[:3, 3] = (half + middle[0], half + middle[1] - centre, protocol.bottom_mm + middle[2])
    return affine, slices


def _bounding_box(head: Head, head_from_index: np.ndarray, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Part of the grid that can hold the head, so that air is not computed."""
    reach = np.array(head.radii) + head.skull_mm + head.scalp_mm + 18
    low = np.array([-reach[0], -max(reach[1], 85), -130])
    high = np.array([reach[0], max(reach[1], 105), reach[2]])
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    index_from_head = np.linalg.inv(head_from_index)
    index = index_from_head[:3, :3] @ corners + index_from_head[:3, 3:4]
    start = np.clip(np.floor(index.min(1)).astype(int), 0, np.array(shape))
    stop = np.clip(np.ceil(index.max(1)).astype(int) + 1, 0, np.array(shape))
    return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])
