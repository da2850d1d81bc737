"""Which files and folders of a tree are studies."""

import os

import pytest

import hostile_dicom
from headct_molre.data.study_folder import studies_in, walk
from study_trees import dicom_slices, volume


def paths(root, known=()):
    return [found.images.path for found in studies_in(walk(root).folders, known)]


def test_volume_files_are_studies_wherever_they_lie(tmp_path):
    for path in ("a.nii.gz", "b.NII", "ward/c.nrrd", "ward/deep/er/d.mha", "e.zip", "f.dcm"):
        volume(tmp_path, path)
    for path in (".hidden.nii", ".headct/x.nii", "ward/.git/y.nii", "labels.csv", "ward/notes.txt", "header.mhd"):
        volume(tmp_path, path)
    assert paths(tmp_path) == ["a.nii.gz", "b.NII", "e.zip", "f.dcm", "ward/c.nrrd", "ward/deep/er/d.mha"]


def test_a_dicom_study_is_the_highest_folder_whose_files_are_of_one_study(tmp_path):
    dicom_slices(tmp_path, "anna/series-1", "1.2.1")
    dicom_slices(tmp_path, "anna/series-2/images", "1.2.1")
    dicom_slices(tmp_path, "ward/ben/dicom", "1.2.2")
    dicom_slices(tmp_path, "ward/cleo", "1.2.3")
    assert paths(tmp_path) == ["anna", "ward/ben", "ward/cleo"]


def test_a_folder_with_volume_files_is_not_one_dicom_study(tmp_path):
    dicom_slices(tmp_path, "cohort/dicom", "1.2.1")
    volume(tmp_path, "cohort/x.nii.gz")
    assert paths(tmp_path) == ["cohort/dicom", "cohort/x.nii.gz"]


def test_what_is_registered_stays_one_study_when_other_files_come_or_go(tmp_path):
    dicom_slices(tmp_path, "anna/series-1", "1.2.1")
    dicom_slices(tmp_path, "anna/series-2", "1.2.1")
    volume(tmp_path, "anna/mask.nii.gz")
    assert paths(tmp_path) == ["anna/mask.nii.gz", "anna/series-1", "anna/series-2"]
    assert paths(tmp_path, known={"anna"}) == ["anna"]
    (tmp_path / "anna" / "mask.nii.gz").unlink()
    assert paths(tmp_path) == ["anna"]
    assert paths(tmp_path, known={"anna/series-1"}) == ["anna/series-1", "anna/series-2"]


def test_files_of_two_patients_in_one_folder_are_no_study_even_where_one_was_registered(tmp_path):
    dicom_slices(tmp_path, "export", "1.2.1")
    assert paths(tmp_path, known={"export"}) == ["export"]
    dicom_slices(tmp_path, "export", "1.2.2")
    assert paths(tmp_path, known={"export"}) == []


def test_a_folder_of_slices_without_a_study_uid_is_a_study_of_its_own(tmp_path):
    dicom_slices(tmp_path, "ward/a", None)
    dicom_slices(tmp_path, "ward/b", None)
    assert paths(tmp_path) == ["ward/a", "ward/b"]


def test_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    volume(outside, "secret.nii")
    dicom_slices(outside, "series", "1.2.1")
    root = tmp_path / "studies"
    volume(root, "here/a.nii")
    (root / "link.nii").symlink_to(outside / "secret.nii")
    (root / "series").symlink_to(outside / "series")
    (root / "loop").symlink_to(root)
    assert paths(root) == ["here/a.nii"]


@pytest.mark.parametrize("make", hostile_dicom.EXPECTED, ids=lambda make: make.__name__)
def test_damaged_and_hostile_files_do_not_stop_the_walk(tmp_path, make):
    folder = tmp_path / "hostile"
    folder.mkdir()
    make(folder)
    volume(tmp_path, "good.nii")
    found = paths(tmp_path)
    assert "good.nii" in found
    # A study nevertheless: its refusal will say what is wrong with it.
    assert any(path.startswith("hostile") for path in found)


def test_pipes_devices_and_names_beyond_utf8_do_not_stop_the_walk(tmp_path):
    (tmp_path / "odd").mkdir()
    os.mkfifo(tmp_path / "odd" / "x.dcm")
    os.mkfifo(tmp_path / "y.nii")
    with open(os.fsencode(tmp_path) + b"/\xff.nii", "wb"):
        pass
    volume(tmp_path, "good.nii")
    seen = walk(tmp_path)
    assert [found.images.path for found in studies_in(seen.folders)] == ["good.nii"]
    assert seen.folders[""].unnamed == 1


def test_folders_beyond_any_depth_and_paths_beyond_any_length_do_not_stop_the_walk(tmp_path):
    volume(tmp_path, "good.nii")
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(20):  # 5,000 characters, more than a system call takes
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.chdir(here)
    (tmp_path / "/".join("e" * 60)).mkdir(parents=True)
    seen = walk(tmp_path)
    assert [found.images.path for found in studies_in(seen.folders)] == ["good.nii"]
    assert len(seen.unreadable) == 1


def test_an_unchanged_folder_is_not_read_again_and_a_changed_one_is(tmp_path):
    volume(tmp_path, "ward/a.nii")
    dicom_slices(tmp_path, "anna", "1.2.1")
    for folder in ("ward", "anna", ""):
        os.utime(tmp_path / folder, (1_000_000_000, 1_000_000_000))
    first = walk(tmp_path)
    again = walk(tmp_path, first.folders)
    assert not again.changed
    assert all(again.folders[path] is first.folders[path] for path in first.folders)
    volume(tmp_path, "ward/b.nii")
    third = walk(tmp_path, again.folders)
    assert third.changed
    assert [found.images.path for found in studies_in(third.folders)] == ["anna", "ward/a.nii", "ward/b.nii"]
    # A file system that keeps no times of folders.
    os.utime(tmp_path / "ward", (1_000_000_000, 1_000_000_000))
    (tmp_path / "ward" / "a.nii").unlink()
    os.utime(tmp_path / "ward", (1_000_000_000, 1_000_000_000))
    late = walk(tmp_path, walk(tmp_path, first.folders).folders | {"ward": first.folders["ward"]})
    assert "ward/a.nii" in [found.images.path for found in studies_in(late.folders)]
    full = walk(tmp_path, late.folders, trust_times=False)
    assert [found.images.path for found in studies_in(full.folders)] == ["anna", "ward/b.nii"]
