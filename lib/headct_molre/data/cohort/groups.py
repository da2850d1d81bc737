"""The groups of a cohort that its statistics and its models are looked at by: site, scanner, slice thickness, sex, age."""

from __future__ import annotations

import math
from collections.abc import Callable

from .cohort import Cohort, CohortStudy

AGE_BANDS = (
    (18.0, "below 18 years"),
    (40.0, "18 to 39 years"),
    (60.0, "40 to 59 years"),
    (80.0, "60 to 79 years"),
    (math.inf, "80 years and over"),
)
THICKNESS_BANDS = ((1.5, "up to 1.5 mm"), (3.0, "above 1.5 to 3 mm"), (5.0, "above 3 to 5 mm"), (math.inf, "above 5 mm"))
_BAND_ORDER = [name for bands in (THICKNESS_BANDS, AGE_BANDS) for _, name in bands]


def age_band(years: float | None) -> str | None:
    """The band of an age, its lower end included; None where the age is not known."""
    return None if years is None else next(name for below, name in AGE_BANDS if years < below)


def thickness_band(mm: float | None) -> str | None:
    """The band of a slice thickness, its upper end included; None where it is not known."""
    return None if mm is None else next(name for up_to, name in THICKNESS_BANDS if mm <= up_to)


GROUPINGS: dict[str, Callable[[CohortStudy], str | None]] = {
    "site": lambda study: study.site,
    "scanner": lambda study: study.scanner,
    "slice thickness": lambda study: thickness_band(study.slice_thickness_mm),
    "sex": lambda study: study.sex,
    "age": lambda study: age_band(study.age_years),
}


def groups(cohort: Cohort, by: str) -> dict[str, list[int]]:
    """Rows of each group of a grouping, bands in their own order and names in the alphabet's; studies that do not say are left out."""
    found: dict[str, list[int]] = {}
    for row, study in enumerate(cohort.studies):
        if (name := GROUPINGS[by](study)) is not None:
            found.setdefault(name, []).append(row)
    return dict(sorted(found.items(), key=lambda item: group_order(item[0])))


def group_order(name: str) -> tuple[int, str]:
    """What groups of one grouping are sorted by."""
    return (_BAND_ORDER.index(name) if name in _BAND_ORDER else -1), name
