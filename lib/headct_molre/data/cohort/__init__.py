"""Cohorts for training and evaluation: the manifest, its checks, splits and statistics."""

from .cohort import ABSENT, NOT_ASSESSED, PRESENT, SPLITS, STATES, UNCERTAIN, Cohort, CohortStudy
from .manifest import read_manifest, write_manifest
from .problems import InvalidManifest, ManifestProblem
from .remarks import manifest_warnings
from .split import split_cohort

__all__ = [
    "ABSENT",
    "NOT_ASSESSED",
    "PRESENT",
    "SPLITS",
    "STATES",
    "UNCERTAIN",
    "Cohort",
    "CohortStudy",
    "InvalidManifest",
    "ManifestProblem",
    "manifest_warnings",
    "read_manifest",
    "split_cohort",
    "write_manifest",
]
