"""A DICOM series to a Volume in Hounsfield units: order by position, keep the tilt as shear, pad, even out the steps."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from ..errors import StudyRefused
from .dicom_header import Header, read_headers
from .dicom_pixels import bits_stored, damaged_pixels, has_overlay_bits, masks_high_bits, scale, stored_slices, within_bits
from .dicom_series import choose_series, describes_contrast
from .geometry import LPS_TO_RAS, Canvas, Facts, check_size, tilt_degrees
from .hounsfield import AIR_HU, LOWEST_HU, held_dtype, to_hu
from .limits import MAX_VOLUME_BYTES
from .stack import (
    SAME_POSITION_MM,
    Stack,
    count_missing,
    disagreeing_tags,
    even_targets,
    interpolated,
    is_even,
    stack_slices,
    without_repeats,
)
from .volume import Volume

NO_CONTRAST = {"", "NO", "NONE", "N", "0", "WITHOUT", "UNKNOWN", "NOT APPLICABLE", "NA", "N/A"}
# Rows, Columns, PixelSpacing in mm, ImageOrientationPatient: by how much images of one stack may differ.
PLANE_TOLERANCE = np.array([0.0] * 2 + [1e-3] * 2 + [5e-3] * 6)
ALWAYS_LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
AGE_CAP_YEARS = 90.0


def read_dicom(files: list[Path], series_uid: str | None = None) -> Volume | None:
    """The head series among `files` as a Volume, or None where there is no DICOM file at all.

    Slice positions decide about order, spacing and tilt. The tilt stays in the affine as exact shear; an uneven stack is
    interpolated along the slice axis (see stack.even_step). Hounsfield units are stored value x slope + intercept, whatever
    PhotometricInterpretation says about black and white on a screen: a MONOCHROME1 image is not inverted. Raises StudyRefused
    with the reason, NotFound for `series_uid`.
    """
    with disable_value_validation():
        headers = read_headers(files)
        return _read_series(headers, series_uid) if headers else None


def _read_series(headers: list[Header], series_uid: str | None) -> Volume:
    _refuse_reused_uids(headers)
    chosen = choose_series(headers, series_uid)
    slices = _largest_stack(chosen)
    if len(slices) < 2:
        raise StudyRefused("not_a_volume", "The series has a single slice. The models read whole head CT volumes. Send the whole series.")
    rows, columns, spacing = _grid(slices[0])
    dtype = np.result_type(*{held_dtype(np.dtype(np.int16), *scale(header)) for header in slices})
    check_size((len(slices), rows, columns), dtype.itemsize)
    normal, cosines = slices[0].normal, slices[0].numbers("ImageOrientationPatient", 6)
    if normal is None or cosines is None:
        raise _no_position()
    positions = np.array([header.numbers("ImagePositionPatient", 3) for header in slices])
    every = stack_slices(positions, normal, float(spacing.max()))
    stack = without_repeats(every)
    distinct = [slices[index] for index in stack.order]

    affine = np.eye(4)
    affine[:3, 0] = stack.direction * (stack.distance[-1] / (len(distinct) - 1))
    affine[:3, 1] = cosines[3:] * spacing[0]
    affine[:3, 2] = cosines[:3] * spacing[1]
    affine[:3, 3] = stack.origin
    facts = _facts(distinct, stack, normal, tilt_degrees(affine))
    facts["skipped_images"] = len(headers) - len(distinct)
    targets = None if is_even(stack.distance) else even_targets(stack, most=MAX_VOLUME_BYTES // (rows * columns * 4))
    facts["resampled"] = targets is not None
    count = len(distinct)
    if targets is not None:
        count, dtype = len(targets.below), np.dtype(np.float32)
        affine[:3, 0] = stack.direction * targets.step
    canvas = Canvas((count, rows, columns), LPS_TO_RAS @ affine, dtype)
    ordered = [slices[index] for index in every.order]
    with closing(_hu_slices(ordered, (rows, columns))) as images:
        once = _once(images, ordered, every.distance)
        for index, hu in enumerate(once if targets is None else interpolated(once, targets)):
            canvas.put(index, hu)
    return canvas.volume(facts)


def _hu_slices(headers: list[Header], shape: tuple[int, int]) -> Generator[np.ndarray]:
    """Each image in HU (rows, columns), what lies outside the scanned field at -1000."""
    mask_bits = masks_high_bits(headers)
    with closing(stored_slices(headers)) as images:
        for header, stored in zip(headers, images, strict=True):
            if stored.shape != shape:
                raise damaged_pixels()
            hu = to_hu(stored, *scale(header))
            padded = _padding(header, stored, hu)
            if mask_bits or has_overlay_bits(header):
                stored = within_bits(stored, bits_stored(header))
                hu = to_hu(stored, *scale(header))
                padded |= _padding(header, stored, hu)
            outside = padded | (hu < LOWEST_HU)
            yield np.where(outside, hu.dtype.type(AIR_HU), hu) if outside.any() else hu


def _once(slices: Iterable[np.ndarray], headers: list[Header], distance: np.ndarray) -> Iterator[np.ndarray]:
    """The slices without those that repeat another at its position; `distance` (n,) mm along the stack.

    Raises StudyRefused `duplicate_uid` or `not_a_volume` where two slices at one position differ.
    """
    kept: np.ndarray | None = None
    at = 0
    for index, hu in enumerate(slices):
        if kept is None or distance[index] - distance[at] >= SAME_POSITION_MM:
            kept, at = hu, index
            yield hu
        elif not np.array_equal(hu, kept):
            if headers[index].text("SOPInstanceUID") == headers[at].text("SOPInstanceUID") and headers[index].frame == headers[at].frame:
                raise _duplicate_uid()
            raise StudyRefused(
                "not_a_volume",
                "Several different slices lie at one position (perfusion, or two series under one UID). Send one series.",
            )


def _refuse_reused_uids(headers: list[Header]) -> None:
    seen: dict[tuple[str, int], Header] = {}
    for header in headers:
        uid = header.text("SOPInstanceUID")
        if not uid or header.kind != "ct":
            continue
        other = seen.setdefault((uid, header.frame), header)
        if any(header.text(tag) != other.text(tag) for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows")):
            raise _duplicate_uid()


def _largest_stack(headers: list[Header]) -> list[Header]:
    """The largest set of images of one series that share matrix, spacing and orientation."""
    planes = np.array([_plane(header) for header in headers])
    remaining, largest = np.arange(len(headers)), np.empty(0, dtype=int)
    while len(remaining) > len(largest):
        lead, others = planes[remaining[0]], planes[remaining]
        same = ((np.abs(others - lead) <= PLANE_TOLERANCE) | (np.isnan(others) & np.isnan(lead))).all(axis=1)
        largest = max(largest, remaining[same], key=len)
        remaining = remaining[~same]
    stack = [headers[index] for index in largest]
    if stack[0].normal is None or any(header.numbers("ImagePositionPatient", 3) is None for header in stack):
        raise _no_position()
    return stack


def _plane(header: Header) -> np.ndarray:
    """Rows, Columns, PixelSpacing and ImageOrientationPatient (10,), not-a-number where absent."""
    counts = {"Rows": 1, "Columns": 1, "PixelSpacing": 2, "ImageOrientationPatient": 6}
    parts = [(header.numbers(keyword, count), count) for keyword, count in counts.items()]
    return np.concatenate([np.full(count, np.nan) if values is None else values for values, count in parts])


def _grid(header: Header) -> tuple[int, int, np.ndarray]:
    rows, columns, spacing = header.number("Rows"), header.number("Columns"), header.numbers("PixelSpacing", 2)
    if rows is None or columns is None or spacing is None or (spacing <= 0).any():
        raise StudyRefused("missing_geometry", "The images lack a valid PixelSpacing, Rows or Columns. Export the original series again.")
    return int(rows), int(columns), spacing


def _padding(header: Header, stored: np.ndarray, hu: np.ndarray) -> np.ndarray:
    """Mask (rows, columns) of the pixels outside the scanned field by PixelPaddingValue and PixelPaddingRangeLimit."""
    limits = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            value = header.tags.get(keyword)
            value = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value)
        except Exception:  # absent or malformed; pydicom converts on access and raises many types
            continue
        # Some writers give the tag the other signedness than the pixels.
        if stored.dtype.kind == "i" and value > 32767:
            value -= 65536
        elif stored.dtype.kind == "u" and value < 0:
            value += 65536
        limits.append(value)
    if not limits:
        return np.zeros(stored.shape, dtype=bool)
    mask: np.ndarray = (stored >= min(limits)) & (stored <= max(limits))
    corners = mask[[0, 0, -1, -1], [0, -1, 0, -1]]
    # A wrong tag may name the value of water or bone: inside the head such a value is tissue.
    if mask.any() and hu[mask].max() > -500 and not corners.all():
        return np.zeros(stored.shape, dtype=bool)
    return mask


def _facts(slices: list[Header], stack: Stack, normal: np.ndarray, tilt: float) -> Facts:
    first = slices[0]
    thicknesses = [value for header in slices if (value := header.number("SliceThickness")) is not None]
    locations = [header.number("SliceLocation") for header in slices]
    thickness = float(np.median(thicknesses)) if thicknesses else None
    known = np.array(locations, dtype=np.float64) if all(value is not None for value in locations) else None
    against = disagreeing_tags(stack, normal, tilt, known, thickness, first.number("GantryDetectorTilt"))
    if "slice_location" in against and len(against) > 1:
        raise StudyRefused(
            "geometry_contradiction",
            f"The slice positions (steps of {np.median(stack.gaps):.2f} mm, tilt {tilt:.1f} degrees) contradict "
            f"{' and '.join(against).replace('_', ' ')} in the same headers; the true geometry cannot be known. "
            "Export from the scanner again.",
        )
    contrast = first.text("ContrastBolusAgent").upper()
    return {
        "format": "dicom",
        "modality": "CT",
        "slices": len(slices),
        "slice_spacing_mm": float(np.median(stack.gaps)),
        "slice_spacing_min_mm": float(stack.gaps.min()),
        "slice_spacing_max_mm": float(stack.gaps.max()),
        "slice_thickness_mm": thickness,
        "coverage_mm": float(stack.distance[-1]),
        "missing_slices": count_missing(stack.gaps),
        # Thickness alone says nothing: overlapping and sparse reconstructions are common.
        "conflicting_tag": next((tag for tag in against if tag != "slice_thickness"), None),
        "contrast_tag": contrast not in NO_CONTRAST or bool(first.text("ContrastBolusAgentSequence")) or None,
        "contrast_described": describes_contrast(slices),
        "patient_age_years": _age_years(first.text("PatientAge")),
        "kernel": _plain(first.text("ConvolutionKernel")),
        "manufacturer": _plain(first.text("Manufacturer")),
        "kvp": first.number("KVP"),
        "lossy_compression": first.text("LossyImageCompression") == "01" or first.syntax in ALWAYS_LOSSY,
    }


def _age_years(text: str) -> float | None:
    """Age by PatientAge; above 90 years it would identify the patient and is given as 90."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text)
    if match is None:
        return None
    return min(int(match[1]) * {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}[match[2]], AGE_CAP_YEARS)


def _plain(text: str) -> str | None:
    return re.sub(r"[^\w\\ .+-]", "", text)[:64] or None


def _no_position() -> StudyRefused:
    return StudyRefused(
        "missing_geometry", "The images lack a valid ImagePositionPatient or ImageOrientationPatient. Export the original series again."
    )


def _duplicate_uid() -> StudyRefused:
    return StudyRefused(
        "duplicate_uid", "Two different images carry the same SOPInstanceUID; they are versions of one study. Send only one of them."
    )
