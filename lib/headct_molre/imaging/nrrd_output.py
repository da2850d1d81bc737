"""A volume as an NRRD file in memory: HU with the affine as it is, for viewers that cannot read every format that this project reads."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np

from .volume import Volume

_LEVEL = 1  # a CT halves in a tenth of a second; higher levels gain a few per cent for many times that


def nrrd_bytes(volume: Volume, remarks: Sequence[str] = ()) -> bytes:
    """gzip-encoded NRRD 4 in RAS mm: axes column, row, slice; the space directions hold a gantry's tilt as shear.

    Nothing but voxels, geometry and `remarks`, one comment line each, is in it. The file is the same whenever it is made. Source: https://teem.sourceforge.net/nrrd/format.html
    """
    kinds = {np.dtype(np.int16): "int16", np.dtype(np.float32): "float"}
    steps = [_vector(volume.affine[:3, axis]) for axis in (2, 1, 0)]
    header = "\n".join(
        [
            "NRRD0004",
            *(f"# {remark}" for remark in remarks),
            f"type: {kinds[volume.hu.dtype]}",
            "dimension: 3",
            "space: right-anterior-superior",
            "sizes: " + " ".join(str(size) for size in volume.hu.shape[::-1]),
            "space directions: " + " ".join(steps),
            f"space origin: {_vector(volume.affine[:3, 3])}",
            "endian: little",
            "encoding: gzip",
            "",
            "",
        ]
    )
    voxels = np.ascontiguousarray(volume.hu, dtype=volume.hu.dtype.newbyteorder("<"))
    return header.encode("ascii") + gzip.compress(voxels.data, _LEVEL, mtime=0)


def _vector(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"
