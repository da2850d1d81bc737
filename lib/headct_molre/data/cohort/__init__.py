"""Cohorts for training and evaluation: the manifest, its checks, splits and statistics."""

from .cohort import ABSENT, NOT_ASSESSED, PRESENT, SPLITS, STATES, UNCERTAIN, Cohort, CohortStudy

__all__ = ["ABSENT", "NOT_ASSESSED", "PRESENT", "SPLITS", "STATES", "UNCERTAIN", "Cohort", "CohortStudy"]
