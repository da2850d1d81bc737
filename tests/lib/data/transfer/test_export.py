"""Export: a manifest of labels that a cohort is read from, and every submission whole; from one moment, whole or not at all."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from headct_molre.data.cohort import PRESENT, UNCERTAIN, read_manifest
from headct_molre.data.store import StudyImages, StudyStore
from headct_molre.data.transfer import export_csv, export_json_lines
from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from stored import submission


@pytest.fixture
def store(store_url, tmp_path):
    """Two studies with images, one without; two readers who differ on the first."""
    store = StudyStore(store_url)
    store.studies.register([StudyImages("s1", "=ward/s1.nii.gz", "nifti"), StudyImages("s2", "s2.nii.gz", "nifti")])
    (tmp_path / "=ward").mkdir()
    for name in ("=ward/s1.nii.gz", "s2.nii.gz"):
        (tmp_path / name).write_bytes(b"scan")
    for study, reader, state in (("s2", "anna", "present"), ("s1", "anna", "present"), ("s1", "ben", "absent"), ("s3", "anna", "absent")):
        store.submissions.add(submission(study, reader, hydrocephalus=state, midline_shift="not_assessed"))
    yield store
    store.close()


def test_the_csv_is_a_manifest(store, tmp_path):
    path = tmp_path / "labels.csv"
    exported = export_csv(store.database, path, tmp_path)
    assert (exported.written, exported.without_images) == (2, 1)
    cohort = read_manifest(path)
    assert [(study.study, study.path, study.readers) for study in cohort.studies] == [
        ("s1", tmp_path / "=ward" / "s1.nii.gz", 2),
        ("s2", tmp_path / "s2.nii.gz", 1),
    ]
    column = finding_keys().index("hydrocephalus")
    assert cohort.states[:, column].tolist() == [UNCERTAIN, PRESENT]
    assert cohort.states.sum() == UNCERTAIN + PRESENT  # nothing else was assessed


def test_studies_of_one_patient_share_a_pseudonym_so_that_a_split_keeps_them_together(store, tmp_path):
    for study in ("s1", "s2"):
        store.studies.update_info(study, {"patient": "PAT-4711"})
    path = tmp_path / "labels.csv"
    export_csv(store.database, path, tmp_path, without_images=True)
    rows = [line.split(",")[:4] for line in path.read_text().splitlines()]
    assert rows[0] == ["study", "path", "patient", "readers"]
    assert rows[1][2] == rows[2][2]
    assert rows[3][2] == "s3"
    assert "4711" not in path.read_text()


def test_the_rule_decides_where_readers_differ(store, tmp_path):
    export_csv(store.database, tmp_path / "labels.csv", tmp_path, rule="any_present")
    column = finding_keys().index("hydrocephalus")
    assert read_manifest(tmp_path / "labels.csv").states[:, column].tolist() == [PRESENT, PRESENT]
    with pytest.raises(InvalidRequest) as refused:
        export_csv(store.database, tmp_path / "none.csv", tmp_path, rule="dice")
    assert (refused.value.code, (tmp_path / "none.csv").exists()) == ("unknown_label_rule", False)


def test_studies_without_images_are_written_where_asked_for(store, tmp_path):
    exported = export_csv(store.database, tmp_path / "labels.csv", tmp_path, without_images=True)
    assert (exported.written, exported.without_images) == (3, 0)
    assert (tmp_path / "labels.csv").read_text().splitlines()[3].startswith("s3,,s3,1,")


def test_since_keeps_studies_that_were_read_since_with_all_their_readings(store, tmp_path):
    since = datetime.now(UTC)
    store.submissions.add(submission("s1", "eve", hydrocephalus="absent"))
    assert export_csv(store.database, tmp_path / "labels.csv", tmp_path, since=since).written == 1
    assert read_manifest(tmp_path / "labels.csv").studies[0].readers == 3
    assert export_json_lines(store.database, tmp_path / "new.jsonl", since=since).written == 1
    assert export_json_lines(store.database, tmp_path / "none.jsonl", since=datetime.now(UTC) + timedelta(hours=1)).written == 0


def test_json_lines_are_the_records_in_the_order_of_arrival(store, tmp_path):
    export_json_lines(store.database, tmp_path / "all.jsonl")
    records = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(record["submission"]["study"], record["submission"]["reader"]) for record in records] == [
        ("s2", "anna"),
        ("s1", "anna"),
        ("s1", "ben"),
        ("s3", "anna"),
    ]
    kept = store.submissions.of("s2")[0]
    assert records[0] == json.loads(kept.model_dump_json(by_alias=True))


def test_a_failed_export_leaves_the_earlier_file(store, tmp_path):
    path = tmp_path / "all.jsonl"
    path.write_text("before")

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        export_json_lines(store.database, path, done=full)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []
