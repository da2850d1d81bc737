"""The datastore: MONAI Label's interface on the store, and that no id leads out of the folder."""

import inspect
import json
import os
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monailabel.interfaces.datastore import Datastore

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.errors import HeadCTError, InvalidRequest, NotFound, StudyRefused
from headct_molre.imaging.content import content_sha256
from headct_molre.schema import Prediction
from lib import datastore as datastore_module
from lib.datastore import HeadCTDatastore
from store_contents import prediction, submission
from study_trees import aged, dicom_slices, volume

BAD_IDS = ["", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".headct", "a\x00", "a\n", "ä", "a" * 129]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "studies"
    for name in ("a.nii.gz", "ward/b.nii", "c.nrrd", "labels.csv"):
        volume(folder, name)
    dicom_slices(folder, "series/inner", "1.2.3")
    return folder


@pytest.fixture
def datastore(folder):
    store = StudyStore(sqlite_url(folder / ".headct" / "store.sqlite"))
    datastore = HeadCTDatastore(folder, store)
    datastore.refresh()
    yield datastore
    store.close()


@pytest.fixture
def upload(tmp_path):
    """A small volume that can be read."""
    path = tmp_path / "upload" / "volume.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), path)
    return path


def reading(study):
    return submission(study=study, hydrocephalus="absent")


def predict(datastore, study):
    """Stores a prediction as an inference would."""
    made = prediction(study)
    content = datastore.content(study)
    datastore._store.predictions.put(content, made)
    datastore._store.studies.set_content(study, content)
    return made


def test_it_is_the_whole_interface():
    methods = [name for name, _ in inspect.getmembers(Datastore, inspect.isfunction)]
    assert len(methods) == 26
    assert all(name in vars(HeadCTDatastore) for name in methods)


def test_volumes_and_dicom_folders_are_studies(datastore, folder):
    assert datastore.list_images() == ["a", "b", "c", "series"]
    assert datastore.get_image_uri("b") == datastore.get_image("b") == str(folder / "ward" / "b.nii")
    assert datastore.get_image_uri("series") == str(folder / "series")


def test_a_study_is_there_as_soon_as_its_file_is(datastore, folder):
    volume(folder, "late.nii.gz", age_s=0)
    assert datastore.get_image_uri("late") == str(folder / "late.nii.gz")
    assert "late" in datastore.list_images()


def test_a_study_whose_file_goes_is_unknown_and_what_was_read_stays(datastore, folder):
    datastore.add_submission("a", reading("a"))
    (folder / "a.nii.gz").unlink()
    with pytest.raises(NotFound):
        datastore.get_image_uri("a")
    assert datastore.list_images() == ["b", "c", "series"]
    assert datastore.get_label("a", "final") == {"hydrocephalus": "absent"}
    # Who has it on the screen may still send a reading.
    datastore.add_submission("a", reading("a"))
    assert datastore.summary("a").submissions == 2
    os.rename(folder / "c.nrrd", folder / "ward" / "c.nrrd")
    assert datastore.get_image_uri("c") == str(folder / "ward" / "c.nrrd")


def test_images_that_cannot_be_reached_are_not_called_unknown(datastore, folder, tmp_path):
    os.rename(folder / "ward", tmp_path / "away")
    (folder / "ward").mkdir()
    with pytest.raises(HeadCTError) as refused:
        datastore.get_image_uri("b")
    assert (refused.value.code, refused.value.status) == ("images_unreachable", 503)
    assert "b" in datastore.list_images()


@pytest.mark.parametrize("study", BAD_IDS)
def test_an_id_that_is_none_is_refused(datastore, study):
    for call in (datastore.get_image_uri, datastore.get_image_info, datastore.get_labels_by_image_id, datastore.content, datastore.summary):
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


def test_links_that_lead_out_of_the_folder_are_not_followed(datastore, folder, tmp_path):
    (tmp_path / "outside.nii").write_bytes(b"secret")
    (folder / "link.nii").symlink_to(tmp_path / "outside.nii")
    datastore.refresh()
    assert "link" not in datastore.list_images()
    with pytest.raises(NotFound):
        datastore.get_image_uri("link")
    # One that takes the place of a registered file.
    (folder / "a.nii.gz").unlink()
    (folder / "a.nii.gz").symlink_to(tmp_path / "outside.nii")
    with pytest.raises(NotFound):
        datastore.get_image_uri("a")


def test_an_added_study_never_replaces_one(datastore, folder, upload):
    content = upload.read_bytes()
    assert datastore.add_image("new", str(upload), {"from": "test"}) == "new"
    assert (folder / "new.nii.gz").read_bytes() == content
    assert datastore.get_image_info("new") == {"from": "test"}
    assert datastore.get_image_uri("new") == str(folder / "new.nii.gz")
    volume(folder, "unseen.mha")  # no walk has seen it yet
    (folder / "named").mkdir()
    for study in ("new", "b", "series", "unseen", "named"):
        upload.write_bytes(content)
        with pytest.raises(InvalidRequest) as refused:
            datastore.add_image(study, str(upload), {})
        assert (refused.value.code, refused.value.status) == ("study_exists", 409)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "a.nii.gz",
        "c.nrrd",
        "labels.csv",
        "new.nii.gz",
        "unseen.mha",
    ]


def test_of_two_uploads_under_one_id_one_wins(datastore, folder, upload):
    parts = []
    for number in range(8):
        part = upload.with_name(f"{number}.nii.gz" if number % 2 else f"{number}.nii")
        nib.save(nib.Nifti1Image(np.full((4, 5, 6), number, np.int16), np.eye(4)), part)
        parts.append(part)
    outcomes, start = [], threading.Barrier(len(parts))

    def add(part):
        start.wait()
        try:
            outcomes.append(datastore.add_image("one", str(part), {}))
        except InvalidRequest as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=add, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["one"] + ["study_exists"] * 7
    assert len(list(folder.glob("one*"))) == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("x.nii.gz", b"no volume", "damaged_file"), ("x.zip", b"PK", "damaged_archive"), ("x.nrrd", b"", "empty_file")],
)
def test_an_upload_that_cannot_be_read_leaves_nothing(datastore, folder, tmp_path, name, content, code):
    before = sorted(folder.rglob("*"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyRefused) as refused:
        datastore.add_image("bad", str(tmp_path / name), {})
    assert refused.value.code == code
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(NotFound):
        datastore.summary("bad")


def test_an_upload_that_the_store_cannot_note_leaves_no_file(datastore, folder, upload):
    with datastore._store.database.writing() as connection:
        connection.exec_driver_sql("CREATE TRIGGER fails BEFORE INSERT ON studies BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        datastore.add_image("new", str(upload), {})
    assert not list(folder.glob("new*"))


def test_the_hash_of_images_is_kept_until_they_change(datastore, folder, monkeypatch):
    read = []
    monkeypatch.setattr(datastore_module, "content_sha256", lambda path: read.append(path) or content_sha256(path))
    for study, path in (("a", folder / "a.nii.gz"), ("series", folder / "series")):
        for file in (path, *path.rglob("*")):
            aged(file)
        assert datastore.content(study) == datastore.content(study) == content_sha256(path)
    assert len(read) == 2
    assert datastore.content("series", "1.2") == content_sha256(folder / "series", "1.2")
    assert len(read) == 2
    volume(folder, "a.nii.gz", b"other!")
    aged(folder / "a.nii.gz", 30)
    assert datastore.content("a") == content_sha256(folder / "a.nii.gz")
    # Written this moment, a second change might not show in the times.
    volume(folder, "a.nii.gz", b"third!", age_s=0)
    assert datastore.content("a") == datastore.content("a") == content_sha256(folder / "a.nii.gz")
    assert len(read) == 5


def test_a_hash_for_the_whole_study_does_not_hide_which_series_was_shown(datastore, folder):
    datastore._store.studies.set_content("series", "f" * 64)
    for path in (folder / "series").rglob("*"):
        aged(path)
    datastore.content("series")
    assert datastore._store.studies.content("series", "x") is None
    with datastore._store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT content_sha256 FROM studies WHERE study = 'series'").scalar() == "f" * 64


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
    assert datastore.get_unlabeled_images() == ["b", "c", "series"]
    assert datastore.get_labeled_images("final", ["hydrocephalus"]) == ["a"]
    assert datastore.get_labeled_images("final", ["midline_shift"]) == []
    assert datastore.get_unlabeled_images("final", ["midline_shift"]) == ["a", "b", "c", "series"]
    assert datastore.get_label_info("a", "final") == {"submissions": 1}
    assert json.loads(Path(datastore.get_label_uri("a", "final")).read_text()) == {"study": "a", "findings": {"hydrocephalus": "absent"}}
    assert datastore.status() == {"total": 4, "completed": 1, "label_tags": {"final": 1}}
    assert [item["label"] for item in datastore.datalist()] == [{"hydrocephalus": "absent"}]


def test_the_original_label_is_the_latest_prediction(datastore):
    made = predict(datastore, "b")
    assert datastore.get_labels_by_image_id("b") == {"original": "b"}
    assert datastore.get_label_by_image_id("b", "final") == ""
    assert Prediction.model_validate(datastore.get_label("b", "original")) == made
    assert Prediction.model_validate_json(Path(datastore.get_label_uri("b", "original")).read_text()) == made
    assert datastore.get_label_info("b", "original")["model"]["name"] == "demo"
    assert datastore.get_labeled_images("original") == ["b"]
    assert datastore.get_unlabeled_images("original") == ["a", "c", "series"]
    datastore.add_submission("b", reading("b"))
    assert datastore.get_labels_by_image_id("b") == {"final": "b", "original": "b"}
    with pytest.raises(NotFound):
        datastore.get_label("a", "original")


@pytest.mark.parametrize("tag", ["../../x", "FINAL", "final/..", "a\x00"])
def test_a_tag_is_checked_before_anything_else(datastore, folder, tag):
    calls = [
        lambda: datastore.get_label("a", tag),
        lambda: datastore.get_label_uri("a", tag),
        lambda: datastore.get_label_info("a", tag),
        lambda: datastore.get_label_by_image_id("a", tag),
        lambda: datastore.get_labeled_images(tag),
        lambda: datastore.save_label("a", "/nowhere", tag, {}),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest) as refused:
            call()
        assert refused.value.code == "unsupported_tag"


def test_the_index_has_monai_labels_form(datastore):
    datastore.add_submission("b", reading("b"))
    index = datastore.json()
    assert index["objects"]["b"] == {
        "image": {"ext": ".nii", "info": {}},
        "labels": {"final": {"ext": ".json", "info": {"submissions": 1}}},
    }
    assert index["objects"]["series"] == {"image": {"ext": "", "info": {}}, "labels": {}}


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
