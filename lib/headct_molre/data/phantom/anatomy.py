"""The normal head of the phantom: scalp, skull, sinuses, brain, ventricles, cisterns, falx, tentorium.

The head frame has RAS axes in mm and its origin in the middle of the cranial vault. The standard frame of `imaging.align` is the
same but for its height: there the vertex lies at z = +70 in every head, here at the vault's own radius.
Nothing here is patient data or an atlas: the anatomy is a few dozen ellipsoids, planes and random waves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import Canvas, coverage, ellipsoid, waves

TISSUES = ("air", "soft_tissue", "bone", "grey_matter", "white_matter", "csf", "ventricle")
AIR, SOFT_TISSUE, BONE, GREY, WHITE, CSF, VENTRICLE = range(len(TISSUES))

# Centre and radii (mm) of the right caudate head, lentiform nucleus and thalamus.
DEEP_NUCLEI = (((13.0, 15.0, 8.0), (5.0, 10.0, 9.0)), ((25.0, 5.0, 2.0), (6.0, 14.0, 9.0)), ((11.0, -12.0, 4.0), (8.0, 12.0, 8.0)))


@dataclass(frozen=True)
class Head:
    """Shape of one head; lengths in mm, the ventricle and sulcus values are relative to a normal adult."""

    seed: int
    radii: tuple[float, float, float]
    scalp_mm: float
    skull_mm: float
    ventricle_scale: float = 1.0
    sulcus_mm: float = 1.0
    subarachnoid_mm: float = 1.2
    midline_shift_mm: float = 0.0
    grey_hu: float = 37.0
    white_hu: float = 29.0
    csf_hu: float = 7.0


MEAN_HEAD = Head(seed=0, radii=(68.0, 84.0, 72.0), scalp_mm=6.0, skull_mm=6.0)


def sample_head(rng: np.random.Generator) -> Head:
    """A random adult head without findings."""
    scale = rng.normal(1.0, 0.035)
    return Head(
        seed=int(rng.integers(2**31)),
        radii=(68 * scale * rng.normal(1, 0.025), 84 * scale * rng.normal(1, 0.025), 72 * scale * rng.normal(1, 0.025)),
        scalp_mm=rng.uniform(4, 8),
        skull_mm=rng.uniform(4.5, 8),
        ventricle_scale=rng.uniform(0.8, 1.15),
        sulcus_mm=rng.uniform(0.6, 1.4),
        subarachnoid_mm=rng.uniform(0.8, 1.8),
        grey_hu=rng.normal(37, 1.0),
        white_hu=rng.normal(29, 1.0),
        csf_hu=rng.normal(7, 1.5),
    )


def cavity_depth(head: Head, points: np.ndarray) -> np.ndarray:
    """Distance in mm below the inner table (negative in bone and outside), for points (3, N)."""
    vault = ellipsoid(points, (0, 0, 0), head.radii)
    x, y, z = points
    floor = np.interp(y, (-75, -55, -20, -8, 18, 30, 75), (-48, -62, -60, -46, -44, -34, -24)).astype(np.float32)
    # Orbital roofs bulge into the anterior fossa, and the floor rises to the sides.
    floor += np.where(y > 22, 5 * np.cos((np.abs(x) - 26) / 9).clip(0), 0) + np.float32(0.0035) * x * x
    return np.minimum(vault, np.float32(0.85) * (z - floor))


def paint_head(head: Head, points: np.ndarray) -> Canvas:
    """Air, scalp, skull, face and neck for points (3, N); the cavity is left for `paint_brain`."""
    rng = np.random.default_rng([head.seed, 1])
    count = points.shape[1]
    depth = cavity_depth(head, points)
    canvas = Canvas(points, np.full(count, -1000, np.float32), np.zeros(count, np.uint8), depth)
    x, y, z = points
    outside = head.scalp_mm + head.skull_mm
    rx, ry, rz = head.radii
    skin = ellipsoid(points, (0, 0, 0), (rx + outside, ry + outside, rz + outside))
    face = ellipsoid(points, (0, 38, -62), (58, 55, 62))
    neck = np.minimum(55 - np.hypot(x, (y + 25) * np.float32(0.9)), -z - 30)
    body = np.maximum(np.maximum(skin, face), neck)
    canvas.paint(coverage(body), np.where((body > 1.5) & (z > -35), -75, 42).astype(np.float32), SOFT_TISSUE)

    # The skull is a shell of constant thickness round the cavity; below the base its inner surface is the floor.
    vault = ellipsoid(points, (0, 0, 0), (rx + head.skull_mm, ry + head.skull_mm, rz + head.skull_mm))
    shell = np.minimum(vault, z + 75)
    diploe = np.clip(1 - np.abs(-depth / head.skull_mm - 0.5) * 3.2, 0, 1)
    inner_table = ellipsoid(points, (0, 0, 0), head.radii)
    thickness = np.where(inner_table < 2, head.skull_mm + 1, 3.0)
    bone = coverage(np.minimum(shell, np.minimum(-depth, depth + thickness)))
    canvas.paint(bone, 1250 - 550 * diploe, BONE)
    for side in (-1, 1):
        petrous = ellipsoid(points, (side * 38, -22, -52), (24, 10, 9))
        canvas.paint(coverage(petrous), 1150.0, BONE)
        canvas.paint(coverage(ellipsoid(points, (side * 30, 72, -52), (17, 22, 17))), -70.0, SOFT_TISSUE)
        canvas.paint(coverage(ellipsoid(points, (side * 30, 78, -52), (12, 12, 12))), 15.0, SOFT_TISSUE)
        cheek = ellipsoid(points, (side * 24, 62, -84), (18, 20, 20))
        canvas.paint(coverage(cheek), 700.0, BONE)
        mastoid = ellipsoid(points, (side * 52, -30, -58), (9, 11, 12))
        canvas.paint(coverage(mastoid), 700.0, BONE)
        cells = coverage(mastoid - 2) * (waves(points, rng, 4, 7.0) > -0.6)
        canvas.paint(cells, -850.0, AIR)
    for centre, radii in sinus_cavities():
        canvas.paint(coverage(ellipsoid(points, centre, (radii[0] + 2, radii[1] + 2, radii[2] + 2))), 600.0, BONE)
        canvas.paint(coverage(ellipsoid(points, centre, radii)), -1000.0, AIR)
    canvas.paint(coverage(ellipsoid(points, (0, 70, -75), (9, 22, 26))) * (waves(points, rng, 3, 9.0) > 0), -950.0, AIR)
    return canvas


def sinus_cavities() -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Centre and radii (mm) of the aerated paranasal sinuses: maxillary, sphenoid and frontal, right and left."""
    return [
        ((24, 62, -84), (15, 17, 17)),
        ((-24, 62, -84), (15, 17, 17)),
        ((8, 34, -54), (7, 11, 8)),
        ((-8, 34, -54), (7, 11, 8)),
        ((9, 84, -22), (8, 5, 9)),
        ((-9, 84, -22), (8, 5, 9)),
    ]


def ventricle_distance(head: Head, points: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to the ventricular system in the coordinates of the undisplaced brain."""
    s = head.ventricle_scale
    third, fourth = s, s**0.5
    distance = np.maximum(
        ellipsoid(points, (0, -6, -2), (1.8 * third, 13 * third**0.5, 9 * third**0.5)),
        ellipsoid(points, (0, -48, -36), (7 * fourth, 5 * fourth, 8 * fourth)),
    )
    for side in (-1, 1):
        for (cx, cy, cz), (a, b, c) in (
            ((8, 25, 8), (5, 14, 7)),
            ((10, -2, 17), (5, 24, 6)),
            ((19, -35, 9), (6, 16, 8)),
            ((22, -52, 5), (3.5, 12, 4)),
        ):
            horn = ellipsoid(points, (side * (cx + 2.5 * (s - 1)), cy, cz), (a * s, b * s**0.5, c * s))
            distance = np.maximum(distance, horn)
        temporal = ellipsoid(points, (side * 30, -14, -16), (2.2 * s**1.5, 13, 2.6 * s**1.5))
        distance = np.maximum(distance, temporal)
    return distance


def tentorium_height(points: np.ndarray) -> np.ndarray:
    """Height (mm) of the tentorium over the places of points (3, N)."""
    x, y, _ = points
    return np.asarray(-18 - 0.006 * x * x - 0.12 * (y + 45))


def sagittal_sinus(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to the superior sagittal sinus for points (3, N) at `depth` (N,) below the inner table."""
    x, y, z = points
    along = np.minimum(4 - np.abs(x), 5 - depth - 0.5 * np.abs(x))
    return np.minimum(along, np.maximum(z - 20, -40 - y))


def displaced(head: Head, points: np.ndarray) -> np.ndarray:
    """Where the brain at these points (3, N) would lie without midline shift; the shift fades towards the skull."""
    if head.midline_shift_mm == 0:
        return points
    moved = points.copy()
    x, y, z = points
    fade = np.exp(-((x / 45) ** 2) - (y / 55) ** 2 - ((z - 8) / 45) ** 2)
    moved[0] -= np.float32(head.midline_shift_mm) * fade
    return moved


def paint_brain(head: Head, brain: Canvas) -> None:
    """Cortex, white matter, deep nuclei, ventricles, cisterns, cerebellum, falx, tentorium and dural sinuses."""
    rng = np.random.default_rng([head.seed, 2])
    points = displaced(head, brain.points)
    x, y, z = points
    depth = brain.depth

    gyri = np.abs(waves(points, rng, 5, 24.0)) * 6
    brain.paint(np.ones_like(depth), head.white_hu, WHITE)
    cortex = np.maximum(head.subarachnoid_mm + 4 - depth, np.minimum(head.sulcus_mm + 3 - gyri, 17 - depth))
    brain.paint(coverage(cortex, 1.5), head.grey_hu, GREY)
    for side in (-1, 1):
        for centre, radii in DEEP_NUCLEI:
            brain.paint(coverage(ellipsoid(points, (side * centre[0], centre[1], centre[2]), radii), 2), head.grey_hu, GREY)

    tentorium = tentorium_height(points)
    below = coverage(np.minimum(tentorium - z, -20 - y), 2)
    folia = np.sin(z * np.float32(2 * np.pi / 7) + 0.03 * y)
    brain.paint(below, head.grey_hu - 1 - 3 * (folia > 0.6), GREY)
    brain.paint(coverage(ellipsoid(points, (0, -20, -44), (13, 12, 26)), 2), head.white_hu + 2, WHITE)

    sulci = np.minimum(head.sulcus_mm - gyri, 15 - depth)
    brain.paint(coverage(np.maximum(sulci, head.subarachnoid_mm - depth)) * (1 - below * 0.6), head.csf_hu, CSF)
    widen = head.sulcus_mm
    for side in (-1, 1):
        sylvian = ellipsoid(points, (side * 44, 10, -3), (10, 17, 1.6 + 1.4 * widen))
        brain.paint(coverage(sylvian), head.csf_hu, CSF)
        ambient = ellipsoid(points, (side * 17, -24, -17), (2.5, 12, 6))
        brain.paint(coverage(ambient), head.csf_hu, CSF)
    for centre, radii in (
        ((0.0, 14.0, -29.0), (14.0, 10.0, 7.0)),
        ((0.0, -38.0, -12.0), (10.0, 4.0, 6.0)),
        ((0.0, -7.0, -46.0), (11.0, 3.5, 14.0)),
        ((0.0, -72.0, -54.0), (13.0, 5.0, 6.0)),
    ):
        brain.paint(coverage(ellipsoid(points, centre, radii)), head.csf_hu, CSF)
    ventricles = ventricle_distance(head, points)
    septum = (np.abs(x) < 0.7) & (z > 4) & (y > -30)
    brain.paint(coverage(ventricles) * ~septum, head.csf_hu - 1, VENTRICLE)

    # The dura hardly moves when the brain does, so falx and tentorium use the undisplaced coordinates.
    x, y, z = brain.points
    falx = np.minimum(0.9 - np.abs(x), np.minimum(np.hypot(y, z) - 46, z + 12))
    brain.paint(coverage(falx), 52.0, SOFT_TISSUE)
    notch = np.hypot(x, y + 22) - 30
    brain.paint(coverage(np.minimum(0.8 - np.abs(z - tentorium), np.minimum(notch, -22 - y))), 52.0, SOFT_TISSUE)
    brain.paint(coverage(sagittal_sinus(brain.points, depth)), 54.0, SOFT_TISSUE)
    if rng.random() < 0.5:  # physiological pineal calcification is normal in adults and no finding
        brain.paint(coverage(ellipsoid(points, (0, -31, 2), (2.2, 2.2, 2.2))), 130.0, BONE)
