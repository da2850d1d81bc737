"""Import of labels from CSV and JSON lines: all of it or nothing, once however often, every problem by row and column."""

import json
import os
import signal
import subprocess
import sys

import pytest

from headct_molre.data.store import StudyImages, StudyStore, sqlite_url
from headct_molre.data.transfer import InvalidLabels, export_json_lines, import_csv, import_json_lines
from headct_molre.errors import HeadCTError, InvalidRequest
from stored import fill, prediction, submission


@pytest.fixture
def csv_file(tmp_path):
    def write(*lines, name="labels.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def problems(store, path, **options):
    with pytest.raises(InvalidLabels) as refused:
        import_csv(store, path, **options)
    assert store.submissions.counts() == {}  # nothing was written
    return [(each.row, each.column, each.value) for each in refused.value.problems]


def test_each_row_is_a_submission_of_its_reader(store, csv_file):
    path = csv_file(
        "Study,reader,comment,hydrocephalus,midline_shift,subdural_hematoma",
        's1,anna,"slight, left",present,0,',
        "s1,Jürgen,,absent,uncertain,not_assessed",
        "s2,anna,,-1,1.0,Not assessed",
    )
    report = import_csv(store, path)
    assert (report.stored, report.already, report.studies_without_images) == (3, 0, 2)
    first, second = (record.submission for record in store.submissions.of("s1"))
    assert (first.reader, first.comment, first.findings) == (
        "anna",
        "slight, left",
        {"hydrocephalus": "present", "midline_shift": "absent"},
    )
    assert (second.reader, second.findings) == ("Jürgen", {"hydrocephalus": "absent", "midline_shift": "uncertain"})
    assert first.model is None
    assert first.client == "import of a CSV of labels"
    assert store.submissions.of("s2")[0].submission.findings == {"hydrocephalus": "uncertain", "midline_shift": "present"}


def test_a_repeated_import_stores_nothing_also_under_another_name_and_in_another_order(store, csv_file):
    header, rows = "study,reader,hydrocephalus", ["s1,anna,1", "s2,anna,0", "s3,ben,1"]
    import_csv(store, csv_file(header, *rows))
    before = [store.submissions.of(study) for study in ("s1", "s2", "s3")]
    report = import_csv(store, csv_file(header, *reversed(rows), "s4,ben,1", name="again.csv"))
    assert (report.stored, report.already) == (1, 3)
    assert [store.submissions.of(study) for study in ("s1", "s2", "s3")] == before


def test_a_dry_run_says_what_would_happen(store, csv_file):
    path = csv_file("study,reader,hydrocephalus", "s1,anna,1", "s2,anna,0", "s2,anna,0")
    store.studies.register([StudyImages("s1", "s1.nii.gz", "nifti")])
    report = import_csv(store, path, dry_run=True)
    assert (report.stored, report.already, report.studies_without_images) == (2, 0, 1)
    assert store.submissions.counts() == {}
    assert import_csv(store, path).stored == 2
    assert import_csv(store, path, dry_run=True).already == 2


def test_times_decide_who_came_last_and_are_kept(store, csv_file):
    path = csv_file(
        "study,reader,submitted_at,hydrocephalus",
        "s1,anna,2026-05-17T12:00+02:00,present",
        "s1,anna,2026-05-17T09:00:00,absent",
        "s1,ben,,uncertain",
    )
    import_csv(store, path)
    assert [record.submission.findings["hydrocephalus"] for record in store.submissions.of("s1")] == ["uncertain", "absent", "present"]
    assert store.submissions.of("s1")[-1].submission.client == "import of a CSV of labels; submitted 2026-05-17T10:00:00+00:00"


def test_a_manifest_of_a_cohort_is_a_csv_of_labels(store, csv_file):
    path = csv_file("study,path,patient,split,hydrocephalus", "s1,a.nii.gz,p1,train,1", "s2,b.nii.gz,p2,test,")
    report = import_csv(store, path, reader="consensus")
    assert (report.stored, report.skipped["nothing_assessed"]) == (1, 1)
    assert "path, patient, split" in report.notes[0]
    assert store.submissions.of("s1")[0].submission.reader == "consensus"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["study,reader,hydrocephalus", "s1,anna,yes", "s2,anna,2"], [(2, "hydrocephalus", "yes"), (3, "hydrocephalus", "2")]),
        (["study,reader,hydrocephalus", "../s1,anna,1"], [(2, "study", "../s1")]),
        (["study,reader,hydrocephalus", "a/b,anna,1", ".s,anna,1"], [(2, "study", "a/b"), (3, "study", ".s")]),
        (["study,reader,hydrocephalus", ",anna,1"], [(2, "study", None)]),
        (["study,reader,hydrocephalus", "s1,,1"], [(2, "reader", None)]),
        (["study,reader,hydrocephalus", "s1,an\x07na,1"], [(2, "reader", "an\\x07na")]),
        (["study,reader,hydrocephalus", "s1," + "x" * 129 + ",1"], [(2, "reader", "x" * 80 + "...")]),
        (["study,reader,submitted_at,hydrocephalus", "s1,anna,17.5.2026,1"], [(2, "submitted_at", "17.5.2026")]),
        (["study,reader,comment,hydrocephalus", "s1,anna," + "x" * 10_001 + ",1"], [(2, "comment", None)]),
        (["study,reader,hydrocephalus", "s1,anna,1", "s1,anna,0"], [(3, "study", "s1")]),
        (["study,reader,hydrocephalus", "s1,anna,1,1"], [(2, None, None)]),
        (["study,reader,hydrocefalus", "s1,anna,1"], [(1, "hydrocefalus", None)]),
        (["reader,hydrocephalus", "anna,1"], [(1, "study", None)]),
        (["study,hydrocephalus", "s1,1"], [(1, "reader", None)]),
        (["study,reader", "s1,anna"], [(1, None, None)]),
        (["study;reader;hydrocephalus", "s1;anna;1"], [(1, None, None)]),
        ([""], [(1, None, None)]),
    ],
)
def test_every_problem_has_its_row_and_column_and_nothing_is_written(store, csv_file, lines, expected):
    assert problems(store, csv_file(*lines)) == expected


def test_skip_bad_imports_the_rest(store, csv_file):
    path = csv_file("study,reader,hydrocephalus", "s1,anna,1", "s2,anna,yes", "s3,anna,1,1", "s4,anna,0")
    report = import_csv(store, path, skip_bad=True)
    assert (report.stored, report.skipped["wrong"]) == (2, 2)
    assert store.submissions.counts() == {"s1": 1, "s4": 1}


def test_skip_bad_does_not_hide_what_is_wrong_with_the_whole_file(store, csv_file):
    assert problems(store, csv_file("study,reader,hydrocefalus", "s1,anna,1"), skip_bad=True)
    # All below an open quotation mark would be lost.
    assert problems(store, csv_file("study,reader,hydrocephalus", "s1,anna,1", 's2,"anna,1', "s3,anna,1"), skip_bad=True)


@pytest.mark.parametrize("reader", ["", " ", "x" * 129, "a\nb"])
def test_a_reader_has_a_name(store, csv_file, reader):
    with pytest.raises(InvalidRequest) as refused:
        import_csv(store, csv_file("study,hydrocephalus", "s1,1"), reader=reader)
    assert refused.value.code == "invalid_reader"


def test_what_is_exported_as_json_lines_is_imported_whole(store, tmp_path):
    fill(store, 12)
    store.predictions.put("f" * 64, prediction("study-1", 0.75))
    store.studies.set_content("study-1", "f" * 64)
    store.submissions.add(submission("study-1", "anna", model="demo"))
    path, again = tmp_path / "all.jsonl", tmp_path / "again.jsonl"
    assert export_json_lines(store.database, path).written == sum(store.submissions.counts().values())
    other = StudyStore(sqlite_url(tmp_path / "other.sqlite"))
    assert import_json_lines(other, path).stored == sum(store.submissions.counts().values())
    export_json_lines(other.database, again)
    mine, theirs = ([json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]] for file in (path, again))
    assert [(record["submission"], record["shown_probabilities"]) for record in mine] == [
        (record["submission"], record["shown_probabilities"]) for record in theirs
    ]
    assert mine[-1]["shown_probabilities"]["hydrocephalus"] == 0.75
    assert import_json_lines(other, again).stored == 0
    other.close()


def test_a_line_may_be_a_bare_submission(store, tmp_path):
    sent = submission()
    (tmp_path / "one.jsonl").write_text(sent.model_dump_json(by_alias=True) + "\n\n")
    assert import_json_lines(store, tmp_path / "one.jsonl").stored == 1
    assert store.submissions.of("study-1")[0].submission == sent


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"null", b'{"study": "s1"}', b'{"submission": {}}', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'],
)
def test_a_line_that_is_none_is_a_problem_by_its_number(store, tmp_path, line):
    good = submission().model_dump_json(by_alias=True).encode()
    (tmp_path / "bad.jsonl").write_bytes(b"\n".join([good, line, good]))
    with pytest.raises(InvalidLabels) as refused:
        import_json_lines(store, tmp_path / "bad.jsonl")
    assert [problem.row for problem in refused.value.problems] == [2]
    assert store.submissions.counts() == {}
    assert import_json_lines(store, tmp_path / "bad.jsonl", skip_bad=True).stored == 1


def test_traversal_and_unknown_findings_are_refused_in_json_lines(store, tmp_path):
    document = json.loads(submission().model_dump_json(by_alias=True))
    changed = [{**document, "study": "../x"}, {**document, "findings": {"headache": "present"}}, {**document, "more": 1}]
    (tmp_path / "bad.jsonl").write_text("\n".join(map(json.dumps, changed)))
    with pytest.raises(InvalidLabels) as refused:
        import_json_lines(store, tmp_path / "bad.jsonl")
    assert [(problem.row, problem.column) for problem in refused.value.problems] == [(1, "study"), (2, "findings"), (3, "more")]


def test_another_submission_under_a_stored_id_stops_the_import(store, tmp_path):
    sent = submission()
    store.submissions.add(sent)
    lines = [submission("study-2"), sent.model_copy(update={"reader": "ben"})]
    (tmp_path / "bad.jsonl").write_text("\n".join(line.model_dump_json(by_alias=True) for line in lines))
    with pytest.raises(HeadCTError) as refused:
        import_json_lines(store, tmp_path / "bad.jsonl")
    assert refused.value.code == "submission_conflict"
    assert store.submissions.counts() == {"study-1": 1}


def test_one_id_with_two_contents_in_a_file_stops_the_import(store, tmp_path):
    sent = submission()
    lines = [sent, *(submission() for _ in range(600)), sent.model_copy(update={"reader": "ben"})]
    for part in (lines, [lines[0], lines[-1]]):
        (tmp_path / "bad.jsonl").write_text("\n".join(line.model_dump_json(by_alias=True) for line in part))
        with pytest.raises(HeadCTError) as refused:
            import_json_lines(store, tmp_path / "bad.jsonl")
        assert refused.value.code == "submission_conflict"
    assert store.submissions.counts() == {}


_IMPORT = """
import sys
from pathlib import Path
from headct_molre.data.store import StudyStore
from headct_molre.data.transfer import import_csv
told = []
def done(_):
    told.append(1)
    if len(told) == 2500:
        print("working", flush=True)
import_csv(StudyStore(sys.argv[1]), Path(sys.argv[2]), done=done)
"""


def test_a_killed_import_is_finished_by_the_next(store_url, csv_file):
    path = csv_file("study,reader,hydrocephalus", *(f"s{i},anna,1" for i in range(4000)))
    process = subprocess.Popen([sys.executable, "-c", _IMPORT, store_url, str(path)], stdout=subprocess.PIPE, env=os.environ)
    process.stdout.readline()
    process.kill()
    assert process.wait() == -signal.SIGKILL
    store = StudyStore(store_url)
    before = len(store.submissions.counts())
    assert 2000 <= before < 4000
    report = import_csv(store, path)
    assert (report.stored, report.already) == (4000 - before, before)
    assert set(store.submissions.counts().values()) == {1}
    store.close()
