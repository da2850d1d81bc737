"""Synthetic head CT: anatomy from simple shapes, planted findings, a virtual scanner. Never patient data."""

from .cohort import LABELS_FILE, write_cohort, write_study
from .contrast import Contrast
from .lesions import DRAWABLE
from .metal import with_metal
from .motion import with_jerk, with_jitter
from .scanner import Phantom, make_phantom
from .surroundings import Surroundings

__all__ = [
    "DRAWABLE",
    "LABELS_FILE",
    "Contrast",
    "Phantom",
    "Surroundings",
    "make_phantom",
    "with_jerk",
    "with_jitter",
    "with_metal",
    "write_cohort",
    "write_study",
]
