"""What lies around a head in the scanner: jaw, neck, shoulders and chest, the table, a head rest, a blanket.

Drawn in the scanner's directions (RAS axes, mm) with the origin in the middle of the cranial vault, because a body lies flat on the
table however the head is turned. The sizes are those of an ordinary adult; nothing here is patient data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import AIR, BONE, SOFT_TISSUE, Head
from .shapes import Canvas, coverage, ellipsoid, waves

# Heights (mm, from below) of the trunk's profile, with its half width, half depth, layer of fat and the spine's place from the back.
HEIGHT_MM = (-480, -420, -250, -215, -185, -160, -110, -60)
HALF_WIDTH_MM = (165, 170, 200, 190, 90, 62, 58, 55)
HALF_DEPTH_MM = (120, 120, 115, 95, 70, 62, 58, 55)
FAT_MM = (18, 16, 12, 10, 8, 5, 4, 4)
SPINE_Y_MM = (-70, -68, -62, -55, -48, -42, -38, -38)
# Below this height the neck is drawn here; above it, the head paints its own skull base and face.
NECK_TOP_MM = -77.0
TABLE_Y_MM = -150.0


@dataclass(frozen=True)
class Surroundings:
    """What is in view beside the head, and how much the scanner takes in.

    `below_mm` is where the scan starts below the middle of the head: 130 for a neck, 300 for shoulders and chest. `field_mm` is the
    width of the field of view: 250 for a head, 500 for a table and shoulders.
    """

    trunk: bool = True
    table: bool = True
    head_rest: bool = True
    blanket: bool = False
    below_mm: float = 130.0
    field_mm: float = 250.0


def paint_surroundings(surroundings: Surroundings, head: Head, canvas: Canvas, scanner_from_head: np.ndarray) -> None:
    """Add what is in view to a canvas that is empty or holds the head already; `scanner_from_head` (3, 3) is the head's rotation."""
    rng = np.random.default_rng([head.seed, 3])
    points = np.tensordot(scanner_from_head.astype(np.float32), canvas.points, 1)
    lying = Canvas(points, canvas.hu, canvas.tissue, canvas.depth)
    if surroundings.table:
        _paint_table(lying)
    if surroundings.head_rest:
        _paint_head_rest(head, lying, canvas.points)
    if surroundings.trunk:
        body = _trunk(points)
        if surroundings.blanket:
            folds = 7 + 3 * waves(points, rng, 3, 60.0)
            cover = np.minimum(np.minimum(-body - 2, folds + body), np.minimum(-140 - points[2], points[1] + 90))
            lying.paint(coverage(cover) * (canvas.hu < -500), -870.0, AIR)
        _paint_trunk(lying, body, rng)


def _profile(z: np.ndarray, values: tuple[int, ...]) -> np.ndarray:
    return np.interp(z, HEIGHT_MM, values).astype(np.float32)


def _trunk(points: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to the skin of neck, shoulders and chest, positive inside."""
    x, y, z = points
    width, depth = _profile(z, HALF_WIDTH_MM), _profile(z, HALF_DEPTH_MM)
    radius = np.hypot(x / width, (y + 25) / depth)
    return np.minimum((1 - radius) * np.minimum(width, depth), NECK_TOP_MM - z)


def _paint_trunk(lying: Canvas, body: np.ndarray, rng: np.random.Generator) -> None:
    """Skin, fat, muscle, spine, airway, jaw, shoulder girdle, ribs, lungs and heart."""
    points = lying.points
    x, y, z = points
    lying.paint(coverage(body), 55.0, SOFT_TISSUE)
    fat = np.minimum(np.minimum(body - 2, _profile(z, FAT_MM) - body), NECK_TOP_MM - z)
    lying.paint(coverage(fat), -95.0, SOFT_TISSUE)
    for side in (-1, 1):
        lung = np.minimum(ellipsoid(points, (side * 75, -25, -330), (64, 82, 118)), body - 24)
        lying.paint(coverage(lung), -850 + 60 * waves(points, rng, 3, 20.0), AIR)
    lying.paint(coverage(ellipsoid(points, (-22, 12, -372), (60, 46, 56))), 42.0, SOFT_TISSUE)
    ribs = np.minimum(np.minimum(body - 12, 20 - body), np.minimum(4 - np.abs((z + 0.35 * y) % 26 - 13), -212 - z))
    lying.paint(coverage(ribs), 600.0, BONE)
    _paint_spine(lying)
    trachea = np.minimum(8 - np.hypot(x, y - _profile(z, SPINE_Y_MM) - 34), np.minimum(-85 - z, z + 310))
    lying.paint(coverage(trachea), -1000.0, AIR)
    for bone, hu in _bones(points):
        lying.paint(coverage(bone), hu, BONE)


def _bones(points: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Signed distances (mm) and HU of jaw, teeth, breastbone, collar bones, shoulder blades and upper arms."""
    x, y, z = points
    arch = np.minimum(6 - np.abs(np.hypot(x / 46, (y - 22) / 58) - 1) * 50, y - 12)
    parts = [
        (np.minimum(arch, 12 - np.abs(z + 112)), 900.0),
        (np.minimum(arch - 2, 7 - np.abs(z + 93)), 1900.0),
        (ellipsoid(points, (0, 82, -320), (18, 7, 70)), 350.0),
    ]
    for side in (-1, 1):
        parts.append((ellipsoid(points, (side * 48, 8, -92), (5, 12, 26)), 900.0))
        parts.append((ellipsoid(points, (side * 85, 40, -212), (75, 7, 7)), 700.0))
        parts.append((ellipsoid(points, (side * 165, -25, -236), (24, 24, 26)), 450.0))
        parts.append((ellipsoid(points, (side * 110, -98, -275), (45, 5, 55)), 600.0))
    return parts


def _paint_spine(lying: Canvas) -> None:
    x, y, z = lying.points
    middle = _profile(z, SPINE_Y_MM)
    size = np.interp(z, (-260, -80), (17, 10)).astype(np.float32)
    height = np.interp(z, (-260, -80), (24, 17)).astype(np.float32)
    disc = np.abs((z % height) - height / 2) > height / 2 - 2
    body = np.minimum(size - np.hypot(x, y - middle), -69 - z)
    lying.paint(coverage(body), np.where(disc, 90.0, np.where(body < 2, 650.0, 300.0)).astype(np.float32), BONE)
    canal = 9 - np.hypot(x, y - middle + size + 9)
    arch = np.minimum(np.minimum(canal + 5, -canal), -69 - z)
    lying.paint(coverage(arch) * ~disc, 700.0, BONE)
    spinous = np.minimum(np.minimum(3 - np.abs(x), 14 - np.abs(y - middle + size + 36)), -80 - z)
    lying.paint(coverage(spinous) * ~disc, 600.0, BONE)
    lying.paint(coverage(np.minimum(canal, -69 - z)), 30.0, SOFT_TISSUE)


def _paint_table(lying: Canvas) -> None:
    """A hollow-backed top of carbon fibre over foam, 420 mm wide, with a metal rail along each side."""
    x, y, _ = lying.points
    below = TABLE_Y_MM + np.float32(0.0009) * x * x - y
    inside = np.minimum(np.minimum(below, 30 - below), 210 - np.abs(x))
    lying.paint(coverage(inside), -940.0, AIR)
    lying.paint(coverage(np.minimum(inside, 2.5 - inside)), -150.0, SOFT_TISSUE)
    rail = 4 - np.maximum(np.abs(np.abs(x) - 214), np.abs(below - 15))
    lying.paint(coverage(rail), 1800.0, BONE)


def _paint_head_rest(head: Head, lying: Canvas, points: np.ndarray) -> None:
    """A plastic cradle with a cushion behind the head, and its post; `points` (3, N) are in the head frame."""
    outside = head.scalp_mm + head.skull_mm
    rx, ry, rz = (radius + outside for radius in head.radii)
    away = -ellipsoid(points, (0, 0, 0), (rx, ry, rz))
    x, y, z = lying.points
    behind = np.minimum(np.minimum(-30 - points[1], z + 62), 45 - z)
    lying.paint(coverage(np.minimum(np.minimum(away - 1.5, 9 - away), behind)), -930.0, AIR)
    lying.paint(coverage(np.minimum(np.minimum(away - 9, 13 - away), behind)), 90.0, SOFT_TISSUE)
    post = np.minimum(np.minimum(30 - np.abs(x), away - 12), np.minimum(y - TABLE_Y_MM, 20 - np.abs(z)))
    lying.paint(coverage(np.minimum(post, -100 - y)), -200.0, SOFT_TISSUE)
