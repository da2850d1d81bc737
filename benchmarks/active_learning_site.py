"""The site of active_learning.py: other scanners and other patients than where the demo model comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from headct_molre.data.phantom.anatomy import sample_head
from headct_molre.data.phantom.lesions import NORMAL_SHARE, PREVALENCE, implied_findings, reshape_head, sample_findings
from headct_molre.data.phantom.scanner import Phantom, Protocol, sample_protocol, scan
from headct_molre.imaging.volume import Volume
from headct_molre.training.phantom_samples import disturbed

# Between air and bone, where grey and white matter, blood and CSF are told apart; what is changed there is changed round this value.
SOFT_HU, MIDDLE_HU = (-50.0, 150.0), 35.0


@dataclass(frozen=True)
class Scanner:
    """What differs from the demo's scanners: mm, degrees, HU and pixels as in `Protocol`, ranges as (low, high).

    `contrast` multiplies the differences between soft tissues, as another tube voltage does; `shading_hu` is how much the middle of the
    head reads too high or low against its rim, as a poor beam hardening correction does.
    """

    slice_mm: tuple[float, ...]
    tilt_degrees: tuple[float, float]
    noise_hu: tuple[float, float]
    blur_px: tuple[float, float]
    offset_hu: tuple[float, float]
    contrast: float
    shading_hu: float
    matrix: int


@dataclass(frozen=True)
class Site:
    """Where studies come from: a scanner, and how often its patients have which finding."""

    name: str
    scanner: Scanner
    prevalence: Mapping[str, float] = field(default_factory=lambda: PREVALENCE)
    normal_share: float = NORMAL_SHARE

    def study(self, seed: int) -> tuple[Phantom, np.ndarray]:
        """The phantom of a seed, with all that it is made of, and its pose: standard frame from RAS (4, 4).

        The pose is the true one, disturbed by 3 degrees and 3 mm (standard deviation) for each axis: what phantom_samples.py takes in
        place of the automatic alignment, which costs as much as all else.
        """
        rng = np.random.default_rng(seed)
        head = sample_head(rng)
        keys = sample_findings(rng, self.prevalence, self.normal_share)
        head = reshape_head(head, keys, rng)
        protocol = _protocol(self.scanner, sample_protocol(rng, self.scanner.matrix), rng)
        phantom = scan(head, keys | implied_findings(head), protocol, rng)
        volume = _rendered(self.scanner, phantom)
        # Whole numbers, as any file holds.
        phantom = replace(phantom, volume=Volume(np.round(volume.hu), volume.affine, volume.facts))
        return phantom, disturbed(phantom.pose, seed)


def _protocol(scanner: Scanner, protocol: Protocol, rng: np.random.Generator) -> Protocol:
    return replace(
        protocol,
        slice_mm=float(rng.choice(scanner.slice_mm)),
        tilt_degrees=float(rng.uniform(*scanner.tilt_degrees)),
        noise_hu=float(rng.uniform(*scanner.noise_hu)),
        blur_px=float(rng.uniform(*scanner.blur_px)),
        offset_hu=float(rng.uniform(*scanner.offset_hu)),
    )


def _rendered(scanner: Scanner, phantom: Phantom) -> Volume:
    """The volume with the scanner's contrast and shading."""
    volume = phantom.volume
    low, high = SOFT_HU
    hu = volume.hu + (scanner.contrast - 1) * (np.clip(volume.hu, low, high) - MIDDLE_HU)
    head_from_index = np.linalg.inv(phantom.pose) @ volume.affine
    grid = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in volume.hu.shape), indexing="ij", sparse=True)
    x, y = (sum(row[axis] * grid[axis] for axis in range(3)) + row[3] for row in head_from_index[:2].astype(np.float32))
    hu += scanner.shading_hu * (1 - np.clip(np.hypot(x / 68, y / 84), 0, 1) ** 2) * (volume.hu > -200)
    return Volume(np.clip(hu, -1024, 3071).astype(np.float32), volume.affine, volume.facts)


# A third of the findings is rare here: below 5 % of the studies, some of them near 1 %.
SHIFTED_PREVALENCE = {
    "intraparenchymal_hemorrhage": 0.10,
    "intraventricular_hemorrhage": 0.04,
    "subarachnoid_hemorrhage": 0.06,
    "subdural_hematoma": 0.10,
    "chronic_subdural_hematoma": 0.08,
    "epidural_hematoma": 0.015,
    "acute_infarct": 0.15,
    "chronic_infarct": 0.22,
    "skull_fracture": 0.05,
    "pneumocephalus": 0.015,
    "scalp_hematoma": 0.15,
    "meningioma": 0.025,
    "intra_axial_tumor": 0.03,
    "cystic_lesion": 0.02,
    "hydrocephalus": 0.04,
    "cerebral_atrophy": 0.30,
    "chronic_small_vessel_disease": 0.30,
    "intracranial_calcification": 0.10,
    "basal_ganglia_calcification": 0.03,
    "dural_falx_calcification": 0.15,
    "sinusitis": 0.20,
    "mastoid_middle_ear_opacification": 0.06,
    "craniotomy_craniectomy": 0.02,
}

SHIFTED_SCANNER = Scanner(
    slice_mm=(5.0, 6.0),
    tilt_degrees=(12.0, 22.0),
    noise_hu=(5.0, 8.0),
    blur_px=(0.6, 0.8),
    offset_hu=(6.0, 9.0),
    contrast=0.75,
    shading_hu=6.0,
    matrix=192,
)

# What is offered to readers, and what the learning is measured on: the same scanner, with every finding often enough to be measured.
SHIFTED = Site("shifted", SHIFTED_SCANNER, SHIFTED_PREVALENCE, normal_share=0.2)
SHIFTED_TEST = replace(SHIFTED, name="shifted-test", prevalence=PREVALENCE, normal_share=NORMAL_SHARE)
