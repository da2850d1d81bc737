"""The command `headct-molre evaluate` from files to files."""

import json

import numpy as np
import pytest

from headct_molre import data
from headct_molre.cli import main
from headct_molre.cli_evaluate import read_prevalence
from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.scores import write_scores
from simulated_cohort import simulated, write_manifest

READS_MANIFESTS = hasattr(data.cohort, "read_manifest")


@pytest.fixture
def files(tmp_path, monkeypatch):
    cohort, scores, other = simulated(240, seed=2, prevalence=np.full(75, 0.25))
    write_manifest(cohort, tmp_path / "cohort.csv")
    write_scores(scores, tmp_path / "molre.csv")
    write_scores(other, tmp_path / "baseline.csv")
    if not READS_MANIFESTS:
        monkeypatch.setattr(data.cohort, "read_manifest", lambda path, **_: cohort, raising=False)
    return tmp_path


def run(files, *arguments):
    return main(["evaluate", str(files / "cohort.csv"), "--replicates", "20", "--out", str(files / "report"), *arguments])


def test_scores_become_a_report(files, capsys):
    scores = ["--scores", str(files / "molre.csv"), "--validation-scores", str(files / "molre.csv")]
    status = run(
        files, *scores, "--against", str(files / "baseline.csv"), "--points", "sensitivity=0.9", "--prevalence", "acute_infarct=0.1"
    )
    assert status == 0
    document = json.loads((files / "report" / "evaluation.json").read_text())
    assert document["cohort"]["studies"] == 160
    assert document["model"]["name"] == "molre"
    assert document["comparison"]["against"] == "baseline"
    assert "sensitivity >= 0.9" in document["settings"]["frozen"]
    sensitivities = [one["operating"]["sensitivity"]["value"] for one in document["findings"]]
    assert np.mean(sensitivities) == pytest.approx(0.9, abs=0.05)
    assert (files / "report" / "evaluation.html").is_file()
    said = capsys.readouterr().out
    assert "75 of 75 findings are estimable" in said
    assert "160 of the studies are synthetic" in said
    assert "not a medical device" in said


def test_scores_alone_have_no_operating_point(files):
    assert run(files, "--scores", str(files / "molre.csv"), "--split", "all") == 0
    document = json.loads((files / "report" / "evaluation.json").read_text())
    assert document["cohort"]["studies"] == 240
    assert document["findings"][0]["operating"]["sensitivity"]["reason"] == "no frozen operating point"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--scores", "molre.csv", "--split", "train"], "no_studies"),
        (["--scores", "molre.csv", "--points", "youden"], "invalid_argument"),
        (["--scores", "molre.csv", "--validation-scores", "molre.csv", "--points", "best"], "invalid_rule"),
        (["--model", "demo", "--validation-scores", "molre.csv"], "invalid_argument"),
        (["--scores", "molre.csv", "--prevalence", "no_such_finding=0.1"], "unknown_finding"),
        (["--scores", "molre.csv", "--prevalence", "acute_infarct=12"], "invalid_prevalence"),
        (["--scores", "molre.csv", "--margin", "0"], "invalid_argument"),
        (["--scores", "molre.csv", "--replicates", "-1"], "invalid_argument"),
        (["--scores", "nowhere.csv"], "file_system"),
        (["--scores", "cohort.csv"], "invalid_scores"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(files, capsys, arguments, code):
    assert run(files, *(str(files / part) if part.endswith(".csv") else part for part in arguments)) == 2
    said = capsys.readouterr().err.strip()
    assert said.endswith(f"[{code}]")
    assert len(said.splitlines()) == 1
    assert not (files / "report").exists()


def test_a_sites_prevalence_is_read_from_a_table(tmp_path):
    (tmp_path / "site.csv").write_text("finding,prevalence\nacute_infarct,0.08\nmeningioma,0.01\n")
    assert read_prevalence(str(tmp_path / "site.csv")) == {"acute_infarct": 0.08, "meningioma": 0.01}
    with pytest.raises(InvalidRequest, match="acute_infarct"):
        read_prevalence("acute_infarct")
