"""Which path is what: missing, empty, unknown, one volume, several; and the identity of a study."""

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest

from headct_molre.errors import InvalidRequest, NotFound, StudyRefused
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.read import read_study
from imaging_files import refusal


def test_missing_empty_and_unknown_paths_are_told_apart(tmp_path):
    with pytest.raises(NotFound):
        read_study(tmp_path / "nothing")
    assert refusal(tmp_path).code == "no_images"
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    error = refusal(tmp_path / "picture.png")
    assert error.code == "unsupported_format"
    assert ".nii.gz" in error.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to the administrator")
def test_what_may_not_be_opened_is_said_to_be_that(tmp_path):
    path = tmp_path / "head.nii"
    path.write_bytes(b"x")
    path.chmod(0)
    assert refusal(path).code == "not_readable"
    with pytest.raises(StudyRefused) as caught:
        content_sha256(tmp_path)
    assert caught.value.code == "not_readable"


def test_a_link_to_a_study_is_the_study_and_links_within_count_once(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    (tmp_path / "series" / "again").symlink_to("0")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "series")
    assert read_study(tmp_path / "elsewhere").facts["skipped_images"] == 0
    assert content_sha256(tmp_path / "elsewhere") == content_sha256(tmp_path / "series")


def test_the_choice_of_a_series_is_part_of_the_identity(tmp_path):
    (tmp_path / "1").write_bytes(b"one")
    hashes = {content_sha256(tmp_path), content_sha256(tmp_path, "1.2.3"), content_sha256(tmp_path, "1.2.4")}
    assert len(hashes) == 3


def test_a_series_cannot_be_chosen_in_a_nifti_file(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4)), tmp_path / "head.nii")
    with pytest.raises(InvalidRequest):
        read_study(tmp_path / "head.nii", series_uid="1.2.3")
    assert read_study(tmp_path).hu.shape == (6, 5, 4)


def test_the_content_hash_follows_bytes_and_relative_names(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "1").write_bytes(b"one")
        (tmp_path / folder / "2").write_bytes(b"two")
    assert content_sha256(tmp_path / "a") == content_sha256(tmp_path / "b")
    (tmp_path / "b" / "2").rename(tmp_path / "b" / "3")
    assert content_sha256(tmp_path / "a") != content_sha256(tmp_path / "b")
    assert content_sha256(tmp_path / "a" / "2") == "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"
