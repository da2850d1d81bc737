"""Enhanced (multi-frame) CT: one file whose frames are slices like any others."""

from __future__ import annotations

import gdcm
import numpy as np
import pytest
from pydicom.dataset import Dataset

from headct_molre.imaging.read import read_study
from imaging_files import brightest_ras, enhanced_ct, recode, refusal

POSITIONS = [(-10.0, -20.0, z) for z in (10.0, 0.0, 5.0, 15.0)]


def test_frames_are_ordered_by_their_positions_and_land_where_they_belong(tmp_path):
    pixels = np.stack([np.full((16, 20), z, dtype=np.int16) for _, _, z in POSITIONS])
    pixels[2, 3, 7] = 1500
    enhanced_ct(pixels, POSITIONS).save_as(tmp_path / "head.dcm", enforce_file_format=True)
    volume = read_study(tmp_path / "head.dcm")
    assert volume.hu[:, 0, 0].tolist() == [0, 5, 10, 15]
    assert volume.spacing_mm == pytest.approx((5.0, 0.8, 0.5))
    assert brightest_ras(volume) == pytest.approx([10 - 7 * 0.5, 20 - 3 * 0.8, 5])
    assert (volume.facts["slices"], volume.facts["kernel"], volume.facts["slice_thickness_mm"]) == (4, "H31s", 5.0)


def test_a_frame_has_its_own_slope_and_intercept(tmp_path):
    dataset = enhanced_ct(np.full((4, 16, 20), 100, dtype=np.int16), POSITIONS)
    for frame, intercept in zip(dataset.PerFrameFunctionalGroupsSequence, (0, 1, 2, 3), strict=True):
        frame.PixelValueTransformationSequence[0].RescaleIntercept = intercept
    dataset.save_as(tmp_path / "head.dcm", enforce_file_format=True)
    assert read_study(tmp_path / "head.dcm").hu[:, 0, 0].tolist() == [101, 102, 100, 103]


@pytest.mark.parametrize("syntax", [gdcm.TransferSyntax.JPEGLSLossless, gdcm.TransferSyntax.RLELossless])
def test_compressed_frames_are_decoded_each_on_its_own(tmp_path, syntax):
    pixels = np.random.default_rng(0).integers(-1000, 1500, (4, 16, 20)).astype(np.int16)
    enhanced_ct(pixels, POSITIONS).save_as(tmp_path / "head.dcm", enforce_file_format=True)
    plain = read_study(tmp_path).hu
    recode(tmp_path / "head.dcm", syntax)
    assert np.array_equal(read_study(tmp_path).hu, plain)


def test_uneven_frames_are_interpolated(tmp_path):
    positions = [(0.0, 0.0, z) for z in (0.0, 4.0, 8.0, 12.0, 19.0, 26.0, 33.0)]
    pixels = np.stack([np.full((16, 20), 10 * z, dtype=np.int16) for _, _, z in positions])
    enhanced_ct(pixels, positions).save_as(tmp_path / "head.dcm", enforce_file_format=True)
    volume = read_study(tmp_path)
    height = volume.to_ras(np.array([[k, 0.0, 0.0] for k in range(len(volume.hu))]))[:, 2]
    assert volume.facts["resampled"] is True
    assert volume.hu[:, 0, 0] == pytest.approx(10 * height, abs=1e-2)


def test_two_phases_at_the_same_positions_are_no_volume(tmp_path):
    dataset = enhanced_ct(np.arange(8 * 16 * 20, dtype=np.int16).reshape(8, 16, 20), POSITIONS * 2)
    dataset.save_as(tmp_path / "head.dcm", enforce_file_format=True)
    assert refusal(tmp_path).code == "not_a_volume"


def test_frames_without_positions_are_refused(tmp_path):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), POSITIONS)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(tmp_path / "head.dcm", enforce_file_format=True)
    assert refusal(tmp_path).code == "missing_geometry"


def test_another_number_of_frames_than_groups_is_refused(tmp_path):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), POSITIONS)
    dataset.NumberOfFrames = 5
    dataset.save_as(tmp_path / "head.dcm", enforce_file_format=True)
    assert refusal(tmp_path).code == "damaged_file"


def test_contrast_in_the_sequence_of_agents_is_remarked(tmp_path):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), POSITIONS)
    dataset.ContrastBolusAgentSequence = [Dataset()]
    dataset.save_as(tmp_path / "head.dcm", enforce_file_format=True)
    assert read_study(tmp_path).facts["contrast_tag"] is True


def test_an_enhanced_series_can_be_asked_for_among_others(tmp_path):
    for name, value in (("a.dcm", 1), ("b.dcm", 2)):
        dataset = enhanced_ct(np.full((4, 16, 20), value, dtype=np.int16), POSITIONS)
        dataset.SeriesInstanceUID = f"1.2.{value}"
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    assert read_study(tmp_path, series_uid="1.2.1").hu[0, 0, 0] == 1
    assert read_study(tmp_path, series_uid="1.2.2").hu[0, 0, 0] == 2
