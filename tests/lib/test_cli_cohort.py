"""`headct-molre cohort` as a researcher meets it: what it prints, what it writes, how it refuses."""

import json

import pytest

from cohorts import long_tail_cohort
from headct_molre.cli import main
from headct_molre.data.cohort import read_manifest, write_manifest
from headct_molre.data.phantom import write_cohort
from headct_molre.findings import finding_keys


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "cohort.csv"
    write_manifest(long_tail_cohort(300), path)
    return path


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_cohort(folder, 3, seed=2, matrix=96)
    return folder / "cohort.csv"


def test_check_of_a_whole_manifest_warns_and_ends_well(phantoms, capsys):
    assert main(["cohort", "check", str(phantoms)]) == 0
    printed = capsys.readouterr().out
    assert "no study has a split" in printed
    assert "30 findings with fewer than 5 positives in all studies" in printed
    assert printed.splitlines()[-1].startswith("cohort.csv: 3 studies of 3 patients; the images were not opened")


def test_check_lists_every_problem_and_ends_with_one_line_and_status_2(phantoms, capsys):
    rows = phantoms.read_text().replace("phantom,", "=phantom,", 1).replace(",yes,", ",maybe,").splitlines()
    broken = phantoms.with_name("broken.csv")
    broken.write_text("\r\n".join(rows))
    assert main(["cohort", "check", str(broken)]) == 2
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [
        f"  row {row}, column {at}" for row, at in ((2, "site"), (2, "synthetic"), (3, "synthetic"), (4, "synthetic"))
    ]
    assert err == "headct-molre: broken.csv has 4 problems, listed on standard output. [invalid_manifest]\n"
    assert main(["cohort", "check", str(broken), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["valid"], report["problem_count"]) == (False, 4)
    first = report["problems"][0]
    assert (first["row"], first["column"], first["value"]) == (2, "site", "=phantom")


def test_deep_check_reads_the_studies(phantoms, capsys, tmp_path):
    assert main(["cohort", "check", str(phantoms), "--deep", "--workers", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["valid"], report["deep"], report["studies"], report["problems"]) == (True, True, 3, [])
    assert {warning["code"] for warning in report["warnings"]} == {"no_split", "not_assessed", "few_positives"}
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 3

    damaged = phantoms.with_name("damaged.nii.gz")
    damaged.write_bytes(phantoms.with_name("phantom-0002.nii.gz").read_bytes()[:900])
    broken = phantoms.with_name("broken.csv")
    broken.write_text(phantoms.read_text().replace("phantom-0002.nii.gz", damaged.name))
    assert main(["cohort", "check", str(broken), "--deep", "--workers", "1"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("  row 3, column path: ")
    assert out.splitlines()[0].endswith("]")
    assert "1 problem," in err


def test_split_writes_a_manifest_with_splits_and_says_how_good_they_are(manifest, tmp_path, capsys):
    out = tmp_path / "split.parquet"
    assert main(["cohort", "split", str(manifest), "--out", str(out), "--seed", "5", "--fractions", "0.6", "0.2", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "points" in printed
    assert "validation" in printed
    split = read_manifest(out, check_files=False)
    assert [len(split.part(name)) / 300 for name in ("train", "validation", "test")] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert main(["cohort", "split", str(out), "--out", str(out), "--hold-out-site", "site 1"]) == 2
    assert "[site_already_split]" in capsys.readouterr().err
    assert main(["cohort", "split", str(out), "--out", str(out), "--hold-out-site", "site 1", "--redo"]) == 0
    assert {study.site for study in read_manifest(out, check_files=False).part("test").studies} == {"site 1"}


def test_stats_prints_counts_and_writes_picture_and_numbers(manifest, tmp_path, capsys):
    png, numbers = tmp_path / "prevalence.png", tmp_path / "stats.json"
    assert main(["cohort", "stats", str(manifest), "--png", str(png), "--json", str(numbers)]) == 0
    printed = capsys.readouterr().out
    assert all(key in printed for key in finding_keys())
    assert png.read_bytes().startswith(b"\x89PNG")
    stats = json.loads(numbers.read_text())
    assert sum(group["studies"] for group in stats["by"]["site"].values()) == 300
    assert main(["cohort", "stats", str(manifest), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == stats


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere.csv"], "[manifest_missing]"),
        (["check", __file__], ".parquet"),
        (["stats", "nowhere.csv", "--png", "nowhere/p.png"], "--png"),
        (["stats", "nowhere.csv", "--json", "nowhere/s.json"], "--json"),
        (["split", "nowhere.csv", "--out", "nowhere/c.csv"], "--out"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, capsys):
    assert main(["cohort", *arguments]) == 2
    refusal = capsys.readouterr().err
    assert refusal.count("\n") == 1
    assert words in refusal


def test_studies_are_patients_where_that_is_said(tmp_path, capsys):
    (tmp_path / "a.nii").write_bytes(b"scan")
    (tmp_path / "cohort.csv").write_text("path\na.nii\n")
    assert main(["cohort", "check", str(tmp_path / "cohort.csv")]) == 2
    assert main(["cohort", "check", str(tmp_path / "cohort.csv"), "--patients-are-studies"]) == 0
    assert "1 study of 1 patient" in capsys.readouterr().out


def test_phantoms_come_with_splits_where_that_is_asked(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "studies"), "--count", "2", "--matrix", "64", "--split"]) == 0
    assert "cohort.csv" in capsys.readouterr().out
    assert all(study.split for study in read_manifest(tmp_path / "studies" / "cohort.csv").studies)
