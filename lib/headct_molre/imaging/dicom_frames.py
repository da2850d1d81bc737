"""Enhanced (multi-frame) CT: the functional groups of one file, turned into one plain set of tags per frame."""

from __future__ import annotations

import pydicom

from ..errors import StudyRefused
from .limits import MAX_AXIS, MAX_ITEMS

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
GROUPS = (SHARED, PER_FRAME)
ITEM_MARK = b"\xfe\xff\x00\xe0"
# Functional group -> attribute in it -> tag of a single-frame image that says the same.
MACROS = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope", "RescaleIntercept": "RescaleIntercept", "RescaleType": "RescaleType",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP"},
    "CTAcquisitionDetailsSequence": {"GantryDetectorTilt": "GantryDetectorTilt"},
}  # fmt: skip


def split_frames(tags: pydicom.Dataset) -> list[pydicom.Dataset]:
    """The tags of each frame: those of the file, overlaid with its shared and then its own functional groups.

    A single-frame file is its own frame. Raises StudyRefused `missing_geometry` for frames without groups, `damaged_file`
    where their number is not the header's, `too_large`, `header_too_large`.
    """
    count = _count(tags)
    if count == 1 and PER_FRAME not in tags:
        return [tags]
    if PER_FRAME not in tags:
        raise StudyRefused(
            "missing_geometry", "The frames of a multi-frame image have no positions. Export single-frame CT images or an Enhanced CT."
        )
    for keyword in GROUPS:
        _check_items(tags, keyword)
    own = list(tags[PER_FRAME].value)
    shared = list(tags[SHARED].value) if SHARED in tags else []
    if len(own) != count or len(shared) > 1:
        raise StudyRefused("damaged_file", "A multi-frame image holds another number of frames than it says. Export it again.")
    base = pydicom.Dataset({tag: element for tag, element in tags.items() if tag not in map(pydicom.tag.Tag, GROUPS)})
    for group in shared:
        _overlay(base, group)
    frames = []
    for group in own:
        frame = pydicom.Dataset(dict(base.items()))
        _overlay(frame, group)
        frames.append(frame)
    return frames


def _count(tags: pydicom.Dataset) -> int:
    count = int(tags.get("NumberOfFrames") or 1)
    if count > MAX_AXIS:
        raise StudyRefused("too_large", f"An image claims {count} frames; at most {MAX_AXIS} are read. Send one series of the head.")
    return max(count, 1)


def _check_items(tags: pydicom.Dataset, keyword: str) -> None:
    # A sequence of known length is parsed when it is asked for, outside of the limits on reading the file.
    element = tags.get_item(keyword)
    value = getattr(element, "value", None)
    if isinstance(value, bytes) and value.count(ITEM_MARK) > MAX_ITEMS:
        raise StudyRefused("header_too_large", "The header of a multi-frame image is larger than any image needs. Export it again.")


def _overlay(frame: pydicom.Dataset, groups: pydicom.Dataset) -> None:
    for macro, attributes in MACROS.items():
        items = groups.get(macro)
        if not items:
            continue
        for keyword, plain in attributes.items():
            if keyword in items[0]:
                setattr(frame, plain, items[0].get(keyword))
