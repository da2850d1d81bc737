"""The command `headct-molre bench` refuses in one line what cannot go, before any work."""

import pytest

from headct_molre.cli import main
from headct_molre.cli_bench import read_seeds
from simulated_cohort import simulated, write_manifest


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    cohort, _, _ = simulated(12, seed=0)
    write_manifest(cohort, tmp_path / "cohort.csv")
    monkeypatch.setattr("headct_molre.data.cohort.read_manifest", lambda path, **_: cohort)
    return tmp_path / "cohort.csv"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0,0"], "--seeds"),
        (["--seeds", "first"], "--seeds"),
        (["--workers", "-1"], "--workers"),
        (["--models", "resnet"], "resnet"),
        (["--models", "dinov3_base,dinov3_base"], "different models"),
        (["--models", "dinov3_base"], "dinov3_base"),
        (["--models", "demo", "--set", "molre=true"], "sets it itself"),
        (["--models", "demo", "--set", "epochs=3"], "epochs"),
        ([], "--mark-missing"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(manifest, capsys, arguments, said):
    assert main(["bench", str(manifest), "--out", str(manifest.parent / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not (manifest.parent / "out").exists()


def test_an_output_that_is_a_file_is_refused(manifest, capsys):
    assert main(["bench", str(manifest), "--out", str(manifest)]) == 2
    assert "--out" in capsys.readouterr().err


def test_without_any_weights_the_empty_table_is_written(manifest, capsys):
    out = manifest.parent / "out"
    assert main(["bench", str(manifest), "--out", str(out), "--mark-missing"]) == 0
    page = (out / "table.md").read_text(encoding="utf-8")
    assert page.count("weights missing") == 11
    assert "| `pillar0_headct` | 3D | MoLRE | weights missing | 80.9 | 113.9 |" in page
    assert "Nothing is trained yet" in capsys.readouterr().out


def test_seeds_are_whole_numbers():
    assert read_seeds("0, 2") == (0, 2)
