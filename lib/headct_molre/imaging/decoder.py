"""The script that decodes compressed DICOM frames in a process of its own; see sandbox.py, which starts it.

Reads one JSON request from standard input, writes one .npy file, says nothing. It imports no module of this package.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import gdcm
import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGExtended12Bit, RLELossless

DONE, CANNOT_DECODE, NO_MEMORY = 0, 3, 4


def main() -> int:
    """Decode what standard input asks for; returns the exit status that sandbox.py understands."""
    logging.disable(logging.CRITICAL)
    request = json.load(sys.stdin)
    limit(request["memory"], request["seconds"])
    try:
        decode(request["frames"], request["result"])
    except MemoryError:
        return NO_MEMORY
    except Exception:  # whatever a codec raises; the parent refuses the study
        return CANNOT_DECODE
    return DONE


def limit(memory: int, seconds: float) -> None:
    """Bound this process to `memory` bytes more than it has now, and to `seconds` of computing, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit remains
        return
    cpu = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    except (OSError, ValueError):  # no such account of memory, or no such limit
        return


def decode(frames: list[dict[str, Any]], result: str) -> None:
    """Write the stored values (n, rows, columns) of `frames` to the .npy file `result`.

    Raises ValueError where a decoded frame does not fit its header, and whatever the codecs raise.
    """
    rows, columns = frames[0]["rows"], frames[0]["columns"]
    dtype = np.result_type(*{frame["dtype"] for frame in frames})
    with open(result, "wb") as file:
        shape = {"descr": dtype.str, "fortran_order": False, "shape": (len(frames), rows, columns)}
        np.lib.format.write_array_header_1_0(file, shape)
        for path, wanted in groupby(frames, key=lambda frame: str(frame["path"])):
            for frame, values in _frames(path, list(wanted)):
                held = np.iinfo(frame["dtype"])
                if values.shape != (rows, columns) or values.min() < held.min or values.max() > held.max:
                    raise ValueError("a decoded frame does not fit its header")
                file.write(np.ascontiguousarray(values, dtype=dtype).tobytes())


def _frames(path: str, wanted: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    with disable_value_validation():
        dataset = pydicom.dcmread(path, force=True)
        syntax = dataset.file_meta.TransferSyntaxUID
        frames = int(dataset.get("NumberOfFrames") or 1)
        for frame in wanted:
            if syntax != RLELossless:
                check_matrix(get_frame(dataset.PixelData, frame["frame"], number_of_frames=frames), frame["rows"], frame["columns"])
            if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
                yield frame, _twelve_bit_jpeg(dataset, frame["frame"])
                continue
            plugin = "pydicom" if syntax == RLELossless else "gdcm"
            yield frame, get_decoder(syntax).as_array(dataset, index=frame["frame"], raw=True, decoding_plugin=plugin)[0]


def check_matrix(stream: bytes, rows: int, columns: int) -> None:
    """Raises ValueError where a JPEG, JPEG-LS or JPEG 2000 stream is not one grey image of `rows` x `columns`.

    GDCM believes the DICOM header and reads or writes past the end of its memory where the stream has another size.
    """
    if stream[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: the segment SIZ follows the start at once
        width, height, left, top = struct.unpack(">4L", stream[8:24])
        found = height - top, width - left, int.from_bytes(stream[40:42], "big")
    else:
        found = _start_of_frame(stream)
    if found != (rows, columns, 1):
        raise ValueError("the compressed image has another size than its header says")


def _start_of_frame(stream: bytes) -> tuple[int, int, int]:
    """Height, width and number of colours by the segment SOF of a JPEG or JPEG-LS stream."""
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 10 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            _, height, width, colours = struct.unpack(">BHHB", stream[at + 4 : at + 10])
            return height, width, colours
        at += 1 if marker == 0xFF else 2 + length
    raise ValueError("no start of an image")


def _twelve_bit_jpeg(dataset: pydicom.Dataset, index: int) -> np.ndarray:
    """JPEG Extended with 12 bits: GDCM decodes it, but pydicom's way to GDCM refuses."""
    if dataset.PixelRepresentation != 0 or dataset.SamplesPerPixel != 1:
        raise NotImplementedError("signed or coloured JPEG Extended")
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    # GDCM's Python hands its bytes over as text.
    data = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(data, dtype=np.uint16).reshape(dataset.Rows, dataset.Columns)


if __name__ == "__main__":
    sys.exit(main())
