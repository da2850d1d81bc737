"""NIfTI files to a Volume."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import StudyRefused
from .geometry import check_size, make_volume
from .volume import Volume

UNIT_MM = {"meter": 1000.0, "micron": 0.001}


def read_nifti(path: Path) -> Volume:
    """A .nii or .nii.gz file of one 3D volume; slope and intercept applied, sform before qform.

    Raises StudyRefused `damaged_file`, `too_large`, `not_a_volume` (colour, or a time axis), `missing_geometry` (neither form
    is set, so that left and right are unknown) or `geometry_contradiction` (the forms disagree about left and right).
    """
    try:
        image = nib.load(path)
        header = image.header
        shape, dtype = tuple(int(size) for size in header.get_data_shape()), header.get_data_dtype()
        codes = int(header["sform_code"]), int(header["qform_code"])
        unit = header.get_xyzt_units()[0]
    except Exception as error:  # nibabel raises many types on damaged bytes
        raise _damaged() from error
    if dtype.kind not in "iuf":
        raise StudyRefused("not_a_volume", "The NIfTI file holds colours or complex numbers, not Hounsfield units.")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise StudyRefused("not_a_volume", f"The NIfTI file has {len(shape)} dimensions; one 3D volume is read.")
    check_size(shape, dtype.itemsize)
    if codes == (0, 0):
        raise StudyRefused("missing_geometry", "The NIfTI file has neither sform nor qform: left and right are unknown.")
    if all(codes) and np.linalg.det(header.get_sform()[:3, :3]) * np.linalg.det(header.get_qform()[:3, :3]) < 0:
        raise StudyRefused("geometry_contradiction", "sform and qform of the NIfTI file disagree about left and right.")
    try:
        array = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except Exception as error:  # truncated or damaged compressed data
        raise _damaged() from error
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= UNIT_MM.get(unit, 1.0)
    return make_volume(array, affine, {"format": "nifti"})


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_file", "The NIfTI file is damaged or truncated. Export it again.")
