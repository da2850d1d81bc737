"""The findings that the phantom must be able to show and the demo model must be tested on."""

REQUIRED = (
    "subdural_hematoma",
    "epidural_hematoma",
    "subarachnoid_hemorrhage",
    "intraparenchymal_hemorrhage",
    "intraventricular_hemorrhage",
    "acute_infarct",
    "chronic_infarct",
    "midline_shift",
    "hydrocephalus",
    "skull_fracture",
    "pneumocephalus",
    "scalp_hematoma",
    "intracranial_calcification",
    "intra_axial_tumor",
    "cerebral_atrophy",
    "sinusitis",
)
