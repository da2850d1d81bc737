"""A DICOM series to a Volume in Hounsfield units: decode, pad, order by position, keep the tilt as shear, even out the steps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - the name that every imaging text uses
from pydicom.config import disable_value_validation

from ..errors import StudyRefused
from .dicom_header import Header, choose_series, describes_contrast, read_headers
from .geometry import AIR_HU, LPS_TO_RAS, Facts, check_size, make_volume, tilt_degrees
from .stack import SAME_POSITION_MM, Stack, count_missing, disagreeing_tags, even_step, is_even, resample_even, stack_slices
from .volume import Volume

NO_CONTRAST = {"", "NO", "NONE", "N", "0", "WITHOUT", "UNKNOWN", "NOT APPLICABLE", "NA", "N/A"}
AGE_CAP_YEARS = 90.0


def read_dicom(path: Path, series_uid: str | None = None) -> Volume | None:
    """The head series below `path` as a Volume, or None where there is no DICOM file at all.

    Slice positions decide about order, spacing and tilt. The tilt stays in the affine as exact shear; an uneven stack is
    interpolated along the slice axis (see stack.even_step). Raises StudyRefused with the reason, NotFound for `series_uid`.
    """
    # pydicom's warnings quote the values that they find odd; those can be identifiers and would end in a log.
    with disable_value_validation():
        headers = read_headers(path)
        return _read_series(headers, series_uid) if headers else None


def _read_series(headers: list[Header], series_uid: str | None) -> Volume:
    _refuse_reused_uids(headers)
    chosen = choose_series(headers, series_uid)
    slices = _largest_stack(chosen)
    if len(slices) < 2:
        raise StudyRefused("not_a_volume", "The series has a single slice. The models read whole head CT volumes.")
    rows, columns, spacing = _grid(slices[0])
    check_size((len(slices), rows, columns))
    normal, cosines = slices[0].normal, slices[0].numbers("ImageOrientationPatient", 6)
    if normal is None or cosines is None:
        raise _no_position()
    positions = np.array([header.numbers("ImagePositionPatient", 3) for header in slices])
    stack = stack_slices(positions, normal, float(spacing.max()))
    hu = np.stack([_decode(slices[index], rows, columns) for index in stack.order])
    hu, stack = _drop_duplicates(hu, stack, [slices[index] for index in stack.order])
    slices = [slices[index] for index in stack.order]

    affine = np.eye(4)
    affine[:3, 0] = stack.direction
    affine[:3, 1] = cosines[3:] * spacing[0]
    affine[:3, 2] = cosines[:3] * spacing[1]
    affine[:3, 3] = stack.origin
    facts = _facts(slices, stack, normal, tilt_degrees(affine))
    facts["skipped_images"] = len(headers) - len(slices)
    step = stack.distance[-1] / (len(slices) - 1)
    facts["resampled"] = not is_even(stack.distance)
    if facts["resampled"]:
        wished = even_step(stack.gaps)
        check_size((int(stack.distance[-1] / wished) + 2, rows, columns))
        hu, step = resample_even(hu, stack.distance, wished)
    affine[:3, 0] *= step
    return make_volume(hu, LPS_TO_RAS @ affine, facts)


def _refuse_reused_uids(headers: list[Header]) -> None:
    seen: dict[str, Header] = {}
    for header in headers:
        uid = header.text("SOPInstanceUID")
        if not uid or header.kind != "ct":
            continue
        other = seen.setdefault(uid, header)
        if any(header.text(tag) != other.text(tag) for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows")):
            raise _duplicate_uid()


def _largest_stack(headers: list[Header]) -> list[Header]:
    """The largest set of images of one series that share matrix, spacing and orientation."""
    stacks: list[list[Header]] = []
    for header in headers:
        for stack in stacks:
            if _same_plane(header, stack[0]):
                stack.append(header)
                break
        else:
            stacks.append([header])
    largest = max(stacks, key=len)
    if largest[0].normal is None or any(header.numbers("ImagePositionPatient", 3) is None for header in largest):
        raise _no_position()
    return largest


def _same_plane(first: Header, second: Header) -> bool:
    for tag, count, tolerance in (("Rows", 1, 0.0), ("Columns", 1, 0.0), ("PixelSpacing", 2, 1e-3), ("ImageOrientationPatient", 6, 5e-3)):
        one, two = first.numbers(tag, count), second.numbers(tag, count)
        if (one is None) != (two is None) or (one is not None and two is not None and np.abs(one - two).max() > tolerance):
            return False
    return True


def _grid(header: Header) -> tuple[int, int, np.ndarray]:
    rows, columns, spacing = header.number("Rows"), header.number("Columns"), header.numbers("PixelSpacing", 2)
    if rows is None or columns is None or spacing is None or (spacing <= 0).any():
        raise StudyRefused("missing_geometry", "The images lack a valid PixelSpacing, Rows or Columns. Export the original series again.")
    return int(rows), int(columns), spacing


def _decode(header: Header, rows: int, columns: int) -> np.ndarray:
    """One slice (rows, columns) in HU, float32, padding at -1000."""
    try:
        dataset = pydicom.dcmread(header.path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        # Both are mandatory in a CT image. A default for one slice that lacks them would shift it by 1024 HU in silence.
        slope, intercept = float(dataset.get("RescaleSlope", np.nan)), float(dataset.get("RescaleIntercept", np.nan))
    except Exception as error:  # pydicom raises many types on damaged bytes
        raise _damaged() from error
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise StudyRefused(
            "not_hu", "RescaleSlope or RescaleIntercept is missing or no usable number; the pixels cannot be read as Hounsfield units."
        )
    stored = _stored_values(dataset, header.path, slope, intercept)
    if stored.shape != (rows, columns):
        raise _damaged()
    hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    hu[_padding(dataset, stored, hu)] = AIR_HU
    return hu


def _stored_values(dataset: pydicom.Dataset, path: Path, slope: float, intercept: float) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        return np.asarray(dataset.pixel_array)
    except Exception as error:  # missing decoder, truncated pixels, contradictory header: pydicom has a type for each
        if not syntax.is_compressed:
            raise _damaged() from error
    try:
        # GDCM inside SimpleITK knows the codecs that pydicom needs plug-ins for, and applies slope and intercept itself.
        decoded = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise StudyRefused(
            "compressed", f"The images are compressed as {syntax.name} and cannot be decoded here. Export them uncompressed."
        ) from error
    return np.round((decoded[0].astype(np.float64) - intercept) / slope)


def _padding(dataset: pydicom.Dataset, stored: np.ndarray, hu: np.ndarray) -> np.ndarray:
    """Mask (rows, columns) of the pixels outside the scanned field by PixelPaddingValue and PixelPaddingRangeLimit."""
    limits = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            value = dataset.get(keyword)
            value = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value)
        except (TypeError, ValueError):
            continue
        # Some writers give the tag the other signedness than the pixels.
        if dataset.get("PixelRepresentation") == 1 and value > 32767:
            value -= 65536
        elif dataset.get("PixelRepresentation") == 0 and value < 0:
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


def _drop_duplicates(hu: np.ndarray, stack: Stack, headers: list[Header]) -> tuple[np.ndarray, Stack]:
    keep = [0]
    for index in range(1, len(hu)):
        if stack.distance[index] - stack.distance[keep[-1]] >= SAME_POSITION_MM:
            keep.append(index)
        elif not np.array_equal(hu[index], hu[keep[-1]]):
            if headers[index].text("SOPInstanceUID") == headers[keep[-1]].text("SOPInstanceUID"):
                raise _duplicate_uid()
            raise StudyRefused("not_a_volume", "Several different slices lie at one position (perfusion, or two series under one UID).")
    return hu[keep], Stack(order=stack.order[keep], distance=stack.distance[keep], origin=stack.origin, direction=stack.direction)


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
        "contrast_tag": contrast not in NO_CONTRAST or None,
        "contrast_described": describes_contrast(slices),
        "patient_age_years": _age_years(first.text("PatientAge")),
        "kernel": _plain(first.text("ConvolutionKernel")),
        "manufacturer": _plain(first.text("Manufacturer")),
        "kvp": first.number("KVP"),
        "lossy_compression": first.text("LossyImageCompression") == "01",
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


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_file", "The pixels of at least one image are damaged or do not fit its header. Export the study again.")


def _duplicate_uid() -> StudyRefused:
    return StudyRefused(
        "duplicate_uid", "Two different images carry the same SOPInstanceUID; they are versions of one study. Send only one of them."
    )
