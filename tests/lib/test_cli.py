"""The command line as a user meets it: what it prints, what it writes, how it refuses."""

import json

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

from headct_molre.cli import main
from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.schema import Prediction
from shared_data import shared_ct


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))


def test_phantom_then_predict(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "studies"), "--count", "1", "--matrix", "128"]) == 0
    study = tmp_path / "studies" / "phantom-0001.nii.gz"
    assert main(["predict", str(study), "--model", "demo", "--json", str(tmp_path / "out.json"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "DEMO MODEL" in printed
    assert "not ruled out" in printed
    assert "49 findings are not assessed" in printed
    prediction = Prediction.model_validate_json((tmp_path / "out.json").read_text())
    assert prediction.study == "phantom-0001"
    assert len(list((tmp_path / "cache" / "predictions").rglob("*.json"))) == 1
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 1


def test_a_refusal_is_one_line_and_status_2(capsys):
    path = shared_ct("head_mr")
    assert main(["predict", str(path)]) == 2
    refusal = capsys.readouterr().err
    assert refusal.count("\n") == 1
    assert "MR" in refusal
    assert "[wrong_modality]" in refusal


def test_look_draws_what_the_models_read(tmp_path, capsys):
    path = tmp_path / "miller-1961.nii.gz"
    write_study(make_phantom(11, 128), path)
    assert main(["look", str(path), "--png", str(tmp_path / "look.png")]) == 0
    assert "not a medical device" in capsys.readouterr().out
    picture = (tmp_path / "look.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert b"miller" not in picture
    assert [item.name for item in tmp_path.iterdir() if item.name.endswith((".partial", ".png"))] == ["look.png"]


def test_a_refused_study_is_drawn_with_the_reason_and_status_2(tmp_path, capsys):
    phantom = make_phantom(11, 128)
    phantom.volume.hu[:] = np.maximum(phantom.volume.hu, 0)  # no air: not Hounsfield units
    write_study(phantom, tmp_path / "study.nii.gz")
    assert main(["look", str(tmp_path / "study.nii.gz"), "--png", str(tmp_path / "look.png")]) == 2
    refusal = capsys.readouterr().err
    assert refusal.count("\n") == 1
    assert "[not_hu]" in refusal
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_volume_there_is_no_picture(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["look", str(tmp_path / "empty"), "--png", str(tmp_path / "look.png")]) == 2
    assert "[no_images]" in capsys.readouterr().err
    assert main(["look", str(shared_ct("head_mr")), "--png", str(tmp_path / "look.png")]) == 2
    assert "[wrong_modality]" in capsys.readouterr().err
    assert not (tmp_path / "look.png").exists()


def test_a_series_is_asked_for_by_its_uid(capsys):
    path = shared_ct("philips_phantom")
    assert main(["predict", str(path), "--series", "1.2.3"]) == 2
    assert "[series_not_found]" in capsys.readouterr().err
    uid = str(dcmread(next((path / "tilt_minus_18_5").iterdir()), stop_before_pixels=True).SeriesInstanceUID)
    assert main(["predict", str(path), "--series", uid]) == 2
    assert "[partial_coverage]" in capsys.readouterr().err  # of the ten slices asked for, not of the series that the rule chooses


def test_models_lists_what_can_be_used_and_why_not(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["demo"]["available"]
    assert rows["demo"]["demo"]
    assert (rows["demo"]["weights"], rows["dinov3_base"]["weights"]) == ("found", "missing")
    assert not rows["dinov3_base"]["available"]
    counts = {key.removesuffix("_parameters"): value for key, value in rows["dinov3_base"].items() if key.endswith("_parameters")}
    assert counts == {"backbone": 85_659_648, "total": 86_596_993, "lora": 602_112, "molre": 276_790, "trainable": 937_345}
    assert (rows["dinov3_base"]["dimension"], rows["dinov3_base"]["licence"]) == (768, "DINOv3 License")
    assert rows["deepcntd"]["published"]["molre"] is None
    assert "models --fetch" in rows["dinov3_base"]["reason"]


def test_models_prints_the_counts_beside_the_papers_and_the_licence(capsys):
    assert main(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, words in {
        "dinov3_base": ["0.60", "0.28 / 0.28", "86.6 / 86.6", "missing", "DINOv3 License"],
        "medgemma": ["0.41 / 0.41", "431.1 / 431.1", "Health AI"],
        "deepcntd": ["0.00 / -", "6.9 / 6.9", "1.08 / 1.08"],
        "demo": ["(demo)", "found", "Apache-2.0"],
    }.items():
        assert all(word in lines[name] for word in words), lines[name]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["models", "--from", __file__], "--fetch"),
        (["models", "--fetch", "other"], "Known models"),
        (["models", "--fetch", "dinov3_base", "--from", "nowhere"], "--from"),
        (["models", "--fetch", "deepcntd"], "not published"),
        (["predict", __file__, "--engine", "other"], "Usable here"),
        (["predict", "nowhere.nii.gz"], "path"),
        (["predict", "nowhere.nii.gz", "--model", "other"], "Known models"),
        (["phantom", "x", "--count", "0"], "count"),
        (["phantom", "x", "--seed", "-1"], "seed"),
        (["phantom", __file__], "test_cli.py"),
        (["predict", __file__, "--json", "nowhere/out.json"], "--json"),
        (["look", __file__, "--png", "nowhere/out.png"], "--png"),
        (["predict", __file__, "--heatmap", "epidural_hematoma"], "--heatmap-out"),
        (["predict", __file__, "--heatmap-png", "out.png"], "--heatmap FINDING"),
        (["predict", __file__, "--heatmap", "epidural_hematom", "--heatmap-png", "out.png"], "Did you mean epidural_hematoma"),
        (["predict", __file__, "--heatmap", "brainstem_hemorrhage", "--heatmap-png", "out.png"], "does not assess"),
        (["predict", __file__, "--heatmap", "epidural_hematoma", "--heatmap-out", "out.png"], ".nii.gz"),
        (["predict", __file__, "--heatmap", "epidural_hematoma", "--heatmap-out", "nowhere/out.nii.gz"], "--heatmap-out"),
        (["look", "nowhere.nii.gz", "--png", "out.png"], "path"),
        (["predict", __file__, "--device", "tpu9000"], "device"),
        (["serve", "--studies", __file__], "test_cli.py"),
        (["serve", "--host", "0.0.0.0"], "127.0.0.1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, word, capsys):
    assert main(arguments) == 2
    assert word in capsys.readouterr().err


def test_a_heat_map_lies_over_the_scan_and_is_drawn(tmp_path, capsys):
    path = tmp_path / "miller-1961.nii.gz"
    write_study(make_phantom(4_000_011, 128), path)
    arguments = ["predict", str(path), "--heatmap", "epidural_hematoma", "--device", "cpu"]
    files = ["--heatmap-out", str(tmp_path / "map.nii.gz"), "--heatmap-png", str(tmp_path / "map.png")]
    assert main([*arguments, *files]) == 0
    assert "not a lesion outline" in capsys.readouterr().out
    image, source = nib.load(tmp_path / "map.nii.gz"), nib.load(path)
    assert image.shape == source.shape
    np.testing.assert_array_equal(image.affine, source.affine)
    values = image.get_fdata()
    assert (values.min(), values.max()) == (0, 1)
    assert not values[:8, :8].any()  # air around the head
    assert b"miller" not in (tmp_path / "map.nii.gz").read_bytes() + (tmp_path / "map.png").read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir() if item.is_file()) == ["map.nii.gz", "map.png", path.name]


def test_without_evidence_the_prediction_is_printed_and_no_map_is_written(tmp_path, capsys):
    path = tmp_path / "study.nii.gz"
    write_study(make_phantom(4_000_011, 128), path)
    assert main(["predict", str(path), "--heatmap", "sinusitis", "--heatmap-out", str(tmp_path / "map.nii.gz")]) == 2
    printed = capsys.readouterr()
    assert "DEMO MODEL" in printed.out
    assert "[no_evidence]" in printed.err
    assert not (tmp_path / "map.nii.gz").exists()
