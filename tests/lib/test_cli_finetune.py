"""`headct-molre finetune`: the same fine-tune without a server."""

import pytest

from corrected_studies import QUICK, shifted_site
from headct_molre.cli import main
from headct_molre.models.versions import list_versions


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))


SETTINGS = [f"--set={name}={list(value) if isinstance(value, tuple) else value}" for name, value in QUICK.items()]


def test_makes_a_candidate_and_says_what_the_gate_said(tmp_path, home, capsys):
    site = shifted_site(tmp_path / "studies" / ".headct", 60)
    site.store.close()
    arguments = ["finetune", "--studies", str(tmp_path / "studies"), "--store", site.url, *SETTINGS]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    made = list_versions("demo")[0]
    assert made.candidate
    assert f"--version {made.version}" in said
    assert "not a medical device" in said
    assert main([*arguments, "--out", str(tmp_path / "again")]) == 0
    assert [entry.version for entry in list_versions("demo")] == [made.version, "2.0"], "the same corrections, the same version"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], "store_missing"),
        (["--set", "epochs=0"], "invalid_setting"),
        (["--set", "strengths=[4, 1]"], "invalid_setting"),
        (["--set", "learning=fast"], "invalid_setting"),
        (["--until", "-1"], "invalid_argument"),
    ],
)
def test_refusals_name_the_setting_and_cost_nothing(tmp_path, home, capsys, more, code):
    assert main(["finetune", "--studies", str(tmp_path), *more]) == 2
    assert f"[{code}]" in capsys.readouterr().err
    assert not (tmp_path / ".headct").exists()


def test_a_folder_of_another_fine_tune_is_refused(tmp_path, home, capsys):
    site = shifted_site(tmp_path / "studies" / ".headct", 8)
    arguments = ["finetune", "--store", site.url, "--studies", str(tmp_path / "studies"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "too_few_corrections" in capsys.readouterr().err
    assert main([*arguments, "--set", "seed=3"]) == 2
    assert "other_task" in capsys.readouterr().err
