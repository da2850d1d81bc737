"""A map in the space of its input: the same place in the patient, whatever the axes of the file."""

import gzip
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from headct_molre.explain.nifti_map import nifti_bytes
from headct_molre.explain.space import in_file_order, on_scan
from headct_molre.imaging.prepare import Prepared
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume

# A tilted gantry: the third column of (column, row, slice) is sheared.
AFFINE = np.array([[-1.5, 0, 0, 30], [0, -1.2, 0.9, 20], [0, 0.1, 3.0, -40], [0, 0, 0, 1.0]])
ORIENTATIONS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]


def scan(folder: Path, order=(0, 1, 2), flips=(False, False, False), name="scan.nii.gz") -> Path:
    """A file whose HU say where they are: 100 plus a number for each voxel, with permuted and flipped axes."""
    hu = (100 + np.arange(12 * 14 * 9).reshape(12, 14, 9)).astype(np.int16)
    matrix = np.eye(4)[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            source = order[axis]
            turn = np.eye(4)
            turn[source, source], turn[source, 3] = -1, hu.shape[source] - 1
            matrix = turn @ matrix
    moved = np.flip(hu.transpose(order), [axis for axis, flip in enumerate(flips) if flip])
    image = nib.Nifti1Image(moved, AFFINE @ matrix)
    image.header["descrip"] = b"SECRET^NAME"
    image.set_sform(AFFINE @ matrix, code=1)
    nib.save(image, folder / name)
    return folder / name


def written(folder: Path, content: bytes) -> nib.Nifti1Image:
    (folder / "map.nii.gz").write_bytes(content)
    return nib.load(folder / "map.nii.gz")


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_a_map_has_the_shape_affine_and_voxels_of_the_nifti_file_itself(tmp_path, order, flips):
    path = scan(tmp_path, order, flips)
    volume = read_study(path)
    image = written(tmp_path, nifti_bytes(volume.hu, volume, path, "x", "x"))
    source = nib.load(path)
    assert image.shape == source.shape
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.affine, source.affine)
    np.testing.assert_array_equal(image.get_fdata(), source.get_fdata())
    for field in ("qform_code", "sform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(image.header[field], source.header[field])


def test_a_further_axis_of_one_and_another_unit_are_kept(tmp_path):
    source = nib.load(scan(tmp_path))
    affine = np.diag([0.001, 0.001, 0.001, 1]) @ source.affine
    image = nib.Nifti2Image(np.asarray(source.dataobj)[..., None], affine)
    image.header.set_xyzt_units("meter")
    image.set_sform(affine, code=2)
    nib.save(image, tmp_path / "scan.nii")
    volume = read_study(tmp_path / "scan.nii")
    assert volume.spacing_mm == pytest.approx(np.linalg.norm(AFFINE[:3, [2, 1, 0]], axis=0))
    (tmp_path / "map.nii").write_bytes(nifti_bytes(volume.hu, volume, tmp_path / "scan.nii", "x", "x", packed=False))
    over = nib.load(tmp_path / "map.nii")
    assert over.shape == (12, 14, 9, 1)
    np.testing.assert_array_equal(over.affine, affine)
    np.testing.assert_array_equal(over.get_fdata(), image.get_fdata())


def test_what_was_no_nifti_is_written_in_axial_order_with_the_shear_in_the_sform(tmp_path):
    volume = read_study(scan(tmp_path))
    image = written(tmp_path, nifti_bytes(volume.hu, volume, tmp_path, "x", "x"))
    sheared = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    assert abs(sheared[:, 1] @ sheared[:, 2]) > 0.1
    for voxel in ((0, 0, 0), (3, 5, 7), (11, 13, 8)):
        np.testing.assert_allclose(image.affine @ [*voxel, 1], [*volume.to_ras(np.array(voxel[::-1])), 1], atol=1e-4)
        assert image.get_fdata()[voxel] == volume.hu[voxel[::-1]]


def test_the_header_says_what_the_map_is_and_nothing_of_the_patient(tmp_path):
    path = scan(tmp_path)
    volume = read_study(path)
    content = nifti_bytes(volume.hu, volume, path, "where the model looked: x, not a lesion outline", "with a note")
    assert b"SECRET" not in gzip.decompress(content)
    header = written(tmp_path, content).header
    assert bytes(header["descrip"]).rstrip(b"\0") == b"where the model looked: x, not a lesion outline"
    assert bytes(header["aux_file"]).rstrip(b"\0") == b"research use only"
    assert header.extensions[0].get_content() in ("with a note", b"with a note")
    assert content == nifti_bytes(volume.hu, volume, path, "where the model looked: x, not a lesion outline", "with a note")


def test_a_marked_voxel_of_the_model_lies_at_the_same_place_in_the_patient(tmp_path):
    hu = np.full((30, 60, 50), 40, np.float32)
    affine = AFFINE[:, [2, 1, 0, 3]]
    volume = Volume(hu, affine)
    model_to_ras = np.array([[0, 0, -1.0, 20], [0, -1.0, 0, 15], [4.0, 0, 0, -30], [0, 0, 0, 1]])
    values = np.zeros((20, 50, 50), np.float32)
    values[7, 16:32, 16:32] = 1
    result = on_scan(values, Prepared(np.zeros_like(values), model_to_ras), volume)
    found = np.argwhere(result == 1)
    assert len(found) > 20
    index = np.column_stack([volume.to_ras(found), np.ones(len(found))]) @ np.linalg.inv(model_to_ras).T
    assert (np.abs(index[:, 0] - 7) <= 0.5 + 1e-9).all()
    assert ((index[:, 1:3] > 15.4) & (index[:, 1:3] < 31.6)).all()
    everywhere = np.column_stack([volume.to_ras(np.argwhere(np.ones_like(hu))), np.ones(hu.size)]) @ np.linalg.inv(model_to_ras).T
    inside = (np.abs(everywhere[:, 0] - 7) < 0.49) & (np.abs(everywhere[:, 1:3] - 23.5) < 7.99).all(1)
    assert (result.ravel()[inside] == 1).all()


def test_what_is_air_in_the_scan_is_0():
    hu = np.full((10, 40, 40), -1000, np.float32)
    hu[:, 10:30, 10:30] = 40
    hu[:, 18:22, 18:22] = -1000  # an air cell belongs to the head
    identity = np.eye(4)
    result = on_scan(np.ones((10, 40, 40), np.float32), Prepared(hu, identity), Volume(hu, identity))
    assert result[:, 10:30, 10:30].all()
    assert result.sum() == 10 * 20 * 20


def test_axes_that_are_not_permuted_but_turned_are_refused(tmp_path):
    volume = read_study(scan(tmp_path))
    turned = volume.affine.copy()
    turned[:3, 0] *= 1.1
    with pytest.raises(ValueError, match="axes"):
        in_file_order(volume.hu, turned, AFFINE, (12, 14, 9))
    with pytest.raises(ValueError, match="voxels"):
        in_file_order(replace(volume, hu=volume.hu[:-1]).hu, volume.affine, AFFINE, (12, 14, 9))


def test_no_slice_of_the_map_is_lost_between_thick_slices_of_the_scan():
    hu = np.full((8, 20, 20), 40, np.float32)
    thick = np.diag([10.0, 1, 1, 1])
    for number in range(1, 19):
        values = np.zeros((20, 20, 20), np.float32)
        values[number] = 1
        assert on_scan(values, Prepared(values, np.diag([4.0, 1, 1, 1])), Volume(hu, thick)).max() == 1
