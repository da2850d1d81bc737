"""Reading a study from disk, in any of the supported formats, to HU with its true geometry."""

from __future__ import annotations

from pathlib import Path

from ..errors import HeadCTError, InvalidRequest, StudyRefused
from .archive import unpacked_archive
from .dicom import read_dicom
from .files import not_readable, study_files
from .formats import HEADER_SUFFIX, SUPPORTED, study_suffix
from .metaimage import read_metaimage
from .nifti import read_nifti
from .nrrd_file import read_nrrd
from .volume import Volume

READERS = {".nii.gz": read_nifti, ".nii": read_nifti, ".nrrd": read_nrrd, ".mha": read_metaimage, HEADER_SUFFIX: read_metaimage}


def read_study(path: Path, series_uid: str | None = None) -> Volume:
    """Read one head CT volume to HU (slice, row, column) and its affine to RAS mm.

    `path` is a folder with DICOM files (nested or not), a folder with exactly one volume file, such a file (NIfTI, NRRD,
    MetaImage), a multi-frame DICOM file, or a zip of any of these. `series_uid` picks a DICOM series; without it
    dicom_series.choose_series decides. Slices rise towards superior. A gantry tilt stays in the affine as shear. The facts hold no
    identifier. Raises NotFound for a missing path or series, InvalidRequest for a `series_uid` where there are no series,
    StudyRefused with a reason for everything that cannot be read.
    """
    try:
        return _read(Path(path), series_uid)
    except HeadCTError:
        raise
    except PermissionError as error:
        raise not_readable() from error
    except MemoryError as error:
        raise StudyRefused("too_large", "The study does not fit into memory. Send one series of the head.") from error
    except RecursionError as error:
        raise StudyRefused("nested_too_deep", "The headers of this study are nested beyond any sense. Export the study again.") from error
    except Exception as error:  # the format libraries raise many types; a user sees one refusal and never a traceback
        raise StudyRefused("damaged_file", f"The study cannot be read ({type(error).__name__}). Export it again.") from error


def _read(path: Path, series_uid: str | None) -> Volume:
    files = study_files(path)
    if not path.is_file():
        return _read_files(files, series_uid)
    if path.stat().st_size == 0:
        raise StudyRefused("empty_file", "The file is empty. Send it again.")
    if study_suffix(path.name) == ".zip":
        with unpacked_archive(path) as folder:
            return _read_files(study_files(folder), series_uid)
    if path.name.lower().endswith(tuple(READERS)):
        return _read_volume(path, series_uid)
    volume = read_dicom(files, series_uid)
    if volume is None:
        raise StudyRefused("unsupported_format", f"A file of this kind is not read. Supported: {SUPPORTED}.")
    return volume


def _read_files(files: list[Path], series_uid: str | None) -> Volume:
    """The one volume that a folder holds: a DICOM series before any volume file."""
    volume = read_dicom(files, series_uid)
    if volume is not None:
        return volume
    # A Mac writes a second file "._name" beside each on foreign disks.
    volumes = [file for file in files if file.name.lower().endswith(tuple(READERS)) and not file.name.startswith("._")]
    if not volumes:
        raise StudyRefused("no_images", f"The folder holds no images. Supported: {SUPPORTED}.")
    if len(volumes) > 1:
        raise StudyRefused("several_volumes", f"The folder holds {len(volumes)} volumes and no DICOM series. Name the file to be read.")
    return _read_volume(volumes[0], series_uid)


def _read_volume(path: Path, series_uid: str | None) -> Volume:
    if series_uid is not None:
        raise InvalidRequest("series_uid_not_applicable", "Only DICOM has series to choose from; leave the UID out.", field="series_uid")
    if path.stat().st_size == 0:
        raise StudyRefused("empty_file", "The file is empty. Send it again.")
    return next(reader for suffix, reader in READERS.items() if path.name.lower().endswith(suffix))(path)
