"""The groups of a cohort that its statistics and its models are looked at by: site, scanner, sex, age band."""

from __future__ import annotations

from collections.abc import Callable

from .cohort import Cohort, CohortStudy

AGE_BANDS = ((18, "0-17"), (40, "18-39"), (60, "40-59"), (80, "60-79"), (float("inf"), "80+"))


def age_band(age_years: float | None) -> str | None:
    """The band of an age in years, such as 60-79; None where the age is not known."""
    return None if age_years is None else next(name for end, name in AGE_BANDS if age_years < end)


GROUPINGS: dict[str, Callable[[CohortStudy], str | None]] = {
    "site": lambda study: study.site,
    "scanner": lambda study: study.scanner,
    "sex": lambda study: study.sex,
    "age_band": lambda study: age_band(study.age_years),
}


def groups(cohort: Cohort, by: str) -> dict[str, list[int]]:
    """Rows of each group of a grouping, groups in alphabetical order; studies that do not say are left out."""
    found: dict[str, list[int]] = {}
    for row, study in enumerate(cohort.studies):
        if (name := GROUPINGS[by](study)) is not None:
            found.setdefault(name, []).append(row)
    return dict(sorted(found.items()))
