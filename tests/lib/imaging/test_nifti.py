"""NIfTI: any orientation keeps its positions; what is no placed volume is refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.imaging.read import read_study
from imaging_files import brightest_ras, marked, refusal


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
