"""MetaImage: the same geometry as SimpleITK reads, and only voxels that are where they may be."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name that every imaging text uses
from scipy.spatial.transform import Rotation

from headct_molre.imaging.read import read_study
from imaging_files import brightest_ras, marked, refusal

AT = (2, 8, 3)  # i, j, k


def image(dtype: type = np.int16) -> sitk.Image:
    picture = sitk.GetImageFromArray(marked((9, 11, 13), AT[::-1]).astype(dtype))
    picture.SetSpacing((0.5, 0.7, 4.0))
    picture.SetOrigin((-40, 30, 12))
    picture.SetDirection(Rotation.from_euler("xyz", (170, -5, 15), degrees=True).as_matrix().ravel())
    return picture


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["head.mha", "head.mhd"])
def test_voxels_lie_where_simpleitk_puts_them(tmp_path, name, compressed):
    sitk.WriteImage(image(), tmp_path / name, useCompression=compressed)
    expected = np.array(image().TransformIndexToPhysicalPoint(AT)) * (-1, -1, 1)
    volume = read_study(tmp_path / name)
    assert brightest_ras(volume) == pytest.approx(expected, abs=1e-3)
    assert np.sort(volume.hu, axis=None).tolist() == [-500] * (9 * 11 * 13 - 1) + [1500]
    assert volume.hu.dtype == np.int16


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_other_types_of_voxels_keep_their_values(tmp_path, dtype):
    sitk.WriteImage(image(dtype), tmp_path / "head.mha")
    volume = read_study(tmp_path)
    assert (volume.hu.min(), volume.hu.max()) == (-500, 1500)
    assert volume.hu.dtype == (np.int16 if dtype is np.int32 else np.float32)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"ElementDataFile = LOCAL", b"ElementDataFile = /etc/passwd", "link_outside"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = ../x.raw", "link_outside"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = head.mha", "unsupported_format"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = LIST", "unsupported_format"),
        (b"BinaryData = True", b"BinaryData = False", "unsupported_format"),
        (b"TransformMatrix", b"TransformMatrix_", "missing_geometry"),
        (b"ElementSpacing = 0.5", b"ElementSpacing = 0", "missing_geometry"),
        (b"DimSize = 13", b"DimSize = 1.5", "damaged_file"),
        (b"DimSize = 13", b"DimSize = 14", "damaged_file"),
        (b"DimSize = 13", b"DimSize = 30000", "too_large"),
        (b"NDims = 3", b"NDims = 4", "not_a_volume"),
        (b"MET_SHORT", b"MET_OTHER", "not_a_volume"),
        (b"ObjectType = Image", b"ObjectType", "damaged_file"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, old, new, code):
    path = tmp_path / "head.mha"
    sitk.WriteImage(image(), path)
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new))
    assert refusal(path).code == code


def test_a_header_reads_no_link_for_its_voxels(tmp_path):
    sitk.WriteImage(image(), tmp_path / "head.mhd")
    (tmp_path / "head.raw").rename(tmp_path / "elsewhere")
    (tmp_path / "head.raw").symlink_to("elsewhere")
    assert refusal(tmp_path / "head.mhd").code == "unsupported_format"
