"""The file format of one cached prepared study: a checksum, a JSON header and the compressed HU.

    magic (8 bytes) | SHA-256 of all that follows (32) | length of the header (4, little endian) | header, JSON | volume, blosc2

The header holds the entry's key, the shape, `model_to_ras` and the gate's Quality. Nothing in it names the study.
Importing this module does not load the imaging: a prediction from the cache does without.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from ..imaging.storage import STORAGE_TYPE
from ..schema import Quality

if TYPE_CHECKING:
    from ..imaging.pipeline import PreparedStudy

MAGIC = b"HEADCT\x00\x01"
_PREFIX = struct.Struct("<8s32s")
_LENGTH = struct.Struct("<I")


class DamagedEntry(Exception):
    """The bytes are not a whole entry of the key that was asked."""


def encode(key: str, study: PreparedStudy) -> bytes:
    """The bytes of an entry. Timing is left out: it is about a run and not about the study.

    Raises ValueError for a volume that was not rounded to the storage type, since it would not come back as it was.
    """
    hu = study.prepared.hu
    stored = hu.astype(STORAGE_TYPE)
    if not np.array_equal(stored.astype(np.float32), hu):
        raise ValueError("the prepared volume is not rounded to the storage type; see imaging.storage.as_stored")
    header = {
        "key": key,
        "shape": stored.shape,
        "model_to_ras": study.prepared.model_to_ras.tolist(),
        "quality": study.quality.model_dump(mode="json"),
    }
    text = json.dumps(header, allow_nan=False).encode()
    body = _LENGTH.pack(len(text)) + text + compress(stored)
    return _PREFIX.pack(MAGIC, hashlib.sha256(body).digest()) + body


def compress(array: np.ndarray) -> bytes:
    """The values of an array of any shape and type, compressed; `blosc2.decompress2` gives them back."""
    import blosc2

    # One thread: eight milliseconds are not worth a pool of them in every worker.
    packed: bytes = blosc2.compress2(
        np.ascontiguousarray(array),
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        typesize=array.itemsize,
        filters=[blosc2.Filter.SHUFFLE],
        nthreads=1,
    )
    return packed


def decode(key: str, data: bytes) -> PreparedStudy:
    """The study of an entry's bytes, its timing empty. Raises DamagedEntry for anything but a whole entry of this key."""
    import blosc2

    from ..imaging.pipeline import PreparedStudy
    from ..imaging.prepare import Prepared

    if len(data) < _PREFIX.size + _LENGTH.size:
        raise DamagedEntry("too short")
    magic, digest = _PREFIX.unpack_from(data)
    body = memoryview(data)[_PREFIX.size :]
    if magic != MAGIC or hashlib.sha256(body).digest() != digest:
        raise DamagedEntry("checksum")
    # The checksum holds, so what follows was written by `encode`, if perhaps by that of another version.
    (length,) = _LENGTH.unpack_from(body)
    header = json.loads(bytes(body[_LENGTH.size : _LENGTH.size + length]))
    if header["key"] != key:
        raise DamagedEntry("an entry of another study")
    try:
        quality = Quality.model_validate(header["quality"])
    except ValidationError:
        raise DamagedEntry("a header of another version") from None
    volume = blosc2.decompress2(bytes(body[_LENGTH.size + length :]), nthreads=1)
    hu = np.frombuffer(volume, STORAGE_TYPE).reshape(header["shape"]).astype(np.float32)
    return PreparedStudy(Prepared(hu, np.array(header["model_to_ras"])), quality, {})
