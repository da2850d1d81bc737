"""Reading a study from disk: a DICOM folder, a NIfTI file or an NRRD file to HU with its true geometry."""

from __future__ import annotations

from pathlib import Path

from ..errors import HeadCTError, InvalidRequest, NotFound, StudyRefused
from .content import content_sha256 as content_sha256
from .dicom import read_dicom
from .nifti import read_nifti
from .nrrd_file import read_nrrd
from .volume import Volume

NIFTI_ENDINGS = (".nii", ".nii.gz")
NRRD_ENDINGS = (".nrrd",)
SUPPORTED = "a DICOM folder, NIfTI (.nii, .nii.gz) or NRRD (.nrrd)"


def read_study(path: Path, series_uid: str | None = None) -> Volume:
    """Read one head CT volume to HU (slice, row, column) and its affine to RAS mm.

    `path` is a folder with DICOM files (nested or not), a folder with exactly one NIfTI or NRRD file, or such a file.
    `series_uid` picks a DICOM series; without it dicom_header.choose_series decides. Slices rise towards superior. A gantry
    tilt stays in the affine as shear. The facts hold no identifier. Raises NotFound for a missing path or series,
    InvalidRequest for a `series_uid` where there are no series, StudyRefused with a reason for everything that cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound("study_not_found", "There is no file or folder at this path.", field="path")
    try:
        return _read(path, series_uid)
    except HeadCTError:
        raise
    except MemoryError as error:
        raise StudyRefused("too_large", "The study does not fit into memory. Send one series of the head.") from error
    except RecursionError as error:
        raise StudyRefused("damaged_file", "The headers of this study are nested beyond any sense. Export the study again.") from error
    except Exception as error:  # the three format libraries raise many types; a user sees one refusal and never a traceback
        raise StudyRefused("damaged_file", f"The study cannot be read ({type(error).__name__}). Export it again.") from error


def _read(path: Path, series_uid: str | None) -> Volume:
    if path.is_file():
        single = _read_file(path, series_uid)
        if single is not None:
            return single
    volume = read_dicom(path, series_uid)
    if volume is not None:
        return volume
    if path.is_file():
        raise StudyRefused("unsupported_format", f"A file of this kind is not read. Supported: {SUPPORTED}.")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(NIFTI_ENDINGS + NRRD_ENDINGS))
    if not files:
        raise StudyRefused("no_images", f"The folder holds no images. Supported: {SUPPORTED}.")
    if len(files) > 1:
        raise StudyRefused("several_volumes", f"The folder holds {len(files)} volumes and no DICOM series. Name the file to be read.")
    return _read(files[0], series_uid)


def _read_file(path: Path, series_uid: str | None) -> Volume | None:
    name = path.name.lower()
    reader = read_nifti if name.endswith(NIFTI_ENDINGS) else read_nrrd if name.endswith(NRRD_ENDINGS) else None
    if reader is None:
        return None
    if series_uid is not None:
        raise InvalidRequest("series_uid_not_applicable", "A NIfTI or NRRD file has no series to choose.", field="series_uid")
    return reader(path)
