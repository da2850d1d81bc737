"""The stored pixel values of DICOM images: plain ones read in place, compressed ones from the decoder's own process."""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Sequence

import numpy as np
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from ..errors import StudyRefused
from .dicom_header import OVERLAY_TAGS, Header
from .hounsfield import AIR_SHARE, HIGHEST_HU, is_air, to_hu
from .sandbox import Frame, decoded

PIXEL_DATA = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF
HU_TYPES = {"", "HU", "US", "UNSPECIFIED"}


def stored_slices(headers: Sequence[Header]) -> Generator[np.ndarray]:
    """The stored values (rows, columns) of each image, in the order given and in the type that its header names.

    Raises StudyRefused `damaged_file`, `unsupported_pixels` (a sample size that CT does not have) and what `sandbox.decoded` raises.
    """
    packed = [header for header in headers if header.compressed]
    frames = [Frame(str(header.path), header.frame, *_matrix(header), _dtype(header).newbyteorder("=").str) for header in packed]
    with decoded(frames, _method(packed)) as slices:
        at = 0
        for header in headers:
            if header.compressed:
                yield np.asarray(slices[at]).astype(frames[at].dtype, copy=False)
                at += 1
            else:
                yield _read_plain(header)


def masks_high_bits(headers: Sequence[Header]) -> bool:
    """Whether what lies above BitsStored in these plain images is clearly no part of the values.

    Values beyond BitsStored are real more often than not: a writer converted the pixels and kept the tag. So the bits stay,
    unless with them (a) values leave every CT number scale, or (b) a series of signed pixels has no negative value and no air,
    and has both once the sign is taken from the highest stored bit.
    """
    suspect = [header for header in headers if not header.compressed and 0 < _bits(header) < _dtype(header).itemsize * 8]
    if len(suspect) < len(headers):
        return False
    negative = False
    air, air_within, count = 0, 0, 0
    for header, stored in zip(suspect, stored_slices(suspect), strict=True):
        bits, signed = _bits(header), stored.dtype.kind == "i"
        hu = to_hu(stored, *scale(header))
        senseless = stored[(hu > HIGHEST_HU) | (stored < -(2 ** (bits + 2)) if signed else False)]
        # One single such value is the padding of many writers.
        if senseless.size and senseless.min() != senseless.max():
            return True
        negative |= signed and bool(stored.min() < 0)
        if signed and not negative:
            air, count = air + int(is_air(hu).sum()), count + stored.size
            air_within += int(is_air(to_hu(within_bits(stored, bits), *scale(header))).sum())
    return not negative and count > 0 and air < AIR_SHARE * count <= air_within


def scale(header: Header) -> tuple[float, float]:
    """Slope and intercept to HU. Raises StudyRefused `not_hu` where they or the unit are none."""
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    # Both are mandatory in a CT image. A default for one slice that lacks them would shift it by 1024 HU in silence.
    if slope is None or intercept is None or slope == 0:
        raise StudyRefused(
            "not_hu",
            "RescaleSlope or RescaleIntercept is missing or no usable number; the pixels cannot be read as Hounsfield units. "
            "Export the original CT.",
        )
    if header.text("RescaleType").upper() not in HU_TYPES:
        raise StudyRefused("not_hu", "RescaleType names another unit than HU (a density, an atomic number, ...). Export the original CT.")
    return slope, intercept


def within_bits(stored: np.ndarray, bits: int) -> np.ndarray:
    """`stored` with what lies above its lowest `bits` bits replaced by the sign (signed types) or by zeros."""
    shift = stored.dtype.itemsize * 8 - bits
    return (stored << shift) >> shift


def has_overlay_bits(header: Header) -> bool:
    """Whether the header declares overlay planes in the bits above BitsStored (retired, in files of old scanners)."""
    for allocated, position in zip(OVERLAY_TAGS[::2], OVERLAY_TAGS[1::2], strict=True):
        try:
            if int(header.tags[allocated].value) > 1 and int(header.tags[position].value) >= _bits(header) > 0:
                return True
        except Exception:  # the tag is absent, or no number
            continue
    return False


def bits_stored(header: Header) -> int:
    """BitsStored where it is smaller than what the pixels are stored in, else the size of those in bits."""
    size = _dtype(header).itemsize * 8
    return min(_bits(header), size) or size


def _method(headers: Sequence[Header]) -> str:
    """The name of the compression; never the text of an unknown one, which may say anything."""
    syntax = headers[0].syntax if headers else ExplicitVRLittleEndian
    return str(syntax.name) if syntax.type == "Transfer Syntax" else "an unknown transfer syntax"


def _bits(header: Header) -> int:
    value = header.number("BitsStored")
    return int(value) if value is not None and 0 < value <= 32 else 0


def _matrix(header: Header) -> tuple[int, int]:
    return int(header.number("Rows") or 0), int(header.number("Columns") or 0)


def _dtype(header: Header) -> np.dtype:
    allocated, signed = header.number("BitsAllocated"), header.number("PixelRepresentation")
    if allocated not in (8, 16, 32) or signed not in (0, 1):
        raise StudyRefused(
            "unsupported_pixels", "BitsAllocated or PixelRepresentation names a sample that CT images do not have. Export them again."
        )
    order = "<" if header.syntax != ExplicitVRBigEndian else ">"
    return np.dtype(f"{order}{'iu'[signed == 0]}{int(allocated) // 8}")


def _read_plain(header: Header) -> np.ndarray:
    rows, columns = _matrix(header)
    dtype = _dtype(header)
    size = rows * columns * dtype.itemsize
    frames = int(header.number("NumberOfFrames") or 1)
    order = "<" if header.syntax != ExplicitVRBigEndian else ">"
    with header.path.open("rb") as file:
        file.seek(header.pixels_at)
        start = file.read(12)
        if len(start) < 12 or struct.unpack(f"{order}HH", start[:4]) != PIXEL_DATA:
            raise damaged_pixels()
        long_form = start[4:6] in (b"OW", b"OB", b"UN")
        (length,) = struct.unpack(f"{order}L", start[8:12] if long_form else start[4:8])
        # More than some padding means that rows, columns or the size of a sample are not what the header says.
        if length == UNDEFINED or not 0 <= length - size * frames < max(min(rows, columns), 2):
            raise damaged_pixels()
        file.seek(header.pixels_at + (12 if long_form else 8) + header.frame * size, os.SEEK_SET)
        data = file.read(size)
    if len(data) < size:
        raise damaged_pixels()
    return np.frombuffer(data, dtype=dtype).reshape(rows, columns)


def damaged_pixels() -> StudyRefused:
    """The refusal of pixels that are not what the header says."""
    return StudyRefused("damaged_file", "The pixels of at least one image are damaged or do not fit its header. Export the study again.")
