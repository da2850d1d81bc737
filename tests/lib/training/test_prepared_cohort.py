"""Who is in a cohort: decided once, by the process that writes the record."""

import os
from pathlib import Path, PosixPath

import numpy as np
import pytest

from headct_molre.data.bulk import PREPARATION_FAILED
from headct_molre.data.cohort import Cohort, CohortStudy
from headct_molre.data.phantom import write_cohort
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.findings import finding_keys
from headct_molre.imaging.grid import SLICE_GRID
from headct_molre.training.prepared_cohort import prepare_cohort


class DeadlyOnce(PosixPath):
    """A path that ends the first process it is sent to, as a lack of memory does that is gone later."""

    def __reduce__(self):
        mark = Path(f"{self}.met")
        if mark.exists():
            return Path, (str(self),)
        mark.touch()
        return os._exit, (9,)


@pytest.fixture
def cohort(tmp_path):
    paths = write_cohort(tmp_path / "cohort", 2, seed=3, matrix=64)
    studies = tuple(
        CohortStudy(study=path.name, path=kind(path), patient=path.name, split="train")
        for path, kind in zip(paths, (Path, DeadlyOnce), strict=True)
    )
    return Cohort(studies, np.zeros((2, len(finding_keys())), np.uint8))


def test_a_study_whose_process_died_is_tried_again_by_the_next_run_only(cohort, tmp_path):
    cache, record = PreparedCache(tmp_path / "cache", 10**9), tmp_path / "prepared.json"
    first = prepare_cohort(cohort, cache, SLICE_GRID, 1, record)
    assert [refusal.code for refusal in first.refused] == [PREPARATION_FAILED]
    # The other processes of this run: they would prepare it now, and hold another cohort than the first.
    assert prepare_cohort(cohort, cache, SLICE_GRID, 1, record, retry=False).refused == first.refused
    next_run = prepare_cohort(cohort, cache, SLICE_GRID, 1, record)
    assert next_run.refused == ()
    assert len(next_run.cohort) == 2
