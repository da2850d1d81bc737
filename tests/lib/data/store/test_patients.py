"""Which studies are of one patient is known to the store, the patient's number to nobody."""

import shutil

import pytest

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.data.store.folder import FolderImages
from headct_molre.data.store.patients import patient_digest
from headct_molre.data.study_folder import StudyFolder
from headct_molre.data.transfer import back_up, check_store, restore
from headct_molre.errors import InvalidRequest
from reading_room import register
from store_contents import sql
from study_trees import aged, dicom_slices

NUMBER = "PAT-4711"


def test_the_scan_of_dicom_folders_finds_the_studies_of_one_patient(store, tmp_path, store_url):
    for name, patient in (("a", NUMBER), ("b", NUMBER), ("c", "other"), ("d", "ANONYMOUS"), ("e", "")):
        with_patient(tmp_path, name, patient)
    StudyFolder(tmp_path, store.folder).scan()
    patients = store.studies.patients()
    assert patients.keys() == {"a", "b", "c"}
    assert patients["a"] == patients["b"] != patients["c"]
    assert_unknown(store_url, NUMBER, patient_digest(NUMBER))
    assert check_store(store.database).consistent


def test_single_dicom_files_in_the_studies_folder_have_their_patients_too(store, tmp_path, store_url):
    for name, patient in (("a", NUMBER), ("b", NUMBER), ("c", "ANONYMOUS")):
        single_file(tmp_path, name, patient)
    (tmp_path / "d.dcm").write_bytes(b"no DICOM")
    aged(tmp_path / "d.dcm")
    folder = StudyFolder(tmp_path, store.folder)
    folder.scan()
    assert store.studies.ids() == ["a", "b", "c", "d"]
    patients = store.studies.patients()
    assert patients.keys() == {"a", "b"}
    assert patients["a"] == patients["b"]
    assert_unknown(store_url, NUMBER, patient_digest(NUMBER))
    aged(single_file(tmp_path, "b", "other"), 100)  # what takes its place may be another patient
    folder.scan()
    assert store.studies.patients()["b"] != patients["b"]
    single_file(tmp_path, "e", NUMBER)
    assert folder.find("e").study == "e"
    assert store.studies.patients()["e"] == patients["a"]


def test_a_folder_of_two_patients_stands_for_itself(store, tmp_path):
    with_patient(tmp_path, "a/1", NUMBER, uid="1.2.3")
    with_patient(tmp_path, "a/2", "other", uid="1.2.3")
    StudyFolder(tmp_path, store.folder).scan()
    assert store.studies.ids() == ["a"]
    assert store.studies.patients() == {}


def test_the_patients_of_a_store_of_an_older_release_are_noted_by_the_next_scan(store, tmp_path, store_url):
    with_patient(tmp_path, "a", NUMBER)
    StudyFolder(tmp_path, store.folder).scan()
    sql(store_url, "UPDATE studies SET patient_key = NULL")
    StudyFolder(tmp_path, store.folder).scan()
    assert store.studies.patients().keys() == {"a"}


def test_a_note_names_the_patient_of_a_study_and_is_not_kept(store, store_url):
    register(store, 3)
    for study, patient in (("study-1", NUMBER), ("study-2", f" {NUMBER} "), ("study-3", "other")):
        store.studies.update_info(study, {"patient": patient, "ward": "7"})
    patients = store.studies.patients()
    assert patients["study-1"] == patients["study-2"] != patients["study-3"]
    assert store.studies.info("study-1") == {"ward": "7"}
    assert_unknown(store_url, NUMBER)


def test_images_that_name_no_patient_do_not_take_a_known_one_away(store):
    register(store, 1)
    store.studies.update_info("study-1", {"patient": NUMBER})
    known = store.studies.patients()
    store.folder.move([("study-1", FolderImages("elsewhere.nii.gz", "nifti", "1:2"))])
    store.studies.mark_absent(["study-1"])
    register(store, 1)
    assert store.studies.patients() == known


def test_a_patient_that_is_none_is_refused_without_being_repeated(store):
    register(store, 1)
    for patient in ("", " ", 5, None, NUMBER * 99):
        with pytest.raises(InvalidRequest) as refused:
            store.studies.update_info("study-1", {"patient": patient})
        assert refused.value.code == "invalid_patient"
        assert NUMBER not in refused.value.message


def test_two_servers_of_a_store_give_a_patient_one_key_and_other_stores_give_another(store_url, tmp_path):
    keys = []
    for number, url in enumerate((store_url, store_url, sqlite_url(tmp_path / "other.sqlite"))):
        store = StudyStore(url)
        store.studies.update_info(f"study-{number}", {"patient": NUMBER})
        keys.append(store.studies.patients()[f"study-{number}"])
        store.close()
    assert keys[0] == keys[1] != keys[2]


def test_a_backup_carries_the_keys_and_their_secret(store, store_url, tmp_path):
    store.studies.update_info("study-1", {"patient": NUMBER})
    back_up(store_url, tmp_path / "backup.zip")
    url = sqlite_url(tmp_path / "restored.sqlite")
    restore(tmp_path / "backup.zip", url)
    restored = StudyStore(url)
    restored.studies.update_info("study-2", {"patient": NUMBER})
    assert len(set(restored.studies.patients().values())) == 1
    restored.close()


def test_keys_whose_secret_is_gone_are_found(store, store_url):
    store.studies.update_info("study-1", {"patient": NUMBER})
    sql(store_url, "DELETE FROM secrets")
    assert [each.code for each in check_store(store.database).found] == ["lost_secret"]


def with_patient(root, folder, patient, uid=None):
    from pydicom import dcmread

    place = dicom_slices(root, folder, uid or f"1.2.{abs(hash(folder)) % 10**8}")
    for file in place.iterdir():
        dataset = dcmread(file)
        dataset.PatientID = patient
        dataset.save_as(file)
    return aged(place)


def single_file(root, study, patient):
    place = with_patient(root, study, patient)
    file = next(place.iterdir()).rename(root / f"{study}.dcm")
    shutil.rmtree(place)
    return aged(file)


def assert_unknown(url, *texts):
    """No column of the studies holds any of these texts."""
    rows = repr([tuple(row) for row in sql(url, "SELECT * FROM studies")])
    assert not any(text in rows for text in texts)
