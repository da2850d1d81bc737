"""NRRD files (3D Slicer's own format) to a Volume."""

from __future__ import annotations

import bz2
import zlib
from pathlib import Path

import nrrd
import numpy as np

from ..errors import StudyRefused
from .geometry import check_size, make_volume
from .volume import Volume

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


def read_nrrd(path: Path) -> Volume:
    """A .nrrd file with its data inside: 3D, raw, gzip or bzip2; space RAS, LAS or LPS; space directions may be sheared.

    Raises StudyRefused `damaged_file`, `too_large`, `not_a_volume` (not three axes in space, or no scalar type),
    `missing_geometry` (no known space) or `unsupported_format` (data in another file or encoding).
    """
    with path.open("rb") as file:
        try:
            header = nrrd.read_header(file)
            shape = tuple(int(size) for size in header["sizes"])
            encoding, type_name = str(header["encoding"]).lower(), str(header["type"]).lower()
        except Exception as error:  # pynrrd raises many types on damaged headers
            raise _damaged() from error
        if "data file" in header or "datafile" in header:
            raise StudyRefused("unsupported_format", "The NRRD header points to another file. Save the volume as one .nrrd file.")
        if any(header.get(key) for key in ("line skip", "lineskip", "byte skip", "byteskip")):
            raise StudyRefused("unsupported_format", "The NRRD file skips bytes before its data. Save the volume anew as one .nrrd file.")
        if type_name not in TYPES or len(shape) != 3:
            raise StudyRefused(
                "not_a_volume", f"The NRRD file has {len(shape)} axes of type {type_name[:20]}; one 3D scalar volume is read."
            )
        dtype = np.dtype(TYPES[type_name]).newbyteorder(">" if header.get("endian") == "big" else "<")
        check_size(shape, dtype.itemsize)
        affine = _affine(header)
        data = _decompress(file.read(), encoding, int(np.prod(shape)) * dtype.itemsize)
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F")
    return make_volume(array, affine, {"format": "nrrd"})


def _affine(header: dict[str, object]) -> np.ndarray:
    signs = SPACE_TO_RAS.get(str(header.get("space", "")).lower())
    try:
        directions = np.array(header.get("space directions"), dtype=np.float64)
        origin = np.array(header.get("space origin"), dtype=np.float64)
    except (TypeError, ValueError):
        directions = origin = np.empty(0)
    if signs is None or directions.shape != (3, 3) or origin.shape != (3,):
        raise StudyRefused(
            "missing_geometry",
            "The NRRD file lacks a space (RAS, LAS or LPS), space directions or a space origin: left and right are unknown.",
        )
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, origin
    return np.diag([*signs, 1.0]) @ affine


def _decompress(data: bytes, encoding: str, size: int) -> bytes:
    """Exactly `size` bytes: never more than the header claims are unpacked, and fewer are a truncated file."""
    try:
        if encoding in ("gz", "gzip"):
            data = zlib.decompressobj(wbits=31).decompress(data, size)
        elif encoding in ("bz2", "bzip2"):
            data = bz2.BZ2Decompressor().decompress(data, size)
        elif encoding != "raw":
            raise StudyRefused("unsupported_format", "The NRRD file is not encoded as raw, gzip or bzip2. Save it anew.")
    except (zlib.error, OSError, EOFError) as error:
        raise _damaged() from error
    if len(data) < size:
        raise _damaged()
    return data[:size]


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_file", "The NRRD file is damaged or truncated. Save it anew.")
