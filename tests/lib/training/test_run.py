"""A run from files and a manifest to a version that is served, with reduced backbones on phantoms."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from headct_molre.data.cohort import read_manifest, write_manifest
from headct_molre.data.phantom import LABELS_FILE, write_cohort
from headct_molre.errors import InvalidRequest, ModelUnavailable
from headct_molre.evaluation.scores import read_scores
from headct_molre.models.checkpoint import load_card, load_classifier
from headct_molre.models.install import install_version
from headct_molre.predict import Predictor
from headct_molre.training.config import load_config
from headct_molre.training.distributed import Group
from headct_molre.training.run import RunOptions, run
from headct_molre.training.scoring import score_model
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone

ALONE = Group(0, 1, torch.device("cpu"))
SHORT = ["min_epochs=1", "max_epochs=2", "selection_minimum=1", "batch_studies=4", "precision=fp32"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Twelve phantoms with splits, one file that is no head CT among them."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 12, matrix=96, split=True, fractions=(0.5, 0.25, 0.25))
    manifest = read_manifest(folder / LABELS_FILE)
    broken = next(study for study in manifest.studies if study.split == "train")
    broken.path.write_bytes(b"not a scan")
    return folder / LABELS_FILE


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    use_small_backbones(monkeypatch.setattr)
    install_backbone(tmp_path / "home", small_backbones()["dinov3_base"])
    return tmp_path / "home"


def options(cohort, cache, out, **more):
    return RunOptions(cohort, out, cache, 10**10, workers=0, **more)


def test_from_a_manifest_to_predictions(cohort, cache, home, tmp_path):
    out = tmp_path / "run"
    card = run(load_config("dinov3_base", None, SHORT), options(cohort, cache, out, version="first", price_per_hour=2.0), ALONE)

    record = json.loads((out / "run.json").read_text())
    assert record["studies"] == {"train": 5, "validation": 3, "test": 3}
    assert sum(record["refused"].values()) == 1
    assert record["price"] == pytest.approx(2 * record["device_hours"])
    assert 0 <= record["waiting_share"] < 1
    assert record["studies_per_second"]["training"] > 0
    assert record["seconds"].keys() == {"preparation", "features", "training", "scoring", "source set", "report"}
    assert record["epochs"] == 2
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert len((out / "refused.csv").read_text().splitlines()) == 2
    assert (out / "report" / "evaluation.html").is_file()
    assert json.loads((out / "report" / "evaluation.json").read_text())["model"]["demo"] is True

    assert card.demo, "phantoms make a demo, whatever the backbone"
    assert (card.adapter, card.cohort["train_studies"], card.cohort["test_patients"]) == ("LoRA + MoLRE", 5, 3)
    assert install_version(out / "models" / "dinov3_base" / "first") == "champion"
    assert load_card("dinov3_base").version == "first"

    # What is served says what the run scored.
    scores = read_scores(out / "scores" / "test.csv")
    again, served, refused = score_model(read_manifest(cohort).part("test"), "dinov3_base", "cpu", cache, workers=0)
    assert (served.version, refused) == ("first", {})
    np.testing.assert_allclose(again.of(scores.studies).logits, scores.logits, atol=0.02)
    study = read_manifest(cohort).part("test").studies[0]
    prediction = Predictor("dinov3_base", "cpu", engine="torch-fp32").predict(study.path, study.study)
    raw = {result.key: result.logit for result in prediction.findings if result.key not in card.calibration}
    row = scores.studies.index(study.study)
    keys = [result.key for result in prediction.findings]
    for key, logit in raw.items():
        assert logit == pytest.approx(scores.logits[row, keys.index(key)], abs=1e-3)


def test_a_finished_run_is_taken_as_it_is(cohort, cache, home, tmp_path):
    config = load_config("dinov3_base", None, SHORT)
    first = run(config, options(cohort, cache, tmp_path / "run"), ALONE)
    weights = tmp_path / "run" / "models" / "dinov3_base" / first.version / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert run(config, options(cohort, cache, tmp_path / "run"), ALONE) == first
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(InvalidRequest, match=r"seed \(0 there, 1 now\)"):
        run(load_config("dinov3_base", None, [*SHORT, "seed=1"]), options(cohort, cache, tmp_path / "run"), ALONE)


def test_the_same_run_gives_the_same_weights(cohort, cache, home, tmp_path):
    config = load_config("dinov3_base", None, [*SHORT, "max_epochs=1"])
    hashes = {run(config, options(cohort, cache, tmp_path / name), ALONE).weights_sha256 for name in ("one", "two")}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("switches", "adapter", "router"),
    [(["molre=false"], "LoRA", 0), (["lora=false", "features=cached"], "MoLRE", 6), (["lora=false", "molre=false"], "linear probe", 0)],
)
def test_adapters_are_switches(cohort, cache, home, tmp_path, switches, adapter, router):
    card = run(load_config("dinov3_base", None, [*SHORT, *switches]), options(cohort, cache, tmp_path / "run", version="v"), ALONE)
    assert card.adapter == adapter
    install_version(tmp_path / "run" / "models" / "dinov3_base" / "v")
    classifier, _, _ = load_classifier("dinov3_base")
    assert (0 if classifier.molre is None else classifier.molre.down.shape[0]) == router
    study = read_manifest(cohort).part("test").studies[0]
    prediction = Predictor("dinov3_base", "cpu", engine="torch-fp32").predict(study.path, study.study)
    assert prediction.router_level == ("slice" if router else None)
    assert {len(one.router) for one in prediction.slices} == {router}


@pytest.mark.parametrize("model", ["medimageinsight", "medgemma", "pillar0_headct", "deepcntd", "dinov3_large"])
def test_every_backbone_trains(cohort, cache, home, tmp_path, model):
    install_backbone(home, small_backbones()[model])
    card = run(load_config(model, None, [*SHORT, "max_epochs=1"]), options(cohort, cache, tmp_path / "run", version="v"), ALONE)
    install_version(tmp_path / "run" / "models" / model / "v")
    classifier, loaded, _ = load_classifier(model)
    assert loaded == card
    assert classifier.head.weight.abs().sum() > 0


def test_a_second_version_waits_as_candidate(cohort, cache, home, tmp_path):
    config = load_config("dinov3_base", None, [*SHORT, "max_epochs=1"])
    for name in ("a", "b"):
        run(config, options(cohort, cache, tmp_path / name, version=name), ALONE)
    versions = [tmp_path / name / "models" / "dinov3_base" / name for name in ("a", "b")]
    assert [install_version(version) for version in versions] == ["champion", "candidate"]
    assert load_card("dinov3_base").version == "a"
    with pytest.raises(ModelUnavailable, match="never changed"):
        install_version(versions[0])
    (versions[1] / "weights.safetensors").write_bytes(b"damaged")
    shutil.rmtree(home / "models" / "dinov3_base" / "b")
    with pytest.raises(ModelUnavailable, match="differ from their recorded hash"):
        install_version(versions[1])


def test_refusals_come_before_any_work(cohort, cache, home, tmp_path):
    config = load_config("dinov3_base", None, SHORT)
    manifest = read_manifest(cohort)
    write_manifest(manifest.part("train"), tmp_path / "train_only.csv")
    with pytest.raises(InvalidRequest, match="cohort split"):
        run(config, options(tmp_path / "train_only.csv", cache, tmp_path / "run"), ALONE)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="holds other files"):
        run(config, options(cohort, cache, tmp_path / "other"), ALONE)
    with pytest.raises(InvalidRequest, match="--version"):
        run(config, options(cohort, cache, tmp_path / "run", version="../x"), ALONE)
    with pytest.raises(InvalidRequest, match="selection_minimum"):
        run(load_config("dinov3_base", None, [*SHORT, "selection_minimum=5"]), options(cohort, cache, tmp_path / "run"), ALONE)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
