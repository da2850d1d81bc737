"""What can be planted in a phantom: the list of findings, their prevalence, and what they do to the head's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .anatomy import TISSUES, Head

DRAWABLE = (
    "intraparenchymal_hemorrhage",
    "basal_ganglia_hemorrhage",
    "thalamic_hemorrhage",
    "lobar_hemorrhage",
    "cerebellar_hemorrhage",
    "intraventricular_hemorrhage",
    "subarachnoid_hemorrhage",
    "subdural_hematoma",
    "chronic_subdural_hematoma",
    "epidural_hematoma",
    "acute_infarct",
    "chronic_infarct",
    "skull_fracture",
    "pneumocephalus",
    "scalp_hematoma",
    "meningioma",
    "intra_axial_tumor",
    "cystic_lesion",
    "hydrocephalus",
    "ventricular_enlargement",
    "midline_shift",
    "vasogenic_edema",
    "cerebral_atrophy",
    "chronic_small_vessel_disease",
    "intracranial_calcification",
    "basal_ganglia_calcification",
    "dural_falx_calcification",
    "sinusitis",
    "mastoid_middle_ear_opacification",
    "craniotomy_craniectomy",
)
FIRST_LESION_ID = len(TISSUES)
# Findings that change the whole brain have no lesion of their own.
WITHOUT_LESION = ("midline_shift", "cerebral_atrophy", "ventricular_enlargement", "hydrocephalus")
LESION_ID = {key: FIRST_LESION_ID + i for i, key in enumerate(DRAWABLE)}

# Prevalence in a cohort of phantoms: far above any hospital's, so that a small cohort has enough positives of each.
PARENT = "intraparenchymal_hemorrhage"
HEMORRHAGE_SITES = {
    "basal_ganglia_hemorrhage": (25.0, 5.0, 3.0),
    "thalamic_hemorrhage": (12.0, -12.0, 5.0),
    "lobar_hemorrhage": None,
    "cerebellar_hemorrhage": (22.0, -52.0, -40.0),
}
PREVALENCE = {
    PARENT: 0.24,
    "intraventricular_hemorrhage": 0.11,
    "subarachnoid_hemorrhage": 0.12,
    "subdural_hematoma": 0.12,
    "chronic_subdural_hematoma": 0.10,
    "epidural_hematoma": 0.10,
    "acute_infarct": 0.12,
    "chronic_infarct": 0.12,
    "skull_fracture": 0.13,
    "pneumocephalus": 0.10,
    "scalp_hematoma": 0.13,
    "meningioma": 0.10,
    "intra_axial_tumor": 0.13,
    "cystic_lesion": 0.08,
    "hydrocephalus": 0.12,
    "cerebral_atrophy": 0.15,
    "chronic_small_vessel_disease": 0.12,
    "intracranial_calcification": 0.12,
    "basal_ganglia_calcification": 0.08,
    "dural_falx_calcification": 0.08,
    "sinusitis": 0.14,
    "mastoid_middle_ear_opacification": 0.11,
    "craniotomy_craniectomy": 0.08,
}
NORMAL_SHARE = 0.12
SHIFTING = {"subdural_hematoma", "epidural_hematoma", "chronic_subdural_hematoma", "basal_ganglia_hemorrhage", "intra_axial_tumor"}
ENLARGED_VENTRICLE_SCALE = 1.4


def sample_findings(rng: np.random.Generator, prevalence: Mapping[str, float] = PREVALENCE, normal_share: float = NORMAL_SHARE) -> set[str]:
    """A random set of findings to plant; a parent finding always comes with one of its sites.

    `prevalence` holds a share for each key of `PREVALENCE`, among the studies that are not drawn as normal.
    """
    if rng.random() < normal_share:
        return set()
    keys = {key for key in PREVALENCE if rng.random() < prevalence[key]}
    if PARENT in keys:
        keys.add(str(rng.choice(list(HEMORRHAGE_SITES))))
    if "hydrocephalus" in keys:
        keys.discard("cerebral_atrophy")
    if rng.random() < (0.5 if keys & SHIFTING else 0.03):
        keys.add("midline_shift")
    if "intra_axial_tumor" in keys and rng.random() < 0.65:
        keys.add("vasogenic_edema")
    return keys


def reshape_head(head: Head, keys: set[str], rng: np.random.Generator) -> Head:
    """The head with the ventricles, sulci and midline that its findings ask for."""
    if "hydrocephalus" in keys:
        head = replace(head, ventricle_scale=rng.uniform(1.65, 2.3), sulcus_mm=0.2, subarachnoid_mm=0.6)
    if "cerebral_atrophy" in keys:
        head = replace(head, ventricle_scale=rng.uniform(1.15, 1.6), sulcus_mm=rng.uniform(2.0, 3.0), subarachnoid_mm=rng.uniform(3, 5))
    if "midline_shift" in keys:
        head = replace(head, midline_shift_mm=rng.uniform(6, 13) * rng.choice([-1, 1]))
    return head


def implied_findings(head: Head) -> set[str]:
    """Findings that follow from the drawn anatomy rather than from a lesion of their own."""
    return {"ventricular_enlargement"} if head.ventricle_scale >= ENLARGED_VENTRICLE_SCALE else set()
