"""MetaImage files (the exchange format of ITK, SimpleITK and elastix) to a Volume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import StudyRefused
from .geometry import LPS_TO_RAS
from .limits import MAX_TEXT_HEADER_BYTES
from .volume import Volume
from .voxels import fill_canvas, unpacked

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
# The same thing under the names of several generations of writers.
MATRIX_KEYS, ORIGIN_KEYS = ("TransformMatrix", "Rotation", "Orientation"), ("Offset", "Position", "Origin")
BIG_ENDIAN_KEYS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def read_metaimage(path: Path) -> Volume:
    """A .mha file, or a .mhd file with its voxels in a plain file of the same folder: 3D, raw or zlib; directions may be sheared.

    Read here and not by ITK, so that no claim of the header reaches a C library. Raises StudyRefused `damaged_file`,
    `header_too_large`, `too_large`, `decompression_bomb`, `not_a_volume`, `missing_geometry`, `geometry_invalid`, `not_hu`,
    `unsupported_format` (text voxels, several data files) or `link_outside` (voxels in another folder).
    """
    with path.open("rb") as file:
        header = _read_header(file)
        shape, dtype, affine = _layout(header)
        beside = header["ElementDataFile"]
        if beside == "LOCAL":
            return _read_voxels(file, header, shape, dtype, affine)
    with _sibling(path, beside).open("rb") as file:
        return _read_voxels(file, header, shape, dtype, affine)


def _read_header(file: BinaryIO) -> dict[str, str]:
    """The lines `key = value` up to ElementDataFile, the last one, which leaves `file` behind it."""
    header: dict[str, str] = {}
    left = MAX_TEXT_HEADER_BYTES
    while "ElementDataFile" not in header:
        line = file.readline(left)
        left -= len(line)
        if left <= 0:
            raise StudyRefused("header_too_large", "The MetaImage file's header has no end. Save it anew.")
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals or key.strip() in header:
            raise StudyRefused("damaged_file", "This is not a MetaImage file, or its header is damaged. Save it anew.")
        header[key.strip()] = value.strip()
    return header


def _layout(header: dict[str, str]) -> tuple[tuple[int, ...], np.dtype, np.ndarray]:
    """Shape (n0, n1, n2), type of the voxels, and affine (4, 4) from their indices to RAS mm."""
    if header.get("BinaryData", "True").lower() != "true" or header.get("HeaderSize", "0") != "0":
        raise StudyRefused("unsupported_format", "The MetaImage file holds text, or skips bytes before its voxels. Save it anew.")
    if header.get("ElementNumberOfChannels", "1") != "1" or header.get("NDims") != "3" or header.get("ElementType") not in TYPES:
        raise StudyRefused("not_a_volume", "The MetaImage file is not one 3D scalar volume. Send one volume.")
    big = any(header.get(key, "False").lower() == "true" for key in BIG_ENDIAN_KEYS)
    sizes, spacing = _numbers(header, ("DimSize",), 3), _numbers(header, ("ElementSpacing",), 3)
    matrix, origin = _numbers(header, MATRIX_KEYS, 9), _numbers(header, ORIGIN_KEYS, 3)
    if sizes is None or (sizes != np.round(sizes)).any():
        raise StudyRefused("damaged_file", "The MetaImage file's DimSize is no size of a volume. Save it anew.")
    if spacing is None or (spacing <= 0).any() or matrix is None or origin is None:
        raise StudyRefused(
            "missing_geometry",
            "The MetaImage file lacks ElementSpacing, TransformMatrix or Offset: size, left and right are unknown. Save it anew.",
        )
    affine = np.eye(4)
    # The file lists the direction of one axis after the other; ITK's directions are LPS.
    affine[:3, :3], affine[:3, 3] = matrix.reshape(3, 3).T * spacing, origin
    dtype = np.dtype(TYPES[header["ElementType"]]).newbyteorder(">" if big else "<")
    return tuple(int(size) for size in sizes), dtype, LPS_TO_RAS @ affine


def _numbers(header: dict[str, str], keys: tuple[str, ...], count: int) -> np.ndarray | None:
    text = next((header[key] for key in keys if key in header), "")
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def _read_voxels(file: BinaryIO, header: dict[str, str], shape: tuple[int, ...], dtype: np.dtype, affine: np.ndarray) -> Volume:
    compressed = header.get("CompressedData", "False").lower() == "true"
    packed = os.fstat(file.fileno()).st_size - file.tell()
    data = unpacked(file, "zlib" if compressed else "raw")
    return fill_canvas(data, packed if compressed else None, shape, dtype, affine).volume({"format": "metaimage"})


def _sibling(path: Path, name: str) -> Path:
    """The file of that plain name beside `path`. Raises StudyRefused for anything else that the header may ask for."""
    if name in ("", ".", "..") or any(mark in name for mark in "/\\:\0"):
        raise StudyRefused("link_outside", "The MetaImage header points to another folder. Save the volume as one .mha file.")
    beside = path.parent / name
    if path.suffix.lower() != ".mhd" or beside.is_symlink() or not beside.is_file():
        raise StudyRefused("unsupported_format", "The MetaImage file's voxels are no file beside it. Save the volume as one .mha file.")
    return beside
