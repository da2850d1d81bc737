"""The gate before every prediction: is this a readable non-contrast CT of a whole human head? Refuse or warn, with the reason.

`gate` works in the scanner's axes, however the head lies in them. What needs to know where top and bottom are, `judge_aligned`
adds after the alignment. Every code, its threshold and what was measured: `docs/gate.md`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import StudyRefused
from ..schema import Quality, Warning_
from .cavity import LARGEST_CAVITY_ML, HeadGrid, head_grid, look_around
from .coverage import coverage_warnings, measure_coverage
from .frame import degrees_between
from .geometry import Facts
from .hounsfield import AIR_HU, AIR_SHARE, is_air
from .kernels import is_bone_kernel
from .metal import LEAST_ML, measure_metal
from .motion import measure_motion
from .orientation import AS_TAGGED_DEGREES
from .vessels import measure_vessels
from .volume import Volume

FEWEST_SLICES = 8
SHORTEST_COVERAGE_MM = 60.0
# The thickest slices of old protocols are 10 mm.
LARGEST_GAP_MM = 12.0
# Half a brain: what 60 mm of an adult's vault hold.
SMALLEST_CAVITY_ML = 300.0
# A head's outline is 200 to 280 cm2, a trunk's 500 to 900.
LARGEST_HEAD_CM2 = 420.0
THICK_SLICE_MM = 5.5
# Ordinary positioning stays below.
ROTATED_DEGREES = 30.0


def gate(volume: Volume, grid: HeadGrid | None = None) -> Quality:
    """What is right and wrong with a study; an accepted one carries warnings and the measured facts.

    Works on a 4 mm grid, well under a second; `grid` is `head_grid(volume)` where the caller has it already. Raises
    StudyRefused: `not_hu`, `not_plain_ct`, `no_brain_in_view`, `partial_coverage` (fewer than 8 slices or less than 60 mm),
    `slices_too_far_apart` (a gap above 12 mm), `not_human_brain` (a plastic head), `not_head`.
    """
    _check_hounsfield(volume.hu)
    grid = head_grid(volume) if grid is None else grid
    tissue = (grid.hu > -150) & grid.seen
    if grid.millilitres(tissue) < 50:
        raise StudyRefused("no_brain_in_view", "The images show next to nothing but air. Send the series of the head.")
    coverage = _number(volume.facts, "coverage_mm", volume.spacing_mm[0] * (volume.hu.shape[0] - 1))
    if volume.hu.shape[0] < FEWEST_SLICES or coverage < SHORTEST_COVERAGE_MM:
        raise StudyRefused(
            "partial_coverage",
            f"{volume.hu.shape[0]} slices cover {coverage:.0f} mm; at least {FEWEST_SLICES} slices and {SHORTEST_COVERAGE_MM:.0f} mm "
            "are needed. Send the whole head.",
        )
    gap = _number(volume.facts, "slice_spacing_max_mm", volume.spacing_mm[0])
    if gap > LARGEST_GAP_MM:
        raise StudyRefused(
            "slices_too_far_apart",
            f"Up to {gap:.0f} mm lie between two slices; a lesion fits into {LARGEST_GAP_MM:.0f} mm. Send the series with all its slices.",
        )
    brain = ndimage.binary_erosion(grid.cavity)
    cavity_ml = grid.millilitres(grid.cavity)
    if cavity_ml < SMALLEST_CAVITY_ML or not brain.any():
        raise _no_brain(grid, tissue)
    values = grid.hu[brain]
    median, share = float(np.median(values)), float(np.mean((values > -30) & (values < 110)))
    if cavity_ml > LARGEST_CAVITY_ML:
        raise StudyRefused("not_head", f"Bone encloses {cavity_ml:.0f} ml, more than any head. Send the series of the head.")
    if not 5.0 < median < 70.0 or share < 0.5:
        raise StudyRefused(
            "not_human_brain",
            f"What the skull encloses has a median of {median:.0f} HU; a brain has about 30. This looks like a plastic or water phantom; "
            "if it is a patient, export the original CT in Hounsfield units.",
        )
    layers = np.flatnonzero(grid.cavity.any(axis=(1, 2)))
    facts: Facts = {
        **volume.facts,
        "cavity_ml": round(cavity_ml, 1),
        "brain_median_hu": round(median, 1),
        "brain_coverage_mm": round(float(len(layers) * grid.spacing), 1),
    }
    warnings = _warnings(facts) + _motion_warnings(volume, grid, facts) + _metal_warnings(volume, grid, facts)
    return Quality(accepted=True, warnings=warnings, facts=facts)


def judge_aligned(quality: Quality, volume: Volume, grid: HeadGrid, standard_from_ras: np.ndarray, aligned: bool = True) -> Quality:
    """The gate's findings with what only an upright frame tells: coverage by its end, a turned head, contrast medium in the vessels.

    `standard_from_ras` (4, 4) is the alignment's matrix, `grid` is `head_grid(volume)`; some 40 ms. Where the head was not `aligned`,
    the scanner's directions stand for the head's, and the vessels are not looked for.
    """
    coverage = measure_coverage(grid, standard_from_ras)
    vessels = measure_vessels(volume, standard_from_ras) if aligned else None
    turn = degrees_between(standard_from_ras, np.eye(4))
    facts: Facts = {
        **quality.facts,
        "vertex_cut_share": round(coverage.vertex_cut, 3),
        "skull_base_cut_share": round(coverage.base_cut, 3),
        "head_rotation_degrees": round(turn, 1),
        "sinus_rise_hu": None if vessels is None else round(vessels.sinus_rise_hu, 1),
    }
    warnings = list(quality.warnings) + coverage_warnings(coverage)
    if turn > ROTATED_DEGREES:
        message = f"The head lay {turn:.0f} degrees off the scanner's axes and was turned upright."
        if turn > AS_TAGGED_DEGREES:
            message += " Perhaps its headers name the wrong axes: check left and right."
        warnings.append(Warning_(code="head_rotated", message=message, value=round(turn, 1)))
    if vessels is not None and vessels.enhanced:
        warnings = [warning for warning in warnings if warning.code != "contrast_suspected"]
        message = (
            f"The superior sagittal sinus is {vessels.sinus_rise_hu:.0f} HU denser than the cortex beside it, as after contrast medium "
            "(or, rarely, with a thrombosis); the models were made for non-contrast CT."
        )
        warnings.append(Warning_(code="contrast_suspected", message=message, value=round(vessels.sinus_rise_hu, 1)))
    return quality.model_copy(update={"facts": facts, "warnings": warnings})


def _check_hounsfield(hu: np.ndarray) -> None:
    """Every CT of a head holds air near -1000 HU around it; windowed, scaled, masked and offset images do not."""
    # Every eighth pixel in plane is plenty for shares of the whole image.
    sample = hu[:, ::8, ::8] if min(hu.shape[1:]) >= 128 else hu[:, ::2, ::2]
    if not np.isfinite(sample).all():
        raise StudyRefused("not_hu", "The image holds values that are not finite numbers.")
    if np.mean(is_air(sample)) >= AIR_SHARE:
        return
    values, counts = np.unique(sample, return_counts=True)
    low, high = float(values[0]), float(values[-1])
    if counts.max() >= 0.85 * sample.size and abs(float(values[counts.argmax()])) < 1:
        raise StudyRefused(
            "not_plain_ct", "Everything but vessels or brain was removed from these images. Send the original non-contrast CT."
        )
    raise StudyRefused(
        "not_hu",
        f"The values ({low:.4g} to {high:.4g}) are not Hounsfield units: no air near {AIR_HU:.0f} HU. "
        "Export the original CT, neither windowed nor scaled.",
    )


def _no_brain(grid: HeadGrid, tissue: np.ndarray) -> StudyRefused:
    """Why no intracranial cavity was found in images that do show something."""
    # Without regard to air: what bone surrounds on all sides, whatever fills it.
    rim = np.zeros_like(grid.bone)
    rim[:, [0, -1], :] = rim[:, :, [0, -1]] = True
    hits, misses = look_around(grid.bone, rim & ~grid.bone, np.ones_like(grid.seen))
    shell = (hits >= 14) & (misses <= 0.2 * (hits + misses)) & ~grid.bone & grid.seen
    if grid.millilitres(shell & (grid.hu < -150)) > SMALLEST_CAVITY_ML and _outline_cm2(grid, tissue | shell) < LARGEST_HEAD_CM2:
        return StudyRefused("not_human_brain", "The skull encloses air or foam and no brain, as in a plastic phantom. Send a patient's CT.")
    if _outline_cm2(grid, tissue) > LARGEST_HEAD_CM2:
        return StudyRefused("not_head", "This is not a CT of the head: the body in view is too wide. Send the series of the head.")
    soft = grid.hu[tissue & (grid.hu < 200)]
    bone_ml = grid.millilitres(grid.bone)
    if bone_ml < 30 and len(soft) and 10 < np.median(soft) < 70 and grid.millilitres(tissue) < LARGEST_CAVITY_ML:
        return StudyRefused("not_plain_ct", "The skull was removed from these images. Send the original non-contrast CT.")
    if bone_ml < 30:
        return StudyRefused("not_head", "No skull is in view. Send the series of the head, without contrast medium.")
    return StudyRefused(
        "no_brain_in_view",
        "No brain enclosed by a skull is in view: the images show a neck, a face, a vertex or another body part. Send the whole head.",
    )


def _warnings(facts: Facts) -> list[Warning_]:
    warnings = []

    def warn(code: str, message: str, value: float | None = None) -> None:
        warnings.append(Warning_(code=code, message=message, value=value))

    tilt, spacing = _number(facts, "tilt_degrees", 0.0), _number(facts, "slice_spacing_mm", 0.0)
    low, high = _number(facts, "slice_spacing_min_mm", spacing), _number(facts, "slice_spacing_max_mm", spacing)
    missing, age = _number(facts, "missing_slices", 0.0), _number(facts, "patient_age_years", 99.0)
    if tilt > 2.0:
        warn("gantry_tilt", f"The gantry was tilted by {tilt:.1f} degrees; the geometry is corrected.", tilt)
    if high - low > max(0.1 * spacing, 0.1):
        warn("uneven_spacing", f"Slices lie {low:.2f} to {high:.2f} mm apart; they were brought to an even spacing.", high)
    if missing:
        warn("missing_slices", f"{missing:.0f} slice(s) are missing; their place was filled from their neighbours.", missing)
    if spacing > THICK_SLICE_MM:
        warn("thick_slices", f"Slices lie {spacing:.1f} mm apart; small findings may be missed.", spacing)
    if facts.get("contrast_tag") or facts.get("contrast_described"):
        warn("contrast_suspected", "The headers speak of contrast medium; the models were made for non-contrast CT.")
    if age < 18:
        warn("age_below_18", f"The patient is {age:.0f} years old; the models were made for adults.", age)
    if isinstance(kernel := facts.get("kernel"), str) and is_bone_kernel(kernel):
        warn("bone_kernel", f"The reconstruction kernel {kernel} is made for bone; brain contrast is poor.")
    if facts.get("conflicting_tag"):
        warn(
            "conflicting_tag",
            f"The {str(facts['conflicting_tag']).replace('_', ' ')} disagrees with the slice positions, which were followed.",
        )
    if facts.get("lossy_compression"):
        warn("lossy_compression", "The images were compressed with loss.")
    return warnings


def _motion_warnings(volume: Volume, grid: HeadGrid, facts: Facts) -> list[Warning_]:
    """`motion_suspected`, with the shift in mm; the measured motion joins the facts."""
    motion = measure_motion(volume, grid)
    if motion is None:
        return []
    facts["slice_shift_mm"], facts["slice_turn_degrees"] = round(motion.shift_mm, 2), round(motion.turn_degrees, 2)
    if not motion.suspected:
        return []
    shift = max(motion.shift_mm, motion.unsteadiness_mm)
    message = f"The head seems to have moved: slices are displaced by {shift:.1f} mm and {motion.turn_degrees:.1f} degrees to the next."
    return [Warning_(code="motion_suspected", message=message, value=round(shift, 2))]


def _metal_warnings(volume: Volume, grid: HeadGrid, facts: Facts) -> list[Warning_]:
    """`metal_suspected` for metal in the head, `metal_beside_brain` for metal in the same slices; the volumes join the facts."""
    metal = measure_metal(volume, grid)
    facts["metal_ml"] = round(metal.head_ml, 3)
    if metal.head_ml >= LEAST_ML:
        message = f"{metal.head_ml:.2f} ml of metal lie in or on the skull (clip, coil, valve or plate); streaks may look like disease."
        return [Warning_(code="metal_suspected", message=message, value=round(metal.head_ml, 3))]
    if metal.beside_ml >= LEAST_ML:
        message = "Metal outside the skull, such as a dental filling, lies in slices that show brain; its streaks may cross them."
        return [Warning_(code="metal_beside_brain", message=message, value=round(metal.beside_ml, 3))]
    return []


def _outline_cm2(grid: HeadGrid, mask: np.ndarray) -> float:
    """Median area of the largest object's filled axial cross-sections, cm2."""
    labels, count = ndimage.label(ndimage.binary_opening(mask))
    if count == 0:
        return 0.0
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = labels == int(sizes.argmax())
    areas = [float(ndimage.binary_fill_holes(layer).sum()) for layer in body if layer.any()]
    return float(np.median(areas)) * grid.spacing**2 / 100


def _number(facts: Facts, key: str, default: float) -> float:
    value = facts.get(key)
    return default if value is None or isinstance(value, str) else float(value)
