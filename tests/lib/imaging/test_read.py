"""Reading: positions decide, every voxel lands where it belongs, and what cannot be read is refused with its reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from headct_molre.errors import HeadCTError, InvalidRequest, NotFound, StudyRefused
from headct_molre.imaging.read import content_sha256, read_study
from headct_molre.imaging.stack import count_missing, even_step
from headct_molre.imaging.volume import Volume
from shared_data import shared_ct


def refusal(path: Path, **options: str) -> StudyRefused:
    with pytest.raises(StudyRefused) as caught:
        read_study(path, **options)
    return caught.value


def brightest_ras(volume: Volume) -> np.ndarray:
    return volume.to_ras(np.array(np.unravel_index(volume.hu.argmax(), volume.hu.shape), dtype=float))


def marked(shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    array = np.full(shape, -500, dtype=np.int16)
    array[at] = 1500
    return array


# --- DICOM -------------------------------------------------------------------------------------------------------------------


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


def test_padding_and_slope_are_applied(write_slice, tmp_path):
    stored = np.full((16, 20), 1064)
    stored[0, 0], stored[0, 1], stored[1, 1] = -2000, -1990, 0
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, RescaleIntercept=-1024, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1995)
    volume = read_study(tmp_path)
    assert volume.hu[0, 5, 5] == 40
    assert volume.hu[0, 0, 0] == -1000
    assert volume.hu[0, 0, 1] == -1000  # below -1024 HU
    assert volume.hu[0, 1, 1] == -1024


def test_a_padding_value_that_names_tissue_is_not_believed(write_slice, tmp_path):
    stored = np.full((16, 20), -1000)
    stored[5:10, 5:10] = 0
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, PixelPaddingValue=0)
    assert read_study(tmp_path).hu[0, 7, 7] == 0


def test_another_modality_is_refused_in_a_radiologists_words(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    error = refusal(tmp_path)
    assert error.code == "wrong_modality"
    assert error.message == "This is an MR examination (Modality MR). The models read non-contrast CT of the head."


def test_localizers_and_secondary_captures_are_left_out(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    write_slice("scout", (0, 0, 99), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice("page", (0, 0, 120), SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    volume = read_study(tmp_path)
    assert (volume.hu.shape[0], volume.facts["skipped_images"]) == (3, 2)


def test_a_localizer_alone_is_refused(write_slice, tmp_path):
    write_slice("scout", (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert refusal(tmp_path).code == "localizer"


def test_the_head_series_with_the_largest_coverage_is_read(write_slice, tmp_path):
    for series, count, text in (("1.2.1", 3, "Head"), ("1.2.2", 12, "Head"), ("1.2.3", 20, "Chest"), ("1.2.4", 12, "CTA head")):
        for k in range(count):
            write_slice(f"{series}-{k}", (0, 0, 5.0 * k), hu=int(series[-1]), SeriesInstanceUID=series, SeriesDescription=text)
    assert read_study(tmp_path).hu[0, 0, 0] == 2
    assert read_study(tmp_path, series_uid="1.2.3").hu[0, 0, 0] == 3
    with pytest.raises(NotFound):
        read_study(tmp_path, series_uid="1.2.9")


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


def test_truncated_pixels_are_refused(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    victim = tmp_path / "series" / "1"
    victim.write_bytes(victim.read_bytes()[:-200])
    assert refusal(tmp_path).code == "damaged_file"


def test_compressed_slices_are_decoded_or_refused_by_name(write_slice, tmp_path):
    noise = np.random.default_rng(0).integers(-1000, 2000, (3, 16, 20))
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=noise[k])
    plain = read_study(tmp_path).hu
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(read_study(tmp_path).hu, plain)
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless  # the bytes are not
        dataset.save_as(path)
    error = refusal(tmp_path)
    assert error.code == "compressed"
    assert "JPEG-LS" in error.message


def test_a_huge_claim_is_refused_before_decoding(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), Rows=60000, Columns=60000)
    assert refusal(tmp_path).code == "too_large"


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


def test_other_files_are_ignored_and_no_identifier_leaves(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), PatientAge="095Y", ConvolutionKernel="H31s", KVP=120, ContrastBolusAgent="Iomeprol")
    (tmp_path / "series" / "README.txt").write_text("not DICOM")
    facts = read_study(tmp_path).facts
    assert facts["patient_age_years"] == 90  # an age above 89 identifies
    assert (facts["kernel"], facts["kvp"], facts["contrast_tag"]) == ("H31s", 120.0, True)
    assert "SECRET" not in json.dumps(facts, allow_nan=False)


# --- NIfTI and NRRD ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SPL", "ASR", "PIL", "IRP"])
def test_nifti_in_any_orientation_keeps_its_positions(tmp_path, codes):
    shape, at = (9, 11, 13), (2, 8, 3)
    directions = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    affine = np.zeros((4, 4))
    for axis, code in enumerate(codes):
        affine[directions[code], axis] = (1 if code in "RAS" else -1) * (2.0 + axis)
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("xyz", (10, -5, 15), degrees=True).as_matrix()
    affine = tilt @ affine
    affine[:, 3] = (-20, 30, 5, 1)
    nib.save(nib.Nifti1Image(marked(shape, at), affine), tmp_path / "head.nii.gz")
    volume = read_study(tmp_path / "head.nii.gz")
    assert brightest_ras(volume) == pytest.approx((affine @ (*at, 1))[:3], abs=1e-3)
    steps = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert steps[2, 0] > 0.9
    assert steps[1, 1] < -0.9
    assert steps[0, 2] < -0.9


def test_a_sheared_nifti_stays_sheared(tmp_path):
    affine = np.array([[1, 0, 0, 0], [0, 1, 1.2, 0], [0, 0, 4, 0], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(marked((9, 11, 13), (2, 8, 3)), affine), tmp_path / "head.nii")
    volume = read_study(tmp_path / "head.nii")
    assert brightest_ras(volume) == pytest.approx((2, 11.6, 12))
    assert volume.facts["tilt_degrees"] == pytest.approx(16.7, abs=0.1)


def test_nifti_slope_is_applied_and_a_trailing_single_axis_dropped(tmp_path):
    image = nib.Nifti1Image(np.full((4, 5, 6, 1), 520, dtype=np.int16), np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nib.save(image, tmp_path / "head.nii")
    stored = nib.load(tmp_path / "head.nii")
    assert read_study(tmp_path / "head.nii").hu[0, 0, 0] == pytest.approx(float(stored.dataobj[0, 0, 0, 0]))


@pytest.mark.parametrize(
    ("shape", "affine", "code"),
    [((4, 5, 6, 2), np.eye(4), "not_a_volume"), ((4, 5, 6), None, "missing_geometry"), ((4, 5), np.eye(4), "not_a_volume")],
)
def test_nifti_that_is_no_placed_volume_is_refused(tmp_path, shape, affine, code):
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype=np.int16), affine), tmp_path / "head.nii")
    assert refusal(tmp_path / "head.nii").code == code


def test_damaged_nifti_and_false_claims_are_refused(tmp_path):
    path = tmp_path / "head.nii"
    nib.save(nib.Nifti1Image(np.zeros((20, 20, 20), dtype=np.int16), np.eye(4)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    assert refusal(path).code == "damaged_file"
    path.write_bytes(whole[:42] + np.array([30000, 30000, 30000], dtype="<i2").tobytes() + whole[48:])
    assert refusal(path).code == "too_large"
    path.write_bytes(b"not an image")
    assert refusal(path).code == "damaged_file"


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1))],
)
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_spaces_and_sheared_directions_keep_their_positions(tmp_path, space, signs, encoding):
    directions = np.array([[0.9, 0, 0], [0, 0.8, -0.2], [0, 0.5, 4.0]])
    header = {"space": space, "space directions": directions, "space origin": [10, -20, 30], "encoding": encoding}
    nrrd.write(str(tmp_path / "head.nrrd"), marked((9, 11, 13), (2, 8, 3)), header)
    expected = np.array(signs) * (np.array([2, 8, 3]) @ directions + [10, -20, 30])
    assert brightest_ras(read_study(tmp_path / "head.nrrd")) == pytest.approx(expected)


def test_nrrd_without_space_truncated_or_pointing_elsewhere_is_refused(tmp_path):
    path = tmp_path / "head.nrrd"
    nrrd.write(str(path), marked((9, 11, 13), (2, 8, 3)))
    assert refusal(path).code == "missing_geometry"
    header = {"space": "LPS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
    nrrd.write(str(path), marked((9, 11, 13), (2, 8, 3)), {**header, "encoding": "raw"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert refusal(path).code == "damaged_file"
    path.write_bytes(whole.replace(b"encoding: raw", b"data file: /etc/passwd\nencoding: raw"))
    assert refusal(path).code == "unsupported_format"


# --- paths -------------------------------------------------------------------------------------------------------------------


def test_missing_empty_and_unknown_paths_are_told_apart(tmp_path):
    with pytest.raises(NotFound):
        read_study(tmp_path / "nothing")
    assert refusal(tmp_path).code == "no_images"
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    error = refusal(tmp_path / "picture.png")
    assert error.code == "unsupported_format"
    assert ".nii.gz" in error.message


def test_a_series_cannot_be_chosen_in_a_nifti_file(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4)), tmp_path / "head.nii")
    with pytest.raises(InvalidRequest):
        read_study(tmp_path / "head.nii", series_uid="1.2.3")
    assert read_study(tmp_path).hu.shape == (6, 5, 4)


def test_the_content_hash_follows_bytes_and_relative_names(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "1").write_bytes(b"one")
        (tmp_path / folder / "2").write_bytes(b"two")
    assert content_sha256(tmp_path / "a") == content_sha256(tmp_path / "b")
    (tmp_path / "b" / "2").rename(tmp_path / "b" / "3")
    assert content_sha256(tmp_path / "a") != content_sha256(tmp_path / "b")
    assert content_sha256(tmp_path / "a" / "2") == "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"


# --- public scans ------------------------------------------------------------------------------------------------------------


def test_the_tilted_human_head_is_read_with_its_true_geometry():
    volume = read_study(shared_ct("ge_human_tilt"))
    facts = volume.facts
    assert volume.hu.shape == (37, 512, 512)
    assert facts["tilt_degrees"] == pytest.approx(18.5, abs=0.01)
    assert facts["coverage_mm"] == pytest.approx(151.94, abs=0.01)
    assert (facts["slices"], facts["slice_spacing_min_mm"], facts["slice_spacing_max_mm"]) == (28, 1.14, 7.38)
    assert volume.hu.min() >= -1024.01
    first, last = volume.to_ras(np.array([[0, 0, 0], [36, 0, 0]], dtype=float))
    assert last - first == pytest.approx([0, 0, 151.94], abs=1e-3)
    assert first == pytest.approx([125.0, 123.540457, 5.836059], abs=1e-4)


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("ge_human_wrong_geometry", "geometry_contradiction"),
        ("head_mr", "wrong_modality"),
        ("philips_phantom/localizer", "localizer"),
        ("philips_phantom/secondary_captures", "secondary_capture"),
        ("dicom2nifti_failing/not_a_volume", "not_a_volume"),
        ("niivue", "several_volumes"),
    ],
)
def test_public_scans_that_are_no_head_ct_volume_are_refused(folder, code):
    assert refusal(shared_ct(folder)).code == code


def test_two_versions_of_one_study_are_not_merged(tmp_path):
    for folder in ("ge_human_tilt", "ge_human_wrong_geometry"):
        shutil.copytree(shared_ct(folder), tmp_path / folder)
    assert refusal(tmp_path).code == "duplicate_uid"


def test_the_axial_series_is_chosen_among_five():
    volume = read_study(shared_ct("philips_phantom"))
    assert volume.hu.shape == (28, 512, 512)
    assert volume.facts["slice_spacing_mm"] == 5.0


@pytest.mark.parametrize(("folder", "tilt", "missing"), [("gantry_tilting", 14.0, 0), ("slice_increment", 15.5, 1)])
def test_tilt_and_missing_slices_are_found_without_tags(folder, tilt, missing):
    facts = read_study(shared_ct(f"dicom2nifti_failing/{folder}")).facts
    assert facts["tilt_degrees"] == pytest.approx(tilt, abs=0.01)
    assert facts["missing_slices"] == missing
