"""The registry follows the folder: ids stay, nothing is lost to an outage, and nobody waits."""

import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

from headct_molre.data.store import StudyStore
from headct_molre.data.study_folder import StudyFolder, compare, studies_in, walk
from headct_molre.data.study_folder.watch import FIND_WAIT_S
from headct_molre.errors import HeadCTError
from study_trees import aged, dicom_slices, volume


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "studies"
    root.mkdir()
    return root


@pytest.fixture
def store(store_url):
    store = StudyStore(store_url)
    yield store
    store.close()


@pytest.fixture
def folder(root, store):
    folder = StudyFolder(root, store.folder, scan_s=0.05)
    yield folder
    folder.close()


def present(store):
    return {images.study: images.path for images in store.studies.registered()}


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_studies_are_registered_under_their_names(folder, root, store):
    volume(root, "patient 1.nii.gz")
    volume(root, "ward/b.nrrd")
    dicom_slices(root, "anna", "1.2.1")
    folder.scan()
    assert present(store) == {"anna": "anna", "b": "ward/b.nrrd", "patient_1": "patient 1.nii.gz"}
    assert {images.study: images.format for images in store.studies.registered()} == {"anna": "dicom", "b": "nrrd", "patient_1": "nifti"}
    assert folder.problems() == []


def test_two_of_one_name_get_ids_from_their_paths_and_keep_them(folder, root, store):
    volume(root, "p2/ct.nii.gz")
    folder.scan()
    volume(root, "p1/ct.nii.gz")
    volume(root, "ct.nii.gz")
    volume(root, "ct.nrrd")
    folder.scan()
    assert present(store) == {"ct": "p2/ct.nii.gz", "p1-ct": "p1/ct.nii.gz", "ct-nii-gz": "ct.nii.gz", "ct-nrrd": "ct.nrrd"}
    (root / "p2" / "ct.nii.gz").unlink()
    (root / "p2" / "other.txt").touch()
    folder.scan()
    assert "ct" not in present(store)
    assert present(store)["p1-ct"] == "p1/ct.nii.gz"


def test_another_server_on_the_same_folder_gives_the_same_ids(folder, root, store):
    for number in range(30):
        volume(root, f"{number}/ct.nii.gz")
    other = StudyFolder(root, store.folder)
    both = [threading.Thread(target=each.scan) for each in (folder, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(present(store)) == len(set(present(store).values())) == 30


def test_a_moved_file_and_a_renamed_dicom_folder_keep_their_ids(folder, root, store):
    volume(root, "a.nii.gz")
    dicom_slices(root, "anna", "1.2.1")
    folder.scan()
    (root / "archive").mkdir()
    os.rename(root / "a.nii.gz", root / "archive" / "a.nii.gz")
    os.rename(root / "anna", root / "archive" / "ANNA-2024")
    folder.scan()
    assert present(store) == {"a": "archive/a.nii.gz", "anna": "archive/ANNA-2024"}


def test_a_file_that_is_packed_keeps_its_id(folder, root, store):
    volume(root, "ward/a.nii")
    folder.scan()
    (root / "ward" / "a.nii").unlink()
    volume(root, "ward/a.nii.gz", b"packed")
    folder.scan()
    assert present(store) == {"a": "ward/a.nii.gz"}


def test_other_images_of_the_same_name_never_inherit_readings(folder, root, store):
    """p3/ct is another patient than p1/ct, though the one came as the other went."""
    volume(root, "p1/ct.nii.gz", b"first patient")
    folder.scan()
    shutil.rmtree(root / "p1")
    volume(root, "p3/ct.nii.gz", b"third patient")
    folder.scan()
    assert present(store) == {"p3-ct": "p3/ct.nii.gz"}
    # Where two could be meant, none is.
    volume(root, "x/s.nii", b"1")
    shutil.copy2(root / "x" / "s.nii", root / "copy.nii")
    (root / "y").mkdir()
    os.rename(root / "copy.nii", root / "y" / "s.nii")
    folder.scan()
    (root / "z").mkdir()
    for name in ("x", "y"):
        (root / name / "keep.txt").touch()
    os.rename(root / "x" / "s.nii", root / "z" / "s.nii")
    (root / "y" / "s.nii").unlink()
    folder.scan()
    assert present(store)["z-s"] == "z/s.nii"


def test_a_first_patient_keeps_the_id_when_a_second_one_comes_into_the_folder(folder, root, store):
    dicom_slices(root, "year/anna", "1.2.1")
    folder.scan()
    assert present(store) == {"year": "year"}
    dicom_slices(root, "year/ben", "1.2.2")
    folder.scan()
    assert present(store) == {"year": "year/anna", "ben": "year/ben"}
    shutil.rmtree(root / "year" / "ben")
    folder.scan()
    assert present(store) == {"year": "year/anna"}


def test_what_goes_is_absent_and_comes_back_as_it_was(folder, root, store):
    volume(root, "a.nii")
    volume(root, "b.nii")
    folder.scan()
    store.studies.update_info("a", {"note": "kept"})
    (root / "a.nii").unlink()
    folder.scan()
    assert present(store) == {"b": "b.nii"}
    assert store.studies.info("a") == {"note": "kept"}
    assert store.study_list.one("a").present is False
    volume(root, "a.nii", b"again")
    folder.scan()
    assert set(present(store)) == {"a", "b"}
    assert store.studies.info("a") == {"note": "kept"}


def test_a_study_that_was_known_before_its_images_gets_them(folder, root, store):
    store.studies.update_info("a", {"from": "an import"})
    volume(root, "x/a.nii")
    folder.scan()
    assert present(store) == {"a": "x/a.nii"}
    assert store.studies.info("a") == {"from": "an import"}


def test_a_file_system_that_is_gone_takes_no_study_with_it(folder, root, store, tmp_path):
    for number in range(3):
        volume(root, f"mounted/{number}.nii")
    volume(root, "a.nii")
    folder.scan()
    os.rename(root / "mounted", tmp_path / "away")
    (root / "mounted").mkdir()
    folder.scan()
    assert len(present(store)) == 4
    assert [problem.code for problem in folder.problems()] == ["studies_missing"]
    assert not folder.lost("0", "mounted/0.nii")
    (root / "mounted").rmdir()
    os.rename(tmp_path / "away", root / "mounted")
    folder.scan()
    assert folder.problems() == []

    os.rename(root, tmp_path / "away")
    folder.scan()
    assert [problem.code for problem in folder.problems()] == ["studies_folder_unreadable"]
    assert not folder.lost("a", "a.nii")
    root.mkdir()
    (root / ".headct").mkdir()
    folder.scan()
    assert [problem.code for problem in folder.problems()] == ["studies_missing"]
    assert not folder.lost("0", "mounted/0.nii")
    assert len(present(store)) == 4
    folder.scan(accept_missing=True)
    assert present(store) == {}
    assert folder.problems() == []


def test_most_studies_do_not_go_at_once_unless_an_operator_says_so(folder, root, store):
    for number in range(30):
        volume(root, f"{number}.nii")
    folder.scan()
    for number in range(20):
        (root / f"{number}.nii").unlink()
    folder.scan()
    assert len(present(store)) == 30
    folder.scan(accept_missing=True)
    assert len(present(store)) == 10


def test_a_folder_that_cannot_be_read_keeps_its_studies(store):
    """Root reads everything, so a root process becomes somebody else for the walk."""
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        root.chmod(0o755)
        volume(root, "closed/a.nii")
        volume(root, "open/b.nii")
        StudyFolder(root, store.folder).scan()
        (root / "closed").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            seen = walk(root)
        finally:
            os.seteuid(user)
        assert seen.unreadable == {"closed"}
        changes = compare(studies_in(seen.folders), store.folder.studies(), seen)
        assert (changes.gone, changes.held, changes.new) == ([], [], [])
    finally:
        (root / "closed").chmod(0o755)
        shutil.rmtree(root)


def test_a_file_that_may_still_grow_waits_for_the_next_look_but_is_there_for_who_asks(folder, root, store):
    volume(root, "old.nii")
    folder.start()
    until(lambda: "old" in present(store))
    volume(root, "new.nii", b"half", age_s=0)
    dicom_slices(root, "anna", "1.2.1", age_s=0)
    time.sleep(0.3)
    assert set(present(store)) == {"old"}
    assert folder.find("new").path == "new.nii"
    assert folder.find("anna").path == "anna"
    volume(root, "third.nii", b"half", age_s=0)
    aged(root / "third.nii")
    until(lambda: "third" in present(store))


def test_a_study_is_found_anywhere_as_soon_as_it_is_there(folder, root, store):
    folder.start()
    volume(root, "ward/deep/late.nii.gz", age_s=0)
    assert folder.find("late").path == "ward/deep/late.nii.gz"
    assert folder.find("never") is None


def test_a_request_does_not_wait_for_a_long_pass(folder, root):
    volume(root, "a.nii")
    with folder._passing:  # as the thread holds it while it walks
        started = time.monotonic()
        assert folder.find("a").study == "a"
        with pytest.raises(HeadCTError) as refused:
            folder.find("unknown")
        assert time.monotonic() - started < FIND_WAIT_S + 1
    assert (refused.value.code, refused.value.status) == ("folder_not_read_yet", 503)


def test_a_link_that_takes_the_place_of_a_folder_is_not_followed(folder, root, tmp_path):
    volume(tmp_path / "outside", "secret.nii")
    volume(root, "ward/a.nii")
    folder.scan()
    shutil.rmtree(root / "ward")
    (root / "ward").symlink_to(tmp_path / "outside")
    assert folder.find("secret") is None
    (root / "secret.nii").symlink_to(tmp_path / "outside" / "secret.nii")
    assert folder.find("secret") is None


def test_the_thread_survives_a_store_that_fails_and_ends_with_close(folder, root, store):
    folder.start()
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE studies RENAME TO hidden")
    volume(root, "a.nii")
    until(lambda: folder.problems() != [])
    assert folder.problems()[0].code.startswith("store_")
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO studies")
    until(lambda: "a" in present(store))
    assert folder.problems() == []
    folder.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "study-folder"]


def test_the_log_and_the_problems_name_no_file(folder, root, caplog):
    caplog.set_level(logging.DEBUG)
    volume(root, "CANARY^PATIENT.nii")
    folder.scan()
    (root / "CANARY^PATIENT.nii").unlink()
    folder.scan()
    assert "1 new" in caplog.text
    assert "CANARY" not in caplog.text + str(folder.problems())
