"""The deep check reads every study once and says which are refused, and which are there twice."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from headct_molre.data.cohort import Cohort, CohortStudy
from headct_molre.data.cohort.deep import check_images
from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.data.prepared_cache import PreparedCache


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    for seed in (1, 2):
        write_study(make_phantom(seed, 96), folder / f"{seed}.nii.gz")
    shutil.copy(folder / "1.nii.gz", folder / "copy.nii.gz")
    (folder / "unpacked.nii").write_bytes(gzip.decompress((folder / "2.nii.gz").read_bytes()))
    (folder / "damaged.nii.gz").write_bytes((folder / "1.nii.gz").read_bytes()[:1000])
    return folder


def cohort(folder: Path, *names: tuple[str, str]) -> Cohort:
    studies = [CohortStudy(f"s{i}", folder / name, patient) for i, (name, patient) in enumerate(names)]
    return Cohort(tuple(studies), np.zeros((len(studies), 75), np.uint8))


def test_refusals_and_copies_are_named_by_row_and_the_cache_is_filled(folder, tmp_path):
    names = [("1.nii.gz", "P"), ("damaged.nii.gz", "Q"), ("2.nii.gz", "R"), ("copy.nii.gz", "S"), ("unpacked.nii", "R")]
    cache = PreparedCache(tmp_path / "cache", 10**9)
    ticks = []
    problems = check_images(cohort(folder, *names), 2, cache, lambda: ticks.append(1))
    assert len(ticks) == 5
    assert problems.total == 3
    refused, copied, unpacked = problems.kept
    assert (refused.row, refused.column) == (3, "path")
    assert refused.code not in (None, "same_images")
    assert (copied.row, copied.code) == (5, "same_images")
    assert "row 2, of another patient" in copied.message
    assert (unpacked.row, unpacked.code) == (6, "same_images")
    assert "row 4, of the same patient" in unpacked.message
    assert len(list((tmp_path / "cache").iterdir())) == 3, "the copy is found by its content, the unpacked one is other bytes"


def test_a_cohort_that_is_whole_has_no_problems(folder):
    assert check_images(cohort(folder, ("1.nii.gz", "P"), ("2.nii.gz", "Q")), 1).total == 0
