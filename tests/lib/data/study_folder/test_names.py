"""Ids from the names of files and folders, which may be anything."""

import pytest
from pydantic import TypeAdapter

from headct_molre.data.study_folder import study_names
from headct_molre.schema import StudyId

AN_ID = TypeAdapter(StudyId)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("scan.nii.gz", "scan"),
        ("SCAN.NII.GZ", "SCAN"),
        ("a/b/scan.nrrd", "scan"),
        ("patient 1.nii.gz", "patient_1"),
        ("Schädel Müller.nii", "Schadel_Muller"),
        ("-x.nii", "x"),
        (".._x.nii", "x"),
        ("a\nb.nii", "a_b"),
        ("a\\..\\b.nii", "a_.._b"),
    ],
)
def test_the_first_choice_is_the_name_itself(path, name):
    assert study_names(path, is_folder=False)[0] == name


def test_a_folder_keeps_what_looks_like_a_suffix():
    assert study_names("x/series.nrrd", is_folder=True)[0] == "series.nrrd"


def test_the_next_choices_name_the_folders_above_and_the_suffix():
    assert study_names("ward b/p1/ct.nii.gz", is_folder=False)[:4] == ("ct", "p1-ct", "ward_b-p1-ct", "ward_b-p1-ct-nii-gz")


@pytest.mark.parametrize("path", ["日本.nii", "💀/日本.nii", "x" * 300 + ".nii", "a/" * 40 + "x" * 100 + ".nii", "_.nii", "ü" * 200])
def test_every_choice_is_an_id_and_the_last_one_is_of_this_path_alone(path):
    names = study_names(path, is_folder=False)
    assert [AN_ID.validate_python(name) for name in names] == list(names)
    assert names[-1] != study_names(f"other/{path}", is_folder=False)[-1]
