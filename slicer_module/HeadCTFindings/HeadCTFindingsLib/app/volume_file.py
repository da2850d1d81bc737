"""Volumes on the wire as NRRD, made and read in a worker thread with numpy alone, so that neither disk nor main thread is needed.

Only voxels and geometry are in the file: no name, no date, no other tag of the study.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass

import numpy as np

from ..core.errors import NotReadable
from ..core.worker import Ticket

_TYPES = {
    "signed char": "i1", "int8": "i1", "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "unsigned short": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip
_NAMES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32", "f4": "float", "f8": "double"}
_CHUNK = 1 << 20  # bytes between two looks at whether the work was cancelled


@dataclass(frozen=True)
class VolumeData:
    """Values (slice, row, column) as the scene keeps them, and the 4 x 4 matrix from (column, row, slice, 1) to RAS mm.

    `remarks` are the comments of the file: of a heat map, what has to be said with it.
    """

    voxels: np.ndarray
    ijk_to_ras: np.ndarray
    remarks: tuple[str, ...] = ()


def study_id_of(volume: VolumeData) -> str:
    """An id from the content alone: the same volume is the same study, and no name of a file or person gets into it."""
    digest = hashlib.sha256(np.ascontiguousarray(volume.voxels).data)
    digest.update(np.round(volume.ijk_to_ras, 4).tobytes())
    return f"slicer-{digest.hexdigest()[:16]}"


def to_nrrd(volume: VolumeData) -> bytes:
    """An uncompressed NRRD file in RAS mm. Raises NotReadable for voxels that are no plain numbers."""
    voxels = np.ascontiguousarray(volume.voxels)
    name = _NAMES.get(voxels.dtype.str[1:])
    if voxels.ndim != 3 or name is None:
        raise NotReadable("Only a 3D volume of plain numbers can be sent: choose the CT volume itself.")
    matrix = volume.ijk_to_ras
    header = [
        "NRRD0004",
        f"type: {name}",
        "dimension: 3",
        "space: right-anterior-superior",
        "sizes: " + " ".join(str(size) for size in voxels.shape[::-1]),
        "space directions: " + " ".join(_text(matrix[:3, axis]) for axis in range(3)),
        f"space origin: {_text(matrix[:3, 3])}",
        "endian: little",
        "encoding: raw",
    ]
    little = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    return ("\n".join(header) + "\n\n").encode("ascii") + little.tobytes()


def from_nrrd(content: bytes, ticket: Ticket | None = None) -> VolumeData:
    """A volume as the server sends it: NRRD, raw or gzip, RAS. Raises NotReadable, and Cancelled between two pieces."""
    head, gap, body = content.partition(b"\n\n")
    if not head.startswith(b"NRRD") or not gap:
        raise NotReadable("The server's answer is no NRRD volume.")
    lines = head.decode("ascii", "replace").splitlines()[1:]
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    remarks = tuple(line[1:].strip() for line in lines if line.startswith("#"))
    try:
        shape = tuple(int(size) for size in fields["sizes"].split())[::-1]
        dtype = np.dtype(_TYPES[fields["type"]]).newbyteorder(">" if fields.get("endian") == "big" else "<")
        directions = [_vector(text) for text in re.findall(r"\([^)]*\)", fields["space directions"])]
        origin = _vector(fields["space origin"])
        space, encoding = fields["space"], fields["encoding"]
    except (KeyError, ValueError) as error:
        raise NotReadable(f"The volume's header lacks what it needs: {error}") from None
    if space != "right-anterior-superior" or encoding not in ("raw", "gzip") or len(directions) != 3 or len(shape) != 3:
        raise NotReadable("The volume is in another space or encoding than this module reads.")
    raw = _unpacked(body, ticket) if encoding == "gzip" else bytearray(body)
    if len(raw) != dtype.itemsize * int(np.prod(shape)):
        raise NotReadable("The volume is incomplete. Open the study again.")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.array(directions).T, origin
    voxels = np.frombuffer(raw, dtype).reshape(shape)
    return VolumeData(voxels.astype(dtype.newbyteorder("="), copy=False), matrix, remarks)


def _unpacked(body: bytes, ticket: Ticket | None) -> bytearray:
    """In memory that can be written to, since the scene takes it over as it is."""
    inflate, raw = zlib.decompressobj(zlib.MAX_WBITS | 16), bytearray()
    try:
        for start in range(0, len(body), _CHUNK):
            if ticket is not None:
                ticket.check()
            raw += inflate.decompress(body[start : start + _CHUNK])
    except zlib.error:
        raise NotReadable("The volume is damaged. Open the study again.") from None
    return raw


def _text(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _vector(text: str) -> list[float]:
    values = [float(part) for part in text.strip(" ()").split(",")]
    if len(values) != 3 or not np.isfinite(values).all():
        raise ValueError(f"{text} is no vector")
    return values
