"""DICOM geometry: positions decide, every voxel lands where it belongs, contradictions are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from pydicom.uid import generate_uid

from headct_molre.errors import HeadCTError
from headct_molre.imaging.read import read_study
from headct_molre.imaging.stack import count_missing, even_step
from imaging_files import brightest_ras, marked, refusal


def test_slices_are_ordered_by_position_and_not_by_name_or_number(write_slice, tmp_path):
    for name, z in (("I10", 0.0), ("I100", 10.0), ("I20", 5.0)):
        write_slice(name, (0, 0, z), hu=z, InstanceNumber=int(100 - z))
    volume = read_study(tmp_path)
    assert volume.hu[:, 0, 0].tolist() == [0, 5, 10]
    assert volume.spacing_mm == pytest.approx((5.0, 0.8, 0.5))
    assert volume.facts["slice_spacing_mm"] == 5.0
    assert volume.facts["resampled"] is False


def test_a_marked_pixel_lies_at_its_position_in_ras(write_slice, tmp_path):
    for k in range(4):
        hu = marked((16, 20), (3, 7)) if k == 2 else np.full((16, 20), -500)
        write_slice(f"{k}", (-40, -30, 5.0 * k), hu=hu)
    # LPS (-40 + 7 x 0.5, -30 + 3 x 0.8, 10) with the first two signs turned.
    assert brightest_ras(read_study(tmp_path)) == pytest.approx([36.5, 27.6, 10.0])


@pytest.mark.parametrize("tilt", [18.5, -16.5])
def test_a_gantry_tilt_stays_in_the_affine_as_exact_shear(write_slice, tmp_path, tilt):
    for k in range(5):
        hu = marked((16, 20), (5, 7)) if k == 3 else np.full((16, 20), -500)
        write_slice(f"{k}", (0, 0, 4.0 * k), hu=hu, tilt=tilt)
    volume = read_study(tmp_path)
    assert volume.facts["tilt_degrees"] == pytest.approx(abs(tilt), abs=0.01)
    angle = np.radians(tilt)
    assert brightest_ras(volume) == pytest.approx([-3.5, -4 * np.cos(angle), 12 - 4 * np.sin(angle)], abs=1e-4)


def test_uneven_spacing_is_interpolated_along_the_slices(write_slice, tmp_path):
    for k, z in enumerate([0, 4, 8, 12, 19, 26, 33]):
        write_slice(f"{k}", (0, 0, z), hu=10 * z)
    volume = read_study(tmp_path)
    assert volume.facts["resampled"] is True
    assert (volume.facts["slice_spacing_min_mm"], volume.facts["slice_spacing_max_mm"], volume.facts["missing_slices"]) == (4, 7, 0)
    height = volume.to_ras(np.array([[k, 0.0, 0.0] for k in range(len(volume.hu))]))[:, 2]
    assert (height[0], height[-1]) == pytest.approx((0, 33))
    assert volume.hu[:, 0, 0] == pytest.approx(10 * height, abs=1e-2)


def test_a_missing_slice_is_counted_and_its_neighbours_are_not_touched(write_slice, tmp_path):
    for k in (0, 1, 2, 4, 5):
        write_slice(f"{k}", (0, 0, 3.0 * k), hu=100 * k * k)
    volume = read_study(tmp_path)
    assert volume.facts["missing_slices"] == 1
    assert volume.hu[:, 0, 0].tolist() == [0, 100, 400, 1000, 1600, 2500]


def test_two_spacings_of_one_protocol_are_not_missing_slices():
    assert count_missing(np.array([5.0] * 6 + [10.0] * 5)) == 0
    assert count_missing(np.array([5.0] * 6 + [10.0] + [5.0] * 3 + [15.0])) == 3


def test_the_even_step_is_the_finest_that_a_fifth_of_the_gaps_have():
    assert even_step(np.array([4.22] * 13 + [1.14] + [7.38] * 13)) == 4.22
    assert even_step(np.array([0.3, 0.4, 0.5, 0.6, 0.7])) == 1.0


def test_a_slice_that_came_twice_is_read_once(write_slice, tmp_path):
    for name, z in (("a", 0.0), ("b", 5.0), ("b-copy", 5.0), ("c", 10.0)):
        write_slice(name, (0, 0, z), hu=z)
    volume = read_study(tmp_path)
    assert volume.hu[:, 0, 0].tolist() == [0, 5, 10]
    assert volume.facts["skipped_images"] == 1


def test_different_slices_at_one_position_make_no_volume(write_slice, tmp_path):
    for name, z, hu in (("a", 0, 0), ("b", 5, 5), ("b2", 5, 50), ("c", 10, 10)):
        write_slice(name, (0, 0, z), hu=hu)
    assert refusal(tmp_path).code == "not_a_volume"


@pytest.mark.parametrize(("first", "second"), [((0, 0, 5), (0, 0, 7)), ((0, 0, 5), (0, 0, 5))])
def test_one_uid_on_two_different_images_is_refused(write_slice, tmp_path, first, second):
    uid = generate_uid()
    write_slice("a", (0, 0, 0))
    write_slice("b", first, hu=1, SOPInstanceUID=uid)
    write_slice("c", second, hu=2, SOPInstanceUID=uid)
    assert refusal(tmp_path).code == "duplicate_uid"


def test_positions_against_their_own_tags_are_refused(write_slice, tmp_path):
    for k in range(6):
        write_slice(f"{k}", (0, 0, 2.5 * k), SliceLocation=7.0 * k, SliceThickness=7.0)
    error = refusal(tmp_path)
    assert error.code == "geometry_contradiction"
    assert "2.50 mm" in error.message


def test_one_odd_witness_is_only_remarked(write_slice, tmp_path):
    for k in range(6):
        write_slice(f"{k}", (0, 0, 5.0 * k), SliceThickness=5.0, GantryDetectorTilt=12.0)
    assert read_study(tmp_path).facts["conflicting_tag"] == "tilt_tag"


def test_positions_that_leave_a_line_are_refused(write_slice, tmp_path):
    for k, x in enumerate([0, 0, 9, 0]):
        write_slice(f"{k}", (x, 0, 5.0 * k))
    assert refusal(tmp_path).code == "geometry_invalid"


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_absent_geometry_is_refused(write_slice, tmp_path, keyword):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), **{keyword: None})
    assert refusal(tmp_path).code == "missing_geometry"


def test_a_single_slice_is_no_volume(write_slice, tmp_path):
    write_slice("one.dcm", (0, 0, 0))
    assert refusal(tmp_path).code == "not_a_volume"
    assert refusal(tmp_path / "series" / "one.dcm").code == "not_a_volume"


def test_damaged_headers_never_end_in_a_raw_error(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    victim = tmp_path / "series" / "1"
    whole = victim.read_bytes()
    generator = np.random.default_rng(0)
    codes = set()
    for _ in range(60):
        damaged = bytearray(whole)
        for at in generator.integers(132, len(whole) - 640, 4):
            damaged[at] = generator.integers(256)
        victim.write_bytes(damaged)
        try:
            assert np.isfinite(read_study(tmp_path).hu).all()
        except HeadCTError as error:
            codes.add(error.code)
    assert {"damaged_file", "missing_geometry"} <= codes


def test_no_odd_value_of_a_header_reaches_a_log(write_slice, tmp_path):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), StudyDescription="SECRET", PatientAge="099Y", BodyPartExamined="SECRET")
        path = tmp_path / "series" / f"{k}"
        whole = path.read_bytes()
        for old, new in ((b"099Y", b"SECR"), (b"0.8\\0.5 ", b"SECRET^1")):
            assert old in whole
            whole = whole.replace(old, new)
        path.write_bytes(whole)
    code = "import logging, sys; logging.basicConfig(level=0); from pathlib import Path; from headct_molre.imaging.read import read_study; "
    command = [sys.executable, "-W", "always", "-c", code + f"read_study(Path({str(tmp_path)!r}))"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "StudyRefused: The images lack a valid PixelSpacing" in result.stderr
    assert "SECR" not in result.stderr + result.stdout


def test_other_files_are_ignored_and_no_identifier_leaves(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), PatientAge="095Y", ConvolutionKernel="H31s", KVP=120, ContrastBolusAgent="Iomeprol")
    (tmp_path / "series" / "README.txt").write_text("not DICOM")
    facts = read_study(tmp_path).facts
    assert facts["patient_age_years"] == 90  # an age above 89 identifies
    assert (facts["kernel"], facts["kvp"], facts["contrast_tag"]) == ("H31s", 120.0, True)
    assert "SECRET" not in json.dumps(facts, allow_nan=False)
