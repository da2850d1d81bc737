"""A manifest means what its page says, and what is written is read back."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorts import long_tail_cohort
from headct_molre.data.cohort import STATES, Cohort, CohortStudy, InvalidManifest, read_manifest, write_manifest
from headct_molre.errors import InvalidRequest, NotFound
from headct_molre.findings import finding_keys

FINDING = "midline_shift"
PLACE = finding_keys().index(FINDING)


@pytest.fixture
def manifest(tmp_path):
    """Writes the text of a manifest beside two files of studies."""
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"scan")

    def write(text: str | bytes, name: str = "cohort.csv") -> Path:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


def test_a_row_is_a_study_and_what_it_does_not_say_is_not_known(manifest, tmp_path):
    cohort = read_manifest(manifest(f"path,patient,{FINDING}\na.nii.gz,Ann,present\nb.nii.gz,Ben,\n"))
    assert cohort.studies == (CohortStudy("a", tmp_path / "a.nii.gz", "Ann"), CohortStudy("b", tmp_path / "b.nii.gz", "Ben"))
    assert cohort.states.dtype == np.uint8
    assert [STATES[code] for code in cohort.states[:, PLACE]] == ["present", "not_assessed"]
    assert not np.delete(cohort.states, PLACE, 1).any(), "a finding without a column is not assessed"


def test_every_column_of_a_study(manifest, tmp_path):
    header = "study,path,patient,split,site,scanner,sex,age_years,slice_thickness_mm,series_uid,synthetic"
    (study,) = read_manifest(manifest(f"{header}\ncase-1,a.nii.gz,P1,Train,North,GE LightSpeed,female,61.5,5,1.2.3,yes\n")).studies
    expected = CohortStudy("case-1", tmp_path / "a.nii.gz", "P1", "train", "North", "GE LightSpeed", "F", 61.5, 5.0, "1.2.3", True)
    assert study == expected


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        ("present", "present"),
        ("Absent", "absent"),
        ("UNCERTAIN", "uncertain"),
        ("Not assessed", "not_assessed"),
        (" present ", "present"),
        ("1", "present"),
        ("0", "absent"),
        ("-1", "uncertain"),
        ("1.0", "present"),
        ("0.0", "absent"),
        ("-1.0", "uncertain"),
        ("", "not_assessed"),
    ],
)
def test_a_state_is_a_word_or_a_number_of_chexbert(manifest, cell, state):
    cohort = read_manifest(manifest(f"path,patient,{FINDING}\na.nii.gz,Ann,{cell}\n"))
    assert STATES[cohort.states[0, PLACE]] == state


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_byte_order_mark_and_empty_rows_at_the_end_do_not_matter(manifest, end, mark):
    text = f"path,patient,{FINDING}\na.nii.gz,Müller,present\nb.nii.gz,Ωmega 患者,0\n\n,,\n".replace("\n", end)
    cohort = read_manifest(manifest(mark + text.encode()))
    assert [study.patient for study in cohort.studies] == ["Müller", "Ωmega 患者"]
    assert [STATES[code] for code in cohort.states[:, PLACE]] == ["present", "absent"]


def test_column_names_and_order_are_free_within_reason(manifest):
    cohort = read_manifest(manifest(f"{FINDING.upper()}, Patient ,PATH\npresent,Ann,a.nii.gz\n"))
    assert cohort.studies[0].patient == "Ann"
    assert STATES[cohort.states[0, PLACE]] == "present"


def test_one_patient_whose_name_is_encoded_in_two_ways_is_one_patient(manifest):
    cohort = read_manifest(manifest("path,patient\na.nii.gz,Jos\u00e9\nb.nii.gz,Jose\u0301\n"))
    assert len(set(cohort.patients)) == 1


def test_without_patients_studies_are_patients_only_where_that_is_said(manifest):
    path = manifest("path\na.nii.gz\nb.nii.gz\n")
    with pytest.raises(InvalidManifest, match="--patients-are-studies"):
        read_manifest(path)
    assert list(read_manifest(path, patients_are_studies=True).patients) == ["a", "b"]


def test_one_folder_serves_studies_that_name_their_series(manifest, tmp_path):
    cohort = read_manifest(manifest("study,path,patient,series_uid\nx,a.nii.gz,P,1.2\ny,a.nii.gz,P,1.3\n"))
    assert [study.series_uid for study in cohort.studies] == ["1.2", "1.3"]
    with pytest.raises(InvalidManifest, match="also the path of row 2"):
        read_manifest(manifest("study,path,patient,series_uid\nx,a.nii.gz,P,1.2\ny,a.nii.gz,P,\n"))


def test_images_are_not_looked_for_where_they_are_not_needed(manifest):
    path = manifest("path,patient\nelsewhere.nii.gz,P\n")
    assert len(read_manifest(path, check_files=False)) == 1
    with pytest.raises(InvalidManifest, match="does not exist"):
        read_manifest(path)


def test_a_missing_manifest_and_another_format_are_refused(tmp_path):
    with pytest.raises(NotFound) as missing:
        read_manifest(tmp_path / "cohort.csv")
    assert missing.value.field == "manifest"
    for refuse in (read_manifest, lambda path: write_manifest(long_tail_cohort(3), path)):
        with pytest.raises(InvalidRequest, match=r"\.parquet"):
            refuse(tmp_path / "cohort.xlsx")


WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)


def readable(text: str) -> bool:
    return unicodedata.normalize("NFC", text) == text and text[0] not in "=+-@"


NAMES = st.none() | WORDS.filter(readable)
PATHS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\"), min_size=1, max_size=30)


@st.composite
def cohorts(draw):
    count = draw(st.integers(1, 6))
    names = draw(st.lists(PATHS.filter(lambda name: name not in (".", "..")), min_size=count, max_size=count, unique=True))
    studies = []
    for number, name in enumerate(names):
        studies.append(
            CohortStudy(
                study=f"study-{number}",
                path=Path(draw(st.sampled_from(["/elsewhere", "{folder}", "{folder}/deeper"]))) / name,
                patient=draw(WORDS.filter(readable)),
                site=draw(NAMES),
                scanner=draw(NAMES),
                sex=draw(st.sampled_from([None, "M", "F", "O"])),
                age_years=draw(st.none() | st.floats(0, 130)),
                slice_thickness_mm=draw(st.none() | st.floats(0.05, 100)),
                series_uid=draw(st.sampled_from([None, "1.2.840.1"])),
                synthetic=draw(st.booleans()),
            )
        )
    splits = {patient: draw(st.sampled_from([None, "train", "validation", "test"])) for patient in {study.patient for study in studies}}
    states = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 4, (count, 75)).astype(np.uint8)
    return Cohort(tuple(replace(study, split=splits[study.patient]) for study in studies), states)


@pytest.mark.parametrize("name", ["cohort.csv", "cohort.parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cohort=cohorts())
def test_what_is_written_is_read_back(tmp_path, name, cohort):
    located = tuple(replace(study, path=Path(str(study.path).replace("{folder}", str(tmp_path)))) for study in cohort.studies)
    cohort = Cohort(located, cohort.states)
    write_manifest(cohort, tmp_path / name)
    back = read_manifest(tmp_path / name, check_files=False)
    assert back.studies == cohort.studies
    np.testing.assert_array_equal(back.states, cohort.states)
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and "partial" in path.name] == []


def test_paths_inside_the_folder_move_with_it_and_others_stay(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    inside, outside = CohortStudy("a", folder / "scans" / "a.nii", "P"), CohortStudy("b", tmp_path / "b.nii", "Q")
    for name in ("cohort.csv", "cohort.parquet"):
        write_manifest(Cohort((inside, outside), np.zeros((2, 75), np.uint8)), folder / name)
    folder.rename(tmp_path / "there")
    for name in ("cohort.csv", "cohort.parquet"):
        paths = [study.path for study in read_manifest(tmp_path / "there" / name, check_files=False).studies]
        assert paths == [tmp_path / "there" / "scans" / "a.nii", tmp_path / "b.nii"]


def test_a_path_that_looks_like_a_formula_is_written_harmless(tmp_path):
    study = CohortStudy("a", tmp_path / "=1+1.nii", "P")
    write_manifest(Cohort((study,), np.zeros((1, 75), np.uint8)), tmp_path / "cohort.csv")
    assert (tmp_path / "cohort.csv").read_text().splitlines()[1].startswith("a,./=1+1.nii,P,")
    assert read_manifest(tmp_path / "cohort.csv", check_files=False).studies == (study,)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"patient": "=HYPERLINK(1)"}, "patient"),
        ({"patient": " P"}, "patient"),
        ({"patient": ""}, "patient"),
        ({"site": "Jose\u0301"}, "site"),
        ({"site": "line\nbreak"}, "site"),
        ({"age_years": float("nan")}, "age_years"),
        ({"split": "training"}, "split"),
        ({"study": "../a"}, "study"),
    ],
)
def test_what_would_not_be_read_back_is_not_written(tmp_path, change, column):
    path = tmp_path / "cohort.csv"
    path.write_text("the manifest that was here")
    study = replace(CohortStudy("a", tmp_path / "a.nii", "P"), **change)
    with pytest.raises(InvalidManifest) as refused:
        write_manifest(Cohort((study,), np.zeros((1, 75), np.uint8)), path)
    assert [problem.column for problem in refused.value.problems] == [column]
    assert path.read_text() == "the manifest that was here"


def test_an_empty_cohort_is_not_written(tmp_path):
    with pytest.raises(InvalidManifest, match="no studies"):
        write_manifest(Cohort((), np.zeros((0, 75), np.uint8)), tmp_path / "cohort.csv")
