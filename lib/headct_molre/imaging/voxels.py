"""The voxels of a one-file volume: unpacked slab by slab into a Canvas, never more than the header claims."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from typing import BinaryIO, cast

import numpy as np

from ..errors import StudyRefused
from .geometry import Canvas
from .hounsfield import held_dtype, to_hu
from .limits import MAX_EXCESS_BYTES, MAX_RATIO, RATIO_FREE_BYTES


def fill_canvas(
    data: BinaryIO,
    packed_bytes: int | None,
    shape: tuple[int, ...],
    dtype: np.dtype,
    affine: np.ndarray,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> Canvas:
    """The voxels that come next in `data`, first axis fastest, as HU on a Canvas.

    `packed_bytes` is their size in the file where they are compressed. `shape` (n0, n1, n2) and `affine` (4, 4) to RAS mm as in the
    header. Raises StudyRefused `too_large`, `geometry_invalid`, `decompression_bomb`, `damaged_file` (too few bytes, or far too
    many), `not_hu`.
    """
    # Read in the order of the file, the last axis is the slowest.
    canvas = Canvas((shape[2], shape[1], shape[0]), affine[:, [2, 1, 0, 3]], held_dtype(dtype, slope, intercept))
    slab_bytes = shape[0] * shape[1] * dtype.itemsize
    if packed_bytes is not None:
        check_ratio(slab_bytes * shape[2], packed_bytes)
    try:
        for index in range(shape[2]):
            slab = data.read(slab_bytes)
            if len(slab) < slab_bytes:
                raise _damaged("The voxels of this file end before its header says so.")
            canvas.put(index, to_hu(np.frombuffer(slab, dtype=dtype).reshape(shape[1], shape[0]), slope, intercept))
    except (zlib.error, OSError, EOFError) as error:
        raise _damaged("The compressed voxels of this file are damaged.") from error
    if _excess(data) >= MAX_EXCESS_BYTES:
        raise _damaged("The file holds more voxels than its header describes.")
    return canvas


def check_ratio(claimed: int, packed: int) -> None:
    """Raises StudyRefused `decompression_bomb` where `packed` bytes would unpack to more than MAX_RATIO times their size."""
    if claimed > RATIO_FREE_BYTES and claimed > MAX_RATIO * packed:
        raise StudyRefused(
            "decompression_bomb", f"The file would unpack to more than {MAX_RATIO} times its size; no scan does. Send the original images."
        )


def unpacked(file: BinaryIO, encoding: str) -> BinaryIO:
    """A stream of the unpacked bytes from the file's position on; `encoding` "raw", "gzip", "bzip2" or "zlib"."""
    if encoding == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if encoding == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    return cast(BinaryIO, io.BufferedReader(_Inflating(file))) if encoding == "zlib" else file


class _Inflating(io.RawIOBase):
    """A bare zlib stream, as in MetaImage; gzip and bz2 have such a class in the standard library."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._inflate = file, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(65_536)
            # Without input, what was unpacked already and did not fit into the last buffer.
            data = self._inflate.decompress(packed, len(buffer))
            if not packed and not data:
                break
        buffer[: len(data)] = data
        return len(data)


def _excess(data: BinaryIO) -> int:
    try:
        return len(data.read(MAX_EXCESS_BYTES))
    except (zlib.error, OSError, EOFError):  # what follows the voxels is no part of them
        return 0


def _damaged(reason: str) -> StudyRefused:
    return StudyRefused("damaged_file", f"{reason} Export it again.")
