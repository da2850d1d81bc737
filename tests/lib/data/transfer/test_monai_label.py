"""Import of a folder that MONAI Label's own LocalDatastore wrote."""

import json
import os

import pytest

from headct_molre.data.transfer import import_monai_label
from headct_molre.data.transfer.monai_label_folder import FolderLabel
from headct_molre.data.transfer.monai_label_label import submission_of
from headct_molre.errors import HeadCTError
from stored import submission

local = pytest.importorskip("monailabel.datastore.local", reason="MONAI Label is not installed")


@pytest.fixture
def folder(tmp_path):
    """Four images; a reader's JSON, a submission of ours, a prediction, a mask, one JSON without a reader."""
    images = tmp_path / "incoming"
    images.mkdir()
    datastore = local.LocalDatastore(str(tmp_path / "monai"), extensions=("*.nii.gz", "*.nii"))
    for number in (1, 2, 3, 4):
        (images / f"s{number}.nii.gz").write_bytes(b"scan %d" % number)
        datastore.add_image(f"s{number}", str(images / f"s{number}.nii.gz"), {})

    def label(image, content, tag="final", info=None, suffix=".json"):
        path = images / f"label{suffix}"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        datastore.save_label(image, str(path), tag, dict(info or {}))

    label("s1", {"hydrocephalus": "present", "midline_shift": 0}, info={"client_id": "anna"})
    label("s1", {"prediction": [{"idx": 0, "label": "hydrocephalus", "score": 0.9}]}, "original", {"client_id": "anna"})
    label("s2", submission("s2", "ben", number=7).model_dump_json(by_alias=True))
    label("s2", "not a volume", "original", suffix=".nii.gz")
    label("s3", {"hydrocephalus": 1, "subdural_hematoma": None, "midline_shift": True})
    return tmp_path / "monai"


def submissions(store):
    return {study: [record.submission for record in store.submissions.of(study)] for study in store.submissions.counts()}


def test_readings_come_over_and_the_rest_is_counted(store, folder, tmp_path):
    report = import_monai_label(store, folder, tmp_path / "studies", reader="group")
    assert (report.stored, report.already, report.studies_without_images) == (3, 0, 0)
    assert report.skipped == {"model_prediction": 1, "segmentation_mask": 1}
    (first,), (second,), (third,) = (submissions(store)[study] for study in ("s1", "s2", "s3"))
    assert (first.reader, first.findings) == ("anna", {"hydrocephalus": "present", "midline_shift": "absent"})
    assert first.client.startswith("import of a MONAI Label folder; saved 20")
    assert second == submission("s2", "ben", number=7)
    assert (third.reader, third.findings) == ("group", {"hydrocephalus": "present", "midline_shift": "present"})


def test_images_are_copied_and_the_folder_stays_as_it_was(store, folder, tmp_path):
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    report = import_monai_label(store, folder, tmp_path / "studies")
    assert report.images == {"copied": 4}
    assert (tmp_path / "studies" / "s4.nii.gz").read_bytes() == b"scan 4"
    assert store.studies.images("s4").path == "s4.nii.gz"
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    assert sorted(path.name for path in (tmp_path / "studies").iterdir()) == [f"s{i}.nii.gz" for i in (1, 2, 3, 4)]


def test_images_that_lie_in_the_studies_folder_are_registered_where_they_are(store, folder):
    names = sorted(path.name for path in folder.iterdir())
    assert import_monai_label(store, folder, folder).images == {"registered": 4}
    assert store.studies.ids() == ["s1", "s2", "s3", "s4"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_label_without_a_reader_needs_one_to_be_named(store, folder, tmp_path):
    report = import_monai_label(store, folder, tmp_path / "studies")
    assert report.skipped["no_reader"] == 1
    assert any("--reader" in note for note in report.notes)
    assert (import_monai_label(store, folder, tmp_path / "studies", reader="eve").stored, report.stored) == (1, 2)


def test_a_second_import_changes_nothing(store, folder, tmp_path):
    import_monai_label(store, folder, tmp_path / "studies", reader="group")
    before = submissions(store)
    report = import_monai_label(store, folder, tmp_path / "studies", reader="group")
    assert (report.stored, report.already, report.images) == (0, 3, {"already": 4})
    assert submissions(store) == before


def test_a_dry_run_says_the_same_and_does_nothing(store, folder, tmp_path):
    (tmp_path / "studies").mkdir()
    dry = import_monai_label(store, folder, tmp_path / "studies", reader="group", dry_run=True)
    assert (submissions(store), store.studies.ids(), list((tmp_path / "studies").iterdir())) == ({}, [], [])
    done = import_monai_label(store, folder, tmp_path / "studies", reader="group")
    assert (dry.stored, dry.images, dry.skipped) == (done.stored, done.images, done.skipped)


@pytest.mark.parametrize("length", [0, 1, 100, -3])
def test_half_an_index_still_imports_what_the_folder_shows(store, folder, tmp_path, length):
    """As MONAI Label leaves it when it is killed; it does not start on such a folder itself."""
    index = folder / "datastore_v2.json"
    index.write_bytes(index.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"(?i)json"):
        local.LocalDatastore(str(folder))
    report = import_monai_label(store, folder, tmp_path / "studies", reader="group")
    assert (report.stored, report.images) == (3, {"copied": 4})
    assert {each.reader for (each,) in submissions(store).values()} == {"group", "ben"}
    assert any("damaged" in note for note in report.notes)


def test_a_folder_without_its_index_is_one_too(store, folder, tmp_path):
    (folder / "datastore_v2.json").unlink()
    assert import_monai_label(store, folder, tmp_path / "studies", reader="group").stored == 3


def _index(folder, change):
    index = json.loads((folder / "datastore_v2.json").read_text())
    change(index)
    (folder / "datastore_v2.json").write_text(json.dumps(index))


TRAVERSALS = {
    "an id": lambda index: index["objects"].update({"../../etc/passwd": index["objects"]["s1"]}),
    "a tag": lambda index: index["objects"]["s1"]["labels"].update({"../../x": {"ext": ".json", "info": {}}}),
    "an extension": lambda index: index["objects"]["s1"]["labels"].update({"final": {"ext": "/../../x.json", "info": {}}}),
    "the images folder": lambda index: index.update(images_dir="../outside"),
    "the labels folder": lambda index: index.update(labels_dir="/etc"),
    "a zero byte": lambda index: index.update(labels_dir="a\0b"),
}


@pytest.mark.parametrize("name", TRAVERSALS)
def test_names_that_lead_out_of_the_folder_are_refused(store, folder, tmp_path, name):
    _index(folder, TRAVERSALS[name])
    assert code(import_monai_label, store, folder, tmp_path / "studies") == "unsafe_name"
    assert (submissions(store), (tmp_path / "studies").exists()) == ({}, False)


@pytest.mark.parametrize("place", ["s9.nii.gz", "labels/final/s4.json", "labels/more"])
def test_links_that_lead_out_of_the_folder_are_refused(store, folder, tmp_path, place):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s4.json").write_text('{"hydrocephalus": 1}')
    os.symlink(tmp_path / "secret" / ("" if place == "labels/more" else "s4.json"), folder / place)
    assert code(import_monai_label, store, folder, tmp_path / "studies") == "unsafe_name"


def test_other_images_under_the_same_id_stop_the_import(store, folder, tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "s3.nrrd").write_bytes(b"other")
    assert code(import_monai_label, store, folder, tmp_path / "studies") == "study_exists"
    assert (submissions(store), [path.name for path in (tmp_path / "studies").iterdir()]) == ({}, ["s3.nrrd"])


def test_ids_that_cannot_be_studies_are_counted(store, folder, tmp_path):
    (folder / "head of a patient.nii.gz").write_bytes(b"scan")
    (folder / "labels" / "final" / "head of a patient.json").write_text('{"hydrocephalus": 1}')
    report = import_monai_label(store, folder, tmp_path / "studies", reader="group")
    assert (report.skipped["not_a_study_id"], report.images["copied"]) == (2, 4)


@pytest.mark.parametrize(
    "content",
    [
        {"hydrocephalus": "maybe"},
        {"hydrocephalus": 0.7},
        {"headache": "present"},
        {},
        [1],
        "{",
        "[" * 100_000,
        {"hydrocephalus": None},
        {"submission_id": "x"},
        {"hydrocephalus": {"present": 1}},
    ],
)
def test_json_that_is_no_reading_is_none(tmp_path, content):
    path = tmp_path / "s4.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert submission_of(FolderLabel("s4", "final", path, {"client_id": "anna"}), None) == "not_findings"


def test_a_submission_about_another_study_is_counted(store, folder, tmp_path):
    (folder / "labels" / "final" / "s4.json").write_text(submission("s1").model_dump_json(by_alias=True))
    assert import_monai_label(store, folder, tmp_path / "studies").skipped["other_study"] == 1


def test_what_is_no_folder_of_monai_label_is_refused(store, tmp_path):
    assert code(import_monai_label, store, tmp_path / "none", tmp_path) == "folder_missing"
    (tmp_path / "empty").mkdir()
    assert code(import_monai_label, store, tmp_path / "empty", tmp_path) == "not_a_label_folder"


def code(function, *arguments, **options):
    with pytest.raises(HeadCTError) as refused:
        function(*arguments, **options)
    return refused.value.code
