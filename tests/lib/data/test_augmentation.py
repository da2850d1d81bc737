"""Augmentation moves a head and not its Hounsfield units, all slices alike, and follows from its seed."""

import numpy as np
import pytest
import torch

from headct_molre.data.augmentation import AugmentationSettings, augment_hu, augment_windows

ALWAYS = AugmentationSettings(spatial_share=1.0, mirror_share=0.0)


@pytest.fixture
def head():
    hu = np.full((6, 128, 128), -1000, np.float32)
    hu[:, 30:100, 35:95] = 30
    hu[:, 60:68, 50:58] = 70
    return hu


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_off_means_untouched(head):
    settings = AugmentationSettings(enabled=False)
    assert augment_hu(head, (1, 1), settings, rng()) is head
    slices = torch.rand(2, 3, 8, 8)
    assert augment_windows(slices, torch.ones(2, dtype=torch.bool), settings, rng()) is slices


def test_follows_from_the_seed(head):
    one, same, other = (augment_hu(head, (1, 1), ALWAYS, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_hounsfield_units_are_moved_and_not_changed(head):
    moved = augment_hu(head, (1, 1), ALWAYS, rng(3))
    assert moved.shape == head.shape
    assert moved.dtype == np.float32
    assert (moved != head).any()
    assert moved.min() >= -1000
    assert moved.max() <= 70.01
    assert np.median(moved[moved > 0]) == pytest.approx(30, abs=0.01)


def test_air_comes_in_from_outside():
    full = np.full((2, 64, 64), 40, np.float32)
    settings = ALWAYS.model_copy(update={"shift_mm": 30.0, "elastic_mm": 0.0})
    values = np.unique(np.round(np.concatenate([augment_hu(full, (1, 1), settings, rng(seed)).ravel() for seed in range(5)])))
    assert values[0] == -1000
    assert values[-1] == 40


def test_all_slices_of_a_study_move_together(head):
    moved = augment_hu(head, (1, 1), ALWAYS, rng(4))
    np.testing.assert_array_equal(moved, np.broadcast_to(moved[:1], moved.shape))


def test_stays_within_the_ranges(head):
    """The bright square moves by at most the shift, and the head's size changes by at most the scale and the elastic part."""
    settings = ALWAYS.model_copy(update={"rotation_degrees": 0.0, "scale": 0.0, "elastic_mm": 0.0, "shift_mm": 4.0})
    start = np.argwhere(head[0] > 60).mean(0)
    for seed in range(20):
        moved = augment_hu(head, (1, 1), settings, rng(seed))[0]
        assert np.abs(np.argwhere(moved > 50).mean(0) - start).max() <= 4.6


def test_a_millimetre_is_a_millimetre_on_every_grid(head):
    settings = ALWAYS.model_copy(update={"rotation_degrees": 0.0, "scale": 0.0, "elastic_mm": 0.0, "shift_mm": 4.0})
    start = np.argwhere(head[0] > 60).mean(0)
    coarse = [np.abs(np.argwhere(augment_hu(head, (2, 2), settings, rng(seed))[0] > 50).mean(0) - start).max() for seed in range(20)]
    assert max(coarse) <= 2.6


def test_mirrors_left_and_right_only(head):
    settings = AugmentationSettings(spatial_share=0.0, mirror_share=1.0)
    head[0, 0, 0] = 7
    np.testing.assert_array_equal(augment_hu(head, (1, 1), settings, rng()), head[:, :, ::-1])


def test_top_and_bottom_change_places_only_when_asked(head):
    head[0] = 5
    settings = AugmentationSettings(spatial_share=0.0, mirror_share=0.0)
    np.testing.assert_array_equal(augment_hu(head, (1, 1), settings, rng()), head)
    asked = settings.model_copy(update={"flip_vertical": 1.0})
    np.testing.assert_array_equal(augment_hu(head, (1, 1), asked, rng()), head[::-1])


def test_brightness_and_noise_stay_in_the_window_and_leave_padding_alone():
    slices = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([True, True, True, False])
    changed = augment_windows(slices, real, AugmentationSettings(), rng(1))
    assert (changed[:3] != slices[:3]).any()
    assert torch.equal(changed[3], slices[3])
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(changed, augment_windows(slices, real, AugmentationSettings(), rng(1)))
    assert not torch.equal(changed, augment_windows(slices, real, AugmentationSettings(), rng(2)))
