"""DICOM headers of a folder: what each file is, which files are images of which series, and which series is read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from ..errors import NotFound, StudyRefused

CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "Rows", "Columns", "SamplesPerPixel",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation",
    "GantryDetectorTilt", "BodyPartExamined", "SeriesDescription", "StudyDescription", "ProtocolName", "ConvolutionKernel",
    "Manufacturer", "KVP", "PatientAge", "ContrastBolusAgent", "LossyImageCompression",
]  # fmt: skip
MODALITY_NAMES = {
    "MR": "an MR examination", "PT": "a PET examination", "NM": "a nuclear medicine examination", "US": "an ultrasound examination",
    "CR": "a radiograph", "DX": "a radiograph", "XA": "an angiography", "MG": "a mammography", "SR": "a structured report",
    "SEG": "a segmentation", "RTSTRUCT": "a radiotherapy structure set", "PR": "a presentation state", "OT": "a captured picture",
}  # fmt: skip
HEAD_WORDS = re.compile(r"head|brain|skull|crani|cereb|neuro|kopf|sch(ä|ae)del|gehirn|t(ê|e)te|cr(â|a)ne|cabeza|testa", re.IGNORECASE)
OTHER_WORDS = re.compile(r"chest|thora|lung|abd|pelvi|spine|neck|cervic|lumb|cardi|heart|\bleg|\bknee|\bhip\b", re.IGNORECASE)
CONTRAST_WORDS = re.compile(
    r"\bcta\b|angio|\+\s?c\b|\bc\+|with contrast|post[- ]?contrast|perfusion|\bctp\b|\bctv\b|\bmit km\b", re.IGNORECASE
)
PLAIN_WORDS = re.compile(r"without|non[- ]?contrast|\bplain\b|unenhanced|\bncct\b|\bc-|\bnativ|w/o", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What the reader needs of one DICOM image; `position` and `orientation` are LPS mm and cosines, None where absent."""

    path: Path
    tags: pydicom.Dataset

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
    def series(self) -> str:
        return self.text("SeriesInstanceUID")

    @property
    def kind(self) -> str:
        """What the file is: "ct", "localizer", "secondary_capture", or "other:<Modality>"."""
        sop_class, modality = self.text("SOPClassUID"), self.text("Modality").upper()
        image_type = {part.strip().upper() for part in self.text("ImageType").split("\\")}
        if modality != "CT" and sop_class not in CT_CLASSES:
            return f"other:{modality or 'not given'}"
        if sop_class.startswith(SECONDARY_CAPTURE) or (self.number("SamplesPerPixel") or 1) != 1:
            return "secondary_capture"
        if modality != "CT":
            return f"other:{modality}" if modality else "ct"
        return "localizer" if image_type & {"LOCALIZER", "SCOUT", "TOPOGRAM"} else "ct"

    @property
    def normal(self) -> np.ndarray | None:
        """Unit normal (3,) of the slice plane in LPS; None where ImageOrientationPatient is absent or not two orthogonal units."""
        cosines = self.numbers("ImageOrientationPatient", 6)
        if cosines is None:
            return None
        row, column = cosines[:3], cosines[3:]
        if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(row @ column) > 0.01:
            return None
        normal = np.cross(row, column)
        return normal / np.linalg.norm(normal)


def read_headers(folder: Path) -> list[Header]:
    """Headers of all DICOM files below `folder` (or of the one file given), sorted by path; other files are ignored.

    Raises StudyRefused `damaged_file` where a file begins as DICOM and cannot be parsed: leaving it out could tear a
    hole into the head.
    """
    headers, damaged = [], 0
    for path in _files_below(folder):
        if not _looks_like_dicom(path):
            continue
        try:
            tags = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS, force=True)
            sop_class = str(tags.file_meta.get("MediaStorageSOPClassUID", "")) if hasattr(tags, "file_meta") else ""
        except InvalidDicomError:
            continue
        except Exception:  # pydicom raises many types on damaged bytes
            damaged += 1
            continue
        if sop_class != DIRECTORY_CLASS and len(tags) > 0:
            headers.append(Header(path=path, tags=tags))
        elif len(tags) == 0:
            damaged += 1
    if damaged:
        raise StudyRefused("damaged_file", f"{damaged} DICOM file(s) in this study cannot be parsed. Export the study again.")
    return headers


def choose_series(headers: list[Header], series_uid: str | None) -> list[Header]:
    """The images of the one series that is read.

    Localizers, secondary captures (by SOP class, or colour) and other modalities are dropped. Of the remaining series, in
    this order: description of a head before none before another body part; axial before reformatted; no mention of contrast
    before contrast; largest coverage in steps of 20 mm; most slices; last the UID, so that the choice never depends on file names.
    Raises NotFound `series_not_found`; StudyRefused `wrong_modality`, `localizer`, `secondary_capture`, `multi_frame`.
    """
    if series_uid is not None:
        headers = [header for header in headers if header.series == series_uid]
        if not headers:
            raise NotFound("series_not_found", "The study has no series with this SeriesInstanceUID.", field="series_uid")
    images = [header for header in headers if header.kind == "ct"]
    if not images:
        raise _no_ct(Counter(header.kind for header in headers))
    if any((header.number("NumberOfFrames") or 1) > 1 for header in images):
        raise StudyRefused("multi_frame", "This is an Enhanced (multi-frame) CT object. Export it as single-frame CT images or as NIfTI.")
    series: dict[str, list[Header]] = {}
    for header in images:
        series.setdefault(header.series, []).append(header)
    return max(series.items(), key=lambda item: (*_rank(item[1]), item[0]))[1]


def describes_contrast(headers: Iterable[Header]) -> bool:
    """Whether the series or protocol is named after a contrast examination (CTA, perfusion, +C...)."""
    for header in headers:
        text = " ".join(header.text(keyword) for keyword in ("SeriesDescription", "ProtocolName"))
        return bool(CONTRAST_WORDS.search(text)) and not PLAIN_WORDS.search(text)
    return False


def _rank(headers: list[Header]) -> tuple[int, bool, bool, int, int]:
    first = headers[0]
    text = " ".join(first.text(keyword) for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName"))
    place = 1 if HEAD_WORDS.search(text) else -1 if OTHER_WORDS.search(text) else 0
    normal = first.normal
    if normal is None:
        return place, False, False, 0, len(headers)
    positions = [position for header in headers if (position := header.numbers("ImagePositionPatient", 3)) is not None]
    coverage = float(np.ptp(np.array(positions) @ normal)) if positions else 0.0
    # An axial slice's normal lies nearer to the table axis than 45 degrees, a tilted gantry included.
    return place, bool(abs(normal[2]) > 0.7), not describes_contrast(headers), int(coverage // 20), len(headers)


def _no_ct(kinds: Counter[str]) -> StudyRefused:
    others = [(count, kind.removeprefix("other:")) for kind, count in kinds.items() if kind.startswith("other:")]
    if others:
        modality = max(others)[1]
        name = MODALITY_NAMES.get(modality, "not a CT examination")
        shown = modality if re.fullmatch(r"[A-Z]{2,16}", modality) else "not given"
        return StudyRefused("wrong_modality", f"This is {name} (Modality {shown}). The models read non-contrast CT of the head.")
    if kinds["localizer"] >= kinds["secondary_capture"]:
        return StudyRefused("localizer", "The study holds only a localizer (scout) image. Send the axial series of the head.")
    return StudyRefused("secondary_capture", "The study holds only secondary captures (screen pages). Send the axial series of the head.")


def _files_below(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    paths = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sorted(path for path in paths if path.is_file())


def _looks_like_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    # Old archives leave the preamble out and begin with group 0002 or 0008, little endian.
    return start[128:132] == b"DICM" or (len(start) == 132 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3:4] == b"\x00")
