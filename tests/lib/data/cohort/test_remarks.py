"""What is not wrong but worth knowing before a training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headct_molre.data.cohort import ABSENT, PRESENT, Cohort, CohortStudy, manifest_warnings
from headct_molre.data.cohort.remarks import rare_findings
from headct_molre.findings import finding_keys


@pytest.fixture
def cohort():
    """Thirty studies at two sites, ten in each split; `midline_shift` (place 37) present in six of each, `mass_effect` absent in all."""
    studies = [
        CohortStudy(f"s{i}", Path(f"{i}.nii"), f"patient {i}", ("train", "validation", "test")[i % 3], f"site {i % 2}") for i in range(30)
    ]
    states = np.zeros((30, 75), np.uint8)
    states[:, finding_keys().index("midline_shift")] = [PRESENT] * 18 + [ABSENT] * 12
    states[:, finding_keys().index("mass_effect")] = ABSENT
    return Cohort(tuple(studies), states)


def changed(cohort: Cohort, row: int, **change: object) -> Cohort:
    studies = list(cohort.studies)
    studies[row] = replace(studies[row], **change)
    return Cohort(tuple(studies), cohort.states)


def warnings(cohort: Cohort, code: str) -> list[tuple[int | None, str | None, str | None]]:
    return [(warning.row, warning.column, warning.value) for warning in manifest_warnings(cohort) if warning.code == code]


def test_a_finding_with_fewer_than_five_positives_in_a_split(cohort):
    assert warnings(cohort, "few_positives") == [(None, "mass_effect", "0 in train, 0 in validation, 0 in test")]
    cohort.states[[0, 3], finding_keys().index("midline_shift")] = ABSENT
    assert rare_findings(cohort)["midline_shift"] == {"train": 4, "validation": 6, "test": 6}


def test_findings_that_nobody_assessed_are_counted(cohort):
    (message,) = [warning.message for warning in manifest_warnings(cohort) if warning.code == "not_assessed"]
    assert message == "73 findings not assessed in any study"


def test_without_splits_positives_count_in_all(cohort):
    bare = Cohort(tuple(replace(study, split=None) for study in cohort.studies), cohort.states)
    assert rare_findings(bare) == {"mass_effect": {"all studies": 0}}
    assert warnings(bare, "no_split") == [(None, "split", None)]
    assert warnings(changed(cohort, 7, split=None), "no_split") == [(9, "split", None)]


def test_a_site_in_one_split_only(cohort):
    assert warnings(cohort, "site_in_one_split") == []
    assert warnings(changed(cohort, 3, site="small"), "site_in_one_split") == [(None, "site", "small")]


@pytest.mark.parametrize(("one", "other"), [("007", "7"), ("ab1", "AB1")])
def test_patients_that_may_be_one_are_named_by_row(cohort, one, other):
    assert warnings(cohort, "similar_patient") == []
    assert warnings(changed(changed(cohort, 0, patient=one), 4, patient=other), "similar_patient") == [(6, "patient", None)]


def test_an_empty_file(cohort, tmp_path):
    (tmp_path / "empty.nii").touch()
    path = tmp_path / "empty.nii"
    assert warnings(changed(cohort, 2, path=path), "empty_file") == [(4, "path", str(path))]
    path.write_bytes(b"scan")
    assert warnings(changed(cohort, 2, path=path), "empty_file") == []
