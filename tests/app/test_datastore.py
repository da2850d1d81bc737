"""The datastore: which files are studies, and that no id leads out of the folder."""

import os
import uuid
from pathlib import Path

import pytest

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.errors import HeadCTError, InvalidRequest, NotFound
from headct_molre.schema import Submission
from lib.datastore import HeadCTDatastore

BAD_IDS = ["", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".headct", "a\x00", "a\n", "ä", "a" * 129]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "studies"
    (folder / "series" / "inner").mkdir(parents=True)
    (folder / "series" / "inner" / "1").write_bytes(bytes(128) + b"DICM")
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").write_text("no study")
    for name in ("a.nii.gz", "b.nii", "c.nrrd", "labels.csv", ".hidden.nii", "with space.nii", "a.nrrd"):
        (folder / name).write_bytes(b"volume")
    return folder


@pytest.fixture
def datastore(folder):
    store = StudyStore(sqlite_url(folder / ".headct" / "store.sqlite"))
    yield HeadCTDatastore(folder, store)
    store.close()


def reading(study):
    document = {
        "submission_id": str(uuid.uuid4()),
        "study": study,
        "reader": "anna",
        "model": None,
        "findings": {"hydrocephalus": "absent"},
    }
    return Submission.model_validate(document)


def test_volumes_and_dicom_folders_are_studies(datastore, folder):
    assert datastore.list_images() == ["a", "b", "c", "series"]
    assert datastore.get_image_uri("a") == str(folder / "a.nii.gz")
    assert datastore.get_image_uri("series") == str(folder / "series")


def test_a_study_is_there_as_soon_as_its_file_is(datastore, folder):
    (folder / "late.nii.gz").write_bytes(b"volume")
    assert "late" in datastore.list_images()


@pytest.mark.parametrize("study", BAD_IDS)
def test_an_id_that_is_none_is_refused(datastore, study):
    for call in (datastore.get_image_uri, datastore.get_image_info, datastore.get_labels_by_image_id):
        with pytest.raises(InvalidRequest) as refused:
            call(study)
        assert refused.value.code == "invalid_study"
    with pytest.raises(InvalidRequest):
        datastore.add_image(study, "x.nii", {})


def test_what_a_killed_server_left_of_uploads_is_removed(datastore, folder):
    left = datastore.incoming()
    Path(left.name, "volume.nii").write_bytes(b"patient")
    datastore.remove_incoming()
    assert not list((folder / ".headct").rglob("*.nii"))
    with datastore.incoming() as again:
        assert os.path.isdir(again)
    left.cleanup()


def test_an_offer_is_noted_beside_the_others(datastore):
    datastore.update_image_info("a", {"from": "test"})
    datastore.note_offer("a", "random", {"ts": 1})
    assert datastore.note_offer("a", "other", {"ts": 2}) == {"from": "test", "strategy": {"random": {"ts": 1}, "other": {"ts": 2}}}


def test_links_that_lead_out_of_the_folder_are_not_followed(datastore, folder, tmp_path):
    (tmp_path / "outside.nii").write_bytes(b"secret")
    (folder / "link.nii").symlink_to(tmp_path / "outside.nii")
    assert "link" not in datastore.list_images()
    with pytest.raises(NotFound):
        datastore.get_image_uri("link")


def test_an_added_study_never_replaces_one(datastore, folder, tmp_path):
    upload = tmp_path / "upload.nii.gz"
    upload.write_bytes(b"new")
    assert datastore.add_image("new", str(upload), {"from": "test"}) == "new"
    assert (folder / "new.nii.gz").read_bytes() == b"new"
    assert datastore.get_image_info("new") == {"from": "test"}
    for study in ("new", "b", "series"):
        with pytest.raises(InvalidRequest) as refused:
            datastore.add_image(study, str(upload), {})
        assert refused.value.code == "study_exists"
    assert not os.listdir(folder / ".headct" / "incoming")


@pytest.mark.parametrize("info", [[], {"x": float("nan")}, {"strategy": 5}, {"x": "y" * 10_001}])
def test_notes_that_would_break_a_later_answer_are_refused(datastore, info):
    with pytest.raises(InvalidRequest) as refused:
        datastore.update_image_info("a", info)
    assert refused.value.code == "invalid_info"


def test_labels_are_the_submissions(datastore, tmp_path):
    assert datastore.get_unlabeled_images() == datastore.list_images()
    file = tmp_path / "reading.json"
    file.write_text(reading("a").model_dump_json(by_alias=True), encoding="utf-8")
    assert datastore.save_label("a", str(file), "final", {}) == "a"
    assert datastore.get_labeled_images() == ["a"]
    assert datastore.get_label("a", "final") == {"hydrocephalus": "absent"}
    assert datastore.status() == {"total": 4, "completed": 1, "label_tags": {"final": 1}}
    assert [item["label"] for item in datastore.datalist()] == [{"hydrocephalus": "absent"}]


def test_a_submission_is_about_the_study_it_is_sent_for(datastore):
    with pytest.raises(InvalidRequest) as refused:
        datastore.add_submission("b", reading("a"))
    assert refused.value.code == "study_mismatch"
    with pytest.raises(NotFound):
        datastore.add_submission("unknown", reading("unknown"))


def test_what_is_not_supported_says_so(datastore):
    calls = [
        lambda: datastore.remove_image("a"),
        lambda: datastore.remove_label("a", "final"),
        lambda: datastore.update_label_info("a", "final", {}),
        lambda: datastore.get_dataset_archive(None),
        lambda: datastore.set_name("x"),
        lambda: datastore.set_description("x"),
    ]
    for call in calls:
        with pytest.raises(HeadCTError) as refused:
            call()
        assert (refused.value.code, refused.value.status) == ("not_supported", 405)
