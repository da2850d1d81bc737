"""What can be added to a phantom: surroundings, contrast medium, metal, motion. What is there already stays bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from headct_molre.data.phantom import Contrast, Surroundings, make_phantom, with_jerk, with_jitter, with_metal
from headct_molre.data.phantom.anatomy import BONE

SEED, MATRIX = 3, 96


@pytest.fixture(scope="module")
def plain():
    return make_phantom(SEED, MATRIX)


@pytest.fixture(scope="module")
def chest():
    return make_phantom(SEED, MATRIX, Surroundings(below_mm=480, field_mm=500))


def in_head(phantom):
    """Positions (3, slice, row, column) in mm in the phantom's head frame."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in phantom.volume.hu.shape), indexing="ij"), axis=-1)
    points = phantom.volume.to_ras(index.astype(float)) - phantom.pose[:3, 3]
    return np.moveaxis(points @ phantom.pose[:3, :3], -1, 0)


# Sums of HU, of its square, and of the tissue ids: the demo model was trained on these very voxels.
@pytest.mark.parametrize(
    ("seed", "total", "square", "tissue"),
    [
        (0, -385820127.9573318, 429584816401.2748, 426686),
        (1, -304214314.9191172, 334899691070.13715, 285974),
        (7, -501670896.4610396, 530253443134.72864, 516188),
    ],
)
def test_a_seed_gives_the_phantom_that_it_always_gave(seed, total, square, tissue):
    phantom = make_phantom(seed, MATRIX)
    hu = phantom.volume.hu.astype(np.float64)
    assert hu.sum() == pytest.approx(total, rel=1e-7)
    assert (hu**2).sum() == pytest.approx(square, rel=1e-7)
    assert phantom.tissue.sum() == pytest.approx(tissue, rel=1e-4)


def test_surroundings_reach_from_the_neck_to_the_lungs_and_the_table(chest):
    x, y, z = np.moveaxis(chest.volume.to_ras(np.argwhere(chest.volume.hu > -2000).astype(float)) - chest.pose[:3, 3], -1, 0)
    hu = chest.volume.hu.ravel()
    lung = (np.abs(x - 75) < 20) & (np.abs(z + 330) < 40) & (np.abs(y + 25) < 20)
    assert -950 < np.median(hu[lung]) < -750
    spine = (np.abs(x) < 5) & (np.abs(z + 130) < 30) & (np.abs(y + 39) < 5)
    assert np.median(hu[spine]) > 200
    table = (np.abs(x) < 150) & (y < -150) & (y > -190)
    assert hu[table].max() > -400
    assert np.all(chest.tissue.ravel()[np.abs(x) > 235] != BONE)


def test_the_head_is_the_same_with_surroundings(plain, chest):
    assert chest.planted == plain.planted
    assert np.array_equal(chest.pose, plain.pose)
    medians = [np.median(phantom.volume.hu[(np.abs(in_head(phantom)) < 30).all(axis=0)]) for phantom in (plain, chest)]
    assert medians[0] == pytest.approx(medians[1], abs=2)


@pytest.mark.parametrize(("phase", "vessel"), [("venous", "sinus"), ("arterial", "artery")])
def test_contrast_fills_the_vessels_of_its_phase(plain, phase, vessel):
    enhanced = make_phantom(SEED, MATRIX, contrast=Contrast(300.0, phase))
    rise = enhanced.volume.hu - plain.volume.hu
    x, y, z = in_head(plain)
    places = {"sinus": (np.abs(x) < 4) & (y < -70) & (z > 0), "artery": (np.abs(x - 25) < 10) & (np.abs(y - 8) < 6) & (np.abs(z + 21) < 6)}
    peaks = {name: np.percentile(rise[place], 98) for name, place in places.items()}
    assert peaks[vessel] > 60
    assert rise.min() > -60
    assert 0.0001 < np.mean(rise > 50) < 0.02


def test_metal_saturates_and_streaks_only_through_its_own_slices(plain):
    metal = with_metal(plain, "coil", np.random.default_rng(0))
    changed = np.flatnonzero(np.abs(metal.volume.hu - plain.volume.hu).max(axis=(1, 2)) > 1)
    assert metal.volume.hu.max() == 3071
    assert 1 <= len(changed) <= 5
    assert np.mean(np.abs(metal.volume.hu - plain.volume.hu)[changed] > 20) > 0.05


def test_a_jerk_leaves_the_slices_before_it_and_moves_the_rest(plain):
    moved = with_jerk(plain.volume, 20, (0.0, 2 * plain.volume.spacing_mm[2]))
    assert np.array_equal(moved.hu[:20], plain.volume.hu[:20])
    assert np.allclose(moved.hu[20:, :, 2:], plain.volume.hu[20:, :, :-2], atol=0.5)
    turned = with_jerk(plain.volume, 0, (0.0, 0.0), 90.0).hu[20]
    assert min(np.abs(turned - np.rot90(plain.volume.hu[20], times)).max() for times in (1, -1)) < 0.5


def test_jitter_moves_every_slice_elsewhere(plain):
    jittered = with_jitter(plain.volume, 2.0, np.random.default_rng(0)).hu
    assert (np.abs(jittered - plain.volume.hu).max(axis=(1, 2))[10:30] > 100).all()
