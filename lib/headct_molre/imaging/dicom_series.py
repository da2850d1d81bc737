"""Which DICOM series of a study is read: the rule, and the refusal where there is none to read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..errors import NotFound, StudyRefused
from .dicom_header import Header
from .kernels import is_bone_kernel

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

PROJECTION_WORDS = re.compile(r"\bm(in)?ip\b|projection", re.IGNORECASE)
WHOLE_HEAD_MM = 100.0


def choose_series(headers: list[Header], series_uid: str | None) -> list[Header]:
    """The images of the one series that is read.

    Localizers, secondary captures (by SOP class, or colour) and other modalities are dropped. Of the remaining series, in
    this order: description of a head before none before another body part; axial before reformatted; no mention of contrast
    before contrast; slices before projections (MIP); at least 100 mm of coverage; a kernel for soft tissue before one for bone; largest
    coverage in steps of 20 mm; most slices; last the UID, so that the choice never depends on file names.
    Raises NotFound `series_not_found`; StudyRefused `wrong_modality`, `localizer`, `secondary_capture`.
    """
    if series_uid is not None:
        headers = [header for header in headers if header.series == series_uid]
        if not headers:
            raise NotFound("series_not_found", "The study has no series with this SeriesInstanceUID.", field="series_uid")
    images = [header for header in headers if header.kind == "ct"]
    if not images:
        raise _no_ct(Counter(header.kind for header in headers))
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


def _rank(headers: list[Header]) -> tuple[int, bool, bool, bool, bool, bool, int, int]:
    first = headers[0]
    text = " ".join(first.text(keyword) for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName"))
    place = 1 if HEAD_WORDS.search(text) else -1 if OTHER_WORDS.search(text) else 0
    projection = bool(PROJECTION_WORDS.search(f"{first.text('ImageType')} {first.text('SeriesDescription')}"))
    soft = not is_bone_kernel(first.text("ConvolutionKernel"))
    normal = first.normal
    if normal is None:
        return place, False, False, not projection, False, soft, 0, len(headers)
    positions = [position for header in headers if (position := header.numbers("ImagePositionPatient", 3)) is not None]
    coverage = float(np.ptp(np.array(positions) @ normal)) if positions else 0.0
    # An axial slice's normal lies nearer to the table axis than 45 degrees, a tilted gantry included.
    axial, plain = bool(abs(normal[2]) > 0.7), not describes_contrast(headers)
    return place, axial, plain, not projection, coverage >= WHOLE_HEAD_MM, soft, int(coverage // 20), len(headers)


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
