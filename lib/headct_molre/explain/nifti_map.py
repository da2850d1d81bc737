"""A heat map as a NIfTI file that lies exactly over the scan."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import InvalidRequest
from ..imaging.nifti import affine_mm, nifti_header
from ..imaging.read import read_study
from ..imaging.volume import Volume
from .heatmap import HeatMap
from .space import in_file_order, on_scan

SUFFIXES = (".nii.gz", ".nii")
# NIfTI's code for an extension of plain text.
COMMENT = 6


def check_suffix(path: Path) -> None:
    """Raises InvalidRequest for a name that no NIfTI file has."""
    if not path.name.endswith(SUFFIXES):
        raise InvalidRequest("invalid_argument", f"--heatmap-out {path} must end with .nii.gz or .nii.", field="heatmap-out")


def heat_map_file(heat_map: HeatMap, path: Path, series_uid: str | None, target: Path) -> bytes:
    """The content of the NIfTI file `target` for a heat map of the study at `path`, which is read again for its grid.

    Raises what `read_study` raises.
    """
    volume = read_study(path, series_uid)
    values = on_scan(heat_map.values, heat_map.prepared, volume)
    comment = "\n".join(heat_map.lines)
    return nifti_bytes(values, volume, path, heat_map.description, comment, packed=target.name.endswith(".gz"))


def nifti_bytes(values: np.ndarray, volume: Volume, source: Path, description: str, comment: str, packed: bool = True) -> bytes:
    """A float32 NIfTI file of values (slice, row, column) on the grid of `volume`, which was read from `source`.

    Where `source` is a NIfTI file, shape, sform, qform and unit are the file's own. Otherwise the axes are (column, row, slice) and the
    volume's affine is the sform, with its shear where the gantry was tilted. `description` is cut to the 80 bytes that the header has.
    Nothing else of the source's header is taken over: it may name a patient.
    """
    image = (
        _over_nifti(values, volume, source) if source.is_file() and source.name.lower().endswith(SUFFIXES) else _over_volume(values, volume)
    )
    header = image.header
    header["descrip"] = description.encode("ascii")[:80]
    header["aux_file"] = b"research use only"
    header["cal_min"], header["cal_max"] = 0.0, 1.0
    header.extensions.append(nib.nifti1.Nifti1Extension(COMMENT, comment.encode("utf-8")))
    content = image.to_bytes()
    return gzip.compress(content, compresslevel=6, mtime=0) if packed else content


def _over_volume(values: np.ndarray, volume: Volume) -> nib.Nifti1Image:
    affine = volume.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.asarray(values.transpose(2, 1, 0), np.float32), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)  # as it is: a qform cannot hold a shear
    image.set_qform(affine, code=0)
    return image


def _over_nifti(values: np.ndarray, volume: Volume, source: Path) -> nib.Nifti1Image:
    own = nifti_header(source)
    shape = tuple(int(size) for size in own.get_data_shape())
    in_file = in_file_order(values, volume.affine, affine_mm(own), shape[:3])
    header = type(own)()
    header.set_data_dtype(np.float32)
    header.set_xyzt_units(*own.get_xyzt_units())
    # Further axes of length 1 are kept: programs compare shapes.
    image = (nib.Nifti2Image if isinstance(own, nib.Nifti2Header) else nib.Nifti1Image)(in_file.reshape(shape), None, header)
    for field in ("pixdim", "qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
        image.header[field] = own[field]
    for field in ("sform_code", "srow_x", "srow_y", "srow_z"):
        image.header[field] = own[field]
    return image
