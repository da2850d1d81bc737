"""NRRD files (3D Slicer's own format) to a Volume."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import nrrd
import numpy as np

from ..errors import StudyRefused
from .limits import MAX_TEXT_HEADER_BYTES
from .volume import Volume
from .voxels import fill_canvas, unpacked

# Signs that take the named space to RAS.
SPACE_TO_RAS = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
TYPES = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1",
    "short": "i2", "short int": "i2", "signed short": "i2", "signed short int": "i2", "int16": "i2", "int16_t": "i2",
    "ushort": "u2", "unsigned short": "u2", "unsigned short int": "u2", "uint16": "u2", "uint16_t": "u2",
    "int": "i4", "signed int": "i4", "int32": "i4", "int32_t": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip


ENCODINGS = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2"}


def read_nrrd(path: Path) -> Volume:
    """A .nrrd file with its data inside: 3D, raw, gzip or bzip2; space RAS, LAS or LPS; space directions may be sheared.

    Raises StudyRefused `damaged_file`, `header_too_large`, `too_large`, `decompression_bomb`, `not_a_volume` (not three axes in
    space, or no scalar type), `missing_geometry` (no known space), `geometry_invalid`, `not_hu` or `unsupported_format` (data in
    another file or encoding).
    """
    with path.open("rb") as file:
        header = _read_header(file)
        try:
            shape = tuple(int(size) for size in header["sizes"])
            encoding, type_name = str(header["encoding"]).lower(), str(header["type"]).lower()
        except Exception as error:  # fields that are missing or of another type
            raise _damaged() from error
        if "data file" in header or "datafile" in header:
            raise StudyRefused("unsupported_format", "The NRRD header points to another file. Save the volume as one .nrrd file.")
        if any(header.get(key) for key in ("line skip", "lineskip", "byte skip", "byteskip")):
            raise StudyRefused("unsupported_format", "The NRRD file skips bytes before its data. Save the volume anew as one .nrrd file.")
        if encoding not in ENCODINGS:
            raise StudyRefused("unsupported_format", "The NRRD file is not encoded as raw, gzip or bzip2. Save it anew.")
        if type_name not in TYPES or len(shape) != 3:
            raise StudyRefused("not_a_volume", f"The NRRD file has {len(shape)} axes; one 3D scalar volume is read. Send one volume.")
        dtype = np.dtype(TYPES[type_name]).newbyteorder(">" if header.get("endian") == "big" else "<")
        affine = _affine(header)
        packed = os.fstat(file.fileno()).st_size - file.tell()
        data = unpacked(file, ENCODINGS[encoding])
        canvas = fill_canvas(data, None if encoding == "raw" else packed, shape, dtype, affine)
    return canvas.volume({"format": "nrrd"})


def _read_header(file: BinaryIO) -> dict[str, Any]:
    """The text header, up to the empty line, which leaves `file` at the first voxel."""
    text = file.read(MAX_TEXT_HEADER_BYTES)
    end = re.search(rb"\r?\n\r?\n", text)
    if not text.startswith(b"NRRD"):
        raise StudyRefused("damaged_file", "This is not an NRRD file, whatever its name says. Save it anew.")
    if end is None and len(text) == MAX_TEXT_HEADER_BYTES:
        raise StudyRefused("header_too_large", "The NRRD file's header has no end. Save it anew.")
    if end is None:
        raise _damaged()
    file.seek(end.end())
    try:
        return dict(nrrd.read_header(io.BytesIO(text[: end.end()])))
    except Exception as error:  # pynrrd raises many types on damaged headers
        raise _damaged() from error


def _affine(header: dict[str, Any]) -> np.ndarray:
    signs = SPACE_TO_RAS.get(str(header.get("space", "")).lower())
    try:
        directions = np.array(header.get("space directions"), dtype=np.float64)
        origin = np.array(header.get("space origin"), dtype=np.float64)
    except (TypeError, ValueError):
        directions = origin = np.empty(0)
    if signs is None or directions.shape != (3, 3) or origin.shape != (3,):
        raise StudyRefused(
            "missing_geometry",
            "The NRRD file lacks a space (RAS, LAS or LPS), space directions or a space origin: left and right are unknown. Save it anew.",
        )
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, origin
    return np.diag([*signs, 1.0]) @ affine


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_file", "The NRRD file is damaged or truncated. Save it anew.")
