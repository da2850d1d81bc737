"""`headct-molre import | export | backup | restore | check-store` as an operator meets them."""

import json

import pytest
from sqlalchemy import text

from headct_molre.cli import main
from headct_molre.data.store import StudyStore, sqlite_url
from stored import fill


@pytest.fixture
def studies(tmp_path):
    """The studies folder of a server, with its store."""
    folder = tmp_path / "studies"
    store = StudyStore(sqlite_url(folder / ".headct" / "store.sqlite"))
    fill(store, 8)
    store.close()
    return folder


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("study,reader,hydrocephalus\ns1,anna,1\ns2,anna,0\n")
    return path


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_import_of_a_csv_says_what_it_did(labels, tmp_path, capsys):
    where = ("--studies", tmp_path / "new")
    status, out, _ = run(capsys, "import", labels, *where, "--dry-run")
    assert (status, out.splitlines()[0]) == (0, "2 submissions would be stored, 0 were there already")
    assert not (tmp_path / "new").exists()
    assert run(capsys, "import", labels, *where)[1].splitlines() == [
        "2 submissions stored, 0 were there already",
        "  2 studies have no images here (yet); look for misspelt ids if that is a surprise",
    ]
    report = json.loads(run(capsys, "import", labels, *where, "--json")[1])
    assert (report["stored"], report["already"]) == (0, 2)


def test_import_lists_every_problem_and_ends_with_status_2(labels, studies, capsys):
    labels.write_text("study,reader,hydrocephalus\ns1,anna,yes\n../s2,anna,0\ns3,anna,1\n")
    status, out, err = run(capsys, "import", labels, "--studies", studies)
    assert status == 2
    assert [line.split(":")[0] for line in out.splitlines()] == ["  row 2, column hydrocephalus", "  row 3, column study"]
    assert err.startswith("headct-molre: labels.csv has 2 problems, and nothing was imported.")
    assert err.endswith("--skip-bad. [invalid_labels]\n")
    assert err.count("\n") == 1
    status, out, _ = run(capsys, "import", labels, "--studies", studies, "--json")
    assert (status, json.loads(out)["problem_count"]) == (2, 2)
    status, out, _ = run(capsys, "import", labels, "--studies", studies, "--skip-bad")
    assert (status, "1 submissions stored" in out, "2 rows are wrong and were left out" in out) == (0, True, True)


def test_import_of_a_folder_and_of_nothing(studies, tmp_path, capsys):
    (tmp_path / "monai" / "labels" / "final").mkdir(parents=True)
    (tmp_path / "monai" / "s1.nii.gz").write_bytes(b"scan")
    (tmp_path / "monai" / "labels" / "final" / "s1.json").write_text('{"hydrocephalus": 1}')
    status, out, _ = run(capsys, "import", tmp_path / "monai", "--studies", studies, "--reader", "anna")
    assert (status, out.splitlines()[:2]) == (0, ["images: 1 copied", "1 submissions stored, 0 were there already"])
    assert "[invalid_argument]" in run(capsys, "import", tmp_path / "labels.xlsx", "--studies", studies)[2]
    assert "[labels_missing]" in run(capsys, "import", tmp_path / "none.csv", "--studies", studies)[2]


def test_what_is_exported_can_be_checked_as_a_cohort_and_imported(studies, tmp_path, capsys):
    for i in range(8):
        (studies / f"ward {i}").mkdir()
        (studies / f"ward {i}" / f"study-{i}.nii.gz").write_bytes(b"scan")
    status, out, _ = run(capsys, "export", tmp_path / "labels.csv", "--studies", studies, "--rule", "unanimous")
    assert (status, out.splitlines()[0]) == (0, f"7 studies written to {tmp_path / 'labels.csv'}")
    assert "2 studies whose images are not there were left out" in out
    assert run(capsys, "cohort", "check", tmp_path / "labels.csv")[0] == 0
    assert run(capsys, "export", tmp_path / "all.jsonl", "--studies", studies)[0] == 0
    assert "12 submissions stored" in run(capsys, "import", tmp_path / "all.jsonl", "--studies", tmp_path / "other")[1]
    assert "0 submissions written" in run(capsys, "export", tmp_path / "new.jsonl", "--studies", studies, "--since", "2100-01-01")[1]
    assert "[unknown_label_rule]" in run(capsys, "export", tmp_path / "x.csv", "--studies", studies, "--rule", "dice")[2]
    assert "[store_missing]" in run(capsys, "export", tmp_path / "x.csv", "--studies", tmp_path / "misspelt")[2]


def test_backup_and_restore(studies, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    status, out, _ = run(capsys, "backup", tmp_path / "one.zip", "--studies", studies, "--with-models")
    assert (status, "12 submissions" in out) == (0, True)
    assert "[file_exists]" in run(capsys, "backup", tmp_path / "one.zip", "--studies", studies)[2]
    url = sqlite_url(tmp_path / "elsewhere.sqlite")
    status, out, _ = run(capsys, "restore", tmp_path / "one.zip", "--store", url)
    assert (status, "12 submissions" in out) == (0, True)
    assert "[store_not_empty]" in run(capsys, "restore", tmp_path / "one.zip", "--store", url)[2]
    assert run(capsys, "check-store", "--store", url)[0] == 0
    assert "0 predictions" not in out
    run(capsys, "backup", tmp_path / "small.zip", "--studies", studies, "--without-predictions")
    assert "predictions" not in run(capsys, "restore", tmp_path / "small.zip", "--studies", tmp_path / "third")[1]


def test_the_store_is_found_as_the_server_finds_it(studies, tmp_path, capsys, monkeypatch):
    (tmp_path / "server.toml").write_text(f"studies = {str(studies)!r}\n")
    assert "12 submissions" in run(capsys, "check-store", "--config", tmp_path / "server.toml")[1]
    monkeypatch.setenv("HEADCT_MOLRE_SERVER_STUDIES", str(studies))
    assert "12 submissions" in run(capsys, "check-store")[1]


def test_the_status_of_the_check_is_0_1_or_2(studies, tmp_path, capsys):
    assert run(capsys, "check-store", "--studies", studies)[:2] == (
        0,
        "The store is consistent: 9 studies, 12 submissions, 4 predictions, 4 summaries, 1 leases, 2 reading events, 2 jobs, 1 tokens, "
        "1 secrets\n",
    )
    store = StudyStore(sqlite_url(studies / ".headct" / "store.sqlite"))
    with store.database.writing() as connection:
        connection.execute(text("UPDATE studies SET readings = 9 WHERE study = 'study-1'"))
    store.close()
    status, out, _ = run(capsys, "check-store", "--studies", studies)
    assert status == 1
    assert out.splitlines()[0] == "  repairable: 1 studies count their submissions or readers wrongly: study-1 [wrong_counters]"
    assert json.loads(run(capsys, "check-store", "--studies", studies, "--json")[1])["consistent"] is False
    assert run(capsys, "check-store", "--studies", studies, "--repair")[0] == 0
    assert run(capsys, "check-store", "--studies", tmp_path / "none")[0] == 2
    (studies / ".headct" / "store.sqlite").write_bytes(b"no database" * 1000)
    status, _, err = run(capsys, "check-store", "--studies", studies)
    assert (status, "[store_damaged]" in err) == (2, True)
