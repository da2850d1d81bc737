"""Parquet as pandas, polars and Arrow write it means the same as CSV."""

import pyarrow
import pyarrow.parquet
import pytest

from headct_molre.data.cohort import STATES, InvalidManifest, read_manifest
from headct_molre.findings import finding_keys

KEYS = finding_keys()


@pytest.fixture
def read(tmp_path):
    """Reads a manifest of three studies with these columns; those that are needed are added."""

    def write_and_read(columns: dict[str, pyarrow.Array], **options: bool):
        needed = {"path": pyarrow.array(["a.nii", "b.nii", "c.nii"]), "patient": pyarrow.array(["P", "Q", "R"])}
        pyarrow.parquet.write_table(pyarrow.table(needed | columns), tmp_path / "cohort.parquet")
        return read_manifest(tmp_path / "cohort.parquet", check_files=False, **options)

    return write_and_read


@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array([True, False, None]),
        pyarrow.array([1, 0, None], pyarrow.int8()),
        pyarrow.array([1, 0, None], pyarrow.uint64()),
        pyarrow.array([1.0, 0.0, None], pyarrow.float32()),
        pyarrow.array([1.0, 0.0, float("nan")], pyarrow.float64()),
        pyarrow.array(["present", "absent", ""]),
        pyarrow.array(["PRESENT", "0", None], pyarrow.large_string()),
        pyarrow.array(["present", "absent", None], pyarrow.string_view()),
        pyarrow.array(["present", "absent", None]).dictionary_encode(),
        pyarrow.array([1, 0, None]).dictionary_encode(),
        pyarrow.chunked_array([pyarrow.array(["present"]).dictionary_encode(), pyarrow.array(["absent", None]).dictionary_encode()]),
    ],
    ids=lambda values: str(values.type),
)
def test_states_of_every_type(read, values):
    cohort = read({"midline_shift": values})
    assert [STATES[code] for code in cohort.states[:, KEYS.index("midline_shift")]] == ["present", "absent", "not_assessed"]


def test_a_column_of_nulls_is_not_assessed(read):
    assert not read({"midline_shift": pyarrow.nulls(3), "site": pyarrow.nulls(3)}).states.any()


def test_uncertain_is_minus_one(read):
    cohort = read({"midline_shift": pyarrow.array([-1, -1, 1])})
    assert [STATES[code] for code in cohort.states[:, KEYS.index("midline_shift")]] == ["uncertain", "uncertain", "present"]


def test_study_columns_of_their_own_types(read):
    cohort = read(
        {
            "age_years": pyarrow.array([61, None, 7], pyarrow.int16()),
            "slice_thickness_mm": pyarrow.array([5.0, float("nan"), None]),
            "synthetic": pyarrow.array([True, False, None]),
            "site": pyarrow.array(["North", None, "South"]).dictionary_encode(),
        }
    )
    assert [study.age_years for study in cohort.studies] == [61, None, 7]
    assert [study.slice_thickness_mm for study in cohort.studies] == [5, None, None]
    assert [study.synthetic for study in cohort.studies] == [True, False, False]
    assert [study.site for study in cohort.studies] == ["North", None, "South"]


@pytest.mark.parametrize("numbers", [pyarrow.array([1001, 1002, 1003]), pyarrow.array([1001.0, 1002.0, 1003.0])], ids=["int", "float"])
def test_patients_may_be_whole_numbers(read, numbers):
    assert list(read({"patient": numbers}).patients) == ["1001", "1002", "1003"]


@pytest.mark.parametrize(
    ("column", "values", "row", "words"),
    [
        ("midline_shift", pyarrow.array([1, 2, 0]), 3, "is no state"),
        ("midline_shift", pyarrow.array([1.0, 0.5, 0.0]), 3, "is no state"),
        ("midline_shift", pyarrow.array(["present", "absent", "no"]), 4, "is no state"),
        ("midline_shift", pyarrow.array([[1], [0], []]), 1, "has type list"),
        ("age_years", pyarrow.array([1.0, -2.0, 3.0]), 3, "between 0 and 130"),
        ("age_years", pyarrow.array([1.0, float("inf"), 3.0]), 3, "between 0 and 130"),
        ("age_years", pyarrow.array([True, False, True]), 1, "write text or numbers"),
        ("site", pyarrow.array([b"x", b"y", b"z"]), 1, "has type binary; write text"),
        ("path", pyarrow.array(["a.nii", None, "c.nii"]), 3, "is empty"),
        ("__index_level_0__", pyarrow.array([0, 1, 2]), 1, "index=False"),
    ],
)
def test_what_is_wrong_is_said_with_the_row(read, column, values, row, words):
    with pytest.raises(InvalidManifest) as refused:
        read({column: values})
    (problem,) = refused.value.problems
    assert problem.row == row
    assert words in problem.message


@pytest.mark.parametrize("content", [b"", b"path,patient\n", b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet(tmp_path, content):
    (tmp_path / "cohort.parquet").write_bytes(content)
    with pytest.raises(InvalidManifest, match="not whole Parquet"):
        read_manifest(tmp_path / "cohort.parquet")


def test_no_rows_and_more_rows_than_anyone_has(tmp_path, monkeypatch):
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"], "patient": ["P"]}).slice(0, 0), tmp_path / "cohort.parquet")
    with pytest.raises(InvalidManifest, match="no studies"):
        read_manifest(tmp_path / "cohort.parquet")
    monkeypatch.setattr("headct_molre.data.cohort.parquet_file.MOST_ROWS", 2)
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"] * 3, "patient": ["P"] * 3}), tmp_path / "cohort.parquet")
    with pytest.raises(InvalidManifest, match="has 3 rows; at most 2"):
        read_manifest(tmp_path / "cohort.parquet")
