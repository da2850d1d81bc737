"""NIfTI files to a Volume."""

from __future__ import annotations

import zlib
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np

from ..errors import StudyRefused
from .limits import MAX_VOXEL_OFFSET
from .volume import Volume
from .voxels import fill_canvas, unpacked

UNIT_MM = {"meter": 1000.0, "micron": 0.001}
GZIP_MARK = b"\x1f\x8b"


def nifti_header(path: Path) -> nib.Nifti1Header:
    """The header of a .nii or .nii.gz file, without its extensions. Raises StudyRefused `damaged_file`."""
    with path.open("rb") as file:
        return _read_header(_unpacked(file)[0])


def read_nifti(path: Path) -> Volume:
    """A .nii or .nii.gz file of one 3D volume, NIfTI-1 or 2; slope and intercept applied, sform before qform.

    Raises StudyRefused `damaged_file`, `header_too_large` (voxels far behind the header), `too_large`, `decompression_bomb`,
    `not_a_volume` (colour, or a time axis), `missing_geometry` (neither form is set, so that left and right are unknown),
    `geometry_contradiction` (the forms disagree about left and right), `geometry_invalid` or `not_hu`.
    """
    packed = path.stat().st_size
    with path.open("rb") as file:
        data, compressed = _unpacked(file)
        try:
            header = _read_header(data)
            shape, dtype = tuple(int(size) for size in header.get_data_shape()), header.get_data_dtype()
            slope, intercept = header.get_slope_inter()
            offset = float(header["vox_offset"])
        except StudyRefused:
            raise
        except Exception as error:  # nibabel raises many types on damaged headers
            raise _damaged() from error
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise StudyRefused("not_a_volume", "The NIfTI file holds colours or complex numbers, not Hounsfield units. Send the CT itself.")
        if len(shape) != 3:
            raise StudyRefused("not_a_volume", f"The NIfTI file has {len(shape)} dimensions; one 3D volume is read. Send one volume.")
        affine = affine_mm(header)
        _skip(data, offset, int(header["sizeof_hdr"]))
        slope, intercept = (1.0, 0.0) if slope is None else (float(slope), float(intercept))
        canvas = fill_canvas(data, packed if compressed else None, shape, dtype, affine, slope, intercept)
    return canvas.volume({"format": "nifti"})


def _unpacked(file: BufferedReader) -> tuple[BinaryIO, bool]:
    """A stream of the file's own bytes, and whether they are compressed: the mark says so, not the name."""
    compressed = file.peek(2)[:2] == GZIP_MARK
    return unpacked(file, "gzip" if compressed else "raw"), compressed


def _read_header(data: BinaryIO) -> nib.Nifti1Header:
    """The header without its extensions: nibabel would unpack as much as they claim. Leaves `data` right behind the header."""
    block = data.read(348)
    if block[344:348] == b"n+1\0":
        header = nib.Nifti1Header(block, check=False)
    elif block[4:12] == b"n+2\0\r\n\x1a\n":
        header = nib.Nifti2Header(block + data.read(192), check=False)
    else:
        raise StudyRefused("damaged_file", "This is not a NIfTI file with its voxels inside, whatever its name says. Export it again.")
    if int(header["bitpix"]) != header.get_data_dtype().itemsize * 8:
        raise _damaged()
    return header


def affine_mm(header: nib.Nifti1Header) -> np.ndarray:
    """Voxel index to RAS mm (4, 4), whatever the file's unit; sform before qform.

    Raises StudyRefused `missing_geometry`, `geometry_invalid` or `geometry_contradiction`.
    """
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not sform and not qform:
        raise StudyRefused("missing_geometry", "The NIfTI file has neither sform nor qform: left and right are unknown. Export it again.")
    try:
        affine = np.array(header.get_sform() if sform else header.get_qform(), dtype=np.float64)
        other = np.array(header.get_qform(), dtype=np.float64) if sform and qform else affine
        unit = header.get_xyzt_units()[0]
    except Exception as error:  # a quaternion that is none, an unknown unit
        raise StudyRefused("geometry_invalid", "The NIfTI file's qform or unit is no geometry. Export it again.") from error
    if not (np.isfinite(affine).all() and np.isfinite(other).all()):
        raise StudyRefused("geometry_invalid", "The NIfTI file's sform or qform holds a number that is not finite. Export it again.")
    if np.linalg.det(affine[:3, :3]) * np.linalg.det(other[:3, :3]) < 0:
        raise StudyRefused("geometry_contradiction", "sform and qform of the NIfTI file disagree about left and right. Export it again.")
    affine[:3] *= UNIT_MM.get(unit, 1.0)
    return affine


def _skip(data: BinaryIO, offset: float, header_bytes: int) -> None:
    """Step over extensions to the first voxel. A zero offset means right behind the header."""
    if not offset <= MAX_VOXEL_OFFSET:
        raise StudyRefused("header_too_large", "The NIfTI file's voxels lie far behind its header. Export it again.")
    try:
        if 0 < offset < header_bytes or len(data.read(max(int(offset) - header_bytes, 0))) < int(offset) - header_bytes:
            raise _damaged()
    except (zlib.error, OSError, EOFError) as error:
        raise _damaged() from error


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_file", "The NIfTI file is damaged or truncated. Export it again.")
