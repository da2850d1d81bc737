"""Everything that is wrong with a manifest is said, with its row, its column and the remedy."""

import copy

import pytest

from headct_molre.data.cohort import InvalidManifest, read_manifest
from headct_molre.data.cohort.problems import MOST_KEPT


@pytest.fixture
def problems(tmp_path):
    """Reads the text of a manifest beside the files a.nii to d.nii; its problems as (row, column, value, message)."""
    for name in "abcd":
        (tmp_path / f"{name}.nii").write_bytes(b"scan")

    def read(text: str | bytes) -> list[tuple[int | None, str | None, str | None, str]]:
        (tmp_path / "cohort.csv").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        with pytest.raises(InvalidManifest) as refused:
            read_manifest(tmp_path / "cohort.csv")
        error = refused.value
        assert (error.code, error.field, error.status) == ("invalid_manifest", "manifest", 422)
        assert error.total == len(error.problems)
        assert "\n" not in error.message
        return [(problem.row, problem.column, problem.value, problem.message) for problem in error.problems]

    return read


@pytest.mark.parametrize(
    ("header", "cells", "column", "value", "words"),
    [
        ("path,patient", "gone.nii,P", "path", "gone.nii", "does not exist; a relative path starts at the folder of the manifest"),
        ("path,patient", "scans\\a.nii,P", "path", "scans", "write / and not"),
        ("path,patient", ",P", "path", None, "is empty"),
        ("path,patient", "a.nii,", "patient", None, "is empty"),
        ("path,patient,split", "a.nii,P,val", "split", "val", "train, validation, test"),
        ("path,patient,age_years", "a.nii,P,nan", "age_years", "nan", "leave the cell empty"),
        ("path,patient,age_years", "a.nii,P,-3", "age_years", "-3", "between 0 and 130 years"),
        ("path,patient,age_years", "a.nii,P,inf", "age_years", "inf", "between 0 and 130"),
        ("path,patient,age_years", "a.nii,P,045Y", "age_years", "045Y", "not a number of years"),
        ("path,patient,age_years", "a.nii,P,1_0", "age_years", "1_0", "not a number"),
        ("path,patient,slice_thickness_mm", 'a.nii,P,"2,5"', "slice_thickness_mm", "2,5", "decimal point"),
        ("path,patient,slice_thickness_mm", "a.nii,P,0", "slice_thickness_mm", "0", "mm"),
        ("path,patient,sex", "a.nii,P,W", "sex", "W", "M, F, O"),
        ("path,patient,synthetic", "a.nii,P,perhaps", "synthetic", "perhaps", "yes, no"),
        ("path,patient,series_uid", "a.nii,P,first", "series_uid", "first", "digits and dots"),
        ("path,patient,study", "a.nii,P,../../etc", "study", "../../etc", "letter or digit first"),
        ("path,patient,midline_shift", "a.nii,P,preset", "midline_shift", "preset", "present, absent, uncertain or not_assessed"),
        ("path,patient,midline_shift", "a.nii,P,2", "midline_shift", "2", "1, 0, -1 or nothing"),
        ("path,patient,midline_shift", "a.nii,P,nan", "midline_shift", "nan", "is no state"),
        ("path,patient,site", "a.nii,P,=cmd|' /C calc'!A0", "site", "=cmd", "formula"),
        ("path,patient,site", "a.nii,P,@SUM(1)", "site", "@SUM", "formula"),
        ("path,patient,site", "a.nii,P,+1+cmd", "site", "+1", "formula"),
        ("path,patient,site", "a.nii,P,-2-3", "site", "-2", "formula"),
        ("path,patient,site", 'a.nii,P,"two\nlines"', "site", "two\\nlines", "line break"),
        ("path,patient,site", "a.nii,P,bell\x07", "site", "bell\\x07", "cannot be seen"),
        ("path,patient,site", "a.nii,P,zero\u200bwidth", "site", "zero\\u200bwidth", "cannot be seen"),
        ("path,patient,site", "a.nii,P,null\x00", "site", "null\\x00", "cannot be seen"),
        ("path,patient,site", f"a.nii,P,{'x' * 300}", "site", "x" * 80 + "...", "300 characters"),
        ("path,patient", f"{'x' * 5000},P", "path", "x" * 80 + "...", "5000 characters"),
    ],
)
def test_a_wrong_cell(problems, header, cells, column, value, words):
    ((row, at, shown, message),) = problems(f"{header}\n{cells}\n")
    assert (row, at) == (2, column)
    assert shown == value if value is None else value in shown
    assert words in message


@pytest.mark.parametrize("patient", ["-42", "+7", "-1.5", "1e5", "007"])
def test_a_number_is_no_formula(tmp_path, patient):
    (tmp_path / "a.nii").touch()
    (tmp_path / "cohort.csv").write_text(f"path,patient\na.nii,{patient}\n")
    assert read_manifest(tmp_path / "cohort.csv").studies[0].patient == patient


@pytest.mark.parametrize(
    ("header", "column", "words"),
    [
        ("path,patient,midline_shft", "midline_shft", "did you mean midline_shift?"),
        ("path,patient,Midline shift", "Midline shift", "did you mean midline_shift?"),
        ("path,patient,SDH", "SDH", "did you mean subdural_hematoma?"),
        ("path,patient,patient_id", "patient_id", "did you mean patient?"),
        ("path,patient,zzzz", "zzzz", "delete it"),
        ("path,patient,site,Site", "site", "columns 3 and 4"),
        ("path,patient,", "number 3", "index=False"),
        ("Unnamed: 0,path,patient", "number 1", "index=False"),
        ("path,site", "patient", "a patient could be in two splits"),
        ("patient,site", "path", "is missing"),
    ],
)
def test_a_wrong_column(problems, header, column, words):
    ((row, at, _, message),) = problems(f"{header}\n{','.join('x' * len(header.split(',')))}\n")
    assert (row, at) == (1, column)
    assert words in message


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        (b"", 1, "the file is empty"),
        (b"\n\n", 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, "the file is empty"),
        (b"path,patient\n", None, "no studies"),
        (b"path,patient\n\n,\n", None, "no studies"),
        (b"path;patient;site\na.nii;P;S\n", 1, "semicolons"),
        (b"path\tpatient\na.nii\tP\n", 1, "tabs"),
        ("path,patient\na.nii,Müller\n".encode("latin-1"), 2, "byte 0xfc is not UTF-8; save the file as CSV UTF-8"),
        ("path,patient\na.nii,P\n".encode("utf-16"), 1, "UTF-16"),
        (b"path,patient\na.nii,P,extra\n", 2, "has 3 cells, the first row 2"),
        (b"path,patient,site\na.nii,P\n", 2, "has 2 cells, the first row 3"),
        (b'path,patient\na.nii,P\nb.nii,"Q\n', 3, "quotation mark"),
        (b'path,patient\na.nii,"' + b"x" * 200_000 + b'"\n', 2, "quotation mark"),
        (b"path,patient\n\na.nii,P\n", 2, "is empty, with studies below it"),
        (b",".join(b"c%d" % i for i in range(2000)) + b"\n", 1, "2000 columns"),
    ],
)
def test_a_file_that_is_no_table(problems, content, row, words):
    ((at, _, _, message),) = problems(content)
    assert at == row
    assert words in message


def test_all_problems_are_found_at_once_in_the_order_of_rows(problems):
    found = problems("path,patient,split,midline_shift\na.nii,P,train,maybe\ngone.nii,Q,,present\nb.nii,P,tst,1,1\nc.nii,R,tst,1\n")
    assert [(row, column) for row, column, _, _ in found] == [(2, "midline_shift"), (3, "path"), (4, None), (5, "split")]


def test_a_patient_in_two_splits_is_named_by_rows_only(problems):
    ((row, column, value, message),) = problems("path,patient,split\na.nii,Jane Doe,train\nb.nii,X,test\nc.nii,Jane Doe,test\n")
    assert (row, column, value) == (4, "split", "test")
    assert "train as in row 2 of the same patient" in message


def test_a_wrong_patient_is_never_repeated(problems, tmp_path):
    problems("path,patient\na.nii,=Jane Doe\n")
    with pytest.raises(InvalidManifest) as refused:
        read_manifest(tmp_path / "cohort.csv")
    assert "Jane" not in refused.value.message
    assert refused.value.problems[0].value is None


def test_a_study_that_is_there_twice(problems):
    ((row, column, value, message),) = problems("study,path,patient\nx,a.nii,P\ny,b.nii,P\nx,c.nii,P\n")
    assert (row, column, value) == (4, "study", "x")
    assert "row 2" in message


def test_two_paths_of_one_name_need_a_column_study(problems, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.nii").touch()
    ((row, column, _, message),) = problems("path,patient\na.nii,P\nother/a.nii,P\n")
    assert (row, column) == (3, "study")
    assert "add a column study" in message


@pytest.mark.parametrize("again", ["a.nii", "./a.nii", "link.nii", "hard.nii"])
def test_the_same_images_are_found_under_another_path(problems, tmp_path, again):
    (tmp_path / "link.nii").symlink_to(tmp_path / "a.nii")
    (tmp_path / "hard.nii").hardlink_to(tmp_path / "a.nii")
    ((row, column, _, message),) = problems(f"study,path,patient\nx,a.nii,P\ny,{again},Q\n")
    assert (row, column) == (3, "path")
    assert "row 2" in message


def test_a_file_that_is_wrong_throughout_is_counted_and_not_kept(tmp_path):
    (tmp_path / "cohort.csv").write_text("path,patient,midline_shift,mass_effect\n" + "gone.nii,P,x,y\n" * 2000)
    with pytest.raises(InvalidManifest) as refused:
        read_manifest(tmp_path / "cohort.csv", check_files=False)
    assert len(refused.value.problems) == MOST_KEPT
    assert refused.value.total == 2 * 2000 + 2 * 1999  # states, and the same study and path again
    assert len(refused.value.message) < 1000
    assert "more, which headct-molre cohort check lists" in refused.value.message


def test_the_error_crosses_to_another_process_with_its_problems(problems, tmp_path):
    problems("path,patient\ngone.nii,P\n")
    with pytest.raises(InvalidManifest) as refused:
        read_manifest(tmp_path / "cohort.csv")
    same = copy.copy(refused.value)
    assert (same.to_json(), same.problems, same.total) == (refused.value.to_json(), refused.value.problems, 1)
