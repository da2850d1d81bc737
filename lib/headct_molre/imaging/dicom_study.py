"""Which DICOM study and patient a file belongs to, without reading more of it than that."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from pydicom.config import disable_value_validation
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from .bounded import BoundedFile
from .dicom_header import DIRECTORY_CLASS, looks_like_dicom

STUDY_TAG = Tag("StudyInstanceUID")
_TAGS = [Tag("SOPClassUID"), Tag("PatientID"), STUDY_TAG]
# What lies in front of the UID: private groups of a scanner may be long, but are few.
_MAX_BYTES, _MAX_READS = 2_000_000, 20_000
_LONGEST_UID = 64


class StudyIdentity(NamedTuple):
    """StudyInstanceUID and PatientID of a file; "" for what it has not, or what cannot be read."""

    study_uid: str
    patient_id: str


_UNREADABLE = StudyIdentity("", "")


def study_identity(path: Path) -> StudyIdentity | None:
    """Which study and patient a DICOM file says that it belongs to; None for a DICOMDIR and what is no DICOM file.

    Never raises for what a file holds. Raises OSError where it cannot be opened.
    """
    if not looks_like_dicom(path):
        return None
    try:
        with disable_value_validation(), BoundedFile(path, _MAX_BYTES, _MAX_READS) as file:
            tags = read_partial(cast(BinaryIO, file), stop_when=_is_behind, specific_tags=_TAGS, force=True)
            meta = tags.file_meta if hasattr(tags, "file_meta") else {}
            if DIRECTORY_CLASS in (str(tags.get("SOPClassUID", "")), str(meta.get("MediaStorageSOPClassUID", ""))):
                return None
            uid = str(tags.get("StudyInstanceUID") or "").strip()
            patient = str(tags.get("PatientID") or "").strip()
    except OSError:
        raise
    except Exception:  # pydicom raises many types on damaged bytes; the reader will say what is wrong with the file
        return _UNREADABLE
    return StudyIdentity(uid if len(uid) <= _LONGEST_UID else "", patient)


def _is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag > STUDY_TAG
