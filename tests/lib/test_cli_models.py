"""The commands on versions, from list to import, each refusal in one line."""

import json

import pytest

from headct_molre.cli import main
from headct_molre.models import checkpoint
from headct_molre.models.aliases import set_alias
from headct_molre.models.backbones import backbone_spec
from small_backbones import small_backbones
from trained_versions import install_backbone, install_version


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Versions 1 (champion) and 2 (candidate) of the demo model."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    install_backbone(tmp_path, small_backbones()["demo"])
    classifier, card = install_version(tmp_path, backbone_spec("demo"), "1", mean_auc=0.8125)
    folder = tmp_path / "models" / "demo"
    settings = {**card.hyperparameters, "l2_sp": 100.0}
    checkpoint.write_version(folder, card.model_copy(update={"version": "2", "hyperparameters": settings}), classifier.trainable_state())
    set_alias(folder, "candidate", "2")
    return folder


def said(capsys, *arguments, status=0):
    assert main(["models", *map(str, arguments)]) == status
    out, error = capsys.readouterr()
    if status:
        assert error.count("\n") == 1
    return error if status else out


def test_the_list_of_models_is_as_before(capsys):
    assert "dinov3_base" in said(capsys)
    assert json.loads(said(capsys, "--json"))[0]["name"] == "demo"


def test_versions_are_listed_with_what_they_are_served_as(capsys):
    lines = said(capsys, "versions", "demo").splitlines()
    rows = {line.split()[0]: line.split()[1:3] for line in lines}
    assert rows["1"] == ["champion", "0.812"]
    assert rows["2"] == ["candidate", "0.812"]
    entries = json.loads(said(capsys, "versions", "demo", "--json"))
    assert {entry["version"]: entry["champion"] for entry in entries if not entry["shipped"]} == {"1": True, "2": False}


def test_a_promotion_and_its_rollback_are_in_the_history(capsys):
    assert "[reason_needed]" in said(capsys, "promote", "demo", status=2)
    assert "served as 2" in said(capsys, "promote", "demo", "--who", "dr.a", "--reason", "trial")
    assert "served as 1" in said(capsys, "rollback", "demo", "--who", "dr.b")
    assert "[no_previous_version]" in said(capsys, "rollback", "demo", status=2)
    first, second = said(capsys, "versions", "demo", "--history").splitlines()
    assert first.endswith("promoted    1 to 2 by dr.a, gate: not judged, reason: trial")
    assert second.endswith("rolled back 2 to 1 by dr.b")
    assert [event["after"] for event in json.loads(said(capsys, "versions", "demo", "--history", "--json"))] == ["2", "1"]


def test_a_difference_is_told_in_lines_and_in_json(capsys):
    assert "  setting l2_sp: None to 100.0" in said(capsys, "diff", "demo", "1", "2").splitlines()
    assert json.loads(said(capsys, "diff", "demo", "1", "2", "--json"))["hyperparameters"] == [
        {"name": "l2_sp", "before": None, "after": 100.0}
    ]


def test_a_version_goes_out_and_comes_in(capsys, tmp_path, monkeypatch):
    file = tmp_path / "demo-2.zip"
    assert "weights.safetensors" in said(capsys, "export", "demo", "2", "--out", file)
    assert "[version_exists]" in said(capsys, "import", file, status=2)
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "elsewhere"))
    assert "models promote demo --version 2" in said(capsys, "import", file)
    assert "[invalid_version_file]" in said(capsys, "import", tmp_path / "models" / "demo" / "2" / "model.json", status=2)
    assert "[file_system]" in said(capsys, "import", tmp_path / "nothing.zip", status=2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["versions", "resnet"], "unknown_model"),
        (["diff", "demo", "1", "9"], "unknown_version"),
        (["export", "demo", "9", "--out", "x.zip"], "unknown_version"),
        (["export", "demo", "1", "--out", "/nowhere/x.zip"], "invalid_argument"),
        (["promote", "demo", "--version", "1"], "already_champion"),
    ],
)
def test_refusals_have_their_code(capsys, arguments, code):
    assert f"[{code}]" in said(capsys, *arguments, status=2)
