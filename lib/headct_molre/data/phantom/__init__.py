"""Synthetic head CT: anatomy from simple shapes, planted findings, a virtual scanner. Never patient data."""

from .cohort import LABELS_FILE, write_cohort, write_study
from .lesions import DRAWABLE
from .scanner import Phantom, make_phantom, states

__all__ = ["DRAWABLE", "LABELS_FILE", "Phantom", "make_phantom", "states", "write_cohort", "write_study"]
