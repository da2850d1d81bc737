"""DICOM headers: what each image is, read with a limit on how much a header may hold."""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..errors import StudyRefused
from .bounded import BoundedFile
from .dicom_frames import GROUPS, split_frames
from .limits import MAX_HEADER_BYTES, MAX_HEADER_READS

CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
PLAIN_SYNTAXES = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
PIXEL_DATA_MARKS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
KEYWORDS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "Rows", "Columns", "SamplesPerPixel",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation",
    "GantryDetectorTilt", "BodyPartExamined", "SeriesDescription", "StudyDescription", "ProtocolName", "ConvolutionKernel",
    "Manufacturer", "KVP", "PatientAge", "ContrastBolusAgent", "ContrastBolusAgentSequence", "LossyImageCompression",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "RescaleType", *GROUPS,
]  # fmt: skip
# Overlay planes of old scanners lie in the unused high bits of the pixels; their tags say in which.
OVERLAY_TAGS = [(group, element) for group in range(0x6000, 0x6020, 2) for element in (0x0100, 0x0102)]
SERIES_TAG = Tag("SeriesInstanceUID")
TAGS = [*map(Tag, KEYWORDS), *map(Tag, OVERLAY_TAGS)]

# pydicom's warnings quote the values that they find odd; those can be identifiers and would end in a log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\.")


@dataclass(frozen=True)
class Header:
    """What the reader needs of one DICOM image: one file, or one frame of a multi-frame file.

    `pixels_at` is the place of the pixel data element in the file, `frame` counts from 0.
    """

    path: Path
    tags: pydicom.Dataset
    syntax: UID
    pixels_at: int
    frame: int = 0

    def text(self, keyword: str) -> str:
        """The tag as text, components joined by a backslash, empty where it is absent or malformed."""
        try:
            value = self.tags.get(keyword)
        except Exception:  # pydicom converts on access and raises whatever a malformed value provokes
            return ""
        if value is None:
            return ""
        return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value).strip()

    def numbers(self, keyword: str, count: int) -> np.ndarray | None:
        """The tag as `count` finite numbers, None where it is absent or malformed."""
        try:
            value = np.atleast_1d(np.array(self.tags.get(keyword), dtype=np.float64))
        except Exception:  # as above
            return None
        return value if value.shape == (count,) and np.isfinite(value).all() else None

    def number(self, keyword: str) -> float | None:
        """The tag as one finite number, None where it is absent or malformed."""
        value = self.numbers(keyword, 1)
        return None if value is None else float(value[0])

    @property
    def compressed(self) -> bool:
        """Whether the pixels need a decoder; so does every syntax that is not known to be plain."""
        return self.syntax not in PLAIN_SYNTAXES

    @property
    def series(self) -> str:
        return self.text("SeriesInstanceUID")

    @property
    def kind(self) -> str:
        """What the image is: "ct", "localizer", "secondary_capture" (by SOP class, or colour), or "other:<Modality>"."""
        sop_class, modality = self.text("SOPClassUID"), self.text("Modality").upper()
        image_type = {part.strip().upper() for part in self.text("ImageType").split("\\")}
        if modality != "CT" and sop_class not in CT_CLASSES:
            return f"other:{modality or 'not given'}"
        grey = self.text("PhotometricInterpretation").upper() in ("", "MONOCHROME1", "MONOCHROME2")
        if sop_class.startswith(SECONDARY_CAPTURE) or (self.number("SamplesPerPixel") or 1) != 1 or not grey:
            return "secondary_capture"
        if modality != "CT":
            return f"other:{modality}" if modality else "ct"
        return "localizer" if image_type & {"LOCALIZER", "SCOUT", "TOPOGRAM"} else "ct"

    @property
    def is_plausible(self) -> bool:
        """Whether class and modality are such words at all."""
        return bool(re.fullmatch(r"[0-9.]+", self.text("SOPClassUID")) and re.fullmatch(r"[A-Z]{0,16}", self.text("Modality").upper()))

    @property
    def normal(self) -> np.ndarray | None:
        """Unit normal (3,) of the slice plane in LPS; None where ImageOrientationPatient is absent or not two orthogonal units."""
        cosines = self.numbers("ImageOrientationPatient", 6)
        if cosines is None:
            return None
        row, column = cosines[:3], cosines[3:]
        # A damaged exponent gives lengths whose square overflows.
        if np.abs(cosines).max() > 2 or abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01:
            return None
        if abs(row @ column) > 0.01:
            return None
        normal = np.cross(row, column)
        return normal / np.linalg.norm(normal)


def read_headers(files: list[Path]) -> list[Header]:
    """Headers of all images in the DICOM files among `files`, frame by frame; other files are ignored.

    Raises StudyRefused `damaged_file` where a file begins as DICOM and cannot be parsed (leaving it out could tear a hole
    into the head), `header_too_large`, `nested_too_deep`, `missing_geometry` (a multi-frame file without frame positions).
    """
    headers: list[Header] = []
    damaged = 0
    for path in files:
        if not looks_like_dicom(path):
            continue
        try:
            images = _read(path)
        except (StudyRefused, MemoryError):
            raise
        except InvalidDicomError:
            continue
        except RecursionError:
            raise StudyRefused("nested_too_deep", "A DICOM header is nested beyond any sense. Export the study again.") from None
        except Exception:  # pydicom raises many types on damaged bytes
            damaged += 1
            continue
        headers += images
    if damaged:
        raise StudyRefused("damaged_file", f"{damaged} DICOM file(s) in this study cannot be parsed. Export the study again.")
    return headers


def _read(path: Path) -> list[Header]:
    with BoundedFile(path, MAX_HEADER_BYTES, MAX_HEADER_READS) as file:
        # Contours and segmentations have long headers, of which no more than the series is of use.
        tags = read_partial(cast(BinaryIO, file), stop_when=_is_behind_series, specific_tags=TAGS, force=True)
        first = Header(path, tags, ImplicitVRLittleEndian, 0)
        meta = tags.file_meta if hasattr(tags, "file_meta") else {}
        classes = {first.text("SOPClassUID"), str(meta.get("MediaStorageSOPClassUID", ""))}
        if DIRECTORY_CLASS in classes:
            return []
        if len(tags) == 0:
            raise ValueError("no element that an image has")
        if first.kind != "ct" and not classes & CT_CLASSES:
            return [first]
        file.seek(0)
        tags = pydicom.dcmread(cast(BinaryIO, file), stop_before_pixels=True, specific_tags=TAGS, force=True)
        # pydicom steps back to the pixel data element, or stands at the end of the file.
        pixels_at = file.tell()
        has_pixels = file.read(4) in PIXEL_DATA_MARKS
    header = Header(path, tags, UID(str(meta.get("TransferSyntaxUID") or _guessed_syntax(tags))), pixels_at)
    if classes & CT_CLASSES and not (has_pixels and header.is_plausible):
        # An element of wrong length has swallowed others; left out, the slice would be a hole in the head.
        raise ValueError("a CT image without pixels, class or modality")
    if header.kind != "ct":
        return [header]
    return [replace(header, tags=frame, frame=number) for number, frame in enumerate(split_frames(tags))]


def _is_behind_series(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag > SERIES_TAG


def _guessed_syntax(tags: pydicom.Dataset) -> str:
    implicit, little = tags.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM; no more of it is read."""
    with path.open("rb") as file:
        start = file.read(132)
    # Old archives leave the preamble out and begin with group 0002 or 0008, little endian.
    return start[128:132] == b"DICM" or (len(start) == 132 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3:4] == b"\x00")
