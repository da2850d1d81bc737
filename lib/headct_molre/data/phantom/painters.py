"""One small painter for each finding that can be planted, on the canvas of the head or of the brain.

A painter draws its own random numbers, so that the same seed plants the same lesion. Sizes and HU follow textbook
ranges and the published HU means of hemorrhage types (47 to 56 HU); they are plausible, not measured from patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import BONE, CSF, GREY, VENTRICLE, WHITE, Head, sinus_cavities, ventricle_distance
from .lesions import DRAWABLE, HEMORRHAGE_SITES, LESION_ID
from .shapes import Canvas, coverage, ellipsoid, waves


def paint_head_findings(head: Head, keys: set[str], canvas: Canvas) -> None:
    """Plant the findings of scalp, skull and sinuses."""
    for key in DRAWABLE:
        if key in keys and key in HEAD_PAINTERS:
            HEAD_PAINTERS[key](_Site(head, canvas, np.random.default_rng([head.seed, 100 + LESION_ID[key]])))


def paint_brain_findings(head: Head, keys: set[str], brain: Canvas) -> None:
    """Plant the findings inside the cranial cavity, in an order in which later ones lie over earlier ones."""
    for key in BRAIN_ORDER:
        if key in keys:
            BRAIN_PAINTERS[key](_Site(head, brain, np.random.default_rng([head.seed, 100 + LESION_ID[key]])))


@dataclass
class _Site:
    """Where a painter works: the head, the canvas and the painter's own random numbers."""

    head: Head
    canvas: Canvas
    rng: np.random.Generator

    def direction(self, low: float = 0.0, high: float = 0.9) -> np.ndarray:
        """A random unit vector from the centre of the head, with its z component in [low, high]."""
        z = self.rng.uniform(low, high)
        azimuth = self.rng.uniform(0, 2 * np.pi)
        flat = np.sqrt(1 - z * z)
        return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), z], np.float32)

    def arc(self, direction: np.ndarray) -> np.ndarray:
        """Distance in mm along the vault from the spot that `direction` points at."""
        points = self.canvas.points
        cosine = np.tensordot(direction, points, 1) / (np.linalg.norm(points, axis=0) + 1e-3)
        return np.arccos(np.clip(cosine, -1, 1)) * np.float32(np.mean(self.head.radii))

    def on_vault(self, direction: np.ndarray, depth_mm: float) -> tuple[float, float, float]:
        """The point `depth_mm` below the inner table in a direction."""
        radius = 1 / np.sqrt(np.sum((direction / np.array(self.head.radii)) ** 2))
        x, y, z = direction * (radius - depth_mm)
        return float(x), float(y), float(z)

    def blob(self, centre: tuple[float, float, float], radius: float, wobble: float = 0.18) -> np.ndarray:
        """Signed distance to an irregular lump."""
        radii = tuple(float(r) for r in radius * self.rng.uniform(0.8, 1.2, 3))
        distance = ellipsoid(self.canvas.points, centre, (radii[0], radii[1], radii[2]))
        return distance + np.float32(wobble * radius) * waves(self.canvas.points, self.rng, 4, 1.6 * radius) * np.float32(0.6)

    def is_tissue(self, *ids: int) -> np.ndarray:
        return np.isin(self.canvas.tissue, ids)


def _crescent(site: _Site, key: str, hu: float, thickness: tuple[float, float], extent: tuple[float, float]) -> None:
    side = site.rng.choice([-1, 1])
    direction = np.array([side, site.rng.uniform(-0.5, 0.5), site.rng.uniform(0.1, 0.7)])
    arc = site.arc((direction / np.linalg.norm(direction)).astype(np.float32))
    extent_mm = site.rng.uniform(*extent)
    profile = site.rng.uniform(*thickness) * np.sqrt(np.clip(1 - (arc / extent_mm) ** 2, 0, 1))
    inside = np.minimum(profile - site.canvas.depth, side * site.canvas.points[0] - 2)
    inside = np.where(profile > 0, inside, -5)
    texture = waves(site.canvas.points, site.rng, 3, 15.0) * np.float32(3)
    site.canvas.paint(coverage(inside), hu + texture, LESION_ID[key])


def _subdural(site: _Site) -> None:
    _crescent(site, "subdural_hematoma", site.rng.uniform(55, 72), (6, 13), (70, 100))


def _chronic_subdural(site: _Site) -> None:
    _crescent(site, "chronic_subdural_hematoma", site.rng.uniform(14, 24), (8, 16), (70, 100))


def _epidural(site: _Site) -> None:
    arc = site.arc(site.direction(0.0, 0.8))
    extent = site.rng.uniform(26, 38)
    profile = site.rng.uniform(13, 24) * np.clip(1 - (arc / extent) ** 2, 0, 1)
    site.canvas.paint(
        coverage(np.where(profile > 0, profile - site.canvas.depth, -5)), site.rng.uniform(58, 76), LESION_ID["epidural_hematoma"]
    )


def _hemorrhage_at(key: str) -> Callable[[_Site], None]:
    def paint(site: _Site) -> None:
        place = HEMORRHAGE_SITES[key]
        if place is None:
            centre = site.on_vault(site.direction(0.0, 0.7), site.rng.uniform(20, 32))
        else:
            jitter = site.rng.normal(0, 2, 3)
            centre = (float(site.rng.choice([-1, 1]) * place[0] + jitter[0]), place[1] + jitter[1], place[2] + jitter[2])
        radius = site.rng.uniform(8, 13) if key == "thalamic_hemorrhage" else site.rng.uniform(10, 19)
        distance = site.blob(centre, radius)
        rim = coverage(distance + site.rng.uniform(2, 6), 3) * site.is_tissue(GREY, WHITE)
        site.canvas.hu += rim * np.float32(0.8) * (20 - site.canvas.hu)
        texture = waves(site.canvas.points, site.rng, 3, 10.0) * np.float32(3)
        site.canvas.paint(coverage(np.minimum(distance, site.canvas.depth - 1), 1.5), site.rng.uniform(54, 72) + texture, LESION_ID[key])

    return paint


def _intraventricular(site: _Site) -> None:
    level = site.rng.uniform(-35, 45)
    weight = coverage(level - site.canvas.points[1], 6) * site.is_tissue(VENTRICLE)
    site.canvas.paint(weight, site.rng.uniform(48, 66), LESION_ID["intraventricular_hemorrhage"])


def _subarachnoid(site: _Site) -> None:
    if site.rng.random() < 0.5:  # aneurysmal: basal cisterns and Sylvian fissures
        where = ellipsoid(site.canvas.points, (0, 8, -22), (60, 45, 34))
    else:  # convexity
        where = site.rng.uniform(40, 60) - site.arc(site.direction(0.0, 0.8))
    sulcal = coverage(where, 6) * site.is_tissue(CSF)
    site.canvas.paint(sulcal, site.rng.uniform(48, 64), LESION_ID["subarachnoid_hemorrhage"])


def _territory(site: _Site) -> np.ndarray:
    """Signed distance to a wedge of brain supplied by one of the three cerebral arteries."""
    side = site.rng.choice([-1, 1])
    direction, size = [((1.0, 0.1, 0.25), 42.0), ((0.5, -0.95, 0.0), 30.0), ((0.3, 0.9, 0.45), 28.0)][
        site.rng.choice(3, p=[0.6, 0.25, 0.15])
    ]
    direction_ = np.array(direction) * (side, 1, 1) + site.rng.normal(0, 0.12, 3)
    arc = site.arc((direction_ / np.linalg.norm(direction_)).astype(np.float32))
    deep = site.rng.uniform(26, 44)
    wedge = np.minimum(size * site.rng.uniform(0.7, 1.15) - arc, deep - site.canvas.depth)
    return np.minimum(wedge + 2 * waves(site.canvas.points, site.rng, 4, 25.0), side * site.canvas.points[0] - 2)


def _acute_infarct(site: _Site) -> None:
    weight = coverage(_territory(site), 4) * site.is_tissue(GREY, WHITE, CSF)
    site.canvas.paint(weight, site.rng.uniform(19, 24), LESION_ID["acute_infarct"])


def _chronic_infarct(site: _Site) -> None:
    weight = coverage(_territory(site) - 4, 2) * site.is_tissue(GREY, WHITE, CSF)
    site.canvas.paint(weight, site.rng.uniform(7, 13), LESION_ID["chronic_infarct"])


def _pneumocephalus(site: _Site) -> None:
    for _ in range(site.rng.integers(3, 8)):
        direction = np.array([site.rng.normal(0, 0.45), 0.8, site.rng.uniform(0.0, 0.8)])
        direction /= np.linalg.norm(direction)
        radius = site.rng.uniform(2.5, 7)
        bubble = ellipsoid(site.canvas.points, site.on_vault(direction, radius * 0.8), (radius, radius, radius))
        site.canvas.paint(coverage(np.minimum(bubble, site.canvas.depth)), -900.0, LESION_ID["pneumocephalus"])


def _meningioma(site: _Site) -> None:
    radius = site.rng.uniform(9, 18)
    centre = site.on_vault(site.direction(-0.1, 0.9), radius * 0.75)
    inside = np.minimum(site.blob(centre, radius, 0.05), site.canvas.depth - 0.5)
    hu = np.full(len(site.canvas.hu), site.rng.uniform(46, 54), np.float32)
    if site.rng.random() < 0.5:
        hu += 120 * (waves(site.canvas.points, site.rng, 4, 6.0) > 1.2)
    site.canvas.paint(coverage(inside), hu, LESION_ID["meningioma"])


def _tumor_centre(site: _Site) -> tuple[tuple[float, float, float], float]:
    # The oedema is drawn by its own painter but round the tumour, so both take the place from the same numbers.
    rng = np.random.default_rng([site.head.seed, 77])
    place = _Site(site.head, site.canvas, rng)
    return place.on_vault(place.direction(-0.1, 0.7), float(rng.uniform(24, 38))), float(rng.uniform(10, 18))


def _tumor(site: _Site) -> None:
    centre, radius = _tumor_centre(site)
    distance = site.blob(centre, radius)
    inside = coverage(np.minimum(distance, site.canvas.depth - 1))
    core = coverage(distance - radius * 0.35, 2)
    site.canvas.paint(inside, 46 - 30 * core, LESION_ID["intra_axial_tumor"])


def _vasogenic_edema(site: _Site) -> None:
    centre, radius = _tumor_centre(site)
    fingers = site.blob(centre, radius + site.rng.uniform(10, 18), 0.3)
    site.canvas.paint(coverage(fingers, 3) * site.is_tissue(WHITE), 18.0, LESION_ID["vasogenic_edema"])


def _cyst(site: _Site) -> None:
    radius = site.rng.uniform(12, 22)
    side = site.rng.choice([-1, 1])
    place = [(46.0, 22.0, -22.0), (30.0, -62.0, -45.0), (40.0, 30.0, 30.0)][site.rng.integers(3)]
    inside = ellipsoid(site.canvas.points, (float(side * place[0]), place[1], place[2]), (radius, radius, radius))
    site.canvas.paint(coverage(np.minimum(inside, site.canvas.depth)), site.rng.uniform(2, 8), LESION_ID["cystic_lesion"])


def _transependymal(site: _Site) -> None:
    halo = coverage(ventricle_distance(site.head, site.canvas.points) + 4, 3) * site.is_tissue(WHITE)
    site.canvas.paint(halo * 0.7, 19.0, LESION_ID["hydrocephalus"])


def _small_vessel(site: _Site) -> None:
    reach = site.rng.uniform(7, 13) + 3 * waves(site.canvas.points, site.rng, 4, 18.0)
    halo = np.minimum(ventricle_distance(site.head, site.canvas.points) + reach, site.canvas.points[2] + 4)
    weight = coverage(halo, 3) * site.is_tissue(WHITE)
    site.canvas.paint(weight, site.rng.uniform(17, 21), LESION_ID["chronic_small_vessel_disease"])


def _calcifications(site: _Site) -> None:
    for _ in range(site.rng.integers(2, 6)):
        centre = site.on_vault(site.direction(-0.2, 0.8), site.rng.uniform(12, 36))
        distance = site.blob(centre, site.rng.uniform(2.5, 4.5), 0.1)
        site.canvas.paint(coverage(distance), site.rng.uniform(160, 400), LESION_ID["intracranial_calcification"])


def _basal_ganglia_calcification(site: _Site) -> None:
    hu = site.rng.uniform(90, 180)
    for side in (-1, 1):
        distance = site.blob((side * 20.0, 3.0, 1.0), site.rng.uniform(4, 6), 0.2)
        site.canvas.paint(coverage(distance), hu, LESION_ID["basal_ganglia_calcification"])


def _falx_calcification(site: _Site) -> None:
    angle = site.rng.uniform(0.1, 2.6)
    centre = (0.0, 58 * np.cos(angle), 55 * np.sin(angle))
    radii = (site.rng.uniform(1.8, 3), site.rng.uniform(8, 16), site.rng.uniform(5, 10))
    inside = np.minimum(ellipsoid(site.canvas.points, centre, radii), site.canvas.depth - 2)
    site.canvas.paint(coverage(inside), site.rng.uniform(250, 500), LESION_ID["dural_falx_calcification"])


def _fracture(site: _Site) -> None:
    direction = site.direction(0.1, 0.85)
    along = np.cross(direction, site.rng.normal(size=3))
    plane = np.tensordot((along / np.linalg.norm(along)).astype(np.float32), site.canvas.points, 1)
    plane = plane + np.float32(1.5) * waves(site.canvas.points, site.rng, 3, 30.0)
    bone = site.is_tissue(BONE)
    arc = site.arc(direction)
    length = site.rng.uniform(30, 60)
    gap = coverage(np.minimum(site.rng.uniform(0.9, 1.6) - np.abs(plane), length - arc)) * bone
    site.canvas.paint(gap, 45.0, LESION_ID["skull_fracture"])
    if site.rng.random() < 0.4:  # depressed: the fragment beside the line is pushed in
        sunk = np.minimum(site.canvas.depth, site.head.skull_mm * 0.8 - site.canvas.depth)
        fragment = np.minimum(np.minimum(sunk, plane), site.rng.uniform(12, 18) - arc)
        site.canvas.paint(coverage(fragment), 1100.0, BONE)


def _scalp_hematoma(site: _Site) -> None:
    arc = site.arc(site.direction(-0.1, 0.8))
    height = site.rng.uniform(7, 15) * np.clip(1 - (arc / site.rng.uniform(28, 45)) ** 2, 0, 1)
    out = -site.canvas.depth - site.head.skull_mm
    bump = np.where(height > 0.5, np.minimum(out, site.head.scalp_mm + height - out), -5)
    site.canvas.paint(coverage(bump), site.rng.uniform(48, 66), LESION_ID["scalp_hematoma"])


def _sinusitis(site: _Site) -> None:
    sinuses = sinus_cavities()
    filled = site.rng.permutation(4)[: site.rng.integers(1, 5)]
    for i in filled:
        centre, radii = sinuses[i]
        inside = ellipsoid(site.canvas.points, centre, radii)
        if site.rng.random() < 0.4:  # an air-fluid level in a patient lying on the back
            inside = np.minimum(inside, centre[1] + site.rng.uniform(-4, 8) - site.canvas.points[1])
        site.canvas.paint(coverage(inside), site.rng.uniform(15, 40), LESION_ID["sinusitis"])


def _mastoid(site: _Site) -> None:
    sides = [(-1,), (1,), (-1, 1)][site.rng.integers(3)]
    for side in sides:
        cells = ellipsoid(site.canvas.points, (side * 52, -30, -58), (9, 11, 12)) - 1
        fill = coverage(cells) * (site.canvas.hu < -300)
        site.canvas.paint(fill, site.rng.uniform(20, 40), LESION_ID["mastoid_middle_ear_opacification"])


def _craniotomy(site: _Site) -> None:
    direction = site.direction(0.15, 0.8)
    arc = site.arc(direction)
    radius = site.rng.uniform(22, 36)
    if site.rng.random() < 0.5:  # craniectomy: no flap
        defect = radius - arc
    else:  # the saw line of a replaced flap
        defect = site.rng.uniform(1.2, 2.0) - np.abs(arc - radius)
    site.canvas.paint(coverage(defect) * site.is_tissue(BONE), 40.0, LESION_ID["craniotomy_craniectomy"])


HEAD_PAINTERS: dict[str, Callable[[_Site], None]] = {
    "skull_fracture": _fracture,
    "scalp_hematoma": _scalp_hematoma,
    "sinusitis": _sinusitis,
    "mastoid_middle_ear_opacification": _mastoid,
    "craniotomy_craniectomy": _craniotomy,
}
BRAIN_PAINTERS: dict[str, Callable[[_Site], None]] = {
    "chronic_small_vessel_disease": _small_vessel,
    "hydrocephalus": _transependymal,
    "acute_infarct": _acute_infarct,
    "chronic_infarct": _chronic_infarct,
    "vasogenic_edema": _vasogenic_edema,
    "intra_axial_tumor": _tumor,
    "cystic_lesion": _cyst,
    "basal_ganglia_calcification": _basal_ganglia_calcification,
    "intracranial_calcification": _calcifications,
    "dural_falx_calcification": _falx_calcification,
    "subarachnoid_hemorrhage": _subarachnoid,
    "intraventricular_hemorrhage": _intraventricular,
    "meningioma": _meningioma,
    **{key: _hemorrhage_at(key) for key in HEMORRHAGE_SITES},
    "chronic_subdural_hematoma": _chronic_subdural,
    "subdural_hematoma": _subdural,
    "epidural_hematoma": _epidural,
    "pneumocephalus": _pneumocephalus,
}
BRAIN_ORDER = tuple(BRAIN_PAINTERS)
